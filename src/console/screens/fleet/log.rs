//! The newest lines of the log.

use ratatui::layout::Rect;

use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::view::{Level, Snapshot};

/// Draws the log, the newest line first.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    pen.rule(area, &[("log", Role::Title)], "");
    if snapshot.log.is_empty() {
        pen.put(
            area.x + 1,
            area.y + 1,
            area.width.saturating_sub(1),
            "nothing has happened since the start",
            Role::Quiet,
        );
    }
    let lines = || snapshot.log.iter().rev().take(usize::from(area.height - 1));
    let names = lines().map(|line| line.vm.as_ref().map_or(0, |vm| width(vm))).max().unwrap_or(0) as u16;
    let names = names.clamp(4, 16);
    for (y, line) in (area.y + 1..area.bottom()).zip(lines()) {
        let (mark, role) = match line.level {
            Level::Info => (" ", Role::Text),
            Level::Good => (" ", Role::Good),
            Level::Warning => ("~", Role::Warning),
            Level::Alarm => ("!", Role::Alarm),
        };
        let x = area.x + 1;
        pen.put(x, y, 8, &ui.zone.clock(line.at), Role::Quiet);
        pen.put(x + 9, y, 1, mark, role);
        let vm = line.vm.as_deref().unwrap_or("-");
        pen.put(x + 11, y, names, vm, if ui.selected.as_deref() == Some(vm) { Role::Strong } else { Role::Quiet });
        let x = x + 12 + names;
        // Some alarms begin with the mark that the line has already.
        let text = line.text.strip_prefix("! ").unwrap_or(&line.text);
        pen.put(x, y, area.right().saturating_sub(x), text, role);
    }
}
