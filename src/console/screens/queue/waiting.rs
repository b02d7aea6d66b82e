//! The pages that wait: how many jobs, since when, and why.

use ratatui::layout::Rect;

use crate::console::text::{width, wrap};
use crate::console::theme::Role;
use crate::console::widgets::Canvas;
use crate::core::format::{age, counted};
use crate::core::queue::{OpenPage, QueueLook};
use crate::view::{QueueView, Snapshot};

/// `3 pages, 214 jobs`.
pub fn sum(look: &QueueLook) -> String {
    let known: Vec<u32> = look.open.iter().filter_map(jobs).collect();
    let all = known.iter().sum::<u32>();
    let pages = counted(look.waiting, "page", "pages");
    match known.len() as u32 == look.waiting {
        true => format!("{pages}, {}", counted(all, "job", "jobs")),
        false if known.is_empty() => pages,
        false => format!("{pages}, at least {}", counted(all, "job", "jobs")),
    }
}

/// What is said where no page waits.
pub fn nothing(view: &QueueView) -> String {
    match &*view.queue {
        "" => "no page waits; the next one comes by itself".to_owned(),
        queue => format!("no page waits; put one in with 'whimbrel queue CONFIG {queue} add FILE'"),
    }
}

fn jobs(page: &OpenPage) -> Option<u32> {
    Some(page.grades.as_ref()?.iter().map(|(_, jobs)| jobs).sum())
}

/// `grade a 4, grade b 96`.
fn grades(page: &OpenPage) -> String {
    let Some(grades) = &page.grades else { return "not counted: it is long".to_owned() };
    let grade = |(grade, jobs): &(String, u32)| match grade.as_str() {
        "" => format!("{jobs} untagged"),
        grade => format!("{grade} {jobs}"),
    };
    grades.iter().map(grade).collect::<Vec<_>>().join(", ")
}

/// Draws them, the oldest first.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, view: &QueueView, snapshot: &Snapshot) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let Some(look) = view.look() else { return canvas.rule(area, &[("waiting", Role::Title)], "") };
    let told = if look.waiting > 0 { format!("  {}", sum(look)) } else { String::new() };
    canvas.rule(area, &[("waiting", Role::Title), (&told, Role::Quiet)], "");
    let room = usize::from(area.height - 1);
    if look.waiting == 0 && look.refused.is_empty() && room > 0 {
        let columns = area.width.saturating_sub(2);
        let lines = wrap(&nothing(view), usize::from(columns), room, canvas.glyphs.cut);
        for (y, line) in (area.y + 1..area.bottom()).zip(&lines) {
            canvas.put(area.x + 1, y, columns, line, Role::Quiet);
        }
        return;
    }
    // Why a page waits has a line of its own where all of them have room for that.
    let lines = if look.waiting as usize * 2 + look.refused.len() <= room { 2 } else { 1 };
    let names = look.open.iter().map(|page| width(&page.name)).max().unwrap_or(4).clamp(4, 20) as u16;
    let shown = if look.waiting as usize > room { room.saturating_sub(1) } else { room }.min(look.open.len());
    let pages = look.open.iter().zip(&view.waits).take(shown);
    for (y, (page, why)) in (area.y + 1..area.bottom()).step_by(lines).zip(pages) {
        let left = |x: u16| area.right().saturating_sub(x);
        canvas.put(area.x + 1, y, names, &page.name, Role::Text);
        let mut x = area.x + 2 + names;
        let count = jobs(page).map_or_else(|| "-".to_owned(), |jobs| jobs.to_string());
        canvas.put_right(x, y, 7.min(left(x)), &count, Role::Text);
        x += 8;
        let since = page.since.map_or_else(|| "-".to_owned(), |since| age(snapshot.at.since(since)));
        canvas.put_right(x, y, 4.min(left(x)), &since, Role::Quiet);
        x += 6;
        let returned = if page.returned { "returned; " } else { "" };
        let says = [(returned, Role::Warning), (&**why, Role::Text)];
        if lines == 2 {
            canvas.put(x, y, left(x), &grades(page), Role::Quiet);
            canvas.line(area.x + 3, y + 1, left(area.x + 3), &says);
        } else {
            canvas.line(x, y, left(x), &says);
        }
    }
    let below = area.y + 1 + (shown * lines) as u16;
    let hidden = (look.waiting as usize).saturating_sub(shown);
    if hidden > 0 && room > 0 {
        let more = format!("and {} more", counted(hidden, "page", "pages"));
        canvas.put(area.x + 1, below, area.width.saturating_sub(1), &more, Role::Quiet);
    }
    let below = below + u16::from(hidden > 0);
    let of_no_page = look.refused.iter().filter(|(name, _)| look.open.iter().all(|page| page.name != *name));
    for (y, (name, why)) in (below..area.bottom()).zip(of_no_page) {
        let pieces =
            [("! ", Role::Warning), (&**name, Role::Text), (" is not worked: ", Role::Warning), (why, Role::Text)];
        canvas.line(area.x + 1, y, area.width.saturating_sub(1), &pieces);
    }
}
