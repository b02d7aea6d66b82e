//! Instants of a migration, as both QEMUs tell them: from its begin to the hand-over and what comes after it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::lab::{Lab, wait};

/// A QEMU that says nothing for so long will say nothing more.
const SILENCE: Duration = Duration::from_secs(60);

/// One end of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Source,
    Destination,
}

/// When to strike.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// The destination's QEMU is there: libvirt prepares.
    Prepared,
    /// The source has so many percent of the guest's memory left to send, or less.
    Left(u64),
    /// This end's QEMU says this: an event, or a migration's status; and so many milliseconds later.
    Says(End, &'static str, u64),
}

impl When {
    /// Returns at that instant of a migration that is about to begin, or at its end if it never comes.
    pub fn await_it(self, lab: &Lab, name: &str, [from, to]: [usize; 2]) {
        let pid = |host| lab.qemus(name).into_iter().find(|qemu| qemu.host == host).map(|qemu| qemu.pid);
        match self {
            Self::Prepared => drop(wait("a destination", || pid(to))),
            Self::Left(percent) => {
                let mut talk = Talk::with(wait("a source", || pid(from)), name);
                talk.ask_until(|info| {
                    let ram = |key: &str| info["ram"][key].as_u64();
                    let (left, total) = (ram("remaining")?, ram("total").filter(|total| *total > 0)?);
                    (info["status"] != "setup" && left * 100 <= total * percent).then_some(())
                });
            }
            Self::Says(end, word, later) => {
                let host = if end == End::Source { from } else { to };
                Talk::with(wait("a QEMU", || pid(host)), name).hear(word);
                sleep(Duration::from_millis(later));
            }
        }
    }
}

/// A conversation with a QEMU, past libvirt.
struct Talk {
    stream: UnixStream,
    lines: std::io::Lines<BufReader<UnixStream>>,
}

impl Talk {
    fn with(pid: u32, name: &str) -> Self {
        let path = format!("/proc/{pid}/root/run/guest-{name}.qmp");
        let stream = wait("QEMU listens", || UnixStream::connect(&path).ok());
        stream.set_read_timeout(Some(SILENCE)).expect("a limit");
        let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
        let mut talk = Self { stream, lines };
        talk.say("qmp_capabilities");
        talk
    }

    fn say(&mut self, command: &str) {
        // One that is gone says nothing either.
        let _ = write!(self.stream, "{{\"execute\":\"{command}\"}}");
    }

    fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.ok()?;
        Some(serde_json::from_str(&line).unwrap_or_default())
    }

    /// Reads on to an event of this name, or a migration of this status; or to the end.
    fn hear(&mut self, word: &str) {
        while let Some(said) = self.next() {
            if said["event"] == word || (said["event"] == "MIGRATION" && said["data"]["status"] == word) {
                return;
            }
        }
    }

    /// Asks how the migration stands until that is an answer; or to the end.
    fn ask_until(&mut self, answer: impl Fn(&Value) -> Option<()>) {
        let end = Instant::now() + SILENCE;
        while Instant::now() < end {
            self.say("query-migrate");
            loop {
                let Some(said) = self.next() else { return };
                if said.get("return").is_some_and(|said| answer(said).is_some()) {
                    return;
                }
                if said["return"].get("status").is_some() || said["return"] == Value::Object(serde_json::Map::new()) {
                    break;
                }
            }
            sleep(Duration::from_millis(2));
        }
    }
}

/// Whether a process is there.
pub fn lives(pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}
