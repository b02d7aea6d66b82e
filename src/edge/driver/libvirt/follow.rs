//! Watches a running migration: tells how far it is, stops it when it stalls or when that is asked for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, Domain};
use super::error::Error;
use super::fields::Fields;
use super::line::Contact;
use super::task::{GLANCE, Learned, Task};
use super::watch::{Standing, Watch, hopeless};
use super::words;
use crate::edge::driver::DriverEvent;

/// A source that cannot be asked for so long is lost sight of.
pub(super) const OUT_OF_SIGHT: Duration = Duration::from_secs(40);
/// An aborted migration that is still not over after so long is left.
const ABORT_PATIENCE: Duration = Duration::from_secs(60);
/// `virDomainJobOperation` of a migration away from a host, and one that is not told.
const AWAY: [u64; 2] = [0, 5];

/// Watches one migration, over a connection of its own: what is asked there, an abort above all, may take long, and would
/// hold up what others ask the host.
pub(super) struct Follower<'a> {
    task: &'a Task,
    contact: Option<Contact>,
    opening: Option<Receiver<Result<Contact, Error>>>,
    watch: Watch,
    abort: Abort,
    tuned: bool,
    switched: bool,
    heard: Instant,
    pub learned: Learned,
}

/// Why, and since when, a migration is being stopped.
#[derive(Debug, Default)]
struct Abort {
    why: Option<String>,
    since: Option<Instant>,
    taken: bool,
}

/// What a look at the source's job has shown.
enum Job {
    /// It migrates away.
    Runs(Fields),
    /// There is none, or another one.
    None,
    /// It could not be asked.
    Unseen,
}

/// What has become of a migration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// It goes on.
    Runs,
    /// There is no job any more.
    Over,
    /// It cannot be followed any further, for this reason.
    Lost(String),
}

impl<'a> Follower<'a> {
    pub(super) fn new(task: &'a Task) -> Self {
        let now = Instant::now();
        Self {
            task,
            contact: None,
            opening: None,
            watch: Watch::new(task.settings.stall.to_std(), now),
            abort: Abort::default(),
            tuned: false,
            switched: false,
            heard: now,
            learned: task.learned,
        }
    }

    /// Asks for its end.
    pub(super) fn stop(&mut self, why: &str) {
        self.abort.why.get_or_insert_with(|| why.to_owned());
        self.abort.since.get_or_insert_with(Instant::now);
        self.push_abort();
    }

    /// Why it was stopped.
    pub(super) fn stopped(&self) -> Option<&str> {
        self.abort.why.as_deref()
    }

    /// Looks once, tells of it, and does what is due.
    pub(super) fn look(&mut self) -> Course {
        if !self.task.wanted() {
            return Course::Lost("the driver has stopped".to_owned());
        }
        let job = match self.job() {
            Job::Runs(job) => job,
            Job::None => return Course::Over,
            Job::Unseen => return self.unseen(),
        };
        self.heard = Instant::now();
        let standing = self.watch.note(Some(&job), self.heard);
        if let Some(transfer) = &standing.transfer {
            self.learned.see(transfer);
        }
        self.steer(&standing);
        let stalled = standing.stalled;
        self.tell(standing);
        if stalled {
            let stall = words::seconds(self.task.settings.stall.millis().unsigned_abs());
            self.stop(&format!("stalled for {stall}: aborted"));
        } else if self.abort.why.is_some() && !self.abort.taken {
            self.push_abort();
        }
        match self.abort.since {
            Some(since) if since.elapsed() > ABORT_PATIENCE => Course::Lost(self.unstoppable()),
            _ => Course::Runs,
        }
    }

    fn unstoppable(&self) -> String {
        let why = self.abort.why.as_deref().unwrap_or_default();
        format!("{why}, but {} has not ended it", self.task.source.name)
    }

    /// A source that is silent for a moment may be heard of again.
    fn unseen(&self) -> Course {
        if self.heard.elapsed() < OUT_OF_SIGHT {
            return Course::Runs;
        }
        let why = self.task.source.contact().err();
        let why = why.unwrap_or_else(|| format!("{} does not answer", self.task.source.name));
        Course::Lost(format!("lost sight of the migration: {why}"))
    }

    fn tell(&self, standing: Standing) {
        let Standing { percent, detail, transfer, .. } = standing;
        let detail = if self.switched { format!("{detail}, post-copy") } else { detail };
        (self.task.tell)(DriverEvent::Progress { id: self.task.way.id, percent, detail, transfer });
    }

    /// Sets what can only be set while it runs: the downtime, and the switch to post-copy.
    fn steer(&mut self, standing: &Standing) {
        let Some(transfer) = &standing.transfer else {
            return;
        };
        if let Some(downtime) = self.task.settings.downtime.filter(|_| !self.tuned) {
            self.tuned = self.act(move |domain| domain.allow_downtime(downtime.millis().unsigned_abs()));
        }
        if self.task.settings.post_copy && !self.switched && hopeless(transfer) {
            self.switched = self.act(|domain| domain.switch_to_post_copy());
        }
    }

    /// A job that has not begun cannot be aborted yet: it is tried again at the next look.
    fn push_abort(&mut self) {
        self.abort.taken = self.act(|domain| domain.abort());
    }

    fn act(&mut self, what: impl FnOnce(&Domain<'_>) -> Result<(), Error> + Send + 'static) -> bool {
        let key = self.task.key();
        let asked = self.ask(move |connection| key.find(connection).ok().flatten().map(|domain| what(&domain)));
        matches!(asked, Some(Some(Ok(()))))
    }

    /// What the source does with the VM now.
    fn job(&mut self) -> Job {
        let key = self.task.key();
        let asked = self.ask(move |connection| match key.find(connection) {
            Ok(Some(domain)) => domain.job(false),
            Ok(None) => Ok((0, Fields::default())),
            Err(error) => Err(error),
        });
        match asked {
            Some(Ok((kind, figures))) if under_way(kind, &figures) => Job::Runs(figures),
            Some(Ok(_)) => Job::None,
            Some(Err(error)) if error.jobless() => Job::None,
            Some(Err(_)) | None => Job::Unseen,
        }
    }

    fn ask<T: Send + 'static>(&mut self, question: impl FnOnce(&Connection) -> T + Send + 'static) -> Option<T> {
        if !self.contact.as_ref().is_some_and(Contact::is_alive) {
            self.contact = None;
            self.open();
        }
        let asked = self.contact.as_ref()?.ask(question);
        asked.and_then(|answer| answer.within(GLANCE)).ok()
    }

    /// Opens the connection, or takes the one that has been opened meanwhile.
    fn open(&mut self) {
        let opening = self.opening.get_or_insert_with(|| {
            let (library, line) = (self.task.library, Arc::clone(&self.task.source));
            let (sender, opening) = sync_channel(1);
            // Without a thread the channel closes, and it is tried again.
            let _ = thread::Builder::new().name("libvirt open".into()).spawn(move || {
                let _ = sender.send(Contact::open(library, &line, None));
            });
            opening
        });
        match opening.recv_timeout(GLANCE) {
            Ok(opened) => (self.contact, self.opening) = (opened.ok(), None),
            Err(RecvTimeoutError::Disconnected) => self.opening = None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Whether this job is a migration away that has not ended: `virDomainJobType` 1 and 2 are under way.
pub(super) fn under_way(kind: i32, figures: &Fields) -> bool {
    matches!(kind, 1 | 2) && AWAY.contains(&figures.or_zero("operation"))
}
