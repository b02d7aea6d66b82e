//! What happens, on its way into the history: gathered while it happens, handed on in batches.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::core::cluster::{HostId, Name, RequestId, Timestamp, VmId};
use crate::core::engine::{Engine, Happened, KeptCluster, Phase, Record};
use crate::core::insight::{Entry, PlacedFrom, Seen, SettingsFrom};
use crate::core::policy::State;
use crate::edge::history::{Batch, Flushed, HistoryWriter};

use super::engine_host::{EngineHost, Listener};

/// Readings that wait for a history that does not take them; the oldest go first.
const MOST_WAITING: usize = 200_000;
/// What happened and waits for it; the oldest go first.
const MOST_TOLD: usize = 100_000;

/// What has to be written at the end is given up after this.
pub const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// Gathers what is to be kept.
pub struct HistoryBatcher {
    keeper: Keeping,
    batch: Batch,
    /// Something in the batch should not wait.
    urgent: bool,
    /// By VM: the host that the history has it on.
    placed: Vec<HostId>,
    /// Migrations that ended: they are settled once the VM's new place is written. The last instant of the batch it is in,
    /// once that was handed on.
    ended: Vec<(Option<Timestamp>, RequestId, Phase)>,
    /// Migrations of which the journal can be told that they have ended.
    settled: Vec<(RequestId, Phase)>,
    /// What was kept of the cluster last.
    cluster: Option<KeptCluster>,
    /// Readings and happenings that were given up.
    lost: usize,
}

/// Who keeps it.
enum Keeping {
    /// Nobody: nothing is gathered.
    Nobody,
    /// Somebody who is not there yet: it is gathered until then.
    Soon,
    By(HistoryWriter),
}

impl HistoryBatcher {
    /// Nothing is kept.
    pub fn none() -> Self {
        Self::new(Keeping::Nobody)
    }

    /// What is gathered waits for a keeper.
    pub fn soon(engine: &Engine, now: Timestamp) -> Self {
        let mut batcher = Self::new(Keeping::Soon);
        batcher.begin(engine, now);
        batcher
    }

    fn new(keeper: Keeping) -> Self {
        Self {
            keeper,
            batch: Batch::default(),
            urgent: false,
            placed: Vec::new(),
            ended: Vec::new(),
            settled: Vec::new(),
            cluster: None,
            lost: 0,
        }
    }

    /// The keeper has come.
    pub fn keep_by(&mut self, keeper: HistoryWriter) {
        self.keeper = Keeping::By(keeper);
        self.urgent = true;
    }

    /// The keeper is somebody else's from now on.
    pub fn into_keeper(self) -> Option<HistoryWriter> {
        match self.keeper {
            Keeping::By(keeper) => Some(keeper),
            Keeping::Nobody | Keeping::Soon => None,
        }
    }

    /// Whether anything is kept.
    pub const fn is_on(&self) -> bool {
        !matches!(self.keeper, Keeping::Nobody)
    }

    /// Whether something should be handed on at once.
    pub const fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Readings that wait to be handed on.
    pub const fn waiting(&self) -> usize {
        self.batch.readings.len()
    }

    /// Hands on what was gathered. If there is no room for it, it waits for the next time; with `wait` until there is.
    pub fn flush(&mut self, engine_host: &mut EngineHost, wait: bool) {
        if !matches!(self.keeper, Keeping::By(_)) {
            return self.bound();
        }
        self.gather_kept(engine_host);
        let Keeping::By(keeper) = &self.keeper else { return };
        self.urgent = false;
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let through = batch.through();
        let handed = if wait { keeper.put(batch) } else { keeper.offer(batch) };
        match handed {
            Ok(()) => self.ended.iter_mut().for_each(|(with, ..)| *with = with.or(through)),
            Err(back) => {
                self.batch = back;
                self.bound();
            }
        }
    }

    /// Everything up to this instant is written.
    pub fn written(&mut self, through: Timestamp) {
        let is_written = |ended: &mut (Option<Timestamp>, _, _)| ended.0.is_some_and(|with| with <= through);
        let written = self.ended.extract_if(.., is_written);
        self.settled.extend(written.map(|(_, id, phase)| (id, phase)));
    }

    /// Migrations that ended, once what came of them is written: where nothing is kept, at once.
    pub fn take_settled(&mut self) -> Vec<(RequestId, Phase)> {
        std::mem::take(&mut self.settled)
    }

