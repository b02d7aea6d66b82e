//! An engine that goes on where another one stopped. Nothing is decided here; what has changed meanwhile is said at the
//! first step.

use std::collections::HashMap;

use super::amend::{POLICY_CHANGED, edited};
use super::drain::Drain;
use super::kept::{Kept, KeptCluster, KeptDrain, KeptWaiting};
use super::live::{Live, Location, Waiting};
use super::message::Effect;
use super::record::{Gate, Happened, Record};
use super::reload::CONFIG;
use super::timers::Timer;
use super::{Engine, HOUR, Last};
use crate::core::cluster::{ArrayId, Cluster, HostId, Mode, Span, Timestamp, VmId};
use crate::core::policy::{Place, Resting, Rule, Settings};

/// Ids by name.
struct Ids<'a> {
    hosts: HashMap<&'a str, HostId>,
    arrays: HashMap<&'a str, ArrayId>,
}

impl<'a> Ids<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        let hosts = cluster.hosts.iter().enumerate().map(|(at, host)| (host.name.as_str(), HostId::at(at)));
        let arrays = cluster.arrays.iter().enumerate().map(|(at, array)| (array.name.as_str(), ArrayId::at(at)));
        Self { hosts: hosts.collect(), arrays: arrays.collect() }
    }

    fn host(&self, name: &str) -> Option<HostId> {
        self.hosts.get(name).copied()
    }

    fn dated(&self, list: &[(Timestamp, String)]) -> Vec<(Timestamp, HostId)> {
        list.iter().filter_map(|(at, name)| Some((*at, self.host(name)?))).collect()
    }
}

impl Engine {
    /// An engine over a checked cluster that goes on where another one stopped; `kept` is by the VMs' names.
    ///
    /// A VM is on the host it was on, unless that is gone or the config has named another since. Settings that were
    /// changed meanwhile are taken over as by a reload. The time it was down is as many gaps as readings were missed.
    pub fn restored(cluster: Cluster, now: Timestamp, kept: &[(String, Kept)], whole: Option<KeptCluster>) -> Self {
        let mut engine = Self::new(cluster, now);
        let described = engine.cluster.clone();
        let ids = Ids::of(&described);
        let vms: HashMap<&str, VmId> =
            described.vms.iter().enumerate().map(|(at, vm)| (vm.name.as_str(), VmId::at(at))).collect();
        let mut unsaid = Vec::new();
        for (name, kept) in kept {
            if let Some(vm) = vms.get(name.as_str()) {
                engine.go_on_as(now, *vm, kept, &ids, &mut unsaid);
                let alive = whole.as_ref().map(|whole| whole.alive);
                engine.miss(now, *vm, kept, alive);
            }
        }
        if let Some(whole) = whole {
            engine.last_id = engine.last_id.max(whole.last_id);
            engine.stay_narrow(now, whole.mode, &mut unsaid);
            engine.go_on_draining_as(now, whole.drains, &ids);
            let known = |name: &String| vms.get(name.as_str()).copied();
            let alarms = whole.alarms.into_iter();
            engine.alarms = alarms.map(|(at, vm, text)| (at, vm.as_ref().and_then(known), text)).collect();
        }
        let mut moves: Vec<Timestamp> = engine.vms.iter().flat_map(|live| live.moves.iter().copied()).collect();
        moves.retain(|at| now.since(*at) < HOUR);
        moves.sort_unstable();
        engine.moves = moves.into();
        engine.count_placed();
        engine.unsaid = Some((now, unsaid));
        engine
    }

    /// An operator who keeps the engine from moving VMs keeps the next one from it too, until the config says otherwise.
    fn stay_narrow(&mut self, now: Timestamp, mode: Option<(Mode, Mode)>, out: &mut Vec<Effect>) {
        let Some((said, is)) = mode.filter(|(said, _)| *said == self.config_mode) else { return };
        self.cluster.mode = is;
        let text = format!("mode {} as an operator set it; the config says {}", is.word(), said.word());
        let what = Happened::Operator { by: CONFIG.to_owned(), text };
        out.push(Effect::Record(Record { at: now, vm: None, what }));
    }

    /// Hosts go on being drained, but for those that the config alone wanted drained and does not any more.
    fn go_on_draining_as(&mut self, now: Timestamp, kept: Vec<KeptDrain>, ids: &Ids<'_>) {
        for kept in kept {
            let KeptDrain { since, commanded, paused, moved, done, told, .. } = kept;
            let still = |host: &HostId| commanded || self.cluster.host(*host).draining;
            if let Some(host) = ids.host(&kept.host).filter(still) {
                let drain = Drain { commanded, paused, moved, done, told, ..Drain::begun(&kept.by, since) };
                self.drains.insert(host, drain);
                self.drains_at = now;
            }
        }
    }

