//! Where VMs were, how long, and what that cost (thesis 3.1–3.4); when they rested, and when readings were missed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::entry::{Entry, PlacedFrom, Seen};
use super::json;
use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::engine::{BASELINE, Happened, Record, VmState};
use crate::core::format::natural;
use crate::core::policy::Place;

/// What figures by the hour are about.
pub(super) const HOUR: Span = Span::from_hours(1);

/// VMs on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostOccupancy {
    /// Its name.
    pub host: Name,
    /// The mean number of VMs there, hour by hour, over the part of the hour that has passed and is known.
    #[serde(serialize_with = "json::all_rounded")]
    pub vms: Vec<f32>,
}

/// How many hours there are in a span, with the unfinished one.
pub(super) fn count(from: Timestamp, to: Timestamp) -> usize {
    usize::try_from(to.since(from).millis().div_euclid(HOUR.millis())).unwrap_or_default()
        + usize::from(to.since(from).millis() % HOUR.millis() > 0)
}

/// VM-hours by place, and what they cost (thesis 3.1–3.4: `C_t = ΣC_b + ΣC_a`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Occupancy {
    /// In the ring.
    pub ring: HoursAndCost,
    /// On the base, outside working hours: scheduled rest.
    pub rest: HoursAndCost,
    /// On the base otherwise.
    pub base: HoursAndCost,
    /// At another site.
    pub away: HoursAndCost,
}

/// The JSON has the total too.
impl Serialize for Occupancy {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Self { ring, rest, base, away } = *self;
        out.collect_map([("ring", ring), ("rest", rest), ("base", base), ("away", away), ("total", self.total())])
    }
}

/// Time and money.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct HoursAndCost {
    /// VM-hours.
    #[serde(serialize_with = "json::rounded")]
    pub hours: f64,
    /// In the currency of the config.
    #[serde(serialize_with = "json::rounded")]
    pub cost: f64,
}

impl Occupancy {
    /// All places together: `C_t`.
    pub fn total(&self) -> HoursAndCost {
        let all = [self.ring, self.rest, self.base, self.away];
        HoursAndCost { hours: all.iter().map(|stay| stay.hours).sum(), cost: all.iter().map(|stay| stay.cost).sum() }
    }
}

impl HoursAndCost {
    fn add(&mut self, stayed: Span, price: f64) {
        let hours = stayed.secs_f64() / HOUR.secs_f64();
        self.hours += hours;
        self.cost += hours * price;
    }
}

fn length(range: &Range<Timestamp>) -> Span {
    range.end.since(range.start)
}

/// The part that is in both ranges.
fn overlap(a: &Range<Timestamp>, b: &Range<Timestamp>) -> Range<Timestamp> {
    a.start.max(b.start)..a.end.min(b.end)
}

/// VMs on each host hour by hour, and the time and cost of all stays, of one VM or of all.
pub(super) fn stays(
    told: &[&Record],
    placed: &[PlacedFrom],
    from: Timestamp,
    to: Timestamp,
    vm: Option<&str>,
) -> (Vec<HostOccupancy>, Occupancy) {
    let rests = resting(told.iter().copied(), to);
    let mut by_vm: HashMap<&str, Vec<&PlacedFrom>> = HashMap::new();
    for one in placed.iter().filter(|one| vm.is_none_or(|vm| *one.vm == *vm)) {
        by_vm.entry(&one.vm).or_default().push(one);
    }
    let whole = from..to;
    let begins = by_vm.values().flatten().map(|one| one.at).min().unwrap_or(from);
    let mut on_host = HostHours { whole: whole.clone(), begins, spans: HashMap::new() };
    let mut stays = Occupancy::default();
    // Always in the order of names, because the order of a sum changes its last digit.
    let mut by_vm: Vec<_> = by_vm.into_iter().collect();
    by_vm.sort_unstable_by_key(|(vm, _)| *vm);
    for (vm, placed) in by_vm {
        let until = placed.iter().skip(1).map(|next| next.at).chain([to]);
        for (here, until) in placed.iter().zip(until) {
            let range = overlap(&(here.at..until), &whole);
            on_host.add(&here.host, &range);
            stays.add(here, &range, rests.get(vm).map_or(&[], Vec::as_slice));
        }
    }
    (on_host.means(), stays)
}

impl Occupancy {
    fn add(&mut self, here: &PlacedFrom, range: &Range<Timestamp>, rests: &[Range<Timestamp>]) {
        match here.place {
            Place::Ring => self.ring.add(length(range), here.price),
            Place::Away => self.away.add(length(range), here.price),
            Place::Base => {
                let rested =
                    rests.iter().map(|rest| length(&overlap(rest, range))).fold(Span::ZERO, |sum, span| sum + span);
                self.rest.add(rested, here.price);
                self.base.add(Span::from_millis(length(range).millis() - rested.millis()), here.price);
            }
        }
    }
}

