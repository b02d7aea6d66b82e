//! What goes into the engine and what comes out: events, commands, effects, records. All closed and serialisable, so
//! that a recorded run replays to the same decisions.

use serde::{Deserialize, Serialize};

use crate::core::cluster::{Cluster, HostId, HostState, Mode, Reading, RequestId, Span, Timestamp, Value, VmId};
use crate::core::policy::{Decision, Field};

/// Something the engine is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Time has passed: timers that are due fire. Needed no more often than [`Engine::next_wake`](super::Engine::next_wake).
    Tick,
    /// The answer to [`Effect::Read`].
    Reading {
        /// Of this VM.
        vm: VmId,
        /// What its monitor says.
        reading: Reading,
    },
    /// A site VM's queue: the answer to [`Effect::Read`], and at every job's end.
    Queue {
        /// Of this VM.
        vm: VmId,
        /// `None`: nothing in hand and nothing to claim.
        report: Option<QueueReport>,
    },
    /// What a driver has seen of a host.
    Host {
        /// This host.
        host: HostId,
        /// Its state.
        state: HostState,
        /// Its load, 0 = idle, 1 = all of its capacity; `None` = not measured.
        load: Option<f64>,
    },
    /// A driver found the VM on another host than the engine thinks.
    Found {
        /// This VM.
        vm: VmId,
        /// It runs here.
        host: HostId,
    },
    /// The answer to [`Effect::Preflight`].
    Preflight {
        /// Of this request.
        id: RequestId,
        /// Why the move cannot start, in a short phrase.
        refusal: Option<String>,
    },
    /// The answer to [`Effect::Journal`].
    Journalled {
        /// Of this request.
        id: RequestId,
    },
    /// A running migration goes on.
    Progress {
        /// Of this request.
        id: RequestId,
        /// 0 to 100.
        percent: u8,
        /// Rounds, rates: a short phrase.
        detail: String,
    },
    /// The driver has nothing more to do for it. Not yet an outcome.
    Ended {
        /// Of this request.
        id: RequestId,
        /// The driver's own words on how it went, to be shown, not believed.
        detail: String,
    },
    /// The answer to [`Effect::Confirm`]: what both hypervisors say.
    Presence {
        /// Of this request.
        id: RequestId,
        /// Whether the VM runs at the source.
        source: Presence,
        /// Whether the VM runs at the destination.
        destination: Presence,
    },
    /// An operator's command.
    Command {
        /// Who.
        by: String,
        /// What.
        command: Command,
    },
    /// Something around the engine failed and a human should know.
    Trouble {
        /// With this VM's monitor or driver; `None` for all of it.
        vm: Option<VmId>,
        /// In words.
        text: String,
    },
    /// The config has changed. VMs, hosts and arrays keep their state by name.
    Reconfigured(Box<Cluster>),
}

/// A site VM's queue as its worker reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueReport {
    /// The queue's name.
    pub name: String,
    /// Jobs by grade as claimed, big grade first.
    pub grades: Vec<(String, u32)>,
    /// Jobs of the big grade as claimed.
    pub big: u32,
    /// Jobs done.
    pub done: u32,
    /// A job is being worked on.
    pub in_job: bool,
    /// What is left, worked at home.
    pub at_home: Span,
    /// What is left, worked away.
    pub away: Span,
    /// The move itself.
    pub transfer: Span,
}

impl QueueReport {
    /// Jobs as claimed, of all grades.
    pub fn total(&self) -> u32 {
        self.grades.iter().map(|(_, jobs)| jobs).sum()
    }
}

/// Whether a VM runs on a host, as its hypervisor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It runs there.
    Runs,
    /// It does not run there.
    Absent,
    /// The host could not be asked.
    Unknown,
}

/// Where an operator wants a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The ring's next, as a policy's move would pick.
    Next,
    /// The neighbour after it in the ring, without wrapping.
    Up,
    /// The neighbour before it in the ring, without wrapping.
    Down,
    /// The base.
    Base,
    /// The other site.
    Away,
    /// The home site.
    Home,
    /// This host.
    Host(String),
}

/// What an operator can say. Names, not ids: a command may outlive a reload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Move a VM by hand.
    Move {
        /// This VM.
        vm: String,
        /// There.
        target: Target,
    },
    /// Let a waiting request go on.
    Approve {
        /// This VM's.
        vm: String,
    },
    /// Drop a waiting request.
    Deny {
        /// This VM's.
        vm: String,
    },
    /// Keep a VM where it is until released.
    Hold {
        /// This VM.
        vm: String,
    },
    /// End a hold or a flapping VM's.
    Release {
        /// This VM.
        vm: String,
    },
    /// Abort a running migration.
    Abort {
        /// This VM's.
        vm: String,
    },
    /// Change a number of a VM's policy in the running engine.
    Set {
        /// This VM's.
        vm: String,
        /// This number.
        field: Field,
        /// To this.
        value: f64,
    },
    /// Take the last [`Command::Set`] back.
    Undo,
    /// Change how far the engine may go on its own.
    Mode {
        /// To this.
        mode: Mode,
    },
    /// The alarms have been seen.
    Acknowledge,
}

