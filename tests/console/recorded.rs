//! A fixed past of one VM, as a history would send it, and what a cluster did.

use std::sync::Arc;

use whimbrel::core::cluster::{RequestId, Span, Timestamp};
use whimbrel::core::engine::{By, Phase};
use whimbrel::core::insight::{
    Activity, Band, EditedSetting, HostOccupancy, Hour, HoursAndCost, MigrationTimes, Occupancy,
};
use whimbrel::core::policy::Bounds;
use whimbrel::view::{ActivityAsk, ActivityView, Level, LogLine, Mark, MarkKind, Past, PastAsk, PastMove, Stretch};

use crate::sample::NOW;

fn ago(mins: i64) -> Timestamp {
    NOW - Span::from_mins(mins)
}

/// The value of a minute: a daily wave, some noise, and a spell of overload now and then.
fn value(minute: i64) -> f32 {
    let day = (minute % 1_440) as f32 / 1_440.0;
    let mut state = (minute as u32).wrapping_mul(2_654_435_761) ^ 0x9e37_79b9;
    state ^= state >> 15;
    state = state.wrapping_mul(0x85eb_ca6b);
    let noise = (state >> 16) as f32 / 65_536.0;
    let wave = 24.0 - 16.0 * (day * std::f32::consts::TAU).cos();
    let spell = if (minute / 47) % 9 == 0 { 30.0 } else { 0.0 };
    (wave + spell + 14.0 * (noise - 0.5)).max(0.0).round()
}

/// At most this many bands, from one reading a minute.
fn bands(from: Timestamp, to: Timestamp, columns: u16, gaps: &[Stretch]) -> Vec<Band> {
    let minutes = (from.millis() / 60_000 + 1)..=(to.millis() / 60_000);
    let each = (to.since(from).millis() / 60_000 / i64::from(columns.max(1))).max(1);
    let (mut count, mut out) = (0, Vec::<Band>::new());
    let mut column = Vec::new();
    for minute in minutes {
        let at = Timestamp::from_secs(minute * 60);
        if gaps.iter().any(|gap| (gap.from..=gap.to).contains(&at)) {
            continue;
        }
        let value = value(minute);
        count = if value > 50.0 { count % 3 + 1 } else { 0 };
        column.push((at, value, count));
        if minute % each == 0 {
            out.extend(band(&std::mem::take(&mut column)));
        }
    }
    out.extend(band(&column));
    out
}

fn band(readings: &[(Timestamp, f32, u32)]) -> Option<Band> {
    let values = || readings.iter().map(|(_, value, _)| *value);
    Some(Band {
        at: readings.get(readings.len() / 2)?.0,
        min: values().fold(f32::INFINITY, f32::min),
        mean: values().sum::<f32>() / readings.len() as f32,
        max: values().fold(0.0, f32::max),
        count: readings.iter().map(|(.., count)| *count).max()?,
        low_count: 0,
        samples: readings.len() as u32,
        gaps: 0,
    })
}

