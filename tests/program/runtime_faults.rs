//! A fault inside the program: each thread panics in turn. An alarm, no hang, an exit status, nothing lost that was
//! acknowledged. The hidden variable `WHIMBREL_FAULT` makes a debug build panic.

use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use whimbrel::core::cluster::Timestamp;
use whimbrel::edge::history::Reader;

use crate::support::pty::{Console, whimbrel as terminal};
use crate::support::{Config, QUICK, Run, alarm, answer, beyond, call, is, phase, whimbrel};

/// A VM that always wants to move.
fn config() -> Config {
    Config::new(&beyond("", 1, QUICK))
}

/// `whimbrel run` with this fault, logging beside the config.
fn faulty(config: &Config, fault: &str) -> Command {
    let mut command = whimbrel();
    command.env("WHIMBREL_FAULT", fault).arg("run").arg(config.path()).args(["--format", "json", "--log"]);
    command.arg(config.beside("whimbrel.log"));
    command
}

/// It runs over a VM that always wants to move, with this fault.
fn begin(fault: &str) -> (Config, Run) {
    let config = config();
    let run = Run::start(&mut faulty(&config, fault));
    (config, run)
}

fn log(config: &Config) -> String {
    std::fs::read_to_string(config.beside("whimbrel.log")).expect("a log")
}

/// The panic is in the log, with where it came from.
#[track_caller]
fn logged(config: &Config, thread: &str) {
    let log = log(config);
    let panic = format!("thread {thread}");
    assert!(log.contains("panic: asked for by WHIMBREL_FAULT") && log.contains(&panic), "{log}");
    assert!(log.lines().any(|line| line.trim_start().starts_with("0: ")), "with its backtrace: {log}");
}

fn samples(history: &Path) -> usize {
    let reader = Reader::open(history).expect("a history");
    reader.readings("web", Timestamp::from_millis(0), Timestamp::NEVER).expect("whole").len()
}

#[test]
fn the_historys_thread_begins_again_and_what_it_had_not_written_is_written_then() {
    let (config, mut run) = begin("history:once");
    run.until(alarm("the history failed and begins again: asked for by WHIMBREL_FAULT"));
    run.until(phase("confirmed"));
    run.stop();
    let told = run.of("sample", "web").len() + run.of("gap", "web").len();
    assert!(told > 0);
    assert_eq!(samples(&config.beside("past.db")), told, "nothing is missing");
    logged(&config, "history");
}

#[test]
fn a_history_that_fails_each_time_is_said_and_stops_no_migration_and_the_end_says_what_is_not_written() {
    let config = config();
    let mut command = faulty(&config, "history");
    let mut run = Run::start(command.stderr(Stdio::null()));
    run.until(alarm("the history failed and begins again"));
    run.until(phase("confirmed"));
    run.signal(Signal::TERM);
    assert_eq!(run.end().code(), Some(1));
    let log = log(&config);
    assert!(log.contains("the history was not written within 10 s"), "{log}");
}

#[test]
fn a_journal_whose_thread_fails_starts_nothing() {
    let (config, mut run) = begin("journal");
    run.until(alarm("the journal failed and begins again"));
    let failed = run.until(is("migration"));
    assert_eq!(failed["phase"], "failed");
    assert!(failed["detail"].as_str().is_some_and(|why| why.starts_with("not started: ")), "{failed}");
    run.until(alarm(".journal: not written within 5 s, so no migration starts"));
    run.signal(Signal::TERM);
    assert_eq!(run.end().code(), Some(1), "what it was told at last is not written either");
    assert!(log(&config).contains("the journal was not written: the next whimbrel asks the hosts"));
    assert!(!run.events.iter().any(phase("running")), "nothing ran");
    logged(&config, "journal");
}

#[test]
fn a_journal_whose_thread_begins_again_takes_the_next_migration() {
    let (_config, mut run) = begin("journal:once");
    assert_eq!(run.until(is("migration"))["phase"], "failed");
    run.until(phase("confirmed"));
    run.stop();
}

#[test]
fn a_question_to_the_config_files_worker_that_fails_is_an_alarm_and_the_engine_goes_on() {
    let (config, mut run) = begin("config:once");
    run.until(alarm("the history or the config file could not be dealt with: asked for by WHIMBREL_FAULT"));
    run.until(phase("confirmed"));
    config.write(&std::fs::read_to_string(config.path()).expect("a file").replace("tarry = 1", "tarry = 2"));
    run.signal(Signal::HUP);
    run.until(is("edit"));
    run.stop();
    logged(&config, "config");
}

