//! Steps engine and simulator in the order of time. The simulator answers the engine at once; questions to real monitors,
//! real drivers and the journal are collected for the loop.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::core::cluster::{ArrayId, Cluster, HostId, Monitor, Source, Timestamp, VmId};
use crate::core::engine::{
    Change, Command, ConfigChange, Deadlines, Effect, Engine, Event, InFlight, Kept, KeptCluster, Record,
};
use crate::core::format::{counted, duration};
use crate::core::queue::{Claim, JobTable, Queue, QueueLook, QueueRequest};
use crate::core::simulation::{Plan, Simulation};
use crate::edge::config::Config;
use crate::edge::driver::DriverCommand;

/// Learns what happens.
pub trait Listener {
    /// Something happened.
    fn record(&mut self, record: &Record, engine: &Engine);
    /// A command was refused after it had been answered.
    fn answer(&mut self, _ok: bool, _text: &str) {}
    /// A host's load or state was told.
    fn host(&mut self, _host: HostId) {}
    /// A VM's queue was looked at.
    fn queue(&mut self, _vm: VmId, _look: &QueueLook) {}
    /// The cluster was replaced, and earlier ids are invalid. Called before any record of the new cluster.
    fn reconfigured(&mut self, _engine: &Engine, _now: Timestamp) {}
}

/// Questions that only others can answer.
#[derive(Debug, Default)]
pub struct Asked {
    /// VMs for real monitors to read; each is answered with [`Event::Reading`].
    pub reads: Vec<VmId>,
    /// Migrations to be written down durably before they start; each is answered with [`Event::Journalled`] or
    /// [`Event::NotJournalled`].
    pub journal: Vec<InFlight>,
    /// Commands for the drivers of these arrays.
    pub jobs: Vec<(ArrayId, DriverCommand)>,
}

/// The engine and the simulator it lives with.
#[derive(Debug)]
pub struct EngineHost {
    engine: Engine,
    simulation: Simulation,
    monitors: Vec<Monitor>,
    /// The queues that monitors name.
    queues: Vec<Queue>,
    /// By `ArrayId`: a real driver moves its VMs, not the simulator.
    driven: Vec<bool>,
    now: Timestamp,
    journal_outside: bool,
    /// Reused by each step.
    events: VecDeque<Event>,
    simulated: Vec<Event>,
    effects: Vec<Effect>,
}

impl EngineHost {
    /// An engine over a cluster whose arrays the simulator drives.
    pub fn new(cluster: Cluster, monitors: Vec<Monitor>, plan: Plan, now: Timestamp) -> Self {
        Self::of(Engine::new(cluster.clone(), now), &cluster, monitors, plan, now)
    }

    /// An engine that goes on where another one stopped. The simulator has the VMs where that engine had them.
    pub fn restored(
        cluster: Cluster,
        monitors: Vec<Monitor>,
        mut plan: Plan,
        now: Timestamp,
        kept: &[(String, Kept)],
        whole: Option<KeptCluster>,
    ) -> Self {
        let engine = Engine::restored(cluster, now, kept, whole);
        let mut placed = engine.cluster().clone();
        for (vm, id) in placed.vms.iter_mut().zip(engine.vm_ids()) {
            vm.host = engine.live(id).host();
        }
        plan.outages.retain(|outage| outage.from > now);
        Self::of(engine, &placed, monitors, plan, now)
    }

