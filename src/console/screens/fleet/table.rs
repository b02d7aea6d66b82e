//! The table: one VM a line, only the lines that are on screen.

use ratatui::layout::Rect;

use super::cells;
use super::columns::{Column, plan};
use crate::console::listing::{Listing, SortBy};
use crate::console::text;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::view::{Snapshot, VmRow};

/// Draws the table; the selected line is kept in its middle where there is more above and below.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let columns = plan(area.width, &ui.listing);
    head(pen, area, &columns, ui);
    let rows = usize::from(area.height.saturating_sub(1));
    let all = &ui.listing.rows;
    if all.is_empty() && rows > 0 {
        let text = match () {
            () if snapshot.rows.is_empty() => "no VM yet".to_owned(),
            () => format!("no VM matches '{}'", ui.filter.trim()),
        };
        pen.put(area.x + 1, area.y + 1, area.width.saturating_sub(1), &text, Role::Strong);
        return;
    }
    let (pinned, top) = visible(&ui.listing, rows);
    let shown = (0..pinned).chain(top..all.len()).take(rows);
    for (y, i) in (area.y + 1..area.bottom()).zip(shown) {
        let row = &all[i];
        let selected = ui.listing.at == Some(i);
        for (column, x, width) in &columns {
            cells::draw(pen, *column, Rect::new(area.x + x, y, *width, 1), row, snapshot, ui.zone);
        }
        if i < pinned && top > pinned {
            pen.glyph(area.x, y, pen.glyphs.axis[0], Role::Faint);
        }
        if selected {
            pen.over(Rect::new(area.x, y, area.width, 1), Role::Selected);
            pen.glyph(area.x, y, ">", Role::Key);
            if let Some((_, x, width)) = columns.first() {
                let name = (text::width(&row.name) as u16).min(*width);
                pen.over(Rect::new(area.x + x, y, name, 1), Role::Cursor);
            }
        }
        // The name in reverse still says which is selected.
        if ui.marked.contains(&row.name) {
            pen.glyph(area.x, y, pen.glyphs.marked, Role::Strong);
        }
    }
    rest(pen, area, &columns, top - pinned, all.len().saturating_sub(top + rows - pinned));
}

/// Draws one VM's line as the table has it, under the table's head if there is room for both.
pub fn one(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let columns = plan(area.width, &ui.listing);
    for (column, x, width) in &columns {
        if area.height > 1 {
            heading(pen, *column, area.x + x, area.y, *width);
        }
        cells::draw(pen, *column, Rect::new(area.x + x, area.bottom() - 1, *width, 1), row, snapshot, ui.zone);
    }
    if let Some((_, x, width)) = columns.first() {
        let name = (text::width(&row.name) as u16).min(*width);
        pen.over(Rect::new(area.x + x, area.bottom() - 1, name, 1), Role::Strong);
    }
}

/// How many of the worst stay at the top, and the first of the others that is shown.
fn visible(listing: &Listing, rows: usize) -> (usize, usize) {
    let pinned = listing.urgent.min(rows / 3);
    let (others, room) = (listing.rows.len().saturating_sub(pinned), rows - pinned);
    let at = listing.at.unwrap_or(0).saturating_sub(pinned);
    (pinned, pinned + at.saturating_sub(room / 2).min(others.saturating_sub(room)))
}

/// How many lines are not on screen, in the state's head: the only one that has room.
fn rest(pen: &mut Canvas<'_>, area: Rect, columns: &[(Column, u16, u16)], above: usize, below: usize) {
    let Some((_, x, width)) = columns.iter().find(|(column, ..)| *column == Column::State) else { return };
    let text = match (above, below) {
        (0, 0) => return,
        (0, below) => format!("{below} below"),
        (above, 0) => format!("{above} above"),
        (above, below) => format!("{above} above {below} below"),
    };
    let width = usize::from(*width);
    let text = if text.len() + HEAD + 1 > width { format!("{} more", above + below) } else { text };
    // The word beside the head gives way where it must.
    let keeps_note = text.len() + HEAD + " worst  ".len() <= width;
    let begin = if keeps_note { width.saturating_sub(text.len()) } else { HEAD.min(width) };
    let room = width - begin;
    pen.put(area.x + x + begin as u16, area.y, room as u16, &format!("{text:>room$}"), Role::Faint);
}

/// Columns of the state's head with its mark.
const HEAD: usize = 6;

fn head(pen: &mut Canvas<'_>, area: Rect, columns: &[(Column, u16, u16)], ui: &Ui) {
    for (column, x, width) in columns {
        let x = area.x + x;
        if column.is_sorted(ui.sort) {
            let mark = pen.glyphs.sorted[usize::from(ui.reverse)];
            let note = match (ui.sort, ui.reverse) {
                (SortBy::Worst, false) => " worst",
                (SortBy::Worst, true) => " best",
                _ => "",
            };
            let text = format!("{}{mark}", column.head());
            if column.is_right() {
                pen.put_right(x.saturating_sub(1), area.y, *width + 1, &text, Role::Sorted);
            } else {
                let lead = if *column == Column::Value { cells::NUMBER.saturating_sub(5) } else { 0 };
                let end = pen.put(x + lead, area.y, *width, &text, Role::Sorted);
                pen.put(end, area.y, (x + width).saturating_sub(end), note, Role::Head);
            }
        } else {
            heading(pen, *column, x, area.y, *width);
        }
    }
}

/// A column's head, by which nothing is sorted.
fn heading(pen: &mut Canvas<'_>, column: Column, x: u16, y: u16, width: u16) {
    if column.is_right() {
        pen.put_right(x, y, width, column.head(), Role::Head);
    } else if column == Column::Value {
        pen.put_right(x, y, cells::NUMBER, column.head(), Role::Head);
    } else {
        pen.put(x, y, width, column.head(), Role::Head);
    }
}
