//! Watches a running migration: tells its progress, and aborts it when it stalls or when an operator says so.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, HeldDomain, Hypervisor};
use super::data::{Figures, LibvirtError};
use super::job::{GLANCE, JobContext, LearnedRates};
use crate::core::cluster::{Span, Transfer};
use crate::core::format::{bytes, measured};
use crate::core::insight::precopy::ROUND_CAP;
use crate::edge::driver::DriverEvent;

/// How long the source of a migration may be silent before the migration is given up.
pub(super) const OUT_OF_SIGHT: Duration = Duration::from_secs(40);
/// How long an aborted migration may go on before it is given up.
const ABORT_PATIENCE: Duration = Duration::from_secs(60);
/// Values of `virDomainJobOperation`: an unknown operation, and a migration away from the host.
const AWAY: [u64; 2] = [0, 5];

/// Watches one migration over a connection of its own. Its questions, above all an abort, may take long, and other questions to the
/// host must not wait for them.
pub(super) struct Follower<'a> {
    pub task: &'a JobContext,
    connection: Option<Connection>,
    opening: Option<Receiver<Result<Connection, LibvirtError>>>,
    progress: MigrationProgress,
    /// Why it is aborted, and since when.
    aborting: Option<(String, Instant)>,
    /// libvirt has taken the abort.
    is_abort_taken: bool,
    tuned: bool,
    switched: bool,
    heard: Instant,
    pub learned: LearnedRates,
}

/// What has become of a migration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MigrationCourse {
    /// It goes on.
    Runs,
    /// It is not there any more.
    Over,
    /// It can no longer be followed, for this reason.
    Lost(String),
}

impl<'a> Follower<'a> {
    pub(super) fn new(task: &'a JobContext) -> Self {
        let now = Instant::now();
        Self {
            task,
            connection: None,
            opening: None,
            progress: MigrationProgress::new(task.settings.stall.to_std(), now),
            aborting: None,
            is_abort_taken: false,
            tuned: false,
            switched: false,
            heard: now,
            learned: task.learned,
        }
    }

    /// Aborts the migration.
    pub(super) fn stop(&mut self, why: &str) {
        self.aborting.get_or_insert_with(|| (why.to_owned(), Instant::now()));
        self.push_abort();
    }

    /// Why it was aborted, if it was.
    pub(super) fn stopped(&self) -> Option<&str> {
        self.aborting.as_ref().map(|(why, _)| why.as_str())
    }

    /// Looks once, tells the progress, and changes or aborts the migration if that is due.
    pub(super) fn look(&mut self) -> MigrationCourse {
        if !self.task.is_wanted() {
            return MigrationCourse::Lost("the driver has stopped".to_owned());
        }
        let job = match self.job() {
            Some(Some(job)) => job,
            Some(None) => return MigrationCourse::Over,
            None => return self.unseen(),
        };
        self.heard = Instant::now();
        self.progress.note(&job, self.heard);
        if let Some(transfer) = self.progress.transfer {
            self.learned.see(&transfer);
            self.steer(&transfer);
        }
        self.tell();
        if self.progress.is_stalled(self.heard) {
            let stall = measured(self.task.settings.stall);
            self.stop(&format!("stalled for {stall}: aborted"));
        } else if self.aborting.is_some() && !self.is_abort_taken {
            self.push_abort();
        }
        match &self.aborting {
            Some((why, since)) if since.elapsed() > ABORT_PATIENCE => {
                MigrationCourse::Lost(format!("{why}, but {} has not ended it", self.task.source.name))
            }
            _ => MigrationCourse::Runs,
        }
    }

    /// The source did not answer. It may answer the next time.
    fn unseen(&self) -> MigrationCourse {
        if self.heard.elapsed() < OUT_OF_SIGHT {
            return MigrationCourse::Runs;
        }
        let why = self.task.source.connection().err();
        let why = why.unwrap_or_else(|| format!("{} does not answer", self.task.source.name));
        MigrationCourse::Lost(format!("lost sight of the migration: {why}"))
    }

    fn tell(&self) {
        let MigrationProgress { percent, detail, transfer, .. } = &self.progress;
        let detail = if self.switched { format!("{detail}, post-copy") } else { detail.clone() };
        let (id, percent, transfer) = (self.task.migration.id, *percent, *transfer);
        (self.task.tell)(DriverEvent::Progress { id, percent, detail, transfer });
    }

