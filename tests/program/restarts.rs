//! What lasts: the real binary stopped, killed and started again on one history, and histories that cannot be had.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::disk::Small;
use crate::support::pty::Console;
use crate::support::services::or_skip;
use crate::support::{Config, QUICK, Run, STATE, beyond, is, phase, whimbrel};
use rusqlite::Connection;
use serde_json::Value;
use whimbrel::core::cluster::Timestamp;
use whimbrel::core::engine::Record;
use whimbrel::core::insight::Retention;
use whimbrel::edge::history::{Order, Reader, Store};

/// Half a minute.
const SLOW: &str = "memory_mb = 3600, dirty_mb_s = 0";

fn alarms<'a>(run: &'a Run, text: &str) -> Vec<&'a str> {
    let said = run.events.iter().filter(|event| event["type"] == "alarm").filter_map(|event| event["text"].as_str());
    said.filter(|said| said.contains(text)).collect()
}

/// Ids of these events.
fn ids<'a>(events: impl IntoIterator<Item = &'a Value>, wanted: impl Fn(&Value) -> bool) -> Vec<u64> {
    events.into_iter().filter(|event| wanted(event)).filter_map(|event| event["id"].as_u64()).collect()
}

/// Every migration in a journal, with its outcome, that was written since the journal was opened last.
fn journal(path: &Path) -> Vec<(u64, Option<String>)> {
    let text = std::fs::read_to_string(path).expect("a journal");
    let mut all: Vec<(u64, Option<String>)> = Vec::new();
    // A killed process may leave half a line.
    for line in text.lines().map_while(|line| serde_json::from_str::<Value>(line).ok()) {
        if let Some(id) = line["begin"]["migration"]["id"].as_u64() {
            all.push((id, None));
        }
        if let Some(id) = line["settle"]["id"].as_u64() {
            let of = all.iter_mut().find(|(begun, _)| *begun == id).expect("it began before");
            of.1 = line["settle"]["outcome"].as_str().map(str::to_owned);
        }
    }
    all
}

/// The journal of a config: wherever its history is, in the state folder.
fn journal_of(config: &Config) -> PathBuf {
    let opened = format!("\"config\":{}", Value::from(config.path().to_string_lossy()));
    let files = std::fs::read_dir(Path::new(STATE).join("whimbrel")).expect("a state folder").flatten();
    let journals = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "journal"));
    let mut of_config = journals.filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(&opened)));
    of_config.next().expect("a journal of this config")
}

fn told(history: &Path) -> Vec<Record> {
    let reader = Reader::open(history).expect("a history");
    reader.records(None, Timestamp::from_millis(0), Timestamp::NEVER, Order::OldestFirst, usize::MAX).expect("whole")
}

/// The lock is free and the file is whole.
fn opens(history: &Path) {
    Store::open(history, Retention::default(), "a test").expect("nobody has it, and it is whole");
}

// ---------------------------------------------------------------------------------------------------------------------
// Stopped and started again

#[test]
fn counts_go_on_where_they_stood() {
    let config = Config::new(&beyond("", 8, QUICK));
    let mut run = Run::config(&config.path());
    run.until(|event| event["count"] == 2);
    run.stop();
    let before = run.of("sample", "web").last().expect("samples")["count"].as_u64().expect("a count");
    assert!(run.of("decision", "web").is_empty(), "stopped in time");

    let mut run = Run::config(&config.path());
    run.until_type("decision", "web");
    let counts: Vec<u64> = run.of("sample", "web").iter().filter_map(|sample| sample["count"].as_u64()).collect();
    assert_eq!(counts, (before + 1..=8).collect::<Vec<_>>(), "the time between neither counts nor resets");
}

#[test]
fn a_vm_is_where_it_was_moved_to_and_the_ring_and_the_ids_go_on_from_there() {
    let config = Config::new(&beyond("", 2, QUICK));
    let mut run = Run::config(&config.path());
    assert_eq!(run.until(phase("confirmed"))["to"], "mln2");
    run.stop();
    let last = ids(&run.events, is("request")).pop().expect("a request");
    let stands = [1, 2].map(|on| format!("mln{}", last + on));

    let mut run = Run::config(&config.path());
    let request = run.until_type("request", "web");
    assert_eq!(
        [&request["from"], &request["to"]].map(Value::as_str),
        stands.each_ref().map(|host| Some(&**host)),
        "the config says mln1, and it was moved since"
    );
    assert_eq!(request["id"], last + 1);
    assert_eq!(run.until(phase("confirmed"))["id"], last + 1);
}

