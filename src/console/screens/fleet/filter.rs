//! The line above the table: what it is narrowed to, and how many VMs are marked.

use ratatui::layout::Rect;

use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::format::counted;
use crate::view::Snapshot;

/// Whether there is anything to say.
pub fn is_shown(ui: &Ui) -> bool {
    ui.is_filtering() || !ui.filter.is_empty() || !ui.marked.is_empty()
}

/// Draws it.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let mut marked = match ui.marked.len() {
        0 => String::new(),
        n => format!("  {} {} marked", pen.glyphs.marked, counted(n, "VM", "VMs")),
    };
    let clears = if ui.marked.is_empty() { "  esc clears" } else { "  esc clears the marks" };
    let mut x = area.x;
    if ui.is_filtering() || !ui.filter.is_empty() {
        let found = format!("  {} of {}", ui.listing.rows.len(), counted(snapshot.rows.len(), "VM", "VMs"));
        let caret = if ui.is_filtering() { pen.glyphs.caret } else { "" };
        let room = area.width.saturating_sub(2 + (width(&found) + width(&marked)) as u16);
        // The end of a long filter is what is being typed.
        let skip = width(&ui.filter).saturating_sub(usize::from(room.saturating_sub(2)));
        let shown: String = ui.filter.chars().skip(skip).collect();
        let pieces = [(" /", Role::Key), (&*shown, Role::Strong), (caret, Role::Key)];
        x = pen.line(x, area.y, room, &pieces);
        x = pen.put(x, area.y, area.right().saturating_sub(x), &found, Role::Quiet);
    } else {
        marked.drain(..1);
    }
    x = pen.put(x, area.y, area.right().saturating_sub(x), &marked, Role::Strong);
    if !ui.is_filtering() {
        pen.put(x, area.y, area.right().saturating_sub(x), clears, Role::Faint);
    }
}
