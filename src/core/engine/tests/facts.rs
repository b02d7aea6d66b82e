//! What drivers find: VMs elsewhere, nowhere, twice; hosts that are down.

use super::harness::*;
use crate::core::cluster::{HostId, HostState, Mode, RequestId, Span, VmId};
use crate::core::engine::{
    Ask, Command, Effect, Engine, Event, Gate, Happened, HoldCause, Kept, Presence, Target, VmState,
};

const VM: VmId = VmId(0);

fn found(world: &mut World, hosts: &[u32]) {
    world.tell(Event::Found { vm: VM, hosts: hosts.iter().copied().map(HostId).collect() });
}

/// A driver has found nii1 where it is known to be.
fn located() -> World {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    found(&mut world, &[0]);
    world
}

fn by_driver(world: &World) -> Vec<String> {
    world.pick(|what| match what {
        Happened::Operator { by, text } if by == "driver" => Some(text.clone()),
        _ => None,
    })
}

fn restart(world: &mut World) {
    let engine = &world.engine;
    let kept: Vec<(String, Kept)> =
        engine.vm_ids().map(|vm| (engine.cluster().vm(vm).name.to_string(), engine.keep(vm))).collect();
    let kept = serde_json::from_str::<Vec<(String, Kept)>>(&serde_json::to_string(&kept).unwrap()).unwrap();
    let whole = engine.keep_cluster(world.now);
    world.engine = Engine::restored(engine.cluster().clone(), world.now, &kept, Some(whole));
    for host in 0..4 {
        world.tell(Event::Host { host: HostId(host), state: HostState::Up, load: None, why: None });
    }
}

#[test]
fn where_it_is_found_first_it_is_whatever_the_config_says() {
    let mut world = located();
    assert!(by_driver(&world).is_empty(), "it is where the config has it");
    let mut elsewhere = World::new(cluster(3, threshold()), always(60.0));
    found(&mut elsewhere, &[1]);
    assert_eq!((elsewhere.host(), by_driver(&elsewhere)), ("h2", vec!["runs on h2".to_owned()]));
    for world in [&mut world, &mut elsewhere] {
        assert!(world.alarms().is_empty() && world.engine.live(VM).hold().is_none());
        assert_eq!(world.engine.host(world.engine.live(VM).host()).vms(), 1);
    }
    elsewhere.run_for(Span::from_mins(3));
    assert_eq!(elsewhere.host(), "h3", "the ring goes on from there");
}

#[test]
fn the_ring_is_not_walked_past_a_host_that_may_yet_answer() {
    let mut world = located();
    world.tell(Event::Host { host: HostId(1), state: HostState::Unknown, load: None, why: None });
    let to = |world: &World| world.engine.destination_of(VM, &Target::Next, world.now);
    let shut = world.engine.assess(VM, &Ask::Operator(Target::Next), world.now);
    let why = shut.into_iter().find(|(gate, _)| *gate == Gate::Destination).and_then(|(_, why)| why);
    assert_eq!((to(&world), why.as_deref()), (None, Some("h2 has not answered yet")));
    world.run_for(Span::from_secs(10));
    assert_eq!(to(&world), Some(HostId(2)), "it is silent");
    let mut world = located();
    world.tell(Event::Host { host: HostId(1), state: HostState::Down, load: None, why: None });
    assert_eq!(to(&world), Some(HostId(2)), "it has answered that it is down");
}

#[test]
fn a_foreign_move_is_noticed_and_not_fought_over() {
    let mut world = located();
    world.run_for(Span::from_mins(2));
    found(&mut world, &[2]);
    assert_eq!(world.host(), "h3");
    assert_eq!(world.alarms(), ["nii1 was moved from h1 to h3 by somebody else; held until released"]);
    world.run_for(Span::from_hours(2));
    assert!(world.requests().is_empty());
}

