//! What a config means, and that the sample knows every key.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::names;
use super::*;
use crate::core::cluster::{
    ArrayId, Commands, CopyStorage, Direction, Domain, Driver, HostId, IndicatorKind, Libvirt, Limits, Mode, Monitor,
    MysqlQuantity, OnTimeout, Reach, Secret, Source, Span, Usage, Vm,
};
use crate::core::insight::Retention;
use crate::core::policy::{Rule, Settings, WorkingHours};
use crate::core::queue::{
    DEFAULT_ATTEMPTS, DEFAULT_DIGITS, DEFAULT_JOB_DEADLINE, DEFAULT_LEASE, JobKind, Parallel, Queue, QueueSource,
};
use crate::core::simulation::{Service, VmPlan};

const SAMPLE: &str = include_str!("../../../config/whimbrel.toml");

fn read(text: &str) -> Config {
    parse(Path::new("/etc/whimbrel/shop.toml"), text).unwrap_or_else(|report| panic!("{report}"))
}

/// A config of one VM with this interval, monitor and policy, on an array with a base.
fn one(interval: &str, monitor: &str, policy: &str) -> (Vm, Monitor, VmPlan) {
    let mut config = read(&format!(
        "[[array]]\nname = \"a\"\nbase = \"mln6\"\nhost = [\"mln1\", \"mln6\", \"mln2\"]\n\
         [[vm]]\nname = \"v\"\nhost = \"mln1\"\ninterval = \"{interval}\"\nmonitor = {{ {monitor} }}\npolicy = {{ {policy} }}\n"
    ));
    (config.cluster.vms.remove(0), config.monitors.remove(0), config.plan.vms.remove(0))
}

const THRESHOLD: &str = "kind = \"threshold\", threshold = 50, tarry = 3";
const MYSQL: &str = "kind = \"mysql\", url = \"mysql://watch@db\"";

/// Name, unit, kind and direction of the indicator that a monitor reads.
fn measured(interval: &str, monitor: &str) -> (String, String, IndicatorKind, Direction) {
    let (vm, ..) = one(interval, monitor, THRESHOLD);
    (vm.indicator.name, vm.indicator.unit, vm.indicator.kind, vm.policy.direction)
}

#[test]
fn the_sample_has_every_key() {
    fn check(shape: &str, tables: &[&DeTable<'_>]) {
        let kinds = read::TABLES.iter().find(|(name, _)| name.starts_with(shape)).map(|(_, kinds)| kinds);
        for key in names(kinds.expect("a table of the config")()) {
            assert!(tables.iter().any(|table| table.contains_key(key)), "{shape} has no '{key}' in the sample");
        }
    }
    fn below<'a>(tables: &[&'a DeTable<'a>], key: &str) -> Vec<&'a DeTable<'a>> {
        let values = tables.iter().filter_map(|table| table.get(key)).map(|value| value.get_ref());
        let items = values.flat_map(|value| match value {
            DeValue::Array(items) => items.iter().map(|item| item.get_ref()).collect(),
            other => vec![other],
        });
        items.filter_map(DeValue::as_table).collect()
    }
    let (tree, errors) = DeTable::parse_recoverable(SAMPLE);
    assert!(errors.is_empty());
    let top = [tree.get_ref()];
    check("The top", &top);
    check("[limits]", &below(&top, "limits"));
    check("[history]", &below(&top, "history"));
    check("[[site]]", &below(&top, "site"));
    let (arrays, vms) = (below(&top, "array"), below(&top, "vm"));
    check("[[array]]", &arrays);
    check("[array.driver]", &below(&arrays, "driver"));
    check("[[array.host]]", &below(&arrays, "host"));
    let queues = below(&top, "queue");
    check("[[queue]]", &queues);
    check("[queue.source]", &below(&queues, "source"));
    check("[queue.job]", &below(&queues, "job"));
    check("[[vm]]", &vms);
    check("[vm.monitor]", &below(&vms, "monitor"));
    let policies = below(&top, "policy");
    let named: Vec<_> =
        policies.iter().flat_map(|table| table.values()).filter_map(|v| v.get_ref().as_table()).collect();
    check("[policy.NAME]", &named);
}

const ARRAY: &str = "[[array]]\nname = \"a\"\nhost = [\"mln1\"]\n";

