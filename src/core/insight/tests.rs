//! What-if is the live engine: over the same observations both decide the same, at the same instants.
//!
//! The live engine reads once more than a recording has it, at the end of each settle: a baseline, which counts for
//! nothing, and from which its clock goes on. Here its clock stands still but for that, and it is told what was recorded
//! at the instants at which it was. There are no gates: mode `auto`, no limits, a ring of hosts that always take it, and
//! every move confirms at once.
//!
//! The site policy has no what-if over samples: it decides by queues, which a recording does not have, and its state
//! does not move for anything else. That is a property of its own.

use chrono_tz::Europe::Oslo;
use proptest::prelude::*;

use super::recording::Recording;
use super::replay::ReplayedMove;
use crate::core::cluster::{
    Array, ArrayId, Cluster, Direction, Host, HostId, HostState, Indicator, IndicatorKind, Limits, Mode, Pick, Reading,
    Site, SiteId, Span, Timestamp, Vm, VmId,
};
use crate::core::engine::{Effect, Engine, Event, Happened, Presence};
use crate::core::policy::{Bound, Decision, Resting, Rule, Settings, SiteRule, What, WorkingHours};

/// 2009-05-06T12:40:00Z, a Wednesday.
const START: Timestamp = Timestamp::from_secs(1_241_613_600);
/// The engine's own clock never comes to read, but after a move.
const NEVER_READ: Span = Span::from_hours(24 * 365 * 40);

/// A cluster in which nothing keeps a decision from being carried out.
fn no_gates(policy: Settings) -> Cluster {
    let host =
        |n| Host { name: format!("h{n}").into(), array: ArrayId(0), capacity: None, price: 0.0, draining: false };
    let indicator = Indicator { name: "load".to_owned(), unit: String::new(), kind: IndicatorKind::Gauge };
    let vm = Vm {
        name: "nii1".into(),
        service: "mysql".to_owned(),
        array: ArrayId(0),
        host: HostId(0),
        interval: NEVER_READ,
        indicator,
        policy,
        mode: None,
        away: None,
    };
    let (ring, base) = (vec![HostId(0), HostId(1)], Some(HostId(2)));
    Cluster {
        name: "live".to_owned(),
        mode: Mode::Auto,
        limits: Limits { flap_window: None, ..Limits::default() },
        sites: vec![Site { name: "home".into(), home: true }],
        arrays: vec![Array { name: "a".into(), site: SiteId(0), ring, base, pick: Pick::Next }],
        hosts: (1..=3).map(host).collect(),
        vms: vec![vm],
    }
}

/// A live engine, and the decisions it made.
struct Live {
    engine: Engine,
    decided: Vec<ReplayedMove>,
}

impl Live {
    fn new(policy: Settings, from: Timestamp) -> Self {
        let mut live = Self { engine: Engine::new(no_gates(policy), from), decided: Vec::new() };
        for host in 0..3 {
            live.tell(from, Event::Host { host: HostId(host), state: HostState::Up, load: None, why: None });
        }
        live
    }

    fn tell(&mut self, now: Timestamp, event: Event) {
        let mut told = vec![event];
        while let Some(event) = told.pop() {
            let mut out = Vec::new();
            self.engine.step(now, event, &mut out);
            for effect in out {
                told.extend(match effect {
                    // Whatever a baseline reads, it counts for nothing.
                    Effect::Read { vm } => Some(Event::Reading { vm, reading: Reading::Raw(1e6) }),
                    Effect::Preflight(route) => Some(Event::Preflight { id: route.id, refusal: None, forecast: None }),
                    Effect::Journal(route) => Some(Event::Journalled { id: route.id }),
                    Effect::Start(route) => Some(Event::Ended { id: route.id, detail: String::new() }),
                    Effect::Confirm(route) => {
                        let (source, destination) = (Presence::Absent, Presence::Runs);
                        Some(Event::Presence { id: route.id, source, destination })
                    }
                    Effect::Record(record) => {
                        if let Happened::Decision { action, .. } = record.what {
                            self.decided.push(ReplayedMove { at: record.at, decision: action });
                        }
                        assert!(!matches!(record.what, Happened::Blocked { .. }), "a gate is shut: {record:?}");
                        None
                    }
                    Effect::Abort(_) | Effect::Order { .. } | Effect::Answer { .. } => None,
                });
            }
        }
    }

    /// Everything that is due comes before what is observed at that instant.
    fn observe(&mut self, at: Timestamp, what: What) {
        let mut now = at;
        while self.engine.next_wake() <= at {
            now = self.engine.next_wake();
            self.tell(now, Event::Tick);
        }
        let reading = match what {
            What::Sample(value) => Reading::Raw(value),
            What::Beyond => Reading::Busy,
            _ => Reading::Gap("refused".to_owned()),
        };
        self.tell(at.max(now), Event::Reading { vm: VmId(0), reading });
    }
}

