//! A changed cluster: VMs keep their place, their service's past and their queue by name; migrations go on.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::plan::Plan;
use super::world::{Due, Simulation};
use crate::core::cluster::{Cluster, HostId, Timestamp, VmId};
use crate::core::engine::Route;

impl Simulation {
    /// Takes a changed cluster over. VMs that were there keep what the simulator knows of them, also where the plan
    /// describes them otherwise now; VMs whose host is gone are where the new cluster says.
    pub fn reconfigure(&mut self, old: &Cluster, new: &Cluster, plan: Plan, now: Timestamp) {
        let fresh = Self::new(new, plan, now);
        let before = std::mem::replace(self, fresh);
        let vms: HashMap<&str, VmId> =
            new.vms.iter().enumerate().map(|(n, vm)| (vm.name.as_str(), VmId::at(n))).collect();
        let hosts: HashMap<&str, HostId> =
            new.hosts.iter().enumerate().map(|(n, host)| (host.name.as_str(), HostId::at(n))).collect();
        let vm_now = |id: VmId| vms.get(old.vm(id).name.as_str()).copied();
        let host_now = |id: HostId| hosts.get(old.host(id).name.as_str()).copied();
        for (position, guest) in before.crowd.guests.into_iter().enumerate() {
            if let (Some(vm), Some(host)) = (vm_now(VmId::at(position)), host_now(guest.host)) {
                self.crowd.guests[vm.index()].inherit(guest);
                self.crowd.carry(vm, host, now);
                self.resume(vm, now);
            }
        }
        for (id, mut moving) in before.moving {
            let Route { vm, from, to, .. } = moving.route;
            if let (Some(vm), Some(from), Some(to)) = (vm_now(vm), host_now(from), host_now(to)) {
                moving.route = Route { id, vm, from, to };
                self.due.push(Reverse((moving.ends, Due::Ends(id))));
                self.moving.insert(id, moving);
            }
        }
    }
}
