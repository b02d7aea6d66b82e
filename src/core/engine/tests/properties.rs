//! What must hold for every service, every config and every driver.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::harness::*;
use crate::core::cluster::{Cluster, HostId, HostState, Name, Reading, Span, Timestamp, VmId};
use crate::core::engine::{By, Command, Effect, Engine, Event, Happened, Kept, Phase, Record, Target, VmState};
use crate::core::policy::Decision;

/// A run somebody could have had: three VMs, four hosts and a base, services that come and go.
#[derive(Debug, Clone)]
struct Story {
    readings: Vec<u8>,
    moves: Vec<u8>,
    commands: Vec<(u16, u8)>,
    /// When which VM is found where.
    found: Vec<(u16, u32, u8)>,
    flap: bool,
    at_once: u32,
}

fn stories() -> impl Strategy<Value = Story> {
    (
        prop::collection::vec(0_u8..8, 30..200),
        prop::collection::vec(0_u8..8, 1..20),
        prop::collection::vec((0_u16..120, 0_u8..14), 0..16),
        prop::collection::vec((0_u16..120, 0_u32..3, 0_u8..6), 0..4),
        any::<bool>(),
        1_u32..3,
    )
        .prop_map(|(readings, moves, commands, found, flap, at_once)| Story {
            readings,
            moves,
            commands,
            found,
            flap,
            at_once,
        })
}

fn reading(n: u8) -> Reading {
    match n {
        0 => Reading::Gap("refused".to_owned()),
        1 => Reading::Busy,
        2 => Reading::Raw(0.0),
        3 => Reading::Raw(50.0),
        4 => Reading::Raw(25.0),
        _ => Reading::Raw(60.0),
    }
}

fn three(story: &Story) -> Cluster {
    let mut cluster = cluster(4, base());
    cluster.hosts[2].capacity = Some(1);
    cluster.vms.push(vm("nii2", threshold()));
    cluster.vms.push(vm("nii3", base()));
    cluster.vms[2].host = HostId(1);
    cluster.limits.at_once = story.at_once;
    cluster.limits.flap_window = story.flap.then(|| Span::from_hours(1));
    cluster
}

fn command(n: u8) -> Command {
    let vm = "nii1".to_owned();
    match n {
        0 => Command::Hold { vm },
        1 => Command::Release { vm },
        2 => Command::Move { vm, target: Target::Next },
        3 => Command::Move { vm, target: Target::Base },
        4 => Command::Abort { vm },
        5 => Command::Mode { mode: crate::core::cluster::Mode::Ask },
        6 => Command::Mode { mode: crate::core::cluster::Mode::Auto },
        7 => Command::Approve { vm },
        8 => Command::Drain { host: "h1".to_owned() },
        9 => Command::Drain { host: "h2".to_owned() },
        10 => Command::Undrain { host: "h1".to_owned() },
        11 => Command::PauseDrain { host: "h2".to_owned() },
        12 => Command::ResumeDrain { host: "h2".to_owned() },
        _ => Command::Move { vm, target: Target::Host("h3".to_owned()) },
    }
}

fn found(n: u8) -> Vec<HostId> {
    match n {
        0 => Vec::new(),
        1 => vec![HostId(0), HostId(3)],
        host => vec![HostId(u32::from(host) - 2)],
    }
}

fn play(story: &Story, extra_ticks: bool) -> World {
    play_and(story, extra_ticks, |_| ())
}

/// Plays a story; `look` sees the world after each minute.
fn play_and(story: &Story, extra_ticks: bool, mut look: impl FnMut(&mut World)) -> World {
    use crate::core::engine::Presence::{Absent, Paused, Runs, Unknown};
    let mut polls: HashMap<VmId, usize> = HashMap::new();
    let readings = story.readings.clone();
    let mut world = World::new(three(story), move |vm, _| {
        let n = polls.entry(vm).or_insert(vm.index() * 7);
        *n += 1;
        reading(readings[*n % readings.len()])
    });
    for minute in 0..120_u16 {
        let n = story.moves[usize::from(minute) % story.moves.len()];
        world.moves = match n {
            0 => Moves::HostsSay(Runs, Absent),
            1 => Moves::HostsSay(Absent, Unknown),
            2 => Moves::Hang,
            3 => Moves::Refuse,
            4 => Moves::HostsSay(Paused, Absent),
            _ => Moves::Confirm,
        };
        let down = if minute % 40 > 30 { HostState::Down } else { HostState::Up };
        world.tell(Event::Host { host: HostId(3), state: down, load: None, why: None });
        for (_, n) in story.commands.iter().filter(|(at, _)| *at == minute) {
            world.command(command(*n));
        }
        for (_, vm, n) in story.found.iter().filter(|(at, ..)| *at == minute) {
            world.tell(Event::Found { vm: VmId(*vm), hosts: found(*n) });
        }
        if extra_ticks {
            for second in 0..60 {
                world.run_for(Span::from_secs(1));
                if second % 7 == 0 {
                    world.tell(Event::Tick);
                }
            }
        } else {
            world.run_for(Span::from_mins(1));
        }
        look(&mut world);
    }
    world
}

/// What is kept of a VM without what every reading changes.
fn without_readings(mut kept: Kept) -> Kept {
    let memory = &mut kept.memory;
    (memory.readings.at, memory.readings.raw, memory.readings.next) = (None, None, T0);
    memory.policy.gaps = if memory.policy.stale { 0 } else { memory.policy.gaps };
    kept
}

