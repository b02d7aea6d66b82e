//! Makes the core's types from the file's keys, and records contradictions.
//!
//! After an error reading goes on with defaults, so that the next error is found too. The result is used only if there was no
//! error.

mod address;
mod agree;
mod arrays;
mod driver;
mod monitor;
mod policy;
mod queues;
mod secret;
mod top;
mod vms;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;

use toml::Spanned;
use toml::de::DeTable;

use super::keys::KindOfTable;
use super::model::{AnyConfig, Config, WorkerConfig};
use super::redact::Echo;
use super::report::Diagnostics;
use super::toml_reader::{Item, Table, check_name};
use super::words;
use crate::core::cluster::{ArrayId, Cluster, Driver, HostId, Limits, Mode, SiteId, Span};
use crate::core::simulation::Plan;

/// Simulated migrations within an array: a gigabit link, less its overhead.
const BANDWIDTH_MB_S: f64 = 117.0;
/// Simulated moves between sites, as in the thesis (listing 4.5).
const BETWEEN_SITES: (Span, Span) = (Span::from_mins(3), Span::from_mins(22));

pub(super) use agree::block;
pub(super) use arrays::{PICKS, write_host};
pub(super) use driver::write_driver;
pub(super) use monitor::{service, write_monitor};
pub(super) use policy::write_policy;
pub(super) use queues::write_queue;
pub(super) use top::{HISTORY, LIMITS, TOP_KEYS};
pub(super) use vms::{DEFAULT_INTERVAL, write_domain};

/// Reads a whole file.
struct ConfigReader<'a> {
    /// What was read so far.
    config: Config,
    diagnostics: &'a Diagnostics<'a>,
    /// The names so far, each with what it names.
    names: HashSet<(&'static str, &'a str)>,
    /// The cluster's, if it could be read. If it is wrong, the VMs' modes are not compared with it.
    mode: Option<Mode>,
    /// By name, in the file's order.
    policies: &'a [(&'a str, policy::Policy)],
    /// All sites could be read.
    sites_whole: bool,
    /// All queues could be read, by name.
    queues_whole: bool,
    /// All arrays could be read, by name.
    arrays_whole: bool,
    /// Every entry is an array.
    entries_whole: bool,
    /// By array: as it was given.
    arrays: Vec<Item<'a>>,
    /// By array; `None`: its kind could not be read.
    drivers: Vec<Option<Driver>>,
    /// By array: all its hosts could be read, by name.
    hosts_whole: Vec<bool>,
    /// How many VMs stand on a host so far.
    filled: HashMap<HostId, u32>,
    /// By array: the VMs so far by their domains and their uuids.
    domains: HashMap<(ArrayId, &'static str, String), &'a str>,
}

/// The config in a tree, of either form; its faults are recorded in `diagnostics`.
pub(super) fn any_config(path: &Path, tree: &DeTable<'_>, diagnostics: &Diagnostics<'_>) -> AnyConfig {
    if is_worker_config(tree) {
        AnyConfig::Worker(worker_config(path, tree, diagnostics))
    } else {
        AnyConfig::Whole(Box::new(config(path, tree, diagnostics)))
    }
}

/// The config of a cluster in a tree; its faults are recorded in `diagnostics`.
pub(super) fn config(path: &Path, tree: &DeTable<'_>, diagnostics: &Diagnostics<'_>) -> Config {
    let file = Table::root(tree, top::TOP, diagnostics);
    let name = file.get("name").and_then(|item| item.title()).map(|name| name.get_ref().trim().to_owned());
    let stem = || path.file_stem().map_or_else(|| "cluster".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let mode = file.get("mode").map_or(Some(Mode::default()), |item| item.choice(&top::MODES));
    let limits =
        file.get("limits").and_then(|item| item.table(top::LIMITS_SHAPE)).map_or_else(Limits::default, top::limits);
    let history = file.get("history").and_then(|item| item.table(top::HISTORY_SHAPE));
    let (history, retention) = history.map_or_else(Default::default, |table| top::history(table, path.parent()));
    let policies = policies(&file, diagnostics);
    let cluster =
        Cluster { name: name.unwrap_or_else(stem), mode: mode.unwrap_or_default(), limits, ..Cluster::default() };
    let config = Config { path: path.to_owned(), history, retention, ..Config::simulated(cluster, Vec::new(), plan()) };
    let mut reader = ConfigReader::new(config, &policies, diagnostics);
    reader.mode = mode;
    reader.sites(&file);
    reader.queues(&file);
    if is_worker_config(tree) {
        let help =
            "start a worker: whimbrel work FILE --vm NAME; for a cluster add [[array]], and host and policy to each VM";
        diagnostics.absent(0..0, "this config has queues and no [[array]]: it is good for workers alone", help);
        return reader.config;
    }
    reader.arrays(&file);
    reader.vms(&file);
    policies.iter().for_each(|(_, policy)| policy.check_alone(diagnostics));
    file.finish(None);
    let ConfigReader { mut config, drivers, .. } = reader;
    config.plan.driven = driven(&drivers);
    config.drivers = drivers.into_iter().map(Option::unwrap_or_default).collect();
    config
}

/// Whether a file is good for workers alone: it has queues, and no array.
fn is_worker_config(tree: &DeTable<'_>) -> bool {
    tree.contains_key("queue") && !tree.contains_key("array")
}

/// What workers need, in the tree of a file that has no more. Keys that only a cluster uses are not looked at.
fn worker_config(path: &Path, tree: &DeTable<'_>, diagnostics: &Diagnostics<'_>) -> WorkerConfig {
    let file = Table::root(tree, top::TOP, diagnostics);
    let config = Config { path: path.to_owned(), ..Config::simulated(Cluster::default(), Vec::new(), plan()) };
    let mut reader = ConfigReader::new(config, &[], diagnostics);
    reader.sites(&file);
    reader.queues(&file);
    let vms = reader.worker_vms(&file);
    file.ask_all();
    file.finish(None);
    WorkerConfig { path: path.to_owned(), queues: reader.config.queues, vms }
}

/// The plan of a cluster without VMs.
fn plan() -> Plan {
    Plan {
        seed: 1,
        hosts_ghz: Vec::new(),
        vms: Vec::new(),
        bandwidth_mb_s: BANDWIDTH_MB_S,
        between_sites: BETWEEN_SITES,
        outages: Vec::new(),
        driven: Vec::new(),
    }
}

/// By array, if there is one: a real driver moves its VMs.
fn driven(drivers: &[Option<Driver>]) -> Vec<bool> {
    let real = |driver: &Option<Driver>| driver.as_ref().is_some_and(|driver| *driver != Driver::Simulator);
    if drivers.iter().any(real) { drivers.iter().map(real).collect() } else { Vec::new() }
}

/// By name, in the file's order.
fn policies<'a>(file: &Table<'a>, diagnostics: &Diagnostics<'_>) -> Vec<(&'a str, policy::Policy)> {
    let table = file.get("policy").and_then(|item| item.table(policy::POLICIES));
    let entries = table.map(|table| table.named(policy::POLICY)).unwrap_or_default();
    let policy = |(name, table): (Spanned<&'a str>, Option<Table<'a>>)| {
        check_name(&name, diagnostics);
        (*name.get_ref(), table.map(policy::read).unwrap_or_default())
    };
    entries.into_iter().map(policy).collect()
}

