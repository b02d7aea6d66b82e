//! Every timer of the engine: one queue, earliest first, so that nothing depends on how often the engine is called.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{Timestamp, VmId};

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Timer {
    /// A hold ends.
    Hold,
    /// Working hours begin or end.
    Hours,
    /// A waiting request lapses.
    Lapse,
    /// A migration's stage is due.
    Migration,
    /// The service is read.
    Read,
}

/// The queue. Setting a timer anew leaves its old entry in the queue: callers ignore one whose time no longer matches
/// what they have themselves.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Timestamp, VmId, Timer)>>);

impl Timers {
    pub fn set(&mut self, at: Timestamp, vm: VmId, timer: Timer) {
        if at < Timestamp::NEVER {
            self.0.push(Reverse((at, vm, timer)));
        }
    }

    pub fn next(&self) -> Timestamp {
        self.0.peek().map_or(Timestamp::NEVER, |Reverse((at, ..))| *at)
    }

    /// The earliest entry at or before `now`.
    pub fn due(&mut self, now: Timestamp) -> Option<(Timestamp, VmId, Timer)> {
        if self.next() > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}
