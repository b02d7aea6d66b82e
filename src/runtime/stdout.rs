//! Standard output on a thread of its own, so that a reader that hangs does not stop the engine.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::edge::supervisor::fault;

/// Output that waits for a reader takes at most this much memory, in bytes.
const MOST: usize = 16 << 20;
/// At the end, output waits for a reader for at most this long.
const GOODBYE: Duration = Duration::from_secs(1);

/// A writer that never blocks. If the reader is too slow, whole writes are dropped and counted.
pub struct NonBlockingStdout(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<WaitingOutput>,
    changed: Condvar,
    /// Lines dropped.
    lost: Arc<AtomicU64>,
}

#[derive(Default)]
struct WaitingOutput {
    waiting: Vec<u8>,
    /// Bytes that are being written now.
    writing: usize,
    failed: Option<io::Error>,
    closed: bool,
}

impl NonBlockingStdout {
    /// Writes onto this, in the background. Also returns the count of lines dropped, for the caller to read and reset.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn onto(out: Box<dyn Write + Send>) -> io::Result<(Self, Arc<AtomicU64>)> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("output".to_owned()).spawn(move || writer.write_to(out))?;
        let lost = Arc::clone(&shared.lost);
        Ok((Self(shared), lost))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, WaitingOutput> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: Box<dyn Write + Send>) {
        loop {
            let Some(bytes) = self.next() else { return };
            let written = catch_unwind(AssertUnwindSafe(|| {
                fault("output");
                out.write_all(&bytes).and_then(|()| out.flush())
            }));
            let mut state = self.lock();
            state.writing = 0;
            match written {
                Ok(written) => state.failed = written.err(),
                // What it was about to write is dropped and counted; the next lines are written.
                Err(_) => drop(self.lost.fetch_add(lines(&bytes), Ordering::Relaxed)),
            }
            self.changed.notify_all();
            if state.failed.is_some() {
                return;
            }
        }
    }

    /// What is to be written next; `None` at the end.
    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writing = state.waiting.len();
        (state.writing > 0).then(|| std::mem::take(&mut state.waiting))
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Write for NonBlockingStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        if state.writing + state.waiting.len() + bytes.len() > MOST {
            self.0.lost.fetch_add(lines(bytes), Ordering::Relaxed);
        } else {
            state.waiting.extend_from_slice(bytes);
            self.0.changed.notify_all();
        }
        Ok(bytes.len())
    }

    /// The error that writing had, if it had one.
    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().failed.take().map_or(Ok(()), Err)
    }
}

impl Drop for NonBlockingStdout {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.changed.notify_all();
        let busy =
            |state: &mut WaitingOutput| state.failed.is_none() && (state.writing > 0 || !state.waiting.is_empty());
        drop(self.0.changed.wait_timeout_while(state, GOODBYE, busy));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_stops_nobody() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let (mut spool, lost) = NonBlockingStdout::onto(Box::new(ours)).expect("a thread");
        let line = [vec![b'x'; (1 << 20) - 1], vec![b'\n']].concat();
        for _ in 0..40 {
            spool.write_all(&line).expect("it is taken at once");
        }
        let given_up = lost.swap(0, Ordering::Relaxed);
        assert!((20..40).contains(&given_up), "{given_up}");
        assert_eq!(lost.swap(0, Ordering::Relaxed), 0);
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            theirs.read_to_end(&mut read).map(|_| read)
        });
        drop(spool);
        let read = reader.join().expect("it reads").expect("to the end");
        assert_eq!(read.len(), line.len() * (40 - given_up as usize), "whole lines");
    }

    #[test]
    fn what_nobody_reads_any_more_is_an_error() {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        drop(theirs);
        let (mut spool, _) = NonBlockingStdout::onto(Box::new(ours)).expect("a thread");
        let broken = std::iter::repeat_with(|| spool.write_all(b"a line\n")).find_map(Result::err);
        assert_eq!(broken.map(|error| error.kind()), Some(io::ErrorKind::BrokenPipe));
    }
}
