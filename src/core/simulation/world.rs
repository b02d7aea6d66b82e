//! The simulation itself: what is due when, the answers to the engine's questions, and a changed config. It takes the place of a
//! driver and of all monitors.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::load::{SimulatedFleet, SimulatedHost, SimulatedVm, step_of};
use super::migration::SimulatedMigration;
use super::queue::{BETWEEN_JOBS, Worker};
use super::{Outage, Plan, RandomUse, Service, key, unit};
use crate::core::cluster::{ArrayId, Cluster, HostId, HostState, Name, Reading, RequestId, Span, Timestamp, VmId};
use crate::core::engine::{Event, Names, Presence, Route};
use crate::core::format::duration;
use crate::core::insight::precopy::Forecast;
use crate::core::queue::{Page, Ways, WorkerControl, WorkerOrder};

/// The CPU of a host that the plan does not list, in GHz.
const DEFAULT_GHZ: f64 = 6.0;
/// How often a host reports its load. Each host has its own time within this interval.
const REPORT_EVERY: Span = Span::from_secs(60);
/// A host's time within the interval is a whole number of these.
const REPORT_SLOT: Span = Span::from_millis(100);

/// A simulated cluster. It answers reads, carries out moves, and tells what happens meanwhile.
///
/// The same seed and the same calls give the same answers, and a reading of one VM never changes the reading of another. Time
/// only goes forward: `now` must not be earlier than in the call before.
#[derive(Debug, Clone)]
pub struct Simulation {
    pub(super) seed: u64,
    pub(super) fleet: SimulatedFleet,
    /// By host: its array, and whether it is at home.
    pub(super) places: Vec<(ArrayId, bool)>,
    /// By host: its site's name.
    sites: Vec<Name>,
    bandwidth_mb_s: f64,
    between_sites: (Span, Span),
    pub(super) moving: BTreeMap<RequestId, SimulatedMigration>,
    pub(super) due: BinaryHeap<Reverse<(Timestamp, DueEvent)>>,
    /// Events that have happened and were not told yet.
    pub(super) untold: Vec<Event>,
    pub(super) now: Timestamp,
}

impl Simulation {
    /// Simulates a cluster from `start` on. Each VM is on the host that the cluster names. VMs and hosts that the plan does not
    /// list have ordinary figures. All hosts report at `start`, except those of arrays with a real driver: these never report.
    pub fn new(cluster: &Cluster, mut plan: Plan, start: Timestamp) -> Self {
        let ghz = plan.hosts_ghz.iter().copied().chain(std::iter::repeat(DEFAULT_GHZ));
        let machines = ghz.take(cluster.hosts.len()).map(|ghz| SimulatedHost::new(ghz, start)).collect();
        let mut fleet = SimulatedFleet { machines, guests: Vec::with_capacity(cluster.vms.len()) };
        let mut plans = std::mem::take(&mut plan.vms).into_iter();
        for (index, vm) in cluster.vms.iter().enumerate() {
            let (planned, key) = (plans.next().unwrap_or_default(), key(plan.seed, index as u64));
            let worker = (planned.service == Some(Service::Queue)).then(|| {
                let site = |array: ArrayId| &cluster.sites[cluster.array(array).site.index()].name;
                let come = (start + planned.queue_first, planned.queue_every);
                Worker::new(key, vm.name.clone(), come, (site(vm.array), vm.away.map(site)), start)
            });
            fleet.guests.push(SimulatedVm::new(key, planned, vm.host, worker));
            fleet.put(VmId::at(index), vm.host, start);
        }
        let hosts = (0..cluster.hosts.len()).map(HostId::at);
        let drives = |host: HostId| plan.simulates(cluster.host(host).array);
        let due = hosts.clone().filter(|host| drives(*host)).map(|host| Reverse((start, DueEvent::Report(host))));
        let outages = plan.outages.iter().filter(|outage| drives(outage.host));
        let outages = outages.map(|o: &Outage| Reverse((o.from, DueEvent::Fails(o.host, o.lasts))));
        let mut simulation = Self {
            seed: plan.seed,
            fleet,
            sites: hosts.clone().map(|host| cluster.site_of(host).name.clone()).collect(),
            places: hosts.map(|host| (cluster.host(host).array, cluster.is_home(host))).collect(),
            bandwidth_mb_s: plan.bandwidth_mb_s,
            between_sites: plan.between_sites,
            moving: BTreeMap::new(),
            due: due.chain(outages).collect(),
            untold: Vec::new(),
            now: start,
        };
        for vm in (0..cluster.vms.len()).map(VmId::at) {
            simulation.look_again(vm, start);
        }
        simulation
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
        if let Some(seen) = self.seen(vm, now) {
            return seen;
        }
        let guest = &self.fleet.guests[vm.index()];
        let deadline = guest.plan.deadline.millis() as f64;
        let reading = match guest.plan.service {
            Some(Service::Mysql) => Reading::Raw(self.fleet.slow_queries(vm, now)),
            Some(Service::Apache) => Reading::Raw(self.fleet.idle_workers(vm, now)),
            Some(Service::Http) => match self.fleet.response_ms(vm, now) {
                late if late >= deadline => Reading::AtLeast(deadline),
                ms => Reading::Raw(ms),
            },
            Some(Service::Queue) | None => Reading::Gap("not a simulated service".to_owned()),
        };
        Event::Reading { vm, reading }
    }

