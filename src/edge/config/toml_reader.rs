//! Walks the parsed tree: typed getters that record what is wrong, and which keys were asked for.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::redact::Echo;
use super::report::Diagnostics;
use super::words::did_you_mean;
use crate::core::cluster::Span;
use crate::core::format::{A_YEAR, is_hostile, parse_span};

/// In characters. A longer name would leave no room for anything else on a screen.
const LONGEST_NAME: usize = 64;

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Number,
    Flag,
    Duration,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A name of the tz database.
    Zone,
    /// A name, or any other text that is no secret.
    Text,
    /// A url. Its query may hold a secret.
    Address,
    /// The name of a variable or of a file with a secret in it.
    SecretPlace,
    /// SQL, or a program with its arguments: it may hold a secret.
    Program,
    /// A number, or a table of numbers by site.
    Counts,
    /// A table, a list of tables, or the name of one.
    Table,
}

/// One key of the config.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConfigKey {
    pub name: &'static str,
    pub form: Form,
    /// It has no default: `fill` records a fault if it is missing.
    pub is_needed: bool,
    /// What it means, for the reference: one sentence without a full stop.
    pub doc: &'static str,
    /// What it is if it is left out, in words; empty if the written default says it.
    pub default: &'static str,
    /// A value as TOML, for the sample and for the help of an error.
    example: &'static str,
}

impl ConfigKey {
    pub const fn new(name: &'static str, form: Form, doc: &'static str) -> Self {
        Self { name, form, is_needed: false, doc, default: "", example: "" }
    }

    pub const fn needed(self) -> Self {
        Self { is_needed: true, ..self }
    }

    pub const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    pub const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// A value that could stand, as TOML: the row's example, its default, or the first of its words.
    pub fn sample(&self, default: Option<&str>) -> String {
        match (self.example, default, self.form) {
            ("", Some(default), _) => default.to_owned(),
            ("", None, Form::Words([first, ..])) if self.default.is_empty() => format!("\"{first}\""),
            ("", None, _) => self.default.to_owned(),
            (example, ..) => example.to_owned(),
        }
    }

    /// How the key could be written: `tarry = 3`, or `kind = "mysql", or apache, http`.
    pub fn how(&self) -> String {
        let others = match self.form {
            Form::Words([_, others @ ..]) if !others.is_empty() => format!(", or {}", others.join(", ")),
            _ => String::new(),
        };
        format!("{} = {}{others}", self.name, self.sample(None))
    }

    /// What an error report may show of its value.
    pub fn echo(&self) -> Echo {
        match self.form {
            Form::Words(_) | Form::Zone => Echo::Words,
            Form::Address | Form::SecretPlace => Echo::Nothing,
            Form::Counts => Echo::Names,
            Form::Number | Form::Flag | Form::Duration | Form::Text | Form::Program | Form::Table => Echo::Plain,
        }
    }
}

/// A table of the config.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// What errors call it, as in "a VM has no 'x'".
    pub name: &'static str,
    /// All its keys, whatever its kind.
    pub keys: fn() -> &'static [&'static str],
}

/// A table of the file.
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    span: Range<usize>,
    shape: Shape,
    asked: RefCell<Vec<&'static str>>,
    diagnostics: &'a Diagnostics<'a>,
}

/// A value of the file, and what to call it.
#[derive(Clone)]
pub(super) struct Item<'a> {
    key: &'a str,
    value: &'a DeValue<'a>,
    span: Range<usize>,
    diagnostics: &'a Diagnostics<'a>,
}

/// A key, and its value.
pub(super) type NamedItem<'a> = (Spanned<&'a str>, Item<'a>);

/// The values of a table whose keys are names.
fn items<'a>(entries: &'a DeTable<'a>, diagnostics: &'a Diagnostics<'a>) -> Vec<NamedItem<'a>> {
    let item = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
        let name: &'a str = Spanned::<std::borrow::Cow<'a, str>>::get_ref(key);
        (Spanned::new(key.span(), name), Item { key: name, value: value.get_ref(), span: value.span(), diagnostics })
    };
    entries.iter().map(item).collect()
}

