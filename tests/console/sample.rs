//! A fixed, rich snapshot: every state there is, and as many VMs as a bench wants.

use std::sync::Arc;

use whimbrel::core::cluster::{Direction, HostState, Mode, RequestId, Span, Timestamp, Transfer, Value};
use whimbrel::core::engine::{By, Gate, HoldCause, SiteView, StageKind, Target, VmState, Waiting};
use whimbrel::core::insight::Band;
use whimbrel::core::policy::{Bound, Bounds, Decision, PolicyKind, Rule, Settings, SiteRule};
use whimbrel::core::queue::{Claim, ClaimStatus, JobInHand, QueueLook, Rates, Ways, WorkerStatus};
use whimbrel::view::{
    ArrayView, Detail, Drain, DrainPlan, GateVerdict, GateView, HistoryView, HostView, Level, LogLine, Mark, MarkKind,
    MigrationView, MoveOption, Origin, PlannedMove, Snapshot, Taker, UnderWay, VmRow,
};

/// 2009-05-06T14:44:23Z, a Wednesday.
pub const NOW: Timestamp = Timestamp::from_millis(1_241_621_063_000);

pub fn ago(secs: i64) -> Timestamp {
    NOW - Span::from_secs(secs)
}

fn ahead(secs: i64) -> Timestamp {
    NOW + Span::from_secs(secs)
}

/// A wave that ends at `last`: the same on every machine.
fn wave(seed: u32, low: f32, high: f32, last: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 65_536.0
    };
    let mut values: Vec<f32> = (0..40)
        .map(|i| {
            let share = i as f32 / 39.0;
            (low + (high - low) * share * share + (high - low) * 0.25 * (noise() - 0.5)).max(0.0).round()
        })
        .collect();
    values[39] = last;
    values
}

fn above(high: f64) -> Bounds {
    Bounds { high: Some(high), ..Bounds::default() }
}

pub fn row(name: &str) -> VmRow {
    VmRow {
        name: name.into(),
        service: "mysql".into(),
        policy: PolicyKind::Threshold,
        unit: "/min".into(),
        bounds: above(50.0),
        value: Some(Value::Exact(4.0)),
        gap: None,
        baseline: false,
        read_at: Some(ago(39)),
        spark: wave(name.len() as u32 + 7, 6.0, 2.0, 4.0).into(),
        count: Some((0, 3)),
        low_count: None,
        host: "mln1".into(),
        array: "oslo".into(),
        host_state: HostState::Up,
        state: VmState::Watching,
        note: "".into(),
        hold: None,
        until: None,
        alarm: false,
        trouble: None,
        migration: None,
        waiting: None,
        last_move: Some(ago(86_400 * 3)),
        moves_24h: 0,
        site: None,
    }
}

/// A copy in its third round.
pub fn transfer() -> Transfer {
    Transfer {
        total: 4_294_967_296,
        sent: 4_100_000_000,
        left: 1_720_000_000,
        rate: 112_000_000,
        dirty: 21_000_000,
        rounds: 3,
        downtime: Some(Span::from_millis(38)),
    }
}

/// A queue of 52 jobs, of which the first 14 are done.
fn claim() -> Claim {
    let grades: Vec<(String, u32)> =
        [("grade a", 3), ("grade b", 31), ("grade c", 18)].map(|(tag, n)| (tag.into(), n)).into();
    let mut left = grades.clone();
    left[1].1 -= 14;
    let status = ClaimStatus {
        vm: "nii4".into(),
        page: "bc-0417".into(),
        claimed: ago(2_400),
        beat: ago(9),
        site: "cloud".into(),
        big: 3,
        grades,
        left,
        hand: vec![JobInHand { job: 15, since: ago(12), attempt: 1 }],
        done: (1..=14).collect(),
        ..ClaimStatus::default()
    };
    Claim { name: "nii4.5f3a9c01d2e4.3".into(), status, trouble: None }
}

