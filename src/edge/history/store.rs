//! The one connection that writes: how it is opened, and one transaction for each batch.

use std::collections::{HashMap, VecDeque};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, MAIN_DB, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::place::Lock;
use super::schema::{self, TIMES};
use super::{Batch, HistoryError, HistoryFault, codec};
use crate::core::cluster::{Name, RequestId};
use crate::core::engine::Record;
use crate::core::insight::{Entry, PlacedFrom, Retention, SettingsFrom};

/// Readings of 64 VMs in a head before they are sealed into chunks.
const SEAL_AT: i64 = 128 * 64;
/// A file up to this size is checked whole when it is opened.
const LOOKED_OVER: u64 = 4 << 20;

/// A row of a head takes no more readings when it has this many bytes.
const ROW: i64 = 2_048;

/// The head of a bucket: what a write must know of it without reading it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The row that is being filled.
    row: i64,
    /// Its bytes.
    len: i64,
    /// The base of its times.
    base: i64,
    /// Readings in all rows.
    pub(super) n: i64,
    /// No reading is much older than this, in milliseconds.
    pub(super) oldest: i64,
}

/// A history opened for writing: single threaded, synchronous, and the only one on its file.
///
/// What a call returned `Ok` for survives a killed process. A power failure may lose the last moments. A call that fails
/// changes nothing.
#[derive(Debug)]
pub struct Store {
    pub(super) path: PathBuf,
    /// Device and number of the file that was opened.
    file: (u64, u64),
    pub(super) connection: Connection,
    pub(super) retention: Retention,
    /// The numbers of VMs that were needed so far. A transaction that fails empties it.
    pub(super) names: HashMap<Name, i64>,
    pub(super) heads: HashMap<i64, Head>,
    /// Buckets to be sealed.
    pub(super) full: VecDeque<i64>,
    pub(super) seal_at: i64,
    /// The last VM that the maintenance visited, which visits all of them again and again.
    pub(super) visited: i64,
    pub(super) checkpointed: Instant,
    /// What the maintenance found damaged.
    pub(super) torn: Option<String>,
    _lock: Lock,
}

impl Store {
    /// Opens a history, with its folders (0700) and file (0600) where they are missing, and brings it to the newest form.
    ///
    /// # Errors
    /// Another engine has it; it is no history, a newer one, or damaged; it cannot be written; no room. The file is left
    /// as it was.
    pub fn open(path: &Path, retention: Retention, owner: &str) -> Result<Self, HistoryError> {
        let path = real(path).map_err(|why| HistoryFault::from(why).at(path))?;
        Self::open_at(path.clone(), retention, owner).map_err(|fault| fault.at(&path))
    }

    fn open_at(path: PathBuf, retention: Retention, owner: &str) -> Result<Self, HistoryFault> {
        let fresh = !schema::is_begun(&path)?;
        let lock = Lock::take(&path, owner)?;
        if fresh {
            create(&path)?;
        }
        let connection = connect(&path, fresh)?;
        Ok(Self {
            file: identity(&path)?,
            connection,
            retention,
            names: HashMap::new(),
            heads: HashMap::new(),
            full: VecDeque::new(),
            seal_at: SEAL_AT,
            visited: 0,
            checkpointed: Instant::now(),
            torn: None,
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
        self.named(done.map(drop))
    }

    /// Migrations that an older version, which kept its journal here, wrote down and did not settle, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn journal_rows(&self) -> Result<Vec<String>, HistoryError> {
        self.named(self.all("SELECT body FROM journal WHERE outcome IS NULL ORDER BY number", |row| row.get(0)))
    }

    /// Writes a migration as an older version did.
    #[cfg(test)]
    pub fn older_journal_row(&self, id: u64, body: &str) {
        let row = "INSERT INTO journal(id, at, vm, origin, target, body) VALUES(?1, 0, 'a', 'b', 'c', ?2)";
        self.connection.execute(row, params![id.cast_signed(), body]).expect("room");
    }

    /// What the engine kept of each VM for the next start, by name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn kept(&self) -> Result<Vec<(String, String)>, HistoryError> {
        let rows = "SELECT name, body FROM kept JOIN vm ON vm.id = kept.vm ORDER BY name";
        self.named(self.all(rows, |row| Ok((row.get(0)?, row.get(1)?))))
    }

