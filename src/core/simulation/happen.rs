//! What happens when it is due: hosts fail and return, migrations go on and end, jobs begin and end, hosts report.

use std::cmp::Reverse;

use super::hash::{self, For};
use super::moving::Fate;
use super::queue::{BETWEEN_JOBS, Pace};
use super::world::Simulation;
use crate::core::cluster::{HostId, HostState, RequestId, Span, Timestamp, VmId};
use crate::core::engine::{Event, Route};

/// Every host's load is told this often, each host at its own time within it.
const REPORT_EVERY: Span = Span::from_secs(60);
/// A host's time within that is a whole number of slots of this length.
const REPORT_SLOT: Span = Span::from_millis(100);

/// Something that will happen. The order breaks ties: it depends on what is due, not on who asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Fails(HostId, Span),
    Returns(HostId),
    Ends(RequestId),
    Progress(RequestId, u32),
    JobEnds(VmId, u32),
    JobBegins(VmId, u32),
    Report(HostId),
}

impl Simulation {
    pub(super) fn push(&mut self, at: Timestamp, due: Due) {
        self.due.push(Reverse((at, due)));
    }

    pub(super) fn catch_up(&mut self, now: Timestamp) {
        while let Some(&Reverse((at, due))) = self.due.peek().filter(|Reverse((at, _))| *at <= now) {
            self.due.pop();
            self.happens(at, due);
        }
        self.now = self.now.max(now);
    }

    fn happens(&mut self, at: Timestamp, due: Due) {
        match due {
            Due::Fails(host, lasts) => self.fails(host, at, at + lasts),
            Due::Returns(host) => self.returns(host, at),
            Due::Ends(id) => self.ends(id, at),
            Due::Progress(id, n) => self.progresses(id, n),
            Due::JobEnds(vm, turn) => self.job_ends(vm, turn, at),
            Due::JobBegins(vm, turn) => self.job_begins(vm, turn, at),
            Due::Report(host) => {
                self.tell(host, at);
                let next = self.next_report(host, at);
                self.push(next, Due::Report(host));
            }
        }
    }

    fn tell(&mut self, host: HostId, at: Timestamp) {
        let down = self.crowd.machines[host.index()].is_down();
        let (state, load) =
            if down { (HostState::Down, None) } else { (HostState::Up, Some(self.crowd.load(host, at))) };
        self.untold.push(Event::Host { host, state, load, why: None });
    }

    fn next_report(&self, host: HostId, after: Timestamp) -> Timestamp {
        let (every, slot) = (REPORT_EVERY.millis(), REPORT_SLOT.millis());
        let luck = hash::unit(hash::key(self.seed, u64::from(host.0)), For::Stagger, 0);
        let own = (luck * (every / slot) as f64) as i64 * slot;
        let wait = (own - after.millis()).rem_euclid(every);
        after + Span::from_millis(if wait == 0 { every } else { wait })
    }

    fn fails(&mut self, host: HostId, at: Timestamp, until: Timestamp) {
        self.crowd.fail(host, at, until);
        self.push(until, Due::Returns(host));
        for vm in self.crowd.machines[host.index()].vms().to_vec() {
            self.interrupt(vm, at);
        }
        let mut over = Vec::new();
        for moving in self.moving.values_mut() {
            let fate = match host {
                _ if host == moving.route.from => Fate::SourceFails,
                _ if host == moving.route.to => Fate::DestinationFails,
                _ => continue,
            };
            moving.breaks(at, fate);
            over.push(moving.route.id);
        }
        self.tell(host, at);
        over.into_iter().for_each(|id| self.ends(id, at));
    }

    fn returns(&mut self, host: HostId, at: Timestamp) {
        if self.crowd.machines[host.index()].down_until != Some(at) {
            return;
        }
        self.crowd.recover(host, at);
        self.tell(host, at);
        for vm in self.crowd.machines[host.index()].vms().to_vec() {
            self.resume(vm, at);
        }
    }

    fn ends(&mut self, id: RequestId, at: Timestamp) {
        let Some(moving) = self.moving.get(&id).filter(|moving| moving.ends == at).cloned() else { return };
        self.moving.remove(&id);
        let Route { vm, to, .. } = moving.route;
        self.crowd.change(vm, at, |guest| (guest.moving, guest.off) = (None, false));
        if moving.arrives() {
            self.crowd.carry(vm, to, at);
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
            self.push(at, Due::Progress(id, n + 1));
        }
    }

    pub(super) fn can_work(&self, vm: VmId) -> bool {
        let guest = &self.crowd.guests[vm.index()];
        guest.moving.is_none() && !self.crowd.machines[guest.host.index()].is_down()
    }

    pub(super) fn begin_soon(&mut self, vm: VmId, now: Timestamp) {
        if let Some(turn) = self.crowd.guests[vm.index()].worker.as_ref().map(|worker| worker.turn()) {
            self.push(now + BETWEEN_JOBS, Due::JobBegins(vm, turn));
        }
    }

    pub(super) fn interrupt(&mut self, vm: VmId, now: Timestamp) {
        if let Some(worker) = &mut self.crowd.guests[vm.index()].worker {
            worker.interrupt(now);
        }
    }

    pub(super) fn resume(&mut self, vm: VmId, now: Timestamp) {
        if self.can_work(vm) {
            self.begin_soon(vm, now);
        }
    }

    fn job_begins(&mut self, vm: VmId, turn: u32, at: Timestamp) {
        let slowdown = self.crowd.slowdown(vm, at);
        let mut begun = None;
        self.crowd.change(vm, at, |guest| {
            let pace = Pace { home: self.places[guest.host.index()].1, slowdown };
            if let Some(worker) = guest.worker.as_mut().filter(|worker| worker.turn() == turn) {
                begun = worker.begin(at, pace).map(|takes| (takes, worker.turn()));
            }
        });
        if let Some((takes, turn)) = begun {
            self.push(at + takes, Due::JobEnds(vm, turn));
        }
    }

    fn job_ends(&mut self, vm: VmId, turn: u32, at: Timestamp) {
        let mut ended = false;
        self.crowd.change(vm, at, |guest| {
            if let Some(worker) = guest.worker.as_mut().filter(|worker| worker.turn() == turn) {
                worker.end(at);
                ended = true;
            }
        });
        if ended {
            self.untold.push(Event::Queue { vm, report: self.report(vm, at) });
            self.begin_soon(vm, at);
        }
    }
}
