//! Migrations: preflight, pre-copy, between sites, aborts, and those that come to nothing.

use super::*;
use crate::core::cluster::Transfer;
use Presence::{Absent, Runs};

fn one(change: impl FnOnce(&mut Plan)) -> Simulation {
    simulation(Scenario::One, |plan| {
        plan.vms[0].bursts_a_day = 0.0;
        change(plan);
    })
}

#[test]
fn a_move_is_refused_when_the_vm_is_elsewhere_or_already_moves() {
    let mut simulation = one(|_| {});
    assert_eq!(refusal(&mut simulation, route(0, 0, 1), START), None);
    assert!(refusal(&mut simulation, route(0, 2, 1), START).is_some_and(|why| why.contains("source")));
    simulation.start(route(0, 0, 1), START);
    let second = Route { id: RequestId(8), ..route(0, 0, 2) };
    assert!(refusal(&mut simulation, second, after(1)).is_some_and(|why| why.contains("another migration")));
}

#[test]
fn a_live_migration_runs_at_the_source_until_it_ends() {
    let mut simulation = one(|plan| plan.vms[0].memory_mb = 4_096.0);
    let there = route(0, 0, 1);
    simulation.start(there, START);
    assert_eq!(presence(&mut simulation, there, after(20)), (Runs, Absent));
    assert_eq!(simulation.host_of(VmId(0)), Some(HostId(0)));
    let detail = ended(&mut simulation, after(60)).expect("an end");
    assert!(detail.ends_with(" ms down"), "{detail}");
    assert_eq!(presence(&mut simulation, there, after(60)), (Absent, Runs));
    assert_eq!(simulation.host_of(VmId(0)), Some(HostId(1)));
}

#[test]
fn progress_comes_twice_a_second_in_figures_too_and_rises() {
    let mut simulation = one(|plan| plan.vms[0].memory_mb = 4_096.0);
    simulation.start(route(0, 0, 1), START);
    let told = advance(&mut simulation, after(10));
    let progress = told.into_iter().filter_map(|event| match event {
        Event::Progress { percent, detail, transfer, .. } => Some((percent, detail, transfer.expect("figures"))),
        _ => None,
    });
    let progress: Vec<(u8, String, Transfer)> = progress.collect();
    assert_eq!(progress.len(), 20);
    assert!(progress.is_sorted_by_key(|(percent, ..)| *percent) && progress.iter().all(|(percent, ..)| *percent < 100));
    let (_, detail, figures) = &progress[0];
    assert!(detail.starts_with("round 1 of ") && detail.ends_with("B left"), "{detail}");
    assert_eq!((figures.total, figures.sent + figures.left, figures.rounds), (4_096_000_000, 4_096_000_000, 1));
    assert!(figures.downtime.is_some_and(|downtime| downtime > Span::from_secs(30)));
}

#[test]
fn what_a_move_will_be_like_is_told_before_it_starts() {
    let forecast = |simulation: &mut Simulation, route| match simulation.preflight(route, START) {
        Event::Preflight { forecast, .. } => forecast,
        other => panic!("not a preflight: {other:?}"),
    };
    let told = forecast(&mut one(|_| {}), route(0, 0, 1)).expect("a forecast");
    assert!(told.starts_with("about ") && told.ends_with(" rounds"), "{told}");
    let told = forecast(&mut one(|plan| plan.vms[0].dirty_mb_s = 300.0), route(0, 0, 1)).expect("a forecast");
    assert!(told.starts_with("will not converge: writes "), "{told}");
    let told = forecast(&mut simulation(Scenario::Three, |_| {}), route(0, 0, 3)).expect("a forecast");
    assert!(told.ends_with(", stopped all the while"), "{told}");
    assert_eq!(forecast(&mut one(|_| {}), route(0, 2, 1)), None, "it is refused");
}

#[test]
fn a_vm_that_writes_faster_than_the_network_sends_stays_where_it_is() {
    let mut simulation = one(|plan| plan.vms[0].dirty_mb_s = 300.0);
    let there = route(0, 0, 1);
    simulation.start(there, START);
    assert_eq!(ended(&mut simulation, after(60)), None);
    let detail = ended(&mut simulation, after(200)).expect("given up");
    assert!(detail.starts_with("did not converge in 29 rounds"), "{detail}");
    assert_eq!(presence(&mut simulation, there, after(200)), (Runs, Absent));
}

#[test]
fn an_abort_ends_soon_at_the_source() {
    let mut simulation = one(|plan| plan.vms[0].memory_mb = 8_192.0);
    let there = route(0, 0, 1);
    simulation.start(there, START);
    simulation.abort(there, after(10));
    assert!(simulation.next_event() <= after(11));
    assert!(ended(&mut simulation, after(12)).is_some_and(|detail| detail.starts_with("aborted")));
    assert_eq!(presence(&mut simulation, there, after(12)), (Runs, Absent));
    assert_eq!(ended(&mut simulation, after(600)), None, "it ends once");
    assert_eq!(simulation.host_of(VmId(0)), Some(HostId(0)));
}

#[test]
fn an_abort_that_comes_too_late_changes_nothing() {
    let mut simulation = one(|_| {});
    let there = route(0, 0, 1);
    simulation.start(there, START);
    simulation.abort(there, after(4));
    assert!(ended(&mut simulation, after(10)).is_some_and(|detail| detail.ends_with("down")));
    assert_eq!(presence(&mut simulation, there, after(10)), (Absent, Runs));
}

#[test]
fn between_sites_it_runs_nowhere_for_minutes_and_home_is_nearer() {
    let mut simulation = simulation(Scenario::Three, |_| {});
    let there = route(0, 0, 3);
    simulation.start(there, START);
    assert_eq!(presence(&mut simulation, there, after(60)), (Absent, Absent));
    assert!(!look(&mut simulation, 0, after(60)).is_alive(), "its worker stands still too");
    let took = |simulation: &mut Simulation, begun: i64| {
        let minutes = (1..40).find(|m| ended(simulation, after(begun + m * 60)).is_some());
        minutes.expect("an end within 40 minutes")
    };
    let away = took(&mut simulation, 0);
    assert_eq!(presence(&mut simulation, there, after(away * 60)), (Absent, Runs));
    let back = Route { id: RequestId(8), ..route(0, 3, 1) };
    simulation.start(back, after(3_600));
    let home = took(&mut simulation, 3_600);
    assert!((12..=22).contains(&away) && (3..=13).contains(&home), "{away} {home}");
}

#[test]
fn a_counter_moves_along() {
    let mut simulation = one(|_| {});
    let before = raw(&mut simulation, 0, after(600));
    simulation.start(route(0, 0, 1), after(600));
    let later = raw(&mut simulation, 0, after(660));
    assert!(before > 500.0 && later > before);
}
