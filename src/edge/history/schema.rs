//! The tables of the file, the number of their form, and how an older form becomes the newest.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::HistoryFault;

/// `whim` at byte 68 of the file, by which `file(1)` and this program recognise a history.
const APPLICATION: i64 = 0x7768_696d;
/// Step n turns form n into form n + 1. A new form is one more function at the end; the others never change.
const STEPS: &[fn(&Transaction) -> rusqlite::Result<()>] = &[form_1];
/// The form this program writes.
pub(super) const NEWEST: i64 = STEPS.len() as i64;

/// Ids of VMs are below this, because an id shares an integer key with a time.
pub(super) const VMS: i64 = 1 << 21;
/// Times of readings are from 0 to below this, which is in the year 2109.
pub(super) const TIMES: i64 = 1 << 42;

/// The first form.
///
/// The key of `chunk` and `rolled` is the VM and the first time, `vm << 42 | ms`, so that the rows of a VM lie side by side.
/// The key of `head` is `bucket << 32 | number`; a bucket is 64 VMs.
fn form_1(to: &Transaction) -> rusqlite::Result<()> {
    to.execute_batch(
        "CREATE TABLE vm(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
         CREATE TABLE head(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL);
         CREATE TABLE chunk(id INTEGER PRIMARY KEY, upto INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL);
         CREATE TABLE rolled(id INTEGER PRIMARY KEY, upto INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL);
         CREATE TABLE told(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, vm INTEGER, body TEXT NOT NULL);
         CREATE INDEX told_at ON told(at);
         CREATE INDEX told_vm ON told(vm, at) WHERE vm IS NOT NULL;
         CREATE TABLE settings(vm INTEGER, at INTEGER, body TEXT NOT NULL, PRIMARY KEY(vm, at)) WITHOUT ROWID;
         CREATE TABLE placed(vm INTEGER, at INTEGER, host TEXT NOT NULL, place TEXT NOT NULL, price REAL NOT NULL,
             PRIMARY KEY(vm, at)) WITHOUT ROWID;
         CREATE TABLE kept(vm INTEGER PRIMARY KEY, body TEXT NOT NULL);
         CREATE TABLE journal(number INTEGER PRIMARY KEY, id INTEGER NOT NULL, at INTEGER NOT NULL, vm TEXT NOT NULL,
             origin TEXT NOT NULL, target TEXT NOT NULL, body TEXT NOT NULL, outcome TEXT);
         CREATE INDEX journal_open ON journal(id) WHERE outcome IS NULL;
         CREATE VIEW event AS SELECT strftime('%Y-%m-%dT%H:%M:%fZ', told.at / 1000.0, 'unixepoch') AS at,
             vm.name AS vm, told.body AS body FROM told LEFT JOIN vm ON vm.id = told.vm ORDER BY told.at, told.id;",
    )
}

/// Whether the file has a history, by its beginning. False: it is missing or empty. Anything that is not a history must not be touched.
pub(super) fn is_begun(path: &Path) -> Result<bool, HistoryFault> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(why) => return Err(why.into()),
    };
    let mut head = Vec::new();
    file.take(100).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(false);
    }
    let application = head.get(68..72).and_then(|four| four.try_into().ok()).map(i32::from_be_bytes);
    let is_history = head.starts_with(b"SQLite format 3\0") && application.map(i64::from) == Some(APPLICATION);
    if is_history { Ok(true) } else { Err(HistoryFault::Foreign) }
}

/// The file's form; 0 before the first.
pub(super) fn form(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Turns the file into the newest form, in one transaction.
pub(super) fn climb(connection: &mut Connection, form: i64) -> rusqlite::Result<()> {
    let steps = STEPS.iter().skip(usize::try_from(form).unwrap_or_default());
    if steps.len() == 0 {
        return Ok(());
    }
    let to = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    for step in steps {
        step(&to)?;
    }
    to.pragma_update(None, "application_id", APPLICATION)?;
    to.pragma_update(None, "user_version", NEWEST)?;
    to.commit()
}
