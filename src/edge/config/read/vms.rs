//! `[[vm]]`: each VM with its place, its monitor, its policy and its name for a hypervisor, and what these must agree on.

use toml::Spanned;

use super::super::keys::{ConfigKey, Form, KindOfTable, WrittenKey, shape, words_of};
use super::super::model::{PolicyOrigin, WorkerVm};
use super::super::toml_reader::{Item, Shape, Table};
use super::super::words::{did_you_mean, if_near};
use super::monitor::MonitorSpec;
use super::policy::Policy;
use super::top::MODES;
use super::{ConfigReader, agree, monitor, policy};
use crate::core::cluster::{ArrayId, Domain, Driver, HostId, Mode, Source, Span, Vm};
use crate::core::format::exact_span;
use crate::core::policy::PolicyKind;

pub(in super::super) const DEFAULT_INTERVAL: Span = Span::from_mins(1);
const SHORTEST_INTERVAL: Span = Span::from_secs(1);

const NAME: ConfigKey = ConfigKey::new("name", Form::Text, "Its name, without blanks").needed().example("\"nii1\"");
pub(super) const HOST: ConfigKey =
    ConfigKey::new("host", Form::Text, "Where it is, if the driver can't tell").needed().example("\"mln1\"");
const MONITOR: ConfigKey = ConfigKey::new("monitor", Form::Table, "What is measured, and where")
    .needed()
    .example("{ kind = \"mysql\", url = \"mysql://watch@127.0.0.1\" }");
const POLICY: ConfigKey =
    ConfigKey::new("policy", Form::Table, "The name of a shared policy, or its own: policy = { kind = … }")
        .needed()
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
        .default("the only one that is not at the home site, if there is one"),
    ConfigKey::new("service", Form::Text, "Shown beside its name").default("the kind of its monitor"),
    DOMAIN,
    UUID,
];

pub(super) fn kinds() -> Vec<KindOfTable> {
    KindOfTable::plain(&KEYS)
}

const VM: Shape = shape!("a VM", kinds);

impl<'a> ConfigReader<'a> {
    /// Reads the VMs.
    pub fn vms(&mut self, top: &Table<'a>) {
        let Some(item) = top.get("vm").filter(|item| !item.is_empty_list()) else {
            let help = "add [[vm]] with a name, host, monitor and policy";
            return self.diagnostics.absent(0..0, "there is no [[vm]]", help);
        };
        let (entries, _) = item.list("[[vm]], in double brackets, once for each");
        for table in entries.iter().filter_map(|entry| entry.table(VM)) {
            self.vm(table);
        }
    }

    /// Reads the VMs of a worker's config. Keys that only a cluster uses are not looked at.
    pub fn worker_vms(&mut self, top: &Table<'a>) -> Vec<WorkerVm> {
        let Some(item) = top.get("vm") else { return Vec::new() };
        let (entries, _) = item.list("[[vm]], in double brackets, once for each");
        entries.iter().filter_map(|entry| entry.table(VM)).filter_map(|table| self.worker_vm(table)).collect()
    }

    fn worker_vm(&mut self, table: Table<'a>) -> Option<WorkerVm> {
        let name = table.need(&NAME).and_then(|item| item.name());
        if let Some(name) = &name {
            self.check_unique("a VM", name);
        }
        let interval = interval(&table);
        let monitor = table.need(&MONITOR);
        let watch = monitor.as_ref().and_then(|item| item.table(monitor::MONITOR));
        let watch = watch.and_then(|table| monitor::read(table, self.config.path.parent(), interval));
        table.ask_all();
        table.finish(None);
        match watch?.source {
            Source::Queue { queue } => {
                let item = monitor?.key("queue")?;
                self.check_queue(name.as_ref(), &item);
                Some(WorkerVm { name: name?.into_inner().into(), interval: interval?, queue })
            }
            _ => {
                let help =
                    "write monitor = { kind = \"queue\", queue = \"NAME\" }, or add [[array]] for a whole cluster";
                monitor?.wrong("in a worker's config each VM works a queue", help);
                None
            }
        }
    }

