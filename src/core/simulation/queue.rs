//! A simulated worker. It claims the next queue as a whole, works it job by job, and takes it along when it moves. It obeys what
//! it is asked at its next turn, as a real one does.

use super::{RandomUse, between, unit};
use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::queue::{
    BEAT_EVERY, Claim, ClaimStatus, JobInHand, OpenPage, Page, QueueLook, Ranges, Rates, WorkerControl, WorkerState,
    WorkerStatus,
};

/// Away from home a job takes a third of the time.
const AWAY_SPEED: f64 = 3.0;
/// The wait before a job: after the claim of a queue, the end of a job, and a move.
pub(super) const BETWEEN_JOBS: Span = Span::from_secs(1);
/// A worker reads at multiples of this what it is asked.
const TURN: Span = Span::from_secs(5);
/// The grades, the big one first. Their jobs take this many seconds, least and most, at home on an idle host.
const GRADES: [(&str, (u32, u32)); 3] = [("grade a", (720, 1_200)), ("grade b", (60, 120)), ("grade c", (10, 30))];
/// How many jobs of each grade a queue has, least and most: one with big jobs, and one with none or a single one.
const BIG_QUEUE: [(u32, u32); 3] = [(2, 5), (4, 12), (6, 24)];
const SMALL_QUEUE: [(u32, u32); 3] = [(0, 1), (3, 8), (4, 16)];
/// Every third queue from the first on has big jobs, and so has a quarter of the others.
const BIG_EVERY: i64 = 3;
const BIG_SHARE: f64 = 0.25;
/// The first queue comes up to a minute later than planned, in ms.
const FIRST_WITHIN: f64 = 60_000.0;
/// This share of the small jobs divides by zero.
const BAD_SHARE: f64 = 0.03;
const BAD_ERROR: &str = "Divide by zero";
/// How many jobs of each grade the worker has finished before the simulation begins, at home and away: one rate is not known.
const FINISHED_BEFORE: [[u32; 3]; 2] = [[6, 9, 12], [7, 8, 3]];
/// A look shows so many pages that wait, and so many jobs that are finished.
const SHOWN: usize = 100;

/// The worker inside one VM.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    key: u64,
    vm: Name,
    /// The planned time of the first queue, and the time between two queues.
    first: Timestamp,
    every: Span,
    started: Timestamp,
    /// The number of the next queue to come, from 0.
    next: i64,
    /// Queues that were worked in part and returned, oldest first.
    returned: Vec<QueueInHand>,
    hand: Option<QueueInHand>,
    /// How many claims it has made.
    claims_made: u32,
    control: WorkerControl,
    /// The serial of the control that it obeys, and what that lets it do.
    obeys: u64,
    may_claim: bool,
    may_work: bool,
    /// Its VM stands still since then.
    stopped: Option<Timestamp>,
    rates: Rates,
    /// It has begun to work on a queue, has not finished it, and is not paused.
    busy: bool,
    /// Grows when a job begins, ends or is interrupted. A due event of an older turn is ignored.
    turn: u32,
    looks_at: Timestamp,
}

#[derive(Debug, Clone, Default)]
struct QueueInHand {
    number: i64,
    /// Which of the worker's claims it is.
    claim: u32,
    claimed: Timestamp,
    jobs: [u32; 3],
    done: Ranges,
    failed: Ranges,
    job: Option<QueueJob>,
    took: Vec<(u32, Span)>,
    rates: Rates,
}

/// A job that has begun.
#[derive(Debug, Clone, Copy)]
struct QueueJob {
    number: u32,
    since: Timestamp,
    /// The part that was left when work on it last began, from 0 to 1, and how long it was worked before.
    left: f64,
    worked: Span,
    /// When work on it last began, and how long the rest takes; `None`: it is interrupted.
    runs: Option<(Timestamp, Span)>,
}

impl Worker {
    /// `sites`: the home site's name, and the other one's if there is one.
    pub(super) fn new(
        key: u64,
        vm: Name,
        (first, every): (Timestamp, Span),
        sites: (&Name, Option<&Name>),
        now: Timestamp,
    ) -> Self {
        let mut rates = Rates::default();
        let known = [Some((sites.0, 1.0)), sites.1.map(|away| (away, AWAY_SPEED))];
        for ((site, speed), jobs) in
            known.into_iter().zip(FINISHED_BEFORE).filter_map(|(site, jobs)| Some((site?, jobs)))
        {
            for ((grade, (low, high)), jobs) in GRADES.iter().zip(jobs) {
                for n in 0..i64::from(jobs) {
                    let seconds = between(key, RandomUse::JobLength, -1 - n, *low, *high);
                    rates.add(site, grade, Span::from_secs_f64(f64::from(seconds) / speed), 1);
                }
            }
        }
        Self {
            key,
            vm,
            first,
            every,
            started: now,
            next: 0,
            returned: Vec::new(),
            hand: None,
            claims_made: 0,
            control: WorkerControl::default(),
            obeys: 0,
            may_claim: true,
            may_work: true,
            stopped: None,
            rates,
            busy: false,
            turn: 0,
            looks_at: Timestamp::NEVER,
        }
    }

