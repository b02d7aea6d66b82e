//! The time line: big jobs in hand, which page was worked, and where the VM was.

use ratatui::layout::Rect;

use crate::console::past;
use crate::console::past::PastSource;
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, Graph, Scale};
use crate::core::cluster::Timestamp;
use crate::core::engine::Phase;
use crate::core::format::duration;
use crate::view::{PastMove, QueueRun, QueueView, Snapshot, VmRow};

/// Columns before the plot, for `where` and the axis.
const LEFT: u16 = 7;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, row: &VmRow, view: &QueueView, snapshot: &Snapshot, ui: &Ui) {
    if area.height < 6 {
        return;
    }
    let ask = ui.queue.past(ui.size);
    let shown = past::of_stretch(ui, snapshot, ask);
    let right = match shown.source {
        PastSource::Reading => format!("{}   last {}", past::reading(ui), duration(shown.span())),
        _ => format!("last {}", duration(shown.span())),
    };
    canvas.rule(area, &[("time line", Role::Title), ("  big jobs, pages, places", Role::Quiet)], &right);
    let body = Rect { y: area.y + 1, height: area.height - 3, ..area };
    let Some(scale) = (Graph { left: LEFT, ..shown.graph(ui.zone) }).draw(canvas, body) else { return };
    let moves = past::of(ui, snapshot).map_or(&[][..], |past| &past.moves);
    pages(canvas, &scale, body.bottom(), &view.runs, snapshot.at);
    places(canvas, &scale, body.bottom() + 1, moves, row, snapshot);
}

/// Draws which page was worked when, with its name where that has room.
fn pages(canvas: &mut Canvas<'_>, scale: &Scale, y: u16, runs: &[QueueRun], now: Timestamp) {
    canvas.put_right(scale.plot.x.saturating_sub(LEFT), y, LEFT - 2, "pages", Role::Quiet);
    for run in runs {
        let Some((left, right)) = scale.stretch(run.from, run.to.unwrap_or(now)) else { continue };
        let role = if run.to.is_none() { Role::Moving } else { Role::Graph };
        let columns = right - left + 1;
        for x in left..=right {
            canvas.glyph(x, y, canvas.glyphs.gauge[0], role);
        }
        if columns as usize >= width(&run.page) + 4 {
            canvas.put(left + 1, y, columns - 2, &format!(" {} ", run.page), role);
        }
        if run.set_aside > 0 {
            canvas.glyph(right, y, "!", Role::Alarm);
        }
    }
}

/// Draws where the VM was: at home or away.
fn places(canvas: &mut Canvas<'_>, scale: &Scale, y: u16, moves: &[PastMove], row: &VmRow, snapshot: &Snapshot) {
    canvas.put_right(scale.plot.x.saturating_sub(LEFT), y, LEFT - 2, "where", Role::Quiet);
    let is_away = |host: &str| {
        // Moves between sites name the array too.
        let host = host.rsplit('/').next().unwrap_or(host);
        let array = snapshot.arrays.iter().find(|array| array.hosts.iter().any(|other| *other.name == *host));
        array.is_some_and(|array| !array.home)
    };
    // The newest first: each stay ends where the next one begins.
    for x in scale.plot.left()..scale.plot.right() {
        // What no stay covers is a move.
        canvas.glyph(x, y, ">", Role::Moving);
    }
    let confirmed = moves.iter().filter(|moved| moved.phase == Phase::Confirmed);
    let mut until = snapshot.at;
    let mut away = row.is_away();
    let mut stays = Vec::new();
    for moved in confirmed {
        stays.push((moved.at, until, away));
        (until, away) = (moved.took.map_or(moved.at, |took| moved.at - took), is_away(&moved.from));
    }
    stays.push((scale.from, until, away));
    for (from, to, away) in stays {
        let Some((left, right)) = scale.stretch(from.max(scale.from), to) else { continue };
        let (glyph, role, word) = if away {
            (canvas.glyphs.gauge[0], Role::Beyond, " away ")
        } else {
            (canvas.glyphs.rule, Role::Faint, " home ")
        };
        for x in left..=right {
            canvas.glyph(x, y, glyph, role);
        }
        if right - left > 9 {
            canvas.put(left + 1, y, right - left - 1, word, role);
        }
    }
}
