//! What a screen may know and say: the read model ([`Snapshot`]) and the engine's commands.

mod snapshot;

pub use snapshot::{
    Alarm, Answer, ArrayView, Clock, Detail, GateView, HostView, Level, LogLine, Look, Mark, MarkKind, MigrationView,
    MoveOption, Point, QueueView, Say, Snapshot, Totals, Verdict, VmRow, WaitingView,
};
