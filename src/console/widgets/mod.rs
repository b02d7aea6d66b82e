//! What screens are made of.

mod chart;
mod gauge;
mod histogram;
mod pen;
mod spark;

pub use chart::{Bounds, Chart, History, Scale};
pub use gauge::{count_bar, gauge};
pub use histogram::{Histogram, hourly};
pub use pen::{Canvas, centred};
pub use spark::spark;
