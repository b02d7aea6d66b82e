//! A host that is drained: its VMs leave as a stream under the limits, and none arrive until it is released.

use proptest::prelude::*;

use super::harness::*;
use crate::core::cluster::{Cluster, HostId, HostState, Mode, Pick, Span, VmId};
use crate::core::engine::{Command, Drain, DrainPlan, Engine, Event, Happened, Kept, Phase, Presence, Target, VmState};
use crate::core::format::percent;

const H1: HostId = HostId(0);
const H2: HostId = HostId(1);
const H3: HostId = HostId(2);

/// `vms` VMs on `h1`, two at once, a ring of `ring`.
fn crowded(ring: u32, vms: u32) -> Cluster {
    let mut cluster = cluster(ring, threshold());
    cluster.vms.extend((2..=vms).map(|n| vm(&format!("nii{n}"), threshold())));
    cluster.limits.at_once_per_host = 2;
    cluster
}

fn calm(cluster: Cluster) -> World {
    World::new(cluster, always(10.0))
}

fn drain(world: &mut World, host: &str) {
    world.command(Command::Drain { host: host.to_owned() });
}

fn under_way(world: &World) -> Vec<String> {
    let cluster = world.engine.cluster();
    let name = |vm: VmId| cluster.vm(vm).name.to_string();
    world.engine.migrations().map(|f| format!("{} to {}", name(f.route.vm), cluster.host(f.route.to).name)).collect()
}

/// The oldest migration arrives.
fn arrive(world: &mut World) {
    let id = world.engine.migrations().next().expect("one under way").route.id;
    world.tell(Event::Ended { id, detail: "done".to_owned() });
}

fn said(world: &World, by: &str) -> Vec<String> {
    world.pick(|what| match what {
        Happened::Operator { by: who, text } if who == by => Some(text.clone()),
        _ => None,
    })
}

fn hosts_of(world: &World) -> Vec<&str> {
    let cluster = world.engine.cluster();
    world.engine.vm_ids().map(|vm| cluster.host(world.engine.live(vm).host()).name.as_str()).collect()
}

/// Where each VM would go: `nii1 h2`, `nii2 -`.
fn destinations(plan: &DrainPlan) -> Vec<String> {
    plan.moves.iter().map(|planned| format!("{} {}", planned.vm, planned.to.as_deref().unwrap_or("-"))).collect()
}

fn stuck(world: &World, host: HostId) -> Vec<String> {
    let drain = world.engine.drain(host).expect("a drain");
    drain.stuck.iter().map(|stuck| format!("{}: {}", stuck.vm, stuck.why)).collect()
}

#[test]
fn its_vms_leave_as_a_stream_under_the_limits() {
    let mut world = calm(crowded(4, 5));
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    assert_eq!(world.answers, [(true, "h1: draining, 5 VMs to leave it".to_owned())]);
    assert_eq!(under_way(&world), ["nii1 to h2", "nii2 to h3"], "two at once");
    let shown = world.engine.drain(H1).unwrap().under_way;
    assert_eq!(shown.iter().map(|one| (&*one.vm, &*one.to)).collect::<Vec<_>>(), [("nii1", "h2"), ("nii2", "h3")]);
    arrive(&mut world);
    assert_eq!(under_way(&world), ["nii2 to h3", "nii3 to h4"], "the next as soon as there is room");
    for _ in 0..4 {
        arrive(&mut world);
    }
    let drain = world.engine.drain(H1).unwrap();
    assert_eq!((drain.of, drain.moved, drain.done, drain.stuck.len()), (5, 5, true, 0));
    assert_eq!(said(&world, "root"), ["h1: draining, 5 VMs to leave it", "h1 drained: 5 VMs moved, 0 left"]);
    assert_eq!(world.engine.host_state(H1), HostState::Draining, "it stays out of the ring");
    assert!(world.engine.live(VmId(0)).hold().is_none(), "no hold as after a move by hand");
    assert_eq!(world.engine.state(VmId(0)), VmState::Settling);
}

