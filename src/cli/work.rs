//! `whimbrel work`: the worker of a queue, inside the VM.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Local};
use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{FAULT, load_any, refuse, span};
use crate::core::cluster::Span;
use crate::edge::config::{AnyConfig, WorkerConfig};
use crate::edge::queue::QueueStore;
use crate::edge::queue::worker::{QueueWorker, WorkEvent, WorkerEnd, WorkerSettings};
use crate::runtime::{Format, NonBlockingStdout};

/// Where a VM is if nobody says.
const HOME: &str = "home";

/// Work a queue's jobs, inside the VM
///
/// Claims a page of the VM's queue, works its jobs, delivers their results, and claims the next page. A claim that was left half
/// done is continued. SIGTERM and SIGINT end it: it finishes the jobs in hand; a second one breaks them off.
///
/// Exit status: 0 ended in order; 1 the queue cannot be worked, another worker of this VM was started, or jobs were broken off.
#[derive(Debug, Args)]
pub(super) struct WorkCommand {
    /// The config: the cluster's, or one that has only the queue and the VM
    config: PathBuf,
    /// The VM in which it runs
    #[arg(long, value_name = "NAME")]
    vm: String,
    /// The site where it runs [default: what control/VM.json says]
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// End when no page waits
    #[arg(long, conflicts_with = "lasts")]
    once: bool,
    /// End after this much time, as SIGTERM does: 60s, 10m, 24h
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    lasts: Option<Span>,
    /// What standard output gets
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl WorkCommand {
    pub(super) fn run(self) -> Result<ExitCode> {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(code) => return Ok(code),
        };
        let store = QueueStore::new(&settings.queue).map_err(|trouble| eyre!("{trouble}"))?;
        let (out, _) = NonBlockingStdout::onto(Box::new(io::stdout())).wrap_err("there is no thread for the output")?;
        let worker = QueueWorker::new(settings, store, Box::new(printer(self.format, out)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let end = runtime.block_on(async {
            let (tell, told) = watch::channel(0);
            let signals = EndSignals::catch().wrap_err("signals cannot be caught")?;
            tokio::spawn(signals.count(tell, self.lasts));
            Ok::<_, color_eyre::Report>(worker.run(told).await)
        });
        // A source that hangs must not delay the end.
        runtime.shutdown_background();
        match end? {
            WorkerEnd::InOrder => Ok(ExitCode::SUCCESS),
            WorkerEnd::AtOnce => Ok(ExitCode::FAILURE),
            WorkerEnd::TakenOver(why) | WorkerEnd::Unusable(why) | WorkerEnd::Undelivered(why) => Err(eyre!(why)),
            WorkerEnd::Fault(why) => {
                // Standard error may be closed.
                let _ = writeln!(io::stderr(), "whimbrel: {why}");
                Ok(ExitCode::from(FAULT))
            }
        }
    }

    fn settings(&self) -> Result<WorkerSettings, ExitCode> {
        let (config, home) = match load_any(&self.config)? {
            AnyConfig::Worker(config) => (config, None),
            AnyConfig::Whole(config) => {
                let vm = config.cluster.vm_named(&self.vm).map(|vm| config.cluster.vm(vm));
                let home = vm.map(|vm| config.cluster.site_of(vm.host).name.to_string());
                (WorkerConfig::from(*config), home)
            }
        };
        let Some((vm, queue)) = config.vm(&self.vm) else {
            let names: Vec<&str> = config.vms.iter().map(|vm| vm.name.as_str()).take(12).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let (path, vm) = (self.config.display(), &self.vm);
            return Err(refuse(&format!(
                "error: {path}: no VM named '{vm}' works a queue\nhelp: the VMs that do: {names}"
            )));
        };
        Ok(WorkerSettings {
            queue: queue.clone(),
            vm: self.vm.clone(),
            site: self.site.clone(),
            home: home.unwrap_or_else(|| HOME.to_owned()),
            interval: vm.interval,
            once: self.once,
        })
    }
}

/// Writes each event as a line. Whatever becomes of the output, the worker goes on.
fn printer(format: Format, mut out: NonBlockingStdout) -> impl FnMut(WorkEvent) {
    move |event| {
        let line = match format {
            Format::Json => serde_json::to_string(&event).unwrap_or_default(),
            Format::Text => {
                let at = DateTime::<Local>::from(event.at.utc());
                format!("{} {}", at.format("%H:%M:%S"), event.what)
            }
        };
        let _ = out.write_all(format!("{line}\n").as_bytes());
    }
}

/// The signals that end a worker.
struct EndSignals([Signal; 3]);

impl EndSignals {
    fn catch() -> io::Result<Self> {
        let caught = |kind| signal(kind);
        Ok(Self([caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?, caught(SignalKind::hangup())?]))
    }

    /// Counts them; the end of the time counts once.
    async fn count(self, times: watch::Sender<u32>, lasts: Option<Span>) {
        let Self([mut interrupt, mut terminate, mut hang_up]) = self;
        let time_is_up = async {
            match lasts {
                Some(lasts) => tokio::time::sleep(lasts.to_std()).await,
                None => std::future::pending().await,
            }
        };
        let mut time_is_up = std::pin::pin!(time_is_up);
        let mut is_up = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => times.send_modify(|times| *times += 1),
                _ = terminate.recv() => times.send_modify(|times| *times += 1),
                _ = hang_up.recv() => times.send_modify(|times| *times += 1),
                () = &mut time_is_up, if !is_up => {
                    is_up = true;
                    // After a signal it is no second one.
                    times.send_if_modified(|times| *times == 0 && { *times = 1; true });
                }
            }
        }
    }
}
