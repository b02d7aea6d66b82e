//! Workers: real processes, which a test kills, stops and starts again.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::home::{Home, wait_until};
use crate::support::{Config, whimbrel};

/// Workers of one queue.
pub struct Fleet {
    pub workers: Vec<Worker>,
    config: Config,
}

/// A worker's process. Dropping it ends the process.
pub struct Worker {
    pub vm: String,
    child: Child,
    output: PathBuf,
    /// How it ended, once that is known.
    end: Option<ExitStatus>,
    is_stopped: bool,
}

impl Fleet {
    /// Workers of this queue, none of them started. `job` is the config's, and `lines` more of the queue's.
    pub fn new(home: &Home, job: &str, lines: &str, vms: usize) -> Self {
        let mut text = format!("[[queue]]\nname = \"q\"\nsource = {}\njob = {job}\n{lines}\n", home.source);
        for vm in 1..=vms {
            text += &format!("[[vm]]\nname = \"vm{vm}\"\ninterval = \"1s\"\n");
            text += "monitor = { kind = \"queue\", queue = \"q\" }\n";
            text += "policy = { kind = \"site\", threshold = 2, home_tarry = 3 }\n";
        }
        Self { config: Config::new(&text), workers: Vec::new() }
    }

    /// A file beside the config.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.config.beside(name)
    }

    /// `whimbrel work` for this VM. Returns its place in the list.
    pub fn start(&mut self, vm: usize) -> usize {
        self.start_with(vm, &[])
    }

    /// The same with more arguments.
    pub fn start_with(&mut self, vm: usize, arguments: &[&str]) -> usize {
        let vm = format!("vm{vm}");
        let output = self.beside(&format!("{vm}.{}", self.workers.len()));
        let file = File::create(&output).expect("a file");
        let mut command = whimbrel();
        command.arg("work").arg(self.config.path()).args(["--vm", &vm, "--format", "json"]).args(arguments);
        command.stdin(Stdio::null()).stderr(file.try_clone().expect("a second handle")).stdout(file);
        let child = command.spawn().expect("the binary starts");
        self.workers.push(Worker { vm, child, output, end: None, is_stopped: false });
        self.workers.len() - 1
    }

    /// Starts a worker for this VM and waits until it is its VM's worker.
    pub fn start_ready(&mut self, vm: usize) -> usize {
        let at = self.start(vm);
        self.wait_for(at, "it is ready", |worker| !worker.said("ready").is_empty());
        at
    }

    /// Waits for something of a worker that runs.
    #[track_caller]
    pub fn wait_for(&mut self, at: usize, what: &str, holds: impl Fn(&Worker) -> bool) {
        let mut is_over = false;
        let tale = self.tale();
        let worker = &mut self.workers[at];
        wait_until(what, || {
            is_over = worker.has_ended();
            is_over || holds(worker)
        });
        assert!(holds(worker), "{} has ended before {what}:\n{tale}\n{}", worker.vm, worker.tale());
    }

    /// Works until nothing waits, and ends well.
    pub fn once(&mut self, vm: usize) {
        let at = self.start_with(vm, &["--once"]);
        let status = self.workers[at].wait();
        assert_eq!(status.code(), Some(0), "{}", self.workers[at].tale());
    }

    /// `whimbrel queue CONFIG q …` to its end.
    pub fn queue(&self, arguments: &[&str]) -> Output {
        let mut command: Command = whimbrel();
        command.arg("queue").arg(self.config.path()).arg("q").args(arguments).stdin(Stdio::null());
        command.output().expect("the binary starts")
    }

    /// What all workers have said.
    pub fn tale(&self) -> String {
        self.workers.iter().map(Worker::tale).collect()
    }
}

impl Worker {
    /// Stops it where it is.
    pub fn stop(&mut self) {
        self.signal(Signal::STOP);
        self.is_stopped = true;
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        self.signal(Signal::CONT);
        self.is_stopped = false;
    }

    pub const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Kills it, as a power cut does.
    pub fn kill(&mut self) {
        if self.end.is_none() {
            let _ = self.child.kill();
            self.end = self.child.wait().ok();
        }
    }

    /// Asks it to end.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// How it ended, waited for.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait_until(&format!("a worker of {} ends", self.vm), || self.has_ended());
        self.end.expect("it has ended")
    }

    pub fn has_ended(&mut self) -> bool {
        if self.end.is_none() {
            self.end = self.child.try_wait().expect("a child can be waited for");
        }
        self.end.is_some()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The events of a type so far.
    pub fn said(&self, kind: &str) -> Vec<Value> {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["type"] == kind).collect()
    }

    /// All it has said, and how it ended.
    pub fn tale(&self) -> String {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        let end = self.end.map_or_else(|| "still runs".to_owned(), |end| end.to_string());
        format!("-- {} {} ({end})\n{text}", self.vm, self.pid())
    }

    fn signal(&mut self, signal: Signal) {
        if !self.has_ended() {
            kill_process(Pid::from_child(&self.child), signal).expect("it still runs");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
