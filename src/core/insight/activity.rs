//! What a cluster or a VM did over a span: requests an hour, migrations and their times, edits.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::PlacedFrom;
use super::json;
use super::occupancy::{HOUR, HostOccupancy, Occupancy, count, stays};
use crate::core::cluster::{Name, RequestId, Span, Timestamp, rfc3339};
use crate::core::engine::{By, Happened, Phase, Record};

/// What was done over a span (the thesis's figures 4.1, 4.3, 4.4, 4.6 and its costs 3.1–3.4). Its JSON is a contract:
/// docs/report.md.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Activity {
    /// The begin of the first hour: a whole hour.
    #[serde(with = "json::whole_second")]
    pub from: Timestamp,
    /// The present.
    #[serde(with = "rfc3339")]
    pub to: Timestamp,
    /// The VM; `None`: all of them.
    pub vm: Option<Name>,
    /// Each hour of UTC, oldest first. The last one may be unfinished.
    pub hours: Vec<Hour>,
    /// Settings that were changed, oldest first.
    pub edits: Vec<EditedSetting>,
    /// VMs on each host in each hour, in the order of names. Of one VM: its share of the hour there.
    pub hosts: Vec<HostOccupancy>,
    /// How long confirmed migrations took; `None` without any.
    pub times: Option<MigrationTimes>,
    /// Where VMs stayed, and what that cost.
    pub stays: Occupancy,
}

/// One hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hour {
    /// Its begin.
    #[serde(rename = "hour", with = "json::whole_second")]
    pub begin: Timestamp,
    /// Requests by policies and schedules.
    pub requests: u32,
    /// Requests by operators.
    pub by_hand: u32,
    /// Migrations confirmed.
    pub confirmed: u32,
    /// Migrations that ended otherwise.
    pub failed: u32,
    /// Decisions that a gate stopped.
    pub blocked: u32,
}

/// A setting that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditedSetting {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// Of which VM; `None`: of the cluster.
    pub vm: Option<Name>,
    /// In words: `threshold 20 → 50`. Settings that were changed together are separated by commas.
    pub text: String,
}

/// The begin of the whole hour of UTC in which an instant lies.
pub fn whole_hour(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis() - at.millis().rem_euclid(HOUR.millis()))
}

/// What was done before `to` and since the begin of the hour of `from`: of one VM, or of all.
///
/// Both lists are in the order of time. They reach back before the first hour, because a VM's last placement and state before it
/// still hold in it. A migration whose beginning is not in `told` has no duration.
pub fn activity(told: &[Record], placed: &[PlacedFrom], from: Timestamp, to: Timestamp, vm: Option<&str>) -> Activity {
    let from = whole_hour(from);
    let told: Vec<&Record> =
        told.iter().filter(|one| one.at < to && (vm.is_none() || one.vm.as_deref() == vm)).collect();
    let inside = || told.iter().copied().filter(|one| one.at >= from);
    let confirmed = past_moves(told.iter().copied()).into_iter();
    let confirmed = confirmed.filter(|moved| moved.phase == Phase::Confirmed && moved.at >= from);
    let times = MigrationTimes::of(confirmed.filter_map(|moved| moved.took).collect());
    let (hosts, stays) = stays(&told, placed, from, to, vm);
    let (hours, edits) = (hours(inside(), from, to), edits(inside()));
    Activity { from, to, vm: vm.map(Name::from), hours, edits, hosts, times, stays }
}

