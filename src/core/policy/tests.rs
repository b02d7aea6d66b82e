//! The four policies' rules one by one, and what holds for all of them.

use proptest::prelude::*;

use super::*;
use crate::core::cluster::{Direction, Span, Timestamp};
use crate::core::queue::MoveGain;

const HIGH: Bound = Bound { at: 50.0, tarry: 3 };
const LOW: Bound = Bound { at: 1.0, tarry: 2 };

fn threshold() -> Settings {
    Settings::new(Rule::Threshold { high: HIGH }, Direction::HigherIsWorse)
}

fn base() -> Settings {
    Settings::new(Rule::Base { high: HIGH, low: LOW }, Direction::HigherIsWorse)
}

fn site() -> Settings {
    let rule = SiteRule { break_even: BreakEven::Require, ..SiteRule::new(2) };
    Settings::new(Rule::Site(rule), Direction::HigherIsWorse)
}

/// A poll that finds so many big jobs in the queue in hand, whose move away pays.
fn hand(big: u32) -> Poll {
    Poll { big: Some(big), asked: true, gain: Some(gain(61)), ..Poll::default() }
}

/// A queue that takes so many minutes at home and half of that away, 10 minutes out and 10 back: at a margin of 1.5 it pays from
/// above 60 minutes.
fn gain(minutes: i64) -> MoveGain {
    let [work, way] = [minutes, 10].map(Span::from_mins);
    MoveGain { work, faster: 2.0, out: way, back: way }
}

const EMPTY: Poll = Poll { big: None, waits: false, asked: true, gain: None, round_trip: None };

/// Feeds observations a minute apart; the decision and the counts after each.
fn fed(settings: &Settings, place: Place, seen: &[What]) -> Vec<(Decision, u32, u32)> {
    let mut state = State::default();
    let observe = |(n, what): (usize, &What)| {
        let at = Timestamp::from_secs(1_241_613_600 + 60 * n as i64);
        let verdict = decide(&mut state, settings, Observation { at, place, what: *what });
        (verdict.decision, verdict.count, verdict.low_count)
    };
    seen.iter().enumerate().map(observe).collect()
}

fn samples(values: &[f64]) -> Vec<What> {
    values.iter().map(|v| What::Sample(*v)).collect()
}

#[test]
fn tarry_samples_beyond_in_a_row_decide_a_move_and_counting_begins_anew() {
    let counts = fed(&threshold(), Place::Ring, &samples(&[60.0, 60.0, 50.0, 60.0, 60.0, 60.0, 60.0]));
    let stay = Decision::Stay;
    // 50 equals the threshold: not beyond.
    let expected = [(stay, 1), (stay, 2), (stay, 0), (stay, 1), (stay, 2), (Decision::Move, 3), (stay, 1)];
    assert_eq!(counts, expected.map(|(decision, count)| (decision, count, 0)));
}

#[test]
fn lower_is_worse_turns_both_bounds_round() {
    let high = Bound { at: 5.0, tarry: 1 };
    let low = Bound { at: 20.0, tarry: 1 };
    let settings = Settings::new(Rule::Base { high, low }, Direction::LowerIsWorse);
    let decisions: Vec<Decision> =
        fed(&settings, Place::Ring, &samples(&[4.0, 5.0, 20.0, 21.0])).iter().map(|seen| seen.0).collect();
    assert_eq!(decisions, [Decision::Move, Decision::Stay, Decision::Stay, Decision::MoveToBase]);
}

#[test]
fn low_samples_lead_to_the_base_and_each_side_resets_the_other() {
    let seen = fed(&base(), Place::Ring, &samples(&[0.0, 60.0, 0.0, 25.0, 0.0, 0.0]));
    let counts: Vec<(u32, u32)> = seen.iter().map(|(_, count, low)| (*count, *low)).collect();
    assert_eq!(counts, [(0, 1), (1, 0), (0, 1), (0, 0), (0, 1), (0, 2)]);
    assert_eq!(seen[5].0, Decision::MoveToBase);
}

