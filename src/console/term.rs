//! The terminal: entered once, left exactly once whatever happens, and watched for a hang-up.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::panic;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::oneshot;

/// A frame of 240×70 in full colour fits, so that a frame is one write.
const BUFFER: usize = 64 * 1024;

/// By then a stop signal has stopped every thread.
const STOPS_WITHIN: Duration = Duration::from_millis(20);

/// Buffers output until the frame is complete. ratatui flushes before the synchronized update ends, when a terminal shows
/// nothing yet.
struct FrameWriter {
    buffer: BufWriter<File>,
    in_frame: Rc<Cell<bool>>,
}

impl Write for FrameWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.in_frame.get() { Ok(()) } else { self.buffer.flush() }
    }
}

/// Holds the terminal for the console; gives it back when dropped.
pub struct TerminalGuard {
    /// Never dropped: ratatui's drop prints to standard error, which panics if the terminal is gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<FrameWriter>>>,
    in_frame: Rc<Cell<bool>>,
    state: Arc<TerminalState>,
}

/// Whether a console has the terminal.
static HELD: AtomicBool = AtomicBool::new(false);

/// Whether a console has the terminal, so that nothing else may be written there.
pub fn has_terminal() -> bool {
    HELD.load(Ordering::SeqCst)
}

/// Whether the terminal is ours, shared with the panic hook.
struct TerminalState {
    ours: AtomicBool,
    tty: File,
}

impl TerminalState {
    /// Takes the terminal.
    fn enter(&self) -> io::Result<()> {
        self.ours.store(true, Ordering::SeqCst);
        HELD.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(&self.tty, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)
    }

    /// Gives it back, once. Errors are ignored: the terminal may be gone.
    fn leave(&self) {
        if self.ours.swap(false, Ordering::SeqCst) {
            let _ =
                execute!(&self.tty, EndSynchronizedUpdate, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
            let _ = disable_raw_mode();
            HELD.store(false, Ordering::SeqCst);
        }
    }
}

impl TerminalGuard {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Standard input or output is not a terminal, or it cannot be set up.
    pub fn enter() -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::other("the console needs a terminal on standard input and output"));
        }
        let tty = || io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let state = Arc::new(TerminalState { ours: AtomicBool::new(false), tty: tty()? });
        hook(&state);
        let in_frame = Rc::new(Cell::new(false));
        let out = FrameWriter { buffer: BufWriter::with_capacity(BUFFER, tty()?), in_frame: Rc::clone(&in_frame) };
        let backend = CrosstermBackend::new(out);
        let terminal = match state.enter() {
            Ok(()) => Terminal::new(backend),
            Err(error) => Err(error),
        };
        match terminal {
            Ok(terminal) => Ok(Self { terminal: ManuallyDrop::new(terminal), in_frame, state }),
            Err(error) => {
                state.leave();
                Err(error)
            }
        }
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Draws a frame in one synchronized update, in one write.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.in_frame.set(true);
        let drawn = self.terminal.draw(paint).map(drop);
        self.in_frame.set(false);
        drawn?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        Write::flush(self.terminal.backend_mut())
    }

    /// Makes the next frame draw everything. ratatui's own `clear` asks the terminal for its cursor, which must not happen
    /// while events are read.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn clear(&mut self) -> io::Result<()> {
        let size = self.terminal.backend().size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Puts text on the operator's clipboard by way of the terminal (OSC 52).
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))
    }

    /// Stops the process, so that the shell has the terminal; returns when the shell continues it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        self.state.leave();
        kill_process(getpid(), Signal::TSTP)?;
        // Another thread may get the signal; then this one runs on for a moment before the process stops.
        thread::sleep(STOPS_WITHIN);
        self.state.enter()?;
        self.clear()
    }

    /// Sets the terminal up again after the process was stopped and continued: the shell may have changed it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn resume(&mut self) -> io::Result<()> {
        disable_raw_mode()?;
        enable_raw_mode()?;
        execute!(&self.state.tty, EnableBracketedPaste, cursor::Hide)?;
        self.clear()
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        self.state.leave();
    }
}

/// A panic in this thread gives the terminal back before it is reported. A panic in another thread does not; the previous
/// hook asks [`has_terminal`] so that it does not write into the screen.
fn hook(state: &Arc<TerminalState>) {
    let before = panic::take_hook();
    let state = Arc::clone(state);
    let ours = thread::current().id();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == ours {
            state.leave();
        }
        before(info);
    }));
}

/// Resolves when the terminal is closed. A thread sleeps in `poll(2)` until then; it never wakes up before.
///
/// # Errors
/// No thread can be started.
pub fn closed() -> io::Result<oneshot::Receiver<()>> {
    let tty = io::stdin().as_fd().try_clone_to_owned()?;
    let (gone, closed) = oneshot::channel();
    thread::Builder::new().name("hang-up".into()).spawn(move || {
        loop {
            // Without requested events, only hang-up and error are reported.
            let mut fds = [PollFd::new(&tty, PollFlags::empty())];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => break,
            }
        }
        // The receiver is gone if the console has been left.
        let _ = gone.send(());
    })?;
    Ok(closed)
}
