//! Commands from another process as the loop sees them: the door, who calls there, and what is answered.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::begin::place;
use super::engine_host::{Asked, EngineHost, Listener};
use super::sink::Sink;
use crate::core::cluster::{HostId, Timestamp};
use crate::core::engine::{Command, Engine, Record};
use crate::edge::config::Config;
use crate::edge::control::{Ask, Call, Plan, Progress, Reply, Server, beside};

/// The socket at which the engine of a config can be reached while it runs.
///
/// # Errors
/// It has none, and what to do about it.
pub fn door(config: &Config) -> Result<PathBuf, String> {
    match place(config) {
        Ok(Some(history)) => Ok(beside(&history)),
        Ok(None) => {
            Err("its history is off, and an engine is reached beside its history: give [history] a file".to_owned())
        }
        Err(why) => Err(why.to_owned()),
    }
}

/// Takes calls from other processes.
pub struct ControlEndpoint {
    calls: UnboundedReceiver<Call>,
    /// There are no more calls waiting than callers at the door.
    bell: UnboundedSender<Call>,
    server: Option<Server>,
}

impl Default for ControlEndpoint {
    fn default() -> Self {
        let (bell, calls) = unbounded_channel();
        Self { calls, bell, server: None }
    }
}

impl ControlEndpoint {
    /// Opens the door beside a history.
    ///
    /// # Errors
    /// Why nobody can call, in words.
    pub fn open(&mut self, history: &Path) -> Result<(), String> {
        let server = Server::open(history, self.bell.clone());
        self.server = Some(server.map_err(|why| format!("no other process can command this engine: {why}"))?);
        Ok(())
    }

    /// The next call. Never comes if nobody calls.
    pub async fn call(&mut self) -> Call {
        match self.calls.recv().await {
            Some(call) => call,
            // It holds a sender itself.
            None => std::future::pending().await,
        }
    }
}

/// Answers a call. `locked`: why nothing is commanded here, if so.
pub fn answer(call: Call, engine_host: &mut EngineHost, sink: &mut Sink, asks: &mut Asked, locked: Option<&str>) {
    let Call { ask, answer } = call;
    let reply = match ask {
        Ask::Command(command, by) => match locked.or_else(|| not_for_callers(&command)) {
            Some(why) => Reply::Done { ok: false, text: why.to_owned() },
            None => obey(command, &by, engine_host, sink, asks),
        },
        Ask::Plan(name) => of_host(&name, engine_host.engine(), |engine, host| {
            Ok(Reply::Plan { plan: Plan::of(engine, host, engine_host.now()) })
        }),
        Ask::Progress(name) => of_host(&name, engine_host.engine(), |engine, host| {
            let progress = Progress::of(engine, host).ok_or_else(|| format!("{name} is not being drained"))?;
            Ok(Reply::Progress { progress })
        }),
    };
    // The caller may have gone.
    let _ = answer.send(reply);
}

/// Why a command is not another process's to give.
const fn not_for_callers(command: &Command) -> Option<&'static str> {
    match command {
        Command::Amend { .. } => Some("policies are edited in the config's file: the engine follows it"),
        _ => None,
    }
}

fn obey(command: Command, by: &str, engine_host: &mut EngineHost, sink: &mut Sink, asks: &mut Asked) -> Reply {
    let mut heard = CommandReply { sink, answer: None };
    engine_host.command(by, command.clone(), &mut heard, asks);
    let answer = heard.answer;
    if let Some(publisher) = sink.publisher() {
        publisher.touched_by(&command, engine_host.engine());
    }
    let (ok, text) = answer.unwrap_or_else(|| (true, "taken".to_owned()));
    Reply::Done { ok, text }
}

fn of_host(name: &str, engine: &Engine, what: impl FnOnce(&Engine, HostId) -> Result<Reply, String>) -> Reply {
    let host = engine.cluster().host_named(name).ok_or_else(|| format!("there is no host {name}"));
    host.and_then(|host| what(engine, host)).unwrap_or_else(|text| Reply::Done { ok: false, text })
}

/// What happens goes where it always goes; the first answer goes to who called.
struct CommandReply<'a> {
    sink: &'a mut Sink,
    answer: Option<(bool, String)>,
}

impl Listener for CommandReply<'_> {
    fn record(&mut self, record: &Record, engine: &Engine) {
        self.sink.record(record, engine);
    }

    fn answer(&mut self, ok: bool, text: &str) {
        match self.answer {
            None => self.answer = Some((ok, text.to_owned())),
            Some(_) => self.sink.answer(ok, text),
        }
    }

    fn host(&mut self, host: HostId) {
        self.sink.host(host);
    }

    fn reconfigured(&mut self, engine: &Engine, now: Timestamp) {
        self.sink.reconfigured(engine, now);
    }
}
