//! The columns of the table: their widths, which ones fit, and what is in their cells.

use ratatui::layout::Rect;

use crate::console::listing::{Listing, SortBy};
use crate::console::text::width as columns_of;
use crate::console::text::{Zone, value};
use crate::console::theme::Role;
use crate::console::widgets::{Canvas, count_bar, gauge, spark};
use crate::core::cluster::{Direction, HostState, Span, Timestamp};
use crate::core::engine::{HoldCause, StageKind, VmState};
use crate::core::format::{age, exact, left};
use crate::core::policy::PolicyKind;
use crate::view::{MigrationView, Outlook, Snapshot, VmRow};

/// A column of the table, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The VM's name.
    Vm,
    /// Its service.
    Service,
    /// Its policy.
    Policy,
    /// Its value with its unit.
    Value,
    /// Its bounds.
    Bounds,
    /// Its newest values.
    Trend,
    /// Its count.
    Count,
    /// Its low count.
    Low,
    /// Its array and host.
    Host,
    /// Its state.
    State,
    /// How long ago it was read.
    Read,
    /// How long ago it moved.
    Last,
    /// How often it moved.
    Moves,
}

use Column as C;

/// The columns by importance.
const WANTED: [Column; 13] = [
    C::Vm,
    C::Value,
    C::State,
    C::Count,
    C::Host,
    C::Low,
    C::Last,
    C::Trend,
    C::Service,
    C::Policy,
    C::Moves,
    C::Bounds,
    C::Read,
];

const GAP: u16 = 2;
/// Before the first column.
const MARGIN: u16 = 1;

impl Column {
    /// Its head.
    pub const fn head(self) -> &'static str {
        match self {
            C::Vm => "VM",
            C::Service => "SERVICE",
            C::Policy => "POLICY",
            C::Value => "VALUE",
            C::Bounds => "BOUNDS",
            C::Trend => "TREND",
            C::Count => "COUNT",
            C::Low => "LOW",
            C::Host => "HOST",
            C::State => "STATE",
            C::Read => "READ",
            C::Last => "LAST",
            C::Moves => "24H",
        }
    }

    /// Whether it is aligned to the right, as numbers and ages are.
    pub const fn is_right(self) -> bool {
        matches!(self, C::Low | C::Read | C::Last | C::Moves)
    }

    /// Whether the table is sorted by it.
    pub const fn is_sorted(self, by: SortBy) -> bool {
        matches!(
            (self, by),
            (C::Vm, SortBy::Name)
                | (C::Service, SortBy::Service)
                | (C::Policy, SortBy::Policy)
                | (C::Value, SortBy::Value)
                | (C::Count, SortBy::Count)
                | (C::Low, SortBy::Low)
                | (C::Host, SortBy::Host)
                | (C::State, SortBy::Worst)
                | (C::Last, SortBy::LastMove)
                | (C::Moves, SortBy::Moves)
        )
    }

    /// Its least and its most width.
    fn bounds(self, listing: &Listing) -> (u16, u16) {
        let fit = |wanted: usize, least: u16, most: u16| (wanted.min(usize::from(u16::MAX)) as u16).clamp(least, most);
        match self {
            C::Vm => (fit(listing.name_width, 4, 16), fit(listing.name_width, 4, 24)),
            C::Service => (7, 10),
            C::Policy => (9, 9),
            C::Value => (13, 16),
            C::Bounds => (13, 13),
            C::Trend => (10, 40),
            C::Count => (8, 8),
            C::Low => (5, 5),
            C::Host => (fit(listing.host_width, 6, 10), fit(listing.host_width, 6, 24)),
            C::State => (19, 36),
            C::Read | C::Last => (4, 4),
            C::Moves => (3, 3),
        }
    }
}

/// The columns that fit, each with its position and width.
pub fn plan(columns: u16, listing: &Listing) -> Vec<(Column, u16, u16)> {
    let room = columns.saturating_sub(MARGIN + 1);
    let mut taken: Vec<(Column, u16, u16)> = Vec::new();
    let mut used = 0;
    for column in WANTED {
        let (least, most) = column.bounds(listing);
        if used + least > room {
            break;
        }
        used += least + GAP;
        taken.push((column, least, most));
    }
    let mut spare = room.saturating_sub(used.saturating_sub(GAP));
    // Spare room goes to hosts, values and names, then to states, and at last to the trend.
    let wishes = [
        (C::Host, 16),
        (C::State, 20),
        (C::Value, 16),
        (C::Vm, 24),
        (C::Service, 9),
        (C::State, 24),
        (C::Host, 24),
        (C::Trend, 24),
        (C::State, 36),
        (C::Trend, 40),
    ];
    for (first, wish) in wishes {
        if let Some((_, width, most)) = taken.iter_mut().find(|(column, ..)| *column == first) {
            let more = spare.min(wish.min(*most).saturating_sub(*width));
            *width += more;
            spare -= more;
        }
    }
    taken.sort_unstable_by_key(|(column, ..)| *column);
    let mut x = MARGIN;
    let place = |(column, width, _): (Column, u16, u16)| {
        let at = x;
        x += width + GAP;
        (column, at, width)
    };
    taken.into_iter().map(place).collect()
}

