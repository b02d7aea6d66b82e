//! Frames at 200×60 and what a new snapshot costs, by the number of VMs.

#[path = "../tests/console/recorded.rs"]
mod recorded;
#[path = "../tests/console/sample.rs"]
mod sample;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use whimbrel::console::{Action, Colours, Theme, ThemeName, Ui, UiEffect, Zone, draw, render, update};
use whimbrel::view::{Snapshot, UiCommand};

fn screen(snapshot: &Snapshot) -> Ui {
    let mut ui = Ui::new(ThemeName::Dark, false, Zone::Utc);
    update(&mut ui, Action::Resize(200, 60), snapshot);
    ui.selected = snapshot.rows.first().map(|row| row.name.clone());
    update(&mut ui, Action::Arrived, snapshot);
    ui
}

fn frames(c: &mut Criterion) {
    let theme = Theme::built_in(ThemeName::Dark, Colours::True);
    let mut group = c.benchmark_group("frame 200x60");
    for vms in [15, 50, 1_000, 10_000] {
        let snapshot = if vms == 15 { sample::snapshot() } else { sample::many(vms) };
        let ui = screen(&snapshot);
        let mut terminal = Terminal::new(TestBackend::new(200, 60)).expect("a test backend never fails");
        group.bench_function(BenchmarkId::from_parameter(vms), |b| {
            b.iter(|| {
                let drawn = terminal.draw(|frame| draw(frame, black_box(&snapshot), black_box(&ui), &theme));
                black_box(drawn.map(|frame| frame.count).ok())
            });
        });
    }
    group.finish();
}

fn arrivals(c: &mut Criterion) {
    let mut group = c.benchmark_group("a snapshot arrives");
    for vms in [50, 1_000, 10_000] {
        let snapshot = sample::many(vms);
        let ui = screen(&snapshot);
        // Rows that changed come in a list of their own.
        let snapshot = Snapshot { rows: Arc::new(snapshot.rows.to_vec()), ..snapshot };
        group.bench_function(BenchmarkId::from_parameter(vms), |b| {
            b.iter_batched_ref(
                || ui.clone(),
                |ui| black_box(update(ui, Action::Arrived, black_box(&snapshot))),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn dialog(c: &mut Criterion) {
    let theme = Theme::built_in(ThemeName::Dark, Colours::True);
    let mut snapshot = sample::snapshot();
    snapshot.detail = Some(sample::detail_with_moves(&snapshot, "nii1"));
    let mut ui = screen(&snapshot);
    update(&mut ui, Action::Moves, &snapshot);
    c.bench_function("move dialog 200x60", |b| {
        b.iter(|| render(black_box(&snapshot), black_box(&ui), &theme, 200, 60));
    });
}

fn migration(c: &mut Criterion) {
    let theme = Theme::built_in(ThemeName::Dark, Colours::True);
    let snapshot = sample::migrating(|_| {});
    let mut ui = screen(&snapshot);
    ui.selected = Some("nii2".into());
    update(&mut ui, Action::Arrived, &snapshot);
    c.bench_function("migration 200x60", |b| {
        b.iter(|| render(black_box(&snapshot), black_box(&ui), &theme, 200, 60));
    });
}

fn drain(c: &mut Criterion) {
    let theme = Theme::built_in(ThemeName::Dark, Colours::True);
    let snapshot = sample::draining("mln3", sample::drain(6, 8));
    let mut ui = screen(&snapshot);
    update(&mut ui, Action::Drain, &snapshot);
    c.bench_function("drain dialog 200x60", |b| {
        b.iter(|| render(black_box(&snapshot), black_box(&ui), &theme, 200, 60));
    });
}

/// Screens with a past, at every stretch of time.
fn pasts(c: &mut Criterion) {
    let theme = Theme::built_in(ThemeName::Dark, Colours::True);
    let mut group = c.benchmark_group("past 200x60");
    for (name, open, zooms) in [
        ("vm 3 h", Action::Open, 0),
        ("vm 7 d", Action::Open, 5),
        ("vm 365 d", Action::Open, 8),
        ("activity 7 d", Action::Activity, 1),
    ] {
        let mut snapshot = sample::snapshot();
        let mut ui = screen(&snapshot);
        update(&mut ui, Action::Open, &snapshot);
        for action in [open].into_iter().chain(std::iter::repeat_n(Action::ZoomOut, zooms)) {
            for effect in update(&mut ui, action, &snapshot) {
                let UiEffect::UiCommand(UiCommand::Subscription(look)) = effect else { continue };
                snapshot.past = look.past.map(|ask| recorded::past("nii1", ask));
                snapshot.activity = look.activity.map(recorded::activity);
            }
        }
        group.bench_function(name, |b| b.iter(|| render(black_box(&snapshot), black_box(&ui), &theme, 200, 60)));
    }
    group.finish();
}

criterion_group!(benches, frames, arrivals, dialog, migration, drain, pasts);
criterion_main!(benches);
