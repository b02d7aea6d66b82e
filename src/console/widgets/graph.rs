//! A graph over time: readings as a line of dots, the bounds as they were at the time, and what happened meanwhile.

use ratatui::layout::Rect;

use crate::console::text::{Zone, width};
use crate::console::theme::Role;
use crate::console::widgets::axis::{Scale, place, range};
use crate::console::widgets::{Canvas, axis};
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::exact;
use crate::core::insight::Band;
use crate::core::policy::Bounds;
use crate::view::{Mark, MarkKind, Stretch};

/// Moves and edits, on the time axis.
fn marks(canvas: &mut Canvas<'_>, scale: &Scale, marks: &[Mark]) {
    let [moved, edited] = canvas.glyphs.marks;
    // An edit is rarer than a move and changes more: it is never under one.
    let is_edit = |mark: &&Mark| mark.kind == MarkKind::Edited;
    for mark in marks.iter().filter(|mark| !is_edit(mark)).chain(marks.iter().filter(is_edit)) {
        let Some(x) = scale.column(mark.at) else { continue };
        canvas.glyph(x, scale.plot.bottom(), if is_edit(&mark) { edited } else { moved }, Role::Mark);
    }
}

/// A graph of the past.
#[derive(Default)]
pub struct Graph<'a> {
    /// Readings, oldest first.
    pub bands: &'a [Band],
    /// Two bands further apart than this are not joined.
    pub longest_step: Span,
    /// The bounds as they were, oldest first; the first holds at the left edge.
    pub bounds: &'a [(Timestamp, Bounds)],
    /// Values that are to be on the graph, too.
    pub also: &'a [f64],
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

impl Graph<'_> {
    /// Draws the graph; the last two lines are the time axis. Says where things fall on it; `None` without room.
    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) -> Option<Scale> {
        let labels = self.bound_labels();
        let right = labels.iter().map(|(_, label)| width(label) as u16 + 1).max().unwrap_or(0).max(self.right);
        let scale = place(canvas, area, self.range(), (self.left, right), (self.from, self.span))?;
        let dots = self.dots(&scale);
        self.shade(canvas, &scale);
        dots.draw_fill(canvas);
        self.bound_lines(canvas, &scale);
        let mut taken = None;
        for (bound, label) in &labels {
            let row = scale.row(*bound);
            if taken.replace(row) != Some(row) {
                canvas.put(scale.plot.right() + 1, row, width(label) as u16, label, Role::Bound);
            }
        }
        if let Some(x) = self.cursor.and_then(|at| scale.column(at)) {
            for y in scale.plot.top()..scale.plot.bottom() {
                canvas.glyph(x, y, canvas.glyphs.axis[0], Role::Key);
            }
        }
        dots.draw(canvas);
        axis::time(canvas, &scale, self.zone, self.live);
        self.below(canvas, &scale);
        Some(scale)
    }

    fn range(&self) -> (f64, f64) {
        let shown = self.bands.iter().filter(|band| band.at >= self.from);
        let values = shown.flat_map(|band| [band.min, band.max]).map(f64::from);
        let bounds = self.bounds.iter().flat_map(|(_, bounds)| [bounds.high, bounds.low]).flatten();
        range(values.chain(bounds).chain(self.also.iter().copied()))
    }

    /// The bounds at the right edge, the threshold first: of two that fall into one line only the first has its number.
    fn bound_labels(&self) -> Vec<(f64, String)> {
        let Some((_, last)) = self.bounds.last() else { return Vec::new() };
        [last.high, last.low].into_iter().flatten().map(|bound| (bound, exact(bound))).collect()
    }

    /// Stretches without readings, by dots that stay behind everything.
    fn shade(&self, canvas: &mut Canvas<'_>, scale: &Scale) {
        for (stretches, role) in [(self.rests, Role::Resting), (self.gaps, Role::Warning)] {
            for (left, right) in stretches.iter().filter_map(|stretch| scale.stretch(stretch.from, stretch.to)) {
                for (x, y) in (left..=right).flat_map(|x| (scale.plot.top()..scale.plot.bottom()).map(move |y| (x, y)))
                {
                    if (x + 2 * y) % 4 == 0 {
                        canvas.glyph(x, y, canvas.glyphs.shade, role);
                    }
                }
            }
        }
    }

    /// Every bound as long as it held.
    fn bound_lines(&self, canvas: &mut Canvas<'_>, scale: &Scale) {
        for (i, (at, bounds)) in self.bounds.iter().enumerate() {
            let from = if i == 0 { scale.from } else { *at };
            let to = self.bounds.get(i + 1).map_or(scale.to(), |(next, _)| *next);
            let Some((left, right)) = scale.stretch(from, to) else { continue };
            for y in [bounds.high, bounds.low].into_iter().flatten().map(|bound| scale.row(bound)) {
                for x in left..=right {
                    canvas.glyph(x, y, canvas.glyphs.dash, Role::Bound);
                }
            }
        }
    }

    fn bounds_at(&self, at: Timestamp) -> Bounds {
        let after = self.bounds.partition_point(|(from, _)| *from <= at);
        self.bounds.get(after.saturating_sub(1)).map(|(_, bounds)| bounds.rounded()).unwrap_or_default()
    }

    /// The means as a line, from the least to the greatest value as a fill behind it.
    fn dots(&self, scale: &Scale) -> DotGrid {
        let mut dots = DotGrid::new(scale);
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
                    // Between two readings the line is past the bound where it lies past it.
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
    fn below(&self, canvas: &mut Canvas<'_>, scale: &Scale) {
        let y = scale.plot.bottom();
        let [gap, rest] = canvas.glyphs.missed;
        for (stretches, glyph, role) in [(self.rests, rest, Role::Resting), (self.gaps, gap, Role::Warning)] {
            for (left, right) in stretches.iter().filter_map(|stretch| scale.stretch(stretch.from, stretch.to)) {
                for x in left..=right {
                    canvas.glyph(x, y, glyph, role);
                }
            }
        }
        marks(canvas, scale, self.marks);
        if let Some(x) = self.cursor.and_then(|at| scale.column(at)) {
            canvas.over(Rect::new(x, y, 1, 1), Role::Cursor);
        }
    }
}

