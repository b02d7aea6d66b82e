//! The selected VM: its graph, a site VM's queue, and why it stands where it stands.

use ratatui::layout::Rect;

use crate::console::screens::migration;
use crate::console::text::{width, wrap};
use crate::console::theme::Role;
use crate::console::ui::{Ui, WINDOW};
use crate::console::widgets::{Canvas, Graph, gauge};
use crate::core::cluster::{Span, Timestamp};
use crate::core::engine::SiteView;
use crate::core::format::{age, counted, duration, exact, number, tame};
use crate::view::{Detail, Snapshot, VmRow};

/// The least rows of a graph with its title.
const LEAST_GRAPH: u16 = 6;

/// Draws the migration, if one is under way, and the graph with a site VM's queue beside it.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let Some(row) = ui.row() else { return canvas.rule(area, &[("no VM selected", Role::Quiet)], "") };
    let Some(moving) = &row.migration else { return past_graph(canvas, area, row, snapshot, ui) };
    // The migration comes first; the graph has the rest, if that is enough.
    let rows = migration::rows(moving, area.width);
    let rows = if area.height >= rows + LEAST_GRAPH { rows } else { area.height };
    migration::draw(canvas, Rect { height: rows, ..area }, row, moving, snapshot.at);
    let rest = Rect { y: area.y + rows, height: area.height - rows, ..area };
    if rest.height > 0 {
        past_graph(canvas, rest, row, snapshot, ui);
    }
}

/// Draws the graph under its title.
fn past_graph(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let detail = ui.detail(snapshot);
    title(canvas, area, row, snapshot, ui);
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let body = queue_beside(canvas, body, row, snapshot.at, 0);
    match detail {
        Some(detail) => graph(canvas, body, row, detail, snapshot, ui),
        None => {
            let text = if ui.frozen { "frozen: p goes on and fetches its graph" } else { "fetching its readings" };
            canvas.put(body.x + 1, body.y, body.width.saturating_sub(1), text, Role::Quiet);
        }
    }
}

/// Draws what is measured; at the right the number that `+` and `-` change, and the age of the newest reading.
fn title(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let detail = ui.detail(snapshot);
    let what = detail.map_or_else(String::new, |detail| indicator(detail, row));
    let mut right = detail.map_or_else(String::new, |detail| changing(detail, ui));
    let read = row.read_at.map_or_else(String::new, |at| format!("   read {} ago", age(snapshot.at.since(at))));
    // The name is more important than the age, which a wide table shows too.
    if width(&row.name) + width(&what) + width(&right) + width(&read) + 9 <= usize::from(area.width) {
        right.push_str(&read);
    }
    canvas.rule(area, &[(&row.name, Role::Title), (&what, Role::Quiet)], right.trim_start());
}

/// What is measured, in its unit.
pub fn indicator(detail: &Detail, row: &VmRow) -> String {
    match (&*detail.indicator, &*row.unit) {
        (name, unit) if unit.is_empty() || name.contains(unit) => format!("  {name}"),
        (name, unit) => format!("  {name}, {unit}"),
    }
}

fn graph(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, detail: &Detail, snapshot: &Snapshot, ui: &Ui) {
    if detail.bands.iter().all(|band| band.samples == 0) {
        let text = match &row.gap {
            Some(reason) => format!("no reading: {reason}"),
            None => "not read since the start: the graph fills as samples come".to_owned(),
        };
        canvas.put(area.x + 1, area.y, area.width.saturating_sub(1), &text, Role::Quiet);
        return;
    }
    let span = window(detail, snapshot.at);
    let from = snapshot.at - span;
    let graph = Graph {
        bands: &detail.bands,
        longest_step: detail.interval.scaled(5, 2),
        bounds: &[(from, row.bounds)],
        marks: &detail.marks,
        from,
        span,
        live: true,
        zone: ui.zone,
        ..Graph::default()
    };
    graph.draw(canvas, area);
}

/// How far back the graph goes: as far as the readings, so that those of a new VM fill it.
fn window(detail: &Detail, now: Timestamp) -> Span {
    let Some(first) = detail.bands.first() else { return WINDOW };
    let needed = now.since(first.at).max(detail.interval.scaled(5, 1));
    [2, 5, 10, 15].map(Span::from_mins).into_iter().find(|span| *span >= needed).unwrap_or(WINDOW)
}

