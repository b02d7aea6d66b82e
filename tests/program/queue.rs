//! `whimbrel queue` over a folder: what an operator sees of a queue and does with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use whimbrel::core::cluster::{Span, Timestamp};
use whimbrel::core::queue::{WorkerState, WorkerStatus};
use whimbrel::edge::config::{self, AnyConfig, WorkerConfig};
use whimbrel::edge::queue::{Delivery, Held, QueueStore, new_instance};

use crate::support::{Run, whimbrel};

const CONFIG: &str = r#"
[[queue]]
name = "render"
source = { kind = "dir", path = "q" }
job = { kind = "bc" }
big = "grade a"

[[vm]]
name = "nii4"
interval = "2m"
monitor = { kind = "queue", queue = "render" }

[[vm]]
name = "nii5"
monitor = { kind = "queue", queue = "render" }
"#;

/// A config with a queue in a folder beside it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        fs::write(place.config(), CONFIG).expect("a config");
        fs::create_dir(place.at("q")).expect("a folder");
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn config(&self) -> PathBuf {
        self.at("whimbrel.toml")
    }

    fn page(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, text).expect("a page");
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = whimbrel();
        command.arg("queue").arg(self.config()).args(arguments).stdin(Stdio::null());
        command
    }

    /// What a command prints, if it ends well.
    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        let out = self.command(arguments).output().expect("the binary runs");
        assert!(out.status.success(), "{arguments:?}: {out:?}");
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// What a command that ends with this status says of it.
    #[track_caller]
    fn fails(&self, status: i32, arguments: &[&str]) -> String {
        let out = self.command(arguments).output().expect("the binary runs");
        assert_eq!(out.status.code(), Some(status), "{arguments:?}: {out:?}");
        String::from_utf8(out.stderr).expect("UTF-8")
    }

    #[track_caller]
    fn json(&self) -> Value {
        let told: Value = serde_json::from_str(&self.says(&["render", "--format", "json"])).expect("JSON");
        told["queues"][0].clone()
    }

    fn add(&self, name: &str, text: &str) {
        let page = self.page(name, text);
        self.says(&["render", "add", page.to_str().expect("UTF-8")]);
    }

    /// The config as workers see it.
    fn read(&self) -> WorkerConfig {
        WorkerConfig::from(config::load_any(&self.config()).expect("it is right"))
    }

    fn store(&self) -> QueueStore {
        let config = self.read();
        QueueStore::new(config.queue("render").expect("it is there")).expect("a store")
    }
}

/// A worker's steps, without a worker.
struct Steps {
    store: QueueStore,
    status: WorkerStatus,
    runtime: tokio::runtime::Runtime,
}

impl Steps {
    /// A worker starts and reports itself.
    fn begin(place: &Place, vm: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (store, instance) = (place.store(), new_instance());
        runtime.block_on(store.begin(vm, &instance)).expect("a start");
        let status = WorkerStatus { vm: vm.to_owned(), instance, claims: true, ..WorkerStatus::default() };
        let mut steps = Self { store, status, runtime };
        steps.report(|_| ());
        steps
    }

    /// It writes of itself now.
    fn report(&mut self, change: impl Fn(&mut WorkerStatus)) {
        self.status.beat = now();
        change(&mut self.status);
        assert_eq!(self.runtime.block_on(self.store.report(&self.status)), Delivery::Done);
    }

    fn claim(&self) -> Held {
        self.runtime.block_on(self.store.claim()).expect("an answer").expect("a claim")
    }

