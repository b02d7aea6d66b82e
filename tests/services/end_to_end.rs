//! The main job, end to end: real services read by the real binary, its policies' requests, the simulator's moves.

use std::process::{Child, Command, Stdio};

use crate::support::services::{Apache, MariaDb, or_skip};
use crate::support::{Config, Run, whimbrel};
use serde_json::Value;

/// Three hosts of the simulator, and one VM read by a real monitor.
fn config(vm: &str, monitor: &str, policy: &str) -> String {
    format!(
        r#"
mode = "auto"
[limits]
flap_window = "off"
[[array]]
name = "a"
host = ["mln1", "mln2", "mln3"]
[[vm]]
name = "{vm}"
host = "mln1"
interval = "1s"
monitor = {{ {monitor} }}
policy = {{ {policy}, settle = "1s" }}
"#
    )
}

fn mysql(db: &MariaDb) -> String {
    let (url, password) = (db.url(), db.password_file());
    config(
        "nii1",
        &format!(r#"kind = "mysql", url = "{url}", password_file = "{}""#, password.display()),
        r#"kind = "threshold", threshold = 2, tarry = 3"#,
    )
}

/// A load that stops by itself, or with the test.
struct Load(Child);

impl Load {
    fn slow_queries(db: &MariaDb) -> Self {
        let queries = "SELECT SLEEP(0.06);".repeat(1_000);
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--host=127.0.0.1", "--user", MariaDb::USER, "--protocol=tcp"]);
        client.arg(format!("--port={}", db.port())).env("MYSQL_PWD", MariaDb::PASSWORD);
        Self::start(client.args(["--execute", &queries]))
    }

    /// `ab` with connections that are kept alive, each of which keeps a worker busy, for at most a minute.
    fn connections(apache: &Apache, n: usize) -> Self {
        let mut ab = Command::new("ab");
        Self::start(ab.args(["-k", "-q", "-r", "-t", "60", "-n", "100000000", "-c", &n.to_string(), &apache.url("/")]))
    }

    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the load starts"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The counts of the samples since the last reset, up to the decision at the list's end.
fn counts_before_decision(run: &Run, vm: &str) -> Vec<u64> {
    let counts: Vec<u64> = run.of("sample", vm).iter().filter_map(|sample| sample["count"].as_u64()).collect();
    let begin = counts.iter().rposition(|count| *count == 0).map_or(0, |at| at + 1);
    counts[begin..].to_vec()
}

fn confirmed(event: &Value) -> bool {
    event["type"] == "migration" && event["phase"] == "confirmed"
}

#[test]
fn slow_queries_of_a_real_mariadb_move_its_vm() {
    let Some(db) = or_skip("slow_queries_of_a_real_mariadb_move_its_vm", MariaDb::start()) else { return };
    let config = Config::new(&mysql(&db));
    let mut run = Run::config(&config.path());
    let first = run.until_type("gap", "nii1");
    assert_eq!(first["reason"], "first reading of the counter");
    let quiet = run.until_type("sample", "nii1");
    assert_eq!((quiet["count"].as_u64(), quiet["tarry"].as_u64()), (Some(0), Some(3)));

    let _load = Load::slow_queries(&db);
    let decision = run.until_type("decision", "nii1");
    assert_eq!(decision["action"], "move");
    assert_eq!(counts_before_decision(&run, "nii1"), [1, 2, 3], "after exactly tarry samples in a row");
    let request = run.until_type("request", "nii1");
    assert_eq!((&request["from"], &request["to"], &request["by"]), (&"mln1".into(), &"mln2".into(), &"policy".into()));
    assert_eq!(request["at"], decision["at"]);

    let done = run.until(confirmed);
    assert_eq!((&done["id"], &done["to"]), (&request["id"], &"mln2".into()));
    let baseline = run.until(|event| event["type"] == "gap" && event["reason"] == "baseline after the move");
    assert_eq!(baseline["state"], "settling");
    run.until_type("request", "nii1");
    assert_eq!(run.until(confirmed)["to"], "mln3", "round the ring while the load lasts");
}

#[test]
fn a_busy_apache_with_one_idle_worker_moves_its_vm() {
    let Some(apache) = or_skip("a_busy_apache_with_one_idle_worker_moves_its_vm", Apache::start()) else { return };
    let monitor = format!(r#"kind = "apache", url = "{}""#, apache.status_url());
    let config = Config::new(&config("nii2", &monitor, r#"kind = "threshold", threshold = 4, tarry = 3"#));
    let mut run = Run::config(&config.path());
    let idle = run.until_type("sample", "nii2");
    assert_eq!(
        idle["value"].as_f64(),
        Some(Apache::WORKERS as f64 - 1.0),
        "all but the one that serves the status page"
    );
    assert_eq!(idle["count"], 0);

    let _load = Load::connections(&apache, Apache::WORKERS - 2);
    let decision = run.until_type("decision", "nii2");
    assert!(decision["reason"].as_str().is_some_and(|why| why.contains("idle < 4 for 3 samples")), "{decision}");
    assert_eq!(counts_before_decision(&run, "nii2"), [1, 2, 3]);
    assert_eq!(run.until(confirmed)["to"], "mln2");
}

#[test]
fn a_killed_server_is_gaps_then_stale_then_a_counter_that_fell_and_never_a_move() {
    let name = "a_killed_server_is_gaps_then_stale_then_a_counter_that_fell_and_never_a_move";
    let Some(mut db) = or_skip(name, MariaDb::start()) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(db.slow_queries(5));
    let config = Config::new(&mysql(&db));
    let mut run = Run::config(&config.path());
    run.until_type("sample", "nii1");

    db.kill();
    let stale = run.until(|event| event["type"] == "state" && event["state"] == "stale");
    assert!(stale["why"].as_str().is_some_and(|why| why.contains("3 times in a row")), "{stale}");
    db.restart();
    let fell = run.until(|event| event["reason"].as_str().is_some_and(|why| why.contains("fell")));
    assert!(fell["reason"].as_str().is_some_and(|why| why.contains("the service restarted")), "{fell}");
    let back = run.until_type("sample", "nii1");
    assert_eq!((&back["state"], &back["count"]), (&"watching".into(), &0.into()));
    for kind in ["decision", "request", "migration"] {
        assert!(run.of(kind, "nii1").is_empty(), "no {kind}");
    }
}

#[test]
fn a_wrong_password_is_a_gap_that_does_not_say_it() {
    let Some(db) = or_skip("a_wrong_password_is_a_gap_that_does_not_say_it", MariaDb::start()) else { return };
    let text = mysql(&db)
        .replace(&format!(r#"password_file = "{}""#, db.password_file().display()), r#"password_env = "NII1""#);
    let config = Config::new(&text);
    let mut run =
        Run::start(whimbrel().arg("run").arg(config.path()).args(["--format", "json"]).env("NII1", "hunter2"));
    let gap = run.until_type("gap", "nii1");
    assert!(gap["reason"].as_str().is_some_and(|why| why.contains("access denied")), "{gap}");
    run.until(|event| event["state"] == "stale");
    assert!(run.events.iter().all(|event| !event.to_string().contains("hunter2")));
}
