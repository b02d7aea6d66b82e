//! What survives a restart, and what the time it was down means.

use super::harness::*;
use crate::core::cluster::{Cluster, HostId, HostState, IndicatorKind, Mode, Reading, RequestId, Span, VmId};
use crate::core::engine::{
    Ask, By, Command, Effect, Engine, Event, Gate, Happened, InFlight, Kept, Phase, Presence, Target, VmState,
};
use crate::core::policy::{Decision, Field, Resting, Rule, Settings, WorkingHours};

const MIN: Span = Span::from_mins(1);
const VM: VmId = VmId(0);

fn kept(engine: &Engine) -> Vec<(String, Kept)> {
    engine.vm_ids().map(|vm| (engine.cluster().vm(vm).name.to_string(), engine.keep(vm))).collect()
}

/// Stops the engine, and begins again so long after, with this config.
fn restart_with(world: &mut World, down: Span, cluster: Cluster) {
    let (vms, whole) = (kept(&world.engine), world.engine.keep_cluster(world.now));
    world.now += down;
    world.engine = Engine::restored(cluster, world.now, &vms, Some(whole));
    hosts_up(world);
}

fn restart(world: &mut World, down: Span) {
    let cluster = world.engine.cluster().clone();
    restart_with(world, down, cluster);
}

fn hosts_up(world: &mut World) {
    for host in 0..world.engine.cluster().hosts.len() {
        world.tell(Event::Host { host: HostId::at(host), state: HostState::Up, load: Some(0.5), why: None });
    }
}

fn busy() -> World {
    World::new(cluster(4, threshold()), always(60.0))
}

fn count(world: &World) -> u32 {
    world.engine.live(VM).policy().count
}

fn of_config(world: &World) -> Vec<String> {
    world.pick(|what| match what {
        Happened::Operator { by, text } if by == "config" => Some(text.clone()),
        _ => None,
    })
}

#[test]
fn two_of_three_survive_a_quick_restart_and_the_next_sample_decides() {
    for kind in [IndicatorKind::Gauge, IndicatorKind::Counter] {
        let mut cluster = cluster(4, threshold());
        cluster.vms[0].indicator.kind = kind;
        let mut total = 0.0;
        let mut world = World::new(cluster, move |_, _| {
            total += 60.0;
            Reading::Raw(if kind == IndicatorKind::Counter { total } else { 60.0 })
        });
        while count(&world) < 2 {
            world.run_for(Span::from_secs(1));
        }
        restart(&mut world, Span::from_secs(20));
        assert_eq!((count(&world), world.engine.state(VM)), (2, VmState::Watching));
        assert!(world.decisions().is_empty(), "nothing is decided by beginning again");
        world.run_for(MIN);
        assert_eq!((world.decisions(), world.host()), (vec![Decision::Move], "h2"), "{kind:?}");
        assert_eq!(world.states(), [VmState::Migrating, VmState::Settling]);
    }
}

#[test]
fn a_stop_of_some_minutes_is_gaps_and_a_long_one_makes_it_stale() {
    let mut world = busy();
    world.run_for(MIN + MIN);
    restart(&mut world, Span::from_mins(2));
    assert_eq!((count(&world), world.engine.live(VM).policy().gaps, world.engine.state(VM)), (2, 1, VmState::Watching));
    let mut world = busy();
    world.run_for(MIN + MIN);
    restart(&mut world, Span::from_hours(3));
    assert_eq!((count(&world), world.engine.state(VM)), (0, VmState::Stale));
    assert_eq!(world.states(), [VmState::Stale], "said at the first step");
    world.run_for(MIN);
    assert_eq!((count(&world), world.engine.state(VM)), (1, VmState::Watching), "the first good sample counts");
}

#[test]
fn an_increase_over_a_long_stop_is_no_sample() {
    let mut cluster = cluster(4, threshold());
    cluster.vms[0].indicator.kind = IndicatorKind::Counter;
    let mut total = 0.0;
    let mut world = World::new(cluster, move |_, _| {
        total += 60.0;
        Reading::Raw(total)
    });
    world.run_for(Span::from_mins(2));
    restart(&mut world, Span::from_mins(2));
    world.run_for(MIN);
    assert!(world.gaps().last().is_some_and(|why| why.contains("more than 1.5 intervals")), "{:?}", world.gaps());
}

