//! A host of a fleet at work is drained, while policies and outages go on.

use super::play::Playing;
use super::*;
use crate::core::cluster::HostState;
use crate::core::engine::{Command, Engine, Happened};

fn fleet(seed: u64) -> Playing {
    let (cluster, _, plan) = Scenario::Fleet.build(Size::default(), seed);
    let simulation = Simulation::new(&cluster, plan, START);
    Playing { engine: Engine::new(cluster, START), simulation, records: Vec::new() }
}

#[test]
fn a_host_is_emptied_and_stays_empty_until_it_is_released() {
    for seed in 1..6 {
        let mut playing = fleet(seed);
        playing.until(after(600));
        let host = HostId(0);
        let name = playing.engine.cluster().host(host).name.to_string();
        assert!(playing.engine.host(host).vms() > 1);
        let plan = playing.engine.drain_plan(host, after(600));
        assert!(plan.moves.iter().all(|planned| planned.to.is_some()), "{:?}", plan.warnings);
        let command = Command::Drain { host: name.clone() };
        playing.tell(after(600), Event::Command { by: "root".to_owned(), command });
        playing.until(after(600 + 900));
        let drain = playing.engine.drain(host).expect("a drain").clone();
        assert!(drain.done && drain.of == drain.moved, "{drain:?}");
        let since = playing.records.len();
        playing.until(after(6 * 3_600));
        assert_eq!(playing.engine.host_state(host), HostState::Draining);
        let arrivals = playing.records[since..].iter().filter(|record| match &record.what {
            Happened::Request { to, .. } => *to == name,
            _ => false,
        });
        assert_eq!(arrivals.count(), 0);
        for vm in playing.engine.vm_ids() {
            assert_ne!(playing.simulation.host_of(vm), Some(host), "the simulator has it elsewhere too");
        }
    }
}
