//! Asks both hosts whether a migration can start, and foretells how long it will take.

use std::thread;
use std::time::{Duration, Instant};

use roxmltree::Document;

use super::connection::{DIRTY_RATE, Hypervisor};
use super::data::{DomainIdent, LibvirtError, child};
use super::job::{DEADLINE, JobContext, LearnedRates};
use super::words;
use crate::core::engine::Presence;
use crate::core::format::bytes;
use crate::core::insight::precopy::Forecast;
use crate::edge::driver::{DriverEvent, Guest, Move};

/// How long to wait for the rate at which a VM writes. libvirt measures it for a second.
const DIRTY_PATIENCE: Duration = Duration::from_millis(1_500);
const DIRTY_PACE: Duration = Duration::from_millis(100);
/// `dirtyrate.calc_status` once there is a rate.
const MEASURED: u64 = 2;

/// What the source knows of the VM.
struct SourceCheck {
    ident: DomainIdent,
    presence: Presence,
    /// The VM already has a job.
    busy: bool,
    /// Bytes.
    memory: u64,
    cpu: GuestCpu,
    /// libvirt is measuring how much the VM writes.
    measuring: bool,
}

/// What the guest needs of the destination's CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GuestCpu {
    /// What this XML lists.
    Guest(String),
    /// Everything that the source's CPU has, because the guest sees all of it.
    Host,
    /// Nothing: its CPU is emulated, or a model that every host has.
    Any,
}

/// Answers [`DriverEvent::Preflight`] within the deadline.
pub(super) fn check(task: &JobContext) -> (DriverEvent, LearnedRates) {
    let deadline = Instant::now() + DEADLINE;
    let (refusal, forecast) = match examine(task, deadline) {
        Ok(forecast) => (None, forecast),
        Err(refusal) => (Some(words::line(&refusal)), None),
    };
    (DriverEvent::Preflight { id: task.migration.id, refusal, forecast }, task.learned)
}

/// The forecast, if there is one; or why the migration cannot start.
fn examine(task: &JobContext, deadline: Instant) -> Result<Option<String>, String> {
    let (from, to) = (task.source.connection()?, task.destination.connection()?);
    if from.identity.is_some() && from.identity == to.identity {
        return Err(format!("{} and {} are the same host", task.migration.from, task.migration.to));
    }
    let leaving = leaving(task, deadline)?;
    may_leave(task, &leaving)?;
    let started = Instant::now();
    let (memory, measuring) = (leaving.memory, leaving.measuring);
    may_arrive(task, leaving, from.cpu.clone(), deadline)?;
    let measured = if measuring { dirty(task, (started + DIRTY_PATIENCE).min(deadline)) } else { None };
    let rate = task.settings.bandwidth.map(|mib| mib << 20).or(task.learned.rate);
    let learned = LearnedRates { rate, dirty: measured.or(task.learned.dirty) };
    Ok(phrase(memory, learned))
}

fn leaving(task: &JobContext, deadline: Instant) -> Result<SourceCheck, String> {
    let guest = task.guest.clone();
    let asked = task.source.ask(move |connection| look(connection, &guest))?;
    let found = asked.until(deadline)?.map_err(|error| format!("{}: {error}", task.migration.from))?;
    found.ok_or_else(|| format!("{} is not on {}", task.migration.vm, task.migration.from))
}

fn look(connection: &Hypervisor, guest: &Guest) -> Result<Option<SourceCheck>, LibvirtError> {
    let Some(domain) = connection.find(guest)? else {
        return Ok(None);
    };
    let presence = domain.presence()?;
    let busy = domain.job(false).is_ok_and(|(kind, _)| kind != 0);
    let calm = presence == Presence::Runs && !busy;
    Ok(Some(SourceCheck {
        ident: domain.ident(),
        presence,
        busy,
        memory: domain.size()?.most_memory * 1_024,
        cpu: guest_cpu(&domain.xml()?),
        measuring: calm && domain.start_dirty_rate(),
    }))
}

fn may_leave(task: &JobContext, leaving: &SourceCheck) -> Result<(), String> {
    let (vm, from) = (&task.migration.vm, &task.migration.from);
    match leaving.presence {
        Presence::Runs if leaving.busy => Err(format!("another job of {vm} is under way on {from}")),
        Presence::Runs => Ok(()),
        Presence::Paused => Err(format!("{vm} is paused on {from}")),
        Presence::Absent | Presence::Unknown => Err(format!("{vm} does not run on {from}")),
    }
}

fn may_arrive(
    task: &JobContext,
    leaving: SourceCheck,
    source_cpu: Option<String>,
    deadline: Instant,
) -> Result<(), String> {
    let migration = task.migration.clone();
    let asked =
        task.destination.ask(move |connection| refusal(connection, &migration, &leaving, source_cpu.as_deref()))?;
    let refusal = asked.until(deadline)?.map_err(|error| format!("{}: {error}", task.migration.to))?;
    refusal.map_or(Ok(()), Err)
}

