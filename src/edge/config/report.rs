//! Every error of a config, as an operator reads it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use unicode_width::UnicodeWidthChar;

use super::clip::{clipped, shortened};
use super::diagnostics::Fault;
use super::lines::Lines;
use super::read;
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
    pub(super) fn new(path: &Path, text: &str, faults: Vec<Fault>, redaction: &Redaction) -> Self {
        let page = Page { text, lines: Lines::of(text), redaction };
        Self { path: path.to_owned(), problems: faults.into_iter().map(|fault| page.problem(fault)).collect() }
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
        Self { path: path.to_owned(), problems: vec![problem] }
    }

    pub(super) fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Self {
        // Bad bytes are replaced, the first of them too: its place stays right.
        let text = String::from_utf8_lossy(bytes);
        let shown = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let start = at.saturating_sub(text.len() - shown.len());
        let fault = Fault {
            span: start..start + 1,
            message: "not UTF-8 from here on".to_owned(),
            help: "save the file as UTF-8".to_owned(),
            absence: false,
        };
        Self::new(path, shown, vec![fault], &Redaction::of(shown, true, read::echo))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
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

/// A text whose lines can be found and shown.
struct Page<'t> {
    text: &'t str,
    lines: Lines,
    redaction: &'t Redaction,
}

impl Page<'_> {
    fn problem(&self, fault: Fault) -> Problem {
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
                // A tab stays one, or the marks would not be under their place.
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
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Text of the file as a terminal may get it: nothing that moves the cursor or turns the writing around.
fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

fn printable_char(c: char) -> char {
    if is_hostile(c) { char::REPLACEMENT_CHARACTER } else { c }
}
