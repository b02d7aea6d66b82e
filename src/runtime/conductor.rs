//! The loop: wakes the heart when something is due, reads real services, takes commands, reloads, ends.

use std::io;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};

use crate::core::cluster::{HostId, Reading, Timestamp};
use crate::core::engine::{Command, Engine, Event, Record};
use crate::edge::config;
use crate::view::Say;

use super::heart::{Asked, Heart, Listener};
use super::pace::Pace;
use super::polls::{Polled, Polls};
use super::print::Printer;
use super::publish::Publisher;

/// A console sees at most ten snapshots a second …
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
/// … and at least one, so that it can tell a quiet cluster from a silent engine.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Unpaced steps between two looks at the signals.
const UNPACED_STEPS: usize = 20_000;

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

/// Where records go.
#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Sink {
    /// Onto standard output.
    Print(Printer),
    /// To a console.
    Publish(Publisher),
}

/// The loop's owner.
pub struct Conductor {
    heart: Heart,
    pace: Pace,
    sink: Sink,
    /// The config to read again on [`Control::Reload`].
    config: Option<PathBuf>,
    /// The instant at which it ends by itself.
    until: Option<Timestamp>,
    polls: Polls,
    asks: Asked,
    published: Instant,
    stale: bool,
}

enum Woken {
    Due,
    Control(Option<Control>),
    Say(Option<Say>),
    Polled(Polled),
}

impl Conductor {
    /// A loop over a heart.
    pub fn new(heart: Heart, pace: Pace, sink: Sink) -> Self {
        let mut polls = Polls::default();
        polls.configure(heart.monitors());
        Self {
            heart,
            pace,
            sink,
            config: None,
            until: None,
            polls,
            asks: Asked::default(),
            published: Instant::now(),
            stale: false,
        }
    }

    /// Reads this file again when asked to.
    #[must_use]
    pub fn with_config(mut self, path: PathBuf) -> Self {
        self.config = Some(path);
        self
    }

    /// Ends by itself at this instant.
    #[must_use]
    pub const fn until(mut self, at: Option<Timestamp>) -> Self {
        self.until = at;
        self
    }

