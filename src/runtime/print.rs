//! Records as lines on standard output: JSON for programs, text for people.

use std::io::{self, BufWriter, Write};

use crate::core::cluster::{HostId, Timestamp};
use crate::core::engine::{Engine, Record};
use crate::view::{EventLine, Log};

use super::heart::Listener;

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
    out: BufWriter<Box<dyn Write + Send>>,
    log: Log,
    failed: Option<io::Error>,
}

impl Printer {
    /// A printer onto this.
    pub fn new(format: Format, out: Box<dyn Write + Send>) -> Self {
        Self { format, out: BufWriter::with_capacity(64 * 1024, out), log: Log::default(), failed: None }
    }

    /// Hands on what was written so far.
    ///
    /// # Errors
    /// The first error of any write: nothing is written after it.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    /// Whether writing has failed: nobody reads any more.
    pub const fn is_broken(&self) -> bool {
        self.failed.is_some()
    }

    fn write(&mut self, record: &Record, engine: &Engine) -> io::Result<()> {
        match self.format {
            Format::Json => {
                serde_json::to_writer(&mut self.out, &EventLine::new(record, engine.cluster()))?;
                self.out.write_all(b"\n")
            }
            Format::Text => match self.log.line(record, engine.cluster()) {
                Some(line) => writeln!(self.out, "{line}"),
                None => Ok(()),
            },
        }
    }
}

impl Listener for Printer {
    fn record(&mut self, record: &Record, engine: &Engine) {
        if self.failed.is_none() {
            self.failed = self.write(record, engine).err();
        }
    }

    fn answer(&mut self, _ok: bool, _text: &str) {}

    fn host(&mut self, _host: HostId) {}

    fn reconfigured(&mut self, _engine: &Engine, _now: Timestamp) {}
}
