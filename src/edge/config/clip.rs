//! Keeps what is printed of a long line, or of a long name, within a screen.

use unicode_width::UnicodeWidthChar;

/// Columns of a printed line of the file.
const WIDEST: usize = 160;
/// In characters.
const LONGEST_MESSAGE: usize = 400;
const ELLIPSIS: &str = "…";

/// The part of a line, and of the marks under it, that is near the first mark.
pub(super) fn clipped(source: String, marks: String) -> (String, String) {
    let width: usize = source.chars().map(columns).sum();
    if width <= WIDEST {
        return (source, marks);
    }
    let first: usize = marks.chars().take_while(|c| *c != '^').map(columns).sum();
    let begin = first.saturating_sub(WIDEST / 2).min(width - WIDEST);
    let (head, blank) = if begin > 0 { (ELLIPSIS, " ") } else { ("", "") };
    let tail = if begin + WIDEST < width { ELLIPSIS } else { "" };
    (format!("{head}{}{tail}", part(&source, begin)), format!("{blank}{}", part(&marks, begin)))
}

/// What of a text is in the columns from here on; half a wide character is a blank.
fn part(text: &str, begin: usize) -> String {
    let (mut at, mut part) = (0, String::new());
    for c in text.chars() {
        let next = at + columns(c);
        if at >= begin && next <= begin + WIDEST {
            part.push(c);
        } else if at < begin && next > begin {
            part.push(' ');
        }
        at = next;
    }
    part
}

fn columns(c: char) -> usize {
    if c == '\t' { 1 } else { c.width().unwrap_or(1) }
}

/// A message without the rest of a name that is too long to be read.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}{ELLIPSIS}", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(text: &str, wanted: char) -> Option<usize> {
        text.find(wanted).map(|at| text[..at].chars().map(columns).sum())
    }

    #[test]
    fn a_short_line_is_whole() {
        assert_eq!(clipped("x = 1".into(), "    ^".into()), ("x = 1".into(), "    ^".into()));
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(200_000)).chars().count(), LONGEST_MESSAGE + 1);
    }

    proptest! {
        #[test]
        fn the_marks_stay_under_their_place(before in "[a漢\t]{0,300}", after in "[a漢\t]{0,300}", marks in 1usize..400) {
            let line = format!("{before}!{after}");
            let blanks: usize = before.chars().map(columns).sum();
            let (source, marks) = clipped(line, " ".repeat(blanks) + &"^".repeat(marks.min(1 + after.len())));
            prop_assert_eq!(column(&source, '!'), column(&marks, '^'));
            prop_assert!(source.chars().map(columns).sum::<usize>() <= WIDEST + 2);
        }
    }
}
