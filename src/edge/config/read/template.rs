//! `{word}` in a text stands for something else; other braces are nothing special.

use super::super::toml_reader::Item;
use super::super::words::{did_you_mean, if_near};

/// The words in braces of a text, with their braces, in order.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{').filter_map(|(at, _)| {
        let tail = text.get(at..)?;
        let whole = tail.get(..=tail.find('}')?)?;
        let word = whole.strip_prefix('{')?.strip_suffix('}')?;
        let begins = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let goes_on = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        (begins && goes_on).then_some(whole)
    })
}

/// Records the placeholders of a text that stand for nothing in this key; whether there are none.
pub(super) fn check(item: &Item<'_>, text: &str, key: &str, known: &[&str]) -> bool {
    let mut right = true;
    for unknown in placeholders(text).filter(|word| !known.contains(word)) {
        let help = match known {
            [only] => format!("write {only}"),
            _ => did_you_mean(unknown, known.iter().copied()),
        };
        let near = if_near(unknown, known.iter().copied());
        let unknown = if near.is_empty() { "with this name" } else { unknown };
        item.wrong(format!("'{key}' has no placeholder {unknown}"), help);
        right = false;
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_braces_is_a_placeholder_and_nothing_else() {
        let found = |text| placeholders(text).collect::<Vec<_>>();
        assert_eq!(found("{vm}@{host_state}{x1}"), ["{vm}", "{host_state}", "{x1}"]);
        assert_eq!(found("{{vm}} ${HOME}"), ["{vm}", "{HOME}"]);
        assert_eq!(found("{} { vm } {print $1} a{3} {vm é{to"), Vec::<&str>::new());
    }
}
