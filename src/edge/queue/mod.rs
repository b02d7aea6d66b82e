//! Job queues where administrators keep them: in a folder, on a WebDAV server, in a database.
//!
//! [`QueueStore`] is one API over all of them. The engine and the command line look at a queue through it; a worker claims,
//! delivers and finishes through it. Whatever happens between two steps, a page is worked by one worker, and each job has
//! one result.
//!
//! | file | its story |
//! | --- | --- |
//! | `tree` | folders and files: the claim protocol over a folder and over WebDAV |
//! | `mysql` | MariaDB and MySQL: claims as leases with tokens |
//! | `names` | what VMs and pages may be called |
//! | `worker` | claims pages and works their jobs, inside the VM |

mod mysql;
mod names;
mod tree;
pub mod worker;

use std::time::Duration;

use thiserror::Error;

pub use crate::core::queue::Held;

use crate::core::cluster::Timestamp;
use crate::core::queue::{
    Page, Queue, QueueLook, QueueOverview, QueueSource, Ranges, Rates, WorkerControl, WorkerStatus,
};

use self::mysql::MysqlQueue;
use self::tree::TreeQueue;

pub use self::mysql::SCHEMA;

/// How long one request to a source may take, unless set.
const REQUEST: Duration = Duration::from_secs(10);

/// Why a source was not read or changed: plain words with the remedy, without a password and without a URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    /// The source gave no answer, or no useful one. The same may work later.
    #[error("{0}")]
    Unreachable(String),
    /// The source said no, or what was asked is impossible.
    #[error("{0}")]
    Refused(String),
}

/// What became of a worker's step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It is done.
    Done,
    /// The claim is no longer this worker's, and nothing was done. Nothing more can be delivered for it.
    Lost(String),
    /// Nobody knows whether it was done: the same step must be tried again until it is done or lost.
    Unknown(String),
}

/// One queue in its source. It can be shared; every call ends by itself: each request has a deadline.
///
/// A call may be dropped at any instant, like a worker that is killed: [`begin`](Self::begin) and
/// [`settle_doubtful`](Self::settle_doubtful) go on from whatever it left.
pub struct QueueStore {
    kind: SourceKind,
}

/// The kinds of sources.
enum SourceKind {
    Tree(TreeQueue),
    Mysql(MysqlQueue),
}

impl QueueStore {
    /// The queue of a config. Nothing is read before the first call.
    ///
    /// # Errors
    /// [`Trouble::Refused`]: the config names no such source.
    pub fn new(queue: &Queue) -> Result<Self, Trouble> {
        Self::with_deadline(queue, REQUEST)
    }

