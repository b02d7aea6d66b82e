//! Starts an engine: where the one before it stopped or, in a demo, with a simulated past.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::mpsc::Sender;
use tracing::{error, info};

use super::config_worker::ConfigInputs;
use super::drivers::driver_configs;
use super::engine_host::{Asked, EngineHost};
use super::event_loop::EventLoop;
use super::history_batcher::{HistoryBatcher, WRITTEN_WITHIN};
use super::journal_writer::JournalWriter;
use super::outputs::{Frontend, Outputs};
use super::pace::{Pace, steady_clock};
use super::places::{HOMELESS, history_place, journal_place};
use super::workers::{HistoryNews, Workers};
use crate::core::cluster::{Name, Timestamp};
use crate::core::engine::{Change, Command, Event, InFlight, Kept, KeptCluster};
use crate::core::insight::Retention;
use crate::core::simulation::{START, SimulatedCluster};
use crate::edge::config::Config;
use crate::edge::history::{HistoryError, HistoryFault, HistoryWriter, Note, Store};
use crate::edge::journal::{Journal, JournalError};
use crate::edge::supervisor::{REPORT_IT, fault, panic_message};

/// Readings of a demo's past in one batch.
const BATCH: usize = 2_000;

/// Why an engine cannot start: two must never work on the same files.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one has the history, or a simulated run's file has an earlier run's.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Another one has the journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// An engine in real time for a config, as the bytes of its file say it, going on from its history and its journal, with
/// that file watched.
///
/// # Errors
/// Another engine has them.
pub fn over(
    loaded: (Config, Vec<u8>),
    frontend: Frontend,
    locked: Option<&'static str>,
) -> Result<EventLoop, StartError> {
    let journal = journal_place(&loaded.0.path);
    over_with(loaded, journal, frontend, locked)
}

/// The same with the journal in this file.
pub(super) fn over_with(
    (config, bytes): (Config, Vec<u8>),
    journal: Option<PathBuf>,
    mut frontend: Frontend,
    locked: Option<&'static str>,
) -> Result<EventLoop, StartError> {
    let now = steady_clock();
    let (mut workers, mut troubles) = (Workers::default(), Vec::new());
    let drivers = driver_configs(&config);
    info!(config = %config.path.display(), vms = config.cluster.vms.len(), hosts = config.cluster.hosts.len(), "start");
    let inputs =
        ConfigInputs { file: Some(config.path.clone()), locked, loaded: Some((config.clone(), bytes)), untold: None };
    let words = |error: HistoryError| Some(error.to_string());
    let history = open_history(&config, now)?.and_then(|(mut store, path)| {
        let left = Left::behind(&mut store).map_err(words)?;
        Ok((store, path, left))
    });
    let (mut history, left) = match history {
        Ok((store, path, left)) => (Ok((store, path)), left),
        Err(why) => (Err(why), Left::default()),
    };
    if journal.is_none() {
        troubles.push(format!("{HOMELESS}; until then no migration starts, as none can be written down"));
    }
    let store = history.as_mut().ok().map(|(store, _)| store);
    let owner = config.path.to_string_lossy();
    let in_flight = left.open_journal(journal.as_deref(), &owner, store, &mut workers, now)?;
    let news = match history.and_then(|(store, path)| Ok((keep(store, workers.news()).map_err(words)?, path))) {
        Ok((writer, path)) => HistoryNews::Writer(writer, path),
        Err(why) => {
            troubles.extend(why.as_ref().map(|why| format!("nothing is kept: {why}")));
            HistoryNews::None(why.unwrap_or_else(|| "the config has it switched off".to_owned()))
        }
    };
    let Config { cluster, monitors, plan, queues, .. } = config;
    let mut engine_host = match &left.kept[..] {
        [] => EngineHost::new(cluster, monitors, plan, now),
        kept => EngineHost::restored(cluster, monitors, plan, now, kept, left.cluster),
    };
    engine_host.set_queues(queues);
    frontend.listener().reconfigured(engine_host.engine(), now);
    let kept = matches!(news, HistoryNews::Writer(..));
    let batcher = if kept { HistoryBatcher::soon(engine_host.engine(), now) } else { HistoryBatcher::none() };
    // Before anything is due, so that the first migration too is written down before it starts.
    engine_host.journal_outside(true);
    let not_watched = workers.start_config(inputs).err();
    let mut event_loop =
        EventLoop::new(engine_host, Pace::Real, Outputs::new(frontend, batcher), workers).read_only(locked);
    event_loop.hears(news);
    event_loop.start_drivers(drivers);
    event_loop.prepare(|engine_host, outputs, asks| {
        engine_host.resume(&in_flight, outputs, asks);
        for text in troubles.into_iter().chain(not_watched) {
            engine_host.tell(Event::Trouble { vm: None, text }, outputs, asks);
        }
    });
    Ok(event_loop)
}

