//! The Queue screen: what it looks like, what its keys do and what they ask for.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use whimbrel::console::{
    Action, Colours, Glyphs, Overlay, Screen, Theme, ThemeName, Tone, Ui, UiEffect, dispatch, render, update,
};
use whimbrel::core::cluster::Span;
use whimbrel::core::engine::Command;
use whimbrel::core::queue::{OpenPage, QueueLook, Ranges, Stop, WorkerOrder, WorkerState, WorkerStatus};
use whimbrel::view::{Answer, CommandId, QueueOrder, QueueRequest, QueueView, Snapshot, UiCommand, VmRow};

use crate::frames::{assert_frame, text};
use crate::queued::Queued;
use crate::{press, recorded, sample, screen_on, type_keys};

/// Answers what a console asks for, as an engine does.
pub fn answer(snapshot: &mut Snapshot, ui: &mut Ui, queued: &Queued, said: &[UiEffect]) {
    for effect in said {
        let UiEffect::UiCommand(UiCommand::Subscription(look)) = effect else { continue };
        snapshot.past = look.past.map(|ask| recorded::past("nii4", ask));
        snapshot.activity = look.activity.clone().map(recorded::activity);
        snapshot.queue = look.queue.clone().map(|ask| queued.view(ask));
        let more = update(ui, Action::Arrived, snapshot);
        answer(snapshot, ui, queued, &more);
    }
}

/// The screen on nii4 after these keys.
pub fn queue_screen(queued: &Queued, size: (u16, u16), keys: &str) -> (Snapshot, Ui) {
    let mut snapshot = sample::snapshot();
    snapshot.detail = Some(sample::detail(&snapshot, "nii4"));
    let mut ui = screen_on(&snapshot, "nii4");
    update(&mut ui, Action::Resize(size.0, size.1), &snapshot);
    let said = press(&mut ui, &snapshot, KeyCode::Enter);
    assert_eq!(ui.screen, Screen::Queue, "enter on a site VM opens its queue");
    answer(&mut snapshot, &mut ui, queued, &said);
    keys_on(&mut snapshot, &mut ui, queued, keys);
    (snapshot, ui)
}

/// Types keys, and answers what each of them asks for.
fn keys_on(snapshot: &mut Snapshot, ui: &mut Ui, queued: &Queued, keys: &str) -> Vec<UiEffect> {
    let mut all = Vec::new();
    for key in keys.chars() {
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        let said = press(ui, snapshot, code);
        answer(snapshot, ui, queued, &said);
        all.extend(said);
    }
    all
}

/// The orders that these keys send.
fn orders(snapshot: &mut Snapshot, ui: &mut Ui, queued: &Queued, keys: &str) -> Vec<QueueOrder> {
    let order = |effect| match effect {
        UiEffect::UiCommand(UiCommand::Queue(_, order)) => Some(order),
        _ => None,
    };
    keys_on(snapshot, ui, queued, keys).into_iter().filter_map(order).collect()
}

fn order(what: QueueRequest) -> Vec<QueueOrder> {
    vec![QueueOrder { vm: "nii4".into(), what }]
}

fn jobs(numbers: &[u32]) -> Ranges {
    numbers.iter().copied().collect()
}

fn notice(ui: &Ui) -> (Tone, &str) {
    ui.notice.as_ref().map_or((Tone::Good, ""), |notice| (notice.tone, &notice.text))
}

/// The number of the selected job.
fn selected(ui: &Ui, snapshot: &Snapshot) -> Option<u32> {
    ui.job(snapshot).map(|job| job.number)
}

fn change(snapshot: &mut Snapshot, change: impl FnOnce(&mut QueueView)) {
    change(Arc::make_mut(snapshot.queue.as_mut().expect("a queue")));
}

fn change_look(snapshot: &mut Snapshot, changed: impl FnOnce(&mut QueueLook)) {
    change(snapshot, |view| changed(Arc::make_mut(view.site.look.as_mut().expect("a look"))));
}

