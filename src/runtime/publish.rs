//! Records as snapshots for a console. What did not change is shared with the snapshot before.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use crate::core::cluster::{HostId, Name, Timestamp, VmId};
use crate::core::engine::{Command, DrainPlan, Engine, Happened, Phase, Record, VmState};
use crate::core::queue::QueueLook;
use crate::view::{
    ActivityView, Answer, ArrayView, CommandId, DraftView, HistoryView, HostView, Level, Log, LogLine, Mark, MarkKind,
    Memory, Origin, Past, QueueAsk, QueueRun, QueueView, Snapshot, Subscription, VmRow, array_views, detail, host_view,
    row,
};

use super::config_worker::ConfigAnswer;
use super::engine_host::Listener;

/// Log lines a console sees.
const LOG_KEPT: usize = 500;
/// Answers a console sees: as many as it may have commands under way, so that none is missed between two snapshots.
const ANSWERS_KEPT: usize = 64;
/// Marks kept of one VM.
const MARKS_KEPT: usize = 256;

/// What a snapshot has that is not the engine's: from the history and the config file.
#[derive(Default)]
pub struct SnapshotExtras {
    /// The past that was asked for last.
    pub past: Option<Arc<Past>>,
    /// What was done, as it was asked for last.
    pub activity: Option<Arc<ActivityView>>,
    /// The queue that was asked for last.
    pub queue: Option<Arc<QueueView>>,
    /// What is known of the draft that was sent last.
    pub draft: Option<Arc<DraftView>>,
    /// Whether what happens is kept.
    pub history: HistoryView,
    /// Why policies cannot be edited, if they cannot.
    pub uneditable: Option<Arc<str>>,
    /// Where each VM's settings come from; empty without a file.
    pub origins: Vec<Origin>,
}

impl SnapshotExtras {
    /// Takes an answer of the config file's worker. What is not for a screen to show is given back.
    pub fn take(&mut self, told: ConfigAnswer) -> Option<ConfigAnswer> {
        match told {
            ConfigAnswer::Past(past) => self.past = Some(past),
            ConfigAnswer::Activity(activity) => self.activity = Some(activity),
            ConfigAnswer::Draft(draft) => self.draft = Some(draft),
            ConfigAnswer::Editing(why, origins) => (self.uneditable, self.origins) = (why, origins),
            other => return Some(other),
        }
        None
    }
}

/// Keeps what a console may see, and publishes it.
pub struct Publisher {
    /// Put extras what the engine says.
    pub extras: SnapshotExtras,
    sender: watch::Sender<Arc<Snapshot>>,
    seq: u64,
    speed: Option<f64>,
    banner: Option<Arc<str>>,
    /// What is wrong with the config file, in place of the banner.
    broken: Option<Arc<str>>,
    look: Subscription,
    rows: Arc<Vec<Arc<VmRow>>>,
    /// Of them, those whose request waits for approval.
    waiting: usize,
    hosts: Vec<Arc<HostView>>,
    arrays: Arc<Vec<ArrayView>>,
    memory: Vec<Memory>,
    /// Where each VM was when its host was last drawn, and each host's VMs.
    at: Vec<HostId>,
    placed: Vec<Vec<VmId>>,
    /// What has to be drawn anew.
    stale_vms: BTreeSet<VmId>,
    stale_hosts: BTreeSet<HostId>,
    alarmed: HashSet<VmId>,
    /// Hosts that were being emptied when they were last drawn.
    drained: BTreeSet<HostId>,
    words: Log,
    /// The newest lines, and the same list as snapshots share it; `None` if there are new ones.
    log: VecDeque<Arc<LogLine>>,
    log_shown: Option<Arc<Vec<Arc<LogLine>>>>,
    answers: VecDeque<Arc<Answer>>,
    answered: u64,
}