/// A VM of the site policy that is at this site: a job of grade a takes 18 minutes at home, one of grade b 50 s and one of grade
/// c 20 s, and a third of that in the cloud.
pub fn site_view(here: &str, claim: Option<Claim>) -> SiteView {
    let mut rates = Rates::default();
    for (grade, seconds) in [("grade a", 1_080), ("grade b", 50), ("grade c", 20)] {
        for (site, faster) in [("oslo", 1), ("cloud", 3)] {
            (0..7).for_each(|_| rates.add(site, grade, Span::from_secs(seconds).scaled(1, faster), 1));
        }
    }
    let worker = WorkerStatus { beat: ago(9), started: ago(90_000), claims: true, rates, ..WorkerStatus::default() };
    let look =
        QueueLook { at: ago(9), claims: claim.into_iter().collect(), worker: Some(worker), ..QueueLook::default() };
    SiteView {
        rule: SiteRule::new(2),
        home: "oslo".into(),
        away: Some("cloud".into()),
        here: here.into(),
        moving: None,
        leaving: None,
        look: Some(Arc::new(look)),
        ways: Ways { out: Some(Span::from_secs(1_324)), back: Some(Span::from_secs(391)) },
        empty_polls: 0,
        idle_since: None,
        next_poll: NOW + Span::from_secs(51),
        interval: Span::from_mins(2),
    }
}

fn rows() -> Vec<VmRow> {
    let site = |name: &str| VmRow {
        service: "queue".into(),
        policy: PolicyKind::Site,
        unit: "big".into(),
        bounds: Bounds { inclusive: true, ..above(2.0) },
        site: Some(site_view("cloud", None)),
        count: None,
        spark: wave(4, 0.0, 3.0, 3.0).into(),
        array: "cloud".into(),
        host: "xl1".into(),
        ..row(name)
    };
    vec![
        VmRow {
            value: Some(Value::Exact(62.0)),
            spark: wave(1, 8.0, 70.0, 62.0).into(),
            count: Some((2, 3)),
            host: "mln2".into(),
            last_move: Some(ago(252)),
            moves_24h: 31,
            ..row("nii1")
        },
        VmRow {
            service: "apache".into(),
            unit: "idle".into(),
            bounds: Bounds { direction: Direction::LowerIsWorse, ..above(15.0) },
            value: Some(Value::Exact(11.0)),
            spark: wave(2, 90.0, 12.0, 11.0).into(),
            host: "mln3".into(),
            state: VmState::Migrating,
            migration: Some(MigrationView {
                id: RequestId(318),
                from: "mln3".into(),
                to: "mln4".into(),
                by: By::Policy,
                stage: StageKind::Running,
                percent: 58,
                detail: "round 3, 92 MB/s".into(),
                transfer: Some(transfer()),
                told: ago(0),
                forecast: "42 s, 6 rounds, 38 ms down".into(),
                aborting: false,
                since: ago(28),
            }),
            last_move: Some(ago(5_400)),
            moves_24h: 9,
            ..row("nii2")
        },
        VmRow {
            policy: PolicyKind::Base,
            bounds: Bounds { low: Some(1.0), ..above(50.0) },
            value: Some(Value::Exact(0.0)),
            spark: wave(3, 9.0, 0.0, 0.0).into(),
            low_count: Some((7, 20)),
            last_move: Some(ago(7_300)),
            moves_24h: 5,
            ..row("nii3")
        },
        VmRow {
            value: None,
            last_move: Some(ago(1_324)),
            moves_24h: 1,
            site: Some(site_view("cloud", Some(claim()))),
            ..site("nii4")
        },
        VmRow {
            policy: PolicyKind::Schedule,
            bounds: Bounds { low: Some(1.0), ..above(50.0) },
            value: None,
            spark: Arc::new([]),
            count: None,
            host: "base1".into(),
            state: VmState::Resting,
            note: "> Thu 09:00".into(),
            last_move: Some(ago(32_400)),
            moves_24h: 2,
            ..row("nii5")
        },
        VmRow {
            value: None,
            site: Some(site_view("oslo", None)),
            array: "oslo".into(),
            host: "mln4".into(),
            ..site("nii6")
        },
        VmRow {
            value: Some(Value::Exact(88.0)),
            spark: wave(7, 40.0, 95.0, 88.0).into(),
            count: Some((3, 3)),
            host: "mln5".into(),
            state: VmState::Flapping,
            alarm: true,
            last_move: Some(ago(125)),
            moves_24h: 14,
            ..row("nii7")
        },
        VmRow {
            value: Some(Value::Exact(71.0)),
            spark: wave(8, 10.0, 80.0, 71.0).into(),
            host: "mln6".into(),
            state: VmState::Waiting,
            waiting: Some(Waiting {
                id: RequestId(319),
                action: Decision::Move,
                to: "mln1".into(),
                by: By::Policy,
                lapses: ahead(490),
            }),
            ..row("nii8")
        },
        VmRow {
            host: "mln3".into(),
            state: VmState::Held,
            note: "by hand".into(),
            hold: Some(HoldCause::Moved),
            until: Some(ahead(1_700)),
            last_move: Some(ago(100)),
            moves_24h: 1,
            ..row("db01")
        },
        VmRow {
            value: None,
            gap: Some("connection refused".into()),
            spark: vec![3.0, 4.0, 2.0, 5.0, f32::NAN, 4.0, 3.0, f32::NAN, f32::NAN, f32::NAN].into(),
            host: "mln4".into(),
            state: VmState::Stale,
            note: "4m refused".into(),
            ..row("db04")
        },
        VmRow {
            host: "mln6".into(),
            state: VmState::Held,
            note: "lost: runs nowhere".into(),
            hold: Some(HoldCause::Lost),
            value: None,
            gap: Some("no route".into()),
            alarm: true,
            ..row("db09")
        },
        VmRow {
            service: "http".into(),
            unit: "ms".into(),
            bounds: above(800.0),
            value: Some(Value::AtLeast(2_500.0)),
            spark: wave(12, 120.0, 700.0, 2_500.0).into(),
            count: Some((1, 3)),
            host: "mln2".into(),
            ..row("web12")
        },
        VmRow { state: VmState::Settling, until: Some(ahead(32)), moves_24h: 2, host: "mln4".into(), ..row("web02") },
        VmRow { service: "http".into(), unit: "ms".into(), bounds: above(800.0), ..row("web07") },
        VmRow { name: "vm-データ".into(), host: "xl2".into(), array: "cloud".into(), ..row("bergen") },
    ]
}

