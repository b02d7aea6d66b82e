//! How much CPU a VM wants at an instant, and how a service feels its host's load.
//!
//! Demand is a closed form of (seed, VM, time): no order of questions changes it.
//! `demand = base · (1 + swing · sin(day)) · (1 + noise)`, times bursts and surges. The day peaks around noon UTC. The noise is a
//! slow drift plus a flicker from step to step. A burst lasts 4 to 12 minutes within a slot of 15, with a ramp at either end.

use super::plan::{Surge, VmPlan};
use crate::core::cluster::{Span, Timestamp};

/// Demand and load are constant for one step.
pub(super) const STEP: Span = Span::from_secs(5);

const DAY_S: f64 = 86_400.0;
/// The day's sine peaks at noon, give or take [`PEAK_SPREAD`].
const PEAK: f64 = 0.5;
const PEAK_SPREAD: f64 = 0.06;
const DRIFT: f64 = 0.08;
const DRIFT_S: i64 = 120;
const FLICKER: f64 = 0.03;
const BURST_SLOT_S: i64 = 900;
const BURST_RAMP_S: f64 = 45.0;

/// The step an instant falls into.
pub(super) const fn step_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(STEP.millis())
}

/// The CPU that one VM wants.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    key: u64,
    base: f64,
    swing: f64,
    /// Part of a day by which the VM's day is shifted.
    shift: f64,
    burst_chance: f64,
    burst: f64,
    surges: Box<[Surge]>,
}

impl Demand {
    pub(super) fn new(key: u64, plan: &VmPlan) -> Self {
        Self {
            key,
            base: plan.demand_ghz.max(0.0),
            swing: plan.swing.clamp(0.0, 1.0),
            shift: 0.25 - PEAK + (unit(key, RandomUse::Phase, 0) - 0.5) * PEAK_SPREAD,
            burst_chance: plan.bursts_a_day * BURST_SLOT_S as f64 / DAY_S,
            burst: plan.burst,
            surges: plan.surges.clone().into(),
        }
    }

    /// The VM's demand in a step, relative to its ordinary demand.
    pub(super) fn activity(&self, step: i64) -> f64 {
        let seconds = step * (STEP.millis() / 1_000);
        let day = 1.0 + self.swing * wave(seconds as f64 / DAY_S + self.shift);
        let noise =
            1.0 + DRIFT * self.drift(seconds) + FLICKER * (2.0 * unit(self.key, RandomUse::Flicker, step) - 1.0);
        day * noise * self.burst(seconds) * self.surge(step)
    }

    /// GHz on an ordinary day.
    pub(super) const fn base(&self) -> f64 {
        self.base
    }

    /// From −1 to 1: a straight line between random points, one every [`DRIFT_S`].
    fn drift(&self, seconds: i64) -> f64 {
        let (knot, within) = (seconds.div_euclid(DRIFT_S), seconds.rem_euclid(DRIFT_S) as f64 / DRIFT_S as f64);
        let (a, b) = (unit(self.key, RandomUse::Drift, knot), unit(self.key, RandomUse::Drift, knot + 1));
        2.0 * (a + (b - a) * within) - 1.0
    }

    fn burst(&self, seconds: i64) -> f64 {
        let (slot, within) = (seconds.div_euclid(BURST_SLOT_S), seconds.rem_euclid(BURST_SLOT_S) as f64);
        if unit(self.key, RandomUse::Burst, slot) >= self.burst_chance {
            return 1.0;
        }
        let length = f64::from(between(self.key, RandomUse::BurstLength, slot, 240, 720));
        let begins = unit(self.key, RandomUse::BurstAt, slot) * (BURST_SLOT_S as f64 - length);
        let inside = (within - begins).min(begins + length - within) / BURST_RAMP_S;
        1.0 + (self.burst - 1.0) * inside.clamp(0.0, 1.0)
    }

    fn surge(&self, step: i64) -> f64 {
        if self.surges.is_empty() {
            return 1.0;
        }
        let at = Timestamp::from_millis(step * STEP.millis());
        self.surges.iter().filter(|s| s.from <= at && at < s.from + s.lasts).map(|s| s.times).product()
    }
}

