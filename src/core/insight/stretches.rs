//! Stretches of a VM's past that a graph marks: readings that were missed, and scheduled rests.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::{Entry, Seen, Story, Told};
use crate::core::cluster::Timestamp;
use crate::core::engine::{BASELINE, VmState};

/// Readings that were missed one after the other for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The first of them.
    pub from: Timestamp,
    /// The last of them: the same instant if there was only one.
    pub to: Timestamp,
    /// Why.
    pub reason: Arc<str>,
}

/// A scheduled rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// From here.
    pub from: Timestamp,
    /// To there.
    pub to: Timestamp,
}

/// The stretches of gaps among readings, oldest first, as these are. A baseline after a move is none: it was not missed.
pub fn gaps(entries: &[Entry]) -> Vec<Missed> {
    let mut found: Vec<Missed> = Vec::new();
    let mut in_a_row = false;
    for entry in entries {
        let reason = match &entry.seen {
            Seen::Gap(reason) if **reason != *BASELINE => reason,
            Seen::Gap(_) | Seen::Sample(_) => {
                in_a_row = false;
                continue;
            }
        };
        match found.last_mut() {
            Some(last) if in_a_row && last.reason == *reason => last.to = entry.at,
            _ => found.push(Missed { from: entry.at, to: entry.at, reason: reason.clone() }),
        }
        in_a_row = true;
    }
    found
}

/// When one VM was resting, oldest first, up to an instant. `told` is in the order of time and reaches back as far as
/// rests are wanted: one is known from the moment the VM was told to rest.
pub fn rests(told: &[Told], vm: &str, until: Timestamp) -> Vec<Rest> {
    let of_vm = told.iter().filter(|one| one.vm.as_deref() == Some(vm));
    resting(of_vm, until).remove(vm).unwrap_or_default()
}

/// When each VM was resting.
pub(super) fn resting<'a>(told: impl Iterator<Item = &'a Told>, until: Timestamp) -> HashMap<&'a str, Vec<Rest>> {
    let mut found: HashMap<&str, Vec<Rest>> = HashMap::new();
    let mut since: HashMap<&str, Timestamp> = HashMap::new();
    for one in told.filter(|one| one.at < until) {
        let (Some(vm), Story::State { state, .. }) = (&one.vm, &one.what) else { continue };
        if *state == VmState::Resting {
            since.entry(vm).or_insert(one.at);
        } else if let Some(from) = since.remove(&**vm) {
            found.entry(vm).or_default().push(Rest { from, to: one.at });
        }
    }
    for (vm, from) in since {
        found.entry(vm).or_default().push(Rest { from, to: until });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Value;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(1_241_613_600 + 60 * minute)
    }

    #[test]
    fn gaps_in_a_row_are_one_stretch_for_each_reason() {
        let seen = |text: &str| match text {
            "1" => Seen::Sample(Value::Exact(1.0)),
            reason => Seen::Gap(Arc::from(reason)),
        };
        let texts = ["1", "refused", "refused", "no answer", "1", "no answer", "no answer", "1", BASELINE, "1"];
        let entry = |(n, text): (usize, &&str)| Entry {
            at: at(n as i64),
            seen: seen(text),
            count: 0,
            low_count: 0,
            state: VmState::Watching,
        };
        let entries: Vec<Entry> = texts.iter().enumerate().map(entry).collect();
        let found = gaps(&entries);
        let found: Vec<_> = found.iter().map(|m| (m.from, m.to, &*m.reason)).collect();
        assert_eq!(found, [(at(1), at(2), "refused"), (at(3), at(3), "no answer"), (at(5), at(6), "no answer")]);
    }

    #[test]
    fn a_rest_lasts_until_the_next_state_of_that_vm() {
        let told = |minute, vm: &str, state| {
            let what = Story::State { state, why: String::new() };
            Told { at: at(minute), vm: Some(Arc::from(vm)), what }
        };
        let story = [
            told(0, "nii5", VmState::Watching),
            told(10, "nii5", VmState::Resting),
            told(12, "nii1", VmState::Watching),
            told(20, "nii5", VmState::Resting),
            told(30, "nii5", VmState::Held),
            told(40, "nii5", VmState::Resting),
        ];
        let expected = [Rest { from: at(10), to: at(30) }, Rest { from: at(40), to: at(50) }];
        assert_eq!(rests(&story, "nii5", at(50)), expected);
        assert_eq!(rests(&story, "nii5", at(40)), expected[..1], "not yet");
        assert_eq!(rests(&story, "nii1", at(50)), []);
    }
}
