//! migration → confirmation → settle. The outcome is what both hypervisors say, never what an error message says.

use crate::core::cluster::{HostId, RequestId, Span, Timestamp, VmId};
use crate::core::policy::{Place, Rule};

use super::live::{Hold, HoldCause, Stage};
use super::message::{Effect, Presence, Route};
use super::record::{By, Phase};
use super::timers::Timer;
use super::{Engine, HOUR};

/// Hosts that did not answer are asked again after so long.
const ASK_AGAIN: Span = Span::from_secs(5);

impl Engine {
    pub(super) fn on_ended(&mut self, id: RequestId, detail: String, out: &mut Vec<Effect>) {
        let Some(flight) = self.flight_in(id, Stage::Running) else { return };
        flight.stage = Stage::Confirming;
        flight.detail = detail;
        out.push(Effect::Confirm(flight.route));
    }

    pub(super) fn on_presence(
        &mut self,
        now: Timestamp,
        id: RequestId,
        source: Presence,
        destination: Presence,
        out: &mut Vec<Effect>,
    ) {
        let Some(flight) = self.flights.get(&id) else { return };
        if !matches!(flight.stage, Stage::Confirming | Stage::Unknown) {
            return;
        }
        match (source, destination) {
            (Presence::Unknown | Presence::Paused, _) | (_, Presence::Unknown | Presence::Paused) => {
                self.cannot_tell(now, id, source, out);
            }
            (Presence::Absent, Presence::Runs) => self.confirmed(now, id, out),
            (Presence::Runs, Presence::Absent) => self.stayed(now, id, out),
            (Presence::Absent, Presence::Absent) => self.broken(now, id, Phase::Lost, HoldCause::Lost, out),
            (Presence::Runs, Presence::Runs) => self.broken(now, id, Phase::Double, HoldCause::Double, out),
        }
    }

    /// Nothing is done to the VM until both hosts have answered.
    fn cannot_tell(&mut self, now: Timestamp, id: RequestId, source: Presence, out: &mut Vec<Effect>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let route = flight.route;
        let silent = if source == Presence::Unknown { route.from } else { route.to };
        let first = flight.stage != Stage::Unknown;
        let percent = flight.percent;
        flight.stage = Stage::Unknown;
        flight.retry = now + ASK_AGAIN;
        flight.detail = format!("{} does not answer: outcome unknown", self.cluster.host(silent).name);
        let detail = flight.detail.clone();
        self.timers.set(now + ASK_AGAIN, route.vm, Timer::Confirm);
        if first {
            self.record_flight(now, route, Phase::Unknown, percent, detail, out);
        }
    }

    pub(super) fn confirm_again(&mut self, due: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let Some(id) = self.live(vm).flight else { return };
        if let Some(flight) = self.flights.get_mut(&id).filter(|flight| flight.retry == due) {
            flight.retry = Timestamp::NEVER;
            out.push(Effect::Confirm(flight.route));
        }
    }

    fn confirmed(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(flight) = self.land(id) else { return };
        let Route { vm, to, .. } = flight.route;
        self.live_mut(vm).landed = Some((id, Phase::Confirmed));
        self.placed(vm, to);
        self.live_mut(vm).remember_move(now);
        while self.moves.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.moves.pop_front();
        }
        self.moves.push_back(now);
        if !self.cluster.is_base(to) {
            let window = self.cluster.limits.flap_window.unwrap_or(Span::ZERO);
            let tried = &mut self.live_mut(vm).tried;
            tried.retain(|(at, host)| *host != to && now.since(*at) <= window);
            tried.push((now, to));
        }
        if flight.by == By::Operator && !flight.drains {
            self.hold_after_manual(now, vm);
        }
        self.record_flight(now, flight.route, Phase::Confirmed, 100, flight.detail, out);
        self.settle(now, vm);
        self.say_state(now, vm, out);
    }

    /// The VM is on this host now.
    pub(super) fn placed(&mut self, vm: VmId, host: HostId) {
        let before = self.live(vm).host;
        self.hosts[before.index()].vms -= 1;
        self.hosts[host.index()].vms += 1;
        self.has_left(before, host);
        let array = self.cluster.host(host).array;
        let live = self.live_mut(vm);
        live.host = host;
        live.kept_by = None;
        live.blocked = None;
        if !self.cluster.is_base(host) {
            self.live_mut(vm).remember_ring(array, host);
        }
    }

    fn hold_after_manual(&mut self, now: Timestamp, vm: VmId) {
        let span = self.cluster.limits.hold_after_manual;
        if span > Span::ZERO && self.live(vm).hold.is_none() {
            self.hold(vm, Hold { until: now + span, cause: HoldCause::Moved });
        }
    }

    fn stayed(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(flight) = self.land(id) else { return };
        let Route { vm, to, .. } = flight.route;
        let phase = if flight.aborting { Phase::Aborted } else { Phase::Failed };
        self.live_mut(vm).landed = Some((id, phase));
        if phase == Phase::Failed {
            self.live_mut(vm).remember_failure(to, now);
        } else {
            self.spare(now, flight.route);
        }
        self.record_flight(now, flight.route, phase, flight.percent, flight.detail, out);
        self.settle(now, vm);
        self.say_state(now, vm, out);
    }

    fn broken(&mut self, now: Timestamp, id: RequestId, phase: Phase, cause: HoldCause, out: &mut Vec<Effect>) {
        let Some(flight) = self.land(id) else { return };
        let route = flight.route;
        self.live_mut(route.vm).landed = Some((id, phase));
        self.hold(route.vm, Hold { until: Timestamp::NEVER, cause });
        self.record_flight(now, route, phase, flight.percent, flight.detail, out);
        let [vm, from, to] =
            [&self.cluster.vm(route.vm).name, &self.cluster.host(route.from).name, &self.cluster.host(route.to).name];
        let text = match phase {
            Phase::Lost => format!("{vm} is lost: it runs neither on {from} nor on {to}; start it, then release it"),
            _ => format!("{vm} runs twice, on {from} and on {to}: stop one, then release it"),
        };
        self.alarm(now, Some(route.vm), text, out);
        self.settle(now, route.vm);
        self.say_state(now, route.vm, out);
    }

    /// Nothing counts for a while, then a baseline is read. On the base nothing settles for a policy that knows it.
    fn settle(&mut self, now: Timestamp, vm: VmId) {
        self.live_mut(vm).policy.reset_counts();
        let knows_base = matches!(self.settings(vm).rule, Rule::Base { .. } | Rule::Schedule { .. });
        if knows_base && self.place(vm) == Place::Base {
            self.live_mut(vm).settle = None;
            return;
        }
        let end = now + self.settings(vm).settle;
        self.live_mut(vm).settle = Some(end);
        self.live_mut(vm).policy.heard();
        self.read_at(vm, end);
    }
}
