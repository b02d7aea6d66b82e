//! Now and would be: in numbers, and on the first VM's past.

use ratatui::layout::Rect;

use crate::console::editor::Editor;
use crate::console::text::{Zone, rounded, width};
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, Graph, Scale};
use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::format::{counted, decimal, duration, exact, number};
use crate::core::insight::{ComparedSide, Comparison};
use crate::core::policy::{Decision, Field};
use crate::view::{Mark, MarkKind, Past, Snapshot, WhatIf, what_if_word};

/// Columns of the table.
pub const TABLE: u16 = 40;

/// A line of the table.
struct TableRow {
    label: &'static str,
    of: fn(&ComparedSide) -> String,
    /// Whether the row is shown.
    is_there: fn(&ComparedSide) -> bool,
}

const TABLE_ROWS: [TableRow; 7] = [
    TableRow { label: "moves", of: |tried| tried.outcome.moves.to_string(), is_there: |_| true },
    TableRow { label: "quick repeats", of: |tried| tried.outcome.quick_moves.to_string(), is_there: |_| true },
    TableRow { label: "beyond (own bound)", of: |tried| measured_time(tried.outcome.beyond_s), is_there: |_| true },
    TableRow { label: "requests an hour", of: |tried| number(tried.requests_per_hour), is_there: |_| true },
    TableRow {
        label: "moves to base",
        of: |tried| tried.outcome.moves_to_base.to_string(),
        is_there: |tried| tried.outcome.moves_to_base > 0,
    },
    TableRow {
        label: "time at base",
        of: |tried| measured_time(tried.at_base.secs_f64()),
        is_there: |tried| tried.at_base > Span::ZERO,
    },
    TableRow { label: "cost", of: |tried| number(tried.cost), is_there: |tried| tried.cost > 0.0 },
];

/// A measured time of so many seconds that fits its column: `45 s`, `98 min`, `19.7 h`. `duration` alone rounds up.
fn measured_time(seconds: f64) -> String {
    if seconds >= 7_200.0 {
        return format!("{} h", decimal(seconds / 3_600.0, 1));
    }
    let step = if seconds < 120.0 { 1.0 } else { 60.0 };
    duration(Span::from_secs_f64((seconds / step).round() * step))
}

/// `14 d replayed`, or how much of them is recorded.
fn replayed(editor: &Editor, comparison: &Comparison) -> String {
    let asked = duration(editor.span());
    let seconds = comparison.new.outcome.span_s;
    if seconds < editor.span().secs_f64() * 0.95 {
        return format!("{} of {asked} recorded, replayed", duration(Span::from_secs_f64(seconds)));
    }
    format!("{asked} replayed")
}

/// What the text would have done, in one sentence; for several VMs, one for all and one for the first.
pub fn sentences(editor: &Editor) -> Vec<(String, Role)> {
    let asked = duration(editor.span());
    let Some(view) = editor.fresh() else {
        let text = if editor.text.is_none() { "reading the config …".to_owned() } else { format!("{asked}: …") };
        return vec![(text, Role::Quiet)];
    };
    if !view.problems.is_empty() {
        return vec![("what-if waits until the text is right".to_owned(), Role::Warning)];
    }
    match &view.what_if {
        WhatIf::Pending => vec![(format!("{asked}: counting …"), Role::Quiet)],
        WhatIf::None(why) => vec![(format!("no what-if: {why}"), Role::Warning)],
        WhatIf::Told { comparison, together } => {
            let (old, new) = (&comparison.old.outcome, &comparison.new.outcome);
            let counts = format!(
                "{} (now {}), {} (now {})",
                counted(new.moves, "move", "moves"),
                old.moves,
                counted(new.quick_moves, "quick repeat", "quick repeats"),
                old.quick_moves
            );
            let span = replayed(editor, comparison);
            let Some((now, would)) = together else { return vec![(format!("{span}: {counts}"), Role::Strong)] };
            let first = editor.vms.first().map_or("", |vm| vm);
            let moves = counted(*would, "move", "moves");
            vec![
                (format!("{span}, {} together: {moves} (now {now})", editor.whose()), Role::Strong),
                (format!("{first} alone: {counts}"), Role::Text),
            ]
        }
    }
}

