//! The event loop. It wakes the engine host when something is due, has real services read, takes commands, reloads the config
//! and ends.

mod handlers;

use std::io;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::{error, info};

use crate::core::cluster::{RequestId, Timestamp};
use crate::core::engine::{Engine, Event};
use crate::edge::config::Config;
use crate::edge::control::Call;
use crate::edge::driver::DriverEvent;
use crate::edge::history::Flushed;
use crate::edge::supervisor::fault;
use crate::view::UiCommand;

use super::control_endpoint::ControlEndpoint;
use super::drivers::{ArrayDriverConfig, Drivers};
use super::engine_host::{Asked, EngineHost};
use super::history_batcher::WRITTEN_WITHIN;
use super::outputs::{Output, Outputs};
use super::pace::Pace;
use super::polls::{Polled, Polls};
use super::workers::{HistoryNews, WorkerEvent, Workers};

/// A console sees at most ten snapshots a second …
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
/// … and at least one, so that it can tell a quiet cluster from a silent engine.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Without a pace, signals are looked at after so many steps.
const UNPACED_STEPS: usize = 20_000;
/// Rows are handed to the history this often, …
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// … less often if the cluster is simulated, because a crash loses nothing of value, …
const FLUSH_LATE: Duration = Duration::from_secs(10);
/// … and sooner if somebody looks at the past or if something happened.
const FLUSH_SOON: Duration = Duration::from_millis(250);
/// So many readings are handed on at once, because they take memory while they wait.
const LARGEST_BATCH: usize = 8_192;

/// The end says what it waits for after this time.
const WAITS_SILENTLY: Duration = Duration::from_millis(250);
/// The end waits this long for the journal's last lines. Without them the next engine asks the hosts once more.
const JOURNAL_WITHIN: Duration = Duration::from_secs(1);

/// A signal for the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// End the program.
    Stop,
    /// Read the config again.
    Reload,
}

/// Why the loop ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// Its time was up.
    TimeUp,
    /// Standard output is closed.
    Unread(io::Error),
    /// It was asked to or its time was up, but this could not be written.
    Unsaved(String),
}

/// Shows an operator what the end waits for.
type SayWaiting = Box<dyn Fn(&str) + Send>;

/// The loop and all that it owns.
pub struct EventLoop {
    engine_host: EngineHost,
    pace: Pace,
    outputs: Outputs,
    workers: Workers,
    /// The name of the operator at the console.
    operator: String,
    /// Why commands are refused, if they are.
    read_only: Option<&'static str>,
    /// The instant at which it ends by itself.
    until: Option<Timestamp>,
    say_waiting: SayWaiting,
    polls: Polls,
    control_endpoint: ControlEndpoint,
    drivers: Drivers,
    asks: Asked,
    published: Instant,
    stale: bool,
    flushed: Instant,
    /// An alarm has said that the history loses rows.
    losing: bool,
    /// An alarm has said that standard output is not read in time.
    unread: bool,
    /// Why a config could not be applied, and the migrations under way then.
    refused: Option<(Vec<RequestId>, String)>,
    /// The config in force, if the file's could not be applied.
    applied: Option<Config>,
}

enum Woken {
    Due,
    Control(Option<Control>),
    UiCommand(Option<UiCommand>),
    Polled(Polled),
    DriverEvent(DriverEvent),
    Worker(WorkerEvent),
    Call(Result<Call, String>),
}

impl EventLoop {
    /// A loop over an engine host.
    pub fn new(engine_host: EngineHost, pace: Pace, outputs: Outputs, workers: Workers) -> Self {
        let mut polls = Polls::default();
        polls.configure(engine_host.monitors());
        Self {
            engine_host,
            pace,
            outputs,
            workers,
            operator: "operator".to_owned(),
            read_only: None,
            until: None,
            say_waiting: Box::new(|_| ()),
            polls,
            control_endpoint: ControlEndpoint::default(),
            drivers: Drivers::default(),
            asks: Asked::default(),
            published: Instant::now(),
            stale: false,
            flushed: Instant::now(),
            losing: false,
            unread: false,
            refused: None,
            applied: None,
        }
    }

