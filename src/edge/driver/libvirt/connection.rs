//! The way to one host: its session, the connection while there is one, questions that never take longer than asked, and what
//! libvirt calls back.

use std::collections::HashMap;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use roxmltree::Document;

use super::data::{DomainIdent, DomainSize, Figures, LibvirtError, NodeInfo, RawObject, child};
use crate::core::cluster::Name;

use super::ffi::{self, CText, ConnectionHandle, ConnectionRef, DomainHandle, LibvirtLibrary};
use crate::edge::driver::Guest;

/// A daemon that leaves so many questions unanswered is asked no more. That is far more than the VMs of a host that are measured
/// at once.
const MOST_QUESTIONS: usize = 1_024;

/// A host, and its connection while there is one.
pub(super) struct Session {
    pub name: Name,
    /// From here.
    pub uri: String,
    /// From a source.
    pub peer: String,
    /// `None`: it is not known yet whether the host can be reached.
    state: Mutex<Option<Result<Arc<Connection>, String>>>,
    tried: Condvar,
}

impl Session {
    pub(super) fn new(name: Name, uri: String, peer: String) -> Self {
        Self { name, uri, peer, state: Mutex::new(None), tried: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, Option<Result<Arc<Connection>, String>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is known whether the host can be reached, or until then.
    pub(super) fn wait_for_first(&self, deadline: Instant) {
        let patience = deadline.saturating_duration_since(Instant::now());
        drop(self.tried.wait_timeout_while(self.state(), patience, |state| state.is_none()));
    }

    /// The connection, or why there is none.
    pub(super) fn connection(&self) -> Result<Arc<Connection>, String> {
        self.state().clone().unwrap_or_else(|| Err(format!("connecting to {}", self.name)))
    }

    pub(super) fn set(&self, connection: Result<Arc<Connection>, String>) {
        let before = self.state().replace(connection);
        self.tried.notify_all();
        // Not under the lock: this may be the last reference to a connection.
        drop(before);
    }

    /// Has a question put to the host that passes its answer on itself.
    pub(super) fn put(&self, question: impl FnOnce(&Hypervisor) + Send + 'static) -> Result<(), String> {
        self.connection()?.put(question)
    }

    /// Asks the host something.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Hypervisor) -> T + Send + 'static,
    ) -> Result<PendingAnswer<T>, String> {
        self.connection()?.ask(question)
    }
}

type Question = Box<dyn FnOnce(&Hypervisor) + Send>;

/// A host's own uuid, and its CPU as XML, from its capabilities.
fn identity_and_cpu(capabilities: &str) -> (Option<String>, Option<String>) {
    let Ok(document) = Document::parse(capabilities) else { return (None, None) };
    let Some(host) = child(document.root_element(), "host") else { return (None, None) };
    let uuid = child(host, "uuid").and_then(|uuid| uuid.text()).map(|text| text.trim().to_owned());
    (uuid, child(host, "cpu").map(|cpu| capabilities[cpu.range()].to_owned()))
}

/// A connection with a thread of its own, which puts all questions, one after another. libvirt allows many threads on one
/// connection, but may crash then up to 10.3 (CVE-2024-4418).
pub(super) struct Connection {
    host: String,
    /// The host's own uuid.
    pub identity: Option<String>,
    /// The host's CPU, as XML.
    pub cpu: Option<String>,
    // Dropped before `questions`, whose end lets the thread close the connection: that may take a while.
    hypervisor: Arc<Hypervisor>,
    questions: SyncSender<Question>,
}

impl Connection {
    /// Opens a connection, and asks the host what it is. Blocks for as long as the network lets it.
    pub(super) fn open(
        library: &'static LibvirtLibrary,
        session: &Session,
        wake: Option<&Wake>,
    ) -> Result<Self, LibvirtError> {
        let hypervisor = Arc::new(Hypervisor::open(library, &session.uri, wake)?);
        let (identity, cpu) = identity_and_cpu(&hypervisor.capabilities().unwrap_or_default());
        let (questions, inbox) = sync_channel::<Question>(MOST_QUESTIONS);
        let own = Arc::clone(&hypervisor);
        let asking = move || {
            for question in inbox {
                // A question that panics drops the channel of its answer: whoever waits there is told.
                let _ = catch_unwind(AssertUnwindSafe(|| question(&own)));
            }
        };
        let named = thread::Builder::new().name(format!("libvirt ask {}", session.name));
        named.spawn(asking).map_err(|why| LibvirtError {
            message: format!("no thread to ask with: {why}"),
            ..LibvirtError::default()
        })?;
        Ok(Self { host: session.name.to_string(), identity, cpu, hypervisor, questions })
    }

    /// False once the other end, or its silence, has closed it.
    pub(super) fn is_alive(&self) -> bool {
        self.hypervisor.is_alive()
    }

