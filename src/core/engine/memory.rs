//! What the engine remembers of one VM, and knows of one host at this moment.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{ArrayId, HostId, HostState, RequestId, Span, Timestamp, Value};
use crate::core::policy::{Decision, State};
use crate::core::queue::{QueueLook, Stop, Trips, Ways};

use super::record::{By, Gate, Phase, VmState};

/// A VM is not moved again to a host where its migration failed, for this time.
pub(super) const FAILURE_MEMORY: Span = Span::from_mins(10);
const DAY: Span = Span::from_hours(24);

/// What the engine remembers of one VM. Hosts and arrays are ids here and names in what is kept across a restart;
/// [`VmMemory::map`] leads from one to the other, and to the ids of a changed config.
///
/// Its hash is the fingerprint that tells whether it is worth writing again.
#[derive(Debug, Clone, PartialEq, Hash, Serialize, Deserialize)]
pub struct VmMemory<H = HostId, A = ArrayId> {
    pub(super) host: H,
    #[serde(default, skip_serializing_if = "Location::is_unreported")]
    pub(super) location: Location,
    pub(super) policy: State,
    /// The state last recorded.
    pub(super) state: VmState,
    #[serde(flatten)]
    pub(super) readings: Readings,
    /// Nothing counts before then, and the first reading after it is a baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) settle: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) flapping: bool,
    /// The last ring host it was on, per array.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "rings")]
    pub(super) last_ring: Vec<(A, H)>,
    /// Confirmed destinations since a counted sample was last in bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tried: Vec<(Timestamp, H)>,
    /// Hosts it could not be moved to, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) failed: Vec<(Timestamp, H)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting<H>>,
    /// It leaves for another site as soon as its worker has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) leaving: Option<Box<Leaving<H>>>,
    /// How long its moves to the other site and back took.
    #[serde(default, skip_serializing_if = "Trips::is_empty")]
    pub(super) trips: Trips,
    /// Its last migration that had an outcome, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) landed: Option<(RequestId, Phase)>,
    /// Confirmed moves of the last 24 h, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(super) moves: VecDeque<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_move: Option<Timestamp>,
    /// The gate that stops the move at the end of the hours, or that of the queue in hand. Recorded once, not at every try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kept_by: Option<Gate>,
    /// What stopped the last decision; until a sample is back in bounds or it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blocked: Option<(Gate, String)>,
    #[serde(skip)]
    pub(super) transient: Transient,
}

/// What changes with every reading. The instants and the counter's baseline that are kept may be older than the VM's
/// newest reading, so they are not part of the fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// When the newest one came; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "seen")]
    pub at: Option<Timestamp>,
    /// Its value, if it was a sample.
    #[serde(skip)]
    pub value: Option<Value>,
    /// Why it was none, if it was a gap.
    #[serde(skip)]
    pub gap: Option<String>,
    /// When the next one is due.
    #[serde(rename = "due")]
    pub next: Timestamp,
    /// A counter's last reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) raw: Option<(Timestamp, f64)>,
}

/// What ends with the process.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Transient {
    /// When the reading that is under way was asked for.
    pub(super) asked: Option<Timestamp>,
    /// When its working hours begin or end next.
    pub(super) next_hours: Timestamp,
    /// The migration that is under way; the journal has it.
    pub(super) migration: Option<RequestId>,
    /// The newest look at its queue (site policy).
    pub(super) queue: Option<Arc<QueueLook>>,
    /// What its driver forecasts of moves to the other site and back.
    pub(super) forecast: Ways,
}

impl Hash for Readings {
    fn hash<S: Hasher>(&self, _: &mut S) {}
}

impl Hash for Transient {
    fn hash<S: Hasher>(&self, _: &mut S) {}
}

impl Default for Transient {
    fn default() -> Self {
        Self { asked: None, next_hours: Timestamp::NEVER, migration: None, queue: None, forecast: Ways::default() }
    }
}

/// What drivers say of where a VM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Location {
    /// Nothing yet: it is assumed to be where the config or a migration put it.
    #[default]
    Unreported,
    /// It runs where it is known to be.
    Here,
    /// It runs on no host of its array.
    Nowhere,
    /// It runs on more than one.
    Twice,
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
    /// Its migration was under way when whimbrel stopped, and can be followed no more.
    Untracked,
    /// It runs nowhere.
    Lost,
    /// It runs at two hosts.
    Double,
}

/// A request that waits for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Waiting<H = HostId> {
    /// Its number.
    pub id: RequestId,
    /// What was decided.
    pub action: Decision,
    /// Where it would go now.
    pub to: H,
    /// Who wanted it.
    pub by: By,
    /// It lapses then.
    pub lapses: Timestamp,
}

