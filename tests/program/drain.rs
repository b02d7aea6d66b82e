//! `whimbrel drain`, and the socket by which it reaches an engine in another process: the real binary over a simulated
//! cluster.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::pty::{Console, whimbrel as terminal};
use crate::support::{Config, Run, answer, whimbrel};
use rustix::process::Signal;
use serde_json::{Value, json};

/// An answer that takes this long has been forgotten.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two VMs on mln1, room for both elsewhere; a move takes a few seconds. No policy ever wants one.
const CONFIG: &str = r#"
mode = "auto"
[history]
file = "history.db"
[[array]]
name = "a"
host = [{ name = "mln1" }, { name = "mln2", capacity = 1 }, { name = "mln3", capacity = 3 }]
[[vm]]
name = "nii1"
host = "mln1"
interval = "1s"
monitor = { kind = "simulated", service = "apache", memory_mb = 256 }
policy = { kind = "threshold", threshold = 1, tarry = 1000, settle = "1s" }
[[vm]]
name = "nii2"
host = "mln1"
interval = "1s"
monitor = { kind = "simulated", service = "apache", memory_mb = 256 }
policy = { kind = "threshold", threshold = 1, tarry = 1000, settle = "1s" }
"#;

/// The same with moves that last longer than any test.
fn slow() -> Config {
    Config::new(&CONFIG.replace("256", "60000"))
}