impl Publisher {
    /// A publisher, and where its snapshots come out. The first is published at once.
    pub fn new(
        engine: &Engine,
        now: Timestamp,
        speed: Option<f64>,
        banner: Option<String>,
    ) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let (sender, receiver) = watch::channel(Arc::new(Snapshot::default()));
        let mut publisher = Self {
            extras: SnapshotExtras {
                uneditable: Some("the config file is still being read, try again".into()),
                ..SnapshotExtras::default()
            },
            sender,
            seq: 0,
            speed,
            banner: banner.map(Arc::from),
            broken: None,
            look: Subscription::default(),
            rows: Arc::default(),
            waiting: 0,
            hosts: Vec::new(),
            arrays: Arc::default(),
            memory: Vec::new(),
            at: Vec::new(),
            placed: Vec::new(),
            stale_vms: BTreeSet::new(),
            stale_hosts: BTreeSet::new(),
            alarmed: HashSet::new(),
            drained: BTreeSet::new(),
            words: Log::default(),
            log: VecDeque::new(),
            log_shown: None,
            answers: VecDeque::new(),
            answered: 0,
        };
        let vms = engine.cluster().vms.len();
        publisher.memory.resize_with(vms, || Memory::one_of(vms));
        publisher.begin(engine, now);
        publisher.publish(engine, now);
        (publisher, receiver)
    }

    /// Which clock the header shows.
    pub fn set_speed(&mut self, speed: Option<f64>) {
        self.speed = speed;
    }

    /// What the console has on screen.
    pub fn set_look(&mut self, look: Subscription) {
        self.look = look;
    }

    /// The queue that a console wants to see.
    pub const fn queue_asked(&self) -> Option<&QueueAsk> {
        self.look.queue.as_ref()
    }

    /// The pages that a VM has worked, oldest first.
    pub fn runs(&self, vm: VmId) -> Vec<QueueRun> {
        self.memory.get(vm.index()).map_or_else(Vec::new, |memory| memory.runs.iter().cloned().collect())
    }

    /// The config file is broken, or right again.
    pub fn set_broken(&mut self, why: Option<String>) {
        self.broken = why.map(|why| Arc::from(format!("the config is broken, the last good one runs on: {why}")));
    }

    fn begin(&mut self, engine: &Engine, now: Timestamp) {
        let cluster = engine.cluster();
        self.at = engine.vm_ids().map(|vm| engine.live(vm).host()).collect();
        self.placed = vec![Vec::new(); cluster.hosts.len()];
        for (vm, host) in self.at.iter().enumerate() {
            self.placed[host.index()].push(VmId::at(vm));
        }
        let rows: Vec<Arc<VmRow>> =
            engine.vm_ids().map(|vm| Arc::new(row(engine, vm, &self.memory[vm.index()], false, now))).collect();
        self.rows = Arc::new(rows);
        self.hosts = (0..cluster.hosts.len())
            .map(|host| Arc::new(host_view(engine, HostId::at(host), &self.placed[host])))
            .collect();
        self.arrays = Arc::new(array_views(cluster, &self.hosts));
        self.stale_vms.clear();
        self.stale_hosts.clear();
        self.alarmed.clear();
        self.drained = engine.drains().map(|(host, _)| host).collect();
    }

    /// A command was carried out, and answered: this much may have changed.
    pub fn touched_by(&mut self, command: &Command, engine: &Engine) {
        let named = command.vm().and_then(|name| engine.vm_named(name));
        match (named, command) {
            (Some(vm), _) => drop(self.stale_vms.insert(vm)),
            (None, Command::Drain { .. } | Command::Undrain { .. }) => {}
            (None, Command::PauseDrain { .. } | Command::ResumeDrain { .. }) => {}
            (None, _) => self.stale_vms.extend(engine.vm_ids()),
        }
    }

    /// Answers the console's command with this id; `None`: nobody's.
    pub fn answer_to(&mut self, to: Option<CommandId>, ok: bool, text: &str) {
        self.answered += 1;
        if self.answers.len() == ANSWERS_KEPT {
            self.answers.pop_front();
        }
        self.answers.push_back(Arc::new(Answer { seq: self.answered, to, ok, text: text.to_owned() }));
    }

    fn mark(&mut self, vm: VmId, at: Timestamp, kind: MarkKind) {
        let marks = &mut self.memory[vm.index()].marks;
        // Several settings changed at once are one edit.
        if marks.back().is_some_and(|mark| mark.at == at && mark.kind == kind) {
            return;
        }
        if marks.len() == MARKS_KEPT {
            marks.pop_front();
        }
        marks.push_back(Mark { at, kind });
    }

    /// Publishes the state of everything.
    pub fn publish(&mut self, engine: &Engine, now: Timestamp) {
        self.seq += 1;
        self.refresh_alarms(engine);
        self.refresh_drains(engine);
        self.refresh_host_states(engine);
        self.refresh_flights(engine);
        self.refresh_rows(engine, now);
        self.refresh_hosts(engine);
        let cluster = engine.cluster();
        let snapshot = Snapshot {
            seq: self.seq,
            at: now,
            speed: self.speed,
            cluster: Arc::from(cluster.name.as_str()),
            mode: cluster.mode,
            draining: engine.drains().filter(|(_, drain)| !drain.done).count(),
            waiting: self.waiting,
            moves_last_hour: engine.moves_last_hour(now),
            rows: Arc::clone(&self.rows),
            moving: engine.migrations().map(|migration| Arc::clone(&self.rows[migration.route.vm.index()])).collect(),
            arrays: Arc::clone(&self.arrays),
            log: self.shown_log(),
            alarms: engine.alarms().map(|alarm| Arc::new(alarm_of(engine, alarm))).collect(),
            answers: self.answers.iter().cloned().collect(),
            detail: self.detail(engine, now),
            drain: self.drain(engine, now),
            past: self.extras.past.clone(),
            activity: self.extras.activity.clone(),
            queue: self.extras.queue.clone(),
            draft: self.extras.draft.clone(),
            history: self.extras.history.clone(),
            uneditable: self.extras.uneditable.clone(),
            banner: self.broken.clone().or_else(|| self.banner.clone()),
        };
        self.sender.send_replace(Arc::new(snapshot));
    }

    /// The log as a list to share, made anew only after new lines.
    fn shown_log(&mut self) -> Arc<Vec<Arc<LogLine>>> {
        let log = &self.log;
        Arc::clone(self.log_shown.get_or_insert_with(|| Arc::new(log.iter().cloned().collect())))
    }

    fn detail(&self, engine: &Engine, now: Timestamp) -> Option<Arc<crate::view::Detail>> {
        let vm = engine.vm_named(self.look.vm.as_deref()?)?;
        let mut detail = detail(engine, vm, &self.memory[vm.index()], &self.look, now);
        detail.origin = self.extras.origins.get(vm.index()).cloned().unwrap_or_default();
        Some(Arc::new(detail))
    }

    fn drain(&self, engine: &Engine, now: Timestamp) -> Option<Arc<DrainPlan>> {
        let host = engine.host_named(self.look.drain.as_deref()?)?;
        Some(Arc::new(engine.drain_plan(host, now)))
    }

    fn refresh_alarms(&mut self, engine: &Engine) {
        let alarmed: HashSet<VmId> = engine.alarms().filter_map(|(_, vm, _)| vm).collect();
        for vm in alarmed.symmetric_difference(&self.alarmed) {
            self.stale_vms.insert(*vm);
        }
        self.alarmed = alarmed;
    }

    /// A host that is emptied changes without a word of its driver's.
    fn refresh_drains(&mut self, engine: &Engine) {
        let now: BTreeSet<HostId> = engine.drains().map(|(host, _)| host).collect();
        for host in now.union(&self.drained) {
            if self.hosts[host.index()].drain != engine.drain(*host) {
                self.stale_hosts.insert(*host);
            }
        }
        self.drained = now;
    }

    /// A VM's row says how its host is.
    fn refresh_host_states(&mut self, engine: &Engine) {
        for host in &self.stale_hosts {
            if self.hosts[host.index()].state != engine.host_state(*host) {
                self.stale_vms.extend(&self.placed[host.index()]);
            }
        }
    }

    /// A migration that has ended is asked about without a word in the log.
    fn refresh_flights(&mut self, engine: &Engine) {
        for migration in engine.migrations() {
            let vm = migration.route.vm;
            let shown = self.rows[vm.index()].migration.as_ref().map(|migration| (migration.stage, migration.aborting));
            if shown != Some((migration.stage(), migration.aborting)) {
                self.stale_vms.insert(vm);
            }
        }
    }

    fn refresh_rows(&mut self, engine: &Engine, now: Timestamp) {
        let stale = std::mem::take(&mut self.stale_vms);
        if stale.is_empty() {
            return;
        }
        for vm in stale {
            let fresh = row(engine, vm, &self.memory[vm.index()], self.alarmed.contains(&vm), now);
            Arc::make_mut(&mut self.rows)[vm.index()] = Arc::new(fresh);
            self.follow(engine, vm);
        }
        self.waiting = self.rows.iter().filter(|row| row.state == VmState::Waiting).count();
    }

    /// Keeps the hosts' lists of VMs.
    fn follow(&mut self, engine: &Engine, vm: VmId) {
        let (was, is) = (self.at[vm.index()], engine.live(vm).host());
        if was != is {
            self.placed[was.index()].retain(|other| *other != vm);
            self.placed[is.index()].push(vm);
            self.at[vm.index()] = is;
            self.stale_hosts.insert(was);
        }
        self.stale_hosts.insert(is);
    }

    fn refresh_hosts(&mut self, engine: &Engine) {
        let stale = std::mem::take(&mut self.stale_hosts);
        for host in &stale {
            self.hosts[host.index()] = Arc::new(host_view(engine, *host, &self.placed[host.index()]));
        }
        if !stale.is_empty() {
            self.arrays = Arc::new(array_views(engine.cluster(), &self.hosts));
        }
    }
}

