//! A graph over time: values as a line of braille dots, bounds as dashed lines, moves as marks below.

use ratatui::layout::Rect;

use super::Pen;
use crate::console::text::{Zone, exact, number, width};
use crate::console::theme::Role;
use crate::core::cluster::{Direction, Span, Timestamp};
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
    fn past(self, value: f32, bound: Option<f64>, above: bool) -> bool {
        let value = f64::from(value);
        bound.is_some_and(|bound| if above { value > bound } else { value < bound })
    }

    /// Past the threshold.
    pub fn is_beyond(self, value: f32) -> bool {
        let equal = self.inclusive && self.high.is_some_and(|bound| f64::from(value) >= bound);
        equal || self.past(value, self.high, self.direction == Direction::HigherIsWorse)
    }

    /// Past the low threshold.
    pub fn is_low(self, value: f32) -> bool {
        self.past(value, self.low, self.direction == Direction::LowerIsWorse)
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

/// Where values and instants fall on the plot's dots.
struct Scale {
    plot: Rect,
    bottom: f64,
    top: f64,
    rows: u16,
    columns: u16,
    from: Timestamp,
    window: Span,
}

impl Scale {
    fn x(&self, at: Timestamp) -> Option<u16> {
        if at < self.from {
            return None;
        }
        let share = at.since(self.from).secs_f64() / self.window.secs_f64().max(1e-9);
        (share <= 1.0).then(|| (share * f64::from(self.columns.saturating_sub(1))).round() as u16)
    }

    /// Dots from the top.
    fn y(&self, value: f64) -> u16 {
        let share = ((value - self.bottom) / (self.top - self.bottom)).clamp(0.0, 1.0);
        let last = f64::from(self.rows.saturating_sub(1));
        ((1.0 - share) * last).round() as u16
    }

    fn row(&self, value: f64) -> u16 {
        self.plot.y + self.y(value) * self.plot.height / self.rows.max(1)
    }
}

impl Chart<'_> {
    /// Draws the graph; the last two lines are the time axis.
    pub fn draw(&self, pen: &mut Pen<'_>, area: Rect) {
        let (bottom, top) = self.range();
        // Written as the bounds beside them are, while that is short.
        let label = |value: f64| if (1e3..1e4).contains(&value) { format!("{value:.0}") } else { number(value) };
        let labels = [top, (top + bottom) / 2.0, bottom].map(label);
        let axis = labels.iter().map(|label| width(label)).max().unwrap_or(0) as u16 + 1;
        let right = self.bound_labels().iter().map(|(_, label)| width(label) as u16 + 1).max().unwrap_or(0);
        let Some(columns) = area.width.checked_sub(axis + 1 + right).filter(|columns| *columns >= 8) else { return };
        let Some(rows) = area.height.checked_sub(2).filter(|rows| *rows >= 2) else { return };
        let plot = Rect::new(area.x + axis + 1, area.y, columns, rows);
        let (fine_x, fine_y) = if pen.glyphs.braille { (2, 4) } else { (1, 3) };
        let from = self.now - self.window;
        let (rows, columns) = (rows * fine_y, columns * fine_x);
        let scale = Scale { plot, bottom, top, rows, columns, from, window: self.window };
        self.y_axis(pen, &scale, &labels, area.x, axis);
        self.bound_lines(pen, &scale);
        self.line(pen, &scale, fine_x, fine_y);
        self.time_axis(pen, &scale, fine_x);
    }

    /// Round numbers around everything that is shown.
    fn range(&self) -> (f64, f64) {
        let seen = self.points.iter().filter_map(|point| point.value).map(f64::from).filter(|value| value.is_finite());
        let all = seen.chain(self.bounds.high).chain(self.bounds.low);
        let (low, high) = all.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let top = if high > 0.0 { round_up(high) } else { 0.0 };
        let bottom = if low < 0.0 { -round_up(-low) } else { 0.0 };
        if top > bottom { (bottom, top) } else { (0.0, 1.0) }
    }

    fn bound_labels(&self) -> Vec<(f64, String)> {
        [self.bounds.high, self.bounds.low].into_iter().flatten().map(|bound| (bound, exact(bound))).collect()
    }

    fn y_axis(&self, pen: &mut Pen<'_>, scale: &Scale, labels: &[String; 3], x: u16, axis: u16) {
        let [step, tick, foot] = pen.glyphs.axis;
        let plot = scale.plot;
        for y in plot.top()..plot.bottom() {
            pen.glyph(x + axis, y, step, Role::Faint);
        }
        let middle = scale.row((scale.top + scale.bottom) / 2.0);
        for (y, label) in [(middle, &labels[1]), (plot.top(), &labels[0])] {
            // On a low graph half the height would share its line with other values.
            if y != plot.top() && plot.height < 5 {
                continue;
            }
            pen.put_right(x, y, axis - 1, label, Role::Quiet);
            pen.glyph(x + axis, y, tick, Role::Faint);
        }
        pen.put_right(x, plot.bottom(), axis - 1, &labels[2], Role::Quiet);
        pen.glyph(x + axis, plot.bottom(), foot, Role::Faint);
    }

    fn bound_lines(&self, pen: &mut Pen<'_>, scale: &Scale) {
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
    fn line(&self, pen: &mut Pen<'_>, scale: &Scale, fine_x: u16, fine_y: u16) {
        let mut dots = Dots::new(scale.plot, fine_x, fine_y);
        let mut last: Option<(u16, f32, Timestamp)> = None;
        for point in self.points {
            let (Some(value), Some(x)) = (point.value.filter(|value| value.is_finite()), scale.x(point.at)) else {
                last = None;
                continue;
            };
            let beyond = self.bounds.is_beyond(value);
            let y = scale.y(f64::from(value));
            match last.filter(|(_, _, at)| point.at.since(*at) <= self.longest_step) {
                Some((x0, v0, _)) => {
                    let both = beyond && self.bounds.is_beyond(v0);
                    let y0 = scale.y(f64::from(v0));
                    dots.join((x0, y0), (x, y), |dot_y| {
                        // Between two readings the line is past the bound where it lies past it.
                        let value =
                            scale.top - f64::from(dot_y) / f64::from(scale.rows - 1) * (scale.top - scale.bottom);
                        both || self.bounds.is_beyond(value as f32)
                    });
                }
                None => dots.set(x, y, beyond),
            }
            last = Some((x, value, point.at));
        }
        dots.draw(pen, scale.plot);
    }

    fn time_axis(&self, pen: &mut Pen<'_>, scale: &Scale, fine_x: u16) {
        let plot = scale.plot;
        let (y, below) = (plot.bottom(), plot.bottom() + 1);
        let [line, tick] = pen.glyphs.ticks;
        for x in plot.left()..plot.right() {
            pen.glyph(x, y, line, Role::Faint);
        }
        let column = |at| scale.x(at).map(|x| plot.x + x / fine_x);
        let now = "now";
        let now_at = plot.right() - width(now) as u16;
        let mut free = plot.x;
        for at in self.ticks(plot.width) {
            let Some(x) = column(at) else { continue };
            pen.glyph(x, y, tick, Role::Faint);
            let label = self.zone.read(at).format("%H:%M").to_string();
            let start = x.saturating_sub(2).max(plot.x);
            if start >= free && start + 6 < now_at {
                free = pen.put(start, below, 5, &label, Role::Quiet) + 2;
            }
        }
        pen.put(now_at, below, 3, now, Role::Quiet);
        let [moved, edited] = pen.glyphs.marks;
        for mark in self.marks {
            let Some(x) = column(mark.at) else { continue };
            let glyph = if matches!(mark.kind, MarkKind::Moved(_)) { moved } else { edited };
            pen.glyph(x, y, glyph, Role::Mark);
        }
    }

    /// Round instants, at least ten columns apart.
    fn ticks(&self, columns: u16) -> Vec<Timestamp> {
        const STEPS: [i64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440];
        let minutes = self.window.secs_f64() / 60.0;
        let most = f64::from((columns / 10).max(1));
        let step = STEPS.into_iter().find(|step| minutes / (*step as f64) <= most).unwrap_or(10_080) * 60_000;
        let start = (self.now - self.window).millis();
        let first = start + (step - start.rem_euclid(step)) % step;
        (first..=self.now.millis()).step_by(step as usize).map(Timestamp::from_millis).collect()
    }
}

/// The least of 1, 1.2, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that holds the value with a little room.
fn round_up(value: f64) -> f64 {
    let wanted = value * 1.04;
    let power = 10f64.powf(wanted.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
    let step = steps.into_iter().find(|step| step * power >= wanted).unwrap_or(10.0);
    step * power
}

/// A grid of dots, several to a character.
struct Dots {
    cells: Vec<(u8, bool)>,
    width: u16,
    height: u16,
    fine_x: u16,
    fine_y: u16,
}

impl Dots {
    fn new(plot: Rect, fine_x: u16, fine_y: u16) -> Self {
        let cells = vec![(0, false); usize::from(plot.width) * usize::from(plot.height)];
        Self { cells, width: plot.width, height: plot.height, fine_x, fine_y }
    }

    fn set(&mut self, x: u16, y: u16, beyond: bool) {
        // Bits of U+2800: the left column's dots are 1 2 3 7, the right one's 4 5 6 8.
        const BRAILLE: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let (column, row) = (x / self.fine_x, y / self.fine_y);
        if column >= self.width || row >= self.height {
            return;
        }
        let bit = BRAILLE[usize::from(y % self.fine_y)][usize::from(x % self.fine_x)];
        let cell = &mut self.cells[usize::from(row) * usize::from(self.width) + usize::from(column)];
        cell.0 |= bit;
        cell.1 |= beyond;
    }

    fn join(&mut self, (x0, y0): (u16, u16), (x1, y1): (u16, u16), beyond: impl Fn(u16) -> bool) {
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

    fn draw(&self, pen: &mut Pen<'_>, plot: Rect) {
        for (i, (bits, beyond)) in self.cells.iter().enumerate().filter(|(_, (bits, _))| *bits != 0) {
            let (x, y) = (i as u16 % self.width, i as u16 / self.width);
            let role = if *beyond { Role::Beyond } else { Role::Graph };
            let dots = if pen.glyphs.braille { char::from_u32(0x2800 + u32::from(*bits)) } else { Some(plain(*bits)) };
            pen.dots(plot.x + x, plot.y + y, dots.unwrap_or('*'), role);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let tops = [1.0, 50.0, 88.0, 112.0, 2_500.0, 0.07].map(round_up);
        let expected = [1.2, 60.0, 100.0, 120.0, 3_000.0, 0.08];
        for (top, expected) in tops.into_iter().zip(expected) {
            assert!((top - expected).abs() < 1e-9, "{top} is not {expected}");
        }
    }

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
}
