//! Calls libvirt's C library, which is opened at run time. All `unsafe` code of this crate is in this file, and safe code cannot
//! misuse what this file offers.
//!
//! All calls rely on three rules. A [`ConnectionHandle`] and a [`DomainHandle`] each hold one of libvirt's references until they are
//! dropped. Any number of threads may use libvirt's objects at the same time. libvirt keeps an error for the thread that made the
//! call, and the thread reads it before its next call.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong, c_ulonglong, c_void};
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::thread;

use super::data::{
    self, DomainIdent, DomainSize, ErrorCode, Figures, LibvirtError, NodeFigure, NodeInfo, RawError, RawObject,
    StatsRecord, TypedParam,
};

/// The oldest libvirt that can be used: 6.0.0, as libvirt counts.
const OLDEST: c_ulong = 6_000_000;

type OnDomain = extern "C" fn(RawObject, RawObject, c_int, c_int, usize) -> c_int;
type OnClose = extern "C" fn(RawObject, c_int, usize);
type OnError = extern "C" fn(usize, usize);
/// A pointer that is always null.
type NullPointer = Option<&'static ()>;

/// A connection, open for `'a`.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct ConnectionRef<'a>(NonNull<c_void>, PhantomData<&'a ()>);

/// A domain, held for `'a`.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct DomainRef<'a>(NonNull<c_void>, PhantomData<&'a ()>);

/// A text for C that lives for `'a`, or no text.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct CText<'a>(Option<NonNull<c_char>>, PhantomData<&'a ()>);

impl<'a> CText<'a> {
    pub(super) const NONE: Self = Self(None, PhantomData);

    pub(super) fn of(text: &'a CStr) -> Self {
        Self(NonNull::new(text.as_ptr().cast_mut()), PhantomData)
    }
}

/// A text that libvirt has given away.
#[repr(transparent)]
pub(super) struct OwnedText(*mut c_char);

impl OwnedText {
    pub(super) fn text(&self) -> Option<String> {
        // SAFETY: it is null, or a text of ours that ends with a 0.
        (!self.0.is_null()).then(|| unsafe { text(self.0) })
    }
}

impl Drop for OwnedText {
    fn drop(&mut self) {
        // SAFETY: it is null, or ours alone and from malloc, as libvirt promises for what it hands over.
        unsafe { free(self.0.cast()) };
    }
}

macro_rules! functions {
    (safe { $($safe:ident($($arg:ident: $kind:ty),*) -> $out:ty;)* } raw { $($raw:ident: fn($($type:ty),*) -> $back:ty;)* }) => {
        /// libvirt's functions, with the types of its headers. Since 6.0.0 none of them has changed.
        #[allow(non_snake_case)]
        pub(super) struct LibvirtFunctions {
            $($safe: unsafe extern "C" fn($($kind),*) -> $out,)*
            $($raw: unsafe extern "C" fn($($type),*) -> $back,)*
        }
        #[allow(non_snake_case, clippy::too_many_arguments)]
        impl LibvirtFunctions {
            fn find(library: &libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: each name is looked up with its type.
                unsafe { Ok(Self {
                    $($safe: *library.get(concat!(stringify!($safe), "\0").as_bytes())?,)*
                    $($raw: *library.get(concat!(stringify!($raw), "\0").as_bytes())?,)*
                }) }
            }
            $(pub(super) fn $safe(&self, $($arg: $kind),*) -> $out {
                // SAFETY: numbers may be anything; an object, text or reference is valid for the time of the call by its
                // type; what is returned is owned by its type.
                unsafe { (self.$safe)($($arg),*) }
            })*
        }
    };
}

