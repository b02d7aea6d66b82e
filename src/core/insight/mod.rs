//! Questions over recorded history.

mod activity;
mod compare;
mod entry;
mod replay;
mod series;
mod thin;

pub use activity::{Activity, Edited, Hour, OnHost, Stay, Stays, Times};
pub use compare::{Comparison, DIFFERENCES, Difference, Prices, Tried};
pub use entry::{Entry, PlacedFrom, Rolled, Seen, SettingsFrom, Story, Told};
pub use replay::{Outcome, Recording, Variant};
pub use series::Series;
pub use thin::Band;
