//! Every wait ends: whatever answer is lost, a migration comes to an outcome or is an alarm, and each VM is read again.

use std::collections::HashMap;

use proptest::prelude::*;

use super::harness::*;
use crate::core::cluster::{HostId, Name, Reading, RequestId, Span, Timestamp, VmId};
use crate::core::engine::{
    By, Command, Deadlines, Effect, Engine, Event, Gate, Happened, HoldCause, InFlight, Kept, Phase, Presence,
    StageKind, Target, VmState,
};

const VM: VmId = VmId(0);
const ID: RequestId = RequestId(1);

fn next(vm: &str) -> Command {
    Command::Move { vm: vm.to_owned(), target: Target::Next }
}

/// A calm VM that an operator moves, while these effects get lost.
fn moved_while(lost: impl FnMut(&Effect) -> bool + 'static) -> World {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.lost = Box::new(lost);
    world.command(next("nii1"));
    world
}

fn details(world: &World) -> Vec<(Phase, String)> {
    world.pick(|what| match what {
        Happened::Migration { phase, detail, .. } => Some((*phase, detail.clone())),
        _ => None,
    })
}

#[test]
fn a_preflight_that_is_not_answered_is_a_refusal() {
    let mut world = moved_while(|effect| matches!(effect, Effect::Preflight(_)));
    world.run_for(Span::from_secs(299));
    assert_eq!(world.engine.state(VM), VmState::Migrating);
    world.run_for(Span::from_secs(1));
    assert_eq!(world.blocked(), [(Gate::Preflight, "the driver did not answer within 5 min".to_owned())]);
    let stays = "nii1 stays: the driver did not answer within 5 min".to_owned();
    assert_eq!(world.answers.last(), Some(&(false, stays)));
    assert_eq!(world.engine.migrations().count(), 0);
    let before = world.effects.len();
    world.tell(Event::Preflight { id: ID, refusal: None, forecast: None });
    assert_eq!(world.effects.len(), before, "a late answer changes nothing");
}

#[test]
fn a_migration_whose_journal_is_not_answered_is_not_started_and_that_is_said() {
    let mut world = moved_while(|effect| matches!(effect, Effect::Journal(_)));
    world.run_for(Span::from_secs(15));
    assert_eq!(details(&world), [(Phase::Failed, "not started: no answer within 15 s".to_owned())]);
    assert_eq!(world.alarms(), ["nii1: request #1 not started: no journal within 15 s"]);
    world.tell(Event::Journalled { id: ID });
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Start(_))), "nor by a late answer");
    assert_eq!(world.engine.migrations().count(), 0);
}

#[test]
fn a_migration_whose_end_is_lost_is_found_at_its_destination() {
    let mut world = moved_while(|effect| matches!(effect, Effect::Start(_)));
    world.run_for(Span::from_secs(59));
    assert_eq!(world.engine.migration(VM).map(|migration| migration.stage()), Some(StageKind::Running));
    world.run_for(Span::from_secs(1));
    assert_eq!((world.phases().last(), world.host()), (Some(&Phase::Confirmed), "h2"));
}

#[test]
fn a_migration_that_only_says_nothing_goes_on_and_can_be_aborted() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::Slow;
    world.command(next("nii1"));
    world.run_for(Span::from_mins(30));
    assert_eq!(world.phases(), [Phase::Running, Phase::Running], "what is asked for and no news is not said again");
    assert!(world.alarms().is_empty());
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Absent);
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert_eq!(world.phases().last(), Some(&Phase::Aborted));
}

#[test]
fn a_silent_driver_can_be_told_to_abort_while_both_hosts_are_asked() {
    let mut world = moved_while(|effect| matches!(effect, Effect::Start(_) | Effect::Confirm(_)));
    world.run_for(Span::from_secs(70));
    assert_eq!(world.engine.migration(VM).map(|migration| migration.stage()), Some(StageKind::Confirming));
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert!(world.answers.last().is_some_and(|(ok, _)| *ok), "{:?}", world.answers);
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::Abort(_))));
}

