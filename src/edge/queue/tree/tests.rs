//! The protocol over a folder: what lies in it after each step, whoever dies between two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::core::cluster::Span;
use crate::core::queue::{
    JobInHand, JobKind, Parallel, Queue, QueueSource, Ranges, Retry, Stop, WorkerOrder, WorkerStatus,
};
use crate::edge::queue::{Delivery, Held, QueueStore, Trouble, new_instance};

struct Place(TempDir);

impl Place {
    /// A queue with these pages.
    fn with(pages: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        for folder in ["open", "claims", "done", "control"] {
            fs::create_dir(place.at(folder)).expect("a folder");
        }
        for (name, text) in pages {
            fs::write(place.at("open").join(name), text).expect("a page");
        }
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn queue(&self) -> Queue {
        Queue {
            name: "q".into(),
            source: QueueSource::Dir { path: self.0.path().to_owned() },
            job: JobKind::Bc { digits: 100, deadline: Span::from_secs(1) },
            big: "big".to_owned(),
            page: None,
            parallel: Parallel::Everywhere(1),
            attempts: 3,
            lease: Span::from_secs(60),
        }
    }

    fn store(&self) -> QueueStore {
        QueueStore::new(&self.queue()).expect("a store")
    }

    /// A worker that has begun.
    async fn worker(&self, vm: &str) -> QueueStore {
        let store = self.store();
        store.begin(vm, &new_instance()).await.expect("a start");
        store
    }

    /// Every path, in order, without dot files.
    fn tree(&self) -> Vec<String> {
        fn walk(root: &Path, folder: &Path, paths: &mut Vec<String>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if !entry.file_name().to_string_lossy().starts_with('.') {
                    paths.push(path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned());
                    walk(root, &path, paths);
                }
            }
        }
        let mut paths = Vec::new();
        walk(self.0.path(), self.0.path(), &mut paths);
        paths.sort();
        paths
    }

    /// The last parts of the paths that end like this.
    fn count(&self, end: &str) -> usize {
        self.tree().iter().filter(|path| path.ends_with(end)).count()
    }

    /// The names under `claims/` that begin with a dot.
    fn dot_files(&self) -> Vec<String> {
        let names = fs::read_dir(self.at("claims")).expect("a folder").flatten();
        names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with('.'))
            .collect()
    }
}

/// Works what is left of a claim, and finishes it.
async fn work(store: &QueueStore, held: &mut Held) {
    let jobs: Vec<u32> = held.page.jobs().map(|job| job.number).collect();
    for job in jobs {
        let status = &mut held.claim.status;
        if !status.done.contains(job) && !status.failed.contains(job) {
            assert_eq!(store.deliver(held, job, Ok(format!("{job}\n").as_bytes())).await, Delivery::Done);
            held.claim.status.done.insert(job);
        }
    }
    assert_eq!(store.finish(held).await, Delivery::Done);
}

