//! Says where a VM runs after a migration, by reading both hosts; and finds again a migration that is still under way.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use super::fields::Fields;
use super::follow::{Course, Follower, under_way};
use super::line::{Answer, Line};
use super::migrate::completed;
use super::picture;
use super::task::{DEADLINE, Done, Key, Learned, PACE, Sign, Task};
use super::words;
use crate::core::engine::Presence;
use crate::edge::driver::DriverEvent;

/// Between two readings of the same hosts.
const AGAIN: Duration = Duration::from_secs(1);

/// How one host stands to the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    presence: Presence,
    /// It is migrating away.
    leaves: bool,
}

/// Both hosts: source and destination.
type Pair = (Presence, Presence);

/// Reads both hosts and answers [`DriverEvent::Presence`]; or, if the source is still migrating the VM away, follows that to its
/// end and answers [`DriverEvent::Ended`].
///
/// The two hosts are not read at one instant, and libvirt hands a VM over in steps: both ends stand still when the memory
/// is sent, then the destination runs, then the source's end is gone. So what a single reading may say is this: it runs at
/// one end and is absent at the other. Anything else (a VM that stands still, that runs at both ends, or at none) is only
/// said when a second reading a second later is the same; what differs is `Unknown`, as is what does not answer. The source's
/// job is part of its reading, and lasts until its end of the VM is gone: while there is one, nothing is judged.
pub(super) fn confirm(task: &Task, signs: &Receiver<Sign>) -> Done {
    // Right after a start the connections are only being opened.
    let deadline = Instant::now() + DEADLINE;
    [&task.source, &task.destination].into_iter().for_each(|line| line.wait_for_first(deadline));
    let first = read(task);
    if first.0.leaves {
        return follow(task, signs);
    }
    let pair = pair(first);
    if clear(pair) || half(pair) {
        return answer(task, pair);
    }
    thread::sleep(AGAIN);
    let second = read(task);
    if second.0.leaves {
        return follow(task, signs);
    }
    answer(task, agreed(pair, self::pair(second)))
}

fn answer(task: &Task, (source, destination): Pair) -> Done {
    Done { facts: vec![DriverEvent::Presence { id: task.way.id, source, destination }], learned: task.learned }
}

fn pair((source, destination): (Reading, Reading)) -> Pair {
    (source.presence, destination.presence)
}

/// One reading is enough: it runs at one end, and is not at the other.
fn clear(pair: Pair) -> bool {
    matches!(pair, (Presence::Runs, Presence::Absent) | (Presence::Absent, Presence::Runs))
}

/// One end does not answer: another reading would say no more.
fn half(pair: Pair) -> bool {
    pair.0 == Presence::Unknown || pair.1 == Presence::Unknown
}

/// What two readings agree on; a second that is clear by itself stands.
fn agreed(first: Pair, second: Pair) -> Pair {
    if clear(second) {
        return second;
    }
    let same = |first, second| if first == second { second } else { Presence::Unknown };
    (same(first.0, second.0), same(first.1, second.1))
}

/// Reads both at the same time.
fn read(task: &Task) -> (Reading, Reading) {
    let deadline = Instant::now() + DEADLINE;
    let (source, destination) = (ask(&task.source, task.key()), ask(&task.destination, task.key()));
    (reading(source, deadline), reading(destination, deadline))
}

fn ask(line: &Line, key: Key) -> Result<Answer<Option<Reading>>, String> {
    line.ask(move |connection| {
        let absent = Reading { presence: Presence::Absent, leaves: false };
        let domain = match key.find(connection) {
            Ok(Some(domain)) => domain,
            Ok(None) => return Some(absent),
            Err(_) => return None,
        };
        // It may go between two questions.
        let state = domain.state().map(|(state, _)| u64::try_from(state).map_or(Presence::Absent, picture::presence));
        let presence = state.or_else(|error| if error.absent() { Ok(Presence::Absent) } else { Err(error) }).ok()?;
        // A domain that cannot be asked for its job now may well have one.
        let idle = |error: Error| if error.jobless() { Ok((0, Fields::default())) } else { Err(error) };
        let (kind, figures) = domain.job(false).or_else(idle).ok()?;
        Some(Reading { presence, leaves: under_way(kind, &figures) })
    })
}

fn reading(asked: Result<Answer<Option<Reading>>, String>, deadline: Instant) -> Reading {
    let unknown = Reading { presence: Presence::Unknown, leaves: false };
    asked.and_then(|answer| answer.until(deadline)).ok().flatten().unwrap_or(unknown)
}

/// Follows a migration that somebody else's call, or one before a restart, has started.
fn follow(task: &Task, signs: &Receiver<Sign>) -> Done {
    let mut follower = Follower::new(task);
    loop {
        match follower.look() {
            Course::Runs => {}
            Course::Over => return ended(task, over(task, &follower), follower.learned),
            Course::Lost(why) => return ended(task, why, follower.learned),
        }
        match signs.recv_timeout(PACE) {
            Ok(Sign::Abort) => follower.stop("aborted"),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(PACE),
        }
    }
}

fn over(task: &Task, follower: &Follower<'_>) -> String {
    let stopped = follower.stopped().map(str::to_owned);
    stopped.or_else(|| completed(task)).unwrap_or_else(|| "the migration is over".to_owned())
}

fn ended(task: &Task, detail: String, learned: Learned) -> Done {
    Done { facts: vec![DriverEvent::Ended { id: task.way.id, detail: words::line(&detail) }], learned }
}

#[cfg(test)]
mod tests {
    use super::*;
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
