//! A VM's past for a screen, what was done over a span, and samples for what-if: read from the history.

use std::path::PathBuf;
use std::sync::Arc;

use super::file::{ConfigFile, Refusal};
use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::engine::{Happened, Phase, Record};
use crate::core::insight::{self, Activity, Entry, Recording, activity};
use crate::edge::history::{HistoryError, Order, Reader};
use crate::view::{ActivityAsk, ActivityView, Log, LogLine, Mark, MarkKind, Past, PastAsk};

/// The number of decisions on a screen.
const DECISIONS: usize = 100;
/// The number of migrations on a screen.
const MOVES: usize = 100;
/// How many entries of a VM are read for these lists.
const TOLD: usize = 1_000;
/// The most rows that are read for one screen: the newest ones.
const ROWS: usize = 50_000;
/// A rest is recorded when it begins. Its begin is searched so far back, because working hours repeat each week.
const LONGEST_REST: Span = Span::from_hours(8 * 24);
/// Two readings further apart than this many intervals are not joined.
const JOINED: (i64, i64) = (5, 2);

/// Why nothing can be read without a history.
const NO_HISTORY: &str = "there is no history";

/// The history, read.
pub(super) struct CachedReader {
    /// Where it is, or why it cannot be read.
    path: Result<PathBuf, &'static str>,
    reader: Option<Reader>,
}

type Read<T> = Result<T, Refusal>;

fn said(error: HistoryError) -> Refusal {
    Refusal::from(error.to_string())
}

/// The engine has not said yet where the history is: a demo makes its past first.
impl Default for CachedReader {
    fn default() -> Self {
        Self { path: Err("the history is still being opened"), reader: None }
    }
}

impl CachedReader {
    /// The history is in this file from now on; `None`: there will be none.
    pub(super) fn open(&mut self, path: Option<PathBuf>) {
        self.path = path.ok_or(NO_HISTORY);
        self.reader = None;
    }

    fn reader(&mut self) -> Read<&Reader> {
        let path = self.path.as_ref().map_err(|why| Refusal::from(*why))?;
        if self.reader.is_none() {
            self.reader = Some(Reader::open(path).map_err(said)?);
        }
        self.reader.as_ref().ok_or_else(|| NO_HISTORY.into())
    }

    /// A VM's samples for what-if.
    pub(super) fn recording(&mut self, vm: &str, from: Timestamp, to: Timestamp) -> Read<Recording> {
        let entries = self.reader()?.readings(vm, from, to + Span::from_millis(1)).map_err(said)?;
        Recording::of_entries(&entries).ok_or_else(|| format!("{vm} has no samples in this span").into())
    }

    /// What was done.
    pub(super) fn activity(&mut self, file: &ConfigFile, ask: ActivityAsk, now: Timestamp) -> ActivityView {
        let read = self.read_activity(file, &ask, now);
        let (activity, trouble) = match read {
            Ok(activity) => (activity, None),
            Err(why) => (Activity::default(), Some(why)),
        };
        ActivityView { ask, activity, trouble }
    }

    fn read_activity(&mut self, file: &ConfigFile, ask: &ActivityAsk, now: Timestamp) -> Read<Activity> {
        let (from, reader) = (now - ask.span, self.reader()?);
        let told = newest(reader, ask.vm.as_deref(), from - LONGEST_REST, now)?;
        if told.len() == ROWS {
            return Err(
                format!("more than {ROWS} events in this span: ask for a shorter one, or use whimbrel report").into()
            );
        }
        let mut placed = reader.placed(from - Span::from_hours(1), now).map_err(said)?;
        // As in `whimbrel report`: it is not known when a VM left that is no longer in the config.
        placed.retain(|one| file.config().is_none() || file.vm(&one.vm).is_some());
        Ok(activity(&told, &placed, from, now, ask.vm.as_deref()))
    }

    /// A VM's past.
    pub(super) fn past(&mut self, file: &ConfigFile, vm: Name, ask: PastAsk, now: Timestamp) -> Past {
        let to = ask.end.unwrap_or(now);
        let mut past = empty(vm, ask, to);
        past.longest_step = longest_step(file, &past);
        if let Err(why) = self.fill(&mut past, now) {
            past.trouble = Some(why);
        }
        past
    }

