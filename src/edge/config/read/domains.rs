//! `domain` and `uuid`: how a hypervisor knows a VM.

use std::collections::HashMap;

use super::super::diagnostics::Diagnostics;
use super::super::keys::{Form, Key, WrittenKey, text};
use super::super::toml_reader::{At, Item, Table};
use crate::core::cluster::{ArrayId, Domain, Driver};

pub(super) const DOMAIN: Key =
    Key::new("domain", Form::Text, "Its name for libvirt and commands").default("the VM's name");
pub(super) const UUID: Key =
    Key::new("uuid", Form::Text, "Its uuid for libvirt and commands, which wins over the name").default("none");

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
    /// Records the keys of a VM that its driver has no use for, and those by which another VM of the array is known.
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
        // One that is known by its uuid may have any name.
        let name = domain.name.as_deref().or(given.uuid.is_none().then_some(vm.value));
        let first = name.and_then(|name| self.names.insert((array, name.to_owned()), vm.value));
        // A VM that stands twice was told.
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
