//! The cluster as the config describes it. Built and checked once at the edge; inside it is trusted.

use serde::{Deserialize, Serialize};

use super::{ArrayId, HostId, Indicator, Name, SiteId, Span, VmId};
use crate::core::policy::Settings;

/// How far the engine may go on its own. Ordered: a VM may only be narrower than its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and log only.
    Observe,
    /// An operator approves each request.
    #[default]
    Ask,
    /// Requests are carried out.
    Auto,
}

impl Mode {
    /// The mode's word, in the config and on screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Ask => "ask",
            Self::Auto => "auto",
        }
    }
}

/// A provider or data centre, with a price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Unique among sites.
    pub name: Name,
    /// Exactly one site is home.
    pub home: bool,
}

/// Which host of the ring a policy's move goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The ring's successor, round and round.
    #[default]
    Next,
    /// The eligible host with the most measured headroom, only if better than here.
    Best,
}

/// Hosts at one site between which live migration works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Array {
    /// Unique among arrays.
    pub name: Name,
    /// Where it stands.
    pub site: SiteId,
    /// The hosts in their order, without the base; later = better.
    pub ring: Vec<HostId>,
    /// The cheap host outside the ring, reached only by a move to base.
    pub base: Option<HostId>,
    /// How a move's destination is picked.
    pub pick: Pick,
}

/// What is known of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// It answers and takes VMs.
    #[default]
    Up,
    /// It does not answer.
    Down,
    /// It runs VMs but takes no more.
    Draining,
    /// Nothing has been heard of it.
    Unknown,
}

/// A machine that runs VMs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Unique within the cluster.
    pub name: Name,
    /// The array it belongs to.
    pub array: ArrayId,
    /// How many VMs it takes; `None` has no bound.
    pub capacity: Option<u32>,
    /// Price per hour, in the currency of the config.
    pub price: f64,
    /// The config takes it out of the ring.
    pub draining: bool,
}

/// A virtual machine and the policy it carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vm {
    /// Unique within the cluster.
    pub name: Name,
    /// The word in the SERVICE column: `mysql`, `apache`, `http`, `queue`.
    pub service: String,
    /// The array it lives in (its home array, for a VM of the site policy).
    pub array: ArrayId,
    /// Where it is if the driver cannot tell.
    pub host: HostId,
    /// Time between two readings.
    pub interval: Span,
    /// What is measured.
    pub indicator: Indicator,
    /// Its policy.
    pub policy: Settings,
    /// Narrower than the cluster's, if set.
    pub mode: Option<Mode>,
    /// The array of another site it may be sent to (site policy).
    pub away: Option<ArrayId>,
}

/// What bounds the whole cluster's moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Migrations at once in the cluster.
    pub at_once: u32,
    /// Migrations at once per host, as source or destination.
    pub at_once_per_host: u32,
    /// Confirmed or running moves per hour in the cluster; `None` = no bound.
    pub moves_per_hour: Option<u32>,
    /// Least time between two moves of one VM; zero = off.
    pub cooldown: Span,
    /// Within it a VM that was everywhere and never well is flapping; `None` = off.
    pub flap_window: Option<Span>,
    /// How long a VM stays where an operator put it.
    pub hold_after_manual: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: 2,
            at_once_per_host: 1,
            moves_per_hour: None,
            cooldown: Span::ZERO,
            flap_window: Some(Span::from_hours(1)),
            hold_after_manual: Span::from_mins(30),
        }
    }
}

/// Everything the engine is told about: what there is, and how it may act. Whoever names a site, an array, a host or a VM
/// clones the name from here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cluster {
    /// Shown in the header.
    pub name: String,
    /// How far the engine may go on its own.
    pub mode: Mode,
    /// Bounds on all moves.
    pub limits: Limits,
    /// By [`SiteId`].
    pub sites: Vec<Site>,
    /// By [`ArrayId`].
    pub arrays: Vec<Array>,
    /// By [`HostId`].
    pub hosts: Vec<Host>,
    /// By [`VmId`].
    pub vms: Vec<Vm>,
}

impl Cluster {
    /// The VM of an id of this cluster.
    pub fn vm(&self, id: VmId) -> &Vm {
        &self.vms[id.index()]
    }

    /// The host of an id of this cluster.
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.index()]
    }

    /// The array of an id of this cluster.
    pub fn array(&self, id: ArrayId) -> &Array {
        &self.arrays[id.index()]
    }

    /// The array a host stands in.
    pub fn array_of(&self, host: HostId) -> &Array {
        self.array(self.host(host).array)
    }

    /// The site a host stands at.
    pub fn site_of(&self, host: HostId) -> &Site {
        &self.sites[self.array_of(host).site.index()]
    }

    /// The hosts at both ends of a move, as events have them: `site/host` if they stand at different sites.
    pub fn ends(&self, from: HostId, to: HostId) -> (Name, Name) {
        let across = self.array_of(from).site != self.array_of(to).site;
        let name = |host: HostId| {
            let plain = &self.host(host).name;
            if across { format!("{}/{plain}", self.site_of(host).name).into() } else { plain.clone() }
        };
        (name(from), name(to))
    }

    /// Whether the host is the base of its array.
    pub fn is_base(&self, host: HostId) -> bool {
        self.array_of(host).base == Some(host)
    }

    /// Whether the host stands at the home site.
    pub fn is_home(&self, host: HostId) -> bool {
        self.site_of(host).home
    }

    /// The VM of this name.
    pub fn vm_named(&self, name: &str) -> Option<VmId> {
        self.vms.iter().position(|vm| vm.name == name).map(VmId::at)
    }

    /// The host of this name.
    pub fn host_named(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|host| host.name == name).map(HostId::at)
    }
}
