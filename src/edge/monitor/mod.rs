//! Reads a service's indicator: a number of a MySQL or MariaDB server, a line of Apache's status page, a response time.
//!
//! Each VM whose indicator is in a real service has a [`Client`]. [`Client::read`] ends within the deadline, even if the
//! service refuses, hangs, sends nonsense or dies in the middle. It gives a [`Reading`]: a number, or a gap with the reason.
//! A reason is one short line for the operator; it never holds a password or a URL.
//!
//! ```text
//!  Client::read ─▶ backoff: too early? ──▶ Gap("connection refused, retrying in 12 s")
//!                     │
//!                  attempt: the deadline; after half of it a probe of the endpoint, if silence may be a sample
//!                     │        silent, endpoint open ─▶ AtLeast / Busy    endpoint closed, or no probe ─▶ Gap, back off
//!                  mysql │ apache │ http
//!                     └─ a number ─▶ Raw     wrong answer ─▶ Gap     unreachable ─▶ Gap, back off
//! ```

mod apache;
mod attempt;
mod http;
mod mysql;
mod text;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::apache::Apache;
use self::attempt::{Attempt, Backoff, Endpoint};
use self::http::Http;
use self::mysql::Mysql;
use crate::core::cluster::{Monitor, OnTimeout, Reading, Source, Span};
use crate::core::format::measured;

pub use self::http::init_tls;

/// Why a read that ended in time gave no number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// There is no connection. The next attempts are made at longer and longer intervals.
    Unreachable(String),
    /// The service answered, but not with a number.
    Answered(String),
}

/// What it means if a service is there but says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnSilence {
    /// The value is at least the time waited.
    AtLeast,
    /// As the config says.
    As(OnTimeout),
}

/// A client of one kind of service.
enum ServiceClient {
    Mysql(Mysql),
    Apache(Apache),
    Http(Http),
}

/// Reads one VM's indicator, again and again.
///
/// It needs a tokio runtime with I/O and time. It may be dropped at any moment, also in the middle of a read.
pub struct Client {
    service: ServiceClient,
    deadline: Duration,
    on_silence: OnSilence,
    backoff: Backoff,
}

impl Client {
    /// A client for this monitor; `None` if only the array's driver can read it.
    ///
    /// Nothing is looked up, connected or checked before the first [`read`](Self::read).
    pub fn new(monitor: &Monitor) -> Option<Self> {
        let deadline = duration(monitor.deadline);
        let (service, on_silence) = match &monitor.source {
            Source::Mysql { url, password, quantity, on_timeout } => {
                let mysql = Mysql::new(url.clone(), password.clone(), quantity.clone(), deadline);
                (ServiceClient::Mysql(mysql), OnSilence::As(*on_timeout))
            }
            Source::Apache { url, field, on_timeout } => {
                (ServiceClient::Apache(Apache::new(url.clone(), field.clone())), OnSilence::As(*on_timeout))
            }
            Source::Http { url, expect } => (ServiceClient::Http(Http::new(url.clone(), *expect)), OnSilence::AtLeast),
            Source::Hypervisor { .. } | Source::Simulated => return None,
        };
        Some(Self { service, deadline, on_silence, backoff: Backoff::default() })
    }

    /// Reads once. It ends within the monitor's deadline, whatever the service does.
    pub async fn read(&mut self) -> Reading {
        if let Some(reason) = self.backoff.holds(Instant::now()) {
            return Reading::Gap(reason);
        }
        // If silence is a gap in any case, the probe would tell nothing.
        let endpoint = if self.on_silence == OnSilence::As(OnTimeout::Gap) { None } else { self.service.endpoint() };
        let attempt = attempt::within(self.deadline, endpoint, self.service.read()).await;
        if let Attempt::Ended { probed: true, .. } = attempt {
            self.service.on_probe();
        }
        match attempt {
            Attempt::Ended { answer: Err(Failure::Unreachable(reason)), .. } => self.unreachable(reason),
            Attempt::Silent { is_open: false } => self.unreachable(self.no_answer()),
            Attempt::Ended { answer, .. } => {
                self.backoff.clear();
                answer.map_or_else(Failure::into_gap, Reading::Raw)
            }
            Attempt::Silent { is_open: true } => {
                self.backoff.clear();
                match self.on_silence {
                    OnSilence::AtLeast => Reading::AtLeast(self.deadline.as_secs_f64() * 1_000.0),
                    OnSilence::As(_) => Reading::Busy,
                }
            }
        }
    }

    fn unreachable(&mut self, reason: String) -> Reading {
        self.backoff.fail(Instant::now(), &reason);
        Reading::Gap(reason)
    }

    fn no_answer(&self) -> String {
        let what = if self.on_silence == OnSilence::As(OnTimeout::Gap) { "answer" } else { "connection" };
        format!("no {what} within {}", measured(self.deadline.into()))
    }
}

impl Failure {
    fn into_gap(self) -> Reading {
        match self {
            Self::Unreachable(reason) | Self::Answered(reason) => Reading::Gap(reason),
        }
    }
}

impl ServiceClient {
    fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Mysql(mysql) => mysql.endpoint(),
            Self::Apache(apache) => apache.endpoint(),
            Self::Http(http) => http.endpoint(),
        }
    }

    /// The endpoint was probed.
    fn on_probe(&mut self) {
        if let Self::Mysql(mysql) = self {
            mysql.hang_up();
        }
    }

    async fn read(&mut self) -> Result<f64, Failure> {
        match self {
            Self::Mysql(mysql) => mysql.read().await,
            Self::Apache(apache) => apache.read().await,
            Self::Http(http) => http.read().await,
        }
    }
}

fn duration(span: Span) -> Duration {
    Duration::from_millis(span.millis().unsigned_abs())
}
