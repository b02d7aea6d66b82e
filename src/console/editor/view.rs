//! How the editor is drawn: the past and the numbers above, the text below, problems under it, prompts over it.

use std::sync::Arc;

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthChar;

use crate::console::editor::text::{Place, Text, token_kinds};
use crate::console::editor::{Editor, Prompt, changes_in_words, panel, whose};
use crate::console::keymap::{self, KeyContext};
use crate::console::screens::draw_footer;
use crate::console::text::{some_of, width, wrap};
use crate::console::theme::Role;
use crate::console::ui::{Tone, Ui};
use crate::console::widgets::{Canvas, centred, take_rows};
use crate::core::cluster::Name;
use crate::core::format::{age, counted, duration, exact};
use crate::core::policy::Field;
use crate::core::scanner::TokenKind;
use crate::view::{Block, DraftProblem, Saving, Scope, Snapshot};

/// Columns of the numbers beside a graph.
const PANEL: u16 = 54;
/// From this many columns and lines above the text on, a graph is beside the numbers.
const BESIDE: (u16, u16) = (112, 11);
/// Lines of the numbers without a graph beside them.
const NUMBERS: u16 = 11;
/// The least lines of a graph above the numbers.
const ABOVE: u16 = 8;

/// Where each part is, from the top: header, numbers, title, text, problem, estimate, footer. The text and the numbers come
/// first; a graph gets the rest.
fn layout(area: Rect, lines: u16) -> [Rect; 7] {
    let problem = if area.height >= 16 { 2 } else { 1 };
    let estimate = u16::from(area.height >= 14);
    let rows = area.height.saturating_sub(3 + problem + estimate);
    let text = (lines + 1).max(5).min((rows * 2 / 5).max(3));
    let top = rows.saturating_sub(text);
    let has_graph = area.width >= BESIDE.0 || top >= NUMBERS + ABOVE;
    let top = if has_graph { top } else { top.min(NUMBERS) };
    let mut rest = area;
    [1, top, 1, rows - top, problem, estimate, 1].map(|rows| take_rows(&mut rest, rows))
}

/// Draws the editor.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor, snapshot: &Snapshot, ui: &Ui) {
    let lines = editor.text.as_ref().map_or(4, |text| text.lines().len());
    let [at_top, at_numbers, at_title, text, at_problem, estimate, footer] =
        layout(area, u16::try_from(lines).unwrap_or(u16::MAX));
    header(canvas, at_top, editor, snapshot, ui);
    numbers(canvas, at_numbers, editor, snapshot, ui);
    title(canvas, at_title, editor);
    match &editor.text {
        Some(shown) => draw_text(canvas, text, editor, shown),
        None => drop(canvas.put(text.x + 1, text.y, text.width - 1, "reading the config …", Role::Quiet)),
    }
    problem(canvas, at_problem, editor);
    if estimate.height > 0 && editor.told().is_some() {
        let text = "recorded where it ran then, replayed without gates: an estimate, not a promise";
        canvas.put(estimate.x + 1, estimate.y, estimate.width - 1, text, Role::Quiet);
    }
    draw_footer(canvas, footer, snapshot, ui);
}

/// Draws whose policy it is, where the VM runs, how far back what-if looks, and alarms.
fn header(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor, snapshot: &Snapshot, ui: &Ui) {
    let days = format!("what-if over {}", duration(editor.span()));
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
        (Some(row), [_]) => format!("   {} on {}/{}   policy {}", row.service, row.array, row.host, row.policy.word()),
        (_, [_]) => String::new(),
        (_, many) => format!("   {}", some_of(many)),
    };
    canvas.line(area.x + 1, area.y, room, &[(&editor.whose(), Role::Brand), (&about, Role::Text)]);
    for (text, role) in &right {
        x = canvas.put(x, area.y, area.right().saturating_sub(x), text, *role) + 3;
    }
}

