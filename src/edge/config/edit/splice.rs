//! Small changes to a text, byte for byte, and what a line is.

use std::ops::Range;

/// So many bytes of a text, and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub range: Range<usize>,
    pub text: String,
}

impl Edit {
    /// Puts a text in.
    pub fn insert(at: usize, text: impl Into<String>) -> Self {
        Self { range: at..at, text: text.into() }
    }

    /// Takes bytes out.
    pub fn remove(range: Range<usize>) -> Self {
        Self { range, text: String::new() }
    }
}

/// The text with these changes made, whatever their order. Those that take out may overlap; one that puts in at the
/// place where another begins comes first.
pub(super) fn spliced(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let (mut new, mut done) = (String::with_capacity(text.len() + 256), 0);
    for edit in edits {
        new.push_str(text.get(done..edit.range.start).unwrap_or_default());
        new.push_str(&edit.text);
        done = done.max(edit.range.end);
    }
    new.push_str(text.get(done..).unwrap_or_default());
    new
}

/// Where the line of a byte begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|head| head.rfind('\n')).map_or(0, |end| end + 1)
}

/// Where the line of a byte ends, before its line end.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}

/// Where the line after that of a byte begins.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| at + end + 1)
}

/// The line end that is used around a byte.
pub(super) fn eol(text: &str, at: usize) -> &'static str {
    let end = text.get(at..).and_then(|rest| rest.find('\n')).map(|end| at + end).or_else(|| text.find('\n'));
    match end {
        Some(end) if text.get(..end).is_some_and(|head| head.ends_with('\r')) => "\r\n",
        _ => "\n",
    }
}

/// Whether nothing stands here but blanks and perhaps a comment.
pub(super) fn is_blank(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '\t', '\r']);
    text.is_empty() || text.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_whatever_their_order() {
        let edits =
            vec![Edit { range: 8..9, text: "Z".into() }, Edit::remove(2..4), Edit::insert(2, "-"), Edit::remove(3..6)];
        assert_eq!(spliced("0123456789", edits), "01-67Z9");
    }

    #[test]
    fn a_line_knows_its_ends() {
        let text = "a\r\nbc\nd";
        assert_eq!((line_start(text, 4), line_end(text, 3), next_line(text, 3)), (3, 5, 6));
        assert_eq!((line_end(text, 0), eol(text, 0), eol(text, 3), eol(text, 6)), (1, "\r\n", "\n", "\r\n"));
        assert_eq!((line_end(text, 6), next_line(text, 6)), (7, 7));
    }
}
