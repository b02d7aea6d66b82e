//! How a service feels its host's crowding.

use super::demand::STEP;

/// Queries a minute of a MySQL service on an ordinary day.
const QUERIES_A_MINUTE: f64 = 600.0;
/// What `long_query_time` is, measured in an undisturbed query's mean time.
const LONG_QUERY: f64 = 30.0;
/// A part of the queries so small that none of them is slow: a calm database logs nothing at all.
const NONE_OF_THEM: f64 = 2e-4;
/// Apache's MaxRequestWorkers.
pub(super) const WORKERS: f64 = 60.0;
/// Workers busy on an ordinary day with an undisturbed host: arrivals times service time (Little's law).
const BUSY_WORKERS: f64 = 6.0;
/// An undisturbed http answer, in ms.
const RESPONSE_MS: f64 = 80.0;
/// Beyond this use of a CPU the queue in front of it no longer grows as 1/(1−ρ), but with the excess.
const SATURATED: f64 = 0.95;

/// How many times longer everything takes when a share `use` of a CPU is wanted: 1/(1−ρ), as in an M/M/1 queue,
/// clamped at ρ = 0.95 (20 times), and from there on in proportion to what is wanted.
pub(super) fn slowdown(wanted: f64) -> f64 {
    (wanted / SATURATED).max(1.0) / (1.0 - wanted.clamp(0.0, SATURATED))
}

/// Slow queries in one step: those whose time exceeds `long_query_time`. Times have a Lomax tail of shape 8, close to
/// the exponential of M/M/1: `P(T > L) = (1 + L / (8·mean))⁻⁸`, the mean growing with the slowdown.
pub(super) fn slow_queries(activity: f64, slowdown: f64) -> f64 {
    let tail = (1.0 + LONG_QUERY / (8.0 * slowdown)).powi(8);
    QUERIES_A_MINUTE * activity * STEP.secs_f64() / 60.0 * (1.0 / tail - NONE_OF_THEM).max(0.0)
}

/// Apache's idle workers: all but those that Little's law keeps busy.
pub(super) fn idle_workers(activity: f64, slowdown: f64) -> f64 {
    // Adding 0 makes a −0 a 0, which it is on screen.
    (WORKERS - BUSY_WORKERS * activity * slowdown).round().max(0.0) + 0.0
}

/// An http answer's time in ms; `luck` from 0 to 1 spreads single answers by 15 % either way.
pub(super) fn response_ms(slowdown: f64, luck: f64) -> f64 {
    (RESPONSE_MS * slowdown * (0.85 + 0.3 * luck)).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_minute(wanted: f64) -> f64 {
        12.0 * slow_queries(1.0, slowdown(wanted))
    }

    #[test]
    fn slowdown_grows_without_a_step() {
        assert_eq!(slowdown(0.0), 1.0);
        assert_eq!(slowdown(0.5), 2.0);
        assert!((slowdown(0.9) - 10.0).abs() < 1e-9);
        assert!((slowdown(0.950_001) - slowdown(0.949_999)).abs() < 0.01);
        assert!((slowdown(1.9) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn crowding_makes_queries_slow_steeply() {
        assert_eq!(a_minute(0.4), 0.0);
        assert!((2.0..10.0).contains(&a_minute(0.8)));
        assert!((40.0..80.0).contains(&a_minute(0.9)));
        assert!(a_minute(0.95) > 140.0);
    }

    #[test]
    fn crowding_takes_workers_and_time() {
        assert_eq!(idle_workers(1.0, slowdown(0.0)), 54.0);
        assert_eq!(idle_workers(1.0, slowdown(0.5)), 48.0);
        assert!(idle_workers(1.0, slowdown(0.95)).is_sign_positive());
        assert_eq!(idle_workers(1.0, slowdown(0.95)), 0.0);
        assert_eq!(response_ms(slowdown(0.5), 0.5), 160.0);
        assert_eq!(response_ms(slowdown(0.95), 0.5), 1_600.0);
    }
}
