//! Makes the core's terms of the file's words, and records what cannot stand together.
//!
//! After an error reading goes on with whatever is at hand, so that the next error is found too; what comes out is only
//! used if there was none.

mod address;
mod agree;
mod arrays;
mod block;
mod domains;
mod driver;
mod history;
mod monitor;
mod places;
mod policy;
mod reaches;
mod sites;
mod template;
mod vms;

use std::collections::HashSet;
use std::path::Path;

use toml::de::DeTable;

use super::diagnostics::Diagnostics;
use super::keys;
use super::lines::Lines;
use super::model::{Config, HistorySettings};
use super::toml_reader::{At, Table, check_name};
use super::words;
use crate::core::cluster::{Cluster, Driver, Limits, Mode, Span};
use crate::core::simulation::Plan;

const MODES: [(&str, Mode); 3] = [("observe", Mode::Observe), ("ask", Mode::Ask), ("auto", Mode::Auto)];
/// Simulated migrations within an array: a gigabit link, less its overhead.
const BANDWIDTH_MB_S: f64 = 117.0;
/// Simulated moves between sites, as in the thesis (listing 4.5).
const BETWEEN_SITES: (Span, Span) = (Span::from_mins(3), Span::from_mins(22));

pub(super) use block::{User, block};

/// The config a tree says, its faults recorded in `diagnostics`.
pub(super) fn config(path: &Path, tree: &DeTable<'_>, lines: &Lines, diagnostics: &Diagnostics) -> Config {
    let top = Table::root(tree, keys::TOP, diagnostics);
    let name = top.get("name").and_then(|item| item.title()).map(|name| name.value.trim().to_owned());
    // A mode that cannot be read says nothing on the VMs' modes.
    let mode = top.get("mode").map_or(Some(Mode::default()), |item| item.choice(&MODES));
    let limits = top.get("limits").and_then(|item| item.table(keys::LIMITS)).map_or_else(Limits::default, limits);
    let history = top.get("history").and_then(|item| item.table(keys::HISTORY));
    let history = history.map_or_else(HistorySettings::default, |table| history::read(table, path.parent()));
    let sites = sites::read(&top, diagnostics);
    let arrays = arrays::read(&top, path.parent(), &sites, diagnostics);
    let policies = policies(&top, diagnostics);
    let context = vms::Context {
        diagnostics,
        folder: path.parent(),
        mode,
        sites: &sites,
        arrays: &arrays,
        policies: &policies,
        lines,
    };
    let vms = vms::read(&top, &context);
    policies.iter().for_each(|(_, policy)| policy.check_alone(diagnostics));
    top.finish(None);

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

fn limits(table: Table<'_>) -> Limits {
    let default = Limits::default();
    let whole = |key| table.get(key).and_then(|item| item.whole(1..=u32::MAX));
    let limits = Limits {
        at_once: whole("at_once").unwrap_or(default.at_once),
        at_once_per_host: whole("at_once_per_host").unwrap_or(default.at_once_per_host),
        moves_per_hour: table
            .get("moves_per_hour")
            .and_then(|item| if item.is_off() { None } else { item.whole(1..=u32::MAX) }),
        cooldown: match table.get("cooldown").and_then(|item| item.duration_or_off()) {
            Some(cooldown) => cooldown.unwrap_or(Span::ZERO),
            None => default.cooldown,
        },
        flap_window: match table.get("flap_window") {
            Some(item) => {
                let window = item.duration_or_off().flatten();
                if window == Some(Span::ZERO) {
                    item.wrong("'flap_window' must be above 0", "write flap_window = \"1h\", or \"off\"");
                }
                window
            }
            None => default.flap_window,
        },
        hold_after_manual: table
            .get("hold_after_manual")
            .and_then(|item| item.duration())
            .map_or(default.hold_after_manual, |hold| hold.value),
    };
    table.finish(None);
    limits
}

/// By name, in the file's order.
fn policies<'a>(top: &Table<'a>, diagnostics: &'a Diagnostics) -> Vec<(&'a str, policy::Policy)> {
    let table = top.get("policy").and_then(|item| item.table(keys::POLICIES));
    let entries = table.map(|table| table.named(keys::POLICY)).unwrap_or_default();
    let policy = |(name, table): (At<&'a str>, Option<Table<'a>>)| {
        check_name(&name, diagnostics);
        (name.value, table.map(|table| policy::read(table, diagnostics)).unwrap_or_default())
    };
    entries.into_iter().map(policy).collect()
}

/// Records a name that was given before. `what` is the noun.
fn check_unique<'a>(seen: &mut HashSet<&'a str>, what: &str, name: &At<&'a str>, diagnostics: &Diagnostics) {
    if !seen.insert(name.value) {
        let message = format!("there already is {what} '{}'", name.value);
        diagnostics.error(name.span.clone(), message, "rename or remove one of them");
    }
}

/// The position of a named thing, or its absence recorded. Without `whole` some names could not be read: this may be one.
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
