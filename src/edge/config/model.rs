//! A checked config: everything a file says, in the core's terms.

use std::path::PathBuf;

use crate::core::cluster::{Cluster, Monitor};
use crate::core::simulation::Plan;

/// What moves the VMs of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// The built-in simulator.
    Simulator,
}

/// A file that was read whole and found right.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// What there is and how the engine may act.
    pub cluster: Cluster,
    /// By `VmId`.
    pub monitors: Vec<Monitor>,
    /// By `ArrayId`.
    pub drivers: Vec<Driver>,
    /// For the VMs and hosts the simulator has, by their ids; the others have defaults.
    pub plan: Plan,
}