/// The history of a config. The outer error: another engine has it. The inner one: there is none, and why, if there should
/// be one.
fn open_history(config: &Config, now: Timestamp) -> Result<Result<(Store, PathBuf), Option<String>>, HistoryError> {
    let path = match history_place(config) {
        Ok(Some(path)) => path,
        Ok(None) => return Ok(Err(None)),
        Err(why) => return Ok(Err(Some(why.to_owned()))),
    };
    match open(&path, config.retention, &config.path.to_string_lossy(), now) {
        Err(error @ HistoryError { fault: HistoryFault::InUse(_), .. }) => Err(error),
        Err(error) => Ok(Err(Some(error.to_string()))),
        Ok(store) => Ok(Ok((store, path))),
    }
}

fn open(path: &Path, retention: Retention, config: &str, now: Timestamp) -> Result<Store, HistoryError> {
    let owner = format!("pid {}, config {config}, since {}", std::process::id(), now.rfc3339());
    Store::open(path, retention, &owner)
}

fn keep(store: Store, news: Sender<HistoryNews>) -> Result<HistoryWriter, HistoryError> {
    // Without room the next note says as much; without a listener the engine has ended.
    HistoryWriter::start(store, move |note: Note| drop(news.try_send(HistoryNews::Note(note))))
}

/// What an engine left behind in its history.
#[derive(Default)]
struct Left {
    kept: Vec<(String, Kept)>,
    cluster: Option<KeptCluster>,
    /// Migrations that an older version wrote into the history before they started, and that have no outcome there.
    rows: Vec<InFlight>,
}

impl Left {
    /// Rows that cannot be read, because another version wrote them, count as absent.
    fn behind(store: &mut Store) -> Result<Self, HistoryError> {
        let kept = store.kept()?.into_iter();
        let kept = kept.filter_map(|(vm, text)| Some((vm, serde_json::from_str(&text).ok()?))).collect();
        let rows = store.journal_rows()?.iter().filter_map(|body| serde_json::from_str(body).ok()).collect();
        let cluster = store.kept_cluster()?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self { kept, cluster, rows })
    }

    /// How a migration ended, if that was saved. Such a migration is not followed again: its end would be told twice, or the
    /// VM be looked for where it has long left.
    fn outcome(&self, migration: &InFlight) -> Option<&'static str> {
        let of_vm = self.kept.iter().find(|(vm, _)| **vm == *migration.route.vm);
        of_vm.and_then(|(_, kept)| kept.outcome(migration.route.id))
    }

    /// Opens the journal for the workers, if it has a file. Returns the migrations to be followed.
    ///
    /// # Errors
    /// Another engine has it.
    fn open_journal(
        &self,
        path: Option<&Path>,
        owner: &str,
        store: Option<&mut Store>,
        workers: &mut Workers,
        now: Timestamp,
    ) -> Result<Vec<InFlight>, JournalError> {
        let Some(path) = path else { return Ok(self.rows.clone()) };
        let mut journal = match Journal::open(path, owner) {
            Err(error @ JournalError::InUse { .. }) => return Err(error),
            journal => journal,
        };
        let in_flight = match &mut journal {
            Ok(journal) => self.take_over(journal, store, now),
            Err(_) => self.rows.clone(),
        };
        workers.journal = JournalWriter::start(path, owner, journal).inspect_err(|why| error!(%why, "journal")).ok();
        Ok(in_flight)
    }

    /// Returns the migrations to be followed, and copies those of the history into the journal.
    fn take_over(&self, journal: &mut Journal, store: Option<&mut Store>, now: Timestamp) -> Vec<InFlight> {
        let in_journal: Vec<InFlight> = journal.under_way().cloned().collect();
        let mut in_flight = Vec::new();
        for migration in in_journal {
            match self.outcome(&migration) {
                // If this fails, the next start settles it.
                Some(outcome) => drop(journal.settle(migration.route.id, outcome)),
                None => in_flight.push(migration),
            }
        }
        // The journal is newer: a VM that moves by it has ended what the history says of it.
        let moving: Vec<Name> = in_flight.iter().map(|known| known.route.vm.clone()).collect();
        let mut moved = Vec::new();
        for row in &self.rows {
            let outcome = self.outcome(row);
            if outcome.is_none() && !moving.contains(&row.route.vm) {
                in_flight.push(row.clone());
                if journal.begin(now, row.clone()).is_err() {
                    continue;
                }
            }
            moved.push((row.route.id, outcome.unwrap_or("in the journal")));
        }
        if let Some(store) = store {
            for (id, outcome) in moved {
                if let Err(why) = store.settle(id, outcome) {
                    error!(id = id.0, %why, "history: this migration stays open there");
                }
            }
        }
        in_flight
    }
}

