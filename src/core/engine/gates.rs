//! The gates: what stops a decision from being carried out, and how far it is from passing.

use crate::core::cluster::{HostId, HostState, Mode, Span, Timestamp, VmId};
use crate::core::format::duration;
use crate::core::policy::Decision;

use super::memory::HoldCause;
use super::message::Target;
use super::record::{By, Gate};
use super::{Engine, HOUR, host_word};

/// A move somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// A policy's or a schedule's decision.
    Policy(Decision, By),
    /// An operator's target.
    Operator(Target),
}

impl Ask {
    const fn by(&self) -> By {
        match self {
            Self::Policy(_, by) => *by,
            Self::Operator(_) => By::Operator,
        }
    }
}

/// The gates before *preflight*, which is the driver's, in their order.
const ORDER: [Gate; 8] = [
    Gate::Quality,
    Gate::Schedule,
    Gate::Hold,
    Gate::Flapping,
    Gate::Cooldown,
    Gate::Budget,
    Gate::Destination,
    Gate::Mode,
];

impl Engine {
    /// The effective mode: the narrower of the cluster's and the VM's.
    pub fn mode(&self, vm: VmId) -> Mode {
        self.cluster.vm(vm).mode.map_or(self.cluster.mode, |mode| mode.min(self.cluster.mode))
    }

    /// What every gate would say to a move, in order: `None` lets it pass.
    pub fn assess(&self, vm: VmId, ask: &Ask, now: Timestamp) -> Vec<(Gate, Option<String>)> {
        let all = ORDER.iter().chain(&[Gate::Preflight]);
        all.map(|gate| (*gate, self.gate(*gate, vm, ask, now).err())).collect()
    }

    /// Whether a gate that is shut stops an operator's move too, instead of only warning.
    pub fn binds_operator(&self, vm: VmId, ask: &Ask, gate: Gate, now: Timestamp) -> bool {
        match gate {
            Gate::Destination | Gate::Preflight => true,
            Gate::Budget => self.at_once(vm, self.leads(vm, ask, now).ok()).is_err(),
            Gate::Quality => self.runs_once(vm).is_err(),
            // A lost or double VM is not moved until an operator has looked at it and released it.
            Gate::Hold => self.is_broken(vm),
            Gate::Schedule | Gate::Flapping | Gate::Cooldown | Gate::Mode => false,
        }
    }

    /// The destination of a move.
    fn leads(&self, vm: VmId, ask: &Ask, now: Timestamp) -> Result<HostId, String> {
        match ask {
            Ask::Policy(action, _) => self.destination(vm, *action, now),
            Ask::Operator(target) => self.target(vm, target, now),
        }
    }

    /// The destination of a policy's move, or the first gate that stops it.
    pub(super) fn policy_gates(
        &self,
        vm: VmId,
        action: Decision,
        by: By,
        now: Timestamp,
    ) -> Result<HostId, (Gate, String)> {
        let ask = Ask::Policy(action, by);
        for gate in ORDER {
            if gate == Gate::Mode && self.mode(vm) == Mode::Ask {
                continue;
            }
            self.gate(gate, vm, &ask, now).map_err(|why| (gate, why))?;
        }
        self.destination(vm, action, now).map_err(|why| (Gate::Destination, why))
    }

    /// The destination of an operator's move, or the first gate that binds operators.
    pub(super) fn operator_gates(&self, vm: VmId, target: &Target, now: Timestamp) -> Result<HostId, (Gate, String)> {
        self.runs_once(vm).map_err(|why| (Gate::Quality, why))?;
        if self.is_broken(vm) {
            self.held(vm, now).map_err(|why| (Gate::Hold, why))?;
        }
        let to = self.target(vm, target, now).map_err(|why| (Gate::Destination, why))?;
        self.at_once(vm, Some(to)).map_err(|why| (Gate::Budget, why))?;
        Ok(to)
    }

    /// The destination of a target, for the move dialog.
    pub fn destination_of(&self, vm: VmId, target: &Target, now: Timestamp) -> Option<HostId> {
        self.target(vm, target, now).ok()
    }

    fn gate(&self, gate: Gate, vm: VmId, ask: &Ask, now: Timestamp) -> Result<(), String> {
        match gate {
            Gate::Quality => self.quality(vm, ask, now),
            Gate::Schedule => self.schedule(vm, ask.by()),
            Gate::Hold => self.held(vm, now),
            Gate::Flapping => self.flapping(vm, ask, now),
            Gate::Cooldown => self.cooldown(vm, now),
            Gate::Budget => self.budget(vm, ask, now),
            Gate::Destination => self.leads(vm, ask, now).map(drop),
            Gate::Mode => self.allowed(vm),
            Gate::Preflight => self.is_free(vm),
        }
    }

