//! Moves VMs by the operator's own commands. No shell reads them: their arguments are filled and passed on as they are.
//!
//! | file | its story |
//! | --- | --- |
//! | `locate` | whether hosts are up, and where VMs run |
//! | `migration` | one migration: started or found again, followed, stopped, ended |
//! | `supervisor` | the owner of all that is under way |
//!
//! Everything happens on one thread, and whoever gives commands never waits for it.
//!
//! **A running `migrate` goes on** when a reload drops the driver, and when whimbrel ends. While whimbrel's process lives, a dropped
//! driver still reads the command's output and ends it at its deadline. After that nobody does, until whimbrel is started again and
//! asks where the VM runs. Then the tag in the command's environment leads to it, and it is followed to its deadline, which counts
//! from its start. If no command is found, the answer of `locate` is believed at once only if the VM runs at the destination alone.
//! Any other answer is believed when it has been the same for a while, because a migration may go on without the command that has
//! asked for it. The same is true of a `migrate` that was killed.

mod locate;
mod migration;
mod supervisor;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::supervisor::{AnswerLimits, Lifeline, TakeCommand};
use super::{DriverCommand, DriverEvent, Fleet, Move, Tell};
use crate::core::cluster::{Commands, Name, Reading};
use crate::core::engine::Presence;
use crate::edge::process::fill;
use migration::{CommandEnd, MigrationProcess};
use supervisor::CommandSupervisor;

/// How many commands may wait for the driver's thread. The thread never waits for a command, so they are few. If there is no room, a
/// command is refused.
const QUEUE: usize = 512;
/// How long the driver may take in addition to its own deadlines.
const MARGIN: Duration = Duration::from_secs(20);

/// Starts the driver on a thread of its own.
///
/// # Errors
/// There is no thread.
pub(super) fn start(settings: Commands, fleet: Fleet, tell: Tell, lifeline: Lifeline) -> Result<TakeCommand, String> {
    paced(settings, fleet, tell, Pacing::default(), Some(lifeline))
}

/// Starts the driver with these intervals. Its thread holds the lifeline, and drops it however it ends.
fn paced(
    settings: Commands,
    fleet: Fleet,
    tell: Tell,
    pace: Pacing,
    lifeline: Option<Lifeline>,
) -> Result<TakeCommand, String> {
    let (commands, orders) = channel(QUEUE);
    let work = move || {
        let _lifeline = lifeline;
        work(settings, fleet, tell, pace, orders);
    };
    let thread = std::thread::Builder::new().name("commands".to_owned()).spawn(work);
    thread.map_err(|why| format!("no thread for the command driver: {why}"))?;
    Ok(Box::new(move |command| order(&commands, command)))
}

/// Gives the driver a command.
fn order(commands: &Sender<DriverCommand>, command: DriverCommand) -> Result<(), String> {
    commands.try_send(command).map_err(|unsent| {
        let why = match unsent {
            TrySendError::Full(_) => "is too busy",
            TrySendError::Closed(_) => "does not run",
        };
        format!("the command driver {why}")
    })
}

/// How long the driver may take to answer each kind of command, if it has this many hosts.
pub(super) fn answer_limits(settings: &Commands, hosts: usize) -> AnswerLimits {
    let (deadline, pace) = (settings.deadline.to_std(), Pacing::default());
    // All hosts are asked where a VM runs, some at a time, and asked again if the answer is not clear.
    let batches = u32::try_from(hosts.div_ceil(locate::AT_ONCE)).unwrap_or(u32::MAX).max(1);
    let locate = deadline.saturating_mul(batches.saturating_mul(2)).saturating_add(pace.again);
    AnswerLimits {
        preflight: locate.saturating_add(MARGIN),
        presence: locate.saturating_add(deadline).saturating_add(MARGIN),
        measured: MARGIN,
        // A command may print nothing until its deadline.
        silence: settings.migrate_deadline.to_std().saturating_add(deadline).saturating_add(MARGIN),
        back_off: Duration::from_secs(1),
    }
}

/// The driver's thread. It ends when the driver is dropped and none of its `migrate` commands runs any more.
fn work(settings: Commands, fleet: Fleet, tell: Tell, pace: Pacing, orders: Receiver<DriverCommand>) {
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let context = CommandContext { settings, fleet, tell, pace, closed: Cell::new(false) };
            LocalSet::new().block_on(&runtime, CommandSupervisor::new(Rc::new(context)).work(orders));
        }
        Err(why) => tell(DriverEvent::Trouble { vm: None, text: format!("the command driver cannot start: {why}") }),
    }
}

fn unmeasured(vm: Name) -> DriverEvent {
    let why = "the command driver cannot measure: use another monitor".to_owned();
    DriverEvent::Reading { vm, reading: Reading::Gap(why) }
}

/// What a task reports to the supervisor.
enum TaskReport {
    /// A migration turned out to be under way.
    Found(Move, Box<MigrationProcess>),
    /// A migration's command is over.
    Over(Move, CommandEnd),
    /// What both hosts say.
    Located(Move, [Presence; 2]),
    /// Where a VM runs, and when the look began that showed it.
    Seen { vm: Name, on: BTreeSet<Name>, since: Instant },
}

/// How often and how long the driver waits.
#[derive(Debug, Clone, Copy)]
struct Pacing {
    /// From one look at all hosts and VMs to the next.
    round: Duration,
    /// From one look at a migration's progress to the next.
    progress: Duration,
    /// Before a second look at something that looks wrong.
    again: Duration,
    /// How long `locate` must give the same answer before it is believed, if a migration may go on unseen.
    quiet: Duration,
    /// From SIGTERM to SIGKILL.
    grace: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        let [round, progress, again, quiet, grace] = [30, 2, 2, 30, 5].map(Duration::from_secs);
        Self { round, progress, again, quiet, grace }
    }
}

/// What all tasks of a driver share.
struct CommandContext {
    settings: Commands,
    fleet: Fleet,
    tell: Tell,
    pace: Pacing,
    /// The driver was dropped, and nobody listens.
    closed: Cell<bool>,
}

impl CommandContext {
    fn say(&self, fact: DriverEvent) {
        if !self.closed.get() {
            (self.tell)(fact);
        }
    }

    fn trouble(&self, text: String) {
        self.say(DriverEvent::Trouble { vm: None, text });
    }

    fn deadline(&self) -> Duration {
        self.settings.deadline.to_std()
    }

    /// Fills a template for a migration.
    fn fill(&self, template: &[String], migration: &Move) -> Vec<String> {
        let index = self.fleet.hosts.iter().find(|host| host.name == migration.to).and_then(|host| host.index);
        let index = index.map(|index| index.to_string()).unwrap_or_default();
        let vm = self.domain(&migration.vm);
        fill(template, &[("vm", vm), ("from", &migration.from), ("to", &migration.to), ("index", &index)])
    }

    /// What a command calls a VM: its uuid if it has one, or the name of its domain, or its own name.
    fn domain<'a>(&'a self, vm: &'a str) -> &'a str {
        let guest = self.fleet.guests.iter().find(|guest| guest.name == vm);
        guest.and_then(|guest| guest.domain.uuid.as_deref().or(guest.domain.name.as_deref())).unwrap_or(vm)
    }
}
