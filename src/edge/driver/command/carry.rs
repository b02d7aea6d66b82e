//! One migration: started, or found under way, then followed to the end of its command. Not yet an outcome.

use std::cell::{Cell, RefCell};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::mark::{self, Stray};
use super::output::{Output, shown};
use super::process::{Process, end_group, in_short, signal, span, with_line, within};
use super::{DriverEvent, Move, Shop};
use crate::core::cluster::{in_words, written};

/// A migration that only `progress` tells of is over when that has not told of it so often in a row.
const MISSES: u32 = 3;

/// What whoever carries a migration is asked. To ask twice before it is heard is to ask once.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// To stop it.
    pub(super) abort: Notify,
    /// To say how far it is.
    pub(super) report: Notify,
}

/// How a migration comes to be carried.
pub(super) enum Trail {
    /// It is to be started.
    New,
    /// Its command runs, started by an earlier whimbrel.
    Stray(Stray),
    /// Only `progress` knows of it.
    Told(u8, String),
}

/// The end of a migration's command.
#[derive(Debug)]
pub(super) struct End {
    pub(super) detail: String,
    /// It ended by itself: nothing goes on without it.
    pub(super) sure: bool,
}

/// What there is of a migration on this machine.
enum Body {
    Own(Process),
    Stray(Stray),
    Nothing,
}

/// Carries a migration to the end of its command.
pub(super) async fn carry(shop: Rc<Shop>, way: Move, trail: Trail, asks: &Asks) -> End {
    let carrier =
        Carrier { shop, way, last: RefCell::default(), rubbish_said: Cell::new(false), signalled: Cell::new(false) };
    let (mut body, age) = match trail {
        Trail::New => match carrier.start() {
            Ok(process) => (Body::Own(process), Duration::ZERO),
            Err(why) => return End { detail: why, sure: true },
        },
        Trail::Stray(stray) => {
            let age = stray.age;
            carrier.say();
            (Body::Stray(stray), age)
        }
        Trail::Told(percent, detail) => {
            carrier.say_new(percent, detail);
            (Body::Nothing, Duration::ZERO)
        }
    };
    let alone = matches!(body, Body::Nothing);
    tokio::select! {
        end = carrier.follow(&mut body, age, asks) => end,
        () = carrier.watch(alone) => End { detail: "progress tells of it no more".to_owned(), sure: false },
    }
}

struct Carrier {
    shop: Rc<Shop>,
    way: Move,
    /// How far it is, as last told.
    last: RefCell<(u8, String)>,
    rubbish_said: Cell<bool>,
    /// It was told to end: what it says of its end says nothing of the migration.
    signalled: Cell<bool>,
}

impl Carrier {
    fn start(&self) -> Result<Process, String> {
        let argv = self.shop.fill(&self.shop.settings.migrate, &self.way);
        Process::start(&argv, Some((mark::NAME, mark::of(&self.way))))
    }

    async fn follow(&self, body: &mut Body, age: Duration, asks: &Asks) -> End {
        let started = Instant::now();
        let deadline = started + self.shop.settings.migrate_deadline.to_std().saturating_sub(age);
        let mut looks = interval(self.shop.pace.progress);
        loop {
            tokio::select! {
                end = body.end(self.shop.pace.progress) => return self.ended(end, body, started),
                () = sleep_until(deadline) => break,
                () = asks.abort.notified() => self.abort(body.group()),
                () = asks.report.notified() => self.say(),
                _ = looks.tick() => self.say_line(body),
            }
        }
        self.kill(body).await;
        let detail = format!("killed after {}", written(self.shop.settings.migrate_deadline));
        End { detail, sure: false }
    }

    fn ended(&self, status: Option<ExitStatus>, body: &Body, started: Instant) -> End {
        let Some(status) = status else {
            let detail = with_printed("it ended after whimbrel was started again; its status is not known", body);
            return End { detail, sure: false };
        };
        let sure = status.code().is_some() && !self.signalled.get();
        let detail = if status.success() {
            format!("ended well in {}", in_words(span(started.elapsed())))
        } else {
            with_printed(&in_short(status), body)
        };
        End { detail, sure }
    }

