//! Standard output on a thread of its own, so that a reader that hangs does not stop the engine.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use crate::edge::supervisor::fault;

/// Output that waits for a reader takes at most this much memory, in bytes.
const MOST: usize = 16 << 20;
/// At the end, output waits for a reader for at most this long.
const GOODBYE: Duration = Duration::from_secs(1);

/// A writer that never blocks. If the reader is too slow, whole writes are dropped and counted.
pub struct NonBlockingStdout {
    /// `waiting` bounds it. `None`: the thread is to end.
    writes: Option<Sender<Vec<u8>>>,
    /// Bytes that wait or are being written.
    waiting: Arc<AtomicUsize>,
    /// Lines dropped.
    lost: Arc<AtomicU64>,
    /// The error with which the thread has ended, if it had one.
    failed: Receiver<io::Error>,
}

impl NonBlockingStdout {
    /// Writes onto this, in the background. Also returns the count of lines dropped, for the caller to read and reset.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn onto(out: Box<dyn Write + Send>) -> io::Result<(Self, Arc<AtomicU64>)> {
        let (writes, written) = channel();
        let (fail, failed) = sync_channel(1);
        let stdout = Self { writes: Some(writes), waiting: Arc::default(), lost: Arc::default(), failed };
        let (waiting, lost, count) = (stdout.waiting.clone(), stdout.lost.clone(), stdout.lost.clone());
        let work = move || {
            if let Err(error) = write_all(&written, out, &waiting, &lost) {
                // Nobody may be there any more.
                let _ = fail.send(error);
            }
        };
        thread::Builder::new().name("output".to_owned()).spawn(work)?;
        Ok((stdout, count))
    }
}

/// Writes until there is no more, or until that fails.
fn write_all(
    writes: &Receiver<Vec<u8>>,
    mut out: Box<dyn Write + Send>,
    waiting: &AtomicUsize,
    lost: &AtomicU64,
) -> io::Result<()> {
    while let Ok(mut bytes) = writes.recv() {
        // One call for all that waits.
        writes.try_iter().for_each(|more| bytes.extend_from_slice(&more));
        let written = catch_unwind(AssertUnwindSafe(|| {
            fault("output");
            out.write_all(&bytes).and_then(|()| out.flush())
        }));
        match written {
            Ok(written) => written?,
            // What it was about to write is dropped and counted; the next lines are written.
            Err(_) => drop(lost.fetch_add(lines(&bytes), Ordering::Relaxed)),
        }
        waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    Ok(())
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Write for NonBlockingStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.waiting.load(Ordering::Relaxed) + bytes.len() > MOST {
            self.lost.fetch_add(lines(bytes), Ordering::Relaxed);
        } else if let Some(writes) = &self.writes {
            self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
            // If the thread has ended just now, the next call says why.
            let _ = writes.send(bytes.to_vec());
        }
        Ok(bytes.len())
    }

    /// The error that writing had, if it had one.
    fn flush(&mut self) -> io::Result<()> {
        self.failed.try_recv().map_or(Ok(()), Err)
    }
}

impl Drop for NonBlockingStdout {
    fn drop(&mut self) {
        self.writes = None;
        // The thread ends when all is written.
        let _ = self.failed.recv_timeout(GOODBYE);
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
