//! What outlives a restart: by name, as ids do not. What is on its way is another story (`resume`).

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::drain::Drain;
use super::live::{Hold, Live, Location, Waiting};
use super::record::{By, Gate, Phase, VmState};
use super::{Engine, Last};
use crate::core::cluster::{ArrayId, Cluster, HostId, Indicator, Mode, RequestId, Timestamp, VmId};
use crate::core::policy::{Decision, Settings, State};

/// One VM: where it is, and what its policy and the gates remember.
///
/// [`Engine::take_changed`] tells when it is worth writing again. Readings alone do not make it so: the instants and
/// the counter's baseline in it may be older than the VM's newest reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub(super) host: String,
    /// What drivers said of where it runs.
    #[serde(default, skip_serializing_if = "Location::is_unreported")]
    pub(super) location: Location,
    /// The host the config had for it then.
    pub(super) configured: String,
    pub(super) settings: Settings,
    pub(super) indicator: Indicator,
    pub(super) policy: State,
    /// The state last said.
    pub(super) state: VmState,
    /// When it was last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Timestamp>,
    /// When it was to be read next.
    pub(super) due: Timestamp,
    /// A counter's last reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) raw: Option<(Timestamp, f64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) settle: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) flapping: bool,
    /// By array, the last ring host it was on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rings: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tried: Vec<(Timestamp, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) failed: Vec<(Timestamp, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<KeptWaiting>,
    /// Its last migration that had an outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) landed: Option<(RequestId, Phase)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) moves: Vec<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_move: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kept_by: Option<Gate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blocked: Option<(Gate, String)>,
}

/// A request that waits for an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptWaiting {
    pub(super) id: RequestId,
    pub(super) action: Decision,
    pub(super) to: String,
    pub(super) by: By,
    pub(super) lapses: Timestamp,
}

/// What is no VM's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptCluster {
    /// The engine was at work then. Write it now and then even if nothing else changes: readings up to it were not
    /// missed.
    pub alive: Timestamp,
    /// The last request's number; the next one's is higher.
    pub last_id: u64,
    /// The config's mode, and the narrower one that an operator set instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<(Mode, Mode)>,
    /// Alarms nobody has acknowledged, oldest first: when, of which VM, in words.
    pub alarms: Vec<(Timestamp, Option<String>, String)>,
    /// Hosts that are being drained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drains: Vec<KeptDrain>,
}

/// A host that is being drained, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDrain {
    pub(super) host: String,
    pub(super) by: String,
    pub(super) since: Timestamp,
    pub(super) commanded: bool,
    pub(super) paused: bool,
    pub(super) moved: u32,
    pub(super) done: bool,
    pub(super) told: bool,
}

impl Kept {
    /// How a migration ended that the journal still has without an outcome: the engine was killed between writing what
    /// came of it and closing its row. Of those before the VM's last one only that they are over is known.
    pub fn outcome(&self, id: RequestId) -> Option<&'static str> {
        let (last, phase) = self.landed?;
        match id.cmp(&last) {
            Ordering::Less => Some("over"),
            Ordering::Equal => Some(phase.word()),
            Ordering::Greater => None,
        }
    }
}

impl KeptCluster {
    /// Whether more than the time is another.
    pub fn differs(&self, written: &Self) -> bool {
        (self.last_id, self.mode, &self.alarms, &self.drains)
            != (written.last_id, written.mode, &written.alarms, &written.drains)
    }
}