/// What a random number is for, so that no two uses share one. The numbers depend on nothing but a key and a position, so that the
/// order of calls does not matter.
#[derive(Debug, Clone, Copy)]
pub(super) enum RandomUse {
    Phase,
    Drift,
    Flicker,
    Burst,
    BurstAt,
    BurstLength,
    Response,
    Stagger,
    QueueAt,
    QueueKind,
    QueueSize,
    JobLength,
    Transfer,
}

/// SplitMix64's output function (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
pub(super) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The key of the `index`-th thing of a seed.
pub(super) const fn key(seed: u64, index: u64) -> u64 {
    mix(mix(seed) ^ index)
}

/// A number from 0 to under 1.
pub(super) const fn unit(key: u64, what: RandomUse, n: i64) -> f64 {
    const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
    let salt = (what as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mix(key ^ salt ^ (n as u64).wrapping_mul(0xa076_1d64_78bd_642f)) >> 11) as f64 * SCALE
}

/// A whole number from `low` to `high`, both included.
pub(super) fn between(key: u64, what: RandomUse, n: i64, low: u32, high: u32) -> u32 {
    low + (unit(key, what, n) * f64::from(high - low + 1)) as u32
}

/// A sine of period 1, within 0.002, from `+ − ×` alone: the same bits on every machine.
pub(super) fn wave(turns: f64) -> f64 {
    let x = 2.0 * (turns - (turns + 0.5).floor());
    let y = 4.0 * x * (1.0 - x.abs());
    0.225 * (y * y.abs() - y) + y
}

/// Queries a minute of a MySQL service on an ordinary day.
const QUERIES_A_MINUTE: f64 = 600.0;
/// What `long_query_time` is, measured in an undisturbed query's mean time.
const LONG_QUERY: f64 = 30.0;
/// A share of the queries that counts as none: a calm database logs nothing at all.
const NONE_OF_THEM: f64 = 2e-4;
/// Apache's MaxRequestWorkers.
pub(super) const WORKERS: f64 = 60.0;
/// Workers busy on an ordinary day with an undisturbed host: arrivals times service time (Little's law).
const BUSY_WORKERS: f64 = 6.0;
/// An undisturbed http answer, in ms.
const RESPONSE_MS: f64 = 80.0;
/// Beyond this load the queue in front of a CPU grows with the excess, no longer as 1/(1−ρ).
const SATURATED: f64 = 0.95;

/// How many times longer everything takes at a load ρ: 1/(1−ρ), as in an M/M/1 queue, up to ρ = 0.95 (20 times), and from there on
/// in proportion to the load.
pub(super) fn slowdown(wanted: f64) -> f64 {
    (wanted / SATURATED).max(1.0) / (1.0 - wanted.clamp(0.0, SATURATED))
}

/// Slow queries in one step: those whose time exceeds `long_query_time`. Times have a Lomax tail of shape 8, close to
/// the exponential of M/M/1: `P(T > L) = (1 + L / (8·mean))⁻⁸`, the mean growing with the slowdown.
pub(super) fn slow_queries(activity: f64, slowdown: f64) -> f64 {
    let tail = (1.0 + LONG_QUERY / (8.0 * slowdown)).powi(8);
    QUERIES_A_MINUTE * activity * STEP.secs_f64() / 60.0 * (1.0 / tail - NONE_OF_THEM).max(0.0)
}

/// Apache's idle workers: all but those that Little's law keeps busy.
pub(super) fn idle_workers(activity: f64, slowdown: f64) -> f64 {
    // Adding 0 makes a −0 a 0, which it is on screen.
    (WORKERS - BUSY_WORKERS * activity * slowdown).round().max(0.0) + 0.0
}

/// An http answer's time in ms; `luck` from 0 to 1 spreads single answers by 15 % either way.
pub(super) fn response_ms(slowdown: f64, luck: f64) -> f64 {
    (RESPONSE_MS * slowdown * (0.85 + 0.3 * luck)).round()
}

#[cfg(test)]
mod demand_tests {
    use super::*;

    fn steps_of_a_day() -> std::ops::Range<i64> {
        let first = step_of(Timestamp::from_secs(1_241_568_000));
        first..first + 17_280
    }

