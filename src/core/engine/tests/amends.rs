//! Changed settings: by whom, key by key, and what a VM keeps of its counts; a reload keeps what it can.

use super::harness::*;
use crate::core::cluster::{Cluster, Direction, HostId, HostState, Mode, Span, VmId};
use crate::core::engine::{Change, Command, ConfigChange, Effect, Event, Gate, Happened, Target, VmState};
use crate::core::policy::{Bound, Decision, Field, Resting, Rule, Settings, WorkingHours};

const MIN: Span = Span::from_mins(1);

fn change(vm: &str, settings: Settings) -> Change {
    Change { vm: vm.to_owned(), settings: Box::new(settings) }
}

fn reloaded(cluster: Cluster) -> Event {
    Event::Reconfigured { cluster: Box::new(cluster), reread: Vec::new(), said: Vec::new() }
}

fn two() -> Cluster {
    let mut cluster = cluster(3, threshold());
    cluster.vms.push(vm("nii2", threshold()));
    cluster
}

fn of_config(world: &World) -> Vec<String> {
    world.pick(|what| match what {
        Happened::Operator { by, text } if by == "config" => Some(text.clone()),
        _ => None,
    })
}

#[test]
fn editing_a_bound_zeroes_its_count_and_editing_a_tarry_keeps_it() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.run_for(Span::from_mins(2));
    world.set(Field::Tarry, 2.0);
    assert_eq!(world.engine.live(VmId(0)).policy().count, 2);
    world.run_for(MIN);
    assert_eq!(world.decisions(), [Decision::Move], "the next beyond sample with count >= tarry decides");
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.run_for(Span::from_mins(2));
    world.set(Field::Threshold, 55.0);
    assert_eq!(world.engine.live(VmId(0)).policy().count, 0);
    assert_eq!(world.answers.last(), Some(&(true, "nii1: threshold 50 → 55".to_owned())));
    assert_eq!(world.edits(), ["threshold 50 > 55 by root"]);
}

#[test]
fn another_direction_zeroes_the_count_of_a_bound_that_stays() {
    let counts =
        |world: &World| (world.engine.live(VmId(0)).policy().count, world.engine.live(VmId(0)).policy().low_count);
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.run_for(Span::from_mins(2));
    assert_eq!(counts(&world), (2, 0));
    world.amend(Settings { direction: Direction::LowerIsWorse, ..threshold() });
    assert_eq!(counts(&world), (0, 0));
    let mut world = World::new(cluster(3, base()), always(0.0));
    world.run_for(Span::from_mins(2));
    assert_eq!(counts(&world), (0, 2));
    // Fewer are worse now, so the threshold has to be below the low threshold, which stays.
    let high = Bound { at: 0.5, ..HIGH };
    world.amend(Settings::new(Rule::Base { high, low: LOW }, Direction::LowerIsWorse));
    assert_eq!(counts(&world), (0, 0));
}

