//! What the operator does in the editor, and what comes back from the engine on a draft.

use std::sync::Arc;

use crate::console::editor::text::Text;
use crate::console::editor::{DAYS, Editor, EditorAction, Prompt, changes_in_words, numbers};
use crate::console::keymap::Action;
use crate::console::step;
use crate::console::text::{rounded, some_of};
use crate::console::ui::{Overlay, Tone, Ui, UiEffect};
use crate::core::cluster::Direction;
use crate::core::format::{exact, tame};
use crate::core::insight::Variant;
use crate::core::policy::Field;
use crate::view::{CommandId, Draft, DraftView, KeyChange, Saving, Scope, Snapshot, UiCommand, WhatIf};

/// The most characters of a line that is typed.
const LONGEST: usize = 200;

/// Whether an action is typing that the editor or a prompt over it takes.
pub fn is_typed(ui: &Ui, action: &Action) -> bool {
    let typing =
        matches!(action, Action::Type(_) | Action::Erase | Action::EraseWord | Action::EraseLine | Action::Paste(_));
    let here = match ui.overlays.last() {
        Some(Overlay::Prompt(_)) => true,
        None => ui.editor.is_some(),
        Some(_) => false,
    };
    typing && here
}

/// Types into the open prompt, or else into the text.
pub fn typed(ui: &mut Ui, action: Action) {
    if let Some(Overlay::Prompt(prompt)) = ui.overlays.last_mut() {
        return type_into(prompt, &action);
    }
    let Some(editor) = ui.editor.as_mut().filter(|editor| !editor.is_saving()) else { return };
    let Some(text) = &mut editor.text else { return };
    match action {
        Action::Type(c) => text.type_char(c),
        Action::Paste(pasted) if !text.paste(&pasted) => {
            ui.say(Tone::Bad, "not pasted: that is far longer than any policy");
        }
        _ => {}
    }
}

/// Types into a prompt that takes a line.
fn type_into(prompt: &mut Prompt, action: &Action) {
    let (Prompt::Why(line) | Prompt::Number { typed: line, .. }) = prompt else { return };
    action.type_into(line);
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
    }
}

/// Does an action of the editor.
pub fn act(ui: &mut Ui, edit: EditorAction, snapshot: &Snapshot) -> Vec<UiEffect> {
    match edit {
        EditorAction::Open => open(ui, snapshot),
        EditorAction::Number => ask_number(ui, snapshot),
        EditorAction::TheBlock
        | EditorAction::ItsOwn
        | EditorAction::Mine
        | EditorAction::Theirs
        | EditorAction::Lose
        | EditorAction::Take
        | EditorAction::GoOn => {
            return answered(ui, edit, snapshot);
        }
        EditorAction::Save | EditorAction::SaveWhy => {
            // The prompt on leaving offers to save, too.
            ui.overlays.pop_if(|overlay| matches!(overlay, Overlay::Prompt(Prompt::Unsaved)));
            return save(ui, edit == EditorAction::SaveWhy).into_iter().collect();
        }
        EditorAction::Leave => leave(ui),
        EditorAction::StopWaiting => {
            if let Some((id, _)) = ui.editor.as_mut().and_then(|editor| editor.saving.take()) {
                ui.end_wait(id);
                ui.say(Tone::Bad, "no answer yet: it may still be saved");
            }
        }
        EditorAction::Fewer | EditorAction::More => ease(ui, snapshot, edit == EditorAction::Fewer),
        EditorAction::Scope => toggle_scope(ui),
        _ => in_text(ui, edit),
    }
    Vec::new()
}

fn ask_number(ui: &mut Ui, snapshot: &Snapshot) {
    if let Some(prompt) = numbers::number(ui, snapshot) {
        ui.overlays.push(Overlay::Prompt(prompt));
    }
}

/// Opens the editor, or says why not.
fn open(ui: &mut Ui, snapshot: &Snapshot) {
    if let Some(why) = &snapshot.uneditable {
        return ui.say(Tone::Bad, format!("policies cannot be edited here: {why}"));
    }
    let vms = numbers::targets(ui, snapshot);
    if vms.is_empty() {
        return ui.say(Tone::Bad, "no VM is selected");
    }
    ui.editor = Some(Box::new(Editor::new(vms, ui.draft_seq)));
}

