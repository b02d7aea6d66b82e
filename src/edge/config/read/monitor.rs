//! `monitor = { … }`: what is measured, and where.
//!
//! Each kind of monitor is one block: its word, its keys, and what it measures. To add a kind, see
//! `docs/adding-a-monitor.md`.

use std::path::Path;

use super::super::keys::{
    ConfigKey, Form, KeyField, KindOfTable, WrittenKey, bare, decimal, duration, fill, set, shape, text, word,
    words_of, write,
};
use super::super::toml_reader::{Item, Shape, Table};
use super::{address, secret};
use crate::core::cluster::{
    Direction, Indicator, IndicatorKind, Monitor, MysqlQuantity, Name, OnTimeout, Secret, Source, Span, Usage, Vm,
};
use crate::core::format::exact_span;
use crate::core::simulation::{Service, VmPlan};

/// A kind of monitor.
pub(super) struct MonitorKind {
    /// The word in `kind`.
    word: &'static str,
    /// What it reads, for the reference.
    doc: &'static str,
    /// A source of this kind, with the defaults of its keys.
    blank: fn() -> Source,
    /// Its own keys, in the order of a file.
    fields: &'static [KeyField<MonitorSpec>],
    /// Whether [`COMMON`] keys go with it.
    common: &'static [KeyField<MonitorSpec>],
    /// What it measures, unless the config says otherwise.
    measure: fn(&MonitorSpec) -> Measure,
}

/// Lists the kinds, and finds the kind of a source. The compiler finds a source that is not listed.
macro_rules! kinds {
    ($($source:ident: $kind:ident),+) => {
        const KINDS: [(&str, &MonitorKind); [$(stringify!($kind)),+].len()] = [$(($kind.word, &$kind)),+];

        fn kind_of(source: &Source) -> &'static MonitorKind {
            match source {
                $(Source::$source { .. } => &$kind,)+
            }
        }
    };
}

kinds!(Mysql: MYSQL, Apache: APACHE, Http: HTTP, Queue: QUEUE, Hypervisor: HYPERVISOR, Simulated: SIMULATED);

/// What a monitor measures, and which way of it is bad. A counter has no unit: that follows from the interval.
type Measure = (Indicator, Direction);

fn gauge(name: &str, unit: &str, direction: Direction) -> Measure {
    (Indicator { name: name.to_owned(), unit: unit.to_owned(), kind: IndicatorKind::Gauge }, direction)
}

fn counter(name: &str) -> Measure {
    let (gauge, direction) = gauge(name, "", Direction::HigherIsWorse);
    (Indicator { kind: IndicatorKind::Counter, ..gauge }, direction)
}

fn idle_workers() -> Measure {
    gauge("idle workers", "idle", Direction::LowerIsWorse)
}

fn response_time() -> Measure {
    gauge("response time", "ms", Direction::HigherIsWorse)
}

fn big_jobs() -> Measure {
    gauge("big jobs", "big", Direction::HigherIsWorse)
}

const SERVICES: [(&str, Service); 4] =
    [("mysql", Service::Mysql), ("apache", Service::Apache), ("http", Service::Http), ("queue", Service::Queue)];
const USAGES: [(&str, Usage); 2] = [("cpu", Usage::Cpu), ("memory", Usage::Memory)];
const TIMEOUTS: [(&str, OnTimeout); 2] = [("gap", OnTimeout::Gap), ("beyond", OnTimeout::Beyond)];
const DIRECTIONS: [(&str, Direction); 2] =
    [("higher-is-worse", Direction::HigherIsWorse), ("lower-is-worse", Direction::LowerIsWorse)];
const INDICATOR_KINDS: [(&str, IndicatorKind); 2] =
    [("gauge", IndicatorKind::Gauge), ("counter", IndicatorKind::Counter)];
const SLOW_QUERIES: &str = "Slow_queries";
const IDLE_WORKERS: &str = "IdleWorkers";
const PAGE: &str = "http://127.0.0.1/";
const STATUS_PAGE: &str = "http://127.0.0.1/server-status?auto";