#[test]
fn a_cooldown_does_not_begin_again() {
    let config = Config::new(&beyond("cooldown = \"50s\"", 2, QUICK));
    let left = |run: &mut Run| {
        let blocked = run.until_type("blocked", "web");
        assert_eq!(blocked["gate"], "cooldown");
        let detail = blocked["detail"].as_str().expect("words").to_owned();
        detail.strip_suffix(" s left").and_then(|left| left.parse::<u32>().ok()).expect("seconds")
    };
    let mut run = Run::config(&config.path());
    run.until(phase("confirmed"));
    let before = left(&mut run);
    run.stop();
    let mut run = Run::config(&config.path());
    assert!(left(&mut run) <= before && before < 50);
    assert!(run.of("request", "web").is_empty());
}

#[test]
fn a_hold_from_the_console_holds_in_the_next_engine_too() {
    let config = Config::new(&beyond("", 200, QUICK));
    let mut first = Console::over(&config.path());
    first.shows("watching");
    first.press("h");
    first.shows("web: held until released");
    first.press("q");
    first.until("the terminal as it was", Console::is_restored);
    assert!(first.child.wait().expect("an end").success());

    let mut run = Run::config(&config.path());
    assert_eq!(run.until_type("sample", "web")["state"], "held");
    run.stop();
    let mut second = Console::over(&config.path());
    second.shows("held");
    second.press("h");
    second.shows("web: released");
    second.press("q");
    second.until("the terminal as it was", Console::is_restored);
    second.child.wait().expect("an end");
    let mut run = Run::config(&config.path());
    assert_eq!(run.until_type("sample", "web")["state"], "watching");
}

// ---------------------------------------------------------------------------------------------------------------------
// Two engines on one file

#[test]
fn a_second_engine_is_refused_and_told_of_the_first() {
    let config = Config::new(&beyond("", 200, QUICK));
    let mut run = Run::config(&config.path());
    run.until_type("sample", "web");
    let who = format!("in use by another whimbrel (pid {}, config {}, since 20", run.pid(), config.path().display());

    let out = whimbrel().arg("run").arg(config.path()).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains(&who) && said.contains("help: stop that one"), "{said}");
    assert!(out.stdout.is_empty(), "it did nothing: {out:?}");

    let mut second = Console::over(&config.path());
    second.left("in use by another whimbrel");
    // Long lines wrap where the terminal ends.
    let screen: String = second.text().split('\n').collect();
    assert!(screen.contains(&format!("pid {}", run.pid())), "{}", second.text());

    run.until_type("sample", "web");
    run.stop();
    let mut run = Run::config(&config.path());
    run.until_type("sample", "web");
}

// ---------------------------------------------------------------------------------------------------------------------
// Killed

/// What is acknowledged, as seen from outside: a migration that is said to run, and whatever a reader has seen.
#[test]
fn killed_while_it_writes_as_fast_as_it_can_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    for (round, migrations) in [1, 3, 12, 60, 150].into_iter().enumerate() {
        let history = folder.path().join(format!("{round}.db"));
        let mut demo = whimbrel();
        demo.args(["run", "--demo", "fleet", "--speed", "max", "--for", "90d", "--format", "json", "--history"]);
        let mut run = Run::start(demo.arg(&history));
        for _ in 0..migrations {
            run.until(phase("running"));
        }
        let seen = told(&history);
        run.until(phase("running"));
        run.kill();

        opens(&history);
        let beside = PathBuf::from(format!("{}.journal", history.display()));
        let journalled: BTreeSet<u64> = journal(&beside).into_iter().map(|(id, _)| id).collect();
        let running = ids(&run.events, phase("running"));
        assert!(running.len() > migrations);
        let lost: Vec<&u64> = running.iter().filter(|id| !journalled.contains(id)).collect();
        assert!(lost.is_empty(), "round {round}: said to run, not written down: {lost:?}");
        let kept = told(&history);
        assert_eq!(kept.get(..seen.len()), Some(&seen[..]), "round {round}: what a reader saw is there");
    }
}

