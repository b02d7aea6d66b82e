//! The thesis's three scenarios: its hosts, its VMs of 512 MB, its settings, and demand that makes them move.

use super::fixtures::{ClusterFixture, HostFixture, VmFixture, base, schedule, site, surge, threshold};
use crate::core::cluster::{HostId, Limits, Span};
use crate::core::policy::Rule;
use crate::core::simulation::{Service, VmPlan};

const MINUTE: Span = Span::from_mins(1);
/// mln1 2 × 2.0 GHz, mln2 and mln3 2 × 2.6, mln4 to mln6 2 × 3.0.
const MLN_GHZ: [f64; 6] = [4.0, 5.2, 5.2, 6.0, 6.0, 6.0];
/// 8 GB each, a VM 512 MB, and some for the host itself.
const MLN_CAPACITY: u32 = 14;

/// nii1 (MySQL) and nii2 (Apache) on mln1 to mln5.
pub(super) fn one() -> ClusterFixture {
    let mut fixture = thesis("thesis scenario 1");
    let home = fixture.site("oslo", true);
    fixture.array("oslo".to_owned(), home, (1..=5).map(mln).collect(), None);
    // More than its CPU gives while the day lasts, less at night: overloaded on any host for the first hours.
    let nii1 = VmPlan { demand_ghz: 1.98, limit_ghz: Some(2.0), swing: 0.1, ..mysql() };
    fixture.vm(HostId(0), vm("nii1", threshold(50.0, 3), nii1));
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
    fixture.vm(HostId(1), vm("nii2", threshold(15.0, 3), nii2));
    fixture
}

/// nii3 (base) and nii5 (schedule) on mln1 to mln4 and the base mln6.
pub(super) fn two() -> ClusterFixture {
    let mut fixture = thesis("thesis scenario 2");
    let home = fixture.site("oslo", true);
    fixture.array("oslo".to_owned(), home, (1..=4).map(mln).collect(), Some(mln(6)));
    let nii3 = VmPlan {
        demand_ghz: 0.5,
        limit_ghz: Some(1.4),
        swing: 0.1,
        bursts_a_day: 18.0,
        burst: 2.6,
        surges: vec![surge(3, 9, 2.6)],
        ..mysql()
    };
    fixture.vm(HostId(0), vm("nii3", base((50.0, 3), (1.0, 20)), nii3));
    let nii5 = VmPlan {
        demand_ghz: 1.4,
        limit_ghz: Some(2.0),
        swing: 0.1,
        bursts_a_day: 20.0,
        burst: 1.4,
        surges: vec![surge(9, 6, 1.4)],
        ..mysql()
    };
    fixture.vm(HostId(1), vm("nii5", schedule((50.0, 3), (1.0, 20), "Mon-Fri 09:00-16:00"), nii5));
    fixture
}

/// nii4, which works job queues at home or in the cloud.
pub(super) fn three() -> ClusterFixture {
    let mut fixture = thesis("thesis scenario 3");
    let home = fixture.site("oslo", true);
    fixture.array("oslo".to_owned(), home, (1..=3).map(mln).collect(), None);
    let cloud = fixture.site("cloud", false);
    let xl = |n: u32| HostFixture { name: format!("xl{n}"), ghz: 8.0, capacity: MLN_CAPACITY, price: 0.34 };
    let away = fixture.array("cloud".to_owned(), cloud, (1..=2).map(xl).collect(), None);
    let nii4 = VmPlan { service: Some(Service::Queue), demand_ghz: 1.0, bursts_a_day: 0.0, ..mysql() };
    fixture.vm(HostId(0), VmFixture { interval: Span::from_mins(2), away: Some(away), ..vm("nii4", site(2), nii4) });
    fixture
}

fn thesis(name: &str) -> ClusterFixture {
    ClusterFixture::new(name, Limits { flap_window: None, ..Limits::default() })
}

fn mln(n: usize) -> HostFixture {
    let price = if n == 6 { 0.04 } else { 0.10 };
    HostFixture { name: format!("mln{n}"), ghz: MLN_GHZ[n - 1], capacity: MLN_CAPACITY, price }
}

fn mysql() -> VmPlan {
    VmPlan { service: Some(Service::Mysql), bursts_a_day: 0.0, memory_mb: 512.0, dirty_mb_s: 10.0, ..VmPlan::default() }
}

fn vm(name: &str, rule: Rule, plan: VmPlan) -> VmFixture {
    VmFixture { name: name.to_owned(), rule, plan, interval: MINUTE, away: None }
}
