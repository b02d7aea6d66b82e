//! Every key, from the table that dispatches them.

use ratatui::layout::Rect;

use super::centred;
use crate::console::keymap::{self, Binding};
use crate::console::theme::Role;
use crate::console::widgets::Pen;

enum Line {
    Title(&'static str),
    Key(&'static Binding),
    Blank,
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (group, bindings) in keymap::help() {
        if !lines.is_empty() {
            lines.push(Line::Blank);
        }
        lines.push(Line::Title(group.title()));
        lines.extend(bindings.into_iter().map(Line::Key));
    }
    lines
}

/// Two columns of lines from this width on.
const TWO_COLUMNS_FROM: u16 = 150;

fn place(columns: u16, rows: u16) -> (Rect, usize) {
    let wide = columns >= TWO_COLUMNS_FROM;
    let height = if wide { lines().len().div_ceil(2) + 2 } else { lines().len() };
    let area = Rect::new(0, 0, columns, rows);
    (centred(area, if wide { 168 } else { 84 }, height as u16 + 2), height)
}

/// How many lines there are to scroll.
pub fn scrolls(columns: u16, rows: u16) -> usize {
    let (at, height) = place(columns, rows);
    height.saturating_sub(usize::from(at.height.saturating_sub(2)))
}

/// Draws the help.
pub fn draw(pen: &mut Pen<'_>, area: Rect, top: usize) {
    let (at, height) = place(area.width, area.height);
    pen.frame(at, "keys");
    let all = lines();
    let rows = usize::from(at.height.saturating_sub(2));
    let top = top.min(height.saturating_sub(rows));
    if at.width >= TWO_COLUMNS_FROM.min(area.width) && area.width >= TWO_COLUMNS_FROM {
        // Parted before the table's keys, so that no group is torn.
        let split = all.iter().position(|line| matches!(line, Line::Title("the table"))).unwrap_or(all.len());
        let (left, right) = all.split_at(split);
        let half = at.width / 2 - 2;
        column(pen, Rect { x: at.x + 2, y: at.y + 1, width: half, height: rows as u16 }, left, top);
        column(pen, Rect { x: at.x + half + 2, y: at.y + 1, width: half, height: rows as u16 }, right, top);
    } else {
        let room = at.width.saturating_sub(4);
        column(pen, Rect { x: at.x + 2, y: at.y + 1, width: room, height: rows as u16 }, &all, top);
    }
    if height > rows {
        let more = format!(" {} to {} of {height} ", top + 1, top + rows);
        let columns = more.len() as u16;
        pen.put(at.right().saturating_sub(columns + 2), at.bottom() - 1, columns, &more, Role::Quiet);
    }
}

fn column(pen: &mut Pen<'_>, area: Rect, lines: &[Line], top: usize) {
    for (y, line) in (area.top()..area.bottom()).zip(lines.iter().skip(top)) {
        match line {
            Line::Blank => {}
            Line::Title(title) => {
                pen.put(area.x, y, area.width, title, Role::Quiet);
            }
            Line::Key(binding) => {
                pen.put(area.x, y, 10, binding.shown, Role::Key);
                pen.put(area.x + 11, y, area.width.saturating_sub(11), binding.help, Role::Text);
            }
        }
    }
}
