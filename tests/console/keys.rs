//! Every key: what it does to the screen, and what it sends to the engine.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use whimbrel::console::{Action, Overlay, Screen, SortBy, ThemeName, Tone, Ui, UiEffect, dispatch, update};
use whimbrel::core::cluster::Mode;
use whimbrel::core::engine::{Command, StageKind, Target};
use whimbrel::core::policy::Field;
use whimbrel::view::{Answer, CommandId, Scope, SetValue, Snapshot, Subscription, UiCommand};

use crate::{press, sample, screen, screen_on, type_keys};

fn on(vm: &str) -> (Snapshot, Ui) {
    let mut snapshot = sample::snapshot();
    snapshot.detail = Some(sample::detail(&snapshot, vm));
    let ui = screen_on(&snapshot, vm);
    (snapshot, ui)
}

/// The commands that these keys send.
fn commands(ui: &mut Ui, snapshot: &Snapshot, keys: &str) -> Vec<Command> {
    let said = type_keys(ui, snapshot, keys);
    said.into_iter()
        .filter_map(|effect| match effect {
            UiEffect::UiCommand(UiCommand::Command(_, command)) => Some(command),
            _ => None,
        })
        .collect()
}

fn answer(seq: u64, to: Option<CommandId>, ok: bool, text: &str) -> Arc<Answer> {
    Arc::new(Answer { seq, to, ok, text: text.into() })
}

fn notice(ui: &Ui) -> (Tone, &str) {
    ui.notice.as_ref().map_or((Tone::Good, ""), |notice| (notice.tone, &notice.text))
}

fn ctrl(ui: &mut Ui, snapshot: &Snapshot, c: char) -> Vec<UiEffect> {
    match dispatch(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL), ui, snapshot) {
        Some(Ok(action)) => update(ui, action, snapshot),
        _ => Vec::new(),
    }
}

#[test]
fn moving_the_selection_tells_the_engine_what_is_looked_at() {
    let (snapshot, mut ui) = on("nii8");
    let said = type_keys(&mut ui, &snapshot, "j");
    let [UiEffect::UiCommand(UiCommand::Subscription(Subscription { vm, moves: false, .. }))] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(vm.as_deref(), Some("nii2"));
    assert!(type_keys(&mut ui, &snapshot, "S").is_empty(), "nothing else is looked at: nothing is said");
}

#[test]
fn the_arrows_j_k_g_and_pages_move_the_selection() {
    let (snapshot, mut ui) = on("nii8");
    let at = |ui: &Ui| ui.listing.at.unwrap();
    let first = at(&ui);
    type_keys(&mut ui, &snapshot, "jjk");
    assert_eq!(at(&ui), first + 1);
    press(&mut ui, &snapshot, KeyCode::Down);
    press(&mut ui, &snapshot, KeyCode::Up);
    assert_eq!(at(&ui), first + 1);
    type_keys(&mut ui, &snapshot, "G");
    assert_eq!(at(&ui), ui.listing.rows.len() - 1);
    press(&mut ui, &snapshot, KeyCode::PageDown);
    assert_eq!(at(&ui), ui.listing.rows.len() - 1);
    press(&mut ui, &snapshot, KeyCode::PageUp);
    assert!(at(&ui) < ui.listing.rows.len() - 1);
    type_keys(&mut ui, &snapshot, "g");
    assert_eq!(at(&ui), 0);
    ctrl(&mut ui, &snapshot, 'd');
    assert!(at(&ui) > 1);
}

#[test]
fn quit_keys_quit_whatever_is_open() {
    let (snapshot, mut ui) = on("nii1");
    assert_eq!(type_keys(&mut ui, &snapshot, "q"), [UiEffect::Quit]);
    for open in ["", "?", "m", "/", "o"] {
        let (snapshot, mut ui) = on("nii1");
        type_keys(&mut ui, &snapshot, open);
        assert!(ctrl(&mut ui, &snapshot, 'c').contains(&UiEffect::Quit), "{open}");
    }
}

#[test]
fn ctrl_z_suspends() {
    let (snapshot, mut ui) = on("nii1");
    assert_eq!(ctrl(&mut ui, &snapshot, 'z'), [UiEffect::Suspend]);
}

