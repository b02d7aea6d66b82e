//! How readings become bytes, and bytes readings.
//!
//! There are two forms. To a `head` each reading is appended as it comes, 64 VMs in one row, so that a batch of many VMs
//! touches few pages. A `chunk` has some 128 readings of one VM column by column, compressed and sealed with a checksum:
//! `n · times · kinds · numbers · states · counts · low counts · reasons`. Its times are differences of differences and its
//! counts differences: nearly all of them are zero for a service that is read once a minute, and compression makes them
//! vanish.

use std::sync::Arc;

use super::bytes::{Take, put, put_numbers, put_signed, put_text, seal, take_numbers, unseal};
use crate::core::cluster::{Timestamp, Value};
use crate::core::engine::VmState;
use crate::core::insight::{Entry, Seen};

/// A state's number in the file. It never changes, because old files have it.
const fn state_number(state: VmState) -> u8 {
    match state {
        VmState::Migrating => 0,
        VmState::Held => 1,
        VmState::Flapping => 2,
        VmState::Resting => 3,
        VmState::Stale => 4,
        VmState::Settling => 5,
        VmState::Waiting => 6,
        VmState::Watching => 7,
    }
}

const fn state_of(number: u8) -> Option<VmState> {
    Some(match number {
        0 => VmState::Migrating,
        1 => VmState::Held,
        2 => VmState::Flapping,
        3 => VmState::Resting,
        4 => VmState::Stale,
        5 => VmState::Settling,
        6 => VmState::Waiting,
        7 => VmState::Watching,
        _ => return None,
    })
}

/// What a reading was, in two bits.
const EXACT: u8 = 0;
const AT_LEAST: u8 = 1;
const BUSY: u8 = 2;
const GAP: u8 = 3;

/// More readings than any chunk has: a larger number is damage.
const MOST: u64 = 1 << 20;

