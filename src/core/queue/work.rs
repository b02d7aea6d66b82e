//! One claim under work: which job is begun next, what becomes of a try, and what the claim's status says of it.
//!
//! A job is *in hand* from before it is begun until its result is delivered. A status that is saved with the job in hand
//! counts its try, whatever dies afterwards. So a job that kills its worker is set aside after so many tries.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Claim, ClaimStatus, Job, JobInHand, Page, Ranges};
use crate::core::cluster::{Span, Timestamp};

/// How many of the newest jobs the status tells how long they took.
const NEWEST: usize = 100;
/// So many jobs wait for another try before they come before jobs that were never begun: the status stays short, even if
/// every job of a long page fails at first.
const MOST_AGAIN: usize = 1_000;

/// A claim that a worker has, with its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name and status. Done and failed are what was found as results.
    pub claim: Claim,
    /// Its page.
    pub page: Arc<Page>,
}

/// A claim under work.
#[derive(Debug, Clone)]
pub struct ClaimWork {
    held: Held,
    /// Tries before a job is set aside. At least 1.
    limit: u32,
    /// The place on the page of the next job that was never begun.
    cursor: usize,
    /// Jobs that were begun before, with their tries: the fewest tries first.
    again: BTreeSet<(u32, u32)>,
    /// Of them, and of those in hand, the jobs that were in hand when a worker died: one of them may have killed it.
    suspects: BTreeSet<u32>,
    /// Jobs that have no try left.
    hopeless: BTreeSet<u32>,
    /// Jobs that are neither done nor set aside.
    left: u32,
    /// Whether the status has changed since it was saved.
    is_changed: bool,
}

/// What comes next in a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextJob {
    /// This job can be begun. It is in hand now; the status must be saved before it begins.
    Begin(u32),
    /// This job has no try left: its worker died in so many tries. It is in hand until its error is delivered.
    SetAside(u32, u32),
}

impl ClaimWork {
    /// A claim as it was found: with the results that are there as done and failed. A job that was begun without a result has
    /// used up a try, and is worked alone.
    pub fn new(held: Held, limit: u32) -> Self {
        let (mut again, mut suspects, mut hopeless) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let Held { mut claim, page } = held;
        let status = &mut claim.status;
        // What was in hand when it was saved last is no longer.
        for job in std::mem::take(&mut status.hand) {
            let tries = status.attempts.entry(job.job).or_default();
            *tries = job.attempt.max(*tries);
        }
        let has_ended = |status: &ClaimStatus, job| status.done.contains(job) || status.failed.contains(job);
        let attempts = std::mem::take(&mut status.attempts);
        let open = attempts.into_iter().filter(|(job, _)| page.job(*job).is_some() && !has_ended(status, *job));
        status.attempts = open.collect();
        for (job, tries) in &status.attempts {
            if *tries >= limit {
                hopeless.insert(*job);
            } else {
                again.insert((*tries, *job));
                suspects.insert(*job);
            }
        }
        let mut by_grade: HashMap<&str, u32> = HashMap::new();
        let mut left = 0;
        for job in page.jobs().filter(|job| !has_ended(status, job.number)) {
            left += 1;
            *by_grade.entry(job.tag).or_default() += 1;
        }
        let of = |grade: &String| by_grade.get(grade.as_str()).copied().unwrap_or_default();
        status.left = status.grades.iter().map(|(grade, _)| (grade.clone(), of(grade))).collect();
        Self { held: Held { claim, page }, limit, cursor: 0, again, suspects, hopeless, left, is_changed: true }
    }

    /// The claim, with its status as it is now.
    pub const fn held(&self) -> &Held {
        &self.held
    }