fn refused<T>(answer: Result<T, Trouble>) -> String {
    match answer {
        Err(Trouble::Refused(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

const TWO: &str = "# two\nbig a = 1\n2\n";

#[tokio::test]
async fn a_page_is_claimed_worked_and_finished() {
    let place = Place::with(&[("jobs", TWO)]);
    let store = place.worker("nii4").await;
    let mut held = store.claim().await.expect("an answer").expect("a claim");
    let name = held.claim.name.clone();
    let status = &held.claim.status;
    assert_eq!((&*status.vm, &*status.page, status.big, status.total()), ("nii4", "jobs", 1, 2));
    assert_eq!(status.left, status.grades);
    let inside = ["", "/page", "/results", "/status.json"].map(|end| format!("claims/{name}{end}"));
    assert_eq!(
        place.tree(),
        [vec!["claims".to_owned()], inside.to_vec(), ["control", "done", "open"].map(str::to_owned).to_vec()].concat()
    );
    assert_eq!(store.deliver(&held, 2, Ok(b"1\n")).await, Delivery::Done);
    assert_eq!(store.deliver(&held, 3, Err("no")).await, Delivery::Done);
    held.claim.status.done.insert(2);
    held.claim.status.failed.insert(3);
    assert_eq!(store.finish(&held).await, Delivery::Done);
    assert_eq!(store.claim().await.expect("an answer").map(|held| held.claim), None);
    let overview = store.overview().await.expect("an overview");
    assert_eq!((overview.done, overview.waiting, overview.claims.len()), (1, 0, 0));
    let finished = &overview.finished[0];
    assert_eq!(finished.status, held.claim.status);
    let read = |path: &str| fs::read_to_string(place.at("done").join(&finished.name).join(path)).ok();
    assert_eq!(read("results/000002").as_deref(), Some("1\n"));
    assert_eq!(read("results/000003.error").as_deref(), Some("no"));
    assert_eq!(read("page").as_deref(), Some(TWO));
    assert_eq!(store.error_of(&finished.name, 3).await, Ok(Some("no".to_owned())));
    assert_eq!(store.error_of(&finished.name, 2).await, Ok(None));
    assert_eq!(store.page(&finished.name).await.map(|page| page.count()), Ok(2));
}

#[tokio::test]
async fn the_oldest_page_is_first() {
    let place = Place::with(&[("new", "1\n"), ("old", "1\n"), (".unfinished", "1\n")]);
    let day = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    fs::File::options().write(true).open(place.at("open/old")).expect("a page").set_modified(day).expect("a time");
    let store = place.worker("a").await;
    let look = store.look("a").await.expect("a look");
    assert_eq!(look.open.iter().map(|page| &*page.name).collect::<Vec<_>>(), ["old", "new"]);
    for name in ["old", "new"] {
        assert_eq!(store.claim().await.expect("an answer").expect("a claim").claim.status.page, name);
    }
    assert!(store.claim().await.expect("an answer").is_none());
    assert_eq!(place.store().look("a").await.expect("a look").claims.len(), 2);
    assert_eq!(place.store().look("b").await.expect("a look").claims.len(), 0);
}

#[tokio::test]
async fn what_is_no_page_stays_with_its_reason() {
    let place = Place::with(&[("bad", "1\n\0\n"), ("good", "1\n")]);
    std::os::unix::fs::symlink("/etc/hostname", place.at("open/link")).expect("a link");
    fs::create_dir(place.at("open/folder")).expect("a folder");
    fs::create_dir(place.at("open/jobs.17000000000001234")).expect("a folder");
    fs::write(place.at("open/a\u{202e}b"), "1\n").expect("a page");
    fs::write(place.at("open").join(std::ffi::OsString::from_vec(b"\xff".to_vec())), "1\n").expect("a page");
    rustix::fs::mknodat(rustix::fs::CWD, place.at("open/pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a pipe");
    let store = place.worker("a").await;
    let held = store.claim().await.expect("an answer").expect("a claim");
    assert_eq!(held.claim.status.page, "good");
    assert!(store.claim().await.expect("an answer").is_none());
    let mine: Vec<String> = store.refused().into_iter().map(|(name, _)| name).collect();
    assert_eq!(mine, ["bad", "jobs.17000000000001234"]);
    let look = place.store().look("a").await.expect("a look");
    let mut names: Vec<&str> = look.refused.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    assert_eq!(names, ["a b", "bad", "folder", "jobs.17000000000001234", "link", "pipe", "\u{fffd}"]);
    assert_eq!((look.waiting, look.open.len()), (0, 0));
    let why = look.refused.iter().find(|(name, _)| name == "bad").map(|(_, why)| &**why);
    assert_eq!(why, Some("the page is no text: line 2 has bytes that are not UTF-8; save it as UTF-8"));
    let warnings = place.store().probe().await.expect("a probe");
    assert_eq!(warnings.len(), 5, "{warnings:?}");
}

#[tokio::test]
async fn a_returned_claim_is_continued() {
    let place = Place::with(&[("jobs", "1\n2\n3\n")]);
    let (a, b) = (place.worker("a").await, place.worker("b").await);
    let mut held = a.claim().await.expect("an answer").expect("a claim");
    a.deliver(&held, 1, Ok(b"1\n")).await;
    a.deliver(&held, 2, Err("no")).await;
    held.claim.status.attempts.insert(3, 2);
    assert_eq!(a.return_claim(&held).await, Delivery::Done);
    let look = place.store().look("a").await.expect("a look");
    assert!(look.open[0].returned && look.open[0].since.is_some(), "{look:?}");
    let mut continued = b.claim().await.expect("an answer").expect("a claim");
    let status = &continued.claim.status;
    assert_eq!((&*status.vm, &*status.page, status.attempts[&3]), ("b", "jobs", 2));
    let only = |job| [job].into_iter().collect::<Ranges>();
    assert_eq!((&status.done, &status.failed), (&only(1), &only(2)));
    assert!(matches!(a.deliver(&held, 3, Ok(b"3\n")).await, Delivery::Lost(_)));
    assert!(matches!(a.save(&held).await, Delivery::Lost(_)));
    assert!(matches!(a.finish(&held).await, Delivery::Lost(_)));
    work(&b, &mut continued).await;
    assert_eq!((place.count("/page"), place.count("000003"), place.count(".error")), (1, 1, 1));
}

#[tokio::test]
async fn an_operator_returns_a_claim_under_a_live_worker() {
    let place = Place::with(&[("jobs", "1\n2\n")]);
    let (store, operator) = (place.worker("a").await, place.store());
    let held = store.claim().await.expect("an answer").expect("a claim");
    assert_eq!(store.renew(&held).await, Delivery::Done);
    let back = operator.give_back(&held.claim.name).await.expect("it is returned");
    assert!(back.starts_with("jobs."), "{back}");
    assert!(matches!(store.renew(&held).await, Delivery::Lost(_)));
    assert!(matches!(store.deliver(&held, 1, Ok(b"1\n")).await, Delivery::Lost(_)));
    assert!(refused(operator.give_back(&held.claim.name).await).contains("finished, returned or taken over"));
    for strange in ["", "..", "../open", "jobs", "a/b.0123456789ab.17000000000001234"] {
        refused(operator.give_back(strange).await);
    }
    assert_eq!(operator.open_page(&back).await.map(|page| page.count()), Ok(2));
}

#[tokio::test]
async fn a_start_takes_its_vms_claims_over() {
    let place = Place::with(&[("jobs", "1\n2\n"), ("other", "1\n")]);
    let (old, other) = (place.worker("a").await, place.worker("a.b").await);
    let mut held = old.claim().await.expect("an answer").expect("a claim");
    let others = other.claim().await.expect("an answer").expect("a claim");
    held.claim.status.hand.push(JobInHand { job: 2, since: held.claim.status.claimed, attempt: 1 });
    let mut report = WorkerStatus::default();
    report.rates.add("home", "", Span::from_secs(7), 1);
    assert_eq!((old.save(&held).await, old.report(&report).await), (Delivery::Done, Delivery::Done));
    old.deliver(&held, 1, Ok(b"1\n")).await;
    let new = place.store();
    let (helds, rates) = new.begin("a", &new_instance()).await.expect("a start");
    assert_eq!(rates, report.rates);
    assert_eq!(helds.len(), 1);
    let mut taken = helds.into_iter().next().expect("one");
    assert_eq!(taken.claim.status.done.iter().collect::<Vec<_>>(), [1]);
    assert_eq!(taken.claim.status.hand.len(), 1, "a job that was begun is known");
    assert!(matches!(old.deliver(&held, 2, Ok(b"2\n")).await, Delivery::Lost(_)));
    assert!(matches!(old.report(&report).await, Delivery::Lost(_)));
    assert_eq!(new.report(&report).await, Delivery::Done);
    work(&new, &mut taken).await;
    assert_eq!(other.renew(&others).await, Delivery::Done, "another VM's");
    assert_eq!(place.dot_files().len(), 2, "one report for each VM");
    assert!(new.settle_doubtful().await.expect("an answer").is_empty());
    assert!(new.claim().await.expect("an answer").is_none());
}

#[tokio::test]
async fn what_an_older_worker_claims_after_all_is_taken_over_too() {
    let place = Place::with(&[("jobs", "1\n")]);
    let (old, new) = (place.worker("a").await, place.worker("a").await);
    let held = old.claim().await.expect("an answer").expect("a claim");
    assert!(old.settle_doubtful().await.expect("an answer").is_empty());
    let found = new.settle_doubtful().await.expect("an answer");
    assert_eq!(found.len(), 1);
    assert!(matches!(old.renew(&held).await, Delivery::Lost(_)));
    assert!(old.settle_doubtful().await.expect("an answer").is_empty(), "the older one does not take it back");
    assert_eq!(new.renew(&found[0]).await, Delivery::Done);
}

#[tokio::test]
async fn jobs_that_were_set_aside_are_tried_again() {
    let place = Place::with(&[("jobs", "1\n2\n3\n")]);
    let (store, operator) = (place.worker("a").await, place.store());
    let mut held = store.claim().await.expect("an answer").expect("a claim");
    let name = held.claim.name.clone();
    assert_eq!(refused(operator.retry(&name, &Ranges::new()).await), format!("no job of {name} was set aside"));
    for job in 1..=3 {
        store.deliver(&held, job, Err("no")).await;
        held.claim.status.failed.insert(job);
    }
    let two: Ranges = [2].into_iter().collect();
    let words = operator.retry(&name, &two).await.expect("it is asked");
    assert_eq!(words, "the worker of a is asked to try 1 job again");
    operator.retry(&name, &[1].into_iter().collect()).await.expect("it is asked");
    let asked = store.control("a").await.expect("a control").retry.expect("a retry");
    assert_eq!(asked, Retry { claim: name.clone(), jobs: [1, 2].into_iter().collect() });
    assert_eq!(store.try_again(&mut held, &asked.jobs).await, Delivery::Done);
    assert_eq!(held.claim.status.failed.iter().collect::<Vec<_>>(), [3]);
    work(&store, &mut held).await;
    let done = store.overview().await.expect("an overview").finished[0].name.clone();
    assert_eq!(refused(operator.retry(&done, &two).await), format!("job 2 of {done} was not set aside"));
    assert_eq!(operator.retry(&done, &Ranges::new()).await, Ok(format!("{done} waits again, for 1 job")));
    refused(operator.retry(&done, &Ranges::new()).await);
    let mut again = store.claim().await.expect("an answer").expect("a claim");
    assert!(again.claim.status.failed.is_empty() && again.claim.status.retry.is_empty());
    assert_eq!(again.claim.status.done.len(), 2);
    work(&store, &mut again).await;
    assert_eq!((place.count(".error"), place.count("/000003"), place.count("/page")), (0, 1, 1));
}

#[tokio::test]
async fn a_retry_that_was_asked_of_a_dead_worker_is_not_forgotten() {
    let place = Place::with(&[("jobs", "1\n")]);
    let (store, operator) = (place.worker("a").await, place.store());
    let held = store.claim().await.expect("an answer").expect("a claim");
    store.deliver(&held, 1, Err("no")).await;
    operator.retry(&held.claim.name, &Ranges::new()).await.expect("it is asked");
    drop(store);
    let (helds, _) = place.store().begin("a", &new_instance()).await.expect("a start");
    assert!(helds[0].claim.status.failed.is_empty());
    assert_eq!(operator.control("a").await.expect("a control").retry, None);
}

#[tokio::test]
async fn a_page_is_added_once() {
    let place = Place::with(&[]);
    let store = place.store();
    assert_eq!(store.add("jobs", b"1\n".to_vec()).await, Ok("open/jobs".to_owned()));
    assert_eq!(refused(store.add("jobs", b"2\n".to_vec()).await), "open/jobs waits already: choose another name");
    assert!(refused(store.add("../jobs", b"2\n".to_vec()).await).contains("a dot"));
    assert!(refused(store.add("bad", b"\xff".to_vec()).await).contains("UTF-8"));
    assert_eq!(fs::read_to_string(place.at("open/jobs")).expect("a page"), "1\n");
    assert_eq!(place.dot_files(), Vec::<String>::new());
    let adders: Vec<QueueStore> = (0..8).map(|_| place.store()).collect();
    let added = futures_util::future::join_all(adders.iter().map(|store| store.add("one", b"1\n".to_vec()))).await;
    assert_eq!(added.iter().filter(|added| added.is_ok()).count(), 1, "{added:?}");
}

#[tokio::test]
async fn only_the_page_of_the_config_is_worked() {
    let place = Place::with(&[("jobs", "1\n"), ("other", "1\n")]);
    let store = QueueStore::new(&Queue { page: Some("jobs".to_owned()), ..place.queue() }).expect("a store");
    store.begin("a", &new_instance()).await.expect("a start");
    let held = store.claim().await.expect("an answer").expect("a claim");
    assert_eq!(held.claim.status.page, "jobs");
    assert_eq!(store.return_claim(&held).await, Delivery::Done);
    assert!(store.claim().await.expect("an answer").is_some(), "also after it was returned");
    assert!(store.claim().await.expect("an answer").is_none());
    assert_eq!(store.look("a").await.expect("a look").waiting, 0);
    refused(store.add("other2", b"1\n".to_vec()).await);
}

#[tokio::test]
async fn writers_of_a_control_keep_each_others_part() {
    let place = Place::with(&[]);
    let (engine, operator) = (place.store(), place.store());
    let order = |by: &str| {
        let at = super::now();
        Some(WorkerOrder { stop: Stop::Claiming, by: by.to_owned(), why: String::new(), at, until: None })
    };
    let (of_engine, of_operator) = (order("engine"), order("root"));
    let asked = engine.ask("a", &|control| control.engine.clone_from(&of_engine)).await.expect("it is asked");
    assert_eq!(asked.serial, 1);
    operator.ask("a", &|control| control.operator.clone_from(&of_operator)).await.expect("it is asked");
    let control = engine.look("a").await.expect("a look").control;
    assert_eq!((control.serial, &control.engine, &control.operator), (2, &of_engine, &of_operator));
    let same = engine.ask("a", &|control| control.engine.clone_from(&of_engine)).await.expect("it is asked");
    assert_eq!(same.serial, 2, "what is asked already is not written again");
    fs::write(place.at("control/a.json"), "{").expect("a file");
    assert!(refused(engine.look("a").await).contains("control/a.json is damaged"));
    assert!(refused(engine.control("a/b").await).contains("a slash"));
}

#[tokio::test]
async fn a_strange_claim_is_shown_and_never_worked_wrongly() {
    let place = Place::with(&[("jobs", "1\n2\n"), ("more", "1\n")]);
    let store = place.worker("a").await;
    let held = store.claim().await.expect("an answer").expect("a claim");
    let without = store.claim().await.expect("an answer").expect("a claim");
    store.deliver(&held, 1, Ok(b"1\n")).await;
    store.deliver(&without, 1, Ok(b"1\n")).await;
    fs::write(place.at("claims").join(&held.claim.name).join("status.json"), "{\"done\": [[9,1]]}").expect("a file");
    fs::remove_file(place.at("claims").join(&without.claim.name).join("page")).expect("a file");
    fs::create_dir(place.at("claims/strange")).expect("a folder");
    fs::create_dir(place.at("claims/a.0123456789ab.17000000000001234")).expect("a folder");
    let overview = place.store().overview().await.expect("an overview");
    let troubles: Vec<&str> = overview.claims.iter().filter_map(|claim| claim.trouble.as_deref()).collect();
    assert_eq!(overview.claims.len(), 3, "an empty claim is none: {overview:?}");
    assert!(troubles[0].contains("damaged") && troubles[1].contains("removed") && troubles[2].contains("no claim"));
    assert!(matches!(store.renew(&without).await, Delivery::Lost(_)));
    let new = place.store();
    let (helds, _) = new.begin("a", &new_instance()).await.expect("a start");
    assert_eq!(helds.len(), 1);
    assert_eq!(helds[0].claim.status.done.iter().collect::<Vec<_>>(), [1], "results tell, not the status");
    assert_eq!(helds[0].claim.status.page, helds[0].claim.name, "nobody knows its name");
    assert_eq!(new.finish(&helds[0]).await, Delivery::Done);
    assert!(new.settle_doubtful().await.expect("an answer").is_empty());
    assert_eq!(place.count("results/000001"), 2, "results without a page are kept");
    assert!(!place.at("claims/a.0123456789ab.17000000000001234").exists());
}

#[tokio::test]
async fn a_probe_makes_what_is_missing_and_leaves_no_trace() {
    let place = Place(tempfile::tempdir().expect("a temporary folder"));
    assert_eq!(place.store().look("a").await.map(|look| look.waiting), Ok(0), "nothing is there yet");
    assert_eq!(place.store().probe().await, Ok(Vec::new()));
    assert_eq!(place.tree(), ["claims", "control", "done", "open"]);
    for folder in ["claims", "done", "open"] {
        assert_eq!(fs::read_dir(place.at(folder)).expect("a folder").count(), 0);
    }
}

#[tokio::test]
async fn the_root_is_made_with_its_first_folder_and_is_no_empty_queue_before() {
    let place = Place(tempfile::tempdir().expect("a temporary folder"));
    let at = |path: &str| {
        let source = QueueSource::Dir { path: place.at(path) };
        QueueStore::new(&Queue { source, ..place.queue() }).expect("a store")
    };
    for (answer, what) in [(at("q").overview().await.map(|_| ()), "q"), (at("a/q").probe().await.map(|_| ()), "a/q")] {
        let Err(Trouble::Unreachable(why)) = answer else { panic!("{what}: {answer:?}") };
        assert!(why.ends_with("is not there: make it, or mount what holds it"), "{why}");
    }
    assert!(at("q").add("jobs", TWO.into()).await.is_ok());
    assert_eq!(at("q").overview().await.map(|look| look.waiting), Ok(1));
    let worker = at("q");
    worker.begin("a", &new_instance()).await.expect("a start");
    fs::rename(place.at("q"), place.at("elsewhere")).expect("it is not mounted any more");
    assert!(matches!(worker.claim().await, Err(Trouble::Unreachable(_))));
    assert!(!place.at("q").exists(), "nobody goes on in an empty folder");
}

/// Polls a future until it was pending so often, and drops it: as a worker dies in the middle of something.
async fn cut<F: Future>(future: F, after: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls == after => Poll::Ready(None),
        Poll::Pending => {
            polls += 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn whoever_dies_at_whatever_instant_nothing_is_lost_and_nothing_is_done_twice() {
    let mut whole = 0;
    for after in 0.. {
        let place = Place::with(&[("jobs", "1\n2\n"), ("more", "1\n")]);
        let returned = format!("half.{}", super::names::number_text(super::names::number(1_000_000_000_000, 7)));
        fs::create_dir_all(place.at("open").join(&returned).join("results")).expect("a folder");
        fs::write(place.at("open").join(&returned).join("page"), "1\n2\n").expect("a page");
        fs::write(place.at("open").join(&returned).join("results/000001"), "1\n").expect("a result");
        let dead = place.store();
        let life = async {
            let mut helds = dead.begin("a", &new_instance()).await.expect("a start").0;
            while let Some(held) = dead.claim().await.expect("an answer") {
                helds.push(held);
            }
            for held in &mut helds {
                work(&dead, held).await;
            }
        };
        whole = if cut(life, after).await.is_some() { whole + 1 } else { 0 };
        drop(dead);
        // Its last call may still be under way when the next start begins.
        let next = place.store();
        let mut helds = next.begin("a", &new_instance()).await.expect("a start").0;
        loop {
            helds.extend(next.settle_doubtful().await.expect("an answer"));
            helds.extend(next.claim().await.expect("an answer"));
            let Some(mut held) = helds.pop() else { break };
            work(&next, &mut held).await;
        }
        assert_eq!(next.doubtful(), 0);
        let tree = place.tree();
        let in_done = |end: &str| tree.iter().filter(|path| path.starts_with("done/") && path.ends_with(end)).count();
        assert_eq!((in_done("/page"), in_done("/000001"), in_done("/000002")), (3, 3, 2), "after {after}: {tree:?}");
        assert_eq!(tree.iter().filter(|path| path.starts_with("claims/") || path.starts_with("open/")).count(), 0);
        // What the dead one still wrote after the next start had looked is cleared by the one after.
        assert!(place.worker("a").await.settle_doubtful().await.expect("an answer").is_empty());
        assert_eq!(place.dot_files().len(), 1, "its own report: {:?}", place.dot_files());
        if whole == 3 {
            break;
        }
    }
}

/// What may happen next to one of several workers.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// It starts, whether or not it runs already.
    Start,
    Claim,
    /// It delivers the next job of its newest claim; with an error, or a result.
    Deliver(bool),
    /// It finishes its newest claim if all jobs have a result, else it returns it.
    End,
    Settle,
    Report,
    /// Somebody returns the first claim of all.
    GiveBack,
    /// Somebody has a finished page tried again.
    Retry,
    Produce,
}

fn moves() -> impl Strategy<Value = Vec<(usize, Move, Option<usize>)>> {
    let next = prop_oneof![
        2 => Just(Move::Start),
        6 => Just(Move::Claim),
        8 => any::<bool>().prop_map(Move::Deliver),
        3 => Just(Move::End),
        2 => Just(Move::Settle),
        2 => Just(Move::Report),
        1 => Just(Move::GiveBack),
        1 => Just(Move::Retry),
        3 => Just(Move::Produce),
    ];
    // Some die in the middle of it.
    let cut = prop_oneof![5 => Just(None), 1 => (0_usize..12).prop_map(Some)];
    prop::collection::vec((0_usize..4, next, cut), 1..60)
}

/// Four workers, two for each of two VMs, and what they know.
struct Crowd {
    place: Place,
    workers: [Option<(QueueStore, Vec<Held>)>; 4],
    pages: usize,
    /// How often each result of each page was delivered, as far as it is known.
    delivered: BTreeMap<(String, u32), u32>,
    /// Jobs of which a delivery was cut off.
    unknown: BTreeSet<(String, u32)>,
}

impl Crowd {
    async fn apply(&mut self, n: usize, what: Move, after: Option<usize>) {
        let vm = if n < 2 { "a" } else { "b" };
        let whole = match (what, self.workers[n].take()) {
            (Move::Start, _) => {
                let store = self.place.store();
                let begun = cut(store.begin(vm, &new_instance()), after.unwrap_or(usize::MAX)).await;
                begun.map(|begun| (store, begun.expect("a start").0))
            }
            (Move::Produce, worker) => {
                let name = format!("open/page{}", self.pages);
                fs::write(self.place.at(&name), "1\n2\n").expect("a page");
                self.pages += 1;
                worker
            }
            (Move::GiveBack, worker) => {
                let operator = self.place.store();
                let claims = operator.overview().await.expect("an overview").claims;
                if let Some(claim) = claims.first() {
                    // A call that was cut off may still be under way, and take it away.
                    let _ = operator.give_back(&claim.name).await;
                }
                worker
            }
            (Move::Retry, worker) => {
                let operator = self.place.store();
                let finished = operator.overview().await.expect("an overview").finished;
                if let Some(claim) = finished.iter().find(|claim| !claim.status.failed.is_empty())
                    && operator.retry(&claim.name, &Ranges::new()).await.is_ok()
                {
                    let page = claim.status.page.clone();
                    for job in claim.status.failed.iter() {
                        self.delivered.remove(&(page.clone(), job));
                    }
                }
                worker
            }
            (_, None) => None,
            (_, Some((store, mut helds))) => {
                let did = cut(Self::worked(&store, &mut helds, what), after.unwrap_or(usize::MAX)).await;
                if let Move::Deliver(_) = what
                    && let Some(held) = helds.last()
                    && let Some(job) = next_job(held)
                {
                    let key = (held.claim.status.page.clone(), job);
                    match did {
                        Some(true) => *self.delivered.entry(key).or_default() += 1,
                        Some(false) => {}
                        None => drop(self.unknown.insert(key)),
                    }
                }
                match (did, what) {
                    (Some(true), Move::Deliver(is_error)) => {
                        if let Some(held) = helds.last_mut()
                            && let Some(job) = next_job(held)
                        {
                            let status = &mut held.claim.status;
                            if is_error {
                                status.failed.insert(job)
                            } else {
                                status.done.insert(job)
                            };
                        }
                    }
                    (Some(_), Move::End) | (Some(false), Move::Deliver(_)) => drop(helds.pop()),
                    _ => {}
                }
                did.map(|_| (store, helds))
            }
        };
        self.workers[n] = whole;
    }

    /// Whether something was done, and not lost.
    async fn worked(store: &QueueStore, helds: &mut Vec<Held>, what: Move) -> bool {
        let delivery = match (what, helds.last()) {
            (Move::Claim, _) => {
                helds.extend(store.claim().await.expect("an answer"));
                return true;
            }
            (Move::Settle, _) => {
                let found = store.settle_doubtful().await.expect("an answer");
                helds.extend(found);
                return true;
            }
            (Move::Report, _) => store.report(&WorkerStatus::default()).await,
            (Move::Deliver(is_error), Some(held)) => match next_job(held) {
                Some(job) if is_error => store.deliver(held, job, Err("no")).await,
                Some(job) => store.deliver(held, job, Ok(b"1\n")).await,
                None => return true,
            },
            (Move::End, Some(held)) if next_job(held).is_none() => store.finish(held).await,
            (Move::End, Some(held)) => store.return_claim(held).await,
            _ => return true,
        };
        match delivery {
            Delivery::Done => true,
            Delivery::Lost(_) => false,
            Delivery::Unknown(why) => panic!("{why}"),
        }
    }

    /// All is worked to its end, and looked over.
    async fn check(&self) {
        for vm in ["a", "b"] {
            let store = self.place.store();
            let mut helds = store.begin(vm, &new_instance()).await.expect("a start").0;
            loop {
                helds.extend(store.settle_doubtful().await.expect("an answer"));
                helds.extend(store.claim().await.expect("an answer"));
                let Some(mut held) = helds.pop() else { break };
                work(&store, &mut held).await;
            }
        }
        let tree = self.place.tree();
        assert!(!tree.iter().any(|path| path.starts_with("open/") || path.starts_with("claims/")), "{tree:?}");
        assert_eq!(self.place.count("/page"), self.pages, "{tree:?}");
        for job in ["1", "2"] {
            let results = self.place.count(&format!("/00000{job}")) + self.place.count(&format!("/00000{job}.error"));
            assert_eq!(results, self.pages, "{tree:?}");
        }
        let twice = |(key, times): &(&(String, u32), &u32)| **times > 1 && !self.unknown.contains(*key);
        assert_eq!(self.delivered.iter().filter(twice).count(), 0, "{:?}", self.delivered);
    }
}

fn next_job(held: &Held) -> Option<u32> {
    let status = &held.claim.status;
    held.page.jobs().map(|job| job.number).find(|job| !status.done.contains(*job) && !status.failed.contains(*job))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_workers_and_operators_do_each_job_has_one_result(moves in moves()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let place = Place::with(&[("page0", "1\n2\n"), ("page1", "1\n2\n")]);
            let mut crowd =
                Crowd { place, workers: [const { None }; 4], pages: 2, delivered: BTreeMap::new(), unknown: BTreeSet::new() };
            for (n, what, after) in moves {
                crowd.apply(n, what, after).await;
            }
            crowd.check().await;
        });
    }
}
