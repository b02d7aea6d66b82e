//! What a changed config changes beside policies, line by line.

use std::collections::HashMap;

use super::names::Names;
use crate::core::cluster::{Array, Cluster, Host, Limits, Mode, Pick, Span, Vm, VmId, written};

/// A VM, if it is about one, and what changed in words.
type Line = (Option<VmId>, String);

/// What differs between two clusters. `reread`: the VMs whose monitor reads something else.
pub(super) fn changes(old: &Cluster, new: &Cluster, names: &Names, reread: &[String]) -> Vec<Line> {
    let mut lines = Vec::new();
    if old.mode != new.mode {
        lines.push((None, format!("mode {} → {}", old.mode.word(), new.mode.word())));
    }
    lines.extend(keys(&limits(&old.limits), &limits(&new.limits)).map(|text| (None, text)));
    lines.extend(things(
        (&old.arrays, &new.arrays),
        "array",
        |array| &array.name,
        |was, is| keys(&of_array(was, old), &of_array(is, new)).collect(),
    ));
    lines.extend(things(
        (&old.hosts, &new.hosts),
        "host",
        |host| &host.name,
        |was, is| {
            let draining = match (was.draining, is.draining) {
                (false, true) => Some("draining, takes no more VMs".to_owned()),
                (true, false) => Some("takes VMs again".to_owned()),
                _ => None,
            };
            keys(&of_host(was), &of_host(is)).chain(draining).collect()
        },
    ));
    vms(old, new, names, reread, &mut lines);
    lines
}

fn vms(old: &Cluster, new: &Cluster, names: &Names, reread: &[String], lines: &mut Vec<Line>) {
    let mut known = vec![false; new.vms.len()];
    for (before, id) in old.vms.iter().zip(&names.vms) {
        let Some(id) = *id else {
            lines.push((None, format!("VM {} is gone", before.name)));
            continue;
        };
        known[id.index()] = true;
        lines.extend(keys(&of_vm(before, old), &of_vm(new.vm(id), new)).map(|text| (Some(id), text)));
        if reread.contains(&before.name) {
            lines.push((Some(id), "its monitor reads something else: counted from 0".to_owned()));
        }
    }
    let added = new.vms.iter().enumerate().filter(|(at, _)| !known[*at]);
    lines.extend(added.map(|(at, vm)| (Some(VmId::at(at)), format!("new, on {}", new.host(vm.host).name))));
}

/// Hosts or arrays: those that are gone, those that changed, those that are new.
fn things<T>(
    (old, new): (&[T], &[T]),
    what: &str,
    name: impl Fn(&T) -> &String,
    changed: impl Fn(&T, &T) -> Vec<String>,
) -> Vec<Line> {
    let by_name = |things: &'_ [T]| things.iter().enumerate().map(|(at, t)| (name(t).clone(), at)).collect();
    let (before, after): (HashMap<String, usize>, HashMap<String, usize>) = (by_name(old), by_name(new));
    let mut said = Vec::new();
    for thing in old {
        match after.get(name(thing)) {
            Some(at) => {
                said.extend(changed(thing, &new[*at]).iter().map(|text| format!("{what} {}: {text}", name(thing))));
            }
            None => said.push(format!("{what} {} is gone", name(thing))),
        }
    }
    let fresh = new.iter().filter(|thing| !before.contains_key(name(thing)));
    said.extend(fresh.map(|thing| format!("{what} {} is new", name(thing))));
    said.into_iter().map(|text| (None, text)).collect()
}

/// `cooldown "off" → "15m"`, for each key whose value is another.
fn keys<const N: usize>(
    old: &[(&'static str, String); N],
    new: &[(&'static str, String); N],
) -> impl Iterator<Item = String> + use<N> {
    let pairs = old.iter().zip(new).filter(|((_, was), (_, is))| was != is);
    let said: Vec<String> = pairs.map(|((key, was), (_, is))| format!("{key} {was} → {is}")).collect();
    said.into_iter()
}

fn limits(limits: &Limits) -> [(&'static str, String); 6] {
    let off = || "\"off\"".to_owned();
    let span = |span: Span| format!("\"{}\"", written(span));
    let or_off = |length: Span| if length == Span::ZERO { off() } else { span(length) };
    [
        ("at_once", limits.at_once.to_string()),
        ("at_once_per_host", limits.at_once_per_host.to_string()),
        ("moves_per_hour", limits.moves_per_hour.map_or_else(off, |most| most.to_string())),
        ("cooldown", or_off(limits.cooldown)),
        ("flap_window", limits.flap_window.map_or_else(off, span)),
        ("hold_after_manual", or_off(limits.hold_after_manual)),
    ]
}

fn of_array(array: &Array, cluster: &Cluster) -> [(&'static str, String); 3] {
    let ring: Vec<&str> = array.ring.iter().map(|host| cluster.host(*host).name.as_str()).collect();
    [
        ("ring", ring.join(" ")),
        ("base", array.base.map_or_else(|| "none".to_owned(), |host| cluster.host(host).name.clone())),
        ("pick", (if array.pick == Pick::Best { "\"best\"" } else { "\"next\"" }).to_owned()),
    ]
}

fn of_host(host: &Host) -> [(&'static str, String); 2] {
    [
        ("capacity", host.capacity.map_or_else(|| "none".to_owned(), |most| most.to_string())),
        ("price", host.price.to_string()),
    ]
}

fn of_vm(vm: &Vm, cluster: &Cluster) -> [(&'static str, String); 5] {
    [
        ("array", cluster.array(vm.array).name.clone()),
        ("away", vm.away.map_or_else(|| "none".to_owned(), |array| cluster.array(array).name.clone())),
        ("interval", format!("\"{}\"", written(vm.interval))),
        ("indicator", vm.indicator.name.clone()),
        ("mode", vm.mode.map_or("the cluster's", Mode::word).to_owned()),
    ]
}
