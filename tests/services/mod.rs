//! Real servers for tests: each on a free loopback port, in a folder of its own, as an unprivileged user, gone when the
//! test is over, also when it fails.
//!
//! ```ignore
//! mod services;
//! let Some(db) = services::or_skip("reads_a_variable", MariaDb::start()) else { return };
//! ```

// Each test program compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

mod apache;
mod mariadb;
mod server;

use std::fs::OpenOptions;
use std::io::Write;

pub use apache::{Apache, Occupied};
pub use mariadb::MariaDb;

/// What was started; or `None`, with the test noted as skipped: what it needs is not on this machine.
///
/// `./tests/run` collects the notes from the file that `WHIMBREL_SKIPPED` names.
pub fn or_skip<T>(test: &str, started: Result<T, String>) -> Option<T> {
    match started {
        Ok(started) => Some(started),
        Err(reason) => {
            skipped(test, &reason);
            None
        }
    }
}

/// Notes that a test could not be run.
#[expect(clippy::print_stderr, reason = "a test's output is there to be read")]
pub fn skipped(test: &str, reason: &str) {
    let note = format!("SKIPPED {test}: {reason}\n");
    eprint!("{note}");
    if let Some(path) = std::env::var_os("WHIMBREL_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(note.as_bytes())).expect("the list of skipped tests can be written");
    }
}