/// What the history would send for a VM.
pub fn past(vm: &str, ask: PastAsk) -> Arc<Past> {
    let to = ask.end.unwrap_or(NOW);
    let from = to - ask.span;
    let stretch = |a, b, text: &str| Stretch { from: ago(a), to: ago(b), text: text.into() };
    let gaps = vec![stretch(2_900, 2_840, "connection refused"), stretch(74, 66, "deadline of 10 s passed")];
    let line =
        |mins, level, text: &str| Arc::new(LogLine { at: ago(mins), vm: Some(vm.into()), level, text: text.into() });
    let moved = |mins, id, from: &str, to: &str, by, phase, took, detail: &str| PastMove {
        at: ago(mins),
        id: RequestId(id),
        from: from.into(),
        to: to.into(),
        by,
        phase,
        took,
        detail: detail.into(),
    };
    // nii4 is the sample's site VM.
    let of = |high| Bounds { high: Some(high), low: Some(1.0), inclusive: vm == "nii4", ..Bounds::default() };
    let bounds = |mins, high| (ago(mins), of(high));
    let mark = |mins, kind| Mark { at: ago(mins), kind };
    let took = |secs| Some(Span::from_secs(secs));
    Arc::new(Past {
        vm: vm.into(),
        ask,
        from,
        to,
        begins: Some(ago(60 * 24 * 40)),
        bands: bands(from, to, ask.columns, &gaps),
        longest_step: (ask.span.scaled(3, i64::from(ask.columns.max(1)))).max(Span::from_secs(150)),
        bounds: vec![bounds(60 * 24 * 400, 20.0), bounds(4_300, 40.0), bounds(95, 50.0)],
        marks: vec![
            mark(4_300, MarkKind::Edited),
            mark(2_200, MarkKind::Moved("mln4".into())),
            mark(95, MarkKind::Edited),
            mark(31, MarkKind::Moved("mln1".into())),
            mark(4, MarkKind::Moved("mln2".into())),
        ],
        rests: vec![stretch(150, 128, "resting until Wed 09:00"), stretch(1_900, 1_300, "resting until Wed 09:00")],
        gaps,
        decisions: vec![
            line(4, Level::Good, "confirmed #317  mln1 > mln2  6.2 s, 38 ms down"),
            line(5, Level::Info, "request #317  mln1 > mln2  by policy: 71 /min > 50 for 3 samples"),
            line(31, Level::Good, "confirmed #311  mln6 > mln1  5.9 s, 41 ms down"),
            line(32, Level::Info, "request #311  mln6 > mln1  by policy: 64 /min > 50 for 3 samples"),
            line(58, Level::Warning, "move blocked by cooldown: 11 min left: 58 /min > 50 for 3 samples"),
            line(95, Level::Info, "root: threshold 40 → 50: too many moves on Monday"),
            line(2_200, Level::Warning, "failed #290  mln3 > mln4  destination refused: no memory"),
            line(2_201, Level::Info, "request #290  mln3 > mln4  by operator"),
            line(4_300, Level::Info, "root: threshold 20 → 40"),
            line(9_000, Level::Alarm, "! flapping: mln1-mln5 all tried within 1 h, never back in bounds; held"),
        ],
        moves: vec![
            moved(4, 317, "mln1", "mln2", Some(By::Policy), Phase::Confirmed, took(6), "6.2 s, 38 ms down"),
            moved(31, 311, "mln6", "mln1", Some(By::Policy), Phase::Confirmed, took(5), "5.9 s, 41 ms down"),
            moved(2_200, 290, "mln3", "mln4", Some(By::Operator), Phase::Failed, took(71), "no memory"),
            moved(3_000, 282, "mln2", "base1", Some(By::Schedule), Phase::Confirmed, took(64), "64 s, 120 ms down"),
            moved(9_100, 240, "mln4", "mln5", None, Phase::Lost, None, "runs nowhere"),
        ],
        trouble: None,
    })
}

/// The activity: nearly endless moves that a better threshold ends, as in the thesis's figure 4.6.
pub fn activity(ask: ActivityAsk) -> Arc<ActivityView> {
    let hours = ask.span.millis() / 3_600_000 + 1;
    let to = NOW;
    let from = Timestamp::from_millis((to - ask.span).millis() / 3_600_000 * 3_600_000);
    let edited = hours / 3;
    let alone = ask.vm.is_some();
    let hour = |i: i64| {
        let wave = (i * 7 % 5) as u32;
        let requests = if i < edited { 10 + wave } else { wave / 2 };
        let requests = if alone { requests } else { requests + 3 };
        let failed = u32::from(i % 17 == 4);
        let blocked = if i < edited { (i % 4) as u32 } else { 0 };
        let (by_hand, confirmed) = (u32::from(i % 13 == 6), requests - failed.min(requests));
        Hour { begin: from + Span::from_hours(i), requests, by_hand, confirmed, failed, blocked }
    };
    let host = |n: i64, name: &str| {
        let vms = (0..hours).map(|i| if alone { f32::from(u8::from(i % 7 == n)) } else { ((i / 3 + n) % 5) as f32 });
        HostOccupancy { host: name.into(), vms: vms.collect() }
    };
    let names = ["mln1", "mln2", "mln3", "mln4", "mln5", "mln6", "base1"];
    let edit = |hour: i64, vm: &str, text: &str| EditedSetting {
        at: from + Span::from_mins(hour * 60 + 20),
        vm: Some(vm.into()),
        text: text.into(),
    };
    let stay = |hours, cost| HoursAndCost { hours, cost };
    let activity = Activity {
        from,
        to,
        vm: ask.vm.clone(),
        hours: (0..hours).map(hour).collect(),
        edits: vec![edit(2, "nii3", "low tarry 10 → 20"), edit(edited, "nii1", "threshold 20 → 50: too many moves")],
        hosts: (0..).zip(names).map(|(n, name)| host(n, name)).collect(),
        times: Some(MigrationTimes {
            count: 229,
            mean: Span::from_millis(6_420),
            median: Span::from_millis(5_900),
            least: Span::from_millis(3_100),
            most: Span::from_millis(71_300),
        }),
        stays: Occupancy {
            ring: stay(402.5, 16.1),
            rest: stay(121.25, 1.21),
            base: stay(64.0, 0.64),
            away: stay(1.4, 0.42),
        },
    };
    Arc::new(ActivityView { ask, activity, trouble: None })
}
