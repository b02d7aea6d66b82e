//! Working hours: weekly windows in a time zone, with both DST changes.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc, Weekday,
};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::core::cluster::{Span, Timestamp};

const MINUTES_A_DAY: u16 = 24 * 60;
/// All seven bits of [`Window`]'s days.
const EVERY_DAY: u8 = 0x7f;
/// Two weeks, as a night that misses an hour can take a week's window away, and a day more on either side for windows
/// across midnight.
const DAYS_AHEAD: u64 = 16;

/// One window of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Bit 0 is Monday: the days on which it opens.
    days: u8,
    /// Minute of the day at which it opens, 0 to 1439.
    from: u16,
    /// Minute of the day at which it closes, 1 to 1440; at or before `from`, on the next day.
    to: u16,
}

/// When a schedule policy works: `"Mon-Fri 09:00-16:00"` in a named zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkingHours {
    windows: Vec<Window>,
    zone: Tz,
}

/// Whether the hours are open, and until when that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// Inside working hours.
    pub open: bool,
    /// The first later instant at which `open` is different; [`Timestamp::NEVER`] if none.
    pub until: Timestamp,
}

/// Why a text is not working hours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HoursError {
    /// No window in it.
    #[error("no window in it: write \"Mon-Fri 09:00-16:00\", several parted by commas")]
    Empty,
    /// Not a day.
    #[error("'{0}' is no day: use Mon Tue Wed Thu Fri Sat Sun, or a range such as Mon-Fri")]
    Day(String),
    /// Not a time.
    #[error("'{0}' is no time of day: use 00:00 to 24:00")]
    Time(String),
    /// Opens and closes at the same minute.
    #[error("'{0}' never opens: it begins when it ends")]
    NeverOpens(String),
    /// Not a slot of the day.
    #[error("{0} is no 5-minute slot of the day: use 0 to 288")]
    Slot(i64),
}

impl WorkingHours {
    /// Reads windows parted by commas, each `[DAYS] HH:MM-HH:MM`; without days, every day.
    ///
    /// # Errors
    /// What part of the text is no day, no time, or never opens.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, HoursError> {
        let windows: Vec<Window> =
            text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Window::from_str).collect::<Result<_, _>>()?;
        if windows.is_empty() { Err(HoursError::Empty) } else { Ok(Self { windows, zone }) }
    }

    /// The whole of every day, UTC.
    pub fn always() -> Self {
        Self { windows: vec![Window { days: 0x7f, from: 0, to: MINUTES_A_DAY }], zone: Tz::UTC }
    }

    /// The thesis's notation: 5-minute slots of the UTC day, `start` to before `stop`, every day.
    ///
    /// # Errors
    /// A slot outside 0 to 288, or equal slots.
    pub fn from_slots(start: i64, stop: i64) -> Result<Self, HoursError> {
        let minute = |slot: i64| match slot {
            0..=288 => Ok(slot as u16 * 5),
            _ => Err(HoursError::Slot(slot)),
        };
        let window = Window::new(EVERY_DAY, minute(start)?, minute(stop)?);
        let window = window.ok_or_else(|| HoursError::NeverOpens(format!("{start}-{stop}")))?;
        Ok(Self { windows: vec![window], zone: Tz::UTC })
    }

    /// The windows as the config writes them, without their zone: `Mon-Fri 09:00-16:00`.
    pub fn windows(&self) -> String {
        let windows: Vec<String> = self.windows.iter().map(Window::to_string).collect();
        windows.join(", ")
    }

    /// The zone the windows are in.
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// Whether the hours are open at an instant, and until when that holds.
    pub fn edge(&self, at: Timestamp) -> Edge {
        let here = at.utc().with_timezone(&self.zone).date_naive();
        let mut open_until = None;
        for (open, close) in self.spans(here) {
            match open_until {
                // Windows that touch or overlap are one.
                Some(until) if open <= until => open_until = Some(close.max(until)),
                Some(_) => break,
                None if close <= at => {}
                None if open <= at => open_until = Some(close),
                None => return Edge { open: false, until: open },
            }
        }
        let horizon = at + Span::from_hours(15 * 24);
        match open_until {
            Some(until) => Edge { open: true, until: if until > horizon { Timestamp::NEVER } else { until } },
            None => Edge { open: false, until: Timestamp::NEVER },
        }
    }

    /// The windows' instants on the days around `date` in the order in which they open, those of no length left out.
    /// A day is looked at when it is needed: mostly the next two say it all.
    fn spans(&self, date: NaiveDate) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let first = date.checked_sub_days(Days::new(1)).unwrap_or(date);
        let days = (0..DAYS_AHEAD + 2).filter_map(move |n| first.checked_add_days(Days::new(n)));
        days.flat_map(|day| {
            let mut spans: Vec<_> = self.windows.iter().filter_map(|w| w.on(day, self.zone)).collect();
            spans.sort_unstable();
            spans
        })
    }
}