/// A VM whose host's state is that of the sample's host.
fn placed(row: VmRow) -> Arc<VmRow> {
    let arrays = arrays();
    let state = arrays.iter().flat_map(|array| &array.hosts).find(|host| host.name == row.host).map(|host| host.state);
    Arc::new(VmRow { host_state: state.expect("a host of the sample"), ..row })
}

fn host(name: &str, load: Option<f32>, vms: &[&str]) -> Arc<HostView> {
    Arc::new(HostView {
        name: name.into(),
        base: name.starts_with("base"),
        state: HostState::Up,
        load,
        capacity: Some(8),
        drain: None,
        vms: vms.iter().map(|vm| (*vm).into()).collect(),
    })
}

/// A host that an operator has emptied this far.
pub fn drain(moved: u32, of: u32) -> Drain {
    let done = moved == of;
    Drain { by: "root".into(), commanded: true, since: ago(125), of, moved, done, ..Drain::default() }
}

/// What draining a host of the sample would mean.
pub fn plan(host: &str) -> DrainPlan {
    let go = |vm: &str, to: &str, warnings: &[&str]| PlannedMove {
        vm: vm.into(),
        to: Some(to.into()),
        why: None,
        warnings: warnings.iter().map(ToString::to_string).collect(),
    };
    let taker = |host: &str, vms, vms_after, load, load_after| Taker {
        host: host.into(),
        vms,
        vms_after,
        capacity: Some(8),
        load: Some(load),
        load_after: Some(load_after),
        overloaded: load_after > 0.9,
    };
    let (moves, hosts) = match host {
        "mln3" => (
            vec![
                go("nii2", "mln4", &["it is on its way already"]),
                go("db01", "mln2", &["hold: held 29 min more, moved by hand", "cooldown: 4 min left"]),
            ],
            vec![taker("mln2", 2, 3, 0.83, 1.14), taker("mln4", 3, 4, 0.22, 0.53)],
        ),
        "mln4" => {
            let why = "no host would take it: mln1 full, mln5 draining, mln6 down";
            let stays = PlannedMove { vm: "db04".into(), why: Some(why.into()), ..PlannedMove::default() };
            let cold = &["it moves between sites: it stands still on the way"];
            (
                vec![stays, go("nii6", "xl1", cold), go("web02", "mln1", &[])],
                vec![taker("mln1", 2, 3, 0.41, 0.49), taker("xl1", 1, 2, 0.35, 0.43)],
            )
        }
        _ => (Vec::new(), Vec::new()),
    };
    let mut warnings = Vec::new();
    if host == "mln3" {
        warnings.push("mln2 would have too much: 3 VMs, 114% load".to_owned());
    }
    if host == "mln4" {
        warnings.push("db04 stays: no host would take it: mln1 full, mln5 draining, mln6 down".to_owned());
    }
    DrainPlan { host: host.into(), at_once: 1, moves, hosts, warnings, ..DrainPlan::default() }
}