    /// The operator's own command, which may know of more than a process here; else SIGTERM.
    fn abort(&self, group: Option<Pid>) {
        if self.shop.settings.abort.is_some() {
            let (shop, way) = (self.shop.clone(), self.way.clone());
            spawn_local(async move { shop.run_abort(&way).await });
        } else if let Some(group) = group {
            self.signalled.set(true);
            signal(group, Signal::TERM);
        } else {
            let Move { vm, .. } = &self.way;
            self.shop.trouble(format!("the migration of {vm} cannot be stopped: there is no abort command"));
        }
    }

    /// Its time is up. What cannot be killed must not keep others waiting.
    async fn kill(&self, body: &mut Body) {
        self.shop.run_abort(&self.way).await;
        let Some(group) = body.group() else { return };
        let grace = self.shop.pace.grace;
        let gone = async {
            tokio::join!(end_group(group, grace), body.end(grace));
        };
        // SIGKILL has been sent by then.
        let _ = timeout(grace * 2, gone).await;
    }

    /// Asks for progress. Ends only where nothing else tells of the migration, and that has ended.
    async fn watch(&self, alone: bool) {
        let Some(template) = &self.shop.settings.progress else { return std::future::pending().await };
        let argv = self.shop.fill(template, &self.way);
        let mut missed = 0;
        loop {
            sleep(self.shop.pace.progress).await;
            match self.shop.progress(&argv).await {
                Ok((percent, detail)) => {
                    missed = if percent < 100 { 0 } else { missed + 1 };
                    self.say_new(percent, detail);
                }
                Err(why) => {
                    missed += 1;
                    if !self.rubbish_said.replace(true) {
                        self.shop.trouble(format!("progress of {}: {why}", self.way.vm));
                    }
                }
            }
            if alone && missed >= MISSES {
                return;
            }
        }
    }

    /// Without a `progress` command, the last line it printed is what can be said.
    fn say_line(&self, body: &Body) {
        if self.shop.settings.progress.is_some() {
            return;
        }
        let line = body.output().map(Output::last_line).unwrap_or_default();
        if !line.is_empty() && line != self.last.borrow().1 {
            self.say_new(0, line);
        }
    }

    fn say_new(&self, percent: u8, detail: String) {
        *self.last.borrow_mut() = (percent, detail);
        self.say();
    }

    fn say(&self) {
        let (percent, detail) = self.last.borrow().clone();
        self.shop.say(DriverEvent::Progress { id: self.way.id, percent, detail, transfer: None });
    }
}

impl Body {
    /// The end of its command, with its status if it is ours. Can be given up and called again.
    async fn end(&mut self, look: Duration) -> Option<ExitStatus> {
        match self {
            Self::Own(process) => process.end().await.ok(),
            Self::Stray(stray) => {
                while stray.is_there() {
                    tokio::select! {
                        () = sleep(look) => {}
                        never = stray.streams.read() => match never {},
                    }
                }
                stray.streams.read_rest();
                None
            }
            Self::Nothing => std::future::pending().await,
        }
    }

    const fn group(&self) -> Option<Pid> {
        match self {
            Self::Own(process) => process.group(),
            Self::Stray(stray) => Some(stray.group),
            Self::Nothing => None,
        }
    }

    const fn output(&self) -> Option<&Output> {
        match self {
            Self::Own(process) => Some(process.output()),
            Self::Stray(stray) => Some(&stray.streams.output),
            Self::Nothing => None,
        }
    }
}

fn with_printed(how: &str, body: &Body) -> String {
    body.output().map_or_else(|| how.to_owned(), |output| with_line(how, output))
}

impl Shop {
    /// How far a migration is, as the operator's command says.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) async fn progress(&self, argv: &[String]) -> Result<(u8, String), String> {
        let process = within(argv, self.deadline()).await?;
        let lines = process.output().lines()?;
        let line = lines.first().copied().unwrap_or_default();
        percent(line).ok_or_else(|| format!("'{}' does not begin with a number from 0 to 100", shown(line)))
    }

    /// Has the operator's command stop a migration, if there is one.
    pub(super) async fn run_abort(&self, way: &Move) {
        let Some(template) = &self.settings.abort else { return };
        if let Err(why) = within(&self.fill(template, way), self.deadline()).await {
            self.trouble(format!("the abort of {}'s migration failed: {why}", way.vm));
        }
    }
}

/// `42 1.2 GiB left`, `42.5% done`.
fn percent(line: &str) -> Option<(u8, String)> {
    let (number, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let number: f64 = number.strip_suffix('%').unwrap_or(number).parse().ok()?;
    (0.0..=100.0).contains(&number).then(|| (number as u8, shown(rest)))
}
