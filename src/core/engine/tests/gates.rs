//! SPEC 3: every gate with its reason and distance, destinations, flapping, modes.

use super::harness::*;
use crate::core::cluster::{Direction, HostId, HostState, Mode, Pick, Reading, Span, VmId};
use crate::core::engine::{Ask, By, Command, Event, Gate, Presence, Target, VmState};
use crate::core::policy::{Decision, Resting, Rule, Settings, WorkingHours};

fn busy(cluster: crate::core::cluster::Cluster) -> World {
    World::new(cluster, always(60.0))
}

fn move_to(target: Target) -> Command {
    Command::Move { vm: "nii1".to_owned(), target }
}

fn host_is(host: u32, state: HostState) -> Event {
    Event::Host { host: HostId(host), state, load: None, why: None }
}

#[test]
fn observe_only_says_what_it_would_do() {
    let mut cluster = cluster(3, threshold());
    cluster.mode = Mode::Observe;
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(6));
    assert_eq!(world.blocked()[0].0, Gate::Mode);
    assert!(world.requests().is_empty());
    assert_eq!(world.blocked().len(), 2, "nothing settles, counting goes on from 0");
}

#[test]
fn a_vm_may_only_be_narrower_than_its_cluster() {
    let mut cluster = cluster(3, threshold());
    cluster.vms[0].mode = Some(Mode::Observe);
    assert_eq!(busy(cluster.clone()).engine.mode(VmId(0)), Mode::Observe);
    (cluster.mode, cluster.vms[0].mode) = (Mode::Ask, Some(Mode::Auto));
    assert_eq!(busy(cluster).engine.mode(VmId(0)), Mode::Ask);
}

#[test]
fn in_ask_a_request_waits_and_lapses_after_ten_minutes() {
    let mut cluster = cluster(3, threshold());
    cluster.mode = Mode::Ask;
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(3));
    assert_eq!(world.states(), [VmState::Waiting]);
    assert!(world.requests().is_empty());
    world.run_for(Span::from_mins(9));
    assert_eq!(world.decisions().len(), 1, "waiting: nothing counts");
    world.run_for(Span::from_mins(1));
    assert_eq!(world.states(), [VmState::Waiting, VmState::Watching]);
    assert_eq!(world.blocked()[0].1, "nobody approved request #1 within 10 min");
}

#[test]
fn a_request_that_lapses_between_two_readings_is_over_at_once() {
    let mut cluster = cluster(3, threshold());
    cluster.mode = Mode::Ask;
    cluster.vms[0].interval = Span::from_mins(7);
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(21));
    let lapses = world.engine.live(VmId(0)).waiting().expect("a request").lapses;
    world.run_for(lapses.since(world.now));
    assert_eq!(world.states(), [VmState::Waiting, VmState::Watching]);
}

#[test]
fn an_approved_request_passes_the_gates_again() {
    let mut cluster = cluster(3, threshold());
    cluster.mode = Mode::Ask;
    let mut world = busy(cluster.clone());
    world.run_for(Span::from_mins(3));
    world.command(Command::Approve { vm: "nii1".to_owned() });
    assert_eq!(world.host(), "h2");
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(3));
    world.tell(host_is(1, HostState::Down));
    world.tell(host_is(2, HostState::Down));
    world.command(Command::Approve { vm: "nii1".to_owned() });
    assert_eq!(world.blocked()[0], (Gate::Destination, "no host would take it: h2 down, h3 down".to_owned()));
    assert!(!world.answers[0].0);
    world.run_for(Span::from_mins(3));
    world.command(Command::Deny { vm: "nii1".to_owned() });
    assert!(!world.answers[1].0, "nothing waits any more");
}

#[test]
fn hosts_that_are_down_draining_or_full_are_passed_over() {
    let mut cluster = cluster(5, threshold());
    cluster.hosts[2].draining = true;
    cluster.hosts[3].capacity = Some(0);
    let mut world = busy(cluster);
    world.tell(host_is(1, HostState::Down));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.host(), "h5");
}

#[test]
fn a_host_where_it_failed_is_passed_over_for_ten_minutes() {
    let mut world = busy(cluster(3, threshold()));
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Absent);
    world.run_for(Span::from_mins(3));
    assert_eq!(world.host(), "h1");
    world.moves = Moves::Confirm;
    world.run_for(Span::from_mins(4));
    assert_eq!(world.requests().last().unwrap().1, "h3");
}

#[test]
fn no_host_at_all_is_said_with_every_reason() {
    let mut cluster = cluster(3, threshold());
    cluster.hosts[1].capacity = Some(0);
    cluster.hosts[2].draining = true;
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(3));
    assert_eq!(world.blocked(), [(Gate::Destination, "no host would take it: h2 full, h3 draining".to_owned())]);
}

