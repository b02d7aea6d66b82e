//! A decision becomes a request: through the gates, with an operator's approval where the mode wants it, to the preflight.

use crate::core::cluster::{HostId, Mode, RequestId, Span, Timestamp, VmId};
use crate::core::format::duration;
use crate::core::policy::Decision;

use super::Engine;
use super::memory::Waiting;
use super::message::{Effect, Route};
use super::migration::Migration;
use super::record::{By, Gate, Happened};
use super::timers::Timer;

/// A request that nobody approves lapses after this time.
const LAPSE: Span = Span::from_mins(10);

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
            Ok(to) if self.must_ask(vm, to, by) => self.prepare(now, vm, (None, None), (action, by), out),
            Ok(to) => {
                let id = self.new_id();
                self.launch(self.asked(now, id, vm, to, action, by), out);
            }
        }
    }

    pub(super) fn block(
        &mut self,
        now: Timestamp,
        vm: VmId,
        action: Decision,
        gate: Gate,
        detail: String,
        out: &mut Vec<Effect>,
    ) {
        self.record(now, vm, Happened::Blocked { action, gate, detail: detail.clone() }, out);
        self.live_mut(vm).blocked = Some((gate, detail.clone()));
        if gate == Gate::Flapping && !self.live(vm).flapping {
            self.live_mut(vm).flapping = true;
            let text = format!("{} is flapping: {detail}; held until released", self.cluster.vm(vm).name);
            self.alarm(now, Some(vm), text, out);
        }
    }

    pub(super) fn new_id(&mut self) -> RequestId {
        self.last_id += 1;
        RequestId(self.last_id)
    }

    pub(super) fn wait(&mut self, now: Timestamp, vm: VmId, action: Decision, by: By, to: HostId) {
        let lapses = now + LAPSE;
        let id = self.new_id();
        self.timers.set(lapses, vm, Timer::Lapse);
        self.live_mut(vm).waiting = Some(Waiting { id, action, to, by, lapses });
    }

    pub(super) fn lapse(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        if let Some(waiting) = self.live_mut(vm).waiting.take() {
            let detail = format!("nobody approved request #{} within {}", waiting.id.0, duration(LAPSE));
            self.record(now, vm, Happened::Blocked { action: waiting.action, gate: Gate::Mode, detail }, out);
            self.say_state(now, vm, out);
        }
    }

    /// Drops a request that waits for an operator or for the VM's worker, because it is no longer wanted.
    pub(super) fn drop_waiting(&mut self, now: Timestamp, vm: VmId, gate: Gate, why: &str, out: &mut Vec<Effect>) {
        self.call_off(now, vm, gate, why, out);
        if let Some(waiting) = self.live_mut(vm).waiting.take() {
            self.say_dropped(now, vm, &waiting, gate, why, out);
        }
    }

    pub(super) fn say_dropped<H>(
        &self,
        now: Timestamp,
        vm: VmId,
        waiting: &Waiting<H>,
        gate: Gate,
        why: &str,
        out: &mut Vec<Effect>,
    ) {
        let detail = format!("request #{} dropped: {why}", waiting.id.0);
        self.record(now, vm, Happened::Blocked { action: waiting.action, gate, detail }, out);
    }

    /// Carries out an approved request. The gates are asked again, because things may have changed meanwhile.
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
            Ok(to) if self.must_ask(vm, to, waiting.by) => {
                self.prepare(now, vm, (Some(waiting.id), None), (waiting.action, waiting.by), out);
                Ok(to)
            }
            Ok(to) => {
                self.launch(self.asked(now, waiting.id, vm, to, waiting.action, waiting.by), out);
                Ok(to)
            }
        }
    }

    /// An operator's own move, or that of a VM that leaves a host which is being drained. True if its worker is asked to stop
    /// first.
    pub(super) fn launch_unasked(
        &mut self,
        now: Timestamp,
        vm: VmId,
        to: HostId,
        by: By,
        out: &mut Vec<Effect>,
    ) -> bool {
        let why = if by == By::Drain { "its host is being drained" } else { "an operator moves it" };
        self.drop_waiting(now, vm, Gate::Hold, why, out);
        if self.must_ask(vm, to, by) {
            self.prepare(now, vm, (None, Some(to)), (self.action_of(vm, to), by), out);
            return true;
        }
        let id = self.new_id();
        self.launch(self.asked(now, id, vm, to, self.action_of(vm, to), by), out);
        false
    }

    pub(super) fn asked(
        &self,
        now: Timestamp,
        id: RequestId,
        vm: VmId,
        to: HostId,
        action: Decision,
        by: By,
    ) -> Migration {
        let route = Route { id, vm, from: self.live(vm).host, to };
        Migration::asked(route, action, by, now, &self.deadlines)
    }

    pub(super) fn launch(&mut self, migration: Migration, out: &mut Vec<Effect>) {
        out.push(Effect::Preflight(migration.route));
        self.start(migration);
    }
}
