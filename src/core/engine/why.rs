//! The why line: at every moment, one line that says why a VM is in the state it is in.

use crate::core::cluster::{Direction, HostState, Span, Timestamp, Value, VmId};
use crate::core::format::{counted, duration, plain};
use crate::core::policy::{Bound, Decision, Rule, Verdict};

use super::Engine;
use super::memory::{Hold, HoldCause, Location};
use super::migration::StageKind;
use super::record::{By, Gate, VmState};

impl Engine {
    /// Why the VM is in the state it is in, in one line.
    pub fn why(&self, vm: VmId, now: Timestamp) -> String {
        let state = self.state(vm);
        let leaving = self.live(vm).leaving.is_some() && state != VmState::Migrating;
        let why = if leaving { self.why_site(vm, now) } else { self.why_in(state, vm, now) };
        match self.out_of_order(vm).filter(|_| state != VmState::Migrating) {
            Some(trouble) => format!("{trouble}; {why}"),
            None => why,
        }
    }

    /// What is wrong with where a VM runs, unless the VM is held for it: it runs nowhere or twice, or its host is down.
    pub fn out_of_order(&self, vm: VmId) -> Option<String> {
        let host = self.live(vm).host;
        match self.live(vm).location {
            Location::Nowhere if !self.is_broken(vm) => Some(format!("{}: nothing is moved", self.on_no_host(vm))),
            Location::Twice if !self.is_broken(vm) => Some("runs at two hosts: nothing is moved".to_owned()),
            _ if self.host(host).state == HostState::Down => Some(format!("its host {} is down", self.host_name(host))),
            _ => None,
        }
    }

    /// Why and how long a VM is held. If it was lost or double and a driver has found it again: where.
    pub(super) fn hold_in_words(&self, vm: VmId, hold: Hold, now: Timestamp) -> String {
        let why = self.why_held(vm);
        if hold.until == Timestamp::NEVER {
            format!("held until released, {why}")
        } else {
            format!("held {} more, {why}", duration(hold.until.since(now)))
        }
    }

    /// Why a VM is held; empty if it is not. If it was lost or double and a driver has found it again: where.
    pub fn why_held(&self, vm: VmId) -> String {
        let live = self.live(vm);
        let Some(hold) = live.hold else { return String::new() };
        if !self.is_broken(vm) || live.location != Location::Here {
            return hold.cause.clause().to_owned();
        }
        let was = if hold.cause == HoldCause::Lost { "lost" } else { "double" };
        format!("was {was}: it runs on {} again", self.host_name(live.host))
    }

    fn why_in(&self, state: VmState, vm: VmId, now: Timestamp) -> String {
        match state {
            VmState::Migrating => self.why_migrating(vm, now),
            VmState::Held => self.live(vm).hold.map_or_else(String::new, |hold| self.hold_in_words(vm, hold, now)),
            VmState::Flapping => {
                let tried = self.live(vm).blocked.as_ref().map_or("was everywhere", |(_, why)| why.as_str());
                format!("{tried}; held until released")
            }
            VmState::Resting => format!("resting on the base, {}", self.opens(vm)),
            VmState::Stale => self.why_stale(vm),
            VmState::Settling => self.why_settling(vm, now),
            VmState::Waiting => self.why_waiting(vm, now),
            VmState::Watching => self.why_watching(vm, now),
        }
    }

    fn why_migrating(&self, vm: VmId, now: Timestamp) -> String {
        let Some(migration) = self.migration(vm) else { return String::new() };
        let to = self.host_name(migration.route.to);
        let by = match migration.by {
            By::Policy => "its policy",
            By::Schedule => "its schedule",
            By::Drain => "the draining of its host",
            By::Operator => "an operator",
        };
        let clause = migration.stage().clause(to);
        match migration.stage() {
            StageKind::Preflight => format!("{clause}, for {by}"),
            StageKind::Journal | StageKind::Confirming => clause,
            StageKind::Running => {
                let since = duration(now.since(migration.since));
                let abort = if migration.aborting { "; abort asked" } else { "" };
                let detail =
                    if migration.detail.is_empty() { String::new() } else { format!(", {}", migration.detail) };
                format!("{clause} for {by}: {}% after {since}{detail}{abort}", migration.percent)
            }
            StageKind::Unknown => format!("{clause}: {}; both hosts are asked until it can be told", migration.detail),
        }
    }

