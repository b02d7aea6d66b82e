//! Every migration under way, one a line, while another VM is looked at.

use ratatui::layout::Rect;

use super::cells;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::view::{Snapshot, VmRow};

/// Columns of how far one is, as the widest table has it.
const STATE: u16 = 36;

/// How many rows it takes of so many, its title too. None if nothing moves but what is looked at.
pub fn rows(snapshot: &Snapshot, ui: &Ui, room: u16) -> u16 {
    let other = snapshot.moving.iter().any(|row| ui.selected.as_ref() != Some(&row.name));
    if other && room >= 8 { (snapshot.moving.len().min(100) as u16 + 1).min(room / 2) } else { 0 }
}

/// Draws them, the oldest request first; what has no room is counted.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let all = snapshot.moving.len();
    pen.rule(area, &[("moving", Role::Title)], "");
    let room = usize::from(area.height - 1);
    let shown = if all > room { room.saturating_sub(1) } else { all };
    let widest = |of: fn(&VmRow) -> usize| snapshot.moving.iter().take(shown).map(|row| of(row)).max().unwrap_or(0);
    let names = widest(|row| width(&row.name)).clamp(4, 16) as u16;
    let hosts = widest(|row| width(&row.host)).clamp(4, 14) as u16;
    for (y, row) in (area.y + 1..area.bottom()).zip(snapshot.moving.iter().take(shown)) {
        let name = if ui.selected.as_ref() == Some(&row.name) { Role::Strong } else { Role::Text };
        let (x, end) = (area.x + 1, area.right());
        pen.put(x, y, names, &row.name, name);
        pen.put(x + names + 1, y, hosts, &row.host, Role::Quiet);
        let x = x + names + hosts + 2;
        cells::migrating(pen, Rect::new(x, y, STATE.min(end.saturating_sub(x)), 1), row);
        let x = x + STATE + 2;
        // A word or two cut off says nothing.
        if let Some(migration) = row.migration.as_ref().filter(|_| x + 12 <= end) {
            pen.put(x, y, end - x, &migration.detail, Role::Quiet);
        }
    }
    if shown < all {
        let more = format!("+ {} more", all - shown);
        pen.put(area.x + 1, area.bottom() - 1, area.width.saturating_sub(1), &more, Role::Quiet);
    }
}