    /// Checks a move: the answer to [`Effect::Preflight`](crate::core::engine::Effect::Preflight).
    pub fn preflight(&mut self, route: Route, now: Timestamp) -> Event {
        self.catch_up(now);
        let guest = &self.fleet.guests[route.vm.index()];
        let refusal = if guest.host != route.from {
            Some("it does not run at the source")
        } else if guest.moving.is_some_and(|id| id != route.id) {
            Some("another migration moves it")
        } else if self.fleet.machines[route.from.index()].is_down() {
            Some("the source does not answer")
        } else if self.fleet.machines[route.to.index()].is_down() {
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
            return Forecast::of(memory, dirty, self.bandwidth_mb_s).words();
        }
        let takes = self.transfer(self.places[route.to.index()].1, 0.5);
        format!("about {}, stopped all the while", duration(takes))
    }

    /// Whether the VM runs on while it is moved.
    fn is_live(&self, route: Route) -> bool {
        self.places[route.from.index()].0 == self.places[route.to.index()].0
    }

    /// A VM's memory in MB, and how much of it the VM writes, in MB/s.
    fn memory(&self, vm: VmId, now: Timestamp) -> (f64, f64) {
        let guest = &self.fleet.guests[vm.index()];
        (guest.plan.memory_mb, guest.plan.dirty_mb_s * guest.activity(step_of(now)))
    }

