//! The form for a pause of a worker: what it will do, why, and for how long.

use ratatui::layout::Rect;

use crate::console::text::wrap;
use crate::console::theme::Role;
use crate::console::ui::{PauseForm, Tone, Ui};
use crate::console::widgets::{Canvas, centred};
use crate::core::format::{A_YEAR, parse_span};
use crate::view::Snapshot;

/// Columns of a line's first word.
const WORD: u16 = 6;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, form: &PauseForm, snapshot: &Snapshot, ui: &Ui) {
    let columns = area.width.min(76);
    let until = match form.lasts.trim() {
        "" => "until somebody has it go on".to_owned(),
        typed => match parse_span(typed, A_YEAR) {
            Ok(lasts) => format!("until {}", ui.zone.stamp(snapshot.at + lasts, snapshot.at)),
            Err(_) => "until then".to_owned(),
        },
    };
    let does =
        format!("the worker of {} finishes the job in hand, begins no other and claims nothing more, {until}", form.vm);
    let lines = wrap(&does, usize::from(columns.saturating_sub(4)), 3, canvas.glyphs.cut);
    let at = centred(area, columns, lines.len() as u16 + 6);
    canvas.frame(at, &format!("pause {}", form.vm));
    let (x, room) = (at.x + 2, at.width.saturating_sub(4));
    let mut rows = at.y + 1..at.bottom().saturating_sub(1);
    for (line, y) in lines.iter().zip(&mut rows) {
        canvas.put(x, y, room, line, Role::Strong);
    }
    rows.next();
    let hint = "empty: until somebody has it go on; or 30m, 2h, 1d";
    for (word, typed, is_here, hint) in
        [("why", &form.why, !form.at_lasts, "shown to everybody who asks"), ("for", &form.lasts, form.at_lasts, hint)]
    {
        let Some(y) = rows.next() else { return };
        canvas.put(x, y, WORD, word, if is_here { Role::Key } else { Role::Quiet });
        let left = x + WORD;
        let right = x + room;
        // Of a long line the end is shown, where the caret is.
        let skip = typed.chars().count().saturating_sub(usize::from(right.saturating_sub(left + 1)));
        let shown: String = typed.chars().skip(skip).collect();
        let end = canvas.put(left, y, right.saturating_sub(left), &shown, Role::Strong);
        if is_here {
            canvas.put(end, y, 1, canvas.glyphs.caret, Role::Key);
        }
        if typed.is_empty() {
            canvas.put(end + 2, y, right.saturating_sub(end + 2), hint, Role::Faint);
        }
    }
    let Some(y) = rows.next() else { return };
    if let Some(wrong) = ui.notice.as_ref().filter(|notice| notice.tone == Tone::Bad) {
        canvas.line(x, y, room, &[("! ", Role::Warning), (&wrong.text, Role::Warning)]);
    }
}
