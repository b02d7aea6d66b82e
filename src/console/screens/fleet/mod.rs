//! Fleet: is anything wrong, what is moving, who is about to move; and why does the selected VM stand where it stands.
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
mod columns;
mod detail;
mod filter;
mod log;
mod moving;
pub(super) mod queue;
pub(super) mod table;

pub(in crate::console) use arrays::{drain_words, host_line, names_in};
pub(in crate::console) use cells::migrating;
pub(super) use detail::{changing, indicator, why};
use ratatui::layout::Rect;

use super::{Rest, draw_top, footer, top};
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::view::Snapshot;

/// From this width on arrays stand beside the graph.
const ARRAYS_FROM: u16 = 100;
/// From this width on they stand beside the log too.
const WIDE_FROM: u16 = 160;

/// Where everything is. A part of no height is not shown.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
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

impl Layout {
    fn new(area: Rect, ui: &Ui, snapshot: &Snapshot) -> Self {
        let mut rest = Rest(area);
        let top = top(&mut rest, ui, snapshot);
        let filter = rest.take(u16::from(filter::is_shown(ui)));
        let (table_rows, detail_rows, log_rows) = heights(rest.0.height.saturating_sub(2), ui.listing.rows.len());
        let table = rest.take(table_rows);
        let mut detail = rest.take(detail_rows);
        let mut why = rest.take(1);
        let mut log = rest.take(log_rows);
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
        let moving_rows = moving::rows(snapshot, ui, arrays.height);
        // Right under the hosts, where they leave room.
        let hosts: usize = snapshot.arrays.iter().map(|array| array.hosts.len()).sum();
        if moving_rows > 0 {
            arrays.height = (arrays.height - moving_rows).min(hosts.min(1_000) as u16 + 2);
        }
        let moving = Rect { y: arrays.bottom(), height: moving_rows, ..arrays };
        Self { top, filter, table, detail, arrays, moving, why, log, footer: rest.take(1) }
    }
}

/// Rows of the table, the selected VM's graph and the log, of so many in all.
fn heights(rows: u16, vms: usize) -> (u16, u16, u16) {
    let detail = if rows >= 15 { (rows / 3).clamp(6, 24) } else { 0 };
    let log = if rows >= 18 { (rows / 6).clamp(3, 12) } else { 0 };
    let table = rows.saturating_sub(detail + log);
    // What a short table leaves goes to the graph, then to the log.
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
    usize::from(Layout::new(area, ui, snapshot).table.height.saturating_sub(1))
}

/// Draws the screen.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let at = Layout::new(area, ui, snapshot);
    draw_top(pen, at.top, snapshot, ui);
    filter::draw(pen, at.filter, snapshot, ui);
    table::draw(pen, at.table, snapshot, ui);
    detail::draw(pen, at.detail, snapshot, ui);
    arrays::draw(pen, at.arrays, snapshot, ui);
    moving::draw(pen, at.moving, snapshot, ui);
    detail::why(pen, at.why, snapshot, ui);
    log::draw(pen, at.log, snapshot, ui);
    footer::draw(pen, at.footer, snapshot, ui);
}
