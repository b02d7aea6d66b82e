//! Plans a drain: where each VM of a host would go, and how full the other hosts would be.

use std::collections::BTreeMap;

use super::Engine;
use super::destination::none_would;
use super::drain::in_vms;
use super::gates::Ask;
use super::message::Target;
use super::record::Gate;
use crate::core::cluster::{Array, HostId, Pick, Timestamp, VmId};
use crate::core::format::percent;

/// The plan avoids a load above this if another host can take the VM.
const OVERLOAD: f64 = 0.9;

/// What draining a host would mean, as things are.
#[derive(Debug, Clone, PartialEq)]
pub struct DrainPlan {
    /// The host to be drained.
    pub host: HostId,
    /// Its VMs, in the order in which they would leave.
    pub moves: Vec<PlannedMove>,
    /// The hosts that would take them, in the order of their ids.
    pub hosts: Vec<DrainedTo>,
    /// What an operator should know before confirming: hosts that would be overloaded, VMs that would stay.
    pub warnings: Vec<String>,
}

/// One VM of a host that is to be drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMove {
    /// This VM.
    pub vm: VmId,
    /// Where it would go, or why nowhere.
    pub to: Result<HostId, String>,
    /// Gates that would stop its policy but only warn an operator.
    pub warnings: Vec<String>,
}

/// A host that would take VMs of a drained one.
#[derive(Debug, Clone, PartialEq)]
pub struct DrainedTo {
    /// This host.
    pub host: HostId,
    /// VMs there now.
    pub vms: u32,
    /// VMs there afterwards, including those on their way now.
    pub vms_after: u32,
    /// VMs it takes at most; `None` has no bound.
    pub capacity: Option<u32>,
    /// Its load now, 0 = idle; `None` = not measured.
    pub load: Option<f64>,
    /// Its load afterwards, if all VMs of the drained host weigh the same: an estimate.
    pub load_after: Option<f64>,
    /// It would be overloaded or over its capacity.
    pub overloaded: bool,
}

/// How many VMs the plan has assigned to each host so far.
pub(super) type Given = BTreeMap<HostId, u32>;

impl Engine {
    /// What draining a host would mean, as things are. Nothing is done.
    pub fn drain_plan(&self, host: HostId, now: Timestamp) -> DrainPlan {
        let mut given = Given::new();
        let (mut moves, mut on_their_way) = (Vec::new(), Vec::new());
        for vm in self.vm_ids().filter(|vm| self.live(*vm).host == host) {
            if let Some(migration) = self.migration(vm) {
                on_their_way.push(migration.route.to);
                let warnings = vec!["it is on its way already".to_owned()];
                moves.push(PlannedMove { vm, to: Ok(migration.route.to), warnings });
                continue;
            }
            let to = self.promised(vm, host, &given, now).map_or_else(|| self.refuge(vm, &given, now), Ok);
            if let Ok(to) = to {
                *given.entry(to).or_default() += 1;
            }
            let warnings = to.as_ref().map_or_else(|_| Vec::new(), |to| self.warnings(vm, *to, now));
            moves.push(PlannedMove { vm, to, warnings });
        }
        for to in on_their_way {
            given.entry(to).or_default();
        }
        let hosts: Vec<_> = given.iter().map(|(to, n)| self.drained_to(host, *to, *n)).collect();
        let warnings = self.plan_warnings(&moves, &hosts);
        DrainPlan { host, moves, hosts, warnings }
    }

    /// The destination that a drain under way has planned for a VM, if it still takes the VM.
    fn promised(&self, vm: VmId, from: HostId, given: &Given, now: Timestamp) -> Option<HostId> {
        let to = *self.drain(from)?.planned.get(&vm)?;
        let room = given.get(&to).copied().unwrap_or(0);
        (self.can_leave(vm).is_ok() && self.eligible(vm, to, room, now).is_ok()).then_some(to)
    }