/// Columns of `now` and of `would be`.
const fn column(area: Rect) -> u16 {
    if area.width < TABLE { 9 } else { 10 }
}

/// The rows of the table that are shown.
fn there(editor: &Editor) -> impl Iterator<Item = &'static TableRow> + '_ {
    let (now, would) = (editor.now(), editor.told().map(|comparison| &comparison.new));
    let nothing = now.is_none() && would.is_none();
    TABLE_ROWS.iter().filter(move |line| {
        let is_there = now.into_iter().chain(would).any(|tried| (line.is_there)(tried));
        is_there || nothing && matches!(line.label, "moves" | "quick repeats")
    })
}

/// How many lines the table has, with its head.
pub fn lines(editor: &Editor) -> u16 {
    there(editor).count() as u16 + 1
}

/// Draws now beside would be; an unknown number is `…`.
pub fn table(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor) {
    let (now, would) = (editor.now(), editor.told());
    let column = column(area);
    let label = area.width.saturating_sub(2 * column);
    let mut y = area.y;
    let mut line = |canvas: &mut Canvas<'_>, text: &str, cells: [(&str, Role); 2], role| {
        if y >= area.bottom() {
            return;
        }
        canvas.put(area.x, y, label, text, role);
        for (i, (cell, role)) in cells.into_iter().enumerate() {
            canvas.put_right(area.x + label + column * i as u16, y, column, cell, role);
        }
        y += 1;
    };
    line(canvas, "replayed", [("now", Role::Head), ("would be", Role::Head)], Role::Head);
    for row in there(editor) {
        let [old, new] = [now, would.map(|c| &c.new)].map(|tried| tried.map(row.of));
        let role = if new.is_some() && old != new { Role::Strong } else { Role::Text };
        let told =
            |cell: &Option<String>, role| cell.as_ref().map_or(("…".to_owned(), Role::Quiet), |c| (c.clone(), role));
        let (old, new) = (told(&old, Role::Quiet), told(&new, role));
        line(canvas, row.label, [(&old.0, old.1), (&new.0, new.1)], Role::Text);
    }
}

fn instant(zone: Zone, at: Timestamp) -> String {
    zone.read(at).format("%a %-d %b %H:%M").to_string()
}

/// Draws the first instants at which the decisions differ, in the table's columns.
pub fn differences(canvas: &mut Canvas<'_>, area: Rect, comparison: &Comparison, zone: Zone) {
    let label = area.width.saturating_sub(2 * column(area));
    if comparison.differences.is_empty() {
        canvas.put(area.x, area.y, area.width, "they never differ", Role::Quiet);
        return;
    }
    canvas.put(area.x, area.y, label, "first differences", Role::Head);
    for (y, difference) in (area.y + 1..area.bottom()).zip(&comparison.differences) {
        canvas.put(area.x, y, label, &instant(zone, difference.at), Role::Text);
        for (i, decision) in [difference.old, difference.new].into_iter().enumerate() {
            let role = if decision == Decision::Stay { Role::Quiet } else { Role::Strong };
            canvas.put_right(area.x + label + column(area) * i as u16, y, column(area), what_if_word(decision), role);
        }
    }
}

/// Lines of the strip.
pub const STRIP: u16 = 3;

