//! Checks by fresh reads whether a migration can start, and says what it will be like.

use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, DIRTY_RATE};
use super::error::Error;
use super::forecast::phrase;
use super::layout::Ident;
use super::line::Line;
use super::picture;
use super::task::{DEADLINE, Done, Key, Learned, Task};
use super::words;
use super::xml;
use crate::core::engine::Presence;
use crate::edge::driver::DriverEvent;

/// What a VM writes is measured for a second; so long is waited for it.
const DIRTY_PATIENCE: Duration = Duration::from_millis(1_500);
const DIRTY_PACE: Duration = Duration::from_millis(100);
/// `dirtyrate.calc_status` once there is a rate.
const MEASURED: u64 = 2;

/// What the source knows of the VM.
struct Leaving {
    ident: Ident,
    presence: Presence,
    /// A job is under way.
    busy: bool,
    /// Bytes.
    memory: u64,
    cpu: GuestCpu,
    /// What it writes is being measured.
    measuring: bool,
}

/// What a destination's CPU has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GuestCpu {
    /// As the guest's, as XML.
    Guest(String),
    /// As the source's, as the guest sees it whole.
    Host,
    /// Anything: it is emulated, or of a model that every host has.
    Any,
}

/// What the destination knows.
struct Arriving {
    /// What it has of the same uuid.
    same: Presence,
    /// The uuid of another domain of the same name.
    namesake: Option<String>,
    /// Bytes it has for a VM, if it tells.
    room: Option<u64>,
    /// False only if it said so.
    cpu: bool,
}

/// Answers [`DriverEvent::Preflight`] within the deadline.
pub(super) fn check(task: &Task) -> Done {
    let deadline = Instant::now() + DEADLINE;
    let (refusal, forecast) = match verdict(task, deadline) {
        Ok(forecast) => (None, forecast),
        Err(refusal) => (Some(words::line(&refusal)), None),
    };
    Done { facts: vec![DriverEvent::Preflight { id: task.way.id, refusal, forecast }], learned: task.learned }
}

/// The forecast if it can be told, or the refusal.
fn verdict(task: &Task, deadline: Instant) -> Result<Option<String>, String> {
    let (from, to) = (task.source.contact()?, task.destination.contact()?);
    if from.identity.is_some() && from.identity == to.identity {
        return Err(format!("{} and {} are the same host", task.way.from, task.way.to));
    }
    let leaving = leaving(task, deadline)?;
    may_leave(task, &leaving)?;
    let started = Instant::now();
    let arriving = arriving(task, &leaving, from.cpu.clone(), deadline)?;
    may_arrive(task, &leaving, &arriving)?;
    let measured = if leaving.measuring { dirty(task, (started + DIRTY_PATIENCE).min(deadline)) } else { None };
    let rate = task.settings.bandwidth.map(|mib| mib << 20).or(task.learned.rate);
    let learned = Learned { rate, dirty: measured.or(task.learned.dirty) };
    Ok(phrase(leaving.memory, learned))
}

fn leaving(task: &Task, deadline: Instant) -> Result<Leaving, String> {
    let key = task.key();
    let asked = task.source.ask(move |connection| look(connection, &key))?;
    let found = asked.until(deadline)?.map_err(|error| format!("{}: {error}", task.way.from))?;
    found.ok_or_else(|| format!("{} is not on {}", task.way.vm, task.way.from))
}

fn look(connection: &Connection, key: &Key) -> Result<Option<Leaving>, Error> {
    let Some(domain) = key.find(connection)? else {
        return Ok(None);
    };
    let presence = presence(domain.state()?.0);
    let busy = domain.job(false).is_ok_and(|(kind, _)| kind != 0);
    let calm = presence == Presence::Runs && !busy;
    Ok(Some(Leaving {
        ident: domain.ident(),
        presence,
        busy,
        memory: domain.size()?.most_memory * 1_024,
        cpu: guest_cpu(&domain.xml()?),
        measuring: calm && domain.start_dirty_rate(),
    }))
}

fn presence(state: i32) -> Presence {
    u64::try_from(state).map_or(Presence::Absent, picture::presence)
}

fn may_leave(task: &Task, leaving: &Leaving) -> Result<(), String> {
    let (vm, from) = (&task.way.vm, &task.way.from);
    match leaving.presence {
        Presence::Runs if leaving.busy => Err(format!("another job of {vm} is under way on {from}")),
        Presence::Runs => Ok(()),
        Presence::Paused => Err(format!("{vm} is paused on {from}")),
        Presence::Absent | Presence::Unknown => Err(format!("{vm} does not run on {from}")),
    }
}

fn arriving(task: &Task, leaving: &Leaving, source_cpu: Option<String>, deadline: Instant) -> Result<Arriving, String> {
    let (ident, cpu) = (leaving.ident.clone(), leaving.cpu.clone());
    let ask = |line: &Line| line.ask(move |connection| expect(connection, &ident, &cpu, source_cpu.as_deref()));
    let answer = ask(&task.destination)?.until(deadline)?;
    answer.map_err(|error| format!("{}: {error}", task.way.to))
}

fn expect(connection: &Connection, ident: &Ident, cpu: &GuestCpu, source: Option<&str>) -> Result<Arriving, Error> {
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
    Ok(Arriving {
        same,
        namesake: namesake.filter(|uuid| *uuid != ident.uuid),
        room: connection.free_memory(),
        // A comparison that libvirt cannot make is made by libvirt itself when the migration begins.
        cpu: cpu.unwrap_or(true),
    })
}

fn may_arrive(task: &Task, leaving: &Leaving, arriving: &Arriving) -> Result<(), String> {
    let (vm, to) = (&task.way.vm, &task.way.to);
    match arriving.same {
        Presence::Runs => return Err(format!("{vm} runs on {to} already")),
        Presence::Paused => return Err(format!("{vm} is on {to} already, and stands still")),
        Presence::Absent | Presence::Unknown => {}
    }
    if let Some(uuid) = &arriving.namesake {
        return Err(format!("{to} has another {} (uuid {uuid})", leaving.ident.name));
    }
    if let Some(room) = arriving.room.filter(|room| *room < leaving.memory) {
        let (room, memory) = (words::bytes(room), words::bytes(leaving.memory));
        return Err(format!("{to} has {room} of memory free, {vm} needs {memory}"));
    }
    if arriving.cpu { Ok(()) } else { Err(format!("the CPU of {to} lacks what {vm} was started with")) }
}

/// What the guest needs of a CPU, from its XML. Only hardware has to fit.
fn guest_cpu(domain: &str) -> GuestCpu {
    let cpu = xml::element(domain, "cpu");
    match (xml::attribute(domain, "type"), cpu, cpu.and_then(|cpu| xml::attribute(cpu, "mode"))) {
        (Some("kvm"), Some(_), Some("host-passthrough")) => GuestCpu::Host,
        (Some("kvm"), Some(cpu), Some("custom")) => GuestCpu::Guest(cpu.to_owned()),
        _ => GuestCpu::Any,
    }
}

/// Bytes a second that the VM writes, once it is measured.
fn dirty(task: &Task, until: Instant) -> Option<u64> {
    while Instant::now() < until {
        let key = task.key();
        let asked = task.source.ask(move |connection| {
            let domain = key.find(connection).ok().flatten()?;
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
}
