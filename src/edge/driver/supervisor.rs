//! Holds a driver to its contract: every command is answered, by the driver or in its place.
//!
//! ```text
//! order ──▶ supervisor ──commands──▶ driver's threads
//!              │  ▲                       │
//!    tell ◀────┘  └────────events─────────┘
//! ```
//!
//! Each array's driver has one such thread between it and the rest of whimbrel. The thread knows which answers are owed and
//! until when. It answers for a driver that is late, and starts a driver again whose thread has died.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{DriverCommand, DriverEvent, OwedAnswer, Tell};
use crate::core::cluster::{HostState, Name};
use crate::core::format::duration;
use crate::edge::supervisor::{fault, supervise};

/// Commands and events that wait for the supervisor at most. It never waits for a driver, so they are few. When it is full, a
/// command is refused at once, and a driver's thread waits until there is room.
const QUEUE: usize = 1_024;
/// The supervisor wakes at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// A wait that lasts longer than asked by this much means that the whole process stood still.
const STANDSTILL: Duration = Duration::from_secs(1);
/// A driver that ran for so long before it died is started again after the first back-off.
const STEADY: Duration = Duration::from_secs(60);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// Hands a command to a driver and never blocks. The error says why the driver does not take it.
pub(super) type TakeCommand = Box<dyn Fn(DriverCommand) -> Result<(), String> + Send>;

/// Starts a driver that tells its events there. Its main thread holds the lifeline.
pub(super) type StartDriver = Box<dyn Fn(Tell, Lifeline) -> Result<TakeCommand, String> + Send>;

/// How long a driver may take before it is answered for. These are longer than the driver's own deadlines.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerLimits {
    pub preflight: Duration,
    pub presence: Duration,
    pub measured: Duration,
    /// Between two events of a migration that runs.
    pub silence: Duration,
    /// From a driver's first death to its new start; doubled by each further death.
    pub back_off: Duration,
}

/// The driver of one array, under supervision.
pub struct ArrayDriver {
    inbox: SyncSender<SupervisorMessage>,
    stop: Arc<AtomicBool>,
}

impl ArrayDriver {
    /// Starts a driver and its supervisor. `name`: what alarms call the driver.
    ///
    /// # Errors
    /// The driver cannot start, and why.
    pub(super) fn supervised(
        name: String,
        hosts: Vec<Name>,
        start: StartDriver,
        limits: AnswerLimits,
        tell: Tell,
    ) -> Result<Self, String> {
        let (inbox, messages) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let (what, trouble) = (format!("the supervisor of {name}"), Arc::clone(&tell));
        let mut supervisor = DriverSupervisor {
            name,
            hosts,
            start,
            limits,
            driver: None,
            has_died: Arc::default(),
            generation: 0,
            started: Instant::now(),
            deaths: 0,
            restart: None,
            owed: BTreeMap::new(),
            inbox: inbox.clone(),
            tell,
            stop: Arc::clone(&stop),
        };
        supervisor.start_driver()?;
        let named = thread::Builder::new().name("driver supervisor".to_owned());
        let work = move || {
            let report = |text| trouble(DriverEvent::Trouble { vm: None, text });
            let mut has_begun = false;
            supervise(&what, report, || {
                // Nobody knows what a panic has lost. A new driver has all that is owed answered now.
                if std::mem::replace(&mut has_begun, true) && supervisor.driver.is_some() {
                    supervisor.bury();
                }
                supervisor.run(&messages);
            });
        };
        named.spawn(work).map_err(|why| format!("no thread for a driver: {why}"))?;
        Ok(Self { inbox, stop })
    }

    /// Has the driver do something. Never blocks. Returns the answer to a command that it cannot take.
    pub fn order(&self, command: DriverCommand) -> Option<DriverEvent> {
        let (message, why) = match self.inbox.try_send(SupervisorMessage::Command(command)).err()? {
            TrySendError::Full(message) => (message, "the driver is too busy"),
            TrySendError::Disconnected(message) => (message, "the driver does not run"),
        };
        let SupervisorMessage::Command(command) = message else { return None };
        Some(command.refused(why.to_owned()))
    }
}

