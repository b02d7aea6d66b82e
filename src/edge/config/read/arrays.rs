//! `[[array]]`: arrays, their hosts in ring order, their drivers, and how the drivers reach the hosts.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::keys::{
    ConfigKey, Form, KeyField, KindOfTable, WrittenKey, bare, decimal, fill, set, shape, text, words_of, write,
};
use super::super::report::Diagnostics;
use super::super::toml_reader::{At, Item, Shape, Table};
use super::super::words::{did_you_mean, if_near};
use super::driver::GivenDriver;
use super::top::Sites;
use super::{address, check_unique, driver, lookup};
use crate::core::cluster::{Array, ArrayId, Driver, Host, HostId, Libvirt, Name, Pick, Reach, SiteId};

const EXAMPLE: &str = "[{ name = \"mln1\" }, { name = \"mln2\" }]";

/// CPU of a simulated host, in GHz, unless its key says otherwise.
const DEFAULT_GHZ: f64 = 8.0;
pub(in super::super) const PICKS: [(&str, Pick); 2] = [("next", Pick::Next), ("best", Pick::Best)];

const NAME: ConfigKey = ConfigKey::new("name", Form::Text, "Its name, without blanks").example("\"a\"");
const HOSTS: ConfigKey = ConfigKey::new(
    "host",
    Form::Table,
    "The hosts, in the order of their ring: later = better; a name alone is enough",
)
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

const HOST_NAME: ConfigKey = ConfigKey::new("name", Form::Text, "Its name, without blanks").example("\"mln1\"");
const HOST_URI: ConfigKey =
    ConfigKey::new("uri", Form::Address, "How libvirt reaches this host from here").default("the driver's");
const HOST_PEER_URI: ConfigKey =
    ConfigKey::new("peer_uri", Form::Address, "How libvirt reaches it from the other hosts").default("the driver's");

/// A host, and its CPU in GHz.
type SimulatedHost = (Host, f64);

const HOST_FIELDS: [KeyField<SimulatedHost>; 4] = [
    KeyField {
        key: ConfigKey::new("capacity", Form::Number, "How many VMs it takes").default("no bound").example("4"),
        is_needed: false,
        read: |item, (host, _)| set(&mut host.capacity, item.whole(1..=u32::MAX).map(Some)),
        write: |(host, _)| bare(host.capacity?),
    },
    KeyField {
        key: ConfigKey::new("price", Form::Number, "What it costs an hour"),
        is_needed: false,
        read: |item, (host, _)| set(&mut host.price, item.number_in(0.0..=f64::MAX, "0 or more")),
        write: |(host, _)| decimal(host.price),
    },
    KeyField {
        key: ConfigKey::new(
            "draining",
            Form::Flag,
            "It takes no more VMs; in mode \"auto\" the engine moves its VMs away",
        ),
        is_needed: false,
        read: |item, (host, _)| set(&mut host.draining, item.flag()),
        write: |(host, _)| bare(host.draining),
    },
    KeyField {
        key: ConfigKey::new("cpu_ghz", Form::Number, "Its cores together; of a simulated host only"),
        is_needed: false,
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
    let mut keys: Vec<WrittenKey> =
        text(host.name.as_str()).map(|name| WrittenKey::new(HOST_NAME, name, false)).into_iter().collect();
    keys.extend(write(&HOST_FIELDS, &(host.clone(), ghz.unwrap_or(DEFAULT_GHZ)), &blank_host()));
    let uris = reach.into_iter().flat_map(|reach| [(HOST_URI, &reach.uri), (HOST_PEER_URI, &reach.peer_uri)]);
    keys.extend(uris.filter_map(|(key, uri)| Some(WrittenKey::new(key, text(uri.as_ref()?)?, false))));
    keys
}

/// The arrays and hosts of a file.
#[derive(Default)]
pub(super) struct Arrays {
    pub list: Vec<Array>,
    /// By array; `None`: its kind could not be read.
    pub drivers: Vec<Option<Driver>>,
    /// By array: whether it names a base, right or wrong.
    pub based: Vec<bool>,
    pub hosts: Vec<Host>,
    /// By host.
    pub ghz: Vec<f64>,
    /// By host.
    pub reaches: Vec<Reach>,
    /// All arrays could be read, by name.
    pub whole: bool,
    /// Every entry is an array.
    entries_whole: bool,
    /// By array: all its hosts could be read, by name.
    hosts_whole: Vec<bool>,
}

impl Arrays {
    /// The hosts of an array, the base too, as they stand in the file.
    pub fn hosts_of(&self, array: ArrayId) -> impl Iterator<Item = (HostId, &Host)> + Clone {
        let all = self.hosts.iter().enumerate().map(|(n, host)| (HostId::at(n), host));
        all.filter(move |(_, host)| host.array == array)
    }

    /// What moves the VMs of an array, if that could be read.
    pub fn driver(&self, array: ArrayId) -> Option<&Driver> {
        self.drivers.get(array.index()).and_then(Option::as_ref)
    }

    /// Whether all hosts that a VM can name could be read: those of its array, or all if it names no array.
    pub fn hosts_known(&self, array: Option<ArrayId>) -> bool {
        match array {
            Some(array) => self.hosts_whole.get(array.index()).copied().unwrap_or(false),
            None => self.entries_whole && self.hosts_whole.iter().all(|whole| *whole),
        }
    }
}

/// Reads the arrays. `folder` is the config's.
pub(super) fn read(top: &Table<'_>, folder: Option<&Path>, sites: &Sites, diagnostics: &Diagnostics) -> Arrays {
    let mut arrays = Arrays::default();
    let Some(item) = top.get("array").filter(|item| !item.is_empty_list()) else {
        diagnostics.absent(0..0, "there is no [[array]]", format!("add [[array]] with a name, and host = {EXAMPLE}"));
        return arrays;
    };
    let (entries, whole) = item.list("[[array]], in double brackets, once for each");
    (arrays.whole, arrays.entries_whole) = (whole, whole);
    let mut reader = ArraysReader { folder, sites, diagnostics, names: HashSet::new(), hosts: HashSet::new() };
    for entry in &entries {
        match entry.table(ARRAY) {
            Some(table) => reader.array(table, &mut arrays),
            None => (arrays.whole, arrays.entries_whole) = (false, false),
        }
    }
    if arrays.list.len() > usize::from(u16::MAX) {
        item.wrong("there are too many arrays", format!("have at most {}", u16::MAX));
    }
    arrays
}

struct ArraysReader<'a> {
    folder: Option<&'a Path>,
    sites: &'a Sites,
    diagnostics: &'a Diagnostics,
    names: HashSet<&'a str>,
    hosts: HashSet<&'a str>,
}

