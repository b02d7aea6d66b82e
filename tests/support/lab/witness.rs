//! Who says what runs where: libvirt, and past it the processes themselves.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::scope;
use std::time::Duration;

use serde_json::Value;

use super::{Lab, wait};

/// A host that does not answer for this long does not answer: a busy one takes seconds.
const SOON: Duration = Duration::from_secs(30);

/// A process that has a guest's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// Where it is.
    pub host: usize,
    /// Outside of the host.
    pub pid: u32,
    /// The guest's.
    pub uuid: String,
    /// By its own word: `running`, `paused`, `inmigrate`, `postmigrate`, `finish-migrate`, …; or `silent`.
    pub status: String,
}

pub(super) struct Process {
    pub pid: u32,
    pub words: Vec<String>,
}

impl Lab {
    /// The hosts whose libvirt says that it runs this guest. A host that is not reached says nothing.
    pub fn running_on(&self, name: &str) -> Vec<usize> {
        let lists = scope(|scope| {
            let ask = |host| self.virsh_within(SOON, host, &["list", "--name", "--state-running"]);
            let threads: Vec<_> = (1..=self.hosts).map(|host| (host, scope.spawn(move || ask(host)))).collect();
            threads.into_iter().map(|(host, thread)| (host, thread.join())).collect::<Vec<_>>()
        });
        let runs =
            |list: &Result<String, String>| list.as_ref().is_ok_and(|list| list.lines().any(|line| line == name));
        lists.into_iter().filter(|(_, list)| list.as_ref().is_ok_and(runs)).map(|(host, _)| host).collect()
    }

    /// The hosts where a process really runs this guest, by its own word: past libvirt, and also behind a cut cable.
    pub fn executing_on(&self, name: &str) -> Vec<usize> {
        self.qemus(name).into_iter().filter(|qemu| qemu.status == "running").map(|qemu| qemu.host).collect()
    }

    /// All processes of guests with this name, waiting and running ones.
    pub fn qemus(&self, name: &str) -> Vec<Qemu> {
        let mut found = Vec::new();
        for host in 1..=self.hosts {
            for process in self.processes(host).into_iter().filter(|process| is_qemu(process, name)) {
                let status = status(process.pid, name).unwrap_or_else(|| "silent".to_owned());
                let uuid = process.words.iter().skip_while(|word| *word != "-uuid").nth(1).cloned().unwrap_or_default();
                found.push(Qemu { host, pid: process.pid, uuid, status });
            }
        }
        found
    }

    pub(super) fn qemus_on(&self, host: usize, name: &str) -> Vec<u32> {
        let processes = self.processes(host).into_iter();
        processes.filter(|process| is_qemu(process, name)).map(|process| process.pid).collect()
    }

    /// How much memory the migration of a guest has sent so far, in bytes: `None` without one, 0 while it prepares.
    pub fn sent(&self, host: usize, name: &str) -> Option<u64> {
        let stats = self.virsh_within(SOON, host, &["domjobinfo", name, "--rawstats"]).ok()?;
        let value = |key: &str| stats.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")?.parse().ok());
        // Type 0 is no job.
        value("Job type").filter(|kind| *kind != 0).map(|_| value("memory_processed").unwrap_or(0))
    }

    /// Returns when a migration of this guest, from this host, has sent some memory and not ended.
    pub fn await_move(&self, host: usize, name: &str) {
        wait("a migration is under way", || self.sent(host, name).filter(|bytes| *bytes > 0));
    }

    /// The processes of a host, as seen from outside.
    pub(super) fn processes(&self, host: usize) -> Vec<Process> {
        let holder = fs::read_to_string(self.folder().join(format!("host{host}/holder"))).unwrap_or_default();
        let holder = holder.split(' ').next().unwrap_or_default();
        let Ok(own) = fs::read_link(format!("/proc/{holder}/ns/pid_for_children")) else { return Vec::new() };
        let pids = fs::read_dir("/proc").expect("a proc").flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let inside = pids.filter(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|space| space == own));
        inside.filter_map(process).collect()
    }
}

fn process(pid: u32) -> Option<Process> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    Some(Process { pid, words: words.collect() })
}

/// Also while libvirt still prepares it; not a helper of QEMU's.
fn is_qemu(process: &Process, name: &str) -> bool {
    let guest = format!("guest={name},");
    process.words.first().is_some_and(|program| program.contains("qemu-system"))
        && process.words.iter().any(|word| word.starts_with(&guest))
}

/// What QEMU itself says that it does.
fn status(pid: u32, name: &str) -> Option<String> {
    let path = format!("/proc/{pid}/root/run/guest-{name}.qmp");
    let mut stream = UnixStream::connect(Path::new(&path)).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    stream.write_all(b"{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-status\"}").ok()?;
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut answers = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    // Greeting, answer to the first, and events in between.
    answers.find_map(|answer| Some(answer["return"]["status"].as_str()?.to_owned()))
}