/// Keeps what a simulated run does in this file, with its journal beside it.
///
/// # Errors
/// It cannot be had, or has an earlier run's history: the two would be mixed, instant by instant.
pub fn keep_in(path: &Path, engine_host: &mut EngineHost, workers: &mut Workers) -> Result<HistoryBatcher, StartError> {
    let store = open(path, Retention::default(), "demo", engine_host.now())?;
    let journal = journal_beside(path);
    let open_journal = Journal::open(&journal, "demo")?;
    if store.kept_cluster()?.is_some() || open_journal.under_way().next().is_some() {
        return Err(HistoryFault::Used.at(path).into());
    }
    let mut batcher = HistoryBatcher::soon(engine_host.engine(), engine_host.now());
    batcher.keep_by(keep(store, workers.news())?);
    workers.journal = JournalWriter::start(&journal, "demo", Ok(open_journal)).ok();
    engine_host.journal_outside(true);
    Ok(batcher)
}

fn journal_beside(history: &Path) -> PathBuf {
    let mut path = history.as_os_str().to_owned();
    path.push(".journal");
    path.into()
}

/// Simulates a demo's past into a new history, and hands that to the loop. On a thread of its own, while the first screens
/// are shown.
///
/// `path`: without a file, there is no history.
pub fn give_past(workers: &Workers, before: impl FnOnce() -> SimulatedCluster + Send + 'static, path: Option<PathBuf>) {
    let (notes, refused) = (workers.news(), workers.news());
    let Some(path) = path else {
        let _ = refused.try_send(HistoryNews::None("no folder for temporary files".to_owned()));
        return;
    };
    let write = move || write_past(before, &path, &notes);
    if let Err(error) = thread::Builder::new().name("past".to_owned()).spawn(write) {
        // The loop reads this before anything else.
        let _ = refused.try_send(HistoryNews::None(error.to_string()));
    }
}

/// A new history for a demo.
fn keep_demo(path: &Path, notes: Sender<HistoryNews>) -> Result<HistoryWriter, HistoryError> {
    open(path, Retention::default(), "demo", START).and_then(|store| keep(store, notes))
}

fn write_past(before: impl FnOnce() -> SimulatedCluster, path: &Path, notes: &Sender<HistoryNews>) {
    let write = || {
        fault("past");
        keep_demo(path, notes.clone()).map(|keeper| simulate(before(), keeper)).map_err(|error| error.to_string())
    };
    let made = catch_unwind(AssertUnwindSafe(write));
    let news = match made.unwrap_or_else(|panic| Err(format!("{}; {REPORT_IT}", panic_message(&*panic)))) {
        Ok(keeper) => vec![HistoryNews::Writer(keeper, path.to_owned())],
        Err(why) => {
            let text = format!("the demo's past failed, so nothing is kept: {why}");
            vec![HistoryNews::Note(Note::Trouble(text)), HistoryNews::None(why)]
        }
    };
    // Nobody listens if the demo has ended meanwhile.
    news.into_iter().for_each(|news| drop(notes.blocking_send(news)));
}