#[test]
fn the_plan_of_a_drain_under_way_is_where_it_goes_on_to() {
    let mut world = calm(crowded(3, 4));
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    arrive(&mut world);
    let plan = world.engine.drain_plan(H1, world.now);
    let planned = destinations(&plan);
    arrive(&mut world);
    arrive(&mut world);
    arrive(&mut world);
    let went: Vec<_> = (1..=4).zip(hosts_of(&world)).map(|(n, host)| format!("nii{n} {host}")).collect();
    assert_eq!(planned, went[1..], "of those that had not left");
}

#[test]
fn a_host_without_vms_is_drained_at_once() {
    let mut world = calm(crowded(3, 1));
    drain(&mut world, "h2");
    assert!(world.engine.drain(H2).unwrap().done);
    assert_eq!(said(&world, "root"), ["h2: draining, 0 VMs to leave it", "h2 drained: 0 VMs moved, 0 left"]);
}

#[test]
fn a_host_is_not_drained_while_a_vm_is_on_its_way_to_it() {
    let mut world = calm(crowded(3, 1));
    world.moves = Moves::Slow;
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Host("h2".to_owned()) });
    drain(&mut world, "h2");
    assert!(!world.engine.drain(H2).unwrap().done);
    arrive(&mut world);
    assert_eq!(under_way(&world), ["nii1 to h3"], "it came, and leaves again");
    arrive(&mut world);
    let drain = world.engine.drain(H2).unwrap();
    assert_eq!((drain.done, drain.of, drain.moved), (true, 1, 1));
}

#[test]
fn a_vm_that_cannot_leave_is_no_alarm_while_others_still_do() {
    let mut world = calm(crowded(3, 2));
    world.tell(Event::Found { vm: VmId(1), hosts: Vec::new() });
    let alarms = world.alarms().len();
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    world.run_for(Span::from_mins(1));
    assert_eq!(
        (under_way(&world), stuck(&world, H1)),
        (vec!["nii1 to h2".to_owned()], vec!["nii2: it runs nowhere".to_owned()])
    );
    assert_eq!(world.alarms().len(), alarms);
    arrive(&mut world);
    world.run_for(Span::from_mins(1));
    assert_eq!(world.alarms()[alarms..], ["h1 cannot be drained: nii2: it runs nowhere"]);
}

#[test]
fn a_host_that_would_have_more_vms_than_it_takes_is_warned_of() {
    let mut world = calm(crowded(2, 1));
    world.tell(Event::Host { host: H1, state: HostState::Up, load: None, why: None });
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    let mut smaller = world.engine.cluster().clone();
    smaller.hosts[1].capacity = Some(0);
    world.tell(Event::Reconfigured { cluster: Box::new(smaller), reread: Vec::new(), said: Vec::new() });
    let plan = world.engine.drain_plan(H1, world.now);
    assert_eq!(plan.warnings, ["h2 would have too much: 1 VM"]);
}

#[test]
fn nothing_arrives_until_it_is_undrained() {
    let mut world = calm(crowded(2, 1));
    drain(&mut world, "h1");
    assert_eq!(world.host(), "h2");
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Host("h1".to_owned()) });
    assert_eq!(world.answers.last().unwrap().1, "nii1 stays: h1 draining");
    world.command(Command::Undrain { host: "h1".to_owned() });
    assert_eq!(world.answers.last().unwrap(), &(true, "h1: takes VMs again; 1 moved, 0 stayed".to_owned()));
    assert_eq!((world.engine.drain(H1), world.engine.host_state(H1)), (None, HostState::Up));
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Host("h1".to_owned()) });
    assert_eq!(world.host(), "h1");
}

