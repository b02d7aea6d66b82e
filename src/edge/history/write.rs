//! One transaction's worth of what happened.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::codec::head;
use super::error::Fault;
use super::schema::TIMES;
use super::store::{Store, number};
use super::{Batch, HistoryError};
use crate::core::engine::Record;
use crate::core::insight::{Entry, PlacedFrom, SettingsFrom};

/// A row of readings takes no more when it has this many bytes.
const ROW: i64 = 2_048;

/// What is known of the newest readings of 64 VMs without reading them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The row that is being filled.
    row: i64,
    /// Its bytes.
    len: i64,
    /// Its base of times.
    base: i64,
    /// Readings in all rows.
    pub(super) n: i64,
    /// No reading is much older than this, milliseconds.
    pub(super) oldest: i64,
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
    /// Writes a batch, whole or not at all. A reading at an instant that its VM already has one for takes its place; one
    /// before 1970 or after 2108 is no clock's and left out.
    ///
    /// # Errors
    /// The file cannot be written, or is damaged. Nothing of the batch is in it then.
    pub fn write(&mut self, batch: &Batch) -> Result<(), HistoryError> {
        self.still_there()?;
        let done = self.try_write(batch);
        if done.is_err() {
            self.forget();
        }
        done.map_err(|fault| fault.at(&self.path))
    }

    fn try_write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let within = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut lanes = Vec::with_capacity(batch.readings.len());
        for (name, entry) in &batch.readings {
            if (0..TIMES).contains(&entry.at.millis()) {
                lanes.push((bucket(number(&mut self.names, &within, name)?), entry));
            }
        }
        // Stable: what came later stays later.
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

/// What the file has of a bucket.
fn load(within: &Transaction, bucket: i64) -> Result<Head, Fault> {
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
    // Nothing could be read that is put behind damage.
    if head.n > 0 {
        let tail: Vec<u8> =
            within.prepare_cached("SELECT data FROM head WHERE id = ?1")?.query_row([head.row], |row| row.get(0))?;
        if head::each(&tail, head.base, None, |_, _| {}).is_none() {
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
) -> Result<Head, Fault> {
    let mut readings = readings.peekable();
    let Some(first) = readings.peek().map(|(_, entry)| entry.at.millis()) else { return Ok(head) };
    let fresh = head.len >= ROW;
    if fresh {
        (head.row, head.len, head.base) = (head.row + 1, 0, first);
    }
    let (mut data, mut n) = (Vec::new(), 0_i64);
    for (lane, entry) in readings {
        head::push(&mut data, head.base, lane, entry);
        n += 1;
        head.oldest = head.oldest.min(entry.at.millis());
    }
    if fresh {
        let row = "INSERT INTO head(id, at, n, data) VALUES(?1, ?2, ?3, ?4)";
        within.prepare_cached(row)?.execute(params![head.row, head.base, n, data])?;
    } else {
        // Two blobs side by side are a text to SQLite.
        let row = "UPDATE head SET n = n + ?2, data = CAST(data || ?3 AS BLOB) WHERE id = ?1";
        within.prepare_cached(row)?.execute(params![head.row, n, data])?;
    }
    head.len += data.len() as i64;
    head.n += n;
    Ok(head)
}

fn put_record(within: &Transaction, vm: Option<i64>, record: &Record) -> Result<(), Fault> {
    let body = serde_json::to_string(&record.what)?;
    let row = "INSERT INTO told(at, vm, body) VALUES(?1, ?2, ?3)";
    within.prepare_cached(row)?.execute(params![record.at.millis(), vm, body])?;
    Ok(())
}

/// Only what is new: an engine says all of them when it starts.
fn set(within: &Transaction, vm: i64, from: &SettingsFrom) -> Result<(), Fault> {
    let body = serde_json::to_string(&from.settings)?;
    let last = "SELECT body FROM settings WHERE vm = ?1 ORDER BY at DESC LIMIT 1";
    let last: Option<String> = within.prepare_cached(last)?.query_row([vm], |row| row.get(0)).optional()?;
    if last.as_ref() != Some(&body) {
        let row = "INSERT OR REPLACE INTO settings(vm, at, body) VALUES(?1, ?2, ?3)";
        within.prepare_cached(row)?.execute(params![vm, from.at.millis(), body])?;
    }
    Ok(())
}

fn place(within: &Transaction, vm: i64, from: &PlacedFrom) -> Result<(), Fault> {
    let place = serde_json::to_string(&from.place)?;
    let last = "SELECT host, place, price FROM placed WHERE vm = ?1 ORDER BY at DESC LIMIT 1";
    let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let last: Option<(String, String, f64)> = within.prepare_cached(last)?.query_row([vm], row).optional()?;
    let same = |last: &(String, String, f64)| from.host == last.0 && last.1 == place && last.2 == from.price;
    if !last.as_ref().is_some_and(same) {
        let row = "INSERT OR REPLACE INTO placed(vm, at, host, place, price) VALUES(?1, ?2, ?3, ?4, ?5)";
        within.prepare_cached(row)?.execute(params![vm, from.at.millis(), from.host.as_str(), place, from.price])?;
    }
    Ok(())
}

fn keep(within: &Transaction, vm: i64, body: &str) -> Result<(), Fault> {
    let row = "INSERT INTO kept(vm, body) VALUES(?1, ?2) ON CONFLICT(vm) DO UPDATE SET body = excluded.body";
    within.prepare_cached(row)?.execute(params![vm, body])?;
    Ok(())
}
