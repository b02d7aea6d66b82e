//! The journal on a thread of its own: the engine never waits for a disk, and a migration never starts without it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::core::cluster::{RequestId, Timestamp};
use crate::core::engine::{Event, InFlight};
use crate::edge::journal::{Journal, JournalError};
use crate::edge::supervisor::{fault, supervise};

/// Orders and answers that the queues hold at most: more than any cluster's budget allows migrations at once.
const WAITING: usize = 1_024;
/// A migration that is not written down after this long does not start.
const DEADLINE: Duration = Duration::from_secs(5);

enum JournalOrder {
    Begin(Timestamp, InFlight),
    Settle(RequestId, String),
    Flush(SyncSender<()>),
}

/// Something wrong with the journal, with the file and the remedy.
const fn trouble(text: String) -> Event {
    Event::Trouble { vm: None, text }
}

/// A [`Journal`] on its own thread.
pub struct JournalWriter {
    path: PathBuf,
    orders: SyncSender<JournalOrder>,
    answers: mpsc::Receiver<Event>,
    /// Migrations that wait to be written, and since when.
    waiting: Vec<(RequestId, Instant)>,
    /// Answers made on this side of the queue; given out first.
    ready: VecDeque<Event>,
}

impl JournalWriter {
    /// Starts the thread `journal`. If the journal cannot be opened, no migration starts until it can be.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(path: &Path, owner: &str, journal: Result<Journal, JournalError>) -> std::io::Result<Self> {
        let (orders, ordered) = sync_channel(WAITING);
        // Each order makes at most two answers. If one finds no room, the deadline takes its place.
        let (tell, answers) = mpsc::channel(WAITING);
        let mut ready = VecDeque::new();
        if let Err(why) = &journal {
            ready.push_back(trouble(why.to_string()));
        }
        let said = journal.as_ref().err().map(ToString::to_string);
        let mut thread =
            JournalThread { path: path.to_owned(), owner: owner.to_owned(), journal: journal.ok(), said, tell };
        let tell = thread.tell.clone();
        let work = move || {
            let report = |text| drop(tell.try_send(trouble(text)));
            supervise("the journal", report, || thread.work(&ordered));
        };
        thread::Builder::new().name("journal".to_owned()).spawn(work)?;
        Ok(Self { path: path.to_owned(), orders, answers, waiting: Vec::new(), ready })
    }

    /// Orders a migration to be written. [`next`](Self::next) returns the result.
    pub fn begin(&mut self, at: Timestamp, migration: InFlight) {
        let id = migration.route.id;
        info!(id = id.0, vm = %migration.route.vm, from = %migration.route.from, to = %migration.route.to, "journal: begin");
        match self.orders.try_send(JournalOrder::Begin(at, migration)) {
            Ok(()) => self.waiting.push((id, Instant::now())),
            Err(_) => self.ready.push_back(Event::NotJournalled { id, why: "the journal does not keep up".to_owned() }),
        }
    }

    /// Orders a migration's end to be written. If the queue is full, this is left out with an alarm, and the next engine finds
    /// out how it ended.
    pub fn settle(&mut self, id: RequestId, outcome: &str) {
        info!(id = id.0, outcome, "journal: settle");
        if self.orders.try_send(JournalOrder::Settle(id, outcome.to_owned())).is_err() {
            let file = self.path.display();
            self.ready.push_back(trouble(format!(
                "{file}: the end of request #{} is not written down, because the disk does not keep up\nhelp: check the \
                 disk; the next whimbrel finds out how it ended",
                id.0
            )));
        }
    }

    /// Whether a migration waits to be written down.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.ready.is_empty()
    }

    /// Waits for what the engine is to be told next: a migration is written down, or it is not, or something is wrong with the journal.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(answer) = self.ready.pop_front() {
                return answer;
            }
            let due = self.waiting.first().map(|(_, since)| *since + DEADLINE);
            let overdue = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(answer) = self.answers.recv() => {
                    if self.is_expected(&answer) {
                        return answer;
                    }
                }
                () = overdue => self.give_up(),
            }
        }
    }

    /// Waits until all earlier orders are done, for at most this time. `true`: they are.
    pub fn flush(&self, within: Duration) -> bool {
        let (done, wait) = sync_channel(1);
        // A thread that panics drops the order: the wait then ends without an answer.
        self.orders.try_send(JournalOrder::Flush(done)).is_ok() && wait.recv_timeout(within).is_ok()
    }

    /// Takes an answer's migration off the list. An answer after the deadline is ignored: that migration has ended.
    fn is_expected(&mut self, answer: &Event) -> bool {
        let (Event::Journalled { id } | Event::NotJournalled { id, .. }) = answer else { return true };
        let before = self.waiting.len();
        self.waiting.retain(|(waiting, _)| waiting != id);
        let is_late = self.waiting.len() == before;
        if is_late {
            warn!(id = id.0, "journal: an answer came after its deadline");
        }
        !is_late
    }

    /// A migration that waits past the deadline does not start. If its line is written later, its end follows at once.
    fn give_up(&mut self) {
        let now = Instant::now();
        let late: Vec<_> = self.waiting.extract_if(.., |(_, since)| *since + DEADLINE <= now).collect();
        self.ready.push_back(trouble(format!(
            "{}: not written within {} s, so no migration starts\nhelp: check the disk; the next migration tries again",
            self.path.display(),
            DEADLINE.as_secs()
        )));
        for (id, _) in late {
            self.settle(id, "not started");
            self.ready.push_back(Event::NotJournalled { id, why: "the journal's disk does not answer".to_owned() });
        }
    }
}

