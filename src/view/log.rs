//! What happened as lines for people.

use std::collections::HashMap;
use std::fmt;

use crate::core::cluster::Name;
use crate::core::engine::{By, Happened, Phase, Record, VmState};
use crate::core::policy::Decision;

use super::{Level, LogLine};

/// Turns what happened into lines. Remembers each VM's last decision, so that a request can say why.
#[derive(Debug, Default)]
pub struct Log {
    decided: HashMap<Name, String>,
}

impl Log {
    /// The record's line; `None` for what is only progress (samples, gaps, percents). Records come in the order of time.
    pub fn line(&mut self, record: &Record) -> Option<LogLine> {
        let vm = record.vm.as_ref();
        let (level, text) = match &record.what {
            Happened::Decision { reason, .. } => {
                self.decided.insert(vm?.clone(), reason.clone());
                return None;
            }
            Happened::Blocked { action, gate, detail } => {
                let text = format!("{} blocked by {}: {detail}{}", action_words(*action), gate.word(), self.reason(vm));
                (Level::Warning, text)
            }
            Happened::Request { id, from, to, by, .. } => {
                let why = if *by == By::Operator { String::new() } else { self.reason(vm) };
                (Level::Info, format!("request #{}  {from} > {to}  by {}{why}", id.0, by_word(*by)))
            }
            Happened::Migration { phase: Phase::Running, .. } => return None,
            Happened::Migration { id, phase, from, to, detail, .. } => {
                let detail = if detail.is_empty() { String::new() } else { format!("  {detail}") };
                (phase_level(*phase), format!("{} #{}  {from} > {to}{detail}", phase.word(), id.0))
            }
            Happened::State { state: VmState::Waiting, why } => (Level::Warning, format!("{why}{}", self.reason(vm))),
            Happened::State { state: VmState::Stale | VmState::Held, why } => (Level::Warning, why.clone()),
            Happened::State { state: VmState::Resting, why } => (Level::Info, why.clone()),
            Happened::State { .. } | Happened::Sample { .. } | Happened::Gap { .. } | Happened::Other => return None,
            // The line has the VM's name beside the text.
            Happened::Alarm { text } => {
                let bare = vm.and_then(|vm| text.strip_prefix(vm.as_str())?.strip_prefix([' ', ':']));
                (Level::Alarm, bare.unwrap_or(text).trim_start().to_owned())
            }
            Happened::Edit { by, key, old, new, why } => {
                let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                (Level::Info, format!("{} by {by}{why}", edit_words(key, old, new)))
            }
            Happened::Operator { by, text } => (Level::Info, format!("{by}: {text}")),
        };
        Some(LogLine { at: record.at, vm: vm.cloned(), level, text })
    }

    fn reason(&self, vm: Option<&Name>) -> String {
        vm.and_then(|vm| self.decided.get(vm)).map_or_else(String::new, |reason| format!(": {reason}"))
    }
}

const fn phase_level(phase: Phase) -> Level {
    match phase {
        Phase::Confirmed => Level::Good,
        Phase::Running => Level::Info,
        Phase::Failed | Phase::Aborted | Phase::Unknown => Level::Warning,
        Phase::Lost | Phase::Double => Level::Alarm,
    }
}

/// Who wanted a move, in a word.
pub const fn by_word(by: By) -> &'static str {
    match by {
        By::Policy => "policy",
        By::Schedule => "schedule",
        By::Operator | By::Drain => "operator",
    }
}

/// What a VM would do by a decision, in a word or two: `moves`, `to base`.
pub const fn what_if_word(action: Decision) -> &'static str {
    match action {
        Decision::Stay => "stays",
        Decision::Move => "moves",
        Decision::MoveToBase => "to base",
        Decision::MoveAway => "away",
        Decision::MoveHome => "home",
    }
}

/// A decision in words: `move to base`.
pub const fn action_words(action: Decision) -> &'static str {
    match action {
        Decision::Stay => "stay",
        Decision::Move => "move",
        Decision::MoveToBase => "move to base",
        Decision::MoveAway => "move away",
        Decision::MoveHome => "move home",
    }
}

/// A changed setting: `threshold 50 → 60`.
fn edit_words(key: &str, old: &str, new: &str) -> String {
    match (old, new) {
        ("", new) => format!("{key} set to {new}"),
        (old, "") => format!("{key} {old} taken out"),
        (old, new) => format!("{key} {old} → {new}"),
    }
}

/// `2009-05-06T12:44:23Z  ! nii1  request #1  mln1 > mln2  by policy: 62 /min > 50 for 3 samples`
impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.level {
            Level::Alarm => "!",
            Level::Warning => "-",
            Level::Info | Level::Good => " ",
        };
        let at = self.at.utc().format("%Y-%m-%dT%H:%M:%SZ");
        write!(f, "{at} {mark} {}  {}", self.vm.as_deref().unwrap_or("cluster"), self.text)
    }
}
