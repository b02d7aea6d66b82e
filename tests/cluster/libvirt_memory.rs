//! libvirt's C library is used without losing memory or touching what is not ours: migrations under valgrind, in the lab.

use std::cell::Cell;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::lab::Lab;
use crate::support::services::or_skip;
use whimbrel::core::cluster::{Domain, Driver, HostState, Libvirt as Settings, Reach, RequestId, Usage};
use whimbrel::core::engine::Presence;
use whimbrel::edge::driver::{ArrayDriver, DriverCommand, DriverEvent, Fleet, Guest, Machine, Move, Tell};

/// Set where this program runs under valgrind: how many migrations.
const MOVES: &str = "WHIMBREL_MOVES";
/// Valgrind's status when memory was touched that is not ours.
const TOUCHED: &str = "77";
/// Under valgrind everything takes long.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many migrations each run makes. There and back, so they are even.
const RUNS: [u64; 3] = [2, 4, 8];
/// Bytes that one migration may leave reachable. What is held for each migration is held in every run; a buffer or a
/// thread that happens to be there at the end of one run is not.
const SLACK: u64 = 4 << 10;

/// Bytes, as valgrind sums them up at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    lost: u64,
    reachable: u64,
}

#[test]
fn migrations_lose_no_memory_and_touch_none_that_is_not_ours() {
    let name = "migrations_lose_no_memory_and_touch_none_that_is_not_ours";
    if let Some(moves) = std::env::var_os(MOVES) {
        return there_and_back(moves.to_str().and_then(|moves| moves.parse().ok()).expect("a number"));
    }
    let valgrind = Command::new("valgrind").arg("--version").output().map_err(|_| "there is no valgrind".to_owned());
    let Some(_) = or_skip(name, valgrind) else { return };
    let Some(lab) = or_skip(name, Lab::up(2)) else { return };
    let web1 = lab.guest(1, "web1").start();
    let boot = web1.boot_id();
    let left = RUNS.map(|moves| under_valgrind(&lab, name, moves));
    assert_eq!(web1.boot_id(), boot, "it was moved, and never off");
    assert!(left.iter().all(|run| run.lost == left[0].lost), "memory is lost with each migration: {left:?}");
    let growth = |n: usize| left[n + 1].reachable.saturating_sub(left[n].reachable) / (RUNS[n + 1] - RUNS[n]);
    assert!(growth(0).min(growth(1)) < SLACK, "memory is held for each migration: {left:?}");
}

/// This very test in a process of its own, at the desk.
fn under_valgrind(lab: &Lab, name: &str, moves: u64) -> Left {
    let log = lab.folder().join(format!("valgrind-{moves}"));
    let mut command = lab.command("valgrind");
    command.args(["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=none"]);
    command.arg(format!("--error-exitcode={TOUCHED}")).arg(format!("--log-file={}", log.display()));
    command.arg(std::env::current_exe().expect("this program")).args([
        "--exact",
        &format!("libvirt_memory::{name}"),
        "--nocapture",
    ]);
    let output = command.env(MOVES, moves.to_string()).output().expect("valgrind runs");
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(output.status.success(), "{}\n{}\n{said}", output.status, String::from_utf8_lossy(&output.stdout));
    let bytes = |kind: &str| -> u64 {
        let line = said.lines().find(|line| line.contains(kind)).unwrap_or_else(|| panic!("no {kind} in {said}"));
        let figure = line.split(kind).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
        figure.replace(',', "").parse().unwrap_or_else(|why| panic!("{why}: {line}"))
    };
    Left { lost: bytes("definitely lost: ") + bytes("indirectly lost: "), reachable: bytes("still reachable: ") }
}

/// Moves the guest so often, an even number of times, with all that goes with it.
fn there_and_back(moves: u64) {
    let host = |n: u32| {
        let uri = Some(format!("qemu+tcp://10.77.0.1{n}/system"));
        Machine { name: format!("host{n}").into(), reach: Reach { uri, peer_uri: None }, index: Some(n) }
    };
    let guest = Guest { name: "web1".into(), domain: Domain::default() };
    let (sender, facts) = channel();
    let tell: Tell = Arc::new(move |fact| drop(sender.send(fact)));
    let fleet = Fleet { hosts: vec![host(1), host(2)], guests: vec![guest] };
    let settings = Driver::Libvirt(Settings::default());
    let driver = ArrayDriver::start("a", &settings, fleet, tell).expect("libvirt is installed");
    let driver = driver.expect("libvirt needs a driver");
    let until = |wanted: &dyn Fn(&DriverEvent) -> bool| {
        while !wanted(&facts.recv_timeout(PATIENCE).expect("the fact comes")) {}
    };
    let up = Cell::new([false; 2]);
    until(&|fact| {
        if let DriverEvent::Host { host, state: HostState::Up, .. } = fact {
            up.set([up.get()[0] || host == "host1", up.get()[1] || host == "host2"]);
        }
        up.get() == [true; 2]
    });
    for id in 0..moves {
        let (from, to) = if id % 2 == 0 { ("host1", "host2") } else { ("host2", "host1") };
        let way = Move { id: RequestId(id), vm: "web1".into(), from: from.into(), to: to.into() };
        driver.order(DriverCommand::Preflight(way.clone()));
        until(&|fact| match fact {
            DriverEvent::Preflight { refusal: Some(why), .. } => panic!("{why}"),
            fact => matches!(fact, DriverEvent::Preflight { .. }),
        });
        driver.order(DriverCommand::Start(way.clone()));
        until(&|fact| matches!(fact, DriverEvent::Ended { .. }));
        driver.order(DriverCommand::Confirm(way));
        let arrived = (Presence::Absent, Presence::Runs);
        until(&|fact| match fact {
            DriverEvent::Presence { source, destination, .. } => {
                assert_eq!((*source, *destination), arrived);
                true
            }
            _ => false,
        });
        until(&|fact| matches!(fact, DriverEvent::Found { hosts, .. } if hosts == &[to]));
        driver.order(DriverCommand::Measure { vm: "web1".into(), field: Usage::Cpu });
        until(&|fact| matches!(fact, DriverEvent::Reading { .. }));
    }
}
