//! Carries out a migration: one thread waits in libvirt's call, another one watches. Afterwards it asks both hosts where the VM runs.
//! It also follows a migration that is still under way after a restart.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Hypervisor, PendingAnswer, Session};
use super::data::{ErrorCode, Figures, LibvirtError};
use super::follow::{Follower, MigrationCourse, OUT_OF_SIGHT, under_way};
use super::job::{DEADLINE, FollowerSignal, GLANCE, JobContext, LearnedRates, PACE};
use super::words;
use crate::core::cluster::{CopyStorage, Libvirt, Span};
use crate::core::engine::Presence;
use crate::core::format::measured;
use crate::edge::driver::{DriverEvent, Guest};

/// `virDomainMigrateFlags`.
mod flag {
    pub(super) const LIVE: u32 = 1;
    pub(super) const PEER_TO_PEER: u32 = 1 << 1;
    pub(super) const TUNNELLED: u32 = 1 << 2;
    pub(super) const PERSIST_DESTINATION: u32 = 1 << 3;
    pub(super) const UNDEFINE_SOURCE: u32 = 1 << 4;
    pub(super) const NON_SHARED_DISK: u32 = 1 << 6;
    pub(super) const NON_SHARED_INCREMENT: u32 = 1 << 7;
    pub(super) const UNSAFE_STORAGE: u32 = 1 << 9;
    pub(super) const AUTO_CONVERGE: u32 = 1 << 13;
    pub(super) const POST_COPY: u32 = 1 << 15;
}

