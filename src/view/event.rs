//! What happened as one line of JSON: the event contract.

use serde::Serialize;

use crate::core::cluster::{Cluster, HostId, RequestId, Value};
use crate::core::engine::{By, Gate, Happened, Phase, Record, VmState};
use crate::core::policy::Decision;

/// One record as the event contract has it. `at` is UTC, RFC 3339 with milliseconds; ids are integers.
#[derive(Debug, Serialize)]
pub struct EventLine<'a> {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<&'a str>,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum What<'a> {
    Sample {
        /// `null` if the service was too busy to answer, and that counts as beyond.
        value: Option<f64>,
        #[serde(skip_serializing_if = "is_false")]
        at_least: bool,
        count: u32,
        tarry: u32,
        low_count: u32,
        low_tarry: u32,
        state: VmState,
    },
    Gap {
        reason: &'a str,
        state: VmState,
    },
    Decision {
        action: Decision,
        reason: &'a str,
    },
    Blocked {
        action: Decision,
        gate: Gate,
        detail: &'a str,
    },
    Request {
        id: RequestId,
        action: Decision,
        from: String,
        to: String,
        by: By,
    },
    Migration {
        id: RequestId,
        phase: Phase,
        percent: u8,
        from: String,
        to: String,
        detail: &'a str,
    },
    State {
        state: VmState,
        why: &'a str,
    },
    Alarm {
        text: &'a str,
    },
    Edit {
        by: &'a str,
        key: &'a str,
        old: &'a str,
        new: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'a str>,
    },
    Operator {
        by: &'a str,
        text: &'a str,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(b: &bool) -> bool {
    !*b
}

impl<'a> EventLine<'a> {
    /// The line of a record of this cluster.
    pub fn new(record: &'a Record, cluster: &'a Cluster) -> Self {
        Self {
            at: record.at.rfc3339(),
            vm: record.vm.map(|vm| cluster.vm(vm).name.as_str()),
            what: What::new(&record.what, cluster),
        }
    }
}

impl<'a> What<'a> {
    fn new(what: &'a Happened, cluster: &Cluster) -> Self {
        match what {
            Happened::Sample { value, count, tarry, low_count, low_tarry, state } => Self::Sample {
                value: value.number(),
                at_least: matches!(value, Value::AtLeast(_)),
                count: *count,
                tarry: *tarry,
                low_count: *low_count,
                low_tarry: *low_tarry,
                state: *state,
            },
            Happened::Gap { reason, state } => Self::Gap { reason, state: *state },
            Happened::Decision { action, reason } => Self::Decision { action: *action, reason },
            Happened::Blocked { action, gate, detail } => Self::Blocked { action: *action, gate: *gate, detail },
            Happened::Request { id, action, from, to, by } => {
                let (from, to) = ends(cluster, *from, *to);
                Self::Request { id: *id, action: *action, from, to, by: *by }
            }
            Happened::Migration { id, phase, percent, from, to, detail } => {
                let (from, to) = ends(cluster, *from, *to);
                Self::Migration { id: *id, phase: *phase, percent: *percent, from, to, detail }
            }
            Happened::State { state, why } => Self::State { state: *state, why },
            Happened::Alarm { text } => Self::Alarm { text },
            Happened::Edit { by, key, old, new, why } => Self::Edit { by, key, old, new, why: why.as_deref() },
            Happened::Operator { by, text } => Self::Operator { by, text },
        }
    }
}

/// Host names; `site/host` across sites.
pub(super) fn ends(cluster: &Cluster, from: HostId, to: HostId) -> (String, String) {
    let across = cluster.array_of(from).site != cluster.array_of(to).site;
    let name = |host: HostId| {
        let plain = &cluster.host(host).name;
        if across { format!("{}/{plain}", cluster.site_of(host).name) } else { plain.clone() }
    };
    (name(from), name(to))
}
