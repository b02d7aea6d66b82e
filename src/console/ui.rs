//! The state of the screen: what the operator has chosen. It holds names, never row numbers, and no data of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::console::MINIMUM;
use crate::console::editor::{Editor, Prompt};
use crate::console::listing::{Listing, SortBy};
use crate::console::text::Zone;
use crate::console::theme::Glyphs;
use crate::console::theme::ThemeName;
use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::engine::{Command, Target};
use crate::core::policy::{Field, PolicyKind, Settings};
use crate::view::{
    ActivityAsk, CommandId, Detail, Draft, DrainPlan, HostView, JobLine, JobsView, MoveOption, PastAsk, QueueAsk,
    QueueOrder, QueueView, Scope, SetValue, Snapshot, Subscription, UiCommand, VmRow,
};

/// How far back the graph of the selected VM goes.
pub const WINDOW: Span = Span::from_mins(30);

/// A notice goes after this many snapshots (at most ten a second): by then it has been read, and may not be true any more.
const NOTICE_LASTS: u32 = 60;

/// A screen. Each one keeps its state while another is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Screen {
    /// Every VM.
    #[default]
    Fleet,
    /// The selected VM and its past.
    Vm,
    /// What was done, by one VM or in the cluster.
    Activity,
    /// The selected VM's job queue.
    Queue,
}

impl Screen {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fleet, Self::Vm, Self::Activity, Self::Queue];

    /// The help's heading for the keys that only this screen has.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Fleet => "on the Fleet screen",
            Self::Vm => "on a VM's screen",
            Self::Activity => "on the Activity screen",
            Self::Queue => "on the Queue screen",
        }
    }
}

/// Something that lies over the screen. The topmost one takes the keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The help: all keys.
    Help {
        /// Lines scrolled off the top.
        top: usize,
    },
    /// Where to move a VM.
    Moves {
        /// This VM.
        vm: Name,
        /// The chosen destination; `None` = the first one.
        chosen: Option<Target>,
    },
    /// Which host to drain and what that would do, or how far the drain is.
    Drain {
        /// The chosen host.
        host: Name,
        /// VMs scrolled off the top.
        top: usize,
    },
    /// A question to answer with yes or no.
    Confirm {
        /// In words.
        question: String,
        /// What yes does.
        then: Deed,
    },
    /// One job of the queue on screen, in full.
    Job,
    /// A pause of a VM's worker, being described.
    Pause(PauseForm),
    /// A question of the policy editor, or a number to be typed.
    Prompt(Prompt),
    /// A filter is being typed.
    Filter,
}

/// What the engine or a worker is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// Of the engine.
    Command(Command),
    /// Of a VM's worker.
    Queue(QueueOrder),
}

/// A pause of a VM's worker while it is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseForm {
    /// Whose worker.
    pub vm: Name,
    /// Why, as typed.
    pub why: String,
    /// For how long, as typed; empty: until somebody has it go on.
    pub lasts: String,
    /// Whether the length is typed now, not the reason.
    pub at_lasts: bool,
}

impl PauseForm {
    /// The line that is typed now.
    pub const fn line(&mut self) -> &mut String {
        if self.at_lasts { &mut self.lasts } else { &mut self.why }
    }
}

/// The tone of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Asked, not yet answered.
    Asked,
    /// It was done.
    Good,
    /// It was not done, and why.
    Bad,
}

/// What came of the last action, for the footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its tone.
    pub tone: Tone,
    /// In words.
    pub text: String,
}

/// What an action causes outside the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum UiEffect {
    /// Send this to the engine.
    UiCommand(UiCommand),
    /// Put this on the operator's clipboard.
    Copy(String),
    /// Suspend the process, so that the shell has the terminal.
    Suspend,
    /// Leave the console.
    Quit,
}

