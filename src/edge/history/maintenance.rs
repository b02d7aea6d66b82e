//! Maintenance of the file, in small pieces so that a write never waits for long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::store::{Store, bucket, rows};
use super::{HistoryError, HistoryFault, chunks, codec, quarters};
use crate::core::cluster::Timestamp;
use crate::core::insight::Entry;

/// Buckets sealed in one piece.
const SEALS: usize = 4;
/// VMs visited in one piece, and readings rolled up in it.
const VISITS: i64 = 64;
const ROLLED_UP: usize = 1 << 14;
/// Records removed in one piece.
const RETIRED: i64 = 500;
/// Free pages given back in one piece, as soon as a quarter of the file is free.
const FREED: i64 = 256;
/// The write-ahead log is copied into the file at least so often.
const CHECKPOINT: Duration = Duration::from_secs(60);

impl Store {
    /// Whether [`tend`](Self::tend) has urgent work: a full head.
    pub fn is_behind(&self) -> bool {
        !self.full.is_empty()
    }

    /// Does a small piece of the work: seals full heads, rolls up and removes what is older than the retention at `now`,
    /// copies the log into the file, gives free pages back.
    ///
    /// # Errors
    /// The file cannot be written, or something in it is damaged; the rest of the piece is done all the same.
    pub fn tend(&mut self, now: Timestamp) -> Result<(), HistoryError> {
        let done = self.try_tend(now);
        if done.is_err() {
            self.forget();
        }
        let torn = self.torn.take();
        self.named(done.and_then(|()| torn.map_or(Ok(()), |what| Err(HistoryFault::Corrupt(what)))))
    }

    fn try_tend(&mut self, now: Timestamp) -> Result<(), HistoryFault> {
        for _ in 0..SEALS {
            let Some(bucket) = self.full.pop_front() else { break };
            self.seal(bucket)?;
        }
        self.go_round(now)?;
        self.retire_told(now - self.retention.rolled)?;
        self.checkpoint()?;
        let free: i64 = self.pragma("freelist_count")?;
        if free * 4 > self.pragma("page_count")? {
            // Each row frees one page, so all rows must be read.
            let mut free = self.connection.prepare_cached(&format!("PRAGMA incremental_vacuum({FREED})"))?;
            let mut freed = free.query([])?;
            while freed.next()?.is_some() {}
        }
        Ok(())
    }

    fn pragma(&self, name: &str) -> Result<i64, HistoryFault> {
        Ok(self.connection.pragma_query_value(None, name, |row| row.get(0))?)
    }

