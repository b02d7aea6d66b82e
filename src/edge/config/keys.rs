//! The table of keys.
//!
//! Each key is one row: its name, form, documentation, example, and how it is read and written. The rows are in the files of
//! `read`. The readers, written files, the differences between two configs, what an error report may show, `docs/config.md`
//! and `config/whimbrel.toml` all come from the rows.

use std::borrow::Cow;

pub(super) use super::toml_reader::{ConfigKey, Form};
use super::toml_reader::{Item, Table};
use crate::core::cluster::Span;
use crate::core::format::{exact, exact_span};
use crate::core::policy::TomlValue;

/// The words of a table of words and their values.
pub(super) const fn words_of<T, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let (mut words, mut n) = ([""; N], 0);
    while n < N {
        words[n] = table[n].0;
        n += 1;
    }
    words
}

/// A key whose value is a part of `T`.
pub(super) struct KeyField<T> {
    pub key: ConfigKey,
    /// Stores the value. `None`: the value is wrong, and that is recorded.
    pub read: fn(&Item<'_>, &mut T) -> Option<()>,
    /// The value as a file has it; `None`: the key is not written.
    pub write: fn(&T) -> Option<TomlValue>,
}

/// A text.
pub(super) fn text(text: impl Into<String>) -> Option<TomlValue> {
    Some(TomlValue::Text(text.into()))
}

/// A number or a flag.
pub(super) fn bare(value: impl ToString) -> Option<TomlValue> {
    Some(TomlValue::Bare(value.to_string()))
}

/// A number, without `.0` if it is whole.
pub(super) fn decimal(x: f64) -> Option<TomlValue> {
    Some(TomlValue::Bare(exact(x)))
}

/// A length of time.
pub(super) fn duration(span: Span) -> Option<TomlValue> {
    text(exact_span(span))
}

/// A length of time, or `off`.
pub(super) fn duration_or_off(span: Option<Span>) -> Option<TomlValue> {
    text(span.map_or_else(|| "off".to_owned(), exact_span))
}

/// A list of texts.
pub(super) fn list(items: &[String]) -> Option<TomlValue> {
    bare(format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ")))
}

/// The word for a value.
pub(super) fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, v)| *v == value).map_or("", |(word, _)| word)
}

/// Stores a value if it could be read.
pub(super) fn set<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// Reads the keys of a table. `None`: a needed key is missing or wrong; that is recorded.
pub(super) fn fill<T>(fields: &[KeyField<T>], table: &Table<'_>, into: &mut T) -> Option<()> {
    let mut whole = Some(());
    for field in fields {
        let item = if field.key.is_needed { table.need(&field.key) } else { table.get(field.key.name) };
        let read = item.map(|item| (field.read)(&item, into));
        if field.key.is_needed && read != Some(Some(())) {
            whole = None;
        }
    }
    whole
}

/// A key and its value, as a file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenKey {
    pub key: &'static str,
    pub value: TomlValue,
    form: Form,
    /// It has this value also if it is not written.
    pub is_default: bool,
}

impl WrittenKey {
    pub fn new(key: ConfigKey, value: TomlValue, is_default: bool) -> Self {
        Self { key: key.name, value, form: key.form, is_default }
    }

    /// A key whose value is a text.
    pub fn text(key: ConfigKey, value: &str, is_default: bool) -> Self {
        Self::new(key, TomlValue::Text(value.to_owned()), is_default)
    }

    /// The value as a log may show it; `None`: it may hold a secret.
    pub fn told(&self) -> Option<Cow<'_, str>> {
        let (TomlValue::Text(value) | TomlValue::Bare(value)) = &self.value;
        match (self.form, value.split_once('?')) {
            (Form::Program, _) => None,
            (Form::Address, Some((address, _))) => Some(Cow::Owned(format!("{address}?…"))),
            _ => Some(Cow::Borrowed(value)),
        }
    }

    /// The value as TOML.
    pub fn toml(&self) -> String {
        self.value.toml()
    }
}

/// The keys of `T`, with those marked that are as in `default`.
pub(super) fn write<T>(fields: &[KeyField<T>], value: &T, default: &T) -> Vec<WrittenKey> {
    let key = |field: &KeyField<T>| {
        let value = (field.write)(value)?;
        let is_default = !field.key.is_needed && Some(&value) == (field.write)(default).as_ref();
        Some(WrittenKey::new(field.key, value, is_default))
    };
    fields.iter().filter_map(key).collect()
}

/// A text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    TomlValue::Text(text.to_owned()).toml()
}

/// A key, quoted if it must be.
pub(super) fn bare_or_quoted(name: &str) -> Cow<'_, str> {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { Cow::Borrowed(name) } else { Cow::Owned(quoted(name)) }
}

/// The keys that a table has, or has if its `kind` is this.
pub(super) struct KindOfTable {
    /// Empty: there are no kinds.
    pub kind: &'static str,
    pub doc: &'static str,
    /// Each with its default as it is written, if it has one.
    pub keys: Vec<(ConfigKey, Option<String>)>,
}

impl KindOfTable {
    /// A table without kinds, whose keys have no written default.
    pub fn plain(keys: &[ConfigKey]) -> Vec<Self> {
        vec![Self { kind: "", doc: "", keys: keys.iter().map(|key| (*key, None)).collect() }]
    }

    /// A table without kinds.
    pub fn one<T>(fields: &[KeyField<T>], default: &T) -> Vec<Self> {
        vec![Self { kind: "", doc: "", keys: Self::rows(fields, default) }]
    }

    /// The rows of these fields, with their defaults.
    pub fn rows<T>(fields: &[KeyField<T>], default: &T) -> Vec<(ConfigKey, Option<String>)> {
        let row = |field: &KeyField<T>| {
            let value = (field.write)(default).filter(|_| !field.key.is_needed && field.key.default.is_empty());
            let toml = value.map(|value| value.toml());
            (field.key, toml)
        };
        fields.iter().map(row).collect()
    }
}

/// The [`Shape`](super::toml_reader::Shape) of a table with these kinds.
macro_rules! shape {
    ($name:literal, $kinds:expr) => {
        super::super::toml_reader::Shape {
            name: $name,
            keys: || {
                static NAMES: std::sync::LazyLock<Vec<&'static str>> =
                    std::sync::LazyLock::new(|| super::super::keys::names($kinds()));
                &NAMES
            },
        }
    };
}
pub(super) use shape;

/// All keys of a table, each once, whatever its kind.
pub(super) fn names(kinds: Vec<KindOfTable>) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for (key, _) in kinds.into_iter().flat_map(|kind| kind.keys) {
        if !names.contains(&key.name) {
            names.push(key.name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back() {
        let text = "a \"b\" \\ 漢\u{7f}\n\t\u{202e}\u{e0001}";
        let table: toml::Table = toml::from_str(&format!("{} = {}", bare_or_quoted("a b"), quoted(text))).unwrap();
        assert_eq!(table["a b"].as_str(), Some(text));
        assert!(!quoted(text).chars().any(crate::core::format::is_hostile));
    }
}