#[test]
fn a_question_that_is_not_answered_is_asked_again_and_after_a_minute_it_is_an_alarm_and_its_slot_is_free() {
    let mut cluster = cluster(4, threshold());
    cluster.vms.push(vm("nii2", threshold()));
    cluster.vms[1].host = HostId(2);
    cluster.limits.at_once = 1;
    let mut world = World::new(cluster, always(10.0));
    world.lost = Box::new(|effect| matches!(effect, Effect::Confirm(route) if route.vm == VM));
    world.command(next("nii1"));
    assert_eq!(world.engine.migration(VM).map(|migration| migration.stage()), Some(StageKind::Confirming));
    world.run_for(Span::from_secs(59));
    assert!(world.alarms().is_empty());
    let asked = |world: &World| world.effects.iter().filter(|effect| matches!(effect, Effect::Confirm(_))).count();
    assert_eq!(asked(&world), 3, "at once, after 15 s, after 30 s more");
    world.run_for(Span::from_secs(1));
    let unknown = "nii1: outcome unknown for 1 min: the driver does not answer; nothing else is moved with it";
    assert_eq!((world.phases().last(), world.alarms()), (Some(&Phase::Unknown), vec![unknown.to_owned()]));
    world.command(next("nii2"));
    assert_eq!(world.phases().last(), Some(&Phase::Confirmed), "{:?}", world.answers);
    world.run_for(Span::from_hours(24));
    assert_eq!(world.alarms().len(), 1, "said once");
    assert!(asked(&world) > 250, "asked for ever: {}", asked(&world));
    world.lost = Box::new(|_| false);
    world.run_for(Span::from_mins(5));
    assert_eq!((world.phases().last(), world.host()), (Some(&Phase::Confirmed), "h2"));
}

#[test]
fn a_process_that_stood_still_asks_again_before_it_raises_an_alarm() {
    let mut world = moved_while(|effect| matches!(effect, Effect::Confirm(_)));
    world.now += Span::from_mins(10);
    world.tell(Event::Tick);
    assert_eq!(world.alarms(), Vec::<String>::new());
    world.run_for(Span::from_mins(1));
    assert_eq!(world.alarms().len(), 1, "now the driver has been silent");
    // The driver's answer may come before the engine has looked at the clock.
    let mut world = moved_while(|effect| matches!(effect, Effect::Confirm(_)));
    world.now += Span::from_mins(10);
    world.tell(Event::Presence { id: ID, source: Presence::Unknown, destination: Presence::Unknown });
    assert_eq!(world.alarms(), Vec::<String>::new());
}

#[test]
fn an_end_that_comes_while_both_hosts_are_asked_has_them_asked_at_once_and_its_words_are_kept() {
    let mut world = moved_while(|effect| matches!(effect, Effect::Start(_) | Effect::Confirm(_)));
    world.run_for(Span::from_mins(10));
    assert_eq!(world.phases().last(), Some(&Phase::Unknown));
    world.lost = Box::new(|_| false);
    world.tell(Event::Ended { id: ID, detail: "4.5 s, 27 ms down".to_owned() });
    assert_eq!(details(&world).last(), Some(&(Phase::Confirmed, "4.5 s, 27 ms down".to_owned())));
}

#[test]
fn a_migration_found_after_a_restart_whose_driver_stays_silent_is_an_alarm() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    let journalled = in_flight(1, "h1", "h2");
    world.engine.resume(world.now, &journalled, &mut Vec::new());
    world.lost = Box::new(|effect| matches!(effect, Effect::Confirm(_)));
    world.run_for(Span::from_mins(2));
    assert_eq!(world.alarms().len(), 1);
    assert_eq!(world.engine.slots_taken(), 0);
}

#[test]
fn a_reading_that_is_not_answered_is_a_gap_and_the_vm_is_read_again() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.run_for(Span::from_mins(3));
    let mut lost = 1;
    world.lost = Box::new(move |effect| matches!(effect, Effect::Read { .. }) && std::mem::take(&mut lost) == 1);
    world.run_for(Span::from_mins(3));
    assert_eq!(world.gaps(), ["the monitor did not answer"], "one lost answer, one gap");
    assert!(world.why().starts_with("in bounds"), "{}", world.why());
    world.lost = Box::new(|effect| matches!(effect, Effect::Read { .. }));
    world.run_for(Span::from_hours(1));
    assert_eq!(world.states(), [VmState::Stale]);
    assert!(world.why().contains("the monitor did not answer"), "{}", world.why());
    world.lost = Box::new(|_| false);
    world.run_for(Span::from_mins(3));
    assert_eq!(world.states(), [VmState::Stale, VmState::Watching]);
}

#[test]
fn a_move_of_long_unknown_outcome_is_not_counted_among_the_moves_of_this_hour() {
    let mut cluster = cluster(4, threshold());
    cluster.vms.push(vm("nii2", threshold()));
    cluster.vms[1].host = HostId(2);
    cluster.limits.moves_per_hour = Some(1);
    let mut world = World::new(cluster, move |vm, _| crate::core::cluster::Reading::Raw(f64::from(vm.0) * 60.0));
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Unknown);
    world.command(next("nii1"));
    world.run_for(Span::from_mins(4));
    assert!(world.blocked().iter().all(|(_, why)| why.starts_with("1 of 1 moves this hour")), "{:?}", world.blocked());
    world.run_for(Span::from_mins(10));
    let moved: Vec<_> = world.engine.migrations().map(|migration| migration.route.vm).collect();
    assert_eq!(moved, [VM, VmId(1)], "{:?}", world.blocked());
}

