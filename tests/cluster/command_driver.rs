//! The command driver through the real binary: virsh's commands move a real VM between the lab's hosts.

use std::fs;

use crate::setting::{command, run, send};
use crate::support::lab::{Disk, Guest, Lab};
use crate::support::services::or_skip;
use crate::support::{Config, Run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A hang of virsh's is the driver's to end.
const VIRSH: &str = r#""virsh", "-q", "-c""#;
/// `progress` may well be a shell's work, if the operator says so: arguments come after the script.
const PROGRESS: &str = r#"["sh", "-c", '''virsh -q -c qemu+tcp://$1/system domjobinfo "$2" --rawstats |
  awk '/memory_total:/ { all = $2 } /memory_remaining:/ { left = $2 }
    END { if (!all) exit 1; printf "%d %d MiB left\n", 100 * (all - left) / all, left / 1048576 }' ''', "sh", "{from}", "{vm}"]"#;

/// A VM of this name: what a migration's command is found by is all over the machine, so that two tests' may not be alike.
fn config(lab: &Lab, vm: &str, guest: &Guest, migrate: &str) -> Config {
    let [one, two] = [1, 2].map(|host| lab.address(host));
    Config::new(&format!(
        r#"
mode = "auto"
[history]
file = "history.db"
[[array]]
name = "a"
host = ["{one}", "{two}"]
[array.driver]
kind = "command"
migrate = {migrate}
locate = [{VIRSH}, "qemu+tcp://{{host}}/system", "list", "--name", "--state-running"]
progress = {PROGRESS}
abort = [{VIRSH}, "qemu+tcp://{{from}}/system", "domjobabort", "{{vm}}"]
host_state = [{VIRSH}, "qemu+tcp://{{host}}/system", "hostname"]
[[vm]]
name = "{vm}"
domain = "{name}"
host = "{one}"
interval = "1s"
monitor = {{ kind = "http", url = "{url}", deadline = "900ms" }}
policy = {{ kind = "threshold", threshold = 800, tarry = 100000, settle = "1s" }}
"#,
        name = guest.name,
        url = guest.url("/cgi-bin/stat"),
    ))
}

fn by_virsh() -> String {
    format!(
        r#"[{VIRSH}, "qemu+tcp://{{from}}/system", "migrate", "{{vm}}", "qemu+tcp://{{to}}/system", "--live", "--p2p"]"#
    )
}

fn engine(lab: &Lab, config: &Config) -> Run {
    let mut run = run(lab, config);
    run.until(|event| event["vm"].is_string());
    run
}

fn phase(run: &mut Run, phase: &str) -> Value {
    run.until(|event| event["type"] == "migration" && event["phase"] == phase)
}

fn requests(run: &Run) -> usize {
    run.events.iter().filter(|event| event["type"] == "request").count()
}

/// The processes that carry the driver's mark, and their arguments.
fn commands(vm: &str) -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let read = |pid: i32, what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let marked = |pid: &i32| String::from_utf8_lossy(&read(*pid, "environ")).contains(&format!("\t{vm}\t"));
    pids.filter(marked).map(|pid| (pid, String::from_utf8_lossy(&read(pid, "cmdline")).replace('\0', " "))).collect()
}