    /// Waits until everything that was handed on is written, at most so long, and settles every migration that ended; if
    /// it could not be written none is, so that the next engine asks the hosts where the VM is.
    pub fn close(&mut self, within: Duration) -> Flushed {
        let Keeping::By(keeper) = &self.keeper else { return Flushed::Written };
        let began = Instant::now();
        let flushed = keeper.flush(within);
        if flushed != Flushed::Written {
            return flushed;
        }
        // What there was no room for is handed on now.
        if !self.batch.is_empty() {
            let left = within.saturating_sub(began.elapsed());
            if let Err(back) = keeper.offer(std::mem::take(&mut self.batch)) {
                self.batch = back;
                return Flushed::Late;
            }
            let flushed = keeper.flush(left);
            if flushed != Flushed::Written {
                return flushed;
            }
            self.ended.iter_mut().for_each(|(with, ..)| *with = with.or(Some(Timestamp::from_millis(0))));
        }
        self.written(Timestamp::NEVER);
        Flushed::Written
    }

    /// Rows that wait to be handed on.
    pub fn rows(&self) -> usize {
        self.batch.len()
    }

    /// Readings and happenings given up since this was last asked.
    pub fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }

    fn bound(&mut self) {
        let over = self.batch.readings.len().saturating_sub(MOST_WAITING);
        self.batch.readings.drain(..over);
        let untold = self.batch.records.len().saturating_sub(MOST_TOLD);
        self.batch.records.drain(..untold);
        self.lost += over + untold;
        // Of what is kept of a VM only the newest is written.
        if self.batch.kept.len() > self.placed.len() {
            let mut seen = HashSet::new();
            self.batch.kept.reverse();
            self.batch.kept.retain(|(vm, _)| seen.insert(vm.clone()));
            self.batch.kept.reverse();
        }
    }

    fn gather_kept(&mut self, engine_host: &mut EngineHost) {
        let changed = engine_host.take_changed();
        let engine = engine_host.engine();
        for vm in &changed {
            let kept = serde_json::to_string(&engine.keep(*vm)).unwrap_or_default();
            self.batch.kept.push((engine.cluster().vm(*vm).name.clone(), kept));
        }
        let cluster = engine.keep_cluster(engine_host.now());
        let news = self.cluster.as_ref().is_none_or(|written| cluster.differs(written));
        if news || !self.batch.is_empty() {
            self.batch.kept_cluster = serde_json::to_string(&cluster).ok();
            self.cluster = Some(cluster);
        }
    }

    /// Where everything is, and under which settings: the history keeps what is new of it.
    fn begin(&mut self, engine: &Engine, now: Timestamp) {
        self.placed = engine.vm_ids().map(|vm| engine.live(vm).host()).collect();
        for vm in engine.vm_ids() {
            self.settings(engine, vm, now);
            self.place(engine, vm, now);
        }
    }

    fn settings(&mut self, engine: &Engine, vm: VmId, at: Timestamp) {
        let described = engine.cluster().vm(vm);
        self.batch.settings.push((described.name.clone(), SettingsFrom { at, settings: described.policy.clone() }));
    }

    fn place(&mut self, engine: &Engine, vm: VmId, at: Timestamp) {
        let (described, host) = (engine.cluster().vm(vm), engine.cluster().host(engine.live(vm).host()));
        let (vm, host, place, price) = (described.name.clone(), host.name.clone(), engine.place(vm), host.price);
        self.batch.placed.push(PlacedFrom { at, vm, host, place, price });
    }

    /// Whatever has brought the VM to another host (a migration, somebody else, a driver that found it there): the record
    /// of it is the first that has the engine know the VM there.
    fn follow(&mut self, engine: &Engine, vm: VmId, at: Timestamp) {
        let host = engine.live(vm).host();
        if self.placed.get(vm.index()).is_some_and(|known| *known != host) {
            self.placed[vm.index()] = host;
            self.place(engine, vm, at);
        }
    }

    fn reading(&mut self, vm: &Name, entry: Entry) {
        self.batch.readings.push((vm.clone(), entry));
    }
}

const fn is_over(phase: Phase) -> bool {
    !matches!(phase, Phase::Running | Phase::Unknown)
}

impl Listener for HistoryBatcher {
    fn record(&mut self, record: &Record, engine: &Engine) {
        let over = match record.what {
            Happened::Migration { id, phase, .. } if is_over(phase) => Some((id, phase)),
            _ => None,
        };
        if !self.is_on() {
            return self.settled.extend(over);
        }
        self.ended.extend(over.map(|(id, phase)| (None, id, phase)));
        if let Some((name, vm)) = record.vm.as_ref().and_then(|name| Some((name, engine.vm_named(name)?))) {
            self.follow(engine, vm, record.at);
            let at = record.at;
            match &record.what {
                Happened::Sample { value, count, low_count, state, .. } => {
                    let (seen, count, low_count, state) = (Seen::Sample(*value), *count, *low_count, *state);
                    self.reading(name, Entry { at, seen, count, low_count, state });
                }
                Happened::Gap { reason, state } => {
                    let State { count, low_count, .. } = *engine.live(vm).policy();
                    self.reading(
                        name,
                        Entry { at, seen: Seen::Gap(reason.as_str().into()), count, low_count, state: *state },
                    );
                }
                Happened::Edit { .. } => self.settings(engine, vm, at),
                _ => {}
            }
        }
        if record.is_kept() {
            self.urgent = true;
            self.batch.records.push(record.clone());
        }
    }

