//! The VM screen: where the VM is and why, its past, what was decided, and its settings.
//!
//! ```text
//! ┌ header, banner, alarm ───────────────────────┐  always
//! │ its line of the Fleet table                  │  always; the table's head from 20 rows
//! │ its migration                                │  from 16 rows, while one is under way; all of it from 24
//! │ graph                                        │  always
//! │ count, low count                             │  from 14 rows
//! │ cursor, or what the marks mean               │  from 12 rows
//! │ why                                          │  always
//! │ settings, decisions, moves                   │  from 18 rows; side by side from 100 columns
//! └ footer ──────────────────────────────────────┘  always
//! ```

mod panels;

use ratatui::layout::Rect;

use crate::console::past;
use crate::console::past::{PastSource, ShownPast};
use crate::console::screens::fleet::{changing, indicator, queue_beside, table, why};
use crate::console::screens::{draw_footer, draw_top, migration, top};
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, Graph, Scale, take_rows};
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::{counted, duration, number};
use crate::core::insight::Band;
use crate::view::{MarkKind, Snapshot, Stretch, VmRow};

/// Where each part is. A part without height is not shown.
struct VmLayout {
    top: [Rect; 3],
    row: Rect,
    migration: Rect,
    graph: Rect,
    strips: Rect,
    cursor: Rect,
    why: Rect,
    panels: Rect,
    footer: Rect,
}

impl VmLayout {
    fn new(area: Rect, ui: &Ui, snapshot: &Snapshot) -> Self {
        let mut rest = area;
        let top = top(&mut rest, ui, snapshot);
        let rows = area.height;
        let row = take_rows(&mut rest, if rows >= 20 { 2 } else { 1 });
        let moving = ui.row().and_then(|row| row.migration.as_ref());
        let wanted = moving.map_or(0, |moving| migration::rows(moving, area.width));
        let migration = take_rows(
            &mut rest,
            match rows {
                24.. => wanted,
                16..24 => wanted.min(3),
                _ => 0,
            },
        );
        let strips = if rows >= 14 { strips(ui) } else { 0 };
        let cursor = u16::from(rows >= 12);
        let left = rest.height.saturating_sub(2 + strips + cursor);
        // The graph has more than half: its shape matters. The lists have the rest.
        let graph = if rows >= 18 { (left * 11 / 20).clamp(6, 34).min(left) } else { left };
        Self {
            top,
            row,
            migration,
            graph: take_rows(&mut rest, graph),
            strips: take_rows(&mut rest, strips),
            cursor: take_rows(&mut rest, cursor),
            why: take_rows(&mut rest, 1),
            panels: take_rows(&mut rest, left - graph),
            footer: take_rows(&mut rest, 1),
        }
    }
}

/// Draws the screen.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let at = VmLayout::new(area, ui, snapshot);
    draw_top(canvas, at.top, snapshot, ui);
    draw_footer(canvas, at.footer, snapshot, ui);
    let Some(row) = ui.row() else {
        return canvas.rule(at.row, &[("no VM selected: esc goes back to Fleet", Role::Quiet)], "");
    };
    let shown = past::shown(ui, snapshot);
    table::one(canvas, at.row, row, snapshot, ui);
    if let Some(moving) = &row.migration {
        migration::draw(canvas, at.migration, row, moving, snapshot.at);
    }
    draw_graph(canvas, at.graph, at.strips, &shown, row, snapshot, ui);
    draw_cursor(canvas, at.cursor, &shown, row, snapshot, ui);
    why(canvas, at.why, snapshot, ui);
    panels::draw(canvas, at.panels, row, snapshot, ui);
}

/// The least columns before the plot, for `count` and the axis.
const LEFT: u16 = 7;

/// From this width on, a site VM's queue is beside its graph.
const QUEUE_FROM: u16 = 90;

/// How many strips there are under the graph: one for each number the policy counts.
fn strips(ui: &Ui) -> u16 {
    ui.row().map_or(0, |row| u16::from(row.count.is_some()) + u16::from(row.low_count.is_some()))
}

/// Draws the graph with its title, and the strips.
fn draw_graph(
    canvas: &mut Canvas<'_>,
    area: Rect,
    strips: Rect,
    shown: &ShownPast<'_>,
    row: &VmRow,
    snapshot: &Snapshot,
    ui: &Ui,
) {
    title(canvas, area, shown, row, snapshot, ui);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let counts = [("count", row.count, false), ("low", row.low_count, true)];
    let tarries: Vec<_> = counts.into_iter().filter_map(|(word, count, low)| Some((word, count?.1, low))).collect();
    let body = queue_beside(canvas, body, row, snapshot.at, QUEUE_FROM);
    let graph = Graph {
        live: ui.vm.end.is_none(),
        cursor: ui.vm.cursor,
        left: LEFT,
        right: tarries.iter().map(|(_, tarry, _)| width(&of(*tarry)) as u16 + 1).max().unwrap_or(0),
        ..shown.graph(ui.zone)
    };
    let Some(scale) = graph.draw(canvas, body) else { return };
    if !shown.bands.iter().any(|band| shown.has(band.at) && band.samples > 0) {
        let text = nothing(shown, row, snapshot, ui);
        canvas.put(scale.plot.x + 1, scale.plot.y, scale.plot.width.saturating_sub(1), &text, Role::Strong);
    }
    if !shown.counted && strips.height > 0 {
        let text = match shown.source {
            PastSource::Live(_) => "counts are kept in a history",
            _ => "the counts come with the history",
        };
        canvas.put(scale.plot.x, strips.y, scale.plot.width, text, Role::Faint);
        return;
    }
    for (y, tarry) in (strips.top()..strips.bottom()).zip(tarries) {
        strip(canvas, &scale, y, shown, tarry);
    }
}

