//! How a host is asked: its session, its connection while there is one, questions whose answers are waited for until a deadline,
//! and the events that libvirt calls back.

use std::collections::HashMap;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use roxmltree::Document;

use super::data::{self, DomainIdent, DomainSize, Figures, LibvirtError, NodeInfo, RawObject, child};
use super::ffi::{self, CText, ConnectionHandle, DomainHandle, LibvirtLibrary};
use crate::core::cluster::Name;
use crate::core::engine::Presence;
use crate::edge::driver::Guest;

/// How many questions may wait for a daemon before it is asked no more. It is far more than the VMs of a host, each of which may be
/// measured at the same time.
const MOST_QUESTIONS: usize = 1_024;

/// A host, and its connection while there is one.
pub(super) struct Session {
    pub name: Name,
    /// How it is reached from here.
    pub uri: String,
    /// How a source reaches it.
    pub peer: String,
    /// `None`: it is not known yet whether the host can be reached.
    state: Mutex<Option<Result<Arc<Connection>, String>>>,
    tried: Condvar,
    /// Wakes the host's thread.
    pub bell: SyncSender<()>,
}

impl Session {
    /// A host that was not tried yet, and the receiver for the thread that its bell wakes.
    pub(super) fn new(name: Name, uri: String, peer: String) -> (Self, Receiver<()>) {
        // One waiting look is enough.
        let (bell, looks) = sync_channel(1);
        (Self { name, uri, peer, state: Mutex::new(None), tried: Condvar::new(), bell }, looks)
    }

    /// Has the host's thread look at once, or see that it is to end.
    pub(super) fn look(&self) {
        let _ = self.bell.try_send(());
    }

    fn state(&self) -> MutexGuard<'_, Option<Result<Arc<Connection>, String>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is known whether the host can be reached, but not beyond the deadline.
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
        // The lock is free by now: if this is the last reference to a connection, dropping it may take long.
        drop(before);
    }

    /// Puts a question to the host. The question itself passes the answer on.
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

/// The uuid of a host, and its CPU as XML, from its capabilities.
fn identity_and_cpu(capabilities: &str) -> (Option<String>, Option<String>) {
    let Ok(document) = Document::parse(capabilities) else { return (None, None) };
    let Some(host) = child(document.root_element(), "host") else { return (None, None) };
    let uuid = child(host, "uuid").and_then(|uuid| uuid.text()).map(|text| text.trim().to_owned());
    (uuid, child(host, "cpu").map(|cpu| capabilities[cpu.range()].to_owned()))
}

/// A connection with a thread of its own, which puts all questions one after another. libvirt allows several threads to use one
/// connection, but versions up to 10.3 may crash then (CVE-2024-4418).
pub(super) struct Connection {
    host: String,
    /// The uuid of the host.
    pub identity: Option<String>,
    /// The host's CPU, as XML.
    pub cpu: Option<String>,
    // This is dropped before `questions`. When `questions` is dropped, the thread closes the connection, which may take long.
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
                // A question that panics drops the channel of its answer, which tells whoever waits for it.
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

    /// False once the other end has closed it, or its silence has.
    pub(super) fn is_alive(&self) -> bool {
        self.hypervisor.is_alive()
    }

    /// Puts a question to the host, after the earlier ones. The question itself passes the answer on.
    ///
    /// # Errors
    /// The host has too many unanswered questions.
    pub(super) fn put(&self, question: impl FnOnce(&Hypervisor) + Send + 'static) -> Result<(), String> {
        queue(&self.questions, &self.host, Box::new(question))
    }

    /// Asks the host something, after the earlier questions.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Hypervisor) -> T + Send + 'static,
    ) -> Result<PendingAnswer<T>, String> {
        let (sender, answer) = sync_channel(1);
        // By then nobody may wait for the answer.
        self.put(move |hypervisor| drop(sender.send(question(hypervisor))))?;
        Ok(PendingAnswer { host: self.host.clone(), answer })
    }
}

/// Queues a question without ever waiting.
fn queue(questions: &SyncSender<Question>, host: &str, question: Question) -> Result<(), String> {
    questions.try_send(question).map_err(|_| format!("{host} does not answer"))
}

/// An answer that is still to come.
pub(super) struct PendingAnswer<T> {
    host: String,
    answer: Receiver<T>,
}

impl<T> PendingAnswer<T> {
    /// Waits for it until the deadline. The error names the silent host.
    pub(super) fn until(self, deadline: Instant) -> Result<T, String> {
        let patience = deadline.saturating_duration_since(Instant::now());
        self.answer.recv_timeout(patience).map_err(|why| match why {
            RecvTimeoutError::Timeout => format!("{} does not answer", self.host),
            RecvTimeoutError::Disconnected => panic!("a question to {} failed", self.host),
        })
    }

    /// Waits for it for this long.
    pub(super) fn within(self, patience: Duration) -> Result<T, String> {
        self.until(Instant::now() + patience)
    }
}

