//! Writes a config file for a cluster: the demo's, which an operator can then edit like any other.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::spelling::{self, Spelled, quoted};
use super::words::written;
use crate::core::cluster::{ArrayId, Cluster, Host, Monitor, Pick, Site, Span, Vm};
use crate::core::policy::Settings;
use crate::core::simulation::{Plan, VmPlan};

/// CPU of a simulated host, in GHz, unless its key says otherwise.
pub(super) const DEFAULT_GHZ: f64 = 8.0;

/// A config file that reads back as this cluster, its monitors and, as far as a config can say it, its plan. VMs of one
/// service with equal settings share a policy. `monitors` and the plan are by the cluster's ids.
///
/// A config cannot say, and what reads it has defaults for: of the plan the seed, the bandwidth, how long moves between
/// sites take and the outages; of its VMs the CPU limit, surges, silences, when queues come, and an http service's
/// deadline ([`Config::with_untold`](super::Config::with_untold) takes them over); an indicator's name and unit other
/// than those of its kind of monitor; and an order of a ring other than that of its hosts' ids.
pub fn render(cluster: &Cluster, monitors: &[Monitor], plan: &Plan) -> String {
    let mut text = String::new();
    head(&mut text, cluster);
    for site in sites(cluster) {
        let home = if site.home { "home = true\n" } else { "" };
        push(&mut text, format_args!("[[site]]\nname = {}\n{home}\n", quoted(&site.name)));
    }
    for index in 0..cluster.arrays.len() {
        array(&mut text, cluster, ArrayId::at(index), plan);
    }
    let shared = Shared::of(cluster);
    shared.write(&mut text);
    for (index, vm) in cluster.vms.iter().enumerate() {
        let default = VmPlan::default();
        let (plan, monitor) = (plan.vms.get(index).unwrap_or(&default), monitors.get(index));
        machine(&mut text, cluster, vm, monitor.map(|monitor| (monitor, plan)), &shared);
    }
    text
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes whatever is written to it");
}

/// Keys that are not as by default, parted by this.
fn joined(keys: &[Spelled], between: &str) -> String {
    let said = keys.iter().filter(|key| !key.is_default);
    said.map(|key| format!("{} = {}", key.key, key.toml())).collect::<Vec<_>>().join(between)
}

fn head(text: &mut String, cluster: &Cluster) {
    let (vms, hosts) = (cluster.vms.len(), cluster.hosts.len());
    push(text, format_args!("# VMs: {vms}, hosts: {hosts}. What is not written here is as by default.\n"));
    push(text, format_args!("name = {}\nmode = \"{}\"\n\n", quoted(&cluster.name), cluster.mode.word()));
    let limits = joined(&spelling::limits(&cluster.limits), "\n");
    if !limits.is_empty() {
        push(text, format_args!("[limits]\n{limits}\n\n"));
    }
}

/// The sites, unless they are the one there is without being written.
fn sites(cluster: &Cluster) -> &[Site] {
    match cluster.sites.as_slice() {
        [Site { name, home: true }] if name == "home" => &[],
        sites => sites,
    }
}

fn array(text: &mut String, cluster: &Cluster, id: ArrayId, plan: &Plan) {
    let array = cluster.array(id);
    push(text, format_args!("[[array]]\nname = {}\n", quoted(&array.name)));
    let site = &cluster.sites[array.site.index()];
    if !site.home {
        push(text, format_args!("site = {}\n", quoted(&site.name)));
    }
    if let Some(base) = array.base {
        push(text, format_args!("base = {}\n", quoted(&cluster.host(base).name)));
    }
    if array.pick == Pick::Best {
        push(text, format_args!("pick = \"best\"\n"));
    }
    push(text, format_args!("host = [ # the ring in its order: later = better\n"));
    let of_array = |(_, host): &(usize, &Host)| host.array == id;
    for (index, host) in cluster.hosts.iter().enumerate().filter(of_array) {
        let ghz = plan.hosts_ghz.get(index).copied().unwrap_or(DEFAULT_GHZ);
        push(text, format_args!("  {{ {} }},\n", joined(&spelling::host(host, ghz, DEFAULT_GHZ), ", ")));
    }
    push(text, format_args!("]\n\n"));
}

