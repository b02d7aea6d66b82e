//! A migration under way: route, progress, transfer figures, and when it will end.
//!
//! ```text
//! ── nii2  mln3 > mln4, for its policy ─────────────── request #318 ─
//!  mln3  ▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▱▱▱▱▱▱▱▱▱▱▱▱▱▱  58%  mln4      19s left
//!  copying, round 3   for 28s                            x aborts it
//!  left   1.7 GB of 4.3 GB    sends    92 MB/s    downtime   38 ms
//!  sent   4.1 GB              writes   21 MB/s    rounds     3
//!  forecast   42 s, 6 rounds, 38 ms down
//! ```

use ratatui::layout::Rect;

use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::widgets::{Canvas, gauge};
use crate::core::cluster::{Timestamp, Transfer};
use crate::core::engine::{By, StageKind};
use crate::core::format::{age, bytes, left, measured, tame};
use crate::view::{MigrationView, Outlook, VmRow};

/// The least columns of a figure with its word.
const FIGURE: u16 = 25;
/// Columns of a figure's word.
const WORD: u16 = 9;
/// The most columns: a wider panel is harder to read.
const WIDEST: u16 = 96;

/// How many rows it takes at this width, with its title.
pub fn rows(migration: &MigrationView, columns: u16) -> u16 {
    let figures = migration.transfer.map_or(0, |transfer| figures(&transfer, columns).len() as u16);
    let spoken = u16::from(says(migration).is_some()) + u16::from(forecast(migration).is_some());
    3 + figures + spoken
}

/// Draws it: the most important lines first, as many as there is room for.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, migration: &MigrationView, now: Timestamp) {
    if area.height == 0 {
        return;
    }
    title(canvas, area, row, migration);
    let body = Rect { x: area.x + 1, width: area.width.saturating_sub(2).min(WIDEST), ..area };
    let mut lines = area.y + 1..area.bottom();
    let mut next = || lines.next().map(|y| Rect { y, height: 1, ..body });
    if let Some(at) = next() {
        bar(canvas, at, migration, now);
    }
    if let Some(at) = next() {
        phase(canvas, at, migration, now);
    }
    if let Some(words) = says(migration)
        && let Some(at) = next()
    {
        let diverges = matches!(migration.outlook(), Outlook::Never { .. });
        canvas.put(at.x, at.y, at.width, &words, if diverges { Role::Warning } else { Role::Quiet });
    }
    for line in told(migration, now).iter().flat_map(|transfer| figures(transfer, area.width)) {
        let Some(at) = next() else { return };
        let step = at.width / line.len().max(1) as u16;
        for (i, (word, value)) in line.iter().enumerate() {
            // The first column is wider: it holds two figures.
            let x = at.x + step * i as u16 + if i == 0 { 0 } else { 2 };
            let x = canvas.put(x, at.y, WORD, word, Role::Quiet).max(x + WORD);
            canvas.put(x, at.y, at.right().saturating_sub(x), value, Role::Text);
        }
    }
    if let Some(forecast) = forecast(migration)
        && let Some(at) = next()
    {
        canvas.put(at.x, at.y, WORD, "forecast", Role::Quiet);
        canvas.put(at.x + WORD, at.y, at.width.saturating_sub(WORD), forecast, Role::Quiet);
    }
}

fn title(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, migration: &MigrationView) {
    let by = match migration.by {
        By::Policy => "for its policy",
        By::Schedule => "for its schedule",
        By::Drain => "its host is drained",
        By::Operator => "for an operator",
    };
    let way = format!("  {} > {}, {by}", migration.from, migration.to);
    let request = format!("request #{}", migration.id.0);
    canvas.rule(area, &[(&row.name, Role::Title), (&way, Role::Quiet)], &request);
}

fn bar(canvas: &mut Canvas<'_>, at: Rect, migration: &MigrationView, now: Timestamp) {
    let role = look(migration);
    let (mark, ends) = outlook(migration, now);
    let percent = format!("{}%", migration.percent);
    let ends_columns = if ends.is_empty() { 0 } else { width(&ends) as u16 + 3 };
    let names = (width(&migration.from) + width(&migration.to)) as u16;
    // Leave out the names before the bar: the title has them too.
    let named = at.width >= names + ends_columns + 20;
    let beside = if named { names + 4 } else { 0 } + 5 + ends_columns;
    let columns = at.width.saturating_sub(beside);
    let x = if named { canvas.put(at.x, at.y, at.width, &migration.from, Role::Text) + 2 } else { at.x };
    let x = gauge(canvas, x, at.y, columns, f32::from(migration.percent) / 100.0, role);
    canvas.put_right(x, at.y, 5.min(at.right().saturating_sub(x)), &percent, role);
    if named {
        canvas.put(x + 7, at.y, at.right().saturating_sub(x + 7), &migration.to, Role::Strong);
    }
    canvas.put_right(at.x, at.y, at.width, &ends, mark);
}

/// How the migration's bar and phase look.
fn look(migration: &MigrationView) -> Role {
    match migration.stage {
        StageKind::Unknown => Role::Alarm,
        _ if migration.aborting => Role::Warning,
        _ => Role::Moving,
    }
}