/// Something the engine wants done or known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Read this VM's service; answer with [`Event::Reading`] or [`Event::Queue`].
    Read {
        /// This VM's.
        vm: VmId,
    },
    /// Check that a move can start; answer with [`Event::Preflight`].
    Preflight(Route),
    /// Write down durably that a migration is about to start; answer with [`Event::Journalled`].
    Journal(Route),
    /// Start a migration; answer with [`Event::Progress`] and [`Event::Ended`].
    Start(Route),
    /// Stop a running migration; it will still end.
    Abort(Route),
    /// Ask both hosts where the VM runs; answer with [`Event::Presence`].
    Confirm(Route),
    /// Something happened that is worth keeping.
    Record(Record),
    /// What became of an operator's command.
    Answer {
        /// It was taken.
        ok: bool,
        /// In words.
        text: String,
    },
}

/// One migration's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The request it carries out.
    pub id: RequestId,
    /// This VM.
    pub vm: VmId,
    /// From here.
    pub from: HostId,
    /// To there.
    pub to: HostId,
}

/// A VM's state, by precedence. Only *watching* counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VmState {
    /// On its way.
    Migrating,
    /// Stays where it is: by hand, after a hand-made move, after a foreign move, lost or double.
    Held,
    /// Was everywhere and never well; held until released.
    Flapping,
    /// Outside its working hours, on the base.
    Resting,
    /// Too many gaps in a row.
    Stale,
    /// Just moved.
    Settling,
    /// Its request waits for approval.
    Waiting,
    /// Counting.
    Watching,
}

impl VmState {
    /// The state's word, in events and on screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Migrating => "migrating",
            Self::Held => "held",
            Self::Flapping => "flapping",
            Self::Resting => "resting",
            Self::Stale => "stale",
            Self::Settling => "settling",
            Self::Waiting => "waiting",
            Self::Watching => "watching",
        }
    }
}

/// What can keep a decision from being carried out, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// What is known of the VM is too poor to act on.
    Quality,
    /// Outside working hours.
    Schedule,
    /// The VM is held.
    Hold,
    /// The VM was everywhere and never well.
    Flapping,
    /// It moved too recently.
    Cooldown,
    /// Too many moves at once or per hour.
    Budget,
    /// No host would take it.
    Destination,
    /// The engine may not act on its own.
    Mode,
    /// The driver refused.
    Preflight,
}

impl Gate {
    /// The gate's word, in events and on screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Quality => "quality",
            Self::Schedule => "schedule",
            Self::Hold => "hold",
            Self::Flapping => "flapping",
            Self::Cooldown => "cooldown",
            Self::Budget => "budget",
            Self::Destination => "destination",
            Self::Mode => "mode",
            Self::Preflight => "preflight",
        }
    }
}

/// Who wants a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The VM's policy, from samples.
    Policy,
    /// The end of its working hours.
    Schedule,
    /// An operator.
    Operator,
}

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Under way.
    Running,
    /// Runs at the destination and only there.
    Confirmed,
    /// Still runs at the source.
    Failed,
    /// Still runs at the source, as an operator asked.
    Aborted,
    /// Runs nowhere.
    Lost,
    /// Runs at both.
    Double,
    /// Cannot be told yet.
    Unknown,
}

impl Phase {
    /// The phase's word, in events and on screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Lost => "lost",
            Self::Double => "double",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that happened, for the event stream, the log and the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// To which VM; `None` for the cluster.
    pub vm: Option<VmId>,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// A value was read.
    Sample {
        /// The value.
        value: Value,
        /// Samples beyond in a row, as this one made them.
        count: u32,
        /// Of so many.
        tarry: u32,
        /// Low samples in a row, as this one made them.
        low_count: u32,
        /// Of so many; 0 where the policy has none.
        low_tarry: u32,
        /// The state in which it was read.
        state: VmState,
    },
    /// No value.
    Gap {
        /// Why.
        reason: String,
        /// The state in which it was missed.
        state: VmState,
    },
    /// The policy decided.
    Decision {
        /// What.
        action: Decision,
        /// Why.
        reason: String,
    },
    /// A gate kept a decision from being carried out.
    Blocked {
        /// What was decided.
        action: Decision,
        /// By this gate.
        gate: Gate,
        /// How far it is from passing.
        detail: String,
    },
    /// A decision or a command passed the gates.
    Request {
        /// Its number.
        id: RequestId,
        /// What is carried out.
        action: Decision,
        /// From here.
        from: HostId,
        /// To there.
        to: HostId,
        /// Who wanted it.
        by: By,
    },
    /// A migration began, went on or ended.
    Migration {
        /// The request's number.
        id: RequestId,
        /// How far.
        phase: Phase,
        /// 0 to 100.
        percent: u8,
        /// From here.
        from: HostId,
        /// To there.
        to: HostId,
        /// In words.
        detail: String,
    },
    /// The VM's state changed.
    State {
        /// To this.
        state: VmState,
        /// The why line.
        why: String,
    },
    /// A human is needed.
    Alarm {
        /// In words.
        text: String,
    },
    /// An operator did something, or the config changed.
    Operator {
        /// Who.
        by: String,
        /// In words: what, old and new.
        text: String,
    },
}