#[test]
fn the_best_host_has_the_most_headroom_and_must_be_better_than_here() {
    let mut cluster = cluster(3, threshold());
    cluster.arrays[0].pick = Pick::Best;
    let mut world = busy(cluster);
    let load = |host, load| Event::Host { host: HostId(host), state: HostState::Up, load: Some(load), why: None };
    world.tell(load(0, 0.9));
    world.tell(load(1, 0.6));
    world.tell(load(2, 0.3));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.host(), "h3");
    world.run_for(Span::from_mins(4));
    assert_eq!(world.blocked()[0].1, "no beneficial move: best is h2 at 60% load, here 30%");
}

#[test]
fn cooldown_says_how_long_it_lasts() {
    let mut cluster = cluster(5, threshold());
    cluster.limits.cooldown = Span::from_mins(15);
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(7));
    assert_eq!(world.requests().len(), 1);
    assert_eq!(world.blocked()[0], (Gate::Cooldown, "12 min left".to_owned()));
}

#[test]
fn moves_per_hour_are_a_budget() {
    let mut cluster = cluster(5, threshold());
    cluster.limits.moves_per_hour = Some(2);
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(30));
    assert_eq!(world.requests().len(), 2);
    let (gate, why) = world.blocked()[0].clone();
    assert_eq!(gate, Gate::Budget);
    assert!(why.starts_with("2 of 2 moves this hour, next in "), "{why}");
    world.run_for(Span::from_mins(40));
    assert!(world.requests().len() > 2);
}

#[test]
fn so_many_at_once_in_the_cluster_and_at_a_host() {
    let mut cluster = cluster(5, threshold());
    for n in 2..=4 {
        cluster.vms.push(vm(&format!("nii{n}"), threshold()));
    }
    let mut world = busy(cluster.clone());
    world.moves = Moves::Hang;
    world.run_for(Span::from_mins(4));
    assert_eq!(world.requests().len(), 1, "one at h1");
    assert!(
        world
            .blocked()
            .iter()
            .all(|(gate, why)| *gate == Gate::Budget && why.contains("1 of 1") && why.ends_with("h1"))
    );
    for (n, vm) in cluster.vms.iter_mut().enumerate() {
        vm.host = HostId(n as u32);
    }
    cluster.limits.at_once_per_host = 9;
    let mut world = busy(cluster);
    world.moves = Moves::Hang;
    world.run_for(Span::from_mins(4));
    assert_eq!(world.requests().len(), 2, "two in the cluster");
}

#[test]
fn a_vm_that_was_everywhere_and_never_well_is_flapping() {
    let mut cluster = cluster(4, threshold());
    cluster.limits.flap_window = Some(Span::from_hours(1));
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(59));
    let went: Vec<&str> = world.requests().iter().map(|(_, to)| *to).collect();
    assert_eq!(went, ["h2", "h3", "h4", "h1"], "every host once, then it stays");
    assert_eq!(world.states().last(), Some(&VmState::Flapping));
    assert_eq!(world.blocked()[0].0, Gate::Flapping);
    assert_eq!(world.alarms().len(), 1);
    world.run_for(Span::from_hours(5));
    assert_eq!(world.requests().len(), 4, "until released");
    world.command(Command::Release { vm: "nii1".to_owned() });
    world.run_for(Span::from_mins(3));
    assert_eq!(world.requests().len(), 5);
}

#[test]
fn one_sample_back_in_bounds_and_it_is_not_flapping() {
    let mut cluster = cluster(4, threshold());
    cluster.limits.flap_window = Some(Span::from_hours(1));
    let mut n = 0;
    let mut world = World::new(cluster, move |_, _| {
        n += 1;
        crate::core::cluster::Reading::Raw(if n % 13 == 0 { 10.0 } else { 60.0 })
    });
    world.run_for(Span::from_hours(3));
    assert!(!world.states().contains(&VmState::Flapping));
    assert!(world.requests().len() > 20);
}

#[test]
fn without_a_flap_window_it_moves_for_ever_as_in_the_thesis() {
    let mut world = busy(cluster(4, threshold()));
    world.run_for(Span::from_hours(10));
    assert_eq!(world.requests().len(), 160);
}