    /// Commands are recorded under this name.
    #[must_use]
    pub fn operated_by(mut self, name: String) -> Self {
        self.operator = name;
        self
    }

    /// Commands are refused for this reason.
    #[must_use]
    pub const fn read_only(mut self, why: Option<&'static str>) -> Self {
        self.read_only = why;
        self
    }

    /// Ends by itself at this instant.
    #[must_use]
    pub const fn until(mut self, at: Option<Timestamp>) -> Self {
        self.until = at;
        self
    }

    /// Calls this with what the end waits for.
    #[must_use]
    pub fn says_waiting_to(mut self, say: impl Fn(&str) + Send + 'static) -> Self {
        self.say_waiting = Box::new(say);
        self
    }

    /// Starts the drivers of the engine's arrays. To be called before the loop runs.
    pub fn start_drivers(&mut self, drivers: Vec<ArrayDriverConfig>) {
        for text in self.drivers.configure(drivers) {
            self.engine_host.tell(Event::Trouble { vm: None, text }, &mut self.outputs, &mut self.asks);
        }
    }

    /// News of the history from before the loop runs.
    pub fn hears(&mut self, news: HistoryNews) {
        self.on_worker_event(WorkerEvent::History(news));
    }

    /// Hands the engine host to the start-up. To be called before the loop runs.
    pub fn prepare(&mut self, with: impl FnOnce(&mut EngineHost, &mut Outputs, &mut Asked)) {
        with(&mut self.engine_host, &mut self.outputs, &mut self.asks);
    }

    /// Runs until told to stop, until its time is up, or until nobody reads what it writes. `says` are a console's.
    pub async fn run(
        mut self,
        mut control: mpsc::Receiver<Control>,
        mut says: Option<mpsc::Receiver<UiCommand>>,
    ) -> Ended {
        // The history first, so that it has what is decided at the first instant.
        while let Some(word) = self.workers.heard() {
            self.on_worker_event(word);
        }
        self.catch_up();
        loop {
            if let Some(ended) = self.show() {
                return self.end(ended);
            }
            let woken = match self.next_look() {
                // Unpaced time stands still while a migration is being written down.
                None if self.workers.is_journalling() => Woken::Worker(self.workers.next().await),
                None => {
                    tokio::task::yield_now().await;
                    control.try_recv().map_or(Woken::Due, |word| Woken::Control(Some(word)))
                }
                Some(at) => self.wait(at, &mut control, &mut says).await,
            };
            match woken {
                // Only this catches up, so that an answer to the console does not wait for what is due.
                Woken::Due => self.catch_up(),
                Woken::Control(Some(Control::Reload)) => self.reload(),
                Woken::Control(_) | Woken::UiCommand(None) => return self.end(Ended::Stopped),
                Woken::UiCommand(Some(say)) => self.on_ui_command(say),
                Woken::Polled(polled) => self.on_polled(polled),
                Woken::DriverEvent(event) => self.on_driver_event(event),
                Woken::Worker(event) => self.on_worker_event(event),
                Woken::Call(call) => self.on_call(call),
            }
        }
    }

    async fn wait(
        &mut self,
        at: Instant,
        control: &mut mpsc::Receiver<Control>,
        says: &mut Option<mpsc::Receiver<UiCommand>>,
    ) -> Woken {
        let said = async {
            match says {
                Some(says) => says.recv().await,
                None => std::future::pending().await,
            }
        };
        // Drivers' events come before readings, so that a fleet's readings do not delay a migration's outcome.
        let woken = tokio::select! {
            biased;
            word = control.recv() => Err(Woken::Control(word)),
            say = said => Err(Woken::UiCommand(say)),
            event = self.workers.next() => Err(Woken::Worker(event)),
            event = self.drivers.next() => Err(Woken::DriverEvent(event)),
            call = self.control_endpoint.call() => Err(Woken::Call(call)),
            Some(ended) = self.polls.next(), if !self.polls.is_empty() => Ok(ended),
            () = sleep_until(at) => Err(Woken::Due),
        };
        woken.map_or_else(|woken| woken, |ended| Woken::Polled(self.polls.settle(ended, self.engine_host.monitors())))
    }