fn restarted(world: &mut World, journalled: &InFlight) {
    let engine = &world.engine;
    let kept: Vec<(String, Kept)> =
        engine.vm_ids().map(|vm| (engine.cluster().vm(vm).name.to_string(), engine.keep(vm))).collect();
    let whole = engine.keep_cluster(world.now);
    world.engine = Engine::restored(engine.cluster().clone(), world.now, &kept, Some(whole));
    world.under_way.clear();
    world.engine.resume(world.now, journalled, &mut Vec::new());
    world.run_for(Span::from_secs(1));
}

#[test]
fn a_move_by_hand_from_a_host_that_is_drained_meanwhile_is_still_by_hand_after_a_restart() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::Slow;
    world.command(next("nii1"));
    world.command(Command::Drain { host: "h1".to_owned() });
    world.command(Command::PauseDrain { host: "h1".to_owned() });
    let journalled = world.engine.in_flight(ID).expect("it is under way");
    restarted(&mut world, &journalled);
    let hold = world.engine.live(VM).hold().map(|hold| hold.cause);
    assert_eq!((world.host(), hold), ("h2", Some(HoldCause::Moved)));
}

#[test]
fn whose_move_it_is_is_in_the_journal_and_an_old_journal_is_still_read() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::Slow;
    world.command(Command::Drain { host: "h1".to_owned() });
    let journalled = world.engine.in_flight(ID).expect("it is under way");
    let text = serde_json::to_string(&journalled).expect("JSON");
    assert!(text.contains(r#""by":"drain""#), "{text}");
    assert_eq!(serde_json::from_str::<InFlight>(&text).expect("the same"), journalled);
    let by = world.pick(|what| match what {
        Happened::Request { by, .. } => Some(*by),
        _ => None,
    });
    assert_eq!(by, [By::Operator], "as events have always had it");
    let old = r#"{"id":1,"vm":"nii1","from":"h1","to":"h2","action":"move","by":"operator"}"#;
    assert_eq!(serde_json::from_str::<InFlight>(old).expect("an old one").by, By::Operator);
    restarted(&mut world, &journalled);
    assert_eq!((world.host(), world.engine.live(VM).hold()), ("h2", None), "no hold as after a move by hand");
}

#[test]
fn a_migration_that_tells_how_far_it_is_is_asked_for_only_after_a_minute_of_silence() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::Slow;
    world.command(next("nii1"));
    let asked = |world: &World| world.effects.iter().filter(|effect| matches!(effect, Effect::Confirm(_))).count();
    let progress = |percent| Event::Progress { id: ID, percent, detail: String::new(), transfer: None };
    world.run_for(Span::from_secs(50));
    world.tell(progress(40));
    world.run_for(Span::from_secs(59));
    assert_eq!(asked(&world), 0);
    world.run_for(Span::from_secs(1));
    assert_eq!(asked(&world), 1, "a minute after it was last heard of");
    world.run_for(Span::from_secs(59));
    assert_eq!(asked(&world), 1, "it was still under way");
    world.run_for(Span::from_secs(1));
    assert_eq!(asked(&world), 2);
}

#[test]
fn an_end_that_is_told_before_the_start_says_nothing() {
    for lost in [
        |effect: &Effect| matches!(effect, Effect::Preflight(_)),
        |effect: &Effect| matches!(effect, Effect::Journal(_)),
    ] {
        let mut world = moved_while(lost);
        let stage = world.engine.migration(VM).map(|migration| migration.stage());
        world.tell(Event::Ended { id: ID, detail: "done".to_owned() });
        assert_eq!(world.engine.migration(VM).map(|migration| migration.stage()), stage);
        assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Confirm(_))));
    }
}

#[test]
fn hosts_that_cannot_tell_are_asked_after_a_second_then_every_five_and_a_lost_answer_does_not_end_that() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Unknown);
    world.command(next("nii1"));
    let asked = |world: &World| world.effects.iter().filter(|effect| matches!(effect, Effect::Confirm(_))).count();
    for (seconds, times) in [(0, 1), (1, 2), (4, 2), (1, 3), (5, 4)] {
        world.run_for(Span::from_secs(seconds));
        assert_eq!(asked(&world), times, "{seconds} s later");
    }
    world.lost = Box::new(|effect| matches!(effect, Effect::Confirm(_)));
    for (seconds, times) in [(5, 5), (14, 5), (1, 6), (28, 6), (1, 7)] {
        world.run_for(Span::from_secs(seconds));
        assert_eq!(asked(&world), times, "{seconds} s later, not answered; the last one when the alarm is due");
    }
}

