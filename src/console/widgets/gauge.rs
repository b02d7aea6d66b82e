//! Gauges: how much of something is used, done or counted.

use super::Canvas;
use crate::console::theme::Role;

/// `filled` of `steps` steps; says where it ended.
fn steps(pen: &mut Canvas<'_>, x: u16, y: u16, filled: u16, steps: u16, role: Role) -> u16 {
    let [full, empty] = pen.glyphs.gauge;
    for i in 0..steps {
        let (glyph, role) = if i < filled { (full, role) } else { (empty, Role::Faint) };
        pen.glyph(x + i, y, glyph, role);
    }
    x + steps
}

/// A share of 0 to 1 in `columns` steps; anything above 0 shows one, and only 95 % or more shows all.
pub fn gauge(pen: &mut Canvas<'_>, x: u16, y: u16, columns: u16, share: f32, role: Role) -> u16 {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let mut filled = (share * f32::from(columns)).round() as u16;
    if share > 0.0 {
        filled = filled.max(1);
    }
    if share < 0.95 && columns > 1 {
        filled = filled.min(columns - 1);
    }
    steps(pen, x, y, filled, columns, role)
}

/// A count against its tarry in at most three steps; only a full count fills them.
pub fn count_bar(pen: &mut Canvas<'_>, x: u16, y: u16, count: u32, tarry: u32, role: Role) {
    let columns = tarry.clamp(1, 3);
    let filled = if tarry <= 3 {
        count.min(columns)
    } else if count >= tarry {
        columns
    } else {
        (u64::from(count) * u64::from(columns)).div_ceil(u64::from(tarry)).min(u64::from(columns - 1)) as u32
    };
    steps(pen, x, y, filled as u16, columns as u16, role);
}