#[test]
fn a_pause_sends_no_more_and_what_is_on_its_way_goes_on() {
    let mut world = calm(crowded(4, 5));
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    world.command(Command::PauseDrain { host: "h1".to_owned() });
    arrive(&mut world);
    arrive(&mut world);
    world.run_for(Span::from_mins(5));
    assert_eq!((under_way(&world).len(), world.engine.drain(H1).unwrap().moved), (0, 2));
    assert_eq!(world.engine.host_state(H1), HostState::Draining);
    world.command(Command::PauseDrain { host: "h1".to_owned() });
    assert_eq!(world.answers.last().unwrap(), &(false, "h1: its draining is paused already".to_owned()));
    world.command(Command::ResumeDrain { host: "h1".to_owned() });
    assert_eq!(under_way(&world).len(), 2);
    world.command(Command::Undrain { host: "h1".to_owned() });
    assert_eq!(under_way(&world).len(), 2, "what is on its way goes on");
    arrive(&mut world);
    assert_eq!(under_way(&world).len(), 1);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut down = calm(crowded(2, 1));
    down.tell(Event::Host { host: H1, state: HostState::Down, load: None, why: None });
    let mut world = calm(crowded(2, 1));
    let named = |command: fn(String) -> Command, host: &str| command(host.to_owned());
    let refused = |world: &mut World, command: Command| {
        world.command(command);
        world.answers.pop().filter(|answer| !answer.0).expect("a refusal").1
    };
    let drain = |host| Command::Drain { host };
    assert_eq!(refused(&mut down, named(drain, "h1")), "h1 is down: its VMs cannot be moved live");
    assert_eq!(refused(&mut world, named(drain, "h9")), "there is no host h9");
    assert_eq!(refused(&mut world, named(|host| Command::Undrain { host }, "h1")), "h1 is not being drained");
    world.moves = Moves::Hang;
    world.command(named(drain, "h1"));
    assert_eq!(refused(&mut world, named(drain, "h1")), "h1 is being drained already");
    assert_eq!(
        refused(&mut world, named(|host| Command::ResumeDrain { host }, "h1")),
        "h1: its draining is not paused"
    );
}

#[test]
fn no_host_gets_more_than_it_takes_and_the_plan_is_what_happens() {
    let mut cluster = crowded(4, 6);
    (cluster.hosts[1].capacity, cluster.hosts[2].capacity, cluster.hosts[3].capacity) = (Some(1), Some(3), Some(1));
    let mut world = calm(cluster);
    let plan = world.engine.drain_plan(H1, world.now);
    assert_eq!(destinations(&plan), ["nii1 h2", "nii2 h3", "nii3 h4", "nii4 h3", "nii5 h3", "nii6 -"]);
    let full: Vec<_> = plan.hosts.iter().map(|to| (&*to.host, to.vms, to.vms_after)).collect();
    assert_eq!(full, [("h2", 0, 1), ("h3", 0, 3), ("h4", 0, 1)]);
    let stays = "no host would take it: h2 full, h3 full, h4 full; only the base base is left: move it by hand";
    assert_eq!(plan.warnings, [format!("nii6 stays: {stays}")], "a host that is full has not too much");
    drain(&mut world, "h1");
    assert_eq!(hosts_of(&world), ["h2", "h3", "h4", "h3", "h3", "h1"]);
    assert_eq!(stuck(&world, H1), [format!("nii6: {stays}")]);
    assert!(world.alarms().is_empty());
    world.run_for(Span::from_mins(20));
    assert_eq!(world.alarms(), [format!("h1 cannot be drained: nii6: {stays}")], "said once");
}

#[test]
fn measured_loads_are_counted_and_an_overload_is_warned_of() {
    for (pick, expected) in [
        // In turn, as both have room for two.
        (Pick::Next, ["nii1 h2", "nii2 h3", "nii3 h2", "nii4 h3"]),
        (Pick::Best, ["nii1 h3", "nii2 h3", "nii3 h2", "nii4 h3"]),
    ] {
        let mut cluster = crowded(3, 4);
        cluster.arrays[0].pick = pick;
        let mut world = calm(cluster);
        for (host, load) in [(H1, 0.8), (H2, 0.4), (H3, 0.1)] {
            world.tell(Event::Host { host, state: HostState::Up, load: Some(load), why: None });
        }
        let plan = world.engine.drain_plan(H1, world.now);
        assert_eq!(destinations(&plan), expected, "{pick:?}");
        assert!(plan.hosts.iter().all(|to| !to.overloaded) && plan.warnings.is_empty(), "{plan:?}");
        drain(&mut world, "h1");
        let came: Vec<String> = ["nii1", "nii2", "nii3", "nii4"]
            .iter()
            .zip(hosts_of(&world))
            .map(|(vm, host)| format!("{vm} {host}"))
            .collect();
        assert_eq!(came, expected, "{pick:?}: as was shown");
    }
    let mut world = calm(crowded(2, 4));
    world.tell(Event::Host { host: H1, state: HostState::Up, load: Some(0.8), why: None });
    let plan = world.engine.drain_plan(H1, world.now);
    assert!(plan.hosts[0].overloaded);
    assert_eq!(plan.warnings, ["h2 would have too much: 4 VMs, 130% load"]);
}

