//! What stands in each column of a VM's line.

use ratatui::layout::Rect;

use super::columns::Column;
use crate::console::text::{Zone, value, width as columns_of};
use crate::console::theme::Role;
use crate::console::widgets::{Bounds, Canvas, count_bar, gauge, spark};
use crate::core::cluster::{Direction, HostState, Span, Timestamp};
use crate::core::engine::{StageKind, VmState};
use crate::core::format::{age, exact, left};
use crate::view::{MigrationView, Outlook, Snapshot, VmRow};

/// Columns of the number in a value's cell; the unit follows.
pub const NUMBER: u16 = 6;

/// A VM's bounds, as its graph and sparkline use them.
pub fn bounds(row: &VmRow) -> Bounds {
    Bounds { high: row.high, low: row.low, direction: row.direction, inclusive: row.policy == "site" }
}

/// Draws one cell.
pub fn draw(pen: &mut Canvas<'_>, column: Column, at: Rect, row: &VmRow, snapshot: &Snapshot, zone: Zone) {
    let (x, y, width) = (at.x, at.y, at.width);
    match column {
        Column::Vm => {
            pen.put(x, y, width, &row.name, if row.alarm { Role::Alarm } else { Role::Text });
        }
        Column::Service => {
            pen.put(x, y, width, &row.service, Role::Quiet);
        }
        Column::Policy => {
            pen.put(x, y, width, row.policy, Role::Quiet);
        }
        Column::Value => read_value(pen, at, row),
        Column::Bounds => {
            pen.put(x, y, width, &bound_words(row, pen.glyphs.at_least), Role::Quiet);
        }
        Column::Trend => spark(pen, x, y, width, &row.spark, bounds(row)),
        Column::Count => count(pen, at, row),
        Column::Low => low_count(pen, at, row),
        Column::Host => {
            // In the gap before it, so that nothing moves when a host goes down.
            let mark = match row.host_state {
                HostState::Down => Some(("!", Role::Alarm)),
                HostState::Unknown => Some(("?", Role::Warning)),
                HostState::Up | HostState::Draining => None,
            };
            let role = mark.map_or(Role::Text, |(_, role)| role);
            if let Some((mark, role)) = mark {
                pen.glyph(x.saturating_sub(1), y, mark, role);
            }
            // Where not both have room the host is the one to know.
            let array = columns_of(&row.array) + 1 + columns_of(&row.host) <= usize::from(width);
            let x = if array { pen.put(x, y, width, &format!("{}/", row.array), Role::Quiet) } else { x };
            pen.put(x, y, at.right().saturating_sub(x), &row.host, role);
        }
        Column::State => state(pen, at, row, snapshot.at, zone),
        Column::Read => last_move(pen, at, row.read_at, snapshot.at),
        Column::Last => last_move(pen, at, row.last_move, snapshot.at),
        Column::Moves => {
            let role = if row.moves_24h > 0 { Role::Text } else { Role::Faint };
            pen.put_right(x, y, width, &row.moves_24h.to_string(), role);
        }
    }
}

fn last_move(pen: &mut Canvas<'_>, at: Rect, then: Option<Timestamp>, now: Timestamp) {
    match then {
        Some(then) => pen.put_right(at.x, at.y, at.width, &age(now.since(then)), Role::Quiet),
        None => pen.put_right(at.x, at.y, at.width, "-", Role::Faint),
    }
}

fn read_value(pen: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    let number_columns = NUMBER.min(at.width);
    let unit = |pen: &mut Canvas<'_>, unit: &str| {
        let x = at.x + number_columns + 1;
        pen.put(x, at.y, at.right().saturating_sub(x), unit, Role::Quiet);
    };
    if let Some(queue) = &row.queue {
        let role = if row.high.is_some_and(|bound| f64::from(queue.big) >= bound) { Role::Beyond } else { Role::Text };
        pen.put_right(at.x, at.y, number_columns, &queue.big.to_string(), role);
        let of = if at.width >= 16 { " of " } else { "/" };
        return unit(pen, &format!("big{of}{}", queue.total));
    }
    let Some(read) = row.value else {
        let (text, role, lead) = match row.gap.as_deref() {
            // A counter's first reading is as it should be.
            Some(gap) if gap.starts_with("baseline") || gap.starts_with("first reading") => {
                ("baseline", Role::Quiet, 1)
            }
            // Nor is a VM read while it moves.
            Some(_) if matches!(row.state, VmState::Migrating | VmState::Settling) => ("no reading", Role::Quiet, 1),
            Some(_) => ("no reading", Role::Warning, 1),
            None => ("-", Role::Faint, number_columns - 1),
        };
        pen.put(at.x + lead, at.y, at.width.saturating_sub(lead), text, role);
        return;
    };
    let role = match read.number() {
        None => Role::Beyond,
        Some(v) if bounds(row).is_beyond(v) => Role::Beyond,
        Some(v) if bounds(row).is_low(v) => Role::Low,
        Some(_) => Role::Text,
    };
    let text = value(read, pen.glyphs.at_least);
    if read.number().is_none() {
        pen.put(at.x + 1, at.y, at.width - 1, &text, role);
        return;
    }
    pen.put_right(at.x, at.y, number_columns, &text, role);
    unit(pen, &row.unit);
}

