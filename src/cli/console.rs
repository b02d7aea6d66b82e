//! The console with the embedded engine, on a config or on a simulated cluster.

use std::env;
use std::future::pending;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr, eyre};
use tokio::sync::{mpsc, oneshot, watch};

use crate::console::{self, Colours, Glyphs, Options, ThemeName, Zone};
use crate::core::cluster::Span;
use crate::core::simulation::{START, Scenario, Size};
use crate::edge::config;
use crate::runtime::{
    Asked, Backroom, Control, EngineHost, EventLoop, HistoryBatcher, Pace, Papers, Publisher, Show, Sink, give_past,
    over, steady_clock,
};
use crate::view::{Snapshot, UiCommand};

use super::load_with_bytes;

/// Words a console may have said that the engine has not heard yet.
const UNHEARD: usize = 64;
/// How long the engine gets to end in order once the terminal is restored.
const GOODBYE: Duration = Duration::from_millis(50);
/// The demo is this old when it opens, so that its graphs say something; larger clusters begin at once.
const WARM_UP: Span = Span::from_mins(20);
/// The largest simulated cluster that is written as a config file.
const WRITTEN_VMS: usize = 2_000;
/// The largest cluster that is warmed up: its first screen must not wait.
const WARMED_VMS: usize = 100;

/// How the console looks
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Screen {
    /// Colours for a dark or a light terminal, or none
    #[arg(long, value_enum, default_value_t = ThemeArg::Dark)]
    theme: ThemeArg,
    /// Plain ASCII instead of bars, blocks and braille
    #[arg(long)]
    ascii: bool,
    /// Clocks in UTC instead of local time
    #[arg(long)]
    utc: bool,
    /// Subscription only: nothing is moved, held, approved or edited from here
    #[arg(long)]
    read_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ThemeArg {
    Dark,
    Light,
    Mono,
}

impl From<ThemeArg> for ThemeName {
    fn from(theme: ThemeArg) -> Self {
        match theme {
            ThemeArg::Dark => Self::Dark,
            ThemeArg::Light => Self::Light,
            ThemeArg::Mono => Self::Mono,
        }
    }
}

impl Screen {
    fn locked(self) -> Option<&'static str> {
        self.read_only.then_some("this console was opened with --read-only")
    }

    fn options(self) -> Options {
        let variable = |name: &str| env::var(name).ok();
        let (no_color, colorterm, term) = (variable("NO_COLOR"), variable("COLORTERM"), variable("TERM"));
        Options {
            theme: self.theme.into(),
            ascii: self.ascii || locale().is_some_and(|locale| !Glyphs::is_utf8(&locale)),
            colours: Colours::from_env(no_color.as_deref(), colorterm.as_deref(), term.as_deref()),
            zone: if self.utc { Zone::Utc } else { Zone::Local },
        }
    }
}

/// The locale of characters; a machine that says nothing of it is taken for a modern one.
fn locale() -> Option<String> {
    ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| env::var(name).ok()).find(|value| !value.is_empty())
}

