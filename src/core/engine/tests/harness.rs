//! An engine with a driver that can be told how its moves end, and a service that can be told its values.

use crate::core::cluster::{
    Array, ArrayId, Cluster, Direction, Host, HostId, HostState, Indicator, IndicatorKind, Limits, Mode, Pick, Reading,
    RequestId, Site, SiteId, Span, Timestamp, Vm, VmId,
};
use crate::core::engine::{
    By, Change, Command, Effect, Engine, Event, Gate, Happened, InFlight, Phase, Presence, Record, Route, VmState,
};
use crate::core::policy::{Bound, Decision, Field, Rule, Settings, SiteRule};
use crate::core::queue::{
    Claim, ClaimStatus, JobInHand, QueueLook, Rates, Ways, WorkerControl, WorkerOrder, WorkerStatus,
};

pub const T0: Timestamp = Timestamp::from_secs(1_241_613_600);

/// How the driver ends its moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// Confirmed at once.
    Confirm,
    /// Never ended: the migration stays under way.
    Hang,
    /// Under way until a test ends it, then confirmed.
    Slow,
    /// Ended, and the hosts say this.
    HostsSay(Presence, Presence),
    /// Refused at preflight.
    Refuse,
    /// Refused by the journal.
    NotJournalled,
}

type Service = Box<dyn FnMut(VmId, Timestamp) -> Reading>;

/// A cluster at work.
pub struct World {
    pub engine: Engine,
    pub now: Timestamp,
    pub moves: Moves,
    pub records: Vec<Record>,
    pub effects: Vec<Effect>,
    pub answers: Vec<(bool, String)>,
    /// Every event with its instant, to be replayed.
    pub events: Vec<(Timestamp, Event)>,
    service: Service,
    /// Migrations that the driver has under way: of these it tells how far they are, and not where the VM runs.
    pub under_way: Vec<RequestId>,
    /// Effects that get lost on the way: they are never answered.
    pub lost: Box<dyn FnMut(&Effect) -> bool>,
    /// With it the VMs have queues instead, and this is what a look at one shows.
    pub queue: Option<QueueLook>,
    /// What is asked of the worker, as the source has it.
    pub control: WorkerControl,
    /// Whether the worker obeys that at once; if not, it never does.
    pub obeys: bool,
    /// With it the queue and its worker are played by this instead.
    pub model: Option<Box<dyn QueueModel>>,
}

/// A queue and its worker, played.
pub trait QueueModel {
    /// What a look shows; `None`: the source does not answer.
    fn look(&mut self, now: Timestamp) -> Option<QueueLook>;
    /// The engine asks something of the worker; false: the source does not take it.
    fn order(&mut self, now: Timestamp, order: Option<WorkerOrder>) -> bool;
    /// The VM starts to move, and stands still.
    fn leaves(&mut self, now: Timestamp);
    /// The move has ended.
    fn arrives(&mut self, now: Timestamp);
}

impl World {
    pub fn new(cluster: Cluster, service: impl FnMut(VmId, Timestamp) -> Reading + 'static) -> Self {
        Self::starting_at(T0, cluster, service)
    }

    pub fn starting_at(
        now: Timestamp,
        cluster: Cluster,
        service: impl FnMut(VmId, Timestamp) -> Reading + 'static,
    ) -> Self {
        let hosts = cluster.hosts.len();
        let mut world = Self {
            engine: Engine::new(cluster, now),
            now,
            moves: Moves::Confirm,
            records: Vec::new(),
            effects: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            service: Box::new(service),
            under_way: Vec::new(),
            lost: Box::new(|_| false),
            queue: None,
            control: WorkerControl::default(),
            obeys: true,
            model: None,
        };
        for host in 0..hosts {
            world.tell(Event::Host { host: HostId::at(host), state: HostState::Up, load: Some(0.5), why: None });
        }
        world
    }