    /// Starts a migration: live within an array; stopped, copied and started between arrays. If it cannot start, it ends at
    /// once, and the VM stays where it is. If it is already under way, it goes on.
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
        self.fleet.change(route.vm, now, |guest| (guest.moving, guest.off) = (Some(route.id), !live));
        self.interrupt(route.vm, now);
        self.push(moving.ends, DueEvent::Ends(route.id));
        if let Some(at) = moving.reports_at(1) {
            self.push(at, DueEvent::Progress(route.id, 1));
        }
        self.moving.insert(route.id, moving);
    }

    /// Aborts a migration. It ends a second later with the VM at the source, unless it has ended by then.
    pub fn abort(&mut self, route: Route, now: Timestamp) {
        self.catch_up(now);
        let Some(moving) = self.moving.get_mut(&route.id) else { return };
        if moving.abort(now) {
            let ends = moving.ends;
            self.push(ends, DueEvent::Ends(route.id));
        }
    }

    /// The answer to [`Effect::Confirm`](crate::core::engine::Effect::Confirm): the progress of a migration that is under
    /// way, or else what both hosts say.
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

    /// The deadline of a VM's check, if a check that times out counts as a sample.
    pub fn deadline(&self, vm: VmId) -> Option<Span> {
        let guest = &self.fleet.guests[vm.index()];
        (guest.plan.service == Some(Service::Http)).then_some(guest.plan.deadline)
    }

    /// Asks both hosts where the VM runs.
    pub fn presence(&mut self, route: Route, now: Timestamp) -> Event {
        self.catch_up(now);
        let guest = &self.fleet.guests[route.vm.index()];
        let at = |host: HostId| match () {
            () if self.fleet.machines[host.index()].is_down() => Presence::Unknown,
            () if guest.host == host && !guest.off => Presence::Runs,
            () => Presence::Absent,
        };
        Event::Presence { id: route.id, source: at(route.from), destination: at(route.to) }
    }

    fn precopy(&self, route: Route, now: Timestamp) -> SimulatedMigration {
        let (memory, dirty) = self.memory(route.vm, now);
        SimulatedMigration::live(route, now, memory, dirty, self.bandwidth_mb_s)
    }

    /// As in the thesis, a move away takes longer than a move home: the upper half of the range, not the lower.
    fn between(&self, route: Route, now: Timestamp) -> SimulatedMigration {
        let luck = unit(key(self.seed, u64::from(route.vm.0)), RandomUse::Transfer, route.id.0 as i64);
        SimulatedMigration::between(route, now, self.transfer(self.places[route.to.index()].1, luck))
    }

    fn transfer(&self, homewards: bool, luck: f64) -> Span {
        let (low, high) = (self.between_sites.0.millis(), self.between_sites.1.millis());
        let part = if homewards { luck / 2.0 } else { 0.5 + luck / 2.0 };
        Span::from_millis(low + ((high - low) as f64 * part) as i64)
    }

    fn silence(&self, vm: VmId, now: Timestamp) -> Option<&str> {
        let guest = &self.fleet.guests[vm.index()];
        // The source of a queue is neither in the VM nor on its host.
        let is_off = guest.off || self.fleet.machines[guest.host.index()].is_down();
        if is_off && guest.worker.is_none() {
            return Some("no answer");
        }
        let silence = guest.plan.silences.iter().find(|silence| silence.from <= now && now < silence.to);
        silence.map(|silence| &*silence.text)
    }

    /// What a VM's queue shows, if it works through queues.
    fn seen(&self, vm: VmId, now: Timestamp) -> Option<Event> {
        let guest = &self.fleet.guests[vm.index()];
        let look = guest.worker.as_ref()?.seen(now, &self.sites[guest.host.index()]);
        Some(Event::Queue { vm, look: Arc::new(look), ways: self.ways() })
    }

    /// How long a move to the other site and back takes, on the mean.
    pub fn ways(&self) -> Ways {
        Ways { out: Some(self.transfer(false, 0.5)), back: Some(self.transfer(true, 0.5)) }
    }

    /// Carries out an [`Effect::Order`](crate::core::engine::Effect::Order).
    pub fn order(&mut self, vm: VmId, site: &Name, order: Option<WorkerOrder>, now: Timestamp) {
        self.ask(vm, now, |control| (control.engine, control.site) = (order, Some(site.to_string())));
    }

    /// Changes what is asked of a VM's worker. It obeys at its next turn.
    pub fn ask(&mut self, vm: VmId, now: Timestamp, change: impl FnOnce(&mut WorkerControl)) {
        self.catch_up(now);
        if let Some(worker) = &mut self.fleet.guests[vm.index()].worker {
            worker.ask(change);
            self.look_again(vm, now);
        }
    }

    /// Has a VM's claim lie among the pages that wait again, half done as it is. False if it has no such claim.
    pub fn give_back(&mut self, vm: VmId, claim: &str, now: Timestamp) -> bool {
        self.catch_up(now);
        let mut given = false;
        self.fleet.change(vm, now, |guest| given = guest.worker.as_mut().is_some_and(|worker| worker.give_back(claim)));
        self.look_again(vm, now);
        given
    }

    /// The page of this name in a VM's queue; `None`: there is none.
    pub fn page(&self, vm: VmId, page: &str, now: Timestamp) -> Option<Page> {
        self.fleet.guests[vm.index()].worker.as_ref()?.page(page, now)
    }

    /// Why a job of the claim that a VM has in hand was set aside; `None`: it was not.
    pub fn error_of(&self, vm: VmId, job: u32) -> Option<&'static str> {
        self.fleet.guests[vm.index()].worker.as_ref()?.error_of(job)
    }
}

/// Something that will happen. Events of one instant happen in the order of this list, whoever asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DueEvent {
    Fails(HostId, Span),
    Returns(HostId),
    Ends(RequestId),
    Progress(RequestId, u32),
    JobEnds(VmId, u32),
    JobBegins(VmId, u32),
    WorkerLooks(VmId),
    Report(HostId),
}

impl Simulation {
    pub(super) fn push(&mut self, at: Timestamp, due: DueEvent) {
        self.due.push(Reverse((at, due)));
    }

    pub(super) fn catch_up(&mut self, now: Timestamp) {
        while let Some(&Reverse((at, due))) = self.due.peek().filter(|Reverse((at, _))| *at <= now) {
            self.due.pop();
            self.happens(at, due);
        }
        self.now = self.now.max(now);
    }

    fn happens(&mut self, at: Timestamp, due: DueEvent) {
        match due {
            DueEvent::Fails(host, lasts) => self.fails(host, at, at + lasts),
            DueEvent::Returns(host) => self.returns(host, at),
            DueEvent::Ends(id) => self.ends(id, at),
            DueEvent::Progress(id, n) => self.progresses(id, n),
            DueEvent::JobEnds(vm, turn) => self.job_ends(vm, turn, at),
            DueEvent::JobBegins(vm, turn) => self.job_begins(vm, turn, at),
            DueEvent::WorkerLooks(vm) => self.worker_looks(vm, at),
            DueEvent::Report(host) => {
                self.tell(host, at);
                let next = self.next_report(host, at);
                self.push(next, DueEvent::Report(host));
            }
        }
    }

