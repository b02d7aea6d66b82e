//! Secrets in a text that is no TOML: where the parser may have lost its way, whatever follows a secret word is one.

use std::ops::Range;

use super::{is_secret, is_variable, password};

/// What a line leaves open, so that the next lines are secret too.
enum Open {
    /// A text, until this closes it.
    Quote(&'static str),
    /// So many brackets.
    Brackets(usize),
    /// The value itself.
    Value,
}

/// The places of all that may be a secret, in bytes.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut open, mut under, mut begin) = (Vec::new(), None, false, 0);
    for line in text.split_inclusive('\n') {
        let secret = match open.take() {
            Some(before) => {
                open = still_open(before, line);
                Some(0)
            }
            None if line.trim_start().starts_with('[') => {
                let word = secret_word(line);
                under = word.is_some();
                word.filter(|&at| !tail(line, at).trim().chars().all(|c| c == ']'))
            }
            None if under => Some(0),
            None => secret_word(line).inspect(|&at| open = opened(line, at)),
        };
        let from = [secret.map(|at| value_at(line, at)), url_password(line)].into_iter().flatten().min();
        found.extend(from.map(|from| begin + from..begin + line.trim_end().len().max(from)));
        begin += line.len();
    }
    found
}

/// Where the first word ends that says that a secret follows.
fn secret_word(line: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(begin) = tail(line, at).find(is_word).map(|skip| at + skip) {
        let rest = tail(line, begin);
        let end = begin + rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        at = match line.get(begin..end).unwrap_or_default() {
            place @ ("password_env" | "password_file") => match after_place(line, end, place) {
                Some(after) => after,
                None => return Some(end),
            },
            word if is_secret(word) => return Some(end),
            _ => end,
        };
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn tail(line: &str, at: usize) -> &str {
    line.get(at..).unwrap_or_default()
}

/// Where the value of a key ends that only says where a secret is, if that value is written as it should be.
fn after_place(line: &str, end: usize, key: &str) -> Option<usize> {
    let value = tail(line, end).trim_start_matches(['"', '\'']).trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, rest) = value.get(1..)?.split_once(quote)?;
    let right = (key == "password_file" || is_variable(name)) && !name.contains('\\');
    let ends = rest.trim_start().chars().next().is_none_or(|c| matches!(c, ',' | '}' | '#'));
    (right && ends).then_some(line.len() - rest.len())
}

/// Where the value begins after a word that ends here: past blanks, one sign and the opening quotes.
fn value_at(line: &str, at: usize) -> usize {
    let rest = tail(line, at);
    let value = if at == 0 { rest.trim_start() } else { unsigned(rest).trim_start_matches(['"', '\'']) };
    line.len() - value.len()
}

/// What follows a key and its sign.
fn unsigned(rest: &str) -> &str {
    let rest = rest.strip_prefix(['"', '\'']).filter(|r| r.trim_start().starts_with(['=', ':'])).unwrap_or(rest);
    let rest = rest.trim_start();
    rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start()
}

/// What a secret word that ends here leaves open at the line's end.
fn opened(line: &str, at: usize) -> Option<Open> {
    let value = unsigned(tail(line, at));
    let comment = line.get(..at).is_some_and(|head| head.contains('#'));
    if comment {
        return None;
    }
    if value.trim().is_empty() || value.trim() == "\\" {
        return Some(Open::Value);
    }
    if value.starts_with(['[', '{']) {
        return still_open(Open::Brackets(0), value);
    }
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| value.starts_with(quote))?;
    (!tail(value, quote.len()).contains(quote)).then_some(Open::Quote(quote))
}

fn still_open(open: Open, line: &str) -> Option<Open> {
    match open {
        Open::Quote(quote) if line.contains(quote) => None,
        Open::Brackets(depth) => {
            let depth = line.chars().fold(depth, |depth, c| match c {
                '[' | '{' => depth + 1,
                ']' | '}' => depth.saturating_sub(1),
                _ => depth,
            });
            (depth > 0).then_some(Open::Brackets(depth))
        }
        Open::Value if line.trim().is_empty() || line.trim().starts_with('#') => Some(Open::Value),
        // The value may itself go on.
        Open::Value => opened(line, 0),
        open => Some(open),
    }
}

/// Where the password of a url begins: quotes in it, or a host that is missing, hide its end.
fn url_password(line: &str) -> Option<usize> {
    line.match_indices("://").find_map(|(at, sign)| {
        let url = tail(line, at);
        let rest = tail(url, sign.len());
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, after) = authority.split_once(':').unwrap_or((authority, ""));
        let port = after.trim_start_matches(|c: char| c.is_ascii_digit());
        let plain =
            after.is_empty() || !port.starts_with(char::is_alphanumeric) && !is_torn(port) && !port.contains('@');
        let known = password(url).map(|range| at + range.start);
        known.or((!plain && !user.contains('@')).then_some(at + sign.len() + user.len() + 1))
    })
}

/// Whether a closing quote stands amid a word.
fn is_torn(text: &str) -> bool {
    text.strip_prefix(['"', '\'']).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
}
