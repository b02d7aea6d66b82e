//! A migration under way, from its start to its end. Whether it arrived, only the hosts know.

use super::precopy::{self, Forecast};
use crate::core::cluster::{Span, Timestamp, in_words};
use crate::core::engine::Route;

/// How often a migration says how far it is.
const REPORTS: u8 = 8;
/// From an operator's abort until it is through.
const ABORT_TAKES: Span = Span::from_secs(1);

/// How a VM gets over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// Live, within an array.
    Live {
        /// MB, and MB/s twice, as it began.
        memory: f64,
        dirty: f64,
        bandwidth: f64,
        /// What that comes to.
        forecast: Forecast,
    },
    /// Stopped, copied to another site, started there.
    Between,
}

/// What it will come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    NeverConverges,
    Aborted,
    SourceFails,
    DestinationFails,
}

/// One migration.
#[derive(Debug, Clone)]
pub(super) struct Moving {
    pub(super) route: Route,
    pub(super) way: Way,
    pub(super) fate: Fate,
    began: Timestamp,
    takes: Span,
    pub(super) ends: Timestamp,
}

impl Moving {
    pub(super) fn live(route: Route, now: Timestamp, memory: f64, dirty: f64, bandwidth: f64) -> Self {
        let forecast = precopy::forecast(memory, dirty, bandwidth);
        let fate = if forecast.converges { Fate::Arrives } else { Fate::NeverConverges };
        let way = Way::Live { memory, dirty, bandwidth, forecast };
        Self { route, way, fate, began: now, takes: forecast.total, ends: now + forecast.total }
    }

    pub(super) fn between(route: Route, now: Timestamp, takes: Span) -> Self {
        Self { route, way: Way::Between, fate: Fate::Arrives, began: now, takes, ends: now + takes }
    }

    /// When its `n`-th report, from 1, is due; `None` after the last, or when it has been broken off.
    pub(super) fn reports_at(&self, n: u8) -> Option<Timestamp> {
        let running = matches!(self.fate, Fate::Arrives | Fate::NeverConverges);
        (n <= REPORTS && running).then(|| self.began + self.takes.scaled(i64::from(n), i64::from(REPORTS) + 1))
    }

    /// Percent of the way and a phrase, for its `n`-th report.
    pub(super) fn report(&self, n: u8) -> (u8, String) {
        let percent = (u32::from(n) * 100 / (u32::from(REPORTS) + 1)) as u8;
        let elapsed = self.takes.scaled(i64::from(n), i64::from(REPORTS) + 1);
        let detail = match self.way {
            Way::Live { memory, dirty, bandwidth, forecast } => {
                let (round, left) = precopy::standing(memory, dirty, bandwidth, elapsed);
                let left = if left < 10.0 { format!("{left:.1}") } else { format!("{left:.0}") };
                format!("round {} of {}, {left} MB left", round.min(forecast.rounds), forecast.rounds)
            }
            Way::Between => {
                let left = Span::from_millis(self.takes.millis() - elapsed.millis());
                format!("stopped and copied, {} left", in_words(left))
            }
        };
        (percent, detail)
    }

    /// Breaks it off, unless it is as good as over. True if it now ends at another time.
    pub(super) fn abort(&mut self, now: Timestamp) -> bool {
        let ends = now + ABORT_TAKES;
        if ends >= self.ends {
            return false;
        }
        (self.fate, self.ends) = (Fate::Aborted, ends);
        true
    }

    /// A host of it fails now.
    pub(super) fn breaks(&mut self, now: Timestamp, fate: Fate) {
        (self.fate, self.ends) = (fate, now);
    }

    /// How it went, in the driver's words.
    pub(super) fn ending(&self) -> String {
        match (self.fate, self.way) {
            (Fate::Arrives, Way::Live { forecast, .. }) => {
                format!("{:.1} s, {} ms down", self.takes.secs_f64(), forecast.downtime.millis())
            }
            (Fate::Arrives, Way::Between) => format!("{}, down all the while", in_words(self.takes)),
            (Fate::NeverConverges, Way::Live { dirty, bandwidth, forecast, .. }) => {
                let rounds = forecast.rounds;
                format!("did not converge in {rounds} rounds: writes {dirty:.0} MB/s, sends {bandwidth:.0}")
            }
            (Fate::NeverConverges, Way::Between) => String::new(),
            (Fate::Aborted, _) => "aborted, runs on at the source".to_owned(),
            (Fate::SourceFails, _) => "the source stopped answering".to_owned(),
            (Fate::DestinationFails, _) => "the destination stopped answering".to_owned(),
        }
    }
}
