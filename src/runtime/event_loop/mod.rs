//! The loop: wakes the engine_host when something is due, reads real services, takes commands, reloads, ends.

mod handlers;

use std::io;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};

use crate::core::cluster::{RequestId, Timestamp};
use crate::core::engine::{Engine, Event};
use crate::edge::config::Config;
use crate::edge::control::Call;
use crate::edge::driver::DriverEvent;
use crate::view::UiCommand;

use super::backroom::{Backroom, News, Word};
use super::control_endpoint::ControlEndpoint;
use super::drivers::{ArrayDriverConfig, Drivers};
use super::engine_host::{Asked, EngineHost};
use super::pace::Pace;
use super::polls::{Polled, Polls};
use super::sink::{Show, Sink};

/// A console sees at most ten snapshots a second …
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
/// … and at least one, so that it can tell a quiet cluster from a silent engine.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Unpaced steps between two looks at the signals.
const UNPACED_STEPS: usize = 20_000;
/// What is to be kept is handed on so often, …
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// … later where nothing is lost by it, …
const FLUSH_LATE: Duration = Duration::from_secs(10);
/// … and sooner if somebody looks at it or if something happened.
const FLUSH_SOON: Duration = Duration::from_millis(250);
/// So many readings are handed on whatever the time: what waits takes memory.
const LARGEST_BATCH: usize = 8_192;

/// A word for the loop from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// End.
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
    /// Nobody reads what it writes.
    Unread(io::Error),
}

/// The loop's owner.
pub struct EventLoop {
    engine_host: EngineHost,
    pace: Pace,
    sink: Sink,
    backroom: Backroom,
    /// Who is at the console.
    operator: String,
    /// Why nothing is commanded here, if so.
    read_only: Option<&'static str>,
    /// The instant at which it ends by itself.
    until: Option<Timestamp>,
    polls: Polls,
    control_endpoint: ControlEndpoint,
    drivers: Drivers,
    asks: Asked,
    published: Instant,
    stale: bool,
    flushed: Instant,
    /// Readings were given up, and that was said.
    losing: bool,
    /// What was printed was not read in time, and that was said.
    unread: bool,
    /// Migrations that were under way when a config could not be applied, and why it could not.
    refused: Option<(Vec<RequestId>, String)>,
    /// The config that runs, if the file's could not be applied.
    applied: Option<Config>,
}

enum Woken {
    Due,
    Control(Option<Control>),
    UiCommand(Option<UiCommand>),
    Polled(Polled),
    DriverEvent(DriverEvent),
    Word(Word),
    Call(Call),
}

