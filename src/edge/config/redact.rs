//! Which parts of a file an error report may show.
//!
//! A report shows a string value as `…`, unless its key has listed choices. It shows no value of an unknown key, of a key
//! that leads to a secret, or of a line from the point on where the scanner can't read it. So a secret in any of these
//! is never printed, whatever is wrong around it.

use std::ops::Range;

use toml::de::DeValue;

use crate::core::scanner::{Scanner, Token, TokenKind};

/// What may be shown of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Echo {
    /// Nothing: there is no such key.
    Unknown,
    /// Nothing: it leads to a secret, or may hold one.
    Nothing,
    /// Numbers and flags, no strings.
    Plain,
    /// All of it: the key has listed choices.
    Words,
    /// As `Plain`; keys of the table that it may be are names.
    Names,
    /// One of these names: its table is shown like any other table, another value is not.
    Name,
}

/// What is printed for a part that is not shown.
pub(super) const ELLIPSIS: &str = "…";

/// The parts of a text that are not shown.
#[derive(Debug, Clone)]
pub(super) struct Redaction {
    /// In order; they do not overlap.
    hidden: Vec<Range<usize>>,
}

impl Redaction {
    /// What to hide of a text. `is_torn`: the parser found a syntax error in it. `known` says what may be shown of a key's
    /// value, and `None` of a key that no table has.
    pub fn of(text: &str, is_torn: bool, known: fn(&str) -> Option<Echo>) -> Self {
        // After a stray `"""` the words of strings of several lines may look like keys.
        let is_inside_out = is_torn && (text.contains("\"\"\"") || text.contains("'''"));
        let mut redactor = Redactor {
            text,
            known,
            shows_unknown: !is_inside_out,
            section: Echo::Plain,
            open: Vec::new(),
            echo: Echo::Plain,
            is_dotted: false,
            hidden: Vec::new(),
        };
        let mut line = Vec::new();
        for token in Scanner::new(text) {
            if token.kind == TokenKind::LineEnd {
                redactor.line(&line);
                line.clear();
            } else {
                line.push(token);
            }
        }
        redactor.line(&line);
        Self { hidden: redactor.hidden }
    }

    /// A key that stands at this place, in quotes for a message: ` 'x'`. Empty if the key is not shown.
    pub fn key(&self, span: &Range<usize>, key: &str) -> String {
        if self.part(span.start).is_some() { String::new() } else { format!(" '{key}'") }
    }

    /// The hidden part that this byte is in.
    pub fn part(&self, at: usize) -> Option<&Range<usize>> {
        let next = self.hidden.partition_point(|part| part.end <= at);
        self.hidden.get(next).filter(|part| part.contains(&at))
    }
}

impl Echo {
    /// What may be shown of a key's value in a table of which `self` may be shown. `known` is said of the key alone.
    fn of_key(self, known: Option<Self>) -> Self {
        match known {
            _ if self.is_closed() => Self::Unknown,
            Some(echo) => echo,
            None if self == Self::Names => Self::Name,
            None => Self::Unknown,
        }
    }

    /// What may be shown of a list's values, or of a table's keys.
    fn opened(self) -> Self {
        if self == Self::Name { Self::Plain } else { self }
    }

    fn is_closed(self) -> bool {
        matches!(self, Self::Nothing | Self::Unknown)
    }
}

/// Reads the tokens line by line. A string of several lines is part of the line on which it begins.
struct Redactor<'t> {
    text: &'t str,
    known: fn(&str) -> Option<Echo>,
    /// Unknown keys are shown, though their values are not.
    shows_unknown: bool,
    /// What may be shown under the last header.
    section: Echo,
    /// What may be shown within each open bracket.
    open: Vec<Echo>,
    /// What may be shown of the next value.
    echo: Echo,
    /// The next key continues the one before.
    is_dotted: bool,
    hidden: Vec<Range<usize>>,
}