/// Draws graph, sentence, table, differences and strip, as far as there is room.
fn numbers(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor, snapshot: &Snapshot, ui: &Ui) {
    if area.height == 0 {
        return;
    }
    if area.width >= BESIDE.0 && area.height >= BESIDE.1 {
        let left = Rect { width: area.width - PANEL - 2, ..area };
        panel::draw_graph(canvas, left, editor, snapshot, ui);
        let panel = Rect { x: left.right() + 2, width: PANEL - 1, ..area };
        return stacked(canvas, panel, editor, ui);
    }
    let mut panel = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    if area.height >= NUMBERS + ABOVE {
        let rows = area.height - NUMBERS;
        panel::draw_graph(canvas, Rect { height: rows, ..area }, editor, snapshot, ui);
        panel = Rect { y: area.y + rows, height: NUMBERS, ..panel };
    }
    let body = sentences(canvas, panel, editor);
    // A table with one row repeats the sentence.
    if body.height < 3 {
        return;
    }
    let table = Rect { width: panel::TABLE.min(body.width), ..body };
    panel::table(canvas, table, editor);
    let aside = Rect { x: table.right() + 3, width: body.width.saturating_sub(table.width + 3), ..body };
    let Some(comparison) = editor.told().filter(|_| aside.width >= 32) else { return };
    // Without room for both, the strip is left out.
    let strip = if body.height >= panel::STRIP + 3 { panel::STRIP + 1 } else { 0 };
    let rows = (body.height - strip).min(comparison.differences.len() as u16 + 1);
    let at = Rect { height: rows, width: aside.width.min(panel::TABLE), ..aside };
    panel::differences(canvas, at, comparison, ui.zone);
    if strip > 0 {
        let at = Rect { y: at.bottom() + 1, height: panel::STRIP, ..aside };
        panel::strip(canvas, at, editor, comparison);
    }
}

/// Draws the numbers one below the other, with an empty line between them.
fn stacked(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor, ui: &Ui) {
    let body = sentences(canvas, area, editor);
    let Some(comparison) = editor.told() else {
        return panel::table(canvas, Rect { width: body.width.min(panel::TABLE + 6), ..body }, editor);
    };
    let strip = if body.height >= 9 { panel::STRIP } else { 0 };
    let rest = body.height.saturating_sub(strip + u16::from(strip > 0));
    let table = rest.min(panel::lines(editor));
    // A wide table is hard to read.
    let narrow = body.width.min(panel::TABLE + 6);
    panel::table(canvas, Rect { height: table, width: narrow, ..body }, editor);
    let (left, mut y) = (rest - table, body.y + table + 1);
    if left >= 3 {
        let rows = (left - 1).min(comparison.differences.len() as u16 + 1);
        let at = Rect { y, height: rows, width: narrow, ..body };
        panel::differences(canvas, at, comparison, ui.zone);
        y = at.bottom() + 1;
    }
    if strip > 0 {
        panel::strip(canvas, Rect { y: y.min(body.bottom() - strip), height: strip, ..body }, editor, comparison);
    }
}

/// Draws the sentences and returns the area below them.
fn sentences(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor) -> Rect {
    let mut y = area.y;
    for (text, role) in panel::sentences(editor) {
        for line in wrap(&text, usize::from(area.width), 2, canvas.glyphs.cut) {
            if y < area.bottom() {
                canvas.put(area.x, y, area.width, &line, role);
                y += 1;
            }
        }
    }
    // An empty line, where there is room for one.
    y += u16::from(area.bottom().saturating_sub(y) > 5);
    Rect { y: y.min(area.bottom()), height: area.bottom().saturating_sub(y), ..area }
}

/// Draws which block it is and who shares it; at the right what would change.
fn title(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor) {
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
    // Who shares the block matters more than a long list of changes.
    let left = width(&name) + width(&shared) + width(&place) + 12;
    let room = usize::from(area.width).saturating_sub(left);
    let changes = if width(&changes) > room && editor.is_unsaved() { "changed".to_owned() } else { changes };
    canvas.rule(area, &[(&name, Role::Title), (&shared, Role::Warning), (&place, Role::Quiet)], &changes);
}

/// Draws the problem in the caret's line, or else the first one, and its help.
fn problem(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor) {
    let problems = editor.problems();
    let row = editor.text.as_ref().map_or(0, |text| text.caret().0);
    let Some(problem) = problems.iter().find(|problem| problem.line == row).or(problems.first()) else {
        return beside(canvas, area, editor);
    };
    let more = match problems.len() - 1 {
        0 => String::new(),
        n => format!("   and {n} more"),
    };
    let (mark, at) = (format!("{} ", canvas.glyphs.verdicts[2]), format!("line {}: ", problem.line + 1));
    let pieces = [(&*mark, Role::Alarm), (&*at, Role::Quiet), (&*problem.message, Role::Alarm), (&*more, Role::Quiet)];
    if area.height == 1 {
        let help = format!(": {}", problem.help);
        canvas.line(area.x + 1, area.y, area.width - 1, &[pieces[0], pieces[2], (&help, Role::Text)]);
        return;
    }
    canvas.line(area.x + 1, area.y, area.width - 1, &pieces);
    if area.height > 1 {
        canvas.line(area.x + 3, area.y + 1, area.width - 3, &[("help: ", Role::Quiet), (&problem.help, Role::Text)]);
    }
}