#[test]
fn a_change_says_why_and_a_change_to_the_same_says_nothing() {
    let mut world = World::new(two(), always(10.0));
    let wider = threshold().with(Field::Threshold, 60.0).unwrap();
    let why = Some("too many moves".to_owned());
    let changes = vec![change("nii1", wider.clone()), change("nii2", wider.clone())];
    world.command(Command::Amend { changes, why: why.clone() });
    assert_eq!(world.answers.last(), Some(&(true, "2 VMs: threshold → 60".to_owned())));
    let edits = world.pick(|what| match what {
        Happened::Edit { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(edits, [why.clone(), why]);
    world.amend(wider);
    assert_eq!(world.answers.last(), Some(&(true, "nii1: nothing changed".to_owned())));
    assert_eq!(world.edits().len(), 2);
}

#[test]
fn all_or_nothing() {
    let mut world = World::new(two(), always(60.0));
    world.run_for(MIN + MIN);
    let counts = |world: &World| [0, 1].map(|vm| world.engine.live(VmId(vm)).policy().count);
    let wider = threshold().with(Field::Threshold, 60.0).unwrap();
    let mut broken = threshold();
    broken.rule = Rule::Base { high: HIGH, low: HIGH };
    for (second, why) in [
        (change("nii9", wider.clone()), "there is no VM nii9"),
        (change("nii2", broken), "nii2: low_threshold 50 must be below threshold 50"),
        (change("nii1", threshold()), "nii1 is to be changed twice at once"),
    ] {
        world.command(Command::Amend { changes: vec![change("nii1", wider.clone()), second], why: None });
        assert_eq!(world.answers.last(), Some(&(false, why.to_owned())));
    }
    world.command(Command::Amend { changes: Vec::new(), why: None });
    assert_eq!(world.answers.last(), Some(&(false, "nothing is to be changed".to_owned())));
    assert_eq!((counts(&world), world.edits().len()), ([2, 2], 0));
}

#[test]
fn a_request_that_waits_is_dropped_with_its_policy_and_that_is_said() {
    let mut asking = cluster(3, threshold());
    asking.mode = Mode::Ask;
    let changed = |cluster: &Cluster| {
        let mut cluster = cluster.clone();
        cluster.vms[0].policy = threshold().with(Field::Threshold, 55.0).unwrap();
        cluster
    };
    for by_reload in [false, true] {
        let mut world = World::new(asking.clone(), always(60.0));
        world.run_for(Span::from_mins(3));
        assert_eq!(world.engine.state(VmId(0)), VmState::Waiting);
        if by_reload {
            world.tell(reloaded(changed(&asking)));
        } else {
            world.set(Field::Threshold, 55.0);
        }
        let said = (Gate::Mode, "request #1 dropped: its policy was changed".to_owned());
        assert_eq!(world.blocked(), [said]);
        assert_eq!(world.states(), [VmState::Waiting, VmState::Watching]);
        world.run_for(Span::from_mins(15));
        assert_eq!(world.decisions().len(), 3, "and it counts again, from 0");
    }
}

#[test]
fn a_request_whose_destination_goes_is_dropped_and_that_is_said() {
    let mut old = cluster(3, threshold());
    old.mode = Mode::Ask;
    let mut world = World::new(old.clone(), always(60.0));
    world.run_for(Span::from_mins(3));
    let mut new = old;
    new.hosts[1].name = "h9".into();
    world.tell(reloaded(new));
    assert_eq!(
        world.blocked(),
        [(Gate::Destination, "request #1 dropped: its destination is not in the config any more".to_owned())]
    );
}

#[test]
fn hours_that_an_edit_brings_hold_at_once() {
    let schedule = |hours| {
        let hours = WorkingHours::parse(hours, chrono_tz::UTC).unwrap();
        Settings::new(Rule::Schedule { high: HIGH, low: LOW, hours, resting: Resting::Record }, base().direction)
    };
    let mut world = World::new(cluster(3, base()), always(25.0));
    world.run_for(MIN);
    world.amend(schedule("13:00-14:00"));
    world.run_for(Span::ZERO);
    assert_eq!((world.host(), world.engine.state(VmId(0))), ("base", VmState::Resting));
    world.amend(schedule("12:00-14:00"));
    world.run_for(MIN);
    assert_eq!(world.engine.state(VmId(0)), VmState::Watching);
    world.amend(base());
    world.run_for(Span::from_hours(12));
    assert_eq!(world.engine.state(VmId(0)), VmState::Watching, "no hours, no rest");
    assert_eq!(world.requests().len(), 1);
}

#[test]
fn a_site_policy_needs_somewhere_to_go() {
    let rule = crate::core::policy::SiteRule::new(2);
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.amend(Settings::new(Rule::Site(rule), threshold().direction));
    assert!(world.answers.last().is_some_and(|(ok, text)| !ok && text.contains("an array of another site")));
}

#[test]
fn a_reload_says_line_by_line_what_it_changed() {
    let old = two();
    let mut world = World::new(old.clone(), always(10.0));
    let mut new = old;
    new.vms[0].policy = threshold().with(Field::Tarry, 5.0).unwrap();
    new.vms.remove(1);
    new.vms.push(vm("nii4", base()));
    let said = vec![
        line(None, "mode ask → auto"),
        line(Some("nii1"), "monitor url a → b"),
        line(Some("nii4"), "added, on h1"),
        line(Some("nii2"), "removed"),
    ];
    world.tell(Event::Reconfigured { cluster: Box::new(new), reread: vec!["nii1".to_owned()], said });
    assert_eq!(world.edits(), ["tarry 3 > 5 by config"]);
    let lines = world.records.iter().filter_map(|record| match &record.what {
        Happened::Operator { text, .. } => Some((record.vm.as_deref(), text.as_str())),
        _ => None,
    });
    let lines: Vec<_> = lines.collect();
    let expected = [
        (None, "mode ask → auto"),
        (Some("nii1"), "monitor url a → b"),
        (Some("nii4"), "added, on h1"),
        (None, "VM nii2: removed"),
        (None, "applied: 2 VMs, 4 hosts"),
    ];
    assert_eq!(lines, expected);
}

fn line(vm: Option<&str>, text: &str) -> ConfigChange {
    ConfigChange { vm: vm.map(str::to_owned), text: text.to_owned() }
}

#[test]
fn a_reload_that_changes_very_much_is_cut_short() {
    let old = cluster(3, threshold());
    let mut world = World::new(old.clone(), always(10.0));
    let said = (0..198).map(|n| line(None, &format!("host h{n}: added"))).collect();
    world.tell(Event::Reconfigured { cluster: Box::new(old), reread: Vec::new(), said });
    let said = of_config(&world);
    assert_eq!((said.len(), said[50].as_str()), (52, "and 148 changes more"));
    assert!(said[51].starts_with("applied: "));
}

#[test]
fn hours_that_are_edited_often_are_still_looked_at_once() {
    let schedule = |minute: u32| {
        let hours = WorkingHours::parse(&format!("12:00-13:{minute:02}"), chrono_tz::UTC).unwrap();
        Settings::new(Rule::Schedule { high: HIGH, low: LOW, hours, resting: Resting::Record }, base().direction)
    };
    let mut world = World::new(cluster(3, schedule(0)), always(25.0));
    for minute in 1..30 {
        world.amend(schedule(minute));
        world.run_for(Span::from_secs(10));
    }
    world.run_for(Span::from_hours(1));
    assert_eq!(world.decisions().len(), 1, "13:29, once");
    let ticks = world.events.iter().filter(|(_, event)| *event == Event::Tick).count();
    world.run_for(Span::from_hours(24));
    let days = world.events.iter().filter(|(_, event)| *event == Event::Tick).count() - ticks;
    assert!(days < 24 * 60 + 10, "{days} ticks");
}

#[test]
fn a_reading_that_a_reload_cuts_short_is_a_gap_and_the_vm_is_read_in_its_next_slot() {
    let mut world = World::new(two(), always(10.0));
    world.run_for(MIN);
    let due = world.engine.live(VmId(0)).readings().next;
    world.lost = Box::new(|effect| matches!(effect, Effect::Read { vm: VmId(0) }));
    world.run_for(MIN);
    world.lost = Box::new(|_| false);
    assert!(world.gaps().is_empty());
    world.tell(reloaded(two()));
    assert_eq!(world.gaps(), ["the config was changed while it was read"]);
    world.tell(reloaded(two()));
    assert_eq!(world.gaps().len(), 1, "nothing was under way any more");
    assert_eq!(world.engine.live(VmId(0)).readings().next, due + MIN);
    world.run_for(MIN);
    assert_eq!((world.gaps().len(), world.counts().len()), (1, 5), "one of six is missing");
}

#[test]
fn a_vm_that_a_reload_brings_is_read_and_the_others_keep_their_slots() {
    let mut world = World::new(cluster(3, threshold()), always(10.0));
    world.run_for(MIN);
    let due = world.engine.live(VmId(0)).readings().next;
    let mut more = two();
    more.vms[1].host = HostId(1);
    more.vms.swap(0, 1);
    world.tell(reloaded(more));
    assert_eq!(world.engine.live(VmId(1)).readings().next, due, "nii1, wherever it stands now");
    let fresh = world.engine.live(VmId(0)).readings().next;
    assert!(fresh.since(world.now) <= MIN, "nii2 is read within its first interval");
    let next = world.engine.destination_of(VmId(0), &crate::core::engine::Target::Next, world.now);
    assert_eq!(next, Some(HostId(2)), "the ring goes on from h2");
}

#[test]
fn a_reload_does_not_read_a_vm_before_it_has_settled() {
    let mut slow = cluster(3, threshold());
    slow.vms[0].policy.settle = MIN + MIN + MIN;
    let mut world = World::new(slow.clone(), always(10.0));
    world.command(Command::Move { vm: "nii1".to_owned(), target: crate::core::engine::Target::Next });
    let settled = world.engine.live(VmId(0)).settles().expect("it has just moved");
    world.tell(reloaded(slow));
    assert_eq!(world.engine.live(VmId(0)).readings().next, settled);
}

#[test]
fn another_kind_of_policy_counts_from_0_though_its_threshold_stays() {
    let mut world = World::new(cluster(3, threshold()), always(60.0));
    world.run_for(MIN + MIN);
    assert_eq!(world.engine.live(VmId(0)).policy().count, 2);
    world.amend(base());
    assert_eq!(world.engine.live(VmId(0)).policy().count, 0);
}

#[test]
fn after_a_reload_holds_end_and_requests_lapse_and_a_vm_that_is_gone_has_no_timers() {
    let mut world = World::new(two(), always(10.0));
    world.command(Command::Move { vm: "nii1".to_owned(), target: crate::core::engine::Target::Next });
    world.tell(reloaded(cluster(3, threshold())));
    world.run_for(Span::from_mins(30));
    assert_eq!(world.engine.live(VmId(0)).hold(), None);
    let mut asking = cluster(3, threshold());
    asking.mode = Mode::Ask;
    let mut world = World::new(asking.clone(), values(&[60.0, 60.0, 60.0, 10.0]));
    world.run_for(Span::from_mins(3));
    let asked = world.records.iter().find(|record| matches!(record.what, Happened::Decision { .. })).unwrap().at;
    world.tell(reloaded(asking));
    let lapses = asked + Span::from_mins(10);
    world.run_for(lapses.since(world.now));
    assert_eq!(world.states(), [VmState::Waiting, VmState::Watching]);
}

#[test]
fn a_stale_vm_that_a_reload_has_read_elsewhere_is_not_stale_any_more() {
    let mut world = World::new(two(), always(f64::NAN));
    world.run_for(Span::from_mins(3));
    let reread = vec!["nii1".to_owned()];
    world.tell(Event::Reconfigured { cluster: Box::new(two()), reread, said: Vec::new() });
    assert_eq!([0, 1].map(|vm| world.engine.state(VmId(vm))), [VmState::Watching, VmState::Stale]);
}

#[test]
fn a_reload_keeps_counts_holds_and_places_by_name() {
    let mut old = cluster(3, threshold());
    old.vms.push(vm("other", threshold()));
    let mut world = World::new(old.clone(), always(60.0));
    world.run_for(Span::from_mins(4));
    assert_eq!(world.host(), "h2");
    world.command(Command::Hold { vm: "other".to_owned() });
    let mut new = old;
    new.vms.reverse();
    new.hosts.insert(0, host("h0"));
    new.arrays[0].ring = (0..4).map(HostId).collect();
    new.arrays[0].base = Some(HostId(4));
    for vm in &mut new.vms {
        vm.host = HostId(1);
    }
    world.tell(reloaded(new));
    let nii1 = world.engine.cluster().vm_named("nii1").unwrap();
    let other = world.engine.cluster().vm_named("other").unwrap();
    assert_eq!(nii1, VmId(1));
    let named = |vm| world.engine.cluster().host(world.engine.live(vm).host()).name.to_string();
    assert_eq!(named(nii1), "h2");
    assert_eq!(world.engine.state(other), VmState::Held);
    assert_eq!(
        ["h0", "h1", "none"].map(|name| world.engine.host_named(name)),
        [Some(HostId(0)), Some(HostId(1)), None]
    );
    world.run_for(Span::from_mins(8));
    assert!(world.requests().len() >= 3);
}

#[test]
fn a_reload_with_another_threshold_zeroes_its_count_only() {
    let mut world = World::new(cluster(3, base()), always(60.0));
    world.run_for(Span::from_mins(2));
    let mut new = cluster(3, base());
    new.vms[0].policy = new.vms[0].policy.with(crate::core::policy::Field::Tarry, 5.0).unwrap();
    world.tell(reloaded(new.clone()));
    assert_eq!(world.engine.live(VmId(0)).policy().count, 2);
    new.vms[0].policy = new.vms[0].policy.with(crate::core::policy::Field::Threshold, 55.0).unwrap();
    world.tell(reloaded(new));
    assert_eq!(world.engine.live(VmId(0)).policy().count, 0);
}

#[test]
fn a_reload_does_not_lose_a_vm_that_is_migrating() {
    let mut old = cluster(3, threshold());
    old.vms.push(vm("other", threshold()));
    let mut world = World::new(old.clone(), always(60.0));
    world.moves = Moves::Hang;
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Next });
    let mut without = old.clone();
    without.vms.remove(0);
    world.tell(reloaded(without));
    assert!(world.alarms()[0].starts_with("config not applied: nii1 is migrating"), "{:?}", world.alarms());
    old.vms.reverse();
    old.hosts.swap(0, 1);
    old.arrays[0].ring.swap(0, 1);
    old.vms.iter_mut().for_each(|vm| vm.host = HostId(1));
    world.tell(Event::Host { host: HostId(2), state: HostState::Down, load: None, why: None });
    world.tell(Event::Trouble { vm: Some(VmId(0)), text: "of nii1".to_owned() });
    old.hosts.swap(2, 3);
    old.arrays[0].ring[2] = HostId(3);
    old.arrays[0].base = Some(HostId(2));
    world.tell(reloaded(old));
    let nii1 = world.engine.cluster().vm_named("nii1").unwrap();
    assert_eq!(world.engine.state(nii1), VmState::Migrating);
    world.command(Command::Abort { vm: "nii1".to_owned() });
    assert_eq!((world.engine.live(nii1).host(), world.engine.state(nii1)), (HostId(1), VmState::Settling));
    assert_eq!(world.engine.alarms().last().map(|alarm| alarm.1), Some(Some(nii1)));
    let states = [2, 3].map(|host| world.engine.host_state(HostId(host)));
    assert_eq!(states, [HostState::Up, HostState::Down], "h3 is down, wherever it stands now");
}

#[test]
fn a_reload_while_it_rests_does_not_keep_it_from_its_hours() {
    use crate::core::policy::{Resting, WorkingHours};
    for resting in [Resting::Off, Resting::Record] {
        let hours = WorkingHours::parse("13:00-14:00", chrono_tz::UTC).unwrap();
        let rule = Rule::Schedule { high: HIGH, low: LOW, hours, resting };
        let cluster = cluster(3, Settings::new(rule, Direction::HigherIsWorse));
        let mut world = World::new(cluster.clone(), always(60.0));
        world.run_for(Span::from_mins(5));
        assert_eq!(world.states().last(), Some(&VmState::Resting));
        world.tell(reloaded(cluster));
        world.run_for(Span::from_mins(20));
        assert_eq!(world.states().last(), Some(&VmState::Watching), "13:05 UTC: {resting:?}");
        assert!(world.requests().len() > 1 || world.counts().last().is_some_and(|counts| counts.0 > 0));
    }
}

#[test]
fn a_vm_that_is_read_elsewhere_has_no_past() {
    let mut old = cluster(3, threshold());
    old.vms[0].indicator.kind = crate::core::cluster::IndicatorKind::Counter;
    let mut n = 0.0;
    let mut world = World::new(old.clone(), move |_, _| {
        n += 60.0;
        crate::core::cluster::Reading::Raw(n)
    });
    world.run_for(Span::from_mins(3));
    assert_eq!(world.engine.live(VmId(0)).policy().count, 2);
    world.tell(Event::Reconfigured { cluster: Box::new(old), reread: vec!["nii1".to_owned()], said: Vec::new() });
    world.run_for(Span::from_mins(2));
    assert_eq!(world.gaps(), ["first reading of the counter", "first reading of the counter"]);
    assert_eq!(world.engine.live(VmId(0)).policy().count, 1);
}