#[test]
fn a_vm_on_its_way_weighs_on_the_host_that_it_goes_to() {
    let mut cluster = crowded(3, 3);
    cluster.vms[2].host = H3;
    let mut world = calm(cluster);
    for (host, load) in [(H1, 0.4), (H2, 0.6), (H3, 0.65)] {
        world.tell(Event::Host { host, state: HostState::Up, load: Some(load), why: None });
    }
    world.moves = Moves::Hang;
    world.command(Command::Move { vm: "nii3".to_owned(), target: Target::Host("h2".to_owned()) });
    let plan = world.engine.drain_plan(H1, world.now);
    assert_eq!(destinations(&plan), ["nii1 h3", "nii2 h2"], "with nii3 h2 has no room for the first");
    let after: Vec<_> = plan.hosts.iter().map(|to| (to.vms_after, to.load_after.map(percent))).collect();
    assert_eq!(after, [(2, Some("100%".to_owned())), (2, Some("85%".to_owned()))]);
}

#[test]
fn hosts_that_are_down_or_draining_get_none() {
    let mut cluster = crowded(4, 2);
    cluster.hosts[2].draining = true;
    let mut world = calm(cluster);
    world.tell(Event::Host { host: H2, state: HostState::Down, load: None, why: None });
    drain(&mut world, "h1");
    assert_eq!(hosts_of(&world), ["h4", "h4"]);
}

#[test]
fn what_fails_is_tried_elsewhere_and_again_after_ten_minutes() {
    let mut world = calm(crowded(3, 1));
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Absent);
    drain(&mut world, "h1");
    let to: Vec<&str> = world.requests().iter().map(|(_, to)| *to).collect();
    assert_eq!(to, ["h2", "h3"]);
    world.run_for(Span::from_secs(30));
    let alarm = "h1 cannot be drained: nii1: no host would take it: the last move to h2 failed, again in 10 min";
    assert!(matches!(&world.alarms()[..], [one] if one.starts_with(alarm)), "{:?}", world.alarms());
    world.moves = Moves::Confirm;
    world.run_for(Span::from_mins(9));
    assert_eq!(world.host(), "h1");
    world.run_for(Span::from_secs(30));
    assert_ne!(world.host(), "h1");
    assert!(world.engine.drain(H1).unwrap().done);
}

#[test]
fn a_refused_preflight_is_not_an_answer_to_the_operator() {
    let mut world = calm(crowded(2, 1));
    world.moves = Moves::Refuse;
    drain(&mut world, "h1");
    assert_eq!(world.answers.len(), 1);
    assert!(stuck(&world, H1)[0].contains("h2 failed"), "{:?}", stuck(&world, H1));
}

#[test]
fn a_move_that_cannot_be_written_down_is_tried_again_but_not_at_once() {
    let mut world = calm(crowded(2, 1));
    world.moves = Moves::NotJournalled;
    drain(&mut world, "h1");
    world.run_for(Span::from_mins(2));
    assert!((2..=5).contains(&world.phases().len()), "every half minute: {:?}", world.phases());
    world.moves = Moves::Confirm;
    world.run_for(Span::from_mins(2));
    assert_eq!(world.phases().last(), Some(&Phase::Confirmed));
}

#[test]
fn a_move_that_an_operator_aborts_is_not_begun_again_at_once() {
    let mut world = calm(crowded(3, 1));
    world.moves = Moves::Hang;
    drain(&mut world, "h1");
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert_eq!(world.phases().last(), Some(&Phase::Aborted));
    assert_eq!((under_way(&world).len(), world.alarms().len()), (0, 0));
    assert_eq!(stuck(&world, H1), ["nii1: aborted by an operator, again in 10 min"]);
    world.run_for(Span::from_mins(10));
    assert_eq!(under_way(&world), ["nii1 to h2"]);
}