impl<'a> ArraysReader<'a> {
    fn array(&mut self, table: Table<'a>, arrays: &mut Arrays) {
        let id = ArrayId::at(arrays.list.len());
        let name = table.need(&NAME).and_then(|item| item.name());
        match &name {
            Some(name) => check_unique(&mut self.names, "an array", name, self.diagnostics),
            None => arrays.whole = false,
        }
        let site = table.get("site").and_then(|item| item.text()).and_then(|site| {
            let names = self.sites.list.iter().map(|site| site.name.as_str());
            lookup("site", &site, names, self.sites.whole, self.diagnostics).map(SiteId::at)
        });
        let first = arrays.hosts.len();
        let (entries, whole) = self.hosts(&table, id, arrays);
        arrays.hosts_whole.push(whole);
        let hosts: Vec<HostId> = (first..arrays.hosts.len()).map(HostId::at).collect();
        let base = table.get("base").and_then(|item| base(&item, &hosts, arrays, whole, self.diagnostics));
        arrays.based.push(table.key_span("base").is_some());
        let driver = driver::read(&table, self.folder);
        arrays.reaches.extend(match &driver {
            Some(driver) => read_reaches(&entries, driver, self.diagnostics),
            None => vec![Reach::default(); entries.len()],
        });
        arrays.drivers.push(driver.map(|given| given.driver));
        arrays.list.push(Array {
            name: name.map_or_else(Name::default, |name| name.value.into()),
            site: site.unwrap_or_else(|| self.sites.home()),
            ring: hosts.into_iter().filter(|host| Some(*host) != base).collect(),
            base,
            pick: table.get("pick").and_then(|item| item.choice(&PICKS)).unwrap_or_default(),
        });
        table.finish(None);
    }

