//! Questions over recorded history.

mod activity;
mod compare;
mod entry;
mod recording;
mod replay;
mod series;
mod stretches;
mod thin;

pub use activity::{Activity, Edited, Hour, OnHost, Stay, Stays, Times};
pub use compare::{Comparison, DIFFERENCES, Difference, NoWhatIf, Prices, Tried, compare};
pub use entry::{Entry, PlacedFrom, Rolled, Seen, SettingsFrom, Story, Told};
pub use recording::Recording;
pub use replay::{Outcome, Variant, Would};
pub use series::Series;
pub use stretches::{Missed, Rest, gaps, rests};
pub use thin::{Band, thin, thin_joined, thin_rolled};
