//! `whimbrel discover URI…`: a first config for a cluster that libvirt drives.

mod hosts;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};

use crate::edge::config;
use crate::edge::driver::libvirt::discover;

/// Ask libvirt hosts what runs there, and print a config for them
///
/// The config is complete: save it as whimbrel.toml, and `whimbrel` opens on your own cluster. Its mode is `ask`: nothing
/// moves before you approve it. Each VM is watched by its CPU until you name its service.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLE)]
pub(super) struct Discover {
    /// Each host's libvirt URI, in ring order: later = better
    #[arg(required = true, value_name = "URI")]
    uris: Vec<String>,
}

const EXAMPLE: &str = "\
Example:
  whimbrel discover qemu+ssh://root@kvm1/system qemu+ssh://root@kvm2/system > whimbrel.toml
Exit status:
  0 all hosts answered, 1 some did not (the config has the others), 2 wrong arguments";

impl Discover {
    pub(super) fn run(&self) -> Result<ExitCode> {
        if let Some(uri) = self.uris.iter().enumerate().find_map(|(n, uri)| self.uris[..n].contains(uri).then_some(uri))
        {
            return Ok(super::refuse(&format!("error: {uri} is named twice")));
        }
        if let Some(uri) = self.uris.iter().find(|uri| !uri.contains("://")) {
            let help = format!("error: '{uri}' is no URI\nhelp: write qemu+ssh://root@{uri}/system");
            return Ok(super::refuse(&help));
        }
        let mut err = io::stderr();
        if err.is_terminal() {
            let hosts = if self.uris.len() == 1 { "host" } else { "hosts" };
            let _ = writeln!(err, "asking {} {hosts} …", self.uris.len());
        }
        let found = discover(&self.uris).map_err(|why| eyre!(why))?;
        let silent = found.iter().filter_map(|found| found.host.as_ref().err());
        let silent: Vec<&String> = silent.inspect(|why| drop(writeln!(io::stderr(), "error: {why}"))).collect();
        if silent.len() == found.len() {
            return Ok(ExitCode::FAILURE);
        }
        let text = text::config(&found);
        // What is printed is what `whimbrel check` takes.
        config::parse(Path::new("whimbrel.toml"), &text)
            .map_err(|report| eyre!("what was found makes no right config; please report this:\n{report}\n{text}"))?;
        io::stdout().write_all(text.as_bytes()).wrap_err("standard output cannot be written")?;
        Ok(if silent.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
