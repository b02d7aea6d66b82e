//! `monitor = { … }`: what is measured, and where.

use std::path::Path;

use super::super::diagnostics::Diagnostics;
use super::super::toml_reader::{At, Item, Table};
use super::super::words::written;
use super::address;
use crate::core::cluster::{
    Direction, Indicator, IndicatorKind, Monitor, MysqlQuantity, OnTimeout, Secret, Source, Span, Usage,
};
use crate::core::simulation::{Service, VmPlan};

/// The word in `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mysql,
    Apache,
    Http,
    Hypervisor,
    Simulated,
}

const KINDS: [(&str, Kind); 5] = [
    ("mysql", Kind::Mysql),
    ("apache", Kind::Apache),
    ("http", Kind::Http),
    ("hypervisor", Kind::Hypervisor),
    ("simulated", Kind::Simulated),
];
const SERVICES: [(&str, Service); 4] =
    [("mysql", Service::Mysql), ("apache", Service::Apache), ("http", Service::Http), ("queue", Service::Queue)];
const FIELDS: [(&str, Usage); 2] = [("cpu", Usage::Cpu), ("memory", Usage::Memory)];
const SLOW_QUERIES: &str = "Slow_queries";
const IDLE_WORKERS: &str = "IdleWorkers";

/// A monitor before the VM around it is known; what could not be read is `None`.
pub(super) struct Watch {
    pub kind: Option<At<Kind>>,
    /// The word in the SERVICE column, unless the VM has its own.
    pub service: &'static str,
    pub source: Option<Source>,
    pub deadline: Option<At<Span>>,
    /// There is one, readable or not.
    pub has_deadline: bool,
    pub indicator: Indicator,
    pub direction: Direction,
    pub plan: VmPlan,
}

impl Watch {
    /// The monitor proper.
    pub fn monitor(&self, interval: Span) -> Option<Monitor> {
        let deadline = match (&self.deadline, self.plan.service) {
            (Some(deadline), _) => deadline.value,
            (None, Some(Service::Http)) => self.plan.deadline,
            (None, _) => Monitor::default_deadline(interval),
        };
        self.source.clone().map(|source| Monitor { source, deadline })
    }

    /// It reports job queues.
    pub fn is_queue(&self) -> bool {
        self.plan.service == Some(Service::Queue)
    }
}

/// What is measured if the config does not say otherwise.
struct Measure {
    name: String,
    /// Of a gauge; a counter's is its interval.
    unit: &'static str,
    kind: IndicatorKind,
    direction: Direction,
}

impl Measure {
    fn gauge(name: &str, unit: &'static str, direction: Direction) -> Self {
        Self { name: name.to_owned(), unit, kind: IndicatorKind::Gauge, direction }
    }

    fn slow_queries() -> Self {
        Self { kind: IndicatorKind::Counter, ..Self::gauge("slow queries", "", Direction::HigherIsWorse) }
    }

    fn idle_workers() -> Self {
        Self::gauge("idle workers", "idle", Direction::LowerIsWorse)
    }

    fn response_time() -> Self {
        Self::gauge("response time", "ms", Direction::HigherIsWorse)
    }
}

/// Reads a monitor. `folder` is the config's, `interval` the VM's if it could be read.
pub(super) fn read(
    table: Table<'_>,
    folder: Option<&Path>,
    interval: Option<Span>,
    diagnostics: &Diagnostics,
) -> Watch {
    let given = table.need("kind", "kind = \"mysql\", or apache, http, hypervisor, simulated");
    let given = given.and_then(|item| item.choice(&KINDS).map(|kind| At::new(kind, item.span())));
    let kind = given.as_ref().map(|kind| kind.value);
    let mut plan = VmPlan::default();
    let (source, measure) = match kind {
        Some(Kind::Mysql) => mysql(&table, folder, diagnostics),
        Some(Kind::Apache) => apache(&table),
        Some(Kind::Http) => http(&table),
        Some(Kind::Hypervisor) => hypervisor(&table),
        Some(Kind::Simulated) => simulated(&table, &mut plan),
        None => (None, Measure::gauge("", "", Direction::default())),
    };
    let mut watch = Watch {
        kind: given,
        service: match (plan.service, &source) {
            (Some(service), _) => word(&SERVICES, service),
            // In the SERVICE column the figure says more than where it comes from.
            (None, Some(Source::Hypervisor { field })) => word(&FIELDS, *field),
            (None, _) => kind.map_or("", |kind| word(&KINDS, kind)),
        },
        source,
        deadline: None,
        has_deadline: table.key_span("deadline").is_some(),
        indicator: Indicator { name: measure.name, unit: measure.unit.to_owned(), kind: measure.kind },
        direction: measure.direction,
        plan,
    };
    if kind != Some(Kind::Simulated) {
        common(&table, &mut watch, interval);
    }
    if watch.indicator.kind == IndicatorKind::Counter {
        watch.indicator.unit = per(interval.unwrap_or(Span::from_mins(1)));
    }
    table.finish(kind.map(|kind| word(&KINDS, kind)));
    watch
}

