//! Operators' commands: what each of them does, refuses and records.

use super::harness::*;
use crate::core::cluster::{HostId, HostState, Mode, Reading, RequestId, Span, Timestamp, VmId};
use crate::core::engine::{Command, Effect, Event, Gate, Happened, HoldCause, Presence, Target, VmState};
use crate::core::policy::Field;

const VM: VmId = VmId(0);

fn calm() -> World {
    World::new(cluster(3, threshold()), always(10.0))
}

fn hold() -> Command {
    Command::Hold { vm: "nii1".to_owned() }
}

fn release() -> Command {
    Command::Release { vm: "nii1".to_owned() }
}

fn move_to(target: Target) -> Command {
    Command::Move { vm: "nii1".to_owned(), target }
}

/// What operators did so far, as the log has it.
fn told(world: &World) -> Vec<String> {
    world.pick(|what| match what {
        Happened::Operator { by, text } if by == "root" => Some(text.clone()),
        _ => None,
    })
}

fn answer(world: &World) -> (bool, &str) {
    let (ok, text) = world.answers.last().expect("an answer");
    (*ok, text)
}

#[test]
fn what_an_operator_does_is_recorded_and_what_is_refused_is_not() {
    let mut world = calm();
    world.command(hold());
    assert_eq!(
        (answer(&world), told(&world)),
        ((true, "nii1: held until released"), vec!["held until released".to_owned()])
    );
    world.command(Command::Deny { vm: "nii1".to_owned() });
    assert_eq!(answer(&world), (false, "nii1 has no request that waits"));
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert_eq!(answer(&world), (false, "nii1 is not migrating"));
    world.command(Command::Hold { vm: "nii9".to_owned() });
    assert_eq!(answer(&world), (false, "there is no VM nii9"));
    world.set(Field::Threshold, 60.0);
    assert_eq!(told(&world).len(), 1, "an edit has a record of its own for each key");
}

#[test]
fn a_held_vm_counts_nothing_and_released_it_counts_from_nothing() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.run_for(Span::from_mins(2));
    world.command(hold());
    assert_eq!((world.states(), world.engine.live(VM).policy().count), (vec![VmState::Held], 0));
    world.run_for(Span::from_mins(5));
    assert_eq!(world.engine.live(VM).policy().count, 0);
    world.command(release());
    assert_eq!(answer(&world), (true, "nii1: released, counting from 0"));
    assert_eq!(world.states(), [VmState::Held, VmState::Watching]);
    world.command(release());
    assert_eq!(answer(&world), (false, "nii1 is not held"));
    world.run_for(Span::from_mins(2));
    assert!(world.decisions().is_empty());
    world.run_for(Span::from_mins(1));
    assert_eq!(world.decisions().len(), 1);
}

#[test]
fn an_operators_hold_outlasts_the_hold_after_a_move_by_hand() {
    let mut world = calm();
    world.command(move_to(Target::Next));
    world.run_for(Span::from_mins(5));
    world.command(hold());
    world.run_for(Span::from_hours(1));
    let held = world.engine.live(VM).hold().map(|hold| hold.cause);
    assert_eq!((held, world.engine.state(VM)), (Some(HoldCause::Hand), VmState::Held));
}

#[test]
fn an_operators_hold_does_not_hide_that_a_vm_is_lost() {
    let mut world = calm();
    world.moves = Moves::HostsSay(Presence::Absent, Presence::Absent);
    world.command(move_to(Target::Next));
    world.command(hold());
    assert_eq!(world.engine.live(VM).hold().map(|hold| hold.cause), Some(HoldCause::Lost));
    world.command(move_to(Target::Next));
    assert!(!answer(&world).0, "{:?}", answer(&world));
}

#[test]
fn a_request_that_waits_is_dropped_by_a_hold_and_by_a_move_by_hand() {
    let asking = || {
        let mut cluster = cluster(3, threshold());
        cluster.mode = Mode::Ask;
        let mut world = World::new(cluster, always(60.0));
        world.run_for(Span::from_mins(3));
        assert_eq!(world.engine.state(VM), VmState::Waiting);
        world
    };
    let mut world = asking();
    world.command(hold());
    assert_eq!(world.blocked(), [(Gate::Hold, "request #1 dropped: held by an operator".to_owned())]);
    let mut world = asking();
    world.command(move_to(Target::Host("h3".to_owned())));
    assert_eq!(world.blocked(), [(Gate::Hold, "request #1 dropped: an operator moves it".to_owned())]);
    assert_eq!(world.host(), "h3");
    let mut world = asking();
    world.command(Command::Deny { vm: "nii1".to_owned() });
    assert_eq!(world.blocked(), [(Gate::Mode, "request #1 denied by an operator".to_owned())]);
    assert_eq!(world.states().last(), Some(&VmState::Watching));
}

