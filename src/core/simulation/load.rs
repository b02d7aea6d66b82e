//! How much CPU each VM wants, how busy that makes its host, and what its service makes of it.
//!
//! What a VM wants is a formula of (seed, VM, time), so that the order of questions changes nothing:
//! `demand = base · (1 + swing · sin(day)) · (1 + noise)`, times bursts and surges. The day peaks around noon UTC. The noise is a
//! slow drift plus a flicker from step to step. A burst lasts 4 to 12 minutes within a slot of 15, with a ramp at either end.
//!
//! Demand is constant for one step of absolute time. The counters of all VMs of a host grow together, when a step is over, so
//! that it does not matter which VM is read when, or how often.

use super::queue::Worker;
use super::{RandomUse, Service, VmPlan, between, unit, wave};
use crate::core::cluster::{HostId, RequestId, Span, Timestamp, VmId};

/// Demand and load are constant for this long.
pub(super) const STEP: Span = Span::from_secs(5);

const DAY_S: f64 = 86_400.0;
/// The day's sine peaks at noon, give or take [`PEAK_SPREAD`].
const PEAK: f64 = 0.5;
const PEAK_SPREAD: f64 = 0.06;
const DRIFT: f64 = 0.08;
const DRIFT_S: i64 = 120;
const FLICKER: f64 = 0.03;
const BURST_SLOT_S: i64 = 900;
const BURST_RAMP_S: f64 = 45.0;

/// The step in which an instant is.
pub(super) const fn step_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(STEP.millis())
}

/// Queries a minute of a MySQL service on an ordinary day.
const QUERIES_A_MINUTE: f64 = 600.0;
/// `long_query_time`, in multiples of the mean time of a query on an idle host.
const LONG_QUERY: f64 = 30.0;
/// This share of slow queries counts as none, because a calm database logs nothing at all.
const NONE_OF_THEM: f64 = 2e-4;
/// Apache's MaxRequestWorkers.
pub(super) const WORKERS: f64 = 60.0;
/// Busy workers on an ordinary day on an idle host: arrivals times service time (Little's law).
const BUSY_WORKERS: f64 = 6.0;
/// The time of an http answer on an idle host, in ms.
const RESPONSE_MS: f64 = 80.0;
/// Above this load everything slows down in proportion to the load, no longer as 1/(1−ρ).
const SATURATED: f64 = 0.95;

/// How many times longer everything takes at a load ρ: 1/(1−ρ), as in an M/M/1 queue, up to ρ = 0.95 (20 times), and above that in
/// proportion to the load.
pub(super) fn slowdown(wanted: f64) -> f64 {
    (wanted / SATURATED).max(1.0) / (1.0 - wanted.clamp(0.0, SATURATED))
}

/// Slow queries in one step: those that take longer than `long_query_time`. The times of queries have a Lomax tail of shape 8,
/// close to the exponential of M/M/1: `P(T > L) = (1 + L / (8·mean))⁻⁸`. The mean grows with the slowdown.
pub(super) fn slow_queries(activity: f64, slowdown: f64) -> f64 {
    let tail = (1.0 + LONG_QUERY / (8.0 * slowdown)).powi(8);
    QUERIES_A_MINUTE * activity * STEP.secs_f64() / 60.0 * (1.0 / tail - NONE_OF_THEM).max(0.0)
}

/// Apache's idle workers: all but the busy ones (Little's law).
pub(super) fn idle_workers(activity: f64, slowdown: f64) -> f64 {
    // Adding 0 turns −0 into 0, which is how it is shown.
    (WORKERS - BUSY_WORKERS * activity * slowdown).round().max(0.0) + 0.0
}

/// The time of an http answer in ms. `luck`, from 0 to 1, changes it by up to 15 % either way.
pub(super) fn response_ms(slowdown: f64, luck: f64) -> f64 {
    (RESPONSE_MS * slowdown * (0.85 + 0.3 * luck)).round()
}

