//! One module a screen.

pub mod fleet;

use ratatui::layout::Rect;

use super::MINIMUM;
use super::theme::Role;
use super::widgets::Pen;

/// Says that the terminal is too small; quitting still works.
pub fn too_small(pen: &mut Pen<'_>, area: Rect) {
    let size = format!("too small: {}x{}, needs {}x{}", area.width, area.height, MINIMUM.0, MINIMUM.1);
    pen.put(area.x, area.y, area.width, &size, Role::Strong);
    pen.line(area.x, area.y + 1, area.width, &[("q", Role::Key), (" quit", Role::Quiet)]);
}
