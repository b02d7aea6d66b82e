//! A migration under way: its stages, how long each may last, and what a driver's answers make of it.
//!
//! ```text
//! Preflight ──▶ Journal ──▶ Running ──▶ Confirming ──▶ outcome
//!     │            │           ▲ │           │  ▲         ▲
//!     ▼            ▼           │ └─silence───┘  ▼         │
//!  refused    not started      └─progress─── Unknown ─────┘
//! ```
//!
//! Every stage has an instant at which the engine acts although nobody answered. So a lost answer delays a migration;
//! it never leaves one without an end.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::memory::{Hold, HoldCause};
use super::message::{Effect, Event, Presence, Route};
use super::record::{By, Gate, Happened, Phase};
use super::timers::Timer;
use crate::core::cluster::{HostId, HostState, Name, RequestId, Span, Timestamp, Transfer};
use crate::core::format::duration;
use crate::core::policy::Decision;

/// The detail of a resumed migration until its driver says more.
const RESTARTED: &str = "whimbrel was restarted in mid-move";
/// The detail of a migration whose driver leaves both questions and news unanswered.
pub(super) const NO_ANSWER: &str = "the driver does not answer";

/// How long the engine waits for an answer before it goes on without one. Whoever is asked has a shorter deadline of
/// its own and normally answers by then; these are the backstop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A driver's answer to [`Effect::Preflight`]; without one the move is refused.
    pub preflight: Span,
    /// The answer to [`Effect::Journal`]; without one the migration is not started.
    pub journal: Span,
    /// A running migration without news: both hosts are asked.
    pub silence: Span,
    /// The answer to [`Effect::Confirm`]; without one the question is asked again, and then after twice as long.
    pub confirm: Span,
    /// An outcome that cannot be told for so long is an alarm.
    pub unknown: Span,
    /// The answer to [`Effect::Read`], counted from the end of the VM's interval; without one the reading is a gap.
    /// Never shorter than the interval.
    pub reading: Span,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            // A command driver asks many hosts, one command after the other, before it answers.
            preflight: Span::from_mins(5),
            journal: Span::from_secs(15),
            silence: Span::from_mins(1),
            confirm: Span::from_secs(15),
            unknown: Span::from_mins(1),
            reading: Span::from_secs(10),
        }
    }
}

impl Deadlines {
    /// The same where time runs this many times faster than the clock. The journal's disk stays as slow as it is.
    #[must_use]
    pub fn at_speed(self, speed: f64) -> Self {
        Self { journal: Span::from_secs_f64(self.journal.secs_f64() * speed).max(Span::from_millis(1)), ..self }
    }

    /// All of them divided by `n`. For tests that stop the process for longer than any deadline; not for operators.
    #[must_use]
    pub fn divided_by(self, n: u32) -> Self {
        let part = |span: Span| span.scaled(1, i64::from(n.max(1))).max(Span::from_millis(1));
        let Self { preflight, journal, silence, confirm, unknown, reading } = self;
        Self {
            preflight: part(preflight),
            journal: part(journal),
            silence: part(silence),
            confirm: part(confirm),
            unknown: part(unknown),
            reading: part(reading),
        }
    }
}

/// A migration under way, from preflight to outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Migration {
    /// Which VM, from where to where.
    pub route: Route,
    /// What is carried out.
    pub action: Decision,
    /// Who wanted it.
    pub by: By,
    /// When it was asked for.
    pub since: Timestamp,
    /// 0 to 100.
    pub percent: u8,
    /// What was last said of it.
    pub detail: String,
    /// What the driver said before it started, of what it would be like; may be empty.
    pub forecast: String,
    /// The driver's last figures.
    pub transfer: Option<Transfer>,
    /// When its driver last said how far it is; before that, when it was asked for or started.
    pub told: Timestamp,
    /// An operator wants it stopped.
    pub aborting: bool,
    /// How it ended, in the driver's words; `None` before the driver said that it did.
    pub(super) ended: Option<String>,
    pub(super) stage: Stage,
}