#[test]
fn a_steady_vm_is_not_stale_after_a_crash_though_it_was_kept_long_ago() {
    let mut world = World::new(cluster(4, threshold()), always(10.0));
    world.run_for(MIN + MIN);
    let old = kept(&world.engine);
    world.engine.take_changed();
    world.run_for(Span::from_hours(5));
    assert!(world.engine.take_changed().is_empty(), "nothing worth writing in five hours");
    let whole = world.engine.keep_cluster(world.now);
    world.now += Span::from_secs(30);
    world.engine = Engine::restored(world.engine.cluster().clone(), world.now, &old, Some(whole));
    assert_eq!((world.engine.live(VM).policy().gaps, world.engine.state(VM)), (0, VmState::Watching));
}

#[test]
fn a_reading_that_was_due_when_the_cluster_was_last_saved_was_not_missed() {
    let mut world = World::new(cluster(4, threshold()), always(10.0));
    world.run_for(MIN + MIN);
    let (old, due) = (kept(&world.engine), world.engine.live(VM).readings().next);
    world.run_for(due.since(world.now));
    let whole = world.engine.keep_cluster(world.now);
    world.now += Span::from_secs(100);
    world.engine = Engine::restored(world.engine.cluster().clone(), world.now, &old, Some(whole));
    assert_eq!(world.engine.live(VM).policy().gaps, 1, "only the one after it");
}

#[test]
fn after_a_reload_every_vm_is_worth_writing() {
    let mut world = World::new(cluster(4, threshold()), always(10.0));
    world.run_for(MIN);
    world.engine.take_changed();
    let mut elsewhere = cluster(4, threshold());
    elsewhere.vms[0].host = HostId(3);
    world.tell(Event::Reconfigured { cluster: Box::new(elsewhere), reread: Vec::new(), said: Vec::new() });
    assert_eq!(world.engine.take_changed(), [VM]);
}

#[test]
fn a_changed_setting_is_worth_writing() {
    let mut world = World::new(cluster(4, threshold()), always(10.0));
    world.run_for(MIN);
    world.engine.take_changed();
    world.set(Field::Tarry, 9.0);
    assert_eq!(world.engine.take_changed(), [VM]);
}

#[test]
fn a_hold_survives_and_one_that_ended_meanwhile_ends() {
    let mut world = busy();
    world.command(Command::Hold { vm: "nii1".to_owned() });
    restart(&mut world, Span::from_mins(5));
    assert_eq!(world.why(), "held until released, by an operator");
    assert_eq!(world.states(), [VmState::Held], "it was said before");
    let mut world = busy();
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    world.run_for(MIN);
    restart(&mut world, Span::from_secs(5));
    assert!(world.why().starts_with("held 29 min more, moved by hand"), "{}", world.why());
    restart(&mut world, Span::from_mins(40));
    world.tell(Event::Tick);
    assert_eq!((world.engine.live(VM).hold(), world.states().last()), (None, Some(&VmState::Stale)));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.states().last(), Some(&VmState::Settling), "released, it counted three and moved");
}

#[test]
fn cooldown_and_budget_go_on() {
    let mut cooled = cluster(4, threshold());
    cooled.limits.cooldown = Span::from_mins(15);
    let mut world = World::new(cooled, always(60.0));
    world.run_for(Span::from_mins(3));
    let moved = world.requests()[0].0;
    restart(&mut world, Span::from_secs(10));
    world.run_for(Span::from_mins(4));
    let (at, left) = world
        .records
        .iter()
        .find_map(|r| match &r.what {
            Happened::Blocked { gate: Gate::Cooldown, detail, .. } => Some((r.at, detail.clone())),
            _ => None,
        })
        .unwrap();
    let expected = crate::core::format::duration((moved + Span::from_mins(15)).since(at));
    assert_eq!(left, format!("{expected} left"));
    let mut few = cluster(4, threshold());
    few.limits.moves_per_hour = Some(2);
    let mut world = World::new(few, always(60.0));
    world.run_for(Span::from_mins(10));
    restart(&mut world, Span::from_secs(10));
    world.run_for(Span::from_mins(20));
    assert_eq!(world.requests().len(), 2);
    assert!(world.blocked()[0].1.starts_with("2 of 2 moves this hour"));
}

