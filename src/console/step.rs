//! The numbers of a policy that keys change, and by how much.

use crate::core::policy::Field;

/// The numbers, in the order in which a key chooses them.
pub const FIELDS: [Field; 4] = [Field::Threshold, Field::Tarry, Field::LowThreshold, Field::LowTarry];

/// The next number up or down. A tarry changes by 1; a bound by about 5 %, in round steps; a whole bound by at least 1.
pub fn step(field: Field, from: f64, up: bool) -> f64 {
    let by = match field {
        Field::Tarry | Field::LowTarry => 1.0,
        Field::Threshold | Field::LowThreshold if from.fract() == 0.0 => nice(from.abs() * 0.05).max(1.0),
        Field::Threshold | Field::LowThreshold => nice(from.abs() * 0.05),
    };
    let to = if up { from + by } else { from - by };
    // Round away the error of binary fractions: 0.3 + 0.01 is 0.31.
    let grid = by / 1_000.0;
    if by >= 1.0 && from.fract() == 0.0 { to.round() } else { (to / grid).round() / (1.0 / grid).round() }
}

/// The nearest of 1, 2 and 5 times a power of ten; 1 if `size` is not positive.
fn nice(size: f64) -> f64 {
    if size <= 0.0 || !size.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(size.log10().floor());
    match size / power {
        m if m < 1.5 => power,
        m if m < 3.5 => 2.0 * power,
        m if m < 7.5 => 5.0 * power,
        _ => 10.0 * power,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_goes_by_five_percent_in_round_steps() {
        let up = [1.0, 10.0, 20.0, 50.0, 100.0, 800.0, 2_500.0, 0.3].map(|from| step(Field::Threshold, from, true));
        assert_eq!(up, [2.0, 11.0, 21.0, 52.0, 105.0, 850.0, 2_600.0, 0.32]);
    }

    #[test]
    fn down_undoes_up_nearby() {
        assert_eq!(step(Field::Threshold, 52.0, false), 50.0);
        assert_eq!(step(Field::LowThreshold, 0.32, false), 0.3);
    }

    #[test]
    fn a_tarry_goes_by_one() {
        assert_eq!(step(Field::Tarry, 60.0, true), 61.0);
        assert_eq!(step(Field::LowTarry, 1.0, false), 0.0);
    }
}
