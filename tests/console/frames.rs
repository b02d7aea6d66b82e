//! What the screens look like: the text, and a map of the styles in every theme.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use whimbrel::console::{Action, Colours, Overlay, Screen, Theme, ThemeName, Ui, UiEffect, render, update};
use whimbrel::core::cluster::{Span, Transfer};
use whimbrel::core::engine::{HoldCause, StageKind, Target, VmState};
use whimbrel::view::{Answer, Drain, HistoryView, MigrationView, Snapshot, StuckVm, UiCommand, VmRow};

use crate::pictures::{Background, svg};
use crate::{recorded, sample, screen_on, type_keys};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += unicode_width::UnicodeWidthStr::width(symbol).max(1) as u16;
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn words(style: Style) -> String {
    let colour = |name, colour: Option<ratatui::style::Color>| match colour {
        None | Some(ratatui::style::Color::Reset) => String::new(),
        Some(colour) => format!(" {name} {colour}"),
    };
    format!("{:?}{}{}", style.add_modifier, colour("fg", style.fg), colour("bg", style.bg))
}

/// Runs of styles, line by line: `12a 3b` is twelve cells of a and three of b. Plain cells at the end are left out.
fn styles(buffer: &Buffer) -> String {
    let mut legend: BTreeMap<String, usize> = BTreeMap::new();
    let plain = words(Style::new());
    let name = |n: usize| char::from_u32('a' as u32 + n as u32).unwrap_or('?');
    let mut lines = String::new();
    for y in 0..buffer.area.height {
        let mut runs: Vec<(String, u16)> = Vec::new();
        for x in 0..buffer.area.width {
            let words = words(buffer[(x, y)].style());
            match runs.last_mut() {
                Some((last, n)) if *last == words => *n += 1,
                _ => runs.push((words, 1)),
            }
        }
        runs.pop_if(|(words, _)| *words == plain);
        for (words, n) in runs {
            let next = legend.len();
            let letter = name(*legend.entry(words).or_insert(next));
            let _ = write!(lines, "{n}{letter} ");
        }
        lines.push('\n');
    }
    let mut order: Vec<_> = legend.into_iter().collect();
    order.sort_by_key(|(_, n)| *n);
    for (words, n) in order {
        let _ = writeln!(lines, "{} = {words}", name(n));
    }
    lines
}

pub fn assert_frames(name: &str, snapshot: &Snapshot, ui: &Ui) {
    for (width, height) in SIZES {
        let mut ui = ui.clone();
        update(&mut ui, Action::Resize(width, height), snapshot);
        assert_frame(name, snapshot, &ui, (width, height));
    }
}

pub fn assert_frame(name: &str, snapshot: &Snapshot, ui: &Ui, (width, height): (u16, u16)) {
    let frame = |theme, colours| render(snapshot, ui, &Theme::built_in(theme, colours), width, height);
    let dark = frame(ThemeName::Dark, Colours::Sixteen);
    let mut out = text(&dark);
    for theme in ThemeName::ALL {
        let buffer = frame(theme, Colours::Sixteen);
        assert_eq!(text(&buffer), text(&dark), "a theme changes no text");
        let _ = write!(out, "\n-- {}\n{}", theme.word(), styles(&buffer));
    }
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("{name}-{width}x{height}"), out);
    });
}

fn fleet() -> (Snapshot, Ui) {
    let snapshot = sample::snapshot();
    let ui = screen_on(&snapshot, "nii1");
    (snapshot, ui)
}

#[test]
fn fleet_with_every_state() {
    let (snapshot, ui) = fleet();
    assert_frames("fleet", &snapshot, &ui);
}

#[test]
fn fleet_on_a_site_vm_shows_its_queue() {
    let mut snapshot = sample::snapshot();
    snapshot.detail = Some(sample::detail(&snapshot, "nii4"));
    let ui = screen_on(&snapshot, "nii4");
    assert_frames("fleet-site", &snapshot, &ui);
    // A frozen display has no details of the VM that is selected then.
    snapshot.detail = None;
    let theme = Theme::built_in(ThemeName::Dark, Colours::Sixteen);
    assert!(text(&render(&snapshot, &ui, &theme, 120, 40)).contains("a move pays: "));
}

