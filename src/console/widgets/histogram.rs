//! Numbers hour by hour: as bars with axes, or as one thin line.

use ratatui::layout::Rect;

use super::Canvas;
use super::axis::{self, Scale, place, range};
use crate::console::text::Zone;
use crate::console::theme::Role;
use crate::core::cluster::{Span, Timestamp};

/// Bars, one an hour; with more hours than columns each shows the greatest of its hours.
pub struct Histogram<'a> {
    /// Hour by hour, oldest first.
    pub values: &'a [u32],
    /// The first hour's begin.
    pub from: Timestamp,
    /// The clock below.
    pub zone: Zone,
    /// Columns at the left of the plot and at its right, at least.
    pub sides: (u16, u16),
}

impl Histogram<'_> {
    /// Draws it; the last two lines are the time axis. Says where hours fall; `None` without room.
    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) -> Option<Scale> {
        let most = self.values.iter().copied().max().unwrap_or(0);
        let span = Span::from_hours(self.values.len().max(1) as i64);
        let scale = place(canvas, area, (0.0, top(most)), self.sides, (self.from, span))?;
        let plot = scale.plot;
        for (columns, hours) in columns(plot.width, self.values.len()) {
            let value = self.values[hours].iter().copied().max().unwrap_or(0);
            let eighths = f64::from(value) / scale.top * f64::from(plot.height) * 8.0;
            // Little is not nothing.
            let eighths = (eighths.round() as u16).max(u16::from(value > 0));
            for x in columns.map(|x| plot.x + x) {
                bar(canvas, plot, x, eighths);
            }
        }
        axis::time(canvas, &scale, self.zone, true);
        Some(scale)
    }
}

/// An even number that holds the greatest one, so that half of it is one too.
fn top(most: u32) -> f64 {
    if most <= 10 {
        return f64::from(most.max(2).next_multiple_of(2));
    }
    let (_, top) = range([f64::from(most)].into_iter());
    (top / 2.0).ceil() * 2.0
}

fn bar(canvas: &mut Canvas<'_>, plot: Rect, x: u16, eighths: u16) {
    let bars = canvas.glyphs.bars;
    for (row, y) in (plot.top()..plot.bottom()).rev().enumerate() {
        match eighths.saturating_sub(8 * row as u16) {
            0 => return,
            part => canvas.glyph(x, y, bars[usize::from(part.min(8)) - 1], Role::Graph),
        }
    }
}

/// Which columns show which hours. Bars stand a column apart if all of them are wide enough for that: otherwise some
/// would, and look like groups.
fn columns(width: u16, hours: usize) -> impl Iterator<Item = (std::ops::Range<u16>, std::ops::Range<usize>)> {
    let (wide, many) = (usize::from(width), hours.max(1));
    let bars = many.min(wide);
    let apart = usize::from(bars > 0 && wide / bars >= 3);
    (0..bars).map(move |i| {
        let (begin, end) = (i * wide / bars, (i + 1) * wide / bars);
        let of_hours = if hours == 0 { 0..0 } else { i * many / bars..(i + 1) * many / bars };
        (begin as u16..(end - apart) as u16, of_hours)
    })
}

/// Numbers hour by hour in one line, against `most`; nothing is a blank.
pub fn hourly(canvas: &mut Canvas<'_>, scale: &Scale, y: u16, values: &[f32], most: f32, role: Role) {
    let steps = canvas.glyphs.spark;
    for (columns, hours) in columns(scale.plot.width, values.len()) {
        let value = values[hours].iter().copied().fold(0.0, f32::max);
        if value <= 0.0 {
            continue;
        }
        let step = (value / most.max(f32::MIN_POSITIVE) * steps.len() as f32).ceil() as usize;
        for x in columns {
            canvas.glyph(scale.plot.x + x, y, steps[step.clamp(1, steps.len()) - 1], role);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_axis_is_a_whole_number() {
        assert_eq!([0, 1, 3, 10, 11, 14, 130].map(top), [2.0, 2.0, 4.0, 10.0, 12.0, 16.0, 160.0]);
    }

    #[test]
    fn every_hour_is_shown_once_and_no_column_twice() {
        for (width, hours) in [(60, 24), (60, 49), (60, 168), (8, 169), (190, 25)] {
            let all: Vec<_> = columns(width, hours).collect();
            let shown: Vec<usize> = all.iter().flat_map(|(_, hours)| hours.clone()).collect();
            assert_eq!(shown, (0..hours).collect::<Vec<_>>(), "{width} columns, {hours} hours");
            assert!(all.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start));
            assert!(all.iter().all(|(columns, _)| !columns.is_empty() && columns.end <= width));
        }
    }
}
