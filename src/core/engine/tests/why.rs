//! The why line: one for every state, which says what comes next.

use super::harness::*;
use crate::core::cluster::{Direction, IndicatorKind, Mode, Reading, Span, VmId};
use crate::core::engine::{Command, Event, Target};
use crate::core::policy::{Bound, BreakEven, HomeAfter, Rule, Settings, SiteRule};
use crate::core::queue::{Stop, Ways, WorkerOrder};

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

#[test]
fn a_site_vm_says_where_it_works_and_what_happens_next_with_its_figures() {
    let mut world = World::new(two_sites(SiteRule::new(2)), always(0.0));
    assert!(why(&world).starts_with("nothing in hand in home: its queue is read in "), "{}", why(&world));
    world.report(idle());
    assert_eq!(why(&world), "nothing in hand in home: a queue of 2 big jobs or more is worked in cloud");
    world.report(queue(1, false));
    assert_eq!(why(&world), "works q1 in home: stays in home: 1 big job, under 2; through in 30 min");
    world.report(queue(2, true));
    let told = "leaves for cloud when job 1 is done and its worker has stopped, asked 0 s ago; 10 min not serving";
    assert_eq!(why(&world), format!("works q1 in home: {told}"));
    world.shows(queue(2, false));
    assert_eq!(world.host(), "x1");
    world.queue = Some(idle());
    world.run_for(Span::from_secs(45));
    world.report(queue(3, false));
    assert_eq!(why(&world), "works q1 in cloud: through in 18 min, then home after 3 empty polls");
    world.queue = Some(idle());
    world.run_for(Span::from_mins(2));
    assert_eq!(why(&world), "nothing in hand in cloud: home after 1 more empty poll, in 54 s; 5 min not serving");
}

#[test]
fn a_break_even_is_said_with_its_figures() {
    let rule = SiteRule { break_even: BreakEven::Require, ..SiteRule::new(1) };
    let mut world = World::new(two_sites(rule), always(0.0));
    world.report(queue(1, false));
    let figures = "a move does not pay: it saves 23 min, out and back take 15 min, margin 1.5";
    assert_eq!(why(&world), format!("works q1 in home: does not go to cloud: {figures}"));
}

#[test]
fn who_stays_until_that_has_cost_a_round_trip_says_until_when() {
    let rule = SiteRule { home_after: HomeAfter::Auto, ..SiteRule::new(2) };
    let mut world = World::new(two_sites(rule), always(0.0));
    world.moves = Moves::Slow;
    world.shows(queue(2, false));
    world.queue = Some(idle());
    world.run_for(Span::from_secs(595));
    world.tell(Event::Ended { id: world.under_way[0], detail: "done".to_owned() });
    world.moves = Moves::Confirm;
    world.run_for(Span::from_secs(45 + 60));
    let told = "home after 2 more empty polls and 15 min without work, as long as out and back take, in 15 min; 5 min not serving";
    assert_eq!(why(&world), format!("nothing in hand in cloud: {told}"));
    world.run_for(Span::from_mins(14));
    assert_eq!(world.host(), "x1");
    world.run_for(Span::from_secs(66));
    assert_eq!(world.host(), "h2");
}

#[test]
fn a_worker_that_is_silent_or_paused_is_said() {
    let mut world = World::new(two_sites(SiteRule::new(2)), always(0.0));
    let mut look = idle();
    look.worker = None;
    world.report(look);
    assert!(why(&world).ends_with("no worker has run in it yet: start whimbrel work there"), "{}", why(&world));
    let mut look = idle();
    look.at = world.now;
    let (vm, forecast) = (VmId(0), Ways::default());
    world.tell(Event::Queue { vm, look: std::sync::Arc::new(look), ways: forecast });
    assert!(why(&world).ends_with("ago: its policy moves nothing"), "{}", why(&world));
    let (by, why_paused, until) = ("root".to_owned(), "the disk is full".to_owned(), world.now + Span::from_mins(30));
    let order = WorkerOrder { stop: Stop::Working, by, why: why_paused, at: world.now, until: Some(until) };
    world.control.operator = Some(order);
    world.report(idle());
    let told = "paused by root until in 30 min: the disk is full; then a queue of 2 big jobs or more is worked in cloud";
    assert_eq!(why(&world), format!("nothing in hand in home: {told}"));
}
