//! The end of a migration: both hosts are asked, what they say is the outcome, and the VM settles. An error message is
//! never taken for an outcome.

use crate::core::cluster::{HostId, RequestId, Span, Timestamp, VmId};
use crate::core::format::measured;
use crate::core::policy::{Place, Rule};

use super::memory::{Hold, HoldCause, Location};
use super::message::{Effect, Presence, Route};
use super::migration::{HostsQuestion, NO_ANSWER, Sides, Stage, StageKind};
use super::operate::Said;
use super::record::{By, Phase};
use super::{Engine, HOUR};

/// Hosts that could not tell are asked again after this time: a hand-over takes less than that.
const ASK_SOON: Span = Span::from_secs(1);
/// Hosts that could not tell twice are asked again after this time, and so on.
const ASK_AGAIN: Span = Span::from_secs(5);
/// A driver that does not answer is asked again at least this often.
const LONGEST_WAIT: Span = Span::from_mins(5);

/// The host that does not answer, if the other one alone can say how it ended.
const fn silent(route: Route, sides: Sides) -> Option<HostId> {
    match sides {
        (Presence::Runs | Presence::Absent, Presence::Unknown) => Some(route.to),
        (Presence::Unknown, Presence::Runs | Presence::Absent) => Some(route.from),
        _ => None,
    }
}

/// What an operator can do about an outcome that cannot be told.
fn remedy(route: Route, sides: Option<Sides>) -> &'static str {
    match sides {
        Some((Presence::Paused, Presence::Paused)) => "resume one, destroy the other",
        Some((Presence::Paused, Presence::Absent) | (Presence::Absent, Presence::Paused)) => "resume it there",
        Some((Presence::Paused, Presence::Runs) | (Presence::Runs, Presence::Paused)) => {
            "it runs at the other: destroy the paused one, if no migration goes on there"
        }
        Some(sides) if silent(route, sides).is_some() => {
            "switch it on, or, if it is off for good, release the VM; nothing else is moved with it"
        }
        _ => "nothing else is moved with it",
    }
}

impl Engine {
    /// The driver has ended. Its words are shown, and both hosts are asked for the outcome.
    pub(super) fn on_ended(&mut self, now: Timestamp, id: RequestId, detail: String, out: &mut Vec<Effect>) {
        let Some(migration) = self.migrations.get_mut(&id) else { return };
        match migration.stage() {
            StageKind::Preflight | StageKind::Journal => {}
            StageKind::Running => {
                migration.detail.clone_from(&detail);
                migration.ended = Some(detail);
                self.confirm(now, id, out);
            }
            StageKind::Confirming | StageKind::Unknown => {
                migration.ended = Some(detail);
                self.ask_again(now, id, out);
            }
        }
    }

    /// Asks both hosts where the VM runs, because the driver has ended or is silent.
    pub(super) fn confirm(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(route) = self.migrations.get(&id).map(|migration| migration.route) else { return };
        let wait = self.deadlines.confirm;
        let question = HostsQuestion { since: now, again: now + wait, wait: wait.scaled(2, 1) };
        self.enter(id, Stage::Confirming { question });
        out.push(Effect::Confirm(route));
    }

    /// Asks both hosts once more: they could not tell, or the driver did not answer. Raises the alarm when it is time.
    pub(super) fn ask_again(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(migration) = self.migrations.get(&id) else { return };
        let (route, mut stage) = (migration.route, migration.stage.clone());
        let sides = if let Stage::Unknown { sides, .. } = stage { sides } else { None };
        let (Stage::Confirming { question } | Stage::Unknown { question, .. }) = &mut stage else { return };
        question.came_to(now);
        let alarm_at = question.since + self.deadlines.unknown;
        question.again = now + question.wait;
        question.wait = question.wait.scaled(2, 1).min(LONGEST_WAIT);
        if alarm_at <= now {
            let question = *question;
            self.cannot_tell(now, id, question, sides, out);
        } else {
            question.again = question.again.min(alarm_at);
            self.enter(id, stage);
        }
        out.push(Effect::Confirm(route));
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
        let sides = (source, destination);
        let (mut question, is_first) = match migration.stage {
            Stage::Confirming { question } => (question, true),
            Stage::Unknown { question, sides, .. } => (question, sides.is_none()),
            // News of a migration may overtake its end. That the VM has arrived is certain even so.
            Stage::Running { asked: true, .. } if sides == (Presence::Absent, Presence::Runs) => {
                return self.confirmed(now, id, out);
            }
            Stage::Preflight { .. } | Stage::Journal { .. } | Stage::Running { .. } => return,
        };
        match sides {
            (Presence::Unknown | Presence::Paused, _) | (_, Presence::Unknown | Presence::Paused) => {
                question.came_to(now);
                question.again = now + if is_first { ASK_SOON } else { ASK_AGAIN };
                question.wait = self.deadlines.confirm;
                self.cannot_tell(now, id, question, Some(sides), out);
            }
            (Presence::Absent, Presence::Runs) => self.confirmed(now, id, out),
            (Presence::Runs, Presence::Absent) => self.stayed(now, id, out),
            (Presence::Absent, Presence::Absent) => self.broken(now, id, Phase::Lost, HoldCause::Lost, out),
            (Presence::Runs, Presence::Runs) => self.broken(now, id, Phase::Double, HoldCause::Double, out),
        }
    }