#[test]
fn killed_again_and_again_it_goes_on_each_time() {
    let config = Config::new(&beyond("", 1, QUICK));
    let history = config.beside("past.db");
    let mut last = 0;
    // A host to which a migration failed, as those that were cut off do here, is passed over: there are enough of them.
    for kind in ["sample", "request", "running", "confirmed", "confirmed"] {
        let mut run = Run::config(&config.path());
        run.until(|event| (event["type"] == kind || event["phase"] == kind) && event["type"] != "state");
        run.kill();
        opens(&history);

        let requested = ids(&run.events, is("request"));
        assert!(requested.iter().all(|id| *id > last) && requested.is_sorted(), "{kind}: {requested:?} after {last}");
        let running = ids(&run.events, phase("running"));
        let journalled: Vec<u64> = journal(&journal_of(&config)).into_iter().map(|(id, _)| id).collect();
        assert!(running.iter().all(|id| journalled.contains(id)), "{running:?} {journalled:?}");
        let unique: BTreeSet<&u64> = journalled.iter().collect();
        assert_eq!(unique.len(), journalled.len(), "written down once: {journalled:?}");
        // A request of which nothing was written down was never carried out: its number may come again.
        last = journalled.into_iter().max().unwrap_or(last);
    }
    let mut run = Run::config(&config.path());
    run.until(phase("confirmed"));
    run.stop();
    let open: Vec<_> = journal(&journal_of(&config)).into_iter().filter(|(_, outcome)| outcome.is_none()).collect();
    assert!(open.is_empty(), "all have an outcome: {open:?}");
}

#[test]
fn a_migration_in_mid_move_is_followed_to_its_outcome_and_never_started_twice() {
    let config = Config::new(&beyond("", 1, SLOW));
    let mut run = Run::config(&config.path());
    let begun = run.until(phase("running"));
    run.kill();
    assert_eq!(journal(&journal_of(&config)), [(1, None)]);

    let mut run = Run::config(&config.path());
    let unknown = run.until(is("migration"));
    assert_eq!((&unknown["phase"], &unknown["id"]), (&"unknown".into(), &begun["id"]));
    assert!(unknown["detail"].as_str().is_some_and(|why| why.contains("restarted in mid-move")), "{unknown}");
    let over = |event: &Value| event["type"] == "migration" && event["phase"] != "unknown";
    let outcome = run.until(over);
    // The simulator died with it: both hosts say that the VM never left.
    assert_eq!((&outcome["phase"], &outcome["id"]), (&"failed".into(), &begun["id"]));
    assert_eq!((&outcome["from"], &outcome["to"]), (&begun["from"], &begun["to"]));
    assert!(run.of("request", "web").is_empty() && run.of("decision", "web").is_empty(), "nothing was started");

    let next = run.until_type("request", "web");
    assert_eq!(next["id"], 2);
    run.kill();
    assert_eq!(journal(&journal_of(&config))[0], (1, Some("failed".to_owned())));
}

// ---------------------------------------------------------------------------------------------------------------------
// No history to be had

