//! The libvirt driver against libvirt's own test hypervisor, which lives in this process and needs no daemon. It cannot
//! migrate: that is tried in the lab.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::services::or_skip;
use whimbrel::core::cluster::{Domain, Driver, HostState, Libvirt as Settings, Name, Reach, Reading, RequestId, Usage};
use whimbrel::core::engine::Presence;
use whimbrel::edge::driver::libvirt::discover;
use whimbrel::edge::driver::{ArrayDriver, DriverCommand, DriverEvent, Fleet, Guest, Machine, Move, Tell};

/// A test that waits this long for a fact has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// A port on which nothing listens.
const NOBODY: &str = "qemu+tcp://127.0.0.1:1/system";
const WEB: &str = "11111111-2222-3333-4444-555555555555";

/// A host of the test hypervisor that runs these domains: name, uuid.
fn hypervisor(folder: &Path, host: &str, domains: &[(&str, &str)]) -> String {
    let domain = |(name, uuid): &(&str, &str)| {
        format!(
            "<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory>262144</memory><vcpu>2</vcpu>\
             <os><type>hvm</type></os><devices><disk type='file' device='disk'><source file='/var/{name}.img'/>\
             <target dev='vda' bus='virtio'/></disk></devices></domain>"
        )
    };
    let domains: String = domains.iter().map(domain).collect();
    let path = folder.join(format!("{host}.xml"));
    std::fs::write(&path, format!("<node>{domains}</node>")).expect("the folder can be written");
    format!("test://{}", path.display())
}

/// A driver over these hosts, each with its URI, and a VM called `web`.
struct Desk {
    driver: ArrayDriver,
    facts: Receiver<DriverEvent>,
}

fn start(fleet: Fleet, tell: Tell) -> Result<ArrayDriver, String> {
    let driver = ArrayDriver::start("a", &Driver::Libvirt(Settings::default()), fleet, tell)?;
    Ok(driver.expect("libvirt needs a driver"))
}

impl Desk {
    /// `None` where there is no libvirt.
    fn open(test: &str, hosts: &[(&str, String)], domain: Domain) -> Option<Self> {
        let machine = |(n, (name, uri)): (usize, &(&str, String))| Machine {
            name: (*name).into(),
            reach: Reach { uri: Some(uri.clone()), peer_uri: None },
            index: u32::try_from(n + 1).ok(),
        };
        let hosts = hosts.iter().enumerate().map(machine).collect();
        let fleet = Fleet { hosts, guests: vec![Guest { name: "web".into(), domain }] };
        let (sender, facts) = channel();
        let tell: Tell = Arc::new(move |fact| drop(sender.send(fact)));
        let driver = or_skip(test, start(fleet, tell))?;
        Some(Self { driver, facts })
    }

    /// The first fact of which something is wanted.
    fn until<T>(&self, wanted: impl Fn(&DriverEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let fact = self.facts.recv_timeout(left).unwrap_or_else(|why| panic!("{why} after {seen:?}"));
            if let Some(found) = wanted(&fact) {
                return found;
            }
            seen.push(fact);
        }
    }

    /// Waits until all hosts were told to be so; why the last one is.
    fn states(&self, wanted: &[(&str, HostState)]) -> Option<String> {
        let told = RefCell::new(BTreeMap::new());
        self.until(|fact| {
            if let DriverEvent::Host { host, state, why, .. } = fact {
                told.borrow_mut().insert(host.clone(), (*state, why.clone()));
            }
            let told = told.borrow();
            let is = |(host, state): &(&str, HostState)| told.get(*host).is_some_and(|(told, _)| told == state);
            let (last, _) = wanted.last()?;
            wanted.iter().all(is).then(|| told[*last].1.clone())
        })
    }

    fn found(&self) -> Vec<Name> {
        self.until(|fact| match fact {
            DriverEvent::Found { hosts, .. } => Some(hosts.clone()),
            _ => None,
        })
    }