    fn checkpoint(&mut self) -> Result<(), HistoryFault> {
        if self.checkpointed.elapsed() >= CHECKPOINT {
            self.checkpointed = Instant::now();
            self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    /// Turns the head of a bucket into chunks.
    pub(super) fn seal(&mut self, bucket: i64) -> Result<(), HistoryFault> {
        let within = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let torn = seal(&within, bucket)?;
        within.commit()?;
        self.heads.remove(&bucket);
        self.torn = torn.or(self.torn.take());
        Ok(())
    }

    /// Visits the next VMs, and rolls up or removes what is too old of them.
    fn go_round(&mut self, now: Timestamp) -> Result<(), HistoryFault> {
        let next: Vec<i64> = {
            let mut next = self.connection.prepare_cached("SELECT id FROM vm WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let next = next.query_map(params![self.visited, VISITS], |row| row.get(0))?;
            next.collect::<rusqlite::Result<_>>()?
        };
        let raw = quarters::begin(now - self.retention.raw);
        let rolled = quarters::begin(now - self.retention.rolled);
        self.retire_heads(&next, raw)?;
        let within = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut left = ROLLED_UP;
        // After the last VM comes the first again.
        self.visited = if (next.len() as i64) < VISITS { 0 } else { next[next.len() - 1] };
        for vm in next {
            let (done, torn) = roll_up(&within, vm, raw)?;
            self.torn = torn.or(self.torn.take());
            retire(&within, vm, rolled)?;
            left = left.saturating_sub(done);
            if left == 0 {
                self.visited = vm;
                break;
            }
        }
        within.commit()?;
        Ok(())
    }

    /// Seals the heads of these VMs if their oldest reading is too old. A VM that is no longer read never fills its head.
    fn retire_heads(&mut self, vms: &[i64], before: Timestamp) -> Result<(), HistoryFault> {
        let mut buckets: Vec<i64> = vms.iter().map(|vm| bucket(*vm).0).collect();
        buckets.dedup();
        for bucket in buckets {
            let oldest = match self.heads.get(&bucket) {
                Some(head) => Some(head.oldest),
                None => {
                    let (first, last) = rows(bucket);
                    let oldest = "SELECT min(at) FROM head WHERE id BETWEEN ?1 AND ?2";
                    self.connection.prepare_cached(oldest)?.query_row([first, last], |row| row.get(0))?
                }
            };
            if oldest.is_some_and(|oldest| oldest < before.millis()) {
                self.seal(bucket)?;
            }
        }
        Ok(())
    }

    /// Removes records of before then, and migrations that ended before then.
    fn retire_told(&mut self, before: Timestamp) -> Result<(), HistoryFault> {
        let told = "DELETE FROM told WHERE id IN (SELECT id FROM told WHERE at < ?1 LIMIT ?2)";
        self.connection.prepare_cached(told)?.execute(params![before.millis(), RETIRED])?;
        let journal = "DELETE FROM journal WHERE number IN
            (SELECT number FROM journal WHERE at < ?1 AND outcome IS NOT NULL ORDER BY number LIMIT ?2)";
        self.connection.prepare_cached(journal)?.execute(params![before.millis(), RETIRED])?;
        Ok(())
    }
}

/// Moves the readings of a bucket from their rows into chunks. Damaged rows stay; it returns what is damaged.
fn seal(within: &Transaction, bucket: i64) -> Result<Option<String>, HistoryFault> {
    let (first, last) = rows(bucket);
    let mut lanes: BTreeMap<u8, Vec<Entry>> = BTreeMap::new();
    let mut torn = None;
    let mut read = within.prepare_cached("SELECT id, at, data FROM head WHERE id BETWEEN ?1 AND ?2")?;
    let mut found = read.query([first, last])?;
    let mut done = Vec::new();
    while let Some(row) = found.next()? {
        let (id, base): (i64, i64) = (row.get(0)?, row.get(1)?);
        let data = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let mut of_row = Vec::new();
        if codec::each(data, base, None, |lane, entry| of_row.push((lane, entry))).is_none() {
            torn = Some(format!("row {id} of its newest readings"));
            continue;
        }
        for (lane, entry) in of_row {
            lanes.entry(lane).or_default().push(entry);
        }
        done.push(id);
    }
    drop(found);
    for (lane, mut entries) in lanes {
        chunks::tidy(&mut entries);
        chunks::insert(within, bucket << 6 | i64::from(lane), entries)?;
    }
    let mut delete = within.prepare_cached("DELETE FROM head WHERE id = ?1")?;
    for id in done {
        delete.execute([id])?;
    }
    Ok(torn)
}

/// Rolls a VM's readings of before `before` up into quarters, if a whole chunk of them is that old. Returns how many
/// readings, and what was damaged: a damaged chunk is removed and leaves no quarter.
fn roll_up(within: &Transaction, vm: i64, before: Timestamp) -> Result<(usize, Option<String>), HistoryFault> {
    let mut read = within.prepare_cached("SELECT id, upto, data FROM chunk WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?;
    let mut found = read.query([chunks::key(vm, 0), chunks::key(vm, before.millis() - 1)])?;
    let (mut old, mut ids, mut torn, mut until) = (Vec::new(), Vec::new(), None, before);
    let mut whole = false;
    while let Some(row) = found.next()? {
        let (id, upto): (i64, i64) = (row.get(0)?, row.get(1)?);
        if codec::read(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?, &mut old).is_none() {
            torn = Some(format!("a chunk of readings from {}", chunks::instant(id).rfc3339()));
        }
        ids.push(id);
        whole |= upto < before.millis();
        // That is enough for one piece. It ends where a quarter begins, as the rest of that quarter is not read yet.
        let end = quarters::begin(Timestamp::from_millis(upto));
        if old.len() >= ROLLED_UP && old.first().is_some_and(|first| first.at < end) {
            until = until.min(end);
            break;
        }
    }
    drop(found);
    if !whole {
        return Ok((0, None));
    }
    for id in ids {
        within.prepare_cached("DELETE FROM chunk WHERE id = ?1")?.execute([id])?;
    }
    let rest = old.split_off(old.partition_point(|entry| entry.at < until));
    chunks::insert(within, vm, rest)?;
    chunks::insert_quarters(within, vm, &quarters::roll(&old))?;
    Ok((old.len(), torn))
}

/// Removes a VM's quarters of before then, and its settings and places except those in force then.
fn retire(within: &Transaction, vm: i64, before: Timestamp) -> Result<(), HistoryFault> {
    let oldest = "SELECT upto FROM rolled WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1";
    let range = [chunks::key(vm, 0), chunks::key(vm, before.millis())];
    let oldest: Option<i64> = within.prepare_cached(oldest)?.query_row(range, |row| row.get(0)).optional()?;
    if oldest.is_some_and(|upto| upto < before.millis()) {
        let rolled = "DELETE FROM rolled WHERE id BETWEEN ?1 AND ?2 AND upto < ?3";
        within.prepare_cached(rolled)?.execute(params![range[0], range[1], before.millis()])?;
    }
    for rows in [
        "DELETE FROM settings WHERE vm = ?1 AND at < (SELECT max(at) FROM settings WHERE vm = ?1 AND at <= ?2)",
        "DELETE FROM placed WHERE vm = ?1 AND at < (SELECT max(at) FROM placed WHERE vm = ?1 AND at <= ?2)",
    ] {
        within.prepare_cached(rows)?.execute(params![vm, before.millis()])?;
    }
    Ok(())
}