/// `> 50  < 1`: what would be counted.
fn bound_words(row: &VmRow, at_least: &str) -> String {
    let (worse, better) = match row.direction {
        Direction::HigherIsWorse if row.policy == "site" => (at_least, "<"),
        Direction::HigherIsWorse => (">", "<"),
        Direction::LowerIsWorse => ("<", ">"),
    };
    let word = |sign: &str, bound: Option<f64>| bound.map_or(String::new(), |bound| format!("{sign} {}", exact(bound)));
    format!("{:<6} {}", word(worse, row.high), word(better, row.low))
}

fn count(pen: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    let Some((count, tarry)) = row.count else {
        pen.put(at.x + 4, at.y, 1, "-", Role::Faint);
        return;
    };
    let role = match count {
        0 => Role::Faint,
        n if n >= tarry => Role::Beyond,
        _ => Role::Count,
    };
    count_bar(pen, at.x, at.y, count, tarry, role);
    pen.put_right(at.x + 3, at.y, at.width.saturating_sub(3), &format!("{count}/{tarry}"), role);
}

fn low_count(pen: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    match row.low_count {
        Some((0, tarry)) => pen.put_right(at.x, at.y, at.width, &format!("0/{tarry}"), Role::Faint),
        Some((count, tarry)) => pen.put_right(at.x, at.y, at.width, &format!("{count}/{tarry}"), Role::Low),
        None => pen.put_right(at.x, at.y, at.width, "-", Role::Faint),
    }
}

/// The state in words, the worst with a symbol, so that colour says nothing that is not also written.
fn state(pen: &mut Canvas<'_>, at: Rect, row: &VmRow, now: Timestamp, zone: Zone) {
    let busy = matches!(row.state, VmState::Migrating | VmState::Waiting);
    if row.alarm && busy && at.width > 2 {
        let x = pen.put(at.x, at.y, 2, "! ", Role::Alarm);
        let rest = Rect { x, width: at.width - 2, ..at };
        return if row.state == VmState::Migrating { migrating(pen, rest, row) } else { waiting(pen, rest, row, now) };
    }
    if row.alarm {
        let word = row.state.word().to_uppercase();
        // The state and the note often say the same word.
        let note = row.note.strip_prefix(row.state.word()).unwrap_or(&row.note).trim_start();
        let text = match (row.state, note) {
            _ if row.trouble.is_some() => format!("! {}", row.trouble.as_deref().unwrap_or_default()),
            (VmState::Flapping, "") => "! FLAPPING held".to_owned(),
            (_, "") => format!("! {word}"),
            // What happened to it says that it is held; who holds it does not.
            (VmState::Held, note) if !note.starts_with("by ") => format!("! {note}"),
            (_, note) => format!("! {word} {note}"),
        };
        pen.put(at.x, at.y, at.width, &text, Role::Alarm);
        return;
    }
    if row.host_state == HostState::Down && !busy {
        let also = if row.state == VmState::Watching { "" } else { row.state.word() };
        return words(pen, at, "! host down", also, Role::Alarm);
    }
    let ends = row.until.map(|until| until.since(now));
    match row.state {
        VmState::Migrating => migrating(pen, at, row),
        VmState::Waiting => waiting(pen, at, row, now),
        VmState::Watching if row.queue.is_some() => working(pen, at, row),
        VmState::Watching => words(pen, at, "watching", &row.note, Role::Quiet),
        VmState::Settling => words(pen, at, "settling", &left_or(ends, &row.note), Role::Moving),
        VmState::Held => words(pen, at, "held", &joined(ends, &row.note), Role::Warning),
        VmState::Flapping => words(pen, at, "! flapping", &row.note, Role::Alarm),
        VmState::Stale => words(pen, at, "stale", &row.note, Role::Warning),
        VmState::Resting if row.note.is_empty() => {
            let wakes = row.until.map(|until| format!("> {}", zone.read(until).format("%a %H:%M")));
            words(pen, at, "resting", wakes.as_deref().unwrap_or(""), Role::Resting);
        }
        VmState::Resting => words(pen, at, "resting", &row.note, Role::Resting),
    }
}

