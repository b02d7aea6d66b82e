//! Owns everything that is under way: takes commands, carries them out side by side, and tells their results.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rustix::process::Signal;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::locate::InventoryLoop;
use super::migration::{Carrier, CommandEnd, MigrationProcess, find_orphan};
use super::{CommandContext, DriverCommand, DriverEvent, Move, TaskReport, unmeasured};
use crate::core::cluster::{Name, RequestId};
use crate::core::engine::Presence;
use crate::edge::process::signal;
use crate::edge::supervisor::fault;

/// What is known of a migration whose command has ended.
#[derive(Debug, Default)]
struct EndedMigration {
    /// Its command ended by itself. Then the migration does not go on without it.
    sure: bool,
    /// It was followed by what `progress` says, which happens only once.
    was_told: bool,
    /// What both hosts say, and since when they say it.
    says: Option<([Presence; 2], Instant)>,
}

/// How many reports may wait for the supervisor. If there is no room, a task waits. The supervisor never waits for a task.
const QUEUE: usize = 64;

/// The driver's state. It has one task for each migration and each question of the engine.
pub(super) struct CommandSupervisor {
    context: Rc<CommandContext>,
    /// Migrations that tasks carry.
    carried: BTreeMap<RequestId, Rc<Carrier>>,
    ended_migrations: BTreeMap<RequestId, EndedMigration>,
    confirming: BTreeSet<RequestId>,
    /// When the migration of a VM ended. What was seen of the VM before that is not told.
    touched: BTreeMap<Name, Instant>,
    told: BTreeMap<Name, BTreeSet<Name>>,
    reports: Sender<TaskReport>,
    inbox: Receiver<TaskReport>,
}

impl CommandSupervisor {
    pub(super) fn new(context: Rc<CommandContext>) -> Self {
        let (reports, inbox) = channel(QUEUE);
        Self {
            context,
            carried: BTreeMap::new(),
            ended_migrations: BTreeMap::new(),
            confirming: BTreeSet::new(),
            touched: BTreeMap::new(),
            told: BTreeMap::new(),
            reports,
            inbox,
        }
    }

