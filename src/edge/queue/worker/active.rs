//! The claim that is worked: its tries that run, and its results on their way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::event::WorkHappened;
use super::jobs::{JobOrder, TryEnd, work};
use super::now;
use crate::core::cluster::Span;
use crate::core::queue::{ClaimWork, Held, JobKind, NextJob};
use crate::edge::queue::{Delivery, QueueStore};

/// So many results are delivered at a time.
const AT_ONCE: usize = 8;
/// Jobs are taken into hand ahead for about so long, in milliseconds …
const AHEAD_MS: i64 = 250;
/// … but so many at most.
const MOST_AHEAD: usize = 64;

/// A claim, its tries that run, and its results that are not delivered yet.
pub(super) struct ActiveClaim {
    pub work: ClaimWork,
    /// The claim as it was when it was taken, for those who only need its name.
    pub handle: Arc<Held>,
    /// Jobs in hand of which the saved status does not know yet.
    unsaved: Vec<u32>,
    /// Jobs in hand that may begin.
    ready: VecDeque<u32>,
    running: HashMap<u32, RunningJob>,
    tries: JoinSet<(u32, TryEnd)>,
    /// Results that wait to be delivered.
    waiting: VecDeque<JobResult>,
    deliveries: JoinSet<(JobResult, Delivery)>,
    /// How many jobs are worked at a time.
    parallel: usize,
}

struct RunningJob {
    since: Instant,
    site: String,
}

/// How a job ended.
pub(super) struct JobResult {
    job: u32,
    result: Result<Vec<u8>, String>,
    took: Span,
    /// Where it was begun.
    site: String,
}

/// What a worker knows of itself while it works a claim.
pub(super) struct Workplace {
    pub kind: Arc<JobKind>,
    pub vm: String,
    pub site: String,
    pub parallel: usize,
}

/// What a look at the tries and deliveries that have ended has found.
#[derive(Default)]
pub(super) struct Collected {
    pub said: Vec<WorkHappened>,
    /// Outputs that were delivered: the grade, how long it took, the site.
    pub learned: Vec<(String, Span, String)>,
    /// Tries have ended.
    pub tried: bool,
    /// Jobs could not begin.
    pub not_begun: Option<String>,
    /// The claim is no longer this worker's.
    pub lost: Option<String>,
    /// It is not known whether results were delivered.
    pub undelivered: Option<String>,
    /// Results were delivered.
    pub delivered: bool,
}

impl ActiveClaim {
    pub fn new(held: Held, attempts: u32) -> Self {
        Self {
            handle: Arc::new(held.clone()),
            work: ClaimWork::new(held, attempts),
            unsaved: Vec::new(),
            ready: VecDeque::new(),
            running: HashMap::new(),
            tries: JoinSet::new(),
            waiting: VecDeque::new(),
            deliveries: JoinSet::new(),
            parallel: 1,
        }
    }

    pub fn name(&self) -> &str {
        &self.handle.claim.name
    }

    pub fn page_name(&self) -> String {
        self.handle.claim.status.page.clone()
    }

    /// The jobs that are being worked.
    pub fn running(&self) -> Vec<u32> {
        let mut running: Vec<u32> = self.running.keys().copied().collect();
        running.sort_unstable();
        running
    }

    /// Results that are not delivered.
    pub fn undelivered(&self) -> usize {
        self.waiting.len() + self.deliveries.len()
    }

    /// Whether nothing runs and nothing is to be delivered.
    pub fn is_quiet(&self) -> bool {
        self.running.is_empty() && self.undelivered() == 0
    }

    /// Takes jobs into hand, if there is room. They begin once the status is saved. Small jobs are taken several at a time, so
    /// that the status is not saved for each.
    pub fn take(&mut self, place: &Workplace, attempts: u32) {
        // With one try, a worker's death must not use up those of jobs that had not begun.
        let may_ahead = attempts > 1 && matches!(*place.kind, JobKind::Bc { .. });
        let ahead = if may_ahead { self.ahead() } else { 0 };
        if !self.ready.is_empty() || self.undelivered() > place.parallel + ahead {
            return;
        }
        while self.running.len() + self.unsaved.len() < place.parallel + ahead {
            match self.work.next(now()) {
                Some(NextJob::Begin(job)) => self.unsaved.push(job),
                Some(NextJob::SetAside(job, tries)) => {
                    let times = if tries == 1 { "once".to_owned() } else { format!("{tries} times") };
                    let error = format!("its worker died {times} while it worked on this job");
                    let result = JobResult { job, result: Err(error), took: Span::ZERO, site: place.site.clone() };
                    self.waiting.push_back(result);
                }
                None => return,
            }
        }
    }

    /// How many small jobs to take into hand ahead.
    fn ahead(&self) -> usize {
        let newest = self.work.held().claim.status.took.iter().rev().take(10);
        let (jobs, sum) = newest.fold((0, 0), |(jobs, sum), (_, took)| (jobs + 1, sum + took.millis()));
        if jobs < 10 { 0 } else { ((AHEAD_MS * jobs / sum.max(1)) as usize).min(MOST_AHEAD) }
    }

    /// Whether the status must be saved now: jobs wait for it, or nothing else will cause it to be saved soon.
    pub fn must_save(&self, last: Instant) -> bool {
        let is_rest = self.ready.is_empty() || last.elapsed().as_secs() >= 1;
        !self.unsaved.is_empty() || (self.work.is_changed() && is_rest)
    }