impl<'t> Redactor<'t> {
    fn raw(&self, token: &Token) -> &'t str {
        self.text.get(token.span.clone()).unwrap_or_default()
    }

    fn line(&mut self, tokens: &[Token]) {
        let wrong = self.first_wrong(tokens);
        let shows_unknown = self.shows_unknown && wrong.is_none();
        let is_header = self.is_header(tokens);
        if is_header {
            self.open.clear();
            self.section = Echo::Plain;
        }
        (self.echo, self.is_dotted) = (self.inside(), false);
        let mut is_run = false;
        for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind != TokenKind::Blank) {
            let mut hidden = if is_header { self.in_header(token) } else { self.hidden_of(token) };
            let is_unknown = token.kind == TokenKind::Key && self.echo == Echo::Unknown;
            if is_unknown && !(shows_unknown && is_word(self.raw(token))) {
                hidden = token.span.clone();
            }
            if wrong.is_some_and(|wrong| index >= wrong) {
                let is_quote = token.kind == TokenKind::OpenText && wrong == Some(index) && self.echo != Echo::Unknown;
                let shown = if is_quote { quotes(self.raw(token)) } else { 0 };
                hidden = token.span.start + shown..token.span.end;
            }
            let is_whole = hidden == token.span;
            let is_shown = hidden.is_empty();
            match self.hidden.last_mut() {
                _ if is_shown => {}
                // Hidden tokens side by side are one part.
                Some(last) if is_run && is_whole => last.end = token.span.end,
                _ => self.hidden.push(hidden),
            }
            is_run = is_whole || wrong == Some(index) && !is_shown;
        }
    }

    /// The part of a header's token that is not shown.
    fn in_header(&mut self, token: &Token) -> Range<usize> {
        match token.kind {
            TokenKind::Sign if self.raw(token) != "." => {
                self.section = self.echo.opened();
                shown(token)
            }
            // A broken header may run into a value.
            _ => self.hidden_of(token),
        }
    }

    /// The part of a token that is not shown.
    fn hidden_of(&mut self, token: &Token) -> Range<usize> {
        let raw = self.raw(token);
        match (token.kind, raw) {
            (TokenKind::Key, _) => {
                let around = if self.is_dotted { self.echo.opened() } else { self.inside() };
                self.echo = around.of_key((self.known)(raw.trim_matches(['"', '\''])));
                by(around, token)
            }
            (TokenKind::Comment, _) => token.span.end - raw.trim_start_matches('#').trim_start().len()..token.span.end,
            (TokenKind::Sign, ".") => {
                self.is_dotted = true;
                by(self.echo, token)
            }
            (TokenKind::Sign, "=") => by(self.inside(), token),
            (TokenKind::Sign, ",") => {
                (self.echo, self.is_dotted) = (self.inside(), false);
                by(self.echo, token)
            }
            (TokenKind::Sign, "[" | "{") => {
                self.open.push(self.echo.opened());
                by(self.echo, token)
            }
            (TokenKind::Sign, _) => {
                let within = self.open.pop().unwrap_or(self.section);
                self.echo = self.inside();
                by(within, token)
            }
            (TokenKind::Text, _) if self.echo == Echo::Unknown => token.span.clone(),
            (TokenKind::Text, _) if self.echo == Echo::Words => shown(token),
            (TokenKind::Text, _) => token.span.start + quotes(raw)..token.span.end - quotes(raw),
            (TokenKind::Number | TokenKind::Word, _) if self.echo != Echo::Name && is_plain(raw) => {
                by(self.echo, token)
            }
            (TokenKind::OpenText, _) => {
                self.open.clear();
                token.span.clone()
            }
            _ => token.span.clone(),
        }
    }

    /// What may be shown of a key's neighbours.
    fn inside(&self) -> Echo {
        self.open.last().copied().unwrap_or(self.section)
    }

    fn is_header(&self, tokens: &[Token]) -> bool {
        let mut tokens = tokens.iter().filter(|token| token.kind != TokenKind::Blank);
        let is_open = tokens.next().is_some_and(|token| self.raw(token) == "[");
        let next = tokens.find(|token| self.raw(token) != "[");
        is_open && next.is_some_and(|token| token.kind == TokenKind::Key)
    }

    /// The first token of a line that cannot stand where it does.
    fn first_wrong(&self, tokens: &[Token]) -> Option<usize> {
        // After a value, and after a key, only certain signs can follow.
        let (mut is_key, mut is_value) = (false, false);
        for (index, token) in tokens.iter().enumerate() {
            match token.kind {
                TokenKind::Blank | TokenKind::Comment | TokenKind::LineEnd => continue,
                TokenKind::OpenText | TokenKind::Stray => return Some(index),
                TokenKind::Key | TokenKind::Text | TokenKind::Number | TokenKind::Word if is_key || is_value => {
                    return Some(index);
                }
                TokenKind::Key => (is_key, is_value) = (true, false),
                TokenKind::Text | TokenKind::Number | TokenKind::Word => (is_key, is_value) = (false, true),
                TokenKind::Sign => match self.raw(token) {
                    "]" | "}" => (is_key, is_value) = (false, true),
                    "[" | "{" if is_key || is_value => return Some(index),
                    "=" | "." if is_value => return Some(index),
                    _ => (is_key, is_value) = (false, false),
                },
            }
        }
        // A key without a value may be the rest of a string that begins on another line.
        let first = tokens.iter().position(|token| token.kind != TokenKind::Blank);
        first.filter(|_| is_key)
    }
}

/// Hides nothing of a token.
fn shown(token: &Token) -> Range<usize> {
    token.span.end..token.span.end
}

