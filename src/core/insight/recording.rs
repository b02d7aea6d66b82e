//! Recorded readings of one VM, ready to be replayed.

use super::entry::{Entry, Seen};
use crate::core::cluster::{Span, Timestamp, Value};
use crate::core::engine::VmState;
use crate::core::policy::What;

/// Readings of one VM in the order of time, no two at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub(super) points: Vec<RecordedPoint>,
    median: Span,
    pub(super) samples: usize,
    /// Recorded gaps, and those that are assumed where nothing was recorded.
    pub(super) gaps: u64,
}

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RecordedPoint {
    pub(super) at: Timestamp,
    /// A sample, one beyond without a number, or a gap.
    pub(super) what: What,
    /// It is the baseline at the end of a settle, which does not count.
    pub(super) baseline: bool,
    /// Observations that are missing between the reading before and this one.
    pub(super) missing: u32,
}

impl Entry {
    /// The reading as a policy observes it.
    pub const fn what(&self) -> What {
        match self.seen {
            Seen::Sample(Value::Exact(value) | Value::AtLeast(value)) => What::Sample(value),
            Seen::Sample(Value::Busy) => What::Beyond,
            Seen::Gap(_) => What::Gap,
        }
    }
}

impl Recording {
    /// Samples in the order of time; of several at one instant the last one counts. `None` without any.
    pub fn new(samples: impl IntoIterator<Item = (Timestamp, f64)>) -> Option<Self> {
        Self::of(samples.into_iter().map(|(at, value)| (at, What::Sample(value))))
    }

    /// Readings from the history, oldest first. As [`of`](Self::of), but the baseline at the end of a settle does not count: then
    /// a VM's own settings decide as they did. `None` without a sample.
    pub fn of_entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let read = |entry: &Entry| (entry.at, entry.what(), entry.state == VmState::Settling);
        Self::from_reads(entries.into_iter().map(read))
    }

    /// Observations in the order of time; of several at one instant the last one counts. A hole between two readings, where nothing
    /// ran, stands for as many gaps as median intervals fit into it. Queues and the clock are no readings. `None` without a sample.
    pub fn of(readings: impl IntoIterator<Item = (Timestamp, What)>) -> Option<Self> {
        let is_reading = |(_, what): &(Timestamp, What)| !matches!(what, What::Queue(_) | What::Clock);
        Self::from_reads(readings.into_iter().filter(is_reading).map(|(at, what)| (at, what, false)))
    }

    fn from_reads(reads: impl Iterator<Item = (Timestamp, What, bool)>) -> Option<Self> {
        let mut points: Vec<RecordedPoint> = Vec::with_capacity(reads.size_hint().1.unwrap_or_default());
        for (at, what, baseline) in reads {
            let point = RecordedPoint { at, what, baseline, missing: 0 };
            match points.last_mut() {
                // After a settle of length zero, the sample that decided and the baseline are at one instant: the sample counts.
                Some(last) if last.at == at && baseline => {}
                Some(last) if last.at == at => *last = point,
                _ => points.push(point),
            }
        }
        let median = median(&points);
        let mut before = points.first()?.at;
        for point in &mut points {
            point.missing = point.at.since(before).missed(median);
            before = point.at;
        }
        let recorded = points.iter().filter(|point| point.what == What::Gap).count();
        let gaps = points.iter().map(|point| u64::from(point.missing)).sum::<u64>() + recorded as u64;
        let samples = points.len() - recorded;
        (samples > 0).then_some(Self { points, median, samples, gaps })
    }

    /// The median distance of two readings; zero if there is only one.
    pub const fn median(&self) -> Span {
        self.median
    }

    /// The first reading and the last.
    pub fn ends(&self) -> (Timestamp, Timestamp) {
        let at = |point: Option<&RecordedPoint>| point.map_or(Timestamp::default(), |point| point.at);
        (at(self.points.first()), at(self.points.last()))
    }

    /// From the first reading to the last, and a median distance more.
    pub fn span(&self) -> Span {
        let (first, last) = self.ends();
        last.since(first) + self.median
    }

    /// A sample holds until the next reading if that comes within 1.5 median intervals. Otherwise, and as the last one, it holds
    /// for one median interval.
    pub(super) fn stood(&self, is_beyond: impl Fn(f64) -> bool) -> Span {
        let longest = self.median.millis() * 3;
        let mut sum = 0;
        for (place, point) in self.points.iter().enumerate() {
            let counts = match point.what {
                What::Sample(value) => is_beyond(value),
                What::Beyond => true,
                What::Gap | What::Queue(_) | What::Clock => false,
            };
            if counts {
                let until = self.points.get(place + 1).map_or(self.median, |next| next.at.since(point.at));
                sum += if until.millis() * 2 > longest { self.median } else { until }.millis();
            }
        }
        Span::from_millis(sum)
    }
}

fn median(points: &[RecordedPoint]) -> Span {
    let mut distances: Vec<i64> = points.windows(2).map(|pair| pair[1].at.since(pair[0].at).millis()).collect();
    if distances.is_empty() {
        return Span::ZERO;
    }
    let middle = distances.len() / 2;
    let odd = !distances.len().is_multiple_of(2);
    let (below, upper, _) = distances.select_nth_unstable(middle);
    let upper = *upper;
    if odd {
        return Span::from_millis(upper);
    }
    let lower = below.iter().max().copied().unwrap_or(upper);
    Span::from_millis((lower + upper) / 2)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(1_241_613_600 + 60 * minute)
    }

    fn entry(minute: i64, seen: Seen) -> Entry {
        Entry { at: at(minute), seen, count: 0, low_count: 0, state: VmState::Watching }
    }

    #[test]
    fn recorded_gaps_are_where_they_were_and_holes_are_guessed() {
        let gap = || Seen::Gap(Arc::from("connection refused"));
        let value = |v| Seen::Sample(Value::Exact(v));
        let entries =
            [entry(0, value(1.0)), entry(1, gap()), entry(2, gap()), entry(3, value(2.0)), entry(13, value(3.0))];
        let recording = Recording::of_entries(&entries).unwrap();
        assert_eq!((recording.samples, recording.gaps), (3, 2 + 9), "9 minutes between the 3rd and the 13th");
        assert_eq!(recording.points.iter().map(|p| p.missing).collect::<Vec<_>>(), [0, 0, 0, 0, 9]);
        assert_eq!(recording.median(), Span::from_mins(1));
    }

    #[test]
    fn too_busy_to_answer_is_beyond_every_bound() {
        let entries = [entry(0, Seen::Sample(Value::Busy)), entry(1, Seen::Sample(Value::AtLeast(250.0)))];
        assert_eq!(entries.each_ref().map(Entry::what), [What::Beyond, What::Sample(250.0)]);
        let recording = Recording::of_entries(&entries).unwrap();
        assert_eq!(recording.stood(|v| v > 1e9), Span::from_mins(1));
        assert_eq!(recording.stood(|v| v > 200.0), Span::from_mins(2));
    }

    #[test]
    fn gaps_alone_are_no_recording() {
        assert!(Recording::of([(at(0), What::Gap), (at(1), What::Gap)]).is_none());
        assert!(Recording::of([(at(0), What::Clock)]).is_none());
        assert!(Recording::of_entries(&[]).is_none());
    }
}
