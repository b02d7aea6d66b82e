//! How readings become bytes, and bytes readings.
//!
//! Two forms: `head`, to which a reading is appended as it comes, 64 VMs together; and `chunk`, some 128 readings of one
//! VM in columns, compressed and sealed with a checksum. Quarters of an hour are kept in chunks too.

mod bytes;
mod chunk;
pub(super) mod head;
mod numbers;
mod quarters;
mod sealed;

use crate::core::engine::VmState;

pub(super) use chunk::{read, read_samples, write};
pub(super) use quarters::{read_quarters, write_quarters};

/// A state's number in the file. It never changes: old files have it.
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
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_number_of_its_own() {
        for number in 0..8 {
            assert_eq!(state_of(number).map(state_number), Some(number));
        }
        assert_eq!(state_of(8), None);
    }
}
