//! The Queue screen: which job is selected, what is marked, and what is asked of the worker.

use std::sync::Arc;

use crate::console::keymap::Action;
use crate::console::ui::{Deed, Overlay, PauseForm, QueueUi, Screen, Tone, Ui, UiEffect};
use crate::core::cluster::{Name, Span};
use crate::core::format::{A_YEAR, counted, duration, parse_span, tame};
use crate::core::queue::{JobState, Ranges};
use crate::view::{QueueOrder, QueueRequest, Snapshot, UiCommand, VmRow};

/// The most characters of a reason.
const LONGEST: usize = 200;
/// The most jobs that a question names.
const NAMED: usize = 4;

/// Opens the screen on the selected VM, or on the first one that has a queue.
pub(super) fn open(ui: &mut Ui, snapshot: &Snapshot) {
    if !ui.row().is_some_and(|row| QueueUi::has_queue(row)) {
        go_to(ui, |rows, _| rows.iter().position(|row| QueueUi::has_queue(row)));
    }
    ui.queue.show(None);
    ui.open(Screen::Queue);
    arrived(ui, snapshot);
}

/// To the next VM with a queue, as Fleet lists them; after the last comes the first.
pub(super) fn next_vm(ui: &mut Ui, back: bool) {
    go_to(ui, |rows, at| {
        let all: Vec<usize> = (0..rows.len()).filter(|n| QueueUi::has_queue(&rows[*n])).collect();
        let beyond = |n: &&usize| if back { **n < at } else { **n > at };
        let next = if back { all.iter().rfind(beyond).or(all.last()) } else { all.iter().find(beyond).or(all.first()) };
        next.copied()
    });
    ui.queue.show(None);
}

fn go_to(ui: &mut Ui, which: impl Fn(&[Arc<VmRow>], usize) -> Option<usize>) {
    let rows = &ui.listing.rows;
    let Some(at) = which(rows, ui.listing.at.unwrap_or(0)) else { return };
    ui.selected = rows.get(at).map(|row| row.name.clone());
    ui.listing.at = Some(at);
}

/// To the jobs of the next claim; after the last comes the first.
pub(super) fn next_claim(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(view) = ui.queue_view(snapshot) else { return };
    let shown = view.shown().map(|claim| &claim.name);
    let after = view.all_claims().skip_while(|claim| Some(&claim.name) != shown).nth(1);
    let next = after.or(view.all_claims().next()).map(|claim| claim.name.clone());
    ui.queue.show(next);
}

/// Selects another job. `jump` finds its row from the present one, the number of rows and a page.
pub(super) fn go(ui: &mut Ui, snapshot: &Snapshot, action: &Action, jump: impl Fn(usize, usize, usize) -> usize) {
    let Some(jobs) = ui.jobs(snapshot) else { return };
    let page = usize::from(ui.size.1 / 2).max(1);
    let row = jump(ui.queue.at(jobs) as usize, jobs.found as usize, page) as u32;
    // At the top the selection stays on the worst job, whichever it is.
    let job = jobs.row(row).map(|job| job.number).filter(|_| *action != Action::First);
    (ui.queue.selected, ui.queue.row) = (job, row);
}

/// Marks or unmarks the selected job, and goes to the next one.
pub(super) fn mark(ui: &mut Ui, snapshot: &Snapshot) {
    let (Some(jobs), Some(job)) = (ui.jobs(snapshot), ui.job(snapshot)) else { return };
    let (page, number) = (Arc::clone(&jobs.page), job.number);
    if ui.queue.marked_of != page {
        ui.queue.marked.clear();
        ui.queue.marked_of = page;
    }
    if !ui.queue.marked.remove(&number) {
        ui.queue.marked.insert(number);
    }
    go(ui, snapshot, &Action::Down, |at, rows, _| (at + 1).min(rows.saturating_sub(1)));
}

/// Follows the job that is in the selected row, and forgets marks and claims that are gone.
pub(super) fn arrived(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(view) = ui.queue_view(snapshot) else { return };
    let is_gone = |claim: &String| view.look().is_some() && view.all_claims().all(|other| other.name != *claim);
    if ui.queue.claim.as_ref().is_some_and(is_gone) {
        return ui.queue.show(None);
    }
    let Some(jobs) = &view.jobs else { return };
    if ui.queue.marked_of != jobs.page {
        ui.queue.marked.clear();
    }
    // An answer to an older question says nothing of the present one.
    let asked =
        (jobs.ask.selected, jobs.ask.row, &jobs.ask.filter) == (ui.queue.selected, ui.queue.row, &ui.queue.filter);
    let at = jobs.at.zip(jobs.selected().map(|job| job.number));
    match at.filter(|_| asked) {
        Some((row, job)) if ui.queue.selected.is_some() || ui.queue.row > 0 => {
            (ui.queue.selected, ui.queue.row) = (Some(job), row);
        }
        _ => {}
    }
}

/// Opens the form for a pause.
pub(super) fn describe_pause(ui: &mut Ui) {
    let Some(vm) = ui.selected.clone() else { return };
    let form = PauseForm { vm, why: String::new(), lasts: String::new(), at_lasts: false };
    ui.overlays.push(Overlay::Pause(form));
}

/// Types into the form for a pause.
pub(super) fn type_pause(ui: &mut Ui, action: &Action) {
    let Some(Overlay::Pause(form)) = ui.overlays.last_mut() else { return };
    let line = form.line();
    action.type_into(line);
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
    }
}