impl Drop for ArrayDriver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A full queue wakes the supervisor as well.
        let _ = self.inbox.try_send(SupervisorMessage::Wake);
    }
}

/// What reaches the supervisor.
enum SupervisorMessage {
    Command(DriverCommand),
    /// From the driver of this generation.
    Event(u64, DriverEvent),
    /// A flag has changed.
    Wake,
}

/// Tells the supervisor that a driver's main thread has ended, however it ended.
pub(super) struct Lifeline {
    has_died: Arc<AtomicBool>,
    inbox: SyncSender<SupervisorMessage>,
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.has_died.store(true, Ordering::Relaxed);
        // A full queue wakes the supervisor as well.
        let _ = self.inbox.try_send(SupervisorMessage::Wake);
    }
}

/// See the top of this file.
struct DriverSupervisor {
    /// What alarms call the driver.
    name: String,
    hosts: Vec<Name>,
    start: StartDriver,
    limits: AnswerLimits,
    driver: Option<TakeCommand>,
    has_died: Arc<AtomicBool>,
    /// Counts starts. An event of an earlier driver says nothing any more.
    generation: u64,
    started: Instant,
    deaths: u32,
    restart: Option<Instant>,
    /// Answers that are owed, and until when.
    owed: BTreeMap<OwedAnswer, Instant>,
    inbox: SyncSender<SupervisorMessage>,
    tell: Tell,
    stop: Arc<AtomicBool>,
}

impl DriverSupervisor {
    fn run(&mut self, messages: &Receiver<SupervisorMessage>) {
        while !self.stop.load(Ordering::Relaxed) {
            let (before, wait) = (Instant::now(), self.wait());
            let message = messages.recv_timeout(wait);
            self.allow_for_standstill(before.elapsed().saturating_sub(wait));
            match message {
                Ok(SupervisorMessage::Command(command)) => self.take(command),
                Ok(SupervisorMessage::Event(generation, event)) if generation == self.generation => self.pass_on(event),
                Ok(SupervisorMessage::Event(..) | SupervisorMessage::Wake) | Err(_) => {}
            }
            if self.driver.is_some() && self.has_died.load(Ordering::Relaxed) {
                self.bury();
            }
            self.answer_what_is_overdue();
            self.restart_if_due();
        }
    }

    /// Until the next deadline.
    fn wait(&self) -> Duration {
        let next = self.owed.values().chain(&self.restart).min();
        next.map_or(LONGEST_WAIT, |next| next.saturating_duration_since(Instant::now()).min(LONGEST_WAIT))
    }

    /// A process that was stopped gives its driver back the time that both have lost.
    fn allow_for_standstill(&mut self, lost: Duration) {
        if lost > STANDSTILL {
            self.owed.values_mut().for_each(|deadline| *deadline += lost);
        }
    }

    fn start_driver(&mut self) -> Result<(), String> {
        self.generation += 1;
        self.has_died = Arc::default();
        let (generation, inbox) = (self.generation, self.inbox.clone());
        let lifeline = Lifeline { has_died: Arc::clone(&self.has_died), inbox: inbox.clone() };
        // Nobody listens to a driver that was dropped.
        let tell: Tell = Arc::new(move |event| drop(inbox.send(SupervisorMessage::Event(generation, event))));
        self.driver = Some((self.start)(tell, lifeline)?);
        self.started = Instant::now();
        Ok(())
    }

    fn take(&mut self, command: DriverCommand) {
        if let Some(owed) = command.owes() {
            let deadline = Instant::now() + self.limit(&owed);
            // Of two equal questions one answer is owed, when the first is due.
            self.owed.entry(owed).or_insert(deadline);
        }
        fault("driver supervisor");
        let refused = match &self.driver {
            Some(driver) => driver(command.clone()),
            None => Err(format!("{} has failed and is being started again", self.name)),
        };
        if let Err(why) = refused {
            if let Some(owed) = command.owes() {
                self.settle(&owed);
            }
            (self.tell)(command.refused(why));
        }
    }

