//! What a host looks like at one moment: its domains, and how busy it is.

use std::time::{Duration, Instant};

use super::connection::{CPU, Connection, STATE};
use super::error::Error;
use super::fields::Fields;
use super::layout::Ident;
use crate::core::cluster::Domain;
use crate::core::engine::Presence;

/// Load is taken over at least so long.
const FAIR_TIME: Duration = Duration::from_secs(1);

/// A host's domains and load.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    pub seen: Vec<Seen>,
    pub load: Option<f64>,
}

/// A domain, as one host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub ident: Ident,
    pub presence: Presence,
}

impl Picture {
    /// How a VM stands on this host.
    pub(super) fn presence(&self, vm: &str, domain: &Domain) -> Presence {
        let seen = self.seen.iter().find(|seen| is(&seen.ident, vm, domain));
        seen.map_or(Presence::Absent, |seen| seen.presence)
    }
}

/// Whether this is the domain the config means: its uuid decides if there is one, else its name.
pub(super) fn is(ident: &Ident, vm: &str, domain: &Domain) -> bool {
    match &domain.uuid {
        Some(uuid) => uuid.eq_ignore_ascii_case(&ident.uuid),
        None => ident.name == domain.name.as_deref().unwrap_or(vm),
    }
}

/// What a `virDomainState` means: a domain that is only defined is absent; one that is being shut down, has crashed but is
/// kept, or sleeps, is there but stands still. Xen has no state for a domain that waits for a CPU.
pub(super) fn presence(state: u64) -> Presence {
    match state {
        0..=2 => Presence::Runs,
        3 | 4 | 7 => Presence::Paused,
        _ => Presence::Absent,
    }
}

/// What a look shows: the domains, and the host's own figures where it has them.
pub(super) struct Glimpse {
    seen: Vec<Seen>,
    cpu: Option<(Instant, Cpu)>,
    memory: Option<Fields>,
}

/// What a host's processors have done so far, in nanoseconds.
enum Cpu {
    /// All of it.
    Host(Fields),
    /// What its domains had, on so many processors.
    Domains { used: u64, cpus: u64 },
}

/// Looks.
pub(super) fn take(connection: &Connection) -> Result<Glimpse, Error> {
    let seen = match connection.stats(STATE) {
        Ok(all) => all.into_iter().map(|(ident, figures)| seen(ident, figures.get("state.state"))).collect(),
        Err(error) if error.unsupported() => one_by_one(connection)?,
        Err(error) => return Err(error),
    };
    let cpu = connection.node_cpu().ok().map(Cpu::Host).or_else(|| domains_cpu(connection));
    Ok(Glimpse { seen, cpu: cpu.map(|cpu| (Instant::now(), cpu)), memory: connection.node_memory().ok() })
}

fn domains_cpu(connection: &Connection) -> Option<Cpu> {
    let cpus = u64::from(connection.node().ok()?.cpus);
    let used = connection.stats(CPU).ok()?.iter().map(|(_, figures)| figures.or_zero("cpu.time")).sum();
    Some(Cpu::Domains { used, cpus })
}

fn seen(ident: Ident, state: Option<u64>) -> Seen {
    Seen { ident, presence: state.map_or(Presence::Absent, presence) }
}

