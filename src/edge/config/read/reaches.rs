//! How the hosts of an array are reached, and which of their keys go with its driver.

use std::collections::HashMap;

use super::super::diagnostics::Diagnostics;
use super::super::toml_reader::{At, Item};
use super::address;
use super::driver::{self, GivenDriver};
use crate::core::cluster::{Driver, Libvirt, Reach};

/// A host as it was given.
pub(super) struct Entry<'a> {
    pub name: At<&'a str>,
    pub uri: Option<Item<'a>>,
    pub peer_uri: Option<Item<'a>>,
    pub cpu_ghz: Option<Item<'a>>,
}

/// How these hosts of one array are reached by its driver.
pub(super) fn read(hosts: &[Entry<'_>], driver: &GivenDriver<'_>, diagnostics: &Diagnostics) -> Vec<Reach> {
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
    hosts: &[Entry<'_>],
    given: &GivenDriver<'_>,
    libvirt: &Libvirt,
    item: &Item<'_>,
    diagnostics: &Diagnostics,
) -> Vec<Reach> {
    let reach = |host: &Entry<'_>| Reach {
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
fn check_reached(hosts: &[Entry<'_>], driver: &Item<'_>, diagnostics: &Diagnostics) {
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

/// A host whose uri says "here" is not reached by it from another one.
fn check_local(host: &Entry<'_>, reach: &Reach) {
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
    hosts: Vec<(&'r Entry<'a>, Option<&'r Item<'a>>, Option<&'r str>)>,
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
            // A host that stands twice was told.
            if let Some(first) = seen.insert(uri.clone(), name).filter(|first| *first != name) {
                let place = item.map_or_else(|| host.name.span.clone(), Item::span);
                let message = format!("'{first}' and '{name}' have the same {}: these are the same host", self.what);
                diagnostics.error(place, message, "give one of them another, or remove it");
            }
        }
    }
}
