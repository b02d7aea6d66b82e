//! A VM's readings for a graph: the newest ones in memory, and a long series as one band for each column.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Rolled};
use crate::core::cluster::{Span, Timestamp};

/// The most readings of one VM: 6 hours at one a minute, 8 bytes each.
const KEPT: usize = 360;
/// The fewest readings of one VM: a graph of an hour needs them at one a minute.
const KEPT_OF_MANY: usize = 64;
/// The most readings of all VMs together, unless the fewest of each are more. The history has the rest.
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
    /// The series of one VM in a cluster of so many VMs.
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

    /// Grows in doubling steps, but never beyond what is kept, because there may be many VMs.
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

/// What one [`Rolled`] stands for.
pub const QUARTER: Span = Span::from_mins(15);

/// A number that may be missing, for serde's `with`: NaN here is `null` in JSON.
mod null_for_nan {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(number: &f32, to: S) -> Result<S::Ok, S::Error> {
        Some(*number).filter(|number| !number.is_nan()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f32::NAN))
    }
}

/// What falls into one column of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Where it is drawn: the instant of its only reading, or the middle between its first and its last.
    pub at: Timestamp,
    /// The least value; NaN if there was no number.
    #[serde(with = "null_for_nan")]
    pub min: f32,
    /// The mean of its values; NaN if there was no number.
    #[serde(with = "null_for_nan")]
    pub mean: f32,
    /// The greatest value; NaN if there was no number.
    #[serde(with = "null_for_nan")]
    pub max: f32,
    /// The highest count.
    pub count: u32,
    /// The highest low count.
    pub low_count: u32,
    /// Samples in it.
    pub samples: u32,
    /// Gaps in it.
    pub gaps: u32,
}

impl Band {
    /// One reading; `None` is a gap.
    pub fn of_reading(at: Timestamp, value: Option<f32>) -> Self {
        let (number, samples) = (value.unwrap_or(f32::NAN), u32::from(value.is_some()));
        Self { at, min: number, mean: number, max: number, count: 0, low_count: 0, samples, gaps: 1 - samples }
    }

    /// Readings up to this last one.
    fn of(all: &Rolled, last: Timestamp) -> Self {
        let Rolled { at, min, mean, max, count, low_count, samples, gaps, .. } = *all;
        let (min, mean, max) = (min as f32, mean as f32, max as f32);
        Self { at: at + last.since(at).scaled(1, 2), min, mean, max, count, low_count, samples, gaps }
    }
}

/// Quarters of an hour, each at its middle, followed by raw readings, between two instants, both included: as one band a
/// column; an empty column has none. If there are no more than columns, there is one band for each. All are in the order of
/// time. A quarter counts if its middle is before the first raw reading.
pub fn thin(rolled: &[Rolled], entries: &[Entry], from: Timestamp, to: Timestamp, columns: usize) -> Vec<Band> {
    let raw_from = entries.first().map_or(Timestamp::NEVER, |entry| entry.at);
    let rolled = &rolled[..rolled.partition_point(|quarter| middle(quarter) < raw_from)];
    let rolled = within(rolled, middle, from, to);
    let entries = within(entries, |entry| entry.at, from, to);
    let quarters = rolled.iter().map(|quarter| Rolled { at: middle(quarter), ..*quarter });
    let all = quarters.chain(entries.iter().map(Rolled::of));
    if rolled.len() + entries.len() <= columns {
        return all.map(|one| Band::of(&one, one.at)).collect();
    }
    let width = i128::from(to.since(from).millis()) + 1;
    let column = |at: Timestamp| i128::from(at.since(from).millis()) * columns as i128 / width;
    let mut bands = Vec::with_capacity(columns);
    // The column that is being added up, and its last reading.
    let mut open: Option<(i128, Rolled, Timestamp)> = None;
    for one in all {
        let place = column(one.at);
        match &mut open {
            Some((column, so_far, last)) if *column == place => (*so_far, *last) = (so_far.with(&one), one.at),
            _ => bands.extend(open.replace((place, one, one.at)).map(|(_, all, last)| Band::of(&all, last))),
        }
    }
    bands.extend(open.map(|(_, all, last)| Band::of(&all, last)));
    bands
}

