//! The drivers of a config's arrays: commands go to them and their events come back.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::core::cluster::{ArrayId, Driver, HostId};
use crate::core::engine::{Engine, Migration, StageKind};
use crate::edge::config::Config;
use crate::edge::driver::{ArrayDriver, DriverCommand, DriverEvent, Fleet, Guest, Machine, Tell};

/// Events that wait for the loop at most. When it is full, the drivers' supervisors wait, and with them the drivers.
const QUEUE: usize = 1_024;

/// Every array's driver.
pub struct Drivers {
    /// By `ArrayId`.
    slots: Vec<Slot>,
    /// Counts the drivers that were started; an event of one that was stopped since says nothing any more.
    started: u64,
    /// With the number of the driver that they come from.
    events: Receiver<(u64, DriverEvent)>,
    tell: Sender<(u64, DriverEvent)>,
    /// Answers to commands that a driver did not take. The loop may not wait for room in its own queue.
    refused: VecDeque<(u64, DriverEvent)>,
}

/// What an array's driver is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayDriverConfig {
    array: String,
    driver: Driver,
    fleet: Fleet,
}

/// One array and its driver.
struct Slot {
    config: ArrayDriverConfig,
    /// `None`: the simulator moves its VMs. The error says why the driver could not be started.
    driver: Result<Option<ArrayDriver>, String>,
    id: u64,
}

impl Default for Drivers {
    fn default() -> Self {
        let (tell, events) = channel(QUEUE);
        Self { slots: Vec::new(), started: 0, events, tell, refused: VecDeque::new() }
    }
}

impl Drivers {
    /// The driver of one array, which has told these events.
    #[cfg(test)]
    pub fn saying(events: impl IntoIterator<Item = DriverEvent>) -> Self {
        let mut drivers = Self::default();
        let config = ArrayDriverConfig { array: "a".to_owned(), driver: Driver::Simulator, fleet: Fleet::default() };
        drivers.slots.push(Slot { config, driver: Ok(None), id: 1 });
        drivers.refused.extend(events.into_iter().map(|event| (1, event)));
        drivers
    }

    /// Starts the drivers of a config and stops those that it does not have. A driver goes on if its array has the same name,
    /// settings, hosts and VMs. Returns what could not be started.
    pub fn configure(&mut self, configs: Vec<ArrayDriverConfig>) -> Vec<String> {
        let mut old = std::mem::take(&mut self.slots);
        let mut troubles = Vec::new();
        for config in configs {
            let same = old.iter().position(|slot| slot.config == config);
            let slot = same.map(|same| old.swap_remove(same)).unwrap_or_else(|| self.start(config));
            if let (None, Err(why)) = (same, &slot.driver) {
                troubles.push(format!("array {} cannot be driven: {why}", slot.config.array));
            }
            self.slots.push(slot);
        }
        troubles
    }

    fn start(&mut self, config: ArrayDriverConfig) -> Slot {
        self.started += 1;
        let id = self.started;
        let driver = ArrayDriver::start(&config.array, &config.driver, config.fleet.clone(), self.teller(id));
        Slot { config, driver, id }
    }

    /// Where the events of the driver with this number go.
    fn teller(&self, id: u64) -> Tell {
        let tell = self.tell.clone();
        // Nobody listens once the engine has ended.
        Arc::new(move |event| drop(tell.blocking_send((id, event))))
    }

    /// Checks that a config can be applied: a migration that one driver carries out cannot be handed to another.
    ///
    /// # Errors
    /// Which VM's migration is in the way.
    pub fn can_become(&self, configs: &[ArrayDriverConfig], engine: &Engine) -> Result<(), String> {
        for migration in engine.migrations() {
            let array = engine.cluster().host(migration.route.from).array;
            let slot = self.slots.get(array.index()).filter(|slot| !matches!(slot.driver, Ok(None)));
            let stands = |slot: &Slot| {
                let is_exchanged = !configs.contains(&slot.config);
                // The simulator does not know where a real VM runs: another driver can say how it ended.
                let is_simulated = |config: &ArrayDriverConfig| {
                    config.array == slot.config.array && config.driver == Driver::Simulator
                };
                is_exchanged && (is_driven(migration) || configs.iter().any(is_simulated))
            };
            if slot.is_some_and(stands) {
                let vm = &engine.cluster().vm(migration.route.vm).name;
                return Err(format!(
                    "{vm} is migrating, and its array's driver, hosts or VMs are others in the new config; it is read again when that is done"
                ));
            }
        }
        Ok(())
    }