/// A table of the config: its name in an operator's words, and its keys.
pub(super) type TableOfKeys = (&'static str, fn() -> Vec<KindOfTable>);

/// All tables of the config.
pub(super) const TABLES: [TableOfKeys; 13] = [
    ("The top of the file", top::top_kinds),
    ("[limits]", top::limits_kinds),
    ("[history]", top::history_kinds),
    ("[[site]]", top::site_kinds),
    ("[[array]]", arrays::kinds),
    ("[[array.host]], or host = [{ … }]", arrays::host_kinds),
    ("[array.driver], or driver = { … }", driver::kinds),
    ("[policy.NAME], or policy = { … }", policy::kinds),
    ("[[queue]]", queues::kinds),
    ("[queue.source], or source = { … }", queues::source_kinds),
    ("[queue.job], or job = { … }", queues::job_kinds),
    ("[[vm]]", vms::kinds),
    ("[vm.monitor], or monitor = { … }", monitor::kinds),
];

/// What an error report may show of the value of a key; `None`: no table has the key. If two tables have it, the stricter answer
/// holds.
pub(super) fn echo(key: &str) -> Option<Echo> {
    static BY_NAME: LazyLock<HashMap<&str, Echo>> = LazyLock::new(|| {
        let mut all: HashMap<&str, Echo> = HashMap::new();
        for (key, _) in TABLES.iter().flat_map(|(_, kinds)| kinds()).flat_map(|kind| kind.keys) {
            all.entry(key.name).and_modify(|known| *known = key.echo().min(*known)).or_insert(key.echo());
        }
        all.insert("policy", Echo::Names);
        all
    });
    BY_NAME.get(key).copied()
}

impl<'a> ConfigReader<'a> {
    fn new(config: Config, policies: &'a [(&'a str, policy::Policy)], diagnostics: &'a Diagnostics<'a>) -> Self {
        Self {
            config,
            diagnostics,
            names: HashSet::new(),
            mode: None,
            policies,
            sites_whole: true,
            queues_whole: true,
            arrays_whole: false,
            entries_whole: false,
            arrays: Vec::new(),
            drivers: Vec::new(),
            hosts_whole: Vec::new(),
            filled: HashMap::new(),
            domains: HashMap::new(),
        }
    }

    /// Records a name that was given before. `what` is the noun.
    fn check_unique(&mut self, what: &'static str, name: &Spanned<&'a str>) {
        if !self.names.insert((what, *name.get_ref())) {
            let message = format!("there already is {what} '{}'", name.get_ref());
            self.diagnostics.error(name.span(), message, "rename or remove one of them");
        }
    }

    /// The position of a named thing. If there is none, that is recorded, unless some names could not be read (`whole` is false).
    fn lookup<'n>(
        &self,
        what: &str,
        name: &Spanned<&str>,
        names: impl Iterator<Item = &'n str> + Clone,
        whole: bool,
    ) -> Option<usize> {
        let found = names.clone().position(|n| n == *name.get_ref());
        if found.is_none() && whole {
            let help = match names.clone().next() {
                Some(_) => words::did_you_mean(name.get_ref(), names.clone()),
                None => format!("there is no {what} in this file yet: add one"),
            };
            let message = format!("unknown {what}{}", words::if_near(name.get_ref(), names));
            self.diagnostics.absent(name.span(), message, help);
        }
        found
    }

    /// The site the others are away from.
    fn home(&self) -> SiteId {
        SiteId::at(self.config.cluster.sites.iter().position(|site| site.home).unwrap_or(0))
    }

    /// What moves the VMs of an array, if that could be read.
    fn driver(&self, array: ArrayId) -> Option<&Driver> {
        self.drivers.get(array.index()).and_then(Option::as_ref)
    }
}
