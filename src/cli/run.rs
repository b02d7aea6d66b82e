//! `whimbrel run`: the engine without a screen.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};

use crate::core::cluster::{Mode, Span};
use crate::core::simulation::{START, Scenario};
use crate::edge::config::{self, Config};
use crate::runtime::{
    Ended, EngineHost, EventLoop, Format, Frontend, HistoryBatcher, Outputs, Pace, Printer, Workers, keep_in, over,
    steady_clock, to_control,
};

use super::{ClusterArgs, load_with_bytes, span, speed};

/// Run the engine without a screen; events go to standard output
#[derive(Debug, Args)]
pub(super) struct RunCommand {
    /// The config [default: as for whimbrel itself]
    #[arg(conflicts_with = "demo")]
    config: Option<PathBuf>,
    /// A simulated cluster instead: fleet, 1, 2 or 3
    #[arg(long, value_name = "NAME")]
    demo: Option<Scenario>,
    #[command(flatten)]
    sized: ClusterArgs,
    #[arg(long, value_name = "X|max", value_parser = speed_or_max, help = "Simulated seconds a second, or `max` (needs --for) [default: 60]")]
    speed: Option<f64>,
    /// End after this much time (simulated with --demo): 30s, 10m, 24h, 7d
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    lasts: Option<Span>,
    /// Keep the history of a simulated cluster in this file
    #[arg(long, value_name = "FILE", requires = "demo")]
    history: Option<PathBuf>,
    /// What standard output gets
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Reads a speed; `max` is infinite.
fn speed_or_max(text: &str) -> Result<f64, String> {
    match text {
        "max" => Ok(f64::INFINITY),
        _ => speed(text).map_err(|why| format!("{why}, or max")),
    }
}

impl RunCommand {
    pub(super) const fn is_demo(&self) -> bool {
        self.demo.is_some()
    }

    pub(super) fn run(self) -> Result<ExitCode> {
        if let Some(wrong) = self.wrong() {
            eprintln!("error: {wrong}");
            return Ok(ExitCode::from(super::WRONG_INPUT));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = runtime.block_on(self.conduct());
        // A file or a name lookup that hangs must not delay the end.
        runtime.shutdown_background();
        done
    }

    /// Options that cannot be combined, in words: none is ignored silently.
    fn wrong(&self) -> Option<&'static str> {
        let simulated = self.speed.is_some() || self.sized.is_set();
        match self.demo {
            None if simulated => Some("--vms, --hosts, --seed and --speed are for --demo: a config runs in real time"),
            Some(scenario) if !self.sized.fits(scenario) => Some(super::FLEET_ONLY),
            _ if self.speed.is_some_and(f64::is_infinite) && self.lasts.is_none() => {
                Some("--speed max needs --for: without an end it would write for ever")
            }
            _ => None,
        }
    }

    async fn conduct(self) -> Result<ExitCode> {
        // Without a config, SIGHUP ends it.
        let control = to_control(self.demo.is_none()).wrap_err("signals cannot be caught")?;
        let event_loop = match (&self.demo, config::find(self.config.as_deref())) {
            (Some(scenario), _) => self.demo(*scenario)?,
            (None, Some(path)) => match load_with_bytes(&path) {
                Ok(loaded) => self.real(loaded)?,
                Err(code) => return Ok(code),
            },
            (None, None) => return Ok(super::refuse("there is no config: name one, whimbrel run CONFIG, or --demo")),
        };
        let event_loop = event_loop.says_waiting_to(|what| eprintln!("whimbrel: {what}"));
        match event_loop.run(control, None).await {
            Ended::Unsaved(what) => Err(eyre!(what)),
            Ended::Stopped | Ended::TimeUp => Ok(ExitCode::SUCCESS),
            // The reader has read enough, as in `whimbrel run … | head`.
            Ended::Unread(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Ended::Unread(error) => Err(error).wrap_err("standard output cannot be written"),
        }
    }

    fn show(&self) -> Frontend {
        Frontend::Print(Printer::new(self.format, Box::new(io::stdout())))
    }

    fn demo(&self, scenario: Scenario) -> Result<EventLoop> {
        let (cluster, monitors, plan) = scenario.build(self.sized.size(), self.sized.seed());
        let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
        let pace = Pace::simulated(START, self.speed.unwrap_or(60.0));
        let mut workers = Workers::default();
        let batcher = match &self.history {
            Some(path) => keep_in(path, &mut engine_host, &mut workers)?,
            None => HistoryBatcher::none(),
        };
        let event_loop = EventLoop::new(engine_host, pace, Outputs::new(self.show(), batcher), workers);
        Ok(event_loop.until(self.lasts.map(|span| START + span)))
    }

    fn real(&self, loaded: (Config, Vec<u8>)) -> Result<EventLoop> {
        let config = &loaded.0;
        if self.format == Format::Text {
            let (vms, hosts, mode) = (config.cluster.vms.len(), config.cluster.hosts.len(), config.cluster.mode);
            let nobody = if mode == Mode::Ask { "; nobody can approve here: requests lapse" } else { "" };
            eprintln!("whimbrel: watching {vms} VMs on {hosts} hosts, mode {}{nobody}; ctrl-c ends", mode.word());
        }
        let until = self.lasts.map(|span| steady_clock() + span);
        // A reader that stops must not keep the engine from following a migration.
        let printer = Printer::that_never_waits(self.format, Box::new(io::stdout()))?;
        Ok(over(loaded, Frontend::Print(printer), None)?.until(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_of_times_or_max() {
        for (text, times) in [("60", 60.0), ("60x", 60.0), ("0.5", 0.5), ("1e6", 1e6)] {
            assert_eq!(speed_or_max(text), Ok(times), "{text}");
        }
        assert_eq!(speed_or_max("max"), Ok(f64::INFINITY));
        for text in ["", "0", "-1", "nan", "inf", "1000001", "fast", "x", "maxx"] {
            assert!(speed_or_max(text).is_err_and(|why| why.ends_with("or max")), "{text}");
        }
    }
}
