//! Read a service's indicator: a number of a MySQL or MariaDB server, a line of Apache's status page, a response time.
//!
//! A [`Client`] is made for each VM whose indicator a real service holds. Whatever the service does (refuse, hang, talk
//! nonsense, die half-way), [`Client::read`] ends within the deadline with a [`Reading`]: a number, or a gap that says
//! why there is none. Reasons are one short line, never hold a password or a URL, and are an operator's status text.
//!
//! ```text
//!  Client::read ─▶ backoff: not yet? ──▶ Gap("connection refused, retrying in 12 s")
//!                     │
//!                  patience: the deadline, and half-way a knock on the door, if silence may be a sample
//!                     │        silent, door open ─▶ AtLeast / Busy    door shut, or no knock ─▶ Gap, back off
//!                  mysql │ apache │ http
//!                     └─ a number ─▶ Raw     wrong answer ─▶ Gap     unreachable ─▶ Gap, back off
//! ```

use crate::core::format::measured;

mod apache;
mod backoff;
mod http;
mod mysql;
mod number;
mod patience;
mod reason;
mod secret;
mod web;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::apache::Apache;
use self::backoff::Backoff;
use self::http::Http;
use self::mysql::Mysql;
use self::patience::{Door, Heard};
use crate::core::cluster::{Monitor, OnTimeout, Reading, Source, Span};

pub use self::web::init_tls;

/// What came of a read that ended in time without a number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// There is no connection: the next attempts are spaced out.
    Unreachable(String),
    /// The service answered, but not with a number.
    Answered(String),
}

/// What a service that is there but silent means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// The value is the time waited, or more.
    AtLeast,
    /// As the config says.
    As(OnTimeout),
}

/// The services a monitor can read.
enum Service {
    Mysql(Mysql),
    Apache(Apache),
    Http(Http),
}

/// Reads one VM's indicator, again and again.
///
/// Must be used within a tokio runtime that has I/O and time enabled. It may be dropped at any moment, also in the
/// middle of a read.
pub struct Client {
    service: Service,
    deadline: Duration,
    silence: Silence,
    backoff: Backoff,
}

impl Client {
    /// A client for this monitor; `None` for what only the array's driver can read.
    ///
    /// Nothing is looked up, connected or checked before the first [`read`](Self::read).
    pub fn new(monitor: &Monitor) -> Option<Self> {
        let deadline = duration(monitor.deadline);
        let (service, silence) = match &monitor.source {
            Source::Mysql { url, password, quantity, on_timeout } => {
                let mysql = Mysql::new(url.clone(), password.clone(), quantity.clone(), deadline);
                (Service::Mysql(mysql), Silence::As(*on_timeout))
            }
            Source::Apache { url, field, on_timeout } => {
                (Service::Apache(Apache::new(url.clone(), field.clone())), Silence::As(*on_timeout))
            }
            Source::Http { url, expect } => (Service::Http(Http::new(url.clone(), *expect)), Silence::AtLeast),
            Source::Hypervisor { .. } | Source::Simulated => return None,
        };
        Some(Self { service, deadline, silence, backoff: Backoff::default() })
    }

    /// One look at the service. Ends within the monitor's deadline, whatever the service does.
    pub async fn read(&mut self) -> Reading {
        if let Some(reason) = self.backoff.holds(Instant::now()) {
            return Reading::Gap(reason);
        }
        // If silence is a gap anyway, nobody needs to know what is behind it.
        let door = if self.silence == Silence::As(OnTimeout::Gap) { None } else { self.service.door() };
        let heard = patience::within(self.deadline, door, self.service.read()).await;
        if let Heard::Answer { knocked: true, .. } = heard {
            self.service.knocked();
        }
        match heard {
            Heard::Answer { answer: Err(Failure::Unreachable(reason)), .. } => self.unreachable(reason),
            Heard::Nothing { door_open: false } => self.unreachable(self.nothing_heard()),
            Heard::Answer { answer, .. } => {
                self.backoff.clear();
                answer.map_or_else(Failure::into_gap, Reading::Raw)
            }
            Heard::Nothing { door_open: true } => {
                self.backoff.clear();
                match self.silence {
                    Silence::AtLeast => Reading::AtLeast(self.deadline.as_secs_f64() * 1_000.0),
                    Silence::As(_) => Reading::Busy,
                }
            }
        }
    }

    fn unreachable(&mut self, reason: String) -> Reading {
        self.backoff.fail(Instant::now(), &reason);
        Reading::Gap(reason)
    }

    fn nothing_heard(&self) -> String {
        let what = if self.silence == Silence::As(OnTimeout::Gap) { "answer" } else { "connection" };
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

impl Service {
    fn door(&self) -> Option<Door> {
        match self {
            Self::Mysql(mysql) => mysql.door(),
            Self::Apache(apache) => apache.door(),
            Self::Http(http) => http.door(),
        }
    }

    fn knocked(&mut self) {
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