/// Time on each host by hour, of all VMs together.
struct HostHours {
    whole: Range<Timestamp>,
    /// Before this nothing is known.
    begins: Timestamp,
    spans: HashMap<Name, Vec<Span>>,
}

impl HostHours {
    fn add(&mut self, host: &Name, range: &Range<Timestamp>) {
        if length(range) == Span::ZERO {
            return;
        }
        let hours = count(self.whole.start, self.whole.end);
        let spans = self.spans.entry(host.clone()).or_insert_with(|| vec![Span::ZERO; hours]);
        let first = range.start.since(self.whole.start).millis() / HOUR.millis();
        let mut begin = self.whole.start + HOUR.scaled(first, 1);
        for hour in spans.iter_mut().skip(usize::try_from(first).unwrap_or_default()) {
            if begin >= range.end {
                break;
            }
            *hour = *hour + length(&overlap(&(begin..begin + HOUR), range));
            begin += HOUR;
        }
    }

    /// The mean over the part of each hour that has passed and is known, hosts in the order of names as people count.
    fn means(self) -> Vec<HostOccupancy> {
        let whole = self.whole.start.max(self.begins)..self.whole.end;
        let first = self.whole.start;
        let mean = |(hour, span): (usize, Span)| {
            let begin = first + HOUR.scaled(hour as i64, 1);
            let known = length(&overlap(&(begin..begin + HOUR), &whole));
            if span == Span::ZERO { 0.0 } else { (span.secs_f64() / known.secs_f64()) as f32 }
        };
        let mean_of = |(host, spans): (Name, Vec<Span>)| HostOccupancy {
            host,
            vms: spans.into_iter().enumerate().map(mean).collect(),
        };
        let mut hosts: Vec<HostOccupancy> = self.spans.into_iter().map(mean_of).collect();
        hosts.sort_unstable_by(|a, b| natural(&a.host, &b.host));
        hosts
    }
}

/// From an instant to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The begin.
    pub from: Timestamp,
    /// The end.
    pub to: Timestamp,
    /// Why: the reason of a gap.
    pub text: Arc<str>,
}

/// The stretches of gaps among readings, oldest first. The baseline after a move is not a gap, because nothing was missed.
pub fn gaps(entries: &[Entry]) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    let mut in_a_row = false;
    for entry in entries {
        let reason = match &entry.seen {
            Seen::Gap(reason) if **reason != *BASELINE => reason,
            Seen::Gap(_) | Seen::Sample(_) => {
                in_a_row = false;
                continue;
            }
        };
        match found.last_mut() {
            Some(last) if in_a_row && last.text == *reason => last.to = entry.at,
            _ => found.push(Stretch { from: entry.at, to: entry.at, text: reason.clone() }),
        }
        in_a_row = true;
    }
    found
}

/// When one VM was resting, oldest first, up to an instant. `told` is in the order of time. A rest is known from the moment at
/// which the VM's state became resting, so `told` must reach back to that.
pub fn rests(told: &[Record], vm: &str, until: Timestamp) -> Vec<Stretch> {
    let of_vm = told.iter().filter(|one| one.vm.as_deref() == Some(vm));
    let ranges = resting(of_vm, until).remove(vm).unwrap_or_default();
    ranges.into_iter().map(|rest| Stretch { from: rest.start, to: rest.end, text: "resting".into() }).collect()
}

/// When each VM was resting.
fn resting<'a>(told: impl Iterator<Item = &'a Record>, until: Timestamp) -> HashMap<&'a str, Vec<Range<Timestamp>>> {
    let mut found: HashMap<&str, Vec<Range<Timestamp>>> = HashMap::new();
    let mut since: HashMap<&str, Timestamp> = HashMap::new();
    for one in told.filter(|one| one.at < until) {
        let (Some(vm), Happened::State { state, .. }) = (&one.vm, &one.what) else { continue };
        if *state == VmState::Resting {
            since.entry(vm).or_insert(one.at);
        } else if let Some(from) = since.remove(&**vm) {
            found.entry(vm).or_default().push(from..one.at);
        }
    }
    for (vm, from) in since {
        found.entry(vm).or_default().push(from..until);
    }
    found
}