    #[test]
    fn a_quiet_vm_stays_near_its_day() {
        let plan = VmPlan { bursts_a_day: 0.0, swing: 0.3, ..VmPlan::default() };
        let demand = Demand::new(9, &plan);
        let noon = demand.activity(steps_of_a_day().start + 8_640);
        let night = demand.activity(steps_of_a_day().start);
        assert!((noon - 1.3).abs() < 0.18 && (night - 0.7).abs() < 0.12, "{noon} {night}");
    }

    #[test]
    fn bursts_come_as_often_as_planned() {
        let plan = VmPlan { bursts_a_day: 24.0, swing: 0.0, burst: 3.0, ..VmPlan::default() };
        let busy = |key| {
            let demand = Demand::new(key, &plan);
            steps_of_a_day().filter(|&s| demand.activity(s) > 2.0).count()
        };
        let share = (0..20).map(busy).sum::<usize>() as f64 / (20.0 * 17_280.0);
        // 24 bursts of 8 minutes are 13 % of a day.
        assert!((0.10..0.16).contains(&share), "{share}");
    }

    #[test]
    fn a_surge_comes_when_it_is_planned() {
        let from = Timestamp::from_secs(1_241_600_000);
        let surges = vec![Surge { from, lasts: Span::from_mins(5), times: 10.0 }];
        let demand = Demand::new(1, &VmPlan { bursts_a_day: 0.0, surges, ..VmPlan::default() });
        let at = |s| demand.activity(step_of(from + Span::from_secs(s)));
        assert!(at(0) > 5.0 && at(299) > 5.0 && at(300) < 2.0);
        assert!(demand.activity(step_of(from) - 1) < 2.0);
    }
}

#[cfg(test)]
mod chance_tests {
    use super::*;

    #[test]
    fn units_are_spread_evenly() {
        let mean = (0..10_000).map(|n| unit(key(1, 7), RandomUse::Drift, n)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((0..10_000).map(|n| unit(3, RandomUse::Burst, n)).all(|u| (0.0..1.0).contains(&u)));
    }

    #[test]
    fn uses_do_not_share_their_numbers() {
        assert_ne!(unit(1, RandomUse::Burst, 5), unit(1, RandomUse::BurstAt, 5));
        assert_ne!(unit(key(1, 0), RandomUse::Burst, 5), unit(key(1, 1), RandomUse::Burst, 5));
        assert_ne!(unit(key(1, 0), RandomUse::Burst, 5), unit(key(2, 0), RandomUse::Burst, 5));
    }

    #[test]
    fn the_wave_is_a_sine() {
        for n in -100..100 {
            let turns = f64::from(n) / 37.0;
            assert!((wave(turns) - (turns * std::f64::consts::TAU).sin()).abs() < 0.002, "{turns}");
        }
    }
}

#[cfg(test)]
mod service_tests {
    use super::*;

    fn a_minute(wanted: f64) -> f64 {
        12.0 * slow_queries(1.0, slowdown(wanted))
    }

    #[test]
    fn slowdown_grows_without_a_step() {
        assert_eq!(slowdown(0.0), 1.0);
        assert_eq!(slowdown(0.5), 2.0);
        assert!((slowdown(0.9) - 10.0).abs() < 1e-9);
        assert!((slowdown(0.950_001) - slowdown(0.949_999)).abs() < 0.01);
        assert!((slowdown(1.9) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn crowding_makes_queries_slow_steeply() {
        assert_eq!(a_minute(0.4), 0.0);
        assert!((2.0..10.0).contains(&a_minute(0.8)));
        assert!((40.0..80.0).contains(&a_minute(0.9)));
        assert!(a_minute(0.95) > 140.0);
    }

    #[test]
    fn crowding_takes_workers_and_time() {
        assert_eq!(idle_workers(1.0, slowdown(0.0)), 54.0);
        assert_eq!(idle_workers(1.0, slowdown(0.5)), 48.0);
        assert!(idle_workers(1.0, slowdown(0.95)).is_sign_positive());
        assert_eq!(idle_workers(1.0, slowdown(0.95)), 0.0);
        assert_eq!(response_ms(slowdown(0.5), 0.5), 160.0);
        assert_eq!(response_ms(slowdown(0.95), 0.5), 1_600.0);
    }
}
