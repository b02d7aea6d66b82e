//! Where everything is: the past and the numbers above, the text below, what is wrong under it.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::lines::Lines;
use super::{Ask, DAYS, Editor, changes_in_words, graph, panel, whose};
use crate::console::keymap::{self, Context};
use crate::console::screens::footer;
use crate::console::step;
use crate::console::text::{some_of, width, wrap};
use crate::console::theme::Role;
use crate::console::ui::{Tone, Ui};
use crate::console::widgets::{Canvas, centred};
use crate::core::format::{age, counted};
use crate::core::policy::Field;
use crate::view::{Block, Saving, Scope, Snapshot};

/// Columns of the numbers beside a graph.
const PANEL: u16 = 54;
/// With so many columns and lines above the text there is a graph beside the numbers.
const BESIDE: (u16, u16) = (112, 11);
/// Lines of the numbers without a graph beside them.
const NUMBERS: u16 = 11;
/// Lines a graph above the numbers has at least.
const ABOVE: u16 = 8;

/// How the lines of a terminal are shared out.
struct Plan {
    top: u16,
    text: u16,
    problem: u16,
    estimate: u16,
}

impl Plan {
    /// The text and the numbers come first; a graph gets what they leave.
    fn new(area: Rect, lines: u16) -> Self {
        let problem = if area.height >= 16 { 2 } else { 1 };
        let estimate = u16::from(area.height >= 14);
        let rest = area.height.saturating_sub(3 + problem + estimate);
        let wanted = (lines + 1).max(5);
        let text = wanted.min((rest * 2 / 5).max(3));
        let top = rest.saturating_sub(text);
        let has_graph = area.width >= BESIDE.0 || top >= NUMBERS + ABOVE;
        let top = if has_graph { top } else { top.min(NUMBERS) };
        Self { top, text: rest - top, problem, estimate }
    }
}

/// Draws the editor.
pub fn draw(pen: &mut Canvas<'_>, area: Rect, editor: &Editor, snapshot: &Snapshot, ui: &Ui) {
    let lines = editor.text.as_ref().map_or(4, |text| text.lines().len());
    let plan = Plan::new(area, u16::try_from(lines).unwrap_or(u16::MAX));
    let mut y = area.y;
    let mut take = |rows: u16| {
        let taken = Rect { y, height: rows.min(area.bottom().saturating_sub(y)), ..area };
        y += taken.height;
        taken
    };
    header(pen, take(1), editor, snapshot, ui);
    numbers(pen, take(plan.top), editor, snapshot, ui);
    title(pen, take(1), editor);
    let text = take(plan.text);
    match &editor.text {
        Some(shown) => {
            Lines { text: shown, problems: editor.problems(), is_live: !editor.is_saving() }.draw(pen, text);
        }
        None => drop(pen.put(text.x + 1, text.y, text.width - 1, "reading the config …", Role::Quiet)),
    }
    problem(pen, take(plan.problem), editor);
    let estimate = take(plan.estimate);
    if estimate.height > 0 && editor.told().is_some() {
        let text = "recorded where it ran then, replayed without gates: an estimate, not a promise";
        pen.put(estimate.x + 1, estimate.y, estimate.width - 1, text, Role::Quiet);
    }
    footer::draw(pen, take(1), snapshot, ui);
}

/// Whose policy, where it runs, how far back what-if looks; and whatever is wrong elsewhere.
fn header(pen: &mut Canvas<'_>, area: Rect, editor: &Editor, snapshot: &Snapshot, ui: &Ui) {
    let days = format!("what-if over {}", counted(DAYS[editor.days] as usize, "day", "days"));
    let mut right: Vec<(String, Role)> = Vec::new();
    if ui.engine_gone {
        right.push((" engine stopped ".to_owned(), Role::Frozen));
    } else if let Some(quiet) = ui.quiet {
        right.push((format!(" stale data {} ", age(quiet)), Role::Frozen));
    }
    if !snapshot.alarms.is_empty() {
        right.push((format!("! {}", counted(snapshot.alarms.len(), "alarm", "alarms")), Role::Alarm));
    }
    right.push((days, Role::Text));
    let columns = right.iter().map(|(text, _)| width(text) as u16 + 3).sum::<u16>();
    let mut x = area.right().saturating_sub(columns.min(area.width.saturating_sub(12)));
    let room = x.saturating_sub(area.x + 3);
    let first = editor.vms.first().and_then(|vm| snapshot.rows.iter().find(|row| row.name == *vm));
    let about = match (first, &editor.vms[..]) {
        (Some(row), [_]) => format!("   {} on {}/{}   policy {}", row.service, row.array, row.host, row.policy),
        (_, [_]) => String::new(),
        (_, many) => format!("   {}", some_of(many)),
    };
    pen.line(area.x + 1, area.y, room, &[(&editor.whose(), Role::Brand), (&about, Role::Text)]);
    for (text, role) in &right {
        x = pen.put(x, area.y, area.right().saturating_sub(x), text, *role) + 3;
    }
}

