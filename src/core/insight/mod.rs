//! Questions over recorded history.

mod entry;
mod replay;
mod series;

pub use entry::{Entry, PlacedFrom, Rolled, Seen, SettingsFrom, Story, Told};
pub use replay::{Outcome, Recording, Variant};
pub use series::Series;
