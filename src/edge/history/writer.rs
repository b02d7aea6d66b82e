//! The store on a thread of its own: whoever asks never waits for the disk.
//!
//! Two bounded queues, batches and what is urgent, and a bell that says that there is something in one of them.

use std::mem::Discriminant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::{Batch, HistoryError, Journalled, Store};
use crate::core::cluster::{RequestId, Timestamp};

/// Batches that may wait.
const BATCHES: usize = 64;
/// Journal rows that may wait. No cluster's budget allows as many migrations at once.
const URGENT: usize = 1_024;
/// Rows that are written in one transaction, if as many wait.
const TOGETHER: usize = 1 << 15;
/// The file is tended to so often while it is written.
const TEND: Duration = Duration::from_secs(30);
/// After a failure, it is tried again so often.
const RETRY: Duration = Duration::from_secs(1);
/// A flush is given up after this.
const FLUSH: Duration = Duration::from_secs(2);

/// What the keeper has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A migration is written down; or it could not be, and [`Note::Trouble`] said why before: it may start.
    Journalled(RequestId),
    /// Everything offered up to this instant survives the process.
    Written {
        /// The latest instant in it.
        through: Timestamp,
    },
    /// The history cannot be written, or is damaged: the file, what, and the remedy. Once per cause.
    Trouble(String),
    /// It is written again.
    Well,
    /// Bytes on the disk, when that has changed.
    Size(u64),
}

enum Urgent {
    Journal(Journalled),
    Settle(RequestId, String),
    Flush(SyncSender<bool>),
    End,
}

/// A [`Store`] on its own thread. Dropping it writes what is queued, once, and ends.
#[derive(Debug)]
pub struct HistoryWriter {
    batches: SyncSender<Batch>,
    urgent: SyncSender<Urgent>,
    bell: SyncSender<()>,
    /// Rung by the thread when a batch has been taken out.
    room: Receiver<()>,
    troubled: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HistoryWriter {
    /// Starts the thread `history`. It says what it has to say on that thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(store: Store, notes: impl Fn(Note) + Send + 'static) -> Result<Self, HistoryError> {
        let (batches, waiting) = sync_channel(BATCHES);
        let (urgent, urgently) = sync_channel(URGENT);
        let (bell, rung) = sync_channel(1);
        let (made, room) = sync_channel(1);
        let troubled = Arc::new(AtomicBool::new(false));
        let path = store.path().to_owned();
        let desk = WriterThread {
            store,
            notes,
            batches: waiting,
            urgent: urgently,
            room: made,
            troubled: Arc::clone(&troubled),
            pending: Batch::default(),
            trouble: None,
            damaged: false,
            tended: Instant::now(),
            dirty: false,
            now: None,
            size: 0,
        };
        let thread = Builder::new().name("history".to_owned()).spawn(move || desk.work(&rung));
        let thread = thread.map_err(|why| HistoryError::io(&path, &why))?;
        Ok(Self { batches, urgent, bell, room, troubled, thread: Some(thread) })
    }

    /// Queues a batch without ever waiting.
    ///
    /// # Errors
    /// Gives it back if 64 are waiting: the disk is slower than the cluster, or cannot be written.
    #[expect(clippy::result_large_err, reason = "it is the batch that is given back")]
    pub fn offer(&self, batch: Batch) -> Result<(), Batch> {
        let queued = self.batches.try_send(batch);
        self.ring();
        queued.map_err(|refused| match refused {
            TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch,
        })
    }