/// Simulates a demo's past into a history.
fn simulate(before: SimulatedCluster, keeper: HistoryWriter) -> HistoryWriter {
    let SimulatedCluster { cluster, monitors, plan, from, edits } = before;
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
            // The simulation is faster than the disk; rows that wait would only take memory.
            batcher.close(WRITTEN_WITHIN);
        }
    }
    batcher.flush(&mut engine_host, true);
    batcher.into_keeper().expect("it was given one above")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{Span, VmId};
    use crate::core::engine::Target;
    use crate::core::simulation::{Scenario, Size};
    use crate::edge::history::Batch;

    #[test]
    fn a_simulated_run_is_not_mixed_with_an_earlier_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = || {
            let (cluster, monitors, plan) = Scenario::One.build(Size::default(), 1);
            let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
            let path = folder.path().join("a.db");
            let mut workers = Workers::default();
            let mut batcher = keep_in(&path, &mut engine_host, &mut workers)?;
            batcher.flush(&mut engine_host, true);
            batcher.close(WRITTEN_WITHIN);
            // Its thread ends, and with it the lock.
            Ok::<_, StartError>(())
        };
        run().expect("nobody was there before");
        assert!(matches!(
            run(),
            Err(StartError::History(HistoryError { fault: HistoryFault::Used, .. }) | StartError::Journal(_))
        ));
    }

    fn migration(id: u64) -> InFlight {
        let text = format!(r#"{{"id":{id},"vm":"nii3","from":"mln1","to":"mln4","action":"move","by":"operator"}}"#);
        serde_json::from_str(&text).expect("a migration")
    }

    fn ids(migrations: &[InFlight]) -> Vec<u64> {
        migrations.iter().map(|migration| migration.route.id.0).collect()
    }

    #[test]
    fn a_migration_whose_outcome_was_written_but_not_its_end_in_the_journal_is_over() {
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
        let mut store = open(&folder.path().join("a.db"), Retention::default(), "a.toml", START).expect("a history");
        let mut journal = Journal::open(&folder.path().join("a.journal"), "a.toml").expect("a journal");
        journal.begin(START, migration(1)).expect("room");
        let mut left = |journal: &mut Journal, body| {
            let batch = Batch { kept: vec![("nii3".into(), body)], ..Batch::default() };
            store.write(&batch).expect("room");
            let left = Left::behind(&mut store).expect("what it left").take_over(journal, None, START);
            (ids(&left), journal.under_way().count())
        };
        assert_eq!(left(&mut journal, before), (vec![1], 1), "it had no outcome yet: it is followed");
        journal.begin(START, migration(2)).expect("room");
        assert_eq!(left(&mut journal, kept(&engine_host)), (vec![2], 1), "the first has one, the second began later");
    }

    #[test]
    fn what_an_older_history_still_has_open_goes_over_into_the_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(&folder.path().join("a.db"), Retention::default(), "a.toml", START).expect("a history");
        let body = serde_json::to_string(&migration(7)).expect("it can be written");
        store.older_journal_row(7, &body);
        let path = folder.path().join("a.journal");
        for _ in 0..2 {
            let mut journal = Journal::open(&path, "a.toml").expect("a journal");
            let left = Left::behind(&mut store).expect("what it left");
            assert_eq!(ids(&left.take_over(&mut journal, Some(&mut store), START)), [7], "it is followed");
            assert_eq!(journal.under_way().collect::<Vec<_>>(), [&migration(7)]);
            assert!(store.journal_rows().expect("rows").is_empty(), "and is in one place only");
        }
        // A row that stayed there is older than what the journal has of the same VM.
        let mut journal = Journal::open(&path, "a.toml").expect("a journal");
        journal.begin(START, migration(8)).expect("room");
        drop(journal);
        store.older_journal_row(7, &body);
        for _ in 0..2 {
            let mut journal = Journal::open(&path, "a.toml").expect("a journal");
            let left = Left::behind(&mut store).expect("what it left");
            assert_eq!(ids(&left.take_over(&mut journal, Some(&mut store), START)), [8]);
        }
    }
}
