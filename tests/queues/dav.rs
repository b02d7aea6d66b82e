//! Queues on a real Apache with mod_dav: claimed once, whatever becomes of requests and answers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use whimbrel::core::cluster::{Secret, Span};
use whimbrel::core::queue::{JobKind, Parallel, Queue, QueueSource, Ranges, WorkerStatus};
use whimbrel::edge::queue::{Delivery, Held, QueueStore, Trouble, new_instance};

use crate::support::proxy::{Fault, HttpProxy, Seeded, random};
use crate::support::services::{Dav, or_skip};

/// A request that is not answered within this time is given up: shorter than the proxies' longest delays.
const DEADLINE: Duration = Duration::from_millis(800);
/// For requests that are answered: far more than any needs.
const PATIENCE: Duration = Duration::from_secs(60);

fn queue(url: &str) -> Queue {
    Queue {
        name: "q".into(),
        source: QueueSource::Http { url: url.to_owned(), user: None, password: None },
        job: JobKind::Bc { digits: 100, deadline: Span::from_secs(1) },
        big: String::new(),
        page: None,
        parallel: Parallel::Everywhere(1),
        attempts: 3,
        lease: Span::from_secs(60),
    }
}

fn store(url: &str) -> QueueStore {
    QueueStore::with_deadline(&queue(url), PATIENCE).expect("a URL")
}

async fn worker(url: &str, vm: &str) -> QueueStore {
    let store = store(url);
    store.begin(vm, &new_instance()).await.expect("a start");
    store
}

/// Puts pages of three jobs in.
fn produce(dav: &Dav, pages: usize) {
    let open = dav.folder("open");
    for page in 0..pages {
        fs::write(open.join(format!("page{page}")), "1\n2\n3\n").expect("the folder can be written");
    }
}

/// Every file below a folder of the server, by its path; servers' own left out.
fn files(root: &Path) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() { walk(root, &path, found) } else { found.push(below(root, &path)) }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned()
}

/// All pages are finished, and each of their jobs has one result.
#[track_caller]
fn assert_all_done(dav: &Dav, pages: usize) {
    let files = files(&dav.root());
    let undone: Vec<_> = files.iter().filter(|file| file.starts_with("open/") || file.starts_with("claims/")).collect();
    assert!(undone.is_empty(), "{undone:?}");
    let mut names = BTreeMap::<String, usize>::new();
    for file in &files {
        let name = file
            .strip_prefix("done/")
            .and_then(|file| file.split_once('.'))
            .map(|(page, rest)| format!("{page} {}", rest.split_once('/').map_or("", |(_, inside)| inside)));
        *names.entry(name.unwrap_or_default()).or_default() += 1;
    }
    for page in 0..pages {
        for inside in ["page", "results/000001", "results/000002", "results/000003"] {
            assert_eq!(names.get(&format!("page{page} {inside}")), Some(&1), "{files:#?}");
        }
    }
    assert!(!files.iter().any(|file| file.ends_with(".error")), "{files:#?}");
}

/// Tries a step until it is known what became of it. True: it was done.
async fn surely(mut step: impl AsyncFnMut() -> Delivery) -> bool {
    loop {
        match step().await {
            Delivery::Done => return true,
            Delivery::Lost(_) => return false,
            Delivery::Unknown(_) => tokio::task::yield_now().await,
        }
    }
}

/// Works what is left of a claim, and finishes it. False: it was lost.
async fn work(store: &QueueStore, mut held: Held) -> bool {
    let jobs: Vec<u32> = held.page.jobs().map(|job| job.number).collect();
    for job in jobs {
        if !held.claim.status.done.contains(job) {
            if !surely(async || store.deliver(&held, job, Ok(b"1\n")).await).await {
                return false;
            }
            held.claim.status.done.insert(job);
        }
    }
    surely(async || store.finish(&held).await).await
}

/// A worker as it should be: it settles, claims, works, until nothing waits and nothing is in doubt. How many claims it had.
async fn work_all(store: &QueueStore, first: Vec<Held>) -> usize {
    let (mut helds, mut claims) = (first, 0);
    loop {
        if let Ok(found) = store.settle_doubtful().await {
            helds.extend(found);
        }
        let claimed = if helds.is_empty() { store.claim().await } else { Ok(None) };
        let is_empty = matches!(claimed, Ok(None)) && helds.is_empty();
        helds.extend(claimed.ok().flatten());
        if let Some(held) = helds.pop() {
            claims += 1;
            work(store, held).await;
        } else if is_empty && store.doubtful() == 0 && store.settle_doubtful().await.is_ok_and(|found| found.is_empty())
        {
            return claims;
        }
    }
}