fn hours<'a>(told: impl Iterator<Item = &'a Record>, from: Timestamp, to: Timestamp) -> Vec<Hour> {
    let begins = (0..count(from, to)).map(|hour| from + HOUR.scaled(hour as i64, 1));
    let mut hours: Vec<Hour> = begins.map(|begin| Hour { begin, ..Hour::default() }).collect();
    for one in told {
        let place = one.at.since(from).millis() / HOUR.millis();
        let Some(hour) = usize::try_from(place).ok().and_then(|place| hours.get_mut(place)) else { continue };
        match &one.what {
            Happened::Request { by: By::Operator, .. } => hour.by_hand += 1,
            Happened::Request { by: By::Policy | By::Schedule, .. } => hour.requests += 1,
            Happened::Migration { phase: Phase::Confirmed, .. } => hour.confirmed += 1,
            Happened::Migration { phase: Phase::Running | Phase::Unknown, .. } => {}
            Happened::Migration { .. } => hour.failed += 1,
            Happened::Blocked { .. } => hour.blocked += 1,
            _ => {}
        }
    }
    hours
}

fn edits<'a>(told: impl Iterator<Item = &'a Record>) -> Vec<EditedSetting> {
    let mut edits: Vec<EditedSetting> = Vec::new();
    for one in told {
        let Happened::Edit { key, old, new, .. } = &one.what else { continue };
        let text = match (old.as_str(), new.as_str()) {
            ("", new) => format!("{key} {new}"),
            (old, "") => format!("{key} {old} taken away"),
            (old, new) => format!("{key} {old} → {new}"),
        };
        let at_once = edits.iter_mut().rev().take_while(|edit| edit.at == one.at).find(|edit| edit.vm == one.vm);
        match at_once {
            Some(edit) => edit.text = format!("{}, {text}", edit.text),
            None => edits.push(EditedSetting { at: one.at, vm: one.vm.clone(), text }),
        }
    }
    edits
}

/// A migration that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMove {
    /// When its outcome was known.
    pub at: Timestamp,
    /// The number of its request.
    pub id: RequestId,
    /// The host it left.
    pub from: Name,
    /// The host it went to.
    pub to: Name,
    /// Who wanted it; `None` if its request is older than what is known.
    pub by: Option<By>,
    /// How it ended: never running, never unknown.
    pub phase: Phase,
    /// From running to its end; `None` if its begin is older than what is known.
    pub took: Option<Span>,
    /// In the driver's words.
    pub detail: Arc<str>,
}

/// How long migrations took, from running to confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationTimes {
    /// How many.
    pub count: usize,
    /// Their mean.
    #[serde(rename = "mean_s", with = "json::seconds")]
    pub mean: Span,
    /// Their median; of an even number the mean of the middle two.
    #[serde(rename = "median_s", with = "json::seconds")]
    pub median: Span,
    /// The shortest.
    #[serde(rename = "least_s", with = "json::seconds")]
    pub least: Span,
    /// The longest.
    #[serde(rename = "most_s", with = "json::seconds")]
    pub most: Span,
}

impl MigrationTimes {
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

/// Who wanted a move, and when it began to run, as far as is known.
type Asked = (Option<By>, Option<Timestamp>);

/// Migrations that ended, newest first. `told` is in the order of time.
pub fn past_moves<'a>(told: impl IntoIterator<Item = &'a Record>) -> Vec<PastMove> {
    // Who wanted a migration that has not ended, and when it began. A new request with the same id is another migration,
    // because ids may begin at 1 again after a restart.
    let mut known: HashMap<(&str, RequestId), Asked> = HashMap::new();
    let mut ended = Vec::new();
    for one in told {
        let Some(vm) = &one.vm else { continue };
        match &one.what {
            Happened::Request { id, by, .. } => {
                known.insert((vm, *id), (Some(*by), None));
            }
            Happened::Migration { id, phase: Phase::Running | Phase::Unknown, .. } => {
                known.entry((vm, *id)).or_default().1.get_or_insert(one.at);
            }
            Happened::Migration { id, phase, from, to, detail, .. } => {
                let (by, began) = known.remove(&(vm.as_str(), *id)).unwrap_or_default();
                let (from, to, detail) = (from.clone(), to.clone(), Arc::from(detail.as_str()));
                let took = began.map(|began| one.at.since(began));
                ended.push(PastMove { at: one.at, id: *id, from, to, by, phase: *phase, took, detail });
            }
            _ => {}
        }
    }
    ended.reverse();
    ended
}

