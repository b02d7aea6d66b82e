//! What happens next: events in, effects out. [`Engine::step`] and [`Engine::next_wake`] are the whole engine.
//!
//! | file | its story |
//! | --- | --- |
//! | `message` | events, commands, effects |
//! | `record` | what happened, and its words |
//! | `memory` | what is known of a VM and a host |
//! | `timers` | what is due when |
//! | `observe` | a reading becomes an observation, an observation a decision |
//! | `gates` | what keeps a decision from being carried out, and how far it is from passing |
//! | `destination` | which host it would be |
//! | `request` | decision → gates → request |
//! | `leave` | a VM that leaves for another site: its worker stops first |
//! | `migration` | a migration under way, its stages and their deadlines |
//! | `outcome` | migration → confirmation → settle |
//! | `facts` | what drivers find: hosts, and where VMs run |
//! | `operate` | operators' commands |
//! | `spread` | where the VMs of a drained host go |
//! | `drain` | a host is emptied |
//! | `amend` | changed settings |
//! | `reload` | a changed config |
//! | `kept` | what outlives a restart |
//! | `restore` | an engine that goes on where another one stopped |
//! | `site` | a VM of the site policy: its queue, its sites, what happens next |
//! | `why` | the why line |

mod amend;
mod destination;
mod drain;
mod facts;
mod gates;
mod kept;
mod leave;
mod memory;
mod message;
mod migration;
mod observe;
mod operate;
mod outcome;
mod record;
mod reload;
mod request;
mod restore;
mod site;
mod spread;
#[cfg(test)]
mod tests;
mod timers;
mod why;

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::core::cluster::{Cluster, HostId, HostState, Mode, Name, RequestId, Span, Timestamp, VmId};
use crate::core::format::counted;
use crate::core::policy::{Observation, Place, Rule, Settings, What};

use drain::Draining;
pub use drain::{Drain, StuckVm, UnderWay};
pub use gates::Ask;
pub use kept::{Kept, KeptCluster};
pub use memory::{Hold, HoldCause, HostLive, Leaving, Readings, VmMemory, Waiting};
pub use message::{Change, Command, ConfigChange, Effect, Event, Presence, Route, Target};
pub use migration::{Deadlines, InFlight, Migration, StageKind};
pub use observe::{BASELINE, is_baseline};
pub use record::{By, Gate, Happened, Phase, Record, VmState};
pub(in crate::core) use reload::Names;
pub use site::{SiteView, big_jobs};
pub use spread::{DrainPlan, PlannedMove, Taker};
use timers::{Timer, Timers};
pub use why::reason_of;

/// Readings are spread over the interval in slots of this length, so that the process can sleep between them.
const SLOT: Span = Span::from_millis(100);
/// Alarms kept until somebody acknowledges them.
const ALARMS_KEPT: usize = 100;

/// The engine: it owns every state and every timer, and touches nothing.
#[derive(Debug, Clone)]
pub struct Engine {
    cluster: Cluster,
    vms_by_name: HashMap<Name, VmId>,
    hosts_by_name: HashMap<Name, HostId>,
    /// The mode in the config. An operator may have set another.
    config_mode: Mode,
    vms: Vec<VmMemory>,
    hosts: Vec<HostLive>,
    migrations: BTreeMap<RequestId, Migration>,
    drains: BTreeMap<HostId, Draining>,
    deadlines: Deadlines,
    /// When drains continue next.
    drains_at: Timestamp,
    timers: Timers,
    /// Confirmed moves, oldest first. Those of the last hour count.
    moves: VecDeque<Timestamp>,
    last_id: u64,
    begun: Timestamp,
    alarms: VecDeque<(Timestamp, Option<VmId>, String)>,
    /// By VM, a fingerprint of what was saved of it last.
    marks: Vec<u64>,
    /// Effects of a restart, handed out at the first step, and when that is due.
    unsaid: Option<(Timestamp, Vec<Effect>)>,
}

impl Engine {
    /// An engine over a checked cluster, with every VM where the config says it is.
    pub fn new(cluster: Cluster, now: Timestamp) -> Self {
        let mut engine = Self {
            vms: cluster.vms.iter().map(|vm| VmMemory::new(vm.host)).collect(),
            hosts: vec![HostLive { state: HostState::Unknown, ..HostLive::default() }; cluster.hosts.len()],
            config_mode: cluster.mode,
            vms_by_name: by_name(&cluster.vms, |vm| &vm.name, VmId::at),
            hosts_by_name: by_name(&cluster.hosts, |host| &host.name, HostId::at),
            cluster,
            migrations: BTreeMap::new(),
            deadlines: Deadlines::default(),
            drains: BTreeMap::new(),
            drains_at: Timestamp::NEVER,
            timers: Timers::default(),
            moves: VecDeque::new(),
            last_id: 0,
            begun: now,
            alarms: VecDeque::new(),
            marks: Vec::new(),
            unsaid: None,
        };
        for vm in engine.vm_ids() {
            engine.begin(vm, now);
        }
        engine.count_placed();
        if engine.cluster.hosts.iter().any(|host| host.draining) {
            engine.drains_at = now;
        }
        engine
    }