    /// When to look again; `None` = at once.
    fn next_look(&self) -> Option<Instant> {
        let due = self.engine_host.next_wake().min(self.until.unwrap_or(Timestamp::NEVER));
        let due = if due == Timestamp::NEVER { Some(Instant::now() + HEARTBEAT) } else { self.pace.wake_for(due) };
        let batcher = &self.outputs.batcher;
        let waits = batcher.is_on() && (batcher.waiting() > 0 || batcher.is_urgent());
        let due = due.map(|due| if waits { due.min(self.flush_due()) } else { due });
        match &self.outputs.output {
            Output::Print(_) => due,
            Output::Publish(_) => {
                let show = self.published + if self.stale { PUBLISH_EVERY } else { HEARTBEAT };
                due.map(|due| due.min(show))
            }
        }
    }

    /// Does everything that is due by now, each at its own instant if time is simulated.
    fn catch_up(&mut self) {
        let end = self.until.unwrap_or(Timestamp::NEVER);
        if !self.pace.is_simulated() {
            let now = self.pace.now(self.engine_host.now());
            if self.engine_host.next_wake() <= now && self.engine_host.next_wake() <= end {
                self.wake(now);
            }
            return;
        }
        let now = match self.pace {
            Pace::Unpaced => end,
            pace => pace.now(self.engine_host.now()).min(end),
        };
        for _ in 0..UNPACED_STEPS {
            let due = self.engine_host.next_wake();
            if due > now || (self.workers.is_journalling() && matches!(self.pace, Pace::Unpaced)) {
                break;
            }
            self.wake(due);
        }
    }

    fn wake(&mut self, now: Timestamp) {
        fault("engine");
        self.engine_host.wake(now, &mut self.outputs, &mut self.asks);
        self.stale = true;
        self.pass_on();
    }

    /// Hands on what only others can do: read services, drive VMs, write the journal.
    fn pass_on(&mut self) {
        for vm in self.asks.reads.drain(..) {
            self.polls.start(vm);
        }
        for (array, job) in self.asks.jobs.drain(..) {
            self.drivers.order(array, job);
        }
        for migration in std::mem::take(&mut self.asks.journal) {
            match &mut self.workers.journal {
                Some(journal) => journal.begin(self.engine_host.now(), migration),
                None => {
                    let why = "there is no place for a journal".to_owned();
                    let refused = Event::NotJournalled { id: migration.route.id, why };
                    self.engine_host.tell(refused, &mut self.outputs, &mut self.asks);
                }
            }
        }
        self.settle_ended();
    }

    /// Tells the journal which migrations have ended.
    fn settle_ended(&mut self) {
        for (id, phase) in self.outputs.batcher.take_settled() {
            if let Some(journal) = &self.workers.journal {
                journal.settle(id, phase.word());
            }
        }
    }

    /// Tells the engine something at the present instant.
    fn tell(&mut self, event: Event) {
        self.come_to_now();
        self.engine_host.tell(event, &mut self.outputs, &mut self.asks);
        self.stale = true;
        self.pass_on();
    }

    /// Does what is due by now, before something else happens.
    fn come_to_now(&mut self) {
        let now = self.pace.now(self.engine_host.now());
        while self.pace.is_simulated() && self.engine_host.next_wake() < now {
            self.wake(self.engine_host.next_wake());
        }
        self.engine_host.wake(now, &mut self.outputs, &mut self.asks);
    }

    const fn engine(&self) -> &Engine {
        self.engine_host.engine()
    }

    /// Prints, publishes and keeps what happened. Returns why the loop ends, if it does.
    fn show(&mut self) -> Option<Ended> {
        let time_up = self.until.is_some_and(|end| self.is_over(end));
        match &mut self.outputs.output {
            Output::Print(printer) => {
                let quick = matches!(self.pace, Pace::Unpaced) && !time_up && !printer.is_broken();
                if !quick && let Err(error) = printer.flush() {
                    return Some(Ended::Unread(error));
                }
                let lost = printer.take_lost();
                if lost > 0 && !std::mem::replace(&mut self.unread, true) {
                    let text = format!("standard output is not read: {lost} lines were given up; the history has them");
                    self.tell(Event::Trouble { vm: None, text });
                }
            }
            Output::Publish(_) => {
                let age = self.published.elapsed();
                if age >= HEARTBEAT || (self.stale && age >= PUBLISH_EVERY) {
                    self.publish();
                }
            }
        }
        self.keep(false);
        self.reload_refused();
        time_up.then_some(Ended::TimeUp)
    }

