//! Several migrations: as many at once as the config allows, and a host that is emptied.

use serde_json::Value;

use crate::lab::{Lab, wait};
use crate::setting::{
    CALM, ONCE, RESTLESS, config, draining, in_lab, is_outcome, most_at_once, outcome, run, runs_only_on, undisturbed,
    vm, way,
};
use crate::support::{Config, Run};

#[test]
fn two_vms_move_at_once_and_a_third_has_to_wait() {
    in_lab("two_vms_move_at_once_and_a_third_has_to_wait", |lab| {
        let guests = [1, 2, 3].map(|n| lab.guest(n, &format!("web{n}")).memory(80).start());
        let vms: Vec<String> = (1..).zip(&guests).map(|(n, guest)| vm(guest, n, RESTLESS)).collect();
        let limits = format!("{ONCE}at_once = 2\nat_once_per_host = 2");
        let config = Config::new(&config(lab, &limits, ", bandwidth = 8", &vms));
        let mut run = run(lab, &config);
        run.until(|event| event["type"] == "blocked" && event["gate"] == "budget");
        let first = run.until(is_outcome);
        let under_way = run.events.iter().filter(|event| event["type"] == "request").count();
        assert_eq!((under_way, &first["phase"]), (2, &"confirmed".into()), "until one has ended");
        (1..3).for_each(|_| assert_eq!(run.until(is_outcome)["phase"], "confirmed"));
        assert_eq!(most_at_once(&run.events, None), 2);
        (0..3).for_each(|n| runs_only_on(lab, &guests[n], (n + 1) % 3 + 1));
        undisturbed(&run);
        run.stop();
    });
}

#[test]
fn a_host_that_is_to_be_drained_is_emptied_and_stays_out_of_the_ring_until_it_is_released() {
    let test = "a_host_that_is_to_be_drained_is_emptied_and_stays_out_of_the_ring_until_it_is_released";
    in_lab(test, |lab| {
        let guests =
            [("web1", 1), ("web2", 1), ("web3", 3)].map(|(name, host)| lab.guest(host, name).memory(80).start());
        let [web1, web2, web3] = &guests;
        let vms = |policy| vec![vm(web1, 1, CALM), vm(web2, 1, CALM), vm(web3, 3, policy)];
        let top = "[limits]\nflap_window = \"off\"";
        let config_file = Config::new(&config(lab, top, "", &vms(CALM)));
        let mut run = run(lab, &config_file);
        guests.iter().for_each(|guest| drop(run.until_type("sample", &guest.name)));

        config_file.write(&draining(lab, 1, top, "", &vms(CALM)));
        let done = run.until(|event| said(event, "lab1 drained"));
        assert_eq!(done["text"], "lab1 drained: 2 VMs moved, 0 left");
        let moved: Vec<&Value> = run.events.iter().filter(|event| is_outcome(event)).collect();
        assert!(moved.iter().all(|outcome| outcome["from"] == "lab1" && outcome["phase"] == "confirmed"), "{moved:?}");
        assert_eq!(moved.len(), 2);
        assert_eq!(most_at_once(&run.events, Some("lab1")), 1, "one at a time");
        assert!(lab.running_on("web1") != [1] && lab.running_on("web2") != [1]);
        is_empty(lab, 1);

        config_file.write(&draining(lab, 1, top, "", &vms(RESTLESS)));
        assert_eq!(way(&outcome(&mut run, "web3")), ["lab3", "lab2", "confirmed"], "past the drained one");
        config_file.write(&config(lab, top, "", &vms(RESTLESS)));
        run.until(|event| said(event, "lab1 takes VMs again"));
        goes_to(&mut run, "web3", "lab1");
        undisturbed(&run);
        run.stop();
    });
}

fn said(event: &Value, begin: &str) -> bool {
    event["type"] == "operator" && event["text"].as_str().is_some_and(|text| text.starts_with(begin))
}

fn is_empty(lab: &Lab, host: usize) {
    wait("nothing runs there", || lab.virsh(host, &["list", "--name"]).is_ok_and(|list| list.is_empty()).then_some(()));
}

/// After at most one round.
fn goes_to(run: &mut Run, vm: &str, host: &str) {
    let arrives = (0..3).any(|_| way(&outcome(run, vm))[1..] == [host, "confirmed"]);
    assert!(arrives, "{vm} never came to {host}: {:?}", run.of("migration", vm));
}
