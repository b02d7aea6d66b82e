//! A queue as folders and files, over a local folder and over WebDAV.
//!
//! ```text
//! open/PAGE              a page that waits             open/PAGE.N/   one that was worked in part and returned
//! claims/VM.INSTANCE.N/  a claim: page, status.json, results/000007 or results/000007.error
//! done/PAGE.N/           a claim that is finished
//! control/VM.json        what operators and the engine ask of the VM's worker
//! ```
//!
//! Two things are atomic everywhere: that the source of a move disappears, and that a folder is made. All else is built on
//! them. A claim is a folder of its own, the page is moved into it. It is finished, returned and taken over by moving the
//! folder to a name that nobody else uses: what was sent to its old name before and arrives late finds nothing there. That is
//! also how an unknown answer becomes a known one: the folder is moved away, and then looked into.
//!
//! | file | its story |
//! | --- | --- |
//! | `names` | the names in the tree |
//! | `dir` | files in a folder |
//! | `http` | files on a WebDAV server |
//! | `multistatus` | a WebDAV server's listing |
//! | `reading` | a look, an overview, a page |
//! | `claiming` | a start, a claim, what is in doubt |
//! | `working` | results, the end of a claim, what a worker reports |
//! | `asking` | pages that are added, claims that are returned, what is asked of workers |
//! | `probe` | what keeps workers from claiming |

mod asking;
mod claiming;
mod dir;
mod http;
mod multistatus;
mod names;
mod probe;
mod reading;
mod working;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Trouble, now, random};
use crate::core::cluster::Timestamp;
use crate::core::queue::{Claim, Queue, QueueSource};

use self::claiming::{Doubt, RefusedPage, WorkerId};
use self::dir::Dir;
use self::http::Http;
use self::reading::KnownPage;

/// What is asked of a step that must not happen twice.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Certainty {
    /// It was done by this request.
    Yes,
    /// It was not done, and will not be.
    No(Trouble),
    /// It may have been done, or may still be done.
    Unknown(Trouble),
}

/// What lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FolderEntry {
    name: String,
    kind: EntryKind,
    /// 0 for a folder.
    bytes: u64,
    changed: Option<Timestamp>,
    /// Changes when a file is written or copied, but not when it is moved; `None`: the place has no such thing.
    tag: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    File,
    Folder,
    /// Neither, for this reason.
    Other(&'static str),
}

/// A place with folders and files. Paths have slashes between their parts, and every part was checked.
enum Tree {
    Dir(Dir),
    Http(Http),
}

/// A queue in a tree.
pub(super) struct TreeQueue {
    tree: Tree,
    /// Only this page is worked.
    page: Option<String>,
    big: String,
    remembered: Mutex<Remembered>,
}

/// What is known from before.
#[derive(Default)]
struct Remembered {
    me: Option<WorkerId>,
    /// Claims that were handed to the worker, and those in which nothing can be worked.
    held: BTreeSet<String>,
    doubts: Vec<Doubt>,
    refused: HashMap<String, RefusedPage>,
    /// Pages that were read for their grades.
    pages: HashMap<String, KnownPage>,
    /// Finished claims, which never change.
    finished: HashMap<String, Claim>,
    /// Whether all folders are there.
    has_folders: bool,
    last_number: u64,
}

impl Tree {
    /// That the place is there, and what is not as it should be with it.
    async fn warnings(&self) -> Result<Vec<String>, Trouble> {
        match self {
            Self::Dir(_) => Ok(Vec::new()),
            Self::Http(http) => http.warnings().await,
        }
    }

    /// What is in a folder; `None`: there is no such folder.
    async fn list(&self, folder: &str) -> Result<Option<Vec<FolderEntry>>, Trouble> {
        match self {
            Self::Dir(dir) => dir.list(folder, true).await,
            Self::Http(http) => http.list(folder, true).await,
        }
    }

    /// The names in a folder; `None`: there is no such folder. Cheaper than [`list`](Self::list).
    async fn names(&self, folder: &str) -> Result<Option<Vec<String>>, Trouble> {
        let entries = match self {
            Self::Dir(dir) => dir.list(folder, false).await?,
            Self::Http(http) => http.list(folder, false).await?,
        };
        Ok(entries.map(|entries| entries.into_iter().map(|entry| entry.name).collect()))
    }

    /// What is at a path; `None`: nothing.
    async fn look(&self, path: &str) -> Result<Option<FolderEntry>, Trouble> {
        match self {
            Self::Dir(dir) => dir.look(path).await,
            Self::Http(http) => http.look(path).await,
        }
    }

