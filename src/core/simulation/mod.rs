//! A simulated cluster: services, load, pre-copy migrations, scenarios. Seeded: the same seed is the same run.

mod fleet;
mod load;
mod moving;
mod plan;
mod queue;
mod scenario;
#[cfg(test)]
mod tests;
mod world;

pub use plan::{Outage, Plan, Service, ServiceSilence, Surge, VmPlan};
pub use scenario::{FEWEST_HOSTS, MOST_HOSTS, MOST_VMS, START, Scenario, ScenarioError, ScenarioPast, Size};
pub use world::Simulation;
