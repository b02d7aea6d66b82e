//! Activity: what was done, how long it took, and what it cost; of the cluster or of one VM.
//!
//! ```text
//! ┌ header, banner, alarm ───────────────────────┐  always
//! │ requests an hour, edits on the axis          │  always
//! │ by hand, failed, blocked: hour by hour       │  where there were any, from 18 rows
//! │ the edits in words                           │  from 18 rows
//! │ VMs on each host, hour by hour               │  from 20 rows
//! │ a VM's samples                               │  of one VM, from 34 rows
//! │ migration times  ┬ hours and cost            │  from 16 rows
//! └ footer ──────────────────────────────────────┘  always
//! ```
//! All of it stands on one time axis.

use std::sync::Arc;

use ratatui::layout::Rect;

use crate::console::past;
use crate::console::screens::fleet::indicator;
use crate::console::screens::{draw_footer, draw_top, top};
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, Graph, Histogram, Scale, hourly, take_rows};
use crate::core::cluster::Span;
use crate::core::format::{age, counted, duration, measured, number, percent};
use crate::core::insight::{Activity, HostOccupancy, Hour, HoursAndCost, MigrationTimes};
use crate::view::{ActivityView, HistoryView, Snapshot};

/// Columns of a host's numbers at the right of the plot.
const RIGHT: u16 = 12;
/// The age of older data is shown.
const OLD: Span = Span::from_mins(2);

/// Where everything is. A part of no height is not shown.
struct ActivityLayout {
    hours: Rect,
    strips: Rect,
    edits: Rect,
    hosts: Rect,
    samples: Rect,
    sums: Rect,
}

impl ActivityLayout {
    fn new(mut rest: Rect, ui: &Ui, view: &ActivityView) -> Self {
        let rows = rest.height;
        let activity = &view.activity;
        let sums = if rows >= 13 { SUMS_ROWS } else { 0 };
        let mut left = rows - sums;
        let mut part = |wanted: u16, least: u16, from: u16| {
            let rows = if left >= from + least { wanted.min(left - from) } else { 0 };
            left -= rows;
            rows
        };
        // Keep at least six rows of bars.
        let strips = part(strips_shown(activity), 1, 8);
        let edits = part((activity.edits.len() as u16).min(3), 1, 8);
        let samples = if ui.activity.alone { part((rows / 3).min(16), 8, 14) } else { 0 };
        let hosts = part(activity.hosts.len() as u16 + 1, 3, 7.max(rows / 4));
        Self {
            hours: take_rows(&mut rest, left.min(24)),
            strips: take_rows(&mut rest, strips),
            edits: take_rows(&mut rest, edits),
            hosts: take_rows(&mut rest, hosts),
            samples: take_rows(&mut rest, samples),
            sums: take_rows(&mut rest, sums),
        }
    }
}

/// Draws the screen.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let mut rest = area;
    let at = top(&mut rest, ui, snapshot);
    draw_top(canvas, at, snapshot, ui);
    draw_footer(canvas, Rect { y: area.bottom() - 1, height: 1, ..area }, snapshot, ui);
    let mut rest = Rect { height: rest.height.saturating_sub(1), ..rest };
    let asked = ui.activity.ask(ui.selected.as_ref());
    // The previous answer stays until the new one comes, but not for another VM.
    let view = snapshot.activity.as_ref().filter(|view| view.ask.vm == asked.vm);
    title(canvas, take_rows(&mut rest, 1), view, snapshot, ui);
    let Some(view) = view.filter(|view| view.trouble.is_none()) else {
        let (text, role) = nothing(view, snapshot, ui);
        canvas.put(area.x + 1, rest.y, area.width.saturating_sub(1), &text, role);
        return;
    };
    let at = ActivityLayout::new(rest, ui, view);
    let widest = view.activity.hosts.iter().map(|on| width(&on.host)).max().unwrap_or(0) as u16;
    let sides = ((widest + 3).clamp(10, 20).min(area.width / 4), RIGHT);
    if let Some(scale) = draw_hours(canvas, at.hours, at.strips, &view.activity, sides, ui) {
        draw_hosts(canvas, at.hosts, &scale, view);
    }
    draw_edits(canvas, at.edits, &view.activity, snapshot, ui);
    draw_samples(canvas, at.samples, view, sides, snapshot, ui);
    draw_sums(canvas, at.sums, &view.activity);
}

