//! SPEC 2: samples, gaps, counters, staleness, settle, hours.

use chrono_tz::Europe::Oslo;

use super::harness::*;
use crate::core::cluster::{Direction, HostId, HostState, IndicatorKind, Mode, Reading, Span, Timestamp, VmId};
use crate::core::engine::{Command, Event, Happened, Target, VmState};
use crate::core::policy::{Bound, Decision, Resting, Rule, Settings, WorkingHours};

const MIN: Span = Span::from_mins(1);

fn counter(samples: &[f64]) -> World {
    let mut cluster = cluster(3, threshold());
    cluster.vms[0].indicator.kind = IndicatorKind::Counter;
    World::new(cluster, values(samples))
}

#[test]
fn exactly_tarry_samples_in_a_row_make_a_move() {
    let mut world = World::new(cluster(3, threshold()), values(&[60.0, 60.0, 50.0, 60.0, 60.0, 60.0]));
    world.run_for(Span::from_mins(6));
    let counts: Vec<u32> = world.counts().iter().map(|c| c.0).collect();
    assert_eq!(counts, [1, 2, 0, 1, 2, 3], "a value equal to the bound is not beyond");
    assert_eq!(world.decisions(), [Decision::Move]);
    assert_eq!(world.engine.live(VmId(0)).policy().count, 0, "the decision zeroed its count");
}