#[test]
fn on_the_base_low_counts_nothing_and_beyond_leads_into_the_ring() {
    let seen = fed(&base(), Place::Base, &samples(&[0.0, 0.0, 0.0, 60.0, 60.0, 60.0]));
    assert!(seen.iter().all(|(_, _, low)| *low == 0));
    assert_eq!(seen[5].0, Decision::Move);
}

#[test]
fn a_gap_neither_counts_nor_resets_until_so_many_make_the_vm_stale() {
    let (over, gap) = (What::Sample(60.0), What::Gap);
    let counts = |seen: &[What]| fed(&threshold(), Place::Ring, seen).iter().map(|s| s.1).collect::<Vec<_>>();
    assert_eq!(counts(&[over, gap, gap, over]), [1, 1, 1, 2]);
    assert_eq!(counts(&[over, over, gap, gap, gap, over]), [1, 2, 2, 2, 0, 1]);
}

#[test]
fn so_many_gaps_that_a_vm_is_stale_zero_its_low_count_too() {
    let (low, gap) = (What::Sample(0.0), What::Gap);
    let counts = |seen: &[What]| fed(&base(), Place::Ring, seen).iter().map(|s| s.2).collect::<Vec<_>>();
    assert_eq!(counts(&[low, gap, gap, low]), [1, 1, 1, 2]);
    assert_eq!(counts(&[low, gap, gap, gap, low]), [1, 1, 1, 0, 1]);
}

#[test]
fn the_first_good_sample_ends_being_stale_and_gaps_are_counted_anew() {
    let mut state = State::default();
    let mut see = |what| {
        decide(&mut state, &threshold(), Observation { at: Timestamp::from_secs(0), place: Place::Ring, what });
        (state.stale, state.gaps)
    };
    let all = [What::Gap, What::Gap, What::Gap, What::Clock, What::Sample(10.0), What::Gap].map(&mut see);
    assert_eq!(all, [(false, 1), (false, 2), (true, 3), (true, 3), (false, 0), (false, 1)]);
}

#[test]
fn a_service_too_busy_to_answer_is_beyond() {
    let seen = fed(&base(), Place::Ring, &[What::Beyond; 3]);
    assert_eq!(seen[2], (Decision::Move, 3, 0));
}

#[test]
fn outside_its_hours_a_vm_is_sent_to_the_base_until_it_is_there() {
    let hours = WorkingHours::parse("Mon-Fri 09:00-12:41", chrono_tz::UTC).unwrap();
    let rule = Rule::Schedule { high: HIGH, low: LOW, hours, resting: Resting::Record };
    let settings = Settings::new(rule, Direction::HigherIsWorse);
    // The first at 12:40, the others at and after the end.
    let seen = fed(&settings, Place::Ring, &samples(&[60.0, 60.0, 60.0]));
    let to_base = Decision::MoveToBase;
    assert_eq!(seen, [(Decision::Stay, 1, 0), (to_base, 0, 0), (to_base, 0, 0)]);
    let seen = fed(&settings, Place::Base, &samples(&[60.0, 60.0, 60.0]));
    assert!(seen.iter().all(|(decision, ..)| *decision == Decision::Stay));
}

#[test]
fn whoever_slept_through_the_end_and_the_beginning_of_the_hours_begins_from_nothing() {
    let hours = WorkingHours::parse("12:00-13:00, 13:05-14:00", chrono_tz::UTC).unwrap();
    let rule = Rule::Schedule { high: HIGH, low: LOW, hours, resting: Resting::Record };
    let settings = Settings::new(rule, Direction::HigherIsWorse);
    let at = |text| Timestamp::from(chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc());
    let mut state = State::default();
    let mut count = |text| {
        let seen = Observation { at: at(text), place: Place::Ring, what: What::Sample(60.0) };
        decide(&mut state, &settings, seen).count
    };
    let times = ["2009-05-06T12:58:00Z", "2009-05-06T12:59:00Z", "2009-05-06T13:06:00Z", "2009-05-06T13:07:00Z"];
    assert_eq!(times.map(&mut count), [1, 2, 1, 2]);
}