    /// Has a question put to the host, after those that were put before. The question itself passes its answer on.
    ///
    /// # Errors
    /// The host has left too many questions unanswered.
    pub(super) fn put(&self, question: impl FnOnce(&Hypervisor) + Send + 'static) -> Result<(), String> {
        self.questions.try_send(Box::new(question)).map_err(|_| format!("{} does not answer", self.host))
    }

    /// Asks the host something, after what was asked before.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Hypervisor) -> T + Send + 'static,
    ) -> Result<PendingAnswer<T>, String> {
        let (sender, answer) = sync_channel(1);
        // Nobody may wait for the answer any more.
        self.put(move |hypervisor| drop(sender.send(question(hypervisor))))?;
        Ok(PendingAnswer { host: self.host.clone(), answer })
    }
}

/// An answer that is still to come.
pub(super) struct PendingAnswer<T> {
    host: String,
    answer: Receiver<T>,
}

impl<T> PendingAnswer<T> {
    /// Waits for it until then. The error names the silent host.
    pub(super) fn until(self, deadline: Instant) -> Result<T, String> {
        let patience = deadline.saturating_duration_since(Instant::now());
        self.answer.recv_timeout(patience).map_err(|why| match why {
            RecvTimeoutError::Timeout => format!("{} does not answer", self.host),
            RecvTimeoutError::Disconnected => panic!("a question to {} failed", self.host),
        })
    }

    /// Waits so long.
    pub(super) fn within(self, patience: Duration) -> Result<T, String> {
        self.until(Instant::now() + patience)
    }
}

/// Figures of a domain that can be asked for together: `virDomainStatsTypes`.
pub(super) const STATE: u32 = 1;
pub(super) const CPU: u32 = 1 << 1;
pub(super) const BALLOON: u32 = 1 << 2;
pub(super) const VCPU: u32 = 1 << 3;
pub(super) const DIRTY_RATE: u32 = 1 << 9;
/// Figures that a busy domain cannot tell at once are left out.
const NOWAIT: u32 = 1 << 29;

/// A silent daemon is asked every 5 seconds. Three questions without an answer close the connection.
const KEEPALIVE: (i32, u32) = (5, 3);

/// An open connection to a host's daemon. Its calls block. Its drop may wait for a daemon that does not answer, as long as the
/// keepalive lets it.
pub(super) struct Hypervisor {
    library: &'static LibvirtLibrary,
    link: ConnectionHandle,
    listening: Option<EventSubscription>,
}

impl Drop for Hypervisor {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.end(self.library, self.link.host());
        }
    }
}

impl Hypervisor {
    /// Opens one; `wake` is called when domains change and when the connection is closed. Blocks for as long as the
    /// network lets it.
    pub(super) fn open(library: &'static LibvirtLibrary, uri: &str, wake: Option<&Wake>) -> Result<Self, LibvirtError> {
        // It offers no credentials, so that nobody is asked for any.
        let link = library.call.virConnectOpen(CText::of(&ffi::c_text(uri))).ok_or_else(|| library.error())?;
        // A hypervisor inside this process has no keepalive, and needs none.
        library.call.virConnectSetKeepAlive(link.host(), KEEPALIVE.0, KEEPALIVE.1);
        let listening = wake.map(|wake| EventSubscription::begin(library, link.host(), wake));
        Ok(Self { library, link, listening })
    }

    /// False once the other end, or its silence, has closed it.
    pub(super) fn is_alive(&self) -> bool {
        self.library.call.virConnectIsAlive(self.link.host()) == 1
    }

    /// What the daemon calls its host.
    pub(super) fn hostname(&self) -> Result<String, LibvirtError> {
        self.library.call.virConnectGetHostname(self.link.host()).text().ok_or_else(|| self.library.error())
    }

    /// What the host can do, as XML.
    pub(super) fn capabilities(&self) -> Result<String, LibvirtError> {
        self.library.call.virConnectGetCapabilities(self.link.host()).text().ok_or_else(|| self.library.error())
    }

    /// The host's size.
    pub(super) fn node(&self) -> Result<NodeInfo, LibvirtError> {
        let mut node = NodeInfo::default();
        self.library.number(self.library.call.virNodeGetInfo(self.link.host(), &mut node))?;
        Ok(node)
    }

    /// Nanoseconds since the host's start: `kernel`, `user`, `idle`, `iowait`.
    pub(super) fn node_cpu(&self) -> Result<Figures, LibvirtError> {
        self.library.node_cpu(self.link.host())
    }

