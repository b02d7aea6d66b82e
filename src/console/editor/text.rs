//! The text being edited: a text area whose undo takes back whole steps, whose values can be selected, and whose lines have
//! tokens.

use std::collections::BTreeSet;
use std::ops::Range;

use tui_textarea::{CursorMove, TextArea};

use crate::core::format::is_hostile;
use crate::core::policy::Field;
use crate::core::scanner::{Scanner, TokenKind, key_and_value};

/// Edits kept for undo.
const KEPT: usize = 2_000;
/// The most characters of a text: a wrong paste must not stop the console.
const LONGEST: usize = 20_000;

/// A line and a character in it, both from 0.
pub type Place = (usize, usize);

/// What is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The character before the caret.
    Before,
    /// The character after the caret.
    Behind,
    /// The word before it.
    Word,
    /// The line from the caret on.
    Rest,
}

/// A text and its caret.
#[derive(Debug, Clone)]
pub struct Text {
    area: TextArea<'static>,
    /// How many edits of the area's history are done, not undone.
    done: usize,
    /// Edits that undo takes back together with the one before.
    joined: BTreeSet<usize>,
    /// Whether the last edit was a typed character; the next one joins it.
    is_typing: bool,
    /// Whether the text ended with a line break, which is not shown as a line.
    has_tail: bool,
}

impl Text {
    /// A text with the caret at its begin.
    pub fn new(text: &str) -> Self {
        let has_tail = text.ends_with('\n');
        let lines = text.strip_suffix('\n').unwrap_or(text).split('\n').map(harmless).collect();
        let mut area = TextArea::new(lines);
        area.set_max_histories(KEPT);
        Self { area, done: 0, joined: BTreeSet::new(), is_typing: false, has_tail }
    }

    /// The whole text, with `\n` between its lines.
    pub fn whole(&self) -> String {
        let mut whole = self.area.lines().join("\n");
        if self.has_tail {
            whole.push('\n');
        }
        whole
    }

    /// Its lines.
    pub fn lines(&self) -> &[String] {
        self.area.lines()
    }

    /// Where the caret is.
    pub fn caret(&self) -> Place {
        let at = self.area.cursor();
        (at.0, at.1)
    }

    /// The start of the selection, and the position after its end.
    pub fn selection(&self) -> Option<(Place, Place)> {
        self.area.selection_range().filter(|(from, to)| from != to)
    }

    /// Types a character over the selection; a hostile character is ignored.
    pub fn type_char(&mut self, c: char) {
        if is_hostile(c) {
            return;
        }
        let joins = self.is_typing && self.selection().is_none();
        let cut = self.cut_selection();
        if self.is_full(1) {
            return;
        }
        self.area.insert_char(c);
        self.edited(joins || cut);
        self.is_typing = true;
    }

    /// Breaks the line.
    pub fn newline(&mut self) {
        let cut = self.cut_selection();
        if !self.is_full(1) {
            self.area.insert_newline();
            self.edited(cut);
        }
    }

    /// Inserts pasted lines without hostile characters. `false`: it is too long, and nothing was changed.
    pub fn paste(&mut self, pasted: &str) -> bool {
        if self.is_full(pasted.chars().count()) {
            return false;
        }
        let pasted: Vec<String> = pasted.replace("\r\n", "\n").split(['\n', '\r']).map(harmless).collect();
        let pasted = pasted.join("\n");
        self.put(&pasted);
        true
    }

    /// Deletes the selection, or else what `cut` says.
    pub fn cut(&mut self, cut: Deletion) {
        if self.cut_selection() {
            return;
        }
        let was_cut = match cut {
            Deletion::Before => self.area.delete_char(),
            Deletion::Behind => self.area.delete_next_char(),
            Deletion::Word => self.area.delete_word(),
            Deletion::Rest => self.area.delete_line_by_end(),
        };
        if was_cut {
            self.edited(false);
        }
    }