impl<'a> Table<'a> {
    pub fn root(entries: &'a DeTable<'a>, shape: Shape, diagnostics: &'a Diagnostics<'a>) -> Self {
        Self { entries, span: 0..0, shape, asked: RefCell::default(), diagnostics }
    }

    /// Whether a key is there. It stays unasked for.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Where the table stands: its header or its braces.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of a key, if it is there.
    pub fn get(&self, key: &'static str) -> Option<Item<'a>> {
        debug_assert!((self.shape.keys)().contains(&key), "{key} is not declared in {}", self.shape.name);
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        Item::of(self.entries, key, self.diagnostics)
    }

    /// The value of a key that must be there.
    pub fn need(&self, key: &ConfigKey) -> Option<Item<'a>> {
        let found = self.get(key.name);
        if found.is_none() {
            self.lacks(format!("{} needs '{}'", self.shape.name, key.name), format!("add {}", key.how()));
        }
        found
    }

    /// Records that something is missing in this table.
    pub fn lacks(&self, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.absent(self.span(), message, help);
    }

    /// The tables of a table of tables, with their names.
    pub fn named(&self, shape: Shape) -> Vec<(Spanned<&'a str>, Option<Table<'a>>)> {
        let tables = items(self.entries, self.diagnostics).into_iter();
        tables.map(|(name, item)| (name, item.table(shape))).collect()
    }

    /// Counts every key that this table may have as asked for: what they say does not matter.
    pub fn ask_all(&self) {
        self.asked.borrow_mut().extend((self.shape.keys)());
    }

    /// Records the keys that nobody asked for. `kind`: the table's kind, if it is known and if keys depend on it.
    pub fn finish(self, kind: Option<&str>) {
        let asked = self.asked.borrow();
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let keys = (self.shape.keys)();
            let known = keys.contains(&name);
            let unknown = || format!("unknown key{}", self.diagnostics.key(&key.span(), name));
            let (message, help) = match kind {
                _ if means_secret(name) => {
                    let help = "keep the password out of the config: use password_env or password_file";
                    (unknown(), help.to_owned())
                }
                Some(kind) if known => (
                    format!("{} of kind '{kind}' has no '{name}'", self.shape.name),
                    format!("remove it; known here: {}", asked.join(", ")),
                ),
                // The kind is wrong, and that is recorded: the key may belong to the kind that was meant.
                None if known => continue,
                Some(_) => (unknown(), did_you_mean(name, asked.iter().copied())),
                None => (unknown(), did_you_mean(name, keys.iter().copied())),
            };
            self.diagnostics.error(key.span(), message, help);
        }
    }
}

impl<'a> Item<'a> {
    fn of(entries: &'a DeTable<'a>, key: &str, diagnostics: &'a Diagnostics<'a>) -> Option<Self> {
        // For a value that it could not read the parser puts one without a position.
        let (key, value) = entries.get_key_value(key).filter(|(_, value)| value.span() != (0..0))?;
        Some(Self { key: key.get_ref(), value: value.get_ref(), span: value.span(), diagnostics })
    }

    /// Looks again at a value of this table.
    pub fn key(&self, key: &str) -> Option<Self> {
        Self::of(self.value.as_table()?, key, self.diagnostics)
    }

    /// Whether this is a table with this key, even if the key's value could not be read.
    pub fn has(&self, key: &str) -> bool {
        self.value.as_table().is_some_and(|entries| entries.contains_key(key))
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Records that this value is wrong.
    pub fn wrong(&self, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.error(self.span(), message, help);
    }

    fn wrong_type(&self, wanted: &str, help: impl Into<String>) {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(format!("'{}' must be {wanted}, not {found}", self.key), help);
    }

    pub fn is_empty_list(&self) -> bool {
        self.value.as_array().is_some_and(|items| items.is_empty())
    }

    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// The values of a table with their keys, if this is one.
    pub fn entries(&self) -> Option<Vec<NamedItem<'a>>> {
        self.value.as_table().map(|entries| items(entries, self.diagnostics))
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// A text.
    pub fn text(&self) -> Option<Spanned<&'a str>> {
        match self.as_text() {
            Some(text) => Some(Spanned::new(self.span(), text)),
            None => {
                self.wrong_type("text", format!("write {} = \"…\"", self.key));
                None
            }
        }
    }

