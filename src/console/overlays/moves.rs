//! The move dialog: every destination, its load now and after, and what each gate says.

use ratatui::layout::Rect;

use super::load_change;
use crate::console::text::{width, wrap};
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, centred};
use crate::core::engine::Target;
use crate::core::format::counted;
use crate::view::{GateVerdict, GateView, MoveOption, Snapshot};

/// Columns: the command, the host, the load now and after; the gates have the rest.
const COMMAND: u16 = 6;
const LOADS: u16 = 19;

fn word(target: &Target) -> &'static str {
    match target {
        Target::Next => "next",
        Target::Up => "up",
        Target::Down => "down",
        Target::Base => "base",
        Target::Away => "away",
        Target::Home => "home",
        Target::Host(_) => "",
    }
}

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui, vm: &str) {
    let (moves, chosen) = ui.moves(snapshot).unwrap_or((&[], 0));
    let gates = moves.get(chosen).map_or(0, |option| option.gates.len().max(1)) as u16;
    let wanted = moves.len().max(1) as u16 + gates + 5;
    let at = centred(area, 100, wanted.max(9));
    let row = snapshot.rows.iter().find(|row| *row.name == *vm);
    let from = row.map_or_else(String::new, |row| format!(" from {}/{}", row.array, row.host));
    canvas.frame(at, &format!("move {vm}{from}"));
    let body =
        Rect { x: at.x + 2, y: at.y + 1, width: at.width.saturating_sub(4), height: at.height.saturating_sub(2) };
    if moves.is_empty() {
        let text = if ui.frozen { "frozen: p goes on" } else { "asking the engine what the gates would say" };
        canvas.put(body.x, body.y, body.width, text, Role::Quiet);
        return;
    }
    // The gates have half, and what the list leaves.
    let unlisted = body.height.saturating_sub(moves.len() as u16 + 1);
    let gate_rows = (gates + 2).min((body.height.saturating_sub(2) / 2).max(unlisted)).max(2);
    let list = Rect { height: body.height.saturating_sub(gate_rows), ..body };
    options(canvas, list, moves, chosen);
    let rest = Rect { y: list.bottom(), height: body.height - list.height, ..body };
    said(canvas, rest, &moves[chosen.min(moves.len() - 1)]);
}

fn options(canvas: &mut Canvas<'_>, area: Rect, moves: &[MoveOption], chosen: usize) {
    let names = moves.iter().map(|option| width(destination(option))).max().unwrap_or(0);
    let names = (names as u16).clamp(4, 20);
    let loads_at = area.x + COMMAND + names + 2;
    let gates_at = loads_at + LOADS + 1;
    let room = |x: u16| area.right().saturating_sub(x);
    canvas.put(area.x + 2, area.y, room(area.x), "TO", Role::Head);
    canvas.put(loads_at, area.y, room(loads_at), "LOAD NOW > AFTER", Role::Head);
    canvas.put(gates_at, area.y, room(gates_at), "GATES", Role::Head);
    let rows = usize::from(area.height.saturating_sub(1));
    let top = (chosen + 1).saturating_sub(rows);
    for (y, (i, option)) in (area.y + 1..area.bottom()).zip(moves.iter().enumerate().skip(top)) {
        let open = option.is_open();
        let role = if open { Role::Text } else { Role::Faint };
        canvas.put(area.x + 2, y, COMMAND - 1, word(&option.target), if open { Role::Strong } else { Role::Faint });
        canvas.put(area.x + COMMAND + 1, y, names, destination(option), role);
        loads(canvas, loads_at, y, option, role);
        let (text, role) = verdict(option);
        let mark = canvas.glyphs.verdicts[match role {
            Role::Good => 0,
            Role::Warning => 1,
            _ => 2,
        }];
        canvas.line(gates_at, y, room(gates_at), &[(mark, role), (" ", role), (&text, role)]);
        if i == chosen {
            canvas.put(area.x, y, 1, ">", Role::Key);
            canvas.over(Rect::new(area.x, y, area.width, 1), Role::Selected);
            canvas.over(Rect::new(area.x + 2, y, COMMAND + names - 1, 1), Role::Cursor);
        }
    }
}

/// The host it leads to, or would.
fn destination(option: &MoveOption) -> &str {
    match (&option.to, &option.target) {
        (Some(to), _) => to,
        (None, Target::Host(host)) => host.as_str(),
        (None, _) => "-",
    }
}

fn loads(canvas: &mut Canvas<'_>, x: u16, y: u16, option: &MoveOption, role: Role) {
    if option.to.is_none() {
        return;
    }
    let is_high = option.load_after.or(option.load).is_some_and(|after| after > 0.9);
    let role = if is_high && role == Role::Text { Role::Warning } else { role };
    load_change(canvas, Rect::new(x, y, LOADS, 1), option.load, option.load_after, "", role);
}

/// The worst of what the gates say, in one line.
fn verdict(option: &MoveOption) -> (String, Role) {
    let first = |verdict| option.gates.iter().find(|gate| gate.verdict == verdict);
    let words = |gate: &GateView| format!("{}: {}", gate.gate.word(), gate.detail);
    if let Some(gate) = first(GateVerdict::Blocks) {
        return (words(gate), Role::Alarm);
    }
    if option.to.is_none() {
        return ("no such host".into(), Role::Alarm);
    }
    match first(GateVerdict::Warns) {
        Some(gate) => (words(gate), Role::Warning),
        None => ("open".into(), Role::Good),
    }
}

/// Everything the gates say to the chosen one.
fn said(canvas: &mut Canvas<'_>, area: Rect, option: &MoveOption) {
    let to = option.to.as_deref().unwrap_or(word(&option.target));
    canvas.put(area.x, area.y + 1, area.width, &format!("what the gates say to {to}"), Role::Quiet);
    let mut y = area.y + 2;
    if option.gates.is_empty() && y < area.bottom() {
        canvas.put(area.x + 2, y, area.width.saturating_sub(2), "nothing against it", Role::Good);
    }
    // In the gates' order, but what stops the move is never the part that has no room.
    let worst_first = [GateVerdict::Blocks, GateVerdict::Warns, GateVerdict::Passes];
    let sorted = worst_first.into_iter().flat_map(|verdict| option.gates.iter().filter(move |g| g.verdict == verdict));
    let count = option.gates.len();
    for (i, gate) in sorted.enumerate() {
        let (mark, role, says) = match gate.verdict {
            GateVerdict::Passes => (0, Role::Good, "passes"),
            GateVerdict::Warns => (1, Role::Warning, "warns"),
            GateVerdict::Blocks => (2, Role::Alarm, "blocks"),
        };
        let room = usize::from(area.width.saturating_sub(23));
        if y + 1 >= area.bottom() && i + 1 < count {
            let rest = format!("+ {}", counted(count - i, "gate more", "gates more"));
            canvas.put(area.x + 1, y, area.width.saturating_sub(1), &rest, Role::Quiet);
            return;
        }
        canvas.put(area.x + 1, y, 1, canvas.glyphs.verdicts[mark], role);
        canvas.put(area.x + 3, y, 7, says, role);
        canvas.put(area.x + 10, y, 12, gate.gate.word(), Role::Text);
        let lines = wrap(&gate.detail, room, 2, canvas.glyphs.cut);
        for (y, line) in (y..area.bottom()).zip(&lines) {
            canvas.put(area.x + 22, y, area.width.saturating_sub(22), line, Role::Quiet);
        }
        y += (lines.len() as u16).max(1);
    }
}