/// A queue and a VM that works it, as a worker's config has them.
const WORKER: &str = "[[queue]]\nname = \"render\"\nsource = { kind = \"dir\", path = \"q\" }\njob = { kind = \"bc\" }\n\
                      [[vm]]\nname = \"nii4\"\ninterval = \"2m\"\nmonitor = { kind = \"queue\", queue = \"render\" }\n";

#[test]
fn a_queue_is_what_the_contract_says() {
    let config = read(&format!(
        "{MINIMAL}[[queue]]\nname = \"render\"\n\
         source = {{ kind = \"http\", url = \"http://queue.example/q/\", user = \"w\", password_env = \"QUEUE_PW\" }}\n\
         job = {{ kind = \"exec\", argv = [\"/usr/local/bin/render\", \"{{job}}\"], deadline = \"1h\" }}\n\
         big = \"grade a\"\nparallel = {{ home = 1, cloud = 4 }}\nattempts = 3\nlease = \"60s\"\n\
         [[queue]]\nname = \"db\"\n\
         source = {{ kind = \"mysql\", url = \"mysql://w@db:3306/q\", password_file = \"pw\" }}\njob = {{ kind = \"bc\" }}\n"
    ));
    let [render, db] = &config.queues[..] else { panic!("{:?}", config.queues) };
    let queue = Queue {
        name: "render".into(),
        source: QueueSource::Http {
            url: "http://queue.example/q/".to_owned(),
            user: Some("w".to_owned()),
            password: Some(Secret::Env("QUEUE_PW".to_owned())),
        },
        job: JobKind::Exec {
            argv: vec!["/usr/local/bin/render".to_owned(), "{job}".to_owned()],
            deadline: Span::from_hours(1),
        },
        big: "grade a".to_owned(),
        page: None,
        parallel: Parallel::BySite([("cloud".to_owned(), 4), ("home".to_owned(), 1)].into()),
        attempts: 3,
        lease: Span::from_secs(60),
    };
    assert_eq!(*render, queue);
    let password = Some(Secret::File("/etc/whimbrel/pw".into()));
    assert_eq!(db.source, QueueSource::Mysql { url: "mysql://w@db:3306/q".to_owned(), password });
    assert_eq!(db.job, JobKind::Bc { digits: DEFAULT_DIGITS, deadline: DEFAULT_JOB_DEADLINE });
    assert_eq!((&db.parallel, db.attempts, db.lease), (&Parallel::Everywhere(1), DEFAULT_ATTEMPTS, DEFAULT_LEASE));
}

/// As people write it first: no cluster around it, and keys with their remarks.
#[test]
fn a_queue_with_its_vm_is_a_config() {
    let text = r#"
[[queue]]
name = "render"
source = { kind = "http", url = "http://queue.example/q/", user = "w", password_env = "QUEUE_PW" }
job = { kind = "bc" }            # or { kind = "exec", argv = ["/usr/local/bin/render", "{job}"], deadline = "1h" }
big = "grade a"                  # a job is big if its line begins with this tag
parallel = { home = 1, cloud = 4 }
attempts = 3                     # then the job is set aside with its error
lease = "60s"                    # mysql only
[[vm]]
name = "nii4"
monitor = { kind = "queue", queue = "render" }
policy = { kind = "site", threshold = 2, home_tarry = 3, home_after = "auto", break_even = "show", margin = 1.5 }
"#;
    let any = parse_any(Path::new("w.toml"), text).unwrap_or_else(|report| panic!("{report}"));
    let config = WorkerConfig::from(any);
    let (vm, queue) = config.vm("nii4").expect("it works the queue");
    assert_eq!((vm.interval, queue.parallel.at("cloud"), queue.parallel.at("moon")), (Span::from_mins(1), 4, 1));
    let whole = format!("{ARRAY}{text}array = \"a\"\nhost = \"mln1\"\n");
    assert_eq!(read(&whole).cluster.vms.len(), 1, "sites that no config names are its own affair");
}

#[test]
fn a_vm_that_works_a_queue_needs_no_other_site() {
    let config = read(&format!("{ARRAY}{WORKER}host = \"mln1\"\npolicy = {{ kind = \"site\", threshold = 2 }}\n"));
    let (vm, monitor) = (&config.cluster.vms[0], &config.monitors[0]);
    assert_eq!(monitor.source, Source::Queue { queue: "render".into() });
    assert_eq!((vm.service.as_str(), vm.indicator.name.as_str(), vm.away), ("queue", "big jobs", None));
    assert_eq!(config.queues[0].source, QueueSource::Dir { path: "/etc/whimbrel/q".into() });
}

