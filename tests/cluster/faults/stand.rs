//! Pairs of hosts in one lab, and a VM between the two. A test has a pair for itself, and leaves it in order.

use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::support::lab::{Guest, Lab, wait};
use crate::support::services;

/// One lab for all tests: it ends with this process.
static SHARED: LazyLock<Result<Shared, String>> = LazyLock::new(|| {
    let pair = |first| Pair { hosts: [first, first + 1], guest: None, is_sick: false };
    let lab = Lab::up(4)?;
    Ok(Shared { lab, free: Mutex::new(vec![pair(1), pair(3)]), returned: Condvar::new() })
});

struct Shared {
    lab: Lab,
    free: Mutex<Vec<Pair>>,
    returned: Condvar,
}

struct Pair {
    hosts: [usize; 2],
    /// It outlives tests that leave it alive.
    guest: Option<Guest>,
    /// A test has failed there.
    is_sick: bool,
}

/// A pair that a test has for itself.
pub struct Stand {
    pub lab: &'static Lab,
    shared: &'static Shared,
    pair: Option<Pair>,
}

impl Stand {
    /// Waits for a free pair; `None`, with the test noted as skipped, where there can be no lab.
    pub fn take(test: &str) -> Option<Self> {
        let shared = services::or_skip(test, SHARED.as_ref().map_err(Clone::clone))?;
        let none = |free: &mut Vec<Pair>| free.is_empty();
        let free = shared.returned.wait_while(shared.free(), none).unwrap_or_else(PoisonError::into_inner).pop();
        let mut stand = Self { lab: &shared.lab, shared, pair: free };
        if stand.pair().is_sick {
            stand.heal();
        }
        Some(stand)
    }

    fn pair(&mut self) -> &mut Pair {
        self.pair.as_mut().expect("given back only at the end")
    }

    /// Both hosts lose all that was done to them, and their guests.
    fn heal(&mut self) {
        for host in self.pair().hosts {
            self.lab.power_off(host);
            let _ = std::fs::remove_file(self.lab.folder().join(format!("host{host}/stopped")));
            self.lab.show(host);
            self.lab.power_on(host);
        }
        let [one, other] = self.hosts();
        self.lab.join(one, other);
        self.lab.join(other, one);
        let pair = self.pair();
        (pair.guest, pair.is_sick) = (None, false);
    }

    /// Both hosts, the first one first.
    pub fn hosts(&mut self) -> [usize; 2] {
        self.pair().hosts
    }

    /// A VM's name that no other pair has.
    pub fn name(&mut self, name: &str) -> String {
        format!("{name}{}", self.hosts()[0])
    }

    /// The pair's VM, booted if it does not run, and where it is and where else it could be.
    pub fn guest(&mut self) -> (Guest, usize, usize) {
        let [one, other] = self.hosts();
        if let Some(guest) = self.pair().guest.clone() {
            match self.lab.executing_on(&guest.name)[..] {
                [host] if host == one => return (guest, one, other),
                [host] if host == other => return (guest, other, one),
                _ => self.clear(&guest.name),
            }
        }
        let guest = self.lab.guest(one, &self.name("web")).start();
        self.pair().guest = Some(guest.clone());
        (guest, one, other)
    }

    /// Nothing is left of a guest on either host.
    pub fn clear(&mut self, name: &str) {
        for host in self.hosts() {
            // What is not there need not go.
            let _ = self.lab.virsh(host, &["destroy", name]);
        }
        wait("the guest is gone", || self.lab.qemus(name).is_empty().then_some(()));
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let Some(mut pair) = self.pair.take() else { return };
        pair.is_sick |= std::thread::panicking();
        self.shared.free().push(pair);
        self.shared.returned.notify_one();
    }
}

impl Shared {
    fn free(&self) -> MutexGuard<'_, Vec<Pair>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
