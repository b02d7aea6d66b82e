//! Why there is no value: one short line, without control characters, URLs or secrets.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Characters of a foreign text that are shown.
const SHOWN: usize = 60;

/// A foreign text, cut to 60 characters and safe on a terminal: white space and characters that would steer it become
/// single blanks.
pub(super) fn short(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || steers(c)).filter(|word| !word.is_empty());
    let mut out = String::new();
    let mut shown = 0;
    for word in words {
        let blank = (!out.is_empty()).then_some(' ');
        for c in blank.into_iter().chain(word.chars()) {
            if shown == SHOWN {
                out.push('…');
                return out;
            }
            out.push(c);
            shown += 1;
        }
    }
    out
}

/// Control characters, and the invisible ones that reorder what stands around them.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A length of time as it stands in a reason: `200 ms`, `2.5 s`, `12 s`.
pub(super) fn time(length: Duration) -> String {
    // Rounded up, to tenths of a second below ten: "retrying in 0 ms" must not stand there.
    let ms = length.as_nanos().div_ceil(1_000_000);
    let tenths = ms.div_ceil(100);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 if !tenths.is_multiple_of(10) => format!("{}.{} s", tenths / 10, tenths % 10),
        _ => format!("{} s", ms.div_ceil(1_000)),
    }
}

/// An error of a connection. Looks for the I/O error that caused it; else the innermost error speaks.
pub(super) fn of(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return of_io(io);
        }
        innermost = error;
        next = error.source();
    }
    short(&innermost.to_string())
}

fn of_io(error: &io::Error) -> String {
    // An I/O error may only be the wrapping of another: TLS reports its own that way.
    if let Some(inner) = error.get_ref() {
        let is_lookup = inner.to_string().contains("lookup address");
        return if is_lookup { "the host name cannot be resolved".to_owned() } else { of(inner) };
    }
    let phrase = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => "connection lost",
        ErrorKind::UnexpectedEof => "connection closed",
        ErrorKind::TimedOut => "connection timed out",
        ErrorKind::HostUnreachable => "host unreachable",
        ErrorKind::NetworkUnreachable => "network unreachable",
        ErrorKind::NotFound => "not found",
        ErrorKind::PermissionDenied => "permission denied",
        _ => return short(&error.to_string()),
    };
    phrase.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_text_is_one_short_line() {
        assert_eq!(short("Table 'x'\n  does\tnot exist "), "Table 'x' does not exist");
        assert_eq!(short("\u{1b}[2Jgone\u{202e}"), "[2Jgone");
        assert_eq!(short(&"ø".repeat(61)), format!("{}…", "ø".repeat(60)));
        assert_eq!(short(&"ø".repeat(60)), "ø".repeat(60));
    }

    #[test]
    fn times_are_rounded_up() {
        let times = [200, 999, 1_000, 2_450, 2_999, 9_950, 10_001].map(|ms| time(Duration::from_millis(ms)));
        assert_eq!(times, ["200 ms", "999 ms", "1 s", "2.5 s", "3 s", "10 s", "11 s"]);
        assert_eq!(time(Duration::from_nanos(1)), "1 ms");
    }

    #[test]
    fn an_io_error_has_its_own_words_however_deep_it_lies() {
        assert_eq!(of(&io::Error::from(ErrorKind::ConnectionRefused)), "connection refused");
        let wrapped = io::Error::other(io::Error::from(ErrorKind::ConnectionReset));
        assert_eq!(of(&wrapped), "connection lost");
        assert_eq!(
            of(&io::Error::other("failed to lookup address information: x")),
            "the host name cannot be resolved"
        );
        assert_eq!(of(&io::Error::other("received\ncorrupt message")), "received corrupt message");
    }

    proptest! {
        #[test]
        fn no_text_can_break_the_line(text in any::<String>()) {
            let line = short(&text);
            prop_assert!(line.chars().count() <= SHOWN + 1);
            prop_assert!(!line.chars().any(steers));
        }
    }
}