/// Draws how many moves nearby thresholds and tarries would make.
pub fn strip(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor, comparison: &Comparison) {
    let number_of = |field| editor.text.as_ref()?.number(field);
    let Some(here) = number_of(Field::Threshold) else { return };
    if comparison.strip.is_empty() {
        canvas.put(area.x, area.y, area.width, "around it: counting …", Role::Quiet);
        return;
    }
    let moves = comparison.new.outcome.moves;
    let tarry = number_of(Field::Tarry);
    let is_tarry =
        |variant: &&crate::core::insight::Variant| tarry.is_some_and(|tarry| f64::from(variant.tarry) != tarry);
    let mut cells: Vec<(f64, usize, bool)> = comparison
        .strip
        .iter()
        .filter(|variant| !is_tarry(variant))
        .map(|variant| (variant.threshold, variant.moves, false))
        .chain([(here, moves, true)])
        .collect();
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    let label = 10;
    while cells.len() > 3 && usize::from(area.width.saturating_sub(label)) < cells.len() * 6 {
        // Drop the outermost cells first, but never the text's own.
        if cells.last().is_some_and(|cell| !cell.2) {
            cells.pop();
        }
        if cells.len() > 3 && !cells[0].2 {
            cells.remove(0);
        }
    }
    canvas.put(area.x, area.y, label, "threshold", Role::Head);
    canvas.put(area.x, area.y + 1, label, "moves", Role::Text);
    let column = 6;
    for (i, (at, moves, is_here)) in cells.iter().enumerate() {
        let x = area.x + label + column * i as u16;
        let shown = exact(rounded(*at));
        let shown = if width(&shown) + 2 > usize::from(column) { number(*at) } else { shown };
        let shown = if *is_here { format!("[{shown}]") } else { format!("{shown} ") };
        canvas.put_right(x, area.y, column, &shown, if *is_here { Role::Strong } else { Role::Quiet });
        let role = if *is_here { Role::Strong } else { Role::Text };
        canvas.put_right(x, area.y + 1, column, &format!("{moves} "), role);
    }
    if area.height < STRIP {
        return;
    }
    let tarries = comparison.strip.iter().filter(is_tarry);
    let told: Vec<String> =
        tarries.map(|v| format!("tarry {}: {}", v.tarry, counted(v.moves, "move", "moves"))).collect();
    canvas.put(area.x, area.y + 2, area.width, &told.join("   "), Role::Quiet);
}

/// Columns beside the plot for labels.
const LEFT: u16 = 8;
const RIGHT: u16 = 11;
/// Lines of marks below the plot.
const MARKS: u16 = 2;

/// Draws the first VM's past with the present bounds and those of the text, and the moves under both.
pub fn draw_graph(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor, snapshot: &Snapshot, ui: &Ui) {
    let first = editor.vms.first().and_then(|vm| snapshot.rows.iter().find(|row| row.name == *vm));
    let past = editor.past.as_deref().filter(|past| past.ask.span == editor.shown() || past.ask.span == editor.span());
    let plot = Rect { height: area.height.saturating_sub(MARKS), ..area };
    let nothing = match past {
        None => Some("reading the history …".to_owned()),
        Some(Past { trouble: Some(why), .. }) => Some(format!("no history: {why}")),
        Some(past) if !past.bands.iter().any(|band| band.samples > 0) => {
            Some("no history yet: it fills as samples come".to_owned())
        }
        Some(_) => None,
    };
    let (Some(past), None) = (past, &nothing) else {
        canvas.put(area.x + 1, area.y, area.width - 1, &nothing.unwrap_or_default(), Role::Quiet);
        return;
    };
    let would = would_be(editor);
    let edits: Vec<Mark> = past.marks.iter().filter(|mark| mark.kind == MarkKind::Edited).cloned().collect();
    // The present bounds are compared with the text, not the bounds of that time.
    let now = first.map(|row| (past.from, row.bounds));
    let graph = Graph {
        bands: &past.bands,
        longest_step: past.longest_step,
        bounds: now.as_slice(),
        also: &would,
        marks: &edits,
        gaps: &past.gaps,
        rests: &past.rests,
        from: past.from,
        span: past.to.since(past.from),
        live: true,
        zone: ui.zone,
        left: LEFT,
        right: RIGHT,
        ..Graph::default()
    };
    let Some(scale) = graph.draw(canvas, plot) else { return };
    let bounds = now.map_or([None, None], |(_, now)| [now.high, now.low]);
    bound_lines(canvas, &scale, &bounds.into_iter().flatten().collect::<Vec<_>>(), &would);
    let told = editor.told();
    // They are counted over the time that is replayed, so that both counts have the same span.
    let from = told.map_or(past.from, |comparison| comparison.from);
    let is_base = |name: &Name| snapshot.hosts().any(|host| host.base && host.name == *name);
    let made = past.marks.iter().filter(|mark| mark.at >= from).filter_map(|mark| match &mark.kind {
        MarkKind::Moved(to) => Some((mark.at, is_base(to))),
        MarkKind::Edited => None,
    });
    let made: Vec<(Timestamp, bool)> = made.collect();
    let would: Option<Vec<(Timestamp, bool)>> = told.map(|comparison| {
        let moves = comparison.new.outcome.all_moves.iter();
        moves.map(|would| (would.at, would.decision == Decision::MoveToBase)).collect()
    });
    mark_line(canvas, &scale, plot.bottom(), ("in fact", Role::Mark), Some(&made));
    mark_line(canvas, &scale, plot.bottom() + 1, ("would be", Role::Key), would.as_deref());
}

