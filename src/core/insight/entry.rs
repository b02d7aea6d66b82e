//! What the history keeps: readings as they were counted, and what happened, in names instead of ids.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{RequestId, Timestamp, Value};
use crate::core::engine::{By, Gate, Phase, VmState};
use crate::core::policy::{Decision, Place, Settings};

/// One reading of a VM, with the counts as it made them.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What was read.
    pub seen: Seen,
    /// Samples beyond in a row.
    pub count: u32,
    /// Low samples in a row.
    pub low_count: u32,
    /// The state in which it was read.
    pub state: VmState,
}

/// What a reading was.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A sample.
    Sample(Value),
    /// None, and why. Never a zero.
    Gap(Arc<str>),
}

/// Readings of a quarter of an hour in one: what is left of them when the raw ones are too old to be kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rolled {
    /// The quarter's begin, a whole multiple of 15 minutes since 1970.
    pub at: Timestamp,
    /// The least value; NaN if there was no number.
    pub min: f64,
    /// The mean of its values; NaN if there was no number.
    pub mean: f64,
    /// The greatest value; NaN if there was no number.
    pub max: f64,
    /// Samples in it, those without a number too.
    pub samples: u32,
    /// Gaps in it.
    pub gaps: u32,
}

/// A VM's settings, from an instant on.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsFrom {
    /// From then on.
    pub at: Timestamp,
    /// Its policy.
    pub settings: Settings,
}

/// Where a VM is, from an instant on.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedFrom {
    /// From then on.
    pub at: Timestamp,
    /// This VM.
    pub vm: Arc<str>,
    /// On this host.
    pub host: Arc<str>,
    /// As its policy sees it.
    pub place: Place,
    /// The host's price an hour then.
    pub price: f64,
}

/// Something that happened, in names: what the history keeps of a [`Record`](crate::core::engine::Record) that is no
/// reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// To which VM; `None` for the cluster.
    pub vm: Option<Arc<str>>,
    /// What.
    pub what: Story,
}

/// What happened. As JSON these are the events of `docs/events.md`, without `at` and `vm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Story {
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
        /// From this host.
        from: String,
        /// To that host.
        to: String,
        /// Who wanted it.
        by: By,
    },
    /// A migration began or ended.
    Migration {
        /// The request's number.
        id: RequestId,
        /// How far.
        phase: Phase,
        /// 0 to 100.
        percent: u8,
        /// From this host.
        from: String,
        /// To that host.
        to: String,
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
    /// An operator, the config or a driver did something.
    Operator {
        /// Who.
        by: String,
        /// In words.
        text: String,
    },
    /// A setting was changed.
    Edit {
        /// Who.
        by: String,
        /// Which: a key of the config, such as `threshold`.
        key: String,
        /// What it was; empty if it was not there.
        old: String,
        /// What it is; empty if it is gone.
        new: String,
        /// Why, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Something a later version wrote.
    #[serde(other)]
    Other,
}
