//! What goes into the engine and what comes out: events, commands, effects. All closed and serialisable, so that a
//! recorded run replays to the same decisions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::core::cluster::{Cluster, HostId, HostState, Mode, Name, Reading, RequestId, Transfer, VmId};
use crate::core::policy::Settings;
use crate::core::queue::{QueueLook, Ways, WorkerOrder};

/// Something the engine is told. VMs and hosts are ids here: a reading comes for each VM at each interval, and to look it up
/// by name would cost half as much again as the step itself. Drivers outlive a changed config, so they speak in names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event<V = VmId, H = HostId> {
    /// Time has passed: timers that are due fire. Needed no more often than [`Engine::next_wake`](super::Engine::next_wake).
    Tick,
    /// The answer to [`Effect::Read`].
    Reading {
        /// Of this VM.
        vm: V,
        /// What its monitor says.
        reading: Reading,
    },
    /// A site VM's queue: the answer to [`Effect::Read`]. It may also come by itself when something has changed.
    Queue {
        /// Of this VM.
        vm: V,
        /// What its source shows.
        look: Arc<QueueLook>,
        /// How long its driver says that a move to the other site and back would take.
        ways: Ways,
    },
    /// The answer to [`Effect::Order`] if it could not be carried out.
    NotOrdered {
        /// To this VM's worker.
        vm: V,
        /// Why, in a short phrase.
        why: String,
    },
    /// What a driver has seen of a host.
    Host {
        /// This host.
        host: H,
        /// Its state.
        state: HostState,
        /// Its load, 0 = idle, 1 = all of its capacity; `None` = not measured.
        load: Option<f64>,
        /// Why it is in that state, in a short phrase with the remedy, if that can be told.
        why: Option<String>,
    },
    /// Where a driver found a VM.
    Found {
        /// This VM.
        vm: V,
        /// It runs on these; empty only if all hosts of its array answered.
        hosts: Vec<H>,
    },
    /// The answer to [`Effect::Preflight`].
    Preflight {
        /// Of this request.
        id: RequestId,
        /// Why the move cannot start, in a short phrase.
        refusal: Option<String>,
        /// What it will be like, in a short phrase, if that can be told.
        forecast: Option<String>,
    },
    /// The answer to [`Effect::Journal`]: it is written down and may start.
    Journalled {
        /// Of this request.
        id: RequestId,
    },
    /// The other answer to [`Effect::Journal`]: it was not written down, so it does not start.
    NotJournalled {
        /// Of this request.
        id: RequestId,
        /// Why, in a short phrase.
        why: String,
    },
    /// A running migration goes on.
    Progress {
        /// Of this request.
        id: RequestId,
        /// 0 to 100.
        percent: u8,
        /// Rounds, rates: a short phrase.
        detail: String,
        /// In figures, if the driver has them.
        transfer: Option<Transfer>,
    },
    /// The driver has finished with it. This is not an outcome yet: both hosts are asked first.
    Ended {
        /// Of this request.
        id: RequestId,
        /// How it went in the driver's words. They are shown, but nothing is concluded from them.
        detail: String,
    },
    /// The answer to [`Effect::Confirm`]: what both hypervisors say.
    Presence {
        /// Of this request.
        id: RequestId,
        /// Whether the VM runs at the source.
        source: Presence,
        /// Whether the VM runs at the destination.
        destination: Presence,
    },
    /// An operator's command.
    Command {
        /// Who.
        by: String,
        /// What.
        command: Command,
    },
    /// Something around the engine failed, and an operator should know.
    Trouble {
        /// With this VM's monitor or driver; `None` for all of it.
        vm: Option<V>,
        /// In words.
        text: String,
    },
    /// The config has changed. VMs, hosts and arrays keep their state by name.
    Reconfigured {
        /// As it is now.
        cluster: Box<Cluster>,
        /// VMs whose monitor reads something else now: what was read before says nothing of it.
        reread: Vec<String>,
        /// What else changed, line by line, but for what stands in policies: the engine knows that itself, as it may run
        /// under others than the old config's.
        said: Vec<ConfigChange>,
    },
}

impl Event<Name, Name> {
    /// The same in ids; `None` if a VM or a host of it is not known. `vm` and `host` look names up.
    pub fn in_ids(self, vm: impl Fn(&Name) -> Option<VmId>, host: impl Fn(&Name) -> Option<HostId>) -> Option<Event> {
        Some(match self {
            Self::Tick => Event::Tick,
            Self::Reading { vm: name, reading } => Event::Reading { vm: vm(&name)?, reading },
            Self::Queue { vm: name, look, ways } => Event::Queue { vm: vm(&name)?, look, ways },
            Self::NotOrdered { vm: name, why } => Event::NotOrdered { vm: vm(&name)?, why },
            Self::Host { host: name, state, load, why } => Event::Host { host: host(&name)?, state, load, why },
            Self::Found { vm: name, hosts } => {
                Event::Found { vm: vm(&name)?, hosts: hosts.iter().map(host).collect::<Option<_>>()? }
            }
            Self::Trouble { vm: name, text } => Event::Trouble { vm: name.as_ref().and_then(vm), text },
            Self::Preflight { id, refusal, forecast } => Event::Preflight { id, refusal, forecast },
            Self::Journalled { id } => Event::Journalled { id },
            Self::NotJournalled { id, why } => Event::NotJournalled { id, why },
            Self::Progress { id, percent, detail, transfer } => Event::Progress { id, percent, detail, transfer },
            Self::Ended { id, detail } => Event::Ended { id, detail },
            Self::Presence { id, source, destination } => Event::Presence { id, source, destination },
            Self::Command { by, command } => Event::Command { by, command },
            Self::Reconfigured { cluster, reread, said } => Event::Reconfigured { cluster, reread, said },
        })
    }
}

