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

pub use activity::{Activity, EditedSetting, Hour, MigrationTimes, RecordedMove, activity, past_moves, whole_hour};
pub use compare::{ComparedSide, Comparison, DIFFERENCES, Difference, NoWhatIf, Prices, compare};
pub use entry::{Entry, PlacedFrom, Rolled, Seen, SettingsFrom};
pub use occupancy::{HostOccupancy, HoursAndCost, MissedReadings, Occupancy, ScheduledRest, gaps, rests};
pub use recording::Recording;
pub use replay::{Outcome, ReplayedMove, Variant};
pub use series::{Band, Series, thin, thin_joined, thin_rolled};
