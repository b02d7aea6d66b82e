//! Where the ids of one cluster are in the next: by name, the only thing that outlives a changed config.

use std::collections::HashMap;

use super::message::Route;
use crate::core::cluster::{ArrayId, Cluster, HostId, VmId};

/// By old id: the new one, if the name is still there.
pub(in crate::core) struct Names {
    pub(in crate::core) vms: Vec<Option<VmId>>,
    pub(in crate::core) hosts: Vec<Option<HostId>>,
    pub(in crate::core) arrays: Vec<Option<ArrayId>>,
}

impl Names {
    pub(in crate::core) fn between(old: &Cluster, new: &Cluster) -> Self {
        Self {
            vms: paired(&old.vms, &new.vms, |vm| &vm.name, VmId::at),
            hosts: paired(&old.hosts, &new.hosts, |host| &host.name, HostId::at),
            arrays: paired(&old.arrays, &new.arrays, |array| &array.name, ArrayId::at),
        }
    }

    /// The route in the new ids, if its VM and both its hosts are still there.
    pub(in crate::core) fn route(&self, route: Route) -> Option<Route> {
        let (vm, from) = (self.vms[route.vm.index()]?, self.hosts[route.from.index()]?);
        Some(Route { vm, from, to: self.hosts[route.to.index()]?, ..route })
    }
}

fn paired<T, I: Copy>(old: &[T], new: &[T], name: impl Fn(&T) -> &str, id: impl Fn(usize) -> I) -> Vec<Option<I>> {
    let places: HashMap<&str, I> = new.iter().enumerate().map(|(place, thing)| (name(thing), id(place))).collect();
    old.iter().map(|thing| places.get(name(thing)).copied()).collect()
}
