//! Each instant of a page's life, one after the other: a fault, a death, a stop, a takeover, a return at each request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::scope;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::chaos::is_long;
use crate::fleet::Fleet;
use crate::home::{Blow, Home, Server, locked};
use crate::pages::KnownPage;
use crate::support::proxy::{Cut, Fault, Seeded};
use crate::support::services::or_skip;

const BC: &str = r#"{ kind = "bc" }"#;
/// Without `WHIMBREL_LONG=1`, so many instants of each kind are tried.
const FEW: usize = 8;
/// At a time: most of the time workers wait before they try again.
const AT_A_TIME: usize = 4;

/// A new page and one that was returned, and a worker.
struct Life {
    home: Home,
    fleet: Fleet,
    pages: [KnownPage; 2],
}

impl Life {
    fn new(server: &Server) -> Self {
        let home = server.home();
        let pages = [KnownPage::of_bc("new", 3, 1), KnownPage::of_bc("half", 2, 2)];
        home.place.add(&pages[0]);
        home.place.add_returned(&pages[1]);
        let fleet = Fleet::new(&home, BC, home.lines(), 2);
        Self { home, fleet, pages }
    }

    /// How many requests a life without any fault takes.
    fn length(server: &Server) -> u64 {
        let mut life = Self::new(server);
        life.fleet.once(1);
        let length = life.home.requests();
        life.audit("nothing");
        length
    }

    /// All is worked once the network is well and the VM has another worker.
    #[track_caller]
    fn audit(&mut self, what: &str) {
        self.home.calm();
        self.fleet.once(1);
        self.fleet.once(2);
        let faults = self.home.place.remains().faults(&self.pages);
        assert!(faults.is_empty(), "{}\n{}\n{what}: {faults:#?}", self.fleet.tale(), self.home.network());
    }
}

/// Runs cases side by side: all, or a few that a seed chooses.
fn each<T: Send + Copy>(mut cases: Vec<T>, test: impl Fn(T) + Sync) {
    let mut seeded = Seeded::new(7);
    if !is_long() {
        while cases.len() > FEW {
            cases.swap_remove(seeded.below(cases.len() as u64) as usize);
        }
    }
    let cases = Mutex::new(VecDeque::from(cases));
    scope(|threads| {
        for _ in 0..AT_A_TIME {
            threads.spawn(|| {
                while let Some(case) = { locked(&cases).pop_front() } {
                    test(case);
                }
            });
        }
    });
}

fn pairs<A: Copy, B: Copy>(all: impl IntoIterator<Item = A>, of: &[B]) -> Vec<(A, B)> {
    all.into_iter().flat_map(|a| of.iter().map(move |b| (a, *b))).collect()
}

#[test]
fn no_fault_at_any_request_loses_a_page_on_apache() {
    let Some(server) = or_skip("no_fault_at_any_request_loses_a_page_on_apache", Server::dav()) else { return };
    let moment = Duration::from_millis(100);
    let faults = [
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::Late(moment),
        Fault::DelayAnswer(moment),
        Fault::Repeat(moment),
        Fault::Refuse(404),
        Fault::Refuse(412),
        Fault::Refuse(500),
        Fault::Refuse(502),
        Fault::Deny(404),
        Fault::Deny(412),
        Fault::Deny(500),
        Fault::Deny(502),
        Fault::CutRequest,
        Fault::CutAnswer,
    ];
    each(pairs(0..Life::length(&server), &faults), |(request, fault)| {
        let mut life = Life::new(&server);
        let mut next = 0;
        let said = Arc::new(Mutex::new(None));
        let say = Arc::clone(&said);
        life.home.http().plan(move |now| {
            next += 1;
            if next == request + 1 {
                *locked(&say) = Some(now.clone());
                return Some(fault);
            }
            None
        });
        life.fleet.once(1);
        let said = locked(&said).clone();
        life.audit(&format!("{fault:?} at request {request}, {said:?}"));
    });
}

#[test]
fn no_fault_at_any_statement_loses_a_page_in_mariadb() {
    let Some(server) = or_skip("no_fault_at_any_statement_loses_a_page_in_mariadb", Server::db()) else { return };
    let moment = Duration::from_millis(100);
    let cuts = [Cut::Before, Cut::After, Cut::Late(moment), Cut::Delay(moment)];
    each(pairs(0..Life::length(&server), &cuts), |(statement, cut)| {
        let mut life = Life::new(&server);
        let mut next = 0;
        let said = Arc::new(Mutex::new(None));
        let say = Arc::clone(&said);
        life.home.tcp().plan(move |now| {
            next += 1;
            if next == statement + 1 {
                *locked(&say) = Some(now.clone());
                return Some(cut);
            }
            None
        });
        life.fleet.once(1);
        let said = locked(&said).clone();
        life.audit(&format!("{cut:?} at statement {statement}, {said:?}"));
    });
}

