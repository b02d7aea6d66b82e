//! What a screen may know of a VM's job queue: the look at its source, the figures that follow, and a window of its jobs.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::engine::SiteView;
use crate::core::queue::{Claim, JobRow, JobState, JobTable, QueueLook, WorkerOrder};

/// What a console wants to see of a VM's queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueAsk {
    /// This VM's.
    pub vm: Name,
    /// The jobs of this claim; `None`: of the one in work.
    pub claim: Option<String>,
    /// The selected job's number; `None`: the one in `row`.
    pub selected: Option<u32>,
    /// The selected row, if no job is selected or if it is gone.
    pub row: u32,
    /// Rows wanted, around the selected one.
    pub rows: u16,
    /// Only jobs that match; empty: all.
    pub filter: String,
}

/// A VM's queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueView {
    /// What was asked for.
    pub ask: QueueAsk,
    /// The queue's name in the config; empty: a simulated one.
    pub queue: Arc<str>,
    /// The newest look, and what follows from it.
    pub site: SiteView,
    /// Why each page of the look waits, in its order.
    pub waits: Vec<Arc<str>>,
    /// The newest pages that the VM has finished, newest first, as far as the source keeps them.
    pub finished: Arc<Vec<Claim>>,
    /// The pages that were worked, oldest first, the one in work last; as far back as that is known.
    pub runs: Vec<QueueRun>,
    /// The jobs; `None`: there is no claim, or its page was not read yet.
    pub jobs: Option<Arc<JobsView>>,
}

/// A page that was worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRun {
    /// Its name.
    pub page: Arc<str>,
    /// When it was claimed.
    pub from: Timestamp,
    /// When it was in hand last; `None`: it still is.
    pub to: Option<Timestamp>,
    /// Its jobs.
    pub jobs: u32,
    /// Of them, those that were set aside.
    pub set_aside: u32,
}

/// The pages that a VM worked, as looks at its queue have shown them. So many of the newest are kept: 64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueRuns(VecDeque<QueueRun>);

/// Pages that are remembered of a VM.
const RUNS: usize = 64;

impl QueueRuns {
    /// Takes what a look shows. Looks come in the order of time.
    pub fn saw(&mut self, look: &QueueLook) {
        let is_held = |run: &QueueRun| {
            look.claims.iter().any(|claim| (claim.status.page.as_str(), claim.status.claimed) == (&*run.page, run.from))
        };
        for run in self.0.iter_mut().filter(|run| run.to.is_none()) {
            run.to = (!is_held(run)).then_some(look.at);
        }
        for Claim { status, .. } in look.claims.iter().rev() {
            let known = |run: &&mut QueueRun| (&*run.page, run.from) == (status.page.as_str(), status.claimed);
            if let Some(run) = self.0.iter_mut().rev().find(known) {
                (run.to, run.set_aside) = (None, status.failed.len());
                continue;
            }
            if self.0.len() == RUNS {
                self.0.pop_front();
            }
            let (jobs, set_aside) = (status.total(), status.failed.len());
            let page = status.page.as_str().into();
            self.0.push_back(QueueRun { page, from: status.claimed, to: None, jobs, set_aside });
        }
    }

    /// The oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &QueueRun> {
        self.0.iter()
    }
}

/// A window of a claim's jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsView {
    /// What was asked for.
    pub ask: QueueAsk,
    /// The claim whose jobs they are.
    pub claim: Arc<str>,
    /// The name its page had when it was claimed.
    pub page: Arc<str>,
    /// Jobs on the page.
    pub all: u32,
    /// Of them, those that match the filter.
    pub found: u32,
    /// The first row of the window, from 0.
    pub first: u32,
    /// The rows.
    pub rows: Vec<JobLine>,
    /// The selected row, if there is one.
    pub at: Option<u32>,
    /// The selected job's error, if it was set aside and that was read.
    pub error: Option<(u32, Arc<str>)>,
    /// Why the jobs cannot be listed, if they cannot.
    pub trouble: Option<Arc<str>>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLine {
    /// Its number.
    pub number: u32,
    /// Its grade; may be empty.
    pub tag: Arc<str>,
    /// What is to be done; cut after [`LONGEST_WORK`] characters.
    pub work: Arc<str>,
    /// How far it is.
    pub state: JobState,
    /// The try in hand, or the tries so far; 0: none, or nobody knows.
    pub attempt: u32,
    /// Since when it is in hand.
    pub since: Option<Timestamp>,
    /// How long it took.
    pub took: Option<Span>,
}

