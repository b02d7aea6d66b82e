//! The selection is a VM, never a row number.

use std::sync::Arc;

use whimbrel::console::{Action, Colours, Role, SortBy, Theme, ThemeName, Ui, render, update};
use whimbrel::core::cluster::Value;
use whimbrel::core::engine::VmState;
use whimbrel::core::policy::Bounds;
use whimbrel::view::{Snapshot, VmRow};

use crate::{sample, screen, screen_on, type_keys};

fn names(ui: &Ui) -> Vec<&str> {
    ui.listing.rows.iter().map(|row| &*row.name).collect()
}

fn without(snapshot: &Snapshot, gone: &[&str]) -> Snapshot {
    let rows = snapshot.rows.iter().filter(|row| !gone.contains(&&*row.name)).cloned().collect();
    Snapshot { rows: Arc::new(rows), ..snapshot.clone() }
}

#[test]
fn the_worst_stands_first() {
    let snapshot = sample::snapshot();
    let ui = screen(&snapshot);
    let first = ["db09", "nii7", "nii8", "nii2", "db04", "nii1", "web12", "web02", "db01", "nii3"];
    assert_eq!(names(&ui)[..10], first);
    assert_eq!(names(&ui).last(), Some(&"nii5"), "what rests is last");
    assert_eq!(ui.selected.as_deref(), Some("db09"));
}

#[test]
fn a_vm_beyond_its_bound_is_near_its_decision_whatever_its_count() {
    let mut snapshot = sample::snapshot();
    let at = snapshot.rows.iter().position(|row| *row.name == *"web07").unwrap();
    let beyond = VmRow { value: Some(Value::Exact(1e6)), count: Some((0, 3)), ..sample::row("web07") };
    Arc::make_mut(&mut snapshot.rows)[at] = Arc::new(beyond);
    let ui = screen(&snapshot);
    let place = |name| names(&ui).iter().position(|n| *n == name);
    assert!(place("web12") < place("web07"), "after those that count");
    assert!(place("web07") < place("web02"), "before those that settle in bounds");
}

#[test]
fn a_vm_exactly_at_its_bound_is_not_beyond_on_screen_nor_in_the_order() {
    let mut snapshot = sample::snapshot();
    let at = snapshot.rows.iter().position(|row| *row.name == *"web07").unwrap();
    let in_bounds = VmRow { value: Some(Value::Exact(0.0)), count: Some((0, 3)), ..sample::row("web07") };
    let bounds = Bounds { high: Some(0.1), ..in_bounds.bounds };
    let in_bounds = VmRow { bounds, ..in_bounds };
    let mut shown = |value: f64| {
        let row = VmRow { value: Some(Value::Exact(value)), spark: [value as f32; 4].into(), ..in_bounds.clone() };
        Arc::make_mut(&mut snapshot.rows)[at] = Arc::new(row);
        let mut ui = screen(&snapshot);
        let place = names(&ui).iter().position(|name| *name == "web07");
        ui.size = (120, 40);
        let theme = Theme::built_in(ThemeName::Dark, Colours::True);
        let frame = render(&snapshot, &ui, &theme, 120, 40);
        let row = frame.content().chunks(120).find(|cells| {
            cells
                .iter()
                .map(|cell| cell.symbol())
                .collect::<String>()
                .trim_start_matches([' ', '│', '>'])
                .starts_with("web07")
        });
        let beyond = theme.style(Role::Beyond).fg;
        (place, row.expect("its row").iter().any(|cell| Some(cell.fg) == beyond))
    };
    let (at_zero, at_bound, past) = (shown(0.0), shown(0.1), shown(0.1000001));
    assert_eq!(at_bound, at_zero);
    assert!(past.0 < at_bound.0 && past.1 && !at_bound.1);
}

#[test]
fn a_low_count_comes_up_only_when_more_than_half_is_counted() {
    let mut snapshot = sample::snapshot();
    let place = |snapshot: &Snapshot| names(&screen(snapshot)).iter().position(|name| *name == "nii3");
    let before = place(&snapshot);
    let at = snapshot.rows.iter().position(|row| *row.name == *"nii3").unwrap();
    Arc::make_mut(&mut snapshot.rows)[at] = Arc::new(VmRow { low_count: Some((10, 20)), ..sample::row("nii3") });
    assert_eq!(place(&snapshot), before);
    Arc::make_mut(&mut snapshot.rows)[at] = Arc::new(VmRow { low_count: Some((11, 20)), ..sample::row("nii3") });
    assert!(place(&snapshot) < before);
}

#[test]
fn the_worst_stay_in_sight_when_the_selection_goes_far_away() {
    let snapshot = sample::snapshot();
    let mut ui = screen(&snapshot);
    ui.size = (80, 24);
    let theme = Theme::built_in(ThemeName::Mono, Colours::Off);
    let shows = |ui: &Ui, name: &str| {
        let frame = crate::frames::text(&render(&snapshot, ui, &theme, 80, 24));
        frame.lines().any(|line| line.trim_start_matches([' ', '│', '>']).starts_with(name))
    };
    type_keys(&mut ui, &snapshot, "G");
    for name in ["db09", "nii7", "nii8", "nii5"] {
        assert!(shows(&ui, name), "{name}");
    }
    while ui.sort != SortBy::Host {
        type_keys(&mut ui, &snapshot, "s");
    }
    assert_eq!(ui.listing.urgent, 0, "only where the worst come first");
}