/// Columns of the number in a value's cell; the unit follows.
pub const NUMBER: u16 = 6;

/// Draws one cell.
pub fn draw(canvas: &mut Canvas<'_>, column: Column, at: Rect, row: &VmRow, snapshot: &Snapshot, zone: Zone) {
    let (x, y, width) = (at.x, at.y, at.width);
    match column {
        Column::Vm => {
            canvas.put(x, y, width, &row.name, if row.alarm { Role::Alarm } else { Role::Text });
        }
        Column::Service => {
            canvas.put(x, y, width, &row.service, Role::Quiet);
        }
        Column::Policy => {
            canvas.put(x, y, width, row.policy.word(), Role::Quiet);
        }
        Column::Value => read_value(canvas, at, row),
        Column::Bounds => {
            canvas.put(x, y, width, &bound_words(row, canvas.glyphs.at_least), Role::Quiet);
        }
        Column::Trend => spark(canvas, x, y, width, &row.spark, row.bounds),
        Column::Count => count(canvas, at, row),
        Column::Low => low_count(canvas, at, row),
        Column::Host => {
            // In the gap before the cell, so that nothing shifts when a host goes down.
            let mark = match row.host_state {
                HostState::Down => Some(("!", Role::Alarm)),
                HostState::Unknown => Some(("?", Role::Warning)),
                HostState::Up | HostState::Draining => None,
            };
            let role = mark.map_or(Role::Text, |(_, role)| role);
            if let Some((mark, role)) = mark {
                canvas.glyph(x.saturating_sub(1), y, mark, role);
            }
            // Without room for both, the host is more important.
            let array = columns_of(&row.array) + 1 + columns_of(&row.host) <= usize::from(width);
            let x = if array { canvas.put(x, y, width, &format!("{}/", row.array), Role::Quiet) } else { x };
            canvas.put(x, y, at.right().saturating_sub(x), &row.host, role);
        }
        Column::State => state(canvas, at, row, snapshot.at, zone),
        Column::Read => last_move(canvas, at, row.read_at, snapshot.at),
        Column::Last => last_move(canvas, at, row.last_move, snapshot.at),
        Column::Moves => {
            let role = if row.moves_24h > 0 { Role::Text } else { Role::Faint };
            canvas.put_right(x, y, width, &row.moves_24h.to_string(), role);
        }
    }
}

fn last_move(canvas: &mut Canvas<'_>, at: Rect, then: Option<Timestamp>, now: Timestamp) {
    match then {
        Some(then) => canvas.put_right(at.x, at.y, at.width, &age(now.since(then)), Role::Quiet),
        None => canvas.put_right(at.x, at.y, at.width, "-", Role::Faint),
    }
}

fn read_value(canvas: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    let number_columns = NUMBER.min(at.width);
    let unit = |canvas: &mut Canvas<'_>, unit: &str| {
        let x = at.x + number_columns + 1;
        canvas.put(x, at.y, at.right().saturating_sub(x), unit, Role::Quiet);
    };
    if let Some(queue) = row.claim() {
        let role = if row.bounds.is_beyond(f64::from(queue.big)) { Role::Beyond } else { Role::Text };
        canvas.put_right(at.x, at.y, number_columns, &queue.big.to_string(), role);
        let of = if at.width >= 16 { " of " } else { "/" };
        return unit(canvas, &format!("big{of}{}", queue.total()));
    }
    let Some(read) = row.value else {
        let (text, role, lead) = match row.gap {
            Some(_) if row.baseline => ("baseline", Role::Quiet, 1),
            // Not a problem: a VM is not read while it moves.
            Some(_) if matches!(row.state, VmState::Migrating | VmState::Settling) => ("no reading", Role::Quiet, 1),
            Some(_) => ("no reading", Role::Warning, 1),
            None => ("-", Role::Faint, number_columns - 1),
        };
        canvas.put(at.x + lead, at.y, at.width.saturating_sub(lead), text, role);
        return;
    };
    let role = match read.number() {
        None => Role::Beyond,
        Some(v) if row.bounds.is_beyond(v) => Role::Beyond,
        Some(v) if row.bounds.is_low(v) => Role::Low,
        Some(_) => Role::Text,
    };
    let text = value(read, canvas.glyphs.at_least);
    if read.number().is_none() {
        canvas.put(at.x + 1, at.y, at.width - 1, &text, role);
        return;
    }
    canvas.put_right(at.x, at.y, number_columns, &text, role);
    unit(canvas, &row.unit);
}

