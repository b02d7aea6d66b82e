//! The event loop's end of the control socket: takes the calls of other processes and answers them.

use std::path::Path;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::engine_host::{Asked, EngineHost};
use super::outputs::Outputs;
use crate::core::cluster::HostId;
use crate::core::engine::{Command, Engine};
use crate::edge::control::{Call, Reply, Request, Server, Subject};

/// Calls that may wait: there are no more callers than that.
const CALLS: usize = 16;

/// Takes calls from other processes.
pub struct ControlEndpoint {
    calls: Receiver<Result<Call, String>>,
    ask: Sender<Result<Call, String>>,
    server: Option<Server>,
}

impl Default for ControlEndpoint {
    fn default() -> Self {
        let (ask, calls) = channel(CALLS);
        Self { calls, ask, server: None }
    }
}

impl ControlEndpoint {
    /// Opens the socket beside a history.
    ///
    /// # Errors
    /// Why the socket cannot be opened, in words.
    pub fn open(&mut self, history: &Path) -> Result<(), String> {
        let server = Server::open(history, self.ask.clone());
        self.server = Some(server.map_err(|why| format!("no other process can command this engine: {why}"))?);
        Ok(())
    }

    /// The next call, or what is wrong with the socket, in words. Waits for ever if nobody calls.
    pub async fn call(&mut self) -> Result<Call, String> {
        match self.calls.recv().await {
            Some(call) => call,
            // The endpoint holds a sender itself, so the channel never closes.
            None => std::future::pending().await,
        }
    }
}

/// Answers a call. `locked`: why commands are refused, if they are.
pub fn answer(call: Call, engine_host: &mut EngineHost, outputs: &mut Outputs, asks: &mut Asked, locked: Option<&str>) {
    let Call { request, answer } = call;
    let reply = match request {
        Request::Command { command, by } => match locked.or_else(|| not_for_callers(&command)) {
            Some(why) => Reply::Done { ok: false, text: why.to_owned() },
            None => obey(command, &by, engine_host, outputs, asks),
        },
        Request::Plan { plan: Subject::Drain(name) } => of_host(&name, engine_host.engine(), |engine, host| {
            Ok(Reply::Plan { plan: engine.drain_plan(host, engine_host.now()) })
        }),
        Request::Follow { follow: Subject::Drain(name) } => of_host(&name, engine_host.engine(), |engine, host| {
            let progress = engine.drain(host).ok_or_else(|| format!("{name} is not being drained"))?;
            Ok(Reply::Progress { progress })
        }),
    };
    // The caller may have gone.
    let _ = answer.send(reply);
}

/// Why another process may not give this command; `None` if it may.
const fn not_for_callers(command: &Command) -> Option<&'static str> {
    match command {
        Command::Amend { .. } => Some("policies are edited in the config's file: the engine follows it"),
        _ => None,
    }
}

fn obey(command: Command, by: &str, engine_host: &mut EngineHost, outputs: &mut Outputs, asks: &mut Asked) -> Reply {
    let (ok, text) = engine_host.command(by, command.clone(), outputs, asks);
    if let Some(publisher) = outputs.publisher() {
        publisher.touched_by(&command, engine_host.engine());
    }
    Reply::Done { ok, text }
}

fn of_host(name: &str, engine: &Engine, what: impl FnOnce(&Engine, HostId) -> Result<Reply, String>) -> Reply {
    let host = engine.host_named(name).ok_or_else(|| format!("there is no host {name}"));
    host.and_then(|host| what(engine, host)).unwrap_or_else(|text| Reply::Done { ok: false, text })
}
