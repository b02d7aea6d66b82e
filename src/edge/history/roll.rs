//! Readings of a quarter of an hour in one.

use crate::core::cluster::Timestamp;
use crate::core::insight::{Entry, Rolled, Seen};

/// A quarter of an hour, milliseconds.
pub(super) const QUARTER: i64 = 15 * 60 * 1_000;

/// A quarter, and how many numbers its mean is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quarter {
    pub(super) rolled: Rolled,
    pub(super) numbers: u32,
}

/// The begin of the quarter an instant is in.
pub(super) const fn begin(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_sub(at.millis().rem_euclid(QUARTER)))
}

/// Readings in the order of time as quarters, those without a reading left out.
pub(super) fn roll(entries: &[Entry]) -> Vec<Quarter> {
    entries.chunk_by(|a, b| begin(a.at) == begin(b.at)).filter_map(one).collect()
}

fn one(entries: &[Entry]) -> Option<Quarter> {
    let at = begin(entries.first()?.at);
    let (mut min, mut max, mut sum) = (f64::NAN, f64::NAN, 0.0);
    let (mut samples, mut gaps, mut numbers) = (0, 0, 0);
    for entry in entries {
        match &entry.seen {
            Seen::Gap(_) => gaps += 1,
            Seen::Sample(value) => {
                samples += 1;
                if let Some(v) = value.number() {
                    // `min` and `max` prefer a number to NaN.
                    (min, max, sum) = (v.min(min), v.max(max), sum + v);
                    numbers += 1;
                }
            }
        }
    }
    let mean = if numbers == 0 { f64::NAN } else { sum / f64::from(numbers) };
    Some(Quarter { rolled: Rolled { at, min, mean, max, samples, gaps }, numbers })
}

/// Two parts of the same quarter as one: readings that came after it had been rolled up.
pub(super) fn join(a: &Quarter, b: &Quarter) -> Quarter {
    let numbers = a.numbers + b.numbers;
    let mean = match (a.numbers, b.numbers) {
        (0, _) => b.rolled.mean,
        (_, 0) => a.rolled.mean,
        (n, m) => (a.rolled.mean * f64::from(n) + b.rolled.mean * f64::from(m)) / f64::from(numbers),
    };
    let rolled = Rolled {
        at: a.rolled.at,
        min: a.rolled.min.min(b.rolled.min),
        mean,
        max: a.rolled.max.max(b.rolled.max),
        samples: a.rolled.samples + b.rolled.samples,
        gaps: a.rolled.gaps + b.rolled.gaps,
    };
    Quarter { rolled, numbers }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::cluster::Value;
    use crate::core::engine::VmState;

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
        let first = Rolled { at: Timestamp::from_secs(0), min: 1.0, mean: 2.5, max: 4.0, samples: 3, gaps: 1 };
        assert_eq!(quarters[0], Quarter { rolled: first, numbers: 2 });
        assert_eq!((quarters[1].rolled.at, quarters[1].rolled.mean), (Timestamp::from_secs(900), 9.0));
        assert_eq!(quarters.len(), 2);
        assert!(roll(&[entry(0, busy)])[0].rolled.mean.is_nan());
    }

    #[test]
    fn late_readings_join_their_quarter() {
        let whole = [exact(0, 4.0), exact(1, 1.0), exact(2, 7.0)];
        let joined = join(&roll(&whole[..1])[0], &roll(&whole[1..])[0]);
        assert_eq!(joined, roll(&whole)[0]);
    }

    #[test]
    fn an_instant_before_1970_has_a_quarter_too() {
        assert_eq!(begin(Timestamp::from_millis(-1)), Timestamp::from_millis(-QUARTER));
    }
}
