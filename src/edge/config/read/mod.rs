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
mod top;
mod vms;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;

use toml::de::DeTable;

use super::keys::KindOfTable;
use super::model::{Config, HistorySettings};
use super::redact::Echo;
use super::report::Diagnostics;
use super::report::LineIndex;
use super::toml_reader::{At, Table, check_name};
use super::words;
use crate::core::cluster::{Cluster, Driver, Limits, Mode, Span};
use crate::core::simulation::Plan;

/// Simulated migrations within an array: a gigabit link, less its overhead.
const BANDWIDTH_MB_S: f64 = 117.0;
/// Simulated moves between sites, as in the thesis (listing 4.5).
const BETWEEN_SITES: (Span, Span) = (Span::from_mins(3), Span::from_mins(22));

pub(super) use agree::{User, block};
pub(super) use arrays::{PICKS, write_host};
pub(super) use driver::write_driver;
pub(super) use monitor::{service, write_monitor};
pub(super) use policy::write_policy;
pub(super) use top::{HISTORY, LIMITS, TOP_KEYS};
pub(super) use vms::{DEFAULT_INTERVAL, write_domain};

/// The config in a tree; its faults are recorded in `diagnostics`.
pub(super) fn config(path: &Path, tree: &DeTable<'_>, lines: &LineIndex, diagnostics: &Diagnostics) -> Config {
    let file = Table::root(tree, top::TOP, diagnostics);
    let name = file.get("name").and_then(|item| item.title()).map(|name| name.value.trim().to_owned());
    // If the mode is wrong, the VMs' modes are not compared with it.
    let mode = file.get("mode").map_or(Some(Mode::default()), |item| item.choice(&top::MODES));
    let limits =
        file.get("limits").and_then(|item| item.table(top::LIMITS_SHAPE)).map_or_else(Limits::default, top::limits);
    let history = file.get("history").and_then(|item| item.table(top::HISTORY_SHAPE));
    let history = history.map_or_else(HistorySettings::default, |table| top::history(table, path.parent()));
    let sites = top::read_sites(&file, diagnostics);
    let arrays = arrays::read(&file, path.parent(), &sites, diagnostics);
    let policies = policies(&file, diagnostics);
    let context = vms::VmContext {
        diagnostics,
        folder: path.parent(),
        mode,
        sites: &sites,
        arrays: &arrays,
        policies: &policies,
        lines,
    };
    let vms = vms::read(&file, &context);
    policies.iter().for_each(|(_, policy)| policy.check_alone(diagnostics));
    file.finish(None);

    let plan = Plan {
        seed: 1,
        hosts_ghz: arrays.ghz,
        vms: vms.plans,
        bandwidth_mb_s: BANDWIDTH_MB_S,
        between_sites: BETWEEN_SITES,
        outages: Vec::new(),
        driven: driven(&arrays.drivers),
    };
    let stem = || path.file_stem().map_or_else(|| "cluster".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let cluster = Cluster {
        name: name.unwrap_or_else(stem),
        mode: mode.unwrap_or_default(),
        limits,
        sites: sites.list,
        arrays: arrays.list,
        hosts: arrays.hosts,
        vms: vms.list,
    };
    let (monitors, origins) = (vms.monitors, vms.origins);
    let drivers = arrays.drivers.into_iter().map(Option::unwrap_or_default).collect();
    Config {
        path: path.to_owned(),
        cluster,
        monitors,
        origins,
        drivers,
        reaches: arrays.reaches,
        domains: vms.domains,
        history,
        plan,
    }
}

/// By array, if there is one: a real driver moves its VMs.
fn driven(drivers: &[Option<Driver>]) -> Vec<bool> {
    let real = |driver: &Option<Driver>| driver.as_ref().is_some_and(|driver| *driver != Driver::Simulator);
    if drivers.iter().any(real) { drivers.iter().map(real).collect() } else { Vec::new() }
}

/// By name, in the file's order.
fn policies<'a>(file: &Table<'a>, diagnostics: &'a Diagnostics) -> Vec<(&'a str, policy::Policy)> {
    let table = file.get("policy").and_then(|item| item.table(policy::POLICIES));
    let entries = table.map(|table| table.named(policy::POLICY)).unwrap_or_default();
    let policy = |(name, table): (At<&'a str>, Option<Table<'a>>)| {
        check_name(&name, diagnostics);
        (name.value, table.map(|table| policy::read(table, diagnostics)).unwrap_or_default())
    };
    entries.into_iter().map(policy).collect()
}

/// A table of the config: its name in an operator's words, and its keys.
pub(super) type TableOfKeys = (&'static str, fn() -> Vec<KindOfTable>);

/// All tables of the config.
pub(super) const TABLES: [TableOfKeys; 10] = [
    ("The top of the file", top::top_kinds),
    ("[limits]", top::limits_kinds),
    ("[history]", top::history_kinds),
    ("[[site]]", top::site_kinds),
    ("[[array]]", arrays::kinds),
    ("[[array.host]], or host = [{ … }]", arrays::host_kinds),
    ("[array.driver], or driver = { … }", driver::kinds),
    ("[policy.NAME], or policy = { … }", policy::kinds),
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

/// Records a name that was given before. `what` is the noun.
fn check_unique<'a>(seen: &mut HashSet<&'a str>, what: &str, name: &At<&'a str>, diagnostics: &Diagnostics) {
    if !seen.insert(name.value) {
        let message = format!("there already is {what} '{}'", name.value);
        diagnostics.error(name.span.clone(), message, "rename or remove one of them");
    }
}

/// The position of a named thing. If there is none, that is recorded, unless some names could not be read (`whole` is false).
fn lookup<'a>(
    what: &str,
    name: &At<&str>,
    names: impl Iterator<Item = &'a str> + Clone,
    whole: bool,
    diagnostics: &Diagnostics,
) -> Option<usize> {
    let found = names.clone().position(|n| n == name.value);
    if found.is_none() && whole {
        let help = match names.clone().next() {
            Some(_) => words::did_you_mean(name.value, names.clone()),
            None => format!("there is no {what} in this file yet: add one"),
        };
        diagnostics.absent(name.span.clone(), format!("unknown {what}{}", words::if_near(name.value, names)), help);
    }
    found
}
