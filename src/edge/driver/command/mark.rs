//! A `migrate` that outlived the whimbrel that started it is found again: its environment says whose it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, geteuid};
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::time::{Instant, sleep};

use super::Move;
use super::process::Streams;

/// In the environment of a `migrate`: request, instant of its start, VM, source, destination.
pub(super) const NAME: &str = "WHIMBREL_MIGRATION";

/// A process that is just becoming another program shows no environment. It is looked at again this often.
const EXEC_PACE: Duration = Duration::from_millis(20);
/// No process takes longer to become another program.
const EXEC_PATIENCE: Duration = Duration::from_secs(10);

/// What stands in a migration's environment, when it is started now.
pub(super) fn of(way: &Move) -> String {
    let Move { id, vm, from, to } = way;
    format!("{}\t{}\t{vm}\t{from}\t{to}", id.0, since_epoch().as_secs())
}

/// A `migrate` that runs and is not our child.
pub(super) struct Stray {
    /// It leads this group.
    pub(super) group: Pid,
    /// It has run for so long.
    pub(super) age: Duration,
    /// What it prints, if it is still to be had.
    pub(super) streams: Streams,
    /// The clock tick at which its process began. No two processes of one number share it.
    begun: u64,
}

impl Stray {
    /// Whether it still runs, as this or as another program.
    pub(super) fn is_there(&self) -> bool {
        Stat::of(self.group.as_raw_pid()).is_some_and(|stat| stat.begun == self.begun && !stat.is_dead())
    }
}

/// Looks for a migration's command among the processes of this user. Waits for those that are just becoming another program.
pub(super) async fn find(way: &Move) -> Option<Stray> {
    let last = Instant::now() + EXEC_PATIENCE;
    let entries = fs::read_dir("/proc").ok()?;
    let mut pids: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    loop {
        let mut undecided = Vec::new();
        for pid in pids {
            match look(pid) {
                Look::Marked(mark, begun) => {
                    let Some(started) = started(&mark, way) else { continue };
                    let (streams, age) = (Streams::new(stream(pid), None), since_epoch().saturating_sub(started));
                    return Some(Stray { group: Pid::from_raw(pid)?, age, streams, begun });
                }
                Look::InExec => undecided.push(pid),
                Look::Other => {}
            }
        }
        if undecided.is_empty() || Instant::now() > last {
            return None;
        }
        pids = undecided;
        sleep(EXEC_PACE).await;
    }
}

/// When a migration of this mark was started, if it is this one.
fn started(mark: &str, way: &Move) -> Option<Duration> {
    let parts: Vec<&str> = mark.split('\t').collect();
    let [id, started, vm, from, to] = parts[..] else { return None };
    let same = id.parse() == Ok(way.id.0) && vm == way.vm && from == way.from && to == way.to;
    started.parse().ok().filter(|_| same).map(Duration::from_secs)
}

/// What a look at a process shows.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// It is ours, leads the group that it was started in, and bears this mark. It began at this clock tick.
    Marked(String, u64),
    /// It is just becoming another program: what it is cannot be told yet.
    InExec,
    Other,
}

/// What a process started itself inherits the mark: it does not lead the group.
fn look(pid: i32) -> Look {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let is_ours = || fs::metadata(&folder).is_ok_and(|folder| folder.uid() == geteuid().as_raw());
    let Some(stat) = Stat::of(pid).filter(|stat| !stat.is_dead() && !stat.is_kernels && is_ours()) else {
        return Look::Other;
    };
    let Ok(environment) = fs::read(folder.join("environ")) else { return Look::Other };
    if environment.is_empty() {
        // A program without any environment still has its arguments.
        let is_in_exec = fs::read(folder.join("cmdline")).is_ok_and(|arguments| arguments.is_empty());
        return if is_in_exec { Look::InExec } else { Look::Other };
    }
    let prefix = format!("{NAME}=");
    let mark = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()));
    match mark.and_then(|mark| String::from_utf8(mark.to_vec()).ok()) {
        Some(mark) if stat.leads_its_group(pid) => Look::Marked(mark, stat.begun),
        _ => Look::Other,
    }
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: String,
    group: i32,
    session: i32,
    is_kernels: bool,
    /// In clock ticks since the machine's start.
    begun: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn read(stat: &str) -> Option<Self> {
        /// `PF_KTHREAD`: a thread of the kernel's own.
        const KERNELS: u64 = 0x0020_0000;
        // The name before it may hold anything, brackets too.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            state: (*fields.first()?).to_owned(),
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            is_kernels: number(6)? & KERNELS != 0,
            begun: number(19)?,
        })
    }

    fn is_dead(&self) -> bool {
        matches!(self.state.as_str(), "Z" | "X")
    }

    /// Whether it leads a group, but no session: what went into the background by itself leads both.
    const fn leads_its_group(&self, pid: i32) -> bool {
        self.group == pid && self.session != pid
    }
}

/// What it prints, both streams in one, if that is a pipe.
fn stream(pid: i32) -> Option<Receiver> {
    OpenOptions::new().open_receiver(format!("/proc/{pid}/fd/1")).ok()
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::RequestId;

    fn way() -> Move {
        Move { id: RequestId(7), vm: "nii1".to_owned(), from: "mln1".to_owned(), to: "mln2".to_owned() }
    }

    #[test]
    fn a_mark_is_one_migrations() {
        let mark = of(&way());
        assert!(started(&mark, &way()).is_some());
        assert!(started(&mark, &Move { id: RequestId(8), ..way() }).is_none());
        assert!(started(&mark, &Move { to: "mln3".to_owned(), ..way() }).is_none());
        assert!(started("7\t1", &way()).is_none());
    }

    #[test]
    fn a_group_is_told_from_a_session_and_from_the_dead() {
        let stat = |state: &str, group: i32, session: i32| {
            Stat::read(&format!("42 (a) b) {state} 1 {group} {session} 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 900 0"))
                .unwrap()
        };
        assert!(stat("S", 42, 7).leads_its_group(42) && !stat("S", 42, 7).is_dead());
        assert!(stat("Z", 42, 7).is_dead(), "a zombie");
        assert!(!stat("S", 42, 42).leads_its_group(42), "it went into the background");
        assert!(!stat("S", 41, 7).leads_its_group(42), "a child of it");
        assert_eq!((stat("S", 42, 7).begun, stat("S", 42, 7).is_kernels), (900, false));
        assert_eq!(Stat::read("rubbish"), None);
    }
}
