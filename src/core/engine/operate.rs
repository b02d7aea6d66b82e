//! Operators' commands. Each is answered at once.

use crate::core::cluster::{HostId, Mode, Timestamp, VmId};
use crate::core::format::counted;

use super::Engine;
use super::memory::{Hold, HoldCause};
use super::message::{Command, Effect, Target};
use super::migration::StageKind;
use super::record::{By, Gate, Happened, Record};
use super::timers::Timer;

/// The answer to an operator: what was done, or why nothing was.
pub(super) type Said = Result<String, String>;

impl Engine {
    pub(super) fn on_command(&mut self, now: Timestamp, by: &str, command: Command, out: &mut Vec<Effect>) {
        let vm = command.vm().and_then(|name| self.vm_named(name));
        // An amendment has one record for each setting that changes.
        let is_told = matches!(command, Command::Amend { .. });
        let said = self.obey(now, by, command, out);
        let (ok, text) = match said {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        if ok && !is_told {
            // The record has the VM's name in a field of its own.
            let name = vm.map_or_else(String::new, |vm| format!("{}: ", self.name(vm)));
            let what = Happened::Operator { by: by.to_owned(), text: text.replacen(&name, "", 1) };
            let vm = vm.map(|vm| self.cluster.vm(vm).name.clone());
            out.push(Effect::Record(Record { at: now, vm, what }));
        }
        out.push(Effect::Answer { ok, text });
    }

    fn obey(&mut self, now: Timestamp, by: &str, command: Command, out: &mut Vec<Effect>) -> Said {
        match command {
            Command::Move { vm, target } => self.named(&vm).and_then(|id| self.move_by_hand(now, id, &target, out)),
            Command::Approve { vm } => self.named(&vm).and_then(|id| self.approve(now, id, out)),
            Command::Deny { vm } => self.named(&vm).and_then(|id| self.deny(now, id, out)),
            Command::Hold { vm } => self.named(&vm).map(|id| self.hold_by_hand(now, id, out)),
            Command::Release { vm } => self.named(&vm).and_then(|id| self.release(now, id, out)),
            Command::Abort { vm } => self.named(&vm).and_then(|id| self.abort(now, id, out)),
            Command::Amend { changes, why } => self.amend(now, by, changes, why.as_deref(), out),
            Command::Drain { host } => self.begin_drain(now, by, &host),
            Command::Undrain { host } => self.end_drain(&host),
            Command::PauseDrain { host } => self.pause_drain(&host),
            Command::ResumeDrain { host } => self.resume_drain(&host),
            Command::Mode { mode } => Ok(self.set_mode(mode)),
            Command::Acknowledge => Ok(self.acknowledge()),
        }
    }

    pub(super) fn named(&self, vm: &str) -> Result<VmId, String> {
        self.vm_named(vm).ok_or_else(|| format!("there is no VM {vm}"))
    }

    pub(super) fn name(&self, vm: VmId) -> &str {
        &self.cluster.vm(vm).name
    }

    pub(super) fn host_name(&self, host: HostId) -> &str {
        &self.cluster.host(host).name
    }

    fn move_by_hand(&mut self, now: Timestamp, vm: VmId, target: &Target, out: &mut Vec<Effect>) -> Said {
        if self.live(vm).transient.migration.is_some() {
            return Err(format!("{} is migrating already", self.name(vm)));
        }
        let to = self.operator_gates(vm, target, now).map_err(|(gate, why)| match gate {
            Gate::Destination => format!("{} stays: {why}", self.name(vm)),
            _ => format!("{} stays, {}: {why}", self.name(vm), gate.word()),
        })?;
        let from = self.live(vm).host;
        let asked = self.launch_unasked(now, vm, to, By::Operator, out);
        let [name, from, to] = [self.name(vm), self.host_name(from), self.host_name(to)];
        Ok(if asked {
            format!("{name}: its worker is asked to stop, then it moves from {from} to {to}")
        } else {
            format!("{name}: asked to move from {from} to {to}")
        })
    }

    fn approve(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) -> Said {
        let Some(waiting) = self.live_mut(vm).waiting.take() else {
            return Err(format!("{} has no request that waits", self.name(vm)));
        };
        let said = self.go_on(now, vm, &waiting, out);
        self.say_state(now, vm, out);
        match said {
            Ok(to) => Ok(format!("{}: request #{} to {} approved", self.name(vm), waiting.id.0, self.host_name(to))),
            Err(why) => Err(format!("{}: request #{} {why}", self.name(vm), waiting.id.0)),
        }
    }

    fn deny(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) -> Said {
        let Some(waiting) = self.live_mut(vm).waiting.take() else {
            return Err(format!("{} has no request that waits", self.name(vm)));
        };
        let detail = format!("request #{} denied by an operator", waiting.id.0);
        self.record(now, vm, Happened::Blocked { action: waiting.action, gate: Gate::Mode, detail }, out);
        self.say_state(now, vm, out);
        Ok(format!("{}: request #{} denied", self.name(vm), waiting.id.0))
    }

    /// Holds a VM and resets its counts.
    pub(super) fn hold(&mut self, vm: VmId, hold: Hold) {
        self.timers.set(hold.until, vm, Timer::Hold);
        let live = self.live_mut(vm);
        live.hold = Some(hold);
        live.policy.reset_counts();
    }

    fn hold_by_hand(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) -> String {
        let broken = self.live(vm).hold.filter(|h| matches!(h.cause, HoldCause::Lost | HoldCause::Double));
        self.drop_waiting(now, vm, Gate::Hold, "held by an operator", out);
        self.hold(vm, broken.unwrap_or(Hold { until: Timestamp::NEVER, cause: HoldCause::Hand }));
        self.say_state(now, vm, out);
        format!("{}: held until released", self.name(vm))
    }

    fn release(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) -> Said {
        if self.migration(vm).is_some_and(|migration| migration.stage() == StageKind::Unknown) {
            return self.give_up(now, vm, out);
        }
        let live = self.live_mut(vm);
        if live.hold.is_none() && !live.flapping {
            return Err(format!("{} is not held", self.name(vm)));
        }
        live.hold = None;
        live.flapping = false;
        live.tried.clear();
        self.look_at_drains();
        self.say_state(now, vm, out);
        Ok(format!("{}: released, counting from 0", self.name(vm)))
    }

    pub(super) fn end_hold(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) {
        self.live_mut(vm).hold = None;
        self.say_state(now, vm, out);
    }

    fn abort(&mut self, now: Timestamp, vm: VmId, out: &mut Vec<Effect>) -> Said {
        let name = self.name(vm).to_owned();
        if let Some(leaving) = &mut self.live_mut(vm).leaving {
            // What was asked for is answered by this command's own answer.
            leaving.by = By::Policy;
            self.call_off(now, vm, Gate::Mode, "called off by an operator", out);
            return Ok(format!("{name}: stays, its worker goes on"));
        }
        let id = self.live(vm).transient.migration.ok_or_else(|| format!("{name} is not migrating"))?;
        let migration = self.migrations.get_mut(&id).ok_or_else(|| format!("{name} is not migrating"))?;
        let may_be_over = match migration.stage() {
            StageKind::Confirming if migration.ended.is_some() => {
                return Err(format!("{name}: the migration has ended, its outcome is being read"));
            }
            // Both hosts tell the outcome, whether or not the driver can still abort.
            StageKind::Confirming | StageKind::Unknown => "; it may be over, its outcome is not known",
            StageKind::Preflight | StageKind::Journal | StageKind::Running => "",
        };
        migration.aborting = true;
        if !matches!(migration.stage(), StageKind::Preflight | StageKind::Journal) {
            out.push(Effect::Abort(migration.route));
        }
        Ok(format!("{name}: asked to abort request #{}{may_be_over}", id.0))
    }

    fn set_mode(&mut self, mode: Mode) -> String {
        let old = std::mem::replace(&mut self.cluster.mode, mode);
        self.look_at_drains();
        format!("mode {} → {}", old.word(), mode.word())
    }

    fn acknowledge(&mut self) -> String {
        let n = self.alarms.len();
        self.alarms.clear();
        format!("{} acknowledged", counted(n, "alarm", "alarms"))
    }
}

impl HoldCause {
    /// What holds a VM, as it follows the word held.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Hand => "by an operator",
            Self::Moved => "moved by hand",
            Self::Foreign => "moved by somebody else",
            Self::Untracked => "its last migration was lost track of",
            Self::Lost => "lost: it runs nowhere",
            Self::Double => "double: it runs at two hosts",
        }
    }
}
