//! What the actor gives to the threads of jobs and hosts, and what they send back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::connection::{BALLOON, CPU, Hypervisor, Session, VCPU};
use super::data::{Figures, LibvirtError};
use super::ffi::LibvirtLibrary;
use super::observation::HostObservation;
use crate::core::cluster::{Libvirt, Name, Reading, Transfer, Usage};
use crate::edge::driver::{DriverCommand, DriverEvent, Guest, Move, Tell};

/// What reaches the actor.
pub(super) enum ActorMessage {
    /// The engine's command.
    Order(DriverCommand),
    /// The host with this index is up: its domains and its load.
    Up(usize, HostObservation, Option<f64>),
    /// The host with this index cannot be reached, for this reason.
    Down(usize, String),
    /// A job of this VM has ended with this event.
    Done(Name, DriverEvent, LearnedRates),
    /// A VM was measured.
    Measured(Name, Usage, Result<UsageCounters, String>),
    /// Something failed.
    Trouble(String),
    /// The driver is dropped.
    Stop,
}

/// What the thread of a job needs. A job is a check, a migration or a confirmation of one VM.
#[derive(Clone)]
pub(super) struct JobContext {
    pub library: &'static LibvirtLibrary,
    pub settings: Arc<Libvirt>,
    pub migration: Move,
    pub guest: Guest,
    pub source: Arc<Session>,
    pub destination: Arc<Session>,
    pub learned: LearnedRates,
    pub tell: Tell,
    /// The driver was dropped, and nobody listens.
    pub stop: Arc<AtomicBool>,
}

impl JobContext {
    /// Whether the driver still runs.
    pub(super) fn is_wanted(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// The rates of earlier migrations, for forecasts. Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LearnedRates {
    /// How fast memory was sent.
    pub rate: Option<u64>,
    /// How fast this VM wrote to its memory.
    pub dirty: Option<u64>,
}

impl LearnedRates {
    /// Learns from the figures of a running migration.
    pub(super) fn see(&mut self, transfer: &Transfer) {
        if transfer.rate > 0 {
            self.rate = Some(transfer.rate);
        }
        if transfer.dirty > 0 {
            self.dirty = Some(transfer.dirty);
        }
    }
}

/// What the thread of a migration is told.
pub(super) enum FollowerSignal {
    /// libvirt's call has returned.
    Returned(Result<(), LibvirtError>),
    /// It must stop the migration.
    Abort,
    /// The thread of the call has failed.
    Broken,
}

/// The time between two looks at a running migration.
pub(super) const PACE: Duration = Duration::from_millis(500);
/// How long a host may take to answer before it counts as silent.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// How long one look at a running migration waits. It is short, because the next look comes soon.
pub(super) const GLANCE: Duration = Duration::from_secs(3);

/// A VM's counters on a host at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UsageCounters {
    pub host: usize,
    at: Instant,
    /// Nanoseconds.
    cpu: Option<u64>,
    cpus: u64,
    memory: Option<f64>,
}

/// Reads a VM's counters on the host with index `host`.
pub(super) fn read_counters(connection: &Hypervisor, host: usize, guest: &Guest) -> Result<UsageCounters, String> {
    let domain = connection.find(guest).map_err(|error| error.to_string())?;
    let domain = domain.ok_or("it does not run there any more")?;
    let figures = domain.stats(CPU | BALLOON | VCPU).map_err(|error| error.to_string())?;
    let size = domain.size().ok();
    let cpus = figures.get("vcpu.current").or_else(|| size.map(|size| u64::from(size.cpus)));
    let cpu = figures.get("cpu.time").or_else(|| size.map(|size| size.cpu_time));
    Ok(UsageCounters { host, at: Instant::now(), cpu, cpus: cpus.unwrap_or(1).max(1), memory: memory(&figures) })
}

/// The part of its memory that the guest uses, in percent. Caches count as free if the guest tells of them.
fn memory(figures: &Figures) -> Option<f64> {
    let available = figures.get("balloon.available").filter(|kib| *kib > 0)?;
    let free = figures.get("balloon.usable").or_else(|| figures.get("balloon.unused"))?;
    Some(100.0 - free.min(available) as f64 * 100.0 / available as f64)
}

/// A VM's reading of one of its figures, in percent. CPU time, which begins at 0 on each host, counts since an earlier reading.
pub(super) fn usage(before: Option<&UsageCounters>, now: &UsageCounters, field: Usage) -> Reading {
    let cpu = || {
        let before = before.filter(|before| before.host == now.host)?;
        let used = now.cpu?.checked_sub(before.cpu?)?;
        let had = now.at.saturating_duration_since(before.at).as_nanos() as f64 * now.cpus as f64;
        (had > 0.0).then(|| (used as f64 * 100.0 / had).min(100.0))
    };
    let (figure, missing) = match field {
        Usage::Cpu => (cpu(), "CPU time is measured from now on"),
        Usage::Memory => (now.memory, "the guest does not tell its memory: it needs a balloon driver with statistics"),
    };
    figure.map_or_else(|| Reading::Gap(missing.to_owned()), Reading::Raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    fn counters(host: usize, at: Instant, cpu: u64) -> UsageCounters {
        UsageCounters { host, at, cpu: Some(cpu), cpus: 2, memory: None }
    }

    fn begins() -> Reading {
        Reading::Gap("CPU time is measured from now on".to_owned())
    }

    #[test]
    fn cpu_is_what_it_had_of_what_its_processors_can_have() {
        let start = Instant::now();
        let first = counters(0, start, 1_000_000_000);
        let second = counters(0, start + Duration::from_secs(10), 6_000_000_000);
        assert_eq!(usage(None, &first, Usage::Cpu), begins());
        assert_eq!(usage(Some(&first), &second, Usage::Cpu), Reading::Raw(25.0));
    }

    #[test]
    fn cpu_time_begins_anew_with_a_move_or_a_restart() {
        let start = Instant::now();
        let first = counters(0, start, 6_000_000_000);
        for later in [counters(1, start + PACE, 7_000_000_000), counters(0, start + PACE, 5_000_000_000)] {
            assert_eq!(usage(Some(&first), &later, Usage::Cpu), begins());
        }
    }

    #[test]
    fn memory_is_told_by_the_guest_alone() {
        let mut figures = Figures::default();
        figures.set("balloon.current".into(), 1_000);
        assert_eq!(memory(&figures), None);
        figures.set("balloon.available".into(), 800);
        figures.set("balloon.unused".into(), 200);
        assert_eq!(memory(&figures), Some(75.0));
        figures.set("balloon.usable".into(), 600);
        assert_eq!(memory(&figures), Some(25.0));
    }
}
