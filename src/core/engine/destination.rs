//! Picks the host that a move goes to.

use crate::core::cluster::{Array, ArrayId, HostId, HostState, Pick, Span, Timestamp, VmId};
use crate::core::format::{duration, percent};
use crate::core::policy::Decision;

use super::memory::FAILURE_MEMORY;
use super::message::Target;
use super::{Engine, host_word};

/// For this time after the start, the ring waits for hosts that have not answered yet.
const FIRST_ANSWERS: Span = Span::from_secs(10);

impl Engine {
    /// The host a policy's decision leads to, or why there is none.
    pub(super) fn destination(&self, vm: VmId, action: Decision, now: Timestamp) -> Result<HostId, String> {
        match action {
            Decision::Stay => Err("nothing is to be moved".to_owned()),
            Decision::Move => self.pick(vm, self.here(vm), now),
            Decision::MoveToBase => self.base(vm),
            Decision::MoveHome => self.pick_at(vm, self.cluster.vm(vm).array, now),
            Decision::MoveAway => {
                let away = self.cluster.vm(vm).away.ok_or("it has no other site to go to")?;
                self.pick_at(vm, away, now)
            }
        }
    }

    /// The host an operator's target leads to, or why there is none.
    pub(super) fn target(&self, vm: VmId, target: &Target, now: Timestamp) -> Result<HostId, String> {
        match target {
            Target::Next => self.destination(vm, Decision::Move, now),
            Target::Base => self.destination(vm, Decision::MoveToBase, now),
            Target::Away => self.destination(vm, Decision::MoveAway, now),
            Target::Home => self.destination(vm, Decision::MoveHome, now),
            Target::Up => self.neighbour(vm, 1, "last"),
            Target::Down => self.neighbour(vm, -1, "first"),
            Target::Host(name) => {
                let host = self.host_named(name).ok_or_else(|| format!("there is no host {name}"))?;
                self.reachable(vm, host)?;
                self.admits(vm, host, 0).map(|()| host)
            }
        }
    }

    /// The decision that an operator's target amounts to.
    pub(super) fn action_of(&self, vm: VmId, to: HostId) -> Decision {
        let (here, there) = (self.here(vm), self.cluster.host(to).array);
        if here == there {
            if self.cluster.is_base(to) { Decision::MoveToBase } else { Decision::Move }
        } else if there == self.cluster.vm(vm).array {
            Decision::MoveHome
        } else {
            Decision::MoveAway
        }
    }

    /// The array the VM is in now.
    fn here(&self, vm: VmId) -> ArrayId {
        self.cluster.host(self.live(vm).host).array
    }

    fn pick_at(&self, vm: VmId, array: ArrayId, now: Timestamp) -> Result<HostId, String> {
        if self.here(vm) == array {
            return Err(format!("it is in {} already", self.cluster.array(array).name));
        }
        self.pick(vm, array, now)
    }

    fn pick(&self, vm: VmId, array: ArrayId, now: Timestamp) -> Result<HostId, String> {
        let described = self.cluster.array(array);
        match described.pick {
            Pick::Next => self.pick_next(vm, array, now),
            Pick::Best => self.pick_best(vm, described, now),
        }
    }

    /// The ring's successor of the last ring host the VM was on, skipping those that cannot take it.
    fn pick_next(&self, vm: VmId, id: ArrayId, now: Timestamp) -> Result<HostId, String> {
        let mut refusals = Vec::new();
        for host in self.others(vm, id) {
            match self.eligible(vm, host, 0, now) {
                Ok(()) => return Ok(host),
                // Skipping a host only because it answers later than others would break the ring's order.
                Err(_) if self.may_answer_yet(vm, host, now) => {
                    return Err(format!("{} has not answered yet", self.cluster.host(host).name));
                }
                Err(why) => refusals.push(why),
            }
        }
        Err(none_would(&refusals))
    }

    fn may_answer_yet(&self, vm: VmId, host: HostId, now: Timestamp) -> bool {
        let unheard = self.host_state(host) == HostState::Unknown && self.live(vm).host != host;
        unheard && now.since(self.begun) < FIRST_ANSWERS
    }

    /// An array's ring without the VM's own host, beginning after the last host of it that the VM was on.
    pub(super) fn others(&self, vm: VmId, id: ArrayId) -> impl Iterator<Item = HostId> {
        let ring = &self.cluster.array(id).ring;
        let last = self.live(vm).ring_host(id).and_then(|host| ring.iter().position(|h| *h == host));
        let first = last.map_or(0, |position| position + 1);
        let here = self.live(vm).host;
        (0..ring.len()).map(move |n| ring[(first + n) % ring.len()]).filter(move |host| *host != here)
    }

