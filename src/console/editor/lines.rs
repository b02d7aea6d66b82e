//! The text as it is drawn: numbered lines, what is wrong marked, the caret.

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthChar;

use super::syntax;
use super::text::{Place, Text};
use crate::console::text::width;
use crate::console::theme::Role;
use crate::console::widgets::Canvas;
use crate::core::scanner::TokenKind;
use crate::view::DraftProblem;

/// Columns before the text: a mark and the line's number.
const GUTTER: u16 = 6;

/// What is drawn of a text.
pub struct Lines<'a> {
    /// The text.
    pub text: &'a Text,
    /// What is wrong with it.
    pub problems: &'a [DraftProblem],
    /// It takes keys.
    pub is_live: bool,
}

impl Lines<'_> {
    /// Draws as many lines as there is room for, with the caret among them.
    pub fn draw(&self, pen: &mut Canvas<'_>, area: Rect) {
        let (lines, (row, column)) = (self.text.lines(), self.text.caret());
        let (rows, room) = (usize::from(area.height), usize::from(area.width.saturating_sub(GUTTER + 1)));
        let top = row.saturating_sub(rows / 2).min(lines.len().saturating_sub(rows));
        let before: String = lines.get(row).map_or_else(String::new, |line| line.chars().take(column).collect());
        let left = (width(&before) + 1).saturating_sub(room);
        for (y, (n, line)) in (area.top()..area.bottom()).zip(lines.iter().enumerate().skip(top)) {
            self.gutter(pen, area.x, y, n);
            self.line(pen, Rect { x: area.x + GUTTER, y, width: room as u16 + 1, height: 1 }, n, line, left);
        }
    }

    fn gutter(&self, pen: &mut Canvas<'_>, x: u16, y: u16, n: usize) {
        if self.problems.iter().any(|problem| problem.line == n) {
            pen.glyph(x + 1, y, pen.glyphs.verdicts[2], Role::Alarm);
        }
        let role = if self.text.caret().0 == n { Role::Text } else { Role::Faint };
        pen.put_right(x + 2, y, 3, &(n + 1).to_string(), role);
    }

    /// One line; `left` columns of it are out of sight.
    fn line(&self, pen: &mut Canvas<'_>, area: Rect, n: usize, line: &str, left: usize) {
        let mut at = 0;
        // One place behind the end: the caret may stand there, and something may be missing there.
        let chars = line.chars().chain([' ']).zip(syntax::kinds(line).chain([TokenKind::Blank])).enumerate();
        for (column, (c, kind)) in chars {
            let wide = c.width().unwrap_or(0);
            let x = at;
            at += wide;
            if x < left || x + wide > left + usize::from(area.width) {
                continue;
            }
            let mut buffer = [0; 4];
            let role = self.role((n, column), kind);
            pen.put(area.x + (x - left) as u16, area.y, wide as u16, c.encode_utf8(&mut buffer), role);
        }
    }

    fn role(&self, at: Place, kind: TokenKind) -> Role {
        let chosen = self.text.selection().is_some_and(|(from, to)| from <= at && at < to);
        let is_wrong = |problem: &DraftProblem| {
            problem.line == at.0 && (problem.column..problem.column + problem.length.max(1)).contains(&at.1)
        };
        match kind {
            _ if self.is_live && self.text.caret() == at => Role::Cursor,
            _ if chosen => Role::Chosen,
            _ if self.problems.iter().any(is_wrong) => Role::Wrong,
            TokenKind::Key => Role::SyntaxKey,
            TokenKind::Text | TokenKind::OpenText => Role::SyntaxText,
            TokenKind::Number | TokenKind::Word => Role::SyntaxNumber,
            TokenKind::Comment => Role::Comment,
            TokenKind::Sign | TokenKind::Stray | TokenKind::Blank | TokenKind::LineEnd => Role::Quiet,
        }
    }
}
