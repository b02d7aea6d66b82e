//! Reports when the config file may have changed, in whatever way.
//!
//! It watches folders and not files, because editors and deployments replace the file. It watches the folders that hold the file or
//! a link on the path to it. Some file systems report nothing, so it also looks every few seconds.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::bounded;
use crate::edge::supervisor::{fault, supervise};

/// The times of a watch.
#[derive(Debug, Clone, Copy)]
struct WatchPace {
    /// A change is reported when nothing has happened for so long,
    quiet: Duration,
    /// but not later than this after the first event.
    most: Duration,
    /// The interval of looks without events.
    look: Duration,
}

const PACE: WatchPace =
    WatchPace { quiet: Duration::from_millis(100), most: Duration::from_secs(1), look: Duration::from_secs(5) };
/// With more links than this on the path, it stops.
const MOST_LINKS: usize = 40;

/// Watches until it is dropped. The drop waits for the end of its thread.
#[derive(Debug)]
pub struct Watch {
    signals: SyncSender<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Signal {
    Touched,
    Stop,
}

/// Calls `tell` on another thread each time the file was written or replaced: also when it disappears or appears, when its bytes are
/// the same as before, and after whimbrel's own save. Earlier changes are not reported, so watch first and read then. `tell` must
/// not drop the watch; if it returns `false`, it is called again a few seconds later. `report` gets one line for an operator
/// when the watch fails and begins again.
///
/// # Errors
/// No thread could be started.
pub fn watch(
    path: &Path,
    tell: impl Fn() -> bool + Send + 'static,
    report: impl Fn(String) + Send + 'static,
) -> io::Result<Watch> {
    watch_with(path, PACE, true, tell, report)
}

fn watch_with(
    path: &Path,
    pace: WatchPace,
    reports: bool,
    tell: impl Fn() -> bool + Send + 'static,
    report: impl Fn(String) + Send + 'static,
) -> io::Result<Watch> {
    let (signals, inbox) = sync_channel(16);
    let touched = signals.clone();
    let notice = move |event: notify::Result<Event>| {
        if event.map_or(true, |event| is_change(event.kind)) {
            // If the channel is full, the thread looks anyway.
            let _ = touched.try_send(Signal::Touched);
        }
    };
    // Without a watcher (the system's watches may be used up) the look every few seconds remains.
    let watcher = if reports { notify::recommended_watcher(notice).ok() } else { None };
    let path = std::path::absolute(path)?;
    let mut aim = Aim { watcher, folders: HashMap::new(), path };
    aim.renew();
    let mut known = Known::of(&aim.path);
    let work =
        move || supervise("the watch of the config file", report, || run(&inbox, pace, &mut aim, &mut known, &tell));
    let thread = thread::Builder::new().name("config watch".to_owned()).spawn(work)?;
    Ok(Watch { signals, thread: Some(thread) })
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread ends also when the channel is closed.
        let _ = self.signals.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A read is not a change; the look itself reads.
fn is_change(kind: EventKind) -> bool {
    !kind.is_access() || kind == EventKind::Access(AccessKind::Close(AccessMode::Write))
}

fn run(inbox: &Receiver<Signal>, pace: WatchPace, aim: &mut Aim, known: &mut Known, tell: &impl Fn() -> bool) {
    loop {
        let touched = match inbox.recv_timeout(pace.look) {
            Ok(Signal::Touched) if settled(inbox, pace) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
        };
        fault("config watch");
        // Before the look, so that no change is missed between the two.
        aim.renew();
        if !touched && Stamp::of(&aim.path) == known.stamp {
            continue;
        }
        let now = Known::of(&aim.path);
        // The same bytes may have been others meanwhile, and somebody may have read those.
        let changed = now.content != known.content || now.stamp != known.stamp;
        // A change that nobody was told of is seen again at the next look.
        if !changed || tell() {
            *known = now;
        }
    }
}

/// Waits until nothing has happened for a while. False: the watch ends.
fn settled(inbox: &Receiver<Signal>, pace: WatchPace) -> bool {
    let end = Instant::now() + pace.most;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match inbox.recv_timeout(pace.quiet.min(left)) {
            Ok(Signal::Touched) if !left.is_zero() => {}
            Ok(Signal::Touched) | Err(RecvTimeoutError::Timeout) => return true,
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// What is known of a file without reading it.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    length: u64,
    inode: (u64, u64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let m = fs::metadata(path).ok()?;
        Some(Self {
            modified: (m.mtime(), m.mtime_nsec()),
            changed: (m.ctime(), m.ctime_nsec()),
            length: m.len(),
            inode: (m.dev(), m.ino()),
        })
    }
}

/// What was there at the last look.
struct Known {
    stamp: Option<Stamp>,
    /// A hash of its bytes; `None`: it cannot be read.
    content: Option<u64>,
}

impl Known {
    fn of(path: &Path) -> Self {
        // The stamp first: if the file changes while it is read, the next stamp differs.
        let stamp = Stamp::of(path);
        let content = bounded(path).ok().map(|bytes| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            hasher.finish()
        });
        Self { stamp, content }
    }
}

/// The folders that are watched, each with its device and inode.
struct Aim {
    watcher: Option<RecommendedWatcher>,
    folders: HashMap<PathBuf, (u64, u64)>,
    path: PathBuf,
}

impl Aim {
    /// Watches the folders on the present path to the file, and no others.
    fn renew(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let identity = |folder: &Path| fs::metadata(folder).ok().map(|m| (m.dev(), m.ino()));
        let wanted: HashMap<PathBuf, (u64, u64)> =
            way(&self.path).into_iter().filter_map(|folder| identity(&folder).map(|id| (folder, id))).collect();
        self.folders.retain(|folder, id| {
            let stays = wanted.get(folder) == Some(id);
            if !stays {
                // A folder that is gone is no longer watched anyway.
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        for (folder, id) in wanted {
            if !self.folders.contains_key(&folder) && watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok() {
                self.folders.insert(folder, id);
            }
        }
    }
}

/// The folders that hold a file and the links on the way to it, without links in their own names. `path` is absolute.
fn way(path: &Path) -> Vec<PathBuf> {
    let (mut at, mut folders, mut links) = (PathBuf::from("/"), Vec::new(), 0);
    let mut rest: Vec<OsString> = steps(path);
    while let Some(step) = rest.pop() {
        if step == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&step);
        match fs::read_link(&next) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                folders.push(at.clone());
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(steps(&target));
            }
            _ if rest.is_empty() => folders.push(at.clone()),
            _ => at = next,
        }
    }
    folders
}

/// The names on a path, the last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let named = path.components().filter(|step| matches!(step, Component::Normal(_) | Component::ParentDir));
    let mut steps: Vec<OsString> = named.map(|step| step.as_os_str().to_owned()).collect();
    steps.reverse();
    steps
}

/// Whether a file has other bytes than the known ones. After whimbrel's own save it has not.
///
/// # Errors
/// Why it cannot be read.
pub fn has_changed(path: &Path, known: &[u8]) -> io::Result<bool> {
    bounded(path).map(|now| now != known)
}

#[cfg(test)]
mod tests;
