//! Files in a folder, local or mounted.
//!
//! System calls block, and on a dead mount for ever: each runs on a thread of its own with a deadline, and few at a time. Below
//! the root no link is followed: who may add a page must not make a worker read or write elsewhere.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Certainty, EntryKind, FolderEntry, Trouble};
use crate::core::cluster::Timestamp;
use crate::core::format::{one_line, tame};

/// Calls at a time. Those that hang keep their place.
const CALLS: usize = 16;
/// The longest reason of the system that is shown, in characters.
const SHOWN: usize = 80;

/// A folder.
pub struct Dir {
    root: Arc<PathBuf>,
    calls: Arc<Semaphore>,
    deadline: Duration,
}

impl Dir {
    pub fn new(root: PathBuf, deadline: Duration) -> Self {
        Self { root: Arc::new(root), calls: Arc::new(Semaphore::new(CALLS)), deadline }
    }

    pub async fn list(&self, folder: &str, in_full: bool) -> Result<Option<Vec<FolderEntry>>, Trouble> {
        let owned = folder.to_owned();
        self.read_only(folder, move |root| list(root, &owned, in_full)).await
    }

    pub async fn look(&self, path: &str) -> Result<Option<FolderEntry>, Trouble> {
        let owned = path.to_owned();
        self.read_only(path, move |root| {
            let (parent, name) = parent_of(root, &owned)?;
            let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(entry(name.to_owned(), &stat))
        })
        .await
    }

    pub async fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Trouble> {
        let owned = path.to_owned();
        self.read_only(path, move |root| read(root, &owned, most)).await
    }

    pub async fn write(&self, path: &str, bytes: Vec<u8>, unfinished: &str, in_place: bool) -> Certainty {
        let (owned, unfinished) = (path.to_owned(), unfinished.to_owned());
        self.change(path, move |root| {
            let (folder, _) = parent_of(root, &owned)?;
            let (scratch, temporary) = parent_of(root, &unfinished)?;
            let written = write(&scratch, temporary, &bytes).and_then(|()| {
                if in_place {
                    // By the whole path: a claim that was moved away in this instant must not get it.
                    rustix::fs::renameat(root, unfinished.as_str(), root, owned.as_str())?;
                } else {
                    publish(root, &unfinished, &owned)?;
                }
                sync(&folder)
            });
            if written.is_err() {
                let _ = rustix::fs::unlinkat(&scratch, temporary, AtFlags::empty());
            }
            written
        })
        .await
    }