/// The state of the screen.
#[derive(Debug, Clone)]
pub struct Ui {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The screen.
    pub screen: Screen,
    /// The VM screen's choices.
    pub vm: VmUi,
    /// The Activity screen's choices.
    pub activity: ActivityUi,
    /// The Queue screen's choices.
    pub queue: QueueUi,
    /// The screens behind this one, where `esc` goes back to; the nearest last.
    pub(super) behind: Vec<Screen>,
    /// The selected VM.
    pub selected: Option<Name>,
    /// The policy editor, while it is open.
    pub editor: Option<Box<Editor>>,
    /// The marked VMs. An edit applies to all of them.
    pub marked: BTreeSet<Name>,
    /// The table's order.
    pub sort: SortBy,
    /// Whether the order is reversed.
    pub reverse: bool,
    /// The table's filter; empty shows everything.
    pub filter: String,
    /// What lies over the screen, the topmost last.
    pub overlays: Vec<Overlay>,
    /// The number `+` and `-` change.
    pub field: Field,
    /// What came of the last action.
    pub notice: Option<Notice>,
    /// The banner that was dismissed.
    pub dismissed: Option<Arc<str>>,
    /// Whether the display is frozen.
    pub frozen: bool,
    /// How long no snapshot has come; `None` while they come.
    pub quiet: Option<Span>,
    /// The engine has ended; no snapshot will come any more.
    pub engine_gone: bool,
    /// The theme.
    pub theme: ThemeName,
    /// The characters.
    pub glyphs: &'static Glyphs,
    /// The clock's zone.
    pub zone: Zone,
    /// The rows in their order.
    pub listing: Listing,
    /// The snapshot's rows that the listing was made of.
    pub(super) listed: Arc<Vec<Arc<VmRow>>>,
    /// Their positions in the order of their names.
    pub(super) by_name: Vec<u32>,
    pub(super) looked: Option<Subscription>,
    pub(super) answered: u64,
    /// The newest command's id.
    last_id: CommandId,
    /// How many snapshots have come since the notice.
    notice_age: u32,
    /// The changes of numbers that the engine has not answered yet, by their commands.
    pub(super) pending: BTreeMap<CommandId, SetValue>,
    /// The commands that were sent and are not answered yet.
    pub(super) waiting: BTreeSet<CommandId>,
    /// For a VM in a shared block: which block the operator chose to edit.
    pub(super) scopes: BTreeMap<Name, Scope>,
    /// The newest draft's number.
    pub(super) draft_seq: u64,
    /// The draft that was sent last.
    pub(super) drafted: Option<Draft>,
    /// Whether the last draft did not reach the engine.
    pub(super) draft_lost: bool,
    pub(super) started: bool,
}

impl Ui {
    /// The state before any key.
    pub fn new(theme: ThemeName, ascii: bool, zone: Zone) -> Self {
        Self {
            size: (80, 24),
            screen: Screen::Fleet,
            vm: VmUi::default(),
            activity: ActivityUi::default(),
            queue: QueueUi::default(),
            behind: Vec::new(),
            selected: None,
            editor: None,
            marked: BTreeSet::new(),
            sort: SortBy::Worst,
            reverse: false,
            filter: String::new(),
            overlays: Vec::new(),
            field: Field::Threshold,
            notice: None,
            dismissed: None,
            frozen: false,
            quiet: None,
            engine_gone: false,
            theme,
            glyphs: Glyphs::pick(ascii),
            zone,
            listing: Listing::default(),
            listed: Arc::default(),
            by_name: Vec::new(),
            looked: None,
            answered: 0,
            last_id: CommandId::default(),
            notice_age: 0,
            pending: BTreeMap::new(),
            waiting: BTreeSet::new(),
            scopes: BTreeMap::new(),
            draft_seq: 0,
            drafted: None,
            draft_lost: false,
            started: false,
        }
    }

    /// Whether the terminal is too small for any screen.
    pub fn is_too_small(&self) -> bool {
        self.size.0 < MINIMUM.0 || self.size.1 < MINIMUM.1
    }

    /// The selected VM's row.
    pub fn row(&self) -> Option<&Arc<VmRow>> {
        self.listing.at.and_then(|at| self.listing.rows.get(at))
    }

    /// The selected VM's details, once the engine has sent them.
    pub fn detail<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<Detail>> {
        let row = self.row()?;
        snapshot.detail.as_ref().filter(|detail| detail.vm == row.name)
    }

    /// The number of a policy that `+` and `-` change: the chosen one, or the threshold where the policy lacks that one.
    pub fn active_field(&self, settings: &Settings) -> Field {
        if settings.get(self.field).is_some() { self.field } else { Field::Threshold }
    }

