//! What a policy must agree on with what is around it: the service, the array, the deadline. Said alike of a whole file
//! and of one block of it.

use super::super::words::written;
use super::policy::Kind;
use crate::core::cluster::Span;

/// What is wrong, and what would be right.
type Fault<M> = Option<(M, &'static str)>;

/// A site policy works through queues, the others watch an indicator.
pub(super) fn with_service(kind: Kind, queue: bool) -> Fault<&'static str> {
    match (kind == Kind::Site, queue) {
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
pub(super) fn with_array(kind: Kind, array: &str, base: bool) -> Fault<String> {
    let needs = matches!(kind, Kind::Base | Kind::Schedule);
    (needs && !base).then(|| {
        let message = format!("this policy moves to the base, and array '{array}' has none");
        (message, "add base = \"HOST\" to the array, or use a threshold policy")
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
        let message = || format!("the {which} {} is not above the threshold of {threshold} ms", written(deadline));
        (deadline.millis() as f64 <= threshold).then(|| (message(), help))
    }
}