#[test]
fn fleet_in_ascii() {
    let (snapshot, mut ui) = fleet();
    ui.glyphs = whimbrel::console::Glyphs::pick(true);
    let ascii = snapshot.rows.iter().filter(|row| row.name.is_ascii()).cloned().collect();
    let mut snapshot = Snapshot { rows: std::sync::Arc::new(ascii), ..snapshot };
    std::sync::Arc::make_mut(&mut snapshot.arrays)[1].hosts.truncate(1);
    update(&mut ui, Action::Arrived, &snapshot);
    let buffer = render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 120, 40);
    assert!(text(&buffer).is_ascii(), "{}", text(&buffer));
    assert_frames("fleet-ascii", &snapshot, &ui);
}

#[test]
fn fleet_before_anything_is_known() {
    let snapshot = Snapshot { cluster: "demo".into(), ..Snapshot::default() };
    let ui = crate::screen(&snapshot);
    assert_frames("fleet-empty", &snapshot, &ui);
}

#[test]
fn fleet_with_a_banner_stale_data_and_an_answer() {
    let (mut snapshot, mut ui) = fleet();
    snapshot.banner = Some(Arc::from(
        "This is the demo, in simulated time. To begin with a real cluster: write whimbrel.toml (whimbrel --help shows \
         how), check it with 'whimbrel check', then start whimbrel beside it.",
    ));
    snapshot.answers =
        vec![Arc::new(Answer { seq: 9, to: None, ok: false, text: "no: nii2 is migrating; abort first (x)".into() })];
    update(&mut ui, Action::Arrived, &snapshot);
    ui.quiet = Some(Span::from_secs(5));
    assert_frames("fleet-banner", &snapshot, &ui);
}

#[test]
fn a_filter_that_matches_nothing_says_so() {
    let (snapshot, mut ui) = fleet();
    type_keys(&mut ui, &snapshot, "/zebra");
    assert_frames("filter-none", &snapshot, &ui);
}

#[test]
fn the_move_dialog() {
    let (mut snapshot, mut ui) = fleet();
    snapshot.detail = Some(sample::detail_with_moves(&snapshot, "nii1"));
    type_keys(&mut ui, &snapshot, "m");
    assert_frames("moves", &snapshot, &ui);
}

#[test]
fn several_migrations_while_another_vm_is_looked_at() {
    let (mut snapshot, _) = fleet();
    let moving = |vm: &str, change: fn(&mut MigrationView)| {
        let migrating = sample::migrating(change);
        let row = migrating.moving[0].as_ref().clone();
        std::sync::Arc::new(VmRow { name: vm.into(), ..row })
    };
    snapshot.moving.push(moving("db01", |migration| (migration.stage, migration.percent) = (StageKind::Preflight, 0)));
    snapshot.moving.push(moving("web02", |migration| migration.stage = StageKind::Unknown));
    assert_frames("fleet-several", &snapshot, &screen_on(&snapshot, "nii1"));
}

/// Compares the Fleet and the VM screen while nii2 migrates, after this change to its row.
fn assert_migration(name: &str, change: impl Fn(&mut MigrationView)) {
    let snapshot = sample::migrating(&change);
    assert_frames(&format!("fleet-{name}"), &snapshot, &screen_on(&snapshot, "nii2"));
    assert_screen(&format!("vm-{name}"), "nii2", "", |snapshot, ui| {
        let changed = sample::migrating(&change);
        snapshot.rows = changed.rows;
        update(ui, Action::Arrived, snapshot);
    });
}

#[test]
fn a_migration_under_way() {
    assert_migration("moving", |_| {});
}

#[test]
fn a_migration_that_does_not_converge_and_is_to_be_aborted() {
    assert_migration("diverging", |migration| {
        let (dirty, rate) = (134_000_000, 112_000_000);
        migration.transfer = Some(Transfer { dirty, rate, rounds: 9, ..sample::transfer() });
        migration.aborting = true;
    });
}

