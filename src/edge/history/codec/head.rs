//! Readings as they come: one after the other, 64 VMs in one row, so that a batch of many VMs touches few pages.

use std::sync::Arc;

use super::bytes::{Take, put, put_signed, put_text};
use super::{AT_LEAST, BUSY, EXACT, GAP, state_number, state_of};
use crate::core::cluster::{Timestamp, Value};
use crate::core::insight::{Entry, Seen};

/// The second byte: a state in the low three bits, and which counts follow.
const COUNTED: u8 = 1 << 3;
const LOW_COUNTED: u8 = 1 << 4;

/// Appends a reading of a row's VM `lane`, 0 to 63. Its time is kept as the distance to `base`.
pub(in super::super) fn push(out: &mut Vec<u8>, base: i64, lane: u8, entry: &Entry) {
    let kind = match &entry.seen {
        Seen::Sample(Value::Exact(_)) => EXACT,
        Seen::Sample(Value::AtLeast(_)) => AT_LEAST,
        Seen::Sample(Value::Busy) => BUSY,
        Seen::Gap(_) => GAP,
    };
    let flag = |count: u32, flag: u8| if count > 0 { flag } else { 0 };
    out.push(lane << 2 | kind);
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

/// A row's readings, each with its lane, in the order in which they came; of one lane only, if one is asked for.
/// `None` if the row is damaged.
pub(in super::super) fn each(data: &[u8], base: i64, only: Option<u8>, mut found: impl FnMut(u8, Entry)) -> Option<()> {
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
mod tests {
    use proptest::prelude::*;

    use super::super::strategy::entry;
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