const MYSQL: MonitorKind = MonitorKind {
    word: "mysql",
    doc: "A number from MySQL or MariaDB",
    blank: || Source::Mysql {
        url: String::new(),
        password: None,
        quantity: MysqlQuantity::Variable(SLOW_QUERIES.to_owned()),
        on_timeout: OnTimeout::default(),
    },
    fields: &[
        KeyField {
            key: ConfigKey::new("url", Form::Address, "The server, never with a password in it")
                .example("\"mysql://watch@127.0.0.1:3306\"")
                .needed(),
            read: |item, watch| {
                let Source::Mysql { url, .. } = &mut watch.source else { return None };
                set(url, address::mysql(item))
            },
            write: |watch| if let Source::Mysql { url, .. } = &watch.source { text(url) } else { None },
        },
        KeyField {
            key: secret::ENV,
            read: |item, watch| {
                let Source::Mysql { password, .. } = &mut watch.source else { return None };
                set(password, secret::env(item).map(Some))
            },
            write: |watch| match &watch.source {
                Source::Mysql { password: Some(Secret::Env(name)), .. } => text(name),
                _ => None,
            },
        },
        KeyField {
            key: secret::FILE,
            read: |item, watch| {
                let Source::Mysql { password, .. } = &mut watch.source else { return None };
                set(password, secret::file(item).map(Some))
            },
            write: |watch| match &watch.source {
                Source::Mysql { password: Some(Secret::File(path)), .. } => text(path.to_string_lossy()),
                _ => None,
            },
        },
        KeyField {
            key: ConfigKey::new("variable", Form::Text, "A variable of SHOW GLOBAL STATUS"),
            read: |item, watch| {
                let name = item.name()?.into_inner();
                let name = if name.eq_ignore_ascii_case(SLOW_QUERIES) { SLOW_QUERIES } else { name };
                let Source::Mysql { quantity, .. } = &mut watch.source else { return None };
                set(quantity, Some(MysqlQuantity::Variable(name.to_owned())))
            },
            write: |watch| match &watch.source {
                Source::Mysql { quantity: MysqlQuantity::Variable(name), .. } => text(name),
                _ => None,
            },
        },
        KeyField {
            key: ConfigKey::new("query", Form::Program, "Instead of a variable: a query that gives one number")
                .default("the variable")
                .example("\"SELECT COUNT(*) FROM orders WHERE state = 'open'\""),
            read: |item, watch| {
                let query = item.text()?;
                if query.get_ref().trim().is_empty() {
                    item.wrong("'query' is empty", "write a query that gives one number");
                }
                let Source::Mysql { quantity, .. } = &mut watch.source else { return None };
                set(quantity, Some(MysqlQuantity::Query(query.into_inner().to_owned())))
            },
            write: |watch| match &watch.source {
                Source::Mysql { quantity: MysqlQuantity::Query(query), .. } => text(query),
                _ => None,
            },
        },
        ON_TIMEOUT,
    ],
    common: &COMMON,
    measure: |watch| match &watch.source {
        Source::Mysql { quantity: MysqlQuantity::Query(_), .. } => gauge("query", "", Direction::HigherIsWorse),
        Source::Mysql { quantity: MysqlQuantity::Variable(name), .. } if name != SLOW_QUERIES => counter(name),
        _ => counter("slow queries"),
    },
};

const APACHE: MonitorKind = MonitorKind {
    word: "apache",
    doc: "A line of Apache's status page (mod_status)",
    blank: || Source::Apache { url: String::new(), field: IDLE_WORKERS.to_owned(), on_timeout: OnTimeout::default() },
    fields: &[
        KeyField {
            key: ConfigKey::new("url", Form::Address, "The status page, without a user and a password")
                .example("\"http://127.0.0.1/server-status?auto\"")
                .needed(),
            read: |item, watch| {
                let Source::Apache { url, .. } = &mut watch.source else { return None };
                set(url, address::page(item, STATUS_PAGE))
            },
            write: |watch| if let Source::Apache { url, .. } = &watch.source { text(url) } else { None },
        },
        KeyField {
            key: ConfigKey::new("field", Form::Text, "The line of the page"),
            read: |item, watch| {
                let Source::Apache { field, .. } = &mut watch.source else { return None };
                set(field, item.line().map(|line| line.into_inner().to_owned()))
            },
            write: |watch| if let Source::Apache { field, .. } = &watch.source { text(field) } else { None },
        },
        ON_TIMEOUT,
    ],
    common: &COMMON,
    measure: |watch| match &watch.source {
        Source::Apache { field, .. } if field != IDLE_WORKERS => gauge(field, "", Direction::HigherIsWorse),
        _ => idle_workers(),
    },
};

