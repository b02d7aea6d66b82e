//! What settings would have done: the same `decide` as the live engine, over recorded samples.
//!
//! Open-loop: the samples were taken where the VM then was, so the answer is an estimate. The VM starts in the ring,
//! watching; every move confirms at once; there are no gates.

use serde::{Deserialize, Serialize};

use super::recording::Recording;
use crate::core::cluster::{Span, Timestamp};
use crate::core::policy::{Decision, Observation, Place, Rule, Settings, State, What, decide};

/// Two ring moves closer than this are a quick repeat.
const QUICK: Span = Span::from_hours(1);
/// The strip's thresholds, in percent of the one asked about.
const STRIP_PERCENT: [i32; 6] = [-20, -10, -5, 5, 10, 20];

/// What settings would have done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Samples replayed.
    pub samples: usize,
    /// Observations that were missing: gaps that were recorded, and those that holes stand for.
    pub gaps: u64,
    /// From the first sample to the last, and a median distance more, in seconds.
    pub span_s: f64,
    /// Moves within the ring, or from the base into it.
    pub moves: usize,
    /// Moves to the base.
    pub moves_to_base: usize,
    /// Ring moves less than an hour after the ring move before.
    pub quick_moves: usize,
    /// How long the samples beyond the threshold stood, in seconds; settle and hours aside.
    pub beyond_s: f64,
    /// Every move of both kinds, oldest first. In JSON the instants of all, and apart those of moves to the base.
    #[serde(flatten, with = "instants")]
    pub all_moves: Vec<ReplayedMove>,
}

/// A move that would have been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayedMove {
    /// When.
    pub at: Timestamp,
    /// Which: [`Decision::Move`] or [`Decision::MoveToBase`].
    pub decision: Decision,
}

/// One line of the sensitivity strip.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The threshold that is tried.
    pub threshold: f64,
    /// The tarry that is tried.
    pub tarry: u32,
    /// Ring moves it would have made.
    pub moves: usize,
}

mod instants {
    use chrono::{DateTime, SecondsFormat};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Decision, ReplayedMove, Timestamp};

    #[derive(Serialize, Deserialize)]
    struct MoveTimes {
        move_at: Vec<String>,
        base_move_at: Vec<String>,
    }

    pub(super) fn serialize<S: Serializer>(moves: &[ReplayedMove], out: S) -> Result<S::Ok, S::Error> {
        let text = |moved: &ReplayedMove| moved.at.utc().to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let to_base = moves.iter().filter(|moved| moved.decision == Decision::MoveToBase);
        let times = MoveTimes { move_at: moves.iter().map(text).collect(), base_move_at: to_base.map(text).collect() };
        times.serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ReplayedMove>, D::Error> {
        let MoveTimes { move_at, base_move_at } = MoveTimes::deserialize(from)?;
        let moved = |text: &String| {
            let at = DateTime::parse_from_rfc3339(text).map_err(D::Error::custom)?;
            let decision = if base_move_at.contains(text) { Decision::MoveToBase } else { Decision::Move };
            Ok(ReplayedMove { at: Timestamp::from_millis(at.timestamp_millis()), decision })
        };
        move_at.iter().map(moved).collect()
    }
}

impl Recording {
    /// What these settings would have done.
    pub fn replay(&self, settings: &Settings) -> Outcome {
        let moves = self.moves(settings);
        let ring: Vec<Timestamp> = moves.iter().filter(|w| w.decision == Decision::Move).map(|w| w.at).collect();
        let beyond = settings.rule.high().map(|high| self.stood(|value| settings.is_beyond(value, high)));
        Outcome {
            samples: self.samples,
            gaps: self.gaps,
            span_s: self.span().secs_f64(),
            moves: ring.len(),
            moves_to_base: moves.len() - ring.len(),
            quick_moves: ring.windows(2).filter(|pair| pair[1].since(pair[0]) < QUICK).count(),
            beyond_s: beyond.unwrap_or_default().secs_f64(),
            all_moves: moves,
        }
    }

