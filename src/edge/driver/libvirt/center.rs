//! The driver's middle: one thread that owns what is known of all hosts and VMs, hands jobs out, and tells the facts.
//! It never waits for a host.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::confirm;
use super::ffi::Library;
use super::host::{News, Post};
use super::measure::{self, Counters};
use super::migrate;
use super::picture::Picture;
use super::placement::{Belief, Looks, sighting};
use super::preflight;
use super::task::{Done, Key, Learned, Sign, Task};
use crate::core::cluster::{HostState, Libvirt, RequestId};
use crate::core::engine::Presence;
use crate::edge::driver::{DriverCommand, DriverEvent, Guest, Move, Tell};

/// A load that changed by less is not told.
const LOAD_STEP: f64 = 0.02;
/// Looks that may have been under way when a migration ended.
const STALE_LOOKS: u64 = 1;

/// What reaches the center.
pub(super) enum Message {
    /// The engine asks.
    Order(DriverCommand),
    /// A host's thread has news of host number so-and-so.
    Host(usize, News),
    /// A job's thread has ended.
    Done(String, Work, Done),
    /// A VM was measured.
    Measured(String, Result<Counters, String>),
    /// Something failed.
    Trouble(String),
    /// The driver is dropped.
    Stop,
}

/// What a thread worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A check before a migration.
    Check,
    /// A migration, or its confirmation.
    Move,
}

/// A host, as far as the center knows it.
struct Station {
    post: Post,
    picture: Option<Picture>,
    looks: u64,
    told: Option<(HostState, Option<f64>, Option<String>)>,
}

/// A VM, likewise.
struct Vm {
    guest: Guest,
    belief: Belief,
    /// Looks of each host that are too old to tell where it runs.
    stale: Vec<u64>,
    moving: Option<Moving>,
    checking: bool,
    measuring: bool,
    counters: Option<Counters>,
    dirty: Option<u64>,
}

/// A VM that is being moved, or of which is asked where it runs after a move.
struct Moving {
    id: RequestId,
    signs: SyncSender<Sign>,
    /// Where it runs was asked while it was moved. That is answered when the move is over, in case its progress was not told
    /// in time.
    asked: Option<Move>,
}

/// See the top of this file.
pub(super) struct Center {
    library: &'static Library,
    settings: Arc<Libvirt>,
    hosts: Vec<Station>,
    vms: HashMap<String, Vm>,
    rate: Option<u64>,
    own: SyncSender<Message>,
    tell: Tell,
    stop: Arc<AtomicBool>,
}

impl Center {
    pub(super) fn new(
        library: &'static Library,
        settings: Arc<Libvirt>,
        posts: Vec<Post>,
        guests: Vec<Guest>,
        own: SyncSender<Message>,
        tell: Tell,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let station = |post| Station { post, picture: None, looks: 0, told: None };
        let hosts: Vec<_> = posts.into_iter().map(station).collect();
        let count = hosts.len();
        let vm = |guest: Guest| {
            let vm = Vm {
                guest,
                belief: Belief::default(),
                stale: vec![0; count],
                moving: None,
                checking: false,
                measuring: false,
                counters: None,
                dirty: None,
            };
            (vm.guest.name.clone(), vm)
        };
        Self { library, settings, hosts, vms: guests.into_iter().map(vm).collect(), rate: None, own, tell, stop }
    }