/// One thing that a changed config changes, in words and names; holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// Of this VM, which may be gone; `None`: of the cluster.
    pub vm: Option<String>,
    /// `interval 1m → 30s`, `added, on mln1`; of the cluster `mode ask → auto`.
    pub text: String,
}

/// Whether a VM runs on a host, as its hypervisor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It runs there.
    Runs,
    /// It is there, but stands still: in the middle of a hand-over, or because somebody stopped it.
    Paused,
    /// It does not run there.
    Absent,
    /// The host could not be asked.
    Unknown,
}

/// Where an operator wants a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The ring's next, as a policy's move would pick.
    Next,
    /// The neighbour after it in the ring, without wrapping.
    Up,
    /// The neighbour before it in the ring, without wrapping.
    Down,
    /// The base.
    Base,
    /// The other site.
    Away,
    /// The home site.
    Home,
    /// This host.
    Host(String),
}

/// What an operator can say. Names, not ids: a command may outlive a reload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Move a VM by hand.
    Move {
        /// This VM.
        vm: String,
        /// There.
        target: Target,
    },
    /// Let a waiting request go on.
    Approve {
        /// This VM's.
        vm: String,
    },
    /// Drop a waiting request.
    Deny {
        /// This VM's.
        vm: String,
    },
    /// Keep a VM where it is until released.
    Hold {
        /// This VM.
        vm: String,
    },
    /// End a hold or a flapping VM's.
    Release {
        /// This VM.
        vm: String,
    },
    /// Abort a running migration.
    Abort {
        /// This VM's.
        vm: String,
    },
    /// Take changed settings over: all of them, or none if one cannot stand.
    Amend {
        /// Which VMs get which.
        changes: Vec<Change>,
        /// Why, for those who ask later.
        why: Option<String>,
    },
    /// Move every VM away from a host, and keep it empty until undrained.
    Drain {
        /// This host.
        host: String,
    },
    /// Let a host take VMs again. What is on its way goes on.
    Undrain {
        /// This host.
        host: String,
    },
    /// Move no more VMs away from a host for now; it stays out of the ring.
    PauseDrain {
        /// This host.
        host: String,
    },
    /// Go on moving VMs away from a host.
    ResumeDrain {
        /// This host.
        host: String,
    },
    /// Change how far the engine may go on its own.
    Mode {
        /// To this.
        mode: Mode,
    },
    /// The alarms have been seen.
    Acknowledge,
}

/// A VM's settings as they are to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// This VM's.
    pub vm: String,
    /// Its whole policy.
    pub settings: Box<Settings>,
}

impl Command {
    /// The VM it is about, if it is about one.
    pub fn vm(&self) -> Option<&str> {
        match self {
            Self::Move { vm, .. }
            | Self::Approve { vm }
            | Self::Deny { vm }
            | Self::Hold { vm }
            | Self::Release { vm }
            | Self::Abort { vm } => Some(vm),
            Self::Drain { .. }
            | Self::Undrain { .. }
            | Self::PauseDrain { .. }
            | Self::ResumeDrain { .. }
            | Self::Amend { .. }
            | Self::Mode { .. }
            | Self::Acknowledge => None,
        }
    }
}

/// Something the engine wants done or known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Read this VM's service; answer with [`Event::Reading`] or [`Event::Queue`].
    Read {
        /// This VM's.
        vm: VmId,
    },
    /// Have the source of this VM's queue say what the engine asks of the VM's worker and where the VM is, in place of what it
    /// said of both. If that is so already, nothing is written. The next look shows it; answer with [`Event::NotOrdered`] if it
    /// could not be written.
    Order {
        /// This VM's worker.
        vm: VmId,
        /// The site where the VM is.
        site: Name,
        /// What it must not do; `None`: nothing is asked of it.
        order: Option<WorkerOrder>,
    },
    /// Check that a move can start; answer with [`Event::Preflight`].
    Preflight(Route),
    /// Write down durably that a migration is about to start; answer with [`Event::Journalled`] or
    /// [`Event::NotJournalled`].
    Journal(Route),
    /// Start a migration; answer with [`Event::Progress`] and [`Event::Ended`].
    Start(Route),
    /// Stop a running migration; it will still end.
    Abort(Route),
    /// Ask both hosts where the VM runs; answer with [`Event::Presence`].
    Confirm(Route),
    /// Something happened.
    Record(Record),
    /// What became of an operator's command.
    Answer {
        /// It was taken.
        ok: bool,
        /// In words.
        text: String,
    },
}

/// One migration's way: in ids inside the engine, in names for drivers and the journal, which outlive a changed config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route<V = VmId, H = HostId> {
    /// The request it carries out.
    pub id: RequestId,
    /// This VM.
    pub vm: V,
    /// From here.
    pub from: H,
    /// To there.
    pub to: H,
}
