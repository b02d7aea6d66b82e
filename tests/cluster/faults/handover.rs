//! Kills at many instants of a fast migration, up to the hand-over of the VM and past it. Whatever dies, and whenever: the
//! VM never runs nowhere or twice without an alarm, and what whimbrel says in the end is what the hosts say.
//!
//! Twice it runs only where libvirt itself lets it: when the destination's daemon dies after it has started the guest and
//! before it has said so, the source starts its own again. Only a lock on its disk keeps a VM from that.

use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::instant::{End, When, lives};
use super::tale::{AT_ONCE, Tale};
use crate::support::lab::{Guest, Lab, wait};
use crate::support::moves::{is_outcome, text_of};
use crate::support::services::or_skip;

/// From the destination's first breath until after the source has been told that the VM is gone.
const INSTANTS: [When; 8] = [
    When::Prepared,
    When::Left(50),
    When::Says(End::Source, "pre-switchover", 0),
    When::Says(End::Source, "STOP", 0),
    When::Says(End::Source, "completed", 0),
    When::Says(End::Destination, "RESUME", 0),
    When::Says(End::Destination, "RESUME", 5),
    When::Says(End::Destination, "RESUME", 30),
];

/// Divides the engine's deadlines: an outcome that only a human can tell is an alarm after 20 s.
const HURRY: (&str, &str) = ("WHIMBREL_DEADLINES", "3");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Whimbrel,
    Daemon(End),
    Guest(End),
}

#[test]
fn whimbrel_may_die_at_any_instant() {
    kill_at_all_instants("whimbrel_may_die_at_any_instant", Victim::Whimbrel);
}

#[test]
fn the_sources_daemon_may_die_at_any_instant() {
    kill_at_all_instants("the_sources_daemon_may_die_at_any_instant", Victim::Daemon(End::Source));
}

#[test]
fn the_destinations_daemon_may_die_at_any_instant() {
    kill_at_all_instants("the_destinations_daemon_may_die_at_any_instant", Victim::Daemon(End::Destination));
}

#[test]
fn the_sources_guest_may_die_at_any_instant() {
    kill_at_all_instants("the_sources_guest_may_die_at_any_instant", Victim::Guest(End::Source));
}

#[test]
fn the_destinations_guest_may_die_at_any_instant() {
    kill_at_all_instants("the_destinations_guest_may_die_at_any_instant", Victim::Guest(End::Destination));
}

fn kill_at_all_instants(test: &str, victim: Victim) {
    let Some(lab) = or_skip(test, Lab::up(2)) else { return };
    let mut there = None;
    for when in INSTANTS {
        let (guest, way) = standing(&lab, there.take());
        let mut tale = Tale::with(&lab, guest.clone(), way, "", AT_ONCE, &[HURRY]);
        there = Some(guest);
        tale.phase("running");
        kill(&mut tale, victim, when);
        let outcome = settled(&mut tale);
        let on = match outcome.as_str() {
            "confirmed" => vec![tale.to],
            "failed" => vec![tale.from],
            "lost" => {
                tale.alarm("is lost");
                vec![]
            }
            "double" if victim == Victim::Daemon(End::Destination) => {
                tale.alarm("runs twice");
                let mut both = vec![tale.from, tale.to];
                both.sort_unstable();
                tale.runs_on(&both);
                tale.lab.virsh(tale.to, &["destroy", &tale.guest.name]).expect("it runs there, too");
                tale.said("again: held until released");
                vec![tale.from]
            }
            _ => panic!("{victim:?} killed at {when:?}: {outcome}: {:#?}", tale.story()),
        };
        tale.is_over();
        tale.runs_on(&on);
        assert_eq!(tale.requests(), 1, "{:#?}", tale.story());
        tale.row(&format!("{victim:?} killed at {when:?}"));
    }
}

/// The VM, booted on host 1 unless it still runs on one of both; where it is, and where else it could be.
fn standing(lab: &Lab, there: Option<Guest>) -> (Guest, [usize; 2]) {
    let runs = there.map(|guest| (lab.executing_on(&guest.name), guest));
    match runs {
        Some((on, guest)) if on == [1] => (guest, [1, 2]),
        Some((on, guest)) if on == [2] => (guest, [2, 1]),
        _ => (lab.guest(1, "web1").start(), [1, 2]),
    }
}

/// Kills it at that instant, and has what its host would start again started again.
fn kill(tale: &mut Tale, victim: Victim, when: When) {
    let (lab, name, from, to) = (tale.lab, tale.guest.name.clone(), tale.from, tale.to);
    let guest = |host| lab.qemus(&name).into_iter().find(|qemu| qemu.host == host).map(|qemu| qemu.pid);
    let host = |end| if end == End::Source { from } else { to };
    // All are there once the destination's guest is: what is to be killed is known by then.
    let arriving = wait("a destination", || guest(to));
    let pid = match victim {
        Victim::Whimbrel => tale.run.pid(),
        Victim::Daemon(end) => lab.daemon(host(end)).expect("its daemon runs"),
        Victim::Guest(End::Source) => guest(from).expect("it runs"),
        Victim::Guest(End::Destination) => arriving,
    };
    when.await_it(lab, &name, [from, to]);
    let process = Pid::from_raw(pid.cast_signed()).expect("a process");
    // A source's guest may have been ended by the migration.
    let _ = kill_process(process, Signal::KILL);
    tale.strikes();
    match victim {
        Victim::Whimbrel => {
            tale.run.kill();
            tale.start_again();
        }
        Victim::Daemon(end) => {
            wait("it is dead", || (!lives(pid)).then_some(()));
            lab.await_daemon(host(end));
        }
        Victim::Guest(_) => {}
    }
}

/// Reads on to the outcome. Where a human has to help before there is one, that is done as the alarm says.
fn settled(tale: &mut Tale) -> String {
    loop {
        let doubts = |event: &Value| text_of(event, "text").contains("outcome unknown");
        let event = tale.until("an outcome", |event| is_outcome(event) || doubts(event));
        if is_outcome(&event) {
            tale.answered = Some(Instant::now());
            return text_of(&event, "phase");
        }
        help(tale);
    }
}

/// What the alarm asks for: one end that stands still goes on where it is the only one, and goes where the other runs.
fn help(tale: &Tale) {
    let state = |host| tale.lab.virsh(host, &["domstate", &tale.guest.name]).unwrap_or_default();
    wait("it can be helped, or needs no help", || {
        let (from, to) = (state(tale.from), state(tale.to));
        let (destroyed, resumed) = match (from.as_str(), to.as_str()) {
            ("running", "") | ("", "running") => return Some(()),
            ("paused", "running") => (Some(tale.from), None),
            ("running", "paused") => (Some(tale.to), None),
            ("paused", "paused") => (Some(tale.from), Some(tale.to)),
            ("paused", "") => (None, Some(tale.from)),
            ("", "paused") => (None, Some(tale.to)),
            _ => return None,
        };
        let ask = |host: Option<usize>, what| {
            host.map_or(Ok(String::new()), |host| tale.lab.virsh(host, &[what, &tale.guest.name]))
        };
        ask(destroyed, "destroy").and_then(|_| ask(resumed, "resume")).ok().map(drop)
    });
}
