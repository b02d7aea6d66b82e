//! How long jobs take, by grade and site, and what follows: how long what is left takes, and whether a move pays.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::cluster::Span;

/// So many of the newest jobs tell how long one takes.
const NEWEST: usize = 101;
/// With fewer finished jobs of a grade at a site its rate is unknown.
pub const FEWEST: usize = 5;

/// How long finished jobs took, by site and grade.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rates(BTreeMap<String, BTreeMap<String, Took>>);

/// How long the jobs of one grade took at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// How many were finished there.
    pub jobs: u64,
    /// How many were worked at a time, most recently. At least 1.
    pub parallel: u32,
    /// How long the newest took, oldest first; at most 101.
    pub newest: Vec<Span>,
}

/// A length of time that is not known exactly: the quartiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// A quarter of the jobs took less.
    pub low: Span,
    /// Half of them took less.
    pub middle: Span,
    /// Three quarters of them took less.
    pub high: Span,
}

/// A grade whose rate is not known at a site yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownRate {
    /// The grade; empty: jobs without a tag.
    pub grade: String,
    /// The site.
    pub site: String,
    /// How many jobs of it are finished there; fewer than [`FEWEST`].
    pub jobs: u64,
}

/// How long a VM's moves to the other site and back take, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ways {
    /// The way out, until the worker works there.
    pub out: Option<Span>,
    /// The way back.
    pub back: Option<Span>,
}

/// The figures of a move to another site. All are positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MoveGain {
    /// The work that is left, at home's rate (W).
    pub work: Span,
    /// How many times faster the other site is (s).
    pub faster: f64,
    /// The way out, until the worker works there (O).
    pub out: Span,
    /// The way back (B).
    pub back: Span,
}

/// How long the newest moves to the other site and back took, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trips {
    out: Vec<Span>,
    back: Vec<Span>,
}

impl Trips {
    /// So many moves of each way tell how long one takes.
    const KEPT: usize = 9;

    /// Whether it has never made one.
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty() && self.back.is_empty()
    }

    /// A move to the home site or away from it took this long.
    pub fn add(&mut self, homewards: bool, took: Span) {
        let way = if homewards { &mut self.back } else { &mut self.out };
        if way.len() == Self::KEPT {
            way.remove(0);
        }
        way.push(took);
    }

    /// How long its moves take: the median of those it has made, or else what is forecast.
    pub fn ways(&self, forecast: Ways) -> Ways {
        let median = |way: &[Span]| {
            let mut sorted = way.to_vec();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied()
        };
        Ways { out: median(&self.out).or(forecast.out), back: median(&self.back).or(forecast.back) }
    }
}

impl Rates {
    /// A job of this grade took this long at this site, where so many are worked at a time.
    pub fn add(&mut self, site: &str, grade: &str, took: Span, parallel: u32) {
        let grades = self.0.entry(site.to_owned()).or_default();
        let entry = grades.entry(grade.to_owned()).or_insert(Took { jobs: 0, parallel: 1, newest: Vec::new() });
        entry.jobs += 1;
        entry.parallel = parallel.max(1);
        entry.newest.push(took);
        if entry.newest.len() > NEWEST {
            entry.newest.remove(0);
        }
    }

    /// What is known of a grade at a site.
    pub fn of(&self, site: &str, grade: &str) -> Option<&Took> {
        self.0.get(site)?.get(grade)
    }

    /// How long one job of a grade takes at a site; `None` with fewer than [`FEWEST`] finished ones.
    pub fn job(&self, site: &str, grade: &str) -> Option<Estimate> {
        self.of(site, grade)?.quartiles()
    }

    /// How long one job takes at a site, of those grades that have jobs left the one that takes longest.
    pub fn longest(&self, site: &str, jobs: &[(String, u32)]) -> Span {
        let left = jobs.iter().filter(|(_, jobs)| *jobs > 0);
        left.filter_map(|(grade, _)| Some(self.job(site, grade)?.middle)).max().unwrap_or_default()
    }

    /// How long so many jobs of each grade take at a site.
    ///
    /// # Errors
    /// The rate of a grade that has jobs left is unknown there.
    pub fn left(&self, site: &str, jobs: &[(String, u32)]) -> Result<Estimate, UnknownRate> {
        let mut sum = Estimate::default();
        for (grade, jobs) in jobs.iter().filter(|(_, jobs)| *jobs > 0) {
            let took = self.of(site, grade);
            let Some((took, one)) = took.and_then(|took| Some((took, took.quartiles()?))) else {
                let jobs = took.map_or(0, |took| took.jobs);
                return Err(UnknownRate { grade: grade.clone(), site: site.to_owned(), jobs });
            };
            let all = |one: Span| one.scaled(i64::from(*jobs), i64::from(took.parallel));
            sum.low = sum.low + all(one.low);
            sum.middle = sum.middle + all(one.middle);
            sum.high = sum.high + all(one.high);
        }
        Ok(sum)
    }
}

