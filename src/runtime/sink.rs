//! Where records go: to whoever watches, and into the history.

use crate::core::cluster::{HostId, Timestamp};
use crate::core::engine::{Engine, Record};

use super::engine_host::Listener;
use super::history_batcher::HistoryBatcher;
use super::print::Printer;
use super::publish::Publisher;

/// Who watches.
#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Show {
    /// Lines on standard output.
    Print(Printer),
    /// A console.
    Publish(Publisher),
}

/// Both.
pub struct Sink {
    /// Who watches.
    pub show: Show,
    /// The history.
    pub batcher: HistoryBatcher,
}

impl Sink {
    /// For a console or for standard output, and into a history.
    pub const fn new(show: Show, batcher: HistoryBatcher) -> Self {
        Self { show, batcher }
    }

    /// What a console sees; `None` where nobody has one.
    pub const fn publisher(&mut self) -> Option<&mut Publisher> {
        match &mut self.show {
            Show::Publish(publisher) => Some(publisher),
            Show::Print(_) => None,
        }
    }
}

impl Listener for Show {
    fn record(&mut self, record: &Record, engine: &Engine) {
        match self {
            Self::Print(printer) => printer.record(record, engine),
            Self::Publish(publisher) => publisher.record(record, engine),
        }
    }

    fn answer(&mut self, ok: bool, text: &str) {
        match self {
            Self::Print(printer) => printer.answer(ok, text),
            Self::Publish(publisher) => publisher.answer(ok, text),
        }
    }

    fn host(&mut self, host: HostId) {
        match self {
            Self::Print(printer) => printer.host(host),
            Self::Publish(publisher) => publisher.host(host),
        }
    }

    fn reconfigured(&mut self, engine: &Engine, now: Timestamp) {
        match self {
            Self::Print(printer) => printer.reconfigured(engine, now),
            Self::Publish(publisher) => publisher.reconfigured(engine, now),
        }
    }
}

impl Listener for Sink {
    fn record(&mut self, record: &Record, engine: &Engine) {
        self.show.record(record, engine);
        self.batcher.record(record, engine);
    }

    fn answer(&mut self, ok: bool, text: &str) {
        self.show.answer(ok, text);
    }

    fn host(&mut self, host: HostId) {
        self.show.host(host);
    }

    fn reconfigured(&mut self, engine: &Engine, now: Timestamp) {
        self.show.reconfigured(engine, now);
        self.batcher.reconfigured(engine, now);
    }
}
