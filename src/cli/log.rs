//! The log: a file, never the screen. A panic writes its backtrace there and one line to the terminal.

use std::backtrace::Backtrace;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use tracing_subscriber::filter::LevelFilter;

use crate::console;
use crate::runtime::log_place;

/// A log of this many bytes is moved aside, and a new one is begun.
const LARGEST: u64 = 4 << 20;
/// Logs that are kept: the one that is written and those before it.
const KEPT: u32 = 3;

static LOG: OnceLock<Mutex<LogFile>> = OnceLock::new();

/// Starts the log in the named file, or else in the state folder. That file is made at the first line. Of a demo, the state
/// folder's log has only faults of whimbrel's own: its alarms concern nobody.
///
/// # Errors
/// `WHIMBREL_LOG` is not a level, or the named file cannot be written.
pub(super) fn begin(named: Option<&Path>, demo: bool) -> Result<(), String> {
    let level = match std::env::var("WHIMBREL_LOG") {
        Err(_) if demo && named.is_none() => LevelFilter::ERROR,
        Err(_) => LevelFilter::INFO,
        Ok(level) => level
            .parse()
            .map_err(|_| format!("WHIMBREL_LOG is off, error, warn, info, debug or trace, and not {level:?}"))?,
    };
    report_panics();
    let Some(path) = named.map(Path::to_owned).or_else(log_place) else { return Ok(()) };
    let mut log = LogFile { path, file: None, len: 0 };
    if named.is_some() {
        let opened = log.open().map(drop);
        opened.map_err(|why| format!("{}: {why}", log.path.display()))?;
    }
    if LOG.set(Mutex::new(log)).is_ok() {
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(|| LogWriter);
        // It is set only here.
        let _ = tracing::subscriber::set_global_default(subscriber.finish());
    }
    Ok(())
}

/// Writes a panic of any thread into the log with its backtrace, and as one line to standard error unless a console has the
/// terminal: then the console shows an alarm.
pub fn report_panics() {
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let message = crate::edge::supervisor::panic_message(info.payload());
        let what = format!("{message}{place}, thread {}", thread.name().unwrap_or("without a name"));
        tracing::error!("panic: {what}\n{}", Backtrace::force_capture());
        if !console::has_terminal() {
            let log = LOG.get().map(|log| log.lock().unwrap_or_else(PoisonError::into_inner).path.clone());
            let log = log.map_or_else(String::new, |path| format!("; {} has the details", path.display()));
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "whimbrel: a fault of its own, please report it: {what}{log}");
        }
    }));
}

/// Writes into the log from any thread.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A thread that panicked while writing leaves half a line; later lines are still written.
        LOG.get().map_or(Ok(bytes.len()), |log| log.lock().unwrap_or_else(PoisonError::into_inner).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log file of limited size.
struct LogFile {
    path: PathBuf,
    file: Option<File>,
    len: u64,
}

impl LogFile {
    fn open(&mut self) -> io::Result<&mut File> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        self.len = file.metadata()?.len();
        Ok(self.file.insert(file))
    }

    /// Writes a line or a part of one.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() {
            self.open()?;
        }
        if self.len >= LARGEST {
            self.rotate();
            self.open()?;
        }
        let Some(file) = &mut self.file else { return Ok(bytes.len()) };
        file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// `whimbrel.log` becomes `whimbrel.log.1`, and so on; the oldest goes.
    fn rotate(&mut self) {
        let aside = |n: u32| {
            let mut path = self.path.clone().into_os_string();
            if n > 0 {
                path.push(format!(".{n}"));
            }
            path
        };
        for n in (0..KEPT - 1).rev() {
            // Errors are ignored: the file may not exist, or it is written on.
            let _ = std::fs::rename(aside(n), aside(n + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_log_is_moved_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state/whimbrel.log");
        let mut log = LogFile { path: path.clone(), file: None, len: 0 };
        for n in 0..5 {
            log.write(format!("line {n}\n").as_bytes()).expect("room");
            log.len = LARGEST;
        }
        log.len = 0;
        let text = |end: &str| std::fs::read_to_string(format!("{}{end}", path.display())).ok();
        assert_eq!(text("").as_deref(), Some("line 4\n"));
        assert_eq!(text(".1").as_deref(), Some("line 3\n"));
        assert_eq!(text(".2").as_deref(), Some("line 2\n"));
        assert_eq!(text(".3"), None);
    }
}
