//! How a host is reached: URIs for here, and for a source that sends to it.

use crate::core::cluster::Libvirt;
use crate::edge::driver::Machine;

/// The URI by which a host is reached from here; `None` if the config has none.
pub(super) fn from_here(settings: &Libvirt, host: &Machine) -> Option<String> {
    let uri = host.reach.uri.clone().or_else(|| filled(settings.uri.as_ref(), host))?;
    Some(never_asking(uri))
}

/// The URI by which a source reaches this host: its own, else the array's, else as from here.
pub(super) fn from_source(settings: &Libvirt, host: &Machine) -> Option<String> {
    let own = host.reach.peer_uri.clone().or_else(|| filled(settings.peer_uri.as_ref(), host));
    own.or_else(|| host.reach.uri.clone()).or_else(|| filled(settings.uri.as_ref(), host))
}

fn filled(template: Option<&String>, host: &Machine) -> Option<String> {
    template.map(|template| template.replace("{host}", &host.name))
}

/// ssh asks on the terminal, past the screen, unless it is told not to.
pub(super) fn never_asking(uri: String) -> String {
    let ssh = uri.split("://").next().is_some_and(|scheme| scheme.ends_with("+ssh"));
    if !ssh || uri.contains("no_tty=") {
        return uri.replace("no_tty=0", "no_tty=1");
    }
    format!("{uri}{}no_tty=1", if uri.contains('?') { '&' } else { '?' })
}

/// Who logs in where, for a hint at ssh: `root@kvm1`.
pub(super) fn login(uri: &str) -> &str {
    let place = uri.split("://").nth(1).unwrap_or(uri);
    place.split('/').next().unwrap_or(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Reach;

    fn host(uri: Option<&str>, peer: Option<&str>) -> Machine {
        let reach = Reach { uri: uri.map(Into::into), peer_uri: peer.map(Into::into) };
        Machine { name: "kvm1".into(), reach, index: Some(1) }
    }

    fn settings(uri: Option<&str>, peer: Option<&str>) -> Libvirt {
        Libvirt { uri: uri.map(Into::into), peer_uri: peer.map(Into::into), ..Libvirt::default() }
    }

    #[test]
    fn a_host_is_reached_by_its_own_uri_else_by_the_template() {
        let template = settings(Some("qemu+tcp://{host}.lan/system"), None);
        assert_eq!(from_here(&template, &host(None, None)).unwrap(), "qemu+tcp://kvm1.lan/system");
        assert_eq!(from_here(&template, &host(Some("xen://other/"), None)).unwrap(), "xen://other/");
        assert_eq!(from_here(&settings(None, None), &host(None, None)), None);
    }

    #[test]
    fn a_source_has_a_uri_of_its_own_for_the_destination() {
        let both = settings(Some("qemu+ssh://{host}/system"), Some("qemu+tls://{host}.migrate/system"));
        assert_eq!(from_source(&both, &host(Some("qemu+tcp://a/system"), Some("qemu:///x"))).unwrap(), "qemu:///x");
        assert_eq!(
            from_source(&both, &host(Some("qemu+tcp://a/system"), None)).unwrap(),
            "qemu+tls://kvm1.migrate/system"
        );
        let one = settings(Some("qemu+ssh://{host}/system"), None);
        assert_eq!(from_source(&one, &host(Some("qemu+tcp://a/system"), None)).unwrap(), "qemu+tcp://a/system");
        assert_eq!(from_source(&one, &host(None, None)).unwrap(), "qemu+ssh://kvm1/system");
    }

    #[test]
    fn ssh_never_asks() {
        let asked = |uri: &str| never_asking(uri.into());
        assert_eq!(asked("qemu+ssh://root@kvm1/system"), "qemu+ssh://root@kvm1/system?no_tty=1");
        assert_eq!(asked("qemu+ssh://kvm1/system?keyfile=/k"), "qemu+ssh://kvm1/system?keyfile=/k&no_tty=1");
        assert_eq!(asked("qemu+ssh://kvm1/system?no_tty=0"), "qemu+ssh://kvm1/system?no_tty=1");
        assert_eq!(asked("qemu+tcp://kvm1/system"), "qemu+tcp://kvm1/system");
        assert_eq!(login("qemu+ssh://root@kvm1/system"), "root@kvm1");
    }
}
