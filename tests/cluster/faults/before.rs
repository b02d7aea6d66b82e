//! What is wrong before a migration begins: nothing is moved, and it is said why.

use std::fs;

use super::stand::Stand;
use super::tale::{FAST, Tale};
use crate::support::lab::{Disk, Guest};

#[test]
fn a_destination_whose_daemon_is_down_is_not_moved_to() {
    let Some(mut stand) = Stand::take("a_destination_whose_daemon_is_down_is_not_moved_to") else { return };
    let (_, _, to) = stand.guest();
    stand.lab.stop_daemon(to);
    let mut tale = Tale::begin(&mut stand, FAST);
    let alarm = tale.alarm(&format!("host lab{to} is down"));
    assert!(alarm.contains("libvirtd"), "with the remedy: {alarm}");
    while !tale.blocked("destination").contains(&format!("lab{to} down")) {}
    assert_eq!(tale.requests(), 0);
    stand.lab.start_daemon(to);
    tale.runs_on(&[tale.from]);
    tale.row("destination's daemon down before");
}

#[test]
fn what_is_at_the_destination_already_is_not_moved_onto() {
    let Some(mut stand) = Stand::take("what_is_at_the_destination_already_is_not_moved_onto") else { return };
    let (guest, from, to) = stand.guest();
    let (name, other) = (&guest.name, "00000000-77aa-4000-8000-0000000000ff");
    for (fault, uuid, said) in [
        ("already at the destination, paused", &*guest.uuid, format!("{name} is on lab{to} already, and stands still")),
        ("same name, other uuid at the destination", other, format!("lab{to} has another {name} (uuid {other})")),
    ] {
        still_twin(&stand, &guest, to, uuid);
        let by_uuid = format!(r#"uuid = "{}""#, guest.uuid);
        let mut tale = Tale::of(stand.lab, guest.clone(), [from, to], FAST, &by_uuid);
        assert_eq!(tale.blocked("preflight"), said);
        assert_eq!((tale.requests(), stand.lab.executing_on(name)), (0, vec![from]));
        stand.lab.virsh(to, &["destroy", name]).expect("the twin goes");
        tale.row(fault);
    }
}

/// A guest of the same name that has not begun to run.
fn still_twin(stand: &Stand, guest: &Guest, on: usize, uuid: &str) {
    let file = |end: String| stand.lab.folder().join(format!("{}-{end}.xml", guest.name));
    let xml = (1..=stand.lab.hosts()).find_map(|host| fs::read_to_string(file(host.to_string())).ok());
    let twin = file("twin".to_owned());
    fs::write(&twin, xml.expect("it was booted").replace(&guest.uuid, uuid)).expect("the lab's folder can be written");
    stand.lab.virsh(on, &["create", "--paused", &twin.display().to_string()]).expect("a paused guest");
}

#[test]
fn a_vm_that_runs_twice_is_held_with_an_alarm() {
    let Some(mut stand) = Stand::take("a_vm_that_runs_twice_is_held_with_an_alarm") else { return };
    let (guest, from, to) = stand.guest();
    let mut tale = Tale::at_rest(&mut stand);
    tale.beyond_and("watching");
    still_twin(&stand, &guest, to, &guest.uuid);
    tale.strikes();
    stand.lab.virsh(to, &["resume", &guest.name]).expect("a paused guest");
    tale.alarm("runs twice");
    tale.state("held");
    tale.wants_to_move();
    tale.beyond_and("held");
    stand.lab.virsh(to, &["destroy", &guest.name]).expect("the twin goes");
    tale.said("again: held until released");
    tale.beyond_and("held");
    assert_eq!(tale.requests(), 0);
    tale.runs_on(&[from]);
    tale.row("started a second time by somebody");
}

#[test]
fn storage_that_is_not_shared_fails_in_the_words_of_libvirt() {
    let Some(mut stand) = Stand::take("storage_that_is_not_shared_fails_in_the_words_of_libvirt") else { return };
    let ([from, to], name) = (stand.hosts(), stand.name("db"));
    let guest = stand.lab.guest(from, &name).disk(Disk::LocalFile).start();
    let mut tale = Tale::of(stand.lab, guest, [from, to], FAST, "");
    tale.phase("running");
    tale.strikes();
    let why = tale.ends("failed", from);
    assert!(why.contains("Migration without shared storage is unsafe") && why.contains("copy_storage"), "{why}");
    tale.row("storage not shared");
    stand.clear(&name);
}

#[test]
fn somebody_elses_migration_is_let_go_on_and_noticed() {
    let Some(mut stand) = Stand::take("somebody_elses_migration_is_let_go_on_and_noticed") else { return };
    let (guest, from, to) = stand.guest();
    let (lab, name) = (stand.lab, &guest.name);
    std::thread::scope(|scope| {
        lab.speed(from, name, 1);
        let foreign = scope.spawn(|| lab.virsh(from, &["migrate", "--live", "--p2p", name, &lab.peer_uri(to)]));
        lab.await_move(from, name);
        let mut tale = Tale::begin(&mut stand, FAST);
        assert_eq!(tale.blocked("preflight"), format!("another job of {name} is under way on lab{from}"));
        lab.speed(from, name, 1_000);
        foreign.join().expect("no panic").expect("it goes on");
        let said = format!("{name} was moved from lab{from} to lab{to} by somebody else; held until released");
        assert_eq!(tale.alarm("somebody else"), said);
        tale.state("held");
        tale.beyond_and("held");
        assert_eq!(tale.requests(), 0);
        tale.runs_on(&[to]);
        tale.row("a second job already running");
    });
}

#[test]
fn a_foreign_move_just_before_is_not_fought_over() {
    let Some(mut stand) = Stand::take("a_foreign_move_just_before_is_not_fought_over") else { return };
    let mut tale = Tale::at_rest(&mut stand);
    let (name, from, to) = (tale.guest.name.clone(), tale.from, tale.to);
    tale.beyond_and("watching");
    tale.strikes();
    stand.lab.virsh(from, &["migrate", "--live", "--p2p", &name, &stand.lab.peer_uri(to)]).expect("a migration");
    tale.alarm("somebody else");
    tale.wants_to_move();
    tale.beyond_and("held");
    assert_eq!(tale.requests(), 0);
    tale.runs_on(&[to]);
    tale.row("moved by somebody else just before");
}