    /// When the history gets its next rows.
    fn flush_due(&self) -> Instant {
        let simulated = self.pace.is_simulated();
        let soon = self.workers.is_looked_at() || (self.outputs.batcher.is_urgent() && !simulated);
        self.flushed
            + if soon {
                FLUSH_SOON
            } else if simulated {
                FLUSH_LATE
            } else {
                FLUSH_EVERY
            }
    }

    fn keep(&mut self, at_last: bool) {
        let unpaced = matches!(self.pace, Pace::Unpaced);
        let full = self.outputs.batcher.waiting() >= LARGEST_BATCH;
        let due = full || (!unpaced && self.flush_due() <= Instant::now());
        if !self.outputs.batcher.is_on() || !(due || at_last) {
            return;
        }
        self.outputs.batcher.flush(&mut self.engine_host, unpaced);
        self.flushed = Instant::now();
        let lost = self.outputs.batcher.take_lost();
        if lost > 0 && !self.losing {
            self.losing = true;
            let text = format!("the history does not keep up: {lost} rows were given up");
            self.tell(Event::Trouble { vm: None, text });
        }
    }

    /// Whether everything up to the end was done, and the end has come.
    fn is_over(&self, end: Timestamp) -> bool {
        match self.pace {
            Pace::Real => self.pace.now(self.engine_host.now()) >= end,
            Pace::Unpaced => self.engine_host.next_wake() > end && !self.workers.is_journalling(),
            Pace::Simulated { .. } => {
                self.engine_host.next_wake() > end && self.pace.now(self.engine_host.now()) >= end
            }
        }
    }

    fn publish(&mut self) {
        if let Some(publisher) = self.outputs.publisher() {
            publisher.publish(self.engine_host.engine(), self.pace.now(self.engine_host.now()));
            self.published = Instant::now();
            self.stale = false;
        }
    }

    fn end(&mut self, ended: Ended) -> Ended {
        self.keep(true);
        let unsaved = self.write_the_rest();
        let ended = match &mut self.outputs.output {
            Output::Print(printer) => printer.flush().map_or_else(Ended::Unread, |()| ended),
            Output::Publish(_) => ended,
        };
        info!(?ended, "end");
        match (unsaved, ended) {
            (Some(unsaved), Ended::Stopped | Ended::TimeUp) => Ended::Unsaved(unsaved),
            (_, ended) => ended,
        }
    }