impl EventLoop {
    /// A loop over a engine_host.
    pub fn new(engine_host: EngineHost, pace: Pace, sink: Sink, backroom: Backroom) -> Self {
        let mut polls = Polls::default();
        polls.configure(engine_host.monitors());
        Self {
            engine_host,
            pace,
            sink,
            backroom,
            operator: "operator".to_owned(),
            read_only: None,
            until: None,
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

    /// Commands are this person's.
    #[must_use]
    pub fn operated_by(mut self, name: String) -> Self {
        self.operator = name;
        self
    }

    /// Commands are refused, with this reason.
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

    /// Starts the drivers of the arrays that the engine_host has; before the loop begins.
    pub fn drive(&mut self, crews: Vec<ArrayDriverConfig>) {
        for text in self.drivers.configure(crews) {
            self.engine_host.tell(Event::Trouble { vm: None, text }, &mut self.sink, &mut self.asks);
        }
    }

    /// What is known of the history before the loop begins.
    pub fn hears(&mut self, news: News) {
        self.hear(Word::News(news));
    }

    /// What an earlier engine left behind, and what could not be had; before the loop begins.
    pub fn prepare(&mut self, with: impl FnOnce(&mut EngineHost, &mut Sink, &mut Asked)) {
        with(&mut self.engine_host, &mut self.sink, &mut self.asks);
    }

    /// Runs until told to stop, until its time is up, or until nobody reads what it writes. `says` are a console's.
    pub async fn run(
        mut self,
        mut control: mpsc::Receiver<Control>,
        mut says: Option<mpsc::Receiver<UiCommand>>,
    ) -> Ended {
        // The history first: what is decided at the first instant is written down too.
        while let Some(word) = self.backroom.heard() {
            self.hear(word);
        }
        self.catch_up();
        loop {
            if let Some(ended) = self.show() {
                return self.end(ended);
            }
            let woken = match self.next_look() {
                // Unpaced time stands still while a migration is being written down.
                None if self.backroom.is_owing() => Woken::Word(self.backroom.word().await),
                None => {
                    tokio::task::yield_now().await;
                    control.try_recv().map_or(Woken::Due, |word| Woken::Control(Some(word)))
                }
                Some(at) => self.wait(at, &mut control, &mut says).await,
            };
            match woken {
                // Only then: a look must not have to wait for what is due at the next step.
                Woken::Due => self.catch_up(),
                Woken::Control(Some(Control::Reload)) => self.reload(),
                Woken::Control(_) | Woken::UiCommand(None) => return self.end(Ended::Stopped),
                Woken::UiCommand(Some(say)) => self.listen(say),
                Woken::Polled(polled) => self.take(polled),
                Woken::DriverEvent(fact) => self.learn(fact),
                Woken::Word(word) => self.hear(word),
                Woken::Call(call) => self.serve(call),
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
        let woken = tokio::select! {
            biased;
            word = control.recv() => Err(Woken::Control(word)),
            say = said => Err(Woken::UiCommand(say)),
            word = self.backroom.word() => Err(Woken::Word(word)),
            call = self.control_endpoint.call() => Err(Woken::Call(call)),
            Some(ended) = self.polls.next(), if !self.polls.is_empty() => Ok(ended),
            fact = self.drivers.next() => Err(Woken::DriverEvent(fact)),
            () = sleep_until(at) => Err(Woken::Due),
        };
        woken.map_or_else(|woken| woken, |ended| Woken::Polled(self.polls.settle(ended, self.engine_host.monitors())))
    }

    /// When to look again; `None` = at once.
    fn next_look(&self) -> Option<Instant> {
        let due = self.engine_host.next_wake().min(self.until.unwrap_or(Timestamp::NEVER));
        let due = if due == Timestamp::NEVER { Some(Instant::now() + HEARTBEAT) } else { self.pace.wake_for(due) };
        let batcher = &self.sink.batcher;
        let waits = batcher.is_on() && (batcher.waiting() > 0 || batcher.is_urgent());
        let due = due.map(|due| if waits { due.min(self.flush_due()) } else { due });
        match &self.sink.show {
            Show::Print(_) => due,
            Show::Publish(_) => {
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
            if due > now || (self.backroom.is_owing() && matches!(self.pace, Pace::Unpaced)) {
                break;
            }
            self.wake(due);
        }
    }

    fn wake(&mut self, now: Timestamp) {
        self.engine_host.wake(now, &mut self.sink, &mut self.asks);
        self.stale = true;
        self.pass_on();
    }

    /// Has done what only others can: reads services, has migrations written down.
    fn pass_on(&mut self) {
        for vm in self.asks.reads.drain(..) {
            self.polls.start(vm);
        }
        for (array, job) in self.asks.jobs.drain(..) {
            self.drivers.order(array, job);
        }
        for migration in std::mem::take(&mut self.asks.journal) {
            if self.sink.batcher.journal(&migration, self.engine_host.now()) {
                self.backroom.owes(migration.id);
            } else {
                self.engine_host.tell(Event::Journalled { id: migration.id }, &mut self.sink, &mut self.asks);
            }
        }
    }

    /// Tells the engine something at the present instant.
    fn tell(&mut self, event: Event) {
        self.come_to_now();
        self.engine_host.tell(event, &mut self.sink, &mut self.asks);
        self.stale = true;
        self.pass_on();
    }

    /// Everything that is due by now comes before whatever happens now.
    fn come_to_now(&mut self) {
        let now = self.pace.now(self.engine_host.now());
        while self.pace.is_simulated() && self.engine_host.next_wake() < now {
            self.wake(self.engine_host.next_wake());
        }
        self.engine_host.wake(now, &mut self.sink, &mut self.asks);
    }

    const fn engine(&self) -> &Engine {
        self.engine_host.engine()
    }

    /// Hands on what happened. Says so if that cannot be done, or if the time is up.
    fn show(&mut self) -> Option<Ended> {
        let time_up = self.until.is_some_and(|end| self.is_over(end));
        match &mut self.sink.show {
            Show::Print(printer) => {
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
            Show::Publish(_) => {
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

    /// When what is gathered is to be kept.
    fn flush_due(&self) -> Instant {
        // What a simulated cluster does is nobody's loss: it is kept when it suits.
        let simulated = self.pace.is_simulated();
        let soon = self.backroom.is_looked_at() || (self.sink.batcher.is_urgent() && !simulated);
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
        let full = self.sink.batcher.waiting() >= LARGEST_BATCH;
        let due = full || (!unpaced && self.flush_due() <= Instant::now());
        if !self.sink.batcher.is_on() || !(due || at_last) {
            return;
        }
        self.sink.batcher.flush(&mut self.engine_host, unpaced);
        self.flushed = Instant::now();
        let lost = self.sink.batcher.take_lost();
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
            Pace::Unpaced => self.engine_host.next_wake() > end && !self.backroom.is_owing(),
            Pace::Simulated { .. } => {
                self.engine_host.next_wake() > end && self.pace.now(self.engine_host.now()) >= end
            }
        }
    }

    fn publish(&mut self) {
        if let Some(publisher) = self.sink.publisher() {
            publisher.publish(self.engine_host.engine(), self.pace.now(self.engine_host.now()));
            self.published = Instant::now();
            self.stale = false;
        }
    }

    fn end(&mut self, ended: Ended) -> Ended {
        self.keep(true);
        self.sink.batcher.close();
        match &mut self.sink.show {
            Show::Print(printer) => printer.flush().map_or_else(Ended::Unread, |()| ended),
            Show::Publish(_) => ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{Monitor, Reading, Source, Span, VmId};
    use crate::core::engine::{Command, Target};
    use crate::core::simulation::{START, Scenario, Size};
    use crate::edge::config;
    use crate::runtime::desk::{Changed, Papers};
    use crate::runtime::{Format, HistoryBatcher, Printer, Publisher};
    use crate::view::Editing;

    /// A VM that a real monitor is to read. The URL is none, so that nothing is ever connected to.
    fn event_loop() -> EventLoop {
        let (cluster, mut monitors, plan) = Scenario::One.build(Size::default(), 1);
        let source = Source::Http { url: "nowhere".to_owned(), expect: 200 };
        monitors[0] = Monitor { source, deadline: Span::from_secs(1) };
        let engine_host = EngineHost::new(cluster, monitors, plan, START);
        // Every VM's first reading is due by now.
        let began = Instant::now() - Duration::from_secs(2);
        let pace = Pace::Simulated { start: START, began, speed: 60.0 };
        let show = Show::Print(Printer::new(Format::Json, Box::new(io::sink())));
        EventLoop::new(engine_host, pace, Sink::new(show, HistoryBatcher::none()), Backroom::default())
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

    /// A config file, and the folder that goes with it.
    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("whimbrel.toml");
        std::fs::write(&path, text).expect("a file");
        (folder, path)
    }

    #[tokio::test]
    async fn the_very_first_migration_is_written_down_before_it_starts() {
        let text = r#"
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
        let (_folder, path) = written(text);
        let show = Show::Print(Printer::new(Format::Json, Box::new(io::sink())));
        let mut event_loop =
            crate::runtime::over(config::load_with_bytes(&path).expect("a config"), show, None).expect("a history");
        for _ in 0..20 {
            if event_loop.engine().migrations().next().is_none() {
                event_loop.wake(event_loop.engine_host.next_wake());
            }
        }
        assert!(event_loop.backroom.is_owing(), "it waits for its journal");
        let stage = event_loop.engine().migrations().next().map(|migration| migration.stage());
        assert_eq!(stage, Some(crate::core::engine::StageKind::Journal));
    }

    #[tokio::test]
    async fn a_config_that_a_migration_stands_against_is_applied_when_that_is_done() {
        let (_folder, path) = written(include_str!("../../../config/first.toml"));
        let mut event_loop = event_loop();
        let papers = Papers { file: Some(path.clone()), ..Papers::default() };
        event_loop.backroom.open_desk(papers).expect("a desk");
        event_loop.come_to_now();
        let there = Command::Move { vm: "nii2".to_owned(), target: Target::Host("mln5".to_owned()) };
        event_loop.engine_host.command("operator", there, &mut event_loop.sink, &mut event_loop.asks);
        assert_eq!(event_loop.engine().migrations().count(), 1);
        let config = config::load(&path).expect("a config");
        event_loop.changed(reread(config, None));
        assert!(event_loop.engine().cluster().vm_named("nii2").is_some(), "it is on its way: the old config stays");
        while event_loop.engine().migrations().next().is_some() {
            event_loop.wake(event_loop.engine_host.next_wake());
        }
        event_loop.reload_refused();
        while event_loop.engine().cluster().vm_named("nii2").is_some() {
            let word = event_loop.backroom.word().await;
            event_loop.hear(word);
        }
        assert!(event_loop.refused.is_none() && event_loop.engine().cluster().vm_named("web").is_some());
    }

    #[tokio::test]
    async fn what_was_due_before_a_reload_is_not_asked_of_the_new_configs_vms() {
        let (_folder, path) = written(include_str!("../../../config/first.toml"));
        let config = config::load(&path).expect("a config");
        let mut event_loop = event_loop();
        event_loop.changed(reread(config, None));
        assert!(event_loop.engine_host.engine().cluster().vm_named("nii1").is_none(), "the config is the new one");
        assert!(polled(&mut event_loop).await.iter().all(|polled| matches!(polled, Polled::Outdated)));
    }

    /// A changed file as the desk tells of it.
    fn reread(config: config::Config, before: Option<config::Config>) -> Changed {
        let said = before.as_ref().map_or_else(Vec::new, |before| config::differences(before, &config));
        Changed { config, before, said, editing: Editing::default(), origins: Vec::new() }
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
            Sink::new(Show::Publish(publisher), HistoryBatcher::none()),
            Backroom::default(),
        );
        event_loop.wake(event_loop.engine_host.next_wake());
        event_loop.listen(UiCommand::Command(Command::Move {
            vm: "nii3".to_owned(),
            target: Target::Host("mln2".to_owned()),
        }));
        let new = parse(&TEXT.replace("name = \"nii3\"", "name = \"nii4\""));
        let about = |event_loop: &mut EventLoop, words: &str| -> Vec<String> {
            event_loop.publish();
            seen.borrow().log.iter().map(|line| line.text.clone()).filter(|text| text.contains(words)).collect()
        };
        event_loop.changed(reread(new.clone(), Some(old)));
        assert!(about(&mut event_loop, "config not applied: nii3 is migrating").len() == 1);
        assert_eq!(about(&mut event_loop, "removed"), Vec::<String>::new());
        while event_loop.engine().migrations().next().is_some() {
            event_loop.wake(event_loop.engine_host.next_wake());
        }
        // Read again when it is done, the file is as it was then.
        for _ in 0..2 {
            event_loop.changed(reread(new.clone(), Some(new.clone())));
            assert_eq!(about(&mut event_loop, "removed"), ["config: VM nii3: removed"]);
        }
    }
}
