//! Restores an engine that goes on where another one stopped. Nothing is decided here; what has changed meanwhile is recorded
//! at the first step.

use super::drain::{Drain, Draining};
use super::kept::{Kept, KeptCluster};
use super::leave::LOOK_EVERY;
use super::memory::{Location, Readings};
use super::message::Effect;
use super::record::{Gate, Happened, Record};
use super::reload::CONFIG;
use super::timers::Timer;
use super::{Engine, HOUR};
use crate::core::cluster::{ArrayId, Cluster, HostId, Mode, Name, Timestamp, VmId};
use crate::core::policy::{Place, Resting, Rule, Settings};

impl Engine {
    /// An engine over a checked cluster that goes on where another one stopped; `kept` is by the VMs' names.
    ///
    /// A VM is on the host it was on, unless that is gone or the config has named another since. Settings that were
    /// changed meanwhile are taken over as by a reload. The time it was down is as many gaps as readings were missed.
    pub fn restored(cluster: Cluster, now: Timestamp, kept: &[(String, Kept)], whole: Option<KeptCluster>) -> Self {
        let mut engine = Self::new(cluster, now);
        let mut unsaid = Vec::new();
        for (name, kept) in kept {
            if let Some(vm) = engine.vm_named(name) {
                engine.go_on_as(now, vm, kept, &mut unsaid);
                let alive = whole.as_ref().map(|whole| whole.alive);
                engine.miss(now, vm, kept, alive);
            }
        }
        if let Some(whole) = whole {
            engine.last_id = engine.last_id.max(whole.last_id);
            engine.stay_narrow(now, whole.mode, &mut unsaid);
            engine.go_on_draining_as(now, whole.drains);
            let alarms = whole.alarms.into_iter();
            engine.alarms = alarms.map(|(at, vm, text)| (at, vm.and_then(|vm| engine.vm_named(&vm)), text)).collect();
        }
        // Older ones are let go only with the next move, and each look at the budget counts through them.
        let recent = |at: &Timestamp| now.since(*at) < HOUR;
        let mut moves: Vec<Timestamp> =
            engine.vms.iter().flat_map(|live| live.moves.iter().copied().filter(recent)).collect();
        moves.sort_unstable();
        engine.moves = moves.into();
        engine.count_placed();
        engine.unsaid = Some((now, unsaid));
        engine
    }

    /// Keeps a mode that an operator has narrowed, until the config has another.
    fn stay_narrow(&mut self, now: Timestamp, mode: Option<(Mode, Mode)>, out: &mut Vec<Effect>) {
        let Some((said, is)) = mode.filter(|(said, _)| *said == self.config_mode) else { return };
        self.cluster.mode = is;
        let text = format!("mode {} as an operator set it; the config says {}", is.word(), said.word());
        let what = Happened::Operator { by: CONFIG.to_owned(), text };
        out.push(Effect::Record(Record { at: now, vm: None, what }));
    }

    /// Goes on with drains, except those that only the config wanted and no longer wants.
    fn go_on_draining_as(&mut self, now: Timestamp, kept: Vec<Drain>) {
        for drain in kept {
            let still = |host: &HostId| drain.commanded || self.cluster.host(*host).draining;
            if let Some(host) = self.host_named(&drain.host).filter(still) {
                self.drains.insert(host, Draining::of(drain));
                self.drains_at = now;
            }
        }
    }