/// Draws whose activity it is, how much, and how far back.
fn title(canvas: &mut Canvas<'_>, area: Rect, view: Option<&Arc<ActivityView>>, snapshot: &Snapshot, ui: &Ui) {
    let whose = match ui.selected.as_deref().filter(|_| ui.activity.alone) {
        Some(vm) => format!("activity of {vm}"),
        None => "activity of the cluster".to_owned(),
    };
    let told = view.filter(|view| view.trouble.is_none());
    let sums = told.map_or_else(String::new, |view| {
        let sum = |of: fn(&crate::core::insight::Hour) -> u32| view.activity.hours.iter().map(of).sum::<u32>() as usize;
        let requests = sum(|hour| hour.requests + hour.by_hand);
        let (confirmed, failed) = (sum(|hour| hour.confirmed), sum(|hour| hour.failed));
        format!("  {}, {confirmed} confirmed, {failed} failed", counted(requests, "request", "requests"))
    });
    let mut right = format!("last {}", duration(ui.activity.span()));
    if let Some(view) = told {
        let old = snapshot.at.since(view.activity.to);
        if view.ask.span != ui.activity.span() {
            right = format!("reading the history   {right}");
        } else if old > OLD {
            right = format!("as of {} ago   {right}", age(old));
        }
    }
    canvas.rule(area, &[(&whose, Role::Title), (&sums, Role::Quiet)], &right);
}

/// Why there is nothing to show.
fn nothing(view: Option<&Arc<ActivityView>>, snapshot: &Snapshot, ui: &Ui) -> (String, Role) {
    match (view.and_then(|view| view.trouble.as_ref()), &snapshot.history) {
        (_, HistoryView::Off(why)) => (past::without(why), Role::Warning),
        (Some(why), _) => (format!("the history cannot be read: {why}"), Role::Warning),
        (None, _) => (past::reading(ui).to_owned(), Role::Quiet),
    }
}

type Of = fn(&Hour) -> u32;

const STRIPS: [(&str, Of, Role); 3] = [
    ("by hand", |hour| hour.by_hand, Role::Waiting),
    ("failed", |hour| hour.failed, Role::Warning),
    ("blocked", |hour| hour.blocked, Role::Count),
];

/// The strips that have a value.
fn filled_strips(activity: &Activity) -> impl Iterator<Item = (&'static str, Of, Role)> {
    STRIPS.into_iter().filter(|(_, of, _)| activity.hours.iter().any(|hour| of(hour) > 0))
}

/// How many strips there are.
fn strips_shown(activity: &Activity) -> u16 {
    filled_strips(activity).count() as u16
}

/// Draws the bars and the strips. Returns the scale; `None` without room.
fn draw_hours(
    canvas: &mut Canvas<'_>,
    area: Rect,
    strips: Rect,
    activity: &Activity,
    sides: (u16, u16),
    ui: &Ui,
) -> Option<Scale> {
    let values: Vec<u32> = activity.hours.iter().map(|hour| hour.requests + hour.by_hand).collect();
    let histogram = Histogram { values: &values, from: activity.from, zone: ui.zone, sides };
    let scale = histogram.draw(canvas, area)?;
    let plot = scale.plot;
    // Beside the axis, but not over its numbers.
    let free = |y: &u16| *y != scale.row(scale.top / 2.0) && *y != scale.row(0.0);
    let lines = (plot.y + 1..plot.bottom()).filter(free);
    for (y, word) in lines.zip(["requests", "an hour"]) {
        canvas.put(area.x + 1, y, sides.0.saturating_sub(2), word, Role::Quiet);
    }
    if values.iter().all(|requests| *requests == 0) {
        canvas.put(plot.x + 1, plot.y, plot.width.saturating_sub(1), "no request in this stretch", Role::Strong);
    }
    if values.len() > usize::from(plot.width) {
        let text = "busiest hour of each column";
        canvas.put_right(plot.x, plot.y, plot.width, text, Role::Faint);
    }
    for edit in &activity.edits {
        if let Some(x) = scale.column(edit.at) {
            canvas.glyph(x, plot.bottom(), canvas.glyphs.marks[1], Role::Mark);
        }
    }
    for (y, (word, of, role)) in (strips.top()..strips.bottom()).zip(filled_strips(activity)) {
        let values: Vec<f32> = activity.hours.iter().map(|hour| of(hour) as f32).collect();
        let most = values.iter().copied().fold(0.0, f32::max);
        canvas.put(area.x + 1, y, sides.0.saturating_sub(2), word, Role::Quiet);
        hourly(canvas, &scale, y, &values, most, role);
        let sum: f32 = values.iter().sum();
        canvas.put_right(plot.right(), y, sides.1 - 1, &format!("{sum} in all"), role);
    }
    Some(scale)
}

