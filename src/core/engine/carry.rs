//! request → preflight → journal → migration → confirmation → settle. The outcome is what both hypervisors say, never
//! what an error message says.

use crate::core::cluster::{HostId, Mode, RequestId, Span, Timestamp, Transfer, VmId, in_words};
use crate::core::policy::{Decision, Place, Rule};

use super::live::{Flight, Hold, HoldCause, Stage, Waiting};
use super::message::{Effect, Presence, Route};
use super::record::{By, Gate, Happened, Phase};
use super::timers::Timer;
use super::{Engine, HOUR};

/// A request that nobody approves lapses after so long.
const LAPSE: Span = Span::from_mins(10);
/// Hosts that did not answer are asked again after so long.
const ASK_AGAIN: Span = Span::from_secs(5);

impl Engine {
    /// A policy has decided: through the gates, or blocked with the gate's reason.
    pub(super) fn on_decision(
        &mut self,
        now: Timestamp,
        vm: VmId,
        action: Decision,
        by: By,
        reason: String,
        out: &mut Vec<Effect>,
    ) {
        self.record(now, vm, Happened::Decision { action, reason }, out);
        match self.policy_gates(vm, action, by, now) {
            Err((gate, detail)) => self.block(now, vm, action, gate, detail, out),
            Ok(to) if self.mode(vm) == Mode::Ask => self.wait(now, vm, action, by, to),
            Ok(to) => {
                let route = Route { id: self.new_id(), vm, from: self.live(vm).host, to };
                self.launch(Flight::asked(route, action, by, now), out);
            }
        }
    }

    fn block(&mut self, now: Timestamp, vm: VmId, action: Decision, gate: Gate, detail: String, out: &mut Vec<Effect>) {
        self.record(now, vm, Happened::Blocked { action, gate, detail: detail.clone() }, out);
        self.live_mut(vm).blocked = Some((gate, detail.clone()));
        if gate == Gate::Flapping && !self.live(vm).flapping {
            self.live_mut(vm).flapping = true;
            self.live_mut(vm).policy.reset_counts();
            let text = format!("{} is flapping: {detail}; held until released", self.cluster.vm(vm).name);
            self.alarm(now, Some(vm), text, out);
        }
    }

    fn new_id(&mut self) -> RequestId {
        self.last_id += 1;
        RequestId(self.last_id)
    }

    fn wait(&mut self, now: Timestamp, vm: VmId, action: Decision, by: By, to: HostId) {
        let lapses = now + LAPSE;
        let id = self.new_id();
        self.timers.set(lapses, vm, Timer::Lapse);
        self.live_mut(vm).policy.reset_counts();
        self.live_mut(vm).waiting = Some(Waiting { id, action, to, by, lapses });
    }

    pub(super) fn lapse(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        if let Some(waiting) = self.live_mut(vm).waiting.take() {
            let detail = format!("nobody approved request #{} within {}", waiting.id.0, in_words(LAPSE));
            self.record(now, vm, Happened::Blocked { action: waiting.action, gate: Gate::Mode, detail }, out);
            self.say_state(now, vm, out);
        }
    }

    /// What waited is not wanted any more.
    pub(super) fn drop_waiting(&mut self, now: Timestamp, vm: VmId, gate: Gate, why: &str, out: &mut Vec<Effect>) {
        if let Some(waiting) = self.live_mut(vm).waiting.take() {
            self.say_dropped(now, vm, &waiting, gate, why, out);
        }
    }

    pub(super) fn say_dropped(
        &self,
        now: Timestamp,
        vm: VmId,
        waiting: &Waiting,
        gate: Gate,
        why: &str,
        out: &mut Vec<Effect>,
    ) {
        let detail = format!("request #{} dropped: {why}", waiting.id.0);
        self.record(now, vm, Happened::Blocked { action: waiting.action, gate, detail }, out);
    }

    /// An approved request: the gates are asked again, as things may have changed.
    pub(super) fn go_on(
        &mut self,
        now: Timestamp,
        vm: VmId,
        waiting: &Waiting,
        out: &mut Vec<Effect>,
    ) -> Result<HostId, String> {
        match self.policy_gates(vm, waiting.action, waiting.by, now) {
            Err((gate, detail)) => {
                let said = format!("blocked by {}: {detail}", gate.word());
                self.block(now, vm, waiting.action, gate, detail, out);
                Err(said)
            }
            Ok(to) => {
                let route = Route { id: waiting.id, vm, from: self.live(vm).host, to };
                self.launch(Flight::asked(route, waiting.action, waiting.by, now), out);
                Ok(to)
            }
        }
    }

