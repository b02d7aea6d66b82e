//! Pure: no I/O, no clock, no tokio, no randomness of its own. The same events give the same effects, anywhere.

pub mod cluster;
pub mod engine;
pub mod filter;
pub mod format;
pub mod insight;
pub mod policy;
pub mod queue;
pub mod scanner;
pub mod simulation;
