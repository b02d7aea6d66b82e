//! The stretch of time on a graph, and the cursor in it.

use crate::console::ui::{Screen, Tone, Ui};
use crate::core::cluster::Timestamp;
use crate::view::Snapshot;

/// A shorter or a longer stretch.
pub(super) fn zoom(ui: &mut Ui, snapshot: &Snapshot, out: bool) {
    let can = if ui.screen == Screen::Activity { ui.activity.zoom(out) } else { ui.vm.zoom(out, snapshot.at) };
    if !can {
        ui.say(Tone::Good, if out { "this is the longest stretch" } else { "this is the shortest stretch" });
    }
}

/// Half a stretch back or on, but not to before the oldest reading.
pub(super) fn pan(ui: &mut Ui, snapshot: &Snapshot, back: bool) {
    let begins = ui.past(snapshot).and_then(|past| past.begins);
    let (from, _) = ui.vm.edges(snapshot.at);
    if back && begins.is_some_and(|begins| from <= begins) {
        return ui.say(Tone::Good, "there is nothing older");
    }
    ui.vm.pan(back, snapshot.at);
}

/// The cursor to the next reading.
pub(super) fn step(ui: &mut Ui, snapshot: &Snapshot, back: bool) {
    let readings = ui.readings(snapshot);
    go(ui, snapshot, readings, back, "no reading");
}

/// The cursor to what happened next.
pub(super) fn event(ui: &mut Ui, snapshot: &Snapshot, back: bool) {
    let events = ui.events(snapshot);
    go(ui, snapshot, events, back, "nothing happened");
}

/// To the nearest of these instants, which are in order; from the present if there was no cursor.
fn go(ui: &mut Ui, snapshot: &Snapshot, instants: Vec<Timestamp>, back: bool, nothing: &str) {
    let (from, to) = ui.vm.edges(snapshot.at);
    let mut shown = instants.into_iter().filter(|at| (from..=to).contains(at));
    let next = match (ui.vm.cursor, back) {
        (None, true) => shown.next_back(),
        (None, false) => shown.next(),
        (Some(cursor), true) => shown.rfind(|at| *at < cursor),
        (Some(cursor), false) => shown.find(|at| *at > cursor),
    };
    match next {
        Some(at) => ui.vm.cursor = Some(at),
        None => ui.say(Tone::Good, format!("{nothing} {} here: < > go on", if back { "before" } else { "after" })),
    }
}
