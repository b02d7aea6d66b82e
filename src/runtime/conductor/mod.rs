//! The loop: wakes the heart when something is due, reads real services, takes commands, reloads, ends.

mod listen;

use std::io;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};

use crate::core::cluster::{RequestId, Timestamp};
use crate::core::engine::{Engine, Event};
use crate::edge::config::Config;
use crate::edge::control::Call;
use crate::edge::driver::Fact;
use crate::view::Say;

use super::backroom::{Backroom, News, Word};
use super::drives::{Crew, Drives};
use super::heart::{Asked, Heart};
use super::pace::Pace;
use super::polls::{Polled, Polls};
use super::porter::Porter;
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
pub struct Conductor {
    heart: Heart,
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
    porter: Porter,
    drives: Drives,
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
    Say(Option<Say>),
    Polled(Polled),
    Fact(Fact),
    Word(Word),
    Call(Call),
}

impl Conductor {
    /// A loop over a heart.
    pub fn new(heart: Heart, pace: Pace, sink: Sink, backroom: Backroom) -> Self {
        let mut polls = Polls::default();
        polls.configure(heart.monitors());
        Self {
            heart,
            pace,
            sink,
            backroom,
            operator: "operator".to_owned(),
            read_only: None,
            until: None,
            polls,
            porter: Porter::default(),
            drives: Drives::default(),
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

    /// Starts the drivers of the arrays that the heart has; before the loop begins.
    pub fn drive(&mut self, crews: Vec<Crew>) {
        for text in self.drives.configure(crews) {
            self.heart.tell(Event::Trouble { vm: None, text }, &mut self.sink, &mut self.asks);
        }
    }

    /// What is known of the history before the loop begins.
    pub fn hears(&mut self, news: News) {
        self.hear(Word::News(news));
    }

    /// What an earlier engine left behind, and what could not be had; before the loop begins.
    pub fn prepare(&mut self, with: impl FnOnce(&mut Heart, &mut Sink, &mut Asked)) {
        with(&mut self.heart, &mut self.sink, &mut self.asks);
    }

    /// Runs until told to stop, until its time is up, or until nobody reads what it writes. `says` are a console's.
    pub async fn run(mut self, mut control: mpsc::Receiver<Control>, mut says: Option<mpsc::Receiver<Say>>) -> Ended {
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
                Woken::Control(_) | Woken::Say(None) => return self.end(Ended::Stopped),
                Woken::Say(Some(say)) => self.listen(say),
                Woken::Polled(polled) => self.take(polled),
                Woken::Fact(fact) => self.learn(fact),
                Woken::Word(word) => self.hear(word),
                Woken::Call(call) => self.serve(call),
            }
        }
    }