/// The engine over a config whose history cannot be had: it decides, and says once why nothing is kept.
fn runs_without(config: &Config, name: &str, words: &[&str]) {
    let mut run = Run::config(&config.path());
    run.until(phase("confirmed"));
    run.stop();
    let said = alarms(&run, "nothing is kept");
    let [text] = said[..] else { panic!("{said:?}") };
    assert!(text.contains(name) && text.contains("help: "), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn switched_off_it_runs_and_says_nothing() {
    let config = Config::new(&beyond("", 1, QUICK).replace("past.db", "off"));
    let mut run = Run::config(&config.path());
    run.until(phase("confirmed"));
    run.stop();
    assert_eq!(alarms(&run, ""), Vec::<&str>::new());
    assert!(!config.beside("off").exists());
}

#[test]
fn a_newer_a_damaged_or_a_foreign_file_is_left_alone_and_said() {
    let config = Config::new(&beyond("", 1, QUICK));
    let history = config.beside("past.db");
    opens(&history);
    Connection::open(&history).and_then(|file| file.pragma_update(None, "user_version", 99)).expect("a newer form");
    let newer = std::fs::read(&history).expect("a file");
    runs_without(&config, "past.db", &["written by a newer whimbrel", "upgrade"]);
    assert_eq!(std::fs::read(&history).expect("a file"), newer);

    Connection::open(&history).and_then(|file| file.pragma_update(None, "user_version", 1)).expect("this form");
    let mut bytes = std::fs::read(&history).expect("a file");
    bytes[4_096..].fill(0x5a);
    std::fs::write(&history, &bytes).expect("damage");
    runs_without(&config, "past.db", &["damaged", ".recover"]);

    std::fs::write(&history, "Dear diary").expect("a file");
    runs_without(&config, "past.db", &["not a history of whimbrel"]);
    assert_eq!(std::fs::read(&history).expect("a file"), b"Dear diary");
}

#[test]
fn a_read_only_disk_is_said_and_the_engine_runs() {
    let Some(disk) = or_skip("a_read_only_disk_is_said_and_the_engine_runs", Small::mount("4m")) else { return };
    let Some(()) = or_skip("a_read_only_disk_is_said_and_the_engine_runs", disk.read_only()) else { return };
    let file = disk.path().join("past.db").display().to_string();
    let config = Config::new(&beyond("", 1, QUICK).replace("past.db", &file));
    runs_without(&config, &file, &["cannot be written", "the right to write"]);
}

#[test]
fn a_disk_that_fills_up_is_said_once_and_written_again_when_there_is_room() {
    let test = "a_disk_that_fills_up_is_said_once_and_written_again_when_there_is_room";
    let Some(disk) = or_skip(test, Small::mount("4m")) else { return };
    let history = disk.path().join("past.db");
    let config = Config::new(&beyond("", 1, QUICK).replace("past.db", &history.display().to_string()));
    let mut run = Run::config(&config.path());
    run.until(phase("confirmed"));
    let filler = disk.fill();
    let alarm = run.until(is("alarm"));
    let text = alarm["text"].as_str().expect("a text");
    assert!(text.contains("past.db: the disk is full") && text.contains("help: make room"), "{text}");
    for _ in 0..2 {
        run.until(phase("confirmed"));
    }
    filler.free();
    let at = run.until(phase("confirmed"))["at"].as_str().expect("an instant").to_owned();
    // Whole again when it has what happened since.
    let at = Timestamp::from(chrono::DateTime::parse_from_rfc3339(&at).expect("RFC 3339").to_utc());
    while told(&history).last().is_none_or(|told| told.at < at) {
        run.next();
    }
    assert_eq!(alarms(&run, "the disk is full").len(), 1, "said once");
    run.kill();
    let lost: Vec<u64> = missing(&run, &history);
    assert!(lost.is_empty(), "nothing that happened meanwhile is lost: {lost:?}");
}

/// Confirmed migrations that happened up to the history's last instant, and are not in it.
fn missing(run: &Run, history: &Path) -> Vec<u64> {
    let kept = told(history);
    let words: Vec<String> = kept.iter().map(|told| format!("{:?}", told.what)).collect();
    let done = ids(&run.events, phase("confirmed"));
    let count = kept.iter().filter(|told| told.at <= kept.last().expect("one").at).count();
    assert_eq!(count, kept.len());
    let is_there = |id: u64| {
        words.iter().any(|word| word.contains(&format!("RequestId({id})")) && word.contains("phase: Confirmed"))
    };
    let newest = done.iter().copied().filter(|id| is_there(*id)).max().unwrap_or(0);
    done.into_iter().filter(|id| *id <= newest && !is_there(*id)).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// Read by others

fn ask(config: &Config, command: &str, arguments: &[&str]) -> Value {
    let mut whimbrel: Command = whimbrel();
    let out: Output = whimbrel.arg(command).arg(config.path()).args(arguments).output().expect("the binary runs");
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn confirmed(config: &Config) -> u64 {
    let report = ask(config, "report", &["--since", "1h", "--format", "json"]);
    let hours = report["hours"].as_array().expect("hours");
    hours.iter().filter_map(|hour| hour["confirmed"].as_u64()).sum()
}

#[test]
fn report_and_what_if_read_it_while_an_engine_writes_and_after() {
    let config = Config::new(&beyond("", 2, QUICK));
    let mut run = Run::config(&config.path());
    run.until(phase("confirmed"));
    while confirmed(&config) == 0 {
        run.next();
    }
    let wanted = ["--vm", "web", "--days", "1", "--threshold", "100000", "--format", "json"];
    let live = ask(&config, "whatif", &wanted);
    assert!(live["now"]["moves"].as_u64() >= Some(1), "{live}");
    assert_eq!(live["would_be"]["moves"], 0);
    run.until(phase("confirmed"));
    run.stop();

    let made = ids(&run.events, phase("confirmed")).len() as u64;
    assert_eq!(confirmed(&config), made, "all of it is written at the end");
    let after = ask(&config, "whatif", &wanted);
    let samples = run.of("sample", "web").len() as u64;
    assert_eq!(after["now"]["samples"], samples, "{after}");
}
