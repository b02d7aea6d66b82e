//! Under the graph: what was decided and why, the moves, and the settings.

use std::sync::Arc;

use ratatui::layout::Rect;

use crate::console::past;
use crate::console::screens::fleet::signs;
use crate::console::screens::{level_look, unmarked};
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::engine::Phase;
use crate::core::format::{bytes, counted, duration, exact, left, tame, took};
use crate::core::policy::{Bound, BreakEven, HomeAfter, Rule};
use crate::view::{Detail, HistoryView, LogLine, Origin, PastMove, Snapshot, VmRow, by_word};

/// From this width on, two panels are side by side.
const TWO_FROM: u16 = 100;
/// From this width on, three panels are side by side.
const THREE_FROM: u16 = 160;

/// Draws them.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let part = |x: u16, columns: u16| Rect { x: area.x + x, width: columns.min(area.width - x), ..area };
    if area.width >= THREE_FROM {
        let (first, second) = (area.width * 2 / 5, area.width * 7 / 10);
        decisions(canvas, part(0, first), row, snapshot, ui);
        moves(canvas, part(first + 1, second - first - 1), snapshot, ui);
        draw_settings(canvas, part(second + 1, area.width), row, snapshot, ui);
    } else if area.width >= TWO_FROM {
        let half = area.width * 11 / 20;
        decisions(canvas, part(0, half), row, snapshot, ui);
        let side = part(half + 1, area.width);
        let wanted = settings_rows(row, snapshot, ui).min(side.height.saturating_sub(4).max(side.height / 2));
        draw_settings(canvas, Rect { height: wanted, ..side }, row, snapshot, ui);
        moves(canvas, Rect { y: side.y + wanted, height: side.height - wanted, ..side }, snapshot, ui);
    } else {
        // The settings have one line.
        let line = u16::from(area.height >= 4);
        settings_line(canvas, Rect { height: line, ..area }, row, snapshot, ui);
        let rest = Rect { y: area.y + line, height: area.height - line, ..area };
        let below = if rest.height >= 6 { rest.height * 2 / 5 } else { 0 };
        decisions(canvas, Rect { height: rest.height - below, ..rest }, row, snapshot, ui);
        moves(canvas, Rect { y: rest.bottom() - below, height: below, ..rest }, snapshot, ui);
    }
}

/// Columns of the widest text.
fn stamps<'a>(at: impl Iterator<Item = &'a str>) -> u16 {
    at.map(width).max().unwrap_or(0) as u16
}

fn decisions(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    canvas.rule(area, &[("decisions", Role::Title)], "");
    let past = past::of(ui, snapshot);
    // Without a history, the newest ones are in the log.
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
            canvas,
            area,
            past.filter(|past| past.trouble.is_none()).map(|_| "nothing was decided yet"),
            snapshot,
            ui,
        );
    }
    let columns = stamps(lines.iter().map(|(at, _)| at.as_str()));
    for (y, (at, line)) in (area.y + 1..area.bottom()).zip(&lines) {
        let (mark, role) = level_look(line.level);
        canvas.put_right(area.x + 1, y, columns, at, Role::Quiet);
        let x = area.x + columns + 2;
        canvas.put(x, y, 1, mark, role);
        canvas.put(x + 2, y, area.right().saturating_sub(x + 2), unmarked(line), role);
    }
}

