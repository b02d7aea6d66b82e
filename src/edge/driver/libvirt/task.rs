//! What a job's thread is given, and what it brings back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::connection::{Connection, Domain as Held};
use super::error::Error;
use super::ffi::Library;
use super::line::Line;
use crate::core::cluster::{Domain, Libvirt, Transfer};
use crate::edge::driver::{DriverEvent, Move, Tell};

/// A job of one VM on its way from one host to another.
#[derive(Clone)]
pub(super) struct Task {
    pub library: &'static Library,
    pub settings: Arc<Libvirt>,
    pub way: Move,
    pub domain: Domain,
    pub source: Arc<Line>,
    pub destination: Arc<Line>,
    pub learned: Learned,
    pub tell: Tell,
    /// The driver is dropped: what goes on is nobody's business any more.
    pub stop: Arc<AtomicBool>,
}

impl Task {
    /// Whether there is still a driver to work for.
    pub(super) fn wanted(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// How to look this VM up.
    pub(super) fn key(&self) -> Key {
        Key::of(&self.way.vm, &self.domain)
    }
}

/// A VM's uuid, if the config has it, and its name.
#[derive(Debug, Clone)]
pub(super) struct Key {
    uuid: Option<String>,
    name: String,
}

impl Key {
    pub(super) fn of(vm: &str, domain: &Domain) -> Self {
        Self { uuid: domain.uuid.clone(), name: domain.name.clone().unwrap_or_else(|| vm.to_owned()) }
    }

    /// The domain on this host; `None` if there is none.
    pub(super) fn find<'a>(&self, connection: &'a Connection) -> Result<Option<Held<'a>>, Error> {
        connection.domain(self.uuid.as_deref(), &self.name)
    }
}

/// What earlier migrations have shown, for forecasts. Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Learned {
    /// What was sent.
    pub rate: Option<u64>,
    /// What this VM wrote.
    pub dirty: Option<u64>,
}

impl Learned {
    /// Takes in a migration's figures as it runs.
    pub(super) fn see(&mut self, transfer: &Transfer) {
        if transfer.rate > 0 {
            self.rate = Some(transfer.rate);
        }
        if transfer.dirty > 0 {
            self.dirty = Some(transfer.dirty);
        }
    }
}

/// What a job's thread brings back.
pub(super) struct Done {
    pub facts: Vec<DriverEvent>,
    pub learned: Learned,
}

/// What reaches the thread of a migration from outside it.
pub(super) enum Sign {
    /// libvirt's call returned.
    Returned(Result<(), Error>),
    /// The migration is to be stopped.
    Abort,
    /// The thread of the call failed.
    Broken,
}

/// Between two looks at a running migration.
pub(super) const PACE: Duration = Duration::from_millis(500);
/// A host that has not answered for so long does not answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// A running migration is looked at again soon: one look need not wait for long.
pub(super) const GLANCE: Duration = Duration::from_secs(3);