fn drawn(snapshot: &Snapshot, ui: &Ui) -> String {
    let (width, height) = ui.size;
    text(&render(snapshot, ui, &Theme::built_in(ThemeName::Mono, Colours::Off), width, height))
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn assert_screen(name: &str, queued: &Queued, keys: &str, change: impl Fn(&mut Snapshot, &mut Ui)) {
    for size in SIZES {
        let (mut snapshot, mut ui) = queue_screen(queued, size, keys);
        change(&mut snapshot, &mut ui);
        assert_frame(name, &snapshot, &ui, size);
    }
}

/// A queue in which nothing happens.
fn idle() -> Queued {
    let mut queued = Queued::new(52);
    (queued.look.open, queued.look.waiting, queued.look.claims) = (Vec::new(), 0, Vec::new());
    let worker = queued.look.worker.as_mut().expect("a worker");
    worker.state = WorkerState::Idle;
    queued
}

fn paused(queued: &mut Queued) {
    let (by, why) = ("root".to_owned(), "backup of the file server".to_owned());
    let (at, until) = (sample::ago(720), Some(sample::NOW + Span::from_mins(108)));
    queued.look.control.operator = Some(WorkerOrder { stop: Stop::Working, by, why, at, until });
}

#[test]
fn a_page_under_work() {
    assert_screen("queue", &Queued::new(52), "", |_, _| {});
    assert_screen("queue-ascii", &Queued::new(52), "", |snapshot, ui| {
        ui.glyphs = Glyphs::pick(true);
        assert!(drawn(snapshot, ui).is_ascii(), "{}", drawn(snapshot, ui));
    });
}

#[test]
fn a_hundred_thousand_jobs_with_marks_and_a_filter() {
    assert_screen("queue-many", &Queued::new(100_000), "/grade a\njj  G ", |_, _| {});
}

#[test]
fn nothing_in_hand_and_nothing_that_waits() {
    assert_screen("queue-empty", &idle(), "", |_, _| {});
}

#[test]
fn a_worker_that_is_paused_and_one_that_is_silent() {
    let mut queued = Queued::new(52);
    paused(&mut queued);
    assert_screen("queue-paused", &queued, "", |_, _| {});
    let worker = queued.look.worker.as_mut().expect("a worker");
    worker.beat = sample::ago(600);
    assert_screen("queue-silent", &queued, "", |snapshot, ui| {
        let rows = Arc::make_mut(&mut snapshot.rows);
        let row = rows.iter_mut().find(|row| *row.name == *"nii4").expect("nii4");
        *row = Arc::new(VmRow { gap: Some("no route to queue.example".into()), ..VmRow::clone(row) });
        change_look(snapshot, |look| look.at = sample::ago(400));
        update(ui, Action::Arrived, snapshot);
    });
}

#[test]
fn the_dialogs_of_the_queue() {
    assert_screen("queue-pause", &Queued::new(52), "Pbackup of the file server", |snapshot, ui| {
        press(ui, snapshot, KeyCode::Tab);
        type_keys(ui, snapshot, "2h");
    });
    assert_screen("queue-job", &Queued::new(52), "\n", |_, _| {});
    assert_screen("queue-return", &Queued::new(52), "b", |_, _| {});
}

#[test]
fn before_the_queue_is_read() {
    assert_screen("queue-reading", &Queued::new(52), "", |snapshot, _| snapshot.queue = None);
}

#[test]
fn the_queue_screen_opens_by_enter_on_a_site_vm_and_by_its_key_from_everywhere() {
    let queued = Queued::new(52);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "");
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert_eq!(ui.screen, Screen::Fleet);
    ui.selected = Some("nii1".into());
    update(&mut ui, Action::Arrived, &snapshot);
    keys_on(&mut snapshot, &mut ui, &queued, "Q");
    assert_eq!((ui.screen, ui.selected.as_deref()), (Screen::Queue, Some("nii4")), "the first VM that has one");
    press(&mut ui, &snapshot, KeyCode::Tab);
    assert_eq!(ui.selected.as_deref(), Some("nii6"));
    press(&mut ui, &snapshot, KeyCode::Tab);
    assert_eq!(ui.selected.as_deref(), Some("nii4"), "round and round");
    press(&mut ui, &snapshot, KeyCode::BackTab);
    assert_eq!(ui.selected.as_deref(), Some("nii6"));
}

#[test]
fn esc_goes_back_step_by_step_and_never_in_circles() {
    let queued = Queued::new(52);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "VQVQ /b\n");
    let back = |ui: &mut Ui, snapshot: &Snapshot| {
        press(ui, snapshot, KeyCode::Esc);
        (ui.screen, ui.queue.marked.len(), ui.queue.filter.len())
    };
    assert_eq!((ui.queue.marked.len(), ui.queue.filter.as_str()), (1, "b"));
    assert_eq!(back(&mut ui, &snapshot), (Screen::Queue, 0, 1));
    assert_eq!(back(&mut ui, &snapshot), (Screen::Queue, 0, 0));
    assert_eq!(back(&mut ui, &snapshot).0, Screen::Fleet, "however often it went there and back");
    keys_on(&mut snapshot, &mut ui, &queued, "Qv");
    assert!(ui.activity.alone, "the activity of this VM");
    assert_eq!(back(&mut ui, &snapshot).0, Screen::Queue);
}

