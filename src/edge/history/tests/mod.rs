//! The store, the reader and the keeper together.

mod trouble;

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::codec::strategy::entry;
use super::*;
use crate::core::cluster::{Direction, Span, Value};
use crate::core::engine::{Happened, VmState};
use crate::core::insight::{Retention, Seen};
use crate::core::policy::{Bound, Place, Rule, Settings};

/// What takes this long has failed: far more than any machine needs.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
const BEGIN: Timestamp = Timestamp::from_secs(1_241_613_000);
const FOREVER: (Timestamp, Timestamp) = (Timestamp::from_millis(0), Timestamp::NEVER);

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("a.db"), Retention::default(), "a test").expect("a history")
}

fn reader(folder: &Path) -> Reader {
    Reader::open(&folder.join("a.db")).expect("a history")
}

fn sample(at: Timestamp, value: f64) -> Entry {
    Entry { at, seen: Seen::Sample(Value::Exact(value)), count: 0, low_count: 0, state: VmState::Watching }
}

fn readings(vm: &str, entries: &[Entry]) -> Batch {
    let vm = Name::from(vm);
    Batch { readings: entries.iter().map(|entry| (vm.clone(), entry.clone())).collect(), ..Batch::default() }
}

fn minute(n: i64) -> Timestamp {
    BEGIN + Span::from_mins(n)
}

fn alarm(at: Timestamp, vm: Option<&str>, text: &str) -> Record {
    Record { at, vm: vm.map(Into::into), what: Happened::Alarm { text: text.to_owned() } }
}

fn settings(at: f64) -> Settings {
    Settings::new(Rule::Threshold { high: Bound { at, tarry: 3 } }, Direction::HigherIsWorse)
}

#[test]
fn what_is_written_is_read_head_and_chunks_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let all: Vec<Entry> = (0..1_000).map(|n| sample(minute(n), (n % 7) as f64)).collect();
    let mut store = open(folder.path());
    store.seal_at = 300;
    for part in all.chunks(90) {
        store.write(&readings("a", part)).expect("room");
        store.write(&readings("b", part)).expect("room");
        store.tend(minute(0)).expect("room");
    }
    let reader = reader(folder.path());
    let read = |reader: &Reader| reader.readings("b", FOREVER.0, FOREVER.1).expect("whole");
    assert_eq!(read(&reader), all);
    drop(store);
    let _store = open(folder.path());
    assert_eq!(read(&reader), all);
    assert_eq!(reader.readings("b", minute(10), minute(12)).expect("whole"), all[10..12]);
    assert_eq!(reader.samples("a", minute(500), minute(501)).expect("whole"), [(minute(500), Some(3.0))]);
    assert_eq!(reader.reach("a").expect("whole"), Some((minute(0), minute(999))));
    assert_eq!(reader.readings("c", FOREVER.0, FOREVER.1).expect("whole"), []);
    assert_eq!(reader.vms().expect("whole"), ["a", "b"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_of_writes_reads_as_the_last_word_of_each_instant(
        writes in prop::collection::vec((0_usize..3, prop::collection::vec(entry(2_000), 1..60), any::<bool>()), 1..12)
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path());
        store.seal_at = 64;
        let mut model: [BTreeMap<Timestamp, Entry>; 3] = Default::default();
        for (vm, entries, tend) in writes {
            store.write(&readings(["a", "b", "c"][vm], &entries)).expect("room");
            model[vm].extend(entries.into_iter().map(|entry| (entry.at, entry)));
            if tend {
                store.tend(BEGIN).expect("room");
            }
        }
        let reader = reader(folder.path());
        for (vm, model) in ["a", "b", "c"].into_iter().zip(&model) {
            let expected: Vec<Entry> = model.values().cloned().collect();
            let samples: Vec<_> = expected.iter().filter_map(|entry| match &entry.seen {
                Seen::Sample(value) => Some((entry.at, value.number())),
                Seen::Gap(_) => None,
            }).collect();
            let (middle, end) = (BEGIN + Span::from_secs(1_000), BEGIN + Span::from_secs(2_000));
            let inside = |at: Timestamp| (middle..end).contains(&at);
            let part: Vec<Entry> = expected.iter().filter(|entry| inside(entry.at)).cloned().collect();
            prop_assert_eq!(reader.readings(vm, FOREVER.0, FOREVER.1).expect("whole"), expected);
            prop_assert_eq!(reader.samples(vm, FOREVER.0, FOREVER.1).expect("whole"), samples);
            prop_assert_eq!(reader.readings(vm, middle, end).expect("whole"), part);
        }
    }

    #[test]
    fn a_roll_up_is_what_a_plain_count_gives(
        entries in prop::collection::vec(entry(40 * 3_600), 1..600), seal_at in 50_i64..400
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path());
        store.retention = Retention { raw: Span::from_hours(4), rolled: Span::from_hours(1_000) };
        store.seal_at = seal_at;
        let model: BTreeMap<Timestamp, Entry> = entries.into_iter().map(|entry| (entry.at, entry)).collect();
        let all: Vec<Entry> = model.values().cloned().collect();
        for part in all.chunks(40) {
            store.write(&readings("a", part)).expect("room");
            store.tend(part[part.len() - 1].at).expect("room");
        }
        let reader = reader(folder.path());
        let raw = reader.readings("a", FOREVER.0, FOREVER.1).expect("whole");
        let since = reader.raw_since("a").expect("whole").expect("the newest");
        prop_assert_eq!(&raw, &all.iter().filter(|entry| entry.at >= since).cloned().collect::<Vec<_>>());
        let rolled = reader.rolled("a", FOREVER.0, FOREVER.1).expect("whole");
        let mut old: BTreeMap<i64, Vec<&Entry>> = BTreeMap::new();
        for entry in all.iter().filter(|entry| entry.at < since) {
            old.entry(entry.at.millis() / 900_000 * 900_000).or_default().push(entry);
        }
        prop_assert_eq!(rolled.len(), old.len());
        for (rolled, (at, of)) in rolled.iter().zip(&old) {
            let numbers: Vec<f64> = of.iter().filter_map(|entry| match &entry.seen {
                Seen::Sample(value) => value.number(),
                Seen::Gap(_) => None,
            }).collect();
            let gaps = of.iter().filter(|entry| matches!(entry.seen, Seen::Gap(_))).count();
            prop_assert_eq!(rolled.at.millis(), *at);
            prop_assert_eq!((rolled.gaps as usize, rolled.samples as usize), (gaps, of.len() - gaps));
            if numbers.is_empty() {
                prop_assert!(rolled.min.is_nan() && rolled.mean.is_nan() && rolled.max.is_nan());
            } else {
                prop_assert_eq!(rolled.min, numbers.iter().copied().fold(f64::INFINITY, f64::min));
                prop_assert_eq!(rolled.max, numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max));
                let largest = numbers.iter().map(|v| v.abs()).fold(0.0, f64::max);
                let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
                prop_assert!((rolled.mean - mean).abs() <= 1e-12 * largest, "{} {mean}", rolled.mean);
            }
        }
    }
}

