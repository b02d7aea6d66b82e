//! What touches the world. Each part knows the core, none knows another.

pub mod config;
pub mod control;
pub mod driver;
pub mod history;
pub mod journal;
pub mod monitor;
pub mod recording;
pub mod supervisor;