#[test]
fn the_selection_stays_on_the_worst_job_until_it_is_moved_and_then_follows_its_job() {
    let mut queued = Queued::new(100_000);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "");
    assert_eq!(selected(&ui, &snapshot), Some(7), "the one that was set aside");
    let retried = |queued: &mut Queued| {
        queued.look.claims[0].status.failed = jobs(&[]);
        queued.refresh();
    };
    let again = |snapshot: &mut Snapshot, ui: &mut Ui, queued: &Queued| {
        let ask = snapshot.queue.as_ref().expect("a queue").ask.clone();
        snapshot.queue = Some(queued.view(ask));
        update(ui, Action::Arrived, snapshot);
    };
    keys_on(&mut snapshot, &mut ui, &queued, "jjj");
    let job = selected(&ui, &snapshot).expect("a job");
    retried(&mut queued);
    again(&mut snapshot, &mut ui, &queued);
    assert_eq!(selected(&ui, &snapshot), Some(job), "its row is another one now");
    queued.look.claims[0].status.done.insert(job);
    queued.refresh();
    again(&mut snapshot, &mut ui, &queued);
    assert_eq!(selected(&ui, &snapshot), Some(job), "done, far below");
    keys_on(&mut snapshot, &mut ui, &queued, "g");
    let first = selected(&ui, &snapshot).expect("a job");
    queued.look.claims[0].status.failed = jobs(&[90_000]);
    queued.refresh();
    again(&mut snapshot, &mut ui, &queued);
    assert_eq!((first != 90_000, selected(&ui, &snapshot)), (true, Some(90_000)), "the worst");
}

#[test]
fn a_hundred_thousand_rows_are_gone_through_by_lines_pages_and_ends() {
    let queued = Queued::new(100_000);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "");
    let at = |ui: &Ui, snapshot: &Snapshot| ui.queue.at(ui.jobs(snapshot).expect("jobs"));
    keys_on(&mut snapshot, &mut ui, &queued, "G");
    assert_eq!(at(&ui, &snapshot), 99_999);
    let shown = drawn(&snapshot, &ui);
    assert!(shown.contains("100000 of 100000"), "{shown}");
    for _ in 0..3 {
        let said = press(&mut ui, &snapshot, KeyCode::PageUp);
        answer(&mut snapshot, &mut ui, &queued, &said);
    }
    assert_eq!(at(&ui, &snapshot), 99_939);
    keys_on(&mut snapshot, &mut ui, &queued, "k");
    assert_eq!(at(&ui, &snapshot), 99_938);
    // Without an answer meanwhile.
    type_keys(&mut ui, &snapshot, "jjjj");
    assert_eq!(at(&ui, &snapshot), 99_942);
    keys_on(&mut snapshot, &mut ui, &queued, "g");
    assert_eq!(at(&ui, &snapshot), 0);
}

#[test]
fn a_pause_asks_why_and_for_how_long() {
    let queued = Queued::new(52);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "");
    let pause = |why: &str, lasts| order(QueueRequest::Pause { why: why.to_owned(), lasts });
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "Pq is text here\n"), pause("q is text here", None));
    assert_eq!(notice(&ui), (Tone::Asked, "pause the worker of nii4: asked, waiting for the queue"));
    keys_on(&mut snapshot, &mut ui, &queued, "Pbackup");
    press(&mut ui, &snapshot, KeyCode::Tab);
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "soon\n"), []);
    assert_eq!(notice(&ui), (Tone::Bad, "for how long? it does not begin with a whole number: use 30m, 2h or 1d"));
    assert!(matches!(ui.overlays[..], [Overlay::Pause(_)]), "what was typed is not lost");
    for _ in 0..4 {
        press(&mut ui, &snapshot, KeyCode::Backspace);
    }
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "0s\n"), []);
    press(&mut ui, &snapshot, KeyCode::Backspace);
    press(&mut ui, &snapshot, KeyCode::Backspace);
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "2h\n"), pause("backup", Some(Span::from_hours(2))));
    keys_on(&mut snapshot, &mut ui, &queued, "Pno");
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert!(ui.overlays.is_empty(), "nothing is asked");
}