#[test]
fn a_vm_that_is_lost_is_not_touched() {
    let mut world = calm(crowded(3, 2));
    world.moves = Moves::HostsSay(Presence::Absent, Presence::Absent);
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    world.moves = Moves::Confirm;
    drain(&mut world, "h1");
    assert_eq!(hosts_of(&world), ["h1", "h2"]);
    assert!(stuck(&world, H1)[0].starts_with("nii1: it is lost"), "{:?}", stuck(&world, H1));
    world.command(Command::Release { vm: "nii1".to_owned() });
    assert_eq!(hosts_of(&world), ["h3", "h2"], "somebody has looked");
}

#[test]
fn a_hold_does_not_keep_a_vm_on_it_but_is_warned_of() {
    let mut world = calm(crowded(2, 1));
    world.command(Command::Hold { vm: "nii1".to_owned() });
    let plan = world.engine.drain_plan(H1, world.now);
    assert_eq!(plan.moves[0].warnings, ["hold: held until released, by an operator"]);
    drain(&mut world, "h1");
    assert_eq!((world.host(), world.engine.state(VmId(0))), ("h2", VmState::Held));
}

fn draining(mut cluster: Cluster, is: bool) -> Event {
    cluster.hosts[0].draining = is;
    Event::Reconfigured { cluster: Box::new(cluster), reread: Vec::new(), said: Vec::new() }
}

#[test]
fn the_config_drains_a_host_where_the_engine_may_act_on_its_own() {
    let mut cluster = crowded(3, 3);
    cluster.vms[1].mode = Some(Mode::Ask);
    let mut world = calm(cluster.clone());
    world.tell(draining(cluster.clone(), true));
    assert!(said(&world, "config").contains(&"h1 is draining: its VMs are moved away".to_owned()));
    assert_eq!(hosts_of(&world), ["h2", "h1", "h2"]);
    assert_eq!(stuck(&world, H1), ["nii2: mode ask: an operator moves it"]);
    assert!(world.alarms().is_empty(), "that is meant so");
    world.command(Command::Undrain { host: "h1".to_owned() });
    assert!(world.answers.last().unwrap().1.contains("write draining = false"), "{:?}", world.answers);
    drain(&mut world, "h1");
    assert_eq!(hosts_of(&world), ["h2", "h3", "h2"], "an operator's drain moves that one too");
    let mut world = calm(cluster.clone());
    world.tell(draining(cluster.clone(), true));
    world.tell(draining(cluster, false));
    assert_eq!((world.engine.drain(H1), world.engine.host_state(H1)), (None, HostState::Up));
    assert!(said(&world, "config").contains(&"h1 takes VMs again".to_owned()));
}

#[test]
fn in_another_mode_the_config_only_keeps_vms_from_coming() {
    let mut cluster = crowded(3, 2);
    (cluster.mode, cluster.hosts[0].draining) = (Mode::Ask, true);
    let mut world = calm(cluster);
    world.run_for(Span::from_mins(5));
    assert!(world.requests().is_empty());
    assert_eq!(said(&world, "config"), ["h1 is draining: its VMs stay in mode ask; D moves them away"]);
    world.command(Command::Mode { mode: Mode::Auto });
    assert_eq!(hosts_of(&world), ["h2", "h3"]);
}

#[test]
fn a_host_that_the_config_drains_from_the_start_is_drained_when_the_others_are_heard_of() {
    let mut cluster = crowded(3, 2);
    cluster.hosts[0].draining = true;
    let mut world = calm(cluster);
    world.run_for(Span::from_mins(5));
    assert_eq!((hosts_of(&world), world.alarms().len()), (vec!["h2", "h2"], 0));
    assert_eq!(said(&world, "config"), ["h1 is draining: its VMs are moved away", "h1 drained: 2 VMs moved, 0 left"]);
}

#[test]
fn a_move_of_it_that_a_restart_cut_short_is_its_own_still() {
    let mut world = calm(crowded(3, 1));
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    let engine = &world.engine;
    let journalled = engine.in_flight(engine.migrations().next().unwrap().route.id).unwrap();
    let kept = [("nii1".to_owned(), engine.keep(VmId(0)))];
    let whole = engine.keep_cluster(world.now);
    world.engine = Engine::restored(engine.cluster().clone(), world.now, &kept, Some(whole));
    world.under_way.clear();
    world.engine.resume(world.now, &journalled, &mut Vec::new());
    world.run_for(Span::from_secs(1));
    assert_eq!((world.host(), world.engine.live(VmId(0)).hold()), ("h2", None));
    let drain = world.engine.drain(H1).unwrap();
    assert_eq!((drain.moved, drain.done), (1, true));
}

