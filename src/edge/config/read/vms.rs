//! `[[vm]]`: each VM with its place, its monitor and its policy, and what these must agree on.

use std::collections::HashSet;
use std::path::Path;

use super::super::diagnostics::Diagnostics;
use super::super::keys::{Form, Key, KindOfTable, shape, words_of};
use super::super::lines::Lines;
use super::super::model::Origin;
use super::super::toml_reader::{At, Item, Shape, Table};
use super::agree;
use super::arrays::Arrays;
use super::domains::{self, Domains};
use super::monitor::{self, GivenMonitor};
use super::places::{Place, Places};
use super::policy::{self, Policy, PolicyKind};
use super::sites::Sites;
use super::top::MODES;
use super::{check_unique, lookup};
use crate::core::cluster::{ArrayId, Domain, Driver, Mode, Monitor, Span, Vm};
use crate::core::format::exact_span;
use crate::core::simulation::VmPlan;

pub(in super::super) const DEFAULT_INTERVAL: Span = Span::from_mins(1);
const SHORTEST_INTERVAL: Span = Span::from_secs(1);

const NAME: Key = Key::new("name", Form::Text, "Its name, without blanks").example("\"nii1\"");
pub(super) const HOST: Key = Key::new("host", Form::Text, "Where it is, if the driver can't tell").example("\"mln1\"");
const MONITOR: Key = Key::new("monitor", Form::Table, "What is measured, and where")
    .example("{ kind = \"mysql\", url = \"mysql://watch@127.0.0.1\" }");
const POLICY: Key = Key::new("policy", Form::Table, "The name of a shared policy, or its own: policy = { kind = … }")
    .example("{ kind = \"threshold\", threshold = 50, tarry = 3 }");

const KEYS: [Key; 11] = [
    NAME,
    Key::new("array", Form::Text, "Its array; of a VM with a site policy, that at home").default("its host's"),
    HOST,
    Key::new("interval", Form::Duration, "Between two readings, at least \"1s\"").default("\"1m\""),
    MONITOR,
    POLICY,
    Key::new("mode", Form::Words(const { &words_of(&MODES) }), "Narrower than the cluster's").default("the cluster's"),
    Key::new("away", Form::Text, "The array that a site policy sends it to")
        .default("the only one that is not at the home site"),
    Key::new("service", Form::Text, "Shown beside its name").default("the kind of its monitor"),
    domains::DOMAIN,
    domains::UUID,
];

pub(super) fn kinds() -> Vec<KindOfTable> {
    KindOfTable::plain(&KEYS)
}