/// What all real monitors have.
fn common(table: &Table<'_>, watch: &mut Watch, interval: Option<Span>) {
    watch.deadline = table.get("deadline").and_then(|item| {
        let deadline = item.duration()?;
        if deadline.value == Span::ZERO {
            item.wrong("a deadline of 0 leaves no time for an answer", "write deadline = \"5s\", or leave it out");
            return None;
        }
        if let Some(interval) = interval.filter(|interval| deadline.value > *interval) {
            let message =
                format!("the deadline {} is longer than the interval {}", written(deadline.value), written(interval));
            item.wrong(message, format!("write at most {}, or a longer interval", written(interval)));
        }
        Some(deadline)
    });
    let directions = [("higher-is-worse", Direction::HigherIsWorse), ("lower-is-worse", Direction::LowerIsWorse)];
    if let Some(direction) = table.get("direction").and_then(|item| item.choice(&directions)) {
        watch.direction = direction;
    }
    // What a hypervisor tells is in percent: it never counts up.
    if watch.kind.as_ref().is_some_and(|kind| kind.value == Kind::Hypervisor) {
        return;
    }
    let kinds = [("gauge", IndicatorKind::Gauge), ("counter", IndicatorKind::Counter)];
    if let Some(kind) = table.get("indicator_kind").and_then(|item| item.choice(&kinds)) {
        watch.indicator.kind = kind;
    }
}

fn mysql(table: &Table<'_>, folder: Option<&Path>, diagnostics: &Diagnostics) -> (Option<Source>, Measure) {
    let url = table.need("url", "url = \"mysql://watch@127.0.0.1:3306\"").and_then(|item| address::mysql(&item));
    let password = password(table, folder, diagnostics);
    let (variable, query) = (table.get("variable"), table.get("query"));
    if let (Some(variable), Some(query)) = (&variable, &query) {
        later(variable, query).wrong("both 'variable' and 'query' say what is measured", "keep one of them");
    }
    let variable = variable.and_then(|item| item.name()).map(|text| text.value);
    let query = query.and_then(|item| item.text()).inspect(|text| {
        if text.value.trim().is_empty() {
            diagnostics.error(text.span.clone(), "'query' is empty", "write a query that gives one number");
        }
    });
    let (quantity, measure) = match (query, variable) {
        (Some(query), _) => {
            (MysqlQuantity::Query(query.value.to_owned()), Measure::gauge("query", "", Direction::HigherIsWorse))
        }
        (None, Some(name)) if !name.eq_ignore_ascii_case(SLOW_QUERIES) => {
            let gauge = Measure::gauge(name, "", Direction::HigherIsWorse);
            (MysqlQuantity::Variable(name.to_owned()), Measure { kind: IndicatorKind::Counter, ..gauge })
        }
        _ => (MysqlQuantity::Variable(SLOW_QUERIES.to_owned()), Measure::slow_queries()),
    };
    let on_timeout = on_timeout(table);
    (url.map(|url| Source::Mysql { url, password, quantity, on_timeout }), measure)
}

fn password(table: &Table<'_>, folder: Option<&Path>, diagnostics: &Diagnostics) -> Option<Secret> {
    let (env, file) = (table.get("password_env"), table.get("password_file"));
    if let (Some(env), Some(file)) = (&env, &file) {
        later(env, file).wrong("both 'password_env' and 'password_file' say where the password is", "keep one of them");
    }
    let env = env.and_then(|item| item.text());
    if let Some(name) = env.as_ref().filter(|name| !is_variable(name.value)) {
        let message = "this is no name of an environment variable";
        diagnostics.error(
            name.span.clone(),
            message,
            "name the variable that holds the password: letters, digits and _",
        );
    }
    let file = file.and_then(|item| item.line()).map(|file| folder.unwrap_or(Path::new("")).join(file.value));
    env.map(|name| Secret::Env(name.value.to_owned())).or(file.map(Secret::File))
}