impl Window {
    /// The window between two minutes of the day, 0 to 1440; `None` if it begins when it ends. Only `00:00-24:00` is a
    /// whole day.
    fn new(days: u8, from: u16, to: u16) -> Option<Self> {
        let (opens, closes) = (from % MINUTES_A_DAY, to % MINUTES_A_DAY);
        let is_whole_day = (from, to) == (0, MINUTES_A_DAY);
        let to = if closes == 0 { MINUTES_A_DAY } else { closes };
        (opens != closes || is_whole_day).then_some(Self { days, from: opens, to })
    }

    fn on(&self, day: NaiveDate, zone: Tz) -> Option<(Timestamp, Timestamp)> {
        if self.days & (1 << day.weekday().num_days_from_monday()) == 0 {
            return None;
        }
        let last = if self.to <= self.from { day.checked_add_days(Days::new(1))? } else { day };
        let open = instant(zone, day, self.from);
        let close = instant(zone, last, self.to);
        (open < close).then_some((open, close))
    }
}

/// The instant of a local minute: the first of two on a night that doubles it, the first that exists after it on a
/// night that misses it.
fn instant(zone: Tz, day: NaiveDate, minute: u16) -> Timestamp {
    let midnight = NaiveDateTime::new(day, NaiveTime::MIN);
    let local = midnight + TimeDelta::minutes(i64::from(minute));
    let found = match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.with_timezone(&Utc)),
        LocalResult::None => after_missing(zone, local),
    };
    found.map_or(Timestamp::NEVER, Timestamp::from)
}

fn after_missing(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    // Zones change on whole minutes and skip at most a day.
    (1..=24 * 60)
        .find_map(|m| zone.from_local_datetime(&(local + TimeDelta::minutes(m))).earliest())
        .map(|at| at.to_utc())
}

impl FromStr for Window {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let (days, times) = match text.rsplit_once(char::is_whitespace) {
            Some((days, times)) => (parse_days(days.trim())?, times),
            None => (EVERY_DAY, text),
        };
        let (from, to) = times.split_once('-').ok_or_else(|| HoursError::Time(times.to_owned()))?;
        let window = Self::new(days, parse_minute(from)?, parse_minute(to)?);
        window.ok_or_else(|| HoursError::NeverOpens(text.to_owned()))
    }
}

fn parse_days(text: &str) -> Result<u8, HoursError> {
    let day = |t: &str| Weekday::from_str(t.trim()).map_err(|_| HoursError::Day(t.trim().to_owned()));
    let mut days = 0;
    for part in text.split_whitespace() {
        let (first, last) = match part.split_once('-') {
            Some((a, b)) => (day(a)?, day(b)?),
            None => (day(part)?, day(part)?),
        };
        let mut at = first;
        days |= 1 << at.num_days_from_monday();
        while at != last {
            at = at.succ();
            days |= 1 << at.num_days_from_monday();
        }
    }
    Ok(days)
}

fn parse_minute(text: &str) -> Result<u16, HoursError> {
    let wrong = || HoursError::Time(text.trim().to_owned());
    let (h, m) = text.trim().split_once(':').ok_or_else(wrong)?;
    let two = |t: &str| match t.as_bytes() {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Ok(u16::from(tens - b'0') * 10 + u16::from(ones - b'0')),
        _ => Err(wrong()),
    };
    match (two(h)?, two(m)?) {
        (h @ 0..=23, m @ 0..=59) => Ok(h * 60 + m),
        (24, 0) => Ok(MINUTES_A_DAY),
        _ => Err(wrong()),
    }
}