    /// The current turn.
    pub(super) const fn turn(&self) -> u32 {
        self.turn
    }

    /// Whether it works. A claim alone is no work.
    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether a job may begin: there is one, and none has begun.
    pub(super) fn may_begin(&self) -> bool {
        self.may_work && self.hand.as_ref().is_some_and(|hand| hand.job.is_none_or(|job| job.runs.is_none()))
    }

    /// When it next looks at what it is asked and for a page; [`Timestamp::NEVER`] if there is no need. True if that is another
    /// instant than before.
    pub(super) fn looks_next(&mut self, now: Timestamp) -> (Timestamp, bool) {
        let next = self.next_look(now);
        (next, std::mem::replace(&mut self.looks_at, next) != next)
    }

    /// It does not look before it goes on.
    pub(super) const fn looks_not(&mut self) {
        self.looks_at = Timestamp::NEVER;
    }

    /// Whether it looks at this instant, and not at another one since.
    pub(super) fn looks_at(&self, at: Timestamp) -> bool {
        self.looks_at == at
    }

    fn next_look(&self, now: Timestamp) -> Timestamp {
        let later = now + Span::from_millis(1);
        let obeys = self.control.serial == self.obeys
            && (self.control.may_claim(now), self.control.may_work(now)) == (self.may_claim, self.may_work);
        let asked = if obeys { Timestamp::NEVER } else { next_slot(later, TURN) };
        let ends = self.control.orders(now).filter_map(|order| order.until).map(|until| next_slot(until, TURN));
        let page = match (&self.hand, self.returned.is_empty()) {
            (None, true) if self.may_claim => next_slot(later.max(self.arrives(self.next)), BEAT_EVERY),
            (None, false) if self.may_claim => next_slot(later, BEAT_EVERY),
            _ => Timestamp::NEVER,
        };
        ends.chain([asked, page]).min().unwrap_or(Timestamp::NEVER)
    }

    /// Obeys what it is asked, and claims a page if it may. True if it has claimed one.
    pub(super) fn look(&mut self, now: Timestamp) -> bool {
        self.obey(now);
        self.claim(now)
    }

    /// Changes what is asked of it. Nothing is counted as a change that changes nothing.
    pub(super) fn ask(&mut self, change: impl FnOnce(&mut WorkerControl)) {
        let mut asked = self.control.clone();
        change(&mut asked);
        asked.serial = self.control.serial;
        if asked != self.control {
            asked.serial += 1;
            self.control = asked;
        }
    }

    fn obey(&mut self, now: Timestamp) {
        if self.control.serial > self.obeys {
            self.obeys = self.control.serial;
            self.try_again();
        }
        (self.may_claim, self.may_work) = (self.control.may_claim(now), self.control.may_work(now));
    }

    /// Jobs that were set aside and are to be tried again.
    fn try_again(&mut self) {
        let Some(retry) = &self.control.retry else { return };
        let name = self.hand.as_ref().map(|hand| self.claim_name(hand));
        let Some(hand) = self.hand.as_mut().filter(|_| name.as_ref() == Some(&retry.claim)) else { return };
        for job in hand.failed.clone().iter().filter(|job| retry.jobs.is_empty() || retry.jobs.contains(*job)) {
            hand.failed.remove(job);
        }
    }

    /// Claims the oldest queue that has come, if none is in hand.
    fn claim(&mut self, now: Timestamp) -> bool {
        if self.hand.is_some() || !self.may_claim {
            return false;
        }
        let claim = self.claims_made + 1;
        self.hand = if self.returned.is_empty() {
            if self.arrives(self.next) > now {
                return false;
            }
            self.next += 1;
            let number = self.next - 1;
            Some(QueueInHand { number, claim, claimed: now, jobs: self.jobs(number), ..QueueInHand::default() })
        } else {
            Some(QueueInHand { claim, ..self.returned.remove(0) })
        };
        self.claims_made = claim;
        self.turn += 1;
        true
    }