    /// The same, with another deadline for each request.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_deadline(queue: &Queue, deadline: Duration) -> Result<Self, Trouble> {
        let kind = match &queue.source {
            QueueSource::Dir { .. } | QueueSource::Http { .. } => SourceKind::Tree(TreeQueue::new(queue, deadline)?),
            QueueSource::Mysql { .. } => SourceKind::Mysql(MysqlQueue::new(queue, deadline)?),
        };
        Ok(Self { kind })
    }

    /// Makes what is missing and proves that pages can be claimed here. Returns warnings.
    ///
    /// # Errors
    /// What keeps workers from claiming, with the remedy.
    pub async fn probe(&self) -> Result<Vec<String>, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.probe().await,
            SourceKind::Mysql(mysql) => mysql.probe().await,
        }
    }

    // ---- looking

    /// What concerns one VM.
    ///
    /// # Errors
    /// The source was not read.
    pub async fn look(&self, vm: &str) -> Result<QueueLook, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.look(vm).await,
            SourceKind::Mysql(mysql) => mysql.look(vm).await,
        }
    }

    /// The whole queue.
    ///
    /// # Errors
    /// The source was not read.
    pub async fn overview(&self) -> Result<QueueOverview, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.overview().await,
            SourceKind::Mysql(mysql) => mysql.overview().await,
        }
    }

    /// The page of a claim, also of a finished one.
    ///
    /// # Errors
    /// There is no such claim, it has no page, or the source was not read.
    pub async fn page(&self, claim: &str) -> Result<Page, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.page(claim).await,
            SourceKind::Mysql(mysql) => mysql.page(claim).await,
        }
    }

    /// A page that waits.
    ///
    /// # Errors
    /// There is none of this name, it is no page, or the source was not read.
    pub async fn open_page(&self, name: &str) -> Result<Page, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.open_page(name).await,
            SourceKind::Mysql(mysql) => mysql.open_page(name).await,
        }
    }

    /// Why a job of a claim was set aside; `None`: it was not.
    ///
    /// # Errors
    /// There is no such claim, or the source was not read.
    pub async fn error_of(&self, claim: &str, job: u32) -> Result<Option<String>, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.error_of(claim, job).await,
            SourceKind::Mysql(mysql) => mysql.error_of(claim, job).await,
        }
    }

    // ---- asking

    /// Adds a page under a name that is not taken. Returns where it is.
    ///
    /// # Errors
    /// It is no page, the name is taken or cannot be a page's, or the source was not changed.
    pub async fn add(&self, name: &str, bytes: Vec<u8>) -> Result<String, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.add(name, bytes).await,
            SourceKind::Mysql(mysql) => mysql.add(name, bytes).await,
        }
    }

    /// Returns a claim, so that any worker can go on with it. Its worker loses it. Returns the name under which it waits.
    ///
    /// # Errors
    /// There is no such claim, or it is not known whether it was returned.
    pub async fn give_back(&self, claim: &str) -> Result<String, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.give_back(claim).await,
            SourceKind::Mysql(mysql) => mysql.give_back(claim).await,
        }
    }

    /// Has jobs that were set aside tried again; none: all of the claim. A claim in work is tried again by its worker, a
    /// finished one waits again. Returns what happens, in a sentence.
    ///
    /// # Errors
    /// A job was not set aside, there is no such claim, or the source was not changed.
    pub async fn retry(&self, claim: &str, jobs: &Ranges) -> Result<String, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.retry(claim, jobs).await,
            SourceKind::Mysql(mysql) => mysql.retry(claim, jobs).await,
        }
    }

    /// What is asked of a VM's worker.
    ///
    /// # Errors
    /// The source was not read.
    pub async fn control(&self, vm: &str) -> Result<WorkerControl, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.control(vm).await,
            SourceKind::Mysql(mysql) => mysql.control(vm).await,
        }
    }

    /// Changes what is asked of a VM's worker. `change` sets its own part and leaves the rest; it may be called several times,
    /// and must set the same each time. Returns what is asked then.
    ///
    /// # Errors
    /// The source was not changed.
    pub async fn ask(&self, vm: &str, change: &(dyn Fn(&mut WorkerControl) + Sync)) -> Result<WorkerControl, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.ask(vm, change).await,
            SourceKind::Mysql(mysql) => mysql.ask(vm, change).await,
        }
    }

    // ---- working

    /// A worker starts: it takes its VM's claims over from earlier starts, and the rates they have learned. After an error it
    /// begins again; nothing is lost by it.
    ///
    /// # Errors
    /// The VM's name cannot be used here, or the source was not read or changed.
    pub async fn begin(&self, vm: &str, instance: &str) -> Result<(Vec<Held>, Rates), Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.begin(vm, instance).await,
            SourceKind::Mysql(mysql) => mysql.begin(vm, instance).await,
        }
    }

    /// Claims the oldest page that can be worked; `None`: none waits. Only after [`begin`](Self::begin), one call at a time.
    ///
    /// # Errors
    /// The source did not answer, or refuses claims. A page may have been claimed nevertheless: see
    /// [`doubtful`](Self::doubtful).
    pub async fn claim(&self) -> Result<Option<Held>, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.claim().await,
            SourceKind::Mysql(mysql) => mysql.claim().await,
        }
    }

    /// Claims of which it is not known yet whether they were made.
    pub fn doubtful(&self) -> u32 {
        match &self.kind {
            SourceKind::Tree(tree) => tree.doubtful(),
            SourceKind::Mysql(mysql) => mysql.doubtful(),
        }
    }

    /// Looks for claims of this worker of which it does not know, and returns them: those that were in doubt, and those that an
    /// earlier start of its VM has made since. To be called at each poll, before [`claim`](Self::claim).
    ///
    /// # Errors
    /// The source did not answer; what is in doubt stays so.
    pub async fn settle_doubtful(&self) -> Result<Vec<Held>, Trouble> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.settle_doubtful().await,
            SourceKind::Mysql(mysql) => mysql.settle_doubtful().await,
        }
    }

    /// Pages that [`claim`](Self::claim) does not work, with the reasons.
    pub fn refused(&self) -> Vec<(String, String)> {
        match &self.kind {
            SourceKind::Tree(tree) => tree.refused(),
            SourceKind::Mysql(mysql) => mysql.refused(),
        }
    }

    /// Writes a claim's status.
    pub async fn save(&self, held: &Held) -> Delivery {
        match &self.kind {
            SourceKind::Tree(tree) => tree.save(held).await,
            SourceKind::Mysql(mysql) => mysql.save(held).await,
        }
    }

    /// Delivers a job's output, or the error for which it is set aside.
    pub async fn deliver(&self, held: &Held, job: u32, result: Result<&[u8], &str>) -> Delivery {
        match &self.kind {
            SourceKind::Tree(tree) => tree.deliver(held, job, result).await,
            SourceKind::Mysql(mysql) => mysql.deliver(held, job, result).await,
        }
    }

    /// Takes back the errors of jobs that are to be tried again; none: of all. They are neither failed nor begun afterwards.
    pub async fn try_again(&self, held: &mut Held, jobs: &Ranges) -> Delivery {
        match &self.kind {
            SourceKind::Tree(tree) => tree.try_again(held, jobs).await,
            SourceKind::Mysql(mysql) => mysql.try_again(held, jobs).await,
        }
    }

    /// Ends a claim of which every job has a result.
    pub async fn finish(&self, held: &Held) -> Delivery {
        match &self.kind {
            SourceKind::Tree(tree) => tree.finish(held).await,
            SourceKind::Mysql(mysql) => mysql.finish(held).await,
        }
    }

    /// Returns a claim half done, so that any worker can go on with it.
    pub async fn return_claim(&self, held: &Held) -> Delivery {
        match &self.kind {
            SourceKind::Tree(tree) => tree.return_claim(held).await,
            SourceKind::Mysql(mysql) => mysql.return_claim(held).await,
        }
    }

    /// Renews a claim: whether it is still this worker's.
    pub async fn renew(&self, held: &Held) -> Delivery {
        match &self.kind {
            SourceKind::Tree(tree) => tree.renew(held).await,
            SourceKind::Mysql(mysql) => mysql.renew(held).await,
        }
    }

    /// Writes what a worker reports of itself. [`Delivery::Lost`]: a later start of its VM's worker has taken over; this one
    /// must end.
    pub async fn report(&self, worker: &WorkerStatus) -> Delivery {
        match &self.kind {
            SourceKind::Tree(tree) => tree.report(worker).await,
            SourceKind::Mysql(mysql) => mysql.report(worker).await,
        }
    }
}

