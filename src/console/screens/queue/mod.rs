//! The Queue screen: what a VM works on and how long that takes, what waits and why, and what happens next.
//!
//! ```text
//! ┌ header, banner, alarm ───────────────────────┐  always
//! │ whose queue, how old the look is             │  always
//! │ next: what happens next                      │  always; two lines from 20 rows if it needs them
//! │ figures           ┬ pages that wait          │  figures always, the first ones; the pages from 110 columns
//! │ jobs, the worst first                        │  always
//! │ the selected job's error                     │  from 20 rows
//! │ time line: big jobs, pages, places           │  from 34 rows
//! │ why                                          │  always
//! └ footer ──────────────────────────────────────┘  always
//! ```

mod facts;
mod jobs;
mod timeline;
mod waiting;

use ratatui::layout::Rect;

use crate::console::screens::fleet::why;
use crate::console::screens::{draw_footer, draw_top, top};
use crate::console::text::wrap;
use crate::console::theme::Role;
use crate::console::ui::{QueueUi, Ui};
use crate::console::widgets::{Canvas, take_rows};
use crate::core::cluster::{Span, Timestamp};
use crate::core::engine::VmState;
use crate::core::format::{age, duration};
use crate::view::{QueueView, Snapshot, VmRow};

/// From this width on, the pages that wait are beside the figures.
const WAITING_FROM: u16 = 110;
/// A look that is older than this many intervals is old …
const OLD: i64 = 2;
/// … but no look is old before this time.
const YOUNG: Span = Span::from_secs(30);

/// Where each part is. A part without height is not shown.
struct QueueLayout {
    top: [Rect; 3],
    title: Rect,
    next: Rect,
    facts: Rect,
    waiting: Rect,
    jobs: Rect,
    error: Rect,
    timeline: Rect,
    why: Rect,
    footer: Rect,
}

impl QueueLayout {
    fn new(area: Rect, next: &str, facts: u16, snapshot: &Snapshot, ui: &Ui) -> Self {
        let mut rest = area;
        let top = top(&mut rest, ui, snapshot);
        let rows = area.height;
        let title = take_rows(&mut rest, 1);
        let next = take_rows(&mut rest, if rows >= 20 { next_rows(next, area.width) } else { 1 });
        let footer = 1;
        let error = u16::from(rows >= 20);
        let timeline = match rows {
            50.. => 13,
            34.. => 9,
            _ => 0,
        };
        let body = rest.height.saturating_sub(footer + 1 + error + timeline);
        // The jobs keep more than half, and never fewer than four rows.
        let facts = facts.min(body.saturating_sub(4)).min(body * 9 / 20);
        let mut panel = take_rows(&mut rest, facts);
        let mut waiting = Rect::default();
        if area.width >= WAITING_FROM {
            panel.width = facts_columns(area.width);
            waiting = Rect { x: panel.right() + 1, width: area.width - panel.width - 1, ..panel };
        }
        Self {
            top,
            title,
            next,
            facts: panel,
            waiting,
            jobs: take_rows(&mut rest, body - facts),
            error: take_rows(&mut rest, error),
            timeline: take_rows(&mut rest, timeline),
            why: take_rows(&mut rest, 1),
            footer: take_rows(&mut rest, footer),
        }
    }
}

/// Columns of the figures beside the pages that wait.
const fn facts_columns(columns: u16) -> u16 {
    columns * 11 / 20
}

