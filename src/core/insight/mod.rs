//! Questions over recorded history.

mod activity;
mod compare;
mod entry;
mod moves;
pub mod precopy;
mod recording;
mod replay;
mod series;
mod stays;
mod stretches;
#[cfg(test)]
mod tests;
mod thin;

pub use activity::{Activity, Edited, Hour, OnHost, activity, whole_hour};
pub use compare::{Comparison, DIFFERENCES, Difference, NoWhatIf, Prices, Tried, compare};
pub use entry::{Entry, PlacedFrom, Rolled, Seen, SettingsFrom, Story, Told};
pub use moves::{Moved, Times, past_moves};
pub use recording::Recording;
pub use replay::{Outcome, Variant, Would};
pub use series::Series;
pub use stays::{Stay, Stays};
pub use stretches::{Missed, Rest, gaps, rests};
pub use thin::{Band, thin, thin_joined, thin_rolled};
