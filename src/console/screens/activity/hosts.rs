//! VMs on each host, hour by hour; of one VM, its share of each hour there.

use ratatui::layout::Rect;

use crate::console::theme::Role;
use crate::console::widgets::{Canvas, Scale, hourly};
use crate::core::format::{counted, number, percent};
use crate::core::insight::HostOccupancy;
use crate::view::ActivityView;

/// Draws a line a host, on the time axis above.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, scale: &Scale, view: &ActivityView) {
    if area.height < 2 {
        return;
    }
    let alone = view.ask.vm.is_some();
    let title = if alone { "share of each hour on every host" } else { "VMs on every host, hour by hour" };
    pen.rule(area, &[(title, Role::Title)], "now  most");
    let hosts = &view.activity.hosts;
    let most = hosts.iter().flat_map(|on| &on.vms).copied().fold(0.0, f32::max);
    let room = usize::from(area.height - 1);
    // The last line says what is not shown.
    let shown = if hosts.len() > room { room - 1 } else { hosts.len() };
    for (y, on) in (area.y + 1..).zip(hosts.iter().take(shown)) {
        line(pen, area, y, scale, on, most, alone);
    }
    if shown < hosts.len() {
        let more = counted(hosts.len() - shown, "more host", "more hosts");
        let text = format!("{more}: a taller terminal shows them");
        pen.put(area.x + 1, area.bottom() - 1, area.width.saturating_sub(1), &text, Role::Quiet);
    }
}

fn line(pen: &mut Canvas<'_>, area: Rect, y: u16, scale: &Scale, on: &HostOccupancy, most: f32, alone: bool) {
    let plot = scale.plot;
    pen.put(area.x + 1, y, plot.x.saturating_sub(area.x + 2), &on.host, Role::Text);
    hourly(pen, scale, y, &on.vms, most, Role::Graph);
    let told = |value: f32| match value {
        value if alone => percent(value),
        value => number((f64::from(value) * 10.0).round() / 10.0),
    };
    let now = on.vms.last().copied().unwrap_or(0.0);
    let peak = on.vms.iter().copied().fold(0.0, f32::max);
    pen.put_right(plot.right(), y, 6, &told(now), if now > 0.0 { Role::Text } else { Role::Faint });
    pen.put_right(plot.right() + 6, y, 5, &told(peak), Role::Quiet);
}