/// Draws what is measured; at the right the number that `+` and `-` change, and the stretch.
fn title(canvas: &mut Canvas<'_>, area: Rect, shown: &ShownPast<'_>, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let stretch = match ui.vm.end {
        None => format!("last {}", duration(shown.span())),
        Some(_) => {
            let (from, to) = (shown.from, shown.to);
            let format = if shown.span() < Span::from_hours(72) { "%-d %b %H:%M" } else { "%-d %b %Y" };
            format!("{} - {}", ui.zone.read(from).format(format), ui.zone.read(to).format(format))
        }
    };
    let right = match shown.source {
        PastSource::Reading => format!("{}   {stretch}", past::reading(ui)),
        _ => match ui.detail(snapshot).map(|detail| changing(detail, ui)) {
            Some(change) if area.width >= 100 => format!("{change}   {stretch}"),
            _ => stretch,
        },
    };
    let what = ui.detail(snapshot).map_or_else(String::new, |detail| indicator(detail, row));
    canvas.rule(area, &[(&row.name, Role::Title), (&what, Role::Quiet)], &right);
}

/// Why there is nothing on the graph.
fn nothing(shown: &ShownPast<'_>, row: &VmRow, snapshot: &Snapshot, ui: &Ui) -> String {
    match (&shown.source, shown.begins, &row.gap) {
        (PastSource::Reading, ..) => "reading the history".to_owned(),
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

/// Draws a count relative to its tarry, column by column.
fn strip(canvas: &mut Canvas<'_>, scale: &Scale, y: u16, shown: &ShownPast<'_>, (word, tarry, low): (&str, u32, bool)) {
    let plot = scale.plot;
    canvas.put_right(plot.x.saturating_sub(LEFT), y, LEFT - 2, word, Role::Quiet);
    canvas.put(plot.right() + 1, y, 6, &of(tarry), Role::Quiet);
    let columns = counts(scale, shown, low);
    let steps = canvas.glyphs.spark;
    for (x, count) in (plot.left()..).zip(columns) {
        let Some(count) = count else { continue };
        let role = match count {
            0 => Role::Faint,
            _ if low => Role::Low,
            n if n >= tarry => Role::Beyond,
            _ => Role::Count,
        };
        // Only a full count has the full height, and only zero the least.
        let step = match count {
            0 => 0,
            n if n >= tarry => steps.len() - 1,
            n => (n as usize * (steps.len() - 1) / tarry.max(1) as usize).clamp(1, steps.len() - 2),
        };
        canvas.glyph(x, y, steps[step], role);
    }
}

/// The highest count of each column. A count lasts until the next reading, unless one is missing.
fn counts(scale: &Scale, shown: &ShownPast<'_>, low: bool) -> Vec<Option<u32>> {
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

/// Draws what is under the cursor, or else what the marks on the graph mean.
fn draw_cursor(canvas: &mut Canvas<'_>, area: Rect, shown: &ShownPast<'_>, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    match (ui.vm.cursor.filter(|at| shown.has(*at)), &shown.source) {
        (Some(at), _) => under(canvas, area, at, shown, row, snapshot, ui),
        (None, PastSource::Live(why)) => {
            let text = format!("{why}; this is what the engine remembers");
            canvas.put(area.x, area.y, area.width, &text, Role::Warning);
        }
        (None, _) => legend(canvas, area, shown),
    }
}

fn under(
    canvas: &mut Canvas<'_>,
    area: Rect,
    at: Timestamp,
    shown: &ShownPast<'_>,
    row: &VmRow,
    snapshot: &Snapshot,
    ui: &Ui,
) {
    // About one column of the plot on each side.
    let near = shown.span().scaled(1, 2 * i64::from(area.width.max(1)));
    let (from, to) = (at - near, at + near);
    let band = shown.nearest(at).filter(|band| (from..=to).contains(&band.at));
    let clock = format!("{}  ", ui.zone.stamp(at, snapshot.at));
    let mut x = canvas.put(area.x, area.y, area.width, &clock, Role::Key);
    let (value, about) = band.map_or_else(|| ("no reading".to_owned(), String::new()), |band| words(band, row));
    x = canvas.put(x, area.y, area.right().saturating_sub(x), &value, Role::Strong);
    x = canvas.put(x, area.y, area.right().saturating_sub(x), &about, Role::Quiet);
    for (text, role) in happened(from, to, shown) {
        x = canvas.put(x, area.y, area.right().saturating_sub(x), &format!("   {text}"), role);
    }
}

/// A band's value, and what else is known of it.
fn words(band: &Band, row: &VmRow) -> (String, String) {
    if !band.mean.is_finite() {
        return ("too busy to answer".to_owned(), String::new());
    }
    let value = format!("{} {}", number(f64::from(band.mean)), row.unit);
    let mut about = String::new();
    if band.max > band.min {
        let (min, max) = (number(f64::from(band.min)), number(f64::from(band.max)));
        about = format!(" mean of {} readings, {min} to {max}", band.samples);
    }
    let counts = [("count", row.count, band.count), ("low", row.low_count, band.low_count)];
    for (word, tarry, count) in counts.into_iter().filter(|(_, _, count)| *count > 0) {
        let of = tarry.map_or_else(String::new, |(_, tarry)| format!("/{tarry}"));
        about.push_str(&format!("   {word} {count}{of}"));
    }
    if band.gaps > 0 {
        about.push_str(&format!("   {}", counted(band.gaps as usize, "gap", "gaps")));
    }
    (value, about)
}

/// What happened between two instants.
fn happened(from: Timestamp, to: Timestamp, shown: &ShownPast<'_>) -> Vec<(String, Role)> {
    let marks = shown.marks.iter().filter(|mark| (from..=to).contains(&mark.at)).map(|mark| match &mark.kind {
        MarkKind::Moved(host) => (format!("moved to {host}"), Role::Mark),
        MarkKind::Edited => ("settings changed".to_owned(), Role::Mark),
    });
    let overlaps = |stretch: &&Stretch| stretch.from <= to && stretch.to >= from;
    let length = |stretch: &Stretch| duration(stretch.to.since(stretch.from));
    let gap = |stretch: &Stretch| match stretch.to == stretch.from {
        // A single reading has no length.
        true => (format!("gap: {}", stretch.text), Role::Warning),
        false => (format!("gap of {}: {}", length(stretch), stretch.text), Role::Warning),
    };
    let rest = |stretch: &Stretch| (format!("rest of {}", length(stretch)), Role::Resting);
    let gaps = shown.gaps.iter().filter(overlaps).map(gap);
    let rests = shown.rests.iter().filter(overlaps).map(rest);
    let decided = shown.decisions.iter().rev().filter(|line| (from..=to).contains(&line.at));
    let decided = decided.map(|line| (line.text.clone(), Role::Text));
    marks.chain(gaps).chain(rests).chain(decided).take(4).collect()
}

/// How many, and their length together if they have one.
fn lengthy(many: String, length: Span) -> String {
    if length == Span::ZERO { many } else { format!("{many}, {}", duration(length)) }
}

/// Draws which marks are on the graph, and how many.
fn legend(canvas: &mut Canvas<'_>, area: Rect, shown: &ShownPast<'_>) {
    let (from, to) = (shown.from, shown.to);
    let marked = |edits: bool| {
        let of_kind = shown.marks.iter().filter(|mark| (mark.kind == MarkKind::Edited) == edits);
        of_kind.filter(|mark| shown.has(mark.at)).count()
    };
    let length = |stretches: &[Stretch]| {
        let cut = |stretch: &Stretch| stretch.to.min(to).since(stretch.from.max(from));
        let parts: Vec<Span> = stretches.iter().filter(|s| s.from <= to && s.to >= from).map(cut).collect();
        (parts.len(), parts.into_iter().fold(Span::ZERO, |sum, part| sum + part))
    };
    let ([moved, edited], [gap, rest]) = (canvas.glyphs.marks, canvas.glyphs.missed);
    let (gaps, rests) = (length(shown.gaps), length(shown.rests));
    let told = [
        (moved, Role::Mark, marked(false), counted(marked(false), "move", "moves")),
        (edited, Role::Mark, marked(true), counted(marked(true), "edit", "edits")),
        (gap, Role::Warning, gaps.0, lengthy(counted(gaps.0, "gap", "gaps"), gaps.1)),
        (rest, Role::Resting, rests.0, lengthy(counted(rests.0, "rest", "rests"), rests.1)),
    ];
    let mut x = area.x;
    for (glyph, role, _, text) in told.iter().filter(|(_, _, count, _)| *count > 0) {
        let pieces = [(*glyph, *role), (" ", Role::Text), (text.as_str(), Role::Quiet), ("   ", Role::Text)];
        x = canvas.line(x, area.y, area.right().saturating_sub(x), &pieces);
    }
    if x == area.x {
        canvas.put(x, area.y, area.width, "no move, edit, gap or rest in this stretch", Role::Faint);
    }
}