/// Asks for the pause that the form describes.
pub(super) fn pause(ui: &mut Ui) -> Option<UiEffect> {
    let Some(Overlay::Pause(form)) = ui.overlays.last_mut() else { return None };
    let lasts = match form.lasts.trim() {
        "" => None,
        typed => match parse_span(typed, A_YEAR) {
            Ok(lasts) if lasts > Span::ZERO => Some(lasts),
            Ok(_) => {
                form.at_lasts = true;
                ui.say(Tone::Bad, "a pause of no time is none");
                return None;
            }
            Err(why) => {
                form.at_lasts = true;
                ui.say(Tone::Bad, format!("for how long? {why}: use 30m, 2h or 1d"));
                return None;
            }
        },
    };
    let (vm, why) = (form.vm.clone(), form.why.trim().to_owned());
    ui.overlays.pop();
    Some(send(ui, QueueOrder { vm, what: QueueRequest::Pause { why, lasts } }))
}

/// Sends an order, and shows that it was sent.
pub(super) fn send(ui: &mut Ui, order: QueueOrder) -> UiEffect {
    let vm = &order.vm;
    let what = match &order.what {
        QueueRequest::Pause { lasts: Some(lasts), .. } => format!("pause the worker of {vm} for {}", duration(*lasts)),
        QueueRequest::Pause { lasts: None, .. } => format!("pause the worker of {vm}"),
        QueueRequest::GoOn => format!("have the worker of {vm} go on"),
        QueueRequest::Return { claim } => format!("return {claim}"),
        QueueRequest::Retry { jobs, .. } => format!("try {} again", counted(jobs.len(), "job", "jobs")),
    };
    ui.say(Tone::Asked, format!("{}: asked, waiting for the queue", tame(&what)));
    UiEffect::UiCommand(UiCommand::Queue(ui.next_id(), order))
}

fn confirm(ui: &mut Ui, vm: Name, question: String, what: QueueRequest) {
    let then = Deed::Queue(QueueOrder { vm, what });
    ui.overlays.push(Overlay::Confirm { question: tame(&question).into_owned(), then });
}

/// Asks before a worker that somebody paused goes on.
pub(super) fn ask_go_on(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(view) = ui.queue_view(snapshot) else { return };
    let (vm, Some(pause)) = (view.ask.vm.clone(), view.pause(snapshot.at)) else { return };
    let since = duration(snapshot.at.since(pause.at));
    let why = if pause.why.is_empty() { String::new() } else { format!(" ({})", pause.why) };
    let question = format!("have the worker of {vm} go on? {} paused it {since} ago{why}", pause.by);
    confirm(ui, vm, question, QueueRequest::GoOn);
}

/// Asks before a claim is returned.
pub(super) fn ask_return(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(view) = ui.queue_view(snapshot) else { return };
    let (vm, Some(claim)) = (view.ask.vm.clone(), view.shown()) else {
        return ui.say(Tone::Bad, "that claim is gone");
    };
    let (claim, status) = (claim.name.clone(), &claim.status);
    let left: u32 = status.left.iter().map(|(_, jobs)| jobs).sum();
    let left = counted(left, "job", "jobs");
    let hand = match status.hand.len() {
        0 => String::new(),
        1 => ", the job in hand is begun again".to_owned(),
        n => format!(", the {n} jobs in hand are begun again"),
    };
    let page = &status.page;
    let question = format!("return {page}? what is left, {left}, waits again for any worker{hand}; what is done stays");
    confirm(ui, vm, question, QueueRequest::Return { claim });
}

/// Asks before jobs are tried again: the marked ones that were set aside, or the selected one.
pub(super) fn ask_retry(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(view) = ui.queue_view(snapshot) else { return };
    let (vm, Some(claim)) = (view.ask.vm.clone(), view.shown()) else {
        return ui.say(Tone::Bad, "that claim is gone");
    };
    let is_finished = view.finished.iter().any(|other| other.name == claim.name);
    let (claim, status) = (claim.name.clone(), &claim.status);
    let selected = ui.job(snapshot).filter(|job| job.state == JobState::SetAside).map(|job| job.number);
    // In the view of one job it is that job.
    let alone = matches!(ui.overlays.last(), Some(Overlay::Job));
    let wanted: Vec<u32> = if ui.queue.marked.is_empty() || alone {
        selected.into_iter().collect()
    } else {
        ui.queue.marked.iter().copied().filter(|job| status.failed.contains(*job)).collect()
    };
    if wanted.is_empty() {
        return ui.say(Tone::Bad, "none of the marked jobs was set aside");
    }
    let few = if wanted.len() <= NAMED { wanted.len() } else { NAMED - 1 };
    let mut named = wanted[..few].iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if wanted.len() > few {
        named = format!("{named} and {} more", wanted.len() - few);
    }
    let word = if wanted.len() == 1 { "job" } else { "jobs" };
    let others = if alone { 0 } else { ui.queue.marked.len().saturating_sub(wanted.len()) };
    let others = if others > 0 { format!(" ({others} marked ones were not set aside)") } else { String::new() };
    let how = if is_finished { "the page waits again for that" } else { "tries are counted from none" };
    let question = format!("try {word} {named} of {} again? {how}{others}", status.page);
    confirm(ui, vm, question, QueueRequest::Retry { claim, jobs: wanted.into_iter().collect::<Ranges>() });
}
