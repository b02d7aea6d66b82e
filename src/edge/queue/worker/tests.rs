//! A worker over a folder, in this process. Its programs are shell scripts that wait for files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::core::cluster::Span;
use crate::core::queue::{
    DEFAULT_ATTEMPTS, DEFAULT_DIGITS, DEFAULT_LEASE, JobKind, Parallel, Queue, QueueLook, QueueSource, Ranges, Stop,
    WorkerOrder, WorkerState,
};
use crate::edge::queue::QueueStore;

/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(10);

/// A queue in a folder, and its worker.
struct Lab {
    folder: tempfile::TempDir,
    queue: Queue,
}

/// A worker that runs.
struct Running {
    task: JoinHandle<WorkerEnd>,
    events: mpsc::UnboundedReceiver<WorkEvent>,
    tell: watch::Sender<u32>,
    heard: Vec<WorkHappened>,
}

impl Lab {
    /// Its jobs are read by a shell, with the lab's folder as `$L`.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = format!("L='{}'; eval \"$1\"", folder.path().display());
        let argv = ["/bin/sh", "-c", &script, "sh", "{job}"].map(str::to_owned).to_vec();
        Self::with(folder, JobKind::Exec { argv, deadline: Span::from_mins(5) })
    }

    fn bc() -> Self {
        let kind = JobKind::Bc { digits: DEFAULT_DIGITS, deadline: Span::from_mins(5) };
        Self::with(tempfile::tempdir().expect("a folder"), kind)
    }

    fn with(folder: tempfile::TempDir, job: JobKind) -> Self {
        let queue = Queue {
            name: "render".into(),
            source: QueueSource::Dir { path: folder.path().join("q") },
            job,
            big: "grade a".to_owned(),
            page: None,
            parallel: Parallel::Everywhere(1),
            attempts: DEFAULT_ATTEMPTS,
            lease: DEFAULT_LEASE,
        };
        let lab = Self { folder, queue };
        fs::create_dir_all(lab.q("open")).expect("a folder");
        lab
    }

    fn store(&self) -> QueueStore {
        QueueStore::new(&self.queue).expect("a folder")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn q(&self, name: &str) -> PathBuf {
        self.path("q").join(name)
    }

    fn page(&self, name: &str, text: &str) {
        fs::write(self.q("open").join(name), text).expect("a page");
    }

    fn touch(&self, name: &str) {
        fs::write(self.path(name), "").expect("a file");
    }

    fn start(&self) -> Running {
        self.start_with(false)
    }

    fn once(&self) -> Running {
        self.start_with(true)
    }

    fn start_with(&self, once: bool) -> Running {
        let (say, events) = mpsc::unbounded_channel();
        let settings = WorkerSettings {
            queue: self.queue.clone(),
            vm: "nii4".to_owned(),
            site: None,
            home: "home".to_owned(),
            interval: Span::from_millis(50),
            once,
        };
        let say = Box::new(move |event| drop(say.send(event)));
        let (tell, told) = watch::channel(0);
        let task = tokio::spawn(QueueWorker::new(settings, self.store(), say).run(told));
        Running { task, events, tell, heard: Vec::new() }
    }

    async fn look(&self) -> QueueLook {
        self.store().look("nii4").await.expect("a folder")
    }

    /// Looks until it is so.
    async fn until(&self, what: &str, holds: impl Fn(&QueueLook) -> bool) -> QueueLook {
        let looks = async {
            loop {
                let look = self.look().await;
                if holds(&look) {
                    return look;
                }
                sleep(SOON).await;
            }
        };
        timeout(PATIENCE, looks).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
    }

    async fn ask(&self, stop: Option<Stop>) {
        let order = stop.map(|stop| {
            let (by, why) = ("root".to_owned(), "a test".to_owned());
            WorkerOrder { stop, by, why, at: now(), until: None }
        });
        self.store().ask("nii4", &|control| control.operator.clone_from(&order)).await.expect("it is asked");
    }

    /// The results of the finished claims, in order.
    fn results(&self) -> Vec<(String, String)> {
        results_in(&self.q("done"))
    }
}