/// Draws the newest edits in words.
fn draw_edits(canvas: &mut Canvas<'_>, area: Rect, activity: &Activity, snapshot: &Snapshot, ui: &Ui) {
    let all = activity.edits.len();
    for (i, (y, edit)) in (area.top()..area.bottom()).zip(activity.edits.iter().rev()).enumerate() {
        let at = format!(" {:>12}  ", ui.zone.stamp(edit.at, snapshot.at));
        let last = y + 1 == area.bottom() && i + 1 < all;
        let more = if last { format!("   and {} more before", all - i - 1) } else { String::new() };
        let vm = format!("{}  ", edit.vm.as_deref().unwrap_or("cluster"));
        let pieces = [
            (" ", Role::Text),
            (canvas.glyphs.marks[1], Role::Mark),
            (&*at, Role::Quiet),
            (&*vm, Role::Strong),
            (&*edit.text, Role::Text),
            (&*more, Role::Faint),
        ];
        canvas.line(area.x, y, area.width, &pieces);
    }
}

/// Draws one line for each host, on the time axis above.
fn draw_hosts(canvas: &mut Canvas<'_>, area: Rect, scale: &Scale, view: &ActivityView) {
    if area.height < 2 {
        return;
    }
    let alone = view.ask.vm.is_some();
    let title = if alone { "share of each hour on every host" } else { "VMs on every host, hour by hour" };
    canvas.rule(area, &[(title, Role::Title)], "now  most");
    let hosts = &view.activity.hosts;
    let most = hosts.iter().flat_map(|on| &on.vms).copied().fold(0.0, f32::max);
    let room = usize::from(area.height - 1);
    // The last line says how many hosts are not shown.
    let shown = if hosts.len() > room { room - 1 } else { hosts.len() };
    for (y, on) in (area.y + 1..).zip(hosts.iter().take(shown)) {
        occupancy(canvas, area, y, scale, on, most, alone);
    }
    if shown < hosts.len() {
        let more = counted(hosts.len() - shown, "more host", "more hosts");
        let text = format!("{more}: a taller terminal shows them");
        canvas.put(area.x + 1, area.bottom() - 1, area.width.saturating_sub(1), &text, Role::Quiet);
    }
}

fn occupancy(canvas: &mut Canvas<'_>, area: Rect, y: u16, scale: &Scale, on: &HostOccupancy, most: f32, alone: bool) {
    let plot = scale.plot;
    canvas.put(area.x + 1, y, plot.x.saturating_sub(area.x + 2), &on.host, Role::Text);
    hourly(canvas, scale, y, &on.vms, most, Role::Graph);
    let told = |value: f32| match value {
        value if alone => percent(value),
        value => number((f64::from(value) * 10.0).round() / 10.0),
    };
    let now = on.vms.last().copied().unwrap_or(0.0);
    let peak = on.vms.iter().copied().fold(0.0, f32::max);
    canvas.put_right(plot.right(), y, 6, &told(now), if now > 0.0 { Role::Text } else { Role::Faint });
    canvas.put_right(plot.right() + 6, y, 5, &told(peak), Role::Quiet);
}

