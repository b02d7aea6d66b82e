//! Some 128 readings of one VM, column by column.
//!
//! `n · times · kinds · numbers · states · counts · low counts · reasons`. Times are differences of differences, and the
//! counts differences: nearly all zero for a service read once a minute, which compression makes vanish.

use std::sync::Arc;

use super::bytes::{Take, put, put_signed, put_text};
use super::numbers::{put_numbers, take_numbers};
use super::sealed::{seal, unseal};
use super::{AT_LEAST, BUSY, EXACT, GAP, state_number, state_of};
use crate::core::cluster::{Timestamp, Value};
use crate::core::insight::{Entry, Seen};

/// More than any chunk has.
const MOST: u64 = 1 << 20;

/// Readings in the order of time as a chunk.
pub(in super::super) fn write(entries: &[Entry]) -> Vec<u8> {
    let mut body = Vec::with_capacity(entries.len() * 12 + 16);
    put(&mut body, entries.len() as u64);
    put_times(&mut body, entries);
    for four in entries.chunks(4) {
        body.push(four.iter().rev().fold(0, |byte, entry| byte << 2 | kind(&entry.seen)));
    }
    let numbers: Vec<f64> = entries.iter().filter_map(number).collect();
    put_numbers(&mut body, &numbers);
    body.extend(entries.iter().map(|entry| state_number(entry.state)));
    put_counts(&mut body, entries.iter().map(|entry| entry.count));
    put_counts(&mut body, entries.iter().map(|entry| entry.low_count));
    put_reasons(&mut body, entries);
    seal(&body)
}

const fn kind(seen: &Seen) -> u8 {
    match seen {
        Seen::Sample(Value::Exact(_)) => EXACT,
        Seen::Sample(Value::AtLeast(_)) => AT_LEAST,
        Seen::Sample(Value::Busy) => BUSY,
        Seen::Gap(_) => GAP,
    }
}

fn number(entry: &Entry) -> Option<f64> {
    match &entry.seen {
        Seen::Sample(value) => value.number(),
        Seen::Gap(_) => None,
    }
}

fn put_times(out: &mut Vec<u8>, entries: &[Entry]) {
    let (mut last, mut step) = (0_i64, 0_i64);
    for entry in entries {
        let next = entry.at.millis().wrapping_sub(last);
        put_signed(out, next.wrapping_sub(step));
        // The first one is no step: it would come twice.
        step = if last == 0 { 0 } else { next };
        last = entry.at.millis();
    }
}

fn take_times(take: &mut Take, n: usize) -> Option<Vec<i64>> {
    let (mut last, mut step) = (0_i64, 0_i64);
    (0..n)
        .map(|_| {
            let next = take.signed()?.wrapping_add(step);
            step = if last == 0 { 0 } else { next };
            last = last.wrapping_add(next);
            Some(last)
        })
        .collect()
}

fn put_counts(out: &mut Vec<u8>, counts: impl Iterator<Item = u32>) {
    let mut last = 0;
    for count in counts.map(i64::from) {
        put_signed(out, count - last);
        last = count;
    }
}

fn take_counts(take: &mut Take, n: usize) -> Option<Vec<u32>> {
    let mut last = 0_i64;
    (0..n)
        .map(|_| {
            last = last.checked_add(take.signed()?)?;
            u32::try_from(last).ok()
        })
        .collect()
}

/// Each reason once, then which one each gap has.
fn put_reasons(out: &mut Vec<u8>, entries: &[Entry]) {
    let mut known: Vec<&str> = Vec::new();
    let mut which = Vec::new();
    for entry in entries {
        if let Seen::Gap(why) = &entry.seen {
            let at = known.iter().position(|k| *k == &**why).unwrap_or_else(|| {
                known.push(why);
                known.len() - 1
            });
            put(&mut which, at as u64);
        }
    }
    put(out, known.len() as u64);
    for why in known {
        put_text(out, why);
    }
    out.extend_from_slice(&which);
}

/// The columns a sample needs.
struct Front {
    times: Vec<i64>,
    kinds: Vec<u8>,
    numbers: std::vec::IntoIter<f64>,
}

