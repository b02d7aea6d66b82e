//! What is wrong with a config: the faults that reading found, joined with what the TOML parser says, as an operator reads
//! them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use toml::de::{DeTable, Error};
use unicode_width::UnicodeWidthChar;

use super::redact::{ELLIPSIS, Redaction};
use crate::core::format::is_hostile;

/// One thing that is wrong in a config, and what would be right. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters of its line it is about, at least 1.
    pub length: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What would be right, in one line.
    pub help: String,
    /// What may be shown of the line it is in; `None` if the file has no text.
    source: Option<String>,
    /// Blanks and carets that mark the place under `source`.
    marks: String,
}

/// Everything that is wrong with a config file, in order of position; never empty, holds no secret.
///
/// Displayed as plain text, four lines an error, without a line end after the last:
/// `FILE:LINE:COL: error: …`, the line of the file, a line of carets, `help: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    path: PathBuf,
    problems: Vec<Problem>,
}

impl Report {
    pub(super) fn new(path: &Path, problems: Vec<Problem>) -> Self {
        Self { path: path.to_owned(), problems }
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let problem = Problem {
            line: 1,
            column: 1,
            length: 1,
            message: format!("cannot read the file: {error}"),
            help: match error.kind() {
                io::ErrorKind::NotFound => "name a file that exists, or leave it out to see the demo".to_owned(),
                io::ErrorKind::PermissionDenied => "let this user read it".to_owned(),
                io::ErrorKind::FileTooLarge => "name a config: no cluster needs so long a file".to_owned(),
                _ => "name a readable file".to_owned(),
            },
            source: None,
            marks: String::new(),
        };
        Self::new(path, vec![problem])
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong, in order of position; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = printable(&self.path.display().to_string());
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{path}:{}:{}: error: {}", problem.line, problem.column, problem.message)?;
            if let Some(source) = &problem.source {
                writeln!(f, "{source}")?;
                writeln!(f, "{}", problem.marks)?;
            }
            write!(f, "help: {}", problem.help)?;
        }
        Ok(())
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Text of the file with hostile characters replaced.
fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

fn printable_char(c: char) -> char {
    if is_hostile(c) { char::REPLACEMENT_CHARACTER } else { c }
}

/// Something wrong at a place of the text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigFault {
    /// The bytes it is about; only its first line is marked.
    pub span: Range<usize>,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// It says that something is missing. That may be wrong if a part of the file could not be parsed.
    pub absence: bool,
}

/// A text, and all that is wrong with it, in the order in which it was found.
pub(super) struct Diagnostics<'t> {
    text: &'t str,
    lines: LineIndex,
    redaction: Redaction,
    faults: RefCell<Vec<ConfigFault>>,
}

impl<'t> Diagnostics<'t> {
    /// For a text of which these parts are not shown.
    pub fn new(text: &'t str, redaction: Redaction) -> Self {
        Self { text, lines: LineIndex::of(text), redaction, faults: RefCell::default() }
    }

