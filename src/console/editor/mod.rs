//! The policy editor: a policy's text, and at every key what the policy would have done.
//!
//! | file | its story |
//! | --- | --- |
//! | `mod` | the editor's state, its actions and its questions |
//! | `text` | the text, its caret, undo and values |
//! | `act` | what the operator does in it, and what comes back from the engine |
//! | `numbers` | one number of a policy, changed without an editor |
//! | `view` | where everything is, the text as it is drawn, the questions over it |
//! | `panel` | now and would be: in numbers, and on a VM's past |

mod act;
mod numbers;
mod panel;
mod text;
mod view;

use std::sync::Arc;

pub use act::{act, arrived, drafted, is_typed, refused, typed};
pub use numbers::{change, undo};
pub use text::Deletion;
pub use tui_textarea::CursorMove;
pub use view::{draw, draw_prompt};

use self::text::Text;
use crate::core::cluster::{Name, Span};
use crate::core::insight::{ComparedSide, Comparison};
use crate::core::policy::Field;
use crate::view::{Block, CommandId, Draft, DraftProblem, DraftView, KeyChange, Past, PastAsk, Scope, WhatIf};

/// How far back what-if may look, in days.
const DAYS: [i64; 5] = [1, 3, 7, 14, 30];

/// The state of the policy editor.
#[derive(Debug, Clone)]
pub struct Editor {
    /// The VMs whose policy is edited. The past of the first one is replayed and drawn.
    pub vms: Vec<Name>,
    /// Which block it is saved into.
    pub scope: Scope,
    /// Index into `DAYS`.
    days: usize,
    /// The text; `None` until the block has been read.
    text: Option<Text>,
    /// The text before the file's block was taken, for undo.
    before: Option<Text>,
    /// The text as it was read.
    base: String,
    /// The first draft of this editor; older ones were an earlier editor's.
    first: u64,
    /// The newest draft.
    seq: u64,
    /// The newest answer; it may be about an older draft.
    view: Option<Arc<DraftView>>,
    /// The last what-if, and the index of its span.
    now: Option<(usize, Arc<Comparison>)>,
    /// The past of the first VM.
    past: Option<Arc<Past>>,
    /// The save that is not answered yet: its command, and what it changes.
    saving: Option<(CommandId, Vec<KeyChange>)>,
}

impl Editor {
    fn new(vms: Vec<Name>, newest: u64) -> Self {
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

    /// How far back the graph goes: no further than the records, in whole hours so that it does not change at every reading.
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

    /// Whether a save waits for its answer.
    pub const fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Whether leaving would lose changes.
    pub fn is_unsaved(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.whole() != self.base)
    }

    fn draft(&self, seq: u64) -> Draft {
        let text = self.text.as_ref().map(Text::whole);
        Draft { seq, vms: self.vms.clone(), scope: self.scope, text, span: self.span() }
    }

    /// The block in the file, once it is known.
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

    /// What the newest draft would have done, once it is known.
    fn told(&self) -> Option<&Comparison> {
        match &self.fresh()?.what_if {
            WhatIf::Told { comparison, .. } => Some(comparison),
            WhatIf::Pending | WhatIf::None(_) => None,
        }
    }

    /// What the present settings would have done. It depends only on the span, not on the draft.
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

fn whose(vms: &[Name]) -> String {
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

/// A question over the editor, or over a screen for one number.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// Why this is saved.
    Why(String),
    /// A new value for a policy's number.
    Number {
        /// Of these VMs.
        vms: Vec<Name>,
        /// This one.
        field: Field,
        /// The present value; `None` if the VMs differ.
        now: Option<f64>,
        /// What was typed.
        typed: String,
    },
    /// Save the draft into the shared block, or into one of its own?
    ShareDraft {
        /// In words.
        question: String,
        /// Why it is saved.
        why: Option<String>,
    },
    /// Change numbers in the shared block, or in one of its own?
    ShareNumbers {
        /// In words.
        question: String,
        /// The numbers.
        change: NumberChange,
    },
    /// The file was changed meanwhile; this is its block.
    Conflict(Arc<Block>),
    /// Leaving would lose changes.
    Unsaved,
}

/// A change of one number of one or several VMs.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberChange {
    /// Which of a policy's numbers.
    pub field: Field,
    /// Each VM, its present value if that is known, and the new one.
    pub to: Vec<(Name, Option<f64>, f64)>,
}

/// An action of the policy editor, or on one number of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditorAction {
    /// Open it on the selected VM, or on the marked ones.
    Open,
    /// Type a number in place of the chosen one.
    Number,
    /// Save and apply.
    Save,
    /// Ask for a reason, then save.
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
    /// What-if looks over the next span; after the longest comes the shortest.
    Days,
    /// The shared block, or one of its own.
    Scope,
    /// Break the line.
    Newline,
    /// Move the caret.
    Go(CursorMove),
    /// Delete something.
    Cut(Deletion),
    /// Stop waiting for an answer.
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
