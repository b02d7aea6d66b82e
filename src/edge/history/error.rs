//! What can be wrong with a history, in words for an operator.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Error, ErrorCode};
use thiserror::Error as ThisError;

/// Why a history cannot be opened, written or read.
#[derive(Debug, ThisError)]
#[error("{}: {fault}", path.display())]
pub struct HistoryError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: HistoryFault,
}

/// What is wrong with a history, and the remedy.
#[derive(Debug, ThisError)]
pub enum HistoryFault {
    /// Another engine writes it: who, as its lock says.
    #[error(
        "in use by another whimbrel ({0})\n\
         help: stop that one: two would both move the VMs. `whimbrel report` and `whimbrel drain` work beside it"
    )]
    InUse(String),
    /// A later version wrote it.
    #[error(
        "written by a newer whimbrel (form {version}, this one knows up to {known})\n\
         help: upgrade whimbrel, or give it another file; this one is left as it is"
    )]
    Newer {
        /// The file's form.
        version: i64,
        /// The newest form this program knows.
        known: i64,
    },
    /// An earlier version wrote it, in this form, and this was opened for reading alone.
    #[error(
        "written by an older whimbrel (form {0})\n\
         help: open it once for writing (whimbrel or whimbrel run), which brings it up to date"
    )]
    Older(i64),
    /// It is something else.
    #[error("not a history of whimbrel\nhelp: give the history another file; this one is left as it is")]
    Foreign,
    /// There is nothing to read.
    #[error("no history there\nhelp: one begins with the first whimbrel or whimbrel run")]
    Missing,
    /// The file that was being written is no longer there, or another one is.
    #[error(
        "removed or replaced while it was written: nothing is kept\n\
         help: put it back, and writing goes on by itself; or start whimbrel again, which begins a new one"
    )]
    Gone,
    /// It is damaged: this was found.
    #[error(
        "damaged ({0})\nhelp: stop whimbrel and move the file aside, or save what can be saved with sqlite3 FILE .recover"
    )]
    Corrupt(String),
    /// It, or its folder, cannot be written, in the system's words.
    #[error("cannot be written ({0})\nhelp: give this user the right to write the file and its folder")]
    ReadOnly(String),
    /// The file system has no room.
    #[error("the disk is full\nhelp: make room there, and writing goes on by itself")]
    Full,
    /// Another program has it locked.
    #[error("locked by another program\nhelp: end what has it open, such as sqlite3")]
    Busy,
    /// More names than the file's form can number.
    #[error("too many VMs\nhelp: begin a new file")]
    TooMany,
    /// Another run's history is in it.
    #[error("it has a history already, and a simulated run begins anew\nhelp: name a file that is not there")]
    Used,
    /// The system said no, in its words.
    #[error("{0}\nhelp: look after the disk and the folder, and writing goes on by itself")]
    Io(String),
}

impl HistoryFault {
    /// The error of the history at this path.
    pub fn at(self, path: &Path) -> HistoryError {
        HistoryError { path: path.to_owned(), fault: self }
    }
}

impl From<io::Error> for HistoryFault {
    fn from(why: io::Error) -> Self {
        match why.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(why.to_string()),
            _ => Self::Io(why.to_string()),
        }
    }
}

impl From<Error> for HistoryFault {
    fn from(error: Error) -> Self {
        let why = error.to_string();
        // Without a code the file has something that whimbrel did not write.
        let Error::SqliteFailure(failure, _) = error else { return Self::Corrupt(why) };
        match failure.code {
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => Self::Corrupt(why),
            ErrorCode::NotADatabase => Self::Foreign,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => Self::Busy,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly(why),
            _ => Self::Io(why),
        }
    }
}

impl From<serde_json::Error> for HistoryFault {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(format!("not the JSON that was written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_names_the_file_and_the_remedy() {
        let all = [
            HistoryFault::InUse("pid 7".to_owned()),
            HistoryFault::Newer { version: 9, known: 1 },
            HistoryFault::Older(1),
            HistoryFault::Foreign,
            HistoryFault::Missing,
            HistoryFault::Gone,
            HistoryFault::Corrupt("x".to_owned()),
            HistoryFault::ReadOnly("x".to_owned()),
            HistoryFault::Full,
            HistoryFault::Busy,
            HistoryFault::TooMany,
            HistoryFault::Used,
            HistoryFault::Io("x".to_owned()),
        ];
        for fault in all {
            let text = fault.at(Path::new("/var/lib/a.db")).to_string();
            assert!(text.starts_with("/var/lib/a.db: ") && text.contains("\nhelp: "), "{text}");
        }
    }

    #[test]
    fn the_systems_reasons_keep_their_remedies() {
        let of = |kind: io::ErrorKind| HistoryFault::from(io::Error::from(kind));
        assert!(matches!(of(io::ErrorKind::StorageFull), HistoryFault::Full));
        assert!(matches!(of(io::ErrorKind::PermissionDenied), HistoryFault::ReadOnly(_)));
        assert!(matches!(of(io::ErrorKind::NotFound), HistoryFault::Missing));
        assert!(matches!(of(io::ErrorKind::TimedOut), HistoryFault::Io(_)));
    }
}