#[test]
fn a_big_queue_that_stays_counts_once_and_one_that_goes_counts_no_more() {
    let mut state = State::default();
    let mut see = |place, poll| {
        let what = What::Queue(poll);
        let verdict = decide(&mut state, &site(), Observation { at: Timestamp::from_secs(0), place, what });
        (verdict.decision, verdict.count, verdict.low_count, state.count, state.low_count)
    };
    let (stay, away, home) = (Decision::Stay, Decision::MoveAway, Decision::MoveHome);
    let dear = Poll { gain: Some(gain(60)), ..hand(2) };
    assert_eq!(see(Place::Ring, dear), (stay, 1, 0, 1, 0), "it does not pay");
    assert_eq!(see(Place::Ring, hand(1)), (stay, 0, 0, 0, 0));
    assert_eq!(see(Place::Base, hand(2)), (away, 1, 0, 0, 0));
    assert_eq!(see(Place::Away, EMPTY), (stay, 0, 1, 0, 1));
    assert_eq!(see(Place::Away, hand(2)), (stay, 0, 0, 0, 0), "no empty poll any more");
    assert_eq!(see(Place::Away, EMPTY), (stay, 0, 1, 0, 1));
    assert_eq!(see(Place::Away, hand(1)), (home, 0, 0, 0, 0));
    assert_eq!(see(Place::Ring, dear), (stay, 1, 0, 1, 0));
    assert_eq!(see(Place::Ring, EMPTY), (stay, 0, 0, 0, 0), "nothing in hand at home");
}

#[test]
fn the_break_even_binds_only_where_it_is_required() {
    let decision = |break_even, gain| {
        let rule = SiteRule { break_even, ..SiteRule::new(2) };
        let poll = What::Queue(Poll { gain, ..hand(2) });
        fed(&Settings::new(Rule::Site(rule), Direction::HigherIsWorse), Place::Ring, &[poll])[0].0
    };
    // 60 minutes halved against 1.5 times 20: equal does not pay.
    assert_eq!(decision(BreakEven::Show, Some(gain(60))), Decision::MoveAway);
    assert_eq!(decision(BreakEven::Require, Some(gain(60))), Decision::Stay);
    assert_eq!(decision(BreakEven::Require, Some(gain(61))), Decision::MoveAway);
    assert_eq!(decision(BreakEven::Require, None), Decision::MoveAway, "unknown: the gate blocks it and says so");
}

#[test]
fn a_big_queue_is_worked_away_and_a_small_one_at_home() {
    let decision = |place, poll| fed(&site(), place, &[What::Queue(poll)])[0].0;
    assert_eq!(decision(Place::Ring, hand(2)), Decision::MoveAway);
    assert_eq!(decision(Place::Ring, hand(1)), Decision::Stay);
    assert_eq!(decision(Place::Away, hand(2)), Decision::Stay);
    assert_eq!(decision(Place::Away, hand(1)), Decision::MoveHome);
}

/// What empty hands decide, a minute apart, at the other site.
fn idle(rule: SiteRule, seen: &[Poll]) -> Vec<Decision> {
    let seen: Vec<What> = seen.iter().map(|poll| What::Queue(*poll)).collect();
    let settings = Settings::new(Rule::Site(rule), Direction::HigherIsWorse);
    fed(&settings, Place::Away, &seen).iter().map(|(decision, ..)| *decision).collect()
}

#[test]
fn nothing_in_hand_away_leads_home_after_empty_polls() {
    let (stay, home) = (Decision::Stay, Decision::MoveHome);
    let rule = SiteRule::new(2);
    assert_eq!(idle(rule, &[EMPTY; 4]), [stay, stay, home, stay]);
    let told = Poll { asked: false, ..EMPTY };
    assert_eq!(idle(rule, &[told, EMPTY, told, EMPTY, told, EMPTY]), [stay, stay, stay, stay, stay, home]);
    let waits = Poll { waits: true, ..EMPTY };
    assert_eq!(idle(rule, &[EMPTY, EMPTY, waits, EMPTY, EMPTY, EMPTY]), [stay, stay, stay, stay, stay, home]);
    let at_home = fed(&site(), Place::Ring, &[What::Queue(EMPTY); 4]);
    assert!(at_home.iter().all(|seen| *seen == (stay, 0, 0)));
}

