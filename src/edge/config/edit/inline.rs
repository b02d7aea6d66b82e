//! The elements of an inline table: where they stand, and how one is put in or taken out.

use std::ops::Range;

use super::splice::{Edit, eol, is_blank, line_end, line_start, next_line};
use crate::core::scanner::{Scanner, TokenKind};

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
pub(super) struct Table<'t> {
    pub text: &'t str,
    pub elements: Vec<Element>,
    /// By element: it goes.
    pub gone: Vec<bool>,
}

impl Table<'_> {
    /// From here on no element stays.
    fn tail(&self) -> usize {
        self.gone.iter().rposition(|gone| !gone).map_or(0, |last| last + 1)
    }

    /// The table ends with a comma.
    fn has_last_comma(&self) -> bool {
        self.elements.last().is_some_and(|last| last.comma.is_some())
    }

    /// Takes out what goes, with its commas and, where it has a line of its own, the line.
    pub fn removals(&self) -> Vec<Edit> {
        let (tail, mut edits) = (self.tail(), Vec::new());
        for index in (0..self.elements.len()).filter(|index| self.gone[*index]) {
            let Element { range, comma } = &self.elements[index];
            let before = index.checked_sub(1).and_then(|before| self.elements[before].comma);
            let after = comma.map_or(range.end, |comma| comma + 1);
            // Nothing follows: the comma that led here goes too, unless the table is to end with it.
            if let Some(before) = before.filter(|_| index >= tail && !self.has_last_comma()) {
                edits.push(Edit::remove(before..before + 1));
            }
            let beside = |from: &usize| self.is_beside(*from + 1, range.start);
            let next = self.elements.get(index + 1).map(|next| next.range.start);
            edits.push(Edit::remove(if self.has_own_line(index) {
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

    /// Puts elements in after the one at `anchor`, which stays: beside it, or each on a line of its own if that is how
    /// this one stands.
    pub fn insertion(&self, anchor: usize, new: &[String]) -> Vec<Edit> {
        let Element { range, comma } = &self.elements[anchor];
        if !self.has_own_line(anchor) {
            let text: String = new.iter().map(|element| format!(", {element}")).collect();
            return vec![Edit::insert(range.end, text)];
        }
        let begin = line_start(self.text, range.start);
        let indent = self.text.get(begin..range.start).unwrap_or_default();
        let eol = eol(self.text, range.end);
        // The comma after the anchor stays unless all that followed it goes.
        let stays = comma.is_some() && (self.has_last_comma() || anchor + 1 != self.tail());
        let lines: Vec<String> = new.iter().map(|element| format!("{eol}{indent}{element}")).collect();
        let text = lines.join(",") + if stays { "," } else { "" };
        let end = line_end(self.text, comma.unwrap_or(range.end));
        let mut edits = Vec::new();
        if !stays {
            edits.push(Edit::insert(range.end, ","));
        }
        edits.push(Edit::insert(end, text));
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
    use super::super::splice::spliced;
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        elements(text, 0).iter().map(|element| &text[element.range.clone()]).collect()
    }

    /// The table without the elements at `gone`, and with one more after the last that stays.
    fn changed(text: &str, gone: &[usize], new: Option<&str>) -> String {
        let elements = elements(text, 0);
        let gone: Vec<bool> = (0..elements.len()).map(|index| gone.contains(&index)).collect();
        let anchor = gone.iter().rposition(|gone| !gone).unwrap();
        let table = Table { text, elements, gone };
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
