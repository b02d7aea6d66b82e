//! A queue as `whimbrel queue` shows it: from a look at its source, with what follows from it. Its JSON stays
//! (`docs/queues.md`).

use std::collections::BTreeSet;

use serde::Serialize;

use crate::core::cluster::{Span, Timestamp, rfc3339};
use crate::core::format::natural;
use crate::core::queue::{
    Claim, Estimate, JobInHand, OpenPage, PageTaker, Queue, QueueLook, QueueOverview, Ranges, WaitingRoom, Waits,
    WorkerControl, WorkerOrder, WorkerState, WorkerStatus,
};

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ToldQueue {
    /// In the config.
    pub name: String,
    /// The word for its source.
    pub source: &'static str,
    #[serde(flatten)]
    pub state: ToldState,
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum ToldState {
    Read(Box<ToldOverview>),
    Unread { trouble: String },
}

/// A queue that was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ToldOverview {
    #[serde(skip)]
    pub now: Timestamp,
    /// How many pages wait.
    pub waiting: u32,
    /// The oldest of them.
    pub pages: Vec<ToldPage>,
    /// What lies among the pages and is not worked.
    pub refused: Vec<ToldRefusal>,
    pub claims: Vec<ToldClaim>,
    pub workers: Vec<ToldWorker>,
    /// How many pages are finished.
    pub done: u32,
    /// The newest of them, newest first.
    pub finished: Vec<ToldClaim>,
}

/// A page that waits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ToldPage {
    pub name: String,
    /// When it was last changed, as far as the source tells.
    pub since: Option<ToldInstant>,
    /// How many jobs; `None`: it was not read.
    pub jobs: Option<u32>,
    /// By grade, the big ones first.
    pub grades: Option<Vec<ToldGrade>>,
    /// It was worked in part and returned.
    pub returned: bool,
    pub waits: Waits,
}

/// What lies among the pages and is not worked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ToldRefusal {
    pub name: String,
    pub reason: String,
}

/// Jobs of one grade.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ToldGrade {
    /// Empty: jobs without a tag.
    pub grade: String,
    pub jobs: u32,
}

/// A claim, or a finished one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ToldClaim {
    pub name: String,
    pub vm: String,
    /// The page's name when it was claimed.
    pub page: String,
    pub site: String,
    pub claimed: ToldInstant,
    /// When its worker last wrote.
    pub beat: ToldInstant,
    pub jobs: u32,
    /// Of them, big ones.
    pub big: u32,
    pub done: u32,
    /// Jobs that were set aside.
    pub failed: u32,
    /// Which, as ranges of numbers.
    pub failed_jobs: Ranges,
    /// Neither done nor set aside, by grade.
    pub left: Vec<ToldGrade>,
    /// The jobs in hand.
    pub hand: Vec<JobInHand>,
    /// How long what is left takes where its worker is, in seconds; `None`: a grade's rate is not known yet.
    pub eta: Option<Eta>,
    /// Why there is none.
    pub eta_unknown: Option<String>,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

/// A length of time in seconds that is not known exactly: quartiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Eta {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

/// A VM that works the queue, or could.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ToldWorker {
    pub vm: String,
    pub state: ToldWorkerState,
    /// It gives signs of life.
    pub alive: bool,
    pub site: Option<String>,
    pub started: Option<ToldInstant>,
    /// When it last wrote.
    pub beat: Option<ToldInstant>,
    /// It may claim a page, as it says.
    pub claims: bool,
    /// It has read what is asked of it now.
    pub obeys: bool,
    /// An operator's pause that holds.
    pub paused: Option<WorkerOrder>,
    /// An order of the engine that holds.
    pub engine: Option<WorkerOrder>,
    /// What keeps it from working.
    pub trouble: Option<String>,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToldWorkerState {
    NeverRan,
    Idle,
    Working,
    Paused,
    Ended,
    Silent,
}

/// An instant, in JSON as the event contract has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct ToldInstant(#[serde(with = "rfc3339")] pub Timestamp);

