//! Every screen at every size.

use std::sync::Arc;

use whimbrel::console::{Action, Colours, Theme, ThemeName, Ui, UiEffect, render, update};
use whimbrel::view::{HistoryView, Snapshot};

use crate::{press, sample, screen_on, type_keys};

fn sweep(snapshot: &Snapshot, ui: &Ui) {
    sweep_by(1, snapshot, ui);
}

/// The steps in columns and rows.
fn sweep_by(step: usize, snapshot: &Snapshot, ui: &Ui) {
    let theme = Theme::built_in(ThemeName::Dark, Colours::True);
    let mut ui = ui.clone();
    for width in (1..=130).step_by(step).chain((131..=240).step_by(7 * step)) {
        for height in (1..=40).step_by(step).chain((41..=70).step_by(4 * step)) {
            update(&mut ui, Action::Resize(width, height), snapshot);
            update(&mut ui, Action::PageDown, snapshot);
            let buffer = render(snapshot, &ui, &theme, width, height);
            assert_eq!((buffer.area.width, buffer.area.height), (width, height));
        }
    }
}

#[test]
fn the_fleet_screen_fits_every_terminal() {
    let mut snapshot = sample::snapshot();
    snapshot.banner = Some("how to begin: write a config".into());
    let mut ui = screen_on(&snapshot, "nii1");
    sweep(&snapshot, &ui);
    snapshot.detail = Some(sample::detail(&snapshot, "nii4"));
    ui.selected = Some("nii4".into());
    update(&mut ui, Action::Arrived, &snapshot);
    type_keys(&mut ui, &snapshot, "/n");
    sweep(&snapshot, &ui);
}

#[test]
fn a_vms_screen_and_its_activity_fit_every_terminal() {
    for (keys, step) in [("<(", 1), ("v", 1), ("]]]]]", 3), ("vc", 3)] {
        let (snapshot, ui) = crate::frames::vm_screen("nii3", (120, 40), keys);
        sweep_by(step, &snapshot, &ui);
    }
    let (mut snapshot, mut ui) = crate::frames::vm_screen("nii4", (120, 40), "");
    sweep_by(3, &snapshot, &ui);
    (snapshot.past, snapshot.detail) = (None, None);
    snapshot.history = HistoryView::default();
    sweep_by(3, &snapshot, &ui);
    type_keys(&mut ui, &snapshot, "v");
    snapshot.activity = None;
    sweep_by(3, &snapshot, &ui);
}

#[test]
fn a_migration_fits_every_terminal() {
    let mut snapshot = sample::migrating(|migration| migration.aborting = true);
    let mut ui = screen_on(&snapshot, "nii2");
    sweep_by(2, &snapshot, &ui);
    press(&mut ui, &snapshot, crossterm::event::KeyCode::Enter);
    sweep_by(2, &snapshot, &ui);
    snapshot.moving = vec![Arc::clone(&snapshot.moving[0]); 30];
    sweep_by(3, &snapshot, &screen_on(&snapshot, "nii1"));
}

#[test]
fn the_drain_dialog_fits_every_terminal() {
    let mut snapshot = sample::draining("mln4", sample::drain(3, 6));
    let mut ui = screen_on(&snapshot, "web02");
    type_keys(&mut ui, &snapshot, "D");
    sweep_by(2, &snapshot, &ui);
    Arc::make_mut(&mut snapshot.arrays)[0].hosts[3] = Arc::clone(&snapshot.arrays[0].hosts[0]);
    snapshot.drain = Some(Arc::new(sample::plan("mln4")));
    sweep_by(3, &snapshot, &ui);
    let snapshot = sample::many(10_000);
    let mut ui = crate::screen(&snapshot);
    type_keys(&mut ui, &snapshot, "DG");
    sweep_by(9, &snapshot, &ui);
}

#[test]
fn every_overlay_fits_every_terminal() {
    let mut snapshot = sample::snapshot();
    snapshot.detail = Some(sample::detail_with_moves(&snapshot, "nii1"));
    for keys in ["?", "m", "o"] {
        snapshot.mode = whimbrel::core::cluster::Mode::Ask;
        let mut ui = screen_on(&snapshot, "nii1");
        type_keys(&mut ui, &snapshot, keys);
        assert!(!ui.overlays.is_empty(), "{keys}");
        sweep(&snapshot, &ui);
    }
}

#[test]
fn an_empty_cluster_fits_every_terminal() {
    let snapshot = Snapshot::default();
    sweep(&snapshot, &crate::screen(&snapshot));
}

#[test]
fn below_the_minimum_it_says_so_and_quit_works() {
    let snapshot = sample::snapshot();
    let mut ui = screen_on(&snapshot, "nii1");
    update(&mut ui, Action::Resize(24, 3), &snapshot);
    let buffer = render(&snapshot, &ui, &Theme::built_in(ThemeName::Dark, Colours::Off), 30, 3);
    let line: String = (0..30).map(|x| buffer[(x, 0)].symbol()).collect();
    assert_eq!(line.trim_end(), "too small: 30x3, needs 40x10");
    type_keys(&mut ui, &snapshot, "h+m/");
    assert!(ui.notice.is_none() && ui.overlays.is_empty(), "nothing is done that cannot be seen");
    let quit = press(&mut ui, &snapshot, crossterm::event::KeyCode::Char('q'));
    assert_eq!(quit, [UiEffect::Quit]);
}

#[test]
fn eighty_by_twenty_four_keeps_what_matters() {
    let snapshot = sample::snapshot();
    let ui = screen_on(&snapshot, "nii1");
    let buffer = render(&snapshot, &ui, &Theme::built_in(ThemeName::Dark, Colours::Off), 80, 24);
    let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
    for kept in
        ["! 2 alarms", "flapping:", "nii1", "62 /min", "2/3", "oslo/mln2", "STATE", "why", "one more sample", "quit"]
    {
        assert!(text.contains(kept), "{kept}");
    }
}

#[test]
fn ten_thousand_vms_fit_too() {
    let snapshot = sample::many(10_000);
    let mut ui = crate::screen(&snapshot);
    type_keys(&mut ui, &snapshot, "G");
    update(&mut ui, Action::Resize(200, 60), &snapshot);
    let buffer = render(&snapshot, &ui, &Theme::built_in(ThemeName::Dark, Colours::Off), 200, 60);
    let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
    assert!(text.contains("above") && text.contains(&**ui.selected.as_ref().unwrap()));
}
