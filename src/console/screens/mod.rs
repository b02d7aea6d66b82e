//! The screens, and what every one of them has: the lines at its top, and its last line.
//!
//! | file | its story |
//! | --- | --- |
//! | `mod` | header, banner, alarm; the footer |
//! | `fleet` | every VM, the selected one's graph, the arrays, the log |
//! | `vm` | one VM and its past |
//! | `queue` | a VM's job queue |
//! | `activity` | what was done, how long it took, what it cost |
//! | `migration` | a migration under way, on `fleet` and `vm` |

pub mod activity;
pub mod fleet;
mod migration;
pub mod queue;
pub mod vm;

use ratatui::layout::Rect;

use crate::console::text::{cut, width, wrap};
use crate::console::theme::Role;
use crate::console::ui::{Tone, Ui};
use crate::console::widgets::{Canvas, take_rows};
use crate::console::{MINIMUM, keymap};
use crate::core::cluster::Mode;
use crate::core::format::{age, counted, number};
use crate::view::{Level, LogLine, Snapshot};

/// The lines at the top of every screen: header, banner, alarm.
fn top(rest: &mut Rect, ui: &Ui, snapshot: &Snapshot) -> [Rect; 3] {
    let area = *rest;
    let header = take_rows(rest, 1);
    let banner_rows = ui.banner(snapshot).map_or(0, |banner| banner_rows(banner, area.width));
    // On a low terminal, banner and alarm have one row each.
    let most = if area.height >= 16 { u16::MAX } else { 1 };
    let banner = take_rows(rest, banner_rows.min(most));
    [header, banner, take_rows(rest, alarm_rows(snapshot, area.width).min(most))]
}

/// Draws them.
fn draw_top(canvas: &mut Canvas<'_>, [at, banner, alarm]: [Rect; 3], snapshot: &Snapshot, ui: &Ui) {
    draw_header(canvas, at, snapshot, ui);
    draw_banner(canvas, banner, snapshot, ui);
    draw_alarm(canvas, alarm, snapshot);
}

/// Draws that the terminal is too small; quitting still works.
pub fn too_small(canvas: &mut Canvas<'_>, area: Rect) {
    let size = format!("too small: {}x{}, needs {}x{}", area.width, area.height, MINIMUM.0, MINIMUM.1);
    canvas.put(area.x, area.y, area.width, &size, Role::Strong);
    canvas.line(area.x, area.y + 1, area.width, &[("q", Role::Key), (" quit", Role::Quiet)]);
}

/// The mark of a log line and how it looks.
const fn level_look(level: Level) -> (&'static str, Role) {
    match level {
        Level::Info => (" ", Role::Text),
        Level::Good => (" ", Role::Good),
        Level::Warning => ("~", Role::Warning),
        Level::Alarm => ("!", Role::Alarm),
    }
}

/// The text of a log line without the mark that is drawn before it: some alarms begin with one.
fn unmarked(line: &LogLine) -> &str {
    line.text.strip_prefix("! ").unwrap_or(&line.text)
}

/// A part of the header. Without room the part with the lowest worth is left out first.
struct HeaderItem {
    text: String,
    role: Role,
    /// A higher worth stays longer.
    worth: u8,
}

fn item(worth: u8, role: Role, text: impl Into<String>) -> HeaderItem {
    HeaderItem { text: text.into(), role, worth }
}

fn mode(mode: Mode) -> (&'static str, Role) {
    match mode {
        Mode::Observe => ("OBSERVE", Role::Observe),
        Mode::Ask => ("ASK", Role::Ask),
        Mode::Auto => ("AUTO", Role::Auto),
    }
}

/// The worth of the number of draining hosts: less than that of moving VMs.
const DRAINING: u8 = 7;