/// What a live engine decides over a recording; its holes are gaps a median apart.
fn live_over(recording: &Recording, settings: &Settings) -> Vec<ReplayedMove> {
    let mut live = Live::new(settings.clone(), recording.ends().0);
    for point in &recording.points {
        for n in (1..=point.missing).rev() {
            live.observe(point.at - recording.median().scaled(i64::from(n), 1), What::Gap);
        }
        live.observe(point.at, point.what);
    }
    live.decided
}

fn observations() -> impl Strategy<Value = Vec<(Timestamp, What)>> {
    let what = prop_oneof![
        3 => Just(What::Sample(60.0)),
        2 => Just(What::Sample(5.0)),
        1 => Just(What::Sample(10.0)),
        1 => Just(What::Sample(25.0)),
        1 => Just(What::Sample(50.0)),
        1 => Just(What::Beyond),
        1 => Just(What::Gap),
    ];
    // Services stay as they are for a while.
    let runs = prop::collection::vec((what, 1_usize..7), 5..60);
    let distances = prop::sample::select(vec![60_i64, 60, 60, 60, 60, 60, 55, 61, 89, 91, 130, 185, 245, 400, 4_000]);
    (runs, prop::collection::vec(distances, 400), 0_i64..48 * 60).prop_map(|(runs, distances, minutes)| {
        let whats = runs.into_iter().flat_map(|(what, times)| std::iter::repeat_n(what, times));
        let mut at = START + Span::from_mins(minutes);
        let placed = whats.zip(distances).map(|(what, after)| {
            at += Span::from_secs(after);
            (at, what)
        });
        placed.collect()
    })
}

fn policies() -> impl Strategy<Value = Settings> {
    let hours = prop::sample::select(vec![
        "Mon-Fri 09:00-16:00",
        "12:00-13:30",
        "22:00-02:00",
        "Mon-Fri 08:00-12:00, 12:30-12:40, 13:00-17:07",
        "00:00-24:00",
    ]);
    (
        0..3_u8,
        1_u32..5,
        1_u32..5,
        any::<bool>(),
        prop::sample::select(vec![0_i64, 45, 60, 61, 120, 300]),
        1_u32..5,
        hours,
    )
        .prop_map(|(kind, tarry, low_tarry, lower, settle, stale_after, hours)| {
            let (bound, low) = if lower { (10.0, 50.0) } else { (50.0, 10.0) };
            let (high, low) = (Bound { at: bound, tarry }, Bound { at: low, tarry: low_tarry });
            let hours = WorkingHours::parse(hours, Oslo).expect("hours");
            let rule = match kind {
                0 => Rule::Threshold { high },
                1 => Rule::Base { high, low },
                _ => Rule::Schedule { high, low, hours, resting: Resting::Record },
            };
            let direction = if lower { Direction::LowerIsWorse } else { Direction::HigherIsWorse };
            Settings { rule, direction, settle: Span::from_secs(settle), stale_after }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_decides_what_the_live_engine_decides(seen in observations(), settings in policies()) {
        let Some(recording) = Recording::of(seen) else { return Ok(()) };
        prop_assert_eq!(recording.moves(&settings), live_over(&recording, &settings));
    }

    #[test]
    fn samples_do_not_move_a_vm_of_the_site_policy(seen in observations()) {
        let rule = SiteRule { home_tarry: 1, ..SiteRule::new(1) };
        let settings = Settings::new(Rule::Site(rule), Direction::HigherIsWorse);
        let Some(recording) = Recording::of(seen) else { return Ok(()) };
        prop_assert!(recording.moves(&settings).is_empty());
        prop_assert!(live_over(&recording, &settings).is_empty());
    }
}

#[test]
fn hours_that_end_while_it_settles_lead_to_the_base_at_their_end() {
    let (high, low) = (Bound { at: 50.0, tarry: 1 }, Bound { at: 10.0, tarry: 4 });
    let hours = WorkingHours::parse("12:00-12:42", chrono_tz::UTC).expect("hours");
    let rule = Rule::Schedule { high, low, hours, resting: Resting::Record };
    let settings = Settings { settle: Span::from_mins(5), ..Settings::new(rule, Direction::HigherIsWorse) };
    let at = |minutes| START + Span::from_mins(minutes);
    let recording = Recording::new((0..10).map(|n| (at(n), 60.0))).expect("samples");
    let expected = [(at(0), Decision::Move), (at(2), Decision::MoveToBase)];
    let expected = expected.map(|(at, decision)| ReplayedMove { at, decision });
    assert_eq!(recording.moves(&settings), expected);
    assert_eq!(live_over(&recording, &settings), expected);
}
