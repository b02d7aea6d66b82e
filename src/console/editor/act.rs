//! What the operator does in the editor.

use super::{Ask, DAYS, Edit, Editor, Then, nudge};
use crate::console::keymap::Action;
use crate::console::step;
use crate::console::text::{rounded, some_of};
use crate::console::ui::{Effect, Overlay, Tone, Ui};
use crate::core::cluster::Direction;
use crate::core::format::{exact, is_hostile, tame};
use crate::core::insight::Variant;
use crate::core::policy::Field;
use crate::view::{Draft, Editing, Scope, Snapshot, UiCommand, WhatIf};

/// Characters of a line that is typed.
const LONGEST: usize = 200;

/// Whether an action is typing, which goes into the editor or a line over it, if one is open.
pub fn is_typed(ui: &Ui, action: &Action) -> bool {
    let typing =
        matches!(action, Action::Type(_) | Action::Erase | Action::EraseWord | Action::EraseLine | Action::Paste(_));
    let here = match ui.overlays.last() {
        Some(Overlay::Asks(_)) => true,
        None => ui.editor.is_some(),
        Some(_) => false,
    };
    typing && here
}

/// Types into the line that is asked for, or else into the text.
pub fn typed(ui: &mut Ui, action: Action) {
    if let Some(Overlay::Asks(ask)) = ui.overlays.last_mut() {
        return type_into(ask, &action);
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

/// Types into a question that takes a line.
fn type_into(ask: &mut Ask, action: &Action) {
    let (Ask::Why(line) | Ask::Number { typed: line, .. }) = ask else { return };
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

/// Does an action of the editor.
pub fn act(ui: &mut Ui, edit: Edit, snapshot: &Snapshot) -> Vec<Effect> {
    match edit {
        Edit::Open => open(ui, snapshot),
        Edit::Number => ask_number(ui, snapshot),
        Edit::TheBlock | Edit::ItsOwn | Edit::Mine | Edit::Theirs | Edit::Lose | Edit::Take | Edit::GoOn => {
            return answered(ui, edit, snapshot);
        }
        Edit::Save | Edit::SaveWhy => {
            // Asked for on the way out, too.
            ui.overlays.pop_if(|overlay| matches!(overlay, Overlay::Asks(Ask::Unsaved)));
            return save(ui, edit == Edit::SaveWhy).into_iter().collect();
        }
        Edit::Leave => leave(ui),
        Edit::StopWaiting => {
            if let Some(editor) = &mut ui.editor {
                editor.saving = None;
                ui.say(Tone::Bad, "no answer yet: it may still be saved");
            }
        }
        Edit::Fewer | Edit::More => ease(ui, snapshot, edit == Edit::Fewer),
        Edit::Scope => toggle_scope(ui),
        _ => in_text(ui, edit),
    }
    Vec::new()
}

fn ask_number(ui: &mut Ui, snapshot: &Snapshot) {
    if let Some(ask) = nudge::number(ui, snapshot) {
        ui.overlays.push(Overlay::Asks(ask));
    }
}

/// Opens the editor, or says why not.
fn open(ui: &mut Ui, snapshot: &Snapshot) {
    if let Editing::Off(why) = &snapshot.editing {
        return ui.say(Tone::Bad, format!("policies cannot be edited here: {why}"));
    }
    let vms = nudge::targets(ui, snapshot);
    if vms.is_empty() {
        return ui.say(Tone::Bad, "no VM is selected");
    }
    ui.editor = Some(Box::new(Editor::new(vms, ui.draft_seq)));
}

fn in_text(ui: &mut Ui, edit: Edit) {
    let Some(editor) = &mut ui.editor else { return };
    match edit {
        Edit::Shorter => editor.days = editor.days.saturating_sub(1),
        Edit::Longer => editor.days = (editor.days + 1).min(DAYS.len() - 1),
        Edit::Days => editor.days = (editor.days + 1) % DAYS.len(),
        _ => {}
    }
    let Some(text) = &mut editor.text else { return };
    let was_done = match edit {
        Edit::Undo => text.undo(),
        Edit::Redo => text.redo(),
        _ => true,
    };
    match edit {
        Edit::Next | Edit::Previous => text.next_value(edit == Edit::Previous),
        Edit::Newline => text.newline(),
        Edit::Go(to) => text.go(to),
        Edit::Cut(cut) => text.cut(cut),
        _ => {}
    }
    if !was_done {
        ui.say(Tone::Bad, if edit == Edit::Undo { "nothing to undo here" } else { "nothing to do again" });
    }
}

/// Leaves, or asks first if something would be lost.
fn leave(ui: &mut Ui) {
    if ui.editor.as_ref().is_some_and(|editor| editor.is_unsaved()) {
        ui.overlays.push(Overlay::Asks(Ask::Unsaved));
    } else {
        ui.editor = None;
    }
}

/// Saves, or says why not, or asks what has to be known first.
fn save(ui: &mut Ui, with_reason: bool) -> Option<Effect> {
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
        ui.overlays.push(Overlay::Asks(Ask::Why(String::new())));
        return None;
    }
    saved(ui, None)
}

/// Saves with this reason; a shared block is asked about first.
fn saved(ui: &mut Ui, why: Option<String>) -> Option<Effect> {
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
        ui.overlays.push(Overlay::Asks(Ask::Share { question, then: Then::Save(why) }));
        return None;
    }
    send_save(ui, why, false)
}

/// Says to the engine that it is to be saved.
fn send_save(ui: &mut Ui, why: Option<String>, over: bool) -> Option<Effect> {
    let id = ui.next_id();
    let editor = ui.editor.as_mut()?;
    ui.draft_seq += 1;
    editor.saving = Some((id, editor.view.as_ref().map_or_else(Vec::new, |view| view.changes.clone())));
    editor.seq = ui.draft_seq;
    let draft = editor.draft(ui.draft_seq);
    // What is saved is what is drafted: it need not be drafted once more.
    ui.drafted = Some(draft.clone());
    ui.say(Tone::Asked, "saving: asked, waiting for the engine");
    Some(Effect::UiCommand(UiCommand::Save { id, draft, why, over }))
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

/// Takes the strip's nearest bound with fewer moves, or with more; without a what-if the next round one.
fn ease(ui: &mut Ui, snapshot: &Snapshot, fewer: bool) {
    let Some(editor) = &mut ui.editor else { return };
    let first = editor.vms.first();
    let direction =
        snapshot.rows.iter().find(|row| Some(&row.name) == first).map_or_else(Direction::default, |row| row.direction);
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
    let now = text.value(Field::Threshold.key()).and_then(|value| value.replace('_', "").parse::<f64>().ok());
    let now = now.ok_or("there is no threshold in this text to change")?;
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
                let tarry: u32 = text.value(Field::Tarry.key())?.parse().ok()?;
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

/// A bound that reads well: whole next to a whole one, and beyond it is the same whole numbers.
fn whole(value: f64, now: f64, direction: Direction) -> f64 {
    let whole = match direction {
        Direction::HigherIsWorse => value.floor(),
        Direction::LowerIsWorse => value.ceil(),
    };
    if now.fract() == 0.0 && whole != now { whole } else { rounded(value) }
}

/// What the engine has to be told of the newest draft, if it changed.
pub fn drafted(ui: &mut Ui) -> Option<Effect> {
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
    Some(Effect::UiCommand(UiCommand::Draft(ui.drafted.clone())))
}

/// Does what was answered.
fn answered(ui: &mut Ui, answer: Edit, snapshot: &Snapshot) -> Vec<Effect> {
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
