//! The selected VM: its graph, and why it stands where it stands.

use ratatui::layout::Rect;

use super::{cells, queue};
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::{Ui, WINDOW};
use crate::console::update::active_field;
use crate::console::widgets::{Chart, Pen};
use crate::console::{step, ui};
use crate::view::{Detail, Snapshot, VmRow};

/// Draws the graph, and beside it a site VM's queue.
pub fn draw(pen: &mut Pen<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let Some(row) = ui.row() else { return pen.rule(area, &[("no VM selected", Role::Quiet)], "") };
    let detail = ui.detail(snapshot);
    title(pen, area, row, detail.map(|detail| &**detail), snapshot);
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

fn title(pen: &mut Pen<'_>, area: Rect, row: &VmRow, detail: Option<&Detail>, snapshot: &Snapshot) {
    let what = detail.map_or_else(String::new, |detail| match (&*detail.indicator, &*row.unit) {
        (name, unit) if unit.is_empty() || name.contains(unit) => format!("  {name}"),
        (name, unit) => format!("  {name}, {unit}"),
    });
    let next = detail.and_then(|detail| detail.next_read);
    let right = match next {
        Some(next) if next > snapshot.at => format!("next reading {}", next.since(snapshot.at)),
        _ => String::new(),
    };
    pen.rule(area, &[(&row.name, Role::Title), (&what, Role::Quiet)], &right);
}

fn graph(pen: &mut Pen<'_>, area: Rect, row: &VmRow, detail: &Detail, snapshot: &Snapshot, ui: &Ui) {
    if detail.points.iter().all(|point| point.value.is_none()) {
        let text = match &row.gap {
            Some(reason) => format!("no reading: {reason}"),
            None => "no history yet: the graph fills as samples come".to_owned(),
        };
        pen.put(area.x + 1, area.y, area.width.saturating_sub(1), &text, Role::Quiet);
        return;
    }
    let chart = Chart {
        points: &detail.points,
        marks: &detail.marks,
        bounds: cells::bounds(row),
        now: snapshot.at,
        window: WINDOW,
        longest_step: detail.interval.scaled(5, 2),
        zone: ui.zone,
    };
    chart.draw(pen, area);
}

/// Draws the why line, with the number that `+` and `-` change.
pub fn why(pen: &mut Pen<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let Some(row) = ui.row().filter(|_| area.height > 0) else { return };
    let detail = ui.detail(snapshot);
    let number = detail.map_or_else(String::new, |detail| changing(detail, ui));
    let columns = width(&number) as u16 + 2;
    let room = if area.width >= 60 + columns { area.width - columns } else { area.width };
    let x = pen.put(area.x, area.y, room, " why  ", Role::Key);
    match detail {
        Some(detail) => {
            let wide = (area.x + room).saturating_sub(x);
            pen.put(x, area.y, wide, &detail.why, Role::Strong);
        }
        None => {
            pen.put(x, area.y, room.saturating_sub(6), &format!("{} {}", row.state.word(), row.note), Role::Quiet);
        }
    }
    if room < area.width {
        let x = pen.put(area.x + room, area.y, 4, "+/- ", Role::Key);
        pen.put(x, area.y, columns, number.trim_start_matches("+/- "), Role::Quiet);
    }
}

fn changing(detail: &Detail, ui: &Ui) -> String {
    let field = active_field(ui, &detail.settings);
    let pending = |p: &&ui::Pending| p.vm == detail.vm && p.field == field;
    let now = detail.settings.get(field).map_or_else(String::new, step::shown);
    match ui.pending.as_ref().filter(pending) {
        Some(asked) => format!("+/- {} {now} > {}", step::label(field), step::shown(asked.value)),
        None => format!("+/- {} {now}", step::label(field)),
    }
}
