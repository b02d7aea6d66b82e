//! Quarters of an hour of one VM, column by column.

use super::bytes::{Take, put, put_signed};
use super::numbers::{put_numbers, take_numbers};
use super::sealed::{seal, unseal};
use crate::core::cluster::Timestamp;
use crate::core::insight::Rolled;
use crate::edge::history::roll::{QUARTER, Quarter};

/// More than any chunk has.
const MOST: u64 = 1 << 20;

/// Quarters in the order of time as a chunk.
pub(in super::super) fn write_quarters(quarters: &[Quarter]) -> Vec<u8> {
    let mut body = Vec::with_capacity(quarters.len() * 30 + 16);
    put(&mut body, quarters.len() as u64);
    let mut last = 0;
    for quarter in quarters {
        let number = quarter.rolled.at.millis().div_euclid(QUARTER);
        put_signed(&mut body, number - last);
        last = number;
    }
    let counts: [fn(&Quarter) -> u32; 3] = [|q| q.rolled.samples, |q| q.rolled.gaps, |q| q.numbers];
    for count in counts {
        quarters.iter().for_each(|quarter| put(&mut body, u64::from(count(quarter))));
    }
    // NaN stands for none and need not be kept.
    let some: Vec<&Quarter> = quarters.iter().filter(|quarter| quarter.numbers > 0).collect();
    let values: [fn(&Quarter) -> f64; 3] = [|q| q.rolled.min, |q| q.rolled.max, |q| q.rolled.mean];
    for value in values {
        put_numbers(&mut body, &some.iter().map(|quarter| value(quarter)).collect::<Vec<_>>());
    }
    seal(&body)
}

/// Appends a chunk's quarters; `None` if it is damaged.
pub(in super::super) fn read_quarters(data: &[u8], out: &mut Vec<Quarter>) -> Option<()> {
    let body = unseal(data)?;
    let mut take = Take(&body);
    let n = usize::try_from(take.number().filter(|n| *n <= MOST)?).ok()?;
    let mut last = 0_i64;
    let mut begins = Vec::with_capacity(n);
    for _ in 0..n {
        last = last.checked_add(take.signed()?)?;
        begins.push(Timestamp::from_millis(last.checked_mul(QUARTER)?));
    }
    let mut counts = || (0..n).map(|_| u32::try_from(take.number()?).ok()).collect::<Option<Vec<u32>>>();
    let (samples, gaps, numbers) = (counts()?, counts()?, counts()?);
    let some = numbers.iter().filter(|n| **n > 0).count();
    let mut values = || Some(take_numbers(&mut take, some)?.into_iter());
    let (mut mins, mut maxs, mut means) = (values()?, values()?, values()?);
    for i in 0..n {
        let (min, max, mean) =
            if numbers[i] > 0 { (mins.next()?, maxs.next()?, means.next()?) } else { (f64::NAN, f64::NAN, f64::NAN) };
        let rolled = Rolled { at: begins[i], min, mean, max, samples: samples[i], gaps: gaps[i] };
        out.push(Quarter { rolled, numbers: numbers[i] });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::strategy::entry;
    use super::*;
    use crate::edge::history::roll::roll;

    proptest! {
        #[test]
        fn quarters_come_back_as_they_were(mut entries in prop::collection::vec(entry(900_000), 0..300)) {
            entries.sort_by_key(|entry| entry.at);
            let quarters = roll(&entries);
            let mut back = Vec::new();
            read_quarters(&write_quarters(&quarters), &mut back).expect("it was written so");
            // NaN is not equal to itself.
            prop_assert_eq!(format!("{back:?}"), format!("{quarters:?}"));
        }
    }

    #[test]
    fn a_damaged_chunk_is_no_chunk() {
        let rolled = Rolled { at: Timestamp::from_secs(900), min: 1.0, mean: 2.5, max: 4.0, samples: 2, gaps: 1 };
        let mut data = write_quarters(&[Quarter { rolled, numbers: 2 }]);
        data[9] ^= 1;
        assert_eq!(read_quarters(&data, &mut Vec::new()), None);
    }
}
