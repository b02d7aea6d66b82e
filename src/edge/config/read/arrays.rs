//! `[[array]]`: arrays, their hosts in ring order, and their drivers.

use std::collections::HashSet;
use std::path::Path;

use super::super::diagnostics::Diagnostics;
use super::super::keys;
use super::super::render::DEFAULT_GHZ;
use super::super::toml_reader::{Item, Table};
use super::super::words::{did_you_mean, if_near};
use super::driver;
use super::reaches::{self, Entry};
use super::sites::Sites;
use super::{check_unique, lookup};
use crate::core::cluster::{Array, ArrayId, Driver, Host, HostId, Pick, Reach, SiteId};

const EXAMPLE: &str = "host = [{ name = \"mln1\" }, { name = \"mln2\" }]";

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
        diagnostics.absent(0..0, "there is no [[array]]", format!("add [[array]] with a name, and {EXAMPLE}"));
        return arrays;
    };
    let (entries, whole) = item.list("[[array]], in double brackets, once for each");
    (arrays.whole, arrays.entries_whole) = (whole, whole);
    let mut reader = Reader { folder, sites, diagnostics, names: HashSet::new(), hosts: HashSet::new() };
    for entry in &entries {
        match entry.table(keys::ARRAY) {
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
        let name = table.need("name", "name = \"a\"").and_then(|item| item.name());
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
            name: name.map_or_else(String::new, |name| name.value.to_owned()),
            site: site.unwrap_or_else(|| self.sites.home()),
            ring: hosts.into_iter().filter(|host| Some(*host) != base).collect(),
            base,
            pick: table
                .get("pick")
                .and_then(|item| item.choice(&[("next", Pick::Next), ("best", Pick::Best)]))
                .unwrap_or_default(),
        });
        table.finish(None);
    }

    /// The hosts as they were given, and whether all could be read.
    fn hosts(&mut self, table: &Table<'a>, array: ArrayId, arrays: &mut Arrays) -> (Vec<Entry<'a>>, bool) {
        let mut hosts = Vec::new();
        let Some(item) = table.need("host", EXAMPLE) else { return (hosts, false) };
        let (entries, mut whole) = item.list(EXAMPLE);
        if entries.is_empty() && whole {
            item.wrong("an array needs a host", format!("write {EXAMPLE}"));
        }
        for entry in entries {
            match self.host(&entry, array) {
                Some((host, ghz, entry)) => {
                    arrays.hosts.push(host);
                    arrays.ghz.push(ghz);
                    hosts.push(entry);
                }
                None => whole = false,
            }
        }
        (hosts, whole)
    }

    fn host(&mut self, entry: &Item<'a>, array: ArrayId) -> Option<(Host, f64, Entry<'a>)> {
        let mut host = Host { name: String::new(), array, capacity: None, price: 0.0, draining: false };
        let (mut uri, mut peer_uri, mut cpu_ghz) = (None, None, None);
        let name = if entry.as_text().is_some() {
            entry.name()
        } else {
            let table = entry.table_or("a name or a table", keys::HOST)?;
            host.capacity = table.get("capacity").and_then(|item| item.whole(1..=u32::MAX));
            host.price = table.get("price").and_then(|item| item.number_in(0.0..=f64::MAX, "0 or more")).unwrap_or(0.0);
            host.draining = table.get("draining").and_then(|item| item.flag()).unwrap_or(false);
            (uri, peer_uri, cpu_ghz) = (table.get("uri"), table.get("peer_uri"), table.get("cpu_ghz"));
            let name = table.need("name", "name = \"mln1\"").and_then(|item| item.name());
            table.finish(None);
            name
        }?;
        check_unique(&mut self.hosts, "a host", &name, self.diagnostics);
        host.name = name.value.to_owned();
        let ghz = cpu_ghz.as_ref().and_then(|item| item.positive()).unwrap_or(DEFAULT_GHZ);
        Some((host, ghz, Entry { name, uri, peer_uri, cpu_ghz }))
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