    /// Something that is there is wrong.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(ConfigFault { span, message: message.into(), help: help.into(), absence: false });
    }

    /// Something is not there.
    pub fn absent(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(ConfigFault { span, message: message.into(), help: help.into(), absence: true });
    }

    /// A key that stands at this place, in quotes for a message: ` 'x'`. Empty if the key may not be shown.
    pub fn key(&self, span: &Range<usize>, key: &str) -> String {
        self.redaction.key(span, key)
    }

    /// The line, from 1, that a byte is in.
    pub fn line(&self, at: usize) -> u32 {
        self.lines.number(at)
    }

    fn push(&self, fault: ConfigFault) {
        self.faults.borrow_mut().push(fault);
    }

    /// What was found and what the parser says, as an operator reads it, in order of position.
    pub fn problems(&self, errors: &[Error]) -> Vec<Problem> {
        self.join(errors).into_iter().map(|fault| self.problem(fault)).collect()
    }

    fn problem(&self, fault: ConfigFault) -> Problem {
        let start = floor(self.text, fault.span.start);
        let (index, begin) = self.lines.at(start);
        let line = self.text.get(begin..).unwrap_or_default().split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let end = floor(self.text, fault.span.end).clamp(start, begin + line.len().max(start - begin));
        let column = self.text.get(begin..start).unwrap_or_default().chars().count();
        let (source, marks) = self.mark(line, begin, start..fault.span.end.max(start + 1));
        Problem {
            line: index + 1,
            column: column + 1,
            length: self.text.get(start..end).map_or(1, |marked| marked.chars().count()).max(1),
            message: printable(&shortened(&fault.message)),
            help: printable(&shortened(&fault.help)),
            source: Some(source),
            marks,
        }
    }

    /// The line as it may be shown, and the marks under it.
    fn mark(&self, line: &str, begin: usize, span: Range<usize>) -> (String, String) {
        let (mut source, mut marks) = (String::new(), String::new());
        let mut last = None;
        for (at, c) in line.char_indices().map(|(at, c)| (begin + at, c)) {
            let part = self.redaction.part(at);
            if part.is_some() && part == last {
                continue;
            }
            last = part;
            let (shown, width, place) = match part {
                Some(part) => (ELLIPSIS.to_owned(), 1, part.clone()),
                // A tab stays a tab, so that the marks stay under their place.
                None if c == '\t' => (c.to_string(), 1, at..at + 1),
                None => (printable_char(c).to_string(), c.width().unwrap_or(1), at..at + c.len_utf8()),
            };
            match () {
                () if span.start < place.end && place.start < span.end => marks.push_str(&"^".repeat(width)),
                () if place.start >= span.end => {}
                () if shown == "\t" => marks.push('\t'),
                () => marks.push_str(&" ".repeat(width)),
            }
            source.push_str(&shown);
        }
        if !marks.contains('^') {
            // The place is the line's end, or has no width of its own.
            marks.push('^');
        }
        clipped(source, marks)
    }

    /// Both kinds of fault in order of position, without those that only follow from a syntax error: faults in the part that the
    /// parser could not read, and missing keys or tables if they may be in that part.
    fn join(&self, errors: &[Error]) -> Vec<ConfigFault> {
        let text = self.text;
        // The parser reports them level by level, not in order.
        let mut told: Vec<ConfigFault> = errors.iter().map(|error| self.fault(error)).collect();
        told.sort_by_key(|fault| fault.span.start);
        let (mut faults, mut lost, mut doubled, mut whole) = (Vec::new(), Vec::<Range<usize>>::new(), 0..0, true);
        for fault in told {
            let (line, place) = (self.lines.at(fault.span.start).1, fault.span.start);
            let duplicate = fault.message.starts_with(DUPLICATE);
            // An error that follows from an open bracket, or from a table that stands twice, is not reported again.
            if lost.last().is_some_and(|lost| lost.contains(&place)) || duplicate && doubled.contains(&place) {
                continue;
            }
            match duplicate {
                true if is_header(text, line) => doubled = line..next_header(text, line),
                true => {}
                false => {
                    let slip = is_slip(&fault.message) && !is_header(text, line);
                    let mended = fault.message.starts_with(NO_VALUE);
                    lost.push(line..if slip || mended { next_line(text, line) } else { next_header(text, line) });
                    whole &= slip;
                }
            }
            faults.push(fault);
        }
        let credible = |fault: &ConfigFault| (whole || !fault.absence) && !covers(&lost, fault.span.start);
        faults.extend(self.faults.take().into_iter().filter(credible));
        faults.sort_by_key(|fault| fault.span.start);
        // Several VMs of one policy may have the same fault.
        faults.dedup();
        faults
    }

    fn fault(&self, error: &Error) -> ConfigFault {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let (message, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let help = match remedy(message) {
            Some(remedy) => remedy.to_owned(),
            None if expected.is_empty() || expected == "nothing" => "this is not TOML: see https://toml.io".to_owned(),
            None => format!("expected {expected}"),
        };
        let message = if message == DUPLICATE { self.duplicate(&span) } else { message.to_owned() };
        ConfigFault { span, message, help, absence: false }
    }

    fn duplicate(&self, span: &Range<usize>) -> String {
        let key = self.text.get(span.clone()).unwrap_or_default();
        format!("{DUPLICATE}{}", self.redaction.key(span, key))
    }
}

/// Where each line of a text begins.
#[derive(Debug)]
pub(super) struct LineIndex(Vec<usize>);

impl LineIndex {
    /// The lines of a text, parted by `\n`.
    pub fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line, from 0, that a byte is in, and the byte at which it begins.
    pub fn at(&self, offset: usize) -> (usize, usize) {
        let index = self.0.partition_point(|&begin| begin <= offset).saturating_sub(1);
        (index, self.0.get(index).copied().unwrap_or(0))
    }

    /// The line, from 1, that a byte is in.
    pub fn number(&self, offset: usize) -> u32 {
        u32::try_from(self.at(offset).0 + 1).unwrap_or(u32::MAX)
    }
}

/// Columns of a printed line of the file.
const WIDEST: usize = 160;
/// In characters.
const LONGEST_MESSAGE: usize = 400;

/// The part of a line, and of the marks under it, that is near the first mark.
pub(super) fn clipped(source: String, marks: String) -> (String, String) {
    let width: usize = source.chars().map(columns).sum();
    if width <= WIDEST {
        return (source, marks);
    }
    let first: usize = marks.chars().take_while(|c| *c != '^').map(columns).sum();
    let begin = first.saturating_sub(WIDEST / 2).min(width - WIDEST);
    let (head, blank) = if begin > 0 { (ELLIPSIS, " ") } else { ("", "") };
    let tail = if begin + WIDEST < width { ELLIPSIS } else { "" };
    (format!("{head}{}{tail}", part(&source, begin)), format!("{blank}{}", part(&marks, begin)))
}