/// Groups of a domain's figures, which can be asked for together: `virDomainStatsTypes`.
pub(super) const STATE: u32 = 1;
pub(super) const CPU: u32 = 1 << 1;
pub(super) const BALLOON: u32 = 1 << 2;
pub(super) const VCPU: u32 = 1 << 3;
pub(super) const DIRTY_RATE: u32 = 1 << 9;
/// Leaves out the figures that a busy domain cannot tell at once.
const NOWAIT: u32 = 1 << 29;

/// After 5 silent seconds a daemon is asked for a sign of life. After three without an answer the connection is closed.
const KEEPALIVE: (i32, u32) = (5, 3);

/// An open connection to a host's daemon. Its calls block. Dropping it may wait for a silent daemon, until the keepalive closes the
/// connection.
pub(super) struct Hypervisor {
    library: &'static LibvirtLibrary,
    link: ConnectionHandle,
    // What it tells of by itself. For each of them libvirt holds a reference to the connection.
    /// The number of whom it wakes.
    wakes: Option<usize>,
    domain_events: Option<c_int>,
    tells_close: bool,
}

impl Drop for Hypervisor {
    fn drop(&mut self) {
        let (call, host) = (&self.library.call, self.link.host());
        if let Some(id) = self.domain_events {
            call.virConnectDomainEventDeregisterAny(host, id);
        }
        if self.tells_close {
            call.virConnectUnregisterCloseCallback(host, on_close);
        }
        if let (Some(number), Some(wakes)) = (self.wakes, &mut WAKES.lock().unwrap_or_else(PoisonError::into_inner).1) {
            wakes.remove(&number);
        }
    }
}

impl Hypervisor {
    /// Opens a connection. `wake` is called when domains change and when the connection is closed. Blocks for as long as the
    /// network lets it.
    pub(super) fn open(library: &'static LibvirtLibrary, uri: &str, wake: Option<&Wake>) -> Result<Self, LibvirtError> {
        // It opens without a function that asks somebody for a password.
        let link = library.call.virConnectOpen(CText::of(&ffi::c_text(uri))).ok_or_else(|| library.error())?;
        // This fails for a hypervisor inside this process, which needs no keepalive.
        library.call.virConnectSetKeepAlive(link.host(), KEEPALIVE.0, KEEPALIVE.1);
        let mut opened = Self { library, link, wakes: None, domain_events: None, tells_close: false };
        if let Some(wake) = wake {
            opened.listen(wake);
        }
        Ok(opened)
    }

    /// From now on libvirt calls `wake`. A hypervisor without events never does.
    fn listen(&mut self, wake: &Wake) {
        let number = {
            let mut wakes = WAKES.lock().unwrap_or_else(PoisonError::into_inner);
            wakes.0 += 1;
            let number = wakes.0;
            wakes.1.get_or_insert_default().insert(number, Arc::clone(wake));
            number
        };
        self.wakes = Some(number);
        let (call, host) = (&self.library.call, self.link.host());
        let id = call.virConnectDomainEventRegisterAny(host, None, 0, on_domain, number, None);
        self.tells_close = call.virConnectRegisterCloseCallback(host, on_close, number, None) == 0;
        self.domain_events = (id >= 0).then_some(id);
    }

    /// False once the other end has closed it, or its silence has.
    pub(super) fn is_alive(&self) -> bool {
        self.library.call.virConnectIsAlive(self.link.host()) == 1
    }

    /// The name that the daemon gives its host.
    pub(super) fn hostname(&self) -> Result<String, LibvirtError> {
        self.library.call.virConnectGetHostname(self.link.host()).text().ok_or_else(|| self.library.error())
    }

    /// What the host can do, as XML.
    pub(super) fn capabilities(&self) -> Result<String, LibvirtError> {
        self.library.call.virConnectGetCapabilities(self.link.host()).text().ok_or_else(|| self.library.error())
    }

    /// The host's processors and memory.
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

    /// Bytes of memory that a new domain can have, caches included; `None`: the host does not tell.
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

    /// Whether the host's CPU has everything that another host's CPU has, which is given as XML.
    pub(super) fn has_host_cpu(&self, xml: &str) -> Result<bool, LibvirtError> {
        let xml = ffi::c_text(xml);
        let same = self.library.call.virConnectCompareCPU(self.link.host(), CText::of(&xml), 0);
        self.library.number(same).map(|same| same > 0)
    }

    /// All domains, also those that do not run, with these figures.
    pub(super) fn stats(&self, what: u32) -> Result<Vec<(DomainIdent, Figures)>, LibvirtError> {
        patient(|flags| self.library.all_stats(self.link.host(), what, flags))
    }

    /// All domains, also those that do not run.
    pub(super) fn domains(&self) -> Result<Vec<HeldDomain<'_>>, LibvirtError> {
        let all = self.library.domains(self.link.host())?;
        Ok(all.into_iter().map(|vm| HeldDomain { library: self.library, vm, _of: self }).collect())
    }

    /// A VM's domain on this host, by the uuid if the config has one, or else by the name; `None`: there is none.
    pub(super) fn find(&self, guest: &Guest) -> Result<Option<HeldDomain<'_>>, LibvirtError> {
        let Guest { name, domain } = guest;
        self.domain(domain.uuid.as_deref(), domain.name.as_deref().unwrap_or(name))
    }

    /// The domain with this uuid, or with this name if no uuid is given; `None`: there is none.
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

