//! nii4's life: claim, work, move with the queue in hand, go on; and what it is asked meanwhile.

use super::*;
use crate::core::queue::{Retry, SILENT_AFTER, Stop, WorkerOrder, WorkerState};
use crate::core::simulation::Outage;

fn three() -> Simulation {
    simulation(Scenario::Three, |_| {})
}

/// What is told of the queues that are in hand: at claims and at the ends of jobs.
fn told(told: &[Event]) -> Vec<Option<ClaimStatus>> {
    let status = |event: &Event| match event {
        Event::Queue { look, .. } => Some(look.hand().map(|claim| claim.status.clone())),
        _ => None,
    };
    told.iter().filter_map(status).collect()
}

fn order(stop: Stop, now: Timestamp, until: Option<Timestamp>) -> Option<WorkerOrder> {
    Some(WorkerOrder { stop, by: "root".to_owned(), why: String::new(), at: now, until })
}

#[test]
fn a_queue_is_claimed_by_its_worker_once_it_has_come() {
    let mut simulation = three();
    assert_eq!(queue(&mut simulation, 0, START), None);
    let events = advance(&mut simulation, after(150));
    let claimed = told(&events)[0].clone().expect("the first queue");
    assert_eq!((claimed.page.as_str(), claimed.done.len(), claimed.vm.as_str()), ("queue-1", 0, "nii4"));
    assert!(claimed.big >= 2 && claimed.total() > claimed.big && claimed.left == claimed.grades);
    let seen = look(&mut simulation, 0, after(150));
    assert!(seen.is_alive() && seen.in_job() && !seen.waits());
}

#[test]
fn a_look_changes_nothing() {
    let (mut looked, mut left) = (three(), three());
    for minute in 0..90 {
        look(&mut looked, 0, after(minute * 60));
    }
    advance(&mut looked, after(5_400));
    advance(&mut left, after(5_400));
    assert_eq!(look(&mut looked, 0, after(5_400)), look(&mut left, 0, after(5_400)));
}

#[test]
fn every_job_ends_with_a_look_in_which_none_is_worked() {
    let mut simulation = three();
    let looks = told(&advance(&mut simulation, after(2 * 86_400)));
    let first: Vec<_> = looks.iter().flatten().filter(|status| status.page == "queue-1").collect();
    let total = first[0].total();
    assert_eq!(first.len() as u32, total, "the claim and every job but the last, which tells what comes next");
    let finished = |status: &ClaimStatus| status.done.len() + status.failed.len();
    assert!(first.iter().enumerate().all(|(n, status)| finished(status) == n as u32 && status.hand.is_empty()));
    assert!(first.is_sorted_by(|a, b| finished(a) < finished(b)));
    let left = |status: &ClaimStatus| status.left.iter().map(|(_, jobs)| jobs).sum::<u32>();
    assert!(first.iter().all(|status| left(status) + finished(status) == total));
}

#[test]
fn rates_become_known_as_jobs_end_and_the_time_left_moves_with_the_clock() {
    let mut simulation = three();
    let before = look(&mut simulation, 0, after(150));
    assert!(before.eta("oslo", after(150)).expect("in hand").is_ok());
    let unknown = before.eta("cloud", after(150)).expect("in hand").expect_err("too few jobs");
    assert_eq!(unknown.to_string(), "grade c has 3 of 5 finished jobs in cloud");
    simulation.start(route(0, 0, 3), after(150));
    let seen = look(&mut simulation, 0, after(150 + 7_200));
    let rates = &seen.worker.as_ref().expect("a worker").rates;
    assert!(rates.job("cloud", "grade c").is_some());
    let eta = |at: i64| before.eta("oslo", after(at)).expect("in hand").expect("known").middle;
    assert_eq!(eta(150).millis() - eta(160).millis(), 10_000);
}

#[test]
fn a_queue_in_hand_goes_along_and_waits_while_it_moves() {
    let mut simulation = three();
    let before = queue(&mut simulation, 0, after(300)).expect("in hand");
    simulation.start(route(0, 0, 3), after(300));
    let way = look(&mut simulation, 0, after(400));
    assert!(!way.is_alive(), "the worker stands still with its VM");
    let minute = (6..40).find(|m| ended(&mut simulation, after(m * 60)).is_some()).expect("an end");
    let arrived = queue(&mut simulation, 0, after(minute * 60)).expect("still in hand");
    assert_eq!((&arrived.page, arrived.total(), arrived.big), (&before.page, before.total(), before.big));
    assert!(arrived.done.len() - before.done.len() <= 4 && arrived.site == "cloud");
    let an_hour = told(&advance(&mut simulation, after(minute * 60 + 3_600)));
    assert!(an_hour.iter().any(Option::is_none), "away it is through within the hour");
}

#[test]
fn the_way_out_is_told_longer_than_the_way_back_wherever_it_is() {
    let mut simulation = three();
    let mut ways = |now| match simulation.read(VmId(0), now) {
        Event::Queue { ways, .. } => (ways.out.expect("out"), ways.back.expect("back")),
        other => panic!("not a queue: {other:?}"),
    };
    let (out, back) = ways(after(10));
    assert!(out > Span::from_mins(12) && back < Span::from_mins(12));
    simulation.start(route(0, 0, 3), after(10));
    advance(&mut simulation, after(3_000));
    let mut ways = |now| match simulation.read(VmId(0), now) {
        Event::Queue { ways, .. } => (ways.out.expect("out"), ways.back.expect("back")),
        other => panic!("not a queue: {other:?}"),
    };
    assert_eq!(ways(after(3_000)), (out, back));
}

