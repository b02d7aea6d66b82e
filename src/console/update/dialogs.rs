//! The dialogs to move a VM and to drain a host, and what they ask the engine for.

use std::sync::Arc;

use crate::console::keymap::{Action, is_in_doubt};
use crate::console::ui::{Deed, Overlay, Screen, Tone, Ui, UiEffect};
use crate::console::update::queue;
use crate::core::cluster::{Mode, Name};
use crate::core::engine::{Command, Target};
use crate::core::format::{counted, tame};
use crate::view::{GateVerdict, HostView, MoveOption, Snapshot, UiCommand};

pub(super) fn choose(ui: &mut Ui, snapshot: &Snapshot) -> Option<UiEffect> {
    match ui.overlays.last() {
        Some(Overlay::Pause(_)) => return queue::pause(ui),
        None if ui.screen == Screen::Queue => ui.overlays.push(Overlay::Job),
        Some(Overlay::Filter) => {
            ui.overlays.pop();
        }
        Some(Overlay::Moves { vm, .. }) => {
            let vm = vm.clone();
            let Some(option) = ui.moves(snapshot).and_then(|(moves, at)| moves.get(at)) else {
                ui.say(Tone::Bad, "no destinations yet: the engine has not said them");
                return None;
            };
            ask_move(ui, &vm, &option.clone(), snapshot);
        }
        Some(Overlay::Drain { .. }) => ask_drain(ui, snapshot),
        _ => {}
    }
    None
}

fn ask_move(ui: &mut Ui, vm: &Name, option: &MoveOption, snapshot: &Snapshot) {
    let blocking = option.gates.iter().find(|gate| gate.verdict == GateVerdict::Blocks);
    let (Some(to), None) = (&option.to, blocking) else {
        let why = blocking.map_or("there is no such host".to_owned(), |g| format!("{}: {}", g.gate.word(), g.detail));
        return ui.say(Tone::Bad, tame(&why));
    };
    let from = snapshot.rows.iter().find(|row| row.name == *vm).map_or("", |row| &row.host);
    let warns = option.gates.iter().filter(|gate| gate.verdict == GateVerdict::Warns).count();
    let warning = match warns {
        0 => String::new(),
        n => format!(" ({} {})", counted(n, "gate", "gates"), if n == 1 { "warns" } else { "warn" }),
    };
    let question = format!("move {vm} from {from} to {to}{warning}?");
    // Ask for the host that is shown: `next` may be another host when the command arrives.
    let target = match &option.target {
        Target::Next | Target::Up | Target::Down => Target::Host(to.to_string()),
        fixed => fixed.clone(),
    };
    let then = Deed::Command(Command::Move { vm: vm.to_string(), target });
    ui.overlays.push(Overlay::Confirm { question, then });
}

pub(super) fn answer(ui: &mut Ui) -> Option<UiEffect> {
    let Some(Overlay::Confirm { then, .. }) = ui.overlays.pop() else { return None };
    ui.overlays.retain(|overlay| !matches!(overlay, Overlay::Moves { .. }));
    Some(match then {
        Deed::Command(command) => ask(ui, command),
        Deed::Queue(order) => queue::send(ui, order),
    })
}

/// Sends a command, and shows that it was sent.
pub(super) fn ask(ui: &mut Ui, command: Command) -> UiEffect {
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
    UiEffect::UiCommand(UiCommand::Command(ui.next_id(), command))
}