#[test]
fn the_sockets_thread_begins_again_and_the_next_caller_is_answered() {
    let (config, mut run) = begin("control:once");
    run.until_type("sample", "web");
    let ask = || call(&config.beside("past.db.sock"), r#"{"plan":{"drain":"mln1"}}"#);
    let mut line = String::new();
    assert!(!ask().read_line(&mut line).is_ok_and(|read| read > 0), "it hung up, and said {line}");
    // The socket is still there, and whoever calls during the pause waits for its end.
    assert_eq!(answer(&mut ask())["plan"]["host"], "mln1");
    run.until(alarm("the socket for other processes failed and begins again: asked for by WHIMBREL_FAULT"));
    run.until(phase("confirmed"));
    run.stop();
    logged(&config, "control");
}

#[test]
fn a_monitor_that_fails_is_an_alarm_and_a_gap_and_reads_again() {
    let refused = r#"monitor = { kind = "http", url = "http://127.0.0.1:1/" }"#;
    let text = beyond("", 1, QUICK);
    let simulated = text.lines().find(|line| line.starts_with("monitor")).expect("a monitor");
    let config = Config::new(&text.replace(simulated, refused));
    let mut run = Run::start(&mut faulty(&config, "monitor:once"));
    run.until(alarm("the monitor of web failed and was started again"));
    assert_eq!(run.until_type("gap", "web")["reason"], "the monitor failed");
    let read = run.until_type("gap", "web")["reason"].to_string();
    assert!(read.contains("connection refused"), "{read}");
    run.stop();
    logged(&config, "main");
}

#[test]
fn the_watch_of_the_config_file_begins_again_and_tells_of_the_next_change() {
    let (config, mut run) = begin("config watch:once");
    run.until(alarm("the watch of the config file failed and begins again"));
    config.write(&beyond("", 2, QUICK));
    run.until(is("edit"));
    run.stop();
    logged(&config, "config watch");
}

#[test]
fn the_thread_for_signals_begins_again_and_hears_the_next_one() {
    let (config, mut run) = begin("signals:once");
    run.until(alarm("the thread for signals failed and begins again"));
    run.until(phase("confirmed"));
    run.stop();
    logged(&config, "signals");
}

#[test]
fn a_demos_past_that_fails_is_an_alarm_and_the_demo_goes_on() {
    let mut command = terminal(&["demo"]);
    command.env("WHIMBREL_FAULT", "past");
    let mut console = Console::spawn(command);
    console.shows("the demo's past failed");
    console.press("q");
    console.until("the terminal as it was", Console::is_restored);
    assert!(console.child.wait().expect("an end").success());
}

#[test]
fn standard_outputs_thread_goes_on_and_says_what_is_missing() {
    let (config, mut run) = begin("output:once");
    run.until(alarm("lines were given up"));
    run.until(phase("confirmed"));
    run.stop();
    logged(&config, "output");
}

#[test]
fn an_engine_that_fails_ends_the_program_with_one_line_and_its_own_status() {
    let config = config();
    let output = faulty(&config, "engine").output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(101));
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 1 && lines[0].contains("asked for by WHIMBREL_FAULT"), "{said}");
    assert!(lines[0].contains("whimbrel.log has the details"), "{said}");
    logged(&config, "main");
    // Its lock is free, and what it had begun is followed.
    let mut run = Run::config(&config.path());
    run.until(phase("confirmed"));
    run.stop();
}

#[test]
fn an_engine_that_fails_under_a_console_gives_the_terminal_back() {
    let config = config();
    let [path, log] = [config.path(), config.beside("whimbrel.log")].map(|path| path.to_string_lossy().into_owned());
    let mut command = terminal(&[&path, "--log", &log]);
    command.env("WHIMBREL_FAULT", "engine");
    let mut console = Console::spawn(command);
    console.shows("whimbrel: the engine failed: asked for by WHIMBREL_FAULT");
    console.until("the terminal as it was", Console::is_restored);
    assert_eq!(console.child.wait().expect("an end").exit_code(), 101);
    logged(&config, "engine");
}
