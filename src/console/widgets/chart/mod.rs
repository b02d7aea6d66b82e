//! A graph over time: values as a line of braille dots, bounds as dashed lines, moves as marks below.

pub(super) mod axis;
mod dots;
mod history;
mod scale;

use dots::Dots;
pub use history::History;
use ratatui::layout::Rect;
pub use scale::Scale;
pub(super) use scale::range;

use super::Canvas;
use crate::console::text::{Zone, width};
use crate::console::theme::Role;
use crate::core::cluster::{Direction, Span, Timestamp};
use crate::core::format::exact;
use crate::view::{Mark, MarkKind, Point};

/// The bounds a value is held against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// The threshold.
    pub high: Option<f64>,
    /// The low threshold.
    pub low: Option<f64>,
    /// Which way is bad.
    pub direction: Direction,
    /// A value that equals the threshold is past it (site policy: big jobs).
    pub inclusive: bool,
}

impl Bounds {
    /// Past the threshold, as the policy decides it.
    pub fn is_beyond(self, value: f64) -> bool {
        let past = |high| self.direction.is_beyond(value, high) || self.inclusive && value == high;
        self.high.is_some_and(past)
    }

    /// Past the low threshold, as the policy decides it.
    pub fn is_low(self, value: f64) -> bool {
        self.low.is_some_and(|low| self.direction.is_low(value, low))
    }

    /// The bounds for readings that were rounded to an `f32`: rounded alike, so that a reading that equals a bound still
    /// equals it.
    pub fn rounded(self) -> Self {
        let round = |bound: f64| f64::from(bound as f32);
        Self { high: self.high.map(round), low: self.low.map(round), ..self }
    }
}

/// A graph.
pub struct Chart<'a> {
    /// Readings, oldest first.
    pub points: &'a [Point],
    /// Moves and edits, oldest first.
    pub marks: &'a [Mark],
    /// What values are held against.
    pub bounds: Bounds,
    /// The right edge.
    pub now: Timestamp,
    /// From the left edge to the right one.
    pub window: Span,
    /// Two readings further apart than this are not joined.
    pub longest_step: Span,
    /// The clock below.
    pub zone: Zone,
}

impl Chart<'_> {
    /// Draws the graph; the last two lines are the time axis.
    pub fn draw(&self, pen: &mut Canvas<'_>, area: Rect) {
        let seen = self.points.iter().filter_map(|point| point.value).map(f64::from);
        let range = range(seen.chain(self.bounds.high).chain(self.bounds.low));
        let right = self.bound_labels().iter().map(|(_, label)| width(label) as u16 + 1).max().unwrap_or(0);
        let Some(scale) = place(pen, area, range, (0, right), (self.now - self.window, self.window)) else { return };
        self.bound_lines(pen, &scale);
        self.line(pen, &scale);
        axis::time(pen, &scale, self.zone, true);
        marks(pen, &scale, self.marks);
    }

    fn bound_labels(&self) -> Vec<(f64, String)> {
        [self.bounds.high, self.bounds.low].into_iter().flatten().map(|bound| (bound, exact(bound))).collect()
    }

    fn bound_lines(&self, pen: &mut Canvas<'_>, scale: &Scale) {
        let plot = scale.plot;
        let mut taken = None;
        for (bound, label) in self.bound_labels() {
            let y = scale.row(bound);
            for x in plot.left()..plot.right() {
                pen.glyph(x, y, pen.glyphs.dash, Role::Bound);
            }
            if taken != Some(y) {
                pen.put(plot.right() + 1, y, width(&label) as u16, &label, Role::Bound);
            }
            taken = Some(y);
        }
    }

    /// Joins the readings, thinned out to what a column of dots can show, broken at gaps.
    fn line(&self, pen: &mut Canvas<'_>, scale: &Scale) {
        let mut dots = Dots::new(scale);
        let bounds = self.bounds.rounded();
        let mut last: Option<(u16, f64, Timestamp)> = None;
        for point in self.points {
            let (Some(value), Some(x)) = (point.value.filter(|value| value.is_finite()), scale.x(point.at)) else {
                last = None;
                continue;
            };
            let value = f64::from(value);
            let (beyond, y) = (bounds.is_beyond(value), scale.y(value));
            match last.filter(|(_, _, at)| point.at.since(*at) <= self.longest_step) {
                Some((x0, v0, _)) => {
                    let both = beyond && bounds.is_beyond(v0);
                    let y0 = scale.y(v0);
                    // Between two readings the line is past the bound where it lies past it.
                    let past = |y| both || bounds.is_beyond(scale.value(y));
                    dots.join((x0, y0), (x, y), past);
                }
                None => dots.set(x, y, beyond),
            }
            last = Some((x, value, point.at));
        }
        dots.draw(pen);
    }
}

