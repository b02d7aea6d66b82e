//! The demo's clusters: the thesis's three scenarios, and a fleet with all four policies at work.
//!
//! What makes them worth watching (demands, surges, outages, queues) stands in `thesis.rs` and `fleet.rs`, as data.

mod before;
mod cast;
mod fleet;
mod thesis;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use before::Before;

use super::Plan;
use crate::core::cluster::{Cluster, Monitor, Timestamp};

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
        let cast = match self {
            Self::Fleet => fleet::build(size),
            Self::One => thesis::one(),
            Self::Two => thesis::two(),
            Self::Three => thesis::three(),
        };
        cast.finish(seed)
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