#[test]
fn a_worker_that_is_asked_claims_nothing_more_and_says_so_at_its_next_turn() {
    let mut simulation = three();
    simulation.ask(VmId(0), START, |control| control.engine = order(Stop::Claiming, START, None));
    let asked = look(&mut simulation, 0, START);
    assert!(!asked.has_stopped_claiming(), "it has not heard yet");
    let confirmed = look(&mut simulation, 0, after(6));
    assert!(confirmed.has_stopped_claiming());
    let waits = look(&mut simulation, 0, after(600));
    assert!(waits.waits() && waits.hand().is_none() && waits.open[0].name == "queue-1");
    assert!(waits.open[0].since.is_some_and(|since| since <= after(180)) && waits.open[0].grades.is_some());
    simulation.ask(VmId(0), after(600), |control| control.engine = None);
    assert_eq!(queue(&mut simulation, 0, after(620)).map(|status| status.page), Some("queue-1".to_owned()));
}

#[test]
fn an_order_ends_by_itself() {
    let mut simulation = three();
    simulation.ask(VmId(0), START, |control| control.engine = order(Stop::Claiming, START, Some(after(300))));
    assert_eq!(queue(&mut simulation, 0, after(299)), None);
    assert!(queue(&mut simulation, 0, after(320)).is_some());
}

#[test]
fn a_paused_worker_finishes_the_job_in_hand_and_begins_no_other() {
    let mut simulation = three();
    assert!(look(&mut simulation, 0, after(300)).in_job());
    simulation.ask(VmId(0), after(300), |control| control.operator = order(Stop::Working, after(300), None));
    let paused = look(&mut simulation, 0, after(900));
    let state = |look: &QueueLook| look.worker.as_ref().expect("a worker").state;
    assert_eq!((paused.in_job(), state(&paused)), (false, WorkerState::Paused));
    assert_eq!(
        look(&mut simulation, 0, after(9_000)).hand(),
        paused
            .hand()
            .cloned()
            .map(|mut claim| {
                claim.status.beat = after(9_000);
                claim
            })
            .as_ref()
    );
    simulation.ask(VmId(0), after(9_000), |control| control.operator = None);
    let goes_on = look(&mut simulation, 0, after(9_010));
    assert_eq!((goes_on.in_job(), state(&goes_on)), (true, WorkerState::Working));
}

#[test]
fn a_claim_is_returned_half_done_and_gone_on_with() {
    let mut simulation = three();
    let before = look(&mut simulation, 0, after(600));
    let claim = before.hand().expect("in hand").clone();
    assert!(!simulation.give_back(VmId(0), "nii4.other.1", after(600)));
    assert!(simulation.give_back(VmId(0), &claim.name, after(600)));
    let returned = look(&mut simulation, 0, after(600));
    assert!(returned.hand().is_none() && returned.open[0].returned && returned.open[0].name == claim.status.page);
    let again = look(&mut simulation, 0, after(616));
    let again = again.hand().expect("claimed again");
    assert_eq!((&again.status.page, &again.status.done), (&claim.status.page, &claim.status.done));
    assert_ne!(again.name, claim.name);
}

#[test]
fn a_job_that_was_set_aside_is_tried_again_and_fails_again_if_it_can_only_fail() {
    let mut simulation = three();
    let at = (10..200)
        .map(|n| after(n * 600))
        .find(|at| queue(&mut simulation, 0, *at).is_some_and(|status| !status.failed.is_empty()));
    let at = at.expect("a bad job within a day");
    let claim = look(&mut simulation, 0, at).hand().expect("in hand").clone();
    let job = claim.status.failed.iter().next().expect("a job");
    assert_eq!(simulation.error_of(VmId(0), job), Some("Divide by zero"));
    let page = simulation.page(VmId(0), &claim.status.page, at).expect("the page");
    assert_eq!(page.job(job).map(|job| (job.tag, job.work.ends_with("/0"))), Some(("grade c", true)));
    assert_eq!((page.count(), page.grades("grade a")), (claim.status.total(), claim.status.grades));
    let retry = Retry { claim: claim.name, jobs: [job].into_iter().collect() };
    simulation.ask(VmId(0), at, |control| control.retry = Some(retry));
    let heard = queue(&mut simulation, 0, at + Span::from_secs(5)).expect("in hand");
    assert!(!heard.failed.contains(job));
}

#[test]
fn nothing_is_claimed_on_the_way() {
    let mut simulation = simulation(Scenario::Fleet, |plan| plan.vms[3].memory_mb = 8_192.0);
    let ring = simulation.host_of(VmId(3)).expect("nii4");
    simulation.start(route(3, ring.0, ring.0 + 1), after(50));
    assert_eq!(queue(&mut simulation, 3, after(150)), None);
    assert!(queue(&mut simulation, 3, after(600)).is_some());
}

#[test]
fn an_outage_interrupts_the_work_and_silences_the_worker_but_not_its_queue() {
    let outage = Outage { host: HostId(0), from: after(300), lasts: Span::from_hours(3) };
    let mut simulation = simulation(Scenario::Three, |plan| plan.outages.push(outage));
    let before = queue(&mut simulation, 0, after(299)).expect("in hand");
    advance(&mut simulation, after(300));
    assert_eq!(told(&advance(&mut simulation, after(11_000))), []);
    let during = look(&mut simulation, 0, after(11_000));
    assert!(!during.is_alive() && during.at.since(during.worker.expect("a worker").beat) > SILENT_AFTER);
    let back = queue(&mut simulation, 0, after(300 + 10_802)).expect("in hand");
    assert_eq!((back.page, back.done), (before.page, before.done));
}