    /// Works until the driver is dropped. What fails is told, and the rest goes on.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        for n in 0..self.hosts.len() {
            let why = self.hosts[n].post.line.contact().err();
            self.tell_host(n, HostState::Unknown, None, why);
        }
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(message) = inbox.recv() else {
                return;
            };
            let handled = catch_unwind(AssertUnwindSafe(|| self.handle(message)));
            if handled.is_err() {
                (self.tell)(DriverEvent::Trouble(
                    "the libvirt driver failed at one of its messages, and goes on".to_owned(),
                ));
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Order(job) => self.order(job),
            Message::Host(n, news) => self.news(n, news),
            Message::Done(vm, work, done) => self.done(&vm, work, done),
            Message::Measured(vm, counters) => self.measured(&vm, counters),
            Message::Trouble(text) => (self.tell)(DriverEvent::Trouble(text)),
            // The loop looks whether to stop.
            Message::Stop => {}
        }
    }

    // Hosts.

    fn news(&mut self, n: usize, news: News) {
        match news {
            News::Seen(picture) => {
                let host = &mut self.hosts[n];
                host.looks += 1;
                let load = picture.load;
                host.picture = Some(picture);
                self.tell_host(n, HostState::Up, load, None);
            }
            News::Down(why) => {
                self.hosts[n].picture = None;
                self.tell_host(n, HostState::Down, None, Some(why));
            }
        }
        self.place_all();
    }

    /// Tells of a host what has changed.
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
        (self.tell)(DriverEvent::Host { host: host.post.line.name.clone(), state, load, why });
    }

    /// Tells where VMs run, as far as that has changed; not of those that are being moved from here.
    fn place_all(&mut self) {
        let looks = |host: &Station| Looks { count: host.looks, answers: host.picture.is_some() };
        let looks: Vec<_> = self.hosts.iter().map(looks).collect();
        let mut doubts = false;
        for vm in self.vms.values_mut().filter(|vm| vm.moving.is_none()) {
            let fresh = |(n, host): (usize, &Station)| match &host.picture {
                Some(picture) if host.looks > vm.stale[n] => picture.presence(&vm.guest.name, &vm.guest.domain),
                _ => Presence::Unknown,
            };
            let presences: Vec<_> = self.hosts.iter().enumerate().map(fresh).collect();
            if let Some(hosts) = vm.belief.weigh(sighting(&presences), &looks) {
                let hosts = hosts.into_iter().map(|n| self.hosts[n].post.line.name.clone()).collect();
                (self.tell)(DriverEvent::Found { vm: vm.guest.name.clone(), hosts });
            }
            doubts |= vm.belief.doubts();
        }
        if doubts {
            self.hosts.iter().for_each(|host| host.post.look());
        }
    }

    // Jobs.

    fn order(&mut self, job: DriverCommand) {
        match job {
            DriverCommand::Preflight(way) => self.check(way),
            DriverCommand::Start(way) => self.start(way),
            DriverCommand::Confirm(way) => self.confirm(way),
            DriverCommand::Abort(way) => self.abort(&way),
            DriverCommand::Measure { vm } => self.measure(vm),
        }
    }

    /// What a job's thread needs, or why there is no such job.
    fn task(&self, way: &Move) -> Result<Task, String> {
        let vm = self.vms.get(&way.vm).ok_or_else(|| format!("{} is no VM of this array", way.vm))?;
        let line = |name: &String| {
            let host = self.hosts.iter().find(|host| host.post.line.name == *name);
            host.map(|host| Arc::clone(&host.post.line)).ok_or_else(|| format!("{name} is no host of this array"))
        };
        Ok(Task {
            library: self.library,
            settings: Arc::clone(&self.settings),
            way: way.clone(),
            domain: vm.guest.domain.clone(),
            source: line(&way.from)?,
            destination: line(&way.to)?,
            learned: Learned { rate: self.rate, dirty: vm.dirty },
            tell: Arc::clone(&self.tell),
            stop: Arc::clone(&self.stop),
        })
    }

    fn check(&mut self, way: Move) {
        let refuse = |refusal: String| DriverEvent::Preflight { id: way.id, refusal: Some(refusal), forecast: None };
        let task = self.task(&way);
        let (task, vm) = match (task, self.vms.get_mut(&way.vm)) {
            (Ok(task), Some(vm)) => (task, vm),
            (Err(why), _) => return (self.tell)(refuse(why)),
            (Ok(_), None) => return,
        };
        if vm.checking || vm.moving.is_some() {
            return (self.tell)(refuse(format!("another job of {} is under way", way.vm)));
        }
        vm.checking = true;
        self.work(Work::Check, task, refuse("the check itself failed".to_owned()), preflight::check);
    }

    fn start(&mut self, way: Move) {
        let ended = |detail: String| DriverEvent::Ended { id: way.id, detail };
        let task = match self.task(&way) {
            Ok(task) => task,
            Err(why) => return (self.tell)(ended(why)),
        };
        let Some((sender, signs)) = self.begin_move(&way) else {
            return (self.tell)(ended(format!("not started: {} is being moved already", way.vm)));
        };
        let failed = ended("the driver failed while it moved: where it runs is to be confirmed".to_owned());
        self.work(Work::Move, task, failed, move |task| migrate::start(task, sender, &signs));
    }

    fn confirm(&mut self, way: Move) {
        let (source, destination) = (Presence::Unknown, Presence::Unknown);
        let unknown = DriverEvent::Presence { id: way.id, source, destination };
        let Ok(task) = self.task(&way) else {
            return (self.tell)(unknown);
        };
        if let Some((_, signs)) = self.begin_move(&way) {
            return self.work(Work::Move, task, unknown, move |task| confirm::confirm(task, &signs));
        }
        match self.vms.get_mut(&way.vm).and_then(|vm| vm.moving.as_mut()) {
            // It is followed already: its next look tells how far it is.
            Some(moving) if moving.id == way.id => moving.asked = Some(way),
            // Another migration of the VM is under way: until that is over nothing can be said of this one.
            _ => (self.tell)(unknown),
        }
    }

    /// Notes that a VM is being moved; `None` if it is already.
    fn begin_move(&mut self, way: &Move) -> Option<(SyncSender<Sign>, Receiver<Sign>)> {
        let vm = self.vms.get_mut(&way.vm).filter(|vm| vm.moving.is_none())?;
        let (sender, signs) = sync_channel(4);
        vm.moving = Some(Moving { id: way.id, signs: sender.clone(), asked: None });
        Some((sender, signs))
    }

    fn abort(&self, way: &Move) {
        let moving = self.vms.get(&way.vm).and_then(|vm| vm.moving.as_ref()).filter(|moving| moving.id == way.id);
        if let Some(moving) = moving {
            // A full queue holds an abort already.
            let _ = moving.signs.try_send(Sign::Abort);
        }
    }

    /// Has a thread do it. If it fails, `otherwise` is the answer.
    fn work(
        &mut self,
        work: Work,
        task: Task,
        otherwise: DriverEvent,
        job: impl FnOnce(&Task) -> Done + Send + 'static,
    ) {
        let (own, vm, learned) = (self.own.clone(), task.way.vm.clone(), task.learned);
        let (again, failed) = (vm.clone(), Done { facts: vec![otherwise.clone()], learned });
        let working = move || {
            let done = catch_unwind(AssertUnwindSafe(|| job(&task))).unwrap_or_else(|_| {
                let trouble = DriverEvent::Trouble(format!("a job of {vm} failed inside the libvirt driver"));
                Done { facts: vec![trouble, otherwise], learned }
            });
            let _ = own.send(Message::Done(vm, work, done));
        };
        if thread::Builder::new().name("libvirt job".into()).spawn(working).is_err() {
            self.done(&again, work, failed);
        }
    }

    fn done(&mut self, name: &str, work: Work, done: Done) {
        let looks: Vec<u64> = self.hosts.iter().map(|host| host.looks + STALE_LOOKS).collect();
        self.rate = done.learned.rate.or(self.rate);
        let mut asked = None;
        if let Some(vm) = self.vms.get_mut(name) {
            vm.dirty = done.learned.dirty.or(vm.dirty);
            match work {
                Work::Check => vm.checking = false,
                Work::Move => {
                    asked = vm.moving.take().and_then(|moving| moving.asked);
                    vm.stale = looks;
                    vm.belief.forget();
                }
            }
        }
        done.facts.into_iter().for_each(|fact| (self.tell)(fact));
        if work == Work::Move {
            self.hosts.iter().for_each(|host| host.post.look());
        }
        if let Some(way) = asked {
            self.confirm(way);
        }
    }

    fn measure(&mut self, name: String) {
        let runs = self.vms.get(&name).and_then(|vm| {
            let on = |host: &Station| host.picture.as_ref().map(|p| p.presence(&vm.guest.name, &vm.guest.domain));
            self.hosts.iter().position(|host| on(host) == Some(Presence::Runs))
        });
        let (Some(n), Some(vm)) = (runs, self.vms.get_mut(&name)) else {
            let usage = Err(format!("{name} runs on no host that answers"));
            return (self.tell)(DriverEvent::Measured { vm: name, usage });
        };
        if vm.measuring {
            let usage = Err(format!("{} has not answered the last time yet", self.hosts[n].post.line.name));
            return (self.tell)(DriverEvent::Measured { vm: name, usage });
        }
        vm.measuring = true;
        let (line, key) = (Arc::clone(&self.hosts[n].post.line), Key::of(&vm.guest.name, &vm.guest.domain));
        let (own, again) = (self.own.clone(), name.clone());
        let measuring = move || {
            let counters = catch_unwind(AssertUnwindSafe(|| measure::read(&line, n, key)));
            let _ = own.send(Message::Measured(name, counters.unwrap_or_else(|_| Err("an internal error".to_owned()))));
        };
        if thread::Builder::new().name("libvirt measure".into()).spawn(measuring).is_err() {
            let _ = self.own.try_send(Message::Measured(again, Err("no thread to measure with".to_owned())));
        }
    }

    fn measured(&mut self, name: &str, counters: Result<Counters, String>) {
        let Some(vm) = self.vms.get_mut(name) else {
            return;
        };
        vm.measuring = false;
        let usage = counters.map(|counters| {
            let usage = measure::usage(vm.counters.as_ref(), &counters);
            vm.counters = Some(counters);
            usage
        });
        (self.tell)(DriverEvent::Measured { vm: name.to_owned(), usage });
    }
}
