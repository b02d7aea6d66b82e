//! Writes a config file for a cluster, the demo's or one that was discovered, which an operator can then edit like any
//! other.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::keys::{WrittenKey, bare_or_quoted, quoted, word, write};
use super::model::{Config, WorkerVm};
use super::read::{self, PICKS};
use super::words::free_name;
use crate::core::cluster::{ArrayId, Cluster, HostId, Limits, Pick, Site, Vm, VmId};
use crate::core::format::exact_span;
use crate::core::policy::{PolicyKind, Settings};
use crate::core::queue::Queue;
use crate::core::simulation::VmPlan;

/// A driver with at most so many keys is written in one line.
const SHORT: usize = 3;

/// A config file that reads back as this cluster with its drivers, its monitors and, as far as a config can say it, its
/// plan. VMs of one service with equal settings share a policy. If a list is shorter than the cluster's, the rest has defaults.
///
/// A config cannot say, and what reads it has defaults for: of the plan the seed, the bandwidth, how long moves between
/// sites take and the outages; of its VMs the CPU limit, surges, silences, when queues come, and an http service's
/// deadline ([`Config::with_untold`](super::Config::with_untold) takes them over); an indicator's name and unit other
/// than those of its kind of monitor; and an order of a ring other than that of its hosts' ids.
pub fn render(config: &Config) -> String {
    let (mut text, cluster) = (String::new(), &config.cluster);
    head(&mut text, cluster);
    for site in sites(cluster) {
        let home = if site.home { "home = true\n" } else { "" };
        push(&mut text, format_args!("[[site]]\nname = {}\n{home}\n", quoted(&site.name)));
    }
    for index in 0..cluster.arrays.len() {
        array(&mut text, config, ArrayId::at(index));
    }
    let shared = shared_policies(cluster);
    if !shared.is_empty() {
        push(&mut text, format_args!("# Policies that several VMs share.\n"));
    }
    for SharedPolicy { name, vm, settings } in &shared {
        push(&mut text, format_args!("[policy.{}] # of {}\n", bare_or_quoted(name), vm.indicator.name));
        push(&mut text, format_args!("{settings}\n\n"));
    }
    config.queues.iter().for_each(|one| queue(&mut text, one));
    for index in 0..cluster.vms.len() {
        machine(&mut text, config, VmId::at(index), &shared);
    }
    text
}

/// The config that a VM's worker needs, and no more: its queue and itself. It says of whom it is.
pub fn render_worker(one: &Queue, vm: &WorkerVm) -> String {
    let mut text =
        "# The config of a worker: whimbrel work THIS-FILE --vm NAME. Paths are as they were where it was written.\n\n"
            .to_owned();
    queue(&mut text, one);
    push(&mut text, format_args!("[[vm]]\nname = {}\n", quoted(&vm.name)));
    if vm.interval != read::DEFAULT_INTERVAL {
        push(&mut text, format_args!("interval = \"{}\"\n", exact_span(vm.interval)));
    }
    push(&mut text, format_args!("monitor = {{ kind = \"queue\", queue = {} }}\n", quoted(&one.name)));
    text
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes whatever is written to it");
}

/// Keys that differ from their default, separated by `between`.
fn joined(keys: &[WrittenKey], between: &str) -> String {
    let said = keys.iter().filter(|key| !key.is_default);
    said.map(|key| format!("{} = {}", key.key, key.toml())).collect::<Vec<_>>().join(between)
}

fn head(text: &mut String, cluster: &Cluster) {
    let (vms, hosts) = (cluster.vms.len(), cluster.hosts.len());
    push(text, format_args!("# VMs: {vms}, hosts: {hosts}. What is not written here is as by default.\n"));
    push(text, format_args!("name = {}\nmode = \"{}\"\n\n", quoted(&cluster.name), cluster.mode.word()));
    let limits = joined(&write(&read::LIMITS, &cluster.limits, &Limits::default()), "\n");
    if !limits.is_empty() {
        push(text, format_args!("[limits]\n{limits}\n\n"));
    }
}

/// The sites to be written; none if there is only the default site.
fn sites(cluster: &Cluster) -> &[Site] {
    match cluster.sites.as_slice() {
        [Site { name, home: true }] if name == "home" => &[],
        sites => sites,
    }
}