#[test]
fn who_paused_it_is_told_and_it_goes_on_when_that_is_confirmed() {
    let mut queued = Queued::new(52);
    paused(&mut queued);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "");
    let shown = drawn(&snapshot, &ui);
    assert!(shown.contains("paused   by root at 14:32, until 16:32: backup of the file server"), "{shown}");
    assert!(shown.contains("P go on") && !shown.contains("P pause"), "{shown}");
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "P"), []);
    let question = "have the worker of nii4 go on? root paused it 12 min ago (backup of the file server)";
    assert!(matches!(&ui.overlays[..], [Overlay::Confirm { question: asked, .. }] if asked == question), "{ui:?}");
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "n"), []);
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "Py"), order(QueueRequest::GoOn));
    let (mut snapshot, ui) = queue_screen(&queued, (120, 40), "");
    snapshot.at = sample::NOW + Span::from_hours(2);
    let shown = drawn(&snapshot, &ui);
    assert!(shown.contains("P pause") && !shown.contains("paused   by root"), "it ended by itself: {shown}");
}

#[test]
fn a_claim_is_returned_when_what_that_means_is_confirmed() {
    let queued = Queued::new(52);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "b");
    let Some(Overlay::Confirm { question, .. }) = ui.overlays.last() else { panic!("{:?}", ui.overlays) };
    let means = "return evening? what is left, 39 jobs, waits again for any worker, the job in hand is begun again; what \
                 is done stays";
    assert_eq!(question, means);
    let claim = "nii4.4f1c09a2b7d3.2".to_owned();
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "y"), order(QueueRequest::Return { claim }));
}

#[test]
fn jobs_that_were_set_aside_are_tried_again_the_selected_one_or_the_marked_ones() {
    let mut queued = Queued::new(52);
    queued.look.claims[0].status.failed = jobs(&[7, 20, 33]);
    queued.refresh();
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "");
    let claim = || "nii4.4f1c09a2b7d3.2".to_owned();
    let retry = |numbers: &[u32]| order(QueueRequest::Retry { claim: claim(), jobs: jobs(numbers) });
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "ry"), retry(&[7]));
    assert_eq!(notice(&ui), (Tone::Asked, "try 1 job again: asked, waiting for the queue"));
    keys_on(&mut snapshot, &mut ui, &queued, "    r");
    let Some(Overlay::Confirm { question, .. }) = ui.overlays.last() else { panic!("{:?}", ui.overlays) };
    let asked = "try jobs 7, 20, 33 of evening again? tries are counted from none (1 marked ones were not set aside)";
    assert_eq!(question, asked);
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "y"), retry(&[7, 20, 33]));
    // In the view of one job it is that one.
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "g\nry"), retry(&[7]));
    press(&mut ui, &snapshot, KeyCode::Esc);
    press(&mut ui, &snapshot, KeyCode::Esc);
    keys_on(&mut snapshot, &mut ui, &queued, "G");
    let key = KeyEvent::new(KeyCode::Char('r'), KeyModifiers::NONE);
    let why = "only a job that was set aside can be tried again";
    assert_eq!(dispatch(key, &ui, &snapshot), Some(Err(why)));
}

#[test]
fn marks_are_jobs_of_a_page_and_survive_a_refresh_but_not_another_page() {
    let mut queued = Queued::new(52);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "j  ");
    let marked = ui.queue.marked.clone();
    assert_eq!(marked.len(), 2);
    queued.look.claims[0].status.done.insert(*marked.first().expect("a job"));
    queued.look.claims[0].name = "nii4.000000000000.1".to_owned();
    queued.refresh();
    let ask = snapshot.queue.as_ref().expect("a queue").ask.clone();
    snapshot.queue = Some(queued.view(ask.clone()));
    update(&mut ui, Action::Arrived, &snapshot);
    assert_eq!(ui.queue.marked, marked, "the worker began again and took its claim over");
    queued.look.claims[0].status.page = "night".to_owned();
    snapshot.queue = Some(queued.view(ask));
    update(&mut ui, Action::Arrived, &snapshot);
    assert!(ui.queue.marked.is_empty());
}

#[test]
fn a_finished_page_is_one_key_further_and_can_only_be_tried_again() {
    let queued = Queued::new(52);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "c");
    let shown = drawn(&snapshot, &ui);
    assert!(shown.contains("jobs of afternoon  2 of 2: afternoon.1241614000123  finished"), "{shown}");
    let key = KeyEvent::new(KeyCode::Char('b'), KeyModifiers::NONE);
    assert_eq!(dispatch(key, &ui, &snapshot), Some(Err("this page is finished")));
    let (claim, job) = ("afternoon.1241614000123".to_owned(), jobs(&[12]));
    assert_eq!(orders(&mut snapshot, &mut ui, &queued, "ry"), order(QueueRequest::Retry { claim, jobs: job }));
    keys_on(&mut snapshot, &mut ui, &queued, "c");
    assert!(drawn(&snapshot, &ui).contains("jobs of evening"), "after the last comes the first");
}

