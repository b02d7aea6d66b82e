//! The drain dialog: every host with its load; of the chosen one where its VMs would go, what that makes of the hosts
//! that take them, and what speaks against it; or how far it is.
//!
//! ```text
//! ┌ drain mln3 ─────────────────────────────────────────────────────┐
//! │   HOST       LOAD         VMS                                   │
//! │   oslo  mln2 ▰▰▰▰▱  83%   2/8 nii1 web12                        │
//! │ >       mln3 ▰▰▰▱▱  62%   2/8 nii2 db01                         │
//! │                                                                 │
//! │ 2 VMs would leave it, one after the other                       │
//! │ ~ mln4 would have too much: 5 VMs, 97% load                     │
//! │ VM      WHERE TO                 HOST  LOAD NOW > AFTER    VMS  │
//! │ nii2    > mln4                   mln4  ▰▰▰▰▰ 22% > 97%  3 > 5/8 │
//! │ db01    > mln4  ~ hold: …                                       │
//! └─────────────────────────────────────────────────────────────────┘
//! ```

use ratatui::layout::Rect;

use super::load_change;
use crate::console::screens::fleet::{drain_words, host_line, migrating, names_in};
use crate::console::text::{width, wrap};
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, centred, gauge};
use crate::core::cluster::HostState;
use crate::core::format::{age, counted};
use crate::view::{Drain, DrainPlan, HostView, PlannedMove, Snapshot, Taker};

/// Hosts or VMs in a list, at most, if there is room.
const LIST: usize = 24;
/// A gap, two lines of words, two of warnings and a head.
const SAID: u16 = 6;
/// Side by side from this width on.
const TWO_FROM: u16 = 70;
/// Columns of the hosts that take VMs, where those stand beside the VMs, at least.
const TAKERS: u16 = 42;
/// Those of their loads and VMs.
const TAKERS_REST: u16 = 32;
/// Columns of a load, now and after.
const LOADS: u16 = 18;

/// Draws it; the VMs from the `top`th on.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui, top: usize) {
    let Some(host) = ui.drained(snapshot) else { return };
    let at = centred(area, 110, wanted(snapshot));
    canvas.frame(at, &format!("drain {}", host.name));
    let body = Rect { x: at.x + 2, y: at.y + 1, width: at.width.saturating_sub(4), height: at.height - 2 };
    // The hosts have less than half, or what is not needed to say what comes of it: that matters more.
    let spare = body.height.saturating_sub(most_vms(snapshot) + SAID);
    let hosts_rows = snapshot.hosts().count().min(LIST) as u16 + 1;
    let listed = hosts_rows.min(spare.max(body.height * 2 / 5).max(3)).min(body.height);
    hosts(canvas, Rect { height: listed, ..body }, snapshot, ui, host);
    let rest = Rect { y: body.y + listed, height: body.height - listed, ..body };
    outcome(canvas, rest, snapshot, ui, host, top);
}

/// Rows it wants: the same for every host that may be chosen, so that it stands still.
fn wanted(snapshot: &Snapshot) -> u16 {
    // The border, and the hosts' head.
    snapshot.hosts().count().min(LIST) as u16 + most_vms(snapshot) + SAID + 3
}

/// VMs on the host that has most of them.
fn most_vms(snapshot: &Snapshot) -> u16 {
    snapshot.hosts().map(|host| host.vms.len()).max().unwrap_or(0).min(LIST) as u16
}

