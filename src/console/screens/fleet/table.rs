//! The table: one line for each VM that is on screen; above it the filter and the marks.

use ratatui::layout::Rect;

use crate::console::listing::{Listing, SortBy};
use crate::console::screens::fleet::cells;
use crate::console::screens::fleet::cells::{Column, plan};
use crate::console::text;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::format::counted;
use crate::view::{Snapshot, VmRow};

/// Draws the table; it scrolls so that the selected line is in its middle.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let columns = plan(area.width, &ui.listing);
    head(canvas, area, &columns, ui);
    let rows = usize::from(area.height.saturating_sub(1));
    let all = &ui.listing.rows;
    if all.is_empty() && rows > 0 {
        let text = match () {
            () if snapshot.rows.is_empty() => "no VM yet".to_owned(),
            () => format!("no VM matches '{}'", ui.filter.trim()),
        };
        canvas.put(area.x + 1, area.y + 1, area.width.saturating_sub(1), &text, Role::Strong);
        return;
    }
    let (pinned, top) = visible(&ui.listing, rows);
    let shown = (0..pinned).chain(top..all.len()).take(rows);
    for (y, i) in (area.y + 1..area.bottom()).zip(shown) {
        let row = &all[i];
        let selected = ui.listing.at == Some(i);
        for (column, x, width) in &columns {
            cells::draw(canvas, *column, Rect::new(area.x + x, y, *width, 1), row, snapshot, ui.zone);
        }
        if i < pinned && top > pinned {
            canvas.glyph(area.x, y, canvas.glyphs.axis[0], Role::Faint);
        }
        if selected {
            canvas.over(Rect::new(area.x, y, area.width, 1), Role::Selected);
            canvas.glyph(area.x, y, ">", Role::Key);
            if let Some((_, x, width)) = columns.first() {
                let name = (text::width(&row.name) as u16).min(*width);
                canvas.over(Rect::new(area.x + x, y, name, 1), Role::Cursor);
            }
        }
        // The reversed name still shows which one is selected.
        if ui.marked.contains(&row.name) {
            canvas.glyph(area.x, y, canvas.glyphs.marked, Role::Strong);
        }
    }
    rest(canvas, area, &columns, top - pinned, all.len().saturating_sub(top + rows - pinned));
}

/// Draws one VM's line as in the table, under the table's head if there is room.
pub fn one(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let columns = plan(area.width, &ui.listing);
    for (column, x, width) in &columns {
        if area.height > 1 {
            heading(canvas, *column, area.x + x, area.y, *width);
        }
        cells::draw(canvas, *column, Rect::new(area.x + x, area.bottom() - 1, *width, 1), row, snapshot, ui.zone);
    }
    if let Some((_, x, width)) = columns.first() {
        let name = (text::width(&row.name) as u16).min(*width);
        canvas.over(Rect::new(area.x + x, area.bottom() - 1, name, 1), Role::Strong);
    }
}

/// How many urgent rows stay at the top, and the first other row that is shown.
fn visible(listing: &Listing, rows: usize) -> (usize, usize) {
    let pinned = listing.urgent.min(rows / 3);
    let (others, room) = (listing.rows.len().saturating_sub(pinned), rows - pinned);
    let at = listing.at.unwrap_or(0).saturating_sub(pinned);
    (pinned, pinned + at.saturating_sub(room / 2).min(others.saturating_sub(room)))
}

/// Draws how many lines are not on screen, in the head of the state's column, which has room.
fn rest(canvas: &mut Canvas<'_>, area: Rect, columns: &[(Column, u16, u16)], above: usize, below: usize) {
    let Some((_, x, width)) = columns.iter().find(|(column, ..)| *column == Column::State) else { return };
    let text = match (above, below) {
        (0, 0) => return,
        (0, below) => format!("{below} below"),
        (above, 0) => format!("{above} above"),
        (above, below) => format!("{above} above {below} below"),
    };
    let width = usize::from(*width);
    let text = if text.len() + HEAD + 1 > width { format!("{} more", above + below) } else { text };
    // Overwrite the word beside the head if there is no room.
    let keeps_note = text.len() + HEAD + " worst  ".len() <= width;
    let begin = if keeps_note { width.saturating_sub(text.len()) } else { HEAD.min(width) };
    let room = width - begin;
    canvas.put(area.x + x + begin as u16, area.y, room as u16, &format!("{text:>room$}"), Role::Faint);
}

/// Columns of the state's head with its mark.
const HEAD: usize = 6;

fn head(canvas: &mut Canvas<'_>, area: Rect, columns: &[(Column, u16, u16)], ui: &Ui) {
    for (column, x, width) in columns {
        let x = area.x + x;
        if column.is_sorted(ui.sort) {
            let mark = canvas.glyphs.sorted[usize::from(ui.reverse)];
            let note = match (ui.sort, ui.reverse) {
                (SortBy::Worst, false) => " worst",
                (SortBy::Worst, true) => " best",
                _ => "",
            };
            let text = format!("{}{mark}", column.head());
            if column.is_right() {
                canvas.put_right(x.saturating_sub(1), area.y, *width + 1, &text, Role::Sorted);
            } else {
                let lead = if *column == Column::Value { cells::NUMBER.saturating_sub(5) } else { 0 };
                let end = canvas.put(x + lead, area.y, *width, &text, Role::Sorted);
                canvas.put(end, area.y, (x + width).saturating_sub(end), note, Role::Head);
            }
        } else {
            heading(canvas, *column, x, area.y, *width);
        }
    }
}

/// Draws the head of a column that the table is not sorted by.
fn heading(canvas: &mut Canvas<'_>, column: Column, x: u16, y: u16, width: u16) {
    if column.is_right() {
        canvas.put_right(x, y, width, column.head(), Role::Head);
    } else if column == Column::Value {
        canvas.put_right(x, y, cells::NUMBER, column.head(), Role::Head);
    } else {
        canvas.put(x, y, width, column.head(), Role::Head);
    }
}

/// Whether there is a filter or a mark.
pub fn has_filter(ui: &Ui) -> bool {
    ui.is_filtering() || !ui.filter.is_empty() || !ui.marked.is_empty()
}

/// Draws the filter and how many VMs are marked.
pub fn draw_filter(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let mut marked = match ui.marked.len() {
        0 => String::new(),
        n => format!("  {} {} marked", canvas.glyphs.marked, counted(n, "VM", "VMs")),
    };
    let clears = if ui.marked.is_empty() { "  esc clears" } else { "  esc clears the marks" };
    let mut x = area.x;
    if ui.is_filtering() || !ui.filter.is_empty() {
        let found = format!("  {} of {}", ui.listing.rows.len(), counted(snapshot.rows.len(), "VM", "VMs"));
        let caret = if ui.is_filtering() { canvas.glyphs.caret } else { "" };
        let room = area.width.saturating_sub(2 + (width(&found) + width(&marked)) as u16);
        // Of a long filter the end is shown, where the caret is.
        let skip = width(&ui.filter).saturating_sub(usize::from(room.saturating_sub(2)));
        let shown: String = ui.filter.chars().skip(skip).collect();
        let pieces = [(" /", Role::Key), (&*shown, Role::Strong), (caret, Role::Key)];
        x = canvas.line(x, area.y, room, &pieces);
        x = canvas.put(x, area.y, area.right().saturating_sub(x), &found, Role::Quiet);
    } else {
        marked.drain(..1);
    }
    x = canvas.put(x, area.y, area.right().saturating_sub(x), &marked, Role::Strong);
    if !ui.is_filtering() {
        canvas.put(x, area.y, area.right().saturating_sub(x), clears, Role::Faint);
    }
}
