//! What other settings would have done: old against new over one recording.

use super::replay::{Outcome, Variant};
use crate::core::cluster::{Span, Timestamp};
use crate::core::policy::Decision;

/// Prices an hour, for what a stay costs; zero where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// In the ring.
    pub ring: f64,
    /// On the base.
    pub base: f64,
}

/// What one side of a comparison would have done.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Moves, quick repeats, time beyond.
    pub outcome: Outcome,
    /// Moves of both kinds, an hour.
    pub requests_per_hour: f64,
    /// Time on the base.
    pub at_base: Span,
    /// What the whole span would have cost.
    pub cost: f64,
}

/// Old settings against new ones. Open-loop: the samples were taken where the VM then was.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// From the first sample on.
    pub from: Timestamp,
    /// To the last one.
    pub to: Timestamp,
    /// As the settings are.
    pub old: Tried,
    /// As they would be.
    pub new: Tried,
    /// The first instants at which one moves and the other does not, or to elsewhere; at most [`DIFFERENCES`].
    pub differences: Vec<Difference>,
    /// Ring moves under thresholds and tarries around the new ones.
    pub strip: Vec<Variant>,
}

/// Differences told, at most.
pub const DIFFERENCES: usize = 8;

/// An instant at which old and new differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// When.
    pub at: Timestamp,
    /// What the old settings say.
    pub old: Decision,
    /// What the new ones say.
    pub new: Decision,
}
