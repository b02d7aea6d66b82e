//! Draws the project's screenshots: frames of the demos as SVG files. The same code draws the same files every time, as
//! the demos' time stands still.
//!
//! `cargo run --release --example screenshots [FOLDER]`

mod picture;
mod shots;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use picture::Background;
use ratatui::buffer::Buffer;
use shots::Screenshot;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use whimbrel::console::{Action, Colours, Theme, ThemeName, Ui, UiEffect, Zone, render, update};
use whimbrel::core::cluster::{Name, Span};
use whimbrel::core::simulation::{START, Scenario, Size};
use whimbrel::edge::config::{self, Config};
use whimbrel::runtime::{
    Asked, ConfigInputs, Control, EngineHost, EventLoop, Frontend, HistoryBatcher, Outputs, Pace, Publisher, Workers,
    give_past,
};
use whimbrel::view::{HistoryView, Snapshot, Subscription, UiCommand};

/// How long the demos have run: their graphs are full, and a request waits for approval.
const AGE: Span = Span::from_mins(44);
/// Simulated seconds a second that the clock says, as a demo's does.
const SPEED: f64 = 60.0;
/// A demo's time begins to go by after so long: while its pictures are drawn it stands still.
const STILL: Duration = Duration::from_secs(86_400);
/// The engine sends a snapshot a second. When so many make the same frame, all answers have come.
const SAME: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "screenshots".into()));
    std::fs::create_dir_all(&folder)?;
    let mut demos: BTreeMap<&str, Demo> = BTreeMap::new();
    for shot in shots::all() {
        if !demos.contains_key(shot.demo) {
            demos.insert(shot.demo, Demo::new(shot.demo)?);
        }
        let Some(demo) = demos.get_mut(shot.demo) else { continue };
        std::fs::write(folder.join(format!("{}.svg", shot.name)), demo.draw(shot)?)?;
    }
    Ok(())
}

/// A demo under way on a thread of its own, as the console sees it.
struct Demo {
    say: mpsc::Sender<UiCommand>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    runtime: Runtime,
    /// The demo ends when it is dropped.
    _control: mpsc::Sender<Control>,
    /// Its config and its history.
    _folder: TempDir,
}

impl Demo {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let scenario: Scenario = name.parse().map_err(|why| format!("no demo {name}: {why}"))?;
        let folder = tempfile::tempdir()?;
        let (says, snapshots, control) = begin(scenario, folder.path())?;
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let mut demo = Self { say: says, snapshots, runtime, _control: control, _folder: folder };
        while !matches!(demo.snapshots.borrow_and_update().history, HistoryView::On { .. }) {
            demo.runtime.block_on(demo.snapshots.changed())?;
        }
        Ok(demo)
    }

    /// Does what the operator does in this screenshot, and draws the last frame.
    fn draw(&mut self, shot: &Screenshot) -> Result<String, Box<dyn Error>> {
        let mut ui = Ui::new(shot.theme, false, Zone::Utc);
        ui.selected = Some(shot.vm.into()).filter(|vm: &Name| !vm.is_empty());
        self.say.blocking_send(UiCommand::Subscription(Subscription::default()))?;
        let (columns, rows) = shot.size;
        let first = [Action::Resize(columns, rows)];
        let mut frame = self.settled(&mut ui, shot)?;
        for action in first.iter().chain(shot.keys) {
            self.act(&mut ui, action.clone())?;
            frame = self.settled(&mut ui, shot)?;
        }
        let background = if shot.theme == ThemeName::Light { Background::Light } else { Background::Dark };
        Ok(picture::svg(&frame, background))
    }

    /// The newest snapshot. Where its history is and how large would be another one in every picture.
    fn snapshot(&mut self) -> Snapshot {
        let history = HistoryView::On { path: "history.db".into(), size: 0, trouble: None };
        Snapshot { history, ..Snapshot::clone(&self.snapshots.borrow_and_update()) }
    }

    /// What the action asks of the engine is sent to it.
    fn act(&mut self, ui: &mut Ui, action: Action) -> Result<(), Box<dyn Error>> {
        for effect in update(ui, action, &self.snapshot()) {
            if let UiEffect::UiCommand(command) = effect {
                self.say.blocking_send(command)?;
            }
        }
        Ok(())
    }

    /// The frame when all that was asked for is on it.
    fn settled(&mut self, ui: &mut Ui, shot: &Screenshot) -> Result<Buffer, Box<dyn Error>> {
        let (theme, (columns, rows)) = (Theme::built_in(shot.theme, Colours::True), shot.size);
        let (mut frames, mut last) = (0, None);
        loop {
            self.runtime.block_on(self.snapshots.changed())?;
            self.act(ui, Action::Arrived)?;
            let frame = render(&self.snapshot(), ui, &theme, columns, rows);
            frames = if last.as_ref() == Some(&frame) { frames + 1 } else { 0 };
            if frames == SAME {
                return Ok(frame);
            }
            last = Some(frame);
        }
    }
}

type Begun = (mpsc::Sender<UiCommand>, watch::Receiver<Arc<Snapshot>>, mpsc::Sender<Control>);

/// The scenario's cluster some time after its start, with its past before that.
fn begin(scenario: Scenario, folder: &Path) -> Result<Begun, Box<dyn Error>> {
    let (size, seed) = (Size::default(), 1);
    let (cluster, monitors, plan) = scenario.build(size, seed);
    let file = folder.join("demo.toml");
    std::fs::write(&file, config::render(&Config::simulated(cluster.clone(), monitors.clone(), plan.clone())))?;
    let untold = Some((cluster.clone(), plan.clone()));
    let inputs = ConfigInputs { file: Some(file), untold, ..ConfigInputs::default() };

    let now = START + AGE;
    let clock = Pace::Simulated { start: now, began: Instant::now() + STILL, speed: SPEED };
    let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
    let (publisher, snapshots) = Publisher::new(engine_host.engine(), START, clock.speed(), None);
    let mut outputs = Outputs::new(Frontend::Publish(publisher), HistoryBatcher::soon(engine_host.engine(), START));
    while engine_host.next_wake() <= now {
        engine_host.wake(engine_host.next_wake(), &mut outputs, &mut Asked::default());
    }
    let mut workers = Workers::default();
    workers.start_config(inputs)?;
    give_past(&workers, move || scenario.before(size, seed), Some(folder.join("history.db")));

    let (say, says) = mpsc::channel(16);
    let (control, controls) = mpsc::channel(1);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let event_loop = EventLoop::new(engine_host, clock, outputs, workers);
    std::thread::spawn(move || runtime.block_on(event_loop.run(controls, Some(says))));
    Ok((say, snapshots, control))
}
