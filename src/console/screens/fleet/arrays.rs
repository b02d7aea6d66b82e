//! The arrays: every host with its load and VMs, around the selected VM if not all fit; and every migration under way.

use ratatui::layout::Rect;

use crate::console::screens::fleet::cells;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, gauge};
use crate::core::cluster::{HostState, Name};
use crate::core::format::{counted, percent};
use crate::view::{ArrayView, Drain, HostView, Snapshot, VmRow};

/// Draws the panel.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    canvas.rule(area, &[("arrays", Role::Title)], &unusual(snapshot));
    let room = usize::from(area.height - 1);
    let all: usize = snapshot.arrays.iter().map(|array| array.hosts.len()).sum();
    let body = Rect { x: area.x + 1, y: area.y + 1, width: area.width - 1, height: area.height - 1 };
    if all <= room {
        return lines(canvas, body, snapshot, ui, 0);
    }
    // The last line sums up what is not shown; the selected VM's host is in the middle.
    let shown = room.saturating_sub(1);
    let here = place(snapshot).unwrap_or(0);
    let top = here.saturating_sub(shown / 2).min(all - shown);
    lines(canvas, Rect { height: body.height - 1, ..body }, snapshot, ui, top);
    let text = rest(snapshot, top, shown);
    canvas.put(body.x, body.bottom() - 1, body.width, &text, Role::Quiet);
}

/// How many hosts are down, draining or drained: `! 1 not up  2 draining  1 drained`.
fn unusual(snapshot: &Snapshot) -> String {
    let (mut ill, mut draining, mut drained) = (0, 0, 0);
    for host in snapshot.hosts() {
        match &host.drain {
            _ if is_ill(host) => ill += 1,
            Some(drain) if drain.done => drained += 1,
            None if host.state != HostState::Draining => {}
            _ => draining += 1,
        }
    }
    let told = [(ill, "! ", "not up"), (draining, "", "draining"), (drained, "", "drained")];
    let told = told.into_iter().filter(|(n, ..)| *n > 0).map(|(n, mark, word)| format!("{mark}{n} {word}"));
    told.collect::<Vec<_>>().join("  ")
}

const fn is_ill(host: &HostView) -> bool {
    matches!(host.state, HostState::Down | HostState::Unknown)
}

/// The position of the detail's host among all hosts. The selected VM may already be another one; the panel changes together
/// with the graph.
fn place(snapshot: &Snapshot) -> Option<usize> {
    let detail = snapshot.detail.as_ref()?;
    let mut before = 0;
    for array in snapshot.arrays.iter() {
        if array.name == detail.array {
            return Some(before + array.hosts.iter().position(|host| host.name == detail.host)?);
        }
        before += array.hosts.len();
    }
    None
}

/// Sums up the hosts that are not shown.
fn rest(snapshot: &Snapshot, top: usize, shown: usize) -> String {
    let hosts = snapshot.arrays.iter().flat_map(|array| &array.hosts).enumerate();
    let hidden = hosts.filter(|(i, _)| *i < top || *i >= top + shown).map(|(_, host)| host);
    let (mut count, mut ill, mut busiest) = (0, Vec::new(), None::<&HostView>);
    for host in hidden {
        count += 1;
        if is_ill(host) {
            ill.push(&*host.name);
        }
        if host.load > busiest.and_then(|b| b.load) {
            busiest = Some(host);
        }
    }
    let mut text = counted(count, "more host", "more hosts");
    // Hosts that are not up are more important than busy ones.
    if let [first, others @ ..] = &*ill {
        let and = if others.is_empty() { String::new() } else { format!(" and {}", others.len()) };
        text.push_str(&format!(", not up: {first}{and}"));
    } else if let Some((name, load)) = busiest.and_then(|host| Some((&host.name, host.load?))) {
        text.push_str(&format!(", busiest {name} {}", percent(load)));
    }
    text
}