    /// Returns its claim, half done as it is. False if it has no such claim.
    pub(super) fn give_back(&mut self, claim: &str) -> bool {
        let name = self.hand.as_ref().map(|hand| self.claim_name(hand));
        let Some(mut hand) = self.hand.take_if(|_| name.as_deref() == Some(claim)) else { return false };
        hand.job = None;
        self.returned.push(hand);
        self.busy = false;
        self.turn += 1;
        true
    }

    /// Begins the next job or goes on with an interrupted one, and returns how long that takes; `None`: there is no job, or
    /// it must not. `slowdown`: how slow the VM is on its host.
    pub(super) fn begin(&mut self, now: Timestamp, at_home: bool, slowdown: f64) -> Option<Span> {
        self.obey(now);
        self.busy = self.hand.is_some() && self.may_work;
        let (key, hand) = (self.key, self.hand.as_mut().filter(|_| self.busy)?);
        let begun = |number| QueueJob { number, since: now, left: 1.0, worked: Span::ZERO, runs: None };
        let mut job = hand.job.unwrap_or_else(|| begun(hand.next_job()));
        let speed = if at_home { 1.0 } else { AWAY_SPEED };
        let takes = Span::from_secs_f64(hand.length(key, job.number) * job.left * slowdown / speed);
        job.runs = Some((now, takes));
        hand.job = Some(job);
        self.turn += 1;
        Some(takes)
    }

    /// Ends the current job. After the last job of a queue it claims the next queue, if one has come and it may.
    pub(super) fn end(&mut self, now: Timestamp, site: &str) {
        self.turn += 1;
        let key = self.key;
        let Some(hand) = &mut self.hand else { return };
        let Some(job) = hand.job.take() else { return };
        if hand.is_bad(key, job.number) {
            hand.failed.insert(job.number);
        } else {
            let (took, grade) = (job.worked_at(now), GRADES[hand.grade(job.number)].0);
            hand.done.insert(job.number);
            hand.rates.add(site, grade, took, 1);
            self.rates.add(site, grade, took, 1);
            if hand.took.len() == SHOWN {
                hand.took.remove(0);
            }
            hand.took.push((job.number, took));
        }
        self.obey(now);
        if self.hand.as_ref().is_some_and(QueueInHand::is_through) {
            self.hand = None;
            self.claim(now);
        }
        self.busy = self.hand.is_some() && self.may_work;
    }

    /// Interrupts the work, because the VM moves or its host is down. The finished part of a job stays finished. `stands`: the
    /// worker stands still too.
    pub(super) fn interrupt(&mut self, now: Timestamp, stands: bool) {
        self.turn += 1;
        if let Some(job) = self.hand.as_mut().and_then(|hand| hand.job.as_mut()) {
            *job = QueueJob { left: job.left_at(now), worked: job.worked_at(now), runs: None, ..*job };
        }
        self.stopped = self.stopped.or(Some(now).filter(|_| stands));
        self.looks_not();
    }

    /// It goes on where it was interrupted.
    pub(super) const fn resume(&mut self) {
        self.stopped = None;
    }

    /// What a look at its queue shows. `site`: where it is.
    pub(super) fn seen(&self, now: Timestamp, site: &str) -> QueueLook {
        let came = (self.next..).take_while(|number| self.arrives(*number) <= now);
        let new = came.map(|number| (number, self.jobs(number), false));
        let open: Vec<_> = self.returned.iter().map(|part| (part.number, part.jobs, true)).chain(new).collect();
        let page = |(number, jobs, returned): &(i64, [u32; 3], bool)| OpenPage {
            name: page_name(*number),
            since: Some(self.arrives(*number)),
            bytes: self.text(*number, *jobs).len() as u64,
            grades: Some(graded(*jobs)),
            returned: *returned,
        };
        QueueLook {
            at: now,
            waiting: open.len() as u32,
            open: open.iter().take(SHOWN).map(page).collect(),
            claims: self.hand.iter().map(|hand| self.claim_seen(hand, now, site)).collect(),
            worker: Some(self.worker_seen(now, site)),
            control: self.control.clone(),
            refused: Vec::new(),
        }
    }

    fn claim_seen(&self, hand: &QueueInHand, now: Timestamp, site: &str) -> Claim {
        let attempts = hand.job.iter().map(|job| (job.number, 1)).collect();
        let in_hand = |job: QueueJob| JobInHand { job: job.number, since: job.since, attempt: 1 };
        let status = ClaimStatus {
            vm: self.vm.to_string(),
            page: page_name(hand.number),
            claimed: hand.claimed,
            beat: self.beat(now),
            site: site.to_owned(),
            grades: graded(hand.jobs),
            big: hand.jobs[0],
            left: graded(hand.left()),
            hand: hand.job.map(in_hand).into_iter().collect(),
            done: hand.done.clone(),
            failed: hand.failed.clone(),
            attempts,
            took: hand.took.clone(),
            rates: hand.rates.clone(),
            retry: Ranges::new(),
        };
        Claim { name: self.claim_name(hand), status, trouble: None }
    }

