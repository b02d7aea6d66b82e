//! What screens are made of: the canvas they are drawn on, gauges, sparklines, graphs.
//!
//! | file | its story |
//! | --- | --- |
//! | `mod` | the canvas: text and glyphs by role, cut by display width; gauges and sparklines |
//! | `axis` | where values and instants fall on a graph, and its axes |
//! | `graph` | readings over time, with bounds and marks |
//! | `histogram` | numbers hour by hour, as bars or in one line |

mod axis;
mod graph;
mod histogram;

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::text::{cut, width};
use crate::console::theme::Glyphs;
use crate::console::theme::{Role, Theme};
use crate::core::format::tame;
use crate::core::policy::Bounds;
pub use axis::Scale;
pub use graph::Graph;
pub use histogram::{Histogram, hourly};

/// A buffer with a theme and characters.
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    theme: &'a Theme,
    /// The characters.
    pub glyphs: &'static Glyphs,
}

impl<'a> Canvas<'a> {
    /// A canvas on a buffer.
    pub fn new(buffer: &'a mut Buffer, theme: &'a Theme, glyphs: &'static Glyphs) -> Self {
        Self { buffer, theme, glyphs }
    }

    /// A role's look over whatever was there before.
    fn fresh(&self, role: Role) -> Style {
        Style::reset().patch(self.theme.style(role))
    }

    /// Writes at most `columns` columns and says where the text ended.
    pub fn put(&mut self, x: u16, y: u16, columns: u16, text: &str, role: Role) -> u16 {
        let area = self.buffer.area;
        let columns = columns.min(area.right().saturating_sub(x));
        if columns == 0 || y >= area.bottom() || y < area.top() {
            return x;
        }
        let tamed = self.spoken(tame(text));
        let short = cut(&tamed, usize::from(columns), self.glyphs.cut);
        let style = self.fresh(role);
        self.buffer.set_stringn(x, y, &short, usize::from(columns), style).0
    }

    /// The engine's words in characters that a plain terminal has.
    fn spoken<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        if self.glyphs.braille || text.is_ascii() {
            return text;
        }
        Cow::Owned(text.replace('→', ">").replace('≥', ">=").replace('…', "~"))
    }

    /// Writes text that ends at the right edge of its columns.
    pub fn put_right(&mut self, x: u16, y: u16, columns: u16, text: &str, role: Role) {
        let skip = columns.saturating_sub(width(text) as u16);
        self.put(x + skip, y, columns - skip, text, role);
    }

    /// Writes pieces one after the other, and says where they ended.
    pub fn line(&mut self, x: u16, y: u16, columns: u16, pieces: &[(&str, Role)]) -> u16 {
        let end = x.saturating_add(columns);
        pieces.iter().fold(x, |x, (text, role)| self.put(x, y, end.saturating_sub(x), text, *role))
    }

    /// One character, if the place is on the screen.
    pub fn glyph(&mut self, x: u16, y: u16, glyph: &str, role: Role) {
        let style = self.fresh(role);
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_symbol(glyph).set_style(style);
        }
    }

    /// Whether nothing is written at a place yet.
    pub fn is_free(&self, x: u16, y: u16) -> bool {
        self.buffer.cell((x, y)).is_some_and(|cell| cell.symbol() == " ")
    }

    /// One character that is no text's, if the place is on the screen.
    pub fn dots(&mut self, x: u16, y: u16, dots: char, role: Role) {
        let style = self.fresh(role);
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_char(dots).set_style(style);
        }
    }

    /// Adds a role's look to what is there.
    pub fn over(&mut self, area: Rect, role: Role) {
        let style = self.theme.style(role);
        if style != Style::new() {
            self.buffer.set_style(area.intersection(self.buffer.area), style);
        }
    }

    /// Empties a place.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        // A wide character that reaches into the place from its left would keep its second half.
        for y in area.top()..area.bottom() {
            if let Some(x) = area.left().checked_sub(1)
                && self.buffer.cell((x, y)).is_some_and(|cell| width(cell.symbol()) > 1)
                && let Some(cell) = self.buffer.cell_mut((x, y))
            {
                cell.set_symbol(" ");
            }
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    /// A title in a line that parts panels, with a word at its right end.
    pub fn rule(&mut self, area: Rect, title: &[(&str, Role)], right: &str) {
        let (left, end) = (area.left(), area.right());
        for x in left..end {
            self.glyph(x, area.y, self.glyphs.rule, Role::Rule);
        }
        if area.width < 8 {
            return;
        }
        let note = width(right) as u16;
        let room = area.width.saturating_sub(4);
        let note_room = if note > 0 && note + 12 <= room { note + 4 } else { 0 };
        let x = self.put(left + 2, area.y, 1, " ", Role::Rule);
        let x = self.line(x, area.y, room.saturating_sub(note_room), title);
        self.put(x, area.y, end.saturating_sub(x).min(1), " ", Role::Rule);
        if note_room > 0 {
            let x = self.put(end - note - 3, area.y, 1, " ", Role::Rule);
            let x = self.put(x, area.y, note, right, Role::Quiet);
            self.put(x, area.y, 1, " ", Role::Rule);
        }
    }

    /// An empty box with a title.
    pub fn frame(&mut self, area: Rect, title: &str) {
        self.clear(area);
        let [h, v, top_left, top_right, bottom_right, bottom_left] = self.glyphs.border;
        let (l, t, r, b) = (area.left(), area.top(), area.right() - 1, area.bottom() - 1);
        for x in l..=r {
            self.glyph(x, t, h, Role::Rule);
            self.glyph(x, b, h, Role::Rule);
        }
        for y in t..=b {
            self.glyph(l, y, v, Role::Rule);
            self.glyph(r, y, v, Role::Rule);
        }
        for (x, y, corner) in [(l, t, top_left), (r, t, top_right), (r, b, bottom_right), (l, b, bottom_left)] {
            self.glyph(x, y, corner, Role::Rule);
        }
        let room = area.width.saturating_sub(6);
        if room > 0 {
            let x = self.put(l + 2, t, 1, " ", Role::Title);
            let x = self.put(x, t, room, title, Role::Title);
            self.put(x, t, 1, " ", Role::Title);
        }
    }
}