#[test]
fn values_of_different_units_are_sorted_by_how_far_they_are_beyond() {
    let mut snapshot = sample::snapshot();
    Arc::make_mut(&mut snapshot.rows).retain(|row| ["nii1", "nii2", "web07", "web12", "nii5"].contains(&&*row.name));
    let mut ui = screen(&snapshot);
    while ui.sort != SortBy::Value {
        type_keys(&mut ui, &snapshot, "s");
    }
    // 2500 of 800 ms, 11 idle under 15, 62 over 50 a minute, 4 of 800 ms; what has no value is last.
    assert_eq!(names(&ui), ["web12", "nii2", "nii1", "web07", "nii5"]);
}

#[test]
fn it_stays_on_its_vm_when_rows_are_sorted_anew() {
    let mut snapshot = sample::snapshot();
    let mut ui = screen_on(&snapshot, "web07");
    let before = ui.listing.at;
    let waits = VmRow { state: VmState::Stale, alarm: true, ..sample::row("web07") };
    let at = snapshot.rows.iter().position(|row| *row.name == *"web07").unwrap();
    Arc::make_mut(&mut snapshot.rows)[at] = Arc::new(waits);
    update(&mut ui, Action::Arrived, &snapshot);
    assert_eq!(ui.row().map(|row| &*row.name), Some("web07"));
    assert_ne!(ui.listing.at, before, "its line is another");
    for _ in 0..20 {
        type_keys(&mut ui, &snapshot, "s");
        assert_eq!(ui.row().map(|row| &*row.name), Some("web07"));
        type_keys(&mut ui, &snapshot, "S");
        assert_eq!(ui.row().map(|row| &*row.name), Some("web07"));
    }
}

#[test]
fn it_goes_to_the_neighbour_when_its_vm_is_gone() {
    let snapshot = sample::snapshot();
    let mut ui = screen_on(&snapshot, "nii8");
    update(&mut ui, Action::Arrived, &without(&snapshot, &["nii8"]));
    assert_eq!(ui.selected.as_deref(), Some("nii2"), "the one after it");
    let mut ui = screen_on(&snapshot, "nii5");
    update(&mut ui, Action::Arrived, &without(&snapshot, &["nii5"]));
    assert_eq!(ui.selected.as_deref(), Some(*names(&ui).last().unwrap()), "the last one's neighbour is before it");
}

#[test]
fn with_no_vm_left_nothing_is_selected() {
    let snapshot = sample::snapshot();
    let mut ui = screen_on(&snapshot, "nii8");
    update(&mut ui, Action::Arrived, &Snapshot { rows: Arc::default(), ..snapshot });
    assert_eq!((ui.selected.as_deref(), ui.listing.at), (None, None));
}

#[test]
fn a_filter_that_matches_nothing_forgets_nothing() {
    let snapshot = sample::snapshot();
    let mut ui = screen_on(&snapshot, "web07");
    type_keys(&mut ui, &snapshot, "/zebra");
    assert!(ui.row().is_none());
    crate::press(&mut ui, &snapshot, crossterm::event::KeyCode::Esc);
    assert_eq!(ui.row().map(|row| &*row.name), Some("web07"));
}

#[test]
fn equal_rows_are_sorted_by_name_in_both_directions() {
    let snapshot = sample::snapshot();
    let mut ui = screen(&snapshot);
    while ui.sort != SortBy::Policy {
        type_keys(&mut ui, &snapshot, "s");
    }
    let of = |ui: &Ui, policy| -> Vec<String> {
        ui.listing.rows.iter().filter(|row| row.policy.word() == policy).map(|row| row.name.to_string()).collect()
    };
    let forward = of(&ui, "threshold");
    type_keys(&mut ui, &snapshot, "S");
    assert_eq!(of(&ui, "threshold"), forward);
    assert!(forward.iter().position(|n| n == "nii2") < forward.iter().position(|n| n == "nii7"));
}

#[test]
fn filters_find_every_field_and_turn_round() {
    let snapshot = sample::snapshot();
    let found = |filter: &str| {
        let mut ui = screen(&snapshot);
        type_keys(&mut ui, &snapshot, &format!("/{filter}"));
        let mut names: Vec<String> = ui.listing.rows.iter().map(|row| row.name.to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(found("NII1"), ["nii1"]);
    assert_eq!(found("apache"), ["nii2"]);
    assert_eq!(found("schedule"), ["nii5"]);
    assert_eq!(found("cloud"), ["nii4", "vm-データ"]);
    assert_eq!(found("oslo/mln6"), ["db09", "nii8"]);
    assert_eq!(found("stale"), ["db04"]);
    assert_eq!(found("データ"), ["vm-データ"]);
    assert_eq!(found("!oslo"), ["nii4", "vm-データ"]);
    assert_eq!(found("!").len(), snapshot.rows.len());
}
