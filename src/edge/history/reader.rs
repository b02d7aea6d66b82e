//! What is read for screens, what-if and reports: short reads on a connection of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, OptionalExtension, Transaction, params};

use super::schema;
use super::store::{bucket, rows, wal};
use super::{HistoryError, HistoryFault, chunks, codec, quarters};
use crate::core::cluster::{Name, Timestamp};
use crate::core::engine::Record;
use crate::core::insight::{Entry, PlacedFrom, Rolled, Seen, SettingsFrom};

/// Which end of a span comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As it happened.
    OldestFirst,
    /// The latest first.
    NewestFirst,
}

/// A history opened for reading. An engine may be writing it meanwhile, and the file may be read-only.
///
/// A span includes its begin and not its end. A VM that the history does not know has no rows.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    connection: Connection,
}

impl Reader {
    /// Opens a history.
    ///
    /// # Errors
    /// There is no file, or it is not a history, or one of another form, or a damaged one.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let path = std::fs::canonicalize(path).map_err(|why| HistoryFault::from(why).at(path))?;
        let connection = connect(&path).map_err(|fault| fault.at(&path))?;
        Ok(Self { path, connection })
    }

    /// The file, links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A VM's readings in a span, oldest first. What is older than the raw retention is in [`rolled`](Self::rolled).
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn readings(&self, vm: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Entry>, HistoryError> {
        self.read_of(vm, |within, vm| {
            let mut all = Vec::new();
            each_chunk(within, "chunk", vm, from, to, |data| codec::read(data, &mut all))?;
            newest(within, vm, |entry| all.push(entry))?;
            all.retain(|entry| (from..to).contains(&entry.at));
            chunks::tidy(&mut all);
            Ok(all)
        })
    }

    /// A VM's samples in a span, oldest first, without a number where the service was too busy; gaps are left out. A
    /// sample of at least a number has that number.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn samples(
        &self,
        vm: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Timestamp, Option<f64>)>, HistoryError> {
        self.read_of(vm, |within, vm| {
            let mut all = Vec::new();
            each_chunk(within, "chunk", vm, from, to, |data| codec::read_samples(data, &mut all))?;
            // A later gap replaces a sample of the same instant. Otherwise the new samples are only appended.
            let mut late = Vec::new();
            newest(within, vm, |entry| late.push(entry))?;
            chunks::tidy(&mut late);
            let begin = late.first().map_or(Timestamp::NEVER, |entry| entry.at);
            if all.last().is_some_and(|last| last.0 >= begin) {
                all.retain(|(at, _)| late.binary_search_by_key(at, |entry| entry.at).is_err());
            }
            all.extend(late.iter().filter_map(|entry| match &entry.seen {
                Seen::Sample(value) => Some((entry.at, value.number())),
                Seen::Gap(_) => None,
            }));
            if !all.is_sorted_by_key(|(at, _)| *at) {
                all.sort_by_key(|(at, _)| *at);
            }
            all.retain(|(at, _)| (from..to).contains(at));
            Ok(all)
        })
    }

    /// A VM's quarters of an hour that begin in a span, oldest first: of what is older than the raw retention.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn rolled(&self, vm: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Rolled>, HistoryError> {
        self.read_of(vm, |within, vm| {
            let mut all = Vec::new();
            each_chunk(within, "rolled", vm, from, to, |data| quarters::read(data, &mut all))?;
            all.retain(|rolled: &Rolled| (from..to).contains(&rolled.at));
            Ok(all)
        })
    }

    /// The oldest and the newest instant of a VM's readings, rolled up or raw.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn reach(&self, vm: &str) -> Result<Option<(Timestamp, Timestamp)>, HistoryError> {
        self.read_of(vm, |within, vm| {
            let rolled = ends(within, "rolled", vm)?;
            let raw = raw_ends(within, vm)?;
            Ok(match (rolled, raw) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (one, other) => one.or(other),
            })
        })
    }

    /// The oldest instant of a VM's raw readings.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn raw_since(&self, vm: &str) -> Result<Option<Timestamp>, HistoryError> {
        self.read_of(vm, |within, vm| Ok(raw_ends(within, vm)?.map(|ends| ends.0)))
    }

    /// What happened in a span, to one VM or to all and the cluster, at most `limit` of it.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn records(
        &self,
        vm: Option<&str>,
        from: Timestamp,
        to: Timestamp,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Record>, HistoryError> {
        self.read(|within| {
            let word = match order {
                Order::OldestFirst => "ASC",
                Order::NewestFirst => "DESC",
            };
            let (one, id) = match vm.map(|vm| number(within, vm)).transpose()? {
                None => ("", 0),
                Some(None) => return Ok(Vec::new()),
                Some(Some(id)) => (" AND told.vm = ?4", id),
            };
            let rows = format!(
                "SELECT told.at, vm.name, told.body FROM told LEFT JOIN vm ON vm.id = told.vm
                 WHERE told.at >= ?1 AND told.at < ?2{one} ORDER BY told.at {word}, told.id {word} LIMIT ?3"
            );
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = within.prepare_cached(&rows)?;
            let mut found = match vm {
                Some(_) => rows.query(params![from.millis(), to.millis(), limit, id])?,
                None => rows.query(params![from.millis(), to.millis(), limit])?,
            };
            let mut all = Vec::new();
            while let Some(row) = found.next()? {
                let what = serde_json::from_str(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?;
                let vm: Option<Arc<str>> = row.get(1)?;
                all.push(Record { at: Timestamp::from_millis(row.get(0)?), vm: vm.map(Name::from), what });
            }
            Ok(all)
        })
    }

    /// A VM's settings in a span: those in force at its begin, then each change.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn settings(&self, vm: &str, from: Timestamp, to: Timestamp) -> Result<Vec<SettingsFrom>, HistoryError> {
        self.read_of(vm, |within, vm| {
            let mut rows = within.prepare_cached(
                "SELECT at, body FROM settings WHERE vm = ?1 AND at < ?3 AND at >=
                     coalesce((SELECT max(at) FROM settings WHERE vm = ?1 AND at <= ?2), ?2) ORDER BY at",
            )?;
            let mut found = rows.query(params![vm, from.millis(), to.millis()])?;
            let mut all = Vec::new();
            while let Some(row) = found.next()? {
                let settings = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
                all.push(SettingsFrom { at: Timestamp::from_millis(row.get(0)?), settings });
            }
            Ok(all)
        })
    }

    /// Where every VM was in a span: its place at the begin, then each change, in the order of time.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn placed(&self, from: Timestamp, to: Timestamp) -> Result<Vec<PlacedFrom>, HistoryError> {
        self.read(|within| {
            let mut rows = within.prepare_cached(
                "SELECT p.at, vm.name, p.host, p.place, p.price FROM placed p JOIN vm ON vm.id = p.vm
                 WHERE p.at < ?2 AND p.at >=
                     coalesce((SELECT max(q.at) FROM placed q WHERE q.vm = p.vm AND q.at <= ?1), ?1)
                 ORDER BY p.at, vm.name",
            )?;
            let mut found = rows.query([from.millis(), to.millis()])?;
            let mut all = Vec::new();
            while let Some(row) = found.next()? {
                let place = serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?;
                let at = Timestamp::from_millis(row.get(0)?);
                let (vm, host): (Arc<str>, Arc<str>) = (row.get(1)?, row.get(2)?);
                all.push(PlacedFrom { at, vm: vm.into(), host: host.into(), place, price: row.get(4)? });
            }
            Ok(all)
        })
    }

    /// The names of all VMs in it.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn vms(&self) -> Result<Vec<Name>, HistoryError> {
        self.read(|within| {
            let mut rows = within.prepare_cached("SELECT name FROM vm ORDER BY name")?;
            let rows = rows.query_map([], |row| row.get(0).map(|name: Arc<str>| name.into()))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Reads what there is of a VM; nothing if the history does not know it.
    fn read_of<T: Default>(
        &self,
        vm: &str,
        read: impl FnOnce(&Transaction, i64) -> Result<T, HistoryFault>,
    ) -> Result<T, HistoryError> {
        self.read(|within| number(within, vm)?.map_or_else(|| Ok(T::default()), |vm| read(within, vm)))
    }

    /// Reads in one transaction, so that all of it is one state of the file. The transaction ends before this returns, because
    /// the log cannot be cut while one is open.
    fn read<T>(&self, read: impl FnOnce(&Transaction) -> Result<T, HistoryFault>) -> Result<T, HistoryError> {
        let done = self.connection.unchecked_transaction().map_err(HistoryFault::from).and_then(|within| read(&within));
        done.map_err(|fault| fault.at(&self.path))
    }
}

fn connect(path: &Path) -> Result<Connection, HistoryFault> {
    if !schema::is_begun(path)? {
        return Err(HistoryFault::Missing);
    }
    let (connection, form) = match connect_as(path, "mode=ro") {
        // The file cannot be written, so nobody writes it now: if its log is empty, nothing is missing.
        Err(Error::SqliteFailure(failure, _))
            if matches!(failure.code, ErrorCode::CannotOpen | ErrorCode::ReadOnly) =>
        {
            if std::fs::metadata(wal(path)).is_ok_and(|log| log.len() > 0) {
                return Err(HistoryFault::ReadOnly("its log has to be brought into it first".to_owned()));
            }
            connect_as(path, "mode=ro&immutable=1")
        }
        other => other,
    }?;
    match form {
        schema::NEWEST => Ok(connection),
        older if older < schema::NEWEST => Err(HistoryFault::Older(older)),
        version => Err(HistoryFault::Newer { version, known: schema::NEWEST }),
    }
}

/// Connects with these parameters, and reads the file's form.
fn connect_as(path: &Path, parameters: &str) -> rusqlite::Result<(Connection, i64)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path, parameters), flags)?;
    connection.busy_timeout(Duration::from_millis(500))?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch("PRAGMA cache_size = -512; PRAGMA mmap_size = 0; PRAGMA query_only = ON;")?;
    let form = schema::form(&connection)?;
    Ok((connection, form))
}