fn lines(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui, top: usize) {
    let widest = |names: &mut dyn Iterator<Item = usize>| names.max().unwrap_or(0) as u16;
    let hosts = || snapshot.arrays.iter().flat_map(|array| array.hosts.iter().map(move |host| (array, host)));
    let visible = || hosts().skip(top).take(usize::from(area.height));
    let array_columns = widest(&mut visible().map(|(array, _)| width(&array.name))).clamp(3, 10);
    let host_columns = widest(&mut visible().map(|(_, host)| width(&host.name))).clamp(4, names_in(area.width));
    let mut last: Option<&ArrayView> = None;
    for (y, (array, host)) in (area.top()..area.bottom()).zip(visible()) {
        if last.is_none_or(|last| last.name != array.name) {
            canvas.put(area.x, y, array_columns, &array.name, if array.home { Role::Strong } else { Role::Quiet });
        }
        last = Some(array);
        let x = area.x + array_columns + 1;
        host_line(canvas, Rect::new(x, y, area.right().saturating_sub(x), 1), host, host_columns, snapshot, ui);
    }
}

/// The most columns of hosts' names: a quarter, because their VMs need the rest.
pub fn names_in(columns: u16) -> u16 {
    (columns / 4).max(14)
}

/// Draws a host: its load, how many VMs it has and takes, its drain, and its VMs.
pub fn host_line(canvas: &mut Canvas<'_>, at: Rect, host: &HostView, host_columns: u16, snapshot: &Snapshot, ui: &Ui) {
    let end = at.right();
    let (word, role) = match host.state {
        HostState::Up => ("", Role::Text),
        HostState::Down => ("! down", Role::Alarm),
        HostState::Draining => ("draining", Role::Warning),
        HostState::Unknown => ("? unknown", Role::Warning),
    };
    canvas.put(at.x, at.y, host_columns, &host.name, role);
    let mut x = at.x + host_columns + 1;
    match host.load {
        _ if matches!(host.state, HostState::Down | HostState::Unknown) => {
            canvas.put(x, at.y, 10.min(end.saturating_sub(x)), word, role);
        }
        Some(load) => {
            let role = if load > 0.9 { Role::Warning } else { Role::Quiet };
            let after = gauge(canvas, x, at.y, 5, load, role);
            canvas.put_right(after, at.y, 5, &percent(load), role);
        }
        None => {
            canvas.put(x, at.y, 10, "not read", Role::Faint);
        }
    }
    x += 12;
    let used = match host.capacity {
        Some(capacity) => format!("{}/{capacity}", host.vms.len()),
        None => host.vms.len().to_string(),
    };
    let full = host.capacity.is_some_and(|capacity| host.vms.len() >= capacity as usize);
    canvas.put_right(x, at.y, 5, &used, if full { Role::Warning } else { Role::Faint });
    x += 6;
    // A host named `base` needs no second word, which would look like a VM's name.
    if host.base && *host.name != *"base" {
        x = canvas.put(x, at.y, end.saturating_sub(x), "(base) ", Role::Faint);
    }
    match &host.drain {
        Some(drain) => x = draining(canvas, x, at.y, end, drain),
        None if host.state == HostState::Draining => {
            x = canvas.put(x, at.y, end.saturating_sub(x), "draining ", Role::Warning);
        }
        None => {}
    }
    vms(canvas, Rect { x, width: end.saturating_sub(x), ..at }, host, snapshot, ui);
}

/// From this many columns on, a host's drain has a gauge.
const GAUGE_FROM: u16 = 32;

fn draining(canvas: &mut Canvas<'_>, x: u16, y: u16, end: u16, drain: &Drain) -> u16 {
    let room = end.saturating_sub(x);
    let (words, role) = drain_words(drain);
    let mut x = canvas.put(x, y, room, &words, role) + 1;
    if !drain.done && room >= GAUGE_FROM {
        x = gauge(canvas, x, y, 5, drain.moved as f32 / drain.of.max(1) as f32, role) + 1;
    }
    x
}

