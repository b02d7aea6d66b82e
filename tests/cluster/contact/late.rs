//! A move that nobody waits for any more.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use whimbrel::core::cluster::{Domain, Driver, Libvirt as Settings, Reach, RequestId};
use whimbrel::edge::driver::{ArrayDriver, DriverCommand, DriverEvent, Fleet, Guest, Machine, Move};

use crate::setting::{host, in_lab, runs_only_on};
use crate::support::lab::{Lab, wait};

/// The driver at the desk, and what it says.
fn driver(lab: &Lab) -> (ArrayDriver, Receiver<DriverEvent>) {
    let machine = |n| Machine {
        name: host(n).into(),
        reach: Reach { uri: Some(lab.uri(n)), peer_uri: None },
        index: u32::try_from(n).ok(),
    };
    let guests = vec![Guest { name: "web1".into(), domain: Domain::default() }];
    let fleet = Fleet { hosts: vec![machine(1), machine(2)], guests };
    let (sender, facts) = channel();
    let tell = Arc::new(move |fact| drop(sender.send(fact)));
    let settings = Driver::Libvirt(Settings::default());
    let driver = lab.at_desk(|| ArrayDriver::start("a", &settings, fleet, tell)).expect("libvirt is there");
    (driver.expect("libvirt needs a driver"), facts)
}

fn until(facts: &Receiver<DriverEvent>, wanted: impl Fn(&DriverEvent) -> bool) {
    wait("what the driver is to say", || facts.try_iter().find(&wanted));
}

/// Threads of this process that are in libvirt's call to move a VM, or on the way to it.
fn movers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("libvirt move")).count()
}

#[test]
fn a_move_that_was_given_up_before_its_source_answered_does_not_begin_then() {
    in_lab("a_move_that_was_given_up_before_its_source_answered_does_not_begin_then", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let (driver, facts) = driver(lab);
        until(&facts, |fact| matches!(fact, DriverEvent::Found { .. }));
        let way = Move { id: RequestId(1), vm: "web1".into(), from: host(1).into(), to: host(2).into() };
        lab.freeze_daemon(1);
        driver.order(DriverCommand::Start(way.clone()));
        wait("it is about to move", || (movers() > 0).then_some(()));
        driver.order(DriverCommand::Abort(way));
        until(&facts, |fact| matches!(fact, DriverEvent::Ended { detail, .. } if detail == "aborted"));
        lab.thaw_daemon(1);
        wait("who was to move it has ended", || (movers() == 0).then_some(()));
        runs_only_on(lab, &web1, 1);
    });
}