    fn of(engine: Engine, placed: &Cluster, monitors: Vec<Monitor>, plan: Plan, now: Timestamp) -> Self {
        Self {
            engine,
            driven: plan.driven.clone(),
            simulation: Simulation::new(placed, plan, now),
            monitors,
            queues: Vec::new(),
            now,
            journal_outside: false,
            events: VecDeque::new(),
            simulated: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Replaces how long the engine waits for answers.
    pub const fn set_deadlines(&mut self, deadlines: Deadlines) {
        self.engine.set_deadlines(deadlines);
    }

    /// Whether a journal is kept. Then a migration is put into [`Asked::journal`] and starts with [`Event::Journalled`];
    /// otherwise it starts at once.
    pub const fn journal_outside(&mut self, outside: bool) {
        self.journal_outside = outside;
    }

    /// Follows migrations that are open in the journal to their outcome. To be called once, before the first wake.
    pub fn resume(&mut self, journalled: &[InFlight], listener: &mut impl Listener, asks: &mut Asked) {
        let mut effects = Vec::new();
        for migration in journalled {
            self.engine.resume(self.now, migration, &mut effects);
        }
        for effect in effects {
            self.carry_out(effect, listener, asks);
        }
    }

    /// The engine.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The VMs of which something worth keeping has changed since the last call.
    pub fn take_changed(&mut self) -> Vec<VmId> {
        self.engine.take_changed()
    }

    /// Every VM's monitor.
    pub fn monitors(&self) -> &[Monitor] {
        &self.monitors
    }

    /// Sets the queues that monitors name. To be called once, before the first wake, if there are any.
    pub fn set_queues(&mut self, queues: Vec<Queue>) {
        self.queues = queues;
    }

    /// The queues that monitors name.
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// Whether its driver reads this VM.
    pub fn is_measured(&self, vm: VmId) -> bool {
        matches!(self.monitors[vm.index()].source, Source::Hypervisor { .. })
    }

    /// The instant up to which it has worked.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The next instant at which something is due.
    pub fn next_wake(&self) -> Timestamp {
        self.engine.next_wake().min(self.simulation.next_event())
    }

    /// Does what is due at `now`. What only others can answer is added to `asks`.
    pub fn wake(&mut self, now: Timestamp, listener: &mut impl Listener, asks: &mut Asked) {
        self.now = now.max(self.now);
        let mut due = std::mem::take(&mut self.simulated);
        self.simulation.advance(self.now, &mut due);
        for event in due.drain(..) {
            self.tell(event, listener, asks);
        }
        self.simulated = due;
        if self.engine.next_wake() <= self.now {
            self.tell(Event::Tick, listener, asks);
        }
    }

    /// Tells the engine something now, and carries out what it wants.
    pub fn tell(&mut self, event: Event, listener: &mut impl Listener, asks: &mut Asked) -> Option<(bool, String)> {
        let mut answer = None;
        self.events.push_back(event);
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Host { host, .. } => listener.host(host),
                Event::Queue { vm, ref look, .. } => listener.queue(vm, look),
                _ => {}
            }
            let is_new_cluster = matches!(event, Event::Reconfigured { .. });
            let is_command = matches!(event, Event::Command { .. });
            let mut effects = std::mem::take(&mut self.effects);
            self.engine.step(self.now, event, &mut effects);
            if is_new_cluster {
                listener.reconfigured(&self.engine, self.now);
            }
            for effect in effects.drain(..) {
                match effect {
                    // A later answer is about a command that was answered before.
                    Effect::Answer { ok, text } if is_command => answer = Some((ok, text)),
                    effect => self.carry_out(effect, listener, asks),
                }
            }
            self.effects = effects;
        }
        answer
    }

    fn carry_out(&mut self, effect: Effect, listener: &mut impl Listener, asks: &mut Asked) {
        let now = self.now;
        if let Some(driven) = self.for_driver(&effect) {
            return match driven {
                Ok(job) => asks.jobs.push(job),
                Err(refusal) => self.events.push_back(refusal),
            };
        }
        let answer = match effect {
            Effect::Read { vm } if self.monitors[vm.index()].source != Source::Simulated => return asks.reads.push(vm),
            Effect::Read { vm } => self.simulation.read(vm, now),
            Effect::Order { vm, site, order } => return self.simulation.order(vm, &site, order, now),
            Effect::Preflight(route) => self.simulation.preflight(route, now),
            Effect::Journal(route) if self.journal_outside => {
                return asks.journal.extend(self.engine.in_flight(route.id));
            }
            // Without a journal the event stream has to do.
            Effect::Journal(route) => Event::Journalled { id: route.id },
            Effect::Start(route) => return self.simulation.start(route, now),
            Effect::Abort(route) => return self.simulation.abort(route, now),
            Effect::Confirm(route) => self.simulation.confirm(route, now),
            Effect::Record(record) => return listener.record(&record, &self.engine),
            Effect::Answer { ok, text } => return listener.answer(ok, &text),
        };
        self.events.push_back(answer);
    }

