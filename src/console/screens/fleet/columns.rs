//! Which columns the table has, how wide they are, and in which order they are given up.

use crate::console::listing::{Listing, SortBy};

/// A column of the table, in the order in which they stand.
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

/// The most wanted first; at 80 columns those up to the state are there.
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

    /// Numbers and ages stand to the right.
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

    /// The least it needs and the most it can use.
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

/// The columns that fit, each with where it begins and how wide it is.
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
    // Places, values and names in full, then states; what is left is the trend's.
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
