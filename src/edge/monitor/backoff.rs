//! How long a service that could not be reached is left alone.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::format::duration;

/// After the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_millis(500);
/// A service that is back is never missed for longer than this and one interval.
const LONGEST: Duration = Duration::from_secs(30);

/// An attempt that is due this soon is made now: the next reading may be a whole interval away.
const SLACK: Duration = Duration::from_millis(50);

/// Counts failures to connect, and says when the next attempt may be made.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    reason: String,
}

impl Backoff {
    /// Another attempt failed, for this reason.
    pub(super) fn fail(&mut self, now: Instant, reason: &str) {
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        self.waiting = Some(Waiting { until: now + wait, reason: reason.to_owned() });
    }

    /// The service was reached.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Why no attempt is made now; `None` if one may be.
    pub(super) fn holds(&self, now: Instant) -> Option<String> {
        let waiting = self.waiting.as_ref().filter(|w| now + SLACK < w.until)?;
        Some(format!("{}, retrying in {}", waiting.reason, duration((waiting.until - now).into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