#[test]
fn fewer_idle_workers_are_worse() {
    let settings = Settings::new(Rule::Threshold { high: Bound { at: 15.0, tarry: 2 } }, Direction::LowerIsWorse);
    let mut world = World::new(cluster(3, settings), values(&[20.0, 15.0, 14.0, 11.0]));
    world.run_for(Span::from_mins(4));
    assert_eq!(world.decisions(), [Decision::Move]);
    let reasons = world.pick(|what| match what {
        Happened::Decision { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reasons, ["11 /min < 15 for 2 samples"]);
}

#[test]
fn a_gap_neither_counts_nor_resets() {
    let mut world = World::new(cluster(3, threshold()), values(&[60.0, 60.0, f64::NAN, 60.0]));
    world.run_for(Span::from_mins(4));
    assert_eq!(world.decisions(), [Decision::Move]);
    assert_eq!(world.gaps(), ["refused"]);
}

#[test]
fn three_gaps_in_a_row_make_it_stale_and_the_first_good_sample_counts() {
    let nan = f64::NAN;
    let mut world = World::new(cluster(3, threshold()), values(&[60.0, 60.0, nan, nan, nan, 60.0, 60.0, 60.0]));
    world.run_for(Span::from_mins(5));
    assert_eq!(world.states(), [VmState::Stale]);
    assert!(world.why().contains("no value 3 times in a row (refused)"), "{}", world.why());
    world.run_for(MIN);
    assert_eq!(world.counts().last(), Some(&(1, 0)));
    assert_eq!(world.states(), [VmState::Stale, VmState::Watching]);
    assert!(world.decisions().is_empty());
    world.run_for(MIN + MIN);
    assert_eq!(world.decisions(), [Decision::Move]);
}

#[test]
fn a_sample_that_ends_being_stale_does_not_count_while_a_request_waits() {
    let nan = f64::NAN;
    let mut cluster = cluster(3, threshold());
    cluster.mode = Mode::Ask;
    let mut world = World::new(cluster, values(&[60.0, 60.0, 60.0, nan, nan, nan, 60.0, 60.0]));
    world.run_for(Span::from_mins(8));
    assert_eq!(world.states(), [VmState::Waiting, VmState::Stale, VmState::Waiting]);
    assert_eq!(world.counts()[3..], [(0, 0), (0, 0)], "only watching counts");
}

#[test]
fn readings_that_were_missed_while_everything_stood_still_are_gaps() {
    let after = |pause| {
        let mut world = World::new(cluster(4, threshold()), always(60.0));
        world.run_for(Span::from_mins(2));
        assert_eq!(world.engine.live(VmId(0)).policy().count, 2);
        world.now = world.engine.next_wake() + pause;
        world.tell(Event::Tick);
        (world.engine.live(VmId(0)).policy().count, world.requests().len())
    };
    assert_eq!(after(Span::from_mins(2)), (0, 1), "two gaps neither count nor reset: the third sample decides");
    assert_eq!(after(Span::from_hours(1)), (1, 0), "it was stale: what was counted an hour ago decides nothing");
}

#[test]
fn a_counters_increase_is_its_value_and_its_first_reading_is_a_gap() {
    let mut world = counter(&[1_000.0, 1_060.0, 1_060.0, 1_111.0]);
    world.run_for(Span::from_mins(4));
    assert_eq!(world.gaps(), ["first reading of the counter"]);
    assert_eq!(world.counts().iter().map(|c| c.0).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn a_counter_that_fell_is_a_gap_not_a_quiet_minute() {
    let mut world = counter(&[1_000.0, 1_060.0, 5.0, 70.0]);
    world.run_for(Span::from_mins(4));
    assert_eq!(world.gaps()[1], "the counter fell from 1060 to 5: the service restarted");
    assert_eq!(world.counts().iter().map(|c| c.0).collect::<Vec<_>>(), [1, 2], "the count stood, then went on");
}

#[test]
fn an_increase_over_a_missed_reading_is_a_gap() {
    let mut world = counter(&[1_000.0, 1_010.0, f64::NAN, 1_200.0, 1_210.0]);
    world.run_for(Span::from_mins(5));
    assert_eq!(world.gaps()[1..], ["refused", "increase over 2 min, more than 1.5 intervals"]);
    assert_eq!(world.counts().len(), 2);
}

#[test]
fn an_increase_over_one_and_a_half_intervals_is_a_value_and_over_more_a_gap() {
    let mut world = counter(&[]);
    let mut read = |after, total| {
        world.now += after;
        world.tell(Event::Reading { vm: VmId(0), reading: Reading::Raw(total) });
        (world.counts().len(), world.gaps().len())
    };
    let one_and_a_half = Span::from_secs(90);
    assert_eq!(read(Span::ZERO, 1_000.0), (0, 1));
    assert_eq!(read(one_and_a_half, 1_010.0), (1, 1));
    assert_eq!(read(one_and_a_half + Span::from_millis(1), 1_020.0), (1, 2));
}

#[test]
fn a_service_too_busy_to_answer_does_not_blind_the_policy() {
    let mut world = World::new(cluster(3, threshold()), |_, _| Reading::Busy);
    world.run_for(Span::from_mins(3));
    assert_eq!(world.decisions(), [Decision::Move]);
    let mut world = World::new(cluster(3, threshold()), |_, _| Reading::AtLeast(2_500.0));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.decisions(), [Decision::Move]);
}

#[test]
fn nothing_counts_while_it_settles_and_the_baseline_does_not_either() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.run_for(Span::from_mins(3));
    let moved = world.requests()[0].0;
    let seen = world.records.len();
    world.run_for(Span::from_secs(120));
    let after: Vec<(i64, VmState, u32)> = world.records[seen..]
        .iter()
        .filter_map(|r| match r.what {
            Happened::Sample { state, count, .. } if r.at > moved => {
                Some((r.at.since(moved).millis() / 1_000, state, count))
            }
            _ => None,
        })
        .collect();
    assert_eq!(after, [(45, VmState::Settling, 0), (105, VmState::Watching, 1)], "baseline, then one interval later");
}

#[test]
fn on_the_base_nothing_settles_and_low_counts_stand_still() {
    let mut samples = vec![0.0; 22];
    samples.extend([60.0, 60.0, 60.0]);
    let mut world = World::new(cluster(3, base()), values(&samples));
    world.run_for(Span::from_mins(22));
    assert_eq!(world.host(), "base");
    assert!(!world.states().contains(&VmState::Settling));
    assert_eq!(world.counts()[20..], [(0, 0), (0, 0)]);
    world.run_for(Span::from_mins(3));
    assert_eq!(world.host(), "h2", "its move leads into the ring");
}

#[test]
fn beyond_and_low_reset_each_other_and_between_resets_both() {
    let mut world = World::new(cluster(3, base()), values(&[0.0, 0.0, 60.0, 60.0, 0.0, 60.0, 25.0]));
    world.run_for(Span::from_mins(7));
    assert_eq!(world.counts(), [(0, 1), (0, 2), (1, 0), (2, 0), (0, 1), (1, 0), (0, 0)]);
}

fn schedule(resting: Resting) -> Settings {
    let hours = WorkingHours::parse("Mon-Fri 09:00-16:00", Oslo).unwrap();
    Settings::new(Rule::Schedule { high: HIGH, low: LOW, hours, resting }, Direction::HigherIsWorse)
}

/// Wednesday 6 May 2009, 15:40 in Oslo.
const BEFORE_CLOSING: Timestamp = Timestamp::from_secs(1_241_613_600 + 3_600);

#[test]
fn at_the_end_of_the_hours_it_goes_to_base_and_rests() {
    let mut world = World::starting_at(BEFORE_CLOSING, cluster(3, schedule(Resting::Record)), always(25.0));
    world.run_for(Span::from_mins(20));
    assert_eq!(world.requests(), [(BEFORE_CLOSING + Span::from_mins(20), "base")]);
    assert_eq!(world.states().last(), Some(&VmState::Resting));
    assert_eq!(world.why(), "resting on the base, until Thu 09:00 CEST");
    let samples = world.counts().len();
    world.run_for(Span::from_hours(2));
    assert_eq!(world.counts().len(), samples + 120, "recorded, not counted");
    assert_eq!(world.decisions().len(), 1);
}

#[test]
fn resting_off_does_not_read_the_service() {
    let mut world = World::starting_at(BEFORE_CLOSING, cluster(3, schedule(Resting::Off)), always(25.0));
    world.run_for(Span::from_mins(20));
    let samples = world.counts().len();
    world.run_for(Span::from_hours(2));
    assert_eq!(world.counts().len(), samples);
}

#[test]
fn at_their_start_counting_begins_from_nothing() {
    let mut world = World::starting_at(BEFORE_CLOSING, cluster(3, schedule(Resting::Record)), always(60.0));
    world.run_for(Span::from_hours(17) + Span::from_mins(20));
    let opened = BEFORE_CLOSING + Span::from_hours(17) + Span::from_mins(20);
    assert_eq!(world.states().last(), Some(&VmState::Watching));
    let before = world.requests().len();
    world.run_for(Span::from_mins(4));
    let (at, to) = world.requests()[before];
    assert!(at >= opened + Span::from_mins(2) && at <= opened + Span::from_mins(3), "three samples after opening");
    assert!(to.starts_with('h'));
}

#[test]
fn the_move_to_base_is_repeated_until_it_is_confirmed() {
    use crate::core::engine::Presence;
    let mut world = World::starting_at(BEFORE_CLOSING, cluster(3, schedule(Resting::Record)), always(25.0));
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Absent);
    world.run_for(Span::from_mins(30));
    let failed = world.requests().len();
    assert!(failed >= 3, "{failed}");
    assert!(!world.states().contains(&VmState::Resting), "it does not rest until it is there");
    world.moves = Moves::Confirm;
    world.run_for(Span::from_mins(3));
    assert_eq!(world.states().last(), Some(&VmState::Resting));
}

#[test]
fn a_move_to_base_that_failed_is_not_repeated_before_it_has_settled() {
    use crate::core::engine::Presence;
    let mut world = World::starting_at(BEFORE_CLOSING, cluster(3, schedule(Resting::Record)), always(25.0));
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Absent);
    world.run_for(Span::from_mins(20) + Span::from_secs(10));
    assert_eq!((world.requests().len(), world.engine.state(VmId(0))), (1, VmState::Settling));
    // A reading that was asked for before the move comes late.
    world.tell(Event::Reading { vm: VmId(0), reading: Reading::Raw(25.0) });
    assert_eq!(world.requests().len(), 1);
}

