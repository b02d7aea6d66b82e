//! What is wrong before a migration begins: nothing is moved, and it is said why.

use std::fs;

use super::tale::Tale;
use crate::support::lab::{Disk, Guest, Lab};
use crate::support::services::or_skip;

#[test]
fn a_destination_whose_daemon_is_down_is_not_moved_to() {
    let Some(lab) = or_skip("a_destination_whose_daemon_is_down_is_not_moved_to", Lab::up(2)) else { return };
    lab.stop_daemon(2);
    let mut tale = Tale::begin(&lab, "");
    let alarm = tale.alarm("host lab2 is down");
    assert!(alarm.contains("libvirtd"), "with the remedy: {alarm}");
    while !tale.blocked("destination").contains("lab2 down") {}
    assert_eq!(tale.requests(), 0);
    lab.start_daemon(2);
    tale.runs_on(&[1]);
    tale.row("destination's daemon down before");
}

#[test]
fn what_is_at_the_destination_already_is_not_moved_onto() {
    let Some(lab) = or_skip("what_is_at_the_destination_already_is_not_moved_onto", Lab::up(2)) else { return };
    let guest = lab.guest(1, "web1").start();
    let other = "00000000-77aa-4000-8000-0000000000ff";
    for (fault, uuid, said) in [
        ("already at the destination, paused", &*guest.uuid, "web1 is on lab2 already, and stands still".to_owned()),
        ("same name, other uuid at the destination", other, format!("lab2 has another web1 (uuid {other})")),
    ] {
        still_twin(&lab, &guest, 2, uuid);
        let mut tale = Tale::of(&lab, guest.clone(), [1, 2], "");
        assert_eq!(tale.blocked("preflight"), said);
        assert_eq!((tale.requests(), lab.executing_on("web1")), (0, vec![1]));
        lab.virsh(2, &["destroy", "web1"]).expect("the twin goes");
        tale.row(fault);
    }
}

/// A guest of the same name that has not begun to run.
fn still_twin(lab: &Lab, guest: &Guest, on: usize, uuid: &str) {
    let file = |end: String| lab.folder().join(format!("{}-{end}.xml", guest.name));
    let xml = (1..=lab.hosts()).find_map(|host| fs::read_to_string(file(host.to_string())).ok());
    let twin = file("twin".to_owned());
    fs::write(&twin, xml.expect("it was booted").replace(&guest.uuid, uuid)).expect("the lab's folder can be written");
    lab.virsh(on, &["create", "--paused", &twin.display().to_string()]).expect("a paused guest");
}

#[test]
fn a_vm_that_runs_twice_is_held_with_an_alarm() {
    let Some(lab) = or_skip("a_vm_that_runs_twice_is_held_with_an_alarm", Lab::up(2)) else { return };
    let mut tale = Tale::at_rest(&lab, "", &[]);
    tale.beyond_and("watching");
    still_twin(&lab, &tale.guest, 2, &tale.guest.uuid);
    tale.strikes();
    lab.virsh(2, &["resume", "web1"]).expect("a paused guest");
    tale.alarm("runs twice");
    tale.state("held");
    tale.wants_to_move();
    tale.beyond_and("held");
    lab.virsh(2, &["destroy", "web1"]).expect("the twin goes");
    tale.said("again: held until released");
    tale.beyond_and("held");
    assert_eq!(tale.requests(), 0);
    tale.runs_on(&[1]);
    tale.row("started a second time by somebody");
}

#[test]
fn storage_that_is_not_shared_fails_in_the_words_of_libvirt() {
    let Some(lab) = or_skip("storage_that_is_not_shared_fails_in_the_words_of_libvirt", Lab::up(2)) else { return };
    let guest = lab.guest(1, "db1").disk(Disk::LocalFile).start();
    let mut tale = Tale::of(&lab, guest, [1, 2], "");
    tale.phase("running");
    tale.strikes();
    let why = tale.ends("failed", 1);
    assert!(why.contains("Migration without shared storage is unsafe") && why.contains("copy_storage"), "{why}");
    tale.row("storage not shared");
}

#[test]
fn somebody_elses_migration_is_let_go_on_and_noticed() {
    let Some(lab) = or_skip("somebody_elses_migration_is_let_go_on_and_noticed", Lab::up(2)) else { return };
    let guest = lab.guest(1, "web1").start();
    std::thread::scope(|scope| {
        lab.speed(1, "web1", 1);
        let foreign = scope.spawn(|| lab.virsh(1, &["migrate", "--live", "--p2p", "web1", &lab.peer_uri(2)]));
        lab.await_move(1, "web1");
        let mut tale = Tale::of(&lab, guest, [1, 2], "");
        assert_eq!(tale.blocked("preflight"), "another job of web1 is under way on lab1");
        lab.speed(1, "web1", 1_000);
        foreign.join().expect("no panic").expect("it goes on");
        let said = "web1 was moved from lab1 to lab2 by somebody else; held until released";
        assert_eq!(tale.alarm("somebody else"), said);
        tale.state("held");
        tale.beyond_and("held");
        assert_eq!(tale.requests(), 0);
        tale.runs_on(&[2]);
        tale.row("a second job already running");
    });
}

#[test]
fn a_foreign_move_just_before_is_not_fought_over() {
    let Some(lab) = or_skip("a_foreign_move_just_before_is_not_fought_over", Lab::up(2)) else { return };
    let mut tale = Tale::at_rest(&lab, "", &[]);
    tale.beyond_and("watching");
    tale.strikes();
    lab.virsh(1, &["migrate", "--live", "--p2p", "web1", &lab.peer_uri(2)]).expect("a migration");
    tale.alarm("somebody else");
    tale.wants_to_move();
    tale.beyond_and("held");
    assert_eq!(tale.requests(), 0);
    tale.runs_on(&[2]);
    tale.row("moved by somebody else just before");
}
