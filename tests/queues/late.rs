//! Workers that have lost a claim and do not know it yet, and jobs that kill their worker.

use std::fs;

use crate::audit::Remains;
use crate::fleet::Fleet;
use crate::home::{Home, Server, wait_until};
use crate::pages::KnownPage;
use crate::support::services::or_skip;

/// A page of two jobs whose program waits for a file: if it had to wait it prints `old`, and else `new`.
struct Gate {
    home: Home,
    fleet: Fleet,
    page: KnownPage,
    /// Where the file is. If it is gone, so is the test.
    folder: tempfile::TempDir,
}

impl Gate {
    fn new(home: Home) -> Self {
        let results = [1, 2].map(|job| (job, "new\n".to_owned()));
        let page = KnownPage { name: "page".to_owned(), text: "1\n2\n".to_owned(), results: results.into() };
        home.place.add(&page);
        let script = r#"[ -e "$0/flag" ] && exec echo new
while [ -d "$0" ] && [ ! -e "$0/flag" ]; do sleep 0.02; done; echo old"#;
        let folder = tempfile::tempdir().expect("a folder");
        let argv = serde_json::json!(["/bin/sh", "-c", script, folder.path()]);
        let job = format!(r#"{{ kind = "exec", argv = {argv} }}"#);
        let fleet = Fleet::new(&home, &job, home.lines(), 2);
        Self { home, fleet, page, folder }
    }

    /// The first job is in the hand of a worker of `vm1`.
    fn begin(&mut self) -> usize {
        let first = self.fleet.start_ready(1);
        self.fleet.wait_for(first, "a job is begun", |worker| !worker.said("started").is_empty());
        first
    }

    fn open(&self) {
        fs::write(self.folder.path().join("flag"), "").expect("a file");
    }

    /// Everything was delivered by whoever worked it last.
    #[track_caller]
    fn audit(&self) {
        let faults = self.home.place.remains().faults(std::slice::from_ref(&self.page));
        assert!(faults.is_empty(), "{}\n{faults:#?}", self.fleet.tale());
    }
}

/// A worker stands still with a job in hand; another start of its VM works the page; then it goes on.
fn a_stopped_worker_that_was_replaced(home: Home) {
    let mut gate = Gate::new(home);
    let old = gate.begin();
    gate.fleet.workers[old].stop();
    gate.open();
    gate.fleet.once(1);
    gate.audit();
    gate.fleet.workers[old].go_on();
    let worker = &mut gate.fleet.workers[old];
    assert_eq!(worker.wait().code(), Some(1), "{}", worker.tale());
    gate.audit();
}

/// A worker runs, and another one is started for its VM.
fn two_workers_of_one_vm(home: Home) {
    let mut gate = Gate::new(home);
    let old = gate.begin();
    let new = gate.fleet.start_ready(1);
    let worker = &mut gate.fleet.workers[old];
    // Nothing but its sign of life tells it: its job has not ended.
    assert_eq!(worker.wait().code(), Some(1), "{}", worker.tale());
    assert!(worker.said("done").is_empty(), "{}", worker.tale());
    // What the new one had begun meanwhile waits as well, so its worker is another one's.
    gate.fleet.workers[new].kill();
    gate.open();
    gate.fleet.once(1);
    gate.audit();
}

/// A claim is returned while its worker has a job of it in hand; another VM's worker works it.
fn a_claim_that_is_returned(home: Home) {
    let mut gate = Gate::new(home);
    let old = gate.begin();
    let claims = gate.home.place.remains().claims;
    // The worker must not take it again.
    let pid = gate.fleet.workers[old].pid();
    gate.fleet.workers[old].stop();
    let returned = gate.fleet.queue(&["return", &claims[0], "--yes"]);
    assert!(returned.status.success(), "{returned:?} of {pid}");
    gate.open();
    gate.fleet.once(2);
    gate.audit();
    gate.fleet.workers[old].go_on();
    gate.fleet.wait_for(old, "it says that the claim is lost", |worker| !worker.said("lost").is_empty());
    gate.audit();
    // It still works for its VM.
    let next = KnownPage { name: "next".to_owned(), ..gate.page.clone() };
    gate.home.place.add(&next);
    wait_until("the next page is worked", || gate.home.place.remains().is_done());
    assert_eq!(gate.home.place.remains().faults(&[gate.page.clone(), next]), Vec::<String>::new());
    let worker = &mut gate.fleet.workers[old];
    worker.terminate();
    assert_eq!(worker.wait().code(), Some(0), "{}", worker.tale());
}

/// A job that kills its worker is set aside after three tries, and the rest of the page is done.
fn a_poison_job(home: Home) {
    let mut page = KnownPage::of_echoes("page", 10, 3);
    let poison = *page.results.keys().nth(4).expect("ten jobs");
    let work = page.results[&poison].trim_end().to_owned();
    page.text = page.text.replace(&work, "poison");
    home.place.add(&page);
    let script = r#"read -r work; [ "$work" = poison ] && kill -9 $PPID; echo "$work""#;
    let argv = serde_json::json!(["/bin/sh", "-c", script]);
    let job = format!(r#"{{ kind = "exec", argv = {argv} }}"#);
    let mut fleet = Fleet::new(&home, &job, &format!("parallel = 3\n{}", home.lines()), 1);
    let mut deaths = 0;
    loop {
        let at = fleet.start_with(1, &["--once"]);
        let status = fleet.workers[at].wait();
        if status.code() == Some(0) {
            break;
        }
        deaths += 1;
        assert!(deaths <= 3, "{status}: {}", fleet.tale());
    }
    assert_eq!(deaths, 3, "{}", fleet.tale());
    let Remains { mut finished, open, claims, .. } = home.place.remains();
    assert!(open.is_empty() && claims.is_empty() && finished.len() == 1);
    let mut results = finished.remove(0).results;
    let at = results.iter().position(|(job, _)| *job == poison).expect("it has a result");
    let (_, error) = results.remove(at);
    let error = error.expect_err("it was set aside");
    assert!(error.contains("its worker died 3 times while it worked on this job"), "{error}");
    page.results.remove(&poison);
    let rest: Vec<_> = results.into_iter().map(|(job, result)| (job, result.expect("a result"))).collect();
    assert_eq!(rest, page.results.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_worker_whose_lease_has_run_out_delivers_nothing_and_says_so() {
    let name = "a_worker_whose_lease_has_run_out_delivers_nothing_and_says_so";
    let Some(server) = or_skip(name, Server::db()) else { return };
    let mut gate = Gate::new(server.home());
    let old = gate.begin();
    gate.fleet.workers[old].stop();
    gate.open();
    // Another VM's worker takes the page over once the lease is over.
    let other = gate.fleet.start_ready(2);
    wait_until("the page is worked", || gate.home.place.remains().is_done());
    gate.audit();
    gate.fleet.workers[old].go_on();
    gate.fleet.wait_for(old, "it says that the claim is lost", |worker| !worker.said("lost").is_empty());
    gate.audit();
    for at in [old, other] {
        let worker = &mut gate.fleet.workers[at];
        worker.terminate();
        assert_eq!(worker.wait().code(), Some(0), "{}", worker.tale());
    }
    gate.audit();
}

#[test]
fn a_stopped_worker_that_was_replaced_delivers_nothing_and_ends() {
    a_stopped_worker_that_was_replaced(Server::Folder.home());
    let name = "a_stopped_worker_that_was_replaced_delivers_nothing_and_ends";
    let Some(server) = or_skip(name, Server::dav()) else { return };
    a_stopped_worker_that_was_replaced(server.home());
    let Some(server) = or_skip(name, Server::db()) else { return };
    a_stopped_worker_that_was_replaced(server.home());
}

#[test]
fn of_two_workers_of_one_vm_the_first_ends() {
    two_workers_of_one_vm(Server::Folder.home());
    let name = "of_two_workers_of_one_vm_the_first_ends";
    let Some(server) = or_skip(name, Server::dav()) else { return };
    two_workers_of_one_vm(server.home());
    let Some(server) = or_skip(name, Server::db()) else { return };
    two_workers_of_one_vm(server.home());
}

#[test]
fn a_worker_whose_claim_is_returned_delivers_nothing_for_it_and_goes_on() {
    a_claim_that_is_returned(Server::Folder.home());
    let name = "a_worker_whose_claim_is_returned_delivers_nothing_for_it_and_goes_on";
    let Some(server) = or_skip(name, Server::dav()) else { return };
    a_claim_that_is_returned(server.home());
    let Some(server) = or_skip(name, Server::db()) else { return };
    a_claim_that_is_returned(server.home());
}

#[test]
fn a_job_that_kills_its_worker_is_set_aside_after_three_tries() {
    a_poison_job(Server::Folder.home());
    let name = "a_job_that_kills_its_worker_is_set_aside_after_three_tries";
    let Some(server) = or_skip(name, Server::dav()) else { return };
    a_poison_job(server.home());
    let Some(server) = or_skip(name, Server::db()) else { return };
    a_poison_job(server.home());
}
