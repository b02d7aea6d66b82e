//! One host's thread: it opens the connection, opens it again when it is lost, and looks at the host's domains.
//!
//! ```text
//! connecting ──open──▶ up ──closed, or an error──▶ down ──back-off──▶ connecting
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::center::Message;
use super::error::Error;
use super::events::Wake;
use super::ffi::Library;
use super::line::{Contact, Line};
use super::picture::{self, Load, Picture};
use super::words;

/// Between two looks at a host where nothing is heard of.
const INTERVAL: Duration = Duration::from_secs(5);
/// Events come in bursts: they share a look.
const BURST: Duration = Duration::from_millis(50);
/// A connection on which a look is not answered for so long is left: a little more than keepalive takes to close it.
const SILENCE: Duration = Duration::from_secs(22);
/// A host that has not let itself be opened for so long is down; the attempt goes on.
const PATIENCE: Duration = Duration::from_secs(15);
/// Attempts that hang are joined by another after each [`PATIENCE`] until there are so many, then by ever fewer: a daemon
/// that took a connection and died with its machine never answers there, and nobody says so.
const QUICK_ATTEMPTS: usize = 4;
const LONGEST_PATIENCE: Duration = Duration::from_secs(3_600);
/// Attempts that hang, at most: days of them.
const MOST_ATTEMPTS: usize = 100;
/// After the first failure; doubled by each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a host's thread has seen.
pub(super) enum News {
    /// It is up, and looks like this.
    Seen(Picture),
    /// It cannot be reached, for this reason.
    Down(String),
}

/// A host's thread, from outside.
pub(super) struct Post {
    pub line: Arc<Line>,
    look: SyncSender<()>,
}