/// The hosts around the chosen one.
fn hosts(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui, chosen: &HostView) {
    let all = || snapshot.arrays.iter().flat_map(|array| array.hosts.iter().map(move |host| (array, host)));
    let rows = usize::from(area.height.saturating_sub(1));
    let (count, at) = (all().count(), all().position(|(_, host)| host.name == chosen.name).unwrap_or(0));
    let first = at.saturating_sub(rows / 2).min(count.saturating_sub(rows));
    let visible = || all().skip(first).take(rows);
    let widest = |of: &dyn Fn(&str, &str) -> usize| visible().map(|(a, h)| of(&a.name, &h.name)).max().unwrap_or(0);
    let arrays = (widest(&|array, _| width(array)) as u16).clamp(3, 10);
    let names = (widest(&|_, host| width(host)) as u16).clamp(4, names_in(area.width));
    let x = area.x + 2 + arrays + 1;
    canvas.put(area.x + 2, area.y, area.width.saturating_sub(2), "HOST", Role::Head);
    canvas.put(x + names + 1, area.y, 12, "LOAD", Role::Head);
    canvas.put_right(x + names + 13, area.y, 5.min(area.right().saturating_sub(x + names + 13)), "VMS", Role::Head);
    if count > rows {
        let text = format!("{} of {count} hosts", at + 1);
        canvas.put_right(area.x, area.y, area.width, &text, Role::Faint);
    }
    let mut last = None;
    for (y, (array, host)) in (area.y + 1..area.bottom()).zip(visible()) {
        if last != Some(&array.name) {
            canvas.put(area.x + 2, y, arrays, &array.name, Role::Quiet);
        }
        last = Some(&array.name);
        host_line(canvas, Rect::new(x, y, area.right().saturating_sub(x), 1), host, names, snapshot, ui);
        if host.name == chosen.name {
            canvas.put(area.x, y, 1, ">", Role::Key);
            canvas.over(Rect::new(area.x, y, area.width, 1), Role::Selected);
            canvas.over(Rect::new(x, y, (width(&host.name) as u16).min(names), 1), Role::Cursor);
        }
    }
}

/// What would come of it, or what is left of it.
fn outcome(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui, host: &HostView, top: usize) {
    let mut y = area.y + 1;
    let room = |y: u16| area.bottom().saturating_sub(y);
    if room(y) == 0 {
        return;
    }
    let plan = ui.plan(snapshot);
    let at = Rect { y, height: room(y).min(2), ..area };
    y += match &host.drain {
        Some(drain) => progress(canvas, at, drain, snapshot),
        None => intent(canvas, at, host, plan.map(|plan| &**plan), ui),
    };
    let Some(plan) = plan else { return };
    // What was accepted when it began is not said again; what stays is.
    let stays = |drain: &Drain| drain.stuck.iter().map(|stuck| format!("{} stays: {}", stuck.vm, stuck.why)).collect();
    let warnings = host.drain.as_ref().map_or_else(|| plan.warnings.clone(), stays);
    let mut left = usize::from(room(y) / 3).max(1);
    for (i, warning) in warnings.iter().enumerate() {
        let (more, cut) = (warnings.len() - i - 1, canvas.glyphs.cut);
        let wrapped = |text: &str| wrap(text, usize::from(area.width.saturating_sub(2)), left.min(2), cut);
        let mut lines = wrapped(warning);
        if more > 0 && lines.len() >= left {
            lines = wrapped(&format!("{warning} (+{more} more)"));
        }
        left = left.saturating_sub(lines.len());
        for (n, line) in lines.iter().enumerate().take(usize::from(room(y))) {
            let mark = if n == 0 { canvas.glyphs.verdicts[1] } else { " " };
            canvas.line(area.x, y, area.width, &[(mark, Role::Warning), (" ", Role::Text), (line, Role::Warning)]);
            y += 1;
        }
        if left == 0 {
            break;
        }
    }
    let rest = Rect { y, height: room(y), ..area };
    if plan.moves.is_empty() || rest.height < 2 {
        return;
    }
    if rest.width >= TWO_FROM {
        let split = rest.width - TAKERS.max(takers_names(&plan.hosts).min(names_in(rest.width)) + TAKERS_REST);
        moves(canvas, Rect { width: split - 2, ..rest }, snapshot, host, plan, top);
        takers(canvas, Rect { x: rest.x + split, width: rest.width - split, ..rest }, &plan.hosts);
    } else {
        let below = (plan.hosts.len() as u16 + 1).min(rest.height / 2);
        moves(canvas, Rect { height: rest.height - below, ..rest }, snapshot, host, plan, top);
        takers(canvas, Rect { y: rest.bottom() - below, height: below, ..rest }, &plan.hosts);
    }
}

