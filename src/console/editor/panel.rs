//! Now and would be, in numbers: the sentence, the table, the first differences, the strip.

use ratatui::layout::Rect;

use super::{DAYS, Editor};
use crate::console::text::{Zone, rounded, width};
use crate::console::theme::Role;
use crate::console::widgets::Canvas;
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::{counted, duration, exact, number};
use crate::core::insight::{ComparedSide, Comparison};
use crate::core::policy::{Decision, Field};
use crate::view::{WhatIf, what_if_word};

/// Columns of the table.
pub const TABLE: u16 = 40;

/// A line of the table.
struct Line {
    label: &'static str,
    of: fn(&ComparedSide) -> String,
    /// Whether it is worth a line.
    is_there: fn(&ComparedSide) -> bool,
}

const LINES: [Line; 7] = [
    Line { label: "moves", of: |tried| tried.outcome.moves.to_string(), is_there: |_| true },
    Line { label: "quick repeats", of: |tried| tried.outcome.quick_moves.to_string(), is_there: |_| true },
    Line { label: "beyond (own bound)", of: |tried| measured_time(tried.outcome.beyond_s), is_there: |_| true },
    Line { label: "requests an hour", of: |tried| number(tried.requests_per_hour), is_there: |_| true },
    Line {
        label: "moves to base",
        of: |tried| tried.outcome.moves_to_base.to_string(),
        is_there: |tried| tried.outcome.moves_to_base > 0,
    },
    Line {
        label: "time at base",
        of: |tried| measured_time(tried.at_base.secs_f64()),
        is_there: |tried| tried.at_base > Span::ZERO,
    },
    Line { label: "cost", of: |tried| number(tried.cost), is_there: |tried| tried.cost > 0.0 },
];

/// A measured time of so many seconds, to the nearest second or minute: `duration` alone rounds up.
fn measured_time(seconds: f64) -> String {
    let step = if seconds < 120.0 { 1.0 } else { 60.0 };
    duration(Span::from_secs_f64((seconds / step).round() * step))
}

/// `14 days`, or how much of them is recorded.
fn days(editor: &Editor, comparison: &Comparison) -> String {
    let asked = counted(DAYS[editor.days] as usize, "day", "days");
    let seconds = comparison.new.outcome.span_s;
    if seconds < editor.span().secs_f64() * 0.95 {
        return format!("{} of {asked} recorded", measured_time(seconds));
    }
    asked
}

/// What the text would have done, in one plain sentence; of several VMs of all together in a second one.
pub fn sentences(editor: &Editor) -> Vec<(String, Role)> {
    let asked = counted(DAYS[editor.days] as usize, "day", "days");
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
            let span = days(editor, comparison);
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

/// Lines of the table that have something to say.
fn there(editor: &Editor) -> impl Iterator<Item = &'static Line> + '_ {
    let (now, would) = (editor.now(), editor.told().map(|comparison| &comparison.new));
    let nothing = now.is_none() && would.is_none();
    LINES.iter().filter(move |line| {
        let is_there = now.into_iter().chain(would).any(|tried| (line.is_there)(tried));
        is_there || nothing && matches!(line.label, "moves" | "quick repeats")
    })
}

/// How many lines the table has, with its head.
pub fn lines(editor: &Editor) -> u16 {
    there(editor).count() as u16 + 1
}

/// Now against would be; what has not been told yet is `…`.
pub fn table(pen: &mut Canvas<'_>, area: Rect, editor: &Editor) {
    let (now, would) = (editor.now(), editor.told());
    let column = column(area);
    let label = area.width.saturating_sub(2 * column);
    let mut y = area.y;
    let mut line = |pen: &mut Canvas<'_>, text: &str, cells: [(&str, Role); 2], role| {
        if y >= area.bottom() {
            return;
        }
        pen.put(area.x, y, label, text, role);
        for (i, (cell, role)) in cells.into_iter().enumerate() {
            pen.put_right(area.x + label + column * i as u16, y, column, cell, role);
        }
        y += 1;
    };
    line(pen, "what if", [("now", Role::Head), ("would be", Role::Head)], Role::Head);
    for row in there(editor) {
        let [old, new] = [now, would.map(|c| &c.new)].map(|tried| tried.map(row.of));
        let role = if new.is_some() && old != new { Role::Strong } else { Role::Text };
        let told =
            |cell: &Option<String>, role| cell.as_ref().map_or(("…".to_owned(), Role::Quiet), |c| (c.clone(), role));
        let (old, new) = (told(&old, Role::Quiet), told(&new, role));
        line(pen, row.label, [(&old.0, old.1), (&new.0, new.1)], Role::Text);
    }
}

fn instant(zone: Zone, at: Timestamp) -> String {
    zone.read(at).format("%a %-d %b %H:%M").to_string()
}

/// The first instants at which they differ, in the table's columns.
pub fn differences(pen: &mut Canvas<'_>, area: Rect, comparison: &Comparison, zone: Zone) {
    let label = area.width.saturating_sub(2 * column(area));
    if comparison.differences.is_empty() {
        pen.put(area.x, area.y, area.width, "they never differ", Role::Quiet);
        return;
    }
    pen.put(area.x, area.y, label, "first differences", Role::Head);
    for (y, difference) in (area.y + 1..area.bottom()).zip(&comparison.differences) {
        pen.put(area.x, y, label, &instant(zone, difference.at), Role::Text);
        for (i, decision) in [difference.old, difference.new].into_iter().enumerate() {
            let role = if decision == Decision::Stay { Role::Quiet } else { Role::Strong };
            pen.put_right(area.x + label + column(area) * i as u16, y, column(area), what_if_word(decision), role);
        }
    }
}

/// Lines of the strip.
pub const STRIP: u16 = 3;

/// Moves under bounds and tarries around the text's.
pub fn strip(pen: &mut Canvas<'_>, area: Rect, editor: &Editor, comparison: &Comparison) {
    let text = editor.text.as_ref();
    let number_of = |field: Field| text.and_then(|text| text.value(field.key())?.replace('_', "").parse::<f64>().ok());
    let Some(here) = number_of(Field::Threshold) else { return };
    if comparison.strip.is_empty() {
        pen.put(area.x, area.y, area.width, "around it: counting …", Role::Quiet);
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
        // The outermost go first, the text's own never.
        if cells.last().is_some_and(|cell| !cell.2) {
            cells.pop();
        }
        if cells.len() > 3 && !cells[0].2 {
            cells.remove(0);
        }
    }
    pen.put(area.x, area.y, label, "threshold", Role::Head);
    pen.put(area.x, area.y + 1, label, "moves", Role::Text);
    let column = 6;
    for (i, (at, moves, is_here)) in cells.iter().enumerate() {
        let x = area.x + label + column * i as u16;
        let shown = exact(rounded(*at));
        let shown = if width(&shown) + 2 > usize::from(column) { number(*at) } else { shown };
        let shown = if *is_here { format!("[{shown}]") } else { format!("{shown} ") };
        pen.put_right(x, area.y, column, &shown, if *is_here { Role::Strong } else { Role::Quiet });
        let role = if *is_here { Role::Strong } else { Role::Text };
        pen.put_right(x, area.y + 1, column, &format!("{moves} "), role);
    }
    if area.height < STRIP {
        return;
    }
    let tarries = comparison.strip.iter().filter(is_tarry);
    let told: Vec<String> =
        tarries.map(|v| format!("tarry {}: {}", v.tarry, counted(v.moves, "move", "moves"))).collect();
    pen.put(area.x, area.y + 2, area.width, &told.join("   "), Role::Quiet);
}
