//! A host is emptied: because the config says so, and by an operator.

use serde_json::Value;

use crate::setting::{
    CALM, FAST, RESTLESS, SLOW, config, console, draining, in_lab, most_at_once, outcome, run, runs_only_on,
    undisturbed, vm, way,
};
use crate::support::lab::{Guest, Lab, wait};
use crate::support::moves::is_outcome;
use crate::support::pty::Console;
use crate::support::{Config, Run};

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

#[test]
fn an_operator_drains_a_host_pauses_that_goes_on_and_releases_it() {
    in_lab("an_operator_drains_a_host_pauses_that_goes_on_and_releases_it", |lab| {
        let guests = ["web1", "web2"].map(|name| lab.guest(1, name).memory(80).start());
        let vms: Vec<String> = guests.iter().map(|guest| vm(guest, 1, CALM)).collect();
        let config = Config::new(&config(lab, "", SLOW, &vms));
        let mut console = console(lab, &config);
        console.shows("watching");
        console.press("D");
        console.shows("2 VMs would leave it, one after the other");
        console.press("\r");
        console.shows("sure?");
        console.press("y");

        let first = leaving(lab, &guests);
        console.press("p");
        console.shows("paused");
        lab.speed(1, &first.name, FAST);
        console.shows("1 of 2 VMs have left");
        let second = guests.iter().find(|guest| guest.name != first.name).expect("the other one");
        runs_only_on(lab, second, 1);
        assert_eq!(lab.sent(1, &second.name), None, "it waits");

        console.press("p");
        assert_eq!(leaving(lab, &guests).name, second.name);
        lab.speed(1, &second.name, FAST);
        console.shows("drained: it takes no VMs until it is released");
        is_empty(lab, 1);
        release(&mut console);
        assert!(guests.iter().all(|guest| lab.running_on(&guest.name) != [1]), "and nothing comes back by itself");
    });
}

/// The VM that is on its way out of host 1.
fn leaving<'g>(lab: &Lab, guests: &'g [Guest]) -> &'g Guest {
    wait("one is on its way", || guests.iter().find(|guest| lab.sent(1, &guest.name) > Some(0)))
}

fn release(console: &mut Console) {
    console.press("r");
    console.shows("sure?");
    console.press("y");
    console.shows("lab1: takes VMs again");
    console.press("Dq");
    console.until("the terminal as it was", Console::is_restored);
}

#[test]
fn one_command_empties_a_host_whose_engine_does_not_run_and_another_one_releases_it() {
    in_lab("one_command_empties_a_host_whose_engine_does_not_run_and_another_one_releases_it", |lab| {
        let guests = ["web1", "web2"].map(|name| lab.guest(1, name).memory(80).start());
        let boots = guests.each_ref().map(Guest::boot_id);
        let vms: Vec<String> = guests.iter().map(|guest| vm(guest, 1, CALM)).collect();
        let config = Config::new(&config(lab, "", "", &vms));
        let said = drain(lab, &config, "--yes");
        assert!(said.contains("lab1 is drained: 2 VMs have left it"), "{said}");
        is_empty(lab, 1);
        assert_eq!(guests.each_ref().map(Guest::boot_id), boots, "they were never off");

        let mut run = run(lab, &config);
        run.until_type("sample", "web2");
        let said = drain(lab, &config, "--release");
        assert!(said.contains("lab1: takes VMs again"), "{said}");
        undisturbed(&run);
        run.stop();
    });
}

/// What `whimbrel drain lab1` says at its good end.
fn drain(lab: &Lab, config: &Config, argument: &str) -> String {
    let mut command = lab.whimbrel();
    let output = command.args(["drain", "lab1"]).arg(config.path()).arg(argument).output().expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