    async fn wait(
        &mut self,
        at: Instant,
        control: &mut mpsc::Receiver<Control>,
        says: &mut Option<mpsc::Receiver<Say>>,
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
            say = said => Err(Woken::Say(say)),
            word = self.backroom.word() => Err(Woken::Word(word)),
            call = self.porter.call() => Err(Woken::Call(call)),
            Some(ended) = self.polls.next(), if !self.polls.is_empty() => Ok(ended),
            fact = self.drives.next() => Err(Woken::Fact(fact)),
            () = sleep_until(at) => Err(Woken::Due),
        };
        woken.map_or_else(|woken| woken, |ended| Woken::Polled(self.polls.settle(ended, self.heart.monitors())))
    }

    /// When to look again; `None` = at once.
    fn next_look(&self) -> Option<Instant> {
        let due = self.heart.next_wake().min(self.until.unwrap_or(Timestamp::NEVER));
        let due = if due == Timestamp::NEVER { Some(Instant::now() + HEARTBEAT) } else { self.pace.wake_for(due) };
        let archive = &self.sink.archive;
        let waits = archive.is_on() && (archive.waiting() > 0 || archive.is_urgent());
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
            let now = self.pace.now(self.heart.now());
            if self.heart.next_wake() <= now && self.heart.next_wake() <= end {
                self.wake(now);
            }
            return;
        }
        let now = match self.pace {
            Pace::Unpaced => end,
            pace => pace.now(self.heart.now()).min(end),
        };
        for _ in 0..UNPACED_STEPS {
            let due = self.heart.next_wake();
            if due > now || (self.backroom.is_owing() && matches!(self.pace, Pace::Unpaced)) {
                break;
            }
            self.wake(due);
        }
    }

    fn wake(&mut self, now: Timestamp) {
        self.heart.wake(now, &mut self.sink, &mut self.asks);
        self.stale = true;
        self.pass_on();
    }

    /// Has done what only others can: reads services, has migrations written down.
    fn pass_on(&mut self) {
        for vm in self.asks.reads.drain(..) {
            self.polls.start(vm);
        }
        for (array, job) in self.asks.jobs.drain(..) {
            self.drives.order(array, job);
        }
        for migration in std::mem::take(&mut self.asks.journal) {
            if self.sink.archive.journal(&migration, self.heart.now()) {
                self.backroom.owes(migration.id);
            } else {
                self.heart.tell(Event::Journalled { id: migration.id }, &mut self.sink, &mut self.asks);
            }
        }
    }

    /// Tells the engine something at the present instant.
    fn tell(&mut self, event: Event) {
        self.come_to_now();
        self.heart.tell(event, &mut self.sink, &mut self.asks);
        self.stale = true;
        self.pass_on();
    }

    /// Everything that is due by now comes before whatever happens now.
    fn come_to_now(&mut self) {
        let now = self.pace.now(self.heart.now());
        while self.pace.is_simulated() && self.heart.next_wake() < now {
            self.wake(self.heart.next_wake());
        }
        self.heart.wake(now, &mut self.sink, &mut self.asks);
    }

    const fn engine(&self) -> &Engine {
        self.heart.engine()
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
        let soon = self.backroom.is_looked_at() || (self.sink.archive.is_urgent() && !simulated);
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
        let full = self.sink.archive.waiting() >= LARGEST_BATCH;
        let due = full || (!unpaced && self.flush_due() <= Instant::now());
        if !self.sink.archive.is_on() || !(due || at_last) {
            return;
        }
        self.sink.archive.flush(&mut self.heart, unpaced);
        self.flushed = Instant::now();
        let lost = self.sink.archive.take_lost();
        if lost > 0 && !self.losing {
            self.losing = true;
            let text = format!("the history does not keep up: {lost} rows were given up");
            self.tell(Event::Trouble { vm: None, text });
        }
    }

    /// Whether everything up to the end was done, and the end has come.
    fn is_over(&self, end: Timestamp) -> bool {
        match self.pace {
            Pace::Real => self.pace.now(self.heart.now()) >= end,
            Pace::Unpaced => self.heart.next_wake() > end && !self.backroom.is_owing(),
            Pace::Simulated { .. } => self.heart.next_wake() > end && self.pace.now(self.heart.now()) >= end,
        }
    }

    fn publish(&mut self) {
        if let Some(publisher) = self.sink.publisher() {
            publisher.publish(self.heart.engine(), self.pace.now(self.heart.now()));
            self.published = Instant::now();
            self.stale = false;
        }
    }

    fn end(&mut self, ended: Ended) -> Ended {
        self.keep(true);
        self.sink.archive.close();
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
    use crate::runtime::{Archive, Format, Printer, Publisher};
    use crate::view::Editing;

    /// A VM that a real monitor is to read. The URL is none, so that nothing is ever connected to.
    fn conductor() -> Conductor {
        let (cluster, mut monitors, plan) = Scenario::One.build(Size::default(), 1);
        let source = Source::Http { url: "nowhere".to_owned(), expect: 200 };
        monitors[0] = Monitor { source, deadline: Span::from_secs(1) };
        let heart = Heart::new(cluster, monitors, plan, START);
        // Every VM's first reading is due by now.
        let began = Instant::now() - Duration::from_secs(2);
        let pace = Pace::Simulated { start: START, began, speed: 60.0 };
        let show = Show::Print(Printer::new(Format::Json, Box::new(io::sink())));
        Conductor::new(heart, pace, Sink::new(show, Archive::none()), Backroom::default())
    }

    async fn polled(conductor: &mut Conductor) -> Vec<Polled> {
        let mut all = Vec::new();
        while let Some(ended) = conductor.polls.next().await {
            all.push(conductor.polls.settle(ended, conductor.heart.monitors()));
        }
        all
    }

    #[tokio::test]
    async fn what_is_due_is_read_by_a_real_monitor() {
        let mut conductor = conductor();
        conductor.come_to_now();
        conductor.pass_on();
        let all = polled(&mut conductor).await;
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
        let mut conductor =
            crate::runtime::over(config::load_with_bytes(&path).expect("a config"), show, None).expect("a history");
        for _ in 0..20 {
            if conductor.engine().flights().next().is_none() {
                conductor.wake(conductor.heart.next_wake());
            }
        }
        assert!(conductor.backroom.is_owing(), "it waits for its journal");
        let stage = conductor.engine().flights().next().map(|flight| flight.stage);
        assert_eq!(stage, Some(crate::core::engine::Stage::Journal));
    }

    #[tokio::test]
    async fn a_config_that_a_migration_stands_against_is_applied_when_that_is_done() {
        let (_folder, path) = written(include_str!("../../../config/first.toml"));
        let mut conductor = conductor();
        let papers = Papers { file: Some(path.clone()), ..Papers::default() };
        conductor.backroom.open_desk(papers).expect("a desk");
        conductor.come_to_now();
        let there = Command::Move { vm: "nii2".to_owned(), target: Target::Host("mln5".to_owned()) };
        conductor.heart.command("operator", there, &mut conductor.sink, &mut conductor.asks);
        assert_eq!(conductor.engine().flights().count(), 1);
        let config = config::load(&path).expect("a config");
        conductor.changed(reread(config, None));
        assert!(conductor.engine().cluster().vm_named("nii2").is_some(), "it is on its way: the old config stays");
        while conductor.engine().flights().next().is_some() {
            conductor.wake(conductor.heart.next_wake());
        }
        conductor.reload_refused();
        while conductor.engine().cluster().vm_named("nii2").is_some() {
            let word = conductor.backroom.word().await;
            conductor.hear(word);
        }
        assert!(conductor.refused.is_none() && conductor.engine().cluster().vm_named("web").is_some());
    }

    #[tokio::test]
    async fn what_was_due_before_a_reload_is_not_asked_of_the_new_configs_vms() {
        let (_folder, path) = written(include_str!("../../../config/first.toml"));
        let config = config::load(&path).expect("a config");
        let mut conductor = conductor();
        conductor.changed(reread(config, None));
        assert!(conductor.heart.engine().cluster().vm_named("nii1").is_none(), "the config is the new one");
        assert!(polled(&mut conductor).await.iter().all(|polled| matches!(polled, Polled::Outdated)));
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
        let heart = Heart::new(old.cluster.clone(), old.monitors.clone(), old.plan.clone(), START);
        let (publisher, seen) = Publisher::new(heart.engine(), START, crate::view::Clock::Real, None);
        let mut conductor = Conductor::new(
            heart,
            Pace::Unpaced,
            Sink::new(Show::Publish(publisher), Archive::none()),
            Backroom::default(),
        );
        conductor.wake(conductor.heart.next_wake());
        conductor
            .listen(Say::Command(Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln2".to_owned()) }));
        let new = parse(&TEXT.replace("name = \"nii3\"", "name = \"nii4\""));
        let about = |conductor: &mut Conductor, words: &str| -> Vec<String> {
            conductor.publish();
            seen.borrow().log.iter().map(|line| line.text.clone()).filter(|text| text.contains(words)).collect()
        };
        conductor.changed(reread(new.clone(), Some(old)));
        assert!(about(&mut conductor, "config not applied: nii3 is migrating").len() == 1);
        assert_eq!(about(&mut conductor, "removed"), Vec::<String>::new());
        while conductor.engine().flights().next().is_some() {
            conductor.wake(conductor.heart.next_wake());
        }
        // Read again when it is done, the file is as it was then.
        for _ in 0..2 {
            conductor.changed(reread(new.clone(), Some(new.clone())));
            assert_eq!(about(&mut conductor, "removed"), ["config: VM nii3: removed"]);
        }
    }
}
