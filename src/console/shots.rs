//! The project's own screenshots: real frames of the demo, drawn as pictures.

use std::collections::VecDeque;
use std::sync::Arc;

use super::keymap::Action;
use super::picture::{self, Background};
use super::theme::{Colours, Theme, ThemeName};
use super::update::{Effect, update};
use super::{Ui, Zone, render};
use crate::view::{Look, Say, Snapshot};

/// One picture.
pub struct Shot {
    /// The file's name, without its ending.
    pub name: &'static str,
    theme: ThemeName,
    size: (u16, u16),
    keys: &'static [Action],
}

/// All of them.
pub const fn shots() -> &'static [Shot] {
    const SHOTS: &[Shot] = &[
        Shot { name: "fleet-dark", theme: ThemeName::Dark, size: (140, 44), keys: &[] },
        Shot { name: "fleet-light", theme: ThemeName::Light, size: (140, 44), keys: &[] },
        Shot { name: "fleet-80x24", theme: ThemeName::Dark, size: (80, 24), keys: &[] },
        Shot {
            name: "vm-dark",
            theme: ThemeName::Dark,
            size: (140, 44),
            keys: &[Action::Open, Action::ZoomOut, Action::EventBack],
        },
        Shot { name: "activity-dark", theme: ThemeName::Dark, size: (140, 44), keys: &[Action::Activity] },
        Shot {
            name: "move-dark",
            theme: ThemeName::Dark,
            size: (120, 40),
            keys: &[Action::Down, Action::Down, Action::Moves],
        },
    ];
    SHOTS
}

impl Shot {
    /// Draws it. `publish` gives the snapshot for what is on screen.
    pub fn take(&self, mut publish: impl FnMut(Look) -> Arc<Snapshot>) -> String {
        let mut ui = Ui::new(self.theme, false, Zone::Utc);
        let mut snapshot = publish(Look::default());
        let first = [Action::Resize(self.size.0, self.size.1), Action::Arrived];
        let mut waiting: VecDeque<Action> = first.iter().chain(self.keys).cloned().collect();
        while let Some(action) = waiting.pop_front() {
            for effect in update(&mut ui, action, &snapshot) {
                if let Effect::Say(Say::Look(look)) = effect {
                    snapshot = publish(look);
                    waiting.push_front(Action::Arrived);
                }
            }
        }
        let theme = Theme::built_in(self.theme, Colours::True);
        let background = if self.theme == ThemeName::Light { Background::Light } else { Background::Dark };
        picture::svg(&render(&snapshot, &ui, &theme, self.size.0, self.size.1), background)
    }
}
