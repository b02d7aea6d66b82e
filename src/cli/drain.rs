//! `whimbrel drain`: a host is emptied by the engine that runs for the config, or by one that runs just for that.

mod embedded;
mod words;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Duration, Instant, sleep, timeout};

use self::embedded::Embedded;
use super::{ask, load_with_bytes, operator, refuse, say};
use crate::core::engine::{Command, DrainPlan};
use crate::edge::config::{self, Config};
use crate::edge::control::{Caller, Reply, Request, Subject, Unreached};
use crate::runtime::socket_place;

/// Hosts whose drivers have just been started are waited for so long.
const UNHEARD: Duration = Duration::from_secs(30);
/// They are asked for so often.
const LOOK: Duration = Duration::from_millis(200);
/// An engine answers within this time, or says that it cannot.
const ANSWERED: Duration = Duration::from_secs(15);

/// Move every VM away from a host, and keep it empty until it is released
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub(super) struct DrainCommand {
    /// The host
    host: String,
    /// The config [default: as for whimbrel itself]
    config: Option<PathBuf>,
    /// Start without asking
    #[arg(long, short)]
    yes: bool,
    /// Let the host take VMs again; ends a drain that is under way
    #[arg(long, conflicts_with_all = ["pause", "resume", "yes"])]
    release: bool,
    /// Move no more VMs away for now; what is on its way goes on
    #[arg(long, conflicts_with_all = ["resume", "yes"])]
    pause: bool,
    /// Go on after a pause
    #[arg(long, conflicts_with = "yes")]
    resume: bool,
    /// Lines of JSON instead of words (see docs/control.md)
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
The engine that runs for the config (a console, or `whimbrel run`) does it; leaving this command leaves it going on. If none
runs, one runs until the host is empty: it moves nothing else, as in mode observe.
Exit status:
  0 the host is empty, or what was asked is done; 1 it is not, or not yet; 2 wrong arguments, or nobody to ask";

impl DrainCommand {
    pub(super) fn run(self) -> Result<ExitCode> {
        let Some(path) = config::find(self.config.as_deref()) else {
            return Ok(refuse("there is no config: name one, whimbrel drain HOST CONFIG"));
        };
        let loaded = match load_with_bytes(&path) {
            Ok(loaded) => loaded,
            Err(code) => return Ok(code),
        };
        if let Some(wrong) = no_such_host(&self.host, &loaded.0) {
            return Ok(refuse(&wrong));
        }
        let socket = socket_place(&loaded.0).map_err(|why| eyre!("{}: {why}", path.display()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = runtime.block_on(self.go(&socket, loaded));
        runtime.shutdown_background();
        done
    }

    async fn go(&self, socket: &Path, loaded: (Config, Vec<u8>)) -> Result<ExitCode> {
        let embedded = match Caller::ask(socket, &self.plan()).await {
            Ok(_) => None,
            Err(Unreached::Nobody) => Some(Embedded::begin(loaded, operator()).await?),
            Err(why) => return Err(why.into()),
        };
        let begun = Cell::new(false);
        let obey = async {
            // One that has just begun has to open its door first.
            if let Some(embedded) = &embedded {
                embedded.opens(socket, &self.plan()).await?;
            }
            self.obey(socket, embedded.is_some(), &begun).await
        };
        let done = tokio::select! {
            done = obey => done,
            left = stopped() => left.map(|()| {
                self.say_left(embedded.is_some(), begun.get());
                ExitCode::FAILURE
            }),
        };
        if let Some(embedded) = embedded {
            embedded.end(socket).await;
        }
        done
    }

    async fn obey(&self, socket: &Path, embedded: bool, begun: &Cell<bool>) -> Result<ExitCode> {
        let host = self.host.clone();
        let command = match (self.release, self.pause, self.resume) {
            (true, ..) => Command::Undrain { host },
            (_, true, _) => Command::PauseDrain { host },
            (.., true) => Command::ResumeDrain { host },
            _ => return self.drain(socket, embedded, begun).await,
        };
        let (ok, text) = self.command(socket, command).await?;
        self.say_end(ok, &text);
        Ok(status(ok))
    }

    async fn drain(&self, socket: &Path, embedded: bool, begun: &Cell<bool>) -> Result<ExitCode> {
        let plan = self.planned(socket, embedded).await?;
        self.show(&Reply::Plan { plan: plan.clone() });
        if !plan.draining {
            match self.is_wanted().await? {
                Some(true) => {}
                Some(false) => {
                    eprintln!("nothing is moved");
                    return Ok(ExitCode::SUCCESS);
                }
                None => {
                    return Ok(refuse("there is no terminal to ask at: nothing is moved; --yes starts without asking"));
                }
            }
            let (ok, text) = self.command(socket, Command::Drain { host: self.host.clone() }).await?;
            if !ok {
                self.say_end(ok, &text);
                return Ok(ExitCode::FAILURE);
            }
        }
        begun.set(true);
        self.follow(socket).await
    }

    /// What draining would mean. An engine that has just begun has not heard of its hosts yet.
    async fn planned(&self, socket: &Path, embedded: bool) -> Result<DrainPlan> {
        let last = Instant::now() + UNHEARD;
        loop {
            let plan = match first(socket, &self.plan()).await? {
                Reply::Plan { plan } => plan,
                Reply::Done { text, .. } => return Err(eyre!(text)),
                Reply::Progress { .. } => return Err(eyre!("the engine answers something else")),
            };
            if !embedded || plan.unheard.is_empty() || Instant::now() >= last {
                return Ok(plan);
            }
            sleep(LOOK).await;
        }
    }

    /// Whether it is to be started; `None`: nobody can be asked.
    async fn is_wanted(&self) -> Result<Option<bool>> {
        if self.yes { Ok(Some(true)) } else { ask(&format!("Drain {}?", self.host)).await }
    }

    async fn command(&self, socket: &Path, command: Command) -> Result<(bool, String)> {
        match first(socket, &Request::Command { command, by: operator() }).await? {
            Reply::Done { ok, text } => Ok((ok, text)),
            Reply::Plan { .. } | Reply::Progress { .. } => Err(eyre!("the engine answers something else")),
        }
    }

    /// Shows how it goes on, until the host is empty or is not to be any more.
    async fn follow(&self, socket: &Path) -> Result<ExitCode> {
        let follow = Subject::Drain(self.host.clone());
        let mut caller = Caller::ask(socket, &Request::Follow { follow }).await?;
        let mut teller = words::Teller::default();
        let mut last = None;
        loop {
            let reply = next(&mut caller).await?;
            // The engine repeats itself to show that it is there.
            if reply.is_some() && last == reply {
                continue;
            }
            last.clone_from(&reply);
            match reply {
                Some(Reply::Done { ok, text }) => {
                    self.say_end(ok, &text);
                    return Ok(status(ok));
                }
                Some(Reply::Progress { progress }) if !self.json => {
                    for line in teller.lines(&progress) {
                        say(&line);
                    }
                }
                Some(reply) => self.show(&reply),
                None => {
                    return Err(eyre!(
                        "the engine has ended; when it is started again, it goes on draining {}",
                        self.host
                    ));
                }
            }
        }
    }

    fn say_left(&self, embedded: bool, begun: bool) {
        let host = &self.host;
        if !begun {
            eprintln!("\nnothing is moved");
        } else if embedded {
            eprintln!(
                "\nstopped: {host} takes no VMs and goes on being drained when whimbrel is started again; \
                 `whimbrel drain {host} --release` ends that"
            );
        } else {
            eprintln!("\nthe engine goes on draining {host}: --pause pauses that, --release ends it");
        }
    }

    fn plan(&self) -> Request {
        Request::Plan { plan: Subject::Drain(self.host.clone()) }
    }

    fn show(&self, reply: &Reply) {
        match reply {
            _ if self.json => say(&serde_json::to_string(reply).unwrap_or_default()),
            Reply::Plan { plan } => words::plan(plan).iter().for_each(|line| say(line)),
            Reply::Done { .. } | Reply::Progress { .. } => {}
        }
    }

    fn say_end(&self, ok: bool, text: &str) {
        if self.json {
            self.show(&Reply::Done { ok, text: text.to_owned() });
        } else if ok {
            say(text);
        } else {
            eprintln!("whimbrel: {text}");
        }
    }
}

/// Whoever watches has enough, or their terminal is closed.
async fn stopped() -> Result<()> {
    let [mut interrupt, mut terminate, mut hang_up] =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// The first answer to a question.
async fn first(socket: &Path, request: &Request) -> Result<Reply> {
    let mut caller = Caller::ask(socket, request).await?;
    next(&mut caller).await?.ok_or_else(|| eyre!("the engine does not answer"))
}

/// The next answer; `None`: there are no more.
async fn next(caller: &mut Caller) -> Result<Option<Reply>> {
    let answer = timeout(ANSWERED, caller.next()).await.wrap_err("the engine does not answer")?;
    answer.wrap_err("the engine is gone")
}

fn no_such_host(host: &str, config: &Config) -> Option<String> {
    let hosts = &config.cluster.hosts;
    let known: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    (!known.contains(&host)).then(|| format!("there is no host {host}; hosts are {}", known.join(", ")))
}

const fn status(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
