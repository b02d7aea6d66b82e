//! Changes one number of a policy by a key or by typing, for the selected VM or the marked ones.

use std::sync::Arc;

use super::{NumberChange, Prompt};
use crate::console::step;
use crate::console::text::some_of;
use crate::console::ui::{Overlay, Tone, Ui, UiEffect};
use crate::core::cluster::Name;
use crate::core::format::exact;
use crate::core::policy::Field;
use crate::view::{CommandId, Scope, SetValue, Snapshot, UiCommand, VmRow};

/// The VMs to change: the marked ones in the config's order, or else the selected one.
pub fn targets(ui: &Ui, snapshot: &Snapshot) -> Vec<Name> {
    if ui.marked.is_empty() {
        return ui.row().map(|row| row.name.clone()).into_iter().collect();
    }
    snapshot.rows.iter().filter(|row| ui.marked.contains(&row.name)).map(|row| row.name.clone()).collect()
}

/// A VM's present number, from its policy if it is the selected VM, or else from its row.
fn value(ui: &Ui, snapshot: &Snapshot, row: &VmRow, field: Field) -> Option<f64> {
    if let Some(detail) = ui.detail(snapshot).filter(|detail| detail.vm == row.name) {
        return detail.settings.get(field);
    }
    match field {
        Field::Threshold => row.bounds.high,
        Field::LowThreshold => row.bounds.low,
        Field::Tarry => row.count.map(|(_, tarry)| f64::from(tarry)),
        Field::LowTarry => row.low_count.map(|(_, tarry)| f64::from(tarry)),
    }
}

/// Which number is changed: the chosen one if one of these VMs has it, or else the threshold.
pub fn active(ui: &Ui, snapshot: &Snapshot, vms: &[Name]) -> Field {
    let has = |row: &&Arc<VmRow>| vms.contains(&row.name) && value(ui, snapshot, row, ui.field).is_some();
    if snapshot.rows.iter().any(|row| has(&row)) { ui.field } else { Field::Threshold }
}

/// Why nothing can be changed now, if so.
fn refusal(ui: &Ui, snapshot: &Snapshot) -> Option<String> {
    if let Some(why) = &snapshot.uneditable {
        return Some(format!("policies cannot be changed here: {why}"));
    }
    let shown = ui.detail(snapshot).is_some() || !ui.marked.is_empty();
    (!shown).then(|| "no policy shown yet".to_owned())
}

/// Raises or lowers the number of each VM by one step.
pub fn change(ui: &mut Ui, snapshot: &Snapshot, up: bool) -> Vec<UiEffect> {
    if let Some(why) = refusal(ui, snapshot) {
        ui.say(Tone::Bad, why);
        return Vec::new();
    }
    let vms = targets(ui, snapshot);
    let field = active(ui, snapshot, &vms);
    // A second key before the answer continues from the value that was asked for, not from the one shown.
    let rows = snapshot.rows.iter().filter(|row| vms.contains(&row.name));
    let to: Vec<_> = rows
        .filter_map(|row| {
            let from = ui.asked_value(&row.name, field).or_else(|| value(ui, snapshot, row, field))?;
            Some((row.name.clone(), Some(from), step::step(field, from, up)))
        })
        .collect();
    set_numbers(ui, snapshot, NumberChange { field, to })
}

/// Asks for a number to be typed, or says why not.
pub(super) fn number(ui: &mut Ui, snapshot: &Snapshot) -> Option<Prompt> {
    if let Some(why) = refusal(ui, snapshot) {
        ui.say(Tone::Bad, why);
        return None;
    }
    let vms = targets(ui, snapshot);
    let field = active(ui, snapshot, &vms);
    let rows = snapshot.rows.iter().filter(|row| vms.contains(&row.name));
    let mut values: Vec<f64> = rows.filter_map(|row| value(ui, snapshot, row, field)).collect();
    values.dedup();
    let now = if let [one] = values[..] { Some(one) } else { None };
    Some(Prompt::Number { vms, field, now, typed: String::new() })
}

/// Takes the number that was typed.
///
/// # Errors
/// Why it is not a valid number.
pub(super) fn typed(
    ui: &mut Ui,
    vms: &[Name],
    field: Field,
    typed: &str,
    snapshot: &Snapshot,
) -> Result<Vec<UiEffect>, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        ui.say(Tone::Good, "nothing was changed");
        return Ok(Vec::new());
    }
    let number = read(typed).ok_or_else(|| format!("'{typed}' is no number: write 50, 2.5 or 1_000"))?;
    let rows = snapshot.rows.iter().filter(|row| vms.contains(&row.name));
    let of = |row: &Arc<VmRow>| (row.name.clone(), value(ui, snapshot, row, field), number);
    let change = NumberChange { field, to: rows.map(of).collect() };
    if let Some(why) = wrong(ui, snapshot, &change) {
        return Err(why);
    }
    Ok(set_numbers(ui, snapshot, change))
}

/// Reads a number as the config does.
fn read(typed: &str) -> Option<f64> {
    let table: toml::Table = toml::from_str(&format!("number = {typed}")).ok()?;
    // More than one key means that a line break was typed.
    if table.len() != 1 {
        return None;
    }
    match table.get("number")? {
        toml::Value::Integer(whole) => Some(*whole as f64),
        toml::Value::Float(number) if number.is_finite() => Some(*number),
        _ => None,
    }
}

