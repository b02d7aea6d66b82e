//! A VM that works queues leaves for another site in two steps: its worker is asked to stop, and when it has, the VM moves. So no
//! VM leaves with work in hand, and no page is claimed by a worker that is about to stand still.
//!
//! ```text
//! decision ──▶ asked ──▶ stopped ──▶ gates ──▶ request
//!                │  ▲       │
//!                ▼  └─order─┘ a queue came in between, nobody answers, an operator calls it off: the order is taken back
//! ```
//!
//! What was asked stands in the queue's source. Each look compares it with what the engine wants, so an order that got lost is
//! given again, and one that nobody needs is taken back, also after a restart.

use super::Engine;
use super::memory::Leaving;
use super::message::{Effect, Target};
use super::record::{By, Gate};
use crate::core::cluster::{HostId, Mode, Reading, RequestId, Span, Timestamp, VmId};
use crate::core::format::duration;
use crate::core::policy::{Decision, Rule};
use crate::core::queue::{QueueLook, Stop, WorkerOrder};

/// While a VM waits for its worker to stop, its queue is looked at this often.
pub(super) const LOOK_EVERY: Span = Span::from_secs(5);
/// A worker that has not confirmed within this time is an alarm. It may finish the jobs in hand, however long they take.
pub(super) const STOPS_WITHIN: Span = Span::from_mins(10);
/// An order holds for this long, so that an engine that dies keeps no worker idle …
const ORDER_LASTS: Span = Span::from_mins(10);
/// … and is given again when less than this is left.
const RENEWED_AT: Span = Span::from_mins(5);
/// A queue whose worker has an order is looked at this often, so that the order can be given again in time.
pub(super) const LOOK_AT_ORDER: Span = Span::from_mins(4);
/// So long must the order still hold when the driver has let the move pass: it is about to be written down and started.
const STARTS_WITHIN: Span = Span::from_mins(1);

impl Engine {
    /// Whether a move leads to another array, where the worker goes along and stands still on the way.
    pub(super) fn leads_across(&self, vm: VmId, to: HostId) -> bool {
        self.cluster.host(to).array != self.cluster.host(self.live(vm).host).array
    }

    /// Whether the worker must be asked before a VM moves. An operator's move does not wait for a worker that gives no sign of
    /// life.
    pub(super) fn must_ask(&self, vm: VmId, to: HostId, by: By) -> bool {
        let live = self.live(vm);
        let Some(look) = live.transient.queue.as_deref().filter(|_| self.leads_across(vm, to)) else { return false };
        by == By::Policy || (look.is_alive() && live.readings.gap.is_none())
    }

    /// Asks the worker to stop. The VM moves when it has.
    pub(super) fn prepare(
        &mut self,
        now: Timestamp,
        vm: VmId,
        (id, to): (Option<RequestId>, Option<HostId>),
        (action, by): (Decision, By),
        out: &mut Vec<Effect>,
    ) {
        let idle = self.live(vm).transient.queue.as_deref().is_some_and(|look| look.hand().is_none());
        // An operator's move takes along what is in hand when the worker has stopped.
        let stop = if idle && by == By::Policy { Stop::Claiming } else { Stop::Working };
        let until = now + STOPS_WITHIN;
        let live = self.live_mut(vm);
        live.policy.reset_counts();
        live.leaving = Some(Box::new(Leaving { id, action, by, to, stop, since: now, until, trouble: None }));
        self.read_at(vm, now + LOOK_EVERY);
        self.keep_order(now, vm, out);
    }

    /// The order could not be written. It is given again at the next look.
    pub(super) fn on_not_ordered(&mut self, vm: VmId, why: String) {
        if let Some(leaving) = &mut self.live_mut(vm).leaving {
            leaving.trouble = Some(why);
        }
    }

    /// The VM stays: its worker goes on.
    pub(super) fn call_off(&mut self, now: Timestamp, vm: VmId, gate: Gate, why: &str, out: &mut Vec<Effect>) {
        let Some(leaving) = self.live_mut(vm).leaving.take() else { return };
        if leaving.by == By::Operator {
            out.push(Effect::Answer { ok: false, text: format!("{} stays: {why}", self.name(vm)) });
        }
        self.block(now, vm, leaving.action, gate, why.to_owned(), out);
        self.take_order_back(vm, out);
        let interval = self.cluster.vm(vm).interval;
        self.read_at(vm, now + interval);
    }

