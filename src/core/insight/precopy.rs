//! How long a live migration takes: pre-copy in rounds (Clark et al. 2005; Liu et al. 2011).
//!
//! Each round sends what the VM wrote during the round before: the part `λ = D / R` of it, with `D` the dirty rate and `R` the
//! bandwidth. Rounds go on until [`SMALL_MB`] or less remains, or [`ROUND_CAP`] is reached; then the VM is stopped, the
//! rest is sent, and it resumes at the destination. With `V` the memory and `n` the rounds:
//! `total = V/R · (1 − λⁿ⁺¹) / (1 − λ)`, `downtime = V·λⁿ/R + resume`.

use crate::core::cluster::{Span, Transfer};
use crate::core::format::{bytes, counted, measured};

/// Xen stops the VM when 50 pages of 4 KiB or fewer remain, in MB.
pub const SMALL_MB: f64 = 0.2;
/// Xen's cap on rounds.
pub const ROUND_CAP: u32 = 29;
/// From the last page's arrival until the VM answers at the destination, in seconds.
const RESUME_S: f64 = 0.03;

/// What a migration will be like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// The VM's memory, in MB.
    pub memory_mb: f64,
    /// What the VM writes of it, in MB/s.
    pub dirty_mb_s: f64,
    /// What the network sends, in MB/s.
    pub bandwidth_mb_s: f64,
    /// Rounds before the VM is stopped.
    pub rounds: u32,
    /// The whole migration. If it does not converge: until it is given up.
    pub total: Span,
    /// The time in which the VM runs nowhere.
    pub downtime: Span,
    /// The VM writes slower than the network sends. Otherwise each round leaves as much as it found.
    pub converges: bool,
}

impl Forecast {
    /// Forecasts a migration of `memory_mb` MB of which `dirty_mb_s` MB are written a second, over `bandwidth_mb_s` MB/s.
    /// All three finite, bandwidth above 0.
    pub fn of(memory_mb: f64, dirty_mb_s: f64, bandwidth_mb_s: f64) -> Self {
        let lambda = dirty_mb_s / bandwidth_mb_s;
        let full = memory_mb / bandwidth_mb_s;
        let converges = lambda < 1.0;
        let (mut rounds, mut left) = (0, memory_mb);
        while converges && left > SMALL_MB && rounds < ROUND_CAP {
            left *= lambda;
            rounds += 1;
        }
        let total = if converges {
            full * (1.0 - lambda.powi(rounds as i32 + 1)) / (1.0 - lambda)
        } else {
            rounds = ROUND_CAP;
            full * f64::from(ROUND_CAP)
        };
        let (total, downtime) = (Span::from_secs_f64(total), Span::from_secs_f64(left / bandwidth_mb_s + RESUME_S));
        Self { memory_mb, dirty_mb_s, bandwidth_mb_s, rounds, total, downtime, converges }
    }

    /// The round the migration is in `elapsed` after its start, from 1, and the MB that this round still has to send.
    fn standing(&self, elapsed: Span) -> (u32, f64) {
        let lambda = (self.dirty_mb_s / self.bandwidth_mb_s).min(1.0);
        let (mut round, mut left) = (1, self.memory_mb);
        let mut sent = elapsed.secs_f64() * self.bandwidth_mb_s;
        while sent > left && round < ROUND_CAP && left > SMALL_MB {
            sent -= left;
            left *= lambda;
            round += 1;
        }
        (round, (left - sent).max(0.0))
    }

    /// For an operator: `about 4.4 s in 3 rounds`, `will not converge: writes 120 MB/s, sends 117 MB/s`.
    pub fn words(&self) -> String {
        if !self.converges {
            let rate = |mb_s: f64| format!("{}/s", bytes((mb_s * 1e6) as u64));
            return format!("will not converge: writes {}, sends {}", rate(self.dirty_mb_s), rate(self.bandwidth_mb_s));
        }
        format!("about {} in {}", measured(self.total), counted(self.rounds, "round", "rounds"))
    }

    /// The progress of the migration `elapsed` after its start.
    pub fn transfer(&self, elapsed: Span) -> Transfer {
        let (rounds, left) = self.standing(elapsed);
        let bytes = |mb: f64| (mb * 1e6) as u64;
        Transfer {
            total: bytes(self.memory_mb),
            sent: bytes(elapsed.secs_f64() * self.bandwidth_mb_s),
            left: bytes(left),
            rate: bytes(self.bandwidth_mb_s),
            dirty: bytes(self.dirty_mb_s),
            rounds,
            downtime: Some(Span::from_secs_f64(left / self.bandwidth_mb_s + RESUME_S)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calm_vm_is_moved_in_six_rounds() {
        let calm = Forecast::of(4_096.0, 20.0, 117.0);
        assert_eq!((calm.rounds, calm.converges), (6, true));
        assert_eq!(calm.total.millis() / 100, 422);
        assert!(calm.downtime < Span::from_millis(40));
    }

    #[test]
    fn a_busy_vm_reaches_the_cap_on_rounds() {
        let busy = Forecast::of(4_096.0, 90.0, 117.0);
        assert_eq!((busy.rounds, busy.converges), (ROUND_CAP, true));
        assert_eq!(busy.total.millis() / 100, 1_516);
    }

    #[test]
    fn a_vm_that_writes_faster_than_the_network_sends_does_not_converge() {
        for dirty in [117.0, 500.0] {
            let hopeless = Forecast::of(512.0, dirty, 117.0);
            assert_eq!((hopeless.rounds, hopeless.converges), (ROUND_CAP, false));
            assert!(hopeless.total > Span::from_mins(2) && hopeless.downtime > Span::from_secs(4));
        }
    }

    #[test]
    fn an_idle_vm_is_sent_once() {
        let idle = Forecast::of(1_170.0, 0.0, 117.0);
        assert_eq!((idle.rounds, idle.total), (1, Span::from_secs(10)));
    }

    #[test]
    fn rounds_shrink_until_the_last() {
        assert_eq!(Forecast::of(100.0, 5.0, 10.0).standing(Span::from_secs(4)), (1, 60.0));
        assert_eq!(Forecast::of(100.0, 5.0, 10.0).standing(Span::from_secs(12)), (2, 30.0));
        assert_eq!(Forecast::of(100.0, 10.0, 10.0).standing(Span::from_secs(95)), (10, 50.0));
    }

    #[test]
    fn a_forecast_is_a_short_phrase() {
        assert_eq!(Forecast::of(512.0, 10.0, 117.0).words(), "about 4.8 s in 4 rounds");
        assert_eq!(Forecast::of(1_170.0, 0.0, 117.0).words(), "about 10 s in 1 round");
        assert_eq!(Forecast::of(4_096.0, 90.0, 117.0).words(), "about 2 min 32 s in 29 rounds");
        assert_eq!(Forecast::of(512.0, 120.0, 117.0).words(), "will not converge: writes 120 MB/s, sends 117 MB/s");
    }

    #[test]
    fn figures_are_bytes() {
        let expected = Transfer {
            total: 100_000_000,
            sent: 120_000_000,
            left: 30_000_000,
            rate: 10_000_000,
            dirty: 5_000_000,
            rounds: 2,
            downtime: Some(Span::from_millis(3_030)),
        };
        assert_eq!(Forecast::of(100.0, 5.0, 10.0).transfer(Span::from_secs(12)), expected);
    }
}