fn moves(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let past = past::of(ui, snapshot);
    canvas.rule(area, &[("moves", Role::Title)], "");
    let moves = past.map_or(&[][..], |past| &past.moves);
    if moves.is_empty() {
        return missing(
            canvas,
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
        canvas.put_right(area.x + 1, y, at_columns, at, Role::Quiet);
        let mut x = area.x + at_columns + 2;
        let room = |x: u16| area.right().saturating_sub(x);
        canvas.put(x, y, 1, mark, role);
        canvas.put(x + 2, y, way_columns.min(room(x + 2)), way, Role::Text);
        x += way_columns + 3;
        canvas.put(x, y, 9.min(room(x)), done.phase.word(), role);
        x += 10;
        let took = done.took.map_or_else(|| "-".to_owned(), took);
        canvas.put_right(x, y, 4.min(room(x)), &took, Role::Quiet);
        x += 5;
        canvas.put(x, y, 8.min(room(x)), done.by.map_or("unknown", by_word), Role::Quiet);
        x += 9;
        // Too few columns for a readable text.
        if room(x) >= 12 {
            canvas.put(x, y, room(x), &tame(&done.detail), Role::Faint);
        }
    }
}

/// Why a list is empty.
fn missing(canvas: &mut Canvas<'_>, area: Rect, nothing: Option<&str>, snapshot: &Snapshot, ui: &Ui) {
    let text = match (nothing, &snapshot.history) {
        (Some(nothing), _) => nothing.to_owned(),
        (None, HistoryView::Off(why)) => past::without(why),
        (None, _) => past::reading(ui).to_owned(),
    };
    canvas.put(area.x + 1, area.y + 1, area.width.saturating_sub(1), &text, Role::Quiet);
}

/// Columns of a line's first word.
const WORD: u16 = 9;

/// How many rows the panel takes, with its title.
fn settings_rows(row: &VmRow, snapshot: &Snapshot, ui: &Ui) -> u16 {
    1 + ui.detail(snapshot).map_or(1, |detail| lines(detail, row, snapshot, ">=").len() as u16)
}

/// Draws the panel.
fn draw_settings(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let Some(detail) = ui.detail(snapshot) else { return canvas.rule(area, &[("settings", Role::Title)], "") };
    canvas.rule(area, &[("settings", Role::Title)], &tame(&detail.origin.place));
    let lines = lines(detail, row, snapshot, canvas.glyphs.at_least);
    for (y, (word, text)) in (area.y + 1..area.bottom()).zip(&lines) {
        canvas.put(area.x + 1, y, WORD, word, Role::Quiet);
        let x = area.x + 1 + WORD;
        canvas.put(x, y, area.right().saturating_sub(x), text, Role::Text);
    }
}

/// Draws the bounds and their place in one line.
fn settings_line(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let Some(detail) = ui.detail(snapshot).filter(|_| area.height > 0) else { return };
    let bounds = bounds(detail, row, canvas.glyphs.at_least);
    let told: Vec<String> = bounds.iter().map(|(word, text)| format!("{word} {text}")).collect();
    let x = canvas.put(area.x, area.y, area.width, " set  ", Role::Key);
    let x = canvas.put(x, area.y, area.right().saturating_sub(x), &told.join(", "), Role::Text);
    let place = format!("   {}", tame(&detail.origin.place));
    canvas.put(x, area.y, area.right().saturating_sub(x), &place, Role::Faint);
}

type Line = (&'static str, String);

fn lines(detail: &Detail, row: &VmRow, snapshot: &Snapshot, at_least: &str) -> Vec<Line> {
    let settings = &detail.settings;
    let mut lines = vec![("policy", settings.rule.kind().word().to_owned())];
    lines.extend(bounds(detail, row, at_least));
    match &settings.rule {
        Rule::Schedule { hours, .. } => lines.push(("hours", hours.to_string())),
        Rule::Site(site) => {
            let binds = match site.break_even {
                BreakEven::Show => "shown",
                BreakEven::Require => "binding",
            };
            lines.push(("pays", format!("break-even {binds}, margin {}", site.margin)));
        }
        _ => {}
    }
    let stale = counted(settings.stale_after as usize, "gap", "gaps");
    lines.push(("settle", format!("{} after a move", duration(settings.settle))));
    lines.push(("stale", format!("after {stale} in a row")));
    let next = detail.next_read.map_or_else(String::new, |at| format!(", next in {}", left(at.since(snapshot.at))));
    lines.push(("read", format!("every {}{next}", duration(detail.interval))));
    lines.push(("from", origin(&detail.origin)));
    lines.push(("history", kept(&snapshot.history)));
    lines
}

fn bounds(detail: &Detail, row: &VmRow, at_least: &str) -> Vec<Line> {
    let settings = &detail.settings;
    let (worse, better) = signs(settings.direction);
    let bound = |sign: &str, bound: Bound| {
        let tarry = counted(bound.tarry as usize, "sample", "samples");
        format!("{sign} {} {} for {tarry}", exact(bound.at), row.unit)
    };
    if let Rule::Site(site) = &settings.rule {
        let polls = counted(site.home_tarry as usize, "empty poll", "empty polls");
        let polls = match site.home_after {
            HomeAfter::Off => polls,
            HomeAfter::Auto => format!("{polls}, and out and back"),
            HomeAfter::Idle(span) => format!("{polls}, and {}", duration(span)),
        };
        return vec![("away", format!("{at_least} {} big jobs", site.threshold)), ("home", format!("after {polls}"))];
    }
    let high = settings.rule.high().map(|high| ("move", bound(worse, high)));
    let low = settings.rule.low().map(|low| ("to base", bound(better, low)));
    high.into_iter().chain(low).collect()
}

/// Where the history is, and how large.
fn kept(history: &HistoryView) -> String {
    match history {
        HistoryView::On { trouble: Some(why), .. } => format!("fails: {}", tame(why)),
        HistoryView::On { path, size: 0, .. } => format!("in {}", tame(path)),
        HistoryView::On { path, size, .. } => format!("{} in {}", bytes(*size), tame(path)),
        HistoryView::Off(why) => format!("none: {}", tame(why)),
    }
}

/// Where the settings come from, and how many other VMs use them.
fn origin(origin: &Origin) -> String {
    let others = match origin.others {
        0 => "no other VM uses it".to_owned(),
        n => counted(n, "other VM uses it", "other VMs use it"),
    };
    match &origin.shared {
        Some(name) => format!("[policy.{}], {others}", tame(name)),
        None if origin.place.is_empty() => "no config file".to_owned(),
        None => "its own block".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_what_happens_is_kept_and_how_large_that_is() {
        let on = |size| HistoryView::On { path: "/s/a.db".into(), size, trouble: None };
        assert_eq!(
            [on(0), on(671_744), on(48_300_000)].map(|history| kept(&history)),
            ["in /s/a.db", "672 kB in /s/a.db", "48 MB in /s/a.db"]
        );
        let trouble = Some("the disk is full\x1b".into());
        let failing = HistoryView::On { path: "/s/a.db".into(), size: 9, trouble };
        assert!(kept(&failing).starts_with("fails: the disk is full") && !kept(&failing).contains('\x1b'));
        assert_eq!(kept(&HistoryView::Off("it is switched off".into())), "none: it is switched off");
    }
}
