//! SPEC 3: the outcome is what both hypervisors say; settle follows whichever it was.

use super::harness::*;
use crate::core::cluster::{HostId, HostState, RequestId, Span, VmId};
use crate::core::engine::{Command, Effect, Event, Gate, Happened, Phase, Presence, Target, VmState};

const RUNS: Presence = Presence::Runs;
const ABSENT: Presence = Presence::Absent;
const UNKNOWN: Presence = Presence::Unknown;

fn moved(source: Presence, destination: Presence) -> World {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::HostsSay(source, destination);
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
fn a_move_whose_outcome_stays_unknown_keeps_its_hosts_and_not_the_cluster() {
    let mut cluster = cluster(4, threshold());
    cluster.vms.push(vm("nii2", threshold()));
    cluster.vms[1].host = HostId(2);
    cluster.limits.at_once = 1;
    let mut world = World::new(cluster, always(10.0));
    world.moves = Moves::HostsSay(RUNS, UNKNOWN);
    let to = |world: &mut World, vm: &str, host: &str| {
        world.command(Command::Move { vm: vm.to_owned(), target: Target::Host(host.to_owned()) });
        world.answers.last().expect("an answer").clone()
    };
    assert!(to(&mut world, "nii1", "h2").0);
    let refused = (false, "nii2 stays, budget: 1 of 1 migrations at once under way".to_owned());
    assert_eq!(to(&mut world, "nii2", "h4"), refused);
    world.run_for(Span::from_mins(2));
    assert_eq!(to(&mut world, "nii2", "h2"), (false, "nii2 stays, budget: 1 of 1 migrations at once at h2".to_owned()));
    assert!(to(&mut world, "nii2", "h4").0, "it has been said for long");
}

#[test]
fn a_host_that_is_off_for_good_ends_a_doubt_by_an_operators_word() {
    for (source, destination, phase, host) in [
        (RUNS, UNKNOWN, Phase::Failed, "h1"),
        (UNKNOWN, RUNS, Phase::Confirmed, "h2"),
        (ABSENT, UNKNOWN, Phase::Lost, "h1"),
        (UNKNOWN, ABSENT, Phase::Lost, "h1"),
    ] {
        let mut world = moved(source, destination);
        world.run_for(Span::from_mins(2));
        assert_eq!(world.phases().last(), Some(&Phase::Unknown));
        world.command(Command::Release { vm: "nii1".to_owned() });
        let off = if destination == UNKNOWN { "h2" } else { "h1" };
        assert_eq!(world.answers.last(), Some(&(true, format!("nii1: {off} is taken to be off for good"))));
        assert_eq!((world.phases().last(), world.host()), (Some(&phase), host));
    }
    for (source, destination) in [(UNKNOWN, UNKNOWN), (PAUSED, UNKNOWN)] {
        let mut world = moved(source, destination);
        world.run_for(Span::from_mins(2));
        world.command(Command::Release { vm: "nii1".to_owned() });
        assert!(world.answers.last().is_some_and(|(ok, why)| !ok && why.ends_with("nothing can be told")));
        assert_eq!(world.engine.state(VmId(0)), VmState::Migrating);
    }
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::HostsSay(RUNS, UNKNOWN);
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    world.command(Command::Release { vm: "nii1".to_owned() });
    assert_eq!(world.answers.last(), Some(&(false, "nii1: both hosts are asked for a minute first".to_owned())));
}

#[test]
fn lost_and_double_raise_an_alarm_and_nothing_more_is_done() {
    for (source, destination) in [(ABSENT, ABSENT), (RUNS, RUNS)] {
        let mut world = moved(source, destination);
        assert_eq!(world.alarms().len(), 1);
        assert_eq!(world.states().last(), Some(&VmState::Held));
        let what = if source == ABSENT { "lost: it runs nowhere" } else { "double: it runs at two hosts" };
        assert_eq!(world.why(), format!("held until released, {what}"));
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
fn a_refusal_by_a_driver_that_has_lost_its_hosts_is_held_against_none_of_them() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.lost = Box::new(|effect| matches!(effect, Effect::Preflight(_)));
    let asked_of = |world: &mut World| {
        world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
        world.engine.migration(VmId(0)).map(|migration| migration.route.to)
    };
    let host = |state| Event::Host { host: HostId(1), state, load: None, why: None };
    let refused = |id| Event::Preflight { id: RequestId(id), refusal: Some("no".to_owned()), forecast: None };
    assert_eq!(asked_of(&mut world), Some(HostId(1)));
    for event in [host(HostState::Unknown), refused(1), host(HostState::Up)] {
        world.tell(event);
    }
    assert_eq!(asked_of(&mut world), Some(HostId(1)), "it was not asked");
    for event in [host(HostState::Down), refused(2), host(HostState::Up)] {
        world.tell(event);
    }
    assert_eq!(asked_of(&mut world), Some(HostId(2)), "it has refused");
}

#[test]
fn what_cannot_be_written_down_does_not_start() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::NotJournalled;
    world.run_for(Span::from_mins(3));
    assert_eq!((world.requests().len(), world.phases()), (1, vec![Phase::Failed]));
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Start(_))), "nothing is started");
    assert!(world.engine.live(VmId(0)).settles().is_none(), "nothing has moved, so nothing settles");
    let said = world.records.iter().find_map(|record| match &record.what {
        Happened::Migration { detail, .. } => Some(detail.clone()),
        _ => None,
    });
    assert_eq!(said.as_deref(), Some("not started: the disk is full"));
    world.moves = Moves::Confirm;
    world.run_for(Span::from_mins(5));
    let to = world.requests().iter().map(|(_, to)| *to).collect::<Vec<_>>();
    assert_eq!(to[..2], [to[0]; 2], "the host is not to blame: it is tried again");
    assert_eq!(world.phases()[1..3], [Phase::Running, Phase::Confirmed]);
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