    /// Has a driver do something. If it does not take the command, the next event says so.
    pub fn order(&mut self, array: ArrayId, command: DriverCommand) {
        let Some(slot) = self.slots.get(array.index()) else { return };
        let refused = match &slot.driver {
            Ok(Some(driver)) => driver.order(command),
            Ok(None) => None,
            Err(why) => Some(command.refused(why.clone())),
        };
        self.refused.extend(refused.map(|event| (slot.id, event)));
    }

    /// Waits for the next event of a driver that still runs.
    pub async fn next(&mut self) -> DriverEvent {
        loop {
            let next = match self.refused.pop_front() {
                Some(refused) => Some(refused),
                None => self.events.recv().await,
            };
            match next {
                Some((id, event)) if self.slots.iter().any(|slot| slot.id == id) => return event,
                Some(_) => {}
                // Never happens: `tell` is a sender.
                None => std::future::pending().await,
            }
        }
    }
}

/// What each array's driver is started with, by `ArrayId`.
pub fn driver_configs(config: &Config) -> Vec<ArrayDriverConfig> {
    let of_array = |(n, driver): (usize, &Driver)| {
        let (id, driver) = (ArrayId::at(n), driver.clone());
        // The simulator is part of the engine's thread.
        let fleet = if driver == Driver::Simulator { Fleet::default() } else { fleet(config, id) };
        ArrayDriverConfig { array: config.cluster.array(id).name.to_string(), driver, fleet }
    };
    config.drivers.iter().enumerate().map(of_array).collect()
}

/// Whether a driver works on it.
const fn is_driven(migration: &Migration) -> bool {
    matches!(migration.stage(), StageKind::Preflight | StageKind::Journal | StageKind::Running)
}

