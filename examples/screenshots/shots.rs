//! Which screenshots there are.

use whimbrel::console::{Action, EditorAction, ThemeName};

/// One screenshot.
pub struct Screenshot {
    /// The file's name without `.svg`.
    pub name: &'static str,
    /// The demo it shows, as `whimbrel demo` takes it.
    pub demo: &'static str,
    /// The theme it is drawn in.
    pub theme: ThemeName,
    /// Columns and rows.
    pub size: (u16, u16),
    /// The VM that is selected; if empty, the first of the list.
    pub vm: &'static str,
    /// What the operator does before the picture is taken.
    pub keys: &'static [Action],
}

const LARGE: (u16, u16) = (140, 44);
const SMALL: (u16, u16) = (80, 24);

/// Shows the VM's last 24 hours, goes back 12 hours, and puts the cursor on the last event.
const DAY: &[Action] =
    &[Action::Open, Action::ZoomOut, Action::ZoomOut, Action::ZoomOut, Action::Earlier, Action::EventBack];
/// Opens the editor and takes the next bound with fewer moves three times.
const EASED: &[Action] = &[
    Action::Edit(EditorAction::Open),
    Action::Edit(EditorAction::Fewer),
    Action::Edit(EditorAction::Fewer),
    Action::Edit(EditorAction::Fewer),
];

/// All screenshots of `screenshots/`.
pub const fn all() -> &'static [Screenshot] {
    use ThemeName::{Dark, Light};
    const FLEET: &str = "fleet";
    const LOOP: &str = "1";
    const SHOTS: &[Screenshot] = &[
        Screenshot { name: "fleet-dark", demo: FLEET, theme: Dark, size: LARGE, vm: "", keys: &[] },
        Screenshot { name: "fleet-light", demo: FLEET, theme: Light, size: LARGE, vm: "", keys: &[] },
        Screenshot { name: "fleet-80x24", demo: FLEET, theme: Dark, size: SMALL, vm: "", keys: &[] },
        Screenshot {
            name: "move-dark",
            demo: FLEET,
            theme: Dark,
            size: (120, 40),
            vm: "",
            keys: &[Action::Down, Action::Down, Action::Moves],
        },
        Screenshot { name: "migration-dark", demo: FLEET, theme: Dark, size: LARGE, vm: "web02", keys: &[] },
        Screenshot {
            name: "drain-dark",
            demo: FLEET,
            theme: Dark,
            size: (120, 40),
            vm: "web02",
            keys: &[Action::Drain, Action::Up, Action::Up],
        },
        Screenshot { name: "vm-dark", demo: LOOP, theme: Dark, size: LARGE, vm: "nii1", keys: DAY },
        Screenshot { name: "vm-light", demo: LOOP, theme: Light, size: LARGE, vm: "nii1", keys: DAY },
        Screenshot { name: "editor-dark", demo: FLEET, theme: Dark, size: LARGE, vm: "web03", keys: EASED },
        Screenshot { name: "editor-80x24", demo: FLEET, theme: Dark, size: SMALL, vm: "web03", keys: EASED },
        Screenshot {
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
