//! Where records go: to standard output or a console, and into the history.

use tracing::warn;

use crate::core::cluster::{HostId, Timestamp, VmId};
use crate::core::engine::{Engine, Happened, Record};
use crate::core::queue::QueueLook;

use super::engine_host::Listener;
use super::history_batcher::HistoryBatcher;
use super::print::Printer;
use super::publish::Publisher;

/// Who gets the records.
#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Frontend {
    /// Lines on standard output.
    Print(Printer),
    /// A console.
    Publish(Publisher),
}

impl Frontend {
    /// The listener, whichever it is.
    pub fn listener(&mut self) -> &mut dyn Listener {
        match self {
            Self::Print(printer) => printer,
            Self::Publish(publisher) => publisher,
        }
    }
}

/// The listener and the history.
pub struct Outputs {
    /// Who watches.
    pub frontend: Frontend,
    /// The history.
    pub batcher: HistoryBatcher,
}

impl Outputs {
    /// For a console or for standard output, and into a history.
    pub const fn new(frontend: Frontend, batcher: HistoryBatcher) -> Self {
        Self { frontend, batcher }
    }

    /// What a console sees; `None` where nobody has one.
    pub const fn publisher(&mut self) -> Option<&mut Publisher> {
        match &mut self.frontend {
            Frontend::Publish(publisher) => Some(publisher),
            Frontend::Print(_) => None,
        }
    }
}

impl Listener for Outputs {
    fn record(&mut self, record: &Record, engine: &Engine) {
        if let Happened::Alarm { text } = &record.what {
            warn!("alarm: {text}");
        }
        self.frontend.listener().record(record, engine);
        self.batcher.record(record, engine);
    }

    fn answer(&mut self, ok: bool, text: &str) {
        self.frontend.listener().answer(ok, text);
    }

    fn host(&mut self, host: HostId) {
        self.frontend.listener().host(host);
    }

    fn queue(&mut self, vm: VmId, look: &QueueLook) {
        self.frontend.listener().queue(vm, look);
    }

    fn reconfigured(&mut self, engine: &Engine, now: Timestamp) {
        self.frontend.listener().reconfigured(engine, now);
        self.batcher.reconfigured(engine, now);
    }
}
