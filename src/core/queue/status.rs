//! What workers report, and what a look at a queue shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Estimate, Ranges, Rates, UnknownRate, WorkerControl};
use crate::core::cluster::{Span, Timestamp, rfc3339};

/// A worker that has not written for this long gives no sign of life.
pub const SILENT_AFTER: Span = Span::from_secs(45);
/// A worker writes at least this often.
pub const BEAT_EVERY: Span = Span::from_secs(15);

/// A claim as its worker reports it: `status.json` in the claim, a row in a database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimStatus {
    /// The VM whose worker it is.
    pub vm: String,
    /// The name the page had when it was claimed.
    pub page: String,
    /// When it was first claimed.
    #[serde(with = "rfc3339")]
    pub claimed: Timestamp,
    /// When this was written.
    #[serde(with = "rfc3339")]
    pub beat: Timestamp,
    /// Where the worker is.
    pub site: String,
    /// Jobs on the page as claimed, by grade, the big ones first.
    pub grades: Vec<(String, u32)>,
    /// Of them, jobs that are big.
    pub big: u32,
    /// Jobs that are neither done nor set aside, by grade, in the order of `grades`.
    pub left: Vec<(String, u32)>,
    /// The jobs in hand.
    pub hand: Vec<JobInHand>,
    /// Jobs with a result.
    pub done: Ranges,
    /// Jobs that were set aside.
    pub failed: Ranges,
    /// Tries so far of the jobs that were begun and are neither done nor set aside.
    pub attempts: BTreeMap<u32, u32>,
    /// How long the newest jobs took, oldest first; at most 100.
    pub took: Vec<(u32, Span)>,
    /// How long jobs took in this claim.
    pub rates: Rates,
    /// Jobs that were set aside and are to be tried again by the next worker that claims this.
    #[serde(skip_serializing_if = "Ranges::is_empty")]
    pub retry: Ranges,
}

/// A job that is being worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInHand {
    /// Its number.
    pub job: u32,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// Which try it is, from 1.
    pub attempt: u32,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It has no claim and looks for a page.
    #[default]
    Idle,
    /// It works on a claim.
    Working,
    /// It was asked not to work.
    Paused,
    /// It has ended.
    Ended,
}

/// A worker as it reports itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerStatus {
    /// The VM in which it runs.
    pub vm: String,
    /// Random, new at each start.
    pub instance: String,
    /// Where it is.
    pub site: String,
    /// When it started.
    #[serde(with = "rfc3339")]
    pub started: Timestamp,
    /// When this was written.
    #[serde(with = "rfc3339")]
    pub beat: Timestamp,
    /// What it does.
    pub state: WorkerState,
    /// The serial of the [`WorkerControl`] that it obeys.
    pub obeys: u64,
    /// It may claim a page. If not, it claims nothing more until a control of a higher serial, or until the order ends.
    pub claims: bool,
    /// Claims of which it is not known yet whether they were made.
    pub unknown: u32,
    /// Pages that it does not work, with the reasons; at most 20.
    pub refused: Vec<(String, String)>,
    /// What keeps it from working now, in a short phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// How long jobs took, in all its claims and before its last start.
    pub rates: Rates,
}

/// A page that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPage {
    /// Its name.
    pub name: String,
    /// When it was last changed, as far as the source tells.
    pub since: Option<Timestamp>,
    /// Its length in bytes; 0 if the source does not tell.
    pub bytes: u64,
    /// Its jobs by grade, the big ones first; `None` if it was not read.
    pub grades: Option<Vec<(String, u32)>>,
    /// It was worked in part and returned.
    pub returned: bool,
}

/// A claim as it lies in the source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claim {
    /// Its name: `VM.INSTANCE.N`.
    pub name: String,
    /// What its worker reports.
    pub status: ClaimStatus,
    /// What is wrong with it, with the remedy; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One look at a queue through its source, as it concerns one VM.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueLook {
    /// When.
    pub at: Timestamp,
    /// The oldest pages that wait, at most 100.
    pub open: Vec<OpenPage>,
    /// How many pages wait.
    pub waiting: u32,
    /// What lies among the pages and is not worked, with the reasons; at most 100.
    pub refused: Vec<(String, String)>,
    /// The VM's claims, the one in work first.
    pub claims: Vec<Claim>,
    /// The VM's worker; `None`: none has ever run.
    pub worker: Option<WorkerStatus>,
    /// What is asked of it.
    pub control: WorkerControl,
}

/// A whole queue as it lies in its source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueOverview {
    /// When.
    pub at: Timestamp,
    /// The oldest pages that wait, at most 100.
    pub open: Vec<OpenPage>,
    /// How many pages wait.
    pub waiting: u32,
    /// What lies among the pages and is not worked, with the reasons; at most 100.
    pub refused: Vec<(String, String)>,
    /// Every claim, by name.
    pub claims: Vec<Claim>,
    /// Each VM's worker, by the VM's name.
    pub workers: Vec<WorkerStatus>,
    /// What is asked of workers, by the VM's name.
    pub controls: BTreeMap<String, WorkerControl>,
    /// How many pages are finished.
    pub done: u32,
    /// The newest finished ones, newest first; at most 20. Their names are `PAGE.N`.
    pub finished: Vec<Claim>,
}

impl ClaimStatus {
    /// Jobs as claimed.
    pub fn total(&self) -> u32 {
        self.grades.iter().map(|(_, jobs)| jobs).sum()
    }
}

impl WorkerStatus {
    /// Whether it gives no sign of life.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        self.state == WorkerState::Ended || now.since(self.beat) > SILENT_AFTER
    }
}

impl QueueLook {
    /// The claim in work.
    pub fn hand(&self) -> Option<&Claim> {
        self.claims.first()
    }

    /// Whether a job is being worked.
    pub fn in_job(&self) -> bool {
        self.claims.iter().any(|claim| !claim.status.hand.is_empty())
    }

    /// Whether a page waits.
    pub const fn waits(&self) -> bool {
        self.waiting > 0
    }

    /// Whether the worker gave a sign of life when this was seen. False if none has ever run.
    pub fn is_alive(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| !worker.is_silent(self.at))
    }

    /// How long what is left of the claim in work takes at a site, from `now` on; `None`: nothing is in hand. The time for
    /// which the jobs in hand have been worked is taken off, but never more than a job takes: when they take longer, nobody
    /// knows how much longer.
    pub fn eta(&self, site: &str, now: Timestamp) -> Option<Result<Estimate, UnknownRate>> {
        let status = &self.hand()?.status;
        let unseen = Rates::default();
        let rates = self.worker.as_ref().map_or(&unseen, |worker| &worker.rates);
        let since = status.hand.iter().map(|job| job.since).min().filter(|_| status.site == site);
        let worked = since.map_or(Span::ZERO, |since| now.since(since).min(rates.longest(site, &status.left)));
        Some(rates.left(site, &status.left).map(|left| left.after(worked)))
    }

    /// Whether the worker has confirmed that it claims nothing more: it obeys what is asked now, and no claim is in doubt.
    pub fn has_stopped_claiming(&self) -> bool {
        self.worker
            .as_ref()
            .is_some_and(|worker| worker.obeys >= self.control.serial && !worker.claims && worker.unknown == 0)
    }
}