/// Why the shown policy cannot have this value. The engine checks the other VMs.
fn wrong(ui: &Ui, snapshot: &Snapshot, change: &NumberChange) -> Option<String> {
    let detail = ui.detail(snapshot)?;
    let (_, _, value) = change.to.iter().find(|(vm, ..)| *vm == detail.vm)?;
    detail.settings.with(change.field, *value).err().map(|error| error.to_string())
}

fn set_numbers(ui: &mut Ui, snapshot: &Snapshot, change: NumberChange) -> Vec<UiEffect> {
    if let Some(why) = wrong(ui, snapshot, &change) {
        ui.say(Tone::Bad, why);
        return Vec::new();
    }
    if change.to.is_empty() {
        ui.say(Tone::Bad, format!("no {} here to change", change.field.words()));
        return Vec::new();
    }
    let chosen: Vec<Option<Scope>> = change.to.iter().map(|(vm, ..)| ui.scopes.get(vm).copied()).collect();
    if chosen.iter().all(Option::is_some) || !may_be_shared(ui, snapshot, &change) {
        return scoped_as_chosen(ui, &change, Scope::Block);
    }
    let question = shared_question(ui, snapshot, &change);
    ui.overlays.push(Overlay::Prompt(Prompt::ShareNumbers { question, change }));
    Vec::new()
}

/// Whether the block may be shared. The console knows it of the selected VM only.
fn may_be_shared(ui: &Ui, snapshot: &Snapshot, change: &NumberChange) -> bool {
    let shared = ui.detail(snapshot).is_some_and(|detail| detail.origin.shared.is_some() && detail.origin.others > 0);
    shared || change.to.len() > 1
}

fn shared_question(ui: &Ui, snapshot: &Snapshot, change: &NumberChange) -> String {
    let vms: Vec<Name> = change.to.iter().map(|(vm, ..)| vm.clone()).collect();
    let what = in_words(change);
    let shared = ui.detail(snapshot).and_then(|detail| detail.origin.shared.clone().zip(Some(detail.origin.others)));
    match shared {
        Some((name, others)) if vms.len() == 1 => {
            format!("{what}: policy {name} is shared, it is {} VMs'", others + 1)
        }
        _ => format!("{what} of {}: a block that others share changes for them too", some_of(&vms)),
    }
}

fn in_words(change: &NumberChange) -> String {
    let label = change.field.words();
    match &change.to[..] {
        [(vm, Some(from), to)] => format!("{vm} {label} {} → {}", exact(*from), exact(*to)),
        [(vm, None, to)] => format!("{vm} {label} {}", exact(*to)),
        many if many.iter().all(|(.., to)| *to == many[0].2) => {
            format!("{} VMs {label} {}", many.len(), exact(many[0].2))
        }
        many => format!("{} VMs {label}", many.len()),
    }
}

/// Remembers the chosen block for these VMs, and changes them.
pub(super) fn scoped(ui: &mut Ui, change: NumberChange, scope: Scope) -> Vec<UiEffect> {
    for (vm, ..) in &change.to {
        ui.scopes.insert(vm.clone(), scope);
    }
    scoped_as_chosen(ui, &change, scope)
}

/// Sends the change; VMs with the same new value share a command.
fn scoped_as_chosen(ui: &mut Ui, change: &NumberChange, otherwise: Scope) -> Vec<UiEffect> {
    let field = change.field;
    let mut commands: Vec<(CommandId, SetValue)> = Vec::new();
    for (vm, _, value) in &change.to {
        let scope = ui.scopes.get(vm).copied().unwrap_or(otherwise);
        match commands.iter_mut().find(|(_, set)| set.value == *value && set.scope == scope) {
            Some((_, set)) => set.vms.push(vm.clone()),
            None => commands.push((ui.next_id(), SetValue { vms: vec![vm.clone()], scope, field, value: *value })),
        }
    }
    // What was asked for the same number of these VMs before counts no more.
    for asked in ui.pending.values_mut().filter(|set| set.field == field) {
        asked.vms.retain(|name| change.to.iter().all(|(vm, ..)| vm != name));
    }
    ui.pending.extend(commands.iter().cloned());
    ui.say(Tone::Asked, format!("{}: asked, waiting for the engine", in_words(change)));
    commands.into_iter().map(|(id, set)| UiEffect::UiCommand(UiCommand::SetValue(id, set))).collect()
}

/// Asks to undo the last change of a policy.
pub fn undo(ui: &mut Ui) -> UiEffect {
    ui.say(Tone::Asked, "undo: asked, waiting for the engine");
    UiEffect::UiCommand(UiCommand::Undo(ui.next_id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_number_is_what_the_config_takes() {
        let read = ["50", "2.5", "1_000", "-3", "1e3", "0x10"].map(read);
        assert_eq!(read, [Some(50.0), Some(2.5), Some(1_000.0), Some(-3.0), Some(1_000.0), Some(16.0)]);
    }

    #[test]
    fn what_the_config_does_not_take_is_no_number() {
        for typed in ["fifty", "5 0", "05", "1.", "inf", "nan", "\"5\"", "[5]", "5\nx = 1", "5,"] {
            assert!(read(typed).is_none(), "{typed}");
        }
    }
}
