//! A column of numbers: decimals as whole numbers' differences, others as planes of bytes.

use super::bytes::{Take, put_signed};

/// How a column is written: 0 to this many decimal places, or [`PLANES`].
const PLACES: u8 = 6;
const PLANES: u8 = 255;
/// Whole numbers up to here are exact in an `f64`.
const EXACT: f64 = 9.0e15;

/// Appends the numbers, bit for bit, NaN included.
pub(super) fn put_numbers(out: &mut Vec<u8>, numbers: &[f64]) {
    match (0..=PLACES).find_map(|places| Some((places, scaled(numbers, places)?))) {
        Some((places, whole)) => {
            out.push(places);
            let mut last = 0;
            for n in whole {
                put_signed(out, n - last);
                last = n;
            }
        }
        None => {
            out.push(PLANES);
            put_planes(out, numbers);
        }
    }
}

/// The numbers times a power of ten, if that says them exactly.
fn scaled(numbers: &[f64], places: u8) -> Option<Vec<i64>> {
    let power = 10_f64.powi(i32::from(places));
    let whole = |v: &f64| {
        let n = (v * power).round();
        let whole = n as i64;
        // By its bits: a minus zero is no zero.
        (n.abs() < EXACT && (whole as f64 / power).to_bits() == v.to_bits()).then_some(whole)
    };
    numbers.iter().map(whole).collect()
}

/// The first bytes of all, then the second bytes of all: signs and exponents are much alike.
fn put_planes(out: &mut Vec<u8>, numbers: &[f64]) {
    for plane in (0..8).rev() {
        let mut last = 0_u64;
        out.extend(numbers.iter().map(|v| {
            let changed = v.to_bits() ^ last;
            last = v.to_bits();
            (changed >> (8 * plane)) as u8
        }));
    }
}

/// Takes `n` numbers.
pub(super) fn take_numbers(take: &mut Take, n: usize) -> Option<Vec<f64>> {
    match take.byte()? {
        PLANES => take_planes(take, n),
        places @ 0..=PLACES => {
            let power = 10_f64.powi(i32::from(places));
            let mut last = 0_i64;
            (0..n)
                .map(|_| {
                    last = last.checked_add(take.signed()?)?;
                    Some(last as f64 / power)
                })
                .collect()
        }
        _ => None,
    }
}

fn take_planes(take: &mut Take, n: usize) -> Option<Vec<f64>> {
    let mut bits = vec![0_u64; n];
    for plane in (0..8).rev() {
        for (all, byte) in bits.iter_mut().zip(take.bytes(n)?) {
            *all |= u64::from(*byte) << (8 * plane);
        }
    }
    let mut last = 0;
    let whole = bits.into_iter().map(|changed| {
        last ^= changed;
        f64::from_bits(last)
    });
    Some(whole.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn len(numbers: &[f64]) -> usize {
        let mut out = Vec::new();
        put_numbers(&mut out, numbers);
        out.len()
    }

    proptest! {
        #[test]
        fn every_number_comes_back_bit_for_bit(
            numbers in prop_oneof![
                prop::collection::vec(any::<f64>(), 0..100),
                prop::collection::vec((-100_000_i32..100_000).prop_map(|n| f64::from(n) / 100.0), 0..100),
                prop::collection::vec(prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, 0.1, 1e300]), 0..100),
            ]
        ) {
            let mut out = Vec::new();
            put_numbers(&mut out, &numbers);
            let mut take = Take(&out);
            let back = take_numbers(&mut take, numbers.len()).expect("it was put there");
            prop_assert!(take.is_empty());
            let bits = |all: &[f64]| all.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&numbers));
        }
    }

    #[test]
    fn counts_and_decimals_are_short() {
        assert_eq!(len(&[7.0; 100]), 101);
        assert_eq!(len(&[12.34, 12.35, 12.30, 12.34]), 1 + 2 + 3);
        assert_eq!(len(&[std::f64::consts::PI; 100]), 801);
    }
}
