//! What other settings would have done: old against new over one recording.

use serde::{Deserialize, Serialize};

use super::json;
use super::recording::Recording;
use super::replay::{Outcome, ReplayedMove, Variant};
use crate::core::cluster::{Cluster, HostId, Span, Timestamp, VmId, rfc3339};
use crate::core::policy::{Decision, KeyChange, Rule, Settings};

/// Prices of an hour; zero where the config has none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// In the ring.
    pub ring: f64,
    /// On the base.
    pub base: f64,
}

impl Prices {
    /// The prices of a VM's array: the mean of its ring, and its base. Without a base no VM is ever there.
    pub fn of(cluster: &Cluster, vm: VmId) -> Self {
        let array = cluster.array(cluster.vm(vm).array);
        let price = |host: HostId| cluster.host(host).price;
        let ring: f64 = array.ring.iter().map(|host| price(*host)).sum();
        Self { ring: ring / array.ring.len().max(1) as f64, base: array.base.map_or(0.0, price) }
    }
}

/// What one side of a comparison would have done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedSide {
    /// Its moves, quick repeats and time beyond the threshold.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Moves of both kinds, an hour.
    pub requests_per_hour: f64,
    /// Time on the base: from an arrival there to the next ring move, or the end.
    #[serde(rename = "at_base_s", with = "json::seconds")]
    pub at_base: Span,
    /// What the whole span would have cost.
    pub cost: f64,
}

/// Old settings against new ones. Open-loop: the samples were taken where the VM then was. Its JSON is a contract:
/// docs/whatif.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first reading.
    #[serde(with = "rfc3339")]
    pub from: Timestamp,
    /// The last one.
    #[serde(with = "rfc3339")]
    pub to: Timestamp,
    /// The settings that differ.
    pub changes: Vec<KeyChange>,
    /// As the settings are.
    #[serde(rename = "now")]
    pub old: ComparedSide,
    /// As they would be.
    #[serde(rename = "would_be")]
    pub new: ComparedSide,
    /// The first instants at which the two decide differently; at most [`DIFFERENCES`].
    pub differences: Vec<Difference>,
    /// Ring moves under thresholds and tarries around the new ones. Empty until somebody calls [`Recording::strip`], which
    /// takes eight times as long as the rest.
    #[serde(rename = "sensitivity")]
    pub strip: Vec<Variant>,
}

/// The most differences in a comparison.
pub const DIFFERENCES: usize = 8;

/// An instant at which old and new differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// What the old settings decide.
    #[serde(rename = "now")]
    pub old: Decision,
    /// What the new ones decide.
    #[serde(rename = "would_be")]
    pub new: Decision,
}

/// Why what-if has no answer for a site policy.
pub const NO_WHAT_IF: &str = "a site policy decides from the queue in hand, which recorded samples do not tell";

/// What both settings would have done, without the strip; `None`: one of them is a site policy, see [`NO_WHAT_IF`].
pub fn compare(recording: &Recording, old: &Settings, new: &Settings, prices: Prices) -> Option<Comparison> {
    let changes = Settings::differences(old, new);
    Some(Comparison::between(recording, changes, recording.try_out(old, prices)?, recording.try_out(new, prices)?))
}

impl Comparison {
    /// Compares two sides that were tried over this recording, without the strip. `changes` are the differences of their
    /// settings.
    pub fn between(recording: &Recording, changes: Vec<KeyChange>, old: ComparedSide, new: ComparedSide) -> Self {
        let (from, to) = recording.ends();
        let differences = differences(&old.outcome.all_moves, &new.outcome.all_moves);
        Self { from, to, changes, old, new, differences, strip: Vec::new() }
    }
}

impl Recording {
    /// What these settings would have done, with its cost: one side of a comparison. `None`: they are a site policy's, see
    /// [`NO_WHAT_IF`].
    pub fn try_out(&self, settings: &Settings, prices: Prices) -> Option<ComparedSide> {
        if matches!(settings.rule, Rule::Site(_)) {
            return None;
        }
        let outcome = self.replay(settings);
        let at_base = at_base(&outcome.all_moves, self.ends().0 + self.span());
        let hours = outcome.span_s / 3_600.0;
        let base_hours = at_base.secs_f64() / 3_600.0;
        let requests_per_hour = if hours > 0.0 { outcome.all_moves.len() as f64 / hours } else { 0.0 };
        let cost = (hours - base_hours) * prices.ring + base_hours * prices.base;
        Some(ComparedSide { outcome, requests_per_hour, at_base, cost })
    }
}

