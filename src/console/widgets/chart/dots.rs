//! A grid of dots, several to a character: a line, and a lighter fill where the line is not.

use ratatui::layout::Rect;

use super::Scale;
use crate::console::theme::Role;
use crate::console::widgets::Canvas;

/// One character's dots.
#[derive(Clone, Copy, Default)]
struct Cell {
    line: u8,
    fill: u8,
    beyond: bool,
    fill_beyond: bool,
}

/// A grid of dots.
pub struct Dots {
    cells: Vec<Cell>,
    plot: Rect,
    fine: (u16, u16),
}

/// Bits of U+2800: the left column's dots are 1 2 3 7, the right one's 4 5 6 8.
const BRAILLE: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

impl Dots {
    /// None yet.
    pub fn new(scale: &Scale) -> Self {
        let plot = scale.plot;
        let cells = vec![Cell::default(); usize::from(plot.width) * usize::from(plot.height)];
        Self { cells, plot, fine: scale.fine }
    }

    fn cell(&mut self, x: u16, y: u16) -> Option<(&mut Cell, u8)> {
        let (column, row) = (x / self.fine.0, y / self.fine.1);
        if column >= self.plot.width || row >= self.plot.height {
            return None;
        }
        let bit = BRAILLE[usize::from(y % self.fine.1)][usize::from(x % self.fine.0)];
        let cell = &mut self.cells[usize::from(row) * usize::from(self.plot.width) + usize::from(column)];
        Some((cell, bit))
    }

    /// A dot of the line.
    pub fn set(&mut self, x: u16, y: u16, beyond: bool) {
        if let Some((cell, bit)) = self.cell(x, y) {
            cell.line |= bit;
            cell.beyond |= beyond;
        }
    }

    /// A dot of the fill: every second one, so that it stays lighter than the line.
    pub fn shade(&mut self, x: u16, y: u16, beyond: bool) {
        if (x + y) % 2 == 1 {
            return;
        }
        if let Some((cell, bit)) = self.cell(x, y) {
            cell.fill |= bit;
            cell.fill_beyond |= beyond;
        }
    }

    /// A line from dot to dot.
    pub fn join(&mut self, (x0, y0): (u16, u16), (x1, y1): (u16, u16), beyond: impl Fn(u16) -> bool) {
        let steps = x1.abs_diff(x0).max(y1.abs_diff(y0)).max(1);
        let along = |from: u16, to: u16, i: u16| {
            let share = f64::from(i) / f64::from(steps);
            (f64::from(from) + (f64::from(to) - f64::from(from)) * share).round() as u16
        };
        for i in 0..=steps {
            let y = along(y0, y1, i);
            self.set(along(x0, x1, i), y, beyond(y));
        }
    }

    /// Draws the fill.
    pub fn draw_fill(&self, pen: &mut Canvas<'_>) {
        for (x, y, cell) in self.places().filter(|(_, _, cell)| cell.fill != 0) {
            let role = if cell.fill_beyond { Role::Beyond } else { Role::Faint };
            pen.dots(x, y, if pen.glyphs.braille { braille(cell.fill) } else { ':' }, role);
        }
    }

    /// Draws the line.
    pub fn draw(&self, pen: &mut Canvas<'_>) {
        for (x, y, cell) in self.places().filter(|(_, _, cell)| cell.line != 0) {
            let role = if cell.beyond { Role::Beyond } else { Role::Graph };
            pen.dots(x, y, if pen.glyphs.braille { braille(cell.line) } else { plain(cell.line) }, role);
        }
    }

    fn places(&self) -> impl Iterator<Item = (u16, u16, &Cell)> {
        let plot = self.plot;
        let place = move |i: usize| (plot.x + i as u16 % plot.width, plot.y + i as u16 / plot.width);
        self.cells.iter().enumerate().map(move |(i, cell)| (place(i).0, place(i).1, cell))
    }
}

fn braille(bits: u8) -> char {
    char::from_u32(0x2800 + u32::from(bits)).unwrap_or('*')
}

/// Three heights of a line in ASCII.
const fn plain(bits: u8) -> char {
    match bits {
        0x01 => '\'',
        0x02 => '-',
        0x04 => '.',
        0x03 | 0x06 | 0x07 => '|',
        _ => ':',
    }
}
