//! How an engine begins: where the one before it stopped, or, in a demo, with a past of its own.

use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::backroom::{Backroom, News};
use super::desk::Papers;
use super::drivers::crews;
use super::engine_host::{Asked, EngineHost, Listener};
use super::event_loop::EventLoop;
use super::history_batcher::HistoryBatcher;
use super::pace::{Pace, steady_clock};
use super::sink::{Show, Sink};
use crate::core::cluster::Timestamp;
use crate::core::engine::{Change, Command, Event, InFlight, Kept, KeptCluster};
use crate::core::simulation::{START, ScenarioPast};
use crate::edge::config::{Config, HistoryFile};
use crate::edge::history::{HistoryError, HistoryWriter, Note, Owner, Retention, Store, default_path};

/// An engine in real time for a config, as the bytes of its file say it, going on from its history, with that file watched.
///
/// # Errors
/// Another engine has the history: there must not be two.
pub fn over(
    (config, bytes): (Config, Vec<u8>),
    mut show: Show,
    locked: Option<&'static str>,
) -> Result<EventLoop, HistoryError> {
    let now = steady_clock();
    let mut backroom = Backroom::default();
    let crews = crews(&config);
    let papers =
        Papers { file: Some(config.path.clone()), locked, loaded: Some((config.clone(), bytes)), untold: None };
    let Begun { engine_host, in_flight, trouble, news } = begin(config, now, backroom.bell())?;
    show.reconfigured(engine_host.engine(), now);
    let kept = matches!(news, News::HistoryWriter(..));
    let batcher = if kept { HistoryBatcher::soon(engine_host.engine(), now) } else { HistoryBatcher::none() };
    let troubles = [trouble, backroom.open_desk(papers).err()];
    let mut event_loop = EventLoop::new(engine_host, Pace::Real, Sink::new(show, batcher), backroom).read_only(locked);
    // ScenarioPast anything is due: the first migration too is written down before it starts.
    event_loop.hears(news);
    event_loop.drive(crews);
    event_loop.prepare(|engine_host, sink, asks| {
        engine_host.resume(&in_flight, sink, asks);
        for text in troubles.into_iter().flatten() {
            engine_host.tell(Event::Trouble { vm: None, text }, sink, asks);
        }
    });
    Ok(event_loop)
}

/// Why there is no place for a history by default.
const HOMELESS: &str = "neither XDG_STATE_HOME nor HOME is set: name a file for it, [history] file = \"…\"";
/// Readings of a demo's past that are written in one go.
const BATCH: usize = 2_000;

/// An engine, and what it goes on from.
struct Begun {
    /// With every VM where it was left.
    engine_host: EngineHost,
    /// Migrations that were under way.
    in_flight: Vec<InFlight>,
    /// Why nothing is kept, if something should have been.
    trouble: Option<String>,
    /// What is new of the history.
    news: News,
}

/// An engine for a config, going on from its history. `notes` is where the history says what it has to say.
///
/// # Errors
/// Another engine has the history: there must not be two.
fn begin(config: Config, now: Timestamp, notes: UnboundedSender<News>) -> Result<Begun, HistoryError> {
    let path = match place(&config) {
        Ok(Some(path)) => path,
        Ok(None) => return Ok(fresh(config, now, None, "the config has it switched off".to_owned())),
        Err(why) => return Ok(fresh(config, now, Some(format!("nothing is kept: {why}")), why.to_owned())),
    };
    let retention = Retention { raw: config.history.raw, rolled: config.history.rolled };
    let left = open(&path, retention, &config.path.to_string_lossy(), now).and_then(|mut store| {
        let left = Left::behind(&mut store)?;
        Ok((keep(store, notes)?, left))
    });
    match left {
        Ok((keeper, left)) => {
            let Config { cluster, monitors, plan, .. } = config;
            let engine_host = match &left.kept[..] {
                [] => EngineHost::new(cluster, monitors, plan, now),
                kept => EngineHost::restored(cluster, monitors, plan, now, kept, left.cluster),
            };
            Ok(Begun { engine_host, in_flight: left.in_flight, trouble: None, news: News::HistoryWriter(keeper, path) })
        }
        Err(error @ HistoryError::InUse { .. }) => Err(error),
        Err(error) => {
            let trouble = Some(format!("nothing is kept: {error}"));
            Ok(fresh(config, now, trouble, error.to_string()))
        }
    }
}

