//! What a policy must agree with: the service, the array, the deadline and the driver. The rules are the same for a whole file
//! and for one block of it.

use std::collections::HashSet;

use toml::Spanned;
use toml::de::DeTable;

use super::super::model::Config;
use super::super::report::Diagnostics;
use super::super::toml_reader::Table;
use super::{monitor, policy};
use crate::core::cluster::{Direction, Driver, Monitor, Source, VmId};
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
            "add a [[queue]] and write monitor = { kind = \"queue\", queue = \"NAME\" }, or use another policy",
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

/// The timeout of an http check counts as a sample, which must be beyond the threshold. `is_set`: the config has the deadline.
pub(super) fn with_deadline(monitor: &Monitor, plan: &VmPlan, is_set: bool, threshold: f64) -> Disagreement<String> {
    let which = match &monitor.source {
        Source::Http { .. } if is_set => "deadline",
        Source::Http { .. } => "default deadline",
        Source::Simulated if plan.service == Some(Service::Http) => "simulator's deadline",
        _ => return None,
    };
    let help = match &monitor.source {
        Source::Simulated => "a check that times out counts as its deadline: write a lower threshold",
        _ => "a check that times out counts as its deadline: write a longer deadline, or a lower threshold",
    };
    (!Monitor::timeout_is_beyond(monitor.deadline, threshold)).then(|| {
        let deadline = exact_span(monitor.deadline);
        (format!("the {which} {deadline} is not above the threshold of {threshold} ms"), help)
    })
}

/// The settings that a block gives a VM; its faults for any of the VMs that would have it are recorded in `diagnostics`. The other
/// VMs' settings differ in the direction only.
pub(in super::super) fn block(
    tree: &DeTable<'_>,
    config: &Config,
    vms: impl Iterator<Item = VmId>,
    diagnostics: &Diagnostics<'_>,
) -> Option<Settings> {
    let policy = policy::read(Table::root(tree, policy::POLICY, diagnostics));
    let (mut seen, mut settings) = (HashSet::new(), None);
    for id in vms {
        let (vm, monitor, plan) =
            (config.cluster.vm(id), config.monitors.get(id.index())?, config.plan.vms.get(id.index())?);
        let queue = monitor::is_queue(&monitor.source, plan);
        let is_set = monitor.deadline != Monitor::default_deadline(vm.interval);
        let too_late = |high: &Spanned<f64>| with_deadline(monitor, plan, is_set, *high.get_ref());
        let lower = vm.policy.direction == Direction::LowerIsWorse;
        // VMs with equal needs give the same faults.
        if !seen.insert((lower, queue, vm.array, policy.high.as_ref().and_then(too_late))) {
            continue;
        }
        if let Some(kind) = &policy.kind {
            let array = config.cluster.array(vm.array);
            let service = with_service(*kind.get_ref(), queue).map(|(message, help)| (message.to_owned(), help));
            let both = [service, with_array(*kind.get_ref(), &array.name, array.base.is_some())];
            both.into_iter().flatten().for_each(|(message, help)| diagnostics.error(kind.span(), message, help));
        }
        if let Some((high, (message, help))) = policy.high.as_ref().and_then(|high| Some((high, too_late(high)?))) {
            diagnostics.error(high.span(), message, help);
        }
        let own = policy.settings(vm.policy.direction, &vm.name, diagnostics);
        settings.get_or_insert(own);
    }
    settings?
}
