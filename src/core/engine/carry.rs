//! request → preflight → journal → migration.

use crate::core::cluster::{HostId, Mode, RequestId, Span, Timestamp, Transfer, VmId, in_words};
use crate::core::policy::Decision;

use super::Engine;
use super::live::{Migration, Stage, Waiting};
use super::message::{Effect, Route};
use super::record::{By, Gate, Happened, Phase};
use super::timers::Timer;

/// A request that nobody approves lapses after so long.
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
            Ok(to) => {
                let route = Route { id: self.new_id(), vm, from: self.live(vm).host, to };
                self.launch(Migration::asked(route, action, by, now), out);
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
                self.launch(Migration::asked(route, waiting.action, waiting.by, now), out);
                Ok(to)
            }
        }
    }

    /// An operator's own move.
    pub(super) fn launch_by_hand(&mut self, now: Timestamp, vm: VmId, to: HostId, out: &mut Vec<Effect>) {
        let route = Route { id: self.new_id(), vm, from: self.live(vm).host, to };
        self.drop_waiting(now, vm, Gate::Hold, "an operator moves it", out);
        self.launch(Migration::asked(route, self.action_of(vm, to), By::Operator, now), out);
    }

    /// A VM leaves a host that is being drained.
    pub(super) fn launch_out(&mut self, now: Timestamp, vm: VmId, to: HostId, out: &mut Vec<Effect>) {
        let route = Route { id: self.new_id(), vm, from: self.live(vm).host, to };
        self.drop_waiting(now, vm, Gate::Hold, "its host is being drained", out);
        let migration = Migration::asked(route, self.action_of(vm, to), By::Operator, now);
        self.launch(Migration { drains: true, ..migration }, out);
    }

    fn launch(&mut self, migration: Migration, out: &mut Vec<Effect>) {
        let route = migration.route;
        self.board(migration);
        out.push(Effect::Preflight(route));
    }

    /// The migration is under way; its hosts are taken.
    pub(super) fn board(&mut self, migration: Migration) {
        let route = migration.route;
        self.migrations.insert(route.id, migration);
        let live = self.live_mut(route.vm);
        live.migration = Some(route.id);
        live.policy.reset_counts();
        self.hosts[route.from.index()].busy += 1;
        self.hosts[route.to.index()].busy += 1;
        self.hosts[route.to.index()].incoming += 1;
    }

    /// The migration is over; its hosts are free for another.
    pub(super) fn land(&mut self, id: RequestId) -> Option<Migration> {
        let migration = self.migrations.remove(&id)?;
        let Route { vm, from, to, .. } = migration.route;
        self.live_mut(vm).migration = None;
        self.hosts[from.index()].busy -= 1;
        self.hosts[to.index()].busy -= 1;
        self.hosts[to.index()].incoming -= 1;
        self.look_at_drains();
        Some(migration)
    }

    pub(super) fn flight_in(&mut self, id: RequestId, stage: Stage) -> Option<&mut Migration> {
        self.migrations.get_mut(&id).filter(|migration| migration.stage == stage)
    }

    pub(super) fn on_preflight(
        &mut self,
        now: Timestamp,
        id: RequestId,
        refusal: Option<String>,
        forecast: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(migration) = self.flight_in(id, Stage::Preflight) else { return };
        let route = migration.route;
        let aborted = migration.aborting;
        let refusal = if aborted { Some("aborted by an operator".to_owned()) } else { refusal };
        let (action, by, drains) = (migration.action, migration.by, migration.drains);
        if let Some(detail) = refusal {
            let found = self.land(id).and_then(|migration| migration.found);
            if aborted {
                self.spare(now, route);
            } else {
                // A host that refuses is passed over for a while, like one where a migration failed.
                self.live_mut(route.vm).remember_failure(route.to, now);
            }
            if by == By::Operator && !drains {
                let vm = &self.cluster.vm(route.vm).name;
                out.push(Effect::Answer { ok: false, text: format!("{vm} stays: {detail}") });
            }
            self.block(now, route.vm, action, Gate::Preflight, detail, out);
            if let Some(hosts) = found {
                self.on_found(now, route.vm, &hosts, out);
            }
            return self.say_state(now, route.vm, out);
        }
        migration.stage = Stage::Journal;
        migration.forecast = forecast.unwrap_or_default();
        migration.detail.clone_from(&migration.forecast);
        let Route { vm, from, to, .. } = route;
        self.record(now, vm, Happened::Request { id, action, from, to, by }, out);
        out.push(Effect::Journal(route));
    }

    pub(super) fn on_journalled(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(migration) = self.flight_in(id, Stage::Journal) else { return };
        migration.stage = Stage::Running;
        let (route, aborting, forecast) = (migration.route, migration.aborting, migration.detail.clone());
        self.record_flight(now, route, Phase::Running, 0, forecast, out);
        self.say_state(now, route.vm, out);
        out.push(Effect::Start(route));
        if aborting {
            out.push(Effect::Abort(route));
        }
    }

    /// A migration that the journal does not hold could be started twice after a crash, so it does not start. No host is
    /// to blame: none is passed over.
    pub(super) fn on_not_journalled(&mut self, now: Timestamp, id: RequestId, why: &str, out: &mut Vec<Effect>) {
        if self.flight_in(id, Stage::Journal).is_none() {
            return;
        }
        let Some(migration) = self.land(id) else { return };
        self.retry_drains_later(now);
        let route = migration.route;
        let phase = if migration.aborting { Phase::Aborted } else { Phase::Failed };
        self.live_mut(route.vm).landed = Some((id, phase));
        if migration.by == By::Operator && !migration.drains {
            let vm = &self.cluster.vm(route.vm).name;
            out.push(Effect::Answer { ok: false, text: format!("{vm} stays: not written down, {why}") });
        }
        self.record_flight(now, route, phase, 0, format!("not started: {why}"), out);
        if let Some(hosts) = migration.found {
            self.on_found(now, route.vm, &hosts, out);
        }
        self.settle(now, route.vm);
        self.say_state(now, route.vm, out);
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
        let started =
            |migration: &&mut Migration| matches!(migration.stage, Stage::Running | Stage::Confirming | Stage::Unknown);
        let Some(migration) = self.migrations.get_mut(&id).filter(started) else { return };
        let is_followed = migration.stage != Stage::Running;
        (migration.transfer, migration.told) = (transfer, now);
        migration.percent = percent.min(100);
        migration.detail.clone_from(&detail);
        migration.heard = migration.heard.map(|_| now);
        let (route, percent) = (migration.route, migration.percent);
        if is_followed {
            self.follow(now, id);
        }
        self.record_flight(now, route, Phase::Running, percent, detail, out);
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
