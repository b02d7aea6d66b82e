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

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::attempt::{Attempt, Backoff, Endpoint};
use self::mysql::Mysql;
use crate::core::cluster::{Monitor, OnTimeout, Reading, Source};
use crate::core::format::measured;
use crate::edge::net::text;

/// Why a read that ended in time gave no number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// There is no connection. The next attempts are made at longer and longer intervals.
    Unreachable(String),
    /// The service answered, but not with a number.
    Answered(String),
}

/// A client of one kind of service.
enum ServiceClient {
    Mysql(Mysql),
    Apache { url: String, field: String },
    Http { url: String, expect: u16 },
}

/// Reads one VM's indicator, again and again.
///
/// It needs a tokio runtime with I/O and time. It may be dropped at any moment, also in the middle of a read.
pub struct Client {
    service: ServiceClient,
    deadline: Duration,
    /// The reading if the service takes connections but says nothing. `None`: that is a gap, so a probe would tell nothing.
    on_silence: Option<Reading>,
    backoff: Backoff,
}

impl Client {
    /// A client for this monitor; `None` if it reads no service: a driver, the simulator or a queue is asked instead.
    ///
    /// Nothing is looked up, connected or checked before the first [`read`](Self::read).
    pub fn new(monitor: &Monitor) -> Option<Self> {
        let deadline = monitor.deadline.to_std();
        let busy = |on_timeout| Some(Reading::Busy).filter(|_| on_timeout == OnTimeout::Beyond);
        let (service, on_silence) = match &monitor.source {
            Source::Mysql { url, password, quantity, on_timeout } => {
                let mysql = Mysql::new(url.clone(), password.clone(), quantity.clone(), deadline);
                (ServiceClient::Mysql(mysql), busy(*on_timeout))
            }
            Source::Apache { url, field, on_timeout } => {
                (ServiceClient::Apache { url: url.clone(), field: field.clone() }, busy(*on_timeout))
            }
            Source::Http { url, expect } => {
                let silent = Reading::AtLeast(deadline.as_secs_f64() * 1_000.0);
                (ServiceClient::Http { url: url.clone(), expect: *expect }, Some(silent))
            }
            Source::Queue { .. } | Source::Hypervisor { .. } | Source::Simulated => return None,
        };
        Some(Self { service, deadline, on_silence, backoff: Backoff::default() })
    }

    /// Reads once. It ends within the monitor's deadline, whatever the service does.
    pub async fn read(&mut self) -> Reading {
        if let Some(reason) = self.backoff.holds(Instant::now()) {
            return Reading::Gap(reason);
        }
        let endpoint = self.on_silence.as_ref().and_then(|_| self.service.endpoint());
        let attempt = attempt::within(self.deadline, endpoint, self.service.read()).await;
        if let Attempt::Ended { probed: true, .. } = attempt {
            self.service.on_probe();
        }
        match attempt {
            Attempt::Ended { answer: Err(Failure::Unreachable(reason)), .. } => self.unreachable(reason),
            Attempt::Ended { answer, .. } => {
                self.backoff.clear();
                answer.map_or_else(|failure| Reading::Gap(failure.reason()), Reading::Raw)
            }
            Attempt::Silent { is_open } => match self.on_silence.clone().filter(|_| is_open) {
                Some(silent) => {
                    self.backoff.clear();
                    silent
                }
                None => self.unreachable(self.no_answer()),
            },
        }
    }

    fn unreachable(&mut self, reason: String) -> Reading {
        self.backoff.fail(Instant::now(), &reason);
        Reading::Gap(reason)
    }

    fn no_answer(&self) -> String {
        let what = if self.on_silence.is_none() { "answer" } else { "connection" };
        format!("no {what} within {}", measured(self.deadline.into()))
    }
}

impl Failure {
    fn reason(self) -> String {
        match self {
            Self::Unreachable(reason) | Self::Answered(reason) => reason,
        }
    }
}

impl ServiceClient {
    fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Mysql(mysql) => mysql.endpoint(),
            Self::Apache { url, .. } | Self::Http { url, .. } => http::endpoint(url),
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
            Self::Apache { url, field } => apache::read(url, field).await,
            Self::Http { url, expect } => http::read(url, *expect).await,
        }
    }
}
