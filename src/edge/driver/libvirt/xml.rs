//! What little is read from libvirt's XML. It is always well-formed, in libvirt's own hand: one quote, no namespaces in
//! what is looked for.

/// The first element of this name, tags included.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let from = start(xml, name)?;
    let rest = &xml[from..];
    let head = rest.find('>')?;
    if rest[..head].ends_with('/') {
        return Some(&rest[..=head]);
    }
    let close = format!("</{name}>");
    Some(&rest[..rest.find(&close)? + close.len()])
}

/// All elements of this name; they do not hold one another.
pub(super) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (mut rest, mut found) = (xml, Vec::new());
    while let Some(element) = element(rest, name) {
        let end = element.as_ptr() as usize - rest.as_ptr() as usize + element.len();
        found.push(element);
        rest = &rest[end..];
    }
    found
}

/// What stands between the tags of the first element of this name.
pub(super) fn text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let element = element(xml, name)?;
    let (head, tail) = (element.find('>')? + 1, element.rfind("</")?);
    Some(element.get(head..tail)?.trim())
}

/// An attribute of an element's own tag.
pub(super) fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let tag = &element[..element.find('>')?];
    let from = tag.find(&format!(" {name}="))? + name.len() + 2;
    let quote = tag[from..].chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    tag[from + 1..].split(quote).next()
}

/// Where an element of exactly this name begins.
fn start(xml: &str, name: &str) -> Option<usize> {
    let open = format!("<{name}");
    let whole = |(at, _): &(usize, &str)| xml[at + open.len()..].starts_with([' ', '>', '/', '\n', '\t']);
    xml.match_indices(&open).find(whole).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "<domain type='kvm' id='1'>\n <cpu mode='host-model'/>\n <cputune>x</cputune>\n <uuid> 1-2 </uuid>\n\
        <disk type='file' device='disk'><source file='/a'/></disk><disk type='network'>\n<source protocol='nbd'/></disk></domain>";

    #[test]
    fn elements_texts_and_attributes_are_found() {
        assert_eq!(element(DOMAIN, "cpu"), Some("<cpu mode='host-model'/>"));
        assert_eq!(text(DOMAIN, "uuid"), Some("1-2"));
        assert_eq!(attribute(DOMAIN, "type"), Some("kvm"));
        let disks = elements(DOMAIN, "disk");
        assert_eq!(disks.iter().map(|disk| attribute(disk, "type").unwrap()).collect::<Vec<_>>(), ["file", "network"]);
        assert_eq!(attribute(element(disks[0], "source").unwrap(), "file"), Some("/a"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!((element(DOMAIN, "cp"), text(DOMAIN, "cpu"), attribute(DOMAIN, "uuid")), (None, None, None));
        assert_eq!((element("<a>", "a"), elements("", "a").len()), (None, 0));
    }
}