/// Asks without waiting for busy domains, if the hypervisor's driver knows that flag.
fn patient<T>(ask: impl Fn(u32) -> Result<T, LibvirtError>) -> Result<T, LibvirtError> {
    ask(NOWAIT).or_else(|error| if error.unsupported() { ask(0) } else { Err(error) })
}

/// A domain. It lives no longer than its connection.
pub(super) struct HeldDomain<'a> {
    library: &'static LibvirtLibrary,
    vm: DomainHandle,
    _of: &'a Hypervisor,
}

impl HeldDomain<'_> {
    pub(super) fn ident(&self) -> DomainIdent {
        self.library.ident(self.vm.domain())
    }

    /// How it stands on this host.
    pub(super) fn presence(&self) -> Result<Presence, LibvirtError> {
        let (mut state, mut reason) = (0, 0);
        self.library.number(self.library.call.virDomainGetState(self.vm.domain(), &mut state, &mut reason, 0))?;
        Ok(u64::try_from(state).map_or(Presence::Absent, data::presence))
    }

    pub(super) fn size(&self) -> Result<DomainSize, LibvirtError> {
        let mut size = DomainSize::default();
        self.library.number(self.library.call.virDomainGetInfo(self.vm.domain(), &mut size))?;
        Ok(size)
    }

    /// Whether it is defined: then it is still there when it does not run.
    pub(super) fn persistent(&self) -> Result<bool, LibvirtError> {
        self.library.number(self.library.call.virDomainIsPersistent(self.vm.domain())).map(|is| is == 1)
    }

    pub(super) fn xml(&self) -> Result<String, LibvirtError> {
        self.library.call.virDomainGetXMLDesc(self.vm.domain(), 0).text().ok_or_else(|| self.library.error())
    }

    /// Its figures. If it is busy, they are those that it can tell at once.
    pub(super) fn stats(&self, what: u32) -> Result<Figures, LibvirtError> {
        patient(|flags| self.library.stats(self.vm.domain(), what, flags))
    }

    /// The current job, or the last completed one: its `virDomainJobType` and its figures.
    pub(super) fn job(&self, completed: bool) -> Result<(i32, Figures), LibvirtError> {
        self.library.job(self.vm.domain(), completed)
    }

    pub(super) fn abort(&self) -> Result<(), LibvirtError> {
        self.library.number(self.library.call.virDomainAbortJob(self.vm.domain())).map(|_| ())
    }

    /// Migrates it with these named parameters. Blocks to the end of the migration.
    pub(super) fn migrate(&self, to: &str, with: &[(&str, u64)], flags: u32) -> Result<(), LibvirtError> {
        self.library.migrate(self.vm.domain(), to, with, flags)
    }

    /// Sets how many milliseconds it may stand still at the end of the current migration.
    pub(super) fn allow_downtime(&self, ms: u64) -> Result<(), LibvirtError> {
        self.library.number(self.library.call.virDomainMigrateSetMaxDowntime(self.vm.domain(), ms, 0)).map(|_| ())
    }

    /// Starts the VM at the destination, which then fetches the rest of its memory.
    pub(super) fn switch_to_post_copy(&self) -> Result<(), LibvirtError> {
        self.library.number(self.library.call.virDomainMigrateStartPostCopy(self.vm.domain(), 0)).map(|_| ())
    }

    /// Begins to measure for one second how much memory it writes. False: libvirt cannot.
    pub(super) fn start_dirty_rate(&self) -> bool {
        self.library.start_dirty_rate(self.vm.domain())
    }
}

/// libvirt's event thread calls it when a host's domains may have changed, and when the connection is closed.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The last number, and whom to wake by number. libvirt gets only the number, so that it never uses something that was dropped.
static WAKES: Mutex<(usize, Option<HashMap<usize, Wake>>)> = Mutex::new((0, None));

fn wake(number: usize) {
    // C code calls this: no panic may leave it.
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
    fn a_host_with_too_many_unanswered_questions_is_asked_no_more() {
        let (questions, _asked) = sync_channel(1);
        let ask = || queue(&questions, "kvm1", Box::new(|_| ()));
        assert_eq!((ask(), ask()), (Ok(()), Err("kvm1 does not answer".to_owned())));
    }

    #[test]
    fn a_host_is_waited_for_until_it_was_tried_once() {
        let uri = || "qemu+tcp://kvm1/system".to_owned();
        let session = Arc::new(Session::new("kvm1".into(), uri(), uri()).0);
        session.wait_for_first(Instant::now());
        assert_eq!(session.connection().err().as_deref(), Some("connecting to kvm1"));
        let tried = Arc::clone(&session);
        let trying = thread::spawn(move || tried.set(Err("connection refused".into())));
        session.wait_for_first(Instant::now() + Duration::from_secs(60));
        assert_eq!(session.connection().err().as_deref(), Some("connection refused"));
        trying.join().expect("it ends");
    }
}