/// Finds the plot between the axes and draws the numbers at its left, which take `columns.0` columns at least;
/// `columns.1` stay free at its right. `None`: there is no room for a graph.
pub(super) fn place(
    pen: &mut Canvas<'_>,
    area: Rect,
    (bottom, top): (f64, f64),
    columns: (u16, u16),
    (from, span): (Timestamp, Span),
) -> Option<Scale> {
    let labels = axis::labels(bottom, top);
    let axis = labels.iter().map(|label| width(label) as u16 + 1).max().unwrap_or(0).max(columns.0);
    let width = area.width.checked_sub(axis + 1 + columns.1).filter(|columns| *columns >= 8)?;
    let height = area.height.checked_sub(2).filter(|rows| *rows >= 2)?;
    let plot = Rect::new(area.x + axis + 1, area.y, width, height);
    let fine = if pen.glyphs.braille { (2, 4) } else { (1, 3) };
    let scale = Scale { plot, bottom, top, fine, from, span };
    axis::values(pen, &scale, &labels, area.x);
    Some(scale)
}

/// Moves and edits, on the time axis.
fn marks(pen: &mut Canvas<'_>, scale: &Scale, marks: &[Mark]) {
    let [moved, edited] = pen.glyphs.marks;
    // An edit is rarer than a move and changes more: it is never under one.
    let is_edit = |mark: &&Mark| mark.kind == MarkKind::Edited;
    for mark in marks.iter().filter(|mark| !is_edit(mark)).chain(marks.iter().filter(is_edit)) {
        let Some(x) = scale.column(mark.at) else { continue };
        pen.glyph(x, scale.plot.bottom(), if is_edit(&mark) { edited } else { moved }, Role::Mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_is_neither_beyond_nor_low() {
        let up = Bounds { high: Some(50.0), low: Some(1.0), ..Bounds::default() };
        assert_eq!([49.0, 50.0, 51.0].map(|v| up.is_beyond(v)), [false, false, true]);
        assert_eq!([0.0, 1.0, 2.0].map(|v| up.is_low(v)), [true, false, false]);
        let down = Bounds { high: Some(15.0), low: Some(80.0), direction: Direction::LowerIsWorse, inclusive: false };
        assert_eq!([14.0, 15.0].map(|v| down.is_beyond(v)), [true, false]);
        assert_eq!([80.0, 81.0].map(|v| down.is_low(v)), [false, true]);
        let big = Bounds { high: Some(2.0), inclusive: true, ..Bounds::default() };
        assert_eq!([1.0, 2.0].map(|v| big.is_beyond(v)), [false, true]);
    }

    #[test]
    fn a_rounded_reading_that_equals_its_bound_is_not_beyond() {
        let read = f64::from(0.1_f32);
        for direction in [Direction::HigherIsWorse, Direction::LowerIsWorse] {
            let bounds = Bounds { high: Some(0.1), low: Some(0.1), direction, inclusive: false };
            assert!(!bounds.is_beyond(0.1) && !bounds.is_low(0.1), "{direction:?}");
            assert!(!bounds.rounded().is_beyond(read) && !bounds.rounded().is_low(read), "{direction:?}");
            let inclusive = Bounds { inclusive: true, ..bounds };
            assert!(inclusive.is_beyond(0.1) && inclusive.rounded().is_beyond(read), "{direction:?}");
        }
    }
}
