//! A changed config: VMs and hosts go on by name, migrations by their requests.

use super::happen::Due;
use super::{Plan, Simulation};
use crate::core::cluster::{Cluster, Timestamp};
use crate::core::engine::{Event, Names};

impl Simulation {
    /// Goes on with a changed cluster and plan. VMs of a name that was in `old` stay where they are, with their
    /// counters and queues; hosts stay down that are; migrations go on whose VM and hosts are still there. Outages of
    /// the plan that began before `now` are over.
    pub fn reconfigure(&mut self, old: &Cluster, new: &Cluster, mut plan: Plan, now: Timestamp) {
        self.catch_up(now);
        let names = Names::between(old, new);
        let mut placed = new.clone();
        for (guest, vm) in self.crowd.guests.iter().zip(&names.vms) {
            if let (Some(vm), Some(host)) = (vm, names.hosts[guest.host.index()]) {
                placed.vms[vm.index()].host = host;
            }
        }
        plan.outages.retain(|outage| outage.from > now);
        let simulates: Vec<bool> = new.hosts.iter().map(|host| plan.simulates(host.array)).collect();
        let mut before = std::mem::replace(self, Self::new(&placed, plan, now));
        // The others are told again, or of ids that are no more.
        before.untold.retain(|event| matches!(event, Event::Ended { .. }));
        self.untold.append(&mut before.untold);
        self.carry_hosts(&before, &names, &simulates);
        self.carry_migrations(&before, &names);
        self.carry_vms(before, &names, now);
    }

    fn carry_hosts(&mut self, before: &Self, names: &Names, simulates: &[bool]) {
        for (machine, host) in before.crowd.machines.iter().zip(&names.hosts) {
            if let (Some(host), Some(until)) = ((*host).filter(|host| simulates[host.index()]), machine.down_until) {
                self.crowd.machines[host.index()].down_until = Some(until);
                self.push(until, Due::Returns(host));
            }
        }
    }

    fn carry_migrations(&mut self, before: &Self, names: &Names) {
        for (id, moving) in &before.moving {
            let Some(route) = names.route(moving.route) else { continue };
            let mut moving = moving.clone();
            moving.route = route;
            let guest = &mut self.crowd.guests[route.vm.index()];
            (guest.moving, guest.off) = (Some(*id), !moving.is_live());
            self.push(moving.ends, Due::Ends(*id));
            if let Some((n, at)) = moving.next_report(before.now) {
                self.push(at, Due::Progress(*id, n));
            }
            self.moving.insert(*id, moving);
        }
    }

    fn carry_vms(&mut self, before: Self, names: &Names, now: Timestamp) {
        for (guest, vm) in before.crowd.guests.into_iter().zip(&names.vms) {
            let Some(vm) = *vm else { continue };
            self.crowd.guests[vm.index()].carry_on(guest);
            self.interrupt(vm, now);
            self.resume(vm, now);
        }
    }
}
