//! The demos: what they are made of, and that the engine finds something to do in them.

use std::collections::BTreeSet;

use super::play::play;
use super::*;
use crate::core::cluster::{Mode, Name, Source};
use crate::core::engine::{By, Gate, Happened, Phase, VmState};
use crate::core::policy::Decision;

const NO_SIZE: Size = Size { vms: None, hosts: None };

fn size(vms: u32, hosts: u32) -> Size {
    Size { vms: Some(vms), hosts: Some(hosts) }
}

fn requests(what: &Happened) -> Option<(Decision, Name, Name)> {
    match what {
        Happened::Request { action, from, to, .. } => Some((*action, from.clone(), to.clone())),
        _ => None,
    }
}

fn phases(what: &Happened) -> Option<Phase> {
    match what {
        Happened::Migration { phase, .. } if *phase != Phase::Running => Some(*phase),
        _ => None,
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for scenario in Scenario::ALL {
        assert_eq!(scenario.to_string().parse(), Ok(scenario));
    }
    let wrong: Result<Scenario, _> = "four".parse();
    assert_eq!(wrong, Err("no scenario 'four': use fleet, 1, 2 or 3".to_owned()));
    assert_eq!(START.rfc3339(), "2009-05-06T12:40:00.000Z");
}

#[test]
fn a_fleet_of_any_size_holds_its_vms() {
    let sizes = [(1, 4), (3, 4), (50, 4), (50, 12), (7, 10_000), (5_000, 60), (100_000, 10_000), (100_000, 4)];
    for (vms, hosts) in sizes {
        let (cluster, monitors, plan) = Scenario::Fleet.build(size(vms, hosts), 1);
        assert_eq!((cluster.vms.len(), cluster.hosts.len()), (vms as usize, hosts as usize));
        assert_eq!(
            (monitors.len(), plan.vms.len(), plan.hosts_ghz.len()),
            (vms as usize, vms as usize, hosts as usize)
        );
        let mut on = vec![0; cluster.hosts.len()];
        cluster.vms.iter().for_each(|vm| on[vm.host.index()] += 1);
        assert!(
            cluster.hosts.iter().zip(on).all(|(host, vms)| host.capacity.is_none_or(|c| vms <= c)),
            "{vms}/{hosts}"
        );
        assert!(cluster.arrays.iter().all(|array| !array.ring.is_empty() && array.ring.len() <= 64));
    }
}

#[test]
fn every_scenario_is_sound() {
    for (scenario, size) in [(Scenario::One, NO_SIZE), (Scenario::Two, NO_SIZE), (Scenario::Three, NO_SIZE)]
        .into_iter()
        .chain([NO_SIZE, size(3_000, 300)].map(|size| (Scenario::Fleet, size)))
    {
        let (cluster, monitors, _) = scenario.build(size, 1);
        let names: BTreeSet<&str> = cluster.vms.iter().map(|vm| vm.name.as_str()).collect();
        assert_eq!(names.len(), cluster.vms.len(), "a VM's name is its own");
        let hosts: BTreeSet<&str> = cluster.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(hosts.len(), cluster.hosts.len(), "a host's name is its own");
        assert_eq!(cluster.sites.iter().filter(|site| site.home).count(), 1);
        assert_eq!(cluster.mode, Mode::Auto);
        assert!(monitors.iter().all(|monitor| monitor.source == Source::Simulated));
        for vm in &cluster.vms {
            assert_eq!(vm.policy.check(), Ok(()), "{}", vm.name);
            assert_eq!(cluster.host(vm.host).array, vm.array, "{}", vm.name);
            assert_eq!(vm.policy.rule.kind().word() == "site", vm.away.is_some(), "{}", vm.name);
            assert!(vm.away.is_none_or(|away| cluster.array(away).site != cluster.array(vm.array).site));
        }
    }
}

#[test]
fn all_four_policies_and_the_thesis_vms_are_in_the_fleet() {
    let (cluster, _, _) = Scenario::Fleet.build(NO_SIZE, 1);
    assert_eq!((cluster.vms.len(), cluster.hosts.len(), cluster.arrays.len()), (50, 12, 2));
    let kinds: BTreeSet<&str> = cluster.vms.iter().map(|vm| vm.policy.rule.kind().word()).collect();
    assert_eq!(kinds, ["base", "schedule", "site", "threshold"].into());
    assert!(["nii1", "nii2", "nii3", "nii4", "nii5"].iter().all(|name| cluster.vm_named(name).is_some()));
    let homes = cluster.arrays.iter().filter(|array| cluster.sites[array.site.index()].home);
    assert!(homes.clone().count() > 0 && homes.into_iter().all(|array| array.base.is_some()));
}

#[test]
fn scenario_1_moves_nii1_round_its_ring_225_seconds_and_a_migration_apart() {
    let played = play(Scenario::One, NO_SIZE, 1, after(2 * 3_600));
    let all = played.times(requests);
    let nii1: Vec<_> = all.iter().filter(|(_, vm, _)| *vm == "nii1").collect();
    assert!(nii1[0].0 < 360 && nii1.len() > 25, "{} requests, the first at {} s", nii1.len(), nii1[0].0);
    assert!(nii1.windows(2).all(|pair| (226..=235).contains(&(pair[1].0 - pair[0].0))));
    let ring = |n: usize| format!("mln{}", n % 5 + 1);
    assert!(nii1.iter().enumerate().all(|(n, (_, _, (_, from, to)))| *from == ring(n) && *to == ring(n + 1)));
    assert!(all.iter().filter(|(_, vm, _)| *vm == "nii2").count() > 5);
    assert!(played.times(phases).iter().all(|(_, _, phase)| *phase == Phase::Confirmed));
}

#[test]
fn scenario_2_moves_nii3_to_the_base_and_rests_nii5_after_hours() {
    let played = play(Scenario::Two, NO_SIZE, 1, after(17 * 3_600));
    let all = played.times(requests);
    let nii3 = |action| all.iter().filter(|(_, vm, r)| *vm == "nii3" && r.0 == action).count();
    assert!(all[0].0 < 600 && nii3(Decision::Move) >= 10 && nii3(Decision::MoveToBase) >= 3);
    assert!(all.iter().all(|(_, _, (action, _, to))| (*action == Decision::MoveToBase) == (*to == "mln6")));
    let rest = all.iter().find(|(_, vm, r)| *vm == "nii5" && r.0 == Decision::MoveToBase);
    assert_eq!(rest.map(|r| r.0), Some(80 * 60), "16:00 in Oslo");
    let by = |what: &Happened| matches!(what, Happened::Request { by: By::Schedule, .. }).then_some(());
    assert_eq!(played.times(by).len(), 1);
}

#[test]
fn scenario_3_takes_a_big_queue_away_and_comes_home() {
    let played = play(Scenario::Three, NO_SIZE, 1, after(12 * 3_600));
    let all = played.times(requests);
    assert!(all[0].0 <= 600 && all[0].2.0 == Decision::MoveAway);
    assert!(all.len() >= 4 && all.windows(2).all(|pair| pair[0].2.0 != pair[1].2.0), "away and home in turn");
    let ends = played.times(phases);
    assert!(ends.iter().all(|(_, _, phase)| *phase == Phase::Confirmed));
    let took = |n: usize| ends[n].0 - all[n].0;
    assert!((0..ends.len()).all(|n| (180..=22 * 60).contains(&took(n))));
}

#[test]
fn the_fleet_is_worth_watching_from_its_first_twenty_minutes_on() {
    for seed in 1..=5 {
        let played = play(Scenario::Fleet, NO_SIZE, seed, after(20 * 60));
        let confirmed = played.times(phases).iter().filter(|(_, _, phase)| *phase == Phase::Confirmed).count();
        assert!((5..=16).contains(&confirmed), "seed {seed}: {confirmed} confirmed moves");
        let blocked = |what: &Happened| matches!(what, Happened::Blocked { .. }).then_some(());
        assert!(!played.times(blocked).is_empty(), "seed {seed}: nothing blocked");
        let stale = |what: &Happened| matches!(what, Happened::State { state: VmState::Stale, .. }).then_some(());
        assert!(played.times(stale).iter().any(|(_, vm, ())| *vm == "wiki1"), "seed {seed}: nobody stale");
        let alarms = |what: &Happened| matches!(what, Happened::Alarm { .. }).then_some(());
        assert!(!played.times(alarms).is_empty(), "seed {seed}: no alarm");
    }
}

#[test]
fn the_fleet_is_mostly_healthy_afterwards_but_for_the_hopeless_one() {
    for seed in 1..=5 {
        let played = play(Scenario::Fleet, NO_SIZE, seed, after(5 * 3_600));
        let confirmed: Vec<_> = played.times(phases).into_iter().filter(|p| p.2 == Phase::Confirmed).collect();
        let late = confirmed.iter().filter(|(at, _, _)| *at >= 3_600).count();
        assert!((8..=60).contains(&late), "seed {seed}: {late} moves in four hours");
        let movers: BTreeSet<&str> = confirmed.iter().map(|(_, vm, _)| *vm).collect();
        assert!(movers.len() < 25, "seed {seed}: {} of 50 moved", movers.len());
        let flapping = |what: &Happened| matches!(what, Happened::Blocked { gate: Gate::Flapping, .. }).then_some(());
        assert!(played.times(flapping).iter().all(|(_, vm, ())| *vm == "nii7"), "seed {seed}");
        assert!(!played.times(flapping).is_empty(), "seed {seed}: nii7 does not flap");
        let moving = played.engine.migrations().count();
        assert!(moving <= 2, "seed {seed}: {moving} at once");
    }
}

#[test]
fn a_replay_is_the_same_to_the_letter() {
    let run = || serde_json::to_string(&play(Scenario::Fleet, NO_SIZE, 3, after(1_800)).records).expect("serialises");
    assert_eq!(run(), run());
}