    fn go_on_as(&mut self, now: Timestamp, vm: VmId, kept: &Kept, ids: &Ids<'_>, out: &mut Vec<Effect>) {
        let host = self.host_after(now, vm, kept, ids, out);
        let (waiting, dropped) = self.still_waits(vm, kept, ids);
        let mut live = Live {
            policy: kept.policy,
            last_ring: kept
                .rings
                .iter()
                .filter_map(|(a, h)| Some((*ids.arrays.get(a.as_str())?, ids.host(h)?)))
                .collect(),
            raw: kept.raw,
            settle: kept.settle,
            hold: kept.hold,
            // Where the config puts it is not where a driver found it.
            location: if ids.host(&kept.host) == Some(host) { kept.location } else { Location::Unreported },
            flapping: kept.flapping,
            tried: ids.dated(&kept.tried),
            failed: ids.dated(&kept.failed),
            waiting,
            landed: kept.landed,
            moves: kept.moves.iter().copied().collect(),
            last_move: kept.last_move,
            kept_by: kept.kept_by,
            blocked: kept.blocked.clone(),
            last: Last::was_at(kept.seen),
            state: kept.state,
            next_hours: self.live(vm).next_hours,
            ..Live::new(host)
        };
        edited(&mut live, &kept.settings, self.settings(vm));
        if kept.indicator != self.cluster.vm(vm).indicator {
            live.forget_readings();
        }
        self.last_id = self.last_id.max(live.waiting.as_ref().map_or(0, |waiting| waiting.id.0));
        self.vms[vm.index()] = live;
        let array = self.cluster.host(host).array;
        if self.cluster.array(array).ring.contains(&host) {
            self.live_mut(vm).remember_ring(array, host);
        }
        self.say_edits(now, vm, CONFIG, None, &kept.settings, out);
        if let Some((waiting, gate, why)) = dropped {
            self.say_dropped(now, vm, &waiting, gate, why, out);
        }
        self.time_again(now, vm, kept);
    }

    /// Where it is: where it was, unless that cannot be or the config has said otherwise since.
    fn host_after(&self, now: Timestamp, vm: VmId, kept: &Kept, ids: &Ids<'_>, out: &mut Vec<Effect>) -> HostId {
        let described = self.cluster.vm(vm);
        let configured = &self.cluster.host(described.host).name;
        let was = ids.host(&kept.host).filter(|host| {
            let array = self.cluster.host(*host).array;
            array == described.array || described.away == Some(array)
        });
        let why = match was {
            Some(host) if *configured == kept.configured || *configured == kept.host => return host,
            Some(_) => "the config says so since",
            None => "it cannot be there by the config",
        };
        let text = format!("it was on {}: taken to be on {configured}, {why}", kept.host);
        self.record(now, vm, Happened::Operator { by: CONFIG.to_owned(), text }, out);
        described.host
    }

    fn still_waits(
        &self,
        vm: VmId,
        kept: &Kept,
        ids: &Ids<'_>,
    ) -> (Option<Waiting>, Option<(Waiting, Gate, &'static str)>) {
        let Some(KeptWaiting { id, action, to, by, lapses }) = &kept.waiting else { return (None, None) };
        let found = ids.host(to);
        let to = found.unwrap_or(self.cluster.vm(vm).host);
        let waiting = Waiting { id: *id, action: *action, to, by: *by, lapses: *lapses };
        if kept.settings != *self.settings(vm) {
            (None, Some((waiting, Gate::Mode, POLICY_CHANGED)))
        } else if found.is_none() {
            (None, Some((waiting, Gate::Destination, "its destination is not in the config any more")))
        } else {
            (Some(waiting), None)
        }
    }

    /// Its timers; it keeps its own slot between two readings.
    fn time_again(&mut self, now: Timestamp, vm: VmId, kept: &Kept) {
        let interval = self.cluster.vm(vm).interval;
        let late = (now.since(kept.due).millis() + interval.millis() - 1) / interval.millis();
        let next = match kept.settle {
            Some(end) => end.max(now),
            None => (kept.due + interval.scaled(late, 1)).min(now + interval),
        };
        self.read_at(vm, next);
        let hold = self.live(vm).hold.map(|hold| (hold.until, Timer::Hold));
        let lapse = self.live(vm).waiting.as_ref().map(|waiting| (waiting.lapses, Timer::Lapse));
        for (at, timer) in hold.into_iter().chain(lapse) {
            self.timers.set(at, vm, timer);
        }
    }

    /// The readings that were missed while nobody was there are gaps.
    fn miss(&mut self, now: Timestamp, vm: VmId, kept: &Kept, alive: Option<Timestamp>) {
        let interval = self.cluster.vm(vm).interval;
        let Some(mut newest) = kept.seen else { return };
        if let Some(alive) = alive.filter(|alive| *alive >= kept.due) {
            // What is kept of a steady VM is older than its newest reading, which was in its slot before that.
            let slots = alive.since(kept.due).millis() / interval.millis();
            newest = newest.max(kept.due + interval.scaled(slots, 1));
        }
        let live = self.live(vm);
        newest = newest.max(live.settle.unwrap_or(newest));
        if is_unread(self.settings(vm), self.place(vm)) && live.policy.is_closed() {
            newest = newest.max(live.policy.hours.map_or(newest, |edge| edge.until.min(now)));
        }
        let stale_after = self.settings(vm).stale_after;
        for _ in 0..missed(now.since(newest), interval).min(stale_after) {
            self.live_mut(vm).policy.missed(stale_after);
        }
    }
}

impl Live {
    /// What was read says nothing of what will be.
    pub(super) const fn forget_readings(&mut self) {
        self.raw = None;
        self.policy.reset_counts();
        self.policy.heard();
    }
}

fn is_unread(settings: &Settings, place: Place) -> bool {
    matches!(settings.rule, Rule::Schedule { resting: Resting::Off, .. }) && place == Place::Base
}

/// Of a hole between two readings: `round(d / interval) − 1`.
fn missed(down: Span, interval: Span) -> u32 {
    let intervals = (down.secs_f64() / interval.secs_f64()).round();
    (intervals - 1.0).clamp(0.0, f64::from(u32::MAX)) as u32
}
