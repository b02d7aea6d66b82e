//! A fixed job queue, as an engine would send it, of as many jobs as a bench wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use whimbrel::core::cluster::{Span, Timestamp};
use whimbrel::core::filter::Filter;
use whimbrel::core::queue::{
    Claim, ClaimStatus, JobInHand, JobTable, OpenPage, Page, QueueLook, Rates, WorkerControl, WorkerState, WorkerStatus,
};
use whimbrel::view::{JobsView, QueueAsk, QueueRun, QueueView, SiteView};

use crate::sample;
use crate::sample::{NOW, ago};

/// Why job 7 was set aside.
const ERROR: &str = "its worker died 3 times while it worked on this job";

/// A page that is worked, and what its source shows.
pub struct Queued {
    pub page: Arc<Page>,
    pub table: JobTable,
    pub look: QueueLook,
}

/// The text of a page: three grades, as in the thesis.
fn page(jobs: u32) -> Page {
    let line = |n: u32| match n % 17 {
        3 => format!("grade a = {n}^{n}^2 % 1000003\n"),
        5 | 7 | 11 | 13 => format!("grade b = scale=40; sqrt({n})\n"),
        9 => format!("# the next one is of grade c\ngrade c = {n}*{n}\n"),
        _ => format!("grade c = {n}+{n}\n"),
    };
    Page::parse((1..=jobs).map(line).collect::<String>().into_bytes()).expect("a page")
}

/// A job of grade a takes 12 to 20 minutes at home, one of grade b about two, one of grade c half of one, where too few were
/// finished, and a third of that in the cloud.
fn rates() -> Rates {
    let mut rates = Rates::default();
    for (grade, seconds, jobs) in [("grade a", 960, [7, 7]), ("grade b", 110, [9, 9]), ("grade c", 24, [3, 12])] {
        for ((site, faster), jobs) in [("oslo", 1), ("cloud", 3)].into_iter().zip(jobs) {
            let took = |n: i64| Span::from_secs(seconds * (85 + 5 * n) / 100).scaled(1, faster);
            (0..jobs).for_each(|n| rates.add(site, grade, took(n), 1));
        }
    }
    rates
}

fn open(name: &str, mins: i64, grades: Option<&[(&str, u32)]>) -> OpenPage {
    let grades = grades.map(|grades| grades.iter().map(|(grade, jobs)| ((*grade).to_owned(), *jobs)).collect());
    OpenPage { name: name.to_owned(), since: Some(ago(mins * 60)), bytes: 4_096, grades, returned: name == "morning" }
}

impl Queued {
    /// A page of so many jobs, a quarter of it done.
    pub fn new(jobs: u32) -> Self {
        let page = page(jobs);
        let grades = page.grades("grade a");
        let done = page.jobs().map(|job| job.number).take(jobs as usize / 4).filter(|job| *job != 7).collect();
        let next = page.nth(jobs as usize / 4).map_or(1, |job| job.number);
        let mut left = grades.clone();
        for job in page.jobs().take(jobs as usize / 4).chain(page.job(7).filter(|_| jobs < 28)) {
            let grade = left.iter_mut().find(|(grade, _)| grade == job.tag).expect("a grade of the page");
            grade.1 -= 1;
        }
        let status = ClaimStatus {
            vm: "nii4".to_owned(),
            page: "evening".to_owned(),
            claimed: ago(1_900),
            beat: ago(4),
            site: "cloud".to_owned(),
            big: page.big("grade a"),
            left,
            grades,
            hand: vec![JobInHand { job: next, since: ago(252), attempt: 1 }],
            done,
            failed: std::iter::once(7).collect(),
            attempts: BTreeMap::from([(next, 1), (next + 2, 2)]),
            took: (1..6).map(|job| (job, Span::from_millis(i64::from(job) * 7_300))).collect(),
            ..ClaimStatus::default()
        };
        let page = Arc::new(page);
        let table = JobTable::new(Arc::clone(&page), &status);
        let claim = Claim { name: "nii4.4f1c09a2b7d3.2".to_owned(), status, trouble: None };
        let look = QueueLook {
            at: ago(3),
            open: vec![
                open("morning", 212, Some(&[("grade a", 1), ("grade b", 7)])),
                open("night", 12, Some(&[("grade a", 4), ("grade b", 96), ("grade c", 20)])),
                open("archive-2009-05-05", 3, None),
            ],
            waiting: 3,
            refused: Vec::new(),
            claims: vec![claim],
            worker: Some(WorkerStatus {
                vm: "nii4".to_owned(),
                instance: "4f1c09a2b7d3".to_owned(),
                site: "cloud".to_owned(),
                started: ago(4_000),
                beat: ago(4),
                state: WorkerState::Working,
                obeys: 2,
                claims: true,
                rates: rates(),
                ..WorkerStatus::default()
            }),
            control: WorkerControl { serial: 2, ..WorkerControl::default() },
        };
        Self { page, table, look }
    }

    /// The status of the claim was changed.
    pub fn refresh(&mut self) {
        self.table = JobTable::new(Arc::clone(&self.page), &self.look.claims[0].status);
    }

    /// What the engine says to a console that asks for it.
    pub fn view(&self, ask: QueueAsk) -> Arc<QueueView> {
        let finished = ClaimStatus {
            page: "afternoon".to_owned(),
            claimed: ago(190 * 60),
            beat: ago(100 * 60),
            failed: [12, 31].into_iter().collect(),
            ..self.look.claims.first().map(|claim| claim.status.clone()).unwrap_or_default()
        };
        let finished = Claim { name: "afternoon.1241614000123".to_owned(), status: finished, trouble: None };
        let found = (!ask.filter.is_empty()).then(|| self.table.find(&Filter::new(&ask.filter)));
        let claims = self.look.claims.iter().chain([&finished]);
        let claim = claims.clone().find(|claim| Some(&claim.name) == ask.claim.as_ref()).or(self.look.claims.first());
        let jobs = claim.map(|claim| {
            let table = JobTable::new(Arc::clone(&self.page), &claim.status);
            let jobs = JobsView::new(claim, &table, found.as_deref(), &ask);
            let error = jobs.selected().filter(|job| job.number == 7).map(|job| (job.number, ERROR.into()));
            Arc::new(JobsView { error, ..jobs })
        });
        let waits = self.look.why_waits("nii4", None, NOW).into_iter().map(|waits| waits.text.into()).collect();
        Arc::new(QueueView {
            queue: "render".into(),
            finished: Arc::new(vec![finished.clone()]),
            site: SiteView { look: Some(Arc::new(self.look.clone())), ..sample::site_view("cloud", None) },
            waits,
            runs: vec![
                run("noon", 300, Some(240), 0),
                run("afternoon", 190, Some(100), 2),
                run("evening", 31, None, 1),
            ],
            jobs,
            ask,
        })
    }
}

fn run(page: &str, from: i64, to: Option<i64>, set_aside: u32) -> QueueRun {
    let at = |mins: i64| -> Timestamp { NOW - Span::from_mins(mins) };
    QueueRun { page: page.into(), from: at(from), to: to.map(at), jobs: 52, set_aside }
}