    fn refusal(&self, from: &str, to: &str) -> Option<String> {
        self.driver.order(DriverCommand::Preflight(way(from, to)));
        self.until(|fact| match fact {
            DriverEvent::Preflight { refusal, .. } => Some(refusal.clone()),
            _ => None,
        })
    }

    fn confirmed(&self, from: &str, to: &str) -> (Presence, Presence) {
        self.driver.order(DriverCommand::Confirm(way(from, to)));
        self.until(|fact| match fact {
            DriverEvent::Presence { source, destination, .. } => Some((*source, *destination)),
            _ => None,
        })
    }
}

fn way(from: &str, to: &str) -> Move {
    Move { id: RequestId(7), vm: "web".into(), from: from.into(), to: to.into() }
}

fn by_uuid() -> Domain {
    Domain { name: None, uuid: Some(WEB.to_uppercase()) }
}

#[test]
fn a_vm_is_found_by_its_uuid_whatever_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = [
        ("a", hypervisor(folder.path(), "a", &[("web", "99999999-2222-3333-4444-555555555555")])),
        ("b", hypervisor(folder.path(), "b", &[("renamed", WEB)])),
    ];
    let Some(desk) = Desk::open("a_vm_is_found_by_its_uuid", &hosts, by_uuid()) else { return };
    assert_eq!(desk.found(), ["b"]);
}

#[test]
fn a_vm_that_runs_twice_or_nowhere_is_found_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let with = [("web", WEB)];
    let twice = [("a", hypervisor(folder.path(), "a", &with)), ("b", hypervisor(folder.path(), "b", &with))];
    let Some(desk) = Desk::open("a_vm_that_runs_twice_is_found_so", &twice, Domain::default()) else { return };
    let twice = desk.until(|fact| match fact {
        DriverEvent::Found { hosts, .. } if hosts.len() > 1 => Some(hosts.clone()),
        _ => None,
    });
    assert_eq!(twice, ["a", "b"]);
    assert_eq!(desk.refusal("a", "b").as_deref(), Some("web runs on b already"));
    assert_eq!(desk.confirmed("a", "b"), (Presence::Runs, Presence::Runs));

    let nowhere = [("c", hypervisor(folder.path(), "c", &[("other", WEB)]))];
    let Some(desk) = Desk::open("a_vm_that_runs_nowhere_is_found_so", &nowhere, Domain::default()) else { return };
    assert_eq!(desk.found(), Vec::<Name>::new());
}

#[test]
fn a_host_that_does_not_answer_is_down_with_a_remedy_and_nothing_is_said_of_what_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = [("a", hypervisor(folder.path(), "a", &[("web", WEB)])), ("b", NOBODY.to_owned())];
    let Some(desk) = Desk::open("a_host_that_does_not_answer_is_down", &hosts, Domain::default()) else { return };
    let why = desk.states(&[("a", HostState::Up), ("b", HostState::Down)]).expect("a reason");
    assert_eq!(why, "connection refused: is libvirtd (or virtproxyd) running on b and listening?");
    assert_eq!(desk.refusal("a", "b").as_deref(), Some(why.as_str()));
    assert_eq!(desk.confirmed("a", "b"), (Presence::Runs, Presence::Unknown));
}

#[test]
fn a_check_says_what_is_in_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = [
        ("a", hypervisor(folder.path(), "a", &[("web", WEB)])),
        ("b", hypervisor(folder.path(), "b", &[])),
        ("c", hypervisor(folder.path(), "c", &[("web", "99999999-2222-3333-4444-555555555555")])),
    ];
    let Some(desk) = Desk::open("a_check_says_what_is_in_the_way", &hosts, by_uuid()) else { return };
    desk.states(&[("a", HostState::Up), ("b", HostState::Up), ("c", HostState::Up)]);
    assert_eq!(desk.refusal("b", "a").as_deref(), Some("web is not on b"));
    let other = desk.refusal("a", "c").expect("a refusal");
    assert_eq!(other, "c has another web (uuid 99999999-2222-3333-4444-555555555555)");
    assert_eq!(desk.refusal("a", "nowhere").as_deref(), Some("nowhere is no host of this array"));
    assert_eq!(desk.confirmed("a", "b"), (Presence::Runs, Presence::Absent));
}