#[test]
fn a_blocked_move_to_base_is_said_once() {
    let mut world = World::starting_at(BEFORE_CLOSING, cluster(3, schedule(Resting::Record)), always(25.0));
    world.command(Command::Hold { vm: "nii1".to_owned() });
    world.run_for(Span::from_mins(90));
    assert_eq!(world.blocked().len(), 1);
    world.command(Command::Release { vm: "nii1".to_owned() });
    world.run_for(MIN);
    assert_eq!(world.host(), "base");
}

#[test]
fn a_blocked_move_to_base_is_said_again_the_next_evening() {
    let mut world = World::starting_at(BEFORE_CLOSING, cluster(3, schedule(Resting::Record)), always(25.0));
    world.command(Command::Hold { vm: "nii1".to_owned() });
    world.run_for(Span::from_mins(90));
    assert_eq!(world.blocked().len(), 1);
    world.run_for(Span::from_hours(24));
    assert_eq!(world.blocked().len(), 2);
}

#[test]
fn a_blocked_move_to_base_is_said_again_where_the_vm_is_moved_to() {
    let mut cluster = cluster(3, schedule(Resting::Record));
    cluster.limits.hold_after_manual = Span::ZERO;
    let mut world = World::starting_at(BEFORE_CLOSING, cluster, always(25.0));
    world.tell(Event::Host { host: HostId(3), state: HostState::Down, load: None, why: None });
    world.run_for(Span::from_mins(30));
    assert_eq!(world.blocked().len(), 1);
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    world.run_for(Span::from_mins(30));
    assert_eq!((world.host(), world.blocked().len()), ("h2", 2));
}