#[test]
fn it_goes_on_after_a_restart_and_a_reload() {
    let mut world = calm(crowded(3, 3));
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    world.command(Command::PauseDrain { host: "h1".to_owned() });
    arrive(&mut world);
    arrive(&mut world);
    let mut turned = world.engine.cluster().clone();
    turned.hosts.swap(0, 1);
    turned.arrays[0].ring = vec![H2, H1, H3];
    turned.vms.iter_mut().for_each(|vm| vm.host = H2);
    world.tell(Event::Reconfigured { cluster: Box::new(turned), reread: Vec::new(), said: Vec::new() });
    let drain = world.engine.drain(H2).expect("it is h1 still");
    assert_eq!((drain.by.as_str(), drain.paused, drain.of, drain.moved), ("root", true, 3, 2));
    let engine = &world.engine;
    let kept: Vec<(String, Kept)> =
        engine.vm_ids().map(|vm| (engine.cluster().vm(vm).name.to_string(), engine.keep(vm))).collect();
    let whole = serde_json::to_string(&engine.keep_cluster(world.now)).unwrap();
    let whole = serde_json::from_str(&whole).unwrap();
    world.engine = Engine::restored(engine.cluster().clone(), world.now, &kept, Some(whole));
    for host in [H1, H2, H3] {
        world.tell(Event::Host { host, state: HostState::Up, load: None, why: None });
    }
    assert_eq!(world.engine.host_state(H2), HostState::Draining);
    world.moves = Moves::Confirm;
    world.command(Command::ResumeDrain { host: "h1".to_owned() });
    let drain = world.engine.drain(H2).unwrap();
    assert_eq!((drain.of, drain.moved, drain.done), (3, 3, true));
}

#[test]
fn what_was_kept_before_there_were_drains_is_still_read() {
    let old = r#"{"alive":0,"last_id":3,"alarms":[]}"#;
    let kept: crate::core::engine::KeptCluster = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&kept).unwrap(), old);
}

/// A cluster whose first host is to be drained, and how its moves end.
#[derive(Debug, Clone)]
struct Story {
    vms: u32,
    /// Of the other ring hosts: what they take, their load in percent, and whether they are up.
    others: Vec<(Option<u32>, Option<u8>, bool)>,
    pick: Pick,
    at_once: (u32, u32),
    outcomes: Vec<bool>,
}

fn stories() -> impl Strategy<Value = Story> {
    let other = (prop::option::of(0_u32..5), prop::option::of(0_u8..120), prop::bool::weighted(0.8));
    let pick = prop_oneof![Just(Pick::Next), Just(Pick::Best)];
    let outcomes = prop::collection::vec(prop::bool::weighted(0.8), 1..12);
    (1_u32..8, prop::collection::vec(other, 1..5), pick, (1_u32..4, 1_u32..3), outcomes)
        .prop_map(|(vms, others, pick, at_once, outcomes)| Story { vms, others, pick, at_once, outcomes })
}

fn told(story: &Story) -> World {
    let mut cluster = crowded(story.others.len() as u32 + 1, story.vms);
    (cluster.limits.at_once, cluster.limits.at_once_per_host) = story.at_once;
    cluster.arrays[0].pick = story.pick;
    for (host, (capacity, ..)) in cluster.hosts[1..].iter_mut().zip(&story.others) {
        host.capacity = *capacity;
    }
    let mut world = calm(cluster);
    for (at, (_, load, is_up)) in story.others.iter().enumerate() {
        let (host, state) = (HostId::at(at + 1), if *is_up { HostState::Up } else { HostState::Down });
        world.tell(Event::Host { host, state, load: load.map(|load| f64::from(load) / 100.0), why: None });
    }
    world.moves = Moves::Slow;
    world
}

