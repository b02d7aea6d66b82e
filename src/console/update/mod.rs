//! What an action does to the screen and what it says to the engine. Pure: no terminal, no clock.

mod dialogs;
mod drain;
mod graph;
mod policy;
mod table;

use std::sync::Arc;

use dialogs::{answer, ask_abort, choose, command, mode};
use policy::{copy, next_field};
use table::{follow, freeze, mark, narrow, relist, sort, type_filter};

use super::editor;
use super::keymap::Action;
use super::overlays;
use super::screens::fleet;
use super::ui::{Effect, Overlay, Screen, Tone, Ui};
use crate::core::cluster::Span;
use crate::core::format::tame;
use crate::view::{Snapshot, UiCommand};

/// Does an action.
pub fn update(ui: &mut Ui, action: Action, snapshot: &Snapshot) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !matches!(action, Action::Arrived | Action::Quiet(_) | Action::Resize(..) | Action::NotSent(_)) {
        ui.notice = None;
    }
    match action {
        Action::Quit => effects.push(Effect::Quit),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Resize(columns, rows) => ui.size = (columns, rows),
        Action::Arrived => arrived(ui, snapshot),
        Action::Quiet(ms) => ui.quiet = Some(Span::from_millis(ms)),
        Action::EngineGone => ui.engine_gone = true,
        Action::NotSent(id) => {
            ui.pending.retain(|pending| pending.id != id);
            editor::refused(ui, id);
            ui.say(Tone::Bad, "the engine is too busy to be asked: not sent, try again");
        }
        // In the editor the help begins with its own keys, which come last.
        Action::Help => ui.overlays.push(Overlay::Help { top: if ui.editor.is_some() { usize::MAX } else { 0 } }),
        Action::Theme => {
            ui.theme = ui.theme.next();
            ui.say(Tone::Good, format!("theme {}", ui.theme.word()));
        }
        Action::Freeze => freeze(ui, snapshot),
        Action::Copy => effects.extend(copy(ui, snapshot)),
        Action::Back => back(ui, snapshot),
        Action::Choose => choose(ui, snapshot),
        Action::Yes => effects.extend(answer(ui)),
        Action::No => {
            ui.overlays.pop();
            ui.say(Tone::Good, "nothing was done");
        }
        Action::Down | Action::Up | Action::PageDown | Action::PageUp | Action::First | Action::Last => {
            go(ui, snapshot, &action);
        }
        Action::Open => ui.screen = Screen::Vm,
        Action::Activity => {
            // From a VM's screen it is that VM's activity that is asked for.
            ui.activity.alone = ui.screen == Screen::Vm;
            ui.activity.opened_from = ui.screen;
            ui.screen = Screen::Activity;
        }
        Action::Mark => mark(ui),
        Action::ZoomIn | Action::ZoomOut => graph::zoom(ui, snapshot, action == Action::ZoomOut),
        Action::Earlier | Action::Later => graph::pan(ui, snapshot, action == Action::Earlier),
        Action::Now => (ui.vm.end, ui.vm.cursor) = (None, None),
        Action::CursorBack | Action::CursorOn => graph::step(ui, snapshot, action == Action::CursorBack),
        Action::EventBack | Action::EventOn => graph::event(ui, snapshot, action == Action::EventBack),
        Action::Scope => ui.activity.alone = !ui.activity.alone,
        Action::Filter => ui.overlays.push(Overlay::Filter { before: ui.filter.clone() }),
        Action::Edit(edit) => effects.extend(editor::act(ui, edit, snapshot)),
        ref typed if editor::is_typed(ui, typed) => editor::typed(ui, action),
        Action::Type(_) | Action::Erase | Action::EraseWord | Action::EraseLine | Action::Paste(_) => {
            type_filter(ui, snapshot, action);
        }
        Action::Sort | Action::Reverse => sort(ui, snapshot, &action),
        Action::Moves => {
            if let Some(vm) = ui.selected.clone() {
                ui.overlays.push(Overlay::Moves { vm, chosen: None });
            }
        }
        Action::Drain => drain::open(ui, snapshot),
        Action::PauseDrain | Action::ResumeDrain => {
            effects.extend(drain::pause(ui, snapshot, action == Action::PauseDrain));
        }
        Action::Undrain => drain::ask_undrain(ui, snapshot),
        Action::Field => next_field(ui, snapshot),
        Action::Raise => effects.extend(editor::change(ui, snapshot, true)),
        Action::Lower => effects.extend(editor::change(ui, snapshot, false)),
        Action::Undo => effects.push(editor::undo(ui)),
        Action::Reload => {
            ui.say(Tone::Asked, "the config file is read again");
            effects.push(Effect::UiCommand(UiCommand::Reload(ui.next_id())));
        }
        Action::Abort => ask_abort(ui),
        Action::Mode => effects.extend(mode(ui, snapshot)),
        Action::Approve | Action::Deny | Action::Hold | Action::Release | Action::Acknowledge => {
            effects.extend(command(ui, &action));
        }
    }
    effects.extend(editor::drafted(ui));
    let look = ui.look();
    if ui.looked.as_ref() != Some(&look) {
        ui.looked = Some(look.clone());
        effects.push(Effect::UiCommand(UiCommand::Subscription(look)));
    }
    effects
}