/// Starts the migration and follows it to its end.
pub(super) fn start(
    task: &JobContext,
    sender: SyncSender<FollowerSignal>,
    signals: &Receiver<FollowerSignal>,
) -> (DriverEvent, LearnedRates) {
    let begun = Instant::now();
    let mut follower = Follower::new(task);
    let leave = Permission::default();
    if let Err(why) = call(task, leave.0.clone(), sender) {
        return ended(&follower, why);
    }
    let mut gone: Option<Instant> = None;
    loop {
        match signals.recv_timeout(PACE) {
            Ok(FollowerSignal::Returned(Ok(()))) => return ended(&follower, succeeded(task, begun)),
            Ok(FollowerSignal::Returned(Err(error))) => return ended(&follower, failed(task, &follower, &error)),
            Ok(FollowerSignal::Broken) | Err(RecvTimeoutError::Disconnected) => {
                panic!("the call that moves {} failed", task.migration.vm)
            }
            Ok(FollowerSignal::Abort) if leave.is_taken_back() => return ended(&follower, "aborted".to_owned()),
            Ok(FollowerSignal::Abort) => follower.stop("aborted"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        match follower.look() {
            MigrationCourse::Runs => gone = None,
            MigrationCourse::Lost(why) => return ended(&follower, why),
            // The migration has not begun, or the call is about to return.
            MigrationCourse::Over => {
                if gone.get_or_insert_with(Instant::now).elapsed() > OUT_OF_SIGHT {
                    return ended(&follower, vanished(&follower, task));
                }
            }
        }
    }
}

/// Why there is no migration although libvirt's call has not returned. The call may wait for a silent destination.
fn vanished(follower: &Follower<'_>, task: &JobContext) -> String {
    let over = || format!("{} has no migration any more", task.source.name);
    follower.stopped().map_or_else(over, str::to_owned)
}

/// Whether the source may still be asked to migrate. Connecting may take so long that the migration is given up meanwhile, and then it
/// must not begin. Whoever comes first sets it: true if the source is asked, false if the migration is given up.
#[derive(Default)]
struct Permission(Arc<OnceLock<bool>>);

impl Permission {
    /// Gives the migration up. False: the source was asked already.
    fn is_taken_back(&self) -> bool {
        !*self.0.get_or_init(|| false)
    }
}

impl Drop for Permission {
    fn drop(&mut self) {
        self.is_taken_back();
    }
}

/// The migration is over.
fn ended(follower: &Follower<'_>, detail: String) -> (DriverEvent, LearnedRates) {
    let id = follower.task.migration.id;
    (DriverEvent::Ended { id, detail: words::line(&detail) }, follower.learned)
}

/// Makes libvirt's call on a thread and a connection of its own. The call blocks to the end of the migration.
fn call(task: &JobContext, leave: Arc<OnceLock<bool>>, sender: SyncSender<FollowerSignal>) -> Result<(), String> {
    let own = task.clone();
    let calling = move || {
        let returned = catch_unwind(AssertUnwindSafe(|| migrate(&own, &leave)));
        let _ = sender.send(returned.map_or(FollowerSignal::Broken, FollowerSignal::Returned));
    };
    let named = thread::Builder::new().name(format!("libvirt move {}", task.migration.vm));
    named.spawn(calling).map(|_| ()).map_err(|why| format!("no thread to migrate with: {why}"))
}

fn migrate(task: &JobContext, leave: &OnceLock<bool>) -> Result<(), LibvirtError> {
    let connection = Hypervisor::open(task.library, &task.source.uri, None)?;
    let domain = connection.find(&task.guest)?.ok_or_else(|| LibvirtError {
        code: ErrorCode::NO_DOMAIN,
        message: format!("{} is not on {}", task.migration.vm, task.source.name),
    })?;
    let settings = &task.settings;
    let flags = flags(settings, domain.persistent()?);
    let bandwidth: Vec<_> = settings.bandwidth.map(|rate| ("bandwidth", rate)).into_iter().collect();
    if !leave.get_or_init(|| true) {
        return Err(LibvirtError { message: "it was given up before it began".to_owned(), ..LibvirtError::default() });
    }
    domain.migrate(&task.destination.peer, &bandwidth, flags)
}

/// The flags of libvirt's call. `persistent`: whether the domain is defined at the source.
fn flags(settings: &Libvirt, persistent: bool) -> u32 {
    let persist = settings.persistent.unwrap_or(persistent);
    let asked = [
        (settings.tunnelled, flag::TUNNELLED),
        (persist, flag::PERSIST_DESTINATION),
        (settings.undefine_source.unwrap_or(persist), flag::UNDEFINE_SOURCE),
        (settings.copy_storage == CopyStorage::All, flag::NON_SHARED_DISK),
        (settings.copy_storage == CopyStorage::Increment, flag::NON_SHARED_INCREMENT),
        (settings.allow_unsafe, flag::UNSAFE_STORAGE),
        (settings.auto_converge, flag::AUTO_CONVERGE),
        (settings.post_copy, flag::POST_COPY),
    ];
    let asked = asked.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, flag)| flag);
    asked.fold(flag::LIVE | flag::PEER_TO_PEER, |all, flag| all | flag)
}

/// `4.5 s, 27 ms down`, from the destination. If the destination does not tell, the measured time alone.
fn succeeded(task: &JobContext, begun: Instant) -> String {
    completed(task).unwrap_or_else(|| measured(begun.elapsed().into()))
}

/// What the destination says of the migration that has just ended there.
pub(super) fn completed(task: &JobContext) -> Option<String> {
    let guest = task.guest.clone();
    let asked = task.destination.ask(move |connection| {
        let job = connection.find(&guest).ok().flatten().map(|domain| domain.job(true));
        job.and_then(Result::ok).map(|(_, figures)| figures)
    });
    let figures = asked.and_then(|answer| answer.within(GLANCE)).ok().flatten()?;
    let elapsed = figures.get("time_elapsed")?;
    let downtime = figures.get("downtime").map(|ms| format!(", {ms} ms down"));
    let elapsed = Span::from_millis(i64::try_from(elapsed).ok()?);
    Some(measured(elapsed) + downtime.as_deref().unwrap_or_default())
}

