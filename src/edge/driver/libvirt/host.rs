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

/// How often a host is looked at if no event comes from it.
const INTERVAL: Duration = Duration::from_secs(5);
/// Events come in bursts. One look follows all events within this time.
const BURST: Duration = Duration::from_millis(50);
/// How long a look may stay unanswered before the connection is given up. It is a little longer than the keepalive takes to
/// close it.
const SILENCE: Duration = Duration::from_secs(22);
/// How long a connection may take to open before the host counts as down. The attempt goes on.
const PATIENCE: Duration = Duration::from_secs(15);
/// While attempts hang, another one begins after each [`PATIENCE`]. After this many attempts, the next ones begin ever more rarely. An
/// attempt can hang for ever: if a machine dies just after its daemon has taken a connection, nothing tells of it.
const QUICK_ATTEMPTS: usize = 4;
const LONGEST_PATIENCE: Duration = Duration::from_secs(3_600);
/// How many attempts may hang. That is days of them.
const MOST_ATTEMPTS: usize = 100;
/// The wait after the first failure. Each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A host's thread.
pub(super) struct HostMonitor {
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
    /// Starts the thread of host `index`. It looks when `looks` says so.
    pub(super) fn start(
        library: &'static LibvirtLibrary,
        session: Arc<Session>,
        looks: Receiver<()>,
        index: usize,
        actor: SyncSender<ActorMessage>,
        stop: Arc<AtomicBool>,
    ) -> Result<(), String> {
        let (name, bell) = (session.name.clone(), session.bell.clone());
        let wake: Wake = Arc::new(move || {
            let _ = bell.try_send(());
        });
        let mut monitor = Self { library, session, index, actor, stop, looks, wake, failures: 0 };
        let named = thread::Builder::new().name(format!("libvirt {name}"));
        named.spawn(move || monitor.run()).map(|_| ()).map_err(|why| format!("no thread for {name}: {why}"))
    }

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
        let connection = match self.connect() {
            Ok(connection) => Arc::new(connection),
            Err(why) => return why,
        };
        self.session.set(Ok(Arc::clone(&connection)));
        self.watch(&connection)
    }

    /// Connects. While an attempt hangs, others begin beside it.
    fn connect(&self) -> Result<Connection, String> {
        let (sender, results) = sync_channel(MOST_ATTEMPTS);
        let (mut attempts, mut next) = (0, Instant::now());
        loop {
            if attempts < MOST_ATTEMPTS && Instant::now() >= next {
                attempts += usize::from(self.attempt(sender.clone()));
                next = Instant::now() + patience(attempts);
            }
            match results.recv_timeout(PATIENCE) {
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

    /// Begins to connect, on a thread of its own because that may hang. False: there is no thread.
    fn attempt(&self, sender: SyncSender<Result<Connection, LibvirtError>>) -> bool {
        let (library, session, wake) = (self.library, Arc::clone(&self.session), Arc::clone(&self.wake));
        let attempt = move || {
            // If another attempt was faster, nobody waits for this one, and its connection is closed.
            let _ = sender.send(Connection::open(library, &session, Some(&wake)));
        };
        thread::Builder::new().name("libvirt open".into()).spawn(attempt).is_ok()
    }

    /// Looks until the connection is lost. Returns why it is lost.
    fn watch(&mut self, connection: &Connection) -> String {
        let mut load = LoadMeter::default();
        loop {
            // The keepalive does not always close a broken connection.
            match connection.ask(observation::observe).and_then(|answer| answer.within(SILENCE)) {
                Ok(Ok(mut observation)) => {
                    let load = load.load(&mut observation);
                    self.tell(ActorMessage::Up(self.index, observation, load));
                }
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
                // An event of a closing connection does not shorten the wait.
                Ok(()) => {}
            }
        }
    }
}

/// The wait after this many failures in a row.
fn wait(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT)
}

/// The wait before another attempt while this many hang.
fn patience(under_way: usize) -> Duration {
    let doubled = u32::try_from(under_way.saturating_sub(QUICK_ATTEMPTS)).unwrap_or(u32::MAX);
    PATIENCE.saturating_mul(1 << doubled.min(16)).min(LONGEST_PATIENCE)
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
