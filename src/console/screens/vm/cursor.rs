//! The line under the graph: what is under the cursor, or what the marks on the graph mean.

use ratatui::layout::Rect;

use crate::console::past::{Shown, Source};
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::duration;
use crate::core::format::{counted, number};
use crate::core::insight::Band;
use crate::view::{MarkKind, Snapshot, Stretch, VmRow};

/// Draws it.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, shown: &Shown<'_>, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    match (ui.vm.cursor.filter(|at| shown.has(*at)), &shown.source) {
        (Some(at), _) => under(pen, area, at, shown, row, snapshot, ui),
        (None, Source::Live(why)) => {
            let text = format!("{why}; this is what the engine remembers");
            pen.put(area.x, area.y, area.width, &text, Role::Warning);
        }
        (None, _) => legend(pen, area, shown),
    }
}

fn under(
    pen: &mut Canvas<'_>,
    area: Rect,
    at: Timestamp,
    shown: &Shown<'_>,
    row: &VmRow,
    snapshot: &Snapshot,
    ui: &Ui,
) {
    // A column of the plot, nearly: what happened there is meant.
    let near = shown.span().scaled(1, 2 * i64::from(area.width.max(1)));
    let (from, to) = (at - near, at + near);
    let band = shown.nearest(at).filter(|band| (from..=to).contains(&band.at));
    let clock = format!("{}  ", ui.zone.stamp(at, snapshot.at));
    let mut x = pen.put(area.x, area.y, area.width, &clock, Role::Key);
    let (value, about) = band.map_or_else(|| ("no reading".to_owned(), String::new()), |band| words(band, row));
    x = pen.put(x, area.y, area.right().saturating_sub(x), &value, Role::Strong);
    x = pen.put(x, area.y, area.right().saturating_sub(x), &about, Role::Quiet);
    for (text, role) in happened(from, to, shown) {
        x = pen.put(x, area.y, area.right().saturating_sub(x), &format!("   {text}"), role);
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
fn happened(from: Timestamp, to: Timestamp, shown: &Shown<'_>) -> Vec<(String, Role)> {
    let marks = shown.marks.iter().filter(|mark| (from..=to).contains(&mark.at)).map(|mark| match &mark.kind {
        MarkKind::Moved(host) => (format!("moved to {host}"), Role::Mark),
        MarkKind::Edited => ("settings changed".to_owned(), Role::Mark),
    });
    let overlaps = |stretch: &&Stretch| stretch.from <= to && stretch.to >= from;
    let length = |stretch: &Stretch| duration(stretch.to.since(stretch.from));
    let gap = |stretch: &Stretch| match stretch.to == stretch.from {
        // One reading alone has no length.
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

/// How many, and how long together if they have a length.
fn lengthy(many: String, length: Span) -> String {
    if length == Span::ZERO { many } else { format!("{many}, {}", duration(length)) }
}

/// What is marked on the stretch shown, and how often.
fn legend(pen: &mut Canvas<'_>, area: Rect, shown: &Shown<'_>) {
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
    let ([moved, edited], [gap, rest]) = (pen.glyphs.marks, pen.glyphs.missed);
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
        x = pen.line(x, area.y, area.right().saturating_sub(x), &pieces);
    }
    if x == area.x {
        pen.put(x, area.y, area.width, "no move, edit, gap or rest in this stretch", Role::Faint);
    }
}
