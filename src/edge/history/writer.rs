//! The store on a thread of its own, so that nobody waits for the disk.
//!
//! There is a bounded queue of batches, a bounded queue of orders, and a bell that rings when one of them has something.
//! After a panic the thread begins again, and tries again what it has not written.

use std::mem::Discriminant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::{Batch, HistoryError, HistoryFault, Store};
use crate::core::cluster::Timestamp;
use crate::edge::supervisor::{fault, supervise};

/// Batches that may wait.
const BATCHES: usize = 64;
/// Orders that may wait.
const ORDERS: usize = 16;
/// The most rows in one transaction.
const TOGETHER: usize = 1 << 15;
/// Maintenance interval while the file is written.
const TEND: Duration = Duration::from_secs(30);
/// Retry interval after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// After so many panics over one batch, the thread gives the batch up and writes the next ones.
const PANICS: u32 = 3;
/// How long dropping the writer waits for its last batches.
const LAST: Duration = Duration::from_secs(10);

/// What became of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything queued before is written.
    Written,
    /// It cannot be written. A note has said why.
    Failed,
    /// It is not written yet.
    Late,
}

/// What the writer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Everything offered up to this instant is in the file, and outlives the process.
    Written {
        /// The latest instant in it.
        through: Timestamp,
    },
    /// The history cannot be written, or is damaged: the file, the cause and the remedy. Told once for each cause.
    Trouble(String),
    /// It can be written again.
    Well,
    /// Its new size on the disk, in bytes.
    Size(u64),
}

enum WriterOrder {
    Flush(SyncSender<bool>),
    End,
}

