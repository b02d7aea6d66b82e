//! The console in a real pseudo-terminal: it takes the terminal, and gives it back whatever happens.

use std::sync::Arc;
use std::thread;

use portable_pty::CommandBuilder;
use rustix::process::Signal;
use tokio::sync::{mpsc as channel, oneshot, watch};
use whimbrel::console::{Options, Zone, run};
use whimbrel::core::engine::Command;
use whimbrel::view::{Answer, Snapshot, UiCommand};

use crate::sample;
use crate::support::pty::Console;

/// Set in the environment of a process that runs as a console.
const CHILD: &str = "WHIMBREL_TEST_CONSOLE";

/// Answers every command; two of them break something instead.
fn engine(
    mut said: channel::Receiver<UiCommand>,
    snapshots: &watch::Sender<Arc<Snapshot>>,
    breaks: oneshot::Sender<()>,
) {
    let mut breaks = Some(breaks);
    let mut seq = 0;
    while let Some(said) = said.blocking_recv() {
        let to = said.id();
        match said {
            UiCommand::Undo(_) => drop(thread::spawn(|| panic!("a background task broke"))),
            UiCommand::Command(_, Command::Acknowledge) => drop(breaks.take().map(|breaks| breaks.send(()))),
            UiCommand::Command(..) => {}
            _ => continue,
        }
        seq += 1;
        let text = format!("answer {seq}");
        snapshots.send_modify(|snapshot| {
            Arc::make_mut(snapshot).answers = vec![Arc::new(Answer { seq, to, ok: true, text })];
        });
    }
}

/// Runs the console; the tests start this program again on a terminal for that.
#[expect(clippy::print_stdout, reason = "what it prints is looked for on the terminal")]
fn be_a_console() {
    whimbrel::cli::report_panics();
    let (snapshots, seen) = watch::channel(Arc::new(sample::snapshot()));
    let (say, said) = channel::channel(64);
    let (breaks, broken) = oneshot::channel();
    thread::spawn(move || engine(said, &snapshots, breaks));
    let stop = async move {
        match broken.await {
            Ok(()) => panic!("the screen broke"),
            Err(_) => std::future::pending().await,
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let left = runtime.block_on(run(Options { zone: Zone::Utc, ..Options::default() }, seen, say, stop));
    println!("LEFT {left:?}");
}

/// A console in a process of its own: this test program, told to run this one test with `CHILD` set.
const ONE_TEST: &str = "pty::it_takes_the_terminal_and_quits_cleanly";

fn child() -> CommandBuilder {
    let exe = std::env::current_exe().expect("this test's own path");
    let mut command = CommandBuilder::new(exe);
    command.args(["--exact", ONE_TEST, "--nocapture"]);
    command.env(CHILD, "1");
    command
}

fn start() -> Console {
    Console::spawn(child())
}

/// By a shell with job control that brings it back to the foreground.
fn start_in_a_shell() -> Console {
    let exe = std::env::current_exe().expect("this test's own path");
    let mut command = CommandBuilder::new("bash");
    let line = format!(r#""$0" --exact {ONE_TEST} --nocapture; echo IN-THE-SHELL; read -r; fg"#);
    command.args(["-m", "-c", &line]);
    command.arg(exe);
    command.env(CHILD, "1");
    Console::spawn(command)
}

/// On a terminal that is not its controlling one, and so sends no signals.
fn start_without_control() -> Console {
    let mut command = child();
    command.set_controlling_tty(false);
    Console::spawn(command)
}

#[test]
fn it_takes_the_terminal_and_quits_cleanly() {
    if std::env::var_os(CHILD).is_some() {
        return be_a_console();
    }
    let mut console = start();
    console.shows("! FLAPPING held");
    assert!(console.is_ours());
    console.press("q");
    console.left("LEFT Ok(())");
}

#[test]
fn ctrl_c_always_quits() {
    let mut console = start();
    console.shows("! FLAPPING held");
    console.press("/abc");
    console.shows("/abc");
    console.press("\x03");
    console.left("LEFT Ok(())");
}

#[test]
fn signals_end_it() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut console = start();
        console.shows("! FLAPPING held");
        console.signal(signal);
        console.left("LEFT Ok(())");
    }
}

/// With the SIGHUP that usually comes, and without: then only `poll` can tell.
#[test]
fn a_closed_terminal_ends_it() {
    for with_signal in [true, false] {
        let mut console = if with_signal { start() } else { start_without_control() };
        console.shows("! FLAPPING held");
        console.close();
    }
}

#[test]
fn an_answer_is_shown() {
    let mut console = start();
    console.shows("! FLAPPING held");
    console.press("h");
    console.shows("answer 1");
    console.press("q");
    console.left("LEFT Ok(())");
}

#[test]
fn a_panic_in_the_background_leaves_the_screen_alone() {
    let mut console = start();
    console.shows("! FLAPPING held");
    console.press("u");
    console.shows("answer 1");
    assert!(console.is_ours());
    assert!(!console.screen.screen().contents().contains("background task broke"));
    console.press("q");
    console.left("LEFT Ok(())");
}

#[test]
fn a_panic_of_the_screen_gives_the_terminal_back_before_it_is_told() {
    let mut console = start();
    console.shows("! FLAPPING held");
    console.press("A");
    console.left("the screen broke");
}

#[test]
fn pasted_text_is_no_command() {
    let mut console = start();
    console.shows("! FLAPPING held");
    console.press("\x1b[200~q\x1b[201~");
    console.press("/\x1b[200~web\x1b[201~");
    console.shows("/web");
    console.press("\x03");
    console.left("LEFT Ok(())");
}

#[test]
fn a_resized_terminal_is_drawn_anew() {
    let mut console = start();
    console.shows("! FLAPPING held");
    console.resize(60, 8);
    console.shows("too small: 60x8, needs 40x10");
    console.press("q");
    console.left("LEFT Ok(())");
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_console_back() {
    let mut console = start_in_a_shell();
    console.shows("! FLAPPING held");
    console.press("\x1a");
    console.until("the shell", |c| c.is_restored() && c.screen.screen().contents().contains("IN-THE-SHELL"));
    console.press("\n");
    console.until("back again", |c| c.is_ours() && c.screen.screen().contents().contains("! FLAPPING held"));
    console.press("q");
    console.left("LEFT Ok(())");
}