#[test]
fn hold_and_release_are_one_key_by_state() {
    let (snapshot, mut ui) = on("nii1");
    assert_eq!(commands(&mut ui, &snapshot, "h"), [Command::Hold { vm: "nii1".into() }]);
    assert_eq!(notice(&ui), (Tone::Asked, "hold nii1: asked, waiting for the engine"));
    for held in ["nii7", "db01"] {
        let (snapshot, mut ui) = on(held);
        assert_eq!(commands(&mut ui, &snapshot, "h"), [Command::Release { vm: held.into() }]);
    }
}

#[test]
fn approve_and_deny_act_only_where_something_waits() {
    let (snapshot, mut ui) = on("nii8");
    assert_eq!(commands(&mut ui, &snapshot, "a"), [Command::Approve { vm: "nii8".into() }]);
    assert_eq!(commands(&mut ui, &snapshot, "d"), [Command::Deny { vm: "nii8".into() }]);
    let (mut snapshot, ui) = on("nii1");
    let key = KeyEvent::new(KeyCode::Char('a'), KeyModifiers::NONE);
    assert_eq!(dispatch(key, &ui, &snapshot), Some(Err("it is another VM's request that waits")));
    snapshot.waiting = 0;
    assert_eq!(dispatch(key, &ui, &snapshot), Some(Err("nothing waits for approval here")));
}

#[test]
fn abort_asks_first() {
    let (snapshot, mut ui) = on("nii2");
    assert_eq!(commands(&mut ui, &snapshot, "x"), []);
    assert_eq!(commands(&mut ui, &snapshot, "n"), []);
    assert!(ui.overlays.is_empty());
    assert_eq!(commands(&mut ui, &snapshot, "xy"), [Command::Abort { vm: "nii2".into() }]);
    let snapshot = sample::migrating(|migration| migration.stage = StageKind::Confirming);
    let ui = screen_on(&snapshot, "nii2");
    let key = KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE);
    assert_eq!(dispatch(key, &ui, &snapshot), Some(Err("it has ended: both hosts are asked where the VM runs")));
}

#[test]
fn the_config_is_read_again_when_asked() {
    let (snapshot, mut ui) = on("nii8");
    assert_eq!(type_keys(&mut ui, &snapshot, "R"), [UiEffect::UiCommand(UiCommand::Reload(CommandId(1)))]);
    assert_eq!(notice(&ui), (Tone::Asked, "the config file is read again"));
}

#[test]
fn undo_and_acknowledge_are_said_at_once() {
    let (mut snapshot, mut ui) = on("nii1");
    assert_eq!(type_keys(&mut ui, &snapshot, "u"), [UiEffect::UiCommand(UiCommand::Undo(CommandId(1)))]);
    assert_eq!(commands(&mut ui, &snapshot, "A"), [Command::Acknowledge]);
    snapshot.alarms.clear();
    assert_eq!(commands(&mut ui, &snapshot, "A"), [], "nothing to acknowledge");
}

#[test]
fn a_wider_mode_is_asked_about_and_a_narrower_one_is_not() {
    let (mut snapshot, mut ui) = on("nii1");
    assert_eq!(commands(&mut ui, &snapshot, "o"), [Command::Mode { mode: Mode::Observe }]);
    snapshot.mode = Mode::Observe;
    assert_eq!(commands(&mut ui, &snapshot, "o"), []);
    assert_eq!(commands(&mut ui, &snapshot, "y"), [Command::Mode { mode: Mode::Ask }]);
    snapshot.mode = Mode::Ask;
    assert_eq!(commands(&mut ui, &snapshot, "oq"), []);
    assert_eq!(commands(&mut ui, &snapshot, "oy"), [Command::Mode { mode: Mode::Auto }]);
}

fn set(vm: &str, field: Field, value: f64) -> SetValue {
    SetValue { vms: vec![vm.into()], scope: Scope::Block, field, value }
}

/// The changes of numbers that these keys send.
fn changes(ui: &mut Ui, snapshot: &Snapshot, keys: &str) -> Vec<SetValue> {
    let said = type_keys(ui, snapshot, keys);
    said.into_iter()
        .filter_map(|effect| match effect {
            UiEffect::UiCommand(UiCommand::SetValue(_, change)) => Some(change),
            _ => None,
        })
        .collect()
}

