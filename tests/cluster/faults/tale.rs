//! A VM's move under whimbrel, its fault, and what is told of it.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::stand::Stand;
use crate::support::lab::{Guest, Lab, wait};
use crate::support::moves::Moves;
use crate::support::{Config, Run};

/// A driver that keeps a migration going for more than a minute.
pub const SLOW: &str = r#"driver = { kind = "libvirt", bandwidth = 1 }"#;
/// A driver that moves as fast as it can.
pub const FAST: &str = r#"driver = "libvirt""#;
/// Samples in a row until it is to be moved: at the first one, as every answer takes more than a millisecond; or never.
const AT_ONCE: u32 = 1;
const NEVER: u32 = 1_000_000;

/// A VM that whimbrel is to move from one host to another.
pub struct Tale {
    pub lab: &'static Lab,
    pub guest: Guest,
    pub from: usize,
    pub to: usize,
    config: Config,
    /// The config's line about the driver.
    driver: String,
    /// And one about the VM.
    of_vm: String,
    moves: Moves,
    /// When the fault came.
    struck: Instant,
}

impl Deref for Tale {
    type Target = Moves;

    fn deref(&self) -> &Moves {
        &self.moves
    }
}

impl DerefMut for Tale {
    fn deref_mut(&mut self) -> &mut Moves {
        &mut self.moves
    }
}

impl Tale {
    /// Whimbrel begins with the pair's VM, which it wants to move at once and never again.
    pub fn begin(stand: &mut Stand, driver: &str) -> Self {
        let (guest, from, to) = stand.guest();
        Self::of(stand.lab, guest, [from, to], driver, "")
    }

    /// As `begin`, for any VM, with a line about it.
    pub fn of(lab: &'static Lab, guest: Guest, way: [usize; 2], driver: &str, of_vm: &str) -> Self {
        Self::with(lab, guest, way, [driver, of_vm], AT_ONCE)
    }

    /// As `begin`, and it does not want to move before that is [changed](Self::wants_to_move).
    pub fn at_rest(stand: &mut Stand) -> Self {
        let (guest, from, to) = stand.guest();
        Self::with(stand.lab, guest, [from, to], [FAST, ""], NEVER)
    }

    fn with(lab: &'static Lab, guest: Guest, way: [usize; 2], lines: [&str; 2], tarry: u32) -> Self {
        let config = Config::new(&text(lab, &guest, way, lines, tarry));
        let ([from, to], [driver, of_vm]) = (way, lines.map(str::to_owned));
        let moves = Moves::of(start(lab, &config));
        Self { lab, guest, from, to, config, driver, of_vm, moves, struck: Instant::now() }
    }

    /// As `begin`, and returns in the middle of its migration.
    pub fn under_way(stand: &mut Stand, driver: &str) -> Self {
        let mut tale = Self::begin(stand, driver);
        tale.phase("running");
        tale.lab.await_move(tale.from, &tale.guest.name);
        tale.strikes();
        tale
    }

    /// The fault comes now.
    pub fn strikes(&mut self) {
        self.struck = Instant::now();
    }

    /// Whimbrel is started again on what it had written down.
    pub fn start_again(&mut self) {
        self.moves.go_on(start(self.lab, &self.config));
    }

    /// It wants to move from now on, and whimbrel knows.
    pub fn wants_to_move(&mut self) {
        let (way, lines) = ([self.from, self.to], [self.driver.as_str(), self.of_vm.as_str()]);
        self.config.write(&text(self.lab, &self.guest, way, lines, AT_ONCE));
        self.moves.said("applied");
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

fn start(lab: &Lab, config: &Config) -> Run {
    Run::start(lab.whimbrel().arg("run").arg(config.path()).args(["--format", "json"]))
}

fn text(lab: &Lab, guest: &Guest, way: [usize; 2], [driver, of_vm]: [&str; 2], tarry: u32) -> String {
    let host = |n: usize| format!(r#"{{ name = "lab{n}", uri = "{}", peer_uri = "{}" }}"#, lab.uri(n), lab.peer_uri(n));
    let [from, to] = way.map(host);
    let (name, url, here) = (&guest.name, guest.url("/"), way[0]);
    format!(
        r#"
mode = "auto"
[limits]
flap_window = "off"
[history]
file = "past.db"
[[array]]
name = "a"
host = [{from}, {to}]
{driver}
[[vm]]
name = "{name}"
host = "lab{here}"
{of_vm}
interval = "1s"
monitor = {{ kind = "http", url = "{url}", deadline = "900ms" }}
policy = {{ kind = "threshold", threshold = 1, tarry = {tarry}, settle = "1h" }}
"#
    )
}
