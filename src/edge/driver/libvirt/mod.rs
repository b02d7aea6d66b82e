//! libvirt: live migrations from daemon to daemon, of any hypervisor that libvirt drives.
//!
//! ```text
//! order ──▶ center ──▶ a thread per job ──questions──▶ line ──▶ host's daemon
//!             ▲  │            (preflight, migrate, confirm, measure)  ▲
//!             │  └──facts──▶ tell                                     │
//!             └──────────── news ──── a thread per host ──────────────┘
//! ```
//!
//! libvirt's calls block: each host has a thread that opens its connection and looks at its domains every few seconds and
//! whenever something happens there; each job has one that asks and waits, never longer than its deadline. The library is
//! opened at run time ([`ffi`], the only unsafe code), so that the program starts where there is none.

mod address;
mod center;
mod confirm;
mod connection;
mod discover;
mod error;
mod events;
#[allow(unsafe_code)]
mod ffi;
mod fields;
mod follow;
mod forecast;
mod host;
mod layout;
mod line;
mod measure;
mod migrate;
mod picture;
mod placement;
mod preflight;
mod task;
mod watch;
mod words;
mod xml;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use self::center::{Center, Message};
pub use self::discover::{Discovered, DiscoveredDisk, DiscoveredDomain, DiscoveredHost, discover};
use self::ffi::Library;
use self::host::Post;
use self::line::Line;
use super::supervisor::{AnswerLimits, Lifeline};
use super::{DriverCommand, Fleet, Tell};
use crate::core::cluster::Libvirt as Settings;

/// Messages that wait for the center at most: it never waits itself, so that they are few.
const QUEUE: usize = 512;

/// The driver of one array.
pub struct Libvirt {
    center: SyncSender<Message>,
    stop: Arc<AtomicBool>,
    posts: Vec<SyncSender<()>>,
}

impl Libvirt {
    /// Longer than its own deadlines: two readings of both hosts, a source out of sight, an abort that is not taken.
    pub(super) const ANSWER_LIMITS: AnswerLimits = AnswerLimits {
        preflight: Duration::from_secs(30),
        presence: Duration::from_secs(60),
        measured: Duration::from_secs(15),
        silence: Duration::from_secs(180),
        back_off: Duration::from_secs(1),
    };

    /// Opens libvirt and starts a thread per host. Facts follow: each host as it answers, each VM where it runs.
    ///
    /// # Errors
    /// Without libvirt's library, or with one too old: what to install. A host without a URI. No threads.
    pub(super) fn start(settings: &Settings, fleet: Fleet, tell: Tell, lifeline: Lifeline) -> Result<Self, String> {
        let library = Library::get()?;
        let (center, inbox) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let mut posts = Vec::new();
        for (index, machine) in fleet.hosts.iter().enumerate() {
            let uri = address::from_here(settings, machine).ok_or_else(|| no_uri(&machine.name))?;
            let peer = address::from_source(settings, machine).ok_or_else(|| no_uri(&machine.name))?;
            let line = Arc::new(Line::new(&machine.name, uri, peer));
            posts.push(Post::start(library, line, index, center.clone(), Arc::clone(&stop))?);
        }
        let looks = posts.iter().map(Post::bell).collect();
        let settings = Arc::new(settings.clone());
        let guests = fleet.guests;
        let middle = Center::new(library, settings, posts, guests, center.clone(), tell, Arc::clone(&stop));
        let work = move || {
            let _lifeline = lifeline;
            middle.run(&inbox);
        };
        let named = thread::Builder::new().name("libvirt".into());
        // From here on a failure drops the driver, which stops the hosts' threads.
        let driver = Self { center, stop, posts: looks };
        named.spawn(work).map(|_| driver).map_err(|why| format!("no thread for the libvirt driver: {why}"))
    }

    /// Gives the driver something to do. Never blocks.
    ///
    /// # Errors
    /// The driver does not take it, and why.
    pub(super) fn order(&self, command: DriverCommand) -> Result<(), String> {
        self.center.try_send(Message::Order(command)).map_err(|unsent| {
            let why = match unsent {
                TrySendError::Full(_) => "is too busy",
                TrySendError::Disconnected(_) => "does not run",
            };
            format!("the libvirt driver {why}")
        })
    }
}

impl Drop for Libvirt {
    /// Its threads end by themselves. A migration goes on: it runs between the daemons.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.center.try_send(Message::Stop);
        self.posts.iter().for_each(|bell| {
            let _ = bell.try_send(());
        });
    }
}

fn no_uri(host: &str) -> String {
    format!("{host} has no URI: give the array's driver one (uri = \"qemu+ssh://root@{{host}}/system\"), or the host")
}
