//! Where faults are collected while a file is read.

use std::cell::RefCell;
use std::ops::Range;

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
pub(super) struct Sink(RefCell<Vec<Fault>>);

impl Sink {
    /// Something that is there is wrong.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(Fault { span, message: message.into(), help: help.into(), absence: false });
    }

    /// Something is not there.
    pub fn absent(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(Fault { span, message: message.into(), help: help.into(), absence: true });
    }

    fn push(&self, fault: Fault) {
        self.0.borrow_mut().push(fault);
    }

    /// What was found.
    pub fn into_faults(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}
