//! Cuts a text into TOML tokens. It never fails: it also cuts a text that is not valid TOML, and the tokens cover every byte.
//! Only the `toml` crate decides whether a text is valid.
//!
//! The config's error reports and edits, the editor's colours and the comparison of a draft use these tokens.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A key, or one part of a dotted key or of a table header, with its quotes if it has some.
    Key,
    /// A string value, with its quotes.
    Text,
    /// A string whose closing quote is missing. It ends with its line, or with the text if it began with three quotes.
    OpenText,
    /// A number, a date or a time.
    Number,
    /// Any other bare word where a value is expected, such as `true`.
    Word,
    /// One of `=`, `.`, `,`, `[`, `]`, `{` and `}`.
    Sign,
    /// A character that has no meaning where it is.
    Stray,
    /// From `#` to the end of the line.
    Comment,
    /// Spaces and tabs, or a byte order mark at the beginning of the text.
    Blank,
    /// `\n` or `\r\n`.
    LineEnd,
}

/// A piece of a TOML text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is, in bytes.
    pub span: Range<usize>,
}

/// What an open bracket has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Header,
    List,
    Table,
}

/// The tokens of a text, in order.
#[derive(Debug, Clone)]
pub struct Scanner<'t> {
    text: &'t str,
    at: usize,
    open: Vec<Bracket>,
    /// The next word is a key, not a value.
    wants_key: bool,
    /// Only blanks were read since the last line end.
    is_line_start: bool,
}

impl<'t> Scanner<'t> {
    /// Scans a text from its beginning, or some lines of it.
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, open: Vec::new(), wants_key: true, is_line_start: true }
    }

    /// Scans a text from this byte on, where a value begins.
    pub fn at_value(text: &'t str, at: usize) -> Self {
        Self { text, at, open: Vec::new(), wants_key: false, is_line_start: false }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn token(&mut self) -> Option<Token> {
        let (text, at) = (self.rest(), self.at);
        let first = text.chars().next()?;
        if self.is_line_start && !self.open.is_empty() && is_header(text) {
            // No list or table has such a line in it: the open bracket was never closed.
            self.open.clear();
            self.wants_key = true;
        }
        let (kind, length) = match first {
            ' ' | '\t' => (TokenKind::Blank, run(text, |c| matches!(c, ' ' | '\t'))),
            '\u{feff}' if at == 0 => (TokenKind::Blank, first.len_utf8()),
            '\n' => (TokenKind::LineEnd, 1),
            '\r' if text.starts_with("\r\n") => (TokenKind::LineEnd, 2),
            '#' => (TokenKind::Comment, line_length(text)),
            '"' | '\'' => {
                let (length, is_closed) = string_length(text);
                let kind = if self.wants_key { TokenKind::Key } else { TokenKind::Text };
                (if is_closed { kind } else { TokenKind::OpenText }, length)
            }
            '=' | ',' | '[' | ']' | '{' | '}' => (TokenKind::Sign, 1),
            '.' if self.wants_key => (TokenKind::Sign, 1),
            _ if self.wants_key && is_bare_key(first) => (TokenKind::Key, run(text, is_bare_key)),
            _ if !self.wants_key && is_bare_value(first) => {
                let is_number = first.is_ascii_digit() || matches!(first, '+' | '-' | '.');
                (if is_number { TokenKind::Number } else { TokenKind::Word }, run(text, is_bare_value))
            }
            other => (TokenKind::Stray, other.len_utf8()),
        };
        self.follow(kind, first);
        self.at += length;
        Some(Token { kind, span: at..self.at })
    }

    /// Notes what the next token may be after this one.
    fn follow(&mut self, kind: TokenKind, first: char) {
        match (kind, first) {
            (TokenKind::LineEnd, _) => {
                self.open.retain(|bracket| *bracket != Bracket::Header);
                self.wants_key |= self.open.is_empty();
            }
            // The closing brackets may be part of it.
            (TokenKind::OpenText, _) => self.open.clear(),
            (TokenKind::Sign, '[') if self.wants_key && (self.is_line_start || self.is_in_header()) => {
                self.open.push(Bracket::Header);
            }
            (TokenKind::Sign, '[') => {
                self.open.push(Bracket::List);
                self.wants_key = false;
            }
            (TokenKind::Sign, '{') => {
                self.open.push(Bracket::Table);
                self.wants_key = true;
            }
            (TokenKind::Sign, ']' | '}') => {
                self.open.pop();
                self.wants_key = false;
            }
            (TokenKind::Sign, '=') => self.wants_key = false,
            (TokenKind::Sign, ',') => self.wants_key = self.open.last() == Some(&Bracket::Table),
            _ => {}
        }
        self.is_line_start = match kind {
            TokenKind::LineEnd => true,
            TokenKind::Blank => self.is_line_start,
            _ => false,
        };
    }

    fn is_in_header(&self) -> bool {
        self.open.last() == Some(&Bracket::Header)
    }
}