    /// Sets the downtime and switches to post-copy, which is possible only while the migration runs.
    fn steer(&mut self, transfer: &Transfer) {
        if let Some(downtime) = self.task.settings.downtime.filter(|_| !self.tuned) {
            self.tuned = self.act(move |domain| domain.allow_downtime(downtime.millis().unsigned_abs()));
        }
        if self.task.settings.post_copy && !self.switched && hopeless(transfer) {
            self.switched = self.act(|domain| domain.switch_to_post_copy());
        }
    }

    /// Asks libvirt to abort. If the job has not begun, that fails, and the next look tries again.
    fn push_abort(&mut self) {
        self.is_abort_taken = self.act(|domain| domain.abort());
    }

    fn act(&mut self, what: impl FnOnce(&HeldDomain<'_>) -> Result<(), LibvirtError> + Send + 'static) -> bool {
        let guest = self.task.guest.clone();
        let asked = self.ask(move |connection| connection.find(&guest).ok().flatten().map(|domain| what(&domain)));
        matches!(asked, Some(Some(Ok(()))))
    }

    /// The figures of the migration at the source, if it is there; `None`: the source could not be asked.
    fn job(&mut self) -> Option<Option<Figures>> {
        let guest = self.task.guest.clone();
        let asked = self.ask(move |connection| match connection.find(&guest) {
            Ok(Some(domain)) => domain.job(false),
            Ok(None) => Ok((0, Figures::default())),
            Err(error) => Err(error),
        });
        match asked {
            Some(Ok((kind, figures))) if under_way(kind, &figures) => Some(Some(figures)),
            Some(Ok(_)) => Some(None),
            Some(Err(error)) if error.jobless() => Some(None),
            Some(Err(_)) | None => None,
        }
    }

    fn ask<T: Send + 'static>(&mut self, question: impl FnOnce(&Hypervisor) -> T + Send + 'static) -> Option<T> {
        if !self.connection.as_ref().is_some_and(Connection::is_alive) {
            self.connection = None;
            self.open();
        }
        let asked = self.connection.as_ref()?.ask(question);
        asked.and_then(|answer| answer.within(GLANCE)).ok()
    }

