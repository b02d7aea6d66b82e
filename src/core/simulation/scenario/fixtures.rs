//! Putting a scenario together: sites, arrays, hosts and VMs with their plans, side by side.

use chrono_tz::Europe::Oslo;

use super::START;
use crate::core::cluster::{
    Array, ArrayId, Cluster, Direction, Host, HostId, Indicator, IndicatorKind, Limits, Mode, Monitor, Pick, Site,
    SiteId, Source, Span, Timestamp, Vm, VmId,
};
use crate::core::policy::{
    Bound, BreakEven, DEFAULT_HOME_TARRY, DEFAULT_MARGIN, Resting, Rule, Settings, SiteRule, WorkingHours,
};
use crate::core::simulation::{Outage, Plan, Service, ServiceSilence, Surge, VmPlan};

/// A scenario's cluster while it is put together.
pub(super) struct ClusterFixture {
    pub(super) cluster: Cluster,
    vms: Vec<VmPlan>,
    hosts_ghz: Vec<f64>,
    pub(super) bandwidth_mb_s: f64,
    pub(super) between_sites: (Span, Span),
    pub(super) outages: Vec<Outage>,
}

/// A host of a scenario.
pub(super) struct HostFixture {
    pub(super) name: String,
    pub(super) ghz: f64,
    pub(super) capacity: u32,
    pub(super) price: f64,
}

/// A VM of a scenario.
pub(super) struct VmFixture {
    pub(super) name: String,
    pub(super) rule: Rule,
    pub(super) plan: VmPlan,
    pub(super) interval: Span,
    /// For the site policy.
    pub(super) away: Option<ArrayId>,
}

/// So long after the start.
pub(super) fn minute(minutes: i64) -> Timestamp {
    START + Span::from_mins(minutes)
}

impl ClusterFixture {
    pub(super) fn new(name: &str, limits: Limits) -> Self {
        Self {
            cluster: Cluster { name: name.to_owned(), mode: Mode::Auto, limits, ..Cluster::default() },
            vms: Vec::new(),
            hosts_ghz: Vec::new(),
            bandwidth_mb_s: 117.0,
            between_sites: (Span::from_mins(3), Span::from_mins(22)),
            outages: Vec::new(),
        }
    }

    pub(super) fn site(&mut self, name: &str, home: bool) -> SiteId {
        self.cluster.sites.push(Site { name: name.into(), home });
        SiteId::at(self.cluster.sites.len() - 1)
    }

    pub(super) fn array(
        &mut self,
        name: String,
        site: SiteId,
        ring: Vec<HostFixture>,
        base: Option<HostFixture>,
    ) -> ArrayId {
        let array = ArrayId::at(self.cluster.arrays.len());
        let ring = ring.into_iter().map(|machine| self.host(machine, array)).collect();
        let base = base.map(|machine| self.host(machine, array));
        self.cluster.arrays.push(Array { name: name.into(), site, ring, base, pick: Pick::Next });
        array
    }

    fn host(&mut self, machine: HostFixture, array: ArrayId) -> HostId {
        let HostFixture { name, ghz, capacity, price } = machine;
        self.cluster.hosts.push(Host { name: name.into(), array, capacity: Some(capacity), price, draining: false });
        self.hosts_ghz.push(ghz);
        HostId::at(self.cluster.hosts.len() - 1)
    }

    pub(super) fn vm(&mut self, host: HostId, vm: VmFixture) -> VmId {
        let (word, indicator, direction) = service(vm.plan.service);
        self.cluster.vms.push(Vm {
            name: vm.name.into(),
            service: word.to_owned(),
            array: self.cluster.host(host).array,
            host,
            interval: vm.interval,
            indicator,
            policy: Settings::new(vm.rule, direction),
            mode: None,
            away: vm.away,
        });
        self.vms.push(vm.plan);
        VmId::at(self.vms.len() - 1)
    }

    pub(super) fn finish(self, seed: u64) -> (Cluster, Vec<Monitor>, Plan) {
        let monitors = self.cluster.vms.iter().zip(&self.vms).map(|(vm, plan)| Monitor {
            source: Source::Simulated,
            deadline: match plan.service {
                Some(Service::Http) => plan.deadline,
                _ => Monitor::default_deadline(vm.interval),
            },
        });
        let monitors = monitors.collect();
        let Self { cluster, vms, hosts_ghz, bandwidth_mb_s, between_sites, outages } = self;
        (cluster, monitors, Plan { seed, hosts_ghz, vms, bandwidth_mb_s, between_sites, outages, driven: Vec::new() })
    }
}

fn service(service: Option<Service>) -> (&'static str, Indicator, Direction) {
    let indicator = |name: &str, unit: &str, kind| Indicator { name: name.to_owned(), unit: unit.to_owned(), kind };
    let (higher, lower) = (Direction::HigherIsWorse, Direction::LowerIsWorse);
    match service {
        Some(Service::Mysql) => ("mysql", indicator("slow queries", "/min", IndicatorKind::Counter), higher),
        Some(Service::Apache) => ("apache", indicator("idle workers", "idle", IndicatorKind::Gauge), lower),
        Some(Service::Queue) => ("queue", indicator("big jobs", "big", IndicatorKind::Gauge), higher),
        Some(Service::Http) | None => ("http", indicator("response time", "ms", IndicatorKind::Gauge), higher),
    }
}

/// Policy 1.
pub(super) const fn threshold(at: f64, tarry: u32) -> Rule {
    Rule::Threshold { high: Bound { at, tarry } }
}

/// Policy 2.
pub(super) const fn base(high: (f64, u32), low: (f64, u32)) -> Rule {
    Rule::Base { high: bound(high), low: bound(low) }
}

/// Policy 3, its hours in Oslo's time.
pub(super) fn schedule(high: (f64, u32), low: (f64, u32), hours: &str) -> Rule {
    let hours = WorkingHours::parse(hours, Oslo).expect("the scenarios' hours are well formed");
    Rule::Schedule { high: bound(high), low: bound(low), hours, resting: Resting::Record }
}

/// Policy 4.
pub(super) const fn site(threshold: u32) -> Rule {
    let (home_tarry, margin) = (DEFAULT_HOME_TARRY, DEFAULT_MARGIN);
    Rule::Site(SiteRule { threshold, home_tarry, break_even: BreakEven::Show, margin })
}

const fn bound((at, tarry): (f64, u32)) -> Bound {
    Bound { at, tarry }
}

/// A planned burst: from so many minutes after the start, for so many minutes.
pub(super) fn surge(from: i64, lasts: i64, times: f64) -> Surge {
    Surge { from: minute(from), lasts: Span::from_mins(lasts), times }
}

/// The service does not answer: from so many minutes after the start, for so many minutes.
pub(super) fn silence(from: i64, lasts: i64, reason: &str) -> ServiceSilence {
    ServiceSilence { from: minute(from), lasts: Span::from_mins(lasts), reason: reason.to_owned() }
}
