//! `[[array]]`: arrays, their hosts in ring order, their drivers, and how the drivers reach the hosts.

use std::collections::HashMap;

use toml::Spanned;

use super::super::keys::{
    ConfigKey, Form, KeyField, KindOfTable, WrittenKey, bare, decimal, fill, set, shape, words_of, write,
};
use super::super::toml_reader::{Item, Shape, Table};
use super::super::words::{did_you_mean, if_near};
use super::{ConfigReader, address, driver};
use crate::core::cluster::{Array, ArrayId, Driver, Host, HostId, Libvirt, Name, Pick, Reach, SiteId};

const EXAMPLE: &str = "[{ name = \"mln1\" }, { name = \"mln2\" }]";

/// CPU of a simulated host, in GHz, unless its key says otherwise.
const DEFAULT_GHZ: f64 = 8.0;
pub(in super::super) const PICKS: [(&str, Pick); 2] = [("next", Pick::Next), ("best", Pick::Best)];

const NAME: ConfigKey = ConfigKey::new("name", Form::Text, "Its name, without blanks").needed().example("\"a\"");
const HOSTS: ConfigKey = ConfigKey::new(
    "host",
    Form::Table,
    "The hosts, in the order of their ring: later = better; a name alone is enough",
)
.needed()
.example(EXAMPLE);

const ARRAY_KEYS: [ConfigKey; 6] = [
    NAME,
    ConfigKey::new("site", Form::Text, "The site it is at").default("the home site"),
    ConfigKey::new(
        "driver",
        Form::Words(&Driver::WORDS),
        "What moves the VMs: a word, or a table of its own, which \"command\" needs",
    )
    .default("\"simulator\""),
    ConfigKey::new(
        "base",
        Form::Text,
        "A cheap host of the array outside the ring: VMs go there only by a move to base",
    )
    .default("none"),
    ConfigKey::new(
        "pick",
        Form::Words(const { &words_of(&PICKS) }),
        "Where a move goes: to the next host of the ring, or to the best one, if it is better",
    )
    .default("\"next\""),
    HOSTS,
];

pub(super) fn kinds() -> Vec<KindOfTable> {
    KindOfTable::plain(&ARRAY_KEYS)
}

const ARRAY: Shape = shape!("an array", kinds);

const HOST_NAME: ConfigKey =
    ConfigKey::new("name", Form::Text, "Its name, without blanks").needed().example("\"mln1\"");
const HOST_URI: ConfigKey =
    ConfigKey::new("uri", Form::Address, "How libvirt reaches this host from here").default("the driver's");
const HOST_PEER_URI: ConfigKey =
    ConfigKey::new("peer_uri", Form::Address, "How libvirt reaches it from the other hosts").default("the driver's");

/// A host, and its CPU in GHz.
type SimulatedHost = (Host, f64);

const HOST_FIELDS: [KeyField<SimulatedHost>; 4] = [
    KeyField {
        key: ConfigKey::new("capacity", Form::Number, "How many VMs it takes").default("no bound").example("4"),
        read: |item, (host, _)| set(&mut host.capacity, item.whole(1..=u32::MAX).map(Some)),
        write: |(host, _)| bare(host.capacity?),
    },
    KeyField {
        key: ConfigKey::new("price", Form::Number, "What it costs an hour"),
        read: |item, (host, _)| set(&mut host.price, item.number_in(0.0..=f64::MAX, "0 or more")),
        write: |(host, _)| decimal(host.price),
    },
    KeyField {
        key: ConfigKey::new(
            "draining",
            Form::Flag,
            "It takes no more VMs; in mode \"auto\" the engine moves its VMs away",
        ),
        read: |item, (host, _)| set(&mut host.draining, item.flag()),
        write: |(host, _)| bare(host.draining),
    },
    KeyField {
        key: ConfigKey::new("cpu_ghz", Form::Number, "Its cores together; of a simulated host only"),
        read: |item, (_, ghz)| set(ghz, item.positive()),
        write: |(_, ghz)| decimal(*ghz),
    },
];

