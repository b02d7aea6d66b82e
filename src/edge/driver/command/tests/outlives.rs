//! What a migration outlives: the driver, and whimbrel.

use std::fs;

use super::Presence::{Absent, Runs, Unknown};
use super::*;
use crate::edge::process::Process;

#[test]
fn a_driver_that_is_dropped_leaves_the_migration_alone_and_reads_on() {
    let mut lab = Lab::new();
    lab.migrate(r"touch started; until [ -e go ]; do sleep 0.02; done; yes | head -c 1000000; touch done");
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    comes("the migration", || lab.path("started").exists());
    drop(desk.driver);
    lab.touch("go");
    comes("the migration's end", || lab.path("done").exists());
    assert!(desk.facts.iter().all(|fact| !matches!(fact, DriverEvent::Ended { .. })), "nobody is told any more");
}

#[test]
fn a_driver_that_is_dropped_holds_the_migration_to_its_deadline() {
    let mut lab = Lab::new();
    lab.settings.migrate_deadline = Span::from_secs(3);
    lab.migrate("echo $$ > me.new; mv me.new me; sleep 1000");
    let desk = lab.open();
    desk.order(DriverCommand::Start(lab.migration()));
    comes("the migration", || lab.path("me").exists());
    drop(desk);
    let me = fs::read_to_string(lab.path("me")).unwrap();
    comes("its end", || !lives(&me));
}

/// A `migrate` as an earlier whimbrel left it behind, with its streams in the air.
fn left_behind(lab: &Lab, age: u64) -> std::process::Child {
    use std::os::unix::process::CommandExt;
    let argv = fill(&lab.settings.migrate, &[("vm", lab.vm), ("from", "mln1"), ("to", "mln2")]);
    let mark = migration::process_tag(&lab.migration());
    let mut parts: Vec<String> = mark.split('\t').map(str::to_owned).collect();
    parts[1] = (parts[1].parse::<u64>().unwrap() - age).to_string();
    let mut command = std::process::Command::new(&argv[0]);
    command.args(&argv[1..]).env(migration::TAG_NAME, parts.join("\t")).process_group(0);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_migration_that_outlived_whimbrel_is_found_and_followed_to_its_end() {
    let mut lab = Lab::new();
    lab.migrate(r#"echo halfway; until [ -e go ]; do sleep 0.02; done; : > "$2"; echo "$1" > "$3""#);
    let mut child = left_behind(&lab, 0);
    let desk = lab.open();
    desk.order(DriverCommand::Confirm(lab.migration()));
    assert_eq!(desk.progress(), (0, String::new()), "at once");
    assert_eq!(desk.progress(), (0, "halfway".to_owned()), "what it prints is still to be had");
    lab.touch("go");
    child.wait().unwrap();
    assert_eq!(desk.ended(), "it ended after whimbrel was started again; its status is not known: halfway");
    assert_eq!(desk.presence(&lab), (Absent, Runs));
}

#[test]
fn a_migration_that_outlived_whimbrel_can_be_aborted_and_has_its_old_deadline() {
    let mut lab = Lab::new();
    lab.migrate("exec sleep 1000");
    let mut child = left_behind(&lab, 0);
    let desk = lab.open();
    desk.order(DriverCommand::Confirm(lab.migration()));
    desk.progress();
    desk.order(DriverCommand::Abort(lab.migration()));
    comes("its end", || child.try_wait().unwrap().is_some());
    desk.ended();
    let mut child = left_behind(&lab, 3_600);
    desk.order(DriverCommand::Confirm(lab.migration()));
    comes("its end", || child.try_wait().unwrap().is_some());
    assert_eq!(desk.ended(), "killed after 1m");
}

#[test]
fn a_migration_goes_on_when_whimbrel_is_gone_and_it_prints() {
    let lab = Lab::new();
    let script = lab.script("until [ -e go ]; do sleep 0.02; done; echo one; echo two >&2; echo three && touch done");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        drop(Process::start(&script, Some((migration::TAG_NAME, migration::process_tag(&lab.migration())))).unwrap());
    });
    lab.touch("go");
    comes("the migration's end", || lab.path("done").exists());
}

#[test]
fn of_a_migration_nobody_saw_the_end_the_source_is_believed_after_a_while() {
    let lab = Lab::new();
    let desk = lab.open();
    assert_eq!(desk.presence(&lab), (Runs, Unknown));
    comes("the outcome", || desk.presence(&lab) == (Runs, Absent));
    lab.runs(&["mln2"]);
    assert_eq!(lab.open().presence(&lab), (Absent, Runs), "at the destination alone it has arrived");
}

#[test]
fn of_a_migration_nobody_saw_the_end_progress_can_tell_that_it_goes_on() {
    let mut lab = Lab::new();
    lab.settings.progress = Some(lab.script("cat how-far"));
    fs::write(lab.path("how-far"), "40 copying").unwrap();
    let desk = lab.open();
    desk.order(DriverCommand::Confirm(lab.migration()));
    assert_eq!(desk.progress(), (40, "copying".to_owned()));
    fs::remove_file(lab.path("how-far")).unwrap();
    assert_eq!(desk.ended(), "progress tells of it no more");
    assert_eq!(desk.presence(&lab), (Runs, Unknown));
}