#[test]
fn a_migration_whose_outcome_is_unknown() {
    assert_migration("unknown", |migration| {
        migration.stage = StageKind::Unknown;
        migration.transfer = None;
        migration.detail = "mln4 does not answer".into();
    });
}

#[test]
fn what_was_last_told_of_a_migration_is_not_shown_as_how_it_is() {
    let drawn = |stage| {
        let snapshot = sample::migrating(|migration| {
            (migration.stage, migration.detail) = (stage, "mln4 does not answer".into());
        });
        let ui = screen_on(&snapshot, "nii2");
        text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 120, 40))
    };
    let (running, unknown) = (drawn(StageKind::Running), drawn(StageKind::Unknown));
    for of_the_moment in ["MB/s", "expected", "forecast", "s left"] {
        assert!(running.contains(of_the_moment) && !unknown.contains(of_the_moment), "{of_the_moment}: {unknown}");
    }
    assert!(unknown.contains("4.3 GB"), "{unknown}");
}

#[test]
fn a_migration_of_which_nothing_is_heard_says_so() {
    let snapshot = sample::migrating(|migration| migration.told = sample::ago(12));
    let ui = screen_on(&snapshot, "nii2");
    let drawn = text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 120, 40));
    assert!(drawn.contains("copying, round 3   mln3 has told nothing for 12s"), "{drawn}");
    assert!(!drawn.contains("MB/s") && !drawn.contains("s left"), "{drawn}");
}

#[test]
fn an_alarm_is_told_to_its_end_where_there_is_room() {
    let mut snapshot = sample::snapshot();
    let text_of =
        "host kvm1.example.org went down, with 1 VM on it: it closed the connection: is libvirtd still running?";
    Arc::make_mut(snapshot.alarms.last_mut().expect("there are alarms")).text = text_of.into();
    let ui = screen_on(&snapshot, "nii2");
    let drawn = |rows| text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 80, rows));
    let joined = |rows| drawn(rows).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        joined(24).contains("is libvirtd still running?") && joined(24).contains("A acknowledges"),
        "{}",
        drawn(24)
    );
    assert!(!joined(15).contains("running?") && joined(15).contains("A acknowledges"), "{}", drawn(15));
}

#[test]
fn hosts_with_long_names_are_named_in_full_where_there_is_room() {
    let mut snapshot = sample::migrating(|migration| migration.to = "kvm4.example.org".into());
    let arrays = Arc::make_mut(&mut snapshot.arrays);
    Arc::make_mut(&mut arrays[0].hosts[3]).name = "kvm4.example.org".into();
    let ui = screen_on(&snapshot, "nii2");
    let at = |columns| text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), columns, 40));
    assert!(at(200).contains(" kvm4.example.org "), "{}", at(200));
    assert!(at(120).contains("2/8 nii2"), "where it goes has no room, its name has: {}", at(120));
}

#[test]
fn a_vm_that_runs_nowhere_says_so_whatever_its_state() {
    let mut snapshot = sample::snapshot();
    let lost = VmRow { alarm: true, trouble: Some("it runs nowhere".into()), ..sample::row("web07") };
    snapshot.rows = Arc::new(vec![Arc::new(lost)]);
    let ui = screen_on(&snapshot, "web07");
    let drawn = text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 80, 24));
    let line = drawn.lines().find(|line| line.starts_with(">web07")).unwrap_or_default();
    assert!(line.contains("! it runs nowhere") && !line.contains("atching"), "{drawn}");
}

#[test]
fn a_host_that_is_refused_is_named_in_full_too() {
    let mut snapshot = sample::snapshot();
    let mut detail = (*sample::detail_with_moves(&snapshot, "nii1")).clone();
    for option in &mut detail.moves {
        (option.target, option.to) = (Target::Host("kvm4.example.org".into()), None);
    }
    snapshot.detail = Some(Arc::new(detail));
    let mut ui = screen_on(&snapshot, "nii1");
    type_keys(&mut ui, &snapshot, "m");
    let drawn = text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 80, 24));
    assert!(drawn.contains("kvm4.example.org"), "{drawn}");
}

