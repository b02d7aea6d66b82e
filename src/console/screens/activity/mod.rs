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

mod hosts;
mod hours;
mod samples;
mod sums;

use std::sync::Arc;

use ratatui::layout::Rect;

use super::{Rest, draw_top, footer, top};
use crate::console::past;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::cluster::Span;
use crate::core::format::{age, counted};
use crate::view::{ActivityView, HistoryView, Snapshot};

/// Columns of a host's numbers at the right of the plot.
const RIGHT: u16 = 12;
/// Data older than this says its age.
const OLD: Span = Span::from_mins(2);

/// Where everything is. A part of no height is not shown.
struct Layout {
    hours: Rect,
    strips: Rect,
    edits: Rect,
    hosts: Rect,
    samples: Rect,
    sums: Rect,
}

impl Layout {
    fn new(mut rest: Rest, ui: &Ui, view: &ActivityView) -> Self {
        let rows = rest.0.height;
        let activity = &view.activity;
        let sums = if rows >= 13 { sums::ROWS } else { 0 };
        let mut left = rows - sums;
        let mut part = |wanted: u16, least: u16, from: u16| {
            let rows = if left >= from + least { wanted.min(left - from) } else { 0 };
            left -= rows;
            rows
        };
        // Six rows of bars come before anything else.
        let strips = part(hours::strips(activity), 1, 8);
        let edits = part((activity.edits.len() as u16).min(3), 1, 8);
        let samples = if ui.activity.alone { part((rows / 3).min(16), 8, 14) } else { 0 };
        let hosts = part(activity.hosts.len() as u16 + 1, 3, 7.max(rows / 4));
        Self {
            hours: rest.take(left.min(24)),
            strips: rest.take(strips),
            edits: rest.take(edits),
            hosts: rest.take(hosts),
            samples: rest.take(samples),
            sums: rest.take(sums),
        }
    }
}

/// Draws the screen.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let mut rest = Rest(area);
    let at = top(&mut rest, ui, snapshot);
    draw_top(pen, at, snapshot, ui);
    footer::draw(pen, Rect { y: area.bottom() - 1, height: 1, ..area }, snapshot, ui);
    let mut rest = Rest(Rect { height: rest.0.height.saturating_sub(1), ..rest.0 });
    let asked = ui.activity.ask(ui.selected.as_ref());
    // What was asked before is shown until the answer comes, but never as another VM's.
    let view = snapshot.activity.as_ref().filter(|view| view.ask.vm == asked.vm);
    title(pen, rest.take(1), view, snapshot, ui);
    let Some(view) = view.filter(|view| view.trouble.is_none()) else {
        let (text, role) = nothing(view, snapshot, ui);
        pen.put(area.x + 1, rest.0.y, area.width.saturating_sub(1), &text, role);
        return;
    };
    let at = Layout::new(rest, ui, view);
    let widest = view.activity.hosts.iter().map(|on| width(&on.host)).max().unwrap_or(0) as u16;
    let sides = ((widest + 3).clamp(10, 20).min(area.width / 4), RIGHT);
    if let Some(scale) = hours::draw(pen, at.hours, at.strips, &view.activity, sides, ui) {
        hosts::draw(pen, at.hosts, &scale, view);
    }
    hours::edits(pen, at.edits, &view.activity, snapshot, ui);
    samples::draw(pen, at.samples, view, sides, snapshot, ui);
    sums::draw(pen, at.sums, &view.activity);
}

/// Whose activity, how much, and how far back.
fn title(pen: &mut Canvas<'_>, area: Rect, view: Option<&Arc<ActivityView>>, snapshot: &Snapshot, ui: &Ui) {
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
    let hours = ui.activity.span().millis() / 3_600_000;
    let stretch = if hours % 24 == 0 && hours > 48 { format!("{} d", hours / 24) } else { format!("{hours} h") };
    let mut right = format!("last {stretch}");
    if let Some(view) = told {
        let old = snapshot.at.since(view.activity.to);
        if view.ask.span != ui.activity.span() {
            right = format!("reading the history   {right}");
        } else if old > OLD {
            right = format!("as of {} ago   {right}", age(old));
        }
    }
    pen.rule(area, &[(&whose, Role::Title), (&sums, Role::Quiet)], &right);
}

/// Why there is nothing to show.
fn nothing(view: Option<&Arc<ActivityView>>, snapshot: &Snapshot, ui: &Ui) -> (String, Role) {
    match (view.and_then(|view| view.trouble.as_ref()), &snapshot.history) {
        (Some(why), _) => (format!("the history cannot be read: {why}"), Role::Warning),
        (None, HistoryView::Off(why)) => (past::without(why), Role::Warning),
        (None, _) if ui.frozen => ("frozen: p goes on and reads it".to_owned(), Role::Quiet),
        (None, _) => ("reading the history".to_owned(), Role::Quiet),
    }
}
