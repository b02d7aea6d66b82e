//! The command line: the arguments, what the subcommands share, and `whimbrel check`. Every other subcommand has a file.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to whoever called it")]

mod console;
mod discover;
mod drain;
mod log;
mod queue;
mod report;
mod run;
mod whatif;
mod work;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use color_eyre::eyre::{Result, WrapErr, bail, eyre};
use tokio::task::spawn_blocking;

pub use log::report_panics;

use crate::core::cluster::{Span, VmId};
use crate::core::format::counted;
use crate::core::queue::Queue;
use crate::core::simulation::{Scenario, Size};
use crate::edge::config::{self, AnyConfig, Config, HistoryFile};
use crate::edge::history::{Reader, default_path};
use crate::edge::queue::QueueStore;

/// Exit status for a config or arguments that are not right.
const WRONG_INPUT: u8 = 2;

/// Exit status for a fault of the program's own, as for a panic in `main`.
const FAULT: u8 = 101;

/// A terminal operations console for VM clusters in which each VM's own service decides when the VM moves.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_long_help = AFTER)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<CliCommand>,
    /// The config [default: $WHIMBREL_CONFIG, ./whimbrel.toml, $XDG_CONFIG_HOME/whimbrel/whimbrel.toml, else the demo]
    config: Option<PathBuf>,
    #[command(flatten)]
    screen: console::ConsoleArgs,
    /// The log's file [default: whimbrel.log in the state folder]
    #[arg(long, global = true, value_name = "FILE")]
    log: Option<PathBuf>,
}

const AFTER: &str = "\
Files:
  ./whimbrel.toml, or the XDG config folder's whimbrel/whimbrel.toml
  config/whimbrel.toml in the project is a sample with every key explained.
  The history (samples, decisions, moves, edits) is in $XDG_STATE_HOME/whimbrel, or where the config's [history] says.
  There too: the journal of migrations under way, and whimbrel.log with up to two older ones.
Environment:
  WHIMBREL_CONFIG  the config, if none is named
  WHIMBREL_LOG     what the log has: off, error, warn, info, debug or trace [default: info; of a demo error]
  XDG_STATE_HOME   where the folder of history, journal and log is [default: ~/.local/state]
  NO_COLOR         no colours; every state also shows as text or symbol
Exit status:
  0 well, 1 a failure while running, 2 wrong arguments or a config with errors,
  101 a fault of whimbrel's own: please report it with its log";

// The help of each subcommand is at its own type.
#[derive(Debug, Subcommand)]
enum CliCommand {
    Demo(console::DemoCommand),
    Run(run::RunCommand),
    Check(CheckCommand),
    Discover(discover::DiscoverCommand),
    Drain(drain::DrainCommand),
    Queue(queue::QueueCommand),
    Report(report::ReportCommand),
    Whatif(whatif::WhatIfCommand),
    Work(work::WorkCommand),
}

/// How large a simulated cluster is.
#[derive(Debug, Clone, Copy, Args)]
struct ClusterArgs {
    /// How many VMs (fleet only)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    vms: Option<u32>,
    /// How many hosts (fleet only)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=10_000))]
    hosts: Option<u32>,
    #[arg(long, value_name = "N", help = "The same seed is the same run [default: 1]")]
    seed: Option<u64>,
}

const FLEET_ONLY: &str = "--vms and --hosts are for the fleet: the thesis's scenarios have their own";

impl ClusterArgs {
    const fn size(self) -> Size {
        Size { vms: self.vms, hosts: self.hosts }
    }

    fn seed(self) -> u64 {
        self.seed.unwrap_or(1)
    }

    const fn is_set(self) -> bool {
        self.vms.is_some() || self.hosts.is_some() || self.seed.is_some()
    }

    /// Whether a scenario can be of this size.
    fn fits(self, scenario: Scenario) -> bool {
        scenario == Scenario::Fleet || (self.vms.is_none() && self.hosts.is_none())
    }
}

