//! A simulated worker. It claims the next queue as a whole, works it job by job, and takes it along when it moves.

use super::{RandomUse, between, unit};
use crate::core::cluster::{Span, Timestamp};
use crate::core::engine::QueueReport;

/// Away from home a job takes a third of the time.
pub(super) const AWAY_SPEED: f64 = 3.0;
/// The wait before a job: after the claim of a queue, the end of a job, and a move.
pub(super) const BETWEEN_JOBS: Span = Span::from_secs(1);
/// The grades, the big one first. Their jobs take this many seconds, least and most, at home on an idle host.
const GRADES: [(&str, (u32, u32)); 3] = [("a", (720, 1_200)), ("b", (60, 120)), ("c", (10, 30))];
/// How many jobs of each grade a queue has, least and most: one with big jobs, and one with none or a single one.
const BIG_QUEUE: [(u32, u32); 3] = [(2, 5), (4, 12), (6, 24)];
const SMALL_QUEUE: [(u32, u32); 3] = [(0, 1), (3, 8), (4, 16)];
/// Every third queue from the first on has big jobs, and so has a quarter of the others.
const BIG_EVERY: i64 = 3;
const BIG_SHARE: f64 = 0.25;
/// The first queue comes up to a minute later than planned, in ms.
const FIRST_WITHIN: f64 = 60_000.0;

/// The worker inside one VM.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    key: u64,
    /// The planned time of the first queue, and the time between two queues.
    first: Timestamp,
    every: Span,
    /// The number of the next queue to claim, from 0.
    next: i64,
    hand: Option<QueueInHand>,
    /// It has begun to work on a queue and has not finished it.
    busy: bool,
    /// Grows when a job begins, ends or is interrupted. A due event of an older turn is ignored.
    turn: u32,
}

#[derive(Debug, Clone)]
struct QueueInHand {
    number: i64,
    jobs: [u32; 3],
    done: u32,
    job: Option<QueueJob>,
}

/// A job that has begun.
#[derive(Debug, Clone, Copy)]
struct QueueJob {
    /// The part that was left when work on it last began, from 0 to 1.
    left: f64,
    /// When work on it last began, and how long the rest takes; `None`: it is interrupted.
    runs: Option<(Timestamp, Span)>,
}

impl Worker {
    pub(super) const fn new(key: u64, first: Timestamp, every: Span) -> Self {
        Self { key, first, every, next: 0, hand: None, busy: false, turn: 0 }
    }

    /// The current turn.
    pub(super) const fn turn(&self) -> u32 {
        self.turn
    }

    /// Claims the oldest queue that has come, if none is in hand. True if it has claimed one: then a job must begin.
    pub(super) fn claim(&mut self, now: Timestamp) -> bool {
        if self.hand.is_some() || self.arrives(self.next) > now {
            return false;
        }
        self.hand = Some(QueueInHand { number: self.next, jobs: self.jobs(self.next), done: 0, job: None });
        self.next += 1;
        self.turn += 1;
        true
    }

    /// Begins the next job or goes on with an interrupted one, and returns how long that takes; `None`: there is no job.
    /// `slowdown`: how slow the VM is on its host.
    pub(super) fn begin(&mut self, now: Timestamp, at_home: bool, slowdown: f64) -> Option<Span> {
        let key = self.key;
        let hand = self.hand.as_mut()?;
        let left = hand.job.map_or(1.0, |job| job.left);
        let speed = if at_home { 1.0 } else { AWAY_SPEED };
        let seconds = hand.length(key, hand.done) * left * slowdown / speed;
        let takes = Span::from_secs_f64(seconds);
        hand.job = Some(QueueJob { left, runs: Some((now, takes)) });
        self.busy = true;
        self.turn += 1;
        Some(takes)
    }

    /// Ends the current job. After the last job of a queue it claims the next queue, if one has come.
    pub(super) fn end(&mut self, now: Timestamp) {
        self.turn += 1;
        let Some(hand) = &mut self.hand else { return };
        hand.done += 1;
        hand.job = None;
        if hand.done >= hand.total() {
            self.hand = None;
            self.busy = self.claim(now);
        }
    }

    /// Interrupts the work. The finished part of a job stays finished.
    pub(super) fn interrupt(&mut self, now: Timestamp) {
        self.turn += 1;
        if let Some(job) = self.hand.as_mut().and_then(|hand| hand.job.as_mut()) {
            *job = QueueJob { left: job.left_at(now), runs: None };
        }
    }

    /// Whether it works. A claim alone is no work, so that a reading of this VM does not change its neighbours' load.
    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// What the worker reports of the queue in hand. `transfer`: how long a move to the other site takes.
    pub(super) fn report(&self, now: Timestamp, transfer: Span) -> Option<QueueReport> {
        let hand = self.hand.as_ref()?;
        let left = self.seconds_left(hand, now);
        Some(QueueReport {
            name: format!("queue {}", hand.number + 1),
            grades: GRADES.iter().zip(hand.jobs).map(|((name, _), jobs)| ((*name).to_owned(), jobs)).collect(),
            big: hand.jobs[0],
            done: hand.done,
            in_job: hand.job.is_some(),
            at_home: Span::from_secs_f64(left),
            away: Span::from_secs_f64(left / AWAY_SPEED),
            transfer,
        })
    }

