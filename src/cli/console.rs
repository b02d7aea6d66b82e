//! The console with the embedded engine, on a config or on a simulated cluster: `whimbrel`, `whimbrel demo`.

use std::env;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tokio::sync::{mpsc, oneshot, watch};

use crate::console::{self, Colours, Glyphs, Options, ThemeName, Zone};
use crate::core::cluster::Span;
use crate::core::simulation::{START, Scenario, Size};
use crate::edge::config::{self, Config};
use crate::edge::supervisor::panic_message;
use crate::runtime::{
    Asked, ConfigInputs, Control, Ended, EngineHost, EventLoop, Frontend, HistoryBatcher, Outputs, Pace, Publisher,
    WRITTEN_WITHIN, Workers, give_past, over, steady_clock,
};
use crate::view::{HistoryView, Snapshot, UiCommand};

use super::{ClusterArgs, FAULT, FLEET_ONLY, WRONG_INPUT, load_with_bytes, speed};

/// Commands of the console that may wait for the engine.
const UNHEARD: usize = 64;
/// How long to wait for the end of an engine that has not begun: it has nothing to write.
const GOODBYE: Duration = Duration::from_millis(50);
/// How long to wait for the end of one that has begun: its last writes have a shorter deadline.
const PATIENCE: Duration = Duration::from_secs(WRITTEN_WITHIN.as_secs() + 5);
/// The demo has run this long when it opens, so that its graphs are not empty.
const WARM_UP: Span = Span::from_mins(20);
/// The largest simulated cluster that is written as a config file.
const WRITTEN_VMS: usize = 2_000;
/// The largest cluster that runs before it is shown: its first screen must not wait.
const WARMED_VMS: usize = 100;

/// How the console looks
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct ConsoleArgs {
    /// Colours for a dark or a light terminal, or none
    #[arg(long, value_enum, default_value_t = ThemeName::Dark)]
    theme: ThemeName,
    /// Plain ASCII instead of bars, blocks and braille
    #[arg(long)]
    ascii: bool,
    /// Clocks in UTC instead of local time
    #[arg(long)]
    utc: bool,
    /// Look only: nothing is moved, held, approved or edited from here
    #[arg(long)]
    read_only: bool,
}

impl ConsoleArgs {
    fn locked(self) -> Option<&'static str> {
        self.read_only.then_some("this console was opened with --read-only")
    }

    fn options(self) -> Options {
        let variable = |name: &str| env::var(name).ok();
        let (no_color, colorterm, term) = (variable("NO_COLOR"), variable("COLORTERM"), variable("TERM"));
        Options {
            theme: self.theme,
            ascii: self.ascii || locale().is_some_and(|locale| !Glyphs::is_utf8(&locale)),
            colours: Colours::from_env(no_color.as_deref(), colorterm.as_deref(), term.as_deref()),
            zone: if self.utc { Zone::Utc } else { Zone::Local },
        }
    }
}

/// Open the console on a simulated cluster
///
/// It needs nothing and touches nothing: its config and its history are temporary files, so that everything can be tried,
/// edits of policies too. It begins with a past: of days, or of the thesis's 48 hours in scenario 1.
#[derive(Debug, Args)]
pub(super) struct DemoCommand {
    /// fleet: 50 VMs with all four policies; 1, 2, 3: the thesis's scenarios
    #[arg(default_value = "fleet", value_name = "SCENARIO")]
    scenario: Scenario,
    #[command(flatten)]
    size: ClusterArgs,
    /// Simulated seconds a second
    #[arg(long, value_name = "X", default_value_t = 60.0, value_parser = speed)]
    speed: f64,
    #[command(flatten)]
    screen: ConsoleArgs,
}

impl DemoCommand {
    pub(super) fn run(self) -> Result<ExitCode> {
        if !self.size.fits(self.scenario) {
            eprintln!("error: {FLEET_ONLY}");
            return Ok(ExitCode::from(WRONG_INPUT));
        }
        demo(self.scenario, self.size.size(), self.size.seed(), self.speed, None, self.screen)
    }
}

/// The locale for characters. Without one, UTF-8 is assumed.
fn locale() -> Option<String> {
    ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| env::var(name).ok()).find(|value| !value.is_empty())
}