/// An array's hosts, and the VMs that live there.
fn fleet(config: &Config, id: ArrayId) -> Fleet {
    let (cluster, array) = (&config.cluster, config.cluster.array(id));
    let reach = |host: HostId| config.reaches.get(host.index()).cloned().unwrap_or_default();
    let machine = |host: HostId, index| Machine { name: cluster.host(host).name.clone(), reach: reach(host), index };
    let ring = (1..).zip(&array.ring).map(|(place, host)| machine(*host, Some(place)));
    let base = array.base.map(|host| machine(host, None));
    let domain = |n: usize| config.domains.get(n).cloned().unwrap_or_default();
    let of_array = cluster.vms.iter().enumerate().filter(|(_, vm)| vm.array == id);
    let guests = of_array.map(|(n, vm)| Guest { name: vm.name.clone(), domain: domain(n) }).collect();
    Fleet { hosts: ring.chain(base).collect(), guests }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{Commands, HostState, Name, RequestId, Span, VmId};
    use crate::core::engine::{Command, Event, Target};
    use crate::core::simulation::{START, Scenario, Size};
    use crate::edge::driver::Move;
    use crate::runtime::{Asked, EngineHost, HistoryBatcher};

    /// The thesis's second cluster, with a driver that cannot be had.
    fn driven() -> (EngineHost, Drivers) {
        let (cluster, monitors, mut plan) = Scenario::Two.build(Size::default(), 1);
        plan.driven = vec![true];
        let mut drivers = Drivers::default();
        let config = config("libvirt0 is not installed");
        drivers.slots.push(Slot { config, driver: Err("libvirt0 is not installed".to_owned()), id: 1 });
        (EngineHost::new(cluster, monitors, plan, START), drivers)
    }

    fn config(migrate: &str) -> ArrayDriverConfig {
        let commands = Commands {
            migrate: vec![migrate.to_owned()],
            locate: Vec::new(),
            progress: None,
            abort: None,
            host_state: None,
            migrate_deadline: Commands::MIGRATE_DEADLINE,
            deadline: Commands::DEADLINE,
        };
        ArrayDriverConfig { array: "a".to_owned(), driver: Driver::Command(commands), fleet: Fleet::default() }
    }

    fn tell(engine_host: &mut EngineHost, event: Event, asks: &mut Asked) {
        engine_host.tell(event, &mut HistoryBatcher::none(), asks);
    }

    /// An engine host whose hosts are up, and that was told to move nii3.
    fn asked(engine_host: &mut EngineHost) -> Asked {
        let mut asks = Asked::default();
        for host in (0..engine_host.engine().cluster().hosts.len()).map(HostId::at) {
            tell(engine_host, Event::Host { host, state: HostState::Up, load: None, why: None }, &mut asks);
        }
        let command = Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln4".to_owned()) };
        engine_host.command("operator", command, &mut HistoryBatcher::none(), &mut asks);
        asks
    }

    #[test]
    fn what_a_driver_has_to_do_is_said_in_names() {
        let (mut engine_host, _) = driven();
        let asks = asked(&mut engine_host);
        let way = Move { id: RequestId(1), vm: "nii3".into(), from: "mln1".into(), to: "mln4".into() };
        assert_eq!(asks.jobs, [(ArrayId(0), DriverCommand::Preflight(way))]);
        assert_eq!(
            engine_host.next_wake().min(START + Span::from_hours(1)),
            engine_host.engine().next_wake(),
            "nothing simulated"
        );
    }

    #[tokio::test]
    async fn a_driver_that_could_not_be_started_refuses_in_words() {
        let (mut engine_host, mut drivers) = driven();
        for (array, job) in asked(&mut engine_host).jobs {
            drivers.order(array, job);
        }
        let refusal = Some("libvirt0 is not installed".to_owned());
        assert_eq!(drivers.next().await, DriverEvent::Preflight { id: RequestId(1), refusal, forecast: None });
    }

    #[tokio::test]
    async fn a_supervisor_waits_while_the_queue_of_events_is_full_and_none_is_lost() {
        let (_, mut drivers) = driven();
        let (tell, id) = (drivers.teller(drivers.slots[0].id), drivers.slots[0].id);
        let event = |n: usize| DriverEvent::Trouble { vm: None, text: n.to_string() };
        for n in 0..QUEUE {
            drivers.tell.try_send((id, event(n))).expect("there is room");
        }
        drivers.tell.try_send((id, event(QUEUE))).expect_err("it has a bound");
        let (told, has_told) = std::sync::mpsc::channel();
        let supervisor = move || {
            tell(event(QUEUE));
            drop(told);
        };
        let supervisor = std::thread::spawn(supervisor);
        // It would have told by then if it did not wait.
        let waits = has_told.recv_timeout(std::time::Duration::from_millis(100));
        assert_eq!(waits, Err::<(), _>(std::sync::mpsc::RecvTimeoutError::Timeout));
        for n in 0..=QUEUE {
            assert_eq!(drivers.next().await, event(n));
        }
        supervisor.join().expect("there was room in the end");
    }

    #[tokio::test]
    async fn what_a_driver_says_that_is_no_more_means_nothing() {
        let (mut engine_host, mut drivers) = driven();
        let (array, job) = asked(&mut engine_host).jobs.remove(0);
        drivers.order(array, job.clone());
        drivers.slots[0].id = 2;
        let DriverCommand::Preflight(way) = job else { panic!("{job:?}") };
        drivers.order(array, DriverCommand::Confirm(way));
        assert!(matches!(drivers.next().await, DriverEvent::Presence { .. }), "of the second");
    }

    #[test]
    fn a_driver_at_work_is_not_exchanged() {
        let (mut engine_host, drivers) = driven();
        let same = [config("libvirt0 is not installed")];
        assert_eq!(drivers.can_become(&[config("other")], engine_host.engine()), Ok(()), "nothing moves");
        asked(&mut engine_host);
        assert_eq!(drivers.can_become(&same, engine_host.engine()), Ok(()));
        let why = drivers.can_become(&[config("other")], engine_host.engine()).expect_err("nii3 moves");
        assert!(why.starts_with("nii3 is migrating"), "{why}");
        // Its outcome is read.
        for event in [
            Event::Preflight { id: RequestId(1), refusal: None, forecast: None },
            Event::Ended { id: RequestId(1), detail: String::new() },
        ] {
            tell(&mut engine_host, event, &mut Asked::default());
        }
        assert_eq!(drivers.can_become(&[config("other")], engine_host.engine()), Ok(()), "the other can read it too");
        let simulated = ArrayDriverConfig { driver: Driver::Simulator, ..config("libvirt0 is not installed") };
        drivers.can_become(&[simulated], engine_host.engine()).expect_err("the simulator cannot");
    }

    #[test]
    fn what_a_driver_tells_of_a_host_that_is_not_in_the_config_any_more_means_nothing() {
        let (engine_host, _) = driven();
        let found = |hosts: &[&str]| {
            let hosts = hosts.iter().map(|host| Name::from(*host)).collect();
            engine_host.engine().in_ids(DriverEvent::Found { vm: "nii3".into(), hosts })
        };
        assert_eq!(found(&["mln2"]), Some(Event::Found { vm: VmId(0), hosts: vec![HostId(1)] }));
        assert_eq!(found(&[]), Some(Event::Found { vm: VmId(0), hosts: Vec::new() }));
        assert_eq!(found(&["mln2", "gone"]), None);
    }
}
