//! `[[vm]]`: each VM with its place, its monitor, its policy and its name for a hypervisor, and what these must agree on.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::keys::{ConfigKey, Form, KindOfTable, WrittenKey, shape, text, words_of};
use super::super::model::PolicyOrigin;
use super::super::report::Diagnostics;
use super::super::report::LineIndex;
use super::super::toml_reader::{At, Item, Shape, Table};
use super::super::words::{did_you_mean, if_near};
use super::arrays::Arrays;
use super::monitor::GivenMonitor;
use super::policy::Policy;
use super::top::MODES;
use super::top::Sites;
use super::{agree, check_unique, lookup, monitor, policy};
use crate::core::cluster::{ArrayId, Domain, Driver, Host, HostId, Mode, Monitor, Span, Vm};
use crate::core::format::exact_span;
use crate::core::policy::PolicyKind;
use crate::core::simulation::VmPlan;

pub(in super::super) const DEFAULT_INTERVAL: Span = Span::from_mins(1);
const SHORTEST_INTERVAL: Span = Span::from_secs(1);

const NAME: ConfigKey = ConfigKey::new("name", Form::Text, "Its name, without blanks").example("\"nii1\"");
pub(super) const HOST: ConfigKey =
    ConfigKey::new("host", Form::Text, "Where it is, if the driver can't tell").example("\"mln1\"");
const MONITOR: ConfigKey = ConfigKey::new("monitor", Form::Table, "What is measured, and where")
    .example("{ kind = \"mysql\", url = \"mysql://watch@127.0.0.1\" }");
const POLICY: ConfigKey =
    ConfigKey::new("policy", Form::Table, "The name of a shared policy, or its own: policy = { kind = … }")
        .example("{ kind = \"threshold\", threshold = 50, tarry = 3 }");

const KEYS: [ConfigKey; 11] = [
    NAME,
    ConfigKey::new("array", Form::Text, "Its array; of a VM with a site policy, that at home").default("its host's"),
    HOST,
    ConfigKey::new("interval", Form::Duration, "Between two readings, at least \"1s\"").default("\"1m\""),
    MONITOR,
    POLICY,
    ConfigKey::new("mode", Form::Words(const { &words_of(&MODES) }), "Narrower than the cluster's")
        .default("the cluster's"),
    ConfigKey::new("away", Form::Text, "The array that a site policy sends it to")
        .default("the only one that is not at the home site"),
    ConfigKey::new("service", Form::Text, "Shown beside its name").default("the kind of its monitor"),
    DOMAIN,
    UUID,
];

pub(super) fn kinds() -> Vec<KindOfTable> {
    KindOfTable::plain(&KEYS)
}

const VM: Shape = shape!("a VM", kinds);

/// What VMs refer to.
pub(super) struct VmContext<'a> {
    pub diagnostics: &'a Diagnostics,
    /// Relative password files are relative to it.
    pub folder: Option<&'a Path>,
    /// The cluster's, if it could be read.
    pub mode: Option<Mode>,
    pub sites: &'a Sites,
    pub arrays: &'a Arrays,
    pub policies: &'a [(&'a str, Policy)],
    pub lines: &'a LineIndex,
}

/// The VMs of a file.
#[derive(Default)]
pub(super) struct Vms {
    pub list: Vec<Vm>,
    pub monitors: Vec<Monitor>,
    pub origins: Vec<PolicyOrigin>,
    pub domains: Vec<Domain>,
    pub plans: Vec<VmPlan>,
}

pub(super) fn read<'a>(top: &Table<'a>, context: &VmContext<'a>) -> Vms {
    let mut vms = Vms::default();
    let entries = match top.get("vm").filter(|item| !item.is_empty_list()) {
        Some(item) => item.list("[[vm]], in double brackets, once for each").0,
        None => {
            let help = "add [[vm]] with a name, host, monitor and policy";
            context.diagnostics.absent(0..0, "there is no [[vm]]", help);
            Vec::new()
        }
    };
    let (names, filled, domains) = (HashSet::new(), HashMap::new(), Domains::default());
    let mut reader = VmsReader { context, names, filled, domains };
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
struct ReadVm {
    vm: Vm,
    monitor: Monitor,
    origin: PolicyOrigin,
    domain: Domain,
    plan: VmPlan,
}

