//! Samples, events and decisions on disk.
//!
//! A history is one SQLite file with a write-ahead log. A [`Store`] writes it, mostly on the thread of a [`HistoryWriter`]; a
//! [`Reader`] reads it at any time. A new reading goes into a `head` row, which 64 VMs share. When a head is full, one
//! transaction moves its readings into compressed chunks of some 128 readings of one VM. Chunks older than the retention
//! become quarters of an hour.
//!
//! | file | its story |
//! | --- | --- |
//! | `place` | where a history is kept unless the config says, and one engine a file |
//! | `schema` | what is in the file, and how an older form becomes the newest |
//! | `bytes`, `codec` | readings as bytes |
//! | `quarters` | readings of a quarter of an hour in one |
//! | `chunks` | chunks of one VM, never overlapping |
//! | `store` | the connection that writes |
//! | `maintenance` | sealing, rolling up, retiring, checkpoints: a bounded piece at a time |
//! | `writer` | the store on a thread of its own, behind bounded queues |
//! | `reader` | what is read for screens, what-if and reports |

mod bytes;
mod chunks;
mod codec;
mod error;
mod maintenance;
mod place;
mod quarters;
mod reader;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{HistoryError, HistoryFault};
pub use place::{default_path, state_folder, state_path};
pub use reader::{Order, Reader};
pub use store::Store;
pub use writer::{Flushed, HistoryWriter, Note};

use crate::core::cluster::{Name, Timestamp};
use crate::core::engine::Record;
use crate::core::insight::{Entry, PlacedFrom, SettingsFrom};

/// One transaction's worth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Readings by VM.
    pub readings: Vec<(Name, Entry)>,
    /// What else happened.
    pub records: Vec<Record>,
    /// Settings by VM; written only if they differ from the VM's last.
    pub settings: Vec<(Name, SettingsFrom)>,
    /// Where VMs are; written only if it differs from the VM's last.
    pub placed: Vec<PlacedFrom>,
    /// What the engine needs of each VM after a restart, as JSON of its own. Only the newest is kept.
    pub kept: Vec<(Name, String)>,
    /// The same for the engine itself.
    pub kept_cluster: Option<String>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        let lists =
            self.readings.len() + self.records.len() + self.settings.len() + self.placed.len() + self.kept.len();
        lists + usize::from(self.kept_cluster.is_some())
    }

    /// The latest instant of a reading or a record in it.
    pub fn through(&self) -> Option<Timestamp> {
        let readings = self.readings.iter().map(|(_, entry)| entry.at).max();
        readings.max(self.records.iter().map(|record| record.at).max())
    }

    /// Adds a later batch.
    pub fn append(&mut self, mut later: Self) {
        self.readings.append(&mut later.readings);
        self.records.append(&mut later.records);
        self.settings.append(&mut later.settings);
        self.placed.append(&mut later.placed);
        self.kept.append(&mut later.kept);
        self.kept_cluster = later.kept_cluster.or(self.kept_cluster.take());
    }
}