/// The signs before the threshold and before the low threshold.
pub const fn signs(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::HigherIsWorse => (">", "<"),
        Direction::LowerIsWorse => ("<", ">"),
    }
}

/// `> 50  < 1`: the values that are counted.
fn bound_words(row: &VmRow, at_least: &str) -> String {
    let (worse, better) = signs(row.bounds.direction);
    let worse = if row.policy == PolicyKind::Site { at_least } else { worse };
    let word = |sign: &str, bound: Option<f64>| bound.map_or(String::new(), |bound| format!("{sign} {}", exact(bound)));
    format!("{:<6} {}", word(worse, row.bounds.high), word(better, row.bounds.low))
}

fn count(canvas: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    let Some((count, tarry)) = row.count else {
        canvas.put(at.x + 4, at.y, 1, "-", Role::Faint);
        return;
    };
    let role = match count {
        0 => Role::Faint,
        n if n >= tarry => Role::Beyond,
        _ => Role::Count,
    };
    count_bar(canvas, at.x, at.y, count, tarry, role);
    canvas.put_right(at.x + 3, at.y, at.width.saturating_sub(3), &format!("{count}/{tarry}"), role);
}

fn low_count(canvas: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    match row.low_count {
        Some((0, tarry)) => canvas.put_right(at.x, at.y, at.width, &format!("0/{tarry}"), Role::Faint),
        Some((count, tarry)) => canvas.put_right(at.x, at.y, at.width, &format!("{count}/{tarry}"), Role::Low),
        None => canvas.put_right(at.x, at.y, at.width, "-", Role::Faint),
    }
}

