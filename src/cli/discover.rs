//! `whimbrel discover URI…`: a first config for a cluster that libvirt drives, with remarks.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};

use crate::core::engine::Presence;
use crate::core::format::{counted, is_hostile, tame};
use crate::edge::config;
use crate::edge::driver::libvirt::{Discovered, DiscoveredDomain, DiscoveredHost, discover};

/// Ask libvirt hosts what runs there, and print a config for them
///
/// The config is complete: save it as whimbrel.toml, and `whimbrel` opens on your own cluster. Its mode is `ask`: nothing
/// moves before you approve it. Each VM is watched by its CPU until you name its service.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLE)]
pub(super) struct DiscoverCommand {
    /// Each host's libvirt URI, in ring order: later = better
    #[arg(required = true, value_name = "URI")]
    uris: Vec<String>,
}

const EXAMPLE: &str = "\
Example:
  whimbrel discover qemu+ssh://root@kvm1/system qemu+ssh://root@kvm2/system > whimbrel.toml
Exit status:
  0 all hosts answered, 1 some did not (the config has the others), 2 wrong arguments";

impl DiscoverCommand {
    pub(super) fn run(&self) -> Result<ExitCode> {
        if let Some(uri) = self.uris.iter().enumerate().find_map(|(n, uri)| self.uris[..n].contains(uri).then_some(uri))
        {
            return Ok(super::refuse(&format!("error: {uri} is named twice")));
        }
        if let Some(uri) = self.uris.iter().find(|uri| !uri.contains("://")) {
            let help = format!("error: '{uri}' is no URI\nhelp: write qemu+ssh://root@{uri}/system");
            return Ok(super::refuse(&help));
        }
        let mut err = io::stderr();
        if err.is_terminal() {
            let hosts = if self.uris.len() == 1 { "host" } else { "hosts" };
            let _ = writeln!(err, "asking {} {hosts} …", self.uris.len());
        }
        let found = discover(&self.uris).map_err(|why| eyre!(why))?;
        let silent = found.iter().filter_map(|found| found.host.as_ref().err());
        let silent: Vec<&String> = silent.inspect(|why| drop(writeln!(io::stderr(), "error: {why}"))).collect();
        if silent.len() == found.len() {
            return Ok(ExitCode::FAILURE);
        }
        let text = first_config(&found);
        // `whimbrel check` must accept what is printed.
        config::parse(Path::new("whimbrel.toml"), &text)
            .map_err(|report| eyre!("what was found makes no right config; please report this:\n{report}\n{text}"))?;
        io::stdout().write_all(text.as_bytes()).wrap_err("standard output cannot be written")?;
        Ok(if silent.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// One host of the config.
#[derive(Debug)]
struct NamedHost<'f> {
    pub name: String,
    pub uri: &'f str,
    pub found: &'f DiscoveredHost,
}

/// The hosts that answered, each with a unique name.
fn named(found: &[Discovered]) -> Vec<NamedHost<'_>> {
    let mut taken = HashSet::new();
    let answered = found.iter().filter_map(|found| Some((found.uri.as_str(), found.host.as_ref().ok()?)));
    answered
        .map(|(uri, found)| {
            let name = split(uri).map_or(found.name.as_str(), |(_, host, _)| host);
            NamedHost { name: config::free_name(plain(name), &mut taken), uri, found }
        })
        .collect()
}

/// The URI that all hosts share, with `{host}` instead of their names.
fn template(hosts: &[NamedHost<'_>]) -> Option<String> {
    let of = |host: &NamedHost<'_>| {
        let (before, name, after) = split(host.uri)?;
        (name == host.name).then(|| format!("{before}{{host}}{after}"))
    };
    let first = of(hosts.first()?)?;
    hosts.iter().all(|host| of(host).as_ref() == Some(&first)).then_some(first)
}

/// A URI's host with the parts before and after it; `None` if there is no host or it cannot be a name.
fn split(uri: &str) -> Option<(&str, &str, &str)> {
    let authority = uri.find("://")? + 3;
    let end = uri[authority..].find(['/', '?', '#']).map_or(uri.len(), |at| authority + at);
    let start = uri[authority..end].rfind('@').map_or(authority, |at| authority + at + 1);
    let end = uri[start..end].find(':').map_or(end, |at| start + at);
    let host = &uri[start..end];
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) && !host.is_empty();
    is_name.then(|| (&uri[..start], host, &uri[end..]))
}

/// A name that the config accepts.
fn plain(name: &str) -> String {
    let kept: String =
        name.chars().map(|c| if c.is_whitespace() || is_hostile(c) { '-' } else { c }).take(60).collect();
    if kept.is_empty() { "unnamed".to_owned() } else { kept }
}

const HEAD: &str = "\
# A first config, as libvirt's hosts told it. Nothing moves before you approve it: see mode.
# `whimbrel check` looks it over, `whimbrel` opens the console on it, `whimbrel run` runs it without a screen.
mode = \"ask\"                 # observe: log only; ask: you approve each move; auto