#[test]
fn alarms_are_acknowledged_with_their_number() {
    let mut world = calm();
    world.command(Command::Acknowledge);
    assert_eq!(answer(&world), (true, "0 alarms acknowledged"));
    let trouble = |text: &str| crate::core::engine::Event::Trouble { vm: None, text: text.to_owned() };
    world.tell(trouble("the disk is full"));
    world.command(Command::Acknowledge);
    assert_eq!((answer(&world), world.engine.alarms().count()), ((true, "1 alarm acknowledged"), 0));
    for n in 0..101 {
        world.tell(trouble(&format!("trouble {n}")));
    }
    let kept: Vec<&str> = world.engine.alarms().map(|(_, _, text)| text).collect();
    assert_eq!((kept.len(), kept[0], kept[99]), (100, "trouble 1", "trouble 100"), "the newest hundred");
}

#[test]
fn an_abort_while_it_is_written_down_is_passed_on_when_it_starts() {
    let mut world = calm();
    world.moves = Moves::Hang;
    world.lost = Box::new(|effect| matches!(effect, Effect::Journal(_) | Effect::Abort(_)));
    world.command(move_to(Target::Next));
    world.command(Command::Abort { vm: "nii1".to_owned() });
    let aborts = |world: &World| world.effects.iter().filter(|effect| matches!(effect, Effect::Abort(_))).count();
    assert_eq!((answer(&world).0, aborts(&world)), (true, 0), "there is nothing yet to be aborted");
    world.tell(Event::Journalled { id: RequestId(1) });
    assert_eq!(aborts(&world), 1);
}

#[test]
fn a_request_that_is_approved_and_comes_to_nothing_does_not_wait_any_more() {
    let asking = || {
        let mut cluster = cluster(2, threshold());
        cluster.mode = Mode::Ask;
        let mut world = World::new(cluster, always(60.0));
        world.run_for(Span::from_mins(3));
        world
    };
    let approve = || Command::Approve { vm: "nii1".to_owned() };
    let mut world = asking();
    world.moves = Moves::Refuse;
    world.command(approve());
    assert_eq!(world.states(), [VmState::Waiting, VmState::Watching], "the driver refuses it");
    let mut world = asking();
    world.tell(Event::Host { host: HostId(1), state: HostState::Down, load: None, why: None });
    world.command(approve());
    assert_eq!(world.states(), [VmState::Waiting, VmState::Watching], "a gate stops it");
}

#[test]
fn an_operator_is_told_that_his_move_was_not_written_down_and_its_outcome_is_kept() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.lost = Box::new(|effect| matches!(effect, Effect::Journal(_)));
    world.command(move_to(Target::Next));
    world.tell(Event::Reading { vm: VM, reading: Reading::Raw(60.0) });
    world.tell(Event::NotJournalled { id: RequestId(1), why: "the disk is full".to_owned() });
    assert_eq!(answer(&world), (false, "nii1 stays: not written down, the disk is full"));
    assert_eq!(world.states(), [VmState::Migrating, VmState::Watching]);
    assert_eq!(world.engine.keep(VM).outcome(RequestId(1)), Some("failed"));
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::NotJournalled;
    world.run_for(Span::from_mins(3));
    assert!(world.phases().len() == 1 && world.answers.is_empty(), "nobody asked for a policy's move");
}

#[test]
fn a_move_by_hand_ends_what_was_counted_and_what_the_driver_expects_of_it_is_told() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.run_for(Span::from_mins(2));
    world.moves = Moves::Slow;
    world.lost = Box::new(|effect| matches!(effect, Effect::Preflight(_)));
    world.command(move_to(Target::Next));
    assert_eq!(world.engine.live(VM).policy().count, 0);
    let forecast = Some("about 4 s".to_owned());
    world.tell(Event::Preflight { id: RequestId(1), refusal: None, forecast });
    let migration = world.engine.migration(VM).expect("it is under way");
    assert_eq!((&*migration.forecast, &*migration.detail), ("about 4 s", "about 4 s"));
}

#[test]
fn a_released_vm_was_nowhere_yet() {
    let mut cluster = cluster(2, threshold());
    cluster.limits.flap_window = Some(Span::from_hours(9));
    let mut world = World::new(cluster, always(60.0));
    while world.engine.state(VM) != VmState::Flapping {
        world.run_for(Span::from_mins(1));
    }
    let moves = world.requests().len();
    world.command(release());
    world.run_for(Span::from_mins(4));
    assert_eq!((world.requests().len(), world.alarms().len()), (moves + 1, 1));
}

#[test]
fn a_move_by_hand_leaves_an_operators_hold_and_makes_none_where_the_limits_say_so() {
    let mut world = calm();
    world.command(hold());
    world.command(move_to(Target::Next));
    assert_eq!(world.engine.live(VM).hold().map(|hold| hold.cause), Some(HoldCause::Hand));
    let mut cluster = cluster(3, threshold());
    cluster.limits.hold_after_manual = Span::ZERO;
    let mut world = World::new(cluster, always(10.0));
    world.command(move_to(Target::Next));
    assert_eq!((world.host(), world.engine.live(VM).hold()), ("h2", None));
}

#[test]
fn holds_without_an_end_leave_no_timers_behind() {
    let mut world = calm();
    let timers = |world: &World| {
        let mut timers = world.engine.timers.clone();
        std::iter::from_fn(|| timers.due(Timestamp::NEVER)).count()
    };
    let before = timers(&world);
    for command in [hold(), release(), hold()] {
        world.command(command);
    }
    assert_eq!(timers(&world), before);
}