#[test]
fn plus_and_minus_change_the_chosen_number() {
    let (snapshot, mut ui) = on("nii3");
    assert_eq!(changes(&mut ui, &snapshot, "+"), [set("nii3", Field::Threshold, 52.0)]);
    let (_, mut ui) = on("nii3");
    assert_eq!(changes(&mut ui, &snapshot, "t-"), [set("nii3", Field::Tarry, 2.0)]);
    assert_eq!(changes(&mut ui, &snapshot, "t="), [set("nii3", Field::LowThreshold, 2.0)]);
    assert_eq!(changes(&mut ui, &snapshot, "t+"), [set("nii3", Field::LowTarry, 21.0)]);
    type_keys(&mut ui, &snapshot, "t");
    assert_eq!(notice(&ui), (Tone::Good, "+ and - change the threshold"), "round and round");
}

#[test]
fn a_second_press_goes_on_from_what_was_asked() {
    let (mut snapshot, mut ui) = on("nii1");
    let twice = [set("nii1", Field::Threshold, 52.0), set("nii1", Field::Threshold, 54.0)];
    assert_eq!(changes(&mut ui, &snapshot, "++"), twice);
    snapshot.answers = vec![answer(1, Some(CommandId(2)), true, "threshold 50 > 54")];
    update(&mut ui, Action::Arrived, &snapshot);
    assert_eq!(
        changes(&mut ui, &snapshot, "+"),
        [set("nii1", Field::Threshold, 52.0)],
        "answered: what is shown counts"
    );
}

#[test]
fn a_number_that_was_asked_for_waits_for_its_own_answer() {
    let (mut snapshot, mut ui) = on("nii1");
    commands(&mut ui, &snapshot, "h");
    changes(&mut ui, &snapshot, "+");
    let others = [
        answer(1, None, false, "nii2 stays: mln4 is down"),
        answer(2, Some(CommandId(1)), true, "nii1: held"),
        answer(3, None, true, "mln3: draining"),
    ];
    for (n, asked) in [54.0, 56.0, 58.0].into_iter().enumerate() {
        snapshot.answers = others[..=n].to_vec();
        update(&mut ui, Action::Arrived, &snapshot);
        assert_eq!(notice(&ui).1, snapshot.answers[n].text, "it is shown");
        assert_eq!(changes(&mut ui, &snapshot, "+"), [set("nii1", Field::Threshold, asked)], "and ends no wait");
    }
}

#[test]
fn of_answers_that_come_together_each_ends_its_own_wait() {
    let (mut snapshot, mut ui) = on("nii1");
    changes(&mut ui, &snapshot, "+");
    commands(&mut ui, &snapshot, "h");
    snapshot.answers = vec![
        answer(1, Some(CommandId(1)), false, "the file is read-only"),
        answer(2, Some(CommandId(2)), true, "nii1: held"),
    ];
    update(&mut ui, Action::Arrived, &snapshot);
    assert_eq!(notice(&ui), (Tone::Good, "nii1: held"), "the newest is shown");
    assert_eq!(
        changes(&mut ui, &snapshot, "+"),
        [set("nii1", Field::Threshold, 52.0)],
        "refused: what is shown counts"
    );
}

#[test]
fn what_did_not_reach_the_engine_is_not_waited_for_but_what_did_is() {
    let (snapshot, mut ui) = on("nii3");
    changes(&mut ui, &snapshot, "+t-");
    update(&mut ui, Action::NotSent(CommandId(2)), &snapshot);
    assert_eq!(notice(&ui).0, Tone::Bad);
    assert_eq!(changes(&mut ui, &snapshot, "-"), [set("nii3", Field::Tarry, 2.0)], "from what is shown");
    assert_eq!(changes(&mut ui, &snapshot, "ttt+"), [set("nii3", Field::Threshold, 54.0)], "from what was asked");
}

#[test]
fn a_number_the_policy_cannot_have_is_refused_here() {
    let (snapshot, mut ui) = on("nii3");
    type_keys(&mut ui, &snapshot, "t");
    assert_eq!(changes(&mut ui, &snapshot, "---").len(), 2, "a tarry of 0 is not asked for");
    assert_eq!(notice(&ui), (Tone::Bad, "tarry must be at least 1"));
}

#[test]
fn only_numbers_the_policy_has_can_be_chosen() {
    let (snapshot, mut ui) = on("nii4");
    assert_eq!(changes(&mut ui, &snapshot, "+"), [set("nii4", Field::Threshold, 3.0)]);
    assert_eq!(changes(&mut ui, &snapshot, "t+"), [set("nii4", Field::LowTarry, 4.0)]);
}

fn moving(vm: &str) -> (Snapshot, Ui) {
    let (mut snapshot, ui) = on(vm);
    snapshot.detail = Some(sample::detail_with_moves(&snapshot, vm));
    (snapshot, ui)
}

