//! What-if over an engine's own past: with the gates out of the way, settings decide what they decided.

use std::sync::Arc;

use chrono_tz::Europe::Oslo;
use proptest::prelude::*;

use super::harness::*;
use crate::core::cluster::{Direction, Reading, Span, Timestamp};
use crate::core::engine::{Happened, Record};
use crate::core::insight::{Entry, Prices, Recording, Seen};
use crate::core::policy::{Bound, Decision, Resting, Rule, Settings, WorkingHours};

/// What the history keeps of a record that is a reading.
fn entry(record: &Record) -> Option<Entry> {
    let at = record.at;
    match &record.what {
        Happened::Sample { value, count, low_count, state, .. } => {
            Some(Entry { at, seen: Seen::Sample(*value), count: *count, low_count: *low_count, state: *state })
        }
        Happened::Gap { reason, state } => {
            Some(Entry { at, seen: Seen::Gap(Arc::from(reason.as_str())), count: 0, low_count: 0, state: *state })
        }
        _ => None,
    }
}

fn reading(n: u8) -> Reading {
    match n {
        0 => Reading::Gap("refused".to_owned()),
        1 => Reading::Busy,
        2 => Reading::AtLeast(80.0),
        3..6 => Reading::Raw(0.0),
        6 => Reading::Raw(25.0),
        _ => Reading::Raw(60.0),
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let hours = prop_oneof![Just("Mon-Fri 08:00-16:00"), Just("14:00-14:58, 15:20-17:03"), Just("00:00-24:00")];
    let settle = prop_oneof![Just(0_i64), Just(45), Just(60), Just(200)];
    (1_u32..5, 1_u32..6, proptest::option::of(proptest::option::of(hours)), settle).prop_map(
        |(tarry, low_tarry, rule, settle)| {
            let (high, low) = (Bound { at: 50.0, tarry }, Bound { at: 1.0, tarry: low_tarry });
            let rule = match rule {
                None => Rule::Threshold { high },
                Some(None) => Rule::Base { high, low },
                Some(Some(hours)) => {
                    let hours = WorkingHours::parse(hours, Oslo).unwrap();
                    Rule::Schedule { high, low, hours, resting: Resting::Record }
                }
            };
            let mut settings = Settings::new(rule, Direction::HigherIsWorse);
            settings.settle = Span::from_secs(settle);
            settings
        },
    )
}

proptest! {
    #[test]
    fn settings_over_their_own_past_decide_as_they_did(
        settings in settings(), readings in proptest::collection::vec(0_u8..10, 30..300),
    ) {
        let mut readings = readings.into_iter();
        let long = Span::from_mins(readings.len() as i64);
        let mut world =
            World::new(cluster(4, settings.clone()), move |_, _| readings.next().map_or(Reading::Raw(25.0), reading));
        world.run_for(long);
        let Some(recording) = Recording::of_entries(&world.records.iter().filter_map(entry).collect::<Vec<_>>()) else {
            return Ok(());
        };
        let last = recording.ends().1;
        let decided = world.records.iter().filter_map(|record| match record.what {
            // The hours may end after the last reading.
            Happened::Decision { action, .. } if record.at <= last => Some((record.at, action)),
            _ => None,
        });
        let decided: Vec<(Timestamp, Decision)> = decided.collect();
        let tried = recording.try_out(&settings, Prices::default()).unwrap();
        let tried: Vec<_> = tried.outcome.all_moves.iter().map(|would| (would.at, would.decision)).collect();
        prop_assert_eq!(tried, decided);
    }
}
