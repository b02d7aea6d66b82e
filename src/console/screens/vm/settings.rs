//! A policy's settings in words, and where they come from.

use ratatui::layout::Rect;

use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::Canvas;
use crate::core::cluster::Direction;
use crate::core::format::duration;
use crate::core::format::{bytes, counted, exact, left, tame};
use crate::core::policy::{Bound, BreakEven, Rule};
use crate::view::{Detail, HistoryView, Origin, Snapshot, VmRow};

/// Columns of a line's first word.
const WORD: u16 = 9;

/// How many rows the panel takes, its title too.
pub fn rows(row: &VmRow, snapshot: &Snapshot, ui: &Ui) -> u16 {
    1 + ui.detail(snapshot).map_or(1, |detail| lines(detail, row, snapshot, ">=").len() as u16)
}

/// Draws the panel.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    let Some(detail) = ui.detail(snapshot) else { return pen.rule(area, &[("settings", Role::Title)], "") };
    pen.rule(area, &[("settings", Role::Title)], &tame(&detail.origin.place));
    let lines = lines(detail, row, snapshot, pen.glyphs.at_least);
    for (y, (word, text)) in (area.y + 1..area.bottom()).zip(&lines) {
        pen.put(area.x + 1, y, WORD, word, Role::Quiet);
        let x = area.x + 1 + WORD;
        pen.put(x, y, area.right().saturating_sub(x), text, Role::Text);
    }
}

/// The bounds and their place in one line.
pub fn line(pen: &mut Canvas<'_>, area: Rect, row: &VmRow, snapshot: &Snapshot, ui: &Ui) {
    let Some(detail) = ui.detail(snapshot).filter(|_| area.height > 0) else { return };
    let bounds = bounds(detail, row, pen.glyphs.at_least);
    let told: Vec<String> = bounds.iter().map(|(word, text)| format!("{word} {text}")).collect();
    let x = pen.put(area.x, area.y, area.width, " set  ", Role::Key);
    let x = pen.put(x, area.y, area.right().saturating_sub(x), &told.join(", "), Role::Text);
    let place = format!("   {}", tame(&detail.origin.place));
    pen.put(x, area.y, area.right().saturating_sub(x), &place, Role::Faint);
}

type Line = (&'static str, String);

fn lines(detail: &Detail, row: &VmRow, snapshot: &Snapshot, at_least: &str) -> Vec<Line> {
    let settings = &detail.settings;
    let mut lines = vec![("policy", settings.rule.kind().to_owned())];
    lines.extend(bounds(detail, row, at_least));
    match &settings.rule {
        Rule::Schedule { hours, .. } => lines.push(("hours", hours.to_string())),
        Rule::Site(site) => {
            let binds = match site.break_even {
                BreakEven::Show => "shown",
                BreakEven::Require => "binding",
            };
            lines.push(("pays", format!("break-even {binds}, margin {}", site.margin)));
        }
        _ => {}
    }
    let stale = counted(settings.stale_after as usize, "gap", "gaps");
    lines.push(("settle", format!("{} after a move", duration(settings.settle))));
    lines.push(("stale", format!("after {stale} in a row")));
    let next = detail.next_read.map_or_else(String::new, |at| format!(", next in {}", left(at.since(snapshot.at))));
    lines.push(("read", format!("every {}{next}", duration(detail.interval))));
    lines.push(("from", origin(&detail.origin)));
    lines.push(("history", kept(&snapshot.history)));
    lines
}

fn bounds(detail: &Detail, row: &VmRow, at_least: &str) -> Vec<Line> {
    let settings = &detail.settings;
    let (worse, better) = match settings.direction {
        Direction::HigherIsWorse => (">", "<"),
        Direction::LowerIsWorse => ("<", ">"),
    };
    let bound = |sign: &str, bound: Bound| {
        let tarry = counted(bound.tarry as usize, "sample", "samples");
        format!("{sign} {} {} for {tarry}", exact(bound.at), row.unit)
    };
    if let Rule::Site(site) = &settings.rule {
        let polls = counted(site.home_tarry as usize, "empty poll", "empty polls");
        return vec![("away", format!("{at_least} {} big jobs", site.threshold)), ("home", format!("after {polls}"))];
    }
    let high = settings.rule.high().map(|high| ("move", bound(worse, high)));
    let low = settings.rule.low().map(|low| ("to base", bound(better, low)));
    high.into_iter().chain(low).collect()
}

/// Whether what happens is kept, how large that is and where.
fn kept(history: &HistoryView) -> String {
    match history {
        HistoryView::On { path, size: 0 } => format!("in {}", tame(path)),
        HistoryView::On { path, size } => format!("{} in {}", bytes(*size), tame(path)),
        HistoryView::Failing { why, .. } => format!("fails: {}", tame(why)),
        HistoryView::Off(why) => format!("none: {}", tame(why)),
    }
}

/// Where settings come from, and who else has them.
fn origin(origin: &Origin) -> String {
    let others = match origin.others {
        0 => "no other VM uses it".to_owned(),
        n => counted(n, "other VM uses it", "other VMs use it"),
    };
    match &origin.shared {
        Some(name) => format!("[policy.{}], {others}", tame(name)),
        None if origin.place.is_empty() => "no config file".to_owned(),
        None => "its own block".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_what_happens_is_kept_and_how_large_that_is() {
        let on = |size| HistoryView::On { path: "/s/a.db".into(), size };
        assert_eq!(
            [on(0), on(671_744), on(48_300_000)].map(|history| kept(&history)),
            ["in /s/a.db", "672 kB in /s/a.db", "48 MB in /s/a.db"]
        );
        let failing = HistoryView::Failing { path: "/s/a.db".into(), size: 9, why: "the disk is full\x1b".into() };
        assert!(kept(&failing).starts_with("fails: the disk is full") && !kept(&failing).contains('\x1b'));
        assert_eq!(kept(&HistoryView::Off("it is switched off".into())), "none: it is switched off");
    }
}