fn in_text(ui: &mut Ui, edit: EditorAction) {
    let Some(editor) = &mut ui.editor else { return };
    match edit {
        EditorAction::Shorter => editor.days = editor.days.saturating_sub(1),
        EditorAction::Longer => editor.days = (editor.days + 1).min(DAYS.len() - 1),
        EditorAction::Days => editor.days = (editor.days + 1) % DAYS.len(),
        _ => {}
    }
    let Some(text) = &mut editor.text else { return };
    let was_done = match edit {
        EditorAction::Undo => text.undo(),
        EditorAction::Redo => text.redo(),
        _ => true,
    };
    match edit {
        EditorAction::Next | EditorAction::Previous => text.next_value(edit == EditorAction::Previous),
        EditorAction::Newline => text.newline(),
        EditorAction::Go(to) => text.go(to),
        EditorAction::Cut(cut) => text.cut(cut),
        _ => {}
    }
    if !was_done {
        ui.say(Tone::Bad, if edit == EditorAction::Undo { "nothing to undo here" } else { "nothing to do again" });
    }
}

/// Leaves, or asks first if something would be lost.
fn leave(ui: &mut Ui) {
    if ui.editor.as_ref().is_some_and(|editor| editor.is_unsaved()) {
        ui.overlays.push(Overlay::Prompt(Prompt::Unsaved));
    } else {
        ui.editor = None;
    }
}

/// Saves, or says why not, or opens the prompt that comes first.
fn save(ui: &mut Ui, with_reason: bool) -> Option<UiEffect> {
    let editor = ui.editor.as_mut()?;
    if editor.text.is_none() {
        ui.say(Tone::Bad, "the config is still being read");
        return None;
    }
    let shared = editor.block().is_some_and(|block| block.shared.is_some());
    let gets_its_own = shared && editor.scope == Scope::Own;
    if !editor.is_unsaved() && !gets_its_own {
        ui.say(Tone::Bad, "nothing has been changed");
        return None;
    }
    if let Some(problem) = editor.problems().first().cloned() {
        let at = (problem.line, problem.column);
        if let Some(text) = &mut editor.text {
            text.jump(at);
        }
        ui.say(Tone::Bad, format!("not saved: line {}, column {} is wrong", at.0 + 1, at.1 + 1));
        return None;
    }
    if with_reason {
        ui.overlays.push(Overlay::Prompt(Prompt::Why(String::new())));
        return None;
    }
    saved(ui, None)
}

/// Saves with this reason, but asks first if others share the block.
fn saved(ui: &mut Ui, why: Option<String>) -> Option<UiEffect> {
    let editor = ui.editor.as_ref()?;
    let block = editor.block()?;
    if editor.scope == Scope::Block
        && let Some(name) = &block.shared
        && !block.others.is_empty()
    {
        let question = format!(
            "policy {name} is shared: this changes {} VMs, {} too",
            editor.vms.len() + block.others.len(),
            some_of(&block.others)
        );
        ui.overlays.push(Overlay::Prompt(Prompt::ShareDraft { question, why }));
        return None;
    }
    send_save(ui, why, false)
}

/// Sends the save to the engine.
fn send_save(ui: &mut Ui, why: Option<String>, over: bool) -> Option<UiEffect> {
    let id = ui.next_id();
    let editor = ui.editor.as_mut()?;
    ui.draft_seq += 1;
    editor.saving = Some((id, editor.view.as_ref().map_or_else(Vec::new, |view| view.changes.clone())));
    editor.seq = ui.draft_seq;
    let draft = editor.draft(ui.draft_seq);
    // The save contains the draft: the draft need not be sent, too.
    ui.drafted = Some(draft.clone());
    ui.say(Tone::Asked, "saving: asked, waiting for the engine");
    Some(UiEffect::UiCommand(UiCommand::Save { id, draft, why, over }))
}

fn toggle_scope(ui: &mut Ui) {
    let Some(editor) = &mut ui.editor else { return };
    let Some(block) = editor.block().cloned() else { return };
    let Some(name) = &block.shared else {
        return ui.say(Tone::Bad, "this block is its own already");
    };
    editor.scope = match editor.scope {
        Scope::Block => Scope::Own,
        Scope::Own => Scope::Block,
    };
    let whose = editor.whose();
    let said = match editor.scope {
        Scope::Own => format!("saving gives {whose} a block of its own; policy {name} stays as it is"),
        Scope::Block => format!("saving changes policy {name}, whoever uses it"),
    };
    ui.say(Tone::Good, said);
}

