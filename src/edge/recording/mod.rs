//! Reads recorded samples from a CSV file.

use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, Utc};
use csv::{ReaderBuilder, StringRecord, Trim};
use thiserror::Error;

use crate::core::cluster::Timestamp;
use crate::core::format::one_line;
use crate::core::insight::Recording;

/// Why a file is not a recording, and where.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("{}: cannot read the file: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: error: {what}\nhelp: {remedy}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// There is no sample in it.
    #[error("{}: error: no sample in it\nhelp: a header line timestamp,value and a line for each sample", .0.display())]
    Empty(PathBuf),
}

const COLUMNS: &str = "the columns are timestamp,value";
const TIMES: &str = "RFC 3339, or YYYY-MM-DD HH:MM:SS in UTC";

/// Reads samples from a file. It has the columns `timestamp` and `value`, in any order; other columns are ignored. Times are RFC 3339,
/// or `YYYY-MM-DD HH:MM:SS` in UTC, and are sorted. Of lines with the same time the last one counts.
///
/// # Errors
/// The first line that is wrong.
pub fn load(path: &Path) -> Result<Recording, RecordingError> {
    let file = std::fs::File::open(path).map_err(|why| RecordingError::Unreadable { path: path.to_owned(), why })?;
    read(path, file)
}

/// Reads samples from `input`. Errors call it `path`.
///
/// # Errors
/// The first line that is wrong.
pub fn read(path: &Path, input: impl Read) -> Result<Recording, RecordingError> {
    let wrong = |line: u64, what: String, remedy| RecordingError::Line { path: path.to_owned(), line, what, remedy };
    let unread = |error: csv::Error| match error.position() {
        Some(position) => wrong(position.line(), error.to_string(), COLUMNS),
        None => wrong(1, error.to_string(), COLUMNS),
    };
    let mut reader = ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(input);
    let head = reader.headers().map_err(unread)?.clone();
    let column = |name: &str| head.iter().position(|h| h.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name));
    let (Some(at), Some(value)) = (column("timestamp"), column("value")) else {
        return Err(wrong(1, "no column timestamp or no column value".to_owned(), COLUMNS));
    };
    let mut samples: Vec<(Timestamp, f64)> = Vec::new();
    let mut row = StringRecord::new();
    while reader.read_record(&mut row).map_err(unread)? {
        let line = row.position().map_or(0, csv::Position::line);
        let instant = row.get(at).and_then(instant);
        let text = row.get(at).unwrap_or_default();
        let instant = instant.ok_or_else(|| wrong(line, format!("'{}' is no time", one_line(text, 40)), TIMES))?;
        let text = row.get(value).unwrap_or_default();
        let number = text.parse().ok().filter(|v: &f64| v.is_finite());
        let number =
            number.ok_or_else(|| wrong(line, format!("'{}' is no number", one_line(text, 40)), "one finite number"))?;
        if samples.last().is_some_and(|last| last.0 > instant) {
            return Err(wrong(line, "earlier than the line before".to_owned(), "sort the file by timestamp"));
        }
        samples.push((instant, number));
    }
    Recording::new(samples).ok_or_else(|| RecordingError::Empty(path.to_owned()))
}

fn instant(text: &str) -> Option<Timestamp> {
    let rfc3339 = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").map(|at| at.and_utc());
    rfc3339.or_else(|_| plain()).ok().map(|at: DateTime<Utc>| Timestamp::from(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Recording, String> {
        read(Path::new("a.csv"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn both_kinds_of_times_and_columns_in_any_order() {
        let one = parse("timestamp,value\n2009-05-06T12:40:00Z,1\n2009-05-06T14:41:00+02:00,2\n");
        let two = parse("value,host,timestamp\r\n1,a,2009-05-06 12:40:00\r\n2,b,2009-05-06 12:41:00");
        assert!(one.is_ok());
        assert_eq!(one, two);
        assert_eq!(parse("\u{feff}timestamp,value\n2009-05-06T12:40:00Z,1\n2009-05-06T12:41:00Z,2\n"), one);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = |text: &str| parse(text).expect_err("an error");
        let head = "timestamp,value\n2009-05-06 12:40:00,1\n";
        assert!(wrong(&format!("{head}2009-05-06 12:39:59,1")).starts_with("a.csv:3: error: earlier than"));
        assert!(wrong(&format!("{head}yesterday,1")).starts_with("a.csv:3: error: 'yesterday' is no time"));
        assert!(wrong(&format!("{head}2009-05-06 12:41:00,x")).starts_with("a.csv:3: error: 'x' is no number"));
        assert!(wrong(&format!("{head}2009-05-06 12:41:00,NaN")).contains("no number"));
        assert!(wrong(&format!("{head}2009-05-06 12:41:00")).contains("'' is no number"));
        assert!(wrong("time,value\n").starts_with("a.csv:1: error: no column timestamp"));
        assert!(wrong("timestamp,value\n").contains("no sample"));
    }
}