/// The least CPU of a host, in GHz. A load of a host without CPU would be no number.
const LEAST_GHZ: f64 = 0.1;
/// The part of its demand that the VM of a worker without work wants.
const IDLE_WORKER: f64 = 0.2;

/// A simulated host.
#[derive(Debug, Clone)]
pub(super) struct SimulatedHost {
    ghz: f64,
    /// When it comes back; `None`: it is up.
    pub(super) down_until: Option<Timestamp>,
    /// In the order of their ids, so that sums do not depend on which came first.
    vms: Vec<VmId>,
    /// How many of its VMs have a counter.
    counters: usize,
    /// The first step that the counters do not include.
    next_step: i64,
    /// The step for which the VMs' `activity` is known, and the host's demand in it.
    known: Option<(i64, f64)>,
}

/// A simulated VM.
#[derive(Debug, Clone)]
pub(super) struct SimulatedVm {
    key: u64,
    pub(super) plan: VmPlan,
    /// By which part of a day the VM's day is shifted.
    shift: f64,
    pub(super) host: HostId,
    pub(super) worker: Option<Box<Worker>>,
    /// The migration that moves it.
    pub(super) moving: Option<RequestId>,
    /// It is stopped while it is copied between sites.
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
    /// `worker`: what works its queues, if that is its service.
    pub(super) fn new(key: u64, mut plan: VmPlan, host: HostId, worker: Option<Worker>) -> Self {
        (plan.demand_ghz, plan.swing) = (plan.demand_ghz.max(0.0), plan.swing.clamp(0.0, 1.0));
        Self {
            key,
            shift: 0.25 - PEAK + (unit(key, RandomUse::Phase, 0) - 0.5) * PEAK_SPREAD,
            plan,
            host,
            worker: worker.map(Box::new),
            moving: None,
            off: false,
            counter: 0.0,
            activity: 0.0,
        }
    }

    /// Takes over the state of the same VM before the config changed.
    pub(super) fn carry_on(&mut self, before: Self) {
        if self.plan.service == before.plan.service {
            (self.counter, self.worker) = (before.counter, before.worker);
        }
    }

    /// How busy it is in a step, relative to its ordinary day.
    pub(super) fn activity(&self, step: i64) -> f64 {
        match &self.worker {
            _ if self.off => 0.0,
            Some(worker) if !worker.is_busy() => IDLE_WORKER * self.wants(step),
            _ => self.wants(step),
        }
    }

    /// The CPU that it takes of its host when it is this busy, in GHz.
    pub(super) fn takes(&self, activity: f64) -> f64 {
        let wanted = self.plan.demand_ghz * activity;
        self.plan.limit_ghz.map_or(wanted, |limit| wanted.min(limit))
    }

    /// How slow it is, because of the host's load and of its own limit.
    fn slowdown(&self, host_load: f64, activity: f64) -> f64 {
        let own = self.plan.limit_ghz.map_or(1.0, |limit| slowdown(self.plan.demand_ghz * activity / limit));
        slowdown(host_load) + own - 1.0
    }

    /// The VM's demand in a step, relative to its ordinary demand.
    fn wants(&self, step: i64) -> f64 {
        let seconds = step * (STEP.millis() / 1_000);
        let day = 1.0 + self.plan.swing * wave(seconds as f64 / DAY_S + self.shift);
        let noise =
            1.0 + DRIFT * self.drift(seconds) + FLICKER * (2.0 * unit(self.key, RandomUse::Flicker, step) - 1.0);
        day * noise * self.burst(seconds) * self.surge(step)
    }

    /// From −1 to 1: a straight line between random points, one every [`DRIFT_S`].
    fn drift(&self, seconds: i64) -> f64 {
        let (knot, within) = (seconds.div_euclid(DRIFT_S), seconds.rem_euclid(DRIFT_S) as f64 / DRIFT_S as f64);
        let (a, b) = (unit(self.key, RandomUse::Drift, knot), unit(self.key, RandomUse::Drift, knot + 1));
        2.0 * (a + (b - a) * within) - 1.0
    }

