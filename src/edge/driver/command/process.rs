//! One command: a group of its own, nothing to read, its streams bounded, its end seen.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::output::{Output, Stream};
use crate::core::cluster::{Span, in_words};

/// Read from a stream at once.
const PIECE: usize = 16 << 10;
/// Read at most after the command has ended: whoever it left behind may go on printing.
const REST: usize = 1 << 20;
/// A group that was told to end is looked at so often.
const GONE: Duration = Duration::from_millis(50);

/// A running command.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    streams: Streams,
    /// It is killed if nobody waits for it any more.
    bound: bool,
}

impl Process {
    /// Starts a command. A mark stands in its environment. With one it is left alone when this is dropped, and its two
    /// streams are one, in the order in which it prints.
    ///
    /// # Errors
    /// It cannot be started, in words.
    pub(super) fn start(argv: &[String], mark: Option<(&str, String)>) -> Result<Self, String> {
        let Some((program, arguments)) = argv.split_first() else { return Err("there is no command".to_owned()) };
        let start = || -> io::Result<Self> {
            let (out, child_out) = pipe()?;
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).process_group(0);
            let bound = mark.is_none();
            let err = match mark {
                Some((name, value)) => {
                    command.env(name, value).stderr(child_out.try_clone()?);
                    None
                }
                None => {
                    let (err, child_err) = pipe()?;
                    command.stderr(child_err);
                    Some(err)
                }
            };
            let child = command.stdout(child_out).spawn()?;
            let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            Ok(Self { child, group, streams: Streams::new(Some(out), err), bound })
        };
        start().map_err(|why| format!("{program} cannot be run: {}", without_number(&why)))
    }

    /// Reads until the command ends. Can be given up and called again.
    pub(super) async fn end(&mut self) -> io::Result<ExitStatus> {
        let status = tokio::select! {
            status = self.child.wait() => status,
            never = self.streams.read() => match never {},
        };
        self.streams.read_rest();
        self.bound = false;
        status
    }

    /// What it printed so far.
    pub(super) const fn output(&self) -> &Output {
        &self.streams.output
    }

    pub(super) const fn group(&self) -> Option<Pid> {
        self.group
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            signal(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.bound {
            self.kill();
        }
    }
}

/// Runs a short command to its end, and no longer than the deadline.
///
/// # Errors
/// It could not be run, hung, or ended with another status than 0, in words.
pub(super) async fn within(argv: &[String], deadline: Duration) -> Result<Process, String> {
    let mut process = Process::start(argv, None)?;
    let Ok(ended) = timeout(deadline, process.end()).await else {
        return Err(format!("no answer within {}", in_words(span(deadline))));
    };
    match ended {
        Ok(status) if status.success() => Ok(process),
        Ok(status) => Err(with_line(&in_short(status), process.output())),
        Err(why) => Err(without_number(&why)),
    }
}

/// How a command ended: `status 3`, `killed by signal 9`.
pub(super) fn in_short(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(number)) => format!("ended by signal {number}"),
        (None, None) => "no status".to_owned(),
    }
}

/// With the last line that was printed, if there is one.
pub(super) fn with_line(how: &str, output: &Output) -> String {
    let line = output.last_line();
    if line.is_empty() { how.to_owned() } else { format!("{how}: {line}") }
}

pub(super) fn span(duration: Duration) -> Span {
    Span::from_millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Whoever is in a group gets a signal; that nobody is in it any more is no fault.
pub(super) fn signal(group: Pid, which: Signal) {
    let _ = kill_process_group(group, which);
}

/// SIGTERM to all of a group, and SIGKILL to who is still there after the grace.
pub(super) async fn end_group(group: Pid, grace: Duration) {
    signal(group, Signal::TERM);
    let last = Instant::now() + grace;
    while Instant::now() < last {
        if test_kill_process_group(group).is_err() {
            return;
        }
        sleep(GONE).await;
    }
    signal(group, Signal::KILL);
}

/// A pipe whose child's end reads as well as writes: a command that prints after whimbrel is gone is not killed for it.
fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let both = OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    // Without /proc it is a pipe as any other.
    let child = both.map_or_else(|_| OwnedFd::from(writer), OwnedFd::from);
    Ok((Receiver::from_owned_fd(reader.into())?, child))
}

/// An error's words alone: the number says nothing to an operator.
fn without_number(why: &io::Error) -> String {
    let text = why.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A command's two streams, as far as they are open.
pub(super) struct Streams {
    out: Option<Receiver>,
    err: Option<Receiver>,
    pub(super) output: Output,
}

impl Streams {
    pub(super) fn new(out: Option<Receiver>, err: Option<Receiver>) -> Self {
        Self { out, err, output: Output::default() }
    }

    /// Takes whatever is printed. Never ends, and can be given up at any time.
    pub(super) async fn read(&mut self) -> std::convert::Infallible {
        loop {
            let stream = tokio::select! {
                () = readable(self.out.as_ref()) => Stream::Out,
                () = readable(self.err.as_ref()) => Stream::Err,
            };
            self.take(stream);
        }
    }

    /// What has been printed and not been read, whether or not the runtime has heard of it.
    pub(super) fn read_rest(&mut self) {
        let mut piece = [0; PIECE];
        for (which, stream) in [(Stream::Out, &self.out), (Stream::Err, &self.err)] {
            let mut left = REST;
            while let Some(Ok(read @ 1..)) = stream.as_ref().map(|stream| rustix::io::read(stream, &mut piece[..])) {
                self.output.take(which, &piece[..read]);
                left = left.saturating_sub(read);
                if left == 0 {
                    break;
                }
            }
        }
    }

    /// Takes a piece of a stream. At its end the stream is closed.
    fn take(&mut self, which: Stream) {
        let stream = match which {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let mut piece = [0; PIECE];
        match stream.as_ref().map(|stream| stream.try_read(&mut piece)) {
            Some(Ok(read @ 1..)) => self.output.take(which, &piece[..read]),
            Some(Err(why)) if why.kind() == io::ErrorKind::WouldBlock => {}
            _ => *stream = None,
        }
    }
}

async fn readable(stream: Option<&Receiver>) {
    match stream {
        // A stream that fails is found out by the read.
        Some(stream) => drop(stream.readable().await),
        None => std::future::pending().await,
    }
}
