//! Text as a terminal shows it: measured and cut by display width, never by bytes; and times of day.

use std::borrow::Cow;

use chrono::{DateTime, Local, NaiveDateTime};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::core::cluster::{Name, Timestamp, Value};
use crate::core::format::{number, tame};

/// Which clock a screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zone {
    /// The machine's own.
    #[default]
    Local,
    /// UTC.
    Utc,
}

impl Zone {
    /// An instant on this clock.
    pub fn read(self, at: Timestamp) -> NaiveDateTime {
        match self {
            Self::Local => DateTime::<Local>::from(at.utc()).naive_local(),
            Self::Utc => at.utc().naive_utc(),
        }
    }

    /// `14:44:23`.
    pub fn clock(self, at: Timestamp) -> String {
        self.read(at).format("%H:%M:%S").to_string()
    }

    /// `14:44:23` on the day of `now`, otherwise `5 May 14:44`.
    pub fn stamp(self, at: Timestamp, now: Timestamp) -> String {
        let at = self.read(at);
        let format = if at.date() == self.read(now).date() { "%H:%M:%S" } else { "%-d %b %H:%M" };
        at.format(format).to_string()
    }
}

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    // The fast path: nearly every text is ASCII, and a table measures thousands.
    let plain = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if plain { text.len() } else { text.width() }
}

/// Cuts a text to `columns` columns; a cut text ends with `mark`.
pub fn cut<'a>(text: &'a str, columns: usize, mark: &str) -> Cow<'a, str> {
    if text.len() <= columns || text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(mark.width());
    let mut taken = 0;
    let mut short: String = text
        .chars()
        .take_while(|c| {
            taken += c.width().unwrap_or(0);
            taken <= room
        })
        .collect();
    if mark.width() <= columns {
        short.push_str(mark);
    }
    Cow::Owned(short)
}

/// Breaks a text at spaces into at most `lines` lines of `columns` columns; the last one is cut.
pub fn wrap(text: &str, columns: usize, lines: usize, mark: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in tame(text).split_whitespace() {
        let full = out.len() >= lines;
        match out.last_mut() {
            Some(line) if full || line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => out.push(word.to_owned()),
        }
    }
    out.into_iter().map(|line| cut(&line, columns, mark).into_owned()).collect()
}

/// A value as a cell shows it.
pub fn value(value: Value, at_least: &str) -> String {
    match value {
        Value::Exact(v) => number(v),
        Value::AtLeast(v) => format!("{at_least}{}", number(v)),
        Value::Busy => "too busy".into(),
    }
}

/// `nii2, nii3 and 4 more`.
pub fn some_of(vms: &[Name]) -> String {
    let few = if vms.len() <= 3 { vms.len() } else { 2 };
    let named = vms[..few].join(", ");
    match vms.len() - few {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// A number in three digits: a bound that was multiplied is 0.315, not 0.31499999999999995.
pub fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Span;

    #[test]
    fn a_cut_text_keeps_to_its_columns() {
        assert_eq!(cut("slow queries", 20, "…"), "slow queries");
        assert_eq!(cut("slow queries", 8, "…"), "slow qu…");
        assert_eq!(cut("東京データ", 5, "…"), "東京…");
        assert_eq!(cut("東京", 1, "…"), "…");
        assert_eq!(cut("abc", 0, "…"), "");
    }

    #[test]
    fn a_value_that_had_no_end_is_at_least() {
        assert_eq!(value(Value::AtLeast(2_500.0), "≥"), "≥2.5k");
        assert_eq!(value(Value::Busy, "≥"), "too busy");
    }

    #[test]
    fn wrapped_text_ends_with_a_mark_when_it_does_not_fit() {
        assert_eq!(wrap("one two three four", 9, 2, "…"), ["one two", "three fo…"]);
        assert_eq!(wrap("one two", 9, 2, "…"), ["one two"]);
    }

    #[test]
    fn another_day_is_told_with_its_date() {
        let now = Timestamp::from_secs(1_241_621_063);
        let stamps = [0, 14 * 3_600, 15 * 3_600].map(|ago| Zone::Utc.stamp(now - Span::from_secs(ago), now));
        assert_eq!(stamps, ["14:44:23", "00:44:23", "5 May 23:44"]);
    }
}
