//! Migrations of the past: each one's begin, end and outcome, put together from what was told of it.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::{Story, Told};
use crate::core::cluster::{RequestId, Span, Timestamp};
use crate::core::engine::{By, Phase};

/// A migration that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// This VM.
    pub vm: Arc<str>,
    /// The request's number.
    pub id: RequestId,
    /// From this host.
    pub from: Arc<str>,
    /// To that host.
    pub to: Arc<str>,
    /// Who wanted it; `None` if its request was told before what is known.
    pub by: Option<By>,
    /// How it ended: never running, never unknown.
    pub phase: Phase,
    /// When it was first running; `None` if that was told before what is known.
    pub began: Option<Timestamp>,
    /// When its outcome was known.
    pub ended: Timestamp,
    /// In the driver's words.
    pub detail: Arc<str>,
}

impl Moved {
    /// From running to its end, if its begin is known.
    pub fn took(&self) -> Option<Span> {
        self.began.map(|began| self.ended.since(began))
    }
}

/// How long migrations took, from running to confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How many.
    pub count: usize,
    /// Their mean.
    pub mean: Span,
    /// Their median; of an even number the mean of the middle two.
    pub median: Span,
    /// The shortest.
    pub least: Span,
    /// The longest.
    pub most: Span,
}

impl Times {
    /// `None` without any.
    pub(super) fn of(mut spans: Vec<Span>) -> Option<Self> {
        spans.sort_unstable();
        let (least, most) = (*spans.first()?, *spans.last()?);
        let count = spans.len();
        let sum: i64 = spans.iter().map(|span| span.millis()).sum();
        let middle = [spans[(count - 1) / 2], spans[count / 2]];
        let median = Span::from_millis((middle[0].millis() + middle[1].millis()) / 2);
        Some(Self { count, mean: Span::from_millis(sum / count as i64), median, least, most })
    }
}

/// What is known of a migration that has not ended.
#[derive(Default)]
struct Known {
    by: Option<By>,
    began: Option<Timestamp>,
}

/// Migrations that ended, newest first. `told` is in the order of time.
pub fn past_moves<'a>(told: impl IntoIterator<Item = &'a Told>) -> Vec<Moved> {
    // An id means another migration once a request was told anew: after a restart they may begin at 1 again.
    let mut known: HashMap<(&str, RequestId), Known> = HashMap::new();
    let mut ended = Vec::new();
    for one in told {
        let Some(vm) = &one.vm else { continue };
        match &one.what {
            Story::Request { id, by, .. } => {
                known.insert((vm, *id), Known { by: Some(*by), began: None });
            }
            Story::Migration { id, phase: Phase::Running | Phase::Unknown, .. } => {
                known.entry((vm, *id)).or_default().began.get_or_insert(one.at);
            }
            Story::Migration { id, phase, from, to, detail, .. } => {
                let Known { by, began } = known.remove(&(&**vm, *id)).unwrap_or_default();
                let (from, to, detail) = (Arc::from(from.as_str()), Arc::from(to.as_str()), Arc::from(detail.as_str()));
                let (vm, id, phase) = (vm.clone(), *id, *phase);
                ended.push(Moved { vm, id, from, to, by, phase, began, ended: one.at, detail });
            }
            _ => {}
        }
    }
    ended.reverse();
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::Decision;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_241_613_600 + second)
    }

    fn told(second: i64, what: Story) -> Told {
        Told { at: at(second), vm: Some(Arc::from("nii1")), what }
    }

    fn request(second: i64, id: u64, by: By) -> Told {
        let (from, to) = ("mln1".to_owned(), "mln2".to_owned());
        told(second, Story::Request { id: RequestId(id), action: Decision::Move, from, to, by })
    }

    fn migration(second: i64, id: u64, phase: Phase, detail: &str) -> Told {
        let (from, to, detail) = ("mln1".to_owned(), "mln2".to_owned(), detail.to_owned());
        told(second, Story::Migration { id: RequestId(id), phase, percent: 0, from, to, detail })
    }

    #[test]
    fn a_move_is_from_its_first_running_to_its_outcome() {
        let story = [
            request(0, 1, By::Policy),
            migration(1, 1, Phase::Running, ""),
            migration(9, 1, Phase::Running, "round 2"),
            migration(20, 1, Phase::Unknown, ""),
            migration(31, 1, Phase::Confirmed, "downtime 60 ms"),
            request(100, 2, By::Operator),
            migration(101, 2, Phase::Running, ""),
            migration(103, 2, Phase::Failed, "no memory"),
            request(200, 3, By::Schedule),
            migration(201, 3, Phase::Running, ""),
        ];
        let moves = past_moves(&story);
        let said: Vec<_> = moves.iter().map(|m| (m.id.0, m.by, m.phase, m.took(), &*m.detail)).collect();
        let (first, second) = (Span::from_secs(30), Span::from_secs(2));
        let expected = [
            (2, Some(By::Operator), Phase::Failed, Some(second), "no memory"),
            (1, Some(By::Policy), Phase::Confirmed, Some(first), "downtime 60 ms"),
        ];
        assert_eq!(said, expected, "newest first; the third is under way");
        assert_eq!((&*moves[1].from, &*moves[1].to, moves[1].ended), ("mln1", "mln2", at(31)));
    }

    #[test]
    fn an_outcome_without_a_begin_is_told_without_it() {
        let moves = past_moves(&[migration(5, 9, Phase::Lost, "")]);
        assert_eq!((moves[0].by, moves[0].took()), (None, None));
    }

    #[test]
    fn a_request_with_a_number_that_was_there_before_is_another_one() {
        let story = [
            migration(1, 1, Phase::Running, ""),
            request(500, 1, By::Policy),
            migration(501, 1, Phase::Running, ""),
            migration(511, 1, Phase::Confirmed, ""),
        ];
        assert_eq!(past_moves(&story)[0].took(), Some(Span::from_secs(10)));
    }

    #[test]
    fn times_have_a_mean_a_median_and_a_range() {
        let secs = |all: &[i64]| Times::of(all.iter().map(|s| Span::from_secs(*s)).collect());
        assert_eq!(secs(&[]), None);
        let (s, times) = (Span::from_secs, secs(&[40, 10, 30, 20]).unwrap());
        assert_eq!((times.count, times.mean, times.median, times.least, times.most), (4, s(25), s(25), s(10), s(40)));
        assert_eq!(secs(&[1, 2, 9]).unwrap().median, s(2));
    }
}
