//! How long migrations took, where VMs were, and what that cost.

use ratatui::layout::Rect;

use crate::console::theme::Role;
use crate::console::widgets::Canvas;
use crate::core::format::{counted, measured, percent};
use crate::core::insight::{Activity, HoursAndCost, MigrationTimes};

/// Rows of both panels: a title, a head, four places and their sum.
pub const ROWS: u16 = 7;
/// Columns of the migration times.
const TIMES: u16 = 28;

/// Draws both panels side by side.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, activity: &Activity) {
    if area.height < ROWS {
        return;
    }
    // Where there is no room for both, the cost is worth more.
    let columns = if area.width >= 70 { TIMES.max(area.width / 4) } else { 0 };
    if columns > 0 {
        times(pen, Rect { width: columns, ..area }, activity.times);
    }
    stays(pen, Rect { x: area.x + columns, width: area.width - columns, ..area }, activity);
}

fn times(pen: &mut Canvas<'_>, area: Rect, times: Option<MigrationTimes>) {
    pen.rule(Rect { width: area.width - 1, ..area }, &[("migration times", Role::Title)], "");
    let Some(times) = times else {
        pen.put(area.x + 1, area.y + 1, area.width - 2, "none was confirmed", Role::Quiet);
        return;
    };
    let range = format!("{} to {}", measured(times.least), measured(times.most));
    let lines = [
        ("mean", measured(times.mean)),
        ("median", measured(times.median)),
        ("range", range),
        ("of", counted(times.count, "move", "moves")),
    ];
    for (y, (word, text)) in (area.y + 1..area.bottom()).zip(&lines) {
        pen.put(area.x + 1, y, 8, word, Role::Quiet);
        pen.put(area.x + 9, y, area.width.saturating_sub(10), text, Role::Text);
    }
}

fn stays(pen: &mut Canvas<'_>, area: Rect, activity: &Activity) {
    pen.rule(area, &[("where VMs were, and what it cost", Role::Title)], "");
    let stays = &activity.stays;
    let add = |a: HoursAndCost, b: HoursAndCost| HoursAndCost { hours: a.hours + b.hours, cost: a.cost + b.cost };
    let (base, dear) = (add(stays.rest, stays.base), add(stays.ring, stays.away));
    let all = add(base, dear);
    let (hours_at, share_at, cost_at) = (area.x + 22, area.x + 33, area.x + 40);
    let y = area.y + 1;
    for (x, columns, head) in [(hours_at, 10, "VM-HOURS"), (share_at, 6, "SHARE"), (cost_at, 10, "COST")] {
        pen.put_right(x, y, columns, head, Role::Head);
    }
    let lines = [
        ("at rest on the base", stays.rest),
        ("on the base else", stays.base),
        ("in the ring", stays.ring),
        ("at another site", stays.away),
        ("together", all),
    ];
    for (y, (word, stay)) in (area.y + 2..area.bottom()).zip(lines) {
        let role = match word {
            "together" => Role::Strong,
            _ if stay.hours > 0.0 => Role::Text,
            _ => Role::Faint,
        };
        pen.put(area.x + 1, y, 20, word, if role == Role::Strong { role } else { Role::Quiet });
        pen.put_right(hours_at, y, 10, &format!("{:.1}", stay.hours), role);
        if all.hours > 0.0 {
            pen.put_right(share_at, y, 6, &percent(stay.hours / all.hours), Role::Quiet);
        }
        pen.put_right(cost_at, y, 10, &format!("{:.2}", stay.cost), role);
    }
    let x = cost_at + 12;
    let room = area.right().saturating_sub(x);
    let told = format!("= {:.2} base + {:.2} elsewhere", base.cost, dear.cost);
    if room >= told.len() as u16 {
        pen.put(x, area.bottom() - 1, room, &told, Role::Quiet);
    }
}
