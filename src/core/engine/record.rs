//! What happened, in names, and its words: states, gates, phases. The event stream, the log and the history have it as it is
//! here; its JSON is docs/events.md.

use serde::{Deserialize, Serialize};

use crate::core::cluster::{Name, RequestId, Timestamp, Value, rfc3339};
use crate::core::policy::Decision;

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
    /// The draining of its host.
    Drain,
}

impl By {
    /// As events have it: somebody wanted the drain, so its moves are an operator's.
    #[must_use]
    pub const fn in_events(self) -> Self {
        match self {
            Self::Drain => Self::Operator,
            by => by,
        }
    }
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

/// Something that happened. As JSON it is one line of the event stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// To which VM; `None` for the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<Name>,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
}

impl Record {
    /// Whether it is worth a row of its own in the history: readings have a form of their own there, and a migration that
    /// merely goes on is not kept.
    pub const fn is_kept(&self) -> bool {
        match self.what {
            Happened::Sample { .. } | Happened::Gap { .. } => false,
            Happened::Migration { phase: Phase::Running, percent, .. } => percent == 0,
            _ => true,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Happened {
    /// A value was read.
    Sample {
        /// The value.
        #[serde(flatten)]
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
        /// From this host; `site/host` across sites.
        from: Name,
        /// To that host.
        to: Name,
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
        /// From this host; `site/host` across sites.
        from: Name,
        /// To that host.
        to: Name,
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
    /// A setting was changed: by an operator, or in the config.
    Edit {
        /// Who.
        by: String,
        /// Which: a key of the config, such as `threshold`.
        key: String,
        /// What it was, as the config writes it; empty if it was not there.
        old: String,
        /// What it is; empty if it is gone.
        new: String,
        /// Why, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// An operator did something, or the config changed.
    Operator {
        /// Who.
        by: String,
        /// In words: what, old and new.
        text: String,
    },
    /// Something that a later version wrote into the history.
    #[serde(other)]
    Other,
}