#[test]
fn an_operator_moves_up_and_down_without_wrapping() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    for (target, host, ok) in [
        (Target::Down, "h1", false),
        (Target::Up, "h2", true),
        (Target::Up, "h3", true),
        (Target::Up, "h3", false),
        (Target::Down, "h2", true),
        (Target::Base, "base", true),
        (Target::Up, "base", false),
        (Target::Next, "h3", true),
    ] {
        world.command(move_to(target.clone()));
        assert_eq!(
            (world.host(), world.answers.last().unwrap().0),
            (host, ok),
            "{target:?}: {:?}",
            world.answers.last()
        );
    }
}

#[test]
fn an_operator_is_stopped_by_destination_and_preflight_only() {
    let mut cluster = cluster(3, threshold());
    cluster.mode = Mode::Observe;
    cluster.limits.cooldown = Span::from_hours(3);
    let mut world = World::new(cluster, always(10.0));
    world.command(Command::Hold { vm: "nii1".to_owned() });
    world.command(move_to(Target::Next));
    world.command(move_to(Target::Next));
    assert_eq!(world.host(), "h3", "hold, cooldown and mode only warn");
    world.tell(host_is(0, HostState::Down));
    world.command(move_to(Target::Host("h1".to_owned())));
    assert_eq!(world.answers.last().unwrap(), &(false, "nii1 stays: h1 down".to_owned()));
    world.moves = Moves::Refuse;
    world.command(move_to(Target::Host("h2".to_owned())));
    assert_eq!(world.answers.last().unwrap().1, "nii1 stays: no room");
    world.command(move_to(Target::Host("h9".to_owned())));
    assert_eq!(world.answers.last().unwrap().1, "nii1 stays: there is no host h9");
}

#[test]
fn a_stale_vm_and_one_on_a_silent_host_do_not_move() {
    let mut world = busy(cluster(3, threshold()));
    world.tell(host_is(0, HostState::Down));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.blocked(), [(Gate::Quality, "its host h1 is down".to_owned())]);
    assert_eq!(world.alarms(), ["host h1 went down, with 1 VM on it"]);
    assert_eq!(world.decisions(), [Decision::Move]);
    // What was decided before it fell silent waits for an operator, and is stale when it is approved.
    let mut asking = cluster(3, threshold());
    asking.mode = Mode::Ask;
    let mut world = World::new(asking, values(&[60.0, 60.0, 60.0, f64::NAN]));
    world.run_for(Span::from_mins(7));
    assert_eq!(world.states(), [VmState::Waiting, VmState::Stale]);
    world.command(Command::Approve { vm: "nii1".to_owned() });
    assert_eq!(world.blocked(), [(Gate::Quality, "stale: no reading to judge by".to_owned())]);
    assert!(world.requests().is_empty());
}

#[test]
fn the_gates_say_beforehand_what_they_would_say() {
    let mut cluster = cluster(3, threshold());
    cluster.limits.cooldown = Span::from_mins(15);
    let mut world = World::new(cluster, always(10.0));
    let said = |world: &World, target: Target| {
        let all = world.engine.assess(VmId(0), &Ask::Operator(target), world.now);
        move |gate: Gate| all.iter().find(|(g, _)| *g == gate).map(|(_, said)| said.clone()).unwrap()
    };
    let next = said(&world, Target::Next);
    assert_eq!((next(Gate::Destination), next(Gate::Cooldown)), (None, None));
    assert_eq!(said(&world, Target::Down)(Gate::Destination), Some("h1 is the first of the ring".to_owned()));
    world.command(move_to(Target::Next));
    world.run_for(Span::from_mins(4));
    let again = said(&world, Target::Next);
    assert_eq!(again(Gate::Cooldown), Some("11 min left".to_owned()));
    assert_eq!(again(Gate::Hold), Some("held 26 min more, moved by hand".to_owned()));
    world.moves = Moves::Hang;
    world.command(move_to(Target::Next));
    assert_eq!(said(&world, Target::Next)(Gate::Preflight), Some("it is on its way to h3".to_owned()));
}

/// What a gate would say to a move, and whether it stops an operator.
fn foretold(world: &World, ask: &Ask, gate: Gate) -> (Option<String>, bool) {
    let all = world.engine.assess(VmId(0), ask, world.now);
    let said = all.into_iter().find(|(g, _)| *g == gate).and_then(|(_, said)| said);
    (said, world.engine.binds_operator(VmId(0), ask, gate, world.now))
}

#[test]
fn a_request_of_a_vm_that_went_stale_is_not_carried_out() {
    let mut cluster = cluster(3, threshold());
    cluster.mode = Mode::Ask;
    let mut world = World::new(cluster, values(&[60.0, 60.0, 60.0, f64::NAN]));
    world.run_for(Span::from_mins(6));
    assert_eq!(world.states(), [VmState::Waiting, VmState::Stale]);
    world.command(Command::Approve { vm: "nii1".to_owned() });
    assert_eq!(world.blocked(), [(Gate::Quality, "stale: no reading to judge by".to_owned())]);
    assert_eq!(world.host(), "h1");
}