fn blank_host() -> SimulatedHost {
    (Host { name: Name::default(), array: ArrayId::at(0), capacity: None, price: 0.0, draining: false }, DEFAULT_GHZ)
}

pub(super) fn host_kinds() -> Vec<KindOfTable> {
    let mut keys = vec![(HOST_NAME, None)];
    keys.extend(KindOfTable::rows(&HOST_FIELDS, &blank_host()));
    keys.extend([(HOST_URI, None), (HOST_PEER_URI, None)]);
    vec![KindOfTable { kind: "", doc: "", keys }]
}

const HOST: Shape = shape!("a host", host_kinds);

/// The keys of a host and of how it is reached, as a file has them. `ghz`: if it is a simulated one.
pub(in super::super) fn write_host(host: &Host, ghz: Option<f64>, reach: Option<&Reach>) -> Vec<WrittenKey> {
    let mut keys = vec![WrittenKey::text(HOST_NAME, &host.name, false)];
    keys.extend(write(&HOST_FIELDS, &(host.clone(), ghz.unwrap_or(DEFAULT_GHZ)), &blank_host()));
    let uris = reach.into_iter().flat_map(|reach| [(HOST_URI, &reach.uri), (HOST_PEER_URI, &reach.peer_uri)]);
    keys.extend(uris.filter_map(|(key, uri)| Some(WrittenKey::text(key, uri.as_ref()?, false))));
    keys
}

/// A host's name, and all that was given of it.
type NamedEntry<'a> = (Spanned<&'a str>, Item<'a>);

impl<'a> ConfigReader<'a> {
    /// Reads the arrays.
    pub fn arrays(&mut self, top: &Table<'a>) {
        let Some(item) = top.get("array").filter(|item| !item.is_empty_list()) else {
            let help = format!("add [[array]] with a name, and host = {EXAMPLE}");
            return self.diagnostics.absent(0..0, "there is no [[array]]", help);
        };
        let (entries, whole) = item.list("[[array]], in double brackets, once for each");
        (self.arrays_whole, self.entries_whole) = (whole, whole);
        for entry in entries {
            match entry.table(ARRAY) {
                Some(table) => self.array(table, entry),
                None => (self.arrays_whole, self.entries_whole) = (false, false),
            }
        }
        if self.arrays.len() > usize::from(u16::MAX) {
            item.wrong("there are too many arrays", format!("have at most {}", u16::MAX));
        }
    }

    fn array(&mut self, table: Table<'a>, entry: Item<'a>) {
        let id = ArrayId::at(self.arrays.len());
        let name = table.need(&NAME).and_then(|item| item.name());
        match &name {
            Some(name) => self.check_unique("an array", name),
            None => self.arrays_whole = false,
        }
        let site = table.get("site").and_then(|item| item.text()).and_then(|site| {
            let names = self.config.cluster.sites.iter().map(|site| site.name.as_str());
            self.lookup("site", &site, names, self.sites_whole).map(SiteId::at)
        });
        let first = self.config.cluster.hosts.len();
        let (entries, whole) = self.hosts(&table, id);
        self.hosts_whole.push(whole);
        let hosts: Vec<HostId> = (first..self.config.cluster.hosts.len()).map(HostId::at).collect();
        let base = table.get("base").and_then(|item| self.base(&item, &hosts, whole));
        let driver = driver::read(&table, self.config.path.parent());
        let reaches = match &driver {
            Some(driver) => self.reaches(&entries, driver, entry.key("driver")),
            None => vec![Reach::default(); entries.len()],
        };
        self.config.reaches.extend(reaches);
        self.drivers.push(driver);
        self.arrays.push(entry);
        let array = Array {
            name: name.map_or_else(Name::default, |name| name.into_inner().into()),
            site: site.unwrap_or_else(|| self.home()),
            ring: hosts.into_iter().filter(|host| Some(*host) != base).collect(),
            base,
            pick: table.get("pick").and_then(|item| item.choice(&PICKS)).unwrap_or_default(),
        };
        self.config.cluster.arrays.push(array);
        table.finish(None);
    }

