//! The `whimbrel` command: parse arguments, install error hooks, dispatch.

use std::process::ExitCode;

use clap::Parser;
use whimbrel::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = color_eyre::config::HookBuilder::default().display_env_section(false).install() {
        eprintln!("whimbrel: {error}");
    }
    cli::run(cli)
}