    fn deliver(&self, held: &mut Held, job: u32, result: Result<&[u8], &str>) {
        assert_eq!(self.runtime.block_on(self.store.deliver(held, job, result)), Delivery::Done);
        let status = &mut held.claim.status;
        if result.is_ok() {
            status.done.insert(job)
        } else {
            status.failed.insert(job)
        };
        assert_eq!(self.runtime.block_on(self.store.save(held)), Delivery::Done);
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(chrono::Utc::now().timestamp_millis())
}

const PAGE: &str = "# of today\ngrade b = 2^10\ngrade a = 9^9\n1/0\n";

#[test]
fn a_page_is_added_and_waits_for_a_reason() {
    let place = Place::new();
    let page = place.page("render-7", PAGE);
    let page = page.to_str().expect("UTF-8");
    let said = place.says(&["render", "add", page]);
    assert_eq!(said, "render-7 waits, 3 jobs: no worker has ever run in nii4; no worker has ever run in nii5\n");
    assert_eq!(fs::read_to_string(place.at("q/open/render-7")).expect("it is there"), PAGE);
    let said = place.fails(1, &["render", "add", page]);
    assert!(said.contains("render-7 waits already"), "{said}");

    let table = place.says(&[]);
    assert!(table.starts_with("render (dir): 1 page waits, 0 claimed, 0 pages are done\n"), "{table}");
    assert!(table.contains("render-7  "), "{table}");
    let told = place.json();
    assert_eq!((&told["waiting"], &told["pages"][0]["jobs"]), (&1.into(), &3.into()));
    assert_eq!(told["pages"][0]["grades"][0], serde_json::json!({"grade": "grade a", "jobs": 1}));
    assert_eq!(told["pages"][0]["waits"]["why"], "never_ran");
}

#[test]
fn what_is_no_page_is_not_added() {
    let place = Place::new();
    for (name, bytes, why) in [
        ("bad", &b"\xff\n"[..], "no text"),
        (".hidden", b"1\n", "dot"),
        ("long", &[b'9'; 1 << 21], "longer than 1 MiB"),
    ] {
        let path = place.at(name);
        fs::write(&path, bytes).expect("a file");
        let said = place.fails(1, &["render", "add", path.to_str().expect("UTF-8")]);
        assert!(said.contains(why), "{name}: {said}");
    }
    assert!(place.fails(1, &["render", "add", "no-such-file"]).contains("no-such-file"));
    assert_eq!(place.json()["waiting"], 0);
}

#[test]
fn a_claim_is_seen_and_returned() {
    let place = Place::new();
    place.add("render-7", PAGE);
    let worker = Steps::begin(&place, "nii4");
    let mut held = worker.claim();
    worker.deliver(&mut held, 2, Ok(b"1024\n"));
    let name = held.claim.name.clone();

    let told = place.json();
    assert_eq!(told["waiting"], 0);
    let claim = &told["claims"][0];
    assert_eq!(
        (&claim["name"], &claim["vm"], &claim["page"]),
        (&name.clone().into(), &"nii4".into(), &"render-7".into())
    );
    assert_eq!((&claim["done"], &claim["jobs"], &claim["big"]), (&1.into(), &3.into(), &1.into()));
    place.says(&["render", "--wait", "claimed", "--for", "1m"]);
    place.says(&["render", "--wait", "empty", "--for", "1m"]);

    let said = place.fails(2, &["render", "return", "nii4.0123456789ab.1"]);
    assert!(said.contains("there is no claim") && said.contains(&name), "{said}");
    let said = place.fails(2, &["render", "return", &name]);
    assert!(said.contains("The worker of nii4 is alive") && said.contains("--yes"), "{said}");
    assert_eq!(place.json()["claims"][0]["name"], *name, "nothing happened without a yes");
    let said = place.says(&["render", "return", &name, "--yes"]);
    assert!(said.contains("is returned"), "{said}");
    let told = place.json();
    assert_eq!((told["claims"].as_array().map(Vec::len), &told["pages"][0]["returned"]), (Some(0), &true.into()));
    let mut late = held;
    let delivered = worker.runtime.block_on(worker.store.deliver(&late, 3, Ok(b"387420489\n")));
    assert!(matches!(delivered, Delivery::Lost(_)), "{delivered:?}");
    late.claim.status.done.insert(3);
}

#[test]
fn a_worker_that_is_gone_loses_its_claim_without_a_question() {
    let place = Place::new();
    place.add("render-7", PAGE);
    let mut worker = Steps::begin(&place, "nii4");
    let name = worker.claim().claim.name;
    worker.report(|status| status.state = WorkerState::Ended);
    place.says(&["render", "return", &name]);
    assert_eq!(place.json()["pages"][0]["waits"]["why"], "ended");
}

#[test]
fn a_job_that_was_set_aside_is_tried_again() {
    let place = Place::new();
    place.add("render-7", PAGE);
    let worker = Steps::begin(&place, "nii4");
    let mut held = worker.claim();
    worker.deliver(&mut held, 4, Err("Divide by zero"));
    let name = held.claim.name.clone();
    place.says(&["render", "--wait", "failed", "--for", "1m"]);
    let table = place.says(&["render"]);
    assert!(table.contains("SET ASIDE IN") && table.contains("1 job"), "{table}");
    assert!(place.fails(1, &["render", "retry", &name, "2"]).contains("job 2"));
    assert!(place.fails(1, &["render", "retry", "nii4.0123456789ab.1"]).contains("claim"));
    place.says(&["render", "retry", &name, "4"]);
    let control = fs::read_to_string(place.at("q/control/nii4.json")).expect("a control");
    let control: Value = serde_json::from_str(&control).expect("JSON");
    assert_eq!((&control["retry"]["claim"], &control["retry"]["jobs"]), (&name.into(), &serde_json::json!([[4, 4]])));
}

#[test]
fn workers_are_paused_and_go_on() {
    let place = Place::new();
    let said = place.says(&["render", "pause", "--for", "2h", "--why", "the disk is full"]);
    assert_eq!(
        said,
        "nii4: no worker runs there now; one that starts obeys\nnii5: no worker runs there now; one that starts obeys\n"
    );
    let told = place.json();
    let pause = &told["workers"][0]["paused"];
    assert_eq!((&pause["stop"], &pause["why"]), (&"working".into(), &"the disk is full".into()));
    assert!(pause["until"].is_string() && pause["by"].as_str().is_some_and(|by| !by.is_empty()), "{pause}");

    // A worker that has read it already confirms.
    let mut worker = Steps::begin(&place, "nii4");
    worker.report(|status| (status.obeys, status.claims, status.state) = (9, false, WorkerState::Paused));
    let said = place.says(&["render", "pause"]);
    assert!(said.contains("nii4 is paused: it begins nothing and claims nothing more"), "{said}");
    assert_eq!(place.json()["workers"][0]["paused"]["until"], Value::Null, "the newest pause holds");
    place.add("render-7", PAGE);
    assert_eq!(place.json()["pages"][0]["waits"]["why"], "paused");

    assert!(place.says(&["render", "resume"]).contains("nii4 goes on\n"));
    assert_eq!(place.json()["workers"][0]["paused"], Value::Null);

    // One that does not read it does not confirm.
    worker.report(|status| (status.obeys, status.claims) = (0, true));
    let said = place.fails(1, &["render", "pause"]);
    assert!(said.contains("nii4 has not confirmed within 10 s"), "{said}");
}

#[test]
fn a_state_is_waited_for() {
    let place = Place::new();
    let out = |arguments: &[&str]| -> Output { place.command(arguments).output().expect("the binary runs") };
    let late = out(&["render", "--wait", "claimed", "--for", "1s"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&late.stdout).starts_with("render (dir): 0 pages wait"), "{late:?}");
    place.says(&["render", "--wait", "done"]);
    place.add("render-7", PAGE);
    let mut wait = place.command(&["--wait", "claimed", "--for", "2m"]).stdout(Stdio::null()).spawn().expect("it runs");
    let worker = Steps::begin(&place, "nii4");
    let _held = worker.claim();
    assert!(wait.wait().expect("it ends").success());
    assert_eq!(out(&["--wait", "done", "--for", "1s"]).status.code(), Some(1));
}

#[test]
fn a_workers_config_holds_its_queue_and_itself() {
    let place = Place::new();
    let text = place.says(&["render", "worker", "nii4"]);
    let AnyConfig::Worker(config) = config::parse_any(Path::new("/elsewhere/w.toml"), &text).expect("it is right")
    else {
        panic!("{text}");
    };
    let of_whole = place.read();
    assert_eq!((config.queues.len(), config.vms.len()), (1, 1));
    assert_eq!(config.vm("nii4"), of_whole.vm("nii4"));
    assert_eq!(config.vms[0].interval, Span::from_mins(2));
    let said = place.fails(2, &["render", "worker", "nii6"]);
    assert!(said.contains("its VMs are nii4, nii5"), "{said}");
}

#[test]
fn the_tables_of_a_queue_are_printed() {
    let out = whimbrel().args(["queue", "--schema"]).output().expect("the binary runs");
    let sql = String::from_utf8(out.stdout).expect("UTF-8");
    for table in ["queue", "job", "worker", "control"] {
        assert!(sql.contains(&format!("CREATE TABLE IF NOT EXISTS {table} (")), "{table}: {sql}");
    }
    assert_eq!(whimbrel().args(["queue", "--schema", "w.toml"]).output().expect("it runs").status.code(), Some(2));
}

#[test]
fn wrong_arguments_say_what_would_be_right() {
    let place = Place::new();
    for (arguments, said) in [
        (&["rendr"][..], "its queues are render"),
        (&["add", "x"], "which queue?"),
        (&["render", "pause", "--for", "0s"], "above 0"),
        (&["render", "--wait", "ready"], "empty, done, claimed, failed"),
        (&["render", "--for", "1m"], "--wait"),
        (&["render", "--wait", "done", "resume"], "leave them out"),
    ] {
        let error = place.fails(2, arguments);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    fs::write(place.config(), CONFIG.replace("kind = \"bc\"", "kind = \"cb\"")).expect("a config");
    assert!(place.fails(2, &[]).contains("unknown kind 'cb'"));
}

#[test]
fn a_check_connects_if_asked() {
    let place = Place::new();
    let check = |more: &[&str]| whimbrel().arg("check").arg(place.config()).args(more).output().expect("it runs");
    let out = check(&[]);
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("for workers"), "{out:?}");
    let out = check(&["--connect"]);
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("queue render: pages can be claimed there"), "{out:?}");