fn within_limits(world: &World, story: &Story) -> Result<(), TestCaseError> {
    let (engine, (at_once, per_host)) = (&world.engine, story.at_once);
    prop_assert!(engine.migrations().filter(|migration| !migration.is_long_unknown()).count() <= at_once as usize);
    for (at, described) in engine.cluster().hosts.iter().enumerate() {
        let host = engine.host(HostId::at(at));
        let (busy, incoming) = (engine.busy(HostId::at(at)), engine.incoming(HostId::at(at)));
        prop_assert!(busy <= per_host);
        prop_assert!(described.capacity.is_none_or(|most| host.vms + incoming <= most));
        prop_assert!(incoming == 0 || engine.host_state(HostId::at(at)) == HostState::Up);
    }
    let vms: Vec<VmId> = engine.migrations().map(|migration| migration.route.vm).collect();
    prop_assert!(vms.is_sorted_by(|a, b| a != b), "two migrations of one VM");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_is_what_happens_if_nothing_else_does(story in stories()) {
        let mut world = told(&story);
        let plan = world.engine.drain_plan(H1, world.now);
        drain(&mut world, "h1");
        while world.engine.migrations().next().is_some() {
            within_limits(&world, &story)?;
            arrive(&mut world);
        }
        for planned in &plan.moves {
            let vm = world.engine.vm_named(&planned.vm).expect("a VM");
            let cluster = world.engine.cluster();
            let here = &cluster.host(world.engine.live(vm).host()).name;
            prop_assert_eq!(&**here, planned.to.as_deref().unwrap_or("h1"));
        }
        for to in &plan.hosts {
            let host = world.engine.cluster().host_named(&to.host).expect("a host");
            prop_assert_eq!(world.engine.host(host).vms(), to.vms_after);
        }
        prop_assert_eq!(world.engine.drain(H1).unwrap().done, plan.moves.iter().all(|planned| planned.to.is_some()));
    }

    #[test]
    fn it_ends_when_it_can_however_often_a_move_fails(story in stories()) {
        let mut world = told(&story);
        let room = world.engine.drain_plan(H1, world.now).moves.iter().filter(|planned| planned.to.is_some()).count();
        drain(&mut world, "h1");
        let mut outcomes = story.outcomes.iter();
        for _ in 0..200 {
            within_limits(&world, &story)?;
            if world.engine.migrations().next().is_none() {
                world.run_for(Span::from_mins(1));
                continue;
            }
            let fails = !outcomes.next().unwrap_or(&true);
            world.moves = if fails { Moves::HostsSay(Presence::Runs, Presence::Absent) } else { Moves::Slow };
            arrive(&mut world);
            world.moves = Moves::Slow;
        }
        let drain = world.engine.drain(H1).unwrap();
        prop_assert_eq!(drain.moved as usize, room, "{:?}", drain);
        prop_assert_eq!(drain.done, room == story.vms as usize);
    }
}

#[test]
fn after_a_reload_its_vms_go_where_the_new_config_leads_and_not_to_what_has_the_old_ids() {
    let mut cluster = crowded(3, 2);
    cluster.limits.at_once = 1;
    let mut world = calm(cluster.clone());
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    let plan = world.engine.drain_plan(H1, world.now);
    assert_eq!(destinations(&plan), ["nii1 h2", "nii2 h3"]);
    cluster.hosts.swap(1, 2);
    world.tell(Event::Reconfigured { cluster: Box::new(cluster), reread: Vec::new(), said: Vec::new() });
    arrive(&mut world);
    assert_eq!(under_way(&world), ["nii2 to h3"], "the ring is h1, h3, h2 now");
}

#[test]
fn a_plan_that_was_made_before_a_vm_was_lost_does_not_move_it() {
    let mut cluster = crowded(3, 2);
    cluster.limits.at_once = 1;
    let mut world = calm(cluster);
    world.moves = Moves::Slow;
    drain(&mut world, "h1");
    world.tell(Event::Found { vm: VmId(1), hosts: Vec::new() });
    let plan = world.engine.drain_plan(H1, world.now);
    assert_eq!(plan.moves[1].why.as_deref(), Some("it runs nowhere"));
}

