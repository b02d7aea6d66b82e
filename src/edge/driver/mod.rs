//! Drivers find VMs, check, start, watch and abort migrations, and say where a VM runs. They report what they see; the engine
//! decides what it means. The simulator is a driver too, but a pure one: see [`core::simulation`](crate::core::simulation).

mod command;
pub mod libvirt;
mod supervisor;

use std::sync::Arc;

use crate::core::cluster::{Domain, Driver, Name, Reach, Reading, RequestId, Usage};
use crate::core::engine::{Event, Presence, Route};

use libvirt::LibvirtDriver;
pub use supervisor::ArrayDriver;
use supervisor::{StartDriver, TakeCommand};

/// One migration's way, in names.
pub type Move = Route<Name, Name>;

/// What a driver tells the engine, in names. It tells the state of hosts and where VMs run at the start and when they change,
/// and loads now and then. While it moves a VM it does not tell where that runs.
pub type DriverEvent = Event<Name, Name>;

/// What a driver is asked to do. Each command is always answered, sooner or later, with the event that its variant names. If
/// the driver does not answer in time, its supervisor does: refused, unknown, or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverCommand {
    /// Check that a move can start: answered with [`Event::Preflight`].
    Preflight(Move),
    /// Start a migration: [`Event::Progress`] now and then, and at its end [`Event::Ended`].
    Start(Move),
    /// Stop a running migration; it will still end.
    Abort(Move),
    /// Ask both hosts where the VM runs: answered with [`Event::Presence`]. If the migration turns out to be still under
    /// way, it is followed as if it had been started: [`Event::Progress`] at once, and [`Event::Ended`].
    Confirm(Move),
    /// Read what the hypervisor knows of a VM: answered with [`Event::Reading`].
    Measure {
        /// This VM.
        vm: Name,
        /// Which of its figures.
        field: Usage,
    },
}

impl DriverCommand {
    /// What is told of a command that no driver takes, for this reason: its answer, or that a migration goes on.
    pub fn refused(self, why: String) -> DriverEvent {
        match (self.owes(), self) {
            (Some(owed), _) => owed.refused(why),
            (None, command) => {
                let text = format!("the migration of {} is not aborted: {why}; try again", command.vm());
                DriverEvent::Trouble { vm: Some(command.vm().clone()), text }
            }
        }
    }

    const fn vm(&self) -> &Name {
        match self {
            Self::Preflight(way) | Self::Start(way) | Self::Abort(way) | Self::Confirm(way) => &way.vm,
            Self::Measure { vm, .. } => vm,
        }
    }

    /// The answer that this command asks for. An abort asks for none: the migration that it stops still ends.
    fn owes(&self) -> Option<OwedAnswer> {
        Some(match self {
            Self::Preflight(way) => OwedAnswer::Preflight(way.id),
            Self::Start(way) => OwedAnswer::End(way.id),
            Self::Confirm(way) => OwedAnswer::Presence(way.id),
            Self::Measure { vm, .. } => OwedAnswer::Reading(vm.clone()),
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
    /// A VM's figure.
    Reading(Name),
}

impl OwedAnswer {
    /// The answer in place of the driver's, for this reason.
    fn refused(self, why: String) -> DriverEvent {
        match self {
            Self::Preflight(id) => DriverEvent::Preflight { id, refusal: Some(why), forecast: None },
            Self::Presence(id) => {
                DriverEvent::Presence { id, source: Presence::Unknown, destination: Presence::Unknown }
            }
            Self::End(id) => DriverEvent::Ended { id, detail: why },
            Self::Reading(vm) => DriverEvent::Reading { vm, reading: Reading::Gap(why) },
        }
    }
}

/// A host as its array's driver is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: Name,
    /// How it is reached.
    pub reach: Reach,
    /// Its place in the ring, from 1; `None`: it is the base.
    pub index: Option<u32>,
}

/// A VM as its array's driver is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its name.
    pub name: Name,
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
                let limits = command::answer_limits(&settings, fleet.hosts.len());
                let start = move |tell, lifeline| command::start(settings.clone(), fleet.clone(), tell, lifeline);
                (Box::new(start), limits)
            }
        };
        Self::supervised(format!("the {} driver of array {array}", driver.word()), hosts, start, limits, tell).map(Some)
    }
}

/// Where a driver's events go. Called on the driver's own threads; blocks only while the supervisor's queue is full.
pub type Tell = Arc<dyn Fn(DriverEvent) + Send + Sync>;
