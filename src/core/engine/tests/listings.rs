//! The thesis's own logs as golden data.

use super::harness::*;
use crate::core::cluster::{HostId, Span, Timestamp, VmId};
use crate::core::engine::{Command, Event, Happened, Phase, Target};
use crate::core::policy::{Decision, SiteRule};

const LISTING_4_1: &str = include_str!("../../../../tests/data/thesis/listing-4.1-nii1-requests.csv");
const LISTING_4_3: &str = include_str!("../../../../tests/data/thesis/listing-4.3-nii3-samples.csv");
const LISTING_4_5: &str = include_str!("../../../../tests/data/thesis/listing-4.5-nii4-sites.csv");
const LISTING_4_4: &str = include_str!("../../../../tests/data/thesis/listing-4.4-nii3-requests.csv");

fn column(text: &str, n: usize) -> impl Iterator<Item = &str> {
    text.lines().skip(1).filter_map(move |line| line.split(',').nth(n)).map(|field| field.trim_matches('"'))
}

/// The host index in `Now using nii1.3.mln`; `None` for the base, `Now using nii3..mln`.
fn hosts_used(text: &str) -> Vec<Option<u32>> {
    column(text, 2)
        .filter_map(|message| message.strip_prefix("Now using "))
        .filter_map(|using| using.split('.').nth(1).map(|n| n.parse().ok()))
        .collect()
}

#[test]
fn listing_4_1_constant_overload_asks_every_225_seconds() {
    let mut world = World::new(cluster(5, threshold()), always(100.0));
    world.run_for(Span::from_mins(60));
    let at: Vec<i64> = world.requests().iter().map(|(at, _)| at.millis() / 1_000).collect();
    assert!(at.len() > 10, "{at:?}");
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] == 225), "{at:?}");
    // The scripts needed a little longer each time, and paused twice when the overload did.
    let logged: Vec<i64> = column(LISTING_4_1, 0).filter_map(|s| s.parse().ok()).collect();
    let mut requests: Vec<i64> = Vec::new();
    for (at, message) in logged.iter().zip(column(LISTING_4_1, 2)) {
        if message.starts_with("Requesting") {
            requests.push(*at);
        }
    }
    let apart: Vec<i64> = requests.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(apart, [227, 225, 230, 226, 519, 226, 249, 225, 228, 225]);
    assert!(apart.iter().all(|s| *s >= 225), "never sooner than the specification says");
}

#[test]
fn listing_4_1_goes_round_the_ring() {
    let logged = hosts_used(LISTING_4_1);
    let mut world = World::new(cluster(5, threshold()), always(100.0));
    world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Host("h5".to_owned()) });
    world.command(Command::Release { vm: "nii1".to_owned() });
    world.run_for(Span::from_mins(60));
    let went: Vec<String> = world.requests()[1..].iter().map(|(_, to)| (*to).to_owned()).collect();
    let expected: Vec<String> = logged.iter().flatten().map(|n| format!("h{n}")).collect();
    assert_eq!(went[..expected.len()], expected);
}