    /// The hosts as they were given, and whether all could be read.
    fn hosts(&mut self, table: &Table<'a>, array: ArrayId, arrays: &mut Arrays) -> (Vec<GivenHost<'a>>, bool) {
        let mut hosts = Vec::new();
        let Some(item) = table.need(&HOSTS) else { return (hosts, false) };
        let (entries, mut whole) = item.list(&HOSTS.how());
        if entries.is_empty() && whole {
            item.wrong("an array needs a host", format!("write {}", HOSTS.how()));
        }
        for entry in entries {
            match self.host(&entry, array) {
                Some(((host, ghz), entry)) => {
                    arrays.hosts.push(host);
                    arrays.ghz.push(ghz);
                    hosts.push(entry);
                }
                None => whole = false,
            }
        }
        (hosts, whole)
    }

    fn host(&mut self, entry: &Item<'a>, array: ArrayId) -> Option<(SimulatedHost, GivenHost<'a>)> {
        let mut host = blank_host();
        host.0.array = array;
        let (mut uri, mut peer_uri, mut cpu_ghz) = (None, None, None);
        let name = if entry.as_text().is_some() {
            entry.name()
        } else {
            let table = entry.table_or("a name or a table", HOST)?;
            fill(&HOST_FIELDS, &table, &mut host);
            (uri, peer_uri, cpu_ghz) = (table.get("uri"), table.get("peer_uri"), table.get("cpu_ghz"));
            let name = table.need(&HOST_NAME).and_then(|item| item.name());
            table.finish(None);
            name
        }?;
        check_unique(&mut self.hosts, "a host", &name, self.diagnostics);
        host.0.name = name.value.into();
        Some((host, GivenHost { name, uri, peer_uri, cpu_ghz }))
    }
}

fn base(item: &Item<'_>, hosts: &[HostId], arrays: &Arrays, whole: bool, diagnostics: &Diagnostics) -> Option<HostId> {
    let name = item.text()?;
    let names = hosts.iter().map(|host| arrays.hosts[host.index()].name.as_str());
    let Some(found) = names.clone().position(|n| n == name.value) else {
        if whole {
            let help = format!("the base is one of the array's hosts; {}", did_you_mean(name.value, names.clone()));
            diagnostics.absent(
                name.span,
                format!("the base{} is no host of this array", if_near(name.value, names)),
                help,
            );
        }
        return None;
    };
    if hosts.len() == 1 && whole {
        let message = format!("the base '{}' is the only host: the ring is empty", name.value);
        item.wrong(message, "add another host, or remove the base");
    }
    hosts.get(found).copied()
}

/// A host as it was given.
pub(super) struct GivenHost<'a> {
    pub name: At<&'a str>,
    pub uri: Option<Item<'a>>,
    pub peer_uri: Option<Item<'a>>,
    pub cpu_ghz: Option<Item<'a>>,
}

