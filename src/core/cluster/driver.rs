//! What moves the VMs of an array. Pure data: the drivers in `edge` do the moving.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Span;

/// What moves the VMs of an array.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Driver {
    /// The built-in simulator.
    #[default]
    Simulator,
    /// libvirt's daemons on the hosts.
    Libvirt(Libvirt),
    /// Commands of the operator's own.
    Command(Commands),
}

impl Driver {
    /// The words of all drivers.
    pub const WORDS: [&'static str; 3] = ["simulator", "libvirt", "command"];

    /// The driver's word, in the config and on screen.
    pub const fn word(&self) -> &'static str {
        let [simulator, libvirt, command] = Self::WORDS;
        match self {
            Self::Simulator => simulator,
            Self::Libvirt(_) => libvirt,
            Self::Command(_) => command,
        }
    }
}

/// How libvirt migrates: live and from daemon to daemon, so that a migration outlives whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libvirt {
    /// A host's URI as it is reached from here; `{host}` stands for the host's name. `None`: each host has its own.
    pub uri: Option<String>,
    /// A destination's URI as the *source* reaches it, `{host}` likewise; `None`: as from here.
    pub peer_uri: Option<String>,
    /// Memory goes through the daemons' own connection.
    pub tunnelled: bool,
    /// The domain is defined at the destination; `None`: if it is defined at the source.
    pub persistent: Option<bool>,
    /// The domain is not defined at the source any more; `None`: if it is defined at the destination.
    pub undefine_source: Option<bool>,
    /// MiB/s at most; `None`: as the hypervisor is set.
    pub bandwidth: Option<u64>,
    /// The VM may stand still for so long at the end; `None`: as the hypervisor is set.
    pub downtime: Option<Span>,
    /// What does not converge is finished from the destination. A network that fails then loses the VM.
    pub post_copy: bool,
    /// What does not converge is slowed down.
    pub auto_converge: bool,
    /// Disks that are not shared are copied.
    pub copy_storage: CopyStorage,
    /// Migrates even where libvirt takes the storage for not shared. It can destroy the VM's disk.
    pub allow_unsafe: bool,
    /// A migration that moves no byte for so long is aborted.
    pub stall: Span,
}

impl Default for Libvirt {
    fn default() -> Self {
        Self {
            uri: None,
            peer_uri: None,
            tunnelled: false,
            persistent: None,
            undefine_source: None,
            bandwidth: None,
            downtime: None,
            post_copy: false,
            auto_converge: false,
            copy_storage: CopyStorage::None,
            allow_unsafe: false,
            stall: Self::STALL,
        }
    }
}

impl Libvirt {
    /// A stall unless set: longer than a daemon takes to notice a cut cable (30 s with its keepalive as delivered).
    pub const STALL: Span = Span::from_secs(45);
}

/// Which disks are copied along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyStorage {
    /// None: they are shared.
    #[default]
    None,
    /// All of them.
    All,
    /// What differs from a base image that both hosts have.
    Increment,
}

/// Commands that move, find and stop VMs: argument vectors, never a shell. In each argument `{vm}` stands for the VM's
/// domain, `{from}` and `{to}` for the hosts' names, `{index}` for the destination's place in its ring, from 1 (nothing at
/// the base), and `{host}`, in `locate` and `host_state` alone, for the host that is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commands {
    /// Moves `{vm}` from `{from}` to `{to}`; status 0 is an end, not yet an outcome.
    pub migrate: Vec<String>,
    /// Tells where `{vm}` runs. Without `{host}`: prints the names of those hosts, one a line. With it, asked of each
    /// host: prints the names of the VMs that run there. Any status but 0 means that it could not be told.
    pub locate: Vec<String>,
    /// Prints how far the migration is: a number from 0 to 100 first, then whatever is to be shown.
    pub progress: Option<Vec<String>>,
    /// Stops the migration.
    pub abort: Option<Vec<String>>,
    /// Tells whether `{host}` is up: status 0.
    pub host_state: Option<Vec<String>>,
    /// `migrate` is ended after so long.
    pub migrate_deadline: Span,
    /// Each other command is ended after so long.
    pub deadline: Span,
}

impl Default for Commands {
    /// No commands yet, and the deadlines unless set.
    fn default() -> Self {
        Self {
            migrate: Vec::new(),
            locate: Vec::new(),
            progress: None,
            abort: None,
            host_state: None,
            migrate_deadline: Self::MIGRATE_DEADLINE,
            deadline: Self::DEADLINE,
        }
    }
}

impl Commands {
    /// A program with a `/` in its name is relative to this folder.
    pub fn resolve(&mut self, folder: &Path) {
        let others = [&mut self.progress, &mut self.abort, &mut self.host_state].into_iter().flatten();
        for program in
            [&mut self.migrate, &mut self.locate].into_iter().chain(others).filter_map(|list| list.first_mut())
        {
            if program.contains('/') {
                *program = folder.join(&*program).to_string_lossy().into_owned();
            }
        }
    }

    /// How long `migrate` may take unless set.
    pub const MIGRATE_DEADLINE: Span = Span::from_mins(30);
    /// How long any other command may take unless set.
    pub const DEADLINE: Span = Span::from_secs(10);
}

/// How a libvirt host is reached, where it differs from the driver's template.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reach {
    /// From here.
    pub uri: Option<String>,
    /// As a destination, from the source.
    pub peer_uri: Option<String>,
}

/// How a hypervisor knows a VM.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Domain {
    /// Its name there; `None`: the VM's name.
    pub name: Option<String>,
    /// Its uuid, which wins over the name.
    pub uuid: Option<String>,
}