/// Draws the samples of the VM on the same time axis.
fn draw_samples(
    canvas: &mut Canvas<'_>,
    area: Rect,
    view: &ActivityView,
    sides: (u16, u16),
    snapshot: &Snapshot,
    ui: &Ui,
) {
    let (Some(row), Some(ask)) = (ui.row().filter(|_| area.height > 4), ui.activity.past(ui.size)) else { return };
    let what = ui.detail(snapshot).map_or_else(String::new, |detail| indicator(detail, row));
    canvas.rule(area, &[("samples", Role::Title), (&what, Role::Quiet)], "");
    let shown = past::of_stretch(ui, snapshot, ask);
    let graph = Graph {
        from: view.activity.from,
        span: Span::from_hours(view.activity.hours.len().max(1) as i64),
        left: sides.0,
        right: sides.1,
        ..shown.graph(ui.zone)
    };
    graph.draw(canvas, Rect { y: area.y + 1, height: area.height - 1, ..area });
}

/// Rows of both panels: a title, a head, four places and their sum.
const SUMS_ROWS: u16 = 7;
/// Columns of the migration times.
const TIMES: u16 = 28;

/// Draws both panels side by side.
fn draw_sums(canvas: &mut Canvas<'_>, area: Rect, activity: &Activity) {
    if area.height < SUMS_ROWS {
        return;
    }
    // Without room for both, only the cost is drawn.
    let columns = if area.width >= 70 { TIMES.max(area.width / 4) } else { 0 };
    if columns > 0 {
        times(canvas, Rect { width: columns, ..area }, activity.times);
    }
    stays(canvas, Rect { x: area.x + columns, width: area.width - columns, ..area }, activity);
}

fn times(canvas: &mut Canvas<'_>, area: Rect, times: Option<MigrationTimes>) {
    canvas.rule(Rect { width: area.width - 1, ..area }, &[("migration times", Role::Title)], "");
    let Some(times) = times else {
        canvas.put(area.x + 1, area.y + 1, area.width - 2, "none was confirmed", Role::Quiet);
        return;
    };
    let range = format!("{} to {}", measured(times.least), measured(times.most));
    let lines = [
        ("mean", measured(times.mean)),
        ("median", measured(times.median)),
        ("range", range),
        ("of", counted(times.count, "move", "moves")),
    ];
    for (y, (word, text)) in (area.y + 1..area.bottom()).zip(&lines) {
        canvas.put(area.x + 1, y, 8, word, Role::Quiet);
        canvas.put(area.x + 9, y, area.width.saturating_sub(10), text, Role::Text);
    }
}

fn stays(canvas: &mut Canvas<'_>, area: Rect, activity: &Activity) {
    canvas.rule(area, &[("where VMs were, and what it cost", Role::Title)], "");
    let stays = &activity.stays;
    let add = |a: HoursAndCost, b: HoursAndCost| HoursAndCost { hours: a.hours + b.hours, cost: a.cost + b.cost };
    let (base, dear) = (add(stays.rest, stays.base), add(stays.ring, stays.away));
    let all = add(base, dear);
    let (hours_at, share_at, cost_at) = (area.x + 22, area.x + 33, area.x + 40);
    let y = area.y + 1;
    for (x, columns, head) in [(hours_at, 10, "VM-HOURS"), (share_at, 6, "SHARE"), (cost_at, 10, "COST")] {
        canvas.put_right(x, y, columns, head, Role::Head);
    }
    let lines = [
        ("at rest on the base", stays.rest),
        ("on the base else", stays.base),
        ("in the ring", stays.ring),
        ("at another site", stays.away),
        ("together", all),
    ];
    for (y, (word, stay)) in (area.y + 2..area.bottom()).zip(lines) {
        let role = match word {
            "together" => Role::Strong,
            _ if stay.hours > 0.0 => Role::Text,
            _ => Role::Faint,
        };
        canvas.put(area.x + 1, y, 20, word, if role == Role::Strong { role } else { Role::Quiet });
        canvas.put_right(hours_at, y, 10, &format!("{:.1}", stay.hours), role);
        if all.hours > 0.0 {
            canvas.put_right(share_at, y, 6, &percent(stay.hours / all.hours), Role::Quiet);
        }
        canvas.put_right(cost_at, y, 10, &format!("{:.2}", stay.cost), role);
    }
    let x = cost_at + 12;
    let room = area.right().saturating_sub(x);
    let told = format!("= {:.2} base + {:.2} elsewhere", base.cost, dear.cost);
    if room >= told.len() as u16 {
        canvas.put(x, area.bottom() - 1, room, &told, Role::Quiet);
    }
}