    /// The host that takes a VM of a drained host, after others were assigned to these hosts. Never the base: a VM goes
    /// there only by an explicit move.
    pub(super) fn refuge(&self, vm: VmId, given: &Given, now: Timestamp) -> Result<HostId, String> {
        self.can_leave(vm)?;
        let here = self.live(vm).host;
        let array = self.cluster.array_of(here);
        let mut refusals = Vec::new();
        let mut takers = Vec::new();
        for host in self.ring_from(vm, self.cluster.host(here).array) {
            match self.eligible(vm, host, given.get(&host).copied().unwrap_or(0), now) {
                Ok(()) => takers.push(host),
                Err(why) => refusals.push(why),
            }
        }
        self.chosen(array, here, &takers, given).ok_or_else(|| self.no_refuge(vm, array, &refusals))
    }

    /// Chooses among the hosts that would take a VM, given in ring order. With `best`: the least loaded. Otherwise the one
    /// with the fewest assigned VMs, preferably one that the VM does not overload.
    fn chosen(&self, array: &Array, from: HostId, takers: &[HostId], given: &Given) -> Option<HostId> {
        let after = |host: HostId| self.load_with(from, host, given.get(&host).map_or(1, |n| n + 1));
        if array.pick == Pick::Best {
            let measured = takers.iter().filter_map(|host| Some((*host, after(*host)?)));
            let best = measured.reduce(|best, other| if other.1 < best.1 { other } else { best });
            if let Some((host, _)) = best {
                return Some(host);
            }
        }
        let fewest = |hosts: &mut dyn Iterator<Item = HostId>| hosts.min_by_key(|host| given.get(host).copied());
        let mut fits = takers.iter().copied().filter(|host| after(*host).is_none_or(|load| load <= OVERLOAD));
        fewest(&mut fits).or_else(|| fewest(&mut takers.iter().copied()))
    }

    /// Estimates a host's load with `more` VMs of the host `from`, if all VMs of `from` weigh the same.
    fn load_with(&self, from: HostId, host: HostId, more: u32) -> Option<f64> {
        let source = self.host(from);
        let share = source.load? / f64::from(source.vms.max(1));
        Some(self.host(host).load? + share * f64::from(more))
    }

    fn no_refuge(&self, vm: VmId, array: &Array, refusals: &[String]) -> String {
        let why = none_would(refusals);
        match array.base.filter(|base| self.admits(vm, *base, 0).is_ok()) {
            Some(base) => format!("{why}; only the base {} is left: move it by hand", self.cluster.host(base).name),
            None => why,
        }
    }

    fn warnings(&self, vm: VmId, to: HostId, now: Timestamp) -> Vec<String> {
        let ask = Ask::Operator(Target::Host(self.cluster.host(to).name.to_string()));
        let warns = [Gate::Quality, Gate::Schedule, Gate::Hold, Gate::Flapping, Gate::Cooldown];
        let shut = self.assess(vm, &ask, now).into_iter().filter(|(gate, _)| warns.contains(gate));
        shut.filter_map(|(gate, why)| Some(format!("{}: {}", gate.word(), why?))).collect()
    }

    fn drained_to(&self, from: HostId, host: HostId, given: u32) -> DrainedTo {
        let live = self.host(host);
        let capacity = self.cluster.host(host).capacity;
        let vms_after = live.vms + self.incoming(host) + given;
        let load_after = self.load_with(from, host, given + self.incoming(host));
        let overloaded =
            load_after.is_some_and(|load| load > OVERLOAD) || capacity.is_some_and(|capacity| vms_after > capacity);
        DrainedTo { host, vms: live.vms, vms_after, capacity, load: live.load, load_after, overloaded }
    }

    fn plan_warnings(&self, moves: &[PlannedMove], hosts: &[DrainedTo]) -> Vec<String> {
        let overloaded = hosts.iter().filter(|to| to.overloaded).map(|to| {
            let name = &self.cluster.host(to.host).name;
            let load = to.load_after.map_or_else(String::new, |load| format!(", {} load", percent(load)));
            format!("{name} would have too much: {}{load}", in_vms(to.vms_after))
        });
        let staying = moves.iter().filter_map(|planned| {
            let why = planned.to.as_ref().err()?;
            Some(format!("{} stays: {why}", self.cluster.vm(planned.vm).name))
        });
        overloaded.chain(staying).collect()
    }
}
