//! The command line: its exit statuses, its signals, its determinism.

use std::process::{Command, Output};

use crate::support::{Config, Run, whimbrel};
use rustix::process::Signal;

const CONFIG: &str = r#"
mode = "auto"
[[array]]
name = "a"
host = ["mln1", "mln2"]
[[vm]]
name = "nii1"
host = "mln1"
interval = "1s"
monitor = { kind = "simulated", service = "apache" }
policy = { kind = "threshold", threshold = 3, tarry = 3 }
"#;

fn output(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

fn demo(arguments: &[&str]) -> Vec<u8> {
    let out = output(whimbrel().args(["run", "--format", "json", "--demo"]).args(arguments));
    assert!(out.status.success(), "{out:?}");
    out.stdout
}

#[test]
fn the_same_seed_gives_the_same_bytes_at_any_speed() {
    let fast = demo(&["fleet", "--for", "10m", "--speed", "max"]);
    assert!(fast.len() > 50_000);
    assert_eq!(fast, demo(&["fleet", "--for", "10m", "--speed", "3000"]));
    assert_ne!(fast, demo(&["fleet", "--for", "10m", "--speed", "max", "--seed", "2"]));
}

#[test]
fn the_alarms_of_a_simulated_cluster_are_only_in_a_log_that_was_named() {
    let state = tempfile::tempdir().expect("a folder");
    let log = state.path().join("asked-for.log");
    let one_day = ["run", "--demo", "fleet", "--for", "24h", "--speed", "max"];
    let run = |command: &mut Command| {
        let out = output(command.env("XDG_STATE_HOME", state.path()));
        assert!(String::from_utf8_lossy(&out.stdout).contains("went down"), "{out:?}");
    };
    run(whimbrel().args(one_day));
    assert_eq!(std::fs::read_dir(state.path()).expect("the folder").count(), 0, "the demo touches nothing");
    run(whimbrel().args(one_day).arg("--log").arg(&log));
    assert!(std::fs::read_to_string(&log).expect("the log").contains("alarm: host mln6 went down"));
}

#[test]
fn the_demo_begins_on_a_wednesday_in_may_2009_and_ends_when_told() {
    let text = String::from_utf8(demo(&["1", "--for", "30m", "--speed", "max"])).expect("UTF-8");
    let at: Vec<&str> = text.lines().filter_map(|line| line.split('"').nth(3)).collect();
    assert!(at[0].starts_with("2009-05-06T12:40:"), "{}", at[0]);
    assert!(at.windows(2).all(|pair| pair[0] <= pair[1]), "in the order of time");
    assert!(at.last().is_some_and(|last| *last <= "2009-05-06T13:10:00.000Z"));
}

#[test]
fn the_thesis_settings_ask_for_a_move_every_225_seconds_and_the_move_itself() {
    let text = String::from_utf8(demo(&["1", "--for", "1h", "--speed", "max"])).expect("UTF-8");
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |kind: &str| events.iter().filter(|e| e["type"] == kind && e["vm"] == "nii1").cloned().collect::<Vec<_>>();
    let seconds = |event: &serde_json::Value| {
        let at = event["at"].as_str().expect("a time");
        chrono::DateTime::parse_from_rfc3339(at).expect("RFC 3339").timestamp_millis() as f64 / 1_000.0
    };
    let ring: Vec<String> = of("request").iter().map(|r| r["to"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(ring[..6], ["mln2", "mln3", "mln4", "mln5", "mln1", "mln2"]);
    let confirmed: Vec<f64> = of("migration").iter().filter(|m| m["phase"] == "confirmed").map(&seconds).collect();
    let asked: Vec<f64> = of("request").iter().map(&seconds).collect();
    for (done, next) in confirmed.iter().zip(&asked[1..]).take(4) {
        assert!((next - done - 225.0).abs() < 0.001, "{done} then {next}");
    }
}

#[test]
fn max_speed_needs_an_end() {
    let out = output(whimbrel().args(["run", "--demo", "1", "--speed", "max"]));
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("--speed max needs --for"));
}

#[test]
fn wrong_arguments_are_exit_status_2() {
    for wrong in [&["run", "--demo", "9"][..], &["demo", "--vms", "0"], &["run", "--demo", "1", "--for", "3y"]] {
        assert_eq!(output(whimbrel().args(wrong)).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn check_says_all_that_is_wrong_with_its_place() {
    let good = Config::new(CONFIG);
    assert!(output(whimbrel().arg("check").arg(good.path())).status.success());
    let bad = Config::new(&CONFIG.replace("tarry = 3", "tary = 3").replace("host = \"mln1\"\n", "host = \"mln9\"\n"));
    let out = output(whimbrel().arg("check").arg(bad.path()).arg(good.path()));
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8(out.stderr).expect("UTF-8");
    assert!(said.contains("whimbrel.toml:8:8: error: "), "{said}");
    assert!(said.contains("tarry"), "{said}");
    assert!(said.matches(": error: ").count() >= 2, "{said}");
    let run = output(whimbrel().arg("run").arg(bad.path()));
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(output(whimbrel().args(["check", "no-such-file.toml"])).status.code(), Some(2));
}

#[test]
fn check_and_run_take_the_config_that_the_console_takes() {
    let config = Config::new(CONFIG);
    let path = config.path();
    let here = path.parent().expect("it is in a folder");
    let check = output(whimbrel().arg("check").current_dir(here).env_remove("WHIMBREL_CONFIG"));
    assert_eq!(String::from_utf8_lossy(&check.stdout), "whimbrel.toml: right (1 VMs, 2 hosts)\n");
    let run = output(whimbrel().args(["run", "--for", "1s"]).current_dir(here).env_remove("WHIMBREL_CONFIG"));
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    let named = |command: &str| output(whimbrel().arg(command).env("WHIMBREL_CONFIG", "/nowhere/w.toml"));
    for command in ["check", "run"] {
        let out = named(command);
        assert_eq!(out.status.code(), Some(2), "{command}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("/nowhere/w.toml"), "{command}: {out:?}");
    }
}

#[test]
fn run_ends_cleanly_on_sigint_and_sigterm() {
    let config = Config::new(CONFIG);
    for signal in [Signal::INT, Signal::TERM] {
        let mut run = Run::config(&config.path());
        run.until_type("sample", "nii1");
        run.signal(signal);
        assert!(run.end().success(), "{signal:?}");
    }
}

#[test]
fn sighup_reads_the_config_again_and_a_broken_one_changes_nothing() {
    let config = Config::new(CONFIG);
    let mut run = Run::config(&config.path());
    assert_eq!(run.until_type("sample", "nii1")["tarry"], 3);
    config.write(&CONFIG.replace("tarry = 3", "tarry = 7"));
    run.signal(Signal::HUP);
    run.until(|event| event["type"] == "operator" && event["by"] == "config");
    assert_eq!(run.until_type("sample", "nii1")["tarry"], 7);
    config.write(&CONFIG.replace("\"auto\"", "\"atuo\""));
    run.signal(Signal::HUP);
    let alarm = run.until(|event| event["type"] == "alarm");
    assert!(alarm["text"].as_str().is_some_and(|text| text.contains("whimbrel.toml:2:8: error: ")), "{alarm}");
    assert_eq!(run.until_type("sample", "nii1")["tarry"], 7);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let mut child = whimbrel()
        .args(["run", "--demo", "fleet", "--for", "30d", "--speed", "max", "--format", "json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_subcommand_in_the_wrong_place_is_told_where_it_belongs() {
    let out = output(whimbrel().args(["--ascii", "demo"]));
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("options go after the subcommand"), "{out:?}");
}

#[test]
fn what_cannot_be_written_is_a_failure_not_a_panic() {
    let config = Config::new(CONFIG);
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let check = whimbrel().arg("check").arg(config.path()).stdout(full()).status().expect("it runs");
    assert_eq!(check.code(), Some(1));
    let run = whimbrel().args(["run", "--demo", "1", "--for", "1h", "--speed", "max"]).stdout(full()).output();
    let run = run.expect("it runs");
    assert_eq!(run.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&run.stderr).contains("standard output cannot be written"), "{run:?}");
}

/// A password file that never answers, and a reader that never reads.
#[test]
fn nothing_that_hangs_keeps_run_from_its_end() {
    let config = Config::new(&CONFIG.replace(
        r#"kind = "simulated", service = "apache""#,
        r#"kind = "mysql", url = "mysql://watch@127.0.0.1:9", password_file = "fifo""#,
    ));
    let fifo = config.path().with_file_name("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let mut run = Run::config(&config.path());
    run.until_type("gap", "nii1");
    run.signal(Signal::TERM);
    assert!(run.end().success());

    let mut stalled = whimbrel();
    stalled.args(["run", "--demo", "fleet", "--for", "30d", "--speed", "max", "--format", "json"]);
    let mut child = stalled.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut one = [0; 1];
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut one).expect("a byte");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).expect("it runs");
    child.wait().expect("it ends though nobody reads");
}