#[test]
fn a_vm_is_measured_where_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = [("a", hypervisor(folder.path(), "a", &[("web", WEB)]))];
    let Some(desk) = Desk::open("a_vm_is_measured_where_it_runs", &hosts, Domain::default()) else { return };
    assert_eq!(desk.found(), ["a"]);
    let measured = |vm: &str| {
        desk.driver.order(DriverCommand::Measure { vm: vm.into(), field: Usage::Cpu });
        desk.until(|fact| match fact {
            DriverEvent::Reading { vm: of, reading } if of == vm => Some(reading.clone()),
            _ => None,
        })
    };
    let first = measured("web");
    assert_eq!(
        first,
        Reading::Gap("CPU time is measured from now on".to_owned()),
        "there is nothing to compare it with"
    );
    assert!(matches!(measured("web"), Reading::Raw(_)));
    assert_eq!(measured("who"), Reading::Gap("who runs on no host that answers".to_owned()));
}

#[test]
fn a_host_without_a_uri_is_an_error() {
    let hosts = vec![Machine { name: "kvm1".into(), reach: Reach::default(), index: None }];
    let fleet = Fleet { hosts, guests: Vec::new() };
    let Err(why) = start(fleet, Arc::new(|_| {})) else { panic!("it started without a URI") };
    assert!(why.starts_with("kvm1 has no URI") || why.contains("libvirt0"), "{why}");
}

#[test]
fn what_is_dropped_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = [("ends1", hypervisor(folder.path(), "a", &[])), ("ends2", NOBODY.to_owned())];
    let Some(desk) = Desk::open("what_is_dropped_ends", &hosts, Domain::default()) else { return };
    desk.states(&[("ends2", HostState::Down)]);
    assert!(!threads("libvirt ends").is_empty());
    drop(desk);
    let deadline = Instant::now() + PATIENCE;
    while !threads("libvirt ends").is_empty() {
        assert!(Instant::now() < deadline, "{:?} still run", threads("libvirt ends"));
        std::thread::yield_now();
    }
}

/// This process's threads whose names begin so.
fn threads(name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|thread| thread.starts_with(name)).collect()
}

#[test]
fn libvirt_never_prints_over_the_screen() {
    let exe = std::env::current_exe().expect("this test's own program");
    let one =
        "libvirt_test_host::a_host_that_does_not_answer_is_down_with_a_remedy_and_nothing_is_said_of_what_it_runs";
    let output = Command::new(exe).args(["--exact", one, "--nocapture"]).output().expect("it runs");
    let ran = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && ran.contains("1 passed"), "{ran}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("error :") && !said.contains("libvirt:"), "{said}");
}

#[test]
fn what_there_is_behind_a_uri_is_discovered() {
    let folder = tempfile::tempdir().expect("a folder");
    let uris = [
        hypervisor(folder.path(), "a", &[("web", WEB), ("db", "99999999-2222-3333-4444-555555555555")]),
        NOBODY.into(),
    ];
    let Some(found) = or_skip("what_there_is_behind_a_uri_is_discovered", discover(&uris)) else { return };
    let host = found[0].host.as_ref().expect("it answers");
    assert!(!host.name.is_empty() && host.cpus > 0 && host.memory > 0);
    assert_eq!(host.domains.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>(), ["db", "web"]);
    let web = &host.domains[1];
    assert_eq!((web.uuid.as_str(), web.presence, web.memory, web.cpus), (WEB, Presence::Runs, 256 << 20, 2));
    assert_eq!(web.disks[0].remark.as_deref(), Some("/var/web.img is a file of this host: it must be shared"));
    assert!(found[1].host.as_ref().expect_err("nobody is there").starts_with("connection refused"));
}