fn at_base(moves: &[ReplayedMove], end: Timestamp) -> Span {
    let until = moves.iter().skip(1).map(|next| next.at).chain([end]);
    let stays = moves.iter().zip(until).filter(|(arrival, _)| arrival.decision == Decision::MoveToBase);
    stays.map(|(arrival, until)| until.since(arrival.at)).fold(Span::ZERO, |sum, stay| sum + stay)
}

/// Both are in the order of time.
fn differences(old: &[ReplayedMove], new: &[ReplayedMove]) -> Vec<Difference> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut found = Vec::new();
    while found.len() < DIFFERENCES {
        let Some(at) = old.peek().into_iter().chain(new.peek()).map(|would| would.at).min() else { break };
        let say = |side: &mut std::iter::Peekable<std::slice::Iter<'_, ReplayedMove>>| {
            side.next_if(|would| would.at == at).map_or(Decision::Stay, |would| would.decision)
        };
        let (old, new) = (say(&mut old), say(&mut new));
        if old != new {
            found.push(Difference { at, old, new });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::BTreeMap;

    use super::*;
    use crate::core::cluster::Direction;
    use crate::core::policy::{Bound, Resting, SiteRule, What, WorkingHours};

    /// A Wednesday, 12:40.
    const START: i64 = 1_241_613_600;
    const PRICES: Prices = Prices { ring: 0.2, base: 0.05 };

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(START + 60 * minute)
    }

    fn minutes(values: &[f64]) -> Recording {
        Recording::new(values.iter().enumerate().map(|(n, v)| (at(n as i64), *v))).unwrap()
    }

    fn settings(high: (f64, u32), low: Option<(f64, u32)>, hours: Option<&str>) -> Settings {
        let bound = |(at, tarry)| Bound { at, tarry };
        let high = bound(high);
        let rule = match (low.map(bound), hours) {
            (None, _) => Rule::Threshold { high },
            (Some(low), None) => Rule::Base { high, low },
            (Some(low), Some(hours)) => {
                let hours = WorkingHours::parse(hours, chrono_tz::UTC).unwrap();
                Rule::Schedule { high, low, hours, resting: Resting::Record }
            }
        };
        Settings::new(rule, Direction::HigherIsWorse)
    }

    #[test]
    fn a_stay_on_the_base_lasts_until_the_next_ring_move_and_is_cheaper() {
        // To the base at the 4th low sample, back at the 3rd beyond, and there again until the end.
        let values = [vec![0.0; 10], vec![60.0; 3], vec![0.0; 7]].concat();
        let tried = minutes(&values).try_out(&settings((50.0, 3), Some((1.0, 4)), None), PRICES).unwrap();
        let moves: Vec<_> = tried.outcome.all_moves.iter().map(|w| (w.at, w.decision)).collect();
        let (to_base, to_ring) = (Decision::MoveToBase, Decision::Move);
        assert_eq!(moves, [(at(3), to_base), (at(12), to_ring), (at(16), to_base)]);
        assert_eq!(tried.at_base, Span::from_mins(9 + 4), "the span ends a median after the last sample");
        assert!((tried.cost - (7.0 * 0.2 + 13.0 * 0.05) / 60.0).abs() < 1e-12, "{}", tried.cost);
        assert!((tried.requests_per_hour - 9.0).abs() < 1e-12, "3 in 20 minutes");
    }

    #[test]
    fn differences_are_instants_at_which_only_one_moves_or_elsewhere() {
        let values = [vec![60.0; 3], vec![30.0; 3], vec![0.0; 6]].concat();
        let (old, new) = (settings((50.0, 3), None, None), settings((20.0, 3), Some((1.0, 4)), None));
        let compared = compare(&minutes(&values), &old, &new, PRICES).unwrap();
        let told: Vec<_> = compared.differences.iter().map(|d| (d.at, d.old, d.new)).collect();
        let (stay, ring, base) = (Decision::Stay, Decision::Move, Decision::MoveToBase);
        // At the 3rd sample both move: no difference.
        assert_eq!(told, [(at(5), stay, ring), (at(9), stay, base)]);
        assert_eq!((compared.from, compared.to), (at(0), at(11)));
        assert!(compared.strip.is_empty(), "asked for on its own");
    }

    #[test]
    fn no_more_than_eight_are_told() {
        let quiet = settings((100.0, 3), None, None);
        let compared = compare(&minutes(&[60.0; 60]), &settings((50.0, 1), None, None), &quiet, PRICES).unwrap();
        assert_eq!(compared.differences.len(), DIFFERENCES);
        assert_eq!(compared.old.outcome.moves, 60);
        assert_eq!(compared.new.outcome.beyond_s, 0.0, "each side has its own bound");
    }

    #[test]
    fn a_site_policy_has_no_answer_over_samples() {
        let site = Settings::new(Rule::Site(SiteRule::new(2)), Direction::HigherIsWorse);
        let other = settings((50.0, 3), None, None);
        let recording = minutes(&[1.0; 3]);
        assert_eq!(compare(&recording, &site, &other, PRICES), None);
        assert_eq!(compare(&recording, &other, &site, PRICES), None);
    }

    #[test]
    fn one_sample_is_no_time_at_all() {
        let tried = minutes(&[60.0]).try_out(&settings((50.0, 1), None, None), PRICES).unwrap();
        assert_eq!((tried.outcome.moves, tried.requests_per_hour, tried.cost), (1, 0.0, 0.0));
    }

    fn some_settings() -> impl Strategy<Value = Settings> {
        let high = (30.0..80.0_f64, 1_u32..5);
        let low = proptest::option::of((1.0..25.0_f64, 1_u32..6));
        let hours = proptest::option::of(prop_oneof![Just("12:00-13:30"), Just("Wed 13:00-14:00, Wed 14:10-15:00")]);
        (high, low, hours).prop_map(|(high, low, hours)| settings(high, low, hours))
    }

    fn observation() -> impl Strategy<Value = What> {
        prop_oneof![12 => (0.0..100.0_f64).prop_map(What::Sample), 1 => Just(What::Beyond), 2 => Just(What::Gap)]
    }

    proptest! {
        #[test]
        fn a_comparison_is_what_a_plain_look_at_both_moves_says(
            seen in proptest::collection::vec(observation(), 2..200), old in some_settings(), new in some_settings(),
        ) {
            let readings = seen.iter().enumerate().map(|(n, what)| (at(n as i64), *what));
            let Some(recording) = Recording::of(readings) else { return Ok(()) };
            let compared = compare(&recording, &old, &new, PRICES).unwrap();
            let by_instant = |tried: &ComparedSide| -> BTreeMap<_, _> {
                tried.outcome.all_moves.iter().map(|w| (w.at, w.decision)).collect()
            };
            let (olds, news) = (by_instant(&compared.old), by_instant(&compared.new));
            let mut instants: Vec<_> = olds.keys().chain(news.keys()).copied().collect();
            instants.sort();
            instants.dedup();
            let said = |side: &BTreeMap<_, _>, at| side.get(&at).copied().unwrap_or(Decision::Stay);
            let plain = instants.into_iter().map(|at| Difference { at, old: said(&olds, at), new: said(&news, at) });
            let plain: Vec<_> = plain.filter(|d| d.old != d.new).take(DIFFERENCES).collect();
            prop_assert_eq!(&compared.differences, &plain);
            for (tried, settings, moves) in [(&compared.old, &old, &olds), (&compared.new, &new, &news)] {
                prop_assert_eq!(&tried.outcome, &recording.replay(settings));
                // All instants are whole seconds: second by second, where is it?
                let (mut base, mut on_base) = (0, false);
                for second in 0..60 * seen.len() as i64 {
                    match moves.get(&(at(0) + Span::from_secs(second))) {
                        Some(Decision::MoveToBase) => on_base = true,
                        Some(_) => on_base = false,
                        None => {}
                    }
                    base += i64::from(on_base);
                }
                prop_assert_eq!(tried.at_base, Span::from_secs(base));
                let hours = seen.len() as f64 / 60.0;
                let base_hours = base as f64 / 3_600.0;
                let cost = (hours - base_hours) * PRICES.ring + base_hours * PRICES.base;
                prop_assert!((tried.cost - cost).abs() < 1e-9);
            }
        }
    }
}