    fn burst(&self, seconds: i64) -> f64 {
        let (slot, within) = (seconds.div_euclid(BURST_SLOT_S), seconds.rem_euclid(BURST_SLOT_S) as f64);
        if unit(self.key, RandomUse::Burst, slot) >= self.plan.bursts_a_day * BURST_SLOT_S as f64 / DAY_S {
            return 1.0;
        }
        let length = f64::from(between(self.key, RandomUse::BurstLength, slot, 240, 720));
        let begins = unit(self.key, RandomUse::BurstAt, slot) * (BURST_SLOT_S as f64 - length);
        let inside = (within - begins).min(begins + length - within) / BURST_RAMP_S;
        1.0 + (self.plan.burst - 1.0) * inside.clamp(0.0, 1.0)
    }

    fn surge(&self, step: i64) -> f64 {
        if self.plan.surges.is_empty() {
            return 1.0;
        }
        let at = Timestamp::from_millis(step * STEP.millis());
        self.plan.surges.iter().filter(|s| s.from <= at && at < s.from + s.lasts).map(|s| s.times).product()
    }
}

impl SimulatedFleet {
    /// The CPU that the VMs of a host want, relative to the host's CPU.
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

    /// How slow a VM is on its host.
    pub(super) fn slowdown(&mut self, vm: VmId, now: Timestamp) -> f64 {
        let (host, step) = (self.guests[vm.index()].host, step_of(now));
        self.settle(host, now);
        let load = self.load_in_step(host, step);
        let guest = &self.guests[vm.index()];
        guest.slowdown(load, guest.activity(step))
    }

    /// The slow queries since the service started.
    pub(super) fn slow_queries(&mut self, vm: VmId, now: Timestamp) -> f64 {
        self.settle(self.guests[vm.index()].host, now);
        self.guests[vm.index()].counter.floor()
    }

    /// The idle workers of an Apache.
    pub(super) fn idle_workers(&mut self, vm: VmId, now: Timestamp) -> f64 {
        let slowdown = self.slowdown(vm, now);
        idle_workers(self.guests[vm.index()].activity(step_of(now)), slowdown)
    }

