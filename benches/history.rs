//! The history: readings taken in (budget 500,000 a second), a week of one VM out of many read back (1 ms), bytes a
//! reading on the disk (10), a large file opened.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use whimbrel::core::cluster::{Name, Span, Timestamp, Value};
use whimbrel::core::engine::VmState;
use whimbrel::core::insight::{Entry, Retention, Seen};
use whimbrel::edge::history::{Batch, Reader, Store};

const BEGIN: Timestamp = Timestamp::from_secs(1_241_613_000);
/// As many VMs take turns.
const VMS: usize = 10_000;
/// A week at one reading a minute.
const WEEK: i64 = 7 * 24 * 60;

fn open(path: &Path) -> Option<Store> {
    Store::open(path, Retention::default(), "a test").ok()
}

/// One of three services: a count, milliseconds to the microsecond, a ratio with every bit of its own.
fn value(vm: usize, minute: i64) -> f64 {
    let noise = ((vm as u64 * 31 + minute as u64).wrapping_mul(6_364_136_223_846_793_005) >> 33) as i64;
    match vm % 3 {
        0 => (noise % 60) as f64,
        1 => (noise % 90_000) as f64 / 1_000.0,
        _ => (noise % 1_000_000) as f64 / 999_983.0,
    }
}

/// A reading of each VM, a few milliseconds late, one in a hundred a gap.
fn round(names: &[Name], minute: i64, gap: &Arc<str>) -> Batch {
    let reading = |(vm, name): (usize, &Name)| {
        let late = (vm as i64 * 7 + minute * 13) % 5;
        let seen = match (vm as i64 + minute) % 100 {
            0 => Seen::Gap(Arc::clone(gap)),
            _ => Seen::Sample(Value::Exact(value(vm, minute))),
        };
        let at = BEGIN + Span::from_millis(60_000 * minute + 6 * vm as i64 + late);
        let count = u32::from((vm as i64 + minute) % 9 == 0);
        (name.clone(), Entry { at, seen, count, low_count: 0, state: VmState::Watching })
    };
    Batch { readings: names.iter().enumerate().map(reading).collect(), ..Batch::default() }
}

fn names(n: usize) -> Vec<Name> {
    (0..n).map(|vm| format!("vm{vm:05}").into()).collect()
}

fn write(store: &mut Store, batch: &Batch, now: Timestamp) -> bool {
    let written = store.write(batch).is_ok();
    written && (!store.is_behind() || store.tend(now).is_ok())
}

/// 10,000 VMs in turn, each batch a reading of each, sealing and checkpoints included.
fn ingest(c: &mut Criterion) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let Some(mut store) = open(&folder.path().join("a.db")) else { return };
    let (names, gap) = (names(VMS), Arc::from("connection refused"));
    let batches: Vec<Batch> = (0..200).map(|minute| round(&names, minute, &gap)).collect();
    let mut group = c.benchmark_group("history");
    group.throughput(Throughput::Elements(VMS as u64)).sample_size(20);
    group.bench_function("ingest: a batch of a reading each of 10,000 VMs", |b| {
        let mut minute = 0_i64;
        b.iter_custom(|rounds| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..rounds {
                let mut batch = batches[(minute % 200) as usize].clone();
                let later = Span::from_mins(minute / 200 * 200);
                batch.readings.iter_mut().for_each(|(_, entry)| entry.at += later);
                minute += 1;
                let begun = std::time::Instant::now();
                black_box(write(&mut store, &batch, BEGIN + Span::from_mins(minute)));
                spent += begun.elapsed();
            }
            spent
        });
    });
    group.finish();
}

/// A week of 2,000 VMs, about 20 million readings; and what a reader and an opener have of it.
#[expect(clippy::print_stderr, reason = "a bench says what it measured")]
fn reads(c: &mut Criterion) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("a.db");
    let Some(mut store) = open(&path) else { return };
    let (names, gap) = (names(2_000), Arc::from("connection refused"));
    for minute in 0..WEEK {
        if !write(&mut store, &round(&names, minute, &gap), BEGIN + Span::from_mins(minute)) {
            return;
        }
    }
    let readings = WEEK as u64 * names.len() as u64;
    let size = store.size();
    eprintln!(
        "history: {:.2} bytes a reading ({} MB, log and newest readings included)",
        size as f64 / readings as f64,
        size >> 20
    );
    drop(store);
    let end = BEGIN + Span::from_mins(WEEK + 1);
    let Ok(reader) = Reader::open(&path) else { return };
    let mut group = c.benchmark_group("history");
    for (vm, of) in [("vm00999", "counts"), ("vm01000", "milliseconds"), ("vm01001", "ratios")] {
        group.bench_function(format!("7 days of one VM, samples ({of})"), |b| {
            b.iter(|| reader.samples(vm, BEGIN, end).map(|all| all.len()));
        });
    }
    group.bench_function("7 days of one VM, readings", |b| {
        b.iter(|| reader.readings("vm01000", BEGIN, end).map(|all| all.len()));
    });
    group.bench_function("open a large file to read", |b| b.iter(|| Reader::open(&path).is_ok()));
    group.bench_function("open a large file to write", |b| b.iter(|| open(&path).is_some()));
    group.finish();
}

criterion_group!(benches, ingest, reads);
criterion_main!(benches);
