//! What can be done to the screen.

use crate::console::editor::Edit;
use crate::view::CommandId;

/// Something the operator, the terminal or the engine does to the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Leave.
    Quit,
    /// Read the config again.
    Reload,
    /// To the shell and back.
    Suspend,
    /// To the next line.
    Down,
    /// To the line before.
    Up,
    /// A page on.
    PageDown,
    /// A page back.
    PageUp,
    /// To the first line.
    First,
    /// To the last line.
    Last,
    /// Open the selected VM's screen.
    Open,
    /// Open the Activity screen.
    Activity,
    /// Mark the selected row, or take its mark away, and go to the next one.
    Mark,
    /// A shorter stretch of time.
    ZoomIn,
    /// A longer one.
    ZoomOut,
    /// The stretch before.
    Earlier,
    /// The stretch after.
    Later,
    /// To the present.
    Now,
    /// The graph's cursor, one reading back.
    CursorBack,
    /// The graph's cursor, one reading on.
    CursorOn,
    /// The graph's cursor, to what happened before.
    EventBack,
    /// The graph's cursor, to what happened after.
    EventOn,
    /// The cluster's activity, or the selected VM's.
    Scope,
    /// Narrow the table.
    Filter,
    /// Sort by the next column.
    Sort,
    /// Sort from the other end.
    Reverse,
    /// Open the move dialog.
    Moves,
    /// Open the drain dialog.
    Drain,
    /// Stop sending VMs away from the chosen host.
    PauseDrain,
    /// Go on with it.
    ResumeDrain,
    /// Let the chosen host take VMs again.
    Undrain,
    /// Approve the selected VM's request.
    Approve,
    /// Deny it.
    Deny,
    /// Hold the selected VM.
    Hold,
    /// Release it.
    Release,
    /// Abort its migration.
    Abort,
    /// Raise the chosen number.
    Raise,
    /// Lower it.
    Lower,
    /// Choose which number that is.
    Field,
    /// Take the last change back.
    Undo,
    /// The next mode.
    Mode,
    /// The alarms have been seen.
    Acknowledge,
    /// All keys.
    Help,
    /// The next theme.
    Theme,
    /// Stand still, or go on.
    Freeze,
    /// Copy the why line.
    Copy,
    /// One step back.
    Back,
    /// Take this.
    Choose,
    /// Yes.
    Yes,
    /// No.
    No,
    /// In the policy editor, or to open it.
    Edit(Edit),
    /// A character into the filter.
    Type(char),
    /// The character before the caret goes.
    Erase,
    /// The word before the caret goes.
    EraseWord,
    /// The line goes.
    EraseLine,
    /// Text was pasted.
    Paste(String),
    /// The terminal has so many columns and rows.
    Resize(u16, u16),
    /// A snapshot has come.
    Arrived,
    /// None has come for so many milliseconds.
    Quiet(i64),
    /// None will come any more.
    EngineGone,
    /// The engine's channel was full: this command did not reach it.
    NotSent(CommandId),
}