const PAUSED: Presence = Presence::Paused;

#[test]
fn a_vm_that_stands_still_neither_runs_nor_is_absent() {
    for (source, destination, said) in [
        (PAUSED, ABSENT, "paused on h1"),
        (RUNS, PAUSED, "paused on h2"),
        (PAUSED, PAUSED, "paused on both h1 and h2"),
        (PAUSED, UNKNOWN, "paused on h1, h2 does not answer"),
        (UNKNOWN, ABSENT, "h1 does not answer"),
    ] {
        let world = moved(source, destination);
        assert_eq!(world.phases().last(), Some(&Phase::Unknown));
        assert_eq!(world.why(), format!("outcome unknown: {said}; both hosts are asked until it can be told"));
    }
}

/// At the instant at which it has ended.
fn just_moved(source: Presence, destination: Presence) -> World {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::HostsSay(source, destination);
    while world.requests().is_empty() {
        world.run_for(Span::from_millis(100));
    }
    world
}

#[test]
fn a_hand_over_is_asked_for_again_after_a_second() {
    let mut world = just_moved(PAUSED, PAUSED);
    let asked = world.effects.iter().filter(|e| matches!(e, Effect::Confirm(_))).count();
    assert_eq!(world.engine.next_wake(), world.requests()[0].0 + Span::from_secs(1));
    world.moves = Moves::Confirm;
    world.run_for(Span::from_secs(1));
    assert_eq!(world.effects.iter().filter(|e| matches!(e, Effect::Confirm(_))).count(), asked + 1);
    assert_eq!((world.phases().last(), world.host()), (Some(&Phase::Confirmed), "h2"));
    assert!(world.alarms().is_empty());
}

#[test]
fn after_a_minute_there_is_one_alarm_that_says_what_to_do() {
    for (source, destination, said) in [
        (PAUSED, UNKNOWN, "paused on h1, h2 does not answer; nothing else is moved with it"),
        (
            RUNS,
            UNKNOWN,
            "h2 does not answer; switch it on, or, if it is off for good, release the VM; nothing else is moved with it",
        ),
        (PAUSED, PAUSED, "paused on both h1 and h2; resume one, destroy the other"),
        (ABSENT, PAUSED, "paused on h2; resume it there"),
    ] {
        let mut world = just_moved(source, destination);
        world.run_for(Span::from_secs(59));
        assert!(world.alarms().is_empty());
        world.run_for(Span::from_mins(30));
        assert_eq!(world.alarms(), [format!("nii1: outcome unknown for 1 min 1 s: {said}")]);
    }
}