pub(super) fn command(ui: &mut Ui, action: &Action) -> Option<UiEffect> {
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

/// Asks before a migration of unknown outcome is settled: somebody must have looked at the host.
fn ask_give_up(ui: &mut Ui) -> bool {
    let Some(row) = ui.row().filter(|row| is_in_doubt(row)) else { return false };
    let question = format!("is the host that does not answer off for good? {} is then as the other one says", row.name);
    let then = Deed::Command(Command::Release { vm: row.name.to_string() });
    ui.overlays.push(Overlay::Confirm { question, then });
    true
}

pub(super) fn ask_abort(ui: &mut Ui) {
    let Some(row) = ui.row() else { return };
    let Some(migration) = &row.migration else { return };
    let question = format!("abort the migration of {} to {}, {} % done?", row.name, migration.to, migration.percent);
    let then = Deed::Command(Command::Abort { vm: row.name.to_string() });
    ui.overlays.push(Overlay::Confirm { question, then });
}

pub(super) fn mode(ui: &mut Ui, snapshot: &Snapshot) -> Option<UiEffect> {
    let (mode, means) = match snapshot.mode {
        Mode::Observe => (Mode::Ask, "requests will wait for approval"),
        Mode::Ask => (Mode::Auto, "policies will move VMs on their own"),
        Mode::Auto => (Mode::Observe, ""),
    };
    let command = Command::Mode { mode };
    if mode < snapshot.mode {
        return Some(ask(ui, command));
    }
    ui.overlays
        .push(Overlay::Confirm { question: format!("mode {}: {means}?", mode.word()), then: Deed::Command(command) });
    None
}

/// Opens the drain dialog on the selected VM's host, or on a host that is being drained now.
pub(super) fn open_drain(ui: &mut Ui, snapshot: &Snapshot) {
    let under_way = |host: &&Arc<HostView>| host.drain.as_ref().is_some_and(|drain| !drain.done);
    let here = ui.row().and_then(|row| snapshot.hosts().find(|host| host.name == row.host));
    let other = || snapshot.hosts().find(under_way);
    let host = here.filter(|host| host.drain.is_some()).or_else(other).or(here).or_else(|| snapshot.hosts().next());
    match host {
        Some(host) => ui.overlays.push(Overlay::Drain { host: host.name.clone(), top: 0 }),
        None => ui.say(Tone::Bad, "there is no host"),
    }
}

/// Chooses another host, or scrolls the VMs of the chosen one.
pub(super) fn scroll_drain(
    ui: &mut Ui,
    snapshot: &Snapshot,
    action: &Action,
    jump: impl Fn(usize, usize, usize) -> usize,
) {
    let planned = ui.plan(snapshot).map_or(0, |plan| plan.moves.len());
    let Some(Overlay::Drain { host, top }) = ui.overlays.last_mut() else { return };
    if matches!(action, Action::PageDown | Action::PageUp) {
        *top = jump(*top, planned, PAGE);
        return;
    }
    let names: Vec<&Name> = snapshot.hosts().map(|host| &host.name).collect();
    let at = names.iter().position(|name| *name == host).unwrap_or(0);
    if let Some(name) = names.get(jump(at, names.len(), PAGE)) {
        (*host, *top) = ((*name).clone(), 0);
    }
}

/// VMs that a page scrolls.
const PAGE: usize = 5;

/// Asks before a host is drained.
fn ask_drain(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(host) = ui.drained(snapshot) else { return };
    let Some(plan) = ui.plan(snapshot) else {
        return ui.say(Tone::Bad, "no plan yet: the engine has not said where its VMs would go");
    };
    let leaving = plan.moves.iter().filter(|planned| planned.to.is_some()).count();
    let leave = match (leaving, plan.at_once) {
        (0, _) => "no VM leaves it".to_owned(),
        (1, _) => "1 VM leaves it".to_owned(),
        (n, 1) => format!("{n} VMs leave it one after the other"),
        (n, at_once) => format!("{n} VMs leave it, {at_once} at once"),
    };
    let stay = match plan.moves.len() - leaving {
        0 => String::new(),
        1 => ", 1 stays".to_owned(),
        n => format!(", {n} stay"),
    };
    let warnings = match plan.warnings.len() {
        0 => String::new(),
        n => format!(" ({})", counted(n, "warning", "warnings")),
    };
    let question = format!("drain {}: {leave}{stay}, and it takes none until it is released{warnings}?", host.name);
    let then = Deed::Command(Command::Drain { host: host.name.to_string() });
    ui.overlays.push(Overlay::Confirm { question, then });
}

/// Asks before a host takes VMs again: somebody may be about to switch it off.
pub(super) fn ask_undrain(ui: &mut Ui, snapshot: &Snapshot) {
    let Some((host, drain)) = ui.drained(snapshot).and_then(|host| Some((host, host.drain.as_ref()?))) else { return };
    let means = match (drain.done, drain.under_way.is_empty()) {
        (true, _) => "it is drained",
        (false, false) => "its draining ends, what is on its way goes on",
        (false, true) => "its draining ends",
    };
    let question = format!("let {} take VMs again: {means}?", host.name);
    let then = Deed::Command(Command::Undrain { host: host.name.to_string() });
    ui.overlays.push(Overlay::Confirm { question, then });
}

/// Pauses the drain, or resumes it.
pub(super) fn pause_drain(ui: &mut Ui, snapshot: &Snapshot, on: bool) -> Option<UiEffect> {
    let host = ui.drained(snapshot)?.name.to_string();
    Some(ask(ui, if on { Command::PauseDrain { host } } else { Command::ResumeDrain { host } }))
}

/// Closes the dialog about a VM or a host that is gone.
pub(super) fn close_if_gone(ui: &mut Ui, snapshot: &Snapshot) {
    let gone = |overlay: &Overlay| match overlay {
        Overlay::Moves { vm, .. } if !ui.frozen && !snapshot.rows.iter().any(|row| row.name == *vm) => {
            Some("that VM is gone")
        }
        Overlay::Drain { host, .. } if !snapshot.hosts().any(|other| other.name == *host) => Some("that host is gone"),
        _ => None,
    };
    let found = ui.overlays.iter().enumerate().find_map(|(at, overlay)| Some((at, gone(overlay)?)));
    if let Some((at, text)) = found {
        ui.overlays.truncate(at);
        ui.say(Tone::Bad, text);
    }
}
