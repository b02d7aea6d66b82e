//! The engine's process stands still for longer than any of its deadlines, as with a machine that is suspended, at each
//! stage of a migration: there is an outcome, and the next migration is not held up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::tale::Tale;
use crate::setting::SLOW;
use crate::support::lab::{Lab, wait};
use crate::support::services::or_skip;

/// Divides the engine's deadlines, of which 5 minutes for a preflight are the longest.
const HURRY: (&str, &str) = ("WHIMBREL_DEADLINES", "30");
/// Twice the longest.
const LONG: Duration = Duration::from_secs(20);

#[test]
fn an_engine_that_stands_still_while_its_driver_checks_says_that_it_moves_nothing() {
    let test = "an_engine_that_stands_still_while_its_driver_checks_says_that_it_moves_nothing";
    let Some(lab) = or_skip(test, Lab::up(2)) else { return };
    let mut tale = Tale::at_rest(&lab, "", &[HURRY]);
    tale.knows_its_hosts();
    lab.freeze_daemon(2);
    tale.wants_to_move();
    tale.beyond_and("migrating");
    tale.stands_still(|lab| lab.thaw_daemon(2), LONG);
    let why = tale.blocked("preflight");
    assert!(why.starts_with("the driver did not answer within"), "{why}");
    assert_eq!(tale.requests(), 0, "{:#?}", tale.story());
    tale.leaves(1);
    tale.moves_again(2);
    tale.row("whimbrel stopped during preflight");
}

#[test]
fn an_engine_that_stands_still_while_its_journal_is_written_says_that_it_moves_nothing() {
    let test = "an_engine_that_stands_still_while_its_journal_is_written_says_that_it_moves_nothing";
    let Some(lab) = or_skip(test, Lab::up(2)) else { return };
    let Some(disk) = or_skip(test, FreezingDisk::mount(lab.folder())) else { return };
    let place = disk.0.display().to_string();
    let mut tale = Tale::at_rest(&lab, "", &[HURRY, ("XDG_STATE_HOME", &place)]);
    tale.beyond_and("watching");
    disk.freeze();
    tale.wants_to_move();
    tale.until("a request", |event| event["type"] == "request");
    tale.stands_still(|_| disk.thaw(), LONG);
    let (outcome, why) = tale.outcome();
    assert!(outcome == "failed" && why.starts_with("not started: no answer within"), "{outcome}: {why}");
    tale.leaves(1);
    tale.moves_again(2);
    tale.row("whimbrel stopped while the journal is written");
}

#[test]
fn an_engine_that_stands_still_while_a_migration_runs_and_ends_confirms_it() {
    let test = "an_engine_that_stands_still_while_a_migration_runs_and_ends_confirms_it";
    let Some(lab) = or_skip(test, Lab::up(2)) else { return };
    let mut tale = under_way(&lab);
    let arrives = |lab: &Lab| {
        lab.speed(1, "web1", 1_000);
        wait("it has arrived", || (lab.running_on("web1") == [2]).then_some(()));
    };
    tale.stands_still(arrives, LONG);
    tale.ends("confirmed", 2);
    tale.moves_again(1);
    tale.row("whimbrel stopped while the migration ends");
}

#[test]
fn an_engine_that_stands_still_while_both_hosts_are_asked_asks_again() {
    let test = "an_engine_that_stands_still_while_both_hosts_are_asked_asks_again";
    let Some(lab) = or_skip(test, Lab::up(2)) else { return };
    let mut tale = under_way(&lab);
    // The source gives up a destination that is silent, which does not say either what has become of the VM.
    lab.freeze_daemon(2);
    wait("the source has given up", || lab.sent(1, "web1").is_none().then_some(()));
    tale.stands_still(|lab| lab.thaw_daemon(2), LONG);
    tale.ends("failed", 1);
    tale.moves_again(2);
    tale.row("whimbrel stopped while both hosts are asked");
}

#[test]
fn an_engine_that_stands_still_while_the_outcome_is_unknown_has_one_afterwards() {
    let test = "an_engine_that_stands_still_while_the_outcome_is_unknown_has_one_afterwards";
    let Some(lab) = or_skip(test, Lab::up(2)) else { return };
    let mut tale = under_way(&lab);
    lab.stop_daemon(2);
    assert_eq!(tale.phase("unknown"), "lab2 does not answer");
    tale.stands_still(|lab| lab.start_daemon(2), LONG);
    tale.ends("failed", 1);
    tale.moves_again(2);
    tale.row("whimbrel stopped while the outcome is unknown");
}

/// In the middle of a slow migration, with short deadlines.
fn under_way(lab: &Lab) -> Tale<'_> {
    let mut tale = Tale::at_rest(lab, SLOW, &[HURRY]);
    tale.beyond_and("watching");
    tale.wants_to_move();
    tale.gets_under_way();
    tale
}

/// A file system whose writers can be made to wait.
struct FreezingDisk(PathBuf);

impl FreezingDisk {
    fn mount(folder: &Path) -> Result<Self, String> {
        let (image, place) = (folder.join("state.img"), folder.join("state"));
        std::fs::create_dir(&place).map_err(|why| why.to_string())?;
        std::fs::File::create(&image).and_then(|file| file.set_len(16 << 20)).map_err(|why| why.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).args([&image, &place]))?;
        Ok(Self(place))
    }

    /// Whoever writes waits.
    fn freeze(&self) {
        run(Command::new("fsfreeze").arg("--freeze").arg(&self.0)).expect("ext4 can be frozen");
    }

    fn thaw(&self) {
        run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.0)).expect("it is frozen");
    }
}

impl Drop for FreezingDisk {
    fn drop(&mut self) {
        // A test that fails may leave it frozen, and a process that writes.
        let _ = run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.0));
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|why| format!("{command:?}: {why}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", said.trim())) }
}