functions! {
    safe {
        virGetVersion(version: &mut c_ulong, kind: CText<'_>, other: Option<&mut c_ulong>) -> c_int;
        virSetErrorFunc(data: usize, handler: OnError) -> ();
        virEventRegisterDefaultImpl() -> c_int;
        virConnectOpen(uri: CText<'_>) -> Option<ConnectionHandle>;
        virConnectRegisterCloseCallback(host: ConnectionRef<'_>, call: OnClose, number: usize, free: NullPointer) -> c_int;
        virConnectUnregisterCloseCallback(host: ConnectionRef<'_>, call: OnClose) -> c_int;
        virConnectDomainEventRegisterAny(
            host: ConnectionRef<'_>, vm: Option<DomainRef<'_>>, event: c_int, call: OnDomain, number: usize, free: NullPointer
        ) -> c_int;
        virConnectDomainEventDeregisterAny(host: ConnectionRef<'_>, id: c_int) -> c_int;
        virDomainGetUUIDString(vm: DomainRef<'_>, uuid: &mut [c_char; 37]) -> c_int;
        virConnectSetKeepAlive(host: ConnectionRef<'_>, every: c_int, count: c_uint) -> c_int;
        virConnectIsAlive(host: ConnectionRef<'_>) -> c_int;
        virConnectGetHostname(host: ConnectionRef<'_>) -> OwnedText;
        virConnectGetCapabilities(host: ConnectionRef<'_>) -> OwnedText;
        virConnectCompareCPU(host: ConnectionRef<'_>, xml: CText<'_>, flags: c_uint) -> c_int;
        virConnectCompareHypervisorCPU(
            host: ConnectionRef<'_>, emulator: CText<'_>, arch: CText<'_>, machine: CText<'_>, kind: CText<'_>, xml: CText<'_>, flags: c_uint
        ) -> c_int;
        virNodeGetInfo(host: ConnectionRef<'_>, node: &mut NodeInfo) -> c_int;
        virNodeGetFreeMemory(host: ConnectionRef<'_>) -> c_ulonglong;
        virDomainLookupByName(host: ConnectionRef<'_>, name: CText<'_>) -> Option<DomainHandle>;
        virDomainLookupByUUIDString(host: ConnectionRef<'_>, uuid: CText<'_>) -> Option<DomainHandle>;
        virDomainGetState(vm: DomainRef<'_>, state: &mut c_int, reason: &mut c_int, flags: c_uint) -> c_int;
        virDomainGetInfo(vm: DomainRef<'_>, size: &mut DomainSize) -> c_int;
        virDomainIsPersistent(vm: DomainRef<'_>) -> c_int;
        virDomainGetXMLDesc(vm: DomainRef<'_>, flags: c_uint) -> OwnedText;
        virDomainAbortJob(vm: DomainRef<'_>) -> c_int;
        virDomainMigrateSetMaxDowntime(vm: DomainRef<'_>, ms: c_ulonglong, flags: c_uint) -> c_int;
        virDomainMigrateStartPostCopy(vm: DomainRef<'_>, flags: c_uint) -> c_int;
    }
    raw {
        virEventRunDefaultImpl: fn() -> c_int;
        virGetLastError: fn() -> *const RawError;
        virConnectClose: fn(ConnectionRef<'_>) -> c_int;
        virConnectGetAllDomainStats: fn(ConnectionRef<'_>, c_uint, *mut *mut *mut StatsRecord, c_uint) -> c_int;
        virDomainListGetStats: fn(*const RawObject, c_uint, *mut *mut *mut StatsRecord, c_uint) -> c_int;
        virDomainStatsRecordListFree: fn(*mut *mut StatsRecord) -> ();
        virConnectListAllDomains: fn(ConnectionRef<'_>, *mut *mut RawObject, c_uint) -> c_int;
        virNodeGetCPUStats: fn(ConnectionRef<'_>, c_int, *mut NodeFigure, *mut c_int, c_uint) -> c_int;
        virNodeGetMemoryStats: fn(ConnectionRef<'_>, c_int, *mut NodeFigure, *mut c_int, c_uint) -> c_int;
        virDomainFree: fn(DomainRef<'_>) -> c_int;
        virDomainGetName: fn(DomainRef<'_>) -> *const c_char;
        virDomainGetJobStats: fn(DomainRef<'_>, *mut c_int, *mut *mut TypedParam, *mut c_int, c_uint) -> c_int;
        virDomainMigrateToURI3: fn(DomainRef<'_>, CText<'_>, *mut TypedParam, c_uint, c_uint) -> c_int;
        virTypedParamsAddULLong: fn(*mut *mut TypedParam, *mut c_int, *mut c_int, CText<'_>, c_ulonglong) -> c_int;
        virTypedParamsFree: fn(*mut TypedParam, c_int) -> ();
    }
}

unsafe extern "C" {
    fn free(memory: *mut c_void);
}

type NodeFigures = unsafe extern "C" fn(ConnectionRef<'_>, c_int, *mut NodeFigure, *mut c_int, c_uint) -> c_int;
type StartDirtyRate = unsafe extern "C" fn(DomainRef<'_>, c_int, c_uint) -> c_int;

/// The open library. A process has it once, and never closes it.
pub(super) struct LibvirtLibrary {
    pub(super) call: LibvirtFunctions,
    /// Since 7.2.
    start_dirty_rate: Option<StartDirtyRate>,
}

impl LibvirtLibrary {
    /// Opens libvirt; or says why it cannot be opened, and what to install.
    pub(super) fn get() -> Result<&'static Self, String> {
        static LIBRARY: OnceLock<Result<LibvirtLibrary, String>> = OnceLock::new();
        LIBRARY.get_or_init(Self::open).as_ref().map_err(Clone::clone)
    }

    fn open() -> Result<Self, String> {
        let missing = |why: libloading::Error| {
            format!(
                "libvirt's library cannot be used: install libvirt0 (Debian, Ubuntu) or libvirt-libs (Fedora, RHEL), 6.0 or \
                 newer, and start whimbrel again; only the arrays that libvirt drives are affected ({why})"
            )
        };
        // SAFETY: libvirt may be loaded by any thread; it is never unloaded, as it is forgotten below.
        let library = unsafe { libloading::Library::new("libvirt.so.0") }.map_err(missing)?;
        let call = LibvirtFunctions::find(&library).map_err(missing)?;
        // SAFETY: the type is that of the header.
        let start_dirty_rate = unsafe { library.get::<StartDirtyRate>(b"virDomainStartDirtyRateCalc\0") };
        let opened = Self { call, start_dirty_rate: start_dirty_rate.ok().map(|f| *f) };
        std::mem::forget(library);
        opened.begin()
    }

    fn begin(self) -> Result<Self, String> {
        let mut version = 0;
        self.call.virGetVersion(&mut version, CText::NONE, None);
        if version < OLDEST {
            let (major, minor) = (version / 1_000_000, version / 1_000 % 1_000);
            return Err(format!("libvirt {major}.{minor} is too old: install libvirt0 or libvirt-libs 6.0 or newer"));
        }
        self.call.virSetErrorFunc(0, print_nothing);
        // This comes before any connection is opened: keepalive and events need it.
        let registered = self.call.virEventRegisterDefaultImpl() == 0;
        let run = self.call.virEventRunDefaultImpl;
        // SAFETY: it takes nothing, and was registered.
        let events = move || while unsafe { run() } >= 0 {};
        let started = thread::Builder::new().name("libvirt events".into()).spawn(events);
        if registered && started.is_ok() { Ok(self) } else { Err("libvirt's library cannot be started".into()) }
    }

    /// The error of the last call of this thread.
    pub(super) fn error(&self) -> LibvirtError {
        // SAFETY: it is null, or this thread's own error, which stays until its next call, as does its text.
        unsafe {
            let raw = (self.call.virGetLastError)().as_ref();
            let of = |raw: &RawError| LibvirtError { code: ErrorCode(raw.code), message: text(raw.message) };
            raw.map_or_else(LibvirtError::default, of)
        }
    }

    /// The number that a call has returned. A negative number is a failure.
    pub(super) fn number(&self, returned: c_int) -> Result<c_int, LibvirtError> {
        if returned < 0 { Err(self.error()) } else { Ok(returned) }
    }

    /// How long a host's processors have worked so far, in nanoseconds: `kernel`, `user`, `idle`, `iowait`.
    pub(super) fn node_cpu(&self, host: ConnectionRef<'_>) -> Result<Figures, LibvirtError> {
        self.node_figures(host, self.call.virNodeGetCPUStats)
    }

    /// A host's memory in KiB: `total`, `free`, `buffers`, `cached`.
    pub(super) fn node_memory(&self, host: ConnectionRef<'_>) -> Result<Figures, LibvirtError> {
        self.node_figures(host, self.call.virNodeGetMemoryStats)
    }

    fn node_figures(&self, host: ConnectionRef<'_>, ask: NodeFigures) -> Result<Figures, LibvirtError> {
        let (mut figures, mut count) = ([NodeFigure::EMPTY; 16], 0);
        // SAFETY: without a place to write to it tells how many figures there are; then it writes as many as it is told
        // that there is room for, or refuses.
        self.number(unsafe { ask(host, -1, null_mut(), &raw mut count, 0) })?;
        count = count.min(16);
        // SAFETY: as above.
        self.number(unsafe { ask(host, -1, figures.as_mut_ptr(), &raw mut count, 0) })?;
        Ok(data::named(&figures, count))
    }

    /// All domains of a host, each with these figures.
    pub(super) fn all_stats(
        &self,
        host: ConnectionRef<'_>,
        what: u32,
        flags: u32,
    ) -> Result<Vec<(DomainIdent, Figures)>, LibvirtError> {
        let mut records = null_mut();
        // SAFETY: libvirt puts a list there that is ours, of as many records as it returns.
        let count = unsafe { (self.call.virConnectGetAllDomainStats)(host, what, &raw mut records, flags) };
        self.number(count).map(|count| unsafe { self.take(records, count) })
    }

    /// One domain's figures.
    pub(super) fn stats(&self, vm: DomainRef<'_>, what: u32, flags: u32) -> Result<Figures, LibvirtError> {
        let (list, mut records) = ([vm.0.as_ptr(), null_mut()], null_mut());
        // SAFETY: the list of domains ends with a null; the rest as above.
        let count = unsafe { (self.call.virDomainListGetStats)(list.as_ptr(), what, &raw mut records, flags) };
        let mut all = self.number(count).map(|count| unsafe { self.take(records, count) })?;
        Ok(all.pop().map(|(_, fields)| fields).unwrap_or_default())
    }

    /// # Safety
    /// The list is ours, and of so many records.
    unsafe fn take(&self, records: *mut *mut StatsRecord, count: c_int) -> Vec<(DomainIdent, Figures)> {
        let mut all = Vec::new();
        // SAFETY: as demanded above; each record holds a domain and its parameters until it is freed, here.
        unsafe {
            for n in 0..usize::try_from(count).unwrap_or_default() {
                let record = &**records.add(n);
                let ident = NonNull::new(record.domain).map(|vm| self.ident(DomainRef(vm, PhantomData)));
                all.extend(ident.map(|ident| (ident, fields(record.params, record.count))));
            }
            (self.call.virDomainStatsRecordListFree)(records);
        }
        all
    }

    /// All domains of a host.
    pub(super) fn domains(&self, host: ConnectionRef<'_>) -> Result<Vec<DomainHandle>, LibvirtError> {
        let mut list: *mut RawObject = null_mut();
        // SAFETY: libvirt puts a list there that is ours, from malloc, with a reference on each of so many domains.
        unsafe {
            let count = self.number((self.call.virConnectListAllDomains)(host, &raw mut list, 0))?;
            let all = (0..usize::try_from(count).unwrap_or_default()).map(|n| *list.add(n));
            let all = all.filter_map(NonNull::new).map(DomainHandle).collect();
            free(list.cast());
            Ok(all)
        }
    }

    /// The uuid and the name of a domain.
    pub(super) fn ident(&self, vm: DomainRef<'_>) -> DomainIdent {
        let mut uuid: [c_char; 37] = [0; 37];
        self.call.virDomainGetUUIDString(vm, &mut uuid);
        // SAFETY: a uuid is 36 characters and a 0; the name stays as long as the domain.
        unsafe { DomainIdent { uuid: text(uuid.as_ptr()), name: text((self.call.virDomainGetName)(vm)) } }
    }

    /// The current job of a domain, or the last completed one: its kind (`virDomainJobType`) and its figures.
    pub(super) fn job(&self, vm: DomainRef<'_>, completed: bool) -> Result<(c_int, Figures), LibvirtError> {
        let (mut kind, mut params, mut count) = (0, null_mut(), 0);
        // These flags keep a completed job for the next question.
        let flags = if completed { 3 } else { 0 };
        // SAFETY: libvirt puts a list there that is ours, of so many parameters; it is null where there is no job.
        unsafe {
            let got = (self.call.virDomainGetJobStats)(vm, &raw mut kind, &raw mut params, &raw mut count, flags);
            self.number(got)?;
            let figures = fields(params, count);
            (self.call.virTypedParamsFree)(params, count);
            Ok((kind, figures))
        }
    }

    /// Migrates a domain with these named parameters. Blocks to the end of the migration.
    pub(super) fn migrate(
        &self,
        vm: DomainRef<'_>,
        to: &str,
        with: &[(&str, u64)],
        flags: u32,
    ) -> Result<(), LibvirtError> {
        let (mut params, mut count, mut room) = (null_mut(), 0, 0);
        // SAFETY: libvirt grows the list of parameters itself; it is ours until it is freed.
        unsafe {
            let add = |(name, value): &(&str, u64)| {
                let name = c_text(name);
                let add = self.call.virTypedParamsAddULLong;
                add(&raw mut params, &raw mut count, &raw mut room, CText::of(&name), *value)
            };
            let added = with.iter().map(add).all(|returned| returned == 0);
            let to = c_text(to);
            let done =
                |params| (self.call.virDomainMigrateToURI3)(vm, CText::of(&to), params, count.cast_unsigned(), flags);
            let outcome = self.number(if added { done(params) } else { -1 });
            (self.call.virTypedParamsFree)(params, count);
            outcome.map(|_| ())
        }
    }

    /// Begins to measure for one second how much memory a domain writes. False: libvirt cannot.
    pub(super) fn start_dirty_rate(&self, vm: DomainRef<'_>) -> bool {
        // SAFETY: the domain is held for the time of the call.
        self.start_dirty_rate.is_some_and(|start| unsafe { start(vm, 1, 0) } == 0)
    }
}

/// Takes the place of libvirt's own handler, which would print over the screen. The callers ask for errors themselves.
extern "C" fn print_nothing(_: usize, _: usize) {}

/// An open connection. Dropping it may wait for a silent daemon.
#[repr(transparent)]
pub(super) struct ConnectionHandle(NonNull<c_void>);

/// A domain on which a reference is held.
#[repr(transparent)]
pub(super) struct DomainHandle(NonNull<c_void>);

// SAFETY: libvirt's connections may be used and closed by any thread, also by several at once.
unsafe impl Send for ConnectionHandle {}
// SAFETY: as above.
unsafe impl Sync for ConnectionHandle {}

impl ConnectionHandle {
    pub(super) fn host(&self) -> ConnectionRef<'_> {
        ConnectionRef(self.0, PhantomData)
    }
}

impl DomainHandle {
    pub(super) fn domain(&self) -> DomainRef<'_> {
        DomainRef(self.0, PhantomData)
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        // SAFETY: this is the reference it was born with.
        LibvirtLibrary::get().map(|library| unsafe { (library.call.virConnectClose)(self.host()) }).ok();
    }
}

impl Drop for DomainHandle {
    fn drop(&mut self) {
        // SAFETY: this is the reference it was born with.
        LibvirtLibrary::get().map(|library| unsafe { (library.call.virDomainFree)(self.domain()) }).ok();
    }
}

/// A text for C. It ends before the first 0, which no name or URI has.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// # Safety
/// It is null, or ends with a 0 and stays as it is for the time of the call.
unsafe fn text(raw: *const c_char) -> String {
    // SAFETY: as demanded above.
    if raw.is_null() { String::new() } else { unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned() }
}

/// # Safety
/// There are so many parameters.
unsafe fn fields(params: *const TypedParam, count: c_int) -> Figures {
    let mut fields = Figures::default();
    for n in 0..usize::try_from(count).unwrap_or_default() {
        // SAFETY: as demanded above.
        let param = unsafe { &*params.add(n) };
        fields.put(data::name(&param.field), param.kind, param.value.to_ne_bytes());
    }
    fields
}