#[test]
fn other_words_are_said_when_another_side_keeps_it_unknown() {
    let mut world = moved(ABSENT, UNKNOWN);
    world.moves = Moves::HostsSay(ABSENT, PAUSED);
    world.run_for(Span::from_secs(20));
    let details = world.pick(|what| match what {
        Happened::Migration { phase: Phase::Unknown, detail, .. } => Some(detail.clone()),
        _ => None,
    });
    assert_eq!(details, ["h2 does not answer", "paused on h2"]);
}

fn goes_on(world: &mut World, percent: u8) {
    let id = RequestId(1);
    world.tell(Event::Progress { id, percent, detail: "goes on".to_owned(), transfer: None });
}

#[test]
fn what_was_thought_over_and_goes_on_is_followed_and_can_be_aborted() {
    let mut world = moved(UNKNOWN, ABSENT);
    goes_on(&mut world, 40);
    assert_eq!(world.phases().last(), Some(&Phase::Running));
    assert!(world.why().contains("40%"), "{}", world.why());
    let asked = world.effects.len();
    world.run_for(Span::from_secs(30));
    assert!(!world.effects[asked..].iter().any(|effect| matches!(effect, Effect::Confirm(_))), "nobody is asked");
    world.moves = Moves::HostsSay(RUNS, ABSENT);
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert_eq!(world.phases().last(), Some(&Phase::Aborted));
}

#[test]
fn what_is_followed_and_falls_silent_is_asked_for_again() {
    let mut world = moved(UNKNOWN, ABSENT);
    let so_far = world.effects.len();
    for percent in 1..=8 {
        goes_on(&mut world, percent);
        world.run_for(Span::from_secs(20));
    }
    assert_eq!(world.phases().last(), Some(&Phase::Running));
    assert!(!world.effects[so_far..].iter().any(|effect| matches!(effect, Effect::Confirm(_))), "it is heard of");
    world.moves = Moves::Confirm;
    world.run_for(Span::from_mins(1));
    assert_eq!(world.phases().last(), Some(&Phase::Confirmed), "its end was missed");
}

#[test]
fn progress_that_comes_after_the_end_does_not_hide_that_it_arrived() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::Hang;
    world.run_for(Span::from_mins(3));
    let id = RequestId(1);
    let mut out = Vec::new();
    world.engine.step(world.now, Event::Ended { id, detail: "done".to_owned() }, &mut out);
    goes_on(&mut world, 99);
    world.tell(Event::Presence { id, source: RUNS, destination: ABSENT });
    assert_eq!(world.phases().last(), Some(&Phase::Running), "it may still be on its way");
    world.tell(Event::Presence { id, source: ABSENT, destination: RUNS });
    assert_eq!(world.phases().last(), Some(&Phase::Confirmed));
}

#[test]
fn an_abort_while_the_outcome_is_unknown_is_passed_on_and_the_outcome_still_read() {
    let mut world = moved(UNKNOWN, ABSENT);
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert!(world.answers[0].0 && world.answers[0].1.ends_with("its outcome is not known"), "{:?}", world.answers);
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::Abort(_))));
    world.moves = Moves::Confirm;
    world.run_for(Span::from_secs(5));
    assert_eq!((world.phases().last(), world.host()), (Some(&Phase::Confirmed), "h2"));
}

#[test]
fn an_outcome_has_the_words_of_its_end_and_not_the_doubt_before_it() {
    let mut world = just_moved(RUNS, UNKNOWN);
    world.moves = Moves::HostsSay(RUNS, ABSENT);
    world.run_for(Span::from_secs(10));
    let told = world.pick(|what| match what {
        Happened::Migration { phase: phase @ (Phase::Unknown | Phase::Failed), detail, .. } => {
            Some((*phase, detail.clone()))
        }
        _ => None,
    });
    assert_eq!(told, [(Phase::Unknown, "h2 does not answer".to_owned()), (Phase::Failed, "done".to_owned())]);
}