#[test]
fn the_budget_goes_on_with_the_oldest_move_of_any_vm() {
    let mut few = cluster(4, threshold());
    few.limits.moves_per_hour = Some(2);
    few.vms.push(vm("nii2", threshold()));
    let mut world = World::new(few, always(10.0));
    for vm in ["nii2", "nii1"] {
        world.command(Command::Move { vm: vm.to_owned(), target: Target::Next });
        world.run_for(Span::from_mins(10));
    }
    restart(&mut world, Span::ZERO);
    let gates = world.engine.assess(VM, &Ask::Policy(Decision::Move, By::Policy), world.now);
    let said = Some("2 of 2 moves this hour, next in 40 min".to_owned());
    assert!(gates.contains(&(Gate::Budget, said)), "{gates:?}");
}

#[test]
fn a_drain_whose_hosts_do_not_answer_after_a_restart_is_an_alarm() {
    let mut world = World::new(cluster(4, threshold()), always(10.0));
    world.moves = Moves::NotJournalled;
    world.command(Command::Drain { host: "h1".to_owned() });
    let (vms, whole) = (kept(&world.engine), world.engine.keep_cluster(world.now));
    world.engine = Engine::restored(cluster(4, threshold()), world.now, &vms, Some(whole));
    world.run_for(Span::from_secs(30));
    assert_eq!(world.alarms(), ["h1 cannot be drained: nii1: h1 is unknown"]);
}

#[test]
fn from_the_base_it_goes_to_the_successor_of_its_last_ring_host() {
    let mut world = World::new(cluster(4, base()), always(10.0));
    for target in [Target::Host("h2".to_owned()), Target::Base] {
        world.command(Command::Move { vm: "nii1".to_owned(), target });
    }
    assert_eq!(world.host(), "base");
    restart(&mut world, Span::from_secs(5));
    assert_eq!(world.host(), "base");
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    assert_eq!(world.host(), "h3");
}

#[test]
fn flapping_survives_and_so_does_what_was_tried() {
    let mut world = busy();
    let mut cluster = world.engine.cluster().clone();
    cluster.limits.flap_window = Some(Span::from_hours(1));
    restart_with(&mut world, Span::ZERO, cluster);
    while world.requests().len() < 3 {
        world.run_for(MIN);
    }
    restart(&mut world, Span::from_secs(5));
    world.run_for(Span::from_mins(20));
    assert_eq!(world.requests().len(), 4, "every host once");
    assert_eq!(world.engine.state(VM), VmState::Flapping);
    let why = world.why();
    restart(&mut world, Span::from_hours(9));
    assert_eq!((world.engine.state(VM), world.why()), (VmState::Flapping, why));
    assert_eq!(world.engine.alarms().count(), 1, "nobody has acknowledged it");
    world.run_for(MIN + MIN);
    assert_eq!(world.alarms().len(), 1, "and it is not raised again");
}

#[test]
fn a_host_where_it_failed_is_still_passed_over() {
    let mut world = busy();
    world.moves = Moves::HostsSay(Presence::Runs, Presence::Absent);
    world.run_for(Span::from_mins(3));
    world.moves = Moves::Confirm;
    restart(&mut world, Span::from_secs(10));
    world.run_for(Span::from_mins(4));
    assert_eq!(world.requests().last().map(|r| r.1), Some("h3"));
}

#[test]
fn settle_goes_on_and_one_that_is_over_is_followed_by_its_baseline() {
    let mut world = busy();
    while world.requests().is_empty() {
        world.run_for(Span::from_secs(1));
    }
    let settled = world.engine.live(VM).settles().unwrap();
    restart(&mut world, Span::from_secs(10));
    assert_eq!((world.engine.state(VM), world.engine.live(VM).readings().next), (VmState::Settling, settled));
    restart(&mut world, Span::from_secs(50));
    assert_eq!(world.engine.live(VM).readings().next, world.now);
    world.run_for(Span::from_secs(59));
    assert_eq!((count(&world), world.engine.state(VM)), (0, VmState::Watching), "the baseline does not count");
    world.run_for(Span::from_secs(1));
    assert_eq!(count(&world), 1);
}

#[test]
fn bounds_that_were_edited_meanwhile_zero_their_count_and_that_is_said() {
    let mut world = busy();
    world.run_for(MIN + MIN);
    let with = |field, value| cluster(4, threshold().with(field, value).unwrap());
    restart_with(&mut world, Span::from_secs(5), with(Field::Tarry, 5.0));
    assert_eq!((count(&world), world.edits()), (2, vec!["tarry 3 > 5 by config".to_owned()]));
    restart_with(&mut world, Span::from_secs(5), with(Field::Threshold, 55.0));
    assert_eq!(count(&world), 0);
    assert_eq!(world.edits()[1..], ["threshold 50 > 55 by config", "tarry 5 > 3 by config"]);
}