/// Whether this can be the name of an environment variable; what cannot may well be the password itself.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn apache(table: &Table<'_>) -> (Option<Source>, Measure) {
    const EXAMPLE: &str = "http://127.0.0.1/server-status?auto";
    let url = table.need("url", &format!("url = \"{EXAMPLE}\"")).and_then(|item| address::page(&item, EXAMPLE));
    let field = table.get("field").and_then(|item| item.line()).map_or(IDLE_WORKERS, |field| field.value);
    let measure = match field {
        IDLE_WORKERS => Measure::idle_workers(),
        other => Measure::gauge(other, "", Direction::HigherIsWorse),
    };
    let on_timeout = on_timeout(table);
    (url.map(|url| Source::Apache { url, field: field.to_owned(), on_timeout }), measure)
}

fn http(table: &Table<'_>) -> (Option<Source>, Measure) {
    const EXAMPLE: &str = "http://127.0.0.1/";
    let url = table.need("url", &format!("url = \"{EXAMPLE}\"")).and_then(|item| address::page(&item, EXAMPLE));
    let expect = table.get("expect").and_then(|item| item.whole(100..=599)).and_then(|n| u16::try_from(n).ok());
    (url.map(|url| Source::Http { url, expect: expect.unwrap_or(200) }), Measure::response_time())
}

fn hypervisor(table: &Table<'_>) -> (Option<Source>, Measure) {
    let field = table.need("field", "field = \"cpu\", or memory").and_then(|item| item.choice(&FIELDS));
    let name = if field == Some(Usage::Memory) { "memory" } else { "CPU" };
    (field.map(|field| Source::Hypervisor { field }), Measure::gauge(name, "%", Direction::HigherIsWorse))
}

fn simulated(table: &Table<'_>, plan: &mut VmPlan) -> (Option<Source>, Measure) {
    let service = table.need("service", "service = \"mysql\", or apache, http, queue");
    plan.service = service.and_then(|item| item.choice(&SERVICES));
    let set = |key, to: &mut f64, read: &dyn Fn(&Item<'_>) -> Option<f64>| {
        if let Some(value) = table.get(key).and_then(|item| read(&item)) {
            *to = value;
        }
    };
    let positive = |item: &Item<'_>| item.positive();
    let not_negative = |item: &Item<'_>| item.number_in(0.0..=f64::MAX, "0 or more");
    set("demand_ghz", &mut plan.demand_ghz, &positive);
    set("swing", &mut plan.swing, &|item| item.number_in(0.0..=1.0, "from 0 to 1"));
    set("bursts_a_day", &mut plan.bursts_a_day, &not_negative);
    set("burst", &mut plan.burst, &|item| item.number_in(1.0..=f64::MAX, "at least 1"));
    set("memory_mb", &mut plan.memory_mb, &positive);
    set("dirty_mb_s", &mut plan.dirty_mb_s, &not_negative);
    let measure = match plan.service {
        Some(Service::Mysql) | None => Measure::slow_queries(),
        Some(Service::Apache) => Measure::idle_workers(),
        Some(Service::Http) => Measure::response_time(),
        Some(Service::Queue) => Measure::gauge("big jobs", "big", Direction::HigherIsWorse),
    };
    (Some(Source::Simulated), measure)
}

fn on_timeout(table: &Table<'_>) -> OnTimeout {
    let words = [("gap", OnTimeout::Gap), ("beyond", OnTimeout::Beyond)];
    table.get("on_timeout").and_then(|item| item.choice(&words)).unwrap_or_default()
}

/// Of two that exclude each other, the one that is too many.
fn later<'i, 'a>(one: &'i Item<'a>, other: &'i Item<'a>) -> &'i Item<'a> {
    if one.span().start > other.span().start { one } else { other }
}

/// A counter's unit: its increase in so long.
fn per(interval: Span) -> String {
    match written(interval).as_str() {
        "1m" => "/min".to_owned(),
        "1h" => "/h".to_owned(),
        "1d" => "/d".to_owned(),
        other => format!("/{other}"),
    }
}

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, v)| *v == value).map_or("", |(word, _)| word)
}
