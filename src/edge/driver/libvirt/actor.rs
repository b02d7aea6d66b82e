//! The driver's actor: one thread that owns all knowledge of hosts and VMs, starts jobs, and tells what they find. It never waits
//! for a host.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use super::connection::{Hypervisor, Session};
use super::ffi::LibvirtLibrary;
use super::job::{
    ActorMessage, DEADLINE, FollowerSignal, JobContext, LearnedRates, UsageCounters, read_counters, usage,
};
use super::observation::{HostObservation, LookCount, PlacementBelief, sighting};
use super::{migrate, preflight};
use crate::core::cluster::{HostState, Libvirt, Name, Reading, RequestId, Usage};
use crate::core::engine::Presence;
use crate::edge::driver::{DriverCommand, DriverEvent, Guest, Move, Tell};

/// A smaller change of load is not told.
const LOAD_STEP: f64 = 0.02;
/// How many looks at a host may have been under way when a migration ended.
const STALE_LOOKS: u64 = 1;

/// What the actor knows of a host.
struct KnownHost {
    session: Arc<Session>,
    observation: Option<HostObservation>,
    looks: u64,
    told: Option<(HostState, Option<f64>, Option<String>)>,
}

/// What the actor knows of a VM.
struct KnownVm {
    guest: Guest,
    belief: PlacementBelief,
    /// By host: up to this number of looks, they are too old to tell where the VM runs.
    stale: Vec<u64>,
    moving: Option<RunningMove>,
    checking: bool,
    /// When the measurement that is under way began.
    measuring: Option<Instant>,
    counters: Option<UsageCounters>,
    dirty: Option<u64>,
}

/// A move of a VM, or its confirmation, that is under way.
struct RunningMove {
    id: RequestId,
    signals: SyncSender<FollowerSignal>,
    /// Meanwhile the engine has asked where the VM runs. The answer follows at the end, in case no progress was told in time.
    asked: Option<Move>,
}

/// See the top of this file.
pub(super) struct LibvirtActor {
    library: &'static LibvirtLibrary,
    settings: Arc<Libvirt>,
    hosts: Vec<KnownHost>,
    vms: HashMap<Name, KnownVm>,
    rate: Option<u64>,
    own: SyncSender<ActorMessage>,
    tell: Tell,
    stop: Arc<AtomicBool>,
}

impl LibvirtActor {
    pub(super) fn new(
        library: &'static LibvirtLibrary,
        settings: Arc<Libvirt>,
        sessions: Vec<Arc<Session>>,
        guests: Vec<Guest>,
        own: SyncSender<ActorMessage>,
        tell: Tell,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let host = |session| KnownHost { session, observation: None, looks: 0, told: None };
        let hosts: Vec<_> = sessions.into_iter().map(host).collect();
        let count = hosts.len();
        let vm = |guest: Guest| {
            let vm = KnownVm {
                guest,
                belief: PlacementBelief::default(),
                stale: vec![0; count],
                moving: None,
                checking: false,
                measuring: None,
                counters: None,
                dirty: None,
            };
            (vm.guest.name.clone(), vm)
        };
        Self { library, settings, hosts, vms: guests.into_iter().map(vm).collect(), rate: None, own, tell, stop }
    }

