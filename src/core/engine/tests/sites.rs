//! The site policy goes away and comes home.

use super::harness::*;
use crate::core::cluster::{HostId, Pick, Span, VmId};
use crate::core::engine::{Command, Engine, Event, Gate, Happened, Target, VmState};
use crate::core::policy::{BreakEven, Decision, SiteRule};
use crate::core::queue::Rates;

const RULE: SiteRule = SiteRule::new(2);

fn settle(world: &mut World) {
    world.run_for(Span::from_mins(2));
}

#[test]
fn big_queues_are_worked_away_and_small_ones_at_home() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.report(queue(1, false));
    assert!(world.decisions().is_empty());
    world.shows(queue(2, false));
    assert_eq!(world.host(), "x1");
    settle(&mut world);
    world.shows(queue(5, true));
    world.shows(queue(1, true));
    assert_eq!(world.host(), "x1", "the job in hand is finished first");
    world.shows(queue(1, false));
    assert_eq!(world.host(), "h2");
    assert_eq!(world.decisions(), [Decision::MoveAway, Decision::MoveHome]);
}

#[test]
fn nothing_in_hand_away_from_home_three_polls_long_leads_home() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.shows(queue(2, false));
    world.report(idle());
    // The settle's end is a baseline; what a worker says by itself at a queue's end is no poll.
    world.run_for(Span::from_secs(45 + 60 + 60));
    world.report(idle());
    assert_eq!(world.host(), "x1", "two empty polls");
    world.run_for(Span::from_secs(60 + 6));
    assert_eq!(world.host(), "h2");
}

#[test]
fn the_break_even_binds_if_it_is_required() {
    let rule = SiteRule { break_even: BreakEven::Require, ..RULE };
    let mut world = World::new(two_sites(rule), always(0.0));
    // Nine tenths of an hour at home, and four times as fast away: 36 minutes saved of 15 on the way and back.
    let mut small = queue(2, false);
    small.claims[0].status.left = vec![("a".to_owned(), 1), ("b".to_owned(), 10)];
    world.report(small);
    assert!(world.decisions().is_empty(), "3/4 of 30 minutes are not more than 1.5 times 15");
    world.report(queue(2, false));
    assert_eq!(world.decisions(), [Decision::MoveAway]);
    let reason = world.pick(|what| match what {
        Happened::Decision { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let figures = "a move pays: it saves 38 min, out and back take 15 min, margin 1.5";
    assert_eq!(reason, [format!("2 big jobs of 12, at or above 2; {figures}")]);
}

#[test]
fn a_break_even_that_is_required_and_not_known_blocks_and_says_which_rate_is_missing() {
    let rule = SiteRule { break_even: BreakEven::Require, ..RULE };
    let mut world = World::new(two_sites(rule), always(0.0));
    let unknown = |jobs: i64| {
        let mut look = queue(2, false);
        let worker = look.worker.as_mut().unwrap();
        worker.rates = Rates::default();
        for (site, grade, finished) in [("home", "a", 5), ("home", "b", 5), ("cloud", "a", jobs), ("cloud", "b", 5)] {
            (0..finished).for_each(|_| worker.rates.add(site, grade, Span::from_mins(9), 1));
        }
        look
    };
    let gate = |detail: &str| (Gate::Quality, detail.to_owned());
    for _ in 0..3 {
        world.report(unknown(3));
    }
    let missing = "whether a move pays is unknown: a has 3 of 5 finished jobs in cloud";
    assert_eq!(world.blocked(), [gate(missing)], "said once");
    assert!(world.why().ends_with(&format!("does not go to cloud: {missing}")), "{}", world.why());
    let mut shown = World::new(two_sites(RULE), always(0.0));
    shown.report(unknown(3));
    assert_eq!(shown.decisions(), [Decision::MoveAway], "shown, and not binding");
}

#[test]
fn the_best_host_of_another_site_need_not_be_better_than_here() {
    let mut cluster = two_sites(RULE);
    cluster.arrays[1].pick = Pick::Best;
    let mut world = World::new(cluster, always(0.0));
    let idle = crate::core::cluster::HostState::Up;
    world.tell(Event::Host { host: HostId(0), state: idle, load: Some(0.0), why: None });
    world.shows(queue(2, false));
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
    world.queue = Some(idle());
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
    for (seen, expected) in [(queue(1, true), 1), (queue(1, false), 1), (queue(1, true), 1), (idle(), 2), (idle(), 2)] {
        world.report(seen);
        assert_eq!(samples(&world), expected);
    }
}

#[test]
fn after_a_restart_it_is_at_the_other_site_still() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.shows(queue(2, false));
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
    world.report(queue(1, false));
    assert_eq!(world.states(), [VmState::Stale, VmState::Watching]);
    let sampled = world.pick(|what| match what {
        Happened::Sample { state, .. } => Some(*state),
        _ => None,
    });
    assert_eq!(sampled, [VmState::Watching]);
}

#[test]
fn a_vm_without_another_site_works_where_it_is_and_its_policy_decides_nothing() {
    let mut cluster = two_sites(RULE);
    cluster.vms[0].away = None;
    let mut world = World::new(cluster, always(0.0));
    world.report(idle());
    let never = "it has no array at another site: it never moves";
    assert_eq!(world.why(), format!("nothing in hand in home: {never}"));
    world.shows(queue(9, true));
    world.run_for(Span::from_mins(10));
    assert_eq!((world.decisions(), world.blocked()), (Vec::new(), Vec::new()));
    assert!(world.why().ends_with(&format!("; {never}")) && world.why().contains("through in "), "{}", world.why());
    let refused = |world: &mut World| {
        world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Away });
        world.answers.last().unwrap().clone()
    };
    assert_eq!(refused(&mut world), (false, "nii1 stays: it has no other site to go to".to_owned()));
}