impl Iterator for Scanner<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.token()
    }
}

/// The key and the value of a line, as they are written, without the comment after them. `None`: the line sets no key.
pub fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (mut sign, mut end) = (None, line.len());
    for token in Scanner::new(line) {
        match token.kind {
            TokenKind::Sign if sign.is_none() && line.get(token.span.clone()) == Some("=") => sign = Some(token.span),
            TokenKind::Comment => end = token.span.start,
            _ => {}
        }
    }
    let sign = sign?;
    let key = line.get(..sign.start)?.trim();
    (!key.is_empty()).then_some((key, line.get(sign.end..end)?.trim()))
}

/// The number of bytes at the beginning of a text for whose characters this holds.
fn run(text: &str, holds: impl Fn(char) -> bool) -> usize {
    text.find(|c| !holds(c)).unwrap_or(text.len())
}

/// The number of bytes of the first line, without its line end.
fn line_length(text: &str) -> usize {
    let line = text.split('\n').next().unwrap_or_default();
    // A carriage return alone does not end a line.
    if line.len() < text.len() { line.strip_suffix('\r').unwrap_or(line).len() } else { line.len() }
}

const fn is_bare_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

const fn is_bare_value(c: char) -> bool {
    is_bare_key(c) || matches!(c, '+' | '.' | ':')
}

/// The number of bytes of the string at the beginning of a text, and whether its closing quote is there.
fn string_length(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let is_long = bytes.get(1..3) == Some(&[quote; 2]);
    let end = if is_long { text.len() } else { line_length(text) };
    let mut at = if is_long { 3 } else { 1 };
    while at < end {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            byte if byte != quote => {}
            _ if !is_long => return (at + 1, true),
            _ if bytes.get(at + 1..at + 3) == Some(&[quote; 2]) => {
                // Up to two quotes that belong to the string may be right before the three that close it.
                let more = bytes.iter().skip(at + 3).take(2).take_while(|byte| **byte == quote).count();
                return (at + 3 + more, true);
            }
            _ => {}
        }
        at += 1;
    }
    (end, false)
}

