//! Draws the project's screenshots: frames of the demos as SVG files. The same code draws the same files every time.
//!
//! `cargo run --release --example screenshots [FOLDER]`

mod picture;
mod shots;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use picture::Background;
use shots::Screenshot;
use tempfile::TempDir;
use whimbrel::console::{Action, Colours, Theme, ThemeName, Ui, UiEffect, Zone, render, update};
use whimbrel::core::cluster::Span;
use whimbrel::core::simulation::Scenario;
use whimbrel::runtime::Studio;
use whimbrel::view::{Subscription, UiCommand};

/// How long the demos have run: their graphs are full, and a request waits for approval.
const AGE: Span = Span::from_mins(44);

fn main() -> Result<(), String> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "screenshots".into()));
    std::fs::create_dir_all(&folder).map_err(|why| format!("{} cannot be made: {why}", folder.display()))?;
    let mut studios: BTreeMap<&str, (Studio, TempDir)> = BTreeMap::new();
    for shot in shots::all() {
        if !studios.contains_key(shot.demo) {
            studios.insert(shot.demo, studio(shot.demo)?);
        }
        let Some((studio, _)) = studios.get_mut(shot.demo) else { continue };
        let path = folder.join(format!("{}.svg", shot.name));
        std::fs::write(&path, draw(shot, studio)).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(())
}

/// A demo that stands still, and the folder of its files.
fn studio(demo: &str) -> Result<(Studio, TempDir), String> {
    let scenario: Scenario = demo.parse().map_err(|why| format!("no demo {demo}: {why}"))?;
    let folder = tempfile::tempdir().map_err(|why| format!("no temporary folder: {why}"))?;
    Ok((Studio::new(scenario, AGE, folder.path())?, folder))
}

/// Does what the operator does in this screenshot, and draws the last frame.
fn draw(shot: &Screenshot, studio: &mut Studio) -> String {
    let mut ui = Ui::new(shot.theme, false, Zone::Utc);
    ui.selected = Some(Arc::from(shot.vm)).filter(|vm: &Arc<str>| !vm.is_empty());
    let mut snapshot = studio.say(UiCommand::Subscription(Subscription::default()));
    let (columns, rows) = shot.size;
    let first = [Action::Resize(columns, rows), Action::Arrived];
    let mut waiting: VecDeque<Action> = first.iter().chain(shot.keys).cloned().collect();
    while let Some(action) = waiting.pop_front() {
        for effect in update(&mut ui, action, &snapshot) {
            if let UiEffect::UiCommand(command) = effect {
                snapshot = studio.say(command);
                waiting.push_front(Action::Arrived);
            }
        }
    }
    let theme = Theme::built_in(shot.theme, Colours::True);
    let background = if shot.theme == ThemeName::Light { Background::Light } else { Background::Dark };
    picture::svg(&render(&snapshot, &ui, &theme, columns, rows), background)
}