    /// Waits until history and journal are written. Returns what was not.
    fn write_the_rest(&mut self) -> Option<String> {
        let mut flushed = self.outputs.batcher.close(WAITS_SILENTLY);
        if flushed == Flushed::Late {
            (self.say_waiting)("writing the history …");
            flushed = self.outputs.batcher.close(WRITTEN_WITHIN - WAITS_SILENTLY);
        }
        self.settle_ended();
        let journal = self.workers.journal.as_ref().is_none_or(|journal| journal.flush(JOURNAL_WITHIN));
        let unsaved = match flushed {
            Flushed::Written if journal => return None,
            Flushed::Written => {
                "the journal was not written: the next whimbrel asks the hosts how migrations ended".to_owned()
            }
            Flushed::Failed => {
                "the history could not be written at the end: what happened since its last alarm is lost".to_owned()
            }
            Flushed::Late => format!(
                "the history was not written within {} s: what happened last is lost; see after its disk",
                WRITTEN_WITHIN.as_secs()
            ),
        };
        error!("{unsaved}");
        Some(unsaved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{Monitor, Reading, Source, Span, VmId};
    use crate::core::engine::{Command, Target};
    use crate::core::simulation::{START, Scenario, Size};
    use crate::edge::config;
    use crate::runtime::config_worker::{Changed, ConfigInputs};
    use crate::runtime::{Format, HistoryBatcher, Printer, Publisher};
    use crate::view::{CommandId, Editing, SetValue, Snapshot};

    /// A VM that a real monitor reads. Its URL is invalid, so that no connection is ever made.
    fn event_loop() -> EventLoop {
        let (cluster, mut monitors, plan) = Scenario::One.build(Size::default(), 1);
        let source = Source::Http { url: "nowhere".to_owned(), expect: 200 };
        monitors[0] = Monitor { source, deadline: Span::from_secs(1) };
        let engine_host = EngineHost::new(cluster, monitors, plan, START);
        // Every VM's first reading is due by now.
        let began = Instant::now() - Duration::from_secs(2);
        let pace = Pace::Simulated { start: START, began, speed: 60.0 };
        let show = Output::Print(Printer::new(Format::Json, Box::new(io::sink())));
        EventLoop::new(engine_host, pace, Outputs::new(show, HistoryBatcher::none()), Workers::default())
    }

    async fn polled(event_loop: &mut EventLoop) -> Vec<Polled> {
        let mut all = Vec::new();
        while let Some(ended) = event_loop.polls.next().await {
            all.push(event_loop.polls.settle(ended, event_loop.engine_host.monitors()));
        }
        all
    }

    #[tokio::test]
    async fn what_is_due_is_read_by_a_real_monitor() {
        let mut event_loop = event_loop();
        event_loop.come_to_now();
        event_loop.pass_on();
        let all = polled(&mut event_loop).await;
        assert!(matches!(&all[..], [Polled::Reading(VmId(0), Reading::Gap(why))] if why.contains("URL")));
    }

    /// A VM that always wants to move.
    const BUSY: &str = r#"
            mode = "auto"
            [history]
            file = "a.db"
            [[array]]
            name = "a"
            host = ["mln1", "mln2"]
            [[vm]]
            name = "nii2"
            host = "mln1"
            monitor = { kind = "simulated", service = "apache" }
            policy = { kind = "threshold", threshold = 100000, tarry = 1 }
        "#;

    /// A config file, and the folder that goes with it.
    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("whimbrel.toml");
        std::fs::write(&path, text).expect("a file");
        (folder, path)
    }

    #[tokio::test]
    async fn the_very_first_migration_is_written_down_before_it_starts() {
        let (_folder, path) = written(BUSY);
        let show = Output::Print(Printer::new(Format::Json, Box::new(io::sink())));
        let journal = Some(path.with_extension("journal"));
        let loaded = config::load_with_bytes(&path).expect("a config");
        let mut event_loop = crate::runtime::start::over_with(loaded, journal, show, None).expect("a history");
        for _ in 0..20 {
            if event_loop.engine().migrations().next().is_none() {
                event_loop.wake(event_loop.engine_host.next_wake());
            }
        }
        assert!(event_loop.workers.is_journalling(), "it waits for its journal");
        let stage = event_loop.engine().migrations().next().map(|migration| migration.stage());
        assert_eq!(stage, Some(crate::core::engine::StageKind::Journal));
    }

    #[tokio::test]
    async fn a_config_that_a_migration_stands_against_is_applied_when_that_is_done() {
        let (_folder, path) = written(include_str!("../../../config/first.toml"));
        let mut event_loop = event_loop();
        let inputs = ConfigInputs { file: Some(path.clone()), ..ConfigInputs::default() };
        event_loop.workers.start_config(inputs).expect("a worker");
        event_loop.come_to_now();
        let there = Command::Move { vm: "nii2".to_owned(), target: Target::Host("mln5".to_owned()) };
        event_loop.engine_host.command("operator", there, &mut event_loop.outputs, &mut event_loop.asks);
        assert_eq!(event_loop.engine().migrations().count(), 1);
        let config = config::load(&path).expect("a config");
        event_loop.changed(reread(config, None)).expect_err("a migration is under way");
        assert!(event_loop.engine().cluster().vm_named("nii2").is_some(), "it is on its way: the old config stays");
        while event_loop.engine().migrations().next().is_some() {
            event_loop.wake(event_loop.engine_host.next_wake());
        }
        event_loop.reload_refused();
        while event_loop.engine().cluster().vm_named("nii2").is_some() {
            let event = event_loop.workers.next().await;
            event_loop.on_worker_event(event);
        }
        assert!(event_loop.refused.is_none() && event_loop.engine().cluster().vm_named("web").is_some());
    }

    #[tokio::test]
    async fn what_was_due_before_a_reload_is_not_asked_of_the_new_configs_vms() {
        let (_folder, path) = written(include_str!("../../../config/first.toml"));
        let config = config::load(&path).expect("a config");
        let mut event_loop = event_loop();
        event_loop.changed(reread(config, None)).expect("it can be applied");
        assert!(event_loop.engine_host.engine().cluster().vm_named("nii1").is_none(), "the config is the new one");
        assert!(polled(&mut event_loop).await.iter().all(|polled| matches!(polled, Polled::Outdated)));
    }

    #[tokio::test]
    async fn a_burst_of_readings_does_not_keep_a_drivers_fact_waiting() {
        let mut event_loop = event_loop();
        let fact = DriverEvent::Trouble { vm: None, text: "a fact".to_owned() };
        event_loop.drivers = Drivers::saying(std::iter::repeat_n(fact.clone(), 3));
        event_loop.come_to_now();
        event_loop.pass_on();
        assert!(!event_loop.polls.is_empty());
        // The poll ends as soon as its task has run.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let (_control, mut control) = mpsc::channel(1);
        let far = Instant::now() + Duration::from_secs(3_600);
        for _ in 0..3 {
            let woken = event_loop.wait(far, &mut control, &mut None).await;
            assert!(matches!(woken, Woken::DriverEvent(said) if said == fact), "the driver first");
        }
        assert!(matches!(event_loop.wait(far, &mut control, &mut None).await, Woken::Polled(Polled::Reading(..))));
    }

    #[tokio::test]
    async fn without_a_place_for_a_journal_no_migration_starts() {
        let (_folder, path) = written(BUSY);
        let show = Output::Print(Printer::new(Format::Json, Box::new(io::sink())));
        let loaded = config::load_with_bytes(&path).expect("a config");
        let mut event_loop = crate::runtime::start::over_with(loaded, None, show, None).expect("an engine");
        for _ in 0..20 {
            event_loop.wake(event_loop.engine_host.next_wake());
            assert_eq!(event_loop.engine().migrations().count(), 0, "asked for, refused at once");
        }
        let last = event_loop.engine().keep(VmId(0)).outcome(RequestId(1));
        assert!(last.is_some(), "one was asked for");
    }

    /// A changed file as its worker tells of it.
    fn reread(config: config::Config, before: Option<config::Config>) -> Changed {
        let said = before.as_ref().map_or_else(Vec::new, |before| config::differences(before, &config));
        Changed { config, before, said, editing: Editing::default(), origins: Vec::new() }
    }

    /// A loop that shows a console what it does; with a worker for this config file.
    fn shown(path: &std::path::Path) -> (EventLoop, tokio::sync::watch::Receiver<std::sync::Arc<Snapshot>>) {
        let config = config::load(path).expect("a config");
        let engine_host = EngineHost::new(config.cluster, config.monitors, config.plan, START);
        let (publisher, seen) = Publisher::new(engine_host.engine(), START, crate::view::Clock::Real, None);
        let outputs = Outputs::new(Output::Publish(publisher), HistoryBatcher::none());
        let mut workers = Workers::default();
        let inputs = ConfigInputs { file: Some(path.to_owned()), ..ConfigInputs::default() };
        workers.start_config(inputs).expect("a worker");
        (EventLoop::new(engine_host, Pace::Unpaced, outputs, workers), seen)
    }

    #[tokio::test]
    async fn each_answer_has_the_id_of_its_command() {
        let (_folder, path) = written(include_str!("../../../config/first.toml"));
        let (mut event_loop, seen) = shown(&path);
        let vm = event_loop.engine().cluster().vms[0].name.clone();
        let set = |value| SetValue {
            vms: vec![vm.as_str().into()],
            scope: crate::view::Scope::Block,
            field: crate::core::policy::Field::Threshold,
            value,
        };
        let nobody = Command::Move { vm: "nobody".to_owned(), target: Target::Next };
        event_loop.on_ui_command(UiCommand::SetValue(CommandId(1), set(4_321.0)));
        event_loop.on_ui_command(UiCommand::SetValue(CommandId(2), set(4_321.0)));
        event_loop.on_ui_command(UiCommand::Reload(CommandId(3)));
        event_loop.on_ui_command(UiCommand::Command(CommandId(4), nobody));
        event_loop.on_ui_command(UiCommand::Command(CommandId(5), Command::Hold { vm: vm.to_string() }));
        let answers = || -> Vec<(Option<CommandId>, bool)> {
            seen.borrow().answers.iter().map(|answer| (answer.to, answer.ok)).collect()
        };
        while answers().len() < 5 {
            let event = event_loop.workers.next().await;
            event_loop.on_worker_event(event);
            event_loop.publish();
        }
        let expected =
            [(4, false), (5, true), (1, true), (2, false), (3, true)].map(|(id, ok)| (Some(CommandId(id)), ok));
        assert_eq!(answers(), expected);
    }

    #[tokio::test]
    async fn what_is_said_after_the_answer_is_nobodys_answer() {
        let (_folder, path) = written(BUSY);
        let (mut event_loop, seen) = shown(&path);
        event_loop.wake(event_loop.engine_host.next_wake());
        let there = Command::Move { vm: "nii2".to_owned(), target: Target::Host("mln2".to_owned()) };
        event_loop.engine_host.journal_outside(true);
        event_loop.on_ui_command(UiCommand::Command(CommandId(1), there));
        event_loop.publish();
        let answers = || -> Vec<(Option<CommandId>, bool)> {
            seen.borrow().answers.iter().map(|answer| (answer.to, answer.ok)).collect()
        };
        // There is no journal: the move is taken, and refused when it is to be written down.
        assert_eq!(answers(), [(Some(CommandId(1)), true), (None, false)]);
    }

    #[tokio::test]
    async fn what_could_not_be_applied_is_said_when_it_can_be() {
        const TEXT: &str = r#"
            [[array]]
            name = "a"
            host = ["mln1", "mln2"]
            [[vm]]
            name = "nii2"
            host = "mln1"
            monitor = { kind = "simulated", service = "apache" }
            policy = { kind = "threshold", threshold = 5, tarry = 3 }
            [[vm]]
            name = "nii3"
            host = "mln1"
            monitor = { kind = "simulated", service = "apache" }
            policy = { kind = "threshold", threshold = 5, tarry = 3 }
        "#;
        let parse = |text: &str| config::parse(std::path::Path::new("w.toml"), text).expect("a config");
        let old = parse(TEXT);
        let engine_host = EngineHost::new(old.cluster.clone(), old.monitors.clone(), old.plan.clone(), START);
        let (publisher, seen) = Publisher::new(engine_host.engine(), START, crate::view::Clock::Real, None);
        let mut event_loop = EventLoop::new(
            engine_host,
            Pace::Unpaced,
            Outputs::new(Output::Publish(publisher), HistoryBatcher::none()),
            Workers::default(),
        );
        event_loop.wake(event_loop.engine_host.next_wake());
        let there = Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln2".to_owned()) };
        event_loop.on_ui_command(UiCommand::Command(CommandId(1), there));
        let new = parse(&TEXT.replace("name = \"nii3\"", "name = \"nii4\""));
        let about = |event_loop: &mut EventLoop, words: &str| -> Vec<String> {
            event_loop.publish();
            seen.borrow().log.iter().map(|line| line.text.clone()).filter(|text| text.contains(words)).collect()
        };
        event_loop.changed(reread(new.clone(), Some(old))).expect_err("a migration is under way");
        assert!(about(&mut event_loop, "config not applied: nii3 is migrating").len() == 1);
        assert_eq!(about(&mut event_loop, "removed"), Vec::<String>::new());
        while event_loop.engine().migrations().next().is_some() {
            event_loop.wake(event_loop.engine_host.next_wake());
        }
        // Read again when it is done, the file is as it was then.
        for _ in 0..2 {
            event_loop.changed(reread(new.clone(), Some(new.clone()))).expect("it can be applied");
            assert_eq!(about(&mut event_loop, "removed"), ["config: VM nii3: removed"]);
        }
    }
}