/// How these hosts of one array are reached by its driver.
fn read_reaches(hosts: &[GivenHost<'_>], driver: &GivenDriver<'_>, diagnostics: &Diagnostics) -> Vec<Reach> {
    let word = driver.driver.word();
    if driver.driver != Driver::Simulator {
        for item in hosts.iter().filter_map(|host| host.cpu_ghz.as_ref()) {
            item.wrong(format!("only a simulated host has 'cpu_ghz', and the driver is '{word}'"), "remove it");
        }
    }
    if let (Driver::Libvirt(libvirt), Some(item)) = (&driver.driver, &driver.item) {
        return by_libvirt(hosts, driver, libvirt, item, diagnostics);
    }
    for item in hosts.iter().flat_map(|host| [&host.uri, &host.peer_uri]).flatten() {
        let message = format!("only libvirt reaches a host by a uri, and the driver is '{word}'");
        item.wrong(message, "remove it, or write driver = \"libvirt\" in the array");
    }
    vec![Reach::default(); hosts.len()]
}

fn by_libvirt(
    hosts: &[GivenHost<'_>],
    given: &GivenDriver<'_>,
    libvirt: &Libvirt,
    item: &Item<'_>,
    diagnostics: &Diagnostics,
) -> Vec<Reach> {
    let reach = |host: &GivenHost<'_>| Reach {
        uri: host.uri.as_ref().and_then(|item| address::own(item, host.name.value)),
        peer_uri: host.peer_uri.as_ref().and_then(|item| {
            let peer = address::own(item, host.name.value)?;
            driver::check_peer(item, &peer);
            Some(peer)
        }),
    };
    let reaches: Vec<Reach> = hosts.iter().map(reach).collect();
    if given.uri.is_none() {
        check_reached(hosts, item, diagnostics);
    }
    let here = Side {
        what: "uri",
        template: libvirt.uri.as_deref().zip(given.uri.as_ref()),
        hosts: hosts
            .iter()
            .zip(&reaches)
            .map(|(host, reach)| (host, host.uri.as_ref(), reach.uri.as_deref()))
            .collect(),
    };
    here.check(diagnostics);
    let peers = Side {
        what: "peer_uri",
        template: libvirt.peer_uri.as_deref().zip(given.peer_uri.as_ref()),
        hosts: hosts
            .iter()
            .zip(&reaches)
            .map(|(host, reach)| (host, host.peer_uri.as_ref(), reach.peer_uri.as_deref()))
            .collect(),
    };
    peers.check(diagnostics);
    if hosts.len() > 1 && given.peer_uri.is_none() {
        hosts.iter().zip(&reaches).for_each(|(host, reach)| check_local(host, reach));
    }
    reaches
}

/// Without a template each host needs a uri.
fn check_reached(hosts: &[GivenHost<'_>], driver: &Item<'_>, diagnostics: &Diagnostics) {
    let none = hosts.iter().all(|host| host.uri.is_none());
    if none && hosts.len() > 1 {
        let uri = address::TEMPLATE;
        let help = format!("write driver = {{ kind = \"libvirt\", uri = \"{uri}\" }}, or give each host its uri");
        diagnostics.absent(driver.span(), "libvirt is not told how to reach the hosts", help);
        return;
    }
    for host in hosts.iter().filter(|host| host.uri.is_none()) {
        let message = format!("libvirt is not told how to reach host '{}'", host.name.value);
        let help =
            format!("add uri = \"{}\" to it, or a uri for all hosts to the driver", address::example(host.name.value));
        diagnostics.absent(host.name.span.clone(), message, help);
    }
}

/// A local uri means another machine when another host uses it.
fn check_local(host: &GivenHost<'_>, reach: &Reach) {
    let Some(item) = host.uri.as_ref().filter(|_| host.peer_uri.is_none()) else { return };
    if reach.uri.as_deref().is_some_and(address::is_local) {
        let help = format!("add peer_uri = \"{}\", as another host reaches it", address::example(host.name.value));
        item.wrong("this uri names no host: another host would reach itself by it", help);
    }
}

/// The uris of an array's hosts as they are reached from one side.
struct Side<'r, 'a> {
    what: &'static str,
    /// The driver's, if there is a right one.
    template: Option<(&'r str, &'r Item<'a>)>,
    /// Each host, with its own if it has one, as it was given and as it was read.
    hosts: Vec<(&'r GivenHost<'a>, Option<&'r Item<'a>>, Option<&'r str>)>,
}

impl Side<'_, '_> {
    fn check(&self, diagnostics: &Diagnostics) {
        let sharing = || self.hosts.iter().filter(|(_, item, _)| item.is_none()).map(|(host, ..)| host);
        let Some((template, item)) = self.template else { return self.check_distinct(None, diagnostics) };
        let open = template.contains(address::HOST);
        if !open && sharing().count() > 1 {
            let message = format!("by this {} all hosts are the same host", self.what);
            item.wrong(message, format!("write {} for the host's name: {}", address::HOST, address::TEMPLATE));
        }
        for host in sharing().filter(|host| open && !address::fits(template, host.name.value)) {
            let message = format!("the name '{}' cannot stand in the driver's {}", host.name.value, self.what);
            let help = format!("give the host its own {} = \"{}\"", self.what, address::example("ADDRESS"));
            diagnostics.error(host.name.span.clone(), message, help);
        }
        self.check_distinct(Some(template).filter(|_| open || sharing().count() == 1), diagnostics);
    }

    fn check_distinct(&self, template: Option<&str>, diagnostics: &Diagnostics) {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (host, item, own) in &self.hosts {
            let name = host.name.value;
            let shared = || template.filter(|_| item.is_none()).map(|template| template.replace(address::HOST, name));
            let Some(uri) = own.map(str::to_owned).or_else(shared) else { continue };
            // A host that stands twice is already recorded.
            if let Some(first) = seen.insert(uri.clone(), name).filter(|first| *first != name) {
                let place = item.map_or_else(|| host.name.span.clone(), Item::span);
                let message = format!("'{first}' and '{name}' have the same {}: these are the same host", self.what);
                diagnostics.error(place, message, "give one of them another, or remove it");
            }
        }
    }
}
