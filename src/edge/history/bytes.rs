//! Whole numbers of few bytes, columns of decimals, and the envelope of a chunk. Whoever reads bytes trusts none of them.

use lz4_flex::block::{compress, decompress};

/// Appends a number, 7 bits a byte, the low ones first.
pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a number that may be negative. A number near zero takes few bytes.
pub(super) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, ((n << 1) ^ (n >> 63)) as u64);
}

/// Appends a text with its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Takes values off the front of some bytes. Every method returns `None` if the bytes end too early.
#[derive(Debug, Clone)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    pub(super) fn f64(&mut self) -> Option<f64> {
        Some(f64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.bytes(len)?).ok()
    }
}

/// A checksum of 32 bits that notices a flipped bit. It takes eight bytes at a time, because reading must be quick.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)));
    (mix(hash, ODD) >> 32) as u32
}

/// A column is written with 0 to this many decimal places, or as [`PLANES`].
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

/// The numbers times a power of ten, if all of them are whole then and can be restored exactly.
fn scaled(numbers: &[f64], places: u8) -> Option<Vec<i64>> {
    let power = 10_f64.powi(i32::from(places));
    let whole = |v: &f64| {
        let n = (v * power).round();
        let whole = n as i64;
        // Bits are compared because minus zero equals zero.
        (n.abs() < EXACT && (whole as f64 / power).to_bits() == v.to_bits()).then_some(whole)
    };
    numbers.iter().map(whole).collect()
}

/// Writes the first bytes of all numbers, then the second bytes and so on: signs and exponents are much alike, so they
/// compress well.
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

const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// More bytes than any chunk has: a larger number is damage.
const LONGEST: u64 = 1 << 24;

pub(super) fn seal(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4];
    let packed = compress(body);
    if packed.len() + 3 < body.len() {
        out.push(LZ4);
        put(&mut out, body.len() as u64);
        out.extend_from_slice(&packed);
    } else {
        out.push(PLAIN);
        out.extend_from_slice(body);
    }
    let sum = checksum(&out[4..]);
    out[..4].copy_from_slice(&sum.to_le_bytes());
    out
}

/// The columns of a sealed chunk; `None` if a bit of it is flipped.
pub(super) fn unseal(data: &[u8]) -> Option<Vec<u8>> {
    let (sum, rest) = data.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(rest) {
        return None;
    }
    let mut take = Take(rest);
    match take.byte()? {
        PLAIN => Some(take.0.to_vec()),
        LZ4 => {
            let len = take.number().filter(|len| *len < LONGEST)?;
            decompress(take.0, usize::try_from(len).ok()?).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod byte_tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(n: u64, signed: i64, text: String) {
            let mut out = Vec::new();
            put(&mut out, n);
            put_signed(&mut out, signed);
            put_text(&mut out, &text);
            let mut take = Take(&out);
            prop_assert_eq!(take.number(), Some(n));
            prop_assert_eq!(take.signed(), Some(signed));
            prop_assert_eq!(take.text(), Some(text.as_str()));
            prop_assert!(take.is_empty());
        }

        #[test]
        fn a_flipped_bit_is_noticed(mut bytes in prop::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, bit in 0_u8..8) {
            let before = checksum(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert_ne!(checksum(&bytes), before);
        }
    }

    #[test]
    fn small_numbers_are_short() {
        let len = |n| {
            let mut out = Vec::new();
            put_signed(&mut out, n);
            out.len()
        };
        assert_eq!([0, -1, 63, -64, 64, 60_000].map(len), [1, 1, 1, 1, 2, 3]);
    }
}

#[cfg(test)]
mod number_tests {
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