/// The wall clock.
fn now() -> Timestamp {
    chrono::Utc::now().into()
}

/// A new instance: twelve random hexadecimal digits, for a worker's start.
pub fn new_instance() -> String {
    format!("{:012x}", random() >> 16)
}

/// A random number. Every `RandomState` has other keys, from the system's randomness.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker delivers on one task and renews on another; the engine looks on a third. This is a matter of compiling.
    #[test]
    fn every_call_may_go_to_another_thread() {
        fn goes<F: Future + Send>(_: F) {}
        #[expect(dead_code, reason = "it is only compiled")]
        fn calls(store: &QueueStore, held: &Held, again: &mut Held, worker: &WorkerStatus) {
            goes(store.probe());
            goes(store.look("vm"));
            goes(store.overview());
            goes(store.page("claim"));
            goes(store.open_page("page"));
            goes(store.error_of("claim", 1));
            goes(store.add("page", Vec::new()));
            goes(store.give_back("claim"));
            goes(store.retry("claim", &Ranges::new()));
            goes(store.control("vm"));
            goes(store.ask("vm", &|control| control.site = None));
            goes(store.begin("vm", "instance"));
            goes(store.claim());
            goes(store.settle_doubtful());
            goes(store.save(held));
            goes(store.deliver(held, 1, Ok(b"")));
            goes(store.try_again(again, &Ranges::new()));
            goes(store.finish(held));
            goes(store.return_claim(held));
            goes(store.renew(held));
            goes(store.report(worker));
        }
    }
}
