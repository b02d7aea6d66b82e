//! What an action does to the screen and what it says to the engine. Pure: no terminal, no clock.

use std::sync::Arc;

use super::keymap::Action;
use super::listing::{Listing, SortBy, arrange};
use super::screens::fleet;
use super::text;
use super::ui::{Overlay, Pending, Tone, Ui};
use super::{overlays, step};
use crate::core::cluster::{Mode, Span};
use crate::core::engine::{Change, Command, Target};
use crate::core::policy::{Field, Settings};
use crate::view::{MoveOption, Say, Snapshot, Verdict};

/// What has to be done outside the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say this to the engine.
    Say(Say),
    /// Put this on the operator's clipboard.
    Copy(String),
    /// To the shell and back.
    Suspend,
    /// Leave.
    Quit,
}

/// Does an action.
pub fn update(ui: &mut Ui, action: Action, snapshot: &Snapshot) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !matches!(action, Action::Arrived | Action::Quiet(_) | Action::Resize(..) | Action::NotSent) {
        ui.notice = None;
    }
    match action {
        Action::Quit => effects.push(Effect::Quit),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Resize(columns, rows) => ui.size = (columns, rows),
        Action::Arrived => arrived(ui, snapshot),
        Action::Quiet(ms) => ui.quiet = Some(Span::from_millis(ms)),
        Action::EngineGone => ui.engine_gone = true,
        Action::NotSent => {
            ui.pending = None;
            ui.say(Tone::Bad, "the engine is too busy to be asked: not sent, try again");
        }
        Action::Help => ui.overlays.push(Overlay::Help { top: 0 }),
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
        Action::Filter => ui.overlays.push(Overlay::Filter { before: ui.filter.clone() }),
        Action::Type(_) | Action::Erase | Action::EraseWord | Action::EraseLine | Action::Paste(_) => {
            type_filter(ui, snapshot, action);
        }
        Action::Sort | Action::Reverse => sort(ui, snapshot, &action),
        Action::Moves => {
            if let Some(vm) = ui.selected.clone() {
                ui.overlays.push(Overlay::Moves { vm, chosen: None });
            }
        }
        Action::Field => next_field(ui, snapshot),
        Action::Raise => effects.extend(change(ui, snapshot, true)),
        Action::Lower => effects.extend(change(ui, snapshot, false)),
        Action::Abort => ask_abort(ui),
        Action::Mode => effects.extend(mode(ui, snapshot)),
        Action::Undo => effects.push(Effect::Say(Say::Undo)),
        Action::Approve | Action::Deny | Action::Hold | Action::Release | Action::Acknowledge => {
            effects.extend(command(ui, &action));
        }
    }
    let look = ui.look();
    if ui.looked.as_ref() != Some(&look) {
        ui.looked = Some(look.clone());
        effects.push(Effect::Say(Say::Look(look)));
    }
    effects
}

fn arrived(ui: &mut Ui, snapshot: &Snapshot) {
    ui.quiet = None;
    ui.age_notice();
    answers(ui, snapshot);
    let same = Arc::ptr_eq(&ui.listed, &snapshot.rows) && ui.row().map(|row| &row.name) == ui.selected.as_ref();
    if !ui.frozen && !same {
        relist(ui, snapshot);
        follow(ui, snapshot);
    }
}

/// Shows what became of the last commands. Answers from before this console are nobody's here.
fn answers(ui: &mut Ui, snapshot: &Snapshot) {
    let newest = snapshot.answers.last();
    if !ui.started {
        ui.started = true;
        ui.answered = newest.map_or(0, |answer| answer.seq);
        return;
    }
    let Some(answer) = newest.filter(|answer| answer.seq > ui.answered) else { return };
    ui.answered = answer.seq;
    ui.pending = None;
    ui.say(if answer.ok { Tone::Good } else { Tone::Bad }, text::tame(&answer.text));
}

/// Closes a dialog about a VM that is gone.
fn follow(ui: &mut Ui, snapshot: &Snapshot) {
    let gone = |vm: &Arc<str>| !snapshot.rows.iter().any(|row| row.name == *vm);
    if let Some(at) = ui.overlays.iter().position(|o| matches!(o, Overlay::Moves { vm, .. } if gone(vm))) {
        ui.overlays.truncate(at);
        ui.say(Tone::Bad, "that VM is gone");
    }
}