/// The path as a URI for SQLite, with most bytes escaped.
fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri + "?" + parameters
}

fn number(within: &Transaction, vm: &str) -> Result<Option<i64>, HistoryFault> {
    let id = within.prepare_cached("SELECT id FROM vm WHERE name = ?1")?.query_row([vm], |row| row.get(0));
    Ok(id.optional()?)
}

/// The chunks that overlap a span. The last chunk that begins before the span may overlap it too.
fn each_chunk(
    within: &Transaction,
    table: &str,
    vm: i64,
    from: Timestamp,
    to: Timestamp,
    mut found: impl FnMut(&[u8]) -> Option<()>,
) -> Result<(), HistoryFault> {
    if to <= from {
        return Ok(());
    }
    let rows = format!(
        "SELECT id, data FROM {table} WHERE id BETWEEN
             coalesce((SELECT max(id) FROM {table} WHERE id BETWEEN ?1 AND ?2), ?2) AND ?3"
    );
    let mut rows = within.prepare_cached(&rows)?;
    let last = chunks::key(vm, to.millis() - 1);
    let mut rows = rows.query([chunks::key(vm, 0), chunks::key(vm, from.millis()), last])?;
    while let Some(row) = rows.next()? {
        let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        if found(data).is_none() {
            let begin = chunks::instant(row.get(0)?).rfc3339();
            return Err(HistoryFault::Corrupt(format!("a chunk of readings from {begin}")));
        }
    }
    Ok(())
}

