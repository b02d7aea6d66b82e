//! Drains a host: its VMs leave, a few at a time under the limits of migrations at once, and it takes no VMs until the
//! drain ends. An operator commands a drain, or the config says that the host is draining.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::memory::FAILURE_MEMORY;
use super::message::{Effect, Route};
use super::migration::StageKind;
use super::operate::Said;
use super::record::{By, Happened, Record};
use super::reload::CONFIG;
use super::spread::Given;
use super::{Engine, host_word, in_vms};
use crate::core::cluster::{HostId, HostState, Mode, Name, Span, Timestamp, VmId};
use crate::core::format::duration;

/// VMs that cannot leave are tried again after this time, even if nothing has changed.
const TRY_AGAIN: Span = Span::from_secs(30);
/// Before any instant a clock can show.
const LONG_AGO: Timestamp = Timestamp::from_millis(i64::MIN);

/// A host that is being emptied, or is kept empty. The console shows it, the socket tells it (docs/control.md), and it
/// outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Drain {
    /// The host.
    pub host: Name,
    /// Who wants it: an operator, or `config`.
    pub by: String,
    /// An operator wants it, and not only the config.
    pub commanded: bool,
    /// Since when.
    pub since: Timestamp,
    /// VMs on it when the drain began, and those that came later.
    pub of: u32,
    /// VMs that have left it.
    pub moved: u32,
    /// No further VM is moved away for now.
    pub paused: bool,
    /// It is empty.
    pub done: bool,
    /// An alarm has said that it cannot be drained.
    pub told: bool,
    /// VMs on their way.
    pub under_way: Vec<UnderWay>,
    /// VMs that cannot leave it at present.
    pub stuck: Vec<StuckVm>,
}

/// A VM on its way from a host that is being drained.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnderWay {
    /// This VM.
    pub vm: Name,
    /// To this host.
    pub to: Name,
    /// 0 to 100.
    pub percent: u8,
    /// The driver's last words; before it has started, the stage's word.
    pub detail: String,
}

/// A VM that cannot leave a host that is being drained.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StuckVm {
    /// This VM.
    pub vm: Name,
    /// Why.
    pub why: String,
    /// An operator or a mode wants it to stay: that is no trouble.
    #[serde(skip)]
    pub meant: bool,
}

/// A drain as the engine goes on with it.
#[derive(Debug, Clone)]
pub(super) struct Draining {
    /// Without the VMs that are under way.
    pub(super) drain: Drain,
    /// Where its VMs go, as it was shown when it began.
    pub(super) planned: BTreeMap<VmId, HostId>,
    /// VMs whose move an operator aborted, and until when they are left alone.
    pub(super) spared: BTreeMap<VmId, Timestamp>,
    /// Since when no VM moves although some should.
    stuck_since: Option<Timestamp>,
}

impl Engine {
    /// The drain of a host, as things are; `None`: it takes VMs.
    pub fn drain(&self, host: HostId) -> Option<Drain> {
        let drain = self.drains.get(&host)?.drain.clone();
        let leaving = self.migrations.values().filter(|migration| migration.route.from == host);
        let under_way = leaving.map(|migration| UnderWay {
            vm: self.cluster.vm(migration.route.vm).name.clone(),
            to: self.cluster.host(migration.route.to).name.clone(),
            percent: migration.percent,
            detail: match migration.stage() {
                stage @ (StageKind::Preflight | StageKind::Journal) => stage.word().to_owned(),
                StageKind::Running | StageKind::Confirming | StageKind::Unknown => migration.detail.clone(),
            },
        });
        Some(Drain { under_way: under_way.collect(), ..drain })
    }

    /// Every host that is being emptied or kept empty, in the order of their ids; without the VMs that are under way.
    pub fn drains(&self) -> impl Iterator<Item = (HostId, &Drain)> {
        self.drains.iter().map(|(host, draining)| (*host, &draining.drain))
    }

    fn host_id(&self, name: &str) -> Result<HostId, String> {
        self.host_named(name).ok_or_else(|| format!("there is no host {name}"))
    }

    fn drain_of(&mut self, name: &str) -> Result<(HostId, &mut Draining), String> {
        let host = self.host_id(name)?;
        let draining = self.drains.get_mut(&host).ok_or_else(|| format!("{name} is not being drained"))?;
        Ok((host, draining))
    }

    pub(super) fn begin_drain(&mut self, now: Timestamp, by: &str, name: &str) -> Said {
        let host = self.host_id(name)?;
        let before = self.drains.get(&host).map(|draining| &draining.drain);
        let moved = before.map_or(0, |drain| drain.moved);
        if let Some(drain) = before.filter(|drain| drain.commanded) {
            let is = if drain.done { "drained" } else { "being drained" };
            return Err(format!("{name} is {is} already"));
        }
        match self.host_state(host) {
            HostState::Up | HostState::Draining => {}
            state => return Err(format!("{name} is {}: its VMs cannot be moved live", host_word(state))),
        }
        let (assigned, _) = self.assign(host, now);
        let planned = assigned.into_iter().filter_map(|(vm, to)| Some((vm, to.ok()?))).collect();
        let host_name = self.cluster.host(host).name.clone();
        let drain =
            Drain { host: host_name, by: by.to_owned(), commanded: true, since: now, moved, ..Drain::default() };
        self.drains.insert(host, Draining { planned, ..Draining::of(drain) });
        self.look_at_drains();
        Ok(format!("{name}: draining, {} to leave it", in_vms(self.hosts[host.index()].vms)))
    }