/// Draws the screen.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let view = ui.queue_view(snapshot).map(|view| &**view);
    let facts = match (ui.row(), view) {
        (Some(row), Some(view)) if area.width < WAITING_FROM => facts::all(row, view, snapshot, ui, (area.width, true)),
        (Some(row), Some(view)) => facts::all(row, view, snapshot, ui, (facts_columns(area.width), false)),
        _ => Vec::new(),
    };
    let next = view.map_or_else(String::new, |view| what_next(view, snapshot, ui));
    let at = QueueLayout::new(area, &next, facts.len() as u16, snapshot, ui);
    draw_top(canvas, at.top, snapshot, ui);
    draw_footer(canvas, at.footer, snapshot, ui);
    let Some(row) = ui.row().filter(|row| QueueUi::has_queue(row)) else {
        canvas.rule(at.title, &[("queue", Role::Title)], "");
        let text = "no VM is selected that has a queue: esc goes back";
        canvas.put(at.next.x + 1, at.next.y, at.next.width.saturating_sub(1), text, Role::Strong);
        return;
    };
    title(canvas, at.title, row, view, snapshot);
    let Some(view) = view else {
        let text = if ui.frozen { "frozen: p goes on and reads the queue" } else { "reading the queue" };
        canvas.put(at.next.x + 1, at.next.y, at.next.width.saturating_sub(1), text, Role::Quiet);
        return;
    };
    draw_next(canvas, at.next, &next);
    facts::draw(canvas, at.facts, &facts);
    waiting::draw(canvas, at.waiting, view, snapshot);
    jobs::draw(canvas, at.jobs, row, view, snapshot, ui);
    jobs::draw_error(canvas, at.error, snapshot, ui);
    timeline::draw(canvas, at.timeline, row, view, snapshot, ui);
    why(canvas, at.why, snapshot, ui);
}

/// Draws whose queue it is, where and in which state the VM is, and how old the newest look is.
fn title(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, view: Option<&QueueView>, snapshot: &Snapshot) {
    let queue = match view.map(|view| &*view.queue) {
        None => String::new(),
        Some("") => "  simulated queue".to_owned(),
        Some(name) => format!("  queue {name}"),
    };
    let place = format!("  at {}/{}", row.array, row.host);
    let (state, role) = match row.state {
        VmState::Watching => (String::new(), Role::Quiet),
        VmState::Migrating => {
            let told = row.migration.as_ref().map(|moving| format!(" > {} {}%", moving.to, moving.percent));
            (format!("  moving{}", told.unwrap_or_default()), Role::Moving)
        }
        VmState::Flapping | VmState::Stale => (format!("  ! {} {}", row.state.word(), row.note), Role::Alarm),
        VmState::Waiting => ("  ? its move waits for approval".to_owned(), Role::Waiting),
        state => (format!("  {} {}", state.word(), row.note), Role::Warning),
    };
    let (old, looked) = age_of_look(row, view, snapshot);
    let pieces = [
        (&*row.name, Role::Title),
        (&*queue, Role::Quiet),
        (&*place, if row.is_away() { Role::Moving } else { Role::Quiet }),
        (&*state, role),
        (&*old, Role::Warning),
    ];
    canvas.rule(area, &pieces, &looked);
}

/// How old the newest look is: as a warning, with the reason, if that is too old, and else as a note.
fn age_of_look(row: &VmRow, view: Option<&QueueView>, snapshot: &Snapshot) -> (String, String) {
    let Some((view, look)) = view.and_then(|view| Some((view, view.look()?))) else { return Default::default() };
    let ago = snapshot.at.since(look.at);
    // While it moves it is not read.
    let fails = row.gap.as_ref().filter(|_| !row.baseline && row.state != VmState::Migrating);
    match fails {
        Some(why) => (format!("  as of {} ago: {why}", duration(ago)), String::new()),
        None if ago > view.site.interval.scaled(OLD, 1).max(YOUNG) => {
            (format!("  as of {} ago", duration(ago)), String::new())
        }
        None => (String::new(), format!("looked at {} ago", age(ago))),
    }
}

/// Columns before the sentence that says what happens next.
const NEXT: u16 = 6;

/// How many rows that sentence takes.
fn next_rows(next: &str, columns: u16) -> u16 {
    wrap(next, usize::from(columns.saturating_sub(NEXT)), 2, "").len().max(1) as u16
}

/// That sentence, with instants as clocks.
fn what_next(view: &QueueView, snapshot: &Snapshot, ui: &Ui) -> String {
    let now = snapshot.at;
    view.site.next(now, &|at: Timestamp| facts::when(at, now, ui.zone))
}

/// Draws what happens next.
fn draw_next(canvas: &mut Canvas<'_>, area: Rect, next: &str) {
    let x = area.x + NEXT;
    canvas.put(area.x, area.y, NEXT, " next ", Role::Key);
    let room = area.right().saturating_sub(x);
    let lines = wrap(next, usize::from(room), usize::from(area.height), canvas.glyphs.cut);
    for (y, line) in (area.top()..area.bottom()).zip(&lines) {
        canvas.put(x, y, room, line, Role::Strong);
    }
}
