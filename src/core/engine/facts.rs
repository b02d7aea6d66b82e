//! What drivers find: the state of a host, and where a VM runs. The engine accepts what a driver finds, and does not move a
//! VM back that somebody else has moved.

use super::memory::{Hold, HoldCause, Location};
use super::message::Effect;
use super::record::{Gate, Happened, Record};
use super::{Engine, host_word, in_vms};
use crate::core::cluster::{HostId, HostState, Timestamp, VmId};

/// The author of records about what a driver found.
const DRIVER: &str = "driver";

impl Engine {
    pub(super) fn on_host(
        &mut self,
        now: Timestamp,
        host: HostId,
        state: HostState,
        load: Option<f64>,
        why: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        let live = &mut self.hosts[host.index()];
        let before = std::mem::replace(&mut live.state, state);
        live.load = load.filter(|load| load.is_finite());
        live.measured_vms = live.vms;
        if before == state {
            return;
        }
        self.look_at_drains();
        if before == HostState::Unknown && state == HostState::Up {
            return;
        }
        let name = &self.cluster.host(host).name;
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        if state == HostState::Down {
            let went = if before == HostState::Unknown { "is" } else { "went" };
            let text = format!("host {name} {went} down, with {} on it{why}", in_vms(self.host(host).vms));
            return self.alarm(now, None, text, out);
        }
        let text = format!("host {name} is {}{why}", host_word(state));
        let what = Happened::Operator { by: DRIVER.to_owned(), text };
        out.push(Effect::Record(Record { at: now, vm: None, what }));
    }

    /// Handles where a driver found a VM. While the VM migrates, the migration's outcome says where it is; what was found
    /// before the start counts only if the migration does not start.
    pub(super) fn on_found(&mut self, now: Timestamp, vm: VmId, hosts: &[HostId], out: &mut Vec<Effect>) {
        if let Some(id) = self.live(vm).transient.migration {
            return self.found_meanwhile(id, hosts);
        }
        match hosts {
            [] => self.found_nowhere(now, vm, out),
            [host] => self.found_on(now, vm, *host, out),
            [one, other, ..] => self.found_twice(now, vm, [*one, *other], out),
        }
        self.look_at_drains();
        self.say_state(now, vm, out);
    }

    fn found_on(&mut self, now: Timestamp, vm: VmId, host: HostId, out: &mut Vec<Effect>) {
        let known = self.live(vm).host;
        let before = std::mem::replace(&mut self.live_mut(vm).location, Location::Here);
        let is_elsewhere = known != host;
        if is_elsewhere {
            self.placed(vm, host);
        }
        let name = self.host_name(host);
        let said = match before {
            // An operator has to look at it first, so it stays held.
            _ if self.is_broken(vm) && (is_elsewhere || before != Location::Here) => {
                format!("runs on {name} again: held until released")
            }
            Location::Unreported if is_elsewhere => format!("runs on {name}"),
            _ if is_elsewhere => return self.moved_by_others(now, vm, known, out),
            Location::Nowhere | Location::Twice => format!("runs on {name} again"),
            Location::Unreported | Location::Here => return,
        };
        self.record(now, vm, Happened::Operator { by: DRIVER.to_owned(), text: said }, out);
    }

    /// Holds a VM that somebody else moved, instead of moving it back.
    fn moved_by_others(&mut self, now: Timestamp, vm: VmId, from: HostId, out: &mut Vec<Effect>) {
        let (name, here) = (self.name(vm), self.host_name(self.live(vm).host));
        let text =
            format!("{name} was moved from {} to {here} by somebody else; held until released", self.host_name(from));
        self.drop_waiting(now, vm, Gate::Hold, "somebody else moved it", out);
        self.hold(vm, Hold { until: Timestamp::NEVER, cause: HoldCause::Foreign });
        self.alarm(now, Some(vm), text, out);
    }

    fn found_nowhere(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.live_mut(vm).location, Location::Nowhere);
        self.drop_waiting(now, vm, Gate::Quality, "it runs nowhere", out);
        if before != Location::Nowhere && !self.is_outcome_of(vm, before, HoldCause::Lost) {
            let text = format!("{} {}: start it; nothing is moved", self.name(vm), self.on_no_host(vm));
            self.alarm(now, Some(vm), text, out);
        }
    }

    fn found_twice(&mut self, now: Timestamp, vm: VmId, hosts: [HostId; 2], out: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.live_mut(vm).location, Location::Twice);
        if before == Location::Twice || self.is_outcome_of(vm, before, HoldCause::Double) {
            return;
        }
        let [one, other] = hosts;
        if !hosts.contains(&self.live(vm).host) {
            self.placed(vm, one);
        }
        self.drop_waiting(now, vm, Gate::Hold, "it runs at two hosts", out);
        self.hold(vm, Hold { until: Timestamp::NEVER, cause: HoldCause::Double });
        let text = self.runs_twice(vm, one, other);
        self.alarm(now, Some(vm), text, out);
    }

    /// Whether a migration's outcome has already said what the driver finds now.
    fn is_outcome_of(&self, vm: VmId, before: Location, cause: HoldCause) -> bool {
        before == Location::Unreported && self.live(vm).hold.is_some_and(|hold| hold.cause == cause)
    }

    /// Checks that drivers find the VM on exactly one host, or have not reported yet.
    ///
    /// # Errors
    /// What is wrong, in words: `it runs nowhere`.
    pub fn runs_once(&self, vm: VmId) -> Result<(), String> {
        match self.live(vm).location {
            Location::Unreported | Location::Here => Ok(()),
            Location::Nowhere => Err("it runs nowhere".to_owned()),
            Location::Twice => Err("it runs at two hosts".to_owned()),
        }
    }

    pub(super) fn on_no_host(&self, vm: VmId) -> String {
        format!("runs on no host of array {}", self.cluster.array_of(self.live(vm).host).name)
    }

    pub(super) fn runs_twice(&self, vm: VmId, one: HostId, other: HostId) -> String {
        let [one, other] = [one, other].map(|host| self.host_name(host));
        format!("{} runs twice, on {one} and on {other}: stop one, then release it", self.name(vm))
    }
}
