//! What moves take, printed with `--nocapture`: from the decision to the start, to the confirmation after the guest went
//! on, and how long it stood still.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Utc};
use serde_json::Value;

use crate::lab::{Lab, wait};
use crate::setting::{RESTLESS, config, host, in_lab, is_outcome, run, vm, way};
use crate::support::{Config, Run};

const MOVES: usize = 5;

type Instant = DateTime<FixedOffset>;

/// When guests went on at a host after a migration, in libvirt's own words.
struct Arrivals {
    child: Child,
    lines: Receiver<String>,
}

impl Arrivals {
    fn at(lab: &Lab, host: usize) -> Self {
        let mut command = lab.command("stdbuf");
        command.args(["-oL", "virsh", "-q", "-c", &lab.uri(host), "event", "--all", "--loop", "--timestamp"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("virsh is installed");
        let output = child.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.ends_with("Resumed Migrated") && sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> Instant {
        let line = self.lines.recv_timeout(Duration::from_secs(60)).expect("libvirt tells that it goes on");
        DateTime::parse_from_str(&line[..28], "%Y-%m-%d %H:%M:%S%.3f%z").expect("virsh's time stamp")
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one move took, in ms.
struct Figures {
    /// From the decision to the request: the preflight.
    checked: i64,
    /// To the migration: the journal.
    started: i64,
    /// To its first byte, as the source tells.
    sent: i64,
    /// From the guest's going on at its destination to the confirmation.
    confirmed: i64,
    /// All of it.
    whole: i64,
    /// The longest time between two answers of its service.
    gap: u128,
    /// In the driver's words.
    told: String,
}

#[test]
#[expect(clippy::print_stderr, reason = "figures for people")]
fn what_five_moves_take() {
    in_lab("what_five_moves_take", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let arrivals = [1, 2, 3].map(|host| Arrivals::at(lab, host));
        let policy = RESTLESS.replace("settle = \"1s\"", "settle = \"3s\"");
        let config =
            Config::new(&config(lab, "[limits]\nflap_window = \"off\"", ", bandwidth = 100", &[vm(&web1, 1, &policy)]));
        let mut run = run(lab, &config);
        let mut all = Vec::new();
        for n in 0..MOVES {
            let (from, to) = (n % 3 + 1, (n + 1) % 3 + 1);
            let probe = web1.probe();
            run.until_type("request", "web1");
            let sent = wait("the first byte", || lab.sent(from, "web1").filter(|bytes| *bytes > 0).map(|_| Utc::now()));
            let done = run.until(is_outcome);
            assert_eq!(way(&done), [&host(from), &host(to), "confirmed"]);
            let report = probe.stop();
            let goes_on = arrivals[to - 1].next();
            let [decision, request, started] = last(&run);
            all.push(Figures {
                checked: (request - decision).num_milliseconds(),
                started: (started - request).num_milliseconds(),
                sent: (sent.fixed_offset() - started).num_milliseconds(),
                confirmed: (at(&done) - goes_on).num_milliseconds(),
                whole: (at(&done) - decision).num_milliseconds(),
                gap: report.longest_gap.as_millis(),
                told: done["detail"].as_str().unwrap_or_default().to_owned(),
            });
        }
        run.stop();
        all.iter().for_each(|figures| eprintln!("{figures}"));
    });
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checked, started, sent, confirmed, whole, gap, told } = self;
        write!(f, "decision > request {checked} ms > running {started} ms > first byte {sent} ms; ")?;
        write!(f, "goes on > confirmed {confirmed} ms; all {whole} ms; no answer for {gap} ms; told: {told}")
    }
}

/// When the last migration was decided, asked for and started.
fn last(run: &Run) -> [Instant; 3] {
    let latest = |kind: &str| run.of(kind, "web1").last().map(|event| at(event)).expect("one");
    let id = &run.of("request", "web1").last().expect("one")["id"];
    let migration = run.of("migration", "web1");
    let started = migration.iter().find(|event| event["id"] == *id).map(|event| at(event)).expect("it ran");
    [latest("decision"), latest("request"), started]
}

fn at(event: &Value) -> Instant {
    DateTime::parse_from_rfc3339(event["at"].as_str().expect("a time")).expect("RFC 3339")
}