/// Draws the why line.
pub fn why(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let Some(row) = ui.row().filter(|_| area.height > 0) else { return };
    let x = canvas.put(area.x, area.y, area.width, " why  ", Role::Key);
    let room = area.right().saturating_sub(x);
    match ui.detail(snapshot) {
        Some(detail) => canvas.put(x, area.y, room, &detail.why, Role::Strong),
        None => canvas.put(x, area.y, room, &format!("{} {}", row.state.word(), row.note), Role::Quiet),
    };
}

/// The number that `+` and `-` change.
pub fn changing(detail: &Detail, ui: &Ui) -> String {
    let field = ui.active_field(&detail.settings);
    let now = detail.settings.get(field).map_or_else(String::new, exact);
    match ui.asked_value(&detail.vm, field) {
        Some(asked) => format!("+/- {} {now} > {}", field.words(), exact(asked)),
        None => format!("+/- {} {now}", field.words()),
    }
}

/// Draws a site VM's queue at the left if the area is at least `from` columns wide, and returns the area for the graph.
pub fn queue_beside(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, now: Timestamp, from: u16) -> Rect {
    let Some(site) = row.site.as_ref().filter(|site| site.hand().is_some() && area.width >= from) else { return area };
    let columns = (area.width * 2 / 5).clamp(30, 52).min(area.width);
    draw_queue(canvas, Rect { width: columns, ..area }, row, site, now);
    Rect { x: area.x + columns + 1, width: area.width.saturating_sub(columns + 1), ..area }
}

/// Draws the queue, the most important lines first.
fn draw_queue(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, site: &SiteView, now: Timestamp) {
    let Some(queue) = row.claim() else { return };
    let mut lines = area.top()..area.bottom();
    let mut next = || lines.next().map(|y| (area.x + 1, y, area.width.saturating_sub(1)));
    if let Some((x, y, room)) = next() {
        let place = format!("  at {}, {}", row.host, site.here);
        let role = if site.is_away() { Role::Moving } else { Role::Quiet };
        canvas.line(x, y, room, &[(&tame(&queue.page), Role::Strong), (&place, role)]);
    }
    if let Some((x, y, room)) = next() {
        let done = queue.done.len() + queue.failed.len();
        let share = done as f32 / queue.total().max(1) as f32;
        let x = canvas.put(x, y, room, "done   ", Role::Quiet);
        let x = gauge(canvas, x, y, 8, share, Role::Good);
        let failed =
            if queue.failed.is_empty() { String::new() } else { format!(", {} set aside", queue.failed.len()) };
        let text = format!(" {done} of {}{failed}", counted(queue.total(), "job", "jobs"));
        canvas.put(x, y, area.right().saturating_sub(x), &text, Role::Text);
    }
    if let Some((x, y, room)) = next() {
        let bound = row.bounds.high.map_or_else(|| "-".to_owned(), number);
        let beyond = row.bounds.is_beyond(f64::from(queue.big));
        let says = if beyond { "away" } else { "home" };
        let text = format!("{}, threshold {bound}: {says}", queue.big);
        canvas.line(x, y, room, &[("big    ", Role::Quiet), (&text, if beyond { Role::Beyond } else { Role::Text })]);
    }
    if let Some((x, y, room)) = next() {
        let grades: Vec<String> = queue.grades.iter().map(|(grade, jobs)| format!("{grade} {jobs}")).collect();
        canvas.line(x, y, room, &[("jobs   ", Role::Quiet), (&tame(&grades.join("  ")), Role::Text)]);
    }
    for at in [Some(&site.home), site.away.as_ref()].into_iter().flatten() {
        let Some((x, y, room)) = next() else { return };
        let left = match site.eta(at, now) {
            Some(Ok(left)) => format!("{} left in {at}", duration(left.middle)),
            _ => format!("time left in {at} unknown"),
        };
        canvas.line(x, y, room, &[("eta    ", Role::Quiet), (&left, Role::Text)]);
    }
    let room = usize::from(area.width.saturating_sub(2));
    let pays = site.away.as_ref().map_or_else(String::new, |_| site.gain_in_words(now));
    for line in wrap(&tame(&pays), room, usize::from(area.height.saturating_sub(6)), canvas.glyphs.cut) {
        if let Some((x, y, room)) = next() {
            canvas.put(x, y, room, &line, Role::Quiet);
        }
    }
}