#[cfg(test)]
mod activity_tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::cluster::RequestId;
    use crate::core::engine::Gate;
    use crate::core::policy::Decision;

    const LISTING_4_4: &str = include_str!("../../../tests/data/thesis/listing-4.4-nii3-requests.csv");
    /// A whole hour of UTC.
    const BEGIN: i64 = 1_241_611_200;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(BEGIN + 60 * minute)
    }

    fn told(at: Timestamp, vm: &str, what: Happened) -> Record {
        Record { at, vm: Some(vm.into()), what }
    }

    fn request(id: u64, action: Decision, by: By) -> Happened {
        Happened::Request { id: RequestId(id), action, from: "mln1".into(), to: "mln2".into(), by }
    }

    fn migration(id: u64, phase: Phase) -> Happened {
        let (from, to, detail) = ("mln1".into(), "mln2".into(), String::new());
        Happened::Migration { id: RequestId(id), phase, percent: 0, from, to, detail }
    }

    fn edit(key: &str, old: &str, new: &str) -> Happened {
        let [by, key, old, new] = ["eve", key, old, new].map(str::to_owned);
        Happened::Edit { by, key, old, new, why: None }
    }

    #[test]
    fn hours_are_whole_and_the_last_one_unfinished() {
        let activity = activity(&[], &[], at(61), at(200), None);
        assert_eq!((activity.from, activity.to, activity.hours.len()), (at(60), at(200), 3));
        assert_eq!(super::activity(&[], &[], at(60), at(180), None).hours.len(), 2, "an end of an hour begins none");
        assert_eq!(super::activity(&[], &[], at(60), at(0), None).hours.len(), 0);
    }

    #[test]
    fn what_happens_is_counted_in_its_hour() {
        let blocked = Happened::Blocked { action: Decision::Move, gate: Gate::Cooldown, detail: String::new() };
        let story = [
            told(at(-1), "nii1", request(1, Decision::Move, By::Policy)),
            told(at(0), "nii1", request(2, Decision::Move, By::Policy)),
            told(at(1), "nii1", migration(2, Phase::Running)),
            told(at(2), "nii1", migration(2, Phase::Confirmed)),
            told(at(3), "nii2", request(3, Decision::MoveToBase, By::Schedule)),
            told(at(59), "nii1", request(4, Decision::Move, By::Operator)),
            told(at(60), "nii1", migration(4, Phase::Aborted)),
            told(at(61), "nii1", migration(5, Phase::Unknown)),
            told(at(62), "nii1", migration(5, Phase::Double)),
            told(at(63), "nii1", blocked),
            told(at(90), "nii1", request(6, Decision::Move, By::Policy)),
        ];
        let all = activity(&story, &[], at(10), at(90), None);
        let first = Hour { begin: at(0), requests: 2, by_hand: 1, confirmed: 1, failed: 0, blocked: 0 };
        let second = Hour { begin: at(60), failed: 2, blocked: 1, ..Hour::default() };
        assert_eq!(all.hours, [first, second]);
        assert_eq!(all.times.map(|times| (times.count, times.mean)), Some((1, Span::from_mins(1))));
        let one = activity(&story, &[], at(10), at(90), Some("nii2"));
        assert_eq!(one.hours.iter().map(|hour| hour.requests + hour.by_hand).collect::<Vec<_>>(), [1, 0]);
        assert_eq!((one.vm.as_deref(), one.times), (Some("nii2"), None));
    }

    #[test]
    fn edits_at_one_instant_are_one_for_each_vm() {
        let story = [
            told(at(1), "nii1", edit("threshold", "20", "50")),
            told(at(1), "nii2", edit("threshold", "20", "50")),
            told(at(1), "nii1", edit("settle", "", "1m")),
            told(at(2), "nii1", edit("settle", "1m", "")),
            Record { at: at(3), vm: None, what: edit("cooldown", "", "5m") },
        ];
        let said = |vm| {
            let edits = activity(&story, &[], at(0), at(10), vm).edits;
            edits.into_iter().map(|e| format!("{}: {}", e.vm.unwrap_or_default(), e.text)).collect::<Vec<_>>()
        };
        let nii1 = ["nii1: threshold 20 → 50, settle 1m", "nii1: settle 1m taken away"];
        assert_eq!(said(None), [nii1[0], "nii2: threshold 20 → 50", nii1[1], ": cooldown 5m"]);
        assert_eq!(said(Some("nii1")), nii1);
    }

    /// Figure 4.4's kind of graph, from the log that the thesis prints: 17 hours of nii3.
    #[test]
    fn the_thesis_log_as_a_histogram() {
        let lines = LISTING_4_4.lines().skip(1).map(|line| {
            let mut cells = line.splitn(3, ',');
            let at = cells.next().unwrap().parse().unwrap();
            (Timestamp::from_secs(at), cells.nth(1).unwrap())
        });
        let requests = lines.filter_map(|(at, text)| match text {
            text if text.contains("Requesting migration") => Some((at, Decision::Move)),
            text if text.contains("Now using nii3..mln") => Some((at, Decision::MoveToBase)),
            _ => None,
        });
        let story: Vec<Record> =
            requests.zip(1..).map(|((at, action), id)| told(at, "nii3", request(id, action, By::Policy))).collect();
        let (from, to) = (story[0].at, story[story.len() - 1].at + Span::from_millis(1));
        let activity = activity(&story, &[], from, to, Some("nii3"));
        let requests: Vec<u32> = activity.hours.iter().map(|hour| hour.requests).collect();
        assert_eq!(requests, [1, 0, 0, 1, 1, 2, 2, 1, 0, 0, 0, 3, 0, 4, 1, 4, 5]);
        assert_eq!(requests.iter().sum::<u32>() as usize, story.len());
    }

    /// Raising nii1's threshold in the 16th hour ended a near-endless loop (figure 4.3): the edit stands in that hour.
    #[test]
    fn an_edit_stands_in_the_hour_in_which_the_loop_ends() {
        let every = (0..48 * 60).step_by(4).filter(|minute| *minute < 15 * 60 + 30).zip(1..);
        let mut story: Vec<Record> =
            every.map(|(minute, id)| told(at(minute), "nii1", request(id, Decision::Move, By::Policy))).collect();
        story.push(told(at(15 * 60 + 30), "nii1", edit("threshold", "20", "50")));
        let activity = activity(&story, &[], at(0), at(48 * 60), Some("nii1"));
        let requests: Vec<u32> = activity.hours.iter().map(|hour| hour.requests).collect();
        assert_eq!((requests.len(), requests[14], requests[15], requests[16]), (48, 15, 8, 0));
        let hour = activity.edits[0].at.since(activity.from).millis() / HOUR.millis();
        assert_eq!(hour + 1, 16);
    }

    proptest! {
        #[test]
        fn hours_are_what_a_look_at_each_says(
            story in proptest::collection::vec((0_i64..40, 0_u8..6, 0_u8..2), 0..100),
            from in 0_i64..300, length in 0_i64..2_000,
        ) {
            let mut minute = 0;
            let story: Vec<Record> = story.into_iter().zip(1..).map(|((step, what, vm), id)| {
                minute += step;
                let what = match what {
                    0 => request(id, Decision::Move, By::Policy),
                    1 => request(id, Decision::Move, By::Operator),
                    2 => migration(id, Phase::Running),
                    3 => migration(id, Phase::Confirmed),
                    4 => migration(id, Phase::Lost),
                    _ => Happened::Blocked { action: Decision::Move, gate: Gate::Budget, detail: String::new() },
                };
                told(at(minute), if vm == 0 { "nii1" } else { "nii2" }, what)
            }).collect();
            let to = from + length;
            for vm in [None, Some("nii1")] {
                let activity = activity(&story, &[], at(from), at(to), vm);
                let first = from - from % 60;
                prop_assert_eq!(activity.from, at(first));
                for (n, hour) in activity.hours.iter().enumerate() {
                    let begin = first + 60 * n as i64;
                    let here: Vec<&Record> = story.iter().filter(|one| {
                        let mine = vm.is_none() || one.vm.as_deref() == vm;
                        mine && at(begin) <= one.at && one.at < at(to.min(begin + 60))
                    }).collect();
                    let many = |is: fn(&Happened) -> bool| here.iter().filter(|one| is(&one.what)).count() as u32;
                    let plain = Hour {
                        begin: at(begin),
                        requests: many(|w| matches!(w, Happened::Request { by: By::Policy, .. })),
                        by_hand: many(|w| matches!(w, Happened::Request { by: By::Operator, .. })),
                        confirmed: many(|w| matches!(w, Happened::Migration { phase: Phase::Confirmed, .. })),
                        failed: many(|w| matches!(w, Happened::Migration { phase: Phase::Lost, .. })),
                        blocked: many(|w| matches!(w, Happened::Blocked { .. })),
                    };
                    prop_assert_eq!(*hour, plain);
                }
            }
        }
    }
}

