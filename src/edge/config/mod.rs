//! Read, check and explain the config.

mod model;

pub use model::{Config, Driver};