/// Draws why the text cannot be saved although it has no problem.
fn beside(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor) {
    let said = match editor.fresh().map(|view| &view.saving) {
        Some(Saving::Conflict(theirs)) => {
            format!("! the file was changed meanwhile ({}): saving shows both and asks", theirs.place)
        }
        Some(Saving::Refused(why)) => format!("! it could not be saved: {why}"),
        _ => return,
    };
    canvas.put(area.x + 1, area.y, area.width - 1, &said, Role::Warning);
}

/// Draws both texts side by side; lines that only one of them has are marked.
pub fn conflict(canvas: &mut Canvas<'_>, area: Rect, ui: &Ui, theirs: &Arc<Block>) {
    let Some(text) = ui.editor.as_ref().and_then(|editor| editor.text.as_ref()) else { return };
    let whole = Rect { height: area.height.saturating_sub(1), ..area };
    canvas.clear(whole);
    canvas.rule(whole, &[("the file was changed meanwhile: nothing was written", Role::Warning)], "");
    let half = whole.width / 2;
    let answers: Vec<_> = keymap::BINDINGS.iter().filter(|b| b.context == KeyContext::Conflict).collect();
    let longest = text.lines().len().max(theirs.text.lines().count());
    let bottom = (whole.y + 3 + longest as u16).min(whole.bottom().saturating_sub(answers.len() as u16));
    for (y, binding) in (bottom..whole.bottom()).zip(&answers) {
        let end = canvas.put(whole.x + 3, y, 4, binding.shown, Role::Key).max(whole.x + 7);
        canvas.put(end, y, whole.right().saturating_sub(end), binding.help, Role::Text);
    }
    let mine: Vec<&str> = text.lines().iter().map(String::as_str).collect();
    let theirs_lines: Vec<&str> = theirs.text.lines().collect();
    let place = format!("in the file now, {}", theirs.place);
    for (x, columns, title, lines, others) in [
        (whole.x, half, "yours", &mine, &theirs_lines),
        (whole.x + half, whole.width - half, &*place, &theirs_lines, &mine),
    ] {
        canvas.put(x + 3, whole.y + 1, columns.saturating_sub(4), title, Role::Head);
        for (y, line) in (whole.y + 2..bottom).zip(lines) {
            let only = !others.contains(line);
            canvas.put(x + 1, y, 1, if only { "*" } else { " " }, Role::Warning);
            canvas.put(x + 3, y, columns.saturating_sub(4), line, if only { Role::Strong } else { Role::Quiet });
        }
    }
}

/// Draws a prompt.
pub fn draw_prompt(canvas: &mut Canvas<'_>, area: Rect, prompt: &Prompt, ui: &Ui) {
    match prompt {
        Prompt::Why(line) => typed_line(canvas, area, "why? (enter to leave it empty): ", line, ui),
        Prompt::Number { vms, field, now, typed } => {
            typed_line(canvas, area, &question(vms, *field, *now), typed, ui);
        }
        Prompt::ShareDraft { question, .. } | Prompt::ShareNumbers { question, .. } => {
            choice(canvas, area, "shared", question, keymap::prompt_context(prompt));
        }
        Prompt::Conflict(theirs) => conflict(canvas, area, ui, theirs),
        Prompt::Unsaved => {
            choice(canvas, area, "unsaved", "the text has changes that are not saved", keymap::prompt_context(prompt));
        }
    }
}

/// `threshold of nii1 [50]: `
fn question(vms: &[Name], field: Field, now: Option<f64>) -> String {
    let now = now.map_or_else(|| "they differ".to_owned(), exact);
    format!("{} of {} [{now}]: ", field.words(), whose(vms))
}

/// Draws a line to type in place of the footer, and after it why the last input was refused.
fn typed_line(canvas: &mut Canvas<'_>, area: Rect, question: &str, typed: &str, ui: &Ui) {
    let at = Rect { y: area.bottom() - 1, height: 1, ..area };
    canvas.clear(at);
    let x = canvas.put(at.x + 1, at.y, at.width - 1, question, Role::Key);
    let room = at.right().saturating_sub(x + 1);
    // Of a long line the end is shown, where the caret is.
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
    let x = canvas.put(x, at.y, room, &shown, Role::Strong);
    canvas.glyph(x, at.y, canvas.glyphs.caret, Role::Key);
    if let Some(wrong) = ui.notice.as_ref().filter(|notice| notice.tone == Tone::Bad) {
        let x = x + 3;
        canvas.line(x, at.y, at.right().saturating_sub(x), &[("! ", Role::Warning), (&wrong.text, Role::Warning)]);
    }
}

