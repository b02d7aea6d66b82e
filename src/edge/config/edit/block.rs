//! A policy block as a text of its own: what an operator edits, and whether it could stand.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::super::diagnostics::Diagnostics;
use super::super::model::Config;
use super::super::report::{Problem, Report};
use super::super::{lines::Lines, read, redact::Redaction, syntax};
use super::place::{self, Given, Place};
use super::splice::line_end;
use crate::core::cluster::VmId;
use crate::core::policy::Settings;

/// A VM's policy block, one key a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
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

/// The policy block of a VM, if the text is TOML and has that VM with a policy.
pub fn block_of(text: &str, vm: &str) -> Option<Block> {
    blocks_of(text, &[vm]).pop()?
}

/// The policy blocks of some VMs, read from the text once. Of VMs that share a block the first has the others.
pub fn blocks_of(text: &str, vms: &[&str]) -> Vec<Option<Block>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Ok(tree) = DeTable::parse(text) else { return vec![None; vms.len()] };
    let (all, lines) = (place::of_vms(text, tree.get_ref()), Lines::of(text));
    let mut by_name: HashMap<&str, &Given<'_>> = HashMap::new();
    for (name, given) in &all {
        by_name.entry(name).or_insert(given);
    }
    let mut seen: HashMap<&str, Block> = HashMap::new();
    let mut block = |vm: &&str| {
        let block = |place: &Place<'_>, shared: Option<&str>, others: Vec<String>| {
            let line = u32::try_from(lines.at(place.start).0 + 1).unwrap_or(u32::MAX);
            Block { text: lines_of(place), line, shared: shared.map(str::to_owned), others }
        };
        let shared = match *by_name.get(vm)? {
            Given::Own(place) => return Some(block(place, None, Vec::new())),
            Given::Name(shared, _) => shared,
        };
        if let Some(block) = seen.get(shared.as_str()) {
            return Some(block.clone());
        }
        let shares = |given: &Given<'_>| matches!(given, Given::Name(name, _) if name == shared);
        let others = all.iter().filter(|(name, given)| name != vm && shares(given)).map(|(name, _)| name.clone());
        let found = block(&place::of_shared(text, tree.get_ref(), shared)?, Some(shared), others.collect());
        seen.insert(shared, Block { others: Vec::new(), ..found.clone() });
        Some(found)
    };
    vms.iter().map(&mut block).collect()
}

/// A block's keys, one a line.
fn lines_of(place: &Place<'_>) -> String {
    let line =
        |entry: &place::Entry| format!("{} = {}{}\n", entry.name, unix(place.raw(&entry.value)), place.comment(entry));
    place.entries.iter().map(line).collect()
}

/// A text with the line ends an editor has.
pub(super) fn unix(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) }
}

/// What a policy block must agree with: the VMs that have it, with their indicators, arrays and deadlines.
#[derive(Debug, Clone, Default)]
pub struct BlockContext {
    /// Those that differ in what they need; the first of them is the one that is asked for.
    users: Vec<read::User>,
}

impl BlockContext {
    /// For a block that these VMs have; the first of them is the one it is checked for.
    pub fn of(config: &Config, vms: impl IntoIterator<Item = VmId>) -> Self {
        let user = |id: VmId| {
            let (monitor, plan) = (config.monitors.get(id.index())?, config.plan.vms.get(id.index())?);
            Some(read::User::of(&config.cluster, id, monitor, plan))
        };
        let mut seen = HashSet::new();
        Self { users: vms.into_iter().filter_map(user).filter(|user| seen.insert(user.needs())).collect() }
    }

    /// For the block that a VM has now, shared or not: the VM first, then the others.
    pub fn for_vm(config: &Config, vm: VmId) -> Self {
        Self::of(config, std::iter::once(vm).chain(config.others_of(vm)))
    }
}

/// The settings that a block says for the first VM of its context. What passes here passes in the file; syntax errors
/// do not keep other errors from being found.
///
/// # Errors
/// Everything that is wrong with it, in order of position; never empty.
pub fn check_block(text: &str, context: &BlockContext) -> Result<Settings, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mended, mut errors) = syntax::mended(text);
    let (tree, others) = DeTable::parse_recoverable(&mended);
    errors.extend(others);
    let diagnostics = Diagnostics::new(Redaction::of(text, !errors.is_empty(), read::echo));
    let settings = read::block(tree.get_ref(), &context.users, &diagnostics);
    // What is wrong for several VMs is said once.
    let (mut found, redaction) = diagnostics.into_parts();
    found.sort_by_key(|fault| fault.span.start);
    found.dedup();
    let faults = syntax::join(text, &errors, found, &redaction);
    match settings {
        Some(settings) if faults.is_empty() => Ok(settings),
        _ => Err(Report::new(Path::new(""), text, faults, &redaction).into_problems()),
    }
}

/// A key of a block's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub key: String,
    /// As it is written.
    pub value: String,
    /// From its `#`; empty: there is none.
    pub comment: String,
}

/// The keys of a block that was checked, in its order.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Ok(tree) = DeTable::parse(text) else { return Vec::new() };
    let mut entries: Vec<_> = tree.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let line = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        let span = value.span();
        let rest = text.get(span.end..line_end(text, span.end)).unwrap_or_default().trim();
        let value = text.get(span).unwrap_or_default().to_owned();
        let comment = if rest.starts_with('#') { rest.to_owned() } else { String::new() };
        Line { key: key.get_ref().clone().into_owned(), value, comment }
    };
    entries.into_iter().map(line).collect()
}