    /// Undoes the last step. Returns whether there was one.
    pub fn undo(&mut self) -> bool {
        let mut was_undone = false;
        while self.done > 0 && self.area.undo() {
            was_undone = true;
            self.done -= 1;
            if !self.joined.contains(&self.done) {
                break;
            }
        }
        self.is_typing = false;
        was_undone
    }

    /// Redoes the last undone step. Returns whether there was one.
    pub fn redo(&mut self) -> bool {
        let mut was_redone = false;
        while self.area.redo() {
            was_redone = true;
            self.done += 1;
            if !self.joined.contains(&self.done) {
                break;
            }
        }
        self.is_typing = false;
        was_redone
    }

    /// Moves the caret and clears the selection.
    pub fn go(&mut self, to: CursorMove) {
        self.area.cancel_selection();
        self.area.move_cursor(to);
        self.is_typing = false;
    }

    /// Puts the caret somewhere.
    pub fn jump(&mut self, (line, column): Place) {
        self.area.cancel_selection();
        self.area.move_cursor(jump_to(line, column));
        self.is_typing = false;
    }

    /// Selects the next value or the one before; after the last comes the first.
    pub fn next_value(&mut self, back: bool) {
        let values: Vec<(usize, Range<usize>)> = self.values().collect();
        let at = self.selection().map_or(self.caret(), |(from, _)| from);
        let place = |(line, range): &(usize, Range<usize>)| (*line, range.start);
        let next = if back {
            values.iter().rev().find(|value| place(value) < at).or(values.last())
        } else {
            // Without a selection, the value at the caret is the next one.
            let is_taken = self.selection().is_some();
            let is_on = |value: &&(usize, Range<usize>)| place(value) > at || !is_taken && place(value) == at;
            values.iter().find(is_on).or(values.first())
        };
        if let Some((line, range)) = next.cloned() {
            self.select(line, range);
        }
    }

    /// Selects a key's value. Returns whether the key has one.
    pub fn select_value(&mut self, key: &str) -> bool {
        let found = self.values().find(|(line, _)| self.sets(*line, key));
        let is_found = found.is_some();
        if let Some((line, range)) = found {
            self.select(line, range);
        }
        is_found
    }

    /// A key's value as it is written.
    pub fn value(&self, key: &str) -> Option<String> {
        let (line, range) = self.values().find(|(line, _)| self.sets(*line, key))?;
        Some(self.lines()[line].chars().skip(range.start).take(range.len()).collect())
    }

    /// A policy's number in the text, if it can be read.
    pub fn number(&self, field: Field) -> Option<f64> {
        let number = self.value(field.key())?.replace('_', "").parse::<f64>().ok()?;
        number.is_finite().then_some(number)
    }

    /// Replaces a key's value in one step and leaves it selected. Returns whether the key is there.
    pub fn set_value(&mut self, key: &str, value: &str) -> bool {
        if !self.select_value(key) {
            return false;
        }
        self.put(value);
        self.select_value(key)
    }

    /// Replaces the whole text in one step.
    pub fn replace(&mut self, text: &str) {
        self.has_tail = text.ends_with('\n');
        self.area.select_all();
        self.put(&text.strip_suffix('\n').unwrap_or(text).split('\n').map(harmless).collect::<Vec<_>>().join("\n"));
        self.jump((0, 0));
    }

    fn sets(&self, line: usize, key: &str) -> bool {
        key_and_value(&self.lines()[line]).is_some_and(|(set, _)| set == key)
    }

    fn values(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let lines = self.lines().iter().enumerate();
        lines.filter_map(|(n, line)| value_range(line).map(|range| (n, range)))
    }

    fn select(&mut self, line: usize, range: Range<usize>) {
        self.jump((line, range.start));
        self.area.start_selection();
        self.area.move_cursor(jump_to(line, range.end));
    }

    fn put(&mut self, text: &str) {
        let cut = self.cut_selection();
        if !text.is_empty() && !self.is_full(text.chars().count()) && self.area.insert_str(text) {
            self.edited(cut);
        }
        self.is_typing = false;
    }

    fn cut_selection(&mut self) -> bool {
        let is_cut = self.selection().is_some() && self.area.cut();
        if is_cut {
            self.edited(false);
        }
        self.area.cancel_selection();
        is_cut
    }