impl ToldQueue {
    /// A queue, with what a look at it found, or why there was none. `vms`: those of the config that work it.
    pub(super) fn new(queue: &Queue, vms: &[&str], look: Result<QueueOverview, String>) -> Self {
        let state = match look {
            Ok(look) => ToldState::Read(Box::new(ToldOverview::new(queue, vms, &look))),
            Err(trouble) => ToldState::Unread { trouble },
        };
        Self { name: queue.name.to_string(), source: queue.source.word(), state }
    }
}

impl ToldOverview {
    fn new(queue: &Queue, vms: &[&str], look: &QueueOverview) -> Self {
        let now = look.at;
        let names = workers_of(vms, look);
        let takers: Vec<PageTaker<'_>> = names.iter().map(|vm| taker(vm, look)).collect();
        let mut refused = look.refused.clone();
        refused.extend(look.workers.iter().flat_map(|worker| worker.refused.iter().cloned()));
        let room = WaitingRoom { only: queue.page.as_deref(), refused: &refused, takers: &takers, now };
        let waits = room.waits(&look.open);
        let worker_of = |vm: &str| look.workers.iter().find(|worker| worker.vm == vm);
        let claim = |claim: &Claim| ToldClaim::new(claim, worker_of(&claim.status.vm), now);
        let shown: BTreeSet<&str> = look.open.iter().map(|page| page.name.as_str()).collect();
        let of_no_page = look.refused.iter().filter(|(name, _)| !shown.contains(name.as_str()));
        Self {
            now,
            waiting: look.waiting,
            pages: look.open.iter().zip(waits).map(|(page, waits)| ToldPage::new(page, waits)).collect(),
            refused: of_no_page
                .map(|(name, reason)| ToldRefusal { name: name.clone(), reason: reason.clone() })
                .collect(),
            claims: look.claims.iter().map(claim).collect(),
            workers: takers.iter().map(|taker| ToldWorker::new(taker, now)).collect(),
            done: look.done,
            finished: look.finished.iter().map(claim).collect(),
        }
    }
}

/// The VMs of the config, then others whose workers are there and have not ended.
pub(super) fn workers_of<'a>(vms: &[&'a str], look: &'a QueueOverview) -> Vec<&'a str> {
    let others = look.workers.iter().filter(|worker| worker.state != WorkerState::Ended);
    let mut others: Vec<&str> = others.map(|worker| worker.vm.as_str()).filter(|vm| !vms.contains(vm)).collect();
    others.sort_by(|one, other| natural(one, other));
    others.dedup();
    vms.iter().copied().chain(others).collect()
}

fn taker<'a>(vm: &'a str, look: &'a QueueOverview) -> PageTaker<'a> {
    let of_vm = || look.claims.iter().filter(|claim| claim.status.vm == vm);
    // The one in work is the one with a job in hand.
    let in_work = of_vm().find(|claim| !claim.status.hand.is_empty()).or_else(|| of_vm().next());
    PageTaker {
        vm,
        worker: look.workers.iter().find(|worker| worker.vm == vm),
        control: look.controls.get(vm),
        claims: (of_vm().count(), in_work),
    }
}

impl ToldPage {
    fn new(page: &OpenPage, waits: Waits) -> Self {
        Self {
            name: page.name.clone(),
            since: page.since.map(ToldInstant),
            jobs: page.grades.as_ref().map(|grades| grades.iter().map(|(_, jobs)| jobs).sum()),
            grades: page.grades.as_deref().map(grades),
            returned: page.returned,
            waits,
        }
    }
}

fn grades(grades: &[(String, u32)]) -> Vec<ToldGrade> {
    grades.iter().map(|(grade, jobs)| ToldGrade { grade: grade.clone(), jobs: *jobs }).collect()
}

impl ToldClaim {
    fn new(claim: &Claim, worker: Option<&WorkerStatus>, now: Timestamp) -> Self {
        let Claim { name, status, trouble } = claim;
        // The same figures as on the screen.
        let look = QueueLook { worker: worker.cloned(), claims: vec![claim.clone()], ..QueueLook::default() };
        let (eta, eta_unknown) = match look.eta(&status.site, now) {
            Some(Ok(eta)) => (Some(Eta::from(eta)), None),
            Some(Err(unknown)) => (None, Some(unknown.to_string())),
            None => (None, None),
        };
        Self {
            name: name.clone(),
            vm: status.vm.clone(),
            page: status.page.clone(),
            site: status.site.clone(),
            claimed: ToldInstant(status.claimed),
            beat: ToldInstant(status.beat),
            jobs: status.total(),
            big: status.big,
            done: status.done.len(),
            failed: status.failed.len(),
            failed_jobs: status.failed.clone(),
            left: grades(&status.left),
            hand: status.hand.clone(),
            eta,
            eta_unknown,
            trouble: trouble.clone(),
        }
    }
}

