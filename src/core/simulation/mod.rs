//! A simulated cluster: services, load, pre-copy migrations, scenarios. Seeded: the same seed is the same run.
//!
//! | file | its story |
//! | --- | --- |
//! | `mod` | what a simulated cluster is made of, in addition to the [`Cluster`](crate::core::cluster::Cluster) |
//! | `load` | how much CPU each VM wants, how busy its host is, and what its service makes of that |
//! | `queue` | the worker in a VM that works through job queues |
//! | `migration` | one migration, from its start to its end |
//! | `world` | what is due when, and the answers to the engine |
//! | `scenario` | the demo's clusters |

mod load;
mod migration;
mod queue;
mod scenario;
#[cfg(test)]
mod tests;
mod world;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{ArrayId, HostId, Span, Timestamp};
use crate::core::insight::Stretch;

pub use scenario::{FEWEST_HOSTS, MOST_HOSTS, MOST_VMS, START, Scenario, SimulatedCluster, Size};
pub use world::Simulation;

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
    /// Job queues (site policy).
    Queue,
}

/// One simulated VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmPlan {
    /// What it runs; `None`: a real monitor reads it, and the simulator only moves it.
    pub service: Option<Service>,
    /// CPU it wants on an ordinary day, in GHz.
    pub demand_ghz: f64,
    /// The most CPU it can have, in GHz; `None`: all of its host's. A VM that wants more is slow on any host.
    pub limit_ghz: Option<f64>,
    /// How far the demand swings over a day around the ordinary one, from 0 to 1.
    pub swing: f64,
    /// Bursts a day, at most 96.
    pub bursts_a_day: f64,
    /// The demand in a burst, in multiples of the ordinary one.
    pub burst: f64,
    /// Memory, in MB.
    pub memory_mb: f64,
    /// Memory that it writes on an ordinary day, in MB/s. It grows with the demand.
    pub dirty_mb_s: f64,
    /// The deadline of its monitor. An http answer that takes longer is reported as *at least* this.
    pub deadline: Span,
    /// From the start to the first queue, which may come up to a minute later.
    pub queue_first: Span,
    /// From one queue to the next.
    pub queue_every: Span,
    /// Bursts at set times.
    pub surges: Vec<Surge>,
    /// When its service does not answer, and what the monitor says meanwhile: `connection refused`.
    pub silences: Vec<Stretch>,
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
    /// When it begins.
    pub from: Timestamp,
    /// How long it lasts.
    pub lasts: Span,
    /// How many times the demand without it.
    pub times: f64,
}

/// A host that fails and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// The host.
    pub host: HostId,
    /// When it begins.
    pub from: Timestamp,
    /// How long it lasts.
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
    /// The shortest and the longest move between sites.
    pub between_sites: (Span, Span),
    /// When which host fails.
    pub outages: Vec<Outage>,
    /// By `ArrayId`: whether a real driver moves its VMs. The others, and those beyond the end of the list, are simulated.
    #[serde(default)]
    pub driven: Vec<bool>,
}

impl Plan {
    /// Whether the simulator drives an array.
    pub fn simulates(&self, array: ArrayId) -> bool {
        !self.driven.get(array.index()).is_some_and(|driven| *driven)
    }
}

/// What a random number is for: no two uses share a number. A number depends only on a key, a use and a position, so that the
/// order of calls does not matter.
#[derive(Debug, Clone, Copy)]
pub(super) enum RandomUse {
    Phase,
    Drift,
    Flicker,
    Burst,
    BurstAt,
    BurstLength,
    Response,
    Stagger,
    QueueAt,
    QueueKind,
    QueueSize,
    JobLength,
    BadJob,
    Transfer,
}

/// SplitMix64's output function (Steele, Lea, Flood 2014): every bit of the input changes about half the bits of the output.
pub(super) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The key of the `index`-th thing of a seed.
pub(super) const fn key(seed: u64, index: u64) -> u64 {
    mix(mix(seed) ^ index)
}

/// A number from 0 to under 1.
pub(super) const fn unit(key: u64, what: RandomUse, n: i64) -> f64 {
    const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
    let salt = (what as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mix(key ^ salt ^ (n as u64).wrapping_mul(0xa076_1d64_78bd_642f)) >> 11) as f64 * SCALE
}

/// A whole number from `low` to `high`, both included.
pub(super) fn between(key: u64, what: RandomUse, n: i64, low: u32, high: u32) -> u32 {
    low + (unit(key, what, n) * f64::from(high - low + 1)) as u32
}

/// A sine of period 1, to 0.002. It uses `+ − ×` alone, so that it has the same bits on every machine.
pub(super) fn wave(turns: f64) -> f64 {
    let x = 2.0 * (turns - (turns + 0.5).floor());
    let y = 4.0 * x * (1.0 - x.abs());
    0.225 * (y * y.abs() - y) + y
}
