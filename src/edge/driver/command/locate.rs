//! Asks the operator's commands whether hosts are up and where VMs run. A failure is never taken for an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{CommandContext, DriverEvent, Move, TaskReport};
use crate::core::cluster::{HostState, Name};
use crate::core::engine::Presence;
use crate::edge::process::{fill, names, shown, within};

/// How many such commands run at once.
pub(super) const AT_ONCE: usize = 8;

/// Where one VM runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sighting {
    /// The VM runs on these hosts.
    pub(super) on: BTreeSet<Name>,
    /// Hosts that could not be asked, each with the reason.
    pub(super) unasked: Vec<(Name, String)>,
}

impl Sighting {
    /// Whether the VM runs on one host.
    pub(super) fn at(&self, host: &str) -> Presence {
        if self.unasked.iter().any(|(name, _)| name == host) {
            Presence::Unknown
        } else if self.on.contains(host) {
            Presence::Runs
        } else {
            Presence::Absent
        }
    }

    /// Why a host could not be asked.
    pub(super) fn why(&self, host: &str) -> Option<&str> {
        self.unasked.iter().find(|(name, _)| name == host).map(|(_, why)| why.as_str())
    }

    /// Whether a second look is useless: the VM runs on one host, or it is not seen and some host does not answer.
    fn is_plain(&self) -> bool {
        self.on.len() == 1 || (self.on.is_empty() && !self.unasked.is_empty())
    }

    /// What two looks agree on. Nothing is known of a host on which they differ.
    pub(super) fn and(mut self, later: Self) -> Self {
        for host in self.on.symmetric_difference(&later.on).cloned().collect::<Vec<_>>() {
            if later.why(&host).is_none() && self.why(&host).is_none() {
                self.unasked.push((host, "it says one thing, then another".to_owned()));
            }
        }
        for (host, why) in later.unasked {
            if self.why(&host).is_none() {
                self.unasked.push((host, why));
            }
        }
        self.on.retain(|host| later.on.contains(host));
        self
    }
}

impl CommandContext {
    /// Whether `locate` is asked of each host, or once for each VM.
    pub(super) fn is_asked_of_hosts(&self) -> bool {
        names(&self.settings.locate, "host")
    }

    /// Where the VM of a migration runs. Asks all hosts, or only the source and the destination. If it is not one host, it asks
    /// again: hosts are not asked in the same instant, and the VM may just have gone from one to the other.
    pub(super) async fn find(&self, migration: &Move, everywhere: bool) -> Sighting {
        let sighting = self.find_once(migration, everywhere).await;
        if sighting.is_plain() {
            return sighting;
        }
        sleep(self.pace.again).await;
        sighting.and(self.find_once(migration, everywhere).await)
    }

    async fn find_once(&self, migration: &Move, everywhere: bool) -> Sighting {
        let mut hosts = vec![migration.from.clone(), migration.to.clone()];
        if everywhere {
            let others = self.fleet.hosts.iter().map(|host| &host.name).filter(|name| !hosts.contains(name));
            let others: Vec<Name> = others.cloned().collect();
            hosts.extend(others);
        }
        if !self.is_asked_of_hosts() {
            return self.hosts_of(&migration.vm, &self.fill(&self.settings.locate, migration), &hosts).await;
        }
        let mut sighting = Sighting::default();
        for (host, vms) in self.vms_of(hosts).await {
            match vms {
                Ok(vms) if vms.iter().any(|name| name == self.domain(&migration.vm)) => {
                    sighting.on.insert(host);
                }
                Ok(_) => {}
                Err(why) => sighting.unasked.push((host, why)),
            }
        }
        sighting
    }

    /// The VMs that each host says it runs, in the order of the answers.
    pub(super) async fn vms_of(&self, hosts: Vec<Name>) -> Vec<(Name, Result<Vec<String>, String>)> {
        let asked = hosts.into_iter().map(|host| async {
            let argv = fill(&self.settings.locate, &[("host", &host)]);
            let answer =
                within(&argv, self.deadline()).await.and_then(|process| self.vms_in(&process.output().lines()?));
            (host, answer)
        });
        stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
    }

