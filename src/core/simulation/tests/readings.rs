//! Reading services: the same answers to the same questions, whoever asked what before.

use proptest::prelude::*;

use super::*;
use crate::core::insight::Stretch;
use crate::core::simulation::{Service, VmPlan};

const FLEET_VMS: u32 = 50;

fn fleet(seed: u64) -> Simulation {
    let (cluster, _, plan) = Scenario::Fleet.build(Size::default(), seed);
    Simulation::new(&cluster, plan, START)
}

fn read_all(simulation: &mut Simulation, vms: impl Iterator<Item = u32>, now: Timestamp) -> Vec<(u32, Event)> {
    let mut answers: Vec<_> = vms.map(|vm| (vm, simulation.read(VmId(vm), now))).collect();
    answers.sort_by_key(|(vm, _)| *vm);
    answers
}

/// Two VMs on one host, the first with this service and demand, the second crowding it.
fn beside(service: Service, other_ghz: f64) -> Simulation {
    simulation(Scenario::Two, |plan| {
        let calm = VmPlan { bursts_a_day: 0.0, swing: 0.0, ..VmPlan::default() };
        plan.hosts_ghz[1] = 4.0;
        plan.vms[0] = VmPlan { service: Some(service), demand_ghz: 0.5, ..calm.clone() };
        plan.vms[1] = VmPlan { demand_ghz: other_ghz, ..calm };
    })
}

/// The first VM after an hour on the second's host.
fn crowded(service: Service, other_ghz: f64) -> Reading {
    let mut simulation = beside(service, other_ghz);
    simulation.start(route(0, 0, 1), START);
    read(&mut simulation, 0, after(3_600))
}

#[test]
fn the_same_seed_gives_the_same_answers_and_another_seed_others() {
    let run = |seed| {
        let mut simulation = fleet(seed);
        let mut told = Vec::new();
        for minute in 1..60 {
            simulation.advance(after(minute * 60), &mut told);
            told.extend(read_all(&mut simulation, 0..FLEET_VMS, after(minute * 60)).into_iter().map(|(_, e)| e));
        }
        told
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_reads_does_not_matter(
        seed in 0..1_000_u64,
        order in Just((0..FLEET_VMS).collect::<Vec<_>>()).prop_shuffle(),
        times in prop::collection::vec(1..400_i64, 1..8),
    ) {
        let (mut a, mut b) = (fleet(seed), fleet(seed));
        let mut seconds = 0;
        for step in times {
            seconds += step;
            let one = read_all(&mut a, 0..FLEET_VMS, after(seconds));
            let other = read_all(&mut b, order.iter().copied(), after(seconds));
            prop_assert_eq!(one, other);
        }
        prop_assert_eq!(advance(&mut a, after(seconds)), advance(&mut b, after(seconds)));
    }

    #[test]
    fn counters_agree_however_often_they_are_read(
        seed in 0..1_000_u64,
        times in prop::collection::vec(1..500_i64, 1..30),
    ) {
        let (mut often, mut once) = (fleet(seed), fleet(seed));
        let mut seconds = 0;
        for step in times {
            seconds += step;
            often.read(VmId(0), after(seconds));
            often.read(VmId(5), after(seconds));
        }
        prop_assert_eq!(often.read(VmId(0), after(seconds)), once.read(VmId(0), after(seconds)));
        prop_assert_eq!(often.read(VmId(5), after(seconds)), once.read(VmId(5), after(seconds)));
    }

    #[test]
    fn how_often_it_is_advanced_does_not_matter(seed in 0..100_u64, ticks in prop::collection::vec(1..9_000_i64, 1..60)) {
        let (mut ticked, mut once) = (fleet(seed), fleet(seed));
        let (mut now, mut told) = (START, Vec::new());
        for ms in ticks {
            now += Span::from_millis(ms);
            ticked.advance(now, &mut told);
            prop_assert!(ticked.next_event() > now);
        }
        prop_assert_eq!(told, advance(&mut once, now));
    }
}

#[test]
fn a_crowded_host_makes_every_service_worse() {
    let number = |reading| match reading {
        Reading::Raw(v) | Reading::AtLeast(v) => v,
        other => panic!("no number: {other:?}"),
    };
    for (service, worse_is_more) in [(Service::Mysql, true), (Service::Apache, false), (Service::Http, true)] {
        let (calm, busy) = (number(crowded(service, 0.5)), number(crowded(service, 3.3)));
        assert_eq!(busy > calm, worse_is_more, "{service:?}: {calm} with room, {busy} crowded");
        assert_ne!(busy, calm);
    }
}

#[test]
fn an_answer_past_the_deadline_is_at_least_that() {
    assert_eq!(crowded(Service::Http, 40.0), Reading::AtLeast(2_500.0));
}

#[test]
fn load_is_what_the_vms_want_of_what_there_is() {
    let mut simulation = beside(Service::Mysql, 2.0);
    let (empty, full) = (simulation.load(HostId(2), START), simulation.load(HostId(1), START));
    assert_eq!(empty, 0.0);
    assert!((full - simulation.demand_of(VmId(1), START) / 4.0).abs() < 1e-12);
    let expected = full + simulation.demand_of(VmId(0), after(60)) / 4.0;
    simulation.start(route(0, 0, 1), START);
    advance(&mut simulation, after(60));
    assert!((simulation.load(HostId(1), after(60)) - expected).abs() < 0.1);
}

#[test]
fn a_vm_that_wants_more_than_it_may_have_takes_no_more_and_is_slow_anywhere() {
    let limited = |limit_ghz| {
        simulation(Scenario::One, |plan| {
            let demand_ghz = 2.0;
            plan.vms[0] =
                VmPlan { service: Some(Service::Http), demand_ghz, limit_ghz, bursts_a_day: 0.0, ..VmPlan::default() };
        })
    };
    let (mut free, mut tight) = (limited(None), limited(Some(1.0)));
    assert_eq!(tight.demand_of(VmId(0), START), 1.0);
    assert!(free.demand_of(VmId(0), START) > 1.5);
    assert!(matches!(read(&mut tight, 0, START), Reading::AtLeast(_)));
    assert!(raw(&mut free, 0, START) < 400.0);
}

#[test]
fn a_silent_service_is_a_gap_with_its_reason() {
    let silence = Stretch { from: after(60), to: after(180), text: "connection refused".into() };
    let mut simulation = simulation(Scenario::One, |plan| plan.vms[0].silences.push(silence));
    assert!(matches!(read(&mut simulation, 0, after(59)), Reading::Raw(_)));
    assert_eq!(read(&mut simulation, 0, after(60)), Reading::Gap("connection refused".to_owned()));
    assert!(matches!(read(&mut simulation, 0, after(180)), Reading::Raw(_)));
}