/// One character's dots.
#[derive(Clone, Copy, Default)]
struct DotCell {
    line: u8,
    fill: u8,
    beyond: bool,
    fill_beyond: bool,
}

/// A grid of dots.
pub struct DotGrid {
    cells: Vec<DotCell>,
    plot: Rect,
    fine: (u16, u16),
}

/// Bits of U+2800: the left column's dots are 1 2 3 7, the right one's 4 5 6 8.
const BRAILLE: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

impl DotGrid {
    /// None yet.
    pub fn new(scale: &Scale) -> Self {
        let plot = scale.plot;
        let cells = vec![DotCell::default(); usize::from(plot.width) * usize::from(plot.height)];
        Self { cells, plot, fine: scale.fine }
    }

    fn cell(&mut self, x: u16, y: u16) -> Option<(&mut DotCell, u8)> {
        let (column, row) = (x / self.fine.0, y / self.fine.1);
        if column >= self.plot.width || row >= self.plot.height {
            return None;
        }
        let bit = BRAILLE[usize::from(y % self.fine.1)][usize::from(x % self.fine.0)];
        let cell = &mut self.cells[usize::from(row) * usize::from(self.plot.width) + usize::from(column)];
        Some((cell, bit))
    }

    /// A dot of the line.
    pub fn set(&mut self, x: u16, y: u16, beyond: bool) {
        if let Some((cell, bit)) = self.cell(x, y) {
            cell.line |= bit;
            cell.beyond |= beyond;
        }
    }

    /// A dot of the fill: every second one, so that it stays lighter than the line.
    pub fn shade(&mut self, x: u16, y: u16, beyond: bool) {
        if (x + y) % 2 == 1 {
            return;
        }
        if let Some((cell, bit)) = self.cell(x, y) {
            cell.fill |= bit;
            cell.fill_beyond |= beyond;
        }
    }

