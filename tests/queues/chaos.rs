//! Workers that die at any instant, servers that restart, networks that lie: nothing is lost, nothing is there twice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, SystemTime};

use crate::fleet::Fleet;
use crate::home::{Home, Server, wait_until};
use crate::pages::KnownPage;
use crate::support::proxy::Seeded;
use crate::support::services::or_skip;

/// How often each job is tried. Workers are killed more often than the three times of the default.
const ATTEMPTS: &str = "attempts = 1000";
const BC: &str = r#"{ kind = "bc" }"#;
/// Repeats the work after a moment in which its worker may die.
const ECHO: &str = r#"{ kind = "exec", argv = ["/bin/sh", "-c", "cat; sleep 0.02"] }"#;

/// How much is done.
#[derive(Debug, Clone, Copy)]
struct Size {
    pages: usize,
    vms: usize,
    /// What is done to workers and servers.
    blows: usize,
    /// Requests in a thousand that the network spoils.
    per_mille: u64,
}

const SHORT: Size = Size { pages: 24, vms: 4, blows: 24, per_mille: 40 };
const WHOLE: Size = Size { pages: 100, vms: 8, blows: 150, per_mille: 60 };

/// The seed and the size of each run: a short one, or with `WHIMBREL_LONG=1` five whole ones whose seeds are new each time.
/// `WHIMBREL_SEED` repeats one.
fn runs() -> Vec<(u64, Size)> {
    let size = if is_long() { WHOLE } else { SHORT };
    if let Ok(seed) = std::env::var("WHIMBREL_SEED") {
        return vec![(seed.parse().expect("WHIMBREL_SEED is a number"), size)];
    }
    if !is_long() {
        return vec![(20, size)];
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    (0..5).map(|run| (now.as_secs() * 10 + run, size)).collect()
}

pub fn is_long() -> bool {
    std::env::var_os("WHIMBREL_LONG").is_some_and(|value| value == "1")
}

/// Runs a test that depends on a seed, and says the seed if it fails.
fn with_seed(seed: u64, test: impl FnOnce()) {
    assert!(
        catch_unwind(AssertUnwindSafe(test)).is_ok(),
        "this was seed {seed}: WHIMBREL_SEED={seed} repeats what it chose"
    );
}

/// One home in which everything happens.
struct Scene {
    home: Home,
    fleet: Fleet,
    vms: usize,
    seeded: Seeded,
    /// What was done, for the one who reads why a test failed.
    diary: Vec<String>,
}

impl Scene {
    fn new(home: Home, job: &str, vms: usize, seed: u64) -> Self {
        let fleet = Fleet::new(&home, job, &format!("{ATTEMPTS}\n{}", home.lines()), vms);
        Self { home, fleet, vms, seeded: Seeded::new(seed), diary: Vec::new() }
    }

    /// Something bad happens.
    fn blow(&mut self) {
        let vm = 1 + self.seeded.below(self.vms as u64) as usize;
        let name = format!("vm{vm}");
        let newest = self.fleet.workers.iter().rposition(|worker| worker.vm == name).expect("each VM has a worker");
        let time = self.seeded.between(Duration::from_millis(10), Duration::from_millis(1_200));
        let kind = self.seeded.below(20);
        self.diary.push(format!("{kind} {name} {time:?}"));
        match kind {
            0..=5 => {
                self.fleet.workers[newest].kill();
                self.fleet.start(vm);
            }
            // It stands still, and finds its claims where they were, or that others have them.
            6..=8 => self.fleet.workers[newest].stop(),
            // It stands still while another takes over.
            9 | 10 => {
                self.fleet.workers[newest].stop();
                self.fleet.start_ready(vm);
            }
            11 | 12 => {
                self.fleet.start(vm);
            }
            13 => {
                self.fleet.workers[newest].terminate();
                self.fleet.start(vm);
            }
            14..=16 => {
                let claims = self.home.place.remains().claims;
                if !claims.is_empty() {
                    let claim = &claims[self.seeded.below(claims.len() as u64) as usize];
                    // It may be gone meanwhile.
                    self.fleet.queue(&["return", claim, "--yes"]);
                }
            }
            17 => self.home.server.restart(),
            _ => self.home.server.freeze(time),
        }
        // Few processes of a VM stand still for long.
        let stopped: Vec<usize> =
            (0..self.fleet.workers.len()).filter(|at| self.fleet.workers[*at].is_stopped()).collect();
        if stopped.len() > self.vms / 2 {
            self.fleet.workers[stopped[0]].go_on();
        }
    }

    /// The network is well again, and every VM has a new worker: each older one ends with status 1, and all is worked.
    fn settle(&mut self, pages: &[KnownPage]) {
        self.home.calm();
        for worker in self.fleet.workers.iter_mut().filter(|worker| worker.is_stopped()) {
            worker.go_on();
        }
        let old = self.fleet.workers.len();
        let new: Vec<usize> = (1..=self.vms).map(|vm| self.fleet.start_ready(vm)).collect();
        for at in 0..old {
            let worker = &mut self.fleet.workers[at];
            let status = worker.wait();
            // Killed, asked to end, or taken over.
            let is_well = matches!(status.code(), None | Some(0 | 1));
            assert!(is_well, "{}", worker.tale());
        }
        wait_until("all is worked", || self.home.place.remains().is_done());
        for at in new {
            self.fleet.workers[at].terminate();
            let status = self.fleet.workers[at].wait();
            assert_eq!(status.code(), Some(0), "{}", self.fleet.workers[at].tale());
        }
        // What processes left that died in the end is cleared at the next start.
        for vm in 1..=self.vms {
            self.fleet.once(vm);
        }
        let faults = self.home.place.remains().faults(pages);
        assert!(faults.is_empty(), "{faults:#?}\n{:?}\n{}\n{}", self.diary, self.home.network(), self.fleet.tale());
    }
}

/// Eight workers on 100 pages of 10 jobs, half of which are added meanwhile. Nothing goes wrong.
fn calm(home: Home) {
    let pages: Vec<KnownPage> = (0..100).map(|n| KnownPage::of_echoes(&format!("page-{n}"), 10, n)).collect();
    let journal = tempfile::NamedTempFile::new().expect("a file");
    let script = format!(r#"read -r work; echo "$work" >> {}; echo "$work""#, journal.path().display());
    let argv = serde_json::json!(["/bin/sh", "-c", script]);
    let mut scene = Scene::new(home, &format!(r#"{{ kind = "exec", argv = {argv} }}"#), 8, 0);
    let (before, after) = pages.split_at(50);
    before.iter().for_each(|page| scene.home.place.add(page));
    for vm in 1..=8 {
        scene.fleet.start(vm);
    }
    after.iter().for_each(|page| scene.home.place.add(page));
    wait_until("all is worked", || scene.home.place.remains().is_done());
    for worker in &mut scene.fleet.workers {
        worker.terminate();
        assert_eq!(worker.wait().code(), Some(0), "{}", worker.tale());
    }
    let faults = scene.home.place.remains().faults(&pages);
    assert!(faults.is_empty(), "{}\n{faults:#?}", scene.fleet.tale());
    let mut worked: Vec<String> =
        std::fs::read_to_string(journal.path()).expect("text").lines().map(str::to_owned).collect();
    let mut wanted: Vec<String> =
        pages.iter().flat_map(|page| page.results.values()).map(|result| result.trim_end().to_owned()).collect();
    worked.sort();
    wanted.sort();
    assert_eq!(worked, wanted, "each job was begun once");
}

/// Everything goes wrong while producers add pages.
fn chaos(server: &Server, job: &str, page: impl Fn(&str, u32, u64) -> KnownPage) {
    for (seed, size) in runs() {
        let pages: Vec<KnownPage> = (0..size.pages).map(|n| page(&format!("page-{n}"), 10, seed + n as u64)).collect();
        with_seed(seed, || {
            let mut scene = Scene::new(server.home(), job, size.vms, seed);
            scene.home.spoil(seed, size.per_mille);
            for vm in 1..=size.vms {
                scene.fleet.start(vm);
            }
            let mut pace = Seeded::new(!seed);
            let producer = scene.home.place.clone();
            let is_over = AtomicBool::new(false);
            scope(|threads| {
                threads.spawn(|| {
                    for page in &pages {
                        producer.add(page);
                        sleep(pace.between(Duration::ZERO, Duration::from_millis(500)));
                    }
                    is_over.store(true, Ordering::Relaxed);
                });
                let mut blows = 0;
                while blows < size.blows || !is_over.load(Ordering::Relaxed) {
                    sleep(scene.seeded.between(Duration::ZERO, Duration::from_millis(400)));
                    scene.blow();
                    blows += 1;
                }
            });
            scene.settle(&pages);
        });
    }
}

#[test]
fn eight_workers_work_each_job_of_a_folder_once() {
    calm(Server::Folder.home());
}

#[test]
fn eight_workers_work_each_job_on_apache_once() {
    let Some(server) = or_skip("eight_workers_work_each_job_on_apache_once", Server::dav()) else { return };
    calm(server.home());
}

#[test]
fn eight_workers_work_each_job_in_mariadb_once() {
    let Some(server) = or_skip("eight_workers_work_each_job_in_mariadb_once", Server::db()) else { return };
    calm(server.home());
}

#[test]
fn nothing_in_a_folder_is_lost_or_there_twice_whoever_dies() {
    chaos(&Server::Folder, ECHO, KnownPage::of_echoes);
}

#[test]
fn nothing_on_apache_is_lost_or_there_twice_whoever_dies_and_whatever_the_network_says() {
    let name = "nothing_on_apache_is_lost_or_there_twice_whoever_dies_and_whatever_the_network_says";
    let Some(server) = or_skip(name, Server::dav()) else { return };
    chaos(&server, BC, KnownPage::of_bc);
}

#[test]
fn nothing_in_mariadb_is_lost_or_there_twice_whoever_dies_and_whatever_the_network_loses() {
    let name = "nothing_in_mariadb_is_lost_or_there_twice_whoever_dies_and_whatever_the_network_loses";
    let Some(server) = or_skip(name, Server::db()) else { return };
    chaos(&server, BC, KnownPage::of_bc);
}
