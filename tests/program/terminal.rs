//! The real binary in a real terminal: a new user's first minutes, and every way to leave.

use crate::support::pty::{Console, whimbrel};
use portable_pty::CommandBuilder;
use rustix::process::Signal;

fn demo() -> Console {
    let mut console = Console::spawn(whimbrel(&["demo", "--speed", "1"]));
    console.shows("50 VMs");
    console
}

fn ended_well(mut console: Console) {
    console.until("the terminal as it was", Console::is_restored);
    assert!(console.child.wait().expect("an end").success());
}

#[test]
fn without_a_config_it_opens_on_the_demo_and_says_how_to_begin() {
    let nowhere = tempfile::tempdir().expect("a folder");
    let mut command = whimbrel(&[]);
    command.cwd(nowhere.path());
    command.env("XDG_CONFIG_HOME", nowhere.path());
    let mut console = Console::spawn(command);
    console.shows("No config was found");
    console.shows("50 VMs");
    console.press("\x1b");
    console.until("the banner gone", |console| !console.text().contains("No config was found"));
    console.press("q");
    ended_well(console);
}

#[test]
fn a_broken_config_is_told_before_the_screen_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("whimbrel.toml"), "mode = \"atuo\"\n").expect("a file");
    let mut command = whimbrel(&[]);
    command.cwd(folder.path());
    let mut console = Console::spawn(command);
    console.shows("whimbrel.toml:1:8: error:");
    assert_eq!(console.child.wait().expect("an end").exit_code(), 2);
    assert!(!console.raw.windows(8).any(|bytes| bytes == b"\x1b[?1049h"), "the screen was never taken");
}

#[test]
fn keys_reach_the_engine_and_its_answers_the_screen() {
    let mut console = demo();
    console.press("/nii5\r");
    console.shows("1 of 50");
    console.press("h");
    console.shows("nii5: held until released");
    console.press("h");
    console.shows("nii5: released");
    console.press("+");
    console.until("the change in the log", |console| {
        let text = console.text();
        text.contains("threshold 50 → ") && !text.contains("asked, waiting")
    });
    console.press("u");
    console.shows("→ 50");
    console.press("m");
    console.shows("what the gates say");
    console.press("m?");
    console.shows("the selected VM");
    console.press("qq");
    ended_well(console);
}

#[test]
fn a_move_by_hand_asks_first_and_is_then_made() {
    let mut console = Console::spawn(whimbrel(&["demo", "2", "--speed", "20"]));
    console.shows("nii5");
    console.press("/nii5\r");
    console.press("m");
    console.shows("what the gates say");
    console.press("\r");
    console.shows("sure?");
    console.press("y");
    console.shows("asked to move");
    console.press("q");
    ended_well(console);
}

#[test]
fn pasted_text_is_never_a_command() {
    let mut console = demo();
    console.press("\x1b[200~q\x1b[201~");
    console.press("?");
    console.shows("the selected VM");
    console.press("\x03");
    ended_well(console);
}

#[test]
fn it_follows_the_terminals_size() {
    let mut console = demo();
    console.resize(20, 5);
    console.screen.screen_mut().set_size(5, 20);
    console.shows("too small");
    console.resize(110, 30);
    console.screen.screen_mut().set_size(30, 110);
    console.shows("50 VMs");
    console.press("q");
    ended_well(console);
}

#[test]
fn ctrl_z_and_back() {
    let mut command = CommandBuilder::new("bash");
    command.args(["-m", "-c", r#""$0" demo --speed 1; echo IN-THE-SHELL; read -r; fg"#]);
    command.arg(env!("CARGO_BIN_EXE_whimbrel"));
    command.env("LANG", "C.UTF-8");
    let mut console = Console::spawn(command);
    console.shows("50 VMs");
    console.press("\x1a");
    console.until("the shell", |c| c.is_restored() && c.text().contains("IN-THE-SHELL"));
    console.press("\n");
    console.until("back again", |c| c.is_ours() && c.text().contains("50 VMs"));
    console.press("q");
    ended_well(console);
}

#[test]
fn every_signal_gives_the_terminal_back() {
    for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
        let console = demo();
        console.signal(signal);
        ended_well(console);
    }
}

#[test]
fn a_closed_terminal_ends_it() {
    let mut console = demo();
    console.close();
}

/// A debug build panics in its monitors when told to; a release build has no such switch.
#[cfg(debug_assertions)]
#[test]
fn a_monitor_that_panics_is_an_alarm_and_the_screen_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = r#"
[[array]]
name = "a"
host = ["mln1", "mln2"]
[[vm]]
name = "web"
host = "mln1"
interval = "1s"
monitor = { kind = "http", url = "http://127.0.0.1:9/", deadline = "200ms" }
policy = { kind = "threshold", threshold = 100, tarry = 3 }
"#;
    let path = folder.path().join("whimbrel.toml");
    std::fs::write(&path, config).expect("a file");
    let mut command = whimbrel(&[&path.display().to_string()]);
    command.env("WHIMBREL_FAULT", "monitor");
    let mut console = Console::spawn(command);
    console.shows("the monitor of web failed");
    assert!(console.is_ours());
    assert!(!console.text().contains("panicked"));
    console.press("q");
    ended_well(console);
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_whimbrel")).arg("demo").output().expect("it runs");
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("whimbrel run"));
}
