//! The answer to a `PROPFIND`: what is in a folder of a WebDAV server.
//!
//! A folder of a million results makes an answer of some hundred megabytes. So it is read as it comes: a few of its responses
//! at a time are parsed as a document of their own.

use chrono::DateTime;
use roxmltree::{Document, Node};

use super::{EntryKind, FolderEntry};

/// The XML namespace of WebDAV.
const DAV: &str = "DAV:";
/// What comes before the first response is shorter.
const LONGEST_HEAD: usize = 64 << 10;
/// A longer response is none.
const LONGEST_RESPONSE: usize = 1 << 20;
/// A folder with more entries is not read.
const MOST_ENTRIES: usize = 1_200_000;

/// An answer that is being read.
#[derive(Default)]
pub struct Multistatus {
    unread: Vec<u8>,
    /// All up to the first response, and the tag that ends the document.
    frame: Option<(String, String)>,
    found: Vec<(usize, FolderEntry)>,
}

impl Multistatus {
    /// Takes the next part of the answer.
    ///
    /// # Errors
    /// It is no such answer, or has too many entries.
    pub fn take(&mut self, part: &[u8]) -> Result<(), String> {
        self.unread.extend_from_slice(part);
        if self.frame.is_none() {
            self.frame = frame_of(&self.unread)?;
            if let Some((head, _)) = &self.frame {
                self.unread.drain(..head.len());
            }
        }
        if let (Some((head, tail)), Some(end)) = (&self.frame, end_of_last_response(&self.unread)) {
            let responses = str::from_utf8(&self.unread[..end]).map_err(|_| "the listing is not UTF-8".to_owned())?;
            read(&format!("{head}{responses}{tail}"), &mut self.found)?;
            self.unread.drain(..end);
        }
        if self.found.len() > MOST_ENTRIES {
            return Err(format!("more than {MOST_ENTRIES} entries in one folder"));
        }
        let longest = if self.frame.is_some() { LONGEST_RESPONSE } else { LONGEST_HEAD };
        if self.unread.len() > longest { Err("the answer is no listing".to_owned()) } else { Ok(()) }
    }

    /// The folder or file that was asked for, and what is in it.
    ///
    /// # Errors
    /// It is no such answer, or it broke off.
    pub fn finish(self) -> Result<(FolderEntry, Vec<FolderEntry>), String> {
        let Some((_, tail)) = self.frame else { return Err("the answer is no listing".to_owned()) };
        if str::from_utf8(&self.unread).is_ok_and(|rest| rest.trim() != tail) {
            return Err("the listing broke off".to_owned());
        }
        // A proxy may have changed the paths. What was asked for is above all others.
        let top = self.found.iter().map(|(depth, _)| *depth).min().unwrap_or_default();
        let (mut own, mut inside) = (None, Vec::new());
        for (depth, entry) in self.found {
            if depth == top {
                if own.replace(entry).is_some() {
                    return Err("the listing does not say of what it is".to_owned());
                }
            } else if depth == top + 1 {
                inside.push(entry);
            }
        }
        Ok((own.ok_or_else(|| "the listing is empty".to_owned())?, inside))
    }
}

/// All up to the first response, and the end tag that belongs to it; `None`: it has not come yet.
fn frame_of(text: &[u8]) -> Result<Option<(String, String)>, String> {
    let no_listing = || "the answer is no listing".to_owned();
    let Some(at) = find(text, b"multistatus") else { return Ok(None) };
    let Some(end) = text[at..].iter().position(|byte| *byte == b'>').map(|end| at + end) else { return Ok(None) };
    let Some(begin) = text[..at].iter().rposition(|byte| *byte == b'<') else { return Err(no_listing()) };
    let name = str::from_utf8(&text[begin + 1..at + b"multistatus".len()]).map_err(|_| no_listing())?;
    let head = str::from_utf8(&text[..=end]).map_err(|_| no_listing())?;
    // `<D:multistatus/>` has no responses.
    if head.ends_with("/>") {
        Err("the listing is empty".to_owned())
    } else {
        Ok(Some((head.to_owned(), format!("</{name}>"))))
    }
}