    /// Queues a batch, and waits for room as long as the history is written: for simulated time, which goes as fast as
    /// the machine can.
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
            // The thread rings for each batch that it takes; the pause is for one that ends or fails meanwhile.
            let _ = self.room.recv_timeout(Duration::from_millis(100));
        }
    }

    /// Has a migration written down, ahead of all batches, and answers with [`Note::Journalled`]: also after a failure, as
    /// the engine goes on without a history.
    ///
    /// # Errors
    /// Gives it back if 1,024 are waiting or the thread has ended: nothing is answered then, and it may start.
    pub fn journal(&self, about: Journalled) -> Result<(), Journalled> {
        match self.send(Urgent::Journal(about)) {
            Err(Urgent::Journal(about)) => Err(about),
            _ => Ok(()),
        }
    }

    /// Has a migration's end written down, after its begin. In trouble, or with 1,024 waiting, it is left out: a restarted
    /// engine then asks the hosts how that one ended.
    pub fn settle(&self, id: RequestId, outcome: &str) {
        // Left out, as said.
        let _ = self.send(Urgent::Settle(id, outcome.to_owned()));
    }

    /// Waits until everything queued before is written, or could not be; at most 2 seconds. `true`: it is written.
    pub fn flush(&self) -> bool {
        let (done, wait) = sync_channel(1);
        self.send(Urgent::Flush(done)).is_ok() && wait.recv_timeout(FLUSH).unwrap_or(false)
    }

    fn send(&self, urgent: Urgent) -> Result<(), Urgent> {
        let queued = self.urgent.try_send(urgent);
        self.ring();
        queued.map_err(|refused| match refused {
            TrySendError::Full(urgent) | TrySendError::Disconnected(urgent) => urgent,
        })
    }

    fn ring(&self) {
        // Rung already: the thread will look at both queues.
        let _ = self.bell.try_send(());
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for HistoryWriter {
    fn drop(&mut self) {
        // A full queue is being worked off: this may wait, as nothing comes after it.
        let _ = self.bell.try_send(());
        let _ = self.urgent.send(Urgent::End);
        self.ring();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported where it happened.
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct WriterThread<N> {
    store: Store,
    notes: N,
    batches: Receiver<Batch>,
    urgent: Receiver<Urgent>,
    room: SyncSender<()>,
    troubled: Arc<AtomicBool>,
    /// What could not be written yet.
    pending: Batch,
    /// The kind of error that keeps it from being written.
    trouble: Option<Discriminant<HistoryError>>,
    /// Damage was found while tending, and said.
    damaged: bool,
    tended: Instant,
    /// Something was written since then.
    dirty: bool,
    /// The newest instant there is anything of: the history's time, simulated or not.
    now: Option<Timestamp>,
    size: u64,
}

impl<N: Fn(Note)> WriterThread<N> {
    fn work(mut self, bell: &Receiver<()>) {
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

    /// Works both queues off. `true`: it is over.
    fn look(&mut self) -> bool {
        loop {
            match self.urgent.try_recv() {
                Ok(Urgent::Journal(about)) => {
                    let (id, done) = (about.id, self.store.journal(&about));
                    self.heard(done);
                    (self.notes)(Note::Journalled(id));
                }
                Ok(Urgent::Settle(id, outcome)) => {
                    let done = self.store.settle(id, &outcome);
                    self.heard(done);
                }
                Ok(Urgent::Flush(done)) => {
                    while self.trouble.is_none() && self.take() {
                        self.write();
                    }
                    // Whoever asked may have gone.
                    let _ = done.try_send(self.trouble.is_none());
                }
                Ok(Urgent::End) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) if self.trouble.is_none() && self.take() => self.write(),
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// Now and then after a failure, not at each ring: a busy cluster would have a broken disk asked all the time.
    fn try_again(&mut self) {
        if self.pending.is_empty() {
            let done = self.store.probe();
            self.heard(done);
        } else {
            self.write();
        }
    }

    /// The last attempt: one transaction with all there is.
    fn end(mut self) {
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
        let done = self.store.write(&self.pending);
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

    /// Says what is new about a write. `true`: it went well.
    fn heard(&mut self, done: Result<(), HistoryError>) -> bool {
        match done {
            Ok(()) => {
                self.troubled.store(false, Ordering::Release);
                if self.trouble.take().is_some() {
                    (self.notes)(Note::Well);
                }
                true
            }
            Err(error) => {
                self.troubled.store(true, Ordering::Release);
                let cause = std::mem::discriminant(&error);
                if self.trouble.replace(cause) != Some(cause) {
                    (self.notes)(Note::Trouble(error.to_string()));
                }
                false
            }
        }
    }

    /// Says once what was found damaged while tending. Whether the file can be written, the next write says for itself.
    fn complain(&mut self, error: &HistoryError) {
        if matches!(error, HistoryError::Corrupt { .. }) && !std::mem::replace(&mut self.damaged, true) {
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