fn fresh(config: Config, now: Timestamp, trouble: Option<String>, none: String) -> Begun {
    let engine_host = EngineHost::new(config.cluster, config.monitors, config.plan, now);
    Begun { engine_host, in_flight: Vec::new(), trouble, news: News::None(none) }
}

/// The history's file.
pub(super) fn place(config: &Config) -> Result<Option<PathBuf>, &'static str> {
    match &config.history.file {
        HistoryFile::Off => Ok(None),
        HistoryFile::At(path) => Ok(Some(path.clone())),
        HistoryFile::Default => default_path(&config.cluster.name, &config.path).map(Some).ok_or(HOMELESS),
    }
}

fn open(path: &Path, retention: Retention, config: &str, now: Timestamp) -> Result<Store, HistoryError> {
    let owner = Owner { pid: std::process::id(), config: config.to_owned(), since: now };
    Store::open(path, retention, &owner)
}

fn keep(store: Store, notes: UnboundedSender<News>) -> Result<HistoryWriter, HistoryError> {
    // Nobody listens any more: the engine has ended.
    HistoryWriter::start(store, move |note: Note| drop(notes.send(News::Note(note))))
}

/// What an engine left behind.
struct Left {
    kept: Vec<(String, Kept)>,
    cluster: Option<KeptCluster>,
    in_flight: Vec<InFlight>,
}

impl Left {
    /// What cannot be read, of a version that wrote it otherwise, is as if it had not been kept.
    fn behind(store: &mut Store) -> Result<Self, HistoryError> {
        let kept = store.kept()?.into_iter();
        let kept: Vec<(String, Kept)> =
            kept.filter_map(|(vm, text)| Some((vm, serde_json::from_str(&text).ok()?))).collect();
        let mut in_flight = Vec::new();
        for about in store.in_flight()? {
            let of_vm = kept.iter().find(|(vm, _)| **vm == *about.vm);
            match of_vm.and_then(|(_, kept)| kept.outcome(about.id)) {
                // Followed again, its end would be told twice, or the VM be looked for where it long is no more.
                Some(outcome) => store.settle(about.id, outcome)?,
                None => in_flight.extend(serde_json::from_str(&about.body).ok()),
            }
        }
        let cluster = store.kept_cluster()?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self { kept, cluster, in_flight })
    }
}

/// Keeps what a simulated run does in this file.
///
/// # Errors
/// It cannot be had, or has an earlier run's history: the two would be mixed, instant by instant.
pub fn keep_in(path: &Path, engine_host: &mut EngineHost, backroom: &Backroom) -> Result<HistoryBatcher, HistoryError> {
    let store = open(path, Retention::default(), "demo", engine_host.now())?;
    if store.kept_cluster()?.is_some() || !store.in_flight()?.is_empty() {
        return Err(HistoryError::Used(path.to_owned()));
    }
    let mut batcher = HistoryBatcher::soon(engine_host.engine(), engine_host.now());
    batcher.keep_by(keep(store, backroom.bell())?);
    engine_host.journal_outside(true);
    Ok(batcher)
}

/// Gives a demo its past: simulates it into a new history, then hands that on. On a thread of its own, beside the first
/// screens.
pub fn give_past(backroom: &Backroom, before: impl FnOnce() -> ScenarioPast + Send + 'static, path: PathBuf) {
    let (notes, refused) = (backroom.bell(), backroom.bell());
    let write = move || write_past(before(), path, &notes);
    if let Err(error) = thread::Builder::new().name("past".to_owned()).spawn(write) {
        // The loop hears of it first of all.
        let _ = refused.send(News::None(error.to_string()));
    }
}

/// A new history for a demo.
pub(super) fn keep_demo(path: &Path, notes: UnboundedSender<News>) -> Result<HistoryWriter, HistoryError> {
    open(path, Retention::default(), "demo", START).and_then(|store| keep(store, notes))
}

fn write_past(before: ScenarioPast, path: PathBuf, notes: &UnboundedSender<News>) {
    let made = keep_demo(&path, notes.clone());
    let news = match made {
        Ok(keeper) => News::HistoryWriter(simulate(before, keeper), path),
        Err(error) => News::None(error.to_string()),
    };
    // Nobody listens any more: the demo was left.
    let _ = notes.send(news);
}

