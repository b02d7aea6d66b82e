//! The policy editor: a policy's text, and what it would have done, told at every key.
//!
//! ```text
//! text     the text, its caret, undo and its values      syntax  a line of it in pieces
//! act      what the operator does in it                  answer  what comes back from the engine
//! ask      the questions that lie over it                nudge   one number, without an editor
//! screen   where everything is                           lines   the text as it is drawn
//! panel    now and would be, in numbers                  graph   and on the VM's past
//! ```

mod act;
mod answer;
mod graph;
mod lines;
mod nudge;
mod panel;
mod screen;
mod syntax;
mod text;

use std::sync::Arc;

pub use act::{act, drafted, is_typed, typed};
pub use answer::{arrived, refused};
pub use nudge::{change, undo};
pub use screen::{draw, draw_ask};
pub use text::{Cut, Go};

use self::text::Text;
use crate::core::cluster::Span;
use crate::core::insight::{ComparedSide, Comparison};
use crate::core::policy::Field;
use crate::view::{Block, CommandId, Draft, DraftProblem, DraftView, KeyChange, Past, PastAsk, Scope, WhatIf};

/// How far back what-if may look, in days.
const DAYS: [i64; 5] = [1, 3, 7, 14, 30];

/// A policy under the operator's hands.
#[derive(Debug, Clone)]
pub struct Editor {
    /// Whose: one VM's, or several marked ones'. The first one's past is replayed and drawn.
    pub vms: Vec<Arc<str>>,
    /// Which block it is saved into.
    pub scope: Scope,
    /// Which of the spans what-if looks over.
    days: usize,
    /// The text; `None` until the block has been read.
    text: Option<Text>,
    /// The text before the file's was asked for: to be undone to.
    before: Option<Text>,
    /// The text as it was read.
    base: String,
    /// Drafts before this one were of an editor that is closed.
    first: u64,
    /// The newest draft.
    seq: u64,
    /// The newest answer, which may be of an older draft.
    view: Option<Arc<DraftView>>,
    /// What was told last, and over which of the spans.
    now: Option<(usize, Arc<Comparison>)>,
    /// The past of the first VM.
    past: Option<Arc<Past>>,
    /// A save is on its way: its command, and what it changes.
    saving: Option<(CommandId, Vec<KeyChange>)>,
}

impl Editor {
    fn new(vms: Vec<Arc<str>>, newest: u64) -> Self {
        Self {
            vms,
            scope: Scope::Block,
            days: 3,
            text: None,
            before: None,
            base: String::new(),
            first: newest + 1,
            seq: newest,
            view: None,
            now: None,
            past: None,
            saving: None,
        }
    }

    /// How far back what-if looks.
    pub fn span(&self) -> Span {
        Span::from_hours(DAYS[self.days] * 24)
    }

    /// How far back the graph goes: not to where nothing is recorded, in whole hours so that it is not another at every
    /// reading.
    fn shown(&self) -> Span {
        let begins = self.past.as_ref().and_then(|past| Some(past.to.since(past.begins?)));
        let hour = Span::from_hours(1);
        let recorded = begins.map(|age| Span::from_hours(age.millis() / hour.millis() + 1));
        recorded.map_or(self.span(), |recorded| recorded.min(self.span()))
    }

    /// What the engine should send of the first VM's past.
    pub fn ask(&self, size: (u16, u16)) -> PastAsk {
        PastAsk { end: None, span: self.shown(), columns: size.0.saturating_mul(2) }
    }

