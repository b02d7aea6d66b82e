//! Tests of the console from outside: what it draws, what keys do, and that it fits every terminal.

mod draining;
mod editor;
mod editor_desk;
mod editor_frames;
mod frames;
mod keys;
mod past;
mod pictures;
mod pty;
mod queue;
mod queued;
mod recorded;
mod sample;
mod selection;
mod sizes;
#[path = "../support/mod.rs"]
mod support;

use whimbrel::console::{Action, ThemeName, Ui, UiEffect, Zone, update};
use whimbrel::view::Snapshot;

/// A screen that has taken the snapshot and has sent its subscription.
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
fn press(ui: &mut Ui, snapshot: &Snapshot, code: crossterm::event::KeyCode) -> Vec<UiEffect> {
    let key = crossterm::event::KeyEvent::new(code, crossterm::event::KeyModifiers::NONE);
    match whimbrel::console::dispatch(key, ui, snapshot) {
        Some(Ok(action)) => update(ui, action, snapshot),
        _ => Vec::new(),
    }
}

/// Types characters, one key each.
fn type_keys(ui: &mut Ui, snapshot: &Snapshot, keys: &str) -> Vec<UiEffect> {
    keys.chars().flat_map(|c| press(ui, snapshot, crossterm::event::KeyCode::Char(c))).collect()
}