/// When it ends, for the end of the bar's line.
fn outlook(migration: &MigrationView, now: Timestamp) -> (Role, String) {
    match migration.outlook() {
        _ if migration.silent(now).is_some() => (Role::Quiet, String::new()),
        Outlook::Untold => (Role::Quiet, String::new()),
        Outlook::Left(span) => (Role::Strong, format!("{} left", left(span))),
        Outlook::Never { .. } => (Role::Warning, "does not converge".to_owned()),
    }
}

fn phase(canvas: &mut Canvas<'_>, at: Rect, migration: &MigrationView, now: Timestamp) {
    let since = match migration.silent(now) {
        Some(silent) => format!("   {} has told nothing for {}", migration.from, age(silent)),
        None => format!("   for {}", age(now.since(migration.since))),
    };
    let since_role = if migration.silent(now).is_some() { Role::Warning } else { Role::Quiet };
    let key = match migration {
        migration if !migration.can_abort() => Vec::new(),
        migration if migration.aborting => {
            vec![("abort asked", Role::Warning), ("   x", Role::Key), (" asks again", Role::Quiet)]
        }
        _ => vec![("x", Role::Key), (" aborts it", Role::Quiet)],
    };
    let key_columns = key.iter().map(|(text, _)| width(text) as u16).sum::<u16>();
    let room = at.width.saturating_sub(if key_columns > 0 { key_columns + 2 } else { 0 });
    canvas.line(at.x, at.y, room, &[(&words(migration), look(migration)), (&since, since_role)]);
    canvas.line(at.right().saturating_sub(key_columns), at.y, key_columns, &key);
}

/// What the migration does now.
fn words(migration: &MigrationView) -> String {
    let rounds = migration.transfer.map_or(0, |transfer| transfer.rounds);
    match migration.stage {
        stage @ (StageKind::Preflight | StageKind::Journal) => stage.clause(&migration.to),
        StageKind::Running if rounds > 1 => format!("copying, round {rounds}"),
        StageKind::Running => "copying".to_owned(),
        StageKind::Confirming => "confirming: both hosts are asked where it runs".to_owned(),
        StageKind::Unknown => format!("? unknown: {}", migration.detail),
    }
}

/// One more sentence, where the figures are not enough.
fn says(migration: &MigrationView) -> Option<String> {
    match (migration.stage, migration.outlook()) {
        (StageKind::Unknown, _) => Some("both hosts are asked until it can be told; nothing else moves it".to_owned()),
        (_, Outlook::Never { writes, sends }) => {
            let (writes, sends) = (bytes(writes), bytes(sends));
            Some(format!("does not converge as it is: it writes {writes}/s, {sends}/s are sent"))
        }
        // The driver's words, unless they repeat the forecast or there are figures.
        (StageKind::Running, _) if migration.transfer.is_none() && migration.detail != migration.forecast => {
            Some(tame(&migration.detail).into_owned())
        }
        _ => None,
    }
}

/// The driver's last figures. When it is silent, without rates and downtime, which would be out of date.
fn told(migration: &MigrationView, now: Timestamp) -> Option<Transfer> {
    let past = matches!(migration.stage, StageKind::Confirming | StageKind::Unknown) || migration.silent(now).is_some();
    migration.transfer.map(|last| if past { Transfer { rate: 0, dirty: 0, downtime: None, ..last } } else { last })
}

/// The forecast, unless the outcome is unknown.
fn forecast(migration: &MigrationView) -> Option<&str> {
    Some(&*migration.forecast).filter(|text| !text.is_empty() && migration.stage != StageKind::Unknown)
}

type Figure = (&'static str, String);

/// The figures in lines: three, two or one beside each other.
fn figures(transfer: &Transfer, columns: u16) -> Vec<Vec<Figure>> {
    let per_second = |rate: u64| if rate == 0 { "-".to_owned() } else { format!("{}/s", bytes(rate)) };
    let of = match transfer.total {
        0 => String::new(),
        total => format!(" of {}", bytes(total)),
    };
    let downtime = transfer.downtime.map_or_else(|| "-".to_owned(), |span| format!("{} expected", measured(span)));
    let rounds = if transfer.rounds == 0 { "-".to_owned() } else { transfer.rounds.to_string() };
    let [to_send, sent, sends, writes, down, rounds] = [
        ("left", format!("{}{of}", bytes(transfer.left))),
        ("sent", bytes(transfer.sent)),
        ("sends", per_second(transfer.rate)),
        ("writes", per_second(transfer.dirty)),
        ("downtime", downtime),
        ("rounds", rounds),
    ];
    match columns.saturating_sub(2) / FIGURE {
        0 | 1 => [to_send, sends, writes, down, sent, rounds].map(|figure| vec![figure]).into(),
        2 => vec![vec![to_send, sends], vec![sent, writes], vec![down, rounds]],
        _ => vec![vec![to_send, sends, down], vec![sent, writes, rounds]],
    }
}