    pub(super) fn end_drain(&mut self, name: &str) -> Said {
        let (host, Draining { drain, .. }) = self.drain_of(name)?;
        let (moved, left) = (drain.moved, drain.of.saturating_sub(drain.moved));
        if self.cluster.host(host).draining {
            return Err(format!(
                "{name} is draining by the config: write draining = false at the host in its array; pause it to stop its VMs from leaving"
            ));
        }
        self.drains.remove(&host);
        Ok(format!("{name}: takes VMs again; {moved} moved, {left} stayed"))
    }

    pub(super) fn pause_drain(&mut self, name: &str) -> Said {
        let (_, Draining { drain, .. }) = self.drain_of(name)?;
        if drain.done {
            return Err(format!("{name} is drained already"));
        }
        if std::mem::replace(&mut drain.paused, true) {
            return Err(format!("{name}: its draining is paused already"));
        }
        Ok(format!("{name}: draining paused, it takes no VMs; what is on its way goes on"))
    }

    pub(super) fn resume_drain(&mut self, name: &str) -> Said {
        let (_, Draining { drain, spared, .. }) = self.drain_of(name)?;
        if !std::mem::replace(&mut drain.paused, false) {
            return Err(format!("{name}: its draining is not paused"));
        }
        spared.clear();
        self.look_at_drains();
        Ok(format!("{name}: draining goes on"))
    }

    /// Has every drain continued at the end of this step.
    pub(super) fn look_at_drains(&mut self) {
        if !self.drains.is_empty() {
            self.drains_at = LONG_AGO;
        }
    }

    /// Delays every drain: the reason that stopped one move would stop all of them now.
    pub(super) fn retry_drains_later(&mut self, now: Timestamp) {
        if !self.drains.is_empty() {
            self.drains_at = now + TRY_AGAIN;
        }
    }

    /// Counts a VM that has left a host.
    pub(super) fn has_left(&mut self, before: HostId, host: HostId) {
        if let Some(Draining { drain, .. }) = self.drains.get_mut(&before).filter(|_| before != host) {
            drain.moved += 1;
        }
    }

    /// Leaves a VM alone for a while, because an operator aborted its move.
    pub(super) fn spare(&mut self, now: Timestamp, route: Route) {
        if let Some(draining) = self.drains.get_mut(&route.from) {
            draining.spared.insert(route.vm, now + FAILURE_MEMORY);
        }
    }

    /// Continues every drain that is due.
    pub(super) fn go_on_draining(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.drains_at > now {
            return;
        }
        self.drains_at = Timestamp::NEVER;
        self.heed_config(now, out);
        let hosts: Vec<HostId> = self.drains.keys().copied().collect();
        for host in hosts {
            let is_here = |vm: &VmId| self.live(*vm).host == host;
            let staying: Vec<VmId> = self.vm_ids().filter(is_here).filter(|vm| self.migration(*vm).is_none()).collect();
            let mut stuck = Vec::new();
            let mut waits = false;
            if !self.drains[&host].drain.paused && !staying.is_empty() {
                waits = self.send(now, host, &staying, &mut stuck, out);
                self.drains_at = now + TRY_AGAIN;
            }
            let is_under_way = waits || self.migrations.values().any(|migration| migration.route.from == host);
            self.tell_of_drain(now, host, is_under_way, stuck, out);
        }
    }

    /// Starts and ends drains as the config's `draining` flags say.
    fn heed_config(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        for at in 0..self.hosts.len() {
            let host = HostId::at(at);
            let says = self.cluster.host(host).draining;
            let name = &self.cluster.host(host).name;
            let text = match self.drains.get(&host) {
                None if says && self.cluster.mode == Mode::Auto => {
                    format!("{name} is draining: its VMs are moved away")
                }
                None if says => {
                    format!("{name} is draining: its VMs stay in mode {}; D moves them away", self.cluster.mode.word())
                }
                Some(Draining { drain, .. }) if !says && !drain.commanded => format!("{name} takes VMs again"),
                _ => continue,
            };
            if says {
                let drain = Drain { host: name.clone(), by: CONFIG.to_owned(), since: now, ..Drain::default() };
                self.drains.insert(host, Draining::of(drain));
            } else {
                self.drains.remove(&host);
            }
            let what = Happened::Operator { by: CONFIG.to_owned(), text };
            out.push(Effect::Record(Record { at: now, vm: None, what }));
        }
    }