    /// A job of the page.
    pub fn job(&self, number: u32) -> Option<Job<'_>> {
        self.held.page.job(number)
    }

    /// How many jobs are neither done nor set aside.
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// Whether each job is done or set aside.
    pub const fn is_finished(&self) -> bool {
        self.left == 0
    }

    /// Whether the status has changed since [`ClaimWork::saved`].
    pub const fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// The status as it is to be saved now.
    pub fn to_save(&mut self, now: Timestamp, site: &str) -> &Held {
        self.held.claim.status.beat = now;
        site.clone_into(&mut self.held.claim.status.site);
        &self.held
    }

    /// The status was saved as it is.
    pub const fn saved(&mut self) {
        self.is_changed = false;
    }

    /// Takes the next job into hand: those without a try left, then those never begun in the order of the page, then those
    /// begun before, the fewest tries first. A job that may have killed its worker waits until nothing else is in hand, and
    /// nothing else is begun until its result is delivered. `None`: nothing can be begun now.
    pub fn next(&mut self, now: Timestamp) -> Option<NextJob> {
        if let Some(job) = self.hopeless.pop_first() {
            let attempt = self.held.claim.status.attempts.get(&job).copied().unwrap_or_default();
            self.take(job, attempt, now);
            return Some(NextJob::SetAside(job, attempt));
        }
        let hand = &self.held.claim.status.hand;
        if hand.iter().any(|hand| self.suspects.contains(&hand.job)) {
            return None;
        }
        let job = match self.again.len() < MOST_AGAIN {
            true => self.never_begun().or_else(|| self.begun_before()),
            false => self.begun_before().or_else(|| self.never_begun()),
        }?;
        let tries = self.held.claim.status.attempts.entry(job).or_default();
        *tries += 1;
        let attempt = *tries;
        self.take(job, attempt, now);
        Some(NextJob::Begin(job))
    }

    /// Whether a job in hand may have killed a worker, so that it is worked alone.
    pub fn is_suspect(&self, job: u32) -> bool {
        self.suspects.contains(&job)
    }

    /// A try failed. True: there is another one, later. False: it was the last, and its error is to be delivered.
    pub fn failed_try(&mut self, job: u32) -> bool {
        // It has ended without killing anybody.
        self.suspects.remove(&job);
        let tries = self.held.claim.status.attempts.get(&job).copied().unwrap_or_default();
        if tries >= self.limit {
            return false;
        }
        self.put_down(job);
        self.again.insert((tries, job));
        true
    }

    /// A job in hand was not begun, or was broken off by its worker: the try does not count.
    pub fn withdraw(&mut self, job: u32) {
        self.put_down(job);
        let tries = self.held.claim.status.attempts.remove(&job).unwrap_or_default().saturating_sub(1);
        if tries > 0 {
            self.held.claim.status.attempts.insert(job, tries);
        }
        self.again.insert((tries, job));
    }

    /// A job's output is delivered. `parallel` jobs were worked at a time, at this site; `site` is none if it has changed
    /// meanwhile, and then nothing is learned from the job.
    pub fn done(&mut self, job: u32, took: Span, site: Option<&str>, parallel: u32) {
        if let Some(site) = site {
            let tag = self.held.page.job(job).map_or("", |job| job.tag);
            self.held.claim.status.rates.add(site, tag, took, parallel);
        }
        self.end(job, true, took);
    }

    /// A job's error is delivered.
    pub fn set_aside(&mut self, job: u32, took: Span) {
        self.end(job, false, took);
    }

    /// Of these jobs (none: of all) those that were set aside.
    pub fn set_aside_of(&self, jobs: &Ranges) -> Vec<u32> {
        self.held.claim.status.failed.iter().filter(|job| jobs.is_empty() || jobs.contains(*job)).collect()
    }

    /// A job's error was taken away: it has all its tries again.
    pub fn reopened(&mut self, job: u32) {
        if self.held.claim.status.failed.remove(job) {
            self.count(job, 1);
            self.again.insert((0, job));
            self.is_changed = true;
        }
    }

    fn never_begun(&mut self) -> Option<u32> {
        while let Some(job) = self.held.page.nth(self.cursor) {
            self.cursor += 1;
            let status = &self.held.claim.status;
            let begun = status.done.contains(job.number)
                || status.failed.contains(job.number)
                || status.attempts.contains_key(&job.number)
                || self.again.contains(&(0, job.number));
            if !begun {
                return Some(job.number);
            }
        }
        None
    }

    fn begun_before(&mut self) -> Option<u32> {
        let is_alone = self.held.claim.status.hand.is_empty();
        let can_begin = |job: &u32| is_alone || !self.suspects.contains(job);
        let (tries, job) = *self.again.iter().find(|(_, job)| can_begin(job))?;
        self.again.remove(&(tries, job)).then_some(job)
    }

    fn take(&mut self, job: u32, attempt: u32, since: Timestamp) {
        self.held.claim.status.hand.push(JobInHand { job, since, attempt });
        self.is_changed = true;
    }

    fn put_down(&mut self, job: u32) {
        self.held.claim.status.hand.retain(|hand| hand.job != job);
        self.is_changed = true;
    }

    fn end(&mut self, job: u32, done: bool, took: Span) {
        self.put_down(job);
        self.suspects.remove(&job);
        let status = &mut self.held.claim.status;
        status.attempts.remove(&job);
        let ended = if done { &mut status.done } else { &mut status.failed };
        if ended.insert(job) {
            self.count(job, -1);
        }
        let status = &mut self.held.claim.status;
        status.took.push((job, took));
        if status.took.len() > NEWEST {
            status.took.remove(0);
        }
    }

    /// Counts a job as left, or no longer.
    fn count(&mut self, job: u32, by: i32) {
        let Some(tag) = self.held.page.job(job).map(|job| job.tag) else { return };
        self.left = self.left.saturating_add_signed(by);
        if let Some((_, left)) = self.held.claim.status.left.iter_mut().find(|(grade, _)| grade == tag) {
            *left = left.saturating_add_signed(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_241_613_600);
    const SECOND: Span = Span::from_secs(1);

    fn held(text: &str) -> Held {
        let page = Page::parse(text.as_bytes().to_vec()).expect("a page");
        let status = ClaimStatus { grades: page.grades(""), ..ClaimStatus::default() };
        let claim = Claim { name: "nii4.0123456789ab.1".to_owned(), status, ..Claim::default() };
        Held { claim, page: Arc::new(page) }
    }

    fn work(text: &str, limit: u32) -> ClaimWork {
        ClaimWork::new(held(text), limit)
    }

    /// The worker dies and starts again over what was saved.
    fn again(work: &ClaimWork, limit: u32) -> ClaimWork {
        ClaimWork::new(work.held().clone(), limit)
    }

    #[test]
    fn jobs_are_begun_in_the_order_of_the_page_and_a_failed_one_again_at_its_end() {
        let mut work = work("1\n\n3\n4\n", 2);
        assert_eq!([work.next(NOW), work.next(NOW)], [1, 3].map(|job| Some(NextJob::Begin(job))));
        assert!(work.failed_try(1), "it has another try");
        work.done(3, SECOND, Some("home"), 1);
        assert_eq!(
            [work.next(NOW), work.next(NOW), work.next(NOW)],
            [Some(NextJob::Begin(4)), Some(NextJob::Begin(1)), None]
        );
        assert!(!work.failed_try(1), "that was the last");
        work.set_aside(1, SECOND);
        work.done(4, SECOND, Some("home"), 1);
        let status = &work.held().claim.status;
        assert!(work.is_finished() && status.attempts.is_empty() && status.hand.is_empty());
        assert_eq!((status.done.as_slice(), status.failed.as_slice()), (&[(3, 4)][..], &[(1, 1)][..]));
        assert_eq!(status.rates.of("home", "").map(|took| took.jobs), Some(2), "a job that failed tells no rate");
    }

    #[test]
    fn what_was_in_hand_when_the_worker_died_is_worked_alone_after_the_rest() {
        let mut work = work("1\n2\n3\n", 3);
        assert_eq!([work.next(NOW), work.next(NOW)], [1, 2].map(|job| Some(NextJob::Begin(job))));
        let mut work = again(&work, 3);
        assert_eq!(
            [work.next(NOW), work.next(NOW)],
            [Some(NextJob::Begin(3)), None],
            "1 and 2 wait until nothing is in hand"
        );
        work.done(3, SECOND, None, 1);
        assert_eq!([work.next(NOW), work.next(NOW)], [Some(NextJob::Begin(1)), None]);
        work.done(1, SECOND, None, 1);
        assert_eq!([work.next(NOW), work.next(NOW)], [Some(NextJob::Begin(2)), None]);
        assert_eq!(work.held().claim.status.hand[0].attempt, 2);
    }

    #[test]
    fn a_job_that_was_withdrawn_has_all_its_tries() {
        let mut work = work("1\n", 1);
        assert_eq!(work.next(NOW), Some(NextJob::Begin(1)));
        work.withdraw(1);
        let mut work = again(&work, 1);
        assert_eq!(work.next(NOW), Some(NextJob::Begin(1)));
        let mut work = again(&work, 1);
        assert_eq!(work.next(NOW), Some(NextJob::SetAside(1, 1)));
    }

    #[test]
    fn a_job_that_was_set_aside_has_all_its_tries_again_when_it_is_asked_for() {
        let mut work = work("1\n2\n", 1);
        for job in [1, 2] {
            assert_eq!(work.next(NOW), Some(NextJob::Begin(job)));
            assert!(!work.failed_try(job));
            work.set_aside(job, SECOND);
        }
        // A worker that starts over it has not walked over the page yet.
        let mut work = again(&work, 1);
        assert_eq!(work.set_aside_of(&Ranges::new()), [1, 2]);
        assert_eq!(work.set_aside_of(&[2, 7].into_iter().collect()), [2]);
        work.reopened(2);
        assert_eq!((work.is_finished(), work.held().claim.status.left[0].1), (false, 1));
        assert_eq!([work.next(NOW), work.next(NOW)], [Some(NextJob::Begin(2)), None]);
    }

    #[test]
    fn the_status_stays_short_if_every_job_fails_at_first() {
        let mut work = work(&"1\n".repeat(5_000), 3);
        let mut most = 0;
        while let Some(next) = work.next(NOW) {
            let NextJob::Begin(job) = next else { panic!("{next:?}") };
            if !work.failed_try(job) {
                work.set_aside(job, SECOND);
            }
            most = most.max(work.held().claim.status.attempts.len());
        }
        assert!(work.is_finished() && most <= MOST_AGAIN + 1, "{most}");
    }

    /// What a job does in the simulation.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Nature {
        Fine,
        /// So many tries fail.
        Fails(u32),
        /// It kills its worker.
        Poison,
    }

    /// Where a job in hand is.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Stage {
        Taken,
        Running,
        Ended(bool),
    }

    /// A worker with what is on the disk and what is lost when it dies.
    struct Simulated {
        natures: Vec<Nature>,
        limit: u32,
        work: ClaimWork,
        saved: Held,
        hand: BTreeMap<u32, Stage>,
        results: BTreeMap<u32, bool>,
        starts: BTreeMap<u32, u32>,
        /// How often a job was in hand, as saved, when the worker died.
        deaths: BTreeMap<u32, u32>,
    }

    impl Simulated {
        fn new(natures: Vec<Nature>, limit: u32) -> Self {
            let saved = held(&"1\n".repeat(natures.len()));
            let work = ClaimWork::new(saved.clone(), limit);
            let [starts, deaths] = [BTreeMap::new(), BTreeMap::new()];
            Self { natures, limit, work, saved, hand: BTreeMap::new(), results: BTreeMap::new(), starts, deaths }
        }

        fn die(&mut self) {
            for hand in &self.saved.claim.status.hand {
                if !self.results.contains_key(&hand.job) {
                    *self.deaths.entry(hand.job).or_default() += 1;
                }
            }
            self.hand.clear();
            let ended = |done| self.results.iter().filter(|(_, was)| **was == done).map(|(job, _)| *job).collect();
            (self.saved.claim.status.done, self.saved.claim.status.failed) = (ended(true), ended(false));
            self.work = ClaimWork::new(self.saved.clone(), self.limit);
        }

        fn save(&mut self) {
            self.saved = self.work.to_save(NOW, "home").clone();
            self.work.saved();
        }

        fn start(&mut self) {
            let Some((job, stage)) = self.hand.iter_mut().find(|(_, stage)| **stage == Stage::Taken) else { return };
            let job = *job;
            assert!(
                self.saved.claim.status.hand.iter().any(|hand| hand.job == job),
                "its try is counted before it begins"
            );
            assert!(!self.results.contains_key(&job), "{job} has a result");
            *stage = Stage::Running;
            *self.starts.entry(job).or_default() += 1;
            if self.natures[job as usize - 1] == Nature::Poison {
                self.die();
            }
        }

        fn end(&mut self) {
            let Some((job, stage)) = self.hand.iter_mut().find(|(_, stage)| **stage == Stage::Running) else { return };
            let job = *job;
            let failed = matches!(self.natures[job as usize - 1], Nature::Fails(tries) if self.starts[&job] <= tries);
            *stage = Stage::Ended(!failed);
            if failed && self.work.failed_try(job) {
                self.hand.remove(&job);
            }
        }

        fn deliver(&mut self, and_die: bool) {
            let ended = self.hand.iter().find_map(|(job, stage)| match stage {
                Stage::Ended(done) => Some((*job, *done)),
                _ => None,
            });
            let Some((job, done)) = ended else { return };
            assert_eq!(self.results.insert(job, done), None, "{job} is delivered once");
            if and_die {
                return self.die();
            }
            self.hand.remove(&job);
            if done {
                self.work.done(job, SECOND, Some("home"), 2);
            } else {
                self.work.set_aside(job, SECOND);
            }
        }

        fn take(&mut self, most: usize, and_die: bool) {
            while self.hand.len() < most {
                match self.work.next(NOW) {
                    Some(NextJob::Begin(job)) => self.hand.insert(job, Stage::Taken),
                    Some(NextJob::SetAside(job, _)) => self.hand.insert(job, Stage::Ended(false)),
                    None => break,
                };
            }
            if and_die {
                return self.die();
            }
            self.save();
        }

        fn check(&self) {
            let status = &self.work.held().claim.status;
            let left: u32 = status.left.iter().map(|(_, left)| left).sum();
            assert_eq!(status.total(), left + status.done.len() + status.failed.len());
            assert_eq!(status.hand.len(), self.hand.len());
        }
    }

    fn natures() -> impl Strategy<Value = Vec<Nature>> {
        let one =
            prop_oneof![6 => Just(Nature::Fine), 1 => (1_u32..4).prop_map(Nature::Fails), 1 => Just(Nature::Poison)];
        prop::collection::vec(one, 1..20)
    }

    proptest! {
        #[test]
        fn each_job_ends_once_and_only_what_kills_is_set_aside(
            natures in natures(), limit in 2_u32..4, parallel in 1_usize..5,
            steps in prop::collection::vec((0_u32..4, 0_u32..1_000), 0..400), may_die in any::<bool>(),
        ) {
            let mut simulated = Simulated::new(natures.clone(), limit);
            let orderly = [0, 1, 2, 3].into_iter().cycle().map(|step| (step, 999));
            for (step, chance) in steps.into_iter().chain(orderly).take(4_000) {
                let dies = may_die && chance < 15;
                match step {
                    0 => simulated.take(parallel, dies),
                    // What is in hand but not saved is never begun: it is saved in the step before.
                    1 => simulated.start(),
                    2 => simulated.end(),
                    _ => simulated.deliver(dies),
                }
                if may_die && (15..30).contains(&chance) {
                    simulated.die();
                }
                simulated.check();
                if simulated.work.is_finished() {
                    break;
                }
            }
            prop_assert!(simulated.work.is_finished(), "{:?}", simulated.work);
            prop_assert_eq!(simulated.results.len(), natures.len(), "each job has one result");
            for (job, nature) in (1..).zip(&natures) {
                let [starts, deaths] = [&simulated.starts, &simulated.deaths].map(|counts| counts.get(&job).copied().unwrap_or_default());
                prop_assert!(starts <= limit, "{} was begun {} times", job, starts);
                let unlucky = deaths >= limit;
                match (nature, simulated.results[&job]) {
                    (Nature::Poison, done) => prop_assert!(!done && (deaths == limit || may_die)),
                    (Nature::Fine, done) => prop_assert!(done || unlucky),
                    (Nature::Fails(tries), true) => prop_assert!(*tries < limit),
                    (Nature::Fails(tries), false) => prop_assert!(tries + deaths >= limit),
                }
                prop_assert!(may_die || nature == &Nature::Poison || deaths <= 1, "{} is worked alone after a death", job);
            }
        }
    }
}
