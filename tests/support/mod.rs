//! The real binary, run by a test: its events read as they come. Below it, what tests put around the binary.

// Each test program compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod disk;
pub mod lab;
pub mod moves;
pub mod proxy;
pub mod pty;
pub mod services;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A test that waits this long for an event has failed: far more than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long it waits for one that is wanted while others come.
const WHOLE_PATIENCE: Duration = Duration::from_secs(120);

/// Where histories go that no config places: not into this user's folder.
pub const STATE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/state");

/// The binary under test.
pub fn whimbrel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whimbrel"));
    command.env("XDG_STATE_HOME", STATE);
    command
}

/// `whimbrel run … --format json`, under way. Dropping it ends the process.
pub struct Run {
    child: Child,
    lines: Receiver<String>,
    /// Every event so far.
    pub events: Vec<Value>,
}

impl Run {
    /// The engine over this config, and its events.
    pub fn config(path: &Path) -> Self {
        Self::start(whimbrel().arg("run").arg(path).args(["--format", "json"]))
    }

    /// Any command that writes events.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("its output is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, events: Vec::new() }
    }

    /// The next event.
    pub fn next(&mut self) -> &Value {
        let line = self
            .lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|why| panic!("no more events ({why}) after:\n{}", self.tale()));
        let event = serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why} in {line}"));
        self.events.push(event);
        self.events.last().expect("just pushed")
    }

    /// Reads events up to the first that is wanted.
    #[track_caller]
    pub fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + WHOLE_PATIENCE;
        loop {
            let event = self.next();
            if wanted(event) {
                return event.clone();
            }
            assert!(Instant::now() < end, "it did not come among:\n{}", self.tale());
        }
    }

    /// Reads up to the first event of this type of this VM.
    #[track_caller]
    pub fn until_type(&mut self, kind: &str, vm: &str) -> Value {
        self.until(|event| event["type"] == kind && event["vm"] == vm)
    }

    /// The events of one VM, of one type, so far.
    pub fn of(&self, kind: &str, vm: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind && event["vm"] == vm).collect()
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it still runs");
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in order and reads what is left.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert!(self.end().success(), "it ends in order");
    }

    /// Kills it, as a power cut does, and reads what it had written: a last line may be torn.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.events.extend(serde_json::from_str::<Value>(&line));
        }
        self.child.wait().expect("it is dead");
    }

    /// Waits for the end and reads what is left.
    pub fn end(&mut self) -> ExitStatus {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.events.push(serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why} in {line}")));
        }
        self.child.wait().expect("it ends")
    }

    fn tale(&self) -> String {
        self.events.iter().map(|event| format!("{event}\n")).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to an engine's socket on which this was said.
pub fn call(socket: &Path, line: &str) -> BufReader<UnixStream> {
    let mut stream = UnixStream::connect(socket).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // The engine may have hung up before it has read all of it.
    let _ = writeln!(stream, "{line}");
    BufReader::new(stream)
}

/// The next answer on a connection.
#[track_caller]
pub fn answer(call: &mut impl BufRead) -> Value {
    let mut line = String::new();
    call.read_line(&mut line).expect("an answer");
    serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why} in '{line}'"))
}

/// An event of this type.
pub fn is(kind: &str) -> impl Fn(&Value) -> bool {
    move |event| event["type"] == kind
}

/// A migration in this phase.
pub fn phase(phase: &str) -> impl Fn(&Value) -> bool {
    move |event| event["type"] == "migration" && event["phase"] == phase
}

/// An alarm with these words.
pub fn alarm(words: &str) -> impl Fn(&Value) -> bool {
    move |event| event["type"] == "alarm" && event["text"].as_str().is_some_and(|said| said.contains(words))
}

/// The memory of a VM that moves in a moment.
pub const QUICK: &str = "memory_mb = 1, dirty_mb_s = 0";

/// Eight hosts of the simulator and a VM that is beyond its threshold all the time. `memory` says how long it moves.
pub fn beyond(limits: &str, tarry: u32, memory: &str) -> String {
    format!(
        r#"
mode = "auto"
[limits]
flap_window = "off"
{limits}
[history]
file = "past.db"
[[array]]
name = "a"
host = ["mln1", "mln2", "mln3", "mln4", "mln5", "mln6", "mln7", "mln8"]
[[vm]]
name = "web"
host = "mln1"
interval = "1s"
monitor = {{ kind = "simulated", service = "http", {memory} }}
policy = {{ kind = "threshold", threshold = 1, tarry = {tarry}, settle = "1s", stale_after = 1000 }}
"#
    )
}

/// A config in a folder of its own, gone with it.
pub struct Config {
    folder: tempfile::TempDir,
}

impl Config {
    /// A file with this content.
    pub fn new(text: &str) -> Self {
        let config = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        config.write(text);
        config
    }

    /// Another content for the same file.
    pub fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("the folder can be written");
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.beside("whimbrel.toml")
    }

    /// A file beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