#[test]
fn virsh_moves_a_vm_and_what_it_says_is_not_the_outcome() {
    let name = "virsh_moves_a_vm_and_what_it_says_is_not_the_outcome";
    let Some(lab) = or_skip(name, Lab::up(2)) else { return };
    let guest = lab.guest(1, "web1").disk(Disk::Nbd).start();
    let boot = guest.boot_id();

    let config_of_virsh = config(&lab, "shop", &guest, &by_virsh());
    let mut run = engine(&lab, &config_of_virsh);
    lab.speed(1, "web1", 12);
    send(&config_of_virsh, "shop", &lab.address(2));
    let seen = run.until(|event| event["phase"] == "running" && event["percent"].as_u64() > Some(0));
    assert!(seen["detail"].as_str().is_some_and(|detail| detail.ends_with("MiB left")), "{seen}");
    let confirmed = phase(&mut run, "confirmed");
    assert!(confirmed["detail"].as_str().is_some_and(|detail| detail.starts_with("ended well in ")), "{confirmed}");
    assert_eq!((lab.executing_on("web1"), guest.boot_id()), (vec![2], boot.clone()));

    lab.speed(2, "web1", 1);
    send(&config_of_virsh, "shop", &lab.address(1));
    lab.await_move(2, "web1");
    assert_eq!(command(&config_of_virsh, &json!({ "abort": { "vm": "shop" } }))["ok"], true);
    phase(&mut run, "aborted");
    assert_eq!((lab.executing_on("web1"), lab.sent(2, "web1")), (vec![2], None));

    lab.stop_daemon(1);
    run.until(|event| event["type"] == "alarm" || event.to_string().contains("down"));
    let refused = json!({ "move": { "vm": "shop", "target": { "host": lab.address(1) } } });
    assert_eq!(command(&config_of_virsh, &refused)["ok"], false, "the host is down");
    lab.start_daemon(1);
    run.stop();

    // A command that does nothing, and says that it did.
    let lies = config(&lab, "shop", &guest, r#"["true", "{vm}", "{to}"]"#);
    let mut run = engine(&lab, &lies);
    // It finds the VM where it is, and not where the config has it.
    send(&lies, "shop", &lab.address(1));
    let failed = phase(&mut run, "failed");
    assert!(failed["detail"].as_str().is_some_and(|detail| detail.starts_with("ended well in ")), "{failed}");
    assert_eq!((lab.executing_on("web1"), guest.boot_id()), (vec![2], boot.clone()));
    run.stop();

    // No engine runs: the command's own hears of its hosts first, then empties one.
    lab.speed(2, "web1", 100);
    let mut drain = lab.whimbrel();
    drain.args(["drain", &lab.address(2)]).arg(config_of_virsh.path()).arg("--yes");
    let out = drain.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("is drained: 1 VM has left it"), "{out:?}");
    assert!(!said.contains("nothing has been heard"), "{said}");
    assert_eq!((lab.executing_on("web1"), guest.boot_id()), (vec![1], boot));
}

#[test]
fn a_move_outlives_whimbrel_and_its_command_and_is_made_once() {
    let name = "a_move_outlives_whimbrel_and_its_command_and_is_made_once";
    let Some(lab) = or_skip(name, Lab::up(2)) else { return };
    let guest = lab.guest(1, "web1").disk(Disk::Nbd).start();
    let config = config(&lab, "store", &guest, &by_virsh());

    // Whimbrel is killed; its command goes on, is found and followed.
    let mut run = engine(&lab, &config);
    lab.speed(1, "web1", 8);
    send(&config, "store", &lab.address(2));
    lab.await_move(1, "web1");
    run.kill();
    assert_eq!((requests(&run), commands("store").len()), (1, 1), "{:?}", commands("store"));
    let mut run = engine(&lab, &config);
    run.until(|event| event["phase"] == "running" && event["percent"].as_u64() > Some(0));
    let confirmed = phase(&mut run, "confirmed");
    assert_eq!((&confirmed["id"], requests(&run)), (&json!(1), 0), "{confirmed}");
    assert_eq!(lab.executing_on("web1"), [2]);

    // Its command is killed too, while virsh's hosts go on: progress still tells of it.
    lab.speed(2, "web1", 8);
    send(&config, "store", &lab.address(1));
    lab.await_move(2, "web1");
    run.kill();
    for (pid, _) in commands("store") {
        kill_process(Pid::from_raw(pid).expect("a process"), Signal::KILL).expect("it runs");
    }
    assert!(lab.sent(2, "web1").is_some(), "the hosts go on");
    let mut run = engine(&lab, &config);
    run.until(|event| event["phase"] == "running" && event["percent"].as_u64() > Some(0));
    let confirmed = phase(&mut run, "confirmed");
    assert_eq!((&confirmed["id"], requests(&run)), (&json!(2), 0), "{confirmed}");
    assert_eq!(lab.executing_on("web1"), [1]);
    run.stop();
}
