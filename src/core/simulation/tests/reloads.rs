//! A changed config: what goes on.

use super::*;
use crate::core::cluster::ArrayId;
use crate::core::simulation::Outage;
use Presence::{Absent, Runs};

/// Scenario 1 with nii1 last and its hosts the other way round: no id stays what it was.
fn turned(scenario: Scenario) -> (Cluster, Plan) {
    let (mut cluster, mut plan) = built(scenario, |_| {});
    let last = cluster.hosts.len() - 1;
    let turn = |host: &mut HostId| *host = HostId::at(last - host.index());
    cluster.hosts.reverse();
    plan.hosts_ghz.reverse();
    cluster.vms.reverse();
    plan.vms.reverse();
    cluster.vms.iter_mut().for_each(|vm| turn(&mut vm.host));
    cluster.arrays.iter_mut().flat_map(|array| array.ring.iter_mut().chain(&mut array.base)).for_each(turn);
    (cluster, plan)
}

#[test]
fn vms_keep_their_place_and_their_counters() {
    let (old, plan) = built(Scenario::One, |_| {});
    let mut simulation = Simulation::new(&old, plan, START);
    simulation.start(route(0, 0, 2), START);
    let before = raw(&mut simulation, 0, after(600));
    let (new, plan) = turned(Scenario::One);
    simulation.reconfigure(&old, &new, plan, after(600));
    assert_eq!(simulation.host_of(VmId(1)), new.host_named("mln3"));
    assert_eq!(raw(&mut simulation, 1, after(600)), before);
    assert!(raw(&mut simulation, 1, after(660)) > before);
}

#[test]
fn a_migration_goes_on() {
    let (old, plan) = built(Scenario::One, |plan| plan.vms[0].memory_mb = 4_096.0);
    let mut simulation = Simulation::new(&old, plan, START);
    simulation.start(route(0, 0, 2), START);
    let (new, plan) = turned(Scenario::One);
    simulation.reconfigure(&old, &new, plan, after(20));
    assert!(ended(&mut simulation, after(60)).is_some_and(|detail| detail.ends_with("ms down")));
    assert_eq!(presence(&mut simulation, route(1, 4, 2), after(60)), (Absent, Runs));
}

#[test]
fn a_queue_stays_in_hand() {
    let (old, plan) = built(Scenario::Three, |_| {});
    let mut simulation = Simulation::new(&old, plan, START);
    queue(&mut simulation, 0, after(120));
    advance(&mut simulation, after(400));
    let before = queue(&mut simulation, 0, after(400)).expect("in hand");
    let (new, plan) = turned(Scenario::Three);
    simulation.reconfigure(&old, &new, plan, after(400));
    assert_eq!(queue(&mut simulation, 0, after(400)), Some(before.clone()));
    advance(&mut simulation, after(1_000));
    assert!(queue(&mut simulation, 0, after(1_000)).is_some_and(|queue| queue.done.len() > before.done.len()));
}

#[test]
fn a_host_that_is_down_stays_down_and_comes_back() {
    let outage = crate::core::simulation::Outage { host: HostId(0), from: after(60), lasts: Span::from_mins(5) };
    let (old, plan) = built(Scenario::One, |plan| plan.outages.push(outage));
    let mut simulation = Simulation::new(&old, plan, START);
    advance(&mut simulation, after(90));
    let (new, plan) = turned(Scenario::One);
    simulation.reconfigure(&old, &new, plan, after(90));
    assert_eq!(read(&mut simulation, 1, after(359)), Reading::Gap("no answer".to_owned()));
    assert!(matches!(read(&mut simulation, 1, after(361)), Reading::Raw(_)));
}

#[test]
fn an_array_that_a_real_driver_drives_is_left_alone() {
    let (cluster, plan) = built(Scenario::Three, |plan| {
        plan.outages = vec![Outage { host: HostId(0), from: after(60), lasts: Span::from_mins(5) }];
        plan.driven = vec![true];
    });
    let mut simulation = Simulation::new(&cluster, plan, START);
    let told = advance(&mut simulation, after(600));
    let reports = |event: &Event| match event {
        Event::Host { host, .. } => Some(cluster.host(*host).array),
        _ => None,
    };
    let reporting: Vec<ArrayId> = told.iter().filter_map(reports).collect();
    assert!(!reporting.is_empty() && reporting.iter().all(|array| *array == ArrayId(1)), "{reporting:?}");
    let (cluster, plan) = built(Scenario::One, |_| {});
    let mut simulation = Simulation::new(&cluster, plan.clone(), START);
    let all = Plan { driven: vec![true], ..plan };
    assert_eq!(Simulation::new(&cluster, all.clone(), START).next_event(), Timestamp::NEVER);
    simulation.reconfigure(&cluster, &cluster, all, after(600));
    advance(&mut simulation, after(600));
    assert_eq!(simulation.next_event(), Timestamp::NEVER);
}