#[test]
fn it_goes_home_when_the_polls_are_empty_and_it_has_been_idle_for_long_enough() {
    let goes = |home_after, round_trip: Option<Span>| {
        let rule = SiteRule { home_tarry: 2, home_after, ..SiteRule::new(2) };
        idle(rule, &[Poll { round_trip, ..EMPTY }; 12]).iter().position(|decision| *decision == Decision::MoveHome)
    };
    let trip = |minutes| Some(Span::from_mins(minutes));
    assert_eq!(goes(HomeAfter::Off, trip(5)), Some(1));
    assert_eq!(goes(HomeAfter::Auto, trip(5)), Some(5), "idle for as long as out and back take");
    assert_eq!(goes(HomeAfter::Auto, trip(1)), Some(1), "the empty polls come first");
    assert_eq!(goes(HomeAfter::Auto, None), Some(1), "unknown: the empty polls alone decide");
    assert_eq!(goes(HomeAfter::Idle(Span::from_mins(7)), trip(5)), Some(7));
    assert_eq!(goes(HomeAfter::Idle(Span::from_hours(1)), trip(5)), None);
}

/// Ski rental: whoever comes home when being idle has cost a round trip pays at most twice what somebody pays who knows when
/// the next queue comes. Cost: minutes without work, and round trips.
#[test]
fn home_after_auto_costs_at_most_twice_the_least() {
    const TRIP: i64 = 20;
    for comes in 1..200 {
        let rule = SiteRule { home_tarry: 1, home_after: HomeAfter::Auto, ..SiteRule::new(2) };
        let poll = Poll { round_trip: Some(Span::from_mins(TRIP)), ..EMPTY };
        let left = idle(rule, &vec![poll; comes as usize]).iter().position(|decision| *decision == Decision::MoveHome);
        let cost = left.map_or(comes, |minutes| minutes as i64 + TRIP);
        assert!(cost <= 2 * comes.min(TRIP), "{comes}: {cost}");
    }
}

#[test]
fn settings_that_cannot_stand_say_why() {
    let wrong = |settings: Settings| settings.check().unwrap_err().to_string();
    let bounds = |high, low, direction| Settings::new(Rule::Base { high, low }, direction);
    let at = |at| Bound { at, tarry: 1 };
    let (higher, lower) = (Direction::HigherIsWorse, Direction::LowerIsWorse);
    assert_eq!(wrong(bounds(at(50.0), at(50.0), higher)), "low_threshold 50 must be below threshold 50");
    assert_eq!(wrong(bounds(at(50.0), at(50.0), lower)), "low_threshold 50 must be above threshold 50");
    assert_eq!(wrong(bounds(at(f64::NAN), at(1.0), higher)), "threshold must be a finite number");
    assert_eq!(wrong(bounds(Bound { at: 5.0, tarry: 0 }, at(1.0), higher)), "tarry must be at least 1");
    assert_eq!(wrong(bounds(at(5.0), Bound { at: 1.0, tarry: 0 }, higher)), "low_tarry must be at least 1");
    assert!(bounds(at(5.0), at(50.0), lower).check().is_ok());
}

#[test]
fn a_value_equal_to_a_bound_is_neither_beyond_nor_low() {
    let sides = |direction, value| {
        let settings = Settings::new(Rule::Base { high: HIGH, low: LOW }, direction);
        (settings.is_beyond(value, HIGH), settings.is_low(value, LOW))
    };
    for direction in [Direction::HigherIsWorse, Direction::LowerIsWorse] {
        assert!(!sides(direction, 50.0).0 && !sides(direction, 1.0).1, "{direction:?}");
    }
    assert_eq!((sides(Direction::HigherIsWorse, 50.1).0, sides(Direction::HigherIsWorse, 0.9).1), (true, true));
    assert_eq!((sides(Direction::LowerIsWorse, 49.9).0, sides(Direction::LowerIsWorse, 1.1).1), (true, true));
}

