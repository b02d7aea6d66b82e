//! The default demo: home arrays with a base, arrays in a cloud, all four policies; mostly healthy, never quite still.
//!
//! A few VMs show something in the first hour (`leads`). The others (`extra`) differ only in name, demand and random numbers. The
//! VMs of an ordinary host want about 60 % of its CPU.

use super::{
    FEWEST_HOSTS, MOST_HOSTS, MOST_VMS, SimulatedCluster, Size, base, minute, schedule, site, surge, threshold,
};
use crate::core::cluster::{ArrayId, HostId, Limits, Span};
use crate::core::insight::Stretch;
use crate::core::policy::Rule;
use crate::core::simulation::{Outage, Service, VmPlan};
use crate::core::simulation::{RandomUse, key, unit};

const VMS: u32 = 50;
const HOSTS: u32 = 12;
const ARRAY_SIZE: u32 = 64;
/// One host in three is in the cloud.
const CLOUD_SHARE: u32 = 3;
/// One in three of the other VMs begins in the cloud.
const CLOUD_VMS: usize = 3;
/// A large fleet may have one migration at once for each 25 hosts.
const HOSTS_A_MOVE: u32 = 25;
/// A host has CPU for six VMs. If there are more VMs to a host, each host has more CPU.
const VMS_A_HOST: u32 = 6;
/// The first fifth of each ring are older hosts.
const OLD_GHZ: f64 = 5.2;
const NEW_GHZ: f64 = 6.0;
const XL_GHZ: f64 = 5.2;
/// Ordinary demand of the other VMs, least and most, in GHz.
const DEMAND_GHZ: (f64, f64) = (0.3, 0.7);
/// Slow enough to watch a move.
const BANDWIDTH_MB_S: f64 = 60.0;

pub(super) fn build(size: Size) -> SimulatedCluster {
    let vms = size.vms.unwrap_or(VMS).clamp(1, MOST_VMS);
    let hosts = size.hosts.unwrap_or(HOSTS).clamp(FEWEST_HOSTS, MOST_HOSTS);
    let at_once = Limits::default().at_once.max(hosts / HOSTS_A_MOVE);
    let mut demo = SimulatedCluster::new("fleet", Limits { at_once, ..Limits::default() });
    demo.plan.bandwidth_mb_s = BANDWIDTH_MB_S;
    demo.plan.between_sites = (Span::from_mins(2), Span::from_mins(5));
    demo.add_hosts(vms, hosts);
    let leads = leads(&demo);
    let led = leads.len();
    for (host, name, rule, plan) in leads.into_iter().take(vms as usize) {
        let away = (plan.service == Some(Service::Queue)).then(|| demo.away(0));
        demo.vm(host, name, rule, away, plan);
    }
    let mut homes = demo.hosts(true).cycle().skip(led);
    let mut clouds = demo.hosts(false).cycle();
    for index in led..vms as usize {
        let kind = (index - led) % KINDS.len();
        let cloud = index % CLOUD_VMS == 0 && KINDS[kind].2;
        let host = if cloud { clouds.next() } else { homes.next() };
        let host = host.unwrap_or(HostId(0));
        let away = demo.away(demo.cluster.host(host).array.index());
        extra(&mut demo, host, index, kind, (index - led) / KINDS.len(), away);
    }
    // The last but one of the first ring: VMs seldom go to it.
    let ring = &demo.cluster.arrays[0].ring;
    let outage = Outage { host: ring[ring.len().saturating_sub(2)], from: minute(11), lasts: Span::from_mins(5) };
    demo.plan.outages = vec![outage];
    demo
}

impl SimulatedCluster {
    /// The fleet's arrays, those at home first.
    fn add_hosts(&mut self, vms: u32, hosts: u32) {
        let (home, cloud) = (self.site("oslo", true), self.site("cloud", false));
        let away = hosts / CLOUD_SHARE;
        let at_home = sizes(hosts - away);
        let in_ring = hosts - away - at_home.len() as u32;
        let a_host = vms.div_ceil(in_ring).max(VMS_A_HOST);
        let (scale, capacity) = (f64::from(a_host) / f64::from(VMS_A_HOST), a_host + a_host / 2 + 1);
        let mut number = 0;
        for (index, &size) in at_home.iter().enumerate() {
            let array = self.array(&numbered("oslo", index), home);
            for place in 0..size - 1 {
                number += 1;
                let ghz = if place < size.div_ceil(5) { OLD_GHZ } else { NEW_GHZ };
                self.host(array, &format!("mln{number}"), ghz * scale, capacity, 0.10);
            }
            self.base(array, &numbered("base", index), NEW_GHZ * scale, capacity * 2);
        }
        let mut number = 0;
        for (index, &size) in sizes(away).iter().enumerate() {
            let array = self.array(&numbered("cloud", index), cloud);
            for _ in 0..size {
                number += 1;
                self.host(array, &format!("xl{number}"), XL_GHZ * scale, capacity, 0.34);
            }
        }
    }

