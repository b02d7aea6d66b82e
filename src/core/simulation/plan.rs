//! What a simulated cluster is made of, in addition to the [`Cluster`](crate::core::cluster::Cluster).

use serde::{Deserialize, Serialize};

use crate::core::cluster::{ArrayId, HostId, Span, Timestamp};

/// The kind of service a simulated VM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// A counter of slow queries.
    Mysql,
    /// A gauge of idle workers: lower is worse.
    Apache,
    /// A gauge of response time in ms.
    Http,
    /// QueueJob queues (site policy).
    Queue,
}

/// One simulated VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmPlan {
    /// What it runs; `None`: a real monitor reads it, the simulator only moves it.
    pub service: Option<Service>,
    /// CPU it wants on an ordinary day, in GHz.
    pub demand_ghz: f64,
    /// CPU it can have at most, whatever it wants, in GHz; `None`: all of its host's. A VM that wants more than this is
    /// slow on any host.
    pub limit_ghz: Option<f64>,
    /// How far the day's sine swings around the ordinary demand, 0 to 1.
    pub swing: f64,
    /// How often a burst comes, a day; at most 96.
    pub bursts_a_day: f64,
    /// How many times the ordinary demand a burst wants.
    pub burst: f64,
    /// Memory, in MB.
    pub memory_mb: f64,
    /// Memory it writes to on an ordinary day, in MB/s; grows with its demand.
    pub dirty_mb_s: f64,
    /// An http service that takes this long is reported as *at least* that: its monitor's deadline.
    pub deadline: Span,
    /// A queue service's first queue comes this long after the start, or up to a minute later.
    pub queue_first: Span,
    /// Its queues come this far apart.
    pub queue_every: Span,
    /// Bursts that come for certain, by time.
    pub surges: Vec<Surge>,
    /// When its service does not answer, by time.
    pub silences: Vec<ServiceSilence>,
}

impl Default for VmPlan {
    fn default() -> Self {
        Self {
            service: None,
            demand_ghz: 0.5,
            limit_ghz: None,
            swing: 0.3,
            bursts_a_day: 6.0,
            burst: 3.0,
            memory_mb: 512.0,
            dirty_mb_s: 10.0,
            deadline: Span::from_millis(2_500),
            queue_first: Span::from_mins(1),
            queue_every: Span::from_mins(50),
            surges: Vec::new(),
            silences: Vec::new(),
        }
    }
}

/// A burst at a set time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Surge {
    /// From then.
    pub from: Timestamp,
    /// For so long.
    pub lasts: Span,
    /// Times the demand there would be without it.
    pub times: f64,
}

/// A service that does not answer for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSilence {
    /// From then.
    pub from: Timestamp,
    /// For so long.
    pub lasts: Span,
    /// What a monitor says meanwhile: `connection refused`.
    pub reason: String,
}

/// A host that fails and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// This host.
    pub host: HostId,
    /// From then.
    pub from: Timestamp,
    /// For so long.
    pub lasts: Span,
}

/// A simulated cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The same seed is the same run.
    pub seed: u64,
    /// By `HostId`: CPU in GHz.
    pub hosts_ghz: Vec<f64>,
    /// By `VmId`.
    pub vms: Vec<VmPlan>,
    /// Migration bandwidth within an array, in MB/s.
    pub bandwidth_mb_s: f64,
    /// Shortest and longest move between sites.
    pub between_sites: (Span, Span),
    /// Hosts that fail, by time.
    pub outages: Vec<Outage>,
    /// By `ArrayId`: a real driver moves its VMs, and the simulator leaves it alone. Those it does not have are simulated.
    #[serde(default)]
    pub driven: Vec<bool>,
}

impl Plan {
    /// Whether an array is the simulator's to drive.
    pub fn simulates(&self, array: ArrayId) -> bool {
        !self.driven.get(array.index()).is_some_and(|driven| *driven)
    }
}
