//! A simulated cluster: services, load, pre-copy migrations, scenarios. Seeded: the same seed is the same run.

mod crowd;
mod demand;
mod happen;
mod hash;
mod moving;
mod plan;
mod queue;
mod reload;
mod scenario;
mod service;
#[cfg(test)]
mod tests;
mod world;

pub use plan::{Outage, Plan, Service, Silence, Surge, VmPlan};
pub use scenario::{Before, FEWEST_HOSTS, MOST_HOSTS, MOST_VMS, START, Scenario, ScenarioError, Size};
pub use world::Simulation;