    /// Where a VM runs, from one command that answers for all hosts.
    pub(super) async fn hosts_of(&self, vm: &str, argv: &[String], hosts: &[Name]) -> Sighting {
        let answer = within(argv, self.deadline()).await;
        let answer = answer.and_then(|process| hosts_in(&process.output().lines()?, hosts, |name| self.has_host(name)));
        match answer {
            Ok(on) => Sighting { on, unasked: Vec::new() },
            Err(why) => {
                let unasked = hosts.iter().map(|host| (host.clone(), format!("where {vm} runs cannot be told: {why}")));
                Sighting { on: BTreeSet::new(), unasked: unasked.collect() }
            }
        }
    }

    fn has_host(&self, name: &str) -> bool {
        self.fleet.hosts.iter().any(|host| host.name == name)
    }

    /// The VMs in an answer. A host may run VMs that are not in the config, but a line that is not a name makes the answer invalid.
    fn vms_in(&self, lines: &[&str]) -> Result<Vec<String>, String> {
        let known = |line: &str| self.fleet.guests.iter().any(|guest| self.domain(&guest.name) == line);
        match lines.iter().find(|line| line.contains(char::is_whitespace) && !known(line)) {
            Some(line) => Err(format!("it printed '{}', not a VM's name", shown(line))),
            None => Ok(lines.iter().map(|line| (*line).to_owned()).collect()),
        }
    }
}

/// The hosts in an answer. Any other line makes the answer invalid.
fn hosts_in(lines: &[&str], asked: &[Name], known: impl Fn(&str) -> bool) -> Result<BTreeSet<Name>, String> {
    match lines.iter().find(|line| !known(line) && !asked.iter().any(|host| host == *line)) {
        Some(line) => Err(format!("it printed '{}', which is no host of the array", shown(line))),
        None => Ok(lines.iter().map(|line| Name::from(*line)).collect()),
    }
}

/// The state of a host that was told, and why it is not up.
type ToldHost = (HostState, Option<String>);

/// Looks at all hosts and VMs again and again. One round ends before the next begins.
pub(super) struct InventoryLoop {
    context: Rc<CommandContext>,
    reports: Sender<TaskReport>,
    hosts: BTreeMap<Name, ToldHost>,
    seen: BTreeMap<Name, BTreeSet<Name>>,
    /// That `locate` fails was told.
    troubled: bool,
}

impl InventoryLoop {
    pub(super) fn new(context: Rc<CommandContext>, reports: Sender<TaskReport>) -> Self {
        Self { context, reports, hosts: BTreeMap::new(), seen: BTreeMap::new(), troubled: false }
    }

