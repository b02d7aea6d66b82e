//! Which migrations are under way, in a small file of its own: each is on the disk before it starts.
//!
//! The file has one JSON object a line and only grows; what has ended is left out when it is opened next, or when it has
//! become large. It does not depend on the history: a full, damaged or switched off history stops no migration.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::core::cluster::{RequestId, Timestamp};
use crate::core::engine::InFlight;

/// A file of this many bytes is written anew, without what has ended.
const LARGE: u64 = 256 << 10;

/// Why the journal cannot be had or written: the file, what is wrong, and the remedy.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another engine has it.
    #[error(
        "{}: in use by another whimbrel ({owner})\nhelp: stop that one: two would both move the VMs",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who has it: process and config.
        owner: String,
    },
    /// What it says cannot be read.
    #[error(
        "{}: line {line} cannot be read, so no migration starts\n\
         help: see where the VMs in it run, move the file aside, and start whimbrel again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// It has migrations under way that this engine does not know of.
    #[error(
        "{}: has migrations of an earlier whimbrel under way, so no migration starts\n\
         help: start whimbrel again, which follows them",
        .0.display()
    )]
    Unknown(PathBuf),
    /// The file was removed or replaced.
    #[error(
        "{}: removed or replaced while it was in use, so no migration starts\n\
         help: put it back, or start whimbrel again, which makes a new one",
        .0.display()
    )]
    Gone(PathBuf),
    /// The system said no.
    #[error(
        "{}: {why}, so no migration starts\n\
         help: give this user room and the right to write there; the next migration tries again",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

impl JournalError {
    /// What is wrong in a few words, without file and remedy.
    pub fn short(&self) -> String {
        match self {
            Self::InUse { .. } => "another whimbrel has the journal".to_owned(),
            Self::Damaged { .. } => "the journal cannot be read".to_owned(),
            Self::Unknown(_) => "the journal has migrations of an earlier whimbrel".to_owned(),
            Self::Gone(_) => "the journal was removed".to_owned(),
            Self::Io { why, .. } => format!("the journal cannot be written: {why}"),
        }
    }
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JournalLine {
    /// An engine has opened it.
    Opened { pid: u32, config: String },
    /// A migration is about to start.
    Begin { at: i64, migration: InFlight },
    /// It has ended.
    Settle { id: RequestId, outcome: String },
}

/// The migrations under way, oldest first, and the file that has them. One engine has it at a time.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in it.
    len: u64,
    owner: String,
    open: Vec<(Timestamp, InFlight)>,
}

