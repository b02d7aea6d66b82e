//! The jobs of a claim as a table; under it the selected job's error.

use ratatui::layout::Rect;

use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::format::took;
use crate::core::queue::JobState;
use crate::view::{JobLine, JobsView, QueueView, Snapshot, VmRow};

/// A column of the table, in the order on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum JobColumn {
    Number,
    Tag,
    Work,
    State,
    Try,
    Since,
    Took,
    Place,
}

impl JobColumn {
    const fn head(self) -> &'static str {
        match self {
            Self::Number => "JOB",
            Self::Tag => "TAG",
            Self::Work => "WORK",
            Self::State => "STATE",
            Self::Try => "TRY",
            Self::Since => "SINCE",
            Self::Took => "TOOK",
            Self::Place => "WHERE",
        }
    }

    /// Columns at least.
    const fn width(self) -> u16 {
        match self {
            Self::Number | Self::Since => 8,
            Self::Tag => 10,
            Self::Work => 20,
            Self::State => 11,
            Self::Try => 3,
            Self::Took => 5,
            Self::Place => 14,
        }
    }

    const fn is_right(self) -> bool {
        matches!(self, Self::Number | Self::Try | Self::Took)
    }
}

/// The columns in the order in which a narrow screen keeps them.
const WANTED: [JobColumn; 8] = [
    JobColumn::Number,
    JobColumn::State,
    JobColumn::Work,
    JobColumn::Took,
    JobColumn::Tag,
    JobColumn::Try,
    JobColumn::Since,
    JobColumn::Place,
];
/// Columns before the first cell: the cursor or a mark.
const MARGIN: u16 = 1;
const GAP: u16 = 1;

/// The columns that fit, each with its position and width. The work has what is left, but no more than the widest one takes.
fn plan(columns: u16, widest: usize) -> Vec<(JobColumn, u16, u16)> {
    let room = columns.saturating_sub(MARGIN + 1);
    let (mut taken, mut used) = (Vec::new(), 0);
    for column in WANTED {
        if used + column.width() > room {
            break;
        }
        used += column.width() + GAP;
        taken.push(column);
    }
    let spare = room.saturating_sub(used.saturating_sub(GAP));
    let spare = spare.min(widest.min(usize::from(columns)) as u16);
    taken.sort_unstable();
    let mut x = MARGIN;
    let place = |column: JobColumn| {
        let more = if column == JobColumn::Work { spare } else { 0 };
        let (at, width) = (x, column.width() + more);
        x += width + GAP;
        (column, at, width)
    };
    taken.into_iter().map(place).collect()
}

/// Draws the table under its title; it scrolls so that the selected row is in its middle.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, view: &QueueView, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let jobs = view.jobs.as_deref();
    let rows = area.height.saturating_sub(2);
    title(canvas, Rect { height: 1, ..area }, jobs, view, rows, ui);
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let Some(jobs) = jobs.filter(|jobs| jobs.trouble.is_none() && jobs.found > 0) else {
        let (text, role) = nothing(jobs, view, ui);
        canvas.put(body.x + 1, body.y, body.width.saturating_sub(1), &text, role);
        return;
    };
    let widest = jobs.rows.iter().map(|line| width(&line.work)).max().unwrap_or(0);
    let columns = plan(area.width, widest.saturating_sub(usize::from(JobColumn::Work.width())));
    for (column, x, width) in &columns {
        if column.is_right() {
            canvas.put_right(area.x + x, body.y, *width, column.head(), Role::Head);
        } else {
            canvas.put(area.x + x, body.y, *width, column.head(), Role::Head);
        }
    }
    let at = ui.queue.at(jobs);
    let first = at.saturating_sub(u32::from(rows) / 2).min(jobs.found.saturating_sub(u32::from(rows)));
    let site = view.shown().map_or("", |claim| &claim.status.site);
    let place = format!("{} {site}", row.name);
    for (y, n) in (body.y + 1..body.bottom()).zip(first..jobs.found) {
        let Some(line) = jobs.row(n) else { continue };
        for (column, x, width) in &columns {
            cell(canvas, *column, Rect::new(area.x + x, y, *width, 1), line, &place, snapshot, ui);
        }
        if n == at {
            canvas.over(Rect::new(area.x, y, area.width, 1), Role::Selected);
            canvas.glyph(area.x, y, ">", Role::Key);
            if let Some((_, x, width)) = columns.first() {
                canvas.over(Rect::new(area.x + x, y, *width, 1), Role::Cursor);
            }
        }
        if ui.queue.marked.contains(&line.number) && ui.queue.marked_of == jobs.page {
            canvas.glyph(area.x, y, canvas.glyphs.marked, Role::Strong);
        }
    }
}

