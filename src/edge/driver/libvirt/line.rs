//! The way to one host: its URIs, the connection while there is one, and questions that never take longer than asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::Error;
use super::events::Wake;
use super::ffi::Library;
use super::xml;

/// A daemon that leaves so many questions unanswered is asked no more, and down: far more than a host has VMs to be
/// measured at once while it takes a breath.
const MOST_QUESTIONS: usize = 1_024;

/// A host, and how it stands with it.
pub(super) struct Line {
    pub name: String,
    /// From here.
    pub uri: String,
    /// From a source.
    pub peer: String,
    state: Mutex<State>,
    tried: Condvar,
}

struct State {
    contact: Result<Arc<Contact>, String>,
    /// Whether it can be reached is not known yet.
    is_new: bool,
}

impl Line {
    pub(super) fn new(name: &str, uri: String, peer: String) -> Self {
        let why = format!("connecting to {name}");
        let state = State { contact: Err(why), is_new: true };
        Self { name: name.to_owned(), uri, peer, state: Mutex::new(state), tried: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is known whether the host can be reached, or until then.
    pub(super) fn wait_for_first(&self, deadline: Instant) {
        let patience = deadline.saturating_duration_since(Instant::now());
        drop(self.tried.wait_timeout_while(self.state(), patience, |state| state.is_new));
    }

    /// The connection, or why there is none.
    pub(super) fn contact(&self) -> Result<Arc<Contact>, String> {
        self.state().contact.clone()
    }

    pub(super) fn set(&self, contact: Result<Arc<Contact>, String>) {
        let before = std::mem::replace(&mut *self.state(), State { contact, is_new: false });
        self.tried.notify_all();
        // Not under the lock: it may be the last to hold a connection.
        drop(before);
    }

    /// Asks the host something.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<Answer<T>, String> {
        self.contact()?.ask(question)
    }
}

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// A connection with a thread of its own, which puts all questions, one after another.
///
/// libvirt allows for many threads on a connection, but up to 10.3 may crash then (CVE-2024-4418).
pub(super) struct Contact {
    host: String,
    /// The host's own uuid.
    pub identity: Option<String>,
    /// The host's CPU, as XML.
    pub cpu: Option<String>,
    // Dropped before the questions' end, upon which the thread closes it: that may take a while.
    connection: Arc<Connection>,
    questions: SyncSender<Question>,
}

impl Contact {
    /// Opens a connection, and asks the host what it is. Blocks for as long as the network lets it.
    pub(super) fn open(library: &'static Library, line: &Line, wake: Option<&Wake>) -> Result<Self, Error> {
        let connection = Arc::new(Connection::open(library, &line.uri, wake)?);
        let capabilities = connection.capabilities().unwrap_or_default();
        let about = xml::element(&capabilities, "host").unwrap_or_default();
        let (questions, inbox) = sync_channel::<Question>(MOST_QUESTIONS);
        let own = Arc::clone(&connection);
        let asking = move || inbox.iter().for_each(|question| question(&own));
        let named = thread::Builder::new().name(format!("libvirt ask {}", line.name));
        named
            .spawn(asking)
            .map_err(|why| Error { message: format!("no thread to ask with: {why}"), ..Error::default() })?;
        Ok(Self {
            host: line.name.clone(),
            identity: xml::text(about, "uuid").map(str::to_owned),
            cpu: xml::element(about, "cpu").map(str::to_owned),
            connection,
            questions,
        })
    }

    /// False once the other end, or its silence, has closed it.
    pub(super) fn is_alive(&self) -> bool {
        self.connection.is_alive()
    }

    /// Asks the host something, after what others have asked before.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<Answer<T>, String> {
        let (sender, answer) = sync_channel(1);
        let asking: Question = Box::new(move |connection| {
            // A panic closes the channel, and is told by whoever waits.
            if let Ok(answer) = catch_unwind(AssertUnwindSafe(|| question(connection))) {
                let _ = sender.send(answer);
            }
        });
        let asked = self.questions.try_send(asking);
        asked.map(|()| Answer { host: self.host.clone(), answer }).map_err(|_| format!("{} does not answer", self.host))
    }
}

/// An answer that is still to come.
pub(super) struct Answer<T> {
    host: String,
    answer: Receiver<T>,
}

impl<T> Answer<T> {
    /// Waits for it until then. The error names the silent host.
    pub(super) fn until(self, deadline: Instant) -> Result<T, String> {
        let patience = deadline.saturating_duration_since(Instant::now());
        self.answer.recv_timeout(patience).map_err(|why| match why {
            RecvTimeoutError::Timeout => format!("{} does not answer", self.host),
            RecvTimeoutError::Disconnected => panic!("a question to {} failed", self.host),
        })
    }

    /// Waits so long.
    pub(super) fn within(self, patience: Duration) -> Result<T, String> {
        self.until(Instant::now() + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_waited_for_until_it_was_tried_once() {
        let line = Arc::new(Line::new("kvm1", "qemu+tcp://kvm1/system".into(), "qemu+tcp://kvm1/system".into()));
        line.wait_for_first(Instant::now());
        assert_eq!(line.contact().err().as_deref(), Some("connecting to kvm1"));
        let tried = Arc::clone(&line);
        let trying = thread::spawn(move || tried.set(Err("connection refused".into())));
        line.wait_for_first(Instant::now() + Duration::from_secs(60));
        assert_eq!(line.contact().err().as_deref(), Some("connection refused"));
        trying.join().expect("it ends");
    }
}