/// Graph, sentence, table, differences and strip, as many as there is room for.
fn numbers(pen: &mut Canvas<'_>, area: Rect, editor: &Editor, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    if area.width >= BESIDE.0 && area.height >= BESIDE.1 {
        let left = Rect { width: area.width - PANEL - 2, ..area };
        graph::draw(pen, left, editor, snapshot, ui);
        let panel = Rect { x: left.right() + 2, width: PANEL - 1, ..area };
        return stacked(pen, panel, editor, ui);
    }
    let mut panel = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    if area.height >= NUMBERS + ABOVE {
        let rows = area.height - NUMBERS;
        graph::draw(pen, Rect { height: rows, ..area }, editor, snapshot, ui);
        panel = Rect { y: area.y + rows, height: NUMBERS, ..panel };
    }
    let body = sentences(pen, panel, editor);
    // Of a table of one line the sentence has told both numbers.
    if body.height < 3 {
        return;
    }
    let table = Rect { width: panel::TABLE.min(body.width), ..body };
    panel::table(pen, table, editor);
    let aside = Rect { x: table.right() + 3, width: body.width.saturating_sub(table.width + 3), ..body };
    let Some(comparison) = editor.told().filter(|_| aside.width >= 32) else { return };
    // Of the two the strip goes first where there is no room for both.
    let strip = if body.height >= panel::STRIP + 3 { panel::STRIP + 1 } else { 0 };
    let rows = (body.height - strip).min(comparison.differences.len() as u16 + 1);
    let at = Rect { height: rows, width: aside.width.min(panel::TABLE), ..aside };
    panel::differences(pen, at, comparison, ui.zone);
    if strip > 0 {
        let at = Rect { y: at.bottom() + 1, height: panel::STRIP, ..aside };
        panel::strip(pen, at, editor, comparison);
    }
}

/// One below the other, with a line between them.
fn stacked(pen: &mut Canvas<'_>, area: Rect, editor: &Editor, ui: &Ui) {
    let body = sentences(pen, area, editor);
    let Some(comparison) = editor.told() else {
        return panel::table(pen, Rect { width: body.width.min(panel::TABLE + 6), ..body }, editor);
    };
    let strip = if body.height >= 9 { panel::STRIP } else { 0 };
    let rest = body.height.saturating_sub(strip + u16::from(strip > 0));
    let table = rest.min(panel::lines(editor));
    // Numbers far from their names are hard to follow.
    let narrow = body.width.min(panel::TABLE + 6);
    panel::table(pen, Rect { height: table, width: narrow, ..body }, editor);
    let (left, mut y) = (rest - table, body.y + table + 1);
    if left >= 3 {
        let rows = (left - 1).min(comparison.differences.len() as u16 + 1);
        let at = Rect { y, height: rows, width: narrow, ..body };
        panel::differences(pen, at, comparison, ui.zone);
        y = at.bottom() + 1;
    }
    if strip > 0 {
        panel::strip(pen, Rect { y: y.min(body.bottom() - strip), height: strip, ..body }, editor, comparison);
    }
}

/// Writes the sentences and says what is left below them.
fn sentences(pen: &mut Canvas<'_>, area: Rect, editor: &Editor) -> Rect {
    let mut y = area.y;
    for (text, role) in panel::sentences(editor) {
        for line in wrap(&text, usize::from(area.width), 2, pen.glyphs.cut) {
            if y < area.bottom() {
                pen.put(area.x, y, area.width, &line, role);
                y += 1;
            }
        }
    }
    // An empty line, where there is room for one.
    y += u16::from(area.bottom().saturating_sub(y) > 5);
    Rect { y: y.min(area.bottom()), height: area.bottom().saturating_sub(y), ..area }
}