    /// A look at the queue of a VM that waits for its worker to stop.
    pub(super) fn look_at_leaving(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let live = self.live(vm);
        let (Some(leaving), Some(look)) = (live.leaving.clone(), live.transient.queue.clone()) else { return };
        if let Some(why) = self.is_needless(vm, &leaving, &look) {
            return self.call_off(now, vm, Gate::Preflight, &why, out);
        }
        let ordered = look.control.engine.as_ref().is_some_and(|order| order.holds(now) && order.stop == leaving.stop);
        let stopped = ordered && look.has_stopped_claiming();
        if stopped && !look.in_job() {
            return self.leave(now, vm, &leaving, out);
        }
        if let Some(leaving) = &mut self.live_mut(vm).leaving {
            if ordered {
                leaving.trouble = None;
            }
            if stopped && look.is_alive() {
                // It obeys: the jobs in hand may take their time.
                leaving.until = now + STOPS_WITHIN;
            }
        }
        self.keep_order(now, vm, out);
    }

    /// Why the policy does not want the move any more. An operator's is always wanted.
    fn is_needless(&self, vm: VmId, leaving: &Leaving, look: &QueueLook) -> Option<String> {
        let Rule::Site(rule) = self.settings(vm).rule else { return Some("its policy was changed".to_owned()) };
        let hand = look.hand().map(|claim| &claim.status);
        match (leaving.action, hand) {
            _ if leaving.by != By::Policy => None,
            (Decision::MoveHome, Some(status)) if leaving.stop == Stop::Claiming => {
                Some(format!("a queue came in between: it has claimed {}", status.page))
            }
            (Decision::MoveHome, None) if leaving.stop == Stop::Claiming => {
                let page = look.open.first().map_or("a page", |page| page.name.as_str());
                look.waits().then(|| format!("a queue came in between: {page} waits"))
            }
            (_, None) => Some("the queue in hand is gone".to_owned()),
            (Decision::MoveHome, Some(status)) if rule.is_big(status.big) => {
                Some(format!("{} has {} big jobs", status.page, status.big))
            }
            (Decision::MoveAway, Some(status)) if !rule.is_big(status.big) => {
                Some(format!("{} has {} big jobs", status.page, status.big))
            }
            _ => None,
        }
    }

    /// Its worker has stopped: the gates are asked again, because things may have changed meanwhile.
    fn leave(&mut self, now: Timestamp, vm: VmId, leaving: &Leaving, out: &mut Vec<Effect>) {
        let &Leaving { id, action, by, to, .. } = leaving;
        let passed = match to {
            Some(to) => self.operator_gates(vm, &Target::Host(self.host_name(to).to_owned()), now),
            None => self.policy_gates(vm, action, by, now),
        };
        let to = match passed {
            Ok(to) => to,
            Err((gate, why)) => return self.call_off(now, vm, gate, &why, out),
        };
        self.live_mut(vm).leaving = None;
        if by == By::Policy && id.is_none() && self.mode(vm) == Mode::Ask {
            // The mode was narrowed meanwhile. The worker goes on until an operator approves.
            self.wait(now, vm, action, by, to);
            self.take_order_back(vm, out);
        } else {
            let id = id.unwrap_or_else(|| self.new_id());
            self.launch(self.asked(now, id, vm, to, action, by), out);
        }
        self.read_at(vm, now + self.reads_every(vm));
        self.say_state(now, vm, out);
    }

    /// The VM stays if its worker has not confirmed in time. True if that is so now.
    pub(super) fn gives_up_leaving(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) -> bool {
        let live = self.live(vm);
        let Some(leaving) = live.leaving.as_ref().filter(|leaving| now >= leaving.until) else { return false };
        let why = match (&leaving.trouble, live.readings.gap.as_ref(), live.transient.queue.as_deref()) {
            (Some(trouble), ..) => format!("it could not be asked: {trouble}"),
            (None, Some(gap), _) => format!("its queue cannot be read: {gap}"),
            (None, None, Some(look)) => silence(look, now).unwrap_or_else(|| "it does not obey".to_owned()),
            (None, None, None) => "its queue was not read".to_owned(),
        };
        let why = format!("its worker has not stopped within {}: {why}", duration(STOPS_WITHIN));
        let text = format!("{} stays: {why}; look at the worker, or move the VM by hand", self.name(vm));
        self.call_off(now, vm, Gate::Preflight, &why, out);
        self.alarm(now, Some(vm), text, out);
        self.say_state(now, vm, out);
        true
    }