/// The results of the claims in a folder, in order.
fn results_in(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for claim in fs::read_dir(folder).into_iter().flatten().flatten() {
        for result in fs::read_dir(claim.path().join("results")).into_iter().flatten().flatten() {
            let name = result.file_name().into_string().expect("UTF-8");
            found.push((name, fs::read_to_string(result.path()).expect("a result")));
        }
    }
    found.sort();
    found
}

fn pairs(results: &[(&str, &str)]) -> Vec<(String, String)> {
    results.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Waits for a file.
async fn comes(path: &Path) {
    let wait = async {
        while !path.exists() {
            sleep(SOON).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} does not come", path.display()));
}

impl Running {
    /// Waits for an event.
    #[track_caller]
    fn hears(&mut self, wanted: impl Fn(&WorkHappened) -> bool) -> impl Future<Output = WorkHappened> {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                match timeout(PATIENCE, self.events.recv()).await {
                    Ok(Some(event)) => {
                        self.heard.push(event.what.clone());
                        if wanted(&event.what) {
                            return event.what;
                        }
                    }
                    _ => panic!("{caller}: it did not come among {:#?}", self.heard),
                }
            }
        }
    }

    fn tell(&self) {
        self.tell.send_modify(|times| *times += 1);
    }

    async fn ends(&mut self) -> WorkerEnd {
        let end = timeout(PATIENCE, &mut self.task).await.expect("it ends").expect("no panic");
        while let Ok(event) = self.events.try_recv() {
            self.heard.push(event.what);
        }
        end
    }
}

#[tokio::test]
async fn a_page_is_worked_and_then_the_next_one_and_then_nothing_waits() {
    let lab = Lab::bc();
    lab.page("a", "# two\n\ngrade a = 2^10\n1+\n");
    lab.page("b", "7\n");
    let mut worker = lab.once();
    assert_eq!(worker.ends().await, WorkerEnd::InOrder);
    let results = lab.results();
    let error = results[2].1.clone();
    assert_eq!(results, pairs(&[("000001", "7\n"), ("000003", "1024\n"), ("000004.error", &error)]));
    assert!(error.contains("character 3"), "{error}");
    let finished = worker.heard.iter().filter(|what| matches!(what, WorkHappened::Finished { .. })).count();
    assert_eq!(finished, 2, "{:#?}", worker.heard);
    let look = lab.look().await;
    let reported = look.worker.expect("a report");
    assert_eq!((reported.state, reported.claims, reported.site.as_str()), (WorkerState::Ended, false, "home"));
    assert_eq!(look.claims, []);
}

#[tokio::test]
async fn a_worker_confirms_that_it_claims_nothing_more_and_says_it_before_it_claims_again() {
    let lab = Lab::bc();
    let mut worker = lab.start();
    lab.until("it may claim", |look| look.worker.as_ref().is_some_and(|worker| worker.claims)).await;
    lab.ask(Some(Stop::Claiming)).await;
    lab.until("it has stopped claiming", QueueLook::has_stopped_claiming).await;
    worker.hears(|what| matches!(what, WorkHappened::Paused { .. })).await;
    lab.page("a", "1\n");
    // It has looked at what is asked since, and at the queue it must not.
    lab.store().ask("nii4", &|control| control.site = Some("cloud".to_owned())).await.expect("it is asked");
    let look = lab.until("it obeys that, too", QueueLook::has_stopped_claiming).await;
    assert_eq!((look.waiting, look.claims.len(), look.worker.expect("a report").site.as_str()), (1, 0, "cloud"));
    lab.ask(None).await;
    worker.hears(|what| matches!(what, WorkHappened::Claimed { .. })).await;
    assert!(!lab.look().await.has_stopped_claiming(), "an engine sees that this is over");
    worker.hears(|what| matches!(what, WorkHappened::Finished { .. })).await;
    let rates = lab.until("it has ended its page", |look| look.claims.is_empty()).await;
    assert_eq!(rates.waiting, 0);
}