#[test]
fn an_operator_does_not_move_a_vm_that_runs_at_two_hosts() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    let next = Ask::Operator(Target::Next);
    assert_eq!(foretold(&world, &next, Gate::Quality), (None, false));
    world.tell(Event::Found { vm: VmId(0), hosts: vec![HostId(0), HostId(1)] });
    world.command(Command::Release { vm: "nii1".to_owned() });
    assert_eq!(foretold(&world, &next, Gate::Quality), (Some("it runs at two hosts".to_owned()), true));
    assert_eq!(foretold(&world, &next, Gate::Hold), (None, false), "it was released");
    world.command(move_to(Target::Next));
    assert_eq!(world.answers.last().unwrap(), &(false, "nii1 stays, quality: it runs at two hosts".to_owned()));
}

#[test]
fn when_the_next_move_fits_into_the_hour_is_told_by_the_oldest_move_in_it() {
    let mut cluster = cluster(5, threshold());
    cluster.limits.moves_per_hour = Some(1);
    let mut world = World::new(cluster, always(10.0));
    world.command(move_to(Target::Next));
    world.run_for(Span::from_mins(30));
    world.command(move_to(Target::Next));
    world.run_for(Span::from_mins(30));
    let said = foretold(&world, &Ask::Policy(Decision::Move, By::Policy), Gate::Budget).0;
    assert_eq!(said.as_deref(), Some("1 of 1 moves this hour, next in 30 min"), "the first is an hour ago");
}

fn in_hours(text: &str) -> Settings {
    let hours = WorkingHours::parse(text, chrono_tz::UTC).unwrap();
    let rule = Rule::Schedule { high: HIGH, low: LOW, hours, resting: Resting::Record };
    Settings::new(rule, Direction::HigherIsWorse)
}

#[test]
fn outside_the_hours_an_operators_move_is_warned_of_and_the_schedules_own_is_not() {
    let mut world = World::new(cluster(3, in_hours("08:00-09:00")), always(25.0));
    world.run_for(Span::from_mins(2));
    let (operator, schedule) = (Ask::Operator(Target::Next), Ask::Policy(Decision::MoveToBase, By::Schedule));
    let expected = (Some("outside working hours, until Thu 08:00 UTC".to_owned()), false);
    assert_eq!(foretold(&world, &operator, Gate::Schedule), expected);
    assert_eq!(foretold(&world, &schedule, Gate::Schedule).0, None);
}

#[test]
fn a_vm_that_was_everywhere_still_goes_to_the_base_when_its_hours_end() {
    // Its hours end at 12:50, before the decision that would find it flapping.
    let mut cluster = cluster(2, in_hours("12:00-12:50"));
    cluster.limits.flap_window = Some(Span::from_hours(1));
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(10));
    let went: Vec<&str> = world.requests().iter().map(|(_, to)| *to).collect();
    assert_eq!((went, world.host()), (vec!["h2", "h1", "base"], "base"));
}

#[test]
fn destination_and_preflight_stop_an_operator_too() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    let down = Ask::Operator(Target::Down);
    assert_eq!(foretold(&world, &down, Gate::Destination), (Some("h1 is the first of the ring".to_owned()), true));
    world.moves = Moves::Slow;
    world.command(move_to(Target::Next));
    let next = Ask::Operator(Target::Next);
    assert_eq!(foretold(&world, &next, Gate::Preflight), (Some("it is on its way to h2".to_owned()), true));
}

#[test]
fn confirmed_moves_are_counted_for_an_hour_in_the_cluster_and_for_a_day_of_a_vm() {
    let hour = Span::from_hours(1);
    let mut world =
        World::new(cluster(4, threshold()), move |_, at| Reading::Raw(if at.since(T0) < hour { 60.0 } else { 10.0 }));
    world.run_for(hour);
    let counted = |world: &World, at| (world.engine.moves_last_hour(at), world.engine.live(VmId(0)).moves_24h(at));
    assert_eq!(world.requests().len(), 16);
    assert_eq!(counted(&world, world.now), (16, 16));
    let first = world.requests()[0].0;
    assert_eq!(counted(&world, first + hour).0, 15, "the first is an hour ago");
    world.run_for(Span::from_hours(24));
    let day = Span::from_hours(24);
    assert_eq!(counted(&world, first + day - Span::from_millis(1)), (0, 16));
    assert_eq!(counted(&world, first + day), (0, 15));
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert_eq!(counted(&world, world.now), (1, 1));
}