    /// The command for a real driver that an effect amounts to, or the refusal of a move that no driver can make. `None`: the
    /// effect is not for a driver.
    fn for_driver(&self, effect: &Effect) -> Option<Result<(ArrayId, DriverCommand), Event>> {
        let cluster = self.engine.cluster();
        let array = |host: HostId| cluster.host(host).array;
        if let Effect::Read { vm } = *effect {
            let Source::Hypervisor { field } = self.monitors[vm.index()].source else { return None };
            let command = DriverCommand::Measure { vm: cluster.vm(vm).name.clone(), field };
            return Some(Ok((array(self.engine.live(vm).host()), command)));
        }
        let (Effect::Preflight(route) | Effect::Start(route) | Effect::Abort(route) | Effect::Confirm(route)) = *effect
        else {
            return None;
        };
        let (from, to) = (array(route.from), array(route.to));
        if !self.is_driven(from) && !self.is_driven(to) {
            return None;
        }
        let route = self.engine.in_names(route);
        Some(match effect {
            Effect::Preflight(_) if from != to => {
                let refusal = Some("no driver moves a VM between arrays".to_owned());
                Err(Event::Preflight { id: route.id, refusal, forecast: None })
            }
            Effect::Preflight(_) => Ok((from, DriverCommand::Preflight(route))),
            Effect::Start(_) => Ok((from, DriverCommand::Start(route))),
            Effect::Abort(_) => Ok((from, DriverCommand::Abort(route))),
            _ => Ok((from, DriverCommand::Confirm(route))),
        })
    }

    fn is_driven(&self, array: ArrayId) -> bool {
        self.driven.get(array.index()).copied().unwrap_or(false)
    }

    /// Hands an operator's command to the engine, unless a monitor could not work with it. Returns the answer: whether it was
    /// taken, and in words.
    pub fn command(
        &mut self,
        by: &str,
        command: Command,
        listener: &mut impl Listener,
        asks: &mut Asked,
    ) -> (bool, String) {
        if let Err(text) = self.within_deadline(&command) {
            return (false, text);
        }
        let answer = self.tell(Event::Command { by: by.to_owned(), command }, listener, asks);
        answer.unwrap_or_else(|| (true, "taken".to_owned()))
    }