#[test]
fn a_held_vm_with_an_alarm_is_said_to_be_held() {
    let mut snapshot = sample::snapshot();
    let held = VmRow {
        alarm: true,
        state: VmState::Held,
        note: "by an operator".into(),
        hold: Some(HoldCause::Hand),
        ..sample::row("web07")
    };
    snapshot.rows = Arc::new(vec![Arc::new(held)]);
    let ui = screen_on(&snapshot, "web07");
    let drawn = text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 120, 40));
    assert!(drawn.contains("! HELD by an"), "{drawn}");
}

#[test]
fn a_vm_on_a_host_that_is_down_says_so_beside_its_host_and_in_its_state() {
    let mut snapshot = sample::snapshot();
    let down = VmRow { host_state: whimbrel::core::cluster::HostState::Down, ..sample::row("web07") };
    snapshot.rows = Arc::new(vec![Arc::new(down)]);
    let ui = screen_on(&snapshot, "web07");
    let drawn = text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 80, 24));
    let line = drawn.lines().find(|line| line.starts_with(">web07")).unwrap_or_default();
    assert!(line.contains("!oslo/mln1") && line.contains("! host down") && !line.contains("watching"), "{drawn}");
}

#[test]
fn a_migration_in_its_other_stages() {
    let phase = |stage| {
        let snapshot = sample::migrating(|migration| (migration.stage, migration.transfer) = (stage, None));
        let ui = screen_on(&snapshot, "nii2");
        text(&render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 120, 40))
    };
    let told = [
        (StageKind::Preflight, "checking whether mln4 can take it", "> mln4 checking"),
        (StageKind::Journal, "writing it down, then it starts", "> mln4 begins"),
        (StageKind::Running, "round 3, 92 MB/s", "> mln4 ▰▰▰▱▱ 58%"),
        (StageKind::Confirming, "confirming: both hosts are asked where it runs", "> mln4 confirming"),
    ];
    for (stage, words, cell) in told {
        let text = phase(stage);
        assert!(text.contains(words) && text.contains(cell), "{text}");
        assert_eq!(text.contains("x aborts it"), stage != StageKind::Confirming, "{text}");
    }
}

#[test]
fn the_question_before_a_move() {
    let (mut snapshot, mut ui) = fleet();
    snapshot.detail = Some(sample::detail_with_moves(&snapshot, "nii1"));
    type_keys(&mut ui, &snapshot, "m");
    crate::press(&mut ui, &snapshot, crossterm::event::KeyCode::Enter);
    assert_frames("confirm", &snapshot, &ui);
}

/// The drain dialog of a snapshot, on this host.
fn draining(snapshot: &Snapshot, host: &str) -> Ui {
    let mut ui = screen_on(snapshot, "nii1");
    ui.overlays.push(Overlay::Drain { host: host.into(), top: 0 });
    ui
}

#[test]
fn the_drain_dialog_says_where_each_vm_would_go_and_what_is_too_much() {
    let mut snapshot = sample::snapshot();
    for host in ["mln3", "mln4", "xl2"] {
        snapshot.drain = Some(Arc::new(sample::plan(host)));
        assert_frames(&format!("drain-{host}"), &snapshot, &draining(&snapshot, host));
    }
    let mut ui = draining(&snapshot, "mln6");
    assert_frames("drain-down", &snapshot, &ui);
    snapshot.drain = Some(Arc::new(sample::plan("mln3")));
    let ascii = snapshot.rows.iter().filter(|row| row.name.is_ascii()).cloned().collect();
    snapshot.rows = Arc::new(ascii);
    Arc::make_mut(&mut snapshot.arrays)[1].hosts.truncate(1);
    ui = draining(&snapshot, "mln3");
    ui.glyphs = whimbrel::console::Glyphs::pick(true);
    assert_frames("drain-ascii", &snapshot, &ui);
    let buffer = render(&snapshot, &ui, &Theme::built_in(ThemeName::Mono, Colours::Off), 120, 40);
    assert!(text(&buffer).is_ascii(), "{}", text(&buffer));
}

