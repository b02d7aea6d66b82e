//! Rules of the specification at their edges: what is just not, and what must not be left out.

use super::harness::*;
use crate::core::cluster::{
    Array, ArrayId, Cluster, Direction, HostId, HostState, Pick, RequestId, SiteId, Span, Timestamp, VmId,
};
use crate::core::engine::{Ask, By, Command, Effect, Engine, Event, Gate, Phase, Presence, Target, VmState};
use crate::core::policy::{Bound, Decision, Resting, Rule, Settings, WorkingHours};

const VM: VmId = VmId(0);

fn found(world: &mut World, hosts: &[u32]) {
    world.tell(Event::Found { vm: VM, hosts: hosts.iter().copied().map(HostId).collect() });
}

fn move_to(target: Target) -> Command {
    Command::Move { vm: "nii1".to_owned(), target }
}

/// What a gate says to a move; `None`: it passes.
fn gate(world: &World, gate: Gate, ask: &Ask) -> Option<String> {
    let said = world.engine.assess(VM, ask, world.now);
    said.into_iter().find(|(g, _)| *g == gate).and_then(|(_, said)| said)
}

fn with_load(world: &mut World, host: u32, load: f64) {
    world.tell(Event::Host { host: HostId(host), state: HostState::Up, load: Some(load), why: None });
}

#[test]
fn a_value_equal_to_the_low_threshold_is_not_low() {
    let mut world = World::new(cluster(3, base()), always(LOW.at));
    world.run_for(Span::from_mins(30));
    assert!(world.counts().iter().all(|counts| *counts == (0, 0)), "{:?}", world.counts());
}

#[test]
fn quality_binds_an_operator_only_where_it_is_not_known_to_run_once() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    let ask = Ask::Operator(Target::Next);
    let binds = |world: &World| world.engine.binds_operator(VM, &ask, Gate::Quality, world.now);
    world.tell(Event::Host { host: HostId(0), state: HostState::Down, load: None, why: None });
    assert!(gate(&world, Gate::Quality, &ask).is_some() && !binds(&world), "a silent host only warns");
    found(&mut world, &[]);
    assert!(binds(&world), "it runs nowhere");
    found(&mut world, &[0, 1]);
    assert!(binds(&world), "it runs twice");
}

/// A VM that was on each host of a ring of two within the flap window, and never well.
fn everywhere() -> World {
    let mut cluster = cluster(2, base());
    cluster.limits.flap_window = Some(Span::from_hours(1));
    let mut world = World::new(cluster, always(60.0));
    while world.requests().len() < 2 {
        world.run_for(Span::from_secs(1));
    }
    world
}

#[test]
fn flapping_stops_moves_round_the_ring_and_not_to_the_base() {
    let world = everywhere();
    assert!(gate(&world, Gate::Flapping, &Ask::Policy(Decision::Move, By::Policy)).is_some());
    assert_eq!(gate(&world, Gate::Flapping, &Ask::Policy(Decision::MoveToBase, By::Policy)), None);
}

#[test]
fn a_move_as_old_as_the_flap_window_still_counts_and_an_older_one_does_not() {
    let mut world = everywhere();
    let ask = Ask::Policy(Decision::Move, By::Policy);
    let first: Timestamp = world.requests()[0].0;
    world.now = first + Span::from_hours(1);
    assert!(gate(&world, Gate::Flapping, &ask).is_some());
    world.now += Span::from_millis(1);
    assert_eq!(gate(&world, Gate::Flapping, &ask), None);
}

#[test]
fn a_vm_whose_present_host_was_no_destination_yet_is_not_flapping() {
    let mut cluster = cluster(2, threshold());
    cluster.limits.flap_window = Some(Span::from_hours(1));
    let mut world = World::new(cluster, always(60.0));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.host(), "h2");
    found(&mut world, &[0]);
    assert_eq!(world.host(), "h1");
    assert_eq!(gate(&world, Gate::Flapping, &Ask::Policy(Decision::Move, By::Policy)), None);
}

#[test]
fn a_move_under_way_counts_among_the_moves_of_this_hour() {
    let mut cluster = cluster(4, threshold());
    cluster.vms.push(vm("nii2", threshold()));
    cluster.vms[1].host = HostId(2);
    cluster.limits.moves_per_hour = Some(1);
    let mut world = World::new(cluster, always(10.0));
    world.moves = Moves::Slow;
    world.command(Command::Move { vm: "nii2".to_owned(), target: Target::Next });
    let said = gate(&world, Gate::Budget, &Ask::Policy(Decision::Move, By::Policy));
    assert_eq!(said, Some("1 of 1 moves this hour, next in 60 min".to_owned()));
}