    pub async fn make(&self, folder: &str) -> Certainty {
        let owned = folder.to_owned();
        // The root is made with the first folder in it, and not again while it is in use: a worker must not go on in an empty
        // folder where its queue was.
        let open = if folder.contains('/') { open_root } else { open_or_make_root };
        let made = self.run(open, move |root| {
            let (parent, name) = parent_of(root, &owned)?;
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o777))?;
            sync(&parent)
        });
        self.certainty(folder, made.await)
    }

    pub async fn rename(&self, from: &str, to: &str) -> Certainty {
        let (owned, to) = (from.to_owned(), to.to_owned());
        self.change(from, move |root| {
            let (old, _) = parent_of(root, &owned)?;
            let (new, _) = parent_of(root, &to)?;
            rename_to_free(root, &owned, &to)?;
            sync(&new)?;
            sync(&old)
        })
        .await
    }

    pub async fn remove(&self, path: &str) -> Result<(), Trouble> {
        let owned = path.to_owned();
        let removed = self.read_only(path, move |root| {
            let (parent, name) = parent_of(root, &owned)?;
            remove(&parent, name)?;
            sync(&parent)
        });
        removed.await.map(|_| ())
    }

    /// Runs calls that may simply be made again. What is not there is `None`.
    async fn read_only<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(&OwnedFd) -> Result<T, Errno> + Send + 'static,
    ) -> Result<Option<T>, Trouble> {
        match self.run(open_root, work).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(Errno::NOENT)) => Ok(None),
            Ok(Err(errno)) => Err(self.trouble(path, errno)),
            Err(trouble) => Err(trouble),
        }
    }

    /// Runs calls that change something once.
    async fn change(&self, path: &str, work: impl FnOnce(&OwnedFd) -> Result<(), Errno> + Send + 'static) -> Certainty {
        self.certainty(path, self.run(open_root, work).await)
    }

    fn certainty(&self, path: &str, changed: Result<Result<(), Errno>, Trouble>) -> Certainty {
        match changed {
            Ok(Ok(())) => Certainty::Yes,
            // The call has ended, and nothing comes late. A network file system may have lost the answer to the first of two
            // tries: callers look whether it was done.
            Ok(Err(errno)) => match self.trouble(path, errno) {
                refused @ Trouble::Refused(_) => Certainty::No(refused),
                unreachable @ Trouble::Unreachable(_) => Certainty::Unknown(unreachable),
            },
            Err(trouble) => Certainty::Unknown(trouble),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        open: fn(&Path) -> Result<OwnedFd, Errno>,
        work: impl FnOnce(&OwnedFd) -> Result<T, Errno> + Send + 'static,
    ) -> Result<Result<T, Errno>, Trouble> {
        let (root, calls) = (Arc::clone(&self.root), Arc::clone(&self.calls));
        let call = async {
            let Ok(place) = calls.acquire_owned().await else { return None };
            let call = tokio::task::spawn_blocking(move || {
                let answer = open(&root).map(|root| work(&root));
                drop(place);
                answer
            });
            call.await.ok()
        };
        match timeout(self.deadline, call).await {
            Ok(Some(Ok(answer))) => Ok(answer),
            // It is no empty queue: perhaps what holds it is not mounted.
            Ok(Some(Err(Errno::NOENT))) => Err(Trouble::Unreachable(format!(
                "the folder {} is not there: make it, or mount what holds it",
                self.shown()
            ))),
            Ok(Some(Err(errno))) => Ok(Err(errno)),
            Ok(None) => Err(Trouble::Unreachable("a call to the system was broken off".to_owned())),
            Err(_) => Err(Trouble::Unreachable(format!(
                "{} does not answer within {} s: look at its disk or its mount",
                self.shown(),
                self.deadline.as_secs_f64()
            ))),
        }
    }

    fn trouble(&self, path: &str, errno: Errno) -> Trouble {
        let place = format!("{}/{}", self.shown(), tame(path));
        match errno {
            Errno::NOENT => Trouble::Refused(format!("{place} is not there")),
            Errno::EXIST | Errno::NOTEMPTY => Trouble::Refused(format!("{place} or its target is there already")),
            Errno::ACCESS | Errno::PERM => {
                Trouble::Refused(format!("no right to {place}: give it to the user who runs this"))
            }
            Errno::ROFS => Trouble::Refused(format!("{place} lies on a file system that is read-only")),
            Errno::XDEV => Trouble::Refused(format!(
                "{place} lies on another file system than the rest: open/, claims/ and done/ must be on one"
            )),
            Errno::LOOP | Errno::NOTDIR => Trouble::Refused(format!(
                "{place} is a link, or leads through one or through a file: links are not followed"
            )),
            Errno::FBIG => Trouble::Refused(format!("{place} is too long")),
            Errno::NOSPC | Errno::DQUOT => Trouble::Unreachable(format!("no room on the file system of {place}")),
            other => {
                let reason = io::Error::from(other).to_string();
                Trouble::Unreachable(format!("{place}: {}", one_line(&reason, SHOWN)))
            }
        }
    }

    fn shown(&self) -> String {
        tame(&self.root.display().to_string()).into_owned()
    }
}

fn open_root(root: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The folder that holds the root must be there.
fn open_or_make_root(root: &Path) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdir(root, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => open_root(root),
        Err(errno) => open_root(root).map_err(|_| errno),
    }
}

/// The folder of a path below the root, and the last part of the path. No link is followed.
fn parent_of<'a>(root: &OwnedFd, path: &'a str) -> Result<(OwnedFd, &'a str), Errno> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    Ok((open_folder(root, folders)?, name))
}

fn open_folder(root: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(root, ".", flags, Mode::empty())?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        folder = rustix::fs::openat(&folder, part, flags, Mode::empty())?;
    }
    Ok(folder)
}