#[tokio::test]
async fn a_pause_lets_the_job_in_hand_end_and_begins_no_other() {
    let lab = Lab::new();
    lab.page("a", "touch $L/began; until [ -e $L/go ]; do sleep 0.01; done\ntouch $L/second\n");
    let mut worker = lab.start();
    comes(&lab.path("began")).await;
    lab.ask(Some(Stop::Working)).await;
    worker.hears(|what| matches!(what, WorkHappened::Paused { .. })).await;
    lab.until("the report says so", |look| {
        look.worker.as_ref().is_some_and(|worker| worker.state == WorkerState::Paused && !worker.claims)
    })
    .await;
    lab.touch("go");
    worker.hears(|what| matches!(what, WorkHappened::Done { job: 1, .. })).await;
    let is_at_rest = |look: &QueueLook| look.claims.iter().all(|claim| claim.status.hand.is_empty());
    let look = lab.until("nothing is in hand", is_at_rest).await;
    assert_eq!(look.claims[0].status.done.len(), 1);
    assert!(!lab.path("second").exists());
    lab.ask(None).await;
    worker.hears(|what| matches!(what, WorkHappened::Finished { done: 2, .. })).await;
}

#[tokio::test]
async fn what_is_computed_while_the_source_is_away_is_delivered_when_it_is_back() {
    let lab = Lab::new();
    lab.page("a", "touch $L/began; until [ -e $L/go ]; do sleep 0.01; done; echo one\necho two\n");
    let mut worker = lab.start();
    comes(&lab.path("began")).await;
    fs::rename(lab.path("q"), lab.path("away")).expect("it goes away");
    lab.touch("go");
    worker.hears(|what| matches!(what, WorkHappened::Trouble { .. })).await;
    fs::rename(lab.path("away"), lab.path("q")).expect("it comes back");
    worker.hears(|what| matches!(what, WorkHappened::Recovered)).await;
    worker.hears(|what| matches!(what, WorkHappened::Finished { done: 2, .. })).await;
    let started = worker.heard.iter().filter(|what| matches!(what, WorkHappened::Started { .. })).count();
    assert_eq!((started, lab.results()), (2, pairs(&[("000001", "one\n"), ("000002", "two\n")])));
}

#[tokio::test]
async fn a_claim_that_is_returned_under_it_is_given_up_and_another_start_goes_on_with_it() {
    let lab = Lab::new();
    lab.page("a", "echo one\necho x >>$L/began; until [ -e $L/go ]; do sleep 0.01; done; echo two\n");
    let mut worker = lab.start();
    comes(&lab.path("began")).await;
    let claim = lab.look().await.claims.remove(0);
    lab.store().give_back(&claim.name).await.expect("it is returned");
    worker.hears(|what| matches!(what, WorkHappened::Lost { .. })).await;
    let again = worker.hears(|what| matches!(what, WorkHappened::Continued { .. })).await;
    assert!(matches!(again, WorkHappened::Continued { done: 1, left: 1, .. }), "{again:?}");
    lab.touch("go");
    worker.hears(|what| matches!(what, WorkHappened::Finished { done: 2, .. })).await;
    assert_eq!(lab.results(), pairs(&[("000001", "one\n"), ("000002", "two\n")]));
}

#[tokio::test]
async fn a_page_that_is_deleted_under_it_is_lost_and_the_next_one_is_worked() {
    let lab = Lab::new();
    lab.page("a", "touch $L/began; until [ -e $L/go ]; do sleep 0.01; done\n");
    let mut worker = lab.start();
    comes(&lab.path("began")).await;
    let claim = lab.look().await.claims.remove(0);
    fs::remove_dir_all(lab.q("claims").join(&claim.name)).expect("it is deleted");
    lab.touch("go");
    let lost = worker.hears(|what| matches!(what, WorkHappened::Lost { .. })).await;
    assert!(lost.to_string().starts_with("lost a: "), "{lost}");
    lab.page("b", "echo b\n");
    worker.hears(|what| matches!(what, WorkHappened::Finished { done: 1, .. })).await;
    assert_eq!(lab.results(), pairs(&[("000001", "b\n")]));
}