/// Simulates a demo's past into a history.
pub(super) fn simulate(before: ScenarioPast, keeper: HistoryWriter) -> HistoryWriter {
    let ScenarioPast { cluster, monitors, plan, from, edits } = before;
    let mut engine_host = EngineHost::new(cluster, monitors, plan, from);
    let mut batcher = HistoryBatcher::soon(engine_host.engine(), from);
    batcher.keep_by(keeper);
    let mut asks = Asked::default();
    let mut edits = edits.into_iter().peekable();
    while engine_host.next_wake() < START {
        let now = engine_host.next_wake();
        if let Some((_, vm, settings)) = edits.next_if(|(at, ..)| *at <= now) {
            let changes = vec![Change { vm, settings: Box::new(settings) }];
            let why = Some("too many moves".to_owned());
            engine_host.command("root", Command::Amend { changes, why }, &mut batcher, &mut asks);
        }
        engine_host.wake(now, &mut batcher, &mut asks);
        if batcher.waiting() >= BATCH {
            batcher.flush(&mut engine_host, true);
            // The simulation is faster than the disk: what waits would only take memory.
            batcher.close();
        }
    }
    batcher.flush(&mut engine_host, true);
    batcher.into_keeper().expect("it was given one above")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::cluster::{RequestId, Span, VmId};
    use crate::core::engine::Target;
    use crate::core::simulation::{Scenario, Size};
    use crate::edge::history::{Batch, Journalled};

    #[test]
    fn a_simulated_run_is_not_mixed_with_an_earlier_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = || {
            let (cluster, monitors, plan) = Scenario::One.build(Size::default(), 1);
            let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
            let mut batcher = keep_in(&folder.path().join("a.db"), &mut engine_host, &Backroom::default())?;
            batcher.flush(&mut engine_host, true);
            batcher.close();
            Ok::<_, HistoryError>(())
        };
        run().expect("nobody was there before");
        assert!(matches!(run(), Err(HistoryError::Used(_))));
    }

    #[test]
    fn a_migration_whose_outcome_was_written_but_not_its_rows_end_is_over() {
        let (cluster, monitors, plan) = Scenario::Two.build(Size::default(), 1);
        let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
        let (mut batcher, mut asks) = (HistoryBatcher::none(), Asked::default());
        let mut until = |engine_host: &mut EngineHost, after| {
            while engine_host.next_wake() <= START + after {
                engine_host.wake(engine_host.next_wake(), &mut batcher, &mut asks);
            }
        };
        until(&mut engine_host, Span::from_secs(1));
        let there = Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln4".to_owned()) };
        engine_host.command("operator", there, &mut HistoryBatcher::none(), &mut Asked::default());
        let kept = |engine_host: &EngineHost| {
            let engine = engine_host.engine();
            let vm = engine.cluster().vm_named("nii3").unwrap_or(VmId(0));
            serde_json::to_string(&engine.keep(vm)).expect("it can be written")
        };
        let before = kept(&engine_host);
        until(&mut engine_host, Span::from_mins(3));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let mut store = open(&path, Retention::default(), "a.toml", START).expect("a history");
        let of = |id: u64| {
            let (id, vm) = (RequestId(id), Arc::from("nii3"));
            let body =
                format!(r#"{{"id":{},"vm":"nii3","from":"mln1","to":"mln4","action":"move","by":"operator"}}"#, id.0);
            Journalled { id, at: START, vm, from: Arc::from("mln1"), to: Arc::from("mln4"), body }
        };
        store.journal(&of(1)).expect("room");
        let keep = |store: &mut Store, body| {
            let batch = Batch { kept: vec![(Arc::from("nii3"), body)], ..Batch::default() };
            store.write(&batch).expect("room");
            let left = Left::behind(store).expect("what it left").in_flight;
            (left.iter().map(|migration| migration.id.0).collect::<Vec<_>>(), store.in_flight().expect("rows").len())
        };
        assert_eq!(keep(&mut store, before), (vec![1], 1), "it had no outcome yet: it is followed");
        store.journal(&of(2)).expect("room");
        assert_eq!(keep(&mut store, kept(&engine_host)), (vec![2], 1), "the first has one, the second began later");
    }
}