struct VmsReader<'c, 'a> {
    context: &'c VmContext<'a>,
    names: HashSet<&'a str>,
    /// How many VMs stand on a host so far.
    filled: HashMap<HostId, u32>,
    domains: Domains<'a>,
}

impl<'a> VmsReader<'_, 'a> {
    fn vm(&mut self, table: Table<'a>) -> Option<ReadVm> {
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
        let place = self.place(&table, policy.zip(given.as_ref()));
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
        Some(ReadVm {
            vm,
            monitor: watch.monitor(interval),
            origin: self.origin(&given, policy),
            domain,
            plan: watch.plan,
        })
    }

    fn domain(&mut self, table: &Table<'a>, name: Option<&At<&'a str>>, place: Option<&VmPlace>) -> Domain {
        let given = GivenDomain::of(table);
        let domain = given.read();
        let array = place.and_then(|place| Some((place.array, self.context.arrays.driver(place.array)?)));
        if let Some((name, array)) = name.zip(array) {
            self.domains.check(array, name, (&given, &domain), self.context.diagnostics);
        }
        domain
    }

    /// The driver must go with the monitor, and with a move to another site.
    fn check_drivers(&self, place: &VmPlace, watched: &GivenMonitor, policy: Option<(&Policy, &Item<'_>)>) {
        let (arrays, diagnostics) = (self.context.arrays, self.context.diagnostics);
        let name = |array: ArrayId| arrays.list[array.index()].name.as_str();
        let far = |array: ArrayId| agree::between_sites(name(array), arrays.driver(array)?);
        let sent = policy.filter(|(policy, _)| policy.kind() == Some(PolicyKind::Site));
        if let Some((policy, given)) = sent {
            // Its queues are simulated too, which would be the same error again.
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

    /// Where the policy of a VM stands.
    fn origin(&self, given: &Item<'a>, policy: &Policy) -> PolicyOrigin {
        let line = self.context.lines.at(policy.place.start).0 + 1;
        let shared = given.as_text().map(str::to_owned);
        PolicyOrigin { shared, line: u32::try_from(line).unwrap_or(u32::MAX) }
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

/// Records a deadline that is not above the threshold.
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

/// Where one VM is.
pub(super) struct VmPlace {
    pub array: ArrayId,
    pub host: HostId,
    /// Of a VM of the site policy.
    pub away: Option<ArrayId>,
}

impl<'a> VmsReader<'_, 'a> {
    /// The place of a VM. `policy` is its own, and the value that gave it.
    pub fn place(&mut self, table: &Table<'a>, policy: Option<(&Policy, &Item<'a>)>) -> Option<VmPlace> {
        let named = table.get("array");
        let array = named.as_ref().and_then(|item| item.text()).and_then(|name| self.array(&name));
        let host = table.need(&HOST).and_then(|item| item.text());
        let host = host.and_then(|name| Some(At::new(self.host(&name, array)?, name.span)));
        // If no array is named, it is the host's. If a wrong one is named, there is none.
        let array = match (array, named, &host) {
            (None, None, Some(host)) => Some(self.context.arrays.hosts[host.value.index()].array),
            (array, ..) => array,
        };
        let kind = policy.and_then(|(policy, _)| policy.kind());
        let away = self.away(table, kind);
        if let (Some(array), Some(PolicyKind::Site), true) = (array, kind, self.context.sites.whole) {
            self.check_home(table, array);
        }
        if let (Some(array), Some((policy, given))) = (array, policy) {
            self.check_policy(policy, given, array);
        }
        if let (Some(array), Some(host)) = (array, &host) {
            self.check_host(host, array, away);
            self.fill(host);
        }
        Some(VmPlace { array: array?, host: host?.value, away })
    }

    fn array(&self, name: &At<&'a str>) -> Option<ArrayId> {
        let arrays = self.context.arrays;
        let names = arrays.list.iter().map(|array| array.name.as_str());
        lookup("array", name, names, arrays.whole, self.context.diagnostics).map(ArrayId::at)
    }

    fn host(&self, name: &At<&'a str>, array: Option<ArrayId>) -> Option<HostId> {
        let arrays = self.context.arrays;
        let found = arrays.hosts.iter().position(|host| host.name == name.value).map(HostId::at);
        if found.is_none() && arrays.hosts_known(array) {
            let near = |(_, host): (HostId, &'a Host)| host.name.as_str();
            let known: Vec<&str> = match array {
                Some(array) => arrays.hosts_of(array).map(near).collect(),
                None => arrays.hosts.iter().map(|host| host.name.as_str()).collect(),
            };
            let help = did_you_mean(name.value, known.iter().copied());
            let message = format!("unknown host{}", if_near(name.value, known.iter().copied()));
            self.context.diagnostics.absent(name.span.clone(), message, help);
        }
        found
    }

    /// The array a site policy sends the VM to; no other policy sends it away.
    fn away(&self, table: &Table<'a>, kind: Option<PolicyKind>) -> Option<ArrayId> {
        let Some(item) = table.get("away") else {
            return if kind == Some(PolicyKind::Site) { self.only_other(table) } else { None };
        };
        let away = item.text().and_then(|name| self.array(&name));
        if kind.is_some_and(|kind| kind != PolicyKind::Site) {
            item.wrong("only a site policy sends a VM away", "remove 'away', or use a policy of kind \"site\"");
        } else if self.context.sites.whole && away.is_some_and(|away| self.is_home(away)) {
            item.wrong("this array is at the home site", "name an array of another site");
        }
        away
    }

    /// The array that is not at the home site, if it is the only one.
    fn only_other(&self, table: &Table<'a>) -> Option<ArrayId> {
        let (arrays, diagnostics) = (self.context.arrays, self.context.diagnostics);
        if !arrays.whole || !self.context.sites.whole {
            return None;
        }
        let mut others = (0..arrays.list.len()).map(ArrayId::at).filter(|array| !self.is_home(*array));
        let found = others.next();
        if found.is_none() {
            let message = "a site policy needs an array at another site to go to";
            diagnostics.absent(table.span(), message, "add a [[site]] and an [[array]] at it");
        } else if others.next().is_some() {
            let message = "several arrays are at other sites: which of them does this VM go to?";
            diagnostics.absent(table.span(), message, "add away = \"ARRAY\"");
        }
        found
    }

    /// The array of a VM with a site policy is at home, wherever the VM is now.
    fn check_home(&self, table: &Table<'a>, array: ArrayId) {
        if !self.is_home(array) {
            let place = table.get("array").or_else(|| table.get("host")).map_or(table.span(), |item| item.span());
            let name = &self.context.arrays.list[array.index()].name;
            let message = format!("array '{name}' is not at the home site, where a VM of the site policy lives");
            self.context.diagnostics.error(
                place,
                message,
                "write array = \"ARRAY\" of the home site; its host may be away",
            );
        }
    }

    fn is_home(&self, array: ArrayId) -> bool {
        self.context.arrays.list[array.index()].site == self.context.sites.home()
    }

    /// A policy that moves to the base needs one.
    fn check_policy(&self, policy: &Policy, given: &Item<'_>, array: ArrayId) {
        let Some(kind) = policy.kind() else { return };
        let arrays = self.context.arrays;
        let base = arrays.based[array.index()];
        if let Some((message, help)) = agree::with_array(kind, &arrays.list[array.index()].name, base) {
            self.context.diagnostics.absent(policy.kind_place(given), message, help);
        }
    }

    fn check_host(&self, host: &At<HostId>, array: ArrayId, away: Option<ArrayId>) {
        let arrays = self.context.arrays;
        let found = &arrays.hosts[host.value.index()];
        if found.array != array && Some(found.array) != away {
            let name = |array: ArrayId| arrays.list[array.index()].name.as_str();
            let message =
                format!("host '{}' is in array '{}', not in '{}'", found.name, name(found.array), name(array));
            self.context.diagnostics.error(
                host.span.clone(),
                message,
                "name a host of the VM's array, or the host's array",
            );
        }
    }

    /// Counts a VM on its host, and records the first one too many.
    fn fill(&mut self, host: &At<HostId>) {
        let filled = self.filled.entry(host.value).or_default();
        *filled = filled.saturating_add(1);
        let found = &self.context.arrays.hosts[host.value.index()];
        if let Some(capacity) = found.capacity.filter(|capacity| filled.checked_sub(1) == Some(*capacity)) {
            let message = format!("host '{}' has room for {capacity}, and this VM is one more", found.name);
            self.context.diagnostics.error(
                host.span.clone(),
                message,
                "raise the host's capacity, or name another host",
            );
        }
    }
}

pub(super) const DOMAIN: ConfigKey =
    ConfigKey::new("domain", Form::Text, "Its name for libvirt and commands").default("the VM's name");
pub(super) const UUID: ConfigKey =
    ConfigKey::new("uuid", Form::Text, "Its uuid for libvirt and commands, which wins over the name").default("none");

/// The keys of a domain, as a file has them.
pub(in super::super) fn write_domain(domain: &Domain) -> Vec<WrittenKey> {
    let keys = [(DOMAIN, &domain.name), (UUID, &domain.uuid)];
    keys.into_iter().filter_map(|(key, name)| Some(WrittenKey::new(key, text(name.as_ref()?)?, false))).collect()
}

/// A VM's keys of that kind.
pub(super) struct GivenDomain<'a> {
    name: Option<Item<'a>>,
    uuid: Option<Item<'a>>,
}

impl<'a> GivenDomain<'a> {
    pub fn of(table: &Table<'a>) -> Self {
        Self { name: table.get("domain"), uuid: table.get("uuid") }
    }

    pub fn read(&self) -> Domain {
        let name = self.name.as_ref().and_then(|item| item.line()).map(|name| name.value.to_owned());
        Domain { name, uuid: self.uuid.as_ref().and_then(uuid) }
    }
}

/// What is known by which name, array by array.
#[derive(Default)]
pub(super) struct Domains<'a> {
    names: HashMap<(ArrayId, String), &'a str>,
    uuids: HashMap<(ArrayId, String), &'a str>,
}

impl<'a> Domains<'a> {
    /// Records keys that the VM's driver does not use, and names that another VM of the array has too.
    pub fn check(
        &mut self,
        (array, driver): (ArrayId, &Driver),
        vm: &At<&'a str>,
        (given, domain): (&GivenDomain<'a>, &Domain),
        diagnostics: &Diagnostics,
    ) {
        if *driver == Driver::Simulator {
            for item in [&given.name, &given.uuid].into_iter().flatten() {
                let help = "remove it, or give the array a driver of kind \"libvirt\" or \"command\"";
                item.wrong("only a hypervisor knows a VM by another name, and the driver is 'simulator'", help);
            }
            return;
        }
        let place = |item: &Option<Item<'_>>| item.as_ref().map_or_else(|| vm.span.clone(), Item::span);
        let say = |place, what: &str, first: &str| {
            let message = format!("'{first}' and '{}' have the same {what}: these are the same VM", vm.value);
            diagnostics.error(place, message, "correct one of them, or remove one of the VMs");
        };
        if let Some(uuid) = &domain.uuid
            && let Some(first) = self.uuids.insert((array, uuid.clone()), vm.value)
        {
            say(place(&given.uuid), "uuid", first);
        }
        // A VM with a uuid may have any name.
        let name = domain.name.as_deref().or(given.uuid.is_none().then_some(vm.value));
        let first = name.and_then(|name| self.names.insert((array, name.to_owned()), vm.value));
        // A VM that stands twice is already recorded.
        if let Some(first) = first.filter(|first| *first != vm.value) {
            say(place(&given.name), "domain", first);
        }
    }
}

/// Digits of base 16, in lower case: `8-4-4-4-12` of them.
fn uuid(item: &Item<'_>) -> Option<String> {
    let text = item.text()?.value;
    let parts = text.split('-').map(|part| part.chars().all(|c| c.is_ascii_hexdigit()).then_some(part.len()));
    if parts.eq([8, 4, 4, 4, 12].map(Some)) {
        return Some(text.to_ascii_lowercase());
    }
    item.wrong("this is no uuid", "write it as virsh domuuid prints it: 8-4-4-4-12 digits from 0 to f");
    None
}