#[test]
fn listing_4_3_counts_follow_the_samples() {
    let numbers = |n| column(LISTING_4_3, n).map(|s| s.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let (samples, counts, low_counts) = (numbers(1), numbers(2), numbers(4));
    let mut world = World::new(cluster(4, base()), values(&samples));
    world.run_for(Span::from_mins(7));
    let expected: Vec<(u32, u32)> = counts.iter().zip(&low_counts).map(|(c, l)| (*c as u32, *l as u32)).collect();
    assert_eq!(world.counts()[..7], expected);
    assert_eq!(expected.last(), Some(&(1, 0)));
}

#[test]
fn listing_4_4_comes_back_from_the_base_to_the_rings_next() {
    // Runs of moves as the log has them; the scripts asked for the base again and again while they were on it.
    let mut logged = hosts_used(LISTING_4_4);
    logged.dedup();
    let mut world = World::new(cluster(4, base()), always(25.0));
    for to in &logged {
        let target = to.map_or(Target::Base, |_| Target::Next);
        world.command(Command::Move { vm: "nii1".to_owned(), target });
        world.command(Command::Release { vm: "nii1".to_owned() });
    }
    let went: Vec<String> = world.requests().iter().map(|(_, to)| (*to).to_owned()).collect();
    let expected: Vec<String> = logged.iter().map(|to| to.map_or("base".to_owned(), |n| format!("h{n}"))).collect();
    assert_eq!(went, expected);
    assert_eq!(expected[..7], ["h2", "h3", "h4", "h1", "base", "h2", "h3"]);
}

#[test]
fn a_quiet_vm_moves_to_base_and_back_into_the_ring_when_beyond() {
    let mut samples = vec![0.0; 20];
    samples.extend([25.0, 80.0, 80.0, 80.0]);
    let mut world = World::new(cluster(4, base()), values(&samples));
    world.run_for(Span::from_mins(26));
    assert_eq!(world.decisions(), [Decision::MoveToBase, Decision::Move]);
    let went: Vec<&str> = world.requests().iter().map(|(_, to)| *to).collect();
    assert_eq!(went, ["base", "h2"]);
    assert_eq!(world.engine.live(VmId(0)).moves_24h(world.now), 2);
}

/// What nii4's script did in listing 4.5: a queue was worked where the VM was, or the VM moved first. The queues are played as
/// they must have been: a big one where it was worked away, a small one where it was worked at home.
#[test]
fn listing_4_5_decides_as_the_thesis_did() {
    let lines: Vec<(i64, &str)> =
        column(LISTING_4_5, 0).map(|at| at.parse().unwrap()).zip(column(LISTING_4_5, 2)).collect();
    let begun = Timestamp::from_secs(lines[0].0 - 1);
    let mut cluster = two_sites(SiteRule::new(2));
    cluster.vms[0].host = HostId(3);
    let mut world = World::starting_at(begun, cluster, always(0.0));
    world.queue = Some(idle());
    world.moves = Moves::Slow;
    let mut logged = Vec::new();
    for (at, line) in lines {
        world.run_for(Timestamp::from_secs(at).since(world.now));
        match line {
            "Would process: away from home now" => world.report(queue(2, false)),
            "Would process: at home now" => world.report(queue(1, false)),
            line if line.ends_with("moving home") => {
                logged.push((Decision::MoveHome, at));
                world.shows(queue(1, false));
            }
            line if line.ends_with("moving from home") => {
                logged.push((Decision::MoveAway, at));
                world.shows(queue(2, false));
            }
            // The script starts again where it has arrived.
            "Starting VMManage" => {
                let id = world.under_way[0];
                world.tell(Event::Ended { id, detail: "done".to_owned() });
            }
            _ => {}
        }
    }
    let decided: Vec<Decision> = logged.iter().map(|(action, _)| *action).collect();
    assert_eq!(world.decisions(), decided);
    assert_eq!(decided, [Decision::MoveHome, Decision::MoveAway, Decision::MoveHome]);
    let ends = world
        .records
        .iter()
        .filter(|record| matches!(record.what, Happened::Migration { phase: Phase::Confirmed, .. }));
    let took: Vec<i64> = ends.zip(&logged).map(|(end, (_, asked))| end.at.millis() / 1_000 - asked).collect();
    assert_eq!(took, [574, 1_325, 209], "seconds from the decision to the script's start there");
    // Its own moves tell how long the next ones take: 1,324 s out, and back the longer of two.
    let ways = world.engine.site(VmId(0)).unwrap().ways;
    let seconds = |way: Option<Span>| way.unwrap().millis() / 1_000;
    assert!((1_315..=1_325).contains(&seconds(ways.out)) && (565..=574).contains(&seconds(ways.back)), "{ways:?}");
}
