//! Chunks of one VM, which never overlap.

use std::ops::RangeInclusive;

use rusqlite::{Transaction, params};

use super::schema::TIMES;
use super::{HistoryFault, codec, quarters};
use crate::core::cluster::Timestamp;
use crate::core::insight::{Entry, Rolled};

/// The most readings in a chunk. A chunk that is less than half full takes the next readings in.
const CHUNK: usize = 256;
/// The most quarters in a chunk: two days.
const QUARTERS: usize = 192;

/// A chunk's key: its VM and its first instant.
pub(super) fn key(vm: i64, at: i64) -> i64 {
    vm << 42 | at.clamp(0, TIMES - 1)
}

/// The instant in a key.
pub(super) const fn instant(key: i64) -> Timestamp {
    Timestamp::from_millis(key & (TIMES - 1))
}

/// Sorts readings by time. Of several at one instant the last stays.
pub(super) fn tidy(entries: &mut Vec<Entry>) {
    if entries.is_sorted_by(|a, b| a.at < b.at) {
        return;
    }
    entries.sort_by_key(|entry| entry.at);
    entries.reverse();
    entries.dedup_by_key(|entry| entry.at);
    entries.reverse();
}

/// Puts sorted readings of a VM into chunks. They replace readings at the same instants.
pub(super) fn insert(within: &Transaction, vm: i64, entries: Vec<Entry>) -> Result<(), HistoryFault> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
    let mut all = take(within, "chunk", vm, first.at..=last.at, CHUNK, codec::read)?;
    // The new readings are last, so they replace the old ones at their instants.
    all.extend(entries);
    tidy(&mut all);
    put(within, "chunk", vm, &all, CHUNK, |entry| entry.at, codec::write)
}

/// Adds sorted quarters of a VM to those in the file. Two with the same begin become one.
pub(super) fn insert_quarters(within: &Transaction, vm: i64, new: &[Rolled]) -> Result<(), HistoryFault> {
    let (Some(first), Some(last)) = (new.first(), new.last()) else { return Ok(()) };
    let mut all = take(within, "rolled", vm, first.at..=last.at, QUARTERS, quarters::read)?;
    all.extend_from_slice(new);
    all.sort_by_key(|quarter| quarter.at);
    let joined: Vec<Rolled> =
        all.chunk_by(|a, b| a.at == b.at).filter_map(|same| same.iter().copied().reduce(|a, b| a.with(&b))).collect();
    put(within, "rolled", vm, &joined, QUARTERS, |quarter| quarter.at, quarters::write)
}

/// Takes out the chunks of a VM that overlap a span, and the one before it if that is less than half full.
fn take<T>(
    within: &Transaction,
    table: &str,
    vm: i64,
    span: RangeInclusive<Timestamp>,
    most: usize,
    read: fn(&[u8], &mut Vec<T>) -> Option<()>,
) -> Result<Vec<T>, HistoryFault> {
    let mut all = Vec::new();
    let rows = format!("SELECT id, upto, n, data FROM {table} WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC");
    let mut rows = within.prepare_cached(&rows)?;
    let mut found = rows.query([key(vm, 0), key(vm, span.end().millis())])?;
    while let Some(row) = found.next()? {
        let (id, upto, n): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let overlaps = upto >= span.start().millis();
        if !overlaps && n >= most as i64 / 2 {
            break;
        }
        // A damaged chunk stays: whoever reads it tells of it.
        if read(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?, &mut all).is_some() {
            within.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?.execute([id])?;
        }
        if !overlaps {
            break;
        }
    }
    Ok(all)
}

/// Writes sorted things of a VM, each of an instant, as chunks.
fn put<T>(
    within: &Transaction,
    table: &str,
    vm: i64,
    all: &[T],
    most: usize,
    at: fn(&T) -> Timestamp,
    write: fn(&[T]) -> Vec<u8>,
) -> Result<(), HistoryFault> {
    let row = format!("INSERT OR REPLACE INTO {table}(id, upto, n, data) VALUES(?1, ?2, ?3, ?4)");
    let mut row = within.prepare_cached(&row)?;
    for part in parts(all, most) {
        let (first, last) = (at(&part[0]).millis(), at(&part[part.len() - 1]).millis());
        row.execute(params![key(vm, first), last, part.len() as i64, write(part)])?;
    }
    Ok(())
}

/// Splits into parts of nearly the same length, none longer than `most`.
fn parts<T>(all: &[T], most: usize) -> std::slice::Chunks<'_, T> {
    let count = all.len().div_ceil(most).max(1);
    all.chunks(all.len().div_ceil(count).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_one_size() {
        let sizes = |n: usize| parts(&vec![0; n], 256).map(<[i32]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0; 0]);
        assert_eq!(sizes(256), [256]);
        assert_eq!(sizes(300), [150, 150]);
        assert_eq!(sizes(513), [171, 171, 171]);
    }

    #[test]
    fn a_key_has_the_vm_first_and_gives_the_instant_back() {
        assert!(key(1, i64::MAX) < key(2, i64::MIN));
        assert!(key(1, 5) < key(1, 6));
        assert_eq!(instant(key((1 << 21) - 1, 1_241_613_600_000)).millis(), 1_241_613_600_000);
    }
}
