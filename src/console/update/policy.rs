//! Which of a policy's numbers keys change; and the why line, copied.

use crate::console::step;
use crate::console::ui::{Effect, Tone, Ui};
use crate::view::Snapshot;

pub(super) fn next_field(ui: &mut Ui, snapshot: &Snapshot) {
    let Some(detail) = ui.detail(snapshot) else { return ui.say(Tone::Bad, "no policy shown yet") };
    let fields = step::FIELDS.iter().filter(|field| detail.settings.get(**field).is_some());
    let active = ui.active_field(&detail.settings);
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
