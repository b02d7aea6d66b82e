//! Collects what is wrong with a file while it is read.

use std::cell::RefCell;
use std::ops::Range;

use super::redact::Redaction;

/// Something wrong at a place of the text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The bytes it is about; only its first line is marked.
    pub span: Range<usize>,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// It says that something is not there: not to be trusted when part of the file could not be parsed.
    pub absence: bool,
}

/// All faults of one file, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    faults: RefCell<Vec<Fault>>,
    redaction: Redaction,
}

impl Diagnostics {
    /// Faults of a text of which these parts are not shown.
    pub fn new(redaction: Redaction) -> Self {
        Self { faults: RefCell::default(), redaction }
    }

    /// Something that is there is wrong.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(Fault { span, message: message.into(), help: help.into(), absence: false });
    }

    /// Something is not there.
    pub fn absent(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(Fault { span, message: message.into(), help: help.into(), absence: true });
    }

    /// A key that stands at this place, in quotes for a message: ` 'x'`. Empty if the key may not be shown.
    pub fn key(&self, span: &Range<usize>, key: &str) -> String {
        self.redaction.key(span, key)
    }

    fn push(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// What was found, and which parts of the text are not shown.
    pub fn into_parts(self) -> (Vec<Fault>, Redaction) {
        (self.faults.into_inner(), self.redaction)
    }
}