#[test]
fn outside_its_working_hours_the_schedule_warns_an_operator_and_does_not_stop_him() {
    let hours = WorkingHours::parse("13:00-14:00", chrono_tz::UTC).expect("hours");
    let rule = Rule::Schedule { high: HIGH, low: LOW, hours, resting: Resting::Record };
    let mut world = World::new(cluster(3, Settings::new(rule, Direction::HigherIsWorse)), always(10.0));
    world.run_for(Span::from_mins(5));
    assert_eq!(world.engine.state(VM), VmState::Resting);
    let said = gate(&world, Gate::Schedule, &Ask::Operator(Target::Host("h1".to_owned())));
    assert!(said.is_some_and(|why| why.starts_with("outside working hours, until ")));
    world.command(move_to(Target::Host("h1".to_owned())));
    assert_eq!(world.host(), "h1");
}

#[test]
fn the_best_host_is_not_moved_to_if_it_is_as_loaded_as_here() {
    let mut cluster = cluster(3, threshold());
    cluster.arrays[0].pick = Pick::Best;
    let mut world = World::new(cluster, always(60.0));
    world.run_for(Span::from_mins(3));
    let why = "no beneficial move: best is h2 at 50% load, here 50%".to_owned();
    assert_eq!(world.blocked(), [(Gate::Destination, why)]);
}

#[test]
fn vms_that_move_at_the_same_time_do_not_all_go_to_the_best_host() {
    let mut cluster = cluster(3, threshold());
    cluster.arrays[0].pick = Pick::Best;
    (cluster.limits.at_once, cluster.limits.at_once_per_host) = (8, 8);
    cluster.vms.extend((2..=4).map(|n| vm(&format!("nii{n}"), threshold())));
    for moves in [Moves::Slow, Moves::Confirm] {
        let mut world = World::new(cluster.clone(), always(60.0));
        world.moves = moves;
        for (host, load) in [(0, 0.8), (1, 0.1), (2, 0.2)] {
            with_load(&mut world, host, load);
        }
        world.run_for(Span::from_mins(3));
        let mut to: Vec<&str> = world.requests().iter().map(|(_, to)| *to).take(4).collect();
        to.sort_unstable();
        assert_eq!(to, ["h2", "h2", "h3", "h3"], "{moves:?}");
    }
}

fn two_arrays() -> Cluster {
    let mut cluster = cluster(2, threshold());
    let mut other = host("x1");
    other.array = ArrayId(1);
    cluster.hosts.push(other);
    let ring = vec![HostId(3)];
    cluster.arrays.push(Array { name: "b".into(), site: SiteId(0), ring, base: None, pick: Pick::Next });
    cluster
}

#[test]
fn an_operator_cannot_move_a_vm_to_another_array() {
    let mut world = World::new(two_arrays(), always(10.0));
    world.command(move_to(Target::Host("x1".to_owned())));
    let why = "nii1 stays: x1 is in array b: no live migration between arrays".to_owned();
    assert_eq!(world.answers, [(false, why)]);
    assert!(world.requests().is_empty());
}

#[test]
fn gaps_before_a_move_are_forgotten_when_it_settles() {
    let mut world = World::new(cluster(3, threshold()), values(&[10.0, f64::NAN]));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.engine.live(VM).policy().gaps, 2);
    world.command(move_to(Target::Next));
    assert_eq!((world.host(), world.engine.live(VM).policy().gaps), ("h2", 0));
}

#[test]
fn a_bound_that_stays_while_the_direction_turns_round_counts_from_nought() {
    let mut world = World::new(cluster(3, base()), always(0.0));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.engine.live(VM).policy().low_count, 3);
    let high = Bound { at: 0.5, ..HIGH };
    world.amend(Settings::new(Rule::Base { high, low: LOW }, Direction::LowerIsWorse));
    assert!(world.answers.last().is_some_and(|(ok, _)| *ok), "{:?}", world.answers);
    assert_eq!(world.engine.live(VM).policy().low_count, 0);
}

#[test]
fn a_migration_found_after_a_restart_has_its_vm_at_its_source() {
    let journalled = in_flight(4, "h3", "h2");
    let mut engine = Engine::new(cluster(3, threshold()), T0);
    engine.resume(T0, &journalled, &mut Vec::new());
    assert_eq!(engine.live(VM).host(), HostId(2));
    assert_eq!([0, 2].map(|host| engine.host(HostId(host)).vms()), [0, 1]);
}