#[test]
fn an_interval_shorter_than_a_slot_is_read_from_the_start() {
    let mut cluster = cluster(3, threshold());
    cluster.vms[0].interval = Span::from_millis(50);
    assert_eq!(World::new(cluster, always(10.0)).engine.next_wake(), T0);
}

#[test]
fn a_read_still_under_way_is_never_asked_for_again() {
    let mut cluster = cluster(3, threshold());
    cluster.vms[0].interval = Span::from_secs(10);
    let mut engine = crate::core::engine::Engine::new(cluster, T0);
    let mut out = Vec::new();
    engine.step(T0 + Span::from_mins(5), Event::Tick, &mut out);
    engine.step(T0 + Span::from_mins(5) + Span::from_secs(19), Event::Tick, &mut out);
    let reads = out.iter().filter(|e| matches!(e, crate::core::engine::Effect::Read { .. })).count();
    assert_eq!(reads, 1);
}

#[test]
fn a_hand_made_move_is_not_undone_for_half_an_hour() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Host("h3".to_owned()) });
    assert_eq!(world.host(), "h3");
    world.run_for(Span::from_mins(29));
    assert_eq!(world.requests().len(), 1);
    assert!(world.why().starts_with("held 60 s more, moved by hand"), "{}", world.why());
    world.run_for(Span::from_mins(5));
    assert_eq!(world.requests().len(), 2);
}

#[test]
fn a_failed_baseline_leaves_a_counter_without_a_past() {
    let mut n = 0.0;
    let mut cluster = cluster(3, threshold());
    cluster.vms[0].indicator.kind = IndicatorKind::Counter;
    let mut fails = false;
    let mut world = World::new(cluster, move |_, at| {
        n += 60.0;
        // The fifth reading is the one at the end of the settle.
        let baseline = at.since(T0) > Span::from_mins(4) && !fails;
        fails = fails || baseline;
        if baseline { Reading::Gap("refused".to_owned()) } else { Reading::Raw(n) }
    });
    world.run_for(Span::from_mins(6));
    assert_eq!(world.requests().len(), 1);
    assert_eq!(world.engine.live(VmId(0)).policy().gaps, 1, "a baseline is none of them");
    assert_eq!(world.gaps(), ["first reading of the counter", "refused", "first reading of the counter"]);
}

#[test]
fn a_silent_service_makes_a_held_vm_stale_when_it_is_released() {
    let mut world = World::new(cluster(3, threshold()), values(&[60.0, f64::NAN]));
    world.run_for(Span::from_mins(1));
    world.command(Command::Hold { vm: "nii1".to_owned() });
    world.run_for(Span::from_mins(5));
    world.command(Command::Release { vm: "nii1".to_owned() });
    assert_eq!(world.states().last(), Some(&VmState::Stale));
}

#[test]
fn gaps_before_a_move_do_not_make_it_stale_after_it() {
    let mut world = World::new(cluster(3, threshold()), always(f64::NAN));
    world.run_for(Span::from_mins(2));
    assert_eq!(world.engine.live(VmId(0)).policy().gaps, 2);
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert_eq!((world.host(), world.engine.live(VmId(0)).policy().gaps), ("h2", 0));
}

#[test]
fn the_why_line_of_an_overloaded_vm_does_not_call_it_well() {
    let mut cluster = cluster(3, threshold());
    cluster.limits.cooldown = Span::from_hours(1);
    let mut world = World::new(cluster, always(60.0));
    world.run_for(Span::from_mins(7));
    let why = world.why();
    assert!(why.starts_with("60 /min is beyond 50, counting from 0"), "{why}");
    assert!(why.contains("; blocked by cooldown: "), "{why}");
}