    /// An operator's own move.
    pub(super) fn launch_by_hand(&mut self, now: Timestamp, vm: VmId, to: HostId, out: &mut Vec<Effect>) {
        let route = Route { id: self.new_id(), vm, from: self.live(vm).host, to };
        self.drop_waiting(now, vm, Gate::Hold, "an operator moves it", out);
        self.launch(Flight::asked(route, self.action_of(vm, to), By::Operator, now), out);
    }

    fn launch(&mut self, flight: Flight, out: &mut Vec<Effect>) {
        let route = flight.route;
        self.board(flight);
        out.push(Effect::Preflight(route));
    }

    /// The flight is under way; its hosts are taken.
    pub(super) fn board(&mut self, flight: Flight) {
        let route = flight.route;
        self.flights.insert(route.id, flight);
        let live = self.live_mut(route.vm);
        live.flight = Some(route.id);
        live.policy.reset_counts();
        self.hosts[route.from.index()].busy += 1;
        self.hosts[route.to.index()].busy += 1;
        self.hosts[route.to.index()].incoming += 1;
    }

    /// The flight is over; its hosts are free for another.
    fn land(&mut self, id: RequestId) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        let Route { vm, from, to, .. } = flight.route;
        self.live_mut(vm).flight = None;
        self.hosts[from.index()].busy -= 1;
        self.hosts[to.index()].busy -= 1;
        self.hosts[to.index()].incoming -= 1;
        Some(flight)
    }

    fn flight_in(&mut self, id: RequestId, stage: Stage) -> Option<&mut Flight> {
        self.flights.get_mut(&id).filter(|flight| flight.stage == stage)
    }

    pub(super) fn on_preflight(
        &mut self,
        now: Timestamp,
        id: RequestId,
        refusal: Option<String>,
        forecast: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(flight) = self.flight_in(id, Stage::Preflight) else { return };
        let route = flight.route;
        let aborted = flight.aborting;
        let refusal = if aborted { Some("aborted by an operator".to_owned()) } else { refusal };
        let (action, by) = (flight.action, flight.by);
        if let Some(detail) = refusal {
            self.land(id);
            if !aborted {
                // A host that refuses is passed over for a while, like one where a migration failed.
                self.live_mut(route.vm).remember_failure(route.to, now);
            }
            if by == By::Operator {
                let vm = &self.cluster.vm(route.vm).name;
                out.push(Effect::Answer { ok: false, text: format!("{vm} stays: {detail}") });
            }
            self.block(now, route.vm, action, Gate::Preflight, detail, out);
            return self.say_state(now, route.vm, out);
        }
        flight.stage = Stage::Journal;
        flight.forecast = forecast.unwrap_or_default();
        flight.detail.clone_from(&flight.forecast);
        let Route { vm, from, to, .. } = route;
        self.record(now, vm, Happened::Request { id, action, from, to, by }, out);
        out.push(Effect::Journal(route));
    }

    pub(super) fn on_journalled(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(flight) = self.flight_in(id, Stage::Journal) else { return };
        flight.stage = Stage::Running;
        let (route, aborting, forecast) = (flight.route, flight.aborting, flight.detail.clone());
        self.record_flight(now, route, Phase::Running, 0, forecast, out);
        self.say_state(now, route.vm, out);
        out.push(Effect::Start(route));
        if aborting {
            out.push(Effect::Abort(route));
        }
    }

    pub(super) fn on_progress(
        &mut self,
        now: Timestamp,
        id: RequestId,
        percent: u8,
        detail: String,
        transfer: Option<Transfer>,
        out: &mut Vec<Effect>,
    ) {
        let Some(flight) = self.flight_in(id, Stage::Running) else { return };
        flight.transfer = transfer;
        flight.percent = percent.min(100);
        flight.detail.clone_from(&detail);
        let (route, percent) = (flight.route, flight.percent);
        self.record_flight(now, route, Phase::Running, percent, detail, out);
    }

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
        if flight.by == By::Operator {
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

    pub(super) fn record_flight(
        &self,
        at: Timestamp,
        route: Route,
        phase: Phase,
        percent: u8,
        detail: String,
        out: &mut Vec<Effect>,
    ) {
        let Route { id, vm, from, to } = route;
        self.record(at, vm, Happened::Migration { id, phase, percent, from, to, detail }, out);
    }
}
