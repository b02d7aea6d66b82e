//! A policy block: where it stands in a file's text, in whichever of TOML's notations, and as a text of its own that an
//! operator edits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::super::model::Config;
use super::super::report::{LineIndex, Problem};
use super::super::{read, read_text};
use super::splice::{Element, InlineTable, TextEdit, elements, eol, is_blank, line_end, line_start, next_line};
use crate::core::cluster::VmId;
use crate::core::policy::{Scope, Settings};

/// A key of a block and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockKey {
    /// The key, unquoted.
    pub name: String,
    /// The last piece of the key, as it is written.
    pub key: Range<usize>,
    pub value: Range<usize>,
}

/// A policy block in a file's text.
pub(super) struct BlockPlace<'t> {
    text: &'t str,
    /// Its header, its brace or its first key.
    pub start: usize,
    /// In the file's order.
    pub entries: Vec<BlockKey>,
    /// The elements of the inline table that it is or is in; `None`: its keys have their own lines.
    elements: Option<Vec<Element>>,
}

/// The value of a VM's `policy`.
pub(super) enum PolicyValue<'t> {
    /// The name of a shared one.
    Name(String, Range<usize>),
    /// Its own.
    Own(BlockPlace<'t>),
}

/// The policy of each VM of a parsed text, by name.
pub(super) fn of_vms<'t>(text: &'t str, tree: &DeTable<'_>) -> Vec<(String, PolicyValue<'t>)> {
    let vms = tree.get("vm").and_then(|vms| vms.get_ref().as_array());
    let tables =
        vms.into_iter().flat_map(|vms| vms.iter()).filter_map(|vm| Some((vm.get_ref().as_table()?, vm.span())));
    let given = |(vm, span): (&DeTable<'_>, Range<usize>)| {
        let name = vm.get("name")?.get_ref().as_str()?.to_owned();
        let policy = vm.get("policy")?;
        let given = match policy.get_ref() {
            DeValue::String(shared) => PolicyValue::Name(shared.clone().into_owned(), policy.span()),
            DeValue::Table(table) => PolicyValue::Own(BlockPlace::of(text, table, policy.span().start, span.start)),
            _ => return None,
        };
        Some((name, given))
    };
    tables.filter_map(given).collect()
}

/// The shared block of this name.
pub(super) fn of_shared<'t>(text: &'t str, tree: &DeTable<'_>, name: &str) -> Option<BlockPlace<'t>> {
    let policies = tree.get("policy")?;
    let policy = policies.get_ref().as_table()?.get(name)?;
    Some(BlockPlace::of(text, policy.get_ref().as_table()?, policy.span().start, policies.span().start))
}

/// A text that is a block and nothing else, if it is TOML.
pub(super) fn of_text(text: &str) -> Option<BlockPlace<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    DeTable::parse(text).ok().map(|tree| BlockPlace::of(text, tree.get_ref(), 0, 0))
}

impl<'t> BlockPlace<'t> {
    /// `start` and `parent`: where the table and the one around it stand.
    fn of(text: &'t str, table: &DeTable<'_>, start: usize, parent: usize) -> Self {
        let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| BlockKey {
            name: key.get_ref().clone().into_owned(),
            key: key.span(),
            value: value.span(),
        };
        let mut entries: Vec<BlockKey> = table.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.key.start);
        let brace = |at: usize| text.as_bytes().get(at) == Some(&b'{');
        let header = text.as_bytes().get(start) == Some(&b'[');
        let open = [start, parent].into_iter().find(|at| brace(*at)).filter(|_| !header);
        let elements = open.map(|open| elements(text, open));
        Self { text, start, entries, elements }
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
    pub fn comment(&self, entry: &BlockKey) -> &'t str {
        let rest = self.raw(&(entry.value.end..line_end(self.text, entry.value.end)));
        if self.has_lines() && rest.contains('#') && is_blank(rest) { rest } else { "" }
    }

    /// Replaces or removes the comment after a key with its own line.
    pub fn commented(&self, entry: &BlockKey, comment: &str) -> Option<TextEdit> {
        let old = self.comment(entry);
        if !self.has_lines() || old.trim() == comment {
            return None;
        }
        let blanks = old.split('#').next().filter(|blanks| !blanks.is_empty()).unwrap_or(" ");
        let text = if comment.is_empty() { String::new() } else { format!("{blanks}{comment}") };
        Some(TextEdit { range: entry.value.end..entry.value.end + old.len(), text })
    }

    /// Removes keys, and inserts others after the last that stays.
    pub fn reshaped(&self, gone: &[&str], new: &[(String, String)]) -> Vec<TextEdit> {
        let goes = |entry: &BlockKey| gone.contains(&entry.name.as_str());
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
            edits.push(TextEdit::insert(line_end(self.text, anchor.value.end), lines));
            return edits;
        };
        let holds = |element: &Element, entry: &BlockKey| element.range.contains(&entry.key.start);
        let gone = elements.iter().map(|element| self.entries.iter().any(|e| goes(e) && holds(element, e))).collect();
        let table = InlineTable { text: self.text, elements: elements.clone(), gone };
        let mut edits = table.removals();
        if let Some(at) = elements.iter().position(|element| holds(element, anchor)).filter(|_| !new.is_empty()) {
            edits.extend(table.insertion(at, &written(elements[at].range.start)));
        }
        edits
    }

    /// Removes whole lines. A file that ends without a line end still does.
    fn without_lines<'e>(&self, entries: impl Iterator<Item = &'e BlockKey>) -> Vec<TextEdit> {
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
        ranges.into_iter().map(TextEdit::remove).collect()
    }

    /// The text between a new key and its value: as at the anchor, with the `=` in the same column if it was aligned.
    fn sign(&self, anchor: &BlockKey, key: &str) -> String {
        let gap = self.raw(&(anchor.key.end..anchor.value.start));
        let blanks = gap.len() - gap.trim_start().len();
        if blanks < 2 {
            return gap.to_owned();
        }
        let column = anchor.key.len() + blanks;
        format!("{}{}", " ".repeat(column.saturating_sub(key.len()).max(1)), gap.trim_start())
    }
}

