//! The one connection that writes.

use std::collections::{HashMap, VecDeque};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, OpenFlags, OptionalExtension, Transaction, params};

use super::error::Fault;
use super::lock::{Lock, Owner};
use super::maintenance::MaintenanceSchedule;
use super::schema::{self, Begin};
use super::write::Head;
use super::{HistoryError, Retention};
use crate::core::cluster::{Name, RequestId};

/// Readings of 64 VMs in a head before they are sealed into chunks.
const SEAL_AT: i64 = 128 * 64;
/// A file up to this size is looked over whole when it is opened.
const LOOKED_OVER: u64 = 4 << 20;

/// A history opened for writing: single threaded, synchronous, and the only one on its file.
///
/// What a call has answered with `Ok` is not lost if the process is killed. If the power fails, the last moments may be.
/// A call that fails has changed nothing.
#[derive(Debug)]
pub struct Store {
    pub(super) path: PathBuf,
    /// Device and number of the file that was opened.
    file: (u64, u64),
    pub(super) connection: Connection,
    pub(super) retention: Retention,
    /// Every VM's number, as far as they were needed. Forgotten when a transaction is.
    pub(super) names: HashMap<Name, i64>,
    pub(super) heads: HashMap<i64, Head>,
    /// Buckets to be sealed.
    pub(super) full: VecDeque<i64>,
    pub(super) seal_at: i64,
    pub(super) rounds: MaintenanceSchedule,
    _lock: Lock,
}

impl Store {
    /// Opens a history, with its folders (0700) and file (0600) where they are missing, and brings it to the newest form.
    ///
    /// # Errors
    /// Another engine has it; it is no history, a newer one, or damaged; it cannot be written; no room. The file is left
    /// as it was.
    pub fn open(path: &Path, retention: Retention, owner: &Owner) -> Result<Self, HistoryError> {
        let path = real(path)?;
        let begin = schema::look(&path)?;
        let lock = Lock::take(&path, owner)?;
        let fresh = begin == Begin::Empty;
        if fresh {
            create(&path)?;
        }
        let connection = connect(&path, fresh).map_err(|fault| fault.at(&path))?;
        let file = identity(&path).map_err(|why| HistoryError::io(&path, &why))?;
        Ok(Self {
            file,
            connection,
            retention,
            names: HashMap::new(),
            heads: HashMap::new(),
            full: VecDeque::new(),
            seal_at: SEAL_AT,
            rounds: MaintenanceSchedule::default(),
            _lock: lock,
            path,
        })
    }

    /// The file, links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Settles a migration of [`journal_rows`](Self::journal_rows).
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn settle(&mut self, id: RequestId, outcome: &str) -> Result<(), HistoryError> {
        self.still_there()?;
        let row = "UPDATE journal SET outcome = ?2 WHERE id = ?1 AND outcome IS NULL";
        let done =
            self.connection.prepare_cached(row).and_then(|mut row| row.execute(params![id.0.cast_signed(), outcome]));
        done.map(drop).map_err(|error| Fault::from(error).at(&self.path))
    }

    /// Migrations that an older version, which kept its journal here, wrote down and did not settle, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn journal_rows(&self) -> Result<Vec<String>, HistoryError> {
        let read = || {
            let mut rows = self.connection.prepare("SELECT body FROM journal WHERE outcome IS NULL ORDER BY number")?;
            let rows = rows.query_map([], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| Fault::from(error).at(&self.path))
    }

    /// Writes a migration as an older version did.
    #[cfg(test)]
    pub fn older_journal_row(&self, id: u64, body: &str) {
        let row = "INSERT INTO journal(id, at, vm, origin, target, body) VALUES(?1, 0, 'a', 'b', 'c', ?2)";
        self.connection.execute(row, params![id.cast_signed(), body]).expect("room");
    }

