//! A simulated cluster: services, load, pre-copy migrations, scenarios. Seeded: the same seed is the same run.

mod plan;

pub use plan::{Outage, Plan, Service, VmPlan};
