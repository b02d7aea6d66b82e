//! What a look at a host shows, and where a VM runs according to all hosts.
//!
//! The hosts are not looked at in the same instant. If one host is looked at before a VM is handed over and the other after it, the
//! VM seems to run twice, or nowhere. So a single host is believed at once. No host or several hosts are believed only when a second
//! look at every host shows the same. A VM that is paused on both hosts is being handed over, and where it runs is not known yet.

use std::time::{Duration, Instant};

use super::connection::{CPU, Hypervisor, STATE};
use super::data::{self, DomainIdent, Figures, LibvirtError};
use crate::core::engine::Presence;
use crate::edge::driver::Guest;

/// The shortest time over which the CPU load is measured.
const FAIR_TIME: Duration = Duration::from_secs(1);

/// What a look at a host shows: its domains, and its own figures where it has them.
pub(super) struct HostObservation {
    /// Its domains, and how each stands there.
    seen: Vec<(DomainIdent, Presence)>,
    /// What its processors have done so far, and when that was read.
    cpu: Option<(Instant, CpuFigures)>,
    memory: Option<Figures>,
}

impl HostObservation {
    /// How a VM stands on this host.
    pub(super) fn presence(&self, guest: &Guest) -> Presence {
        let seen = self.seen.iter().find(|(ident, _)| is_meant(ident, guest));
        seen.map_or(Presence::Absent, |(_, presence)| *presence)
    }
}

/// Whether the config means this domain. The uuid decides if the config has one, or else the name.
fn is_meant(ident: &DomainIdent, guest: &Guest) -> bool {
    match &guest.domain.uuid {
        Some(uuid) => uuid.eq_ignore_ascii_case(&ident.uuid),
        None => ident.name == guest.domain.name.as_deref().unwrap_or(&guest.name),
    }
}

/// What a host's processors have done so far, in nanoseconds.
enum CpuFigures {
    /// All that they have done.
    Host(Figures),
    /// What they have done for the domains, and how many processors there are.
    Domains { used: u64, cpus: u64 },
}

/// Looks at a host.
pub(super) fn observe(connection: &Hypervisor) -> Result<HostObservation, LibvirtError> {
    let presence = |figures: Figures| figures.get("state.state").map_or(Presence::Absent, data::presence);
    let seen = match connection.stats(STATE) {
        Ok(all) => all.into_iter().map(|(ident, figures)| (ident, presence(figures))).collect(),
        Err(error) if error.unsupported() => one_by_one(connection)?,
        Err(error) => return Err(error),
    };
    let cpu = connection.node_cpu().ok().map(CpuFigures::Host).or_else(|| domains_cpu(connection));
    Ok(HostObservation { seen, cpu: cpu.map(|cpu| (Instant::now(), cpu)), memory: connection.node_memory().ok() })
}

fn domains_cpu(connection: &Hypervisor) -> Option<CpuFigures> {
    let cpus = u64::from(connection.node().ok()?.cpus);
    let used = connection.stats(CPU).ok()?.iter().map(|(_, figures)| figures.or_zero("cpu.time")).sum();
    Some(CpuFigures::Domains { used, cpus })
}

