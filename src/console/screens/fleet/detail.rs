//! The selected VM: its graph, and why it stands where it stands.

use ratatui::layout::Rect;

use super::{cells, queue};
use crate::console::screens::migration;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::{Ui, WINDOW};
use crate::console::widgets::{Canvas, Chart};
use crate::console::{step, ui};
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::age;
use crate::view::{Detail, Snapshot, VmRow};

/// Rows of a graph with its title that still says something.
const LEAST_GRAPH: u16 = 6;

/// Draws its migration, if one is under way; the graph, and beside it a site VM's queue.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let Some(row) = ui.row() else { return pen.rule(area, &[("no VM selected", Role::Quiet)], "") };
    let Some(moving) = &row.migration else { return past(pen, area, row, snapshot, ui) };
    // While it moves that comes first; its graph has what is left, if that is enough to be read.
    let rows = migration::rows(moving, area.width);
    let rows = if area.height >= rows + LEAST_GRAPH { rows } else { area.height };
    migration::draw(pen, Rect { height: rows, ..area }, row, moving, snapshot.at);
    let rest = Rect { y: area.y + rows, height: area.height - rows, ..area };
    if rest.height > 0 {
        past(pen, rest, row, snapshot, ui);
    }
}

/// Its graph under its title.
fn past(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let detail = ui.detail(snapshot);
    title(pen, area, row, snapshot, ui);
    let mut body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if let Some(work) = &row.queue {
        let columns = (area.width * 2 / 5).clamp(30, 52).min(area.width);
        queue::draw(pen, Rect { width: columns, ..body }, row, work);
        body = Rect { x: body.x + columns + 1, width: body.width.saturating_sub(columns + 1), ..body };
    }
    match detail {
        Some(detail) => graph(pen, body, row, detail, snapshot, ui),
        None => {
            let text = if ui.frozen { "frozen: p goes on and fetches its graph" } else { "fetching its readings" };
            pen.put(body.x + 1, body.y, body.width.saturating_sub(1), text, Role::Quiet);
        }
    }
}

/// What is measured; at the right the number that `+` and `-` change, and how old the newest reading is.
fn title(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let detail = ui.detail(snapshot);
    let what = detail.map_or_else(String::new, |detail| indicator(detail, row));
    let mut right = detail.map_or_else(String::new, |detail| changing(detail, ui));
    let read = row.read_at.map_or_else(String::new, |at| format!("   read {} ago", age(snapshot.at.since(at))));
    // The name of what is measured is worth more than its age, which a wide table shows too.
    if width(&row.name) + width(&what) + width(&right) + width(&read) + 9 <= usize::from(area.width) {
        right.push_str(&read);
    }
    pen.rule(area, &[(&row.name, Role::Title), (&what, Role::Quiet)], right.trim_start());
}

/// What is measured, in its unit.
pub fn indicator(detail: &Detail, row: &VmRow) -> String {
    match (&*detail.indicator, &*row.unit) {
        (name, unit) if unit.is_empty() || name.contains(unit) => format!("  {name}"),
        (name, unit) => format!("  {name}, {unit}"),
    }
}

fn graph(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, detail: &Detail, snapshot: &Snapshot, ui: &Ui) {
    if detail.points.iter().all(|point| point.value.is_none()) {
        let text = match &row.gap {
            Some(reason) => format!("no reading: {reason}"),
            None => "not read since the start: the graph fills as samples come".to_owned(),
        };
        pen.put(area.x + 1, area.y, area.width.saturating_sub(1), &text, Role::Quiet);
        return;
    }
    let chart = Chart {
        points: &detail.points,
        marks: &detail.marks,
        bounds: cells::bounds(row),
        now: snapshot.at,
        window: window(detail, snapshot.at),
        longest_step: detail.interval.scaled(5, 2),
        zone: ui.zone,
    };
    chart.draw(pen, area);
}

/// How far back the graph goes: as far as the readings, so that a young VM's do not crowd into one column.
fn window(detail: &Detail, now: Timestamp) -> Span {
    let Some(first) = detail.points.first() else { return WINDOW };
    let needed = now.since(first.at).max(detail.interval.scaled(5, 1));
    [2, 5, 10, 15].map(Span::from_mins).into_iter().find(|span| *span >= needed).unwrap_or(WINDOW)
}

/// Draws the why line.
pub fn why(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let Some(row) = ui.row().filter(|_| area.height > 0) else { return };
    let x = pen.put(area.x, area.y, area.width, " why  ", Role::Key);
    let room = area.right().saturating_sub(x);
    match ui.detail(snapshot) {
        Some(detail) => pen.put(x, area.y, room, &detail.why, Role::Strong),
        None => pen.put(x, area.y, room, &format!("{} {}", row.state.word(), row.note), Role::Quiet),
    };
}

/// The number that `+` and `-` change.
pub fn changing(detail: &Detail, ui: &Ui) -> String {
    let field = ui.active_field(&detail.settings);
    let pending = |p: &&ui::Pending| p.vm == detail.vm && p.field == field;
    let now = detail.settings.get(field).map_or_else(String::new, step::shown);
    match ui.pending.iter().find(pending) {
        Some(asked) => format!("+/- {} {now} > {}", step::label(field), step::shown(asked.value)),
        None => format!("+/- {} {now}", step::label(field)),
    }
}
