//! Which time it is: the wall clock's, or a simulated one that runs faster.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::core::cluster::Timestamp;

/// Simulated time is caught up with in steps of this length of real time, so that the process sleeps between them. A
/// step wakes the process three times (tokio's timer wheel twice, the screen once): this many keep it under ten a second.
const STEP: Duration = Duration::from_millis(400);

/// How time passes.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// With the wall clock.
    Real,
    /// From `start` at `began`, `speed` times faster than the clock.
    Simulated {
        /// The simulated instant at which it began.
        start: Timestamp,
        /// The real one.
        began: Instant,
        /// Simulated seconds a second, above 0.
        speed: f64,
    },
    /// Simulated, as fast as the machine can.
    Unpaced,
}

impl Pace {
    /// Simulated time that begins now.
    pub fn simulated(start: Timestamp, speed: f64) -> Self {
        if speed.is_infinite() {
            return Self::Unpaced;
        }
        Self::Simulated { start, began: Instant::now(), speed }
    }

    /// The present instant. If only the engine's own wakes move time, that is `last`.
    pub fn now(self, last: Timestamp) -> Timestamp {
        match self {
            Self::Real => steady_clock().max(last),
            Self::Simulated { start, began, speed } => {
                let passed = began.elapsed().as_secs_f64() * speed * 1_000.0;
                Timestamp::from_millis(start.millis().saturating_add(passed as i64)).max(last)
            }
            Self::Unpaced => last,
        }
    }

    /// When to wake for something that is due at `at`; `None` = at once.
    pub fn wake_for(self, at: Timestamp) -> Option<Instant> {
        match self {
            Self::Real => Some(Instant::now() + at.since(steady_clock()).to_std()),
            Self::Simulated { start, began, speed } => {
                let seconds = (at.since(start).secs_f64() / speed).clamp(0.0, 1e8);
                let steps = (seconds / STEP.as_secs_f64()).ceil().max(1.0);
                Some(began + STEP.mul_f64(steps))
            }
            Self::Unpaced => None,
        }
    }

    /// Simulated seconds a second; `None`: the time is real.
    pub const fn speed(self) -> Option<f64> {
        match self {
            Self::Real => None,
            Self::Simulated { speed, .. } => Some(speed),
            Self::Unpaced => Some(f64::INFINITY),
        }
    }

    /// Whether every wake is processed at its own instant, however late the process wakes.
    pub const fn is_simulated(self) -> bool {
        !matches!(self, Self::Real)
    }
}

/// The wall clock's time when it was first asked, plus the time since then, suspension included. Setting the clock changes
/// nothing: if the engine's time stood still or jumped, it would wait for ever or act on readings it never had.
pub fn steady_clock() -> Timestamp {
    static BEGAN: OnceLock<(Duration, Duration)> = OnceLock::new();
    let (wall, began) =
        BEGAN.get_or_init(|| (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), since_boot()));
    let now = *wall + since_boot().saturating_sub(*began);
    Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

fn since_boot() -> Duration {
    let passed = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(passed.tv_sec).unwrap_or_default(), u32::try_from(passed.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Span;

    const START: Timestamp = Timestamp::from_secs(1_241_613_600);

    fn began(ago: Duration, speed: f64) -> (Pace, Instant) {
        let began = Instant::now() - ago;
        (Pace::Simulated { start: START, began, speed }, began)
    }

    #[test]
    fn simulated_time_runs_so_many_times_faster() {
        let (pace, _) = began(Duration::from_secs(10), 60.0);
        assert!(pace.now(START) >= START + Span::from_mins(10));
    }

    #[test]
    fn time_never_goes_back() {
        let far = steady_clock() + Span::from_hours(1);
        for pace in [Pace::Real, Pace::Unpaced, began(Duration::ZERO, 1.0).0] {
            assert_eq!(pace.now(far), far, "{pace:?}");
        }
    }

    #[test]
    fn unpaced_time_is_moved_by_the_engines_wakes_alone() {
        assert_eq!(Pace::Unpaced.now(START), START);
        assert_eq!(Pace::Unpaced.wake_for(START), None);
    }

    #[test]
    fn wakes_come_in_whole_steps_and_never_before_they_are_due() {
        let (pace, began) = began(Duration::ZERO, 60.0);
        for due in [0, 1, 23_999, 24_000, 24_001, 3_600_000].map(Span::from_millis) {
            let wait = pace.wake_for(START + due).expect("an instant") - began;
            assert!(wait.as_secs_f64() * 60.0 >= due.secs_f64(), "{due:?} is over after {wait:?}");
            let steps = wait.as_secs_f64() / STEP.as_secs_f64();
            assert!((steps - steps.round()).abs() < 1e-6 && steps >= 1.0, "{steps}");
        }
        // 24 s at 60 times the speed are one step.
        assert_eq!(pace.wake_for(START + Span::from_secs(24)), Some(began + STEP));
    }

    #[test]
    fn no_speed_overflows_the_clock() {
        let (slow, since) = began(Duration::ZERO, 1e-300);
        assert!(slow.wake_for(Timestamp::NEVER).is_some_and(|at| at > since));
        let (fast, _) = began(Duration::from_secs(1), 1e300);
        assert_eq!(fast.now(START), Timestamp::NEVER);
    }
}
