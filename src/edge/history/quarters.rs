//! Readings of a quarter of an hour in one: how they are made, and a chunk of them as bytes, column by column.

use super::bytes::{Take, put, put_numbers, put_signed, seal, take_numbers, unseal};
use crate::core::cluster::Timestamp;
use crate::core::insight::{Entry, QUARTER, Rolled};

/// A quarter of an hour in milliseconds.
const MILLIS: i64 = QUARTER.millis();

/// The begin of the quarter an instant is in.
pub(super) const fn begin(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_sub(at.millis().rem_euclid(MILLIS)))
}

/// Adds readings in the order of time up to quarters. A quarter without a reading is left out.
pub(super) fn roll(entries: &[Entry]) -> Vec<Rolled> {
    let quarters = entries.chunk_by(|a, b| begin(a.at) == begin(b.at));
    let all = quarters.filter_map(|quarter| quarter.iter().map(Rolled::of).reduce(|a, b| a.with(&b)));
    all.map(|all| Rolled { at: begin(all.at), count: 0, low_count: 0, ..all }).collect()
}

/// More quarters than any chunk has: a larger number is damage.
const MOST: u64 = 1 << 20;

/// Quarters in the order of time as a chunk.
pub(super) fn write(quarters: &[Rolled]) -> Vec<u8> {
    let mut body = Vec::with_capacity(quarters.len() * 30 + 16);
    put(&mut body, quarters.len() as u64);
    let mut last = 0;
    for quarter in quarters {
        let number = quarter.at.millis().div_euclid(MILLIS);
        put_signed(&mut body, number - last);
        last = number;
    }
    let counts: [fn(&Rolled) -> u32; 3] = [|q| q.samples, |q| q.gaps, |q| q.numbers];
    for count in counts {
        quarters.iter().for_each(|quarter| put(&mut body, u64::from(count(quarter))));
    }
    // A quarter without numbers has NaN three times, which need not be written.
    let some: Vec<&Rolled> = quarters.iter().filter(|quarter| quarter.numbers > 0).collect();
    let values: [fn(&Rolled) -> f64; 3] = [|q| q.min, |q| q.max, |q| q.mean];
    for value in values {
        put_numbers(&mut body, &some.iter().map(|quarter| value(quarter)).collect::<Vec<_>>());
    }
    seal(&body)
}

/// Appends a chunk's quarters; `None` if it is damaged.
pub(super) fn read(data: &[u8], out: &mut Vec<Rolled>) -> Option<()> {
    let body = unseal(data)?;
    let mut take = Take(&body);
    let n = usize::try_from(take.number().filter(|n| *n <= MOST)?).ok()?;
    let mut last = 0_i64;
    let mut begins = Vec::with_capacity(n);
    for _ in 0..n {
        last = last.checked_add(take.signed()?)?;
        begins.push(Timestamp::from_millis(last.checked_mul(MILLIS)?));
    }
    let mut counts = || (0..n).map(|_| u32::try_from(take.number()?).ok()).collect::<Option<Vec<u32>>>();
    let (samples, gaps, numbers) = (counts()?, counts()?, counts()?);
    let some = numbers.iter().filter(|n| **n > 0).count();
    let mut values = || Some(take_numbers(&mut take, some)?.into_iter());
    let (mut mins, mut maxs, mut means) = (values()?, values()?, values()?);
    for i in 0..n {
        let (min, max, mean) =
            if numbers[i] > 0 { (mins.next()?, maxs.next()?, means.next()?) } else { (f64::NAN, f64::NAN, f64::NAN) };
        let (at, samples, numbers, gaps) = (begins[i], samples[i], numbers[i], gaps[i]);
        out.push(Rolled { at, min, mean, max, count: 0, low_count: 0, samples, numbers, gaps });
    }
    Some(())
}

#[cfg(test)]
mod roll_tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::cluster::Value;
    use crate::core::engine::VmState;
    use crate::core::insight::Seen;

    fn entry(minute: i64, seen: Seen) -> Entry {
        Entry { at: Timestamp::from_secs(60 * minute), seen, count: 0, low_count: 0, state: VmState::Watching }
    }

    fn exact(minute: i64, v: f64) -> Entry {
        entry(minute, Seen::Sample(Value::Exact(v)))
    }

    #[test]
    fn a_quarter_has_its_least_its_mean_its_greatest() {
        let gap = Seen::Gap(Arc::from("refused"));
        let busy = Seen::Sample(Value::Busy);
        let quarters = roll(&[exact(0, 4.0), entry(1, gap), exact(14, 1.0), entry(14, busy.clone()), exact(15, 9.0)]);
        let first = Rolled {
            at: Timestamp::from_secs(0),
            min: 1.0,
            mean: 2.5,
            max: 4.0,
            count: 0,
            low_count: 0,
            samples: 3,
            numbers: 2,
            gaps: 1,
        };
        assert_eq!(quarters[0], first);
        assert_eq!((quarters[1].at, quarters[1].mean), (Timestamp::from_secs(900), 9.0));
        assert_eq!(quarters.len(), 2);
        assert!(roll(&[entry(0, busy)])[0].mean.is_nan());
    }

    #[test]
    fn late_readings_join_their_quarter() {
        let whole = [exact(0, 4.0), exact(1, 1.0), exact(2, 7.0)];
        let joined = roll(&whole[..1])[0].with(&roll(&whole[1..])[0]);
        assert_eq!(joined, roll(&whole)[0]);
    }

    #[test]
    fn an_instant_before_1970_has_a_quarter_too() {
        assert_eq!(begin(Timestamp::from_millis(-1)), Timestamp::from_millis(-MILLIS));
    }
}

#[cfg(test)]
mod byte_tests {
    use proptest::prelude::*;

    use super::super::codec::strategy::entry;
    use super::*;

    proptest! {
        #[test]
        fn quarters_come_back_as_they_were(mut entries in prop::collection::vec(entry(900_000), 0..300)) {
            entries.sort_by_key(|entry| entry.at);
            let quarters = roll(&entries);
            let mut back = Vec::new();
            read(&write(&quarters), &mut back).expect("it was written so");
            // NaN is not equal to itself.
            prop_assert_eq!(format!("{back:?}"), format!("{quarters:?}"));
        }
    }

    #[test]
    fn a_damaged_chunk_is_no_chunk() {
        let rolled = Rolled {
            at: Timestamp::from_secs(900),
            min: 1.0,
            mean: 2.5,
            max: 4.0,
            count: 0,
            low_count: 0,
            samples: 2,
            numbers: 2,
            gaps: 1,
        };
        let mut data = write(&[rolled]);
        data[9] ^= 1;
        assert_eq!(read(&data, &mut Vec::new()), None);
    }
}
