//! A migration that was under way when the engine stopped: followed to its outcome, never started twice.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::live::{Migration, Stage};
use super::message::{Effect, Route};
use super::record::{By, Phase};
use super::timers::Timer;
use crate::core::cluster::{RequestId, Timestamp};
use crate::core::policy::Decision;

/// What is said of it until its driver says more.
const RESTARTED: &str = "whimbrel was restarted in mid-move";

/// A migration as the journal has it: in names, which outlive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The request it carries out.
    pub id: RequestId,
    /// This VM.
    pub vm: String,
    /// From this host.
    pub from: String,
    /// To that host.
    pub to: String,
    /// What is carried out.
    pub action: Decision,
    /// Who wanted it.
    pub by: By,
}

impl Engine {
    /// A request's migration, for the journal; `None` if none is under way.
    pub fn in_flight(&self, id: RequestId) -> Option<InFlight> {
        let migration = self.migrations.get(&id)?;
        let host = |host| self.cluster.host(host).name.clone();
        let Route { vm, from, to, .. } = migration.route;
        let vm = self.cluster.vm(vm).name.clone();
        Some(InFlight { id, vm, from: host(from), to: host(to), action: migration.action, by: migration.by })
    }

    /// Goes on with a migration that the journal has without an outcome: both hosts are asked where the VM runs, as
    /// after a migration whose outcome could not be told. Nothing is started. If its VM or a host is not in the config
    /// any more, that is an alarm, and nothing is done.
    pub fn resume(&mut self, now: Timestamp, journalled: &InFlight, out: &mut Vec<Effect>) {
        let InFlight { id, action, by, .. } = *journalled;
        self.last_id = self.last_id.max(id.0);
        if self.migrations.contains_key(&id) {
            return;
        }
        let route = match self.route_of(journalled) {
            Ok(route) => route,
            Err(why) => return self.alarm_of_lost_track(now, journalled, &why, out),
        };
        if route.from != self.live(route.vm).host {
            // It was taken to be there before its outcome was written down.
            self.placed(route.vm, route.from);
        }
        let migration = Migration {
            stage: Stage::Unknown,
            retry: now,
            detail: RESTARTED.to_owned(),
            ended: RESTARTED.to_owned(),
            drains: by == By::Operator && self.drains.contains_key(&route.from),
            ..Migration::asked(route, action, by, now)
        };
        let detail = migration.detail.clone();
        self.live_mut(route.vm).waiting = None;
        self.live_mut(route.vm).settle = None;
        self.board(migration);
        self.timers.set(now, route.vm, Timer::Confirm);
        self.record_flight(now, route, Phase::Unknown, 0, detail, out);
        self.say_state(now, route.vm, out);
    }

    fn route_of(&self, journalled: &InFlight) -> Result<Route, String> {
        let InFlight { id, vm, from, to, .. } = journalled;
        let gone = |what: &str, name: &str| format!("{what} {name} is not in the config any more");
        let host = |name: &str| self.cluster.host_named(name).ok_or_else(|| gone("host", name));
        let vm = self.cluster.vm_named(vm).ok_or_else(|| gone("VM", vm))?;
        let (from, to) = (host(from)?, host(to)?);
        match self.live(vm).migration {
            Some(other) => Err(format!("request #{} was under way as well", other.0)),
            None => Ok(Route { id: *id, vm, from, to }),
        }
    }

    fn alarm_of_lost_track(&mut self, now: Timestamp, journalled: &InFlight, why: &str, out: &mut Vec<Effect>) {
        let InFlight { id, vm, from, to, .. } = journalled;
        let text = format!(
            "request #{} was moving {vm} from {from} to {to} when whimbrel stopped, and {why}: nothing is moved; see where {vm} runs",
            id.0
        );
        self.alarm(now, self.cluster.vm_named(vm), text, out);
    }
}
