//! `[[array]]`: arrays, their hosts in ring order, and their drivers.

use std::collections::HashSet;
use std::path::Path;

use super::super::diagnostics::Diagnostics;
use super::super::keys::{
    Field, Form, Key, KindOfTable, WrittenKey, bare, decimal, fill, set, shape, text, words_of, write,
};
use super::super::toml_reader::{Item, Shape, Table};
use super::super::words::{did_you_mean, if_near};
use super::driver;
use super::reaches::{self, Entry};
use super::sites::Sites;
use super::{check_unique, lookup};
use crate::core::cluster::{Array, ArrayId, Driver, Host, HostId, Name, Pick, Reach, SiteId};

const EXAMPLE: &str = "[{ name = \"mln1\" }, { name = \"mln2\" }]";

/// CPU of a simulated host, in GHz, unless its key says otherwise.
const DEFAULT_GHZ: f64 = 8.0;
pub(in super::super) const PICKS: [(&str, Pick); 2] = [("next", Pick::Next), ("best", Pick::Best)];

const NAME: Key = Key::new("name", Form::Text, "Its name, without blanks").example("\"a\"");
const HOSTS: Key =
    Key::new("host", Form::Table, "The hosts, in the order of their ring: later = better; a name alone is enough")
        .example(EXAMPLE);

const ARRAY_KEYS: [Key; 6] = [
    NAME,
    Key::new("site", Form::Text, "The site it is at").default("the home site"),
    Key::new("driver", Form::Words(&["simulator", "libvirt"]), "What moves the VMs: a word, or a table of its own")
        .default("\"simulator\""),
    Key::new("base", Form::Text, "A cheap host of the array outside the ring: VMs go there only by a move to base")
        .default("none"),
    Key::new(
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

const HOST_NAME: Key = Key::new("name", Form::Text, "Its name, without blanks").example("\"mln1\"");
const HOST_URI: Key = Key::new("uri", Form::Address, "How libvirt reaches this host from here").default("the driver's");
const HOST_PEER_URI: Key =
    Key::new("peer_uri", Form::Address, "How libvirt reaches it from the other hosts").default("the driver's");

/// A host, and its CPU in GHz.
type SimulatedHost = (Host, f64);

const HOST_FIELDS: [Field<SimulatedHost>; 4] = [
    Field {
        key: Key::new("capacity", Form::Number, "How many VMs it takes").default("no bound").example("4"),
        is_needed: false,
        read: |item, (host, _)| set(&mut host.capacity, item.whole(1..=u32::MAX).map(Some)),
        write: |(host, _)| bare(host.capacity?),
    },
    Field {
        key: Key::new("price", Form::Number, "What it costs an hour"),
        is_needed: false,
        read: |item, (host, _)| set(&mut host.price, item.number_in(0.0..=f64::MAX, "0 or more")),
        write: |(host, _)| decimal(host.price),
    },
    Field {
        key: Key::new("draining", Form::Flag, "It takes no more VMs; in mode \"auto\" the engine moves its VMs away"),
        is_needed: false,
        read: |item, (host, _)| set(&mut host.draining, item.flag()),
        write: |(host, _)| bare(host.draining),
    },
    Field {
        key: Key::new("cpu_ghz", Form::Number, "Its cores together; of a simulated host only"),
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
    /// By array: it names a base, right or wrong.
    pub based: Vec<bool>,
    pub hosts: Vec<Host>,
    /// By host.
    pub ghz: Vec<f64>,
    /// By host.
    pub reaches: Vec<Reach>,
    /// All arrays could be read, by name.
    pub whole: bool,
    /// No entry is something else than an array.
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

    /// Whether all hosts a VM can mean are known: of its array, or of any if it names none.
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
    let mut reader = Reader { folder, sites, diagnostics, names: HashSet::new(), hosts: HashSet::new() };
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

struct Reader<'a> {
    folder: Option<&'a Path>,
    sites: &'a Sites,
    diagnostics: &'a Diagnostics,
    names: HashSet<&'a str>,
    hosts: HashSet<&'a str>,
}

impl<'a> Reader<'a> {
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
            Some(driver) => reaches::read(&entries, driver, self.diagnostics),
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
    fn hosts(&mut self, table: &Table<'a>, array: ArrayId, arrays: &mut Arrays) -> (Vec<Entry<'a>>, bool) {
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

    fn host(&mut self, entry: &Item<'a>, array: ArrayId) -> Option<(SimulatedHost, Entry<'a>)> {
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
        Some((host, Entry { name, uri, peer_uri, cpu_ghz }))
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
