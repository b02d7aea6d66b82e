//! `whimbrel work` over a folder: the real binary, killed, stopped, told to end.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::proxy::Seeded;
use crate::support::{Config, Run, is, whimbrel};

/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue in a folder beside its config.
struct Folder {
    config: Config,
}

impl Folder {
    /// With this `job`, and more lines of the queue.
    fn new(job: &str, lines: &str) -> Self {
        let config = Config::new("");
        let path = config.beside("q");
        for name in ["open", "control"] {
            fs::create_dir_all(path.join(name)).expect("a folder");
        }
        config.write(&format!(
            r#"
[[queue]]
name = "render"
source = {{ kind = "dir", path = "{}" }}
job = {job}
big = "grade a"
{lines}
[[vm]]
name = "nii4"
interval = "1s"
monitor = {{ kind = "queue", queue = "render" }}
"#,
            path.display()
        ));
        Self { config }
    }

    fn bc() -> Self {
        Self::new(r#"{ kind = "bc" }"#, "")
    }

    /// Each job's work is read by a shell, with the folder as `$Q`.
    fn shell(lines: &str) -> Self {
        let folder = Self::new("", "");
        let eval = format!("Q='{}'; eval \\\"$1\\\"", folder.q("").display());
        let job = format!(r#"{{ kind = "exec", argv = ["/bin/sh", "-c", "{eval}", "sh", "{{job}}"] }}"#);
        let text = fs::read_to_string(folder.config.path()).expect("a config");
        folder.config.write(&text.replace("job = \n", &format!("job = {job}\n{lines}\n")));
        folder
    }

    fn q(&self, name: &str) -> PathBuf {
        self.config.beside("q").join(name)
    }

    fn page(&self, name: &str, text: &str) {
        fs::write(self.q("open").join(name), text).expect("a page");
    }

    fn work(&self, arguments: &[&str]) -> Run {
        let mut command = whimbrel();
        command.arg("work").arg(self.config.path()).args(["--vm", "nii4", "--format", "json"]).args(arguments);
        Run::start(command.stderr(Stdio::null()))
    }

    /// Works until nothing waits.
    fn once(&self) -> Run {
        let mut run = self.work(&["--once"]);
        assert!(run.end().success(), "{:#?}", run.events);
        run
    }

    /// What is asked of the worker, as an operator's own tools write it.
    fn control(&self, text: &str) {
        let hidden = self.q("control/.new");
        fs::write(&hidden, text).expect("a file");
        fs::rename(hidden, self.q("control/nii4.json")).expect("it is there");
    }

    /// The only one in a folder that is not hidden.
    #[track_caller]
    fn only(&self, folder: &str) -> PathBuf {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.q(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                found.push(path);
            }
        }
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// The results of all finished claims, in order.
    fn results(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for claim in fs::read_dir(self.q("done")).expect("a folder").flatten() {
            for result in fs::read_dir(claim.path().join("results")).expect("results").flatten() {
                let text = fs::read_to_string(result.path()).expect("a result");
                found.push((result.file_name().to_string_lossy().into_owned(), text));
            }
        }
        found.sort();
        found
    }

    fn comes(&self, name: &str) {
        wait_until(name, || self.q(name).exists());
    }
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn pairs(results: &[(&str, &str)]) -> Vec<(String, String)> {
    results.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// The numbers that `words` of an event have.
fn numbers(event: &Value, words: [&str; 2]) -> [Option<u64>; 2] {
    words.map(|word| event[word].as_u64())
}

#[test]
fn a_page_is_worked_as_the_contract_says() {
    let folder = Folder::bc();
    folder.page("render-7", "# of today\n\ngrade a = 2^100\ngrade b = 1/0\nscale=3; 1/3\n(1\n");
    let run = folder.once();
    let [first, second, third, last] = <[_; 4]>::try_from(folder.results()).expect("four results");
    assert_eq!([first, third], pairs(&[("000003", "1267650600228229401496703205376\n"), ("000005", ".333\n")])[..]);
    assert_eq!((second.0.as_str(), last.0.as_str()), ("000004.error", "000006.error"));
    assert!(second.1.contains("divide by zero"), "{}", second.1);
    let name = folder.only("done").file_name().map(|name| name.to_string_lossy().into_owned()).expect("a name");
    assert!(name.starts_with("render-7."), "{name}");
    let status: Value =
        serde_json::from_slice(&fs::read(folder.only("done").join("status.json")).expect("a status")).expect("JSON");
    assert_eq!(
        (&status["done"], &status["failed"]),
        (&serde_json::json!([[3, 3], [5, 5]]), &serde_json::json!([[4, 4], [6, 6]]))
    );
    let types: Vec<&str> = run.events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!((types.first(), types.last()), (Some(&"ready"), Some(&"ended")), "{types:?}");
    let claimed = run.events.iter().find(|event| event["type"] == "claimed").expect("a claim");
    assert_eq!(numbers(claimed, ["jobs", "big"]), [Some(4), Some(1)]);
}

#[test]
fn a_worker_that_is_killed_at_any_instant_goes_on_and_each_result_is_there_once() {
    let folder = Folder::shell("parallel = 2\nattempts = 100");
    let jobs = 60;
    folder.page("a", &(1..=jobs).map(|n| format!("sleep 0.01; echo {n}; echo {n} >>$Q/.worked\n")).collect::<String>());
    let mut seeded = Seeded::new(7);
    for _ in 0..15 {
        let mut run = folder.work(&[]);
        let events = seeded.below(12);
        for _ in 0..events {
            if run.next()["type"] == "idle" {
                break;
            }
        }
        run.kill();
    }
    folder.once();
    let results: Vec<_> = (1..=jobs).map(|n| (format!("{n:06}"), format!("{n}\n"))).collect();
    assert_eq!(folder.results(), results);
    folder.only("done");
    assert_eq!(fs::read_dir(folder.q("open")).expect("a folder").count(), 0);
    let claims = fs::read_dir(folder.q("claims")).expect("a folder").flatten();
    let left: Vec<_> =
        claims.map(|entry| entry.file_name()).filter(|name| !name.to_string_lossy().ends_with(".json")).collect();
    assert!(left.is_empty(), "{left:?}");
    let worked = fs::read_to_string(folder.q(".worked")).expect("a file").lines().count();
    assert!(worked < 60 + 15 * 2 + 1, "only what was in hand at a death is worked again: {worked}");
}

#[test]
fn a_job_that_kills_its_worker_is_set_aside_after_three_tries_and_the_others_are_done() {
    let folder = Folder::shell("parallel = 3");
    let innocent = "sleep 0.05; echo good\n";
    folder.page("a", &format!("{innocent}{innocent}echo x >>$Q/.tries; kill -9 $PPID; sleep 5\n{innocent}{innocent}"));
    let mut deaths = 0;
    loop {
        let mut run = folder.work(&["--once"]);
        if run.end().success() {
            break;
        }
        deaths += 1;
        assert!(deaths <= 3, "it is begun again and again: {:#?}", run.events);
    }
    let tries = fs::read_to_string(folder.q(".tries")).expect("a file").lines().count();
    assert_eq!((deaths, tries), (3, 3));
    let error = "its worker died 3 times while it worked on this job";
    let good = ["000001", "000002", "000004", "000005"].map(|name| (name, "good\n"));
    let mut expected = pairs(&good);
    expected.push(("000003.error".to_owned(), error.to_owned()));
    expected.sort();
    assert_eq!(folder.results(), expected);
}

#[test]
fn the_older_of_two_workers_of_a_vm_ends_with_status_1() {
    let folder = Folder::shell("");
    folder.page("a", "touch $Q/.began; until [ -e $Q/.go ]; do sleep 0.01; done; echo one\n");
    let mut first = folder.work(&[]);
    folder.comes(".began");
    let mut second = folder.work(&["--once"]);
    second.until(is("continued"));
    assert_eq!(first.end().code(), Some(1), "{:#?}", first.events);
    assert!(!first.events.iter().any(is("done")));
    fs::write(folder.q(".go"), "").expect("a file");
    assert!(second.end().success());
    assert_eq!(folder.results(), pairs(&[("000001", "one\n")]));
}

#[test]
fn a_signal_lets_it_finish_the_job_in_hand_and_a_second_one_does_not() {
    let folder = Folder::shell("");
    folder.page(
        "a",
        "touch $Q/.began; until [ -e $Q/.go ]; do sleep 0.01; done; echo one\ntouch $Q/.second; sleep 1000\n",
    );
    let mut run = folder.work(&[]);
    folder.comes(".began");
    run.signal(Signal::TERM);
    let ending = run.until(is("ending"));
    assert_eq!((&ending["page"], &ending["jobs"]), (&"a".into(), &serde_json::json!([1])));
    fs::write(folder.q(".go"), "").expect("a file");
    assert_eq!(run.end().code(), Some(0), "{:#?}", run.events);
    assert!(run.events.iter().any(is("done")) && !folder.q(".second").exists());
    let mut run = folder.work(&[]);
    folder.comes(".second");
    run.signal(Signal::INT);
    run.until(is("ending"));
    run.signal(Signal::TERM);
    assert_eq!(run.end().code(), Some(1));
    let returned = run.events.iter().find(|event| event["type"] == "returned").expect("it says which");
    assert_eq!(returned["job"], 2);
    let status: Value =
        serde_json::from_slice(&fs::read(folder.only("claims").join("status.json")).expect("a status")).expect("JSON");
    assert_eq!((&status["hand"], &status["attempts"]), (&serde_json::json!([]), &serde_json::json!({})));
}

#[test]
fn it_pauses_and_goes_on_as_its_control_says() {
    let folder = Folder::bc();
    folder
        .control(r#"{"serial":1,"operator":{"stop":"working","by":"root","why":"swap","at":"2026-01-01T00:00:00Z"}}"#);
    let mut run = folder.work(&[]);
    let paused = run.until(is("paused"));
    assert_eq!((&paused["order"]["by"], &paused["order"]["why"]), (&"root".into(), &"swap".into()));
    folder.page("a", "1\n");
    folder.control(r#"{"serial":2,"site":"cloud"}"#);
    run.until(is("resumed"));
    run.until(is("finished"));
    run.stop();
    let status: Value =
        serde_json::from_slice(&fs::read(folder.only("done").join("status.json")).expect("a status")).expect("JSON");
    assert_eq!(status["site"], "cloud");
}

#[test]
fn a_claim_that_is_moved_away_under_it_is_lost_and_so_is_one_whose_page_is_deleted() {
    let folder = Folder::shell("");
    let wait = |began: &str| format!("touch $Q/{began}; until [ -e $Q/.go ]; do sleep 0.01; done; echo late\n");
    folder.page("a", &wait(".began"));
    let mut run = folder.work(&[]);
    folder.comes(".began");
    fs::rename(folder.only("claims"), folder.q(".kept")).expect("it is moved away");
    assert_eq!(run.until(is("lost"))["page"], "a");
    folder.page("b", &wait(".again"));
    folder.comes(".again");
    fs::remove_file(folder.only("claims").join("page")).expect("it is deleted");
    assert_eq!(run.until(is("lost"))["page"], "b");
    fs::write(folder.q(".go"), "").expect("a file");
    folder.page("c", "echo c\n");
    run.until(is("finished"));
    run.stop();
    assert_eq!(folder.results(), pairs(&[("000001", "c\n")]));
    assert_eq!(fs::read_dir(folder.q(".kept/results")).expect("a folder").count(), 0, "nothing is delivered late");
}

#[test]
fn a_closed_standard_output_does_not_stop_it() {
    let folder = Folder::bc();
    let mut command = whimbrel();
    command.arg("work").arg(folder.config.path()).args(["--vm", "nii4"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    drop(child.stdout.take());
    for name in ["a", "b"] {
        folder.page(name, "1\n2\n");
        wait_until("the page is done", || {
            let done = fs::read_dir(folder.q("done")).into_iter().flatten().flatten();
            done.map(|entry| entry.file_name()).any(|entry| entry.to_string_lossy().starts_with(name))
        });
    }
    child.kill().expect("it still runs");
    child.wait().expect("an end");
}

#[test]
fn it_ends_after_its_time_and_says_what_is_wrong_with_its_arguments() {
    let folder = Folder::bc();
    let mut run = folder.work(&["--for", "500ms"]);
    assert_eq!(run.end().code(), Some(0), "{:#?}", run.events);
    let refused = |arguments: &[&str]| {
        let output = whimbrel().arg("work").arg(folder.config.path()).args(arguments).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = refused(&["--vm", "nii9"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("no VM named 'nii9' works a queue") && said.contains("nii4"), "{said}");
    assert_eq!(refused(&["--vm", "nii4", "--once", "--for", "1s"]).0, Some(2));
    fs::remove_dir_all(folder.q("")).expect("the folder goes");
    fs::write(folder.config.beside("q"), "").expect("a file");
    let (code, said) = refused(&["--vm", "nii4", "--once"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("whimbrel: ") && said.lines().count() <= 2, "{said}");
}

#[test]
fn words_for_people_have_the_time_and_the_page() {
    let folder = Folder::bc();
    folder.page("render-7", "grade a = 1\n2\n");
    let output =
        whimbrel().arg("work").arg(folder.config.path()).args(["--vm", "nii4", "--once"]).output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let said: Vec<&str> = text.lines().filter_map(|line| line.split_once(' ').map(|(_, what)| what)).collect();
    assert!(said.contains(&"claimed render-7: 2 jobs, 1 big") && said.contains(&"idle: no page waits"), "{text}");
    assert!(text.lines().all(|line| line.split(' ').next().is_some_and(|at| at.len() == 8)), "{text}");
}

#[test]
fn a_task_that_dies_ends_it_with_a_fault() {
    for fault in ["job", "heartbeat"] {
        let folder = Folder::bc();
        folder.page("a", "1\n");
        let mut command = whimbrel();
        command.env("WHIMBREL_FAULT", fault).arg("work").arg(folder.config.path()).args(["--vm", "nii4", "--log"]);
        let output = command.arg(folder.config.beside("log")).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(101), "{said}");
        assert!(said.contains("asked for by WHIMBREL_FAULT") && said.contains("please report it"), "{said}");
    }
}