/// Readings in the order of time as a chunk.
pub(super) fn write(entries: &[Entry]) -> Vec<u8> {
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
        // The first difference is a whole time and no step: it would be written twice.
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
pub(super) fn read(data: &[u8], out: &mut Vec<Entry>) -> Option<()> {
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
pub(super) fn read_samples(data: &[u8], out: &mut Vec<(Timestamp, Option<f64>)>) -> Option<()> {
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

/// A reading of a head has its state in the low three bits of its second byte, and in these whether a count follows.
const COUNTED: u8 = 1 << 3;
const LOW_COUNTED: u8 = 1 << 4;

/// Appends a reading of the VM `lane`, 0 to 63, to a head's row. Its time is kept as the distance to `base`.
pub(super) fn push(out: &mut Vec<u8>, base: i64, lane: u8, entry: &Entry) {
    let flag = |count: u32, flag: u8| if count > 0 { flag } else { 0 };
    out.push(lane << 2 | kind(&entry.seen));
    out.push(state_number(entry.state) | flag(entry.count, COUNTED) | flag(entry.low_count, LOW_COUNTED));
    put_signed(out, entry.at.millis().wrapping_sub(base));
    match &entry.seen {
        Seen::Sample(value) => out.extend(value.number().into_iter().flat_map(f64::to_le_bytes)),
        Seen::Gap(why) => put_text(out, why),
    }
    for count in [entry.count, entry.low_count].into_iter().filter(|count| *count > 0) {
        put(out, u64::from(count));
    }
}

/// The readings of a head's row, each with its lane, in the order in which they came; of one lane only, if one is asked for.
/// `None` if the row is damaged.
pub(super) fn each(data: &[u8], base: i64, only: Option<u8>, mut found: impl FnMut(u8, Entry)) -> Option<()> {
    let mut take = Take(data);
    while !take.is_empty() {
        let (first, second) = (take.byte()?, take.byte()?);
        let (lane, kind) = (first >> 2, first & 3);
        let at = Timestamp::from_millis(take.signed()?.wrapping_add(base));
        let (value, why) = match kind {
            EXACT => (Some(Value::Exact(take.f64()?)), None),
            AT_LEAST => (Some(Value::AtLeast(take.f64()?)), None),
            BUSY => (Some(Value::Busy), None),
            _ => (None, Some(take.text()?)),
        };
        let mut counted = |flag| if second & flag == 0 { Some(0) } else { u32::try_from(take.number()?).ok() };
        let (count, low_count) = (counted(COUNTED)?, counted(LOW_COUNTED)?);
        if only.is_none_or(|only| only == lane) {
            let seen = match value {
                Some(value) => Seen::Sample(value),
                None => Seen::Gap(Arc::from(why.unwrap_or_default())),
            };
            found(lane, Entry { at, seen, count, low_count, state: state_of(second & 7)? });
        }
    }
    Some(())
}

#[cfg(test)]
pub(super) mod strategy {
    //! Readings of every kind, for properties.

    use proptest::prelude::*;

    use super::state_of;
    use crate::core::cluster::{Timestamp, Value};
    use crate::core::insight::{Entry, Seen};

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (0_u32..5_000).prop_map(f64::from),
            2 => (0_u32..5_000).prop_map(|n| f64::from(n) / 100.0),
            1 => any::<f64>().prop_filter("a reading is finite", |v| v.is_finite()),
        ]
    }

    fn seen() -> impl Strategy<Value = Seen> {
        prop_oneof![
            8 => number().prop_map(|v| Seen::Sample(Value::Exact(v))),
            1 => number().prop_map(|v| Seen::Sample(Value::AtLeast(v))),
            1 => Just(Seen::Sample(Value::Busy)),
            1 => "(connection refused|timeout|[a-zäß ]{0,9})".prop_map(|why| Seen::Gap(why.into())),
        ]
    }

    /// A reading within `span_s` seconds of 2009-05-06T12:40:00Z.
    pub(in crate::edge::history) fn entry(span_s: i64) -> impl Strategy<Value = Entry> {
        let at = prop_oneof![0..span_s * 1_000, (0..span_s).prop_map(|s| s * 1_000)];
        (at, seen(), 0_u32..9, 0_u32..3, 0_u8..8).prop_map(|(ms, seen, count, low_count, state)| Entry {
            at: Timestamp::from_millis(1_241_613_600_000 + ms),
            seen,
            count,
            low_count,
            state: state_of(state).expect("a state's number"),
        })
    }
}

#[cfg(test)]
mod state_tests {
    use super::*;

    #[test]
    fn every_state_has_a_number_of_its_own() {
        for number in 0..8 {
            assert_eq!(state_of(number).map(state_number), Some(number));
        }
        assert_eq!(state_of(8), None);
    }
}

#[cfg(test)]
mod chunk_tests {
    use proptest::prelude::*;

    use super::strategy::entry;
    use super::*;

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

#[cfg(test)]
mod head_tests {
    use proptest::prelude::*;

    use super::strategy::entry;
    use super::*;

    fn back(data: &[u8], base: i64, only: Option<u8>) -> Option<Vec<(u8, Entry)>> {
        let mut out = Vec::new();
        each(data, base, only, |lane, entry| out.push((lane, entry))).map(|()| out)
    }

    proptest! {
        #[test]
        fn readings_come_back_in_their_order(
            all in prop::collection::vec((0_u8..64, entry(90_000)), 0..100),
            base in 1_241_000_000_000..1_242_000_000_000_i64,
        ) {
            let mut data = Vec::new();
            for (lane, entry) in &all {
                push(&mut data, base, *lane, entry);
            }
            prop_assert_eq!(back(&data, base, None), Some(all.clone()));
            let third: Vec<_> = all.into_iter().filter(|(lane, _)| *lane == 3).collect();
            prop_assert_eq!(back(&data, base, Some(3)), Some(third));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), base: i64) {
            let _ = back(&bytes, base, None);
        }
    }
}