/// Tells the engine something, and leaves what it wants unanswered.
fn unanswered(world: &mut World, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    world.engine.step(world.now, event, &mut out);
    out
}

#[test]
fn an_outcome_that_is_being_read_is_asked_for_at_once_by_a_changed_config() {
    for unknown in [false, true] {
        let mut world = World::new(cluster(3, threshold()), always(10.0));
        let target = Target::Next;
        let command = Command::Move { vm: "nii1".to_owned(), target };
        unanswered(&mut world, Event::Command { by: "root".to_owned(), command });
        unanswered(&mut world, Event::Preflight { id: RequestId(1), refusal: None, forecast: None });
        unanswered(&mut world, Event::Journalled { id: RequestId(1) });
        unanswered(&mut world, Event::Ended { id: RequestId(1), detail: "done".to_owned() });
        if unknown {
            let (source, destination) = (UNKNOWN, UNKNOWN);
            unanswered(&mut world, Event::Presence { id: RequestId(1), source, destination });
            world.now += Span::from_secs(1);
            unanswered(&mut world, Event::Tick);
        }
        world.now += Span::from_secs(1);
        let again = cluster(3, threshold());
        world.tell(Event::Reconfigured { cluster: Box::new(again), reread: Vec::new(), said: Vec::new() });
        world.run_for(Span::from_millis(1));
        assert_eq!((world.phases().last(), world.host()), (Some(&Phase::Confirmed), "h2"));
    }
}

#[test]
fn what_is_remembered_of_destinations_does_not_grow() {
    let mut world = World::new(cluster(3, base()), always(10.0));
    for target in [Target::Next, Target::Next, Target::Down, Target::Base] {
        world.run_for(Span::from_secs(1));
        world.command(Command::Move { vm: "nii1".to_owned(), target });
    }
    assert_eq!(world.engine.live(VmId(0)).tried.len(), 2, "each host of the ring once");
    assert_eq!(world.engine.live(VmId(0)).settles(), None, "on the base nothing settles");
    let mut memory = world.engine.live(VmId(0)).clone();
    for (host, minutes, left) in [(1, 0, 1), (1, 1, 1), (2, 2, 2), (0, 12, 1)] {
        memory.remember_failure(HostId(host), T0 + Span::from_mins(minutes));
        assert_eq!(memory.failed.len(), left);
    }
}

#[test]
fn how_each_move_ended_is_kept() {
    for (source, destination, outcome) in
        [(ABSENT, RUNS, "confirmed"), (RUNS, ABSENT, "failed"), (ABSENT, ABSENT, "lost"), (RUNS, RUNS, "double")]
    {
        let world = moved(source, destination);
        assert_eq!(world.engine.keep(VmId(0)).outcome(RequestId(1)), Some(outcome));
    }
}

#[test]
fn while_both_hosts_are_asked_the_drivers_last_words_are_shown_and_a_failed_move_settles_at_once() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::HostsSay(RUNS, ABSENT);
    world.lost = Box::new(|effect| matches!(effect, Effect::Confirm(_)));
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert_eq!(world.engine.migration(VmId(0)).map(|migration| &*migration.detail), Some("done"));
    world.tell(Event::Presence { id: RequestId(1), source: RUNS, destination: ABSENT });
    assert_eq!(world.states(), [VmState::Migrating, VmState::Settling]);
}

#[test]
fn the_history_keeps_how_a_migration_begins_and_ends_and_not_how_far_it_is_in_between() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::Slow;
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    goes_on(&mut world, 40);
    world.tell(Event::Ended { id: RequestId(1), detail: "done".to_owned() });
    let kept = world.records.iter().filter(|record| record.is_kept()).filter_map(|record| match record.what {
        Happened::Migration { phase, percent, .. } => Some((phase, percent)),
        _ => None,
    });
    assert_eq!(kept.collect::<Vec<_>>(), [(Phase::Running, 0), (Phase::Confirmed, 100)]);
    assert_eq!(world.phases().len(), 3);
}
