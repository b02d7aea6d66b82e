//! Where values and instants fall on a graph, and its axes: numbers at the left, a clock or a calendar below.

use chrono::{Datelike, NaiveDateTime, Timelike};
use ratatui::layout::Rect;

use crate::console::text::{Zone, width};
use crate::console::theme::Role;
use crate::console::widgets::Canvas;
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::number;

/// Finds the plot between the axes and draws the numbers at its left, which take `columns.0` columns at least;
/// `columns.1` stay free at its right. `None`: there is no room for a graph.
pub(super) fn place(
    canvas: &mut Canvas<'_>,
    area: Rect,
    (bottom, top): (f64, f64),
    columns: (u16, u16),
    (from, span): (Timestamp, Span),
) -> Option<Scale> {
    let labels = labels(bottom, top);
    let axis = labels.iter().map(|label| width(label) as u16 + 1).max().unwrap_or(0).max(columns.0);
    let width = area.width.checked_sub(axis + 1 + columns.1).filter(|columns| *columns >= 8)?;
    let height = area.height.checked_sub(2).filter(|rows| *rows >= 2)?;
    let plot = Rect::new(area.x + axis + 1, area.y, width, height);
    let fine = if canvas.glyphs.braille { (2, 4) } else { (1, 3) };
    let scale = Scale { plot, bottom, top, fine, from, span };
    values(canvas, &scale, &labels, area.x);
    Some(scale)
}

/// The numbers beside the plot: top, middle, foot. Written as the bounds at its right are, while that is short.
pub fn labels(bottom: f64, top: f64) -> [String; 3] {
    let label = |value: f64| if (1e3..1e4).contains(&value) { format!("{value:.0}") } else { number(value) };
    [top, (top + bottom) / 2.0, bottom].map(label)
}

/// Draws the numbers, right-aligned in the columns before the plot, which begin at `x`.
pub fn values(canvas: &mut Canvas<'_>, scale: &Scale, labels: &[String; 3], x: u16) {
    let [step, tick, foot] = canvas.glyphs.axis;
    let plot = scale.plot;
    let axis = plot.x - 1;
    let columns = axis.saturating_sub(x + 1);
    for y in plot.top()..plot.bottom() {
        canvas.glyph(axis, y, step, Role::Faint);
    }
    let middle = scale.row((scale.top + scale.bottom) / 2.0);
    for (y, label) in [(middle, &labels[1]), (plot.top(), &labels[0])] {
        // On a low graph half the height would share its line with other values.
        if y != plot.top() && plot.height < 5 {
            continue;
        }
        canvas.put_right(x, y, columns, label, Role::Quiet);
        canvas.glyph(axis, y, tick, Role::Faint);
    }
    canvas.put_right(x, plot.bottom(), columns, &labels[2], Role::Quiet);
    canvas.glyph(axis, plot.bottom(), foot, Role::Faint);
}

/// Draws the time below the plot, in two lines. `live`: the right edge is the present.
pub fn time(canvas: &mut Canvas<'_>, scale: &Scale, zone: Zone, live: bool) {
    let plot = scale.plot;
    let (y, below) = (plot.bottom(), plot.bottom() + 1);
    let [line, tick] = canvas.glyphs.ticks;
    for x in plot.left()..plot.right() {
        canvas.glyph(x, y, line, Role::Faint);
    }
    let step = TickStep::of(scale.span, plot.width);
    let end = if live { "now".to_owned() } else { step.label(zone.read(scale.to()), scale.span) };
    let end_at = plot.right().saturating_sub(width(&end) as u16);
    let mut free = plot.x;
    for at in step.ticks(scale, zone) {
        let Some(x) = scale.column(at) else { continue };
        canvas.glyph(x, y, tick, Role::Faint);
        let label = step.label(zone.read(at), scale.span);
        let columns = width(&label) as u16;
        let start = x.saturating_sub(columns / 2).max(plot.x);
        if start >= free && start + columns + 1 < end_at {
            free = canvas.put(start, below, columns, &label, Role::Quiet) + 2;
        }
    }
    canvas.put(end_at, below, width(&end) as u16, &end, Role::Quiet);
}

/// How far apart ticks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TickStep {
    Minutes(i64),
    Days(i64),
    Months(u32),
}

const DAY: i64 = 1_440;

/// Shortest first.
const STEPS: [TickStep; 19] = [
    TickStep::Minutes(1),
    TickStep::Minutes(2),
    TickStep::Minutes(5),
    TickStep::Minutes(10),
    TickStep::Minutes(15),
    TickStep::Minutes(30),
    TickStep::Minutes(60),
    TickStep::Minutes(120),
    TickStep::Minutes(180),
    TickStep::Minutes(360),
    TickStep::Minutes(720),
    TickStep::Days(1),
    TickStep::Days(2),
    TickStep::Days(7),
    TickStep::Days(14),
    TickStep::Months(1),
    TickStep::Months(2),
    TickStep::Months(3),
    TickStep::Months(6),
];

