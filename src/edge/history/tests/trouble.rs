//! Damage found while it is open, and a file that cannot be written.

use super::*;

fn damage(store: &Store, how: &str) {
    store.connection.execute_batch(how).expect("a statement");
}

#[test]
fn a_damaged_chunk_is_said_and_the_other_vms_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.retention.raw = Span::from_hours(1);
    store.seal_at = 400;
    let entries: Vec<Entry> = (0..200).map(|n| sample(minute(n), 1.0)).collect();
    store.write(&readings("a", &entries)).expect("room");
    store.write(&readings("b", &entries)).expect("room");
    store.seal(0).expect("room");
    damage(&store, "UPDATE chunk SET data = zeroblob(20) WHERE id < 2 << 42");
    let reader = reader(folder.path());
    let said = reader.readings("a", FOREVER.0, FOREVER.1).expect_err("damaged").to_string();
    assert!(said.contains("a.db: damaged (a chunk of readings from 2009-05-06T12:30:00.000Z)"), "{said}");
    assert_eq!(reader.readings("b", FOREVER.0, FOREVER.1).expect("whole").len(), 200);
    // It is said once more when it is too old, and gone then; the other one is rolled up.
    let said = store.tend(minute(600)).expect_err("damaged").to_string();
    assert!(said.contains("damaged (a chunk of readings"), "{said}");
    assert_eq!(reader.rolled("b", FOREVER.0, FOREVER.1).expect("whole").len(), 14);
    assert_eq!(reader.readings("a", FOREVER.0, FOREVER.1).expect("it is gone"), []);
    store.tend(minute(600)).expect("nothing damaged is left");
}

#[test]
fn what_comes_after_a_damaged_head_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.write(&readings("a", &[sample(minute(0), 1.0)])).expect("room");
    damage(&store, "UPDATE head SET data = CAST(data || x'0007' AS BLOB)");
    drop(store);
    let mut store = open(folder.path());
    store.write(&readings("a", &[sample(minute(1), 2.0)])).expect("room");
    let reader = reader(folder.path());
    assert!(reader.readings("a", FOREVER.0, FOREVER.1).is_err());
    store.seal(0).expect("room");
    assert!(
        matches!(store.tend(minute(1)), Err(HistoryError { fault: HistoryFault::Corrupt(_), .. })),
        "what is damaged is said"
    );
    let chunks: i64 = store.connection.query_row("SELECT sum(n) FROM chunk", [], |row| row.get(0)).expect("a sum");
    assert_eq!(chunks, 1, "and the rest sealed");
}

#[test]
fn the_keeper_says_damage_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.seal_at = 1;
    store.write(&readings("a", &[sample(minute(0), 1.0)])).expect("room");
    damage(&store, "UPDATE head SET data = CAST(data || x'0007' AS BLOB)");
    let (say, said) = std::sync::mpsc::channel();
    let keeper = HistoryWriter::start(store, move |note| say.send(note).expect("it listens")).expect("a thread");
    for n in 1..9 {
        keeper.put(readings("a", &[sample(minute(n), 1.0)])).expect("no trouble");
        keeper.flush(PATIENCE);
    }
    drop(keeper);
    let notes: Vec<Note> = said.iter().collect();
    let troubles = notes.iter().filter(|note| matches!(note, Note::Trouble(text) if text.contains("damaged")));
    assert_eq!(troubles.count(), 1, "{notes:?}");
    assert!(notes.contains(&Note::Written { through: minute(8) }), "{notes:?}");
}

#[test]
fn a_file_that_was_removed_or_replaced_is_said_and_written_again_once_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, aside) = (folder.path().join("a.db"), folder.path().join("aside"));
    let mut store = open(folder.path());
    let one = |n: i64| readings("a", &[sample(minute(n), 1.0)]);
    store.write(&one(0)).expect("room");
    std::fs::rename(&path, &aside).expect("a name");
    assert!(
        matches!(store.write(&one(1)), Err(HistoryError { fault: HistoryFault::Gone, .. })),
        "it would take the batch and lose it"
    );
    std::fs::copy(&aside, &path).expect("room");
    assert!(
        matches!(store.write(&one(1)), Err(HistoryError { fault: HistoryFault::Gone, .. })),
        "another file of its name"
    );
    assert!(matches!(store.probe(), Err(HistoryError { fault: HistoryFault::Gone, .. })));
    assert!(matches!(
        store.settle(crate::core::cluster::RequestId(1), "confirmed"),
        Err(HistoryError { fault: HistoryFault::Gone, .. })
    ));
    std::fs::rename(&aside, &path).expect("a name");
    store.probe().expect("it is back");
    store.write(&one(1)).expect("it is back");
    assert_eq!(reader(folder.path()).readings("a", FOREVER.0, FOREVER.1).expect("whole").len(), 2);
}

#[test]
fn nobody_waits_for_a_file_that_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let other = rusqlite::Connection::open(folder.path().join("a.db")).expect("another program");
    store.connection.busy_timeout(std::time::Duration::ZERO).expect("a setting");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    let (say, said) = std::sync::mpsc::channel();
    let keeper = HistoryWriter::start(store, move |note| say.send(note).expect("it listens")).expect("a thread");
    let mut accepted = 0;
    while keeper.put(readings("a", &[sample(minute(accepted), 1.0)])).is_ok() {
        accepted += 1;
    }
    let text = said.iter().find_map(|note| if let Note::Trouble(text) = note { Some(text) } else { None });
    assert!(text.is_some_and(|text| text.contains("a.db: locked by another program\nhelp: ")));
    assert_eq!(keeper.flush(PATIENCE), Flushed::Failed, "nothing of it is written");
    other.execute_batch("COMMIT").expect("it has it");
    let notes: Vec<Note> =
        said.iter().take_while(|note| *note != Note::Written { through: minute(accepted - 1) }).collect();
    assert_eq!(notes.iter().filter(|note| **note == Note::Well).count(), 1, "{notes:?}");
    assert!(!notes.iter().any(|note| matches!(note, Note::Trouble(_))), "{notes:?}");
}
