//! Where values and instants fall on a graph.

use ratatui::layout::Rect;

use crate::core::cluster::{Span, Timestamp};

/// Where values and instants fall on the plot's dots.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// The cells within the axes.
    pub plot: Rect,
    /// The value at the foot.
    pub bottom: f64,
    /// The value at the top.
    pub top: f64,
    /// Dots to a cell, across and down.
    pub fine: (u16, u16),
    /// The left edge.
    pub from: Timestamp,
    /// From the left edge to the right one.
    pub span: Span,
}

impl Scale {
    /// Dots across.
    pub const fn columns(&self) -> u16 {
        self.plot.width * self.fine.0
    }

    /// Dots down.
    pub const fn rows(&self) -> u16 {
        self.plot.height * self.fine.1
    }

    /// The right edge.
    pub fn to(&self) -> Timestamp {
        self.from + self.span
    }

    /// Dots from the left; `None` outside.
    pub fn x(&self, at: Timestamp) -> Option<u16> {
        if at < self.from {
            return None;
        }
        let share = at.since(self.from).secs_f64() / self.span.secs_f64().max(1e-9);
        (share <= 1.0).then(|| (share * f64::from(self.columns().saturating_sub(1))).round() as u16)
    }

    /// The cell's column on the screen; `None` outside.
    pub fn column(&self, at: Timestamp) -> Option<u16> {
        self.x(at).map(|x| self.plot.x + x / self.fine.0)
    }

    /// The cells' columns of a stretch, as far as it is on the plot.
    pub fn stretch(&self, from: Timestamp, to: Timestamp) -> Option<(u16, u16)> {
        if to < self.from || from > self.to() {
            return None;
        }
        Some((self.column(from.max(self.from))?, self.column(to.min(self.to()))?))
    }

    /// Dots from the top.
    pub fn y(&self, value: f64) -> u16 {
        let share = ((value - self.bottom) / (self.top - self.bottom)).clamp(0.0, 1.0);
        ((1.0 - share) * f64::from(self.rows().saturating_sub(1))).round() as u16
    }

    /// The cell's row on the screen.
    pub fn row(&self, value: f64) -> u16 {
        self.plot.y + self.y(value) * self.plot.height / self.rows().max(1)
    }

    /// The value at so many dots from the top.
    pub fn value(&self, y: u16) -> f64 {
        self.top - f64::from(y) / f64::from(self.rows().saturating_sub(1).max(1)) * (self.top - self.bottom)
    }
}

/// Round numbers around all of these, and zero.
pub fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let seen = values.filter(|value| value.is_finite());
    let (low, high) = seen.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let top = if high > 0.0 { round_up(high) } else { 0.0 };
    let bottom = if low < 0.0 { -round_up(-low) } else { 0.0 };
    if top > bottom { (bottom, top) } else { (0.0, 1.0) }
}

/// The least of 1, 1.2, 1.6, 2, 3, 4, 5, 6, 8 times a power of ten that holds the value with a little room.
fn round_up(value: f64) -> f64 {
    let wanted = value * 1.04;
    let power = 10f64.powf(wanted.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
    let step = steps.into_iter().find(|step| step * power >= wanted).unwrap_or(10.0);
    step * power
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
    fn instants_outside_fall_nowhere_and_stretches_are_cut_to_the_plot() {
        let at = |s: i64| Timestamp::from_secs(1_000 + s);
        let scale = Scale {
            plot: Rect::new(5, 0, 10, 4),
            bottom: 0.0,
            top: 10.0,
            fine: (2, 4),
            from: at(0),
            span: Span::from_secs(100),
        };
        assert_eq!([-1, 0, 100, 101].map(|s| scale.column(at(s))), [None, Some(5), Some(14), None]);
        assert_eq!(scale.stretch(at(-50), at(500)), Some((5, 14)));
        assert_eq!(scale.stretch(at(-50), at(-1)), None);
        assert_eq!((scale.y(10.0), scale.y(0.0), scale.value(0), scale.value(15)), (0, 15, 10.0, 0.0));
    }
}