/// How far a migration is, and what is known only there. Each has the instant at which the engine acts on its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// The driver checks that it can start.
    Preflight {
        /// Without an answer by then it is refused.
        until: Timestamp,
        found: FoundHosts,
    },
    /// It is being written down.
    Journal {
        /// Without an answer by then it is not started.
        until: Timestamp,
        found: FoundHosts,
    },
    /// The driver moves it.
    Running {
        /// Whether news has come is looked at then.
        check: Timestamp,
        /// Both hosts were asked before this turned out to be still under way, and may yet answer.
        asked: bool,
    },
    /// The driver has ended, or has been silent for long. Both hosts are asked.
    Confirming { question: HostsQuestion },
    /// It cannot be told where the VM runs. Both hosts are asked again and again.
    Unknown {
        question: HostsQuestion,
        /// What source and destination said last; `None`: nothing yet.
        sides: Option<Sides>,
        /// An alarm was raised over it.
        alarmed: bool,
    },
}

/// Where a driver found the VM before its migration started. Counts if it is not started.
pub(super) type FoundHosts = Option<Vec<HostId>>;

/// What source and destination say.
pub(super) type Sides = (Presence, Presence);

/// The question where a VM runs, put to both hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostsQuestion {
    /// It was asked first then. Time in which the process stood still is left out.
    pub since: Timestamp,
    /// It is asked again then.
    pub again: Timestamp,
    /// If that is not answered either, it is asked once more after so long.
    pub wait: Span,
}

impl HostsQuestion {
    /// Leaves out the time since it should have been asked again: the process stood still then, which is no silence of the
    /// driver's.
    pub(super) fn came_to(&mut self, now: Timestamp) {
        let late = now.since(self.again);
        self.since += late;
        self.again += late;
    }
}

/// How far a migration is, without what is known only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// The driver checks that it can start.
    Preflight,
    /// It is being written down.
    Journal,
    /// The driver moves it.
    Running,
    /// Both hosts are asked where the VM runs.
    Confirming,
    /// It cannot be told where the VM runs.
    Unknown,
}

impl StageKind {
    /// In one word, as a table shows it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Preflight => "checking",
            Self::Journal => "begins",
            Self::Running => "running",
            Self::Confirming => "confirming",
            Self::Unknown => "unknown",
        }
    }

    /// What is being done, in a clause: `checking whether mln4 can take it`.
    pub fn clause(self, to: &str) -> String {
        match self {
            Self::Preflight => format!("checking whether {to} can take it"),
            Self::Journal => "writing it down, then it starts".to_owned(),
            Self::Running => format!("moving to {to}"),
            Self::Confirming => "asking both hosts where it runs".to_owned(),
            Self::Unknown => "outcome unknown".to_owned(),
        }
    }
}

impl Stage {
    /// When the engine acts although nobody has answered.
    const fn due(&self) -> Timestamp {
        match self {
            Self::Preflight { until, .. } | Self::Journal { until, .. } => *until,
            Self::Running { check, .. } => *check,
            Self::Confirming { question, .. } | Self::Unknown { question, .. } => question.again,
        }
    }
}

impl Migration {
    /// A migration that has been asked for: the driver is to check whether it can start.
    pub(super) fn asked(route: Route, action: Decision, by: By, now: Timestamp, deadlines: &Deadlines) -> Self {
        Self::in_stage(route, action, by, now, Stage::Preflight { until: now + deadlines.preflight, found: None })
    }

    const fn in_stage(route: Route, action: Decision, by: By, now: Timestamp, stage: Stage) -> Self {
        Self {
            route,
            action,
            by,
            since: now,
            percent: 0,
            detail: String::new(),
            forecast: String::new(),
            transfer: None,
            told: now,
            aborting: false,
            ended: None,
            stage,
        }
    }

    /// How far it is.
    pub const fn stage(&self) -> StageKind {
        match self.stage {
            Stage::Preflight { .. } => StageKind::Preflight,
            Stage::Journal { .. } => StageKind::Journal,
            Stage::Running { .. } => StageKind::Running,
            Stage::Confirming { .. } => StageKind::Confirming,
            Stage::Unknown { .. } => StageKind::Unknown,
        }
    }

    /// When the engine acts although nobody has answered.
    pub(super) const fn due(&self) -> Timestamp {
        self.stage.due()
    }

    /// Its outcome is unknown, and an alarm has said so.
    pub const fn is_long_unknown(&self) -> bool {
        matches!(self.stage, Stage::Unknown { alarmed: true, .. })
    }

    /// Has both hosts asked again at this instant, if they are asked at all.
    pub(super) const fn ask_at(&mut self, at: Timestamp) {
        if let Stage::Confirming { question } | Stage::Unknown { question, .. } = &mut self.stage {
            question.again = at;
        }
    }

    /// What an outcome says of how it ended.
    pub(super) fn last_words(&self) -> String {
        self.ended.clone().unwrap_or_else(|| format!("last heard of at {}%", self.percent))
    }
}