    /// The value that was asked for last for this number of a VM, until the engine answers.
    pub fn asked_value(&self, vm: &Name, field: Field) -> Option<f64> {
        let asked = |set: &&SetValue| set.field == field && set.vms.contains(vm);
        self.pending.values().find(asked).map(|set| set.value)
    }

    /// The banner, unless it was dismissed.
    pub fn banner<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<str>> {
        snapshot.banner.as_ref().filter(|banner| self.dismissed.as_ref() != Some(banner))
    }

    /// Whether a filter is being typed.
    pub fn is_filtering(&self) -> bool {
        matches!(self.overlays.last(), Some(Overlay::Filter))
    }

    /// The destinations the open move dialog offers, and which is chosen.
    pub fn moves<'a>(&self, snapshot: &'a Snapshot) -> Option<(&'a [MoveOption], usize)> {
        let (vm, chosen) = self.overlays.iter().rev().find_map(|overlay| match overlay {
            Overlay::Moves { vm, chosen } => Some((vm, chosen)),
            _ => None,
        })?;
        let moves = &snapshot.detail.as_ref().filter(|detail| detail.vm == *vm)?.moves;
        let at = chosen.as_ref().and_then(|chosen| moves.iter().position(|option| option.target == *chosen));
        Some((moves, at.unwrap_or(0)))
    }

    /// The host chosen in the open drain dialog.
    pub fn drained<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<HostView>> {
        let chosen = self.overlays.iter().rev().find_map(|overlay| match overlay {
            Overlay::Drain { host, .. } => Some(host),
            _ => None,
        })?;
        snapshot.hosts().find(|host| host.name == *chosen)
    }

    /// The plan for draining it, once the engine has sent it.
    pub fn plan<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<DrainPlan>> {
        let host = self.drained(snapshot)?;
        snapshot.drain.as_ref().filter(|plan| plan.host == host.name)
    }

    /// What the engine should send for the present screen.
    pub(super) fn look(&self) -> Subscription {
        let moves = self.overlays.iter().any(|overlay| matches!(overlay, Overlay::Moves { .. }));
        let drain = self.overlays.iter().find_map(|overlay| match overlay {
            Overlay::Drain { host, .. } => Some(host.clone()),
            _ => None,
        });
        if let Some(editor) = &self.editor {
            let past = Some(editor.ask(self.size));
            return Subscription {
                vm: editor.vms.first().cloned(),
                window: WINDOW,
                moves,
                drain,
                past,
                ..Subscription::default()
            };
        }
        let past = match self.screen {
            Screen::Fleet => None,
            Screen::Vm => Some(self.vm.ask(self.size)),
            Screen::Activity => self.activity.past(self.size),
            Screen::Queue => Some(self.queue.past(self.size)),
        };
        let activity = match self.screen {
            Screen::Activity => Some(self.activity.ask(self.selected.as_ref())),
            Screen::Queue => self.selected.clone().map(QueueUi::cost),
            Screen::Fleet | Screen::Vm => None,
        };
        let queue = self.selected.as_ref().filter(|_| self.screen == Screen::Queue);
        let queue = queue.map(|vm| self.queue.ask(vm, self.size));
        Subscription { vm: self.selected.clone(), window: WINDOW, moves, drain, past, activity, queue }
    }

    /// Shows another screen. `esc` comes back to this one, unless the other is behind it.
    pub(super) fn open(&mut self, screen: Screen) {
        match self.behind.iter().position(|other| *other == screen) {
            Some(at) => self.behind.truncate(at),
            None if self.screen != screen => self.behind.push(self.screen),
            None => {}
        }
        self.screen = screen;
    }

    /// The selected VM's queue, once the engine has sent it.
    pub fn queue_view<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<QueueView>> {
        snapshot.queue.as_ref().filter(|view| Some(&view.ask.vm) == self.selected.as_ref())
    }

    /// The selected job, if it is on screen.
    pub fn job<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a JobLine> {
        let jobs = self.jobs(snapshot)?;
        jobs.row(self.queue.at(jobs))
    }

    /// The jobs on screen.
    pub fn jobs<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<JobsView>> {
        self.queue_view(snapshot)?.jobs.as_ref()
    }

    /// A new command's id; no two commands of this console have the same. Its answer is waited for.
    pub(super) fn next_id(&mut self) -> CommandId {
        self.last_id.0 += 1;
        self.waiting.insert(self.last_id);
        self.last_id
    }

    /// Ends the wait for a command's answer. Returns whether it was waited for.
    pub(super) fn end_wait(&mut self, id: CommandId) -> bool {
        self.pending.remove(&id);
        self.waiting.remove(&id)
    }

    /// The last draft did not reach the engine: the next update sends it again.
    pub(super) fn forget_draft(&mut self) {
        self.draft_lost = true;
    }

    /// The last subscription did not reach the engine: the next update sends it again.
    pub(super) fn forget_look(&mut self) {
        self.looked = None;
    }

    /// Counts a snapshot, and removes a notice that is too old.
    pub(super) fn age_notice(&mut self) {
        self.notice_age = self.notice_age.saturating_add(1);
        if self.notice_age > NOTICE_LASTS && self.notice.as_ref().is_some_and(|notice| notice.tone != Tone::Asked) {
            self.notice = None;
        }
    }

    pub(super) fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.notice_age = 0;
        self.notice = Some(Notice { tone, text: text.into() });
    }
}