    /// The status was saved: the jobs it has in hand may begin.
    pub fn saved(&mut self) {
        self.work.saved();
        self.ready.extend(self.unsaved.drain(..));
    }

    /// Begins jobs that may.
    pub fn start(&mut self, place: &Workplace) -> Vec<WorkHappened> {
        let mut said = Vec::new();
        self.parallel = place.parallel;
        while self.running.len() < place.parallel
            && self.undelivered() <= place.parallel + MOST_AHEAD
            && let Some(number) = self.ready.pop_front()
        {
            let Some(job) = self.work.job(number) else { continue };
            let hand = &self.work.held().claim.status.hand;
            let attempt = hand.iter().find(|hand| hand.job == number).map_or(1, |hand| hand.attempt);
            let page = self.page_name();
            said.push(WorkHappened::Started { page: page.clone(), job: number, tag: job.tag.to_owned(), attempt });
            let order = JobOrder { number, work: job.work.to_owned(), page, vm: place.vm.clone() };
            let kind = place.kind.clone();
            self.tries.spawn(async move { (number, work(kind, order).await) });
            self.running.insert(number, RunningJob { since: Instant::now(), site: place.site.clone() });
        }
        said
    }

    /// Delivers results that wait.
    pub fn deliver(&mut self, store: &Arc<QueueStore>) {
        while self.deliveries.len() < AT_ONCE
            && let Some(ended) = self.waiting.pop_front()
        {
            let (store, handle) = (store.clone(), self.handle.clone());
            self.deliveries.spawn(async move {
                let result = ended.result.as_ref().map(Vec::as_slice).map_err(String::as_str);
                let delivery = store.deliver(&handle, ended.job, result).await;
                (ended, delivery)
            });
        }
    }

    /// Puts jobs down that have not begun.
    pub fn put_down(&mut self) {
        for job in self.unsaved.drain(..).chain(self.ready.drain(..)) {
            self.work.withdraw(job);
        }
    }

    /// Breaks off what runs and is on its way. None of it counts as a try. Returns the jobs that were being worked.
    pub fn break_off(&mut self) -> Vec<u32> {
        let running = self.running();
        (self.tries, self.deliveries) = (JoinSet::new(), JoinSet::new());
        self.put_down();
        self.running.clear();
        self.waiting.clear();
        let hand: Vec<u32> = self.work.held().claim.status.hand.iter().map(|hand| hand.job).collect();
        for job in hand {
            self.work.withdraw(job);
        }
        running
    }

    /// Waits until a try or a delivery has ended; for ever if there is none.
    pub async fn something_ends(&mut self, place: &Workplace) -> Result<Collected, JoinError> {
        let mut collected = Collected::default();
        let (tries, deliveries) = (!self.tries.is_empty(), !self.deliveries.is_empty());
        tokio::select! {
            Some(ended) = self.tries.join_next(), if tries => {
                let (job, end) = ended?;
                self.try_ended(job, end, &mut collected);
            }
            Some(ended) = self.deliveries.join_next(), if deliveries => {
                let (ended, delivery) = ended?;
                self.delivery_ended(ended, delivery, place, &mut collected);
            }
            else => std::future::pending::<()>().await,
        }
        // What has ended besides.
        while let Some(ended) = self.tries.try_join_next() {
            let (job, end) = ended?;
            self.try_ended(job, end, &mut collected);
        }
        while let Some(ended) = self.deliveries.try_join_next() {
            let (ended, delivery) = ended?;
            self.delivery_ended(ended, delivery, place, &mut collected);
        }
        Ok(collected)
    }

    fn try_ended(&mut self, job: u32, end: TryEnd, collected: &mut Collected) {
        let Some(running) = self.running.remove(&job) else { return };
        let took = running.since.elapsed().into();
        collected.tried = true;
        let result = match end {
            TryEnd::Output(output) => Ok(output),
            TryEnd::Hopeless(why) => Err(why),
            TryEnd::Failed(error) => {
                if self.work.failed_try(job) {
                    collected.said.push(WorkHappened::Failed { page: self.page_name(), job, error, last: false });
                    return;
                }
                Err(error)
            }
            TryEnd::NotBegun(why) => {
                self.work.withdraw(job);
                (collected.tried, collected.not_begun) = (false, Some(why));
                return;
            }
        };
        self.waiting.push_back(JobResult { job, result, took, site: running.site });
    }

    fn delivery_ended(&mut self, ended: JobResult, delivery: Delivery, place: &Workplace, collected: &mut Collected) {
        match delivery {
            Delivery::Lost(why) => collected.lost = Some(why),
            Delivery::Unknown(why) => {
                collected.undelivered = Some(why);
                self.waiting.push_front(ended);
            }
            Delivery::Done => {
                collected.delivered = true;
                let JobResult { job, result, took, site } = ended;
                let page = self.page_name();
                collected.said.push(match result {
                    Ok(_) => {
                        // A job that was moved from one site to another tells nothing of either.
                        let at = (site == place.site).then_some(&*site);
                        let tag = self.work.job(job).map_or("", |job| job.tag).to_owned();
                        self.work.done(job, took, at, self.parallel());
                        if at.is_some() {
                            collected.learned.push((tag, took, site));
                        }
                        WorkHappened::Done { page, job, took }
                    }
                    Err(error) => {
                        self.work.set_aside(job, took);
                        WorkHappened::Failed { page, job, error, last: true }
                    }
                });
            }
        }
    }

    /// How many jobs of this page are worked at a time.
    pub fn parallel(&self) -> u32 {
        (self.parallel as u32).min(self.work.held().page.count()).max(1)
    }
}
