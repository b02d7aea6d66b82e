//! What lies over a screen: the help, a question, the dialogs to move a VM, to drain a host and to pause a worker, a job in
//! full. The topmost takes the keys.

mod drain;
mod job;
mod moves;
mod pause;

use ratatui::layout::Rect;

use crate::console::editor;
use crate::console::keymap::{self, Binding};
use crate::console::text::{width, wrap};
use crate::console::theme::Role;
use crate::console::ui::{Overlay, Screen, Ui};
use crate::console::widgets::{Canvas, centred, gauge};
use crate::core::format::percent;
use crate::view::Snapshot;

/// Draws every overlay, the topmost last.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    for overlay in &ui.overlays {
        match overlay {
            Overlay::Help { top } => draw_help(canvas, area, ui.screen, *top),
            Overlay::Moves { vm, .. } => moves::draw(canvas, area, snapshot, ui, vm),
            Overlay::Drain { top, .. } => drain::draw(canvas, area, snapshot, ui, *top),
            Overlay::Job => job::draw(canvas, area, snapshot, ui),
            Overlay::Pause(form) => pause::draw(canvas, area, form, snapshot, ui),
            Overlay::Confirm { question, .. } => confirm(canvas, area, question),
            Overlay::Prompt(prompt) => editor::draw_prompt(canvas, area, prompt, ui),
            // Typed where it is shown: in the line above the table.
            Overlay::Filter => {}
        }
    }
}

enum HelpLine {
    Title(&'static str),
    Key(&'static Binding),
    Blank,
}

fn lines(screen: Screen) -> Vec<HelpLine> {
    let mut lines = Vec::new();
    for (title, bindings) in keymap::help(screen) {
        if !lines.is_empty() {
            lines.push(HelpLine::Blank);
        }
        lines.push(HelpLine::Title(title));
        lines.extend(bindings.into_iter().map(HelpLine::Key));
    }
    lines
}

/// Draws a host's load now and after a move, with a gauge of the load after it. `unknown` stands for a load after it that is
/// not known.
fn load_change(canvas: &mut Canvas<'_>, at: Rect, load: Option<f64>, after: Option<f64>, unknown: &str, role: Role) {
    let Some(now) = load else {
        canvas.put(at.x, at.y, at.width, "not read", Role::Faint);
        return;
    };
    let x = gauge(canvas, at.x, at.y, 5, after.unwrap_or(now) as f32, role);
    canvas.put_right(x, at.y, 5, &percent(now), role);
    let told = after.map_or_else(|| unknown.to_owned(), percent);
    if !told.is_empty() {
        canvas.put(x + 5, at.y, 3, " > ", Role::Faint);
        canvas.put_right(x + 8, at.y, 4, &told, role);
    }
}

/// Two columns of lines from this width on.
const TWO_COLUMNS_FROM: u16 = 150;

fn place(columns: u16, rows: u16, lines: &[HelpLine]) -> (Rect, usize) {
    let wide = columns >= TWO_COLUMNS_FROM;
    let height = if wide { split(lines).max(lines.len() - split(lines)) } else { lines.len() };
    let area = Rect::new(0, 0, columns, rows);
    (centred(area, if wide { 168 } else { 84 }, height as u16 + 2), height)
}

/// Where a second column begins: at the title nearest to the middle, so that no part is torn.
fn split(lines: &[HelpLine]) -> usize {
    let titles = lines.iter().enumerate().filter(|(_, line)| matches!(line, HelpLine::Title(_))).map(|(at, _)| at);
    titles.min_by_key(|at| at.abs_diff(lines.len() / 2)).unwrap_or(lines.len())
}

/// How many lines there are to scroll.
pub fn help_scrolls(columns: u16, rows: u16, screen: Screen) -> usize {
    let (at, height) = place(columns, rows, &lines(screen));
    height.saturating_sub(usize::from(at.height.saturating_sub(2)))
}

/// Draws the help.
fn draw_help(canvas: &mut Canvas<'_>, area: Rect, screen: Screen, top: usize) {
    let all = lines(screen);
    let (at, height) = place(area.width, area.height, &all);
    canvas.frame(at, "keys");
    let rows = usize::from(at.height.saturating_sub(2));
    let top = top.min(height.saturating_sub(rows));
    if at.width >= TWO_COLUMNS_FROM.min(area.width) && area.width >= TWO_COLUMNS_FROM {
        let (left, right) = all.split_at(split(&all));
        let half = at.width / 2 - 2;
        column(canvas, Rect { x: at.x + 2, y: at.y + 1, width: half, height: rows as u16 }, left, top);
        column(canvas, Rect { x: at.x + half + 2, y: at.y + 1, width: half, height: rows as u16 }, right, top);
    } else {
        let room = at.width.saturating_sub(4);
        column(canvas, Rect { x: at.x + 2, y: at.y + 1, width: room, height: rows as u16 }, &all, top);
    }
    if height > rows {
        let more = format!(" {} to {} of {height} ", top + 1, top + rows);
        let columns = more.len() as u16;
        canvas.put(at.right().saturating_sub(columns + 2), at.bottom() - 1, columns, &more, Role::Quiet);
    }
}

fn column(canvas: &mut Canvas<'_>, area: Rect, lines: &[HelpLine], top: usize) {
    for (y, line) in (area.top()..area.bottom()).zip(lines.iter().skip(top)) {
        match line {
            HelpLine::Blank => {}
            HelpLine::Title(title) => {
                canvas.put(area.x, y, area.width, title, Role::Quiet);
            }
            HelpLine::Key(binding) => {
                canvas.put(area.x, y, 10, binding.shown, Role::Key);
                canvas.put(area.x + 11, y, area.width.saturating_sub(11), binding.help, Role::Text);
            }
        }
    }
}

/// Draws it.
fn confirm(canvas: &mut Canvas<'_>, area: Rect, question: &str) {
    let columns = (width(question) as u16 + 6).clamp(30, 76).min(area.width);
    let lines = wrap(question, usize::from(columns.saturating_sub(4)), 4, canvas.glyphs.cut);
    let at = centred(area, columns, lines.len() as u16 + 4);
    canvas.frame(at, "sure?");
    let (x, room) = (at.x + 2, at.width.saturating_sub(4));
    for (y, line) in (at.y + 1..at.bottom().saturating_sub(1)).zip(&lines) {
        canvas.put(x, y, room, line, Role::Strong);
    }
    let keys = [("y", Role::Key), (" yes   ", Role::Text), ("n", Role::Key), (" no", Role::Text)];
    canvas.line(x, at.bottom().saturating_sub(2), room, &keys);
}
