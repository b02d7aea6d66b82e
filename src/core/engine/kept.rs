//! What outlives a restart, with hosts and arrays by name, because ids do not last. Migrations under way are in the
//! journal instead.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::Engine;
use super::drain::Drain;
use super::memory::{Transient, VmMemory};
use crate::core::cluster::{HostId, Indicator, Mode, Name, RequestId, Timestamp, VmId};
use crate::core::policy::Settings;

/// One VM: what the engine remembers of it, and what the config had for it then.
///
/// [`Engine::take_changed`] tells when it is worth writing again. Readings alone do not make it so: the instants and
/// the counter's baseline in it may be older than the VM's newest reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    #[serde(flatten)]
    pub(super) memory: VmMemory<Name, Name>,
    /// The host the config had for it.
    pub(super) configured: Name,
    pub(super) settings: Settings,
    pub(super) indicator: Indicator,
}

/// What belongs to no VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptCluster {
    /// The engine worked until then: readings up to it were not missed. To be written now and then even if nothing else
    /// changes.
    pub alive: Timestamp,
    /// The last request's number; the next one's is higher.
    pub last_id: u64,
    /// The config's mode, and the narrower one that an operator set instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<(Mode, Mode)>,
    /// Alarms nobody has acknowledged, oldest first: when, of which VM, in words.
    pub alarms: Vec<(Timestamp, Option<Name>, String)>,
    /// Hosts that are being drained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drains: Vec<Drain>,
}

impl Kept {
    /// How a migration ended that is still open in the journal, because the engine was killed after saving this and before
    /// closing it there. Of those before the VM's last one only that they are over is known.
    pub fn outcome(&self, id: RequestId) -> Option<&'static str> {
        let (last, phase) = self.memory.landed?;
        match id.cmp(&last) {
            Ordering::Less => Some("over"),
            Ordering::Equal => Some(phase.word()),
            Ordering::Greater => None,
        }
    }
}

impl KeptCluster {
    /// Whether anything but the time has changed since this was written.
    pub fn differs(&self, written: &Self) -> bool {
        (self.last_id, self.mode, &self.alarms, &self.drains)
            != (written.last_id, written.mode, &written.alarms, &written.drains)
    }
}

impl Engine {
    /// What is to be kept of a VM.
    pub fn keep(&self, vm: VmId) -> Kept {
        let (described, mut memory) = (self.cluster.vm(vm), self.live(vm).clone());
        memory.transient = Transient::default();
        (memory.readings.value, memory.readings.gap) = (None, None);
        let host = |id: HostId| self.cluster.host(id).name.clone();
        let here = host(memory.host);
        Kept {
            memory: memory.map(|id| Some(host(*id)), |id| Some(self.cluster.array(*id).name.clone()), here),
            configured: host(described.host),
            settings: described.policy.clone(),
            indicator: described.indicator.clone(),
        }
    }

    /// What is to be kept of the cluster at this instant.
    pub fn keep_cluster(&self, now: Timestamp) -> KeptCluster {
        let name = |vm: VmId| self.cluster.vm(vm).name.clone();
        let alarms = self.alarms.iter().map(|(at, vm, text)| (*at, vm.map(name), text.clone())).collect();
        let (says, is) = (self.config_mode, self.cluster.mode);
        let mode = (is < says).then_some((says, is));
        let drains = self.drains().map(|(_, drain)| drain.kept());
        KeptCluster { alive: now, last_id: self.last_id, mode, alarms, drains: drains.collect() }
    }

    /// The VMs to be saved again, because more than their readings has changed since the last call; at first, all of them.
    pub fn take_changed(&mut self) -> Vec<VmId> {
        self.marks.resize(self.vms.len(), UNKEPT);
        let mut changed = Vec::new();
        for (at, (mark, memory)) in self.marks.iter_mut().zip(&self.vms).enumerate() {
            let now = mark_of(memory);
            if std::mem::replace(mark, now) != now {
                changed.push(VmId::at(at));
            }
        }
        changed
    }

    /// Has a VM saved again although its fingerprint is the same: its settings have changed.
    pub(super) fn is_worth_keeping(&mut self, vm: VmId) {
        if let Some(mark) = self.marks.get_mut(vm.index()) {
            *mark = UNKEPT;
        }
    }
}

/// The fingerprint of a VM that was not saved yet.
const UNKEPT: u64 = 0;

/// The fingerprint of what is kept of a VM, but for its settings.
fn mark_of(memory: &VmMemory) -> u64 {
    let mut mark = DefaultHasher::new();
    memory.hash(&mut mark);
    mark.finish().max(UNKEPT + 1)
}
