//! One attempt to read: its deadline, whether a service that said nothing is busy or gone, and how long one that could not
//! be reached is left alone.

use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::core::format::duration;

/// Where a service takes connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Tcp(String, u16),
    Socket(PathBuf),
}

/// What came of the work until the deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt<T> {
    /// It ended. `probed`: the endpoint was tried meanwhile.
    Ended { answer: T, probed: bool },
    /// It did not end. `is_open`: the endpoint takes connections, so the service is there and too busy.
    Silent { is_open: bool },
}

impl Endpoint {
    async fn is_open(&self) -> bool {
        match self {
            Self::Tcp(host, port) => TcpStream::connect((host.as_str(), *port)).await.is_ok(),
            Self::Socket(path) => UnixStream::connect(path).await.is_ok(),
        }
    }
}

/// Does the work until the deadline. After half of it a second connection is tried beside the work: the client libraries do
/// not tell whether they wait for a dead host or for a busy service.
pub(super) async fn within<T>(
    deadline: Duration,
    endpoint: Option<Endpoint>,
    work: impl Future<Output = T>,
) -> Attempt<T> {
    let start = Instant::now();
    let (mut probed, mut is_open) = (false, false);
    let probe = async {
        let Some(endpoint) = endpoint else { return pending().await };
        sleep_until(start + deadline / 2).await;
        probed = true;
        is_open = endpoint.is_open().await;
    };
    let work_and_probe = async {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => answer,
            () = probe => work.await,
        }
    };
    match timeout_at(start + deadline, work_and_probe).await {
        Ok(answer) => Attempt::Ended { answer, probed },
        Err(_) => Attempt::Silent { is_open },
    }
}

/// The pause after the first failure; each further failure doubles it.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// An attempt that is due within this time is made now, because the next reading may be a whole interval away.
const SLACK: Duration = Duration::from_millis(50);

/// Counts failures to connect, and says when the next attempt may be made.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// When the next attempt may be made, and why not earlier.
    waiting: Option<(Instant, String)>,
}

impl Backoff {
    /// Another attempt failed, for this reason.
    pub(super) fn fail(&mut self, now: Instant, reason: &str) {
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        self.waiting = Some((now + wait, reason.to_owned()));
    }

    /// The service was reached.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Why no attempt is made now; `None` if one may be.
    pub(super) fn holds(&self, now: Instant) -> Option<String> {
        let (until, reason) = self.waiting.as_ref().filter(|(until, _)| now + SLACK < *until)?;
        Some(format!("{reason}, retrying in {}", duration((*until - now).into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;
    use tokio::net::TcpListener;

    const DEADLINE: Duration = Duration::from_millis(500);

    async fn listener() -> (TcpListener, Endpoint) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, Endpoint::Tcp("127.0.0.1".to_owned(), port))
    }

    #[tokio::test]
    async fn work_that_ends_is_an_answer() {
        assert_eq!(within(DEADLINE, None, ready(7)).await, Attempt::Ended { answer: 7, probed: false });
    }

    #[tokio::test]
    async fn silence_of_an_open_endpoint_is_a_busy_service() {
        let (_listener, endpoint) = listener().await;
        assert_eq!(within(DEADLINE, Some(endpoint), pending::<()>()).await, Attempt::Silent { is_open: true });
    }

    #[tokio::test]
    async fn silence_of_a_closed_endpoint_is_a_dead_service() {
        let (listener, endpoint) = listener().await;
        drop(listener);
        assert_eq!(within(DEADLINE, Some(endpoint), pending::<()>()).await, Attempt::Silent { is_open: false });
    }

    #[tokio::test]
    async fn a_late_answer_still_counts_after_the_probe() {
        let (listener, endpoint) = listener().await;
        // Ends when the probe connects, which is after half of the deadline.
        let work = async { listener.accept().await.is_ok() };
        assert_eq!(
            within(Duration::from_secs(2), Some(endpoint), work).await,
            Attempt::Ended { answer: true, probed: true }
        );
    }

    #[test]
    fn the_wait_doubles_up_to_half_a_minute() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let waits: Vec<_> = (0..9)
            .map(|_| {
                backoff.fail(now, "connection refused");
                backoff.holds(now).unwrap()
            })
            .collect();
        assert_eq!(waits[0], "connection refused, retrying in 1 s");
        assert_eq!(waits[1], "connection refused, retrying in 1 s");
        assert_eq!(waits[5], "connection refused, retrying in 16 s");
        assert_eq!(waits[6], "connection refused, retrying in 30 s");
        assert_eq!(waits[8], waits[6]);
    }

    #[test]
    fn the_attempt_is_made_when_the_wait_is_over() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        assert_eq!(backoff.holds(now), None);
        backoff.fail(now, "x");
        assert!(backoff.holds(now + FIRST - SLACK - Duration::from_millis(1)).is_some());
        assert_eq!(backoff.holds(now + FIRST - SLACK), None);
    }

    #[test]
    fn one_success_forgets_all_failures() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        (0..5).for_each(|_| backoff.fail(now, "x"));
        backoff.clear();
        assert_eq!(backoff.holds(now), None);
        backoff.fail(now, "x");
        assert_eq!(backoff.holds(now).as_deref(), Some("x, retrying in 1 s"));
    }

    #[test]
    fn a_year_of_failures_does_not_overflow() {
        let (mut backoff, now) = (Backoff { failures: 1_000_000, waiting: None }, Instant::now());
        backoff.fail(now, "x");
        assert_eq!(backoff.holds(now).as_deref(), Some("x, retrying in 30 s"));
    }
}
