//! The graph of the past, and under it how the counts grew.

use ratatui::layout::Rect;

use crate::console::past::{Shown, Source};
use crate::console::screens::fleet::{changing, indicator, queue};
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, History, Scale};
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::duration;
use crate::view::{Snapshot, VmRow};

/// Columns before the plot, at least: `count` and the axis.
const LEFT: u16 = 7;

/// From this width on a site VM's queue stands beside its graph.
const QUEUE_FROM: u16 = 90;

/// How many strips there are under the graph: one for each number the policy counts.
pub fn strips(ui: &Ui) -> u16 {
    ui.row().map_or(0, |row| u16::from(row.count.is_some()) + u16::from(row.low_count.is_some()))
}

/// Draws the graph with its title, and the strips.
pub fn draw(
    pen: &mut Canvas<'_>,
    area: Rect,
    strips: Rect,
    shown: &Shown<'_>,
    row: &VmRow,
    snapshot: &Snapshot,
    ui: &Ui,
) {
    title(pen, area, shown, row, snapshot, ui);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let counts = [("count", row.count, false), ("low", row.low_count, true)];
    let tarries: Vec<_> = counts.into_iter().filter_map(|(word, count, low)| Some((word, count?.1, low))).collect();
    let body = queue_beside(pen, body, row);
    let history = History {
        live: ui.vm.end.is_none(),
        cursor: ui.vm.cursor,
        left: LEFT,
        right: tarries.iter().map(|(_, tarry, _)| width(&of(*tarry)) as u16 + 1).max().unwrap_or(0),
        ..shown.history(row.policy == "site", ui.zone)
    };
    let Some(scale) = history.draw(pen, body) else { return };
    if !shown.bands.iter().any(|band| shown.has(band.at) && band.samples > 0) {
        let text = nothing(shown, row, snapshot, ui);
        pen.put(scale.plot.x + 1, scale.plot.y, scale.plot.width.saturating_sub(1), &text, Role::Strong);
    }
    if !shown.counted && strips.height > 0 {
        let text = match shown.source {
            Source::Live(_) => "counts are kept in a history",
            _ => "the counts come with the history",
        };
        pen.put(scale.plot.x, strips.y, scale.plot.width, text, Role::Faint);
        return;
    }
    for (y, tarry) in (strips.top()..strips.bottom()).zip(tarries) {
        strip(pen, &scale, y, shown, tarry);
    }
}

/// Draws a site VM's queue at the left, where Fleet has it too, and says what is left for the graph.
fn queue_beside(pen: &mut Canvas<'_>, area: Rect, row: &VmRow) -> Rect {
    let Some(work) = row.queue.as_ref().filter(|_| area.width >= QUEUE_FROM) else { return area };
    let columns = (area.width * 2 / 5).clamp(30, 52);
    queue::draw(pen, Rect { width: columns, ..area }, row, work);
    Rect { x: area.x + columns + 1, width: area.width - columns - 1, ..area }
}

/// What is measured and how far back, at the right; the number that `+` and `-` change.
fn title(pen: &mut Canvas<'_>, area: Rect, shown: &Shown<'_>, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let stretch = match ui.vm.end {
        None => format!("last {}", duration(shown.span())),
        Some(_) => {
            let (from, to) = (shown.from, shown.to);
            let format = if shown.span() < Span::from_hours(72) { "%-d %b %H:%M" } else { "%-d %b %Y" };
            format!("{} - {}", ui.zone.read(from).format(format), ui.zone.read(to).format(format))
        }
    };
    let reading = if ui.frozen { "frozen: p goes on and reads it" } else { "reading the history" };
    let right = match shown.source {
        Source::Reading => format!("{reading}   {stretch}"),
        _ => match ui.detail(snapshot).map(|detail| changing(detail, ui)) {
            Some(change) if area.width >= 100 => format!("{change}   {stretch}"),
            _ => stretch,
        },
    };
    let what = ui.detail(snapshot).map_or_else(String::new, |detail| indicator(detail, row));
    pen.rule(area, &[(&row.name, Role::Title), (&what, Role::Quiet)], &right);
}

/// Why there is nothing on the graph.
fn nothing(shown: &Shown<'_>, row: &VmRow, snapshot: &Snapshot, ui: &Ui) -> String {
    match (&shown.source, shown.begins, &row.gap) {
        (Source::Reading, ..) => "reading the history".to_owned(),
        (_, Some(begins), _) => {
            format!("no reading in this stretch; the oldest is of {}", ui.zone.stamp(begins, snapshot.at))
        }
        (_, None, Some(reason)) => format!("no reading: {reason}"),
        (_, None, None) => "no history yet: the graph fills as samples come".to_owned(),
    }
}

fn of(tarry: u32) -> String {
    format!("of {tarry}")
}

/// A count against its tarry, column by column.
fn strip(pen: &mut Canvas<'_>, scale: &Scale, y: u16, shown: &Shown<'_>, (word, tarry, low): (&str, u32, bool)) {
    let plot = scale.plot;
    pen.put_right(plot.x.saturating_sub(LEFT), y, LEFT - 2, word, Role::Quiet);
    pen.put(plot.right() + 1, y, 6, &of(tarry), Role::Quiet);
    let columns = counts(scale, shown, low);
    let steps = pen.glyphs.spark;
    for (x, count) in (plot.left()..).zip(columns) {
        let Some(count) = count else { continue };
        let role = match count {
            0 => Role::Faint,
            _ if low => Role::Low,
            n if n >= tarry => Role::Beyond,
            _ => Role::Count,
        };
        // Only a full count has the full height, and only none the least.
        let step = match count {
            0 => 0,
            n if n >= tarry => steps.len() - 1,
            n => (n as usize * (steps.len() - 1) / tarry.max(1) as usize).clamp(1, steps.len() - 2),
        };
        pen.glyph(x, y, steps[step], role);
    }
}

/// The highest count of every column; a count stands until the next reading, unless one is missing.
fn counts(scale: &Scale, shown: &Shown<'_>, low: bool) -> Vec<Option<u32>> {
    let plot = scale.plot;
    let mut columns: Vec<Option<u32>> = vec![None; usize::from(plot.width)];
    let mut last: Option<(u16, u32, Timestamp)> = None;
    for band in &shown.bands {
        let Some(x) = scale.column(band.at).filter(|_| band.samples > 0) else {
            last = None;
            continue;
        };
        let (x, count) = (x - plot.x, if low { band.low_count } else { band.count });
        if let Some((before, stood, _)) = last.filter(|(_, _, at)| band.at.since(*at) <= shown.longest_step) {
            columns.iter_mut().take(usize::from(x)).skip(usize::from(before) + 1).for_each(|c| *c = Some(stood));
        }
        if let Some(column) = columns.get_mut(usize::from(x)) {
            *column = Some(column.map_or(count, |before| before.max(count)));
        }
        last = Some((x, count, band.at));
    }
    columns
}