#[test]
fn a_move_that_is_aborted_while_it_is_checked_does_not_start() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.lost = Box::new(|effect| matches!(effect, Effect::Preflight(_)));
    world.command(move_to(Target::Next));
    world.command(Command::Abort { vm: "nii1".to_owned() });
    world.tell(Event::Preflight { id: RequestId(1), refusal: None, forecast: None });
    assert_eq!(world.blocked(), [(Gate::Preflight, "aborted by an operator".to_owned())]);
    assert!(world.requests().is_empty() && world.engine.migrations().next().is_none());
    assert!(!world.phases().contains(&Phase::Running));
}

#[test]
fn a_vm_that_is_found_twice_elsewhere_is_on_one_of_those_hosts() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    found(&mut world, &[0]);
    found(&mut world, &[1, 2]);
    assert_eq!(world.host(), "h2");
    assert_eq!([0, 1].map(|host| world.engine.host(HostId(host)).vms()), [0, 1]);
}

#[test]
fn a_vm_whose_move_off_a_drained_host_an_operator_aborts_is_left_alone_until_the_drain_is_resumed() {
    let host = || "h1".to_owned();
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.lost = Box::new(|effect| matches!(effect, Effect::Preflight(_)));
    world.command(Command::Drain { host: host() });
    world.command(Command::Abort { vm: "nii1".to_owned() });
    world.lost = Box::new(|_| false);
    world.tell(Event::Preflight { id: RequestId(1), refusal: None, forecast: None });
    let drain = world.engine.drain(HostId(0)).expect("a drain");
    assert_eq!(drain.stuck[0].why, "aborted by an operator, again in 10 min");
    world.tell(Event::Reconfigured {
        cluster: Box::new(cluster(3, threshold())),
        reread: Vec::new(),
        said: Vec::new(),
    });
    assert_eq!(world.host(), "h1", "nor by a reload");
    world.command(Command::PauseDrain { host: host() });
    world.command(Command::ResumeDrain { host: host() });
    assert_eq!(world.host(), "h2");
}

#[test]
fn vms_that_are_planned_anew_in_a_drain_are_spread_over_the_hosts() {
    let mut crowded = cluster(3, threshold());
    crowded.limits.at_once = 1;
    crowded.vms.extend((2..=3).map(|n| vm(&format!("nii{n}"), threshold())));
    let mut world = World::new(crowded.clone(), always(10.0));
    for host in 0..3 {
        with_load(&mut world, host, 0.1);
    }
    world.moves = Moves::Slow;
    world.command(Command::Drain { host: "h1".to_owned() });
    world.tell(Event::Reconfigured { cluster: Box::new(crowded), reread: Vec::new(), said: Vec::new() });
    for id in 1..=3 {
        world.tell(Event::Ended { id: RequestId(id), detail: "done".to_owned() });
    }
    assert_eq!([0, 1, 2].map(|vm| world.engine.live(VmId(vm)).host()), [1, 1, 2].map(HostId));
}

#[test]
fn a_drain_that_is_stuck_again_is_an_alarm_again_after_half_a_minute() {
    let mut world = World::new(cluster(2, threshold()), always(10.0));
    let is = |state| Event::Host { host: HostId(1), state, load: None, why: None };
    let alarms = |world: &World| world.alarms().iter().filter(|text| text.contains("cannot be drained")).count();
    found(&mut world, &[0]);
    world.tell(is(HostState::Down));
    world.command(Command::Drain { host: "h1".to_owned() });
    world.run_for(Span::from_secs(20));
    world.moves = Moves::Slow;
    world.tell(is(HostState::Up));
    world.run_for(Span::from_secs(20));
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Absent);
    world.tell(Event::Ended { id: RequestId(1), detail: "failed".to_owned() });
    assert_eq!(alarms(&world), 0, "it was under way in between");
    world.run_for(Span::from_secs(30));
    assert_eq!(alarms(&world), 1);
    world.moves = Moves::Confirm;
    world.run_for(Span::from_mins(11));
    assert_eq!(world.host(), "h2");
    world.tell(is(HostState::Down));
    found(&mut world, &[0]);
    world.run_for(Span::from_mins(2));
    assert_eq!((world.host(), alarms(&world)), ("h1", 2));
}
