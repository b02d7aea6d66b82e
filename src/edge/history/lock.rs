//! One engine a file: a lock beside it, whose text names who has it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::HistoryError;
use crate::core::cluster::Timestamp;
use crate::core::format::tame;

/// Who has a history open for writing, for whoever comes second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// Its config, or what it is: `demo`.
    pub config: String,
    /// Since when.
    pub since: Timestamp,
}

impl Owner {
    fn words(&self) -> String {
        let config = tame(&self.config);
        format!("pid {}, config {config}, since {}", self.pid, self.since.rfc3339())
    }
}

/// Held as long as this lives; the system frees it when the process ends, however that may be.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Not only closed: a program that is being started has a copy of it for a moment. An error leaves it to that.
        let _ = self.0.unlock();
    }
}

/// The lock's file. It stays: removing it would let two hold it.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

impl Lock {
    /// Takes the lock of a history.
    pub(super) fn take(path: &Path, owner: &Owner) -> Result<Self, HistoryError> {
        let refused = |why: &std::io::Error| HistoryError::io(path, why);
        let name = beside(path);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name);
        let mut file = options.map_err(|why| refused(&why))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = std::fs::read_to_string(&name).unwrap_or_default();
                return Err(HistoryError::InUse { path: path.to_owned(), owner: owner.trim().to_owned() });
            }
            Err(TryLockError::Error(why)) => return Err(refused(&why)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", owner.words()));
        written.map_err(|why| refused(&why))?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: u32) -> Owner {
        Owner { pid, config: "/etc/a\n.toml".to_owned(), since: Timestamp::from_secs(1_241_613_600) }
    }

    #[test]
    fn the_second_is_told_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let first = Lock::take(&path, &owner(7)).expect("nobody has it");
        let said = Lock::take(&path, &owner(8)).expect_err("7 has it").to_string();
        assert!(said.contains("pid 7, config /etc/a .toml, since 2009-05-06T12:40:00.000Z"), "{said}");
        drop(first);
        Lock::take(&path, &owner(8)).expect("it is free again");
    }
}
