//! The table of a claim's jobs: which row is which job, the worst first. The rows are not made, they are found: a page has up to a
//! million of them.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{ClaimStatus, Job, Page, Ranges};
use crate::core::cluster::{Span, Timestamp};
use crate::core::filter::Filter;

/// How far a job is. The order is that of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It was given up, with an error.
    SetAside,
    /// It is being worked.
    InHand,
    /// It was begun before, and its worker died or it failed. It will be tried again.
    Tried,
    /// It was not begun yet.
    Waiting,
    /// It has a result.
    Done,
}

impl JobState {
    /// As a table says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SetAside => "set aside",
            Self::InHand => "in hand",
            Self::Tried => "tried",
            Self::Waiting => "waiting",
            Self::Done => "done",
        }
    }
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobRow<'a> {
    /// The job.
    pub job: Job<'a>,
    /// How far it is.
    pub state: JobState,
    /// The try in hand, or the tries so far; 0: none, or nobody knows any more.
    pub attempt: u32,
    /// Since when it is in hand.
    pub since: Option<Timestamp>,
    /// How long it took, if it is one of the newest that are done.
    pub took: Option<Span>,
}

/// The jobs of a page as rows: set aside; in hand, the longest first; tried before, the most tries first; waiting; done, the
/// newest first and then, where nobody knows any more when that was, by number.
#[derive(Debug, Clone)]
pub struct JobTable {
    page: Arc<Page>,
    set_aside: Runs,
    /// Position on the page, begin, try.
    in_hand: Vec<(u32, Timestamp, u32)>,
    /// Position on the page, tries.
    tried: Vec<(u32, u32)>,
    waiting: Runs,
    /// Position on the page, and how long it took.
    newest: Vec<(u32, Span)>,
    done: Runs,
}

impl JobTable {
    /// The table of a page, as its worker reports it. Numbers that are no job of the page are left out. A job that is reported
    /// twice is in the worse state.
    pub fn new(page: Arc<Page>, status: &ClaimStatus) -> Self {
        let set_aside = positions(&page, &status.failed);
        let done = minus(&positions(&page, &status.done), &set_aside);
        let ended = merged([&set_aside[..], &done].concat());
        let open = |job: u32| page.position(job).filter(|at| !contains(&ended, *at));

        let mut in_hand: Vec<_> =
            status.hand.iter().filter_map(|hand| Some((open(hand.job)?, hand.since, hand.attempt))).collect();
        in_hand.sort_unstable();
        in_hand.dedup_by_key(|(at, ..)| *at);
        let held = merged(in_hand.iter().map(|(at, ..)| alone(*at)).collect());
        in_hand.sort_by_key(|(_, since, _)| *since);

        let begun = status.attempts.iter().filter(|(_, tries)| **tries > 0);
        let begun = begun.filter_map(|(job, tries)| Some((open(*job)?, *tries)));
        let mut tried: Vec<_> = begun.filter(|(at, _)| !contains(&held, *at)).collect();
        let begun = tried.iter().map(|(at, _)| alone(*at));
        let waiting = minus(&[(0, page.count())], &merged(ended.iter().chain(&held).copied().chain(begun).collect()));
        tried.sort_by_key(|(_, tries)| Reverse(*tries));

        let mut newest: Vec<(u32, Span)> = Vec::new();
        for (job, took) in status.took.iter().rev() {
            if let Some(at) = page.position(*job).filter(|at| contains(&done, *at))
                && newest.iter().all(|(other, _)| *other != at)
            {
                newest.push((at, *took));
            }
        }
        let done = minus(&done, &merged(newest.iter().map(|(at, _)| alone(*at)).collect()));
        Self {
            page,
            set_aside: Runs::new(set_aside),
            in_hand,
            tried,
            waiting: Runs::new(waiting),
            newest,
            done: Runs::new(done),
        }
    }

    /// How many rows it has: each job of the page is one.
    pub fn len(&self) -> u32 {
        self.page.count()
    }

    /// Whether the page has no job.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The jobs in each state.
    pub fn count(&self, state: JobState) -> u32 {
        match state {
            JobState::SetAside => self.set_aside.len(),
            JobState::InHand => self.in_hand.len() as u32,
            JobState::Tried => self.tried.len() as u32,
            JobState::Waiting => self.waiting.len(),
            JobState::Done => self.newest.len() as u32 + self.done.len(),
        }
    }