    /// Ring moves under thresholds and tarries around these; what cannot stand is left out.
    pub fn strip(&self, settings: &Settings) -> Vec<Variant> {
        let Some(high) = settings.rule.high() else { return Vec::new() };
        let thresholds = STRIP_PERCENT.iter().map(|p| (high.at * (1.0 + f64::from(*p) / 100.0), high.tarry));
        let tarries =
            [high.tarry.checked_sub(1), high.tarry.checked_add(1)].into_iter().flatten().map(|t| (high.at, t));
        let tried = thresholds.chain(tarries).filter_map(|(at, tarry)| {
            let mut varied = settings.clone();
            *varied.rule.high_mut()? = crate::core::policy::Bound { at, tarry };
            varied.check().ok()?;
            let moves = self.moves(&varied).iter().filter(|w| w.decision == Decision::Move).count();
            Some(Variant { threshold: at, tarry, moves })
        });
        tried.collect()
    }

    /// Every move these settings would have made, oldest first.
    pub(super) fn moves(&self, settings: &Settings) -> Vec<ReplayedMove> {
        let mut play = ReplayState::new(settings);
        for point in &self.points {
            if point.missing > 0 {
                play.gaps(point.at, self.median(), point.missing);
            }
            if !point.baseline {
                play.observed(point.at, point.what);
            }
        }
        play.moves
    }
}

/// A VM in a replay.
struct ReplayState<'a> {
    settings: &'a Settings,
    knows_base: bool,
    state: State,
    place: Place,
    settled: Timestamp,
    /// The next instant at which working hours begin or end.
    edge: Timestamp,
    moves: Vec<ReplayedMove>,
}

impl<'a> ReplayState<'a> {
    fn new(settings: &'a Settings) -> Self {
        let has_hours = matches!(settings.rule, Rule::Schedule { .. });
        Self {
            settings,
            knows_base: matches!(settings.rule, Rule::Base { .. } | Rule::Schedule { .. }),
            state: State::default(),
            place: Place::Ring,
            settled: Timestamp::from_millis(i64::MIN),
            edge: if has_hours { Timestamp::from_millis(i64::MIN) } else { Timestamp::NEVER },
            moves: Vec::new(),
        }
    }

    /// So many observations are missing before this instant, a median apart. As soon as they make the VM stale, more of them
    /// change nothing.
    fn gaps(&mut self, before: Timestamp, median: Span, missing: u32) {
        for n in (1..=missing.min(self.settings.stale_after)).rev() {
            self.observed(before - median.scaled(i64::from(n), 1), What::Gap);
        }
    }

    fn observed(&mut self, at: Timestamp, what: What) {
        if at >= self.edge {
            self.hours(at);
        }
        if at >= self.settled {
            self.observe(at, what);
        }
    }

    /// Decides where working hours began or ended, which happens between samples.
    fn hours(&mut self, now: Timestamp) {
        if self.state.hours.is_none() {
            self.observe(now, What::Clock);
        }
        loop {
            self.edge = self.state.hours.map_or(Timestamp::NEVER, |edge| edge.until);
            if self.edge > now {
                break;
            }
            self.observe(self.edge, What::Clock);
        }
    }

    fn observe(&mut self, at: Timestamp, what: What) {
        let verdict = decide(&mut self.state, self.settings, Observation { at, place: self.place, what });
        match verdict.decision {
            Decision::Move => self.arrive(at, Place::Ring, verdict.decision),
            Decision::MoveToBase => self.arrive(at, Place::Base, verdict.decision),
            Decision::Stay | Decision::MoveAway | Decision::MoveHome => {}
        }
    }