/// Characters of a job that a screen gets: its line may have a megabyte.
pub const LONGEST_WORK: usize = 600;

impl QueueView {
    /// The newest look; `None`: there was none yet.
    pub fn look(&self) -> Option<&QueueLook> {
        self.site.look.as_deref()
    }

    /// The VM's claims, the one in work first.
    pub fn claims(&self) -> &[Claim] {
        self.look().map_or(&[], |look| &look.claims)
    }

    /// The claims whose jobs can be looked at: those that the VM has, and those that it has finished.
    pub fn all_claims(&self) -> impl Iterator<Item = &Claim> {
        self.claims().iter().chain(self.finished.iter())
    }

    /// The claim whose jobs are shown.
    pub fn shown(&self) -> Option<&Claim> {
        let shown = self.jobs.as_ref()?;
        self.all_claims().find(|claim| claim.name == *shown.claim)
    }

    /// An operator's pause that holds.
    pub fn pause(&self, now: Timestamp) -> Option<&WorkerOrder> {
        self.look()?.control.operator.as_ref().filter(|order| order.holds(now))
    }
}

impl JobsView {
    /// The window of a table that was asked for. `found`: the rows that match the filter; `None`: all.
    pub fn new(claim: &Claim, table: &JobTable, found: Option<&[u32]>, ask: &QueueAsk) -> Self {
        let rows = found.map_or(table.len(), |found| found.len() as u32);
        let row_at = |n: u32| match found {
            Some(found) => table.row(*found.get(n as usize)?),
            None => table.row(n),
        };
        let selected = ask.selected.and_then(|job| table.row_of(job)).and_then(|row| match found {
            Some(found) => found.binary_search(&row).ok().map(|at| at as u32),
            None => Some(row),
        });
        let at = selected.or(rows.checked_sub(1).map(|last| ask.row.min(last)));
        let wanted = u32::from(ask.rows);
        let first = at.unwrap_or(0).saturating_sub(wanted / 2).min(rows.saturating_sub(wanted));
        Self {
            ask: ask.clone(),
            claim: claim.name.as_str().into(),
            page: claim.status.page.as_str().into(),
            all: table.len(),
            found: rows,
            first,
            rows: (first..rows).take(usize::from(ask.rows)).filter_map(|n| row_at(n).map(JobLine::from)).collect(),
            at,
            error: None,
            trouble: None,
        }
    }

    /// A window without jobs: they cannot be listed, and why.
    pub fn none(claim: &Claim, ask: &QueueAsk, why: &str) -> Self {
        Self {
            ask: ask.clone(),
            claim: claim.name.as_str().into(),
            page: claim.status.page.as_str().into(),
            all: 0,
            found: 0,
            first: 0,
            rows: Vec::new(),
            at: None,
            error: None,
            trouble: Some(why.into()),
        }
    }

    /// The row at this place of the table, if the window has it.
    pub fn row(&self, n: u32) -> Option<&JobLine> {
        self.rows.get(n.checked_sub(self.first)? as usize)
    }

    /// The selected job, if the window has it.
    pub fn selected(&self) -> Option<&JobLine> {
        self.row(self.at?)
    }
}

