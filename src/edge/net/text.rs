//! Texts of a service: as a number, and as the reason for a gap. A reason is one short line without control characters,
//! URLs or secrets.

use std::error::Error;
use std::io::{self, ErrorKind};

use crate::core::format::one_line;

/// Characters of a foreign text that are shown.
const SHOWN: usize = 60;

/// Another program's text, short enough for a reason and safe on a terminal.
pub fn short(text: &str) -> String {
    one_line(text, SHOWN)
}

/// An error of a connection. Looks for the I/O error that caused it; else the innermost error speaks.
pub fn reason(error: &(dyn Error + 'static)) -> String {
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
        return if is_lookup { "the host name cannot be resolved".to_owned() } else { reason(inner) };
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

/// The finite number a text holds.
///
/// # Errors
/// What the text is instead.
pub fn number(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(value) if value.is_nan() => Err("NaN is not a value".to_owned()),
        Ok(_) => Err("infinity is not a value".to_owned()),
        Err(_) if text.trim().is_empty() => Err("an empty text is not a number".to_owned()),
        Err(_) => Err(format!("'{}' is not a number", short(text.trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_io_error_has_its_own_words_however_deep_it_lies() {
        assert_eq!(reason(&io::Error::from(ErrorKind::ConnectionRefused)), "connection refused");
        let wrapped = io::Error::other(io::Error::from(ErrorKind::ConnectionReset));
        assert_eq!(reason(&wrapped), "connection lost");
        assert_eq!(
            reason(&io::Error::other("failed to lookup address information: x")),
            "the host name cannot be resolved"
        );
        assert_eq!(reason(&io::Error::other("received\ncorrupt message")), "received corrupt message");
    }

    #[test]
    fn numbers_as_services_write_them() {
        for (text, value) in [("0", 0.0), (" 17\n", 17.0), (".0133", 0.0133), ("1.5e3", 1_500.0), ("-2", -2.0)] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_named() {
        let error = |text| number(text).unwrap_err();
        assert_eq!(error("nan"), "NaN is not a value");
        assert_eq!(error("-inf"), "infinity is not a value");
        assert_eq!(error("1e999"), "infinity is not a value");
        assert_eq!(error("  "), "an empty text is not a number");
        assert_eq!(error("ON"), "'ON' is not a number");
        assert_eq!(error("1,5"), "'1,5' is not a number");
    }

    proptest! {
        #[test]
        fn a_value_is_always_finite(text in "\\PC*") {
            if let Ok(value) = number(&text) {
                prop_assert!(value.is_finite());
            }
        }
    }
}