#[tokio::test]
async fn told_once_it_finishes_the_job_in_hand_and_its_claim_stays() {
    let lab = Lab::new();
    lab.page("a", "touch $L/began; until [ -e $L/go ]; do sleep 0.01; done; echo one\ntouch $L/second\n");
    let mut worker = lab.start();
    comes(&lab.path("began")).await;
    worker.tell();
    let ending = worker.hears(|what| matches!(what, WorkHappened::Ending { .. })).await;
    assert_eq!(ending.to_string(), "ending: finishes job 1 of a first");
    lab.touch("go");
    assert_eq!(worker.ends().await, WorkerEnd::InOrder);
    let look = lab.look().await;
    let status = &look.claims[0].status;
    assert_eq!((status.done.len(), status.hand.len(), status.attempts.len()), (1, 0, 0));
    assert!(!lab.path("second").exists() && look.worker.is_some_and(|worker| worker.state == WorkerState::Ended));
}

#[tokio::test]
async fn told_twice_it_breaks_the_job_off_and_that_is_no_try() {
    let lab = Lab::new();
    lab.page("a", "touch $L/began; exec sleep 1000\n");
    let mut worker = lab.start();
    comes(&lab.path("began")).await;
    worker.tell();
    worker.hears(|what| matches!(what, WorkHappened::Ending { .. })).await;
    worker.tell();
    assert_eq!(worker.ends().await, WorkerEnd::AtOnce);
    assert!(worker.heard.contains(&WorkHappened::Returned { page: "a".to_owned(), job: 1 }));
    let status = lab.look().await.claims.remove(0).status;
    assert_eq!((status.hand.len(), status.attempts.len()), (0, 0));
}

#[tokio::test]
async fn of_two_workers_of_one_vm_the_later_one_has_the_claims() {
    let lab = Lab::new();
    lab.page("a", "echo x >>$L/began; until [ -e $L/go ]; do sleep 0.01; done; echo one\n");
    let mut first = lab.start();
    comes(&lab.path("began")).await;
    let mut second = lab.start();
    second.hears(|what| matches!(what, WorkHappened::Continued { .. })).await;
    let end = first.ends().await;
    assert!(matches!(end, WorkerEnd::TakenOver(_)), "{end:?}");
    lab.touch("go");
    second.hears(|what| matches!(what, WorkHappened::Finished { .. })).await;
    assert!(!first.heard.iter().any(|what| matches!(what, WorkHappened::Done { .. })), "it delivers nothing");
    assert_eq!(lab.results(), pairs(&[("000001", "one\n")]));
}

#[tokio::test]
async fn jobs_that_fail_are_tried_again_and_set_aside_and_retried_when_asked() {
    let lab = Lab::new();
    lab.page("a", "[ -e $L/ok ] || { echo no >&2; exit 3; }; echo one\nuntil [ -e $L/go ]; do sleep 0.01; done\n");
    let mut worker = lab.start();
    // The second job is in hand once the first one's last try is left: then both wait for this.
    worker.hears(|what| matches!(what, WorkHappened::Failed { job: 1, last: false, .. })).await;
    lab.touch("go");
    let failed = worker.hears(|what| matches!(what, WorkHappened::Failed { last: true, .. })).await;
    assert!(matches!(&failed, WorkHappened::Failed { job: 1, error, .. } if error == "status 3\nno"), "{failed:?}");
    worker.hears(|what| matches!(what, WorkHappened::Finished { done: 1, failed: 1, .. })).await;
    assert_eq!(lab.results(), pairs(&[("000001.error", "status 3\nno"), ("000002", "")]));
    // A finished claim waits again.
    lab.touch("ok");
    let done = fs::read_dir(lab.q("done")).expect("a folder").flatten().next().expect("a claim");
    let name = done.file_name().into_string().expect("UTF-8");
    lab.store().retry(&name, &Ranges::new()).await.expect("it is retried");
    worker.hears(|what| matches!(what, WorkHappened::Finished { done: 2, failed: 0, .. })).await;
    assert_eq!(lab.results(), pairs(&[("000001", "one\n"), ("000002", "")]));
}

