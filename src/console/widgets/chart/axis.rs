//! The axes: numbers at the left, and a clock or a calendar below.

use chrono::{Datelike, NaiveDateTime, Timelike};

use super::Scale;
use crate::console::text::{Zone, width};
use crate::console::theme::Role;
use crate::console::widgets::Canvas;
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::number;

/// The numbers beside the plot: top, middle, foot. Written as the bounds at its right are, while that is short.
pub fn labels(bottom: f64, top: f64) -> [String; 3] {
    let label = |value: f64| if (1e3..1e4).contains(&value) { format!("{value:.0}") } else { number(value) };
    [top, (top + bottom) / 2.0, bottom].map(label)
}

/// Draws the numbers, right-aligned in the columns before the plot, which begin at `x`.
pub fn values(pen: &mut Canvas<'_>, scale: &Scale, labels: &[String; 3], x: u16) {
    let [step, tick, foot] = pen.glyphs.axis;
    let plot = scale.plot;
    let axis = plot.x - 1;
    let columns = axis.saturating_sub(x + 1);
    for y in plot.top()..plot.bottom() {
        pen.glyph(axis, y, step, Role::Faint);
    }
    let middle = scale.row((scale.top + scale.bottom) / 2.0);
    for (y, label) in [(middle, &labels[1]), (plot.top(), &labels[0])] {
        // On a low graph half the height would share its line with other values.
        if y != plot.top() && plot.height < 5 {
            continue;
        }
        pen.put_right(x, y, columns, label, Role::Quiet);
        pen.glyph(axis, y, tick, Role::Faint);
    }
    pen.put_right(x, plot.bottom(), columns, &labels[2], Role::Quiet);
    pen.glyph(axis, plot.bottom(), foot, Role::Faint);
}

/// Draws the time below the plot, in two lines. `live`: the right edge is the present.
pub fn time(pen: &mut Canvas<'_>, scale: &Scale, zone: Zone, live: bool) {
    let plot = scale.plot;
    let (y, below) = (plot.bottom(), plot.bottom() + 1);
    let [line, tick] = pen.glyphs.ticks;
    for x in plot.left()..plot.right() {
        pen.glyph(x, y, line, Role::Faint);
    }
    let step = Step::of(scale.span, plot.width);
    let end = if live { "now".to_owned() } else { step.label(zone.read(scale.to()), scale.span) };
    let end_at = plot.right().saturating_sub(width(&end) as u16);
    let mut free = plot.x;
    for at in step.ticks(scale, zone) {
        let Some(x) = scale.column(at) else { continue };
        pen.glyph(x, y, tick, Role::Faint);
        let label = step.label(zone.read(at), scale.span);
        let columns = width(&label) as u16;
        let start = x.saturating_sub(columns / 2).max(plot.x);
        if start >= free && start + columns + 1 < end_at {
            free = pen.put(start, below, columns, &label, Role::Quiet) + 2;
        }
    }
    pen.put(end_at, below, width(&end) as u16, &end, Role::Quiet);
}

/// How far apart ticks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Minutes(i64),
    Days(i64),
    Months(u32),
}

const DAY: i64 = 1_440;

/// Shortest first.
const STEPS: [Step; 19] = [
    Step::Minutes(1),
    Step::Minutes(2),
    Step::Minutes(5),
    Step::Minutes(10),
    Step::Minutes(15),
    Step::Minutes(30),
    Step::Minutes(60),
    Step::Minutes(120),
    Step::Minutes(180),
    Step::Minutes(360),
    Step::Minutes(720),
    Step::Days(1),
    Step::Days(2),
    Step::Days(7),
    Step::Days(14),
    Step::Months(1),
    Step::Months(2),
    Step::Months(3),
    Step::Months(6),
];

/// From this stretch on a clock's midnight is told as a date.
const DATES_FROM: Span = Span::from_hours(6);

impl Step {
    /// The shortest one whose ticks stand at least ten columns apart.
    fn of(span: Span, columns: u16) -> Self {
        let minutes = span.secs_f64() / 60.0;
        let most = f64::from((columns / 10).max(1));
        STEPS.into_iter().find(|step| minutes / step.minutes() as f64 <= most).unwrap_or(Self::Months(12))
    }

    const fn minutes(self) -> i64 {
        match self {
            Self::Minutes(minutes) => minutes,
            Self::Days(days) => days * DAY,
            Self::Months(months) => months as i64 * 30 * DAY,
        }
    }