impl Engine {
    /// What is to be kept of a VM.
    pub fn keep(&self, vm: VmId) -> Kept {
        let (live, described) = (self.live(vm), self.cluster.vm(vm));
        let host = |id: HostId| self.cluster.host(id).name.to_string();
        let array = |id: ArrayId| self.cluster.array(id).name.to_string();
        let dated = |list: &[(Timestamp, HostId)]| list.iter().map(|(at, id)| (*at, host(*id))).collect();
        let waits = |waiting: &Waiting| {
            let Waiting { id, action, to, by, lapses } = *waiting;
            KeptWaiting { id, action, to: host(to), by, lapses }
        };
        Kept {
            host: host(live.host),
            location: live.location,
            configured: host(described.host),
            settings: described.policy.clone(),
            indicator: described.indicator.clone(),
            policy: live.policy,
            state: live.state,
            seen: live.last.at,
            due: live.next_read,
            raw: live.raw,
            settle: live.settle,
            hold: live.hold,
            flapping: live.flapping,
            rings: live.last_ring.iter().map(|(a, h)| (array(*a), host(*h))).collect(),
            tried: dated(&live.tried),
            failed: dated(&live.failed),
            waiting: live.waiting.as_ref().map(waits),
            landed: live.landed,
            moves: live.moves.iter().copied().collect(),
            last_move: live.last_move,
            kept_by: live.kept_by,
            blocked: live.blocked.clone(),
        }
    }

    /// What is to be kept of the cluster at this instant.
    pub fn keep_cluster(&self, now: Timestamp) -> KeptCluster {
        let name = |vm: VmId| self.cluster.vm(vm).name.to_string();
        let alarms = self.alarms.iter().map(|(at, vm, text)| (*at, vm.map(name), text.clone())).collect();
        let (says, is) = (self.config_mode, self.cluster.mode);
        let mode = (is < says).then_some((says, is));
        KeptCluster { alive: now, last_id: self.last_id, mode, alarms, drains: self.keep_drains() }
    }

    fn keep_drains(&self) -> Vec<KeptDrain> {
        let kept = |(host, drain): (&HostId, &Drain)| {
            let Drain { since, commanded, paused, moved, done, told, .. } = *drain;
            let (host, by) = (self.cluster.host(*host).name.to_string(), drain.by.clone());
            KeptDrain { host, by, since, commanded, paused, moved, done, told }
        };
        self.drains.iter().map(kept).collect()
    }

    /// The VMs of which something worth keeping has changed since the last call; at first, all of them. A steady VM
    /// that is read and counts nothing is not among them.
    pub fn take_changed(&mut self) -> Vec<VmId> {
        self.marks.resize(self.vms.len(), UNKEPT);
        let mut changed = Vec::new();
        for (at, mark) in self.marks.iter_mut().enumerate() {
            let now = mark_of(&self.vms[at], &self.cluster, VmId::at(at));
            if std::mem::replace(mark, now) != now {
                changed.push(VmId::at(at));
            }
        }
        changed
    }

    /// What is kept of a VM is another, though nothing else about it is.
    pub(super) fn is_worth_keeping(&mut self, vm: VmId) {
        if let Some(mark) = self.marks.get_mut(vm.index()) {
            *mark = UNKEPT;
        }
    }
}

impl Location {
    fn is_unreported(&self) -> bool {
        *self == Self::Unreported
    }
}

impl Last {
    /// That it was read then; what was read is forgotten.
    pub(super) const fn was_at(at: Option<Timestamp>) -> Self {
        Self { at, value: None, gap: None }
    }
}

/// The mark of a VM that was not kept yet.
const UNKEPT: u64 = 0;

/// A number that is another when what is kept is, but for readings and settings.
fn mark_of(live: &Live, cluster: &Cluster, vm: VmId) -> u64 {
    let described = cluster.vm(vm);
    let State { count, low_count, gaps, stale, hours } = live.policy;
    let mut mark = DefaultHasher::new();
    // Of a silent VM each gap more is nothing new.
    (count, low_count, gaps.min(described.policy.stale_after), stale, hours).hash(&mut mark);
    (live.host, live.location, described.host, live.state, live.settle, live.hold, live.flapping).hash(&mut mark);
    (&live.last_ring, &live.tried, &live.failed).hash(&mut mark);
    (live.waiting.as_ref().map(|waiting| waiting.id), live.moves.len(), live.last_move).hash(&mut mark);
    (live.kept_by, &live.blocked, live.landed.map(|(id, _)| id)).hash(&mut mark);
    mark.finish().max(UNKEPT + 1)
}