    /// Never ends.
    pub(super) async fn go(mut self) {
        let mut rounds = interval(self.context.pace.round);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.ask_hosts().await;
            self.look_for_vms().await;
        }
    }

    fn host_names(&self) -> Vec<Name> {
        self.context.fleet.hosts.iter().map(|host| host.name.clone()).collect()
    }

    async fn ask_hosts(&mut self) {
        if self.context.settings.host_state.is_none() {
            return;
        }
        let context = self.context.clone();
        let asked = self.host_names().into_iter().map(|host| async {
            let state = context.state_of(&host).await;
            (host, state)
        });
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((host, answer)) = answers.next().await {
            self.tell_host(host, answer.map_or_else(|why| (HostState::Down, Some(why)), |()| (HostState::Up, None)));
        }
    }

    /// Tells a host's state if it has changed.
    fn tell_host(&mut self, host: Name, said: ToldHost) {
        if self.hosts.get(&host) != Some(&said) {
            let (state, why) = said.clone();
            self.hosts.insert(host.clone(), said);
            self.context.say(DriverEvent::Host { host, state, load: None, why });
        }
    }

    async fn look_for_vms(&mut self) {
        let since = Instant::now();
        let vms: Vec<Name> = self.context.fleet.guests.iter().map(|guest| guest.name.clone()).collect();
        let mut sightings = self.look(&vms).await;
        self.say_failures(&sightings);
        let unclear: Vec<Name> = vms.into_iter().filter(|vm| self.needs_second_look(vm, &sightings)).collect();
        if !unclear.is_empty() {
            sleep(self.context.pace.again).await;
            for (vm, again) in self.look(&unclear).await {
                let sighting = sightings.remove(&vm).unwrap_or_default();
                sightings.insert(vm, sighting.and(again));
            }
        }
        for (vm, Sighting { on, unasked }) in sightings {
            // That the VM runs nowhere is known only if every host has answered.
            if !on.is_empty() || unasked.is_empty() {
                self.seen.insert(vm.clone(), on.clone());
                // The supervisor lives longer than this loop.
                let _ = self.reports.send(TaskReport::Seen { vm, on, since }).await;
            }
        }
    }

    /// Whether a second look is needed: the VM is not where it was, or the first look has not found it on exactly one host.
    fn needs_second_look(&self, vm: &str, sightings: &BTreeMap<Name, Sighting>) -> bool {
        let Some(sighting) = sightings.get(vm) else { return false };
        match self.seen.get(vm) {
            Some(seen) => *seen != sighting.on,
            None => sighting.on.len() != 1,
        }
    }

    /// Where these VMs run.
    async fn look(&mut self, vms: &[Name]) -> BTreeMap<Name, Sighting> {
        if self.context.is_asked_of_hosts() { self.look_at_hosts(vms).await } else { self.look_at_vms(vms).await }
    }

    async fn look_at_hosts(&mut self, vms: &[Name]) -> BTreeMap<Name, Sighting> {
        let mut sightings: BTreeMap<Name, Sighting> = vms.iter().map(|vm| (vm.clone(), Sighting::default())).collect();
        for (host, answer) in self.context.vms_of(self.host_names()).await {
            let running = answer.as_ref().map(|names| names.iter().map(String::as_str).collect::<BTreeSet<_>>());
            for (vm, sighting) in &mut sightings {
                match &running {
                    Ok(names) if names.contains(self.context.domain(vm)) => drop(sighting.on.insert(host.clone())),
                    Ok(_) => {}
                    Err(why) => sighting.unasked.push((host.clone(), (*why).clone())),
                }
            }
            if self.context.settings.host_state.is_none() {
                let said = answer.map_or_else(|why| (HostState::Unknown, Some(why)), |_| (HostState::Up, None));
                self.tell_host(host, said);
            }
        }
        sightings
    }

    async fn look_at_vms(&mut self, vms: &[Name]) -> BTreeMap<Name, Sighting> {
        let (context, hosts) = (self.context.clone(), self.host_names());
        let asked = vms.iter().map(|vm| async {
            let argv = fill(&context.settings.locate, &[("vm", context.domain(vm))]);
            let sighting = context.hosts_of(vm, &argv, &hosts).await;
            (vm.clone(), sighting)
        });
        let sightings: BTreeMap<Name, Sighting> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        if context.settings.host_state.is_none() && sightings.values().any(|sighting| sighting.unasked.is_empty()) {
            hosts.into_iter().for_each(|host| self.tell_host(host, (HostState::Up, None)));
        }
        sightings
    }

    /// Tells that `locate` fails, and does not tell it again until it has worked. Hosts that are not up do not count.
    fn say_failures(&mut self, sightings: &BTreeMap<Name, Sighting>) {
        let not_up = |host: &str| self.hosts.get(host).is_some_and(|(state, _)| *state != HostState::Up);
        let mut failures = sightings.values().flat_map(|sighting| &sighting.unasked).filter(|(host, _)| !not_up(host));
        let first = failures.next();
        if let (Some((host, why)), false) = (first, self.troubled) {
            self.context.trouble(format!("locate fails ({host}): {why}; where VMs run is not known"));
        }
        self.troubled = first.is_some();
    }
}

impl CommandContext {
    /// Whether a host is up, if there is a command for that.
    ///
    /// # Errors
    /// How the command ended that says so.
    pub(super) async fn state_of(&self, host: &str) -> Result<(), String> {
        let Some(template) = &self.settings.host_state else { return Ok(()) };
        within(&fill(template, &[("host", host)]), self.deadline()).await.map(drop)
    }
}
