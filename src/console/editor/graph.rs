//! The first VM's past.

use ratatui::layout::Rect;

use super::Editor;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Pen;
use crate::view::Snapshot;

/// Draws it.
pub fn draw(pen: &mut Pen<'_>, area: Rect, editor: &Editor, _snapshot: &Snapshot, _ui: &Ui) {
    let _ = &editor.past;
    pen.put(area.x + 1, area.y, area.width - 1, "reading the history …", Role::Quiet);
}