    /// KiB: `total`, `free`, `buffers`, `cached`.
    pub(super) fn node_memory(&self) -> Result<Figures, LibvirtError> {
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
    pub(super) fn runs_guest_cpu(&self, xml: &str) -> Result<bool, LibvirtError> {
        let (xml, none) = (ffi::c_text(xml), CText::NONE);
        let call = &self.library.call;
        let same = call.virConnectCompareHypervisorCPU(self.link.host(), none, none, none, none, CText::of(&xml), 0);
        self.library.number(same).map(|same| same > 0)
    }

    /// Whether the host has all of another host's CPU, as XML.
    pub(super) fn has_host_cpu(&self, xml: &str) -> Result<bool, LibvirtError> {
        let xml = ffi::c_text(xml);
        let same = self.library.call.virConnectCompareCPU(self.link.host(), CText::of(&xml), 0);
        self.library.number(same).map(|same| same > 0)
    }

    /// All domains, those that do not run too, with these figures.
    pub(super) fn stats(&self, what: u32) -> Result<Vec<(DomainIdent, Figures)>, LibvirtError> {
        patient(|flags| self.library.all_stats(self.link.host(), what, flags))
    }

    /// All domains, those that do not run too.
    pub(super) fn domains(&self) -> Result<Vec<HeldDomain<'_>>, LibvirtError> {
        let all = self.library.domains(self.link.host())?;
        Ok(all.into_iter().map(|vm| HeldDomain { library: self.library, vm, _of: self }).collect())
    }

    /// A VM's domain on this host, by its uuid if the config has it, else by its name; `None` if there is none.
    pub(super) fn find(&self, guest: &Guest) -> Result<Option<HeldDomain<'_>>, LibvirtError> {
        let Guest { name, domain } = guest;
        self.domain(domain.uuid.as_deref(), domain.name.as_deref().unwrap_or(name))
    }

    /// The domain with this uuid, or else with this name; `None` if there is none.
    pub(super) fn domain(&self, uuid: Option<&str>, name: &str) -> Result<Option<HeldDomain<'_>>, LibvirtError> {
        let (call, host) = (&self.library.call, self.link.host());
        let key = ffi::c_text(uuid.unwrap_or(name));
        let vm = match uuid {
            Some(_) => call.virDomainLookupByUUIDString(host, CText::of(&key)),
            None => call.virDomainLookupByName(host, CText::of(&key)),
        };
        if let Some(vm) = vm {
            return Ok(Some(HeldDomain { library: self.library, vm, _of: self }));
        }
        Some(self.library.error()).filter(|error| !error.absent()).map_or(Ok(None), Err)
    }
}

/// Asks without waiting for domains that are busy, where the driver knows that flag.
fn patient<T>(ask: impl Fn(u32) -> Result<T, LibvirtError>) -> Result<T, LibvirtError> {
    ask(NOWAIT).or_else(|error| if error.unsupported() { ask(0) } else { Err(error) })
}

/// A domain, for as long as its connection.
pub(super) struct HeldDomain<'a> {
    library: &'static LibvirtLibrary,
    vm: DomainHandle,
    _of: &'a Hypervisor,
}

impl HeldDomain<'_> {
    pub(super) fn ident(&self) -> DomainIdent {
        self.library.ident(self.vm.domain())
    }

    /// `virDomainState` and its reason.
    pub(super) fn state(&self) -> Result<(i32, i32), LibvirtError> {
        let (mut state, mut reason) = (0, 0);
        self.library.number(self.library.call.virDomainGetState(self.vm.domain(), &mut state, &mut reason, 0))?;
        Ok((state, reason))
    }

    pub(super) fn size(&self) -> Result<DomainSize, LibvirtError> {
        let mut size = DomainSize::default();
        self.library.number(self.library.call.virDomainGetInfo(self.vm.domain(), &mut size))?;
        Ok(size)
    }

    /// It is defined: it outlives its end.
    pub(super) fn persistent(&self) -> Result<bool, LibvirtError> {
        self.library.number(self.library.call.virDomainIsPersistent(self.vm.domain())).map(|is| is == 1)
    }

    pub(super) fn xml(&self) -> Result<String, LibvirtError> {
        self.library.call.virDomainGetXMLDesc(self.vm.domain(), 0).text().ok_or_else(|| self.library.error())
    }

    /// Its figures, without waiting if it is busy.
    pub(super) fn stats(&self, what: u32) -> Result<Figures, LibvirtError> {
        patient(|flags| self.library.stats(self.vm.domain(), what, flags))
    }

    /// Its job, or the last one completed there: `virDomainJobType`, and figures.
    pub(super) fn job(&self, completed: bool) -> Result<(i32, Figures), LibvirtError> {
        self.library.job(self.vm.domain(), completed)
    }

    pub(super) fn abort(&self) -> Result<(), LibvirtError> {
        self.library.number(self.library.call.virDomainAbortJob(self.vm.domain())).map(|_| ())
    }

    /// Migrates it, with these parameters by name: blocks to its end.
    pub(super) fn migrate(&self, to: &str, with: &[(&str, u64)], flags: u32) -> Result<(), LibvirtError> {
        self.library.migrate(self.vm.domain(), to, with, flags)
    }

    /// Lets it stand still for so many milliseconds at the end of the migration that runs.
    pub(super) fn allow_downtime(&self, ms: u64) -> Result<(), LibvirtError> {
        self.library.number(self.library.call.virDomainMigrateSetMaxDowntime(self.vm.domain(), ms, 0)).map(|_| ())
    }

    /// Has the migration that runs finished from the destination.
    pub(super) fn switch_to_post_copy(&self) -> Result<(), LibvirtError> {
        self.library.number(self.library.call.virDomainMigrateStartPostCopy(self.vm.domain(), 0)).map(|_| ())
    }

    /// Begins to measure what it writes, for one second. False where libvirt cannot.
    pub(super) fn start_dirty_rate(&self) -> bool {
        self.library.start_dirty_rate(self.vm.domain())
    }
}

