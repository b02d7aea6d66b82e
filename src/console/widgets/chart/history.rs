//! A long graph: bands of min, mean and max, the bounds as they were at the time, and what happened meanwhile.

use ratatui::layout::Rect;

use super::{Bounds, Dots, Scale, axis, marks, place, range};
use crate::console::text::{Zone, width};
use crate::console::theme::Role;
use crate::console::widgets::Canvas;
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::exact;
use crate::core::insight::Band;
use crate::view::{BoundsFrom, Mark, Stretch};

/// A graph of the past.
pub struct History<'a> {
    /// Readings, oldest first.
    pub bands: &'a [Band],
    /// Two bands further apart than this are not joined.
    pub longest_step: Span,
    /// The bounds as they were, oldest first; the first holds at the left edge.
    pub bounds: &'a [BoundsFrom],
    /// Values that are to be on the graph, too.
    pub also: &'a [f64],
    /// A value that equals the threshold is past it (site policy: big jobs).
    pub inclusive: bool,
    /// Moves and edits, oldest first.
    pub marks: &'a [Mark],
    /// Readings that were missed.
    pub gaps: &'a [Stretch],
    /// Scheduled rests.
    pub rests: &'a [Stretch],
    /// The left edge.
    pub from: Timestamp,
    /// From the left edge to the right one.
    pub span: Span,
    /// The right edge is the present.
    pub live: bool,
    /// The instant under the cursor.
    pub cursor: Option<Timestamp>,
    /// The clock below.
    pub zone: Zone,
    /// Columns at the left of the plot, at least.
    pub left: u16,
    /// Columns at its right, at least.
    pub right: u16,
}

