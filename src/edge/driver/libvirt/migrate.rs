//! Carries a migration out: one thread in libvirt's call, one that watches it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use super::connection::Connection;
use super::error::{Code, Error};
use super::follow::{Course, Follower, OUT_OF_SIGHT};
use super::task::{Done, GLANCE, PACE, Sign, Task};
use super::words;
use crate::core::cluster::{CopyStorage, Libvirt};
use crate::edge::driver::DriverEvent;

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
pub(super) fn start(task: &Task, sender: SyncSender<Sign>, signs: &Receiver<Sign>) -> Done {
    let begun = Instant::now();
    let mut follower = Follower::new(task);
    let leave = Leave::default();
    if let Err(why) = call(task, leave.0.clone(), sender) {
        return done(&follower, task, why);
    }
    let mut gone: Option<Instant> = None;
    loop {
        match signs.recv_timeout(PACE) {
            Ok(Sign::Returned(Ok(()))) => return done(&follower, task, succeeded(task, begun)),
            Ok(Sign::Returned(Err(error))) => return done(&follower, task, failed(task, &follower, &error)),
            Ok(Sign::Broken) | Err(RecvTimeoutError::Disconnected) => {
                panic!("the call that moves {} failed", task.way.vm)
            }
            Ok(Sign::Abort) if leave.is_taken_back() => return done(&follower, task, "aborted".to_owned()),
            Ok(Sign::Abort) => follower.stop("aborted"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        match follower.look() {
            Course::Runs => gone = None,
            Course::Lost(why) => return done(&follower, task, why),
            // It has not begun, or the call is about to return.
            Course::Over => {
                if gone.get_or_insert_with(Instant::now).elapsed() > OUT_OF_SIGHT {
                    return done(&follower, task, vanished(&follower, task));
                }
            }
        }
    }
}

/// libvirt's call goes on without a migration: it may wait for a destination that does not answer.
fn vanished(follower: &Follower<'_>, task: &Task) -> String {
    let over = || format!("{} has no migration any more", task.source.name);
    follower.stopped().map_or_else(over, str::to_owned)
}

/// Whether the source may be asked for the migration; unset until it is asked. To connect to it may take so long that
/// nobody waits any more: what was given up must not begin then.
#[derive(Default)]
struct Leave(Arc<OnceLock<bool>>);

impl Leave {
    /// False once the source is asked.
    fn is_taken_back(&self) -> bool {
        !*self.0.get_or_init(|| false)
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.is_taken_back();
    }
}

fn done(follower: &Follower<'_>, task: &Task, detail: String) -> Done {
    let facts = vec![DriverEvent::Ended { id: task.way.id, detail: words::line(&detail) }];
    Done { facts, learned: follower.learned }
}

/// Runs libvirt's call on a thread and a connection of its own: it blocks to the end of the migration.
fn call(task: &Task, leave: Arc<OnceLock<bool>>, sender: SyncSender<Sign>) -> Result<(), String> {
    let own = task.clone();
    let calling = move || {
        let returned = catch_unwind(AssertUnwindSafe(|| migrate(&own, &leave)));
        let _ = sender.send(returned.map_or(Sign::Broken, Sign::Returned));
    };
    let named = thread::Builder::new().name(format!("libvirt move {}", task.way.vm));
    named.spawn(calling).map(|_| ()).map_err(|why| format!("no thread to migrate with: {why}"))
}

fn migrate(task: &Task, leave: &OnceLock<bool>) -> Result<(), Error> {
    let connection = Connection::open(task.library, &task.source.uri, None)?;
    let domain = task.key().find(&connection)?.ok_or_else(|| Error {
        code: Code::NO_DOMAIN,
        message: format!("{} is not on {}", task.way.vm, task.source.name),
        ..Error::default()
    })?;
    let settings = &task.settings;
    let flags = flags(settings, domain.persistent()?);
    let bandwidth: Vec<_> = settings.bandwidth.map(|rate| ("bandwidth", rate)).into_iter().collect();
    if !leave.get_or_init(|| true) {
        return Err(Error { message: "it was given up before it began".to_owned(), ..Error::default() });
    }
    domain.migrate(&task.destination.peer, &bandwidth, flags)
}

/// What libvirt is asked for. `persistent`: the domain is defined at the source.
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
    let asked = asked.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag);
    asked.fold(flag::LIVE | flag::PEER_TO_PEER, |all, flag| all | flag)
}

/// `4.5 s, 27 ms down`, as the destination has it; where it does not tell, the time alone.
fn succeeded(task: &Task, begun: Instant) -> String {
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    completed(task).unwrap_or_else(|| words::seconds(took))
}

/// What the destination says of the migration that just ended there.
pub(super) fn completed(task: &Task) -> Option<String> {
    let key = task.key();
    let asked = task.destination.ask(move |connection| {
        let job = key.find(connection).ok().flatten().map(|domain| domain.job(true));
        job.and_then(Result::ok).map(|(_, figures)| figures)
    });
    let figures = asked.and_then(|answer| answer.within(GLANCE)).ok().flatten()?;
    let elapsed = figures.get("time_elapsed")?;
    let downtime = figures.get("downtime").map(|ms| format!(", {ms} ms down"));
    Some(words::seconds(elapsed) + downtime.as_deref().unwrap_or_default())
}

/// Why it ended: because it was stopped, or in libvirt's words.
fn failed(task: &Task, follower: &Follower<'_>, error: &Error) -> String {
    let said = || words::failed(&task.way.from, &task.way.to, error);
    follower.stopped().map_or_else(said, str::to_owned)
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
}
