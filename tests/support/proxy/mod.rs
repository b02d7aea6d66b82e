//! Bad networks for tests: proxies on loopback that lose, delay, repeat and invent answers by a seeded plan.
//!
//! ```ignore
//! let proxy = HttpProxy::before(dav.address());
//! proxy.plan(random(seed, 100));
//! // … workers use proxy.url("/q/") …
//! proxy.calm();
//! ```

mod http;
mod tcp;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, scope, spawn};
use std::time::{Duration, Instant};

pub use http::{Fault, HttpProxy, Request, random};
pub use tcp::{Cut, Statement, TcpProxy, cuts};

/// The most connections at a time; more are turned away.
const MOST: usize = 256;
/// What is under way ends within this time, far more than any test delays a request.
const PATIENCE: Duration = Duration::from_secs(120);

/// Numbers that look random, and are the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A duration between these.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let range = (most - least).as_micros() as u64;
        least + Duration::from_micros(self.below(range.max(1)))
    }
}

/// A listener on loopback whose connections end with it.
struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the threads of a gate share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    next: AtomicU64,
}

#[derive(Default)]
struct State {
    closing: bool,
    /// All open connections, on both sides, by number.
    open: HashMap<u64, TcpStream>,
    /// Faults that were begun and are not over: requests that are delayed, say.
    pending: usize,
    /// So many requests are held.
    held: usize,
    /// Held requests go on.
    is_released: bool,
}

impl Gate {
    /// Listens, and serves each connection on a thread of its own.
    fn open(serve: impl Fn(&Shared, TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let shared = Shared { state: Mutex::default(), changed: Condvar::new(), next: AtomicU64::new(0) };
        let shared = Arc::new(shared);
        let of_thread = Arc::clone(&shared);
        let acceptor = spawn(move || {
            let (shared, serve) = (&*of_thread, &serve);
            scope(|threads| {
                for stream in listener.incoming().flatten() {
                    if shared.state().closing {
                        break;
                    }
                    let Some(visit) = shared.enter(&stream) else { continue };
                    // A connection that ends badly is what such a proxy is for.
                    threads.spawn(move || serve(shared, stream).map_or_else(drop, |()| drop(visit)));
                }
            });
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Waits until a request is held; false if `is_over` comes before.
    fn wait_for_held(&self, mut is_over: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while state.held == 0 {
            if is_over() {
                return false;
            }
            assert!(Instant::now() < end, "no request is held");
            let look = Duration::from_millis(50);
            state = self.shared.changed.wait_timeout(state, look).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Lets held requests go on, also later ones.
    fn release(&self) {
        self.shared.state().is_released = true;
        self.shared.changed.notify_all();
    }

    /// Waits until no fault is under way, such as a request that is to arrive late.
    fn settle(&self) {
        self.release();
        let end = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while state.pending > 0 {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} faults of the proxy do not end", state.pending);
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.closing = true;
            for stream in state.open.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            self.shared.changed.notify_all();
        }
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a connection, so that it can be cut when the gate closes; `None` if it is closing or full.
    fn enter(&self, stream: &TcpStream) -> Option<Visit<'_>> {
        let clone = stream.try_clone().ok()?;
        let mut state = self.state();
        if state.closing || state.open.len() >= MOST {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        state.open.insert(number, clone);
        Some(Visit { shared: self, number })
    }

    /// A connection to a server.
    fn connect(&self, to: SocketAddr) -> io::Result<(TcpStream, Visit<'_>)> {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        let visit = self.enter(&stream).ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok((stream, visit))
    }

    /// Lets this time pass, but not past the end of the gate.
    fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut state = self.state();
        while !state.closing {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until requests are released, but not past the end of the gate.
    fn hold(&self) {
        let mut state = self.state();
        state.held += 1;
        self.changed.notify_all();
        while !state.closing && !state.is_released {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.held -= 1;
    }

    /// A fault is under way until this is dropped.
    fn pending(&self) -> Pending<'_> {
        self.state().pending += 1;
        Pending(self)
    }
}

/// An open connection.
struct Visit<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.shared.state().open.remove(&self.number);
    }
}

struct Pending<'a>(&'a Shared);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.state().pending -= 1;
        self.0.changed.notify_all();
    }
}