    /// Runs until told to stop, until its time is up, or until nobody reads what it writes. `says` are a console's.
    pub async fn run(mut self, mut control: mpsc::Receiver<Control>, mut says: Option<mpsc::Receiver<Say>>) -> Ended {
        self.catch_up();
        loop {
            if let Some(ended) = self.show() {
                return ended;
            }
            let woken = match self.next_look() {
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
            Some(ended) = self.polls.next(), if !self.polls.is_empty() => Ok(ended),
            () = sleep_until(at) => Err(Woken::Due),
        };
        woken.map_or_else(|woken| woken, |ended| Woken::Polled(self.polls.settle(ended, self.heart.monitors())))
    }

    /// When to look again; `None` = at once.
    fn next_look(&self) -> Option<Instant> {
        let due = self.heart.next_wake().min(self.until.unwrap_or(Timestamp::NEVER));
        let due = if due == Timestamp::NEVER { Some(Instant::now() + HEARTBEAT) } else { self.pace.wake_for(due) };
        match &self.sink {
            Sink::Print(_) => due,
            Sink::Publish(_) => {
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
            if due > now {
                break;
            }
            self.wake(due);
        }
    }

    fn wake(&mut self, now: Timestamp) {
        self.heart.wake(now, &mut self.sink, &mut self.asks);
        self.stale = true;
        self.start_polls();
    }

    fn start_polls(&mut self) {
        for vm in self.asks.reads.drain(..) {
            self.polls.start(vm);
        }
    }

    /// Tells the engine something at the present instant.
    fn tell(&mut self, event: Event) {
        self.come_to_now();
        self.heart.tell(event, &mut self.sink, &mut self.asks);
        self.stale = true;
        self.start_polls();
    }

    /// Everything that is due by now comes before whatever happens now.
    fn come_to_now(&mut self) {
        let now = self.pace.now(self.heart.now());
        while self.pace.is_simulated() && self.heart.next_wake() < now {
            self.wake(self.heart.next_wake());
        }
        self.heart.wake(now, &mut self.sink, &mut self.asks);
    }

    fn take(&mut self, polled: Polled) {
        match polled {
            Polled::Reading(vm, reading) => self.tell(Event::Reading { vm, reading }),
            Polled::Panicked(vm) => {
                let text = format!(
                    "the monitor of {} failed and was started again",
                    self.heart.engine().cluster().vm(vm).name
                );
                self.tell(Event::Trouble { vm: Some(vm), text });
                self.tell(Event::Reading { vm, reading: Reading::Gap("the monitor failed".to_owned()) });
            }
            Polled::Outdated => {}
        }
    }

    fn listen(&mut self, say: Say) {
        match say {
            Say::Command(command) => {
                self.come_to_now();
                self.obey(command);
            }
            // A look changes nothing: what is due waits for its own wake, so that the answer does not.
            Say::Look(look) => {
                if let Sink::Publish(publisher) = &mut self.sink {
                    publisher.set_look(look);
                }
            }
            Say::Reload => self.reload(),
            Say::Draft(_) | Say::Save { .. } | Say::Nudge(_) | Say::Undo => {
                self.sink.answer(false, "policies cannot be edited here");
            }
        }
        self.start_polls();
        self.publish();
    }

    fn obey(&mut self, command: Command) {
        self.heart.command("operator", command.clone(), &mut self.sink, &mut self.asks);
        if let Sink::Publish(publisher) = &mut self.sink {
            publisher.touched_by(&command, self.heart.engine());
        }
    }

    fn reload(&mut self) {
        let Some(path) = self.config.clone() else { return };
        self.come_to_now();
        // These ids are the old config's.
        self.start_polls();
        let said = config::load(&path)
            .map_err(|report| in_short(&report))
            .and_then(|config| self.heart.reconfigure(config, &mut self.sink, &mut self.asks));
        match said {
            Ok(()) => self.polls.configure(self.heart.monitors()),
            Err(why) => self.tell(Event::Trouble { vm: None, text: format!("config not applied: {why}") }),
        }
        self.start_polls();
        self.stale = true;
    }

    /// Hands on what happened. Says so if that cannot be done, or if the time is up.
    fn show(&mut self) -> Option<Ended> {
        let time_up = self.until.is_some_and(|end| self.is_over(end));
        match &mut self.sink {
            Sink::Print(printer) => {
                let quick = matches!(self.pace, Pace::Unpaced) && !time_up && !printer.is_broken();
                if !quick && let Err(error) = printer.flush() {
                    return Some(Ended::Unread(error));
                }
            }
            Sink::Publish(_) => {
                let age = self.published.elapsed();
                if age >= HEARTBEAT || (self.stale && age >= PUBLISH_EVERY) {
                    self.publish();
                }
            }
        }
        time_up.then_some(Ended::TimeUp)
    }

    /// Whether everything up to the end was done, and the end has come.
    fn is_over(&self, end: Timestamp) -> bool {
        match self.pace {
            Pace::Real => self.pace.now(self.heart.now()) >= end,
            Pace::Unpaced => self.heart.next_wake() > end,
            Pace::Simulated { .. } => self.heart.next_wake() > end && self.pace.now(self.heart.now()) >= end,
        }
    }

    fn publish(&mut self) {
        if let Sink::Publish(publisher) = &mut self.sink {
            publisher.publish(self.heart.engine(), self.pace.now(self.heart.now()));
            self.published = Instant::now();
            self.stale = false;
        }
    }

    fn end(&mut self, ended: Ended) -> Ended {
        match &mut self.sink {
            Sink::Print(printer) => printer.flush().map_or_else(Ended::Unread, |()| ended),
            Sink::Publish(_) => ended,
        }
    }
}

/// The first error with its place, and how many more there are.
fn in_short(report: &config::Report) -> String {
    let text = report.to_string();
    let first = text.lines().next().unwrap_or_default();
    match report.problems().len() {
        0 | 1 => first.to_owned(),
        n => format!("{first} (and {} more: whimbrel check)", n - 1),
    }
}

impl Listener for Sink {
    fn record(&mut self, record: &Record, engine: &Engine) {
        match self {
            Self::Print(printer) => printer.record(record, engine),
            Self::Publish(publisher) => publisher.record(record, engine),
        }
    }

    fn answer(&mut self, ok: bool, text: &str) {
        match self {
            Self::Print(printer) => printer.answer(ok, text),
            Self::Publish(publisher) => publisher.answer(ok, text),
        }
    }

    fn host(&mut self, host: HostId) {
        match self {
            Self::Print(printer) => printer.host(host),
            Self::Publish(publisher) => publisher.host(host),
        }
    }

    fn reconfigured(&mut self, engine: &Engine) {
        match self {
            Self::Print(printer) => printer.reconfigured(engine),
            Self::Publish(publisher) => publisher.reconfigured(engine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{Monitor, Source, Span, VmId};
    use crate::core::simulation::{START, Scenario, Size};
    use crate::runtime::Format;

    /// A VM that a real monitor is to read. The URL is none, so that nothing is ever connected to.
    fn conductor() -> Conductor {
        let (cluster, mut monitors, plan) = Scenario::One.build(Size::default(), 1);
        let source = Source::Http { url: "nowhere".to_owned(), expect: 200 };
        monitors[0] = Monitor { source, deadline: Span::from_secs(1) };
        let heart = Heart::new(cluster, monitors, plan, START);
        // Every VM's first reading is due by now.
        let began = Instant::now() - Duration::from_secs(2);
        let pace = Pace::Simulated { start: START, began, speed: 60.0 };
        Conductor::new(heart, pace, Sink::Print(Printer::new(Format::Json, Box::new(io::sink()))))
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
        conductor.start_polls();
        let all = polled(&mut conductor).await;
        assert!(matches!(&all[..], [Polled::Reading(VmId(0), Reading::Gap(why))] if why.contains("URL")));
    }

    #[tokio::test]
    async fn what_was_due_before_a_reload_is_not_asked_of_the_new_configs_vms() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("whimbrel.toml");
        std::fs::write(&path, include_str!("../../config/first.toml")).expect("a file");
        let mut conductor = conductor().with_config(path);
        conductor.reload();
        assert!(conductor.heart.engine().cluster().vm_named("nii1").is_none(), "the config is the new one");
        assert!(polled(&mut conductor).await.iter().all(|polled| matches!(polled, Polled::Outdated)));
    }
}