    /// A name: not empty, without blanks, printable. A wrong name is recorded and still returned, so that references to it
    /// are not reported as well.
    pub fn name(&self) -> Option<Spanned<&'a str>> {
        let name = self.text()?;
        check_name(&name, self.diagnostics);
        Some(name)
    }

    /// A text with something in it, in one line.
    pub fn line(&self) -> Option<Spanned<&'a str>> {
        let text = self.text()?;
        if text.get_ref().trim().is_empty() {
            self.wrong(format!("'{}' is empty", self.key), "write something between the quotes, or leave the key out");
        } else if text.get_ref().chars().any(is_hostile) {
            self.wrong(
                format!("'{}' has a control or an invisible character in it", self.key),
                "write printable characters only",
            );
        }
        Some(text)
    }

    /// A name with blanks in it.
    pub fn title(&self) -> Option<Spanned<&'a str>> {
        let title = self.line()?;
        if title.get_ref().trim().chars().count() > LONGEST_NAME {
            self.wrong(format!("'{}' must have at most {LONGEST_NAME} characters", self.key), "write a shorter name");
        }
        Some(title)
    }

    /// The flag, if this is one.
    pub fn as_flag(&self) -> Option<bool> {
        self.value.as_bool()
    }

    /// True or false.
    pub fn flag(&self) -> Option<bool> {
        let flag = self.as_flag();
        if flag.is_none() {
            self.wrong_type("true or false", format!("write {} = true", self.key));
        }
        flag
    }

    /// A finite number.
    pub fn number(&self) -> Option<Spanned<f64>> {
        let number: Option<f64> = match self.value {
            // Whole numbers of any size that a float can hold approximately.
            DeValue::Integer(n) => i128::from_str_radix(n.as_str(), n.radix()).ok().map(|n| n as f64),
            DeValue::Float(x) => x.as_str().parse().ok(),
            _ => {
                self.wrong_type("a number", format!("write {} = 50", self.key));
                return None;
            }
        };
        let number = number.filter(|x| x.is_finite());
        if number.is_none() {
            self.wrong(format!("'{}' must be a finite number", self.key), "write a number such as 50 or 0.5");
        }
        number.map(|x| Spanned::new(self.span(), x))
    }

    /// A finite number of a range.
    pub fn number_in(&self, range: RangeInclusive<f64>, wanted: &str) -> Option<f64> {
        let number = self.number()?.into_inner();
        if range.contains(&number) {
            return Some(number);
        }
        self.wrong(format!("'{}' must be {wanted}", self.key), format!("write a number that is {wanted}"));
        None
    }

    /// A finite number above 0.
    pub fn positive(&self) -> Option<f64> {
        self.number_in(f64::MIN_POSITIVE..=f64::MAX, "above 0")
    }

    /// A whole number of a range.
    pub fn whole(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let (least, most) = (*range.start(), *range.end());
        let help = if most == u32::MAX {
            format!("write {} = {least} or more", self.key)
        } else {
            format!("write a whole number from {least} to {most}")
        };
        let DeValue::Integer(n) = self.value else {
            if self.value.is_float() {
                self.wrong(format!("'{}' must be a whole number", self.key), help);
            } else {
                self.wrong_type("a whole number", help);
            }
            return None;
        };
        let number = i128::from_str_radix(n.as_str(), n.radix()).unwrap_or(i128::MAX);
        match u32::try_from(number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ if number < i128::from(least) => {
                self.wrong(format!("'{}' must be at least {least}", self.key), help);
                None
            }
            _ => {
                self.wrong(format!("'{}' must be at most {most}", self.key), format!("write {most} or less"));
                None
            }
        }
    }

    /// Whether this is the word `off`.
    pub fn is_off(&self) -> bool {
        self.as_text() == Some("off")
    }

    /// A length of time, at most a year.
    pub fn duration(&self) -> Option<Spanned<Span>> {
        self.duration_to(A_YEAR)
    }

    /// A length of time, at most this.
    pub fn duration_to(&self, most: Span) -> Option<Spanned<Span>> {
        const HELP: &str = "write whole numbers with units: \"45s\", \"1m30s\", \"2h\", \"500ms\", \"1d\"";
        let Some(text) = self.as_text() else {
            self.wrong_type("a duration", HELP);
            return None;
        };
        match parse_span(text, most) {
            Ok(span) => Some(Spanned::new(self.span(), span)),
            Err(why) => {
                self.wrong(format!("'{}' is no duration: {why}", self.key), HELP);
                None
            }
        }
    }

    /// A length of time, or `off`.
    pub fn duration_or_off(&self) -> Option<Option<Span>> {
        if self.is_off() { Some(None) } else { self.duration().map(|span| Some(span.into_inner())) }
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let names = || words.iter().map(|(word, _)| *word);
        let Some(text) = self.as_text() else {
            self.wrong_type(
                "text",
                format!("known here: {}", names().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")),
            );
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.wrong(format!("unknown {} '{text}'", self.key), did_you_mean(text, names()));
        }
        found
    }

    /// A table.
    pub fn table(&self, shape: Shape) -> Option<Table<'a>> {
        self.table_or("a table", shape)
    }

    /// A table; `wanted` says in the error what else is allowed.
    pub fn table_or(&self, wanted: &str, shape: Shape) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(entries) => Some(Table {
                entries,
                span: self.span(),
                shape,
                asked: RefCell::default(),
                diagnostics: self.diagnostics,
            }),
            _ => {
                self.wrong_type(wanted, format!("write it as {{ {} = … }}", (shape.keys)().first().unwrap_or(&"key")));
                None
            }
        }
    }

    /// The entries of a list, and whether the value is a list. `example` shows in the error how it is written.
    pub fn list(&self, example: &str) -> (Vec<Item<'a>>, bool) {
        match self.value {
            DeValue::Array(items) => {
                let item = |v: &'a Spanned<DeValue<'a>>| Item { value: v.get_ref(), span: v.span(), ..self.clone() };
                (items.iter().map(item).collect(), true)
            }
            _ => {
                self.wrong_type("a list", format!("write {example}"));
                (Vec::new(), false)
            }
        }
    }
}