    /// Carries out what an operator asks of a simulated VM's worker. Returns what happens, in a sentence.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn order(&mut self, by: &str, vm: VmId, request: &QueueRequest) -> Result<String, String> {
        let now = self.now;
        let look = self.engine.site(vm).and_then(|site| site.look);
        let held = |claim: &str| look.iter().flat_map(|look| &look.claims).find(|held| held.name == *claim);
        match request {
            QueueRequest::Return { claim } => {
                let page = held(claim).map_or(claim.as_str(), |held| &held.status.page).to_owned();
                if !self.simulation.give_back(vm, claim, now) {
                    return Err(format!("there is no claim {claim} any more"));
                }
                return Ok(format!("{page} waits again"));
            }
            QueueRequest::Retry { claim, .. } if held(claim).is_none() => {
                return Err(format!("there is no claim {claim} any more"));
            }
            _ => {}
        }
        self.simulation.ask(vm, now, |control| request.write(control, by, now));
        Ok(match request {
            QueueRequest::Pause { lasts: Some(lasts), .. } => {
                format!("its worker is asked to pause for {}", duration(*lasts))
            }
            QueueRequest::Pause { .. } => "its worker is asked to pause".to_owned(),
            QueueRequest::Retry { jobs, .. } => {
                format!("its worker tries {} again", counted(jobs.len(), "job", "jobs"))
            }
            _ => "its worker is asked to go on".to_owned(),
        })
    }

    /// The jobs of a simulated VM's claim as a table; `None`: it has no such page.
    pub fn jobs(&self, vm: VmId, claim: &Claim) -> Option<JobTable> {
        let page = self.simulation.page(vm, &claim.status.page, self.now)?;
        Some(JobTable::new(Arc::new(page), &claim.status))
    }

    /// Why a job of a simulated VM was set aside.
    pub fn error_of(&self, vm: VmId, job: u32) -> Option<&'static str> {
        self.simulation.error_of(vm, job)
    }

    /// Refuses a threshold that a check which times out would not pass.
    fn within_deadline(&self, command: &Command) -> Result<(), String> {
        let Command::Amend { changes, .. } = command else { return Ok(()) };
        for Change { vm, settings } in changes {
            let Some(id) = self.engine.vm_named(vm) else { continue };
            let deadline = match &self.monitors[id.index()] {
                Monitor { source: Source::Http { .. }, deadline } => Some(*deadline),
                Monitor { source: Source::Simulated, .. } => self.simulation.deadline(id),
                _ => None,
            };
            let (Some(deadline), Some(high)) = (deadline, settings.rule.high()) else { continue };
            if !Monitor::timeout_is_beyond(deadline, high.at) {
                return Err(format!(
                    "{vm}: threshold {} must be below the check's deadline of {} ms, or a busy service is never beyond",
                    high.at,
                    deadline.millis()
                ));
            }
        }
        Ok(())
    }

    /// Applies a changed config, unless something under way is in its way. `said`: what it changes, to be recorded.
    ///
    /// # Errors
    /// What is in its way.
    pub fn reconfigure(
        &mut self,
        config: Config,
        said: Vec<ConfigChange>,
        listener: &mut impl Listener,
        asks: &mut Asked,
    ) -> Result<(), String> {
        self.engine.can_become(&config.cluster)?;
        let reread = self.read_otherwise(&config);
        self.driven.clone_from(&config.plan.driven);
        self.simulation.reconfigure(self.engine.cluster(), &config.cluster, config.plan, self.now);
        self.monitors = config.monitors;
        self.queues = config.queues;
        self.tell(Event::Reconfigured { cluster: Box::new(config.cluster), reread, said }, listener, asks);
        Ok(())
    }

    /// The VMs whose monitor reads something else under a new config: from another source, or from a queue that is described
    /// otherwise.
    fn read_otherwise(&self, config: &Config) -> Vec<String> {
        let before = self.engine.cluster().vms.iter().zip(&self.monitors);
        let before: HashMap<&str, &Source> = before.map(|(vm, monitor)| (vm.name.as_str(), &monitor.source)).collect();
        let after = config.cluster.vms.iter().zip(&config.monitors);
        let other = after.filter(|(vm, monitor)| {
            before.get(vm.name.as_str()).is_some_and(|was| **was != monitor.source || self.has_changed(was, config))
        });
        other.map(|(vm, _)| vm.name.to_string()).collect()
    }

    /// Whether a source is a queue that a new config describes otherwise.
    fn has_changed(&self, source: &Source, config: &Config) -> bool {
        let Source::Queue { queue } = source else { return false };
        self.queues.iter().find(|known| known.name == *queue) != config.queue_named(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{RequestId, Span};
    use crate::core::engine::{Happened, Phase, Route, Target};
    use crate::core::policy::{Field, Settings};
    use crate::core::queue::{JobKind, Parallel, QueueSource};
    use crate::core::simulation::{START, Scenario, Size};

    /// Everything that is told.
    #[derive(Default)]
    struct Told {
        records: Vec<Record>,
    }

    impl Listener for Told {
        fn record(&mut self, record: &Record, _: &Engine) {
            self.records.push(record.clone());
        }
    }

    impl Told {
        fn phases(&self) -> Vec<Phase> {
            let phase = |record: &Record| match record.what {
                Happened::Migration { phase, percent, .. } if percent == 0 || phase != Phase::Running => Some(phase),
                _ => None,
            };
            self.records.iter().filter_map(phase).collect()
        }
    }

    fn scenario() -> (Cluster, Vec<Monitor>, Plan) {
        Scenario::Two.build(Size::default(), 1)
    }

    fn engine_host() -> EngineHost {
        let (cluster, monitors, plan) = scenario();
        EngineHost::new(cluster, monitors, plan, START)
    }

    fn run_until(engine_host: &mut EngineHost, after: Span, told: &mut Told, asks: &mut Asked) {
        while engine_host.next_wake() <= START + after {
            engine_host.wake(engine_host.next_wake(), told, asks);
        }
    }

    fn move_nii3() -> Command {
        Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln4".to_owned()) }
    }

    #[test]
    fn a_migration_waits_for_a_journal_outside() {
        let (mut engine_host, mut told, mut asks) = (engine_host(), Told::default(), Asked::default());
        engine_host.journal_outside(true);
        run_until(&mut engine_host, Span::from_secs(1), &mut told, &mut asks);
        engine_host.command("operator", move_nii3(), &mut told, &mut asks);
        run_until(&mut engine_host, Span::from_secs(10), &mut told, &mut asks);
        let route = Route { id: RequestId(1), vm: "nii3".into(), from: "mln1".into(), to: "mln4".into() };
        assert_eq!(asks.journal.iter().map(|migration| &migration.route).collect::<Vec<_>>(), [&route]);
        assert!(told.phases().is_empty(), "it has not begun");
        engine_host.tell(Event::Journalled { id: RequestId(1) }, &mut told, &mut asks);
        run_until(&mut engine_host, Span::from_mins(3), &mut told, &mut asks);
        assert_eq!(told.phases(), [Phase::Running, Phase::Confirmed]);
    }

    #[test]
    fn a_restored_engine_host_has_its_vms_where_they_were_and_follows_what_was_under_way() {
        let (mut engine_host, mut told, mut asks) = (engine_host(), Told::default(), Asked::default());
        run_until(&mut engine_host, Span::from_secs(1), &mut told, &mut asks);
        engine_host.command("operator", move_nii3(), &mut told, &mut asks);
        run_until(&mut engine_host, Span::from_mins(3), &mut told, &mut asks);
        engine_host.journal_outside(true);
        let back = Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln2".to_owned()) };
        engine_host.command("operator", back, &mut told, &mut asks);
        let engine = engine_host.engine();
        let kept: Vec<_> =
            engine.vm_ids().map(|vm| (engine.cluster().vm(vm).name.to_string(), engine.keep(vm))).collect();
        let (whole, now) = (engine.keep_cluster(engine_host.now()), engine_host.now());
        let (cluster, monitors, plan) = scenario();
        let mut again = EngineHost::restored(cluster, monitors, plan, now, &kept, Some(whole));
        let mut told = Told::default();
        again.resume(&asks.journal, &mut told, &mut Asked::default());
        while again.next_wake() <= now + Span::from_secs(2) {
            again.wake(again.next_wake(), &mut told, &mut Asked::default());
        }
        assert_eq!(told.phases(), [Phase::Unknown, Phase::Failed], "it never left");
        let host = again.engine().live(VmId(0)).host();
        assert_eq!(again.engine().cluster().host(host).name, "mln4");
    }

    #[test]
    fn a_queue_that_is_described_otherwise_is_read_anew() {
        let (cluster, mut monitors, plan) = Scenario::Three.build(Size::default(), 1);
        monitors[0].source = Source::Queue { queue: "render".into() };
        let mut engine_host = EngineHost::new(cluster.clone(), monitors.clone(), plan.clone(), START);
        let render = Queue {
            name: "render".into(),
            source: QueueSource::Dir { path: "/srv/q".into() },
            job: JobKind::Exec { argv: vec!["render".to_owned()], deadline: Span::from_hours(1) },
            big: "grade a".to_owned(),
            page: None,
            parallel: Parallel::Everywhere(1),
            attempts: 3,
            lease: Span::from_mins(1),
        };
        engine_host.set_queues(vec![render.clone()]);
        let with = |queues| Config { queues, ..Config::simulated(cluster.clone(), monitors.clone(), plan.clone()) };
        assert_eq!(engine_host.read_otherwise(&with(vec![render.clone()])), Vec::<String>::new());
        let other = Queue { big: "grade b".to_owned(), ..render };
        assert_eq!(engine_host.read_otherwise(&with(vec![other])), ["nii4"]);
    }

    #[test]
    fn a_simulated_check_that_times_out_must_pass_its_threshold_in_an_edit_too() {
        let (cluster, monitors, plan) = Scenario::Fleet.build(Size::default(), 1);
        let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
        let mut amend = |threshold| {
            let cluster = engine_host.engine().cluster();
            let old = &cluster.vm(cluster.vm_named("cache1").expect("it checks by http")).policy;
            let settings = Box::new(old.with(Field::Threshold, threshold).expect("it is valid"));
            let command = Command::Amend { changes: vec![Change { vm: "cache1".to_owned(), settings }], why: None };
            engine_host.command("root", command, &mut Told::default(), &mut Asked::default())
        };
        let (taken, why) = amend(2_500.0);
        assert!(!taken && why.contains("threshold 2500 must be below the check's deadline of 2500 ms"), "{why}");
        assert!(amend(2_400.0).0);
    }

    #[test]
    fn a_threshold_that_a_check_could_never_pass_is_refused() {
        let (cluster, mut monitors, plan) = scenario();
        monitors[0].source = Source::Http { url: "http://127.0.0.1/".to_owned(), expect: 200 };
        monitors[0].deadline = Span::from_millis(60);
        let settings = cluster.vms[0].policy.clone();
        let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
        let mut told = Told::default();
        let mut amend = |settings: Settings| {
            let changes = vec![Change { vm: "nii3".to_owned(), settings: Box::new(settings) }];
            let command = Command::Amend { changes, why: None };
            engine_host.command("operator", command, &mut told, &mut Asked::default())
        };
        let at = |value| settings.with(crate::core::policy::Field::Threshold, value).expect("it stands");
        let (refused, taken) = (amend(at(60.0)), amend(at(59.0)));
        assert!(!refused.0 && refused.1.contains("deadline of 60 ms"), "{refused:?}");
        assert!(taken.0, "{taken:?}");
    }
}
