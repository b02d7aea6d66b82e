//! Engine and simulator, stepped in the order of time. What they ask of each other is answered at once; what only a
//! real monitor can tell is asked for.

use std::collections::{HashMap, VecDeque};

use crate::core::cluster::{Cluster, HostId, Monitor, Source, Timestamp, VmId};
use crate::core::engine::{Change, Command, Effect, Engine, Event, Record};
use crate::core::simulation::{Plan, Simulation};
use crate::edge::config::Config;

/// Whoever listens to what happens.
pub trait Listener {
    /// Something happened.
    fn record(&mut self, record: &Record, engine: &Engine);
    /// An operator's command was answered.
    fn answer(&mut self, ok: bool, text: &str);
    /// A host's load or state was told.
    fn host(&mut self, host: HostId);
    /// The cluster is another now: ids known so far mean nothing. Told before anything that is said in the new ids.
    fn reconfigured(&mut self, engine: &Engine);
}

/// The engine and the simulator it lives with.
#[derive(Debug)]
pub struct Heart {
    engine: Engine,
    simulation: Simulation,
    monitors: Vec<Monitor>,
    now: Timestamp,
    /// Kept between steps for their room.
    events: VecDeque<Event>,
    simulated: Vec<Event>,
    effects: Vec<Effect>,
}

impl Heart {
    /// An engine over a cluster whose arrays the simulator drives.
    pub fn new(cluster: Cluster, monitors: Vec<Monitor>, plan: Plan, now: Timestamp) -> Self {
        Self {
            simulation: Simulation::new(&cluster, plan, now),
            engine: Engine::new(cluster, now),
            monitors,
            now,
            events: VecDeque::new(),
            simulated: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// The engine, to be looked at.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Every VM's monitor.
    pub fn monitors(&self) -> &[Monitor] {
        &self.monitors
    }

    /// The instant it has come to.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The next instant at which something is due.
    pub fn next_wake(&self) -> Timestamp {
        self.engine.next_wake().min(self.simulation.next_event())
    }

    /// Does what is due at `now`. VMs that real monitors have to read are added to `asks`.
    pub fn wake(&mut self, now: Timestamp, listener: &mut impl Listener, asks: &mut Vec<VmId>) {
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
    pub fn tell(&mut self, event: Event, listener: &mut impl Listener, asks: &mut Vec<VmId>) {
        self.events.push_back(event);
        while let Some(event) = self.events.pop_front() {
            if let Event::Host { host, .. } = event {
                listener.host(host);
            }
            let is_new_cluster = matches!(event, Event::Reconfigured { .. });
            let mut effects = std::mem::take(&mut self.effects);
            self.engine.step(self.now, event, &mut effects);
            if is_new_cluster {
                listener.reconfigured(&self.engine);
            }
            for effect in effects.drain(..) {
                self.carry_out(effect, listener, asks);
            }
            self.effects = effects;
        }
    }

    fn carry_out(&mut self, effect: Effect, listener: &mut impl Listener, asks: &mut Vec<VmId>) {
        let now = self.now;
        let answer = match effect {
            Effect::Read { vm } if self.monitors[vm.index()].source != Source::Simulated => return asks.push(vm),
            Effect::Read { vm } => self.simulation.read(vm, now),
            Effect::Preflight(route) => self.simulation.preflight(route, now),
            // The history that keeps this across a crash comes with it; until then the event stream is the journal.
            Effect::Journal(route) => Event::Journalled { id: route.id },
            Effect::Start(route) => return self.simulation.start(route, now),
            Effect::Abort(route) => return self.simulation.abort(route, now),
            Effect::Confirm(route) => self.simulation.presence(route, now),
            Effect::Record(record) => return listener.record(&record, &self.engine),
            Effect::Answer { ok, text } => return listener.answer(ok, &text),
        };
        self.events.push_back(answer);
    }

    /// An operator's command, if the monitors can live with it.
    pub fn command(&mut self, by: &str, command: Command, listener: &mut impl Listener, asks: &mut Vec<VmId>) {
        if let Err(text) = self.within_deadline(&command) {
            return listener.answer(false, &text);
        }
        self.tell(Event::Command { by: by.to_owned(), command }, listener, asks);
    }

    /// A threshold at or above the deadline of an `http` check could never be passed.
    fn within_deadline(&self, command: &Command) -> Result<(), String> {
        let Command::Amend { changes, .. } = command else { return Ok(()) };
        for Change { vm, settings } in changes {
            let monitor = self.engine.cluster().vm_named(vm).map(|id| &self.monitors[id.index()]);
            let Some(Monitor { source: Source::Http { .. }, deadline }) = monitor else { continue };
            let Some(high) = settings.rule.high().filter(|high| high.at >= deadline.millis() as f64) else { continue };
            return Err(format!(
                "{vm}: threshold {} must be below the check's deadline of {} ms, or a busy service is never beyond",
                high.at,
                deadline.millis()
            ));
        }
        Ok(())
    }

    /// Takes a changed config over, if nothing under way stands against it.
    ///
    /// # Errors
    /// What stands against it.
    pub fn reconfigure(
        &mut self,
        config: Config,
        listener: &mut impl Listener,
        asks: &mut Vec<VmId>,
    ) -> Result<(), String> {
        self.engine.can_become(&config.cluster)?;
        let reread = self.read_otherwise(&config);
        self.simulation.reconfigure(self.engine.cluster(), &config.cluster, config.plan, self.now);
        self.monitors = config.monitors;
        self.tell(Event::Reconfigured { cluster: Box::new(config.cluster), reread }, listener, asks);
        Ok(())
    }

    /// The VMs whose monitor reads something else in a config that is to come.
    fn read_otherwise(&self, config: &Config) -> Vec<String> {
        let before = self.engine.cluster().vms.iter().zip(&self.monitors);
        let before: HashMap<&str, &Source> = before.map(|(vm, monitor)| (vm.name.as_str(), &monitor.source)).collect();
        let after = config.cluster.vms.iter().zip(&config.monitors);
        let other =
            after.filter(|(vm, monitor)| before.get(vm.name.as_str()).is_some_and(|was| **was != monitor.source));
        other.map(|(vm, _)| vm.name.clone()).collect()
    }
}
