//! What comes back from the engine on a draft.

use std::sync::Arc;

use super::text::Text;
use super::{Ask, Editor, changes_in_words};
use crate::console::ui::{Overlay, Tone, Ui};
use crate::core::format::tame;
use crate::view::{CommandId, DraftView, KeyChange, Saving, Snapshot, WhatIf};

/// Takes what a snapshot says of the draft. The display may stand still; the editor does not.
pub fn arrived(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(editor) = &mut ui.editor else { return };
    if let Some(past) = snapshot.past.as_ref().filter(|past| editor.vms.first() == Some(&past.vm)) {
        editor.past = Some(Arc::clone(past));
    }
    let newest = ui.draft_seq;
    let Some(view) = snapshot.draft.as_ref().filter(|view| (editor.first..=newest).contains(&view.seq)) else { return };
    if editor.view.as_ref().is_some_and(|known| Arc::ptr_eq(known, view)) {
        return;
    }
    editor.view = Some(Arc::clone(view));
    if view.seq < editor.seq {
        return;
    }
    if editor.text.is_none() {
        if let Saving::Refused(why) = &view.saving {
            ui.editor = None;
            return ui.say(Tone::Bad, format!("this policy cannot be edited: {}", tame(why)));
        }
        read(editor, view);
    }
    if let WhatIf::Told { comparison, .. } = &view.what_if {
        editor.now = Some((editor.days, Arc::clone(comparison)));
    }
    let asked = editor.saving.take();
    // Done is done, also for those who did not wait for it; the rest is told beside the text unless a save was asked for.
    if asked.is_some() || view.saving == Saving::Done {
        let view = Arc::clone(view);
        saved(ui, &view, &asked.map_or_else(Vec::new, |(_, changes)| changes));
    }
}

/// A command was refused, or did not reach the engine: if it was the save, it is waited for no longer. Its draft is sent again
/// with the next snapshot; the save is not.
pub fn refused(ui: &mut Ui, id: CommandId) {
    if let Some(editor) = &mut ui.editor
        && editor.saving.take_if(|(save, _)| *save == id).is_some()
    {
        ui.forget_draft();
    }
}

/// The block has come: the threshold is selected, so that typing replaces it.
fn read(editor: &mut Editor, view: &DraftView) {
    let mut text = match editor.before.take() {
        Some(mut before) => {
            before.replace(&view.block.text);
            before
        }
        None => Text::new(&view.block.text),
    };
    if !text.select_value("threshold") {
        text.next_value(false);
    }
    editor.base = text.whole();
    editor.text = Some(text);
}

fn saved(ui: &mut Ui, view: &DraftView, asked: &[KeyChange]) {
    match &view.saving {
        Saving::Not => ui.say(Tone::Bad, "not saved, and nobody says why: try again"),
        Saving::Done => {
            // Of what is in the file now nothing is left to be changed.
            let changes = if view.changes.is_empty() { asked } else { &view.changes };
            let place = if view.block.place.is_empty() { "the config" } else { &*view.block.place };
            let what = match changes_in_words(changes) {
                none if none.is_empty() => String::new(),
                some => format!(": {some}"),
            };
            ui.editor = None;
            ui.overlays.retain(|overlay| !matches!(overlay, Overlay::Asks(_)));
            ui.say(Tone::Good, tame(&format!("saved to {place} and applied{what}")));
        }
        Saving::Refused(why) => {
            // The answer to a save has no what-if: it is asked for once more.
            ui.forget_draft();
            ui.say(Tone::Bad, format!("not saved: {}", tame(why)));
        }
        Saving::Conflict(theirs) => {
            ui.forget_draft();
            ui.overlays.push(Overlay::Asks(Ask::Conflict(Arc::clone(theirs))));
            ui.notice = None;
        }
    }
}
