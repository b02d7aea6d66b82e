//! What must agree with what is around it: a policy with the service, the array, the deadline, alike in a whole file and
//! in one block of it; and both with what moves the VM.

use super::policy::PolicyKind;
use crate::core::cluster::{Driver, Source, Span};
use crate::core::format::exact_span;
use crate::core::simulation::{Service, VmPlan};

/// What is wrong, and what would be right.
type Fault<M> = Option<(M, &'static str)>;

/// A site policy works through queues, the others watch an indicator.
pub(super) fn with_service(kind: PolicyKind, queue: bool) -> Fault<&'static str> {
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
pub(super) fn with_array(kind: PolicyKind, array: &str, base: bool) -> Fault<String> {
    let needs = matches!(kind, PolicyKind::Base | PolicyKind::Schedule);
    (needs && !base).then(|| {
        let message = format!("this policy moves to the base, and array '{array}' has none");
        (message, "add base = \"HOST\" to the array, or use a threshold policy")
    })
}

/// Whose figures a monitor reads must move the VM too.
pub(super) fn with_driver(source: &Source, array: &str, driver: &Driver) -> Fault<String> {
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

/// Between two sites only the simulator moves VMs so far.
pub(super) fn between_sites(array: &str, driver: &Driver) -> Fault<String> {
    (*driver != Driver::Simulator).then(|| {
        let message = format!("moves between sites need the simulator, and array '{array}' has '{}'", driver.word());
        (message, "use another policy: no other driver moves VMs between sites yet")
    })
}

/// How long an http check may take, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Deadline {
    /// The config.
    Set(Span),
    /// Nobody: it follows from the interval.
    Default(Span),
    /// The simulator.
    Simulated(Span),
}

impl Deadline {
    /// That of a check whose timeout counts as its deadline; no other has a bound.
    pub fn of(source: &Source, plan: &VmPlan, deadline: Span, is_set: bool) -> Option<Self> {
        match source {
            Source::Http { .. } if is_set => Some(Self::Set(deadline)),
            Source::Http { .. } => Some(Self::Default(deadline)),
            Source::Simulated if plan.service == Some(Service::Http) => Some(Self::Simulated(deadline)),
            _ => None,
        }
    }

    /// An http check that times out is a sample of its deadline: at or under the threshold it would never count.
    pub(super) fn and_threshold(self, threshold: f64) -> Fault<String> {
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
        (deadline.millis() as f64 <= threshold).then(|| (message(), help))
    }
}