#[test]
fn it_is_where_it_was_unless_the_config_says_otherwise_since() {
    let moved = || {
        let mut world = busy();
        world.run_for(Span::from_mins(3));
        assert_eq!(world.host(), "h2");
        world
    };
    let mut world = moved();
    restart(&mut world, MIN);
    assert_eq!((world.host(), of_config(&world).len()), ("h2", 0));
    let mut elsewhere = cluster(4, threshold());
    elsewhere.vms[0].host = HostId(3);
    restart_with(&mut world, MIN, elsewhere);
    assert_eq!(world.host(), "h4");
    assert_eq!(of_config(&world), ["it was on h2: taken to be on h4, the config says so since"]);
    let next = world.engine.destination_of(VM, &Target::Next, world.now);
    assert_eq!(next, Some(HostId(0)), "the ring goes on from h4");
    let mut world = moved();
    let mut without = cluster(4, threshold());
    without.hosts[1].name = "h9".into();
    restart_with(&mut world, MIN, without);
    assert_eq!(world.host(), "h1");
    assert_eq!(of_config(&world), ["it was on h2: taken to be on h1, it cannot be there by the config"]);
    assert_eq!(world.engine.host(HostId(0)).vms(), 1);
}

#[test]
fn a_request_that_waits_still_does_and_lapses_when_it_would_have() {
    let mut asking = cluster(4, threshold());
    asking.mode = Mode::Ask;
    let waiting = || {
        let mut world = World::new(asking.clone(), always(60.0));
        world.run_for(Span::from_mins(3));
        assert_eq!(world.engine.state(VM), VmState::Waiting);
        world
    };
    let mut world = waiting();
    restart(&mut world, MIN);
    world.command(Command::Approve { vm: "nii1".to_owned() });
    assert_eq!((world.host(), world.answers[0].1.as_str()), ("h2", "nii1: request #1 to h2 approved"));
    let mut world = waiting();
    restart(&mut world, Span::from_mins(30));
    world.tell(Event::Tick);
    assert_eq!(world.blocked()[0].1, "nobody approved request #1 within 10 min");
    let mut world = waiting();
    let mut edited = asking.clone();
    edited.vms[0].policy = threshold().with(Field::Threshold, 70.0).unwrap();
    restart_with(&mut world, MIN, edited);
    assert_eq!(world.blocked()[0].1, "request #1 dropped: its policy was changed");
}

#[test]
fn numbers_of_requests_go_on() {
    let mut world = busy();
    world.run_for(Span::from_mins(8));
    let last = world.requests().len() as u64;
    let vms = kept(&world.engine);
    let whole = world.engine.keep_cluster(world.now);
    assert_eq!(whole.last_id, last);
    world.engine = Engine::restored(cluster(4, threshold()), world.now, &vms, Some(whole));
    hosts_up(&mut world);
    world.run_for(Span::from_mins(5));
    let ids = world.pick(|what| match what {
        Happened::Request { id, .. } => Some(id.0),
        _ => None,
    });
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    assert!(ids.len() as u64 > last);
}

#[test]
fn a_mode_set_by_hand_outlives_a_reload_and_a_narrower_one_a_restart() {
    let config = |mode| Cluster { mode, ..cluster(4, threshold()) };
    let reload = |world: &mut World, mode| {
        world.tell(Event::Reconfigured { cluster: Box::new(config(mode)), reread: Vec::new(), said: Vec::new() });
        world.engine.cluster().mode
    };
    let set = |world: &mut World, mode| world.command(Command::Mode { mode });
    let mut world = World::new(config(Mode::Auto), always(60.0));
    set(&mut world, Mode::Observe);
    assert_eq!(reload(&mut world, Mode::Auto), Mode::Observe, "something else was changed in the config");
    restart_with(&mut world, MIN, config(Mode::Auto));
    assert_eq!(world.engine.cluster().mode, Mode::Observe);
    assert_eq!(of_config(&world).last().unwrap(), "mode observe as an operator set it; the config says auto");
    assert_eq!(reload(&mut world, Mode::Ask), Mode::Ask, "the config says otherwise now");
    set(&mut world, Mode::Auto);
    restart_with(&mut world, MIN, config(Mode::Ask));
    assert_eq!(world.engine.cluster().mode, Mode::Ask, "a new engine does not move VMs unless the config lets it");
    set(&mut world, Mode::Observe);
    restart_with(&mut world, MIN, config(Mode::Auto));
    assert_eq!(world.engine.cluster().mode, Mode::Auto, "the config was changed while it was down");
}

