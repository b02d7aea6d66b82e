//! `whimbrel demo`: the console on a simulated cluster.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use crate::core::simulation::Scenario;

use super::console::{self, Screen};
use super::{FLEET_ONLY, Sized, WRONG_INPUT, speed};

/// Open the console on a simulated cluster
///
/// It needs nothing and touches nothing: its config and its history are temporary files, so that everything can be tried,
/// edits of policies too. It begins with a past: of days, or of the thesis's 48 hours in scenario 1.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// fleet: 50 VMs with all four policies; 1, 2, 3: the thesis's scenarios
    #[arg(default_value = "fleet", value_name = "SCENARIO")]
    scenario: Scenario,
    #[command(flatten)]
    sized: Sized,
    /// Simulated seconds a second
    #[arg(long, value_name = "X", default_value_t = 60.0, value_parser = speed)]
    speed: f64,
    #[command(flatten)]
    screen: Screen,
}

impl Demo {
    pub(super) fn run(self) -> Result<ExitCode> {
        if !self.sized.fits(self.scenario) {
            eprintln!("error: {FLEET_ONLY}");
            return Ok(ExitCode::from(WRONG_INPUT));
        }
        console::demo(self.scenario, self.sized.size(), self.sized.seed(), self.speed, None, self.screen)
    }
}
