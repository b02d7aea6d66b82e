//! Hosts that fail and come back, and what that does to VMs and migrations.

use super::*;
use crate::core::cluster::HostState;
use crate::core::simulation::Outage;
use Presence::{Absent, Runs, Unknown};

/// Scenario 1 with this host down from the 60th second, for five minutes.
fn failing(host: u32) -> Simulation {
    simulation(Scenario::One, |plan| {
        plan.outages = vec![Outage { host: HostId(host), from: after(60), lasts: Span::from_mins(5) }];
        plan.vms[0].memory_mb = 8_192.0;
    })
}

fn states(told: &[Event], of: u32) -> Vec<(HostState, bool)> {
    let of_host = |event: &Event| match event {
        Event::Host { host, state, load, .. } if host.0 == of => Some((*state, load.is_some())),
        _ => None,
    };
    told.iter().filter_map(of_host).collect()
}

#[test]
fn every_host_reports_at_the_start_and_then_each_minute_at_its_own_time() {
    let (cluster, _, plan) = Scenario::Fleet.build(Size { vms: None, hosts: Some(100) }, 1);
    let mut simulation = Simulation::new(&cluster, plan, START);
    assert_eq!(simulation.next_event(), START);
    assert_eq!(advance(&mut simulation, START).len(), 100);
    let seconds = (1..=60).map(|second| advance(&mut simulation, after(second)).len()).collect::<Vec<_>>();
    assert_eq!(seconds.iter().sum::<usize>(), 100);
    assert!(seconds.iter().max() < Some(&10), "{seconds:?}");
}

#[test]
fn a_failed_host_is_down_without_a_load_until_it_comes_back() {
    let mut simulation = failing(0);
    assert!(states(&advance(&mut simulation, after(59)), 0).iter().all(|s| *s == (HostState::Up, true)));
    assert_eq!(states(&advance(&mut simulation, after(60)), 0), [(HostState::Down, false)]);
    assert!(states(&advance(&mut simulation, after(359)), 0).iter().all(|s| *s == (HostState::Down, false)));
    assert_eq!(states(&advance(&mut simulation, after(360)), 0), [(HostState::Up, true)]);
}

#[test]
fn vms_of_a_failed_host_do_not_answer_and_start_anew_when_it_is_back() {
    let mut simulation = failing(0);
    let before = raw(&mut simulation, 0, after(59));
    assert_eq!(read(&mut simulation, 0, after(120)), Reading::Gap("no answer".to_owned()));
    assert!(matches!(read(&mut simulation, 1, after(120)), Reading::Raw(_)), "the other host is well");
    let back = raw(&mut simulation, 0, after(370));
    assert!(back < before, "the counter fell: {before}, {back}");
}

#[test]
fn overlapping_outages_are_one() {
    let mut simulation = simulation(Scenario::One, |plan| {
        let outage = |from, minutes| Outage { host: HostId(0), from: after(from), lasts: Span::from_mins(minutes) };
        plan.outages = vec![outage(60, 5), outage(120, 10)];
    });
    assert!(matches!(read(&mut simulation, 0, after(400)), Reading::Gap(_)));
    assert!(matches!(read(&mut simulation, 0, after(721)), Reading::Raw(_)));
}

#[test]
fn nothing_moves_to_or_from_a_host_that_is_down() {
    let mut simulation = failing(1);
    assert!(refusal(&mut simulation, route(0, 0, 1), after(90)).is_some_and(|why| why.contains("destination")));
    assert!(refusal(&mut simulation, route(1, 1, 2), after(90)).is_some_and(|why| why.contains("source")));
    simulation.start(route(0, 0, 1), after(90));
    assert!(ended(&mut simulation, after(90)).is_some());
    assert_eq!(refusal(&mut simulation, route(0, 0, 1), after(361)), None);
}

#[test]
fn a_destination_that_fails_ends_the_migration_at_the_source() {
    let mut simulation = failing(2);
    let there = route(0, 0, 2);
    simulation.start(there, after(30));
    assert_eq!(ended(&mut simulation, after(59)), None);
    assert!(ended(&mut simulation, after(60)).is_some_and(|detail| detail.contains("destination")));
    assert_eq!(presence(&mut simulation, there, after(61)), (Runs, Unknown));
    assert_eq!(presence(&mut simulation, there, after(361)), (Runs, Absent));
}

#[test]
fn a_source_that_fails_leaves_its_vm_unknown_until_it_is_back() {
    let mut simulation = failing(0);
    let there = route(0, 0, 2);
    simulation.start(there, after(30));
    assert!(ended(&mut simulation, after(60)).is_some_and(|detail| detail.contains("source")));
    assert_eq!(presence(&mut simulation, there, after(61)), (Unknown, Absent));
    assert_eq!(presence(&mut simulation, there, after(361)), (Runs, Absent));
    assert_eq!(ended(&mut simulation, after(900)), None, "it ends once");
}
