//! The drain dialog: which host, what is asked, what is refused.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use whimbrel::console::{Action, Colours, Overlay, Theme, ThemeName, Tone, Ui, UiEffect, dispatch, render, update};
use whimbrel::core::engine::Command;
use whimbrel::view::{Drain, Snapshot, Subscription, UiCommand};

use crate::frames::text;
use crate::{press, sample, screen_on, type_keys};

/// The sample with the dialog open on this host, and the engine's plan for it.
fn asking(host: &str) -> (Snapshot, Ui) {
    let snapshot = Snapshot { drain: Some(Arc::new(sample::plan(host))), ..sample::snapshot() };
    let mut ui = screen_on(&snapshot, "nii1");
    ui.overlays.push(Overlay::Drain { host: host.into(), top: 0 });
    (snapshot, ui)
}

/// The same while that host is drained like this.
fn draining(host: &str, drain: Drain) -> (Snapshot, Ui) {
    let (_, ui) = asking(host);
    (sample::draining(host, drain), ui)
}

fn chosen(ui: &Ui) -> &str {
    match ui.overlays.last() {
        Some(Overlay::Drain { host, .. }) => host,
        other => panic!("{other:?}"),
    }
}

fn question(ui: &Ui) -> &str {
    match ui.overlays.last() {
        Some(Overlay::Confirm { question, .. }) => question,
        other => panic!("{other:?}"),
    }
}

fn commands(said: Vec<UiEffect>) -> Vec<Command> {
    let command = |effect| match effect {
        UiEffect::UiCommand(UiCommand::Command(_, command)) => Some(command),
        _ => None,
    };
    said.into_iter().filter_map(command).collect()
}

