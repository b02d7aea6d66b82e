//! Turns readings into observations, and feeds those to the policy, which may decide.

use std::sync::Arc;

use crate::core::cluster::{IndicatorKind, Reading, Timestamp, Value, VmId};
use crate::core::format::{duration, plain};
use crate::core::policy::{Decision, Place, Poll, Resting, Rule, Verdict, What, decide};
use crate::core::queue::{QueueLook, Ways};

use super::Engine;
use super::message::Effect;
use super::record::{By, Gate, Happened, VmState};
use super::why::reason_of;

/// The reason recorded for a counter's baseline after a move. It is not a missed reading: the increase is just not known yet.
pub const BASELINE: &str = "baseline after the move";
/// The reason recorded for a counter's first reading, from which there is no increase yet.
const FIRST: &str = "first reading of the counter";

/// Whether a reading without a value is as it should be, by the reason that is recorded for it.
pub fn is_baseline(reason: &str) -> bool {
    [BASELINE, FIRST].contains(&reason)
}

/// The reason of a gap where the monitor was asked and did not answer.
const NO_ANSWER: &str = "the monitor did not answer";

/// What a reading turned out to be: a value, or why there is none.
type Interpreted = Result<Value, String>;

impl Engine {
    pub(super) fn on_read_due(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let (interval, every) = (self.cluster.vm(vm).interval, self.reads_every(vm));
        // Missed readings are not repeated, and the VM keeps its slot in the interval.
        let due = self.live(vm).readings.next;
        let missed = now.since(due).millis() / interval.millis();
        self.read_at(vm, due + every.scaled(now.since(due).millis() / every.millis() + 1, 1));
        if self.gives_up_leaving(now, vm, out) {
            return;
        }
        // Without this, a VM whose answer is lost would never be read again.
        let limit = interval + interval.max(self.deadlines.reading);
        if self.live(vm).transient.asked.is_some_and(|asked| now.since(asked) >= limit) {
            self.on_reading(now, vm, Reading::Gap(NO_ANSWER.to_owned()), out);
        }
        if self.rests_unread(vm) {
            return;
        }
        self.stood_still(vm, missed);
        if self.live(vm).transient.asked.is_none() {
            self.live_mut(vm).transient.asked = Some(now);
            out.push(Effect::Read { vm });
        }
    }

    /// Counts readings that were missed because the process was stopped or the machine asleep as gaps, as after a restart.
    fn stood_still(&mut self, vm: VmId, missed: i64) {
        if self.live(vm).settle.is_some() || self.live(vm).transient.migration.is_some() {
            return;
        }
        let stale_after = self.settings(vm).stale_after;
        for _ in 0..missed.min(i64::from(stale_after)) {
            self.live_mut(vm).policy.missed(stale_after);
        }
    }

    fn rests_unread(&self, vm: VmId) -> bool {
        matches!(self.settings(vm).rule, Rule::Schedule { resting: Resting::Off, .. })
            && self.state(vm) == VmState::Resting
    }

    pub(super) fn on_reading(&mut self, now: Timestamp, vm: VmId, reading: Reading, out: &mut Vec<Effect>) {
        let asked = self.live_mut(vm).transient.asked.take().unwrap_or(now);
        if self.live(vm).leaving.is_some() {
            return self.missed_while_leaving(now, vm, reading, out);
        }
        let baseline = self.ends_settle(vm, asked);
        if baseline && !matches!(reading, Reading::Raw(_)) {
            // Otherwise the next increase would reach back to before the move.
            self.live_mut(vm).readings.raw = None;
        }
        let seen = self.interpret(vm, asked, baseline, reading);
        self.take(now, vm, seen, baseline, out);
        // A move to the base that failed is tried again after settling. The first attempt, at the end of the hours, does not wait.
        if self.live(vm).policy.is_closed() && self.live(vm).settle.is_none() {
            self.after_hours(now, vm, out);
        }
        self.say_state(now, vm, out);
    }

    /// Whether a reading asked for at this instant is the baseline after a move.
    fn ends_settle(&self, vm: VmId, asked: Timestamp) -> bool {
        self.live(vm).transient.migration.is_none() && self.live(vm).settle.is_some_and(|end| asked >= end)
    }

    fn interpret(&mut self, vm: VmId, asked: Timestamp, baseline: bool, reading: Reading) -> Interpreted {
        match reading {
            Reading::Raw(v) if !v.is_finite() => Err("not a number".to_owned()),
            Reading::Raw(v) if self.cluster.vm(vm).indicator.kind == IndicatorKind::Counter => {
                self.increase(vm, asked, baseline, v)
            }
            // Adding 0 takes the sign off a negative zero.
            Reading::Raw(v) => Ok(Value::Exact(v + 0.0)),
            Reading::AtLeast(v) => Ok(Value::AtLeast(v)),
            Reading::Busy => Ok(Value::Busy),
            Reading::Gap(reason) => Err(reason),
        }
    }

