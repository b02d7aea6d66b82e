//! A simulated migration, from its start to its end. Whether the VM arrived is for the hosts to say.

use crate::core::cluster::{HostId, Span, Timestamp, Transfer};
use crate::core::engine::Route;
use crate::core::format::{bytes, duration, measured};
use crate::core::insight::precopy::Forecast;

/// How often a live migration reports its progress.
const REPORT_LIVE: Span = Span::from_millis(500);
/// How often a migration between sites reports its progress. It takes minutes.
const REPORT_BETWEEN: Span = Span::from_secs(10);
/// The time from an operator's abort to the end of the migration.
const ABORT_TAKES: Span = Span::from_secs(1);

/// One migration.
#[derive(Debug, Clone)]
pub(super) struct SimulatedMigration {
    pub(super) route: Route,
    /// Live, within an array, as the figures at the start foretell it; `None`: the VM is stopped, copied to another site and
    /// started there.
    live: Option<Forecast>,
    /// Why it does not run to its end, in the words of a driver.
    stopped: Option<&'static str>,
    began: Timestamp,
    takes: Span,
    pub(super) ends: Timestamp,
}

impl SimulatedMigration {
    pub(super) fn live(route: Route, now: Timestamp, memory: f64, dirty: f64, bandwidth: f64) -> Self {
        let forecast = Forecast::of(memory, dirty, bandwidth);
        Self::new(route, Some(forecast), now, forecast.total)
    }

    pub(super) fn between(route: Route, now: Timestamp, takes: Span) -> Self {
        Self::new(route, None, now, takes)
    }

    fn new(route: Route, live: Option<Forecast>, began: Timestamp, takes: Span) -> Self {
        Self { route, live, stopped: None, began, takes, ends: began + takes }
    }

    /// Whether the VM is at the destination when it has ended.
    pub(super) fn arrives(&self) -> bool {
        self.stopped.is_none() && self.live.is_none_or(|live| live.converges)
    }

    /// When its `n`-th report is due, from 1; `None`: there is no such report, or the migration does not run to its end.
    pub(super) fn reports_at(&self, n: u32) -> Option<Timestamp> {
        let at = self.began + self.reported_at(n);
        (at < self.ends && self.stopped.is_none()).then_some(at)
    }

    /// The time from the start to the `n`-th report.
    fn reported_at(&self, n: u32) -> Span {
        let every = if self.is_live() { REPORT_LIVE } else { REPORT_BETWEEN };
        every.scaled(i64::from(n), 1)
    }

    /// The number of the next report, and when it is due.
    pub(super) fn next_report(&self, now: Timestamp) -> Option<(u32, Timestamp)> {
        let n = now.since(self.began).millis() / self.reported_at(1).millis() + 1;
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        self.reports_at(n).map(|at| (n, at))
    }

    /// Whether the VM runs during the migration.
    pub(super) const fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// The `n`-th report: percent, a phrase and, if the migration is live, figures.
    pub(super) fn report(&self, n: u32) -> (u8, String, Option<Transfer>) {
        self.report_after(self.reported_at(n))
    }

    /// A report at any instant.
    pub(super) fn report_now(&self, now: Timestamp) -> (u8, String, Option<Transfer>) {
        self.report_after(now.since(self.began).min(self.takes))
    }

    fn report_after(&self, elapsed: Span) -> (u8, String, Option<Transfer>) {
        let percent = (elapsed.millis() * 100 / self.takes.millis().max(1)) as u8;
        match self.live {
            Some(live) => {
                let figures = live.transfer(elapsed);
                let round = figures.rounds.min(live.rounds);
                (percent, format!("round {round} of {}, {} left", live.rounds, bytes(figures.left)), Some(figures))
            }
            None => {
                let left = Span::from_millis(self.takes.millis() - elapsed.millis());
                (percent, format!("stopped and copied, {} left", duration(left)), None)
            }
        }
    }

    /// Aborts it, unless it ends before an abort would. True if it now ends at another time.
    pub(super) fn abort(&mut self, now: Timestamp) -> bool {
        let ends = now + ABORT_TAKES;
        if ends >= self.ends {
            return false;
        }
        (self.stopped, self.ends) = (Some("aborted, runs on at the source"), ends);
        true
    }

    /// Ends it if this host, which has failed, is one of its two. True if it does.
    pub(super) fn breaks(&mut self, now: Timestamp, failed: HostId) -> bool {
        let why = match failed {
            _ if failed == self.route.from => "the source stopped answering",
            _ if failed == self.route.to => "the destination stopped answering",
            _ => return false,
        };
        (self.stopped, self.ends) = (Some(why), now);
        true
    }

    /// How it ended, in the words of a driver.
    pub(super) fn ending(&self) -> String {
        if let Some(why) = self.stopped {
            return why.to_owned();
        }
        match self.live {
            Some(live) if live.converges => format!("{}, {} down", measured(self.takes), measured(live.downtime)),
            Some(Forecast { rounds, dirty_mb_s, bandwidth_mb_s, .. }) => {
                format!("did not converge in {rounds} rounds: writes {dirty_mb_s:.0} MB/s, sends {bandwidth_mb_s:.0}")
            }
            None => format!("{}, down all the while", measured(self.takes)),
        }
    }
}
