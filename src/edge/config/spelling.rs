//! How a file spells what it was read into: keys with their values, for a new file and for what changed in one.

use std::borrow::Cow;

use super::words::written;
use crate::core::cluster::{
    Commands, CopyStorage, Direction, Domain, Driver, Host, IndicatorKind, Libvirt, Limits, Monitor, MysqlQuantity,
    OnTimeout, Reach, Secret, Source, Span, Usage, Vm,
};
use crate::core::policy::{
    BreakEven, DEFAULT_HOME_TARRY, DEFAULT_MARGIN, DEFAULT_SETTLE, DEFAULT_STALE_AFTER, Resting, Rule, Settings,
    SiteRule, WorkingHours,
};
use crate::core::simulation::{Service, VmPlan};

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spelled {
    pub key: &'static str,
    /// As it is read, without quotes.
    pub value: String,
    /// It is a text, not a number or a flag.
    is_text: bool,
    /// It is so without being written.
    pub is_default: bool,
}

impl Spelled {
    fn text(key: &'static str, value: impl Into<String>) -> Self {
        Self { key, value: value.into(), is_text: true, is_default: false }
    }

    fn bare(key: &'static str, value: impl ToString) -> Self {
        Self { key, value: value.to_string(), is_text: false, is_default: false }
    }

    fn list(key: &'static str, items: &[String]) -> Self {
        let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
        Self::bare(key, format!("[{}]", items.join(", ")))
    }

    fn flag(key: &'static str, value: bool) -> Self {
        Self::bare(key, value).or_default(!value)
    }

    fn or_default(self, is_default: bool) -> Self {
        Self { is_default, ..self }
    }

    /// Whether it may be told: the value of another key may hold a secret, or is too long.
    pub fn is_open(&self) -> bool {
        !matches!(self.key, "query" | "migrate" | "locate" | "progress" | "abort" | "host_state")
    }

    /// The value as TOML.
    pub fn toml(&self) -> Cow<'_, str> {
        if self.is_text { Cow::Owned(quoted(&self.value)) } else { Cow::Borrowed(&self.value) }
    }
}

/// A text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A key, quoted if it must be.
pub(super) fn key(name: &str) -> Cow<'_, str> {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { Cow::Borrowed(name) } else { Cow::Owned(quoted(name)) }
}

/// A number without a needless `.0`.
pub(super) fn number(x: f64) -> String {
    // Beyond this a float has no digits after the point, and TOML's integers end not far above.
    if x.fract() == 0.0 && x.abs() < 9e15 { format!("{x:.0}") } else { format!("{x:?}") }
}

fn length(key: &'static str, span: Span, default: Span) -> Spelled {
    Spelled::text(key, written(span)).or_default(span == default)
}

fn length_or_off(key: &'static str, span: Option<Span>, default: Option<Span>) -> Spelled {
    Spelled::text(key, span.map_or_else(|| "off".to_owned(), written)).or_default(span == default)
}

pub(super) fn limits(limits: &Limits) -> Vec<Spelled> {
    let default = Limits::default();
    let cooldown = |limits: &Limits| Some(limits.cooldown).filter(|cooldown| *cooldown != Span::ZERO);
    vec![
        Spelled::bare("at_once", limits.at_once).or_default(limits.at_once == default.at_once),
        Spelled::bare("at_once_per_host", limits.at_once_per_host)
            .or_default(limits.at_once_per_host == default.at_once_per_host),
        match limits.moves_per_hour {
            Some(moves) => Spelled::bare("moves_per_hour", moves),
            None => Spelled::text("moves_per_hour", "off").or_default(true),
        },
        length_or_off("cooldown", cooldown(limits), cooldown(&default)),
        length_or_off("flap_window", limits.flap_window, default.flap_window),
        length("hold_after_manual", limits.hold_after_manual, default.hold_after_manual),
    ]
}

pub(super) fn driver(driver: &Driver) -> Vec<Spelled> {
    let mut keys = vec![Spelled::text("kind", driver.word()).or_default(*driver == Driver::default())];
    match driver {
        Driver::Simulator => {}
        Driver::Libvirt(driver) => libvirt(driver, &mut keys),
        Driver::Command(driver) => commands(driver, &mut keys),
    }
    keys
}

fn libvirt(driver: &Libvirt, keys: &mut Vec<Spelled>) {
    let copied = match driver.copy_storage {
        CopyStorage::None => "none",
        CopyStorage::All => "all",
        CopyStorage::Increment => "increment",
    };
    let reach = Reach { uri: driver.uri.clone(), peer_uri: driver.peer_uri.clone() };
    keys.extend(self::reach(&reach));
    keys.push(Spelled::flag("tunnelled", driver.tunnelled));
    keys.extend(driver.persistent.map(|flag| Spelled::bare("persistent", flag)));
    keys.extend(driver.undefine_source.map(|flag| Spelled::bare("undefine_source", flag)));
    keys.extend(driver.bandwidth.map(|most| Spelled::bare("bandwidth", most)));
    keys.extend(driver.downtime.map(|most| Spelled::text("downtime", written(most))));
    keys.push(Spelled::flag("post_copy", driver.post_copy));
    keys.push(Spelled::flag("auto_converge", driver.auto_converge));
    keys.push(Spelled::text("copy_storage", copied).or_default(driver.copy_storage == CopyStorage::default()));
    keys.push(Spelled::flag("unsafe", driver.allow_unsafe));
    keys.push(length("stall", driver.stall, Libvirt::STALL));
}

