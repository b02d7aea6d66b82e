//! The tokens of one line of the editor, counted in characters.

use std::ops::Range;

use crate::core::scanner::{Scanner, TokenKind};

/// What each character of a line belongs to.
pub fn kinds(line: &str) -> impl Iterator<Item = TokenKind> {
    Scanner::new(line).flat_map(|token| std::iter::repeat_n(token.kind, count(line, token.span)))
}

/// What follows the line's first `=`: a text without its quotes, or the number or word; in characters.
pub fn value(line: &str) -> Option<Range<usize>> {
    let is_sign = |span: &Range<usize>| line.get(span.clone()) == Some("=");
    let mut after = Scanner::new(line).skip_while(|token| !is_sign(&token.span)).skip(1);
    let token = after.find(|token| token.kind != TokenKind::Blank)?;
    let raw = line.get(token.span.clone())?;
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let (head, tail) = match token.kind {
        TokenKind::Text => (quotes, quotes),
        TokenKind::OpenText => (quotes, 0),
        TokenKind::Number | TokenKind::Word => (0, 0),
        _ => return None,
    };
    let begin = count(line, 0..token.span.start + head);
    Some(begin..begin + count(line, token.span.start + head..token.span.end - tail))
}

/// The characters in a range of bytes.
fn count(line: &str, span: Range<usize>) -> usize {
    line.get(span).map_or(0, |part| part.chars().count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_character_is_of_a_kind() {
        let kinds: Vec<TokenKind> = kinds("é = 'a").collect();
        let [blank, sign, text] = [TokenKind::Blank, TokenKind::Sign, TokenKind::OpenText];
        assert_eq!(kinds, [TokenKind::Stray, blank, sign, blank, text, text], "an open text ends with its line");
    }

    #[test]
    fn a_value_is_what_one_would_type_anew() {
        let valued =
            |line: &str| value(line).map(|range| line.chars().skip(range.start).take(range.len()).collect::<String>());
        assert_eq!(valued("threshold = 50   # x").as_deref(), Some("50"));
        assert_eq!(valued("kind = \"threshold\"").as_deref(), Some("threshold"));
        assert_eq!(valued("flag=true").as_deref(), Some("true"));
        assert_eq!(valued("zone = \"Eur").as_deref(), Some("Eur"));
        assert_eq!(valued("low = -0.5").as_deref(), Some("-0.5"));
        assert_eq!(valued("zone = 'Eur # é' # x").as_deref(), Some("Eur # é"));
        assert_eq!([valued("# a = 5"), valued("tarry ="), valued("tarry = # 3"), valued("")], [None, None, None, None]);
    }

    proptest! {
        #[test]
        fn every_character_of_a_line_has_a_kind(line in "\\PC{0,60}") {
            let count = line.chars().count();
            prop_assert_eq!(kinds(&line).count(), count);
            if let Some(range) = value(&line) {
                prop_assert!(range.start <= range.end && range.end <= count);
            }
        }
    }
}