    fn reconfigured(&mut self, engine: &Engine, now: Timestamp) {
        if self.is_on() {
            self.begin(engine, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::core::cluster::Span;
    use crate::core::engine::Event;
    use crate::core::insight::Retention;
    use crate::core::simulation::{START, Scenario, Size};
    use crate::edge::history::{Order, Reader, Store};
    use crate::runtime::engine_host::Asked;

    /// The thesis's first scenario, of which so much was told to a batcher without a keeper.
    fn gathered(batcher: fn(&Engine) -> HistoryBatcher) -> (EngineHost, HistoryBatcher) {
        let (cluster, monitors, plan) = Scenario::One.build(Size::default(), 1);
        let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
        let mut batcher = batcher(engine_host.engine());
        while engine_host.next_wake() < START + Span::from_hours(1) {
            engine_host.wake(engine_host.next_wake(), &mut batcher, &mut Asked::default());
        }
        (engine_host, batcher)
    }

    #[test]
    fn what_happens_before_the_keeper_comes_is_kept_by_it() {
        let (mut engine_host, mut batcher) = gathered(|engine| HistoryBatcher::soon(engine, START));
        let readings = batcher.waiting();
        assert!(readings > 100);
        batcher.flush(&mut engine_host, true);
        assert_eq!(batcher.waiting(), readings, "it waits");

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let store = Store::open(&path, Retention::default(), "a test").expect("a history");
        batcher.keep_by(HistoryWriter::start(store, |_| ()).expect("a thread"));
        batcher.flush(&mut engine_host, true);
        assert_eq!(batcher.waiting(), 0);
        batcher.close(WRITTEN_WITHIN);
        drop(batcher);
        let reader = Reader::open(&path).expect("a history");
        let vms = engine_host.engine().cluster().vms.iter();
        let kept: usize = vms.map(|vm| reader.readings(&vm.name, START, Timestamp::NEVER).expect("whole").len()).sum();
        assert_eq!(kept, readings);
    }

    #[test]
    fn too_many_readings_give_way_the_oldest_first_and_are_counted() {
        let (mut engine_host, mut batcher) = gathered(|engine| HistoryBatcher::soon(engine, START));
        let one = batcher.batch.readings[0].clone();
        let newest = batcher.batch.readings.last().cloned();
        let over = batcher.waiting();
        batcher.batch.readings.splice(0..0, vec![one; MOST_WAITING]);
        batcher.flush(&mut engine_host, false);
        assert_eq!((batcher.waiting(), batcher.take_lost(), batcher.take_lost()), (MOST_WAITING, over, 0));
        assert_eq!(batcher.batch.readings.last().cloned(), newest);
    }

    #[test]
    fn without_a_writer_to_come_nothing_is_gathered() {
        let (_, mut batcher) = gathered(|_| HistoryBatcher::none());
        assert!(batcher.batch.is_empty() && !batcher.is_on() && !batcher.is_urgent());
        assert!(!batcher.take_settled().is_empty(), "what ended is settled at once");
    }

    fn engine_host() -> EngineHost {
        let (cluster, monitors, plan) = Scenario::One.build(Size::default(), 1);
        EngineHost::new(cluster, monitors, plan, START)
    }

    #[test]
    fn what_waits_for_a_disk_takes_no_more_memory_however_long() {
        let mut engine_host = engine_host();
        let mut batcher = HistoryBatcher::soon(engine_host.engine(), START);
        let vms = engine_host.engine().cluster().vms.len();
        let mut newest = String::new();
        while engine_host.next_wake() < START + Span::from_hours(3) {
            engine_host.wake(engine_host.next_wake(), &mut batcher, &mut Asked::default());
            batcher.gather_kept(&mut engine_host);
            batcher.flush(&mut engine_host, false);
            assert!(batcher.batch.kept.len() <= vms);
            newest = serde_json::to_string(&engine_host.engine().keep(VmId(0))).expect("it can be written");
        }
        let kept: Vec<&String> =
            batcher.batch.kept.iter().filter(|(vm, _)| *vm == "nii1").map(|(_, body)| body).collect();
        assert!(kept.len() == 1 && kept[0].len() > 100 && newest.len() > 100, "the newest of each: {kept:?}");
        let said = batcher.batch.records.last().cloned().expect("moves");
        batcher.batch.records = vec![said; MOST_TOLD + 7];
        batcher.flush(&mut engine_host, false);
        assert_eq!((batcher.batch.records.len(), batcher.take_lost()), (MOST_TOLD, 7));
    }

    #[test]
    fn what_finds_no_room_in_the_writers_queue_waits_and_is_written_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let store = Store::open(&path, Retention::default(), "a test").expect("a history");
        let gate = Arc::new(Mutex::new(()));
        let (closed, writers) = (gate.lock().expect("nobody has it"), Arc::clone(&gate));
        let mut engine_host = engine_host();
        let mut batcher = HistoryBatcher::soon(engine_host.engine(), START);
        // The writer stands still as soon as it has something to tell.
        let notes = move |_| drop(writers.lock());
        batcher.keep_by(HistoryWriter::start(store, notes).expect("a thread"));
        batcher.flush(&mut engine_host, false);
        let mut told = 0;
        while batcher.rows() == 0 {
            let what = Happened::Alarm { text: told.to_string() };
            batcher.record(&Record { at: START, vm: None, what }, engine_host.engine());
            told += 1;
            batcher.flush(&mut engine_host, false);
            assert!(told < 1_000, "the queue has no bound");
        }
        drop(closed);
        assert_eq!(batcher.close(WRITTEN_WITHIN), Flushed::Written);
        let reader = Reader::open(&path).expect("a history");
        let records = reader.records(None, START, Timestamp::NEVER, Order::OldestFirst, usize::MAX).expect("whole");
        let texts: Vec<String> = (0..told).map(|n: i32| n.to_string()).collect();
        let alarms = records.iter().filter_map(|record| match &record.what {
            Happened::Alarm { text } => Some(text.clone()),
            _ => None,
        });
        assert_eq!(alarms.collect::<Vec<_>>(), texts, "each once, in order");
    }

    #[test]
    fn where_a_driver_finds_a_vm_is_in_the_history() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let store = Store::open(&path, Retention::default(), "a test").expect("a history");
        let mut engine_host = engine_host();
        let mut batcher = HistoryBatcher::soon(engine_host.engine(), START);
        batcher.keep_by(HistoryWriter::start(store, |_| ()).expect("a thread"));
        let vm = VmId(0);
        let before = engine_host.engine().live(vm).host();
        let other = HostId(before.0 + 1);
        let found = Event::Found { vm, hosts: vec![other] };
        engine_host.wake(START + Span::from_secs(1), &mut batcher, &mut Asked::default());
        engine_host.tell(found, &mut batcher, &mut Asked::default());
        batcher.flush(&mut engine_host, false);
        assert_eq!(batcher.close(WRITTEN_WITHIN), Flushed::Written);
        let cluster = engine_host.engine().cluster();
        let placed = Reader::open(&path).and_then(|reader| reader.placed(START, Timestamp::NEVER)).expect("whole");
        let of_it = placed.iter().filter(|one| one.vm == cluster.vm(vm).name).map(|one| (one.at, &one.host));
        let expected = [(START, before), (START + Span::from_secs(1), other)];
        assert_eq!(of_it.collect::<Vec<_>>(), expected.map(|(at, host)| (at, &cluster.host(host).name)));
    }

    #[test]
    fn a_migration_is_settled_only_when_what_came_of_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Store::open(&folder.path().join("a.db"), Retention::default(), "a test").expect("a history");
        let (mut engine_host, id) = (engine_host(), RequestId(1));
        let mut batcher = HistoryBatcher::soon(engine_host.engine(), START);
        batcher.keep_by(HistoryWriter::start(open(), |_| ()).expect("a thread"));
        batcher.flush(&mut engine_host, false);
        let happened = |at| Record { at, vm: None, what: Happened::Alarm { text: "a".to_owned() } };
        batcher.batch.records.push(happened(START));
        batcher.ended.push((None, id, Phase::Confirmed));
        batcher.written(START);
        assert_eq!(batcher.ended.len(), 1, "an earlier batch of the same instant does not have it");
        assert!(batcher.take_settled().is_empty());
        batcher.flush(&mut engine_host, false);
        assert_eq!(batcher.close(WRITTEN_WITHIN), Flushed::Written);
        assert_eq!((batcher.ended.len(), batcher.take_settled()), (0, vec![(id, Phase::Confirmed)]));
    }
}