fn text(records: &[Record]) -> String {
    records.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect()
}

/// Walks the records as an auditor would, knowing nothing but them.
fn audit(world: &World) -> Result<(), TestCaseError> {
    let mut row: HashMap<&Name, u32> = HashMap::new();
    let mut low_row: HashMap<&Name, u32> = HashMap::new();
    let mut state: HashMap<&Name, VmState> = HashMap::new();
    let mut under_way: HashMap<&Name, (&Name, &Name)> = HashMap::new();
    let mut long_unknown: HashSet<&Name> = HashSet::new();
    for Record { vm, what, .. } in &world.records {
        let Some(vm) = vm else { continue };
        match what {
            Happened::Sample { value, state: seen, .. } if *seen == VmState::Watching => {
                let v = value.number();
                *row.entry(vm).or_default() =
                    if v.is_none_or(|v| v > 50.0) { row.get(vm).unwrap_or(&0) + 1 } else { 0 };
                let low = v.is_some_and(|v| v < 1.0);
                *low_row.entry(vm).or_default() = if low { low_row.get(vm).unwrap_or(&0) + 1 } else { 0 };
            }
            Happened::State { state: new, .. } => {
                state.insert(vm, *new);
                if *new != VmState::Watching {
                    row.insert(vm, 0);
                    low_row.insert(vm, 0);
                }
            }
            Happened::Decision { action, .. } => {
                let now = state.get(vm).copied().unwrap_or(VmState::Watching);
                prop_assert!(matches!(now, VmState::Watching | VmState::Stale), "decided while {now:?}");
                let in_a_row = if *action == Decision::Move { row.insert(vm, 0) } else { low_row.insert(vm, 0) };
                let tarry = if *action == Decision::Move { HIGH.tarry } else { LOW.tarry };
                prop_assert!(in_a_row.unwrap_or(0) >= tarry, "{action:?} after {in_a_row:?} of {tarry}");
            }
            Happened::Request { from, to, action, by, .. } => {
                prop_assert!(from != to, "to where it is");
                prop_assert!(!under_way.contains_key(vm), "a second move of one VM");
                if *action == Decision::Move && *by == By::Policy {
                    prop_assert!(*to != "base", "a ring move to the base");
                }
                under_way.insert(vm, (from, to));
                let at_once = under_way.keys().filter(|vm| !long_unknown.contains(*vm)).count();
                prop_assert!(at_once <= world.engine.cluster().limits.at_once as usize);
                for host in [from, to] {
                    let at = under_way.values().filter(|(a, b)| *a == host || *b == host).count();
                    prop_assert!(at <= world.engine.cluster().limits.at_once_per_host as usize);
                }
            }
            Happened::Migration { phase, .. } if !matches!(phase, Phase::Running | Phase::Unknown) => {
                under_way.remove(vm);
                long_unknown.remove(vm);
            }
            Happened::Alarm { text } if text.contains(": outcome unknown for ") => {
                long_unknown.insert(vm);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Hosts that were down, draining, full or the VM's own when a move to them began.
fn never_to_a_wrong_host(world: &World) -> Result<(), TestCaseError> {
    let mut engine = Engine::new(three_as(world), T0);
    let mut out = Vec::new();
    for (at, event) in &world.events {
        out.clear();
        engine.step(*at, event.clone(), &mut out);
        for effect in &out {
            let Effect::Preflight(route) = effect else { continue };
            prop_assert_eq!(engine.host_state(route.to), HostState::Up);
            let host = engine.host(route.to);
            let capacity = engine.cluster().host(route.to).capacity;
            prop_assert!(
                capacity.is_none_or(|most| host.vms + engine.incoming(route.to) <= most),
                "to a host that is full"
            );
            prop_assert!(route.from != route.to);
        }
    }
    Ok(())
}

fn three_as(world: &World) -> Cluster {
    let mut cluster = world.engine.cluster().clone();
    cluster.mode = crate::core::cluster::Mode::Auto;
    cluster
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_move_without_reason_and_no_limit_exceeded(story in stories()) {
        let world = play(&story, false);
        audit(&world)?;
        never_to_a_wrong_host(&world)?;
    }

    #[test]
    fn a_replay_equals_the_original_byte_for_byte(story in stories()) {
        let world = play(&story, false);
        let recorded: Vec<String> = world.events.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
        let mut engine = Engine::new(three(&story), T0);
        let mut records = Vec::new();
        for event in recorded {
            let (at, event): (Timestamp, Event) = serde_json::from_str(&event).unwrap();
            let mut out = Vec::new();
            engine.step(at, event, &mut out);
            records.extend(out.into_iter().filter_map(|effect| match effect {
                Effect::Record(record) => Some(record),
                _ => None,
            }));
        }
        prop_assert_eq!(text(&records), text(&world.records));
    }

    #[test]
    fn a_vm_that_is_not_saved_again_is_what_was_saved_of_it_but_for_its_readings(story in stories()) {
        let mut saved: HashMap<VmId, Kept> = HashMap::new();
        play_and(&story, false, |world| {
            for vm in world.engine.take_changed() {
                saved.insert(vm, without_readings(world.engine.keep(vm)));
            }
            for (vm, saved) in &saved {
                assert_eq!(without_readings(world.engine.keep(*vm)), *saved);
            }
        });
    }

    #[test]
    fn how_often_it_is_ticked_does_not_matter(story in stories()) {
        prop_assert_eq!(text(&play(&story, false).records), text(&play(&story, true).records));
    }
}
