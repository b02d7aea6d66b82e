//! What drivers find: how a host is, and where a VM runs. What contradicts what is known is not fought over.

use super::drain::in_vms;
use super::live::{Hold, HoldCause};
use super::message::Effect;
use super::record::{Gate, Happened, Record};
use super::{Engine, host_word};
use crate::core::cluster::{HostId, HostState, Timestamp, VmId};

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
        if before == state {
            return;
        }
        self.look_at_drains();
        if before == HostState::Unknown && state == HostState::Up {
            return;
        }
        let name = &self.cluster.host(host).name;
        match state {
            HostState::Down => {
                let vms = in_vms(self.host(host).vms);
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                let text = format!("host {name} went down, with {vms} on it{why}");
                self.alarm(now, None, text, out);
            }
            HostState::Up | HostState::Draining | HostState::Unknown => {
                let text = format!("host {name} is {}", host_word(state));
                let what = Happened::Operator { by: "driver".to_owned(), text };
                out.push(Effect::Record(Record { at: now, vm: None, what }));
            }
        }
    }

    /// A driver found the VM elsewhere: somebody else moved it, and it is not fought over.
    pub(super) fn on_found(&mut self, now: Timestamp, vm: VmId, hosts: &[HostId], out: &mut Vec<Effect>) {
        let (live, &[host]) = (self.live(vm), hosts) else { return };
        if live.flight.is_some() || live.host == host {
            return;
        }
        let text = format!(
            "{} was moved from {} to {} by somebody else; held until released",
            self.name(vm),
            self.host_name(live.host),
            self.host_name(host)
        );
        self.placed(vm, host);
        self.drop_waiting(now, vm, Gate::Hold, "somebody else moved it", out);
        self.hold(vm, Hold { until: Timestamp::NEVER, cause: HoldCause::Foreign });
        self.alarm(now, Some(vm), text, out);
        self.say_state(now, vm, out);
    }
}