#[test]
fn the_numbers_of_a_site_policy_that_cannot_stand_say_why() {
    let check = |rule: SiteRule| {
        let settings = Settings::new(Rule::Site(rule), Direction::HigherIsWorse);
        settings.check().map_err(|why| why.to_string())
    };
    let rule = SiteRule { threshold: 1, home_tarry: 1, margin: 1.0, ..SiteRule::new(1) };
    let too_small = |key: &str| Err(format!("{key} must be at least 1"));
    assert_eq!(check(rule), Ok(()), "each at its least");
    assert_eq!(check(SiteRule { threshold: 0, ..rule }), too_small("threshold"));
    assert_eq!(check(SiteRule { home_tarry: 0, ..rule }), too_small("home_tarry"));
    assert_eq!(check(SiteRule { margin: 0.99, ..rule }), too_small("margin"));
    for margin in [f64::NAN, f64::INFINITY] {
        assert_eq!(check(SiteRule { margin, ..rule }), Err("margin must be a finite number".to_owned()));
    }
}

#[test]
fn one_number_is_changed_if_the_result_can_stand() {
    let settings = base();
    assert_eq!(settings.with(Field::Tarry, 5.0).unwrap().get(Field::Tarry), Some(5.0));
    assert_eq!(settings.with(Field::LowThreshold, 49.5).unwrap().get(Field::LowThreshold), Some(49.5));
    let wrong = |settings: &Settings, field, value| settings.with(field, value).unwrap_err().to_string();
    assert_eq!(wrong(&settings, Field::Threshold, 1.0), "low_threshold 1 must be below threshold 1");
    assert_eq!(wrong(&settings, Field::Tarry, 2.5), "tarry must be a whole number");
    assert_eq!(wrong(&settings, Field::LowTarry, 0.0), "low_tarry must be at least 1");
    assert_eq!(settings.with(Field::LowTarry, 1.0).unwrap().get(Field::LowTarry), Some(1.0));
    assert_eq!(wrong(&settings, Field::Tarry, f64::INFINITY), "tarry must be a whole number");
    assert_eq!(wrong(&settings, Field::LowThreshold, f64::INFINITY), "low_threshold must be a finite number");
    assert_eq!(wrong(&threshold(), Field::LowTarry, 2.0), "a threshold policy has no low_tarry");
    assert_eq!(wrong(&site(), Field::Tarry, 2.0), "a site policy has no tarry");
    assert_eq!(wrong(&site(), Field::LowTarry, 0.0), "home_tarry must be at least 1");
    assert_eq!(site().with(Field::LowTarry, 4.0).unwrap().get(Field::LowTarry), Some(4.0));
    assert_eq!(site().with(Field::Threshold, 7.0).unwrap().get(Field::Threshold), Some(7.0));
    assert_eq!([Field::Tarry, Field::LowThreshold].map(|field| site().get(field)), [None, None]);
    assert_eq!([Field::LowTarry, Field::LowThreshold].map(|field| threshold().get(field)), [None, None]);
    assert_eq!(settings.with(Field::Tarry, 1e300).unwrap().get(Field::Tarry), Some(f64::from(u32::MAX)));
}

fn observed() -> impl Strategy<Value = What> {
    prop_oneof![
        6 => (0.0..100.0f64).prop_map(What::Sample),
        1 => Just(What::Sample(50.0)),
        1 => Just(What::Beyond),
        2 => Just(What::Gap),
        1 => Just(What::Clock),
    ]
}

fn ranged() -> impl Strategy<Value = Settings> {
    (any::<bool>(), any::<bool>(), 1_u32..5, 1_u32..5, 1_u32..4).prop_map(
        |(lower, has_low, tarry, low_tarry, stale)| {
            let direction = if lower { Direction::LowerIsWorse } else { Direction::HigherIsWorse };
            let high = Bound { at: 50.0, tarry };
            let low = Bound { at: if lower { 80.0 } else { 20.0 }, tarry: low_tarry };
            let rule = if has_low { Rule::Base { high, low } } else { Rule::Threshold { high } };
            Settings { stale_after: stale, ..Settings::new(rule, direction) }
        },
    )
}

