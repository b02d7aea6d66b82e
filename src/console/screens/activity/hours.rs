//! Requests an hour as bars, under them what became of some of them, and the edits that changed them.

use ratatui::layout::Rect;

use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, Histogram, Scale, hourly};
use crate::core::insight::{Activity, Hour};
use crate::view::Snapshot;

type Of = fn(&Hour) -> u32;

const STRIPS: [(&str, Of, Role); 3] = [
    ("by hand", |hour| hour.by_hand, Role::Waiting),
    ("failed", |hour| hour.failed, Role::Warning),
    ("blocked", |hour| hour.blocked, Role::Count),
];

/// The strips that have something to show.
fn seen(activity: &Activity) -> impl Iterator<Item = (&'static str, Of, Role)> {
    STRIPS.into_iter().filter(|(_, of, _)| activity.hours.iter().any(|hour| of(hour) > 0))
}

/// How many strips there are.
pub fn strips(activity: &Activity) -> u16 {
    seen(activity).count() as u16
}

/// Draws the bars and the strips. Says where hours fall; `None` without room.
pub fn draw(
    pen: &mut Canvas<'_>,
    area: Rect,
    strips: Rect,
    activity: &Activity,
    sides: (u16, u16),
    ui: &Ui,
) -> Option<Scale> {
    let values: Vec<u32> = activity.hours.iter().map(|hour| hour.requests + hour.by_hand).collect();
    let histogram = Histogram { values: &values, from: activity.from, zone: ui.zone, sides };
    let scale = histogram.draw(pen, area)?;
    let plot = scale.plot;
    // Beside the axis, and not over a number of it.
    let free = |y: &u16| *y != scale.row(scale.top / 2.0) && *y != scale.row(0.0);
    let lines = (plot.y + 1..plot.bottom()).filter(free);
    for (y, word) in lines.zip(["requests", "an hour"]) {
        pen.put(area.x + 1, y, sides.0.saturating_sub(2), word, Role::Quiet);
    }
    if values.iter().all(|requests| *requests == 0) {
        pen.put(plot.x + 1, plot.y, plot.width.saturating_sub(1), "no request in this stretch", Role::Strong);
    }
    if values.len() > usize::from(plot.width) {
        let text = "busiest hour of each column";
        pen.put_right(plot.x, plot.y, plot.width, text, Role::Faint);
    }
    for edit in &activity.edits {
        if let Some(x) = scale.column(edit.at) {
            pen.glyph(x, plot.bottom(), pen.glyphs.marks[1], Role::Mark);
        }
    }
    for (y, (word, of, role)) in (strips.top()..strips.bottom()).zip(seen(activity)) {
        let values: Vec<f32> = activity.hours.iter().map(|hour| of(hour) as f32).collect();
        let most = values.iter().copied().fold(0.0, f32::max);
        pen.put(area.x + 1, y, sides.0.saturating_sub(2), word, Role::Quiet);
        hourly(pen, &scale, y, &values, most, role);
        let sum: f32 = values.iter().sum();
        pen.put_right(plot.right(), y, sides.1 - 1, &format!("{sum} in all"), role);
    }
    Some(scale)
}

/// Draws the newest edits in words.
pub fn edits(pen: &mut Canvas<'_>, area: Rect, activity: &Activity, snapshot: &Snapshot, ui: &Ui) {
    let all = activity.edits.len();
    for (i, (y, edit)) in (area.top()..area.bottom()).zip(activity.edits.iter().rev()).enumerate() {
        let at = format!(" {:>12}  ", ui.zone.stamp(edit.at, snapshot.at));
        let last = y + 1 == area.bottom() && i + 1 < all;
        let more = if last { format!("   and {} more before", all - i - 1) } else { String::new() };
        let vm = if edit.vm.is_empty() { "cluster  ".to_owned() } else { format!("{}  ", edit.vm) };
        let pieces = [
            (" ", Role::Text),
            (pen.glyphs.marks[1], Role::Mark),
            (&*at, Role::Quiet),
            (&*vm, Role::Strong),
            (&*edit.text, Role::Text),
            (&*more, Role::Faint),
        ];
        pen.line(area.x, y, area.width, &pieces);
    }
}