const HTTP: MonitorKind = MonitorKind {
    word: "http",
    doc: "The response time of a page in ms. A check that times out counts as its deadline, so that the deadline must be \
          above the threshold",
    blank: || Source::Http { url: String::new(), expect: 200 },
    fields: &[
        KeyField {
            key: ConfigKey::new("url", Form::Address, "The page, without a user and a password")
                .example("\"http://127.0.0.1/\"")
                .needed(),
            read: |item, watch| {
                let Source::Http { url, .. } = &mut watch.source else { return None };
                set(url, address::page(item, PAGE))
            },
            write: |watch| if let Source::Http { url, .. } = &watch.source { text(url) } else { None },
        },
        KeyField {
            key: ConfigKey::new("expect", Form::Number, "The status that counts as an answer"),
            read: |item, watch| {
                let Source::Http { expect, .. } = &mut watch.source else { return None };
                set(expect, item.whole(100..=599).and_then(|status| u16::try_from(status).ok()))
            },
            write: |watch| if let Source::Http { expect, .. } = &watch.source { bare(expect) } else { None },
        },
    ],
    common: &COMMON,
    measure: |_| response_time(),
};

const QUEUE: MonitorKind = MonitorKind {
    word: "queue",
    doc: "The big jobs of the page that the VM's worker has in hand, in a queue of this file. Needs a policy of kind \
          \"site\"",
    blank: || Source::Queue { queue: Name::default() },
    fields: &[KeyField {
        key: ConfigKey::new("queue", Form::Text, "The [[queue]] that the VM works").example("\"render\"").needed(),
        read: |item, watch| {
            let Source::Queue { queue } = &mut watch.source else { return None };
            set(queue, item.text().map(|name| name.into_inner().into()))
        },
        write: |watch| if let Source::Queue { queue } = &watch.source { text(queue.as_str()) } else { None },
    }],
    // A queue's figures are counted: more big jobs are always worse.
    common: &[DEADLINE],
    measure: |_| big_jobs(),
};

const HYPERVISOR: MonitorKind = MonitorKind {
    word: "hypervisor",
    doc: "What libvirt knows of the VM, in percent. Only where libvirt moves it",
    blank: || Source::Hypervisor { field: Usage::Cpu },
    fields: &[KeyField {
        key: ConfigKey::new(
            "field",
            Form::Words(const { &words_of(&USAGES) }),
            "Of what its CPUs can have, or of the memory it has",
        )
        .needed(),
        read: |item, watch| {
            let Source::Hypervisor { field } = &mut watch.source else { return None };
            set(field, item.choice(&USAGES))
        },
        write: |watch| match &watch.source {
            Source::Hypervisor { field } => text(word(&USAGES, *field)),
            _ => None,
        },
    }],
    // A hypervisor's figures are in percent: they are never counters.
    common: &[DEADLINE, DIRECTION],
    measure: |watch| {
        let is_memory = watch.source == Source::Hypervisor { field: Usage::Memory };
        gauge(if is_memory { "memory" } else { "CPU" }, "%", Direction::HigherIsWorse)
    },
};

const SIMULATED: MonitorKind = MonitorKind {
    word: "simulated",
    doc: "A service of the simulator, and only where that moves the VM",
    blank: || Source::Simulated,
    fields: &[
        KeyField {
            key: ConfigKey::new("service", Form::Words(const { &words_of(&SERVICES) }), "What it is").needed(),
            read: |item, watch| set(&mut watch.plan.service, item.choice(&SERVICES).map(Some)),
            write: |watch| text(word(&SERVICES, watch.plan.service.unwrap_or(Service::Mysql))),
        },
        KeyField {
            key: ConfigKey::new("demand_ghz", Form::Number, "CPU it wants on an ordinary day"),
            read: |item, watch| set(&mut watch.plan.demand_ghz, item.positive()),
            write: |watch| decimal(watch.plan.demand_ghz),
        },
        KeyField {
            key: ConfigKey::new("swing", Form::Number, "How far that rises and falls in a day, 0 to 1"),
            read: |item, watch| set(&mut watch.plan.swing, item.number_in(0.0..=1.0, "from 0 to 1")),
            write: |watch| decimal(watch.plan.swing),
        },
        KeyField {
            key: ConfigKey::new("bursts_a_day", Form::Number, "How often a day it wants more"),
            read: |item, watch| set(&mut watch.plan.bursts_a_day, not_negative(item)),
            write: |watch| decimal(watch.plan.bursts_a_day),
        },
        KeyField {
            key: ConfigKey::new("burst", Form::Number, "It wants so many times the ordinary demand then, at least 1"),
            read: |item, watch| set(&mut watch.plan.burst, item.number_in(1.0..=f64::MAX, "at least 1")),
            write: |watch| decimal(watch.plan.burst),
        },
        KeyField {
            key: ConfigKey::new("memory_mb", Form::Number, "Its memory"),
            read: |item, watch| set(&mut watch.plan.memory_mb, item.positive()),
            write: |watch| decimal(watch.plan.memory_mb),
        },
        KeyField {
            key: ConfigKey::new("dirty_mb_s", Form::Number, "Memory it writes to in a second on an ordinary day"),
            read: |item, watch| set(&mut watch.plan.dirty_mb_s, not_negative(item)),
            write: |watch| decimal(watch.plan.dirty_mb_s),
        },
    ],
    common: &[],
    measure: |watch| match watch.plan.service {
        Some(Service::Mysql) | None => counter("slow queries"),
        Some(Service::Apache) => idle_workers(),
        Some(Service::Http) => response_time(),
        Some(Service::Queue) => big_jobs(),
    },
};