#[test]
fn a_worker_needs_its_queue_and_its_vm_alone() {
    let path = Path::new("/etc/whimbrel/worker.toml");
    let any = |text: &str| parse_any(path, text).unwrap_or_else(|report| panic!("{report}"));
    let vm = WorkerVm { name: "nii4".into(), interval: Span::from_mins(2), queue: "render".into() };
    let AnyConfig::Worker(worker) = any(WORKER) else { panic!("it has no array") };
    assert_eq!(worker.vms, [vm]);
    assert_eq!(worker.vm("nii4").map(|(_, queue)| queue.source.word()), Some("dir"));
    assert_eq!((worker.vm("nii5"), worker.workers_of("render").count()), (None, 1));

    // A policy, as in a file for a quick start, is not looked at.
    let with_policy = format!("{WORKER}policy = {{ kind = \"site\" }}\n");
    assert_eq!(any(&with_policy), AnyConfig::Worker(worker.clone()));

    let whole = format!("{ARRAY}{WORKER}host = \"mln1\"\npolicy = {{ kind = \"site\", threshold = 2 }}\n");
    let AnyConfig::Whole(whole) = any(&whole) else { panic!("it has an array") };
    let of_whole = WorkerConfig::from(*whole);
    assert_eq!((&of_whole.vms, &of_whole.queues), (&worker.vms, &worker.queues));
}

#[test]
fn a_wrong_config_of_a_worker_is_explained() {
    let path = Path::new("worker.toml");
    let text = WORKER.replace("queue = \"render\"", "queue = \"rendr\"").replace("interval", "intervall")
        + "[[vm]]\nname = \"nii5\"\nmonitor = { kind = \"apache\", url = \"http://h/\" }\n";
    let report = parse_any(path, &text).expect_err("it is wrong");
    let said: Vec<String> = report.problems().iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(
        said,
        ["unknown key 'intervall'", "unknown queue 'rendr'", "in a worker's config each VM works a queue"],
        "{report}"
    );
}

#[test]
fn the_history_is_kept_where_the_config_says() {
    let with = |keys: &str| read(&format!("history = {{ {keys} }}\n{MINIMAL}"));
    for config in [read(MINIMAL), with("")] {
        assert_eq!((config.history, config.retention), (HistoryFile::Default, Retention::default()));
    }
    assert_eq!(with("file = \"off\"").history, HistoryFile::Off);
    assert_eq!(with("file = \"h.db\"").history, HistoryFile::At("/etc/whimbrel/h.db".into()));
    assert_eq!(with("file = \"/var/h.db\"").history, HistoryFile::At("/var/h.db".into()));
    let kept = with("raw = \"1h\", rolled = \"1000d\"").retention;
    assert_eq!((kept.raw, kept.rolled), (Span::from_hours(1), Span::from_hours(24_000)));
}

#[test]
fn a_small_config_gets_its_defaults() {
    let config = read(
        "[[array]]\nname = \"a\"\nhost = [\"mln1\", { name = \"mln2\", capacity = 3, price = 1, draining = true }]\n\
         [[vm]]\nname = \"v\"\nhost = \"mln2\"\nmonitor = { kind = \"http\", url = \"http://h\" }\n\
         policy = { kind = \"threshold\", threshold = 50, tarry = 3 }\n",
    );
    let cluster = &config.cluster;
    assert_eq!((cluster.name.as_str(), cluster.mode, &cluster.limits), ("shop", Mode::Ask, &Limits::default()));
    assert_eq!(cluster.sites.iter().map(|s| (s.name.as_str(), s.home)).collect::<Vec<_>>(), [("home", true)]);
    let second = &cluster.hosts[1];
    assert_eq!((second.capacity, second.price, second.draining), (Some(3), 1.0, true));
    let vm = &cluster.vms[0];
    assert_eq!((vm.array, vm.host, vm.interval), (ArrayId(0), HostId(1), Span::from_mins(1)));
    assert_eq!((vm.service.as_str(), vm.mode, vm.away), ("http", None, None));
    assert_eq!(config.drivers, [Driver::Simulator]);
    assert_eq!((config.plan.hosts_ghz.as_slice(), config.plan.vms[0].service), ([8.0, 8.0].as_slice(), None));
    assert_eq!((config.plan.seed, config.plan.bandwidth_mb_s), (1, 117.0));
}