    /// Tells the engine something and carries out what it wants, at this very instant.
    pub fn tell(&mut self, event: Event) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.events.push((self.now, event.clone()));
            if let Event::Ended { id, .. } = event {
                let now = self.now;
                self.model.iter_mut().for_each(|model| model.arrives(now));
                self.under_way.retain(|under_way| *under_way != id);
            }
            let mut out = Vec::new();
            self.engine.step(self.now, event, &mut out);
            for effect in out {
                self.effects.push(effect.clone());
                self.carry_out(effect, &mut events);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, events: &mut std::collections::VecDeque<Event>) {
        if !matches!(effect, Effect::Record(_) | Effect::Answer { .. }) && (self.lost)(&effect) {
            return;
        }
        match effect {
            Effect::Read { vm } => events.push_back(self.read(vm)),
            Effect::Order { vm, site, order } => {
                let now = self.now;
                if self.model.as_mut().is_some_and(|model| !model.order(now, order.clone())) {
                    events.push_back(Event::NotOrdered { vm, why: "the source is read-only".to_owned() });
                }
                (self.control.engine, self.control.site) = (order, Some(site.to_string()));
                self.control.serial += 1;
            }
            Effect::Preflight(route) => {
                let refusal = (self.moves == Moves::Refuse).then(|| "no room".to_owned());
                events.push_back(Event::Preflight { id: route.id, refusal, forecast: None });
            }
            Effect::Journal(route) if self.moves == Moves::NotJournalled => {
                events.push_back(Event::NotJournalled { id: route.id, why: "the disk is full".to_owned() });
            }
            Effect::Journal(route) => events.push_back(Event::Journalled { id: route.id }),
            Effect::Start(route) if !matches!(self.moves, Moves::Hang | Moves::Slow) => {
                let now = self.now;
                self.model.iter_mut().for_each(|model| model.leaves(now));
                events.push_back(Event::Ended { id: route.id, detail: "done".to_owned() });
            }
            Effect::Start(route) => {
                let now = self.now;
                self.model.iter_mut().for_each(|model| model.leaves(now));
                self.under_way.push(route.id);
            }
            Effect::Abort(route) => events.push_back(Event::Ended { id: route.id, detail: "aborted".to_owned() }),
            Effect::Confirm(Route { id, .. }) if self.under_way.contains(&id) => {
                events.push_back(Event::Progress { id, percent: 1, detail: String::new(), transfer: None });
            }
            Effect::Confirm(route) => {
                let (source, destination) = match self.moves {
                    Moves::HostsSay(source, destination) => (source, destination),
                    Moves::Hang => (Presence::Runs, Presence::Absent),
                    Moves::Confirm | Moves::Slow | Moves::Refuse | Moves::NotJournalled => {
                        (Presence::Absent, Presence::Runs)
                    }
                };
                events.push_back(Event::Presence { id: route.id, source, destination });
            }
            Effect::Record(record) => self.records.push(record),
            Effect::Answer { ok, text } => self.answers.push((ok, text)),
        }
    }

    fn read(&mut self, vm: VmId) -> Event {
        let now = self.now;
        match (&mut self.model, self.queue.clone()) {
            (Some(model), _) => match model.look(now) {
                Some(look) => Event::Queue { vm, look: std::sync::Arc::new(look), ways: WAYS },
                None => Event::Reading { vm, reading: Reading::Gap("the source does not answer".to_owned()) },
            },
            (None, Some(look)) => self.seen(vm, look),
            (None, None) => Event::Reading { vm, reading: (self.service)(vm, now) },
        }
    }

    /// What is told of a look at this instant. The worker has just given a sign of life, and obeys if it does so.
    pub fn seen(&self, vm: VmId, mut look: QueueLook) -> Event {
        (look.at, look.control) = (self.now, self.control.clone());
        if let Some(worker) = look.worker.as_mut() {
            worker.beat = self.now;
            if self.obeys {
                (worker.obeys, worker.claims) = (self.control.serial, self.control.may_claim(self.now));
            }
        }
        Event::Queue { vm, look: std::sync::Arc::new(look), ways: WAYS }
    }

    /// From now on a look at nii1's queue shows this; the engine has one at once.
    pub fn report(&mut self, look: QueueLook) {
        self.queue = Some(look.clone());
        let seen = self.seen(VmId(0), look);
        self.tell(seen);
    }

    /// The same, and the worker has the time to stop if it is asked to.
    pub fn shows(&mut self, look: QueueLook) {
        self.report(look);
        self.run_for(Span::from_secs(6));
    }

