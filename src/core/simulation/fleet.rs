//! Hosts and the VMs on them: how much of a host its VMs want, and what the services make of it.
//!
//! A host's demand is constant for one step of absolute time. Counters grow step by step for all VMs of a host together, when the
//! step is over. So it does not matter which VM is read when, or how often.

use super::load::{self, Demand, RandomUse, step_of};
use super::plan::{Service, ServiceSilence, VmPlan};
use super::queue::Worker;
use crate::core::cluster::{HostId, RequestId, Timestamp, VmId};

/// The least CPU of a host, in GHz. Without any the load would be no number.
const LEAST_GHZ: f64 = 0.1;
/// A worker's VM without work wants this part of its demand.
const IDLE_WORKER: f64 = 0.2;

/// A simulated host.
#[derive(Debug, Clone)]
pub(super) struct SimulatedHost {
    ghz: f64,
    /// It has failed, and comes back then.
    pub(super) down_until: Option<Timestamp>,
    /// In the order of their ids, so that sums do not depend on the order of arrival.
    vms: Vec<VmId>,
    /// How many of them have a counter to keep.
    counters: usize,
    /// The first step whose increments are not in the counters.
    next_step: i64,
    /// The step of the VMs' `activity`, and the host's demand in it.
    known: Option<(i64, f64)>,
}

/// A simulated VM.
#[derive(Debug, Clone)]
pub(super) struct SimulatedVm {
    key: u64,
    demand: Demand,
    limit_ghz: Option<f64>,
    pub(super) service: Option<Service>,
    pub(super) host: HostId,
    pub(super) memory_mb: f64,
    pub(super) dirty_mb_s: f64,
    pub(super) deadline_ms: f64,
    pub(super) silences: Box<[ServiceSilence]>,
    pub(super) worker: Option<Box<Worker>>,
    /// The migration it is in.
    pub(super) moving: Option<RequestId>,
    /// It runs nowhere, because it is being copied between sites.
    pub(super) off: bool,
    counter: f64,
    activity: f64,
}

/// All hosts and VMs, by their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct SimulatedFleet {
    pub(super) machines: Vec<SimulatedHost>,
    pub(super) guests: Vec<SimulatedVm>,
}

impl SimulatedHost {
    pub(super) const fn new(ghz: f64, start: Timestamp) -> Self {
        let ghz = ghz.max(LEAST_GHZ);
        Self { ghz, down_until: None, vms: Vec::new(), counters: 0, next_step: step_of(start), known: None }
    }

    pub(super) const fn is_down(&self) -> bool {
        self.down_until.is_some()
    }

    pub(super) fn vms(&self) -> &[VmId] {
        &self.vms
    }
}

impl SimulatedVm {
    pub(super) fn new(key: u64, plan: &VmPlan, host: HostId, start: Timestamp) -> Self {
        let worker = (plan.service == Some(Service::Queue))
            .then(|| Worker::new(key, start + plan.queue_first, plan.queue_every));
        Self {
            key,
            demand: Demand::new(key, plan),
            limit_ghz: plan.limit_ghz,
            service: plan.service,
            host,
            memory_mb: plan.memory_mb,
            dirty_mb_s: plan.dirty_mb_s,
            deadline_ms: plan.deadline.millis() as f64,
            silences: plan.silences.clone().into(),
            worker: worker.map(Box::new),
            moving: None,
            off: false,
            counter: 0.0,
            activity: 0.0,
        }
    }

    /// Takes over the state of the VM that had the same name before the config changed.
    pub(super) fn carry_on(&mut self, before: Self) {
        if self.service == before.service {
            (self.counter, self.worker) = (before.counter, before.worker);
        }
    }

    /// How much it does in a step, relative to its ordinary day.
    pub(super) fn activity(&self, step: i64) -> f64 {
        match &self.worker {
            _ if self.off => 0.0,
            Some(worker) if !worker.is_busy() => IDLE_WORKER * self.demand.activity(step),
            _ => self.demand.activity(step),
        }
    }

    /// The GHz that it takes of its host at an activity.
    pub(super) fn takes(&self, activity: f64) -> f64 {
        let wanted = self.demand.base() * activity;
        self.limit_ghz.map_or(wanted, |limit| wanted.min(limit))
    }

    /// How slow it is: from the host's load and from its own limit.
    fn slowdown(&self, host_load: f64, activity: f64) -> f64 {
        let own = self.limit_ghz.map_or(1.0, |limit| load::slowdown(self.demand.base() * activity / limit));
        load::slowdown(host_load) + own - 1.0
    }
}

impl SimulatedFleet {
    /// The CPU that the VMs of a host want, relative to what it has.
    pub(super) fn load(&self, host: HostId, now: Timestamp) -> f64 {
        let (machine, step) = (&self.machines[host.index()], step_of(now));
        let demand = match machine.known {
            Some((known, demand)) if known == step => demand,
            _ => machine
                .vms
                .iter()
                .map(|vm| &self.guests[vm.index()])
                .fold(0.0, |sum, g| sum + g.takes(g.activity(step))),
        };
        demand / machine.ghz
    }