#[test]
fn the_ring_is_the_hosts_in_order_without_the_base() {
    let config = read(
        "array = [{ name = \"a\", base = \"mln6\", host = [\"mln1\", \"mln6\", \"mln2\"] }]\n\
         vm = [{ name = \"v\", host = \"mln6\", monitor = { kind = \"http\", url = \"http://h\" }, policy = \"p\" }]\n\
         [policy.p]\nkind = \"threshold\"\nthreshold = 50.5\ntarry = 3\n",
    );
    let array = &config.cluster.arrays[0];
    assert_eq!((array.ring.as_slice(), array.base), ([HostId(0), HostId(2)].as_slice(), Some(HostId(1))));
}

#[test]
fn an_indicator_is_named_for_what_is_measured() {
    use Direction::{HigherIsWorse, LowerIsWorse};
    use IndicatorKind::{Counter, Gauge};
    let named = |name: &str, unit: &str, kind, direction| (name.to_owned(), unit.to_owned(), kind, direction);
    assert_eq!(measured("60s", MYSQL), named("slow queries", "/min", Counter, HigherIsWorse));
    assert_eq!(measured("10s", MYSQL), named("slow queries", "/10s", Counter, HigherIsWorse));
    let variable = format!("{MYSQL}, variable = \"Aborted_connects\"");
    assert_eq!(measured("1h", &variable), named("Aborted_connects", "/h", Counter, HigherIsWorse));
    let gauge = format!("{MYSQL}, variable = \"Threads_running\", indicator_kind = \"gauge\"");
    assert_eq!(measured("60s", &gauge), named("Threads_running", "", Gauge, HigherIsWorse));
    let query = format!("{MYSQL}, query = \"SELECT 1\", direction = \"lower-is-worse\"");
    assert_eq!(measured("60s", &query), named("query", "", Gauge, LowerIsWorse));
    let apache = "kind = \"apache\", url = \"http://h/server-status\"";
    assert_eq!(measured("60s", apache), named("idle workers", "idle", Gauge, LowerIsWorse));
    let busy = format!("{apache}, field = \"BusyWorkers\"");
    assert_eq!(measured("60s", &busy), named("BusyWorkers", "", Gauge, HigherIsWorse));
    let http = "kind = \"http\", url = \"https://h/\"";
    assert_eq!(measured("60s", http), named("response time", "ms", Gauge, HigherIsWorse));
    let simulated = "kind = \"simulated\", service = \"apache\"";
    assert_eq!(measured("60s", simulated), named("idle workers", "idle", Gauge, LowerIsWorse));
}

#[test]
fn a_monitor_knows_where_its_password_is_not_what() {
    let source = |more: &str| one("20s", &format!("{MYSQL}, {more}"), THRESHOLD).1;
    let monitor = source("password_file = \"db.password\", on_timeout = \"beyond\"");
    assert_eq!(
        monitor.source,
        Source::Mysql {
            url: "mysql://watch@db".to_owned(),
            password: Some(Secret::File("/etc/whimbrel/db.password".into())),
            quantity: MysqlQuantity::Variable("Slow_queries".to_owned()),
            on_timeout: OnTimeout::Beyond,
        }
    );
    assert_eq!(monitor.deadline, Span::from_secs(5));
    let password = |monitor: Monitor| match monitor.source {
        Source::Mysql { password, .. } => password,
        _ => None,
    };
    assert_eq!(password(source("password_file = \"/run/secret\"")), Some(Secret::File("/run/secret".into())));
    assert_eq!(password(source("password_env = \"DB_PASSWORD\"")), Some(Secret::Env("DB_PASSWORD".to_owned())));
}

/// A config of an array with these keys and a VM with those on its host `mln1`.
fn moved(array: &str, vm: &str) -> Config {
    read(&format!(
        "[[vm]]\nname = \"v\"\nhost = \"mln1\"\npolicy = {{ {THRESHOLD} }}\n{vm}\n\
         [[array]]\nname = \"a\"\n{array}\n"
    ))
}

const WATCHED: &str = "monitor = { kind = \"http\", url = \"http://h\" }";
const HOSTS: &str = "host = [\"mln1\", \"mln2\"]";