    /// The time of an http answer in ms.
    pub(super) fn response_ms(&mut self, vm: VmId, now: Timestamp) -> f64 {
        let slowdown = self.slowdown(vm, now);
        response_ms(slowdown, unit(self.guests[vm.index()].key, RandomUse::Response, now.millis()))
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
            if guest.plan.service == Some(Service::Mysql) && !guest.off {
                guest.counter += slow_queries(guest.activity, guest.slowdown(load, guest.activity));
            }
        }
    }

    /// The host's load in a step. It also sets its VMs' `activity`.
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

    /// Changes a VM on its host, from now on.
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
        machine.counters += usize::from(guest.plan.service == Some(Service::Mysql));
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
        machine.counters -= usize::from(self.guests[vm.index()].plan.service == Some(Service::Mysql));
        machine.known = None;
        self.put(vm, to, now);
    }

    /// Has a host fail. Its services start again later, with their counters at 0.
    pub(super) fn fail(&mut self, host: HostId, now: Timestamp, until: Timestamp) {
        self.settle(host, now);
        let machine = &mut self.machines[host.index()];
        machine.down_until = Some(machine.down_until.map_or(until, |before| before.max(until)));
        for vm in &machine.vms {
            self.guests[vm.index()].counter = 0.0;
        }
    }

    /// Has a host come back.
    pub(super) fn recover(&mut self, host: HostId, now: Timestamp) {
        self.settle(host, now);
        self.machines[host.index()].down_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Surge, key};
    use super::*;

    fn guest(key: u64, plan: VmPlan) -> SimulatedVm {
        SimulatedVm::new(key, plan, HostId(0), None)
    }

    fn steps_of_a_day() -> std::ops::Range<i64> {
        let first = step_of(Timestamp::from_secs(1_241_568_000));
        first..first + 17_280
    }

    #[test]
    fn a_quiet_vm_stays_near_its_day() {
        let plan = VmPlan { bursts_a_day: 0.0, swing: 0.3, ..VmPlan::default() };
        let demand = guest(9, plan);
        let noon = demand.activity(steps_of_a_day().start + 8_640);
        let night = demand.activity(steps_of_a_day().start);
        assert!((noon - 1.3).abs() < 0.18 && (night - 0.7).abs() < 0.12, "{noon} {night}");
    }

    #[test]
    fn bursts_come_as_often_as_planned() {
        let plan = VmPlan { bursts_a_day: 24.0, swing: 0.0, burst: 3.0, ..VmPlan::default() };
        let busy = |key| {
            let demand = guest(key, plan.clone());
            steps_of_a_day().filter(|&s| demand.activity(s) > 2.0).count()
        };
        let share = (0..20).map(busy).sum::<usize>() as f64 / (20.0 * 17_280.0);
        // 24 bursts of 8 minutes are 13 % of a day.
        assert!((0.10..0.16).contains(&share), "{share}");
    }

    #[test]
    fn a_surge_comes_when_it_is_planned() {
        let from = Timestamp::from_secs(1_241_600_000);
        let surges = vec![Surge { from, lasts: Span::from_mins(5), times: 10.0 }];
        let demand = guest(1, VmPlan { bursts_a_day: 0.0, surges, ..VmPlan::default() });
        let at = |s| demand.activity(step_of(from + Span::from_secs(s)));
        assert!(at(0) > 5.0 && at(299) > 5.0 && at(300) < 2.0);
        assert!(demand.activity(step_of(from) - 1) < 2.0);
    }

    #[test]
    fn units_are_spread_evenly() {
        let mean = (0..10_000).map(|n| unit(key(1, 7), RandomUse::Drift, n)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((0..10_000).map(|n| unit(3, RandomUse::Burst, n)).all(|u| (0.0..1.0).contains(&u)));
    }

    #[test]
    fn uses_do_not_share_their_numbers() {
        assert_ne!(unit(1, RandomUse::Burst, 5), unit(1, RandomUse::BurstAt, 5));
        assert_ne!(unit(key(1, 0), RandomUse::Burst, 5), unit(key(1, 1), RandomUse::Burst, 5));
        assert_ne!(unit(key(1, 0), RandomUse::Burst, 5), unit(key(2, 0), RandomUse::Burst, 5));
    }

    #[test]
    fn the_wave_is_a_sine() {
        for n in -100..100 {
            let turns = f64::from(n) / 37.0;
            assert!((wave(turns) - (turns * std::f64::consts::TAU).sin()).abs() < 0.002, "{turns}");
        }
    }

    fn a_minute(wanted: f64) -> f64 {
        12.0 * slow_queries(1.0, slowdown(wanted))
    }

    #[test]
    fn slowdown_grows_without_a_step() {
        assert_eq!(slowdown(0.0), 1.0);
        assert_eq!(slowdown(0.5), 2.0);
        assert!((slowdown(0.9) - 10.0).abs() < 1e-9);
        assert!((slowdown(0.950_001) - slowdown(0.949_999)).abs() < 0.01);
        assert!((slowdown(1.9) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn crowding_makes_queries_slow_steeply() {
        assert_eq!(a_minute(0.4), 0.0);
        assert!((2.0..10.0).contains(&a_minute(0.8)));
        assert!((40.0..80.0).contains(&a_minute(0.9)));
        assert!(a_minute(0.95) > 140.0);
    }

    #[test]
    fn crowding_takes_workers_and_time() {
        assert_eq!(idle_workers(1.0, slowdown(0.0)), 54.0);
        assert_eq!(idle_workers(1.0, slowdown(0.5)), 48.0);
        assert!(idle_workers(1.0, slowdown(0.95)).is_sign_positive());
        assert_eq!(idle_workers(1.0, slowdown(0.95)), 0.0);
        assert_eq!(response_ms(slowdown(0.5), 0.5), 160.0);
        assert_eq!(response_ms(slowdown(0.95), 0.5), 1_600.0);
    }
}
