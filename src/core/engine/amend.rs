//! Applies changed settings, by the same rules as a reload: editing a bound zeroes its count, editing a tarry keeps it.

use crate::core::cluster::{Timestamp, VmId};
use crate::core::policy::{KeyChange, Rule, Settings};

use super::Engine;
use super::memory::VmMemory;
use super::message::{Change, Effect};
use super::operate::Said;
use super::record::{Gate, Happened};

impl Engine {
    /// Makes every change, or none if one is invalid.
    pub(super) fn amend(
        &mut self,
        now: Timestamp,
        by: &str,
        changes: Vec<Change>,
        why: Option<&str>,
        out: &mut Vec<Effect>,
    ) -> Said {
        let wanted = self.can_amend(changes)?;
        let mut edits = Vec::new();
        for (vm, new) in wanted {
            let old = std::mem::replace(&mut self.cluster.vms[vm.index()].policy, new);
            edits.push((vm, Settings::differences(&old, self.settings(vm))));
            self.say_edits(now, vm, by, why, &old, out);
            if old != *self.settings(vm) {
                self.take_over(now, vm, &old, out);
            }
        }
        Ok(self.in_short(&edits))
    }

    fn can_amend(&self, changes: Vec<Change>) -> Result<Vec<(VmId, Settings)>, String> {
        let mut wanted: Vec<(VmId, Settings)> = Vec::new();
        for Change { vm: name, settings } in changes {
            let vm = self.named(&name)?;
            settings.check().map_err(|why| format!("{name}: {why}"))?;
            // A VM that works queues may have no other site to go to.
            let is_site = |settings: &Settings| matches!(settings.rule, Rule::Site(_));
            if is_site(&settings) && !is_site(self.settings(vm)) && self.cluster.vm(vm).away.is_none() {
                return Err(format!(
                    "{name}: a site policy needs an array of another site to go to; give it one, reload"
                ));
            }
            if wanted.iter().any(|(other, _)| *other == vm) {
                return Err(format!("{name} is to be changed twice at once"));
            }
            wanted.push((vm, *settings));
        }
        if wanted.is_empty() { Err("nothing is to be changed".to_owned()) } else { Ok(wanted) }
    }

    /// Records each key that differs from what was in force.
    pub(super) fn say_edits(
        &self,
        at: Timestamp,
        vm: VmId,
        by: &str,
        why: Option<&str>,
        old: &Settings,
        out: &mut Vec<Effect>,
    ) {
        if old == self.settings(vm) {
            return;
        }
        for KeyChange { key, old, new } in Settings::differences(old, self.settings(vm)) {
            let (by, why) = (by.to_owned(), why.map(str::to_owned));
            self.record(at, vm, Happened::Edit { by, key, old, new, why }, out);
        }
    }

    /// Has the VM go on under its new settings.
    fn take_over(&mut self, now: Timestamp, vm: VmId, old: &Settings, out: &mut Vec<Effect>) {
        let memory = &mut self.vms[vm.index()];
        let waiting = memory.waiting;
        let dropped = memory.take_over(old, &self.cluster.vms[vm.index()].policy, waiting.is_some());
        self.is_worth_keeping(vm);
        if let (Some(waiting), Some((gate, why))) = (waiting, dropped) {
            self.say_dropped(now, vm, &waiting, gate, why, out);
        }
        if matches!(self.settings(vm).rule, Rule::Schedule { .. }) {
            self.hours_at(vm, now);
        }
        self.say_state(now, vm, out);
    }

    /// `nii1: threshold 50 → 60, tarry 3 → 2`; of several VMs `3 VMs: threshold → 60`.
    fn in_short(&self, edits: &[(VmId, Vec<KeyChange>)]) -> String {
        let or_gone = |new: &str| if new.is_empty() { "none".to_owned() } else { new.to_owned() };
        let listed = |said: Vec<String>| if said.is_empty() { "nothing changed".to_owned() } else { said.join(", ") };
        if let [(vm, keys)] = edits {
            let said = keys.iter().map(|KeyChange { key, old, new }| match old.as_str() {
                "" => format!("{key} → {new}"),
                old => format!("{key} {old} → {}", or_gone(new)),
            });
            return format!("{}: {}", self.cluster.vm(*vm).name, listed(said.collect()));
        }
        let mut said: Vec<(&str, Option<&str>)> = Vec::new();
        for KeyChange { key, new, .. } in edits.iter().flat_map(|(_, keys)| keys) {
            match said.iter_mut().find(|(known, _)| known == key) {
                Some((_, value)) => *value = value.filter(|value| value == new),
                None => said.push((key, Some(new))),
            }
        }
        let said = said.into_iter().map(|(key, new)| match new {
            Some(new) => format!("{key} → {}", or_gone(new)),
            None => format!("{key} → one for each"),
        });
        format!("{} VMs: {}", edits.len(), listed(said.collect()))
    }
}

impl VmMemory {
    /// Goes on under changed settings. `waited`: a request waited before the config changed. Tells which gate stops that
    /// request now and why, if it does not wait any more: its policy has changed, or its destination is gone.
    pub(super) fn take_over(&mut self, old: &Settings, new: &Settings, waited: bool) -> Option<(Gate, &'static str)> {
        let policy = &mut self.policy;
        if old.rule.kind() != new.rule.kind() {
            policy.reset_counts();
        }
        if hours_of(old) != hours_of(new) {
            policy.hours = None;
        }
        if old.rule.high().map(|b| b.at) != new.rule.high().map(|b| b.at) || old.direction != new.direction {
            policy.count = 0;
        }
        if old.rule.low().map(|b| b.at) != new.rule.low().map(|b| b.at) || old.direction != new.direction {
            policy.low_count = 0;
        }
        if old != new {
            self.waiting = None;
        }
        match self.waiting {
            None if waited && old != new => Some((Gate::Mode, "its policy was changed")),
            None if waited => Some((Gate::Destination, "its destination is not in the config any more")),
            _ => None,
        }
    }
}

const fn hours_of(settings: &Settings) -> Option<&crate::core::policy::WorkingHours> {
    match &settings.rule {
        Rule::Schedule { hours, .. } => Some(hours),
        _ => None,
    }
}