    fn limit(&self, owed: &OwedAnswer) -> Duration {
        match owed {
            OwedAnswer::Preflight(_) => self.limits.preflight,
            OwedAnswer::Presence(_) => self.limits.presence,
            OwedAnswer::End(_) => self.limits.silence,
            OwedAnswer::Reading(_) => self.limits.measured,
        }
    }

    /// Passes an event on. An answer that is not owed was given by the supervisor already: it is dropped.
    fn pass_on(&mut self, event: DriverEvent) {
        let was_owed = match &event {
            DriverEvent::Preflight { id, .. } => self.settle(&OwedAnswer::Preflight(*id)),
            DriverEvent::Presence { id, .. } => self.settle(&OwedAnswer::Presence(*id)),
            DriverEvent::Reading { vm, .. } => self.settle(&OwedAnswer::Reading(vm.clone())),
            DriverEvent::Progress { id, .. } => {
                // It is followed, which answers the question where its VM runs. From now on its end is owed.
                self.settle(&OwedAnswer::Presence(*id));
                self.owed.insert(OwedAnswer::End(*id), Instant::now() + self.limits.silence);
                true
            }
            DriverEvent::Ended { id, .. } => {
                self.settle(&OwedAnswer::End(*id));
                true
            }
            _ => true,
        };
        if was_owed {
            (self.tell)(event);
        }
    }

    fn settle(&mut self, owed: &OwedAnswer) -> bool {
        self.owed.remove(owed).is_some()
    }

    fn answer_for(&mut self, owed: OwedAnswer, why: String) {
        self.settle(&owed);
        (self.tell)(owed.refused(why));
    }

    fn answer_what_is_overdue(&mut self) {
        let now = Instant::now();
        let overdue: Vec<OwedAnswer> =
            self.owed.iter().filter(|(_, deadline)| **deadline <= now).map(|(owed, _)| owed.clone()).collect();
        for owed in overdue {
            let limit = duration(self.limit(&owed).into());
            let why = format!("{} has not answered within {limit}", self.name);
            self.answer_for(owed, why);
        }
    }

    /// The driver's main thread has ended though nobody stopped it, or it cannot be told whether it goes on well.
    fn bury(&mut self) {
        self.driver = None;
        // What it has said before it died and what its other threads may still say is not heard.
        self.generation += 1;
        // That nobody knows its hosts now is told first, so that a refusal is not held against one of them.
        self.schedule_restart("failed");
        for owed in std::mem::take(&mut self.owed).into_keys() {
            (self.tell)(owed.refused(format!("{} has failed", self.name)));
        }
    }

    fn schedule_restart(&mut self, what: &str) {
        if self.started.elapsed() > STEADY {
            self.deaths = 0;
        }
        let back_off = self.limits.back_off.saturating_mul(1 << self.deaths.min(16)).min(LONGEST_BACK_OFF);
        self.deaths = self.deaths.saturating_add(1);
        self.restart = Some(Instant::now() + back_off);
        let wait = duration(back_off.into());
        let alarm = format!("{} {what}; it is started again in {wait}", self.name);
        (self.tell)(DriverEvent::Trouble { vm: None, text: alarm });
        for host in self.hosts.clone() {
            let why = Some(format!("{} does not run", self.name));
            (self.tell)(DriverEvent::Host { host, state: HostState::Unknown, load: None, why });
        }
    }

