//! Move VMs: find them, check, start, watch and abort migrations, and say where a VM runs. Drivers report facts; what
//! becomes of a migration is the engine's to say. The simulator is one too, but pure: it stands in
//! [`core::simulation`](crate::core::simulation).

mod command;
pub mod libvirt;
mod supervisor;

use std::sync::Arc;

use crate::core::cluster::{Domain, Driver, HostState, Reach, RequestId, Transfer};
use crate::core::engine::Presence;

use command::CommandDriver;
use libvirt::LibvirtDriver;
pub use supervisor::ArrayDriver;
use supervisor::{StartDriver, TakeCommand};

/// One migration's way, in names: these outlive a changed config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The request it carries out.
    pub id: RequestId,
    /// This VM.
    pub vm: String,
    /// From this host.
    pub from: String,
    /// To that host.
    pub to: String,
}

/// What a driver is asked to do. Each command is answered with the [`DriverEvent`] of the same name, soon or late, but always.
/// Where the driver does not answer in time, its supervisor does: refused, unknown, or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverCommand {
    /// Check that a move can start: answered with [`DriverEvent::Preflight`].
    Preflight(Move),
    /// Start a migration: [`DriverEvent::Progress`] now and then, and at its end [`DriverEvent::Ended`].
    Start(Move),
    /// Stop a running migration; it will still end.
    Abort(Move),
    /// Ask both hosts where the VM runs: answered with [`DriverEvent::Presence`]. If the migration turns out to be still under
    /// way, it is followed as if it had been started: [`DriverEvent::Progress`] at once, and [`DriverEvent::Ended`].
    Confirm(Move),
    /// Read what the hypervisor knows of a VM: answered with [`DriverEvent::Measured`].
    Measure {
        /// This VM.
        vm: String,
    },
}

impl DriverCommand {
    /// The answer to a command that nobody takes on, for this reason. An abort has none.
    pub fn refused(self, why: String) -> Option<DriverEvent> {
        self.owes().map(|owed| owed.refused(why))
    }

    /// The answer that this command asks for. An abort asks for none: the migration that it stops still ends.
    fn owes(&self) -> Option<OwedAnswer> {
        Some(match self {
            Self::Preflight(way) => OwedAnswer::Preflight(way.id),
            Self::Start(way) => OwedAnswer::End(way.id),
            Self::Confirm(way) => OwedAnswer::Presence(way.id),
            Self::Measure { vm } => OwedAnswer::Measured(vm.clone()),
            Self::Abort(_) => return None,
        })
    }
}

/// An answer that a driver owes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum OwedAnswer {
    /// Whether a move can start.
    Preflight(RequestId),
    /// Where a VM runs, or that its migration is still under way.
    Presence(RequestId),
    /// That a migration has ended.
    End(RequestId),
    /// A VM's figures.
    Measured(String),
}

impl OwedAnswer {
    /// The answer where there is none, for this reason.
    fn refused(self, why: String) -> DriverEvent {
        match self {
            Self::Preflight(id) => DriverEvent::Preflight { id, refusal: Some(why), forecast: None },
            Self::Presence(id) => {
                DriverEvent::Presence { id, source: Presence::Unknown, destination: Presence::Unknown }
            }
            Self::End(id) => DriverEvent::Ended { id, detail: why },
            Self::Measured(vm) => DriverEvent::Measured { vm, usage: Err(why) },
        }
    }
}

/// What a driver has found.
#[derive(Debug, Clone, PartialEq)]
pub enum DriverEvent {
    /// Whether a move can start.
    Preflight {
        /// Of this request.
        id: RequestId,
        /// Why it cannot, in a short phrase.
        refusal: Option<String>,
        /// What it will be like, in a short phrase, if that can be told.
        forecast: Option<String>,
    },
    /// A migration goes on.
    Progress {
        /// Of this request.
        id: RequestId,
        /// 0 to 100.
        percent: u8,
        /// A short phrase.
        detail: String,
        /// In figures, if there are any.
        transfer: Option<Transfer>,
    },
    /// The driver has nothing more to do for a migration. Not yet an outcome.
    Ended {
        /// Of this request.
        id: RequestId,
        /// How it went, in the driver's words: `4.5 s, 27 ms down`, or what went wrong.
        detail: String,
    },
    /// What both hosts say.
    Presence {
        /// Of this request.
        id: RequestId,
        /// Whether the VM runs at the source.
        source: Presence,
        /// Whether the VM runs at the destination.
        destination: Presence,
    },
    /// What is known of a host. Told at the start, when it changes, and its load now and then.
    Host {
        /// This host.
        host: String,
        /// Up, down, or unknown.
        state: HostState,
        /// The part of its CPU or memory that is used, the larger one; 0 to 1.
        load: Option<f64>,
        /// Why it is down, with the remedy if there is one.
        why: Option<String>,
    },
    /// Where a VM runs, as far as the hosts that answered can tell. Empty only if all of them answered. Told at the
    /// start, and when it changes; not while the driver itself moves the VM.
    Found {
        /// This VM.
        vm: String,
        /// On these hosts.
        hosts: Vec<String>,
    },
    /// What the hypervisor knows of a VM.
    Measured {
        /// This VM.
        vm: String,
        /// Its figures since it was measured last, or why there are none.
        usage: Result<MeasuredUsage, String>,
    },
    /// Something failed that a human should know of.
    Trouble(String),
}

/// What the hypervisor knows of a VM, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeasuredUsage {
    /// CPU time it had since it was measured last, of what its virtual CPUs can have; `None` at first.
    pub cpu: Option<f64>,
    /// Memory in use, of what it has; `None` where the guest does not tell.
    pub memory: Option<f64>,
}

/// A host as its array's driver is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
    /// Its place in the ring, from 1; `None`: it is the base.
    pub index: Option<u32>,
}

/// A VM as its array's driver is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// How the hypervisor knows it.
    pub domain: Domain,
}

/// One array's hosts and VMs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// In ring order, the base last.
    pub hosts: Vec<Machine>,
    /// All that may run there.
    pub guests: Vec<Guest>,
}

impl ArrayDriver {
    /// Starts an array's driver; `None`: the simulator needs none.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub fn start(array: &str, driver: &Driver, fleet: Fleet, tell: Tell) -> Result<Option<Self>, String> {
        let hosts = fleet.hosts.iter().map(|host| host.name.clone()).collect();
        let (start, limits): (StartDriver, _) = match driver.clone() {
            Driver::Simulator => return Ok(None),
            Driver::Libvirt(settings) => {
                let start = move |tell, lifeline| -> Result<TakeCommand, String> {
                    let libvirt = LibvirtDriver::start(&settings, fleet.clone(), tell, lifeline)?;
                    Ok(Box::new(move |command| libvirt.order(command)))
                };
                (Box::new(start), LibvirtDriver::ANSWER_LIMITS)
            }
            Driver::Command(settings) => {
                let limits = CommandDriver::answer_limits(&settings, fleet.hosts.len());
                let start = move |tell, lifeline| -> Result<TakeCommand, String> {
                    let command_driver = CommandDriver::start(&settings, fleet.clone(), tell, lifeline)?;
                    Ok(Box::new(move |command| command_driver.order(command)))
                };
                (Box::new(start), limits)
            }
        };
        Self::supervised(format!("the {} driver of array {array}", driver.word()), hosts, start, limits, tell).map(Some)
    }
}

/// Where a driver's events go. Called on the driver's own threads; blocks only while the supervisor's queue is full.
pub type Tell = Arc<dyn Fn(DriverEvent) + Send + Sync>;