    /// What the engine kept of the cluster for the next start.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn kept_cluster(&self) -> Result<Option<String>, HistoryError> {
        let row = "SELECT body FROM kept WHERE vm = 0";
        self.named(self.connection.query_row(row, [], |row| row.get(0)).optional())
    }

    fn all<T>(&self, rows: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<Vec<T>> {
        self.connection.prepare(rows)?.query_map([], read)?.collect()
    }

    /// Tries whether the file can be written: writes a value that it has already.
    pub(super) fn probe(&self) -> Result<(), HistoryError> {
        self.still_there()?;
        self.named(self.connection.pragma_update(None, "user_version", schema::NEWEST))
    }

    /// Whether the path still leads to the open file. Writes to a removed file succeed, and are lost.
    pub(super) fn still_there(&self) -> Result<(), HistoryError> {
        let same = identity(&self.path).is_ok_and(|file| file == self.file);
        self.named(if same { Ok(()) } else { Err(HistoryFault::Gone) })
    }

    /// An error with the file's name.
    pub(super) fn named<T>(&self, done: Result<T, impl Into<HistoryFault>>) -> Result<T, HistoryError> {
        done.map_err(|fault| fault.into().at(&self.path))
    }

    /// Bytes on the disk, with what is not yet checkpointed.
    pub fn size(&self) -> u64 {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        bytes(&self.path) + bytes(&wal(&self.path))
    }

    /// Forgets what is known of the file after a transaction that failed, so that it is read again.
    pub(super) fn forget(&mut self) {
        self.names.clear();
        self.heads.clear();
        self.full.clear();
    }
}

/// The number of a VM. A new VM gets one.
pub(super) fn number(names: &mut HashMap<Name, i64>, within: &Transaction, name: &Name) -> Result<i64, HistoryFault> {
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
        return Err(HistoryFault::TooMany);
    }
    names.insert(name.clone(), id);
    Ok(id)
}

/// Device and inode, which tell a file from another one of its name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// The log beside a history.
pub(super) fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Makes the folder and follows the links of the path, so that two names of one file lead to one lock.
fn real(path: &Path) -> io::Result<PathBuf> {
    if let Ok(whole) = std::fs::canonicalize(path) {
        return Ok(whole);
    }
    let whole = std::path::absolute(path)?;
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(std::fs::canonicalize(folder)?.join(name))
}