    fn tell(&mut self, host: HostId, at: Timestamp) {
        let down = self.fleet.machines[host.index()].is_down();
        let (state, load) =
            if down { (HostState::Down, None) } else { (HostState::Up, Some(self.fleet.load(host, at))) };
        self.untold.push(Event::Host { host, state, load, why: None });
    }

    fn next_report(&self, host: HostId, after: Timestamp) -> Timestamp {
        let (every, slot) = (REPORT_EVERY.millis(), REPORT_SLOT.millis());
        let luck = unit(key(self.seed, u64::from(host.0)), RandomUse::Stagger, 0);
        let own = (luck * (every / slot) as f64) as i64 * slot;
        let wait = (own - after.millis()).rem_euclid(every);
        after + Span::from_millis(if wait == 0 { every } else { wait })
    }

    fn fails(&mut self, host: HostId, at: Timestamp, until: Timestamp) {
        self.fleet.fail(host, at, until);
        self.push(until, DueEvent::Returns(host));
        for vm in self.fleet.machines[host.index()].vms().to_vec() {
            self.interrupt(vm, at);
        }
        let mut over = Vec::new();
        for moving in self.moving.values_mut() {
            if moving.breaks(at, host) {
                over.push(moving.route.id);
            }
        }
        self.tell(host, at);
        over.into_iter().for_each(|id| self.ends(id, at));
    }

    fn returns(&mut self, host: HostId, at: Timestamp) {
        if self.fleet.machines[host.index()].down_until != Some(at) {
            return;
        }
        self.fleet.recover(host, at);
        self.tell(host, at);
        for vm in self.fleet.machines[host.index()].vms().to_vec() {
            self.resume(vm, at);
        }
    }

    fn ends(&mut self, id: RequestId, at: Timestamp) {
        let Some(moving) = self.moving.get(&id).filter(|moving| moving.ends == at).cloned() else { return };
        self.moving.remove(&id);
        let Route { vm, to, .. } = moving.route;
        self.fleet.change(vm, at, |guest| (guest.moving, guest.off) = (None, false));
        if moving.arrives() {
            self.fleet.carry(vm, to, at);
        }
        self.resume(vm, at);
        self.untold.push(Event::Ended { id, detail: moving.ending() });
    }

    fn progresses(&mut self, id: RequestId, n: u32) {
        let Some(moving) = self.moving.get(&id) else { return };
        if moving.reports_at(n).is_none() {
            return;
        }
        let (percent, detail, transfer) = moving.report(n);
        let next = moving.reports_at(n + 1);
        self.untold.push(Event::Progress { id, percent, detail, transfer });
        if let Some(at) = next {
            self.push(at, DueEvent::Progress(id, n + 1));
        }
    }

    pub(super) fn can_work(&self, vm: VmId) -> bool {
        let guest = &self.fleet.guests[vm.index()];
        guest.moving.is_none() && !self.fleet.machines[guest.host.index()].is_down()
    }

    /// Notes when the worker looks next.
    fn look_again(&mut self, vm: VmId, now: Timestamp) {
        let Some(worker) = &mut self.fleet.guests[vm.index()].worker else { return };
        if let (next, true) = worker.looks_next(now)
            && next < Timestamp::NEVER
        {
            self.push(next, DueEvent::WorkerLooks(vm));
        }
    }

    /// Has the worker begin a job soon, if it may.
    fn begin_soon(&mut self, vm: VmId, now: Timestamp) {
        let worker = self.fleet.guests[vm.index()].worker.as_ref().filter(|worker| worker.may_begin());
        if let Some(turn) = worker.map(|worker| worker.turn()) {
            self.push(now + BETWEEN_JOBS, DueEvent::JobBegins(vm, turn));
        }
    }

    pub(super) fn interrupt(&mut self, vm: VmId, now: Timestamp) {
        let guest = &mut self.fleet.guests[vm.index()];
        let stands = guest.off || self.fleet.machines[guest.host.index()].is_down();
        if let Some(worker) = &mut guest.worker {
            worker.interrupt(now, stands);
        }
    }