    /// The part of preflight that the engine knows without asking the driver: nothing else moves the VM.
    fn is_free(&self, vm: VmId) -> Result<(), String> {
        match self.migration(vm) {
            Some(migration) => Err(format!("it is on its way to {}", self.cluster.host(migration.route.to).name)),
            None => Ok(()),
        }
    }

    fn quality(&self, vm: VmId, ask: &Ask, now: Timestamp) -> Result<(), String> {
        self.runs_once(vm)?;
        let live = self.live(vm);
        let host = self.host_state(live.host);
        if matches!(host, HostState::Down | HostState::Unknown) {
            return Err(format!("its host {} is {}", self.cluster.host(live.host).name, host_word(host)));
        }
        if live.policy.stale && ask.by() != By::Schedule {
            return Err("stale: no reading to judge by".to_owned());
        }
        if live.transient.queue.is_some() && self.leads(vm, ask, now).is_ok_and(|to| self.leads_across(vm, to)) {
            self.worker_is_alive(vm, now)?;
        }
        match ask {
            Ask::Policy(Decision::MoveAway, _) => self.is_pay_known(vm, now),
            _ => Ok(()),
        }
    }

    fn schedule(&self, vm: VmId, by: By) -> Result<(), String> {
        if self.live(vm).policy.is_closed() && by != By::Schedule {
            return Err(format!("outside working hours, {}", self.opens(vm)));
        }
        Ok(())
    }

    pub(super) fn is_broken(&self, vm: VmId) -> bool {
        self.live(vm).hold.is_some_and(|hold| matches!(hold.cause, HoldCause::Lost | HoldCause::Double))
    }

    fn held(&self, vm: VmId, now: Timestamp) -> Result<(), String> {
        self.live(vm).hold.map_or(Ok(()), |hold| Err(self.hold_in_words(vm, hold, now)))
    }

    fn flapping(&self, vm: VmId, ask: &Ask, now: Timestamp) -> Result<(), String> {
        let found = self.was_everywhere(vm, now);
        if self.live(vm).flapping {
            return Err(found.unwrap_or_else(|| "flapping until released".to_owned()));
        }
        match (ask, found) {
            (Ask::Policy(Decision::Move, _), Some(why)) => Err(why),
            _ => Ok(()),
        }
    }

    fn cooldown(&self, vm: VmId, now: Timestamp) -> Result<(), String> {
        let Some(last) = self.live(vm).last_move else { return Ok(()) };
        let left = (last + self.cluster.limits.cooldown).since(now);
        if left == Span::ZERO { Ok(()) } else { Err(format!("{} left", duration(left))) }
    }

    fn budget(&self, vm: VmId, ask: &Ask, now: Timestamp) -> Result<(), String> {
        self.at_once(vm, self.leads(vm, ask, now).ok())?;
        self.per_hour(now)
    }

    /// Room for one more migration, in the cluster and at both its hosts.
    pub(super) fn at_once(&self, vm: VmId, to: Option<HostId>) -> Result<(), String> {
        let limits = &self.cluster.limits;
        let under_way = self.slots_taken();
        if under_way >= limits.at_once as usize {
            return Err(format!("{under_way} of {} migrations at once under way", limits.at_once));
        }
        for host in [Some(self.live(vm).host), to].into_iter().flatten() {
            let busy = self.busy(host);
            if busy >= limits.at_once_per_host {
                let name = &self.cluster.host(host).name;
                return Err(format!("{busy} of {} migrations at once at {name}", limits.at_once_per_host));
            }
        }
        Ok(())
    }

    fn per_hour(&self, now: Timestamp) -> Result<(), String> {
        let Some(most) = self.cluster.limits.moves_per_hour else { return Ok(()) };
        let made = self.moves_last_hour(now) + self.slots_taken();
        if made < most as usize {
            return Ok(());
        }
        let oldest = self.moves.iter().find(|at| now.since(**at) < HOUR);
        let next = oldest.map_or(HOUR, |at| (*at + HOUR).since(now));
        Err(format!("{made} of {most} moves this hour, next in {}", duration(next)))
    }

    fn allowed(&self, vm: VmId) -> Result<(), String> {
        match self.mode(vm) {
            Mode::Observe => Err("observe: decisions are logged only".to_owned()),
            Mode::Ask => Err("ask: an operator approves each request".to_owned()),
            Mode::Auto => Ok(()),
        }
    }
}
