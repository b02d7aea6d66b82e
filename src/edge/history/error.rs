//! What can be wrong with a history, in words for an operator.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Error, ErrorCode};
use thiserror::Error as ThisError;

/// Why a history cannot be opened, written or read: the file, what is wrong, and the remedy.
#[derive(Debug, ThisError)]
pub enum HistoryError {
    /// Another engine writes it.
    #[error(
        "{}: in use by another whimbrel ({owner})\n\
         help: stop that one: two would both move the VMs. `whimbrel report` and `whimbrel drain` work beside it",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who has it, as its lock says: process, config, since when.
        owner: String,
    },
    /// A later version wrote it.
    #[error(
        "{}: written by a newer whimbrel (form {version}, this one knows up to {known})\n\
         help: upgrade whimbrel, or give it another file; this one is left as it is",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's form.
        version: i64,
        /// The newest form this program knows.
        known: i64,
    },
    /// An earlier version wrote it, and this was opened for reading alone.
    #[error(
        "{}: written by an older whimbrel (form {version})\n\
         help: open it once for writing (whimbrel or whimbrel run), which brings it up to date",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The file's form.
        version: i64,
    },
    /// It is something else.
    #[error("{}: not a history of whimbrel\nhelp: give the history another file; this one is left as it is", .0.display())]
    Foreign(PathBuf),
    /// There is nothing to read.
    #[error("{}: no history there\nhelp: one begins with the first whimbrel or whimbrel run", .0.display())]
    Missing(PathBuf),
    /// The file that was being written is no longer there, or another one is.
    #[error(
        "{}: removed or replaced while it was written: nothing is kept\n\
         help: put it back, and writing goes on by itself; or start whimbrel again, which begins a new one",
        .0.display()
    )]
    Gone(PathBuf),
    /// It is damaged.
    #[error(
        "{}: damaged ({what})\nhelp: stop whimbrel and move the file aside, or save what can be saved with \
         sqlite3 FILE .recover",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// It, or its folder, cannot be written.
    #[error("{}: cannot be written ({why})\nhelp: give this user the right to write the file and its folder", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// The file system has no room.
    #[error("{}: the disk is full\nhelp: make room there, and writing goes on by itself", .0.display())]
    Full(PathBuf),
    /// Another program has it locked.
    #[error("{}: locked by another program\nhelp: end what has it open, such as sqlite3", .0.display())]
    Busy(PathBuf),
    /// More names than the file's form can number.
    #[error("{}: too many VMs\nhelp: begin a new file", .0.display())]
    TooMany(PathBuf),
    /// Another run's history is in it.
    #[error("{}: it has a history already, and a simulated run begins anew\nhelp: name a file that is not there", .0.display())]
    Used(PathBuf),
    /// The system said no.
    #[error("{}: {why}\nhelp: look after the disk and the folder, and writing goes on by itself", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

impl HistoryError {
    pub(super) fn io(path: &Path, why: &io::Error) -> Self {
        let (path, text) = (path.to_owned(), why.to_string());
        match why.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, why: text },
            _ => Self::Io { path, why: text },
        }
    }

    fn sql(path: &Path, error: &Error) -> Self {
        let (path, why) = (path.to_owned(), error.to_string());
        let Error::SqliteFailure(failure, _) = error else {
            // The file has something that whimbrel did not write.
            return Self::Corrupt { path, what: why };
        };
        match failure.code {
            ErrorCode::DiskFull => Self::Full(path),
            ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => {
                Self::Corrupt { path, what: why }
            }
            ErrorCode::NotADatabase => Self::Foreign(path),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                Self::Busy(path)
            }
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly { path, why },
            _ => Self::Io { path, why },
        }
    }
}

/// What went wrong, before the file's name is known.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(Error),
    /// What was read is damaged.
    Torn(String),
    TooMany,
    /// The file could only be opened for reading.
    ReadOnly,
    /// The form of a file that a later version wrote, and the newest one known here.
    Newer {
        version: i64,
        known: i64,
    },
    /// The form of a file that must be opened for writing first.
    Older(i64),
}

impl Fault {
    pub(super) fn torn(what: impl Into<String>) -> Self {
        Self::Torn(what.into())
    }

    pub(super) fn at(self, path: &Path) -> HistoryError {
        match self {
            Self::Sql(error) => HistoryError::sql(path, &error),
            Self::Torn(what) => HistoryError::Corrupt { path: path.to_owned(), what },
            Self::TooMany => HistoryError::TooMany(path.to_owned()),
            Self::ReadOnly => HistoryError::ReadOnly { path: path.to_owned(), why: "it is read-only".to_owned() },
            Self::Newer { version, known } => HistoryError::Newer { path: path.to_owned(), version, known },
            Self::Older(version) => HistoryError::Older { path: path.to_owned(), version },
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Torn(format!("not the JSON that was written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_names_the_file_and_the_remedy() {
        let path = PathBuf::from("/var/lib/a.db");
        let all = [
            HistoryError::InUse { path: path.clone(), owner: "pid 7".to_owned() },
            HistoryError::Newer { path: path.clone(), version: 9, known: 1 },
            HistoryError::Older { path: path.clone(), version: 1 },
            HistoryError::Foreign(path.clone()),
            HistoryError::Missing(path.clone()),
            HistoryError::Gone(path.clone()),
            HistoryError::Corrupt { path: path.clone(), what: "x".to_owned() },
            HistoryError::ReadOnly { path: path.clone(), why: "x".to_owned() },
            HistoryError::Full(path.clone()),
            HistoryError::Busy(path.clone()),
            HistoryError::TooMany(path.clone()),
            HistoryError::Used(path.clone()),
            HistoryError::Io { path, why: "x".to_owned() },
        ];
        for error in all {
            let text = error.to_string();
            assert!(text.starts_with("/var/lib/a.db: ") && text.contains("\nhelp: "), "{text}");
        }
    }

    #[test]
    fn the_systems_reasons_keep_their_remedies() {
        let of = |kind: io::ErrorKind| HistoryError::io(Path::new("a"), &kind.into());
        assert!(matches!(of(io::ErrorKind::StorageFull), HistoryError::Full(_)));
        assert!(matches!(of(io::ErrorKind::PermissionDenied), HistoryError::ReadOnly { .. }));
        assert!(matches!(of(io::ErrorKind::NotFound), HistoryError::Missing(_)));
        assert!(matches!(of(io::ErrorKind::TimedOut), HistoryError::Io { .. }));
    }
}