/// Opens the console on the config that was named or found, or else on the demo, whose banner says how to begin.
pub(super) fn open(named: Option<&Path>, screen: ConsoleArgs) -> Result<ExitCode> {
    let Some(path) = config::find(named) else {
        return demo(Scenario::Fleet, Size { vms: None, hosts: None }, 1, 60.0, Some(first_steps()), screen);
    };
    match load_with_bytes(&path) {
        Ok(config) => real(config, screen),
        Err(code) => Ok(code),
    }
}

fn first_steps() -> String {
    "No config was found: this cluster is simulated. To watch your own, save what `whimbrel discover URI…` prints of \
     your libvirt hosts, or config/first.toml, as ./whimbrel.toml, `whimbrel check`, then `whimbrel`."
        .to_owned()
}

fn real(loaded: (Config, Vec<u8>), screen: ConsoleArgs) -> Result<ExitCode> {
    let (now, config) = (steady_clock(), &loaded.0);
    // The first frame shows what the config says; it does not wait for the history.
    let engine_host = EngineHost::new(config.cluster.clone(), config.monitors.clone(), config.plan.clone(), now);
    let (mut publisher, snapshots) = Publisher::new(engine_host.engine(), now, Pace::Real.speed(), None);
    look_first(&mut publisher, &snapshots, &engine_host);
    let begin = move || {
        let event_loop = over(loaded, Frontend::Publish(publisher), screen.locked());
        event_loop.map(|event_loop| event_loop.operated_by(super::operator())).map_err(|error| error.to_string())
    };
    show(begin, snapshots, screen)
}

/// Opens the console on a simulated cluster.
pub(super) fn demo(
    scenario: Scenario,
    size: Size,
    seed: u64,
    speed: f64,
    banner: Option<String>,
    screen: ConsoleArgs,
) -> Result<ExitCode> {
    let (engine_host, mut outputs, snapshots) = simulated(scenario, size, seed, banner);
    // Its config and its history are temporary files. It has no journal: nothing goes on from it, and at its speed a slow
    // disk would miss the journal's deadline.
    let folder = tempfile::Builder::new().prefix("whimbrel-demo-").tempdir().ok();
    let at = folder.as_ref().map(|folder| folder.path().to_owned());
    let begin = move || {
        let pace = Pace::simulated(engine_host.now(), speed);
        if let Some(publisher) = outputs.publisher() {
            publisher.set_speed(pace.speed());
            publisher.extras.history = HistoryView::Off("its past is still being made".into());
        }
        let mut workers = Workers::default();
        let inputs = demo_inputs(scenario, size, seed, at.as_deref());
        // A file that cannot be watched is still read again when the operator asks.
        let _ = workers.start_config(ConfigInputs { locked: screen.locked(), ..inputs });
        let history = at.map(|at| at.join("state").join("history.db"));
        give_past(&workers, move || scenario.before(size, seed), history);
        let event_loop = EventLoop::new(engine_host, pace, outputs, workers);
        Ok(event_loop.operated_by(super::operator()).read_only(screen.locked()))
    };
    let left = show(begin, snapshots, screen);
    if let Some(folder) = folder {
        remove(folder);
    }
    left
}

/// Removes a demo's folder. It tries again for a while, because a thread may still write the history there.
fn remove(folder: tempfile::TempDir) {
    let path = folder.keep();
    let gone = |_: &u32| std::fs::remove_dir_all(&path).is_ok() || !path.exists();
    let _ = (0..10_u32).find(|n| {
        gone(n) || {
            thread::sleep(Duration::from_millis(5));
            false
        }
    });
}

/// Writes the demo's cluster as a config file, so that its policies can be edited.
fn demo_inputs(scenario: Scenario, size: Size, seed: u64, folder: Option<&Path>) -> ConfigInputs {
    let (cluster, monitors, plan) = scenario.build(size, seed);
    let path = folder.filter(|_| cluster.vms.len() <= WRITTEN_VMS).map(|folder| folder.join("demo.toml"));
    let config = Config::simulated(cluster, monitors, plan);
    let file = path.filter(|path| std::fs::write(path, config::render(&config)).is_ok());
    let untold = file.is_some().then_some((config.cluster, config.plan));
    ConfigInputs { file, untold, ..ConfigInputs::default() }
}

type Snapshots = watch::Receiver<Arc<Snapshot>>;