/// What goes wrong in one minute: which of the engine's effects are never answered, by their kinds, how moves end, and
/// what an operator says.
#[derive(Debug, Clone)]
struct BadMinute {
    lost: [bool; 6],
    moves: u8,
    command: u8,
}

fn bad_minutes() -> impl Strategy<Value = Vec<BadMinute>> {
    let lost = prop::array::uniform6(prop::bool::weighted(0.3));
    let minute = (lost, 0_u8..8, 0_u8..12).prop_map(|(lost, moves, command)| BadMinute { lost, moves, command });
    // Trouble lasts a while, so that it can be as long as any deadline.
    let spell = (minute, 1_usize..20).prop_map(|(minute, times)| vec![minute; times]);
    prop::collection::vec(spell, 1..12).prop_map(|spells| spells.concat())
}

fn kind(effect: &Effect) -> usize {
    match effect {
        Effect::Read { .. } => 0,
        Effect::Preflight(_) => 1,
        Effect::Journal(_) => 2,
        Effect::Start(_) => 3,
        Effect::Abort(_) => 4,
        Effect::Confirm(_) | Effect::Order { .. } | Effect::Record(_) | Effect::Answer { .. } => 5,
    }
}

/// Every VM is read, or its gap recorded, within this.
const READ_WITHIN: Span = Span::from_mins(5);
/// Every migration has an outcome, or an alarm says that it has none, within this: each stage's deadline, one after the
/// other.
const ENDS_WITHIN: Span = Span::from_secs(300 + 15 + 60 + 60);

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_each_vm_is_read_each_migration_ends_and_slots_are_freed(minutes in bad_minutes()) {
        use Presence::{Absent, Runs, Unknown};
        let mut cluster = cluster(4, threshold());
        cluster.vms.push(vm("nii2", threshold()));
        let mut world = World::new(cluster, |vm, _| Reading::Raw(if vm == VM { 60.0 } else { 10.0 }));
        let vms = &world.engine.cluster().vms;
        let mut read: HashMap<Name, Timestamp> = vms.iter().map(|vm| (vm.name.clone(), world.now)).collect();
        for minute in minutes {
            let BadMinute { lost, moves, command } = minute;
            world.lost = Box::new(move |effect| lost[kind(effect)]);
            world.moves = match moves {
                0 => Moves::Refuse,
                1 | 2 => Moves::NotJournalled,
                3 => Moves::HostsSay(Runs, Absent),
                4 => Moves::HostsSay(Absent, Unknown),
                _ => Moves::Confirm,
            };
            match command {
                0 => world.command(Command::Drain { host: "h1".to_owned() }),
                1 => world.command(Command::Drain { host: "h2".to_owned() }),
                2 => world.command(Command::Undrain { host: "h1".to_owned() }),
                3 => world.command(Command::Abort { vm: "nii2".to_owned() }),
                4 => world.command(Command::Release { vm: "nii1".to_owned() }),
                _ => {}
            }
            world.records.clear();
            world.run_for(Span::from_mins(1));
            for record in &world.records {
                if let (Some(vm), Happened::Sample { .. } | Happened::Gap { .. }) = (&record.vm, &record.what) {
                    read.insert(vm.clone(), record.at);
                }
            }
            for (vm, at) in &read {
                prop_assert!(world.now.since(*at) <= READ_WITHIN, "{vm} was read last at {at:?}");
            }
            for migration in world.engine.migrations() {
                let age = world.now.since(migration.since);
                prop_assert!(age <= ENDS_WITHIN || migration.is_long_unknown(), "{migration:?}");
            }
        }
        world.lost = Box::new(|_| false);
        world.moves = Moves::Refuse;
        world.run_for(ENDS_WITHIN);
        prop_assert_eq!(world.engine.migrations().count(), 0);
        prop_assert_eq!(world.engine.slots_taken(), 0);
    }
}

#[test]
fn a_migrations_silence_is_counted_from_its_start() {
    let mut world = moved_while(|effect| matches!(effect, Effect::Preflight(_) | Effect::Start(_)));
    world.run_for(Span::from_secs(50));
    world.tell(Event::Preflight { id: ID, refusal: None, forecast: None });
    world.run_for(Span::from_secs(59));
    assert_eq!(world.engine.migration(VM).map(|migration| migration.stage()), Some(StageKind::Running));
}

#[test]
fn other_deadlines_hold_from_then_on() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.engine.set_deadlines(Deadlines::default().divided_by(60));
    world.lost = Box::new(|effect| matches!(effect, Effect::Preflight(_)));
    world.command(next("nii1"));
    world.run_for(Span::from_secs(5));
    assert_eq!(world.blocked(), [(Gate::Preflight, "the driver did not answer within 5 s".to_owned())]);
}
