//! Passwords that were written into the config are never printed, not even in the error that refuses them.

mod torn;

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// What stands for a password.
pub(super) const MASK: &str = "***";

/// Pieces of a key that make its value a secret, wherever it stands.
const SECRET_PIECES: [&str; 10] =
    ["pass", "pwd", "secret", "token", "credential", "apikey", "api_key", "api-key", "private_key", "access_key"];
/// Too short to be found within other words: they must be one of a key's words.
const SECRET_WORDS: [&str; 3] = ["pw", "auth", "authorization"];
/// Keys that only say where a secret is.
const PLACES: [&str; 2] = ["password_env", "password_file"];

/// Whether the value of this key is to be kept from sight.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let piece = SECRET_PIECES.iter().any(|piece| key.contains(piece));
    let word = || key.split(['_', '-', '.', ' ']).any(|word| SECRET_WORDS.contains(&word));
    !PLACES.contains(&key.as_str()) && (piece || word())
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

/// Where in a url secrets stand: its password, and the values of query parameters that say they are secret.
fn in_url(url: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = password(url).into_iter().collect();
    let query = url.find("://").and_then(|at| Some(at + url.get(at..)?.find('?')?)).unwrap_or(url.len());
    for (at, _) in url.match_indices('=').filter(|(at, _)| *at > query) {
        let name = url.get(query..at).and_then(|head| head.rsplit(QUERY_SIGNS).next()).unwrap_or_default();
        let value = url.get(at + 1..).and_then(|tail| tail.split(QUERY_SIGNS).next()).unwrap_or_default();
        if is_secret(name) && !value.is_empty() {
            found.push(at + 1..at + 1 + value.len());
        }
    }
    found
}

/// What parts the parameters of a url.
const QUERY_SIGNS: [char; 5] = ['?', '&', ';', '#', '\''];

/// A text with the secrets of urls in it taken out.
pub(super) fn masked(text: &str) -> String {
    hidden(text, &in_url(text))
}

/// A text with a mask for each of these ranges.
fn hidden(text: &str, secrets: &[Range<usize>]) -> String {
    let (mut shown, mut hidden) = (String::new(), false);
    for (at, c) in text.char_indices() {
        let secret = secrets.iter().any(|range| range.contains(&at));
        match (secret, hidden) {
            (true, false) => shown.push_str(MASK),
            (true, true) => {}
            (false, _) => shown.push(c),
        }
        hidden = secret;
    }
    shown
}

/// What is said of a place within a secret: without the words it quotes, unless they are a key's.
pub(super) fn unquoted(message: &str) -> String {
    match (message.find('\''), message.rfind('\'')) {
        (Some(first), Some(last)) if first < last && !PLACES.iter().any(|key| message.contains(key)) => {
            [message.get(..=first), Some(MASK), message.get(last..)].into_iter().flatten().collect()
        }
        _ => message.to_owned(),
    }
}

/// The places of secrets in a text, in bytes: those the tree knows, and those only its lines show, as in comments. In a
/// text that is `torn` by a syntax error, where the tree may have lost some, whatever follows a secret word is one.
pub(super) fn secrets(tree: &DeTable<'_>, text: &str, torn: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    in_table(tree, false, text, &mut found);
    if torn {
        found.extend(torn::secrets(text));
    }
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        found.extend(in_line(line).into_iter().map(|r| begin + r.start..begin + r.end));
        if let Some((before, comment)) = line.split_once('#').filter(|_| !torn) {
            let begin = begin + before.len() + 1;
            found.extend(torn::secrets(comment).into_iter().map(|r| begin + r.start..begin + r.end));
        }
        begin += line.len();
    }
    found
}

/// `secret`: it stands below a key that says so, and all that is in it is secret.
fn in_table(table: &DeTable<'_>, secret: bool, text: &str, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let place = PLACES.contains(&key.get_ref().as_ref());
        let named = value.get_ref().as_str().is_some_and(|name| key.get_ref() != "password_env" || is_variable(name));
        if secret {
            found.push(key.span());
        }
        in_value(value.get_ref(), secret || is_secret(key.get_ref()) || place && !named, value.span(), text, found);
    }
}

fn in_value(value: &DeValue<'_>, secret: bool, span: Range<usize>, text: &str, found: &mut Vec<Range<usize>>) {
    match value {
        DeValue::Table(table) => in_table(table, secret, text, found),
        DeValue::Array(items) => {
            let mut option = false;
            for item in items {
                in_value(item.get_ref(), secret || option, item.span(), text, found);
                // Of a command's arguments, the one after `--password` is it.
                option = item.get_ref().as_str().is_some_and(|text| text.starts_with('-') && is_secret(text));
            }
        }
        _ if secret => found.push(inside_quotes(text, span)),
        DeValue::String(decoded) => found.extend(in_string(decoded, span, text)),
        _ => {}
    }
}

/// The secrets as they are written, or the whole string if escapes or line ends hide which parts they are.
fn in_string(decoded: &str, span: Range<usize>, text: &str) -> Vec<Range<usize>> {
    let inside = inside_quotes(text, span);
    let secrets = in_url(decoded);
    if !secrets.is_empty() && text.get(inside.clone()) != Some(decoded) {
        return vec![inside];
    }
    secrets.into_iter().map(|range| inside.start + range.start..inside.start + range.end).collect()
}

