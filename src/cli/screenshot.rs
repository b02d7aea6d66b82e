//! `whimbrel screenshot`: the project's own pictures.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tempfile::TempDir;

use crate::console;
use crate::core::cluster::Span;
use crate::core::simulation::Scenario;
use crate::runtime::Studio;

/// The demos are this old: their graphs are full, and something waits.
const AGE: Span = Span::from_mins(44);

/// Draw the demo's screens into SVG files, as `screenshots/` has them
#[derive(Debug, Args)]
pub(super) struct Screenshot {
    /// The folder they are written to
    #[arg(default_value = "screenshots")]
    folder: PathBuf,
}

impl Screenshot {
    pub(super) fn run(&self) -> Result<ExitCode> {
        std::fs::create_dir_all(&self.folder).wrap_err_with(|| format!("{} cannot be made", self.folder.display()))?;
        let mut studios: BTreeMap<&str, (Studio, TempDir)> = BTreeMap::new();
        for shot in console::shots() {
            if !studios.contains_key(shot.demo) {
                studios.insert(shot.demo, studio(shot.demo)?);
            }
            let Some((studio, _)) = studios.get_mut(shot.demo) else { continue };
            let svg = shot.take(|say| studio.say(say));
            let path = self.folder.join(format!("{}.svg", shot.name));
            std::fs::write(&path, svg).wrap_err_with(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A demo to be drawn, and the folder its files are in.
fn studio(demo: &str) -> Result<(Studio, TempDir)> {
    let scenario: Scenario = demo.parse().map_err(|why| eyre!("no demo {demo}: {why}"))?;
    let folder = tempfile::Builder::new().prefix("whimbrel-demo-").tempdir().wrap_err("no temporary folder")?;
    let studio = Studio::new(scenario, AGE, folder.path()).map_err(|why| eyre!(why))?;
    Ok((studio, folder))
}
