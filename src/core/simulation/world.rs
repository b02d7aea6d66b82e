//! The simulation itself: what is due when, and the answers to what an engine asks. Driver and monitors in one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::crowd::{Crowd, Guest, Machine};
use super::demand::step_of;
use super::happen::Due;
use super::hash::{self, For};
use super::moving::Moving;
use super::plan::{Outage, Plan, Service, VmPlan};
use crate::core::cluster::{ArrayId, Cluster, HostId, Reading, RequestId, Span, Timestamp, VmId, in_words};
use crate::core::engine::{Event, Presence, QueueReport, Route};
use crate::core::insight::precopy;

/// The CPU of a host the plan does not have, in GHz.
const DEFAULT_GHZ: f64 = 6.0;

/// A simulated cluster: answers reads, carries out moves, and tells what happens meanwhile.
///
/// Pure and seeded: the same seed and the same calls give the same answers, and reading one VM never changes what
/// another is read to be. Time only goes forward: `now` must not be earlier than in the call before.
#[derive(Debug, Clone)]
pub struct Simulation {
    pub(super) seed: u64,
    pub(super) crowd: Crowd,
    /// By host: its array, and whether that is at home.
    pub(super) places: Vec<(ArrayId, bool)>,
    bandwidth_mb_s: f64,
    between_sites: (Span, Span),
    pub(super) moving: BTreeMap<RequestId, Moving>,
    pub(super) due: BinaryHeap<Reverse<(Timestamp, Due)>>,
    /// What has happened and was not told yet.
    pub(super) untold: Vec<Event>,
    pub(super) now: Timestamp,
}

impl Simulation {
    /// A cluster's VMs, each where the cluster says it is, as the plan describes them. VMs and hosts the plan does not
    /// have are ordinary ones. All hosts report at `start`, but those of arrays that a real driver drives: of these nothing
    /// is told, and nothing is ever due.
    pub fn new(cluster: &Cluster, plan: Plan, start: Timestamp) -> Self {
        let ghz = plan.hosts_ghz.iter().copied().chain(std::iter::repeat(DEFAULT_GHZ));
        let machines = ghz.take(cluster.hosts.len()).map(|ghz| Machine::new(ghz, start)).collect();
        let mut crowd = Crowd { machines, guests: Vec::with_capacity(cluster.vms.len()) };
        let ordinary = VmPlan::default();
        for (index, vm) in cluster.vms.iter().enumerate() {
            let planned = plan.vms.get(index).unwrap_or(&ordinary);
            crowd.guests.push(Guest::new(hash::key(plan.seed, index as u64), planned, vm.host, start));
            crowd.put(VmId::at(index), vm.host, start);
        }
        let hosts = (0..cluster.hosts.len()).map(HostId::at);
        let drives = |host: HostId| plan.simulates(cluster.host(host).array);
        let due = hosts.clone().filter(|host| drives(*host)).map(|host| Reverse((start, Due::Report(host))));
        let outages = plan.outages.iter().filter(|outage| drives(outage.host));
        let outages = outages.map(|o: &Outage| Reverse((o.from, Due::Fails(o.host, o.lasts))));
        Self {
            seed: plan.seed,
            crowd,
            places: hosts.map(|host| (cluster.host(host).array, cluster.is_home(host))).collect(),
            bandwidth_mb_s: plan.bandwidth_mb_s,
            between_sites: plan.between_sites,
            moving: BTreeMap::new(),
            due: due.chain(outages).collect(),
            untold: Vec::new(),
            now: start,
        }
    }

    /// When something happens next; [`Timestamp::NEVER`] if nothing does.
    pub fn next_event(&self) -> Timestamp {
        if !self.untold.is_empty() {
            return self.now;
        }
        self.due.peek().map_or(Timestamp::NEVER, |Reverse((at, _))| *at)
    }