#[test]
fn a_move_ends_what_a_gate_had_stopped_before_it() {
    let mut world = World::new(cluster(2, threshold()), always(60.0));
    let is = |state| Event::Host { host: HostId(1), state, load: None, why: None };
    world.tell(is(HostState::Down));
    world.run_for(Span::from_mins(3));
    assert!(world.why().contains("blocked by destination"), "{}", world.why());
    world.tell(is(HostState::Up));
    while world.engine.live(VmId(0)).settles().is_none() {
        world.run_for(Span::from_secs(1));
    }
    world.run_for(Span::from_secs(50));
    assert!(world.why().starts_with("60 /min is beyond 50, counting from 0"), "{}", world.why());
    assert!(!world.why().contains("blocked"), "{}", world.why());
}

#[test]
fn a_waiting_move_to_base_ends_when_the_hours_begin() {
    let mut cluster = cluster(3, schedule(Resting::Record));
    cluster.mode = crate::core::cluster::Mode::Ask;
    let mut world = World::starting_at(BEFORE_CLOSING, cluster, always(25.0));
    world.run_for(Span::from_hours(17) + Span::from_mins(19));
    assert_eq!(world.states().last(), Some(&VmState::Waiting));
    world.run_for(Span::from_mins(2));
    assert_eq!(world.states().last(), Some(&VmState::Watching));
    assert!(world.blocked().last().is_some_and(|(_, why)| why.ends_with("dropped: working hours began")));
}

#[test]
fn the_move_at_the_end_of_the_hours_comes_after_the_reading_of_that_instant() {
    let mut world = World::starting_at(BEFORE_CLOSING, cluster(3, schedule(Resting::Record)), always(25.0));
    world.moves = Moves::Refuse;
    world.run_for(Span::from_mins(40));
    let order = |what: &Happened| match what {
        Happened::Sample { state, .. } => {
            assert_ne!(*state, VmState::Migrating);
            0
        }
        Happened::Decision { .. } => 1,
        _ => 2,
    };
    for pair in world.records.windows(2).filter(|pair| pair[0].at == pair[1].at) {
        assert!(order(&pair[0].what) <= order(&pair[1].what), "{pair:?}");
    }
    assert!(!world.blocked().is_empty());
}

#[test]
fn gaps_while_it_moves_do_not_make_it_stale() {
    let mut world = World::new(cluster(3, threshold()), values(&[10.0, f64::NAN]));
    world.run_for(Span::from_mins(1));
    world.moves = Moves::Slow;
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    world.run_for(Span::from_mins(6));
    assert!(world.gaps().len() > 3, "{:?}", world.gaps());
    assert_eq!(world.engine.live(VmId(0)).policy().gaps, 0);
}

#[test]
fn readings_that_were_missed_while_it_moved_or_settled_are_no_gaps() {
    for moves in [Moves::Confirm, Moves::Slow] {
        let mut world = World::new(cluster(3, threshold()), always(10.0));
        world.run_for(MIN);
        world.moves = moves;
        world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
        world.lost = Box::new(|_| true);
        world.now += Span::from_hours(1);
        world.tell(Event::Tick);
        let policy = world.engine.live(VmId(0)).policy();
        assert_eq!((policy.gaps, policy.stale), (0, false), "{moves:?}");
    }
}

#[test]
fn a_move_to_base_that_is_under_way_or_waits_is_not_decided_again() {
    for mode in [crate::core::cluster::Mode::Auto, crate::core::cluster::Mode::Ask] {
        let mut cluster = cluster(3, schedule(Resting::Record));
        cluster.mode = mode;
        let mut world = World::starting_at(BEFORE_CLOSING, cluster, always(25.0));
        world.moves = Moves::Slow;
        world.run_for(Span::from_mins(29));
        assert_eq!(world.decisions(), [Decision::MoveToBase], "{mode:?}");
    }
}

#[test]
fn a_good_sample_ends_what_a_gate_had_stopped() {
    let mut cluster = cluster(3, threshold());
    cluster.limits.moves_per_hour = Some(0);
    let mut world = World::new(cluster, values(&[60.0, 60.0, 60.0, 10.0, 60.0]));
    world.run_for(Span::from_mins(3));
    assert!(world.why().contains("blocked by budget"), "{}", world.why());
    world.run_for(MIN);
    world.command(Command::Hold { vm: "nii1".to_owned() });
    world.run_for(MIN);
    world.command(Command::Release { vm: "nii1".to_owned() });
    assert!(world.why().starts_with("60 /min is beyond 50, counting from 0"), "{}", world.why());
    assert!(!world.why().contains("blocked"), "{}", world.why());
}
