//! A connection to one host's daemon, and the domains found through it.

use super::error::Error;
use super::events::{Listening, Wake};
use super::ffi::{self, Library, Link, Text, Vm};
use super::fields::Fields;
use super::layout::{Ident, Node, Size};

/// Figures of a domain that can be asked for together: `virDomainStatsTypes`.
pub(super) const STATE: u32 = 1;
pub(super) const CPU: u32 = 1 << 1;
pub(super) const BALLOON: u32 = 1 << 2;
pub(super) const VCPU: u32 = 1 << 3;
pub(super) const DIRTY_RATE: u32 = 1 << 9;
/// What a busy domain cannot tell at once is left out.
const NOWAIT: u32 = 1 << 29;

/// A question to a silent daemon every so many seconds; so many of them unanswered close the connection.
const KEEPALIVE: (i32, u32) = (5, 3);

/// An open connection. Its drop may wait for a daemon that does not answer, as long as its keepalive.
pub(super) struct Connection {
    library: &'static Library,
    link: Link,
    listening: Option<Listening>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.end(self.library, self.link.host());
        }
    }
}

impl Connection {
    /// Opens one; `wake` is called when domains change and when the connection is closed. Blocks for as long as the
    /// network lets it.
    pub(super) fn open(library: &'static Library, uri: &str, wake: Option<&Wake>) -> Result<Self, Error> {
        // Without credentials to offer, and so without a question that could be put to a human.
        let link = library.call.virConnectOpen(Text::of(&ffi::c(uri))).ok_or_else(|| library.error())?;
        // A driver within this process has no keepalive, and needs none.
        library.call.virConnectSetKeepAlive(link.host(), KEEPALIVE.0, KEEPALIVE.1);
        let listening = wake.map(|wake| Listening::begin(library, link.host(), wake));
        Ok(Self { library, link, listening })
    }

    /// False once the other end, or its silence, has closed it.
    pub(super) fn is_alive(&self) -> bool {
        self.library.call.virConnectIsAlive(self.link.host()) == 1
    }

    /// What the daemon calls its host.
    pub(super) fn hostname(&self) -> Result<String, Error> {
        self.library.call.virConnectGetHostname(self.link.host()).text().ok_or_else(|| self.library.error())
    }

    /// What the host can do, as XML.
    pub(super) fn capabilities(&self) -> Result<String, Error> {
        self.library.call.virConnectGetCapabilities(self.link.host()).text().ok_or_else(|| self.library.error())
    }

    /// The host's size.
    pub(super) fn node(&self) -> Result<Node, Error> {
        let mut node = Node::default();
        self.library.number(self.library.call.virNodeGetInfo(self.link.host(), &mut node))?;
        Ok(node)
    }

    /// Nanoseconds since the host's start: `kernel`, `user`, `idle`, `iowait`.
    pub(super) fn node_cpu(&self) -> Result<Fields, Error> {
        self.library.node_cpu(self.link.host())
    }

    /// KiB: `total`, `free`, `buffers`, `cached`.
    pub(super) fn node_memory(&self) -> Result<Fields, Error> {
        self.library.node_memory(self.link.host())
    }

    /// Bytes of memory that a new domain can have, caches included; `None` where it cannot be told.
    pub(super) fn free_memory(&self) -> Option<u64> {
        if let Ok(memory) = self.node_memory() {
            let kib = memory.get("free")? + memory.or_zero("buffers") + memory.or_zero("cached");
            return Some(kib * 1_024);
        }
        Some(self.library.call.virNodeGetFreeMemory(self.link.host())).filter(|bytes| *bytes > 0)
    }

    /// Whether the host can run a guest with this CPU, as XML.
    pub(super) fn runs_guest_cpu(&self, xml: &str) -> Result<bool, Error> {
        let (xml, none) = (ffi::c(xml), Text::NONE);
        let call = &self.library.call;
        let same = call.virConnectCompareHypervisorCPU(self.link.host(), none, none, none, none, Text::of(&xml), 0);
        self.library.number(same).map(|same| same > 0)
    }

    /// Whether the host has all of another host's CPU, as XML.
    pub(super) fn has_host_cpu(&self, xml: &str) -> Result<bool, Error> {
        let xml = ffi::c(xml);
        let same = self.library.call.virConnectCompareCPU(self.link.host(), Text::of(&xml), 0);
        self.library.number(same).map(|same| same > 0)
    }

