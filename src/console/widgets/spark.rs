//! A sparkline: the newest values in one line, coloured where they are past a bound.

use super::Canvas;
use super::chart::Bounds;
use crate::console::theme::Role;

/// The last `columns` values, the newest at the right; a gap is a blank.
pub fn spark(pen: &mut Canvas<'_>, x: u16, y: u16, columns: u16, values: &[f32], bounds: Bounds) {
    let bounds = bounds.rounded();
    let values = &values[values.len().saturating_sub(usize::from(columns))..];
    let seen = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = seen.fold((0.0_f32, 0.0_f32), |(low, high), value| (low.min(value), high.max(value)));
    let high = bounds.high.map_or(high, |bound| high.max(bound as f32));
    let first = x + columns - values.len() as u16;
    for (i, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        let steps = pen.glyphs.spark;
        let step = ((share * steps.len() as f32) as usize).min(steps.len() - 1);
        let role = match () {
            () if bounds.is_beyond(f64::from(*value)) => Role::Beyond,
            () if bounds.is_low(f64::from(*value)) => Role::Low,
            () => Role::Quiet,
        };
        pen.glyph(first + i as u16, y, steps[step], role);
    }
}