impl Front {
    fn take(take: &mut Take) -> Option<Self> {
        let n = usize::try_from(take.number().filter(|n| *n <= MOST)?).ok()?;
        let times = take_times(take, n)?;
        let packed = take.bytes(n.div_ceil(4))?;
        let kinds: Vec<u8> = (0..n).map(|i| packed[i / 4] >> (2 * (i % 4)) & 3).collect();
        let numbers = take_numbers(take, kinds.iter().filter(|kind| **kind <= AT_LEAST).count())?;
        Some(Self { times, kinds, numbers: numbers.into_iter() })
    }
}

/// Appends a chunk's readings; `None` if it is damaged.
pub(in super::super) fn read(data: &[u8], out: &mut Vec<Entry>) -> Option<()> {
    let body = unseal(data)?;
    let mut take = Take(&body);
    let mut front = Front::take(&mut take)?;
    let n = front.times.len();
    let states = take.bytes(n)?;
    let (counts, lows) = (take_counts(&mut take, n)?, take_counts(&mut take, n)?);
    let known = take.number().filter(|known| *known <= n as u64)?;
    let reasons: Vec<Arc<str>> = (0..known).map(|_| take.text().map(Arc::from)).collect::<Option<_>>()?;
    out.reserve(n);
    for i in 0..n {
        let seen = match front.kinds[i] {
            EXACT => Seen::Sample(Value::Exact(front.numbers.next()?)),
            AT_LEAST => Seen::Sample(Value::AtLeast(front.numbers.next()?)),
            BUSY => Seen::Sample(Value::Busy),
            _ => Seen::Gap(Arc::clone(reasons.get(usize::try_from(take.number()?).ok()?)?)),
        };
        let (at, state) = (Timestamp::from_millis(front.times[i]), state_of(states[i])?);
        out.push(Entry { at, seen, count: counts[i], low_count: lows[i], state });
    }
    Some(())
}

/// Appends a chunk's samples, without a number where the service was too busy; `None` if it is damaged.
pub(in super::super) fn read_samples(data: &[u8], out: &mut Vec<(Timestamp, Option<f64>)>) -> Option<()> {
    let body = unseal(data)?;
    let mut front = Front::take(&mut Take(&body))?;
    for (at, kind) in front.times.into_iter().zip(front.kinds) {
        let at = Timestamp::from_millis(at);
        match kind {
            GAP => {}
            BUSY => out.push((at, None)),
            _ => out.push((at, Some(front.numbers.next()?))),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::strategy::entry;
    use super::*;
    use crate::core::engine::VmState;

    fn back(data: &[u8]) -> Option<Vec<Entry>> {
        let mut out = Vec::new();
        read(data, &mut out).map(|()| out)
    }

    proptest! {
        #[test]
        fn readings_come_back_as_they_were(entries in prop::collection::vec(entry(90_000), 0..300)) {
            let data = write(&entries);
            prop_assert_eq!(back(&data), Some(entries.clone()));
            let mut samples = Vec::new();
            read_samples(&data, &mut samples).expect("the same chunk");
            let expected: Vec<_> = entries.iter().filter_map(|entry| match &entry.seen {
                Seen::Sample(value) => Some((entry.at, value.number())),
                Seen::Gap(_) => None,
            }).collect();
            prop_assert_eq!(samples, expected);
        }

        #[test]
        fn a_damaged_chunk_is_no_chunk(entries in prop::collection::vec(entry(9_000), 1..50), at: prop::sample::Index, bit in 0_u8..8) {
            let mut data = write(&entries);
            let at = at.index(data.len());
            data[at] ^= 1_u8 << bit;
            prop_assert_eq!(back(&data), None);
            prop_assert_eq!(back(&data[..at]), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            // Past the checksum, as if it were right.
            let _ = back(&seal(&bytes));
        }
    }

    #[test]
    fn a_steady_gauge_takes_two_bytes_a_reading() {
        let entries: Vec<Entry> = (0..128_i64)
            .map(|n| Entry {
                at: Timestamp::from_secs(1_241_613_600 + 60 * n),
                seen: Seen::Sample(Value::Exact(((n * 7_919) % 97) as f64)),
                count: 0,
                low_count: 0,
                state: VmState::Watching,
            })
            .collect();
        let bytes = write(&entries).len();
        assert!(bytes < 2 * entries.len(), "{bytes} bytes");
    }
}