/// An empty file that only its owner may read, in its folder for good.
fn create(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn connect(path: &Path, fresh: bool) -> Result<Connection, HistoryFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.set_prepared_statement_cache_capacity(48);
    if fresh {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    if connection.is_readonly(MAIN_DB)? {
        return Err(HistoryFault::ReadOnly("it is read-only".to_owned()));
    }
    let form = schema::form(&connection)?;
    if form > schema::NEWEST {
        return Err(HistoryFault::Newer { version: form, known: schema::NEWEST });
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

/// Checks both ends of every table, and a small file whole. To check a large file takes too long.
fn check(path: &Path, connection: &Connection) -> Result<(), HistoryFault> {
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
            return Err(HistoryFault::Corrupt(found));
        }
    }
    Ok(())
}

/// The bucket and the lane of a VM.
pub(super) const fn bucket(vm: i64) -> (i64, u8) {
    (vm >> 6, (vm & 63) as u8)
}

/// The first and the last key of a bucket's rows.
pub(super) const fn rows(bucket: i64) -> (i64, i64) {
    (bucket << 32, (bucket << 32) | 0xffff_ffff)
}

impl Store {
    /// Writes a batch, whole or not at all. A reading replaces an earlier one of its VM at the same instant. A reading from
    /// before 1970 or after 2108 is left out: no right clock shows such a time.
    ///
    /// # Errors
    /// The file cannot be written, or is damaged. Nothing of the batch is in it then.
    pub fn write(&mut self, batch: &Batch) -> Result<(), HistoryError> {
        self.still_there()?;
        let done = self.try_write(batch);
        if done.is_err() {
            self.forget();
        }
        self.named(done)
    }

    fn try_write(&mut self, batch: &Batch) -> Result<(), HistoryFault> {
        let within = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut lanes = Vec::with_capacity(batch.readings.len());
        for (name, entry) in &batch.readings {
            if (0..TIMES).contains(&entry.at.millis()) {
                lanes.push((bucket(number(&mut self.names, &within, name)?), entry));
            }
        }
        // The sort is stable, so later readings stay later.
        lanes.sort_by_key(|((bucket, _), _)| *bucket);
        for same in lanes.chunk_by(|a, b| a.0.0 == b.0.0) {
            let bucket = same[0].0.0;
            let head = match self.heads.get(&bucket) {
                Some(head) => *head,
                None => load(&within, bucket)?,
            };
            let head = append(&within, head, same.iter().map(|((_, lane), entry)| (*lane, *entry)))?;
            if head.n >= self.seal_at && !self.full.contains(&bucket) {
                self.full.push_back(bucket);
            }
            self.heads.insert(bucket, head);
        }
        for record in &batch.records {
            let vm = record.vm.as_ref().map(|vm| number(&mut self.names, &within, vm)).transpose()?;
            put_record(&within, vm, record)?;
        }
        for (name, from) in &batch.settings {
            set(&within, number(&mut self.names, &within, name)?, from)?;
        }
        for from in &batch.placed {
            place(&within, number(&mut self.names, &within, &from.vm)?, from)?;
        }
        for (name, body) in &batch.kept {
            keep(&within, number(&mut self.names, &within, name)?, body)?;
        }
        if let Some(body) = &batch.kept_cluster {
            keep(&within, 0, body)?;
        }
        Ok(within.commit()?)
    }
}

/// Reads what the file has of a bucket.
fn load(within: &Transaction, bucket: i64) -> Result<Head, HistoryFault> {
    let (first, last) = rows(bucket);
    let mut head = Head { row: first, len: ROW, base: 0, n: 0, oldest: i64::MAX };
    let mut read = within.prepare_cached("SELECT id, at, n, length(data) FROM head WHERE id BETWEEN ?1 AND ?2")?;
    let mut found = read.query([first, last])?;
    while let Some(row) = found.next()? {
        head.row = row.get(0)?;
        head.base = row.get(1)?;
        head.n += row.get::<_, i64>(2)?;
        head.len = row.get(3)?;
        head.oldest = head.oldest.min(head.base);
    }
    // Readings behind damage could not be read: a damaged row counts as full.
    if head.n > 0 {
        let tail: Vec<u8> =
            within.prepare_cached("SELECT data FROM head WHERE id = ?1")?.query_row([head.row], |row| row.get(0))?;
        if codec::each(&tail, head.base, None, |_, _| {}).is_none() {
            head.len = ROW;
        }
    }
    Ok(head)
}

/// Appends readings to a bucket: to its last row, or to a new one.
fn append<'a>(
    within: &Transaction,
    mut head: Head,
    readings: impl Iterator<Item = (u8, &'a Entry)>,
) -> Result<Head, HistoryFault> {
    let mut readings = readings.peekable();
    let Some(first) = readings.peek().map(|(_, entry)| entry.at.millis()) else { return Ok(head) };
    let fresh = head.len >= ROW;
    if fresh {
        (head.row, head.len, head.base) = (head.row + 1, 0, first);
    }
    let (mut data, mut n) = (Vec::new(), 0_i64);
    for (lane, entry) in readings {
        codec::push(&mut data, head.base, lane, entry);
        n += 1;
        head.oldest = head.oldest.min(entry.at.millis());
    }
    if fresh {
        let row = "INSERT INTO head(id, at, n, data) VALUES(?1, ?2, ?3, ?4)";
        within.prepare_cached(row)?.execute(params![head.row, head.base, n, data])?;
    } else {
        // SQLite makes a text of two joined blobs.
        let row = "UPDATE head SET n = n + ?2, data = CAST(data || ?3 AS BLOB) WHERE id = ?1";
        within.prepare_cached(row)?.execute(params![head.row, n, data])?;
    }
    head.len += data.len() as i64;
    head.n += n;
    Ok(head)
}

fn put_record(within: &Transaction, vm: Option<i64>, record: &Record) -> Result<(), HistoryFault> {
    let body = serde_json::to_string(&record.what)?;
    let row = "INSERT INTO told(at, vm, body) VALUES(?1, ?2, ?3)";
    within.prepare_cached(row)?.execute(params![record.at.millis(), vm, body])?;
    Ok(())
}

/// Writes settings only if they are new: an engine sends all of them when it starts.
fn set(within: &Transaction, vm: i64, from: &SettingsFrom) -> Result<(), HistoryFault> {
    let body = serde_json::to_string(&from.settings)?;
    let last = "SELECT body FROM settings WHERE vm = ?1 ORDER BY at DESC LIMIT 1";
    let last: Option<String> = within.prepare_cached(last)?.query_row([vm], |row| row.get(0)).optional()?;
    if last.as_ref() != Some(&body) {
        let row = "INSERT OR REPLACE INTO settings(vm, at, body) VALUES(?1, ?2, ?3)";
        within.prepare_cached(row)?.execute(params![vm, from.at.millis(), body])?;
    }
    Ok(())
}

fn place(within: &Transaction, vm: i64, from: &PlacedFrom) -> Result<(), HistoryFault> {
    let place = serde_json::to_string(&from.place)?;
    let last = "SELECT host, place, price FROM placed WHERE vm = ?1 ORDER BY at DESC LIMIT 1";
    let row = |row: &Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let last: Option<(String, String, f64)> = within.prepare_cached(last)?.query_row([vm], row).optional()?;
    let same = |last: &(String, String, f64)| from.host == last.0 && last.1 == place && last.2 == from.price;
    if !last.as_ref().is_some_and(same) {
        let row = "INSERT OR REPLACE INTO placed(vm, at, host, place, price) VALUES(?1, ?2, ?3, ?4, ?5)";
        within.prepare_cached(row)?.execute(params![vm, from.at.millis(), from.host.as_str(), place, from.price])?;
    }
    Ok(())
}

fn keep(within: &Transaction, vm: i64, body: &str) -> Result<(), HistoryFault> {
    let row = "INSERT INTO kept(vm, body) VALUES(?1, ?2) ON CONFLICT(vm) DO UPDATE SET body = excluded.body";
    within.prepare_cached(row)?.execute(params![vm, body])?;
    Ok(())
}
