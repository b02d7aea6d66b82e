//! A simulation and an engine, driven without a clock.

use std::collections::VecDeque;

use crate::core::cluster::Timestamp;
use crate::core::engine::{Effect, Engine, Event, Happened, Record};
use crate::core::simulation::{START, Scenario, Simulation, Size};

/// What an engine made of a simulation.
pub(super) struct Played {
    pub(super) engine: Engine,
    pub(super) records: Vec<Record>,
}

/// Plays a scenario from its start until `until`, every effect answered at once.
pub(super) fn play(scenario: Scenario, size: Size, seed: u64, until: Timestamp) -> Played {
    let (cluster, _, plan) = scenario.build(size, seed);
    let simulation = Simulation::new(&cluster, plan, START);
    let mut playing = Playing { engine: Engine::new(cluster, START), simulation, records: Vec::new() };
    playing.until(until);
    Played { engine: playing.engine, records: playing.records }
}

/// An engine and the simulation it lives with.
#[derive(Clone)]
pub(super) struct Playing {
    pub(super) engine: Engine,
    pub(super) simulation: Simulation,
    pub(super) records: Vec<Record>,
}

impl Playing {
    /// Goes on up to and including `until`.
    pub(super) fn until(&mut self, until: Timestamp) {
        let mut events = Vec::new();
        loop {
            let now = self.simulation.next_event().min(self.engine.next_wake());
            if now > until {
                return;
            }
            self.simulation.advance(now, &mut events);
            for event in events.drain(..).chain([Event::Tick]) {
                self.tell(now, event);
            }
        }
    }

    /// Tells the engine something, and carries out what it wants.
    pub(super) fn tell(&mut self, now: Timestamp, event: Event) {
        let (mut told, mut effects) = (VecDeque::from([event]), Vec::new());
        while let Some(event) = told.pop_front() {
            self.engine.step(now, event, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Read { vm } => told.push_back(self.simulation.read(vm, now)),
                    Effect::Order { vm, site, order } => self.simulation.order(vm, &site, order, now),
                    Effect::Preflight(route) => told.push_back(self.simulation.preflight(route, now)),
                    Effect::Journal(route) => told.push_back(Event::Journalled { id: route.id }),
                    Effect::Start(route) => self.simulation.start(route, now),
                    Effect::Abort(route) => self.simulation.abort(route, now),
                    Effect::Confirm(route) => told.push_back(self.simulation.presence(route, now)),
                    Effect::Record(record) => self.records.push(record),
                    Effect::Answer { .. } => {}
                }
            }
        }
    }
}

impl Played {
    /// When and which VM, of all that happened that `pick` picks.
    pub(super) fn times<T>(&self, pick: impl Fn(&Happened) -> Option<T>) -> Vec<(i64, &str, T)> {
        let lines = self.records.iter().filter_map(|record| {
            let vm = record.vm.as_deref().unwrap_or_default();
            pick(&record.what).map(|t| (record.at.since(START).millis() / 1_000, vm, t))
        });
        lines.collect()
    }
}
