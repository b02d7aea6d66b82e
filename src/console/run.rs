//! The loop: input first, then data, then a frame if something changed.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::keymap::{self, Action};
use super::term::{TerminalGuard, closed};
use super::text::Zone;
use super::theme::{Colours, Theme, ThemeName};
use super::ui::{Ui, UiEffect};
use super::update::update;
use super::{Tone, draw};
use crate::core::cluster::Name;
use crate::view::{ActivityAsk, CommandId, PastAsk, QueueAsk, Snapshot, Subscription, UiCommand};

/// Least time between two frames for keys. After a pause, a key is drawn at once.
const KEY_FRAME: Duration = Duration::from_millis(33);
/// Least time between two frames for data.
const DATA_FRAME: Duration = Duration::from_millis(100);
/// A command is answered within this time, or the operator is told that it is not.
const ANSWER: Duration = Duration::from_secs(10);
/// After this long without a snapshot, the data is stale.
const QUIET: Duration = Duration::from_secs(3);

/// How the console looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The theme it begins with.
    pub theme: ThemeName,
    /// ASCII characters only.
    pub ascii: bool,
    /// The terminal's colours.
    pub colours: Colours,
    /// The clock on screen.
    pub zone: Zone,
}

/// Shows snapshots and sends what the operator does to the engine, until the console is left. Runs on the
/// thread that owns the terminal, in a current-thread runtime with time and I/O. The first snapshot is drawn at once.
///
/// # Errors
/// Standard input or output is not a terminal, or it fails. The terminal is restored before this returns.
pub async fn run(
    options: Options,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    say: mpsc::Sender<UiCommand>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    // Before the terminal is taken, so that no signal in between is lost.
    let [hangup, terminate, interrupt] =
        [SignalKind::hangup(), SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let mut ends = [hangup?, terminate?, interrupt?];
    // tokio's SignalKind has no name for SIGCONT; its number is the platform's.
    let mut continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let screen = TerminalGuard::enter()?;
    let mut console = Console::new(options, screen, snapshots, say)?;
    console.paint()?;
    let mut closed = closed()?;
    let mut events = EventStream::new();
    tokio::pin!(stop);
    loop {
        let (frame, quiet, answer) = (console.frame_due(), console.quiet_due(), console.answer_due());
        let is_over = tokio::select! {
            biased;
            // An error means that the watching thread has ended; it ends only on a hang-up.
            _ = &mut closed => true,
            () = end_signal(&mut ends) => true,
            _ = continued.recv() => { console.resume()?; false }
            event = events.next() => console.input(event)?,
            () = &mut stop => true,
            () = at(frame) => { console.paint()?; false }
            changed = console.snapshots.changed(), if !console.ui.engine_gone => { console.data(changed.is_ok())?; false }
            () = at(answer) => { console.unanswered(); false }
            () = at(quiet) => { console.quiet(); false }
        };
        if is_over {
            return Ok(());
        }
    }
}

/// What a new console subscribes to. With it in the first snapshot, the first frame is complete.
pub fn first_look(snapshot: &Snapshot) -> Subscription {
    let mut ui = Ui::new(ThemeName::default(), false, Zone::default());
    update(&mut ui, Action::Arrived, snapshot);
    ui.look()
}

/// The parts of a snapshot that a console subscribes to. When they change, the snapshot answers a key.
fn asked_for(snapshot: &Snapshot) -> (Option<&Name>, Option<PastAsk>, Option<&ActivityAsk>, [Option<&QueueAsk>; 2]) {
    let vm = snapshot.detail.as_ref().map(|detail| &detail.vm);
    let activity = snapshot.activity.as_ref().map(|activity| &activity.ask);
    let jobs = snapshot.queue.as_ref().and_then(|queue| queue.jobs.as_ref());
    let queue = [snapshot.queue.as_ref().map(|queue| &queue.ask), jobs.map(|jobs| &jobs.ask)];
    (vm, snapshot.past.as_ref().map(|past| past.ask), activity, queue)
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// SIGHUP, SIGTERM and SIGINT end the console.
async fn end_signal([hangup, terminate, interrupt]: &mut [Signal; 3]) {
    tokio::select! {
        _ = hangup.recv() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

struct Console {
    ui: Ui,
    theme: (ThemeName, Theme),
    colours: Colours,
    screen: TerminalGuard,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What is on screen: the newest, unless it is frozen.
    shown: Arc<Snapshot>,
    say: mpsc::Sender<UiCommand>,
    /// When the next frame is due, if something has changed.
    due: Option<Instant>,
    painted: Option<Instant>,
    /// When a frame last answered a key.
    answered: Option<Instant>,
    /// When the newest snapshot came.
    heard: Instant,
    told_quiet: Instant,
    /// The commands that were sent, the oldest first, and until when each is to be answered.
    asked: VecDeque<(CommandId, Instant)>,
}

impl Console {
    fn new(
        options: Options,
        screen: TerminalGuard,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        say: mpsc::Sender<UiCommand>,
    ) -> io::Result<Self> {
        let shown = Arc::clone(&snapshots.borrow_and_update());
        let now = Instant::now();
        let (columns, rows) = screen.size()?;
        let mut console = Self {
            ui: Ui::new(options.theme, options.ascii, options.zone),
            theme: (options.theme, Theme::built_in(options.theme, options.colours)),
            colours: options.colours,
            screen,
            snapshots,
            shown,
            say,
            due: None,
            painted: None,
            answered: None,
            heard: now,
            told_quiet: now,
            asked: VecDeque::new(),
        };
        console.ui.size = (columns, rows);
        console.act(Action::Arrived)?;
        Ok(console)
    }

    fn frame_due(&self) -> Option<Instant> {
        self.due
    }

    fn quiet_due(&self) -> Option<Instant> {
        let next = (self.heard + QUIET).max(self.told_quiet + Duration::from_secs(1));
        (!self.ui.engine_gone).then_some(next)
    }

    fn answer_due(&self) -> Option<Instant> {
        self.asked.front().map(|(_, due)| *due)
    }

    /// Schedules a frame, no sooner than `apart` after `last`.
    fn want(&mut self, last: Option<Instant>, apart: Duration) {
        let due = last.map_or_else(Instant::now, |last| last + apart);
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// Paints at once if a frame is due: a timer would only wake the process again. Returns whether it painted.
    fn paint_due(&mut self) -> io::Result<bool> {
        let due = self.due.is_some_and(|due| due <= Instant::now());
        if due {
            self.paint()?;
        }
        Ok(due)
    }

    fn paint(&mut self) -> io::Result<()> {
        if self.theme.0 != self.ui.theme {
            self.theme = (self.ui.theme, Theme::built_in(self.ui.theme, self.colours));
        }
        let (shown, ui, theme) = (&self.shown, &self.ui, &self.theme.1);
        self.screen.draw(|frame| draw(frame, shown, ui, theme))?;
        self.painted = Some(Instant::now());
        self.due = None;
        Ok(())
    }

    /// Takes what the terminal sends. `true`: the console is left.
    fn input(&mut self, event: Option<io::Result<Event>>) -> io::Result<bool> {
        let is_over = match event {
            None => true,
            Some(Err(error)) => return Err(error),
            Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => {
                match keymap::dispatch(key, &self.ui, &self.shown) {
                    Some(Ok(action)) => self.act(action)?,
                    Some(Err(why)) => {
                        self.ui.say(Tone::Bad, why);
                        false
                    }
                    None => return Ok(false),
                }
            }
            Some(Ok(Event::Paste(text))) => self.act(Action::Paste(text))?,
            Some(Ok(Event::Resize(columns, rows))) => {
                self.act(Action::Resize(columns, rows))?;
                self.screen.clear()?;
                self.paint()?;
                return Ok(false);
            }
            Some(Ok(_)) => return Ok(false),
        };
        // A key does not wait for the pause after a data frame.
        self.want(self.answered, KEY_FRAME);
        if !is_over && self.paint_due()? {
            self.answered = self.painted;
        }
        Ok(is_over)
    }

    /// `true`: the operator quits.
    fn act(&mut self, action: Action) -> io::Result<bool> {
        let was_frozen = self.ui.frozen;
        if action == Action::Freeze && was_frozen {
            self.shown = Arc::clone(&self.snapshots.borrow());
        }
        let shown = Arc::clone(&self.shown);
        for effect in update(&mut self.ui, action, &shown) {
            match effect {
                UiEffect::Quit => return Ok(true),
                UiEffect::Copy(text) => self.screen.copy(&text)?,
                UiEffect::Suspend => {
                    self.screen.suspend()?;
                    self.resized()?;
                }
                UiEffect::UiCommand(said) => self.tell(said),
            }
        }
        Ok(false)
    }

    /// Sends what a snapshot or a full channel causes; neither causes another effect.
    fn tell_all(&mut self, effects: Vec<UiEffect>) {
        for effect in effects {
            if let UiEffect::UiCommand(said) = effect {
                self.tell(said);
            }
        }
    }

    fn tell(&mut self, said: UiCommand) {
        let (id, is_draft) = (said.id(), matches!(said, UiCommand::Draft(_)));
        if self.say.try_send(said).is_ok() {
            self.asked.extend(id.map(|id| (id, Instant::now() + ANSWER)));
            return;
        }
        match (id, is_draft) {
            (Some(id), _) => {
                let effects = update(&mut self.ui, Action::NotSent(id), &self.shown);
                self.tell_all(effects);
            }
            (None, true) => self.ui.forget_draft(),
            (None, false) => self.ui.forget_look(),
        }
    }

    fn data(&mut self, is_alive: bool) -> io::Result<()> {
        let mut apart = DATA_FRAME;
        if is_alive {
            let newest = Arc::clone(&self.snapshots.borrow_and_update());
            self.heard = Instant::now();
            if asked_for(&newest) != asked_for(&self.shown) {
                // It is what a key asked for.
                apart = KEY_FRAME;
            }
            if !self.ui.frozen {
                self.shown = Arc::clone(&newest);
            }
            let effects = update(&mut self.ui, Action::Arrived, &newest);
            self.tell_all(effects);
        } else {
            update(&mut self.ui, Action::EngineGone, &self.shown);
        }
        self.want(self.painted, apart);
        self.paint_due().map(drop)
    }

    /// The oldest command's time is over. If it was answered, nothing changes.
    fn unanswered(&mut self) {
        let Some((id, _)) = self.asked.pop_front() else { return };
        let effects = update(&mut self.ui, Action::Unanswered(id), &self.shown);
        self.tell_all(effects);
        self.want(self.painted, DATA_FRAME);
    }

    fn quiet(&mut self) {
        self.told_quiet = Instant::now();
        let ms = self.heard.elapsed().as_millis().min(i64::MAX as u128) as i64;
        update(&mut self.ui, Action::Quiet(ms), &self.shown);
        self.want(self.painted, DATA_FRAME);
    }

    fn resume(&mut self) -> io::Result<()> {
        self.screen.resume()?;
        self.resized()
    }

    /// The terminal may have another size after a stop.
    fn resized(&mut self) -> io::Result<()> {
        let (columns, rows) = self.screen.size()?;
        update(&mut self.ui, Action::Resize(columns, rows), &self.shown);
        self.paint()
    }
}