";
const RING: &str = "host = [                     # in ring order: moves go to the next one that has room\n";
const PEER: &str = "# peer_uri = \"…\"             # how one host reaches another for a move, if not by the same URI\n";
const VMS: &str = "\
# Each VM is watched by the CPU that its host sees it use. Its service tells more: put its own line in the place of the
# `monitor` line, with a threshold that fits it, for instance
#   monitor = { kind = \"http\", url = \"http://web1/\", deadline = \"5s\" }                            # ms
#   monitor = { kind = \"apache\", url = \"http://web1/server-status?auto\" }                         # idle workers
#   monitor = { kind = \"mysql\", url = \"mysql://watch@db1:3306\", password_env = \"DB1_PASSWORD\" }     # slow queries a minute
";
const WATCHED: &str = "\
monitor = { kind = \"hypervisor\", field = \"cpu\" }            # or its service: see above
policy = { kind = \"threshold\", threshold = 90, tarry = 5 }  # %, above it so often in a row: move
";

/// A config for the hosts that answered and the VMs that run there.
fn first_config(found: &[Discovered]) -> String {
    let mut text = HEAD.to_owned();
    let hosts = named(found);
    array(&mut text, &hosts, found);
    machines(&mut text, &hosts);
    text
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes whatever is written to it");
}

/// A string as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn array(text: &mut String, hosts: &[NamedHost<'_>], found: &[Discovered]) {
    push(
        text,
        format_args!("[[array]]\nname = \"a\"                   # hosts that share storage and network\n{RING}"),
    );
    let template = template(hosts);
    for host in hosts {
        let uri = if template.is_some() { String::new() } else { format!(", uri = {}", quoted(host.uri)) };
        let (cpus, memory) = (in_cpus(host.found.cpus), in_gib(host.found.memory));
        push(text, format_args!("  {{ name = {}{uri} }},   # {cpus}, {memory} memory\n", quoted(&host.name)));
    }
    for silent in found.iter().filter(|found| found.host.is_err()) {
        push(text, format_args!("  # {}: did not answer\n", tame(&silent.uri)));
    }
    push(text, format_args!("]\n[array.driver]\nkind = \"libvirt\"\n"));
    if let Some(template) = template {
        push(text, format_args!("uri = {}\n", quoted(&template)));
    }
    push(text, format_args!("{PEER}\n"));
}