/// Changes the threshold to the strip's nearest one with fewer or more moves. Without a what-if, by one step.
fn ease(ui: &mut Ui, snapshot: &Snapshot, fewer: bool) {
    let Some(editor) = &mut ui.editor else { return };
    let first = editor.vms.first();
    let direction = snapshot
        .rows
        .iter()
        .find(|row| Some(&row.name) == first)
        .map_or_else(Direction::default, |row| row.bounds.direction);
    let eased = match eased(editor, direction, fewer) {
        Ok(eased) => eased,
        Err(why) => return ui.say(Tone::Bad, why),
    };
    let (field, value) = eased;
    let value = exact(value);
    if let Some(text) = &mut editor.text {
        text.set_value(field.key(), &value);
    }
    ui.say(Tone::Good, format!("{} {value}: F2 saves it", field.key()));
}

fn eased(editor: &Editor, direction: Direction, fewer: bool) -> Result<(Field, f64), &'static str> {
    let text = editor.text.as_ref().ok_or("the config is still being read")?;
    let now = text.number(Field::Threshold).ok_or("there is no threshold in this text to change")?;
    let up = fewer == (direction == Direction::HigherIsWorse);
    let view = editor.fresh().ok_or("what-if is still counting: once more in a moment")?;
    if !view.problems.is_empty() {
        return Err("the text has to be right first");
    }
    match &view.what_if {
        WhatIf::Pending => Err("what-if is still counting: once more in a moment"),
        WhatIf::None(_) => Ok((Field::Threshold, step::step(Field::Threshold, now, up))),
        WhatIf::Told { comparison, .. } if comparison.strip.is_empty() => {
            Err("the strip is still counting: once more in a moment")
        }
        WhatIf::Told { comparison, .. } => {
            let moves = comparison.new.outcome.moves;
            let better = |variant: &&Variant| if fewer { variant.moves < moves } else { variant.moves > moves };
            let found = nearest(&comparison.strip, now, up).into_iter().find(|variant| better(variant));
            let tarry = || {
                let tarry = text.number(Field::Tarry)? as u32;
                let wanted = if fewer { tarry.checked_add(1)? } else { tarry.checked_sub(1)? };
                comparison.strip.iter().find(|variant| variant.tarry == wanted && better(variant))
            };
            match (found, tarry()) {
                (Some(v), _) => Ok((Field::Threshold, whole(v.threshold, now, direction))),
                (None, Some(v)) => Ok((Field::Tarry, f64::from(v.tarry))),
                (None, None) if fewer => Err("nothing near this bound moves it less"),
                (None, None) => Err("nothing near this bound moves it more"),
            }
        }
    }
}

/// The strip's thresholds on one side of this one, the nearest first.
fn nearest(strip: &[Variant], now: f64, up: bool) -> Vec<&Variant> {
    let mut side: Vec<&Variant> =
        strip.iter().filter(|v| if up { v.threshold > now } else { v.threshold < now }).collect();
    side.sort_by(|a, b| (a.threshold - now).abs().total_cmp(&(b.threshold - now).abs()));
    side
}

/// A bound that reads well. If the present one is whole, the new one is too, and the same whole values are beyond it.
fn whole(value: f64, now: f64, direction: Direction) -> f64 {
    let whole = match direction {
        Direction::HigherIsWorse => value.floor(),
        Direction::LowerIsWorse => value.ceil(),
    };
    if now.fract() == 0.0 && whole != now { whole } else { rounded(value) }
}

/// Sends the newest draft, if it changed or did not arrive.
pub fn drafted(ui: &mut Ui) -> Option<UiEffect> {
    let wanted = ui.editor.as_ref().map(|editor| editor.draft(ui.draft_seq));
    let said = ui.drafted.as_ref().map(|draft| (&draft.vms, draft.scope, &draft.text, draft.span));
    let is_known = !std::mem::take(&mut ui.draft_lost);
    if is_known && wanted.as_ref().map(|draft| (&draft.vms, draft.scope, &draft.text, draft.span)) == said {
        return None;
    }
    ui.drafted = wanted.map(|draft| {
        ui.draft_seq += 1;
        Draft { seq: ui.draft_seq, ..draft }
    });
    if let Some(editor) = &mut ui.editor {
        editor.seq = ui.draft_seq;
    }
    Some(UiEffect::UiCommand(UiCommand::Draft(ui.drafted.clone())))
}

