//! Moves VMs by libvirt: live, from daemon to daemon, on any hypervisor that libvirt drives.
//!
//! ```text
//! order ──▶ actor ──▶ a thread per job ──questions──▶ session ──▶ host's daemon
//!            ▲  │       (preflight, migrate, confirm)                  ▲
//!            │  └──events──▶ tell                                      │
//!            └──────────── news ──── a thread per host ────────────────┘
//! ```
//!
//! libvirt's calls block. So each host has a thread that opens its connection, and looks at its domains every few seconds and
//! whenever something happens there. Each connection has a thread that puts all questions. Each job has a thread that asks and
//! waits, but never longer than its deadline; a VM has at most one check and one move at a time. All channels are bounded. The
//! library is opened at run time ([`ffi`], the only unsafe code), so that the program starts without it.

mod actor;
mod connection;
mod data;
mod discover;
#[allow(unsafe_code)]
mod ffi;
mod follow;
mod host;
mod job;
mod migrate;
mod observation;
mod preflight;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use self::actor::LibvirtActor;
use self::connection::Session;
pub use self::discover::{Discovered, DiscoveredDisk, DiscoveredDomain, DiscoveredHost, discover};
use self::ffi::LibvirtLibrary;
use self::host::HostMonitor;
use self::job::ActorMessage;
use super::supervisor::{AnswerLimits, Lifeline};
use super::{DriverCommand, Fleet, Machine, Tell};
use crate::core::cluster::Libvirt as Settings;

/// How many messages may wait for the actor. The actor never waits, so they are few. If there is no room, a command is refused, and
/// a thread waits.
const QUEUE: usize = 512;

/// The driver of one array.
pub(super) struct LibvirtDriver {
    actor: SyncSender<ActorMessage>,
    stop: Arc<AtomicBool>,
    sessions: Vec<Arc<Session>>,
}

impl LibvirtDriver {
    /// They are longer than its own deadlines: two readings of both hosts, a lost source, an abort that libvirt does not take.
    pub(super) const ANSWER_LIMITS: AnswerLimits = AnswerLimits {
        preflight: Duration::from_secs(30),
        presence: Duration::from_secs(60),
        measured: Duration::from_secs(15),
        silence: Duration::from_secs(180),
        back_off: Duration::from_secs(1),
    };

    /// Opens libvirt and starts a thread per host. Then it tells the state of each host, and where each VM runs.
    ///
    /// # Errors
    /// What to install, if libvirt's library is missing or too old. Which host has no URI. That there are no threads.
    pub(super) fn start(settings: &Settings, fleet: Fleet, tell: Tell, lifeline: Lifeline) -> Result<Self, String> {
        let library = LibvirtLibrary::get()?;
        let (actor, inbox) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let mut hosts = Vec::new();
        for machine in &fleet.hosts {
            let uri = from_here(settings, machine).ok_or_else(|| no_uri(&machine.name))?;
            let peer = from_source(settings, machine).ok_or_else(|| no_uri(&machine.name))?;
            let (session, looks) = Session::new(machine.name.clone(), uri, peer);
            hosts.push((Arc::new(session), looks));
        }
        let sessions: Vec<_> = hosts.iter().map(|(session, _)| Arc::clone(session)).collect();
        // A failure from here on drops the driver, which stops the hosts' threads.
        let driver = Self { actor: actor.clone(), stop: Arc::clone(&stop), sessions: sessions.clone() };
        for (index, (session, looks)) in hosts.into_iter().enumerate() {
            HostMonitor::start(library, session, looks, index, actor.clone(), Arc::clone(&stop))?;
        }
        let settings = Arc::new(settings.clone());
        let middle = LibvirtActor::new(library, settings, sessions, fleet.guests, actor, tell, stop);
        let work = move || {
            let _lifeline = lifeline;
            middle.run(&inbox);
        };
        let named = thread::Builder::new().name("libvirt".into());
        named.spawn(work).map(|_| driver).map_err(|why| format!("no thread for the libvirt driver: {why}"))
    }

    /// Gives the driver a command. Never blocks.
    ///
    /// # Errors
    /// Why the driver does not take it.
    pub(super) fn order(&self, command: DriverCommand) -> Result<(), String> {
        self.actor.try_send(ActorMessage::Order(command)).map_err(|unsent| {
            let why = match unsent {
                TrySendError::Full(_) => "is too busy",
                TrySendError::Disconnected(_) => "does not run",
            };
            format!("the libvirt driver {why}")
        })
    }
}

impl Drop for LibvirtDriver {
    /// Has its threads end. A migration goes on, because it runs between the daemons.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.actor.try_send(ActorMessage::Stop);
        self.sessions.iter().for_each(|session| session.look());
    }
}

fn no_uri(host: &str) -> String {
    format!("{host} has no URI: give the array's driver one (uri = \"qemu+ssh://root@{{host}}/system\"), or the host")
}

/// The URI by which this machine reaches a host; `None`: the config has none.
pub(super) fn from_here(settings: &Settings, host: &Machine) -> Option<String> {
    let uri = host.reach.uri.clone().or_else(|| filled(settings.uri.as_ref(), host))?;
    Some(never_asking(uri))
}

/// The URI by which a source reaches this host: the host's own, or the array's, or the one that is used from here.
pub(super) fn from_source(settings: &Settings, host: &Machine) -> Option<String> {
    let own = host.reach.peer_uri.clone().or_else(|| filled(settings.peer_uri.as_ref(), host));
    own.or_else(|| host.reach.uri.clone()).or_else(|| filled(settings.uri.as_ref(), host))
}

fn filled(template: Option<&String>, host: &Machine) -> Option<String> {
    template.map(|template| template.replace("{host}", &host.name))
}

/// Keeps ssh from asking for a password on the terminal, which shows the console.
pub(super) fn never_asking(uri: String) -> String {
    let ssh = uri.split("://").next().is_some_and(|scheme| scheme.ends_with("+ssh"));
    if !ssh || uri.contains("no_tty=") {
        return uri.replace("no_tty=0", "no_tty=1");
    }
    format!("{uri}{}no_tty=1", if uri.contains('?') { '&' } else { '?' })
}

/// The login in a URI, as ssh wants it: `root@kvm1`.
pub(super) fn login(uri: &str) -> &str {
    let place = uri.split("://").nth(1).unwrap_or(uri);
    place.split('/').next().unwrap_or(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{Reach, Usage};

    fn host(uri: Option<&str>, peer: Option<&str>) -> Machine {
        let reach = Reach { uri: uri.map(Into::into), peer_uri: peer.map(Into::into) };
        Machine { name: "kvm1".into(), reach, index: Some(1) }
    }

    fn settings(uri: Option<&str>, peer: Option<&str>) -> Settings {
        Settings { uri: uri.map(Into::into), peer_uri: peer.map(Into::into), ..Settings::default() }
    }

    #[test]
    fn a_driver_that_is_not_there_or_too_busy_says_so() {
        let (actor, inbox) = sync_channel(1);
        let driver = LibvirtDriver { actor, stop: Arc::default(), sessions: Vec::new() };
        let order = || driver.order(DriverCommand::Measure { vm: "nii1".into(), field: Usage::Cpu });
        assert_eq!((order(), order()), (Ok(()), Err("the libvirt driver is too busy".to_owned())));
        drop(inbox);
        assert_eq!(order(), Err("the libvirt driver does not run".to_owned()));
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