fn drain(config: &Config, arguments: &[&str]) -> Output {
    whimbrel().args(["drain", "mln1"]).arg(config.path()).args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// An engine that can be called.
fn engine(config: &Config) -> Run {
    let mut run = Run::config(&config.path());
    run.until_type("sample", "nii2");
    run
}

fn socket(config: &Config) -> PathBuf {
    config.beside("history.db.sock")
}

fn call(config: &Config, line: &str) -> BufReader<UnixStream> {
    crate::support::call(&socket(config), line)
}

fn ask(config: &Config, request: &Value) -> Value {
    answer(&mut call(config, &request.to_string()))
}

fn command(config: &Config, command: &Value) -> Value {
    ask(config, &json!({ "command": command, "by": "anna" }))
}

#[test]
fn a_running_engine_empties_a_host_and_keeps_it_empty() {
    let config = Config::new(CONFIG);
    let mut run = engine(&config);
    let out = drain(&config, &["--yes"]);
    let said = text(&out.stdout);
    assert!(out.status.success(), "{out:?}");
    for line in [
        "mln1: 2 VMs, to be moved away\n  nii1  > mln2\n  nii2  > mln3\nthen:\n  mln2  0 > 1 of 1 VMs",
        "mln1: 1 of 2 moved\n",
        "mln1: 2 of 2 moved\nmln1 is drained: 2 VMs have left it; it takes none until it is released\n",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    run.until(|event| event["type"] == "migration" && event["phase"] == "confirmed" && event["vm"] == "nii2");
    let asked = run.of("request", "nii1");
    assert_eq!((&asked[0]["to"], &asked[0]["by"]), (&json!("mln2"), &json!("operator")));
    let back = json!({ "move": { "vm": "nii1", "target": { "host": "mln1" } } });
    let refused = command(&config, &back);
    assert!(refused["ok"] == false && refused["text"].as_str().unwrap().contains("mln1"), "{refused}");
    let released = drain(&config, &["--release"]);
    assert_eq!(text(&released.stdout), "mln1: takes VMs again; 2 moved, 0 stayed\n");
    assert_eq!(command(&config, &back)["ok"], true);
}

#[test]
fn without_an_engine_one_runs_until_the_host_is_empty() {
    let config = Config::new(CONFIG);
    let out = drain(&config, &["--yes"]);
    assert!(out.status.success() && text(&out.stdout).contains("mln1 is drained: 2 VMs"), "{out:?}");
    assert!(!socket(&config).exists(), "it is gone with its engine");
    // The next one goes on where it stopped, in the mode that the config has.
    let run = engine(&config);
    assert!(!run.events.iter().any(|event| event.to_string().contains("mode observe")), "{:?}", run.events);
    let plan = ask(&config, &json!({ "plan": { "drain": "mln1" } }));
    assert_eq!((&plan["plan"]["draining"], &plan["plan"]["moves"]), (&json!(true), &json!([])));
    let plan = ask(&config, &json!({ "plan": { "drain": "mln2" } }));
    assert_eq!(plan["plan"]["moves"][0]["to"], "mln3", "mln1 is out of the ring");
}

#[test]
fn without_a_terminal_nothing_is_moved_unasked() {
    let config = Config::new(CONFIG);
    let _run = engine(&config);
    let out = drain(&config, &[]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stdout).contains("nii1  > mln2"), "the plan is shown all the same");
    assert!(text(&out.stderr).contains("--yes"), "{out:?}");
    let progress = ask(&config, &json!({ "follow": { "drain": "mln1" } }));
    assert_eq!(progress, json!({ "ok": false, "text": "mln1 is not being drained" }));
}

fn at_a_terminal(config: &Config) -> Console {
    let mut console = Console::spawn(terminal(&["drain", "mln1", &config.path().to_string_lossy()]));
    console.shows("Drain mln1? [y/N]");
    console
}

#[test]
fn at_a_terminal_it_asks_and_leaving_it_leaves_it_going_on() {
    let config = slow();
    let _run = engine(&config);
    let mut no = at_a_terminal(&config);
    no.press("\r");
    no.shows("nothing is moved");
    assert!(no.child.wait().expect("an end").success());
    let mut out = at_a_terminal(&config);
    out.press("\x03");
    out.shows("nothing is moved");
    assert_eq!(out.child.wait().expect("an end").exit_code(), 1);
    let mut yes = at_a_terminal(&config);
    yes.press("y\r");
    yes.shows("mln1: 0 of 2 moved");
    yes.press("\x03");
    yes.shows("the engine goes on draining mln1");
    assert_eq!(yes.child.wait().expect("an end").exit_code(), 1);
    let progress = ask(&config, &json!({ "follow": { "drain": "mln1" } }));
    assert_eq!(progress["progress"]["under_way"][0]["vm"], "nii1");
}

#[test]
fn an_engine_of_its_own_ends_in_order_when_it_is_left() {
    let config = slow();
    let mut asked = at_a_terminal(&config);
    asked.press("\x03");
    asked.shows("nothing is moved");
    asked.child.wait().expect("an end");
    let mut begun = at_a_terminal(&config);
    begun.press("y\r");
    begun.shows("mln1: 0 of 2 moved");
    begun.press("\x03");
    begun.shows("stopped: mln1 takes no VMs");
    assert_eq!(begun.child.wait().expect("an end").exit_code(), 1);
    assert!(!socket(&config).exists());
    let run = engine(&config);
    assert!(!run.events.iter().any(|event| event.to_string().contains("mode observe")), "{:?}", run.events);
    assert_eq!(ask(&config, &json!({ "plan": { "drain": "mln1" } }))["plan"]["draining"], true);
}

#[test]
fn a_drain_is_paused_goes_on_and_is_followed_by_others() {
    let config = slow();
    let _run = engine(&config);
    assert_eq!(command(&config, &json!({ "drain": { "host": "mln1" } }))["ok"], true);
    let mut follower = call(&config, r#"{"follow":{"drain":"mln1"}}"#);
    assert_eq!(answer(&mut follower)["progress"]["paused"], false);
    let until = |follower: &mut BufReader<UnixStream>, wanted: &dyn Fn(&Value) -> bool| {
        while !wanted(&answer(follower)) {}
    };
    assert!(text(&drain(&config, &["--pause"]).stdout).contains("draining paused"));
    until(&mut follower, &|reply| reply["progress"]["paused"] == true);
    let again = drain(&config, &["--pause"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("paused already"), "{again:?}");
    assert!(text(&drain(&config, &["--resume"]).stdout).contains("goes on"));
    until(&mut follower, &|reply| reply["progress"]["paused"] == false);
    assert!(drain(&config, &["--release"]).status.success());
    until(&mut follower, &|reply| *reply == json!({ "ok": false, "text": "mln1 is not being drained" }));
    assert_eq!(follower.read(&mut [0]).expect("an end"), 0, "that was the last line");
}

#[test]
fn vms_with_nowhere_to_go_are_named_with_the_reason() {
    let config = Config::new(&CONFIG.replace("capacity = 3", "draining = true"));
    let _run = engine(&config);
    let plan = text(&drain(&config, &[]).stdout);
    assert!(plan.contains("nii2  stays: ") && plan.contains("warning: nii2 stays: "), "{plan}");
    command(&config, &json!({ "drain": { "host": "mln1" } }));
    let mut follower = call(&config, r#"{"follow":{"drain":"mln1"}}"#);
    loop {
        let reply = answer(&mut follower);
        assert_eq!(reply["progress"]["done"], false, "{reply}");
        if reply["progress"]["moved"] == 1 && reply["progress"]["stuck"][0]["vm"] == "nii2" {
            break;
        }
    }
}

#[test]
fn answers_are_lines_of_json_if_wanted() {
    let config = Config::new(CONFIG);
    let _run = engine(&config);
    let out = drain(&config, &["--yes", "--json"]);
    let lines: Vec<Value> = text(&out.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["plan"]["moves"][0]["vm"], "nii1");
    assert!(lines[1..lines.len() - 1].iter().all(|line| line["progress"]["host"] == "mln1"), "{lines:?}");
    assert_eq!(lines.last().expect("an end")["ok"], true);
}

#[test]
fn what_cannot_be_asked_is_refused_with_what_to_do() {
    let config = Config::new(CONFIG);
    let unknown = whimbrel().args(["drain", "mln9"]).arg(config.path()).output().expect("the binary runs");
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(text(&unknown.stderr), "there is no host mln9; hosts are mln1, mln2, mln3\n");
    let off = Config::new(&CONFIG.replace("history.db", "off"));
    let out = drain(&off, &["--yes"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("its history is off"), "{out:?}");
    assert_eq!(drain(&config, &["--pause", "--release"]).status.code(), Some(2));
    let none = drain(&config, &["--release"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("mln1 is not being drained"), "{none:?}");
}

#[test]
fn the_socket_is_its_users_alone_and_goes_with_its_engine() {
    let config = Config::new(CONFIG);
    let mut run = engine(&config);
    let about = socket(&config).metadata().expect("a socket");
    assert!(about.file_type().is_socket());
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    run.stop();
    assert!(!socket(&config).exists());
    let mut run = engine(&config);
    run.kill();
    assert!(UnixStream::connect(socket(&config)).is_err(), "what a dead engine leaves behind answers nobody");
    let _run = engine(&config);
    assert_eq!(ask(&config, &json!({ "plan": { "drain": "mln1" } }))["plan"]["host"], "mln1");
}

#[test]
fn what_is_no_request_is_answered_so_and_too_much_is_not_read() {
    let config = Config::new(CONFIG);
    let _run = engine(&config);
    for wrong in ["", "nonsense", "{}", r#"{"command":"dance"}"#, r#"{"plan":{"drain":7}}"#] {
        let reply = answer(&mut call(&config, wrong));
        assert!(reply["ok"] == false && reply["text"].as_str().unwrap().starts_with("this is no request"), "{reply}");
    }
    let mut name = call(&config, &json!({ "command": "acknowledge", "by": "a\u{1b}[2J" }).to_string());
    assert_eq!(answer(&mut name), json!({ "ok": false, "text": "'by' is a name of at most 64 characters" }));
    let mut flood = call(&config, &"x".repeat(200_000));
    assert!(!matches!(flood.read(&mut [0]), Ok(1..)), "hung up");
    let amend = command(&config, &json!({ "amend": { "changes": [], "why": null } }));
    assert_eq!(amend["text"], "policies are edited in the config's file: the engine follows it");
    let unknown = ask(&config, &json!({ "plan": { "drain": "mln9" } }));
    assert_eq!(unknown, json!({ "ok": false, "text": "there is no host mln9" }));
}

#[test]
fn a_caller_for_whom_there_is_no_place_is_told_so_and_the_next_one_is_served() {
    let config = slow();
    let _run = engine(&config);
    assert_eq!(command(&config, &json!({ "drain": { "host": "mln1" } }))["ok"], true);
    // Each of them has its place once it was answered.
    let follower = |_| {
        let mut follower = call(&config, r#"{"follow":{"drain":"mln1"}}"#);
        assert_eq!(answer(&mut follower)["progress"]["host"], "mln1");
        follower
    };
    let followers: Vec<_> = (0..16).map(follower).collect();
    let plan = json!({ "plan": { "drain": "mln1" } });
    let busy = "whimbrel is answering 16 other callers; try again in a few seconds";
    assert_eq!(ask(&config, &plan), json!({ "ok": false, "text": busy }));
    let out = drain(&config, &["--pause"]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(1), format!("whimbrel: {busy}\n")));
    let out = drain(&config, &[]);
    assert!(out.status.code() == Some(1) && text(&out.stderr).contains(busy), "{out:?}");
    drop(followers);
    let end = Instant::now() + PATIENCE;
    while ask(&config, &plan)["plan"]["host"] != "mln1" {
        assert!(Instant::now() < end, "nobody is let in any more");
    }
}

#[test]
fn an_engine_that_stands_still_is_not_waited_for_without_an_end() {
    let config = slow();
    let run = engine(&config);
    run.signal(Signal::STOP);
    let out = drain(&config, &["--pause"]);
    assert!(out.status.code() == Some(1) && text(&out.stderr).contains("the engine does not answer"), "{out:?}");
}

#[test]
fn an_engine_that_stands_still_in_mid_drain_is_not_followed_without_an_end() {
    let config = slow();
    let run = engine(&config);
    let mut drain = whimbrel();
    drain.args(["drain", "mln1", "--yes"]).arg(config.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut drain = drain.spawn().expect("the binary runs");
    let told = BufReader::new(drain.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(told.into_iter().any(|line| line.contains("of 2 moved")));
    run.signal(Signal::STOP);
    let out = drain.wait_with_output().expect("an end");
    assert!(out.status.code() == Some(1) && text(&out.stderr).contains("the engine does not answer"), "{out:?}");
}

#[test]
fn whoever_follows_a_drain_hears_of_it_also_when_nothing_happens() {
    let config = Config::new(CONFIG);
    let _run = engine(&config);
    for deed in ["drain", "pause_drain"] {
        assert_eq!(command(&config, &json!({ deed: { "host": "mln1" } }))["ok"], true);
    }
    let mut follower = call(&config, r#"{"follow":{"drain":"mln1"}}"#);
    let mut before = answer(&mut follower);
    while std::mem::replace(&mut before, answer(&mut follower)) != before {}
    assert_eq!(before["progress"]["paused"], true);
}

#[test]
fn a_console_that_only_looks_is_not_commanded_by_others() {
    let config = Config::new(CONFIG);
    let mut console = Console::spawn(terminal(&[&config.path().to_string_lossy(), "--read-only"]));
    console.shows("nii2");
    console.until("its socket", |_| socket(&config).exists());
    let refused = command(&config, &json!({ "drain": { "host": "mln1" } }));
    assert_eq!(refused, json!({ "ok": false, "text": "this console was opened with --read-only" }));
}