/// The stretches a graph can show, shortest first: 10 minutes to a year.
const GRAPH_SPANS: [Span; 12] = [
    Span::from_mins(10),
    Span::from_mins(30),
    Span::from_hours(1),
    Span::from_hours(3),
    Span::from_hours(6),
    Span::from_hours(12),
    Span::from_hours(24),
    Span::from_hours(3 * 24),
    Span::from_hours(7 * 24),
    Span::from_hours(30 * 24),
    Span::from_hours(91 * 24),
    Span::from_hours(365 * 24),
];

/// The VM screen's choices. They stay when another VM is shown, so that two can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmUi {
    /// Index into `GRAPH_SPANS`.
    zoom: usize,
    /// The right edge; `None` is now, and moves with the time.
    pub end: Option<Timestamp>,
    /// The instant under the cursor, while there is one.
    pub cursor: Option<Timestamp>,
}

impl Default for VmUi {
    fn default() -> Self {
        Self { zoom: 3, end: None, cursor: None }
    }
}

impl VmUi {
    /// From the left edge to the right one.
    pub fn span(&self) -> Span {
        GRAPH_SPANS[self.zoom]
    }

    /// The left and the right edge.
    pub fn edges(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let to = self.end.unwrap_or(now);
        (to - self.span(), to)
    }

    /// What the engine should send: a band for every column of dots there may be.
    pub fn ask(&self, size: (u16, u16)) -> PastAsk {
        PastAsk { end: self.end, span: self.span(), columns: size.0.saturating_mul(2) }
    }

    /// Zooms around the cursor, or else around the middle. A graph that ends now still ends now. Returns `false` at the
    /// shortest or longest stretch.
    pub fn zoom(&mut self, out: bool, now: Timestamp) -> bool {
        let to = if out { self.zoom + 1 } else { self.zoom.wrapping_sub(1) };
        let Some(span) = GRAPH_SPANS.get(to) else { return false };
        let (from, _) = self.edges(now);
        let middle = self.cursor.unwrap_or(from + self.span().scaled(1, 2));
        if self.end.is_some() || self.cursor.is_some() {
            self.to(middle + span.scaled(1, 2), now);
        }
        self.zoom = to;
        true
    }

    /// Moves by half a stretch.
    pub fn pan(&mut self, back: bool, now: Timestamp) {
        let (_, end) = self.edges(now);
        let half = self.span().scaled(1, 2);
        self.to(if back { end - half } else { end + half }, now);
    }

    /// Moves the right edge; one in the future becomes now.
    pub fn to(&mut self, end: Timestamp, now: Timestamp) {
        self.end = (end < now).then_some(end);
    }
}

/// The spans of the Activity screen, shortest first.
const ACTIVITY_SPANS: [Span; 3] = [Span::from_hours(24), Span::from_hours(48), Span::from_hours(168)];

