//! What a policy must agree with: the service, the array, the deadline and the driver. The rules are the same for a whole file
//! and for one block of it.

use std::hash::Hash;

use toml::de::DeTable;

use super::super::report::Diagnostics;
use super::super::toml_reader::Table;
use super::policy;
use super::policy::Policy;
use crate::core::cluster::{Cluster, Direction, Driver, Monitor, Source, Span, VmId};
use crate::core::format::exact_span;
use crate::core::policy::{PolicyKind, Settings};
use crate::core::simulation::{Service, VmPlan};

/// What is wrong, and what would be right; `None`: they agree.
type Disagreement<M> = Option<(M, &'static str)>;

/// A site policy works through queues, the others watch an indicator.
pub(super) fn with_service(kind: PolicyKind, queue: bool) -> Disagreement<&'static str> {
    match (kind == PolicyKind::Site, queue) {
        (true, false) => Some((
            "a site policy needs a monitor that reports job queues",
            "write monitor = { kind = \"simulated\", service = \"queue\" }, or use another policy",
        )),
        (false, true) => Some((
            "only a site policy works through job queues",
            "use a policy of kind \"site\", or watch another service",
        )),
        _ => None,
    }
}

/// A policy that moves to the base needs one.
pub(super) fn with_array(kind: PolicyKind, array: &str, base: bool) -> Disagreement<String> {
    let needs = matches!(kind, PolicyKind::Base | PolicyKind::Schedule);
    (needs && !base).then(|| {
        let message = format!("this policy moves to the base, and array '{array}' has none");
        (message, "add base = \"HOST\" to the array, or use a threshold policy")
    })
}

/// A monitor that reads from a driver needs that driver.
pub(super) fn with_driver(source: &Source, array: &str, driver: &Driver) -> Disagreement<String> {
    let (what, needed, help) = match (source, driver) {
        (Source::Hypervisor { .. }, Driver::Simulator | Driver::Command(_)) => (
            "a monitor of kind 'hypervisor'",
            "libvirt",
            "watch the VM's service instead, or give the array that driver",
        ),
        (Source::Simulated, Driver::Libvirt(_) | Driver::Command(_)) => {
            ("a simulated service", "simulator", "watch a real one, or give the array that driver")
        }
        _ => return None,
    };
    let message = format!("{what} needs the driver '{needed}', and array '{array}' has '{}'", driver.word());
    Some((message, help))
}

/// So far only the simulator moves VMs between sites.
pub(super) fn between_sites(array: &str, driver: &Driver) -> Disagreement<String> {
    (*driver != Driver::Simulator).then(|| {
        let message = format!("moves between sites need the simulator, and array '{array}' has '{}'", driver.word());
        (message, "use another policy: no other driver moves VMs between sites yet")
    })
}

/// The deadline of an http check, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Deadline {
    /// The config.
    Set(Span),
    /// The default, from the interval.
    Default(Span),
    /// The simulator.
    Simulated(Span),
}

impl Deadline {
    /// The deadline of a check whose timeout counts as a sample; `None` for other monitors.
    pub fn of(source: &Source, plan: &VmPlan, deadline: Span, is_set: bool) -> Option<Self> {
        match source {
            Source::Http { .. } if is_set => Some(Self::Set(deadline)),
            Source::Http { .. } => Some(Self::Default(deadline)),
            Source::Simulated if plan.service == Some(Service::Http) => Some(Self::Simulated(deadline)),
            _ => None,
        }
    }

    /// A timeout must be beyond the threshold.
    pub(super) fn and_threshold(self, threshold: f64) -> Disagreement<String> {
        const LONGER: &str =
            "a check that times out counts as its deadline: write a longer deadline, or a lower threshold";
        let (deadline, which, help) = match self {
            Self::Set(deadline) => (deadline, "deadline", LONGER),
            Self::Default(deadline) => (deadline, "default deadline", LONGER),
            Self::Simulated(deadline) => {
                let help = "a check that times out counts as its deadline: write a lower threshold";
                (deadline, "simulator's deadline", help)
            }
        };
        let message = || format!("the {which} {} is not above the threshold of {threshold} ms", exact_span(deadline));
        (!Monitor::timeout_is_beyond(deadline, threshold)).then(|| (message(), help))
    }
}

/// What a policy must agree with in one VM.
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

    /// Two VMs with equal needs give the same faults.
    pub fn needs(&self) -> impl Hash + Eq + use<> {
        (self.direction == Direction::LowerIsWorse, self.queue, self.array.clone(), self.deadline)
    }

    fn check(&self, policy: &Policy, diagnostics: &Diagnostics) {
        if let Some(kind) = &policy.kind {
            if let Some((message, help)) = with_service(kind.value, self.queue) {
                diagnostics.error(kind.span.clone(), message, help);
            }
            if let Some((message, help)) = with_array(kind.value, &self.array, self.base) {
                diagnostics.error(kind.span.clone(), message, help);
            }
        }
        let Some((high, deadline)) = policy.high.as_ref().zip(self.deadline) else { return };
        if let Some((message, help)) = deadline.and_threshold(high.value) {
            diagnostics.error(high.span.clone(), message, help);
        }
    }
}

/// The settings that a block gives the first of these VMs; its faults for any of them are recorded in `diagnostics`. Without VMs,
/// the settings for an indicator of which higher is worse. The other VMs' settings differ in the direction only.
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