/// The domains of a hypervisor that cannot tell of all at once. A domain that disappears meanwhile is absent.
fn one_by_one(connection: &Hypervisor) -> Result<Vec<(DomainIdent, Presence)>, LibvirtError> {
    let mut all = Vec::new();
    for domain in connection.domains()? {
        match domain.presence() {
            Ok(presence) => all.push((domain.ident(), presence)),
            Err(error) if error.absent() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Measures how busy a host is: the used part of its processors' time since an earlier look, or of its memory, whichever is larger.
///
/// It uses the host's own figures, because they count everything that runs there. If the host has none, it uses the CPU time of the
/// domains.
#[derive(Default)]
pub(super) struct LoadMeter {
    before: Option<(Instant, CpuFigures)>,
    cpu: Option<f64>,
}

impl LoadMeter {
    /// The load at this look. Keeps the processors' figures for the next one.
    pub(super) fn load(&mut self, observation: &mut HostObservation) -> Option<f64> {
        let cpu = observation.cpu.take().and_then(|(at, cpu)| self.cpu(cpu, at));
        let memory = observation.memory.as_ref().and_then(memory_used);
        cpu.into_iter().chain(memory).reduce(f64::max)
    }

    /// Two looks may follow each other closely. The time between them is too short for a load, so the last load stands.
    fn cpu(&mut self, cpu: CpuFigures, now: Instant) -> Option<f64> {
        let early = |(then, _): &(Instant, CpuFigures)| now.saturating_duration_since(*then) < FAIR_TIME;
        if !self.before.as_ref().is_some_and(early) {
            self.cpu = self.before.as_ref().and_then(|(then, before)| busy(before, &cpu, now - *then));
            self.before = Some((now, cpu));
        }
        self.cpu
    }
}

/// The used part of the processors' time between two readings; `None`: the counters began at 0 in between.
fn busy(before: &CpuFigures, now: &CpuFigures, time: Duration) -> Option<f64> {
    let (busy, all) = match (before, now) {
        (CpuFigures::Host(before), CpuFigures::Host(now)) => {
            let since = |names: [&str; 2]| -> Option<u64> {
                let sum = |of: &Figures| names.iter().map(|name| of.or_zero(name)).sum::<u64>();
                sum(now).checked_sub(sum(before))
            };
            let (busy, idle) = (since(["kernel", "user"])?, since(["idle", "iowait"])?);
            (busy as f64, (busy + idle) as f64)
        }
        (CpuFigures::Domains { used: before, .. }, CpuFigures::Domains { used, cpus }) => {
            (used.checked_sub(*before)? as f64, time.as_nanos() as f64 * *cpus as f64)
        }
        (CpuFigures::Host(_), CpuFigures::Domains { .. }) | (CpuFigures::Domains { .. }, CpuFigures::Host(_)) => {
            return None;
        }
    };
    (all > 0.0).then(|| (busy / all).min(1.0))
}

/// The part of a host's memory that no further VM can have.
fn memory_used(memory: &Figures) -> Option<f64> {
    let total = memory.get("total").filter(|total| *total > 0)?;
    let free = memory.get("free")? + memory.or_zero("buffers") + memory.or_zero("cached");
    Some(1.0 - free.min(total) as f64 / total as f64)
}

/// The indexes of the hosts on which a VM runs.
pub(super) type HostIndexes = Vec<usize>;

/// How many looks a host has had, and whether it answers now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LookCount {
    pub count: u64,
    pub answers: bool,
}

/// Where a VM runs according to all hosts; `None`: that is not known yet. A host without an observation is `Unknown`.
pub(super) fn sighting(presences: &[Presence]) -> Option<HostIndexes> {
    let at =
        |is_wanted: Presence| -> HostIndexes { (0..presences.len()).filter(|n| presences[*n] == is_wanted).collect() };
    let (running, paused) = (at(Presence::Runs), at(Presence::Paused));
    if !running.is_empty() {
        return Some(running);
    }
    // A paused VM may be the destination of a migration from a host that has not answered.
    let complete = !presences.contains(&Presence::Unknown);
    (complete && paused.len() < 2).then_some(paused)
}

/// Where a VM is believed to run: what was told, and what will be told if a second look agrees.
#[derive(Debug, Default)]
pub(super) struct PlacementBelief {
    told: Option<HostIndexes>,
    doubt: Option<(HostIndexes, Vec<LookCount>)>,
}

impl PlacementBelief {
    /// Takes a sighting, and how many looks each host has had. Returns what to tell, if that is something new.
    pub(super) fn weigh(&mut self, sighting: Option<HostIndexes>, looks: &[LookCount]) -> Option<HostIndexes> {
        let Some(hosts) = sighting.filter(|hosts| self.told.as_ref() != Some(hosts)) else {
            self.doubt = None;
            return None;
        };
        if hosts.len() != 1 && !self.agreed(&hosts, looks) {
            return None;
        }
        self.doubt = None;
        self.told = Some(hosts.clone());
        Some(hosts)
    }

    /// Whether every host that answers has shown the same in a look that surely began later. The first look after the doubt may
    /// have begun before it, so the second counts. A host that does not answer does not count.
    fn agreed(&mut self, hosts: &HostIndexes, looks: &[LookCount]) -> bool {
        match &self.doubt {
            Some((seen, since)) if seen == hosts => {
                since.iter().zip(looks).all(|(then, now)| now.count > then.count + 1 || !now.answers)
            }
            _ => {
                self.doubt = Some((hosts.clone(), looks.to_vec()));
                false
            }
        }
    }

    /// Whether it waits for a second look.
    pub(super) fn doubts(&self) -> bool {
        self.doubt.is_some()
    }

    /// Forgets what was told, because the driver itself has moved the VM.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Domain;

    fn fields(of: &[(&str, u64)]) -> Figures {
        let mut fields = Figures::default();
        of.iter().for_each(|(name, value)| fields.set((*name).into(), *value));
        fields
    }

    fn guest(name: &str, domain: Option<&str>, uuid: Option<&str>) -> Guest {
        let domain = Domain { name: domain.map(str::to_owned), uuid: uuid.map(str::to_owned) };
        Guest { name: name.into(), domain }
    }

    fn ident(uuid: &str, name: &str) -> DomainIdent {
        DomainIdent { uuid: uuid.into(), name: name.into() }
    }

    #[test]
    fn a_uuid_wins_over_a_name() {
        let by_uuid = guest("vm", Some("web"), Some("AB-1"));
        assert!(is_meant(&ident("ab-1", "other"), &by_uuid) && !is_meant(&ident("ab-2", "web"), &by_uuid));
        let by_name = guest("vm", Some("web"), None);
        assert!(is_meant(&ident("x", "web"), &by_name) && !is_meant(&ident("x", "vm"), &by_name));
        assert!(is_meant(&ident("x", "vm"), &guest("vm", None, None)));
    }

    #[test]
    fn a_domain_that_is_only_defined_is_absent() {
        let all = (0..8).map(data::presence).collect::<Vec<_>>();
        use Presence::{Absent, Paused, Runs};
        assert_eq!(all, [Runs, Runs, Runs, Paused, Paused, Absent, Absent, Paused]);
        let observation = HostObservation { seen: vec![(ident("x", "a"), Paused)], cpu: None, memory: None };
        assert_eq!(observation.presence(&guest("a", None, None)), Paused);
        assert_eq!(observation.presence(&guest("b", None, None)), Absent);
    }

    #[test]
    fn load_is_what_was_done_since_an_earlier_look_that_is_not_too_near() {
        let (mut load, start) = (LoadMeter::default(), Instant::now());
        let figures =
            |busy, idle| CpuFigures::Host(fields(&[("kernel", busy), ("user", 20), ("idle", idle), ("iowait", 5)]));
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(load.cpu(figures(10, 70), at(0)), None);
        assert_eq!(load.cpu(figures(35, 145), at(5)), Some(0.25));
        assert_eq!(load.cpu(figures(36, 145), at(5)), Some(0.25), "a moment later");
        assert_eq!(load.cpu(figures(0, 1), at(10)), None, "it restarted");
    }

    #[test]
    fn a_host_that_tells_nothing_of_itself_is_as_busy_as_its_domains() {
        let second = Duration::from_secs(1);
        let used = |used: u64| CpuFigures::Domains { used: used * 1_000_000, cpus: 2 };
        assert_eq!(busy(&used(500), &used(1_000), second), Some(0.25));
        assert_eq!(busy(&used(500), &used(100), second), None, "one has left");
    }

    #[test]
    fn caches_are_free_memory() {
        let memory = fields(&[("total", 1_000), ("free", 100), ("buffers", 50), ("cached", 600)]);
        assert_eq!(memory_used(&memory), Some(0.25));
        assert_eq!(memory_used(&fields(&[("total", 0), ("free", 0)])), None);
    }

    use Presence::{Absent, Paused, Runs, Unknown};

    fn looks<const N: usize>(counts: [u64; N]) -> [LookCount; N] {
        counts.map(|count| LookCount { count, answers: true })
    }

    #[test]
    fn a_running_vm_is_where_it_runs() {
        assert_eq!(sighting(&[Absent, Runs, Absent]), Some(vec![1]));
        assert_eq!(sighting(&[Paused, Runs, Unknown]), Some(vec![1]), "the other end of a migration stands still");
        assert_eq!(sighting(&[Runs, Runs]), Some(vec![0, 1]));
        assert_eq!(sighting(&[Absent, Paused]), Some(vec![1]), "somebody paused it");
        assert_eq!(sighting(&[Unknown, Paused]), None, "or it is on its way from there");
    }

    #[test]
    fn nowhere_is_only_said_if_all_hosts_answered() {
        assert_eq!(sighting(&[Absent, Absent]), Some(vec![]));
        assert_eq!(sighting(&[Absent, Unknown]), None);
    }

    #[test]
    fn in_a_hand_over_nothing_is_said() {
        assert_eq!(sighting(&[Paused, Paused]), None);
    }

    #[test]
    fn a_single_host_is_told_at_once_and_once() {
        let mut belief = PlacementBelief::default();
        assert_eq!(belief.weigh(Some(vec![0]), &looks([1, 1])), Some(vec![0]));
        assert_eq!(belief.weigh(Some(vec![0]), &looks([2, 2])), None);
        assert_eq!(belief.weigh(Some(vec![1]), &looks([3, 2])), Some(vec![1]));
    }

    #[test]
    fn none_and_several_need_a_second_look_at_every_host() {
        let mut belief = PlacementBelief::default();
        belief.weigh(Some(vec![0]), &looks([1, 1]));
        for hosts in [vec![], vec![0, 1]] {
            assert_eq!(belief.weigh(Some(hosts.clone()), &looks([2, 1])), None);
            assert_eq!(belief.weigh(Some(hosts.clone()), &looks([4, 2])), None, "this look may have begun before");
            assert_eq!(belief.weigh(Some(hosts.clone()), &looks([4, 3])), Some(hosts));
        }
        assert_eq!(belief.weigh(Some(vec![0]), &looks([4, 4])), Some(vec![0]));
        belief.weigh(Some(vec![]), &looks([5, 4]));
        assert_eq!(belief.weigh(Some(vec![0]), &looks([5, 5])), None, "it was only a hand-over");
        assert_eq!(belief.weigh(Some(vec![]), &looks([6, 6])), None, "and the next doubt begins anew");
    }

    #[test]
    fn a_host_that_answers_no_more_has_no_say() {
        let with_a_third_down =
            |count: u64| [looks([count, count]), [LookCount { count: 7, answers: false }; 2]].concat();
        let mut belief = PlacementBelief::default();
        belief.weigh(Some(vec![0]), &looks([1, 1, 7, 7]));
        assert_eq!(belief.weigh(Some(vec![0, 1]), &with_a_third_down(2)), None);
        assert_eq!(belief.weigh(Some(vec![0, 1]), &with_a_third_down(4)), Some(vec![0, 1]));
    }
}