    /// Counts an edit of the area's history; `joins`: undo takes it back with the one before.
    fn edited(&mut self, joins: bool) {
        self.joined.split_off(&self.done);
        if joins && self.done > 0 {
            self.joined.insert(self.done);
        }
        self.done += 1;
        self.is_typing = false;
    }

    fn is_full(&self, more: usize) -> bool {
        self.lines().iter().map(|line| line.len() + 1).sum::<usize>() + more > LONGEST
    }
}

fn jump_to(line: usize, column: usize) -> CursorMove {
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    CursorMove::Jump(short(line), short(column))
}

/// A line without hostile characters.
fn harmless(line: &str) -> String {
    line.strip_suffix('\r').unwrap_or(line).replace('\t', "  ").chars().filter(|c| !is_hostile(*c)).collect()
}

/// The token kind of each character of a line.
pub fn token_kinds(line: &str) -> impl Iterator<Item = TokenKind> {
    Scanner::new(line).flat_map(|token| std::iter::repeat_n(token.kind, count(line, token.span)))
}

/// The value after the first `=` of a line: a string without its quotes, a number or a word. In characters.
fn value_range(line: &str) -> Option<Range<usize>> {
    let is_sign = |span: &Range<usize>| line.get(span.clone()) == Some("=");
    let mut after = Scanner::new(line).skip_while(|token| !is_sign(&token.span)).skip(1);
    let token = after.find(|token| token.kind != TokenKind::Blank)?;
    let raw = line.get(token.span.clone())?;
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let (head, tail) = match token.kind {
        TokenKind::Text => (quotes, quotes),
        TokenKind::OpenText => (quotes, 0),
        TokenKind::Number | TokenKind::Word => (0, 0),
        _ => return None,
    };
    let begin = count(line, 0..token.span.start + head);
    Some(begin..begin + count(line, token.span.start + head..token.span.end - tail))
}

