mod before;
mod drains;
mod moves;
mod outages;
mod play;
mod queues;
mod readings;
mod reloads;
mod restarts;
mod scenarios;

use super::load::step_of;
use super::{Plan, START, Scenario, Simulation, Size};
use crate::core::cluster::{Cluster, HostId, Reading, RequestId, Span, Timestamp, VmId};
use crate::core::engine::{Event, Presence, Route};
use crate::core::queue::{ClaimStatus, QueueLook};

/// What only a test may ask a simulation.
impl Simulation {
    /// The host a VM runs on or, if that is down or it is on its way, belongs to.
    fn host_of(&self, vm: VmId) -> Option<HostId> {
        self.fleet.guests.get(vm.index()).map(|guest| guest.host)
    }

    /// What the VMs of a host want of it, as a part of what it has.
    fn load(&self, host: HostId, now: Timestamp) -> f64 {
        self.fleet.load(host, now)
    }

    /// The CPU a VM takes, in GHz.
    fn demand_of(&self, vm: VmId, now: Timestamp) -> f64 {
        let guest = &self.fleet.guests[vm.index()];
        guest.takes(guest.activity(step_of(now)))
    }
}

fn after(seconds: i64) -> Timestamp {
    START + Span::from_secs(seconds)
}

/// A scenario of the thesis, its plan changed for the test.
fn simulation(scenario: Scenario, change: impl FnOnce(&mut Plan)) -> Simulation {
    let (cluster, plan) = built(scenario, change);
    Simulation::new(&cluster, plan, START)
}

fn built(scenario: Scenario, change: impl FnOnce(&mut Plan)) -> (Cluster, Plan) {
    let (cluster, _, mut plan) = scenario.build(Size::default(), 1);
    change(&mut plan);
    (cluster, plan)
}

fn route(vm: u32, from: u32, to: u32) -> Route {
    Route { id: RequestId(7), vm: VmId(vm), from: HostId(from), to: HostId(to) }
}

fn advance(simulation: &mut Simulation, now: Timestamp) -> Vec<Event> {
    let mut out = Vec::new();
    simulation.advance(now, &mut out);
    out
}

/// How a migration ended, in the driver's words, if it ended by now.
fn ended(simulation: &mut Simulation, now: Timestamp) -> Option<String> {
    advance(simulation, now).into_iter().find_map(|event| match event {
        Event::Ended { detail, .. } => Some(detail),
        _ => None,
    })
}

/// What the source and the destination say.
fn presence(simulation: &mut Simulation, route: Route, now: Timestamp) -> (Presence, Presence) {
    match simulation.presence(route, now) {
        Event::Presence { source, destination, .. } => (source, destination),
        other => panic!("not a presence: {other:?}"),
    }
}

fn refusal(simulation: &mut Simulation, route: Route, now: Timestamp) -> Option<String> {
    match simulation.preflight(route, now) {
        Event::Preflight { refusal, .. } => refusal,
        other => panic!("not a preflight: {other:?}"),
    }
}

fn read(simulation: &mut Simulation, vm: u32, now: Timestamp) -> Reading {
    match simulation.read(VmId(vm), now) {
        Event::Reading { reading, .. } => reading,
        other => panic!("not a reading: {other:?}"),
    }
}

fn raw(simulation: &mut Simulation, vm: u32, now: Timestamp) -> f64 {
    match read(simulation, vm, now) {
        Reading::Raw(value) => value,
        other => panic!("no number: {other:?}"),
    }
}

/// What a look at a VM's queue shows.
fn look(simulation: &mut Simulation, vm: u32, now: Timestamp) -> QueueLook {
    match simulation.read(VmId(vm), now) {
        Event::Queue { look, .. } => (*look).clone(),
        other => panic!("not a queue: {other:?}"),
    }
}

/// The queue that a VM has in hand.
fn queue(simulation: &mut Simulation, vm: u32, now: Timestamp) -> Option<ClaimStatus> {
    look(simulation, vm, now).hand().map(|claim| claim.status.clone())
}