    fn worker_seen(&self, now: Timestamp, site: &str) -> WorkerStatus {
        let state = match &self.hand {
            _ if !self.may_work => WorkerState::Paused,
            Some(_) => WorkerState::Working,
            None => WorkerState::Idle,
        };
        WorkerStatus {
            vm: self.vm.to_string(),
            instance: self.instance(),
            site: site.to_owned(),
            started: self.started,
            beat: self.beat(now),
            state,
            obeys: self.obeys,
            claims: self.may_claim,
            rates: self.rates.clone(),
            ..WorkerStatus::default()
        }
    }

    fn beat(&self, now: Timestamp) -> Timestamp {
        let beat = now.millis() - now.millis().rem_euclid(BEAT_EVERY.millis());
        self.stopped.unwrap_or(Timestamp::from_millis(beat)).max(self.started)
    }

    fn instance(&self) -> String {
        format!("{:012x}", self.key & 0xffff_ffff_ffff)
    }

    fn claim_name(&self, hand: &QueueInHand) -> String {
        format!("{}.{}.{}", self.vm, self.instance(), hand.claim)
    }

    /// The page of this name, if it waits or is in hand.
    pub(super) fn page(&self, name: &str, now: Timestamp) -> Option<Page> {
        let number = name.strip_prefix(PAGE)?.parse::<i64>().ok()? - 1;
        let is_here = number >= 0 && self.arrives(number) <= now;
        is_here.then(|| Page::parse(self.text(number, self.jobs(number)).into_bytes()).ok())?
    }