#[test]
fn an_order_is_answered_by_its_id() {
    let queued = Queued::new(52);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "ry");
    let text = "nii4: the queue does not answer".to_owned();
    snapshot.answers = vec![Arc::new(Answer { seq: 1, to: Some(CommandId(1)), ok: false, text })];
    update(&mut ui, Action::Arrived, &snapshot);
    assert_eq!(notice(&ui), (Tone::Bad, "nii4: the queue does not answer"));
    assert!(update(&mut ui, Action::Unanswered(CommandId(1)), &snapshot).is_empty());
    assert_eq!(notice(&ui).1, "nii4: the queue does not answer", "it is not waited for any more");
}

#[test]
fn a_vm_is_sent_away_or_home_by_the_same_dialog_as_everywhere() {
    let queued = Queued::new(52);
    let (mut snapshot, mut ui) = queue_screen(&queued, (120, 40), "");
    snapshot.detail = Some(sample::detail_with_moves(&snapshot, "nii4"));
    type_keys(&mut ui, &snapshot, "m");
    press(&mut ui, &snapshot, KeyCode::Enter);
    let said = type_keys(&mut ui, &snapshot, "y");
    let moved = |effect: &UiEffect| matches!(effect, UiEffect::UiCommand(UiCommand::Command(_, Command::Move { vm, .. })) if vm == "nii4");
    assert!(said.iter().any(moved), "{said:?}");
}

#[test]
fn the_clock_of_a_job_and_what_is_left_move_with_the_time() {
    let queued = Queued::new(52);
    let (mut snapshot, ui) = queue_screen(&queued, (120, 40), "");
    let line = |snapshot: &Snapshot, word: &str| {
        let shown = drawn(snapshot, &ui);
        let found = shown.lines().find(|line| line.starts_with(&format!(" {word}"))).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no {word}: {shown}"))
    };
    let before = (line(&snapshot, "in hand"), line(&snapshot, "left"));
    assert!(before.0.contains("4 min 12 s"), "{before:?}");
    // Nothing finishes meanwhile.
    snapshot.at = snapshot.at + Span::from_mins(3);
    let after = (line(&snapshot, "in hand"), line(&snapshot, "left"));
    assert!(after.0.contains("7 min 12 s") && after.1 != before.1, "{before:?} {after:?}");
}

#[test]
fn a_long_list_of_pages_says_how_many_more_there_are_and_what_is_no_page() {
    let mut queued = Queued::new(52);
    let page = |n: u32| OpenPage {
        name: format!("page-{n}"),
        since: Some(sample::ago(60 * i64::from(n))),
        bytes: 10,
        grades: Some(vec![(String::new(), n)]),
        returned: false,
    };
    (queued.look.open, queued.look.waiting) = ((1..=100).map(page).collect(), 2_400);
    let (snapshot, _) = queue_screen(&queued, (120, 40), "");
    let (_, ui) = queue_screen(&queued, (120, 40), "");
    let shown = drawn(&snapshot, &ui);
    assert!(shown.contains("2400 pages, at least 5050 jobs") && shown.contains("and 239"), "{shown}");
    (queued.look.open, queued.look.waiting) = (Vec::new(), 0);
    queued.look.refused =
        vec![("photo.jpg".to_owned(), "it is no text: line 1 has bytes that are not UTF-8".to_owned())];
    let (snapshot, ui) = queue_screen(&queued, (120, 40), "");
    assert!(drawn(&snapshot, &ui).contains("! photo.jpg is not worked: it is no text"), "{}", drawn(&snapshot, &ui));
}

#[test]
fn a_queue_without_a_worker_or_without_a_look_says_what_to_do() {
    let mut queued = idle();
    queued.look.worker = None;
    let (mut snapshot, ui) = queue_screen(&queued, (80, 24), "");
    let shown = drawn(&snapshot, &ui);
    assert!(shown.contains("none has ever run in nii4: start 'whimbrel work' there"), "{shown}");
    assert!(shown.contains("put one in with 'whimbrel queue CONFIG render add FILE'"), "{shown}");
    change(&mut snapshot, |view| view.site.look = None);
    assert!(drawn(&snapshot, &ui).contains("its queue is read about"), "{}", drawn(&snapshot, &ui));
    let ended = WorkerStatus { state: WorkerState::Ended, beat: sample::ago(300), ..WorkerStatus::default() };
    queued.look.worker = Some(ended);
    let (snapshot, ui) = queue_screen(&queued, (80, 24), "");
    assert!(drawn(&snapshot, &ui).contains("it has ended, 5 min ago"), "{}", drawn(&snapshot, &ui));
}
