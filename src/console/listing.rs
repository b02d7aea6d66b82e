//! Which VMs the table shows, and in which order. It is computed when data, filter or sort change, never while drawing.

use std::cmp::Reverse;
use std::sync::Arc;

use super::text;
use crate::core::cluster::{Direction, HostState, Value};
use crate::core::engine::{StageKind, VmState};
use crate::core::filter::Filter;
use crate::core::format::natural;
use crate::view::VmRow;

/// What a table can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// First what needs a human, then what is nearest to a decision.
    #[default]
    Worst,
    /// The VM's name.
    Name,
    /// Its service.
    Service,
    /// Its policy.
    Policy,
    /// Its value relative to its threshold, because values of different units cannot be compared.
    Value,
    /// Its count relative to its tarry.
    Count,
    /// Its low count relative to its low tarry.
    Low,
    /// Its array and host.
    Host,
    /// Its last move, newest first.
    LastMove,
    /// Its moves in 24 h.
    Moves,
}

impl SortBy {
    const ALL: [Self; 10] = [
        Self::Worst,
        Self::Name,
        Self::Service,
        Self::Policy,
        Self::Value,
        Self::Count,
        Self::Low,
        Self::Host,
        Self::LastMove,
        Self::Moves,
    ];

    /// The one after it.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// In words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Worst => "worst first",
            Self::Name => "name",
            Self::Service => "service",
            Self::Policy => "policy",
            Self::Value => "value against threshold",
            Self::Count => "count",
            Self::Low => "low count",
            Self::Host => "host",
            Self::LastMove => "last move",
            Self::Moves => "moves in 24 h",
        }
    }
}

/// The rows that the table shows, and where the selected one is. Positions are valid only within one listing.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// In the order shown.
    pub rows: Vec<Arc<VmRow>>,
    /// The selected row's position.
    pub at: Option<usize>,
    /// How many of the first rows always stay on screen: the urgent ones, if the worst come first.
    pub urgent: usize,
    /// How wide the widest name is, in columns.
    pub name_width: usize,
    /// How wide the widest `array/host` is, in columns.
    pub host_width: usize,
}

impl Listing {
    /// A listing of these rows in this order.
    pub fn new(rows: Vec<Arc<VmRow>>, at: Option<usize>, worst_first: bool) -> Self {
        let widest = |of: fn(&VmRow) -> usize| rows.iter().map(|row| of(row)).max().unwrap_or(0);
        let name_width = widest(|row| text::width(&row.name));
        let host_width = widest(|row| text::width(&row.array) + 1 + text::width(&row.host));
        let urgent = if worst_first { urgent(&rows) } else { 0 };
        Self { rows, at, urgent, name_width, host_width }
    }
}

/// Most rows that are counted as urgent: no screen keeps more of them visible.
const MOST_URGENT: usize = 64;

/// How much a VM needs a human; a smaller number is more urgent. Of VMs that count, the nearest to its decision comes first.
pub fn urgency(row: &VmRow) -> u32 {
    let class = |rank: u32| rank << 16;
    let share = |count: Option<(u32, u32)>| {
        let (count, tarry) = count.unwrap_or_default();
        let left = u64::from(tarry.saturating_sub(count)) * 0xffff;
        left.checked_div(u64::from(tarry)).map_or(0xffff, |left| left.min(0xffff) as u32)
    };
    let counting = |count: Option<(u32, u32)>| count.is_some_and(|(count, _)| count > 0);
    // A low count starts often and is mostly reset; the row would jump up and down all the time.
    let low_is_near = row.low_count.is_some_and(|(count, tarry)| count > tarry / 2);
    match row.state {
        _ if row.alarm => class(0),
        _ if row.migration.as_ref().is_some_and(|m| m.stage == StageKind::Unknown) => class(1),
        _ if row.host_state == HostState::Down => class(1),
        VmState::Waiting => class(2),
        VmState::Flapping => class(3),
        VmState::Migrating => class(4),
        VmState::Stale => class(5),
        _ if counting(row.count) => class(6) + share(row.count),
        // A decision or a move has just reset its count, and the value is still beyond.
        VmState::Watching | VmState::Settling if is_beyond(row) => class(6) + 0xffff,
        _ if low_is_near => class(7) + share(row.low_count),
        VmState::Settling => class(8),
        // The last reading is missing: not stale yet, or the baseline after a move.
        VmState::Watching if row.gap.is_some() && row.spark.iter().any(|value| value.is_finite()) => class(8),
        VmState::Held => class(9),
        VmState::Watching => class(10),
        VmState::Resting => class(11),
    }
}