#[tokio::test]
async fn a_job_of_a_claim_in_work_is_retried_by_its_worker_once() {
    let lab = Lab::new();
    let lab = Lab { queue: Queue { attempts: 1, ..lab.queue.clone() }, ..lab };
    lab.page("a", "echo x >>$L/tries; exit 1\nuntil [ -e $L/go ]; do sleep 0.01; done\n");
    let mut worker = lab.start();
    worker.hears(|what| matches!(what, WorkHappened::Failed { job: 1, last: true, .. })).await;
    let claim =
        lab.until("it is set aside", |look| look.claims.iter().any(|claim| !claim.status.failed.is_empty())).await;
    lab.store().retry(&claim.claims[0].name, &Ranges::new()).await.expect("it is asked");
    worker.hears(|what| matches!(what, WorkHappened::Retried { jobs: 1, .. })).await;
    lab.until("it is taken off the list", |look| look.control.retry.is_none()).await;
    lab.touch("go");
    worker.hears(|what| matches!(what, WorkHappened::Finished { failed: 1, done: 1, .. })).await;
    assert_eq!(fs::read_to_string(lab.path("tries")).expect("a file"), "x\nx\n");
}

#[tokio::test]
async fn a_program_that_is_not_there_sets_no_job_aside() {
    let lab = Lab::new();
    let program = lab.path("render");
    let job = JobKind::Exec { argv: vec![program.display().to_string()], deadline: Span::from_mins(5) };
    let lab = Lab { queue: Queue { job, attempts: 1, ..lab.queue.clone() }, ..lab };
    lab.page("a", "1\n2\n");
    let mut worker = lab.start();
    let trouble = worker.hears(|what| matches!(what, WorkHappened::Trouble { .. })).await;
    assert!(trouble.to_string().ends_with("render cannot be run: No such file or directory"), "{trouble}");
    let (new, mode) = (lab.path("new"), std::os::unix::fs::PermissionsExt::from_mode(0o755));
    fs::write(&new, "#!/bin/sh\ncat\n").expect("a script");
    fs::set_permissions(&new, mode).expect("it can be run");
    fs::rename(&new, &program).expect("it is there");
    worker.hears(|what| matches!(what, WorkHappened::Finished { done: 2, .. })).await;
    assert_eq!(lab.results(), pairs(&[("000001", "1\n"), ("000002", "2\n")]));
}

#[tokio::test]
async fn as_many_jobs_are_worked_at_a_time_as_the_site_has() {
    let lab = Lab::new();
    let parallel = Parallel::BySite([("cloud".to_owned(), 3)].into());
    let lab = Lab { queue: Queue { parallel, ..lab.queue.clone() }, ..lab };
    lab.store().ask("nii4", &|control| control.site = Some("cloud".to_owned())).await.expect("it is asked");
    let wait = |n: u32| {
        format!("touch $L/began{n}; until [ -e $L/began1 -a -e $L/began2 -a -e $L/began3 ]; do sleep 0.01; done\n")
    };
    lab.page("a", &(1..=3).map(wait).collect::<String>());
    assert_eq!(lab.once().ends().await, WorkerEnd::InOrder);
    let rates = lab.look().await.worker.expect("a report").rates;
    assert_eq!(rates.of("cloud", "").map(|took| (took.jobs, took.parallel)), Some((3, 3)));
}

#[tokio::test]
async fn a_thousand_small_jobs_are_worked_with_few_saves_and_each_has_its_result() {
    let lab = Lab::bc();
    lab.page("a", &(1..=1_000).map(|n| format!("{n}*2\n")).collect::<String>());
    let mut worker = lab.once();
    assert_eq!(worker.ends().await, WorkerEnd::InOrder);
    let results = lab.results();
    assert_eq!(results.len(), 1_000);
    assert!((1..).zip(&results).all(|(n, (name, text))| *name == format!("{n:06}") && *text == format!("{}\n", n * 2)));
}
