//! What the policy editor looks like.

use std::sync::Arc;

use whimbrel::console::{Action, Colours, CursorMove, EditorAction, Glyphs, Theme, ThemeName, Ui, render, update};
use whimbrel::core::policy::Decision;
use whimbrel::view::{Block, DraftView, Saving, Snapshot, WhatIf};

use crate::editor_desk::{BLOCK, Desk};
use crate::frames::{assert_frames, text};
use crate::sample;

fn assert_desk(name: &str, desk: &Desk) {
    assert_frames(&format!("editor-{name}"), &desk.snapshot, &desk.ui);
}

#[test]
fn as_it_opens() {
    let mut desk = Desk::new();
    desk.is_quick = false;
    desk.keys("e");
    assert_desk("opening", &desk);
    desk.is_quick = true;
    desk.answer();
    assert_desk("fresh", &desk);
}

#[test]
fn a_bound_typed_over() {
    let mut desk = Desk::new();
    desk.keys("e60");
    assert_desk("told", &desk);
    desk.ui.glyphs = Glyphs::pick(true);
    assert_desk("ascii", &desk);
}

#[test]
fn what_is_not_answered_yet_is_no_truth() {
    let mut desk = Desk::new();
    desk.keys("e6");
    desk.is_quick = false;
    desk.keys("0");
    assert_desk("pending", &desk);
}

#[test]
fn something_wrong() {
    let mut desk = Desk::new();
    desk.keys("efifty");
    desk.act(Action::Edit(EditorAction::Go(CursorMove::Bottom)));
    desk.act(Action::Edit(EditorAction::Go(CursorMove::End)));
    desk.act(Action::Paste("\ntary = 4".into()));
    assert_desk("wrong", &desk);
}

#[test]
fn a_shared_block() {
    let mut desk = Desk::shared();
    desk.keys("e60");
    assert_desk("shared", &desk);
    desk.f(2);
    assert_desk("shared-asks", &desk);
}

#[test]
fn several_vms() {
    let mut desk = Desk::on(&["nii1", "nii3", "nii7"]);
    desk.keys("e60");
    assert_desk("several", &desk);
}

#[test]
fn no_history() {
    let mut desk = Desk::new();
    desk.what_if = Err("nothing is recorded of nii1 yet");
    desk.keys("e60");
    assert_desk("unrecorded", &desk);
}

#[test]
fn refused_and_conflict() {
    let mut desk = Desk::new();
    desk.saving = Saving::Refused("oslo-prod.toml: permission denied; let whimbrel write it".into());
    desk.keys("e60");
    desk.f(2);
    assert_desk("refused", &desk);
    let theirs = BLOCK.replace("tarry = 3", "tarry = 5").replace("50 ", "55 ");
    desk.saving = Saving::Conflict(Arc::new(Block {
        text: theirs.into(),
        place: "oslo-prod.toml:43".into(),
        ..Block::default()
    }));
    desk.f(2);
    assert_desk("conflict", &desk);
}

#[test]
fn a_number_is_typed() {
    let mut desk = Desk::new();
    desk.keys("#60");
    assert_desk("number", &desk);
    desk.keys("x");
    desk.key(crossterm::event::KeyCode::Enter);
    let frame = render(&desk.snapshot, &desk.ui, &Theme::built_in(ThemeName::Dark, Colours::Sixteen), 80, 24);
    let line = text(&frame).lines().last().map(str::to_owned).unwrap_or_default();
    assert_eq!(line, " threshold of nii1 [50]: 60x▏  ! '60x' is no number: write 50, 2.5 or 1_000");
}

#[test]
fn a_reason_is_typed_and_unsaved_is_asked_about() {
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.f(3);
    desk.keys("too many moves since the");
    assert_desk("why", &desk);
    desk.key(crossterm::event::KeyCode::Esc);
    desk.key(crossterm::event::KeyCode::Esc);
    assert_desk("unsaved", &desk);
}

#[test]
fn its_keys_stand_in_the_help() {
    let mut desk = Desk::new();
    desk.keys("e");
    desk.f(1);
    assert_desk("help", &desk);
}