    /// The `n`-th row, from 0.
    pub fn row(&self, n: u32) -> Option<JobRow<'_>> {
        let mut n = n;
        // True in the one part that has the row; then `n` counts within that part.
        let mut within = |rows: u32| {
            let is_here = n < rows;
            n = if is_here { n } else { n - rows };
            is_here
        };
        if within(self.set_aside.len()) {
            return self.plain(self.set_aside.nth(n)?, JobState::SetAside);
        }
        if within(self.in_hand.len() as u32) {
            let (at, since, attempt) = *self.in_hand.get(n as usize)?;
            return Some(JobRow { attempt, since: Some(since), ..self.plain(at, JobState::InHand)? });
        }
        if within(self.tried.len() as u32) {
            let (at, attempt) = *self.tried.get(n as usize)?;
            return Some(JobRow { attempt, ..self.plain(at, JobState::Tried)? });
        }
        if within(self.waiting.len()) {
            return self.plain(self.waiting.nth(n)?, JobState::Waiting);
        }
        if within(self.newest.len() as u32) {
            let (at, took) = *self.newest.get(n as usize)?;
            return Some(JobRow { took: Some(took), ..self.plain(at, JobState::Done)? });
        }
        self.plain(self.done.nth(n)?, JobState::Done)
    }

    /// The row of a job; `None` if that number is no job.
    pub fn row_of(&self, job: u32) -> Option<u32> {
        let at = self.page.position(job)?;
        let listed = |position: Option<usize>| position.map(|n| n as u32);
        let parts = [
            (self.set_aside.rank(at), self.set_aside.len()),
            (listed(self.in_hand.iter().position(|(other, ..)| *other == at)), self.in_hand.len() as u32),
            (listed(self.tried.iter().position(|(other, _)| *other == at)), self.tried.len() as u32),
            (self.waiting.rank(at), self.waiting.len()),
            (listed(self.newest.iter().position(|(other, _)| *other == at)), self.newest.len() as u32),
            (self.done.rank(at), self.done.len()),
        ];
        let mut before = 0;
        for (found, rows) in parts {
            if let Some(n) = found {
                return Some(before + n);
            }
            before += rows;
        }
        None
    }

    /// The rows that match a filter, by number, tag, work or state.
    pub fn find(&self, filter: &Filter) -> Vec<u32> {
        let matches = |row: &JobRow<'_>| {
            let number = row.job.number.to_string();
            filter.matches([&*number, row.job.tag, row.job.work, row.state.word()])
        };
        (0..self.len()).filter(|n| self.row(*n).is_some_and(|row| matches(&row))).collect()
    }

    fn plain(&self, at: u32, state: JobState) -> Option<JobRow<'_>> {
        let job = self.page.nth(at as usize)?;
        Some(JobRow { job, state, attempt: 0, since: None, took: None })
    }
}

/// Positions on a page as runs. A run ends before its second position.
#[derive(Debug, Clone, Default)]
struct Runs(Vec<Run>);

#[derive(Debug, Clone, Copy)]
struct Run {
    from: u32,
    to: u32,
    /// How many positions are in the runs before.
    before: u32,
}

impl Runs {
    /// Runs that are in order and neither touch nor overlap.
    fn new(runs: Vec<(u32, u32)>) -> Self {
        let mut before = 0;
        let run = |(from, to): (u32, u32)| {
            let run = Run { from, to, before };
            before += to - from;
            run
        };
        Self(runs.into_iter().map(run).collect())
    }

    fn len(&self) -> u32 {
        self.0.last().map_or(0, |run| run.before + run.to - run.from)
    }

    /// The `n`-th position.
    fn nth(&self, n: u32) -> Option<u32> {
        let run = self.0.get(self.0.partition_point(|run| run.before <= n).checked_sub(1)?)?;
        Some(run.from + (n - run.before)).filter(|at| *at < run.to)
    }