    fn why_stale(&self, vm: VmId) -> String {
        let live = self.live(vm);
        let reason = live.readings.gap.as_deref().unwrap_or("no reading");
        format!("stale: no value {} times in a row ({reason}); the first good sample counts", live.policy.gaps)
    }

    fn why_settling(&self, vm: VmId, now: Timestamp) -> String {
        let left = self.live(vm).settle.map_or(Span::ZERO, |end| end.since(now));
        if left == Span::ZERO {
            return "settled: reading the baseline".to_owned();
        }
        format!("settling {} more after the move, then a baseline is read", duration(left))
    }

    fn why_waiting(&self, vm: VmId, now: Timestamp) -> String {
        let Some(waiting) = &self.live(vm).waiting else { return String::new() };
        let (to, left) = (self.host_name(waiting.to), duration(waiting.lapses.since(now)));
        format!("request #{} to {to} waits for approval, lapses in {left}", waiting.id.0)
    }

    fn why_watching(&self, vm: VmId, now: Timestamp) -> String {
        let live = self.live(vm);
        if live.policy.is_closed() {
            let goes = self.policy_gates(vm, Decision::MoveToBase, By::Schedule, now);
            let how =
                goes.map_or_else(|(gate, why)| format!("blocked by {}: {why}", gate.word()), |_| "asking".to_owned());
            return format!("working hours ended: to the base, {how}");
        }
        if let Some(gap) = live.readings.gap.as_ref().filter(|_| live.policy.gaps > 0) {
            let left = self.settings(vm).stale_after.saturating_sub(live.policy.gaps);
            return format!("no value: {gap}; counts stand, stale after {left} more");
        }
        match &self.settings(vm).rule {
            Rule::Site(_) => self.why_site(vm, now),
            rule => self.why_counts(vm, rule, now),
        }
    }

    fn why_counts(&self, vm: VmId, rule: &Rule, now: Timestamp) -> String {
        let live = self.live(vm);
        let next = duration(live.readings.next.since(now));
        if let Some(high) = rule.high().filter(|_| live.policy.count > 0) {
            let goes = self.leads_to(vm, Decision::Move, By::Policy, now);
            return count_line(
                "count",
                live.policy.count,
                high.tarry,
                &format!("beyond {}", plain(high.at)),
                &next,
                &goes,
            );
        }
        if let Some(low) = rule.low().filter(|_| live.policy.low_count > 0) {
            let goes = self.leads_to(vm, Decision::MoveToBase, By::Policy, now);
            return count_line("low count", live.policy.low_count, low.tarry, &self.past_low(vm, low), &next, &goes);
        }
        match (live.readings.value.and_then(Value::number), rule.high()) {
            (Some(v), Some(high)) if self.settings(vm).is_beyond(v, high) => {
                let blocked = live.blocked.as_ref();
                let blocked =
                    blocked.map_or_else(String::new, |(gate, why)| format!("; blocked by {}: {why}", gate.word()));
                let unit = &self.cluster.vm(vm).indicator.unit;
                format!("{} {unit} is beyond {}, counting from 0, next in {next}{blocked}", plain(v), plain(high.at))
            }
            (Some(v), Some(high)) => {
                let side = if self.settings(vm).direction == Direction::HigherIsWorse { "at most" } else { "at least" };
                let unit = &self.cluster.vm(vm).indicator.unit;
                format!("in bounds: {} {unit}, {side} {} is fine; next in {next}", plain(v), plain(high.at))
            }
            _ => format!("nothing counted yet; next in {next}"),
        }
    }

