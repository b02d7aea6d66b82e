//! One policy block on its own, judged as the whole file would be.

use std::hash::Hash;

use toml::de::DeTable;

use super::super::diagnostics::Diagnostics;
use super::super::toml_reader::Table;
use super::agree::{self, Deadline};
use super::policy::{self, Policy};
use crate::core::cluster::{Cluster, Direction, Monitor, VmId};
use crate::core::policy::Settings;
use crate::core::simulation::{Service, VmPlan};

/// What a VM brings that its policy must agree with.
#[derive(Debug, Clone)]
pub(in super::super) struct User {
    vm: String,
    direction: Direction,
    /// It reports job queues.
    queue: bool,
    array: String,
    /// Its array has a base.
    base: bool,
    /// Of an http check.
    deadline: Option<Deadline>,
}

impl User {
    /// A VM of a cluster that was read.
    pub fn of(cluster: &Cluster, id: VmId, monitor: &Monitor, plan: &VmPlan) -> Self {
        let vm = cluster.vm(id);
        let array = cluster.array(vm.array);
        let is_set = monitor.deadline != Monitor::default_deadline(vm.interval);
        Self {
            vm: vm.name.to_string(),
            direction: vm.policy.direction,
            queue: plan.service == Some(Service::Queue),
            array: array.name.to_string(),
            base: array.base.is_some(),
            deadline: Deadline::of(&monitor.source, plan, monitor.deadline, is_set),
        }
    }

    /// What tells VMs apart to a policy: of two with the same, one is enough.
    pub fn needs(&self) -> impl Hash + Eq + use<> {
        (self.direction == Direction::LowerIsWorse, self.queue, self.array.clone(), self.deadline)
    }

    fn check(&self, policy: &Policy, diagnostics: &Diagnostics) {
        if let Some(kind) = &policy.kind {
            if let Some((message, help)) = agree::with_service(kind.value, self.queue) {
                diagnostics.error(kind.span.clone(), message, help);
            }
            if let Some((message, help)) = agree::with_array(kind.value, &self.array, self.base) {
                diagnostics.error(kind.span.clone(), message, help);
            }
        }
        let Some((high, deadline)) = policy.high.as_ref().zip(self.deadline) else { return };
        if let Some((message, help)) = deadline.and_threshold(high.value) {
            diagnostics.error(high.span.clone(), message, help);
        }
    }
}

/// What the first of these VMs gets of a block, the faults it has for any of them recorded in `diagnostics`; without VMs, what one
/// would get for which higher is worse. Another VM gets the same, but for its direction.
pub(in super::super) fn block(tree: &DeTable<'_>, users: &[User], diagnostics: &Diagnostics) -> Option<Settings> {
    let policy = policy::read(Table::root(tree, policy::POLICY, diagnostics), diagnostics);
    let settings = |user: &User| {
        user.check(&policy, diagnostics);
        policy.settings(user.direction, &user.vm, diagnostics)
    };
    let all: Vec<Option<Settings>> = users.iter().map(settings).collect();
    policy.check_alone(diagnostics);
    match all.into_iter().next() {
        Some(first) => first,
        None => policy.settings(Direction::default(), "", &Diagnostics::default()),
    }
}
