//! What an action does to the screen and what it says to the engine. Pure: no terminal, no clock.
//!
//! | file | its story |
//! | --- | --- |
//! | `mod` | every action; the table's rows, the graph's stretch and cursor |
//! | `dialogs` | moves and drains: what is asked first, and what is asked for |
//! | `queue` | the Queue screen: its jobs, and what is asked of the worker |

mod dialogs;
mod queue;

use std::collections::HashSet;
use std::sync::Arc;

use crate::console::keymap::Action;
use crate::console::listing::{Listing, SortBy, arrange, by_name};
use crate::console::screens::fleet;
use crate::console::ui::{Overlay, QueueUi, Screen, Tone, Ui, UiEffect};
use crate::console::update::dialogs::{answer, ask_abort, choose, command, mode};
use crate::console::{editor, overlays, past, step};
use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::format::tame;
use crate::view::{Snapshot, UiCommand, VmRow};

/// Does an action, and returns what it causes outside the screen.
pub fn update(ui: &mut Ui, action: Action, snapshot: &Snapshot) -> Vec<UiEffect> {
    let mut effects = Vec::new();
    let is_a_key = !matches!(
        action,
        Action::Arrived | Action::Quiet(_) | Action::Resize(..) | Action::NotSent(_) | Action::Unanswered(_)
    );
    if is_a_key {
        ui.notice = None;
    }
    match action {
        Action::Quit => effects.push(UiEffect::Quit),
        Action::Suspend => effects.push(UiEffect::Suspend),
        Action::Resize(columns, rows) => ui.size = (columns, rows),
        Action::Arrived => arrived(ui, snapshot),
        Action::Quiet(ms) => ui.quiet = Some(Span::from_millis(ms)),
        Action::EngineGone => ui.engine_gone = true,
        Action::NotSent(id) => {
            ui.end_wait(id);
            editor::refused(ui, id);
            ui.say(Tone::Bad, "the engine is too busy to be asked: not sent, try again");
        }
        Action::Unanswered(id) => {
            if ui.end_wait(id) {
                editor::refused(ui, id);
                ui.say(Tone::Bad, "the engine does not answer: look whether it was done, then try again");
            }
        }
        // In the editor the help is scrolled to its end, where the editor's keys are.
        Action::Help => ui.overlays.push(Overlay::Help { top: if ui.editor.is_some() { usize::MAX } else { 0 } }),
        Action::Theme => {
            ui.theme = ui.theme.next();
            ui.say(Tone::Good, format!("theme {}", ui.theme.word()));
        }
        Action::Freeze => freeze(ui, snapshot),
        Action::Copy => effects.extend(copy(ui, snapshot)),
        Action::Back => back(ui, snapshot),
        Action::Choose => effects.extend(choose(ui, snapshot)),
        Action::Yes => effects.extend(answer(ui)),
        Action::No => {
            ui.overlays.pop();
            ui.say(Tone::Good, "nothing was done");
        }
        Action::Down | Action::Up | Action::PageDown | Action::PageUp | Action::First | Action::Last => {
            go(ui, snapshot, &action);
        }
        // A VM with a queue opens on that; from there its own screen is one key further.
        Action::Open if ui.screen == Screen::Fleet && ui.row().is_some_and(|row| QueueUi::has_queue(row)) => {
            queue::open(ui, snapshot);
        }
        Action::Open => ui.open(Screen::Vm),
        Action::Queue => queue::open(ui, snapshot),
        Action::NextQueue | Action::PreviousQueue => queue::next_vm(ui, action == Action::PreviousQueue),
        Action::NextClaim => queue::next_claim(ui, snapshot),
        Action::Pause => queue::describe_pause(ui),
        Action::OtherLine => {
            if let Some(Overlay::Pause(form)) = ui.overlays.last_mut() {
                form.at_lasts = !form.at_lasts;
            }
        }
        Action::GoOn => queue::ask_go_on(ui, snapshot),
        Action::Return => queue::ask_return(ui, snapshot),
        Action::Retry => queue::ask_retry(ui, snapshot),
        Action::Activity => {
            // From a VM's screen or its queue, the activity of that VM.
            ui.activity.alone = ui.screen != Screen::Fleet;
            ui.open(Screen::Activity);
        }
        Action::Mark if ui.screen == Screen::Queue => queue::mark(ui, snapshot),
        Action::Mark => mark(ui),
        Action::ZoomIn | Action::ZoomOut => zoom(ui, snapshot, action == Action::ZoomOut),
        Action::Earlier | Action::Later => pan(ui, snapshot, action == Action::Earlier),
        Action::Now => (ui.vm.end, ui.vm.cursor) = (None, None),
        Action::CursorBack | Action::CursorOn => step_cursor(ui, snapshot, action == Action::CursorBack),
        Action::EventBack | Action::EventOn => next_event(ui, snapshot, action == Action::EventBack),
        Action::Scope => ui.activity.alone = !ui.activity.alone,
        Action::Filter => ui.overlays.push(Overlay::Filter),
        Action::Edit(edit) => effects.extend(editor::act(ui, edit, snapshot)),
        ref typed if editor::is_typed(ui, typed) => editor::typed(ui, action),
        Action::Type(_) | Action::Erase | Action::EraseWord | Action::EraseLine | Action::Paste(_) => {
            queue::type_pause(ui, &action);
            type_filter(ui, snapshot, &action);
        }
        Action::Sort | Action::Reverse => sort(ui, snapshot, &action),
        Action::Moves => {
            if let Some(vm) = ui.selected.clone() {
                ui.overlays.push(Overlay::Moves { vm, chosen: None });
            }
        }
        Action::Drain => dialogs::open_drain(ui, snapshot),
        Action::PauseDrain | Action::ResumeDrain => {
            effects.extend(dialogs::pause_drain(ui, snapshot, action == Action::PauseDrain));
        }
        Action::Undrain => dialogs::ask_undrain(ui, snapshot),
        Action::Field => next_field(ui, snapshot),
        Action::Raise => effects.extend(editor::change(ui, snapshot, true)),
        Action::Lower => effects.extend(editor::change(ui, snapshot, false)),
        Action::Undo => effects.push(editor::undo(ui)),
        Action::Reload => {
            ui.say(Tone::Asked, "the config file is read again");
            effects.push(UiEffect::UiCommand(UiCommand::Reload(ui.next_id())));
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
        effects.push(UiEffect::UiCommand(UiCommand::Subscription(look)));
    }
    effects
}

fn arrived(ui: &mut Ui, snapshot: &Snapshot) {
    ui.quiet = None;
    ui.age_notice();
    answers(ui, snapshot);
    editor::arrived(ui, snapshot);
    dialogs::close_if_gone(ui, snapshot);
    let same = Arc::ptr_eq(&ui.listed, &snapshot.rows) && ui.row().map(|row| &row.name) == ui.selected.as_ref();
    if !ui.frozen && !same {
        relist(ui, snapshot);
    }
    if ui.screen == Screen::Queue && !ui.frozen {
        queue::arrived(ui, snapshot);
    }
}

/// Ends the waits of commands that were answered, and shows the newest answer. Answers older than this console are ignored.
fn answers(ui: &mut Ui, snapshot: &Snapshot) {
    let known = std::mem::replace(&mut ui.answered, snapshot.answers.last().map_or(0, |answer| answer.seq));
    if !std::mem::replace(&mut ui.started, true) {
        return;
    }
    for answer in snapshot.answers.iter().filter(|answer| answer.seq > known) {
        // An answer without an id ends no wait: the command is not this console's, or was answered before.
        if let Some(id) = answer.to {
            ui.end_wait(id);
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
            let lines = overlays::help_scrolls(columns, ui.size.1, ui.screen) + 1;
            *top = jump((*top).min(lines - 1), lines, rows / 2);
        }
        Some(Overlay::Moves { chosen, .. }) => *chosen = moves.flatten().or_else(|| chosen.take()),
        Some(Overlay::Drain { .. }) => dialogs::scroll_drain(ui, snapshot, action, jump),
        Some(Overlay::Confirm { .. } | Overlay::Prompt(_) | Overlay::Pause(_)) => {}
        Some(Overlay::Filter | Overlay::Job) | None if ui.screen == Screen::Queue => {
            queue::go(ui, snapshot, action, jump);
        }
        Some(Overlay::Filter | Overlay::Job) | None => {
            let Some(at) = ui.listing.at else { return };
            let at = jump(at, ui.listing.rows.len(), page);
            ui.selected = ui.listing.rows.get(at).map(|row| row.name.clone());
            ui.listing.at = Some(at);
        }
    }
}

fn back(ui: &mut Ui, snapshot: &Snapshot) {
    match ui.overlays.pop() {
        Some(Overlay::Filter) => narrow(ui, snapshot, String::new()),
        Some(_) => {}
        None if ui.banner(snapshot).is_some() => ui.dismissed.clone_from(&snapshot.banner),
        None if ui.screen == Screen::Vm && ui.vm.cursor.is_some() => ui.vm.cursor = None,
        None if ui.screen == Screen::Queue && !ui.queue.marked.is_empty() => ui.queue.marked.clear(),
        None if ui.screen == Screen::Queue && !ui.queue.filter.is_empty() => narrow(ui, snapshot, String::new()),
        None if ui.screen != Screen::Fleet => ui.screen = ui.behind.pop().unwrap_or_default(),
        None if !ui.marked.is_empty() => ui.marked.clear(),
        None if !ui.filter.is_empty() => narrow(ui, snapshot, String::new()),
        None if ui.frozen => freeze(ui, snapshot),
        None => {}
    }
}

/// Recomputes the rows. The selection stays on its VM, or moves to a neighbour if that VM is gone.
fn relist(ui: &mut Ui, snapshot: &Snapshot) {
    // Names seldom change and are slow to compare.
    if !names(&ui.listed).eq(names(&snapshot.rows)) {
        ui.by_name = by_name(&snapshot.rows);
        let names: HashSet<&Name> = names(&snapshot.rows).collect();
        ui.marked.retain(|vm| names.contains(vm));
    }
    let rows = arrange(&snapshot.rows, &ui.by_name, &ui.filter, ui.sort, ui.reverse);
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
    // If no row is left, the name is kept: the VM is selected again when the filter is cleared.
    if let Some(row) = at.and_then(|at| rows.get(at)) {
        ui.selected = Some(row.name.clone());
    } else if snapshot.rows.is_empty() {
        ui.selected = None;
    }
    ui.listing = Listing::new(rows, at, ui.sort == SortBy::Worst && !ui.reverse);
    ui.listed = Arc::clone(&snapshot.rows);
}

fn names(rows: &[Arc<VmRow>]) -> impl Iterator<Item = &Name> {
    rows.iter().map(|row| &row.name)
}

fn freeze(ui: &mut Ui, snapshot: &Snapshot) {
    ui.frozen = !ui.frozen;
    if !ui.frozen {
        relist(ui, snapshot);
    }
}

fn type_filter(ui: &mut Ui, snapshot: &Snapshot, action: &Action) {
    if !ui.is_filtering() {
        return;
    }
    let mut filter = if ui.screen == Screen::Queue { ui.queue.filter.clone() } else { ui.filter.clone() };
    action.type_into(&mut filter);
    narrow(ui, snapshot, filter);
}

fn narrow(ui: &mut Ui, snapshot: &Snapshot, filter: String) {
    if ui.screen == Screen::Queue {
        ui.queue.filter = filter;
    } else {
        ui.filter = filter;
        relist(ui, snapshot);
    }
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

/// Marks or unmarks the selected row, and goes to the next one.
fn mark(ui: &mut Ui) {
    let Some(vm) = ui.selected.clone() else { return };
    if !ui.marked.remove(&vm) {
        ui.marked.insert(vm);
    }
    let Some(at) = ui.listing.at else { return };
    if let Some(row) = ui.listing.rows.get(at + 1) {
        ui.selected = Some(row.name.clone());
        ui.listing.at = Some(at + 1);
    }
}

/// Zooms the graph.
fn zoom(ui: &mut Ui, snapshot: &Snapshot, out: bool) {
    let can = match ui.screen {
        Screen::Activity => ui.activity.zoom(out),
        Screen::Queue => ui.queue.zoom(out),
        Screen::Fleet | Screen::Vm => ui.vm.zoom(out, snapshot.at),
    };
    if !can {
        ui.say(Tone::Good, if out { "this is the longest stretch" } else { "this is the shortest stretch" });
    }
}

/// Pans the graph by half a stretch, but not beyond the oldest reading.
fn pan(ui: &mut Ui, snapshot: &Snapshot, back: bool) {
    let begins = past::of(ui, snapshot).and_then(|past| past.begins);
    let (from, _) = ui.vm.edges(snapshot.at);
    if back && begins.is_some_and(|begins| from <= begins) {
        return ui.say(Tone::Good, "there is nothing older");
    }
    ui.vm.pan(back, snapshot.at);
}

/// Moves the cursor to the next reading.
fn step_cursor(ui: &mut Ui, snapshot: &Snapshot, back: bool) {
    let shown = past::shown(ui, snapshot);
    let read = shown.bands.iter().filter(|band| band.samples > 0 && shown.has(band.at));
    let instants = read.map(|band| band.at).collect();
    put_cursor(ui, instants, back, "no reading");
}

/// Moves the cursor to the next event.
fn next_event(ui: &mut Ui, snapshot: &Snapshot, back: bool) {
    let shown = past::shown(ui, snapshot);
    let instants = shown.events().into_iter().filter(|at| shown.has(*at)).collect();
    put_cursor(ui, instants, back, "nothing happened");
}

/// Moves the cursor to the nearest of these sorted instants; without a cursor, from the edge of the graph.
fn put_cursor(ui: &mut Ui, shown: Vec<Timestamp>, back: bool, nothing: &str) {
    let next = match (ui.vm.cursor, back) {
        (None, true) => shown.last(),
        (None, false) => shown.first(),
        (Some(cursor), true) => shown.iter().rfind(|at| **at < cursor),
        (Some(cursor), false) => shown.iter().find(|at| **at > cursor),
    };
    match next {
        Some(at) => ui.vm.cursor = Some(*at),
        None => ui.say(Tone::Good, format!("{nothing} {} here: < > go on", if back { "before" } else { "after" })),
    }
}

fn next_field(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(detail) = ui.detail(snapshot) else { return ui.say(Tone::Bad, "no policy shown yet") };
    let fields = step::FIELDS.iter().filter(|field| detail.settings.get(**field).is_some());
    let active = ui.active_field(&detail.settings);
    let next = fields.clone().skip_while(|field| **field != active).nth(1).or_else(|| fields.clone().next());
    if let Some(next) = next {
        ui.field = *next;
        ui.say(Tone::Good, format!("+ and - change the {}", next.words()));
    }
}

fn copy(ui: &mut Ui, snapshot: &Snapshot) -> Option<UiEffect> {
    let line = ui.detail(snapshot).map(|detail| format!("{}: {}", detail.vm, detail.why));
    match line {
        Some(line) => {
            ui.say(Tone::Good, "the why line is on the clipboard, if the terminal allows it");
            Some(UiEffect::Copy(line))
        }
        None => {
            ui.say(Tone::Bad, "no why line yet");
            None
        }
    }
}
