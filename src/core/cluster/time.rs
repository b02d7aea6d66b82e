//! Instants and lengths of time, in whole milliseconds.

use std::ops::{Add, AddAssign, Sub};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A length of time in milliseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(i64);

impl Timestamp {
    /// Later than any instant a clock can show.
    pub const NEVER: Self = Self(i64::MAX);

    /// The instant `ms` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// The instant `s` seconds after 1970-01-01T00:00:00Z.
    pub const fn from_secs(s: i64) -> Self {
        Self(s * 1_000)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is in the future.
    pub const fn since(self, earlier: Self) -> Span {
        let ms = self.0.saturating_sub(earlier.0);
        Span(if ms < 0 { 0 } else { ms })
    }

    /// The same instant for calendars; years a calendar cannot hold become the epoch.
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    /// RFC 3339 in UTC with milliseconds, the event contract's form.
    pub fn rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

/// An instant in JSON as the event contract has it: for serde's `with`.
pub mod rfc3339 {
    use chrono::DateTime;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use super::Timestamp;

    /// Writes it in UTC with milliseconds.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&at.rfc3339())
    }

    /// Reads it, in any zone.
    ///
    /// # Errors
    /// It is no such time.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        let at = DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        Ok(Timestamp::from_millis(at.timestamp_millis()))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_millis())
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `ms` milliseconds; a negative number becomes zero.
    pub const fn from_millis(ms: i64) -> Self {
        Self(if ms < 0 { 0 } else { ms })
    }

    /// `s` seconds; a negative number becomes zero.
    pub const fn from_secs(s: i64) -> Self {
        Self::from_millis(s.saturating_mul(1_000))
    }

    /// `s` seconds, rounded down to whole milliseconds; a negative number becomes zero.
    pub fn from_secs_f64(s: f64) -> Self {
        Self::from_millis((s * 1_000.0) as i64)
    }

    /// `m` minutes.
    pub const fn from_mins(m: i64) -> Self {
        Self::from_secs(m.saturating_mul(60))
    }

    /// `h` hours.
    pub const fn from_hours(h: i64) -> Self {
        Self::from_mins(h.saturating_mul(60))
    }

    /// Whole milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds.
    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// The same length for timers.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.unsigned_abs())
    }

    /// `numerator / denominator` of this length, rounded down; `denominator` must not be zero.
    pub const fn scaled(self, numerator: i64, denominator: i64) -> Self {
        Self(self.0.saturating_mul(numerator) / denominator)
    }

    /// How many readings are missing between two that are this far apart, if one comes each `interval`:
    /// `round(self / interval) − 1`. Without an interval none is missing.
    pub fn missed(self, interval: Self) -> u32 {
        if interval == Self::ZERO {
            return 0;
        }
        let intervals = (self.secs_f64() / interval.secs_f64()).round();
        (intervals - 1.0).clamp(0.0, f64::from(u32::MAX)) as u32
    }
}

/// What a timer measured, in whole milliseconds.
impl From<std::time::Duration> for Span {
    fn from(length: std::time::Duration) -> Self {
        Self(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for Timestamp {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_never_negative() {
        let (a, b) = (Timestamp::from_secs(5), Timestamp::from_secs(9));
        assert_eq!(a.since(b), Span::ZERO);
        assert_eq!(b.since(a), Span::from_secs(4));
        assert_eq!(Span::from_millis(-3), Span::ZERO);
    }

    #[test]
    fn the_event_contract_has_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_241_613_600_007).rfc3339(), "2009-05-06T12:40:00.007Z");
    }
}