fn arrived(ui: &mut Ui, snapshot: &Snapshot) {
    ui.quiet = None;
    ui.age_notice();
    answers(ui, snapshot);
    editor::arrived(ui, snapshot);
    drain::follow(ui, snapshot);
    let same = Arc::ptr_eq(&ui.listed, &snapshot.rows) && ui.row().map(|row| &row.name) == ui.selected.as_ref();
    if !ui.frozen && !same {
        relist(ui, snapshot);
        follow(ui, snapshot);
    }
}

/// Takes what became of the last commands, and shows the newest answer. Answers from before this console are nobody's here.
fn answers(ui: &mut Ui, snapshot: &Snapshot) {
    let known = std::mem::replace(&mut ui.answered, snapshot.answers.last().map_or(0, |answer| answer.seq));
    if !std::mem::replace(&mut ui.started, true) {
        return;
    }
    for answer in snapshot.answers.iter().filter(|answer| answer.seq > known) {
        // What nobody asked here, or what was answered before, ends no wait.
        if let Some(id) = answer.to {
            ui.pending.retain(|pending| pending.id != id);
            if !answer.ok {
                editor::refused(ui, id);
            }
        }
        ui.say(if answer.ok { Tone::Good } else { Tone::Bad }, tame(&answer.text));
    }
}

fn go(ui: &mut Ui, snapshot: &Snapshot, action: &Action) {
    let jump = |at: usize, len: usize, page: usize| match action {
        Action::Down => (at + 1).min(len.saturating_sub(1)),
        Action::Up => at.saturating_sub(1),
        Action::PageDown => (at + page).min(len.saturating_sub(1)),
        Action::PageUp => at.saturating_sub(page),
        Action::First => 0,
        _ => len.saturating_sub(1),
    };
    let (rows, columns) = (usize::from(ui.size.1), ui.size.0);
    let moves = ui.moves(snapshot).map(|(moves, at)| moves.get(jump(at, moves.len(), 5)).map(|o| o.target.clone()));
    let page = fleet::table_rows(ui, snapshot).max(2) - 1;
    match ui.overlays.last_mut() {
        Some(Overlay::Help { top }) => {
            let lines = overlays::help::scrolls(columns, ui.size.1, ui.screen) + 1;
            *top = jump((*top).min(lines - 1), lines, rows / 2);
        }
        Some(Overlay::Moves { chosen, .. }) => *chosen = moves.flatten().or_else(|| chosen.take()),
        Some(Overlay::Drain { .. }) => drain::go(ui, snapshot, action, jump),
        Some(Overlay::Confirm { .. } | Overlay::Asks(_)) => {}
        Some(Overlay::Filter { .. }) | None => {
            let Some(at) = ui.listing.at else { return };
            let at = jump(at, ui.listing.rows.len(), page);
            ui.selected = ui.listing.rows.get(at).map(|row| Arc::clone(&row.name));
            ui.listing.at = Some(at);
        }
    }
}

fn back(ui: &mut Ui, snapshot: &Snapshot) {
    match ui.overlays.pop() {
        Some(Overlay::Filter { .. }) => narrow(ui, snapshot, String::new()),
        Some(_) => {}
        None if ui.banner(snapshot).is_some() => ui.dismissed.clone_from(&snapshot.banner),
        None if ui.screen == Screen::Vm && ui.vm.cursor.is_some() => ui.vm.cursor = None,
        None if ui.screen == Screen::Vm => ui.screen = Screen::Fleet,
        None if ui.screen == Screen::Activity => ui.screen = ui.activity.opened_from,
        None if !ui.marked.is_empty() => ui.marked.clear(),
        None if !ui.filter.is_empty() => narrow(ui, snapshot, String::new()),
        None if ui.frozen => freeze(ui, snapshot),
        None => {}
    }
}