    /// Lets time pass, waking the engine only when it asks for it.
    pub fn run_for(&mut self, span: Span) {
        let end = self.now + span;
        while self.engine.next_wake() <= end {
            self.now = self.engine.next_wake().max(self.now);
            self.tell(Event::Tick);
        }
        self.now = end;
    }

    pub fn command(&mut self, command: Command) {
        self.tell(Event::Command { by: "root".to_owned(), command });
    }

    /// Changes one number of nii1's policy.
    pub fn set(&mut self, field: Field, value: f64) {
        let settings = self.engine.cluster().vms[0].policy.with(field, value).unwrap();
        self.amend(settings);
    }

    /// Gives nii1 another policy.
    pub fn amend(&mut self, settings: Settings) {
        let change = Change { vm: "nii1".to_owned(), settings: Box::new(settings) };
        self.command(Command::Amend { changes: vec![change], why: None });
    }

    /// Edits so far: `threshold 50 > 60 by root`.
    pub fn edits(&self) -> Vec<String> {
        self.pick(|what| match what {
            Happened::Edit { by, key, old, new, .. } => Some(format!("{key} {old} > {new} by {by}")),
            _ => None,
        })
    }

    /// Requests so far: when, and to which host.
    pub fn requests(&self) -> Vec<(Timestamp, &str)> {
        self.records
            .iter()
            .filter_map(|r| match &r.what {
                Happened::Request { to, .. } => Some((r.at, to.as_str())),
                _ => None,
            })
            .collect()
    }

    pub fn decisions(&self) -> Vec<Decision> {
        self.pick(|what| match what {
            Happened::Decision { action, .. } => Some(*action),
            _ => None,
        })
    }

    pub fn blocked(&self) -> Vec<(Gate, String)> {
        self.pick(|what| match what {
            Happened::Blocked { gate, detail, .. } => Some((*gate, detail.clone())),
            _ => None,
        })
    }

    pub fn phases(&self) -> Vec<Phase> {
        self.pick(|what| match what {
            Happened::Migration { phase, .. } => Some(*phase),
            _ => None,
        })
    }

    pub fn states(&self) -> Vec<VmState> {
        self.pick(|what| match what {
            Happened::State { state, .. } => Some(*state),
            _ => None,
        })
    }

