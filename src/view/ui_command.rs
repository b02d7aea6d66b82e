//! What a console says to its engine, and what it wants to see.

use serde::{Deserialize, Serialize};

use super::draft::{Draft, SetValue};
use super::queue::QueueAsk;
use super::snapshot::{ActivityAsk, CommandId, PastAsk};
use crate::core::cluster::{Name, Span};
use crate::core::engine::Command;
use crate::core::queue::QueueOrder;

/// What a console says to its engine. What has an id is answered once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum UiCommand {
    /// Do this.
    Command(CommandId, Command),
    /// Ask this of a VM's worker.
    Queue(CommandId, QueueOrder),
    /// Show me this from now on.
    Subscription(Subscription),
    /// What of this policy? `None`: it is no longer edited.
    Draft(Option<Draft>),
    /// Save this draft: into the config file and into the engine.
    Save {
        /// Of this command.
        id: CommandId,
        /// The draft.
        draft: Draft,
        /// Why, for those who ask later.
        why: Option<String>,
        /// Over what was changed in the file meanwhile, which was shown.
        over: bool,
    },
    /// Change one number, in the file and in the engine.
    SetValue(CommandId, SetValue),
    /// Take the last change of a policy back, the same way.
    Undo(CommandId),
    /// Read the config again.
    Reload(CommandId),
}

impl UiCommand {
    /// Its id, if it is answered.
    pub const fn id(&self) -> Option<CommandId> {
        match self {
            Self::Command(id, _) | Self::Queue(id, _) | Self::Save { id, .. } | Self::SetValue(id, _) => Some(*id),
            Self::Undo(id) | Self::Reload(id) => Some(*id),
            Self::Subscription(_) | Self::Draft(_) => None,
        }
    }
}

/// What a console has on screen and needs in detail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscription {
    /// The selected VM; `None` asks for no detail.
    pub vm: Option<Name>,
    /// How far back its graph goes.
    pub window: Span,
    /// The move dialog is open: say what the gates would say.
    pub moves: bool,
    /// The drain dialog is open: say what draining this host would mean.
    pub drain: Option<Name>,
    /// The VM's past is on screen.
    pub past: Option<PastAsk>,
    /// What was done is on screen.
    pub activity: Option<ActivityAsk>,
    /// A VM's queue is on screen.
    pub queue: Option<QueueAsk>,
}