/// Computes the rows anew; the selection stays on its VM, or goes to the neighbour if that is gone.
fn relist(ui: &mut Ui, snapshot: &Snapshot) {
    let by_name = ui.by_name.of(&snapshot.rows);
    let rows = arrange(&snapshot.rows, by_name, &ui.filter, ui.sort, ui.reverse);
    let find = |name: &str| rows.iter().position(|row| *row.name == *name);
    let before = &ui.listing;
    let kept = ui.selected.as_deref().and_then(find);
    let neighbour = || {
        let at = before.at?;
        let after = before.rows.iter().skip(at + 1);
        let ahead = before.rows.iter().take(at).rev();
        after.chain(ahead).find_map(|row| find(&row.name))
    };
    let at = kept.or_else(neighbour).or(if rows.is_empty() { None } else { Some(0) });
    // With nothing to select the name stays: the VM comes back when the filter goes.
    if let Some(row) = at.and_then(|at| rows.get(at)) {
        ui.selected = Some(Arc::clone(&row.name));
    } else if snapshot.rows.is_empty() {
        ui.selected = None;
    }
    ui.listing = Listing::new(rows, at, ui.sort == SortBy::Worst && !ui.reverse);
    ui.listed = Arc::clone(&snapshot.rows);
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
            let lines = overlays::help::scrolls(columns, ui.size.1) + 1;
            *top = jump((*top).min(lines - 1), lines, rows / 2);
        }
        Some(Overlay::Moves { chosen, .. }) => *chosen = moves.flatten().or_else(|| chosen.take()),
        Some(Overlay::Confirm { .. }) => {}
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
        None if !ui.filter.is_empty() => narrow(ui, snapshot, String::new()),
        None if ui.frozen => freeze(ui, snapshot),
        None => {}
    }
}

fn choose(ui: &mut Ui, snapshot: &Snapshot) {
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
        _ => {}
    }
}