/// Hides a token if nothing may be shown.
fn by(echo: Echo, token: &Token) -> Range<usize> {
    if echo.is_closed() { token.span.clone() } else { shown(token) }
}

/// The bytes of a string's quotes, at each end.
fn quotes(raw: &str) -> usize {
    if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 }
}

/// Whether this can be a key's name, and not a quoted text in the wrong place.
fn is_word(key: &str) -> bool {
    key.trim_matches(['"', '\'']).chars().all(|c| c.is_alphanumeric() || "_-. ".contains(c))
}

/// Whether this is a number, a date or a flag. Another bare word may be a text without its quotes.
fn is_plain(raw: &str) -> bool {
    raw.chars().all(|c| c.is_ascii_digit() || "+-._:".contains(c)) || DeValue::parse(raw).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use toml::de::DeTable;

    use super::super::read::echo;
    use super::*;

    fn shown(text: &str) -> String {
        let (_, errors) = DeTable::parse_recoverable(text);
        let redaction = Redaction::of(text, !errors.is_empty(), echo);
        let mut shown = String::new();
        for (at, c) in text.char_indices() {
            match redaction.part(at) {
                Some(part) if part.start == at => shown.push_str(ELLIPSIS),
                Some(_) => {}
                None => shown.push(c),
            }
        }
        shown
    }

    #[test]
    fn string_values_are_not_shown_unless_their_key_has_listed_choices() {
        for (text, expected) in [
            ("name = \"shop\"", "name = \"…\""),
            ("url = 'http://me:x@h/' # of x", "url = '…' # …"),
            ("host = [\"a\", { name = \"b\", capacity = 8 }]", "host = [\"…\", { name = \"…\", capacity = 8 }]"),
            ("query = \"\"\"a\nb\"\"\"\nmode = \"ask\"", "query = \"\"\"…\"\"\"\nmode = \"ask\""),
            ("service = \"\"\"a\nb\"\"\"\nmode = \"ask\"", "service = \"\"\"…\"\"\"\nmode = \"ask\""),
            ("name = \"\"", "name = \"\""),
            ("[ url = \"mysql://me:x@h\"", "[ url = \"…\""),
            ("[[vm]] name = 'x'", "[[vm]] …"),
            ("monitor.on_timeout = \"gp\"", "monitor.on_timeout = \"gp\""),
            ("[policy.web]\nkind = \"base\"\ntarry = 3", "[policy.web]\nkind = \"base\"\ntarry = 3"),
            ("policy = { web = { kind = \"base\", tarry = 3 } }", "policy = { web = { kind = \"base\", tarry = 3 } }"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn nothing_of_an_unknown_key_is_shown_but_its_name() {
        for (text, expected) in [
            ("mood = \"x\"", "mood = …"),
            ("\"my mood\" = 3\n\"u:x@h\" = 3", "\"my mood\" = …\n… = …"),
            ("monitor.password.x = \"y\"", "monitor.password… = …"),
            ("x = { a = [\"b\", 2], c = 1 }", "x = …"),
            ("m = { password = \"x\", url = \"y\" }", "m = …"),
            ("monitor = { password = [\"x\", 1], tarry = 2 }", "monitor = { password = …, tarry = 2 }"),
            ("[m.secret]\nx = 1\n[limits]\nat_once = 1", "[m…]\n…\n[limits]\nat_once = 1"),
            ("password_env = 12345", "password_env = …"),
            ("policy = { password = 12345 }", "policy = { password = … }"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_line_is_shown_up_to_where_it_cannot_be_read() {
        for (text, expected) in [
            ("password: x", "…"),
            ("url \"x\"", "url …"),
            ("name = shop", "name = …"),
            ("name = \"shop", "name = \"…"),
            ("name = \"a\"x\"", "name = \"…\"…"),
            ("name =\n# c\n\"x\"", "name =\n# …\n…"),
            ("name = \\\nx", "name = …\n…"),
            ("monitor = { url=\"a:p\"x@h\", tarry = 3 }\ntarry = 3", "monitor = { url=\"…\"…\ntarry = 3"),
            ("[m.password] x", "[…] …"),
            ("name = \"\"\"a\nb", "name = \"\"\"…"),
            ("word = 3\nname = \"\"\"a\"\"\" x", "… = …\nname = \"\"\"…\"\"\" …"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    proptest! {
        #[test]
        fn parts_are_in_order_and_on_whole_characters(text in "([a-z]{1,4}|[\"'=.,#{}\\[\\]\\n é漢-]){0,60}") {
            let redaction = Redaction::of(&text, true, echo);
            let mut last = 0;
            for part in &redaction.hidden {
                prop_assert!(last <= part.start && part.start < part.end);
                prop_assert!(text.get(part.clone()).is_some());
                last = part.end;
            }
        }
    }
}