/// A VM's readings that are not sealed yet, in the order in which they came.
fn newest(within: &Transaction, vm: i64, mut found: impl FnMut(Entry)) -> Result<(), HistoryFault> {
    let (bucket, lane) = bucket(vm);
    let (first, last) = rows(bucket);
    let mut rows = within.prepare_cached("SELECT id, at, data FROM head WHERE id BETWEEN ?1 AND ?2")?;
    let mut rows = rows.query([first, last])?;
    while let Some(row) = rows.next()? {
        let (id, base): (i64, i64) = (row.get(0)?, row.get(1)?);
        let data = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        if codec::each(data, base, Some(lane), |_, entry| found(entry)).is_none() {
            return Err(HistoryFault::Corrupt(format!("row {id} of its newest readings")));
        }
    }
    Ok(())
}

/// The first and the last instant in a VM's chunks.
fn ends(within: &Transaction, table: &str, vm: i64) -> Result<Option<(Timestamp, Timestamp)>, HistoryFault> {
    let rows = format!(
        "SELECT (SELECT min(id) FROM {table} WHERE id BETWEEN ?1 AND ?2),
                (SELECT upto FROM {table} WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1)"
    );
    let range = [chunks::key(vm, 0), chunks::key(vm, i64::MAX)];
    let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?));
    let (first, last): (Option<i64>, Option<i64>) = within.prepare_cached(&rows)?.query_row(range, read)?;
    Ok(first.map(chunks::instant).zip(last.map(Timestamp::from_millis)))
}

fn raw_ends(within: &Transaction, vm: i64) -> Result<Option<(Timestamp, Timestamp)>, HistoryFault> {
    let mut found = ends(within, "chunk", vm)?;
    newest(within, vm, |entry| {
        let (first, last) = found.unwrap_or((entry.at, entry.at));
        found = Some((first.min(entry.at), last.max(entry.at)));
    })?;
    Ok(found)
}
