//! A VM's newest readings in memory: a ring that knows gaps.

use std::collections::VecDeque;

use crate::core::cluster::{Span, Timestamp};

/// Readings kept of one VM, at most: 6 hours at one a minute, 8 bytes each …
const KEPT: usize = 360;
/// … and at least: what a graph of an hour needs, at one a minute.
const KEPT_OF_MANY: usize = 64;
/// Readings kept of all VMs together, if each has its least: the history has the rest.
const KEPT_IN_ALL: usize = 640_000;

/// The newest readings of one VM, oldest first. A gap is a NaN, never a zero.
#[derive(Debug, Clone)]
pub struct Series {
    kept: usize,
    /// Milliseconds after `origin` would overflow 32 bits after 49 days; tenths of a second last 13 years.
    at: VecDeque<u32>,
    values: VecDeque<f32>,
    origin: Timestamp,
}

impl Default for Series {
    fn default() -> Self {
        Self::one_of(1)
    }
}

impl Series {
    /// The series of one VM of so many.
    pub fn one_of(vms: usize) -> Self {
        let kept = (KEPT_IN_ALL / vms.max(1)).clamp(KEPT_OF_MANY, KEPT);
        Self { kept, at: VecDeque::new(), values: VecDeque::new(), origin: Timestamp::default() }
    }

    /// Adds a reading; `None` is a gap. Readings come in the order of time.
    pub fn push(&mut self, at: Timestamp, value: Option<f64>) {
        if self.at.is_empty() {
            self.origin = at;
        }
        if self.at.len() == self.kept {
            self.at.pop_front();
            self.values.pop_front();
        }
        self.grow();
        let tenths = at.since(self.origin).millis() / 100;
        self.at.push_back(u32::try_from(tenths).unwrap_or(u32::MAX));
        self.values.push_back(value.map_or(f32::NAN, |v| v as f32));
    }

    /// Room in doubling steps, but never more than is kept: there may be many VMs.
    fn grow(&mut self) {
        let len = self.at.len();
        if len == self.at.capacity().min(self.values.capacity()) {
            let more = len.max(8).min(self.kept - len);
            self.at.reserve_exact(more);
            self.values.reserve_exact(more);
        }
    }

    /// Readings kept.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// The newest `n` values, oldest first, NaN for a gap.
    pub fn newest(&self, n: usize) -> impl Iterator<Item = f32> {
        self.values.range(self.values.len().saturating_sub(n)..).copied()
    }

    /// The readings since an instant, oldest first; `None` for a gap.
    pub fn since(&self, from: Timestamp) -> impl Iterator<Item = (Timestamp, Option<f32>)> {
        let first = self.at.partition_point(|tenths| self.instant(*tenths) < from);
        let at = self.at.range(first..).map(|tenths| self.instant(*tenths));
        at.zip(self.values.range(first..)).map(|(at, v)| (at, Some(*v).filter(|v| !v.is_nan())))
    }

    fn instant(&self, tenths: u32) -> Timestamp {
        self.origin + Span::from_millis(i64::from(tenths) * 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_and_knows_gaps() {
        let mut series = Series::default();
        let at = |n: usize| at(60 * n as i64);
        for n in 0..KEPT + 10 {
            series.push(at(n), (n % 7 != 0).then_some(n as f64));
        }
        assert_eq!(series.len(), KEPT);
        let tail: Vec<_> = series.since(at(KEPT + 7)).collect();
        assert_eq!(tail.len(), 3);
        assert_eq!(tail[0], (at(KEPT + 7), Some((KEPT + 7) as f32)));
        assert_eq!(series.newest(3).count(), 3);
        let gap = (KEPT..KEPT + 10).find(|n| n % 7 == 0).unwrap();
        assert_eq!(series.since(at(gap)).next(), Some((at(gap), None)));
    }

    #[test]
    fn of_many_vms_fewer_readings_are_kept_of_each() {
        let kept = [1, 1_000, 10_000, 100_000].map(|vms| Series::one_of(vms).kept);
        assert_eq!(kept, [360, 360, 64, 64]);
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_241_613_600 + seconds)
    }

    #[test]
    fn nothing_was_read_yet() {
        let series = Series::default();
        assert!(series.is_empty() && series.newest(40).next().is_none() && series.since(at(0)).next().is_none());
    }

    #[test]
    fn a_gap_is_never_a_zero() {
        let mut series = Series::default();
        series.push(at(0), Some(0.0));
        series.push(at(60), None);
        assert_eq!(series.since(at(0)).collect::<Vec<_>>(), [(at(0), Some(0.0)), (at(60), None)]);
        let newest: Vec<f32> = series.newest(2).collect();
        assert!(newest[0] == 0.0 && newest[1].is_nan());
    }

    #[test]
    fn a_window_begins_at_the_first_reading_within_it() {
        let mut series = Series::default();
        for n in 0..5 {
            series.push(at(60 * n), Some(n as f64));
        }
        let first = |from| series.since(from).next().map(|(at, _)| at);
        assert_eq!(first(at(-1_000)), Some(at(0)));
        assert_eq!(first(at(60)), Some(at(60)));
        assert_eq!(first(at(61)), Some(at(120)));
        assert_eq!(first(at(241)), None);
        assert_eq!(series.newest(2).collect::<Vec<_>>(), [3.0, 4.0]);
        assert_eq!(series.newest(100).count(), 5);
    }

    #[test]
    fn instants_keep_tenths_of_a_second_for_years() {
        let mut series = Series::default();
        series.push(at(0), Some(1.0));
        let much_later = at(13 * 365 * 86_400) + Span::from_millis(1_299);
        series.push(much_later, Some(2.0));
        let kept = series.since(at(1)).next().map(|(at, _)| at);
        assert_eq!(kept, Some(at(13 * 365 * 86_400) + Span::from_millis(1_200)));
    }
}
