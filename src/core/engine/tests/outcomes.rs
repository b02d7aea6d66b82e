//! SPEC 3: the outcome is what both hypervisors say; settle follows whichever it was.

use super::harness::*;
use crate::core::cluster::{HostId, RequestId, Span, VmId};
use crate::core::engine::{Command, Effect, Event, Gate, Phase, Presence, Target, VmState};

const RUNS: Presence = Presence::Runs;
const ABSENT: Presence = Presence::Absent;
const UNKNOWN: Presence = Presence::Unknown;

fn moved(source: Presence, destination: Presence) -> World {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::Say(source, destination);
    world.run_for(Span::from_mins(3));
    world
}

#[test]
fn it_is_journalled_after_preflight_and_before_it_starts() {
    let world = moved(ABSENT, RUNS);
    let order: Vec<&str> = world
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Preflight(_) => Some("preflight"),
            Effect::Journal(_) => Some("journal"),
            Effect::Start(_) => Some("start"),
            Effect::Confirm(_) => Some("confirm"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["preflight", "journal", "start", "confirm"]);
}

#[test]
fn both_hosts_decide_the_outcome() {
    for (source, destination, phase, host) in [
        (ABSENT, RUNS, Phase::Confirmed, "h2"),
        (RUNS, ABSENT, Phase::Failed, "h1"),
        (ABSENT, ABSENT, Phase::Lost, "h1"),
        (RUNS, RUNS, Phase::Double, "h1"),
    ] {
        let world = moved(source, destination);
        assert_eq!((world.phases().last(), world.host()), (Some(&phase), host));
        assert!(world.engine.live(VmId(0)).settles().is_some(), "settle follows {phase:?}");
    }
}

#[test]
fn lost_and_double_raise_an_alarm_and_nothing_more_is_done() {
    for (source, destination) in [(ABSENT, ABSENT), (RUNS, RUNS)] {
        let mut world = moved(source, destination);
        assert_eq!(world.alarms().len(), 1);
        assert_eq!(world.states().last(), Some(&VmState::Held));
        world.moves = Moves::Confirm;
        world.run_for(Span::from_hours(5));
        world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
        assert_eq!(world.requests().len(), 1, "not even by hand, until released");
        world.command(Command::Release { vm: "nii1".to_owned() });
        world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
        assert_eq!(world.requests().len(), 2);
    }
}

#[test]
fn an_unknown_outcome_is_asked_for_until_both_hosts_answer() {
    let mut world = moved(ABSENT, UNKNOWN);
    assert_eq!(world.phases().last(), Some(&Phase::Unknown));
    world.run_for(Span::from_mins(1));
    assert_eq!(world.states().last(), Some(&VmState::Migrating));
    assert_eq!(world.phases().iter().filter(|p| **p == Phase::Unknown).count(), 1, "said once");
    let asked = world.effects.iter().filter(|e| matches!(e, Effect::Confirm(_))).count();
    assert!(asked > 10);
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert!(!world.answers[0].0, "nothing else moves that VM");
    world.moves = Moves::Confirm;
    world.run_for(Span::from_secs(5));
    assert_eq!(world.phases().last(), Some(&Phase::Confirmed));
}

#[test]
fn an_aborted_move_stays_and_may_be_tried_again_there() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::Hang;
    world.run_for(Span::from_mins(3));
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert_eq!(world.phases().last(), Some(&Phase::Aborted));
    assert_eq!(world.host(), "h1");
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert_eq!(world.answers.last().unwrap().1, "nii1 is not migrating");
    world.moves = Moves::Confirm;
    world.run_for(Span::from_mins(4));
    assert_eq!(world.host(), "h2");
}

#[test]
fn a_refused_preflight_is_a_blocked_decision_without_a_request() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::Refuse;
    world.run_for(Span::from_mins(3));
    assert_eq!(world.blocked(), [(Gate::Preflight, "no room".to_owned())]);
    assert!(world.requests().is_empty());
    assert!(world.states().is_empty(), "it went on watching");
    assert!(world.engine.live(VmId(0)).settles().is_none(), "nothing settles");
}

#[test]
fn while_it_moves_nothing_counts_and_no_second_move_starts() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::Hang;
    world.run_for(Span::from_mins(30));
    assert_eq!(world.requests().len(), 1);
    assert!(world.counts()[3..].iter().all(|counts| *counts == (0, 0)));
}

#[test]
fn facts_about_a_move_that_is_over_change_nothing() {
    let mut world = moved(ABSENT, RUNS);
    let before = world.records.len();
    let id = RequestId(1);
    world.tell(Event::Ended { id, detail: String::new() });
    world.tell(Event::Presence { id, source: ABSENT, destination: ABSENT });
    world.tell(Event::Progress { id, percent: 3, detail: String::new(), transfer: None });
    world.tell(Event::Journalled { id });
    world.tell(Event::Preflight { id, refusal: None, forecast: None });
    assert_eq!(world.records.len(), before);
}

#[test]
fn a_foreign_move_is_noticed_and_not_fought_over() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.run_for(Span::from_mins(2));
    world.tell(Event::Found { vm: VmId(0), hosts: vec![HostId(2)] });
    assert_eq!(world.host(), "h3");
    assert_eq!(world.alarms(), ["nii1 was moved from h1 to h3 by somebody else; held until released"]);
    world.run_for(Span::from_hours(2));
    assert!(world.requests().is_empty());
}
