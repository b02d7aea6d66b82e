//! What happened in names, for the history: readings aside.

use super::event::ends;
use crate::core::cluster::Cluster;
use crate::core::engine::{Happened, Phase, Record};
use crate::core::insight::{Story, Told};

/// A record as the history keeps it; `None` for readings, and for a migration that merely goes on.
pub fn told(record: &Record, cluster: &Cluster) -> Option<Told> {
    match record.what {
        Happened::Sample { .. } | Happened::Gap { .. } => return None,
        Happened::Migration { phase: Phase::Running, percent, .. } if percent > 0 => return None,
        _ => {}
    }
    let vm = record.vm.map(|vm| cluster.vm(vm).name.clone().into());
    Some(Told { at: record.at, vm, what: story(&record.what, cluster) })
}

/// What happened in names. A reading has no story.
pub(super) fn story(what: &Happened, cluster: &Cluster) -> Story {
    match what.clone() {
        Happened::Sample { .. } | Happened::Gap { .. } => Story::Other,
        Happened::Decision { action, reason } => Story::Decision { action, reason },
        Happened::Blocked { action, gate, detail } => Story::Blocked { action, gate, detail },
        Happened::Request { id, action, from, to, by } => {
            let (from, to) = ends(cluster, from, to);
            Story::Request { id, action, from, to, by }
        }
        Happened::Migration { id, phase, percent, from, to, detail } => {
            let (from, to) = ends(cluster, from, to);
            Story::Migration { id, phase, percent, from, to, detail }
        }
        Happened::State { state, why } => Story::State { state, why },
        Happened::Alarm { text } => Story::Alarm { text },
        Happened::Operator { by, text } => Story::Operator { by, text },
        Happened::Edit { by, key, old, new, why } => Story::Edit { by, key, old, new, why },
    }
}
