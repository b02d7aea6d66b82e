//! migration → confirmation → settle. The outcome is what both hypervisors say, never what an error message says.

use crate::core::cluster::{HostId, RequestId, Span, Timestamp, VmId};
use crate::core::policy::{Place, Rule};

use super::live::{Hold, HoldCause, Location, Migration, Stage, Uncertainty};
use super::message::{Effect, Presence, Route};
use super::operate::Said;
use super::record::{By, Phase};
use super::timers::Timer;
use super::{Engine, HOUR};

/// Hosts that could not tell are asked again after so long: a hand-over takes less.
const ASK_SOON: Span = Span::from_secs(1);
/// And then after so long, again and again.
const ASK_AGAIN: Span = Span::from_secs(5);
/// An outcome that cannot be told for so long is a human's to look at.
const DOUBT: Span = Span::from_mins(1);
/// A migration that was found still under way, and of which nothing more is heard for so long, is asked for again.
const QUIET: Span = Span::from_mins(1);

/// What source and destination say.
type Sides = (Presence, Presence);

/// The host that does not answer, if the other one alone can say how it ended.
const fn silent(route: Route, sides: Sides) -> Option<HostId> {
    match sides {
        (Presence::Runs | Presence::Absent, Presence::Unknown) => Some(route.to),
        (Presence::Unknown, Presence::Runs | Presence::Absent) => Some(route.from),
        _ => None,
    }
}

impl Engine {
    pub(super) fn on_ended(&mut self, id: RequestId, detail: String, out: &mut Vec<Effect>) {
        let Some(migration) = self.flight_in(id, Stage::Running) else { return };
        (migration.stage, migration.heard, migration.retry) = (Stage::Confirming, None, Timestamp::NEVER);
        migration.detail.clone_from(&detail);
        migration.ended = detail;
        out.push(Effect::Confirm(migration.route));
    }

    pub(super) fn on_presence(
        &mut self,
        now: Timestamp,
        id: RequestId,
        source: Presence,
        destination: Presence,
        out: &mut Vec<Effect>,
    ) {
        let Some(migration) = self.migrations.get(&id) else { return };
        let is_asked = matches!(migration.stage, Stage::Confirming | Stage::Unknown);
        // Its last progress may have come after its end: that it has arrived is sure all the same.
        let has_arrived = migration.heard.is_some() && (source, destination) == (Presence::Absent, Presence::Runs);
        if !is_asked && !has_arrived {
            return;
        }
        match (source, destination) {
            (Presence::Unknown | Presence::Paused, _) | (_, Presence::Unknown | Presence::Paused) => {
                self.cannot_tell(now, id, (source, destination), out);
            }
            (Presence::Absent, Presence::Runs) => self.confirmed(now, id, out),
            (Presence::Runs, Presence::Absent) => self.stayed(now, id, out),
            (Presence::Absent, Presence::Absent) => self.broken(now, id, Phase::Lost, HoldCause::Lost, out),
            (Presence::Runs, Presence::Runs) => self.broken(now, id, Phase::Double, HoldCause::Double, out),
        }
    }

    /// Nothing is done to the VM until both hosts have said whether it runs there.
    fn cannot_tell(&mut self, now: Timestamp, id: RequestId, sides: Sides, out: &mut Vec<Effect>) {
        let Some(route) = self.migrations.get(&id).map(|migration| migration.route) else { return };
        let said = self.doubtful(route, sides);
        let Some(migration) = self.migrations.get_mut(&id) else { return };
        let wait = if migration.uncertainty.is_none() { ASK_SOON } else { ASK_AGAIN };
        let uncertainty = migration.uncertainty.get_or_insert(Uncertainty { since: now, told: false, sides });
        uncertainty.sides = sides;
        let since = uncertainty.since;
        let is_news = migration.stage != Stage::Unknown || migration.detail != said;
        (migration.stage, migration.retry) = (Stage::Unknown, now + wait);
        migration.detail.clone_from(&said);
        let percent = migration.percent;
        self.timers.set(now + wait, route.vm, Timer::Confirm);
        if is_news {
            self.record_flight(now, route, Phase::Unknown, percent, said.clone(), out);
        }
        if now.since(since) >= DOUBT {
            self.alarm_of_doubt(now, id, &said, sides, out);
        }
    }

    /// Which side keeps the outcome from being told, and why: `kvm2 does not answer`.
    fn doubtful(&self, route: Route, (source, destination): Sides) -> String {
        let (from, to) = (self.host_name(route.from), self.host_name(route.to));
        let side = |presence, host: &str| match presence {
            Presence::Unknown => Some(format!("{host} does not answer")),
            Presence::Paused => Some(format!("paused on {host}")),
            Presence::Runs | Presence::Absent => None,
        };
        match (source, destination) {
            (Presence::Paused, Presence::Paused) => format!("paused on both {from} and {to}"),
            _ => [side(source, from), side(destination, to)].into_iter().flatten().collect::<Vec<_>>().join(", "),
        }
    }

