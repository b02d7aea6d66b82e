//! The policy editor: what its keys do to the text, and what they send to the engine.

use std::sync::Arc;

use crossterm::event::KeyCode;
use whimbrel::console::{Action, Colours, Overlay, Theme, ThemeName, Tone, render};
use whimbrel::core::cluster::Span;
use whimbrel::core::policy::Field;
use whimbrel::view::{Answer, Block, CommandId, Draft, Origin, Saving, Scope, SetValue, UiCommand};

use crate::editor_desk::{BLOCK, Desk};
use crate::sample;

fn with(threshold: &str) -> String {
    BLOCK.replace("threshold = 50", &format!("threshold = {threshold}"))
}

#[test]
fn where_policies_cannot_be_edited_the_key_says_why() {
    let mut desk = Desk::new();
    desk.snapshot.uneditable = Some("oslo-prod.toml is read-only".into());
    for (key, why) in [("e", "edited"), ("#", "changed"), ("+", "changed")] {
        desk.keys(key);
        assert_eq!(desk.notice(), format!("policies cannot be {why} here: oslo-prod.toml is read-only"));
    }
    assert!(desk.ui.editor.is_none() && desk.ui.overlays.is_empty() && desk.said.is_empty());
}

#[test]
fn opening_asks_for_the_block_and_then_for_what_it_would_have_done() {
    let mut desk = Desk::new();
    desk.keys("e");
    let drafts: Vec<&UiCommand> = desk.said.iter().collect();
    let [UiCommand::Draft(Some(asked)), UiCommand::Draft(Some(read))] = drafts[..] else { panic!("{drafts:?}") };
    assert_eq!((&asked.text, &*asked.vms[0], asked.span), (&None, "nii1", Span::from_hours(14 * 24)));
    assert_eq!(read.text.as_deref(), Some(BLOCK));
    assert!(read.seq > asked.seq);
}