#[test]
fn raw_then_quarters_then_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.retention = Retention { raw: Span::from_hours(24), rolled: Span::from_hours(72) };
    let days = 5 * 24 * 60;
    for n in 0..days {
        if n % 60 == 0 {
            let hour: Vec<Entry> = (n..n + 60).map(|n| sample(minute(n), n as f64)).collect();
            store.write(&Batch { records: vec![alarm(minute(n), None, "x")], ..readings("a", &hour) }).expect("room");
            store.tend(minute(n + 59)).expect("room");
        }
    }
    // Sealed with the head that reaches back too far, or when it is full.
    store.seal(0).expect("room");
    store.tend(minute(days)).expect("room");
    let reader = reader(folder.path());
    let raw = reader.raw_since("a").expect("whole").expect("a day");
    assert_eq!(raw, minute(days) - Span::from_hours(24));
    let rolled = reader.rolled("a", FOREVER.0, FOREVER.1).expect("whole");
    let quarters = usize::try_from(raw.since(rolled[0].at).millis() / 900_000).expect("few");
    assert_eq!(rolled.len(), quarters);
    // A chunk of quarters goes when its last one is too old.
    assert!((48 * 4..96 * 4).contains(&quarters), "{quarters}");
    assert_eq!(reader.reach("a").expect("whole"), Some((rolled[0].at, minute(days - 1))));
    let told = reader.records(None, FOREVER.0, FOREVER.1, Order::OldestFirst, 1_000).expect("whole");
    assert_eq!(told.len(), 72);
}

#[test]
fn what_is_free_goes_back_to_the_disk_a_piece_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let records = (0..2_000).map(|n| alarm(minute(n), None, &"x".repeat(900))).collect();
    store.write(&Batch { records, ..readings("a", &[sample(minute(2_000), 1.0)]) }).expect("room");
    let pages = |store: &Store| -> i64 {
        store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a number")
    };
    let full = pages(&store);
    let years = minute(60 * 24 * 366 * 2);
    store.tend(years).expect("room");
    assert!(pages(&store) > full / 4 * 3, "a piece at a time");
    for _ in 0..6 {
        store.tend(years).expect("room");
    }
    assert!(pages(&store) < full / 4, "{} of {full}", pages(&store));
}

#[test]
fn a_vm_that_is_gone_is_rolled_up_and_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.retention = Retention { raw: Span::from_hours(1), rolled: Span::from_hours(48) };
    store.write(&readings("a", &[sample(minute(0), 1.0)])).expect("room");
    store.tend(minute(120)).expect("room");
    let reader = reader(folder.path());
    assert_eq!(reader.raw_since("a").expect("whole"), None);
    assert_eq!(reader.rolled("a", FOREVER.0, FOREVER.1).expect("whole").len(), 1);
    store.tend(minute(60 * 60)).expect("room");
    assert_eq!(reader.reach("a").expect("whole"), None);
}

