//! Moves VMs by commands of the operator's own. Never a shell: argument vectors are filled and run as they are.
//!
//! | file | its story |
//! | --- | --- |
//! | `argv` | placeholders become arguments |
//! | `output` | what a command printed, bounded and without control characters |
//! | `process` | one command: its group, its streams, its end |
//! | `mark` | a `migrate` that outlived the whimbrel that started it is found again |
//! | `locate` | where VMs run, as the operator's command says |
//! | `rounds` | hosts and VMs, looked at every half minute |
//! | `carry` | one migration: started or found, followed, stopped, ended |
//! | `keeper` | the owner of all that is under way |
//!
//! Everything happens on one thread of its own. Whoever gives orders never waits for it.
//!
//! **What a `migrate` that is under way outlives.** A reload that drops the driver, and the end of whimbrel: it is never
//! killed half-way for either. While the process lives, a dropped driver still reads its output and holds it to its
//! deadline. Once the process is gone, nobody does, until whimbrel is started again and asks where the VM runs: then the
//! command is found by its mark, followed, and held to the deadline from when it was started. Where nothing of it is found,
//! what `locate` says is believed at once if the VM runs at the destination alone, and else only when it has been the same
//! for a while: a migration may go on without the command that asked for it. The same holds for a `migrate` that was killed.

mod argv;
mod carry;
mod keeper;
mod locate;
mod mark;
mod output;
mod process;
mod rounds;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::LocalSet;

use super::supervisor::{AnswerLimits, Lifeline};
use super::{DriverCommand, DriverEvent, Fleet, Move, Tell};
use crate::core::cluster::Commands;
#[cfg(test)]
use crate::core::engine::Presence;
use keeper::Keeper;

/// Commands that wait for the driver's thread at most. It never waits for one of them, so they are few; one that finds no room
/// is refused.
const QUEUE: usize = 512;
/// What the driver may take beyond its own deadlines.
const MARGIN: Duration = Duration::from_secs(20);

/// An array's driver that runs commands.
pub struct Command {
    commands: Sender<DriverCommand>,
}

impl Command {
    /// Starts it, on a thread of its own.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(settings: &Commands, fleet: Fleet, tell: Tell, lifeline: Lifeline) -> Result<Self, String> {
        Self::paced(settings.clone(), fleet, tell, Pace::default(), Some(lifeline))
    }

    /// The lifeline is dropped when the thread ends, however it ends.
    fn paced(
        settings: Commands,
        fleet: Fleet,
        tell: Tell,
        pace: Pace,
        lifeline: Option<Lifeline>,
    ) -> Result<Self, String> {
        let (commands, orders) = channel(QUEUE);
        let work = move || {
            let _lifeline = lifeline;
            work(settings, fleet, tell, pace, orders);
        };
        let thread = std::thread::Builder::new().name("commands".to_owned()).spawn(work);
        thread.map(|_| Self { commands }).map_err(|why| format!("no thread for the command driver: {why}"))
    }

    /// Has a command carried out. Never blocks.
    ///
    /// # Errors
    /// The driver does not take it, and why.
    pub(super) fn order(&self, command: DriverCommand) -> Result<(), String> {
        self.commands.try_send(command).map_err(|unsent| {
            let why = match unsent {
                TrySendError::Full(_) => "is too busy",
                TrySendError::Closed(_) => "does not run",
            };
            format!("the command driver {why}")
        })
    }

    /// How long the driver may take over each kind of command, for so many hosts.
    pub(super) fn answer_limits(settings: &Commands, hosts: usize) -> AnswerLimits {
        let (deadline, pace) = (settings.deadline.to_std(), Pace::default());
        // All hosts are asked where VMs run, some at a time, and asked again where that is not plain.
        let batches = u32::try_from(hosts.div_ceil(locate::AT_ONCE)).unwrap_or(u32::MAX).max(1);
        let locate = deadline.saturating_mul(batches.saturating_mul(2)).saturating_add(pace.again);
        AnswerLimits {
            preflight: locate.saturating_add(MARGIN),
            presence: locate.saturating_add(deadline).saturating_add(MARGIN),
            measured: MARGIN,
            // A command that prints nothing is silent until its deadline.
            silence: settings.migrate_deadline.to_std().saturating_add(deadline).saturating_add(MARGIN),
            back_off: Duration::from_secs(1),
        }
    }
}

/// The driver's thread: until the driver is dropped and no `migrate` of it runs any more.
fn work(settings: Commands, fleet: Fleet, tell: Tell, pace: Pace, orders: Receiver<DriverCommand>) {
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let shop = Shop { settings, fleet, tell, pace, closed: Cell::new(false) };
            LocalSet::new().block_on(&runtime, Keeper::new(Rc::new(shop)).work(orders));
        }
        Err(why) => tell(DriverEvent::Trouble(format!("the command driver cannot start: {why}"))),
    }
}

fn unmeasured(vm: String) -> DriverEvent {
    DriverEvent::Measured { vm, usage: Err("the command driver cannot measure: use another monitor".to_owned()) }
}

/// How often and how long.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// From one look at all hosts and VMs to the next.
    round: Duration,
    /// From one look at a migration's progress to the next.
    progress: Duration,
    /// What looks wrong is looked at again after so long.
    again: Duration,
    /// Where a migration may go on unseen, what `locate` says is believed when it has been the same for so long.
    quiet: Duration,
    /// From SIGTERM to SIGKILL.
    grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let [round, progress, again, quiet, grace] = [30, 2, 2, 30, 5].map(Duration::from_secs);
        Self { round, progress, again, quiet, grace }
    }
}

/// What all that is under way shares.
struct Shop {
    settings: Commands,
    fleet: Fleet,
    tell: Tell,
    pace: Pace,
    /// The driver was dropped: nobody listens any more.
    closed: Cell<bool>,
}

impl Shop {
    fn say(&self, fact: DriverEvent) {
        if !self.closed.get() {
            (self.tell)(fact);
        }
    }

    fn trouble(&self, text: String) {
        self.say(DriverEvent::Trouble(text));
    }

    fn deadline(&self) -> Duration {
        self.settings.deadline.to_std()
    }

    /// A template's arguments for a migration.
    fn fill(&self, template: &[String], way: &Move) -> Vec<String> {
        let index = self.fleet.hosts.iter().find(|host| host.name == way.to).and_then(|host| host.index);
        let index = index.map(|index| index.to_string()).unwrap_or_default();
        let vm = self.domain(&way.vm);
        argv::fill(template, &[("vm", vm), ("from", &way.from), ("to", &way.to), ("index", &index)])
    }

    /// What stands for a VM in a command: its uuid, else its domain's name, else its own.
    fn domain<'a>(&'a self, vm: &'a str) -> &'a str {
        let guest = self.fleet.guests.iter().find(|guest| guest.name == vm);
        guest.and_then(|guest| guest.domain.uuid.as_deref().or(guest.domain.name.as_deref())).unwrap_or(vm)
    }
}
