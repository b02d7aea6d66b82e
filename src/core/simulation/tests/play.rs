//! A simulation and an engine, driven without a clock.

use std::collections::VecDeque;

use crate::core::cluster::{Cluster, Timestamp};
use crate::core::engine::{Effect, Engine, Event, Happened, Record};
use crate::core::simulation::{Plan, START, Scenario, Simulation, Size};

/// What an engine made of a simulation.
pub(super) struct Played {
    pub(super) cluster: Cluster,
    pub(super) engine: Engine,
    pub(super) records: Vec<Record>,
}

/// Plays a scenario from its start until `until`, every effect answered at once.
pub(super) fn play(scenario: Scenario, size: Size, seed: u64, until: Timestamp) -> Played {
    let (cluster, _, plan) = scenario.build(size, seed);
    play_on(cluster, plan, START, until, Vec::new())
}

/// Plays a cluster from an instant until another, with what is told the engine in between.
pub(super) fn play_on(
    cluster: Cluster,
    plan: Plan,
    from: Timestamp,
    until: Timestamp,
    said: Vec<(Timestamp, Event)>,
) -> Played {
    let mut simulation = Simulation::new(&cluster, plan, from);
    let mut engine = Engine::new(cluster.clone(), from);
    let mut said = said.into_iter().peekable();
    let (mut records, mut events, mut effects) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let now = simulation.next_event().min(engine.next_wake());
        let now = said.peek().map_or(now, |(at, _)| now.min(*at));
        if now > until {
            return Played { cluster, engine, records };
        }
        simulation.advance(now, &mut events);
        let mut told: VecDeque<Event> = events.drain(..).chain([Event::Tick]).collect();
        told.extend(said.next_if(|(at, _)| *at <= now).map(|(_, event)| event));
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