/// Does what the operator answered to the open prompt.
fn answered(ui: &mut Ui, answer: EditorAction, snapshot: &Snapshot) -> Vec<UiEffect> {
    let Some(Overlay::Prompt(_)) = ui.overlays.last() else { return Vec::new() };
    let Some(Overlay::Prompt(prompt)) = ui.overlays.pop() else { return Vec::new() };
    match (prompt, answer) {
        (Prompt::Why(line), EditorAction::Take) => {
            let why = Some(line.trim().to_owned()).filter(|why| !why.is_empty());
            saved(ui, why).into_iter().collect()
        }
        (Prompt::Number { vms, field, now, typed }, EditorAction::Take) => {
            match numbers::typed(ui, &vms, field, &typed, snapshot) {
                Ok(effects) => effects,
                Err(why) => {
                    ui.say(Tone::Bad, why);
                    ui.overlays.push(Overlay::Prompt(Prompt::Number { vms, field, now, typed }));
                    Vec::new()
                }
            }
        }
        (Prompt::ShareNumbers { change, .. }, EditorAction::TheBlock | EditorAction::ItsOwn) => {
            numbers::scoped(ui, change, chosen(answer))
        }
        (Prompt::ShareDraft { why, .. }, EditorAction::TheBlock | EditorAction::ItsOwn) => {
            if let Some(editor) = &mut ui.editor {
                editor.scope = chosen(answer);
            }
            send_save(ui, why, false).into_iter().collect()
        }
        (Prompt::Conflict(_), EditorAction::Mine) => send_save(ui, None, true).into_iter().collect(),
        (Prompt::Conflict(_), EditorAction::Theirs) => {
            if let Some(editor) = &mut ui.editor {
                // Ask for the block again, so that the engine compares with the present file.
                editor.before = editor.text.take();
            }
            ui.say(Tone::Good, "taken from the file: ctrl-u brings yours back");
            Vec::new()
        }
        (Prompt::Unsaved, EditorAction::Lose) => {
            ui.editor = None;
            ui.say(Tone::Good, "nothing was saved");
            Vec::new()
        }
        (
            Prompt::ShareDraft { .. } | Prompt::ShareNumbers { .. } | Prompt::Number { .. } | Prompt::Why(_),
            EditorAction::GoOn,
        ) => {
            ui.say(Tone::Good, "nothing was changed");
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// Takes what a snapshot says about the draft, also while the display is frozen.
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
    if let Some((id, _)) = asked {
        ui.end_wait(id);
    }
    // A save that succeeded closes the editor, also if nobody waits for it. Other results matter only to who waits.
    if asked.is_some() || view.saving == Saving::Done {
        let view = Arc::clone(view);
        show_saved(ui, &view, &asked.map_or_else(Vec::new, |(_, changes)| changes));
    }
}

/// A command was refused, or did not reach the engine. If it was the save, the editor stops waiting, and the draft is sent
/// again so that what-if goes on.
pub fn refused(ui: &mut Ui, id: CommandId) {
    if let Some(editor) = &mut ui.editor
        && editor.saving.take_if(|(save, _)| *save == id).is_some()
    {
        ui.forget_draft();
    }
}

/// Shows the block that was read, with the threshold selected, so that typing replaces it.
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

fn show_saved(ui: &mut Ui, view: &DraftView, asked: &[KeyChange]) {
    match &view.saving {
        Saving::Not => ui.say(Tone::Bad, "not saved, and nobody says why: try again"),
        Saving::Done => {
            // After the save the engine reports no change: show those of the draft.
            let changes = if view.changes.is_empty() { asked } else { &view.changes };
            let place = if view.block.place.is_empty() { "the config" } else { &*view.block.place };
            let what = match changes_in_words(changes) {
                none if none.is_empty() => String::new(),
                some => format!(": {some}"),
            };
            ui.editor = None;
            ui.overlays.retain(|overlay| !matches!(overlay, Overlay::Prompt(_)));
            ui.say(Tone::Good, tame(&format!("saved to {place} and applied{what}")));
        }
        Saving::Refused(why) => {
            // The answer to a save has no what-if: send the draft again.
            ui.forget_draft();
            ui.say(Tone::Bad, format!("not saved: {}", tame(why)));
        }
        Saving::Conflict(theirs) => {
            ui.forget_draft();
            ui.overlays.push(Overlay::Prompt(Prompt::Conflict(Arc::clone(theirs))));
            ui.notice = None;
        }
    }
}

/// The block that an answer chooses.
fn chosen(answer: EditorAction) -> Scope {
    if answer == EditorAction::TheBlock { Scope::Block } else { Scope::Own }
}
