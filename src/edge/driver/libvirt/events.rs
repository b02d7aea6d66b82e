//! What libvirt calls back: that a domain changed, that a connection was closed, that there was an error.
//!
//! libvirt is only ever given a number to call back with, so that it can hold nothing that is gone.

use std::collections::HashMap;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use super::ffi::{Host, Library};
use super::layout::Raw;

/// Called when a host's domains may have changed and when its connection is closed, on libvirt's event thread.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

/// Whom to wake, by number, and the last number given.
static WAKES: Mutex<(usize, Option<HashMap<usize, Wake>>)> = Mutex::new((0, None));

/// What is listened for on a connection. libvirt holds a reference on the connection for each.
pub(super) struct Listening {
    number: usize,
    domains: Option<c_int>,
    closes: bool,
}

impl Listening {
    /// Has `wake` called from now on. What a hypervisor has no events for is not heard of.
    pub(super) fn begin(library: &Library, host: Host<'_>, wake: &Wake) -> Self {
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
    pub(super) fn end(&self, library: &Library, host: Host<'_>) {
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

extern "C" fn on_domain(_: Raw, _: Raw, _: c_int, _: c_int, number: usize) -> c_int {
    wake(number);
    0
}

extern "C" fn on_close(_: Raw, _: c_int, number: usize) {
    wake(number);
}

/// In place of libvirt's own, which prints over the screen. Errors are asked for where they are wanted.
pub(super) extern "C" fn say_nothing(_: usize, _: usize) {}
