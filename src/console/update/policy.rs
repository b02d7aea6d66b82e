//! One number of the selected VM's policy, changed by a key; and the why line, copied.

use std::sync::Arc;

use super::Effect;
use super::dialogs::ask;
use crate::console::step;
use crate::console::ui::{Pending, Tone, Ui};
use crate::core::engine::{Change, Command};
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

pub(super) fn change(ui: &mut Ui, snapshot: &Snapshot, up: bool) -> Option<Effect> {
    let Some(detail) = ui.detail(snapshot) else {
        ui.say(Tone::Bad, "no policy shown yet");
        return None;
    };
    let field = active_field(ui, &detail.settings);
    // A second key before the engine has answered goes on from what was asked, not from what is shown.
    let asked = ui.pending.as_ref().filter(|pending| pending.vm == detail.vm && pending.field == field);
    let from = asked.map(|pending| pending.value).or_else(|| detail.settings.get(field))?;
    let value = step::step(field, from, up);
    // Nor may another number that was just asked for be lost: the policy is sent whole.
    let other = ui.pending.as_ref().filter(|pending| pending.vm == detail.vm);
    let shown = other.and_then(|pending| detail.settings.with(pending.field, pending.value).ok());
    match shown.as_ref().unwrap_or(&detail.settings).with(field, value) {
        Ok(settings) => {
            let vm = Arc::clone(&detail.vm);
            let change = Change { vm: vm.to_string(), settings: Box::new(settings) };
            let command = Command::Amend { changes: vec![change], why: None };
            ui.pending = Some(Pending { vm: Arc::clone(&vm), field, value });
            let effect = ask(ui, command);
            let what = format!("{vm} {} {}", step::label(field), step::shown(value));
            ui.say(Tone::Asked, format!("{what}: asked, waiting for the engine"));
            Some(effect)
        }
        Err(refusal) => {
            ui.say(Tone::Bad, refusal.to_string());
            None
        }
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
