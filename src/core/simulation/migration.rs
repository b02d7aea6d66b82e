//! A simulated migration, from its start to its end. Whether the VM arrived is for the hosts to say.

use crate::core::cluster::{Span, Timestamp, Transfer};
use crate::core::engine::Route;
use crate::core::format::{bytes, duration, measured};
use crate::core::insight::precopy::{self, Forecast};

/// How often a live migration reports its progress.
const REPORT_LIVE: Span = Span::from_millis(500);
/// How often a migration between sites reports its progress. It takes minutes.
const REPORT_BETWEEN: Span = Span::from_secs(10);
/// The time from an operator's abort to the end of the migration.
const ABORT_TAKES: Span = Span::from_secs(1);

/// How a VM is transferred.
#[derive(Debug, Clone, Copy)]
enum TransferKind {
    /// Live, within an array.
    Live {
        /// The VM's memory in MB, what it writes of it in MB/s, and the network's MB/s, as they were at the start.
        memory: f64,
        dirty: f64,
        bandwidth: f64,
        /// What follows from these figures.
        forecast: Forecast,
    },
    /// The VM is stopped, copied to another site and started there.
    Between,
}

/// How a migration ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MigrationFate {
    /// It runs to its end.
    Completes,
    Aborted,
    SourceFails,
    DestinationFails,
}

/// One migration.
#[derive(Debug, Clone)]
pub(super) struct SimulatedMigration {
    pub(super) route: Route,
    way: TransferKind,
    fate: MigrationFate,
    began: Timestamp,
    takes: Span,
    pub(super) ends: Timestamp,
}

impl SimulatedMigration {
    pub(super) fn live(route: Route, now: Timestamp, memory: f64, dirty: f64, bandwidth: f64) -> Self {
        let forecast = precopy::forecast(memory, dirty, bandwidth);
        let way = TransferKind::Live { memory, dirty, bandwidth, forecast };
        Self::new(route, way, now, forecast.total)
    }

    pub(super) fn between(route: Route, now: Timestamp, takes: Span) -> Self {
        Self::new(route, TransferKind::Between, now, takes)
    }

    fn new(route: Route, way: TransferKind, began: Timestamp, takes: Span) -> Self {
        Self { route, way, fate: MigrationFate::Completes, began, takes, ends: began + takes }
    }

    /// Whether the VM is at the destination when it has ended.
    pub(super) fn arrives(&self) -> bool {
        let converges = !matches!(self.way, TransferKind::Live { forecast: Forecast { converges: false, .. }, .. });
        self.fate == MigrationFate::Completes && converges
    }

    /// When its `n`-th report is due, from 1; `None`: there is no such report, or the migration does not run to its end.
    pub(super) fn reports_at(&self, n: u32) -> Option<Timestamp> {
        let at = self.began + self.reported_at(n);
        (at < self.ends && self.fate == MigrationFate::Completes).then_some(at)
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
        matches!(self.way, TransferKind::Live { .. })
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
        match self.way {
            TransferKind::Live { memory, dirty, bandwidth, forecast } => {
                let figures = precopy::transfer(memory, dirty, bandwidth, elapsed);
                let round = figures.rounds.min(forecast.rounds);
                (percent, format!("round {round} of {}, {} left", forecast.rounds, bytes(figures.left)), Some(figures))
            }
            TransferKind::Between => {
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
        (self.fate, self.ends) = (MigrationFate::Aborted, ends);
        true
    }

    /// Ends it, because one of its hosts has failed.
    pub(super) fn breaks(&mut self, now: Timestamp, fate: MigrationFate) {
        (self.fate, self.ends) = (fate, now);
    }

    /// How it ended, in the words of a driver.
    pub(super) fn ending(&self) -> String {
        match (self.fate, self.way) {
            (MigrationFate::Completes, TransferKind::Live { forecast, .. }) if forecast.converges => {
                format!("{}, {} down", measured(self.takes), measured(forecast.downtime))
            }
            (MigrationFate::Completes, TransferKind::Live { dirty, bandwidth, forecast, .. }) => {
                let rounds = forecast.rounds;
                format!("did not converge in {rounds} rounds: writes {dirty:.0} MB/s, sends {bandwidth:.0}")
            }
            (MigrationFate::Completes, TransferKind::Between) => {
                format!("{}, down all the while", measured(self.takes))
            }
            (MigrationFate::Aborted, _) => "aborted, runs on at the source".to_owned(),
            (MigrationFate::SourceFails, _) => "the source stopped answering".to_owned(),
            (MigrationFate::DestinationFails, _) => "the destination stopped answering".to_owned(),
        }
    }
}