    pub(super) fn resume(&mut self, vm: VmId, now: Timestamp) {
        if !self.can_work(vm) {
            return;
        }
        if let Some(worker) = &mut self.fleet.guests[vm.index()].worker {
            worker.resume();
        }
        self.begin_soon(vm, now);
        self.look_again(vm, now);
    }

    fn worker_looks(&mut self, vm: VmId, at: Timestamp) {
        let can_work = self.can_work(vm);
        let Some(worker) = self.fleet.guests[vm.index()].worker.as_mut().filter(|worker| worker.looks_at(at)) else {
            return;
        };
        if !can_work {
            // It looks when it goes on.
            return worker.looks_not();
        }
        if worker.look(at) {
            self.untold.extend(self.seen(vm, at));
        }
        self.begin_soon(vm, at);
        self.look_again(vm, at);
    }

    fn job_begins(&mut self, vm: VmId, turn: u32, at: Timestamp) {
        let slowdown = self.fleet.slowdown(vm, at);
        let mut begun = None;
        self.fleet.change(vm, at, |guest| {
            let at_home = self.places[guest.host.index()].1;
            if let Some(worker) = guest.worker.as_mut().filter(|worker| worker.turn() == turn) {
                begun = worker.begin(at, at_home, slowdown).map(|takes| (takes, worker.turn()));
            }
        });
        if let Some((takes, turn)) = begun {
            self.push(at + takes, DueEvent::JobEnds(vm, turn));
        }
    }

    fn job_ends(&mut self, vm: VmId, turn: u32, at: Timestamp) {
        let mut ended = false;
        self.fleet.change(vm, at, |guest| {
            let site = &self.sites[guest.host.index()];
            if let Some(worker) = guest.worker.as_mut().filter(|worker| worker.turn() == turn) {
                worker.end(at, site);
                ended = true;
            }
        });
        if ended {
            self.untold.extend(self.seen(vm, at));
            self.begin_soon(vm, at);
            self.look_again(vm, at);
        }
    }
}

impl Simulation {
    /// Goes on with a changed cluster and plan. A VM whose name is in `old` stays on its host and keeps its counter and its
    /// queue. A host that is down stays down. A migration goes on if its VM and hosts are still there. An outage of the plan
    /// that began before `now` is ignored.
    pub fn reconfigure(&mut self, old: &Cluster, new: &Cluster, mut plan: Plan, now: Timestamp) {
        self.catch_up(now);
        let names = Names::between(old, new);
        let mut placed = new.clone();
        for (guest, vm) in self.fleet.guests.iter().zip(&names.vms) {
            if let (Some(vm), Some(host)) = (vm, names.hosts[guest.host.index()]) {
                placed.vms[vm.index()].host = host;
            }
        }
        plan.outages.retain(|outage| outage.from > now);
        let simulates: Vec<bool> = new.hosts.iter().map(|host| plan.simulates(host.array)).collect();
        let mut before = std::mem::replace(self, Self::new(&placed, plan, now));
        // The other events are told again, or have ids that no longer exist.
        before.untold.retain(|event| matches!(event, Event::Ended { .. }));
        self.untold.append(&mut before.untold);
        self.carry_hosts(&before, &names, &simulates);
        self.carry_migrations(&before, &names);
        self.carry_vms(before, &names, now);
    }

    fn carry_hosts(&mut self, before: &Self, names: &Names, simulates: &[bool]) {
        for (machine, host) in before.fleet.machines.iter().zip(&names.hosts) {
            if let (Some(host), Some(until)) = ((*host).filter(|host| simulates[host.index()]), machine.down_until) {
                self.fleet.machines[host.index()].down_until = Some(until);
                self.push(until, DueEvent::Returns(host));
            }
        }
    }

    fn carry_migrations(&mut self, before: &Self, names: &Names) {
        for (id, moving) in &before.moving {
            let Some(route) = names.route(moving.route) else { continue };
            let mut moving = moving.clone();
            moving.route = route;
            let guest = &mut self.fleet.guests[route.vm.index()];
            (guest.moving, guest.off) = (Some(*id), !moving.is_live());
            self.push(moving.ends, DueEvent::Ends(*id));
            if let Some((n, at)) = moving.next_report(before.now) {
                self.push(at, DueEvent::Progress(*id, n));
            }
            self.moving.insert(*id, moving);
        }
    }

    fn carry_vms(&mut self, before: Self, names: &Names, now: Timestamp) {
        for (guest, vm) in before.fleet.guests.into_iter().zip(&names.vms) {
            let Some(vm) = *vm else { continue };
            self.fleet.guests[vm.index()].carry_on(guest);
            self.interrupt(vm, now);
            self.resume(vm, now);
        }
    }
}