    /// Reads a VM. `None`: it lacks something, which is recorded.
    fn vm(&mut self, table: Table<'a>) -> Option<()> {
        let name = table.need(&NAME).and_then(|item| item.name());
        if let Some(name) = &name {
            self.check_unique("a VM", name);
        }
        let interval = interval(&table);
        let monitor = table.need(&MONITOR);
        let watch = monitor.as_ref().and_then(|item| item.table(monitor::MONITOR));
        let watch = watch.and_then(|table| monitor::read(table, self.config.path.parent(), interval));
        if let Some((MonitorSpec { source: Source::Queue { .. }, .. }, item)) = watch.as_ref().zip(monitor.as_ref()) {
            item.key("queue").into_iter().for_each(|item| self.check_queue(name.as_ref(), &item));
        }
        let given = table.need(&POLICY);
        let own = given.as_ref().filter(|item| item.is_table()).and_then(|item| item.table(policy::POLICY));
        let own = own.map(policy::read);
        let policy = own.as_ref().or_else(|| given.as_ref().and_then(|item| self.named_policy(item)));
        let away = self.away(&table, policy.and_then(Policy::kind));
        let place = self.place(&table, away, policy.zip(given.as_ref()));
        let array = place.map(|(array, _)| array);
        let mode = table.get("mode").and_then(|item| self.mode(&item));
        let service = table.get("service").and_then(|item| item.name());
        let domain = self.domain(&table, name.as_ref(), array);
        table.finish(None);
        if let (Some(array), Some(monitor)) = (array, &monitor) {
            let watch = watch.as_ref().zip(monitor.key("kind"));
            self.check_drivers((array, away), watch, policy.zip(given.as_ref()));
        }

        if let (Some(own), None) = (&own, &watch) {
            // Without a monitor it is not known which way is worse.
            own.check_alone(self.diagnostics);
        }
        let (policy, watch, monitor, given) = (policy?, watch?, monitor?, given?);
        let word = name.as_ref().map_or("", |name| *name.get_ref());
        let settings = policy.settings(watch.direction(), word, self.diagnostics);
        self.check_pair(policy, &watch, &given);
        check_deadline(policy, &watch, interval, &monitor);
        let ((array, host), interval, watch) = (place?, interval?, Some(watch).filter(|watch| watch.is_whole)?);
        self.config.cluster.vms.push(Vm {
            name: name?.into_inner().into(),
            service: service.map_or_else(|| watch.service().to_owned(), |service| service.into_inner().to_owned()),
            array,
            host,
            interval,
            indicator: watch.indicator(interval),
            policy: settings?,
            mode,
            away,
        });
        self.config.monitors.push(watch.monitor(interval));
        let shared = given.as_text().map(str::to_owned);
        self.config.origins.push(PolicyOrigin { shared, line: self.diagnostics.line(policy.place.start) });
        self.config.domains.push(domain);
        self.config.plan.vms.push(watch.plan);
        Some(())
    }

