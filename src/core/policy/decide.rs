//! One observation in, one decision out. No clock, no I/O, no randomness: the same inputs give the same decisions in
//! the live engine, in a what-if replay, in the simulator and in a test.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::settings::{Bound, BreakEven, Rule, Settings, SiteRule};
use super::{Edge, WorkingHours};
use crate::core::cluster::{Span, Timestamp};
use crate::core::queue::MoveGain;

/// What a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Do nothing.
    Stay,
    /// To another host of the ring.
    Move,
    /// To the base of the array.
    MoveToBase,
    /// To the other site.
    MoveAway,
    /// Back to the home site.
    MoveHome,
}

/// Where the VM is, as its policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// On a host of the ring (or anywhere else that is not the base) at home.
    Ring,
    /// On the base.
    Base,
    /// At another site.
    Away,
}

/// What a look at a site VM's queue shows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Poll {
    /// Jobs that are big in the queue in hand, as it was claimed; `None`: nothing is in hand.
    pub big: Option<u32>,
    /// A page waits that it may claim.
    pub waits: bool,
    /// It was asked for. The end of a queue alone is no empty poll yet.
    pub asked: bool,
    /// What a move away would bring; `None`: that is not known.
    pub gain: Option<MoveGain>,
    /// How long the way out and back takes; `None`: that is not known.
    pub round_trip: Option<Span>,
}

/// What was observed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A value of the indicator.
    Sample(f64),
    /// A sample that is beyond without a number: the service was too busy to answer.
    Beyond,
    /// No value. Neither counts nor resets.
    Gap,
    /// A look at the queue (site policy).
    Queue(Poll),
    /// Nothing but the time (working hours begin or end).
    Clock,
}

/// One observation of one VM.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When.
    pub at: Timestamp,
    /// Where the VM was.
    pub place: Place,
    /// What was seen.
    pub what: What,
}

/// What a policy remembers from one observation to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Samples beyond, in a row.
    pub count: u32,
    /// Low samples in a row; for the site policy, empty polls away from home.
    pub low_count: u32,
    /// Gaps in a row.
    pub gaps: u32,
    /// As many gaps as make the VM stale; the first good sample ends it.
    pub stale: bool,
    /// Whether the working hours are open, and until when that holds (schedule policy).
    pub hours: Option<Edge>,
    /// It has had nothing to do at the other site since then (site policy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
}

/// A decision with the counts as the observation made them, before the decision zeroed its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What to do.
    pub decision: Decision,
    /// Samples beyond, in a row.
    pub count: u32,
    /// Low samples in a row.
    pub low_count: u32,
}

/// Once the VM is stale, a further gap changes nothing that matters.
impl Hash for State {
    fn hash<S: Hasher>(&self, state: &mut S) {
        let Self { count, low_count, gaps, stale, hours, idle_since } = *self;
        (count, low_count, if stale { 0 } else { gaps }, stale, hours, idle_since).hash(state);
    }
}

impl State {
    /// Counting begins from 0; staleness and hours stay.
    pub const fn reset_counts(&mut self) {
        self.count = 0;
        self.low_count = 0;
    }

    /// A good sample came that does not count: it is not stale.
    pub const fn heard(&mut self) {
        self.gaps = 0;
        self.stale = false;
    }

    /// A sample is missing. As many as `stale_after` in a row make the VM stale, and both counts fall to 0.
    pub const fn missed(&mut self, stale_after: u32) {
        self.gaps = self.gaps.saturating_add(1);
        if self.gaps >= stale_after {
            self.stale = true;
            self.idle_since = None;
            self.reset_counts();
        }
    }

    /// Whether the schedule keeps the policy from working now.
    pub fn is_closed(&self) -> bool {
        self.hours.is_some_and(|edge| !edge.open)
    }

    const fn stay(&self) -> Verdict {
        Verdict { decision: Decision::Stay, count: self.count, low_count: self.low_count }
    }
}

/// Feeds one observation to a VM's policy.
#[inline]
pub fn decide(state: &mut State, settings: &Settings, seen: Observation) -> Verdict {
    if let Rule::Schedule { hours, .. } = &settings.rule {
        keep_hours(state, hours, seen.at);
    }
    match seen.what {
        What::Gap => {
            state.missed(settings.stale_after);
            return state.stay();
        }
        What::Clock => {}
        What::Sample(_) | What::Beyond | What::Queue(_) => state.heard(),
    }
    match &settings.rule {
        Rule::Threshold { high } => threshold(state, settings, *high, seen.what),
        Rule::Base { high, low } => base(state, settings, *high, *low, seen),
        Rule::Schedule { high, low, .. } if !state.is_closed() => base(state, settings, *high, *low, seen),
        Rule::Schedule { .. } => closed(state, seen.place),
        Rule::Site(site) => queue(state, site, seen),
    }
}

