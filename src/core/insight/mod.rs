//! Questions over recorded history.

mod replay;
mod series;

pub use replay::{Outcome, Recording, Variant};
pub use series::Series;
