//! Reads services with real monitors. A monitor that panics is an alarm and gets a new client.

use std::collections::HashMap;

use tokio::task::{Id, JoinError, JoinSet};

use crate::core::cluster::{Monitor, Reading, VmId};
use crate::edge::monitor::Client;
use crate::edge::supervisor::fault;

/// A poll's result for the engine.
pub enum Polled {
    /// A reading.
    Reading(VmId, Reading),
    /// The monitor panicked: no reading, and a human should know.
    Panicked(VmId),
}

/// Every VM's client, and the polls under way.
#[derive(Default)]
pub struct Polls {
    clients: Vec<Option<Client>>,
    running: HashMap<Id, VmId>,
    /// Each ends with its client and what that read.
    tasks: JoinSet<(Client, Reading)>,
}

impl Polls {
    /// Makes new clients for the VMs that real monitors read. Polls under way end without a result: the engine records gaps for
    /// them when it applies the new config.
    pub fn configure(&mut self, monitors: &[Monitor]) {
        *self = Self { clients: monitors.iter().map(Client::new).collect(), ..Self::default() };
    }

    /// Starts to read a VM's service.
    pub fn start(&mut self, vm: VmId) {
        let Some(mut client) = self.clients.get_mut(vm.index()).and_then(Option::take) else { return };
        let handle = self.tasks.spawn(async move {
            fault("monitor");
            let reading = client.read().await;
            (client, reading)
        });
        self.running.insert(handle.id(), vm);
    }

    /// Waits for the next poll to end; `None` if none is under way. A monitor that panicked gets a new client.
    pub async fn next(&mut self, monitors: &[Monitor]) -> Option<Polled> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let vm = self.running.remove(&id)?;
        let (client, polled) = match ended {
            Ok((_, (client, reading))) => (Some(client), Polled::Reading(vm, reading)),
            Err(_) => (Client::new(&monitors[vm.index()]), Polled::Panicked(vm)),
        };
        self.clients[vm.index()] = client;
        Some(polled)
    }
}
