//! Where a policy block stands in a file's text, in whichever of TOML's notations.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::inline::{self, Element};
use super::splice::{Edit, eol, is_blank, line_end, line_start, next_line};

/// A key of a block and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The key, unquoted.
    pub name: String,
    /// The last piece of the key, as it is written.
    pub key: Range<usize>,
    pub value: Range<usize>,
}

/// A policy block in a file's text.
pub(super) struct Place<'t> {
    text: &'t str,
    /// Its header, its brace or its first key.
    pub start: usize,
    /// In the file's order.
    pub entries: Vec<Entry>,
    /// The elements of the inline table it is, or is in; `None`: its keys have lines of their own.
    elements: Option<Vec<Element>>,
}

/// What stands in a VM's `policy`.
pub(super) enum Given<'t> {
    /// The name of a shared one.
    Name(String, Range<usize>),
    /// Its own.
    Own(Place<'t>),
}

/// The policy of each VM of a parsed text, by name.
pub(super) fn of_vms<'t>(text: &'t str, tree: &DeTable<'_>) -> Vec<(String, Given<'t>)> {
    let vms = tree.get("vm").and_then(|vms| vms.get_ref().as_array());
    let tables =
        vms.into_iter().flat_map(|vms| vms.iter()).filter_map(|vm| Some((vm.get_ref().as_table()?, vm.span())));
    let given = |(vm, span): (&DeTable<'_>, Range<usize>)| {
        let name = vm.get("name")?.get_ref().as_str()?.to_owned();
        let policy = vm.get("policy")?;
        let given = match policy.get_ref() {
            DeValue::String(shared) => Given::Name(shared.clone().into_owned(), policy.span()),
            DeValue::Table(table) => Given::Own(Place::of(text, table, policy.span().start, span.start)?),
            _ => return None,
        };
        Some((name, given))
    };
    tables.filter_map(given).collect()
}

/// The shared block of this name.
pub(super) fn of_shared<'t>(text: &'t str, tree: &DeTable<'_>, name: &str) -> Option<Place<'t>> {
    let policies = tree.get("policy")?;
    let policy = policies.get_ref().as_table()?.get(name)?;
    Place::of(text, policy.get_ref().as_table()?, policy.span().start, policies.span().start)
}

impl<'t> Place<'t> {
    /// `start` and `parent`: where the table and the one around it stand.
    fn of(text: &'t str, table: &DeTable<'_>, start: usize, parent: usize) -> Option<Self> {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
            Entry { name: key.get_ref().clone().into_owned(), key: key.span(), value: value.span() }
        };
        let mut entries: Vec<Entry> = table.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.key.start);
        let brace = |at: usize| text.as_bytes().get(at) == Some(&b'{');
        let header = text.as_bytes().get(start) == Some(&b'[');
        let open = [start, parent].into_iter().find(|at| brace(*at)).filter(|_| !header);
        let elements = open.map(|open| inline::elements(text, open));
        Some(Self { text, start, entries, elements })
    }

    /// What is written in a range.
    pub fn raw(&self, range: &Range<usize>) -> &'t str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// The keys, each with its value as it is written.
    pub fn written(&self) -> Vec<(String, String)> {
        self.entries.iter().map(|entry| (entry.name.clone(), self.raw(&entry.value).to_owned())).collect()
    }

    /// Whether its keys have lines of their own, with room for a comment after each.
    pub fn has_lines(&self) -> bool {
        self.elements.is_none()
    }

    /// The comment after a key with a line of its own, with the blanks before it.
    pub fn comment(&self, entry: &Entry) -> &'t str {
        let rest = self.raw(&(entry.value.end..line_end(self.text, entry.value.end)));
        if self.has_lines() && rest.contains('#') && is_blank(rest) { rest } else { "" }
    }

    /// Puts another comment after a key with a line of its own, or none.
    pub fn commented(&self, entry: &Entry, comment: &str) -> Option<Edit> {
        let old = self.comment(entry);
        if !self.has_lines() || old.trim() == comment {
            return None;
        }
        let blanks = old.split('#').next().filter(|blanks| !blanks.is_empty()).unwrap_or(" ");
        let text = if comment.is_empty() { String::new() } else { format!("{blanks}{comment}") };
        Some(Edit { range: entry.value.end..entry.value.end + old.len(), text })
    }

    /// Takes keys out and puts others in, after the last that stays.
    pub fn reshaped(&self, gone: &[&str], new: &[(String, String)]) -> Vec<Edit> {
        let goes = |entry: &Entry| gone.contains(&entry.name.as_str());
        let Some(anchor) = self.entries.iter().rfind(|entry| !goes(entry)) else { return Vec::new() };
        let written = |begin: usize| -> Vec<String> {
            let path = self.raw(&(begin..anchor.key.start));
            new.iter().map(|(key, value)| format!("{path}{key}{}{value}", self.sign(anchor, key))).collect()
        };
        let Some(elements) = &self.elements else {
            let begin = line_start(self.text, anchor.key.start);
            let eol = eol(self.text, anchor.value.end);
            let lines: String = written(begin).iter().map(|line| format!("{eol}{line}")).collect();
            let mut edits = self.without_lines(self.entries.iter().filter(|entry| goes(entry)));
            edits.push(Edit::insert(line_end(self.text, anchor.value.end), lines));
            return edits;
        };
        let holds = |element: &Element, entry: &Entry| element.range.contains(&entry.key.start);
        let gone = elements.iter().map(|element| self.entries.iter().any(|e| goes(e) && holds(element, e))).collect();
        let table = inline::Table { text: self.text, elements: elements.clone(), gone };
        let mut edits = table.removals();
        if let Some(at) = elements.iter().position(|element| holds(element, anchor)).filter(|_| !new.is_empty()) {
            edits.extend(table.insertion(at, &written(elements[at].range.start)));
        }
        edits
    }

    /// Takes whole lines out; a file without a last line end keeps none.
    fn without_lines<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Vec<Edit> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for entry in entries {
            let line = line_start(self.text, entry.key.start)..next_line(self.text, entry.value.end);
            match ranges.last_mut() {
                Some(last) if last.end == line.start => last.end = line.end,
                _ => ranges.push(line),
            }
        }
        if let Some(last) = ranges.last_mut().filter(|last| last.end == self.text.len() && !self.text.ends_with('\n')) {
            let head = self.text.get(..last.start).unwrap_or_default();
            let head = head.strip_suffix('\n').unwrap_or(head);
            last.start = head.strip_suffix('\r').unwrap_or(head).len();
        }
        ranges.into_iter().map(Edit::remove).collect()
    }

    /// What stands between a new key and its value: as at the anchor, its sign in the same column if blanks led to it.
    fn sign(&self, anchor: &Entry, key: &str) -> String {
        let gap = self.raw(&(anchor.key.end..anchor.value.start));
        let blanks = gap.len() - gap.trim_start().len();
        if blanks < 2 {
            return gap.to_owned();
        }
        let column = anchor.key.len() + blanks;
        format!("{}{}", " ".repeat(column.saturating_sub(key.len()).max(1)), gap.trim_start())
    }
}
