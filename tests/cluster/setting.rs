//! Configs over a lab, and what is read off the events.

use std::os::unix::net::UnixStream;

use portable_pty::CommandBuilder;
use serde_json::{Value, json};

use crate::support::lab::{Guest, Lab, wait};
use crate::support::moves::is_outcome;
use crate::support::pty::Console;
use crate::support::services::or_skip;
use crate::support::{Config, Run, answer, call};

/// Moves its VM at every reading.
pub const RESTLESS: &str = "kind = \"threshold\", threshold = 0, tarry = 1, settle = \"1s\"";
/// Never moves it.
pub const CALM: &str = "kind = \"threshold\", threshold = 0, tarry = 100000, settle = \"1s\"";

/// Limits: a VM moves once within a test.
pub const ONCE: &str = "[limits]\ncooldown = \"1h\"\n";

/// A driver's key: so slow that a migration does not end by itself within a test.
pub const SLOW: &str = ", bandwidth = 1";
/// MiB/s, as good as no limit.
pub const FAST: u32 = 1_000;

/// Runs a test over a lab of three hosts.
pub fn in_lab(test: &str, work: impl FnOnce(&Lab)) {
    if let Some(lab) = or_skip(test, Lab::up(3)) {
        work(&lab);
    }
}

/// The name of a host in the configs.
pub fn host(n: usize) -> String {
    format!("lab{n}")
}

/// The number of a host by its name in an event.
pub fn number(name: &Value) -> usize {
    (1..=9).find(|n| *name == host(*n)).unwrap_or_else(|| panic!("{name} is no host of a lab"))
}

/// A config over all hosts of the lab: top keys and limits, keys of the driver, VMs.
pub fn config(lab: &Lab, top: &str, driver: &str, vms: &[String]) -> String {
    over((1..=lab.hosts()).map(|n| machine(lab, n, "")), top, driver, vms)
}

/// As [`config`], over the first two hosts: from one of them there is only one way.
pub fn pair(lab: &Lab, top: &str, driver: &str, vms: &[String]) -> String {
    over((1..=2).map(|n| machine(lab, n, "")), top, driver, vms)
}

/// As [`config`], where one host is draining.
pub fn draining(lab: &Lab, drained: usize, top: &str, driver: &str, vms: &[String]) -> String {
    let key = |n| if n == drained { ", draining = true" } else { "" };
    over((1..=lab.hosts()).map(|n| machine(lab, n, key(n))), top, driver, vms)
}

fn machine(lab: &Lab, n: usize, more: &str) -> String {
    format!("{{ name = \"{}\", uri = \"{}\"{more} }}", host(n), lab.uri(n))
}

fn over(hosts: impl Iterator<Item = String>, top: &str, driver: &str, vms: &[String]) -> String {
    format!(
        "mode = \"auto\"\n{top}\n[[array]]\nname = \"a\"\ndriver = {{ kind = \"libvirt\"{driver} }}\nhost = [{}]\n{}",
        hosts.collect::<Vec<_>>().join(", "),
        vms.concat()
    )
}

/// A VM of a config, on this host as far as the config knows, whose page is read every second.
pub fn vm(guest: &Guest, on: usize, policy: &str) -> String {
    let monitor = format!("kind = \"http\", url = \"{}\", deadline = \"1s\"", guest.url("/"));
    watched(guest, on, &monitor, policy)
}

/// A VM of a config that is read every second.
pub fn watched(guest: &Guest, on: usize, monitor: &str, policy: &str) -> String {
    format!(
        "[[vm]]\nname = \"{}\"\nhost = \"{}\"\ninterval = \"1s\"\nmonitor = {{ {monitor} }}\npolicy = {{ {policy} }}\n",
        guest.name,
        host(on)
    )
}

/// The engine over a config, at the desk, with its events.
pub fn run(lab: &Lab, config: &Config) -> Run {
    run_with(lab, config, &[])
}

/// The same with these variables in its environment.
pub fn run_with(lab: &Lab, config: &Config, variables: &[(&str, String)]) -> Run {
    let mut command = lab.whimbrel();
    command
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .arg("run")
        .arg(config.path())
        .args(["--format", "json"]);
    Run::start(command.arg("--log").arg(config.beside("whimbrel.log")))
}

/// Has the engine over a config do something, from another process.
pub fn command(config: &Config, command: &Value) -> Value {
    ask(config, &json!({ "command": command }))
}

/// Asks the engine over a config something. Its history is `history.db`.
pub fn ask(config: &Config, request: &Value) -> Value {
    let socket = config.beside("history.db.sock");
    wait("the engine's socket", || UnixStream::connect(&socket).ok());
    answer(&mut call(&socket, &request.to_string()))
}

/// The driver has told of every host of this one's array: nothing is moved before.
pub fn hosts_are_known(config: &Config, host: &str) {
    wait("the hosts are known", || {
        let plan = ask(config, &json!({ "plan": { "drain": host } }));
        (plan["plan"]["unheard"] == json!([])).then_some(())
    });
}

/// Moves a VM to a host, as soon as its hosts are known to be up.
pub fn send(config: &Config, vm: &str, to: &str) {
    hosts_are_known(config, to);
    let there = json!({ "move": { "vm": vm, "target": { "host": to } } });
    wait("the move is taken", || (command(config, &there)["ok"] == true).then_some(()));
}

/// The console over a config, at the desk.
pub fn console(lab: &Lab, config: &Config) -> Console {
    let [program, namespace] = lab.prefix();
    let mut command = CommandBuilder::new(program);
    command.arg(namespace);
    command.arg(env!("CARGO_BIN_EXE_whimbrel"));
    command.arg(config.path());
    command.env("LANG", "C.UTF-8");
    Console::spawn(command)
}

/// Reads on to the outcome of this VM's migration.
pub fn outcome(run: &mut Run, vm: &str) -> Value {
    run.until(|event| is_outcome(event) && event["vm"] == vm)
}

/// From, to and how it ended.
pub fn way(outcome: &Value) -> [&str; 3] {
    ["from", "to", "phase"].map(|key| outcome[key].as_str().unwrap_or_default())
}

/// The most migrations that were under way at once, of all or of one host's.
pub fn most_at_once(events: &[Value], host: Option<&str>) -> usize {
    let concerns = |event: &&Value| host.is_none_or(|host| event["from"] == host || event["to"] == host);
    let (mut now, mut most) = (0_usize, 0);
    for event in events.iter().filter(concerns) {
        if event["type"] == "request" {
            now += 1;
            most = most.max(now);
        } else if is_outcome(event) {
            now -= 1;
        }
    }
    most
}

/// What of the alarms and holds is not expected in an undisturbed run.
pub fn undisturbed(run: &Run) {
    let alarms: Vec<_> = run.events.iter().filter(|event| event["type"] == "alarm").collect();
    assert!(alarms.is_empty(), "{alarms:?}");
}

/// It runs there, there alone, and really.
#[track_caller]
pub fn runs_only_on(lab: &Lab, guest: &Guest, host: usize) {
    assert_eq!(
        (lab.running_on(&guest.name), lab.executing_on(&guest.name)),
        (vec![host], vec![host]),
        "{}",
        guest.name
    );
}
