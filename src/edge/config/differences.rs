//! What changed from one config to the next, line by line and in names, as a log tells it.

use std::collections::{HashMap, HashSet};

use super::keys::{WrittenKey, word, write};
use super::model::Config;
use super::read;
use crate::core::cluster::{Array, Cluster, Host, HostId, Limits, Mode, Monitor, Pick, Vm, VmId};
use crate::core::engine::ConfigChange;
use crate::core::format::exact_span;
use crate::core::queue::Queue;
use crate::core::simulation::VmPlan;

/// Stands for a value that is not set.
const NONE: &str = "none";

/// What changed: first in the cluster, then in its VMs in the new order, then the VMs that are gone. It reports which policy a VM
/// uses, and not changes inside the policy: the engine reports those.
pub fn differences(old: &Config, new: &Config) -> Vec<ConfigChange> {
    let mut told = Changes::default();
    let (was, is) = (&old.cluster, &new.cluster);
    told.change("name", &was.name, &is.name);
    told.change("mode", was.mode.word(), is.mode.word());
    let limits = |cluster: &Cluster| write(&read::LIMITS, &cluster.limits, &Limits::default());
    told.keys(&limits(was), &limits(is));
    history(&mut told, old, new);
    named(
        &mut told,
        "site",
        &was.sites,
        &is.sites,
        |site| &site.name,
        |told, was, is| {
            told.change("home", flag(was.home), flag(is.home));
        },
    );
    named(
        &mut told,
        "array",
        &was.arrays,
        &is.arrays,
        |array| &array.name,
        |told, before, after| {
            array(told, (was, before), (is, after));
        },
    );
    named(&mut told, "queue", &old.queues, &new.queues, |queue| &queue.name, queue);
    drivers(&mut told, old, new);
    hosts(&mut told, old, new);
    vms(&mut told, old, new);
    told.differences
}

