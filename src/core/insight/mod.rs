//! Questions over recorded history.

mod series;

pub use series::Series;
