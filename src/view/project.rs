//! The engine's state as a screen wants it: a row a VM, a view a host, the details of the VM in focus.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::cluster::{Cluster, HostId, Mode, Name, Timestamp, VmId};
use crate::core::engine::{Ask, Engine, Gate, HoldCause, Target, VmMemory, VmState, Waiting, is_baseline};
use crate::core::format::duration;
use crate::core::insight::{Band, Series};
use crate::core::policy::Rule;

use super::moving::migration;
use super::{
    ArrayView, Detail, GateVerdict, GateView, HostView, Mark, MoveOption, Origin, QueueRuns, Subscription, VmRow,
};

/// Values in a row's sparkline.
const SPARK: usize = 40;
/// Hosts named one by one in the move dialog, at most.
const NAMED_HOSTS: usize = 64;

/// What is remembered of a VM for its graph.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Its readings.
    pub series: Series,
    /// Its moves and edits, oldest first.
    pub marks: VecDeque<Mark>,
    /// The pages that it worked.
    pub runs: QueueRuns,
}

impl Memory {
    /// Of one VM of so many.
    pub fn one_of(vms: usize) -> Self {
        Self { series: Series::one_of(vms), ..Self::default() }
    }
}

fn name_of(cluster: &Cluster, host: HostId) -> Name {
    cluster.host(host).name.clone()
}

/// One VM's line.
pub fn row(engine: &Engine, vm: VmId, memory: &Memory, alarm: bool, now: Timestamp) -> VmRow {
    let (cluster, live, state) = (engine.cluster(), engine.live(vm), engine.state(vm));
    let described = cluster.vm(vm);
    let rule = &described.policy.rule;
    let counts = state != VmState::Resting && !live.policy().is_closed();
    // A hold for that very reason says it itself.
    let trouble = engine.runs_once(vm).err().filter(|_| !is_broken(live)).map(Arc::from);
    VmRow {
        name: described.name.clone(),
        service: Arc::from(described.service.as_str()),
        policy: rule.kind(),
        unit: Arc::from(described.indicator.unit.as_str()),
        bounds: described.policy.bounds(),
        value: live.readings().value,
        gap: live.readings().gap.as_deref().map(Arc::from),
        baseline: live.readings().gap.as_deref().is_some_and(is_baseline),
        read_at: live.readings().at,
        spark: memory.series.newest(SPARK).collect(),
        count: rule.high().filter(|_| counts).map(|b| (live.policy().count, b.tarry)),
        low_count: rule.low().filter(|_| counts).map(|b| (live.policy().low_count, b.tarry)),
        host: name_of(cluster, live.host()),
        array: cluster.array_of(live.host()).name.clone(),
        host_state: engine.host_state(live.host()),
        state,
        note: Arc::from(note(engine, vm, state)),
        hold: live.hold().map(|hold| hold.cause),
        until: until(live, state),
        alarm: alarm || needs_a_human(live, state) || trouble.is_some(),
        trouble,
        migration: migration(engine, vm),
        waiting: waiting(engine, live),
        last_move: live.last_move(),
        moves_24h: live.moves_24h(now),
        site: engine.site(vm),
    }
}

/// Acknowledged or not: lost, double and flapping last until somebody does something.
fn needs_a_human(live: &VmMemory, state: VmState) -> bool {
    is_broken(live) || state == VmState::Flapping
}

fn is_broken(live: &VmMemory) -> bool {
    live.hold().is_some_and(|hold| matches!(hold.cause, HoldCause::Lost | HoldCause::Double))
}

fn note(engine: &Engine, vm: VmId, state: VmState) -> String {
    let live = engine.live(vm);
    match state {
        // How long is in `until`.
        VmState::Held => engine.why_held(vm),
        VmState::Resting => engine.opens(vm),
        VmState::Migrating => String::new(),
        VmState::Stale => engine.out_of_order(vm).or_else(|| live.readings().gap.clone()).unwrap_or_default(),
        _ => engine.out_of_order(vm).unwrap_or_default(),
    }
}

fn until(live: &VmMemory, state: VmState) -> Option<Timestamp> {
    match state {
        VmState::Held => live.hold().map(|hold| hold.until).filter(|until| *until < Timestamp::NEVER),
        VmState::Resting => live.policy().hours.map(|edge| edge.until),
        VmState::Settling => live.settles(),
        VmState::Waiting => live.waiting().map(|waiting| waiting.lapses),
        VmState::Migrating | VmState::Flapping | VmState::Stale | VmState::Watching => None,
    }
}

fn waiting(engine: &Engine, live: &VmMemory) -> Option<Waiting<Name>> {
    let Waiting { id, action, to, by, lapses } = *live.waiting()?;
    Some(Waiting { id, action, to: name_of(engine.cluster(), to), by, lapses })
}

/// One host and what runs there. `vms` are the VMs whose place it is.
pub fn host_view(engine: &Engine, host: HostId, vms: &[VmId]) -> HostView {
    let cluster = engine.cluster();
    let described = cluster.host(host);
    HostView {
        name: described.name.clone(),
        base: cluster.is_base(host),
        state: engine.host_state(host),
        load: engine.host(host).load().map(|load| load as f32),
        capacity: described.capacity,
        drain: engine.drain(host),
        vms: vms.iter().map(|vm| cluster.vm(*vm).name.clone()).collect(),
    }
}