    /// Said once for each migration.
    fn alarm_of_doubt(&mut self, now: Timestamp, id: RequestId, said: &str, sides: Sides, out: &mut Vec<Effect>) {
        let Some(migration) = self.migrations.get_mut(&id) else { return };
        let route = migration.route;
        let Some(uncertainty) = migration.uncertainty.as_mut().filter(|uncertainty| !uncertainty.told) else { return };
        uncertainty.told = true;
        let remedy = match sides {
            (Presence::Paused, Presence::Paused) => "resume one, destroy the other",
            (Presence::Paused, Presence::Absent) | (Presence::Absent, Presence::Paused) => "resume it there",
            (Presence::Paused, Presence::Runs) | (Presence::Runs, Presence::Paused) => {
                "it runs at the other: destroy the paused one, if no migration goes on there"
            }
            sides if silent(route, sides).is_some() => {
                "switch it on, or, if it is off for good, release the VM; nothing else is moved with it"
            }
            _ => "nothing else is moved with it",
        };
        let text = format!("{}: outcome unknown for 1 min: {said}; {remedy}", self.name(route.vm));
        self.alarm(now, Some(route.vm), text, out);
    }

    /// An operator has looked: the host that does not answer is off for good. The outcome is what the other one says.
    pub(super) fn give_up(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) -> Said {
        let told = |migration: &Migration| {
            Some((migration.route, migration.uncertainty.filter(|uncertainty| uncertainty.told)?.sides))
        };
        let Some((route, sides)) = self.migration(vm).and_then(told) else {
            return Err(format!("{}: both hosts are asked for a minute first", self.name(vm)));
        };
        let Some(silent) = silent(route, sides) else {
            return Err(format!("{}: {}: nothing can be told", self.name(vm), self.doubtful(route, sides)));
        };
        let said = format!("{}: {} is taken to be off for good", self.name(vm), self.host_name(silent));
        let id = route.id;
        match sides {
            (Presence::Runs, _) => self.stayed(now, id, out),
            (_, Presence::Runs) => self.confirmed(now, id, out),
            _ => self.broken(now, id, Phase::Lost, HoldCause::Lost, out),
        }
        Ok(said)
    }

    /// What had seemed to be over is still under way: the driver follows it.
    pub(super) fn follow(&mut self, now: Timestamp, id: RequestId) {
        let Some(migration) = self.migrations.get_mut(&id) else { return };
        (migration.stage, migration.uncertainty) = (Stage::Running, None);
        (migration.heard, migration.retry) = (Some(now), now + QUIET);
        self.timers.set(now + QUIET, migration.route.vm, Timer::Confirm);
    }

    /// Both hosts are asked again. One that is followed is not, while it is heard of.
    pub(super) fn confirm_again(&mut self, due: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let Some(id) = self.live(vm).migration else { return };
        let Some(migration) = self.migrations.get_mut(&id).filter(|migration| migration.retry == due) else { return };
        let quiet = migration.heard.filter(|_| migration.stage == Stage::Running).map(|heard| heard + QUIET);
        if let Some(quiet) = quiet.filter(|quiet| *quiet > due) {
            migration.retry = quiet;
            return self.timers.set(quiet, vm, Timer::Confirm);
        }
        if migration.stage == Stage::Running {
            migration.stage = Stage::Confirming;
        }
        migration.retry = Timestamp::NEVER;
        out.push(Effect::Confirm(migration.route));
    }

    fn confirmed(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(migration) = self.land(id) else { return };
        let Route { vm, to, .. } = migration.route;
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
        if migration.by == By::Operator && !migration.drains {
            self.hold_after_manual(now, vm);
        }
        self.record_flight(now, migration.route, Phase::Confirmed, 100, migration.ended, out);
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
        let Some(migration) = self.land(id) else { return };
        let Route { vm, to, .. } = migration.route;
        let phase = if migration.aborting { Phase::Aborted } else { Phase::Failed };
        self.live_mut(vm).landed = Some((id, phase));
        if phase == Phase::Failed {
            self.live_mut(vm).remember_failure(to, now);
        } else {
            self.spare(now, migration.route);
        }
        self.record_flight(now, migration.route, phase, migration.percent, migration.ended, out);
        self.settle(now, vm);
        self.say_state(now, vm, out);
    }

    fn broken(&mut self, now: Timestamp, id: RequestId, phase: Phase, cause: HoldCause, out: &mut Vec<Effect>) {
        let Some(migration) = self.land(id) else { return };
        let route = migration.route;
        self.live_mut(route.vm).landed = Some((id, phase));
        self.hold(route.vm, Hold { until: Timestamp::NEVER, cause });
        self.live_mut(route.vm).location = Location::Unreported;
        self.record_flight(now, route, phase, migration.percent, migration.ended, out);
        let text = match phase {
            Phase::Lost => {
                let [vm, from, to] = [self.name(route.vm), self.host_name(route.from), self.host_name(route.to)];
                format!("{vm} is lost: it runs neither on {from} nor on {to}; start it, then release it")
            }
            _ => self.runs_twice(route.vm, route.from, route.to),
        };
        self.alarm(now, Some(route.vm), text, out);
        self.settle(now, route.vm);
        self.say_state(now, route.vm, out);
    }

    /// Nothing counts for a while, then a baseline is read. On the base nothing settles for a policy that knows it.
    pub(super) fn settle(&mut self, now: Timestamp, vm: VmId) {
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
