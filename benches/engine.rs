//! How many samples a policy and an engine take a second on one core. Budgets: `decide` 20 million, `step` 2 million.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

use whimbrel::core::cluster::{Direction, HostId, HostState, Reading, Span, Timestamp, Value, VmId};
use whimbrel::core::engine::{Effect, Engine, Event, VmState};
use whimbrel::core::insight::{Entry, Prices, Recording, Seen, compare, thin};
use whimbrel::core::policy::{Bound, Observation, Place, Resting, Rule, Settings, State, What, WorkingHours, decide};
use whimbrel::core::simulation::{START, Scenario, Simulation, Size};

const SAMPLES: u64 = 43_200;

fn settings() -> Settings {
    let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 1.0, tarry: 20 });
    Settings::new(Rule::Base { high, low }, Direction::HigherIsWorse)
}

fn decides(c: &mut Criterion) {
    let settings = settings();
    let values: Vec<f64> = (0..SAMPLES).map(|n| ((n * 7_919) % 97) as f64).collect();
    let mut group = c.benchmark_group("policy");
    group.throughput(Throughput::Elements(SAMPLES));
    group.bench_function("decide", |b| {
        b.iter(|| {
            let mut state = State::default();
            let mut moves = 0_u32;
            for (n, value) in values.iter().enumerate() {
                let at = Timestamp::from_secs(60 * n as i64);
                let seen = Observation { at, place: Place::Ring, what: What::Sample(*value) };
                let verdict = decide(&mut state, &settings, black_box(seen));
                moves += verdict.count;
            }
            moves
        });
    });
    group.finish();
}

/// What settings would have done over 30 days at one sample a minute, and the strip of eight around them.
fn replays(c: &mut Criterion) {
    let samples = (0..SAMPLES).map(|n| (Timestamp::from_secs(60 * n as i64), ((n * 7_919) % 97) as f64));
    let Some(recording) = Recording::new(samples) else { return };
    let settings = settings();
    let mut group = c.benchmark_group("what-if");
    group.throughput(Throughput::Elements(SAMPLES));
    group.bench_function("replay of 43,200 samples", |b| b.iter(|| recording.replay(black_box(&settings)).moves));
    group.bench_function("the strip over them", |b| b.iter(|| recording.strip(black_box(&settings)).len()));
    let prices = Prices { ring: 0.2, base: 0.05 };
    let tried = |settings| recording.try_out(settings, prices).map_or(0, |tried| tried.outcome.all_moves.len());
    group.bench_function("one side of a comparison", |b| b.iter(|| tried(black_box(&settings))));
    let Ok(hours) = WorkingHours::parse("Mon-Fri 08:00-12:00, Mon-Fri 13:00-16:00", chrono_tz::Europe::Oslo) else {
        return;
    };
    let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 1.0, tarry: 20 });
    let scheduled =
        Settings::new(Rule::Schedule { high, low, hours, resting: Resting::Record }, Direction::HigherIsWorse);
    group.bench_function("one side with working hours", |b| b.iter(|| tried(black_box(&scheduled))));
    group.bench_function("the strip with working hours", |b| b.iter(|| recording.strip(black_box(&scheduled)).len()));
    group.bench_function("both sides, without the strip", |b| {
        b.iter(|| {
            compare(&recording, black_box(&settings), &scheduled, prices).map_or(0, |told| told.differences.len())
        });
    });
    group.finish();
}

/// A week at one reading a minute into the columns of a wide graph.
fn thins(c: &mut Criterion) {
    const READINGS: i64 = 7 * 24 * 60;
    let at = |n: i64| START + Span::from_mins(n);
    let entries: Vec<Entry> = (0..READINGS)
        .map(|n| Entry {
            at: at(n),
            seen: Seen::Sample(Value::Exact(((n * 7_919) % 97) as f64)),
            count: 0,
            low_count: 0,
            state: VmState::Watching,
        })
        .collect();
    let mut group = c.benchmark_group("graph");
    group.throughput(Throughput::Elements(READINGS as u64));
    group.bench_function("thin 10,080 readings to 400 columns", |b| {
        b.iter(|| thin(&[], black_box(&entries), at(0), at(READINGS), 400).len());
    });
    group.finish();
}

/// Reads of every VM of a large fleet, one after the other: what the engine does nearly all the time.
fn steps(c: &mut Criterion) {
    let (cluster, _, _) = Scenario::Fleet.build(Size { vms: Some(10_000), hosts: Some(1_000) }, 1);
    let mut engine = Engine::new(cluster, START);
    let mut out: Vec<Effect> = Vec::new();
    for host in 0..engine.cluster().hosts.len() {
        engine.step(
            START,
            Event::Host { host: HostId::at(host), state: HostState::Up, load: Some(0.5), why: None },
            &mut out,
        );
    }
    let vms: Vec<VmId> = engine.vm_ids().collect();
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(2 * vms.len() as u64));
    group.bench_function("step: a tick and a reading each for 10,000 VMs", |b| {
        let mut now = START;
        b.iter(|| {
            for vm in &vms {
                now += Span::from_millis(6);
                out.clear();
                engine.step(now, Event::Tick, &mut out);
                engine.step(now, Event::Reading { vm: *vm, reading: Reading::Raw(25.0) }, &mut out);
            }
            out.len()
        });
    });
    group.finish();
}

/// An hour of the default demo, simulator and all.
fn hours(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulation");
    group.throughput(Throughput::Elements(50 * 60));
    group.bench_function("an hour of 50 VMs", |b| {
        b.iter_batched(
            || {
                let (cluster, monitors, plan) = Scenario::Fleet.build(Size { vms: None, hosts: None }, 1);
                let _ = monitors;
                Simulation::new(&cluster, plan, START)
            },
            |mut simulation| {
                let mut out = Vec::new();
                for minute in 0..60 {
                    let now = START + Span::from_mins(minute);
                    simulation.advance(now, &mut out);
                    for vm in 0..50 {
                        black_box(simulation.read(VmId(vm), now));
                    }
                }
                out.len()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, decides, replays, thins, steps, hours);
criterion_main!(benches);
