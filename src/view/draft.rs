//! Editing a policy: what the console drafts, and what comes back on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{Name, Span};
use crate::core::insight::Comparison;
use crate::core::policy::Field;
pub use crate::core::policy::{KeyChange, Scope};

/// A policy as it is being edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Grows with every draft of a console.
    pub seq: u64,
    /// Whose policy: one VM's, or several marked ones'.
    pub vms: Vec<Name>,
    /// Which block.
    pub scope: Scope,
    /// The block's text; `None` asks for it as the file has it.
    pub text: Option<String>,
    /// How far back what-if looks.
    pub span: Span,
}

/// Numbers changed at once, without an editor: `+`, `-`, a typed number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetValue {
    /// Whose.
    pub vms: Vec<Name>,
    /// Which block.
    pub scope: Scope,
    /// This number.
    pub field: Field,
    /// To this.
    pub value: f64,
}

/// What is known of a draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftView {
    /// Of this draft.
    pub seq: u64,
    /// The block as the file has it.
    pub block: Arc<Block>,
    /// What is wrong with the draft's text, in order of position.
    pub problems: Vec<DraftProblem>,
    /// What it would change.
    pub changes: Vec<KeyChange>,
    /// What it would have done, of the first VM.
    pub what_if: WhatIf,
    /// How saving it went.
    pub saving: Saving,
}

/// A policy's block in the config file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Block {
    /// Its keys, one a line; of several VMs those that are the same in all of them.
    pub text: Arc<str>,
    /// Where it stands: `whimbrel.toml:41`.
    pub place: Arc<str>,
    /// The shared block's name, if it is one.
    pub shared: Option<Arc<str>>,
    /// The other VMs it is used by.
    pub others: Vec<Name>,
}

/// Something wrong at a place of the draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftProblem {
    /// From 0.
    pub line: usize,
    /// In characters, from 0.
    pub column: usize,
    /// In characters, at least 1.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

/// What a draft would have done.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum WhatIf {
    /// Not known yet.
    #[default]
    Pending,
    /// It cannot be told, and why.
    None(Arc<str>),
    /// Over the recorded samples.
    Told {
        /// Old against new.
        comparison: Arc<Comparison>,
        /// Ring moves old and new of all the draft's VMs together, if there are several.
        together: Option<(usize, usize)>,
    },
}

/// How saving a draft went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Saving {
    /// It was not asked for.
    #[default]
    Not,
    /// It is in the file and in the engine.
    Done,
    /// It is not, and why.
    Refused(Arc<str>),
    /// The file was changed since the block was read: nothing was written. The block as it is there now.
    Conflict(Arc<Block>),
}

/// Where a VM's settings come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// `whimbrel.toml:41`; empty if there is no file.
    pub place: Arc<str>,
    /// The shared block's name, if it is one.
    pub shared: Option<Arc<str>>,
    /// Other VMs that use it.
    pub others: usize,
}