/// The arrays, their hosts in ring order with the base last.
pub fn array_views(cluster: &Cluster, hosts: &[Arc<HostView>]) -> Vec<ArrayView> {
    let view = |array: &crate::core::cluster::Array| {
        let site = &cluster.sites[array.site.index()];
        ArrayView {
            name: array.name.clone(),
            site: site.name.clone(),
            home: site.home,
            hosts: array.ring.iter().chain(&array.base).map(|host| Arc::clone(&hosts[host.index()])).collect(),
        }
    };
    cluster.arrays.iter().map(view).collect()
}

/// What a console that looks at a VM sees.
pub fn detail(engine: &Engine, vm: VmId, memory: &Memory, look: &Subscription, now: Timestamp) -> Detail {
    let described = engine.cluster().vm(vm);
    let from = now - look.window;
    let next = engine.live(vm).readings().next;
    Detail {
        vm: described.name.clone(),
        host: name_of(engine.cluster(), engine.live(vm).host()),
        array: engine.cluster().array_of(engine.live(vm).host()).name.clone(),
        indicator: Arc::from(described.indicator.name.as_str()),
        settings: described.policy.clone(),
        origin: Origin::default(),
        why: engine.why(vm, now),
        interval: described.interval,
        next_read: Some(next).filter(|at| *at < Timestamp::NEVER),
        bands: memory.series.since(from).map(|(at, value)| Band::of_reading(at, value)).collect(),
        marks: memory.marks.iter().filter(|mark| mark.at >= from).cloned().collect(),
        moves: if look.moves { move_options(engine, vm, now) } else { Vec::new() },
    }
}

/// What each destination would mean, for an operator.
fn move_options(engine: &Engine, vm: VmId, now: Timestamp) -> Vec<MoveOption> {
    let cluster = engine.cluster();
    let described = cluster.vm(vm);
    let site = described.away.is_some();
    let here = cluster.host(engine.live(vm).host()).array;
    let mut targets = vec![Target::Next, Target::Up, Target::Down, Target::Base];
    if site {
        targets.extend([Target::Away, Target::Home]);
    }
    let arrays = [Some(here), described.away, site.then_some(described.array)];
    let mut seen = Vec::new();
    for array in arrays.into_iter().flatten() {
        if !seen.contains(&array) {
            seen.push(array);
            let array = cluster.array(array);
            let hosts = array.ring.iter().chain(&array.base).take(NAMED_HOSTS);
            targets.extend(hosts.map(|host| Target::Host(cluster.host(*host).name.to_string())));
        }
    }
    targets.into_iter().map(|target| move_option(engine, vm, target, now)).collect()
}

fn move_option(engine: &Engine, vm: VmId, target: Target, now: Timestamp) -> MoveOption {
    let to = engine.destination_of(vm, &target, now);
    let asked = Ask::Operator(target.clone());
    let gates = engine.assess(vm, &asked, now).into_iter().map(|(gate, detail)| {
        let verdict = match (&detail, gate) {
            (None, _) => GateVerdict::Passes,
            // An operator's own command needs no approval.
            (Some(_), Gate::Mode) if engine.mode(vm) == Mode::Ask => GateVerdict::Passes,
            (Some(_), _) if engine.binds_operator(vm, &asked, gate, now) => GateVerdict::Blocks,
            (Some(_), _) => GateVerdict::Warns,
        };
        let detail =
            detail.filter(|_| verdict != GateVerdict::Passes).unwrap_or_else(|| passes(engine, vm, gate, to, now));
        GateView { gate, verdict, detail }
    });
    let gates = gates.collect();
    let here = engine.live(vm).host();
    MoveOption {
        target,
        to: to.map(|host| name_of(engine.cluster(), host)),
        load: to.and_then(|host| engine.host(host).load()),
        load_after: to.filter(|to| *to != here).and_then(|to| engine.load_with(here, to, 1)),
        gates,
    }
}

/// What an open gate has seen.
fn passes(engine: &Engine, vm: VmId, gate: Gate, to: Option<HostId>, now: Timestamp) -> String {
    let (cluster, live) = (engine.cluster(), engine.live(vm));
    let ago = |at: Option<Timestamp>, what: &str| {
        at.map_or_else(|| format!("not {what} yet"), |at| format!("{what} {} ago", duration(now.since(at))))
    };
    match gate {
        Gate::Quality => ago(live.readings().at, "read"),
        Gate::Schedule if matches!(cluster.vm(vm).policy.rule, Rule::Schedule { .. }) => "in working hours".to_owned(),
        Gate::Schedule => "its policy has no working hours".to_owned(),
        Gate::Hold => "not held".to_owned(),
        Gate::Flapping => format!("not flapping; moves in 24 h: {}", live.moves_24h(now)),
        Gate::Cooldown => ago(live.last_move(), "moved"),
        Gate::Budget => {
            let (moving, most) = (engine.slots_taken(), cluster.limits.at_once);
            format!("{moving} of {most} at once under way; moves this hour: {}", engine.moves_last_hour(now))
        }
        Gate::Destination => to.map_or_else(String::new, |host| takes(engine, host)),
        Gate::Mode if engine.mode(vm) == Mode::Ask => "an operator's own move needs no approval".to_owned(),
        Gate::Mode => "auto".to_owned(),
        Gate::Preflight => "nothing else moves it; its hosts are asked before it starts".to_owned(),
    }
}

/// `mln5 is up, 6 of 13 VMs`.
fn takes(engine: &Engine, host: HostId) -> String {
    let described = engine.cluster().host(host);
    let vms = engine.host(host).vms();
    let room = described.capacity.map_or_else(|| format!("{vms}"), |capacity| format!("{vms} of {capacity}"));
    format!("{} is up, VMs there: {room}", described.name)
}