fn alarm_of(engine: &Engine, (at, vm, text): (Timestamp, Option<VmId>, &str)) -> LogLine {
    let vm = vm.map(|vm| engine.cluster().vm(vm).name.clone());
    LogLine { at, vm, level: Level::Alarm, text: text.to_owned() }
}

impl Listener for Publisher {
    fn record(&mut self, record: &Record, engine: &Engine) {
        if let Some(line) = self.words.line(record) {
            if self.log.len() == LOG_KEPT {
                self.log.pop_front();
            }
            self.log.push_back(Arc::new(line));
            self.log_shown = None;
        }
        let vm = record.vm.as_ref().and_then(|name| engine.vm_named(name));
        let Some(vm) = vm.filter(|vm| vm.index() < self.memory.len()) else { return };
        self.stale_vms.insert(vm);
        match &record.what {
            Happened::Sample { value, .. } => self.memory[vm.index()].series.push(record.at, value.number()),
            Happened::Gap { .. } => self.memory[vm.index()].series.push(record.at, None),
            Happened::Migration { phase: Phase::Confirmed, to, .. } => {
                self.mark(vm, record.at, MarkKind::Moved(to.clone()));
            }
            Happened::Edit { .. } => self.mark(vm, record.at, MarkKind::Edited),
            _ => {}
        }
    }

    fn answer(&mut self, ok: bool, text: &str) {
        self.answer_to(None, ok, text);
    }

    fn host(&mut self, host: HostId) {
        self.stale_hosts.insert(host);
    }

    fn queue(&mut self, vm: VmId, look: &QueueLook) {
        self.stale_vms.insert(vm);
        if let Some(memory) = self.memory.get_mut(vm.index()) {
            memory.runs.saw(look);
        }
    }

    fn reconfigured(&mut self, engine: &Engine, now: Timestamp) {
        let mut before: HashMap<Name, Memory> =
            self.rows.iter().map(|row| row.name.clone()).zip(std::mem::take(&mut self.memory)).collect();
        let vms = &engine.cluster().vms;
        let mut known = |name: &str| before.remove(name).unwrap_or_else(|| Memory::one_of(vms.len()));
        self.memory = vms.iter().map(|vm| known(vm.name.as_str())).collect();
        self.begin(engine, now);
    }
}

#[cfg(test)]
mod tests;