fn left_or(span: Option<Span>, note: &str) -> String {
    span.map_or_else(|| note.to_owned(), left)
}

fn joined(span: Option<Span>, note: &str) -> String {
    match span {
        Some(span) => format!("{} {note}", left(span)),
        None => note.to_owned(),
    }
}

fn words(pen: &mut Canvas<'_>, at: Rect, word: &str, note: &str, role: Role) {
    let x = pen.put(at.x, at.y, at.width, word, role);
    if !note.is_empty() {
        let x = x + 1;
        pen.put(x, at.y, at.right().saturating_sub(x), note, if role == Role::Quiet { Role::Quiet } else { role });
    }
}

/// How far a VM's migration is.
pub fn migrating(pen: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    let Some(migration) = &row.migration else { return words(pen, at, "migrating", &row.note, Role::Moving) };
    let to = &*migration.to;
    let said = |pen: &mut Canvas<'_>, mark: &str, word: &str, role| {
        let room = at.width.saturating_sub((columns_of(mark) + columns_of(word) + 1) as u16);
        let x = pen.put(at.x, at.y, at.width, mark, role);
        let x = pen.put(x, at.y, room, to, role) + 1;
        pen.put(x, at.y, at.right().saturating_sub(x), word, role);
    };
    match migration.stage {
        StageKind::Preflight => said(pen, "> ", "checking", Role::Moving),
        StageKind::Journal => said(pen, "> ", "begins", Role::Moving),
        StageKind::Running => progress(pen, at, migration),
        StageKind::Confirming => said(pen, "> ", "confirming", Role::Moving),
        StageKind::Unknown => said(pen, "? > ", "unknown", Role::Alarm),
    }
}

fn progress(pen: &mut Canvas<'_>, at: Rect, migration: &MigrationView) {
    let percent = format!(" {}%", migration.percent);
    // The word of an abort is worth more than the bar.
    let fits = columns_of(&migration.to) + 2 + 6 + " 100%".len() <= usize::from(at.width);
    let bar = if fits && !migration.aborting { 6 } else { 0 };
    let name_room = at.width.saturating_sub(percent.len() as u16 + bar + 2);
    let x = pen.put(at.x, at.y, 2, "> ", Role::Moving);
    let mut x = pen.put(x, at.y, name_room, &migration.to, Role::Moving);
    if bar > 0 {
        x = gauge(pen, x + 1, at.y, 5, f32::from(migration.percent) / 100.0, Role::Moving);
    }
    x = pen.put(x, at.y, at.right().saturating_sub(x), &percent, Role::Moving);
    let room = usize::from(at.right().saturating_sub(x));
    let (said, role) = outlook_words(migration);
    if let Some(words) = said.iter().find(|words| columns_of(words) < room) {
        pen.put(x + 1, at.y, room as u16 - 1, words, role);
    }
}

/// What is to be expected of it, in as many words as there is room for.
fn outlook_words(migration: &MigrationView) -> (Vec<String>, Role) {
    if migration.aborting {
        return (vec!["abort asked".to_owned(), "abort".to_owned()], Role::Warning);
    }
    match migration.outlook() {
        Outlook::Untold => (Vec::new(), Role::Moving),
        Outlook::Left(span) => (vec![format!("{} left", left(span)), left(span)], Role::Moving),
        Outlook::Never { .. } => (vec!["does not converge".to_owned(), "no end".to_owned()], Role::Warning),
    }
}

fn waiting(pen: &mut Canvas<'_>, at: Rect, row: &VmRow, now: Timestamp) {
    let text = match &row.waiting {
        Some(waits) => format!("? > {}  {} left", waits.to, left(waits.lapses.since(now))),
        None => "? waiting".to_owned(),
    };
    pen.put(at.x, at.y, at.width, &text, Role::Waiting);
}

fn working(pen: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    let Some(queue) = &row.queue else { return };
    let x = pen.put(at.x, at.y, at.width, &format!("working {}/{}", queue.done, queue.total), Role::Text);
    if queue.away {
        pen.put(x, at.y, at.right().saturating_sub(x), " away", Role::Moving);
    }
}
