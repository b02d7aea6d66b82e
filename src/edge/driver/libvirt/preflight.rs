//! Checks by fresh reads whether a migration can start, and says what it will be like.

use std::thread;
use std::time::{Duration, Instant};

use roxmltree::Document;

use super::connection::{DIRTY_RATE, Hypervisor, Session};
use super::data::{DomainIdent, LibvirtError, child};
use super::job::{DEADLINE, JobContext, JobResult, LearnedRates};
use super::{observation, words};
use crate::core::engine::Presence;
use crate::core::format::bytes;
use crate::core::insight::precopy::in_words;
use crate::edge::driver::{DriverEvent, Guest};

/// libvirt measures for a second how much a VM writes. That is waited for so long.
const DIRTY_PATIENCE: Duration = Duration::from_millis(1_500);
const DIRTY_PACE: Duration = Duration::from_millis(100);
/// `dirtyrate.calc_status` once there is a rate.
const MEASURED: u64 = 2;

/// What the source knows of the VM.
struct SourceCheck {
    ident: DomainIdent,
    presence: Presence,
    /// The VM has a job already.
    busy: bool,
    /// Bytes.
    memory: u64,
    cpu: GuestCpu,
    /// libvirt measures how much the VM writes.
    measuring: bool,
}

/// What the guest needs of a destination's CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GuestCpu {
    /// What this XML lists.
    Guest(String),
    /// All that the source's CPU has: the guest sees it whole.
    Host,
    /// Nothing: it is emulated, or of a model that every host has.
    Any,
}

/// What the destination knows of it.
struct DestinationCheck {
    /// How a domain of the same uuid stands there.
    same: Presence,
    /// The uuid of another domain of the same name.
    namesake: Option<String>,
    /// Bytes of memory for a VM, if the host tells.
    room: Option<u64>,
    /// Whether the CPU fits. False only if the host said so.
    cpu: bool,
}

/// Answers [`DriverEvent::Preflight`] within the deadline.
pub(super) fn check(task: &JobContext) -> JobResult {
    let deadline = Instant::now() + DEADLINE;
    let (refusal, forecast) = match examine(task, deadline) {
        Ok(forecast) => (None, forecast),
        Err(refusal) => (Some(words::line(&refusal)), None),
    };
    JobResult {
        facts: vec![DriverEvent::Preflight { id: task.migration.id, refusal, forecast }],
        learned: task.learned,
    }
}

/// The forecast if it can be told, or the refusal.
fn examine(task: &JobContext, deadline: Instant) -> Result<Option<String>, String> {
    let (from, to) = (task.source.connection()?, task.destination.connection()?);
    if from.identity.is_some() && from.identity == to.identity {
        return Err(format!("{} and {} are the same host", task.migration.from, task.migration.to));
    }
    let leaving = leaving(task, deadline)?;
    may_leave(task, &leaving)?;
    let started = Instant::now();
    let arriving = arriving(task, &leaving, from.cpu.clone(), deadline)?;
    may_arrive(task, &leaving, &arriving)?;
    let measured = if leaving.measuring { dirty(task, (started + DIRTY_PATIENCE).min(deadline)) } else { None };
    let rate = task.settings.bandwidth.map(|mib| mib << 20).or(task.learned.rate);
    let learned = LearnedRates { rate, dirty: measured.or(task.learned.dirty) };
    Ok(phrase(leaving.memory, learned))
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
    let presence = presence(domain.state()?.0);
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

fn presence(state: i32) -> Presence {
    u64::try_from(state).map_or(Presence::Absent, observation::presence)
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

fn arriving(
    task: &JobContext,
    leaving: &SourceCheck,
    source_cpu: Option<String>,
    deadline: Instant,
) -> Result<DestinationCheck, String> {
    let (ident, cpu) = (leaving.ident.clone(), leaving.cpu.clone());
    let ask = |session: &Session| {
        session.ask(move |connection| look_at_destination(connection, &ident, &cpu, source_cpu.as_deref()))
    };
    let answer = ask(&task.destination)?.until(deadline)?;
    answer.map_err(|error| format!("{}: {error}", task.migration.to))
}

fn look_at_destination(
    connection: &Hypervisor,
    ident: &DomainIdent,
    cpu: &GuestCpu,
    source: Option<&str>,
) -> Result<DestinationCheck, LibvirtError> {
    let same = match connection.domain(Some(&ident.uuid), "")? {
        Some(domain) => presence(domain.state()?.0),
        None => Presence::Absent,
    };
    let namesake = connection.domain(None, &ident.name)?.map(|domain| domain.ident().uuid);
    let cpu = match (cpu, source) {
        (GuestCpu::Guest(xml), _) => connection.runs_guest_cpu(xml),
        (GuestCpu::Host, Some(xml)) => connection.has_host_cpu(xml),
        (GuestCpu::Host, None) | (GuestCpu::Any, _) => Ok(true),
    };
    Ok(DestinationCheck {
        same,
        namesake: namesake.filter(|uuid| *uuid != ident.uuid),
        room: connection.free_memory(),
        // If the comparison fails, libvirt compares again when the migration begins.
        cpu: cpu.unwrap_or(true),
    })
}

fn may_arrive(task: &JobContext, leaving: &SourceCheck, arriving: &DestinationCheck) -> Result<(), String> {
    let (vm, to) = (&task.migration.vm, &task.migration.to);
    match arriving.same {
        Presence::Runs => return Err(format!("{vm} runs on {to} already")),
        Presence::Paused => return Err(format!("{vm} is on {to} already, and stands still")),
        Presence::Absent | Presence::Unknown => {}
    }
    if let Some(uuid) = &arriving.namesake {
        return Err(format!("{to} has another {} (uuid {uuid})", leaving.ident.name));
    }
    if let Some(room) = arriving.room.filter(|room| *room < leaving.memory) {
        let (room, memory) = (bytes(room), bytes(leaving.memory));
        return Err(format!("{to} has {room} of memory free, {vm} needs {memory}"));
    }
    if arriving.cpu { Ok(()) } else { Err(format!("the CPU of {to} lacks what {vm} was started with")) }
}

/// What the guest needs of a CPU, from its XML. An emulated CPU runs anywhere.
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

/// Bytes a second that the VM writes, once that is measured.
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

/// `about 4.2 s in 6 rounds`, for so many bytes of memory; `None` where nothing is known of the network yet.
pub(super) fn phrase(memory: u64, learned: LearnedRates) -> Option<String> {
    let rate = learned.rate.filter(|rate| *rate > 0)?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    Some(in_words(mb(memory), mb(learned.dirty.unwrap_or_default()), mb(rate)))
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
