//! What lies over a screen. The topmost takes the keys.

mod confirm;
mod drain;
pub mod help;
mod moves;

use ratatui::layout::Rect;

use super::ui::{Overlay, Ui};
use super::widgets::Canvas;
use crate::view::Snapshot;

/// Draws every overlay, the topmost last.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    for overlay in &ui.overlays {
        match overlay {
            Overlay::Help { top } => help::draw(pen, area, ui.screen, *top),
            Overlay::Moves { vm, .. } => moves::draw(pen, area, snapshot, ui, vm),
            Overlay::Drain { top, .. } => drain::draw(pen, area, snapshot, ui, *top),
            Overlay::Confirm { question, .. } => confirm::draw(pen, area, question),
            Overlay::Asks(ask) => ask.draw(pen, area, ui),
            // Typed where it is shown: in the line above the table.
            Overlay::Filter { .. } => {}
        }
    }
}

/// A place in the middle; the footer stays in sight.
pub fn centred(area: Rect, columns: u16, rows: u16) -> Rect {
    let columns = columns.min(area.width);
    let rows = rows.min(area.height.saturating_sub(1)).max(2);
    Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + (area.height.saturating_sub(1 + rows)) / 2,
        width: columns,
        height: rows,
    }
}