fn left(snapshot: &Snapshot) -> Vec<HeaderItem> {
    let (word, role) = mode(snapshot.mode);
    let mut pieces = vec![
        item(2, Role::Brand, "whimbrel"),
        item(6, Role::Strong, &*snapshot.cluster),
        item(5, Role::Quiet, counted(snapshot.rows.len(), "VM", "VMs")),
        item(4, Role::Quiet, counted(snapshot.hosts().count(), "host", "hosts")),
        item(1, Role::Quiet, counted(snapshot.arrays.len(), "array", "arrays")),
        item(12, role, word),
        item(3, Role::Text, counted(snapshot.moves_last_hour, "move/h", "moves/h")),
    ];
    if !snapshot.moving.is_empty() {
        pieces.push(item(9, Role::Moving, format!("{} moving", snapshot.moving.len())));
    }
    if snapshot.draining > 0 {
        pieces.push(item(DRAINING, Role::Warning, format!("{} draining", snapshot.draining)));
    }
    if snapshot.waiting > 0 {
        pieces.push(item(10, Role::Waiting, format!("? {} waiting", snapshot.waiting)));
    }
    let alarms = snapshot.alarms.len();
    if alarms > 0 {
        pieces.push(item(11, Role::Alarm, format!("! {}", counted(alarms, "alarm", "alarms"))));
    }
    pieces
}

fn right(snapshot: &Snapshot, ui: &Ui) -> Vec<HeaderItem> {
    let mut pieces = Vec::new();
    if ui.frozen {
        pieces.push(item(13, Role::Frozen, " FROZEN "));
    }
    if ui.engine_gone {
        pieces.push(item(14, Role::Frozen, " engine stopped "));
    } else if let Some(quiet) = ui.quiet {
        pieces.push(item(14, Role::Frozen, format!(" stale data {} ", age(quiet))));
    }
    if let Some(speed) = snapshot.speed {
        pieces.push(item(7, Role::Quiet, format!("{}x", number(speed))));
    }
    let now = ui.zone.read(snapshot.at);
    pieces.push(item(0, Role::Quiet, now.format("%a %-d %b").to_string()));
    pieces.push(item(8, Role::Text, now.format("%H:%M:%S").to_string()));
    pieces
}

/// Columns kept free for `2 moving  ! 1 alarm` and a gap.
const COMING: usize = 25;

/// Draws the first line.
fn draw_header(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let (mut left, mut right) = (left(snapshot), right(snapshot, ui));
    let size = |pieces: &[HeaderItem], gap: usize| pieces.iter().map(|p| width(&p.text) + gap).sum::<usize>();
    let room = usize::from(area.width);
    // With enough room, a wide gap separates the mode from what is before it. Parts that come and go do not count, so that the
    // gap stays.
    let lasting: usize =
        left.iter().filter(|p| !matches!(p.worth, DRAINING | 9..=11)).map(|p| width(&p.text) + 2).sum();
    let loose = if lasting + size(&right, 2) + COMING <= room { 3 } else { 0 };
    while 1 + loose + size(&left, 2) + size(&right, 2) > room && left.len() + right.len() > 1 {
        let least = left.iter().chain(&right).map(|p| p.worth).min().unwrap_or(0);
        left.retain(|p| p.worth != least);
        right.retain(|p| p.worth != least);
    }
    let mut x = area.x + 1;
    for piece in &left {
        if piece.worth == 12 {
            x += loose as u16;
        }
        x = canvas.put(x, area.y, area.right().saturating_sub(x), &piece.text, piece.role) + 2;
    }
    let mut x = area.right().saturating_sub(size(&right, 2) as u16);
    for piece in &right {
        x = canvas.put(x, area.y, area.right().saturating_sub(x), &piece.text, piece.role) + 2;
    }
}

fn banner_lines(banner: &str, columns: u16, mark: &str) -> Vec<String> {
    wrap(&format!("{banner} (esc dismisses this)"), usize::from(columns.saturating_sub(2)), 3, mark)
}

/// How many rows a banner takes.
fn banner_rows(banner: &str, columns: u16) -> u16 {
    banner_lines(banner, columns, "").len() as u16
}

/// Draws the banner, until it is dismissed.
fn draw_banner(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let Some(banner) = ui.banner(snapshot) else { return };
    let lines = banner_lines(banner, area.width, canvas.glyphs.cut);
    for (y, line) in (area.top()..area.bottom()).zip(&lines) {
        canvas.put(area.x + 1, y, area.width.saturating_sub(2), line, Role::Banner);
    }
}