    /// Tells the engine something. Appends what it wants done and what happened.
    pub fn step(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) {
        let begun_again = self.unsaid.take().map(|(_, mut unsaid)| out.append(&mut unsaid)).is_some();
        match event {
            Event::Tick => self.fire(now, out),
            Event::Reading { vm, reading } => self.on_reading(now, vm, reading, out),
            Event::Queue { vm, look, ways } => self.on_queue(now, vm, look, ways, out),
            Event::NotOrdered { vm, why } => self.on_not_ordered(vm, why),
            Event::Host { host, state, load, why } => self.on_host(now, host, state, load, why, out),
            Event::Found { vm, hosts } => self.on_found(now, vm, &hosts, out),
            Event::Preflight { id, refusal, forecast } => self.on_preflight(now, id, refusal, forecast, out),
            Event::Journalled { id } => self.on_journalled(now, id, out),
            Event::NotJournalled { id, why } => self.on_not_journalled(now, id, &why, out),
            Event::Progress { id, percent, detail, transfer } => {
                self.on_progress(now, id, percent, detail, transfer, out);
            }
            Event::Ended { id, detail } => self.on_ended(now, id, detail, out),
            Event::Presence { id, source, destination } => self.on_presence(now, id, source, destination, out),
            Event::Command { by, command } => self.on_command(now, &by, command, out),
            Event::Trouble { vm, text } => self.alarm(now, vm, text, out),
            Event::Reconfigured { cluster, reread, said } => self.on_reconfigured(now, *cluster, &reread, said, out),
        }
        self.go_on_draining(now, out);
        if begun_again {
            for vm in self.vm_ids() {
                self.say_state(now, vm, out);
            }
        }
    }

    /// The instant at which the engine next needs an [`Event::Tick`]; [`Timestamp::NEVER`] if it does not.
    pub fn next_wake(&self) -> Timestamp {
        let unsaid = self.unsaid.as_ref().map_or(Timestamp::NEVER, |(at, _)| *at);
        self.timers.next().min(unsaid).min(self.drains_at)
    }

    /// The cluster as it runs: with the bounds and the mode that operators set.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The VM of this name.
    pub fn vm_named(&self, name: &str) -> Option<VmId> {
        self.vms_by_name.get(name).copied()
    }

    /// The host with this name.
    pub fn host_named(&self, name: &str) -> Option<HostId> {
        self.hosts_by_name.get(name).copied()
    }

    /// What is known of a VM.
    pub fn live(&self, vm: VmId) -> &VmMemory {
        &self.vms[vm.index()]
    }

    /// What is known of a host.
    pub fn host(&self, host: HostId) -> &HostLive {
        &self.hosts[host.index()]
    }

    /// A host's state: what its driver says, and draining if the config or an operator says so.
    pub fn host_state(&self, host: HostId) -> HostState {
        match self.hosts[host.index()].state {
            HostState::Up if self.cluster.host(host).draining || self.drains.contains_key(&host) => HostState::Draining,
            state => state,
        }
    }

    /// A VM's migration, if one is under way.
    pub fn migration(&self, vm: VmId) -> Option<&Migration> {
        self.live(vm).transient.migration.and_then(|id| self.migrations.get(&id))
    }

    /// Every migration under way, oldest request first.
    pub fn migrations(&self) -> impl Iterator<Item = &Migration> {
        self.migrations.values()
    }

    /// Confirmed moves in the hour before `now`.
    pub fn moves_last_hour(&self, now: Timestamp) -> usize {
        self.moves.iter().filter(|at| now.since(**at) < HOUR).count()
    }

    /// Alarms nobody has acknowledged, oldest first.
    pub fn alarms(&self) -> impl Iterator<Item = (Timestamp, Option<VmId>, &str)> {
        self.alarms.iter().map(|(at, vm, text)| (*at, *vm, text.as_str()))
    }

    /// Every VM's id.
    pub fn vm_ids(&self) -> impl Iterator<Item = VmId> + use<> {
        (0..self.vms.len()).map(VmId::at)
    }

    /// The VM's state, by precedence.
    pub fn state(&self, vm: VmId) -> VmState {
        let live = self.live(vm);
        if live.transient.migration.is_some() {
            VmState::Migrating
        } else if live.hold.is_some() {
            VmState::Held
        } else if live.flapping {
            VmState::Flapping
        } else if live.policy.is_closed() && self.place(vm) == Place::Base {
            VmState::Resting
        } else if live.policy.stale {
            VmState::Stale
        } else if live.settle.is_some() {
            VmState::Settling
        } else if live.waiting.is_some() {
            VmState::Waiting
        } else {
            VmState::Watching
        }
    }

