//! Applies a changed config. VMs, hosts and arrays keep their state by name.

use std::collections::HashSet;

use crate::core::cluster::{ArrayId, Cluster, HostId, HostState, Name, Reading, Timestamp, VmId};
use crate::core::policy::Rule;

use super::memory::{HostLive, VmMemory, Waiting};
use super::message::{ConfigChange, Effect, Route};
use super::migration::{Migration, Stage};
use super::record::{Gate, Happened, Record};
use super::timers::{Timer, Timers};
use super::{Engine, by_name};

/// The author of records about what a changed config changes.
pub(super) const CONFIG: &str = "config";
/// Changes outside policies that are recorded one by one, at most.
const LINES_SAID: usize = 50;

/// The reason of a gap where a changed config ended a reading that was under way.
const CUT_SHORT: &str = "the config was changed while it was read";

/// A request that does not wait any more; which gate is said to have stopped it, and why.
type Dropped = (VmId, Waiting, Gate, &'static str);

impl Engine {
    /// Checks that a cluster can replace this one now: it must still have each VM and host of a running migration.
    ///
    /// # Errors
    /// Which VM's migration is in the way.
    pub fn can_become(&self, new: &Cluster) -> Result<(), String> {
        let names = Names::between(&self.cluster, new);
        match self.migrations.values().find(|migration| names.route(migration.route).is_none()) {
            Some(migration) => {
                let vm = &self.cluster.vm(migration.route.vm).name;
                Err(format!(
                    "{vm} is migrating, and it or one of its hosts is not in the new config; it is read again when that is done"
                ))
            }
            None => Ok(()),
        }
    }

    pub(super) fn on_reconfigured(
        &mut self,
        now: Timestamp,
        mut new: Cluster,
        reread: &[String],
        said: Vec<ConfigChange>,
        out: &mut Vec<Effect>,
    ) {
        if let Err(why) = self.can_become(&new) {
            return self.alarm(now, None, format!("config not applied: {why}"), out);
        }
        // A mode that an operator set stays until the config has another than before.
        if std::mem::replace(&mut self.config_mode, new.mode) == new.mode {
            new.mode = self.cluster.mode;
        }
        let names = Names::between(&self.cluster, &new);
        let old = std::mem::replace(&mut self.cluster, new);
        self.vms_by_name = by_name(&self.cluster.vms, |vm| &vm.name, VmId::at);
        self.hosts_by_name = by_name(&self.cluster.hosts, |host| &host.name, HostId::at);
        let stood: Vec<HostId> = self.vms.iter().map(VmMemory::host).collect();
        self.carry_hosts(&names);
        self.carry_drains(now, &names);
        // The monitor or driver that was asked may be gone.
        let asked = self.vms.iter().zip(&names.vms).filter(|(memory, _)| memory.transient.asked.is_some());
        let unread: Vec<VmId> = asked.filter_map(|(_, vm)| *vm).collect();
        let leaving: Vec<_> =
            self.vms.iter().map(|memory| memory.leaving.as_ref().map(|leaving| leaving.action)).collect();
        let dropped = self.carry_vms(&old, &names);
        self.carry_migrations(now, &names);
        self.forget_readings(&old, &names, reread);
        self.tell_of_lost_hosts(now, &old, &stood, &names, out);
        for (_, vm, _) in &mut self.alarms {
            *vm = vm.and_then(|id| names.vms[id.index()]);
        }
        self.count_placed();
        self.marks.clear();
        self.set_timers(now, &names);
        self.say_changes(now, &old, &names, said, out);
        for (vm, waiting, gate, why) in dropped {
            self.say_dropped(now, vm, &waiting, gate, why, out);
        }
        for (action, vm) in leaving.iter().zip(&names.vms) {
            if let (Some(action), Some(vm)) = (*action, *vm)
                && self.live(vm).leaving.is_none()
            {
                let (gate, detail) = (Gate::Destination, "its destination is not in the config any more".to_owned());
                self.block(now, vm, action, gate, detail, out);
                self.take_order_back(vm, out);
            }
        }
        let text = format!("applied: {} VMs, {} hosts", self.vms.len(), self.hosts.len());
        let what = Happened::Operator { by: CONFIG.to_owned(), text };
        out.push(Effect::Record(Record { at: now, vm: None, what }));
        for vm in unread {
            self.on_reading(now, vm, Reading::Gap(CUT_SHORT.to_owned()), out);
        }
        for vm in self.vm_ids() {
            self.say_state(now, vm, out);
        }
    }

    fn carry_hosts(&mut self, names: &Names) {
        let unknown = HostLive { state: HostState::Unknown, ..HostLive::default() };
        let mut hosts = vec![unknown; self.cluster.hosts.len()];
        for (old, new) in names.hosts.iter().enumerate() {
            if let Some(new) = new {
                hosts[new.index()] = self.hosts[old];
            }
        }
        self.hosts = hosts;
    }

    /// Goes on with drains. Where their VMs go is planned anew.
    fn carry_drains(&mut self, now: Timestamp, names: &Names) {
        let drains = std::mem::take(&mut self.drains);
        for (host, mut draining) in drains {
            if let Some(host) = names.hosts[host.index()] {
                let known = |vm: VmId| names.vms[vm.index()];
                draining.spared =
                    draining.spared.iter().filter_map(|(vm, until)| Some((known(*vm)?, *until))).collect();
                draining.planned.clear();
                self.drains.insert(host, draining);
            }
        }
        self.drains_at = now;
    }

    fn carry_vms(&mut self, old: &Cluster, names: &Names) -> Vec<Dropped> {
        let mut before: Vec<Option<VmMemory>> = self.cluster.vms.iter().map(|_| None).collect();
        let mut all_dropped = Vec::new();
        for (from, memory) in std::mem::take(&mut self.vms).into_iter().enumerate() {
            let Some(to) = names.vms[from] else { continue };
            let (described, waited) = (self.cluster.vm(to), memory.waiting);
            let mut memory = memory.map(|id| names.hosts[id.index()], |id| names.arrays[id.index()], described.host);
            memory.transient.asked = None;
            let dropped = memory.take_over(&old.vms[from].policy, &described.policy, waited.is_some());
            all_dropped.extend(waited.zip(dropped).map(|(waiting, (gate, why))| (to, waiting, gate, why)));
            before[to.index()] = Some(memory);
        }
        let known = before.into_iter().zip(&self.cluster.vms);
        self.vms = known.map(|(known, vm)| known.unwrap_or_else(|| VmMemory::new(vm.host))).collect();
        all_dropped
    }

    /// Records what has changed: each setting, then the rest line by line.
    fn say_changes(&self, at: Timestamp, old: &Cluster, names: &Names, said: Vec<ConfigChange>, out: &mut Vec<Effect>) {
        for (was, vm) in old.vms.iter().zip(&names.vms) {
            if let Some(vm) = *vm {
                self.say_edits(at, vm, CONFIG, None, &was.policy, out);
            }
        }
        let more = said.len().saturating_sub(LINES_SAID);
        let more = (more > 0).then(|| ConfigChange { vm: None, text: format!("and {more} changes more") });
        for ConfigChange { vm: name, text } in said.into_iter().take(LINES_SAID).chain(more) {
            let vm = name.as_ref().and_then(|name| self.vm_named(name)).map(|vm| self.cluster.vm(vm).name.clone());
            // A VM that is gone has no id.
            let text = match name.filter(|_| vm.is_none()) {
                Some(name) => format!("VM {name}: {text}"),
                None => text,
            };
            let what = Happened::Operator { by: CONFIG.to_owned(), text };
            out.push(Effect::Record(Record { at, vm, what }));
        }
    }

    /// Records which VMs were on hosts that have left the config, and are assumed to be where the config has them.
    fn tell_of_lost_hosts(&self, at: Timestamp, old: &Cluster, stood: &[HostId], names: &Names, out: &mut Vec<Effect>) {
        for (vm, host) in names.vms.iter().zip(stood).filter(|(_, host)| names.hosts[host.index()].is_none()) {
            let Some(vm) = *vm else { continue };
            let (gone, here) = (&old.host(*host).name, &self.cluster.host(self.live(vm).host).name);
            let text = format!("its host {gone} is not in the new config: taken to be on {here}");
            self.record(at, vm, Happened::Operator { by: CONFIG.to_owned(), text }, out);
        }
    }

    /// Resets counts and counters of VMs that are read elsewhere or have another indicator.
    fn forget_readings(&mut self, old: &Cluster, names: &Names, reread: &[String]) {
        for (from, was) in old.vms.iter().enumerate() {
            let Some(vm) = names.vms[from] else { continue };
            if was.indicator != self.cluster.vm(vm).indicator || reread.iter().any(|name| was.name == *name) {
                let live = self.live_mut(vm);
                live.forget_readings();
            }
        }
    }

    /// Asks for open outcomes again: the driver that was asked may be gone.
    fn carry_migrations(&mut self, now: Timestamp, names: &Names) {
        for migration in self.migrations.values_mut() {
            migration.ask_at(now);
            if let Some(route) = names.route(migration.route) {
                migration.route = route;
                let known = |hosts: Vec<HostId>| hosts.iter().map(|host| names.hosts[host.index()]).collect();
                if let Stage::Preflight { found, .. } | Stage::Journal { found, .. } = &mut migration.stage {
                    *found = found.take().and_then(known);
                }
            }
        }
    }

    fn set_timers(&mut self, now: Timestamp, names: &Names) {
        self.timers = Timers::default();
        let known: HashSet<VmId> = names.vms.iter().flatten().copied().collect();
        for vm in self.vm_ids() {
            if !known.contains(&vm) {
                self.begin(vm, now);
                continue;
            }
            let live = self.live(vm);
            let (next, hold) = (live.readings.next, live.hold.map(|hold| hold.until));
            let lapse = live.waiting.as_ref().map(|waiting| waiting.lapses);
            let due = live.transient.migration.and_then(|id| self.migrations.get(&id)).map(Migration::due);
            // If the interval is shorter now, the next reading comes sooner.
            let soonest = now + self.cluster.vm(vm).interval;
            let settling = live.settle.is_some();
            self.read_at(vm, if settling { next } else { next.min(soonest) });
            for (at, timer) in [(hold, Timer::Hold), (lapse, Timer::Lapse), (due, Timer::Migration)] {
                self.timers.set(at.unwrap_or(Timestamp::NEVER), vm, timer);
            }
            if matches!(self.settings(vm).rule, Rule::Schedule { .. }) {
                self.hours_at(vm, now);
            }
        }
    }
}

/// The new id of each old one, if its name is still there: only names outlive a changed config.
pub(in crate::core) struct Names {
    pub(in crate::core) vms: Vec<Option<VmId>>,
    pub(in crate::core) hosts: Vec<Option<HostId>>,
    pub(in crate::core) arrays: Vec<Option<ArrayId>>,
}

impl Names {
    pub(in crate::core) fn between(old: &Cluster, new: &Cluster) -> Self {
        Self {
            vms: paired(&old.vms, &new.vms, |vm| &vm.name, VmId::at),
            hosts: paired(&old.hosts, &new.hosts, |host| &host.name, HostId::at),
            arrays: paired(&old.arrays, &new.arrays, |array| &array.name, ArrayId::at),
        }
    }

    /// The route in the new ids, if its VM and both its hosts are still there.
    pub(in crate::core) fn route(&self, route: Route) -> Option<Route> {
        let (vm, from) = (self.vms[route.vm.index()]?, self.hosts[route.from.index()]?);
        Some(Route { vm, from, to: self.hosts[route.to.index()]?, ..route })
    }
}

fn paired<T, I: Copy>(old: &[T], new: &[T], name: impl Fn(&T) -> &Name, id: impl Fn(usize) -> I) -> Vec<Option<I>> {
    let places = by_name(new, &name, id);
    old.iter().map(|thing| places.get(name(thing)).copied()).collect()
}
