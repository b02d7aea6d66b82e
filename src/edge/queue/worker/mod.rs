//! The worker: claims pages, works their jobs, delivers the results. It runs inside the VM and needs no engine.
//!
//! | file | its story |
//! | --- | --- |
//! | `run` | the loop: what is asked, begun, delivered; the end |
//! | `claims` | its own claims, those it makes, those it loses |
//! | `report` | what it says, and what it reports of itself |
//! | `active` | the claim that is worked: tries that run, results on their way |
//! | `jobs` | one try of a job |
//! | `heartbeat` | the sign of life, and the renewal of claims, on a task of its own |
//! | `patience` | what keeps the worker from working, and when it tries again |
//! | `event` | what a worker says |

mod active;
mod claims;
mod event;
mod heartbeat;
mod jobs;
mod patience;
mod report;
mod run;
#[cfg(test)]
mod tests;

pub use event::{WorkEvent, WorkHappened};

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::active::ActiveClaim;
use self::heartbeat::{Beat, Pulse};
use self::patience::Patience;
use super::{QueueStore, new_instance, now};
use crate::core::cluster::Span;
use crate::core::queue::{Held, JobKind, Queue, Rates, WorkerControl, WorkerOrder, WorkerStatus};

/// How often to look at what is asked, and at what is in doubt.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The queue.
    pub queue: Queue,
    /// The VM.
    pub vm: String,
    /// Where it is; `None`: where its control says.
    pub site: Option<String>,
    /// Where it is if nobody says.
    pub home: String,
    /// The time between two looks at a queue without a page. Above zero.
    pub interval: Span,
    /// End when no page waits.
    pub once: bool,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEnd {
    /// In order: it was told to, or it was to end when no page waits.
    InOrder,
    /// At once: it was told twice.
    AtOnce,
    /// A later start of the same VM's worker has taken over.
    TakenOver(String),
    /// Its queue cannot be worked.
    Unusable(String),
    /// It was told to end and could not deliver what it had.
    Undelivered(String),
    /// By a fault of the program's own.
    Fault(String),
}

/// A worker of one VM.
pub struct QueueWorker {
    settings: WorkerSettings,
    kind: Arc<JobKind>,
    store: Arc<QueueStore>,
    instance: String,
    say: Box<dyn FnMut(WorkEvent) + Send>,
    /// What is asked of it.
    control: WorkerControl,
    look_at: Instant,
    /// The order that keeps it from working, as it was said.
    order: Option<WorkerOrder>,
    rates: Rates,
    active: Option<ActiveClaim>,
    /// Its other claims.
    held: VecDeque<Arc<Held>>,
    poll_at: Instant,
    is_idle: bool,
    /// Pages that are not worked, as it was said.
    refused: Vec<(String, String)>,
    unknown: u32,
    patience: Patience,
    saved_at: Instant,
    /// Since when it has been told to end.
    ending: Option<Instant>,
    beats: watch::Sender<Beat>,
    rates_at: Instant,
    pulse: watch::Receiver<Pulse>,
    heart: Option<JoinHandle<()>>,
    /// It claims nothing before this version is reported.
    must_report: u64,
}

/// A loop's turn that goes on, or the end.
type Turn<T = ()> = Result<T, WorkerEnd>;

impl QueueWorker {
    /// A worker of a queue. `say` gets what happens, and must not wait.
    pub fn new(settings: WorkerSettings, store: QueueStore, say: Box<dyn FnMut(WorkEvent) + Send>) -> Self {
        let (vm, instance, at) = (settings.vm.clone(), new_instance(), Instant::now());
        let worker = WorkerStatus { vm, instance: instance.clone(), ..WorkerStatus::default() };
        Self {
            kind: Arc::new(settings.queue.job.clone()),
            settings,
            store: Arc::new(store),
            instance,
            say,
            control: WorkerControl::default(),
            look_at: at,
            order: None,
            rates: Rates::default(),
            active: None,
            held: VecDeque::new(),
            poll_at: at,
            is_idle: false,
            refused: Vec::new(),
            unknown: 0,
            patience: Patience::default(),
            saved_at: at,
            ending: None,
            beats: watch::Sender::new(Beat { version: 0, worker, held: Vec::new() }),
            rates_at: at,
            pulse: watch::Sender::new(Pulse::default()).subscribe(),
            heart: None,
            must_report: 0,
        }
    }
}
