//! The last line: a word on the last action, and what can be done now.

use ratatui::layout::Rect;

use crate::console::keymap;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::{Tone, Ui};
use crate::console::widgets::Canvas;
use crate::view::Snapshot;

/// Draws it: the notice first, then as many keys as fit.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let (y, end) = (area.y, area.right());
    let mut x = area.x + 1;
    if let Some(notice) = &ui.notice {
        let (mark, role) = match notice.tone {
            Tone::Asked => ("", Role::Waiting),
            Tone::Good => ("", Role::Good),
            Tone::Bad => ("! ", Role::Warning),
        };
        x = pen.line(x, y, end.saturating_sub(x), &[(mark, role), (&notice.text, role)]) + 3;
    }
    // Quit and help are always told, whatever else there is no room for.
    let all: Vec<_> = keymap::available(ui, snapshot).collect();
    let size = |b: &&keymap::Binding| width(b.shown) + width(b.short) + 4;
    let is_kept = |b: &&keymap::Binding| matches!(b.shown, "?" | "q" | "esc");
    let mut room = usize::from(end.saturating_sub(x))
        .saturating_sub(all.iter().copied().filter(|b| is_kept(b)).map(|b| size(&b)).sum());
    for binding in all {
        if !is_kept(&binding) {
            if size(&binding) > room {
                room = 0;
                continue;
            }
            room -= size(&binding);
        }
        if x + (width(binding.shown) + width(binding.short) + 1) as u16 > end {
            return;
        }
        let x_key = pen.put(x, y, end - x, binding.shown, Role::Key);
        x = pen.put(x_key + 1, y, end.saturating_sub(x_key + 1), binding.short, Role::Quiet) + 3;
    }
}
