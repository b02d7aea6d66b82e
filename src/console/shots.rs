//! The project's own screenshots: real frames of the demos, drawn as pictures.

use std::collections::VecDeque;
use std::sync::Arc;

use super::editor::Edit;
use super::keymap::Action;
use super::picture::{self, Background};
use super::theme::{Colours, Theme, ThemeName};
use super::update::{Effect, update};
use super::{Ui, Zone, render};
use crate::view::{Snapshot, Subscription, UiCommand};

/// One picture.
pub struct Shot {
    /// The file's name, without its ending.
    pub name: &'static str,
    /// The demo it is of, as `whimbrel demo` is told.
    pub demo: &'static str,
    theme: ThemeName,
    size: (u16, u16),
    /// The VM that is selected; the list's first if it is none's.
    vm: &'static str,
    keys: &'static [Action],
}

const LARGE: (u16, u16) = (140, 44);
const SMALL: (u16, u16) = (80, 24);

/// A VM over the day before the last half, with the cursor on the last of what happened to it.
const DAY: &[Action] =
    &[Action::Open, Action::ZoomOut, Action::ZoomOut, Action::ZoomOut, Action::Earlier, Action::EventBack];
/// To the next bounds that make fewer moves, three times.
const EASED: &[Action] =
    &[Action::Edit(Edit::Open), Action::Edit(Edit::Fewer), Action::Edit(Edit::Fewer), Action::Edit(Edit::Fewer)];

/// All of them.
pub const fn shots() -> &'static [Shot] {
    use ThemeName::{Dark, Light};
    const FLEET: &str = "fleet";
    const LOOP: &str = "1";
    const SHOTS: &[Shot] = &[
        Shot { name: "fleet-dark", demo: FLEET, theme: Dark, size: LARGE, vm: "", keys: &[] },
        Shot { name: "fleet-light", demo: FLEET, theme: Light, size: LARGE, vm: "", keys: &[] },
        Shot { name: "fleet-80x24", demo: FLEET, theme: Dark, size: SMALL, vm: "", keys: &[] },
        Shot {
            name: "move-dark",
            demo: FLEET,
            theme: Dark,
            size: (120, 40),
            vm: "",
            keys: &[Action::Down, Action::Down, Action::Moves],
        },
        Shot { name: "migration-dark", demo: FLEET, theme: Dark, size: LARGE, vm: "web02", keys: &[] },
        Shot {
            name: "drain-dark",
            demo: FLEET,
            theme: Dark,
            size: (120, 40),
            vm: "web02",
            keys: &[Action::Drain, Action::Up, Action::Up],
        },
        Shot { name: "vm-dark", demo: LOOP, theme: Dark, size: LARGE, vm: "nii1", keys: DAY },
        Shot { name: "vm-light", demo: LOOP, theme: Light, size: LARGE, vm: "nii1", keys: DAY },
        Shot { name: "editor-dark", demo: FLEET, theme: Dark, size: LARGE, vm: "web03", keys: EASED },
        Shot { name: "editor-80x24", demo: FLEET, theme: Dark, size: SMALL, vm: "web03", keys: EASED },
        Shot {
            name: "activity-dark",
            demo: LOOP,
            theme: Dark,
            size: LARGE,
            vm: "nii1",
            keys: &[Action::Activity, Action::Scope],
        },
    ];
    SHOTS
}

impl Shot {
    /// Draws it. `publish` gives the snapshot that answers what the console says.
    pub fn take(&self, mut publish: impl FnMut(UiCommand) -> Arc<Snapshot>) -> String {
        let mut ui = Ui::new(self.theme, false, Zone::Utc);
        ui.selected = Some(Arc::from(self.vm)).filter(|vm: &Arc<str>| !vm.is_empty());
        let mut snapshot = publish(UiCommand::Subscription(Subscription::default()));
        let first = [Action::Resize(self.size.0, self.size.1), Action::Arrived];
        let mut waiting: VecDeque<Action> = first.iter().chain(self.keys).cloned().collect();
        while let Some(action) = waiting.pop_front() {
            for effect in update(&mut ui, action, &snapshot) {
                if let Effect::UiCommand(say) = effect {
                    snapshot = publish(say);
                    waiting.push_front(Action::Arrived);
                }
            }
        }
        let theme = Theme::built_in(self.theme, Colours::True);
        let background = if self.theme == ThemeName::Light { Background::Light } else { Background::Dark };
        picture::svg(&render(&snapshot, &ui, &theme, self.size.0, self.size.1), background)
    }
}