    fn seconds_left(&self, hand: &QueueInHand, now: Timestamp) -> f64 {
        let current = hand.job.map_or(1.0, |job| job.left_at(now)) * hand.length(self.key, hand.done);
        current + (hand.done + 1..hand.total()).map(|n| hand.length(self.key, n)).sum::<f64>()
    }

    fn arrives(&self, number: i64) -> Timestamp {
        let luck = unit(self.key, RandomUse::QueueAt, number);
        if number == 0 {
            return self.first + Span::from_millis((luck * FIRST_WITHIN) as i64);
        }
        let within = (self.every.millis() as f64 * luck / 3.0) as i64;
        self.first + self.every.scaled(number, 1) + Span::from_millis(within)
    }

    fn jobs(&self, number: i64) -> [u32; 3] {
        let big = number % BIG_EVERY == 0 || unit(self.key, RandomUse::QueueKind, number) < BIG_SHARE;
        let sizes = if big { BIG_QUEUE } else { SMALL_QUEUE };
        let mut jobs = [0; 3];
        for (grade, ((low, high), jobs)) in sizes.into_iter().zip(&mut jobs).enumerate() {
            *jobs = between(self.key, RandomUse::QueueSize, number * 3 + grade as i64, low, high);
        }
        jobs
    }
}

impl QueueInHand {
    fn total(&self) -> u32 {
        self.jobs.iter().sum()
    }

    /// How many seconds the `n`-th job takes at home on an idle host. The big ones come last, as in the thesis.
    fn length(&self, key: u64, n: u32) -> f64 {
        let [_, b, c] = self.jobs;
        let (_, (low, high)) = GRADES[if n < b { 1 } else { 2 * usize::from(n < b + c) }];
        f64::from(between(key, RandomUse::JobLength, self.number * 1_000 + i64::from(n), low, high))
    }
}

impl QueueJob {
    fn left_at(self, now: Timestamp) -> f64 {
        let Some((since, takes)) = self.runs else { return self.left };
        let part = now.since(since).secs_f64() / takes.secs_f64().max(0.001);
        self.left * (1.0 - part.min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_241_613_600);
    const HOME: bool = true;
    const AWAY: bool = false;

    fn later(seconds: i64) -> Timestamp {
        START + Span::from_secs(seconds)
    }

    fn worker() -> Worker {
        Worker::new(5, START + Span::from_mins(1), Span::from_mins(50))
    }

    fn report(worker: &Worker, now: Timestamp) -> QueueReport {
        worker.report(now, Span::ZERO).expect("a queue in hand")
    }

    #[test]
    fn nothing_is_claimed_before_it_came() {
        let mut worker = worker();
        assert!(!worker.claim(START) && worker.report(START, Span::ZERO).is_none());
        assert!(worker.claim(later(120)));
        let first = report(&worker, later(120));
        assert!(first.big >= 2 && !first.in_job && first.done == 0);
        assert_eq!(first.big, first.grades[0].1);
        assert!(!worker.claim(later(9_000)), "one queue at a time");
    }

    #[test]
    fn jobs_are_worked_one_by_one_and_faster_away() {
        let (mut at_home, mut away) = (worker(), worker());
        at_home.claim(later(120));
        away.claim(later(120));
        let (slow, fast) = (at_home.begin(later(121), HOME, 1.0), away.begin(later(121), AWAY, 1.0));
        let (slow, fast) = (slow.expect("a job"), fast.expect("a job"));
        assert_eq!(slow.millis() / 3, fast.millis());
        assert!(report(&at_home, later(121)).in_job);
        at_home.end(later(121) + slow);
        let after = report(&at_home, later(121) + slow);
        assert!(!after.in_job && after.done == 1);
    }

    #[test]
    fn an_interrupted_job_goes_on_where_it_stood() {
        let mut worker = worker();
        worker.claim(later(120));
        let takes = worker.begin(later(120), HOME, 1.0).expect("a job");
        let half = later(120) + takes.scaled(1, 2);
        let before = report(&worker, half);
        worker.interrupt(half);
        let much_later = half + Span::from_hours(1);
        assert_eq!(report(&worker, much_later), before);
        let rest = worker.begin(much_later, HOME, 1.0).expect("the same job");
        assert!((rest.millis() - takes.millis() / 2).abs() <= 1);
    }

    #[test]
    fn the_last_job_frees_the_hand_for_a_queue_that_has_come() {
        let work = |until: Timestamp| {
            let mut worker = worker();
            worker.claim(later(120));
            while worker.report(until, Span::ZERO).is_some_and(|r| r.name == "queue 1") {
                worker.begin(until, HOME, 1.0);
                worker.end(until);
            }
            worker.report(until, Span::ZERO).map(|r| r.name)
        };
        assert_eq!(work(later(600)), None);
        assert_eq!(work(later(9_000)), Some("queue 2".to_owned()));
    }

    #[test]
    fn what_is_left_shrinks_with_the_work() {
        let mut worker = worker();
        worker.claim(later(120));
        let whole = report(&worker, later(120));
        assert_eq!(whole.away.millis(), whole.at_home.millis() / 3);
        worker.begin(later(120), HOME, 1.0);
        let during = report(&worker, later(130));
        assert_eq!(whole.at_home.millis() - during.at_home.millis(), 10_000);
    }
}
