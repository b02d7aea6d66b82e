//! `[[vm]]`: each VM with its place, its monitor and its policy, and what these must agree on.

use std::collections::HashSet;
use std::path::Path;

use super::super::diagnostics::Diagnostics;
use super::super::keys;
use super::super::lines::Lines;
use super::super::model::Origin;
use super::super::toml_reader::{At, Item, Table};
use super::super::words::written;
use super::agree;
use super::arrays::Arrays;
use super::domains::{self, Domains};
use super::monitor::{self, Watch};
use super::places::{Place, Places};
use super::policy::{self, Kind, Policy};
use super::sites::Sites;
use super::{MODES, check_unique, lookup};
use crate::core::cluster::{ArrayId, Domain, Driver, Mode, Monitor, Span, Vm};
use crate::core::simulation::{Service, VmPlan};

const DEFAULT_INTERVAL: Span = Span::from_mins(1);
const SHORTEST_INTERVAL: Span = Span::from_secs(1);

/// What VMs refer to.
pub(super) struct Context<'a> {
    pub diagnostics: &'a Diagnostics,
    /// Relative password files are relative to it.
    pub folder: Option<&'a Path>,
    /// The cluster's, if it could be read.
    pub mode: Option<Mode>,
    pub sites: &'a Sites,
    pub arrays: &'a Arrays,
    pub policies: &'a [(&'a str, Policy)],
    pub lines: &'a Lines,
}

/// The VMs of a file.
#[derive(Default)]
pub(super) struct Vms {
    pub list: Vec<Vm>,
    pub monitors: Vec<Monitor>,
    pub origins: Vec<Origin>,
    pub domains: Vec<Domain>,
    pub plans: Vec<VmPlan>,
}

pub(super) fn read<'a>(top: &Table<'a>, context: &Context<'a>) -> Vms {
    let mut vms = Vms::default();
    let entries = match top.get("vm").filter(|item| !item.is_empty_list()) {
        Some(item) => item.list("[[vm]], in double brackets, once for each").0,
        None => {
            let help = "add [[vm]] with a name, host, monitor and policy";
            context.diagnostics.absent(0..0, "there is no [[vm]]", help);
            Vec::new()
        }
    };
    let (names, domains) = (HashSet::new(), Domains::default());
    let mut reader = Reader { context, names, places: Places::new(context), domains };
    for table in entries.iter().filter_map(|entry| entry.table(keys::VM)) {
        if let Some(read) = reader.vm(table) {
            vms.list.push(read.vm);
            vms.monitors.push(read.monitor);
            vms.origins.push(read.origin);
            vms.domains.push(read.domain);
            vms.plans.push(read.plan);
        }
    }
    vms
}

/// All that is said of one VM.
struct Read {
    vm: Vm,
    monitor: Monitor,
    origin: Origin,
    domain: Domain,
    plan: VmPlan,
}

struct Reader<'c, 'a> {
    context: &'c Context<'a>,
    names: HashSet<&'a str>,
    places: Places<'c, 'a>,
    domains: Domains<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn vm(&mut self, table: Table<'a>) -> Option<Read> {
        let context = self.context;
        let name = table.need("name", "name = \"nii1\"").and_then(|item| item.name());
        if let Some(name) = &name {
            check_unique(&mut self.names, "a VM", name, context.diagnostics);
        }
        let interval = interval(&table);
        let monitor = table.need("monitor", "monitor = { kind = \"mysql\", url = \"mysql://watch@127.0.0.1\" }");
        let watch = monitor.as_ref().and_then(|item| item.table(keys::MONITOR));
        let watch = watch.map(|table| monitor::read(table, context.folder, interval, context.diagnostics));
        let given = table.need("policy", "policy = { kind = \"threshold\", threshold = 50, tarry = 3 }");
        let own = given.as_ref().filter(|item| item.is_table()).and_then(|item| item.table(keys::POLICY));
        let own = own.map(|table| policy::read(table, context.diagnostics));
        let policy = own.as_ref().or_else(|| given.as_ref().and_then(|item| self.named_policy(item)));
        let word = name.as_ref().map_or("", |name| name.value);
        let place = self.places.place(&table, policy.zip(given.as_ref()));
        let mode = table.get("mode").and_then(|item| self.mode(&item));
        let service = table.get("service").and_then(|item| item.name());
        let domain = self.domain(&table, name.as_ref(), place.as_ref());
        table.finish(None);
        if let (Some(place), Some(watch)) = (&place, &watch) {
            self.check_drivers(place, watch, policy.zip(given.as_ref()));
        }

        let (policy, watch, monitor, given) = (policy?, watch?, monitor?, given?);
        let settings = policy.settings(watch.direction, word, context.diagnostics);
        self.check_pair(policy, &watch, &given);
        check_deadline(policy, &watch, interval, &monitor);
        let (place, interval) = (place?, interval?);
        let vm = Vm {
            name: name?.value.to_owned(),
            service: service.map_or_else(|| watch.service.to_owned(), |service| service.value.to_owned()),
            array: place.array,
            host: place.host,
            interval,
            indicator: watch.indicator.clone(),
            policy: settings?,
            mode,
            away: place.away,
        };
        Some(Read {
            vm,
            monitor: watch.monitor(interval)?,
            origin: self.origin(&given, policy),
            domain,
            plan: watch.plan,
        })
    }