    fs::remove_dir_all(place.at("q")).expect("it goes");
    fs::write(place.at("q"), "a file").expect("a file");
    let out = check(&["--connect"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("whimbrel.toml: queue render: "), "{out:?}");
}

/// The quick start of the guide, then an evening with a worker that runs.
#[test]
fn a_worker_that_runs_is_seen_paused_and_told_to_go_on() {
    let place = Place::new();
    fs::remove_dir(place.at("q")).expect("it is empty");
    fs::write(place.config(), CONFIG.replace("\"2m\"", "\"1s\"")).expect("a config");
    let out = place.command(&["render"]).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.code() == Some(1) && said.contains("is not there: make it, or mount what holds it"), "{out:?}");
    place.add("render-7", PAGE);
    let work = |more: &[&str]| {
        let mut command = whimbrel();
        command.arg("work").arg(place.config()).args(["--vm", "nii4", "--format", "json"]).args(more);
        command
    };
    assert!(work(&["--once"]).stdout(Stdio::null()).status().expect("it runs").success());
    let told = place.json();
    assert_eq!((&told["done"], &told["workers"][0]["state"]), (&1.into(), &"ended".into()));
    let finished = &told["finished"][0];
    assert_eq!((&finished["done"], &finished["failed_jobs"]), (&2.into(), &serde_json::json!([[4, 4]])));

    // A job of a finished page is tried again by the next worker that claims it.
    let name = finished["name"].as_str().expect("a name").to_owned();
    let said = place.says(&["render", "retry", &name]);
    assert!(said.contains("waits again"), "{said}");
    assert_eq!(place.json()["pages"][0]["returned"], true);
    let mut worker = Run::start(&mut work(&[]));
    place.says(&["render", "--wait", "done", "--for", "1m"]);
    let said = place.says(&["render", "pause", "--why", "an inspection"]);
    assert!(said.contains("nii4 is paused: it begins nothing and claims nothing more\n"), "{said}");
    assert!(said.contains("nii5: no worker runs there now"), "{said}");
    place.add("render-8", "2\n");
    let told = place.json();
    let waits = &told["pages"][0]["waits"];
    let text = waits["text"].as_str().expect("a text");
    assert!(waits["why"] == "paused" && text.contains("until it is told to go on: an inspection"), "{waits}");
    assert!(place.says(&["render", "resume"]).contains("nii4 goes on\n"));
    place.says(&["render", "--wait", "done", "--for", "3m"]);
    worker.stop();
    assert_eq!(place.json()["done"], 2);
}
