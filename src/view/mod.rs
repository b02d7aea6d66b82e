//! What a screen may know and say: the read model ([`Snapshot`]), the engine's commands, and the words for what happened.
//!
//! | file | its story |
//! | --- | --- |
//! | `snapshot` | the read model, by value |
//! | `project` | the engine's state as rows, arrays and details |
//! | `event` | what happened as a line of JSON (the event contract) |
//! | `log` | what happened as a line for people |

mod event;
mod log;
mod project;
mod snapshot;
#[cfg(test)]
mod tests;

pub use event::EventLine;
pub use log::{Log, action_words};
pub use project::{Memory, array_views, detail, host_view, row};
pub use snapshot::{
    Alarm, Answer, ArrayView, Clock, Detail, GateView, HostView, Level, LogLine, Look, Mark, MarkKind, MigrationView,
    MoveOption, Point, QueueView, Say, Snapshot, Totals, Verdict, VmRow, WaitingView,
};

pub use crate::core::engine::{Command, Target};