/// From this stretch on a clock's midnight is told as a date.
const DATES_FROM: Span = Span::from_hours(6);

impl TickStep {
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

/// Where values and instants fall on the plot's dots.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// The cells within the axes.
    pub plot: Rect,
    /// The value at the foot.
    pub bottom: f64,
    /// The value at the top.
    pub top: f64,
    /// Dots to a cell, across and down.
    pub fine: (u16, u16),
    /// The left edge.
    pub from: Timestamp,
    /// From the left edge to the right one.
    pub span: Span,
}

impl Scale {
    /// Dots across.
    pub const fn columns(&self) -> u16 {
        self.plot.width * self.fine.0
    }

    /// Dots down.
    pub const fn rows(&self) -> u16 {
        self.plot.height * self.fine.1
    }

    /// The right edge.
    pub fn to(&self) -> Timestamp {
        self.from + self.span
    }

    /// Dots from the left; `None` outside.
    pub fn x(&self, at: Timestamp) -> Option<u16> {
        if at < self.from {
            return None;
        }
        let share = at.since(self.from).secs_f64() / self.span.secs_f64().max(1e-9);
        (share <= 1.0).then(|| (share * f64::from(self.columns().saturating_sub(1))).round() as u16)
    }

    /// The cell's column on the screen; `None` outside.
    pub fn column(&self, at: Timestamp) -> Option<u16> {
        self.x(at).map(|x| self.plot.x + x / self.fine.0)
    }

    /// The cells' columns of a stretch, as far as it is on the plot.
    pub fn stretch(&self, from: Timestamp, to: Timestamp) -> Option<(u16, u16)> {
        if to < self.from || from > self.to() {
            return None;
        }
        Some((self.column(from.max(self.from))?, self.column(to.min(self.to()))?))
    }

    /// Dots from the top.
    pub fn y(&self, value: f64) -> u16 {
        let share = ((value - self.bottom) / (self.top - self.bottom)).clamp(0.0, 1.0);
        ((1.0 - share) * f64::from(self.rows().saturating_sub(1))).round() as u16
    }

    /// The cell's row on the screen.
    pub fn row(&self, value: f64) -> u16 {
        self.plot.y + self.y(value) * self.plot.height / self.rows().max(1)
    }

    /// The value at so many dots from the top.
    pub fn value(&self, y: u16) -> f64 {
        self.top - f64::from(y) / f64::from(self.rows().saturating_sub(1).max(1)) * (self.top - self.bottom)
    }
}

/// Round numbers around all of these, and zero.
pub fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let seen = values.filter(|value| value.is_finite());
    let (low, high) = seen.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let top = if high > 0.0 { round_up(high) } else { 0.0 };
    let bottom = if low < 0.0 { -round_up(-low) } else { 0.0 };
    if top > bottom { (bottom, top) } else { (0.0, 1.0) }
}

/// The least of 1, 1.2, 1.6, 2, 3, 4, 5, 6, 8 times a power of ten that holds the value with a little room.
fn round_up(value: f64) -> f64 {
    let wanted = value * 1.04;
    let power = 10f64.powf(wanted.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
    let step = steps.into_iter().find(|step| step * power >= wanted).unwrap_or(10.0);
    step * power
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
        let step = TickStep::of(scale.span, columns);
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
            let ticks = TickStep::of(scale.span, columns).ticks(&scale, Zone::Utc);
            assert!(!ticks.is_empty() && ticks.len() <= usize::from(columns / 9), "{hours} h: {}", ticks.len());
        }
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let tops = [1.0, 50.0, 88.0, 112.0, 2_500.0, 0.07].map(round_up);
        let expected = [1.2, 60.0, 100.0, 120.0, 3_000.0, 0.08];
        for (top, expected) in tops.into_iter().zip(expected) {
            assert!((top - expected).abs() < 1e-9, "{top} is not {expected}");
        }
    }

    #[test]
    fn instants_outside_fall_nowhere_and_stretches_are_cut_to_the_plot() {
        let at = |s: i64| Timestamp::from_secs(1_000 + s);
        let scale = Scale {
            plot: Rect::new(5, 0, 10, 4),
            bottom: 0.0,
            top: 10.0,
            fine: (2, 4),
            from: at(0),
            span: Span::from_secs(100),
        };
        assert_eq!([-1, 0, 100, 101].map(|s| scale.column(at(s))), [None, Some(5), Some(14), None]);
        assert_eq!(scale.stretch(at(-50), at(500)), Some((5, 14)));
        assert_eq!(scale.stretch(at(-50), at(-1)), None);
        assert_eq!((scale.y(10.0), scale.y(0.0), scale.value(0), scale.value(15)), (0, 15, 10.0, 0.0));
    }
}
