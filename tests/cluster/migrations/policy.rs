//! VMs that their own services move.

use std::time::Duration;

use serde_json::Value;

use crate::setting::{
    CALM, ONCE, RESTLESS, config, host, in_lab, number, outcome, run, runs_only_on, undisturbed, vm, watched, way,
};
use crate::support::lab::{Disk, Guest, Lab, wait};
use crate::support::services::or_skip;
use crate::support::{Config, Run};

/// Of one CPU, for a whole host.
const SHARE: u8 = 40;
/// Takes a guest that nobody disturbs some tenths of a second.
const TURNS: u32 = 5_000;
const READINGS: usize = 5;
/// Of a reading, in ms: as long as the interval.
const DEADLINE: f64 = 3_000.0;

/// How long the service takes, in the middle of some readings, in ms.
fn latency(guest: &Guest) -> f64 {
    let mut readings: Vec<Duration> = (0..READINGS).map(|_| guest.work(TURNS)).collect();
    readings.sort_unstable();
    readings[READINGS / 2].as_secs_f64() * 1e3
}

/// A bound between the service alone and in a crowd, nearer to the crowd: the guest must still be below it when the machine
/// is busy with something else.
fn calibrated(web1: &Guest, noisy: &[Guest]) -> f64 {
    let alone = latency(web1);
    noisy.iter().for_each(|guest| guest.burn(600, 1));
    let crowded = wait("the crowd is felt", || Some(latency(web1)).filter(|crowded| *crowded > alone * 2.0));
    (alone * crowded * crowded).cbrt().round().min(DEADLINE / 2.0)
}

/// Whether three readings in a row are in bounds, soon.
fn is_fast_again(run: &mut Run, bound: f64) -> bool {
    let mut in_bounds = 0;
    for _ in 0..12 {
        let sample = run.until(|event| event["type"] == "sample" && event["state"] == "watching");
        in_bounds = if value(&sample) <= bound { in_bounds + 1 } else { 0 };
        if in_bounds == 3 {
            return true;
        }
    }
    false
}

#[test]
fn a_service_slowed_by_its_neighbours_moves_its_vm_and_is_fast_again() {
    let test = "a_service_slowed_by_its_neighbours_moves_its_vm_and_is_fast_again";
    let Some(lab) = or_skip(test, Lab::crowded(2, SHARE)) else { return };
    let web1 = lab.guest(1, "web1").disk(Disk::Nbd).start();
    let noisy = ["noisy1", "noisy2"].map(|name| lab.guest(1, name).memory(80).start());
    let bound = calibrated(&web1, &noisy);
    let (boot, tick) = (web1.boot_id(), web1.tick());

    let url = web1.url(&format!("/cgi-bin/work?{TURNS}"));
    let monitor = format!("kind = \"http\", url = \"{url}\", deadline = \"{DEADLINE}ms\"");
    let policy = format!("kind = \"threshold\", threshold = {bound}, tarry = 3, settle = \"1s\"");
    let web1_vm = watched(&web1, 1, &monitor, &policy).replace("interval = \"1s\"", "interval = \"3s\"");
    let config = Config::new(&config(&lab, ONCE, "", &[web1_vm]));
    let mut run = run(&lab, &config);
    run.until_type("decision", "web1");
    let beyond = run.of("sample", "web1");
    assert!(beyond.len() >= 3 && beyond[beyond.len() - 3..].iter().all(|sample| value(sample) > bound), "{beyond:?}");
    assert_eq!(run.until_type("request", "web1")["by"], "policy");
    assert_eq!(way(&outcome(&mut run, "web1")), ["lab1", "lab2", "confirmed"]);
    runs_only_on(&lab, &web1, 2);

    let moved = run.events.len();
    assert!(is_fast_again(&mut run, bound), "not below {bound} again: {:?}", &run.events[moved..]);
    assert_eq!(run.of("request", "web1").len(), 1, "it moved once");
    assert_eq!(web1.boot_id(), boot, "it was never off");
    wait("its memory goes on", || (web1.tick() > tick).then_some(()));
    wait("so does its disk", || (web1.tick_on_disk() > tick).then_some(()));
    undisturbed(&run);
    run.stop();
}

fn value(sample: &Value) -> f64 {
    sample["value"].as_f64().unwrap_or(f64::INFINITY)
}

#[test]
fn a_vm_is_taken_over_where_it_runs_and_goes_round_the_ring() {
    in_lab("a_vm_is_taken_over_where_it_runs_and_goes_round_the_ring", |lab| {
        let web1 = lab.guest(2, "web1").disk(Disk::Nbd).start();
        let (boot, tick) = (web1.boot_id(), web1.tick());
        let top = "[limits]\nflap_window = \"off\"";
        let config = Config::new(&config(lab, top, "", &[vm(&web1, 1, RESTLESS)]));
        let mut run = run(lab, &config);
        // At the first move not all hosts may have answered.
        let moves: Vec<_> = (0..4).map(|_| outcome(&mut run, "web1")).collect();
        assert!(moves.iter().all(|outcome| outcome["phase"] == "confirmed"), "{moves:?}");
        assert_eq!(moves[0]["from"], "lab2", "it was found there");
        for two in moves.windows(2) {
            let next = host(number(&two[0]["to"]) % 3 + 1);
            assert_eq!((&two[1]["from"], &two[1]["to"]), (&two[0]["to"], &next.into()), "{moves:?}");
        }
        let (requests, ids) = (run.of("request", "web1"), run.of("migration", "web1"));
        assert!(requests.iter().all(|request| request["by"] == "policy"));
        assert_eq!(requests.first().map(|request| &request["id"]), ids.first().map(|migration| &migration["id"]));
        let adopted = run.events.iter().any(|event| event["by"] == "driver" && event["text"] == "runs on lab2");
        assert!(adopted, "where it is was said");
        undisturbed(&run);
        run.stop();
        assert_eq!(web1.boot_id(), boot, "it was never off");
        wait("its memory goes on", || (web1.tick() > tick).then_some(()));
    });
}

#[test]
fn the_hypervisor_tells_how_busy_a_vm_is() {
    in_lab("the_hypervisor_tells_how_busy_a_vm_is", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let busy = watched(&web1, 1, "kind = \"hypervisor\", field = \"cpu\"", CALM);
        let config_file = Config::new(&config(lab, "", "", &[busy]));
        let mut run = run(lab, &config_file);
        let idle = value(&run.until(|event| event["type"] == "sample"));
        assert!((0.0..=100.0).contains(&idle), "{idle}");
        web1.burn(600, 1);
        run.until(|event| event["type"] == "sample" && (idle + 30.0..=100.0).contains(&value(event)));

        let full = watched(&web1, 1, "kind = \"hypervisor\", field = \"memory\"", CALM);
        config_file.write(&config(lab, "", "", &[full]));
        run.until(|event| event["by"] == "config");
        let used = value(&run.until(|event| event["type"] == "sample"));
        assert!((1.0..=100.0).contains(&used), "{used}");
        run.stop();
    });
}