impl Engine {
    /// Replaces how long answers are waited for.
    pub const fn set_deadlines(&mut self, deadlines: Deadlines) {
        self.deadlines = deadlines;
    }

    /// The migration is under way; its hosts are taken.
    pub(super) fn start(&mut self, migration: Migration) {
        let (route, due) = (migration.route, migration.due());
        self.migrations.insert(route.id, migration);
        let live = self.live_mut(route.vm);
        live.transient.migration = Some(route.id);
        live.policy.reset_counts();
        self.timers.set(due, route.vm, Timer::Migration);
    }

    /// The migration is over; its hosts are free for another.
    pub(super) fn finish(&mut self, id: RequestId) -> Option<Migration> {
        let migration = self.migrations.remove(&id)?;
        self.live_mut(migration.route.vm).transient.migration = None;
        self.look_at_drains();
        Some(migration)
    }

    /// The migration enters a stage, which ends by itself when it is due.
    pub(super) fn enter(&mut self, id: RequestId, stage: Stage) {
        if let Some(migration) = self.migrations.get_mut(&id) {
            self.timers.set(stage.due(), migration.route.vm, Timer::Migration);
            migration.stage = stage;
        }
    }

    /// The driver moves it, until it has been silent for too long.
    fn runs(&mut self, id: RequestId, asked: bool) {
        if let Some(migration) = self.migrations.get(&id) {
            self.enter(id, Stage::Running { check: migration.told + self.deadlines.silence, asked });
        }
    }

    /// Migrations from or to a host.
    pub(super) fn busy(&self, host: HostId) -> u32 {
        self.migrations.values().filter(|migration| [migration.route.from, migration.route.to].contains(&host)).count()
            as u32
    }

    /// VMs on their way to a host.
    pub(super) fn incoming(&self, host: HostId) -> u32 {
        self.migrations.values().filter(|migration| migration.route.to == host).count() as u32
    }

    /// Migrations under way that take a slot of the cluster's: one whose outcome has long been unknown may stay so, and
    /// keeps only its two hosts.
    pub fn slots_taken(&self) -> usize {
        self.migrations.values().filter(|migration| !migration.is_long_unknown()).count()
    }

    /// Where a driver found a VM that moves. It counts if the migration is not started.
    pub(super) fn found_meanwhile(&mut self, id: RequestId, hosts: &[HostId]) {
        if let Some(Migration { stage: Stage::Preflight { found, .. } | Stage::Journal { found, .. }, .. }) =
            self.migrations.get_mut(&id)
        {
            *found = Some(hosts.to_vec());
        }
    }

    pub(super) fn on_preflight(
        &mut self,
        now: Timestamp,
        id: RequestId,
        refusal: Option<String>,
        forecast: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        let until = now + self.deadlines.journal;
        let Some(migration) = self.migrations.get_mut(&id) else { return };
        let Stage::Preflight { found, .. } = &mut migration.stage else { return };
        let found = found.take();
        let refusal = if migration.aborting { Some("aborted by an operator".to_owned()) } else { refusal };
        if let Some(refusal) = refusal {
            return self.refused(now, id, refusal, found, out);
        }
        let route = migration.route;
        if let Err(why) = self.has_stopped(now, route.vm, route.to) {
            return self.not_ready(now, id, why, found, out);
        }
        let Some(migration) = self.migrations.get_mut(&id) else { return };
        migration.forecast = forecast.unwrap_or_default();
        migration.detail.clone_from(&migration.forecast);
        let (action, by) = (migration.action, migration.by);
        let (from, to) = self.cluster.ends(route.from, route.to);
        self.record(now, route.vm, Happened::Request { id, action, from, to, by: by.in_events() }, out);
        self.enter(id, Stage::Journal { until, found });
        out.push(Effect::Journal(route));
    }

    fn refused(&mut self, now: Timestamp, id: RequestId, refusal: String, found: FoundHosts, out: &mut Vec<Effect>) {
        let Some(route) = self.migrations.get(&id).map(|migration| migration.route) else { return };
        if self.migrations[&id].aborting {
            self.spare(now, route);
        } else if self.host_state(route.to) != HostState::Unknown {
            // A host that refuses is passed over for a while, like one where a migration failed. If its driver has lost it
            // meanwhile, the host has not been asked.
            self.live_mut(route.vm).remember_failure(route.to, now);
        }
        self.not_ready(now, id, refusal, found, out);
    }