const VM: Shape = shape!("a VM", kinds);

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
    for table in entries.iter().filter_map(|entry| entry.table(VM)) {
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
        let name = table.need(&NAME).and_then(|item| item.name());
        if let Some(name) = &name {
            check_unique(&mut self.names, "a VM", name, context.diagnostics);
        }
        let interval = interval(&table);
        let monitor = table.need(&MONITOR);
        let watched = monitor.as_ref().and_then(|item| item.table(monitor::MONITOR));
        let watched = watched.map(|table| monitor::read(table, context.folder, interval, context.diagnostics));
        let given = table.need(&POLICY);
        let own = given.as_ref().filter(|item| item.is_table()).and_then(|item| item.table(policy::POLICY));
        let own = own.map(|table| policy::read(table, context.diagnostics));
        let policy = own.as_ref().or_else(|| given.as_ref().and_then(|item| self.named_policy(item)));
        let word = name.as_ref().map_or("", |name| name.value);
        let place = self.places.place(&table, policy.zip(given.as_ref()));
        let mode = table.get("mode").and_then(|item| self.mode(&item));
        let service = table.get("service").and_then(|item| item.name());
        let domain = self.domain(&table, name.as_ref(), place.as_ref());
        table.finish(None);
        if let (Some(place), Some(watched)) = (&place, &watched) {
            self.check_drivers(place, watched, policy.zip(given.as_ref()));
        }

        let (policy, watched, monitor, given) = (policy?, watched?, monitor?, given?);
        let direction = watched.watch.as_ref().map(|watch| watch.direction()).unwrap_or_default();
        let settings = policy.settings(direction, word, context.diagnostics);
        self.check_pair(policy, &watched, &given);
        check_deadline(policy, &watched, interval, &monitor);
        let (place, interval, watch) = (place?, interval?, watched.watch.filter(|_| watched.is_whole)?);
        let vm = Vm {
            name: name?.value.into(),
            service: service.map_or_else(|| watch.service().to_owned(), |service| service.value.to_owned()),
            array: place.array,
            host: place.host,
            interval,
            indicator: watch.indicator(interval),
            policy: settings?,
            mode,
            away: place.away,
        };
        Some(Read {
            vm,
            monitor: watch.monitor(interval),
            origin: self.origin(&given, policy),
            domain,
            plan: watch.plan,
        })
    }

    fn domain(&mut self, table: &Table<'a>, name: Option<&At<&'a str>>, place: Option<&Place>) -> Domain {
        let given = domains::GivenDomain::of(table);
        let domain = given.read();
        let array = place.and_then(|place| Some((place.array, self.context.arrays.driver(place.array)?)));
        if let Some((name, array)) = name.zip(array) {
            self.domains.check(array, name, (&given, &domain), self.context.diagnostics);
        }
        domain
    }

    /// What moves the VM must know what it is watched by, and the way it is sent.
    fn check_drivers(&self, place: &Place, watched: &GivenMonitor, policy: Option<(&Policy, &Item<'_>)>) {
        let (arrays, diagnostics) = (self.context.arrays, self.context.diagnostics);
        let name = |array: ArrayId| arrays.list[array.index()].name.as_str();
        let far = |array: ArrayId| agree::between_sites(name(array), arrays.driver(array)?);
        let sent = policy.filter(|(policy, _)| policy.kind() == Some(PolicyKind::Site));
        if let Some((policy, given)) = sent {
            // Its queues are simulated, which would only be said again.
            if let Some((message, help)) = [Some(place.array), place.away].into_iter().flatten().find_map(far) {
                diagnostics.error(policy.kind_place(given), message, help);
                return;
            }
        }
        let driver: Option<&Driver> = arrays.driver(place.array);
        let Some((watch, driver)) = watched.watch.as_ref().zip(driver) else { return };
        if let Some((message, help)) = agree::with_driver(&watch.source, name(place.array), driver) {
            diagnostics.error(watched.kind.clone(), message, help);
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
    fn check_pair(&self, policy: &Policy, watched: &GivenMonitor, given: &Item<'_>) {
        let watch = watched.watch.as_ref().filter(|_| watched.is_whole || watched.is_simulated());
        let Some((kind, watch)) = policy.kind().zip(watch) else { return };
        if let Some((message, help)) = agree::with_service(kind, watch.is_queue()) {
            self.context.diagnostics.error(policy.kind_place(given), message, help);
        }
    }
}

fn interval(table: &Table<'_>) -> Option<Span> {
    let Some(item) = table.get("interval") else { return Some(DEFAULT_INTERVAL) };
    let interval = item.duration()?.value;
    if interval < SHORTEST_INTERVAL {
        item.wrong(format!("the interval {} is too short", exact_span(interval)), "write \"1s\" or more");
        return None;
    }
    Some(interval)
}

/// An http check that times out is a sample of its deadline: at or under the threshold it would never count.
fn check_deadline(policy: &Policy, watched: &GivenMonitor, interval: Option<Span>, monitor: &Item<'_>) {
    let (Some(high), Some(watch)) = (&policy.high, &watched.watch) else { return };
    let deadline = match (&watch.deadline, interval) {
        (Some(deadline), _) => deadline.value,
        (None, Some(interval)) if !watched.has_deadline => watch.monitor(interval).deadline,
        (None, _) if watched.is_simulated() => watch.plan.deadline,
        _ => return,
    };
    let is_set = watch.deadline.is_some();
    let Some(deadline) = agree::Deadline::of(&watch.source, &watch.plan, deadline, is_set) else { return };
    if let Some((message, help)) = deadline.and_threshold(high.value) {
        let place = watch.deadline.as_ref().map_or_else(|| monitor.span(), |deadline| deadline.span.clone());
        monitor.wrong_at(place, message, help);
    }
}
