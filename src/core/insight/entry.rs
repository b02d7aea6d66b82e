//! What the history keeps beside [`Record`](crate::core::engine::Record)s: readings as they were counted, settings and
//! placements.

use std::sync::Arc;

use crate::core::cluster::{Name, Span, Timestamp, Value};
use crate::core::engine::VmState;
use crate::core::policy::{Place, Settings};

/// One reading of a VM, with the counts after it.
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
    /// No value, and why. It is never taken for a zero.
    Gap(Arc<str>),
}

/// Several readings in one. Those of a quarter of an hour are kept when the raw ones are too old.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rolled {
    /// The first one's instant. Of a quarter its begin, a whole multiple of 15 minutes since 1970.
    pub at: Timestamp,
    /// The least value; NaN if there was no number.
    pub min: f64,
    /// The mean of its values; NaN if there was no number.
    pub mean: f64,
    /// The greatest value; NaN if there was no number.
    pub max: f64,
    /// The highest count; 0 of a quarter, which does not keep it.
    pub count: u32,
    /// The highest low count, likewise.
    pub low_count: u32,
    /// Samples in it, those without a number too.
    pub samples: u32,
    /// Samples that have a number: the mean is theirs.
    pub numbers: u32,
    /// Gaps in it.
    pub gaps: u32,
}

impl Rolled {
    /// One reading alone.
    pub fn of(entry: &Entry) -> Self {
        let (value, samples) = match &entry.seen {
            Seen::Sample(value) => (value.number(), 1),
            Seen::Gap(_) => (None, 0),
        };
        let number = value.unwrap_or(f64::NAN);
        Self {
            at: entry.at,
            min: number,
            mean: number,
            max: number,
            count: entry.count,
            low_count: entry.low_count,
            samples,
            numbers: u32::from(value.is_some()),
            gaps: 1 - samples,
        }
    }

    /// With more readings. `f64::min` and `max` ignore NaN.
    #[must_use]
    pub fn with(&self, more: &Self) -> Self {
        let numbers = self.numbers.saturating_add(more.numbers);
        let mean = match (self.numbers, more.numbers) {
            (0, _) => more.mean,
            (_, 0) => self.mean,
            (_, m) => self.mean + (more.mean - self.mean) * (f64::from(m) / f64::from(numbers)),
        };
        Self {
            at: self.at,
            min: self.min.min(more.min),
            mean,
            max: self.max.max(more.max),
            count: self.count.max(more.count),
            low_count: self.low_count.max(more.low_count),
            samples: self.samples.saturating_add(more.samples),
            numbers,
            gaps: self.gaps.saturating_add(more.gaps),
        }
    }
}

/// How long the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Readings as they were, at least an hour: 14 days unless set.
    pub raw: Span,
    /// Quarters of an hour, and all that happened, at least as long as `raw`: a year unless set.
    pub rolled: Span,
}

impl Default for Retention {
    fn default() -> Self {
        Self { raw: Span::from_hours(14 * 24), rolled: Span::from_hours(365 * 24) }
    }
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
    pub vm: Name,
    /// On this host.
    pub host: Name,
    /// What that host is to its policy.
    pub place: Place,
    /// The host's price an hour then.
    pub price: f64,
}
