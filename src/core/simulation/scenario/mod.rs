//! The demo's clusters: the thesis's three scenarios, and a fleet with all four policies at work (`fleet.rs`).

mod fleet;

use std::fmt;
use std::str::FromStr;

use chrono_tz::Europe::Oslo;
use serde::{Deserialize, Serialize};

use super::{Plan, Service, Surge, VmPlan};
use crate::core::cluster::{
    Array, ArrayId, Cluster, Direction, Host, HostId, Indicator, IndicatorKind, Limits, Mode, Monitor, Pick, Site,
    SiteId, Source, Span, Timestamp, Vm,
};
use crate::core::policy::{Bound, Field, Resting, Rule, Settings, SiteRule, WorkingHours};

/// When a demo's time begins: 2009-05-06T12:40:00Z, a Wednesday, 14:40 in Oslo.
pub const START: Timestamp = Timestamp::from_secs(1_241_613_600);

/// Most VMs a demo can have.
pub const MOST_VMS: u32 = 100_000;
/// Fewest hosts a fleet can have: two in a ring, a base, and one away.
pub const FEWEST_HOSTS: u32 = 4;
/// Most hosts a demo can have.
pub const MOST_HOSTS: u32 = 10_000;

/// A demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Scenario {
    /// Two arrays at two sites, all four policies.
    #[default]
    #[serde(rename = "fleet")]
    Fleet,
    /// The thesis's first: nii1 and nii2, policy threshold, a ring of five.
    #[serde(rename = "1")]
    One,
    /// The thesis's second: nii3 (base) and nii5 (schedule), a ring of four and a base.
    #[serde(rename = "2")]
    Two,
    /// The thesis's third: nii4 works job queues at two sites.
    #[serde(rename = "3")]
    Three,
}

/// How large a fleet is to be; the thesis's scenarios have the size they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Size {
    /// VMs, 1 to [`MOST_VMS`]; `None`: 50.
    pub vms: Option<u32>,
    /// Hosts, [`FEWEST_HOSTS`] to [`MOST_HOSTS`]; `None`: 12.
    pub hosts: Option<u32>,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fleet, Self::One, Self::Two, Self::Three];

    /// The cluster, its VMs' monitors (all simulated) and what the simulator needs. Sizes out of bounds are brought
    /// within; only the fleet has a size.
    pub fn build(self, size: Size, seed: u64) -> (Cluster, Vec<Monitor>, Plan) {
        let SimulatedCluster { cluster, monitors, plan, .. } = self.simulated(size, seed);
        (cluster, monitors, plan)
    }

    fn simulated(self, size: Size, seed: u64) -> SimulatedCluster {
        let mut simulated = match self {
            Self::Fleet => fleet::build(size),
            Self::One => thesis_one(),
            Self::Two => thesis_two(),
            Self::Three => thesis_three(),
        };
        simulated.plan.seed = seed;
        simulated
    }

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::One => "1",
            Self::Two => "2",
            Self::Three => "3",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.word() == text);
        found.ok_or_else(|| format!("no scenario '{text}': use fleet, 1, 2 or 3"))
    }
}

/// Most readings that are simulated for the past: the operator waits for the first screen meanwhile.
const MOST_READINGS: i64 = 500_000;
/// The longest past.
const LONGEST_PAST: Span = Span::from_hours(14 * 24);
/// Thesis, figure 4.3: nii1's threshold was raised in the 16th hour of 48 …
const RAISED: Span = Span::from_mins(15 * 60 + 20);
const FIGURE: Span = Span::from_hours(48);
/// … from this value to today's.
const TOO_LOW: f64 = 20.0;
/// nii1's demand, in GHz of the 2 that it can have: its readings are beyond the old threshold and within the new one.
const BETWEEN_GHZ: f64 = 1.7;

/// A cluster to simulate.
pub struct SimulatedCluster {
    /// As it is at the beginning.
    pub cluster: Cluster,
    /// Every VM's monitor, all simulated.
    pub monitors: Vec<Monitor>,
    /// What the simulator needs.
    pub plan: Plan,
    /// When its time begins.
    pub from: Timestamp,
    /// When an operator gives which VM new settings.
    pub edits: Vec<(Timestamp, String, Settings)>,
}