    /// It does not start, and no host is to blame.
    fn not_ready(&mut self, now: Timestamp, id: RequestId, refusal: String, found: FoundHosts, out: &mut Vec<Effect>) {
        let Some(migration) = self.finish(id) else { return };
        let route = migration.route;
        if migration.by == By::Operator {
            out.push(Effect::Answer { ok: false, text: format!("{} stays: {refusal}", self.name(route.vm)) });
        }
        self.block(now, route.vm, migration.action, Gate::Preflight, refusal, out);
        self.take_order_back(route.vm, out);
        if let Some(hosts) = found {
            self.on_found(now, route.vm, &hosts, out);
        }
        self.say_state(now, route.vm, out);
    }

    pub(super) fn on_journalled(&mut self, now: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(migration) = self.migrations.get_mut(&id) else { return };
        if migration.stage() != StageKind::Journal {
            return;
        }
        migration.told = now;
        let (route, aborting, forecast) = (migration.route, migration.aborting, migration.detail.clone());
        self.runs(id, false);
        self.record_migration(now, route, Phase::Running, 0, forecast, out);
        self.say_state(now, route.vm, out);
        out.push(Effect::Start(route));
        if aborting {
            out.push(Effect::Abort(route));
        }
    }

    /// A migration that the journal does not hold could be started twice after a crash, so it does not start. No host is
    /// to blame, so none is passed over; and nothing has moved, so nothing settles: tried again and again, it would put
    /// the VM's next reading off without an end.
    pub(super) fn on_not_journalled(&mut self, now: Timestamp, id: RequestId, why: &str, out: &mut Vec<Effect>) {
        if self.migrations.get(&id).is_none_or(|migration| migration.stage() != StageKind::Journal) {
            return;
        }
        let Some(migration) = self.finish(id) else { return };
        self.retry_drains_later(now);
        let route = migration.route;
        let phase = if migration.aborting { Phase::Aborted } else { Phase::Failed };
        self.live_mut(route.vm).landed = Some((id, phase));
        if migration.by == By::Operator {
            let text = format!("{} stays: not written down, {why}", self.name(route.vm));
            out.push(Effect::Answer { ok: false, text });
        }
        self.record_migration(now, route, phase, 0, format!("not started: {why}"), out);
        self.take_order_back(route.vm, out);
        if let Stage::Journal { found: Some(hosts), .. } = migration.stage {
            self.on_found(now, route.vm, &hosts, out);
        }
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
        let Some(migration) = self.migrations.get_mut(&id) else { return };
        let before = migration.stage();
        if matches!(before, StageKind::Preflight | StageKind::Journal) {
            return;
        }
        let percent = percent.min(100);
        let is_news = migration.percent != percent || migration.detail != detail;
        (migration.transfer, migration.told, migration.percent) = (transfer, now, percent);
        migration.detail.clone_from(&detail);
        let route = migration.route;
        if before != StageKind::Running {
            self.runs(id, true);
        }
        // An answer that only says that it still goes on was asked for by nobody but the engine.
        if is_news || before != StageKind::Confirming {
            self.record_migration(now, route, Phase::Running, percent, detail, out);
        }
    }

    /// Nobody has answered in time.
    pub(super) fn on_overdue(&mut self, now: Timestamp, due: Timestamp, id: RequestId, out: &mut Vec<Effect>) {
        let Some(migration) = self.migrations.get(&id).filter(|migration| migration.due() == due) else { return };
        match migration.stage {
            Stage::Preflight { .. } => {
                let why = format!("the driver did not answer within {}", duration(self.deadlines.preflight));
                self.on_preflight(now, id, Some(why), None, out);
            }
            Stage::Journal { .. } => {
                let (vm, limit) = (migration.route.vm, duration(self.deadlines.journal));
                let text = format!("{}: request #{} not started: no journal within {limit}", self.name(vm), id.0);
                self.alarm(now, Some(vm), text, out);
                self.on_not_journalled(now, id, &format!("no answer within {limit}"), out);
            }
            Stage::Running { asked, .. } => {
                if now.since(migration.told) < self.deadlines.silence {
                    self.runs(id, asked);
                } else {
                    self.confirm(now, id, out);
                }
            }
            Stage::Confirming { .. } | Stage::Unknown { .. } => self.ask_again(now, id, out),
        }
    }

    pub(super) fn record_migration(
        &self,
        at: Timestamp,
        route: Route,
        phase: Phase,
        percent: u8,
        detail: String,
        out: &mut Vec<Effect>,
    ) {
        let Route { id, vm, .. } = route;
        let (from, to) = self.cluster.ends(route.from, route.to);
        self.record(at, vm, Happened::Migration { id, phase, percent, from, to, detail }, out);
    }
}