/// The part that runs on the thread.
struct JournalThread {
    path: PathBuf,
    owner: String,
    /// `None`: it could not be opened.
    journal: Option<Journal>,
    /// The last problem reported.
    said: Option<String>,
    tell: mpsc::Sender<Event>,
}

impl JournalThread {
    fn work(&mut self, orders: &Receiver<JournalOrder>) {
        while let Ok(order) = orders.recv() {
            fault("journal");
            match order {
                JournalOrder::Begin(at, migration) => {
                    let id = migration.route.id;
                    let done = self.begin(at, migration);
                    self.tell(match done {
                        Ok(()) => Event::Journalled { id },
                        Err(why) => Event::NotJournalled { id, why },
                    });
                }
                JournalOrder::Settle(id, outcome) => {
                    let done = self.journal.as_mut().map_or(Ok(()), |journal| journal.settle(id, &outcome));
                    if let Err(error) = done {
                        self.complain(&error);
                    }
                }
                // The caller may have gone.
                JournalOrder::Flush(done) => drop(done.try_send(())),
            }
        }
    }

    fn begin(&mut self, at: Timestamp, migration: InFlight) -> Result<(), String> {
        let done = self.opened().and_then(|journal| journal.begin(at, migration));
        match done {
            Ok(()) => {
                self.said = None;
                Ok(())
            }
            Err(error) => {
                self.complain(&error);
                Err(error.short())
            }
        }
    }

    /// The journal. If it could not be opened, this tries again.
    fn opened(&mut self) -> Result<&mut Journal, JournalError> {
        if self.journal.is_none() {
            let journal = Journal::open(&self.path, &self.owner)?;
            // An engine that began without these would start them a second time.
            if journal.under_way().next().is_some() {
                return Err(JournalError::Unknown(self.path.clone()));
            }
            self.journal = Some(journal);
        }
        Ok(self.journal.as_mut().expect("it was opened above"))
    }

    /// Reports a problem, once per cause.
    fn complain(&mut self, error: &JournalError) {
        let text = error.to_string();
        if self.said.as_ref() != Some(&text) {
            self.said = Some(text.clone());
            self.tell(trouble(text));
        }
    }

