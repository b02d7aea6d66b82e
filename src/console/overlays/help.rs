//! Every key, from the table that dispatches them.

use ratatui::layout::Rect;

use crate::console::keymap::{self, Binding};
use crate::console::theme::Role;
use crate::console::ui::Screen;
use crate::console::widgets::{Canvas, centred};

enum Line {
    Title(&'static str),
    Key(&'static Binding),
    Blank,
}

fn lines(screen: Screen) -> Vec<Line> {
    let mut lines = Vec::new();
    for (title, bindings) in keymap::help(screen) {
        if !lines.is_empty() {
            lines.push(Line::Blank);
        }
        lines.push(Line::Title(title));
        lines.extend(bindings.into_iter().map(Line::Key));
    }
    lines
}

/// Two columns of lines from this width on.
const TWO_COLUMNS_FROM: u16 = 150;

fn place(columns: u16, rows: u16, lines: &[Line]) -> (Rect, usize) {
    let wide = columns >= TWO_COLUMNS_FROM;
    let height = if wide { split(lines).max(lines.len() - split(lines)) } else { lines.len() };
    let area = Rect::new(0, 0, columns, rows);
    (centred(area, if wide { 168 } else { 84 }, height as u16 + 2), height)
}

/// Where a second column begins: at the title nearest to the middle, so that no part is torn.
fn split(lines: &[Line]) -> usize {
    let titles = lines.iter().enumerate().filter(|(_, line)| matches!(line, Line::Title(_))).map(|(at, _)| at);
    titles.min_by_key(|at| at.abs_diff(lines.len() / 2)).unwrap_or(lines.len())
}

/// How many lines there are to scroll.
pub fn scrolls(columns: u16, rows: u16, screen: Screen) -> usize {
    let (at, height) = place(columns, rows, &lines(screen));
    height.saturating_sub(usize::from(at.height.saturating_sub(2)))
}

/// Draws the help.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, screen: Screen, top: usize) {
    let all = lines(screen);
    let (at, height) = place(area.width, area.height, &all);
    pen.frame(at, "keys");
    let rows = usize::from(at.height.saturating_sub(2));
    let top = top.min(height.saturating_sub(rows));
    if at.width >= TWO_COLUMNS_FROM.min(area.width) && area.width >= TWO_COLUMNS_FROM {
        let (left, right) = all.split_at(split(&all));
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

fn column(pen: &mut Canvas<'_>, area: Rect, lines: &[Line], top: usize) {
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