/// Dispatches to a subcommand.
pub fn run(cli: Cli) -> ExitCode {
    let demo = match &cli.command {
        Some(CliCommand::Demo(_)) => true,
        Some(CliCommand::Run(run)) => run.is_demo(),
        Some(_) => false,
        None => config::find(cli.config.as_deref()).is_none(),
    };
    if let Err(why) = log::begin(cli.log.as_deref(), demo) {
        return refuse(&why);
    }
    let done = match cli.command {
        Some(CliCommand::Check(check)) => return check.run(),
        Some(CliCommand::Run(run)) => run.run(),
        Some(CliCommand::Discover(discover)) => discover.run(),
        Some(CliCommand::Drain(drain)) => drain.run(),
        Some(CliCommand::Queue(queue)) => queue.run(),
        Some(CliCommand::Demo(demo)) => demo.run(),
        Some(CliCommand::Report(report)) => report.run(),
        Some(CliCommand::Whatif(whatif)) => whatif.run(),
        Some(CliCommand::Work(work)) => work.run(),
        None => console::open(cli.config.as_deref(), cli.screen),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "whimbrel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The operator's name for the log; with sudo, that of the person who called it.
fn operator() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let number = || format!("uid {}", rustix::process::getuid().as_raw());
    named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(number)
}

/// Loads a config, or prints its errors and returns the exit status for them.
fn load(path: &Path) -> Result<Config, ExitCode> {
    load_with_bytes(path).map(|(config, _)| config)
}

/// The same of a config of either form: of a cluster, or of workers alone.
fn load_any(path: &Path) -> Result<AnyConfig, ExitCode> {
    config::load_any(path).map_err(|report| {
        let _ = writeln!(io::stderr(), "{report}{}", hint(path));
        ExitCode::from(WRONG_INPUT)
    })
}

/// The same, and the file's bytes.
fn load_with_bytes(path: &Path) -> Result<(Config, Vec<u8>), ExitCode> {
    config::load_with_bytes(path).map_err(|report| {
        let _ = writeln!(io::stderr(), "{report}{}", hint(path));
        ExitCode::from(WRONG_INPUT)
    })
}

/// Opens a config's history for reading; an engine may be writing it meanwhile.
fn open_history(config: &Config) -> Result<Reader> {
    let path = match &config.history {
        HistoryFile::At(path) => path.clone(),
        HistoryFile::Default => default_path(&config.cluster.name, &config.path)
            .ok_or_else(|| eyre!("no place for a history\nhelp: set HOME, or `file` in [history] of the config"))?,
        HistoryFile::Off => bail!(
            "{}: the history is off, so there is nothing to read\nhelp: take `file = \"off\"` out of [history]",
            config.path.display()
        ),
    };
    Reader::open(&path).wrap_err("the history cannot be read")
}

/// A VM of the config by name, or which VMs there are instead.
fn vm_named(config: &Config, name: &str) -> Result<VmId, String> {
    config.cluster.vm_named(name).ok_or_else(|| {
        let names: Vec<&str> = config.cluster.vms.iter().map(|vm| vm.name.as_str()).take(12).collect();
        let more = if config.cluster.vms.len() > names.len() { ", …" } else { "" };
        format!(
            "error: {}: no VM is named '{name}'\nhelp: its VMs are {}{more}",
            config.path.display(),
            names.join(", ")
        )
    })
}

/// A line on standard output; a reader that has enough is no failure.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Asks the operator at the terminal; `None`: there is none.
async fn ask(question: &str) -> Result<Option<bool>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    eprint!("{question} [y/N] ");
    // On a thread of its own: a signal must not have to wait for the answer.
    let answer = spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await?.wrap_err("the answer cannot be read")?;
    Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
}

/// Prints why the request is refused, and returns the exit status for that.
fn refuse(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(WRONG_INPUT)
}

/// A hint for a word that is not a file: it may be a subcommand in the wrong place.
fn hint(path: &Path) -> &'static str {
    let word = path.to_str().filter(|_| !path.exists());
    match word {
        Some("demo" | "run" | "check" | "discover" | "drain" | "queue" | "report" | "whatif" | "work") => {
            "\nhelp: options go after the subcommand"
        }
        Some(word) if !word.contains(['.', '/']) => {
            "\nhelp: subcommands are demo, run, check, discover, drain, queue, report, whatif and work"
        }
        _ => "",
    }
}

/// Simulated seconds a second, with or without an `x`.
fn speed(text: &str) -> Result<f64, String> {
    match text.strip_suffix('x').unwrap_or(text).parse() {
        Ok(speed) if speed > 0.0 && speed <= 1e6 => Ok(speed),
        _ => Err("use a number above 0 and at most 1000000".to_owned()),
    }
}