/// A VM's policy block, one key a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyBlock {
    /// TOML, `KEY = VALUE` in the file's order and notation, with the comments after keys that have lines of their own;
    /// lines end with `\n`.
    pub text: String,
    /// The line of the file on which the block begins, from 1.
    pub line: u32,
    /// The NAME of the `[policy.NAME]` it is; `None`: the VM's own.
    pub shared: Option<String>,
    /// The other VMs that share it, in the file's order.
    pub others: Vec<String>,
}

/// The policy blocks of some VMs, each if the text is TOML and has that VM with a policy. If VMs share a block, only the first of
/// them lists the others.
pub fn blocks_of(text: &str, vms: &[&str]) -> Vec<Option<PolicyBlock>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Ok(tree) = DeTable::parse(text) else { return vec![None; vms.len()] };
    let (all, lines) = (of_vms(text, tree.get_ref()), LineIndex::of(text));
    let mut by_name: HashMap<&str, &PolicyValue<'_>> = HashMap::new();
    for (name, given) in &all {
        by_name.entry(name).or_insert(given);
    }
    let mut seen: HashMap<&str, PolicyBlock> = HashMap::new();
    let mut block = |vm: &&str| {
        let block = |place: &BlockPlace<'_>, shared: Option<&str>, others: Vec<String>| {
            let (line, shared) = (lines.number(place.start), shared.map(str::to_owned));
            PolicyBlock { text: lines_of(place), line, shared, others }
        };
        let shared = match *by_name.get(vm)? {
            PolicyValue::Own(place) => return Some(block(place, None, Vec::new())),
            PolicyValue::Name(shared, _) => shared,
        };
        if let Some(block) = seen.get(shared.as_str()) {
            return Some(block.clone());
        }
        let shares = |given: &PolicyValue<'_>| matches!(given, PolicyValue::Name(name, _) if name == shared);
        let others = all.iter().filter(|(name, given)| name != vm && shares(given)).map(|(name, _)| name.clone());
        let found = block(&of_shared(text, tree.get_ref(), shared)?, Some(shared), others.collect());
        seen.insert(shared, PolicyBlock { others: Vec::new(), ..found.clone() });
        Some(found)
    };
    vms.iter().map(&mut block).collect()
}

/// A block's keys, one a line.
fn lines_of(place: &BlockPlace<'_>) -> String {
    let line =
        |entry: &BlockKey| format!("{} = {}{}\n", entry.name, unix(place.raw(&entry.value)), place.comment(entry));
    place.entries.iter().map(line).collect()
}

/// A text with Unix line ends.
pub(super) fn unix(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) }
}

/// The settings that a block would give a VM; it is also checked for the VMs that share the block now, if that is the scope. A block
/// without errors here has none in the file. After a syntax error other errors are still found.
///
/// # Errors
/// Everything that is wrong with it, in order of position; never empty.
pub fn check_block(text: &str, config: &Config, vm: VmId, scope: Scope) -> Result<Settings, Vec<Problem>> {
    let others = config.others_of(vm).filter(|_| scope == Scope::Block);
    let vms = std::iter::once(vm).chain(others);
    read_text(text, |tree, diagnostics| read::block(tree, config, vms, diagnostics))?.ok_or_else(Vec::new)
}
