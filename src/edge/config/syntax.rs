//! What the TOML parser says, in the report's form, joined with what reading found.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::{DeTable, Error};

use super::diagnostics::Fault;
use super::lines::Lines;
use super::redact::Redaction;

const DUPLICATE: &str = "duplicate key";
const NO_VALUE: &str = "key with no value";
/// A file with more such lines than this is no config.
const MOST_MENDED: usize = 50;

/// The text with the lines blanked out at which the parser would give up, and what it says of them.
pub(super) fn mended(text: &str) -> (Cow<'_, str>, Vec<Error>) {
    let (mut text, mut torn) = (Cow::Borrowed(text), Vec::new());
    while torn.len() < MOST_MENDED {
        let (_, errors) = DeTable::parse_recoverable(&text);
        let Some(error) = errors.into_iter().find(|error| error.message().starts_with(NO_VALUE)) else { break };
        let begin = Lines::of(&text).at(error.span().map_or(0, |span| span.start)).1;
        let end = next_line(&text, begin).saturating_sub(1).min(text.len());
        // Bytes for bytes, so that all places stay.
        let (Some(head), Some(tail)) = (text.get(..begin), text.get(end..)) else { break };
        text = Cow::Owned([head, &" ".repeat(end - begin), tail].concat());
        torn.push(error);
    }
    (text, torn)
}

/// Both kinds of fault in order of position, without those that merely follow from a syntax error: faults where the
/// parser lost its way, and, if it may have lost keys or tables there, whatever is said to be missing.
pub(super) fn join(text: &str, errors: &[Error], found: Vec<Fault>, redaction: &Redaction) -> Vec<Fault> {
    let lines = Lines::of(text);
    // The parser tells them level by level, not in order.
    let mut told: Vec<Fault> = errors.iter().map(|error| fault(text, error, redaction)).collect();
    told.sort_by_key(|fault| fault.span.start);
    let (mut faults, mut lost, mut doubled, mut whole) = (Vec::new(), Vec::<Range<usize>>::new(), 0..0, true);
    for fault in told {
        let (line, place) = (lines.at(fault.span.start).1, fault.span.start);
        let duplicate = fault.message.starts_with(DUPLICATE);
        // What follows from an open bracket, or from a table that stands twice, is no news.
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
    let credible = |fault: &Fault| (whole || !fault.absence) && !covers(&lost, fault.span.start);
    faults.extend(found.into_iter().filter(credible));
    faults.sort_by_key(|fault| fault.span.start);
    faults
}

/// A slip within one value, after which the parser goes on as if it were right. After any other it may take what
/// follows for something else.
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

fn fault(text: &str, error: &Error, redaction: &Redaction) -> Fault {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    let (message, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let help = match remedy(message) {
        Some(remedy) => remedy.to_owned(),
        None if expected.is_empty() || expected == "nothing" => "this is not TOML: see https://toml.io".to_owned(),
        None => format!("expected {expected}"),
    };
    let message = if message == DUPLICATE { duplicate(text, &span, redaction) } else { message.to_owned() };
    Fault { span, message, help, absence: false }
}

fn duplicate(text: &str, span: &Range<usize>, redaction: &Redaction) -> String {
    let key = text.get(span.clone()).unwrap_or_default();
    format!("{DUPLICATE}{}", redaction.key(span, key))
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
