//! The first VM's past: its bounds as they are and as they would be, the moves it made and would have made.

use ratatui::layout::Rect;

use super::Editor;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, History, Scale};
use crate::core::cluster::Timestamp;
use crate::core::format::exact;
use crate::core::policy::Field;
use crate::view::{BoundsFrom, Mark, MarkKind, Past, Snapshot};

/// Columns beside the plot, for what its lines and marks are.
const LEFT: u16 = 8;
const RIGHT: u16 = 11;
/// Lines of marks below the plot.
const MARKS: u16 = 2;

/// Draws it.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, editor: &Editor, snapshot: &Snapshot, ui: &Ui) {
    let first = editor.vms.first().and_then(|vm| snapshot.rows.iter().find(|row| row.name == *vm));
    let past = editor.past.as_deref().filter(|past| past.ask.span == editor.shown() || past.ask.span == editor.span());
    let (plot, site) =
        (Rect { height: area.height.saturating_sub(MARKS), ..area }, first.is_some_and(|row| row.policy == "site"));
    let nothing = match past {
        None => Some("reading the history …".to_owned()),
        Some(Past { trouble: Some(why), .. }) => Some(format!("no history: {why}")),
        Some(past) if !past.bands.iter().any(|band| band.samples > 0) => {
            Some("no history yet: it fills as samples come".to_owned())
        }
        Some(_) => None,
    };
    let (Some(past), None) = (past, &nothing) else {
        pen.put(area.x + 1, area.y, area.width - 1, &nothing.unwrap_or_default(), Role::Quiet);
        return;
    };
    let would = would_be(editor);
    let (moves, edits): (Vec<&Mark>, Vec<&Mark>) =
        past.marks.iter().partition(|mark| matches!(mark.kind, MarkKind::Moved(_)));
    let edits: Vec<Mark> = edits.into_iter().cloned().collect();
    // What is compared is the settings as they are with the text: not with what they were at the time.
    let now = first.map(|row| BoundsFrom { at: past.from, high: row.high, low: row.low, direction: row.direction });
    let history = History {
        bands: &past.bands,
        longest_step: past.longest_step,
        bounds: now.as_slice(),
        also: &would,
        inclusive: site,
        marks: &edits,
        gaps: &past.gaps,
        rests: &past.rests,
        from: past.from,
        span: past.to.since(past.from),
        live: true,
        cursor: None,
        zone: ui.zone,
        left: LEFT,
        right: RIGHT,
    };
    let Some(scale) = history.draw(pen, plot) else { return };
    let bounds = history.bounds.last().map_or([None, None], |last| [last.high, last.low]);
    lines(pen, &scale, &bounds.into_iter().flatten().collect::<Vec<_>>(), &would);
    let made: Vec<Timestamp> = moves.iter().map(|mark| mark.at).collect();
    let [moved, _] = pen.glyphs.marks;
    marks(pen, &scale, plot.bottom(), ("made", moved, Role::Mark), Some(&made));
    let told = editor.told().map(|comparison| &comparison.new.outcome.move_at[..]);
    marks(pen, &scale, plot.bottom() + 1, ("would be", moved, Role::Key), told);
}

/// The bounds of the text, as far as they can be read.
fn would_be(editor: &Editor) -> Vec<f64> {
    let bound = |field: Field| {
        let value = editor.text.as_ref()?.value(field.key())?.replace('_', "").parse::<f64>().ok()?;
        value.is_finite().then_some(value)
    };
    [Field::Threshold, Field::LowThreshold].into_iter().filter_map(bound).collect()
}

/// A line for every bound that would be another, behind the readings; and which is which.
fn lines(pen: &mut Canvas<'_>, scale: &Scale, now: &[f64], would: &[f64]) {
    let (x, room) = (scale.plot.right() + 1, RIGHT - 1);
    let label = |pen: &mut Canvas<'_>, y: u16, text: &str, bound: f64, role: Role| {
        let text = if width(text) > usize::from(room) { exact(bound) } else { text.to_owned() };
        pen.put(x, y, room, &format!("{text:<10}"), role);
    };
    let rows: Vec<u16> = would.iter().map(|bound| scale.row(*bound)).collect();
    for bound in now.iter().filter(|bound| !would.contains(bound)) {
        // Where both share a line, they share a label.
        if !rows.contains(&scale.row(*bound)) {
            label(pen, scale.row(*bound), &format!("{} now", exact(*bound)), *bound, Role::Bound);
        }
    }
    for bound in would.iter().filter(|bound| !now.contains(bound)) {
        let y = scale.row(*bound);
        let hidden = now.iter().find(|other| !would.contains(other) && scale.row(**other) == y);
        for x in (scale.plot.left()..scale.plot.right()).step_by(2) {
            if pen.is_free(x, y) {
                pen.glyph(x, y, pen.glyphs.dash, Role::Key);
            }
        }
        match hidden {
            Some(other) => label(pen, y, &format!("{} → {}", exact(*other), exact(*bound)), *bound, Role::Key),
            None => label(pen, y, &format!("{} new", exact(*bound)), *bound, Role::Key),
        }
    }
}

/// Instants as marks in a line of their own, with their number.
fn marks(pen: &mut Canvas<'_>, scale: &Scale, y: u16, look: (&str, &str, Role), instants: Option<&[Timestamp]>) {
    let (word, glyph, role) = look;
    let plot = scale.plot;
    pen.put_right(plot.x.saturating_sub(LEFT + 1), y, LEFT, word, Role::Quiet);
    let count = instants.map_or_else(|| "…".to_owned(), |instants| instants.len().to_string());
    for x in instants.unwrap_or_default().iter().filter_map(|at| scale.column(*at)) {
        pen.glyph(x, y, glyph, role);
    }
    pen.put(plot.right() + 1, y, RIGHT - 1, &count, role);
}