fn ask_move(ui: &mut Ui, vm: &Arc<str>, option: &MoveOption, snapshot: &Snapshot) {
    let blocking = option.gates.iter().find(|gate| gate.verdict == Verdict::Blocks);
    let (Some(to), None) = (&option.to, blocking) else {
        let why = blocking.map_or("there is no such host".to_owned(), |g| format!("{}: {}", g.gate.word(), g.detail));
        return ui.say(Tone::Bad, text::tame(&why));
    };
    let from = snapshot.rows.iter().find(|row| row.name == *vm).map_or("", |row| &row.host);
    let warns = option.gates.iter().filter(|gate| gate.verdict == Verdict::Warns).count();
    let warning = match warns {
        0 => String::new(),
        n => format!(" ({} {})", text::counted(n, "gate", "gates"), if n == 1 { "warns" } else { "warn" }),
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

fn answer(ui: &mut Ui) -> Option<Effect> {
    let Some(Overlay::Confirm { then, .. }) = ui.overlays.pop() else { return None };
    ui.overlays.retain(|overlay| !matches!(overlay, Overlay::Moves { .. }));
    Some(ask(ui, then))
}

/// Sends a command, and says so at once.
fn ask(ui: &mut Ui, command: Command) -> Effect {
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
        Command::Mode { mode } => format!("mode {}", mode.word()),
        Command::Acknowledge => "acknowledge the alarms".to_owned(),
    };
    ui.say(Tone::Asked, format!("{what}: asked, waiting for the engine"));
    Effect::Say(Say::Command(command))
}

fn command(ui: &mut Ui, action: &Action) -> Option<Effect> {
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

fn ask_abort(ui: &mut Ui) {
    let Some(row) = ui.row() else { return };
    let Some(migration) = &row.migration else { return };
    let question = format!("abort the migration of {} to {}, {} % done?", row.name, migration.to, migration.percent);
    let then = Command::Abort { vm: row.name.to_string() };
    ui.overlays.push(Overlay::Confirm { question, then });
}

fn mode(ui: &mut Ui, snapshot: &Snapshot) -> Option<Effect> {
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

fn freeze(ui: &mut Ui, snapshot: &Snapshot) {
    ui.frozen = !ui.frozen;
    if !ui.frozen {
        relist(ui, snapshot);
    }
}

fn copy(ui: &mut Ui, snapshot: &Snapshot) -> Option<Effect> {
    let line = ui.detail(snapshot).map(|detail| format!("{}: {}", detail.vm, detail.why));
    match line {
        Some(line) => {
            ui.say(Tone::Good, "the why line is on the clipboard, if the terminal allows it");
            Some(Effect::Copy(line))
        }
        None => {
            ui.say(Tone::Bad, "no why line yet");
            None
        }
    }
}

fn type_filter(ui: &mut Ui, snapshot: &Snapshot, action: Action) {
    if !ui.is_filtering() {
        return;
    }
    let mut filter = ui.filter.clone();
    match action {
        Action::Type(c) => filter.push(c),
        Action::Paste(pasted) => filter.push_str(text::tame(&pasted).trim()),
        Action::Erase => {
            filter.pop();
        }
        Action::EraseWord => {
            let kept = filter.trim_end().rsplit_once(' ').map_or(0, |(head, _)| head.len() + 1);
            filter.truncate(kept);
        }
        _ => filter.clear(),
    }
    narrow(ui, snapshot, filter);
}

fn narrow(ui: &mut Ui, snapshot: &Snapshot, filter: String) {
    ui.filter = filter;
    relist(ui, snapshot);
}

fn sort(ui: &mut Ui, snapshot: &Snapshot, action: &Action) {
    if *action == Action::Reverse {
        ui.reverse = !ui.reverse;
    } else {
        ui.sort = ui.sort.next();
        ui.reverse = false;
    }
    relist(ui, snapshot);
    let way = match (ui.sort, ui.reverse) {
        (SortBy::Worst, true) => "best first".to_owned(),
        (by, true) => format!("{}, reversed", by.word()),
        (by, false) => by.word().to_owned(),
    };
    ui.say(Tone::Good, format!("sorted by {way}"));
}

/// The number `+` and `-` change: the chosen one, or the first the policy has.
pub fn active_field(ui: &Ui, settings: &Settings) -> Field {
    if settings.get(ui.field).is_some() { ui.field } else { Field::Threshold }
}

fn next_field(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(detail) = ui.detail(snapshot) else { return ui.say(Tone::Bad, "no policy shown yet") };
    let fields = step::FIELDS.iter().filter(|field| detail.settings.get(**field).is_some());
    let active = active_field(ui, &detail.settings);
    let next = fields.clone().skip_while(|field| **field != active).nth(1).or_else(|| fields.clone().next());
    if let Some(next) = next {
        ui.field = *next;
        ui.say(Tone::Good, format!("+ and - change the {}", step::label(*next)));
    }
}

fn change(ui: &mut Ui, snapshot: &Snapshot, up: bool) -> Option<Effect> {
    let Some(detail) = ui.detail(snapshot) else {
        ui.say(Tone::Bad, "no policy shown yet");
        return None;
    };
    let field = active_field(ui, &detail.settings);
    // A second key before the engine has answered goes on from what was asked, not from what is shown.
    let asked = ui.pending.as_ref().filter(|pending| pending.vm == detail.vm && pending.field == field);
    let from = asked.map(|pending| pending.value).or_else(|| detail.settings.get(field))?;
    let value = step::step(field, from, up);
    // Nor may another number that was just asked for be lost: the policy is sent whole.
    let other = ui.pending.as_ref().filter(|pending| pending.vm == detail.vm);
    let shown = other.and_then(|pending| detail.settings.with(pending.field, pending.value).ok());
    match shown.as_ref().unwrap_or(&detail.settings).with(field, value) {
        Ok(settings) => {
            let vm = Arc::clone(&detail.vm);
            let change = Change { vm: vm.to_string(), settings: Box::new(settings) };
            let command = Command::Amend { changes: vec![change], why: None };
            ui.pending = Some(Pending { vm: Arc::clone(&vm), field, value });
            let effect = ask(ui, command);
            let what = format!("{vm} {} {}", step::label(field), step::shown(value));
            ui.say(Tone::Asked, format!("{what}: asked, waiting for the engine"));
            Some(effect)
        }
        Err(refusal) => {
            ui.say(Tone::Bad, refusal.to_string());
            None
        }
    }
}
