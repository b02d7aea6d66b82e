//! An engine that is stopped and begun again is the one it was.

use proptest::prelude::*;

use super::play::Playing;
use super::*;
use crate::core::cluster::HostState;
use crate::core::engine::{Engine, Happened, InFlight, Kept, Phase, Record};

fn playing(scenario: Scenario, seed: u64) -> Playing {
    let (cluster, _, plan) = scenario.build(Size::default(), seed);
    let simulation = Simulation::new(&cluster, plan, START);
    Playing { engine: Engine::new(cluster, START), simulation, records: Vec::new() }
}

/// What is kept of every VM, through the form in which it is written.
fn kept(engine: &Engine) -> Vec<(String, Kept)> {
    let written = |vm| serde_json::to_string(&engine.keep(vm)).expect("serialises");
    let read = |text: String| serde_json::from_str(&text).expect("reads back");
    engine.vm_ids().map(|vm| (engine.cluster().vm(vm).name.to_string(), read(written(vm)))).collect()
}

fn in_flight(engine: &Engine) -> Vec<InFlight> {
    engine.migrations().filter_map(|migration| engine.in_flight(migration.route.id)).collect()
}

fn restored(engine: &Engine, cluster: Cluster, now: Timestamp) -> Engine {
    Engine::restored(cluster, now, &kept(engine), Some(engine.keep_cluster(now)))
}

/// What was decided and done, without what was merely read.
fn deeds(records: &[Record]) -> Vec<&Record> {
    let is_deed = |record: &&Record| {
        matches!(
            record.what,
            Happened::Decision { .. }
                | Happened::Blocked { .. }
                | Happened::Request { .. }
                | Happened::Migration { .. }
        )
    };
    records.iter().filter(is_deed).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_engine_has_kept_everything_and_does_what_the_other_would_have_done(
        scenario in prop::sample::select(Scenario::ALL.to_vec()),
        seed in 1_u64..50,
        ms in 0_i64..20_000_000,
    ) {
        let now = START + Span::from_millis(ms);
        let mut before = playing(scenario, seed);
        before.until(now);
        let cluster = before.engine.cluster().clone();
        let mut after = Playing { engine: restored(&before.engine, cluster, now), ..before.clone() };
        for vm in after.engine.vm_ids() {
            prop_assert_eq!(after.engine.keep(vm), before.engine.keep(vm));
        }
        prop_assert_eq!(after.engine.keep_cluster(now), before.engine.keep_cluster(now));
        prop_assert_eq!(after.engine.moves_last_hour(now), before.engine.moves_last_hour(now));
        // Hosts speak for themselves after a while; here they do at once.
        for host in (0..before.engine.cluster().hosts.len()).map(HostId::at) {
            let (state, load) = (before.engine.host_state(host), before.engine.host(host).load());
            after.tell(now, Event::Host { host, state, load, why: None });
        }
        let migrations = in_flight(&before.engine);
        prop_assert!(after.engine.migrations().next().is_none());
        if migrations.is_empty() && !before.engine.cluster().hosts.iter().any(|host| host.draining) {
            (before.records, after.records) = (Vec::new(), Vec::new());
            let later = now + Span::from_hours(2);
            before.until(later);
            after.until(later);
            prop_assert_eq!(deeds(&after.records), deeds(&before.records));
        }
    }

    #[test]
    fn what_was_under_way_is_followed_to_its_outcome_and_never_started_twice(
        scenario in prop::sample::select(Scenario::ALL.to_vec()),
        seed in 1_u64..50,
        ms in 0_i64..20_000_000,
    ) {
        let mut before = playing(scenario, seed);
        let mut now = START + Span::from_millis(ms);
        before.until(now);
        for _ in 0..20_000 {
            if before.engine.migrations().next().is_some() {
                break;
            }
            now = before.engine.next_wake().min(before.simulation.next_event());
            before.until(now);
        }
        let migrations = in_flight(&before.engine);
        // The simulator is restarted with it: its VMs are where the engine has them.
        let mut cluster = before.engine.cluster().clone();
        let mut engine = restored(&before.engine, cluster.clone(), now);
        for vm in engine.vm_ids() {
            cluster.vms[vm.index()].host = engine.live(vm).host();
        }
        let (_, _, mut plan) = scenario.build(Size::default(), seed);
        plan.outages.clear();
        let mut out = Vec::new();
        for migration in &migrations {
            engine.resume(now, migration, &mut out);
            engine.resume(now, migration, &mut out);
        }
        let simulation = Simulation::new(&cluster, plan, now);
        let mut after = Playing { engine, simulation, records: Vec::new() };
        prop_assert_eq!(after.engine.migrations().count(), migrations.len());
        let last = before.engine.keep_cluster(now).last_id;
        after.until(now + Span::from_mins(1));
        for migration in migrations {
            let ends: Vec<Phase> = after.records.iter().filter_map(|record| match record.what {
                Happened::Migration { id, phase, .. } if id == migration.route.id => Some(phase),
                _ => None,
            }).collect();
            prop_assert_eq!(ends, [Phase::Failed], "it still runs at the source: {:?}", migration);
        }
        let requests = after.records.iter().filter_map(|record| match record.what {
            Happened::Request { id, .. } => Some(id.0),
            _ => None,
        });
        prop_assert!(requests.into_iter().all(|id| id > last));
    }
}

#[test]
fn a_steady_vm_is_not_written_at_every_sample() {
    let mut playing = playing(Scenario::Fleet, 3);
    playing.until(after(4 * 3_600));
    assert_eq!(playing.engine.take_changed().len(), 50, "at first, all of them");
    assert!(playing.engine.take_changed().is_empty());
    let (mut written, mut read) = (0, 0);
    for minute in 1..=60 {
        let before = playing.records.len();
        playing.until(after(4 * 3_600 + 60 * minute));
        let is_reading = |record: &&Record| matches!(record.what, Happened::Sample { .. } | Happened::Gap { .. });
        read += playing.records[before..].iter().filter(is_reading).count();
        written += playing.engine.take_changed().len();
    }
    assert!(read > 2_500 && written * 4 < read, "{written} of {read}");
    let sizes = playing.engine.vm_ids().map(|vm| serde_json::to_string(&playing.engine.keep(vm)).expect("JSON").len());
    let mean = sizes.sum::<usize>() / 50;
    assert!(mean < 1_024, "{mean} bytes a VM");
    assert!(playing.engine.host_state(HostId(0)) != HostState::Unknown);
}