    /// Its queue could not be read while it waits for its worker to stop. These looks come too fast to count as missed readings.
    pub(super) fn missed_while_leaving(&mut self, now: Timestamp, vm: VmId, reading: Reading, out: &mut Vec<Effect>) {
        let reason = if let Reading::Gap(reason) = reading { reason } else { "not a queue".to_owned() };
        let known = self.live(vm).readings.gap.as_ref() == Some(&reason);
        self.live_mut(vm).readings.came(now, Err(reason.clone()));
        if !known {
            self.record_gap(now, vm, reason, out);
        }
    }

    /// Whether a VM may start for another site: its worker has stopped, and will not claim before the VM has left.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn has_stopped(&self, now: Timestamp, vm: VmId, to: HostId) -> Result<(), String> {
        let Some(look) = self.live(vm).transient.queue.as_deref().filter(|_| self.leads_across(vm, to)) else {
            return Ok(());
        };
        let order = &look.control.engine;
        if order.is_none() && !look.is_alive() {
            return Ok(());
        }
        let held = order.as_ref().filter(|order| order.holds(now + STARTS_WITHIN));
        let Some(order) = held else { return Err("its worker may claim a page again".to_owned()) };
        let came = order.stop == Stop::Claiming && (look.hand().is_some() || look.waits());
        if came { Err("a queue came in between".to_owned()) } else { Ok(()) }
    }

    /// Has the source say what the engine wants of the worker, and where the VM is. To be called at each look.
    pub(super) fn keep_order(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let live = self.live(vm);
        let Some(look) = live.transient.queue.as_deref() else { return };
        let is = look.control.engine.as_ref();
        let order = match &live.leaving {
            Some(leaving) => {
                let way = if leaving.action == Decision::MoveHome { "going home" } else { "going away" };
                Some(order(leaving.stop, way.to_owned(), leaving.since, now))
            }
            // What was asked before the start holds until the end.
            None if self.across(vm).is_some() => is.map(|is| order(is.stop, is.why.clone(), is.at, now)),
            None => None,
        };
        let stale = match (is, &order) {
            (Some(is), Some(order)) => {
                is.stop != order.stop || is.until.is_none_or(|until| until.since(now) < RENEWED_AT)
            }
            (is, order) => is.is_some() || order.is_some(),
        };
        let site = self.cluster.site_of(live.host).name.clone();
        if stale || look.control.site.as_deref() != Some(site.as_str()) {
            out.push(Effect::Order { vm, site, order });
        }
    }

    /// The move is over, or is not made: the worker goes on, where the VM is now.
    pub(super) fn take_order_back(&self, vm: VmId, out: &mut Vec<Effect>) {
        if self.live(vm).transient.queue.is_some() {
            let site = self.cluster.site_of(self.live(vm).host).name.clone();
            out.push(Effect::Order { vm, site, order: None });
        }
    }

    /// How long until the next reading of a VM.
    pub(super) fn reads_every(&self, vm: VmId) -> Span {
        let (live, interval) = (self.live(vm), self.cluster.vm(vm).interval);
        if live.leaving.is_some() {
            return LOOK_EVERY;
        }
        let ordered = live.transient.queue.as_deref().is_some_and(|look| look.control.engine.is_some());
        if ordered { interval.min(LOOK_AT_ORDER) } else { interval }
    }
}

/// An order of the engine. It ends at one of some instants, so that giving it again soon changes nothing.
fn order(stop: Stop, why: String, at: Timestamp, now: Timestamp) -> WorkerOrder {
    let parts = (now.since(at) + RENEWED_AT).millis() / ORDER_LASTS.millis() + 1;
    WorkerOrder { stop, by: "whimbrel".to_owned(), why, at, until: Some(at + ORDER_LASTS.scaled(parts, 1)) }
}

/// What is wrong with the worker, if it gives no sign of life.
pub(super) fn silence(look: &QueueLook, now: Timestamp) -> Option<String> {
    match &look.worker {
        _ if look.is_alive() => None,
        None => Some("no worker has run in it yet".to_owned()),
        Some(worker) => Some(format!("its worker gave its last sign of life {} ago", duration(now.since(worker.beat)))),
    }
}
