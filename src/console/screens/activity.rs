//! The Activity screen.

use ratatui::layout::Rect;

use super::{Rest, draw_top, footer, top};
use crate::console::ui::Ui;
use crate::console::widgets::Pen;
use crate::view::Snapshot;

/// Draws the screen.
pub fn draw(pen: &mut Pen<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let mut rest = Rest(Rect { height: area.height.saturating_sub(1), ..area });
    let at = top(&mut rest, ui, snapshot);
    draw_top(pen, at, snapshot, ui);
    footer::draw(pen, Rect { y: area.bottom() - 1, height: 1, ..area }, snapshot, ui);
}