fn is_beyond(settings: &Settings, high: Bound, what: What) -> bool {
    match what {
        What::Sample(value) => settings.is_beyond(value, high),
        What::Beyond => true,
        What::Gap | What::Queue(_) | What::Clock => false,
    }
}

fn is_sample(what: What) -> bool {
    matches!(what, What::Sample(_) | What::Beyond)
}

fn count_high(state: &mut State, high: Bound) -> Verdict {
    state.count = state.count.saturating_add(1);
    state.low_count = 0;
    let mut verdict = state.stay();
    if state.count >= high.tarry {
        state.count = 0;
        verdict.decision = Decision::Move;
    }
    verdict
}

/// One more low sample.
fn count_low(state: &mut State, tarry: u32, decision: Decision) -> Verdict {
    state.low_count = state.low_count.saturating_add(1);
    let mut verdict = state.stay();
    if state.low_count >= tarry {
        state.low_count = 0;
        verdict.decision = decision;
    }
    verdict
}

fn threshold(state: &mut State, settings: &Settings, high: Bound, what: What) -> Verdict {
    if is_beyond(settings, high, what) {
        return count_high(state, high);
    }
    if is_sample(what) {
        state.reset_counts();
    }
    state.stay()
}

fn base(state: &mut State, settings: &Settings, high: Bound, low: Bound, seen: Observation) -> Verdict {
    if is_beyond(settings, high, seen.what) {
        return count_high(state, high);
    }
    let What::Sample(value) = seen.what else { return state.stay() };
    state.count = 0;
    if !settings.is_low(value, low) || seen.place == Place::Base {
        state.low_count = 0;
        return state.stay();
    }
    count_low(state, low.tarry, Decision::MoveToBase)
}

fn keep_hours(state: &mut State, hours: &WorkingHours, at: Timestamp) {
    if state.hours.is_some_and(|edge| at < edge.until) {
        return;
    }
    // The hours began or ended in between, even if they are open again now: a process that slept through a night also begins
    // from 0.
    state.reset_counts();
    state.hours = Some(hours.edge(at));
}

/// Outside working hours: to the base, again at each observation until the VM is there.
fn closed(state: &State, place: Place) -> Verdict {
    let mut verdict = state.stay();
    if place != Place::Base {
        verdict.decision = Decision::MoveToBase;
    }
    verdict
}

fn queue(state: &mut State, site: &SiteRule, seen: Observation) -> Verdict {
    let What::Queue(poll) = seen.what else { return state.stay() };
    let away = seen.place == Place::Away;
    let Some(big) = poll.big else { return empty_hand(state, site, seen.at, poll, away) };
    let big = site.is_big(big);
    (state.count, state.low_count, state.idle_since) = (u32::from(big && !away), 0, None);
    let mut verdict = state.stay();
    verdict.decision = match (away, big) {
        (true, false) => Decision::MoveHome,
        (false, true) if may_pay(site, poll.gain) => Decision::MoveAway,
        _ => Decision::Stay,
    };
    if verdict.decision != Decision::Stay {
        state.reset_counts();
    }
    verdict
}

/// Whether the break-even lets a move away be made. If it is required and not known, a gate blocks the decision and says so.
fn may_pay(site: &SiteRule, gain: Option<MoveGain>) -> bool {
    site.break_even == BreakEven::Show || gain.is_none_or(|gain| gain.pays(site.margin))
}

fn empty_hand(state: &mut State, site: &SiteRule, at: Timestamp, poll: Poll, away: bool) -> Verdict {
    state.count = 0;
    if !away || poll.waits {
        (state.low_count, state.idle_since) = (0, None);
        return state.stay();
    }
    let idle = at.since(*state.idle_since.get_or_insert(at));
    if !poll.asked {
        return state.stay();
    }
    state.low_count = state.low_count.saturating_add(1).min(site.home_tarry);
    let mut verdict = state.stay();
    if state.low_count >= site.home_tarry && idle >= site.idle_at_least(poll.round_trip) {
        state.low_count = 0;
        verdict.decision = Decision::MoveHome;
    }
    verdict
}