#[test]
fn the_threshold_is_typed_over_and_every_key_is_told() {
    let mut desk = Desk::new();
    desk.keys("e");
    desk.said.clear();
    desk.keys("60");
    let told: Vec<String> = desk
        .said
        .iter()
        .filter_map(|said| match said {
            UiCommand::Draft(Some(Draft { text: Some(text), .. })) => Some(text.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(told, [with("6"), with("60")]);
    desk.ctrl('u');
    assert_eq!(desk.text(), BLOCK, "what was typed over is one step");
    desk.ctrl('r');
    assert_eq!(desk.text(), with("60"));
}

#[test]
fn letters_are_text_and_pasted_text_too() {
    let mut desk = Desk::new();
    desk.keys("eq?");
    assert_eq!(desk.text(), with("q?"));
    desk.act(Action::Paste("7\x1b\u{7}\r\ntarry = 9".into()));
    assert_eq!(desk.text(), with("q?7\ntarry = 9"));
    desk.key(KeyCode::Tab);
    desk.keys("4");
    assert!(desk.text().contains("\ntarry = 4\nsettle"), "{}", desk.text());
    desk.key(KeyCode::BackTab);
    desk.key(KeyCode::Backspace);
    assert!(desk.text().contains("\ntarry = 9         # was"), "{}", desk.text());
    assert!(desk.text().contains("\ntarry = \nsettle"), "the value before is behind the caret: {}", desk.text());
}

#[test]
fn from_too_many_moves_to_a_better_bound_in_three_keys() {
    let mut desk = Desk::new();
    desk.keys("e");
    desk.f(5);
    assert_eq!(desk.notice(), "threshold 52: F2 saves it");
    desk.f(2);
    assert_eq!(desk.saves(), [(with("52"), None, false)]);
    assert!(desk.ui.editor.is_none());
    assert_eq!(desk.notice(), "saved to oslo-prod.toml:41 and applied: threshold 50 → 52");
    assert_eq!(desk.said.last(), Some(&UiCommand::Draft(None)));
}

#[test]
fn the_graph_begins_where_something_is_recorded() {
    let mut desk = Desk::new();
    desk.keys("e");
    let mut past = desk.snapshot.past.clone().expect("a past");
    let known = Arc::make_mut(&mut past);
    known.begins = Some(known.to - Span::from_hours(50));
    desk.snapshot.past = Some(past);
    let asked = |desk: &Desk| desk.snapshot.past.as_ref().map(|past| past.ask.span);
    desk.act(Action::Arrived);
    assert_eq!(asked(&desk), Some(Span::from_hours(51)), "of 14 days");
}

#[test]
fn two_bounds_in_one_line_of_the_graph_share_a_label() {
    let mut desk = Desk::new();
    desk.ui.size = (140, 44);
    desk.keys("e50.1");
    let theme = Theme::built_in(ThemeName::Mono, Colours::Off);
    let shown = crate::frames::text(&render(&desk.snapshot, &desk.ui, &theme, 140, 44));
    assert!(shown.contains(" 50 → 50.1"), "{shown}");
}

#[test]
fn fewer_and_more_moves_go_along_the_strip_and_back() {
    let mut desk = Desk::new();
    desk.keys("e");
    desk.f(5);
    desk.f(5);
    assert!(desk.text().contains("threshold = 54 "), "{}", desk.text());
    desk.f(6);
    assert!(desk.text().contains("threshold = 51 "), "{}", desk.text());
    desk.ctrl('u');
    desk.ctrl('u');
    desk.ctrl('u');
    assert_eq!(desk.text(), BLOCK, "each is one step");
}

#[test]
fn where_lower_is_worse_fewer_moves_is_lower() {
    let mut desk = Desk::on(&["nii2"]);
    desk.what_if = Err("nothing is recorded");
    desk.keys("e");
    desk.f(5);
    assert_eq!(desk.text(), with("48"), "without a what-if the next round number");
    desk.f(6);
    assert_eq!(desk.text(), with("50"));
}

#[test]
fn nothing_is_taken_from_an_answer_to_an_older_text() {
    let mut desk = Desk::new();
    desk.keys("e6");
    desk.is_quick = false;
    desk.keys("0");
    desk.f(5);
    assert_eq!(desk.notice(), "what-if is still counting: once more in a moment");
    assert_eq!(desk.text(), with("60"));
}

#[test]
fn the_strip_may_come_later_than_the_rest() {
    let mut desk = Desk::new();
    desk.has_strip = false;
    desk.keys("e");
    desk.f(5);
    assert_eq!((desk.notice(), desk.text()), ("the strip is still counting: once more in a moment", BLOCK.to_owned()));
    desk.has_strip = true;
    desk.answer();
    desk.f(5);
    assert_eq!(desk.text(), with("52"));
}

#[test]
fn an_answer_to_an_older_draft_does_not_come_over_the_text() {
    let mut desk = Desk::new();
    desk.is_quick = false;
    desk.keys("e");
    let asked = desk.draft().expect("a draft");
    desk.answer();
    desk.keys("60");
    let late = desk.view(&asked, Saving::Not);
    desk.snapshot.draft = Some(Arc::new(late));
    desk.act(Action::Arrived);
    assert_eq!(desk.text(), with("60"));
}

#[test]
fn an_editor_does_not_hear_what_was_said_of_the_one_before() {
    let mut desk = Desk::new();
    desk.keys("e");
    desk.key(KeyCode::Esc);
    desk.is_quick = false;
    desk.keys("e");
    desk.act(Action::Arrived);
    assert_eq!(desk.draft().and_then(|draft| draft.text), None, "still reading");
    desk.keys("7");
    assert_eq!(desk.draft().and_then(|draft| draft.text), None, "nothing to type into yet");
    let theme = Theme::built_in(ThemeName::Dark, Colours::Off);
    let shown = crate::frames::text(&render(&desk.snapshot, &desk.ui, &theme, 80, 24));
    assert!(!shown.contains("oslo-prod.toml:41"), "which block it is, is not known yet:\n{shown}");
}

#[test]
fn a_frozen_display_does_not_freeze_the_editor() {
    let mut desk = Desk::new();
    desk.keys("pe60");
    assert_eq!(desk.text(), with("60"));
    desk.f(2);
    assert!(desk.ui.editor.is_none());
}

#[test]
fn what_is_wrong_is_not_saved_and_the_caret_goes_there() {
    let mut desk = Desk::new();
    desk.keys("efifty");
    desk.key(KeyCode::PageUp);
    desk.f(2);
    assert_eq!(desk.notice(), "not saved: line 2, column 13 is wrong");
    assert!(desk.saves().is_empty());
    desk.keys("7");
    assert_eq!(desk.text(), with("7fifty"));
}

#[test]
fn nothing_changed_is_nothing_saved() {
    let mut desk = Desk::new();
    desk.keys("e");
    desk.f(2);
    assert_eq!((desk.notice(), desk.saves().len()), ("nothing has been changed", 0));
}

#[test]
fn a_reason_goes_along() {
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.f(3);
    desk.keys("too many q");
    desk.key(KeyCode::Backspace);
    desk.key(KeyCode::Enter);
    assert_eq!(desk.saves(), [(with("60"), Some("too many".into()), false)]);
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.ctrl('y');
    desk.key(KeyCode::Enter);
    assert_eq!(desk.saves(), [(with("60"), None, false)], "an empty one is none");
}

#[test]
fn leaving_asks_only_if_something_would_be_lost() {
    let mut desk = Desk::new();
    desk.keys("e");
    desk.key(KeyCode::Esc);
    assert!(desk.ui.editor.is_none());
    assert_eq!(desk.said.last(), Some(&UiCommand::Draft(None)));
    desk.keys("e60");
    desk.key(KeyCode::Esc);
    assert!(desk.ui.editor.is_some() && desk.ui.overlays.len() == 1);
    desk.key(KeyCode::Esc);
    assert!(desk.ui.editor.is_some() && desk.ui.overlays.is_empty(), "gone on");
    desk.key(KeyCode::Esc);
    desk.keys("l");
    assert!(desk.ui.editor.is_none() && desk.saves().is_empty());
    desk.keys("e70");
    desk.key(KeyCode::Esc);
    desk.f(2);
    assert_eq!(desk.saves().len(), 1, "saved on the way out");
    assert!(desk.ui.editor.is_none() && desk.ui.overlays.is_empty());
}

#[test]
fn a_shared_block_is_asked_about_and_can_be_left_to_the_others() {
    let mut desk = Desk::shared();
    desk.keys("e60");
    desk.f(2);
    assert!(desk.saves().is_empty());
    let Some(Overlay::Prompt(whimbrel::console::Prompt::ShareDraft { question, .. })) = desk.ui.overlays.last() else {
        panic!("{:?}", desk.ui.overlays)
    };
    assert_eq!(question, "policy web is shared: this changes 6 VMs, nii2, nii3 and 3 more too");
    desk.key(KeyCode::Esc);
    assert!(desk.ui.editor.is_some() && desk.saves().is_empty());
    desk.f(2);
    desk.keys("b");
    let scope = |said: &UiCommand| matches!(said, UiCommand::Save { draft, .. } if draft.scope == Scope::Block);
    assert!(desk.said.iter().any(scope) && desk.ui.editor.is_none());
    let mut desk = Desk::shared();
    desk.keys("e60");
    desk.f(9);
    assert_eq!(desk.draft().map(|draft| draft.scope), Some(Scope::Own));
    desk.f(2);
    assert_eq!(desk.saves().len(), 1, "of a block of its own nobody is asked");
}

#[test]
fn a_vm_can_be_given_its_own_as_it_is() {
    let mut desk = Desk::shared();
    desk.keys("e");
    desk.f(9);
    desk.f(2);
    assert_eq!(desk.saves(), [(BLOCK.to_owned(), None, false)]);
}

#[test]
fn refused_stays_open_and_says_why() {
    let mut desk = Desk::new();
    desk.saving = Saving::Refused("the disk is full".into());
    desk.keys("e60");
    desk.f(2);
    assert_eq!(desk.notice(), "not saved: the disk is full");
    desk.keys("1");
    assert_eq!(desk.text(), with("601"), "and goes on");
}

fn conflict() -> Desk {
    let mut desk = Desk::new();
    desk.keys("e60");
    let theirs = Block { text: with("55").into(), place: "oslo-prod.toml:43".into(), ..Block::default() };
    desk.saving = Saving::Conflict(Arc::new(theirs.clone()));
    desk.f(2);
    desk.block = theirs;
    assert!(desk.ui.editor.is_some());
    desk
}

#[test]
fn a_file_changed_meanwhile_is_never_written_over_silently() {
    let mut desk = conflict();
    desk.f(2);
    assert_eq!(desk.saves().len(), 1, "the question is no save");
    desk.keys("m");
    assert_eq!(desk.saves()[1], (with("60"), None, true));
    assert!(desk.ui.editor.is_none());
}

#[test]
fn what_is_in_the_file_can_be_taken_and_mine_comes_back() {
    let mut desk = conflict();
    desk.keys("t");
    assert_eq!(desk.text(), with("55"));
    desk.ctrl('u');
    assert_eq!(desk.text(), with("60"));
    let mut desk = conflict();
    desk.key(KeyCode::Esc);
    assert_eq!((desk.text(), desk.saves().len()), (with("60"), 1), "gone on editing");
}

#[test]
fn while_a_save_is_on_its_way_nothing_is_typed() {
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.is_quick = false;
    desk.f(2);
    desk.keys("99");
    assert_eq!((desk.text(), desk.saves().len()), (with("60"), 1));
    desk.key(KeyCode::Esc);
    desk.keys("9");
    assert_eq!(desk.text(), with("609"), "or one does not wait");
}

#[test]
fn what_did_not_reach_the_engine_goes_again_and_a_save_is_told() {
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.is_quick = false;
    desk.f(2);
    let save = desk.said.last().and_then(UiCommand::id).expect("a save");
    desk.act(Action::NotSent(save));
    assert_eq!(desk.ui.notice.as_ref().map(|notice| notice.tone), Some(Tone::Bad));
    let Some(UiCommand::Draft(Some(draft))) = desk.said.last() else { panic!("{:?}", desk.said.last()) };
    assert_eq!(draft.text.as_deref(), Some(&*with("60")));
    desk.is_quick = true;
    desk.f(2);
    assert_eq!(desk.saves().len(), 2);
}

#[test]
fn a_save_that_is_never_answered_gives_the_editor_back() {
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.is_quick = false;
    desk.f(2);
    let save = desk.said.last().and_then(UiCommand::id).expect("a save");
    desk.act(Action::Unanswered(save));
    assert_eq!(desk.ui.notice.as_ref().map(|notice| notice.tone), Some(Tone::Bad));
    desk.keys("9");
    assert_eq!(desk.text(), with("609"), "it takes keys again");
}

#[test]
fn a_save_that_the_draft_answers_is_waited_for_no_more() {
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.saving = Saving::Refused("the file is read-only".into());
    desk.f(2);
    let told = desk.ui.notice.clone();
    let save = desk.said.iter().rev().find_map(UiCommand::id).expect("a save");
    desk.act(Action::Unanswered(save));
    assert_eq!(desk.ui.notice, told);
}

#[test]
fn what_if_looks_as_far_back_as_is_wanted() {
    let mut desk = Desk::new();
    desk.keys("e");
    let mut days = Vec::new();
    for key in [8, 8, 8, 7] {
        desk.f(key);
        days.push(desk.draft().map_or(0, |draft| draft.span.millis() / 86_400_000));
        let past = desk.snapshot.past.as_ref().map(|past| past.ask.span);
        assert_eq!(past, desk.draft().map(|draft| draft.span), "the graph goes along");
    }
    assert_eq!(days, [30, 1, 3, 1]);
}

#[test]
fn marked_vms_are_edited_together() {
    let mut desk = Desk::on(&["nii1", "nii3", "nii7"]);
    desk.keys("e60");
    let vms = desk.draft().map(|draft| draft.vms).unwrap_or_default();
    assert_eq!(vms.iter().map(|vm| &**vm).collect::<Vec<_>>(), ["nii1", "nii3", "nii7"]);
}

#[test]
fn marked_vms_are_changed_from_where_each_is() {
    let mut desk = Desk::on(&["nii1", "nii3", "nii2"]);
    desk.keys("+");
    assert!(desk.changes().is_empty(), "some may share a block");
    desk.keys("o");
    let change = |vms: &[&str], value| SetValue {
        vms: vms.iter().map(|vm| (*vm).into()).collect(),
        scope: Scope::Own,
        field: Field::Threshold,
        value,
    };
    assert_eq!(desk.changes(), [change(&["nii1", "nii3"], 52.0), change(&["nii2"], 16.0)]);
    desk.keys("-");
    assert_eq!(desk.changes()[2..], [change(&["nii1", "nii3"], 50.0), change(&["nii2"], 15.0)], "asked once");
}

#[test]
fn a_change_of_a_shared_block_is_asked_about_once() {
    let mut desk = Desk::new();
    let origin = Origin { place: "oslo-prod.toml:12".into(), shared: Some("web".into()), others: 5 };
    let detail = sample::detail(&desk.snapshot, "nii1");
    desk.snapshot.detail = Some(Arc::new(whimbrel::view::Detail { origin, ..(*detail).clone() }));
    desk.keys("+");
    desk.key(KeyCode::Esc);
    assert!(desk.changes().is_empty() && desk.notice() == "nothing was changed");
    desk.keys("+b++");
    assert_eq!(desk.changes().iter().map(|change| change.value).collect::<Vec<_>>(), [52.0, 54.0, 56.0]);
    assert!(desk.changes().iter().all(|change| change.scope == Scope::Block));
}

#[test]
fn what_is_too_long_to_be_a_policy_is_not_pasted_and_takes_nothing_away() {
    let mut desk = Desk::new();
    desk.keys("e");
    let before = desk.text();
    desk.act(Action::Paste("x".repeat(100_000)));
    assert_eq!((desk.text(), desk.notice()), (before, "not pasted: that is far longer than any policy"));
}

#[test]
fn a_number_is_typed_as_the_config_takes_it() {
    let mut desk = Desk::new();
    desk.keys("#1_0x");
    desk.key(KeyCode::Enter);
    assert_eq!(desk.notice(), "'1_0x' is no number: write 50, 2.5 or 1_000");
    desk.key(KeyCode::Backspace);
    desk.keys("0.5");
    desk.key(KeyCode::Enter);
    assert_eq!(desk.changes().iter().map(|change| change.value).collect::<Vec<_>>(), [100.5]);
    assert_eq!(desk.notice(), "nii1 threshold 50 → 100.5: asked, waiting for the engine");
    desk.keys("t#0");
    desk.key(KeyCode::Enter);
    assert_eq!((desk.notice(), desk.changes().len()), ("tarry must be at least 1", 1));
    desk.ctrl('u');
    desk.key(KeyCode::Enter);
    assert_eq!((desk.notice(), desk.changes().len()), ("nothing was changed", 1));
}

#[test]
fn what_was_asked_of_many_is_undone_by_one_key() {
    let mut desk = Desk::new();
    desk.keys("u");
    assert_eq!(desk.said, [UiCommand::Undo(CommandId(1))]);
    assert_eq!(desk.notice(), "undo: asked, waiting for the engine");
}

#[test]
fn a_policy_that_cannot_be_read_is_not_edited() {
    let mut desk = Desk::new();
    desk.is_quick = false;
    desk.keys("e");
    let draft = desk.draft().expect("a draft");
    let view = desk.view(&draft, Saving::Refused("no VM 'nii1' in the file".into()));
    desk.snapshot.draft = Some(Arc::new(view));
    desk.act(Action::Arrived);
    assert!(desk.ui.editor.is_none());
    assert_eq!(desk.notice(), "this policy cannot be edited: no VM 'nii1' in the file");
}

#[test]
fn a_save_that_nobody_took_is_waited_for_no_longer() {
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.is_quick = false;
    desk.f(2);
    let answer = |seq, to, text: &str| Arc::new(Answer { seq, to, ok: false, text: text.to_owned() });
    let save = desk.said.last().and_then(UiCommand::id);
    for (seq, to) in [(1, None), (2, Some(CommandId(77)))] {
        desk.snapshot.answers = vec![answer(seq, to, "nii2 stays: mln4 is down")];
        desk.act(Action::Arrived);
        desk.keys("1");
        assert_eq!(desk.text(), with("60"), "another command's refusal: the save is still waited for");
    }
    assert!(save.is_some());
    desk.snapshot.answers = vec![answer(3, save, "the console only looks")];
    desk.act(Action::Arrived);
    assert_eq!(desk.notice(), "the console only looks");
    desk.keys("1");
    assert_eq!(desk.text(), with("601"));
}

#[test]
fn done_is_done_also_for_those_who_did_not_wait() {
    let mut desk = Desk::new();
    desk.keys("e60");
    desk.is_quick = false;
    desk.f(2);
    desk.key(KeyCode::Esc);
    assert!(desk.ui.editor.is_some());
    desk.answer();
    assert!(desk.ui.editor.is_none());
}

#[test]
fn a_file_that_changes_under_the_text_is_told_and_takes_no_key() {
    let mut desk = Desk::new();
    desk.keys("e6");
    let theirs = Block { text: with("55").into(), place: "oslo-prod.toml:43".into(), ..Block::default() };
    desk.saving = Saving::Conflict(Arc::new(theirs));
    desk.keys("0m");
    assert_eq!((desk.text(), desk.ui.overlays.len()), (with("60m"), 0), "typing goes on");
    desk.key(KeyCode::Backspace);
    let theme = Theme::built_in(ThemeName::Dark, Colours::Off);
    let shown = crate::frames::text(&render(&desk.snapshot, &desk.ui, &theme, 80, 24));
    assert!(shown.contains("! the file was changed meanwhile (oslo-prod.toml:43)"), "{shown}");
}