/// How far a host's drain is: `draining 3/8`, `paused 3/8`, `draining 3/8, 1 stays`, `drained`.
pub fn drain_words(drain: &Drain) -> (String, Role) {
    if drain.done {
        return ("drained".to_owned(), Role::Good);
    }
    let word = if drain.paused { "paused" } else { "draining" };
    let stays = match drain.stuck.len() {
        0 => String::new(),
        1 => ", 1 stays".to_owned(),
        n => format!(", {n} stay"),
    };
    (format!("{word} {}/{}{stays}", drain.moved, drain.of), Role::Warning)
}

/// Draws the VMs of a host: first those that leave, with their destination. If not all fit, how many more there are.
fn vms(canvas: &mut Canvas<'_>, at: Rect, host: &HostView, snapshot: &Snapshot, ui: &Ui) {
    let (mut x, y, end) = (at.x, at.y, at.right());
    let migration = |vm: &Name| snapshot.moving.iter().find(|row| row.name == *vm)?.migration.as_ref();
    let all = host.vms.iter().map(|vm| (vm, migration(vm)));
    let (leaving, staying): (Vec<_>, Vec<_>) = all.partition(|(_, migration)| migration.is_some());
    let all = host.vms.len();
    for (i, (vm, migration)) in leaving.into_iter().chain(staying).enumerate() {
        let texts = match migration {
            Some(migration) => {
                let to = format!("{vm} > {}", migration.to);
                vec![format!("{to} {}%", migration.percent), to, format!("{vm} >"), vm.to_string()]
            }
            None => vec![vm.to_string()],
        };
        let more = format!("+{}", all - i);
        let reserve = if i + 1 < all { width(&more) as u16 + 1 } else { 0 };
        let Some(text) = texts.iter().find(|text| x + width(text) as u16 + reserve <= end) else {
            canvas.put(x, y, end.saturating_sub(x), &more, Role::Faint);
            return;
        };
        let role = match () {
            () if ui.selected.as_ref() == Some(vm) => Role::Strong,
            () if migration.is_some() => Role::Moving,
            () => Role::Quiet,
        };
        x = canvas.put(x, y, end.saturating_sub(x), text, role) + 1;
    }
}

/// Columns of a migration's progress, as in the widest table.
const STATE: u16 = 36;

/// How many of these rows it takes, with its title. None if only the selected VM moves.
pub fn moving_rows(snapshot: &Snapshot, ui: &Ui, room: u16) -> u16 {
    let other = snapshot.moving.iter().any(|row| ui.selected.as_ref() != Some(&row.name));
    if other && room >= 8 { (snapshot.moving.len().min(100) as u16 + 1).min(room / 2) } else { 0 }
}

/// Draws the migrations, the oldest request first; those without room are counted.
pub fn draw_moving(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let all = snapshot.moving.len();
    canvas.rule(area, &[("moving", Role::Title)], "");
    let room = usize::from(area.height - 1);
    let shown = if all > room { room.saturating_sub(1) } else { all };
    let widest = |of: fn(&VmRow) -> usize| snapshot.moving.iter().take(shown).map(|row| of(row)).max().unwrap_or(0);
    let names = widest(|row| width(&row.name)).clamp(4, 16) as u16;
    let hosts = widest(|row| width(&row.host)).clamp(4, 14) as u16;
    for (y, row) in (area.y + 1..area.bottom()).zip(snapshot.moving.iter().take(shown)) {
        let name = if ui.selected.as_ref() == Some(&row.name) { Role::Strong } else { Role::Text };
        let (x, end) = (area.x + 1, area.right());
        canvas.put(x, y, names, &row.name, name);
        canvas.put(x + names + 1, y, hosts, &row.host, Role::Quiet);
        let x = x + names + hosts + 2;
        cells::migrating(canvas, Rect::new(x, y, STATE.min(end.saturating_sub(x)), 1), row);
        let x = x + STATE + 2;
        // Too few columns for a readable text.
        if let Some(migration) = row.migration.as_ref().filter(|_| x + 12 <= end) {
            canvas.put(x, y, end - x, &migration.detail, Role::Quiet);
        }
    }
    if shown < all {
        let more = format!("+ {} more", all - shown);
        canvas.put(area.x + 1, area.bottom() - 1, area.width.saturating_sub(1), &more, Role::Quiet);
    }
}
