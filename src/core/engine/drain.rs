//! A host is emptied: its VMs leave as a stream under the limits of migrations at once, and it takes no more until it
//! is released. Commanded, or because the config says that the host is draining.

use std::collections::BTreeMap;

use super::operate::Said;
use super::reload::CONFIG;
use super::{Engine, host_word};
use crate::core::cluster::{HostId, HostState, Timestamp, VmId};

/// A host that is being emptied, or is kept empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// Who wants it: an operator, or `config`.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// No more VMs are sent away for now.
    pub paused: bool,
    /// VMs it had when it began, and those that came since.
    pub of: u32,
    /// VMs that have left it.
    pub moved: u32,
    /// VMs that cannot leave it at present, and why.
    pub stuck: Vec<(VmId, String)>,
    /// It is empty.
    pub done: bool,
    /// An operator wants it, and not only the config.
    pub(super) commanded: bool,
    /// Where its VMs go, as it was shown when it began.
    pub(super) planned: BTreeMap<VmId, HostId>,
    /// That it cannot be emptied was said.
    pub(super) told: bool,
}

impl Engine {
    /// The emptying of a host; `None`: it takes VMs.
    pub fn drain(&self, host: HostId) -> Option<&Drain> {
        self.drains.get(&host)
    }

    fn host_id(&self, name: &str) -> Result<HostId, String> {
        self.cluster.host_named(name).ok_or_else(|| format!("there is no host {name}"))
    }

    fn drain_of(&mut self, name: &str) -> Result<(HostId, &mut Drain), String> {
        let host = self.host_id(name)?;
        let drain = self.drains.get_mut(&host).ok_or_else(|| format!("{name} is not being drained"))?;
        Ok((host, drain))
    }

    pub(super) fn begin_drain(&mut self, now: Timestamp, by: &str, name: &str) -> Said {
        let host = self.host_id(name)?;
        if let Some(drain) = self.drains.get(&host).filter(|drain| drain.commanded) {
            let is = if drain.done { "drained" } else { "being drained" };
            return Err(format!("{name} is {is} already"));
        }
        match self.host_state(host) {
            HostState::Up | HostState::Draining => {}
            state => return Err(format!("{name} is {}: its VMs cannot be moved live", host_word(state))),
        }
        let moved = self.drains.get(&host).map_or(0, |drain| drain.moved);
        let moves = self.drain_plan(host, now).moves;
        let planned = moves.iter().filter_map(|planned| Some((planned.vm, *planned.to.as_ref().ok()?))).collect();
        let begun = Drain { moved, planned, commanded: true, ..Drain::begun(by, now) };
        self.drains.insert(host, begun);
        let vms = self.hosts[host.index()].vms;
        Ok(format!("{name}: draining, VMs to leave: {vms}"))
    }

    pub(super) fn end_drain(&mut self, name: &str) -> Said {
        let (host, drain) = self.drain_of(name)?;
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
        let (_, drain) = self.drain_of(name)?;
        if drain.done {
            return Err(format!("{name} is drained already"));
        }
        if std::mem::replace(&mut drain.paused, true) {
            return Err(format!("{name}: its draining is paused already"));
        }
        Ok(format!("{name}: draining paused, it takes no VMs; what is on its way goes on"))
    }

    pub(super) fn resume_drain(&mut self, name: &str) -> Said {
        let (_, drain) = self.drain_of(name)?;
        if !std::mem::replace(&mut drain.paused, false) {
            return Err(format!("{name}: its draining is not paused"));
        }
        Ok(format!("{name}: draining goes on"))
    }

    /// Whether a VM can be moved away from where it is at all.
    pub(super) fn can_leave(&self, vm: VmId) -> Result<(), String> {
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

impl Drain {
    pub(super) fn begun(by: &str, now: Timestamp) -> Self {
        Self {
            by: by.to_owned(),
            since: now,
            paused: false,
            of: 0,
            moved: 0,
            stuck: Vec::new(),
            done: false,
            commanded: by != CONFIG,
            planned: BTreeMap::new(),
            told: false,
        }
    }
}