/// Which block it is and whom else it touches; at the right what would be changed.
fn title(pen: &mut Canvas<'_>, area: Rect, editor: &Editor) {
    let whose = editor.whose();
    let block = editor.block();
    let place = block.filter(|block| !block.place.is_empty()).map_or_else(String::new, |b| format!(" ({})", b.place));
    let (name, shared) = match (block.and_then(|block| block.shared.as_ref().zip(Some(block))), editor.scope) {
        (Some((name, block)), Scope::Block) if !block.others.is_empty() => {
            (format!("policy {name}"), format!(", shared with {}", some_of(&block.others)))
        }
        (Some((name, _)), Scope::Block) => (format!("policy {name}"), String::new()),
        (Some((name, _)), Scope::Own) => (format!("policy of {whose}"), format!(", its own, out of policy {name}")),
        (None, _) => (format!("policy of {whose}"), String::new()),
    };
    let changes = match editor.fresh() {
        _ if editor.text.is_none() => String::new(),
        _ if !editor.is_unsaved() => "unchanged".to_owned(),
        Some(view) if view.problems.is_empty() && !view.changes.is_empty() => changes_in_words(&view.changes),
        _ => "changed".to_owned(),
    };
    // A long list gives way to whom it touches.
    let left = width(&name) + width(&shared) + width(&place) + 12;
    let room = usize::from(area.width).saturating_sub(left);
    let changes = if width(&changes) > room { "changed".to_owned() } else { changes };
    pen.rule(area, &[(&name, Role::Title), (&shared, Role::Warning), (&place, Role::Quiet)], &changes);
}

/// What is wrong in the line under the caret, or else first; and what would be right.
fn problem(pen: &mut Canvas<'_>, area: Rect, editor: &Editor) {
    let problems = editor.problems();
    let row = editor.text.as_ref().map_or(0, |text| text.caret().0);
    let Some(problem) = problems.iter().find(|problem| problem.line == row).or(problems.first()) else {
        return beside(pen, area, editor);
    };
    let more = match problems.len() - 1 {
        0 => String::new(),
        n => format!("   and {n} more"),
    };
    let (mark, at) = (format!("{} ", pen.glyphs.verdicts[2]), format!("line {}: ", problem.line + 1));
    let pieces = [(&*mark, Role::Alarm), (&*at, Role::Quiet), (&*problem.message, Role::Alarm), (&*more, Role::Quiet)];
    if area.height == 1 {
        let help = format!(": {}", problem.help);
        pen.line(area.x + 1, area.y, area.width - 1, &[pieces[0], pieces[2], (&help, Role::Text)]);
        return;
    }
    pen.line(area.x + 1, area.y, area.width - 1, &pieces);
    if area.height > 1 {
        pen.line(area.x + 3, area.y + 1, area.width - 3, &[("help: ", Role::Quiet), (&problem.help, Role::Text)]);
    }
}

/// With nothing wrong in the text: what keeps it from being saved.
fn beside(pen: &mut Canvas<'_>, area: Rect, editor: &Editor) {
    let said = match editor.fresh().map(|view| &view.saving) {
        Some(Saving::Conflict(theirs)) => {
            format!("! the file was changed meanwhile ({}): saving shows both and asks", theirs.place)
        }
        Some(Saving::Refused(why)) => format!("! it could not be saved: {why}"),
        _ => return,
    };
    pen.put(area.x + 1, area.y, area.width - 1, &said, Role::Warning);
}

/// Both texts, side by side; what only one of them has is marked.
pub fn conflict(pen: &mut Canvas<'_>, area: Rect, ui: &Ui, theirs: &Arc<Block>) {
    let Some(text) = ui.editor.as_ref().and_then(|editor| editor.text.as_ref()) else { return };
    let whole = Rect { height: area.height.saturating_sub(1), ..area };
    pen.clear(whole);
    pen.rule(whole, &[("the file was changed meanwhile: nothing was written", Role::Warning)], "");
    let half = whole.width / 2;
    let answers: Vec<_> = keymap::BINDINGS.iter().filter(|b| b.context == Context::Conflict).collect();
    let longest = text.lines().len().max(theirs.text.lines().count());
    let bottom = (whole.y + 3 + longest as u16).min(whole.bottom().saturating_sub(answers.len() as u16));
    for (y, binding) in (bottom..whole.bottom()).zip(&answers) {
        let end = pen.put(whole.x + 3, y, 4, binding.shown, Role::Key).max(whole.x + 7);
        pen.put(end, y, whole.right().saturating_sub(end), binding.help, Role::Text);
    }
    let mine: Vec<&str> = text.lines().iter().map(String::as_str).collect();
    let theirs_lines: Vec<&str> = theirs.text.lines().collect();
    let place = format!("in the file now, {}", theirs.place);
    for (x, columns, title, lines, others) in [
        (whole.x, half, "yours", &mine, &theirs_lines),
        (whole.x + half, whole.width - half, &*place, &theirs_lines, &mine),
    ] {
        pen.put(x + 3, whole.y + 1, columns.saturating_sub(4), title, Role::Head);
        for (y, line) in (whole.y + 2..bottom).zip(lines) {
            let only = !others.contains(line);
            pen.put(x + 1, y, 1, if only { "*" } else { " " }, Role::Warning);
            pen.put(x + 3, y, columns.saturating_sub(4), line, if only { Role::Strong } else { Role::Quiet });
        }
    }
}

