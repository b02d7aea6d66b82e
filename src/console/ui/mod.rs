//! What the operator has done to the screen: names and choices, no row numbers, no data of the engine's.

mod activity;
mod vm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use activity::ActivityUi;
pub use vm::VmUi;

use super::MINIMUM;
use super::editor::{Ask, Editor};
use super::glyph::Glyphs;
use super::listing::{ByName, Listing, SortBy};
use super::text::Zone;
use super::theme::ThemeName;
use crate::core::cluster::Span;
use crate::core::engine::{Command, Target};
use crate::core::policy::{Field, Settings};
use crate::view::{
    CommandId, Detail, Draft, DrainPlanView, HostView, MoveOption, Scope, Snapshot, Subscription, UiCommand, VmRow,
};

/// How far back the graph of the selected VM goes.
pub const WINDOW: Span = Span::from_mins(30);

/// After so many snapshots, at most ten a second, a word on the last action has been read and may be false.
const NOTICE_LASTS: u32 = 60;

/// A screen. What each remembers stays when another is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Screen {
    /// Every VM.
    #[default]
    Fleet,
    /// The selected VM and its past.
    Vm,
    /// What was done, by one VM or in the cluster.
    Activity,
}

impl Screen {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fleet, Self::Vm, Self::Activity];

    /// The help's heading for what only it can do.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Fleet => "on the Fleet screen",
            Self::Vm => "on a VM's screen",
            Self::Activity => "on the Activity screen",
        }
    }
}

/// What lies over the screen. The last one takes the keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// All keys.
    Help {
        /// Lines scrolled away.
        top: usize,
    },
    /// Where to move a VM.
    Moves {
        /// This VM.
        vm: Arc<str>,
        /// The chosen destination; `None` = the first one.
        chosen: Option<Target>,
    },
    /// Which host to drain, and what that would mean; or how far it is.
    Drain {
        /// The chosen host.
        host: Arc<str>,
        /// VMs scrolled away.
        top: usize,
    },
    /// Yes or no.
    Confirm {
        /// In words.
        question: String,
        /// What yes does.
        then: Command,
    },
    /// A question of the policy editor, or a number to be typed.
    Asks(Ask),
    /// A filter is being typed.
    Filter {
        /// The filter to go back to.
        before: String,
    },
}

/// How a notice reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Asked, not yet answered.
    Asked,
    /// It was done.
    Good,
    /// It was not done, and why.
    Bad,
}

/// A word on the last action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How it reads.
    pub tone: Tone,
    /// In words.
    pub text: String,
}

/// A number that was asked for and that the engine has not answered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// By this command.
    pub id: CommandId,
    /// Of this VM.
    pub vm: Arc<str>,
    /// This number.
    pub field: Field,
    /// To this.
    pub value: f64,
}

/// What has to be done outside the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say this to the engine.
    UiCommand(UiCommand),
    /// Put this on the operator's clipboard.
    Copy(String),
    /// To the shell and back.
    Suspend,
    /// Leave.
    Quit,
}

/// The operator's side of the screen.
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
    /// The selected VM.
    pub selected: Option<Arc<str>>,
    /// The policy editor, while it is open.
    pub editor: Option<Box<Editor>>,
    /// The marked VMs: what is edited, all of them get.
    pub marked: BTreeSet<Arc<str>>,
    /// The table's order.
    pub sort: SortBy,
    /// From the other end.
    pub reverse: bool,
    /// What the table is narrowed to; empty = everything.
    pub filter: String,
    /// What lies over the screen, the topmost last.
    pub overlays: Vec<Overlay>,
    /// The number `+` and `-` change.
    pub field: Field,
    /// A word on the last action.
    pub notice: Option<Notice>,
    /// The banner that was dismissed.
    pub dismissed: Option<Arc<str>>,
    /// The display stands still.
    pub frozen: bool,
    /// No snapshot has come for so long; `None` while they come.
    pub quiet: Option<Span>,
    /// The engine is gone: nothing more will come.
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
    pub(super) by_name: ByName,
    pub(super) looked: Option<Subscription>,
    pub(super) answered: u64,
    /// The newest command's id.
    last_id: CommandId,
    /// Snapshots that came since the notice.
    notice_age: u32,
    pub(super) pending: Vec<Pending>,
    /// Which block was chosen for a VM in a shared one.
    pub(super) scopes: BTreeMap<Arc<str>, Scope>,
    /// The newest draft's number.
    pub(super) draft_seq: u64,
    /// The draft the engine was told last.
    pub(super) drafted: Option<Draft>,
    /// It did not reach the engine.
    pub(super) draft_lost: bool,
    pub(super) started: bool,
}

impl Ui {
    /// A screen nobody has touched.
    pub fn new(theme: ThemeName, ascii: bool, zone: Zone) -> Self {
        Self {
            size: (80, 24),
            screen: Screen::Fleet,
            vm: VmUi::default(),
            activity: ActivityUi::default(),
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
            by_name: ByName::default(),
            looked: None,
            answered: 0,
            last_id: CommandId::default(),
            notice_age: 0,
            pending: Vec::new(),
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

    /// The banner, unless it was dismissed.
    pub fn banner<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<str>> {
        snapshot.banner.as_ref().filter(|banner| self.dismissed.as_ref() != Some(banner))
    }

    /// Whether a filter is being typed.
    pub fn is_filtering(&self) -> bool {
        matches!(self.overlays.last(), Some(Overlay::Filter { .. }))
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

    /// What draining it would mean, once the engine has said so.
    pub fn plan<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<DrainPlanView>> {
        let host = self.drained(snapshot)?;
        snapshot.drain.as_ref().filter(|plan| plan.host == host.name)
    }

    /// What the engine should send for what is on screen.
    pub(super) fn look(&self) -> Subscription {
        let moves = self.overlays.iter().any(|overlay| matches!(overlay, Overlay::Moves { .. }));
        let drain = self.overlays.iter().find_map(|overlay| match overlay {
            Overlay::Drain { host, .. } => Some(Arc::clone(host)),
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
                activity: None,
            };
        }
        let past = match self.screen {
            Screen::Fleet => None,
            Screen::Vm => Some(self.vm.ask(self.size)),
            Screen::Activity => self.activity.past(self.size),
        };
        let activity = (self.screen == Screen::Activity).then(|| self.activity.ask(self.selected.as_ref()));
        Subscription { vm: self.selected.clone(), window: WINDOW, moves, drain, past, activity }
    }

    /// The next command's id: no two commands of this console have the same.
    pub(super) fn next_id(&mut self) -> CommandId {
        self.last_id.0 += 1;
        self.last_id
    }

    /// What was drafted last did not reach the engine.
    pub(super) fn forget_draft(&mut self) {
        self.draft_lost = true;
    }

    /// What was said to the engine last did not reach it.
    pub(super) fn forget_look(&mut self) {
        self.looked = None;
    }

    /// A snapshot came: what was said of an older one goes when it has been read.
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