const ON_TIMEOUT: KeyField<MonitorSpec> = KeyField {
    key: ConfigKey::new(
        "on_timeout",
        Form::Words(const { &words_of(&TIMEOUTS) }),
        "What a read past the deadline is: a gap, or beyond the threshold",
    ),
    read: |item, watch| match &mut watch.source {
        Source::Mysql { on_timeout, .. } | Source::Apache { on_timeout, .. } => set(on_timeout, item.choice(&TIMEOUTS)),
        _ => None,
    },
    write: |watch| match &watch.source {
        Source::Mysql { on_timeout, .. } | Source::Apache { on_timeout, .. } => text(word(&TIMEOUTS, *on_timeout)),
        _ => None,
    },
};

const DEADLINE: KeyField<MonitorSpec> = KeyField {
    key: ConfigKey::new("deadline", Form::Duration, "How long one reading may take")
        .default("a quarter of the interval, at most \"10s\"")
        .example("\"10s\""),
    read: |item, watch| {
        let deadline = item.duration()?;
        if *deadline.get_ref() == Span::ZERO {
            item.wrong("a deadline of 0 leaves no time for an answer", "write deadline = \"5s\", or leave it out");
            return None;
        }
        set(&mut watch.deadline, Some(Some(deadline.into_inner())))
    },
    write: |watch| duration(watch.deadline?),
};

const DIRECTION: KeyField<MonitorSpec> = KeyField {
    key: ConfigKey::new(
        "direction",
        Form::Words(const { &words_of(&DIRECTIONS) }),
        "Which way of the indicator is bad",
    )
    .default("what fits the kind")
    .example("\"higher-is-worse\""),
    read: |item, watch| set(&mut watch.direction, item.choice(&DIRECTIONS).map(Some)),
    write: |watch| text(word(&DIRECTIONS, watch.direction?)),
};

const INDICATOR_KIND: KeyField<MonitorSpec> = KeyField {
    key: ConfigKey::new(
        "indicator_kind",
        Form::Words(const { &words_of(&INDICATOR_KINDS) }),
        "The number itself counts, or its increase in an interval",
    )
    .default("\"counter\" for a variable of MySQL, else \"gauge\"")
    .example("\"counter\""),
    read: |item, watch| set(&mut watch.indicator_kind, item.choice(&INDICATOR_KINDS).map(Some)),
    write: |watch| text(word(&INDICATOR_KINDS, watch.indicator_kind?)),
};

/// What most real monitors have.
const COMMON: [KeyField<MonitorSpec>; 3] = [DEADLINE, DIRECTION, INDICATOR_KIND];

const KIND: ConfigKey =
    ConfigKey::new("kind", Form::Words(const { &words_of(&KINDS) }), "What reads the indicator").needed();

pub(super) fn kinds() -> Vec<KindOfTable> {
    let kind = |(_, kind): &(&str, &MonitorKind)| {
        let blank = MonitorSpec::of((kind.blank)());
        let mut keys = vec![(KIND, None)];
        keys.extend(KindOfTable::rows(kind.fields, &blank));
        keys.extend(KindOfTable::rows(kind.common, &blank));
        KindOfTable { kind: kind.word, doc: kind.doc, keys }
    };
    KINDS.iter().map(kind).collect()
}

pub(super) const MONITOR: Shape = shape!("a monitor", kinds);

/// A monitor as far as its own table says it.
pub(super) struct MonitorSpec {
    pub source: Source,
    /// Of a simulated service.
    pub plan: VmPlan,
    // The following are set by the config.
    pub deadline: Option<Span>,
    direction: Option<Direction>,
    indicator_kind: Option<IndicatorKind>,
    /// All that it needs could be read.
    pub is_whole: bool,
}

impl MonitorSpec {
    fn of(source: Source) -> Self {
        let plan = VmPlan::default();
        Self { source, plan, deadline: None, direction: None, indicator_kind: None, is_whole: true }
    }

