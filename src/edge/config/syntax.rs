//! What the TOML parser says, in the report's form, joined with what reading found.

use std::collections::HashSet;
use std::ops::Range;

use toml::de::Error;

use super::lines::Lines;
use super::sink::Fault;

const DUPLICATE: &str = "duplicate key";

/// Both kinds of fault in order of position, without those that merely follow from a syntax error: faults on its line,
/// and, as the parser may have lost the rest of the file, whatever is said to be missing.
pub(super) fn join(text: &str, errors: &[Error], found: Vec<Fault>) -> Vec<Fault> {
    let lines = Lines::of(text);
    let line = |fault: &Fault| lines.at(fault.span.start).0;
    let mut broken = HashSet::new();
    let mut faults = Vec::new();
    let mut doubled = 0..0;
    for fault in errors.iter().map(|error| fault(text, error)) {
        // Of a table that stands twice every key would be told.
        if doubled.contains(&fault.span.start) && fault.message.starts_with(DUPLICATE) {
            continue;
        }
        doubled = doubled_table(text, lines.at(fault.span.start).1).unwrap_or(doubled);
        // One unclosed bracket makes the parser complain of everything after it on the line.
        if fault.message.starts_with(DUPLICATE) || broken.insert(line(&fault)) {
            faults.push(fault);
        }
    }
    let credible = |fault: &Fault| broken.is_empty() || !(fault.absence || broken.contains(&line(fault)));
    faults.extend(found.into_iter().filter(credible));
    faults.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
    // A policy that VMs share is checked once for each.
    faults.dedup();
    faults
}

fn fault(text: &str, error: &Error) -> Fault {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    let (message, help) = match message.split_once(", expected ") {
        Some((message, expected)) if !expected.is_empty() => (message, format!("expected {expected}")),
        _ => (message, remedy(message).to_owned()),
    };
    let message = if message == DUPLICATE { duplicate(text, &span) } else { message.to_owned() };
    Fault { span, message, help, absence: false }
}

fn duplicate(text: &str, span: &Range<usize>) -> String {
    let key = text.get(span.clone()).unwrap_or_default();
    format!("{DUPLICATE} '{key}'")
}

/// From the header that begins here, if one does, to the next.
fn doubled_table(text: &str, line: usize) -> Option<Range<usize>> {
    let table = text.get(line..).filter(|rest| rest.starts_with('['))?;
    let next = table.match_indices("\n[").next().map_or(text.len(), |(at, _)| line + at + 1);
    Some(line..next)
}

fn remedy(message: &str) -> &'static str {
    match message {
        DUPLICATE => "a key or table may stand only once here: remove or rename one of them",
        "string values must be quoted" => "put the text in double quotes",
        m if m.starts_with("unclosed") => "close it with its bracket",
        m if m.contains("comma") => "part the entries by single commas",
        m if m.contains("string") || m.contains("quote") => "close the text with the quote that opened it",
        m if m.contains('=') || m.contains("key") => "write it as: key = value",
        m if m.contains("value") => "write a value after the =",
        _ => "this is not TOML: see https://toml.io",
    }
}
