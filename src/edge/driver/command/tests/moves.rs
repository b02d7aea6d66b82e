//! A move from its start to its outcome: commands that do what they should, lie, fail, flood, hang.

use std::fs;

use super::Presence::{Absent, Runs, Unknown};
use super::*;

#[test]
fn a_move_is_checked_started_and_confirmed_by_where_the_vm_runs() {
    for asked_of_vms in [false, true] {
        let mut lab = Lab::new();
        if asked_of_vms {
            lab.asked_of_vms();
        }
        let desk = lab.open();
        assert_eq!(desk.refusal(&lab), None);
        desk.order(DriverCommand::Start(lab.migration()));
        let detail = desk.ended();
        assert!(detail.starts_with("ended well in "), "{detail}");
        assert_eq!(desk.presence(&lab), (Absent, Runs));
    }
}

#[test]
fn a_command_that_lies_is_not_believed() {
    let mut lab = Lab::new();
    lab.migrate("echo migrated; exit 0");
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    assert!(desk.ended().starts_with("ended well"));
    assert_eq!(desk.presence(&lab), (Runs, Absent));
}

#[test]
fn a_command_that_fails_says_why_in_its_last_line() {
    let mut lab = Lab::new();
    lab.migrate(r"printf 'a line\n\033[31merror: no room\033[0m\n\n' >&2; exit 3");
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    assert_eq!(desk.ended(), "status 3: error: no room");
    assert_eq!(desk.presence(&lab), (Runs, Absent));
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let mut lab = Lab::new();
    lab.settings.migrate = vec!["no-such-program".to_owned()];
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    assert_eq!(desk.ended(), "no-such-program cannot be run: No such file or directory");
}

#[test]
fn a_vm_that_is_lost_or_runs_twice_is_told_as_it_is() {
    for (on, says) in [(&[][..], (Absent, Absent)), (&["mln1", "mln2"], (Runs, Runs))] {
        let lab = Lab::new();
        let desk = lab.open();
        desk.order(DriverCommand::Start(lab.migration()));
        desk.ended();
        lab.runs(on);
        assert_eq!(desk.presence(&lab), says);
    }
}