#[test]
fn the_move_dialog_asks_the_engine_for_the_gates() {
    let (snapshot, mut ui) = on("nii1");
    let said = type_keys(&mut ui, &snapshot, "m");
    let asked = |effect: &UiEffect| {
        matches!(effect, UiEffect::UiCommand(UiCommand::Subscription(Subscription { moves: true, .. })))
    };
    assert!(said.iter().any(asked), "{said:?}");
    let said = press(&mut ui, &snapshot, KeyCode::Esc);
    assert!(!said.iter().any(asked) && ui.overlays.is_empty());
}

#[test]
fn a_move_is_asked_about_and_goes_to_the_host_that_was_shown() {
    let (snapshot, mut ui) = moving("nii1");
    type_keys(&mut ui, &snapshot, "m");
    press(&mut ui, &snapshot, KeyCode::Enter);
    let Some(Overlay::Confirm { question, .. }) = ui.overlays.last() else { panic!("{:?}", ui.overlays) };
    assert_eq!(question, "move nii1 from mln2 to mln3 (1 gate warns)?");
    press(&mut ui, &snapshot, KeyCode::Enter);
    assert_eq!(ui.overlays.len(), 2, "enter is no yes");
    let said = commands(&mut ui, &snapshot, "y");
    assert_eq!(said, [Command::Move { vm: "nii1".into(), target: Target::Host("mln3".into()) }]);
    assert!(ui.overlays.is_empty());
    assert_eq!(notice(&ui).0, Tone::Asked);
}

#[test]
fn no_leaves_the_move_dialog_open() {
    let (snapshot, mut ui) = moving("nii1");
    type_keys(&mut ui, &snapshot, "mj");
    press(&mut ui, &snapshot, KeyCode::Enter);
    assert_eq!(commands(&mut ui, &snapshot, "n"), []);
    assert!(matches!(ui.overlays[..], [Overlay::Moves { chosen: Some(Target::Up), .. }]));
}

#[test]
fn a_blocked_destination_says_why_instead_of_asking() {
    let (snapshot, mut ui) = moving("nii1");
    type_keys(&mut ui, &snapshot, "mG");
    press(&mut ui, &snapshot, KeyCode::Enter);
    assert_eq!(notice(&ui), (Tone::Bad, "destination: mln6 is down"));
    type_keys(&mut ui, &snapshot, "gjjjj");
    press(&mut ui, &snapshot, KeyCode::Enter);
    assert_eq!(notice(&ui), (Tone::Bad, "there is no such host"));
    assert_eq!(ui.overlays.len(), 1);
}

#[test]
fn the_chosen_destination_stays_when_others_come_and_go() {
    let (mut snapshot, mut ui) = moving("nii1");
    type_keys(&mut ui, &snapshot, "mGk");
    let mut detail = (**snapshot.detail.as_ref().unwrap()).clone();
    detail.moves.remove(0);
    snapshot.detail = Some(Arc::new(detail));
    update(&mut ui, Action::Arrived, &snapshot);
    let (moves, at) = ui.moves(&snapshot).unwrap();
    assert_eq!(moves[at].target, Target::Host("mln5".into()));
}

#[test]
fn a_dialog_about_a_vm_that_is_gone_closes() {
    let (mut snapshot, mut ui) = moving("nii1");
    type_keys(&mut ui, &snapshot, "m");
    Arc::make_mut(&mut snapshot.rows).retain(|row| *row.name != *"nii1");
    update(&mut ui, Action::Arrived, &snapshot);
    assert!(ui.overlays.is_empty());
    assert_eq!(notice(&ui), (Tone::Bad, "that VM is gone"));
}

#[test]
fn answers_are_shown_and_old_ones_are_not() {
    let mut snapshot = sample::snapshot();
    snapshot.answers = vec![answer(4, None, true, "from before")];
    let mut ui = screen(&snapshot);
    assert_eq!(ui.notice, None, "answers from before this console are nobody's here");
    snapshot.answers.push(answer(5, None, false, "no: nii1 is migrating"));
    update(&mut ui, Action::Arrived, &snapshot);
    assert_eq!(notice(&ui), (Tone::Bad, "no: nii1 is migrating"));
    type_keys(&mut ui, &snapshot, "j");
    update(&mut ui, Action::Arrived, &snapshot);
    assert_eq!(ui.notice, None, "said once");
}