/// The bounds in the text that can be read.
fn would_be(editor: &Editor) -> Vec<f64> {
    let bound = |field| editor.text.as_ref()?.number(field);
    [Field::Threshold, Field::LowThreshold].into_iter().filter_map(bound).collect()
}

/// Draws a line for every bound that the text changes, behind the readings, and labels old and new.
fn bound_lines(canvas: &mut Canvas<'_>, scale: &Scale, now: &[f64], would: &[f64]) {
    let (x, room) = (scale.plot.right() + 1, RIGHT - 1);
    let label = |canvas: &mut Canvas<'_>, y: u16, text: &str, bound: f64, role: Role| {
        let text = if width(text) > usize::from(room) { exact(bound) } else { text.to_owned() };
        canvas.put(x, y, room, &format!("{text:<10}"), role);
    };
    let rows: Vec<u16> = would.iter().map(|bound| scale.row(*bound)).collect();
    for bound in now.iter().filter(|bound| !would.contains(bound)) {
        // If both fall into one row, they share a label.
        if !rows.contains(&scale.row(*bound)) {
            label(canvas, scale.row(*bound), &format!("{} now", exact(*bound)), *bound, Role::Bound);
        }
    }
    for bound in would.iter().filter(|bound| !now.contains(bound)) {
        let y = scale.row(*bound);
        let hidden = now.iter().find(|other| !would.contains(other) && scale.row(**other) == y);
        for x in (scale.plot.left()..scale.plot.right()).step_by(2) {
            if canvas.is_free(x, y) {
                canvas.glyph(x, y, canvas.glyphs.dash, Role::Key);
            }
        }
        match hidden {
            Some(other) => label(canvas, y, &format!("{} → {}", exact(*other), exact(*bound)), *bound, Role::Key),
            None => label(canvas, y, &format!("{} new", exact(*bound)), *bound, Role::Key),
        }
    }
}

/// Draws moves as marks in one line, each with whether it goes to the base, and how many they are: `12`, `12+3 base`.
fn mark_line(canvas: &mut Canvas<'_>, scale: &Scale, y: u16, look: (&str, Role), moves: Option<&[(Timestamp, bool)]>) {
    let (word, role) = look;
    let plot = scale.plot;
    canvas.put_right(plot.x.saturating_sub(LEFT + 1), y, LEFT, word, Role::Quiet);
    let count = moves.map_or_else(
        || "…".to_owned(),
        |moves| match moves.iter().filter(|(_, to_base)| *to_base).count() {
            0 => moves.len().to_string(),
            to_base => format!("{}+{to_base} base", moves.len() - to_base),
        },
    );
    for x in moves.unwrap_or_default().iter().filter_map(|(at, _)| scale.column(*at)) {
        canvas.glyph(x, y, canvas.glyphs.marks[0], role);
    }
    canvas.put(plot.right() + 1, y, RIGHT - 1, &count, role);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_time_fits_its_column() {
        let told = [45.2, 5_880.0, 70_999.0, 30.0 * 86_400.0].map(measured_time);
        assert_eq!(told, ["45 s", "98 min", "19.7 h", "720 h"]);
    }
}
