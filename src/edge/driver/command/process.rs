//! One command: its arguments, its process group, what it prints, its end.

use std::collections::VecDeque;
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

use crate::core::format::{measured, one_line};

/// So many bytes of a stream are read at once.
const PIECE: usize = 16 << 10;
/// At most so many bytes are read after the command has ended: a process that it left behind may go on printing.
const REST: usize = 1 << 20;
/// How often a process group that was told to end is checked.
const GONE: Duration = Duration::from_millis(50);

/// A running command.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    streams: Streams,
    /// It is killed when this is dropped.
    bound: bool,
}

impl Process {
    /// Starts a command. With a tag, which is set in its environment, it outlives this value, and its two streams are one, in
    /// the order in which it prints.
    ///
    /// # Errors
    /// It cannot be started, in words.
    pub(super) fn start(argv: &[String], tag: Option<(&str, String)>) -> Result<Self, String> {
        let Some((program, arguments)) = argv.split_first() else { return Err("there is no command".to_owned()) };
        let start = || -> io::Result<Self> {
            let (out, child_out) = pipe()?;
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).process_group(0);
            let bound = tag.is_none();
            let err = match tag {
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

    /// Reads until the command ends. Safe to cancel and call again.
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
        return Err(format!("no answer within {}", measured(deadline.into())));
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

/// Adds the last line that was printed, if there is one.
pub(super) fn with_line(how: &str, output: &Output) -> String {
    let line = output.last_line();
    if line.is_empty() { how.to_owned() } else { format!("{how}: {line}") }
}

/// Sends a signal to a process group. An empty group is no error.
pub(super) fn signal(group: Pid, which: Signal) {
    let _ = kill_process_group(group, which);
}

/// Sends SIGTERM to a process group, and SIGKILL after the grace period if any process is left.
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

/// A pipe whose child's end is open for reading and writing. So a command that prints after whimbrel is gone gets no SIGPIPE.
fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let both = OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    // Without /proc it is an ordinary pipe.
    let child = both.map_or_else(|_| OwnedFd::from(writer), OwnedFd::from);
    Ok((Receiver::from_owned_fd(reader.into())?, child))
}

/// An error's text without its number, which says nothing to an operator.
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

    /// Takes what is printed. Never ends; safe to cancel.
    pub(super) async fn read(&mut self) -> std::convert::Infallible {
        loop {
            let stream = tokio::select! {
                () = readable(self.out.as_ref()) => OutputStream::Out,
                () = readable(self.err.as_ref()) => OutputStream::Err,
            };
            self.take(stream);
        }
    }

    /// Reads what was printed and not yet read, whether or not the runtime has noticed it.
    pub(super) fn read_rest(&mut self) {
        let mut piece = [0; PIECE];
        for (which, stream) in [(OutputStream::Out, &self.out), (OutputStream::Err, &self.err)] {
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

    /// Takes one piece of a stream, and closes the stream at its end.
    fn take(&mut self, which: OutputStream) {
        let stream = match which {
            OutputStream::Out => &mut self.out,
            OutputStream::Err => &mut self.err,
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
        // The next read finds out about a stream that fails.
        Some(stream) => drop(stream.readable().await),
        None => std::future::pending().await,
    }
}

/// So many bytes of each stream are kept for people, the newest.
const TAIL: usize = 4 << 10;
/// So many bytes of the output are read as an answer: the names of some thousand VMs.
const HEAD: usize = 64 << 10;
/// A line for people has at most so many characters.
const LINE: usize = 200;

/// One of a command's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputStream {
    Out,
    Err,
}

/// What a command has printed: the end of each stream for people, the beginning of its output as an answer. Its size is bounded.
#[derive(Debug, Default)]
pub(super) struct Output {
    head: Vec<u8>,
    overflowed: bool,
    out: VecDeque<u8>,
    err: VecDeque<u8>,
}

impl Output {
    pub(super) fn take(&mut self, stream: OutputStream, bytes: &[u8]) {
        let tail = match stream {
            OutputStream::Out => &mut self.out,
            OutputStream::Err => &mut self.err,
        };
        tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        tail.drain(..tail.len().saturating_sub(TAIL));
        if stream == OutputStream::Out {
            let room = HEAD - self.head.len();
            self.overflowed |= bytes.len() > room;
            self.head.extend(&bytes[..bytes.len().min(room)]);
        }
    }

    /// The lines of its output that are not empty, without blanks around them.
    ///
    /// # Errors
    /// The output is too long for an answer, or is not UTF-8.
    pub(super) fn lines(&self) -> Result<Vec<&str>, String> {
        if self.overflowed {
            return Err(format!("it printed more than {} KiB", HEAD >> 10));
        }
        let text = std::str::from_utf8(&self.head).map_err(|_| "what it printed is no text".to_owned())?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
    }

    /// The last line that is not empty, for people. Lines of the error stream come first. A carriage return ends a line too.
    pub(super) fn last_line(&self) -> String {
        last(&self.err).or_else(|| last(&self.out)).unwrap_or_default()
    }
}

fn last(tail: &VecDeque<u8>) -> Option<String> {
    let bytes: Vec<u8> = tail.iter().copied().collect();
    String::from_utf8_lossy(&bytes).split(['\n', '\r']).map(shown).rfind(|line| !line.is_empty())
}

/// A line for people.
pub(super) fn shown(line: &str) -> String {
    one_line(line, LINE)
}

/// Replaces each `{name}` that has a value. Other text stays as it is, braces too. A value that was put in is not read again,
/// neither for placeholders nor by a shell.
pub(super) fn fill(template: &[String], values: &[(&str, &str)]) -> Vec<String> {
    template.iter().map(|argument| filled(argument, values)).collect()
}

/// Whether a template has this placeholder.
pub(super) fn names(template: &[String], name: &str) -> bool {
    let placeholder = format!("{{{name}}}");
    template.iter().any(|argument| argument.contains(&placeholder))
}

fn filled(argument: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find('{') {
        let (before, placeholder) = rest.split_at(at);
        out.push_str(before);
        let value = placeholder.find('}').and_then(|end| {
            let value = values.iter().find(|(name, _)| *name == &placeholder[1..end])?.1;
            Some((value, end))
        });
        rest = match value {
            Some((value, end)) => {
                out.push_str(value);
                &placeholder[end + 1..]
            }
            None => {
                out.push('{');
                &placeholder[1..]
            }
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(text: &str) -> Output {
        let mut output = Output::default();
        output.take(OutputStream::Out, text.as_bytes());
        output
    }

    #[test]
    fn the_last_line_is_told_without_what_would_disturb_a_screen() {
        assert_eq!(printed("one\ntwo \x1b[31mred\x1b[0m\x07\n\n").last_line(), "two red");
        assert_eq!(printed("Migration: [ 12 %]\rMigration: [ 97 %]\r").last_line(), "Migration: [ 97 %]");
        assert_eq!(printed(" \n\t\n").last_line(), "");
        assert_eq!(printed("a\u{202e}b").last_line(), "a b");
    }

    #[test]
    fn a_complaint_comes_before_whatever_was_printed_last() {
        let mut output = printed("mln1");
        assert_eq!(output.last_line(), "mln1");
        output.take(OutputStream::Err, b"no route\n");
        output.take(OutputStream::Out, b"mln1\n");
        assert_eq!(output.last_line(), "no route");
    }

    #[test]
    fn a_long_line_is_cut_and_a_flood_keeps_its_end() {
        assert_eq!(printed(&"x".repeat(LINE + 1)).last_line().chars().count(), LINE + 1);
        let mut output = Output::default();
        for _ in 0..1_000 {
            output.take(OutputStream::Err, &[b'y'; 10_000]);
        }
        output.take(OutputStream::Err, b"\nthe end");
        assert_eq!((output.err.len(), output.last_line().as_str()), (TAIL, "the end"));
        assert!(output.head.is_empty(), "errors are no answer");
    }

    #[test]
    fn lines_are_an_answer_only_if_they_are_whole_and_text() {
        assert_eq!(printed(" web1 \n\nweb2\r\n").lines().unwrap(), ["web1", "web2"]);
        assert!(printed(&"y\n".repeat(HEAD)).lines().unwrap_err().contains("64 KiB"));
        let mut output = Output::default();
        output.take(OutputStream::Out, &[0xff, 0xfe]);
        assert_eq!(output.lines().unwrap_err(), "what it printed is no text");
    }

    proptest! {
        #[test]
        fn whatever_is_printed_a_line_is_shown_without_control_characters(bytes in any::<Vec<u8>>()) {
            let mut output = Output::default();
            output.take(OutputStream::Out, &bytes);
            prop_assert!(output.last_line().chars().all(|c| !c.is_control()));
        }
    }

    fn one(argument: &str, values: &[(&str, &str)]) -> String {
        fill(&[argument.to_owned()], values).remove(0)
    }

    #[test]
    fn placeholders_stand_for_their_values() {
        let values = [("vm", "nii1"), ("index", "2"), ("to", "mln2")];
        assert_eq!(one("/root/.vmmanage/{vm}.{index}.mln", &values), "/root/.vmmanage/nii1.2.mln");
        assert_eq!(one("{to}{to}", &values), "mln2mln2");
        assert_eq!(one("{vm}.{index}.mln", &[("vm", "nii1"), ("index", "")]), "nii1..mln");
    }

    #[test]
    fn a_value_is_not_filled_in_turn() {
        assert_eq!(one("{vm} {to}", &[("vm", "{to}"), ("to", "{vm}")]), "{to} {vm}");
    }

    #[test]
    fn other_braces_stay() {
        assert_eq!(one("awk {print} {vm", &[("vm", "a")]), "awk {print} {vm");
        assert_eq!(one("{{vm}}", &[("vm", "a")]), "{a}");
        assert!(names(&["x{host}y".to_owned()], "host") && !names(&["{hosts}".to_owned()], "host"));
    }

    proptest! {
        #[test]
        fn text_without_placeholders_stays_and_a_value_comes_whole(text in "[^{}]*", value in any::<String>()) {
            prop_assert_eq!(&one(&text, &[("vm", &value)]), &text);
            prop_assert_eq!(one(&format!("{text}{{vm}}"), &[("vm", &value)]), format!("{text}{value}"));
        }
    }
}