    /// Whether a save has been asked for and not been answered.
    pub const fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Whether there is something in it that leaving would lose.
    pub fn is_unsaved(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.whole() != self.base)
    }

    fn draft(&self, seq: u64) -> Draft {
        let text = self.text.as_ref().map(Text::whole);
        Draft { seq, vms: self.vms.clone(), scope: self.scope, text, span: self.span() }
    }

    /// The block as the file has it, as far as it is known.
    fn block(&self) -> Option<&Arc<Block>> {
        self.view.as_ref().map(|view| &view.block)
    }

    /// The answer to the newest draft; `None` while it has not come.
    fn fresh(&self) -> Option<&DraftView> {
        self.view.as_deref().filter(|view| view.seq >= self.seq && self.text.is_some())
    }

    fn problems(&self) -> &[DraftProblem] {
        self.fresh().map_or(&[], |view| &view.problems)
    }

    /// What the newest draft would have done, if that is told.
    fn told(&self) -> Option<&Comparison> {
        match &self.fresh()?.what_if {
            WhatIf::Told { comparison, .. } => Some(comparison),
            WhatIf::Pending | WhatIf::None(_) => None,
        }
    }

    /// What the settings as they are would have done: the same whatever is drafted, as long as the span is.
    fn now(&self) -> Option<&ComparedSide> {
        self.now.as_ref().filter(|(days, _)| *days == self.days).map(|(_, comparison)| &comparison.old)
    }

    /// Whether the block is a shared one.
    pub fn is_shared(&self) -> bool {
        self.block().is_some_and(|block| block.shared.is_some())
    }

    /// `nii1`, or `3 VMs`.
    fn whose(&self) -> String {
        whose(&self.vms)
    }
}

fn whose(vms: &[Arc<str>]) -> String {
    match vms {
        [one] => one.to_string(),
        many => format!("{} VMs", many.len()),
    }
}

/// `threshold 50 → 60, tarry +4`.
fn changes_in_words(changes: &[KeyChange]) -> String {
    let change = |change: &KeyChange| match (change.old.is_empty(), change.new.is_empty()) {
        (false, false) => format!("{} {} → {}", change.key, change.old, change.new),
        (true, _) => format!("{} {} is new", change.key, change.new),
        (false, true) => format!("{} {} is gone", change.key, change.old),
    };
    changes.iter().map(change).collect::<Vec<_>>().join(", ")
}

/// A question, or a line to be typed.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Why this is saved.
    Why(String),
    /// A number in place of one of a policy's.
    Number {
        /// Of these VMs.
        vms: Vec<Arc<str>>,
        /// This one.
        field: Field,
        /// As it is; `None` if they differ.
        now: Option<f64>,
        /// What was typed.
        typed: String,
    },
    /// The shared block, or one of its own?
    Share {
        /// In words.
        question: String,
        /// What is done then.
        then: Then,
    },
    /// The file was changed meanwhile: its block.
    Conflict(Arc<Block>),
    /// What is not saved would be lost.
    Unsaved,
}

/// What is done once it is known which block.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// The draft is saved, with this reason.
    Save(Option<String>),
    /// Numbers are changed.
    SetValue(Nudging),
}

/// Numbers that are to be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Nudging {
    /// Which of a policy's numbers.
    pub field: Field,
    /// Of which VM, from what if that is known, to what.
    pub to: Vec<(Arc<str>, Option<f64>, f64)>,
}

/// Something done in the editor, to it, or to one number of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Open it on the selected VM, or on the marked ones.
    Open,
    /// Type a number in place of the chosen one.
    Number,
    /// Save and apply.
    Save,
    /// The same, and say why.
    SaveWhy,
    /// Leave it.
    Leave,
    /// Take the last step in the text back.
    Undo,
    /// Do it again.
    Redo,
    /// To the next value.
    Next,
    /// To the value before.
    Previous,
    /// To the nearest bound of the strip with fewer moves.
    Fewer,
    /// To the nearest one with more.
    More,
    /// What-if looks less far back.
    Shorter,
    /// What-if looks further back.
    Longer,
    /// The next span of them, round and round.
    Days,
    /// The shared block, or one of its own.
    Scope,
    /// Break the line.
    Newline,
    /// Move the caret.
    Go(Go),
    /// Take something out.
    Cut(Cut),
    /// Wait no longer for an answer.
    StopWaiting,
    /// Answer: into the block, whoever uses it.
    TheBlock,
    /// Answer: into a block of its own.
    ItsOwn,
    /// Answer: save mine over what is in the file.
    Mine,
    /// Answer: take what is in the file.
    Theirs,
    /// Answer: leave, and lose what is not saved.
    Lose,
    /// Answer: take this line.
    Take,
    /// Answer: none.
    GoOn,
}
