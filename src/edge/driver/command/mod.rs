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
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use super::{DriverCommand, DriverEvent, Fleet, Move, Tell};
use crate::core::cluster::Commands;
use crate::core::engine::Presence;
use keeper::Keeper;

/// An array's driver that runs commands.
pub struct Command {
    jobs: UnboundedSender<DriverCommand>,
    tell: Tell,
}

impl Command {
    /// Starts it, on a thread of its own. What fails is told as [`DriverEvent::Trouble`].
    pub fn start(settings: &Commands, fleet: Fleet, tell: Tell) -> Self {
        Self::paced(settings.clone(), fleet, tell, Pace::default())
    }

    fn paced(settings: Commands, fleet: Fleet, tell: Tell, pace: Pace) -> Self {
        let (jobs, orders) = unbounded_channel();
        let told = tell.clone();
        let work = move || work(settings, fleet, told, pace, orders);
        if let Err(why) = std::thread::Builder::new().name("commands".to_owned()).spawn(work) {
            tell(DriverEvent::Trouble(format!("the command driver cannot start: {why}")));
        }
        Self { jobs, tell }
    }

    /// Has a job done. Never blocks.
    pub fn order(&self, job: DriverCommand) {
        if let Err(unsent) = self.jobs.send(job)
            && let Some(fact) = unanswered(unsent.0)
        {
            (self.tell)(fact);
        }
    }
}

/// The driver's thread: until the driver is dropped and no `migrate` of it runs any more.
fn work(settings: Commands, fleet: Fleet, tell: Tell, pace: Pace, orders: UnboundedReceiver<DriverCommand>) {
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let shop = Shop { settings, fleet, tell, pace, closed: Cell::new(false) };
            LocalSet::new().block_on(&runtime, Keeper::new(Rc::new(shop)).work(orders));
        }
        Err(why) => tell(DriverEvent::Trouble(format!("the command driver cannot start: {why}"))),
    }
}

/// What is answered where nobody is there to do it.
fn unanswered(job: DriverCommand) -> Option<DriverEvent> {
    let why = "the command driver does not run: start whimbrel again";
    match job {
        DriverCommand::Preflight(way) => {
            Some(DriverEvent::Preflight { id: way.id, refusal: Some(why.to_owned()), forecast: None })
        }
        DriverCommand::Start(way) => Some(DriverEvent::Ended { id: way.id, detail: format!("not started: {why}") }),
        DriverCommand::Confirm(way) => {
            Some(DriverEvent::Presence { id: way.id, source: Presence::Unknown, destination: Presence::Unknown })
        }
        DriverCommand::Abort(_) => None,
        DriverCommand::Measure { vm } => Some(unmeasured(vm)),
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