fn list(root: &OwnedFd, folder: &str, in_full: bool) -> Result<Vec<FolderEntry>, Errno> {
    let folder = open_folder(root, folder)?;
    let mut entries = Vec::new();
    for found in rustix::fs::Dir::read_from(&folder)? {
        let found = found?;
        let bytes = found.file_name().to_bytes();
        if matches!(bytes, b"." | b"..") {
            continue;
        }
        let Ok(name) = std::str::from_utf8(bytes) else {
            let name = OsStr::from_bytes(bytes).to_string_lossy().into_owned();
            let kind = EntryKind::Other("its name is not UTF-8: give it another one");
            entries.push(FolderEntry { name, kind, bytes: 0, changed: None, tag: None });
            continue;
        };
        if !in_full {
            entries.push(FolderEntry {
                name: name.to_owned(),
                kind: EntryKind::File,
                bytes: 0,
                changed: None,
                tag: None,
            });
            continue;
        }
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => entries.push(entry(name.to_owned(), &stat)),
            // It was moved away meanwhile.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(entries)
}

fn entry(name: String, stat: &Stat) -> FolderEntry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Folder,
        FileType::Symlink => EntryKind::Other("it is a link, and links are not followed: put the file itself here"),
        _ => EntryKind::Other("it is neither a file nor a folder"),
    };
    let millis = stat.st_mtime * 1_000 + stat.st_mtime_nsec as i64 / 1_000_000;
    let bytes = if kind == EntryKind::File { stat.st_size.unsigned_abs() } else { 0 };
    FolderEntry { name, kind, bytes, changed: Some(Timestamp::from_millis(millis)), tag: None }
}

fn read(root: &OwnedFd, path: &str, most: usize) -> Result<Vec<u8>, Errno> {
    let (parent, name) = parent_of(root, path)?;
    // A pipe must not keep the call waiting.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::NOTDIR);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(most) + 1);
    File::from(file).take(most as u64 + 1).read_to_end(&mut bytes).map_err(errno_of)?;
    if bytes.len() > most { Err(Errno::FBIG) } else { Ok(bytes) }
}

/// Writes a new file to the disk.
fn write(folder: &OwnedFd, name: &str, bytes: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o666))?);
    file.write_all(bytes).and_then(|()| file.sync_data()).map_err(errno_of)
}

/// Writes what a folder lists to the disk. A file system that has no such call does it by itself, or never.
fn sync(folder: &OwnedFd) -> Result<(), Errno> {
    match rustix::fs::fsync(folder) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        synced => synced,
    }
}

/// Gives a new file its name, which others may be taking in the same instant.
fn publish(root: &OwnedFd, unfinished: &str, path: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(root, unfinished, root, path, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(root, unfinished, root, path, AtFlags::empty())?;
            rustix::fs::unlinkat(root, unfinished, AtFlags::empty())
        }
        renamed => renamed,
    }
}

/// Renames to a name that must not be taken. By whole paths, so that a folder that was moved away in this instant is not found.
fn rename_to_free(root: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(root, from, root, to, RenameFlags::NOREPLACE) {
        // Not every file system knows this. The names to which folders and pages are moved are unique anyway.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            match rustix::fs::statat(root, to, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => rustix::fs::renameat(root, from, root, to),
                Err(errno) => Err(errno),
            }
        }
        renamed => renamed,
    }
}

/// Removes a file or a folder with all that is in it. What is not there is removed.
fn remove(parent: &OwnedFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let folder = open_folder(parent, name)?;
    let names: Result<Vec<_>, Errno> = rustix::fs::Dir::read_from(&folder)?
        .map(|found| found.map(|found| found.file_name().to_owned()))
        .filter(|name| !matches!(name.as_ref().map(|name| name.to_bytes()), Ok(b"." | b"..")))
        .collect();
    for name in names? {
        match name.to_str() {
            Ok(name) => remove(&folder, name)?,
            Err(_) => rustix::fs::unlinkat(&folder, &name, AtFlags::empty())?,
        }
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

fn errno_of(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
