//! What happened as one line of JSON: the event contract.

use serde::Serialize;

use super::story::story;
use crate::core::cluster::{Cluster, HostId, Value};
use crate::core::engine::{Happened, Record, VmState};
use crate::core::insight::Story;

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
#[serde(untagged)]
enum What<'a> {
    Reading(Reading<'a>),
    Story(Story),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Reading<'a> {
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
        match Reading::new(what) {
            Some(reading) => Self::Reading(reading),
            None => Self::Story(story(what, cluster)),
        }
    }
}

impl<'a> Reading<'a> {
    fn new(what: &'a Happened) -> Option<Self> {
        match what {
            Happened::Sample { value, count, tarry, low_count, low_tarry, state } => Some(Self::Sample {
                value: value.number(),
                at_least: matches!(value, Value::AtLeast(_)),
                count: *count,
                tarry: *tarry,
                low_count: *low_count,
                low_tarry: *low_tarry,
                state: *state,
            }),
            Happened::Gap { reason, state } => Some(Self::Gap { reason, state: *state }),
            _ => None,
        }
    }
}

/// Host names; `site/host` across sites.
pub(super) fn ends(cluster: &Cluster, from: HostId, to: HostId) -> (String, String) {
    let across = cluster.array_of(from).site != cluster.array_of(to).site;
    let name = |host: HostId| {
        let plain = &cluster.host(host).name;
        if across { format!("{}/{plain}", cluster.site_of(host).name) } else { plain.to_string() }
    };
    (name(from), name(to))
}