    /// What each VM's engine part asked to be kept across a restart, by name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn kept(&self) -> Result<Vec<(String, String)>, HistoryError> {
        let read = || {
            let rows = "SELECT name, body FROM kept JOIN vm ON vm.id = kept.vm ORDER BY name";
            let mut rows = self.connection.prepare(rows)?;
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| Fault::from(error).at(&self.path))
    }

    /// What the engine itself asked to be kept across a restart.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn kept_cluster(&self) -> Result<Option<String>, HistoryError> {
        let read = self.connection.query_row("SELECT body FROM kept WHERE vm = 0", [], |row| row.get(0)).optional();
        read.map_err(|error| Fault::from(error).at(&self.path))
    }

    /// Writes what is there already: whether the file can be written again.
    pub(super) fn probe(&self) -> Result<(), HistoryError> {
        self.still_there()?;
        let done = self.connection.pragma_update(None, "user_version", schema::NEWEST);
        done.map_err(|error| Fault::from(error).at(&self.path))
    }

    /// A file that was removed or replaced takes what is written without a word, and gives nothing of it back.
    pub(super) fn still_there(&self) -> Result<(), HistoryError> {
        let same = identity(&self.path).is_ok_and(|file| file == self.file);
        if same { Ok(()) } else { Err(HistoryError::Gone(self.path.clone())) }
    }

    /// Bytes on the disk, with what is not yet checkpointed.
    pub fn size(&self) -> u64 {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        bytes(&self.path) + bytes(&wal(&self.path))
    }

    /// After a transaction that came to nothing: what is known of the file is read again.
    pub(super) fn forget(&mut self) {
        self.names.clear();
        self.heads.clear();
        self.full.clear();
    }
}

/// The number of a VM, which it is given when it is first heard of.
pub(super) fn number(names: &mut HashMap<Name, i64>, within: &Transaction, name: &Name) -> Result<i64, Fault> {
    if let Some(id) = names.get(name) {
        return Ok(*id);
    }
    let known =
        within.prepare_cached("SELECT id FROM vm WHERE name = ?1")?.query_row([name.as_str()], |row| row.get(0));
    let id = match known.optional()? {
        Some(id) => id,
        None => {
            within.prepare_cached("INSERT INTO vm(name) VALUES(?1)")?.execute([name.as_str()])?;
            within.last_insert_rowid()
        }
    };
    if !(1..schema::VMS).contains(&id) {
        return Err(Fault::TooMany);
    }
    names.insert(name.clone(), id);
    Ok(id)
}

/// What tells a file from another one that has its name.
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// The log beside a history.
pub(super) fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// The path with its links followed, its folder made: two names of one file must meet at one lock.
fn real(path: &Path) -> Result<PathBuf, HistoryError> {
    let refused = |why: std::io::Error| HistoryError::io(path, &why);
    if let Ok(whole) = std::fs::canonicalize(path) {
        return Ok(whole);
    }
    let whole = std::path::absolute(path).map_err(refused)?;
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(refused(std::io::ErrorKind::IsADirectory.into()));
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
    Ok(std::fs::canonicalize(folder).map_err(refused)?.join(name))
}

/// An empty file that only its owner may read, in its folder for good.
fn create(path: &Path) -> Result<(), HistoryError> {
    let refused = |why: std::io::Error| HistoryError::io(path, &why);
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(refused)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()).map_err(refused)
}

fn connect(path: &Path, fresh: bool) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.set_prepared_statement_cache_capacity(48);
    if fresh {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    if connection.is_readonly(MAIN_DB)? {
        return Err(Fault::ReadOnly);
    }
    let form = schema::form(&connection)?;
    if form > schema::NEWEST {
        return Err(Fault::Newer(form));
    }
    schema::climb(&mut connection, form)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // The console has 16 MB for everything: 1 MB of pages. A log over 8 MB is cut when it begins anew.
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 8388608; PRAGMA foreign_keys = OFF;",
    )?;
    check(path, &connection)?;
    Ok(connection)
}

/// The ends of every table, and a small file whole: a large one would keep the operator waiting.
fn check(path: &Path, connection: &Connection) -> Result<(), Fault> {
    for table in ["vm", "head", "chunk", "rolled", "told", "settings", "placed", "kept", "journal"] {
        let key = match table {
            "settings" | "placed" => "vm",
            "journal" => "number",
            _ => "id",
        };
        let key = if table == "kept" { "vm" } else { key };
        let ends = format!("SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})");
        connection.query_row(&ends, [], |_| Ok(()))?;
    }
    if std::fs::metadata(path).is_ok_and(|file| file.len() <= LOOKED_OVER) {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Fault::Torn(found));
        }
    }
    Ok(())
}