    /// Reads an array's hosts. Returns them as they were given, and whether all could be read.
    fn hosts(&mut self, table: &Table<'a>, array: ArrayId) -> (Vec<NamedEntry<'a>>, bool) {
        let mut hosts = Vec::new();
        let Some(item) = table.need(&HOSTS) else { return (hosts, false) };
        let (entries, mut whole) = item.list(&HOSTS.how());
        if entries.is_empty() && whole {
            item.wrong("an array needs a host", format!("write {}", HOSTS.how()));
        }
        for entry in entries {
            match self.host(&entry, array) {
                Some(name) => hosts.push((name, entry)),
                None => whole = false,
            }
        }
        (hosts, whole)
    }

    fn host(&mut self, entry: &Item<'a>, array: ArrayId) -> Option<Spanned<&'a str>> {
        let mut host = blank_host();
        let name = if entry.as_text().is_some() {
            entry.name()
        } else {
            let table = entry.table_or("a name or a table", HOST)?;
            fill(&HOST_FIELDS, &table, &mut host);
            // The driver says whether they may be there.
            let _ = ["uri", "peer_uri"].map(|key| table.get(key));
            let name = table.need(&HOST_NAME).and_then(|item| item.name());
            table.finish(None);
            name
        }?;
        self.check_unique("a host", &name);
        let (host, ghz) = host;
        self.config.cluster.hosts.push(Host { name: (*name.get_ref()).into(), array, ..host });
        self.config.plan.hosts_ghz.push(ghz);
        Some(name)
    }

    fn base(&self, item: &Item<'_>, hosts: &[HostId], whole: bool) -> Option<HostId> {
        let name = item.text()?;
        let names = hosts.iter().map(|host| self.config.cluster.host(*host).name.as_str());
        let Some(found) = names.clone().position(|n| n == *name.get_ref()) else {
            if whole {
                let help =
                    format!("the base is one of the array's hosts; {}", did_you_mean(name.get_ref(), names.clone()));
                let message = format!("the base{} is no host of this array", if_near(name.get_ref(), names));
                self.diagnostics.absent(name.span(), message, help);
            }
            return None;
        };
        if hosts.len() == 1 && whole {
            let message = format!("the base '{}' is the only host: the ring is empty", name.get_ref());
            item.wrong(message, "add another host, or remove the base");
        }
        hosts.get(found).copied()
    }

    /// How these hosts of one array are reached by its driver, which was given as `item`.
    fn reaches(&self, hosts: &[NamedEntry<'_>], driver: &Driver, item: Option<Item<'_>>) -> Vec<Reach> {
        let word = driver.word();
        if *driver != Driver::Simulator {
            for item in hosts.iter().filter_map(|(_, host)| host.key("cpu_ghz")) {
                item.wrong(format!("only a simulated host has 'cpu_ghz', and the driver is '{word}'"), "remove it");
            }
        }
        if let (Driver::Libvirt(libvirt), Some(item)) = (driver, item) {
            return self.by_libvirt(hosts, libvirt, &item);
        }
        for item in hosts.iter().flat_map(|(_, host)| ["uri", "peer_uri"].map(|key| host.key(key))).flatten() {
            let message = format!("only libvirt reaches a host by a uri, and the driver is '{word}'");
            item.wrong(message, "remove it, or write driver = \"libvirt\" in the array");
        }
        vec![Reach::default(); hosts.len()]
    }

    fn by_libvirt(&self, hosts: &[NamedEntry<'_>], libvirt: &Libvirt, driver: &Item<'_>) -> Vec<Reach> {
        let reach = |(name, host): &NamedEntry<'_>| Reach {
            uri: host.key("uri").and_then(|item| address::own(&item, name.get_ref())),
            peer_uri: host.key("peer_uri").and_then(|item| {
                let peer = address::own(&item, name.get_ref())?;
                driver::check_peer(&item, &peer);
                Some(peer)
            }),
        };
        let reaches: Vec<Reach> = hosts.iter().map(reach).collect();
        if driver.key("uri").is_none() {
            self.check_reached(hosts, driver);
        }
        let uris: Vec<_> = reaches.iter().map(|reach| reach.uri.as_deref()).collect();
        self.check_side("uri", libvirt.uri.as_deref().zip(driver.key("uri")), hosts, &uris);
        let peers: Vec<_> = reaches.iter().map(|reach| reach.peer_uri.as_deref()).collect();
        self.check_side("peer_uri", libvirt.peer_uri.as_deref().zip(driver.key("peer_uri")), hosts, &peers);
        if hosts.len() > 1 && driver.key("peer_uri").is_none() {
            hosts.iter().zip(uris).for_each(|(host, uri)| check_local(host, uri));
        }
        reaches
    }

    /// Without a template each host needs a uri.
    fn check_reached(&self, hosts: &[NamedEntry<'_>], driver: &Item<'_>) {
        let unreached = || hosts.iter().filter(|(_, host)| host.key("uri").is_none());
        if hosts.len() > 1 && unreached().count() == hosts.len() {
            let uri = address::TEMPLATE;
            let help = format!("write driver = {{ kind = \"libvirt\", uri = \"{uri}\" }}, or give each host its uri");
            return self.diagnostics.absent(driver.span(), "libvirt is not told how to reach the hosts", help);
        }
        for (name, _) in unreached() {
            let message = format!("libvirt is not told how to reach host '{}'", name.get_ref());
            let example = address::example(name.get_ref());
            let help = format!("add uri = \"{example}\" to it, or a uri for all hosts to the driver");
            self.diagnostics.absent(name.span(), message, help);
        }
    }

    /// Records what is wrong with the uris of one side. `template`: the driver's, if there is a right one, and where it stands.
    /// `own`: those of the hosts, as they were read.
    fn check_side(
        &self,
        key: &str,
        template: Option<(&str, Item<'_>)>,
        hosts: &[NamedEntry<'_>],
        own: &[Option<&str>],
    ) {
        let sharing = || hosts.iter().filter(|(_, host)| host.key(key).is_none()).map(|(name, _)| name);
        let shared = template.and_then(|(template, item)| {
            let open = template.contains(address::HOST);
            if !open && sharing().count() > 1 {
                let message = format!("by this {key} all hosts are the same host");
                item.wrong(message, format!("write {} for the host's name: {}", address::HOST, address::TEMPLATE));
            }
            for name in sharing().filter(|name| open && !address::fits(template, name.get_ref())) {
                let message = format!("the name '{}' cannot stand in the driver's {key}", name.get_ref());
                let help = format!("give the host its own {key} = \"{}\"", address::example("ADDRESS"));
                self.diagnostics.error(name.span(), message, help);
            }
            (open || sharing().count() == 1).then_some(template)
        });
        let mut seen: HashMap<String, &str> = HashMap::new();
        for ((name, host), own) in hosts.iter().zip(own) {
            let (item, name, place) = (host.key(key), *name.get_ref(), name.span());
            let shared = || shared.filter(|_| item.is_none()).map(|template| template.replace(address::HOST, name));
            let Some(uri) = own.map(str::to_owned).or_else(shared) else { continue };
            // A host that stands twice is already recorded.
            if let Some(first) = seen.insert(uri, name).filter(|first| *first != name) {
                let place = item.map_or_else(|| place.clone(), |item| item.span());
                let message = format!("'{first}' and '{name}' have the same {key}: these are the same host");
                self.diagnostics.error(place, message, "give one of them another, or remove it");
            }
        }
    }
}

/// A local uri means another machine when another host uses it.
fn check_local((name, host): &NamedEntry<'_>, uri: Option<&str>) {
    let Some(item) = host.key("uri").filter(|_| host.key("peer_uri").is_none()) else { return };
    if uri.is_some_and(address::is_local) {
        let help = format!("add peer_uri = \"{}\", as another host reaches it", address::example(name.get_ref()));
        item.wrong("this uri names no host: another host would reach itself by it", help);
    }
}
