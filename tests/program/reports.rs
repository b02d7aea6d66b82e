//! What the history answers on the command line: `report`, and `whatif` over a config's VM.

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::whimbrel;
use serde_json::Value as Json;
use whimbrel::core::cluster::{Name, RequestId, Span, Timestamp, Value};
use whimbrel::core::engine::{By, Happened, Phase, Record, VmState};
use whimbrel::core::insight::{Entry, PlacedFrom, Retention, Seen, whole_hour};
use whimbrel::core::policy::{Decision, Place};
use whimbrel::edge::history::{Batch, Store};

const CONFIG: &str = r#"
[history]
file = "past.db"
[[array]]
name = "a"
base = "mln6"
host = [{ name = "mln1", price = 0.2 }, { name = "mln2", price = 0.2 }, { name = "mln6", price = 0.05 }]
[[vm]]
name = "nii1"
host = "mln1"
interval = "60s"
monitor = { kind = "simulated", service = "mysql" }
policy = { kind = "threshold", threshold = 20, tarry = 3 }
"#;

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(now.as_millis() as i64)
}

fn vm() -> Name {
    "nii1".into()
}

fn told(at: Timestamp, what: Happened) -> Record {
    Record { at, vm: Some(vm()), what }
}

/// From `begin` on, an overload of 30 minutes: the policy moved nii1 every 10 of them, until its threshold was raised.
fn story(begin: Timestamp) -> Batch {
    let minute = |n| begin + Span::from_mins(n);
    let reading = |n: i64| {
        let seen = if n == 60 {
            Seen::Gap(Arc::from("connection refused"))
        } else {
            Seen::Sample(Value::Exact(if n < 30 { 40.0 } else { 5.0 }))
        };
        (vm(), Entry { at: minute(n), seen, count: 0, low_count: 0, state: VmState::Watching })
    };
    let mut batch = Batch { readings: (0..90).map(reading).collect(), ..Batch::default() };
    let (from, to) = (Name::from("mln1"), Name::from("mln2"));
    for n in 1..=3 {
        let (id, action, by) = (RequestId(n), Decision::Move, By::Policy);
        let at = minute(10 * n as i64);
        let migration = |phase| {
            let (from, to, detail) = (from.clone(), to.clone(), String::new());
            Happened::Migration { id, phase, percent: 0, from, to, detail }
        };
        batch.records.push(told(at, Happened::Request { id, action, from: from.clone(), to: to.clone(), by }));
        batch.records.push(told(at, migration(Phase::Running)));
        batch.records.push(told(at + Span::from_secs(8), migration(Phase::Confirmed)));
    }
    let [by, key, old, new] = ["eve", "threshold", "20", "50"].map(str::to_owned);
    batch.records.push(told(minute(31), Happened::Edit { by, key, old, new, why: None }));
    batch.placed = vec![PlacedFrom { at: begin, vm: vm(), host: "mln1".into(), place: Place::Ring, price: 0.2 }];
    batch
}

struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.toml"), text).expect("a config");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a.toml")
    }

    /// An engine that has its history open for writing.
    fn engine(&self, batch: &Batch) -> Store {
        let path = self.folder.path().join("past.db");
        let mut store = Store::open(&path, Retention::default(), "a test").expect("a history");
        store.write(batch).expect("written");
        store
    }

    fn ask(&self, command: &str, arguments: &[&str]) -> Output {
        whimbrel().arg(command).arg(self.path()).args(arguments).output().expect("the binary runs")
    }

    fn json(&self, command: &str, arguments: &[&str]) -> Json {
        let out = self.ask(command, &[arguments, &["--format", "json"]].concat());
        assert!(out.status.success(), "{out:?}");
        serde_json::from_slice(&out.stdout).expect("JSON")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_report_counts_what_the_history_has_also_while_it_is_written() {
    let cluster = Cluster::new(CONFIG);
    let begin = whole_hour(now()) - Span::from_hours(4);
    let _engine = cluster.engine(&story(begin));
    let report = cluster.json("report", &["--since", "6h"]);
    let hours = report["hours"].as_array().expect("hours");
    assert_eq!(hours.len(), 7, "the unfinished one too");
    let busy: Vec<&Json> = hours.iter().filter(|hour| hour["requests"] != 0).collect();
    assert_eq!((busy.len(), &busy[0]["requests"], &busy[0]["confirmed"]), (1, &3.into(), &3.into()));
    assert_eq!(busy[0]["hour"], begin.utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    assert_eq!(report["edits"][0]["text"], "threshold 20 → 50");
    assert_eq!((&report["times"]["count"], &report["times"]["mean_s"]), (&3.into(), &8.0.into()));
    let ring = |key: &str| report["stays"]["ring"][key].as_f64().expect("a number");
    assert!((4.0..5.1).contains(&ring("hours")) && (ring("cost") - 0.2 * ring("hours")).abs() < 1e-5, "{report}");
    assert_eq!(report["hosts"][0]["host"], "mln1");
}

#[test]
fn a_report_is_a_table_or_a_row_an_hour_too() {
    let cluster = Cluster::new(CONFIG);
    let _engine = cluster.engine(&story(whole_hour(now()) - Span::from_hours(4)));
    let table = text(&cluster.ask("report", &["--vm", "nii1"]).stdout);
    assert!(table.starts_with("nii1, ") && table.contains(" ###\n") && table.contains("threshold 20 → 50"), "{table}");
    let csv = text(&cluster.ask("report", &["--format", "csv"]).stdout);
    assert!(
        csv.starts_with("hour,requests,by_hand,confirmed,failed,blocked\n") && csv.contains("Z,3,0,3,0,0\n"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 50, "a header, 48 hours and the unfinished one");
}

#[test]
fn what_if_sets_a_vms_own_settings_against_others() {
    let cluster = Cluster::new(CONFIG);
    let _engine = cluster.engine(&story(whole_hour(now()) - Span::from_hours(4)));
    let told = cluster.json("whatif", &["--vm", "nii1", "--days", "1", "--threshold", "50"]);
    assert_eq!(told["changes"], serde_json::json!([{"key": "threshold", "now": "20", "would_be": "50"}]));
    // 30 samples beyond 20, tarry 3, none of them within the settle of 45 s.
    assert_eq!((&told["now"]["moves"], &told["would_be"]["moves"]), (&10.into(), &0.into()));
    assert_eq!((&told["now"]["samples"], &told["now"]["gaps"]), (&89.into(), &1.into()));
    assert_eq!(told["differences"].as_array().map(Vec::len), Some(8));
    let cost = told["now"]["cost"].as_f64().expect("a number");
    assert!((cost - 1.5 * 0.2).abs() < 1e-9, "an hour and a half in the ring: {cost}");
    let table = text(&cluster.ask("whatif", &["--vm", "nii1", "--threshold", "50"]).stdout);
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(row("ring moves").ends_with("10               0"), "{table}");
}

#[test]
fn what_is_not_there_is_said() {
    let cluster = Cluster::new(CONFIG);
    let said = |command: &str, arguments: &[&str], status: i32, words: &str| {
        let out = cluster.ask(command, arguments);
        assert_eq!(out.status.code(), Some(status), "{out:?}");
        assert!(text(&out.stderr).contains(words) && out.stdout.is_empty(), "{out:?}");
    };
    said("report", &[], 1, "past.db: no history there");
    said("whatif", &["--vm", "nii1"], 1, "no history there");
    said("report", &["--vm", "nii9"], 2, "no VM is named 'nii9'\nhelp: its VMs are nii1");
    said("whatif", &["--vm", "nii9"], 2, "no VM is named 'nii9'");
    said("whatif", &[], 2, "--vm");
    said("whatif", &["--vm", "nii1", "--direction", "lower"], 2, "--direction");
    said("whatif", &["--vm", "nii1", "--low-threshold", "5"], 2, "error: nii1: --low-threshold and --low-tarry");
    drop(cluster.engine(&Batch::default()));
    said("whatif", &["--vm", "nii1"], 1, "no sample of nii1 within");
    std::fs::write(cluster.path(), CONFIG.replace("past.db", "off")).expect("a config");
    said("report", &[], 1, "the history is off");
    std::fs::write(cluster.path(), CONFIG.replace("past.db", "a.toml")).expect("a config");
    said("report", &[], 1, "not a history of whimbrel");
}

#[test]
fn an_empty_history_is_a_report_of_nothing() {
    let cluster = Cluster::new(CONFIG);
    drop(cluster.engine(&Batch::default()));
    let report = cluster.json("report", &["--since", "1h"]);
    assert_eq!((report["hours"].as_array().map(Vec::len), &report["times"]), (Some(2), &Json::Null));
}
