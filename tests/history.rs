//! The history against what happens to machines: killed processes, full disks, damaged files, two engines on one file.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use support::disk::Small;
use support::services::or_skip;
use whimbrel::core::cluster::{Direction, Name, RequestId, Span, Timestamp, Value};
use whimbrel::core::engine::{Happened, InFlight, Record, VmState};
use whimbrel::core::insight::{Entry, PlacedFrom, Retention, Seen, SettingsFrom};
use whimbrel::core::policy::{Bound, Place, Rule, Settings};
use whimbrel::edge::history::{Batch, Flushed, HistoryError, HistoryFault, HistoryWriter, Note, Order, Reader, Store};
use whimbrel::edge::journal::Journal;

/// What takes this long has failed: far more than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
const BEGIN: Timestamp = Timestamp::from_secs(1_241_613_000);
const FOREVER: (Timestamp, Timestamp) = (Timestamp::from_millis(0), Timestamp::NEVER);
const VMS: usize = 64;

fn minute(n: i64) -> Timestamp {
    BEGIN + Span::from_mins(n)
}

fn open(path: &Path) -> Result<Store, HistoryError> {
    Store::open(path, Retention::default(), &format!("pid {}", std::process::id()))
}

fn entry(at: Timestamp, seen: Seen) -> Entry {
    Entry { at, seen, count: 0, low_count: 0, state: VmState::Watching }
}

fn exact(at: Timestamp, value: f64) -> Entry {
    entry(at, Seen::Sample(Value::Exact(value)))
}

fn vm(n: usize) -> Name {
    format!("vm{n}").into()
}

/// A reading of every VM, and an alarm that says the number.
fn numbered(n: i64) -> Batch {
    let told = Record { at: minute(n), vm: None, what: Happened::Alarm { text: n.to_string() } };
    let readings = (0..VMS).map(|i| (vm(i), exact(minute(n), n as f64))).collect();
    Batch { readings, records: vec![told], ..Batch::default() }
}