fn commands(driver: &Commands, keys: &mut Vec<Spelled>) {
    keys.push(Spelled::list("migrate", &driver.migrate));
    keys.push(Spelled::list("locate", &driver.locate));
    for (key, command) in [("progress", &driver.progress), ("abort", &driver.abort), ("host_state", &driver.host_state)]
    {
        keys.extend(command.as_ref().map(|command| Spelled::list(key, command)));
    }
    keys.push(length("migrate_deadline", driver.migrate_deadline, Commands::MIGRATE_DEADLINE));
    keys.push(length("deadline", driver.deadline, Commands::DEADLINE));
}

pub(super) fn reach(reach: &Reach) -> Vec<Spelled> {
    let keys = [("uri", &reach.uri), ("peer_uri", &reach.peer_uri)];
    keys.into_iter().filter_map(|(key, uri)| uri.as_ref().map(|uri| Spelled::text(key, uri))).collect()
}

pub(super) fn domain(domain: &Domain) -> Vec<Spelled> {
    let keys = [("domain", &domain.name), ("uuid", &domain.uuid)];
    keys.into_iter().filter_map(|(key, name)| name.as_ref().map(|name| Spelled::text(key, name))).collect()
}

pub(super) fn host(host: &Host, ghz: f64, default_ghz: f64) -> Vec<Spelled> {
    let capacity = host.capacity.map(|capacity| Spelled::bare("capacity", capacity));
    let mut keys = vec![Spelled::text("name", &host.name)];
    keys.extend(capacity);
    keys.push(Spelled::bare("price", number(host.price)).or_default(host.price == 0.0));
    keys.push(Spelled::flag("draining", host.draining));
    keys.push(Spelled::bare("cpu_ghz", number(ghz)).or_default(ghz == default_ghz));
    keys
}

pub(super) fn policy(settings: &Settings) -> Vec<Spelled> {
    let mut keys = vec![Spelled::text("kind", settings.rule.kind())];
    if let Some(high) = settings.rule.high() {
        keys.push(Spelled::bare("threshold", number(high.at)));
        keys.push(Spelled::bare("tarry", high.tarry));
    }
    if let Some(low) = settings.rule.low() {
        keys.push(Spelled::bare("low_threshold", number(low.at)));
        keys.push(Spelled::bare("low_tarry", low.tarry));
    }
    match &settings.rule {
        Rule::Schedule { hours, resting, .. } => {
            keys.push(Spelled::text("hours", windows(hours)));
            keys.push(Spelled::text("zone", hours.zone().name()).or_default(hours.zone() == chrono_tz::UTC));
            let word = if *resting == Resting::Off { "off" } else { "record" };
            keys.push(Spelled::text("resting", word).or_default(*resting == Resting::default()));
        }
        Rule::Site(rule) => site(rule, &mut keys),
        Rule::Threshold { .. } | Rule::Base { .. } => {}
    }
    keys.push(length("settle", settings.settle, DEFAULT_SETTLE));
    let stale = settings.stale_after;
    keys.push(Spelled::bare("stale_after", stale).or_default(stale == DEFAULT_STALE_AFTER));
    keys
}

fn site(rule: &SiteRule, keys: &mut Vec<Spelled>) {
    keys.push(Spelled::bare("threshold", rule.threshold));
    keys.push(Spelled::bare("home_tarry", rule.home_tarry).or_default(rule.home_tarry == DEFAULT_HOME_TARRY));
    let word = if rule.break_even == BreakEven::Require { "require" } else { "show" };
    keys.push(Spelled::text("break_even", word).or_default(rule.break_even == BreakEven::default()));
    keys.push(Spelled::bare("margin", number(rule.margin)).or_default(rule.margin == DEFAULT_MARGIN));
}

/// Working hours without their zone, days in ranges: `Mon-Fri 09:00-16:00`.
fn windows(hours: &WorkingHours) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let text = hours.to_string();
    let mut text = text.strip_suffix(hours.zone().name()).unwrap_or(&text).trim_end().to_owned();
    for length in (3..=7).rev() {
        for days in DAYS.windows(length) {
            text = text.replace(&days.join(" "), &format!("{}-{}", days[0], days[length - 1]));
        }
    }
    text
}

/// The word for a VM's service unless it has its own.
pub(super) fn service(monitor: &Monitor, plan: &VmPlan) -> &'static str {
    match (&monitor.source, plan.service) {
        (Source::Mysql { .. }, _) => "mysql",
        (Source::Apache { .. }, _) => "apache",
        (Source::Http { .. }, _) => "http",
        (Source::Hypervisor { field: Usage::Cpu }, _) => "cpu",
        (Source::Hypervisor { field: Usage::Memory }, _) => "memory",
        (Source::Simulated, Some(Service::Mysql) | None) => "mysql",
        (Source::Simulated, Some(Service::Apache)) => "apache",
        (Source::Simulated, Some(Service::Http)) => "http",
        (Source::Simulated, Some(Service::Queue)) => "queue",
    }
}