#[test]
fn a_foreign_move_while_it_was_down_is_noticed_too() {
    let mut world = located();
    restart(&mut world);
    found(&mut world, &[1]);
    assert_eq!(world.engine.live(VM).hold().map(|hold| hold.cause), Some(HoldCause::Foreign));
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    restart(&mut world);
    found(&mut world, &[1]);
    assert_eq!((world.host(), world.alarms().len()), ("h2", 0), "no driver had ever found it");
}

#[test]
fn where_it_is_found_after_its_host_left_the_config_is_no_foreign_move() {
    let mut world = located();
    let mut without = cluster(3, threshold());
    without.hosts[0].name = "h9".into();
    world.tell(Event::Reconfigured { cluster: Box::new(without), reread: Vec::new(), said: Vec::new() });
    let said = world.pick(|what| match what {
        Happened::Operator { text, .. } => Some(text.clone()),
        _ => None,
    });
    assert_eq!(said[0], "its host h1 is not in the new config: taken to be on h9");
    found(&mut world, &[1]);
    assert_eq!((world.host(), world.alarms().len()), ("h2", 0));
}

#[test]
fn while_it_moves_its_place_is_the_migrations_to_tell() {
    let mut world = located();
    world.moves = Moves::Slow;
    world.run_for(Span::from_mins(3));
    for hosts in [&[][..], &[0, 1], &[2]] {
        found(&mut world, hosts);
    }
    assert_eq!((world.host(), world.engine.state(VM), world.alarms().len()), ("h1", VmState::Migrating, 0));
}

#[test]
fn what_is_found_while_a_move_is_written_down_counts_if_that_comes_to_nothing() {
    let mut world = located();
    world.lost = Box::new(|effect| matches!(effect, Effect::Journal(_)));
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    found(&mut world, &[2]);
    assert_eq!(world.host(), "h1");
    world.tell(Event::NotJournalled { id: RequestId(1), why: "the disk is full".to_owned() });
    assert_eq!((world.host(), world.engine.state(VM)), ("h3", VmState::Held));
}

#[test]
fn what_is_found_while_a_move_is_only_checked_counts_if_that_comes_to_nothing() {
    let mut world = located();
    world.run_for(Span::from_mins(2));
    let mut out = Vec::new();
    let command = Command::Move { vm: "nii1".to_owned(), target: Target::Next };
    world.engine.step(world.now, Event::Command { by: "root".to_owned(), command }, &mut out);
    found(&mut world, &[2]);
    assert_eq!(world.host(), "h1");
    let refusal = Some("it does not run at the source".to_owned());
    world.tell(Event::Preflight { id: RequestId(1), refusal, forecast: None });
    assert_eq!((world.host(), world.engine.state(VM)), ("h3", VmState::Held));
}

#[test]
fn what_is_found_while_a_move_is_only_checked_counts_by_name_after_a_reload() {
    let mut world = located();
    world.lost = Box::new(|effect| matches!(effect, Effect::Preflight(_)));
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    found(&mut world, &[2]);
    let mut turned = cluster(3, threshold());
    turned.hosts.swap(1, 2);
    world.tell(Event::Reconfigured { cluster: Box::new(turned), reread: Vec::new(), said: Vec::new() });
    let refusal = Some("it does not run at the source".to_owned());
    world.tell(Event::Preflight { id: RequestId(1), refusal, forecast: None });
    assert_eq!((world.host(), world.engine.state(VM)), ("h3", VmState::Held));
}