fn flag(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// The running history goes on with the file and the spans that it started with.
fn history(told: &mut Changes, old: &Config, new: &Config) {
    let keys =
        |config: &Config| write(&read::HISTORY, &(config.history.clone(), config.retention), &Default::default());
    for (was, is) in keys(old).iter().zip(&keys(new)).filter(|(was, is)| was.value != is.value) {
        let (key, was, is) = (is.key, was.told().unwrap_or_default(), is.told().unwrap_or_default());
        told.say(&format!("history {key} {was} → {is}: holds from the next start"));
    }
}

/// The differences so far, and what the next are of.
#[derive(Default)]
struct Changes {
    differences: Vec<ConfigChange>,
    vm: Option<String>,
    /// `host mln3: `.
    head: String,
}

impl Changes {
    fn say(&mut self, text: &str) {
        self.differences.push(ConfigChange { vm: self.vm.clone(), text: format!("{}{text}", self.head) });
    }

    fn change(&mut self, what: &str, old: &str, new: &str) {
        if old != new {
            self.say(&format!("{what} {old} → {new}"));
        }
    }

    /// Each key whose value changed. A key that is not written and has no default is `none`.
    fn keys(&mut self, old: &[WrittenKey], new: &[WrittenKey]) {
        let gone = old.iter().filter(|old| new.iter().all(|new| new.key != old.key));
        for key in new.iter().chain(gone).map(|written| written.key) {
            let [old, new] = [old, new].map(|keys| keys.iter().find(|written| written.key == key));
            if old.map(|old| &old.value) == new.map(|new| &new.value) {
                continue;
            }
            // A key that is added or removed with its default value changes nothing.
            if old.is_none_or(|old| old.is_default) && new.is_none_or(|new| new.is_default) {
                continue;
            }
            let value = |written: Option<&WrittenKey>| match written {
                Some(key) => key.told().map(|value| value.into_owned()),
                None => Some(NONE.to_owned()),
            };
            match value(old).zip(value(new)).filter(|(old, new)| old != new) {
                Some((old, new)) => self.change(key, &old, &new),
                None => self.say(&format!("{key} changed")),
            }
        }
    }
}

/// Things with names: which came and went, and what changed of those that stayed.
fn named<T>(
    told: &mut Changes,
    what: &str,
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> &str,
    compare: impl Fn(&mut Changes, &T, &T),
) {
    let before: HashMap<&str, &T> = old.iter().map(|thing| (name(thing), thing)).collect();
    let after: HashSet<&str> = new.iter().map(&name).collect();
    for thing in new {
        told.head = format!("{what} {}: ", name(thing));
        match before.get(name(thing)) {
            Some(before) => compare(told, before, thing),
            None => told.say("added"),
        }
    }
    for thing in old.iter().filter(|thing| !after.contains(name(thing))) {
        told.head = format!("{what} {}: ", name(thing));
        told.say("removed");
    }
    told.head.clear();
}

fn array(told: &mut Changes, (old_cluster, old): (&Cluster, &Array), (new_cluster, new): (&Cluster, &Array)) {
    let site = |cluster: &Cluster, array: &Array| cluster.sites[array.site.index()].name.to_string();
    let ring = |cluster: &Cluster, array: &Array| {
        array.ring.iter().map(|host| cluster.host(*host).name.as_str()).collect::<Vec<_>>().join(" ")
    };
    let base = |cluster: &Cluster, base: Option<HostId>| {
        base.map_or_else(|| NONE.to_owned(), |host| cluster.host(host).name.to_string())
    };
    let pick = |pick: Pick| word(&read::PICKS, pick);
    told.change("site", &site(old_cluster, old), &site(new_cluster, new));
    told.change("ring", &ring(old_cluster, old), &ring(new_cluster, new));
    told.change("base", &base(old_cluster, old.base), &base(new_cluster, new.base));
    told.change("pick", pick(old.pick), pick(new.pick));
}

fn queue(told: &mut Changes, old: &Queue, new: &Queue) {
    let head = told.head.clone();
    for ((part, was), is) in ["", "source ", "job "].iter().zip(read::write_queue(old)).zip(read::write_queue(new)) {
        told.head = format!("{head}{part}");
        told.keys(&was, &is);
    }
}

fn drivers(told: &mut Changes, old: &Config, new: &Config) {
    let keys = |config: &Config, index: usize| config.drivers.get(index).map(read::write_driver).unwrap_or_default();
    for (index, array) in new.cluster.arrays.iter().enumerate() {
        let Some(before) = old.cluster.arrays.iter().position(|old| old.name == array.name) else { continue };
        told.head = format!("array {}: driver ", array.name);
        told.keys(&keys(old, before), &keys(new, index));
    }
    told.head.clear();
}

fn hosts(told: &mut Changes, old: &Config, new: &Config) {
    let keys = |config: &Config, &(index, host): &(usize, &Host)| {
        let ghz = config.plan.hosts_ghz.get(index).copied();
        let mut keys = read::write_host(host, ghz, config.reaches.get(index));
        keys.retain(|key| key.key != "draining");
        keys
    };
    let was: Vec<(usize, &Host)> = old.cluster.hosts.iter().enumerate().collect();
    let is: Vec<(usize, &Host)> = new.cluster.hosts.iter().enumerate().collect();
    named(
        told,
        "host",
        &was,
        &is,
        |(_, host)| &host.name,
        |told, before, after| {
            match (before.1.draining, after.1.draining) {
                (false, true) => told.say("draining, takes no more VMs"),
                (true, false) => told.say("takes VMs again"),
                _ => {}
            }
            told.keys(&keys(old, before), &keys(new, after));
        },
    );
}

fn vms(told: &mut Changes, old: &Config, new: &Config) {
    let before: HashMap<&str, usize> =
        old.cluster.vms.iter().enumerate().map(|(index, vm)| (vm.name.as_str(), index)).collect();
    for (index, vm) in new.cluster.vms.iter().enumerate() {
        told.vm = Some(vm.name.to_string());
        match before.get(vm.name.as_str()) {
            Some(before) => vm_keys(told, (old, VmId::at(*before)), (new, VmId::at(index))),
            None => told.say(&format!("added, on {}", new.cluster.host(vm.host).name)),
        }
    }
    let after: HashSet<&str> = new.cluster.vms.iter().map(|vm| vm.name.as_str()).collect();
    for vm in old.cluster.vms.iter().filter(|vm| !after.contains(vm.name.as_str())) {
        told.vm = Some(vm.name.to_string());
        told.say("removed");
    }
    told.vm = None;
}

fn vm_keys(told: &mut Changes, (old, was): (&Config, VmId), (new, is): (&Config, VmId)) {
    let (before, after) = (old.cluster.vm(was), new.cluster.vm(is));
    let host = |cluster: &Cluster, vm: &Vm| cluster.host(vm.host).name.to_string();
    let array = |cluster: &Cluster, vm: &Vm| cluster.array(vm.array).name.to_string();
    let away = |cluster: &Cluster, vm: &Vm| {
        vm.away.map_or_else(|| NONE.to_owned(), |away| cluster.array(away).name.to_string())
    };
    let mode = |vm: &Vm| vm.mode.map_or("the cluster's", Mode::word);
    let policy = |config: &Config, id: VmId| {
        let shared = config.origins.get(id.index()).and_then(|origin| origin.shared.clone());
        shared.unwrap_or_else(|| "own".to_owned())
    };
    told.change("array", &array(&old.cluster, before), &array(&new.cluster, after));
    told.change("configured host", &host(&old.cluster, before), &host(&new.cluster, after));
    told.change("away", &away(&old.cluster, before), &away(&new.cluster, after));
    // A service that follows from the monitor is reported with the monitor.
    if has_own_service(old, was) || has_own_service(new, is) {
        told.change("service", &before.service, &after.service);
    }
    told.change("interval", &exact_span(before.interval), &exact_span(after.interval));
    told.change("mode", mode(before), mode(after));
    told.change("policy", &policy(old, was), &policy(new, is));
    let domain = |config: &Config, id: VmId| config.domains.get(id.index()).map(read::write_domain).unwrap_or_default();
    told.keys(&domain(old, was), &domain(new, is));
    told.head = "monitor ".to_owned();
    told.keys(&monitor(old, was), &monitor(new, is));
    told.head.clear();
}

/// Whether the config names the service, and the monitor's kind does not.
fn has_own_service(config: &Config, id: VmId) -> bool {
    watched(config, id)
        .is_none_or(|(monitor, plan)| read::service(&monitor.source, &plan) != config.cluster.vm(id).service)
}

/// A monitor's keys without the direction, which is one of the VM's settings.
fn monitor(config: &Config, id: VmId) -> Vec<WrittenKey> {
    let written = |(monitor, plan): (&Monitor, VmPlan)| read::write_monitor(config.cluster.vm(id), monitor, &plan);
    let mut keys = watched(config, id).map(written).unwrap_or_default();
    keys.retain(|key| key.key != "direction");
    keys
}

fn watched(config: &Config, id: VmId) -> Option<(&Monitor, VmPlan)> {
    let plan = config.plan.vms.get(id.index()).cloned().unwrap_or_default();
    config.monitors.get(id.index()).map(|monitor| (monitor, plan))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SAMPLE: &str = include_str!("../../../config/whimbrel.toml");

    /// The differences that replacing these in the sample makes.
    #[track_caller]
    fn told(changes: &[(&str, &str)]) -> Vec<String> {
        let read =
            |text: &str| super::super::parse(Path::new("w.toml"), text).unwrap_or_else(|report| panic!("{report}"));
        let text = changes.iter().fold(SAMPLE.to_owned(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replacen(old, new, 1)
        });
        let line = |d: ConfigChange| d.vm.map_or(d.text.clone(), |vm| format!("{vm}: {}", d.text));
        differences(&read(SAMPLE), &read(&text)).into_iter().map(line).collect()
    }

    #[test]
    fn the_same_config_has_no_differences() {
        let comment = "# Bounds on all moves";
        assert_eq!(told(&[(comment, "\n# Moved\n\n# Bounds on all moves")]), Vec::<String>::new());
    }

    #[test]
    fn whose_a_policy_is_is_told_and_what_stands_in_it_is_not() {
        assert_eq!(told(&[("threshold = 800, tarry = 5", "threshold = 900, tarry = 4")]), Vec::<String>::new());
        assert_eq!(told(&[("hours = \"Mon-Fri 09:00-16:00", "hours = \"Mon-Thu 09:00-16:00")]), Vec::<String>::new());
        let own = "policy = { kind = \"threshold\", threshold = 6, tarry = 3, settle = \"1m\" }";
        assert_eq!(told(&[("policy = \"web\"\n", &format!("{own}\n"))]), ["nii3: policy web → own"]);
        assert_eq!(told(&[("policy = \"database\"", "policy = \"web\"")]), ["nii1: policy database → web"]);
        let url = "url = \"https://www.example.org/health\"";
        let direction = format!("{url}\ndirection = \"lower-is-worse\"");
        assert_eq!(told(&[(url, &direction)]), Vec::<String>::new(), "one of the settings");
    }

    #[test]
    fn limits_modes_hosts_and_rings_are_told_in_names() {
        assert_eq!(
            told(&[
                ("at_once = 2 ", "at_once = 4 "),
                ("\ncooldown = \"10m\"", "\ncooldown = \"off\""),
                ("\nmode = \"ask\"", "\nmode = \"auto\"")
            ]),
            ["mode ask → auto", "at_once 2 → 4", "cooldown 10m → off",]
        );
        assert_eq!(
            told(&[("  \"mln3\",", "  { name = \"mln9\", draining = true }, \"mln3\",")]),
            ["array a: ring mln1 mln2 mln3 → mln1 mln2 mln9 mln3", "host mln9: added",]
        );
        assert_eq!(
            told(&[("  \"mln3\",", "  { name = \"mln3\", draining = true, capacity = 3, price = 1.5 },")]),
            ["host mln3: draining, takes no more VMs", "host mln3: capacity none → 3", "host mln3: price 0 → 1.5",]
        );
        assert_eq!(
            told(&[("base = \"mln6\"", "base = \"mln1\""), ("pick = \"next\"", "pick = \"best\"")]),
            ["array a: ring mln1 mln2 mln3 → mln2 mln3 mln6", "array a: base mln6 → mln1", "array a: pick next → best",]
        );
        assert_eq!(told(&[("raw = \"14d\"", "raw = \"7d\"")]), ["history raw 14d → 7d: holds from the next start"]);
    }

    #[test]
    fn drivers_and_ways_to_hosts_are_told_without_secrets() {
        assert_eq!(
            told(&[
                ("stall = \"45s\"", "stall = \"2m\""),
                ("bandwidth = 500 ", "# "),
                ("unsafe = false", "unsafe = true ")
            ]),
            [
                "array c: driver unsafe false → true",
                "array c: driver stall 45s → 2m",
                "array c: driver bandwidth 500 → none",
            ]
        );
        assert_eq!(
            told(&[("uri = \"qemu+ssh://root@{host}/system\"", "uri = \"qemu+tls://{host}/system?token=hunter2\"")]),
            ["array c: driver uri qemu+ssh://root@{host}/system → qemu+tls://{host}/system?…"]
        );
        assert_eq!(
            told(&[
                ("[\"./abort\",", "[\"./abort\", \"-p\", \"hunter2\","),
                ("deadline = \"10s\"  ", "deadline = \"20s\"  ")
            ]),
            ["array d: driver abort changed", "array d: driver deadline 10s → 20s"],
            "a command may hold a secret"
        );
        assert_eq!(
            told(&[("peer_uri = \"qemu+tcp://10.0.1.3/system\"", "")]),
            ["host kvm3: peer_uri qemu+tcp://10.0.1.3/system → none"]
        );
        assert_eq!(told(&[("domain = \"nii7.example.org\"", "")]), ["nii7: domain nii7.example.org → none"]);
        assert_eq!(
            told(&[("driver = \"simulator\"", "driver = { kind = \"simulator\" }")]),
            Vec::<String>::new(),
            "another notation"
        );
    }

    #[test]
    fn queues_are_told_without_secrets() {
        assert_eq!(
            told(&[
                ("big = \"grade a\"", "big = \"grade b\""),
                ("parallel = { oslo = 1, cloud = 4 }", "parallel = 2"),
                ("url = \"http://queue.example/q/\"", "url = \"https://queue.example/q/\""),
                ("\"{job}\"]", "\"{job}\", \"--password=hunter2\"]"),
            ]),
            [
                "queue render: big grade a → grade b",
                "queue render: parallel { cloud = 4, oslo = 1 } → 2",
                "queue render: source url http://queue.example/q/ → https://queue.example/q/",
                "queue render: job argv changed",
            ]
        );
        assert_eq!(
            told(&[("name = \"thesis\"", "name = \"thesis-2\"")]),
            ["queue thesis-2: added", "queue thesis: removed"]
        );
        assert_eq!(told(&[("queue = \"render\"", "queue = \"thesis\"")]), ["nii4: monitor queue render → thesis"]);
    }

    #[test]
    fn another_driver_is_told_with_all_it_brings() {
        let read = |driver: &str| {
            let text = include_str!("../../../tests/config/valid/smallest.toml");
            let text = text.replace("name = \"a\"", &format!("name = \"a\", driver = {driver}"));
            super::super::parse(Path::new("w.toml"), &text).unwrap_or_else(|report| panic!("{report}"))
        };
        let libvirt = read("{ kind = \"libvirt\", uri = \"qemu+ssh://root@{host}/system\" }");
        let said = |old, new| differences(old, new).into_iter().map(|change| change.text).collect::<Vec<_>>();
        let simulator = read("\"simulator\"");
        assert_eq!(
            said(&simulator, &libvirt),
            ["array a: driver kind simulator → libvirt", "array a: driver uri none → qemu+ssh://root@{host}/system"]
        );
        assert_eq!(
            said(&libvirt, &simulator),
            ["array a: driver kind libvirt → simulator", "array a: driver uri qemu+ssh://root@{host}/system → none"]
        );
    }

    #[test]
    fn vms_come_go_and_move() {
        assert_eq!(
            told(&[("name = \"demo1\"\nhost = \"mln1\"", "name = \"demo2\"\nhost = \"mln2\"")]),
            ["demo2: added, on mln2", "demo1: removed",]
        );
        assert_eq!(
            told(&[(
                "name = \"demo1\"\nhost = \"mln1\"",
                "name = \"demo1\"\nhost = \"mln2\"\nmode = \"observe\"\ninterval = \"30s\""
            )]),
            ["demo1: configured host mln1 → mln2", "demo1: interval 1m → 30s", "demo1: mode the cluster's → observe",]
        );
    }

    #[test]
    fn a_service_is_told_once() {
        let mysql = "service = \"mysql\" ";
        assert_eq!(
            told(&[(mysql, "service = \"http\" ")]),
            ["demo1: monitor service mysql → http"],
            "what its monitor makes of it"
        );
        assert_eq!(
            told(&[("name = \"demo1\"\n", "name = \"demo1\"\nservice = \"wiki\"\n")]),
            ["demo1: service mysql → wiki"]
        );
    }

    #[test]
    fn a_monitor_is_told_without_secrets() {
        let url = "url = \"https://www.example.org/health\"";
        assert_eq!(
            told(&[(url, "url = \"https://www.example.org/?token=hunter2\"")]),
            ["nii5: monitor url https://www.example.org/health → https://www.example.org/?…"]
        );
        assert_eq!(
            told(&[("SELECT COUNT(*)", "SELECT SUM(hunter2)"), ("nii2.password", "other.password")]),
            ["nii2: monitor password_file nii2.password → other.password", "nii2: monitor query changed",]
        );
        assert_eq!(told(&[("demand_ghz = 0.5 ", "demand_ghz = 0.75 ")]), ["demo1: monitor demand_ghz 0.5 → 0.75"]);
        assert_eq!(
            told(&[("password_env = \"NII1_PASSWORD\"", "password_env = \"OTHER\"")]),
            ["nii1: monitor password_env NII1_PASSWORD → OTHER"]
        );
    }
}
