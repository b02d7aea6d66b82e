use super::play::Playing;
use crate::core::cluster::Span;
use crate::core::engine::{Change, Command, Engine, Event, Happened};
use crate::core::simulation::{START, Scenario, SimulatedCluster, Simulation, Size};

fn past(scenario: Scenario) -> SimulatedCluster {
    scenario.before(Size::default(), 1)
}

/// nii1's requests in each hour.
fn requests(before: SimulatedCluster) -> Vec<usize> {
    let SimulatedCluster { cluster, plan, from, edits, .. } = before;
    let simulation = Simulation::new(&cluster, plan, from);
    let mut playing = Playing { engine: Engine::new(cluster, from), simulation, records: Vec::new() };
    for (at, vm, settings) in edits {
        playing.until(at);
        let changes = vec![Change { vm, settings: Box::new(settings) }];
        let command = Command::Amend { changes, why: None };
        playing.tell(at, Event::Command { by: "operator".to_owned(), command });
    }
    playing.until(START);
    let mut hours = vec![0; (START.since(from).millis() / 3_600_000) as usize];
    for record in playing.records.iter().filter(|record| record.at < START) {
        if record.vm.as_deref() == Some("nii1") && matches!(record.what, Happened::Request { .. }) {
            hours[(record.at.since(from).millis() / 3_600_000) as usize] += 1;
        }
    }
    hours
}

/// Thesis, figures 4.3 and 4.4: the threshold raised from 20 to 50 in the 16th hour ends a near-endless loop.
#[test]
fn raising_the_threshold_in_the_sixteenth_hour_ends_the_loop() {
    let hours = requests(past(Scenario::One));
    assert_eq!(hours.len(), 48);
    let mean = |hours: &[usize]| hours.iter().sum::<usize>() as f64 / hours.len() as f64;
    assert!(mean(&hours[..15]) > 5.0, "{hours:?}");
    assert!(mean(&hours[16..]) < 2.0, "{hours:?}");
    let without = requests(SimulatedCluster { edits: Vec::new(), ..past(Scenario::One) });
    assert!(mean(&without[16..]) > 5.0, "it is the edit that ends it: {without:?}");
}

#[test]
fn a_past_is_as_long_as_can_be_simulated_beside_the_first_screen() {
    for scenario in Scenario::ALL {
        let before = past(scenario);
        let readings: i64 =
            before.cluster.vms.iter().map(|vm| START.since(before.from).millis() / vm.interval.millis()).sum();
        assert!(readings <= 550_000, "{scenario}: {readings}");
        assert!(START.since(before.from) >= Span::from_hours(48), "{scenario}");
    }
    let large = Scenario::Fleet.before(Size { vms: Some(100_000), hosts: Some(10_000) }, 1);
    assert!(START.since(large.from) <= Span::from_mins(10));
}