/// A migration as the journal has it: in names, which outlive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Which VM, from where to where.
    #[serde(flatten)]
    pub route: Route<Name, Name>,
    /// What is carried out.
    pub action: Decision,
    /// Who wanted it.
    pub by: By,
}

impl Engine {
    /// A request's migration, for the journal; `None` if none is under way.
    pub fn in_flight(&self, id: RequestId) -> Option<InFlight> {
        let migration = self.migrations.get(&id)?;
        Some(InFlight { route: self.in_names(migration.route), action: migration.action, by: migration.by })
    }

    /// A route in names.
    pub fn in_names(&self, Route { id, vm, from, to }: Route) -> Route<Name, Name> {
        let host = |host| self.cluster.host(host).name.clone();
        Route { id, vm: self.cluster.vm(vm).name.clone(), from: host(from), to: host(to) }
    }

    /// What a driver says, in the ids of the cluster; `None` if a VM or a host of it is not in the config.
    pub fn in_ids(&self, event: Event<Name, Name>) -> Option<Event> {
        event.in_ids(|vm| self.vm_named(vm), |host| self.host_named(host))
    }

    /// Goes on with a migration that was under way when the engine stopped: the journal has it without an outcome. Both
    /// hosts are asked where the VM runs, as after a migration whose outcome could not be told. Nothing is started. If
    /// its VM or a host is not in the config any more, that is an alarm, and nothing is done.
    pub fn resume(&mut self, now: Timestamp, journalled: &InFlight, out: &mut Vec<Effect>) {
        let InFlight { route: Route { id, .. }, action, by } = *journalled;
        self.last_id = self.last_id.max(id.0);
        if self.migrations.contains_key(&id) {
            return;
        }
        let route = match self.route_of(journalled) {
            Ok(route) => route,
            Err(why) => return self.lost_track(now, journalled, &why, out),
        };
        if route.from != self.live(route.vm).host {
            // It was taken to be there before its outcome was written down.
            self.placed(route.vm, route.from);
        }
        let question = HostsQuestion { since: now, again: now, wait: self.deadlines.confirm };
        let stage = Stage::Unknown { question, sides: None, alarmed: false };
        let migration = Migration {
            detail: RESTARTED.to_owned(),
            ended: Some(RESTARTED.to_owned()),
            ..Migration::in_stage(route, action, by, now, stage)
        };
        let live = self.live_mut(route.vm);
        (live.waiting, live.leaving, live.settle) = (None, None, None);
        self.start(migration);
        self.record_migration(now, route, Phase::Unknown, 0, RESTARTED.to_owned(), out);
        self.say_state(now, route.vm, out);
    }

    fn route_of(&self, journalled: &InFlight) -> Result<Route, String> {
        let Route { id, vm, from, to } = &journalled.route;
        let gone = |what: &str, name: &str| format!("{what} {name} is not in the config any more");
        let host = |name: &str| self.host_named(name).ok_or_else(|| gone("host", name));
        let vm = self.vm_named(vm).ok_or_else(|| gone("VM", vm))?;
        let (from, to) = (host(from)?, host(to)?);
        match self.live(vm).transient.migration {
            Some(other) => Err(format!("request #{} was under way as well", other.0)),
            None => Ok(Route { id: *id, vm, from, to }),
        }
    }

    /// Raises an alarm, and holds the VM: its migration may still go on, and a second one must not begin.
    fn lost_track(&mut self, now: Timestamp, journalled: &InFlight, why: &str, out: &mut Vec<Effect>) {
        let Route { id, vm: name, from, to } = &journalled.route;
        let vm = self.vm_named(name);
        let remedy = if vm.is_some() { "see where it runs, then release it" } else { "see where it runs" };
        let text = format!(
            "request #{} was moving {name} from {from} to {to} when whimbrel stopped, and {why}: nothing is moved; {remedy}",
            id.0
        );
        if let Some(vm) = vm.filter(|vm| self.live(*vm).hold.is_none_or(|hold| hold.until < Timestamp::NEVER)) {
            self.drop_waiting(now, vm, Gate::Hold, "its last migration was lost track of", out);
            self.hold(vm, Hold { until: Timestamp::NEVER, cause: HoldCause::Untracked });
        }
        self.alarm(now, vm, text, out);
    }
}