proptest! {
    /// Said once more from the rules alone: how many samples beyond in a row there are since the last reset.
    #[test]
    fn a_move_is_decided_by_tarry_samples_beyond_in_a_row(
        settings in ranged(), seen in proptest::collection::vec(observed(), 0..60),
    ) {
        let high = settings.rule.high().expect("a threshold");
        let (mut beyond, mut gaps) = (0, 0);
        for (what, (decision, count, low_count)) in seen.iter().zip(fed(&settings, Place::Ring, &seen)) {
            gaps = match what { What::Gap => gaps + 1, What::Clock => gaps, _ => 0 };
            beyond = match what {
                What::Beyond => beyond + 1,
                What::Sample(v) if settings.is_beyond(*v, high) => beyond + 1,
                What::Gap if gaps < settings.stale_after => beyond,
                What::Clock => beyond,
                _ => 0,
            };
            prop_assert_eq!(count, beyond);
            prop_assert!(count <= high.tarry && low_count <= settings.rule.low().map_or(0, |low| low.tarry));
            prop_assert!(count == 0 || low_count == 0, "one side resets the other");
            let moves = beyond == high.tarry;
            prop_assert_eq!(decision == Decision::Move, moves);
            if moves { beyond = 0; }
        }
    }

    #[test]
    fn on_the_base_nothing_moves_to_the_base(
        settings in ranged(), seen in proptest::collection::vec(observed(), 0..60),
    ) {
        let seen = fed(&settings, Place::Base, &seen);
        prop_assert!(seen.iter().all(|(decision, ..)| *decision != Decision::MoveToBase));
    }

    /// All a policy remembers is its state: cut a run anywhere, put the state away and take it up again.
    #[test]
    fn what_is_decided_depends_on_state_settings_and_observation_alone(
        settings in ranged(), seen in proptest::collection::vec(observed(), 0..40),
    ) {
        let mut state = State::default();
        for (n, what) in seen.iter().enumerate() {
            let seen = Observation { at: Timestamp::from_secs(60 * n as i64), place: Place::Ring, what: *what };
            let mut again = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
            let verdict = decide(&mut state, &settings, seen);
            prop_assert_eq!(decide(&mut again, &settings.clone(), seen), verdict);
            prop_assert_eq!(again, state);
        }
    }
}

#[test]
fn empty_polls_away_are_counted_from_0_after_one_at_home() {
    let mut state = State::default();
    let mut poll = |place| {
        let what = What::Queue(EMPTY);
        decide(&mut state, &site(), Observation { at: Timestamp::from_secs(0), place, what });
        state.low_count
    };
    assert_eq!([Place::Away, Place::Away, Place::Ring, Place::Away].map(&mut poll), [1, 2, 0, 1]);
}

#[test]
fn a_value_at_a_bound_is_neither_beyond_nor_low() {
    let up = Bounds { high: Some(50.0), low: Some(1.0), ..Bounds::default() };
    assert_eq!([49.0, 50.0, 51.0].map(|v| up.is_beyond(v)), [false, false, true]);
    assert_eq!([0.0, 1.0, 2.0].map(|v| up.is_low(v)), [true, false, false]);
    let down = Bounds { high: Some(15.0), low: Some(80.0), direction: Direction::LowerIsWorse, inclusive: false };
    assert_eq!([14.0, 15.0].map(|v| down.is_beyond(v)), [true, false]);
    assert_eq!([80.0, 81.0].map(|v| down.is_low(v)), [false, true]);
    let big = Bounds { high: Some(2.0), inclusive: true, ..Bounds::default() };
    assert_eq!([1.0, 2.0].map(|v| big.is_beyond(v)), [false, true]);
}

#[test]
fn a_rounded_reading_that_equals_its_bound_is_not_beyond() {
    let read = f64::from(0.1_f32);
    for direction in [Direction::HigherIsWorse, Direction::LowerIsWorse] {
        let bounds = Bounds { high: Some(0.1), low: Some(0.1), direction, inclusive: false };
        assert!(!bounds.is_beyond(0.1) && !bounds.is_low(0.1), "{direction:?}");
        assert!(!bounds.rounded().is_beyond(read) && !bounds.rounded().is_low(read), "{direction:?}");
        let inclusive = Bounds { inclusive: true, ..bounds };
        assert!(inclusive.is_beyond(0.1) && inclusive.rounded().is_beyond(read), "{direction:?}");
    }
}
