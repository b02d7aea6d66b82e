//! A `migrate` that outlived the whimbrel that started it is found again: its environment says whose it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, geteuid};
use tokio::net::unix::pipe::{OpenOptions, Receiver};

use super::Move;
use super::process::Streams;

/// In the environment of a `migrate`: request, instant of its start, VM, source, destination.
pub(super) const NAME: &str = "WHIMBREL_MIGRATION";

/// Looks at a process that seems to have no environment.
const EXEC_LOOKS: usize = 3;

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
    mark: String,
}

impl Stray {
    /// Whether it still runs.
    pub(super) fn is_there(&self) -> bool {
        mark_of(self.group.as_raw_pid()).is_some_and(|mark| mark == self.mark)
    }
}

/// Looks for a migration's command among the processes of this user.
pub(super) fn find(way: &Move) -> Option<Stray> {
    let entries = fs::read_dir("/proc").ok()?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, mark_of(pid)?))).find_map(|(pid, mark)| {
        let started = started(&mark, way)?;
        let streams = Streams::new(stream(pid), None);
        Some(Stray { group: Pid::from_raw(pid)?, age: since_epoch().saturating_sub(started), streams, mark })
    })
}

/// When a migration of this mark was started, if it is this one.
fn started(mark: &str, way: &Move) -> Option<Duration> {
    let parts: Vec<&str> = mark.split('\t').collect();
    let [id, started, vm, from, to] = parts[..] else { return None };
    let same = id.parse() == Ok(way.id.0) && vm == way.vm && from == way.from && to == way.to;
    started.parse().ok().filter(|_| same).map(Duration::from_secs)
}

/// A process's mark, if it is ours and leads the group that it was started in. What it started itself inherits the mark.
fn mark_of(pid: i32) -> Option<String> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    if fs::metadata(&folder).ok()?.uid() != geteuid().as_raw() {
        return None;
    }
    // While a process becomes another program its environment is empty for a moment.
    let environment =
        (0..EXEC_LOOKS).find_map(|_| fs::read(folder.join("environ")).ok().filter(|read| !read.is_empty()))?;
    let prefix = format!("{NAME}=");
    let mark = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
    let leads = leads_its_group(pid, &fs::read_to_string(folder.join("stat")).ok()?);
    String::from_utf8(mark.to_vec()).ok().filter(|_| leads)
}

/// Whether a process leads a group, but no session: what went into the background by itself leads both.
fn leads_its_group(pid: i32, stat: &str) -> bool {
    // The name before it may hold anything, brackets too.
    let Some((_, after_name)) = stat.rsplit_once(')') else { return false };
    let mut fields = after_name.split_whitespace();
    let (state, group, session) = (fields.next(), fields.nth(1), fields.next());
    let is = |field: Option<&str>| field.and_then(|field| field.parse().ok()) == Some(pid);
    !matches!(state, None | Some("Z" | "X")) && is(group) && !is(session)
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
        assert!(leads_its_group(42, "42 (a) b) S 1 42 7 0"));
        assert!(!leads_its_group(42, "42 (sh) Z 1 42 7 0"), "a zombie");
        assert!(!leads_its_group(42, "42 (ssh) S 1 42 42 0"), "it went into the background");
        assert!(!leads_its_group(42, "42 (sh) S 1 41 7 0"), "a child of it");
        assert!(!leads_its_group(42, "rubbish"));
    }
}