    /// A line from dot to dot.
    pub fn join(&mut self, (x0, y0): (u16, u16), (x1, y1): (u16, u16), beyond: impl Fn(u16) -> bool) {
        let steps = x1.abs_diff(x0).max(y1.abs_diff(y0)).max(1);
        let along = |from: u16, to: u16, i: u16| {
            let share = f64::from(i) / f64::from(steps);
            (f64::from(from) + (f64::from(to) - f64::from(from)) * share).round() as u16
        };
        for i in 0..=steps {
            let y = along(y0, y1, i);
            self.set(along(x0, x1, i), y, beyond(y));
        }
    }

    /// Draws the fill.
    pub fn draw_fill(&self, canvas: &mut Canvas<'_>) {
        for (x, y, cell) in self.places().filter(|(_, _, cell)| cell.fill != 0) {
            let role = if cell.fill_beyond { Role::Beyond } else { Role::Faint };
            canvas.dots(x, y, if canvas.glyphs.braille { braille(cell.fill) } else { ':' }, role);
        }
    }

    /// Draws the line.
    pub fn draw(&self, canvas: &mut Canvas<'_>) {
        for (x, y, cell) in self.places().filter(|(_, _, cell)| cell.line != 0) {
            let role = if cell.beyond { Role::Beyond } else { Role::Graph };
            canvas.dots(x, y, if canvas.glyphs.braille { braille(cell.line) } else { plain(cell.line) }, role);
        }
    }

    fn places(&self) -> impl Iterator<Item = (u16, u16, &DotCell)> {
        let plot = self.plot;
        let place = move |i: usize| (plot.x + i as u16 % plot.width, plot.y + i as u16 / plot.width);
        self.cells.iter().enumerate().map(move |(i, cell)| (place(i).0, place(i).1, cell))
    }
}

fn braille(bits: u8) -> char {
    char::from_u32(0x2800 + u32::from(bits)).unwrap_or('*')
}

/// Three heights of a line in ASCII.
const fn plain(bits: u8) -> char {
    match bits {
        0x01 => '\'',
        0x02 => '-',
        0x04 => '.',
        0x03 | 0x06 | 0x07 => '|',
        _ => ':',
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;

    use super::*;
    use crate::console::Glyphs;
    use crate::console::theme::{Colours, Theme, ThemeName};

    const AREA: Rect = Rect::new(0, 0, 46, 12);

    fn at(mins: i64) -> Timestamp {
        Timestamp::from_secs(1_241_611_200 + mins * 60)
    }

    fn reading(mins: i64, value: f32) -> Band {
        Band::of_reading(at(mins), Some(value))
    }

    fn from(mins: i64, high: f64) -> (Timestamp, Bounds) {
        (at(mins), Bounds { high: Some(high), ..Bounds::default() })
    }

    /// An hour's graph as text, and how its cells look.
    fn drawn(bands: &[Band], bounds: &[(Timestamp, Bounds)], gaps: &[Stretch], ascii: bool) -> (Vec<String>, Buffer) {
        let theme = Theme::built_in(ThemeName::Dark, Colours::Sixteen);
        let mut buffer = Buffer::empty(AREA);
        let graph = Graph {
            bands,
            longest_step: Span::from_mins(3),
            bounds,
            gaps,
            from: at(0),
            span: Span::from_mins(40),
            zone: Zone::Utc,
            left: 4,
            ..Graph::default()
        };
        let scale = graph.draw(&mut Canvas::new(&mut buffer, &theme, Glyphs::pick(ascii)), AREA);
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
    fn of_two_bounds_in_one_line_only_the_threshold_has_its_number() {
        let near = (at(0), Bounds { high: Some(2.0), low: Some(1.9), ..Bounds::default() });
        let (lines, _) = drawn(&[reading(20, 90.0)], &[near], &[], false);
        let numbers: Vec<&str> = lines.iter().filter_map(|line| line.rsplit_once('╌')).map(|(_, n)| n.trim()).collect();
        assert_eq!(numbers, ["2"]);
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