/// Why it failed: the reason for its abort, or libvirt's error.
fn failed(task: &JobContext, follower: &Follower<'_>, error: &LibvirtError) -> String {
    let said = || words::failed(&task.migration.from, &task.migration.to, error);
    follower.stopped().map_or_else(said, str::to_owned)
}

/// The time between two readings of the same hosts.
const AGAIN: Duration = Duration::from_secs(1);

/// How the VM stands at the source and at the destination.
type Pair = (Presence, Presence);

/// Reads both hosts and answers [`DriverEvent::Presence`]. But if the source is still migrating the VM away, it follows that to the
/// end and answers [`DriverEvent::Ended`].
///
/// The two hosts are not read in the same instant, and libvirt hands a VM over in steps: when the memory is sent, both ends are
/// paused; then the destination runs; then the source's end disappears. So one reading is enough only if the VM runs at one end and
/// is absent at the other. Anything else (paused, at both ends, at none) is told only if a second reading a second later is the
/// same. An end that does not answer, or on which the readings differ, is `Unknown`. The source has a job until its end of the VM
/// has disappeared, and while it has one, nothing is judged.
pub(super) fn confirm(task: &JobContext, signals: &Receiver<FollowerSignal>) -> (DriverEvent, LearnedRates) {
    // Right after a start the connections are still being opened.
    let deadline = Instant::now() + DEADLINE;
    [&task.source, &task.destination].into_iter().for_each(|session| session.wait_for_first(deadline));
    let Some(first) = read(task) else { return follow(task, signals) };
    let pair = if clear(first) || half(first) {
        first
    } else {
        thread::sleep(AGAIN);
        let Some(second) = read(task) else { return follow(task, signals) };
        agreed(first, second)
    };
    let (source, destination) = pair;
    (DriverEvent::Presence { id: task.migration.id, source, destination }, task.learned)
}

/// Whether one reading is enough: the VM runs at one end and is absent at the other.
fn clear(pair: Pair) -> bool {
    matches!(pair, (Presence::Runs, Presence::Absent) | (Presence::Absent, Presence::Runs))
}

/// Whether one end does not answer. Then a second reading would not say more.
fn half(pair: Pair) -> bool {
    pair.0 == Presence::Unknown || pair.1 == Presence::Unknown
}

/// What two readings agree on. A second reading that is clear by itself decides.
fn agreed(first: Pair, second: Pair) -> Pair {
    if clear(second) {
        return second;
    }
    let same = |first, second| if first == second { second } else { Presence::Unknown };
    (same(first.0, second.0), same(first.1, second.1))
}

/// Reads both hosts at the same time; `None`: the source is migrating the VM away.
fn read(task: &JobContext) -> Option<Pair> {
    let deadline = Instant::now() + DEADLINE;
    let asked = [&task.source, &task.destination].map(|session| ask(session, task.guest.clone()));
    let [source, destination] = asked.map(|asked| asked.and_then(|answer| answer.until(deadline)).ok().flatten());
    let (source, is_leaving) = source.unwrap_or((Presence::Unknown, false));
    (!is_leaving).then_some((source, destination.map_or(Presence::Unknown, |(presence, _)| presence)))
}

/// Asks a host how the VM stands there, and whether it is migrating away. The answer is `None` if the host cannot tell.
fn ask(session: &Session, guest: Guest) -> Result<PendingAnswer<Option<(Presence, bool)>>, String> {
    session.ask(move |connection| {
        let domain = match connection.find(&guest) {
            Ok(Some(domain)) => domain,
            Ok(None) => return Some((Presence::Absent, false)),
            Err(_) => return None,
        };
        // It may disappear between two questions.
        let absent = |error: LibvirtError| if error.absent() { Ok(Presence::Absent) } else { Err(error) };
        let presence = domain.presence().or_else(absent).ok()?;
        // A domain that cannot be asked for its job may have one.
        let idle = |error: LibvirtError| if error.jobless() { Ok((0, Figures::default())) } else { Err(error) };
        let (kind, figures) = domain.job(false).or_else(idle).ok()?;
        Some((presence, under_way(kind, &figures)))
    })
}