impl Post {
    /// Starts the thread of host `index`.
    pub(super) fn start(
        library: &'static Library,
        line: Arc<Line>,
        index: usize,
        center: SyncSender<Message>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, String> {
        let (look, looks) = sync_channel(1);
        let post = Self { line: Arc::clone(&line), look: look.clone() };
        let wake: Wake = Arc::new(move || {
            // One look that waits is enough.
            let _ = look.try_send(());
        });
        let mut keeper = Keeper { library, line, index, center, stop, looks, wake, failures: 0 };
        let named = thread::Builder::new().name(format!("libvirt {}", post.line.name));
        named.spawn(move || keeper.run()).map_err(|why| format!("no thread for {}: {why}", post.line.name))?;
        Ok(post)
    }

    /// What makes it look, or notice that it is to end.
    pub(super) fn bell(&self) -> SyncSender<()> {
        self.look.clone()
    }

    /// Has it look at once.
    pub(super) fn look(&self) {
        let _ = self.look.try_send(());
    }
}

struct Keeper {
    library: &'static Library,
    line: Arc<Line>,
    index: usize,
    center: SyncSender<Message>,
    stop: Arc<AtomicBool>,
    looks: Receiver<()>,
    wake: Wake,
    failures: u32,
}

impl Keeper {
    fn run(&mut self) {
        while !self.stopped() {
            let watched = catch_unwind(AssertUnwindSafe(|| self.keep()));
            let why = match watched {
                Ok(why) => why,
                Err(_) => {
                    let name = &self.line.name;
                    self.tell(Message::Trouble(format!("the thread that watches {name} failed, and is started again")));
                    format!("{name} is not watched at the moment: an internal error")
                }
            };
            if self.stopped() {
                break;
            }
            self.line.set(Err(why.clone()));
            self.tell(Message::Host(self.index, News::Down(why)));
            self.pause();
        }
        self.line.set(Err("the driver has stopped".to_owned()));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn tell(&self, message: Message) {
        // A center that is gone has stopped us, too.
        let _ = self.center.send(message);
    }

    /// Connects and looks until something fails: that is returned.
    fn keep(&mut self) -> String {
        let attempts = Attempts::new();
        let contact = match self.connect(attempts) {
            Ok(contact) => Arc::new(contact),
            Err(why) => return why,
        };
        self.line.set(Ok(Arc::clone(&contact)));
        self.watch(&contact)
    }

    fn connect(&self, mut attempts: Attempts) -> Result<Contact, String> {
        loop {
            attempts.begin(self);
            match attempts.ended() {
                Ok(Ok(contact)) => return Ok(contact),
                Ok(Err(error)) => return Err(words::line(&words::down(&self.line.name, &self.line.uri, &error))),
                Err(_) if self.stopped() => return Err(String::new()),
                Err(_) => {
                    let why = format!("{} does not answer: still connecting to {}", self.line.name, self.line.uri);
                    self.line.set(Err(why.clone()));
                    self.tell(Message::Host(self.index, News::Down(why)));
                }
            }
        }
    }

    /// Looks, until the connection is lost: why.
    fn watch(&mut self, contact: &Contact) -> String {
        let mut load = Load::default();
        loop {
            // A connection that is cut is not always closed by its keepalive, and is then left for a new one.
            match contact.ask(picture::take).and_then(|answer| answer.within(SILENCE)) {
                Ok(Ok(glimpse)) => self.tell(Message::Host(self.index, News::Seen(load.complete(glimpse)))),
                Ok(Err(error)) => return self.lost(&error),
                Err(silent) => return silent,
            }
            self.failures = 0;
            let _ = self.looks.recv_timeout(INTERVAL);
            if self.stopped() {
                return String::new();
            }
            thread::sleep(BURST);
            let _ = self.looks.try_recv();
            if !contact.is_alive() {
                return format!("{} closed the connection: is libvirtd still running there?", self.line.name);
            }
        }
    }

    fn lost(&self, error: &Error) -> String {
        words::line(&words::down(&self.line.name, &self.line.uri, error))
    }

    /// Waits before the next attempt, longer after each failure.
    fn pause(&mut self) {
        let until = Instant::now() + wait(self.failures);
        self.failures = self.failures.saturating_add(1);
        while !self.stopped() {
            let left = until.saturating_duration_since(Instant::now());
            match self.looks.recv_timeout(left) {
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
                // What a closing connection still says is no reason to hurry.
                Ok(()) => {}
            }
        }
    }
}

/// How long a host that failed so often in a row is left alone.
fn wait(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT)
}

/// How long so many attempts that hang are waited for until another one is made.
fn patience(under_way: usize) -> Duration {
    let doubled = u32::try_from(under_way.saturating_sub(QUICK_ATTEMPTS)).unwrap_or(u32::MAX);
    PATIENCE.saturating_mul(1 << doubled.min(16)).min(LONGEST_PATIENCE)
}

/// Attempts to connect, each on its own thread, as one may hang for minutes, or for ever.
struct Attempts {
    sender: SyncSender<Result<Contact, Error>>,
    results: Receiver<Result<Contact, Error>>,
    under_way: usize,
    next: Instant,
}

impl Attempts {
    fn new() -> Self {
        let (sender, results) = sync_channel(MOST_ATTEMPTS);
        Self { sender, results, under_way: 0, next: Instant::now() }
    }

    fn begin(&mut self, keeper: &Keeper) {
        if self.under_way >= MOST_ATTEMPTS || Instant::now() < self.next {
            return;
        }
        let (library, line, wake) = (keeper.library, Arc::clone(&keeper.line), Arc::clone(&keeper.wake));
        let sender = self.sender.clone();
        let attempt = move || {
            // Nobody waits any more where another attempt was faster: it is closed again.
            let _ = sender.send(Contact::open(library, &line, Some(&wake)));
        };
        if thread::Builder::new().name("libvirt open".into()).spawn(attempt).is_ok() {
            self.under_way += 1;
        }
        self.next = Instant::now() + patience(self.under_way);
    }

    /// The first that has come to an end, unless none has for a while.
    fn ended(&self) -> Result<Result<Contact, Error>, RecvTimeoutError> {
        self.results.recv_timeout(PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_half_a_minute() {
        assert_eq!([0, 1, 2, 4, 5, 99].map(wait).map(|wait| wait.as_secs()), [1, 2, 4, 16, 30, 30]);
    }
    #[test]
    fn attempts_that_hang_are_never_the_last() {
        let waits = [1, 3, 4, 5, 6, 8, 12, 99].map(patience).map(|patience| patience.as_secs());
        assert_eq!(waits, [15, 15, 15, 30, 60, 240, 3_600, 3_600]);
    }
}
