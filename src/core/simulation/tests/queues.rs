//! nii4's life: claim, work, move with the queue in hand, go on.

use super::*;
use crate::core::simulation::Outage;

fn three() -> Simulation {
    simulation(Scenario::Three, |_| {})
}

fn job_ends(told: &[Event]) -> Vec<Option<QueueReport>> {
    let report = |event: &Event| match event {
        Event::Queue { report, .. } => Some(report.clone()),
        _ => None,
    };
    told.iter().filter_map(report).collect()
}

#[test]
fn a_queue_is_claimed_by_a_poll_once_it_has_come() {
    let mut simulation = three();
    assert_eq!(queue(&mut simulation, 0, START), None);
    let claimed = queue(&mut simulation, 0, after(120)).expect("the first queue");
    assert_eq!((claimed.name.as_str(), claimed.done, claimed.in_job), ("queue 1", 0, false));
    assert!(claimed.big >= 2 && claimed.total() > claimed.big);
    assert!(claimed.at_home > claimed.away && claimed.transfer > Span::from_mins(12));
}

#[test]
fn nothing_is_worked_before_it_is_claimed() {
    let mut simulation = three();
    assert_eq!(job_ends(&advance(&mut simulation, after(7_200))), []);
}

#[test]
fn every_job_ends_with_a_report_in_which_none_is_worked() {
    let mut simulation = three();
    let claimed = queue(&mut simulation, 0, after(120)).expect("the first queue");
    let reports = job_ends(&advance(&mut simulation, after(2 * 86_400)));
    let first: Vec<_> = reports.iter().flatten().filter(|r| r.name == claimed.name).collect();
    assert_eq!(first.len() as u32, claimed.total() - 1, "the last job's report is of what comes next");
    assert!(first.iter().enumerate().all(|(n, r)| r.done == n as u32 + 1 && !r.in_job && r.big == claimed.big));
    assert!(first.is_sorted_by(|a, b| a.at_home > b.at_home));
}

#[test]
fn a_queue_in_hand_goes_along_and_waits_while_it_moves() {
    let mut simulation = three();
    queue(&mut simulation, 0, after(120));
    advance(&mut simulation, after(300));
    let before = queue(&mut simulation, 0, after(300)).expect("in hand");
    assert!(before.done > 0 && before.in_job);
    simulation.start(route(0, 0, 3), after(300));
    let minute = (6..40).find(|m| ended(&mut simulation, after(m * 60)).is_some()).expect("an end");
    let arrived = queue(&mut simulation, 0, after(minute * 60)).expect("still in hand");
    assert_eq!((&arrived.name, arrived.total(), arrived.big), (&before.name, before.total(), before.big));
    assert!(arrived.done - before.done <= 2 && arrived.transfer < before.transfer);
    let an_hour = job_ends(&advance(&mut simulation, after(minute * 60 + 3_600)));
    assert!(an_hour.iter().any(Option::is_none), "away it is through within the hour");
}

#[test]
fn nothing_is_claimed_on_the_way() {
    let mut simulation = simulation(Scenario::Fleet, |plan| plan.vms[3].memory_mb = 8_192.0);
    let ring = simulation.host_of(VmId(3)).expect("nii4");
    simulation.start(route(3, ring.0, ring.0 + 1), after(90));
    assert_eq!(queue(&mut simulation, 3, after(150)), None);
    assert!(queue(&mut simulation, 3, after(600)).is_some());
}

#[test]
fn an_outage_interrupts_the_work() {
    let outage = Outage { host: HostId(0), from: after(300), lasts: Span::from_hours(3) };
    let mut simulation = simulation(Scenario::Three, |plan| plan.outages.push(outage));
    queue(&mut simulation, 0, after(120));
    advance(&mut simulation, after(299));
    let before = queue(&mut simulation, 0, after(299)).expect("in hand");
    assert_eq!(job_ends(&advance(&mut simulation, after(11_000))), []);
    assert_eq!(read(&mut simulation, 0, after(11_000)), Reading::Gap("no answer".to_owned()));
    let back = queue(&mut simulation, 0, after(300 + 10_802)).expect("in hand");
    assert_eq!((back.name, back.done), (before.name, before.done));
}
