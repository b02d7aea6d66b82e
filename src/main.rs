//! The `whimbrel` command: parse arguments, install error hooks, dispatch.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use whimbrel::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = color_eyre::config::HookBuilder::default().display_env_section(false).install() {
        let _ = writeln!(std::io::stderr(), "whimbrel: {error}");
    }
    cli::run(cli)
}