    /// The value of a counter is its increase per interval. Where there is no such increase, the reading is a gap.
    fn increase(&mut self, vm: VmId, asked: Timestamp, baseline: bool, v: f64) -> Interpreted {
        let interval = self.cluster.vm(vm).interval;
        let Some((then, before)) = self.live_mut(vm).readings.raw.replace((asked, v)) else {
            return Err(FIRST.to_owned());
        };
        let over = asked.since(then);
        if v < before {
            Err(format!("the counter fell from {} to {}: the service restarted", plain(before), plain(v)))
        } else if baseline {
            Err(BASELINE.to_owned())
        } else if over.millis() * 2 > interval.millis() * 3 {
            Err(format!("increase over {}, more than 1.5 intervals", duration(over)))
        } else {
            Ok(Value::Exact(v - before))
        }
    }

    fn take(&mut self, now: Timestamp, vm: VmId, seen: Interpreted, baseline: bool, out: &mut Vec<Effect>) {
        let state = self.state(vm);
        let settles = self.live(vm).settle.is_some();
        if baseline {
            self.live_mut(vm).settle = None;
        }
        let counts = !settles && (self.is_counting(vm, state) || state == VmState::Resting);
        match seen {
            Ok(value) => self.take_sample(now, vm, value, counts, state, out),
            Err(reason) => {
                if !counts && !settles && state != VmState::Migrating {
                    // This gap does not count for the policy, but a silent service becomes stale in every state.
                    let stale_after = self.settings(vm).stale_after;
                    self.live_mut(vm).policy.missed(stale_after);
                }
                self.take_gap(now, vm, reason, counts, state, out);
            }
        }
    }

    /// Only *watching* counts; and the good sample that ends *stale*, unless a request waits.
    fn is_counting(&self, vm: VmId, state: VmState) -> bool {
        let live = self.live(vm);
        live.leaving.is_none() && (state == VmState::Watching || (state == VmState::Stale && live.waiting.is_none()))
    }

    fn take_sample(
        &mut self,
        now: Timestamp,
        vm: VmId,
        value: Value,
        counts: bool,
        state: VmState,
        out: &mut Vec<Effect>,
    ) {
        self.live_mut(vm).readings.came(now, Ok(value));
        if !counts {
            self.live_mut(vm).policy.heard();
            return self.record_sample(now, vm, value, self.standing(vm), state, out);
        }
        let what = value.number().map_or(What::Beyond, What::Sample);
        let verdict = self.feed(now, vm, what);
        let state = self.state(vm);
        self.record_sample(now, vm, value, verdict, state, out);
        if state == VmState::Watching && verdict.count == 0 && !self.live(vm).policy.is_closed() {
            self.live_mut(vm).tried.clear();
            self.live_mut(vm).blocked = None;
        }
        self.act_on(now, vm, verdict, out);
    }

    fn record_sample(
        &self,
        at: Timestamp,
        vm: VmId,
        value: Value,
        verdict: Verdict,
        state: VmState,
        out: &mut Vec<Effect>,
    ) {
        let rule = &self.settings(vm).rule;
        let (tarry, low_tarry) = match rule {
            Rule::Site(site) => (1, site.home_tarry),
            _ => (rule.high().map_or(0, |b| b.tarry), rule.low().map_or(0, |b| b.tarry)),
        };
        let Verdict { count, low_count, .. } = verdict;
        self.record(at, vm, Happened::Sample { value, count, tarry, low_count, low_tarry, state }, out);
    }

    fn take_gap(
        &mut self,
        now: Timestamp,
        vm: VmId,
        reason: String,
        counts: bool,
        state: VmState,
        out: &mut Vec<Effect>,
    ) {
        self.live_mut(vm).readings.came(now, Err(reason.clone()));
        if counts {
            self.feed(now, vm, What::Gap);
        }
        let state = if counts { self.state(vm) } else { state };
        self.record(now, vm, Happened::Gap { reason, state }, out);
    }

    pub(super) fn record_gap(&self, at: Timestamp, vm: VmId, reason: String, out: &mut Vec<Effect>) {
        self.record(at, vm, Happened::Gap { reason, state: self.state(vm) }, out);
    }

    /// The present counts, for an observation that is not fed to the policy.
    fn standing(&self, vm: VmId) -> Verdict {
        let policy = self.live(vm).policy;
        Verdict { decision: Decision::Stay, count: policy.count, low_count: policy.low_count }
    }

    fn feed(&mut self, now: Timestamp, vm: VmId, what: What) -> Verdict {
        let seen = self.observation(now, vm, what);
        let live = &mut self.vms[vm.index()];
        decide(&mut live.policy, &self.cluster.vms[vm.index()].policy, seen)
    }

    fn act_on(&mut self, now: Timestamp, vm: VmId, verdict: Verdict, out: &mut Vec<Effect>) {
        // A sample does not cause the move to base at the end of the hours; after_hours does.
        if verdict.decision == Decision::Stay || self.live(vm).policy.is_closed() {
            return;
        }
        let reason = reason_of(self, vm, verdict);
        self.on_decision(now, vm, verdict.decision, By::Policy, reason, out);
    }

