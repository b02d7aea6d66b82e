//! What happens next: events in, effects out.

mod message;

pub use message::{
    By, Command, Effect, Event, Gate, Happened, Phase, Presence, QueueReport, Record, Route, Target, VmState,
};