    fn measure(&self) -> Measure {
        (kind_of(&self.source).measure)(self)
    }

    pub fn direction(&self) -> Direction {
        self.direction.unwrap_or_else(|| self.measure().1)
    }

    pub fn indicator(&self, interval: Span) -> Indicator {
        let indicator = self.measure().0;
        match self.indicator_kind.unwrap_or(indicator.kind) {
            kind @ IndicatorKind::Counter => Indicator { unit: per(interval), kind, ..indicator },
            kind => Indicator { kind, ..indicator },
        }
    }

    /// The monitor proper.
    pub fn monitor(&self, interval: Span) -> Monitor {
        let deadline = match (self.deadline, self.plan.service) {
            (Some(deadline), _) => deadline,
            (None, Some(Service::Http)) => self.plan.deadline,
            (None, _) => Monitor::default_deadline(interval),
        };
        Monitor { source: self.source.clone(), deadline }
    }

    /// The word in the SERVICE column, unless the VM has its own.
    pub fn service(&self) -> &'static str {
        service(&self.source, &self.plan)
    }

    pub fn is_simulated(&self) -> bool {
        self.source == Source::Simulated
    }

    /// It reports job queues.
    pub fn is_queue(&self) -> bool {
        is_queue(&self.source, &self.plan)
    }
}

/// Whether a monitor reports job queues, real ones or simulated ones.
pub(super) fn is_queue(source: &Source, plan: &VmPlan) -> bool {
    matches!(source, Source::Queue { .. }) || plan.service == Some(Service::Queue)
}

/// The word for a VM's service unless it has its own.
pub(in super::super) fn service(source: &Source, plan: &VmPlan) -> &'static str {
    match source {
        // These say more than the monitor's kind.
        Source::Simulated => word(&SERVICES, plan.service.unwrap_or(Service::Mysql)),
        Source::Hypervisor { field } => word(&USAGES, *field),
        other => kind_of(other).word,
    }
}

/// Reads a monitor, if its kind can be read. What else could not be read has its default. `folder` is the config's, `interval` the
/// VM's if it could be read.
pub(super) fn read(table: Table<'_>, folder: Option<&Path>, interval: Option<Span>) -> Option<MonitorSpec> {
    let Some(kind) = table.need(&KIND).and_then(|item| item.choice(&KINDS)) else {
        table.finish(None);
        return None;
    };
    let mut watch = MonitorSpec::of((kind.blank)());
    watch.is_whole = fill(kind.fields, &table, &mut watch).is_some();
    fill(kind.common, &table, &mut watch);
    if let Source::Mysql { password, .. } = &mut watch.source {
        secret::one_of(&table, ["variable", "query"], "say what is measured");
        secret::settle(&table, password, folder);
    }
    if let (Some(deadline), Some(interval), Some(item)) = (watch.deadline, interval, table.get("deadline"))
        && deadline > interval
    {
        let (long, short) = (exact_span(deadline), exact_span(interval));
        let message = format!("the deadline {long} is longer than the interval {short}");
        item.wrong(message, format!("write at most {short}, or a longer interval"));
    }
    table.finish(Some(kind.word));
    Some(watch)
}

/// The keys of a VM's monitor, as a file has them.
pub(in super::super) fn write_monitor(vm: &Vm, monitor: &Monitor, plan: &VmPlan) -> Vec<WrittenKey> {
    let kind = kind_of(&monitor.source);
    let watch = |source, plan, deadline, direction, indicator_kind| MonitorSpec {
        plan,
        deadline: Some(deadline),
        direction: Some(direction),
        indicator_kind: Some(indicator_kind),
        ..MonitorSpec::of(source)
    };
    let said = watch(monitor.source.clone(), plan.clone(), monitor.deadline, vm.policy.direction, vm.indicator.kind);
    let ((indicator, direction), deadline) = (said.measure(), Monitor::default_deadline(vm.interval));
    let blank = watch((kind.blank)(), VmPlan::default(), deadline, direction, indicator.kind);
    let mut keys = vec![WrittenKey::text(KIND, kind.word, false)];
    keys.extend(write(kind.fields, &said, &blank));
    keys.extend(write(kind.common, &said, &blank));
    keys
}

fn not_negative(item: &Item<'_>) -> Option<f64> {
    item.number_in(0.0..=f64::MAX, "0 or more")
}

/// A counter's unit: its increase in so long.
fn per(interval: Span) -> String {
    match exact_span(interval).as_str() {
        "1m" => "/min".to_owned(),
        "1h" => "/h".to_owned(),
        "1d" => "/d".to_owned(),
        other => format!("/{other}"),
    }
}