#[cfg(test)]
mod occupancy_tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::engine::VmState;
    use crate::core::insight::{Activity, activity};

    /// A whole hour of UTC.
    const BEGIN: i64 = 1_241_611_200;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(BEGIN + 60 * minute)
    }

    fn placed(minute: i64, vm: &str, host: &str, place: Place, price: f64) -> PlacedFrom {
        PlacedFrom { at: at(minute), vm: vm.into(), host: host.into(), place, price }
    }

    fn state(minute: i64, vm: &str, state: VmState) -> Record {
        Record { at: at(minute), vm: Some(vm.into()), what: Happened::State { state, why: String::new() } }
    }

    fn vms(activity: &Activity) -> Vec<(&str, Vec<f32>)> {
        activity.hosts.iter().map(|on| (&*on.host, on.vms.clone())).collect()
    }

    #[test]
    fn a_vm_is_where_it_was_last_placed_also_before_the_first_hour() {
        let placements = [
            placed(-500, "nii1", "mln10", Place::Ring, 0.2),
            placed(-400, "nii2", "mln2", Place::Ring, 0.2),
            placed(30, "nii1", "mln2", Place::Ring, 0.2),
        ];
        let all = activity(&[], &placements, at(0), at(90), None);
        // The second hour is half over: what has passed of it is all that counts.
        assert_eq!(vms(&all), [("mln2", vec![1.5, 2.0]), ("mln10", vec![0.5, 0.0])]);
        let one = activity(&[], &placements, at(0), at(90), Some("nii1"));
        assert_eq!(vms(&one), [("mln2", vec![0.5, 1.0]), ("mln10", vec![0.5, 0.0])]);
    }

    #[test]
    fn an_hour_in_which_the_history_begins_is_what_is_known_of_it() {
        let placements = [placed(57, "nii1", "mln1", Place::Ring, 0.2), placed(57, "nii2", "mln1", Place::Ring, 0.2)];
        let first = activity(&[], &placements, at(-60), at(60), None);
        assert_eq!(vms(&first), [("mln1", vec![0.0, 2.0])], "two VMs are not a tenth of one");
        let later = activity(&[], &placements, at(0), at(120), None);
        assert_eq!(vms(&later), [("mln1", vec![2.0, 2.0])]);
    }

    #[test]
    fn time_at_base_is_scheduled_rest_and_the_rest_of_it() {
        let placements = [
            placed(0, "nii5", "mln1", Place::Ring, 0.2),
            placed(60, "nii5", "mln6", Place::Base, 0.05),
            placed(300, "nii5", "mln1", Place::Ring, 0.3),
        ];
        let story = [state(120, "nii5", VmState::Resting), state(240, "nii5", VmState::Watching)];
        let stays = activity(&story, &placements, at(0), at(360), None).stays;
        assert_eq!((stays.ring.hours, stays.base.hours, stays.rest.hours), (2.0, 2.0, 2.0));
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(stays.ring.cost, 0.5), "each hour at the price in force: {stays:?}");
        assert!(near(stays.base.cost, 0.1) && near(stays.rest.cost, 0.1) && stays.away == HoursAndCost::default());
        // Thesis 3.1 and 3.3: the base is cheaper, and all of it is their sum.
        assert!(near(stays.total().cost, 0.7) && near(stays.total().hours, 6.0));
    }

    #[test]
    fn a_rest_that_began_before_the_first_hour_goes_on_in_it() {
        let placements = [placed(-600, "nii5", "mln6", Place::Base, 0.05)];
        let story = [state(-600, "nii5", VmState::Resting)];
        let stays = activity(&story, &placements, at(0), at(60), None).stays;
        assert_eq!((stays.rest.hours, stays.base.hours), (1.0, 0.0));
    }

    proptest! {
        #[test]
        fn stays_and_hosts_are_what_a_look_at_each_minute_says(
            moves in proptest::collection::vec((0_i64..200, 0_usize..3, 0_usize..4, 0_usize..4, 1_u32..9), 0..40),
            states in proptest::collection::vec((0_i64..200, 0_usize..3, proptest::bool::ANY), 0..40),
            from in 0_i64..600, length in 1_i64..1_200, only in proptest::option::of(0_usize..3),
        ) {
            const VMS: [&str; 3] = ["nii1", "nii2", "nii3"];
            const HOSTS: [&str; 4] = ["base", "mln1", "mln2", "mln10"];
            let mut minute = 0;
            let placements: Vec<PlacedFrom> = moves.iter().map(|(step, vm, host, place, price)| {
                minute += step;
                let place = [Place::Ring, Place::Base, Place::Base, Place::Away][*place];
                placed(minute, VMS[*vm], HOSTS[*host], place, f64::from(*price) / 8.0)
            }).collect();
            minute = 0;
            let story: Vec<Record> = states.iter().map(|(step, vm, rests)| {
                minute += step;
                state(minute, VMS[*vm], if *rests { VmState::Resting } else { VmState::Watching })
            }).collect();
            let (to, first) = (from + length, from - from % 60);
            let activity = activity(&story, &placements, at(from), at(to), only.map(|vm| VMS[vm]));
            let mut plain = [(0_u32, 0.0_f64); 4];
            let mut on_host = vec![[0_u32; 4]; activity.hours.len()];
            for minute in first..to {
                for vm in VMS.iter().enumerate().filter(|(n, _)| only.is_none_or(|only| only == *n)).map(|(_, vm)| *vm) {
                    let mine = |one: &&PlacedFrom| &*one.vm == vm && one.at <= at(minute);
                    let Some(here) = placements.iter().rfind(mine) else { continue };
                    let mine = |one: &&Record| one.vm.as_deref() == Some(vm) && one.at <= at(minute);
                    let resting = story.iter().rfind(mine).is_some_and(|one| {
                        matches!(one.what, Happened::State { state: VmState::Resting, .. })
                    });
                    let kind = match here.place {
                        Place::Ring => 0,
                        Place::Base if resting => 1,
                        Place::Base => 2,
                        Place::Away => 3,
                    };
                    plain[kind].0 += 1;
                    plain[kind].1 += here.price / 60.0;
                    let host = HOSTS.iter().position(|host| **host == *here.host).unwrap();
                    on_host[((minute - first) / 60) as usize][host] += 1;
                }
            }
            let Occupancy { ring, rest, base, away } = activity.stays;
            for (stay, (minutes, cost)) in [ring, rest, base, away].iter().zip(plain) {
                prop_assert!((stay.hours - f64::from(minutes) / 60.0).abs() < 1e-9);
                prop_assert!((stay.cost - cost).abs() < 1e-9);
            }
            let mine = placements.iter().filter(|one| only.is_none_or(|only| *one.vm == *VMS[only]));
            let begins = mine.map(|one| one.at.since(at(0)).millis() / 60_000).min().unwrap_or_default();
            for (n, host) in HOSTS.iter().enumerate() {
                let found = activity.hosts.iter().find(|on| &*on.host == *host);
                for (hour, minutes) in on_host.iter().enumerate() {
                    let (begin, end) = (first + 60 * hour as i64, to.min(first + 60 * (hour as i64 + 1)));
                    let known = (end - begin.max(begins)) as f32;
                    let said = found.map_or(0.0, |on| on.vms[hour]);
                    let plain = if minutes[n] == 0 { 0.0 } else { minutes[n] as f32 / known };
                    prop_assert!((said - plain).abs() < 1e-5);
                }
            }
        }
    }
}

