//! One VM: where it stands, its past, why it stands there, what was decided, and by which settings.
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

mod cursor;
mod graph;
mod panels;
mod settings;

use ratatui::layout::Rect;

use super::fleet::{table, why};
use super::{Rest, draw_top, footer, migration, top};
use crate::console::past;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::view::Snapshot;

/// Where everything is. A part of no height is not shown.
struct Layout {
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

impl Layout {
    fn new(area: Rect, ui: &Ui, snapshot: &Snapshot) -> Self {
        let mut rest = Rest(area);
        let top = top(&mut rest, ui, snapshot);
        let rows = area.height;
        let row = rest.take(if rows >= 20 { 2 } else { 1 });
        let moving = ui.row().and_then(|row| row.migration.as_ref());
        let wanted = moving.map_or(0, |moving| migration::rows(moving, area.width));
        let migration = rest.take(match rows {
            24.. => wanted,
            16..24 => wanted.min(3),
            _ => 0,
        });
        let strips = if rows >= 14 { graph::strips(ui) } else { 0 };
        let cursor = u16::from(rows >= 12);
        let left = rest.0.height.saturating_sub(2 + strips + cursor);
        // A graph is read by its shape: it has more than half, and the lists what is left.
        let graph = if rows >= 18 { (left * 11 / 20).clamp(6, 34).min(left) } else { left };
        Self {
            top,
            row,
            migration,
            graph: rest.take(graph),
            strips: rest.take(strips),
            cursor: rest.take(cursor),
            why: rest.take(1),
            panels: rest.take(left - graph),
            footer: rest.take(1),
        }
    }
}

/// Draws the screen.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let at = Layout::new(area, ui, snapshot);
    draw_top(pen, at.top, snapshot, ui);
    footer::draw(pen, at.footer, snapshot, ui);
    let Some(row) = ui.row() else {
        return pen.rule(at.row, &[("no VM selected: esc goes back to Fleet", Role::Quiet)], "");
    };
    let shown = past::shown(ui, snapshot);
    table::one(pen, at.row, row, snapshot, ui);
    if let Some(moving) = &row.migration {
        migration::draw(pen, at.migration, row, moving, snapshot.at);
    }
    graph::draw(pen, at.graph, at.strips, &shown, row, snapshot, ui);
    cursor::draw(pen, at.cursor, &shown, row, snapshot, ui);
    why(pen, at.why, snapshot, ui);
    panels::draw(pen, at.panels, row, snapshot, ui);
}