#[test]
fn one_that_runs_nowhere_is_said_once_and_nothing_is_moved() {
    let mut world = located();
    world.run_for(Span::from_mins(2));
    for _ in 0..3 {
        found(&mut world, &[]);
    }
    assert_eq!(world.alarms(), ["nii1 runs on no host of array a: start it; nothing is moved"]);
    world.run_for(Span::from_mins(2));
    assert_eq!(world.blocked(), [(Gate::Quality, "it runs nowhere".to_owned())]);
    assert!(world.why().starts_with("runs on no host of array a: nothing is moved; "), "{}", world.why());
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert_eq!(world.answers[0].1, "nii1 stays, quality: it runs nowhere");
    restart(&mut world);
    found(&mut world, &[]);
    assert_eq!(world.alarms().len(), 1, "nor after a restart");
    found(&mut world, &[0]);
    assert_eq!((by_driver(&world), world.alarms().len()), (vec!["runs on h1 again".to_owned()], 1));
    world.run_for(Span::from_mins(4));
    assert_eq!(world.host(), "h2");
}

#[test]
fn one_that_ran_nowhere_and_is_started_elsewhere_is_foreign() {
    let mut world = located();
    found(&mut world, &[]);
    found(&mut world, &[1]);
    assert_eq!((world.host(), world.engine.state(VM)), ("h2", VmState::Held));
    assert_eq!(world.alarms().len(), 2);
}

#[test]
fn one_that_runs_twice_is_held_and_not_touched() {
    let mut world = located();
    found(&mut world, &[0, 2]);
    assert_eq!(world.states(), [VmState::Held]);
    found(&mut world, &[0, 2]);
    assert_eq!(world.alarms(), ["nii1 runs twice, on h1 and on h3: stop one, then release it"]);
    assert_eq!((world.host(), world.engine.state(VM)), ("h1", VmState::Held));
    assert_eq!(world.why(), "held until released, double: it runs at two hosts");
    world.command(Command::Release { vm: "nii1".to_owned() });
    assert!(world.why().starts_with("runs at two hosts: nothing is moved; "), "{}", world.why());
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert_eq!(world.answers[1].1, "nii1 stays, quality: it runs at two hosts");
    found(&mut world, &[0]);
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert_eq!(world.host(), "h2");
}

#[test]
fn one_that_was_lost_and_is_found_stays_held_until_released() {
    for (source, destination, was) in
        [(Presence::Absent, Presence::Absent, "lost"), (Presence::Runs, Presence::Runs, "double")]
    {
        let mut world = located();
        world.moves = Moves::HostsSay(source, destination);
        world.run_for(Span::from_mins(3));
        assert_eq!(world.alarms().len(), 1);
        found(&mut world, &[]);
        let alarms = world.alarms().len();
        assert_eq!(alarms, if was == "lost" { 1 } else { 2 }, "that it runs nowhere was said");
        found(&mut world, &[2]);
        found(&mut world, &[2]);
        assert_eq!(by_driver(&world), ["runs on h3 again: held until released"]);
        assert_eq!((world.host(), world.engine.state(VM), world.alarms().len()), ("h3", VmState::Held, alarms));
        assert_eq!(world.why(), format!("held until released, was {was}: it runs on h3 again"));
    }
}

#[test]
fn a_request_that_waits_is_dropped_when_it_runs_nowhere_or_twice() {
    let mut asking = cluster(3, threshold());
    asking.mode = Mode::Ask;
    for (hosts, gate, why) in [(&[][..], Gate::Quality, "nowhere"), (&[0, 2], Gate::Hold, "at two hosts")] {
        let mut world = World::new(asking.clone(), always(60.0));
        world.run_for(Span::from_mins(3));
        found(&mut world, hosts);
        assert_eq!(world.blocked(), [(gate, format!("request #1 dropped: it runs {why}"))]);
    }
}

#[test]
fn a_request_that_waits_is_dropped_when_somebody_else_moves_the_vm() {
    let mut asking = cluster(3, threshold());
    asking.mode = Mode::Ask;
    let mut world = World::new(asking, always(60.0));
    found(&mut world, &[0]);
    world.run_for(Span::from_mins(3));
    found(&mut world, &[2]);
    assert_eq!(world.blocked(), [(Gate::Hold, "request #1 dropped: somebody else moved it".to_owned())]);
    assert_eq!(world.engine.state(VM), VmState::Held);
}