#[test]
fn the_base_is_offered_only_if_it_takes_the_vm() {
    for (capacity, offered) in [(Some(1), true), (Some(0), false)] {
        let mut cluster = crowded(1, 1);
        cluster.hosts[1].capacity = capacity;
        let world = calm(cluster);
        let why = world.engine.drain_plan(H1, world.now).moves[0].why.clone().expect("it stays");
        assert_eq!(why.contains("only the base base is left"), offered);
    }
}

#[test]
fn what_earlier_versions_wrote_of_a_drain_is_read() {
    let kept =
        r#"{"host":"h1","by":"root","since":7,"commanded":true,"paused":true,"moved":2,"done":false,"told":true}"#;
    let drain: Drain = serde_json::from_str(kept).unwrap();
    assert_eq!((&*drain.host, &*drain.by, drain.moved, drain.paused, drain.told), ("h1", "root", 2, true, true));
    let told =
        r#"{"host":"h1","of":3,"moved":1,"paused":false,"done":false,"under_way":[],"stuck":[{"vm":"a","why":"b"}]}"#;
    let drain: Drain = serde_json::from_str(told).unwrap();
    assert_eq!((drain.of, &*drain.stuck[0].vm, drain.commanded), (3, "a", false));
}

#[test]
fn a_load_of_ninety_percent_is_not_too_much_and_of_hosts_with_the_same_load_the_ring_s_first_is_the_best() {
    let planned = |pick, loads: [f64; 3]| {
        let mut cluster = crowded(3, 1);
        cluster.arrays[0].pick = pick;
        let mut world = calm(cluster);
        for (host, load) in [H1, H2, H3].into_iter().zip(loads) {
            world.tell(Event::Host { host, state: HostState::Up, load: Some(load), why: None });
        }
        let plan = world.engine.drain_plan(H1, world.now);
        (destinations(&plan), plan.warnings)
    };
    assert_eq!(planned(Pick::Next, [0.4, 0.5, 0.1]), (vec!["nii1 h2".to_owned()], Vec::new()));
    assert_eq!(planned(Pick::Best, [0.4, 0.2, 0.2]), (vec!["nii1 h2".to_owned()], Vec::new()));
}

#[test]
fn a_drain_that_is_done_or_paused_wakes_nobody() {
    let mut cluster = crowded(3, 1);
    cluster.vms[0].interval = Span::from_hours(1);
    let mut world = calm(cluster);
    world.moves = Moves::NotJournalled;
    drain(&mut world, "h1");
    drain(&mut world, "h2");
    world.command(Command::PauseDrain { host: "h1".to_owned() });
    world.run_for(Span::from_mins(10));
    assert!(world.engine.drain(H2).unwrap().done);
    assert_eq!(world.engine.next_wake(), world.engine.live(VmId(0)).readings().next);
}

#[test]
fn it_goes_on_when_an_alarm_over_an_unknown_outcome_frees_a_slot() {
    let mut cluster = crowded(3, 2);
    cluster.limits.at_once = 1;
    let mut world = calm(cluster);
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Unknown);
    drain(&mut world, "h1");
    while world.alarms().is_empty() {
        assert_eq!(under_way(&world), ["nii1 to h2"]);
        world.run_for(Span::from_secs(1));
    }
    assert_eq!(under_way(&world), ["nii1 to h2", "nii2 to h3"]);
}

#[test]
fn a_vm_whose_move_was_aborted_is_left_alone_after_a_reload_wherever_it_stands_there() {
    let mut cluster = crowded(3, 1);
    let mut world = calm(cluster.clone());
    world.moves = Moves::Hang;
    drain(&mut world, "h1");
    world.command(Command::Abort { vm: "nii1".to_owned() });
    cluster.vms.insert(0, vm("nii0", threshold()));
    cluster.vms[0].host = H2;
    world.tell(Event::Reconfigured { cluster: Box::new(cluster), reread: Vec::new(), said: Vec::new() });
    assert_eq!(stuck(&world, H1), ["nii1: aborted by an operator, again in 10 min"]);
}

#[test]
fn a_plan_names_the_hosts_that_have_not_answered_yet() {
    let mut world = calm(crowded(3, 1));
    world.tell(Event::Host { host: H3, state: HostState::Unknown, load: None, why: None });
    assert_eq!(world.engine.drain_plan(H1, world.now).unheard, ["h3"]);
}
