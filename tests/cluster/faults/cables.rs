//! Cables that are cut and hosts that are powered off in the middle of a migration.

use super::tale::Tale;
use crate::setting::SLOW;
use crate::support::lab::Lab;
use crate::support::services::or_skip;

#[test]
fn a_destination_that_is_cut_off_leaves_all_unknown_until_it_is_mended() {
    let test = "a_destination_that_is_cut_off_leaves_all_unknown_until_it_is_mended";
    let Some(lab) = or_skip(test, Lab::up(2)) else { return };
    let mut tale = Tale::under_way(&lab, SLOW);
    let (from, to) = (tale.from, tale.to);
    tale.lab.cut(to);
    assert_eq!(tale.phase("unknown"), format!("lab{to} does not answer"));
    assert_eq!(tale.lab.executing_on(&tale.guest.name), [from]);
    tale.lab.mend(to);
    tale.ends("failed", from);
    tale.row("cable cut to the destination (p2p)");
}

#[test]
fn a_source_that_is_cut_off_leaves_all_unknown_until_it_is_mended() {
    let Some(lab) = or_skip("a_source_that_is_cut_off_leaves_all_unknown_until_it_is_mended", Lab::up(2)) else {
        return;
    };
    let mut tale = Tale::under_way(&lab, SLOW);
    let from = tale.from;
    tale.lab.cut(from);
    assert_eq!(tale.phase("unknown"), format!("lab{from} does not answer"));
    assert_eq!(tale.lab.executing_on(&tale.guest.name), [from]);
    tale.lab.mend(from);
    tale.ends("failed", from);
    tale.row("cable cut to the source");
}

#[test]
fn a_migration_that_the_desk_cannot_see_goes_on_to_its_outcome() {
    let Some(lab) = or_skip("a_migration_that_the_desk_cannot_see_goes_on_to_its_outcome", Lab::up(2)) else { return };
    let mut tale = Tale::under_way(&lab, SLOW);
    let (from, to) = (tale.from, tale.to);
    tale.lab.hide(from);
    assert_eq!(tale.phase("unknown"), format!("lab{from} does not answer, paused on lab{to}"));
    tale.lab.show(from);
    tale.until("it is followed again", |event| event["type"] == "migration" && event["phase"] == "running");
    tale.lab.speed(from, &tale.guest.name, 1_000);
    tale.ends("confirmed", to);
    tale.row("source out of the desk's sight, not of its peer's");
}

#[test]
fn a_destination_without_power_is_an_alarm_until_it_is_back() {
    let Some(lab) = or_skip("a_destination_without_power_is_an_alarm_until_it_is_back", Lab::up(2)) else { return };
    let mut tale = Tale::at_rest(&lab, SLOW, &[("WHIMBREL_DEADLINES", "3")]);
    tale.beyond_and("watching");
    tale.wants_to_move();
    tale.gets_under_way();
    let (name, from, to) = (tale.guest.name.clone(), tale.from, tale.to);
    tale.lab.power_off(to);
    while tale.phase("unknown") != format!("lab{to} does not answer") {}
    let alarm = tale.alarm("outcome unknown");
    let said = format!(
        " s: lab{to} does not answer; switch it on, or, if it is off for good, release the VM; nothing else is moved with it"
    );
    assert!(alarm.starts_with(&format!("{name}: outcome unknown for ")) && alarm.ends_with(&said), "{alarm}");
    assert_eq!((tale.known_phases(), tale.requests()), (vec!["running".to_owned()], 1));
    tale.lab.power_on(to);
    tale.ends("failed", from);
    tale.row("destination powered off during");
}

#[test]
fn a_source_without_power_has_lost_its_vm_once_it_can_be_asked() {
    let Some(lab) = or_skip("a_source_without_power_has_lost_its_vm_once_it_can_be_asked", Lab::up(2)) else { return };
    let mut tale = Tale::under_way(&lab, SLOW);
    let (from, to) = (tale.from, tale.to);
    tale.lab.power_off(from);
    assert_eq!(tale.phase("unknown"), format!("lab{from} does not answer"));
    tale.lab.power_on(from);
    assert_eq!(tale.outcome().0, "lost", "{:#?}", tale.story());
    tale.alarm(&format!("is lost: it runs neither on lab{from} nor on lab{to}"));
    tale.is_over();
    tale.runs_on(&[]);
    assert_eq!((tale.known_phases(), tale.requests()), (vec!["running".to_owned(), "lost".to_owned()], 1));
    tale.row("source powered off during");
}
