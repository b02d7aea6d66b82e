//! Dialogs and what they ask the engine for.

use std::sync::Arc;

use super::drain;
use crate::console::keymap::{Action, is_in_doubt};
use crate::console::ui::{Effect, Overlay, Tone, Ui};
use crate::core::cluster::Mode;
use crate::core::engine::{Command, Target};
use crate::core::format::{counted, tame};
use crate::view::{MoveOption, Snapshot, UiCommand, Verdict};

pub(super) fn choose(ui: &mut Ui, snapshot: &Snapshot) {
    match ui.overlays.last() {
        Some(Overlay::Filter { .. }) => {
            ui.overlays.pop();
        }
        Some(Overlay::Moves { vm, .. }) => {
            let vm = Arc::clone(vm);
            let Some(option) = ui.moves(snapshot).and_then(|(moves, at)| moves.get(at)) else {
                return ui.say(Tone::Bad, "no destinations yet: the engine has not said them");
            };
            ask_move(ui, &vm, &option.clone(), snapshot);
        }
        Some(Overlay::Drain { .. }) => drain::ask_drain(ui, snapshot),
        _ => {}
    }
}

fn ask_move(ui: &mut Ui, vm: &Arc<str>, option: &MoveOption, snapshot: &Snapshot) {
    let blocking = option.gates.iter().find(|gate| gate.verdict == Verdict::Blocks);
    let (Some(to), None) = (&option.to, blocking) else {
        let why = blocking.map_or("there is no such host".to_owned(), |g| format!("{}: {}", g.gate.word(), g.detail));
        return ui.say(Tone::Bad, tame(&why));
    };
    let from = snapshot.rows.iter().find(|row| row.name == *vm).map_or("", |row| &row.host);
    let warns = option.gates.iter().filter(|gate| gate.verdict == Verdict::Warns).count();
    let warning = match warns {
        0 => String::new(),
        n => format!(" ({} {})", counted(n, "gate", "gates"), if n == 1 { "warns" } else { "warn" }),
    };
    let question = format!("move {vm} from {from} to {to}{warning}?");
    // The host that is shown is the host that is asked for: `next` may be another by the time of the answer.
    let target = match &option.target {
        Target::Next | Target::Up | Target::Down => Target::Host(to.to_string()),
        fixed => fixed.clone(),
    };
    let then = Command::Move { vm: vm.to_string(), target };
    ui.overlays.push(Overlay::Confirm { question, then });
}

pub(super) fn answer(ui: &mut Ui) -> Option<Effect> {
    let Some(Overlay::Confirm { then, .. }) = ui.overlays.pop() else { return None };
    ui.overlays.retain(|overlay| !matches!(overlay, Overlay::Moves { .. }));
    Some(ask(ui, then))
}

/// Sends a command, and says so at once.
pub(super) fn ask(ui: &mut Ui, command: Command) -> Effect {
    let what = match &command {
        Command::Move { vm, target: Target::Host(host) } => format!("move {vm} to {host}"),
        Command::Move { vm, .. } => format!("move {vm}"),
        Command::Approve { vm } => format!("approve {vm}"),
        Command::Deny { vm } => format!("deny {vm}"),
        Command::Hold { vm } => format!("hold {vm}"),
        Command::Release { vm } => format!("release {vm}"),
        Command::Abort { vm } => format!("abort the migration of {vm}"),
        Command::Amend { changes, .. } => match &changes[..] {
            [change] => format!("change the policy of {}", change.vm),
            more => format!("change the policies of {} VMs", more.len()),
        },
        Command::Drain { host } => format!("drain {host}"),
        Command::Undrain { host } => format!("let {host} take VMs again"),
        Command::PauseDrain { host } => format!("pause the draining of {host}"),
        Command::ResumeDrain { host } => format!("go on draining {host}"),
        Command::Mode { mode } => format!("mode {}", mode.word()),
        Command::Acknowledge => "acknowledge the alarms".to_owned(),
    };
    ui.say(Tone::Asked, format!("{what}: asked, waiting for the engine"));
    Effect::UiCommand(UiCommand::Command(ui.next_id(), command))
}

pub(super) fn command(ui: &mut Ui, action: &Action) -> Option<Effect> {
    if *action == Action::Release && ask_give_up(ui) {
        return None;
    }
    let command = match action {
        Action::Acknowledge => Command::Acknowledge,
        _ => {
            let vm = ui.selected.as_ref()?.to_string();
            match action {
                Action::Approve => Command::Approve { vm },
                Action::Deny => Command::Deny { vm },
                Action::Hold => Command::Hold { vm },
                _ => Command::Release { vm },
            }
        }
    };
    Some(ask(ui, command))
}

/// A move of unknown outcome is settled only by somebody who has looked.
fn ask_give_up(ui: &mut Ui) -> bool {
    let Some(row) = ui.row().filter(|row| is_in_doubt(row)) else { return false };
    let question = format!("is the host that does not answer off for good? {} is then as the other one says", row.name);
    let then = Command::Release { vm: row.name.to_string() };
    ui.overlays.push(Overlay::Confirm { question, then });
    true
}

pub(super) fn ask_abort(ui: &mut Ui) {
    let Some(row) = ui.row() else { return };
    let Some(migration) = &row.migration else { return };
    let question = format!("abort the migration of {} to {}, {} % done?", row.name, migration.to, migration.percent);
    let then = Command::Abort { vm: row.name.to_string() };
    ui.overlays.push(Overlay::Confirm { question, then });
}

pub(super) fn mode(ui: &mut Ui, snapshot: &Snapshot) -> Option<Effect> {
    let (mode, means) = match snapshot.mode {
        Mode::Observe => (Mode::Ask, "requests will wait for approval"),
        Mode::Ask => (Mode::Auto, "policies will move VMs on their own"),
        Mode::Auto => (Mode::Observe, ""),
    };
    let then = Command::Mode { mode };
    if mode < snapshot.mode {
        return Some(ask(ui, then));
    }
    ui.overlays.push(Overlay::Confirm { question: format!("mode {}: {means}?", mode.word()), then });
    None
}