    fn restart_if_due(&mut self) {
        if self.restart.is_some_and(|due| due <= Instant::now()) {
            self.restart = None;
            if let Err(why) = self.start_driver() {
                self.schedule_restart(&format!("cannot start: {why}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::core::cluster::{RequestId, Usage};
    use crate::core::engine::Presence;
    use crate::edge::driver::Move;

    /// Much longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(60);
    const SOON: Duration = Duration::from_millis(20);

    /// Whatever the supervisor hands to the driver, with the way to answer. Dropping the lifeline kills the driver.
    type Started = (Tell, Lifeline, Receiver<DriverCommand>);

    struct Bench {
        driver: ArrayDriver,
        starts: Receiver<Started>,
        events: Receiver<DriverEvent>,
    }

    fn bench(limit: Duration) -> Bench {
        let (started, starts) = channel();
        let started = Mutex::new(started);
        let start: StartDriver = Box::new(move |tell, lifeline| {
            let (taken, commands) = channel();
            started.lock().unwrap().send((tell, lifeline, commands)).unwrap();
            Ok(Box::new(move |command| taken.send(command).map_err(|_| "busy".to_owned())))
        });
        let (tell, events) = channel();
        let tell: Tell = Arc::new(move |event| drop(tell.send(event)));
        let limits =
            AnswerLimits { preflight: limit, presence: limit, measured: limit, silence: limit, back_off: SOON };
        let driver = ArrayDriver::supervised("the driver".into(), vec!["mln1".into()], start, limits, tell).unwrap();
        Bench { driver, starts, events }
    }

    impl Bench {
        fn hears(&self) -> DriverEvent {
            self.events.recv_timeout(PATIENCE).expect("an event")
        }
    }

    fn way() -> Move {
        Move { id: RequestId(7), vm: "nii1".into(), from: "mln1".into(), to: "mln2".into() }
    }

    fn commands() -> [DriverCommand; 4] {
        let measure = DriverCommand::Measure { vm: "nii1".into(), field: Usage::Cpu };
        [DriverCommand::Preflight(way()), DriverCommand::Start(way()), DriverCommand::Confirm(way()), measure]
    }

    fn trouble(text: &str) -> DriverEvent {
        DriverEvent::Trouble { vm: None, text: text.into() }
    }

    fn presence(source: Presence) -> DriverEvent {
        DriverEvent::Presence { id: RequestId(7), source, destination: Presence::Unknown }
    }

    #[test]
    fn a_driver_that_never_answers_is_answered_for() {
        let bench = bench(SOON);
        let _silent = bench.starts.recv_timeout(PATIENCE).unwrap();
        for command in commands() {
            let why = "the driver has not answered within 1 s";
            let expected = command.clone().refused(why.to_owned());
            bench.driver.order(command);
            assert_eq!(bench.hears(), expected);
        }
    }

    #[test]
    fn an_answer_that_comes_in_time_is_the_only_one_and_one_that_comes_late_is_dropped() {
        let bench = bench(PATIENCE);
        let (tell, _lifeline, taken) = bench.starts.recv_timeout(PATIENCE).unwrap();
        bench.driver.order(DriverCommand::Confirm(way()));
        bench.driver.order(DriverCommand::Confirm(way()));
        assert_eq!([taken.recv_timeout(PATIENCE).is_ok(), taken.recv_timeout(PATIENCE).is_ok()], [true; 2]);
        tell(presence(Presence::Runs));
        tell(presence(Presence::Absent));
        tell(trouble("the next"));
        assert_eq!(bench.hears(), presence(Presence::Runs));
        assert_eq!(bench.hears(), trouble("the next"), "nobody waits for a second answer");
    }

    #[test]
    fn a_migration_that_is_followed_and_then_falls_silent_is_ended() {
        let bench = bench(SOON);
        let (tell, _lifeline, _taken) = bench.starts.recv_timeout(PATIENCE).unwrap();
        let progress = DriverEvent::Progress { id: RequestId(7), percent: 4, detail: String::new(), transfer: None };
        tell(progress.clone());
        assert_eq!(bench.hears(), progress);
        let ended = bench.hears();
        assert!(matches!(&ended, DriverEvent::Ended { id: RequestId(7), .. }), "{ended:?}");
    }

    #[test]
    fn a_driver_that_dies_is_an_alarm_and_starts_again_and_what_it_owed_is_answered() {
        let bench = bench(PATIENCE);
        let (old, lifeline, taken) = bench.starts.recv_timeout(PATIENCE).unwrap();
        for command in commands() {
            bench.driver.order(command);
            taken.recv_timeout(PATIENCE).unwrap();
        }
        drop(lifeline);
        assert_eq!(bench.hears(), trouble("the driver failed; it is started again in 1 s"));
        assert!(matches!(bench.hears(), DriverEvent::Host { state: HostState::Unknown, .. }), "before any refusal");
        let owed: Vec<DriverEvent> = (0..4).map(|_| bench.hears()).collect();
        for command in commands() {
            let answer = command.refused("the driver has failed".into());
            assert!(owed.contains(&answer), "{answer:?} is missing in {owed:?}");
        }
        let (tell, _lifeline, taken) = bench.starts.recv_timeout(PATIENCE).unwrap();
        old(trouble("from the grave"));
        bench.driver.order(DriverCommand::Confirm(way()));
        taken.recv_timeout(PATIENCE).unwrap();
        tell(presence(Presence::Runs));
        assert_eq!(bench.hears(), presence(Presence::Runs));
    }

    #[test]
    fn a_driver_that_takes_no_command_is_answered_for_at_once() {
        let bench = bench(PATIENCE);
        let (_tell, _lifeline, taken) = bench.starts.recv_timeout(PATIENCE).unwrap();
        drop(taken);
        for command in commands().into_iter().chain([DriverCommand::Abort(way())]) {
            assert_eq!(bench.driver.order(command.clone()), None);
            assert_eq!(bench.hears(), command.refused("busy".into()));
        }
    }

    #[test]
    fn a_queue_that_is_full_refuses_a_command_at_once_and_an_abort_that_is_lost_is_said() {
        // Nobody takes anything out.
        let (inbox, _messages) = sync_channel(QUEUE);
        let driver = ArrayDriver { inbox, stop: Arc::default() };
        for _ in 0..QUEUE {
            assert_eq!(driver.order(DriverCommand::Confirm(way())), None);
        }
        for command in commands() {
            assert_eq!(driver.order(command.clone()), Some(command.refused("the driver is too busy".into())));
        }
        let lost = DriverEvent::Trouble {
            vm: Some("nii1".into()),
            text: "the migration of nii1 is not aborted: the driver is too busy; try again".into(),
        };
        assert_eq!(driver.order(DriverCommand::Abort(way())), Some(lost));
    }

    #[test]
    fn time_in_which_the_process_stood_still_does_not_count() {
        let limit = Duration::from_secs(10);
        let mut owed = BTreeMap::from([(OwedAnswer::Presence(RequestId(7)), Instant::now() + limit)]);
        let before = owed.values().copied().next().unwrap();
        let (inbox, _messages) = sync_channel(1);
        let start: StartDriver = Box::new(|_, _| Err("unused".into()));
        let mut supervisor = DriverSupervisor {
            name: String::new(),
            hosts: Vec::new(),
            start,
            limits: AnswerLimits { preflight: limit, presence: limit, measured: limit, silence: limit, back_off: SOON },
            driver: None,
            has_died: Arc::default(),
            generation: 0,
            started: Instant::now(),
            deaths: 0,
            restart: None,
            owed: std::mem::take(&mut owed),
            inbox,
            tell: Arc::new(|_| {}),
            stop: Arc::default(),
        };
        supervisor.allow_for_standstill(Duration::from_millis(300));
        assert_eq!(supervisor.owed.values().copied().next().unwrap(), before, "a busy machine is no standstill");
        supervisor.allow_for_standstill(Duration::from_secs(90));
        assert_eq!(supervisor.owed.values().copied().next().unwrap(), before + Duration::from_secs(90));
    }
}