fn schedule(resting: Resting) -> Settings {
    let hours = WorkingHours::parse("12:00-13:00", chrono_tz::UTC).unwrap();
    Settings::new(Rule::Schedule { high: HIGH, low: LOW, hours, resting }, threshold().direction)
}

#[test]
fn hours_that_ended_meanwhile_lead_to_the_base() {
    let mut world = World::new(cluster(4, schedule(Resting::Record)), always(25.0));
    world.run_for(Span::from_mins(15));
    restart(&mut world, Span::from_mins(10));
    assert!(world.decisions().is_empty(), "not by beginning again");
    world.run_for(MIN);
    assert_eq!((world.host(), world.engine.state(VM)), ("base", VmState::Resting));
}

#[test]
fn a_vm_that_is_not_read_at_rest_missed_nothing() {
    let mut world = World::new(cluster(4, schedule(Resting::Off)), always(25.0));
    world.run_for(Span::from_mins(40));
    assert_eq!(world.engine.state(VM), VmState::Resting);
    restart(&mut world, Span::from_hours(5));
    world.tell(Event::Tick);
    assert_eq!((world.engine.live(VM).policy().gaps, world.engine.state(VM)), (0, VmState::Resting));
    let mut world = World::new(cluster(4, schedule(Resting::Record)), always(25.0));
    world.run_for(Span::from_mins(40));
    restart(&mut world, Span::from_hours(5));
    assert_eq!(
        (world.engine.live(VM).policy().gaps, world.engine.state(VM)),
        (3, VmState::Resting),
        "this one is read"
    );
}

fn journalled(world: &World) -> InFlight {
    world.engine.in_flight(world.engine.migrations().next().unwrap().route.id).unwrap()
}

fn in_mid_move() -> World {
    let mut world = busy();
    world.moves = Moves::Hang;
    world.run_for(Span::from_mins(3));
    assert_eq!(world.engine.state(VM), VmState::Migrating);
    world
}

fn resume(world: &mut World, journalled: &InFlight) {
    let mut out = Vec::new();
    world.engine.resume(world.now, journalled, &mut out);
    let told = out.into_iter().map(|effect| match effect {
        Effect::Record(record) => record,
        other => panic!("nothing is asked for at once: {other:?}"),
    });
    world.records.extend(told);
}

/// Migrations that were started.
fn started(world: &World) -> usize {
    world.effects.iter().filter(|effect| matches!(effect, Effect::Start(_))).count()
}

#[test]
fn what_was_under_way_is_followed_to_what_both_hosts_say() {
    use Presence::{Absent, Runs, Unknown};
    for (source, destination, phase, host) in [
        (Absent, Runs, Phase::Confirmed, "h2"),
        (Runs, Absent, Phase::Failed, "h1"),
        (Absent, Absent, Phase::Lost, "h1"),
        (Runs, Runs, Phase::Double, "h1"),
        (Absent, Unknown, Phase::Unknown, "h1"),
    ] {
        let mut world = in_mid_move();
        let migration = journalled(&world);
        let before = started(&world);
        let (vms, whole) = (kept(&world.engine), world.engine.keep_cluster(world.now));
        world.now += MIN;
        world.engine = Engine::restored(cluster(4, threshold()), world.now, &vms, Some(whole));
        world.under_way.clear();
        resume(&mut world, &migration);
        assert_eq!(world.engine.state(VM), VmState::Migrating);
        world.moves = Moves::HostsSay(source, destination);
        hosts_up(&mut world);
        world.run_for(Span::from_secs(1));
        assert_eq!((world.phases().last(), world.host()), (Some(&phase), host));
        assert_eq!(started(&world), before, "nothing is started");
        let busy = |host| world.engine.host(HostId(host)).vms();
        assert_eq!(busy(0) + busy(1), 1);
    }
}

