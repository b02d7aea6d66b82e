//! The demo's clusters: the thesis's three scenarios, and a fleet with all four policies at work.
//!
//! What makes them worth watching (demands, surges, outages, queues) stands in `thesis.rs` and `fleet.rs`, as data.

mod fixtures;
mod fleet;
mod thesis;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Plan;
use crate::core::cluster::{Cluster, Monitor, Span, Timestamp};
use crate::core::policy::{Field, Settings};

/// When a demo's time begins: 2009-05-06T12:40:00Z, a Wednesday, 14:40 in Oslo.
pub const START: Timestamp = Timestamp::from_secs(1_241_613_600);

/// Most VMs a demo can have.
pub const MOST_VMS: u32 = 100_000;
/// Fewest hosts a fleet can have: two in a ring, a base, and one away.
pub const FEWEST_HOSTS: u32 = 4;
/// Most hosts a demo can have.
pub const MOST_HOSTS: u32 = 10_000;

/// A demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Scenario {
    /// Two arrays at two sites, all four policies.
    #[default]
    #[serde(rename = "fleet")]
    Fleet,
    /// The thesis's first: nii1 and nii2, policy threshold, a ring of five.
    #[serde(rename = "1")]
    One,
    /// The thesis's second: nii3 (base) and nii5 (schedule), a ring of four and a base.
    #[serde(rename = "2")]
    Two,
    /// The thesis's third: nii4 works job queues at two sites.
    #[serde(rename = "3")]
    Three,
}

/// How large a fleet is to be; the thesis's scenarios have the size they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Size {
    /// VMs, 1 to [`MOST_VMS`]; `None`: 50.
    pub vms: Option<u32>,
    /// Hosts, [`FEWEST_HOSTS`] to [`MOST_HOSTS`]; `None`: 12.
    pub hosts: Option<u32>,
}

/// Not the name of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no scenario '{0}': use fleet, 1, 2 or 3")]
pub struct ScenarioError(String);

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fleet, Self::One, Self::Two, Self::Three];

    /// The cluster, its VMs' monitors (all simulated) and what the simulator needs. Sizes out of bounds are brought
    /// within; only the fleet has a size.
    pub fn build(self, size: Size, seed: u64) -> (Cluster, Vec<Monitor>, Plan) {
        let fixture = match self {
            Self::Fleet => fleet::build(size),
            Self::One => thesis::one(),
            Self::Two => thesis::two(),
            Self::Three => thesis::three(),
        };
        fixture.finish(seed)
    }

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::One => "1",
            Self::Two => "2",
            Self::Three => "3",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.word() == text);
        found.ok_or_else(|| ScenarioError(text.to_owned()))
    }
}

/// At most so many readings of the past are simulated, because the operator waits for the first screen meanwhile.
const MOST_READINGS: i64 = 500_000;
/// The longest past.
const LONGEST: Span = Span::from_hours(14 * 24);
/// Thesis, figure 4.3: nii1's threshold was raised in the 16th hour of 48 …
const RAISED: Span = Span::from_mins(15 * 60 + 20);
const FIGURE: Span = Span::from_hours(48);
/// … from this to what it is now.
const TOO_LOW: f64 = 20.0;
/// A load that is beyond the old threshold and within the new one, in GHz of the 2 that nii1 can have.
const BETWEEN_GHZ: f64 = 1.7;

/// What a demo's cluster did before the demo begins, so that its history is not empty on the first day.
pub struct ScenarioPast {
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
    pub fn before(self, size: Size, seed: u64) -> ScenarioPast {
        let (cluster, monitors, plan) = self.build(size, seed);
        let a_minute = cluster.vms.iter().map(|vm| 60_000 / vm.interval.millis().max(1_000)).sum::<i64>().max(1);
        let span = Span::from_mins(MOST_READINGS / a_minute).min(LONGEST);
        let mut before = ScenarioPast { cluster, monitors, plan, from: START - span, edits: Vec::new() };
        if self == Self::One {
            before.loop_that_ends();
        }
        before
    }
}

impl ScenarioPast {
    /// nii1 asks for a move again and again until its threshold is raised (thesis, figures 4.3 and 4.4).
    fn loop_that_ends(&mut self) {
        self.from = START - FIGURE;
        let (nii1, plan) = (&mut self.cluster.vms[0], &mut self.plan.vms[0]);
        plan.demand_ghz = BETWEEN_GHZ;
        plan.swing = 0.02;
        let raised = nii1.policy.clone();
        if let Ok(low) = raised.with(Field::Threshold, TOO_LOW) {
            nii1.policy = low;
            self.edits.push((self.from + RAISED, nii1.name.to_string(), raised));
        }
    }
}