    fn past_low(&self, vm: VmId, low: Bound) -> String {
        let side = if self.settings(vm).direction == Direction::HigherIsWorse { "below" } else { "above" };
        format!("{side} {}", plain(low.at))
    }

    fn leads_to(&self, vm: VmId, action: Decision, by: By, now: Timestamp) -> String {
        match self.policy_gates(vm, action, by, now) {
            Ok(to) if self.mode(vm) == crate::core::cluster::Mode::Ask => {
                format!("asks to move it to {}", self.host_name(to))
            }
            Ok(to) => format!("moves it to {}", self.host_name(to)),
            Err((gate, why)) => format!("would be blocked by {}: {why}", gate.word()),
        }
    }

    fn why_site(&self, vm: VmId, now: Timestamp) -> String {
        let Some(site) = self.site(vm) else { return String::new() };
        let when = |at: Timestamp| {
            if at < now {
                format!("{} ago", duration(now.since(at)))
            } else {
                format!("in {}", duration(at.since(now)))
            }
        };
        let next = site.next(now, &when);
        let Some(claim) = site.hand() else { return format!("nothing in hand in {}: {next}", site.here) };
        let is_news = |(_, why): &&(Gate, String)| self.live(vm).kept_by.is_some() && !next.contains(why);
        let blocked = self.live(vm).blocked.as_ref().filter(is_news);
        let blocked = blocked.map_or_else(String::new, |(gate, why)| format!("; blocked by {}: {why}", gate.word()));
        format!("works {} in {}: {next}{blocked}", claim.status.page, site.here)
    }

    /// When working hours begin, in the VM's own zone: `until Mon 09:00`.
    pub fn opens(&self, vm: VmId) -> String {
        let Rule::Schedule { hours, .. } = &self.settings(vm).rule else { return "until released".to_owned() };
        match self.live(vm).policy.hours {
            Some(edge) if edge.until < Timestamp::NEVER => {
                let local = edge.until.utc().with_timezone(&hours.zone());
                format!("until {}", local.format("%a %H:%M %Z"))
            }
            _ => "with no hours ahead".to_owned(),
        }
    }
}

fn count_line(what: &str, count: u32, tarry: u32, past: &str, next: &str, goes: &str) -> String {
    match tarry.saturating_sub(count) {
        // A tarry that was lowered below the count: the next sample decides.
        0 | 1 => format!("{what} {count} of {tarry}: one more sample {past} (next in {next}) {goes}"),
        more => format!("{what} {count} of {tarry}: {more} more samples {past} in a row (next in {next})"),
    }
}

/// Why a policy decided, in one line: `62 /min > 50 for 3 samples`.
pub fn reason_of(engine: &Engine, vm: VmId, verdict: Verdict) -> String {
    let settings = engine.settings(vm);
    let live = engine.live(vm);
    let unit = &engine.cluster.vm(vm).indicator.unit;
    let value = |word: &str| match live.readings.value {
        Some(Value::Exact(v)) => format!("{} {unit} {word}", plain(v)),
        Some(Value::AtLeast(v)) => format!("≥{} {unit} {word}", plain(v)),
        Some(Value::Busy) | None => format!("too busy to answer, {word}"),
    };
    let (over, under) = match settings.direction {
        Direction::HigherIsWorse => (">", "<"),
        Direction::LowerIsWorse => ("<", ">"),
    };
    let samples = |n: u32| counted(n, "sample", "samples");
    match (verdict.decision, &settings.rule) {
        (Decision::Move, rule) => {
            let at = rule.high().map_or(0.0, |b| b.at);
            format!("{} for {}", value(&format!("{over} {}", plain(at))), samples(verdict.count))
        }
        (Decision::MoveToBase, rule) => {
            let at = rule.low().map_or(0.0, |b| b.at);
            format!("{} for {}", value(&format!("{under} {}", plain(at))), samples(verdict.low_count))
        }
        (Decision::MoveAway | Decision::MoveHome, Rule::Site(_)) => engine.why_between_sites(vm, verdict),
        _ => String::new(),
    }
}