/// What would be done. Returns how many lines it took.
fn intent(canvas: &mut Canvas<'_>, at: Rect, host: &HostView, plan: Option<&DrainPlan>, ui: &Ui) -> u16 {
    let (text, role) = match (host.state, plan) {
        (HostState::Down, _) => ("it is down: its VMs cannot be moved live".to_owned(), Role::Alarm),
        (HostState::Unknown, _) => ("it does not answer: its VMs cannot be moved live".to_owned(), Role::Warning),
        (_, None) if ui.frozen => ("frozen: p goes on".to_owned(), Role::Quiet),
        (_, None) => ("asking the engine where its VMs would go".to_owned(), Role::Quiet),
        (_, Some(plan)) if plan.moves.is_empty() => {
            ("it is empty; if it is drained, it takes no VMs until it is released".to_owned(), Role::Strong)
        }
        (_, Some(plan)) => (would_leave(plan), Role::Strong),
    };
    let lines = wrap(&text, usize::from(at.width), usize::from(at.height), canvas.glyphs.cut);
    for (y, line) in (at.y..).zip(&lines) {
        canvas.put(at.x, y, at.width, line, role);
    }
    lines.len() as u16
}

fn would_leave(plan: &DrainPlan) -> String {
    let leaving = plan.moves.iter().filter(|planned| planned.to.is_some()).count();
    let all = counted(plan.moves.len(), "VM", "VMs");
    let pace = match plan.at_once {
        _ if leaving < 2 => String::new(),
        1 => ", one after the other".to_owned(),
        n => format!(", {n} at once"),
    };
    if leaving == plan.moves.len() {
        format!("{all} would leave it{pace}")
    } else {
        format!("{leaving} of its {all} would leave it{pace}")
    }
}

/// How far it is, who wants it, since when. Returns how many lines it took.
fn progress(canvas: &mut Canvas<'_>, at: Rect, drain: &Drain, snapshot: &Snapshot) -> u16 {
    let (_, role) = drain_words(drain);
    let right = |x: u16| at.right().saturating_sub(x);
    let by = match (&*drain.by, drain.commanded) {
        (_, false) => "by the config".to_owned(),
        (by, true) => format!("by {by}"),
    };
    let since = format!("{by}, {} ago", age(snapshot.at.since(drain.since)));
    let mut x = at.x;
    let said = if drain.done {
        vec![("drained: it takes no VMs until it is released".to_owned(), role), (since, Role::Quiet)]
    } else {
        let word = if drain.paused { "paused    " } else { "draining  " };
        x = canvas.put(x, at.y, at.width, word, role);
        let columns = (at.width / 5).clamp(5, 20).min(right(x));
        x = gauge(canvas, x, at.y, columns, drain.moved as f32 / drain.of.max(1) as f32, role) + 2;
        let way = drain.under_way.len();
        let way = if way > 0 { format!(", {way} on the way") } else { String::new() };
        let stay = if drain.stuck.is_empty() { String::new() } else { format!(", {} not", drain.stuck.len()) };
        let left = format!("{} of {} have left{way}{stay}", drain.moved, counted(drain.of as usize, "VM", "VMs"));
        vec![(left, Role::Strong), (since, Role::Quiet)]
    };
    // What finds no room beside the rest stands under it.
    let mut y = at.y;
    for (text, role) in &said {
        if width(text) > usize::from(right(x)) && y + 1 < at.bottom() {
            (x, y) = (at.x, y + 1);
        }
        x = canvas.put(x, y, right(x), text, *role) + 3;
    }
    y - at.y + 1
}