    fn arrive(&mut self, at: Timestamp, place: Place, decision: Decision) {
        self.moves.push(ReplayedMove { at, decision });
        self.place = place;
        self.state.reset_counts();
        let nothing_settles = self.knows_base && place == Place::Base;
        self.settled = if nothing_settles { at } else { at + self.settings.settle };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Direction;
    use crate::core::policy::{Bound, Resting, WorkingHours};

    const START: i64 = 1_241_613_600;

    fn minutes(values: &[f64]) -> Recording {
        let samples = values.iter().enumerate().filter(|(_, v)| !v.is_nan());
        Recording::new(samples.map(|(n, v)| (Timestamp::from_secs(START + 60 * n as i64), *v))).unwrap()
    }

    fn threshold(at: f64, tarry: u32) -> Settings {
        Settings::new(Rule::Threshold { high: Bound { at, tarry } }, Direction::HigherIsWorse)
    }

    fn base() -> Settings {
        let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 1.0, tarry: 4 });
        Settings::new(Rule::Base { high, low }, Direction::HigherIsWorse)
    }

    fn seconds(outcome: &Outcome) -> Vec<i64> {
        outcome.all_moves.iter().map(|moved| moved.at.millis() / 1_000 - START).collect()
    }

    #[test]
    fn constant_overload_moves_every_tarry_samples() {
        let outcome = minutes(&[60.0; 10]).replay(&threshold(50.0, 3));
        // A sample 60 s after a move is past its settle of 45 s, and counts.
        assert_eq!(seconds(&outcome), [120, 300, 480]);
        assert_eq!((outcome.moves, outcome.quick_moves, outcome.moves_to_base), (3, 2, 0));
        assert_eq!((outcome.span_s, outcome.beyond_s), (600.0, 600.0));
    }

    #[test]
    fn a_sample_within_settle_does_not_count() {
        let mut settings = threshold(50.0, 3);
        settings.settle = Span::from_secs(61);
        assert_eq!(seconds(&minutes(&[60.0; 10]).replay(&settings)), [120, 360]);
        settings.settle = Span::from_secs(60);
        assert_eq!(seconds(&minutes(&[60.0; 10]).replay(&settings)), [120, 300, 480]);
    }

    #[test]
    fn a_hole_is_gaps_that_neither_count_nor_reset_until_it_is_stale() {
        let nan = f64::NAN;
        let two = minutes(&[25.0, 25.0, 60.0, 60.0, nan, nan, 60.0]).replay(&threshold(50.0, 3));
        assert_eq!((two.gaps, two.moves), (2, 1));
        let three = minutes(&[25.0, 25.0, 60.0, 60.0, nan, nan, nan, 60.0, 60.0]).replay(&threshold(50.0, 3));
        assert_eq!((three.gaps, three.moves), (3, 0));
    }

    #[test]
    fn a_sample_stands_until_the_next_but_a_hole_is_nobodys() {
        let at = |s| Timestamp::from_secs(START + s);
        let recording =
            Recording::new([(at(0), 60.0), (at(60), 60.0), (at(120), 60.0), (at(205), 60.0), (at(600), 60.0)]);
        let outcome = recording.unwrap().replay(&threshold(50.0, 99));
        // The median of 60, 60, 85, 395 is 72.5; 85 s are within 1.5 of it, 395 s are not.
        assert_eq!(outcome.beyond_s, 60.0 + 60.0 + 85.0 + 72.5 + 72.5);
        assert_eq!(outcome.gaps, 4);
    }

    #[test]
    fn a_quiet_vm_goes_to_base_where_nothing_settles_and_comes_back() {
        let mut values = vec![0.0; 6];
        values.extend([60.0; 3]);
        let outcome = minutes(&values).replay(&base());
        assert_eq!(seconds(&outcome), [180, 480]);
        assert_eq!((outcome.moves, outcome.moves_to_base, outcome.quick_moves), (1, 1, 0));
    }

    #[test]
    fn of_samples_at_one_instant_the_last_stands() {
        let at = Timestamp::from_secs(START);
        let recording = Recording::new([(at, 1.0), (at, 60.0)]).unwrap();
        assert_eq!(recording.replay(&threshold(50.0, 1)).moves, 1);
        assert!(Recording::new([]).is_none());
    }

    #[test]
    fn hours_end_at_their_own_instant() {
        let hours = WorkingHours::parse("Wed 12:00-12:45", chrono_tz::UTC).unwrap();
        let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 1.0, tarry: 4 });
        let rule = Rule::Schedule { high, low, hours, resting: Resting::Record };
        let settings = Settings::new(rule, Direction::HigherIsWorse);
        let outcome = minutes(&[25.0; 30]).replay(&settings);
        assert_eq!(seconds(&outcome), [300], "12:45, at the end of the hours");
        assert_eq!(outcome.moves_to_base, 1);
    }

    #[test]
    fn the_strip_leaves_out_what_cannot_stand() {
        let recording = minutes(&[60.0; 10]);
        let strip = recording.strip(&threshold(50.0, 1));
        let tried: Vec<(f64, u32)> = strip.iter().map(|v| (v.threshold, v.tarry)).collect();
        let expected = [(40.0, 1), (45.0, 1), (47.5, 1), (52.5, 1), (55.0, 1), (60.0, 1), (50.0, 2)];
        assert_eq!(tried.len(), expected.len(), "a tarry of 0 cannot stand");
        for ((at, tarry), (expected_at, expected_tarry)) in tried.iter().zip(expected) {
            assert!((at - expected_at).abs() < 1e-9 && *tarry == expected_tarry, "{tried:?}");
        }
        assert_eq!(strip.last().map(|v| v.moves), Some(5));
        assert_eq!(strip[5].moves, 0, "60 is not beyond 60");
    }
}