#[track_caller]
fn refused<T>(answer: Result<T, Trouble>) -> String {
    match answer {
        Err(Trouble::Refused(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[tokio::test]
async fn eight_workers_claim_each_page_once() {
    let Some(dav) = or_skip("eight_workers_claim_each_page_once", Dav::start()) else { return };
    produce(&dav, 40);
    let url = dav.url("/");
    assert_eq!(store(&url).probe().await, Ok(Vec::new()));
    let workers: Vec<QueueStore> = join_all((0..8).map(async |n| worker(&url, &format!("vm{n}")).await)).await;
    let claims: Vec<usize> = join_all(workers.iter().map(|store| work_all(store, Vec::new()))).await;
    assert_eq!(claims.iter().sum::<usize>(), 40, "{claims:?}");
    assert_all_done(&dav, 40);
    let overview = store(&url).overview().await.expect("an overview");
    assert_eq!((overview.done, overview.waiting, overview.claims.len(), overview.workers.len()), (40, 0, 0, 8));
}

#[tokio::test]
async fn a_returned_claim_is_continued_and_a_finished_one_tried_again() {
    let name = "a_returned_claim_is_continued_and_a_finished_one_tried_again";
    let Some(dav) = or_skip(name, Dav::start()) else { return };
    produce(&dav, 1);
    let url = dav.url("/");
    let (a, b, operator) = (worker(&url, "a").await, worker(&url, "b").await, store(&url));
    let held = a.claim().await.expect("an answer").expect("a claim");
    assert_eq!(a.deliver(&held, 1, Ok(b"1\n")).await, Delivery::Done);
    assert_eq!(a.deliver(&held, 2, Err("no")).await, Delivery::Done);
    let back = operator.give_back(&held.claim.name).await.expect("it is returned");
    assert!(matches!(a.deliver(&held, 3, Ok(b"3\n")).await, Delivery::Lost(_)));
    assert!(matches!(a.renew(&held).await, Delivery::Lost(_)));
    assert_eq!(operator.open_page(&back).await.map(|page| page.count()), Ok(3));
    let mut held = b.claim().await.expect("an answer").expect("a claim");
    assert_eq!((held.claim.status.done.len(), held.claim.status.failed.len()), (1, 1));
    assert_eq!(b.deliver(&held, 3, Ok(b"3\n")).await, Delivery::Done);
    held.claim.status.done.insert(3);
    assert_eq!(b.finish(&held).await, Delivery::Done);
    let done = operator.overview().await.expect("an overview").finished[0].name.clone();
    assert_eq!(operator.error_of(&done, 2).await, Ok(Some("no".to_owned())));
    operator.retry(&done, &Ranges::new()).await.expect("it waits again");
    let held = b.claim().await.expect("an answer").expect("a claim");
    assert!(held.claim.status.failed.is_empty());
    assert!(work(&b, held).await);
    assert_all_done(&dav, 1);
}

#[tokio::test]
async fn a_start_takes_over_and_the_older_worker_delivers_nothing() {
    let name = "a_start_takes_over_and_the_older_worker_delivers_nothing";
    let Some(dav) = or_skip(name, Dav::start()) else { return };
    produce(&dav, 1);
    let url = dav.url("/");
    let old = worker(&url, "a").await;
    let held = old.claim().await.expect("an answer").expect("a claim");
    let mut report = WorkerStatus::default();
    report.rates.add("home", "", Span::from_secs(7), 1);
    assert_eq!(old.report(&report).await, Delivery::Done);
    let new = store(&url);
    let (helds, rates) = new.begin("a", &new_instance()).await.expect("a start");
    assert_eq!((helds.len(), rates), (1, report.rates.clone()));
    assert!(matches!(old.deliver(&held, 1, Ok(b"1\n")).await, Delivery::Lost(_)));
    assert!(matches!(old.report(&report).await, Delivery::Lost(_)));
    assert_eq!(work_all(&new, helds).await, 1);
    assert_all_done(&dav, 1);
}

/// Each kind of request of a worker's life.
const REQUESTS: [(&str, &str); 11] = [
    ("PROPFIND", "/open/"),
    ("GET", "/open/page0"),
    ("MKCOL", "/claims/"),
    ("PUT", "status.json"),
    ("MOVE", "/open/page0"),
    ("GET", "/page"),
    ("MKCOL", "/results/"),
    ("PUT", "/results/000002"),
    ("MOVE", "/claims/"),
    ("PROPFIND", "/claims/"),
    ("PROPFIND", "/page"),
];

#[tokio::test]
async fn whatever_becomes_of_one_request_the_page_is_worked_once() {
    let name = "whatever_becomes_of_one_request_the_page_is_worked_once";
    let Some(dav) = or_skip(name, Dav::start()) else { return };
    let short = Duration::from_millis(40);
    let faults = [
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::Late(short),
        Fault::Repeat(short),
        Fault::Refuse(404),
        Fault::Refuse(412),
        Fault::Deny(404),
        Fault::Deny(500),
        Fault::CutAnswer,
    ];
    for (method, part) in REQUESTS {
        for fault in faults {
            fs::remove_dir_all(dav.root().join("done")).ok();
            produce(&dav, 1);
            let proxy = HttpProxy::before(dav.address());
            let url = proxy.url("/");
            let store = worker(&url, "a").await;
            proxy.once(fault, move |request| request.method == method && request.path.contains(part));
            let mut helds = Vec::new();
            // One call, and then a new start beside what is under way: or the same worker goes on.
            helds.extend(store.claim().await.ok().flatten());
            work_all(&store, helds).await;
            proxy.calm();
            work_all(&store, Vec::new()).await;
            let next = worker(&dav.url("/"), "a").await;
            work_all(&next, Vec::new()).await;
            assert_all_done(&dav, 1);
        }
    }
}

#[tokio::test]
async fn a_server_that_stands_still_loses_no_page() {
    let Some(mut dav) = or_skip("a_server_that_stands_still_loses_no_page", Dav::start()) else { return };
    produce(&dav, 1);
    let proxy = HttpProxy::before(dav.address());
    let store = QueueStore::with_deadline(&queue(&proxy.url("/")), DEADLINE).expect("a URL");
    store.begin("a", &new_instance()).await.expect("a start");
    // The server has the request to move the page, and does it only after the worker has given up.
    proxy.once(Fault::DelayRequest(DEADLINE * 2), |request| request.method == "MOVE" && request.path == "/open/page0");
    dav.thaw();
    let claimed = store.claim().await;
    // Whoever was first: the page that moved, or the worker that moved its claim away.
    let helds: Vec<Held> = claimed.ok().flatten().into_iter().collect();
    proxy.calm();
    dav.freeze();
    assert!(matches!(store.settle_doubtful().await, Err(Trouble::Unreachable(_))));
    dav.thaw();
    work_all(&store, helds).await;
    assert_all_done(&dav, 1);
}

/// Workers behind bad proxies that die again and again: nothing is lost, nothing is done twice.
async fn survive(dav: &Dav, seed: u64, workers: u64, pages: usize) {
    fs::remove_dir_all(dav.root().join("done")).ok();
    produce(dav, pages);
    let proxies: Vec<HttpProxy> = (0..workers).map(|_| HttpProxy::before(dav.address())).collect();
    let lives = (0..workers).zip(&proxies).map(|(n, proxy)| async move {
        let mut seeded = Seeded::new(seed * workers + n);
        proxy.plan(random(seeded.next(), 100));
        let live = async || {
            let store = QueueStore::with_deadline(&queue(&proxy.url("/")), DEADLINE).expect("a URL");
            let first = loop {
                if let Ok((first, _)) = store.begin(&format!("vm{n}"), &new_instance()).await {
                    break first;
                }
            };
            work_all(&store, first).await
        };
        for _ in 0..3 {
            let _ = timeout(seeded.between(Duration::from_millis(1), Duration::from_secs(1)), live()).await;
        }
        live().await
    });
    join_all(lives).await;
    proxies.iter().for_each(HttpProxy::calm);
    for n in 0..workers {
        let store = store(&dav.url("/"));
        let (helds, _) = store.begin(&format!("vm{n}"), &new_instance()).await.expect("a start");
        work_all(&store, helds).await;
    }
    assert_all_done(dav, pages);
}

#[tokio::test]
async fn workers_that_die_behind_bad_proxies_lose_nothing() {
    let Some(dav) = or_skip("workers_that_die_behind_bad_proxies_lose_nothing", Dav::start()) else { return };
    let runs = if std::env::var_os("WHIMBREL_LONG").is_some() { 60 } else { 3 };
    for seed in 0..runs {
        survive(&dav, seed, 4, 8).await;
    }
}

#[tokio::test]
async fn a_server_without_dav_says_how_to_get_it() {
    let plain = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(plain.path(), fs::Permissions::from_mode(0o755)).expect("its owner may");
    let lines = format!("Alias /plain {}\n", plain.path().display());
    let Some(dav) = or_skip("a_server_without_dav_says_how_to_get_it", Dav::start_with(&lines)) else { return };
    let store = store(&dav.url("/plain/"));
    let why = refused(store.probe().await);
    assert!(why.contains("write 'Dav On' in its config"), "{why}");
    assert!(refused(store.look("a").await).contains("Dav On"));
    assert!(refused(store.add("jobs", b"1\n".to_vec()).await).contains("Dav On"));
    assert_eq!(refused(self::store(&dav.url("/nowhere/")).probe().await), "the queue's URL is not there (404)");
}

#[tokio::test]
async fn a_folder_that_may_only_be_read_can_be_looked_at() {
    let lines = "<Location />\n<LimitExcept GET OPTIONS PROPFIND>\nRequire all denied\n</LimitExcept>\n</Location>\n";
    let name = "a_folder_that_may_only_be_read_can_be_looked_at";
    let Some(dav) = or_skip(name, Dav::start_with(lines)) else { return };
    produce(&dav, 1);
    ["claims", "done", "control"].iter().for_each(|folder| drop(dav.folder(folder)));
    assert_eq!(store(&dav.url("/")).look("a").await.map(|look| look.waiting), Ok(1));
    let why = refused(store(&dav.url("/")).probe().await);
    assert!(why.contains("is forbidden (403)"), "{why}");
}

#[tokio::test]
async fn a_move_that_is_forbidden_is_found_by_the_probe() {
    let lines = "<Location />\n<Limit MOVE>\nRequire all denied\n</Limit>\n</Location>\n";
    let name = "a_move_that_is_forbidden_is_found_by_the_probe";
    let Some(dav) = or_skip(name, Dav::start_with(lines)) else { return };
    produce(&dav, 1);
    let why = refused(store(&dav.url("/")).probe().await);
    assert!(why.starts_with("MOVE of claims/.probe-") && why.contains("(403)"), "{why}");
    assert_eq!(fs::read_dir(dav.root().join("claims")).expect("a folder").count(), 0, "the probe is removed");
    let store = worker(&dav.url("/"), "a").await;
    assert!(refused(store.claim().await).contains("(403)"));
    assert!(store.settle_doubtful().await.is_err(), "nothing tells that nothing was claimed");
    assert!(dav.root().join("open/page0").exists(), "the page stays where it is");
}

#[tokio::test]
async fn a_server_that_may_not_write_says_so() {
    let Some(dav) = or_skip("a_server_that_may_not_write_says_so", Dav::start()) else { return };
    produce(&dav, 1);
    ["claims", "done", "control"].iter().for_each(|folder| drop(dav.folder(folder)));
    let open = dav.root().join("open");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o555)).expect("its owner may");
    let why = refused(store(&dav.url("/")).probe().await);
    assert!(why.contains("fails on the server (500): its user may not write there"), "{why}");
    let store = worker(&dav.url("/"), "a").await;
    let why = refused(store.claim().await);
    assert!(why.contains("(500)"), "{why}");
    assert_eq!(store.doubtful(), 0, "the claim was moved away, so the page cannot come into it");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("its owner may");
    work_all(&store, Vec::new()).await;
    assert_all_done(&dav, 1);
}

#[tokio::test]
async fn users_and_passwords() {
    let Some(dav) = or_skip("users_and_passwords", Dav::start_with(Dav::LOGIN)) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("password");
    let with = |user: Option<&str>, password: Option<PathBuf>| {
        let (user, password) = (user.map(str::to_owned), password.map(Secret::File));
        let source = QueueSource::Http { url: dav.url("/"), user, password };
        QueueStore::new(&Queue { source, ..queue("") }).expect("a URL")
    };
    assert!(refused(with(None, None).probe().await).starts_with("the server wants a user"));
    let missing = refused(with(Some(Dav::USER), Some(folder.path().join("nowhere"))).probe().await);
    assert_eq!(missing, "cannot read the password file: it does not exist");
    fs::write(&file, "wrong-secret\n").expect("a file");
    let store = with(Some(Dav::USER), Some(file.clone()));
    assert_eq!(refused(store.probe().await), "the server does not take this user with this password (401)");
    fs::write(&file, format!("{}\n", Dav::PASSWORD)).expect("a file");
    assert_eq!(store.probe().await, Ok(Vec::new()), "a password that was corrected is read again");
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_the_remedy_is_named() {
    let lines = "RequestHeader edit Destination ^http: https: early\n";
    let name = "behind_a_proxy_that_ends_tls_the_remedy_is_named";
    let Some(dav) = or_skip(name, Dav::start_with(lines)) else { return };
    let why = refused(store(&dav.url("/")).probe().await);
    assert!(why.contains("RequestHeader edit Destination ^https: http: early"), "{why}");
}

#[tokio::test]
async fn folders_on_two_file_systems_are_found_out() {
    let name = "folders_on_two_file_systems_are_found_out";
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        return crate::support::services::skipped(name, "/dev/shm cannot be written");
    };
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    if device(other.path()) == device(&std::env::temp_dir()) {
        return crate::support::services::skipped(name, "/dev/shm is on the file system of temporary files");
    }
    fs::set_permissions(other.path(), fs::Permissions::from_mode(0o777)).expect("its owner may");
    let path = other.path().display();
    let lines = format!("Alias /claims {path}\n<Directory {path}>\nDav On\n</Directory>\n");
    let Some(dav) = or_skip(name, Dav::start_with(&lines)) else { return };
    // The server lists its own folder, not the alias.
    ["claims", "open", "done", "control"].iter().for_each(|folder| drop(dav.folder(folder)));
    let why = refused(store(&dav.url("/")).probe().await);
    assert!(why.starts_with("open/ lies on another file system than the rest"), "{why}");
}

#[tokio::test]
async fn a_thousand_pages_are_listed() {
    let Some(dav) = or_skip("a_thousand_pages_are_listed", Dav::start()) else { return };
    produce(&dav, 1_000);
    fs::write(dav.root().join("open/bad"), b"1\n\0").expect("a file");
    fs::write(dav.root().join("open/gr\u{f6}\u{df}e 1%2f#?"), "1\n").expect("a file");
    let store = store(&dav.url("/"));
    let look = store.look("a").await.expect("a look");
    assert_eq!((look.waiting, look.open.len()), (1_001, 99), "{:?}", look.refused);
    assert_eq!(look.refused.len(), 1);
    assert!(look.open.iter().all(|page| page.grades.as_ref().is_some_and(|grades| !grades.is_empty())));
    assert_eq!(store.open_page("gr\u{f6}\u{df}e 1%2f#?").await.map(|page| page.count()), Ok(1));
}

#[tokio::test]
async fn a_look_at_a_quiet_queue_takes_few_requests() {
    let name = "a_look_at_a_quiet_queue_takes_few_requests";
    let Some(dav) = or_skip(name, Dav::start()) else { return };
    produce(&dav, 5);
    let proxy = HttpProxy::before(dav.address());
    let (worker, engine) = (worker(&dav.url("/"), "a").await, store(&proxy.url("/")));
    worker.claim().await.expect("an answer").expect("a claim");
    engine.look("a").await.expect("a look");
    let before = proxy.counts().requests;
    assert_eq!(engine.look("a").await.map(|look| (look.waiting, look.claims.len())), Ok((4, 1)));
    let requests = proxy.counts().requests - before;
    assert!(requests <= 9, "{requests}");
}

#[tokio::test]
async fn two_adders_of_one_name_overwrite_nothing() {
    let Some(dav) = or_skip("two_adders_of_one_name_overwrite_nothing", Dav::start()) else { return };
    let url = dav.url("/");
    store(&url).probe().await.expect("a probe");
    let stores: Vec<QueueStore> = (0..8).map(|_| store(&url)).collect();
    for name in ["a", "b", "c"] {
        let added = join_all(stores.iter().map(|store| store.add(name, b"1\n".to_vec()))).await;
        assert_eq!(added.iter().filter(|added| added.is_ok()).count(), 1, "{added:?}");
    }
    assert_eq!(files(&dav.root()), ["open/a", "open/b", "open/c"]);
    assert_eq!(fs::read_dir(dav.root().join("claims")).expect("a folder").count(), 0);
}

#[tokio::test]
async fn eight_writers_of_one_control_lose_no_part() {
    let Some(dav) = or_skip("eight_writers_of_one_control_lose_no_part", Dav::start()) else { return };
    let url = dav.url("/");
    store(&url).probe().await.expect("a probe");
    let stores: Vec<QueueStore> = (0..8).map(|_| store(&url)).collect();
    // Each adds a job of its own to what is to be tried again.
    let asked = join_all((1..).zip(&stores).map(|(job, store)| async move {
        let change = move |control: &mut whimbrel::core::queue::WorkerControl| {
            let mut jobs = control.retry.take().map(|retry| retry.jobs).unwrap_or_default();
            jobs.insert(job);
            control.retry = Some(whimbrel::core::queue::Retry { claim: "c".to_owned(), jobs });
        };
        store.ask("a", &change).await
    }))
    .await;
    assert!(asked.iter().all(Result::is_ok), "{asked:?}");
    let control = store(&url).control("a").await.expect("a control");
    assert_eq!((control.serial, control.retry.map(|retry| retry.jobs.len())), (8, Some(8)));
}