/// Why a key does nothing.
fn refused(ui: &Ui, snapshot: &Snapshot, code: KeyCode) -> &'static str {
    match dispatch(KeyEvent::new(code, KeyModifiers::NONE), ui, snapshot) {
        Some(Err(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_opens_on_the_selected_vms_host_and_asks_the_engine_for_its_plan() {
    let mut snapshot = sample::snapshot();
    Arc::make_mut(&mut snapshot.arrays)[0].hosts.retain(|host| host.drain.is_none());
    let mut ui = screen_on(&snapshot, "db01");
    let said = type_keys(&mut ui, &snapshot, "D");
    assert_eq!(chosen(&ui), "mln3");
    let [UiEffect::UiCommand(UiCommand::Subscription(Subscription { drain, moves: false, .. }))] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(drain.as_deref(), Some("mln3"));
    let said = type_keys(&mut ui, &snapshot, "j");
    assert_eq!(chosen(&ui), "mln4");
    assert!(
        matches!(&said[..], [UiEffect::UiCommand(UiCommand::Subscription(Subscription { drain: Some(host), .. }))] if **host == *"mln4")
    );
    type_keys(&mut ui, &snapshot, "G");
    assert_eq!(chosen(&ui), "xl2");
    type_keys(&mut ui, &snapshot, "gk");
    assert_eq!(chosen(&ui), "mln1");
    let said = press(&mut ui, &snapshot, KeyCode::Esc);
    assert!(
        matches!(&said[..], [UiEffect::UiCommand(UiCommand::Subscription(Subscription { drain: None, .. }))])
            && ui.overlays.is_empty()
    );
}

#[test]
fn it_opens_on_the_host_that_is_being_drained_wherever_the_selection_is() {
    let snapshot = sample::snapshot();
    let mut ui = screen_on(&snapshot, "db01");
    type_keys(&mut ui, &snapshot, "D");
    assert_eq!(chosen(&ui), "mln5");
    let snapshot = sample::draining("mln5", sample::drain(2, 2));
    for (vm, host) in [("db01", "mln3"), ("nii7", "mln5")] {
        let mut ui = screen_on(&snapshot, vm);
        type_keys(&mut ui, &snapshot, "D");
        assert_eq!(chosen(&ui), host, "what is drained already is calm");
    }
}

#[test]
fn without_a_host_it_says_so() {
    let snapshot = Snapshot::default();
    let mut ui = crate::screen(&snapshot);
    type_keys(&mut ui, &snapshot, "D");
    assert!(ui.overlays.is_empty());
    assert_eq!(ui.notice.as_ref().map(|notice| &*notice.text), Some("there is no host"));
}

#[test]
fn a_drain_is_asked_about_with_what_it_means_and_the_dialog_stays() {
    let (snapshot, mut ui) = asking("mln3");
    press(&mut ui, &snapshot, KeyCode::Enter);
    let asked = "drain mln3: 2 VMs leave it one after the other, and it takes none until it is released (1 warning)?";
    assert_eq!(question(&ui), asked);
    assert_eq!(commands(type_keys(&mut ui, &snapshot, "n")), []);
    press(&mut ui, &snapshot, KeyCode::Enter);
    let said = commands(type_keys(&mut ui, &snapshot, "y"));
    assert_eq!(said, [Command::Drain { host: "mln3".into() }]);
    assert_eq!(chosen(&ui), "mln3", "to be watched");
    let notice = ui.notice.as_ref().map(|notice| (notice.tone, &*notice.text));
    assert_eq!(notice, Some((Tone::Asked, "drain mln3: asked, waiting for the engine")));

    let (snapshot, mut ui) = asking("mln4");
    press(&mut ui, &snapshot, KeyCode::Enter);
    assert!(question(&ui).starts_with("drain mln4: 2 VMs leave it one after the other, 1 stays, and it takes none"));
}

#[test]
fn without_its_plan_nothing_is_asked() {
    let (snapshot, mut ui) = asking("mln3");
    type_keys(&mut ui, &snapshot, "j");
    press(&mut ui, &snapshot, KeyCode::Enter);
    assert_eq!(chosen(&ui), "mln4");
    assert!(
        ui.notice.as_ref().is_some_and(|notice| notice.tone == Tone::Bad && notice.text.starts_with("no plan yet"))
    );
}

#[test]
fn a_host_that_is_not_up_cannot_be_drained() {
    let (snapshot, ui) = asking("mln6");
    assert_eq!(refused(&ui, &snapshot, KeyCode::Enter), "it is not up: its VMs cannot be moved live");
    assert_eq!(refused(&ui, &snapshot, KeyCode::Char('p')), "it is not being drained");
    assert_eq!(refused(&ui, &snapshot, KeyCode::Char('r')), "it is not being drained");
}

#[test]
fn a_drain_is_paused_goes_on_and_is_released() {
    let host = || "mln3".to_owned();
    let (snapshot, mut ui) = draining("mln3", sample::drain(6, 8));
    assert_eq!(refused(&ui, &snapshot, KeyCode::Enter), "it is being drained: p pauses that, r releases it");
    assert_eq!(commands(type_keys(&mut ui, &snapshot, "p")), [Command::PauseDrain { host: host() }]);
    let (snapshot, mut ui) = draining("mln3", Drain { paused: true, ..sample::drain(6, 8) });
    assert_eq!(commands(type_keys(&mut ui, &snapshot, "p")), [Command::ResumeDrain { host: host() }]);
    assert_eq!(commands(type_keys(&mut ui, &snapshot, "r")), []);
    assert_eq!(question(&ui), "let mln3 take VMs again: its draining ends, what is on its way goes on?");
    assert_eq!(commands(type_keys(&mut ui, &snapshot, "y")), [Command::Undrain { host: host() }]);
}

#[test]
fn a_drained_host_is_released_after_a_question() {
    let (snapshot, mut ui) = draining("xl2", sample::drain(2, 2));
    assert_eq!(refused(&ui, &snapshot, KeyCode::Char('p')), "it is drained: r releases it");
    type_keys(&mut ui, &snapshot, "r");
    assert_eq!(question(&ui), "let xl2 take VMs again: it is drained?");
}

#[test]
fn what_the_config_drains_an_operator_can_have_emptied() {
    let by_config = Drain { by: "config".into(), commanded: false, ..sample::drain(0, 2) };
    let (snapshot, mut ui) = draining("mln3", by_config);
    press(&mut ui, &snapshot, KeyCode::Enter);
    assert!(question(&ui).starts_with("drain mln3"));
}

#[test]
fn a_dialog_about_a_host_that_is_gone_closes() {
    let (mut snapshot, mut ui) = asking("mln3");
    Arc::make_mut(&mut snapshot.arrays)[0].hosts.retain(|host| *host.name != *"mln3");
    update(&mut ui, Action::Arrived, &snapshot);
    assert!(ui.overlays.is_empty());
    assert_eq!(ui.notice.as_ref().map(|notice| &*notice.text), Some("that host is gone"));
}

#[test]
fn pages_go_through_the_vms_and_another_host_begins_with_its_first() {
    let (mut snapshot, mut ui) = asking("mln3");
    let mut plan = sample::plan("mln3");
    plan.moves = (0..30).map(|_| plan.moves[0].clone()).collect();
    snapshot.drain = Some(Arc::new(plan));
    let top = |ui: &Ui| match ui.overlays.last() {
        Some(Overlay::Drain { top, .. }) => *top,
        other => panic!("{other:?}"),
    };
    press(&mut ui, &snapshot, KeyCode::PageDown);
    press(&mut ui, &snapshot, KeyCode::PageDown);
    press(&mut ui, &snapshot, KeyCode::PageUp);
    assert_eq!((top(&ui), chosen(&ui)), (5, "mln3"));
    type_keys(&mut ui, &snapshot, "j");
    assert_eq!((top(&ui), chosen(&ui)), (0, "mln4"));
}

#[test]
fn a_narrow_dialog_says_all_of_what_it_says() {
    let said = |(snapshot, mut ui): (Snapshot, Ui), sentence: &str| {
        for (columns, rows) in [(60, 24), (60, 40)] {
            ui.size = (columns, rows);
            let theme = Theme::built_in(ThemeName::Mono, Colours::Off);
            let drawn = text(&render(&snapshot, &ui, &theme, columns, rows));
            let words: Vec<&str> =
                drawn.split(|c: char| c.is_whitespace() || c == '│').filter(|w| !w.is_empty()).collect();
            assert!(words.join(" ").contains(sentence), "{sentence} at {columns}x{rows}: {drawn}");
        }
    };
    said(asking("base1"), "it is empty; if it is drained, it takes no VMs until it is released");
    said(asking("mln4"), "db04 stays: no host would take it: mln1 full, mln5 draining, mln6 down");
    said(draining("mln4", sample::drain(1, 3)), "1 of 3 VMs have left by root, 2m ago");
    said(draining("mln4", sample::drain(3, 3)), "drained: it takes no VMs until it is released by root, 2m ago");
}
