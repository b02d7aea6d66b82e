//! Daemons and guests that die or stop in the middle of a migration.

use super::tale::Tale;
use crate::setting::SLOW;
use crate::support::lab::Lab;
use crate::support::services::or_skip;

#[test]
fn a_destinations_daemon_that_dies_leaves_the_vm_at_the_source() {
    let Some(lab) = or_skip("a_destinations_daemon_that_dies_leaves_the_vm_at_the_source", Lab::up(2)) else { return };
    let mut tale = Tale::under_way(&lab, SLOW);
    let (from, to) = (tale.from, tale.to);
    tale.lab.stop_daemon(to);
    assert_eq!(tale.phase("unknown"), format!("lab{to} does not answer"));
    tale.lab.start_daemon(to);
    tale.ends("failed", from);
    tale.row("destination's daemon killed during");
}

#[test]
fn a_destinations_guest_that_dies_leaves_the_vm_at_the_source() {
    let Some(lab) = or_skip("a_destinations_guest_that_dies_leaves_the_vm_at_the_source", Lab::up(2)) else { return };
    let mut tale = Tale::under_way(&lab, SLOW);
    let (from, boot) = (tale.from, tale.guest.boot_id());
    tale.lab.kill_guest(tale.to, &tale.guest.name);
    let why = tale.ends("failed", from);
    assert!(!why.is_empty(), "libvirt's words");
    assert_eq!(tale.guest.boot_id(), boot, "it was never off");
    tale.row("destination's guest process killed during");
}

#[test]
fn a_sources_daemon_that_dies_leaves_all_unknown_until_it_is_back() {
    let Some(lab) = or_skip("a_sources_daemon_that_dies_leaves_all_unknown_until_it_is_back", Lab::up(2)) else {
        return;
    };
    let mut tale = Tale::under_way(&lab, SLOW);
    let from = tale.from;
    tale.lab.stop_daemon(from);
    assert_eq!(tale.phase("unknown"), format!("lab{from} does not answer"));
    assert_eq!(tale.lab.executing_on(&tale.guest.name), [from], "the guest goes on");
    tale.lab.start_daemon(from);
    tale.ends("failed", from);
    tale.row("source's daemon killed during");
}

#[test]
fn a_sources_guest_that_dies_is_lost_with_an_alarm_that_stays() {
    let Some(lab) = or_skip("a_sources_guest_that_dies_is_lost_with_an_alarm_that_stays", Lab::up(2)) else { return };
    let mut tale = Tale::under_way(&lab, SLOW);
    let (name, from, to) = (tale.guest.name.clone(), tale.from, tale.to);
    tale.lab.kill_guest(from, &name);
    assert_eq!(tale.outcome().0, "lost", "{:#?}", tale.story());
    assert_eq!(tale.known_phases(), ["running", "lost"]);
    let said = format!("{name} is lost: it runs neither on lab{from} nor on lab{to}; start it, then release it");
    assert_eq!(tale.alarm("is lost"), said);
    tale.runs_on(&[]);

    // Neither a whimbrel that is started again nor a VM that is booted again ends that.
    tale.run.stop();
    tale.start_again();
    lab.guest(from, &name).uuid(&tale.guest.uuid).start();
    tale.said("again: held until released");
    assert_eq!((tale.lab.executing_on(&name), tale.requests()), (vec![from], 1));
    tale.row("source's guest process killed during");
}

#[test]
fn a_migration_that_stands_still_is_aborted() {
    let Some(lab) = or_skip("a_migration_that_stands_still_is_aborted", Lab::up(2)) else { return };
    let mut tale = Tale::under_way(&lab, ", bandwidth = 1, stall = \"5s\"");
    let (name, from, to) = (tale.guest.name.clone(), tale.from, tale.to);
    tale.lab.freeze_guest(to, &name);
    let why = tale.phase("unknown");
    assert!(why.ends_with(&format!(" lab{to}")) || why == format!("lab{to} does not answer"), "{why}");
    tale.lab.thaw_guest(to, &name);
    assert_eq!(tale.ends("failed", from), "stalled for 5 s: aborted");
    tale.row("migration stalled: destination's guest process stopped");
}

#[test]
fn a_migration_whose_data_is_lost_on_the_way_is_aborted() {
    let Some(lab) = or_skip("a_migration_whose_data_is_lost_on_the_way_is_aborted", Lab::up(2)) else { return };
    let mut tale = Tale::under_way(&lab, ", bandwidth = 1, stall = \"5s\"");
    let (from, to) = (tale.from, tale.to);
    tale.lab.part(from, to);
    // Both answers are right. The source aborts either way; but the copy at the destination may still wait for data when
    // both hosts are asked, and then nobody can tell the outcome before the destination has heard of the abort.
    let (phase, why) = tale.one_of(&["failed", "unknown"]);
    tale.lab.join(from, to);
    let why = if phase == "unknown" { tale.outcome().1 } else { why };
    assert_eq!(why, "stalled for 5 s: aborted");
    tale.has_told("failed", &why);
    tale.leaves(from);
    tale.row("migration stalled: no way from source to destination");
}
