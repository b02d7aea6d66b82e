//! The VM and Activity screens: what their keys ask the history for, and what is shown until it answers.

use std::sync::Arc;

use crossterm::event::KeyCode;
use whimbrel::console::{Action, Screen, Ui, UiEffect, dispatch, render, update};
use whimbrel::console::{Colours, Theme, ThemeName};
use whimbrel::core::cluster::Span;
use whimbrel::core::engine::Command;
use whimbrel::view::{
    ActivityAsk, ActivityView, CommandId, Draft, HistoryView, Past, PastAsk, Saving, Scope, Snapshot, Subscription,
    UiCommand,
};

use crate::frames::{answer_looks, text, vm_screen};
use crate::{press, recorded, sample, type_keys};

const SIZE: (u16, u16) = (120, 40);

fn looks(said: &[UiEffect]) -> Vec<&Subscription> {
    let look = |effect: &'_ UiEffect| matches!(effect, UiEffect::UiCommand(UiCommand::Subscription(_)));
    said.iter()
        .filter(|effect| look(effect))
        .map(|effect| match effect {
            UiEffect::UiCommand(UiCommand::Subscription(look)) => look,
            _ => unreachable!("only looks are left"),
        })
        .collect()
}

fn past(said: &[UiEffect]) -> PastAsk {
    looks(said).last().and_then(|look| look.past).expect("a past is asked for")
}

fn shown(snapshot: &Snapshot, ui: &Ui) -> String {
    let (width, height) = ui.size;
    text(&render(snapshot, ui, &Theme::built_in(ThemeName::Mono, Colours::Off), width, height))
}

#[test]
fn zooming_asks_for_a_longer_or_a_shorter_stretch_until_there_is_none() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "");
    assert_eq!(past(&type_keys(&mut ui, &snapshot, "]")).span, Span::from_hours(6));
    assert_eq!(past(&type_keys(&mut ui, &snapshot, "[[")).span, Span::from_hours(1));
    type_keys(&mut ui, &snapshot, "[[");
    assert!(type_keys(&mut ui, &snapshot, "[").is_empty(), "nothing else is asked for");
    assert_eq!(ui.notice.as_ref().map(|n| &*n.text), Some("this is the shortest stretch"));
    type_keys(&mut ui, &snapshot, "]]]]]]]]]]]]]]");
    assert_eq!(ui.vm.span(), Span::from_hours(365 * 24));
    assert_eq!(ui.vm.end, None, "at the present it stays there");
}

#[test]
fn panning_goes_by_half_a_stretch_and_comes_back_to_the_present() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "");
    let half = Span::from_mins(90);
    assert_eq!(past(&type_keys(&mut ui, &snapshot, "<")).end, Some(sample::NOW - half));
    assert_eq!(past(&press(&mut ui, &snapshot, KeyCode::Left)).end, Some(sample::NOW - half - half));
    press(&mut ui, &snapshot, KeyCode::Right);
    assert_eq!(past(&press(&mut ui, &snapshot, KeyCode::Right)).end, None, "and it goes along again");
    type_keys(&mut ui, &snapshot, "<<<");
    assert_eq!(past(&press(&mut ui, &snapshot, KeyCode::Home)).end, None);
}

#[test]
fn panning_ends_at_the_oldest_reading() {
    let (mut snapshot, mut ui) = vm_screen("nii3", SIZE, "]]]]]]");
    assert_eq!(ui.vm.span(), Span::from_hours(30 * 24));
    for _ in 0..10 {
        let said = type_keys(&mut ui, &snapshot, "<");
        answer_looks(&mut snapshot, &ui, said);
    }
    // There are 40 days: the second step shows the begin.
    assert_eq!(ui.vm.end, Some(sample::NOW - Span::from_hours(15 * 24)));
    assert_eq!(ui.notice.as_ref().map(|n| &*n.text), Some("there is nothing older"));
}

#[test]
fn the_cursor_goes_from_reading_to_reading_and_says_what_it_stands_on() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, ",");
    let newest = ui.vm.cursor.expect("the cursor begins at the newest reading");
    type_keys(&mut ui, &snapshot, ",,");
    assert_eq!(ui.vm.cursor, Some(newest - Span::from_mins(2)));
    type_keys(&mut ui, &snapshot, ".");
    assert_eq!(ui.vm.cursor, Some(newest - Span::from_mins(1)));
    assert!(shown(&snapshot, &ui).contains("14:43:00"), "{}", shown(&snapshot, &ui));
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert_eq!((ui.vm.cursor, ui.screen), (None, Screen::Vm), "escape takes the cursor away before the screen");
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert_eq!(ui.screen, Screen::Fleet);
}

