//! What the hosts of a config are called, and how they are reached.

use std::collections::HashSet;

use crate::edge::driver::libvirt::{Discovered, DiscoveredHost};

/// One host of the config.
#[derive(Debug)]
pub(super) struct Named<'f> {
    pub name: String,
    pub uri: &'f str,
    pub found: &'f DiscoveredHost,
}

/// The hosts that answered, by names that no two of them have.
pub(super) fn named(found: &[Discovered]) -> Vec<Named<'_>> {
    let mut taken = HashSet::new();
    let answered = found.iter().filter_map(|found| Some((found.uri.as_str(), found.host.as_ref().ok()?)));
    answered
        .map(|(uri, found)| {
            let name = split(uri).map_or(found.name.as_str(), |(_, host, _)| host);
            Named { name: unique(&plain(name), &mut taken), uri, found }
        })
        .collect()
}

/// The URI they all have but for their names, with `{host}` in the place of these.
pub(super) fn template(hosts: &[Named<'_>]) -> Option<String> {
    let of = |host: &Named<'_>| {
        let (before, name, after) = split(host.uri)?;
        (name == host.name).then(|| format!("{before}{{host}}{after}"))
    };
    let first = of(hosts.first()?)?;
    hosts.iter().all(|host| of(host).as_ref() == Some(&first)).then_some(first)
}

/// A URI's host, and what stands before and after it; `None`: it has none, or none that could be a name.
fn split(uri: &str) -> Option<(&str, &str, &str)> {
    let authority = uri.find("://")? + 3;
    let end = uri[authority..].find(['/', '?', '#']).map_or(uri.len(), |at| authority + at);
    let start = uri[authority..end].rfind('@').map_or(authority, |at| authority + at + 1);
    let end = uri[start..end].find(':').map_or(end, |at| start + at);
    let host = &uri[start..end];
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) && !host.is_empty();
    is_name.then(|| (&uri[..start], host, &uri[end..]))
}

/// A name as the config takes it.
pub(super) fn plain(name: &str) -> String {
    let kept: String =
        name.chars().map(|c| if c.is_whitespace() || c.is_control() { '-' } else { c }).take(60).collect();
    if kept.is_empty() { "unnamed".to_owned() } else { kept }
}

/// The name, with a number if it is taken.
pub(super) fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let more = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.to_owned()).chain(more).find(|name| taken.insert(name.clone()));
    free.unwrap_or_else(|| name.to_owned())
}
