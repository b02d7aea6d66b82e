//! `whimbrel check CONFIG…`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::edge::config;

use super::WRONG_INPUT;

/// Check configs: 0, or 2 with every error
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configs
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let mut wrong = false;
        for path in &self.configs {
            match config::load(path) {
                Ok(config) => {
                    let (vms, hosts) = (config.cluster.vms.len(), config.cluster.hosts.len());
                    println!("{}: right ({vms} VMs, {hosts} hosts)", path.display());
                }
                Err(report) => {
                    eprintln!("{report}");
                    wrong = true;
                }
            }
        }
        if wrong { ExitCode::from(WRONG_INPUT) } else { ExitCode::SUCCESS }
    }
}