    /// Tells everything that happens up to and including `now`, in the order of time.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        self.catch_up(now);
        out.append(&mut self.untold);
    }

    /// Reads a VM's service: the answer to [`Effect::Read`](crate::core::engine::Effect::Read).
    pub fn read(&mut self, vm: VmId, now: Timestamp) -> Event {
        self.catch_up(now);
        if let Some(reason) = self.silence(vm, now) {
            return Event::Reading { vm, reading: Reading::Gap(reason.to_owned()) };
        }
        let guest = &self.crowd.guests[vm.index()];
        let deadline = guest.deadline_ms;
        let reading = match guest.service {
            Some(Service::Mysql) => Reading::Raw(self.crowd.slow_queries(vm, now)),
            Some(Service::Apache) => Reading::Raw(self.crowd.idle_workers(vm, now)),
            Some(Service::Http) => match self.crowd.response_ms(vm, now) {
                late if late >= deadline => Reading::AtLeast(deadline),
                ms => Reading::Raw(ms),
            },
            Some(Service::Queue) => return self.poll(vm, now),
            None => Reading::Gap("not a simulated service".to_owned()),
        };
        Event::Reading { vm, reading }
    }

    /// Checks a move: the answer to [`Effect::Preflight`](crate::core::engine::Effect::Preflight).
    pub fn preflight(&mut self, route: Route, now: Timestamp) -> Event {
        self.catch_up(now);
        let guest = &self.crowd.guests[route.vm.index()];
        let refusal = if guest.host != route.from {
            Some("it does not run at the source")
        } else if guest.moving.is_some_and(|id| id != route.id) {
            Some("another migration moves it")
        } else if self.crowd.machines[route.from.index()].is_down() {
            Some("the source does not answer")
        } else if self.crowd.machines[route.to.index()].is_down() {
            Some("the destination does not answer")
        } else {
            None
        };
        let forecast = refusal.is_none().then(|| self.forecast(route, now));
        Event::Preflight { id: route.id, refusal: refusal.map(str::to_owned), forecast }
    }

    fn forecast(&self, route: Route, now: Timestamp) -> String {
        if self.is_live(route) {
            let (memory, dirty) = self.memory(route.vm, now);
            return precopy::in_words(memory, dirty, self.bandwidth_mb_s);
        }
        let takes = self.transfer(self.places[route.to.index()].1, 0.5);
        format!("about {}, stopped all the while", in_words(takes))
    }

    /// Whether the VM runs on while it is moved.
    fn is_live(&self, route: Route) -> bool {
        self.places[route.from.index()].0 == self.places[route.to.index()].0
    }

    /// A VM's memory in MB, and what it writes of it, in MB/s.
    fn memory(&self, vm: VmId, now: Timestamp) -> (f64, f64) {
        let guest = &self.crowd.guests[vm.index()];
        (guest.memory_mb, guest.dirty_mb_s * guest.activity(step_of(now)))
    }

    /// Starts a migration: pre-copy within an array, a stop, copy and start between arrays. What cannot start ends at
    /// once, the VM where it was; one that is under way goes on.
    pub fn start(&mut self, route: Route, now: Timestamp) {
        self.catch_up(now);
        if self.moving.contains_key(&route.id) {
            return;
        }
        if let Event::Preflight { refusal: Some(detail), .. } = self.preflight(route, now) {
            self.untold.push(Event::Ended { id: route.id, detail });
            return;
        }
        let live = self.is_live(route);
        let moving = if live { self.precopy(route, now) } else { self.between(route, now) };
        self.interrupt(route.vm, now);
        self.crowd.change(route.vm, now, |guest| (guest.moving, guest.off) = (Some(route.id), !live));
        self.push(moving.ends, Due::Ends(route.id));
        if let Some(at) = moving.reports_at(1) {
            self.push(at, Due::Progress(route.id, 1));
        }
        self.moving.insert(route.id, moving);
    }

    /// Breaks a migration off. It ends a second later at the source, unless it was over by then.
    pub fn abort(&mut self, route: Route, now: Timestamp) {
        self.catch_up(now);
        let Some(moving) = self.moving.get_mut(&route.id) else { return };
        if moving.abort(now) {
            let ends = moving.ends;
            self.push(ends, Due::Ends(route.id));
        }
    }

    /// The answer to [`Effect::Confirm`](crate::core::engine::Effect::Confirm): how far the migration is, if it is still
    /// under way; else what both hosts say.
    pub fn confirm(&mut self, route: Route, now: Timestamp) -> Event {
        self.catch_up(now);
        match self.moving.get(&route.id) {
            Some(moving) => {
                let (percent, detail, transfer) = moving.report_now(now);
                Event::Progress { id: route.id, percent, detail, transfer }
            }
            None => self.presence(route, now),
        }
    }

    /// Asks both hosts where the VM runs.
    pub fn presence(&mut self, route: Route, now: Timestamp) -> Event {
        self.catch_up(now);
        let guest = &self.crowd.guests[route.vm.index()];
        let at = |host: HostId| match () {
            () if self.crowd.machines[host.index()].is_down() => Presence::Unknown,
            () if guest.host == host && !guest.off => Presence::Runs,
            () => Presence::Absent,
        };
        Event::Presence { id: route.id, source: at(route.from), destination: at(route.to) }
    }

    fn precopy(&self, route: Route, now: Timestamp) -> Moving {
        let (memory, dirty) = self.memory(route.vm, now);
        Moving::live(route, now, memory, dirty, self.bandwidth_mb_s)
    }

    /// Away takes longer than home, as in the thesis: the upper and the lower half of what a move can take.
    fn between(&self, route: Route, now: Timestamp) -> Moving {
        let luck = hash::unit(hash::key(self.seed, u64::from(route.vm.0)), For::Transfer, route.id.0 as i64);
        Moving::between(route, now, self.transfer(self.places[route.to.index()].1, luck))
    }

    fn transfer(&self, homewards: bool, luck: f64) -> Span {
        let (low, high) = (self.between_sites.0.millis(), self.between_sites.1.millis());
        let part = if homewards { luck / 2.0 } else { 0.5 + luck / 2.0 };
        Span::from_millis(low + ((high - low) as f64 * part) as i64)
    }

    fn silence(&self, vm: VmId, now: Timestamp) -> Option<&str> {
        let guest = &self.crowd.guests[vm.index()];
        if guest.off || self.crowd.machines[guest.host.index()].is_down() {
            return Some("no answer");
        }
        let silence = guest.silences.iter().find(|s| s.from <= now && now < s.from + s.lasts);
        silence.map(|s| s.reason.as_str())
    }

    fn poll(&mut self, vm: VmId, now: Timestamp) -> Event {
        let free = self.can_work(vm);
        let worker = &mut self.crowd.guests[vm.index()].worker;
        if free && worker.as_mut().is_some_and(|worker| worker.claim(now)) {
            self.begin_soon(vm, now);
        }
        Event::Queue { vm, report: self.report(vm, now) }
    }

    pub(super) fn report(&self, vm: VmId, now: Timestamp) -> Option<QueueReport> {
        let guest = &self.crowd.guests[vm.index()];
        let transfer = self.transfer(!self.places[guest.host.index()].1, 0.5);
        guest.worker.as_ref().and_then(|worker| worker.report(now, transfer))
    }
}
