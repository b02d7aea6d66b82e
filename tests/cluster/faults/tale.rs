//! A VM's move under whimbrel, its fault, and what is told of it.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::setting::{FAST, host, hosts_are_known, pair, run_with, send, watched};
use crate::support::Config;
use crate::support::lab::{Guest, Lab, wait};
use crate::support::moves::Moves;

const TOP: &str = "[limits]\nflap_window = \"off\"\nat_once = 1\n[history]\nfile = \"history.db\"";
/// Samples in a row until it is to be moved: at the first one, as every answer takes more than a millisecond; or never.
pub const AT_ONCE: u32 = 1;
const NEVER: u32 = 1_000_000;

/// A VM that whimbrel is to move from one of two hosts to the other.
pub struct Tale<'l> {
    pub lab: &'l Lab,
    pub guest: Guest,
    pub from: usize,
    pub to: usize,
    config: Config,
    /// Keys of the driver.
    driver: String,
    variables: Vec<(&'static str, String)>,
    moves: Moves,
    /// When the fault came.
    struck: Instant,
}

impl Deref for Tale<'_> {
    type Target = Moves;

    fn deref(&self) -> &Moves {
        &self.moves
    }
}

impl DerefMut for Tale<'_> {
    fn deref_mut(&mut self) -> &mut Moves {
        &mut self.moves
    }
}

impl<'l> Tale<'l> {
    /// Whimbrel begins with a VM on host 1, which it wants to move at once and never again. `driver`: keys of its driver.
    pub fn begin(lab: &'l Lab, driver: &str) -> Self {
        Self::of(lab, lab.guest(1, "web1").start(), [1, 2], driver)
    }

    /// As `begin`, for a VM that is there.
    pub fn of(lab: &'l Lab, guest: Guest, way: [usize; 2], driver: &str) -> Self {
        Self::with(lab, guest, way, driver, AT_ONCE, &[])
    }

    /// As `begin`, and it does not want to move before that is [changed](Self::wants_to_move). These variables are in
    /// whimbrel's environment.
    pub fn at_rest(lab: &'l Lab, driver: &str, variables: &[(&'static str, &str)]) -> Self {
        Self::with(lab, lab.guest(1, "web1").start(), [1, 2], driver, NEVER, variables)
    }

    /// As `begin`, with all of it said.
    pub fn with(
        lab: &'l Lab,
        guest: Guest,
        [from, to]: [usize; 2],
        driver: &str,
        tarry: u32,
        variables: &[(&'static str, &str)],
    ) -> Self {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let config = Config::new(&text(lab, &guest, from, driver, tarry));
        let moves = Moves::of(run_with(lab, &config, &variables));
        let driver = driver.to_owned();
        Self { lab, guest, from, to, config, driver, variables, moves, struck: Instant::now() }
    }

    /// As `begin`, and returns in the middle of its migration.
    pub fn under_way(lab: &'l Lab, driver: &str) -> Self {
        let mut tale = Self::begin(lab, driver);
        tale.gets_under_way();
        tale
    }

    /// Reads on to the middle of its migration: there the fault comes.
    pub fn gets_under_way(&mut self) {
        self.phase("running");
        self.lab.await_move(self.from, &self.guest.name);
        self.strikes();
    }

    /// The fault comes now.
    pub fn strikes(&mut self) {
        self.struck = Instant::now();
    }

    /// Whimbrel is started again on what it had written down.
    pub fn start_again(&mut self) {
        self.moves.go_on(run_with(self.lab, &self.config, &self.variables));
    }

    /// Its driver has told of both hosts: nothing is moved before.
    pub fn knows_its_hosts(&self) {
        hosts_are_known(&self.config, &host(self.from));
    }

    /// It wants to move from now on, and whimbrel knows.
    pub fn wants_to_move(&mut self) {
        self.config.write(&text(self.lab, &self.guest, self.from, &self.driver, AT_ONCE));
        self.moves.said("applied");
    }

    /// The process stands still while this is done, and for so long after it.
    pub fn stands_still(&mut self, meanwhile: impl FnOnce(&Lab), long: Duration) {
        self.strikes();
        self.run.signal(Signal::STOP);
        meanwhile(self.lab);
        // Nothing tells that a deadline is over but the time.
        std::thread::sleep(long);
        self.run.signal(Signal::CONT);
    }

    /// Nothing holds up the next migration, which an operator asks for.
    pub fn moves_again(&mut self, to: usize) {
        let (from, name) = (3 - to, &self.guest.name);
        send(&self.config, name, &host(to));
        if !self.driver.is_empty() {
            self.lab.await_move(from, name);
            self.lab.speed(from, name, FAST);
        }
        assert_eq!(self.outcome().0, "confirmed", "{:#?}", self.story());
        self.leaves(to);
    }

    /// The hosts that run it, by libvirt's word, are these, and by its processes' own word too.
    #[track_caller]
    pub fn runs_on(&self, hosts: &[usize]) {
        let name = &self.guest.name;
        let all = (self.lab.running_on(name), self.lab.executing_on(name));
        assert_eq!(all, (hosts.to_vec(), hosts.to_vec()), "{:#?}", self.story());
    }

    /// Nothing is left of its migration on the hosts: one process for each host that runs it.
    pub fn is_over(&self) {
        let name = &self.guest.name;
        wait("both ends of the migration are over", || {
            let is_moving = self.lab.sent(self.from, name).is_some() || self.lab.sent(self.to, name).is_some();
            let runs = self.lab.qemus(name).iter().all(|qemu| qemu.status == "running");
            (runs && !is_moving).then_some(())
        });
    }

    /// What began once, had this outcome, and left the VM running on this host alone, as the hosts themselves say.
    #[track_caller]
    pub fn ends(&mut self, outcome: &str, on: usize) -> String {
        let (_, why) = self.outcome();
        self.has_told(outcome, &why);
        self.leaves(on);
        why
    }

    /// What began once had this outcome, and no other, so far.
    #[track_caller]
    pub fn has_told(&self, outcome: &str, why: &str) {
        let told = (self.known_phases(), self.requests());
        assert_eq!(told, (vec!["running".to_owned(), outcome.to_owned()], 1), "{why}: {:#?}", self.story());
    }

    /// The VM runs on this host alone, as the hosts themselves say, and nothing is left of its migration.
    #[track_caller]
    pub fn leaves(&self, on: usize) {
        self.is_over();
        self.runs_on(&[on]);
    }

    /// Ends whimbrel, and the fault has its row in the table.
    #[expect(clippy::print_stdout, reason = "the table is what the matrix is for")]
    pub fn row(mut self, fault: &str) {
        let took = self.answered.unwrap_or_else(Instant::now).saturating_duration_since(self.struck);
        self.run.stop();
        println!("| {fault} | {} | {:.1} |", self.story().join("; "), took.as_secs_f64());
    }
}

/// The VM is known by its UUID, so that another one of its name is not taken for it.
fn text(lab: &Lab, guest: &Guest, on: usize, driver: &str, tarry: u32) -> String {
    let monitor = format!("kind = \"http\", url = \"{}\", deadline = \"900ms\"", guest.url("/"));
    let policy = format!("kind = \"threshold\", threshold = 1, tarry = {tarry}, settle = \"1h\"");
    let vm = watched(guest, on, &monitor, &policy);
    pair(lab, TOP, driver, &[format!("{vm}uuid = \"{}\"\n", guest.uuid)])
}