/// The sample with a host that is emptied like this.
pub fn draining(host: &str, drain: Drain) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.draining = usize::from(!drain.done);
    for array in Arc::make_mut(&mut snapshot.arrays) {
        for known in array.hosts.iter_mut().filter(|known| *known.name == *host) {
            let leaves = |row: &Arc<VmRow>| {
                let migration = row.migration.as_ref().filter(|_| known.vms.contains(&row.name))?;
                let (to, percent) = (migration.to.clone(), migration.percent);
                Some(UnderWay { vm: row.name.clone(), to, percent, detail: String::new() })
            };
            let drain = Some(Drain { under_way: snapshot.moving.iter().filter_map(leaves).collect(), ..drain.clone() });
            *known = Arc::new(HostView { state: HostState::Draining, drain, ..HostView::clone(known) });
        }
    }
    snapshot.drain = Some(Arc::new(plan(host)));
    snapshot
}

fn arrays() -> Vec<ArrayView> {
    let with = |host: Arc<HostView>, state| {
        let drain = (state == HostState::Draining).then(|| drain(1, 2));
        Arc::new(HostView { state, drain, ..HostView::clone(&host) })
    };
    let oslo = vec![
        host("mln1", Some(0.41), &["nii3", "web07"]),
        host("mln2", Some(0.83), &["nii1", "web12"]),
        host("mln3", Some(0.62), &["nii2", "db01"]),
        host("mln4", Some(0.22), &["db04", "nii6", "web02"]),
        with(host("mln5", Some(0.97), &["nii7"]), HostState::Draining),
        with(host("mln6", None, &["db09", "nii8"]), HostState::Down),
        host("base1", Some(0.12), &["nii5"]),
    ];
    let cloud = vec![host("xl1", Some(0.35), &["nii4"]), host("xl2", None, &["vm-データ"])];
    vec![
        ArrayView { name: "oslo".into(), site: "home".into(), home: true, hosts: oslo },
        ArrayView { name: "cloud".into(), site: "provider".into(), home: false, hosts: cloud },
    ]
}

