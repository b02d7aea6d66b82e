//! The way to one host: its URIs, the connection while there is one, and questions that never take longer than asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::xml;

/// A daemon that leaves so many questions unanswered is asked no more for a while.
const MOST_QUESTIONS: usize = 16;

/// A host, and how it stands with it.
pub(super) struct Line {
    pub name: String,
    /// From here.
    pub uri: String,
    /// From a source.
    pub peer: String,
    state: Mutex<Result<Arc<Contact>, String>>,
}

impl Line {
    pub(super) fn new(name: &str, uri: String, peer: String) -> Self {
        let why = format!("connecting to {name}");
        Self { name: name.to_owned(), uri, peer, state: Mutex::new(Err(why)) }
    }

    /// The connection, or why there is none.
    pub(super) fn contact(&self) -> Result<Arc<Contact>, String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, state: Result<Arc<Contact>, String>) {
        let before = std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state);
        drop(before);
    }

    /// Asks the host something, on a thread of its own.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<Answer<T>, String> {
        self.contact()?.ask(question)
    }
}

/// A connection that several threads use.
pub(super) struct Contact {
    host: String,
    /// The host's own uuid.
    pub identity: Option<String>,
    /// The host's CPU, as XML.
    pub cpu: Option<String>,
    connection: Option<Arc<Connection>>,
    open_questions: Arc<AtomicUsize>,
}

impl Drop for Contact {
    /// Closing waits for a silent daemon: that is not for whoever happens to be the last to hold it.
    fn drop(&mut self) {
        let connection = self.connection.take();
        let _ = thread::Builder::new().name("libvirt close".into()).spawn(move || drop(connection));
    }
}

impl Contact {
    /// Blocks until the host has said what it is.
    pub(super) fn new(host: &str, connection: Connection) -> Self {
        let capabilities = connection.capabilities().unwrap_or_default();
        let about = xml::element(&capabilities, "host").unwrap_or_default();
        Self {
            host: host.to_owned(),
            identity: xml::text(about, "uuid").map(str::to_owned),
            cpu: xml::element(about, "cpu").map(str::to_owned),
            connection: Some(Arc::new(connection)),
            open_questions: Arc::default(),
        }
    }

    /// False once the other end, or its silence, has closed it.
    pub(super) fn is_alive(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.is_alive())
    }

    /// Asks the host something, on a thread of its own.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<Answer<T>, String> {
        let silent = || format!("{} does not answer", self.host);
        let connection = self.connection.clone().ok_or_else(silent)?;
        let open = Arc::clone(&self.open_questions);
        if open.fetch_add(1, Ordering::Relaxed) >= MOST_QUESTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            return Err(silent());
        }
        let (sender, answer) = sync_channel(1);
        let asking = move || {
            // A panic closes the channel, and is told by whoever waits.
            let answer = catch_unwind(AssertUnwindSafe(|| question(&connection)));
            open.fetch_sub(1, Ordering::Relaxed);
            if let Ok(answer) = answer {
                let _ = sender.send(answer);
            }
        };
        let spawned = thread::Builder::new().name(format!("libvirt ask {}", self.host)).spawn(asking);
        spawned
            .map(|_| Answer { host: self.host.clone(), answer })
            .map_err(|why| format!("no thread to ask with: {why}"))
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
