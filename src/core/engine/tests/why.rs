//! The why line: one for every state, which says what comes next.

use super::harness::*;
use crate::core::cluster::{ArrayId, Direction, HostId, IndicatorKind, Mode, Reading, Span, VmId};
use crate::core::engine::{Command, Event, QueueReport, Target};
use crate::core::policy::{Bound, BreakEven, Rule, Settings, SiteRule};

fn after(minutes: i64, cluster: crate::core::cluster::Cluster, samples: &[f64]) -> World {
    let mut world = World::new(cluster, values(samples));
    world.run_for(Span::from_mins(minutes));
    world
}

/// Readings come at a second of the minute that is the VM's own: what is said of the next one is left out.
fn why(world: &World) -> String {
    let why = world.why();
    let Some((before, rest)) = why.split_once("next in ") else { return why };
    let end = rest.find([')', ';']).unwrap_or(rest.len());
    format!("{before}next{}", &rest[end..])
}

#[test]
fn before_the_first_reading_nothing_is_counted() {
    let world = World::new(cluster(3, threshold()), always(60.0));
    assert_eq!(why(&world), "nothing counted yet; next");
}

#[test]
fn a_count_says_how_many_samples_are_missing_and_what_the_last_of_them_leads_to() {
    let world = after(1, cluster(3, threshold()), &[60.0]);
    assert_eq!(why(&world), "count 1 of 3: 2 more samples beyond 50 in a row (next)");
    let world = after(2, cluster(3, threshold()), &[60.0]);
    assert_eq!(why(&world), "count 2 of 3: one more sample beyond 50 (next) moves it to h2");
    let mut asking = cluster(3, threshold());
    asking.mode = Mode::Ask;
    let world = after(2, asking.clone(), &[60.0]);
    assert_eq!(why(&world), "count 2 of 3: one more sample beyond 50 (next) asks to move it to h2");
    asking.mode = Mode::Observe;
    let world = after(2, asking, &[60.0]);
    let blocked = "would be blocked by mode: observe: decisions are logged only";
    assert_eq!(why(&world), format!("count 2 of 3: one more sample beyond 50 (next) {blocked}"));
}

#[test]
fn a_low_count_names_the_side_on_which_the_indicator_is_too_good() {
    let world = after(18, cluster(3, base()), &[0.0]);
    assert_eq!(why(&world), "low count 18 of 20: 2 more samples below 1 in a row (next)");
    let world = after(19, cluster(3, base()), &[0.0]);
    assert_eq!(why(&world), "low count 19 of 20: one more sample below 1 (next) moves it to base");
    let (high, low) = (Bound { at: 5.0, tarry: 3 }, Bound { at: 20.0, tarry: 3 });
    let fewer_are_worse = Settings::new(Rule::Base { high, low }, Direction::LowerIsWorse);
    let world = after(1, cluster(3, fewer_are_worse.clone()), &[25.0]);
    assert_eq!(why(&world), "low count 1 of 3: 2 more samples above 20 in a row (next)");
    let world = after(1, cluster(3, fewer_are_worse), &[7.5]);
    assert_eq!(why(&world), "in bounds: 7.5 /min, at least 5 is fine; next");
}

#[test]
fn a_value_in_bounds_is_said_with_the_bound() {
    let world = after(1, cluster(3, threshold()), &[0.125]);
    assert_eq!(why(&world), "in bounds: 0.125 /min, at most 50 is fine; next");
    let world = after(1, cluster(3, threshold()), &[49.96]);
    assert_eq!(why(&world), "in bounds: 50 /min, at most 50 is fine; next");
}

#[test]
fn gaps_say_when_the_vm_is_stale() {
    let world = after(2, cluster(3, threshold()), &[60.0, f64::NAN]);
    assert_eq!(why(&world), "no value: refused; counts stand, stale after 2 more");
    let world = after(4, cluster(3, threshold()), &[60.0, f64::NAN]);
    assert_eq!(why(&world), "stale: no value 3 times in a row (refused); the first good sample counts");
}

#[test]
fn a_baseline_after_a_move_is_no_missing_value() {
    let mut counter = cluster(3, threshold());
    counter.vms[0].indicator.kind = IndicatorKind::Counter;
    let mut world = World::new(counter, always(1_000.0));
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    world.command(Command::Release { vm: "nii1".to_owned() });
    world.run_for(Span::from_secs(50));
    assert_eq!(why(&world), "nothing counted yet; next");
}