#[cfg(test)]
mod move_tests {
    use super::*;
    use crate::core::policy::Decision;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_241_613_600 + second)
    }

    fn told(second: i64, what: Happened) -> Record {
        Record { at: at(second), vm: Some("nii1".into()), what }
    }

    fn request(second: i64, id: u64, by: By) -> Record {
        let (from, to) = ("mln1".into(), "mln2".into());
        told(second, Happened::Request { id: RequestId(id), action: Decision::Move, from, to, by })
    }

    fn migration(second: i64, id: u64, phase: Phase, detail: &str) -> Record {
        let (from, to, detail) = ("mln1".into(), "mln2".into(), detail.to_owned());
        told(second, Happened::Migration { id: RequestId(id), phase, percent: 0, from, to, detail })
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
        let said: Vec<_> = moves.iter().map(|m| (m.id.0, m.by, m.phase, m.took, &*m.detail)).collect();
        let (first, second) = (Span::from_secs(30), Span::from_secs(2));
        let expected = [
            (2, Some(By::Operator), Phase::Failed, Some(second), "no memory"),
            (1, Some(By::Policy), Phase::Confirmed, Some(first), "downtime 60 ms"),
        ];
        assert_eq!(said, expected, "newest first; the third is under way");
        assert_eq!((&*moves[1].from, &*moves[1].to, moves[1].at), ("mln1", "mln2", at(31)));
    }

    #[test]
    fn an_outcome_without_a_begin_is_told_without_it() {
        let moves = past_moves(&[migration(5, 9, Phase::Lost, "")]);
        assert_eq!((moves[0].by, moves[0].took), (None, None));
    }

    #[test]
    fn a_request_with_a_number_that_was_there_before_is_another_one() {
        let story = [
            migration(1, 1, Phase::Running, ""),
            request(500, 1, By::Policy),
            migration(501, 1, Phase::Running, ""),
            migration(511, 1, Phase::Confirmed, ""),
        ];
        assert_eq!(past_moves(&story)[0].took, Some(Span::from_secs(10)));
    }

    #[test]
    fn times_have_a_mean_a_median_and_a_range() {
        let secs = |all: &[i64]| MigrationTimes::of(all.iter().map(|s| Span::from_secs(*s)).collect());
        assert_eq!(secs(&[]), None);
        let (s, times) = (Span::from_secs, secs(&[40, 10, 30, 20]).unwrap());
        assert_eq!((times.count, times.mean, times.median, times.least, times.most), (4, s(25), s(25), s(10), s(40)));
        assert_eq!(secs(&[1, 2, 9]).unwrap().median, s(2));
    }
}