/// Draws a question over the editor, or over the screen for one number of a policy.
pub fn draw_ask(pen: &mut Canvas<'_>, area: Rect, ask: &Ask, ui: &Ui) {
    match ask {
        Ask::Why(line) => prompt(pen, area, "why? (enter to leave it empty): ", line, ui),
        Ask::Number { vms, field, now, typed } => {
            prompt(pen, area, &question(vms, *field, *now), typed, ui);
        }
        Ask::Share { question, .. } => choice(pen, area, "shared", question, keymap::ask_context(ask)),
        Ask::Conflict(theirs) => conflict(pen, area, ui, theirs),
        Ask::Unsaved => {
            choice(pen, area, "unsaved", "the text has changes that are not saved", keymap::ask_context(ask));
        }
    }
}

/// `threshold of nii1 [50]: `
fn question(vms: &[Arc<str>], field: Field, now: Option<f64>) -> String {
    let now = now.map_or_else(|| "they differ".to_owned(), step::shown);
    format!("{} of {} [{now}]: ", step::label(field), whose(vms))
}

/// A line to be typed, in place of the footer; why the last one was not taken, behind it.
fn prompt(pen: &mut Canvas<'_>, area: Rect, question: &str, typed: &str, ui: &Ui) {
    let at = Rect { y: area.bottom() - 1, height: 1, ..area };
    pen.clear(at);
    let x = pen.put(at.x + 1, at.y, at.width - 1, question, Role::Key);
    let room = at.right().saturating_sub(x + 1);
    // Of a long line its end is seen, where it is typed.
    let over = width(typed).saturating_sub(usize::from(room));
    let mut skipped = 0;
    let shown: String = typed
        .chars()
        .skip_while(|c| {
            let skip = skipped < over;
            skipped += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
            skip
        })
        .collect();
    let x = pen.put(x, at.y, room, &shown, Role::Strong);
    pen.glyph(x, at.y, pen.glyphs.caret, Role::Key);
    if let Some(wrong) = ui.notice.as_ref().filter(|notice| notice.tone == Tone::Bad) {
        let x = x + 3;
        pen.line(x, at.y, at.right().saturating_sub(x), &[("! ", Role::Warning), (&wrong.text, Role::Warning)]);
    }
}

/// A question in the middle, with its answers from the table of keys.
fn choice(pen: &mut Canvas<'_>, area: Rect, title: &str, question: &str, context: Context) {
    let answers: Vec<_> = keymap::BINDINGS.iter().filter(|b| b.context == context && !b.help.is_empty()).collect();
    let columns = (width(question) as u16 + 6).clamp(44, 76).min(area.width);
    let lines = wrap(question, usize::from(columns.saturating_sub(4)), 5, pen.glyphs.cut);
    let rows = lines.len() as u16 + answers.len() as u16 + 3;
    let at = centred(area, columns, rows);
    pen.frame(at, title);
    let (x, room) = (at.x + 2, at.width.saturating_sub(4));
    let bottom = at.bottom().saturating_sub(1);
    // The answers are never cut off; the question may be, which the title sums up.
    let first = bottom.saturating_sub(answers.len() as u16);
    for (y, line) in (at.y + 1..first).zip(&lines) {
        pen.put(x, y, room, line, Role::Strong);
    }
    for (y, binding) in (first.max(at.y + 1)..bottom).zip(&answers) {
        let end = pen.put(x, y, room.min(6), binding.shown, Role::Key).max(x + 5);
        pen.put(end + 1, y, (x + room).saturating_sub(end + 1), binding.help, Role::Text);
    }
}