#[test]
fn a_request_that_waits_and_a_settle_say_how_long() {
    let mut asking = cluster(3, threshold());
    asking.mode = Mode::Ask;
    let mut world = World::new(asking, always(60.0));
    world.run_for(Span::from_mins(3));
    assert!(why(&world).starts_with("request #1 to h2 waits for approval, lapses in "), "{}", why(&world));
    world.command(Command::Approve { vm: "nii1".to_owned() });
    assert_eq!(why(&world), "settling 45 s more after the move, then a baseline is read");
    world.run_for(Span::from_secs(44));
    assert_eq!(why(&world), "settling 1 s more after the move, then a baseline is read");
}

#[test]
fn a_migration_names_who_wanted_it_and_how_far_it_is() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.moves = Moves::Slow;
    world.run_for(Span::from_mins(3));
    let id = world.engine.migrations().next().unwrap().route.id;
    let progress = |detail: &str| Event::Progress { id, percent: 40, detail: detail.to_owned(), transfer: None };
    world.tell(progress(""));
    assert!(why(&world).starts_with("moving to h2 for its policy: 40% after "), "{}", why(&world));
    world.tell(progress("copying"));
    assert!(why(&world).ends_with(", copying"), "{}", why(&world));
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::Slow;
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert!(why(&world).starts_with("moving to h2 for an operator: 0% after "), "{}", why(&world));
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::Slow;
    world.command(Command::Drain { host: "h1".to_owned() });
    assert!(why(&world).starts_with("moving to h2 for the draining of its host: 0% after "), "{}", why(&world));
}

#[test]
fn a_service_too_busy_to_answer_is_said_in_the_reason_of_the_decision() {
    let reason = |reading: Reading| {
        let mut world = World::new(cluster(3, threshold()), move |_, _| reading.clone());
        world.run_for(Span::from_mins(3));
        world.pick(|what| match what {
            crate::core::engine::Happened::Decision { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    };
    assert_eq!(reason(Reading::Busy), ["too busy to answer, > 50 for 3 samples"]);
    assert_eq!(reason(Reading::AtLeast(2_500.0)), ["≥2500 /min > 50 for 3 samples"]);
    assert_eq!(reason(Reading::Raw(62.5)), ["62.5 /min > 50 for 3 samples"]);
}

fn site(break_even: BreakEven) -> World {
    let rule = SiteRule { threshold: 2, home_tarry: 3, break_even, margin: 1.5 };
    let mut cluster = cluster(2, Settings::new(Rule::Site(rule), Direction::HigherIsWorse));
    let mut away = host("x1");
    away.array = ArrayId(1);
    cluster.hosts.push(away);
    let ring = vec![HostId(3)];
    let pick = crate::core::cluster::Pick::Next;
    let (name, site) = ("c".into(), crate::core::cluster::SiteId(1));
    cluster.arrays.push(crate::core::cluster::Array { name, site, ring, base: None, pick });
    cluster.sites.push(crate::core::cluster::Site { name: "cloud".into(), home: false });
    cluster.vms[0].away = Some(ArrayId(1));
    World::new(cluster, always(0.0))
}

fn queue(big: u32, away: Span) -> Event {
    let grades = vec![("a".to_owned(), big), ("b".to_owned(), 10)];
    let (at_home, transfer) = (Span::from_mins(60), Span::from_mins(10));
    let report = QueueReport { name: "q1".to_owned(), grades, big, done: 0, in_job: false, at_home, away, transfer };
    Event::Queue { vm: VmId(0), report: Some(report) }
}

#[test]
fn a_queue_is_said_with_its_big_jobs_and_why_it_is_worked_there() {
    let (pays, dear) = (Span::from_mins(20), Span::from_mins(30));
    let mut world = site(BreakEven::Require);
    assert_eq!(why(&world), "at home, nothing in hand");
    world.tell(queue(1, pays));
    assert_eq!(why(&world), "working q1 at home: 1 big jobs, under 2");
    world.tell(queue(2, dear));
    assert_eq!(why(&world), "working q1 at home: 2 big jobs, but a move away would not pay");
    world.tell(queue(2, pays));
    assert_eq!(world.host(), "x1");
    world.queue = Some(None);
    world.run_for(Span::from_secs(45));
    world.tell(queue(3, pays));
    assert_eq!(why(&world), "working q1 away: 3 big jobs of 13, at or above 2");
    world.run_for(Span::from_mins(2));
    assert_eq!(why(&world), "nothing in hand: 2 of 3 empty polls, then home");
    let mut blocked = site(BreakEven::Show);
    blocked.command(Command::Hold { vm: "nii1".to_owned() });
    blocked.tell(queue(2, dear));
    blocked.command(Command::Release { vm: "nii1".to_owned() });
    assert_eq!(why(&blocked), "working q1 at home: 2 big jobs");
}