impl fmt::Display for UnknownRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { grade, site, jobs } = self;
        let have = if grade.is_empty() { "jobs without a grade have" } else { "has" };
        let space = if grade.is_empty() { "" } else { " " };
        write!(f, "{grade}{space}{have} {jobs} of {FEWEST} finished jobs in {site}")
    }
}

impl Ways {
    /// Out and back; `None` if one of them is not known.
    pub fn round_trip(&self) -> Option<Span> {
        Some(self.out? + self.back?)
    }
}

impl Took {
    fn quartiles(&self) -> Option<Estimate> {
        if self.newest.len() < FEWEST {
            return None;
        }
        let mut sorted = self.newest.clone();
        sorted.sort_unstable();
        let at = |quarter: usize| sorted[(sorted.len() - 1) * quarter / 4];
        Some(Estimate { low: at(1), middle: at(2), high: at(3) })
    }
}

impl Estimate {
    /// What is left of it after this time; never negative.
    #[must_use]
    pub fn after(self, time: Span) -> Self {
        let rest = |whole: Span| Span::from_millis(whole.millis() - time.millis());
        Self { low: rest(self.low), middle: rest(self.middle), high: rest(self.high) }
    }
}

impl MoveGain {
    /// What the queue gains by a move, in seconds: `W · (1 − 1/s) − O`. Negative: it loses.
    pub fn gain(&self) -> f64 {
        self.saved() - self.out.secs_f64()
    }

    /// Whether a move pays: `W · (1 − 1/s) > margin · (O + B)`. What comes after this queue waits for the way back, too.
    pub fn pays(&self, margin: f64) -> bool {
        self.saved() > margin * (self.out + self.back).secs_f64()
    }

    /// The least work that pays, at home's rate; `None`: none does, the other site is not faster.
    pub fn least_work(&self, margin: f64) -> Option<Span> {
        let part = 1.0 - 1.0 / self.faster;
        (part > 0.0).then(|| Span::from_secs_f64(margin * (self.out + self.back).secs_f64() / part))
    }

    /// What the work that is left takes less there than at home, in seconds: `W · (1 − 1/s)`. Negative: it takes more.
    pub fn saved(&self) -> f64 {
        self.work.secs_f64() * (1.0 - 1.0 / self.faster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thesis(work: i64, faster: f64) -> MoveGain {
        let [work, out, back] = [work, 1_324, 391].map(Span::from_secs);
        MoveGain { work, faster, out, back }
    }

    /// The thesis's times: 1,324 s out, 391 s back on the mean of its two ways home.
    #[test]
    fn the_least_work_that_pays_is_as_published() {
        for (faster, least) in [(1.5, 5_145), (2.0, 3_430), (4.0, 2_287)] {
            let exact = thesis(0, faster).least_work(1.0).map_or(0.0, Span::secs_f64);
            assert!((exact - f64::from(least)).abs() <= 1.0, "{faster}: {exact}");
            assert!(!thesis(i64::from(least) - 2, faster).pays(1.0) && thesis(i64::from(least) + 1, faster).pays(1.0));
        }
        assert_eq!(thesis(1_000_000, 1.0).least_work(1.0), None);
        assert!(!thesis(1_000_000, 0.5).pays(1.0), "a slower site never pays");
        assert!(thesis(1_000_000, 1.5).pays(1.5), "a long queue pays although the site is no faster than the margin");
    }

    #[test]
    fn a_rate_is_unknown_under_five_jobs_and_then_the_quartiles() {
        let mut rates = Rates::default();
        for seconds in 1..=4 {
            rates.add("home", "grade b", Span::from_secs(seconds), 1);
        }
        let two = [("grade b".to_owned(), 2), ("grade c".to_owned(), 0)];
        let unknown = UnknownRate { grade: "grade b".to_owned(), site: "home".to_owned(), jobs: 4 };
        assert_eq!((rates.job("home", "grade b"), rates.left("home", &two)), (None, Err(unknown)));
        rates.add("home", "grade b", Span::from_secs(5), 1);
        let [low, middle, high] = [4, 6, 8].map(Span::from_secs);
        assert_eq!(rates.left("home", &two), Ok(Estimate { low, middle, high }));
        assert!(rates.left("cloud", &two).is_err());
        rates.add("home", "grade b", Span::from_secs(3), 2);
        assert_eq!(rates.left("home", &two).map(|left| left.middle), Ok(Span::from_secs(3)), "two at a time");
    }

    #[test]
    fn old_jobs_are_forgotten() {
        let mut rates = Rates::default();
        for _ in 0..101 {
            rates.add("home", "", Span::from_secs(1), 1);
        }
        for _ in 0..101 {
            rates.add("home", "", Span::from_secs(9), 1);
        }
        assert_eq!(rates.job("home", "").map(|job| job.low), Some(Span::from_secs(9)));
        assert_eq!(rates.of("home", "").map(|took| (took.jobs, took.newest.len())), Some((202, 101)));
    }
}