/// A [`Store`] on its own thread. Dropping it tries once to write what is queued, and waits 10 seconds at most for that. It
/// does not wait at all if the last flush was late.
#[derive(Debug)]
pub struct HistoryWriter {
    batches: SyncSender<Batch>,
    orders: SyncSender<WriterOrder>,
    bell: SyncSender<()>,
    /// The thread rings it when it takes a batch out.
    room: Receiver<()>,
    troubled: Arc<AtomicBool>,
    /// The last flush was late.
    stuck: AtomicBool,
    /// Closes when the thread ends.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl HistoryWriter {
    /// Starts the thread `history`, which calls `notes`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(store: Store, notes: impl Fn(Note) + Send + Sync + 'static) -> Result<Self, HistoryError> {
        let (batches, waiting) = sync_channel(BATCHES);
        let (orders, ordered) = sync_channel(ORDERS);
        let (bell, rung) = sync_channel(1);
        let (made, room) = sync_channel(1);
        let troubled = Arc::new(AtomicBool::new(false));
        let path = store.path().to_owned();
        let (running, ended) = sync_channel(0);
        let notes = Arc::new(notes);
        let mut writer = WriterThread {
            store,
            notes: Arc::clone(&notes),
            batches: waiting,
            orders: ordered,
            room: made,
            troubled: Arc::clone(&troubled),
            pending: Batch::default(),
            attempts: 0,
            begun: false,
            recovering: false,
            trouble: None,
            damaged: false,
            tended: Instant::now(),
            dirty: false,
            now: None,
            size: 0,
        };
        let work = move || {
            let _running: SyncSender<()> = running;
            supervise("the history", |text| notes(Note::Trouble(text)), || writer.work(&rung));
        };
        let thread = Builder::new().name("history".to_owned()).spawn(work);
        let thread = thread.map_err(|why| HistoryFault::from(why).at(&path))?;
        Ok(Self { batches, orders, bell, room, troubled, stuck: AtomicBool::new(false), ended, thread: Some(thread) })
    }

    /// Queues a batch without ever waiting.
    ///
    /// # Errors
    /// Gives it back if 64 batches wait already: the disk is slower than the cluster, or cannot be written.
    #[expect(clippy::result_large_err, reason = "it is the batch that is given back")]
    pub fn offer(&self, batch: Batch) -> Result<(), Batch> {
        let queued = self.batches.try_send(batch);
        self.ring();
        queued.map_err(|refused| match refused {
            TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch,
        })
    }

    /// Queues a batch, and waits for room as long as the history can be written. Simulated time needs that: it goes as fast
    /// as the machine can.
    ///
    /// # Errors
    /// Gives it back if there is no room and the history is in trouble.
    #[expect(clippy::result_large_err, reason = "it is the batch that is given back")]
    pub fn put(&self, batch: Batch) -> Result<(), Batch> {
        let mut batch = batch;
        loop {
            match self.offer(batch) {
                Ok(()) => return Ok(()),
                Err(back) if self.troubled.load(Ordering::Acquire) || self.is_over() => return Err(back),
                Err(back) => batch = back,
            }
            // The thread rings for each batch that it takes. The deadline is for a thread that ends or fails meanwhile.
            let _ = self.room.recv_timeout(Duration::from_millis(100));
        }
    }

    /// Waits until everything queued before is written or has failed; at most so long.
    pub fn flush(&self, within: Duration) -> Flushed {
        let (done, wait) = sync_channel(1);
        let ordered = self.orders.try_send(WriterOrder::Flush(done)).is_ok();
        self.ring();
        let flushed = match wait.recv_timeout(if ordered { within } else { Duration::ZERO }) {
            Ok(true) => Flushed::Written,
            Ok(false) => Flushed::Failed,
            Err(_) => Flushed::Late,
        };
        self.stuck.store(flushed == Flushed::Late, Ordering::Release);
        flushed
    }

    fn ring(&self) {
        // A bell that has rung already is enough: the thread looks at both queues.
        let _ = self.bell.try_send(());
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for HistoryWriter {
    fn drop(&mut self) {
        // If the queue is full, the order is lost, but the thread also ends when the queue closes.
        let _ = self.orders.try_send(WriterOrder::End);
        self.ring();
        let patience = if self.stuck.load(Ordering::Acquire) { Duration::ZERO } else { LAST };
        let has_ended = self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        // A thread that waits for the disk ends with the process.
        if let Some(thread) = self.thread.take().filter(|_| has_ended) {
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct WriterThread<N> {
    store: Store,
    notes: Arc<N>,
    batches: Receiver<Batch>,
    orders: Receiver<WriterOrder>,
    room: SyncSender<()>,
    troubled: Arc<AtomicBool>,
    /// What is not written yet.
    pending: Batch,
    /// How often the thread tried to write it.
    attempts: u32,
    /// The work began before: this is a new beginning after a panic.
    begun: bool,
    /// The thread began again after a panic and has written nothing since.
    recovering: bool,
    /// The kind of error of the last write, if it failed.
    trouble: Option<Discriminant<HistoryFault>>,
    /// Maintenance found damage, and a note has said so.
    damaged: bool,
    tended: Instant,
    /// Something was written since the last maintenance.
    dirty: bool,
    /// The newest instant in the history, which is its present, simulated or not.
    now: Option<Timestamp>,
    size: u64,
}

impl<N: Fn(Note)> WriterThread<N> {
    /// Works until it is told to end. After a panic it goes on with what is not written.
    fn work(&mut self, bell: &Receiver<()>) {
        if std::mem::replace(&mut self.begun, true) {
            self.store.forget();
            self.recovering = true;
            if self.attempts >= PANICS {
                let lost = std::mem::take(&mut self.pending).len();
                self.attempts = 0;
                (self.notes)(Note::Trouble(format!("{lost} rows of the history were given up: writing them fails")));
            }
            self.try_again();
        }
        self.say_size();
        loop {
            let rung = match (self.trouble, self.dirty) {
                (Some(_), _) => bell.recv_timeout(RETRY),
                (None, true) => bell.recv_timeout(TEND.saturating_sub(self.tended.elapsed())),
                (None, false) => bell.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match rung {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) if self.trouble.is_some() => self.try_again(),
                Err(RecvTimeoutError::Timeout) => self.tend(),
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
            if self.look() {
                return self.end();
            }
        }
    }

    /// Empties both queues. `true`: it is told to end.
    fn look(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(WriterOrder::Flush(done)) => {
                    while self.trouble.is_none() && self.take() {
                        self.write();
                    }
                    // The caller may have given up.
                    let _ = done.try_send(self.trouble.is_none());
                }
                Ok(WriterOrder::End) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) if self.trouble.is_none() && self.take() => self.write(),
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// Called at intervals after a failure and not at each ring, because a busy cluster rings all the time.
    fn try_again(&mut self) {
        if self.pending.is_empty() {
            let done = self.store.probe();
            self.heard(done);
        } else {
            self.write();
        }
    }

    /// Makes a last attempt: one transaction with everything that waits.
    fn end(&mut self) {
        while let Ok(batch) = self.batches.try_recv() {
            self.pending.append(batch);
        }
        if !self.pending.is_empty() {
            self.write();
        }
    }

    /// Takes batches out to be written together. `false`: there is nothing.
    fn take(&mut self) -> bool {
        while self.pending.len() < TOGETHER {
            let Ok(batch) = self.batches.try_recv() else { break };
            let _ = self.room.try_send(());
            self.pending.append(batch);
        }
        !self.pending.is_empty()
    }

    fn write(&mut self) {
        self.attempts += 1;
        fault("history");
        let done = self.store.write(&self.pending);
        self.attempts = 0;
        if !self.heard(done) {
            return;
        }
        let batch = std::mem::take(&mut self.pending);
        self.dirty = true;
        if let Some(through) = batch.through() {
            self.now = self.now.max(Some(through));
            (self.notes)(Note::Written { through });
        }
        if self.store.is_behind() || self.tended.elapsed() >= TEND {
            self.tend();
        }
    }

    fn tend(&mut self) {
        if let Some(now) = self.now
            && let Err(error) = self.store.tend(now)
        {
            self.complain(&error);
        }
        if self.tended.elapsed() >= TEND {
            (self.tended, self.dirty) = (Instant::now(), false);
            self.say_size();
        }
    }

    /// Tells what changed by a write. `true`: the write went well.
    fn heard(&mut self, done: Result<(), HistoryError>) -> bool {
        match done {
            Ok(()) => {
                self.troubled.store(false, Ordering::Release);
                if self.trouble.take().is_some() | std::mem::take(&mut self.recovering) {
                    (self.notes)(Note::Well);
                }
                true
            }
            Err(error) => {
                self.troubled.store(true, Ordering::Release);
                let cause = std::mem::discriminant(&error.fault);
                if self.trouble.replace(cause) != Some(cause) {
                    (self.notes)(Note::Trouble(error.to_string()));
                }
                false
            }
        }
    }

    /// Tells once what maintenance found damaged. The next write shows whether the file can be written.
    fn complain(&mut self, error: &HistoryError) {
        if matches!(error.fault, HistoryFault::Corrupt(_)) && !std::mem::replace(&mut self.damaged, true) {
            (self.notes)(Note::Trouble(error.to_string()));
        }
    }

    fn say_size(&mut self) {
        let size = self.store.size();
        if size != self.size {
            self.size = size;
            (self.notes)(Note::Size(size));
        }
    }
}
