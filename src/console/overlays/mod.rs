//! What lies over a screen. The topmost takes the keys.

mod confirm;
mod drain;
pub mod help;
mod moves;

use ratatui::layout::Rect;

use super::editor;
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
            Overlay::Asks(ask) => editor::draw_ask(pen, area, ask, ui),
            // Typed where it is shown: in the line above the table.
            Overlay::Filter { .. } => {}
        }
    }
}