#[test]
fn arguments_arrive_as_they_are_and_no_shell_sees_them() {
    let mut lab = Lab::of(r#"a b"c'd$(touch owned)`touch owned`;touch owned|&&{to}*\"#);
    lab.migrate(r#"printf '%s\n' "$@" > arguments"#);
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    desk.ended();
    let arguments = fs::read_to_string(lab.path("arguments")).unwrap();
    assert_eq!(arguments, format!("{}\nmln1\nmln2\n2\n", lab.vm));
    assert!(!lab.path("owned").exists());
    assert_eq!(desk.presence(&lab), (Runs, Absent), "and its name is known in an answer");
}

#[test]
fn a_flood_keeps_nobody_waiting() {
    let mut lab = Lab::new();
    lab.migrate("yes 'a flood' | head -c 20000000; yes 'of errors' | head -c 20000000 >&2; echo the end; exit 1");
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    assert_eq!(desk.ended(), "status 1: the end");
    lab.settings.locate = lab.script("yes | head -c 20000000");
    let desk = lab.open();
    assert_eq!(desk.refusal(&lab).unwrap().split(": ").last(), Some("it printed more than 64 KiB"));
}

#[test]
fn progress_is_a_number_and_what_follows_it_and_rubbish_is_said_once() {
    let mut lab = Lab::new();
    lab.migrate("until [ -e stop ]; do sleep 0.02; done");
    lab.settings.progress = Some(lab.script("cat how-far"));
    fs::write(lab.path("how-far"), "101 %\n").unwrap();
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    assert_eq!(desk.trouble(), "progress of nii1: '101 %' does not begin with a number from 0 to 100");
    fs::write(lab.path("how-far"), "nonsense\n").unwrap();
    fs::write(lab.path("new"), "42.7% 1.2 GiB left\nmore\n").unwrap();
    fs::rename(lab.path("new"), lab.path("how-far")).unwrap();
    let inbox = desk.hears(|fact| match fact {
        DriverEvent::Progress { percent, detail, .. } => Some(format!("{percent} {detail}")),
        DriverEvent::Trouble { text, .. } => Some(text),
        _ => None,
    });
    assert_eq!(inbox, "42 1.2 GiB left");
    lab.touch("stop");
    desk.ended();
}

#[test]
fn without_a_progress_command_the_last_line_is_shown() {
    let mut lab = Lab::new();
    lab.migrate("printf 'Migration: [ 12 %%]\\r' >&2; until [ -e stop ]; do sleep 0.02; done");
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    assert_eq!(desk.progress(), (0, "Migration: [ 12 %]".to_owned()));
    lab.touch("stop");
    desk.ended();
}

#[test]
fn an_abort_is_the_operators_command() {
    let mut lab = Lab::new();
    lab.migrate("touch started; until [ -e stop ]; do sleep 0.02; done; echo stopped >&2; exit 4");
    lab.settings.abort = Some(lab.script("touch stop"));
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    comes("the migration", || lab.path("started").exists());
    desk.order(DriverCommand::Abort(lab.migration()));
    assert_eq!(desk.ended(), "status 4: stopped");
    assert_eq!(desk.presence(&lab), (Runs, Absent), "it ended by itself: nothing goes on without it");
}

#[test]
fn an_abort_that_fails_is_said_and_kills_nothing() {
    let mut lab = Lab::new();
    lab.migrate("until [ -e stop ]; do sleep 0.02; done");
    lab.settings.abort = Some(lab.script("echo no job; exit 1"));
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    desk.order(DriverCommand::Abort(lab.migration()));
    assert_eq!(desk.trouble(), "the abort of nii1's migration failed: status 1: no job");
    lab.touch("stop");
    assert!(desk.ended().starts_with("ended well"));
}

#[test]
fn without_an_abort_command_the_whole_group_is_told_to_end() {
    let mut lab = Lab::new();
    lab.migrate("sleep 1000 & echo $! > child.new; mv child.new child; wait");
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    comes("the migration", || lab.path("child").exists());
    let child = fs::read_to_string(lab.path("child")).unwrap();
    desk.order(DriverCommand::Abort(lab.migration()));
    assert_eq!(desk.ended(), "ended by signal 15");
    comes("the child's end", || !lives(&child));
    // What was asked of the hosts may go on without the command: the source is believed only after a while.
    assert_eq!(desk.presence(&lab), (Runs, Unknown));
    comes("the outcome", || desk.presence(&lab) == (Runs, Absent));
}

#[test]
fn a_deadline_ends_the_whole_group_even_if_it_will_not() {
    let mut lab = Lab::new();
    lab.settings.migrate_deadline = Span::from_secs(3);
    lab.settings.abort = Some(lab.script("touch aborted"));
    lab.migrate(r#"trap "" TERM; sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 1; done' & wait; wait"#);
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    assert_eq!(desk.ended(), "killed after 3s");
    let child = fs::read_to_string(lab.path("child")).unwrap();
    comes("the child's end", || !lives(&child));
    assert!(lab.path("aborted").exists(), "the operator's command first: it may know of more than a process here");
}

#[test]
fn while_a_migration_runs_confirming_tells_how_far_it_is() {
    let mut lab = Lab::new();
    lab.migrate("until [ -e stop ]; do sleep 0.02; done");
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    desk.order(DriverCommand::Confirm(lab.migration()));
    assert_eq!(desk.progress(), (0, String::new()));
    lab.touch("stop");
    desk.ended();
}

#[test]
fn a_question_that_comes_just_as_a_migration_ends_is_answered() {
    let mut lab = Lab::new();
    lab.migrate("true");
    let desk = lab.open();
    for round in 0..20 {
        lab.id = RequestId(lab.id.0 + 1_000_000 * round);
        desk.order(DriverCommand::Start(lab.migration()));
        desk.order(DriverCommand::Confirm(lab.migration()));
        desk.hears(|fact| match fact {
            DriverEvent::Progress { id, .. } | DriverEvent::Presence { id, .. } if id == lab.id => Some(()),
            _ => None,
        });
    }
}

#[test]
fn where_a_vm_runs_is_told_anew_after_a_move() {
    let mut lab = Lab::new();
    lab.pace.round = Duration::from_millis(20);
    lab.migrate("true");
    let desk = lab.open();
    assert_eq!(desk.found(), ["mln1"]);
    desk.order(DriverCommand::Start(lab.migration()));
    desk.ended();
    assert_eq!(desk.presence(&lab), (Runs, Absent));
    assert_eq!(desk.found(), ["mln1"], "what was said in between was for nobody");
}
