//! The site policy goes away and comes home.

use super::harness::*;
use crate::core::cluster::{Array, ArrayId, Cluster, Direction, HostId, Pick, Site, SiteId, Span, VmId};
use crate::core::engine::{Command, Engine, Event, Happened, QueueReport, Target, VmState};
use crate::core::policy::{BreakEven, Decision, Rule, Settings, SiteRule};

fn two_sites(rule: SiteRule) -> Cluster {
    let mut cluster = cluster(2, Settings::new(Rule::Site(rule), Direction::HigherIsWorse));
    cluster.sites.push(Site { name: "cloud".into(), home: false });
    let mut away = host("x1");
    away.array = ArrayId(1);
    cluster.hosts.push(away);
    let ring = vec![HostId(3)];
    cluster.arrays.push(Array { name: "c".into(), site: SiteId(1), ring, base: None, pick: Pick::Next });
    cluster.vms[0].away = Some(ArrayId(1));
    cluster
}

const RULE: SiteRule = SiteRule { threshold: 2, home_tarry: 3, break_even: BreakEven::Show, margin: 1.5 };

fn queue(big: u32, in_job: bool) -> Option<QueueReport> {
    Some(QueueReport {
        name: "q1".to_owned(),
        grades: vec![("a".to_owned(), big), ("b".to_owned(), 10)],
        big,
        done: 0,
        in_job,
        at_home: Span::from_mins(60),
        away: Span::from_mins(20),
        transfer: Span::from_mins(10),
    })
}

fn report(world: &mut World, report: Option<QueueReport>) {
    world.tell(Event::Queue { vm: VmId(0), report });
}

fn settle(world: &mut World) {
    world.run_for(Span::from_mins(2));
}

#[test]
fn big_queues_are_worked_away_and_small_ones_at_home() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    report(&mut world, queue(1, false));
    assert!(world.decisions().is_empty());
    report(&mut world, queue(2, false));
    assert_eq!(world.host(), "x1");
    settle(&mut world);
    report(&mut world, queue(5, true));
    report(&mut world, queue(1, true));
    assert_eq!(world.host(), "x1", "the job in hand is finished first");
    report(&mut world, queue(1, false));
    assert_eq!(world.host(), "h2");
    assert_eq!(world.decisions(), [Decision::MoveAway, Decision::MoveHome]);
}

#[test]
fn nothing_in_hand_away_from_home_three_polls_long_leads_home() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    report(&mut world, queue(2, false));
    report(&mut world, None);
    // The settle's end is a baseline; what a worker says by itself at a queue's end is no poll.
    world.queue = Some(None);
    world.run_for(Span::from_secs(45 + 60 + 60));
    report(&mut world, None);
    assert_eq!(world.host(), "x1", "two empty polls");
    world.run_for(Span::from_secs(60));
    assert_eq!(world.host(), "h2");
}

#[test]
fn the_break_even_binds_if_it_is_required() {
    let rule = SiteRule { break_even: BreakEven::Require, ..RULE };
    let mut world = World::new(two_sites(rule), always(0.0));
    let mut dear = queue(9, false).unwrap();
    dear.at_home = Span::from_mins(45);
    report(&mut world, Some(dear));
    assert!(world.decisions().is_empty(), "45 is not more than 1.5 times 30");
    report(&mut world, queue(9, false));
    assert_eq!(world.decisions(), [Decision::MoveAway]);
}

#[test]
fn the_best_host_of_another_site_need_not_be_better_than_here() {
    let mut cluster = two_sites(RULE);
    cluster.arrays[1].pick = Pick::Best;
    let mut world = World::new(cluster, always(0.0));
    let idle = crate::core::cluster::HostState::Up;
    world.tell(Event::Host { host: HostId(0), state: idle, load: Some(0.0), why: None });
    report(&mut world, queue(2, false));
    assert_eq!(world.host(), "x1");
}

#[test]
fn an_operator_sends_a_vm_away_and_home_by_hand() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    let host = |name: &str| Target::Host(name.to_owned());
    for target in
        [Target::Home, Target::Away, Target::Away, host("h2"), host("x1"), Target::Home, Target::Base, Target::Next]
    {
        world.command(Command::Move { vm: "nii1".to_owned(), target });
    }
    let actions = world.pick(|what| match what {
        Happened::Request { action, .. } => Some(*action),
        _ => None,
    });
    let (away, home) = (Decision::MoveAway, Decision::MoveHome);
    let ended = vec![away, home, away, home, Decision::MoveToBase, Decision::Move];
    assert_eq!((actions, world.host()), (ended, "h2"));
    let refused: Vec<&str> = world.answers.iter().filter(|(ok, _)| !ok).map(|(_, text)| text.as_str()).collect();
    assert_eq!(refused, ["nii1 stays: it is in a already", "nii1 stays: it is in c already"]);
}

#[test]
fn a_poll_is_recorded_with_the_tarries_of_a_site_policy() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.queue = Some(None);
    world.run_for(Span::from_mins(1));
    let tarries = world.pick(|what| match what {
        Happened::Sample { tarry, low_tarry, .. } => Some((*tarry, *low_tarry)),
        _ => None,
    });
    assert_eq!(tarries, [(1, 3)]);
}

#[test]
fn the_beginning_and_the_end_of_a_queue_are_samples_and_the_jobs_between_are_not() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    let samples = |world: &World| world.counts().len();
    for (seen, expected) in [(queue(1, true), 1), (queue(1, false), 1), (queue(1, true), 1), (None, 2), (None, 2)] {
        report(&mut world, seen);
        assert_eq!(samples(&world), expected);
    }
}

#[test]
fn after_a_restart_it_is_at_the_other_site_still() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    report(&mut world, queue(2, false));
    let kept = [("nii1".to_owned(), world.engine.keep(VmId(0)))];
    let whole = world.engine.keep_cluster(world.now);
    world.engine = Engine::restored(two_sites(RULE), world.now, &kept, Some(whole));
    assert_eq!(world.host(), "x1");
}

#[test]
fn the_first_look_at_a_queue_ends_being_stale_and_that_is_said_at_once() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    for _ in 0..3 {
        world.tell(Event::Reading { vm: VmId(0), reading: crate::core::cluster::Reading::Gap("refused".to_owned()) });
    }
    assert_eq!(world.states(), [VmState::Stale]);
    report(&mut world, queue(1, false));
    assert_eq!(world.states(), [VmState::Stale, VmState::Watching]);
    let sampled = world.pick(|what| match what {
        Happened::Sample { state, .. } => Some(*state),
        _ => None,
    });
    assert_eq!(sampled, [VmState::Watching]);
}