fn migration(n: i64) -> InFlight {
    let text = format!(r#"{{"id":{n},"vm":"vm{n}","from":"mln1","to":"mln2","action":"move","by":"policy"}}"#);
    serde_json::from_str(&text).expect("a migration")
}

/// Writes a migration into a history as an older version did.
fn older_row(path: &Path, n: i64) {
    let row = "INSERT INTO journal(id, at, vm, origin, target, body) VALUES(?1, ?2, 'vm0', 'mln1', 'mln2', ?3)";
    let body = format!("{{\"n\":{n}}}");
    let file = rusqlite::Connection::open(path).expect("a history");
    file.execute(row, rusqlite::params![n, minute(n).millis(), body]).expect("room");
}

// ---------------------------------------------------------------------------------------------------------------------
// A process that is killed

/// This test once more in a process of its own, which is killed or holds the lock.
fn child(test: &str, path: &Path, first: i64) -> Child {
    let me = std::env::current_exe().expect("a program");
    let mut command = Command::new(me);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env("WHIMBREL_HISTORY", path).env("WHIMBREL_FIRST", first.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process")
}

/// The file and the first number, in a process that `child` started; `None` in the test itself.
fn role_of_child() -> Option<(PathBuf, i64)> {
    let path = std::env::var_os("WHIMBREL_HISTORY")?;
    let first = std::env::var("WHIMBREL_FIRST").ok()?.parse().ok()?;
    Some((path.into(), first))
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever listens may have enough.
    let _ = writeln!(out, "\n@{line}").and_then(|()| out.flush());
}

/// Writes numbers without end, and says each that is safe.
fn write_until_killed(path: &Path, first: i64) {
    let keeper = HistoryWriter::start(open(path).expect("a history"), |note| match note {
        Note::Written { through } => say(&format!("w {}", through.since(BEGIN).millis() / 60_000)),
        Note::Trouble(text) => say(&format!("trouble {text}")),
        Note::Well | Note::Size(_) => {}
    });
    let keeper = keeper.expect("a thread");
    let mut journal = Journal::open(&path.with_extension("journal"), "a test").expect("a journal");
    for n in first..first + 100_000 {
        if n % 5 == 0 {
            journal.begin(minute(n), migration(n)).expect("room");
            say(&format!("j {n}"));
        }
        if keeper.put(numbered(n)).is_err() {
            say("trouble it was given back");
            return;
        }
    }
}

/// Everything a killed child said before its end: the last number written, and the journalled ones.
fn acknowledged(mut writer: Child, kill_after: usize) -> (Option<i64>, Vec<u64>) {
    let out = BufReader::new(writer.stdout.take().expect("a pipe"));
    let (mut written, mut journalled, mut heard) = (None, Vec::new(), 0);
    for line in out.lines() {
        // The last one may be torn in the pipe's middle, but only at its end.
        let Ok(line) = line else { break };
        let Some(line) = line.strip_prefix('@') else { continue };
        match line.split_once(' ') {
            Some(("w", n)) => written = Some(n.parse().expect("a number")),
            Some(("j", n)) => journalled.push(n.parse().expect("a number")),
            _ => panic!("{line}"),
        }
        heard += 1;
        if heard == kill_after {
            writer.kill().expect("it runs");
        }
    }
    writer.wait().expect("it has ended");
    (written, journalled)
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    if let Some((path, first)) = role_of_child() {
        return write_until_killed(&path, first);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.db");
    let (mut first, mut seed) = (0_i64, 7_usize);
    for round in 0..30 {
        // Early and late moments of a run, no two alike.
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
        let kill_after = 1 + if round % 2 == 0 { seed / 65_536 % 12 } else { seed / 65_536 % 150 };
        let (written, journalled) =
            acknowledged(child("what_was_acknowledged_survives_a_kill", &path, first), kill_after);

        let _store = open(&path).expect("the lock is free and the file whole");
        let reader = Reader::open(&path).expect("a history");
        let told = reader.records(None, minute(first), FOREVER.1, Order::OldestFirst, usize::MAX).expect("whole");
        let numbers: Vec<i64> = told
            .iter()
            .map(|told| match &told.what {
                Happened::Alarm { text } => text.parse().expect("a number"),
                other => panic!("{other:?}"),
            })
            .collect();
        let end = first + numbers.len() as i64;
        assert_eq!(numbers, (first..end).collect::<Vec<_>>(), "each once, none missing");
        assert!(written.is_none_or(|written| written < end), "{written:?} was acknowledged, {end} is missing");
        let expected: Vec<Entry> = numbers.iter().map(|n| exact(minute(*n), *n as f64)).collect();
        for i in [0, 1, VMS - 1] {
            let readings = reader.readings(&vm(i), minute(first), FOREVER.1).expect("whole");
            assert_eq!(readings, expected, "a batch is there whole or not at all");
        }
        let mut journal = Journal::open(&path.with_extension("journal"), "a test").expect("a journal");
        let flights: Vec<u64> = journal.under_way().map(|migration| migration.route.id.0).collect();
        assert!(journalled.iter().all(|id| flights.contains(id)), "{journalled:?} of {flights:?}");
        for id in flights {
            journal.settle(RequestId(id), "confirmed").expect("room");
        }
        assert_eq!(journal.under_way().count(), 0);
        first = end;
    }
    let all = Reader::open(&path).expect("a history").readings(&vm(9), FOREVER.0, FOREVER.1).expect("whole");
    assert_eq!(all.len() as i64, first);
}

// ---------------------------------------------------------------------------------------------------------------------
// Two at once

/// Holds the file's lock until its input ends.
fn hold_the_file(path: &Path) {
    let _store = open(path).expect("nobody has it");
    say("held");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
fn the_second_engine_is_told_of_the_first() {
    if let Some((path, _)) = role_of_child() {
        return hold_the_file(&path);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.db");
    let mut first = child("the_second_engine_is_told_of_the_first", &path, 0);
    let out = BufReader::new(first.stdout.take().expect("a pipe"));
    let mut lines = out.lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "@held"));
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    for path in [&path, &link] {
        let refused = open(path).expect_err("it is in use").to_string();
        let who = format!("a.db: in use by another whimbrel (pid {})\n", first.id());
        assert!(refused.contains(&who), "{refused}");
    }
    // Who only reads is welcome.
    Reader::open(&path).expect("a history");
    drop(first.stdin.take());
    lines.for_each(drop);
    first.wait().expect("it has ended");
    open(&path).expect("nobody has it");
}

#[test]
fn a_reader_sees_whole_batches_while_they_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.db");
    let (say, said) = channel();
    // Nobody listens any more when the test is over.
    let keeper =
        HistoryWriter::start(open(&path).expect("a history"), move |note| drop(say.send(note))).expect("a thread");
    let reader = Reader::open(&path).expect("a history");
    for n in 0..400 {
        keeper.put(numbered(n)).expect("no trouble");
        if n % 10 == 0 {
            let told = reader.records(None, FOREVER.0, FOREVER.1, Order::NewestFirst, 1).expect("whole");
            if let Some(last) = told.first() {
                let readings = reader.readings(&vm(63), FOREVER.0, last.at + Span::from_millis(1)).expect("whole");
                assert_eq!(readings.last().map(|entry| entry.at), Some(last.at));
                assert!(readings.windows(2).all(|two| two[0].at < two[1].at));
            }
        }
    }
    drop(keeper);
    assert!(said.iter().all(|note| !matches!(note, Note::Trouble(_))));
    assert_eq!(reader.readings(&vm(5), FOREVER.0, FOREVER.1).expect("whole").len(), 400);
}

// ---------------------------------------------------------------------------------------------------------------------
// A disk that is full, or read-only

fn hear(said: &Receiver<Note>, mut wanted: impl FnMut(&Note) -> bool) -> Vec<Note> {
    let mut heard = Vec::new();
    loop {
        let note = said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("not heard, but {heard:?}"));
        let found = wanted(&note);
        heard.push(note);
        if found {
            return heard;
        }
    }
}

#[test]
fn a_full_disk_is_said_once_and_nothing_accepted_is_lost_when_there_is_room_again() {
    let test = "a_full_disk_is_said_once_and_nothing_accepted_is_lost_when_there_is_room_again";
    let Some(disk) = or_skip(test, Small::mount("4m")) else { return };
    let path = disk.path().join("a.db");
    let (say, said) = channel();
    let keeper =
        HistoryWriter::start(open(&path).expect("a history"), move |note| drop(say.send(note))).expect("a thread");
    keeper.put(numbered(0)).expect("room");
    hear(&said, |note| matches!(note, Note::Written { .. }));

    // Somebody else takes all the room there is.
    let filler = disk.fill();
    let mut accepted = 1;
    while keeper.offer(numbered(accepted)).is_ok() {
        accepted += 1;
    }
    hear(&said, |note| matches!(note, Note::Trouble(text) if text.contains("a.db: the disk is full\nhelp: make room")));
    while keeper.put(numbered(accepted)).is_ok() {
        accepted += 1;
    }
    assert_eq!(keeper.flush(PATIENCE), Flushed::Failed, "nobody waits for a full disk");

    filler.free();
    let last = Note::Written { through: minute(accepted - 1) };
    let heard = hear(&said, |note| *note == last);
    assert!(heard.contains(&Note::Well) && !heard.iter().any(|note| matches!(note, Note::Trouble(_))), "{heard:?}");
    drop(keeper);
    let reader = Reader::open(&path).expect("a history");
    assert_eq!(reader.readings(&vm(1), FOREVER.0, FOREVER.1).expect("whole").len() as i64, accepted);
}

#[test]
fn a_read_only_folder_is_refused_to_the_engine_and_read_by_everybody() {
    let test = "a_read_only_folder_is_refused_to_the_engine_and_read_by_everybody";
    let Some(disk) = or_skip(test, Small::mount("4m")) else { return };
    let path = disk.path().join("a.db");
    let mut store = open(&path).expect("a history");
    store.write(&numbered(3)).expect("room");
    // As a killed process leaves it, with a log.
    let killed = disk.path().join("killed.db");
    for end in ["", "-wal"] {
        std::fs::copy(format!("{}{end}", path.display()), format!("{}{end}", killed.display())).expect("a copy");
    }
    drop(store);
    let Some(()) = or_skip(test, disk.read_only()) else { return };

    let refused = open(&path).expect_err("it is read-only");
    assert!(matches!(refused.fault, HistoryFault::ReadOnly(_)), "{refused:?}");
    assert!(refused.to_string().contains("a.db: cannot be written (Read-only file system"), "{refused}");
    let fresh = open(&disk.path().join("folder/b.db")).expect_err("it is read-only");
    assert!(matches!(fresh.fault, HistoryFault::ReadOnly(_)), "{fresh:?}");
    let reader = Reader::open(&path).expect("a history");
    assert_eq!(reader.reach("vm0").expect("whole"), Some((minute(3), minute(3))));
    let refused = Reader::open(&killed).expect_err("its log is not in it").to_string();
    assert!(refused.contains("killed.db: cannot be written (its log has to be brought into it first)"), "{refused}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Files that are not as they should be

/// A closed history with sealed and rolled up readings.
fn made(path: &Path) {
    let retention = Retention { raw: Span::from_hours(1), ..Retention::default() };
    let mut store = Store::open(path, retention, "a test").expect("a history");
    let settings = |at, n| {
        let rule = Rule::Base { high: Bound { at, tarry: 3 }, low: Bound { at: 1.0, tarry: 20 } };
        let settings = Settings::new(rule, Direction::HigherIsWorse);
        (vm(0), SettingsFrom { at: minute(n), settings })
    };
    let place = |host: &str, place, n| PlacedFrom { at: minute(n), vm: vm(0), host: host.into(), place, price: 0.25 };
    for n in 0..300 {
        let seen = match n % 50 {
            7 => Seen::Gap("connection refused".into()),
            8 => Seen::Sample(Value::AtLeast(5_000.0)),
            9 => Seen::Sample(Value::Busy),
            _ => Seen::Sample(Value::Exact(n as f64 / 10.0)),
        };
        let one = Entry { count: (n % 3) as u32, ..entry(minute(n), seen) };
        let two = Entry { low_count: (n % 4) as u32, state: VmState::Settling, ..exact(minute(n), n as f64) };
        store.write(&Batch { readings: vec![(vm(0), one), (vm(1), two)], ..Batch::default() }).expect("room");
        if n == 270 {
            store.tend(minute(n)).expect("room");
        }
    }
    let told = |n, what| Record { at: minute(n), vm: Some(vm(0)), what };
    let text = "slow queries 31 over 20".to_owned();
    let batch = Batch {
        records: vec![
            told(1, Happened::Alarm { text }),
            told(2, Happened::State { state: VmState::Held, why: "by hand".to_owned() }),
        ],
        settings: vec![settings(20.0, 0), settings(50.0, 200)],
        placed: vec![place("mln1", Place::Ring, 0), place("mln2", Place::Base, 100)],
        kept: vec![(vm(0), "{\"count\":2}".to_owned())],
        kept_cluster: Some("{\"last_id\":9}".to_owned()),
        ..Batch::default()
    };
    for half in [&batch, &Batch { settings: batch.settings[1..].to_vec(), ..Batch::default() }] {
        store.write(half).expect("room");
    }
    older_row(path, 8);
    older_row(path, 9);
    store.settle(RequestId(8), "confirmed").expect("room");
}

/// Every sort of thing that is in a made history.
fn is_as_made(path: &Path) {
    let store = open(path).expect("an old file opens");
    let reader = Reader::open(path).expect("an old file is read");
    let (raw, rolled) = (reader.raw_since("vm0").expect("whole"), reader.rolled("vm0", FOREVER.0, FOREVER.1));
    assert_eq!(raw, Some(minute(210)));
    let rolled = rolled.expect("whole");
    assert_eq!(rolled.len(), 14);
    assert_eq!((rolled[0].at, rolled[0].samples, rolled[0].gaps), (minute(0), 14, 1));
    assert_eq!((rolled[0].min, rolled[0].max), (0.0, 5_000.0));
    let readings = reader.readings("vm0", FOREVER.0, FOREVER.1).expect("whole");
    assert_eq!(readings.len(), 90);
    assert_eq!(readings[47].seen, Seen::Gap("connection refused".into()));
    assert_eq!(readings[48].seen, Seen::Sample(Value::AtLeast(5_000.0)));
    assert_eq!(readings[49].seen, Seen::Sample(Value::Busy));
    assert_eq!((readings[1].seen.clone(), readings[1].count), (Seen::Sample(Value::Exact(21.1)), 1));
    let last = reader.readings("vm1", minute(299), FOREVER.1).expect("whole");
    assert_eq!((last[0].low_count, last[0].state), (3, VmState::Settling));
    let told = reader.records(Some("vm0"), FOREVER.0, FOREVER.1, Order::OldestFirst, 9).expect("whole");
    assert_eq!(told[1].what, Happened::State { state: VmState::Held, why: "by hand".to_owned() });
    let settings = reader.settings("vm0", minute(100), FOREVER.1).expect("whole");
    let bounds = settings.iter().map(|from| (from.at, from.settings.rule.high().map(|high| high.at)));
    assert_eq!(bounds.collect::<Vec<_>>(), [(minute(0), Some(20.0)), (minute(200), Some(50.0))]);
    let placed = reader.placed(FOREVER.0, FOREVER.1).expect("whole");
    assert_eq!((&*placed[1].host, placed[1].place, placed[1].price), ("mln2", Place::Base, 0.25));
    assert_eq!(store.journal_rows().expect("whole"), [r#"{"n":9}"#]);
    assert_eq!(store.kept().expect("whole"), [("vm0".to_owned(), "{\"count\":2}".to_owned())]);
    assert_eq!(store.kept_cluster().expect("whole").as_deref(), Some("{\"last_id\":9}"));
}

/// `WHIMBREL_BLESS=1` makes the sample anew. A form that has been released keeps its file: a new one gets another.
#[test]
fn a_file_of_the_first_form_opens_after_any_upgrade() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/history/v1.db");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.db");
    if std::env::var_os("WHIMBREL_BLESS").is_some() {
        made(&path);
        std::fs::copy(&path, &sample).expect("it can be written");
    }
    std::fs::copy(&sample, &path).expect("the sample");
    is_as_made(&path);
}

#[test]
fn what_this_version_makes_is_what_it_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a folder?/of 100%/a#b.db");
    made(&path);
    is_as_made(&path);
}

#[test]
fn a_file_that_is_no_history_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other.db");
    let made = rusqlite::Connection::open(&other).and_then(|other| other.execute_batch("CREATE TABLE a(b)"));
    made.expect("another program's file");
    let text = folder.path().join("text.db");
    std::fs::write(&text, "threshold = 20\n").expect("a file");
    for path in [other, text] {
        let before = std::fs::read(&path).expect("a file");
        for refused in [open(&path).map(drop), Reader::open(&path).map(drop)] {
            let refused = refused.expect_err("it is none");
            assert!(matches!(refused.fault, HistoryFault::Foreign), "{refused:?}");
            assert!(refused.to_string().contains("not a history of whimbrel\nhelp: "), "{refused}");
        }
        assert_eq!(std::fs::read(&path).expect("a file"), before);
    }
    let missing = Reader::open(&folder.path().join("missing.db")).expect_err("it is not there");
    assert!(matches!(missing.fault, HistoryFault::Missing), "{missing:?}");
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.db");
    made(&path);
    let newer = rusqlite::Connection::open(&path).and_then(|file| file.pragma_update(None, "user_version", 99));
    newer.expect("a newer file");
    let before = std::fs::read(&path).expect("a file");
    for refused in [open(&path).map(drop), Reader::open(&path).map(drop)] {
        let refused = refused.expect_err("it is newer");
        assert!(matches!(refused.fault, HistoryFault::Newer { version: 99, .. }), "{refused:?}");
        assert!(refused.to_string().contains("newer whimbrel (form 99, this one knows up to 1)"), "{refused}");
    }
    assert_eq!(std::fs::read(&path).expect("a file"), before);
}

/// Reads everything there is.
fn read_all(path: &Path) -> Result<(), HistoryError> {
    let reader = Reader::open(path)?;
    for vm in reader.vms()? {
        reader.readings(&vm, FOREVER.0, FOREVER.1)?;
        reader.samples(&vm, FOREVER.0, FOREVER.1)?;
        reader.rolled(&vm, FOREVER.0, FOREVER.1)?;
        reader.settings(&vm, FOREVER.0, FOREVER.1)?;
        reader.reach(&vm)?;
    }
    reader.records(None, FOREVER.0, FOREVER.1, Order::OldestFirst, usize::MAX)?;
    reader.placed(FOREVER.0, FOREVER.1).map(drop)
}

#[test]
fn a_damaged_file_gives_errors_and_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = folder.path().join("whole.db");
    made(&whole);
    let bytes = std::fs::read(&whole).expect("a file");
    let path = folder.path().join("a.db");
    let (mut seed, mut refused) = (1_usize, 0);
    for _ in 0..100 {
        let mut damaged = bytes.clone();
        for _ in 0..8 {
            seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
            // Behind the file's head, which says what it is.
            let at = 100 + (seed >> 3) % (bytes.len() - 100);
            damaged[at] ^= 1 << (seed >> 8 & 7);
        }
        std::fs::write(&path, &damaged).expect("a file");
        match open(&path) {
            Err(error) => {
                assert!(matches!(error.fault, HistoryFault::Corrupt(_)), "{error:?}");
                assert!(error.to_string().contains("a.db: damaged ("), "{error}");
                assert_eq!(std::fs::read(&path).expect("a file"), damaged, "it is left as it was");
                refused += 1;
            }
            Ok(mut store) => {
                // What is damaged may be found later, or not at all; the rest goes on.
                let _ = (store.write(&numbered(400)), store.tend(minute(100_000)), store.journal_rows(), store.kept());
            }
        }
        let read = read_all(&path);
        assert!(matches!(&read, Ok(()) | Err(HistoryError { fault: HistoryFault::Corrupt(_), .. })), "{read:?}");
        for beside in ["a.db-wal", "a.db-shm"] {
            let _ = std::fs::remove_file(folder.path().join(beside));
        }
    }
    assert!(refused > 0, "none was noticed at once");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
    let torn = open(&path).expect_err("half of it is gone");
    assert!(matches!(torn.fault, HistoryFault::Corrupt(_)), "{torn:?}");
}