    fn go_on_as(&mut self, now: Timestamp, vm: VmId, kept: &Kept, out: &mut Vec<Effect>) {
        let described = self.cluster.vm(vm);
        let array = |name: &Name| self.cluster.arrays.iter().position(|array| array.name == *name).map(ArrayId::at);
        let mut memory = kept.memory.clone().map(|name| self.host_named(name), array, described.host);
        let host = self.host_after(now, vm, kept, out);
        if host != memory.host {
            // Where the config puts it is not where a driver found it.
            (memory.host, memory.location) = (host, Location::Unreported);
        }
        let dropped = memory.take_over(&kept.settings, &described.policy, kept.memory.waiting.is_some());
        if kept.indicator != described.indicator {
            memory.forget_readings();
        }
        memory.transient = std::mem::take(&mut self.live_mut(vm).transient);
        self.last_id = self.last_id.max(memory.waiting.map_or(0, |waiting| waiting.id.0));
        self.vms[vm.index()] = memory;
        let array = self.cluster.host(host).array;
        if self.cluster.array(array).ring.contains(&host) {
            self.live_mut(vm).remember_ring(array, host);
        }
        self.say_edits(now, vm, CONFIG, None, &kept.settings, out);
        if let (Some(waiting), Some((gate, why))) = (&kept.memory.waiting, dropped) {
            self.say_dropped(now, vm, waiting, gate, why, out);
        }
        if self.live(vm).leaving.as_ref().is_some_and(|leaving| now >= leaving.until) {
            // The order has ended by itself meanwhile.
            self.call_off(now, vm, Gate::Preflight, "whimbrel did not run while its worker was asked to stop", out);
        }
        self.time_again(now, vm, kept);
    }

    /// The VM is where it was, unless the config does not allow that or has named another host since.
    fn host_after(&self, now: Timestamp, vm: VmId, kept: &Kept, out: &mut Vec<Effect>) -> HostId {
        let described = self.cluster.vm(vm);
        let (then, configured) = (&kept.memory.host, &self.cluster.host(described.host).name);
        let was = self.host_named(then).filter(|host| {
            let array = self.cluster.host(*host).array;
            array == described.array || described.away == Some(array)
        });
        let why = match was {
            Some(host) if kept.configured == *configured || then == configured => return host,
            Some(_) => "the config says so since",
            None => "it cannot be there by the config",
        };
        let text = format!("it was on {then}: taken to be on {configured}, {why}");
        self.record(now, vm, Happened::Operator { by: CONFIG.to_owned(), text }, out);
        described.host
    }

    /// Sets its timers. It keeps its slot in the interval.
    fn time_again(&mut self, now: Timestamp, vm: VmId, kept: &Kept) {
        let interval = self.cluster.vm(vm).interval;
        let Readings { next: due, .. } = kept.memory.readings;
        let late = (now.since(due).millis() + interval.millis() - 1) / interval.millis();
        let next = match kept.memory.settle {
            Some(end) => end.max(now),
            None if self.live(vm).leaving.is_some() => now + LOOK_EVERY,
            None => (due + interval.scaled(late, 1)).min(now + interval),
        };
        self.read_at(vm, next);
        let hold = self.live(vm).hold.map(|hold| (hold.until, Timer::Hold));
        let lapse = self.live(vm).waiting.as_ref().map(|waiting| (waiting.lapses, Timer::Lapse));
        for (at, timer) in hold.into_iter().chain(lapse) {
            self.timers.set(at, vm, timer);
        }
    }

    /// Counts readings that were missed while no engine ran as gaps.
    fn miss(&mut self, now: Timestamp, vm: VmId, kept: &Kept, alive: Option<Timestamp>) {
        let interval = self.cluster.vm(vm).interval;
        let Readings { at, next: due, .. } = kept.memory.readings;
        let Some(mut newest) = at else { return };
        if let Some(alive) = alive.filter(|alive| *alive >= due) {
            // A steady VM is saved rarely. Its newest reading was in its last slot before `alive`.
            let slots = alive.since(due).millis() / interval.millis();
            newest = newest.max(due + interval.scaled(slots, 1));
        }
        let live = self.live(vm);
        newest = newest.max(live.settle.unwrap_or(newest));
        if is_unread(self.settings(vm), self.place(vm)) && live.policy.is_closed() {
            newest = newest.max(live.policy.hours.map_or(newest, |edge| edge.until.min(now)));
        }
        let stale_after = self.settings(vm).stale_after;
        for _ in 0..now.since(newest).missed(interval).min(stale_after) {
            self.live_mut(vm).policy.missed(stale_after);
        }
    }
}

fn is_unread(settings: &Settings, place: Place) -> bool {
    matches!(settings.rule, Rule::Schedule { resting: Resting::Off, .. }) && place == Place::Base
}