    fn fill(&mut self, past: &mut Past, now: Timestamp) -> Read<()> {
        let (from, to, columns) = (past.from, past.to, usize::from(past.ask.columns));
        let (vm, reader) = (past.vm.clone(), self.reader()?);
        past.begins = reader.reach(&vm).map_err(said)?.map(|(oldest, _)| oldest);
        let until = to + Span::from_millis(1);
        let entries: Vec<Entry> = reader.readings(&vm, from, until).map_err(said)?;
        let raw = reader.raw_since(&vm).map_err(said)?.unwrap_or(Timestamp::NEVER);
        let rolled = if raw > from { reader.rolled(&vm, from, until).map_err(said)? } else { Vec::new() };
        past.bands = insight::thin(&rolled, &entries, from, to, columns);
        past.longest_step = past.longest_step.max(widest(past, !rolled.is_empty()));
        past.gaps = insight::gaps(&entries);
        past.bounds = reader
            .settings(&vm, from, until)
            .map_err(said)?
            .iter()
            .map(|from| (from.at, from.settings.bounds()))
            .collect();
        let told = newest(reader, Some(&vm), from - LONGEST_REST, until)?;
        past.rests = insight::rests(&told, &vm, to).into_iter().filter(|rest| rest.to >= from).collect();
        past.marks = told.iter().filter(|told| told.at >= from).filter_map(mark).collect();
        // The lists go back to the first entry.
        let mut newest = reader
            .records(Some(&vm), Timestamp::from_millis(0), until.min(now), Order::NewestFirst, TOLD)
            .map_err(said)?;
        newest.reverse();
        past.moves = insight::past_moves(&newest).into_iter().take(MOVES).collect();
        past.decisions = decisions(&newest);
        Ok(())
    }
}

/// What happened in a span, oldest first. If there is too much, only the newest entries.
fn newest(reader: &Reader, vm: Option<&str>, from: Timestamp, to: Timestamp) -> Read<Vec<Record>> {
    let mut told = reader.records(vm, from, to, Order::NewestFirst, ROWS).map_err(said)?;
    told.reverse();
    Ok(told)
}

fn empty(vm: Name, ask: PastAsk, to: Timestamp) -> Past {
    Past {
        vm,
        ask,
        from: to - ask.span,
        to,
        begins: None,
        bands: Vec::new(),
        longest_step: Span::ZERO,
        bounds: Vec::new(),
        marks: Vec::new(),
        rests: Vec::new(),
        gaps: Vec::new(),
        decisions: Vec::new(),
        moves: Vec::new(),
        trouble: None,
    }
}

fn longest_step(file: &ConfigFile, past: &Past) -> Span {
    let interval = file.config().zip(file.vm(&past.vm)).map(|(config, vm)| config.cluster.vm(vm).interval);
    interval.unwrap_or(Span::from_mins(1)).scaled(JOINED.0, JOINED.1)
}

/// The distance of points: a column's width for bands, and a quarter of an hour for rolled-up samples.
fn widest(past: &Past, rolled: bool) -> Span {
    let column = past.ask.span.scaled(1, i64::from(past.ask.columns.max(1)));
    let band = if rolled { column.max(Span::from_mins(15)) } else { column };
    band.scaled(JOINED.0, JOINED.1)
}

fn mark(told: &Record) -> Option<Mark> {
    let kind = match &told.what {
        Happened::Migration { phase: Phase::Confirmed, to, .. } => MarkKind::Moved(to.clone()),
        Happened::Edit { .. } => MarkKind::Edited,
        _ => return None,
    };
    Some(Mark { at: told.at, kind })
}

/// Newest first.
fn decisions(told: &[Record]) -> Vec<Arc<LogLine>> {
    let mut log = Log::default();
    let lines: Vec<LogLine> = told.iter().filter_map(|told| log.line(told)).collect();
    lines.into_iter().rev().take(DECISIONS).map(Arc::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::engine::VmState;
    use crate::core::insight::PlacedFrom;
    use crate::core::insight::Retention;
    use crate::core::policy::Place;
    use crate::edge::history::{Batch, Store};
    use crate::runtime::config_worker::ConfigInputs;

    const NOW: Timestamp = Timestamp::from_secs(1_241_611_200);

    #[test]
    fn a_weeks_rest_is_rest_and_a_vm_that_is_gone_stays_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, path) = (folder.path().join("whimbrel.toml"), folder.path().join("a.db"));
        std::fs::write(&config, include_str!("../../../config/first.toml")).expect("a file");
        let (file, _) = ConfigFile::new(ConfigInputs { file: Some(config), ..ConfigInputs::default() });
        let at = NOW - Span::from_hours(7 * 24);
        let placed = |vm: &str, place| {
            let (vm, host) = (vm.into(), "mln1".into());
            PlacedFrom { at, vm, host, place, price: 1.0 }
        };
        let what = Happened::State { state: VmState::Resting, why: String::new() };
        let batch = Batch {
            placed: vec![placed("web", Place::Base), placed("gone", Place::Ring)],
            records: vec![Record { at, vm: Some("web".into()), what }],
            ..Batch::default()
        };
        Store::open(&path, Retention::default(), "a test").and_then(|mut store| store.write(&batch)).expect("room");
        let mut reader = CachedReader::default();
        reader.open(Some(path));
        let ask = ActivityAsk { vm: None, span: Span::from_hours(48) };
        let view = reader.activity(&file, ask, NOW);
        assert_eq!(view.trouble, None);
        let stays = view.activity.stays;
        assert_eq!((stays.rest.hours, stays.base.hours, stays.ring.hours), (48.0, 0.0, 0.0));
    }
}
