//! What moves take, printed with `--nocapture`: from the decision to the start, to the confirmation after the guest went
//! on, and how long it stood still.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use serde_json::Value;

use crate::setting::{RESTLESS, config, in_lab, number, run, vm};
use crate::support::lab::{Guest, Lab};
use crate::support::moves::is_outcome;
use crate::support::{Config, Run};

const MOVES: usize = 5;

type Instant = DateTime<FixedOffset>;

/// What a host's libvirt tells of migrations, as it happens.
struct Told {
    child: Child,
    lines: Receiver<String>,
}

impl Told {
    fn by(lab: &Lab, host: usize) -> Self {
        let mut command = lab.command("stdbuf");
        command.args(["-oL", "virsh", "-q", "-c", &lab.uri(host), "event", "--all", "--loop", "--timestamp"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("virsh is installed");
        let output = child.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.all(|line| sender.send(line).is_ok());
        });
        Self { child, lines }
    }

    /// When it says this next.
    fn next(&self, what: &str) -> Instant {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).expect("libvirt says it");
            if line.ends_with(what) {
                return DateTime::parse_from_str(&line[..28], "%Y-%m-%d %H:%M:%S%.3f%z").expect("virsh's time stamp");
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Echoes of a guest's kernel, asked for every 20 ms: finer than its service, whose lost requests take their time.
struct Echoes {
    child: Child,
    file: tempfile::NamedTempFile,
}

impl Echoes {
    fn of(lab: &Lab, guest: &Guest) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let output = file.reopen().expect("the same file");
        let mut command = lab.command("ping");
        command.args(["-n", "-D", "-i", "0.02", &guest.ip.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(output).spawn().expect("ping is installed");
        Self { child, file }
    }

    /// The longest time between two, in ms.
    fn longest_gap(self) -> f64 {
        // `[1795330087.263172] 64 bytes from 10.77.1.101: icmp_seq=5 ttl=64 time=0.6 ms`
        let text = std::fs::read_to_string(self.file.path()).expect("text");
        let echoes = text.lines().filter(|line| line.contains("time="));
        let times = echoes.filter_map(|line| line.strip_prefix('[')?.split_once(']')?.0.parse::<f64>().ok());
        let times: Vec<f64> = times.collect();
        times.windows(2).map(|two| (two[1] - two[0]) * 1e3).fold(0.0, f64::max)
    }
}

impl Drop for Echoes {
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
    /// To its first byte, as the source's libvirt tells.
    sent: i64,
    /// From the guest's going on at its destination to the confirmation.
    confirmed: i64,
    /// All of it.
    whole: i64,
    /// The longest time between two answers of its service.
    gap: u128,
    /// The longest time between two echoes of its kernel.
    silence: f64,
    /// In the driver's words.
    told: String,
}

#[test]
#[expect(clippy::print_stderr, reason = "figures for people")]
fn what_five_moves_take() {
    in_lab("what_five_moves_take", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let told = [1, 2, 3].map(|host| Told::by(lab, host));
        let policy = RESTLESS.replace("settle = \"1s\"", "settle = \"3s\"");
        let config = Config::new(&config(lab, "[limits]\nflap_window = \"off\"", "", &[vm(&web1, 1, &policy)]));
        let mut run = run(lab, &config);
        let mut all = Vec::new();
        for _ in 0..MOVES {
            let (probe, echoes) = (web1.probe(), Echoes::of(lab, &web1));
            run.until_type("request", "web1");
            let done = run.until(is_outcome);
            let [from, to] = ["from", "to"].map(|end| number(&done[end]));
            assert_eq!(done["phase"], "confirmed");
            let report = probe.stop();
            let sent = told[from - 1].next("iteration: '1'");
            let goes_on = told[to - 1].next("Resumed Migrated");
            let [decision, request, started] = last(&run);
            all.push(Figures {
                checked: (request - decision).num_milliseconds(),
                started: (started - request).num_milliseconds(),
                sent: (sent - started).num_milliseconds(),
                confirmed: (at(&done) - goes_on).num_milliseconds(),
                whole: (at(&done) - decision).num_milliseconds(),
                gap: report.longest_gap.as_millis(),
                silence: echoes.longest_gap(),
                told: done["detail"].as_str().unwrap_or_default().to_owned(),
            });
        }
        run.stop();
        all.iter().for_each(|figures| eprintln!("{figures}"));
    });
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checked, started, sent, confirmed, whole, gap, silence, told } = self;
        write!(f, "decision > request {checked} ms > running {started} ms > first byte {sent} ms; ")?;
        write!(
            f,
            "goes on > confirmed {confirmed} ms; all {whole} ms; no answer for {gap} ms, no echo for {silence:.0} ms; told: {told}"
        )
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
