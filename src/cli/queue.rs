//! `whimbrel queue`: what waits in a queue and why, what is claimed, who works it, and what an operator does with it. The JSON
//! stays (`docs/queues.md`).

mod orders;
mod table;
mod told;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use color_eyre::eyre::{Result, WrapErr, eyre};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use self::told::{ToldQueue, ToldState};
use super::{load_any, refuse, span};
use crate::core::cluster::{Span, Timestamp, rfc3339};
use crate::core::queue::{Queue, QueueOverview};
use crate::edge::config::{self, WorkerConfig};
use crate::edge::queue::{QueueStore, SCHEMA, Trouble};
use crate::runtime::steady_clock;

/// While a state is waited for, a queue is looked at so often.
const LOOK: Duration = Duration::from_secs(1);

/// Show job queues: what waits and why, what is claimed, who works it; add pages, pause workers, return claims
#[derive(Debug, Args)]
#[command(after_long_help = AFTER, subcommand_value_name = "ACTION", subcommand_help_heading = "Actions", disable_help_subcommand = true)]
pub(super) struct QueueCommand {
    /// The config, whole or a worker's [default: as for whimbrel itself]
    config: Option<PathBuf>,
    /// The queue [default: all of the config; an action needs it]
    name: Option<String>,
    #[command(subcommand)]
    action: Option<QueueAction>,
    /// What standard output gets
    #[arg(long, value_enum, default_value_t)]
    format: QueueFormat,
    /// Wait for a state, then show it: exit status 0; 1 if the time was up
    #[arg(long, value_enum, value_name = "STATE")]
    wait: Option<AwaitedState>,
    /// The longest wait: 30s, 10m, 2h [default: no end]
    #[arg(long = "for", value_name = "SPAN", value_parser = span, requires = "wait")]
    longest: Option<Span>,
    /// Print the SQL that makes the tables of a queue in MariaDB or MySQL
    #[arg(long, exclusive = true)]
    schema: bool,
}

const AFTER: &str = "\
Examples:
  whimbrel queue                                       every queue of the config
  whimbrel queue whimbrel.toml render --format json    one queue, for programs
  whimbrel queue whimbrel.toml render --wait done --for 2h && collect-results
  whimbrel queue whimbrel.toml render add ./render-7   the page waits as render-7
  whimbrel queue whimbrel.toml render pause --for 2h --why 'the disk is full'
  whimbrel queue whimbrel.toml render worker nii4 > worker.toml
  whimbrel queue --schema | mysql q
Without a NAME, the states empty and done must be reached by every queue of the config, claimed and failed by any.
docs/queues.md explains queues and the JSON.
Exit status:
  0 well, or the state is reached; 1 it is not reached, or a queue cannot be read or changed;
  2 wrong arguments, or a config with errors";

/// What is done with a queue.
#[derive(Debug, Subcommand)]
enum QueueAction {
    /// Add a page: a text file with a job on each line. It waits under the file's name, which must be new
    Add {
        /// The file
        file: PathBuf,
    },
    /// Return a claim: its page waits again with the results that are there, and any worker goes on with it
    Return {
        /// The claim, VM.INSTANCE.N
        claim: String,
        /// Do not ask, although its worker is alive
        #[arg(long, short)]
        yes: bool,
    },
    /// Have jobs that were set aside tried again, in a claim or in a finished page
    Retry {
        /// The claim, VM.INSTANCE.N, or the finished page, PAGE.N
        claim: String,
        /// The jobs' numbers [default: all that were set aside]
        #[arg(value_name = "JOB")]
        jobs: Vec<u32>,
    },
    /// Pause the workers: each finishes the jobs in hand, begins no other and claims nothing more
    Pause {
        /// For so long: 30m, 2h, 1d [default: until `resume`]
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        lasts: Option<Span>,
        /// Why, for whoever wonders
        #[arg(long, value_name = "TEXT", default_value = "")]
        why: String,
    },
    /// Let the workers go on after a pause
    Resume,
    /// Print the config that a VM's worker needs: this queue and the VM, and nothing else of the cluster
    Worker {
        /// The VM
        vm: String,
    },
}

/// What standard output gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum QueueFormat {
    #[default]
    Table,
    Json,
}

/// A state that can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AwaitedState {
    /// No page waits; claimed ones may still be worked
    Empty,
    /// No page waits, and none is claimed
    Done,
    /// A page is claimed
    Claimed,
    /// A job was set aside, in a claim or in one of the newest 20 finished pages
    Failed,
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct ToldQueues<'a> {
    #[serde(with = "rfc3339")]
    at: Timestamp,
    queues: &'a [ToldQueue],
}