    /// Why a job of the claim in hand was set aside.
    pub(super) fn error_of(&self, job: u32) -> Option<&'static str> {
        self.hand.as_ref()?.failed.contains(job).then_some(BAD_ERROR)
    }

    /// A page's text. A job that takes longer has a larger exponent.
    fn text(&self, number: i64, jobs: [u32; 3]) -> String {
        let hand = QueueInHand { number, jobs, ..QueueInHand::default() };
        let line = |n: u32| {
            let (grade, seconds) = (hand.grade(n), hand.length(self.key, n));
            let work = if hand.is_bad(self.key, n) { format!("{n}/0") } else { format!("123^{}", seconds * 1_000.0) };
            format!("{} = {work}\n", GRADES[grade].0)
        };
        (1..=hand.total()).map(line).collect()
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

/// What every page's name begins with.
const PAGE: &str = "queue-";

fn page_name(number: i64) -> String {
    format!("{PAGE}{}", number + 1)
}

fn graded(jobs: [u32; 3]) -> Vec<(String, u32)> {
    GRADES.iter().zip(jobs).map(|((name, _), jobs)| ((*name).to_owned(), jobs)).collect()
}

/// The first multiple of `every` that is not before `at`.
fn next_slot(at: Timestamp, every: Span) -> Timestamp {
    at + Span::from_millis((-at.millis()).rem_euclid(every.millis()))
}

impl QueueInHand {
    fn total(&self) -> u32 {
        self.jobs.iter().sum()
    }

    fn is_open(&self, job: u32) -> bool {
        !self.done.contains(job) && !self.failed.contains(job)
    }

    fn next_job(&self) -> u32 {
        (1..=self.total()).find(|job| self.is_open(*job)).unwrap_or(1)
    }

    fn is_through(&self) -> bool {
        self.done.len() + self.failed.len() >= self.total()
    }

    /// Jobs that are neither done nor set aside, by grade.
    fn left(&self) -> [u32; 3] {
        let mut left = [0; 3];
        (1..=self.total()).filter(|job| self.is_open(*job)).for_each(|job| left[self.grade(job)] += 1);
        left
    }

    /// The grade of a job, as its place in [`GRADES`]. The big ones come last, as in the thesis.
    const fn grade(&self, job: u32) -> usize {
        let [_, b, c] = self.jobs;
        match job {
            job if job <= b => 1,
            job if job <= b + c => 2,
            _ => 0,
        }
    }

    /// How many seconds a job takes at home on an idle host.
    fn length(&self, key: u64, job: u32) -> f64 {
        let (_, (low, high)) = GRADES[self.grade(job)];
        f64::from(between(key, RandomUse::JobLength, self.luck_of(job), low, high))
    }

    /// Whether a job can only fail.
    fn is_bad(&self, key: u64, job: u32) -> bool {
        self.grade(job) == 2 && unit(key, RandomUse::BadJob, self.luck_of(job)) < BAD_SHARE
    }

    const fn luck_of(&self, job: u32) -> i64 {
        self.number * 1_000 + job as i64
    }
}

impl QueueJob {
    fn left_at(self, now: Timestamp) -> f64 {
        let Some((since, takes)) = self.runs else { return self.left };
        let part = now.since(since).secs_f64() / takes.secs_f64().max(0.001);
        self.left * (1.0 - part.min(1.0))
    }

    fn worked_at(self, now: Timestamp) -> Span {
        self.worked + self.runs.map_or(Span::ZERO, |(since, _)| now.since(since))
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
        let comes = (later(60), Span::from_mins(50));
        Worker::new(5, "nii4".into(), comes, (&"oslo".into(), Some(&"cloud".into())), START)
    }

    fn hand(worker: &Worker, now: Timestamp) -> ClaimStatus {
        worker.seen(now, "oslo").hand().expect("a queue in hand").status.clone()
    }

    #[test]
    fn nothing_is_claimed_before_it_came() {
        let mut worker = worker();
        assert!(!worker.look(START) && worker.seen(START, "oslo").hand().is_none());
        assert!(worker.look(later(120)));
        let first = hand(&worker, later(120));
        assert!(first.big >= 2 && first.hand.is_empty() && first.done.is_empty());
        assert_eq!(first.big, first.grades[0].1);
        assert!(!worker.look(later(9_000)), "one queue at a time");
        assert!(worker.seen(later(9_000), "oslo").waiting > 1, "the next ones wait");
    }

    #[test]
    fn it_looks_when_a_page_comes_and_when_it_is_asked() {
        let mut worker = worker();
        let comes = worker.next_look(START);
        assert!(comes >= later(60) && comes <= later(135), "{comes:?}");
        assert!(!worker.look(later(59)) && worker.look(comes));
        assert_eq!(worker.next_look(comes), Timestamp::NEVER, "its jobs come by themselves");
        worker.ask(|control| control.site = Some("oslo".to_owned()));
        assert_eq!(worker.next_look(later(201)), later(205));
    }

    #[test]
    fn jobs_are_worked_one_by_one_and_faster_away() {
        let (mut at_home, mut away) = (worker(), worker());
        at_home.look(later(120));
        away.look(later(120));
        let (slow, fast) = (at_home.begin(later(121), HOME, 1.0), away.begin(later(121), AWAY, 1.0));
        let (slow, fast) = (slow.expect("a job"), fast.expect("a job"));
        assert_eq!(slow.millis() / 3, fast.millis());
        assert_eq!(hand(&at_home, later(121)).hand.len(), 1);
        at_home.end(later(121) + slow, "oslo");
        let after = hand(&at_home, later(121) + slow);
        assert_eq!((after.hand.len(), after.done.len(), after.took), (0, 1, vec![(1, slow)]));
    }

    #[test]
    fn an_interrupted_job_goes_on_where_it_stood() {
        let mut worker = worker();
        worker.look(later(120));
        let takes = worker.begin(later(120), HOME, 1.0).expect("a job");
        let half = later(120) + takes.scaled(1, 2);
        worker.interrupt(half, true);
        let much_later = half + Span::from_hours(1);
        assert_eq!(hand(&worker, much_later).beat, half, "no sign of life since");
        worker.resume();
        let rest = worker.begin(much_later, HOME, 1.0).expect("the same job");
        assert!((rest.millis() - takes.millis() / 2).abs() <= 1);
        worker.end(much_later + rest, "oslo");
        let (_, took) = hand(&worker, much_later + rest).took[0];
        assert!((took.millis() - takes.millis()).abs() <= 1, "the time in which it stood still is no work");
    }

    #[test]
    fn the_last_job_frees_the_hand_for_a_queue_that_has_come() {
        let work = |until: Timestamp| {
            let mut worker = worker();
            worker.look(later(120));
            let page = |worker: &Worker| worker.seen(until, "oslo").hand().map(|claim| claim.status.page.clone());
            while page(&worker).is_some_and(|page| page == "queue-1") {
                worker.begin(until, HOME, 1.0);
                worker.end(until, "oslo");
            }
            page(&worker)
        };
        assert_eq!(work(later(600)), None);
        assert_eq!(work(later(9_000)), Some("queue-2".to_owned()));
    }
}