impl From<Estimate> for Eta {
    fn from(Estimate { low, middle, high }: Estimate) -> Self {
        let [low, middle, high] = [low, middle, high].map(Span::secs_f64);
        Self { low, middle, high }
    }
}

impl ToldWorker {
    fn new(taker: &PageTaker<'_>, now: Timestamp) -> Self {
        let none = WorkerControl::default();
        let control = taker.control.unwrap_or(&none);
        let holds = |order: &Option<WorkerOrder>| order.clone().filter(|order| order.holds(now));
        let worker = taker.worker;
        let alive = worker.is_some_and(|worker| !worker.is_silent(now));
        Self {
            vm: taker.vm.to_owned(),
            state: match worker {
                None => ToldWorkerState::NeverRan,
                Some(worker) if worker.state == WorkerState::Ended => ToldWorkerState::Ended,
                Some(_) if !alive => ToldWorkerState::Silent,
                Some(WorkerStatus { state: WorkerState::Working, .. }) => ToldWorkerState::Working,
                Some(WorkerStatus { state: WorkerState::Paused, .. }) => ToldWorkerState::Paused,
                Some(_) => ToldWorkerState::Idle,
            },
            alive,
            site: worker.map(|worker| worker.site.clone()),
            started: worker.map(|worker| ToldInstant(worker.started)),
            beat: worker.map(|worker| ToldInstant(worker.beat)),
            claims: worker.is_some_and(|worker| worker.claims),
            obeys: worker.is_some_and(|worker| worker.obeys >= control.serial),
            paused: holds(&control.operator),
            engine: holds(&control.engine),
            trouble: worker.and_then(|worker| worker.trouble.clone()),
        }
    }
}

impl ToldWorkerState {
    /// As the table says it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::NeverRan => "never ran",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Paused => "paused",
            Self::Ended => "ended",
            Self::Silent => "silent",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::queue::{ClaimStatus, JobKind, Parallel, QueueSource, Rates, Stop};

    const NOW: Timestamp = Timestamp::from_secs(1_241_613_600);

    pub fn queue() -> Queue {
        Queue {
            name: "render".into(),
            source: QueueSource::Dir { path: "/srv/q".into() },
            job: JobKind::Bc { digits: 100, deadline: Span::from_secs(1) },
            big: "grade a".to_owned(),
            page: None,
            parallel: Parallel::Everywhere(1),
            attempts: 3,
            lease: Span::from_secs(60),
        }
    }

    fn grades(grades: &[(&str, u32)]) -> Vec<(String, u32)> {
        grades.iter().map(|(grade, jobs)| ((*grade).to_owned(), *jobs)).collect()
    }

    fn page(name: &str, minutes: i64, of: Option<&[(&str, u32)]>) -> OpenPage {
        let since = Some(NOW - Span::from_mins(minutes));
        OpenPage { name: name.to_owned(), since, bytes: 9, grades: of.map(grades), returned: false }
    }