fn machine(text: &mut String, cluster: &Cluster, vm: &Vm, watched: Option<(&Monitor, &VmPlan)>, shared: &Shared<'_>) {
    push(text, format_args!("[[vm]]\nname = {}\n", quoted(&vm.name)));
    let host = cluster.host(vm.host);
    if host.array != vm.array {
        push(text, format_args!("array = {}\n", quoted(&cluster.array(vm.array).name)));
    }
    push(text, format_args!("host = {}\n", quoted(&host.name)));
    if vm.interval != Span::from_mins(1) {
        push(text, format_args!("interval = \"{}\"\n", written(vm.interval)));
    }
    if let Some(mode) = vm.mode {
        push(text, format_args!("mode = \"{}\"\n", mode.word()));
    }
    if let Some(away) = vm.away {
        push(text, format_args!("away = {}\n", quoted(&cluster.array(away).name)));
    }
    if let Some((monitor, plan)) = watched {
        if vm.service != spelling::service(monitor, plan) {
            push(text, format_args!("service = {}\n", quoted(&vm.service)));
        }
        push(text, format_args!("monitor = {{ {} }}\n", joined(&spelling::monitor(vm, monitor, plan), ", ")));
    }
    match shared.name(vm) {
        Some(name) => push(text, format_args!("policy = {}\n\n", quoted(name))),
        None => push(text, format_args!("policy = {{ {} }}\n\n", joined(&spelling::policy(&vm.policy), ", "))),
    }
}

/// Policies that several VMs of one service have.
struct Shared<'c> {
    /// By service and settings as they are written: the name, and the first VM that has it.
    names: HashMap<(&'c str, String), (String, &'c Vm)>,
    /// The most common one first.
    order: Vec<(&'c str, String)>,
}

impl<'c> Shared<'c> {
    fn of(cluster: &'c Cluster) -> Self {
        let mut users: HashMap<(&str, String), (u32, &Vm)> = HashMap::new();
        let (mut order, mut taken) = (Vec::new(), HashSet::new());
        for vm in &cluster.vms {
            let key = (vm.service.as_str(), spelled(&vm.policy));
            let (count, _) = users.entry(key.clone()).or_insert((0, vm));
            *count += 1;
            if *count == 2 {
                order.push(key);
            }
        }
        // The most common ones get the plain names.
        order.sort_by_key(|key| Reverse(users[key].0));
        let mut name = |key: &(&'c str, String)| {
            let (service, vm) = (key.0, users[key].1);
            let plain = matches!(vm.policy.rule.kind(), "threshold" | "site");
            let name = if plain { service.to_owned() } else { format!("{service}-{}", vm.policy.rule.kind()) };
            let more = (2..).map(|n| format!("{name}-{n}"));
            let free = std::iter::once(name.clone()).chain(more).find(|name| taken.insert(name.clone()));
            (free.unwrap_or(name), vm)
        };
        let names = order.iter().map(|key| (key.clone(), name(key))).collect();
        Self { names, order }
    }

    fn name(&self, vm: &'c Vm) -> Option<&str> {
        self.names.get(&(vm.service.as_str(), spelled(&vm.policy))).map(|(name, _)| name.as_str())
    }

    fn write(&self, text: &mut String) {
        if !self.order.is_empty() {
            push(text, format_args!("# Policies that several VMs share.\n"));
        }
        for key in &self.order {
            let (name, vm) = &self.names[key];
            push(text, format_args!("[policy.{}] # of {}", spelling::key(name), vm.indicator.name));
            push(text, format_args!("\n{}\n\n", key.1));
        }
    }
}

/// Settings as a policy block.
fn spelled(settings: &Settings) -> String {
    joined(&spelling::policy(settings), "\n")
}