impl Journal {
    /// Opens a journal, with its folder (0700) and file (0600) where they are missing. `owner`: the config it is for.
    ///
    /// # Errors
    /// Another engine has it, it cannot be read, or it cannot be written.
    pub fn open(path: &Path, owner: &str) -> Result<Self, JournalError> {
        let refused = |why: io::Error| io_error(path, &why);
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
        }
        let mut file = lock(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(refused)?;
        let open = read(path, &text)?;
        let mut journal = Self { path: path.to_owned(), file, len: 0, owner: owner.to_owned(), open };
        journal.rewrite()?;
        Ok(journal)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The migrations that have begun and not ended, oldest first.
    pub fn under_way(&self) -> impl Iterator<Item = &InFlight> {
        self.open.iter().map(|(_, migration)| migration)
    }

    /// Writes down a migration that is about to start: it is on the disk when this returns.
    ///
    /// # Errors
    /// It could not be written, and is not in the journal.
    pub fn begin(&mut self, at: Timestamp, migration: InFlight) -> Result<(), JournalError> {
        let line = JournalLine::Begin { at: at.millis(), migration: migration.clone() };
        self.append(&line)?;
        if let Err(why) = self.file.sync_data() {
            // Whether it is on the disk is not known: it does not start, and must not be followed either.
            let _ = self.file.set_len(self.len);
            return Err(io_error(&self.path, &why));
        }
        self.len = self.file.metadata().map_or(self.len, |file| file.len());
        self.open.push((at, migration));
        Ok(())
    }

    /// Writes down that a migration has ended. A crash may lose this: then both hosts are asked how it ended.
    ///
    /// # Errors
    /// It could not be written, and is still under way for the next engine.
    pub fn settle(&mut self, id: RequestId, outcome: &str) -> Result<(), JournalError> {
        if !self.open.iter().any(|(_, migration)| migration.route.id == id) {
            return Ok(());
        }
        self.append(&JournalLine::Settle { id, outcome: outcome.to_owned() })?;
        self.len = self.file.metadata().map_or(self.len, |file| file.len());
        self.open.retain(|(_, migration)| migration.route.id != id);
        if self.len > LARGE { self.rewrite() } else { Ok(()) }
    }

    fn append(&mut self, line: &JournalLine) -> Result<(), JournalError> {
        let same = identity(&self.path).is_ok_and(|there| self.file.metadata().is_ok_and(|ours| same(&there, &ours)));
        if !same {
            return Err(JournalError::Gone(self.path.clone()));
        }
        let written = self.file.write_all(&bytes(line));
        written.map_err(|why| {
            // Half a line would make the next one unreadable.
            let _ = self.file.set_len(self.len);
            io_error(&self.path, &why)
        })
    }

    /// Writes the file anew with what is under way, whole or not at all.
    fn rewrite(&mut self) -> Result<(), JournalError> {
        let refused = |why: io::Error| io_error(&self.path, &why);
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let mut text = bytes(&JournalLine::Opened { pid: std::process::id(), config: self.owner.clone() });
        for (at, migration) in &self.open {
            text.extend(bytes(&JournalLine::Begin { at: at.millis(), migration: migration.clone() }));
        }
        let whole = write_whole(Path::new(&new), &self.path, &text).map_err(refused)?;
        (self.file, self.len) = (whole, text.len() as u64);
        Ok(())
    }
}

/// Opens the file and locks it. The file may be replaced by its owner in between: then the new one is locked.
fn lock(path: &Path) -> Result<File, JournalError> {
    let refused = |why: io::Error| io_error(path, &why);
    loop {
        let options = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        let mut file = options.map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // It is only to name the owner.
                let _ = file.read_to_string(&mut text);
                return Err(JournalError::InUse { path: path.to_owned(), owner: owner(&text) });
            }
            Err(TryLockError::Error(why)) => return Err(refused(why)),
        }
        let ours = file.metadata().map_err(refused)?;
        if identity(path).is_ok_and(|there| same(&there, &ours)) {
            return Ok(file);
        }
    }
}

/// A new file takes the place of the old one, locked before anybody can see it.
fn write_whole(new: &Path, path: &Path, text: &[u8]) -> io::Result<File> {
    let _ = std::fs::remove_file(new);
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(new)?;
    file.lock()?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
    Ok(file)
}

/// What has begun and not ended. A last line without its end was never acknowledged.
fn read(path: &Path, text: &str) -> Result<Vec<(Timestamp, InFlight)>, JournalError> {
    let mut open: Vec<(Timestamp, InFlight)> = Vec::new();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    for (line, n) in text[..whole].lines().zip(1..) {
        match serde_json::from_str(line) {
            Ok(JournalLine::Opened { .. }) => {}
            Ok(JournalLine::Begin { at, migration }) => {
                // A VM moves once at a time: an earlier migration of it is over, though its end was not written down. The VM
                // may be on neither of its hosts.
                open.retain(|(_, earlier)| earlier.route.vm != migration.route.vm);
                open.push((Timestamp::from_millis(at), migration));
            }
            Ok(JournalLine::Settle { id, .. }) => open.retain(|(_, migration)| migration.route.id != id),
            Err(_) => return Err(JournalError::Damaged { path: path.to_owned(), line: n }),
        }
    }
    Ok(open)
}

fn owner(text: &str) -> String {
    let mut opened = text.lines().filter_map(|line| match serde_json::from_str(line) {
        Ok(JournalLine::Opened { pid, config }) => Some(format!("pid {pid}, config {config}")),
        _ => None,
    });
    opened.next_back().unwrap_or_else(|| "it does not say which".to_owned())
}

fn bytes(line: &JournalLine) -> Vec<u8> {
    // Names and numbers: there is nothing in it that JSON cannot say.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn identity(path: &Path) -> io::Result<std::fs::Metadata> {
    std::fs::metadata(path)
}

