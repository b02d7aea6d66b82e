//! The event loop. It wakes the engine host when something is due, has real services read, takes commands, reloads the config
//! and ends.

mod handlers;

use std::io;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::{error, info};

use crate::core::cluster::{RequestId, Timestamp};
use crate::core::engine::{Deadlines, Engine, Event};
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
use super::outputs::{Frontend, Outputs};
use super::pace::Pace;
use super::polls::{Polled, Polls};
use super::queues::queue_view;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// End the program.
    Stop,
    /// Read the config again.
    Reload,
    /// Something is wrong with the sender, in words.
    Trouble(String),
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
    pub fn new(mut engine_host: EngineHost, pace: Pace, outputs: Outputs, workers: Workers) -> Self {
        engine_host.set_deadlines(deadlines(pace));
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
                Woken::Control(Some(Control::Trouble(text))) => self.tell(Event::Trouble { vm: None, text }),
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
        tokio::select! {
            biased;
            word = control.recv() => Woken::Control(word),
            say = said => Woken::UiCommand(say),
            event = self.workers.next() => Woken::Worker(event),
            event = self.drivers.next() => Woken::DriverEvent(event),
            call = self.control_endpoint.call() => Woken::Call(call),
            Some(polled) = self.polls.next(self.engine_host.monitors()) => Woken::Polled(polled),
            () = sleep_until(at) => Woken::Due,
        }
    }

    /// When to look again; `None` = at once.
    fn next_look(&self) -> Option<Instant> {
        let due = self.engine_host.next_wake().min(self.until.unwrap_or(Timestamp::NEVER));
        let due = if due == Timestamp::NEVER { Some(Instant::now() + HEARTBEAT) } else { self.pace.wake_for(due) };
        let batcher = &self.outputs.batcher;
        let waits = batcher.is_on() && (batcher.waiting() > 0 || batcher.is_urgent());
        let due = due.map(|due| if waits { due.min(self.flush_due()) } else { due });
        match &self.outputs.frontend {
            Frontend::Print(_) => due,
            Frontend::Publish(_) => {
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
            if let Some(journal) = &mut self.workers.journal {
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
        match &mut self.outputs.frontend {
            Frontend::Print(printer) => {
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
            Frontend::Publish(_) => {
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
            publisher.extras.queue = queue_view(&self.engine_host, publisher);
            publisher.publish(self.engine_host.engine(), self.pace.now(self.engine_host.now()));
            self.published = Instant::now();
            self.stale = false;
        }
    }

    fn end(&mut self, ended: Ended) -> Ended {
        self.keep(true);
        let unsaved = self.write_the_rest();
        let ended = match &mut self.outputs.frontend {
            Frontend::Print(printer) => printer.flush().map_or_else(Ended::Unread, |()| ended),
            Frontend::Publish(_) => ended,
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
                "the history was not written within {} s: what happened last is lost; check its disk",
                WRITTEN_WITHIN.as_secs()
            ),
        };
        error!("{unsaved}");
        Some(unsaved)
    }
}

/// How long the engine waits for answers.
///
/// `WHIMBREL_DEADLINES=20` in the environment makes this a twentieth as long. It is internal: tests that stop the process for
/// longer than any deadline use it.
fn deadlines(pace: Pace) -> Deadlines {
    let part = std::env::var("WHIMBREL_DEADLINES").ok().and_then(|n| n.parse().ok());
    let deadlines = part.map_or_else(Deadlines::default, |n| Deadlines::default().divided_by(n));
    match pace {
        Pace::Simulated { speed, .. } => deadlines.at_speed(speed),
        // Unpaced time stands still while a migration is written down.
        Pace::Real | Pace::Unpaced => deadlines,
    }
}

#[cfg(test)]
mod tests;