    /// The eligible host with the most headroom, only if it has more than the present host. Its load includes VMs on their
    /// way to it and those that came after it was measured, so that VMs which move together do not all pick the same host.
    fn pick_best(&self, vm: VmId, array: &Array, now: Timestamp) -> Result<HostId, String> {
        let here = self.live(vm).host;
        let mut refusals = Vec::new();
        let mut best: Option<(HostId, f64)> = None;
        for &host in array.ring.iter().filter(|host| **host != here) {
            let load = self.load_soon(here, host);
            match (self.eligible(vm, host, 0, now), load) {
                (Err(why), _) => refusals.push(why),
                (Ok(()), None) => refusals.push(format!("{} not measured", self.host_name(host))),
                (Ok(()), Some(load)) if best.is_none_or(|(_, least)| load < least) => best = Some((host, load)),
                (Ok(()), Some(_)) => {}
            }
        }
        let (host, load) = best.ok_or_else(|| none_would(&refusals))?;
        // From the base or another site a VM moves into the ring even if that is no better.
        let compares = array.ring.contains(&here);
        match self.host(here).load.filter(|_| compares) {
            Some(now_at) if load >= now_at => Err(format!(
                "no beneficial move: best is {} at {} load, here {}",
                self.cluster.host(host).name,
                percent(load),
                percent(now_at)
            )),
            _ => Ok(host),
        }
    }

    /// A host's load with the VMs that it was not measured with: those on their way to it, and those that came since. Each
    /// is taken to weigh as much as a VM of the host `from`.
    pub(super) fn load_soon(&self, from: HostId, host: HostId) -> Option<f64> {
        let (source, live) = (self.host(from), self.host(host));
        let share = source.load.unwrap_or(0.0) / f64::from(source.measured_vms.max(1));
        let unmeasured = live.vms.saturating_sub(live.measured_vms) + self.incoming(host);
        Some(live.load? + share * f64::from(unmeasured))
    }

    fn base(&self, vm: VmId) -> Result<HostId, String> {
        let array = self.cluster.array(self.here(vm));
        let base = array.base.ok_or_else(|| format!("array {} has no base", array.name))?;
        self.admits(vm, base, 0).map(|()| base)
    }

    fn neighbour(&self, vm: VmId, step: isize, end: &str) -> Result<HostId, String> {
        let host = self.live(vm).host;
        let array = self.cluster.array_of(host);
        let name = &self.cluster.host(host).name;
        let Some(position) = array.ring.iter().position(|h| *h == host) else {
            return Err(format!("{name} is the base, not in the ring"));
        };
        let next = position.checked_add_signed(step).and_then(|p| array.ring.get(p).copied());
        let next = next.ok_or_else(|| format!("{name} is the {end} of the ring"))?;
        self.admits(vm, next, 0).map(|()| next)
    }

    /// Whether a migration from here to there can work at all.
    fn reachable(&self, vm: VmId, host: HostId) -> Result<(), String> {
        let (here, there) = (self.here(vm), self.cluster.host(host).array);
        let described = self.cluster.vm(vm);
        let between_sites = described.away.is_some_and(|away| [away, described.array].contains(&there));
        if here == there || between_sites {
            return Ok(());
        }
        let (host, array) = (&self.cluster.host(host).name, &self.cluster.array(there).name);
        Err(format!("{host} is in array {array}: no live migration between arrays"))
    }

    /// Whether a policy may pick this host after `more` other VMs are assigned to it.
    pub(super) fn eligible(&self, vm: VmId, host: HostId, more: u32, now: Timestamp) -> Result<(), String> {
        self.admits(vm, host, more)?;
        match self.live(vm).failed_on(host, now) {
            Some(at) => {
                let left = (at + FAILURE_MEMORY).since(now);
                Err(format!("the last move to {} failed, again in {}", self.cluster.host(host).name, duration(left)))
            }
            None => Ok(()),
        }
    }

    /// Whether a host takes this VM after `more` others: it is up, not draining, not full, and not the VM's own host.
    pub(super) fn admits(&self, vm: VmId, host: HostId, more: u32) -> Result<(), String> {
        let described = self.cluster.host(host);
        let name = &described.name;
        if self.live(vm).host == host {
            return Err(format!("on {name} already"));
        }
        let state = self.host_state(host);
        if state != HostState::Up {
            return Err(format!("{name} {}", host_word(state)));
        }
        if described.capacity.is_some_and(|capacity| self.host(host).vms + self.incoming(host) + more >= capacity) {
            return Err(format!("{name} full"));
        }
        Ok(())
    }

    /// Says so if the VM is flapping: every eligible ring host was a confirmed destination within the flap window, and no
    /// counted sample in between was back in bounds.
    pub(super) fn was_everywhere(&self, vm: VmId, now: Timestamp) -> Option<String> {
        let window = self.cluster.limits.flap_window?;
        let live = self.live(vm);
        let array = self.cluster.array(self.here(vm));
        let tried = |host: HostId| live.tried.iter().any(|(at, h)| *h == host && now.since(*at) <= window);
        let mut any = false;
        for &host in &array.ring {
            let here = host == live.host;
            if here || self.eligible(vm, host, 0, now).is_ok() {
                if !tried(host) {
                    return None;
                }
                any = any || !here;
            }
        }
        let ends = [array.ring.first()?, array.ring.last()?].map(|h| self.cluster.host(*h).name.as_str());
        any.then(|| format!("{}-{} all tried within {}, never back in bounds", ends[0], ends[1], duration(window)))
    }
}

pub(super) fn none_would(refusals: &[String]) -> String {
    const SHOWN: usize = 4;
    match refusals.len() {
        0 => "no host would take it: there is no other in the ring".to_owned(),
        1..=SHOWN => format!("no host would take it: {}", refusals.join(", ")),
        more => format!("no host would take it: {} and {} more", refusals[..SHOWN].join(", "), more - SHOWN),
    }
}