    fn domain(&mut self, table: &Table<'a>, name: Option<&At<&'a str>>, place: Option<&Place>) -> Domain {
        let given = domains::Given::of(table);
        let domain = given.read();
        let array = place.and_then(|place| Some((place.array, self.context.arrays.driver(place.array)?)));
        if let Some((name, array)) = name.zip(array) {
            self.domains.check(array, name, (&given, &domain), self.context.diagnostics);
        }
        domain
    }

    /// What moves the VM must know what it is watched by, and the way it is sent.
    fn check_drivers(&self, place: &Place, watch: &Watch, policy: Option<(&Policy, &Item<'_>)>) {
        let (arrays, diagnostics) = (self.context.arrays, self.context.diagnostics);
        let name = |array: ArrayId| arrays.list[array.index()].name.as_str();
        let far = |array: ArrayId| agree::between_sites(name(array), arrays.driver(array)?);
        let sent = policy.filter(|(policy, _)| policy.kind() == Some(Kind::Site));
        if let Some((policy, given)) = sent {
            // Its queues are simulated, which would only be said again.
            if let Some((message, help)) = [Some(place.array), place.away].into_iter().flatten().find_map(far) {
                diagnostics.error(policy.kind_place(given), message, help);
                return;
            }
        }
        let driver: Option<&Driver> = arrays.driver(place.array);
        let Some((kind, driver)) = watch.kind.as_ref().zip(driver) else { return };
        if let Some((message, help)) = agree::with_driver(kind.value, name(place.array), driver) {
            diagnostics.error(kind.span.clone(), message, help);
        }
    }

    /// Where a policy stands, which a value gave.
    fn origin(&self, given: &Item<'a>, policy: &Policy) -> Origin {
        let line = self.context.lines.at(policy.place.start).0 + 1;
        let shared = given.as_text().map(str::to_owned);
        Origin { shared, line: u32::try_from(line).unwrap_or(u32::MAX) }
    }

    fn named_policy(&self, item: &Item<'a>) -> Option<&'a Policy> {
        let name = item.text()?;
        let names = self.context.policies.iter().map(|(name, _)| *name);
        let found = lookup("policy", &name, names, true, self.context.diagnostics)?;
        self.context.policies.get(found).map(|(_, policy)| policy)
    }

    fn mode(&self, item: &Item<'_>) -> Option<Mode> {
        let mode = item.choice(&MODES)?;
        let cluster = self.context.mode?;
        if mode > cluster {
            let word = |mode| MODES.iter().find(|(_, m)| *m == mode).map_or("", |(word, _)| *word);
            let message = format!("mode '{}' is wider than the cluster's '{}'", word(mode), word(cluster));
            item.wrong(
                message,
                format!(
                    "a VM may only be narrower: remove this, or set mode = \"{}\" at the top of the file",
                    word(mode)
                ),
            );
        }
        Some(mode)
    }

    /// A site policy works through queues, the others watch an indicator.
    fn check_pair(&self, policy: &Policy, watch: &Watch, given: &Item<'_>) {
        let (Some(kind), Some(_)) = (policy.kind(), &watch.source) else { return };
        if let Some((message, help)) = agree::with_service(kind, watch.is_queue()) {
            self.context.diagnostics.error(policy.kind_place(given), message, help);
        }
    }
}

fn interval(table: &Table<'_>) -> Option<Span> {
    let Some(item) = table.get("interval") else { return Some(DEFAULT_INTERVAL) };
    let interval = item.duration()?.value;
    if interval < SHORTEST_INTERVAL {
        item.wrong(format!("the interval {} is too short", written(interval)), "write \"1s\" or more");
        return None;
    }
    Some(interval)
}

/// An http check that times out is a sample of its deadline: at or under the threshold it would never count.
fn check_deadline(policy: &Policy, watch: &Watch, interval: Option<Span>, monitor: &Item<'_>) {
    let Some(high) = &policy.high else { return };
    let simulated = watch.plan.service == Some(Service::Http);
    let kind = watch.kind.as_ref().map(|kind| kind.value);
    let (deadline, place) = match (kind, &watch.deadline, interval) {
        (Some(monitor::Kind::Simulated), ..) if simulated => {
            (agree::Deadline::Simulated(watch.plan.deadline), monitor.span())
        }
        (Some(monitor::Kind::Http), Some(deadline), _) => (agree::Deadline::Set(deadline.value), deadline.span.clone()),
        (Some(monitor::Kind::Http), None, Some(interval)) if !watch.has_deadline => {
            (agree::Deadline::Default(Monitor::default_deadline(interval)), monitor.span())
        }
        _ => return,
    };
    if let Some((message, help)) = deadline.and_threshold(high.value) {
        monitor.wrong_at(place, message, help);
    }
}