#[test]
fn a_claim_that_cannot_be_read_is_a_gap_and_nothing_is_concluded_from_it() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.shows(queue(2, false));
    assert_eq!(world.host(), "x1");
    let mut damaged = queue(0, false);
    damaged.claims[0].trouble = Some("its status.json is damaged".to_owned());
    world.queue = Some(damaged);
    world.run_for(Span::from_mins(5));
    assert_eq!((world.host(), world.decisions().len()), ("x1", 1), "no small queue that goes home");
    assert_eq!(world.engine.state(VmId(0)), VmState::Stale);
    assert!(world.why().contains("its status.json is damaged"), "{}", world.why());
}

#[test]
fn going_away_and_home_again_and_again_is_no_flapping() {
    let mut cluster = two_sites(RULE);
    cluster.limits.flap_window = Some(Span::from_hours(24));
    let mut world = World::new(cluster, always(0.0));
    for _ in 0..4 {
        world.shows(queue(2, false));
        settle(&mut world);
        world.shows(queue(1, false));
        settle(&mut world);
    }
    assert_eq!((world.requests().len(), world.alarms().len()), (8, 0));
}

#[test]
fn a_cooldown_blocks_a_big_queue_once_and_lets_it_go_when_it_is_over() {
    let mut cluster = two_sites(RULE);
    cluster.limits.cooldown = Span::from_mins(30);
    let mut world = World::new(cluster, always(0.0));
    world.shows(queue(2, false));
    settle(&mut world);
    world.shows(queue(1, false));
    world.run_for(Span::from_mins(10));
    let [(gate, distance)] = &world.blocked()[..] else { panic!("{:?}", world.blocked()) };
    assert_eq!((*gate, world.host()), (Gate::Cooldown, "x1"));
    assert!(distance.ends_with(" left") && world.why().contains("blocked by cooldown: "), "{}", world.why());
    world.run_for(Span::from_mins(20));
    assert_eq!(world.host(), "h2");
}

#[test]
fn a_held_vm_decides_nothing_and_goes_when_it_is_released() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.command(Command::Hold { vm: "nii1".to_owned() });
    world.shows(queue(2, false));
    assert_eq!((world.decisions().len(), world.host()), (0, "h1"));
    world.command(Command::Release { vm: "nii1".to_owned() });
    world.run_for(Span::from_secs(66));
    assert_eq!(world.host(), "x1");
}