    pub(super) fn on_queue(
        &mut self,
        now: Timestamp,
        vm: VmId,
        look: Arc<QueueLook>,
        forecast: Ways,
        out: &mut Vec<Effect>,
    ) {
        if let Some(trouble) = look.hand().and_then(|claim| claim.trouble.clone()) {
            // What its worker has in hand is not known.
            (self.live_mut(vm).transient.queue, self.live_mut(vm).transient.forecast) = (Some(look), forecast);
            return self.on_reading(now, vm, Reading::Gap(trouble), out);
        }
        let asked = self.live_mut(vm).transient.asked.take();
        let baseline = self.ends_settle(vm, asked.unwrap_or(now));
        let mut state = self.state(vm);
        let page = |look: &QueueLook| look.hand().map(|claim| claim.status.page.clone());
        let (big, in_hand) = (look.hand().map(|claim| claim.status.big), page(&look));
        let value = Value::Exact(f64::from(big.unwrap_or(0)));
        let live = self.live_mut(vm);
        if baseline {
            live.settle = None;
        }
        let known = live.transient.queue.as_deref().and_then(page);
        let waits = look.waits();
        (live.transient.queue, live.transient.forecast) = (Some(look), forecast);
        live.readings.came(now, Ok(value));
        if known != in_hand {
            live.kept_by = None;
        }
        let mut verdict = self.standing(vm);
        if !baseline && self.is_counting(vm, state) {
            let site = self.site(vm);
            let gain = site.as_ref().and_then(|site| site.gain(now).ok());
            let round_trip = site.and_then(|site| site.ways.round_trip());
            let poll = Poll { big, waits, asked: asked.is_some(), gain, round_trip };
            verdict = self.feed(now, vm, What::Queue(poll));
            if self.cluster.vm(vm).away.is_none() {
                verdict.decision = Decision::Stay;
            }
            state = self.state(vm);
        }
        // The progress of a queue is no sample: only polls, and a queue's beginning and end, are told.
        let is_poll = asked.is_some() && self.live(vm).leaving.is_none();
        if is_poll || verdict.decision != Decision::Stay || known != in_hand {
            self.record_sample(now, vm, value, verdict, state, out);
        }
        if self.live(vm).leaving.is_some() {
            self.look_at_leaving(now, vm, out);
        } else {
            self.keep_order(now, vm, out);
            if verdict.decision == Decision::Stay || self.is_blocked_anew(now, vm, verdict.decision) {
                self.act_on(now, vm, verdict, out);
            }
        }
        self.say_state(now, vm, out);
    }

    /// Whether a decision of a site policy passes its gates, or is blocked by another gate than the one before: as long as the
    /// queue in hand is the same it decides the same, and one record of it is enough.
    fn is_blocked_anew(&mut self, now: Timestamp, vm: VmId, action: Decision) -> bool {
        let blocked = self.policy_gates(vm, action, By::Policy, now).err();
        let live = self.live_mut(vm);
        let gate = blocked.as_ref().map(|(gate, _)| *gate);
        let before = std::mem::replace(&mut live.kept_by, gate);
        if blocked.is_some() && before == gate {
            live.blocked = blocked;
            return false;
        }
        true
    }

    /// Working hours begin or end, or the engine starts.
    pub(super) fn on_hours(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let Rule::Schedule { hours, .. } = &self.settings(vm).rule else { return };
        let edge = hours.edge(now);
        self.hours_at(vm, edge.until);
        if self.live(vm).policy.hours == Some(edge) {
            return;
        }
        let begun = self.live(vm).policy.hours.is_none();
        self.feed(now, vm, What::Clock);
        self.live_mut(vm).kept_by = None;
        if !begun {
            let word = if edge.open { "began" } else { "ended" };
            self.drop_waiting(now, vm, Gate::Schedule, &format!("working hours {word}"), out);
        }
        // If a reading is due at this instant, the move follows the reading.
        if !edge.open && self.live(vm).readings.next != now {
            self.after_hours(now, vm, out);
        }
        self.say_state(now, vm, out);
    }

    /// Moves the VM to the base at the end of the hours; called again until it is there.
    fn after_hours(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        if self.place(vm) != Place::Base {
            self.go_to_rest(now, vm, out);
        }
    }

    fn go_to_rest(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let live = self.live(vm);
        if live.transient.migration.is_some() || live.waiting.is_some() {
            return;
        }
        let kept_by = live.kept_by;
        let blocked = self.policy_gates(vm, Decision::MoveToBase, By::Schedule, now).err().map(|(gate, _)| gate);
        if blocked.is_some() && blocked == kept_by {
            return;
        }
        self.live_mut(vm).kept_by = blocked;
        let reason = "working hours ended".to_owned();
        self.on_decision(now, vm, Decision::MoveToBase, By::Schedule, reason, out);
    }
}