    /// Enters *unknown*: nothing is done to the VM until both hosts can tell. After a while one alarm says so.
    fn cannot_tell(
        &mut self,
        now: Timestamp,
        id: RequestId,
        question: HostsQuestion,
        sides: Option<Sides>,
        out: &mut Vec<Effect>,
    ) {
        let Some(migration) = self.migrations.get(&id) else { return };
        let (route, percent) = (migration.route, migration.percent);
        let said = self.doubtful(route, sides);
        let is_news = migration.stage() != StageKind::Unknown || migration.detail != said;
        let was_alarmed = migration.is_long_unknown();
        let lasts = now.since(question.since);
        let alarmed = lasts >= self.deadlines.unknown;
        if let Some(migration) = self.migrations.get_mut(&id) {
            migration.detail.clone_from(&said);
        }
        self.enter(id, Stage::Unknown { question, sides, alarmed });
        if is_news {
            self.record_migration(now, route, Phase::Unknown, percent, said.clone(), out);
        }
        if alarmed && !was_alarmed {
            let remedy = remedy(route, sides);
            let text = format!("{}: outcome unknown for {}: {said}; {remedy}", self.name(route.vm), measured(lasts));
            self.alarm(now, Some(route.vm), text, out);
            // It frees its slot, which a drain may wait for.
            self.look_at_drains();
        }
    }

    /// Which side keeps the outcome from being told, and why: `kvm2 does not answer`.
    fn doubtful(&self, route: Route, sides: Option<Sides>) -> String {
        let (from, to) = (self.host_name(route.from), self.host_name(route.to));
        let side = |presence, host: &str| match presence {
            Presence::Unknown => Some(format!("{host} does not answer")),
            Presence::Paused => Some(format!("paused on {host}")),
            Presence::Runs | Presence::Absent => None,
        };
        match sides {
            None => NO_ANSWER.to_owned(),
            Some((Presence::Paused, Presence::Paused)) => format!("paused on both {from} and {to}"),
            Some((source, destination)) => {
                [side(source, from), side(destination, to)].into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// An operator says that the silent host is off for good, so the other host's answer is the outcome.
    pub(super) fn give_up(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) -> Said {
        let Some((route, &Stage::Unknown { sides, alarmed: true, .. })) =
            self.migration(vm).map(|migration| (migration.route, &migration.stage))
        else {
            return Err(format!("{}: both hosts are asked for a minute first", self.name(vm)));
        };
        let Some((silent, (source, destination))) = sides.and_then(|sides| Some((silent(route, sides)?, sides))) else {
            return Err(format!("{}: {}: nothing can be told", self.name(vm), self.doubtful(route, sides)));
        };
        let said = format!("{}: {} is taken to be off for good", self.name(vm), self.host_name(silent));
        let id = route.id;
        match (source, destination) {
            (Presence::Runs, _) => self.stayed(now, id, out),
            (_, Presence::Runs) => self.confirmed(now, id, out),
            _ => self.broken(now, id, Phase::Lost, HoldCause::Lost, out),
        }
        Ok(said)
    }

    fn confirmed(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(migration) = self.finish(id) else { return };
        let Route { vm, to, .. } = migration.route;
        self.live_mut(vm).landed = Some((id, Phase::Confirmed));
        // Of one that was under way at a restart it is not known how long it took.
        if self.leads_across(vm, to) && migration.since > self.begun {
            let (homewards, took) = (self.cluster.is_home(to), now.since(migration.since));
            self.live_mut(vm).trips.add(homewards, took);
        }
        self.placed(vm, to);
        self.live_mut(vm).remember_move(now);
        while self.moves.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.moves.pop_front();
        }
        self.moves.push_back(now);
        if !self.cluster.is_base(to) {
            let tried = &mut self.live_mut(vm).tried;
            tried.retain(|(_, host)| *host != to);
            tried.push((now, to));
        }
        if migration.by == By::Operator {
            self.hold_after_manual(now, vm);
        }
        self.record_migration(now, migration.route, Phase::Confirmed, 100, migration.last_words(), out);
        self.take_order_back(vm, out);
        self.settle(now, vm);
        self.say_state(now, vm, out);
    }

    /// Notes that the VM is on this host now.
    pub(super) fn placed(&mut self, vm: VmId, host: HostId) {
        let before = self.live(vm).host;
        let left = &mut self.hosts[before.index()].vms;
        debug_assert!(*left > 0, "a VM leaves a host that has none");
        *left = left.saturating_sub(1);
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
        let Some(migration) = self.finish(id) else { return };
        let Route { vm, to, .. } = migration.route;
        let phase = if migration.aborting { Phase::Aborted } else { Phase::Failed };
        self.live_mut(vm).landed = Some((id, phase));
        if phase == Phase::Failed {
            self.live_mut(vm).remember_failure(to, now);
        } else {
            self.spare(now, migration.route);
        }
        self.record_migration(now, migration.route, phase, migration.percent, migration.last_words(), out);
        self.take_order_back(vm, out);
        self.settle(now, vm);
        self.say_state(now, vm, out);
    }

    fn broken(&mut self, now: Timestamp, id: RequestId, phase: Phase, cause: HoldCause, out: &mut Vec<Effect>) {
        let Some(migration) = self.finish(id) else { return };
        let route = migration.route;
        self.live_mut(route.vm).landed = Some((id, phase));
        self.hold(route.vm, Hold { until: Timestamp::NEVER, cause });
        self.live_mut(route.vm).location = Location::Unreported;
        self.record_migration(now, route, phase, migration.percent, migration.last_words(), out);
        self.take_order_back(route.vm, out);
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

    /// Starts the settle time: nothing counts until it ends, then a baseline is read. A policy that knows the base does not
    /// settle there.
    pub(super) fn settle(&mut self, now: Timestamp, vm: VmId) {
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
