//! Why there is no value: one short line, without control characters, URLs or secrets.

use std::error::Error;
use std::io::{self, ErrorKind};

use crate::core::format::one_line;

/// Characters of a foreign text that are shown.
const SHOWN: usize = 60;

/// Another program's text, short enough for a reason and safe on a terminal.
pub(super) fn short(text: &str) -> String {
    one_line(text, SHOWN)
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
}