fn log() -> Vec<Arc<LogLine>> {
    let line = |secs, vm: Option<&str>, level, text: &str| {
        Arc::new(LogLine { at: ago(secs), vm: vm.map(Into::into), level, text: text.into() })
    };
    vec![
        line(1_900, None, Level::Info, "mode auto, by root"),
        line(1_324, Some("nii4"), Level::Good, "confirmed #309  oslo/mln2 > cloud/xl1   22 min 4 s"),
        line(700, Some("db09"), Level::Alarm, "! lost: runs on neither mln5 nor mln6"),
        line(410, Some("web12"), Level::Warning, "blocked by destination: mln1 full, mln5 draining"),
        line(314, Some("nii7"), Level::Alarm, "! flapping: mln1-mln5 all tried within 1 h, never back in bounds; held"),
        line(252, Some("nii1"), Level::Good, "confirmed #317  mln1 > mln2   6.2 s, 38 ms down   was 71, now 44"),
        line(4, Some("nii2"), Level::Info, "request #318  mln3 > mln4   by policy: 11 idle < 15 for 3 samples"),
    ]
}

/// The sample with the migration of nii2 changed.
pub fn migrating(change: impl FnOnce(&mut MigrationView)) -> Snapshot {
    let mut snapshot = snapshot();
    let rows = Arc::make_mut(&mut snapshot.rows);
    let row = rows.iter_mut().find(|row| *row.name == *"nii2").expect("nii2");
    change(Arc::make_mut(row).migration.as_mut().expect("a migration"));
    snapshot.moving = vec![Arc::clone(row)];
    snapshot.detail = Some(detail(&snapshot, "nii2"));
    snapshot
}

/// The settings behind a row.
pub fn settings(row: &VmRow) -> Settings {
    let high = Bound { at: row.bounds.high.unwrap_or(50.0), tarry: 3 };
    let low = Bound { at: 1.0, tarry: 20 };
    let rule = match row.policy {
        PolicyKind::Site => Rule::Site(SiteRule::new(2)),
        PolicyKind::Base => Rule::Base { high, low },
        _ => Rule::Threshold { high },
    };
    Settings::new(rule, row.bounds.direction)
}

/// What the engine would send for a VM.
pub fn detail(snapshot: &Snapshot, vm: &str) -> Arc<Detail> {
    let row = snapshot.rows.iter().find(|row| *row.name == *vm).expect("a VM of the sample");
    let first = row.spark.len() as i64;
    let bands =
        row.spark.iter().enumerate().map(|(i, value)| {
            Band::of_reading(ago(39 + (first - 1 - i as i64) * 60), value.is_finite().then_some(*value))
        });
    let marks = vec![
        Mark { at: ago(1_500), kind: MarkKind::Moved("mln5".into()) },
        Mark { at: ago(900), kind: MarkKind::Edited },
        Mark { at: ago(252), kind: MarkKind::Moved("mln2".into()) },
    ];
    let why = match vm {
        "nii1" => "count 2 of 3: one more sample beyond 50 (next in 21 s) moves it to mln3",
        "nii4" => "working 14 of 52 away: 3 big jobs, threshold 2",
        "db04" => "stale: 4 readings in a row failed: connection refused",
        _ => "in bounds: 4 /min, threshold 50",
    };
    let indicator = if row.policy == PolicyKind::Site { "big jobs" } else { "slow queries" };
    Arc::new(Detail {
        vm: vm.into(),
        host: row.host.clone(),
        array: row.array.clone(),
        indicator: indicator.into(),
        settings: settings(row),
        origin: Origin { place: "oslo-prod.toml:41".into(), shared: None, others: 0 },
        why: why.into(),
        interval: Span::from_secs(60),
        next_read: Some(ahead(21)),
        bands: bands.collect(),
        marks,
        moves: Vec::new(),
    })
}