#[cfg(test)]
mod stretch_tests {
    use super::*;
    use crate::core::cluster::Value;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(1_241_613_600 + 60 * minute)
    }

    #[test]
    fn gaps_in_a_row_are_one_stretch_for_each_reason() {
        let seen = |text: &str| match text {
            "1" => Seen::Sample(Value::Exact(1.0)),
            reason => Seen::Gap(Arc::from(reason)),
        };
        let texts = ["1", "refused", "refused", "no answer", "1", "no answer", "no answer", "1", BASELINE, "1"];
        let entry = |(n, text): (usize, &&str)| Entry {
            at: at(n as i64),
            seen: seen(text),
            count: 0,
            low_count: 0,
            state: VmState::Watching,
        };
        let entries: Vec<Entry> = texts.iter().enumerate().map(entry).collect();
        let found = gaps(&entries);
        let found: Vec<_> = found.iter().map(|m| (m.from, m.to, &*m.text)).collect();
        assert_eq!(found, [(at(1), at(2), "refused"), (at(3), at(3), "no answer"), (at(5), at(6), "no answer")]);
    }

    #[test]
    fn a_rest_lasts_until_the_next_state_of_that_vm() {
        let told = |minute, vm: &str, state| {
            let what = Happened::State { state, why: String::new() };
            Record { at: at(minute), vm: Some(vm.into()), what }
        };
        let story = [
            told(0, "nii5", VmState::Watching),
            told(10, "nii5", VmState::Resting),
            told(12, "nii1", VmState::Watching),
            told(20, "nii5", VmState::Resting),
            told(30, "nii5", VmState::Held),
            told(40, "nii5", VmState::Resting),
        ];
        let found = |vm, until| rests(&story, vm, until).into_iter().map(|s| (s.from, s.to)).collect::<Vec<_>>();
        assert_eq!(found("nii5", at(50)), [(at(10), at(30)), (at(40), at(50))]);
        assert_eq!(found("nii5", at(40)), [(at(10), at(30))], "not yet");
        assert_eq!(found("nii1", at(50)), []);
    }
}
