//! The questions and lines that lie over the editor, or over a screen for one number of a policy.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::act::{Edit, saved, send_save};
use super::nudge::{self, Nudging};
use super::screen;
use crate::console::keymap::{self, Action, Context};
use crate::console::text::{width, wrap};
use crate::console::theme::Role;
use crate::console::ui::{Overlay, Tone, Ui};
use crate::console::update::Effect;
use crate::console::widgets::Canvas;
use crate::core::format::{is_hostile, tame};
use crate::core::policy::Field;
use crate::view::{Block, Scope, Snapshot};

/// Characters of a line that is typed.
const LONGEST: usize = 200;

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

impl Ask {
    /// What takes the keys.
    pub const fn context(&self) -> Context {
        match self {
            Self::Why(_) | Self::Number { .. } => Context::Line,
            Self::Share { .. } => Context::Share,
            Self::Conflict(_) => Context::Conflict,
            Self::Unsaved => Context::Unsaved,
        }
    }

    /// Types into it, if it is a line.
    pub fn typed(&mut self, action: &Action) {
        let (Self::Why(line) | Self::Number { typed: line, .. }) = self else { return };
        match action {
            Action::Type(c) if !is_hostile(*c) => line.push(*c),
            Action::Paste(pasted) => line.push_str(tame(pasted).trim()),
            Action::Erase => drop(line.pop()),
            Action::EraseWord => {
                let kept = line.trim_end().rsplit_once(' ').map_or(0, |(head, _)| head.len() + 1);
                line.truncate(kept);
            }
            Action::EraseLine => line.clear(),
            _ => {}
        }
        if let Some((end, _)) = line.char_indices().nth(LONGEST) {
            line.truncate(end);
        }
    }

    /// Draws it.
    pub fn draw(&self, pen: &mut Canvas<'_>, area: Rect, ui: &Ui) {
        match self {
            Self::Why(line) => prompt(pen, area, "why? (enter to leave it empty): ", line, ui),
            Self::Number { vms, field, now, typed } => {
                prompt(pen, area, &nudge::question(vms, *field, *now), typed, ui);
            }
            Self::Share { question, .. } => choice(pen, area, "shared", question, self.context()),
            Self::Conflict(theirs) => screen::conflict(pen, area, ui, theirs),
            Self::Unsaved => {
                choice(pen, area, "unsaved", "the text has changes that are not saved", self.context());
            }
        }
    }
}

/// A line to be typed, in place of the footer; why the last one was not taken, behind it.
fn prompt(pen: &mut Canvas<'_>, area: Rect, question: &str, typed: &str, ui: &Ui) {
    let at = Rect { y: area.bottom() - 1, height: 1, ..area };
    pen.clear(at);
    let x = pen.put(at.x + 1, at.y, at.width - 1, question, Role::Key);
    let room = at.right().saturating_sub(x + 1);
    // Of a long line its end is seen, where it is typed.
    let over = width(typed).saturating_sub(usize::from(room));
    let mut skipped = 0;
    let shown: String = typed
        .chars()
        .skip_while(|c| {
            let skip = skipped < over;
            skipped += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
            skip
        })
        .collect();
    let x = pen.put(x, at.y, room, &shown, Role::Strong);
    pen.glyph(x, at.y, pen.glyphs.caret, Role::Key);
    if let Some(wrong) = ui.notice.as_ref().filter(|notice| notice.tone == Tone::Bad) {
        let x = x + 3;
        pen.line(x, at.y, at.right().saturating_sub(x), &[("! ", Role::Warning), (&wrong.text, Role::Warning)]);
    }
}

/// A question in the middle, with its answers from the table of keys.
fn choice(pen: &mut Canvas<'_>, area: Rect, title: &str, question: &str, context: Context) {
    let answers: Vec<_> = keymap::BINDINGS.iter().filter(|b| b.context == context && !b.help.is_empty()).collect();
    let columns = (width(question) as u16 + 6).clamp(44, 76).min(area.width);
    let lines = wrap(question, usize::from(columns.saturating_sub(4)), 5, pen.glyphs.cut);
    let rows = lines.len() as u16 + answers.len() as u16 + 3;
    let at = crate::console::overlays::centred(area, columns, rows);
    pen.frame(at, title);
    let (x, room) = (at.x + 2, at.width.saturating_sub(4));
    let bottom = at.bottom().saturating_sub(1);
    // The answers are never cut off; the question may be, which the title sums up.
    let first = bottom.saturating_sub(answers.len() as u16);
    for (y, line) in (at.y + 1..first).zip(&lines) {
        pen.put(x, y, room, line, Role::Strong);
    }
    for (y, binding) in (first.max(at.y + 1)..bottom).zip(&answers) {
        let end = pen.put(x, y, room.min(6), binding.shown, Role::Key).max(x + 5);
        pen.put(end + 1, y, (x + room).saturating_sub(end + 1), binding.help, Role::Text);
    }
}

/// Does what was answered.
pub(super) fn answered(ui: &mut Ui, answer: Edit, snapshot: &Snapshot) -> Vec<Effect> {
    let Some(Overlay::Asks(_)) = ui.overlays.last() else { return Vec::new() };
    let Some(Overlay::Asks(ask)) = ui.overlays.pop() else { return Vec::new() };
    match (ask, answer) {
        (Ask::Why(line), Edit::Take) => {
            let why = Some(line.trim().to_owned()).filter(|why| !why.is_empty());
            saved(ui, why).into_iter().collect()
        }
        (Ask::Number { vms, field, now, typed }, Edit::Take) => match nudge::typed(ui, &vms, field, &typed, snapshot) {
            Ok(effects) => effects,
            Err(why) => {
                ui.say(Tone::Bad, why);
                ui.overlays.push(Overlay::Asks(Ask::Number { vms, field, now, typed }));
                Vec::new()
            }
        },
        (Ask::Share { then, .. }, Edit::TheBlock | Edit::ItsOwn) => {
            let scope = if answer == Edit::TheBlock { Scope::Block } else { Scope::Own };
            match then {
                Then::SetValue(nudging) => nudge::scoped(ui, nudging, scope),
                Then::Save(why) => {
                    if let Some(editor) = &mut ui.editor {
                        editor.scope = scope;
                    }
                    send_save(ui, why, false).into_iter().collect()
                }
            }
        }
        (Ask::Conflict(_), Edit::Mine) => send_save(ui, None, true).into_iter().collect(),
        (Ask::Conflict(_), Edit::Theirs) => {
            if let Some(editor) = &mut ui.editor {
                // Asked for anew, so that the engine compares with what is there now.
                editor.before = editor.text.take();
            }
            ui.say(Tone::Good, "taken from the file: ctrl-u brings yours back");
            Vec::new()
        }
        (Ask::Unsaved, Edit::Lose) => {
            ui.editor = None;
            ui.say(Tone::Good, "nothing was saved");
            Vec::new()
        }
        (Ask::Share { .. } | Ask::Number { .. } | Ask::Why(_), Edit::GoOn) => {
            ui.say(Tone::Good, "nothing was changed");
            Vec::new()
        }
        _ => Vec::new(),
    }
}