/// `Mon-Fri`, `Mon Wed`, `Sat Sun`: three days in a row and more are a range.
fn day_words(days: u8) -> String {
    const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let mut words: Vec<String> = Vec::new();
    let mut day = 0;
    while day < NAMES.len() {
        let run = (day..NAMES.len()).take_while(|d| days & (1 << d) != 0).count();
        match run {
            0..3 => words.extend(NAMES[day..day + run].iter().map(|name| (*name).to_owned())),
            _ => words.push(format!("{}-{}", NAMES[day], NAMES[day + run - 1])),
        }
        day += run + 1;
    }
    words.join(" ")
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != EVERY_DAY {
            write!(f, "{} ", day_words(self.days))?;
        }
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

impl fmt::Display for WorkingHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.windows(), self.zone)
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Oslo;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from(DateTime::parse_from_rfc3339(text).unwrap().to_utc())
    }

    fn edge(hours: &WorkingHours, text: &str) -> (bool, String) {
        let edge = hours.edge(at(text));
        (edge.open, edge.until.rfc3339())
    }

    /// Every edge of a span, as local times.
    fn edges(hours: &WorkingHours, from: &str, days: i64) -> Vec<String> {
        let mut now = at(from);
        let end = now + Span::from_hours(24 * days);
        let mut found = Vec::new();
        while hours.edge(now).until < end {
            let edge = hours.edge(now);
            let local = edge.until.utc().with_timezone(&hours.zone());
            found.push(format!("{} {}", if edge.open { "closes" } else { "opens" }, local.format("%a %H:%M %z")));
            now = edge.until;
        }
        found
    }

    #[test]
    fn the_thesis_hours_are_open_from_nine_to_four_in_oslo() {
        let hours = WorkingHours::parse("Mon-Fri 09:00-16:00", Oslo).unwrap();
        assert_eq!(edge(&hours, "2009-05-06T14:40:00+02:00"), (true, "2009-05-06T14:00:00.000Z".to_owned()));
        assert_eq!(edge(&hours, "2009-05-06T16:00:00+02:00"), (false, "2009-05-07T07:00:00.000Z".to_owned()));
        assert_eq!(
            edge(&hours, "2009-05-08T16:00:00+02:00"),
            (false, "2009-05-11T07:00:00.000Z".to_owned()),
            "weekend"
        );
    }

    #[test]
    fn across_both_dst_changes_it_opens_at_nine_local_time() {
        let hours = WorkingHours::parse("Mon-Sun 09:00-16:00", Oslo).unwrap();
        assert_eq!(
            edges(&hours, "2009-03-28T00:00:00Z", 2),
            ["opens Sat 09:00 +0100", "closes Sat 16:00 +0100", "opens Sun 09:00 +0200", "closes Sun 16:00 +0200"]
        );
        assert_eq!(
            edges(&hours, "2009-10-24T00:00:00Z", 2),
            ["opens Sat 09:00 +0200", "closes Sat 16:00 +0200", "opens Sun 09:00 +0100", "closes Sun 16:00 +0100"]
        );
    }

    #[test]
    fn a_window_on_a_night_that_misses_an_hour_opens_at_a_time_that_exists() {
        let hours = WorkingHours::parse("Sun 02:30-04:00", Oslo).unwrap();
        assert_eq!(edges(&hours, "2009-03-28T12:00:00Z", 1), ["opens Sun 03:00 +0200", "closes Sun 04:00 +0200"]);
        let gone = WorkingHours::parse("Sun 02:10-02:50", Oslo).unwrap();
        assert_eq!(edges(&gone, "2009-03-28T12:00:00Z", 1), Vec::<String>::new(), "it does not exist that night");
    }

    #[test]
    fn a_window_that_a_night_takes_away_opens_a_week_later() {
        let hours = WorkingHours::parse("Sun 02:00-03:00", Oslo).unwrap();
        let edge = hours.edge(at("2009-03-22T12:00:00Z"));
        assert_eq!((edge.open, edge.until), (false, at("2009-04-05T00:00:00Z")));
        let nearly_always = WorkingHours::parse("Mon-Sat 00:00-24:00, Sun 00:00-02:00, Sun 03:00-24:00", Oslo).unwrap();
        let edge = nearly_always.edge(at("2009-03-22T12:00:00Z"));
        assert_eq!((edge.open, edge.until), (true, at("2009-04-05T00:00:00Z")));
    }

    #[test]
    fn a_window_on_a_night_that_doubles_an_hour_opens_and_closes_once() {
        let hours = WorkingHours::parse("Sun 02:15-02:45", Oslo).unwrap();
        assert_eq!(edges(&hours, "2009-10-24T12:00:00Z", 1), ["opens Sun 02:15 +0200", "closes Sun 02:45 +0200"]);
        let night = WorkingHours::parse("Sat 22:00-03:00", Oslo).unwrap();
        assert_eq!(edges(&night, "2009-10-24T12:00:00Z", 1), ["opens Sat 22:00 +0200", "closes Sun 03:00 +0100"]);
    }

    #[test]
    fn windows_may_be_several_touch_and_cross_midnight() {
        let hours = WorkingHours::parse("Mon-Fri 08:00-12:00, Mon-Fri 12:00-16:00, Fri 22:00-02:00", Tz::UTC).unwrap();
        assert_eq!(edge(&hours, "2009-05-06T09:00:00Z"), (true, "2009-05-06T16:00:00.000Z".to_owned()));
        assert_eq!(edge(&hours, "2009-05-09T01:00:00Z"), (true, "2009-05-09T02:00:00.000Z".to_owned()));
        assert_eq!(hours.to_string(), "Mon-Fri 08:00-12:00, Mon-Fri 12:00-16:00, Fri 22:00-02:00 UTC");
        let turned = WorkingHours::parse("13:00-16:00, 08:00-12:00", Tz::UTC).unwrap();
        assert_eq!(
            edge(&turned, "2009-05-06T09:00:00Z"),
            (true, "2009-05-06T12:00:00.000Z".to_owned()),
            "in any order"
        );
        let always = WorkingHours::parse("00:00-24:00", Oslo).unwrap();
        assert_eq!(always.edge(at("2009-05-06T09:00:00Z")), Edge { open: true, until: Timestamp::NEVER });
    }

    #[test]
    fn the_thesis_slots_are_five_minutes_of_the_utc_day() {
        let hours = WorkingHours::from_slots(108, 170).unwrap();
        assert_eq!(edge(&hours, "2009-05-06T09:00:00Z"), (true, "2009-05-06T14:10:00.000Z".to_owned()));
        assert_eq!(edge(&hours, "2009-05-06T14:10:00Z"), (false, "2009-05-07T09:00:00.000Z".to_owned()));
        assert!(WorkingHours::from_slots(108, 108).is_err());
        assert!(WorkingHours::from_slots(-1, 108).is_err());
    }

    #[test]
    fn what_is_no_working_hours_is_said() {
        let wrong = |text| WorkingHours::parse(text, Oslo).unwrap_err().to_string();
        assert!(wrong("").contains("no window"));
        assert!(wrong("Mon-Fry 09:00-16:00").contains("'Fry' is no day"));
        assert!(wrong("Mon 9:00-16:00").contains("'9:00' is no time"));
        assert!(wrong("Mon +9:00-16:00").contains("'+9:00' is no time"));
        assert!(wrong("Mon 09:00-25:00").contains("'25:00'"));
        assert!(wrong("Mon 09:00-09:00").contains("never opens"));
        assert!(wrong("Mon 09:00").contains("no time of day"));
    }

    #[test]
    fn midnight_is_written_as_either_end_of_the_day() {
        let read = |text: &str| WorkingHours::parse(text, Tz::UTC).map(|hours| hours.windows());
        let slots = |start, stop| WorkingHours::from_slots(start, stop).map(|hours| hours.windows());
        let never = |text: &str| Err(HoursError::NeverOpens(text.to_owned()));
        for (text, start, stop, expected) in [
            ("00:00-24:00", 0, 288, "00:00-24:00"),
            ("09:00-00:00", 108, 0, "09:00-24:00"),
            ("09:00-24:00", 108, 288, "09:00-24:00"),
            ("00:00-01:00", 0, 12, "00:00-01:00"),
            ("24:00-01:00", 288, 12, "00:00-01:00"),
        ] {
            assert_eq!((read(text), slots(start, stop)), (Ok(expected.to_owned()), Ok(expected.to_owned())), "{text}");
        }
        for (text, start, stop) in
            [("00:00-00:00", 0, 0), ("24:00-00:00", 288, 0), ("24:00-24:00", 288, 288), ("09:00-09:00", 108, 108)]
        {
            assert_eq!((read(text), slots(start, stop)), (never(text), never(&format!("{start}-{stop}"))), "{text}");
        }
        assert_eq!(slots(0, 289), Err(HoursError::Slot(289)));
        assert_eq!(slots(-1, 12), Err(HoursError::Slot(-1)));
    }

    #[test]
    fn a_day_that_a_zone_skips_opens_nothing_but_what_reaches_into_the_next() {
        // Samoa had no Friday 30 December 2011.
        let edge = |text: &str| {
            let hours = WorkingHours::parse(text, chrono_tz::Pacific::Apia).unwrap();
            let edge = hours.edge(at("2011-12-29T23:00:00-10:00"));
            (edge.open, edge.until.rfc3339())
        };
        assert_eq!(edge("Fri 00:30-00:10"), (false, "2011-12-30T10:00:00.000Z".to_owned()), "Saturday 00:00");
        assert_eq!(edge("Fri 09:00-16:00"), (false, "2012-01-05T19:00:00.000Z".to_owned()), "a week later");
    }

    #[test]
    fn days_are_single_a_range_or_a_range_over_the_weekend() {
        let days = |text: &str| WorkingHours::parse(&format!("{text} 09:00-16:00"), Tz::UTC).unwrap().windows();
        for (text, expected) in [
            ("Mon", "Mon"),
            ("Mon Tue", "Mon Tue"),
            ("Tue Mon", "Mon Tue"),
            ("Mon Tue Wed", "Mon-Wed"),
            ("Sat-Mon", "Mon Sat Sun"),
            ("Fri-Mon", "Mon Fri-Sun"),
            ("Mon Wed-Fri Sun", "Mon Wed-Fri Sun"),
            ("Sun-Sun", "Sun"),
        ] {
            assert_eq!(days(text), format!("{expected} 09:00-16:00"), "{text}");
        }
        assert_eq!(days("Mon-Sun"), "09:00-16:00");
    }

    #[test]
    fn the_times_of_a_day_end_at_24_00() {
        let read = |text: &str| WorkingHours::parse(text, Tz::UTC).map(|hours| hours.windows());
        assert_eq!(read("10:59-23:59"), Ok("10:59-23:59".to_owned()));
        for wrong in ["24:01", "23:60", "25:00", "1:00", "001:00", "10:0", "aa:00"] {
            assert_eq!(read(&format!("08:00-{wrong}")), Err(HoursError::Time(wrong.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn an_edge_is_the_first_instant_at_which_it_changes(
            minute in 0_i64..1_000_000, from in 0_u32..24, len in 1_u32..24, day in 0_usize..7,
        ) {
            let days = ["Mon", "Tue", "Wed-Fri", "Sat Sun", "Sun", "Mon-Sun", "Fri"];
            let text = format!("{} {from:02}:00-{:02}:00", days[day], (from + len) % 24);
            let hours = WorkingHours::parse(&text, Oslo).unwrap();
            let now = at("2009-01-01T00:00:00Z") + Span::from_mins(minute);
            let edge = hours.edge(now);
            prop_assert!(edge.until > now);
            if edge.until < Timestamp::NEVER {
                prop_assert_eq!(hours.edge(edge.until).open, !edge.open);
                let before = edge.until - Span::from_millis(1);
                prop_assert_eq!(hours.edge(before).open, edge.open);
            }
        }
    }
}