#[test]
fn the_cursor_finds_what_happened() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "");
    let under =
        |ui: &Ui, words: &str| assert!(shown(&snapshot, ui).contains(words), "{words}:\n{}", shown(&snapshot, ui));
    type_keys(&mut ui, &snapshot, "(");
    under(&ui, "moved to mln2");
    type_keys(&mut ui, &snapshot, "(");
    under(&ui, "moved to mln1");
    type_keys(&mut ui, &snapshot, "(");
    under(&ui, "gap of 8 min: deadline of 10 s passed");
    type_keys(&mut ui, &snapshot, "(");
    under(&ui, "settings changed");
    type_keys(&mut ui, &snapshot, "(");
    under(&ui, "rest of 22 min");
    type_keys(&mut ui, &snapshot, ")");
    under(&ui, "settings changed");
}

#[test]
fn zooming_in_keeps_the_cursor_in_the_middle() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "((((");
    let cursor = ui.vm.cursor.unwrap();
    let said = type_keys(&mut ui, &snapshot, "[");
    assert_eq!(past(&said).end, Some(cursor + Span::from_mins(30)));
    assert_eq!(ui.vm.cursor, Some(cursor));
}

#[test]
fn what_is_known_stays_until_the_history_answers() {
    let (mut snapshot, mut ui) = vm_screen("nii3", SIZE, "");
    let said = type_keys(&mut ui, &snapshot, "]");
    let waiting = shown(&snapshot, &ui);
    assert!(waiting.contains("reading the history   last 6 h") && waiting.contains("request #317"), "{waiting}");
    answer_looks(&mut snapshot, &ui, said);
    assert!(!shown(&snapshot, &ui).contains("reading the history"));
}

#[test]
fn another_vms_past_is_never_shown_as_this_ones() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "");
    let said = type_keys(&mut ui, &snapshot, "j");
    assert_ne!(ui.selected.as_deref(), Some("nii3"));
    assert_eq!(looks(&said).last().and_then(|look| look.vm.clone()), ui.selected);
    let frame = shown(&snapshot, &ui);
    assert!(frame.contains("reading the history") && !frame.contains("#317  mln1 > mln2  6.2 s"), "{frame}");
}

#[test]
fn a_resized_terminal_asks_for_as_many_bands_as_it_can_show() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "");
    assert_eq!(past(&update(&mut ui, Action::Resize(200, 60), &snapshot)).columns, 400);
}

#[test]
fn a_vm_is_acted_on_from_its_screen() {
    let (snapshot, mut ui) = vm_screen("nii8", SIZE, "");
    let said = type_keys(&mut ui, &snapshot, "a");
    assert_eq!(said, [UiEffect::UiCommand(UiCommand::Command(CommandId(1), Command::Approve { vm: "nii8".into() }))]);
    let said = type_keys(&mut ui, &snapshot, "h");
    assert_eq!(said, [UiEffect::UiCommand(UiCommand::Command(CommandId(2), Command::Hold { vm: "nii8".into() }))]);
    type_keys(&mut ui, &snapshot, "m");
    assert_eq!(ui.overlays.len(), 1);
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert_eq!((ui.overlays.len(), ui.screen), (0, Screen::Vm));
}

#[test]
fn tab_goes_through_the_vms_as_fleet_lists_them() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "");
    let at = ui.listing.at;
    press(&mut ui, &snapshot, KeyCode::Tab);
    assert_eq!(ui.listing.at, at.map(|at| at + 1));
    press(&mut ui, &snapshot, KeyCode::BackTab);
    assert_eq!(ui.selected.as_deref(), Some("nii3"));
}

#[test]
fn a_trouble_of_the_history_is_told_and_the_live_readings_stay() {
    let (mut snapshot, ui) = vm_screen("nii1", SIZE, "");
    let ask = snapshot.past.as_ref().unwrap().ask;
    let mut past = (*recorded::past("nii1", ask)).clone();
    past.bands.clear();
    past.trouble = Some("disk I/O\x1b[2J error".into());
    snapshot.past = Some(past.into());
    let frame = shown(&snapshot, &ui);
    assert!(
        frame.contains("the history cannot be read: disk I/O [2J error; this is what the engine remembers"),
        "{frame}"
    );
    assert!(frame.contains("last 30 min"), "{frame}");
}

