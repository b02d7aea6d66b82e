//! How much CPU a VM wants at an instant: a closed form of (seed, VM, time), so that nobody's asking changes it.
//!
//! `demand = base · (1 + swing · sin(day)) · (1 + noise)`, times what bursts and surges make of it. The day peaks
//! around noon UTC; the noise is a slow drift plus a flicker from step to step; a burst is 4 to 12 minutes long within
//! a slot of 15, with a ramp at either end.

use super::hash::{For, between, unit, wave};
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

/// One VM's want.
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
            shift: 0.25 - PEAK + (unit(key, For::Phase, 0) - 0.5) * PEAK_SPREAD,
            burst_chance: plan.bursts_a_day * BURST_SLOT_S as f64 / DAY_S,
            burst: plan.burst,
            surges: plan.surges.clone().into(),
        }
    }

    /// How many times its ordinary demand the VM wants in a step.
    pub(super) fn activity(&self, step: i64) -> f64 {
        let seconds = step * (STEP.millis() / 1_000);
        let day = 1.0 + self.swing * wave(seconds as f64 / DAY_S + self.shift);
        let noise = 1.0 + DRIFT * self.drift(seconds) + FLICKER * (2.0 * unit(self.key, For::Flicker, step) - 1.0);
        day * noise * self.burst(seconds) * self.surge(step)
    }

    /// GHz on an ordinary day.
    pub(super) const fn base(&self) -> f64 {
        self.base
    }

    /// From −1 to 1, a straight line between a draw every [`DRIFT_S`].
    fn drift(&self, seconds: i64) -> f64 {
        let (knot, within) = (seconds.div_euclid(DRIFT_S), seconds.rem_euclid(DRIFT_S) as f64 / DRIFT_S as f64);
        let (a, b) = (unit(self.key, For::Drift, knot), unit(self.key, For::Drift, knot + 1));
        2.0 * (a + (b - a) * within) - 1.0
    }

    fn burst(&self, seconds: i64) -> f64 {
        let (slot, within) = (seconds.div_euclid(BURST_SLOT_S), seconds.rem_euclid(BURST_SLOT_S) as f64);
        if unit(self.key, For::Burst, slot) >= self.burst_chance {
            return 1.0;
        }
        let length = f64::from(between(self.key, For::BurstLength, slot, 240, 720));
        let begins = unit(self.key, For::BurstAt, slot) * (BURST_SLOT_S as f64 - length);
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

#[cfg(test)]
mod tests {
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