#[test]
fn the_smallest_terminal_keeps_the_text_the_numbers_and_what_is_wrong() {
    let shown = |keys| {
        let mut desk = Desk::shared();
        desk.keys(keys);
        desk.act(Action::Resize(40, 10));
        let theme = Theme::built_in(ThemeName::Dark, Colours::Off);
        crate::frames::text(&render(&desk.snapshot, &desk.ui, &theme, 40, 10))
    };
    let told = shown("e60");
    for words in ["3 moves (now 11)", "repeats (now 4)", "policy web, shared with", "threshold = 60", "F2 ctrl-o save"]
    {
        assert!(told.contains(words), "{words}:\n{told}");
    }
    let wrong = shown("efifty");
    assert!(wrong.contains("✗  2 threshold = fifty") && wrong.contains("threshold must be a number"), "{wrong}");
}

/// They are in `target/tmp`, to be looked at.
#[test]
fn its_pictures_can_be_drawn() {
    let mut desk = Desk::new();
    desk.keys("e60");
    crate::frames::picture("editor", &desk.snapshot, &desk.ui, 120, 40);
}

/// Every size there is; in `keys` F2 is written as `\u{2}`.
fn sweep(mut desk: Desk, keys: &str) {
    for c in keys.chars() {
        match c {
            '\u{2}' => desk.f(2),
            '\u{3}' => desk.f(3),
            '\u{1b}' => desk.key(crossterm::event::KeyCode::Esc),
            c => desk.keys(&c.to_string()),
        }
    }
    let (snapshot, mut ui): (&Snapshot, Ui) = (&desk.snapshot, desk.ui.clone());
    let theme = Theme::built_in(ThemeName::Dark, Colours::True);
    for width in (1..=130).chain((131..=240).step_by(7)) {
        for height in (1..=40).chain((41..=70).step_by(4)) {
            update(&mut ui, Action::Resize(width, height), snapshot);
            let buffer = render(snapshot, &ui, &theme, width, height);
            assert_eq!((buffer.area.width, buffer.area.height), (width, height));
        }
    }
}

#[test]
fn it_fits_every_terminal() {
    sweep(Desk::new(), "e60");
    sweep(Desk::new(), "efifty");
    sweep(Desk::shared(), "e60\u{2}");
    let mut slow = Desk::new();
    slow.is_quick = false;
    sweep(slow, "e");
}

#[test]
fn its_questions_fit_every_terminal() {
    sweep(Desk::new(), "#60");
    sweep(Desk::new(), "e60\u{1b}");
    sweep(Desk::new(), "e60\u{3}why");
    let mut desk = Desk::new();
    desk.saving = Saving::Conflict(Arc::new(desk.block.clone()));
    sweep(desk, "e60\u{2}");
    let mut off = Desk::new();
    off.snapshot.uneditable = Some("read-only".into());
    sweep(off, "e");
}

#[test]
fn a_text_that_is_not_changed_is_not_called_changed_where_there_is_little_room() {
    let mut desk = Desk::shared();
    desk.keys("e");
    let frame = drawn(&desk, 80, 24);
    let title = frame.lines().find(|line| line.contains("policy web")).expect("a title");
    assert!(title.contains(" unchanged "), "{title}");
}

#[test]
fn moves_that_were_made_are_counted_over_what_is_replayed_and_moves_to_the_base_apart() {
    let mut desk = Desk::new();
    desk.keys("e");
    let mut view = DraftView::clone(desk.snapshot.draft.as_ref().expect("an answer"));
    let WhatIf::Told { comparison, .. } = &mut view.what_if else { panic!("{:?}", view.what_if) };
    let comparison = Arc::make_mut(comparison);
    comparison.from = sample::NOW;
    comparison.new.outcome.all_moves.truncate(3);
    comparison.new.outcome.all_moves[1].decision = Decision::MoveToBase;
    desk.snapshot.draft = Some(Arc::new(view));
    desk.act(Action::Arrived);
    let frame = drawn(&desk, 120, 40);
    let end = |word: &str| {
        let line = frame.lines().find(|line| line.trim_start().starts_with(word)).expect("a line").trim_end();
        line.rsplit_once("  ").expect("a count").1.to_owned()
    };
    assert_eq!([end("in fact"), end("would be")], ["0", "2+1 base"]);
}

fn drawn(desk: &Desk, width: u16, height: u16) -> String {
    let theme = Theme::built_in(ThemeName::Dark, Colours::Sixteen);
    text(&render(&desk.snapshot, &desk.ui, &theme, width, height))
}
