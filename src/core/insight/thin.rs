//! A long series as one band a column: min, mean and max of what falls into it.

use crate::core::cluster::Timestamp;

/// What falls into one column of a graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The instant it is drawn at: its only reading's, or the middle of its readings.
    pub at: Timestamp,
    /// The least value; NaN if there was no number.
    pub min: f32,
    /// The mean of its values; NaN if there was no number.
    pub mean: f32,
    /// The greatest value; NaN if there was no number.
    pub max: f32,
    /// The highest count.
    pub count: u32,
    /// The highest low count.
    pub low_count: u32,
    /// Samples in it.
    pub samples: u32,
    /// Gaps in it.
    pub gaps: u32,
}