/// A simulated cluster that has run for a while, and its first snapshot. Its records wait until there is a history.
fn simulated(scenario: Scenario, size: Size, seed: u64, banner: Option<String>) -> (EngineHost, Outputs, Snapshots) {
    let (cluster, monitors, plan) = scenario.build(size, seed);
    let small = cluster.vms.len() <= WARMED_VMS;
    let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
    let (publisher, snapshots) = Publisher::new(engine_host.engine(), START, None, banner);
    let mut outputs = Outputs::new(Frontend::Publish(publisher), HistoryBatcher::soon(engine_host.engine(), START));
    let until = if small { START + WARM_UP } else { START };
    while engine_host.next_wake() <= until {
        let due = engine_host.next_wake();
        engine_host.wake(due, &mut outputs, &mut Asked::default());
    }
    if let Some(publisher) = outputs.publisher() {
        publisher.publish(engine_host.engine(), engine_host.now());
        look_first(publisher, &snapshots, &engine_host);
    }
    (engine_host, outputs, snapshots)
}

/// Adds the details of the first selected VM to the first snapshot.
fn look_first(publisher: &mut Publisher, snapshots: &Snapshots, engine_host: &EngineHost) {
    let look = console::first_look(&snapshots.borrow());
    publisher.set_look(look);
    publisher.publish(engine_host.engine(), engine_host.now());
}

/// A message of the engine's thread.
enum EngineNews {
    /// It runs: from now on its end may have to write something.
    Begun,
    /// What its end waits for.
    Waiting(String),
    /// It has ended well.
    Ended,
    /// It could not begin.
    Refused(String),
    /// It has ended, and this could not be written.
    Unsaved(String),
    /// It panicked.
    Died(String),
}

/// Runs the console on this thread and the engine on another.
fn show(
    begin: impl FnOnce() -> Result<EventLoop, String> + Send + 'static,
    snapshots: Snapshots,
    screen: ConsoleArgs,
) -> Result<ExitCode> {
    let (say, says) = mpsc::channel::<UiCommand>(UNHEARD);
    let (control, controls) = mpsc::channel::<Control>(1);
    // It sends four messages at most.
    let (news, engine_news) = blocking::sync_channel(8);
    let (leave, left_without) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = thread::Builder::new().name("engine".to_owned()).spawn(move || {
        let run = || {
            let waiting = news.clone();
            let event_loop =
                begin()?.says_waiting_to(move |what| drop(waiting.send(EngineNews::Waiting(what.to_owned()))));
            let _ = news.send(EngineNews::Begun);
            Ok(match runtime.block_on(event_loop.run(controls, Some(says))) {
                Ended::Unsaved(what) => EngineNews::Unsaved(what),
                _ => EngineNews::Ended,
            })
        };
        let end = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(ended) => ended.unwrap_or_else(EngineNews::Refused),
            Err(panic) => EngineNews::Died(panic_message(&*panic)),
        };
        // Without an engine there is nothing to show.
        let is_gone = matches!(end, EngineNews::Refused(_) | EngineNews::Died(_));
        let _ = news.send(end);
        if is_gone {
            let _ = leave.send(());
        }
        // A name lookup that hangs must not delay the end.
        runtime.shutdown_background();
    });
    engine.wrap_err("the engine's thread cannot be started")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = async {
        if left_without.await.is_err() {
            pending::<()>().await;
        }
    };
    let left = runtime.block_on(console::run(screen.options(), snapshots, say, stop));
    let _ = control.try_send(Control::Stop);
    let left = left.map(|()| ExitCode::SUCCESS).wrap_err("no console (without a terminal: whimbrel run)");
    exit_code(&engine_news, left)
}

/// Waits for the engine's end, and prints what it waits for. If it ends well, the exit code is that of the console.
fn exit_code(news: &blocking::Receiver<EngineNews>, left: Result<ExitCode>) -> Result<ExitCode> {
    let last = Instant::now() + PATIENCE;
    let mut has_begun = false;
    loop {
        let patience = if has_begun { last.saturating_duration_since(Instant::now()) } else { GOODBYE };
        match news.recv_timeout(patience) {
            Ok(EngineNews::Begun) => has_begun = true,
            Ok(EngineNews::Waiting(what)) => eprintln!("whimbrel: {what}"),
            Ok(EngineNews::Ended) => return left,
            Ok(EngineNews::Refused(why) | EngineNews::Unsaved(why)) => return Err(eyre!(why)),
            Ok(EngineNews::Died(why)) => {
                eprintln!(
                    "whimbrel: the engine failed: {why}; nothing is moved any more; please report it with its log"
                );
                return Ok(ExitCode::from(FAULT));
            }
            Err(_) if !has_begun => return left,
            Err(_) => return Err(eyre!("the engine did not end: what happened last may not be written")),
        }
    }
}
