//! Small changes to a text, byte for byte: what a line is, and what an element of an inline table is.

use std::ops::Range;

use crate::core::scanner::{Scanner, TokenKind};

/// A range of a text, and its replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextEdit {
    pub range: Range<usize>,
    pub text: String,
}

impl TextEdit {
    /// Inserts a text.
    pub fn insert(at: usize, text: impl Into<String>) -> Self {
        Self { range: at..at, text: text.into() }
    }

    /// Removes bytes.
    pub fn remove(range: Range<usize>) -> Self {
        Self { range, text: String::new() }
    }
}

/// The text with these changes, given in any order. Removals may overlap. An insertion comes before a removal that begins at the
/// same place.
pub(super) fn spliced(text: &str, mut edits: Vec<TextEdit>) -> String {
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

/// What stands between two commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// From its key to the end of its value.
    pub range: Range<usize>,
    /// Where the comma after it is.
    pub comma: Option<usize>,
}

/// The elements of the table whose brace opens here. The text is TOML.
pub(super) fn elements(text: &str, open: usize) -> Vec<Element> {
    let (mut found, mut depth, mut begin, mut end) = (Vec::new(), 0_u32, None, open);
    for token in Scanner::at_value(text, open) {
        match (token.kind, text.get(token.span.clone()).unwrap_or_default()) {
            (TokenKind::Blank | TokenKind::LineEnd | TokenKind::Comment, _) => continue,
            (TokenKind::Sign, "[" | "{") => {
                depth += 1;
                if depth == 1 {
                    continue;
                }
            }
            (TokenKind::Sign, "]" | "}") => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            (TokenKind::Sign, ",") if depth == 1 => {
                let range = begin.take().map(|begin| begin..end);
                found.extend(range.map(|range| Element { range, comma: Some(token.span.start) }));
                continue;
            }
            _ => {}
        }
        begin = begin.or(Some(token.span.start));
        end = token.span.end;
    }
    found.extend(begin.map(|begin| Element { range: begin..end, comma: None }));
    found
}

/// A table whose elements change.
pub(super) struct InlineTable<'t> {
    pub text: &'t str,
    pub elements: Vec<Element>,
    /// By element: it goes.
    pub gone: Vec<bool>,
}