impl Scenario {
    /// The past of this scenario: the same cluster, up to [`START`]. Its history is made from it, which would be empty on the
    /// first day otherwise.
    pub fn before(self, size: Size, seed: u64) -> SimulatedCluster {
        let mut before = self.simulated(size, seed);
        let a_minute = before.cluster.vms.iter().map(|vm| 60_000 / vm.interval.millis().max(1_000)).sum::<i64>().max(1);
        let span = Span::from_mins(MOST_READINGS / a_minute).min(LONGEST_PAST);
        before.from = START - span;
        if self == Self::One {
            before.loop_that_ends();
        }
        before
    }
}

impl SimulatedCluster {
    /// Has nii1 ask for a move again and again until its threshold is raised (thesis, figures 4.3 and 4.4).
    fn loop_that_ends(&mut self) {
        self.from = START - FIGURE;
        let (nii1, plan) = (&mut self.cluster.vms[0], &mut self.plan.vms[0]);
        plan.demand_ghz = BETWEEN_GHZ;
        plan.swing = 0.02;
        let raised = nii1.policy.clone();
        if let Ok(low) = raised.with(Field::Threshold, TOO_LOW) {
            nii1.policy = low;
            self.edits.push((self.from + RAISED, nii1.name.to_string(), raised));
        }
    }
}

impl SimulatedCluster {
    fn new(name: &str, limits: Limits) -> Self {
        let cluster = Cluster { name: name.to_owned(), mode: Mode::Auto, limits, ..Cluster::default() };
        let plan = Plan {
            seed: 0,
            hosts_ghz: Vec::new(),
            vms: Vec::new(),
            bandwidth_mb_s: 117.0,
            between_sites: (Span::from_mins(3), Span::from_mins(22)),
            outages: Vec::new(),
            driven: Vec::new(),
        };
        Self { cluster, monitors: Vec::new(), plan, from: START, edits: Vec::new() }
    }

    fn site(&mut self, name: &str, home: bool) -> SiteId {
        self.cluster.sites.push(Site { name: name.into(), home });
        SiteId::at(self.cluster.sites.len() - 1)
    }

    /// An array without hosts.
    fn array(&mut self, name: &str, site: SiteId) -> ArrayId {
        self.cluster.arrays.push(Array { name: name.into(), site, ring: Vec::new(), base: None, pick: Pick::Next });
        ArrayId::at(self.cluster.arrays.len() - 1)
    }

    /// A host at the end of an array's ring.
    fn host(&mut self, array: ArrayId, name: &str, ghz: f64, capacity: u32, price: f64) {
        let host = self.new_host(array, name, ghz, capacity, price);
        self.cluster.arrays[array.index()].ring.push(host);
    }

    /// The base of an array. Base hosts cost less.
    fn base(&mut self, array: ArrayId, name: &str, ghz: f64, capacity: u32) {
        let host = self.new_host(array, name, ghz, capacity, 0.04);
        self.cluster.arrays[array.index()].base = Some(host);
    }

    fn new_host(&mut self, array: ArrayId, name: &str, ghz: f64, capacity: u32, price: f64) -> HostId {
        self.cluster.hosts.push(Host { name: name.into(), array, capacity: Some(capacity), price, draining: false });
        self.plan.hosts_ghz.push(ghz);
        HostId::at(self.cluster.hosts.len() - 1)
    }