fn array(text: &mut String, config: &Config, id: ArrayId) {
    let (cluster, array) = (&config.cluster, config.cluster.array(id));
    push(text, format_args!("[[array]]\nname = {}\n", quoted(&array.name)));
    let site = &cluster.sites[array.site.index()];
    if !site.home {
        push(text, format_args!("site = {}\n", quoted(&site.name)));
    }
    let driver = config.drivers.get(id.index()).map(read::write_driver).unwrap_or_default();
    let own = driver.iter().filter(|key| !key.is_default).count();
    match driver.first() {
        Some(kind) if own == 1 => push(text, format_args!("driver = {}\n", kind.toml())),
        Some(_) if (2..=SHORT).contains(&own) => push(text, format_args!("driver = {{ {} }}\n", joined(&driver, ", "))),
        _ => {}
    }
    if let Some(base) = array.base {
        push(text, format_args!("base = {}\n", quoted(&cluster.host(base).name)));
    }
    if array.pick != Pick::default() {
        push(text, format_args!("pick = \"{}\"\n", word(&PICKS, array.pick)));
    }
    push(text, format_args!("host = [ # the ring in its order: later = better\n"));
    let of_array = |index: &usize| cluster.hosts[*index].array == id;
    for index in (0..cluster.hosts.len()).filter(of_array) {
        push(text, format_args!("  {{ {} }},\n", host(config, HostId::at(index))));
    }
    push(text, format_args!("]\n\n"));
    if own > SHORT {
        push(text, format_args!("[array.driver]\n{}\n\n", joined(&driver, "\n")));
    }
}

fn host(config: &Config, id: HostId) -> String {
    let ghz = config.plan.hosts_ghz.get(id.index()).copied();
    joined(&read::write_host(config.cluster.host(id), ghz, config.reaches.get(id.index())), ", ")
}

fn queue(text: &mut String, queue: &Queue) {
    let [own, source, job] = read::write_queue(queue);
    let own = joined(&own, "\n");
    push(text, format_args!("[[queue]]\nname = {}\n", quoted(&queue.name)));
    push(text, format_args!("source = {{ {} }}\njob = {{ {} }}\n", joined(&source, ", "), joined(&job, ", ")));
    push(text, format_args!("{own}{}", if own.is_empty() { "\n" } else { "\n\n" }));
}

fn machine(text: &mut String, config: &Config, id: VmId, shared: &[SharedPolicy<'_>]) {
    let (cluster, vm) = (&config.cluster, config.cluster.vm(id));
    push(text, format_args!("[[vm]]\nname = {}\n", quoted(&vm.name)));
    let domain = config.domains.get(id.index()).map(read::write_domain).unwrap_or_default();
    for key in &domain {
        push(text, format_args!("{} = {}\n", key.key, key.toml()));
    }
    let host = cluster.host(vm.host);
    if host.array != vm.array {
        push(text, format_args!("array = {}\n", quoted(&cluster.array(vm.array).name)));
    }
    push(text, format_args!("host = {}\n", quoted(&host.name)));
    if vm.interval != read::DEFAULT_INTERVAL {
        push(text, format_args!("interval = \"{}\"\n", exact_span(vm.interval)));
    }
    if let Some(mode) = vm.mode {
        push(text, format_args!("mode = \"{}\"\n", mode.word()));
    }
    if let Some(away) = vm.away {
        push(text, format_args!("away = {}\n", quoted(&cluster.array(away).name)));
    }
    if let Some(monitor) = config.monitors.get(id.index()) {
        let default = VmPlan::default();
        let plan = config.plan.vms.get(id.index()).unwrap_or(&default);
        if vm.service != read::service(&monitor.source, plan) {
            push(text, format_args!("service = {}\n", quoted(&vm.service)));
        }
        push(text, format_args!("monitor = {{ {} }}\n", joined(&read::write_monitor(vm, monitor, plan), ", ")));
    }
    let settings = spelled(&vm.policy);
    match shared.iter().find(|shared| shared.vm.service == vm.service && shared.settings == settings) {
        Some(shared) => push(text, format_args!("policy = {}\n\n", quoted(&shared.name))),
        None => push(text, format_args!("policy = {{ {} }}\n\n", joined(&read::write_policy(&vm.policy), ", "))),
    }
}

/// A policy that several VMs of one service have.
struct SharedPolicy<'c> {
    name: String,
    /// The first VM that has it.
    vm: &'c Vm,
    /// Its settings, as they are written.
    settings: String,
}

/// The most common one first.
fn shared_policies(cluster: &Cluster) -> Vec<SharedPolicy<'_>> {
    let mut users: HashMap<(&str, String), (u32, &Vm)> = HashMap::new();
    let mut order = Vec::new();
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
    let mut taken = HashSet::new();
    let shared = |(service, settings): (&str, String)| {
        let (_, vm) = users[&(service, settings.clone())];
        let kind = vm.policy.rule.kind();
        let plain = matches!(kind, PolicyKind::Threshold | PolicyKind::Site);
        let name = if plain { service.to_owned() } else { format!("{service}-{}", kind.word()) };
        SharedPolicy { name: free_name(name, &mut taken), vm, settings }
    };
    order.into_iter().map(shared).collect()
}

/// Settings as a policy block.
fn spelled(settings: &Settings) -> String {
    joined(&read::write_policy(settings), "\n")
}