/// For drivers without bulk figures. A domain that goes while it is looked at is not there.
fn one_by_one(connection: &Connection) -> Result<Vec<Seen>, Error> {
    let mut all = Vec::new();
    for domain in connection.domains()? {
        match domain.state() {
            Ok((state, _)) => all.push(seen(domain.ident(), u64::try_from(state).ok())),
            Err(error) if error.absent() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// How busy a host is: of its processors' time since an earlier look, and of its memory, the part that is used.
///
/// The host's own figures are asked for, as they count everything that runs there. Where they cannot be had, CPU is what
/// the domains had.
#[derive(Default)]
pub(super) struct Load {
    before: Option<(Instant, Cpu)>,
    cpu: Option<f64>,
}

impl Load {
    /// Adds the load to what a look has shown.
    pub(super) fn complete(&mut self, glimpse: Glimpse) -> Picture {
        let cpu = glimpse.cpu.and_then(|(at, cpu)| self.cpu(cpu, at));
        let memory = glimpse.memory.as_ref().and_then(memory_used);
        Picture { seen: glimpse.seen, load: cpu.into_iter().chain(memory).reduce(f64::max) }
    }

    /// Looks may follow one another closely: what a moment shows is no load.
    fn cpu(&mut self, cpu: Cpu, now: Instant) -> Option<f64> {
        let early = |(then, _): &(Instant, Cpu)| now.saturating_duration_since(*then) < FAIR_TIME;
        if !self.before.as_ref().is_some_and(early) {
            self.cpu = self.before.as_ref().and_then(|(then, before)| busy(before, &cpu, now - *then));
            self.before = Some((now, cpu));
        }
        self.cpu
    }
}

/// The part of the processors' time between two readings that was used; `None` if what was counted began anew.
fn busy(before: &Cpu, now: &Cpu, time: Duration) -> Option<f64> {
    let (busy, all) = match (before, now) {
        (Cpu::Host(before), Cpu::Host(now)) => {
            let since = |names: [&str; 2]| -> Option<u64> {
                let sum = |of: &Fields| names.iter().map(|name| of.or_zero(name)).sum::<u64>();
                sum(now).checked_sub(sum(before))
            };
            let (busy, idle) = (since(["kernel", "user"])?, since(["idle", "iowait"])?);
            (busy as f64, (busy + idle) as f64)
        }
        (Cpu::Domains { used: before, .. }, Cpu::Domains { used, cpus }) => {
            (used.checked_sub(*before)? as f64, time.as_nanos() as f64 * *cpus as f64)
        }
        (Cpu::Host(_), Cpu::Domains { .. }) | (Cpu::Domains { .. }, Cpu::Host(_)) => return None,
    };
    (all > 0.0).then(|| (busy / all).min(1.0))
}

/// The part of a host's memory that cannot be had for a VM.
fn memory_used(memory: &Fields) -> Option<f64> {
    let total = memory.get("total").filter(|total| *total > 0)?;
    let free = memory.get("free")? + memory.or_zero("buffers") + memory.or_zero("cached");
    Some(1.0 - free.min(total) as f64 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(of: &[(&str, u64)]) -> Fields {
        let mut fields = Fields::default();
        of.iter().for_each(|(name, value)| fields.set((*name).into(), *value));
        fields
    }

    fn ident(uuid: &str, name: &str) -> Ident {
        Ident { uuid: uuid.into(), name: name.into() }
    }

    #[test]
    fn a_uuid_wins_over_a_name() {
        let by_uuid = Domain { name: Some("web".into()), uuid: Some("AB-1".into()) };
        assert!(is(&ident("ab-1", "other"), "vm", &by_uuid) && !is(&ident("ab-2", "web"), "vm", &by_uuid));
        let by_name = Domain { name: Some("web".into()), uuid: None };
        assert!(is(&ident("x", "web"), "vm", &by_name) && !is(&ident("x", "vm"), "vm", &by_name));
        assert!(is(&ident("x", "vm"), "vm", &Domain::default()));
    }

    #[test]
    fn a_domain_that_is_only_defined_is_absent() {
        let all = (0..8).map(presence).collect::<Vec<_>>();
        use Presence::{Absent, Paused, Runs};
        assert_eq!(all, [Runs, Runs, Runs, Paused, Paused, Absent, Absent, Paused]);
        let picture = Picture { seen: vec![Seen { ident: ident("x", "a"), presence: Paused }], load: None };
        assert_eq!(picture.presence("a", &Domain::default()), Paused);
        assert_eq!(picture.presence("b", &Domain::default()), Absent);
    }

    #[test]
    fn load_is_what_was_done_since_an_earlier_look_that_is_not_too_near() {
        let (mut load, start) = (Load::default(), Instant::now());
        let figures = |busy, idle| Cpu::Host(fields(&[("kernel", busy), ("user", 20), ("idle", idle), ("iowait", 5)]));
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(load.cpu(figures(10, 70), at(0)), None);
        assert_eq!(load.cpu(figures(35, 145), at(5)), Some(0.25));
        assert_eq!(load.cpu(figures(36, 145), at(5)), Some(0.25), "a moment later");
        assert_eq!(load.cpu(figures(0, 1), at(10)), None, "it restarted");
    }

    #[test]
    fn a_host_that_tells_nothing_of_itself_is_as_busy_as_its_domains() {
        let second = Duration::from_secs(1);
        let used = |used: u64| Cpu::Domains { used: used * 1_000_000, cpus: 2 };
        assert_eq!(busy(&used(500), &used(1_000), second), Some(0.25));
        assert_eq!(busy(&used(500), &used(100), second), None, "one has left");
    }

    #[test]
    fn caches_are_free_memory() {
        let memory = fields(&[("total", 1_000), ("free", 100), ("buffers", 50), ("cached", 600)]);
        assert_eq!(memory_used(&memory), Some(0.25));
        assert_eq!(memory_used(&fields(&[("total", 0), ("free", 0)])), None);
    }
}
