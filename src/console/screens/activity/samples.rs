//! The samples of the VM whose activity is shown, on the same time axis.

use ratatui::layout::Rect;

use crate::console::past;
use crate::console::screens::fleet::indicator;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, History};
use crate::core::cluster::Span;
use crate::view::{ActivityView, Snapshot};

/// Draws its graph.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, view: &ActivityView, sides: (u16, u16), snapshot: &Snapshot, ui: &Ui) {
    let (Some(row), Some(ask)) = (ui.row().filter(|_| area.height > 4), ui.activity.past(ui.size)) else { return };
    let what = ui.detail(snapshot).map_or_else(String::new, |detail| indicator(detail, row));
    pen.rule(area, &[("samples", Role::Title), (&what, Role::Quiet)], "");
    let shown = past::of_stretch(ui, snapshot, ask);
    let history = History {
        from: view.activity.from,
        span: Span::from_hours(view.activity.hours.len().max(1) as i64),
        left: sides.0,
        right: sides.1,
        ..shown.history(row.policy == "site", ui.zone)
    };
    history.draw(pen, Rect { y: area.y + 1, height: area.height - 1, ..area });
}