/// The most rows of an alarm: its last words say what to do.
const ALARM_ROWS: usize = 3;
/// Columns of the age, so that a longer age does not change the rows.
const AGE: usize = 4;

/// The newest alarm's text, and what follows at the end of its line.
fn newest_alarm(snapshot: &Snapshot) -> Option<(String, String)> {
    let alarm = snapshot.alarms.last()?;
    // Most alarms begin with the VM's name.
    let unnamed = alarm.vm.as_ref().filter(|vm| !alarm.text.starts_with(&***vm));
    let who = unnamed.map_or(String::new(), |vm| format!("{vm}: "));
    let age = age(snapshot.at.since(alarm.at));
    let more = match snapshot.alarms.len() - 1 {
        0 => String::new(),
        n => format!("  + {n} more"),
    };
    Some((format!("{who}{}", alarm.text), format!("  {age:>AGE$} ago{more}  A acknowledges ")))
}

fn alarm_lines(text: &str, tail: usize, columns: u16, rows: usize, mark: &str) -> Vec<String> {
    let room = usize::from(columns.saturating_sub(3));
    let short = room.saturating_sub(tail);
    let mut lines = wrap(text, room, rows, mark);
    match lines.last() {
        Some(last) if width(last) > short && lines.len() < rows => lines.push(String::new()),
        Some(last) if width(last) > short && short >= 24 => {
            let last = cut(last, short, mark).into_owned();
            lines.pop();
            lines.push(last);
        }
        _ => {}
    }
    lines
}

/// How many rows the newest alarm takes.
fn alarm_rows(snapshot: &Snapshot, columns: u16) -> u16 {
    newest_alarm(snapshot)
        .map_or(0, |(text, tail)| alarm_lines(&text, width(&tail), columns, ALARM_ROWS, "").len() as u16)
}

/// Draws the newest alarm.
fn draw_alarm(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot) {
    let Some((text, tail)) = newest_alarm(snapshot).filter(|_| area.height > 0) else { return };
    let lines = alarm_lines(&text, width(&tail), area.width, usize::from(area.height), canvas.glyphs.cut);
    canvas.over(area, Role::AlarmLine);
    canvas.put(area.x, area.y, 3, " ! ", Role::AlarmLine);
    for (y, line) in (area.top()..area.bottom()).zip(&lines) {
        canvas.put(area.x + 3, y, area.width.saturating_sub(3), line, Role::AlarmLine);
    }
    let last = lines.last().map_or(0, |line| width(line));
    if 3 + last + width(&tail) <= usize::from(area.width) {
        canvas.put_right(area.x, area.bottom() - 1, area.width, &tail, Role::AlarmLine);
    }
}

/// Draws the last line: the notice, then as many keys as fit.
pub fn draw_footer(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let (y, end) = (area.y, area.right());
    let mut x = area.x + 1;
    if let Some(notice) = &ui.notice {
        let (mark, role) = match notice.tone {
            Tone::Asked => ("", Role::Waiting),
            Tone::Good => ("", Role::Good),
            Tone::Bad => ("! ", Role::Warning),
        };
        x = canvas.line(x, y, end.saturating_sub(x), &[(mark, role), (&notice.text, role)]) + 3;
    }
    // Quit and help are always shown.
    let all: Vec<_> = keymap::available(ui, snapshot).collect();
    let size = |b: &&keymap::Binding| width(b.shown) + width(b.short) + 4;
    let is_kept = |b: &&keymap::Binding| matches!(b.shown, "?" | "q" | "esc");
    let mut room = usize::from(end.saturating_sub(x))
        .saturating_sub(all.iter().copied().filter(|b| is_kept(b)).map(|b| size(&b)).sum());
    for binding in all {
        if !is_kept(&binding) {
            if size(&binding) > room {
                room = 0;
                continue;
            }
            room -= size(&binding);
        }
        if x + (width(binding.shown) + width(binding.short) + 1) as u16 > end {
            return;
        }
        let x_key = canvas.put(x, y, end - x, binding.shown, Role::Key);
        x = canvas.put(x_key + 1, y, end.saturating_sub(x_key + 1), binding.short, Role::Quiet) + 3;
    }
}