    /// The driver must go with the monitor, which has its kind at a place, and with a move to another site.
    fn check_drivers(
        &self,
        (array, away): (ArrayId, Option<ArrayId>),
        watch: Option<(&MonitorSpec, Item<'_>)>,
        policy: Option<(&Policy, &Item<'_>)>,
    ) {
        let name = |array: ArrayId| self.config.cluster.array(array).name.as_str();
        let far = |array: ArrayId| agree::between_sites(name(array), self.driver(array)?);
        let sent = policy.filter(|(policy, _)| policy.kind() == Some(PolicyKind::Site));
        if let Some((policy, given)) = sent {
            // Without another site it never moves away, whatever moves it. Its queues may be simulated too, which would be the
            // same error again.
            if let Some((message, help)) = away.and_then(|away| [array, away].into_iter().find_map(far)) {
                return self.diagnostics.error(policy.kind_place(given), message, help);
            }
        }
        let Some(((watch, kind), driver)) = watch.zip(self.driver(array)) else { return };
        if let Some((message, help)) = agree::with_driver(&watch.source, name(array), driver) {
            kind.wrong(message, help);
        }
    }

    fn named_policy(&self, item: &Item<'a>) -> Option<&'a Policy> {
        let (name, policies) = (item.text()?, self.policies);
        let found = self.lookup("policy", &name, policies.iter().map(|(name, _)| *name), true)?;
        policies.get(found).map(|(_, policy)| policy)
    }

    fn mode(&self, item: &Item<'_>) -> Option<Mode> {
        let mode = item.choice(&MODES)?;
        let cluster = self.mode?;
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
    fn check_pair(&self, policy: &Policy, watch: &MonitorSpec, given: &Item<'_>) {
        let Some(kind) = policy.kind().filter(|_| watch.is_whole || watch.is_simulated()) else { return };
        if let Some((message, help)) = agree::with_service(kind, watch.is_queue()) {
            self.diagnostics.error(policy.kind_place(given), message, help);
        }
    }

    /// The array and the host of a VM. `policy` is its own, and the value that gave it.
    fn place(
        &mut self,
        table: &Table<'a>,
        away: Option<ArrayId>,
        policy: Option<(&Policy, &Item<'a>)>,
    ) -> Option<(ArrayId, HostId)> {
        let named = table.get("array");
        let array = named.as_ref().and_then(|item| item.text()).and_then(|name| self.array_named(&name));
        let host = table.need(&HOST).and_then(|item| item.text());
        let host = host.and_then(|name| Some(Spanned::new(name.span(), self.host_named(&name, array)?)));
        // If no array is named, it is the host's. If a wrong one is named, there is none.
        let array = match (array, named, &host) {
            (None, None, Some(host)) => Some(self.config.cluster.host(*host.get_ref()).array),
            (array, ..) => array,
        };
        let kind = policy.and_then(|(policy, _)| policy.kind());
        if let (Some(array), Some(PolicyKind::Site), true) = (array, kind, self.sites_whole) {
            self.check_home(table, array);
        }
        // A policy that moves to the base needs one, right or wrong.
        if let (Some(array), Some(kind), Some((policy, given))) = (array, kind, policy) {
            let (name, base) = (&self.config.cluster.array(array).name, self.arrays[array.index()].has("base"));
            if let Some((message, help)) = agree::with_array(kind, name, base) {
                self.diagnostics.absent(policy.kind_place(given), message, help);
            }
        }
        if let (Some(array), Some(host)) = (array, &host) {
            self.check_host(host, array, away);
            self.fill(host);
        }
        array.zip(host.map(Spanned::into_inner))
    }

    fn array_named(&self, name: &Spanned<&'a str>) -> Option<ArrayId> {
        let names = self.config.cluster.arrays.iter().map(|array| array.name.as_str());
        self.lookup("array", name, names, self.arrays_whole).map(ArrayId::at)
    }

    fn host_named(&self, name: &Spanned<&'a str>, array: Option<ArrayId>) -> Option<HostId> {
        let found = self.config.cluster.host_named(name.get_ref());
        // All hosts that the VM can name: those of its array, or all if it names no array.
        let is_known = match array {
            Some(array) => self.hosts_whole[array.index()],
            None => self.entries_whole && self.hosts_whole.iter().all(|whole| *whole),
        };
        if found.is_none() && is_known {
            let hosts = self.config.cluster.hosts.iter();
            let known = hosts.filter(|host| array.is_none_or(|array| host.array == array));
            let known = known.map(|host| host.name.as_str());
            let help = did_you_mean(name.get_ref(), known.clone());
            let message = format!("unknown host{}", if_near(name.get_ref(), known));
            self.diagnostics.absent(name.span(), message, help);
        }
        found
    }

    /// The array a site policy sends the VM to; no other policy sends it away.
    fn away(&self, table: &Table<'a>, kind: Option<PolicyKind>) -> Option<ArrayId> {
        let Some(item) = table.get("away") else {
            return if kind == Some(PolicyKind::Site) { self.only_other(table) } else { None };
        };
        let away = item.text().and_then(|name| self.array_named(&name));
        if kind.is_some_and(|kind| kind != PolicyKind::Site) {
            item.wrong("only a site policy sends a VM away", "remove 'away', or use a policy of kind \"site\"");
        } else if self.sites_whole && away.is_some_and(|away| self.is_home(away)) {
            item.wrong("this array is at the home site", "name an array of another site");
        }
        away
    }

    /// The array that is not at the home site, if it is the only one. If there is none, the VM never moves away.
    fn only_other(&self, table: &Table<'a>) -> Option<ArrayId> {
        if !self.arrays_whole || !self.sites_whole {
            return None;
        }
        let mut others = (0..self.arrays.len()).map(ArrayId::at).filter(|array| !self.is_home(*array));
        let found = others.next();
        if others.next().is_some() {
            let message = "several arrays are at other sites: which of them does this VM go to?";
            table.lacks(message, "add away = \"ARRAY\"");
        }
        found
    }

    /// The array of a VM with a site policy is at home, wherever the VM is now.
    fn check_home(&self, table: &Table<'a>, array: ArrayId) {
        if !self.is_home(array) {
            let place = table.get("array").or_else(|| table.get("host")).map_or(table.span(), |item| item.span());
            let name = &self.config.cluster.array(array).name;
            let message = format!("array '{name}' is not at the home site, where a VM of the site policy lives");
            let help = "write array = \"ARRAY\" of the home site; its host may be away";
            self.diagnostics.error(place, message, help);
        }
    }

    fn is_home(&self, array: ArrayId) -> bool {
        self.config.cluster.array(array).site == self.home()
    }

    fn check_host(&self, host: &Spanned<HostId>, array: ArrayId, away: Option<ArrayId>) {
        let cluster = &self.config.cluster;
        let found = cluster.host(*host.get_ref());
        if found.array != array && Some(found.array) != away {
            let name = |array: ArrayId| cluster.array(array).name.as_str();
            let message =
                format!("host '{}' is in array '{}', not in '{}'", found.name, name(found.array), name(array));
            self.diagnostics.error(host.span(), message, "name a host of the VM's array, or the host's array");
        }
    }

    /// Counts a VM on its host, and records the first one too many.
    fn fill(&mut self, host: &Spanned<HostId>) {
        let filled = self.filled.entry(*host.get_ref()).or_default();
        *filled = filled.saturating_add(1);
        let found = self.config.cluster.host(*host.get_ref());
        if let Some(capacity) = found.capacity.filter(|capacity| filled.checked_sub(1) == Some(*capacity)) {
            let message = format!("host '{}' has room for {capacity}, and this VM is one more", found.name);
            self.diagnostics.error(host.span(), message, "raise the host's capacity, or name another host");
        }
    }

    /// How a hypervisor knows the VM. Records keys that the VM's driver does not use, and names that another VM of the array has
    /// too.
    fn domain(&mut self, table: &Table<'a>, vm: Option<&Spanned<&'a str>>, array: Option<ArrayId>) -> Domain {
        let (name, id) = (table.get("domain"), table.get("uuid"));
        let line = name.as_ref().and_then(|item| item.line()).map(|name| name.into_inner().to_owned());
        let domain = Domain { name: line, uuid: id.as_ref().and_then(uuid) };
        let Some(((vm, array), driver)) = vm.zip(array).zip(array.and_then(|array| self.driver(array))) else {
            return domain;
        };
        if *driver == Driver::Simulator {
            for item in [&name, &id].into_iter().flatten() {
                let help = "remove it, or give the array a driver of kind \"libvirt\" or \"command\"";
                item.wrong("only a hypervisor knows a VM by another name, and the driver is 'simulator'", help);
            }
            return domain;
        }
        // A VM with a uuid may have any name.
        let known_as = domain.name.as_deref().or(id.is_none().then_some(*vm.get_ref()));
        for (what, item, value) in [("uuid", id, domain.uuid.as_deref()), ("domain", name, known_as)] {
            let first = value.and_then(|value| self.domains.insert((array, what, value.to_owned()), *vm.get_ref()));
            // A VM that stands twice is already recorded.
            if let Some(first) = first.filter(|first| *first != *vm.get_ref()) {
                let place = item.map_or_else(|| vm.span(), |item| item.span());
                let message = format!("'{first}' and '{}' have the same {what}: these are the same VM", vm.get_ref());
                self.diagnostics.error(place, message, "correct one of them, or remove one of the VMs");
            }
        }
        domain
    }
}

fn interval(table: &Table<'_>) -> Option<Span> {
    let Some(item) = table.get("interval") else { return Some(DEFAULT_INTERVAL) };
    let interval = item.duration()?.into_inner();
    if interval < SHORTEST_INTERVAL {
        item.wrong(format!("the interval {} is too short", exact_span(interval)), "write \"1s\" or more");
        return None;
    }
    Some(interval)
}

/// Records a deadline that is not above the threshold.
fn check_deadline(policy: &Policy, watch: &MonitorSpec, interval: Option<Span>, item: &Item<'_>) {
    let is_set = watch.deadline.is_some();
    let is_known = is_set || watch.is_simulated() || (interval.is_some() && !item.has("deadline"));
    let Some(high) = policy.high.as_ref().filter(|_| is_known) else { return };
    let monitor = watch.monitor(interval.unwrap_or(DEFAULT_INTERVAL));
    if let Some((message, help)) = agree::with_deadline(&monitor, &watch.plan, is_set, *high.get_ref()) {
        item.key("deadline").as_ref().unwrap_or(item).wrong(message, help);
    }
}

pub(super) const DOMAIN: ConfigKey =
    ConfigKey::new("domain", Form::Text, "Its name for libvirt and commands").default("the VM's name");
pub(super) const UUID: ConfigKey =
    ConfigKey::new("uuid", Form::Text, "Its uuid for libvirt and commands, which wins over the name").default("none");

/// The keys of a domain, as a file has them.
pub(in super::super) fn write_domain(domain: &Domain) -> Vec<WrittenKey> {
    let keys = [(DOMAIN, &domain.name), (UUID, &domain.uuid)];
    keys.into_iter().filter_map(|(key, name)| Some(WrittenKey::text(key, name.as_ref()?, false))).collect()
}

/// Digits of base 16, in lower case: `8-4-4-4-12` of them.
fn uuid(item: &Item<'_>) -> Option<String> {
    let text = item.text()?.into_inner();
    let parts = text.split('-').map(|part| part.chars().all(|c| c.is_ascii_hexdigit()).then_some(part.len()));
    if parts.eq([8, 4, 4, 4, 12].map(Some)) {
        return Some(text.to_ascii_lowercase());
    }
    item.wrong("this is no uuid", "write it as virsh domuuid prints it: 8-4-4-4-12 digits from 0 to f");
    None
}
