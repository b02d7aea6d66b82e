//! A running migration in figures: how far it is, and whether it still moves.

use std::time::{Duration, Instant};

use super::fields::Fields;
use super::words;
use crate::core::cluster::{Span, Transfer};
use crate::core::insight::precopy::ROUND_CAP;

/// Pages are this large unless libvirt says otherwise.
const PAGE: u64 = 4_096;
/// The round in which writing faster than sending counts as not converging: the first sends everything in any case.
const FAIR_ROUND: u32 = 2;

/// Follows one migration.
#[derive(Debug)]
pub(super) struct Watch {
    stall: Duration,
    percent: u8,
    figures: [u64; 5],
    moved: Instant,
}

/// How a migration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// It only grows, and is 100 only at the end: 0 to 99.
    pub percent: u8,
    pub detail: String,
    pub transfer: Option<Transfer>,
    /// It has moved nothing for too long.
    pub stalled: bool,
}

impl Watch {
    /// `stall`: after so long without a byte it is stalled.
    pub(super) fn new(stall: Duration, now: Instant) -> Self {
        Self { stall, percent: 0, figures: [0; 5], moved: now }
    }

    /// Takes in the job's figures, or that there are none.
    pub(super) fn note(&mut self, job: Option<&Fields>, now: Instant) -> Standing {
        let none = Fields::default();
        let job = job.unwrap_or(&none);
        let names = ["memory_processed", "memory_remaining", "memory_iteration", "disk_processed", "disk_remaining"];
        let figures = names.map(|name| job.or_zero(name));
        if figures != self.figures {
            (self.figures, self.moved) = (figures, now);
        }
        let (done, left) = (figures[0] + figures[3], figures[1] + figures[4]);
        self.percent = self.percent.max(share(done, left));
        let transfer = (job.or_zero("memory_total") > 0).then(|| transfer(job));
        let stalled = now.saturating_duration_since(self.moved) >= self.stall;
        Standing { percent: self.percent, detail: detail(job, transfer.as_ref()), transfer, stalled }
    }
}

/// The part that is done, in percent, at most 99.
fn share(done: u64, left: u64) -> u8 {
    let share = u128::from(done) * 100 / (u128::from(done) + u128::from(left)).max(1);
    u8::try_from(share.min(99)).unwrap_or_default()
}

/// `round 3, 41 MB left`.
fn detail(job: &Fields, transfer: Option<&Transfer>) -> String {
    let disk = job.or_zero("disk_remaining");
    match transfer {
        None => "starting".to_owned(),
        Some(transfer) if transfer.sent == 0 && disk > 0 => format!("copying disks, {} left", words::bytes(disk)),
        Some(transfer) => format!("round {}, {} left", transfer.rounds, words::bytes(transfer.left)),
    }
}

fn transfer(job: &Fields) -> Transfer {
    let page = job.get("memory_page_size").unwrap_or(PAGE);
    let downtime = job.get("downtime").and_then(|ms| i64::try_from(ms).ok());
    Transfer {
        total: job.or_zero("memory_total"),
        sent: job.or_zero("memory_processed"),
        left: job.or_zero("memory_remaining"),
        rate: job.or_zero("memory_bps"),
        dirty: job.or_zero("memory_dirty_rate").saturating_mul(page),
        rounds: u32::try_from(job.or_zero("memory_iteration")).unwrap_or(u32::MAX).max(1),
        downtime: downtime.map(Span::from_millis),
    }
}

/// Whether it will not end by itself: the VM writes faster than is sent, or there were more rounds than are worth while.
pub(super) fn hopeless(transfer: &Transfer) -> bool {
    let outrun = transfer.rate > 0 && transfer.dirty >= transfer.rate;
    transfer.rounds > ROUND_CAP || (transfer.rounds >= FAIR_ROUND && outrun)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(45);

    fn job(processed: u64, remaining: u64, round: u64) -> Fields {
        let mut fields = Fields::default();
        let total = [("memory_total", 100_000_000), ("memory_bps", 30_000_000), ("memory_dirty_rate", 1_000)];
        let now = [("memory_processed", processed), ("memory_remaining", remaining), ("memory_iteration", round)];
        total.into_iter().chain(now).for_each(|(name, value)| fields.set(name.into(), value));
        fields
    }

    #[test]
    fn the_first_second_has_no_figures() {
        let now = Instant::now();
        let mut watch = Watch::new(STALL, now);
        let standing = watch.note(Some(&Fields::default()), now);
        assert_eq!((standing.percent, standing.detail.as_str(), standing.transfer), (0, "starting", None));
    }

    #[test]
    fn percent_only_grows_and_never_says_done() {
        let now = Instant::now();
        let mut watch = Watch::new(STALL, now);
        let percents = [(10, 90, 1), (90, 10, 1), (110, 40, 2), (150, 0, 2)]
            .map(|(done, left, round)| watch.note(Some(&job(done * 1_000_000, left * 1_000_000, round)), now).percent);
        assert_eq!(percents, [10, 90, 90, 99]);
    }

    #[test]
    fn the_phrase_has_the_round_and_what_is_left() {
        let now = Instant::now();
        let standing = Watch::new(STALL, now).note(Some(&job(59_000_000, 41_000_000, 3)), now);
        assert_eq!(standing.detail, "round 3, 41 MB left");
        let transfer = standing.transfer.unwrap();
        assert_eq!((transfer.rounds, transfer.rate, transfer.dirty), (3, 30_000_000, 4_096_000));
    }

    #[test]
    fn what_moves_nothing_for_so_long_is_stalled_though_it_claims_a_rate() {
        let start = Instant::now();
        let mut watch = Watch::new(STALL, start);
        let at = |s: u64| start + Duration::from_secs(s);
        assert!(!watch.note(Some(&job(10, 90, 1)), at(30)).stalled);
        assert!(!watch.note(Some(&job(10, 90, 1)), at(74)).stalled);
        assert!(watch.note(Some(&job(10, 90, 1)), at(75)).stalled);
        assert!(!watch.note(Some(&job(11, 89, 1)), at(76)).stalled);
        assert!(!watch.note(Some(&Fields::default()), at(200)).stalled, "the figures changed");
    }

    #[test]
    fn a_vm_that_writes_faster_than_is_sent_is_hopeless_after_the_first_round() {
        let transfer = Transfer { rate: 30, dirty: 120, rounds: 1, ..Transfer::default() };
        assert!(!hopeless(&transfer));
        assert!(hopeless(&Transfer { rounds: 2, ..transfer }));
        assert!(!hopeless(&Transfer { rounds: 9, dirty: 20, ..transfer }));
        assert!(hopeless(&Transfer { rounds: 30, dirty: 20, ..transfer }));
    }
}
