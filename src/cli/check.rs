//! `whimbrel check CONFIG…`

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::edge::config;

use super::WRONG_INPUT;

/// Check configs: 0, or 2 with every error
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configs [default: as for whimbrel itself]
    #[arg(value_name = "CONFIG")]
    configs: Vec<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
        let (mut wrong, mut unsaid) = (false, false);
        let found = if self.configs.is_empty() { config::find(None).into_iter().collect() } else { self.configs };
        if found.is_empty() {
            return super::refuse("there is no config: name one, whimbrel check CONFIG");
        }
        for path in &found {
            match config::load(path) {
                Ok(config) => {
                    let (vms, hosts) = (config.cluster.vms.len(), config.cluster.hosts.len());
                    unsaid |= writeln!(out, "{}: right ({vms} VMs, {hosts} hosts)", path.display()).is_err();
                }
                Err(report) => {
                    unsaid |= writeln!(err, "{report}").is_err();
                    wrong = true;
                }
            }
        }
        match (wrong, unsaid) {
            (true, _) => ExitCode::from(WRONG_INPUT),
            (false, true) => ExitCode::FAILURE,
            (false, false) => ExitCode::SUCCESS,
        }
    }
}