impl QueueCommand {
    pub(super) fn run(self) -> Result<ExitCode> {
        if self.schema {
            print(SCHEMA)?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(path) = config::find(self.config.as_deref()) else {
            return Ok(refuse("there is no config: name one, whimbrel queue CONFIG NAME"));
        };
        let config = match load_any(&path) {
            Ok(config) => WorkerConfig::from(config),
            Err(code) => return Ok(code),
        };
        let queues = match self.queues(&config) {
            Ok(queues) => queues,
            Err(why) => return Ok(refuse(&why)),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = runtime.block_on(self.go(&config, &queues));
        // A question at the terminal may still wait for its answer.
        runtime.shutdown_background();
        done
    }

    /// The queues that are meant, at least one.
    fn queues<'c>(&self, config: &'c WorkerConfig) -> Result<Vec<&'c Queue>, String> {
        let path = config.path.display();
        let names = || config.queues.iter().map(|queue| queue.name.as_str()).collect::<Vec<_>>().join(", ");
        match &self.name {
            _ if config.queues.is_empty() => Err(format!("error: {path}: it has no queue\nhelp: add a [[queue]]")),
            Some(name) => match config.queue(name) {
                Some(queue) => Ok(vec![queue]),
                None => Err(format!("error: {path}: no queue is named '{name}'\nhelp: its queues are {}", names())),
            },
            None if self.action.is_some() => {
                Err(format!("error: which queue?\nhelp: its name comes after the config; known are {}", names()))
            }
            None => Ok(config.queues.iter().collect()),
        }
    }

    async fn go(&self, config: &WorkerConfig, queues: &[&Queue]) -> Result<ExitCode> {
        match (&self.action, queues) {
            (Some(_), _) if self.wait.is_some() || self.format != QueueFormat::Table => {
                Ok(refuse("error: --format and --wait show a queue\nhelp: leave them out with an action"))
            }
            (Some(action), [queue, ..]) => orders::carry_out(action, config, queue).await,
            _ => self.show(config, queues).await,
        }
    }

    /// Shows the queues, once the awaited state is there or the time is up.
    async fn show(&self, config: &WorkerConfig, queues: &[&Queue]) -> Result<ExitCode> {
        let last = self.longest.map(|longest| Instant::now() + longest.to_std());
        let watched: Vec<Watched<'_>> = queues.iter().map(|queue| Watched::new(config, queue)).collect();
        let mut silent = BTreeSet::new();
        loop {
            let next = Instant::now() + LOOK;
            let mut told = Vec::new();
            for one in &watched {
                told.push(one.told().await);
            }
            let reached = self.wait.is_none_or(|state| state.is_reached(&told));
            let is_over = last.is_some_and(|last| next > last);
            if reached || is_over {
                self.print(&told)?;
                let unread = told.iter().any(|told| matches!(told.state, ToldState::Unread { .. }));
                if !reached {
                    eprintln!("whimbrel: the time is up, and the state is not reached");
                }
                return Ok(if reached && !unread { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            // A queue that cannot be read now may be readable later: that is said once.
            for ToldQueue { name, state, .. } in told {
                match state {
                    ToldState::Unread { trouble } if silent.insert(name.clone()) => {
                        eprintln!("whimbrel: {name}: {trouble}; still waiting");
                    }
                    ToldState::Unread { .. } => {}
                    ToldState::Read(_) => drop(silent.remove(&name)),
                }
            }
            sleep_until(next).await;
        }
    }

    fn print(&self, told: &[ToldQueue]) -> Result<()> {
        match self.format {
            QueueFormat::Table => print(&told.iter().map(table::table).collect::<Vec<_>>().join("\n")),
            QueueFormat::Json => {
                let told = ToldQueues { at: steady_clock(), queues: told };
                print(&(serde_json::to_string(&told)? + "\n"))
            }
        }
    }
}

/// Writes to standard output.
fn print(text: &str) -> Result<()> {
    io::stdout().write_all(text.as_bytes()).wrap_err("standard output cannot be written")
}

/// A queue that is looked at, perhaps again and again.
struct Watched<'c> {
    queue: &'c Queue,
    /// The VMs of the config that work it.
    vms: Vec<&'c str>,
    store: Result<QueueStore, Trouble>,
}

impl<'c> Watched<'c> {
    fn new(config: &'c WorkerConfig, queue: &'c Queue) -> Self {
        let vms = config.workers_of(&queue.name).map(|vm| vm.name.as_str()).collect();
        Self { queue, vms, store: QueueStore::new(queue) }
    }

    async fn overview(&self) -> Result<QueueOverview, Trouble> {
        self.store.as_ref().map_err(Trouble::clone)?.overview().await
    }

    async fn told(&self) -> ToldQueue {
        ToldQueue::new(self.queue, &self.vms, self.overview().await.map_err(|trouble| trouble.to_string()))
    }
}

impl AwaitedState {
    /// Whether the queues are in this state. A queue that could not be read is in none.
    fn is_reached(self, queues: &[ToldQueue]) -> bool {
        let mut read = queues.iter().map(|queue| match &queue.state {
            ToldState::Read(read) => Some(read),
            ToldState::Unread { .. } => None,
        });
        match self {
            Self::Empty => read.all(|queue| queue.is_some_and(|queue| queue.waiting == 0)),
            Self::Done => read.all(|queue| queue.is_some_and(|queue| queue.waiting == 0 && queue.claims.is_empty())),
            Self::Claimed => read.flatten().any(|queue| !queue.claims.is_empty()),
            Self::Failed => {
                read.flatten().any(|queue| queue.claims.iter().chain(&queue.finished).any(|claim| claim.failed > 0))
            }
        }
    }
}

/// A path that a config elsewhere can hold.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).wrap_err_with(|| eyre!("{} has no absolute path", path.display()))
}