/// The characters in a range of bytes.
fn count(line: &str, span: Range<usize>) -> usize {
    line.get(span).map_or(0, |part| part.chars().count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: &str = "kind = \"threshold\"\nthreshold = 50 # x\ntarry = 3\n";

    fn type_all(text: &mut Text, typed: &str) {
        typed.chars().for_each(|c| text.type_char(c));
    }

    #[test]
    fn what_is_not_touched_comes_back_as_it_was() {
        for text in [BLOCK, "a = 1", "", "\n", "a = 1\n\n# end\n\n"] {
            assert_eq!(Text::new(text).whole(), text);
        }
        assert_eq!(Text::new(BLOCK).lines().len(), 3, "the last line break is no line");
    }

    #[test]
    fn a_value_typed_over_is_one_step_to_undo() {
        let mut text = Text::new(BLOCK);
        assert!(text.select_value("threshold"));
        assert_eq!(text.selection(), Some(((1, 12), (1, 14))));
        type_all(&mut text, "60.5");
        assert_eq!(text.value("threshold").as_deref(), Some("60.5"));
        assert!(text.undo() && !text.undo());
        assert_eq!(text.whole(), BLOCK);
        assert!(text.redo() && !text.redo());
        assert!(text.whole().contains("threshold = 60.5 # x"));
    }

    #[test]
    fn moving_the_caret_ends_a_step() {
        let mut text = Text::new("");
        type_all(&mut text, "ab");
        text.go(CursorMove::Head);
        type_all(&mut text, "cd");
        assert_eq!(text.whole(), "cdab");
        text.undo();
        assert_eq!(text.whole(), "ab");
        type_all(&mut text, "x");
        assert!(!text.redo(), "what was undone is gone once something else is typed");
        text.undo();
        text.undo();
        assert_eq!(text.whole(), "");
    }

    #[test]
    fn values_are_gone_through_round_and_round() {
        let mut text = Text::new(BLOCK);
        let mut seen = Vec::new();
        for _ in 0..4 {
            text.next_value(false);
            seen.push(text.selection().map(|(from, _)| from));
        }
        assert_eq!(seen, [Some((0, 8)), Some((1, 12)), Some((2, 8)), Some((0, 8))]);
        text.next_value(true);
        assert_eq!(text.selection().map(|(from, _)| from), Some((2, 8)));
    }

    #[test]
    fn a_pasted_text_brings_its_lines_and_no_control_characters() {
        let mut text = Text::new("");
        assert!(text.paste("a = 1\r\nb = \"\x1b[31m\"\x07\rc\t= 2"));
        assert_eq!(text.whole(), "a = 1\nb = \"[31m\"\nc  = 2");
        text.type_char('\x1b');
        assert!(!text.whole().contains('\x1b'));
        text.undo();
        assert_eq!(text.whole(), "");
    }

    #[test]
    fn a_paste_by_mistake_is_not_taken() {
        let mut text = Text::new(BLOCK);
        assert!(!text.paste(&"x".repeat(LONGEST)));
        assert_eq!(text.whole(), BLOCK);
        text.next_value(true);
        let selected = text.selection();
        assert!(selected.is_some() && !text.paste(&"x".repeat(LONGEST)));
        assert_eq!((text.whole().as_str(), text.selection()), (BLOCK, selected), "what was selected stays, too");
    }

    #[test]
    fn another_text_is_one_step_to_undo() {
        let mut text = Text::new(BLOCK);
        text.replace("tarry = 4\n");
        assert_eq!(text.whole(), "tarry = 4\n");
        text.undo();
        assert_eq!(text.whole(), BLOCK);
    }

    proptest! {
        #[test]
        fn undo_leads_back_to_the_begin_and_redo_to_the_end(steps in prop::collection::vec(0..9u8, 0..60)) {
            let mut text = Text::new(BLOCK);
            for step in steps {
                match step {
                    0 => text.type_char('7'),
                    1 => text.newline(),
                    2 => text.cut(Deletion::Before),
                    3 => text.cut(Deletion::Word),
                    4 => text.next_value(false),
                    5 => assert!(text.paste("a = 1\nb = 2")),
                    6 => text.go(CursorMove::Down),
                    7 => text.cut(Deletion::Rest),
                    _ => { text.undo(); }
                }
            }
            while text.redo() {}
            let end = text.whole();
            while text.undo() {}
            prop_assert_eq!(text.whole(), BLOCK);
            while text.redo() {}
            prop_assert_eq!(text.whole(), end);
        }
    }

    #[test]
    fn each_character_is_of_a_kind() {
        let kinds: Vec<TokenKind> = token_kinds("é = 'a").collect();
        let [blank, sign, text] = [TokenKind::Blank, TokenKind::Sign, TokenKind::OpenText];
        assert_eq!(kinds, [TokenKind::Stray, blank, sign, blank, text, text], "an open text ends with its line");
    }

    #[test]
    fn a_value_is_what_one_would_type_anew() {
        let valued = |line: &str| {
            value_range(line).map(|range| line.chars().skip(range.start).take(range.len()).collect::<String>())
        };
        assert_eq!(valued("threshold = 50   # x").as_deref(), Some("50"));
        assert_eq!(valued("kind = \"threshold\"").as_deref(), Some("threshold"));
        assert_eq!(valued("flag=true").as_deref(), Some("true"));
        assert_eq!(valued("zone = \"Eur").as_deref(), Some("Eur"));
        assert_eq!(valued("low = -0.5").as_deref(), Some("-0.5"));
        assert_eq!(valued("zone = 'Eur # é' # x").as_deref(), Some("Eur # é"));
        assert_eq!([valued("# a = 5"), valued("tarry ="), valued("tarry = # 3"), valued("")], [None, None, None, None]);
    }

    proptest! {
        #[test]
        fn every_character_of_a_line_has_a_kind(line in "\\PC{0,60}") {
            let count = line.chars().count();
            prop_assert_eq!(token_kinds(&line).count(), count);
            if let Some(range) = value_range(&line) {
                prop_assert!(range.start <= range.end && range.end <= count);
            }
        }
    }
}