#[test]
fn a_libvirt_driver_is_what_is_said_and_careful_by_default() {
    let driver = |keys: &str| {
        let keys = format!("{HOSTS}\ndriver = {{ kind = \"libvirt\", uri = \"qemu+tcp://{{host}}/system\"{keys} }}");
        moved(&keys, WATCHED).drivers.remove(0)
    };
    let plain = Libvirt { uri: Some("qemu+tcp://{host}/system".to_owned()), ..Libvirt::default() };
    assert_eq!(driver(""), Driver::Libvirt(plain.clone()));
    assert!(!plain.allow_unsafe && !plain.post_copy && plain.copy_storage == CopyStorage::None);
    let all = ", peer_uri = \"qemu+tls://{host}/system\", tunnelled = true, persistent = false, undefine_source = true, \
               bandwidth = 12, downtime = \"300ms\", post_copy = true, auto_converge = true, copy_storage = \"all\", \
               unsafe = true, stall = \"1m\"";
    let wanted = Libvirt {
        peer_uri: Some("qemu+tls://{host}/system".to_owned()),
        tunnelled: true,
        persistent: Some(false),
        undefine_source: Some(true),
        bandwidth: Some(12),
        downtime: Some(Span::from_millis(300)),
        post_copy: true,
        auto_converge: true,
        copy_storage: CopyStorage::All,
        allow_unsafe: true,
        stall: Span::from_mins(1),
        ..plain
    };
    assert_eq!(driver(all), Driver::Libvirt(wanted));
}

#[test]
fn hosts_are_reached_by_their_own_uris_where_they_have_any() {
    let config = moved(
        "driver = \"libvirt\"\nhost = [{ name = \"mln1\", uri = \"qemu:///system\", peer_uri = \"qemu+tcp://mln1/system\" }, \
         { name = \"mln2\", uri = \"qemu+ssh://mln2/system\" }]",
        WATCHED,
    );
    assert_eq!(config.drivers, [Driver::Libvirt(Libvirt::default())]);
    let reach = |uri: &str, peer: Option<&str>| Reach { uri: Some(uri.to_owned()), peer_uri: peer.map(str::to_owned) };
    let own = [reach("qemu:///system", Some("qemu+tcp://mln1/system")), reach("qemu+ssh://mln2/system", None)];
    assert_eq!(config.reaches, own);
    let template = moved(&format!("{HOSTS}\ndriver = {{ kind = \"libvirt\", uri = \"qemu://{{host}}/x\" }}"), WATCHED);
    assert_eq!(template.reaches, [Reach::default(), Reach::default()], "the template is the driver's");
    assert_eq!(moved(HOSTS, WATCHED).reaches, [Reach::default(), Reach::default()]);
}