/// Where each VM goes; why one does not.
fn moves(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, host: &HostView, plan: &DrainPlan, top: usize) {
    let rows = usize::from(area.height - 1);
    let top = top.min(plan.moves.len().saturating_sub(rows));
    let shown = || plan.moves.iter().skip(top).take(rows);
    let names = shown().map(|planned| width(&planned.vm)).max().unwrap_or(0).clamp(4, 16) as u16;
    canvas.put(area.x, area.y, area.width, "VM", Role::Head);
    canvas.put(area.x + names + 2, area.y, area.width.saturating_sub(names + 2), "WHERE TO", Role::Head);
    if plan.moves.len() > rows {
        let text = format!("{} to {} of {}: pgdn, pgup", top + 1, top + rows, plan.moves.len());
        canvas.put_right(area.x, area.y, area.width, &text, Role::Faint);
    }
    for (y, planned) in (area.y + 1..area.bottom()).zip(shown()) {
        canvas.put(area.x, y, names, &planned.vm, Role::Text);
        let x = area.x + names + 2;
        let at = Rect::new(x, y, area.right().saturating_sub(x), 1);
        let stays = host.drain.iter().flat_map(|drain| &drain.stuck).find(|stuck| stuck.vm == planned.vm);
        let row = snapshot.moving.iter().find(|row| row.name == planned.vm);
        match (row, stays) {
            (Some(row), _) => migrating(canvas, at, row),
            (None, Some(stuck)) => blocked(canvas, at, &stuck.why),
            (None, None) => one(canvas, at, planned),
        }
    }
}

fn one(canvas: &mut Canvas<'_>, at: Rect, planned: &PlannedMove) {
    let Some(to) = &planned.to else { return blocked(canvas, at, planned.why.as_deref().unwrap_or_default()) };
    let x = canvas.line(at.x, at.y, at.width, &[("> ", Role::Moving), (to, Role::Text)]) + 2;
    if let Some(warning) = planned.warnings.first() {
        let more =
            if planned.warnings.len() > 1 { format!(" (+{})", planned.warnings.len() - 1) } else { String::new() };
        let text = format!("{warning}{more}");
        let pieces = [(canvas.glyphs.verdicts[1], Role::Warning), (" ", Role::Text), (&*text, Role::Quiet)];
        canvas.line(x, at.y, at.right().saturating_sub(x), &pieces);
    }
}

fn blocked(canvas: &mut Canvas<'_>, at: Rect, why: &str) {
    let pieces = [(canvas.glyphs.verdicts[2], Role::Alarm), (" stays: ", Role::Alarm), (why, Role::Text)];
    canvas.line(at.x, at.y, at.width, &pieces);
}

fn takers_names(takers: &[Taker]) -> u16 {
    takers.iter().map(|taker| width(&taker.host)).max().unwrap_or(0).max(4) as u16
}

/// What the hosts that take them have now and would have then.
fn takers(canvas: &mut Canvas<'_>, area: Rect, takers: &[Taker]) {
    let names = takers_names(takers).min(area.width.saturating_sub(TAKERS_REST));
    let x = area.x + names + 2;
    let room = |x: u16| area.right().saturating_sub(x);
    canvas.put(area.x, area.y, area.width, "TAKES", Role::Head);
    canvas.put(x, area.y, room(x), "LOAD NOW > AFTER", Role::Head);
    canvas.put(x + LOADS + 2, area.y, room(x + LOADS + 2), "VMS", Role::Head);
    for (y, taker) in (area.y + 1..area.bottom()).zip(takers) {
        let role = if taker.overloaded { Role::Warning } else { Role::Text };
        canvas.put(area.x, y, names, &taker.host, role);
        load_change(canvas, Rect::new(x, y, LOADS, 1), taker.load, taker.load_after, "?", role);
        let of = taker.capacity.map_or_else(String::new, |capacity| format!("/{capacity}"));
        let vms = format!("{} > {}{of}", taker.vms, taker.vms_after);
        let x = canvas.put(x + LOADS + 2, y, room(x + LOADS + 2), &vms, role) + 1;
        if taker.overloaded {
            canvas.put(x, y, room(x), canvas.glyphs.verdicts[1], Role::Warning);
        }
    }
    let hidden = takers.len().saturating_sub(usize::from(area.height.saturating_sub(1)));
    if hidden > 0 {
        canvas.put_right(area.x, area.y, area.width, &format!("+{hidden}"), Role::Faint);
    }
}
