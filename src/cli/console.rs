//! The console with the embedded engine, on a config or on a simulated cluster.

use std::env;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr};
use tokio::sync::{mpsc, watch};

use crate::console::{self, Colours, Glyphs, Options, ThemeName, Zone};
use crate::core::cluster::Span;
use crate::core::simulation::{START, Scenario, Size};
use crate::edge::config;
use crate::runtime::{Asked, Conductor, Control, Heart, Pace, Publisher, Sink, steady_clock};
use crate::view::{Say, Snapshot};

use super::load;

/// Words a console may have said that the engine has not heard yet.
const UNHEARD: usize = 64;
/// How long the engine gets to end in order once the terminal is restored.
const GOODBYE: Duration = Duration::from_millis(50);
/// The demo is this old when it opens, so that its graphs say something; larger clusters begin at once.
const WARM_UP: Span = Span::from_mins(20);
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
    match load(&path) {
        Ok(config) => real(config, screen),
        Err(code) => Ok(code),
    }
}

fn first_steps() -> String {
    "No config was found: this cluster is simulated. To watch your own, start from config/first.toml: save it as \
     ./whimbrel.toml, `whimbrel check`, then `whimbrel`."
        .to_owned()
}

fn real(config: config::Config, screen: Screen) -> Result<ExitCode> {
    let now = steady_clock();
    let path = config.path.clone();
    let heart = Heart::new(config.cluster, config.monitors, config.plan, now);
    let (mut publisher, snapshots) = Publisher::new(heart.engine(), now, Pace::Real.clock(), None);
    look_first(&mut publisher, &snapshots, &heart);
    let begin = move || Conductor::new(heart, Pace::Real, Sink::Publish(publisher)).with_config(path);
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
    let (heart, publisher, snapshots) = simulated(scenario, size, seed, banner, WARM_UP);
    let begin = move || {
        let pace = Pace::simulated(heart.now(), speed);
        let mut publisher = publisher;
        publisher.set_clock(pace.clock());
        Conductor::new(heart, pace, Sink::Publish(publisher))
    };
    show(begin, snapshots, screen)
}

type Snapshots = watch::Receiver<Arc<Snapshot>>;

/// A simulated cluster that has run for a while, and its first snapshot.
fn simulated(
    scenario: Scenario,
    size: Size,
    seed: u64,
    banner: Option<String>,
    age: Span,
) -> (Heart, Publisher, Snapshots) {
    let (cluster, monitors, plan) = scenario.build(size, seed);
    let small = cluster.vms.len() <= WARMED_VMS;
    let mut heart = Heart::new(cluster, monitors, plan, START);
    let (mut publisher, snapshots) = Publisher::new(heart.engine(), START, crate::view::Clock::default(), banner);
    let until = if small { START + age } else { START };
    while heart.next_wake() <= until {
        let due = heart.next_wake();
        heart.wake(due, &mut publisher, &mut Asked::default());
    }
    publisher.publish(heart.engine(), heart.now());
    look_first(&mut publisher, &snapshots, &heart);
    (heart, publisher, snapshots)
}

/// The first frame has the details of what is selected first.
fn look_first(publisher: &mut Publisher, snapshots: &Snapshots, heart: &Heart) {
    let look = console::first_look(&snapshots.borrow());
    publisher.set_look(look);
    publisher.publish(heart.engine(), heart.now());
}

/// The console on this thread, the engine on another.
fn show(begin: impl FnOnce() -> Conductor + Send + 'static, snapshots: Snapshots, screen: Screen) -> Result<ExitCode> {
    let (say, says) = mpsc::channel::<Say>(UNHEARD);
    let (control, controls) = mpsc::channel::<Control>(1);
    let (ended, end) = blocking::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = thread::Builder::new().name("engine".to_owned()).spawn(move || {
        runtime.block_on(async { begin().run(controls, Some(says)).await });
        // A name that does not resolve must not keep anybody waiting.
        runtime.shutdown_background();
        let _ = ended.send(());
    });
    engine.wrap_err("the engine's thread cannot be started")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let left = runtime.block_on(console::run(screen.options(), snapshots, say, pending()));
    let _ = control.try_send(Control::Stop);
    let _ = end.recv_timeout(GOODBYE);
    left.map(|_| ExitCode::SUCCESS).wrap_err("no console (without a terminal: whimbrel run)")
}

/// Draw the demo's screens into SVG files, as `screenshots/` has them
#[derive(Debug, Args)]
pub(super) struct Screenshot {
    /// The folder they are written to
    #[arg(default_value = "screenshots")]
    folder: PathBuf,
}

impl Screenshot {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let (heart, mut publisher, snapshots) =
            simulated(Scenario::Fleet, Size { vms: None, hosts: None }, 1, None, Span::from_mins(44));
        publisher.set_clock(Pace::simulated(heart.now(), 60.0).clock());
        std::fs::create_dir_all(&self.folder).wrap_err_with(|| format!("{} cannot be made", self.folder.display()))?;
        for shot in console::shots() {
            let svg = shot.take(|look| {
                publisher.set_look(look);
                publisher.publish(heart.engine(), heart.now());
                Arc::clone(&snapshots.borrow())
            });
            let path = self.folder.join(format!("{}.svg", shot.name));
            std::fs::write(&path, svg).wrap_err_with(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