fn middle(quarter: &Rolled) -> Timestamp {
    quarter.at + QUARTER.scaled(1, 2)
}

/// Those between two instants, both included.
fn within<T>(sorted: &[T], at: impl Fn(&T) -> Timestamp, from: Timestamp, to: Timestamp) -> &[T] {
    let begin = sorted.partition_point(|one| at(one) < from);
    let end = sorted.partition_point(|one| at(one) <= to);
    sorted.get(begin..end).unwrap_or_default()
}

#[cfg(test)]
mod series_tests {
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

#[cfg(test)]
mod band_tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::core::cluster::Value;
    use crate::core::engine::VmState;
    use crate::core::insight::Seen;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_241_613_600 + second)
    }

    fn entry(second: i64, seen: Option<Value>, count: u32) -> Entry {
        let seen = seen.map_or_else(|| Seen::Gap(Arc::from("no answer")), Seen::Sample);
        Entry { at: at(second), seen, count, low_count: 7 - count.min(7), state: VmState::Watching }
    }

    fn exact(value: f64) -> Option<Value> {
        Some(Value::Exact(value))
    }

    #[test]
    fn a_column_has_the_least_the_mean_and_the_greatest() {
        let entries = [entry(0, exact(1.0), 0), entry(10, exact(5.0), 3), entry(20, None, 3), entry(30, exact(3.0), 0)];
        let bands = thin(&[], &entries, at(0), at(60), 1);
        let expected = Band { at: at(15), min: 1.0, mean: 3.0, max: 5.0, count: 3, low_count: 7, samples: 3, gaps: 1 };
        assert_eq!(bands, [expected]);
    }

    #[test]
    fn fewer_readings_than_columns_stand_at_their_own_instants() {
        let entries = [entry(0, exact(1.0), 0), entry(1, exact(5.0), 1), entry(59, None, 1)];
        let bands = thin(&[], &entries, at(0), at(60), 3);
        assert_eq!(bands.iter().map(|b| b.at).collect::<Vec<_>>(), [at(0), at(1), at(59)]);
        assert_eq!(bands.iter().map(|b| (b.samples, b.gaps)).collect::<Vec<_>>(), [(1, 0), (1, 0), (0, 1)]);
        assert!(bands[2].mean.is_nan() && bands[2].min.is_nan() && bands[2].max.is_nan(), "a gap is never a zero");
    }

    #[test]
    fn a_column_with_nothing_in_it_has_no_band_and_gaps_alone_have_no_number() {
        let entries: Vec<Entry> = (0..10).map(|n| entry(n, None, 0)).chain([entry(55, exact(2.0), 0)]).collect();
        let bands = thin(&[], &entries, at(0), at(59), 6);
        assert_eq!(bands.len(), 2);
        assert!(bands[0].mean.is_nan() && bands[0].gaps == 10 && bands[0].samples == 0);
        assert_eq!((bands[1].at, bands[1].mean), (at(55), 2.0));
    }

    #[test]
    fn too_busy_to_answer_is_a_sample_without_a_number() {
        let busy = entry(0, Some(Value::Busy), 1);
        let alone = thin(&[], std::slice::from_ref(&busy), at(0), at(60), 4)[0];
        assert!(alone.mean.is_nan() && (alone.samples, alone.gaps) == (1, 0));
        let with = thin(&[], &[busy, entry(1, Some(Value::AtLeast(250.0)), 2)], at(0), at(60), 1)[0];
        assert_eq!((with.min, with.mean, with.max, with.samples), (250.0, 250.0, 250.0, 2));
    }

    fn quarter(n: i64, mean: f64, samples: u32) -> Rolled {
        Rolled {
            at: at(900 * n),
            min: mean - 1.0,
            mean,
            max: mean + 1.0,
            count: 0,
            low_count: 0,
            samples,
            numbers: samples,
            gaps: 15 - samples,
        }
    }

    #[test]
    fn quarters_stand_in_their_middle_and_weigh_as_much_as_they_hold() {
        let rolled = [quarter(0, 10.0, 15), quarter(1, 40.0, 5), quarter(2, f64::NAN, 0)];
        let each = thin(&rolled, &[], at(0), at(2_700), 3);
        assert_eq!(each.iter().map(|b| b.at).collect::<Vec<_>>(), [at(450), at(1_350), at(2_250)]);
        let one = thin(&rolled, &[], at(0), at(2_700), 1)[0];
        assert_eq!((one.min, one.mean, one.max), (9.0, 17.5, 41.0));
        assert_eq!((one.samples, one.gaps), (20, 25));
    }

    #[test]
    fn from_the_first_raw_reading_on_quarters_say_nothing_new() {
        let rolled = [quarter(0, 10.0, 15), quarter(1, 40.0, 5), quarter(2, 50.0, 5)];
        let seam = |first| {
            let entries = [entry(first, exact(40.0), 0), entry(1_900, exact(50.0), 0)];
            thin(&rolled, &entries, at(0), at(2_700), 10).iter().map(|b| b.at).collect::<Vec<_>>()
        };
        assert_eq!(seam(1_000), [at(450), at(1_000), at(1_900)]);
        assert_eq!(seam(1_400), [at(450), at(1_350), at(1_400), at(1_900)], "most of the second quarter is older");
    }

    #[test]
    fn nothing_is_asked_or_there() {
        let entries = [entry(0, exact(1.0), 0)];
        assert!(thin(&[], &[], at(0), at(60), 5).is_empty());
        assert!(thin(&[], &entries, at(1), at(60), 5).is_empty());
        assert!(thin(&[], &entries, at(60), at(1), 5).is_empty(), "an end before the begin");
        assert_eq!(thin(&[], &entries, at(0), at(0), 1).len(), 1, "both ends are included");
        assert!(thin(&[], &entries, at(0), at(60), 0).len() <= 1);
    }

    proptest! {
        #[test]
        fn bands_hold_every_reading_once_in_its_column(
            readings in proptest::collection::vec((0_i64..40, proptest::option::of(-50.0..50.0_f64), 0_u32..5), 1..300),
            from in 0_i64..500, length in 0_i64..6_000, columns in 1_usize..100,
        ) {
            let mut second = 0;
            let entries: Vec<Entry> = readings.iter().map(|(step, value, count)| {
                second += step;
                entry(second, value.map(Value::Exact), *count)
            }).collect();
            let (from, to) = (at(from), at(from + length));
            let inside: Vec<&Entry> = entries.iter().filter(|e| from <= e.at && e.at <= to).collect();
            let bands = thin(&[], &entries, from, to, columns);
            prop_assert!(bands.len() <= columns);
            prop_assert!(bands.is_sorted_by_key(|b| b.at));
            let sum = |of: fn(&Band) -> u32| bands.iter().map(|b| of(b) as usize).sum::<usize>();
            prop_assert_eq!(sum(|b| b.samples) + sum(|b| b.gaps), inside.len());
            // A plain look at each column.
            if inside.len() > columns {
                let (width, many) = (length * 1_000 + 1, columns as i64);
                let mut found = bands.iter();
                for column in 0..many {
                    let reaches = |e: &Entry| e.at.since(from).millis() * many;
                    let here = |e: &&&Entry| (column * width..(column + 1) * width).contains(&reaches(e));
                    let here: Vec<_> = inside.iter().filter(here).collect();
                    let Some(first) = here.first() else { continue };
                    let band = found.next().unwrap();
                    let numbers: Vec<f64> = here.iter().filter_map(|e| match e.seen {
                        Seen::Sample(value) => value.number(),
                        Seen::Gap(_) => None,
                    }).collect();
                    prop_assert_eq!((band.samples + band.gaps) as usize, here.len());
                    prop_assert_eq!(band.samples as usize, numbers.len());
                    prop_assert_eq!(band.count, here.iter().map(|e| e.count).max().unwrap());
                    prop_assert!(first.at <= band.at && band.at <= here[here.len() - 1].at);
                    if numbers.is_empty() {
                        prop_assert!(band.mean.is_nan() && band.min.is_nan() && band.max.is_nan());
                    } else {
                        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
                        prop_assert!((f64::from(band.mean) - mean).abs() < 1e-4);
                        prop_assert_eq!(band.min, numbers.iter().copied().fold(f64::MAX, f64::min) as f32);
                        prop_assert_eq!(band.max, numbers.iter().copied().fold(f64::MIN, f64::max) as f32);
                    }
                }
                prop_assert!(found.next().is_none());
            }
        }
    }
}
