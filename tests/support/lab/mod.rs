//! A real cluster for tests, on this machine: libvirt hosts in namespaces of their own, guests that really run on them and
//! really move, and every fault that hosts, cables and daemons have. `docs/lab.md` tells what it is made of.
//!
//! ```ignore
//! let Some(lab) = services::or_skip("a_move", Lab::up(2)) else { return };
//! let web1 = lab.guest(1, "web1").disk(Disk::Nbd).start();
//! let mut run = Run::start(lab.whimbrel().args(["run", "whimbrel.toml"]));
//! ```
//!
//! Hosts count from 1. Labs, and tests in one lab, may run side by side. A lab ends when it is dropped, and also with the
//! process that has it, however that ends: so it may be a `static`.

mod faults;
mod guest;
mod probe;
mod witness;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicU8;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub use guest::{Boot, Disk, Guest};
pub use probe::{Probe, Report};
pub use witness::Qemu;

/// Far more than anything here takes on any machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A cluster of libvirt hosts. Dropping it removes everything.
pub struct Lab {
    folder: PathBuf,
    hosts: usize,
    /// The last address that a guest got.
    addresses: AtomicU8,
    /// It removes everything when its input ends.
    keeper: Child,
}

impl Lab {
    /// A lab with so many hosts, 1 to 9, each with all the CPU there is.
    ///
    /// # Errors
    /// This machine does not allow it, in the words of a skipped test. (That a host does not come up is a panic.)
    pub fn up(hosts: usize) -> Result<Self, String> {
        Self::bring_up(hosts, &[])
    }

    /// As [`up`](Self::up), and each host may use only so many percent of one CPU: then guests on one host crowd each
    /// other, and one that moves away is relieved.
    ///
    /// # Errors
    /// As [`up`](Self::up), or there is no way to limit a host here.
    pub fn crowded(hosts: usize, percent: u8) -> Result<Self, String> {
        Self::bring_up(hosts, &[("HOST_QUOTA", &percent.to_string())])
    }

    fn bring_up(hosts: usize, with: &[(&str, &str)]) -> Result<Self, String> {
        assert!((1..=9).contains(&hosts), "a lab has 1 to 9 hosts");
        let folder = tempfile::Builder::new().prefix("whimbrel-lab-").tempdir().expect("a temporary folder").keep();
        let mut command = script("instance");
        command.arg(&folder).arg(hosts.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(with.iter().copied());
        // A group of its own: what ends the test at the terminal shall not end who cleans up after it.
        let mut keeper = command.process_group(0).spawn().expect("bash is there");
        let mut said = String::new();
        let output = keeper.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut said).expect("the keeper writes text");
        let lab = Self { folder, hosts, addresses: AtomicU8::new(100), keeper };
        match said.trim() {
            "ready" => Ok(lab),
            "" => panic!("the lab did not come up: see its errors above"),
            reason => Err(reason.to_owned()),
        }
    }

    /// How many hosts it has.
    pub const fn hosts(&self) -> usize {
        self.hosts
    }

    /// What is in the names of its network namespaces, and of nobody else's.
    pub fn name(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).expect("a name in letters")
    }

    /// A host's address as the operator and the other hosts reach it.
    pub fn address(&self, host: usize) -> String {
        assert!((1..=self.hosts).contains(&host), "the lab has no host {host}");
        format!("10.77.0.1{host}")
    }

    /// A host's URI as whimbrel, at the desk, connects to it.
    pub fn uri(&self, host: usize) -> String {
        format!("qemu+tcp://{}/system", self.address(host))
    }

    /// A host's URI as its peers connect to it for a migration.
    pub fn peer_uri(&self, host: usize) -> String {
        self.uri(host)
    }

    /// Lets a host be reached by ssh too, until it is powered off: its URI as whimbrel, at the desk, connects to it.
    ///
    /// # Errors
    /// There is no ssh, or sshd cannot be fetched, in the words of a skipped test.
    pub fn ssh_uri(&self, host: usize) -> Result<String, String> {
        let said = self.run("ssh", &[&host.to_string()]).unwrap_or_else(|why| panic!("ssh to host {host}: {why}"));
        if said != "ready" {
            return Err(said);
        }
        let (address, folder) = (self.address(host), self.folder.display());
        Ok(format!("qemu+ssh://root@{address}/system?keyfile={folder}/key&no_verify=1&command={folder}/client"))
    }

    /// The folder with all that hosts write: `hostN/log/libvirtd.log`, `hostN/log/qemu/NAME.log`, `hostN/output`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The desk's network namespace: from there the operator sees all hosts and guests.
    fn desk(&self) -> PathBuf {
        desk(self.name())
    }

    /// A program that is run at the desk. It becomes the child itself, so that signals to the child reach it.
    pub fn command(&self, program: &str) -> Command {
        let [nsenter, namespace] = self.prefix();
        let mut command = Command::new(nsenter);
        command.arg(namespace).arg(program);
        command
    }

    /// What to put before a program and its arguments to have it run at the desk.
    pub fn prefix(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net={}", self.desk().display())]
    }

    /// The binary under test, at the desk.
    pub fn whimbrel(&self) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_whimbrel"));
        command.env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"));
        command
    }

    /// Does something on a thread at the desk: connections made there reach hosts and guests.
    pub fn at_desk<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        at(&self.desk(), work)
    }

    /// `virsh` on a host, for a minute at most, and what it wrote to both outputs if it failed.
    ///
    /// # Errors
    /// Virsh's words.
    pub fn virsh(&self, host: usize, args: &[&str]) -> Result<String, String> {
        self.virsh_within(PATIENCE, host, args)
    }

    fn virsh_within(&self, limit: Duration, host: usize, args: &[&str]) -> Result<String, String> {
        let limit = limit.as_secs().to_string();
        let mut command = self.command("timeout");
        command.args([limit.as_str(), "virsh", "-q", "-c", &self.uri(host)]).args(args);
        result(&command.stdin(Stdio::null()).output().expect("virsh is installed"))
    }

    /// One of the lab's scripts about this lab.
    fn run(&self, name: &str, args: &[&str]) -> Result<String, String> {
        result(&script(name).arg(&self.folder).args(args).output().expect("bash is there"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Asks again and again until there is an answer; a panic after a minute.
#[track_caller]
pub fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        sleep(PAUSE);
    }
}

fn desk(lab: &str) -> PathBuf {
    Path::new("/run/netns").join(format!("{lab}-desk"))
}

/// Does something on a thread in a network namespace.
fn at<T: Send>(namespace: &Path, work: impl FnOnce() -> T + Send) -> T {
    let done = scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace);
            work()
        });
        thread.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves this thread into a network namespace, for good.
fn enter(namespace: &Path) {
    let file = File::open(namespace).expect("the lab's namespace");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
}

fn script(name: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(name));
    command.env("LAB_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/lab-guest"));
    command
}

fn result(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{}\n{} ({})", text(&output.stdout), text(&output.stderr), output.status).trim().to_owned())
}