/// Pieces of words that name a secret.
const SECRET_PIECES: [&str; 10] =
    ["pass", "pwd", "secret", "token", "credential", "apikey", "api_key", "api-key", "private_key", "access_key"];
/// Too short to be searched in other words: one of the key's words must equal one of these.
const SECRET_WORDS: [&str; 3] = ["pw", "auth", "authorization"];

/// Whether a key that nobody knows was meant for a password.
fn means_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let is_word = || key.split(['_', '-', '.', ' ']).any(|word| SECRET_WORDS.contains(&word));
    SECRET_PIECES.iter().any(|piece| key.contains(piece)) || is_word()
}

/// Records a wrong name.
pub(super) fn check_name(name: &Spanned<&str>, diagnostics: &Diagnostics<'_>) {
    let wrong = |message: &str| {
        diagnostics.error(name.span(), message, "use letters, digits, and signs such as - _ . in names");
    };
    match *name.get_ref() {
        "" => wrong("a name must not be empty"),
        n if n.chars().count() > LONGEST_NAME => {
            let message = format!("a name must have at most {LONGEST_NAME} characters");
            diagnostics.error(name.span(), message, "write a shorter name");
        }
        n if n.chars().any(is_hostile) => wrong("a name must not have control or invisible characters in it"),
        n if n.chars().any(char::is_whitespace) => wrong("a name must not have a blank in it"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_a_secret_are_known() {
        for key in
            ["pw", "db_pw", "PWD", "passwd", "Passphrase", "secret", "token", "apiKey", "api_key", "auth", "x-auth"]
        {
            assert!(means_secret(key), "{key}");
        }
        for key in ["name", "author", "key", "upward", "url"] {
            assert!(!means_secret(key), "{key}");
        }
    }
}
