//! A queue in MariaDB or MySQL: a row for each page, and one for each of its jobs. `schema.sql` has the tables.
//!
//! A claim is a lease with a token. Every write of a worker first locks the row of its page, and finds its own token there or
//! writes nothing. So a worker that was stopped, or whose claim was returned, delivers nothing, whatever the clocks say. The
//! lease only tells when the worker of another VM may take a page over. All times are the database's.
//!
//! Rows are locked in one order: a page before its jobs, and before the worker. Only a start locks its worker first.
//!
//! | file | its story |
//! | --- | --- |
//! | `database` | connections, transactions that are tried again, the words for what the server says |
//! | `jobs` | the jobs of a page, read as a page |
//! | `reading` | a look, an overview, a page |
//! | `claiming` | a start, a claim, what is in doubt |
//! | `working` | results, renewal, the end of a claim, what a worker reports |
//! | `asking` | pages that are added, claims that are returned, what is asked of workers |
//! | `probe` | what keeps workers from claiming |

mod asking;
mod claiming;
mod database;
mod jobs;
mod probe;
mod reading;
mod working;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::claiming::{DoubtfulClaim, RefusedRow};
use self::database::{Database, Fault};
use self::reading::KnownGrades;
use super::names::{check_vm_name, number};
use super::{Trouble, now, random};
use crate::core::queue::{Queue, QueueSource};

/// The tables, as SQL.
pub const SCHEMA: &str = include_str!("schema.sql");

/// A queue in a database.
pub(super) struct MysqlQueue {
    database: Database,
    /// Its name, which pages carry.
    name: String,
    /// Only this page is worked.
    page: Option<String>,
    big: String,
    lease: Duration,
    memory: Mutex<KnownRows>,
}

/// Who claims.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnWorker {
    vm: String,
    instance: String,
}

/// What is known from before.
#[derive(Default)]
struct KnownRows {
    me: Option<OwnWorker>,
    /// The claims in the worker's hand, by name: the page, and the token that its row must have.
    hands: HashMap<String, (u64, String)>,
    doubts: Vec<DoubtfulClaim>,
    /// Pages that are not worked, by their number.
    refused: HashMap<u64, RefusedRow>,
    /// Pages that wait, by their number.
    grades: HashMap<u64, KnownGrades>,
}

impl MysqlQueue {
    /// The queue of a config.
    ///
    /// # Errors
    /// The config names no such database.
    pub fn new(queue: &Queue, deadline: Duration) -> Result<Self, Trouble> {
        let QueueSource::Mysql { url, password } = &queue.source else {
            return Err(Trouble::Refused("the queue is not in a database".to_owned()));
        };
        Ok(Self {
            database: Database::new(url, password.clone(), deadline)?,
            name: queue.name.to_string(),
            page: queue.page.clone(),
            big: queue.big.clone(),
            lease: queue.lease.to_std(),
            memory: Mutex::default(),
        })
    }

    fn memory(&self) -> MutexGuard<'_, KnownRows> {
        // What is in it is whole after each statement.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease as the interval of a statement, in microseconds.
    fn lease_us(&self) -> u64 {
        u64::try_from(self.lease.as_micros()).unwrap_or(u64::MAX)
    }
}

/// A later start has taken the worker's place.
fn superseded(vm: &str) -> Trouble {
    Trouble::Refused(format!("another worker of {vm} was started later"))
}

/// What is written into a column.
fn json(content: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(content).map_err(|error| Trouble::Refused(error.to_string()).into())
}

/// 32 random hexadecimal digits.
fn new_token() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// A number that makes the name of a claim unique.
fn new_number() -> u64 {
    number(now().millis(), random())
}

/// Whether a VM's name can be part of a claim's.
fn check_vm(vm: &str) -> Result<(), Trouble> {
    check_vm_name(vm).map_err(|why| Trouble::Refused(format!("the VM's name cannot be used in a queue: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ() {
        let (a, b) = (new_token(), new_token());
        assert_eq!((a.len(), a == b), (32, false));
    }

    #[test]
    fn the_schema_makes_the_four_tables_and_says_how_to_add_a_page() {
        for table in ["queue", "job", "worker", "control"] {
            assert!(SCHEMA.contains(&format!("CREATE TABLE IF NOT EXISTS {table} (")), "{table}");
        }
        assert_eq!(SCHEMA.matches("ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;").count(), 4);
        assert!(SCHEMA.contains("START TRANSACTION;") && SCHEMA.contains("LAST_INSERT_ID()"));
    }
}