/// The same, while the move dialog is open.
pub fn detail_with_moves(snapshot: &Snapshot, vm: &str) -> Arc<Detail> {
    let gate = |gate, verdict, detail: &str| GateView { gate, verdict, detail: detail.into() };
    let to = |target, to: Option<&str>, load, load_after, gates| MoveOption {
        target,
        to: to.map(Into::into),
        load,
        load_after,
        gates,
    };
    let named = |name: &str| Target::Host(name.into());
    let cool = || gate(Gate::Cooldown, GateVerdict::Warns, "moved 4 min ago: a policy would wait 11 min more");
    let fits = || gate(Gate::Destination, GateVerdict::Passes, "mln3 is up, 2 of 8 VMs");
    let budget = || gate(Gate::Budget, GateVerdict::Passes, "1 of 2 migrations at once, 3 of 20 this hour");
    let moves = vec![
        to(Target::Next, Some("mln3"), Some(0.62), Some(0.74), vec![cool(), budget(), fits()]),
        to(Target::Up, Some("mln3"), Some(0.62), Some(0.74), vec![cool(), budget(), fits()]),
        to(Target::Down, Some("mln1"), Some(0.41), Some(0.55), vec![]),
        to(Target::Base, Some("base1"), Some(0.12), Some(0.95), vec![cool()]),
        to(Target::Away, None, None, None, vec![]),
        to(named("mln1"), Some("mln1"), Some(0.41), Some(0.55), vec![]),
        to(named("mln3"), Some("mln3"), Some(0.62), Some(0.74), vec![cool(), budget(), fits()]),
        to(
            named("mln5"),
            Some("mln5"),
            Some(0.97),
            None,
            vec![gate(Gate::Destination, GateVerdict::Blocks, "mln5 is draining: it takes no more VMs")],
        ),
        to(named("mln6"), Some("mln6"), None, None, vec![gate(Gate::Destination, GateVerdict::Blocks, "mln6 is down")]),
    ];
    Arc::new(Detail { moves, ..Detail::clone(&detail(snapshot, vm)) })
}

/// Everything at once.
pub fn snapshot() -> Snapshot {
    let alarm = |secs, vm: &str, text: &str| {
        Arc::new(LogLine { at: ago(secs), vm: Some(vm.into()), level: Level::Alarm, text: text.into() })
    };
    let mut snapshot = Snapshot {
        seq: 7,
        at: NOW,
        speed: Some(60.0),
        cluster: "oslo-prod".into(),
        mode: Mode::Auto,
        draining: 1,
        waiting: 1,
        moves_last_hour: 3,
        rows: Arc::new(rows().into_iter().map(placed).collect()),
        arrays: Arc::new(arrays()),
        log: Arc::new(log()),
        alarms: vec![
            alarm(700, "db09", "lost: runs on neither mln5 nor mln6"),
            alarm(314, "nii7", "flapping: mln1-mln5 all tried within 1 h, never back in bounds; held until released"),
        ],
        answers: Vec::new(),
        history: HistoryView::On { path: "/var/lib/whimbrel/oslo-prod.db".into(), size: 48_300_000, trouble: None },
        ..Snapshot::default()
    };
    snapshot.moving = snapshot.rows.iter().filter(|row| row.migration.is_some()).cloned().collect();
    snapshot.detail = Some(detail(&snapshot, "nii1"));
    snapshot
}

/// The sample's VMs over and over, with names of their own, on hosts enough.
pub fn many(vms: usize) -> Snapshot {
    let mut snapshot = snapshot();
    let kinds = rows();
    let rows = (0..vms)
        .map(|i| {
            let kind = &kinds[i % kinds.len()];
            Arc::new(VmRow {
                name: format!("vm{i:05}").into(),
                count: kind.count.map(|c| (c.0 % 3, c.1)),
                ..kind.clone()
            })
        })
        .collect();
    snapshot.rows = Arc::new(rows);
    let hosts = (0..vms.div_ceil(8)).map(|i| host(&format!("h{i:04}"), Some((i % 100) as f32 / 100.0), &["vm00001"]));
    Arc::make_mut(&mut snapshot.arrays)[0].hosts = hosts.collect();
    let bands = (0..1_000).map(|i| Band::of_reading(ago((1_000 - i) * 2), Some(((i * 7) % 90) as f32)));
    let first = snapshot.rows[0].name.clone();
    snapshot.detail =
        snapshot.detail.map(|d| Arc::new(Detail { vm: first, bands: bands.collect(), ..Detail::clone(&d) }));
    snapshot
}
