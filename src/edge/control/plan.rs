//! The emptying of a host in names: what it would mean, and how far it is.

use serde::{Deserialize, Serialize};

use crate::core::cluster::{HostId, HostState, Timestamp};
use crate::core::engine::{Engine, Migration, StageKind};

/// What draining a host would mean, as things are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The host to be drained.
    pub host: String,
    /// It is being drained already.
    pub draining: bool,
    /// Its VMs, in the order in which they would leave.
    pub moves: Vec<PlannedMove>,
    /// The hosts that would take them.
    pub hosts: Vec<Taker>,
    /// What is to be thought of before saying yes.
    pub warnings: Vec<String>,
    /// Hosts of its array of which nothing has been heard yet, itself too: what is planned may be otherwise then.
    pub unheard: Vec<String>,
}

/// One VM of a host that is to be drained.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlannedMove {
    /// This VM.
    pub vm: String,
    /// Where it would go; `None`: nowhere.
    pub to: Option<String>,
    /// Why it would go nowhere.
    pub why: Option<String>,
    /// What would keep its policy from moving it, but not an operator.
    pub warnings: Vec<String>,
}

/// A host that would take some of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Taker {
    /// This host.
    pub host: String,
    /// VMs there now.
    pub vms: u32,
    /// VMs there afterwards.
    pub vms_after: u32,
    /// VMs it takes at most; `None` has no bound.
    pub capacity: Option<u32>,
    /// Its load now, 0 to 1; `None` = not measured.
    pub load: Option<f64>,
    /// Its load afterwards: an estimate.
    pub load_after: Option<f64>,
    /// It would have more than it should.
    pub overloaded: bool,
}

/// How far the draining of a host is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The host.
    pub host: String,
    /// VMs it had when it began, and those that came since.
    pub of: u32,
    /// VMs that have left it.
    pub moved: u32,
    /// No more VMs are sent away for now.
    pub paused: bool,
    /// It is empty.
    pub done: bool,
    /// VMs on their way.
    pub under_way: Vec<Travels>,
    /// VMs that cannot leave it at present.
    pub stuck: Vec<Stays>,
}

/// A VM on its way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Travels {
    /// This VM.
    pub vm: String,
    /// To this host.
    pub to: String,
    /// 0 to 100.
    pub percent: u8,
    /// `being checked`, or the driver's last words.
    pub detail: String,
}

/// A VM that cannot leave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stays {
    /// This VM.
    pub vm: String,
    /// Why.
    pub why: String,
}

impl Plan {
    /// What draining a host would mean; nothing is done.
    pub fn of(engine: &Engine, host: HostId, now: Timestamp) -> Self {
        let cluster = engine.cluster();
        let name = |id: HostId| cluster.host(id).name.to_string();
        let plan = engine.drain_plan(host, now);
        let moves = plan.moves.into_iter().map(|planned| PlannedMove {
            vm: cluster.vm(planned.vm).name.to_string(),
            to: planned.to.as_ref().ok().map(|to| name(*to)),
            why: planned.to.err(),
            warnings: planned.warnings,
        });
        let hosts = plan.hosts.into_iter().map(|taker| Taker {
            host: name(taker.host),
            vms: taker.vms,
            vms_after: taker.vms_after,
            capacity: taker.capacity,
            load: taker.load,
            load_after: taker.load_after,
            overloaded: taker.overloaded,
        });
        let array = cluster.array_of(host);
        let unheard = array.ring.iter().chain(&array.base).filter(|id| engine.host_state(**id) == HostState::Unknown);
        Self {
            host: name(host),
            draining: engine.drain(host).is_some(),
            moves: moves.collect(),
            hosts: hosts.collect(),
            warnings: plan.warnings,
            unheard: unheard.map(|id| name(*id)).collect(),
        }
    }
}

impl Progress {
    /// How far the draining of a host is; `None`: it is not being drained.
    pub fn of(engine: &Engine, host: HostId) -> Option<Self> {
        let (cluster, drain) = (engine.cluster(), engine.drain(host)?);
        let under_way = engine.migrations().filter(|migration| migration.route.from == host).map(|migration| Travels {
            vm: cluster.vm(migration.route.vm).name.to_string(),
            to: cluster.host(migration.route.to).name.to_string(),
            percent: migration.percent,
            detail: words(migration),
        });
        let stuck = drain.stuck.iter();
        let stuck = stuck.map(|(vm, why)| Stays { vm: cluster.vm(*vm).name.to_string(), why: why.clone() });
        Some(Self {
            host: cluster.host(host).name.to_string(),
            of: drain.of,
            moved: drain.moved,
            paused: drain.paused,
            done: drain.done,
            under_way: under_way.collect(),
            stuck: stuck.collect(),
        })
    }
}

fn words(migration: &Migration) -> String {
    match migration.stage() {
        StageKind::Preflight => "being checked".to_owned(),
        StageKind::Journal => "being written down".to_owned(),
        StageKind::Running | StageKind::Confirming | StageKind::Unknown => migration.detail.clone(),
    }
}
