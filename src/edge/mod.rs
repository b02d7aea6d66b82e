//! What touches the world. Each part knows the core, and none knows another but for `net`, which the clients of services share.

pub mod config;
pub mod control;
pub mod driver;
pub mod history;
pub mod journal;
pub mod monitor;
pub mod net;
mod process;
pub mod queue;
pub mod recording;
pub mod supervisor;
