//! Reads services with real monitors. A monitor that panics is an alarm and gets a new client.

use std::collections::HashMap;

use tokio::task::{Id, JoinError, JoinSet};

use crate::core::cluster::{Monitor, Reading, VmId};
use crate::edge::monitor::Client;
use crate::edge::supervisor::fault;

/// A reading, with the client that made it.
struct Done {
    generation: u64,
    vm: VmId,
    client: Client,
    reading: Reading,
}

/// A poll's result for the engine.
pub enum Polled {
    /// A reading.
    Reading(VmId, Reading),
    /// The monitor panicked: no reading, and a human should know.
    Panicked(VmId),
    /// It belongs to an earlier config. The engine recorded a gap for it when it applied the new one.
    Outdated,
}

/// Every VM's client, and the polls under way.
#[derive(Default)]
pub struct Polls {
    clients: Vec<Option<Client>>,
    running: HashMap<Id, (u64, VmId)>,
    tasks: JoinSet<Done>,
    /// Counts configs. The ids of an earlier one are invalid.
    generation: u64,
}

impl Polls {
    /// Makes new clients for the VMs that real monitors read, and gives up polls under way.
    pub fn configure(&mut self, monitors: &[Monitor]) {
        self.generation += 1;
        self.tasks.abort_all();
        self.clients = monitors.iter().map(Client::new).collect();
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Starts to read a VM's service.
    pub fn start(&mut self, vm: VmId) {
        let Some(mut client) = self.clients.get_mut(vm.index()).and_then(Option::take) else { return };
        let generation = self.generation;
        let handle = self.tasks.spawn(async move {
            fault("monitor");
            let reading = client.read().await;
            Done { generation, vm, client, reading }
        });
        self.running.insert(handle.id(), (generation, vm));
    }

    /// Waits for the next poll to end; `None` if none is under way.
    pub async fn next(&mut self) -> Option<Result<(Id, Polled), JoinError>> {
        let ended = self.tasks.join_next_with_id().await?;
        Some(match ended {
            Ok((id, done)) => Ok((id, self.take(done))),
            Err(error) => Err(error),
        })
    }

    fn take(&mut self, done: Done) -> Polled {
        if done.generation != self.generation {
            return Polled::Outdated;
        }
        self.clients[done.vm.index()] = Some(done.client);
        Polled::Reading(done.vm, done.reading)
    }

    /// Takes a poll that has ended off the list, and returns its result. A monitor that panicked gets a new client.
    pub fn settle(&mut self, ended: Result<(Id, Polled), JoinError>, monitors: &[Monitor]) -> Polled {
        match ended {
            Ok((id, polled)) => {
                self.running.remove(&id);
                polled
            }
            Err(error) => match self.running.remove(&error.id()) {
                Some((generation, vm)) if generation == self.generation && error.is_panic() => {
                    self.clients[vm.index()] = Client::new(&monitors[vm.index()]);
                    Polled::Panicked(vm)
                }
                _ => Polled::Outdated,
            },
        }
    }
}