    /// How many arrays are at home.
    fn homes(&self) -> usize {
        self.cluster.arrays.iter().filter(|array| self.cluster.sites[array.site.index()].home).count()
    }

    /// The hosts of all rings at home, or of all others.
    fn hosts(&self, home: bool) -> std::vec::IntoIter<HostId> {
        let (at_home, away) = self.cluster.arrays.split_at(self.homes());
        let arrays = if home { at_home } else { away };
        arrays.iter().flat_map(|array| &array.ring).copied().collect::<Vec<_>>().into_iter()
    }

    /// The array of the cloud to which the VMs of an array are sent.
    fn away(&self, array: usize) -> ArrayId {
        let homes = self.homes();
        ArrayId::at(homes + array % (self.cluster.arrays.len() - homes))
    }
}

/// `oslo`, `oslo2`, `oslo3` …
fn numbered(name: &str, index: usize) -> String {
    if index == 0 { name.to_owned() } else { format!("{name}{}", index + 1) }
}

/// The sizes of the arrays for this many hosts: about equal.
fn sizes(hosts: u32) -> Vec<u32> {
    let arrays = hosts.div_ceil(ARRAY_SIZE);
    (0..arrays).map(|n| hosts / arrays + u32::from(n < hosts % arrays)).collect()
}

/// The VMs that show something within the first half hour: one that is hopeless, one overloaded for a while, one too busy to be
/// moved, one silent, one resting, one away with a queue.
fn leads(demo: &SimulatedCluster) -> Vec<(HostId, &'static str, Rule, VmPlan)> {
    let (first, homes) = (&demo.cluster.arrays[0], demo.homes());
    let base_host = first.base.unwrap_or(HostId(0));
    let ring = |n: usize| first.ring[n % first.ring.len()];
    let vcpu = |ghz: f64, limit: f64| VmPlan { demand_ghz: ghz, limit_ghz: Some(limit), ..calm() };
    let mysql = |plan: VmPlan| VmPlan { service: Some(Service::Mysql), ..plan };
    let apache = |plan: VmPlan| VmPlan { service: Some(Service::Apache), ..plan };
    let http = |plan: VmPlan| VmPlan { service: Some(Service::Http), ..plan };
    let queue = VmPlan { service: Some(Service::Queue), memory_mb: 2_048.0, ..vcpu(0.8, 1.6) };
    let nii1 = VmPlan { surges: vec![surge(1, 9, 1.45), surge(70, 9, 1.45)], ..mysql(vcpu(0.75, 1.2)) };
    let nii2 = VmPlan { surges: vec![surge(3, 5, 1.7), surge(95, 6, 1.7)], ..apache(vcpu(0.7, 1.2)) };
    let nii3 = VmPlan { bursts_a_day: 10.0, burst: 3.0, ..mysql(vcpu(0.4, 1.2)) };
    let nii5 = VmPlan { bursts_a_day: 5.0, burst: 1.4, ..mysql(vcpu(0.85, 1.2)) };
    let nii7 = VmPlan { swing: 0.0, memory_mb: 2_048.0, ..mysql(vcpu(1.4, 1.2)) };
    let cache1 =
        VmPlan { dirty_mb_s: 45.0, memory_mb: 1_024.0, surges: vec![surge(6, 13, 2.0)], ..http(vcpu(0.6, 1.0)) };
    let silence = Stretch { from: minute(4), to: minute(13), text: "connection refused".into() };
    let wiki1 = VmPlan { silences: vec![silence], ..http(vcpu(0.5, 1.2)) };
    // It has no limit of its own, so that its neighbours feel it when it is busy.
    let tickets1 = VmPlan { demand_ghz: 0.8, dirty_mb_s: 4.0, surges: vec![surge(8, 9, 3.6)], ..apache(calm()) };
    vec![
        (ring(0), "nii1", threshold(50.0, 3), nii1),
        (ring(2), "nii2", threshold(15.0, 3), nii2),
        (ring(3), "nii3", base((50.0, 3), (1.0, 15)), nii3),
        (ring(1), "nii4", site(2), queue),
        (ring(4), "nii5", schedule((50.0, 3), (1.0, 20), "Mon-Fri 09:00-16:00"), nii5),
        (ring(5), "nii7", threshold(50.0, 3), nii7),
        (ring(6), "cache1", threshold(800.0, 3), cache1),
        (demo.cluster.arrays[homes].ring[0], "wiki1", threshold(800.0, 3), wiki1),
        (ring(3), "tickets1", base((12.0, 3), (55.0, 20)), tickets1),
        (base_host, "backup1", schedule((50.0, 3), (1.0, 20), "22:00-05:00"), mysql(vcpu(0.4, 1.2))),
        (ring(4), "staff1", schedule((12.0, 3), (57.0, 20), "Mon-Fri 07:00-14:50"), apache(vcpu(0.5, 1.2))),
    ]
}