    /// A VM. `away`: the array that the site policy sends it to.
    fn vm(&mut self, host: HostId, name: &str, rule: Rule, away: Option<ArrayId>, plan: VmPlan) {
        let (word, indicator, direction) = service(plan.service);
        let interval = Span::from_mins(if away.is_some() { 2 } else { 1 });
        let deadline = match plan.service {
            Some(Service::Http) => plan.deadline,
            _ => Monitor::default_deadline(interval),
        };
        self.monitors.push(Monitor { source: Source::Simulated, deadline });
        self.cluster.vms.push(Vm {
            name: name.into(),
            service: word.to_owned(),
            array: self.cluster.host(host).array,
            host,
            interval,
            indicator,
            policy: Settings::new(rule, direction),
            mode: None,
            away,
        });
        self.plan.vms.push(plan);
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
const fn threshold(at: f64, tarry: u32) -> Rule {
    Rule::Threshold { high: Bound { at, tarry } }
}

/// Policy 2.
const fn base(high: (f64, u32), low: (f64, u32)) -> Rule {
    Rule::Base { high: bound(high), low: bound(low) }
}

/// Policy 3, its hours in Oslo's time.
fn schedule(high: (f64, u32), low: (f64, u32), hours: &str) -> Rule {
    let hours = WorkingHours::parse(hours, Oslo).expect("the scenarios' hours are well formed");
    Rule::Schedule { high: bound(high), low: bound(low), hours, resting: Resting::Record }
}

/// Policy 4.
const fn site(threshold: u32) -> Rule {
    Rule::Site(SiteRule::new(threshold))
}

const fn bound((at, tarry): (f64, u32)) -> Bound {
    Bound { at, tarry }
}

/// This many minutes after the start.
fn minute(minutes: i64) -> Timestamp {
    START + Span::from_mins(minutes)
}

/// A planned burst: when it begins, in minutes after the start, and how many minutes it lasts.
fn surge(from: i64, lasts: i64, times: f64) -> Surge {
    Surge { from: minute(from), lasts: Span::from_mins(lasts), times }
}

/// mln1 2 × 2.0 GHz, mln2 and mln3 2 × 2.6, mln4 to mln6 2 × 3.0.
const MLN_GHZ: [f64; 6] = [4.0, 5.2, 5.2, 6.0, 6.0, 6.0];
/// Each host has 8 GB. A VM takes 512 MB of it, and the host itself some.
const MLN_CAPACITY: u32 = 14;

/// nii1 (MySQL) and nii2 (Apache) on mln1 to mln5.
fn thesis_one() -> SimulatedCluster {
    let (mut demo, _) = thesis("thesis scenario 1", 5);
    // By day it wants more than its CPU gives, so that it is overloaded on any host for the first hours.
    let nii1 = VmPlan { demand_ghz: 1.98, limit_ghz: Some(2.0), swing: 0.1, ..mysql() };
    demo.vm(HostId(0), "nii1", threshold(50.0, 3), None, nii1);
    let nii2 = VmPlan {
        service: Some(Service::Apache),
        demand_ghz: 1.62,
        limit_ghz: Some(2.0),
        swing: 0.1,
        bursts_a_day: 24.0,
        burst: 1.3,
        surges: vec![surge(2, 9, 1.25)],
        ..mysql()
    };
    demo.vm(HostId(1), "nii2", threshold(15.0, 3), None, nii2);
    demo
}

/// nii3 (base) and nii5 (schedule) on mln1 to mln4 and the base mln6.
fn thesis_two() -> SimulatedCluster {
    let (mut demo, oslo) = thesis("thesis scenario 2", 4);
    demo.base(oslo, "mln6", MLN_GHZ[5], MLN_CAPACITY);
    let nii3 = VmPlan {
        demand_ghz: 0.5,
        limit_ghz: Some(1.4),
        swing: 0.1,
        bursts_a_day: 18.0,
        burst: 2.6,
        surges: vec![surge(3, 9, 2.6)],
        ..mysql()
    };
    demo.vm(HostId(0), "nii3", base((50.0, 3), (1.0, 20)), None, nii3);
    let nii5 = VmPlan {
        demand_ghz: 1.4,
        limit_ghz: Some(2.0),
        swing: 0.1,
        bursts_a_day: 20.0,
        burst: 1.4,
        surges: vec![surge(9, 6, 1.4)],
        ..mysql()
    };
    demo.vm(HostId(1), "nii5", schedule((50.0, 3), (1.0, 20), "Mon-Fri 09:00-16:00"), None, nii5);
    demo
}

/// nii4, which works job queues at home or in the cloud.
fn thesis_three() -> SimulatedCluster {
    let (mut demo, _) = thesis("thesis scenario 3", 3);
    let cloud = demo.site("cloud", false);
    let cloud = demo.array("cloud", cloud);
    for n in 1..=2 {
        demo.host(cloud, &format!("xl{n}"), 8.0, MLN_CAPACITY, 0.34);
    }
    let nii4 = VmPlan { service: Some(Service::Queue), demand_ghz: 1.0, bursts_a_day: 0.0, ..mysql() };
    demo.vm(HostId(0), "nii4", site(2), Some(cloud), nii4);
    demo
}

/// A cluster with an array at home, whose ring has this many hosts.
fn thesis(name: &str, hosts: usize) -> (SimulatedCluster, ArrayId) {
    let mut demo = SimulatedCluster::new(name, Limits { flap_window: None, ..Limits::default() });
    let home = demo.site("oslo", true);
    let array = demo.array("oslo", home);
    for n in 1..=hosts {
        demo.host(array, &format!("mln{n}"), MLN_GHZ[n - 1], MLN_CAPACITY, 0.10);
    }
    (demo, array)
}

fn mysql() -> VmPlan {
    VmPlan { service: Some(Service::Mysql), bursts_a_day: 0.0, memory_mb: 512.0, dirty_mb_s: 10.0, ..VmPlan::default() }
}