#[test]
fn a_resumed_migration_whose_host_is_gone_is_an_alarm_in_words() {
    let mut world = in_mid_move();
    let migration = journalled(&world);
    assert_eq!(migration, in_flight(1, "h1", "h2"));
    let text = serde_json::to_string(&migration).unwrap();
    assert_eq!(serde_json::from_str::<InFlight>(&text).unwrap(), migration);
    let mut without = cluster(4, threshold());
    without.hosts[1].name = "h9".into();
    restart_with(&mut world, MIN, without);
    resume(&mut world, &migration);
    let words = "request #1 was moving nii1 from h1 to h2 when whimbrel stopped, and host h2 is not in the config any \
                 more: nothing is moved; see where it runs, then release it";
    assert_eq!(world.alarms(), [words]);
    assert_eq!((world.engine.migrations().count(), world.engine.state(VM)), (0, VmState::Held));
    assert_eq!(world.why(), "held until released, its last migration was lost track of");
    let before = started(&world);
    world.run_for(Span::from_mins(10));
    assert_eq!(started(&world), before, "the first one may still go on");
    world.command(Command::Release { vm: "nii1".to_owned() });
    world.run_for(Span::from_mins(4));
    assert_eq!(started(&world), before + 1);
    let mut gone = migration;
    gone.route.vm = "nii9".into();
    resume(&mut world, &gone);
    assert!(world.alarms().last().unwrap().contains("VM nii9 is not in the config any more"));
}

#[test]
fn what_is_kept_tells_how_a_migration_without_an_outcome_ended() {
    let mut world = World::new(cluster(4, threshold()), always(10.0));
    for _ in 0..2 {
        world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    }
    let kept = world.engine.keep(VM);
    let outcomes = [1, 2, 3].map(|id| kept.outcome(RequestId(id)));
    assert_eq!(outcomes, [Some("over"), Some("confirmed"), None]);
}

#[test]
fn what_is_kept_of_the_cluster_is_written_again_when_it_changes_and_not_for_the_time_alone() {
    let mut world = World::new(cluster(4, threshold()), always(10.0));
    let mut written = world.engine.keep_cluster(world.now);
    let mut is_written_again = |world: &World| {
        let now = world.engine.keep_cluster(world.now);
        let differs = now.differs(&written);
        written = now;
        differs
    };
    world.run_for(MIN);
    assert!(!is_written_again(&world));
    for command in [
        Command::Move { vm: "nii1".to_owned(), target: Target::Next },
        Command::Mode { mode: Mode::Ask },
        Command::Drain { host: "h1".to_owned() },
    ] {
        world.command(command.clone());
        assert!(is_written_again(&world), "{command:?}");
    }
    world.tell(Event::Trouble { vm: None, text: "the disk is full".to_owned() });
    assert!(is_written_again(&world));
    world.run_for(MIN);
    assert!(!is_written_again(&world));
}

#[test]
fn another_indicator_in_the_config_has_no_past() {
    let mut old = cluster(4, threshold());
    old.vms[0].indicator.kind = IndicatorKind::Counter;
    let mut total = 0.0;
    let mut world = World::new(old.clone(), move |_, _| {
        total += 60.0;
        Reading::Raw(total)
    });
    world.run_for(MIN + MIN);
    old.vms[0].indicator.name = "aborted clients".to_owned();
    restart_with(&mut world, Span::from_secs(1), old);
    world.run_for(MIN);
    assert_eq!(world.gaps(), ["first reading of the counter", "first reading of the counter"]);
}

#[test]
fn a_request_that_waits_for_a_host_that_left_the_config_is_dropped() {
    let mut asking = cluster(4, threshold());
    asking.mode = Mode::Ask;
    let waits = || {
        let mut world = World::new(asking.clone(), always(60.0));
        world.run_for(MIN + MIN + MIN);
        assert_eq!(world.engine.state(VM), VmState::Waiting);
        world
    };
    let mut without = asking.clone();
    without.hosts[1].name = "h9".into();
    let mut world = waits();
    restart_with(&mut world, Span::from_secs(1), without.clone());
    let why = "request #1 dropped: its destination is not in the config any more";
    assert_eq!(world.blocked(), [(Gate::Destination, why.to_owned())]);
    let reload = |cluster| Event::Reconfigured { cluster: Box::new(cluster), reread: Vec::new(), said: Vec::new() };
    let mut world = waits();
    world.tell(reload(without));
    let why = "request #1 dropped: its destination is not in the config any more";
    assert_eq!(world.blocked(), [(Gate::Destination, why.to_owned())]);
    let mut turned = asking.clone();
    turned.hosts.swap(1, 2);
    turned.arrays[0].ring.swap(1, 2);
    let mut world = waits();
    world.tell(reload(turned));
    let to = world.engine.live(VM).waiting().map(|waiting| waiting.to);
    assert_eq!(to, Some(HostId(2)), "h2, wherever it stands now");
}