    fn tell(&self, answer: Event) {
        // If the queue is full, the deadline answers. If nobody listens, the engine has ended.
        let _ = self.tell.try_send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(id: u64) -> InFlight {
        let text = format!(r#"{{"id":{id},"vm":"nii1","from":"mln1","to":"mln2","action":"move","by":"policy"}}"#);
        serde_json::from_str(&text).expect("a migration")
    }

    fn started(path: &Path) -> JournalWriter {
        JournalWriter::start(path, "a.toml", Journal::open(path, "a.toml")).expect("a thread")
    }

    const AT: Timestamp = Timestamp::from_secs(1_241_613_600);

    #[tokio::test]
    async fn what_is_written_down_is_answered_and_lasts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.journal");
        let mut journal = started(&path);
        assert!(!journal.is_waiting());
        journal.begin(AT, migration(1));
        journal.begin(AT, migration(2));
        assert!(journal.is_waiting());
        assert_eq!(journal.next().await, Event::Journalled { id: RequestId(1) });
        assert_eq!(journal.next().await, Event::Journalled { id: RequestId(2) });
        journal.settle(RequestId(1), "confirmed");
        assert!(journal.flush(Duration::from_secs(60)) && !journal.is_waiting());
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(text.contains(r#""settle":{"id":1,"outcome":"confirmed"}"#), "{text}");
    }

    #[tokio::test]
    async fn what_cannot_be_written_down_is_refused_and_said_once_with_the_file_and_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.journal");
        std::fs::create_dir(&path).expect("a folder in its place");
        let mut journal = started(&path);
        for id in [1, 2] {
            journal.begin(AT, migration(id));
        }
        let Event::Trouble { text, .. } = journal.next().await else { panic!("no trouble") };
        assert!(text.contains("a.journal: ") && text.contains("no migration starts\nhelp: "), "{text}");
        for id in [1, 2] {
            let Event::NotJournalled { id: refused, why } = journal.next().await else { panic!("not refused") };
            assert!(refused == RequestId(id) && why.contains("cannot be written"), "{why}");
        }
        std::fs::remove_dir(&path).expect("a folder");
        journal.begin(AT, migration(3));
        assert_eq!(journal.next().await, Event::Journalled { id: RequestId(3) }, "there is a place for it now");
    }

    #[tokio::test]
    async fn after_the_deadline_it_does_not_start_and_an_answer_that_comes_later_counts_for_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = started(&folder.path().join("a.journal"));
        let long_ago = Instant::now() - DEADLINE;
        journal.waiting.push((RequestId(9), long_ago));
        assert!(matches!(journal.next().await, Event::Trouble { text, .. } if text.contains("a.journal: not written")));
        assert!(matches!(journal.next().await, Event::NotJournalled { id: RequestId(9), .. }));
        assert!(!journal.is_waiting() && !journal.is_expected(&Event::Journalled { id: RequestId(9) }));
    }

    #[tokio::test]
    async fn a_queue_that_is_full_refuses_a_migration_at_once_and_an_end_that_is_left_out_is_an_alarm() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = started(&folder.path().join("a.journal"));
        // A thread that hangs takes nothing out.
        let (orders, _hangs) = sync_channel(WAITING);
        journal.orders = orders;
        for id in 0..WAITING as u64 {
            journal.settle(RequestId(id), "confirmed");
        }
        assert!(!journal.is_waiting(), "there was room");
        journal.begin(AT, migration(4));
        assert!(journal.is_waiting(), "there is no room");
        assert!(matches!(journal.next().await, Event::NotJournalled { id: RequestId(4), .. }));
        journal.settle(RequestId(5), "confirmed");
        assert!(journal.is_waiting());
        let Event::Trouble { text, .. } = journal.next().await else { panic!("no alarm") };
        assert!(
            text.contains("a.journal: the end of request #5 is not written down") && text.contains("\nhelp: "),
            "{text}"
        );
        assert!(!journal.flush(Duration::ZERO));
    }
}