/// A move to another site that waits for the worker to stop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leaving<H = HostId> {
    /// Its request, if an operator has approved it.
    pub id: Option<RequestId>,
    /// What was decided.
    pub action: Decision,
    /// Who wanted it.
    pub by: By,
    /// The host that an operator wants; `None`: it is picked when the VM leaves.
    pub to: Option<H>,
    /// What the worker must not do meanwhile.
    pub stop: Stop,
    /// The worker was asked first then.
    pub since: Timestamp,
    /// If it has not confirmed by then, the VM stays.
    pub until: Timestamp,
    /// Why it could not be asked, if it could not.
    pub trouble: Option<String>,
}

impl<H> Leaving<H> {
    /// The same with its host in other terms; `None`: that host is gone.
    pub(super) fn map<H2>(self, host: impl Fn(&H) -> Option<H2>) -> Option<Leaving<H2>> {
        let Self { id, action, by, to, stop, since, until, trouble } = self;
        let to = match to {
            Some(to) => Some(host(&to)?),
            None => None,
        };
        Some(Leaving { id, action, by, to, stop, since, until, trouble })
    }
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

impl<H, A> VmMemory<H, A> {
    /// The same with hosts and arrays in other terms. What is gone there is forgotten, and so is a request that waits to
    /// go there. If the VM's own host is gone, the VM is taken to be on `otherwise`.
    pub(super) fn map<H2, A2>(
        self,
        host: impl Fn(&H) -> Option<H2>,
        array: impl Fn(&A) -> Option<A2>,
        otherwise: H2,
    ) -> VmMemory<H2, A2> {
        let dated = |list: Vec<(Timestamp, H)>| list.iter().filter_map(|(at, on)| Some((*at, host(on)?))).collect();
        let here = host(&self.host);
        VmMemory {
            location: if here.is_some() { self.location } else { Location::Unreported },
            host: here.unwrap_or(otherwise),
            last_ring: self.last_ring.iter().filter_map(|(of, on)| Some((array(of)?, host(on)?))).collect(),
            tried: dated(self.tried),
            failed: dated(self.failed),
            waiting: self.waiting.and_then(|Waiting { id, action, to, by, lapses }| {
                Some(Waiting { id, action, to: host(&to)?, by, lapses })
            }),
            leaving: self.leaving.and_then(|leaving| leaving.map(&host).map(Box::new)),
            trips: self.trips,
            policy: self.policy,
            state: self.state,
            readings: self.readings,
            settle: self.settle,
            hold: self.hold,
            flapping: self.flapping,
            landed: self.landed,
            moves: self.moves,
            last_move: self.last_move,
            kept_by: self.kept_by,
            blocked: self.blocked,
            transient: self.transient,
        }
    }
}

impl VmMemory {
    pub(super) fn new(host: HostId) -> Self {
        Self {
            policy: State::default(),
            host,
            location: Location::Unreported,
            last_ring: Vec::new(),
            readings: Readings { at: None, value: None, gap: None, next: Timestamp::NEVER, raw: None },
            settle: None,
            hold: None,
            flapping: false,
            tried: Vec::new(),
            failed: Vec::new(),
            waiting: None,
            leaving: None,
            trips: Trips::default(),
            landed: None,
            moves: VecDeque::new(),
            last_move: None,
            kept_by: None,
            blocked: None,
            state: VmState::Watching,
            transient: Transient::default(),
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

    /// Its newest reading, and when the next one is due.
    pub const fn readings(&self) -> &Readings {
        &self.readings
    }

    /// Its hold, if any.
    pub const fn hold(&self) -> Option<Hold> {
        self.hold
    }

    /// Its request that waits, if any.
    pub const fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    /// Its move to another site that waits for the worker to stop, if any.
    pub fn leaving(&self) -> Option<&Leaving> {
        self.leaving.as_deref()
    }

    /// When it last arrived somewhere.
    pub const fn last_move(&self) -> Option<Timestamp> {
        self.last_move
    }

    /// The end of its settle time.
    pub const fn settles(&self) -> Option<Timestamp> {
        self.settle
    }

    /// Confirmed moves in the 24 h before `now`.
    pub fn moves_24h(&self, now: Timestamp) -> u32 {
        self.moves.iter().filter(|at| now.since(**at) < DAY).count() as u32
    }

    /// What was read says nothing of what will be.
    pub(super) fn forget_readings(&mut self) {
        self.readings.raw = None;
        (self.transient.queue, self.policy.idle_since) = (None, None);
        self.policy.reset_counts();
        self.policy.heard();
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

impl Location {
    fn is_unreported(&self) -> bool {
        *self == Self::Unreported
    }
}

impl Readings {
    /// The newest reading: a value, or the reason of a gap.
    pub(super) fn came(&mut self, at: Timestamp, seen: Result<Value, String>) {
        self.at = Some(at);
        (self.value, self.gap) = match seen {
            Ok(value) => (Some(value), None),
            Err(gap) => (None, Some(gap)),
        };
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