    /// How slow a VM is where it is.
    pub(super) fn slowdown(&mut self, vm: VmId, now: Timestamp) -> f64 {
        let (host, step) = (self.guests[vm.index()].host, step_of(now));
        self.settle(host, now);
        let load = self.load_in_step(host, step);
        let guest = &self.guests[vm.index()];
        guest.slowdown(load, guest.activity(step))
    }

    /// Slow queries since the service started.
    pub(super) fn slow_queries(&mut self, vm: VmId, now: Timestamp) -> f64 {
        self.settle(self.guests[vm.index()].host, now);
        self.guests[vm.index()].counter.floor()
    }

    /// Idle workers of an Apache.
    pub(super) fn idle_workers(&mut self, vm: VmId, now: Timestamp) -> f64 {
        let slowdown = self.slowdown(vm, now);
        load::idle_workers(self.guests[vm.index()].activity(step_of(now)), slowdown)
    }

    /// An http answer's time in ms.
    pub(super) fn response_ms(&mut self, vm: VmId, now: Timestamp) -> f64 {
        let slowdown = self.slowdown(vm, now);
        load::response_ms(slowdown, load::unit(self.guests[vm.index()].key, RandomUse::Response, now.millis()))
    }

    /// Brings a host's counters up to date. Call this before anything changes on the host.
    pub(super) fn settle(&mut self, host: HostId, now: Timestamp) {
        let until = step_of(now);
        let machine = &self.machines[host.index()];
        let first = machine.next_step;
        if machine.counters > 0 && !machine.is_down() {
            for step in first..until {
                self.count(host, step);
            }
        }
        let machine = &mut self.machines[host.index()];
        machine.next_step = machine.next_step.max(until);
    }

    fn count(&mut self, host: HostId, step: i64) {
        let load = self.load_in_step(host, step);
        for vm in &self.machines[host.index()].vms {
            let guest = &mut self.guests[vm.index()];
            if guest.service == Some(Service::Mysql) && !guest.off {
                guest.counter += load::slow_queries(guest.activity, guest.slowdown(load, guest.activity));
            }
        }
    }

    /// The host's load in a step. Updates its VMs' `activity`.
    fn load_in_step(&mut self, host: HostId, step: i64) -> f64 {
        let machine = &mut self.machines[host.index()];
        if let Some((known, demand)) = machine.known
            && known == step
        {
            return demand / machine.ghz;
        }
        let mut demand = 0.0;
        for vm in &machine.vms {
            let guest = &mut self.guests[vm.index()];
            guest.activity = guest.activity(step);
            demand += guest.takes(guest.activity);
        }
        machine.known = Some((step, demand));
        demand / machine.ghz
    }

    /// Changes a VM where it is, from now on.
    pub(super) fn change(&mut self, vm: VmId, now: Timestamp, change: impl FnOnce(&mut SimulatedVm)) {
        let host = self.guests[vm.index()].host;
        self.settle(host, now);
        change(&mut self.guests[vm.index()]);
        self.machines[host.index()].known = None;
    }

    /// Puts a VM on a host.
    pub(super) fn put(&mut self, vm: VmId, host: HostId, now: Timestamp) {
        self.settle(host, now);
        let guest = &mut self.guests[vm.index()];
        guest.host = host;
        let machine = &mut self.machines[host.index()];
        machine.counters += usize::from(guest.service == Some(Service::Mysql));
        let place = machine.vms.partition_point(|other| *other < vm);
        machine.vms.insert(place, vm);
        machine.known = None;
    }

    /// Takes a VM from its host and puts it on another.
    pub(super) fn carry(&mut self, vm: VmId, to: HostId, now: Timestamp) {
        let from = self.guests[vm.index()].host;
        self.settle(from, now);
        let machine = &mut self.machines[from.index()];
        machine.vms.retain(|other| *other != vm);
        machine.counters -= usize::from(self.guests[vm.index()].service == Some(Service::Mysql));
        machine.known = None;
        self.put(vm, to, now);
    }

    /// A host fails. Its services start anew later, with their counters at 0.
    pub(super) fn fail(&mut self, host: HostId, now: Timestamp, until: Timestamp) {
        self.settle(host, now);
        let machine = &mut self.machines[host.index()];
        machine.down_until = Some(machine.down_until.map_or(until, |before| before.max(until)));
        for vm in &machine.vms {
            self.guests[vm.index()].counter = 0.0;
        }
    }

    /// A host comes back.
    pub(super) fn recover(&mut self, host: HostId, now: Timestamp) {
        self.settle(host, now);
        self.machines[host.index()].down_until = None;
    }
}