#[test]
fn an_answer_goes_when_it_may_have_become_false_but_what_is_asked_stays() {
    let (snapshot, mut ui) = on("nii1");
    let wait = |ui: &mut Ui| (0..100).for_each(|_| drop(update(ui, Action::Arrived, &snapshot)));
    type_keys(&mut ui, &snapshot, "S");
    assert_eq!(notice(&ui).0, Tone::Good);
    wait(&mut ui);
    assert_eq!(ui.notice, None);
    type_keys(&mut ui, &snapshot, "h");
    wait(&mut ui);
    assert_eq!(notice(&ui), (Tone::Asked, "hold nii1: asked, waiting for the engine"));
}

#[test]
fn what_could_harm_the_terminal_is_not_typed_into_the_filter() {
    let (snapshot, mut ui) = on("nii1");
    type_keys(&mut ui, &snapshot, "/we\u{202e}b\u{200b}");
    assert_eq!(ui.filter, "web");
    update(&mut ui, Action::Paste("-\u{1b}[2J1".to_owned()), &snapshot);
    assert_eq!(ui.filter, "web- [2J1");
}

#[test]
fn a_full_channel_is_said_plainly() {
    let (snapshot, mut ui) = on("nii1");
    type_keys(&mut ui, &snapshot, "+");
    update(&mut ui, Action::NotSent(CommandId(1)), &snapshot);
    assert_eq!(notice(&ui).0, Tone::Bad);
    assert_eq!(
        changes(&mut ui, &snapshot, "+"),
        [set("nii1", Field::Threshold, 52.0)],
        "what was not sent does not count"
    );
}

#[test]
fn a_wait_ends_although_no_answer_comes() {
    let (mut snapshot, mut ui) = on("nii1");
    commands(&mut ui, &snapshot, "h");
    changes(&mut ui, &snapshot, "+");
    snapshot.answers = vec![answer(1, Some(CommandId(1)), true, "nii1: held")];
    update(&mut ui, Action::Arrived, &snapshot);
    update(&mut ui, Action::Unanswered(CommandId(1)), &snapshot);
    assert_eq!(notice(&ui), (Tone::Good, "nii1: held"), "it was answered");
    update(&mut ui, Action::Unanswered(CommandId(2)), &snapshot);
    assert_eq!(notice(&ui), (Tone::Bad, "the engine does not answer: look whether it was done, then try again"));
    assert_eq!(changes(&mut ui, &snapshot, "+"), [set("nii1", Field::Threshold, 52.0)], "what is shown counts");
}

#[test]
fn a_filter_is_typed_kept_and_cleared() {
    let (snapshot, mut ui) = on("nii1");
    type_keys(&mut ui, &snapshot, "/wEb q");
    assert_eq!(ui.filter, "wEb q", "letters are text, not commands");
    press(&mut ui, &snapshot, KeyCode::Backspace);
    press(&mut ui, &snapshot, KeyCode::Backspace);
    assert_eq!(ui.listing.rows.len(), 3);
    press(&mut ui, &snapshot, KeyCode::Enter);
    assert!(ui.overlays.is_empty());
    assert_eq!(ui.filter, "wEb");
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert_eq!(ui.filter, "");
    type_keys(&mut ui, &snapshot, "/nii db");
    ctrl(&mut ui, &snapshot, 'w');
    assert_eq!(ui.filter, "nii ");
    ctrl(&mut ui, &snapshot, 'u');
    assert_eq!(ui.filter, "");
}

#[test]
fn pasted_text_is_text_in_the_filter_and_nothing_elsewhere() {
    let (snapshot, mut ui) = on("nii1");
    assert_eq!(update(&mut ui, Action::Paste("qxy\nm".into()), &snapshot), []);
    assert!(ui.overlays.is_empty() && ui.filter.is_empty());
    type_keys(&mut ui, &snapshot, "/");
    update(&mut ui, Action::Paste("web\x1b[2J\n".into()), &snapshot);
    assert_eq!(ui.filter, "web [2J");
}

#[test]
fn escape_steps_back_one_thing_at_a_time() {
    let (mut snapshot, mut ui) = on("nii1");
    snapshot.banner = Some("welcome".into());
    type_keys(&mut ui, &snapshot, "p/web");
    press(&mut ui, &snapshot, KeyCode::Enter);
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert!(ui.banner(&snapshot).is_none() && ui.filter == "web" && ui.frozen);
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert!(ui.filter.is_empty() && ui.frozen);
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert!(!ui.frozen);
    snapshot.banner = Some("config broken".into());
    assert!(ui.banner(&snapshot).is_some(), "another banner was not dismissed");
}

