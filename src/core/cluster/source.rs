//! Where a VM's indicator is read. Pure data: the monitors in `edge` do the reading.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Name, Span};

/// Where a password is found when it is needed. The password itself is never part of the config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Secret {
    /// In this environment variable.
    Env(String),
    /// In this file, its trailing line end cut off.
    File(PathBuf),
}

/// What a read that had no end within its deadline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// No value.
    #[default]
    Gap,
    /// The service is too busy to answer: a sample beyond the threshold.
    Beyond,
}

/// The number a MySQL or MariaDB server is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MysqlQuantity {
    /// A variable of `SHOW GLOBAL STATUS`.
    Variable(String),
    /// A query that gives one number.
    Query(String),
}

/// What a hypervisor knows of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// CPU time, in percent of what its virtual CPUs can have.
    Cpu,
    /// Memory in use, in percent of what it has.
    Memory,
}

/// The service behind an indicator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Source {
    /// A MySQL or MariaDB server.
    Mysql {
        /// `mysql://user@host:port/database?require_ssl=true`, without a password.
        url: String,
        /// Where the password is.
        password: Option<Secret>,
        /// What is asked.
        quantity: MysqlQuantity,
        /// What a timeout means.
        on_timeout: OnTimeout,
    },
    /// An Apache httpd with mod_status.
    Apache {
        /// The status page, with or without `?auto`; user and password are not part of it.
        url: String,
        /// A line of the page: `IdleWorkers`.
        field: String,
        /// What a timeout means.
        on_timeout: OnTimeout,
    },
    /// Anything that answers http: the response time in ms.
    Http {
        /// What is fetched, with GET.
        url: String,
        /// The status that counts as an answer.
        expect: u16,
    },
    /// The job queue that the VM works: the big jobs of the page that its worker has in hand.
    Queue {
        /// The name of the queue.
        queue: Name,
    },
    /// The hypervisor, through the array's driver.
    Hypervisor {
        /// What of it.
        field: Usage,
    },
    /// The simulator.
    Simulated,
}

/// A VM's monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// What it reads.
    pub source: Source,
    /// How long one reading may take.
    pub deadline: Span,
}

impl Monitor {
    /// The deadline unless set: a quarter of the interval, at most 10 s.
    pub fn default_deadline(interval: Span) -> Span {
        interval.scaled(1, 4).min(Span::from_secs(10))
    }

    /// Whether an http check that times out is beyond a threshold in ms. It counts as a sample with the value of its
    /// deadline, so the deadline must be above the threshold.
    pub fn timeout_is_beyond(deadline: Span, threshold: f64) -> bool {
        deadline.millis() as f64 > threshold
    }
}