/// Draws the state in words, the worst with a symbol: colour alone must not carry meaning.
fn state(canvas: &mut Canvas<'_>, at: Rect, row: &VmRow, now: Timestamp, zone: Zone) {
    let busy = matches!(row.state, VmState::Migrating | VmState::Waiting);
    if row.alarm && busy && at.width > 2 {
        let x = canvas.put(at.x, at.y, 2, "! ", Role::Alarm);
        let rest = Rect { x, width: at.width - 2, ..at };
        return if row.state == VmState::Migrating {
            migrating(canvas, rest, row);
        } else {
            waiting(canvas, rest, row, now);
        };
    }
    if row.alarm {
        let word = row.state.word().to_uppercase();
        let text = match (row.state, &*row.note) {
            _ if row.trouble.is_some() => format!("! {}", row.trouble.as_deref().unwrap_or_default()),
            (VmState::Flapping, "") => "! FLAPPING held".to_owned(),
            (_, "") => format!("! {word}"),
            // A note that says what happened implies that it is held; a note that says by whom does not.
            (VmState::Held, note) if row.hold != Some(HoldCause::Hand) => format!("! {note}"),
            (_, note) => format!("! {word} {note}"),
        };
        canvas.put(at.x, at.y, at.width, &text, Role::Alarm);
        return;
    }
    if row.host_state == HostState::Down && !busy {
        let also = if row.state == VmState::Watching { "" } else { row.state.word() };
        return words(canvas, at, "! host down", also, Role::Alarm);
    }
    let ends = row.until.map(|until| until.since(now));
    if let Some(to) = row.site.as_ref().and_then(|site| site.leaves_for()).filter(|_| !busy) {
        return words(canvas, at, "leaving", &format!("> {to}"), Role::Moving);
    }
    match row.state {
        VmState::Migrating => migrating(canvas, at, row),
        VmState::Waiting => waiting(canvas, at, row, now),
        VmState::Watching if row.claim().is_some() => working(canvas, at, row),
        VmState::Watching => words(canvas, at, "watching", &row.note, Role::Quiet),
        VmState::Settling => words(canvas, at, "settling", &left_or(ends, &row.note), Role::Moving),
        VmState::Held => words(canvas, at, "held", &joined(ends, &row.note), Role::Warning),
        VmState::Flapping => words(canvas, at, "! flapping", &row.note, Role::Alarm),
        VmState::Stale => words(canvas, at, "stale", &row.note, Role::Warning),
        VmState::Resting if row.note.is_empty() => {
            let wakes = row.until.map(|until| format!("> {}", zone.read(until).format("%a %H:%M")));
            words(canvas, at, "resting", wakes.as_deref().unwrap_or(""), Role::Resting);
        }
        VmState::Resting => words(canvas, at, "resting", &row.note, Role::Resting),
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

fn words(canvas: &mut Canvas<'_>, at: Rect, word: &str, note: &str, role: Role) {
    let x = canvas.put(at.x, at.y, at.width, word, role);
    if !note.is_empty() {
        let x = x + 1;
        canvas.put(x, at.y, at.right().saturating_sub(x), note, if role == Role::Quiet { Role::Quiet } else { role });
    }
}

/// Draws how far a VM's migration is.
pub fn migrating(canvas: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    let Some(migration) = &row.migration else { return words(canvas, at, "migrating", &row.note, Role::Moving) };
    let to = &*migration.to;
    let said = |canvas: &mut Canvas<'_>, mark: &str, word: &str, role| {
        let room = at.width.saturating_sub((columns_of(mark) + columns_of(word) + 1) as u16);
        let x = canvas.put(at.x, at.y, at.width, mark, role);
        let x = canvas.put(x, at.y, room, to, role) + 1;
        canvas.put(x, at.y, at.right().saturating_sub(x), word, role);
    };
    match migration.stage {
        StageKind::Running => progress(canvas, at, migration),
        stage @ StageKind::Unknown => said(canvas, "? > ", stage.word(), Role::Alarm),
        stage => said(canvas, "> ", stage.word(), Role::Moving),
    }
}

fn progress(canvas: &mut Canvas<'_>, at: Rect, migration: &MigrationView) {
    let percent = format!(" {}%", migration.percent);
    // That an abort was asked is more important than the bar.
    let fits = columns_of(&migration.to) + 2 + 6 + " 100%".len() <= usize::from(at.width);
    let bar = if fits && !migration.aborting { 6 } else { 0 };
    let name_room = at.width.saturating_sub(percent.len() as u16 + bar + 2);
    let x = canvas.put(at.x, at.y, 2, "> ", Role::Moving);
    let mut x = canvas.put(x, at.y, name_room, &migration.to, Role::Moving);
    if bar > 0 {
        x = gauge(canvas, x + 1, at.y, 5, f32::from(migration.percent) / 100.0, Role::Moving);
    }
    x = canvas.put(x, at.y, at.right().saturating_sub(x), &percent, Role::Moving);
    let room = usize::from(at.right().saturating_sub(x));
    let (said, role) = outlook_words(migration);
    if let Some(words) = said.iter().find(|words| columns_of(words) < room) {
        canvas.put(x + 1, at.y, room as u16 - 1, words, role);
    }
}

/// When the migration will end, in a long and a short form.
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

fn waiting(canvas: &mut Canvas<'_>, at: Rect, row: &VmRow, now: Timestamp) {
    let text = match &row.waiting {
        Some(waits) => format!("? > {}  {} left", waits.to, left(waits.lapses.since(now))),
        None => "? waiting".to_owned(),
    };
    canvas.put(at.x, at.y, at.width, &text, Role::Waiting);
}

fn working(canvas: &mut Canvas<'_>, at: Rect, row: &VmRow) {
    let Some(queue) = row.claim() else { return };
    let done = queue.done.len() + queue.failed.len();
    let x = canvas.put(at.x, at.y, at.width, &format!("working {done}/{}", queue.total()), Role::Text);
    if row.is_away() {
        canvas.put(x, at.y, at.right().saturating_sub(x), " away", Role::Moving);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(columns: u16) -> Vec<Column> {
        let listing = Listing { name_width: 5, host_width: 10, ..Listing::default() };
        plan(columns, &listing).into_iter().map(|(column, ..)| column).collect()
    }

    #[test]
    fn eighty_columns_keep_vm_value_count_host_and_state() {
        for column in [C::Vm, C::Value, C::Count, C::Host, C::State] {
            assert!(at(80).contains(&column), "{column:?}");
        }
    }

    #[test]
    fn narrower_never_has_what_wider_has_not() {
        for columns in 41..240 {
            let (narrow, wide) = (at(columns - 1), at(columns));
            assert!(narrow.iter().all(|column| wide.contains(column)), "{columns}: {narrow:?} {wide:?}");
        }
    }

    #[test]
    fn columns_never_overlap_or_leave_the_screen() {
        let listing = Listing { name_width: 60, host_width: 60, ..Listing::default() };
        for columns in 0..240 {
            let plan = plan(columns, &listing);
            assert!(plan.windows(2).all(|pair| pair[0].1 + pair[0].2 + GAP == pair[1].1));
            assert!(plan.last().is_none_or(|(_, x, width)| x + width <= columns), "{columns}: {plan:?}");
        }
    }
}
