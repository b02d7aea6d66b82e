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

use super::connection::{Connection, Session, Wake};
use super::data::LibvirtError;
use super::ffi::LibvirtLibrary;
use super::job::ActorMessage;
use super::observation::{self, LoadMeter};
use super::words;

/// Between two looks at a host from which no event comes.
const INTERVAL: Duration = Duration::from_secs(5);
/// Events come in bursts. Those within so long share one look.
const BURST: Duration = Duration::from_millis(50);
/// A connection is given up if a look is not answered for so long. That is a little more than keepalive takes to close it.
const SILENCE: Duration = Duration::from_secs(22);
/// A host that cannot be connected to for so long is down. The attempt goes on.
const PATIENCE: Duration = Duration::from_secs(15);
/// While attempts hang, another one begins after each [`PATIENCE`] until there are so many, and then ever more rarely. A daemon
/// that took a connection and died with its machine never answers there, and nothing says so.
const QUICK_ATTEMPTS: usize = 4;
const LONGEST_PATIENCE: Duration = Duration::from_secs(3_600);
/// At most so many attempts hang. That is days of them.
const MOST_ATTEMPTS: usize = 100;
/// The wait after the first failure; doubled by each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A host's thread, from outside.
pub(super) struct HostHandle {
    pub session: Arc<Session>,
    look: SyncSender<()>,
}

impl HostHandle {
    /// Starts the thread of host `index`.
    pub(super) fn start(
        library: &'static LibvirtLibrary,
        session: Arc<Session>,
        index: usize,
        actor: SyncSender<ActorMessage>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, String> {
        let (look, looks) = sync_channel(1);
        let handle = Self { session: Arc::clone(&session), look: look.clone() };
        let wake: Wake = Arc::new(move || {
            // One waiting look is enough.
            let _ = look.try_send(());
        });
        let mut keeper = HostMonitor { library, session, index, actor, stop, looks, wake, failures: 0 };
        let named = thread::Builder::new().name(format!("libvirt {}", handle.session.name));
        named.spawn(move || keeper.run()).map_err(|why| format!("no thread for {}: {why}", handle.session.name))?;
        Ok(handle)
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

struct HostMonitor {
    library: &'static LibvirtLibrary,
    session: Arc<Session>,
    index: usize,
    actor: SyncSender<ActorMessage>,
    stop: Arc<AtomicBool>,
    looks: Receiver<()>,
    wake: Wake,
    failures: u32,
}

impl HostMonitor {
    fn run(&mut self) {
        while !self.stopped() {
            let watched = catch_unwind(AssertUnwindSafe(|| self.keep()));
            let why = match watched {
                Ok(why) => why,
                Err(_) => {
                    let name = &self.session.name;
                    self.tell(ActorMessage::Trouble(format!(
                        "the thread that watches {name} failed, and is started again"
                    )));
                    format!("{name} is not watched at the moment: an internal error")
                }
            };
            if self.stopped() {
                break;
            }
            self.session.set(Err(why.clone()));
            self.tell(ActorMessage::Down(self.index, why));
            self.pause();
        }
        self.session.set(Err("the driver has stopped".to_owned()));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn tell(&self, message: ActorMessage) {
        // The actor stops this thread before it ends.
        let _ = self.actor.send(message);
    }

    /// Connects, and looks until something fails. Returns what failed.
    fn keep(&mut self) -> String {
        let attempts = ConnectAttempts::new();
        let connection = match self.connect(attempts) {
            Ok(connection) => Arc::new(connection),
            Err(why) => return why,
        };
        self.session.set(Ok(Arc::clone(&connection)));
        self.watch(&connection)
    }

    fn connect(&self, mut attempts: ConnectAttempts) -> Result<Connection, String> {
        loop {
            attempts.begin(self);
            match attempts.ended() {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => return Err(words::line(&words::down(&self.session.name, &self.session.uri, &error))),
                Err(_) if self.stopped() => return Err(String::new()),
                Err(_) => {
                    let why =
                        format!("{} does not answer: still connecting to {}", self.session.name, self.session.uri);
                    self.session.set(Err(why.clone()));
                    self.tell(ActorMessage::Down(self.index, why));
                }
            }
        }
    }

    /// Looks until the connection is lost. Returns why.
    fn watch(&mut self, connection: &Connection) -> String {
        let mut load = LoadMeter::default();
        loop {
            // The keepalive does not always close a cut connection.
            match connection.ask(observation::observe).and_then(|answer| answer.within(SILENCE)) {
                Ok(Ok(raw)) => self.tell(ActorMessage::Up(self.index, load.complete(raw))),
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
            if !connection.is_alive() {
                return format!("{} closed the connection: is libvirtd still running there?", self.session.name);
            }
        }
    }

    fn lost(&self, error: &LibvirtError) -> String {
        words::line(&words::down(&self.session.name, &self.session.uri, error))
    }

    /// Waits before the next attempt, longer after each failure.
    fn pause(&mut self) {
        let until = Instant::now() + wait(self.failures);
        self.failures = self.failures.saturating_add(1);
        while !self.stopped() {
            let left = until.saturating_duration_since(Instant::now());
            match self.looks.recv_timeout(left) {
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
                // An event of a closing connection is no reason to hurry.
                Ok(()) => {}
            }
        }
    }
}

/// The wait after so many failures in a row.
fn wait(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT)
}

/// The wait before another attempt while so many hang.
fn patience(under_way: usize) -> Duration {
    let doubled = u32::try_from(under_way.saturating_sub(QUICK_ATTEMPTS)).unwrap_or(u32::MAX);
    PATIENCE.saturating_mul(1 << doubled.min(16)).min(LONGEST_PATIENCE)
}

/// Attempts to connect, each on its own thread, because one may hang for minutes, or for ever.
struct ConnectAttempts {
    sender: SyncSender<Result<Connection, LibvirtError>>,
    results: Receiver<Result<Connection, LibvirtError>>,
    under_way: usize,
    next: Instant,
}

impl ConnectAttempts {
    fn new() -> Self {
        let (sender, results) = sync_channel(MOST_ATTEMPTS);
        Self { sender, results, under_way: 0, next: Instant::now() }
    }

    fn begin(&mut self, keeper: &HostMonitor) {
        if self.under_way >= MOST_ATTEMPTS || Instant::now() < self.next {
            return;
        }
        let (library, session, wake) = (keeper.library, Arc::clone(&keeper.session), Arc::clone(&keeper.wake));
        let sender = self.sender.clone();
        let attempt = move || {
            // If another attempt was faster nobody waits any more, and this connection is closed.
            let _ = sender.send(Connection::open(library, &session, Some(&wake)));
        };
        if thread::Builder::new().name("libvirt open".into()).spawn(attempt).is_ok() {
            self.under_way += 1;
        }
        self.next = Instant::now() + patience(self.under_way);
    }

    /// The first attempt that ends, unless none does for a while.
    fn ended(&self) -> Result<Result<Connection, LibvirtError>, RecvTimeoutError> {
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
