//! The emptying of a host as lines for people.

use std::collections::BTreeMap;

use crate::core::cluster::Name;
use crate::core::engine::{Drain, DrainPlan, PlannedMove, StuckVm, Taker, UnderWay};
use crate::core::format::{counted, percent};

/// A running migration's percentage is told in steps of so many.
const STEP: u8 = 25;

/// What it would mean.
pub(super) fn plan(plan: &DrainPlan) -> Vec<String> {
    let host = &plan.host;
    let mut lines = Vec::new();
    lines.push(match (plan.moves.len(), plan.draining) {
        (0, false) => format!("{host} has no VMs; drained, it takes none until it is released"),
        (0, true) => format!("{host} is being drained and has no VMs"),
        (n, is) => format!("{host}: {}, {}", vms(n), if is { "being drained" } else { "to be moved away" }),
    });
    let wide = plan.moves.iter().map(|planned| planned.vm.chars().count()).max().unwrap_or_default();
    lines.extend(plan.moves.iter().map(|planned| way(planned, wide)));
    if !plan.hosts.is_empty() {
        lines.push("then:".to_owned());
        let wide = plan.hosts.iter().map(|taker| taker.host.chars().count()).max().unwrap_or_default();
        lines.extend(plan.hosts.iter().map(|taker| taken(taker, wide)));
    }
    lines.extend(plan.warnings.iter().map(|warning| format!("warning: {warning}")));
    if !plan.unheard.is_empty() {
        lines.push(format!("warning: nothing has been heard of {} yet", plan.unheard.join(", ")));
    }
    lines
}

fn vms(n: usize) -> String {
    counted(n, "VM", "VMs")
}

fn way(planned: &PlannedMove, wide: usize) -> String {
    let PlannedMove { vm, to, why, warnings } = planned;
    let to = match (to, why) {
        (Some(to), _) => format!("> {to}"),
        (None, Some(why)) => format!("stays: {why}"),
        (None, None) => "stays".to_owned(),
    };
    let but = if warnings.is_empty() { String::new() } else { format!("  ({})", warnings.join("; ")) };
    format!("  {vm:<wide$}  {to}{but}")
}

fn taken(taker: &Taker, wide: usize) -> String {
    let Taker { host, vms, vms_after, capacity, load, load_after, overloaded } = taker;
    let of = capacity.map(|capacity| format!(" of {capacity}")).unwrap_or_default();
    let load = match (load, load_after) {
        (Some(load), Some(after)) => format!(", load {} > {}", percent(*load), percent(*after)),
        (Some(load), None) => format!(", load {}", percent(*load)),
        (None, _) => String::new(),
    };
    let much = if *overloaded { "  too much" } else { "" };
    format!("  {host:<wide$}  {vms} > {vms_after}{of} VMs{load}{much}")
}

/// Tells what is new, each time it is told how far it is.
#[derive(Default)]
pub(super) struct Teller {
    last: Option<Drain>,
    /// By VM, the step of its percentage that was told.
    steps: BTreeMap<Name, u8>,
}

impl Teller {
    /// The lines for what was not so before.
    pub(super) fn lines(&mut self, now: &Drain) -> Vec<String> {
        let before = self.last.replace(now.clone()).unwrap_or_default();
        let mut lines = Vec::new();
        for UnderWay { vm, to, percent, detail } in &now.under_way {
            let step = percent / STEP;
            if self.steps.insert(vm.clone(), step).is_none_or(|told| told < step) {
                let detail = if detail.is_empty() { String::new() } else { format!("  {detail}") };
                lines.push(format!("{vm} > {to}  {percent}%{detail}"));
            }
        }
        self.steps.retain(|vm, _| now.under_way.iter().any(|travels| travels.vm == *vm));
        if (now.moved, now.of) != (before.moved, before.of) {
            lines.push(format!("{}: {} of {} moved", now.host, now.moved, now.of));
        }
        for StuckVm { vm, why, .. } in now.stuck.iter().filter(|stays| !before.stuck.contains(stays)) {
            lines.push(format!("{vm} stays: {why}"));
        }
        if now.paused != before.paused {
            lines.push(format!("{}: {}", now.host, if now.paused { "paused" } else { "goes on" }));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(vm: &str, to: &str) -> PlannedMove {
        PlannedMove { vm: vm.into(), to: Some(to.into()), ..PlannedMove::default() }
    }

    #[test]
    fn a_plan_says_where_each_goes_what_results_and_what_speaks_against_it() {
        let stays = PlannedMove { vm: "db".into(), why: Some("mln2 full".to_owned()), ..PlannedMove::default() };
        let held = PlannedMove { warnings: vec!["hold: by anna".to_owned()], ..to("nii10", "mln3") };
        let taker = Taker { host: "mln3".into(), vms: 1, vms_after: 3, capacity: Some(2), ..Taker::default() };
        let taker = Taker { load: Some(0.4), load_after: Some(0.95), overloaded: true, ..taker };
        let said = plan(&DrainPlan {
            host: "mln1".into(),
            moves: vec![to("nii1", "mln3"), held, stays],
            hosts: vec![taker],
            warnings: vec!["mln3 would have too much".to_owned()],
            unheard: vec!["mln4".into()],
            ..DrainPlan::default()
        });
        assert_eq!(
            said,
            [
                "mln1: 3 VMs, to be moved away",
                "  nii1   > mln3",
                "  nii10  > mln3  (hold: by anna)",
                "  db     stays: mln2 full",
                "then:",
                "  mln3  1 > 3 of 2 VMs, load 40% > 95%  too much",
                "warning: mln3 would have too much",
                "warning: nothing has been heard of mln4 yet",
            ]
        );
        let none = DrainPlan { host: "mln1".into(), ..DrainPlan::default() };
        assert_eq!(plan(&none), ["mln1 has no VMs; drained, it takes none until it is released"]);
    }

    #[test]
    fn progress_says_what_is_new_and_nothing_twice() {
        let mut teller = Teller::default();
        let travels = |percent| UnderWay { vm: "nii1".into(), to: "mln2".into(), percent, ..UnderWay::default() };
        let at = |percent| Drain { host: "mln1".into(), of: 2, under_way: vec![travels(percent)], ..Drain::default() };
        assert_eq!(teller.lines(&at(0)), ["nii1 > mln2  0%", "mln1: 0 of 2 moved"]);
        assert!(teller.lines(&at(10)).is_empty());
        assert_eq!(teller.lines(&at(60)), ["nii1 > mln2  60%"]);
        let stuck = vec![StuckVm { vm: "nii2".into(), why: "mln2 full".to_owned(), meant: false }];
        let paused = Drain { moved: 1, under_way: Vec::new(), stuck, paused: true, ..at(0) };
        assert_eq!(teller.lines(&paused), ["mln1: 1 of 2 moved", "nii2 stays: mln2 full", "mln1: paused"]);
        assert!(teller.lines(&paused).is_empty());
        assert_eq!(teller.lines(&Drain { paused: false, ..paused }), ["mln1: goes on"]);
    }
}