impl From<JobRow<'_>> for JobLine {
    fn from(row: JobRow<'_>) -> Self {
        let JobRow { job, state, attempt, since, took } = row;
        let cut = job.work.char_indices().nth(LONGEST_WORK).map_or(job.work.len(), |(at, _)| at);
        let (tag, work) = (job.tag.into(), job.work[..cut].into());
        Self { number: job.number, tag, work, state, attempt, since, took }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::filter::Filter;
    use crate::core::queue::{ClaimStatus, Page};

    fn table(jobs: u32) -> JobTable {
        let text: String = (1..=jobs).map(|n| format!("grade b = {n}\n")).collect();
        let page = Arc::new(Page::parse(text.into_bytes()).expect("a page"));
        JobTable::new(page, &ClaimStatus { done: (1..=jobs / 2).collect(), ..ClaimStatus::default() })
    }

    fn ask(selected: Option<u32>, row: u32, filter: &str) -> QueueAsk {
        QueueAsk { vm: "nii4".into(), claim: None, selected, row, rows: 10, filter: filter.to_owned() }
    }

    fn window(table: &JobTable, ask: &QueueAsk) -> (u32, Vec<u32>, Option<u32>) {
        let found = (!ask.filter.is_empty()).then(|| table.find(&Filter::new(&ask.filter)));
        let claim = Claim { name: "nii4.a.1".to_owned(), ..Claim::default() };
        let view = JobsView::new(&claim, table, found.as_deref(), ask);
        (view.first, view.rows.iter().map(|row| row.number).collect(), view.selected().map(|row| row.number))
    }

    #[test]
    fn the_window_is_around_the_selected_job_wherever_it_is() {
        let table = table(100_000);
        assert_eq!(window(&table, &ask(None, 0, "")), (0, (50_001..50_011).collect(), Some(50_001)));
        assert_eq!(window(&table, &ask(None, u32::MAX, "")), (99_990, (49_991..50_001).collect(), Some(50_000)));
        assert_eq!(window(&table, &ask(Some(7), 0, "")), (50_001, (2..12).collect(), Some(7)), "done meanwhile");
        assert_eq!(window(&table, &ask(Some(100_001), 3, "")).2, Some(50_004), "gone: what is in its row");
    }

    #[test]
    fn a_filter_has_rows_of_its_own() {
        let table = table(40);
        assert_eq!(window(&table, &ask(Some(3), 0, "done")).2, Some(3));
        assert_eq!(window(&table, &ask(Some(39), 1, "done")).2, Some(2));
        assert_eq!(window(&table, &ask(None, 5, "zebra")), (0, vec![], None));
    }

    #[test]
    fn a_page_is_one_run_from_its_claim_until_it_is_not_held_any_more() {
        let at = Timestamp::from_secs;
        let look = |now: i64, pages: &[(&str, i64)]| {
            let claim = |(page, claimed): &(&str, i64)| {
                let status = ClaimStatus { page: (*page).to_owned(), claimed: at(*claimed), ..ClaimStatus::default() };
                Claim { name: format!("nii4.{now}.1"), status, trouble: None }
            };
            QueueLook { at: at(now), claims: pages.iter().map(claim).collect(), ..QueueLook::default() }
        };
        let mut runs = QueueRuns::default();
        let told =
            |runs: &QueueRuns| runs.iter().map(|run| (run.page.to_string(), run.from, run.to)).collect::<Vec<_>>();
        for (now, pages) in [(1, &[][..]), (7, &[("a", 5)]), (9, &[("a", 5)]), (20, &[("b", 18)]), (30, &[])] {
            runs.saw(&look(now, pages));
        }
        let both = [("a".to_owned(), at(5), Some(at(20))), ("b".to_owned(), at(18), Some(at(30)))];
        assert_eq!(told(&runs), both);
        runs.saw(&look(40, &[("a", 35)]));
        assert_eq!(told(&runs)[2..], [("a".to_owned(), at(35), None)], "a page of the same name is another one");
        (50..200).for_each(|n| runs.saw(&look(n, &[("c", n)])));
        assert_eq!(runs.iter().count(), RUNS);
    }

    #[test]
    fn a_long_job_is_cut_between_characters() {
        let text = format!("{}\n", "ø".repeat(2 * LONGEST_WORK));
        let page = Arc::new(Page::parse(text.into_bytes()).expect("a page"));
        let table = JobTable::new(page, &ClaimStatus::default());
        let line = JobLine::from(table.row(0).expect("a row"));
        assert_eq!(line.work.chars().count(), LONGEST_WORK);
    }
}
