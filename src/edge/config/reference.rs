//! `docs/config.md`: the list of all keys, made from their rows.

use std::fmt::Write;

use super::keys::{Form, Key, KindOfTable};
use super::read::TABLES;

const HEAD: &str = "\
# Keys of the config

This list is made from the table of keys in `src/edge/config`; `WHIMBREL_BLESS=1 cargo test --test config` writes it anew.
`config/whimbrel.toml` shows every key in its place.

A duration is whole numbers with units: `\"500ms\"`, `\"45s\"`, `\"1m30s\"`, `\"2h\"`, `\"1d\"`. Names have no blanks in them. A key
without a default must be there, unless another key says the same.
";

/// The whole list, as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (name, kinds) in TABLES {
        text.push_str(&format!("\n## {}\n", name.replace("[[", "`[[").replace("]]", "]]`")));
        for kind in kinds() {
            table(&mut text, &kind);
        }
    }
    text
}

fn table(text: &mut String, table: &KindOfTable) {
    if !table.kind.is_empty() {
        text.push_str(&format!("\n### kind = \"{}\"\n\n{}.\n", table.kind, table.doc));
    }
    text.push_str("\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, default) in &table.keys {
        let default = match default {
            Some(toml) => format!("`{toml}`"),
            None => key.default.to_owned(),
        };
        writeln!(text, "| `{}` | {} | {default} | {}. |", key.name, form(key), key.doc).expect("a String takes it");
    }
}

fn form(key: &Key) -> String {
    match key.form {
        Form::Number => "number".to_owned(),
        Form::Flag => "`true`, `false`".to_owned(),
        Form::Duration => "duration".to_owned(),
        Form::Words(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Form::Zone => "time zone".to_owned(),
        Form::Text => "text".to_owned(),
        Form::Address => "url".to_owned(),
        Form::SecretPlace => "name".to_owned(),
        Form::Program if key.name == "query" => "SQL".to_owned(),
        Form::Program => "program and arguments".to_owned(),
        Form::Table => "table, list or name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_key_is_documented_once_in_its_table() {
        for (name, kinds) in TABLES {
            for kind in kinds() {
                let mut seen = HashSet::new();
                for (key, _) in &kind.keys {
                    assert!(!key.doc.is_empty() && seen.insert(key.name), "{name} {}: {}", kind.kind, key.name);
                }
            }
        }
    }

    /// Comments in the sample end with the default of the key that they follow.
    #[test]
    fn the_sample_calls_the_defaults_what_they_are() {
        let rows: Vec<_> = TABLES.iter().flat_map(|(_, kinds)| kinds()).flat_map(|kind| kind.keys).collect();
        let (mut key, mut checked) = ("", 0);
        for line in include_str!("../../../config/whimbrel.toml").lines() {
            if let Some((name, _)) = crate::core::scanner::key_and_value(line) {
                key = name;
            } else if !line.starts_with(' ') {
                key = "";
            }
            let comment = line.rsplit_once("# ").map_or("", |(_, comment)| comment);
            let said = comment.split_once("Default: ").or(comment.split_once("default: "));
            let Some((_, said)) = said.filter(|_| !key.is_empty()) else { continue };
            let known: Vec<String> = rows
                .iter()
                .filter(|(row, _)| row.name == key)
                .filter_map(|(row, default)| {
                    default.clone().or((!row.default.is_empty()).then(|| row.default.to_owned()))
                })
                .collect();
            assert!(known.iter().any(|known| known == said), "{key}: {said} is none of {known:?}");
            checked += 1;
        }
        assert!(checked > 30, "{checked}");
    }
}