/// A worker is killed at each request, before or after the server has done it.
fn dies_at_any(server: &Server) {
    each(pairs(0..Life::length(server), &[Blow::LoseRequest, Blow::LoseAnswer]), |(request, blow)| {
        let mut life = Life::new(server);
        let pid = Arc::new(OnceLock::new());
        let of_plan = Arc::clone(&pid);
        life.home.at(request, move || {
            let _ = kill_process(*of_plan.wait(), Signal::KILL);
            blow
        });
        let worker = life.fleet.start_with(1, &["--once"]);
        pid.set(Pid::from_raw(life.fleet.workers[worker].pid().cast_signed()).expect("a process")).expect("the first");
        life.fleet.workers[worker].wait();
        life.audit(&format!("killed at request {request}, {blow:?}"));
    });
}

/// A worker stands still at each request while another start of its VM works all; then the request arrives.
fn comes_late_at_any(server: &Server) {
    each((0..Life::length(server)).collect(), |request| {
        let mut life = Life::new(server);
        life.home.at(request, || Blow::Hold);
        let old = life.fleet.start_with(1, &["--once"]);
        let worker = &mut life.fleet.workers[old];
        if !life.home.wait_for_held(|| worker.has_ended()) {
            return;
        }
        worker.stop();
        life.fleet.once(1);
        life.home.release();
        let worker = &mut life.fleet.workers[old];
        worker.go_on();
        let status = worker.wait();
        assert!(matches!(status.code(), Some(0 | 1)), "request {request}: {}", worker.tale());
        life.audit(&format!("late at request {request}"));
    });
}

/// A worker's claims are returned, and worked by another, at each of its requests.
fn is_returned_at_any(server: &Server) {
    each((0..Life::length(server)).collect(), |request| {
        let mut life = Life::new(server);
        life.home.at(request, || Blow::Hold);
        let old = life.fleet.start_with(1, &["--once"]);
        let worker = &mut life.fleet.workers[old];
        if !life.home.wait_for_held(|| worker.has_ended()) {
            return;
        }
        for claim in life.home.place.remains().claims {
            life.fleet.queue(&["return", &claim, "--yes"]);
        }
        life.fleet.once(2);
        life.home.release();
        let worker = &mut life.fleet.workers[old];
        let status = worker.wait();
        assert!(matches!(status.code(), Some(0 | 1)), "request {request}: {}", worker.tale());
        life.audit(&format!("returned at request {request}"));
    });
}

#[test]
fn a_worker_may_die_at_any_request_to_apache() {
    let Some(server) = or_skip("a_worker_may_die_at_any_request_to_apache", Server::dav()) else { return };
    dies_at_any(&server);
}

#[test]
fn a_worker_that_stands_still_at_any_request_to_apache_delivers_nothing_late() {
    let name = "a_worker_that_stands_still_at_any_request_to_apache_delivers_nothing_late";
    let Some(server) = or_skip(name, Server::dav()) else { return };
    comes_late_at_any(&server);
}

#[test]
fn a_claim_on_apache_may_be_returned_at_any_instant() {
    let Some(server) = or_skip("a_claim_on_apache_may_be_returned_at_any_instant", Server::dav()) else { return };
    is_returned_at_any(&server);
}

#[test]
fn a_worker_may_die_at_any_statement_to_mariadb() {
    let Some(server) = or_skip("a_worker_may_die_at_any_statement_to_mariadb", Server::db()) else { return };
    dies_at_any(&server);
}

#[test]
fn a_worker_that_stands_still_at_any_statement_to_mariadb_delivers_nothing_late() {
    let name = "a_worker_that_stands_still_at_any_statement_to_mariadb_delivers_nothing_late";
    let Some(server) = or_skip(name, Server::db()) else { return };
    comes_late_at_any(&server);
}

#[test]
fn a_claim_in_mariadb_may_be_returned_at_any_instant() {
    let Some(server) = or_skip("a_claim_in_mariadb_may_be_returned_at_any_instant", Server::db()) else { return };
    is_returned_at_any(&server);
}
