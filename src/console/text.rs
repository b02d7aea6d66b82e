//! Words and numbers as a terminal shows them: cut and padded by display width, never by bytes.

use std::borrow::Cow;

use chrono::{DateTime, Local, NaiveDateTime};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub use crate::core::cluster::counted;
use crate::core::cluster::{Span, Timestamp, Value};

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
    // Nearly every text is plain, and tables ask for thousands.
    let plain = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if plain { text.len() } else { text.width() }
}

/// The text in at most `columns` columns; what is cut off leaves `mark`.
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

/// Text broken at spaces into lines of at most `columns` columns, at most `lines` of them, the last one cut.
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

/// A number in at most five columns where it can: `88`, `2.5`, `12.3k`, `4M`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let (scaled, suffix) = match size {
        _ if !value.is_finite() => return "-".into(),
        s if (0.005..0.95).contains(&s) => return trim_zeros(format!("{value:.2}")),
        s if s < 999.5 => (value, ""),
        s if s < 999_950.0 => (value / 1e3, "k"),
        s if s < 999_950_000.0 => (value / 1e6, "M"),
        _ => (value / 1e9, "G"),
    };
    let text = trim_zeros(if scaled.abs() >= 99.95 { format!("{scaled:.0}") } else { format!("{scaled:.1}") });
    // A rounded -0 is a 0.
    if text == "-0" { "0".into() } else { text + suffix }
}

/// Bytes with one decimal at most: `92 MB`, `1.7 GB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    // What would be rounded to 1000 is 1 of the next unit.
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1e3;
        unit += 1;
    }
    let text = if size < 9.95 && unit > 0 { trim_zeros(format!("{size:.1}")) } else { format!("{size:.0}") };
    format!("{text} {}", UNITS[unit])
}

fn trim_zeros(text: String) -> String {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A bound, which is never rounded: `50`, `1250`, `0.25`.
pub fn exact(value: f64) -> String {
    if value.abs() < 1e7 { format!("{value}") } else { number(value) }
}

/// What is left of a time, rounded up: `45s`, `10m`, `3h`. Nothing is left only when nothing is.
pub fn left(span: Span) -> String {
    let seconds = (span.millis() + 999) / 1_000;
    let up = |unit: i64| (seconds + unit - 1) / unit;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", up(60)),
        7_200..172_800 => format!("{}h", up(3_600)),
        _ => format!("{}d", up(86_400)),
    }
}

/// A value as a cell shows it.
pub fn value(value: Value, at_least: &str) -> String {
    match value {
        Value::Exact(v) => number(v),
        Value::AtLeast(v) => format!("{at_least}{}", number(v)),
        Value::Busy => "too busy".into(),
    }
}

/// A load as a whole percentage.
pub fn percent(load: f32) -> String {
    format!("{:.0}%", load * 100.0)
}

/// A text a terminal cannot be harmed by: control characters become spaces.
pub fn tame(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_keeps_to_its_columns() {
        assert_eq!(cut("slow queries", 20, "…"), "slow queries");
        assert_eq!(cut("slow queries", 8, "…"), "slow qu…");
        assert_eq!(cut("東京データ", 5, "…"), "東京…");
        assert_eq!(cut("東京", 1, "…"), "…");
        assert_eq!(cut("abc", 0, "…"), "");
    }

    #[test]
    fn numbers_keep_one_decimal_at_most() {
        let shown = [0.0, 0.25, 0.3, 2.5, 9.96, 62.0, 62.4, 999.6, 2_500.0, 12_340.0, 4e6, -3.0, f64::NAN].map(number);
        let expected = ["0", "0.25", "0.3", "2.5", "10", "62", "62.4", "1k", "2.5k", "12.3k", "4M", "-3", "-"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn bytes_have_the_unit_in_which_they_are_short() {
        let shown = [0, 999, 1_000, 92_300_000, 999_700_000, 1_740_000_000, 4_294_967_296, 96_000_000_000].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1 kB", "92 MB", "1 GB", "1.7 GB", "4.3 GB", "96 GB"]);
    }

    #[test]
    fn what_is_left_is_never_rounded_to_nothing() {
        let spans = [0, 1, 1_000, 44_001, 120_000, 599_000, 600_001, 7_200_000, 172_800_000].map(Span::from_millis);
        assert_eq!(spans.map(left), ["0s", "1s", "1s", "45s", "2m", "10m", "11m", "2h", "2d"]);
    }

    #[test]
    fn a_bound_is_shown_as_it_is() {
        assert_eq!([50.0, 1_250.0, 0.25, 12_000_000.0].map(exact), ["50", "1250", "0.25", "12M"]);
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

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(tame("a\x1b[2Jb\n"), "a [2Jb ");
    }
}