/// A length of time: `30s`, `10m`, `24h`, `7d`, or several one after the other, `1h30m`. A number alone is seconds.
fn span(text: &str) -> Result<Span, String> {
    let mut rest = text;
    let mut millis: i64 = 0;
    loop {
        let split = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(split);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        if number.is_empty() {
            return Err("use a number and a unit: 30s, 10m, 24h, 7d, 1h30m".to_owned());
        }
        let more = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_ms(unit)?));
        match more.and_then(|more| millis.checked_add(more)) {
            Some(sum) => millis = sum,
            None if unit_ms(unit).is_none() => return Err(format!("'{unit}' is no unit: use ms, s, m, h or d")),
            None => return Err("it is too long".to_owned()),
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    if millis == 0 { Err("it must be above 0".to_owned()) } else { Ok(Span::from_millis(millis)) }
}

fn unit_ms(unit: &str) -> Option<i64> {
    match unit {
        "ms" => Some(1),
        "s" | "" => Some(1_000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

/// Check configs: 0, or 2 with every error
#[derive(Debug, Args)]
struct CheckCommand {
    /// The configs [default: as for whimbrel itself]
    #[arg(value_name = "CONFIG")]
    configs: Vec<PathBuf>,
    /// Also ask where the queues are kept whether pages can be claimed there: 1 if not. Missing folders are made
    #[arg(long)]
    connect: bool,
}

impl CheckCommand {
    fn run(self) -> ExitCode {
        let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
        let (mut wrong, mut unsaid, mut unusable) = (false, false, false);
        let found = if self.configs.is_empty() { config::find(None).into_iter().collect() } else { self.configs };
        if found.is_empty() {
            return refuse("there is no config: name one, whimbrel check CONFIG");
        }
        for path in &found {
            let (text, queues) = match config::load_any(path) {
                Ok(AnyConfig::Whole(config)) => {
                    let (vms, hosts) = (config.cluster.vms.len(), config.cluster.hosts.len());
                    (format!("right ({vms} VMs, {hosts} hosts)"), config.queues)
                }
                Ok(AnyConfig::Worker(config)) => {
                    let queues = counted(config.queues.len(), "queue", "queues");
                    let vms = counted(config.vms.len(), "VM", "VMs");
                    (format!("right, for workers and `whimbrel queue` alone ({queues}, {vms})"), config.queues)
                }
                Err(report) => {
                    unsaid |= writeln!(err, "{report}").is_err();
                    wrong = true;
                    continue;
                }
            };
            unsaid |= writeln!(out, "{}: {text}", path.display()).is_err();
            for queue in queues.iter().filter(|_| self.connect) {
                let head = format!("{}: queue {}", path.display(), queue.name);
                match probe(queue) {
                    Ok(warnings) => {
                        unsaid |= writeln!(out, "{head}: pages can be claimed there").is_err();
                        unsaid |= warnings.iter().any(|warning| writeln!(out, "{head}: warning: {warning}").is_err());
                    }
                    Err(trouble) => {
                        unsaid |= writeln!(err, "{head}: {trouble}").is_err();
                        unusable = true;
                    }
                }
            }
        }
        match (wrong, unsaid || unusable) {
            (true, _) => ExitCode::from(WRONG_INPUT),
            (false, true) => ExitCode::FAILURE,
            (false, false) => ExitCode::SUCCESS,
        }
    }
}

/// Whether pages can be claimed where a queue is kept: warnings, or what is in the way and its remedy.
fn probe(queue: &Queue) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("it cannot be asked: {error}"))?;
    let warnings = QueueStore::new(queue).and_then(|store| runtime.block_on(store.probe()));
    runtime.shutdown_background();
    warnings.map_err(|trouble| trouble.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_and_a_unit() {
        let ms = |text| span(text).map(Span::millis);
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("30", 30_000), ("10m", 600_000), ("10min", 600_000)] {
            assert_eq!(ms(text), Ok(millis), "{text}");
        }
        assert_eq!((ms("24h"), ms("7d")), (Ok(86_400_000), Ok(604_800_000)));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
    }

    #[test]
    fn what_is_no_span_is_said() {
        for (text, why) in [
            ("", "a number and a unit"),
            ("-5s", "a number and a unit"),
            ("h", "a number and a unit"),
            ("0s", "above 0"),
            ("3y", "'y' is no unit"),
            ("1.5h", "'.' is no unit"),
            ("5µs", "'µs' is no unit"),
            ("9223372036854775807d", "too long"),
            ("99999999999999999999s", "too long"),
        ] {
            assert!(span(text).is_err_and(|said| said.contains(why)), "{text}: {:?}", span(text));
        }
    }
}