/// What of a text is in the columns from here on; half a wide character is a blank.
fn part(text: &str, begin: usize) -> String {
    let (mut at, mut part) = (0, String::new());
    for c in text.chars() {
        let next = at + columns(c);
        if at >= begin && next <= begin + WIDEST {
            part.push(c);
        } else if at < begin && next > begin {
            part.push(' ');
        }
        at = next;
    }
    part
}

fn columns(c: char) -> usize {
    if c == '\t' { 1 } else { c.width().unwrap_or(1) }
}

/// A message, cut if a name in it is very long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}{ELLIPSIS}", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

const DUPLICATE: &str = "duplicate key";
const NO_VALUE: &str = "key with no value";
/// After so many such lines it stops: the file is not a config.
const MOST_MENDED: usize = 50;

/// The text in which the lines at which the parser would give up are blank, and the errors of these lines.
pub(super) fn mended(text: &str) -> (Cow<'_, str>, Vec<Error>) {
    let (mut text, mut torn) = (Cow::Borrowed(text), Vec::new());
    while torn.len() < MOST_MENDED {
        let (_, errors) = DeTable::parse_recoverable(&text);
        let Some(error) = errors.into_iter().find(|error| error.message().starts_with(NO_VALUE)) else { break };
        let begin = LineIndex::of(&text).at(error.span().map_or(0, |span| span.start)).1;
        let end = next_line(&text, begin).saturating_sub(1).min(text.len());
        // The same number of bytes, so that all positions stay.
        let (Some(head), Some(tail)) = (text.get(..begin), text.get(end..)) else { break };
        text = Cow::Owned([head, &" ".repeat(end - begin), tail].concat());
        torn.push(error);
    }
    (text, torn)
}

/// Whether the error is within one value, so that the parser reads on correctly. After other errors it may misread what
/// follows.
fn is_slip(message: &str) -> bool {
    const SLIPS: [&str; 5] = ["string values", "invalid", "extra comma", "unexpected leading zero", "`_` may"];
    SLIPS.iter().any(|slip| message.starts_with(slip)) && !message.contains("key") && !message.contains("element")
}

fn next_line(text: &str, line: usize) -> usize {
    text.get(line..).and_then(|rest| rest.find('\n')).map_or(text.len() + 1, |at| line + at + 1)
}

/// Whether one of these ranges holds the place; they are in order and do not overlap.
fn covers(ranges: &[Range<usize>], at: usize) -> bool {
    let before = ranges.partition_point(|range| range.start <= at);
    before.checked_sub(1).and_then(|last| ranges.get(last)).is_some_and(|range| range.contains(&at))
}

fn is_header(text: &str, line: usize) -> bool {
    text.get(line..).is_some_and(|rest| rest.trim_start().starts_with('['))
}

fn next_header(text: &str, line: usize) -> usize {
    let next = text.get(line..).and_then(|rest| rest.find("\n["));
    next.map_or(text.len() + 1, |at| line + at + 1)
}

fn remedy(message: &str) -> Option<&'static str> {
    Some(match message {
        DUPLICATE => "a key or table may stand only once here: remove or rename one of them",
        "string values must be quoted" => "put the text in double quotes",
        "invalid basic string" | "invalid literal string" => "close the text with the quote that opened it",
        NO_VALUE => "write it as: key = value",
        "extra `=`" => "write it as: key = value, with a single =",
        "unexpected key or value" => "begin a new line here, or mend the quotes before it",
        m if m.starts_with("carriage return") => "save the file with Unix or Windows line ends",
        m if m.starts_with("missing") && (m.contains("comma") || m.contains("inline table element")) => {
            "part the entries by commas, and close the bracket that was opened before"
        }
        m if m.contains("comma") => "part the entries by single commas",
        m if m.starts_with("unexpected leading zero") => "write the number without zeros before it",
        m if m.starts_with("invalid") && !m.contains("key") => "write a number, true, false, or text in double quotes",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(text: &str, wanted: char) -> Option<usize> {
        text.find(wanted).map(|at| text[..at].chars().map(columns).sum())
    }

    #[test]
    fn a_short_line_is_whole() {
        assert_eq!(clipped("x = 1".into(), "    ^".into()), ("x = 1".into(), "    ^".into()));
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(200_000)).chars().count(), LONGEST_MESSAGE + 1);
    }

    proptest! {
        #[test]
        fn the_marks_stay_under_their_place(before in "[a漢\t]{0,300}", after in "[a漢\t]{0,300}", marks in 1usize..400) {
            let line = format!("{before}!{after}");
            let blanks: usize = before.chars().map(columns).sum();
            let (source, marks) = clipped(line, " ".repeat(blanks) + &"^".repeat(marks.min(1 + after.len())));
            prop_assert_eq!(column(&source, '!'), column(&marks, '^'));
            prop_assert!(source.chars().map(columns).sum::<usize>() <= WIDEST + 2);
        }
    }
}
