//! What libvirt says went wrong.

use std::fmt;

/// libvirt's number of an error: `virErrorNumber`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Code(pub i32);

impl Code {
    pub(super) const NO_SUPPORT: Self = Self(3);
    pub(super) const INVALID_ARG: Self = Self(8);
    pub(super) const NO_DOMAIN: Self = Self(42);
    pub(super) const AUTH_FAILED: Self = Self(45);
    pub(super) const OPERATION_INVALID: Self = Self(55);
    pub(super) const ARGUMENT_UNSUPPORTED: Self = Self(74);
    pub(super) const AUTH_CANCELLED: Self = Self(79);
    pub(super) const MIGRATE_UNSAFE: Self = Self(81);
    pub(super) const OPERATION_UNSUPPORTED: Self = Self(84);
    pub(super) const AUTH_UNAVAILABLE: Self = Self(94);
}

/// An error in libvirt's own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Error {
    pub code: Code,
    /// What part of libvirt it comes from: `virErrorDomain`.
    pub domain: i32,
    pub message: String,
}

impl Error {
    /// The driver behind the connection has no such call.
    pub(super) fn unsupported(&self) -> bool {
        [Code::NO_SUPPORT, Code::INVALID_ARG, Code::ARGUMENT_UNSUPPORTED].contains(&self.code)
    }

    /// The domain has no job that could be told of: it does not run, or is only just arriving.
    pub(super) fn jobless(&self) -> bool {
        let no_job = [Code::OPERATION_INVALID, Code::OPERATION_UNSUPPORTED];
        self.absent() || self.unsupported() || no_job.contains(&self.code)
    }

    /// The domain is not there, as opposed to: it could not be asked for.
    pub(super) fn absent(&self) -> bool {
        self.code == Code::NO_DOMAIN
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.trim();
        f.write_str(if message.is_empty() { "libvirt gave no reason" } else { message })
    }
}
