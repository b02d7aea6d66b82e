//! A service as those see it who use it.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Guest;
use super::guest::get;

/// Between the begins of two requests.
const INTERVAL: Duration = Duration::from_millis(20);
/// A request that takes longer has failed.
const DEADLINE: Duration = Duration::from_millis(500);

/// Requests to a guest's web server, again and again.
pub struct Probe {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Report>>,
}

/// What a probe has seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How long each answer took, in their order.
    pub latencies: Vec<Duration>,
    /// Requests that were not answered within half a second.
    pub failures: usize,
    /// The longest time between two answers.
    pub longest_gap: Duration,
    /// When that ended.
    pub gap_end: Option<Instant>,
}

impl Guest {
    /// Requests its page every 20 ms from now on.
    pub fn probe(&self) -> Probe {
        let (stop, stopped) = channel();
        let guest = self.clone();
        let thread = std::thread::spawn(move || {
            super::enter(&guest.desk);
            let (mut report, mut last) = (Report::default(), None);
            loop {
                let begin = Instant::now();
                let answer = get(guest.ip, "/", DEADLINE);
                report.note(begin, Instant::now(), answer.is_ok(), &mut last);
                let rest = INTERVAL.saturating_sub(begin.elapsed());
                if stopped.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
                    report.gap(last, Instant::now());
                    return report;
                }
            }
        });
        Probe { stop: Some(stop), thread: Some(thread) }
    }
}

impl Probe {
    /// Ends it, and what it has seen.
    pub fn stop(mut self) -> Report {
        drop(self.stop.take());
        self.thread.take().expect("stopped once").join().expect("a probe does not panic")
    }
}

impl Report {
    fn note(&mut self, begin: Instant, end: Instant, answered: bool, last: &mut Option<Instant>) {
        if !answered {
            self.failures += 1;
            return;
        }
        self.latencies.push(end - begin);
        self.gap(*last, end);
        *last = Some(end);
    }

    fn gap(&mut self, last: Option<Instant>, end: Instant) {
        if let Some(gap) = last.map(|last| end - last).filter(|gap| *gap > self.longest_gap) {
            self.longest_gap = gap;
            self.gap_end = Some(end);
        }
    }

    /// The latency that so many percent of the answers did not exceed; zero without answers.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}
