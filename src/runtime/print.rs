//! Records as lines on standard output: JSON for programs, text for people.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::engine::{Engine, Record};
use crate::view::Log;

use super::engine_host::Listener;
use super::stdout::NonBlockingStdout;

/// Bytes that are passed on in one write.
const CHUNK: usize = 64 * 1024;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A line of words for what matters to people.
    #[default]
    Text,
    /// A JSON object a line, for everything.
    Json,
}

/// Writes records as they come.
pub struct Printer {
    format: Format,
    /// Whole lines that are not passed on yet.
    lines: Vec<u8>,
    out: Box<dyn Write + Send>,
    /// Lines dropped, if it never waits.
    lost: Option<Arc<AtomicU64>>,
    log: Log,
    failed: Option<io::Error>,
}

impl Printer {
    /// A printer that waits for its reader.
    pub fn new(format: Format, out: Box<dyn Write + Send>) -> Self {
        Self { format, lines: Vec::new(), out, lost: None, log: Log::default(), failed: None }
    }

    /// A printer that never waits: lines that are not read in time are dropped and counted.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn that_never_waits(format: Format, out: Box<dyn Write + Send>) -> io::Result<Self> {
        let (spool, lost) = NonBlockingStdout::onto(out)?;
        Ok(Self { lost: Some(lost), ..Self::new(format, Box::new(spool)) })
    }

    /// Lines dropped since the last call.
    pub fn take_lost(&self) -> u64 {
        self.lost.as_ref().map_or(0, |lost| lost.swap(0, Ordering::Relaxed))
    }

    /// Passes on what was written so far.
    ///
    /// # Errors
    /// The first error of any write: nothing is written after it.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => {
                self.hand_on()?;
                self.out.flush()
            }
        }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.lines);
        self.lines.clear();
        written
    }

    /// Whether writing has failed: nobody reads any more.
    pub const fn is_broken(&self) -> bool {
        self.failed.is_some()
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        match self.format {
            Format::Json => {
                serde_json::to_writer(&mut self.lines, record)?;
                self.lines.push(b'\n');
            }
            Format::Text => {
                if let Some(line) = self.log.line(record) {
                    writeln!(self.lines, "{line}")?;
                }
            }
        }
        if self.lines.len() >= CHUNK { self.hand_on() } else { Ok(()) }
    }
}

impl Listener for Printer {
    fn record(&mut self, record: &Record, _engine: &Engine) {
        if self.failed.is_none() {
            self.failed = self.write(record).err();
        }
    }
}
