//! What a screen may know of a host that is being emptied, or that is asked about.

use std::sync::Arc;

use crate::core::cluster::{HostId, Timestamp, VmId};
use crate::core::engine::{Drain, DrainedTo, Engine, PlannedMove};

/// A host that is being emptied, or is kept empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainView {
    /// Who wants it: an operator, or `config`.
    pub by: Arc<str>,
    /// An operator wants it, and not only the config.
    pub commanded: bool,
    /// Since when.
    pub since: Timestamp,
    /// No more VMs are sent away for now.
    pub paused: bool,
    /// VMs it had when it began, and those that came since.
    pub of: u32,
    /// Of them, those that have left.
    pub moved: u32,
    /// VMs that stay at present, and why.
    pub stuck: Vec<(Arc<str>, Arc<str>)>,
    /// It is empty.
    pub done: bool,
}

/// What draining a host would mean, or what is left of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DrainPlanView {
    /// The host.
    pub host: Arc<str>,
    /// VMs that may leave it at the same time.
    pub at_once: u32,
    /// Its VMs, in the order in which they would leave.
    pub moves: Vec<PlannedView>,
    /// The hosts that would take them.
    pub hosts: Vec<TakerView>,
    /// What to think of before saying yes, in words.
    pub warnings: Vec<String>,
}

/// A VM that is to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedView {
    /// Its name.
    pub vm: Arc<str>,
    /// To this host, or why to none.
    pub to: Result<Arc<str>, Arc<str>>,
    /// What would keep its policy from moving it, but not an operator.
    pub warnings: Vec<String>,
}

/// A host that would take VMs.
#[derive(Debug, Clone, PartialEq)]
pub struct TakerView {
    /// Its name.
    pub host: Arc<str>,
    /// VMs there now.
    pub vms: u32,
    /// VMs there afterwards.
    pub vms_after: u32,
    /// How many it takes; `None` has no bound.
    pub capacity: Option<u32>,
    /// Its load now, 0 to 1 and more; `None` = not measured.
    pub load: Option<f32>,
    /// Its load afterwards: an estimate.
    pub load_after: Option<f32>,
    /// It would have more than it should.
    pub overloaded: bool,
}

/// The emptying of a host, if it is emptied.
pub fn drain_view(engine: &Engine, host: HostId) -> Option<DrainView> {
    let Drain { by, commanded, since, paused, of, moved, stuck, done, .. } = engine.drain(host)?;
    let told = |(vm, why): &(VmId, String)| (vm_name(engine, *vm), Arc::from(why.as_str()));
    Some(DrainView {
        by: Arc::from(by.as_str()),
        commanded: *commanded,
        since: *since,
        paused: *paused,
        of: *of,
        moved: *moved,
        stuck: stuck.iter().map(told).collect(),
        done: *done,
    })
}

/// What draining a host would mean, as things are.
pub fn drain_plan(engine: &Engine, host: HostId, now: Timestamp) -> DrainPlanView {
    let plan = engine.drain_plan(host, now);
    let limits = &engine.cluster().limits;
    let planned = |planned: &PlannedMove| PlannedView {
        vm: vm_name(engine, planned.vm),
        to: planned.to.as_ref().map(|to| host_name(engine, *to)).map_err(|why| Arc::from(why.as_str())),
        warnings: planned.warnings.clone(),
    };
    let taker = |taker: &DrainedTo| TakerView {
        host: host_name(engine, taker.host),
        vms: taker.vms,
        vms_after: taker.vms_after,
        capacity: taker.capacity,
        load: taker.load.map(|load| load as f32),
        load_after: taker.load_after.map(|load| load as f32),
        overloaded: taker.overloaded,
    };
    DrainPlanView {
        host: host_name(engine, plan.host),
        at_once: limits.at_once.min(limits.at_once_per_host),
        moves: plan.moves.iter().map(planned).collect(),
        hosts: plan.hosts.iter().map(taker).collect(),
        warnings: plan.warnings,
    }
}

fn vm_name(engine: &Engine, vm: VmId) -> Arc<str> {
    engine.cluster().vm(vm).name.clone().into()
}

fn host_name(engine: &Engine, host: HostId) -> Arc<str> {
    engine.cluster().host(host).name.clone().into()
}