#[test]
fn a_host_that_is_being_drained_is_told_in_the_dialog_and_in_the_arrays() {
    let snapshot = sample::draining("mln3", sample::drain(6, 8));
    assert_frames("draining", &snapshot, &draining(&snapshot, "mln3"));
    assert_frames("fleet-draining", &snapshot, &screen_on(&snapshot, "nii1"));
    let stuck = vec![StuckVm {
        vm: "db04".into(),
        why: "no host would take it: mln1 full, mln5 draining, mln6 down".into(),
        meant: false,
    }];
    let paused = Drain { paused: true, stuck, ..sample::drain(3, 6) };
    let snapshot = sample::draining("mln4", paused);
    assert_frames("draining-paused", &snapshot, &draining(&snapshot, "mln4"));
    let snapshot = sample::draining("xl2", sample::drain(2, 2));
    assert_frames("drained", &snapshot, &draining(&snapshot, "xl2"));
}

#[test]
fn the_help() {
    let (snapshot, mut ui) = fleet();
    type_keys(&mut ui, &snapshot, "?");
    assert_frames("help", &snapshot, &ui);
}

/// A VM's screen, with the past it asks for.
pub fn vm_screen(vm: &str, size: (u16, u16), keys: &str) -> (Snapshot, Ui) {
    let mut snapshot = sample::snapshot();
    snapshot.detail = Some(sample::detail(&snapshot, vm));
    let mut ui = screen_on(&snapshot, vm);
    update(&mut ui, Action::Resize(size.0, size.1), &snapshot);
    let mut opened = crate::press(&mut ui, &snapshot, crossterm::event::KeyCode::Enter);
    if ui.screen == Screen::Queue {
        // A site VM's own screen is one key further.
        opened = type_keys(&mut ui, &snapshot, "V");
    }
    answer_looks(&mut snapshot, &ui, opened);
    for key in keys.chars() {
        let said = type_keys(&mut ui, &snapshot, &key.to_string());
        answer_looks(&mut snapshot, &ui, said);
    }
    (snapshot, ui)
}

/// Answers a subscription as an engine with a history does.
pub fn answer_looks(snapshot: &mut Snapshot, ui: &Ui, said: Vec<UiEffect>) {
    for effect in said {
        let UiEffect::UiCommand(UiCommand::Subscription(look)) = effect else { continue };
        if let Some(vm) = look.vm.filter(|vm| snapshot.detail.as_ref().is_none_or(|detail| detail.vm != *vm)) {
            snapshot.detail = Some(sample::detail(snapshot, &vm));
        }
        let vm = ui.selected.as_deref().unwrap_or("nii1");
        snapshot.past = look.past.map(|ask| recorded::past(vm, ask));
        snapshot.activity = look.activity.map(recorded::activity);
    }
}

#[test]
fn the_help_of_a_vms_screen_begins_with_its_keys() {
    assert_screen("help-vm", "nii3", "?", |_, _| {});
}

/// Compares a screen at each size, with the past that it asks for at that size.
fn assert_screen(name: &str, vm: &str, keys: &str, change: impl Fn(&mut Snapshot, &mut Ui)) {
    for size in SIZES {
        let (mut snapshot, mut ui) = vm_screen(vm, size, keys);
        change(&mut snapshot, &mut ui);
        assert_frame(name, &snapshot, &ui, size);
    }
}

fn in_ascii(snapshot: &mut Snapshot, ui: &mut Ui) {
    ui.glyphs = whimbrel::console::Glyphs::pick(true);
    let (width, height) = ui.size;
    let buffer = render(snapshot, ui, &Theme::built_in(ThemeName::Mono, Colours::Off), width, height);
    assert!(text(&buffer).is_ascii(), "{}", text(&buffer));
}

#[test]
fn the_vm_screen_with_bounds_that_changed_moves_edits_gaps_and_rests() {
    assert_screen("vm", "nii3", "", |_, _| {});
    assert_screen("vm-ascii", "nii3", "", in_ascii);
}

