//! A question before something that cannot be taken back.

use ratatui::layout::Rect;

use crate::console::text::{width, wrap};
use crate::console::theme::Role;
use crate::console::widgets::{Canvas, centred};

/// Draws it.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, question: &str) {
    let columns = (width(question) as u16 + 6).clamp(30, 76).min(area.width);
    let lines = wrap(question, usize::from(columns.saturating_sub(4)), 4, pen.glyphs.cut);
    let at = centred(area, columns, lines.len() as u16 + 4);
    pen.frame(at, "sure?");
    let (x, room) = (at.x + 2, at.width.saturating_sub(4));
    for (y, line) in (at.y + 1..at.bottom().saturating_sub(1)).zip(&lines) {
        pen.put(x, y, room, line, Role::Strong);
    }
    let keys = [("y", Role::Key), (" yes   ", Role::Text), ("n", Role::Key), (" no", Role::Text)];
    pen.line(x, at.bottom().saturating_sub(2), room, &keys);
}