impl History<'_> {
    /// Draws the graph; the last two lines are the time axis. Says where things fall on it; `None` without room.
    pub fn draw(&self, pen: &mut Canvas<'_>, area: Rect) -> Option<Scale> {
        let labels = self.bound_labels();
        let right = labels.iter().map(|(_, label)| width(label) as u16 + 1).max().unwrap_or(0).max(self.right);
        let scale = place(pen, area, self.range(), (self.left, right), (self.from, self.span))?;
        let dots = self.dots(&scale);
        self.shade(pen, &scale);
        dots.draw_fill(pen);
        self.bound_lines(pen, &scale);
        for (bound, label) in &labels {
            pen.put(scale.plot.right() + 1, scale.row(*bound), width(label) as u16, label, Role::Bound);
        }
        if let Some(x) = self.cursor.and_then(|at| scale.column(at)) {
            for y in scale.plot.top()..scale.plot.bottom() {
                pen.glyph(x, y, pen.glyphs.axis[0], Role::Key);
            }
        }
        dots.draw(pen);
        axis::time(pen, &scale, self.zone, self.live);
        self.below(pen, &scale);
        Some(scale)
    }

    fn range(&self) -> (f64, f64) {
        let shown = self.bands.iter().filter(|band| band.at >= self.from);
        let values = shown.flat_map(|band| [band.min, band.max]).map(f64::from);
        let bounds = self.bounds.iter().flat_map(|bounds| [bounds.high, bounds.low]).flatten();
        range(values.chain(bounds).chain(self.also.iter().copied()))
    }

    /// The bounds at the right edge; two in one line would hide each other, and the upper one stays.
    fn bound_labels(&self) -> Vec<(f64, String)> {
        let Some(last) = self.bounds.last() else { return Vec::new() };
        [last.low, last.high].into_iter().flatten().map(|bound| (bound, exact(bound))).collect()
    }

    /// Stretches without readings, by dots that stay behind everything.
    fn shade(&self, pen: &mut Canvas<'_>, scale: &Scale) {
        for (stretches, role) in [(self.rests, Role::Resting), (self.gaps, Role::Warning)] {
            for (left, right) in stretches.iter().filter_map(|stretch| scale.stretch(stretch.from, stretch.to)) {
                for (x, y) in (left..=right).flat_map(|x| (scale.plot.top()..scale.plot.bottom()).map(move |y| (x, y)))
                {
                    if (x + 2 * y) % 4 == 0 {
                        pen.glyph(x, y, pen.glyphs.shade, role);
                    }
                }
            }
        }
    }

    /// Every bound as long as it held.
    fn bound_lines(&self, pen: &mut Canvas<'_>, scale: &Scale) {
        for (i, bounds) in self.bounds.iter().enumerate() {
            let from = if i == 0 { scale.from } else { bounds.at };
            let to = self.bounds.get(i + 1).map_or(scale.to(), |next| next.at);
            let Some((left, right)) = scale.stretch(from, to) else { continue };
            for y in [bounds.high, bounds.low].into_iter().flatten().map(|bound| scale.row(bound)) {
                for x in left..=right {
                    pen.glyph(x, y, pen.glyphs.dash, Role::Bound);
                }
            }
        }
    }

    fn bounds_at(&self, at: Timestamp) -> Bounds {
        let after = self.bounds.partition_point(|bounds| bounds.at <= at);
        let Some(then) = self.bounds.get(after.saturating_sub(1)) else { return Bounds::default() };
        Bounds { high: then.high, low: then.low, direction: then.direction, inclusive: self.inclusive }.rounded()
    }

    /// The means as a line, from the least to the greatest value as a fill behind it.
    fn dots(&self, scale: &Scale) -> Dots {
        let mut dots = Dots::new(scale);
        let mut last: Option<(u16, f64, Timestamp)> = None;
        for band in self.bands {
            let Some(x) = scale.x(band.at) else { continue };
            let bounds = self.bounds_at(band.at);
            if !band.mean.is_finite() {
                // A service too busy to answer has no number, and is past every bound.
                if band.samples > 0 {
                    dots.set(x, 0, true);
                }
                last = None;
                continue;
            }
            let mean = f64::from(band.mean);
            let y = scale.y(mean);
            for y in scale.y(f64::from(band.max))..=scale.y(f64::from(band.min)) {
                if band.max > band.min {
                    dots.shade(x, y, bounds.is_beyond(scale.value(y)));
                }
            }
            let beyond = bounds.is_beyond(mean);
            match last.filter(|(_, _, at)| band.at.since(*at) <= self.longest_step) {
                Some((x0, v0, _)) => {
                    let both = beyond && bounds.is_beyond(v0);
                    let past = |y| both || bounds.is_beyond(scale.value(y));
                    dots.join((x0, scale.y(v0)), (x, y), past);
                }
                None => dots.set(x, y, beyond),
            }
            last = Some((x, mean, band.at));
        }
        dots
    }

    /// Gaps, rests, moves, edits and the cursor, as symbols on the time axis.
    fn below(&self, pen: &mut Canvas<'_>, scale: &Scale) {
        let y = scale.plot.bottom();
        let [gap, rest] = pen.glyphs.missed;
        for (stretches, glyph, role) in [(self.rests, rest, Role::Resting), (self.gaps, gap, Role::Warning)] {
            for (left, right) in stretches.iter().filter_map(|stretch| scale.stretch(stretch.from, stretch.to)) {
                for x in left..=right {
                    pen.glyph(x, y, glyph, role);
                }
            }
        }
        marks(pen, scale, self.marks);
        if let Some(x) = self.cursor.and_then(|at| scale.column(at)) {
            pen.over(Rect::new(x, y, 1, 1), Role::Cursor);
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;

    use super::*;
    use crate::console::Glyphs;
    use crate::console::theme::{Colours, Theme, ThemeName};
    use crate::core::cluster::Direction;

    const AREA: Rect = Rect::new(0, 0, 46, 12);

    fn at(mins: i64) -> Timestamp {
        Timestamp::from_secs(1_241_611_200 + mins * 60)
    }

    fn reading(mins: i64, value: f32) -> Band {
        let (min, mean, max) = (value, value, value);
        Band { at: at(mins), min, mean, max, count: 0, low_count: 0, samples: 1, gaps: 0 }
    }

    fn from(mins: i64, high: f64) -> BoundsFrom {
        BoundsFrom { at: at(mins), high: Some(high), low: None, direction: Direction::HigherIsWorse }
    }

    /// An hour's graph as text, and how its cells look.
    fn drawn(bands: &[Band], bounds: &[BoundsFrom], gaps: &[Stretch], ascii: bool) -> (Vec<String>, Buffer) {
        let theme = Theme::built_in(ThemeName::Dark, Colours::Sixteen);
        let mut buffer = Buffer::empty(AREA);
        let history = History {
            bands,
            longest_step: Span::from_mins(3),
            bounds,
            also: &[],
            inclusive: false,
            marks: &[],
            gaps,
            rests: &[],
            from: at(0),
            span: Span::from_mins(40),
            live: false,
            cursor: None,
            zone: Zone::Utc,
            left: 4,
            right: 0,
        };
        let scale = history.draw(&mut Canvas::new(&mut buffer, &theme, Glyphs::pick(ascii)), AREA);
        assert!(scale.is_some_and(|scale| scale.plot.height == 10));
        let line = |y| (0..AREA.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        ((0..AREA.height).map(line).collect(), buffer)
    }

    #[test]
    fn a_bound_is_drawn_where_it_was_as_long_as_it_was() {
        let (lines, _) = drawn(&[], &[from(-90, 20.0), from(20, 90.0)], &[], false);
        let steps: Vec<&String> = lines.iter().filter(|line| line.contains('╌')).collect();
        let columns = |line: &str| {
            let dashes = line.chars().enumerate().filter(|(_, c)| *c == '╌').map(|(x, _)| x);
            (dashes.clone().min(), dashes.max())
        };
        let (new, old) = (columns(steps[0]), columns(steps[1]));
        assert_eq!(steps.len(), 2);
        assert!(old.0 < new.0 && old.1 <= new.0, "{old:?} {new:?}");
        assert!(steps[0].trim_end().ends_with("90"), "the bound of the right edge has its number");
    }

    #[test]
    fn a_hole_in_the_readings_is_a_hole_in_the_line() {
        let joined: Vec<Band> = (0..=40).map(|mins| reading(mins, 40.0)).collect();
        let torn: Vec<Band> = joined.iter().filter(|band| !(at(10)..at(20)).contains(&band.at)).copied().collect();
        let gaps = [Stretch { from: at(10), to: at(19), text: "refused".into() }];
        let (whole, _) = drawn(&joined, &[], &[], true);
        let (holed, _) = drawn(&torn, &[], &gaps, true);
        let line = |lines: &[String]| {
            let longest = lines[..10].iter().max_by_key(|line| line.replace([' ', '.'], "").len());
            longest.map(|line| line.chars().skip(6).collect::<String>()).unwrap_or_default()
        };
        assert!(!line(&whole).trim().contains(' '), "{whole:?}");
        assert!(line(&holed).contains(' ') && line(&holed).trim().len() > 30, "{holed:?}");
        assert!(holed[10].contains("xxxxxxx"), "told below too, not by colour alone: {holed:?}");
    }

    #[test]
    fn from_least_to_most_is_lighter_than_the_mean_and_red_where_it_is_beyond() {
        let band = Band { min: 10.0, max: 90.0, samples: 30, ..reading(20, 30.0) };
        let (lines, buffer) = drawn(&[band], &[from(0, 60.0)], &[], false);
        let x =
            lines.iter().find_map(|line| line.chars().position(|c| ('\u{2801}'..='\u{28ff}').contains(&c))).unwrap();
        let theme = Theme::built_in(ThemeName::Dark, Colours::Sixteen);
        let looks = |role| (0..10).filter(|y| buffer[(x as u16, *y)].fg == theme.style(role).fg.unwrap()).count();
        assert_eq!(looks(Role::Graph), 1, "the mean");
        assert!(looks(Role::Beyond) >= 2 && looks(Role::Faint) >= 2, "{lines:?}");
    }

    #[test]
    fn a_service_too_busy_to_answer_stands_at_the_top() {
        let busy = Band { min: f32::NAN, mean: f32::NAN, max: f32::NAN, ..reading(20, 0.0) };
        let (lines, buffer) = drawn(&[busy], &[from(0, 60.0)], &[], true);
        let x = lines[0].chars().position(|c| c == '\'').expect("a dot at the top");
        let theme = Theme::built_in(ThemeName::Dark, Colours::Sixteen);
        assert_eq!(Some(buffer[(x as u16, 0)].fg), theme.style(Role::Beyond).fg);
    }
}
