//! Programs in a real pseudo-terminal.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

/// How long something that should happen at once may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

impl Drop for Console {
    /// A test that fails leaves no child behind.
    fn drop(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }
}

/// A program in a pseudo-terminal of 110 columns and 30 rows, and what is on its screen.
pub struct Console {
    pub child: Box<dyn Child + Send + Sync>,
    pub master: Option<Box<dyn MasterPty + Send>>,
    pub keys: Option<Box<dyn Write + Send>>,
    pub output: mpsc::Receiver<Vec<u8>>,
    pub screen: vt100::Parser,
    pub raw: Vec<u8>,
    pub closing: Arc<AtomicBool>,
}

/// The binary under test with these arguments, on a terminal with UTF-8.
pub fn whimbrel(arguments: &[&str]) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_whimbrel"));
    command.args(arguments);
    command.env("LANG", "C.UTF-8");
    command.env_remove("WHIMBREL_CONFIG");
    command
}

impl Console {
    /// The console over this config.
    pub fn over(config: &Path) -> Self {
        Self::spawn(whimbrel(&[&config.to_string_lossy()]))
    }

    /// Starts it.
    pub fn spawn(mut command: CommandBuilder) -> Self {
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        command.env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"));
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
    pub fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
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

    /// Waits until this is on the screen.
    pub fn shows(&mut self, text: &str) {
        self.until(text, |console| console.screen.screen().contents().contains(text));
    }

    /// Sends what these keys send.
    pub fn press(&mut self, keys: &str) {
        let writer = self.keys.as_mut().expect("an open terminal");
        writer.write_all(keys.as_bytes()).and_then(|()| writer.flush()).expect("an open terminal");
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.process_id().and_then(|pid| Pid::from_raw(pid as i32)).expect("a running child");
        kill_process(pid, signal).expect("a running child");
    }

    /// Whether the console has the terminal.
    pub fn is_ours(&self) -> bool {
        let screen = self.screen.screen();
        screen.alternate_screen() && screen.bracketed_paste() && screen.hide_cursor()
    }

    /// Whether the terminal is as it was.
    pub fn is_restored(&self) -> bool {
        let screen = self.screen.screen();
        !screen.alternate_screen() && !screen.bracketed_paste() && !screen.hide_cursor()
    }

    /// Closes the terminal, as a lost connection does, and waits for the program's end.
    pub fn close(&mut self) {
        drop((self.keys.take(), self.master.take()));
        self.closing.store(true, Ordering::SeqCst);
        // What the program writes next ends the reader, whose copy is the last one.
        self.child.wait().expect("an ended child");
    }

    /// Changes the terminal's size.
    pub fn resize(&self, cols: u16, rows: u16) {
        let size = PtySize { rows, cols, ..PtySize::default() };
        self.master.as_ref().expect("an open terminal").resize(size).expect("a new size");
    }

    /// What is on the screen.
    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits for a clean end that says this.
    pub fn left(&mut self, how: &str) {
        self.until(how, |console| console.is_restored() && console.screen.screen().contents().contains(how));
        let count = |bytes: &[u8]| self.raw.windows(bytes.len()).filter(|piece| *piece == bytes).count();
        assert_eq!(count(b"\x1b[?1049l"), count(b"\x1b[?1049h"), "left as often as entered");
        assert_eq!(count(b"\x1b[6n"), 0, "the terminal was never asked for its cursor");
        self.child.wait().expect("an ended child");
    }
}