fn host(world: &mut World, state: HostState, why: Option<&str>) {
    world.tell(Event::Host { host: HostId(0), state, load: None, why: why.map(str::to_owned) });
}

#[test]
fn a_host_that_goes_down_is_said_with_its_reason_and_its_vms_say_so() {
    let mut world = located();
    host(&mut world, HostState::Down, Some("connection refused; is libvirtd running?"));
    assert_eq!(world.alarms(), ["host h1 went down, with 1 VM on it: connection refused; is libvirtd running?"]);
    assert!(world.why().starts_with("its host h1 is down; "), "{}", world.why());
    host(&mut world, HostState::Up, None);
    assert!(!world.why().contains("down"));
    assert_eq!(by_driver(&world), ["host h1 is up"]);
}

#[test]
fn a_host_that_is_down_from_the_start_is_an_alarm_too() {
    let cluster = cluster(2, threshold());
    let mut engine = Engine::new(cluster, T0);
    let mut out = Vec::new();
    let down = Event::Host { host: HostId(0), state: HostState::Down, load: None, why: Some("no route".to_owned()) };
    engine.step(T0, down, &mut out);
    let alarms: Vec<&str> = engine.alarms().map(|(_, _, text)| text).collect();
    assert_eq!(alarms, ["host h1 is down, with 1 VM on it: no route"]);
}

#[test]
fn one_that_runs_twice_or_nowhere_again_is_an_alarm_again() {
    for (outcome, hosts) in [(Presence::Runs, &[0, 1][..]), (Presence::Absent, &[])] {
        let mut world = located();
        world.moves = Moves::HostsSay(outcome, outcome);
        world.run_for(Span::from_mins(3));
        found(&mut world, hosts);
        assert_eq!(world.alarms().len(), 1, "the outcome said it");
        found(&mut world, &[0]);
        found(&mut world, hosts);
        assert_eq!(world.alarms().len(), 2, "{:?}", world.alarms());
    }
}

#[test]
fn a_second_copy_that_turns_up_after_a_failed_move_is_an_alarm() {
    let mut world = located();
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Absent);
    world.run_for(Span::from_mins(3));
    found(&mut world, &[0]);
    assert!(world.alarms().is_empty());
    found(&mut world, &[0, 1]);
    assert_eq!(world.alarms(), ["nii1 runs twice, on h1 and on h2: stop one, then release it"]);
    world.moves = Moves::Confirm;
    world.run_for(Span::from_hours(1));
    assert_eq!((world.requests().len(), world.engine.state(VM)), (1, VmState::Held));
}

#[test]
fn one_that_was_lost_stays_lost_wherever_it_turns_up_until_released() {
    let mut world = located();
    world.moves = Moves::HostsSay(Presence::Absent, Presence::Absent);
    world.run_for(Span::from_mins(3));
    found(&mut world, &[0]);
    found(&mut world, &[2]);
    assert_eq!(by_driver(&world), ["runs on h1 again: held until released", "runs on h3 again: held until released"]);
    assert_eq!(world.engine.live(VM).hold().map(|hold| hold.cause), Some(HoldCause::Lost));
}

#[test]
fn a_drain_goes_on_at_once_when_a_host_or_a_vm_is_back() {
    let mut world = World::new(cluster(2, threshold()), always(10.0));
    let is = |state| Event::Host { host: HostId(1), state, load: None, why: None };
    world.tell(is(HostState::Down));
    world.command(Command::Drain { host: "h1".to_owned() });
    assert_eq!(world.host(), "h1");
    world.tell(is(HostState::Up));
    assert_eq!(world.host(), "h2");
    let mut world = World::new(cluster(2, threshold()), always(10.0));
    found(&mut world, &[]);
    world.command(Command::Drain { host: "h1".to_owned() });
    assert_eq!(world.host(), "h1");
    found(&mut world, &[0]);
    assert_eq!(world.host(), "h2");
}