#[test]
fn a_frozen_display_still_hears_answers() {
    let (mut snapshot, mut ui) = on("nii1");
    type_keys(&mut ui, &snapshot, "p");
    Arc::make_mut(&mut snapshot.rows).clear();
    snapshot.answers = vec![answer(1, None, true, "held")];
    update(&mut ui, Action::Arrived, &snapshot);
    assert_eq!(ui.listing.rows.len(), 15);
    assert_eq!(notice(&ui), (Tone::Good, "held"));
}

#[test]
fn copy_takes_the_why_line() {
    let (snapshot, mut ui) = on("nii1");
    let why = "nii1: count 2 of 3: one more sample beyond 50 (next in 21 s) moves it to mln3";
    assert_eq!(type_keys(&mut ui, &snapshot, "y"), [UiEffect::Copy(why.into())]);
}

#[test]
fn theme_sort_and_help() {
    let (snapshot, mut ui) = on("nii1");
    type_keys(&mut ui, &snapshot, "T");
    assert_eq!(ui.theme, ThemeName::Light);
    type_keys(&mut ui, &snapshot, "sS");
    assert_eq!((ui.sort, ui.reverse), (SortBy::Name, true));
    assert_eq!(notice(&ui), (Tone::Good, "sorted by name, reversed"));
    type_keys(&mut ui, &snapshot, "?");
    ui.size = (80, 24);
    type_keys(&mut ui, &snapshot, "jj");
    assert!(matches!(ui.overlays[..], [Overlay::Help { top: 2 }]));
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert!(ui.overlays.is_empty());
}

#[test]
fn a_key_with_alt_is_no_key() {
    let (snapshot, ui) = on("nii1");
    assert_eq!(dispatch(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::ALT), &ui, &snapshot), None);
}

#[test]
fn enter_opens_the_vms_screen_and_escape_goes_back() {
    let (snapshot, mut ui) = on("nii1");
    let said = press(&mut ui, &snapshot, KeyCode::Enter);
    assert_eq!(ui.screen, Screen::Vm);
    let [UiEffect::UiCommand(UiCommand::Subscription(Subscription { vm, past: Some(_), activity: None, .. }))] =
        &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!(vm.as_deref(), Some("nii1"));
    let said = press(&mut ui, &snapshot, KeyCode::Esc);
    assert_eq!(ui.screen, Screen::Fleet);
    assert!(
        matches!(&said[..], [UiEffect::UiCommand(UiCommand::Subscription(Subscription { past: None, .. }))]),
        "{said:?}"
    );
}

#[test]
fn space_marks_rows_one_after_the_other_and_escape_clears_the_marks() {
    let (mut snapshot, mut ui) = on("nii8");
    type_keys(&mut ui, &snapshot, "  ");
    let marked = |ui: &Ui| ui.marked.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(marked(&ui), ["nii2", "nii8"]);
    type_keys(&mut ui, &snapshot, "k ");
    assert_eq!(marked(&ui), ["nii8"], "a second press takes the mark away");
    Arc::make_mut(&mut snapshot.rows).retain(|row| *row.name != *"nii8");
    update(&mut ui, Action::Arrived, &snapshot);
    assert!(ui.marked.is_empty(), "what is gone is not marked");
    type_keys(&mut ui, &snapshot, "/nii");
    press(&mut ui, &snapshot, KeyCode::Enter);
    type_keys(&mut ui, &snapshot, " ");
    press(&mut ui, &snapshot, KeyCode::Esc);
    assert!(ui.marked.is_empty() && ui.filter == "nii", "marks go before the filter");
}

#[test]
fn a_move_of_unknown_outcome_is_settled_only_by_who_has_looked() {
    let snapshot = sample::migrating(|migration| migration.stage = StageKind::Unknown);
    let mut ui = screen_on(&snapshot, "nii2");
    assert!(type_keys(&mut ui, &snapshot, "h").is_empty(), "it asks first");
    let Some(Overlay::Confirm { question, .. }) = ui.overlays.last() else { panic!("{:?}", ui.overlays) };
    assert_eq!(question, "is the host that does not answer off for good? nii2 is then as the other one says");
    let said = type_keys(&mut ui, &snapshot, "y");
    let release = Command::Release { vm: "nii2".to_owned() };
    assert!(said.contains(&UiEffect::UiCommand(UiCommand::Command(CommandId(1), release))), "{said:?}");
}