/// Opens the console: on the config named or found, else on the demo, which then says how to begin.
pub(super) fn open(named: Option<&Path>, screen: Screen) -> Result<ExitCode> {
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

fn real(loaded: (config::Config, Vec<u8>), screen: Screen) -> Result<ExitCode> {
    let (now, config) = (steady_clock(), &loaded.0);
    // The first frame does not wait for the history: it shows what the config says.
    let engine_host = EngineHost::new(config.cluster.clone(), config.monitors.clone(), config.plan.clone(), now);
    let (mut publisher, snapshots) = Publisher::new(engine_host.engine(), now, Pace::Real.clock(), None);
    look_first(&mut publisher, &snapshots, &engine_host);
    let begin = move || {
        let event_loop = over(loaded, Show::Publish(publisher), screen.locked());
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
    screen: Screen,
) -> Result<ExitCode> {
    let (engine_host, mut sink, snapshots) = simulated(scenario, size, seed, banner);
    // Its config and its history are files like any other's, but not for long.
    let folder = tempfile::Builder::new().prefix("whimbrel-demo-").tempdir().ok();
    let at = folder.as_ref().map(|folder| folder.path().to_owned());
    let begin = move || {
        let pace = Pace::simulated(engine_host.now(), speed);
        if let Some(publisher) = sink.publisher() {
            publisher.set_clock(pace.clock());
        }
        let mut backroom = Backroom::default();
        let papers = demo_papers(scenario, size, seed, at.as_deref());
        // A file that cannot be watched is read again when asked to.
        let _ = backroom.open_desk(Papers { locked: screen.locked(), ..papers });
        match at {
            Some(at) => give_past(&backroom, move || scenario.before(size, seed), at.join("state").join("history.db")),
            None => sink.batcher = HistoryBatcher::none(),
        }
        let event_loop = EventLoop::new(engine_host, pace, sink, backroom);
        Ok(event_loop.operated_by(super::operator()).read_only(screen.locked()))
    };
    let left = show(begin, snapshots, screen);
    if let Some(folder) = folder {
        remove(folder);
    }
    left
}

/// Removes a demo's folder, also while its history is being written by a thread that is about to end.
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

/// The demo's cluster as a config file, so that its policies can be edited like any other's.
fn demo_papers(scenario: Scenario, size: Size, seed: u64, folder: Option<&Path>) -> Papers {
    let (cluster, monitors, plan) = scenario.build(size, seed);
    let path = folder.filter(|_| cluster.vms.len() <= WRITTEN_VMS).map(|folder| folder.join("demo.toml"));
    let file = path.filter(|path| {
        std::fs::write(path, config::render(config::Parts::simulated(&cluster, &monitors, &plan))).is_ok()
    });
    let untold = file.is_some().then_some((cluster, plan));
    Papers { file, untold, ..Papers::default() }
}

type Snapshots = watch::Receiver<Arc<Snapshot>>;

/// A simulated cluster that has run for a while, and its first snapshot. What it did waits for a history.
fn simulated(scenario: Scenario, size: Size, seed: u64, banner: Option<String>) -> (EngineHost, Sink, Snapshots) {
    let (cluster, monitors, plan) = scenario.build(size, seed);
    let small = cluster.vms.len() <= WARMED_VMS;
    let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
    let (publisher, snapshots) = Publisher::new(engine_host.engine(), START, crate::view::Clock::default(), banner);
    let mut sink = Sink::new(Show::Publish(publisher), HistoryBatcher::soon(engine_host.engine(), START));
    let until = if small { START + WARM_UP } else { START };
    while engine_host.next_wake() <= until {
        let due = engine_host.next_wake();
        engine_host.wake(due, &mut sink, &mut Asked::default());
    }
    if let Some(publisher) = sink.publisher() {
        publisher.publish(engine_host.engine(), engine_host.now());
        look_first(publisher, &snapshots, &engine_host);
    }
    (engine_host, sink, snapshots)
}

/// The first frame has the details of what is selected first.
fn look_first(publisher: &mut Publisher, snapshots: &Snapshots, engine_host: &EngineHost) {
    let look = console::first_look(&snapshots.borrow());
    publisher.set_look(look);
    publisher.publish(engine_host.engine(), engine_host.now());
}

/// The console on this thread, the engine on another.
fn show(
    begin: impl FnOnce() -> Result<EventLoop, String> + Send + 'static,
    snapshots: Snapshots,
    screen: Screen,
) -> Result<ExitCode> {
    let (say, says) = mpsc::channel::<UiCommand>(UNHEARD);
    let (control, controls) = mpsc::channel::<Control>(1);
    let (ended, end) = blocking::channel::<()>();
    let (refuse, refused) = oneshot::channel::<String>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = thread::Builder::new().name("engine".to_owned()).spawn(move || {
        match begin() {
            Ok(event_loop) => drop(runtime.block_on(event_loop.run(controls, Some(says)))),
            // Without an engine there is nothing to show.
            Err(why) => drop(refuse.send(why)),
        }
        // A name that does not resolve must not keep anybody waiting.
        runtime.shutdown_background();
        let _ = ended.send(());
    });
    engine.wrap_err("the engine's thread cannot be started")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut refusal = None;
    let stop = async {
        match refused.await {
            Ok(why) => refusal = Some(why),
            Err(_) => pending().await,
        }
    };
    let left = runtime.block_on(console::run(screen.options(), snapshots, say, stop));
    let _ = control.try_send(Control::Stop);
    let _ = end.recv_timeout(GOODBYE);
    if let Some(why) = refusal {
        return Err(eyre!(why));
    }
    left.map(|_| ExitCode::SUCCESS).wrap_err("no console (without a terminal: whimbrel run)")
}