/// Where the last whole response ends.
fn end_of_last_response(text: &[u8]) -> Option<usize> {
    const END: &[u8] = b"response>";
    let mut until = text.len();
    loop {
        let at = text[..until].windows(END.len()).rposition(|window| window == END)?;
        let tag = text[..at].iter().rposition(|byte| *byte == b'<')?;
        if text.get(tag + 1) == Some(&b'/') && at - tag <= 64 {
            return Some(at + END.len());
        }
        until = at + END.len() - 1;
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn read(document: &str, found: &mut Vec<(usize, FolderEntry)>) -> Result<(), String> {
    let document = Document::parse(document).map_err(|_| "the listing is no XML".to_owned())?;
    for response in document.root_element().children().filter(|node| node.has_tag_name((DAV, "response"))) {
        found.push(entry(response).ok_or_else(|| "the listing has an entry without a name".to_owned())?);
    }
    Ok(())
}

/// An entry, and how deep its path is.
fn entry(response: Node<'_, '_>) -> Option<(usize, FolderEntry)> {
    let href = child(response, "href")?.text()?.trim();
    // `http://host/path` or `/path`.
    let path = href.split_once("://").map_or(href, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let props = response.children().filter(|node| node.has_tag_name((DAV, "propstat"))).filter(|stat| {
        child(*stat, "status").and_then(|status| status.text()).is_some_and(|status| status.contains(" 200"))
    });
    let props: Vec<_> = props.filter_map(|stat| child(stat, "prop")).collect();
    let prop = |name| props.iter().find_map(|props| child(*props, name));
    let text = |name| prop(name).and_then(|prop| prop.text());
    let is_folder = prop("resourcetype").is_some_and(|kind| child(kind, "collection").is_some());
    let changed = text("getlastmodified").and_then(|date| DateTime::parse_from_rfc2822(date.trim()).ok());
    let (name, kind) = match String::from_utf8(decoded(parts.last().copied().unwrap_or_default())) {
        Ok(name) if is_folder => (name, EntryKind::Folder),
        Ok(name) => (name, EntryKind::File),
        Err(error) => {
            let name = String::from_utf8_lossy(error.as_bytes()).into_owned();
            (name, EntryKind::Other("its name is not UTF-8: give it another one"))
        }
    };
    let bytes = text("getcontentlength").and_then(|bytes| bytes.trim().parse().ok());
    let entry = FolderEntry {
        name,
        kind,
        bytes: bytes.filter(|_| !is_folder).unwrap_or_default(),
        changed: changed.map(|at| at.to_utc().into()),
        // A weak tag becomes a strong one after a second; the rest of it stays.
        tag: text("getetag").map(|tag| tag.trim().trim_start_matches("W/").to_owned()),
    };
    Some((parts.len(), entry))
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|node| node.has_tag_name((DAV, name)))
}

/// A part of a path without its `%` codes.
fn decoded(part: &str) -> Vec<u8> {
    let bytes = part.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = (*byte == b'%').then(|| part.get(at + 1..at + 3)).flatten();
        match code.filter(|code| !code.starts_with('+')).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                plain.push(code);
                at += 3;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Apache writes it.
    const APACHE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns0="DAV:">
<D:response xmlns:lp1="DAV:" xmlns:lp2="http://apache.org/dav/props/">
<D:href>/q/open/</D:href>
<D:propstat>
<D:prop>
<lp1:resourcetype><D:collection/></lp1:resourcetype>
<lp1:getlastmodified>Tue, 05 May 2009 12:40:00 GMT</lp1:getlastmodified>
</D:prop>
<D:status>HTTP/1.1 200 OK</D:status>
</D:propstat>
<D:propstat>
<D:prop>
<D:getcontentlength/>
</D:prop>
<D:status>HTTP/1.1 404 Not Found</D:status>
</D:propstat>
</D:response>
<D:response xmlns:lp1="DAV:" xmlns:lp2="http://apache.org/dav/props/">
<D:href>/q/open/gr%c3%b6%c3%9fe%201</D:href>
<D:propstat>
<D:prop>
<lp1:resourcetype/>
<lp1:getcontentlength>12</lp1:getcontentlength>
<lp1:getlastmodified>Tue, 05 May 2009 12:40:01 GMT</lp1:getlastmodified>
<lp1:getetag>W/"c-46929d1a0ac40"</lp1:getetag>
</D:prop>
<D:status>HTTP/1.1 200 OK</D:status>
</D:propstat>
</D:response>
</D:multistatus>
"#;

    fn parsed(text: &str, step: usize) -> Result<(FolderEntry, Vec<FolderEntry>), String> {
        let mut reading = Multistatus::default();
        for part in text.as_bytes().chunks(step.max(1)) {
            reading.take(part)?;
        }
        reading.finish()
    }

    #[test]
    fn a_listing_is_read_however_it_is_cut() {
        for step in 1..APACHE.len() {
            let (own, inside) = parsed(APACHE, step).expect("a listing");
            assert_eq!((&*own.name, own.kind, inside.len()), ("open", EntryKind::Folder, 1));
            let page = &inside[0];
            assert_eq!((&*page.name, page.kind, page.bytes), ("größe 1", EntryKind::File, 12));
            assert_eq!(page.changed.map(|at| at.rfc3339()).as_deref(), Some("2009-05-05T12:40:01.000Z"));
            assert_eq!(page.tag.as_deref(), Some("\"c-46929d1a0ac40\""));
        }
    }

    #[test]
    fn what_is_no_listing_is_an_error() {
        let error = |text: &str| parsed(text, 1 << 16).expect_err("an error");
        assert_eq!(error(""), "the answer is no listing");
        assert_eq!(error("<html>hello</html>"), "the answer is no listing");
        assert_eq!(error("<multistatus xmlns='DAV:'></multistatus>"), "the listing is empty");
        assert_eq!(error("<multistatus xmlns='DAV:'/>"), "the listing is empty");
        assert_eq!(error(&APACHE[..APACHE.len() - 40]), "the listing broke off");
        assert_eq!(error(&APACHE.replace("/q/open/gr", "/q/gr")), "the listing does not say of what it is");
        assert_eq!(error(&APACHE.replace("</D:prop>", "")), "the listing is no XML");
        assert_eq!(error(&format!("<multistatus>{}", "x".repeat(2 << 20))), "the answer is no listing");
    }

    #[test]
    fn a_whole_url_and_a_hostile_name_are_read_too() {
        let text = APACHE.replace("<D:href>/q", "<D:href>http://queue.example:80/p/r").replace("gr%c3", "..%2f%ff%");
        let (own, inside) = parsed(&text, 100).expect("a listing");
        assert_eq!(own.name, "open");
        assert!(matches!(inside[0].kind, EntryKind::Other(_)), "{inside:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_listing_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in 0..APACHE.len(),
            step in 1_usize..400,
        ) {
            let mut spoilt = APACHE.as_bytes().to_vec();
            spoilt.splice(at..(at + bytes.len() / 2).min(APACHE.len()), bytes);
            let mut reading = Multistatus::default();
            if spoilt.chunks(step).all(|part| reading.take(part).is_ok()) {
                let _ = reading.finish();
            }
        }
    }
}
