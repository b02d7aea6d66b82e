//! Which of a policy's numbers keys change; and the why line, copied.

use super::Effect;
use crate::console::step;
use crate::console::ui::{Tone, Ui};
use crate::core::policy::{Field, Settings};
use crate::view::Snapshot;

/// The number `+` and `-` change: the chosen one, or the first the policy has.
pub fn active_field(ui: &Ui, settings: &Settings) -> Field {
    if settings.get(ui.field).is_some() { ui.field } else { Field::Threshold }
}

pub(super) fn next_field(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(detail) = ui.detail(snapshot) else { return ui.say(Tone::Bad, "no policy shown yet") };
    let fields = step::FIELDS.iter().filter(|field| detail.settings.get(**field).is_some());
    let active = active_field(ui, &detail.settings);
    let next = fields.clone().skip_while(|field| **field != active).nth(1).or_else(|| fields.clone().next());
    if let Some(next) = next {
        ui.field = *next;
        ui.say(Tone::Good, format!("+ and - change the {}", step::label(*next)));
    }
}

pub(super) fn copy(ui: &mut Ui, snapshot: &Snapshot) -> Option<Effect> {
    let line = ui.detail(snapshot).map(|detail| format!("{}: {}", detail.vm, detail.why));
    match line {
        Some(line) => {
            ui.say(Tone::Good, "the why line is on the clipboard, if the terminal allows it");
            Some(Effect::Copy(line))
        }
        None => {
            ui.say(Tone::Bad, "no why line yet");
            None
        }
    }
}
