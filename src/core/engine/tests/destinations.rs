//! SPEC 3: which host a move goes to, and which hosts are passed over.

use super::harness::*;
use crate::core::cluster::{Array, ArrayId, HostId, HostState, Pick, SiteId, Span, VmId};
use crate::core::engine::{Ask, Command, Event, Gate, Target, VmState};

fn busy(cluster: crate::core::cluster::Cluster) -> World {
    World::new(cluster, always(60.0))
}

fn load(host: u32, load: f64) -> Event {
    Event::Host { host: HostId(host), state: HostState::Up, load: Some(load), why: None }
}

fn went(world: &World) -> Vec<&str> {
    world.requests().iter().map(|(_, to)| *to).collect()
}

#[test]
fn an_operator_does_not_move_a_vm_into_an_array_that_shares_nothing_with_its_own() {
    let mut cluster = cluster(2, threshold());
    let mut other = host("x1");
    other.array = ArrayId(1);
    cluster.hosts.push(other);
    let ring = vec![HostId(3)];
    cluster.arrays.push(Array { name: "b".into(), site: SiteId(0), ring, base: None, pick: Pick::Next });
    let mut world = World::new(cluster, always(10.0));
    let target = Target::Host("x1".to_owned());
    assert_eq!(world.engine.destination_of(VmId(0), &target, world.now), None);
    world.command(Command::Move { vm: "nii1".to_owned(), target });
    let expected = (false, "nii1 stays: x1 is in array b: no live migration between arrays".to_owned());
    assert_eq!(world.answers.last(), Some(&expected));
    assert_eq!(world.host(), "h1");
}

#[test]
fn the_best_host_that_is_as_loaded_as_here_is_not_better() {
    let mut cluster = cluster(2, threshold());
    cluster.arrays[0].pick = Pick::Best;
    let mut world = busy(cluster);
    for host in [0, 1] {
        world.tell(load(host, 0.5));
    }
    world.run_for(Span::from_mins(3));
    let expected = (Gate::Destination, "no beneficial move: best is h2 at 50% load, here 50%".to_owned());
    assert_eq!(world.blocked(), [expected]);
    world.tell(load(1, 0.49));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.host(), "h2");
}

#[test]
fn a_move_as_long_ago_as_the_flap_window_is_still_within_it() {
    // Moves come 225 s apart, so at the third decision the first move is 450 s ago.
    let third = |window: i64| {
        let mut cluster = cluster(2, threshold());
        cluster.limits.flap_window = Some(Span::from_secs(window));
        let mut world = busy(cluster);
        world.run_for(Span::from_mins(11));
        (went(&world).len(), world.engine.state(VmId(0)))
    };
    assert_eq!(third(450), (2, VmState::Flapping));
    assert_eq!(third(449).0, 3);
}

#[test]
fn a_vm_is_not_flapping_where_only_the_others_were_tried() {
    let mut cluster = cluster(2, threshold());
    cluster.limits.flap_window = Some(Span::from_hours(1));
    let mut world = busy(cluster);
    world.tell(Event::Found { vm: VmId(0), hosts: vec![HostId(0)] });
    world.run_for(Span::from_mins(3));
    assert_eq!(went(&world), ["h2"]);
    // Somebody else brings it back to h1: that is no confirmed destination.
    world.tell(Event::Found { vm: VmId(0), hosts: vec![HostId(0)] });
    world.command(Command::Release { vm: "nii1".to_owned() });
    world.run_for(Span::from_mins(5));
    assert_eq!(went(&world), ["h2", "h2"]);
    let ask = Ask::Operator(Target::Next);
    let warned = world.engine.assess(VmId(0), &ask, world.now).into_iter().find(|(gate, _)| *gate == Gate::Flapping);
    assert_eq!(warned, Some((Gate::Flapping, None)));
}

#[test]
fn a_host_that_is_not_measured_is_not_the_best() {
    let mut cluster = cluster(3, threshold());
    cluster.arrays[0].pick = Pick::Best;
    let mut world = busy(cluster);
    let unmeasured = |host| Event::Host { host: HostId(host), state: HostState::Up, load: None, why: None };
    for host in [1, 2] {
        world.tell(unmeasured(host));
    }
    world.run_for(Span::from_mins(3));
    let why = "no host would take it: h2 not measured, h3 not measured";
    assert_eq!(world.blocked(), [(Gate::Destination, why.to_owned())]);
    world.tell(load(2, 0.2));
    world.tell(unmeasured(0));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.host(), "h3", "here is not measured either");
}

#[test]
fn a_vm_that_has_nowhere_to_go_is_not_flapping() {
    let mut cluster = cluster(2, threshold());
    cluster.limits.flap_window = Some(Span::from_hours(1));
    let mut world = busy(cluster);
    world.run_for(Span::from_mins(3));
    assert_eq!(went(&world), ["h2"]);
    world.tell(Event::Host { host: HostId(0), state: HostState::Down, load: None, why: None });
    world.run_for(Span::from_mins(5));
    assert_eq!(world.blocked()[0], (Gate::Destination, "no host would take it: h1 down".to_owned()));
}
