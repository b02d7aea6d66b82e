//! Pure: no I/O, no clock, no tokio, no randomness of its own.

pub mod cluster;
pub mod engine;
pub mod insight;
pub mod policy;
pub mod simulation;