fn is_beyond(row: &VmRow) -> bool {
    row.claim().is_none() && row.value.and_then(Value::number).is_some_and(|value| row.bounds.is_beyond(value))
}

/// How far a value is beyond its threshold, in thousandths of the threshold; negative if it is within.
fn beyondness(row: &VmRow) -> Option<i64> {
    let value = match (row.claim(), row.value?) {
        (Some(queue), _) => f64::from(queue.big),
        (None, Value::Busy) => return Some(i64::MAX),
        (None, value) => value.number()?,
    };
    let high = row.bounds.high?;
    let by = match row.bounds.direction {
        Direction::HigherIsWorse => value - high,
        Direction::LowerIsWorse => high - value,
    };
    Some((by / high.abs().max(1e-9) * 1e3) as i64)
}

/// How many of the first rows need a human, are moving, or are about to move. They stay on screen.
fn urgent(rows: &[Arc<VmRow>]) -> usize {
    rows.iter().take(MOST_URGENT).take_while(|row| urgency(row) >> 16 <= 6).count()
}

/// The positions of a snapshot's rows in the order of their names.
pub fn by_name(rows: &[Arc<VmRow>]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_by(|a, b| natural(&rows[*a as usize].name, &rows[*b as usize].name));
    order
}

/// The rows that match the filter, sorted. Equal rows are in the order of their names.
pub fn arrange(rows: &[Arc<VmRow>], by_name: &[u32], filter: &str, by: SortBy, reverse: bool) -> Vec<Arc<VmRow>> {
    let filter = Filter::new(filter);
    let kept = by_name.iter().map(|at| &rows[*at as usize]).filter(|row| finds(&filter, row));
    let mut keyed: Vec<(SortKey<'_>, &Arc<VmRow>)> = kept.map(|row| (SortKey::of(row, by), row)).collect();
    match (by, reverse) {
        (SortBy::Name, false) => {}
        (SortBy::Name, true) => keyed.reverse(),
        (_, false) => keyed.sort_by(|(a, _), (b, _)| a.cmp(b)),
        (_, true) => keyed.sort_by(|(a, _), (b, _)| b.cmp(a)),
    }
    keyed.into_iter().map(|(_, row)| Arc::clone(row)).collect()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortKey<'a> {
    Rank(u32),
    Number(Reverse<i64>),
    Text(&'a str, &'a str),
    Nothing,
}

impl<'a> SortKey<'a> {
    fn of(row: &'a VmRow, by: SortBy) -> Self {
        let share = |count: Option<(u32, u32)>| {
            count.map_or(Self::Nothing, |(count, tarry)| {
                Self::Number(Reverse(i64::from(count) * 1_000_000 / i64::from(tarry.max(1))))
            })
        };
        match by {
            SortBy::Worst => Self::Rank(urgency(row)),
            SortBy::Name => Self::Nothing,
            SortBy::Service => Self::Text(&row.service, ""),
            SortBy::Policy => Self::Text(row.policy.word(), ""),
            SortBy::Value => beyondness(row).map_or(Self::Nothing, |by| Self::Number(Reverse(by))),
            SortBy::Count => share(row.count),
            SortBy::Low => share(row.low_count),
            SortBy::Host => Self::Text(&row.array, &row.host),
            SortBy::LastMove => row.last_move.map_or(Self::Nothing, |at| Self::Number(Reverse(at.millis()))),
            SortBy::Moves => Self::Number(Reverse(i64::from(row.moves_24h))),
        }
    }
}

/// Whether a filter finds a row, by its name, service, policy, host, array or state.
fn finds(filter: &Filter, row: &VmRow) -> bool {
    let fields = [&*row.name, &*row.service, row.policy.word(), &*row.host, &*row.array, row.state.word()];
    let place = filter.text().contains('/').then(|| format!("{}/{}", row.array, row.host));
    filter.matches(fields.into_iter().chain(place.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_comes_round() {
        let mut by = SortBy::Worst;
        for _ in 0..SortBy::ALL.len() {
            by = by.next();
        }
        assert_eq!(by, SortBy::Worst);
    }
}
