//! What a command printed: the end of each stream for people, the beginning of its output for the driver.

use std::collections::VecDeque;

/// Of each stream so much is kept for people, the newest.
const TAIL: usize = 4 << 10;
/// Of the output so much is read: names of some thousand VMs.
const HEAD: usize = 64 << 10;
/// A line for people is cut here, in characters.
const LINE: usize = 200;

/// One of a command's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// What was printed so far. Takes no more than a bounded piece of memory, whatever is printed.
#[derive(Debug, Default)]
pub(super) struct Output {
    head: Vec<u8>,
    overflowed: bool,
    out: VecDeque<u8>,
    err: VecDeque<u8>,
}

impl Output {
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let tail = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        tail.drain(..tail.len().saturating_sub(TAIL));
        if stream == Stream::Out {
            let room = HEAD - self.head.len();
            self.overflowed |= bytes.len() > room;
            self.head.extend(&bytes[..bytes.len().min(room)]);
        }
    }

    /// The lines of its output that are not empty, without blanks around them.
    ///
    /// # Errors
    /// There was more than can be taken for an answer, or it is no text.
    pub(super) fn lines(&self) -> Result<Vec<&str>, String> {
        if self.overflowed {
            return Err(format!("it printed more than {} KiB", HEAD >> 10));
        }
        let text = std::str::from_utf8(&self.head).map_err(|_| "what it printed is no text".to_owned())?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
    }

    /// The last line that is not empty, of the errors if there are any, for people; empty if there is none. What is
    /// written over (by a carriage return) counts as a line.
    pub(super) fn last_line(&self) -> String {
        last(&self.err).or_else(|| last(&self.out)).unwrap_or_default()
    }
}

fn last(tail: &VecDeque<u8>) -> Option<String> {
    let bytes: Vec<u8> = tail.iter().copied().collect();
    String::from_utf8_lossy(&bytes).split(['\n', '\r']).map(shown).rfind(|line| !line.is_empty())
}

/// A line as people see it: without control characters, and cut.
pub(super) fn shown(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut characters),
            '\t' => text.push(' '),
            c if c.is_control() || turns_text(c) => {}
            c => text.push(c),
        }
    }
    let text = text.trim();
    match text.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What follows an escape: a colour, a jump of the cursor.
fn skip_sequence(characters: &mut std::str::Chars<'_>) {
    let mut ahead = characters.clone();
    if ahead.next() == Some('[') {
        ahead.by_ref().find(|c| ('@'..='~').contains(c));
        *characters = ahead;
    }
}

/// Marks that turn the direction of what follows, or are not seen at all.
const fn turns_text(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(text: &str) -> Output {
        let mut output = Output::default();
        output.take(Stream::Out, text.as_bytes());
        output
    }

    #[test]
    fn the_last_line_is_told_without_what_would_disturb_a_screen() {
        assert_eq!(printed("one\ntwo \x1b[31mred\x1b[0m\x07\n\n").last_line(), "two red");
        assert_eq!(printed("Migration: [ 12 %]\rMigration: [ 97 %]\r").last_line(), "Migration: [ 97 %]");
        assert_eq!(printed(" \n\t\n").last_line(), "");
        assert_eq!(printed("a\u{202e}b").last_line(), "ab");
    }

    #[test]
    fn a_complaint_comes_before_whatever_was_printed_last() {
        let mut output = printed("mln1");
        assert_eq!(output.last_line(), "mln1");
        output.take(Stream::Err, b"no route\n");
        output.take(Stream::Out, b"mln1\n");
        assert_eq!(output.last_line(), "no route");
    }

    #[test]
    fn a_long_line_is_cut_and_a_flood_keeps_its_end() {
        assert_eq!(printed(&"x".repeat(LINE + 1)).last_line().chars().count(), LINE + 1);
        let mut output = Output::default();
        for _ in 0..1_000 {
            output.take(Stream::Err, &[b'y'; 10_000]);
        }
        output.take(Stream::Err, b"\nthe end");
        assert_eq!((output.err.len(), output.last_line().as_str()), (TAIL, "the end"));
        assert!(output.head.is_empty(), "errors are no answer");
    }

    #[test]
    fn lines_are_an_answer_only_if_they_are_whole_and_text() {
        assert_eq!(printed(" web1 \n\nweb2\r\n").lines().unwrap(), ["web1", "web2"]);
        assert!(printed(&"y\n".repeat(HEAD)).lines().unwrap_err().contains("64 KiB"));
        let mut output = Output::default();
        output.take(Stream::Out, &[0xff, 0xfe]);
        assert_eq!(output.lines().unwrap_err(), "what it printed is no text");
    }

    proptest! {
        #[test]
        fn whatever_is_printed_a_line_is_shown_without_control_characters(bytes in any::<Vec<u8>>()) {
            let mut output = Output::default();
            output.take(Stream::Out, &bytes);
            prop_assert!(output.last_line().chars().all(|c| !c.is_control()));
        }
    }
}
