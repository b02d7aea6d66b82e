//! Plans a drain: where each VM of a host would go, and how full the other hosts would be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::destination::none_would;
use super::gates::Ask;
use super::message::Target;
use super::record::Gate;
use super::{Engine, in_vms};
use crate::core::cluster::{Array, HostId, HostState, Name, Pick, Timestamp, VmId};
use crate::core::format::percent;

/// The plan avoids a load above this if another host can take the VM.
const OVERLOAD: f64 = 0.9;

/// What draining a host would mean, as things are. The console shows it, and the socket answers with it (docs/control.md).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DrainPlan {
    /// The host to be drained.
    pub host: Name,
    /// It is being drained already.
    pub draining: bool,
    /// Its VMs, in the order in which they would leave.
    pub moves: Vec<PlannedMove>,
    /// The hosts that would take them, in the order of their ids.
    pub hosts: Vec<Taker>,
    /// What an operator should know before confirming: hosts that would be overloaded, VMs that would stay.
    pub warnings: Vec<String>,
    /// Hosts of its array that have not answered yet, itself too: the plan may change when they do.
    pub unheard: Vec<Name>,
    /// VMs that may leave it at the same time.
    #[serde(default)]
    pub at_once: u32,
}

/// One VM of a host that is to be drained.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlannedMove {
    /// This VM.
    pub vm: Name,
    /// Where it would go; `None`: nowhere.
    pub to: Option<Name>,
    /// Why it would go nowhere.
    pub why: Option<String>,
    /// Gates that would stop its policy but only warn an operator.
    pub warnings: Vec<String>,
}

/// A host that would take VMs of a drained one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Taker {
    /// This host.
    pub host: Name,
    /// VMs there now.
    pub vms: u32,
    /// VMs there afterwards, including those on their way now.
    pub vms_after: u32,
    /// VMs it takes at most; `None` has no bound.
    pub capacity: Option<u32>,
    /// Its load now, 0 = idle; `None` = not measured.
    pub load: Option<f64>,
    /// Its load afterwards, with VMs on their way to it now, if each weighs as much as one of the drained host: an estimate.
    pub load_after: Option<f64>,
    /// It would be overloaded or over its capacity.
    pub overloaded: bool,
}

/// How many VMs the plan has assigned to each host so far.
pub(super) type Given = BTreeMap<HostId, u32>;

/// A VM, and where it would go, or why nowhere.
type Assigned = (VmId, Result<HostId, String>);

impl Engine {
    /// What draining a host would mean, as things are. Nothing is done.
    pub fn drain_plan(&self, host: HostId, now: Timestamp) -> DrainPlan {
        let (cluster, (assigned, given)) = (&self.cluster, self.assign(host, now));
        let name = |host: HostId| cluster.host(host).name.clone();
        let moves = assigned.into_iter().map(|(vm, to)| PlannedMove {
            vm: cluster.vm(vm).name.clone(),
            warnings: to.as_ref().map_or_else(|_| Vec::new(), |to| self.warnings(vm, *to, now)),
            to: to.as_ref().ok().map(|to| name(*to)),
            why: to.err(),
        });
        let moves: Vec<_> = moves.collect();
        let hosts: Vec<_> = given.iter().map(|(to, n)| self.taker(host, *to, *n)).collect();
        let array = cluster.array_of(host);
        let unheard = array.ring.iter().chain(&array.base).filter(|id| self.host_state(**id) == HostState::Unknown);
        DrainPlan {
            host: name(host),
            draining: self.drains.contains_key(&host),
            warnings: plan_warnings(&moves, &hosts),
            moves,
            hosts,
            unheard: unheard.map(|id| name(*id)).collect(),
            at_once: cluster.limits.at_once.min(cluster.limits.at_once_per_host),
        }
    }

    /// Where each VM of a host goes, or why nowhere, in the order in which they leave; and how many each other host gets.
    pub(super) fn assign(&self, host: HostId, now: Timestamp) -> (Vec<Assigned>, Given) {
        let (mut given, mut assigned) = (Given::new(), Vec::new());
        let mut on_their_way = Vec::new();
        for vm in self.vm_ids().filter(|vm| self.live(*vm).host == host) {
            if let Some(migration) = self.migration(vm) {
                on_their_way.push(migration.route.to);
                assigned.push((vm, Ok(migration.route.to)));
                continue;
            }
            let to = self.promised(vm, host, &given, now).map_or_else(|| self.refuge(vm, &given, now), Ok);
            if let Ok(to) = to {
                *given.entry(to).or_default() += 1;
            }
            assigned.push((vm, to));
        }
        // They are counted as incoming already.
        for to in on_their_way {
            given.entry(to).or_default();
        }
        (assigned, given)
    }

    /// The destination that a drain under way has planned for a VM, if it still takes the VM.
    fn promised(&self, vm: VmId, from: HostId, given: &Given, now: Timestamp) -> Option<HostId> {
        let to = *self.drains.get(&from)?.planned.get(&vm)?;
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
        for host in self.others(vm, self.cluster.host(here).array) {
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

    /// Estimates a host's load with `more` VMs of the host `from` and those that come anyway, if all weigh as much as a VM
    /// of `from`.
    pub fn load_with(&self, from: HostId, host: HostId, more: u32) -> Option<f64> {
        let source = self.host(from);
        let share = source.load? / f64::from(source.measured_vms.max(1));
        Some(self.load_soon(from, host)? + share * f64::from(more))
    }

    fn no_refuge(&self, vm: VmId, array: &Array, refusals: &[String]) -> String {
        let why = none_would(refusals);
        match array.base.filter(|base| self.admits(vm, *base, 0).is_ok()) {
            Some(base) => format!("{why}; only the base {} is left: move it by hand", self.cluster.host(base).name),
            None => why,
        }
    }

    fn warnings(&self, vm: VmId, to: HostId, now: Timestamp) -> Vec<String> {
        if self.migration(vm).is_some() {
            return vec!["it is on its way already".to_owned()];
        }
        let ask = Ask::Operator(Target::Host(self.cluster.host(to).name.to_string()));
        let warns = [Gate::Quality, Gate::Schedule, Gate::Hold, Gate::Flapping, Gate::Cooldown];
        let shut = self.assess(vm, &ask, now).into_iter().filter(|(gate, _)| warns.contains(gate));
        shut.filter_map(|(gate, why)| Some(format!("{}: {}", gate.word(), why?))).collect()
    }

    fn taker(&self, from: HostId, host: HostId, given: u32) -> Taker {
        let live = self.host(host);
        let described = self.cluster.host(host);
        let (name, capacity) = (described.name.clone(), described.capacity);
        let vms_after = live.vms + self.incoming(host) + given;
        let load_after = self.load_with(from, host, given);
        let overloaded =
            load_after.is_some_and(|load| load > OVERLOAD) || capacity.is_some_and(|capacity| vms_after > capacity);
        Taker { host: name, vms: live.vms, vms_after, capacity, load: live.load, load_after, overloaded }
    }
}

fn plan_warnings(moves: &[PlannedMove], hosts: &[Taker]) -> Vec<String> {
    let overloaded = hosts.iter().filter(|to| to.overloaded).map(|to| {
        let load = to.load_after.map_or_else(String::new, |load| format!(", {} load", percent(load)));
        format!("{} would have too much: {}{load}", to.host, in_vms(to.vms_after))
    });
    let staying = moves.iter().filter_map(|planned| Some(format!("{} stays: {}", planned.vm, planned.why.as_ref()?)));
    overloaded.chain(staying).collect()
}
