//! A checked config: everything a file says, in the core's terms.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::core::cluster::{Cluster, Domain, Driver, Monitor, Reach, Source, VmId};
use crate::core::insight::Retention;
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

impl Config {
    /// The config of a simulated cluster, which stands in no file.
    pub fn simulated(cluster: Cluster, monitors: Vec<Monitor>, plan: Plan) -> Self {
        let (path, history, retention) = (PathBuf::new(), HistoryFile::Default, Retention::default());
        let (origins, drivers, reaches, domains) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { path, cluster, monitors, origins, drivers, reaches, domains, history, retention, plan }
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
