//! A checked config: everything a file says, in the core's terms.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::core::cluster::{Cluster, Domain, Driver, Monitor, Name, Reach, Source, Span, Vm, VmId};
use crate::core::insight::Retention;
use crate::core::queue::Queue;
use crate::core::simulation::{Outage, Plan, Service, VmPlan};

/// Where a VM's policy stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyOrigin {
    /// The NAME of the `[policy.NAME]` it shares with others; `None`: its own.
    pub shared: Option<String>,
    /// The line on which the policy block begins, from 1.
    pub line: u32,
}

/// Which file keeps the history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HistoryFile {
    /// The one in the place for such files.
    #[default]
    Default,
    /// None: nothing is kept.
    Off,
    /// This one.
    At(PathBuf),
}

/// A config file without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// What there is and how the engine may act.
    pub cluster: Cluster,
    /// By `VmId`.
    pub monitors: Vec<Monitor>,
    /// By `VmId`: where its policy stands.
    pub origins: Vec<PolicyOrigin>,
    /// The job queues, in the file's order.
    pub queues: Vec<Queue>,
    /// By `ArrayId`.
    pub drivers: Vec<Driver>,
    /// By `HostId`: how its array's driver reaches it.
    pub reaches: Vec<Reach>,
    /// By `VmId`: how a hypervisor knows it.
    pub domains: Vec<Domain>,
    /// Which file keeps the past.
    pub history: HistoryFile,
    /// How long the past is kept.
    pub retention: Retention,
    /// For the VMs and hosts the simulator has, by their ids; the others have defaults.
    pub plan: Plan,
}

/// A VM that works a queue, as its worker needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerVm {
    /// The VM.
    pub name: Name,
    /// The time between two looks at a queue without a page.
    pub interval: Span,
    /// The name of its queue.
    pub queue: Name,
}

/// What workers and `whimbrel queue` need of a config: the queues, and the VMs that work them.
///
/// A file may have no more than that. Then a VM needs only its name and its monitor, so that the VM of a tenant does not have
/// to hold the config of the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// The file.
    pub path: PathBuf,
    /// In the file's order, at least one.
    pub queues: Vec<Queue>,
    /// In the file's order; may be empty.
    pub vms: Vec<WorkerVm>,
}

/// A config file without errors, of either form.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyConfig {
    /// Of a cluster.
    Whole(Box<Config>),
    /// It has queues and no array: good for workers and `whimbrel queue`.
    Worker(WorkerConfig),
}

impl WorkerConfig {
    /// The queue of this name.
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == *name)
    }

    /// The VM of this name, if it works a queue, and that queue.
    pub fn vm(&self, name: &str) -> Option<(&WorkerVm, &Queue)> {
        let vm = self.vms.iter().find(|vm| vm.name == *name)?;
        Some((vm, self.queue(&vm.queue)?))
    }

    /// The VMs that work a queue.
    pub fn workers_of(&self, queue: &str) -> impl Iterator<Item = &WorkerVm> {
        self.vms.iter().filter(move |vm| vm.queue == *queue)
    }
}

impl From<AnyConfig> for WorkerConfig {
    fn from(config: AnyConfig) -> Self {
        match config {
            AnyConfig::Whole(config) => Self::from(*config),
            AnyConfig::Worker(config) => config,
        }
    }
}

impl From<Config> for WorkerConfig {
    fn from(config: Config) -> Self {
        let vm = |(vm, monitor): (Vm, Monitor)| match monitor.source {
            Source::Queue { queue } => Some(WorkerVm { name: vm.name, interval: vm.interval, queue }),
            _ => None,
        };
        let vms = config.cluster.vms.into_iter().zip(config.monitors).filter_map(vm).collect();
        Self { path: config.path, queues: config.queues, vms }
    }
}

impl Config {
    /// The config of a simulated cluster, which stands in no file.
    pub fn simulated(cluster: Cluster, monitors: Vec<Monitor>, plan: Plan) -> Self {
        let (path, history, retention) = (PathBuf::new(), HistoryFile::Default, Retention::default());
        let (origins, queues, drivers, reaches, domains) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { path, cluster, monitors, origins, queues, drivers, reaches, domains, history, retention, plan }
    }

    /// The queue of this name.
    pub fn queue_named(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == *name)
    }

    /// The VMs whose policy is the shared block of this name, in the file's order.
    pub fn sharing(&self, name: &str) -> impl Iterator<Item = VmId> {
        let of_name = move |(_, origin): &(usize, &PolicyOrigin)| origin.shared.as_deref() == Some(name);
        self.origins.iter().enumerate().filter(of_name).map(|(index, _)| VmId::at(index))
    }

    /// The other VMs that use the same policy block.
    pub fn others_of(&self, vm: VmId) -> impl Iterator<Item = VmId> {
        let name = self.origins.get(vm.index()).and_then(|origin| origin.shared.as_deref());
        name.into_iter().flat_map(|name| self.sharing(name)).filter(move |other| *other != vm)
    }

    /// This config with what no file can say of a simulated cluster (see [`render`](super::render)). It is taken over by name from
    /// the cluster that ran before: for VMs that run the same service, and for hosts.
    #[must_use]
    pub fn with_untold(mut self, cluster: &Cluster, plan: &Plan) -> Self {
        let old: HashMap<&str, &VmPlan> = cluster.vms.iter().map(|vm| vm.name.as_str()).zip(&plan.vms).collect();
        for ((vm, new), monitor) in self.cluster.vms.iter().zip(&mut self.plan.vms).zip(&mut self.monitors) {
            let Some(old) = old.get(vm.name.as_str()).filter(|old| old.service == new.service) else { continue };
            new.limit_ghz = old.limit_ghz;
            (new.queue_first, new.queue_every) = (old.queue_first, old.queue_every);
            (new.surges, new.silences) = (old.surges.clone(), old.silences.clone());
            new.deadline = old.deadline;
            if monitor.source == Source::Simulated && new.service == Some(Service::Http) {
                monitor.deadline = new.deadline;
            }
        }
        let host = |outage: &Outage| self.cluster.host_named(&cluster.host(outage.host).name);
        let outages = plan.outages.iter().filter_map(|outage| Some(Outage { host: host(outage)?, ..*outage }));
        self.plan.outages = outages.collect();
        (self.plan.seed, self.plan.bandwidth_mb_s) = (plan.seed, plan.bandwidth_mb_s);
        self.plan.between_sites = plan.between_sites;
        self
    }
}