    /// Opens the connection, or takes the one that has opened meanwhile.
    fn open(&mut self) {
        let opening = self.opening.get_or_insert_with(|| {
            let (library, session) = (self.task.library, Arc::clone(&self.task.source));
            let (sender, opening) = sync_channel(1);
            // Without a thread the channel closes, and the next look tries again.
            let _ = thread::Builder::new().name("libvirt open".into()).spawn(move || {
                let _ = sender.send(Connection::open(library, &session, None));
            });
            opening
        });
        match opening.recv_timeout(GLANCE) {
            Ok(opened) => (self.connection, self.opening) = (opened.ok(), None),
            Err(RecvTimeoutError::Disconnected) => self.opening = None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Whether this job is a migration away from the host that has not ended. A `virDomainJobType` of 1 or 2 is under way.
pub(super) fn under_way(kind: i32, figures: &Figures) -> bool {
    matches!(kind, 1 | 2) && AWAY.contains(&figures.or_zero("operation"))
}

/// The page size if libvirt does not tell it.
const PAGE: u64 = 4_096;
/// From this round on, a VM that writes faster than it is sent does not converge. The first round sends everything anyway.
const FAIR_ROUND: u32 = 2;

/// How far a migration is, and whether it still moves.
#[derive(Debug)]
pub(super) struct MigrationProgress {
    /// From 0 to 99; it never falls.
    percent: u8,
    detail: String,
    transfer: Option<Transfer>,
    /// How long no byte may move before the migration is stalled.
    stall: Duration,
    figures: [u64; 5],
    moved: Instant,
}

impl MigrationProgress {
    pub(super) fn new(stall: Duration, now: Instant) -> Self {
        Self { percent: 0, detail: String::new(), transfer: None, stall, figures: [0; 5], moved: now }
    }

    /// Takes the figures of the job.
    pub(super) fn note(&mut self, job: &Figures, now: Instant) {
        let names = ["memory_processed", "memory_remaining", "memory_iteration", "disk_processed", "disk_remaining"];
        let figures = names.map(|name| job.or_zero(name));
        if figures != self.figures {
            (self.figures, self.moved) = (figures, now);
        }
        let (done, left) = (figures[0] + figures[3], figures[1] + figures[4]);
        self.percent = self.percent.max(share(done, left));
        self.transfer = (job.or_zero("memory_total") > 0).then(|| transfer(job));
        self.detail = detail(job, self.transfer.as_ref());
    }

    fn is_stalled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.moved) >= self.stall
    }
}

/// The part that is done, in percent, up to 99.
fn share(done: u64, left: u64) -> u8 {
    let share = u128::from(done) * 100 / (u128::from(done) + u128::from(left)).max(1);
    u8::try_from(share.min(99)).unwrap_or_default()
}

/// `round 3, 41 MB left`.
fn detail(job: &Figures, transfer: Option<&Transfer>) -> String {
    let disk = job.or_zero("disk_remaining");
    match transfer {
        None => "starting".to_owned(),
        Some(transfer) if transfer.sent == 0 && disk > 0 => format!("copying disks, {} left", bytes(disk)),
        Some(transfer) => format!("round {}, {} left", transfer.rounds, bytes(transfer.left)),
    }
}

fn transfer(job: &Figures) -> Transfer {
    let page = job.get("memory_page_size").unwrap_or(PAGE);
    let downtime = job.get("downtime").and_then(|ms| i64::try_from(ms).ok());
    Transfer {
        total: job.or_zero("memory_total"),
        sent: job.or_zero("memory_processed"),
        left: job.or_zero("memory_remaining"),
        rate: job.or_zero("memory_bps"),
        dirty: job.or_zero("memory_dirty_rate").saturating_mul(page),
        rounds: u32::try_from(job.or_zero("memory_iteration")).unwrap_or(u32::MAX).max(1),
        downtime: downtime.map(Span::from_millis),
    }
}

/// Whether a migration will not end by itself: the VM writes faster than it is sent, or there were too many rounds.
pub(super) fn hopeless(transfer: &Transfer) -> bool {
    let outrun = transfer.rate > 0 && transfer.dirty >= transfer.rate;
    transfer.rounds > ROUND_CAP || (transfer.rounds >= FAIR_ROUND && outrun)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(45);

    fn job(processed: u64, remaining: u64, round: u64) -> Figures {
        let mut fields = Figures::default();
        let total = [("memory_total", 100_000_000), ("memory_bps", 30_000_000), ("memory_dirty_rate", 1_000)];
        let now = [("memory_processed", processed), ("memory_remaining", remaining), ("memory_iteration", round)];
        total.into_iter().chain(now).for_each(|(name, value)| fields.set(name.into(), value));
        fields
    }

    #[test]
    fn the_first_second_has_no_figures() {
        let mut progress = MigrationProgress::new(STALL, Instant::now());
        progress.note(&Figures::default(), Instant::now());
        assert_eq!((progress.percent, progress.detail.as_str(), progress.transfer), (0, "starting", None));
    }

    #[test]
    fn percent_only_grows_and_never_says_done() {
        let now = Instant::now();
        let mut progress = MigrationProgress::new(STALL, now);
        let percents = [(10, 90, 1), (90, 10, 1), (110, 40, 2), (150, 0, 2)].map(|(done, left, round)| {
            progress.note(&job(done * 1_000_000, left * 1_000_000, round), now);
            progress.percent
        });
        assert_eq!(percents, [10, 90, 90, 99]);
    }

    #[test]
    fn the_phrase_has_the_round_and_what_is_left() {
        let now = Instant::now();
        let mut progress = MigrationProgress::new(STALL, now);
        progress.note(&job(59_000_000, 41_000_000, 3), now);
        assert_eq!(progress.detail, "round 3, 41 MB left");
        let transfer = progress.transfer.unwrap();
        assert_eq!((transfer.rounds, transfer.rate, transfer.dirty), (3, 30_000_000, 4_096_000));
    }

    #[test]
    fn what_moves_nothing_for_so_long_is_stalled_though_it_claims_a_rate() {
        let start = Instant::now();
        let mut progress = MigrationProgress::new(STALL, start);
        let mut is_stalled = |job: &Figures, s: u64| {
            progress.note(job, start + Duration::from_secs(s));
            progress.is_stalled(start + Duration::from_secs(s))
        };
        assert!(!is_stalled(&job(10, 90, 1), 30));
        assert!(!is_stalled(&job(10, 90, 1), 74));
        assert!(is_stalled(&job(10, 90, 1), 75));
        assert!(!is_stalled(&job(11, 89, 1), 76));
        assert!(!is_stalled(&Figures::default(), 200), "the figures changed");
    }

    #[test]
    fn a_vm_that_writes_faster_than_is_sent_is_hopeless_after_the_first_round() {
        let transfer = Transfer { rate: 30, dirty: 120, rounds: 1, ..Transfer::default() };
        assert!(!hopeless(&transfer));
        assert!(hopeless(&Transfer { rounds: 2, ..transfer }));
        assert!(!hopeless(&Transfer { rounds: 9, dirty: 20, ..transfer }));
        assert!(hopeless(&Transfer { rounds: 30, dirty: 20, ..transfer }));
    }
}