/// Why the destination cannot take the VM; `None`: it can.
fn refusal(
    connection: &Hypervisor,
    Move { vm, to, .. }: &Move,
    leaving: &SourceCheck,
    source_cpu: Option<&str>,
) -> Result<Option<String>, LibvirtError> {
    let DomainIdent { uuid, name } = &leaving.ident;
    match connection.domain(Some(uuid), "")?.map_or(Ok(Presence::Absent), |domain| domain.presence())? {
        Presence::Runs => return Ok(Some(format!("{vm} runs on {to} already"))),
        Presence::Paused => return Ok(Some(format!("{vm} is on {to} already, and stands still"))),
        Presence::Absent | Presence::Unknown => {}
    }
    let namesake = connection.domain(None, name)?.map(|domain| domain.ident().uuid);
    if let Some(uuid) = namesake.filter(|other| other != uuid) {
        return Ok(Some(format!("{to} has another {name} (uuid {uuid})")));
    }
    if let Some(room) = connection.free_memory().filter(|room| *room < leaving.memory) {
        let (room, memory) = (bytes(room), bytes(leaving.memory));
        return Ok(Some(format!("{to} has {room} of memory free, {vm} needs {memory}")));
    }
    let cpu_fits = match (&leaving.cpu, source_cpu) {
        (GuestCpu::Guest(xml), _) => connection.runs_guest_cpu(xml),
        (GuestCpu::Host, Some(xml)) => connection.has_host_cpu(xml),
        (GuestCpu::Host, None) | (GuestCpu::Any, _) => Ok(true),
    };
    // If the comparison fails, libvirt compares again when the migration begins.
    Ok((!cpu_fits.unwrap_or(true)).then(|| format!("the CPU of {to} lacks what {vm} was started with")))
}

/// What the guest needs of a CPU, from its XML. An emulated CPU needs nothing.
fn guest_cpu(xml: &str) -> GuestCpu {
    let Ok(document) = Document::parse(xml) else { return GuestCpu::Any };
    let domain = document.root_element();
    let Some(cpu) = child(domain, "cpu").filter(|_| domain.attribute("type") == Some("kvm")) else {
        return GuestCpu::Any;
    };
    match cpu.attribute("mode") {
        Some("host-passthrough") => GuestCpu::Host,
        Some("custom") => GuestCpu::Guest(xml[cpu.range()].to_owned()),
        _ => GuestCpu::Any,
    }
}

/// The bytes a second that the VM writes, when libvirt has measured them.
fn dirty(task: &JobContext, until: Instant) -> Option<u64> {
    while Instant::now() < until {
        let guest = task.guest.clone();
        let asked = task.source.ask(move |connection| {
            let domain = connection.find(&guest).ok().flatten()?;
            domain.stats(DIRTY_RATE).ok()
        });
        let figures = asked.ok()?.until(until).ok()??;
        if figures.get("dirtyrate.calc_status") == Some(MEASURED) {
            return figures.get("dirtyrate.megabytes_per_second").map(|mib| mib << 20);
        }
        thread::sleep(DIRTY_PACE);
    }
    None
}

/// `about 4.2 s in 6 rounds`, for this many bytes of memory; `None`: the speed of the network is not known yet.
pub(super) fn phrase(memory: u64, learned: LearnedRates) -> Option<String> {
    let rate = learned.rate.filter(|rate| *rate > 0)?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    Some(Forecast::of(mb(memory), mb(learned.dirty.unwrap_or_default()), mb(rate)).words())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hardware_has_to_fit() {
        assert_eq!(guest_cpu("<domain type='qemu'><cpu mode='custom'><model>x</model></cpu></domain>"), GuestCpu::Any);
        assert_eq!(guest_cpu("<domain type='kvm'></domain>"), GuestCpu::Any);
        assert_eq!(guest_cpu("<domain type='kvm'><cpu mode='host-passthrough'/></domain>"), GuestCpu::Host);
        let custom = "<cpu mode='custom' match='exact'><model>Skylake</model></cpu>";
        assert_eq!(guest_cpu(&format!("<domain type='kvm'>{custom}</domain>")), GuestCpu::Guest(custom.into()));
    }

    fn learned(rate: u64, dirty: u64) -> LearnedRates {
        LearnedRates { rate: Some(rate), dirty: Some(dirty) }
    }

    #[test]
    fn a_forecast_is_a_short_phrase() {
        assert_eq!(phrase(4_096_000_000, learned(117_000_000, 20_000_000)).unwrap(), "about 42.2 s in 6 rounds");
        assert_eq!(phrase(90_000_000, learned(30_000_000, 0)).unwrap(), "about 3 s in 1 round");
    }

    #[test]
    fn what_will_not_converge_is_said_with_its_figures() {
        let said = phrase(512_000_000, learned(30_000_000, 120_000_000)).unwrap();
        assert_eq!(said, "will not converge: writes 120 MB/s, sends 30 MB/s");
    }

    #[test]
    fn without_a_rate_nothing_is_foretold() {
        assert_eq!(phrase(1, LearnedRates { rate: None, dirty: Some(1) }), None);
        assert_eq!(phrase(1, learned(0, 0)), None);
    }
}
