//! The console in a real pseudo-terminal: it takes the terminal, and gives it back whatever happens.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{mpsc as channel, oneshot, watch};
use whimbrel::console::{Options, Zone, run};
use whimbrel::core::engine::Command;
use whimbrel::view::{Answer, Say, Snapshot};

use crate::sample;

/// How long something that should happen at once may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers every command; two of them break something instead.
fn engine(mut said: channel::Receiver<Say>, snapshots: &watch::Sender<Arc<Snapshot>>, breaks: oneshot::Sender<()>) {
    let mut breaks = Some(breaks);
    let mut seq = 0;
    while let Some(said) = said.blocking_recv() {
        let Say::Command(command) = said else { continue };
        match command {
            Command::Undo => drop(thread::spawn(|| panic!("a background task broke"))),
            Command::Acknowledge => drop(breaks.take().map(|breaks| breaks.send(()))),
            _ => {}
        }
        seq += 1;
        let text = format!("answer {seq}");
        snapshots
            .send_modify(|snapshot| Arc::make_mut(snapshot).answers = vec![Arc::new(Answer { seq, ok: true, text })]);
    }
}

/// What the tests below start: a console of its own process.
#[test]
#[ignore = "started by the other tests of this file, in a terminal of their own"]
#[expect(clippy::print_stdout, reason = "what it prints is looked for on the terminal")]
fn child() {
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

impl Drop for Console {
    /// A test that fails leaves no child behind.
    fn drop(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }
}

struct Console {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    output: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
    raw: Vec<u8>,
    closing: Arc<AtomicBool>,
}

impl Console {
    fn start() -> Self {
        let exe = std::env::current_exe().expect("this test's own path");
        let mut command = CommandBuilder::new(exe);
        command.args(["--ignored", "--exact", "pty::child", "--nocapture"]);
        Self::spawn(command)
    }

    /// By a shell with job control that brings it back to the foreground.
    fn start_in_a_shell() -> Self {
        let exe = std::env::current_exe().expect("this test's own path");
        let mut command = CommandBuilder::new("bash");
        let line = r#""$0" --ignored --exact pty::child --nocapture; echo IN-THE-SHELL; read -r; fg"#;
        command.args(["-m", "-c", line]);
        command.arg(exe);
        Self::spawn(command)
    }

    /// On a terminal that is not its controlling one, and so sends no signals.
    fn start_without_control() -> Self {
        let exe = std::env::current_exe().expect("this test's own path");
        let mut command = CommandBuilder::new(exe);
        command.args(["--ignored", "--exact", "pty::child", "--nocapture"]);
        command.set_controlling_tty(false);
        Self::spawn(command)
    }

    fn spawn(mut command: CommandBuilder) -> Self {
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        let size = PtySize { rows: 30, cols: 110, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let child = pair.slave.spawn_command(command).expect("a child");
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let keys = pair.master.take_writer().expect("a writer");
        let (bytes, output) = mpsc::channel();
        let closing = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&closing);
        thread::spawn(move || {
            let mut buffer = [0; 16_384];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if ends.load(Ordering::SeqCst) || bytes.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen = vt100::Parser::new(30, 110, 0);
        Self { child, master: Some(pair.master), keys: Some(keys), output, screen, raw: Vec::new(), closing }
    }

    /// Reads until it is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => {
                    self.screen.process(&bytes);
                    self.raw.extend(bytes);
                }
                Err(error) => panic!("{what}: {error}\n{}", self.screen.screen().contents()),
            }
        }
    }

    fn shows(&mut self, text: &str) {
        self.until(text, |console| console.screen.screen().contents().contains(text));
    }

    fn press(&mut self, keys: &str) {
        let writer = self.keys.as_mut().expect("an open terminal");
        writer.write_all(keys.as_bytes()).and_then(|()| writer.flush()).expect("an open terminal");
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.process_id().and_then(|pid| Pid::from_raw(pid as i32)).expect("a running child");
        kill_process(pid, signal).expect("a running child");
    }

    fn is_ours(&self) -> bool {
        let screen = self.screen.screen();
        screen.alternate_screen() && screen.bracketed_paste() && screen.hide_cursor()
    }

    fn is_restored(&self) -> bool {
        let screen = self.screen.screen();
        !screen.alternate_screen() && !screen.bracketed_paste() && !screen.hide_cursor()
    }

    fn left(&mut self, how: &str) {
        self.until(how, |console| console.is_restored() && console.screen.screen().contents().contains(how));
        let count = |bytes: &[u8]| self.raw.windows(bytes.len()).filter(|piece| *piece == bytes).count();
        assert_eq!(count(b"\x1b[?1049l"), count(b"\x1b[?1049h"), "left as often as entered");
        assert_eq!(count(b"\x1b[6n"), 0, "the terminal was never asked for its cursor");
        self.child.wait().expect("an ended child");
    }
}