    /// Two pages wait and a third is no text; nii4 works, nii5 never ran, a paused tenant is in no config.
    pub fn look() -> QueueOverview {
        let mut rates = Rates::default();
        for seconds in [60, 70, 80, 90, 100] {
            rates.add("home", "grade b", Span::from_secs(seconds), 1);
        }
        let status = ClaimStatus {
            vm: "nii4".to_owned(),
            page: "render-6".to_owned(),
            claimed: NOW - Span::from_mins(10),
            beat: NOW - Span::from_secs(3),
            site: "home".to_owned(),
            grades: grades(&[("grade b", 10)]),
            left: grades(&[("grade b", 6)]),
            hand: vec![JobInHand { job: 5, since: NOW - Span::from_secs(20), attempt: 2 }],
            done: [1, 2, 4].into_iter().collect(),
            failed: [3].into_iter().collect(),
            ..ClaimStatus::default()
        };
        let mut unknown = status.clone();
        (unknown.vm, unknown.hand, unknown.failed) = ("\u{1b}[31mtenant".to_owned(), Vec::new(), Ranges::new());
        unknown.left = grades(&[("", 10)]);
        let worker = |vm: &str, state| WorkerStatus {
            vm: vm.to_owned(),
            site: "home".to_owned(),
            state,
            started: NOW - Span::from_hours(1),
            beat: NOW - Span::from_secs(3),
            claims: true,
            ..WorkerStatus::default()
        };
        let (by, why) = ("root".to_owned(), "the disk is full".to_owned());
        let pause = WorkerOrder { stop: Stop::Working, by, why, at: NOW, until: Some(NOW + Span::from_hours(2)) };
        let control = WorkerControl { serial: 3, operator: Some(pause), ..WorkerControl::default() };
        let failed = ClaimStatus { page: "old".to_owned(), ..status.clone() };
        QueueOverview {
            at: NOW,
            open: vec![
                page("render-7", 4, Some(&[("grade a", 2), ("grade b", 3)])),
                page("bad\npage", 3, None),
                page("render-8", 2, Some(&[("", 1)])),
            ],
            waiting: 4,
            refused: vec![("bad\npage".to_owned(), "the page is no text".to_owned())],
            claims: vec![
                Claim { name: "nii4.0123456789ab.1".to_owned(), status, trouble: None },
                Claim { name: "tenant.0123456789ab.2".to_owned(), status: unknown, trouble: None },
            ],
            workers: vec![
                WorkerStatus { rates, ..worker("nii4", WorkerState::Working) },
                worker("\u{1b}[31mtenant", WorkerState::Paused),
                worker("gone", WorkerState::Ended),
            ],
            controls: BTreeMap::from([("\u{1b}[31mtenant".to_owned(), control)]),
            done: 17,
            finished: vec![Claim { name: "old.1".to_owned(), status: failed, trouble: None }],
        }
    }

    #[test]
    fn the_json_stays() {
        let told = ToldQueue::new(&queue(), &["nii4", "nii5"], Ok(look()));
        let json: serde_json::Value = serde_json::to_value(&told).expect("JSON");
        assert_eq!((&json["name"], &json["source"], &json["waiting"]), (&"render".into(), &"dir".into(), &4.into()));
        let page = serde_json::json!({
            "name": "render-7", "since": "2009-05-06T12:36:00.000Z", "jobs": 5,
            "grades": [{"grade": "grade a", "jobs": 2}, {"grade": "grade b", "jobs": 3}], "returned": false,
            "waits": {"why": "busy", "text": json["pages"][0]["waits"]["text"]},
        });
        assert_eq!(json["pages"][0], page);
        assert_eq!(json["pages"][1]["waits"]["why"], "refused");
        let claim = serde_json::json!({
            "name": "nii4.0123456789ab.1", "vm": "nii4", "page": "render-6", "site": "home",
            "claimed": "2009-05-06T12:30:00.000Z", "beat": "2009-05-06T12:39:57.000Z", "jobs": 10, "big": 0, "done": 3,
            "failed": 1, "failed_jobs": [[3, 3]], "left": [{"grade": "grade b", "jobs": 6}],
            "hand": [{"job": 5, "since": "2009-05-06T12:39:40.000Z", "attempt": 2}],
            "eta": {"low": 400.0, "middle": 460.0, "high": 520.0}, "eta_unknown": null, "trouble": null,
        });
        assert_eq!(json["claims"][0], claim);
        assert_eq!(json["claims"][1]["eta_unknown"], "jobs without a grade have 0 of 5 finished jobs in home");
        let vms: Vec<_> = json["workers"].as_array().expect("workers").iter().map(|worker| &worker["state"]).collect();
        assert_eq!(vms, ["working", "never_ran", "paused"]);
        assert_eq!(json["workers"][2]["paused"]["by"], "root");
        assert_eq!((&json["done"], &json["finished"][0]["name"]), (&17.into(), &"old.1".into()));

        let told = ToldQueue::new(&queue(), &[], Err("no answer".to_owned()));
        let json = serde_json::to_string(&told).expect("JSON");
        assert_eq!(json, r#"{"name":"render","source":"dir","trouble":"no answer"}"#);
    }
}
