//! What the engine knows of one VM and one host at this moment.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{ArrayId, HostId, HostState, RequestId, Span, Timestamp, Value};
use crate::core::policy::{Decision, State};

use super::message::QueueReport;
use super::record::{By, Gate, Phase, VmState};

/// A migration that failed keeps its VM away from that host for so long.
pub(super) const FAILURE_MEMORY: Span = Span::from_mins(10);
const DAY: Span = Span::from_hours(24);

/// One VM.
#[derive(Debug, Clone)]
pub struct Live {
    pub(super) policy: State,
    pub(super) host: HostId,
    pub(super) location: Location,
    /// The last ring host it was on, per array.
    pub(super) last_ring: Vec<(ArrayId, HostId)>,
    /// A counter's last reading.
    pub(super) raw: Option<(Timestamp, f64)>,
    pub(super) next_read: Timestamp,
    /// When its working hours begin or end next.
    pub(super) next_hours: Timestamp,
    /// When the reading that is under way was asked for.
    pub(super) asked: Option<Timestamp>,
    /// Nothing counts before then, and the first reading after it is a baseline.
    pub(super) settle: Option<Timestamp>,
    pub(super) hold: Option<Hold>,
    pub(super) flapping: bool,
    /// Confirmed destinations since a counted sample was last in bounds.
    pub(super) tried: Vec<(Timestamp, HostId)>,
    /// Hosts it could not be moved to, and when.
    pub(super) failed: Vec<(Timestamp, HostId)>,
    pub(super) waiting: Option<Waiting>,
    pub(super) migration: Option<RequestId>,
    /// Its last migration that had an outcome, and which.
    pub(super) landed: Option<(RequestId, Phase)>,
    /// Confirmed moves of the last 24 h, oldest first.
    pub(super) moves: VecDeque<Timestamp>,
    pub(super) last_move: Option<Timestamp>,
    /// The gate that keeps the move at the end of the hours; said once, not at every try.
    pub(super) kept_by: Option<Gate>,
    /// What stopped the last decision; until a sample is back in bounds or it moves.
    pub(super) blocked: Option<(Gate, String)>,
    pub(super) queue: Option<QueueReport>,
    pub(super) last: Last,
    /// The state last said.
    pub(super) state: VmState,
}

/// What drivers say of where a VM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Location {
    /// Nothing yet: it is taken to be where the config or a migration put it.
    #[default]
    Unreported,
    /// It runs where it is known to be.
    Here,
    /// It runs on no host of its array.
    Nowhere,
    /// It runs on more than one.
    Twice,
}

/// The newest reading.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Last {
    /// When; `None` before the first.
    pub at: Option<Timestamp>,
    /// Its value, if it was a sample.
    pub value: Option<Value>,
    /// Why it was none, if it was a gap.
    pub gap: Option<String>,
}

/// Why and how long a VM stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// [`Timestamp::NEVER`]: until released.
    pub until: Timestamp,
    /// Why.
    pub cause: HoldCause,
}

/// What made a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldCause {
    /// An operator's hold.
    Hand,
    /// An operator moved it.
    Moved,
    /// Somebody else moved it.
    Foreign,
    /// It runs nowhere.
    Lost,
    /// It runs at two hosts.
    Double,
}

/// A request that waits for an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its number.
    pub id: RequestId,
    /// What was decided.
    pub action: Decision,
    /// Where it would go now.
    pub to: HostId,
    /// Who wanted it.
    pub by: By,
    /// It lapses then.
    pub lapses: Timestamp,
}

/// One host.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HostLive {
    /// What the driver says.
    pub(super) state: HostState,
    /// 0 = idle, 1 = all of its capacity.
    pub(super) load: Option<f64>,
    /// VMs there.
    pub(super) vms: u32,
    /// VMs there when its load was last measured.
    pub(super) measured_vms: u32,
}

impl Live {
    pub(super) fn new(host: HostId) -> Self {
        Self {
            policy: State::default(),
            host,
            location: Location::Unreported,
            last_ring: Vec::new(),
            raw: None,
            next_read: Timestamp::NEVER,
            next_hours: Timestamp::NEVER,
            asked: None,
            settle: None,
            hold: None,
            flapping: false,
            tried: Vec::new(),
            failed: Vec::new(),
            waiting: None,
            migration: None,
            landed: None,
            moves: VecDeque::new(),
            last_move: None,
            kept_by: None,
            blocked: None,
            queue: None,
            last: Last::default(),
            state: VmState::Watching,
        }
    }

    /// Where it is.
    pub const fn host(&self) -> HostId {
        self.host
    }

    /// What its policy remembers.
    pub const fn policy(&self) -> &State {
        &self.policy
    }

    /// Its newest reading.
    pub const fn last(&self) -> &Last {
        &self.last
    }

    /// Its hold, if any.
    pub const fn hold(&self) -> Option<Hold> {
        self.hold
    }

    /// Its request that waits, if any.
    pub const fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    /// The queue in hand (site policy).
    pub const fn queue(&self) -> Option<&QueueReport> {
        self.queue.as_ref()
    }

    /// When it last arrived somewhere.
    pub const fn last_move(&self) -> Option<Timestamp> {
        self.last_move
    }

    /// The end of its settle time.
    pub const fn settles(&self) -> Option<Timestamp> {
        self.settle
    }

    /// When it is read next.
    pub const fn next_read(&self) -> Timestamp {
        self.next_read
    }

    /// Confirmed moves in the 24 h before `now`.
    pub fn moves_24h(&self, now: Timestamp) -> u32 {
        self.moves.iter().filter(|at| now.since(**at) < DAY).count() as u32
    }

    pub(super) fn ring_host(&self, array: ArrayId) -> Option<HostId> {
        self.last_ring.iter().find(|(a, _)| *a == array).map(|(_, host)| *host)
    }

    pub(super) fn remember_ring(&mut self, array: ArrayId, host: HostId) {
        self.last_ring.retain(|(a, _)| *a != array);
        self.last_ring.push((array, host));
    }

    pub(super) fn failed_on(&self, host: HostId, now: Timestamp) -> Option<Timestamp> {
        self.failed.iter().rev().find(|(at, h)| *h == host && now.since(*at) < FAILURE_MEMORY).map(|(at, _)| *at)
    }

    pub(super) fn remember_failure(&mut self, host: HostId, now: Timestamp) {
        self.failed.retain(|(at, h)| *h != host && now.since(*at) < FAILURE_MEMORY);
        self.failed.push((now, host));
    }

    pub(super) fn remember_move(&mut self, now: Timestamp) {
        while self.moves.front().is_some_and(|at| now.since(*at) >= DAY) {
            self.moves.pop_front();
        }
        self.moves.push_back(now);
        self.last_move = Some(now);
    }
}

impl HostLive {
    /// What the driver says of its load.
    pub const fn load(&self) -> Option<f64> {
        self.load
    }

    /// VMs there.
    pub const fn vms(&self) -> u32 {
        self.vms
    }
}
