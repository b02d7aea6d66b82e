//! How fast the parts of job queues are.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

use whimbrel::core::queue::bc::{BcLimits, evaluate};

/// Jobs of bc a second on one core, and long ones.
fn bc(c: &mut Criterion) {
    let limits = BcLimits::default();
    let mut group = c.benchmark_group("bc");
    group.throughput(Throughput::Elements(1));
    let long = format!("{}+1", "7".repeat(1_000_000));
    let lines = ["1+1", "123^123", "scale=50;sqrt(2)/3", "9^100000", "9^1000000", "9^900000/7^900000", long.as_str()];
    for line in lines {
        group.bench_function(format!("{line:.20}"), |b| {
            b.iter(|| evaluate(black_box(line), &limits, &|| false).map(|output| output.len()));
        });
    }
    group.finish();
}

criterion_group!(benches, bc);
criterion_main!(benches);