    /// A file of at most so many bytes; `None`: there is none.
    async fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Trouble> {
        match self {
            Self::Dir(dir) => dir.read(path, most).await,
            Self::Http(http) => http.read(path, most).await,
        }
    }

    /// Writes a whole file, in the place of one that is there. `unfinished` is a path under `claims/` for what is not whole yet.
    async fn write(&self, path: &str, bytes: Vec<u8>, unfinished: &str) -> Certainty {
        match self {
            Self::Dir(dir) => dir.write(path, bytes, unfinished, true).await,
            Self::Http(http) => http.write(path, bytes, true).await,
        }
    }

    /// The same, but never in the place of one that is there; that is a [`Certainty::No`] if it can be known.
    async fn write_new(&self, path: &str, bytes: Vec<u8>, unfinished: &str) -> Certainty {
        match self {
            Self::Dir(dir) => dir.write(path, bytes, unfinished, false).await,
            Self::Http(http) => http.write(path, bytes, false).await,
        }
    }

    /// Makes a folder. One that is there already is a [`Certainty::No`] if it can be known.
    async fn make(&self, folder: &str) -> Certainty {
        match self {
            Self::Dir(dir) => dir.make(folder).await,
            Self::Http(http) => http.make(folder).await,
        }
    }

    /// Moves a file to a name that is not taken.
    async fn move_file(&self, from: &str, to: &str) -> Certainty {
        match self {
            Self::Dir(dir) => dir.rename(from, to).await,
            Self::Http(http) => http.rename(from, to, false).await,
        }
    }

    /// Moves a folder to a name that is not taken.
    async fn move_folder(&self, from: &str, to: &str) -> Certainty {
        match self {
            Self::Dir(dir) => dir.rename(from, to).await,
            Self::Http(http) => http.rename(from, to, true).await,
        }
    }

    /// Removes a file, or a folder with all that is in it. One that is not there is removed.
    async fn remove(&self, path: &str) -> Result<(), Trouble> {
        match self {
            Self::Dir(dir) => dir.remove(path).await,
            Self::Http(http) => http.remove(path).await,
        }
    }
}

impl TreeQueue {
    /// The queue of a config.
    ///
    /// # Errors
    /// The config names no such place.
    pub fn new(queue: &Queue, deadline: Duration) -> Result<Self, Trouble> {
        let tree = match &queue.source {
            QueueSource::Dir { path } => Tree::Dir(Dir::new(path.clone(), deadline)),
            QueueSource::Http { url, user, password } => {
                Tree::Http(Http::new(url, user.clone(), password.clone(), deadline)?)
            }
            QueueSource::Mysql { .. } => return Err(Trouble::Refused("a database is no folder".to_owned())),
        };
        Ok(Self { tree, page: queue.page.clone(), big: queue.big.clone(), remembered: Mutex::default() })
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        // What is in it is whole after each statement.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that makes a name unique.
    fn number(&self) -> String {
        let mut remembered = self.remembered();
        let number = names::number(now().millis(), random()).max(remembered.last_number + 1);
        remembered.last_number = number;
        names::number_text(number)
    }

    /// A path for a file that is not whole yet.
    fn unfinished(&self) -> String {
        let number = self.number();
        let remembered = self.remembered();
        let whose = remembered.me.as_ref().map(|me| format!("{}.{}", me.vm, me.instance));
        let whose = whose.unwrap_or_else(super::new_instance);
        format!("{}/.{whose}.tmp-{number}", names::CLAIMS)
    }

    /// Makes the folders that are missing.
    async fn make_folders(&self) -> Result<(), Trouble> {
        if self.remembered().has_folders {
            return Ok(());
        }
        for folder in [names::OPEN, names::CLAIMS, names::DONE, names::CONTROL] {
            // Without the root nothing can be looked at.
            if matches!(self.tree.look(folder).await, Ok(Some(_))) {
                continue;
            }
            if let Certainty::No(trouble) | Certainty::Unknown(trouble) = self.tree.make(folder).await
                && self.tree.look(folder).await?.is_none()
            {
                return Err(trouble);
            }
        }
        self.remembered().has_folders = true;
        Ok(())
    }
}

/// Only a yes will do.
fn certainly(answer: Certainty) -> Result<(), Trouble> {
    match answer {
        Certainty::Yes => Ok(()),
        Certainty::No(trouble) | Certainty::Unknown(trouble) => Err(trouble),
    }
}

/// A path of these parts.
fn path(parts: &[&str]) -> String {
    parts.join("/")
}