    pub fn gaps(&self) -> Vec<String> {
        self.pick(|what| match what {
            Happened::Gap { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }

    pub fn alarms(&self) -> Vec<String> {
        self.pick(|what| match what {
            Happened::Alarm { text } => Some(text.clone()),
            _ => None,
        })
    }

    /// Each sample's counts: `(count, low count)`.
    pub fn counts(&self) -> Vec<(u32, u32)> {
        self.pick(|what| match what {
            Happened::Sample { count, low_count, .. } => Some((*count, *low_count)),
            _ => None,
        })
    }

    pub fn pick<T>(&self, what: impl Fn(&Happened) -> Option<T>) -> Vec<T> {
        self.records.iter().filter_map(|r| what(&r.what)).collect()
    }

    pub fn host(&self) -> &str {
        let cluster = self.engine.cluster();
        &cluster.host(self.engine.live(VmId(0)).host()).name
    }

    pub fn why(&self) -> String {
        self.engine.why(VmId(0), self.now)
    }
}

/// One site, one array with a ring of `ring` hosts `h1`… and a base `base`, one VM `nii1` on `h1`; flapping off.
pub fn cluster(ring: u32, policy: Settings) -> Cluster {
    let mut hosts: Vec<Host> = (1..=ring).map(|n| host(&format!("h{n}"))).collect();
    hosts.push(host("base"));
    Cluster {
        name: "test".to_owned(),
        mode: Mode::Auto,
        limits: Limits { flap_window: None, ..Limits::default() },
        sites: vec![Site { name: "home".into(), home: true }],
        arrays: vec![Array {
            name: "a".into(),
            site: SiteId(0),
            ring: (0..ring).map(HostId).collect(),
            base: Some(HostId(ring)),
            pick: Pick::Next,
        }],
        hosts,
        vms: vec![vm("nii1", policy)],
    }
}

pub fn host(name: &str) -> Host {
    Host { name: name.into(), array: ArrayId(0), capacity: None, price: 0.0, draining: false }
}

pub fn vm(name: &str, policy: Settings) -> Vm {
    Vm {
        name: name.into(),
        service: "mysql".to_owned(),
        array: ArrayId(0),
        host: HostId(0),
        interval: Span::from_secs(60),
        indicator: Indicator { name: "slow queries".to_owned(), unit: "/min".to_owned(), kind: IndicatorKind::Gauge },
        policy,
        mode: None,
        away: None,
    }
}

/// Two sites: nii1 lives in array `a` at home, and is sent to host `x1` of array `c` in the cloud.
pub fn two_sites(rule: SiteRule) -> Cluster {
    let mut cluster = cluster(2, Settings::new(Rule::Site(rule), Direction::HigherIsWorse));
    cluster.sites.push(Site { name: "cloud".into(), home: false });
    let mut away = host("x1");
    away.array = ArrayId(1);
    cluster.hosts.push(away);
    let ring = vec![HostId(3)];
    cluster.arrays.push(Array { name: "c".into(), site: SiteId(1), ring, base: None, pick: Pick::Next });
    cluster.vms[0].away = Some(ArrayId(1));
    cluster
}

/// Ten minutes out and five back.
pub const WAYS: Ways = Ways { out: Some(Span::from_mins(10)), back: Some(Span::from_mins(5)) };

/// Nothing in hand, nothing to claim. A job of grade a takes 20 minutes at home and 5 away, one of grade b 1 minute and 15 s.
pub fn idle() -> QueueLook {
    let mut rates = Rates::default();
    for (site, grade, seconds) in [("home", "a", 1_200), ("home", "b", 60), ("cloud", "a", 300), ("cloud", "b", 15)] {
        (0..5).for_each(|_| rates.add(site, grade, Span::from_secs(seconds), 1));
    }
    let worker = WorkerStatus { vm: "nii1".to_owned(), claims: true, rates, ..WorkerStatus::default() };
    QueueLook { worker: Some(worker), ..QueueLook::default() }
}

/// A queue in hand with so many big jobs and ten others; none is done yet.
pub fn queue(big: u32, in_job: bool) -> QueueLook {
    let grades = vec![("a".to_owned(), big), ("b".to_owned(), 10)];
    let hand = in_job.then_some(JobInHand { job: 1, since: T0, attempt: 1 }).into_iter().collect();
    let page = "q1".to_owned();
    let status = ClaimStatus { page, big, left: grades.clone(), grades, hand, ..ClaimStatus::default() };
    QueueLook { claims: vec![Claim { name: "nii1.0.1".to_owned(), status, trouble: None }], ..idle() }
}

pub const HIGH: Bound = Bound { at: 50.0, tarry: 3 };
pub const LOW: Bound = Bound { at: 1.0, tarry: 20 };

pub fn threshold() -> Settings {
    Settings::new(Rule::Threshold { high: HIGH }, Direction::HigherIsWorse)
}

pub fn base() -> Settings {
    Settings::new(Rule::Base { high: HIGH, low: LOW }, Direction::HigherIsWorse)
}

/// A service that always reads this.
pub fn always(v: f64) -> impl FnMut(VmId, Timestamp) -> Reading {
    move |_, _| Reading::Raw(v)
}

/// A service that reads these, one after the other, then the last for ever.
pub fn values(list: &[f64]) -> impl FnMut(VmId, Timestamp) -> Reading + use<> {
    let mut list: std::collections::VecDeque<f64> = list.iter().copied().collect();
    move |_, _| {
        let v = if list.len() > 1 { list.pop_front() } else { list.front().copied() };
        v.map_or_else(
            || Reading::Gap("nothing".to_owned()),
            |v| if v.is_nan() { Reading::Gap("refused".to_owned()) } else { Reading::Raw(v) },
        )
    }
}

/// A policy's move of nii1, as the journal has it.
pub fn in_flight(id: u64, from: &str, to: &str) -> InFlight {
    let route = Route { id: RequestId(id), vm: "nii1".into(), from: from.into(), to: to.into() };
    InFlight { route, action: Decision::Move, by: By::Policy }
}
