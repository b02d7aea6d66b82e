//! `whimbrel discover`: from nothing to an engine over one's own cluster.

use std::process::Output;

use crate::setting::{in_lab, run};
use crate::support::Config;
use crate::support::lab::{Disk, Lab};

/// An address in the lab's network that nobody has.
const NOBODY: &str = "qemu+tcp://10.77.0.99/system";

fn discover(lab: &Lab, uris: &[String]) -> Output {
    lab.whimbrel().arg("discover").args(uris).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_discovered_is_a_config_that_finds_the_vms_where_they_are() {
    in_lab("what_is_discovered_is_a_config_that_finds_the_vms_where_they_are", |lab| {
        let web1 = lab.guest(1, "web1").disk(Disk::Nbd).start();
        let web2 = lab.guest(2, "web2").disk(Disk::LocalFile).start();
        let found = discover(lab, &[lab.uri(1), lab.uri(2)]);
        let (config, said) = (text(&found.stdout), text(&found.stderr));
        assert_eq!((found.status.code(), said.as_str()), (Some(0), ""), "{config}");
        let of = |name: &str| {
            let block = config.split("[[vm]]").find(|block| block.contains(&format!("name = \"{name}\"")));
            block.unwrap_or_else(|| panic!("no {name} in\n{config}")).to_owned()
        };
        for (guest, host) in [(&web1, 1), (&web2, 2)] {
            let block = of(&guest.name);
            assert!(block.contains(&format!("host = \"{}\"", lab.address(host))), "{block}");
            assert!(block.contains(&format!("uuid = \"{}\"", guest.uuid)), "{block}");
        }
        assert!(of("web1").contains("(network): shared"), "{config}");
        assert!(of("web2").contains("is a file of this host: it must be shared"), "{config}");

        let file = Config::new(&config);
        let check = lab.whimbrel().arg("check").arg(file.path()).output().expect("the binary starts");
        assert!(check.status.success(), "{}{}", text(&check.stdout), text(&check.stderr));
        // Nothing is said of a VM that is where the config has it.
        lab.virsh(1, &["migrate", "--live", "--p2p", "web1", &lab.peer_uri(2)]).expect("a migration");
        let mut run = run(lab, &file);
        let moved = run.until(|event| event["by"] == "driver");
        assert_eq!((&moved["vm"], &moved["text"]), (&"web1".into(), &format!("runs on {}", lab.address(2)).into()));
        run.stop();
        assert!(run.of("alarm", "web1").is_empty() && run.of("alarm", "web2").is_empty(), "{:?}", run.events);
        assert!(run.events.iter().all(|event| event["by"] != "driver" || event["vm"] != "web2"), "{:?}", run.events);
    });
}

#[test]
fn a_host_that_does_not_answer_is_named_with_its_reason_and_the_others_are_in_the_config() {
    in_lab("a_host_that_does_not_answer_is_named_with_its_reason_and_the_others_are_in_the_config", |lab| {
        let found = discover(lab, &[lab.uri(1), NOBODY.to_owned()]);
        let (config, said) = (text(&found.stdout), text(&found.stderr));
        assert_eq!(found.status.code(), Some(1));
        assert_eq!(said, "error: no route to 10.77.0.99: is it switched on and its network up?\n");
        assert!(config.contains(&format!("# {NOBODY}: did not answer")), "{config}");
        let file = Config::new(&config);
        assert!(lab.whimbrel().arg("check").arg(file.path()).status().expect("the binary starts").success());

        let found = discover(lab, &[NOBODY.to_owned()]);
        assert_eq!((found.status.code(), text(&found.stdout).as_str()), (Some(1), ""), "nothing to make a config of");
    });
}
