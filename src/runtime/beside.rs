//! What a snapshot has that is not the engine's.

use std::sync::Arc;

use crate::view::{ActivityView, DraftView, Editing, HistoryView, Origin, Past};

/// From the history and the config file.
#[derive(Default)]
pub struct Beside {
    /// The past that was asked for last.
    pub past: Option<Arc<Past>>,
    /// What was done, as it was asked for last.
    pub activity: Option<Arc<ActivityView>>,
    /// What is known of the draft that was sent last.
    pub draft: Option<Arc<DraftView>>,
    /// Whether what happens is kept.
    pub history: HistoryView,
    /// Whether policies can be edited.
    pub editing: Editing,
    /// Where each VM's settings come from; empty without a file.
    pub origins: Vec<Origin>,
}