/// The Activity screen's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityUi {
    /// Whether it shows only the selected VM, not the whole cluster.
    pub alone: bool,
    /// Index into `ACTIVITY_SPANS`.
    zoom: usize,
}

impl Default for ActivityUi {
    fn default() -> Self {
        Self { alone: false, zoom: 1 }
    }
}

impl ActivityUi {
    /// How far back it looks.
    pub fn span(&self) -> Span {
        ACTIVITY_SPANS[self.zoom]
    }

    /// Zooms; `false` at the shortest or longest span.
    pub fn zoom(&mut self, out: bool) -> bool {
        let to = if out { self.zoom + 1 } else { self.zoom.wrapping_sub(1) };
        let can = to < ACTIVITY_SPANS.len();
        if can {
            self.zoom = to;
        }
        can
    }

    /// What the engine should say.
    pub fn ask(&self, selected: Option<&Name>) -> ActivityAsk {
        ActivityAsk { vm: selected.filter(|_| self.alone).cloned(), span: self.span() }
    }

    /// The readings of the VM, if it is shown alone.
    pub fn past(&self, size: (u16, u16)) -> Option<PastAsk> {
        self.alone.then_some(PastAsk { end: None, span: self.span(), columns: size.0.saturating_mul(2) })
    }
}

/// How far back the Queue screen says what the VM cost.
const COST_SPAN: Span = Span::from_hours(24);

/// The Queue screen's choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUi {
    /// The claim whose jobs are shown; `None`: the one in work.
    pub claim: Option<String>,
    /// The selected job. `None`: the row counts, whichever job is in it.
    pub selected: Option<u32>,
    /// The selected row. In row 0 without a job, the selection stays on the worst job.
    pub row: u32,
    /// The jobs' filter; empty shows everything.
    pub filter: String,
    /// The marked jobs.
    pub marked: BTreeSet<u32>,
    /// The page whose jobs are marked.
    pub marked_of: Arc<str>,
    /// Index into `GRAPH_SPANS`.
    zoom: usize,
}

impl Default for QueueUi {
    fn default() -> Self {
        Self {
            claim: None,
            selected: None,
            row: 0,
            filter: String::new(),
            marked: BTreeSet::new(),
            marked_of: Arc::from(""),
            zoom: 4,
        }
    }
}

impl QueueUi {
    /// Whether a VM has a queue.
    pub fn has_queue(row: &VmRow) -> bool {
        row.policy == PolicyKind::Site
    }

    /// Zooms the time line; `false` at the shortest or longest stretch.
    pub fn zoom(&mut self, out: bool) -> bool {
        let to = if out { self.zoom + 1 } else { self.zoom.wrapping_sub(1) };
        let can = to < GRAPH_SPANS.len();
        if can {
            self.zoom = to;
        }
        can
    }

    /// Another claim's jobs, or another VM's.
    pub fn show(&mut self, claim: Option<String>) {
        *self = Self { claim, zoom: self.zoom, ..Self::default() };
    }

    /// The selected row of these jobs.
    pub fn at(&self, jobs: &JobsView) -> u32 {
        let found = self.selected.and_then(|job| jobs.rows.iter().position(|row| row.number == job));
        match (found, self.selected) {
            (Some(at), _) => jobs.first + at as u32,
            (None, Some(_)) => jobs.at.unwrap_or(0),
            (None, None) => self.row.min(jobs.found.saturating_sub(1)),
        }
    }

    /// What the engine should send: enough rows to scroll some screens without asking again.
    fn ask(&self, vm: &Name, size: (u16, u16)) -> QueueAsk {
        QueueAsk {
            vm: vm.clone(),
            claim: self.claim.clone(),
            selected: self.selected,
            row: self.row,
            rows: size.1.saturating_mul(4),
            filter: self.filter.clone(),
        }
    }

    /// The stretch of the past that its time line shows.
    pub fn past(&self, size: (u16, u16)) -> PastAsk {
        PastAsk { end: None, span: GRAPH_SPANS[self.zoom], columns: size.0.saturating_mul(2) }
    }

    fn cost(vm: Name) -> ActivityAsk {
        ActivityAsk { vm: Some(vm), span: COST_SPAN }
    }
}
