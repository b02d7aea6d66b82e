//! Moves that people make: in the console, in its config, and behind its back.

use crate::setting::{CALM, FAST, RESTLESS, SLOW, config, console, hosts_are_known, in_lab, run, runs_only_on, vm};
use crate::support::Config;
use crate::support::lab::{Guest, Lab, wait};
use crate::support::pty::Console;

/// Where the engine's socket is, too.
const HISTORY: &str = "[history]\nfile = \"history.db\"";

/// Asks for the selected VM's move to the ring's next, and sees it under way.
fn moves_on(console: &mut Console, lab: &Lab, guest: &Guest, from: usize) {
    console.press("m");
    // Not before the hosts have answered.
    console.shows(&format!("> next lab{}", from + 1));
    console.press("\r");
    console.shows("sure?");
    console.press("y");
    lab.await_move(from, &guest.name);
    console.shows("x aborts it");
    console.until("how far it is", |console| {
        let text = console.text();
        (1..100).any(|percent| text.contains(&format!(" {percent}% "))) && text.contains("of 1")
    });
}

#[test]
fn a_move_by_hand_is_watched_confirmed_and_held_and_another_one_aborted() {
    in_lab("a_move_by_hand_is_watched_confirmed_and_held_and_another_one_aborted", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let config = Config::new(&config(lab, "", SLOW, &[vm(&web1, 1, CALM)]));
        let mut console = console(lab, &config);
        console.shows("watching");
        moves_on(&mut console, lab, &web1, 1);
        lab.speed(1, "web1", FAST);
        console.shows("confirmed #1  lab1 > lab2");
        let text = console.text();
        let told = text.lines().find(|line| line.contains("confirmed #1")).unwrap_or_default();
        assert!((told.contains(" s, ") || told.contains(" ms, ")) && told.contains(" ms down"), "{told}");
        console.shows("held");
        runs_only_on(lab, &web1, 2);

        moves_on(&mut console, lab, &web1, 2);
        console.press("x");
        console.shows("sure?");
        console.press("y");
        console.shows("aborted #2  lab2 > lab3");
        runs_only_on(lab, &web1, 2);
        wait("nothing is left at the destination", || (lab.qemus("web1").len() == 1).then_some(()));
        let tick = web1.tick();
        wait("it goes on", || (web1.tick() > tick).then_some(()));
        console.press("q");
        console.until("the terminal as it was", Console::is_restored);
    });
}

#[test]
fn a_move_by_somebody_else_is_noticed_and_not_fought_over() {
    in_lab("a_move_by_somebody_else_is_noticed_and_not_fought_over", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let config_file = Config::new(&config(lab, HISTORY, "", &[vm(&web1, 1, CALM)]));
        let mut run = run(lab, &config_file);
        // Where it is found first is where it is taken to have been.
        hosts_are_known(&config_file, "lab1");
        lab.virsh(1, &["migrate", "--live", "--p2p", "web1", &lab.peer_uri(2)]).expect("a migration");
        let alarm = run.until_type("alarm", "web1");
        assert_eq!(alarm["text"], "web1 was moved from lab1 to lab2 by somebody else; held until released");
        let state = run.until_type("state", "web1");
        assert_eq!(state["state"], "held");

        // It would go at once if it might.
        config_file.write(&config(lab, HISTORY, "", &[vm(&web1, 1, RESTLESS)]));
        run.until(|event| event["key"] == "tarry");
        for _ in 0..3 {
            let sample = run.until_type("sample", "web1");
            assert_eq!((&sample["state"], &sample["count"]), (&"held".into(), &0.into()));
        }
        assert!(run.of("request", "web1").is_empty() && run.of("migration", "web1").is_empty());
        runs_only_on(lab, &web1, 2);
        assert_eq!(run.events.iter().filter(|event| event["type"] == "alarm").count(), 1, "said once");
        run.stop();
    });
}
