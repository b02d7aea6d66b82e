//! What the config asks of a migration is what libvirt then does.

use std::fs::File;

use crate::setting::{CALM, host, in_lab, outcome, pair, run, runs_only_on, send, undisturbed, vm, way};
use crate::support::lab::{Disk, Guest, Lab, wait};
use crate::support::{Config, Run};

const HISTORY: &str = "[history]\nfile = \"history.db\"";

/// An engine over the first two hosts, whose driver has these keys.
fn engine(lab: &Lab, driver: &str, guest: &Guest) -> (Config, Run) {
    let config = Config::new(&pair(lab, HISTORY, driver, &[vm(guest, 1, CALM)]));
    let run = run(lab, &config);
    (config, run)
}

/// Moves it from host 1 to 2; what the driver said of it at last.
fn moves(lab: &Lab, config: &Config, run: &mut Run, guest: &Guest) -> String {
    send(config, &guest.name, &host(2));
    let done = outcome(run, &guest.name);
    assert_eq!(way(&done), ["lab1", "lab2", "confirmed"], "{done}");
    runs_only_on(lab, guest, 2);
    undisturbed(run);
    done["detail"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_defined_vm_takes_its_definition_along_whatever_else_is_asked_for() {
    in_lab("a_defined_vm_takes_its_definition_along_whatever_else_is_asked_for", |lab| {
        let db2 = lab.guest(1, "db2").disk(Disk::Nbd).persistent().start();
        let driver = ", tunnelled = true, auto_converge = true, downtime = \"200ms\"";
        let (config, mut run) = engine(lab, driver, &db2);
        moves(lab, &config, &mut run, &db2);
        run.stop();
        let defined = |host| lab.virsh(host, &["list", "--all", "--name", "--persistent"]).expect("the host answers");
        assert_eq!((defined(1).as_str(), defined(2).as_str()), ("", "db2"));
    });
}

#[test]
fn a_vm_that_writes_faster_than_is_sent_is_finished_from_its_destination() {
    in_lab("a_vm_that_writes_faster_than_is_sent_is_finished_from_its_destination", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let boot = web1.boot_id();
        web1.dirty(16, 600);
        let (config, mut run) = engine(lab, ", post_copy = true, bandwidth = 8", &web1);
        moves(lab, &config, &mut run, &web1);
        let switched = run
            .of("migration", "web1")
            .iter()
            .any(|event| event["detail"].as_str().is_some_and(|detail| detail.contains("post-copy")));
        assert!(switched, "{:?}", run.of("migration", "web1"));
        run.stop();
        assert_eq!(web1.boot_id(), boot, "it was never off");
    });
}

#[test]
fn a_disk_that_is_not_shared_is_copied_if_the_config_says_so() {
    in_lab("a_disk_that_is_not_shared_is_copied_if_the_config_says_so", |lab| {
        let db1 = lab.guest(1, "db1").disk(Disk::LocalFile).start();
        // Where the hosts have no pool of volumes libvirt writes into a file that is there.
        let image = |host: usize| lab.folder().join(format!("host{host}/lib/images/db1.raw"));
        let size = image(1).metadata().expect("the image").len();
        File::create(image(2)).and_then(|file| file.set_len(size)).expect("room");
        wait("its disk is written", || (db1.tick() > 1).then_some(()));
        let tick = db1.tick_on_disk();
        let (config, mut run) = engine(lab, ", copy_storage = \"all\"", &db1);
        moves(lab, &config, &mut run, &db1);
        run.stop();
        wait("its disk goes on at the destination", || (db1.tick_on_disk() > tick + 1).then_some(()));
    });
}