/// Draws a question in the middle, with its answers from the table of keys.
fn choice(canvas: &mut Canvas<'_>, area: Rect, title: &str, question: &str, context: KeyContext) {
    let answers: Vec<_> = keymap::BINDINGS.iter().filter(|b| b.context == context && !b.help.is_empty()).collect();
    let columns = (width(question) as u16 + 6).clamp(44, 76).min(area.width);
    let lines = wrap(question, usize::from(columns.saturating_sub(4)), 5, canvas.glyphs.cut);
    let rows = lines.len() as u16 + answers.len() as u16 + 3;
    let at = centred(area, columns, rows);
    canvas.frame(at, title);
    let (x, room) = (at.x + 2, at.width.saturating_sub(4));
    let bottom = at.bottom().saturating_sub(1);
    // The answers always fit; the question may be cut, because the title sums it up.
    let first = bottom.saturating_sub(answers.len() as u16);
    for (y, line) in (at.y + 1..first).zip(&lines) {
        canvas.put(x, y, room, line, Role::Strong);
    }
    for (y, binding) in (first.max(at.y + 1)..bottom).zip(&answers) {
        let end = canvas.put(x, y, room.min(6), binding.shown, Role::Key).max(x + 5);
        canvas.put(end + 1, y, (x + room).saturating_sub(end + 1), binding.help, Role::Text);
    }
}

/// Columns before the text: a mark and the line's number.
const GUTTER: u16 = 6;

/// Draws the lines of the text around the caret, with their numbers.
fn draw_text(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor, text: &Text) {
    let (lines, (row, column)) = (text.lines(), text.caret());
    let (rows, room) = (usize::from(area.height), usize::from(area.width.saturating_sub(GUTTER + 1)));
    let top = row.saturating_sub(rows / 2).min(lines.len().saturating_sub(rows));
    let before: String = lines.get(row).map_or_else(String::new, |line| line.chars().take(column).collect());
    let left = (width(&before) + 1).saturating_sub(room);
    for (y, (n, line)) in (area.top()..area.bottom()).zip(lines.iter().enumerate().skip(top)) {
        if editor.problems().iter().any(|problem| problem.line == n) {
            canvas.glyph(area.x + 1, y, canvas.glyphs.verdicts[2], Role::Alarm);
        }
        let role = if row == n { Role::Text } else { Role::Faint };
        canvas.put_right(area.x + 2, y, 3, &(n + 1).to_string(), role);
        let at = Rect { x: area.x + GUTTER, y, width: room as u16 + 1, height: 1 };
        draw_line(canvas, at, line, left, |column, kind| text_role(editor, text, (n, column), kind));
    }
}

/// Draws one line; its first `left` columns are scrolled out.
fn draw_line(canvas: &mut Canvas<'_>, area: Rect, line: &str, left: usize, role: impl Fn(usize, TokenKind) -> Role) {
    let mut at = 0;
    // One more cell after the end, for the caret and for problems there.
    let chars = line.chars().chain([' ']).zip(token_kinds(line).chain([TokenKind::Blank])).enumerate();
    for (column, (c, kind)) in chars {
        let wide = c.width().unwrap_or(0);
        let x = at;
        at += wide;
        if x < left || x + wide > left + usize::from(area.width) {
            continue;
        }
        let mut buffer = [0; 4];
        let text = c.encode_utf8(&mut buffer);
        canvas.put(area.x + (x - left) as u16, area.y, wide as u16, text, role(column, kind));
    }
}

fn text_role(editor: &Editor, text: &Text, at: Place, kind: TokenKind) -> Role {
    let chosen = text.selection().is_some_and(|(from, to)| from <= at && at < to);
    let is_wrong = |problem: &DraftProblem| {
        problem.line == at.0 && (problem.column..problem.column + problem.length.max(1)).contains(&at.1)
    };
    match kind {
        _ if !editor.is_saving() && text.caret() == at => Role::Cursor,
        _ if chosen => Role::Chosen,
        _ if editor.problems().iter().any(is_wrong) => Role::Wrong,
        TokenKind::Key => Role::SyntaxKey,
        TokenKind::Text | TokenKind::OpenText => Role::SyntaxText,
        TokenKind::Number | TokenKind::Word => Role::SyntaxNumber,
        TokenKind::Comment => Role::Comment,
        TokenKind::Sign | TokenKind::Stray | TokenKind::Blank | TokenKind::LineEnd => Role::Quiet,
    }
}