fn same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn io_error(path: &Path, why: &io::Error) -> JournalError {
    JournalError::Io { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_secs(1_241_613_600);

    /// Each of another VM.
    fn migration(id: u64) -> InFlight {
        of(&format!("nii{id}"), id)
    }

    fn of(vm: &str, id: u64) -> InFlight {
        let text = format!(r#"{{"id":{id},"vm":"{vm}","from":"mln1","to":"mln2","action":"move","by":"policy"}}"#);
        serde_json::from_str(&text).expect("a migration")
    }

    fn ids(journal: &Journal) -> Vec<u64> {
        journal.under_way().map(|migration| migration.route.id.0).collect()
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state/a.journal");
        (folder, path)
    }

    #[test]
    fn what_has_begun_and_not_ended_is_there_for_the_next_engine() {
        let (_folder, path) = folder();
        let mut journal = Journal::open(&path, "a.toml").expect("a journal");
        for id in [1, 2, 3] {
            journal.begin(AT, migration(id)).expect("room");
        }
        journal.settle(RequestId(2), "confirmed").expect("room");
        drop(journal);
        let mut journal = Journal::open(&path, "a.toml").expect("a journal");
        assert_eq!(ids(&journal), [1, 3]);
        assert_eq!(journal.under_way().next(), Some(&migration(1)), "with everything that is known of it");
        for id in [1, 3] {
            journal.settle(RequestId(id), "failed").expect("room");
        }
        drop(journal);
        assert_eq!(ids(&Journal::open(&path, "a.toml").expect("a journal")), [0; 0]);
    }

    #[test]
    fn a_migration_whose_end_is_missing_is_over_when_its_vm_has_moved_again() {
        let (_folder, path) = folder();
        let mut journal = Journal::open(&path, "a.toml").expect("a journal");
        for (vm, id) in [("nii1", 1), ("nii2", 2), ("nii1", 3)] {
            journal.begin(AT, of(vm, id)).expect("room");
        }
        drop(journal);
        assert_eq!(ids(&Journal::open(&path, "a.toml").expect("a journal")), [2, 3]);
    }

    #[test]
    fn half_a_line_was_never_acknowledged_and_a_damaged_one_keeps_everything_from_starting() {
        let (_folder, path) = folder();
        let mut journal = Journal::open(&path, "a.toml").expect("a journal");
        journal.begin(AT, migration(1)).expect("room");
        drop(journal);
        let whole = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(&path, format!("{whole}{{\"begin\":{{\"at\":12")).expect("room");
        assert_eq!(ids(&Journal::open(&path, "a.toml").expect("a journal")), [1]);
        std::fs::write(&path, format!("{whole}what?\n")).expect("room");
        let said = Journal::open(&path, "a.toml").expect_err("damage").to_string();
        assert!(said.contains("a.journal: line 3 cannot be read") && said.contains("\nhelp: "), "{said}");
    }

    #[test]
    fn the_second_engine_is_told_of_the_first_also_after_the_file_was_written_anew() {
        let (_folder, path) = folder();
        let mut first = Journal::open(&path, "/etc/a.toml").expect("nobody has it");
        first.rewrite().expect("room");
        let said = Journal::open(&path, "/etc/a.toml").expect_err("the first has it").to_string();
        let owner = format!("pid {}, config /etc/a.toml", std::process::id());
        assert!(said.contains("in use by another whimbrel") && said.contains(&owner), "{said}");
        drop(first);
        Journal::open(&path, "/etc/a.toml").expect("it is free");
    }

    #[test]
    fn a_file_that_was_removed_takes_nothing_more() {
        let (_folder, path) = folder();
        let mut journal = Journal::open(&path, "a.toml").expect("a journal");
        std::fs::remove_file(&path).expect("a file");
        assert!(matches!(journal.begin(AT, migration(1)), Err(JournalError::Gone(_))));
        assert_eq!(ids(&journal), [0; 0]);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let (_folder, path) = folder();
        let mut journal = Journal::open(&path, "a.toml").expect("a journal");
        journal.begin(AT, migration(1)).expect("room");
        journal.begin(AT, migration(2)).expect("room");
        let long = bytes(&JournalLine::Opened { pid: 1, config: "x".repeat(LARGE as usize) });
        journal.file.write_all(&long).expect("room");
        journal.settle(RequestId(1), "confirmed").expect("room");
        assert!(std::fs::metadata(&path).expect("a file").len() < LARGE);
        drop(journal);
        assert_eq!(ids(&Journal::open(&path, "a.toml").expect("a journal")), [2]);
    }
}