/// Called on libvirt's event thread when a host's domains may have changed and when its connection is closed.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

/// Whom to wake, by number, and the last number given. libvirt is only given the number, so that it holds nothing that is gone.
static WAKES: Mutex<(usize, Option<HashMap<usize, Wake>>)> = Mutex::new((0, None));

/// What is listened for on a connection. libvirt holds a reference on the connection for each.
pub(super) struct EventSubscription {
    number: usize,
    domains: Option<c_int>,
    closes: bool,
}

impl EventSubscription {
    /// Has `wake` called from now on. A hypervisor without events never calls it.
    pub(super) fn begin(library: &LibvirtLibrary, host: ConnectionRef<'_>, wake: &Wake) -> Self {
        let number = {
            let mut wakes = WAKES.lock().unwrap_or_else(PoisonError::into_inner);
            wakes.0 += 1;
            let number = wakes.0;
            wakes.1.get_or_insert_default().insert(number, Arc::clone(wake));
            number
        };
        let id = library.call.virConnectDomainEventRegisterAny(host, None, 0, on_domain, number, None);
        let closes = library.call.virConnectRegisterCloseCallback(host, on_close, number, None) == 0;
        Self { number, domains: (id >= 0).then_some(id), closes }
    }

    /// Ends it: before the connection is closed.
    pub(super) fn end(&self, library: &LibvirtLibrary, host: ConnectionRef<'_>) {
        if let Some(id) = self.domains {
            library.call.virConnectDomainEventDeregisterAny(host, id);
        }
        if self.closes {
            library.call.virConnectUnregisterCloseCallback(host, on_close);
        }
        if let Some(wakes) = &mut WAKES.lock().unwrap_or_else(PoisonError::into_inner).1 {
            wakes.remove(&self.number);
        }
    }
}

fn wake(number: usize) {
    // A panic must not pass through C.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let wakes = WAKES.lock().unwrap_or_else(PoisonError::into_inner);
        let wake = wakes.1.as_ref().and_then(|wakes| wakes.get(&number)).cloned();
        drop(wakes);
        if let Some(wake) = wake {
            wake();
        }
    }));
}

extern "C" fn on_domain(_: RawObject, _: RawObject, _: c_int, _: c_int, number: usize) -> c_int {
    wake(number);
    0
}

extern "C" fn on_close(_: RawObject, _: c_int, number: usize) {
    wake(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_uuid_and_cpu_stand_in_its_capabilities() {
        let cpu = "<cpu><arch>x86_64</arch><model>Skylake &amp; co</model></cpu>";
        let xml = format!("<capabilities><host><uuid> 1-2 </uuid>{cpu}</host><guest><cpu/></guest></capabilities>");
        assert_eq!(identity_and_cpu(&xml), (Some("1-2".into()), Some(cpu.into())));
        assert_eq!(identity_and_cpu("<capabilities/>"), (None, None));
        assert_eq!(identity_and_cpu("<cap"), (None, None));
    }

    #[test]
    fn a_host_is_waited_for_until_it_was_tried_once() {
        let session =
            Arc::new(Session::new("kvm1".into(), "qemu+tcp://kvm1/system".into(), "qemu+tcp://kvm1/system".into()));
        session.wait_for_first(Instant::now());
        assert_eq!(session.connection().err().as_deref(), Some("connecting to kvm1"));
        let tried = Arc::clone(&session);
        let trying = thread::spawn(move || tried.set(Err("connection refused".into())));
        session.wait_for_first(Instant::now() + Duration::from_secs(60));
        assert_eq!(session.connection().err().as_deref(), Some("connection refused"));
        trying.join().expect("it ends");
    }
}
