//! The Fleet screen: what is wrong, what moves, what is about to move, and why the selected VM is where it is.
//!
//! ```text
//! ┌ header ──────────────────────────────────────┐  always
//! │ banner                                       │  until dismissed
//! │ alarm                                        │  while there is one
//! │ filter, marks                                │  while there is one
//! │ table                                        │  always
//! │ detail: migration, graph, queue ┬ arrays ────│  from 17 rows; arrays, and what moves, from 100 columns
//! │ why                             │            │  always
//! │ log ────────────────────────────┴────────────│  from 22 rows; arrays beside it from 160 columns
//! └ footer ──────────────────────────────────────┘  always
//! ```

mod arrays;
mod cells;
mod detail;
pub(super) mod table;

use ratatui::layout::Rect;

use crate::console::screens::{draw_footer, draw_top, level_look, top, unmarked};
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, take_rows};
use crate::view::Snapshot;
pub(in crate::console) use arrays::{drain_words, host_line, names_in};
pub(in crate::console) use cells::migrating;
pub(super) use cells::signs;
pub(super) use detail::{changing, indicator, queue_beside, why};

/// From this width on, the arrays are beside the graph.
const ARRAYS_FROM: u16 = 100;
/// From this width on, they are beside the log too.
const WIDE_FROM: u16 = 160;

/// Where each part is. A part without height is not shown.
#[derive(Debug, Clone, Copy, Default)]
struct FleetLayout {
    top: [Rect; 3],
    filter: Rect,
    table: Rect,
    detail: Rect,
    arrays: Rect,
    moving: Rect,
    why: Rect,
    log: Rect,
    footer: Rect,
}

impl FleetLayout {
    fn new(area: Rect, ui: &Ui, snapshot: &Snapshot) -> Self {
        let mut rest = area;
        let top = top(&mut rest, ui, snapshot);
        let filter = take_rows(&mut rest, u16::from(table::has_filter(ui)));
        let (table_rows, detail_rows, log_rows) = heights(rest.height.saturating_sub(2), ui.listing.rows.len());
        let table = take_rows(&mut rest, table_rows);
        let mut detail = take_rows(&mut rest, detail_rows);
        let mut why = take_rows(&mut rest, 1);
        let mut log = take_rows(&mut rest, log_rows);
        let mut arrays = Rect::default();
        if area.width >= ARRAYS_FROM && detail.height > 0 {
            let columns = (area.width * 2 / 5).clamp(44, 84);
            arrays = Rect { x: detail.right() - columns, width: columns, ..detail };
            detail.width -= columns + 1;
            if area.width >= WIDE_FROM {
                arrays.height += why.height + log.height;
                why.width = detail.width;
                log.width = detail.width;
            }
        }
        let moving_rows = arrays::moving_rows(snapshot, ui, arrays.height);
        // Directly below the hosts, if there is room.
        let hosts: usize = snapshot.arrays.iter().map(|array| array.hosts.len()).sum();
        if moving_rows > 0 {
            arrays.height = (arrays.height - moving_rows).min(hosts.min(1_000) as u16 + 2);
        }
        let moving = Rect { y: arrays.bottom(), height: moving_rows, ..arrays };
        Self { top, filter, table, detail, arrays, moving, why, log, footer: take_rows(&mut rest, 1) }
    }
}

/// Shares the rows between the table, the selected VM's graph and the log.
fn heights(rows: u16, vms: usize) -> (u16, u16, u16) {
    let detail = if rows >= 15 { (rows / 3).clamp(6, 24) } else { 0 };
    let log = if rows >= 18 { (rows / 6).clamp(3, 12) } else { 0 };
    let table = rows.saturating_sub(detail + log);
    // Rows that a short table does not need go to the graph, then to the log.
    let spare = table.saturating_sub((vms.min(1_000) as u16).max(1) + 1);
    if detail == 0 || spare == 0 {
        return (table, detail, log);
    }
    let to_detail = spare.min(24_u16.saturating_sub(detail));
    let to_log = if log > 0 { (spare - to_detail).min(20_u16.saturating_sub(log)) } else { 0 };
    (table - to_detail - to_log, detail + to_detail, log + to_log)
}

/// How many VMs the table shows at once.
pub fn table_rows(ui: &Ui, snapshot: &Snapshot) -> usize {
    let area = Rect::new(0, 0, ui.size.0, ui.size.1);
    usize::from(FleetLayout::new(area, ui, snapshot).table.height.saturating_sub(1))
}

/// Draws the screen.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let at = FleetLayout::new(area, ui, snapshot);
    draw_top(canvas, at.top, snapshot, ui);
    table::draw_filter(canvas, at.filter, snapshot, ui);
    table::draw(canvas, at.table, snapshot, ui);
    detail::draw(canvas, at.detail, snapshot, ui);
    arrays::draw(canvas, at.arrays, snapshot, ui);
    arrays::draw_moving(canvas, at.moving, snapshot, ui);
    detail::why(canvas, at.why, snapshot, ui);
    draw_log(canvas, at.log, snapshot, ui);
    draw_footer(canvas, at.footer, snapshot, ui);
}

/// Draws the log, the newest line first.
fn draw_log(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    canvas.rule(area, &[("log", Role::Title)], "");
    if snapshot.log.is_empty() {
        canvas.put(
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
        let (mark, role) = level_look(line.level);
        let x = area.x + 1;
        canvas.put(x, y, 8, &ui.zone.clock(line.at), Role::Quiet);
        canvas.put(x + 9, y, 1, mark, role);
        let vm = line.vm.as_deref().unwrap_or("-");
        canvas.put(x + 11, y, names, vm, if ui.selected.as_deref() == Some(vm) { Role::Strong } else { Role::Quiet });
        let x = x + 12 + names;
        canvas.put(x, y, area.right().saturating_sub(x), unmarked(line), role);
    }
}