    /// Works until the driver is dropped. If it fails at a message, it tells that and goes on with the next.
    pub(super) fn run(mut self, inbox: &Receiver<ActorMessage>) {
        for n in 0..self.hosts.len() {
            let why = self.hosts[n].session.connection().err();
            self.tell_host(n, HostState::Unknown, None, why);
        }
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(message) = inbox.recv() else {
                return;
            };
            let handled = catch_unwind(AssertUnwindSafe(|| self.handle(message)));
            if handled.is_err() {
                let text = "the libvirt driver failed at one of its messages, and goes on".to_owned();
                (self.tell)(DriverEvent::Trouble { vm: None, text });
            }
        }
    }

    fn handle(&mut self, message: ActorMessage) {
        match message {
            ActorMessage::Order(job) => self.order(job),
            ActorMessage::Up(n, observation, load) => self.host_is_up(n, observation, load),
            ActorMessage::Down(n, why) => self.host_is_down(n, why),
            ActorMessage::Done(vm, event, learned) => self.done(&vm, event, learned),
            ActorMessage::Measured(vm, field, counters) => self.measured(vm, field, counters),
            ActorMessage::Trouble(text) => (self.tell)(DriverEvent::Trouble { vm: None, text }),
            // The loop sees `stop`.
            ActorMessage::Stop => {}
        }
    }

    fn host_is_up(&mut self, n: usize, observation: HostObservation, load: Option<f64>) {
        let host = &mut self.hosts[n];
        host.looks += 1;
        host.observation = Some(observation);
        self.tell_host(n, HostState::Up, load, None);
        self.place_all();
    }

    fn host_is_down(&mut self, n: usize, why: String) {
        self.hosts[n].observation = None;
        self.tell_host(n, HostState::Down, None, Some(why));
        self.place_all();
    }

    /// Tells a host's state and load, if they have changed.
    fn tell_host(&mut self, n: usize, state: HostState, load: Option<f64>, why: Option<String>) {
        let host = &mut self.hosts[n];
        if let Some((told, told_load, told_why)) = &host.told {
            let steady = match (told_load, load) {
                (Some(before), Some(now)) => (before - now).abs() < LOAD_STEP,
                (before, now) => before.is_none() == now.is_none(),
            };
            if *told == state && *told_why == why && steady {
                return;
            }
        }
        host.told = Some((state, load, why.clone()));
        (self.tell)(DriverEvent::Host { host: host.session.name.clone(), state, load, why });
    }

    /// Tells where VMs run, if that has changed. It leaves out VMs that this driver is moving.
    fn place_all(&mut self) {
        let looks = |host: &KnownHost| LookCount { count: host.looks, answers: host.observation.is_some() };
        let looks: Vec<_> = self.hosts.iter().map(looks).collect();
        let mut doubts = false;
        for vm in self.vms.values_mut().filter(|vm| vm.moving.is_none()) {
            let fresh = |(n, host): (usize, &KnownHost)| match &host.observation {
                Some(observation) if host.looks > vm.stale[n] => observation.presence(&vm.guest),
                _ => Presence::Unknown,
            };
            let presences: Vec<_> = self.hosts.iter().enumerate().map(fresh).collect();
            if let Some(hosts) = vm.belief.weigh(sighting(&presences), &looks) {
                let hosts = hosts.into_iter().map(|n| self.hosts[n].session.name.clone()).collect();
                (self.tell)(DriverEvent::Found { vm: vm.guest.name.clone(), hosts });
            }
            doubts |= vm.belief.doubts();
        }
        if doubts {
            self.hosts.iter().for_each(|host| host.session.look());
        }
    }

    fn order(&mut self, job: DriverCommand) {
        match job {
            DriverCommand::Preflight(migration) => self.check(migration),
            DriverCommand::Start(migration) => self.start(migration),
            DriverCommand::Confirm(migration) => self.confirm(migration),
            DriverCommand::Abort(migration) => self.abort(&migration),
            DriverCommand::Measure { vm, field } => self.measure(vm, field),
        }
    }

    /// What the thread of a job needs; or why there can be no such job.
    fn task(&self, migration: &Move) -> Result<JobContext, String> {
        let vm = self.vms.get(&migration.vm).ok_or_else(|| format!("{} is no VM of this array", migration.vm))?;
        let session = |name: &Name| {
            let host = self.hosts.iter().find(|host| host.session.name == *name);
            host.map(|host| Arc::clone(&host.session)).ok_or_else(|| format!("{name} is no host of this array"))
        };
        Ok(JobContext {
            library: self.library,
            settings: Arc::clone(&self.settings),
            migration: migration.clone(),
            guest: vm.guest.clone(),
            source: session(&migration.from)?,
            destination: session(&migration.to)?,
            learned: LearnedRates { rate: self.rate, dirty: vm.dirty },
            tell: Arc::clone(&self.tell),
            stop: Arc::clone(&self.stop),
        })
    }

    fn check(&mut self, migration: Move) {
        let refuse =
            |refusal: String| DriverEvent::Preflight { id: migration.id, refusal: Some(refusal), forecast: None };
        let task = self.task(&migration);
        let (task, vm) = match (task, self.vms.get_mut(&migration.vm)) {
            (Ok(task), Some(vm)) => (task, vm),
            (Err(why), _) => return (self.tell)(refuse(why)),
            (Ok(_), None) => return,
        };
        if vm.checking || vm.moving.is_some() {
            return (self.tell)(refuse(format!("another job of {} is under way", migration.vm)));
        }
        vm.checking = true;
        self.work(task, refuse("the check itself failed".to_owned()), preflight::check);
    }

    fn start(&mut self, migration: Move) {
        let ended = |detail: String| DriverEvent::Ended { id: migration.id, detail };
        let task = match self.task(&migration) {
            Ok(task) => task,
            Err(why) => return (self.tell)(ended(why)),
        };
        let Some((sender, signals)) = self.begin_move(&migration) else {
            return (self.tell)(ended(format!("not started: {} is being moved already", migration.vm)));
        };
        let failed = ended("the driver failed while it moved: where it runs is to be confirmed".to_owned());
        self.work(task, failed, move |task| migrate::start(task, sender, &signals));
    }

    fn confirm(&mut self, migration: Move) {
        let (source, destination) = (Presence::Unknown, Presence::Unknown);
        let unknown = DriverEvent::Presence { id: migration.id, source, destination };
        let Ok(task) = self.task(&migration) else {
            return (self.tell)(unknown);
        };
        if let Some((_, signals)) = self.begin_move(&migration) {
            return self.work(task, unknown, move |task| migrate::confirm(task, &signals));
        }
        match self.vms.get_mut(&migration.vm).and_then(|vm| vm.moving.as_mut()) {
            // It is already followed, and the next look tells its progress.
            Some(moving) if moving.id == migration.id => moving.asked = Some(migration),
            // Nothing can be said of this migration while another one of the VM is under way.
            _ => (self.tell)(unknown),
        }
    }

    /// Notes that a VM is being moved; `None`: it already is.
    fn begin_move(&mut self, migration: &Move) -> Option<(SyncSender<FollowerSignal>, Receiver<FollowerSignal>)> {
        let vm = self.vms.get_mut(&migration.vm).filter(|vm| vm.moving.is_none())?;
        let (sender, signals) = sync_channel(4);
        vm.moving = Some(RunningMove { id: migration.id, signals: sender.clone(), asked: None });
        Some((sender, signals))
    }

    fn abort(&self, migration: &Move) {
        let moving =
            self.vms.get(&migration.vm).and_then(|vm| vm.moving.as_ref()).filter(|moving| moving.id == migration.id);
        if let Some(moving) = moving {
            // A full queue already has an abort in it.
            let _ = moving.signals.try_send(FollowerSignal::Abort);
        }
    }

    /// Runs a job on a thread. If the job fails, `otherwise` is its event.
    fn work(
        &mut self,
        task: JobContext,
        otherwise: DriverEvent,
        job: impl FnOnce(&JobContext) -> (DriverEvent, LearnedRates) + Send + 'static,
    ) {
        let (own, vm, learned) = (self.own.clone(), task.migration.vm.clone(), task.learned);
        let (name, failed) = (vm.clone(), otherwise.clone());
        let working = move || {
            let (event, learned) = catch_unwind(AssertUnwindSafe(|| job(&task))).unwrap_or_else(|_| {
                let _ = own.send(ActorMessage::Trouble(format!("a job of {vm} failed inside the libvirt driver")));
                (otherwise, learned)
            });
            let _ = own.send(ActorMessage::Done(vm, event, learned));
        };
        if thread::Builder::new().name("libvirt job".into()).spawn(working).is_err() {
            self.done(&name, failed, learned);
        }
    }

    /// A job of a VM has ended: a check, if its event is the answer to one, or else a move.
    fn done(&mut self, name: &str, event: DriverEvent, learned: LearnedRates) {
        let is_check = matches!(event, DriverEvent::Preflight { .. });
        let looks: Vec<u64> = self.hosts.iter().map(|host| host.looks + STALE_LOOKS).collect();
        self.rate = learned.rate.or(self.rate);
        let mut asked = None;
        if let Some(vm) = self.vms.get_mut(name) {
            vm.dirty = learned.dirty.or(vm.dirty);
            if is_check {
                vm.checking = false;
            } else {
                asked = vm.moving.take().and_then(|moving| moving.asked);
                vm.stale = looks;
                vm.belief.forget();
            }
        }
        (self.tell)(event);
        if !is_check {
            self.hosts.iter().for_each(|host| host.session.look());
        }
        if let Some(migration) = asked {
            self.confirm(migration);
        }
    }

    fn measure(&mut self, name: Name, field: Usage) {
        let runs = self.vms.get(&name).and_then(|vm| {
            let on = |host: &KnownHost| host.observation.as_ref().map(|p| p.presence(&vm.guest));
            self.hosts.iter().position(|host| on(host) == Some(Presence::Runs))
        });
        let (Some(n), Some(vm)) = (runs, self.vms.get_mut(&name)) else {
            let reading = Reading::Gap(format!("{name} runs on no host that answers"));
            return (self.tell)(DriverEvent::Reading { vm: name, reading });
        };
        let silent = format!("{} has not answered the last time yet", self.hosts[n].session.name);
        // After the deadline the host may have a new connection.
        if vm.measuring.is_some_and(|since| since.elapsed() < DEADLINE) {
            return (self.tell)(DriverEvent::Reading { vm: name, reading: Reading::Gap(silent) });
        }
        let (guest, own, measured) = (vm.guest.clone(), self.own.clone(), name.clone());
        // The thread of the host's connection measures the VMs one after another.
        let question = move |hypervisor: &Hypervisor| {
            let counters = read_counters(hypervisor, n, &guest);
            let _ = own.send(ActorMessage::Measured(measured, field, counters));
        };
        match self.hosts[n].session.put(question) {
            Ok(()) => vm.measuring = Some(Instant::now()),
            Err(why) => (self.tell)(DriverEvent::Reading { vm: name, reading: Reading::Gap(why) }),
        }
    }

    fn measured(&mut self, name: Name, field: Usage, counters: Result<UsageCounters, String>) {
        let Some(vm) = self.vms.get_mut(&name) else {
            return;
        };
        vm.measuring = None;
        let reading = counters.map(|counters| {
            let reading = usage(vm.counters.as_ref(), &counters, field);
            vm.counters = Some(counters);
            reading
        });
        let reading = reading.unwrap_or_else(Reading::Gap);
        (self.tell)(DriverEvent::Reading { vm: name, reading });
    }
}
