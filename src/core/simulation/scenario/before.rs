//! What a demo's cluster did before the demo begins, so that its history says something on the first day.

use super::{START, Scenario, Size};
use crate::core::cluster::{Cluster, Monitor, Span, Timestamp};
use crate::core::policy::{Field, Settings};
use crate::core::simulation::Plan;

/// Readings of such a past, at most: it is simulated while the operator looks at the first screen.
const MOST_READINGS: i64 = 500_000;
/// The longest past.
const LONGEST: Span = Span::from_hours(14 * 24);
/// Thesis, figure 4.3: nii1's threshold was raised in the 16th hour of 48 …
const RAISED: Span = Span::from_mins(15 * 60 + 20);
const FIGURE: Span = Span::from_hours(48);
/// … from this to what it is now.
const TOO_LOW: f64 = 20.0;
/// A load between the two bounds, in GHz of the 2 that nii1 can have: slow for the one, well for the other.
const BETWEEN_GHZ: f64 = 1.7;

/// A cluster and what is to happen to it.
pub struct Before {
    /// As it was then.
    pub cluster: Cluster,
    /// Every VM's monitor, all simulated.
    pub monitors: Vec<Monitor>,
    /// What the simulator needs.
    pub plan: Plan,
    /// It begins then, and ends at [`START`].
    pub from: Timestamp,
    /// Settings that an operator changed, by instant.
    pub edits: Vec<(Timestamp, String, Settings)>,
}

impl Scenario {
    /// The past of this scenario: the same cluster, up to [`START`].
    pub fn before(self, size: Size, seed: u64) -> Before {
        let (cluster, monitors, plan) = self.build(size, seed);
        let a_minute = cluster.vms.iter().map(|vm| 60_000 / vm.interval.millis().max(1_000)).sum::<i64>().max(1);
        let span = Span::from_mins(MOST_READINGS / a_minute).min(LONGEST);
        let mut before = Before { cluster, monitors, plan, from: START - span, edits: Vec::new() };
        if self == Self::One {
            before.loop_that_ends();
        }
        before
    }
}

impl Before {
    /// nii1 asks for a move again and again until its threshold is raised (thesis, figures 4.3 and 4.4).
    fn loop_that_ends(&mut self) {
        self.from = START - FIGURE;
        let (nii1, plan) = (&mut self.cluster.vms[0], &mut self.plan.vms[0]);
        plan.demand_ghz = BETWEEN_GHZ;
        plan.swing = 0.02;
        let raised = nii1.policy.clone();
        if let Ok(low) = raised.with(Field::Threshold, TOO_LOW) {
            nii1.policy = low;
            self.edits.push((self.from + RAISED, nii1.name.clone(), raised));
        }
    }
}
