//! Where a VM is, and where it may be sent: its array, host and the array of another site.

use std::collections::HashMap;

use super::super::toml_reader::{At, Item, Table};
use super::super::words::{did_you_mean, if_near};
use super::agree;
use super::lookup;
use super::policy::{Policy, PolicyKind};
use super::vms::{Context, HOST};
use crate::core::cluster::{ArrayId, Host, HostId};

/// Where one VM is.
pub(super) struct Place {
    pub array: ArrayId,
    pub host: HostId,
    /// Of a VM of the site policy.
    pub away: Option<ArrayId>,
}

/// Puts VMs on hosts until these are full.
pub(super) struct Places<'c, 'a> {
    context: &'c Context<'a>,
    /// How many VMs stand on a host so far.
    filled: HashMap<HostId, u32>,
}

impl<'c, 'a> Places<'c, 'a> {
    pub fn new(context: &'c Context<'a>) -> Self {
        Self { context, filled: HashMap::new() }
    }

    /// The place of a VM. `policy` is its own, and the value that gave it.
    pub fn place(&mut self, table: &Table<'a>, policy: Option<(&Policy, &Item<'a>)>) -> Option<Place> {
        let named = table.get("array");
        let array = named.as_ref().and_then(|item| item.text()).and_then(|name| self.array(&name));
        let host = table.need(&HOST).and_then(|item| item.text());
        let host = host.and_then(|name| Some(At::new(self.host(&name, array)?, name.span)));
        // Without an array named, the host says which; with a wrong one, nothing does.
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
        Some(Place { array: array?, host: host?.value, away })
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

    /// A VM of the site policy lives at home, wherever it is now.
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

    /// Counts a VM on its host, and says so when it is the first too many.
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