    fn label(self, at: NaiveDateTime, span: Span) -> String {
        let is_midnight = at.hour() == 0 && at.minute() == 0;
        let format = match self {
            Self::Minutes(_) if is_midnight && span >= DATES_FROM => "%-d %b",
            Self::Minutes(_) => "%H:%M",
            Self::Days(_) => "%-d %b",
            Self::Months(_) if at.month() == 1 => "%Y",
            Self::Months(_) => "%b",
        };
        at.format(format).to_string()
    }

    /// Whether a local instant, to the minute, is one of the ticks.
    fn is_tick(self, at: NaiveDateTime) -> bool {
        let minute = i64::from(at.hour() * 60 + at.minute());
        // Weeks begin on Mondays.
        let day = i64::from(at.date().num_days_from_ce()) - 1;
        match self {
            Self::Minutes(minutes) => minute % minutes == 0,
            Self::Days(days) => minute == 0 && day % days == 0,
            Self::Months(months) => minute == 0 && at.day() == 1 && at.month0().is_multiple_of(months),
        }
    }

    /// The ticks on a plot, on the zone's clock.
    fn ticks(self, scale: &Scale, zone: Zone) -> Vec<Timestamp> {
        // A clock's hands stand at a multiple of a quarter whenever they stand at one in UTC: every zone is some
        // quarters of an hour away from it, also on the nights on which it changes.
        let apart = match self {
            Self::Minutes(..5) => 1,
            Self::Minutes(..15) => 5,
            _ => 15,
        };
        let step = apart * 60_000;
        let start = scale.from.millis();
        let first = start + (step - start.rem_euclid(step)) % step;
        let mut ticks = Vec::new();
        let mut at = Timestamp::from_millis(first);
        while at <= scale.to() {
            let local = zone.read(at);
            if self.is_tick(local) {
                ticks.push(at);
            }
            at += self.skip(local, apart);
        }
        ticks
    }

    /// To the next instant worth a look: days and months need not be gone through by quarters.
    fn skip(self, local: NaiveDateTime, apart: i64) -> Span {
        let to_midnight = DAY - i64::from(local.hour() * 60 + local.minute());
        match self {
            Self::Months(_) if local.day() < 26 => Span::from_mins(i64::from(26 - local.day()) * DAY),
            // Two hours before midnight it goes by quarters again: a night may be shorter than it looks.
            Self::Days(_) | Self::Months(_) if to_midnight > 180 => Span::from_mins(to_midnight - 120),
            _ => Span::from_mins(apart),
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    fn scale(hours: i64, columns: u16) -> Scale {
        // 2009-05-06T14:44:23Z, a Wednesday.
        let to = Timestamp::from_millis(1_241_621_063_000);
        let span = Span::from_hours(hours);
        Scale { plot: Rect::new(0, 0, columns, 4), bottom: 0.0, top: 1.0, fine: (2, 4), from: to - span, span }
    }

    fn labels(hours: i64, columns: u16) -> Vec<String> {
        let scale = scale(hours, columns);
        let step = Step::of(scale.span, columns);
        let told = step.ticks(&scale, Zone::Utc).into_iter().map(|at| step.label(Zone::Utc.read(at), scale.span));
        told.collect()
    }

    #[test]
    fn an_hour_has_a_clock_and_a_day_says_where_midnight_is() {
        assert_eq!(labels(1, 60), ["13:50", "14:00", "14:10", "14:20", "14:30", "14:40"]);
        assert_eq!(labels(24, 60), ["18:00", "6 May", "06:00", "12:00"]);
    }

    #[test]
    fn weeks_begin_on_mondays_and_years_with_their_number() {
        assert_eq!(labels(24 * 7, 80), ["30 Apr", "1 May", "2 May", "3 May", "4 May", "5 May", "6 May"]);
        assert_eq!(labels(24 * 30, 60), ["13 Apr", "20 Apr", "27 Apr", "4 May"]);
        assert_eq!(labels(24 * 365, 60), ["Jul", "Oct", "2009", "Apr"]);
    }

    #[test]
    fn ticks_stand_apart_on_every_stretch() {
        for (hours, columns) in
            [1, 3, 6, 12, 24, 72, 168, 720, 2_184, 8_760].into_iter().flat_map(|h| [(h, 40), (h, 190)])
        {
            let scale = scale(hours, columns);
            let ticks = Step::of(scale.span, columns).ticks(&scale, Zone::Utc);
            assert!(!ticks.is_empty() && ticks.len() <= usize::from(columns / 9), "{hours} h: {}", ticks.len());
        }
    }
}
