//! Which rows the table shows, which is selected, and which are marked.

use std::collections::HashSet;
use std::sync::Arc;

use crate::console::keymap::Action;
use crate::console::listing::{Listing, SortBy, arrange};
use crate::console::ui::{Overlay, Tone, Ui};
use crate::core::format::tame;
use crate::view::Snapshot;

/// Closes a dialog about a VM that is gone.
pub(super) fn follow(ui: &mut Ui, snapshot: &Snapshot) {
    let gone = |vm: &Arc<str>| !snapshot.rows.iter().any(|row| row.name == *vm);
    if let Some(at) = ui.overlays.iter().position(|o| matches!(o, Overlay::Moves { vm, .. } if gone(vm))) {
        ui.overlays.truncate(at);
        ui.say(Tone::Bad, "that VM is gone");
    }
}

/// Computes the rows anew; the selection stays on its VM, or goes to the neighbour if that is gone.
pub(super) fn relist(ui: &mut Ui, snapshot: &Snapshot) {
    let times = ui.by_name.times();
    let by_name = ui.by_name.of(&snapshot.rows);
    let rows = arrange(&snapshot.rows, by_name, &ui.filter, ui.sort, ui.reverse);
    let find = |name: &str| rows.iter().position(|row| *row.name == *name);
    let before = &ui.listing;
    let kept = ui.selected.as_deref().and_then(find);
    let neighbour = || {
        let at = before.at?;
        let after = before.rows.iter().skip(at + 1);
        let ahead = before.rows.iter().take(at).rev();
        after.chain(ahead).find_map(|row| find(&row.name))
    };
    let at = kept.or_else(neighbour).or(if rows.is_empty() { None } else { Some(0) });
    // With nothing to select the name stays: the VM comes back when the filter goes.
    if let Some(row) = at.and_then(|at| rows.get(at)) {
        ui.selected = Some(Arc::clone(&row.name));
    } else if snapshot.rows.is_empty() {
        ui.selected = None;
    }
    ui.listing = Listing::new(rows, at, ui.sort == SortBy::Worst && !ui.reverse);
    ui.listed = Arc::clone(&snapshot.rows);
    if ui.by_name.times() != times && !ui.marked.is_empty() {
        let names: HashSet<&str> = snapshot.rows.iter().map(|row| &*row.name).collect();
        ui.marked.retain(|vm| names.contains(&**vm));
    }
}

pub(super) fn freeze(ui: &mut Ui, snapshot: &Snapshot) {
    ui.frozen = !ui.frozen;
    if !ui.frozen {
        relist(ui, snapshot);
    }
}

pub(super) fn type_filter(ui: &mut Ui, snapshot: &Snapshot, action: Action) {
    if !ui.is_filtering() {
        return;
    }
    let mut filter = ui.filter.clone();
    match action {
        Action::Type(c) => filter.push(c),
        Action::Paste(pasted) => filter.push_str(tame(&pasted).trim()),
        Action::Erase => {
            filter.pop();
        }
        Action::EraseWord => {
            let kept = filter.trim_end().rsplit_once(' ').map_or(0, |(head, _)| head.len() + 1);
            filter.truncate(kept);
        }
        _ => filter.clear(),
    }
    narrow(ui, snapshot, filter);
}

pub(super) fn narrow(ui: &mut Ui, snapshot: &Snapshot, filter: String) {
    ui.filter = filter;
    relist(ui, snapshot);
}

pub(super) fn sort(ui: &mut Ui, snapshot: &Snapshot, action: &Action) {
    if *action == Action::Reverse {
        ui.reverse = !ui.reverse;
    } else {
        ui.sort = ui.sort.next();
        ui.reverse = false;
    }
    relist(ui, snapshot);
    let way = match (ui.sort, ui.reverse) {
        (SortBy::Worst, true) => "best first".to_owned(),
        (by, true) => format!("{}, reversed", by.word()),
        (by, false) => by.word().to_owned(),
    };
    ui.say(Tone::Good, format!("sorted by {way}"));
}

/// Marks the selected row, or takes its mark away, and goes down.
pub(super) fn mark(ui: &mut Ui) {
    let Some(vm) = ui.selected.clone() else { return };
    if !ui.marked.remove(&vm) {
        ui.marked.insert(vm);
    }
    let Some(at) = ui.listing.at else { return };
    if let Some(row) = ui.listing.rows.get(at + 1) {
        ui.selected = Some(Arc::clone(&row.name));
        ui.listing.at = Some(at + 1);
    }
}
