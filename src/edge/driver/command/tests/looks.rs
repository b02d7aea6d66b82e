//! What is looked at: hosts, where VMs run, whether a move can start.

use std::fs;
use std::time::Duration;

use super::Presence::Unknown;
use super::*;
use crate::core::cluster::Usage;

#[test]
fn a_locate_that_hangs_or_fails_or_babbles_tells_nothing() {
    let babble = [
        ("sleep 1000", "no answer within 1 s"),
        ("echo no route >&2; echo {host}; exit 255", "status 255: no route"),
        ("echo {host}; echo Id   Name   State", "it printed 'Id Name State', not a VM's name"),
        ("echo mln9", "it printed 'mln9', which is no host of the array"),
    ];
    for (locate, why) in babble {
        let mut lab = Lab::new();
        lab.settings.locate = lab.script(locate);
        if why.starts_with("no answer") {
            lab.settings.deadline = Span::from_secs(1);
        }
        let desk = lab.open();
        let refusal = desk.refusal(&lab).unwrap();
        assert!(refusal.starts_with("mln1 cannot be asked: ") && refusal.ends_with(why), "{refusal}");
        assert_eq!(desk.presence(&lab), (Unknown, Unknown));
    }
}

#[test]
fn a_move_that_cannot_start_is_refused_in_words() {
    let mut lab = Lab::new();
    lab.settings.host_state = Some(lab.script("echo out of order; exit 1"));
    assert_eq!(lab.open().refusal(&lab).unwrap(), "mln2 is not up: status 1: out of order");
    lab.settings.host_state = None;
    let desk = lab.open();
    lab.runs(&["mln2"]);
    assert_eq!(desk.refusal(&lab).unwrap(), "nii1 does not run on mln1, but on mln2");
    lab.runs(&["mln1", "mln2"]);
    assert_eq!(desk.refusal(&lab).unwrap(), "nii1 runs on mln1, and also on mln2");
    lab.runs(&[]);
    assert_eq!(desk.refusal(&lab).unwrap(), "nii1 does not run on mln1");
}

#[test]
fn a_short_command_that_hangs_is_killed_with_what_it_started() {
    let mut lab = Lab::new();
    lab.settings.deadline = Span::from_secs(3);
    lab.settings.host_state = Some(lab.script("sleep 1000 & echo $! > child; wait"));
    let desk = lab.open();
    assert_eq!(desk.host("mln2"), (HostState::Down, Some("no answer within 3 s".to_owned())));
    let child = fs::read_to_string(lab.path("child")).unwrap();
    comes("the child's end", || !lives(&child));
}

#[test]
fn hosts_are_up_as_their_command_says() {
    let mut lab = Lab::new();
    lab.pace.round = Duration::from_millis(20);
    lab.settings.host_state =
        Some(vec!["test".to_owned(), "-e".to_owned(), lab.path("{host}.up").display().to_string()]);
    lab.touch("mln1.up");
    let desk = lab.open();
    assert_eq!(desk.host("mln1"), (HostState::Up, None));
    lab.touch("mln2.up");
    comes("the other host", || desk.host("mln2") == (HostState::Up, None));
    fs::remove_file(lab.path("mln1.up")).unwrap();
    assert_eq!(desk.host("mln1"), (HostState::Down, Some("status 1".to_owned())));
}

#[test]
fn without_a_command_hosts_are_up_when_they_tell_their_vms() {
    let mut lab = Lab::new();
    lab.pace.round = Duration::from_millis(20);
    fs::remove_file(lab.path("mln2")).unwrap();
    let desk = lab.open();
    let (state, why) = desk.host("mln2");
    assert_eq!(state, HostState::Unknown);
    assert!(why.unwrap().contains("No such file"));
    lab.runs(&["mln1"]);
    assert_eq!(desk.host("mln2"), (HostState::Up, None));
    lab.asked_of_vms();
    assert_eq!(lab.open().host("mln2"), (HostState::Up, None));
}

#[test]
fn where_a_vm_runs_is_told_at_first_and_when_it_changes() {
    for asked_of_vms in [false, true] {
        let mut lab = Lab::new();
        lab.pace.round = Duration::from_millis(20);
        if asked_of_vms {
            lab.asked_of_vms();
        }
        let desk = lab.open();
        assert_eq!(desk.found(), ["mln1"]);
        lab.runs(&["mln2"]);
        comes("the move", || desk.found() == ["mln2"]);
        fs::write(lab.path("mln1"), format!("{}\n", lab.vm)).unwrap();
        assert_eq!(desk.found(), ["mln1", "mln2"]);
        fs::remove_file(lab.path("mln1")).unwrap();
        comes("it elsewhere", || desk.found() == ["mln2"]);
    }
}

#[test]
fn a_driver_on_a_runtime_that_never_waits_works() {
    let lab = Lab::new();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    // The runtime's only thread is taken until the answer is there.
    runtime.block_on(async { assert_eq!(lab.open().refusal(&lab), None) });
}

#[test]
fn what_it_cannot_measure_it_says() {
    let lab = Lab::new();
    let desk = lab.open();
    desk.order(DriverCommand::Measure { vm: "nii1".into(), field: Usage::Cpu });
    let reading = desk.hears(|fact| if let DriverEvent::Reading { reading, .. } = fact { Some(reading) } else { None });
    assert_eq!(reading, Reading::Gap("the command driver cannot measure: use another monitor".to_owned()));
}

#[test]
fn a_driver_that_is_not_there_or_too_busy_says_so() {
    let lab = Lab::new();
    let (commands, orders) = channel(1);
    let order = || order(&commands, DriverCommand::Confirm(lab.migration()));
    assert_eq!((order(), order()), (Ok(()), Err("the command driver is too busy".to_owned())));
    drop(orders);
    assert_eq!(order(), Err("the command driver does not run".to_owned()));
}