/// Whether the first line is a table header, and not an item of a list: a name in brackets that is not a value.
fn is_header(text: &str) -> bool {
    let line = text.get(..line_length(text)).unwrap_or_default();
    let Some(inner) = line.strip_prefix('[').map(|inner| inner.strip_prefix('[').unwrap_or(inner)) else {
        return false;
    };
    let name = inner.get(..run(inner, |c| is_bare_key(c) || c == '.')).unwrap_or_default();
    let is_value =
        matches!(name, "" | "true" | "false" | "inf" | "nan") || name.starts_with(|c: char| !c.is_ascii_alphabetic());
    let after = inner.get(name.len()..).unwrap_or_default().trim_start_matches(']').trim_start();
    !is_value
        && inner.get(name.len()..).is_some_and(|tail| tail.starts_with(']'))
        && (after.is_empty() || after.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TokenKind::{Comment, Key, LineEnd, Number, OpenText, Sign, Stray, Text, Word};
    use super::*;

    fn tokens(text: &str) -> Vec<(TokenKind, &str)> {
        let all = Scanner::new(text).map(|token| (token.kind, &text[token.span]));
        all.filter(|(kind, _)| *kind != TokenKind::Blank).collect()
    }

    #[test]
    fn a_line_is_a_key_a_sign_a_value_and_a_comment() {
        assert_eq!(
            tokens("threshold = 50 # was 40 = low"),
            [(Key, "threshold"), (Sign, "="), (Number, "50"), (Comment, "# was 40 = low")]
        );
        assert_eq!(tokens("a.\"b c\"='x'"), [(Key, "a"), (Sign, "."), (Key, "\"b c\""), (Sign, "="), (Text, "'x'")]);
        assert_eq!(tokens("flag = true"), [(Key, "flag"), (Sign, "="), (Word, "true")]);
        assert_eq!(tokens("at = 1979-05-27T07:32:00Z"), [(Key, "at"), (Sign, "="), (Number, "1979-05-27T07:32:00Z")]);
    }

    #[test]
    fn a_hash_in_a_string_begins_no_comment() {
        assert_eq!(tokens("a = 'x # \\' # y"), [(Key, "a"), (Sign, "="), (Text, "'x # \\'"), (Comment, "# y")]);
        assert_eq!(
            tokens(r#"a = "x # \" \\" # y"#),
            [(Key, "a"), (Sign, "="), (Text, r#""x # \" \\""#), (Comment, "# y")]
        );
    }

    #[test]
    fn a_string_of_three_quotes_has_many_lines() {
        let text = "a = \"\"\"x\n# \\\"\"\" y\"\"\"\"\"\nb = '''\n''''\n";
        let expected = [
            (Key, "a"),
            (Sign, "="),
            (Text, "\"\"\"x\n# \\\"\"\" y\"\"\"\"\""),
            (LineEnd, "\n"),
            (Key, "b"),
            (Sign, "="),
            (Text, "'''\n''''"),
            (LineEnd, "\n"),
        ];
        assert_eq!(tokens(text), expected);
    }

    #[test]
    fn an_open_string_ends_with_its_line_or_with_the_text() {
        assert_eq!(
            tokens("a = \"x\r\nb = 1"),
            [(Key, "a"), (Sign, "="), (OpenText, "\"x"), (LineEnd, "\r\n"), (Key, "b"), (Sign, "="), (Number, "1")]
        );
        assert_eq!(tokens("a = '''x\nb = 1"), [(Key, "a"), (Sign, "="), (OpenText, "'''x\nb = 1")]);
        assert_eq!(tokens("a = { b = \"x }\nc = 1")[6..], [(LineEnd, "\n"), (Key, "c"), (Sign, "="), (Number, "1")]);
        assert_eq!(tokens("a = \"x\\"), [(Key, "a"), (Sign, "="), (OpenText, "\"x\\")]);
    }

    #[test]
    fn tables_have_keys_and_lists_have_values() {
        assert_eq!(
            tokens("a = { b = [c, 1], d = 2 }"),
            [
                (Key, "a"),
                (Sign, "="),
                (Sign, "{"),
                (Key, "b"),
                (Sign, "="),
                (Sign, "["),
                (Word, "c"),
                (Sign, ","),
                (Number, "1"),
                (Sign, "]"),
                (Sign, ","),
                (Key, "d"),
                (Sign, "="),
                (Number, "2"),
                (Sign, "}"),
            ]
        );
        let header = [(Sign, "["), (Sign, "["), (Key, "a"), (Sign, "."), (Key, "b"), (Sign, "]"), (Sign, "]")];
        assert_eq!(tokens("[[a.b]]"), header);
    }

    #[test]
    fn a_header_ends_a_bracket_that_was_left_open() {
        assert_eq!(tokens("a = [\n[b] # c\nd = 1")[4..7], [(Sign, "["), (Key, "b"), (Sign, "]")]);
        assert_eq!(tokens("a = [\n[1],\n[true]\n]\nb = 1").last(), Some(&(Number, "1")));
        assert_eq!(tokens("a = [\n[true]\n, b]")[4..6], [(Sign, "["), (Word, "true")], "a list in a list");
        assert_eq!(tokens("[a\nb = 1").last(), Some(&(Number, "1")), "an open header ends with its line");
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_are_blank() {
        assert_eq!(tokens("\u{feff}a = 1\r\n"), [(Key, "a"), (Sign, "="), (Number, "1"), (LineEnd, "\r\n")]);
        assert_eq!(tokens("a = 1\rb")[3..], [(Stray, "\r"), (Word, "b")]);
        assert_eq!(tokens("a = 1 # x\r\nb")[3..], [(Comment, "# x"), (LineEnd, "\r\n"), (Key, "b")]);
    }

    #[test]
    fn a_line_says_its_key_and_its_value() {
        assert_eq!(key_and_value("  low_tarry=3 # x"), Some(("low_tarry", "3")));
        assert_eq!(key_and_value("zone = 'a # b' # c"), Some(("zone", "'a # b'")));
        assert_eq!(key_and_value(r#"hours = "a \" # b" # c"#), Some(("hours", r#""a \" # b""#)));
        assert_eq!(key_and_value("tarry ="), Some(("tarry", "")));
        for none in ["# tarry = 3", "tarry", "", "= 3"] {
            assert_eq!(key_and_value(none), None, "{none}");
        }
    }

    /// A text in which quotes, brackets and line ends are common.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            proptest::sample::select(vec![
                "\"", "'", "\"\"\"", "'''", "\\", "#", "=", ".", ",", "[", "]", "{", "}", "\n", "\r\n", "\r", "\t",
                " ", "key", "1", "[vm]", "é漢", "\u{feff}", "\u{0}",
            ])
            .prop_map(str::to_owned),
            ".{0,4}",
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_tokens_of_any_text_cover_it(text in text()) {
            let mut at = 0;
            for token in Scanner::new(&text) {
                prop_assert_eq!(token.span.start, at);
                prop_assert!(token.span.end > at && text.is_char_boundary(token.span.end));
                at = token.span.end;
            }
            prop_assert_eq!(at, text.len());
        }

        #[test]
        fn what_the_parser_takes_for_a_string_is_one_token(text in text()) {
            let text = format!("a = 1\n{text}");
            if let Ok(tree) = toml::de::DeTable::parse(text.strip_prefix('\u{feff}').unwrap_or(&text)) {
                for value in tree.get_ref().values().filter(|value| value.get_ref().is_str()) {
                    let found = Scanner::new(&text).any(|token| token.kind == Text && token.span == value.span());
                    prop_assert!(found, "{text:?}");
                }
            }
        }
    }
}
