//! The loop: input first, then data, then a frame if something changed.

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
use super::term::{Screen, closed};
use super::text::Zone;
use super::theme::{Colours, Theme, ThemeName};
use super::ui::{Effect, Ui};
use super::update::update;
use super::{Tone, draw};
use crate::view::{ActivityAsk, PastAsk, Snapshot, Subscription, UiCommand};

/// Between two frames that keys ask for. The first key after that is drawn at once.
const KEY_FRAME: Duration = Duration::from_millis(33);
/// Between two frames that data asks for.
const DATA_FRAME: Duration = Duration::from_millis(100);
/// Without a snapshot for so long, the data is stale.
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

/// Why the console was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The operator quit.
    Quit,
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// The terminal was closed: nobody can be told anything any more.
    Closed,
    /// The caller said so.
    Stopped,
}

/// Shows snapshots and says what the operator does, until it is left. Runs on the thread that is to own the terminal,
/// in a current-thread runtime with time and I/O; the engine lives elsewhere. The snapshot at hand is drawn at once.
///
/// # Errors
/// Standard input or output is no terminal, or it fails. The terminal is restored before this returns.
pub async fn run(
    options: Options,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    say: mpsc::Sender<UiCommand>,
    stop: impl Future<Output = ()>,
) -> io::Result<Left> {
    // Signals first: one that comes while the terminal is being taken must find somebody.
    let mut signals = Signals::new()?;
    let screen = Screen::enter()?;
    let mut console = Console::new(options, screen, snapshots, say)?;
    console.paint()?;
    let mut closed = closed()?;
    let mut events = EventStream::new();
    tokio::pin!(stop);
    loop {
        let (frame, quiet) = (console.frame_due(), console.quiet_due());
        let left = tokio::select! {
            biased;
            // An error means that the watching thread is gone, which only a hang-up does.
            _ = &mut closed => Some(Left::Closed),
            which = signals.next() => match which {
                Woken::Leave => Some(Left::Signal),
                Woken::Continued => { console.resume()?; None }
            },
            event = events.next() => console.input(event)?,
            () = &mut stop => Some(Left::Stopped),
            () = at(frame) => { console.paint()?; None }
            changed = console.snapshots.changed(), if !console.ui.engine_gone => { console.data(changed.is_ok())?; None }
            () = at(quiet) => { console.quiet(); None }
        };
        if let Some(left) = left {
            return Ok(left);
        }
    }
}

/// What a console that has just begun wants in detail: with it in the first snapshot the first frame is whole.
pub fn first_look(snapshot: &Snapshot) -> Subscription {
    let mut ui = Ui::new(ThemeName::default(), false, Zone::default());
    update(&mut ui, Action::Arrived, snapshot);
    ui.look()
}

/// What of a snapshot a console has asked for: another one is an answer to a key.
fn asked_for(snapshot: &Snapshot) -> (Option<&Arc<str>>, Option<PastAsk>, Option<&ActivityAsk>) {
    let vm = snapshot.detail.as_ref().map(|detail| &detail.vm);
    (vm, snapshot.past.as_ref().map(|past| past.ask), snapshot.activity.as_ref().map(|activity| &activity.ask))
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// What a signal asks for.
enum Woken {
    Leave,
    Continued,
}

struct Signals {
    leave: [Signal; 3],
    go_on: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let leave = [SignalKind::hangup(), SignalKind::terminate(), SignalKind::interrupt()];
        let [hangup, terminate, interrupt] = leave.map(signal);
        // tokio's SignalKind has no name for SIGCONT; its number is the platform's.
        let go_on = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        Ok(Self { leave: [hangup?, terminate?, interrupt?], go_on })
    }

    async fn next(&mut self) -> Woken {
        let [hangup, terminate, interrupt] = &mut self.leave;
        tokio::select! {
            _ = hangup.recv() => Woken::Leave,
            _ = terminate.recv() => Woken::Leave,
            _ = interrupt.recv() => Woken::Leave,
            _ = self.go_on.recv() => Woken::Continued,
        }
    }
}

struct Console {
    ui: Ui,
    theme: (ThemeName, Theme),
    colours: Colours,
    screen: Screen,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What is on screen: the newest, unless it is frozen.
    shown: Arc<Snapshot>,
    say: mpsc::Sender<UiCommand>,
    /// When the next frame is due, if something has changed.
    due: Option<Instant>,
    painted: Option<Instant>,
    /// When a key was last answered with a frame.
    answered: Option<Instant>,
    /// When the newest snapshot came.
    heard: Instant,
    told_quiet: Instant,
}

impl Console {
    fn new(
        options: Options,
        screen: Screen,
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

    /// A frame is wanted, no sooner than `apart` after `last`.
    fn want(&mut self, last: Option<Instant>, apart: Duration) {
        let due = last.map_or_else(Instant::now, |last| last + apart);
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// Paints now what is due now: a timer would wake the process once more. Says whether it did.
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

    fn input(&mut self, event: Option<io::Result<Event>>) -> io::Result<Option<Left>> {
        let left = match event {
            None => Some(Left::Closed),
            Some(Err(error)) => return Err(error),
            Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => {
                match keymap::dispatch(key, &self.ui, &self.shown) {
                    Some(Ok(action)) => self.act(action)?,
                    Some(Err(why)) => {
                        self.ui.say(Tone::Bad, why);
                        None
                    }
                    None => return Ok(None),
                }
            }
            Some(Ok(Event::Paste(text))) => self.act(Action::Paste(text))?,
            Some(Ok(Event::Resize(columns, rows))) => {
                self.act(Action::Resize(columns, rows))?;
                self.screen.clear()?;
                self.paint()?;
                return Ok(None);
            }
            Some(Ok(_)) => return Ok(None),
        };
        // Data that was just painted does not keep a key waiting.
        self.want(self.answered, KEY_FRAME);
        if left.is_none() && self.paint_due()? {
            self.answered = self.painted;
        }
        Ok(left)
    }

    fn act(&mut self, action: Action) -> io::Result<Option<Left>> {
        let was_frozen = self.ui.frozen;
        if action == Action::Freeze && was_frozen {
            self.shown = Arc::clone(&self.snapshots.borrow());
        }
        let shown = Arc::clone(&self.shown);
        for effect in update(&mut self.ui, action, &shown) {
            match effect {
                Effect::Quit => return Ok(Some(Left::Quit)),
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::Suspend => {
                    self.screen.suspend()?;
                    self.resized()?;
                }
                Effect::UiCommand(said) => self.tell(said),
            }
        }
        Ok(None)
    }

    /// What a snapshot or a full channel gives cause to say. Nothing else comes of either.
    fn tell_all(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::UiCommand(said) = effect {
                self.tell(said);
            }
        }
    }

    fn tell(&mut self, said: UiCommand) {
        let (id, is_draft) = (said.id(), matches!(said, UiCommand::Draft(_)));
        if self.say.try_send(said).is_ok() {
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
                // What a key has just asked for.
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

    /// The terminal may have changed while nobody looked.
    fn resized(&mut self) -> io::Result<()> {
        let (columns, rows) = self.screen.size()?;
        update(&mut self.ui, Action::Resize(columns, rows), &self.shown);
        self.paint()
    }
}