#[test]
fn commands_are_found_beside_the_config_or_through_the_path() {
    let driver = |keys: &str| {
        let needed = "migrate = [\"bin/move\", \"{vm}\", \"a/{to}\"], locate = [\"where\", \"{vm}\"]";
        let keys = format!("{HOSTS}\ndriver = {{ kind = \"command\", {needed}{keys} }}");
        moved(&keys, WATCHED).drivers.remove(0)
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let plain = Commands {
        migrate: words(&["/etc/whimbrel/bin/move", "{vm}", "a/{to}"]),
        locate: words(&["where", "{vm}"]),
        progress: None,
        abort: None,
        host_state: None,
        migrate_deadline: Span::from_mins(30),
        deadline: Span::from_secs(10),
    };
    assert_eq!(driver(""), Driver::Command(plain.clone()));
    let all = ", progress = [\"p\", \"{vm}\"], abort = [\"/bin/a\", \"{vm}\"], host_state = [\"h\", \"{host}\"], \
               migrate_deadline = \"2h\", deadline = \"1s\"";
    let wanted = Commands {
        progress: Some(words(&["p", "{vm}"])),
        abort: Some(words(&["/bin/a", "{vm}"])),
        host_state: Some(words(&["h", "{host}"])),
        migrate_deadline: Span::from_hours(2),
        deadline: Span::from_secs(1),
        ..plain
    };
    assert_eq!(driver(all), Driver::Command(wanted));
}

#[test]
fn a_hypervisor_knows_a_vm_by_its_name_unless_it_is_told() {
    let libvirt = format!("{HOSTS}\ndriver = {{ kind = \"libvirt\", uri = \"qemu+tcp://{{host}}/system\" }}");
    assert_eq!(moved(&libvirt, WATCHED).domains, [Domain::default()]);
    let uuid = "6C1F4F3A-6A3D-4BD1-8D0E-2F6C1B0F9A77";
    let config = moved(&libvirt, &format!("{WATCHED}\ndomain = \"web 1\"\nuuid = \"{uuid}\""));
    let wanted = Domain { name: Some("web 1".to_owned()), uuid: Some(uuid.to_lowercase()) };
    assert_eq!(config.domains, [wanted]);
}

#[test]
fn what_a_hypervisor_measures_is_in_percent() {
    let measured = |field: &str| {
        let monitor = format!("monitor = {{ kind = \"hypervisor\", field = \"{field}\" }}");
        let keys = format!("{HOSTS}\ndriver = {{ kind = \"libvirt\", uri = \"qemu+tcp://{{host}}/system\" }}");
        let mut config = moved(&keys, &monitor);
        let (vm, monitor) = (config.cluster.vms.remove(0), config.monitors.remove(0));
        assert_eq!((vm.indicator.unit.as_str(), vm.indicator.kind), ("%", IndicatorKind::Gauge));
        assert_eq!((vm.policy.direction, vm.service.as_str()), (Direction::HigherIsWorse, field));
        assert_eq!(monitor.deadline, Span::from_secs(10));
        (vm.indicator.name, monitor.source)
    };
    assert_eq!(measured("cpu"), ("CPU".to_owned(), Source::Hypervisor { field: Usage::Cpu }));
    assert_eq!(measured("memory"), ("memory".to_owned(), Source::Hypervisor { field: Usage::Memory }));
}

#[test]
fn working_hours_are_read_in_both_notations() {
    let hours = |text: &str| {
        let policy =
            format!("kind = \"schedule\", threshold = 50, tarry = 3, low_threshold = 1, low_tarry = 20, {text}");
        match one("60s", MYSQL, &policy).0.policy.rule {
            Rule::Schedule { hours, .. } => Some(hours),
            _ => None,
        }
    };
    assert_eq!(hours("workstart = 108, workstop = 170"), WorkingHours::from_slots(108, 170).ok());
    let oslo = hours("hours = \"Mon-Fri 09:00-16:00\", zone = \"Europe/Oslo\"");
    assert_eq!(oslo, WorkingHours::parse("Mon-Fri 09:00-16:00", chrono_tz::Europe::Oslo).ok());
    assert_eq!(hours("hours = \"22:00-06:00\""), WorkingHours::parse("22:00-06:00", chrono_tz::UTC).ok());
}

#[test]
fn a_site_vm_goes_to_the_only_array_elsewhere() {
    let scenario = read(include_str!("../../../config/thesis-3.toml"));
    let vm = &scenario.cluster.vms[0];
    assert_eq!((vm.array, vm.away), (ArrayId(0), Some(ArrayId(1))));
    assert_eq!(scenario.plan.vms[0].service, Some(Service::Queue));
    assert_eq!((vm.service.as_str(), vm.indicator.name.as_str()), ("queue", "big jobs"));
    assert_eq!(scenario.plan.between_sites, (Span::from_mins(3), Span::from_mins(22)));
}

#[test]
fn the_thesis_scenarios_have_the_thesis_settings() {
    let first = read(include_str!("../../../config/thesis-1.toml"));
    let bounds = |settings: &Settings| settings.rule.high().map(|high| (high.at, high.tarry));
    assert_eq!(bounds(&first.cluster.vms[0].policy), Some((50.0, 3)));
    assert_eq!((first.cluster.arrays[0].ring.len(), first.cluster.mode), (5, Mode::Auto));
    assert_eq!(first.cluster.limits.flap_window, None);

    let second = read(include_str!("../../../config/thesis-2.toml"));
    assert_eq!((second.cluster.arrays[0].ring.len(), second.cluster.arrays[0].base), (4, Some(HostId(4))));
    let kinds: Vec<_> = second.cluster.vms.iter().map(|vm| (vm.name.as_str(), vm.policy.rule.kind().word())).collect();
    assert_eq!(kinds, [("nii3", "base"), ("nii5", "schedule")]);
    let low = |vm: &Vm| vm.policy.rule.low().map(|low| (low.at, low.tarry));
    assert_eq!(second.cluster.vms.iter().map(low).collect::<Vec<_>>(), [Some((1.0, 20)), Some((1.0, 20))]);
}

#[test]
fn numbers_may_be_whole_or_not_and_of_any_notation() {
    let high = |number: &str| {
        let policy = format!("kind = \"threshold\", threshold = {number}, tarry = 0x3");
        one("60s", MYSQL, &policy).0.policy.rule.high().map(|high| (high.at, high.tarry))
    };
    assert_eq!(high("1_000"), Some((1_000.0, 3)));
    assert_eq!(high("-0.5"), Some((-0.5, 3)));
    assert_eq!(high("1e3"), Some((1_000.0, 3)));
}

#[test]
fn limits_may_be_off() {
    let text = format!("limits = {{ moves_per_hour = \"off\", cooldown = \"off\", flap_window = \"off\" }}\n{MINIMAL}");
    let limits = read(&text).cluster.limits;
    assert_eq!((limits.moves_per_hour, limits.cooldown, limits.flap_window), (None, Span::ZERO, None));
}

const MINIMAL: &str = include_str!("../../../tests/config/valid/smallest.toml");

#[test]
fn a_vm_may_be_narrower_than_the_cluster() {
    let text = MINIMAL.replace("name = \"v\"", "name = \"v\", mode = \"observe\", service = \"shop\"");
    let vm = &read(&format!("mode = \"auto\"\n{text}")).cluster.vms[0];
    assert_eq!((vm.mode, vm.service.as_str()), (Some(Mode::Observe), "shop"));
}

#[test]
fn a_name_that_misleads_its_reader_is_refused() {
    let text = MINIMAL.replace("name = \"v\"", "name = \"v\u{202e}\"");
    let report = parse(Path::new("w.toml"), &text).unwrap_err();
    assert!(report.problems()[0].message.contains("invisible"), "{report}");
}

#[test]
fn terminal_controls_of_the_file_are_not_printed() {
    let report = parse(Path::new("w\u{1b}.toml"), "\"na\u{7f}me\u{202e}\" = 1 # \u{1b}[31m\n").unwrap_err();
    let printed = report.to_string();
    assert!(!printed.contains(['\u{1b}', '\u{7f}', '\u{202e}']), "{printed:?}");
}

fn found(explicit: Option<&str>, env: &[(&str, &str)], files: &[&str]) -> Option<String> {
    let value = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
    let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
    find_in(explicit.map(Path::new), value, exists).map(|path| path.display().to_string())
}

#[test]
fn the_nearer_place_wins() {
    let env = [("WHIMBREL_CONFIG", "/etc/w.toml"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/home/me")];
    let files =
        ["/etc/w.toml", "whimbrel.toml", "/x/whimbrel/whimbrel.toml", "/home/me/.config/whimbrel/whimbrel.toml"];
    assert_eq!(found(Some("my.toml"), &env, &files).as_deref(), Some("my.toml"));
    assert_eq!(found(None, &env, &files).as_deref(), Some("/etc/w.toml"));
    assert_eq!(found(None, &env[1..], &files).as_deref(), Some("whimbrel.toml"));
    assert_eq!(found(None, &env[1..], &files[2..]).as_deref(), Some("/x/whimbrel/whimbrel.toml"));
    assert_eq!(found(None, &env[2..], &files[2..]).as_deref(), Some("/home/me/.config/whimbrel/whimbrel.toml"));
    assert_eq!(found(None, &env[1..], &[]), None);
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_not_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("whimbrel.toml");
    assert!(!is_there(&link));
    std::os::unix::fs::symlink("gone.toml", &link).unwrap();
    assert!(is_there(&link));
    assert!(!is_there(&link.join("below.toml")) && !is_there(Path::new("/dev/null/.config/whimbrel.toml")));
}

#[test]
fn a_named_file_is_never_silently_skipped() {
    let files = ["whimbrel.toml"];
    assert_eq!(found(None, &[("WHIMBREL_CONFIG", "/gone.toml")], &files).as_deref(), Some("/gone.toml"));
    assert_eq!(found(Some("gone.toml"), &[], &files).as_deref(), Some("gone.toml"));
}

#[test]
fn empty_and_relative_variables_are_unset() {
    let env = [("WHIMBREL_CONFIG", ""), ("XDG_CONFIG_HOME", "rel"), ("HOME", "/h")];
    let files = ["rel/whimbrel/whimbrel.toml", "/h/.config/whimbrel/whimbrel.toml"];
    assert_eq!(found(None, &env, &files).as_deref(), Some("/h/.config/whimbrel/whimbrel.toml"));
}