    /// How many positions come before this one; `None` if it is in no run.
    fn rank(&self, at: u32) -> Option<u32> {
        let run = self.0.get(self.0.partition_point(|run| run.from <= at).checked_sub(1)?)?;
        (at < run.to).then(|| run.before + (at - run.from))
    }
}

/// The positions of jobs on their page. Numbers that are no job are left out.
fn positions(page: &Page, jobs: &Ranges) -> Vec<(u32, u32)> {
    let runs = jobs.as_slice().iter().map(|(first, last)| {
        let end = last.checked_add(1).map_or(page.count(), |next| page.before(next));
        (page.before(*first), end)
    });
    merged(runs.collect())
}

/// The run of one position.
const fn alone(at: u32) -> (u32, u32) {
    (at, at + 1)
}

/// Whether a position is in runs that are in order.
fn contains(runs: &[(u32, u32)], at: u32) -> bool {
    runs.get(runs.partition_point(|(_, to)| *to <= at)).is_some_and(|(from, _)| *from <= at)
}

/// Runs in order, those that touch or overlap as one, without empty ones.
fn merged(mut runs: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    runs.retain(|(from, to)| from < to);
    runs.sort_unstable();
    let mut out: Vec<(u32, u32)> = Vec::with_capacity(runs.len());
    for (from, to) in runs {
        match out.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// What is in `all` and not in `out`; both are in order.
fn minus(all: &[(u32, u32)], out: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut left = Vec::new();
    let mut out = out.iter().peekable();
    for &(mut from, to) in all {
        while let Some(&&(begin, end)) = out.peek() {
            if end <= from {
                out.next();
                continue;
            }
            if begin >= to {
                break;
            }
            if begin > from {
                left.push((from, begin));
            }
            from = end;
            if from >= to {
                break;
            }
        }
        if from < to {
            left.push((from, to));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::core::queue::JobInHand;

    const NOW: Timestamp = Timestamp::from_secs(1_241_613_600);

    fn page(text: &str) -> Arc<Page> {
        Arc::new(Page::parse(text.as_bytes().to_vec()).expect("a page"))
    }

    fn ranges(jobs: &[u32]) -> Ranges {
        jobs.iter().copied().collect()
    }

    fn hand(job: u32, ago: i64) -> JobInHand {
        JobInHand { job, since: NOW - Span::from_secs(ago), attempt: 1 }
    }

    fn numbers(table: &JobTable) -> Vec<u32> {
        (0..table.len()).filter_map(|n| table.row(n)).map(|row| row.job.number).collect()
    }

    #[test]
    fn the_worst_comes_first() {
        let lines = |n: u32| format!("grade b = {n}+{n}\n");
        let page = page(&(1..=12).map(lines).collect::<String>());
        let status = ClaimStatus {
            failed: ranges(&[7]),
            hand: vec![hand(5, 10), hand(6, 90)],
            attempts: BTreeMap::from([(5, 1), (6, 1), (9, 1), (10, 2)]),
            done: ranges(&[1, 2, 3, 4]),
            took: vec![(4, Span::from_secs(2)), (2, Span::from_secs(3))],
            ..ClaimStatus::default()
        };
        let table = JobTable::new(page, &status);
        assert_eq!(numbers(&table), [7, 6, 5, 10, 9, 8, 11, 12, 2, 4, 1, 3]);
        let row = |n| table.row(n).expect("a row");
        assert_eq!((row(1).since, row(1).attempt), (Some(NOW - Span::from_secs(90)), 1));
        assert_eq!((row(3).state, row(3).attempt), (JobState::Tried, 2));
        assert_eq!((row(8).state, row(8).took), (JobState::Done, Some(Span::from_secs(3))));
        assert_eq!((row(0).job.tag, row(0).job.work), ("grade b", "7+7"));
        assert_eq!((table.count(JobState::Waiting), table.count(JobState::Done)), (3, 4));
        assert_eq!(table.row(12), None);
    }

    #[test]
    fn rows_are_found_by_number_tag_work_and_state() {
        let page = page("grade a = 9^9\ngrade b = 2+2\n# none\n17*3\n");
        let table = JobTable::new(page, &ClaimStatus { failed: ranges(&[4]), ..ClaimStatus::default() });
        let found = |text: &str| table.find(&Filter::new(text));
        assert_eq!((found(""), found("grade A")), (vec![0, 1, 2], vec![1]));
        assert_eq!((found("17*"), found("set aside"), found("!grade")), (vec![0], vec![0], vec![0]));
        assert_eq!(found("4"), [0], "its number");
    }

    #[test]
    fn a_million_jobs_are_a_few_runs() {
        let page = page(&"2+2\n".repeat(1_000_000));
        let done = (1..=1_000_000).filter(|n| n % 1_000 != 0).collect();
        let table = JobTable::new(page, &ClaimStatus { done, ..ClaimStatus::default() });
        assert_eq!((table.waiting.0.len(), table.done.0.len()), (1_000, 1_000));
        assert_eq!(table.row(999).map(|row| (row.job.number, row.state)), Some((1_000_000, JobState::Waiting)));
        assert_eq!(table.row(999_999).map(|row| row.job.number), Some(999_999));
        assert_eq!(table.row_of(999_999), Some(999_999));
    }

    proptest! {
        #[test]
        fn each_job_is_exactly_one_row_in_the_order_of_states(
            lines in prop::collection::vec(prop::bool::weighted(0.8), 0..60),
            [failed, done] in [prop::collection::btree_set(0_u32..70, 0..20), prop::collection::btree_set(0_u32..70, 0..40)],
            hands in prop::collection::vec((0_u32..70, 0_i64..9), 0..6),
            attempts in prop::collection::btree_map(0_u32..70, 0_u32..4, 0..20),
            took in prop::collection::vec((0_u32..70, 1_i64..9), 0..30),
        ) {
            let page = page(&lines.iter().map(|job| if *job { "2+2\n" } else { "\n" }).collect::<String>());
            let status = ClaimStatus {
                failed: failed.iter().copied().collect(),
                done: done.iter().copied().collect(),
                hand: hands.iter().map(|(job, ago)| hand(*job, *ago)).collect(),
                attempts: attempts.clone(),
                took: took.iter().map(|(job, secs)| (*job, Span::from_secs(*secs))).collect(),
                ..ClaimStatus::default()
            };
            let table = JobTable::new(Arc::clone(&page), &status);
            let rows: Vec<JobRow<'_>> = (0..table.len()).map(|n| table.row(n).expect("a row")).collect();
            let jobs: BTreeSet<u32> = page.jobs().map(|job| job.number).collect();
            prop_assert_eq!(rows.iter().map(|row| row.job.number).collect::<BTreeSet<_>>(), jobs);
            for (n, row) in rows.iter().enumerate() {
                let job = row.job.number;
                prop_assert_eq!(table.row_of(job), Some(n as u32));
                let state = match () {
                    () if failed.contains(&job) => JobState::SetAside,
                    () if done.contains(&job) => JobState::Done,
                    () if hands.iter().any(|(held, _)| *held == job) => JobState::InHand,
                    () if attempts.get(&job).is_some_and(|tries| *tries > 0) => JobState::Tried,
                    () => JobState::Waiting,
                };
                prop_assert_eq!(row.state, state);
                if state == JobState::Done {
                    let newest = took.iter().rev().find(|(other, _)| *other == job);
                    prop_assert_eq!(row.took, newest.map(|(_, secs)| Span::from_secs(*secs)));
                }
            }
            let place = |row: &JobRow<'_>| {
                let newest = took.iter().rev().position(|(other, _)| *other == row.job.number);
                let rank = match row.state {
                    JobState::InHand => row.since.map_or(0, Timestamp::millis),
                    JobState::Tried => -i64::from(row.attempt),
                    JobState::Done => newest.map_or(i64::MAX, |n| n as i64),
                    JobState::SetAside | JobState::Waiting => 0,
                };
                (row.state, rank, if newest.is_some() && row.state == JobState::Done { 0 } else { row.job.number })
            };
            prop_assert!(rows.windows(2).all(|pair| place(&pair[0]) <= place(&pair[1])));
            for state in [JobState::SetAside, JobState::InHand, JobState::Tried, JobState::Waiting, JobState::Done] {
                prop_assert_eq!(table.count(state) as usize, rows.iter().filter(|row| row.state == state).count());
            }
        }
    }
}
