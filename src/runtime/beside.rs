//! What a snapshot has that is not the engine's.

use std::sync::Arc;

use super::desk::Told;
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

impl Beside {
    /// Takes what a desk told. What is not for a screen to show is given back.
    pub fn take(&mut self, told: Told) -> Option<Told> {
        match told {
            Told::Past(past) => self.past = Some(past),
            Told::Activity(activity) => self.activity = Some(activity),
            Told::Draft(draft) => self.draft = Some(draft),
            Told::Editing(editing, origins) => (self.editing, self.origins) = (editing, origins),
            other => return Some(other),
        }
        None
    }
}