impl InlineTable<'_> {
    /// The first element after the last that stays.
    fn tail(&self) -> usize {
        self.gone.iter().rposition(|gone| !gone).map_or(0, |last| last + 1)
    }

    /// The table ends with a comma.
    fn has_last_comma(&self) -> bool {
        self.elements.last().is_some_and(|last| last.comma.is_some())
    }

    /// Removes elements with their commas, and with their line if they have one of their own.
    pub fn removals(&self) -> Vec<TextEdit> {
        let (tail, mut edits) = (self.tail(), Vec::new());
        for index in (0..self.elements.len()).filter(|index| self.gone[*index]) {
            let Element { range, comma } = &self.elements[index];
            let before = index.checked_sub(1).and_then(|before| self.elements[before].comma);
            let after = comma.map_or(range.end, |comma| comma + 1);
            // If nothing follows, the comma before it goes too, unless the table ends with a comma.
            if let Some(before) = before.filter(|_| index >= tail && !self.has_last_comma()) {
                edits.push(TextEdit::remove(before..before + 1));
            }
            let beside = |from: &usize| self.is_beside(*from + 1, range.start);
            let next = self.elements.get(index + 1).map(|next| next.range.start);
            edits.push(TextEdit::remove(if self.has_own_line(index) {
                line_start(self.text, range.start)..next_line(self.text, after)
            } else if let Some(before) = before.filter(beside).filter(|_| index >= tail) {
                before..range.end
            } else if let Some(next) = next.filter(|next| index < tail && self.is_beside(after, *next)) {
                range.start..next
            } else {
                self.blanks_before(range.start)..after
            }));
        }
        edits
    }

    /// Inserts elements after the one at `anchor`, which stays: beside it, or on their own lines if it has its own line.
    pub fn insertion(&self, anchor: usize, new: &[String]) -> Vec<TextEdit> {
        let Element { range, comma } = &self.elements[anchor];
        if !self.has_own_line(anchor) {
            let text: String = new.iter().map(|element| format!(", {element}")).collect();
            return vec![TextEdit::insert(range.end, text)];
        }
        let begin = line_start(self.text, range.start);
        let indent = self.text.get(begin..range.start).unwrap_or_default();
        let eol = eol(self.text, range.end);
        // The comma after the anchor stays unless everything after it goes.
        let stays = comma.is_some() && (self.has_last_comma() || anchor + 1 != self.tail());
        let lines: Vec<String> = new.iter().map(|element| format!("{eol}{indent}{element}")).collect();
        let text = lines.join(",") + if stays { "," } else { "" };
        let end = line_end(self.text, comma.unwrap_or(range.end));
        let mut edits = Vec::new();
        if !stays {
            edits.push(TextEdit::insert(range.end, ","));
        }
        edits.push(TextEdit::insert(end, text));
        edits
    }

    fn blanks_before(&self, at: usize) -> usize {
        let head = self.text.get(..at).unwrap_or_default();
        head.trim_end_matches([' ', '\t']).len()
    }

    /// Whether only blanks are between two places of one line.
    fn is_beside(&self, from: usize, to: usize) -> bool {
        self.text.get(from..to).is_some_and(|gap| gap.chars().all(|c| c == ' ' || c == '\t'))
    }

    fn has_own_line(&self, index: usize) -> bool {
        let Element { range, comma } = &self.elements[index];
        let after = comma.map_or(range.end, |comma| comma + 1);
        let begin = line_start(self.text, range.start);
        let head = self.text.get(begin..range.start).unwrap_or_default();
        let tail = self.text.get(after..line_end(self.text, after)).unwrap_or_default();
        head.trim().is_empty() && is_blank(tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_whatever_their_order() {
        let edits = vec![
            TextEdit { range: 8..9, text: "Z".into() },
            TextEdit::remove(2..4),
            TextEdit::insert(2, "-"),
            TextEdit::remove(3..6),
        ];
        assert_eq!(spliced("0123456789", edits), "01-67Z9");
    }

    #[test]
    fn a_line_knows_its_ends() {
        let text = "a\r\nbc\nd";
        assert_eq!((line_start(text, 4), line_end(text, 3), next_line(text, 3)), (3, 5, 6));
        assert_eq!((line_end(text, 0), eol(text, 0), eol(text, 3), eol(text, 6)), (1, "\r\n", "\n", "\r\n"));
        assert_eq!((line_end(text, 6), next_line(text, 6)), (7, 7));
    }

    fn texts(text: &str) -> Vec<&str> {
        elements(text, 0).iter().map(|element| &text[element.range.clone()]).collect()
    }

    /// The table without the elements at `gone`, and with one more after the last that stays.
    fn changed(text: &str, gone: &[usize], new: Option<&str>) -> String {
        let elements = elements(text, 0);
        let gone: Vec<bool> = (0..elements.len()).map(|index| gone.contains(&index)).collect();
        let anchor = gone.iter().rposition(|gone| !gone).unwrap();
        let table = InlineTable { text, elements, gone };
        let mut edits = table.removals();
        edits.extend(new.map(|new| table.insertion(anchor, &[new.to_owned()])).unwrap_or_default());
        spliced(text, edits)
    }

    #[test]
    fn elements_are_parted_by_the_commas_of_their_own_table() {
        assert_eq!(
            texts("{ a = 1,b = [1, 2], c = { d = 1, e = 2 } }, x"),
            ["a = 1", "b = [1, 2]", "c = { d = 1, e = 2 }"]
        );
        assert_eq!(
            texts(r#"{ "a,b}" = ',}', c = "\",", d = """x",""""" }"#),
            ["\"a,b}\" = ',}'", r#"c = "\",""#, r#"d = """x",""""""#]
        );
        assert_eq!(texts("{\n # a, b\n a = 1, # }\n b = [ 2, # ]\n ] # ,\n}"), ["a = 1", "b = [ 2, # ]\n ]"]);
        assert_eq!(texts("{}"), Vec::<&str>::new());
    }

    #[test]
    fn an_element_takes_its_comma_with_it() {
        assert_eq!(changed("{ a = 1, b = 2, c = 3 }", &[1], None), "{ a = 1, c = 3 }");
        assert_eq!(changed("{ a = 1, b = 2, c = 3 }", &[2], None), "{ a = 1, b = 2 }");
        assert_eq!(changed("{ a = 1, b = 2, c = 3 }", &[0], None), "{ b = 2, c = 3 }");
        assert_eq!(changed("{a = 1,b = 2,c = 3}", &[1, 2], None), "{a = 1}");
        assert_eq!(changed("{ a = 1, b = 2, }", &[1], None), "{ a = 1, }");
        assert_eq!(changed("{ a = 1, b = 2, c = 3 , }", &[1, 2], None), "{ a = 1 , }");
        assert_eq!(changed("{ a = 1,\n b = 2,\n c = 3, }", &[1, 2], None), "{ a = 1,\n }");
        assert_eq!(changed("{ a = 1,\n b = 2,\n c = 3 }", &[1, 2], None), "{ a = 1\n }");
    }

    #[test]
    fn an_element_with_its_own_line_takes_the_line_with_it() {
        let table = "{\n  a = 1, # one\n  b = 2 # two\n}";
        assert_eq!(changed(table, &[0], None), "{\n  b = 2 # two\n}");
        assert_eq!(changed(table, &[1], None), "{\n  a = 1 # one\n}");
        assert_eq!(changed("{\n  a = 1,\n  b = 2,\n}", &[1], None), "{\n  a = 1,\n}");
        assert_eq!(changed("{ a = 1, b = 2, # x\n c = 3 }", &[1], None), "{ a = 1, # x\n c = 3 }");
    }

    #[test]
    fn a_new_element_stands_as_the_one_before_it() {
        assert_eq!(changed("{ a = 1 }", &[], Some("n = 9")), "{ a = 1, n = 9 }");
        assert_eq!(changed("{ a = 1, b = 2 }", &[1], Some("n = 9")), "{ a = 1, n = 9 }");
        assert_eq!(changed("{ a = 1, }", &[], Some("n = 9")), "{ a = 1, n = 9, }");
        assert_eq!(changed("{\r\n\ta = 1 # x\r\n}", &[], Some("n = 9")), "{\r\n\ta = 1, # x\r\n\tn = 9\r\n}");
        assert_eq!(changed("{\n a = 1, # x\n}", &[], Some("n = 9")), "{\n a = 1, # x\n n = 9,\n}");
        assert_eq!(changed("{\n a = 1, # x\n b = 2 # y\n}", &[1], Some("n = 9")), "{\n a = 1, # x\n n = 9\n}");
    }
}
