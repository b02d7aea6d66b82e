//! The drain dialog: which host, and what is asked for.

use std::sync::Arc;

use super::dialogs::ask;
use crate::console::keymap::Action;
use crate::console::ui::{Effect, Overlay, Tone, Ui};
use crate::core::engine::Command;
use crate::core::format::counted;
use crate::view::{HostView, Snapshot};

/// Opens it on the selected VM's host, unless that is calm and another one is just being emptied.
pub(super) fn open(ui: &mut Ui, snapshot: &Snapshot) {
    let under_way = |host: &&Arc<HostView>| host.drain.as_ref().is_some_and(|drain| !drain.done);
    let here = ui.row().and_then(|row| snapshot.hosts().find(|host| host.name == row.host));
    let other = || snapshot.hosts().find(under_way);
    let host = here.filter(|host| host.drain.is_some()).or_else(other).or(here).or_else(|| snapshot.hosts().next());
    match host {
        Some(host) => ui.overlays.push(Overlay::Drain { host: Arc::clone(&host.name), top: 0 }),
        None => ui.say(Tone::Bad, "there is no host"),
    }
}

/// The host so many places on, and from which of its VMs on they are shown.
pub(super) fn go(ui: &mut Ui, snapshot: &Snapshot, action: &Action, jump: impl Fn(usize, usize, usize) -> usize) {
    let planned = ui.plan(snapshot).map_or(0, |plan| plan.moves.len());
    let Some(Overlay::Drain { host, top }) = ui.overlays.last_mut() else { return };
    if matches!(action, Action::PageDown | Action::PageUp) {
        *top = jump(*top, planned, PAGE);
        return;
    }
    let names: Vec<&Arc<str>> = snapshot.hosts().map(|host| &host.name).collect();
    let at = names.iter().position(|name| *name == host).unwrap_or(0);
    if let Some(name) = names.get(jump(at, names.len(), PAGE)) {
        (*host, *top) = (Arc::clone(name), 0);
    }
}

/// VMs a page.
const PAGE: usize = 5;

/// Asks before a host is emptied.
pub(super) fn ask_drain(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(host) = ui.drained(snapshot) else { return };
    let Some(plan) = ui.plan(snapshot) else {
        return ui.say(Tone::Bad, "no plan yet: the engine has not said where its VMs would go");
    };
    let leaving = plan.moves.iter().filter(|planned| planned.to.is_ok()).count();
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
    let then = Command::Drain { host: host.name.to_string() };
    ui.overlays.push(Overlay::Confirm { question, then });
}

/// Asks before a host takes VMs again: it may be about to be switched off.
pub(super) fn ask_undrain(ui: &mut Ui, snapshot: &Snapshot) {
    let Some((host, drain)) = ui.drained(snapshot).and_then(|host| Some((host, host.drain.as_ref()?))) else { return };
    let means = match (drain.done, host.vms.iter().any(|(_, leaving)| leaving.is_some())) {
        (true, _) => "it is drained",
        (false, true) => "its draining ends, what is on its way goes on",
        (false, false) => "its draining ends",
    };
    let question = format!("let {} take VMs again: {means}?", host.name);
    let then = Command::Undrain { host: host.name.to_string() };
    ui.overlays.push(Overlay::Confirm { question, then });
}

/// Sends no more VMs away, or goes on.
pub(super) fn pause(ui: &mut Ui, snapshot: &Snapshot, on: bool) -> Option<Effect> {
    let host = ui.drained(snapshot)?.name.to_string();
    Some(ask(ui, if on { Command::PauseDrain { host } } else { Command::ResumeDrain { host } }))
}

/// Closes the dialog about a host that is gone.
pub(super) fn follow(ui: &mut Ui, snapshot: &Snapshot) {
    let gone = |name: &Arc<str>| !snapshot.hosts().any(|host| host.name == *name);
    if let Some(at) = ui.overlays.iter().position(|o| matches!(o, Overlay::Drain { host, .. } if gone(host))) {
        ui.overlays.truncate(at);
        ui.say(Tone::Bad, "that host is gone");
    }
}