/// Takes rows from the top of the part of the screen that is not used yet.
pub fn take_rows(rest: &mut Rect, rows: u16) -> Rect {
    let taken = Rect { height: rows.min(rest.height), ..*rest };
    *rest = Rect { y: taken.bottom(), height: rest.height - taken.height, ..*rest };
    taken
}

/// A place in the middle; the footer stays in sight.
pub fn centred(area: Rect, columns: u16, rows: u16) -> Rect {
    let columns = columns.min(area.width);
    let rows = rows.min(area.height.saturating_sub(1)).max(2);
    Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + (area.height.saturating_sub(1 + rows)) / 2,
        width: columns,
        height: rows,
    }
}

/// `filled` of `steps` steps; says where it ended.
fn steps(canvas: &mut Canvas<'_>, x: u16, y: u16, filled: u16, steps: u16, role: Role) -> u16 {
    let [full, empty] = canvas.glyphs.gauge;
    for i in 0..steps {
        let (glyph, role) = if i < filled { (full, role) } else { (empty, Role::Faint) };
        canvas.glyph(x + i, y, glyph, role);
    }
    x + steps
}

/// A share of 0 to 1 in `columns` steps; anything above 0 shows one, and only 95 % or more shows all.
pub fn gauge(canvas: &mut Canvas<'_>, x: u16, y: u16, columns: u16, share: f32, role: Role) -> u16 {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let mut filled = (share * f32::from(columns)).round() as u16;
    if share > 0.0 {
        filled = filled.max(1);
    }
    if share < 0.95 && columns > 1 {
        filled = filled.min(columns - 1);
    }
    steps(canvas, x, y, filled, columns, role)
}

/// A count against its tarry in at most three steps; only a full count fills them.
pub fn count_bar(canvas: &mut Canvas<'_>, x: u16, y: u16, count: u32, tarry: u32, role: Role) {
    let columns = tarry.clamp(1, 3);
    let filled = if tarry <= 3 {
        count.min(columns)
    } else if count >= tarry {
        columns
    } else {
        (u64::from(count) * u64::from(columns)).div_ceil(u64::from(tarry)).min(u64::from(columns - 1)) as u32
    };
    steps(canvas, x, y, filled as u16, columns as u16, role);
}

/// The last `columns` values, the newest at the right; a gap is a blank.
pub fn spark(canvas: &mut Canvas<'_>, x: u16, y: u16, columns: u16, values: &[f32], bounds: Bounds) {
    let bounds = bounds.rounded();
    let values = &values[values.len().saturating_sub(usize::from(columns))..];
    let seen = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = seen.fold((0.0_f32, 0.0_f32), |(low, high), value| (low.min(value), high.max(value)));
    let high = bounds.high.map_or(high, |bound| high.max(bound as f32));
    let first = x + columns - values.len() as u16;
    for (i, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        let steps = canvas.glyphs.spark;
        let step = ((share * steps.len() as f32) as usize).min(steps.len() - 1);
        let role = match () {
            () if bounds.is_beyond(f64::from(*value)) => Role::Beyond,
            () if bounds.is_low(f64::from(*value)) => Role::Low,
            () => Role::Quiet,
        };
        canvas.glyph(first + i as u16, y, steps[step], role);
    }
}
