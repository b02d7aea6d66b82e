//! What a host looks like at one moment: its domains, and how busy it is.

use std::time::{Duration, Instant};

use super::connection::{Connection, STATE};
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
    cpu: Option<(Instant, Fields)>,
    memory: Option<Fields>,
}

/// Looks.
pub(super) fn take(connection: &Connection) -> Result<Glimpse, Error> {
    let seen = match connection.stats(STATE) {
        Ok(all) => all.into_iter().map(|(ident, figures)| seen(ident, figures.get("state.state"))).collect(),
        Err(error) if error.unsupported() => one_by_one(connection)?,
        Err(error) => return Err(error),
    };
    let cpu = connection.node_cpu().ok().map(|figures| (Instant::now(), figures));
    Ok(Glimpse { seen, cpu, memory: connection.node_memory().ok() })
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

/// How busy a host is: of its processors' time since the last look, and of its memory, the part that is used.
///
/// The host's own figures are asked for, as they count everything that runs there. Where they cannot be had, CPU is left
/// out.
#[derive(Debug, Default)]
pub(super) struct Load {
    before: Option<(Instant, Fields)>,
    cpu: Option<f64>,
}

impl Load {
    /// Adds the load to what a look has shown.
    pub(super) fn complete(&mut self, glimpse: Glimpse) -> Picture {
        let cpu = glimpse.cpu.and_then(|(at, figures)| self.cpu(figures, at));
        let memory = glimpse.memory.as_ref().and_then(memory_used);
        Picture { seen: glimpse.seen, load: cpu.into_iter().chain(memory).reduce(f64::max) }
    }

    /// Looks may follow one another closely: what a moment shows is no load.
    fn cpu(&mut self, figures: Fields, now: Instant) -> Option<f64> {
        let early = |(then, _): &(Instant, Fields)| now.saturating_duration_since(*then) < FAIR_TIME;
        if !self.before.as_ref().is_some_and(early) {
            self.cpu = self.before.as_ref().and_then(|(_, before)| busy(before, &figures));
            self.before = Some((now, figures));
        }
        self.cpu
    }
}

/// The part of the processors' time between two readings that was used; `None` if the host restarted in between.
fn busy(before: &Fields, now: &Fields) -> Option<f64> {
    let since = |names: &[&str]| -> Option<u64> {
        let sum = |of: &Fields| names.iter().map(|name| of.or_zero(name)).sum::<u64>();
        sum(now).checked_sub(sum(before))
    };
    let (busy, idle) = (since(&["kernel", "user"])?, since(&["idle", "iowait"])?);
    (busy + idle > 0).then(|| busy as f64 / (busy + idle) as f64)
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
        let figures = |busy, idle| fields(&[("kernel", busy), ("user", 20), ("idle", idle), ("iowait", 5)]);
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(load.cpu(figures(10, 70), at(0)), None);
        assert_eq!(load.cpu(figures(35, 145), at(5)), Some(0.25));
        assert_eq!(load.cpu(figures(36, 145), at(5)), Some(0.25), "a moment later");
        assert_eq!(load.cpu(figures(0, 1), at(10)), None, "it restarted");
    }

    #[test]
    fn caches_are_free_memory() {
        let memory = fields(&[("total", 1_000), ("free", 100), ("buffers", 50), ("cached", 600)]);
        assert_eq!(memory_used(&memory), Some(0.25));
        assert_eq!(memory_used(&fields(&[("total", 0), ("free", 0)])), None);
    }
}
