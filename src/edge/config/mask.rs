//! Passwords that were written into the config are never printed, not even in the error that refuses them.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// What stands for a password.
pub(super) const MASK: &str = "***";

/// Words in a key that make its value a secret, wherever it stands.
const SECRET_WORDS: [&str; 5] = ["pass", "pwd", "secret", "token", "credential"];
/// Keys that only say where a secret is.
const PLACES: [&str; 2] = ["password_env", "password_file"];

/// Whether the value of this key is to be kept from sight.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    !PLACES.contains(&key.as_str()) && SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Whether this can be the name of an environment variable; what cannot may well be the password itself.
pub(super) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Where in a url the password stands. Errs on the side of seeing one: a password may hold any character.
pub(super) fn password(url: &str) -> Option<Range<usize>> {
    let begin = url.find("://")? + 3;
    let rest = url.get(begin..)?;
    let at = rest.rfind('@')?;
    let colon = rest.get(..at)?.find(':')?;
    Some(begin + colon + 1..begin + at)
}

/// A text with the passwords of urls in it taken out.
pub(super) fn masked(text: &str) -> String {
    match password(text) {
        Some(range) => [text.get(..range.start), Some(MASK), text.get(range.end..)].into_iter().flatten().collect(),
        None => text.to_owned(),
    }
}

/// The places of secrets in a text, in bytes: those the tree knows, and those only its lines show, as where a syntax
/// error hid them from the tree.
pub(super) fn secrets(tree: &DeTable<'_>, text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    in_table(tree, text, &mut found);
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        found.extend(in_line(line).into_iter().map(|r| begin + r.start..begin + r.end));
        begin += line.len();
    }
    found
}

fn in_table(table: &DeTable<'_>, text: &str, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let misplaced =
            key.get_ref() == "password_env" && value.get_ref().as_str().is_some_and(|name| !is_variable(name));
        if misplaced || is_secret(key.get_ref()) && !value.get_ref().is_table() {
            found.push(inside_quotes(text, value.span()));
        } else {
            in_value(value.get_ref(), value.span(), text, found);
        }
    }
}

fn in_value(value: &DeValue<'_>, span: Range<usize>, text: &str, found: &mut Vec<Range<usize>>) {
    match value {
        DeValue::Table(table) => in_table(table, text, found),
        DeValue::Array(items) => {
            items.iter().for_each(|item| in_value(item.get_ref(), item.span(), text, found));
        }
        DeValue::String(decoded) => found.extend(in_string(decoded, span, text)),
        _ => {}
    }
}

/// The password as it is written, or the whole string if escapes or line ends hide which part it is.
fn in_string(decoded: &str, span: Range<usize>, text: &str) -> Option<Range<usize>> {
    let secret = decoded.get(password(decoded)?)?;
    let raw = text.get(span.clone())?;
    match password(raw) {
        Some(range) if raw.get(range.clone()) == Some(secret) => Some(span.start + range.start..span.start + range.end),
        _ => Some(inside_quotes(text, span)),
    }
}

fn inside_quotes(text: &str, span: Range<usize>) -> Range<usize> {
    let raw = text.get(span.clone()).unwrap_or_default();
    let quotes = raw.chars().take_while(|&c| c == '"' || c == '\'').count();
    if quotes == 0 || raw.len() < 2 * quotes { span } else { span.start + quotes..span.end - quotes }
}

fn in_line(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("://") {
        let head = line.get(..at).unwrap_or_default();
        let tail = line.get(at..).unwrap_or_default();
        let quote = head.chars().rfind(|&c| c == '"' || c == '\'');
        let url = tail.get(..closing(tail, quote)).unwrap_or(tail);
        found.extend(password(url).map(|r| at + r.start..at + r.end));
    }
    for (at, _) in line.match_indices('=') {
        let key = line.get(..at).unwrap_or_default().trim_end().trim_end_matches(['"', '\'']);
        let begin = key.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).map_or(0, |i| i + 1);
        if is_secret(key.get(begin..).unwrap_or(key)) {
            found.push(value_after(line, at + 1));
        }
    }
    found
}

/// What is assigned from here on: to the closing quote, or to the line's end.
fn value_after(line: &str, from: usize) -> Range<usize> {
    let rest = line.get(from..).unwrap_or_default();
    let begin = from + (rest.len() - rest.trim_start().len());
    let value = rest.trim();
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inner = value.get(1..).unwrap_or_default();
            begin + 1..begin + 1 + closing(inner, Some(quote))
        }
        _ => begin..begin + value.len(),
    }
}

/// Where the quote closes, escapes minded, or the end of the line.
fn closing(text: &str, quote: Option<char>) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if Some(c) == quote && !escaped || c == '\n' {
            return at;
        }
        escaped = c == '\\' && !escaped && quote == Some('"');
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let (tree, _) = DeTable::parse_recoverable(text);
        let mut secrets = secrets(tree.get_ref(), text);
        secrets.sort_by_key(|r| (r.start, r.end));
        secrets.dedup();
        let mut shown = text.to_owned();
        for range in secrets.into_iter().rev() {
            shown.replace_range(range, MASK);
        }
        shown
    }

    #[test]
    fn a_password_in_a_url_is_masked() {
        assert_eq!(shown("url = \"mysql://me:hunter2@db:3306/x\""), "url = \"mysql://me:***@db:3306/x\"");
        assert_eq!(shown("url = 'http://me:hun/te#r@2@db'"), "url = 'http://me:***@db'");
        assert_eq!(shown("url = \"mysql://me@db:3306\""), "url = \"mysql://me@db:3306\"");
        assert_eq!(shown("url = \"http://db:80/\" # me@home"), "url = \"http://db:80/\" # me@home");
    }

    #[test]
    fn escapes_and_line_ends_hide_nothing() {
        for text in ["url = \"mysql:\\u002f/me:hunter2@db\"", "url = \"\"\"mysql://me:hun\nter2@db\"\"\""] {
            assert!(!shown(text).contains("ter2"), "{}", shown(text));
        }
    }

    #[test]
    fn a_key_that_says_password_is_masked() {
        assert_eq!(shown("password = \"hunter2\""), "password = \"***\"");
        assert_eq!(shown("m = { Passwd = 'x', url = \"u\" }"), "m = { Passwd = '***', url = \"u\" }");
        assert_eq!(shown("password_env = \"hunter 2!\""), "password_env = \"***\"");
        assert_eq!(shown("password_env = \"NII1_PASSWORD\""), "password_env = \"NII1_PASSWORD\"");
    }

    #[test]
    fn a_syntax_error_hides_nothing() {
        for text in [
            "password = hunter2",
            "password = \"hunter2",
            "url = \"mysql://me:hunter2@db",
            "url = mysql://me:hunter2@db",
        ] {
            assert!(!shown(text).contains("hunter2"), "{}", shown(text));
        }
    }
}
