//! One module a screen.

pub mod activity;
pub mod fleet;
pub mod footer;
mod header;
mod migration;
pub mod vm;

use ratatui::layout::Rect;

use super::MINIMUM;
use super::theme::Role;
use super::ui::Ui;
use super::widgets::Canvas;
use crate::view::Snapshot;

/// Takes lines off the top of what is left.
struct Rest(Rect);

impl Rest {
    fn take(&mut self, rows: u16) -> Rect {
        let rows = rows.min(self.0.height);
        let taken = Rect { height: rows, ..self.0 };
        self.0 = Rect { y: self.0.y + rows, height: self.0.height - rows, ..self.0 };
        taken
    }
}

/// The lines at the top of every screen: header, banner, alarm.
fn top(rest: &mut Rest, ui: &Ui, snapshot: &Snapshot) -> [Rect; 3] {
    let area = rest.0;
    let header = rest.take(1);
    let banner_rows = ui.banner(snapshot).map_or(0, |banner| header::banner_rows(banner, area.width));
    // Where there are few rows, each has one.
    let most = if area.height >= 16 { u16::MAX } else { 1 };
    let banner = rest.take(banner_rows.min(most));
    [header, banner, rest.take(header::alarm_rows(snapshot, area.width).min(most))]
}

/// Draws them.
fn draw_top(pen: &mut Canvas<'_>, [at, banner, alarm]: [Rect; 3], snapshot: &Snapshot, ui: &Ui) {
    header::draw(pen, at, snapshot, ui);
    header::banner(pen, banner, snapshot, ui);
    header::alarm(pen, alarm, snapshot);
}

/// Says that the terminal is too small; quitting still works.
pub fn too_small(pen: &mut Canvas<'_>, area: Rect) {
    let size = format!("too small: {}x{}, needs {}x{}", area.width, area.height, MINIMUM.0, MINIMUM.1);
    pen.put(area.x, area.y, area.width, &size, Role::Strong);
    pen.line(area.x, area.y + 1, area.width, &[("q", Role::Key), (" quit", Role::Quiet)]);
}
