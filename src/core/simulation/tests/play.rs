//! A simulation and an engine, driven without a clock.

use std::collections::VecDeque;

use crate::core::cluster::{Cluster, Timestamp};
use crate::core::engine::{Effect, Engine, Event, Happened, Record};
use crate::core::simulation::{START, Scenario, Simulation, Size};

/// What an engine made of a simulation.
pub(super) struct Played {
    pub(super) cluster: Cluster,
    pub(super) engine: Engine,
    pub(super) records: Vec<Record>,
}

/// Plays a scenario from its start until `until`, every effect answered at once.
pub(super) fn play(scenario: Scenario, size: Size, seed: u64, until: Timestamp) -> Played {
    let (cluster, _, plan) = scenario.build(size, seed);
    let mut simulation = Simulation::new(&cluster, plan, START);
    let mut engine = Engine::new(cluster.clone(), START);
    let (mut records, mut events, mut effects) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let now = simulation.next_event().min(engine.next_wake());
        if now > until {
            return Played { cluster, engine, records };
        }
        simulation.advance(now, &mut events);
        let mut told: VecDeque<Event> = events.drain(..).chain([Event::Tick]).collect();
        while let Some(event) = told.pop_front() {
            engine.step(now, event, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Read { vm } => told.push_back(simulation.read(vm, now)),
                    Effect::Preflight(route) => told.push_back(simulation.preflight(route, now)),
                    Effect::Journal(route) => told.push_back(Event::Journalled { id: route.id }),
                    Effect::Start(route) => simulation.start(route, now),
                    Effect::Abort(route) => simulation.abort(route, now),
                    Effect::Confirm(route) => told.push_back(simulation.presence(route, now)),
                    Effect::Record(record) => records.push(record),
                    Effect::Answer { .. } => {}
                }
            }
        }
    }
}

impl Played {
    /// When and which VM, of all that happened that `pick` picks.
    pub(super) fn times<T>(&self, pick: impl Fn(&Happened) -> Option<T>) -> Vec<(i64, &str, T)> {
        let line = |record: &Record| {
            let vm = record.vm.map_or("", |vm| self.cluster.vm(vm).name.as_str());
            pick(&record.what).map(|t| (record.at.since(START).millis() / 1_000, vm, t))
        };
        self.records.iter().filter_map(line).collect()
    }
}