/// Follows a migration that was started before a restart, or by somebody else.
fn follow(task: &JobContext, signals: &Receiver<FollowerSignal>) -> (DriverEvent, LearnedRates) {
    let mut follower = Follower::new(task);
    loop {
        match follower.look() {
            MigrationCourse::Runs => {}
            MigrationCourse::Over => return ended(&follower, over(&follower)),
            MigrationCourse::Lost(why) => return ended(&follower, why),
        }
        match signals.recv_timeout(PACE) {
            Ok(FollowerSignal::Abort) => follower.stop("aborted"),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(PACE),
        }
    }
}

fn over(follower: &Follower<'_>) -> String {
    let stopped = follower.stopped().map(str::to_owned);
    stopped.or_else(|| completed(follower.task)).unwrap_or_else(|| "the migration is over".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transient_domain_stays_transient_and_a_defined_one_moves_its_definition() {
        let plain = Libvirt::default();
        assert_eq!(flags(&plain, false), flag::LIVE | flag::PEER_TO_PEER);
        let moved = flag::PERSIST_DESTINATION | flag::UNDEFINE_SOURCE;
        assert_eq!(flags(&plain, true), flag::LIVE | flag::PEER_TO_PEER | moved);
        let kept = Libvirt { undefine_source: Some(false), ..plain.clone() };
        assert_eq!(flags(&kept, true), flag::LIVE | flag::PEER_TO_PEER | flag::PERSIST_DESTINATION);
        assert_eq!(flags(&Libvirt { persistent: Some(false), ..plain }, true), flag::LIVE | flag::PEER_TO_PEER);
    }

    #[test]
    fn unsafe_storage_is_only_asked_for_where_the_config_says_so() {
        let all = Libvirt {
            tunnelled: true,
            post_copy: true,
            auto_converge: true,
            copy_storage: CopyStorage::Increment,
            ..Libvirt::default()
        };
        assert_eq!(flags(&all, false), 1 | 2 | 4 | 128 | 8_192 | 32_768);
        assert_eq!(flags(&Libvirt { allow_unsafe: true, ..Libvirt::default() }, false), 1 | 2 | 512);
        assert_eq!(flags(&Libvirt { copy_storage: CopyStorage::All, ..Libvirt::default() }, false), 1 | 2 | 64);
    }

    use Presence::{Absent, Paused, Runs, Unknown};

    #[test]
    fn one_reading_is_enough_where_it_runs_at_one_end_alone() {
        let clear: Vec<Pair> = [Runs, Paused, Absent, Unknown]
            .into_iter()
            .flat_map(|source| [Runs, Paused, Absent, Unknown].map(|destination| (source, destination)))
            .filter(|pair| clear(*pair))
            .collect();
        assert_eq!(clear, [(Runs, Absent), (Absent, Runs)]);
    }

    #[test]
    fn a_moment_of_the_hand_over_is_never_lost_nor_double() {
        // Before it at one end, after it at the other; then both after it.
        assert_eq!(agreed((Runs, Runs), (Absent, Runs)), (Absent, Runs));
        assert_eq!(agreed((Absent, Absent), (Absent, Runs)), (Absent, Runs));
        assert_eq!(agreed((Paused, Paused), (Paused, Runs)), (Paused, Unknown));
        assert_eq!(agreed((Runs, Paused), (Absent, Absent)), (Unknown, Unknown));
        assert_eq!(agreed((Runs, Runs), (Paused, Runs)), (Unknown, Runs));
    }

    #[test]
    fn what_lasts_is_said() {
        for pair in [(Absent, Absent), (Runs, Runs), (Paused, Absent), (Unknown, Runs)] {
            assert_eq!(agreed(pair, pair), pair);
        }
    }
}