    /// Works until the driver is dropped, and then until the last `migrate` has ended, because that must not be killed.
    pub(super) async fn work(mut self, mut orders: Receiver<DriverCommand>) {
        let inventory = spawn_local(InventoryLoop::new(self.context.clone(), self.reports.clone()).go());
        loop {
            tokio::select! {
                biased;
                Some(word) = self.inbox.recv() => self.handle(word),
                job = orders.recv() => match job {
                    Some(job) => self.take(job),
                    None => break,
                },
            }
        }
        self.context.closed.set(true);
        inventory.abort();
        while !self.carried.is_empty() {
            match self.inbox.recv().await {
                Some(TaskReport::Over(migration, _)) => drop(self.carried.remove(&migration.id)),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn take(&mut self, job: DriverCommand) {
        fault("driver");
        match job {
            DriverCommand::Preflight(migration) => {
                let context = self.context.clone();
                spawn_local(async move {
                    let refusal = context.refusal(&migration).await;
                    context.say(DriverEvent::Preflight { id: migration.id, refusal, forecast: None });
                });
            }
            DriverCommand::Start(migration) => self.start(migration),
            DriverCommand::Abort(migration) => self.abort(migration),
            DriverCommand::Confirm(migration) => self.confirm(migration),
            DriverCommand::Measure { vm, .. } => self.context.say(unmeasured(vm)),
        }
    }

    /// Starts a migration's command and carries it, unless it is under way.
    fn start(&mut self, migration: Move) {
        if self.carried.contains_key(&migration.id) {
            return;
        }
        match self.context.start(&migration) {
            Ok(process) => self.carry(migration, MigrationProcess::Own(process)),
            Err(why) => self.handle(TaskReport::Over(migration, CommandEnd { detail: why, sure: true })),
        }
    }

    /// Starts a task that carries a migration, if there is none.
    fn carry(&mut self, migration: Move, process: MigrationProcess) {
        if self.carried.contains_key(&migration.id) {
            return;
        }
        let carrier = Rc::new(Carrier::new(self.context.clone(), migration.clone()));
        self.carried.insert(migration.id, carrier.clone());
        let reports = self.reports.clone();
        spawn_local(async move {
            let end = carrier.carry(process).await;
            // The supervisor lives as long as any task carries a migration.
            let _ = reports.send(TaskReport::Over(migration, end)).await;
        });
    }

    fn abort(&self, migration: Move) {
        if let Some(carrier) = self.carried.get(&migration.id) {
            carrier.abort.notify_one();
        } else if self.context.settings.abort.is_some() {
            let context = self.context.clone();
            spawn_local(async move { context.run_abort(&migration).await });
        } else {
            spawn_local(async move {
                if let Some(orphan) = find_orphan(&migration).await {
                    signal(orphan.group, Signal::TERM);
                }
            });
        }
    }

    fn confirm(&mut self, migration: Move) {
        if let Some(carrier) = self.carried.get(&migration.id) {
            carrier.report.notify_one();
            carrier.is_asked.set(true);
            return;
        }
        if !self.confirming.insert(migration.id) {
            return;
        }
        let ended = self.ended_migrations.get(&migration.id);
        let (known, was_told) = (ended.is_some_and(|ended| ended.sure), ended.is_some_and(|ended| ended.was_told));
        let (context, reports) = (self.context.clone(), self.reports.clone());
        spawn_local(async move {
            let process = if known { None } else { context.under_way(&migration, was_told).await };
            let word = match process {
                Some(process) => TaskReport::Found(migration, Box::new(process)),
                None => {
                    let sighting = context.find(&migration, false).await;
                    let both = [sighting.at(&migration.from), sighting.at(&migration.to)];
                    TaskReport::Located(migration, both)
                }
            };
            // If the driver was dropped, nobody needs the answer.
            let _ = reports.send(word).await;
        });
    }

    fn handle(&mut self, word: TaskReport) {
        match word {
            TaskReport::Found(migration, process) => {
                self.confirming.remove(&migration.id);
                self.ended_migrations.entry(migration.id).or_default().was_told |=
                    matches!(*process, MigrationProcess::Told(..));
                self.carry(migration, *process);
            }
            TaskReport::Over(migration, CommandEnd { detail, sure }) => {
                let carrier = self.carried.remove(&migration.id);
                self.touch(migration.vm.clone());
                self.ended_migrations.entry(migration.id).or_default().sure = sure;
                self.context.say(DriverEvent::Ended { id: migration.id, detail });
                if carrier.is_some_and(|carrier| carrier.is_asked.get()) {
                    self.confirm(migration);
                }
            }
            TaskReport::Located(migration, both) => self.located(migration, both),
            TaskReport::Seen { vm, on, since } => self.seen(vm, on, since),
        }
    }

    /// Has the next look tell where the VM runs, because the engine has ignored what was told during the move.
    fn touch(&mut self, vm: Name) {
        self.told.remove(&vm);
        self.touched.insert(vm, Instant::now());
    }

    /// Tells what both hosts say, or `Unknown` if that cannot be believed yet.
    fn located(&mut self, migration: Move, both: [Presence; 2]) {
        self.confirming.remove(&migration.id);
        self.touch(migration.vm.clone());
        let ended = self.ended_migrations.entry(migration.id).or_default();
        let (_, since) = *ended.says.insert(match ended.says {
            Some((says, since)) if says == both => (says, since),
            _ => (both, Instant::now()),
        });
        let arrived = both == [Presence::Absent, Presence::Runs];
        let [source, destination] = if ended.sure || arrived || since.elapsed() >= self.context.pace.quiet {
            both
        } else {
            [both[0], Presence::Unknown]
        };
        if source != Presence::Unknown && destination != Presence::Unknown {
            self.ended_migrations.remove(&migration.id);
        }
        self.context.say(DriverEvent::Presence { id: migration.id, source, destination });
    }

    /// Tells where a VM runs, if that is new and no migration of ours moves the VM.
    fn seen(&mut self, vm: Name, on: BTreeSet<Name>, since: Instant) {
        let moving = self.carried.values().any(|carrier| carrier.migration.vm == vm);
        if moving || self.touched.get(&vm).is_some_and(|at| *at >= since) || self.told.get(&vm) == Some(&on) {
            return;
        }
        self.context.say(DriverEvent::Found { vm: vm.clone(), hosts: on.iter().cloned().collect() });
        self.told.insert(vm, on);
    }
}

impl CommandContext {
    /// Finds a migration that is still under way.
    async fn under_way(&self, migration: &Move, was_told: bool) -> Option<MigrationProcess> {
        if let Some(orphan) = find_orphan(migration).await {
            return Some(MigrationProcess::Orphan(orphan));
        }
        let template = self.settings.progress.as_ref().filter(|_| !was_told)?;
        let (percent, detail) = self.progress(&self.fill(template, migration)).await.ok()?;
        (percent < 100).then_some(MigrationProcess::Told(percent, detail))
    }

    /// Why a VM cannot be moved like this; `None`: it can.
    async fn refusal(&self, migration: &Move) -> Option<String> {
        let Move { vm, from, to, .. } = migration;
        if from == to {
            return Some(format!("{vm} is to be moved from {from} to {from}"));
        }
        let (state, sighting) = tokio::join!(self.state_of(to), self.find(migration, true));
        if let Err(why) = state {
            return Some(format!("{to} is not up: {why}"));
        }
        let cannot = |host: &str| sighting.why(host).map(|why| format!("{host} cannot be asked: {why}"));
        if let Some(why) = cannot(from).or_else(|| cannot(to)) {
            return Some(why);
        }
        let elsewhere = || sighting.on.iter().filter(|host| *host != from).cloned().collect::<Vec<_>>().join(", ");
        match (sighting.at(from), sighting.on.len()) {
            (Presence::Runs, 1) => None,
            (Presence::Runs, _) => Some(format!("{vm} runs on {from}, and also on {}", elsewhere())),
            (_, 0) => Some(format!("{vm} does not run on {from}")),
            _ => Some(format!("{vm} does not run on {from}, but on {}", elsewhere())),
        }
    }
}