    /// Starts a migration for each VM that has a destination, as far as the limits allow. True if some VMs wait until
    /// others have arrived.
    fn send(
        &mut self,
        now: Timestamp,
        host: HostId,
        staying: &[VmId],
        stuck: &mut Vec<StuckVm>,
        out: &mut Vec<Effect>,
    ) -> bool {
        let mut waits = false;
        for &vm in staying {
            match self.way_out(now, vm, host, staying) {
                Err(stays) => stuck.push(stays),
                Ok(to) if self.at_once(vm, Some(to)).is_err() => waits = true,
                Ok(to) => drop(self.launch_unasked(now, vm, to, By::Drain, out)),
            }
        }
        waits
    }

    /// The destination of a VM: the planned one, if it still takes the VM.
    fn way_out(&mut self, now: Timestamp, vm: VmId, host: HostId, staying: &[VmId]) -> Result<HostId, StuckVm> {
        let name = &self.cluster.vm(vm).name;
        let stays = |meant, why| StuckVm { vm: name.clone(), why, meant };
        self.can_leave(vm).map_err(|why| stays(false, why))?;
        let draining = &self.drains[&host];
        if !draining.drain.commanded && self.mode(vm) != Mode::Auto {
            return Err(stays(true, format!("mode {}: an operator moves it", self.mode(vm).word())));
        }
        if let Some(until) = draining.spared.get(&vm).filter(|until| **until > now) {
            return Err(stays(true, format!("aborted by an operator, again in {}", duration(until.since(now)))));
        }
        let planned = draining.planned.get(&vm).copied();
        if let Some(to) = planned.filter(|to| self.eligible(vm, *to, 0, now).is_ok()) {
            return Ok(to);
        }
        let mut given = Given::new();
        for other in staying.iter().filter(|other| **other != vm && self.live(**other).transient.migration.is_none()) {
            if let Some(to) = draining.planned.get(other) {
                *given.entry(*to).or_default() += 1;
            }
        }
        let to = self.refuge(vm, &given, now).map_err(|why| stays(false, why))?;
        if let Some(draining) = self.drains.get_mut(&host) {
            draining.planned.insert(vm, to);
        }
        Ok(to)
    }

    fn tell_of_drain(
        &mut self,
        now: Timestamp,
        host: HostId,
        is_under_way: bool,
        stuck: Vec<StuckVm>,
        out: &mut Vec<Effect>,
    ) {
        let (name, vms) = (self.host_name(host).to_owned(), self.hosts[host.index()].vms);
        let is_done = vms == 0 && self.incoming(host) == 0;
        let alarm = cannot_be_drained(&name, &stuck);
        let Some(Draining { drain, stuck_since, .. }) = self.drains.get_mut(&host) else { return };
        drain.of = drain.moved + vms;
        drain.stuck = stuck;
        if is_done && !drain.done {
            drain.told = false;
            let text = format!("{name} drained: {} moved, 0 left", in_vms(drain.moved));
            let what = Happened::Operator { by: drain.by.clone(), text };
            out.push(Effect::Record(Record { at: now, vm: None, what }));
        }
        drain.done = is_done;
        let Some(text) = alarm.filter(|_| !is_under_way) else {
            *stuck_since = None;
            return;
        };
        // Hosts may not have answered yet after a start, and a short outage ends by itself.
        let since = *stuck_since.get_or_insert(now);
        if now.since(since) >= TRY_AGAIN && !drain.told {
            drain.told = true;
            self.alarm(now, None, text, out);
        }
    }

    /// Whether a VM can be moved away from where it is at all.
    pub(super) fn can_leave(&self, vm: VmId) -> Result<(), String> {
        self.runs_once(vm)?;
        if self.is_broken(vm) {
            return Err("it is lost or double: see where it runs, then release it".to_owned());
        }
        let host = self.live(vm).host;
        match self.host_state(host) {
            HostState::Up | HostState::Draining => Ok(()),
            state => Err(format!("{} is {}", self.cluster.host(host).name, host_word(state))),
        }
    }
}

/// The alarm, if VMs stay that nobody wants to stay.
fn cannot_be_drained(name: &str, stuck: &[StuckVm]) -> Option<String> {
    const SHOWN: usize = 3;
    let stuck = stuck.iter().filter(|stuck| !stuck.meant).map(|StuckVm { vm, why, .. }| format!("{vm}: {why}"));
    let stuck: Vec<String> = stuck.collect();
    let more = stuck.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let shown = stuck[..stuck.len().min(SHOWN)].join("; ");
    (!stuck.is_empty()).then(|| format!("{name} cannot be drained: {shown}{more}"))
}

impl Drain {
    /// What outlives a restart: where its VMs are is found out anew.
    pub(super) fn kept(&self) -> Self {
        Self { of: 0, stuck: Vec::new(), ..self.clone() }
    }
}

impl Draining {
    pub(super) const fn of(drain: Drain) -> Self {
        Self { drain, planned: BTreeMap::new(), spared: BTreeMap::new(), stuck_since: None }
    }
}