    /// All domains, those that do not run too, with these figures.
    pub(super) fn stats(&self, what: u32) -> Result<Vec<(Ident, Fields)>, Error> {
        patient(|flags| self.library.all_stats(self.link.host(), what, flags))
    }

    /// All domains, those that do not run too.
    pub(super) fn domains(&self) -> Result<Vec<Domain<'_>>, Error> {
        let all = self.library.domains(self.link.host())?;
        Ok(all.into_iter().map(|vm| Domain { library: self.library, vm, _of: self }).collect())
    }

    /// The domain with this uuid, or else with this name; `None` if there is none.
    pub(super) fn domain(&self, uuid: Option<&str>, name: &str) -> Result<Option<Domain<'_>>, Error> {
        let (call, host) = (&self.library.call, self.link.host());
        let key = ffi::c(uuid.unwrap_or(name));
        let vm = match uuid {
            Some(_) => call.virDomainLookupByUUIDString(host, Text::of(&key)),
            None => call.virDomainLookupByName(host, Text::of(&key)),
        };
        if let Some(vm) = vm {
            return Ok(Some(Domain { library: self.library, vm, _of: self }));
        }
        Some(self.library.error()).filter(|error| !error.absent()).map_or(Ok(None), Err)
    }
}

/// Asks without waiting for domains that are busy, where the driver knows that flag.
fn patient<T>(ask: impl Fn(u32) -> Result<T, Error>) -> Result<T, Error> {
    ask(NOWAIT).or_else(|error| if error.unsupported() { ask(0) } else { Err(error) })
}

/// A domain, for as long as its connection.
pub(super) struct Domain<'a> {
    library: &'static Library,
    vm: Vm,
    _of: &'a Connection,
}

impl Domain<'_> {
    pub(super) fn ident(&self) -> Ident {
        self.library.ident(self.vm.domain())
    }

    /// `virDomainState` and its reason.
    pub(super) fn state(&self) -> Result<(i32, i32), Error> {
        let (mut state, mut reason) = (0, 0);
        self.library.number(self.library.call.virDomainGetState(self.vm.domain(), &mut state, &mut reason, 0))?;
        Ok((state, reason))
    }

    pub(super) fn size(&self) -> Result<Size, Error> {
        let mut size = Size::default();
        self.library.number(self.library.call.virDomainGetInfo(self.vm.domain(), &mut size))?;
        Ok(size)
    }

    /// It is defined: it outlives its end.
    pub(super) fn persistent(&self) -> Result<bool, Error> {
        self.library.number(self.library.call.virDomainIsPersistent(self.vm.domain())).map(|is| is == 1)
    }

    pub(super) fn xml(&self) -> Result<String, Error> {
        self.library.call.virDomainGetXMLDesc(self.vm.domain(), 0).text().ok_or_else(|| self.library.error())
    }

    /// Its figures, without waiting if it is busy.
    pub(super) fn stats(&self, what: u32) -> Result<Fields, Error> {
        patient(|flags| self.library.stats(self.vm.domain(), what, flags))
    }

    /// Its job, or the last one completed there: `virDomainJobType`, and figures.
    pub(super) fn job(&self, completed: bool) -> Result<(i32, Fields), Error> {
        self.library.job(self.vm.domain(), completed)
    }

    pub(super) fn abort(&self) -> Result<(), Error> {
        self.library.number(self.library.call.virDomainAbortJob(self.vm.domain())).map(|_| ())
    }

    /// Migrates it, with these parameters by name: blocks to its end.
    pub(super) fn migrate(&self, to: &str, with: &[(&str, u64)], flags: u32) -> Result<(), Error> {
        self.library.migrate(self.vm.domain(), to, with, flags)
    }

    /// Lets it stand still for so many milliseconds at the end of the migration that runs.
    pub(super) fn allow_downtime(&self, ms: u64) -> Result<(), Error> {
        self.library.number(self.library.call.virDomainMigrateSetMaxDowntime(self.vm.domain(), ms, 0)).map(|_| ())
    }

    /// Has the migration that runs finished from the destination.
    pub(super) fn switch_to_post_copy(&self) -> Result<(), Error> {
        self.library.number(self.library.call.virDomainMigrateStartPostCopy(self.vm.domain(), 0)).map(|_| ())
    }

    /// Begins to measure what it writes, for one second. False where libvirt cannot.
    pub(super) fn start_dirty_rate(&self) -> bool {
        self.library.start_dirty_rate(self.vm.domain())
    }
}
