//! Finds the host and the domains behind a URI, for a first config.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use roxmltree::{Document, Node};

use super::connection::{HeldDomain, Hypervisor};
use super::data::{LibvirtError, child};
use super::ffi::LibvirtLibrary;
use super::{login, never_asking, words};
use crate::core::engine::Presence;

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Disks of these kinds are shared between hosts.
const NETWORKED: [&str; 2] = ["network", "volume"];

/// What is behind one URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The URI as given.
    pub uri: String,
    /// The host; or why it cannot be reached, and what to do about it.
    pub host: Result<DiscoveredHost, String>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredHost {
    /// The name that it gives itself.
    pub name: String,
    /// Memory in bytes.
    pub memory: u64,
    /// Processors that are on.
    pub cpus: u32,
    /// In the order of their names, also those that do not run.
    pub domains: Vec<DiscoveredDomain>,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredDomain {
    /// Its name.
    pub name: String,
    /// Its uuid.
    pub uuid: String,
    /// How it stands there.
    pub presence: Presence,
    /// It is defined: it is still there when it does not run.
    pub persistent: bool,
    /// Memory in bytes.
    pub memory: u64,
    /// Virtual processors.
    pub cpus: u32,
    /// Its disks, without empty drives.
    pub disks: Vec<DiscoveredDisk>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredDisk {
    /// libvirt's word for its kind: `file`, `block`, `network`, `volume`, ….
    pub kind: String,
    /// Where it is: a path, or the protocol and the name of a network disk.
    pub source: String,
    /// Why the VM may not be able to move: other hosts may not have the disk.
    pub remark: Option<String>,
}

/// Asks all these hosts at the same time. Blocks for up to 20 seconds. A host that cannot be reached has the reason in its place.
///
/// # Errors
/// What to install, if libvirt's library is missing or too old.
pub fn discover(uris: &[String]) -> Result<Vec<Discovered>, String> {
    let library = LibvirtLibrary::get()?;
    let deadline = Instant::now() + PATIENCE;
    let asked: Vec<_> = uris.iter().map(|uri| (uri, ask(library, uri.clone()))).collect();
    let all = asked.into_iter().map(|(uri, answer)| {
        let left = deadline.saturating_duration_since(Instant::now());
        let host = answer.recv_timeout(left).unwrap_or_else(|_| Err(format!("nothing answers at {uri}")));
        Discovered { uri: uri.clone(), host }
    });
    Ok(all.collect())
}

fn ask(library: &'static LibvirtLibrary, uri: String) -> std::sync::mpsc::Receiver<Result<DiscoveredHost, String>> {
    let (sender, answer) = sync_channel(1);
    // Without a thread the channel closes, which counts as no answer.
    let _ = thread::Builder::new().name("libvirt discover".into()).spawn(move || {
        let why = |error| words::line(&words::down(login(&uri), &uri, &error));
        let connection = Hypervisor::open(library, &never_asking(uri.clone()), None);
        let host = connection.and_then(|connection| host(&connection));
        let _ = sender.send(host.map_err(why));
    });
    answer
}

fn host(connection: &Hypervisor) -> Result<DiscoveredHost, LibvirtError> {
    let node = connection.node()?;
    let mut domains = Vec::new();
    for domain in connection.domains()? {
        match described(&domain) {
            Ok(domain) => domains.push(domain),
            // It has disappeared meanwhile.
            Err(error) if error.absent() => {}
            Err(error) => return Err(error),
        }
    }
    domains.sort_by(|a, b| a.name.cmp(&b.name));
    let memory = node.memory * 1_024;
    Ok(DiscoveredHost { name: connection.hostname()?, memory, cpus: node.cpus, domains })
}

fn described(domain: &HeldDomain<'_>) -> Result<DiscoveredDomain, LibvirtError> {
    let (ident, size) = (domain.ident(), domain.size()?);
    Ok(DiscoveredDomain {
        name: ident.name,
        uuid: ident.uuid,
        presence: domain.presence()?,
        persistent: domain.persistent()?,
        memory: size.most_memory * 1_024,
        cpus: u32::from(size.cpus),
        disks: disks(&domain.xml()?),
    })
}

fn disks(domain: &str) -> Vec<DiscoveredDisk> {
    let Ok(domain) = Document::parse(domain) else { return Vec::new() };
    domain.descendants().filter(|node| node.has_tag_name("disk")).filter_map(disk).collect()
}

fn disk(disk: Node<'_, '_>) -> Option<DiscoveredDisk> {
    let kind = disk.attribute("type")?.to_owned();
    let element = child(disk, "source")?;
    let part = |name| element.attribute(name);
    let place = part("file").or(part("dev")).or(part("dir")).or(part("volume")).or(part("name"));
    let place = place.or(part("protocol")).unwrap_or("?");
    let source = match part("protocol").filter(|protocol| *protocol != place) {
        Some(protocol) => format!("{protocol}:{place}"),
        None => place.to_owned(),
    };
    let remark = remark(&kind, &source, disk);
    Some(DiscoveredDisk { kind, source, remark })
}

/// A VM can move without a copy only if both hosts have its files and devices, also the read-only ones.
fn remark(kind: &str, source: &str, disk: Node<'_, '_>) -> Option<String> {
    if NETWORKED.contains(&kind) {
        return None;
    }
    let what = if child(disk, "readonly").is_some() { "the other hosts need it, too" } else { "it must be shared" };
    Some(format!("{source} is a {kind} of this host: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_an_ampersand_and_a_chain_of_images_is_read_as_it_is() {
        let xml = "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><devices>\
            <disk type='file'><backingStore type='file'><source file='/base'/></backingStore>\
            <source file='/var/R&amp;D &quot;a&quot;.qcow2'/></disk></devices></domain>";
        assert_eq!(disks(xml).into_iter().map(|disk| disk.source).collect::<Vec<_>>(), ["/var/R&D \"a\".qcow2"]);
        assert_eq!(disks("<domain").len(), 0);
    }

    #[test]
    fn a_disk_that_may_be_this_hosts_alone_is_remarked_on() {
        let xml = "<domain><disk type='file' device='disk'><source file='/var/a.qcow2'/></disk>\
            <disk type='network' device='disk'><source protocol='nbd' name='web1'><host name='x'/></source></disk>\
            <disk type='file' device='cdrom'><source file='/iso'/><readonly/></disk>\
            <disk type='file' device='cdrom'><readonly/></disk></domain>";
        let found: Vec<_> = disks(xml).into_iter().map(|disk| (disk.source, disk.remark)).collect();
        let expected = [
            ("/var/a.qcow2", Some("/var/a.qcow2 is a file of this host: it must be shared")),
            ("nbd:web1", None),
            ("/iso", Some("/iso is a file of this host: the other hosts need it, too")),
        ];
        assert_eq!(found, expected.map(|(source, remark)| (source.to_owned(), remark.map(str::to_owned))));
    }
}
