//! whimbrel dies in the middle of a migration: it is found again, and nothing is started twice.

use serde_json::Value;

use crate::setting::{FAST, ONCE, RESTLESS, SLOW, in_lab, outcome, pair, run, runs_only_on, undisturbed, vm, way};
use crate::support::lab::{Guest, Lab, wait};
use crate::support::{Config, Run};

/// The engine killed in the middle of a migration from host 1 to 2, and the request that it was about.
fn killed(lab: &Lab, config: &Config, guest: &Guest) -> Value {
    let mut run = run(lab, config);
    let request = run.until_type("request", &guest.name);
    lab.await_move(1, &guest.name);
    run.kill();
    request
}

/// The process that waits for the guest's memory at its destination.
fn incoming(lab: &Lab, guest: &Guest) -> u32 {
    let at_2: Vec<_> = lab.qemus(&guest.name).into_iter().filter(|qemu| qemu.host == 2).collect();
    assert_eq!(at_2.len(), 1, "{at_2:?}");
    at_2[0].pid
}

/// It arrived, in the process that waited for it, and nothing but its outcome happened.
fn arrived(lab: &Lab, run: &Run, guest: &Guest, process: u32) {
    assert_eq!(incoming(lab, guest), process, "it moved once");
    runs_only_on(lab, guest, 2);
    assert_eq!(run.of("request", &guest.name), Vec::<&Value>::new(), "nothing was started");
    undisturbed(run);
}

#[test]
fn a_migration_goes_on_while_whimbrel_is_killed_and_is_followed_when_it_is_back() {
    in_lab("a_migration_goes_on_while_whimbrel_is_killed_and_is_followed_when_it_is_back", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let (boot, config) = (web1.boot_id(), Config::new(&pair(lab, ONCE, SLOW, &[vm(&web1, 1, RESTLESS)])));
        let request = killed(lab, &config, &web1);
        let process = incoming(lab, &web1);
        runs_only_on(lab, &web1, 1);

        let mut run = run(lab, &config);
        let found = run.until(|event| event["type"] == "migration" && event["percent"].as_u64() > Some(0));
        assert_eq!((&found["id"], &found["phase"]), (&request["id"], &"running".into()));
        lab.speed(1, "web1", FAST);
        let done = outcome(&mut run, "web1");
        assert_eq!((&done["id"], way(&done)), (&request["id"], ["lab1", "lab2", "confirmed"]));
        arrived(lab, &run, &web1, process);
        assert_eq!(web1.boot_id(), boot, "it was never off");
        run.stop();
    });
}

#[test]
fn a_migration_that_ended_while_whimbrel_was_dead_is_confirmed_by_both_hosts() {
    in_lab("a_migration_that_ended_while_whimbrel_was_dead_is_confirmed_by_both_hosts", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let config = Config::new(&pair(lab, ONCE, SLOW, &[vm(&web1, 1, RESTLESS)]));
        let request = killed(lab, &config, &web1);
        let process = incoming(lab, &web1);
        lab.speed(1, "web1", FAST);
        wait("it has arrived without anybody", || (lab.running_on("web1") == [2]).then_some(()));

        let mut run = run(lab, &config);
        let done = outcome(&mut run, "web1");
        assert_eq!((&done["id"], way(&done)), (&request["id"], ["lab1", "lab2", "confirmed"]));
        arrived(lab, &run, &web1, process);
        run.stop();

        // A third start has nothing left to follow, and knows when it was moved.
        let mut run = crate::setting::run(lab, &config);
        assert_eq!(run.until_type("blocked", "web1")["gate"], "cooldown");
        assert_eq!(run.of("migration", "web1"), Vec::<&Value>::new());
        undisturbed(&run);
        run.stop();
    });
}