#[test]
fn it_takes_the_terminal_and_quits_cleanly() {
    let mut console = Console::start();
    console.shows("! FLAPPING held");
    assert!(console.is_ours());
    console.press("q");
    console.left("LEFT Ok(Quit)");
}

#[test]
fn ctrl_c_always_quits() {
    let mut console = Console::start();
    console.shows("! FLAPPING held");
    console.press("/abc");
    console.shows("/abc");
    console.press("\x03");
    console.left("LEFT Ok(Quit)");
}

#[test]
fn signals_end_it() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut console = Console::start();
        console.shows("! FLAPPING held");
        console.signal(signal);
        console.left("LEFT Ok(Signal)");
    }
}

/// With the SIGHUP that usually comes, and without: then only `poll` can tell.
#[test]
fn a_closed_terminal_ends_it() {
    for with_signal in [true, false] {
        let mut console = if with_signal { Console::start() } else { Console::start_without_control() };
        console.shows("! FLAPPING held");
        drop((console.keys.take(), console.master.take()));
        console.closing.store(true, Ordering::SeqCst);
        // What the child writes next ends the reader, whose copy is the last one.
        console.child.wait().expect("an ended child");
    }
}

#[test]
fn an_answer_is_shown() {
    let mut console = Console::start();
    console.shows("! FLAPPING held");
    console.press("h");
    console.shows("answer 1");
    console.press("q");
    console.left("LEFT Ok(Quit)");
}

#[test]
fn a_panic_in_the_background_leaves_the_screen_alone() {
    let mut console = Console::start();
    console.shows("! FLAPPING held");
    console.press("u");
    console.shows("answer 1");
    assert!(console.is_ours());
    assert!(!console.screen.screen().contents().contains("background task broke"));
    console.press("q");
    console.left("LEFT Ok(Quit)");
}

#[test]
fn a_panic_of_the_screen_gives_the_terminal_back_before_it_is_told() {
    let mut console = Console::start();
    console.shows("! FLAPPING held");
    console.press("A");
    console.left("the screen broke");
}

#[test]
fn pasted_text_is_no_command() {
    let mut console = Console::start();
    console.shows("! FLAPPING held");
    console.press("\x1b[200~q\x1b[201~");
    console.press("/\x1b[200~web\x1b[201~");
    console.shows("/web");
    console.press("\x03");
    console.left("LEFT Ok(Quit)");
}

#[test]
fn a_resized_terminal_is_drawn_anew() {
    let mut console = Console::start();
    console.shows("! FLAPPING held");
    let size = PtySize { rows: 8, cols: 60, ..PtySize::default() };
    console.master.as_ref().expect("an open terminal").resize(size).expect("a new size");
    console.shows("too small: 60x8, needs 40x10");
    console.press("q");
    console.left("LEFT Ok(Quit)");
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_console_back() {
    let mut console = Console::start_in_a_shell();
    console.shows("! FLAPPING held");
    console.press("\x1a");
    console.until("the shell", |c| c.is_restored() && c.screen.screen().contents().contains("IN-THE-SHELL"));
    console.press("\n");
    console.until("back again", |c| c.is_ours() && c.screen.screen().contents().contains("! FLAPPING held"));
    console.press("q");
    console.left("LEFT Ok(Quit)");
}
