//! Questions over recorded history.

mod activity;
mod compare;
mod entry;
mod occupancy;
pub mod precopy;
mod recording;
mod replay;
mod series;
#[cfg(test)]
mod tests;

pub use activity::{Activity, EditedSetting, Hour, MigrationTimes, PastMove, activity, past_moves, whole_hour};
pub use compare::{ComparedSide, Comparison, DIFFERENCES, Difference, NO_WHAT_IF, Prices, compare};
pub use entry::{Entry, PlacedFrom, Retention, Rolled, Seen, SettingsFrom};
pub use occupancy::{HostOccupancy, HoursAndCost, Occupancy, Stretch, gaps, rests};
pub use recording::Recording;
pub use replay::{Outcome, ReplayedMove, Variant};
pub use series::{Band, QUARTER, Series, thin};

/// How instants, lengths and sums are written in the JSON of reports and what-if (docs/report.md, docs/whatif.md).
mod json {
    use serde::Serializer;

    pub(super) mod whole_second {
        use chrono::SecondsFormat;
        use serde::Serializer;

        use crate::core::cluster::Timestamp;
        pub(in super::super) use crate::core::cluster::rfc3339::deserialize;

        pub(in super::super) fn serialize<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
            out.serialize_str(&at.utc().to_rfc3339_opts(SecondsFormat::Secs, true))
        }
    }

    pub(super) mod seconds {
        use serde::{Deserialize, Deserializer, Serializer};

        use crate::core::cluster::Span;

        pub(in super::super) fn serialize<S: Serializer>(length: &Span, out: S) -> Result<S::Ok, S::Error> {
            out.serialize_f64(length.secs_f64())
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
            Ok(Span::from_millis((f64::deserialize(from)? * 1e3).round() as i64))
        }
    }

    /// Six digits after the point: below them, sums of halves and thirds are noise.
    pub(super) fn rounded<S: Serializer>(sum: &f64, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_f64(six_digits(*sum))
    }

    pub(super) fn all_rounded<S: Serializer>(sums: &[f32], out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(sums.iter().map(|sum| six_digits(f64::from(*sum))))
    }

    fn six_digits(sum: f64) -> f64 {
        (sum * 1e6).round() / 1e6
    }
}