#[test]
fn of_two_migrations_of_one_vm_in_the_journal_one_is_followed_and_the_other_is_an_alarm() {
    let mut world = in_mid_move();
    let migration = journalled(&world);
    restart(&mut world, MIN);
    world.under_way.clear();
    resume(&mut world, &migration);
    resume(&mut world, &in_flight(2, "h1", "h3"));
    assert_eq!(world.engine.migrations().map(|migration| migration.route.id).collect::<Vec<_>>(), [RequestId(1)]);
    assert!(world.alarms()[0].contains("request #1 was under way as well"), "{:?}", world.alarms());
}

#[test]
fn its_slot_is_kept_unless_the_new_interval_is_shorter_than_the_wait_for_it() {
    let mut world = busy();
    world.run_for(MIN + MIN);
    let due = world.engine.live(VM).readings().next;
    let next = |world: &World| world.engine.live(VM).readings().next;
    let left = due.since(world.now);
    restart(&mut world, left);
    assert_eq!(next(&world), due, "just in time");
    restart(&mut world, MIN + MIN + Span::from_secs(1));
    assert_eq!(next(&world), due + MIN + MIN + MIN, "its slot, not the instant of the start");
    let mut seldom = cluster(4, threshold());
    seldom.vms[0].interval = Span::from_hours(1);
    let mut world = World::new(seldom, always(60.0));
    restart_with(&mut world, Span::from_secs(1), cluster(4, threshold()));
    assert!(next(&world).since(world.now) <= MIN);
}

#[test]
fn readings_that_settling_put_off_were_not_missed() {
    let mut slow = cluster(4, threshold());
    slow.vms[0].policy.settle = Span::from_mins(20);
    let mut world = World::new(slow, always(10.0));
    world.run_for(MIN + MIN);
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    restart(&mut world, Span::from_mins(10));
    assert_eq!((world.engine.live(VM).policy().gaps, world.engine.state(VM)), (0, VmState::Held));
}

#[test]
fn a_vm_found_in_mid_move_neither_waits_nor_settles_and_that_is_said_and_numbers_go_on() {
    let mut asking = cluster(4, threshold());
    asking.mode = Mode::Ask;
    let mut waiting = World::new(asking, always(60.0));
    waiting.run_for(MIN + MIN + MIN);
    let mut settling = busy();
    settling.run_for(MIN + MIN + MIN);
    assert!(waiting.engine.live(VM).waiting().is_some() && settling.engine.live(VM).settles().is_some());
    for mut world in [waiting, settling] {
        let said = (world.states().len(), world.phases().len());
        resume(&mut world, &in_flight(7, "h1", "h2"));
        let live = world.engine.live(VM);
        assert_eq!((live.waiting(), live.settles()), (None, None));
        assert_eq!(world.states()[said.0..], [VmState::Migrating]);
        assert_eq!(world.phases()[said.1..], [Phase::Unknown]);
        assert_eq!(world.engine.keep_cluster(world.now).last_id, 7);
    }
}

#[test]
fn what_changed_while_it_was_down_is_said_in_the_first_step_and_a_waiting_requests_number_is_not_given_twice() {
    let mut asking = cluster(4, threshold());
    asking.mode = Mode::Ask;
    let mut world = World::new(asking, always(60.0));
    world.run_for(MIN + MIN + MIN);
    let vms = kept(&world.engine);
    world.now += Span::from_hours(3);
    let mut engine = Engine::restored(world.engine.cluster().clone(), world.now, &vms, None);
    assert_eq!(engine.keep_cluster(world.now).last_id, 1);
    let said = |engine: &mut Engine| {
        let mut out = Vec::new();
        engine.step(world.now, Event::Trouble { vm: None, text: String::new() }, &mut out);
        let is_state = |effect: &&Effect| matches!(effect, Effect::Record(record) if matches!(record.what, Happened::State { .. }));
        out.iter().filter(is_state).count()
    };
    assert_eq!((said(&mut engine), said(&mut engine)), (1, 0));
}