    /// Where the VM is, as its policy sees it.
    pub fn place(&self, vm: VmId) -> Place {
        let host = self.live(vm).host;
        if self.cluster.host(host).array != self.cluster.vm(vm).array {
            Place::Away
        } else if self.cluster.is_base(host) {
            Place::Base
        } else {
            Place::Ring
        }
    }

    fn settings(&self, vm: VmId) -> &Settings {
        &self.cluster.vm(vm).policy
    }

    fn live_mut(&mut self, vm: VmId) -> &mut VmMemory {
        &mut self.vms[vm.index()]
    }

    /// A VM's first reading has a slot of its own within the first interval.
    fn begin(&mut self, vm: VmId, now: Timestamp) {
        let described = self.cluster.vm(vm);
        let slots = (described.interval.millis() / SLOT.millis()).max(1);
        let slot = (hash(&described.name) % slots.unsigned_abs()) as i64;
        let first = now + SLOT.scaled(slot, 1);
        let (host, array) = (described.host, self.cluster.host(described.host).array);
        if self.cluster.array(array).ring.contains(&host) {
            self.live_mut(vm).remember_ring(array, host);
        }
        self.read_at(vm, first);
        if matches!(self.settings(vm).rule, Rule::Schedule { .. }) {
            self.hours_at(vm, now);
        }
    }

    fn hours_at(&mut self, vm: VmId, at: Timestamp) {
        self.live_mut(vm).transient.next_hours = at;
        self.timers.set(at, vm, Timer::Hours);
    }

    fn read_at(&mut self, vm: VmId, at: Timestamp) {
        self.live_mut(vm).readings.next = at;
        self.timers.set(at, vm, Timer::Read);
    }

    fn count_placed(&mut self) {
        for host in &mut self.hosts {
            host.vms = 0;
        }
        for live in &self.vms {
            self.hosts[live.host.index()].vms += 1;
        }
    }

    fn fire(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while let Some((at, vm, timer)) = self.timers.due(now) {
            let live = self.live(vm);
            match timer {
                Timer::Hold if live.hold.is_some_and(|hold| hold.until == at) => self.end_hold(now, vm, out),
                Timer::Lapse if live.waiting.as_ref().is_some_and(|w| w.lapses == at) => self.lapse(now, vm, out),
                Timer::Migration => {
                    if let Some(id) = live.transient.migration {
                        self.on_overdue(now, at, id, out);
                    }
                }
                Timer::Hours if live.transient.next_hours == at => self.on_hours(now, vm, out),
                Timer::Read if live.readings.next == at => self.on_read_due(now, vm, out),
                Timer::Hold | Timer::Hours | Timer::Lapse | Timer::Read => {}
            }
        }
    }

    fn observation(&self, now: Timestamp, vm: VmId, what: What) -> Observation {
        Observation { at: now, place: self.place(vm), what }
    }

    fn record(&self, at: Timestamp, vm: VmId, what: Happened, out: &mut Vec<Effect>) {
        out.push(Effect::Record(Record { at, vm: Some(self.cluster.vm(vm).name.clone()), what }));
    }

    fn alarm(&mut self, at: Timestamp, vm: Option<VmId>, text: String, out: &mut Vec<Effect>) {
        if self.alarms.len() == ALARMS_KEPT {
            self.alarms.pop_front();
        }
        self.alarms.push_back((at, vm, text.clone()));
        let vm = vm.map(|vm| self.cluster.vm(vm).name.clone());
        out.push(Effect::Record(Record { at, vm, what: Happened::Alarm { text } }));
    }

    /// Records the VM's state if it changed. A move in preflight is not recorded yet: it may be refused.
    fn say_state(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let state = self.state(vm);
        let checking = self.migration(vm).is_some_and(|migration| migration.stage() == StageKind::Preflight);
        if self.live(vm).state != state && !checking {
            self.live_mut(vm).state = state;
            let why = self.why(vm, now);
            self.record(now, vm, Happened::State { state, why }, out);
        }
    }
}

const HOUR: Span = Span::from_hours(1);

/// Ids by name.
fn by_name<T, I>(things: &[T], name: impl Fn(&T) -> &Name, id: impl Fn(usize) -> I) -> HashMap<Name, I> {
    things.iter().enumerate().map(|(at, thing)| (name(thing).clone(), id(at))).collect()
}

pub(super) fn in_vms(n: u32) -> String {
    counted(n, "VM", "VMs")
}

/// A host state's word.
pub const fn host_word(state: HostState) -> &'static str {
    match state {
        HostState::Up => "up",
        HostState::Down => "down",
        HostState::Draining => "draining",
        HostState::Unknown => "unknown",
    }
}

/// FNV-1a, 64 bit: small, and the same on every machine.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
