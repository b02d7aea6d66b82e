//! What a screen may know and say: the read model ([`Snapshot`]), the engine's commands, and the words for what happened.
//!
//! | file | its story |
//! | --- | --- |
//! | `ui_command` | what a console says, and what it wants to see |
//! | `snapshot` | the read model, by value, with what a console may ask of the history |
//! | `draft` | editing a policy: what the console drafts, and what comes back on it |
//! | `queue` | a VM's job queue, and a window of its jobs |
//! | `moving` | a migration under way |
//! | `project` | the engine's state as rows, arrays and details |
//! | `log` | what happened as a line for people |

mod draft;
mod log;
mod moving;
mod project;
mod queue;
mod snapshot;
#[cfg(test)]
mod tests;
mod ui_command;

pub use draft::{Block, Draft, DraftProblem, DraftView, KeyChange, Origin, Saving, Scope, SetValue, WhatIf};
pub use log::{Log, action_words, by_word, what_if_word};
pub use moving::{MigrationView, Outlook};
pub use project::{Memory, array_views, detail, host_view, row};
pub use queue::{JobLine, JobsView, LONGEST_WORK, QueueAsk, QueueRun, QueueRuns, QueueView};
pub use snapshot::{
    ActivityAsk, ActivityView, Answer, ArrayView, CommandId, Detail, GateVerdict, GateView, HistoryView, HostView,
    Level, LogLine, Mark, MarkKind, MoveOption, Past, PastAsk, Snapshot, VmRow,
};
pub use ui_command::{Subscription, UiCommand};

pub use crate::core::engine::{Command, Drain, DrainPlan, PlannedMove, SiteView, StuckVm, Taker, Target, UnderWay};
pub use crate::core::insight::{PastMove, Stretch};
pub use crate::core::queue::{QueueOrder, QueueRequest};