#[test]
fn what_happened_is_read_by_vm_span_and_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let told = vec![
        alarm(minute(1), Some("a"), "one"),
        alarm(minute(2), None, "two"),
        alarm(minute(2), Some("b"), "three"),
        alarm(minute(3), Some("a"), "four"),
    ];
    store.write(&Batch { records: told.clone(), ..Batch::default() }).expect("room");
    let reader = reader(folder.path());
    let all = reader.records(None, FOREVER.0, FOREVER.1, Order::OldestFirst, usize::MAX).expect("whole");
    assert_eq!(all, told);
    let last = reader.records(Some("a"), FOREVER.0, FOREVER.1, Order::NewestFirst, 1).expect("whole");
    assert_eq!(last, told[3..]);
    let span = reader.records(None, minute(2), minute(3), Order::OldestFirst, 9).expect("whole");
    assert_eq!(span, told[1..3]);
    assert_eq!(reader.records(Some("x"), FOREVER.0, FOREVER.1, Order::OldestFirst, 9).expect("whole"), []);
}

#[test]
fn settings_and_places_are_written_when_they_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let set = |n, at| ("a".into(), SettingsFrom { at: minute(n), settings: settings(at) });
    let place = |n, vm: &str, host: &str| {
        let (vm, host) = (vm.into(), host.into());
        PlacedFrom { at: minute(n), vm, host, place: Place::Ring, price: 0.5 }
    };
    for n in [1, 2, 3] {
        store
            .write(&Batch { settings: vec![set(n, 20.0)], placed: vec![place(n, "a", "h1")], ..Batch::default() })
            .expect("room");
    }
    let placed = vec![place(5, "a", "h2"), place(4, "b", "h3")];
    store.write(&Batch { settings: vec![set(5, 50.0)], placed, ..Batch::default() }).expect("room");
    let reader = reader(folder.path());
    let of = |from, to| reader.settings("a", minute(from), minute(to)).expect("whole");
    assert_eq!(of(0, 9), [set(1, 20.0).1, set(5, 50.0).1]);
    assert_eq!(of(3, 5), [set(1, 20.0).1]);
    assert_eq!(of(5, 9), [set(5, 50.0).1]);
    assert_eq!(of(0, 1), []);
    let placed = reader.placed(minute(4), minute(9)).expect("whole");
    assert_eq!(placed, [place(1, "a", "h1"), place(4, "b", "h3"), place(5, "a", "h2")]);
    // A year later, those in force then are still there.
    store.retention.rolled = Span::from_hours(1);
    store.tend(minute(76)).expect("room");
    assert_eq!(of(0, 9), [set(5, 50.0).1]);
}

#[test]
fn what_is_kept_and_in_flight_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let kept = |text: &str| Batch {
        kept: vec![("a".into(), text.to_owned())],
        kept_cluster: Some(format!("all {text}")),
        ..Batch::default()
    };
    store.write(&kept("one")).expect("room");
    store.write(&kept("two")).expect("room");
    store.older_journal_row(7, "seven");
    store.older_journal_row(8, "eight");
    store.settle(crate::core::cluster::RequestId(7), "confirmed").expect("room");
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.journal_rows().expect("whole"), ["eight"]);
    assert_eq!(store.kept().expect("whole"), [("a".to_owned(), "two".to_owned())]);
    assert_eq!(store.kept_cluster().expect("whole").as_deref(), Some("all two"));
}

#[test]
fn a_reading_no_clock_can_have_made_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let odd = [i64::MIN, -1, 1 << 42, i64::MAX].map(|ms| sample(Timestamp::from_millis(ms), 1.0));
    store.write(&readings("a", &odd)).expect("room");
    assert_eq!(reader(folder.path()).reach("a").expect("whole"), None);
}

#[test]
fn the_writer_writes_what_was_queued_when_it_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let (say, said) = std::sync::mpsc::channel();
    let keeper =
        HistoryWriter::start(open(folder.path()), move |note| say.send(note).expect("it listens")).expect("a thread");
    for n in 0..500 {
        keeper.put(readings("a", &[sample(minute(n), 1.0)])).expect("no trouble");
    }
    assert_eq!(keeper.flush(PATIENCE), Flushed::Written);
    assert_eq!(reader(folder.path()).reach("a").expect("whole"), Some((minute(0), minute(499))));
    keeper.offer(readings("a", &[sample(minute(500), 1.0)])).expect("room");
    drop(keeper);
    assert_eq!(reader(folder.path()).reach("a").expect("whole"), Some((minute(0), minute(500))));
    let notes: Vec<Note> = said.iter().collect();
    assert!(notes.contains(&Note::Written { through: minute(500) }));
}