/// Draws whose jobs they are, the filter, the marks, and which of them are on screen.
fn title(canvas: &mut Canvas<'_>, area: Rect, jobs: Option<&JobsView>, view: &QueueView, rows: u16, ui: &Ui) {
    let Some(jobs) = jobs else { return canvas.rule(area, &[("jobs", Role::Title)], "") };
    let whose = format!("jobs of {}", jobs.page);
    let nth = view.all_claims().position(|claim| claim.name == *jobs.claim);
    let finished = nth.is_some_and(|nth| nth >= view.claims().len());
    let claim = match (nth, view.all_claims().count()) {
        (Some(nth), all) if all > 1 => format!("  {} of {all}: {}", nth + 1, jobs.claim),
        _ => format!("  {}", jobs.claim),
    };
    let finished = if finished { "  finished" } else { "" };
    let caret = if ui.is_filtering() { canvas.glyphs.caret } else { "" };
    let filter = match ui.queue.filter.as_str() {
        "" if caret.is_empty() => String::new(),
        filter => format!("  /{filter}"),
    };
    let marked = if ui.queue.marked_of == jobs.page { ui.queue.marked.len() } else { 0 };
    let marked = match marked {
        0 => String::new(),
        n => format!("  {} {n} marked", canvas.glyphs.marked),
    };
    let at = ui.queue.at(jobs);
    let first = at.saturating_sub(u32::from(rows) / 2).min(jobs.found.saturating_sub(u32::from(rows)));
    let last = (first + u32::from(rows)).min(jobs.found);
    let of = if jobs.found == jobs.all { String::new() } else { format!(" of {}", jobs.all) };
    let shown = match jobs.found {
        0 => String::new(),
        found => format!("{} to {last} of {found}{of}", first + 1),
    };
    // A filter that is typed must be seen; the claim's name can wait.
    let claim = if filter.is_empty() { claim } else { String::new() };
    let pieces = [
        (&*whose, Role::Title),
        (&*claim, Role::Quiet),
        (finished, Role::Good),
        (&*filter, Role::Strong),
        (caret, Role::Key),
        (&*marked, Role::Strong),
    ];
    canvas.rule(area, &pieces, &shown);
}

/// Why there is no row.
fn nothing(jobs: Option<&JobsView>, view: &QueueView, ui: &Ui) -> (String, Role) {
    match jobs {
        Some(JobsView { trouble: Some(why), .. }) => (why.to_string(), Role::Warning),
        Some(jobs) if jobs.all > 0 => (format!("no job matches '{}'", ui.queue.filter.trim()), Role::Strong),
        Some(_) => ("the page has no job".to_owned(), Role::Quiet),
        None if view.claims().is_empty() && view.look().is_some() => ("nothing in hand".to_owned(), Role::Quiet),
        None => ("reading the page".to_owned(), Role::Quiet),
    }
}

const fn state_role(state: JobState) -> Role {
    match state {
        JobState::SetAside => Role::Alarm,
        JobState::InHand => Role::Moving,
        JobState::Tried => Role::Warning,
        JobState::Waiting => Role::Quiet,
        JobState::Done => Role::Good,
    }
}

/// A job's state as a cell says it: what needs a human has a mark, too.
const fn state_words(state: JobState) -> &'static str {
    match state {
        JobState::SetAside => "! set aside",
        other => other.word(),
    }
}

fn cell(
    canvas: &mut Canvas<'_>,
    column: JobColumn,
    at: Rect,
    line: &JobLine,
    place: &str,
    snapshot: &Snapshot,
    ui: &Ui,
) {
    let dim = if line.state == JobState::Done { Role::Quiet } else { Role::Text };
    let none = || ("-".to_owned(), Role::Faint);
    let (text, role) = match column {
        JobColumn::Number => (line.number.to_string(), dim),
        JobColumn::Tag => (line.tag.to_string(), Role::Quiet),
        JobColumn::Work => (line.work.to_string(), dim),
        JobColumn::State => (state_words(line.state).to_owned(), state_role(line.state)),
        JobColumn::Try => match line.attempt {
            0 => none(),
            n => (n.to_string(), if n > 1 { Role::Warning } else { Role::Quiet }),
        },
        JobColumn::Since => line.since.map_or_else(none, |since| (ui.zone.clock(since), Role::Text)),
        JobColumn::Took => match (line.took, line.since) {
            (Some(span), _) => (took(span), Role::Text),
            (None, Some(since)) => (took(snapshot.at.since(since)), Role::Moving),
            (None, None) => none(),
        },
        JobColumn::Place if matches!(line.state, JobState::InHand | JobState::Done) => (place.to_owned(), Role::Quiet),
        JobColumn::Place => none(),
    };
    if column.is_right() {
        canvas.put_right(at.x, at.y, at.width, &text, role);
    } else {
        canvas.put(at.x, at.y, at.width, &text, role);
    }
}

/// Draws the selected job's error, if it was set aside.
pub fn draw_error(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let (Some(jobs), Some(job)) = (ui.jobs(snapshot), ui.job(snapshot)) else { return };
    if area.height == 0 || job.state != JobState::SetAside {
        return;
    }
    let error = jobs.error.as_ref().filter(|(number, _)| *number == job.number);
    let word = format!(" error of {}  ", job.number);
    let x = canvas.put(area.x, area.y, area.width, &word, Role::Alarm);
    let text = error.map_or("reading it", |(_, text)| text);
    canvas.put(x, area.y, area.right().saturating_sub(x), text, if error.is_some() { Role::Text } else { Role::Quiet });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_never_overlap_or_leave_the_screen_and_wider_has_more() {
        let mut before = 0;
        for columns in 0..240 {
            let plan = plan(columns, 500);
            assert!(plan.windows(2).all(|pair| pair[0].1 + pair[0].2 + GAP == pair[1].1));
            assert!(plan.last().is_none_or(|(_, x, width)| x + width <= columns), "{columns}: {plan:?}");
            assert!(plan.len() >= before);
            before = plan.len();
        }
        let at = |columns| plan(columns, 9).into_iter().map(|(column, ..)| column).collect::<Vec<_>>();
        assert_eq!(at(80).len(), 7, "all but the place: it is the same in every row");
        assert_eq!(at(120).len(), 8);
    }
}
