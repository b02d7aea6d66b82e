//! Real servers for tests: each on a free loopback port, in a folder of its own, as an unprivileged user, gone when the
//! test is over, also when it fails.
//!
//! ```ignore
//! let Some(db) = services::or_skip("reads_a_variable", MariaDb::start()) else { return };
//! ```

mod apache;
mod dav;
mod mariadb;
mod server;

use std::fs::OpenOptions;
use std::io::Write;

pub use apache::{Apache, Occupied};
pub use dav::Dav;
pub use mariadb::MariaDb;
pub use server::own;

/// What was started; or `None`, with the test noted as skipped: what it needs is not on this machine.
///
/// # Panics
/// Nobody has allowed that tests are skipped: see [`skipped`].
#[track_caller]
pub fn or_skip<T>(test: &str, started: Result<T, String>) -> Option<T> {
    match started {
        Ok(started) => Some(started),
        Err(reason) => {
            skipped(test, &reason);
            None
        }
    }
}

/// Notes that this machine cannot run a test.
///
/// cargo has no word for such a test. So it fails, unless somebody has said that it may be skipped: `./tests/run`, which
/// collects the notes in the file that `WHIMBREL_SKIPPED` names, or `WHIMBREL_ALLOW_SKIP=1`. The note is on the terminal
/// also where cargo keeps a test's output to itself.
///
/// # Panics
/// Nobody has said so.
#[track_caller]
pub fn skipped(test: &str, reason: &str) {
    let note = format!("SKIPPED {test}: {reason}\n");
    let list = std::env::var_os("WHIMBREL_SKIPPED");
    let is_allowed = list.is_some() || std::env::var_os("WHIMBREL_ALLOW_SKIP").is_some_and(|value| value == "1");
    assert!(
        is_allowed,
        "this machine cannot run {test}: {reason}\n./tests/run installs what is missing; WHIMBREL_ALLOW_SKIP=1 skips the test"
    );
    // Past the capture of a test's output, in one write, so that two tests do not mix their lines.
    std::io::stderr().write_all(note.as_bytes()).expect("the error output is open");
    if let Some(path) = list {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(note.as_bytes())).expect("the list of skipped tests can be written");
    }
}
