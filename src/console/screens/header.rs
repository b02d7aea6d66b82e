//! The lines at the top: what there is, how far the engine may go, what it does, and what is wrong.

use ratatui::layout::Rect;

use crate::console::text::{cut, width, wrap};
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::cluster::Mode;
use crate::core::format::{age, counted, number};
use crate::view::{Clock, Snapshot};

/// A piece of the header; the least important goes first when there is no room.
struct Piece {
    text: String,
    role: Role,
    /// Higher stays longer.
    worth: u8,
}

fn piece(worth: u8, role: Role, text: impl Into<String>) -> Piece {
    Piece { text: text.into(), role, worth }
}

fn mode(mode: Mode) -> (&'static str, Role) {
    match mode {
        Mode::Observe => ("OBSERVE", Role::Observe),
        Mode::Ask => ("ASK", Role::Ask),
        Mode::Auto => ("AUTO", Role::Auto),
    }
}

/// What a host that is being emptied is worth: less than what moves.
const DRAINING: u8 = 7;

fn left(snapshot: &Snapshot) -> Vec<Piece> {
    let totals = &snapshot.totals;
    let (word, role) = mode(snapshot.mode);
    let mut pieces = vec![
        piece(2, Role::Brand, "whimbrel"),
        piece(6, Role::Strong, &*snapshot.cluster),
        piece(5, Role::Quiet, counted(totals.vms, "VM", "VMs")),
        piece(4, Role::Quiet, counted(totals.hosts, "host", "hosts")),
        piece(1, Role::Quiet, counted(totals.arrays, "array", "arrays")),
        piece(12, role, word),
        piece(3, Role::Text, counted(totals.moves_last_hour, "move/h", "moves/h")),
    ];
    if totals.moving > 0 {
        pieces.push(piece(9, Role::Moving, format!("{} moving", totals.moving)));
    }
    if totals.draining > 0 {
        pieces.push(piece(DRAINING, Role::Warning, format!("{} draining", totals.draining)));
    }
    if totals.waiting > 0 {
        pieces.push(piece(10, Role::Waiting, format!("? {} waiting", totals.waiting)));
    }
    let alarms = snapshot.alarms.len();
    if alarms > 0 {
        pieces.push(piece(11, Role::Alarm, format!("! {}", counted(alarms, "alarm", "alarms"))));
    }
    pieces
}

fn right(snapshot: &Snapshot, ui: &Ui) -> Vec<Piece> {
    let mut pieces = Vec::new();
    if ui.frozen {
        pieces.push(piece(13, Role::Frozen, " FROZEN "));
    }
    if ui.engine_gone {
        pieces.push(piece(14, Role::Frozen, " engine stopped "));
    } else if let Some(quiet) = ui.quiet {
        pieces.push(piece(14, Role::Frozen, format!(" stale data {} ", age(quiet))));
    }
    if let Clock::Simulated { speed } = snapshot.clock {
        pieces.push(piece(7, Role::Quiet, format!("{}x", number(speed))));
    }
    let now = ui.zone.read(snapshot.at);
    pieces.push(piece(0, Role::Quiet, now.format("%a %-d %b").to_string()));
    pieces.push(piece(8, Role::Text, now.format("%H:%M:%S").to_string()));
    pieces
}

/// Columns kept for `2 moving  ! 1 alarm` and a gap.
const COMING: usize = 25;

/// Draws the first line.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let (mut left, mut right) = (left(snapshot), right(snapshot, ui));
    let size = |pieces: &[Piece], gap: usize| pieces.iter().map(|p| width(&p.text) + gap).sum::<usize>();
    let room = usize::from(area.width);
    // With room to spare, what there is stands apart from what happens. What comes and goes has no say in it.
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
        x = pen.put(x, area.y, area.right().saturating_sub(x), &piece.text, piece.role) + 2;
    }
    let mut x = area.right().saturating_sub(size(&right, 2) as u16);
    for piece in &right {
        x = pen.put(x, area.y, area.right().saturating_sub(x), &piece.text, piece.role) + 2;
    }
}

fn banner_lines(banner: &str, columns: u16, mark: &str) -> Vec<String> {
    wrap(&format!("{banner} (esc dismisses this)"), usize::from(columns.saturating_sub(2)), 3, mark)
}

/// How many rows a banner takes.
pub fn banner_rows(banner: &str, columns: u16) -> u16 {
    banner_lines(banner, columns, "").len() as u16
}

/// Draws what is said until it is dismissed.
pub fn banner(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let Some(banner) = ui.banner(snapshot) else { return };
    let lines = banner_lines(banner, area.width, pen.glyphs.cut);
    for (y, line) in (area.top()..area.bottom()).zip(&lines) {
        pen.put(area.x + 1, y, area.width.saturating_sub(2), line, Role::Banner);
    }
}

/// Rows that an alarm may take where there is room: what to do comes last in it.
const ALARM_ROWS: usize = 3;
/// The age with its widest number, so that a second more does not change the rows.
const AGE: usize = 4;

/// The newest alarm in its own words, and what stands at its end.
fn newest_alarm(snapshot: &Snapshot) -> Option<(String, String)> {
    let alarm = snapshot.alarms.last()?;
    // Most alarms name their VM themselves.
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
pub fn alarm_rows(snapshot: &Snapshot, columns: u16) -> u16 {
    newest_alarm(snapshot)
        .map_or(0, |(text, tail)| alarm_lines(&text, width(&tail), columns, ALARM_ROWS, "").len() as u16)
}

/// Draws the newest alarm.
pub fn alarm(pen: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot) {
    let Some((text, tail)) = newest_alarm(snapshot).filter(|_| area.height > 0) else { return };
    let lines = alarm_lines(&text, width(&tail), area.width, usize::from(area.height), pen.glyphs.cut);
    pen.over(area, Role::AlarmLine);
    pen.put(area.x, area.y, 3, " ! ", Role::AlarmLine);
    for (y, line) in (area.top()..area.bottom()).zip(&lines) {
        pen.put(area.x + 3, y, area.width.saturating_sub(3), line, Role::AlarmLine);
    }
    let last = lines.last().map_or(0, |line| width(line));
    if 3 + last + width(&tail) <= usize::from(area.width) {
        pen.put_right(area.x, area.bottom() - 1, area.width, &tail, Role::AlarmLine);
    }
}
