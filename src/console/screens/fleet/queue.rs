//! A site VM's queue in hand: jobs by grade, done, big against its threshold, where it is worked, whether going pays.

use ratatui::layout::Rect;

use crate::console::text::wrap;
use crate::console::theme::Role;
use crate::console::widgets::{Canvas, gauge};
use crate::core::format::{counted, number};
use crate::view::{QueueView, VmRow};

/// Draws the queue, the most important lines first.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, queue: &QueueView) {
    let mut lines = Lines { area, y: area.y };
    let place = if queue.away { "away" } else { "at home" };
    if let Some((x, y, room)) = lines.next() {
        let place = format!("  worked {place} at {}", row.host);
        pen.line(
            x,
            y,
            room,
            &[(&queue.name, Role::Strong), (&place, if queue.away { Role::Moving } else { Role::Quiet })],
        );
    }
    if let Some((x, y, room)) = lines.next() {
        let share = queue.done as f32 / queue.total.max(1) as f32;
        let x = pen.put(x, y, room, "done   ", Role::Quiet);
        let x = gauge(pen, x, y, 8, share, Role::Good);
        let text = format!(" {} of {}", queue.done, counted(queue.total as usize, "job", "jobs"));
        pen.put(x, y, area.right().saturating_sub(x), &text, Role::Text);
    }
    if let Some((x, y, room)) = lines.next() {
        let bound = row.high.map_or_else(|| "-".to_owned(), number);
        let beyond = row.high.is_some_and(|high| f64::from(queue.big) >= high);
        let says = if beyond { "away" } else { "home" };
        let text = format!("{}, threshold {bound}: {says}", queue.big);
        pen.line(x, y, room, &[("big    ", Role::Quiet), (&text, if beyond { Role::Beyond } else { Role::Text })]);
    }
    if let Some((x, y, room)) = lines.next() {
        let grades: Vec<String> = queue.grades.iter().map(|(grade, jobs)| format!("{grade} {jobs}")).collect();
        pen.line(x, y, room, &[("grades ", Role::Quiet), (&grades.join("  "), Role::Text)]);
    }
    let room = usize::from(area.width.saturating_sub(2));
    let left = usize::from(area.bottom().saturating_sub(lines.y));
    for line in wrap(&queue.break_even, room, left, pen.glyphs.cut) {
        if let Some((x, y, room)) = lines.next() {
            pen.put(x, y, room, &line, Role::Quiet);
        }
    }
}

struct Lines {
    area: Rect,
    y: u16,
}

impl Iterator for Lines {
    type Item = (u16, u16, u16);

    fn next(&mut self) -> Option<Self::Item> {
        let y = self.y;
        self.y += 1;
        (y < self.area.bottom()).then_some((self.area.x + 1, y, self.area.width.saturating_sub(1)))
    }
}
