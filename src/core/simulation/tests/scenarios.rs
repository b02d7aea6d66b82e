use super::play::play;
use crate::core::cluster::Span;
use crate::core::engine::{Happened, Phase};
use crate::core::simulation::{START, Scenario, Size};

#[test]
fn tune() {
    let name = std::env::var("SCN").unwrap_or("fleet".into());
    let mins: i64 = std::env::var("MINS").ok().and_then(|m| m.parse().ok()).unwrap_or(90);
    let seed: u64 = std::env::var("SEED").ok().and_then(|m| m.parse().ok()).unwrap_or(1);
    let samples = std::env::var("SAMPLES").ok();
    let p = play(name.parse().unwrap(), Size::default(), seed, START + Span::from_mins(mins));
    for r in &p.records {
        let t = r.at.since(START).secs_f64();
        let vm = r.vm.map_or("", |vm| p.cluster.vm(vm).name.as_str());
        let h = |h: crate::core::cluster::HostId| p.cluster.host(h).name.clone();
        let line = match &r.what {
            Happened::Sample { value, count, low_count, state, .. } => {
                if samples.as_deref().is_some_and(|s| s == "all" || s == vm) {
                    format!("sample {value:?} {count} {low_count} {}", state.word())
                } else {
                    continue;
                }
            }
            Happened::Gap { reason, .. } => format!("gap {reason}"),
            Happened::Decision { action, reason } => format!("decision {action:?} {reason}"),
            Happened::Blocked { gate, detail, .. } => format!("blocked {gate:?} {detail}"),
            Happened::Request { from, to, by, action, .. } => {
                format!("request {action:?} {} > {} {by:?}", h(*from), h(*to))
            }
            Happened::Migration { phase, percent, detail, .. } => format!("{phase:?} {percent}% {detail}"),
            Happened::State { state, why } => format!("state {} {why}", state.word()),
            Happened::Alarm { text } => format!("ALARM {text}"),
            Happened::Operator { text, .. } => format!("op {text}"),
        };
        println!("{:3}:{:04.1} {vm:9} {line}", (t / 60.0) as i64, t % 60.0);
    }
    for i in 0..p.cluster.hosts.len() {
        let h = crate::core::cluster::HostId::at(i);
        println!("{} {:?} {}", p.cluster.host(h).name, p.engine.host(h).load(), p.engine.host(h).vms());
    }
    let confirmed = p.times(|w| matches!(w, Happened::Migration { phase: Phase::Confirmed, .. }).then_some(()));
    for hour in 0..=mins / 60 {
        println!("hour {hour}: {}", confirmed.iter().filter(|c| c.0 / 3600 == hour).count());
    }
}