#[test]
fn without_a_history_the_screens_say_why_there_is_none_and_not_that_it_cannot_be_read() {
    let (mut snapshot, mut ui) = vm_screen("nii1", SIZE, "");
    let past = Past { trouble: Some("there is no file".into()), ..(**snapshot.past.as_ref().unwrap()).clone() };
    snapshot.past = Some(past.into());
    snapshot.history = HistoryView::Off("the history is off".into());
    let frame = shown(&snapshot, &ui);
    assert!(frame.contains("no history: the history is off; this is what the engine remembers"), "{frame}");
    type_keys(&mut ui, &snapshot, "v");
    let activity = snapshot.activity.as_ref().map(|view| (**view).clone());
    let ask = ActivityAsk { vm: Some("nii1".into()), span: Span::from_hours(48) };
    let view = activity.map(|view| ActivityView { ask, trouble: Some("there is no file".into()), ..view });
    snapshot.activity = view.map(Into::into);
    let frame = shown(&snapshot, &ui);
    assert!(frame.contains("no history: the history is off") && !frame.contains("cannot be read"), "{frame}");
}

#[test]
fn activity_is_the_clusters_from_fleet_and_the_vms_from_its_screen() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "");
    let ask = |said: &[UiEffect]| looks(said).last().and_then(|look| look.activity.clone());
    let of = |vm: Option<&str>, hours| Some(ActivityAsk { vm: vm.map(Into::into), span: Span::from_hours(hours) });
    let said = type_keys(&mut ui, &snapshot, "v");
    assert_eq!(ask(&said), of(Some("nii3"), 48));
    assert_eq!(past(&said).span, Span::from_hours(48), "with its samples");
    let said = type_keys(&mut ui, &snapshot, "c");
    assert_eq!(ask(&said), of(None, 48));
    assert_eq!(looks(&said).last().and_then(|look| look.past), None);
    assert_eq!(ask(&type_keys(&mut ui, &snapshot, "]")), of(None, 168));
    assert_eq!(ask(&type_keys(&mut ui, &snapshot, "[[")), of(None, 24));
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert_eq!(ui.screen, Screen::Vm, "back to where it was opened");
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert_eq!(ask(&type_keys(&mut ui, &snapshot, "v")), of(None, 24), "the stretch stays");
    let key = crossterm::event::KeyEvent::new(KeyCode::Char('j'), crossterm::event::KeyModifiers::NONE);
    assert_eq!(dispatch(key, &ui, &snapshot), Some(Err("this is the whole cluster: c shows one VM")));
}

#[test]
fn the_activity_of_one_vm_is_never_shown_as_that_of_another() {
    let (snapshot, mut ui) = vm_screen("nii3", SIZE, "v");
    assert!(shown(&snapshot, &ui).contains("confirmed"));
    type_keys(&mut ui, &snapshot, "j");
    let frame = shown(&snapshot, &ui);
    assert!(frame.contains("reading the history") && !frame.contains("VM-HOURS"), "{frame}");
}

/// A console that is attached from elsewhere gets snapshots as JSON.
#[test]
fn a_snapshot_is_read_from_json_as_it_was_written() {
    let span = Span::from_hours(24);
    let mut snapshot = sample::snapshot();
    let mut row = sample::row("gaps");
    row.spark = [f32::NAN, 4.0].into();
    Arc::make_mut(&mut snapshot.rows).push(Arc::new(row));
    snapshot.detail = Some(sample::detail_with_moves(&snapshot, "nii2"));
    snapshot.drain = Some(Arc::new(sample::plan("mln4")));
    snapshot.past = Some(recorded::past("nii2", PastAsk { end: None, span, columns: 200 }));
    snapshot.activity = Some(recorded::activity(ActivityAsk { vm: None, span }));
    let draft = Draft { seq: 1, vms: vec!["nii2".into()], scope: Scope::Block, text: None, span };
    snapshot.draft = Some(Arc::new(crate::editor_desk::Desk::new().view(&draft, Saving::Done)));
    let written = serde_json::to_string(&snapshot).expect("JSON");
    let read: Snapshot = serde_json::from_str(&written).expect("a snapshot");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), written);
    let spark = &read.rows.last().expect("a row").spark;
    assert!(spark[0].is_nan() && spark[1] == 4.0, "a gap stays one");
    assert_eq!((&read.detail, &read.drain), (&snapshot.detail, &snapshot.drain));
}