/// Kinds of other VMs: name, service, and whether it may live in the cloud.
const KINDS: [(&str, Service, bool); 10] = [
    ("web", Service::Apache, true),
    ("db", Service::Mysql, true),
    ("api", Service::Http, true),
    ("web", Service::Apache, true),
    ("shop", Service::Apache, false),
    ("db", Service::Mysql, true),
    ("mail", Service::Http, false),
    ("office", Service::Apache, false),
    ("api", Service::Http, true),
    ("batch", Service::Queue, false),
];
/// Working hours of the offices.
const HOURS: [&str; 3] = ["Mon-Fri 07:00-18:00", "Mon-Sat 06:00-22:00", "Mon-Fri 08:00-17:00"];

/// Adds the `index`-th VM, one of the others.
fn extra(demo: &mut SimulatedCluster, host: HostId, index: usize, kind: usize, round: usize, away: ArrayId) {
    let (mut name, mut service, _) = KINDS[kind];
    let (before, a_round) = of_this_name(kind, name);
    let number = FIRST_NUMBER + round * a_round + before;
    if service == Service::Queue && round >= BATCHES && !round.is_multiple_of(BATCH_ROUNDS) {
        (name, service) = ("feed", Service::Http);
    }
    // A VM's size does not depend on the seed. The seed changes only what happens in the cluster.
    let luck = |n: i64| unit(key(0, index as u64), RandomUse::Phase, n);
    let demand_ghz = DEMAND_GHZ.0 + (DEMAND_GHZ.1 - DEMAND_GHZ.0) * luck(1);
    let plan = VmPlan {
        service: Some(service),
        demand_ghz,
        limit_ghz: Some(demand_ghz * (2.0 + luck(2))),
        bursts_a_day: 4.0,
        burst: 1.4 + 0.4 * luck(3),
        memory_mb: if luck(4) < 0.5 { 1_024.0 } else { 2_048.0 },
        dirty_mb_s: 5.0 + 20.0 * luck(5),
        swing: 0.15,
        queue_first: Span::from_mins(25 + (60.0 * luck(6)) as i64),
        queue_every: Span::from_mins(90),
        ..VmPlan::default()
    };
    let (rule, away) = rule(name, service, round, away);
    demo.vm(host, &format!("{name}{number:02}"), rule, away, plan);
}

/// The first workers all have queues, then one in 16, because each move between sites takes minutes.
const BATCHES: usize = 4;
const BATCH_ROUNDS: usize = 16;
/// The first number of a name.
const FIRST_NUMBER: usize = 1;

fn of_this_name(kind: usize, name: &str) -> (usize, usize) {
    let count = |kinds: &[(&str, Service, bool)]| kinds.iter().filter(|k| k.0 == name).count();
    (count(&KINDS[..kind]), count(&KINDS))
}

fn rule(name: &str, service: Service, round: usize, away: ArrayId) -> (Rule, Option<ArrayId>) {
    let rule = match (name, service) {
        ("shop", _) => base((8.0, 3), (57.0, 30)),
        ("office", _) => schedule((8.0, 3), (57.0, 30), HOURS[round % HOURS.len()]),
        ("mail", _) => base((1_200.0, 4), (80.0, 30)),
        (_, Service::Mysql) => threshold(60.0, 3),
        (_, Service::Apache) => threshold(8.0, 3),
        (_, Service::Http) => threshold(1_000.0, 3),
        (_, Service::Queue) => return (site(2), Some(away)),
    };
    (rule, None)
}

/// No bursts of its own.
fn calm() -> VmPlan {
    VmPlan { bursts_a_day: 0.0, swing: 0.1, memory_mb: 1_536.0, dirty_mb_s: 12.0, ..VmPlan::default() }
}