#[test]
fn the_vm_screen_over_a_week_shows_least_mean_and_most() {
    assert_screen("vm-week", "nii3", "]]]]]", |_, _| {});
    assert_screen("vm-week-ascii", "nii3", "]]]]]", in_ascii);
}

#[test]
fn the_vm_screen_in_the_past_with_a_cursor() {
    assert_screen("vm-cursor", "nii3", "]<,,,,,,,,,", |_, _| {});
    assert_screen("vm-event", "nii3", "](((", |_, _| {});
}

#[test]
fn the_vm_screen_of_a_site_vm() {
    assert_screen("vm-site", "nii4", "", |_, _| {});
}

#[test]
fn the_vm_screen_without_a_history() {
    assert_screen("vm-off", "nii1", "", |snapshot, _| {
        snapshot.past = None;
        snapshot.history = HistoryView::Off("/var/lib/whimbrel is read-only".into());
    });
}

#[test]
fn the_vm_screen_before_the_history_is_read() {
    assert_screen("vm-reading", "nii1", "]]", |snapshot, _| snapshot.past = None);
}

#[test]
fn the_activity_of_the_cluster() {
    assert_screen("activity", "nii3", "vc", |_, _| {});
    assert_screen("activity-ascii", "nii3", "vc", in_ascii);
}

#[test]
fn the_activity_of_a_vm_over_a_week() {
    assert_screen("activity-vm", "nii3", "v]", |_, _| {});
}

#[test]
fn activity_that_is_old_and_activity_that_cannot_be_told() {
    assert_screen("activity-old", "nii3", "vc", |snapshot, _| snapshot.at += Span::from_mins(17));
    assert_screen("activity-off", "nii3", "vc", |snapshot, _| {
        snapshot.activity = None;
        snapshot.history = HistoryView::Off("whimbrel runs with --no-history".into());
    });
}

/// They are in `target/tmp`, to be looked at.
#[test]
fn pictures_can_be_drawn() {
    let mut snapshot = sample::snapshot();
    snapshot.detail = Some(sample::detail_with_moves(&snapshot, "nii1"));
    let fleet = screen_on(&snapshot, "nii1");
    let mut moves = fleet.clone();
    type_keys(&mut moves, &snapshot, "m");
    let mut help = fleet.clone();
    type_keys(&mut help, &snapshot, "?");
    let fleet_snapshot = snapshot.clone();
    for (name, ui) in [("fleet", &fleet), ("moves", &moves), ("help", &help)] {
        for (width, height) in SIZES {
            picture(name, &fleet_snapshot, ui, width, height);
        }
    }
    let snapshot = sample::draining("mln3", sample::drain(6, 8));
    let moving = sample::migrating(|_| {});
    let idle = Snapshot { drain: Some(Arc::new(sample::plan("mln4"))), ..sample::snapshot() };
    for (name, snapshot, ui) in [
        ("draining", &snapshot, draining(&snapshot, "mln3")),
        ("drain", &idle, draining(&idle, "mln4")),
        ("moving", &moving, screen_on(&moving, "nii2")),
    ] {
        for (width, height) in SIZES {
            picture(name, snapshot, &ui, width, height);
        }
    }
    for (name, keys) in
        [("vm", ""), ("vm-week", "]]]]]"), ("vm-cursor", "](((("), ("activity", "vc"), ("activity-vm", "v]")]
    {
        for (width, height) in SIZES {
            let (snapshot, ui) = vm_screen("nii3", (width, height), keys);
            picture(name, &snapshot, &ui, width, height);
        }
    }
}

pub fn picture(name: &str, snapshot: &Snapshot, ui: &Ui, width: u16, height: u16) {
    for (theme, background) in [(ThemeName::Dark, Background::Dark), (ThemeName::Light, Background::Light)] {
        let buffer = render(snapshot, ui, &Theme::built_in(theme, Colours::True), width, height);
        let path = format!("{}/{name}-{}-{width}.svg", env!("CARGO_TARGET_TMPDIR"), theme.word());
        std::fs::write(path, svg(&buffer, background)).expect("a place for pictures");
    }
}
