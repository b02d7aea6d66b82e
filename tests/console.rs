//! The console, from outside: what it draws, what keys do, that it fits every terminal.

#[path = "console/draining.rs"]
mod draining;
#[path = "console/editor.rs"]
mod editor;
#[path = "console/editor_desk.rs"]
mod editor_desk;
#[path = "console/editor_frames.rs"]
mod editor_frames;
#[path = "console/frames.rs"]
mod frames;
#[path = "console/keys.rs"]
mod keys;
#[path = "console/past.rs"]
mod past;
#[path = "console/pty.rs"]
mod pty;
#[path = "console/recorded.rs"]
mod recorded;
#[path = "console/sample.rs"]
mod sample;
#[path = "console/selection.rs"]
mod selection;
#[path = "console/sizes.rs"]
mod sizes;
#[path = "support/pty.rs"]
mod terminal;

use whimbrel::console::{Action, Effect, ThemeName, Ui, Zone, update};
use whimbrel::view::Snapshot;

/// A screen that has seen the snapshot and has nothing left to say.
fn screen(snapshot: &Snapshot) -> Ui {
    let mut ui = Ui::new(ThemeName::Dark, false, Zone::Utc);
    ui.size = (120, 40);
    update(&mut ui, Action::Arrived, snapshot);
    ui
}

/// The same with this VM selected.
fn screen_on(snapshot: &Snapshot, vm: &str) -> Ui {
    let mut ui = screen(snapshot);
    ui.selected = Some(vm.into());
    update(&mut ui, Action::Arrived, snapshot);
    ui
}

/// Presses a key as a terminal sends it.
fn press(ui: &mut Ui, snapshot: &Snapshot, code: crossterm::event::KeyCode) -> Vec<Effect> {
    let key = crossterm::event::KeyEvent::new(code, crossterm::event::KeyModifiers::NONE);
    match whimbrel::console::dispatch(key, ui, snapshot) {
        Some(Ok(action)) => update(ui, action, snapshot),
        _ => Vec::new(),
    }
}

/// Types characters, one key each.
fn type_keys(ui: &mut Ui, snapshot: &Snapshot, keys: &str) -> Vec<Effect> {
    keys.chars().flat_map(|c| press(ui, snapshot, crossterm::event::KeyCode::Char(c))).collect()
}