fn inside_quotes(text: &str, span: Range<usize>) -> Range<usize> {
    let raw = text.get(span.clone()).unwrap_or_default();
    let quote = ["\"\"\"", "'''", "\"", "'"].iter().find(|quote| raw.starts_with(**quote)).map_or("", |quote| quote);
    match raw.ends_with(quote) && raw.len() >= 2 * quote.len() {
        true => span.start + quote.len()..span.end - quote.len(),
        false => span,
    }
}

fn in_line(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("://") {
        let head = line.get(..at).unwrap_or_default();
        let tail = line.get(at..).unwrap_or_default();
        let quote = head.chars().rfind(|&c| c == '"' || c == '\'');
        let url = tail.get(..closing(tail, quote)).unwrap_or(tail);
        found.extend(in_url(url).into_iter().map(|r| at + r.start..at + r.end));
    }
    for (at, _) in line.match_indices('=') {
        let key = line.get(..at).unwrap_or_default().trim_end().trim_end_matches(['"', '\'']);
        let begin = key.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).map_or(0, |i| i + 1);
        let parameter = key.get(..begin).is_some_and(|head| head.ends_with(['?', '&', ';']) && head.contains("://"));
        if !parameter && is_secret(key.get(begin..).unwrap_or(key)) {
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
        let (tree, errors) = DeTable::parse_recoverable(text);
        let secrets = secrets(tree.get_ref(), text, !errors.is_empty());
        hidden(text, &secrets)
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
    fn words_that_mean_a_secret_are_known() {
        for key in
            ["pw", "db_pw", "PWD", "passwd", "Passphrase", "secret", "token", "apiKey", "api_key", "auth", "x-auth"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in ["password_env", "password_file", "name", "author", "key", "upward", "url"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn secret_parameters_of_urls_are_masked() {
        assert_eq!(
            shown("m = { url = \"http://h/?api_key=HUNTER2&auto=1\", kind = \"http\" }"),
            "m = { url = \"http://h/?api_key=***&auto=1\", kind = \"http\" }"
        );
        assert_eq!(masked("unknown host 'http://h/?a=1&token=HUNTER2'"), "unknown host 'http://h/?a=1&token=***'");
    }

    #[test]
    fn all_below_a_secret_key_is_masked() {
        assert_eq!(shown("monitor.password.value = \"HUNTER2\""), "monitor.password.*** = \"***\"");
        assert_eq!(shown("x.password = { a = [\"HUNTER2\", 2], b = 1 }"), "x.password = ***");
        assert_eq!(shown("[m.secret]\nHUNTER2 = 1\n[x]\na = 1"), "[m.secret]\n*** = ***\n[x]\na = 1");
    }

    #[test]
    fn the_argument_after_a_secret_option_is_masked() {
        assert_eq!(
            shown("m = ['move', '--password', 'HUNTER2', '{vm}', '--token=HUNTER2']"),
            "m = ['move', '--password', '***', '{vm}', '--token=***"
        );
        assert_eq!(shown("host = ['token', 'mln1']"), "host = ['token', 'mln1']");
    }

    #[test]
    fn a_comment_is_masked_from_its_secret_words_on() {
        assert_eq!(shown("a = 1 # the password: HUNTER2"), "a = 1 # the password: ***");
    }

    #[test]
    fn a_place_that_is_none_is_masked() {
        for text in
            ["password_env = 12345", "password_env = HUNTER2", "password_file = 12345", "password_env \"HUNTER2\""]
        {
            let shown = shown(text);
            assert!(!shown.contains("HUNTER2") && !shown.contains("12345"), "{shown}");
        }
        let right = "m = { password_env = \"VARIABLE\", password_file = '/run/x', x = = }";
        assert_eq!(shown(right), right);
    }

    #[test]
    fn a_torn_text_is_masked_from_its_secret_words_on() {
        for (text, masked) in [
            ("password: HUNTER2", "password: ***"),
            ("password \"HUNTER2\"", "password \"***"),
            ("password = \"a\"HUNTER2\"", "password = \"***"),
            ("url=\"mysql://u:p\"HUNTER2@h\"", "url=\"mysql://u:***"),
            ("url=\"mysql://u:p\"HUNTER2\"", "url=\"mysql://u:***"),
            ("url=\"mysql://u:12\"HUNTER2\"", "url=\"mysql://u:***"),
            ("password =\n# c\n\"HUNTER2\"", "password =\n***\n***"),
            ("password = \\\nHUNTER2", "password = ***\n***"),
            ("url=\"http://h:80/\"x\"", "url=\"http://h:80/\"x\""),
            ("[m.password]\nvalue=\"HUNTER2\" x\n[vm]\nx y", "[m.password]\n***\n[vm]\nx y"),
            ("password =\n\n\"HUNTER2\"\nx y", "password =\n\n***\nx y"),
            ("password = \"HUN\nTER2\"\nx y", "password = ***\n***\nx y"),
            ("password = \"\"\"HUN\nTER2\nx", "password = ***"),
            ("password = {\nvalue = \"HUNTER2\" x\n}\nx y", "password = ***\n***\n***\nx y"),
            ("[m.password] HUNTER2", "[m.password***"),
        ] {
            assert_eq!(shown(text), masked);
        }
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