pub(super) fn monitor(vm: &Vm, monitor: &Monitor, plan: &VmPlan) -> Vec<Spelled> {
    let timeout = |on_timeout: OnTimeout| {
        let word = if on_timeout == OnTimeout::Beyond { "beyond" } else { "gap" };
        Spelled::text("on_timeout", word).or_default(on_timeout == OnTimeout::default())
    };
    let (mut direction, mut kind) = (Direction::HigherIsWorse, IndicatorKind::Gauge);
    let mut keys = match &monitor.source {
        Source::Simulated => return simulated(monitor, plan),
        Source::Mysql { url, password, quantity, on_timeout } => {
            let mut keys = vec![Spelled::text("kind", "mysql"), Spelled::text("url", url)];
            keys.extend(password.as_ref().map(|secret| match secret {
                Secret::Env(name) => Spelled::text("password_env", name),
                Secret::File(path) => Spelled::text("password_file", path.to_string_lossy()),
            }));
            keys.push(match quantity {
                MysqlQuantity::Variable(name) => {
                    kind = IndicatorKind::Counter;
                    Spelled::text("variable", name).or_default(name == "Slow_queries")
                }
                MysqlQuantity::Query(query) => Spelled::text("query", query),
            });
            keys.push(timeout(*on_timeout));
            keys
        }
        Source::Apache { url, field, on_timeout } => {
            let idle = field == "IdleWorkers";
            direction = if idle { Direction::LowerIsWorse } else { direction };
            let field = Spelled::text("field", field).or_default(idle);
            vec![Spelled::text("kind", "apache"), Spelled::text("url", url), field, timeout(*on_timeout)]
        }
        Source::Http { url, expect } => {
            let expect = Spelled::bare("expect", expect).or_default(*expect == 200);
            vec![Spelled::text("kind", "http"), Spelled::text("url", url), expect]
        }
        Source::Hypervisor { field } => {
            let word = if *field == Usage::Cpu { "cpu" } else { "memory" };
            vec![Spelled::text("kind", "hypervisor"), Spelled::text("field", word)]
        }
    };
    keys.push(length("deadline", monitor.deadline, Monitor::default_deadline(vm.interval)));
    let lower = vm.policy.direction == Direction::LowerIsWorse;
    let word = if lower { "lower-is-worse" } else { "higher-is-worse" };
    keys.push(Spelled::text("direction", word).or_default(vm.policy.direction == direction));
    let word = if vm.indicator.kind == IndicatorKind::Counter { "counter" } else { "gauge" };
    keys.push(Spelled::text("indicator_kind", word).or_default(vm.indicator.kind == kind));
    keys
}

fn simulated(monitor: &Monitor, plan: &VmPlan) -> Vec<Spelled> {
    let default = VmPlan::default();
    let set = |key, value: f64, default: f64| Spelled::bare(key, number(value)).or_default(value == default);
    vec![
        Spelled::text("kind", "simulated"),
        Spelled::text("service", service(monitor, plan)),
        set("demand_ghz", plan.demand_ghz, default.demand_ghz),
        set("swing", plan.swing, default.swing),
        set("bursts_a_day", plan.bursts_a_day, default.bursts_a_day),
        set("burst", plan.burst, default.burst),
        set("memory_mb", plan.memory_mb, default.memory_mb),
        set("dirty_mb_s", plan.dirty_mb_s, default.dirty_mb_s),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_in_a_row_are_a_range() {
        let spelled = |text: &str| windows(&WorkingHours::parse(text, chrono_tz::Europe::Oslo).unwrap());
        for text in
            ["Mon-Fri 09:00-16:00, Sat 10:00-12:00", "Mon Wed-Fri 22:00-06:00", "00:00-24:00", "Sat Sun 01:00-02:00"]
        {
            assert_eq!(spelled(text), text);
        }
        assert_eq!(spelled("Sat-Mon 09:00-16:00"), "Mon Sat Sun 09:00-16:00");
    }

    #[test]
    fn numbers_and_texts_read_back() {
        for x in [50.0, -3.0, 0.5, 1e-9, 1.5e300, 123_456_789.25, f64::MIN_POSITIVE] {
            assert_eq!(number(x).parse(), Ok(x));
            assert!(toml::from_str::<toml::Table>(&format!("x = {}", number(x))).is_ok(), "{}", number(x));
        }
        assert_eq!((number(50.0), number(0.1)), ("50".to_owned(), "0.1".to_owned()));
        let text = "a \"b\" \\ 漢\u{7f}\n\t";
        let table: toml::Table = toml::from_str(&format!("{} = {}", key("a b"), quoted(text))).unwrap();
        assert_eq!(table["a b"].as_str(), Some(text));
    }
}