fn machines(text: &mut String, hosts: &[NamedHost<'_>]) {
    let mut taken = HashSet::new();
    let mut seen: HashMap<&str, &str> = HashMap::new();
    let mut resting = Vec::new();
    let mut first = true;
    for host in hosts {
        for domain in &host.found.domains {
            if !matches!(domain.presence, Presence::Runs | Presence::Paused) {
                resting.push((host, domain));
            } else if let Some(other) = seen.insert(&domain.uuid, &host.name) {
                let (name, here) = (tame(&domain.name), &host.name);
                push(
                    text,
                    format_args!("# !! {name} runs on {other} and on {here}: stop one before anything moves it.\n\n"),
                );
            } else {
                if std::mem::take(&mut first) {
                    text.push_str(VMS);
                }
                machine(text, host, domain, &config::free_name(plain(&domain.name), &mut taken));
            }
        }
    }
    let resting = resting.into_iter().filter(|(_, domain)| !seen.contains_key(domain.uuid.as_str()));
    for (host, domain) in resting {
        push(text, format_args!("# Not running, and left out: {} on {}.\n", tame(&domain.name), host.name));
    }
    if first {
        let host = hosts.first().map_or("", |host| host.name.as_str());
        push(
            text,
            format_args!(
                "# No VM runs there yet. This one stands for the first:\n[[vm]]\nname = \"first\"\nhost = {}\n{WATCHED}",
                quoted(host)
            ),
        );
    }
}

fn machine(text: &mut String, host: &NamedHost<'_>, domain: &DiscoveredDomain, name: &str) {
    push(text, format_args!("[[vm]]\nname = {}\n", quoted(name)));
    push(text, format_args!("host = {}\nuuid = {}\n", quoted(&host.name), quoted(&domain.uuid)));
    if name != domain.name {
        push(text, format_args!("# libvirt calls it {}\n", tame(&domain.name)));
    }
    let (cpus, memory) = (in_cpus(domain.cpus), in_gib(domain.memory));
    let kind = if domain.persistent { "defined there" } else { "not defined there: gone when it stops" };
    let still = if domain.presence == Presence::Paused { "; it is paused" } else { "" };
    push(text, format_args!("# {cpus}, {memory} memory, {kind}{still}\n"));
    for disk in &domain.disks {
        let about = disk.remark.as_ref().map_or_else(|| "shared".to_owned(), |why| format!("! {}", tame(why)));
        push(text, format_args!("# disk {} ({}): {about}\n", tame(&disk.source), tame(&disk.kind)));
    }
    push(text, format_args!("{WATCHED}\n"));
}

fn in_cpus(n: u32) -> String {
    counted(n, "CPU", "CPUs")
}

fn in_gib(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes / MIB {
        mib @ 0..1024 => format!("{mib} MiB"),
        mib => format!("{:.1} GiB", mib as f64 / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::cluster::{Driver, Mode};
    use crate::edge::config::{self, Config};
    use crate::edge::driver::libvirt::{DiscoveredDisk, DiscoveredHost};

    fn domain(name: &str, uuid: u8, presence: Presence) -> DiscoveredDomain {
        DiscoveredDomain {
            name: name.to_owned(),
            uuid: format!("00000000-0000-4000-8000-0000000000{uuid:02x}"),
            presence,
            persistent: true,
            memory: 2 << 30,
            cpus: 2,
            disks: Vec::new(),
        }
    }

    fn host(uri: &str, domains: Vec<DiscoveredDomain>) -> Discovered {
        let found = DiscoveredHost { name: "machine".to_owned(), memory: 64 << 30, cpus: 16, domains };
        Discovered { uri: uri.to_owned(), host: Ok(found) }
    }

    fn read(found: &[Discovered]) -> (String, Config) {
        let text = first_config(found);
        let read = config::parse(Path::new("whimbrel.toml"), &text).unwrap_or_else(|report| panic!("{report}\n{text}"));
        (text, read)
    }

    #[test]
    fn what_runs_is_watched_where_it_runs_and_nothing_moves_by_itself() {
        let runs = |name, uuid| domain(name, uuid, Presence::Runs);
        let (text, config) = read(&[
            host("qemu+ssh://root@kvm1/system", vec![runs("web1", 1), domain("old", 9, Presence::Absent)]),
            host("qemu+ssh://root@kvm2/system", vec![runs("web2", 2), domain("web1", 1, Presence::Absent)]),
        ]);
        assert_eq!(config.cluster.mode, Mode::Ask);
        let Driver::Libvirt(libvirt) = &config.drivers[0] else { panic!("{:?}", config.drivers) };
        assert_eq!(libvirt.uri.as_deref(), Some("qemu+ssh://root@{host}/system"));
        let vms: Vec<_> =
            config.cluster.vms.iter().map(|vm| (&*vm.name, &*config.cluster.host(vm.host).name)).collect();
        assert_eq!(vms, [("web1", "kvm1"), ("web2", "kvm2")]);
        assert!(text.contains("left out: old on kvm1") && !text.contains("left out: web1"), "{text}");
    }

    #[test]
    fn names_that_a_config_does_not_take_or_that_are_taken_are_changed() {
        let paused = domain("a", 3, Presence::Paused);
        let (text, config) = read(&[
            host("qemu+tcp://10.0.0.1:16509/system", vec![domain("my\tVM \"x\"", 1, Presence::Runs), paused]),
            host("qemu+tcp://10.0.0.1:16510/system", vec![domain("a", 4, Presence::Runs)]),
        ]);
        let names: Vec<_> = config.cluster.vms.iter().map(|vm| &*vm.name).collect();
        assert_eq!(names, ["my-VM-\"x\"", "a", "a-2"]);
        assert!(text.contains("# libvirt calls it my VM \"x\"\n") && text.contains("it is paused"), "{text}");
        assert_eq!(config.cluster.hosts[1].name, "10.0.0.1-2");
        assert_eq!(config.reaches[1].uri.as_deref(), Some("qemu+tcp://10.0.0.1:16510/system"));
    }

    #[test]
    fn what_should_worry_is_said() {
        let mut web = domain("web", 1, Presence::Runs);
        let why = Some("on this host alone".to_owned());
        web.disks = vec![DiscoveredDisk { kind: "file".to_owned(), source: "/a\nb".to_owned(), remark: why }];
        let silent = Discovered { uri: "qemu+tcp://c/system".to_owned(), host: Err("refused".to_owned()) };
        let twice = domain("web", 1, Presence::Runs);
        let (text, _) =
            read(&[host("qemu+tcp://a/system", vec![web]), host("qemu+tcp://b/system", vec![twice]), silent]);
        for said in [
            "# disk /a b (file): ! on this host alone",
            "web runs on a and on b",
            "qemu+tcp://c/system: did not answer",
        ] {
            assert!(text.contains(said), "{said} in\n{text}");
        }
    }

    #[test]
    fn a_host_without_vms_and_a_local_one_make_configs_too() {
        let (_, config) = read(&[host("qemu:///system", Vec::new())]);
        assert_eq!((&*config.cluster.hosts[0].name, &*config.cluster.vms[0].name), ("machine", "first"));
        let (_, config) = read(&[host("qemu+ssh://root@[::1]/system", Vec::new())]);
        assert_eq!(config.reaches[0].uri.as_deref(), Some("qemu+ssh://root@[::1]/system"));
    }
}
