//! Under the graph: what was decided and why, the settings, and the moves.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::settings;
use crate::console::past;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::engine::{By, Phase};
use crate::core::format::{age, tame};
use crate::view::{HistoryView, Level, LogLine, PastMove, Snapshot, VmRow};

/// Side by side from this width on.
const TWO_FROM: u16 = 100;
/// Three of them from this width on.
const THREE_FROM: u16 = 160;

/// Draws them.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let part = |x: u16, columns: u16| Rect { x: area.x + x, width: columns.min(area.width - x), ..area };
    if area.width >= THREE_FROM {
        let (first, second) = (area.width * 2 / 5, area.width * 7 / 10);
        decisions(pen, part(0, first), row, snapshot, ui);
        moves(pen, part(first + 1, second - first - 1), snapshot, ui);
        settings::draw(pen, part(second + 1, area.width), row, snapshot, ui);
    } else if area.width >= TWO_FROM {
        let half = area.width * 11 / 20;
        decisions(pen, part(0, half), row, snapshot, ui);
        let side = part(half + 1, area.width);
        let wanted = settings::rows(row, snapshot, ui).min(side.height.saturating_sub(4).max(side.height / 2));
        settings::draw(pen, Rect { height: wanted, ..side }, row, snapshot, ui);
        moves(pen, Rect { y: side.y + wanted, height: side.height - wanted, ..side }, snapshot, ui);
    } else {
        // One line says the settings: their numbers matter more than where they stand.
        let line = u16::from(area.height >= 4);
        settings::line(pen, Rect { height: line, ..area }, row, snapshot, ui);
        let rest = Rect { y: area.y + line, height: area.height - line, ..area };
        let below = if rest.height >= 6 { rest.height * 2 / 5 } else { 0 };
        decisions(pen, Rect { height: rest.height - below, ..rest }, row, snapshot, ui);
        moves(pen, Rect { y: rest.bottom() - below, height: below, ..rest }, snapshot, ui);
    }
}

/// Columns of the newest stamp and of all others.
fn stamps<'a>(at: impl Iterator<Item = &'a str>) -> u16 {
    at.map(width).max().unwrap_or(0) as u16
}

fn decisions(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    pen.rule(area, &[("decisions", Role::Title)], "");
    let past = past::of(ui, snapshot);
    // Without a history the log knows the newest.
    let newest = usize::from(area.height - 1);
    let lines: Vec<&LogLine> = match past {
        Some(past) => past.decisions.iter().take(newest).map(|line| &**line).collect(),
        None => {
            let of_this = |line: &&Arc<LogLine>| line.vm.as_ref() == Some(&row.name);
            snapshot.log.iter().rev().filter(of_this).take(newest).map(|line| &**line).collect()
        }
    };
    let stamp = |line: &LogLine| ui.zone.stamp(line.at, snapshot.at);
    let lines: Vec<(String, &LogLine)> = lines.into_iter().map(|line| (stamp(line), line)).collect();
    if lines.is_empty() {
        return missing(
            pen,
            area,
            past.filter(|past| past.trouble.is_none()).map(|_| "nothing was decided yet"),
            snapshot,
            ui,
        );
    }
    let columns = stamps(lines.iter().map(|(at, _)| at.as_str()));
    for (y, (at, line)) in (area.y + 1..area.bottom()).zip(&lines) {
        let (mark, role) = match line.level {
            Level::Info => (" ", Role::Text),
            Level::Good => (" ", Role::Good),
            Level::Warning => ("~", Role::Warning),
            Level::Alarm => ("!", Role::Alarm),
        };
        pen.put_right(area.x + 1, y, columns, at, Role::Quiet);
        let x = area.x + columns + 2;
        pen.put(x, y, 1, mark, role);
        let text = line.text.strip_prefix("! ").unwrap_or(&line.text);
        pen.put(x + 2, y, area.right().saturating_sub(x + 2), text, role);
    }
}

fn moves(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let past = past::of(ui, snapshot);
    pen.rule(area, &[("moves", Role::Title)], "");
    let moves = past.map_or(&[][..], |past| &past.moves);
    if moves.is_empty() {
        return missing(
            pen,
            area,
            past.filter(|past| past.trouble.is_none()).map(|_| "it has never moved"),
            snapshot,
            ui,
        );
    }
    let rows: Vec<(String, String, &PastMove)> = moves
        .iter()
        .take(usize::from(area.height - 1))
        .map(|m| (ui.zone.stamp(m.at, snapshot.at), format!("{} > {}", m.from, m.to), m))
        .collect();
    let at_columns = stamps(rows.iter().map(|(at, ..)| at.as_str()));
    let way_columns = stamps(rows.iter().map(|(_, way, _)| way.as_str())).clamp(9, 24);
    for (y, (at, way, done)) in (area.y + 1..area.bottom()).zip(&rows) {
        let (mark, role) = match done.phase {
            Phase::Confirmed => (" ", Role::Good),
            Phase::Running => (" ", Role::Moving),
            Phase::Failed | Phase::Aborted | Phase::Unknown => ("~", Role::Warning),
            Phase::Lost | Phase::Double => ("!", Role::Alarm),
        };
        pen.put_right(area.x + 1, y, at_columns, at, Role::Quiet);
        let mut x = area.x + at_columns + 2;
        let room = |x: u16| area.right().saturating_sub(x);
        pen.put(x, y, 1, mark, role);
        pen.put(x + 2, y, way_columns.min(room(x + 2)), way, Role::Text);
        x += way_columns + 3;
        pen.put(x, y, 9.min(room(x)), done.phase.word(), role);
        x += 10;
        let took = done.took.map_or_else(
            || "-".to_owned(),
            |took| match took.millis() {
                // As the text behind it says it.
                ms @ 1..10_000 => format!("{:.1}s", ms as f64 / 1_000.0),
                _ => age(took),
            },
        );
        pen.put_right(x, y, 4.min(room(x)), &took, Role::Quiet);
        x += 5;
        pen.put(x, y, 8.min(room(x)), by(done), Role::Quiet);
        x += 9;
        // A word or two cut off says nothing.
        if room(x) >= 12 {
            pen.put(x, y, room(x), &tame(&done.detail), Role::Faint);
        }
    }
}

const fn by(done: &PastMove) -> &'static str {
    match done.by {
        Some(By::Policy) => "policy",
        Some(By::Schedule) => "schedule",
        Some(By::Operator | By::Drain) => "operator",
        None => "unknown",
    }
}

/// Why a list is empty.
fn missing(pen: &mut Canvas<'_>, area: Rect, nothing: Option<&str>, snapshot: &Snapshot, ui: &Ui) {
    let text = match (nothing, &snapshot.history) {
        (Some(nothing), _) => nothing.to_owned(),
        (None, HistoryView::Off(why)) => past::without(why),
        (None, _) if ui.frozen => "frozen: p goes on and reads it".to_owned(),
        (None, _) => "reading the history".to_owned(),
    };
    pen.put(area.x + 1, area.y + 1, area.width.saturating_sub(1), &text, Role::Quiet);
}
